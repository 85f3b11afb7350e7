//! The files of trained models, beside those of word vectors. Persisted.

use std::io::{BufReader, BufWriter, Write};
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{FormatError, Frequencies, Vocabulary};

/// How often words occur: an object of `texts` and of `words`, an array of `[word, count, texts]`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    texts: u64,
    words: Vec<(String, u64, u64)>,
}

impl Frequencies {
    /// Reads the file that [`Self::write`] wrote.
    ///
    /// # Errors
    /// [`FormatError`]: unavailable; invalid input naming the place.
    pub fn read(path: &Path) -> Result<Self, FormatError> {
        let table: Table = read_json(path)?;
        let mut words = Vocabulary::default();
        let mut texts_with = Vec::with_capacity(table.words.len());
        for (word, count, texts) in table.words {
            if words.add(&word, count).is_none() {
                return Err(malformed(path, format!("the word {word:?} stands twice")));
            }
            texts_with.push(texts);
        }
        Ok(Self { words, texts_with, texts: table.texts })
    }

    /// Writes how often the words occur, as JSON.
    ///
    /// # Errors
    /// [`FormatError`]: unavailable.
    pub fn write(&self, path: &Path) -> Result<(), FormatError> {
        let counts = self.words.counts().iter().zip(&self.texts_with);
        let words = self.words.words().zip(counts);
        let words = words.map(|(word, (&count, &texts))| (word.to_owned(), count, texts));
        write_json(path, &Table { texts: self.texts, words: words.collect() })
    }
}

/// Reads a vector that [`write_vector`] wrote.
pub(in crate::embed) fn read_vector(
    path: &Path,
    dimension: usize,
) -> Result<Vec<f32>, FormatError> {
    let vector: Vec<f32> = read_json(path)?;
    if vector.len() != dimension || vector.iter().any(|value| !value.is_finite()) {
        let reason = format!("expected {dimension} numbers, got {} values", vector.len());
        return Err(malformed(path, reason));
    }
    Ok(vector)
}

/// Writes a vector as a JSON array.
pub(in crate::embed) fn write_vector(path: &Path, vector: &[f32]) -> Result<(), FormatError> {
    write_json(path, &vector)
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, FormatError> {
    let file = BufReader::new(fs_err::File::open(path)?);
    serde_json::from_reader(file).map_err(|error| malformed(path, error.to_string()))
}

fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), FormatError> {
    let mut file = BufWriter::new(fs_err::File::create(path)?);
    serde_json::to_writer(&mut file, value).map_err(std::io::Error::from)?;
    file.write_all(b"\n")?;
    file.flush()?;
    file.get_ref().sync_all()?;
    Ok(())
}

fn malformed(path: &Path, reason: String) -> FormatError {
    FormatError::Malformed { path: path.to_owned(), place: "its content".into(), reason }
}
