//! The files that word vectors are handed around in.
//!
//! word2vec, binary: a line `words dimension`, then for each word its bytes, a blank, the components
//! as little-endian `f32` and, in some files, a line end. word2vec, text: the same line, then a line
//! for each word. GloVe: the lines without the first. Words that occur twice keep their first vector.

use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;

use super::{FastText, FormatError, Vocabulary, WordTable, WordVectors};
use crate::vector::DIMENSION_MAX;

/// The longest word of a file, in bytes: longer ones are a sign that it is not the format.
const WORD_BYTES_MAX: usize = 4096;
/// The longest line of a text file: the longest word and the most components.
const LINE_BYTES_MAX: u64 = (WORD_BYTES_MAX + DIMENSION_MAX * 32) as u64;

/// Reads a file of whatever format; see [`WordTable::read`].
pub(super) fn read(path: &Path) -> Result<WordTable, FormatError> {
    let mut file = Source::open(path)?;
    let start = file.reader.fill_buf()?;
    if FastText::is_start(start) {
        return FastText::read(path)?.to_table().map_err(|reason| FormatError::Malformed {
            path: path.to_owned(),
            place: "the rows of the words".into(),
            reason,
        });
    }
    let first = file.line()?.ok_or_else(|| file.malformed("line 1", "the file is empty"))?;
    let Some((words, dimension)) = header(&first) else {
        return read_text(&mut file, Some(first), None);
    };
    if dimension == 0 || dimension > DIMENSION_MAX {
        let reason = format!("dimension is {dimension}, expected 1 to {DIMENSION_MAX}");
        return Err(file.malformed("line 1", reason));
    }
    let ahead = file.reader.fill_buf()?;
    let line = ahead.split(|&byte| byte == b'\n').find(|line| !line.is_empty());
    let is_text = line.is_some_and(|line| looks_like_text(line, dimension));
    if is_text {
        read_text(&mut file, None, Some((words, dimension)))
    } else {
        read_binary(&mut file, words, dimension)
    }
}

/// Returns the words and the dimension that a first line promises.
fn header(line: &[u8]) -> Option<(usize, usize)> {
    let mut fields = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
    let words = fields.next()?.parse().ok()?;
    let dimension = fields.next()?.parse().ok()?;
    fields.next().is_none().then_some((words, dimension))
}

/// Returns whether the beginning of a line, perhaps cut off by the buffer, is a word and numbers.
fn looks_like_text(line: &[u8], dimension: usize) -> bool {
    let line = String::from_utf8_lossy(line);
    let mut fields = line.trim_end().split(' ').skip(1).take(dimension.min(4)).peekable();
    fields.peek().is_some() && fields.all(|field| field.parse::<f32>().is_ok())
}

fn read_text(
    file: &mut Source<'_>,
    first: Option<Vec<u8>>,
    promised: Option<(usize, usize)>,
) -> Result<WordTable, FormatError> {
    let mut rows = Rows::new(promised.map(|(_, dimension)| dimension));
    let mut number = usize::from(promised.is_some());
    let mut next = first;
    loop {
        let line = match next.take() {
            Some(line) => line,
            None => match file.line()? {
                Some(line) => line,
                None => break,
            },
        };
        number += 1;
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        rows.add_line(&line).map_err(|reason| file.malformed(&format!("line {number}"), reason))?;
    }
    if let Some((words, _)) = promised
        && rows.seen != words
    {
        let reason = format!("line 1 promises {words} words, the file has {}", rows.seen);
        return Err(file.malformed("the end", reason));
    }
    rows.finish().map_err(|reason| file.malformed("the whole file", reason))
}

fn read_binary(
    file: &mut Source<'_>,
    words: usize,
    dimension: usize,
) -> Result<WordTable, FormatError> {
    let least = (words as u64).saturating_mul(4 * dimension as u64 + 1);
    if least > file.bytes {
        let reason = format!(
            "{words} words of dimension {dimension} take at least {least} bytes, the file has {}",
            file.bytes
        );
        return Err(file.malformed("line 1", reason));
    }
    let mut rows = Rows::new(Some(dimension));
    let mut bytes = vec![0; 4 * dimension];
    for number in 1..=words {
        let place = || format!("word {number} of {words}");
        let word = file.word()?.ok_or_else(|| {
            file.malformed(&place(), format!("no blank within {WORD_BYTES_MAX} bytes or the file"))
        })?;
        file.reader.read_exact(&mut bytes).map_err(|error| {
            file.malformed(&place(), format!("the file ends within its vector ({error})"))
        })?;
        let values = bytes.as_chunks::<4>().0.iter().map(|&value| f32::from_le_bytes(value));
        rows.add(&String::from_utf8_lossy(&word), values)
            .map_err(|reason| file.malformed(&place(), reason))?;
    }
    rows.finish().map_err(|reason| file.malformed("the whole file", reason))
}

/// A table that grows.
struct Rows {
    vocabulary: Vocabulary,
    dimension: Option<usize>,
    values: Vec<f32>,
    /// How many rows were given, those of repeated words included.
    seen: usize,
}

