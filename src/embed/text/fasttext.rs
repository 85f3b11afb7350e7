use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;

use super::{FormatError, Subwords, Vocabulary, WordTable, WordVectors};
use crate::vector::{DIMENSION_MAX, kernel};

/// How fastText's files begin since 2017.
const MAGIC: i32 = 793_712_314;
/// The versions of the format that are read; the second is written.
const VERSIONS: [i32; 2] = [11, 12];
/// The word that stands for the end of a line, which has no n-grams.
const END_OF_LINE: &[u8] = b"</s>";
/// The longest word of a file, in bytes.
const WORD_BYTES_MAX: u64 = 1 << 16;

/// What a fastText model was trained for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FastTextKind {
    /// The word from its neighbours.
    Cbow,
    /// The neighbours from the word.
    SkipGram,
    /// A label from the words of a text; its words have vectors too.
    Supervised,
}

/// The settings that a fastText model carries with it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FastTextSettings {
    /// What it was trained for.
    pub kind: FastTextKind,
    /// The components of a vector.
    pub dimension: usize,
    /// How many words before and after a word are its neighbours, at most.
    pub window: usize,
    /// How often the corpus was gone through.
    pub epochs: usize,
    /// Words seen less often were left out.
    pub count_min: usize,
    /// How many words were drawn against each; zero for hierarchical softmax.
    pub negatives: usize,
    /// The n-grams.
    pub subwords: Subwords,
    /// Words more frequent than this were left out at times.
    pub sample: f64,
}

/// A fastText model: words are sums of the vectors of their n-grams, so that unknown words have
/// vectors too.
#[derive(Debug, Clone, PartialEq)]
pub struct FastText {
    settings: FastTextSettings,
    vocabulary: Vocabulary,
    /// For each word its buckets, counted after the rows of the words.
    buckets: Vec<Vec<u32>>,
    /// A row for each word, then one for each bucket.
    input: Vec<f32>,
    /// A row for each output of the network.
    output: Vec<f32>,
}

impl FastText {
    /// Returns the model of trained rows: `input` one for each word and then for each bucket,
    /// `output` one for each word, all of the dimension of the settings.
    ///
    /// # Errors
    /// A reason, if the numbers of values do not fit or one is not finite.
    pub fn new(
        settings: FastTextSettings,
        vocabulary: Vocabulary,
        input: Vec<f32>,
        output: Vec<f32>,
    ) -> Result<Self, String> {
        let buckets =
            vocabulary.words().map(|word| buckets(settings.subwords, word.as_bytes())).collect();
        Self { settings, vocabulary, buckets, input, output }.checked()
    }

    /// Returns the settings that the model carries.
    pub fn settings(&self) -> &FastTextSettings {
        &self.settings
    }

    /// Returns the vectors of the known words as a table.
    ///
    /// # Errors
    /// A reason, if a mean of rows is beyond what a number holds.
    pub fn to_table(&self) -> Result<WordTable, String> {
        let dimension = self.dimension();
        let mut values = vec![0.0; self.vocabulary.len() * dimension];
        for (id, row) in values.chunks_exact_mut(dimension).enumerate() {
            self.add_rows(Some(id), &self.buckets[id], 1.0, row);
        }
        WordTable::new(self.vocabulary.clone(), dimension, values)
    }

    /// Returns the vector of a sentence as fastText's unsupervised models give it: the mean of the
    /// vectors of its words, each of length one first. Nothing if no word has a vector.
    pub fn sentence<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> Option<Vec<f32>> {
        let mut sum = vec![0.0; self.dimension()];
        let mut count = 0usize;
        for word in words {
            let Some(vector) = self.vector(word) else { continue };
            let length = kernel::dot(&vector, &vector).sqrt();
            if length > 0.0 {
                kernel::add_scaled(&mut sum, &vector, 1.0 / length);
                count += 1;
            }
        }
        sum.iter_mut().for_each(|value| *value /= count as f32);
        (count > 0).then_some(sum)
    }

    /// Adds the mean of a word's own row, if it has one, and of the rows of its buckets.
    fn add_rows(&self, word: Option<usize>, buckets: &[u32], weight: f32, sum: &mut [f32]) -> bool {
        let count = usize::from(word.is_some()) + buckets.len();
        if count == 0 {
            return false;
        }
        let weight = weight / count as f32;
        let first_bucket = self.vocabulary.len();
        let rows = word.into_iter().chain(buckets.iter().map(|&at| first_bucket + at as usize));
        for row in rows {
            kernel::add_scaled(
                sum,
                &self.input[row * self.dimension()..][..self.dimension()],
                weight,
            );
        }
        true
    }

    /// Adds the vector of a known word.
    pub(in crate::embed) fn add_known(&self, id: u32, sum: &mut [f32]) {
        self.add_rows(Some(id as usize), &self.buckets[id as usize], 1.0, sum);
    }

    /// Returns the rows whose mean is the vector of a word that is not known.
    pub(in crate::embed) fn rows_of_unknown(&self, word: &str) -> impl Iterator<Item = u32> {
        let first = u32::try_from(self.vocabulary.len()).unwrap_or(u32::MAX);
        let buckets = buckets(self.settings.subwords, word.as_bytes());
        buckets.into_iter().map(move |bucket| first.saturating_add(bucket))
    }

    /// Adds the mean of some rows.
    pub(in crate::embed) fn add_mean(
        &self,
        rows: impl ExactSizeIterator<Item = u32>,
        sum: &mut [f32],
    ) {
        let weight = 1.0 / rows.len().max(1) as f32;
        let width = self.dimension();
        for row in rows {
            kernel::add_scaled(sum, &self.input[row as usize * width..][..width], weight);
        }
    }

    fn checked(self) -> Result<Self, String> {
        let Self { settings, vocabulary, input, output, .. } = &self;
        let rows = vocabulary.len() + settings.subwords.buckets;
        if settings.dimension == 0 || settings.dimension > DIMENSION_MAX {
            let dimension = settings.dimension;
            return Err(format!("dimension is {dimension}, expected 1 to {DIMENSION_MAX}"));
        }
        if rows.checked_mul(settings.dimension) != Some(input.len()) {
            return Err(format!(
                "expected {rows} input rows of {}, got {} values",
                settings.dimension,
                input.len()
            ));
        }
        if !output.len().is_multiple_of(settings.dimension) {
            return Err(format!(
                "expected output rows of {}, got {} values",
                settings.dimension,
                output.len()
            ));
        }
        match input.iter().chain(output).find(|value| !value.is_finite()) {
            Some(value) => Err(format!("a value is {value}, expected a number")),
            None => Ok(self),
        }
    }
}

impl WordVectors for FastText {
    fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    fn dimension(&self) -> usize {
        self.settings.dimension
    }

    /// Adds the vector of a word; an unknown one has the mean of its n-grams, and none if it is too
    /// short for any.
    fn add(&self, word: &str, weight: f32, sum: &mut [f32]) -> bool {
        match self.vocabulary.id(word) {
            Some(id) => self.add_rows(Some(id as usize), &self.buckets[id as usize], weight, sum),
            None => {
                let found = buckets(self.settings.subwords, word.as_bytes());
                self.add_rows(None, &found, weight, sum)
            }
        }
    }
}

fn buckets(subwords: Subwords, word: &[u8]) -> Vec<u32> {
    if word == END_OF_LINE { Vec::new() } else { subwords.buckets_of(word) }
}

impl FastText {
    /// Returns whether a file that begins so is a model of fastText.
    pub(super) fn is_start(bytes: &[u8]) -> bool {
        // Before the magic number came, a file began with two small numbers; no line holds zeros.
        let is_old = bytes.len() > 8 && [2, 3, 6, 7].iter().all(|&place| bytes[place] == 0);
        bytes.starts_with(&MAGIC.to_le_bytes()) || is_old
    }

    /// Returns whether a file begins as a model of fastText does.
    ///
    /// # Errors
    /// [`FormatError`]: unavailable.
    pub fn is_model(path: &Path) -> Result<bool, FormatError> {
        let mut start = Vec::new();
        fs_err::File::open(path)?.take(16).read_to_end(&mut start)?;
        Ok(Self::is_start(&start))
    }

    /// Reads a `.bin` file of fastText, of the present format or of the one before 2017. Words whose
    /// bytes are no UTF-8 are known by their readable form and keep their vectors.
    ///
    /// # Errors
    /// [`FormatError`]: unavailable; invalid input naming the place; unsupported for quantised
    /// models.
    pub fn read(path: &Path) -> Result<Self, FormatError> {
        let file = fs_err::File::open(path)?;
        let bytes = file.metadata()?.len();
        Reader { path, bytes, input: BufReader::with_capacity(1 << 16, file) }.model()
    }