impl Rows {
    fn new(dimension: Option<usize>) -> Self {
        Self { vocabulary: Vocabulary::default(), dimension, values: Vec::new(), seen: 0 }
    }

    /// Adds a line of text. The components are the last fields, for a word may hold blanks.
    fn add_line(&mut self, line: &[u8]) -> Result<(), String> {
        let line = String::from_utf8_lossy(line);
        let line = line.trim_end_matches(['\n', '\r', ' ', '\t']);
        let dimension = match self.dimension {
            Some(dimension) => dimension,
            None => line.split([' ', '\t']).count().saturating_sub(1),
        };
        if dimension == 0 || dimension > DIMENSION_MAX {
            return Err(format!("{dimension} components, expected 1 to {DIMENSION_MAX}"));
        }
        self.dimension = Some(dimension);
        let fields = line.split([' ', '\t']).count();
        if fields <= dimension {
            return Err(format!("expected a word and {dimension} numbers, got {fields} fields"));
        }
        let mut fields = line.rsplitn(dimension + 1, [' ', '\t']);
        let mut values = Vec::with_capacity(dimension);
        for field in fields.by_ref().take(dimension) {
            let value: f32 = field
                .parse()
                .map_err(|_| format!("expected {dimension} numbers, got {field:.40?} as one"))?;
            values.push(value);
        }
        let word = fields.next().unwrap_or_default();
        values.reverse();
        self.add(word, values.into_iter())
    }

    fn add(&mut self, word: &str, values: impl Iterator<Item = f32>) -> Result<(), String> {
        self.seen += 1;
        if self.vocabulary.add(word, 0).is_none() {
            return Ok(());
        }
        for value in values {
            if !value.is_finite() {
                return Err(format!("a component of {word:.40?} is {value}, expected a number"));
            }
            self.values.push(value);
        }
        Ok(())
    }

    fn finish(self) -> Result<WordTable, String> {
        if self.vocabulary.is_empty() {
            return Err("no words".into());
        }
        WordTable::new(self.vocabulary, self.dimension.unwrap_or(0), self.values)
    }
}

/// A file that is read from its beginning.
struct Source<'a> {
    path: &'a Path,
    reader: BufReader<fs_err::File>,
    bytes: u64,
}

impl<'a> Source<'a> {
    fn open(path: &'a Path) -> Result<Self, FormatError> {
        let file = fs_err::File::open(path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { path, reader: BufReader::with_capacity(1 << 16, file), bytes })
    }

    /// Returns the next line, without its end.
    fn line(&mut self) -> Result<Option<Vec<u8>>, FormatError> {
        let mut line = Vec::new();
        let read = self.reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
        if read as u64 == LINE_BYTES_MAX {
            let reason = format!("longer than {LINE_BYTES_MAX} bytes");
            return Err(self.malformed("a line", reason));
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        Ok((read > 0).then_some(line))
    }

    /// Returns the bytes before the next blank, line ends before them left out; nothing if there is
    /// no blank.
    fn word(&mut self) -> Result<Option<Vec<u8>>, FormatError> {
        let mut word = Vec::new();
        let most = WORD_BYTES_MAX as u64;
        self.reader.by_ref().take(most).read_until(b' ', &mut word)?;
        if word.pop() != Some(b' ') {
            return Ok(None);
        }
        let start = word.iter().take_while(|&&byte| byte == b'\n').count();
        Ok(Some(word.split_off(start)))
    }

    fn malformed(&self, place: &str, reason: impl Into<String>) -> FormatError {
        FormatError::Malformed {
            path: self.path.to_owned(),
            place: place.to_owned(),
            reason: reason.into(),
        }
    }
}

/// Writes a table in the binary form of word2vec.
pub(super) fn write_binary(table: &WordTable, path: &Path) -> Result<(), FormatError> {
    write(table, path, |file, word, row| {
        file.write_all(word.as_bytes())?;
        file.write_all(b" ")?;
        for value in row {
            file.write_all(&value.to_le_bytes())?;
        }
        file.write_all(b"\n")
    })
}

/// Writes a table in the text form of word2vec.
pub(super) fn write_text(table: &WordTable, path: &Path) -> Result<(), FormatError> {
    write(table, path, |file, word, row| {
        file.write_all(word.as_bytes())?;
        for value in row {
            write!(file, " {value}")?;
        }
        file.write_all(b"\n")
    })
}

fn write(
    table: &WordTable,
    path: &Path,
    row: impl Fn(&mut BufWriter<fs_err::File>, &str, &[f32]) -> std::io::Result<()>,
) -> Result<(), FormatError> {
    let mut file = BufWriter::new(fs_err::File::create(path)?);
    writeln!(file, "{} {}", table.vocabulary().len(), table.dimension())?;
    for (word, values) in table.vocabulary().words().zip(table.values().chunks(table.dimension())) {
        if word.is_empty() || word.contains([' ', '\t', '\n', '\r']) {
            return Err(FormatError::Unwritable {
                path: path.to_owned(),
                word: word.to_owned(),
                reason: "the format ends words at blanks".into(),
            });
        }
        row(&mut file, word, values)?;
    }
    file.flush()?;
    file.get_ref().sync_all()?;
    Ok(())
}