    /// Writes the model as fastText does (version 12), to be read by it and by others.
    ///
    /// # Errors
    /// [`FormatError`]: unavailable; a word that holds a zero byte cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), FormatError> {
        let mut file = BufWriter::new(fs_err::File::create(path)?);
        let s = &self.settings;
        let small = |value: usize| i32::try_from(value).unwrap_or(i32::MAX).to_le_bytes();
        let (loss, negatives) = if s.negatives == 0 { (1, 0) } else { (2, s.negatives) };
        let kind = match s.kind {
            FastTextKind::Cbow => 1,
            FastTextKind::SkipGram => 2,
            FastTextKind::Supervised => 3,
        };
        let words = self.vocabulary.len();
        let grams = s.subwords;
        file.write_all(&MAGIC.to_le_bytes())?;
        file.write_all(&VERSIONS[1].to_le_bytes())?;
        for value in [s.dimension, s.window, s.epochs, s.count_min, negatives, 1, loss, kind] {
            file.write_all(&small(value))?;
        }
        for value in [grams.buckets, grams.shortest, grams.longest, 100] {
            file.write_all(&small(value))?;
        }
        file.write_all(&s.sample.to_le_bytes())?;
        for value in [words, words, 0] {
            file.write_all(&small(value))?;
        }
        let tokens: u64 = self.vocabulary.counts().iter().sum();
        file.write_all(&tokens.to_le_bytes())?;
        file.write_all(&(-1i64).to_le_bytes())?;
        for (word, count) in self.vocabulary.words().zip(self.vocabulary.counts()) {
            if word.contains('\0') {
                return Err(FormatError::Unwritable {
                    path: path.to_owned(),
                    word: word.to_owned(),
                    reason: "the format ends words at zero bytes".into(),
                });
            }
            file.write_all(word.as_bytes())?;
            file.write_all(&[0])?;
            file.write_all(&count.to_le_bytes())?;
            file.write_all(&[0])?;
        }
        for values in [&self.input, &self.output] {
            file.write_all(&[0])?;
            file.write_all(&((values.len() / s.dimension) as u64).to_le_bytes())?;
            file.write_all(&(s.dimension as u64).to_le_bytes())?;
            for value in values {
                file.write_all(&value.to_le_bytes())?;
            }
        }
        file.flush()?;
        file.get_ref().sync_all()?;
        Ok(())
    }
}

/// A file that is read from its beginning.
struct Reader<'a> {
    path: &'a Path,
    bytes: u64,
    input: BufReader<fs_err::File>,
}

impl Reader<'_> {
    fn model(mut self) -> Result<FastText, FormatError> {
        let first = self.int("the beginning")?;
        let second = self.int("the beginning")?;
        let is_new = first == MAGIC;
        let (dimension, window) = if is_new {
            if !VERSIONS.contains(&second) {
                let what = format!("version {second} of fastText's format");
                return Err(FormatError::Unsupported { path: self.path.to_owned(), what });
            }
            (self.int("the settings")?, self.int("the settings")?)
        } else {
            (first, second)
        };
        let mut settings = self.settings(dimension, window)?;
        let (vocabulary, raw_words, is_pruned) = self.dictionary(is_new)?;
        if is_pruned {
            return Err(self.quantised("its n-grams are pruned"));
        }
        if settings.kind == FastTextKind::Supervised && is_new && second == VERSIONS[0] {
            // Supervised models of version 11 had no n-grams, whatever they say.
            settings.subwords.longest = 0;
        }
        let (input_rows, input) = self.matrix("the input rows", is_new, settings.dimension)?;
        if settings.subwords.longest == 0 || input_rows == raw_words.len() {
            settings.subwords.buckets = input_rows.saturating_sub(raw_words.len());
        }
        let (_, output) = self.matrix("the output rows", is_new, settings.dimension)?;
        let buckets = raw_words.iter().map(|word| buckets(settings.subwords, word)).collect();
        FastText { settings, vocabulary, buckets, input, output }
            .checked()
            .map_err(|reason| self.malformed("the model", reason))
    }

    fn settings(&mut self, dimension: i32, window: i32) -> Result<FastTextSettings, FormatError> {
        let mut numbers = [0i32; 10];
        for number in &mut numbers {
            *number = self.int("the settings")?;
        }
        let [epochs, count_min, negatives, _, loss, kind, buckets, shortest, longest, _] = numbers;
        let sample = f64::from_le_bytes(self.array("the settings")?);
        let natural = |name: &str, value: i32| {
            usize::try_from(value)
                .map_err(|_| self.malformed("the settings", format!("{name} is {value}")))
        };
        let kind = match kind {
            1 => FastTextKind::Cbow,
            2 => FastTextKind::SkipGram,
            3 => FastTextKind::Supervised,
            other => {
                let reason = format!("the kind of model is {other}, expected 1 to 3");
                return Err(self.malformed("the settings", reason));
            }
        };
        let dimension = natural("the dimension", dimension)?;
        if dimension == 0 || dimension > DIMENSION_MAX {
            let reason = format!("the dimension is {dimension}, expected 1 to {DIMENSION_MAX}");
            return Err(self.malformed("the settings", reason));
        }
        let negatives = if loss == 2 { natural("the number of negatives", negatives)? } else { 0 };
        let subwords = Subwords {
            shortest: natural("the shortest n-gram", shortest)?,
            longest: natural("the longest n-gram", longest)?.min(64),
            buckets: natural("the number of buckets", buckets)?,
        };
        Ok(FastTextSettings {
            kind,
            dimension,
            window: natural("the window", window)?,
            epochs: natural("the number of epochs", epochs)?,
            count_min: natural("the least count", count_min)?,
            negatives,
            subwords,
            sample,
        })
    }

    /// Returns the words, their bytes, and whether n-grams were pruned away.
    fn dictionary(
        &mut self,
        is_new: bool,
    ) -> Result<(Vocabulary, Vec<Vec<u8>>, bool), FormatError> {
        let place = "the dictionary";
        let [size, words, labels] = [self.int(place)?, self.int(place)?, self.int(place)?];
        let _tokens = i64::from_le_bytes(self.array(place)?);
        let pruned = if is_new { i64::from_le_bytes(self.array(place)?) } else { -1 };
        if words <= 0 || labels < 0 || words.checked_add(labels) != Some(size) {
            let reason = format!("{size} entries, of which {words} words and {labels} labels");
            return Err(self.malformed(place, reason));
        }
        let mut vocabulary = Vocabulary::default();
        let mut raw_words = Vec::new();
        for number in 0..size {
            let mut word = Vec::new();
            self.input.by_ref().take(WORD_BYTES_MAX).read_until(0, &mut word)?;
            if word.pop() != Some(0) {
                let reason = format!("entry {number} of {size} has no end");
                return Err(self.malformed(place, reason));
            }
            let count = u64::from_le_bytes(self.array(place)?);
            let [sort] = self.array(place)?;
            if usize::from(sort) != usize::from(number >= words) {
                let reason = format!("entry {number} of {size} is of sort {sort}, out of place");
                return Err(self.malformed(place, reason));
            }
            if sort == 0 {
                let name = String::from_utf8_lossy(&word);
                // Every row needs a name of its own; readable forms of broken ones may collide.
                let added = vocabulary.add(&name, count);
                if added
                    .or_else(|| vocabulary.add(&format!("{name}\u{fffd}{number}"), count))
                    .is_none()
                {
                    let reason = format!("entry {number} of {size}, {name:?}, is there already");
                    return Err(self.malformed(place, reason));
                }
                raw_words.push(word);
            }
        }
        let pairs = u64::try_from(pruned).unwrap_or(0);
        Ok((vocabulary, raw_words, pairs > 0))
    }

    fn matrix(
        &mut self,
        place: &str,
        is_new: bool,
        dimension: usize,
    ) -> Result<(usize, Vec<f32>), FormatError> {
        if is_new && self.array::<1>(place)? != [0] {
            return Err(self.quantised("its rows are quantised"));
        }
        let rows = i64::from_le_bytes(self.array(place)?);
        let columns = i64::from_le_bytes(self.array(place)?);
        let bytes = rows.checked_mul(columns).and_then(|values| values.checked_mul(4));
        let bytes = bytes.and_then(|bytes| u64::try_from(bytes).ok());
        let Some(bytes) = bytes.filter(|&bytes| bytes <= self.bytes) else {
            let reason = format!("{rows} x {columns} values, the file has {} bytes", self.bytes);
            return Err(self.malformed(place, reason));
        };
        if columns != dimension as i64 {
            let reason = format!("rows of {columns}, the settings say {dimension}");
            return Err(self.malformed(place, reason));
        }
        let mut values = vec![0f32; usize::try_from(bytes / 4).unwrap_or(0)];
        let mut piece = [0u8; 4096];
        for values in values.chunks_mut(piece.len() / 4) {
            let piece = &mut piece[..4 * values.len()];
            self.input
                .read_exact(piece)
                .map_err(|error| self.malformed(place, error.to_string()))?;
            for (value, bytes) in values.iter_mut().zip(piece.as_chunks::<4>().0) {
                *value = f32::from_le_bytes(*bytes);
            }
        }
        Ok((usize::try_from(rows).unwrap_or(0), values))
    }

    fn int(&mut self, place: &str) -> Result<i32, FormatError> {
        Ok(i32::from_le_bytes(self.array(place)?))
    }

    fn array<const N: usize>(&mut self, place: &str) -> Result<[u8; N], FormatError> {
        let mut bytes = [0; N];
        match self.input.read_exact(&mut bytes) {
            Ok(()) => Ok(bytes),
            Err(error) => Err(self.malformed(place, error.to_string())),
        }
    }

    fn malformed(&self, place: &str, reason: impl Into<String>) -> FormatError {
        FormatError::Malformed {
            path: self.path.to_owned(),
            place: place.to_owned(),
            reason: reason.into(),
        }
    }

    fn quantised(&self, why: &str) -> FormatError {
        let what = format!("a quantised fastText model ({why})");
        FormatError::Unsupported { path: self.path.to_owned(), what }
    }
}
