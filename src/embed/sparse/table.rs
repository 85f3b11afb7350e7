use std::collections::HashMap;
use std::io::{BufReader, BufWriter, Write};
use std::path::Path;

use crate::embed::EmbedError;

/// The name of a vocabulary's file in a model's folder.
pub(super) const FILE: &str = "terms.json";
/// The most terms of a vocabulary.
pub(super) const TERMS_MAX: usize = 1 << 24;

/// A vocabulary: its terms in order, each with how many texts have it. A JSON array of
/// `[term, texts]`, persisted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    terms: Vec<(String, u64)>,
}

impl Table {
    /// Returns the terms as a vocabulary, sorted.
    pub(super) fn new(mut terms: Vec<(String, u64)>) -> Self {
        terms.sort_unstable();
        Self { terms }
    }

    /// Reads the vocabulary in a model's folder.
    pub(super) fn read(folder: &Path) -> Result<Self, EmbedError> {
        let path = folder.join(FILE);
        let broken = |reason: String| EmbedError::Unreadable { path: path.clone(), reason };
        let file = BufReader::new(fs_err::File::open(&path)?);
        let terms: Vec<(String, u64)> =
            serde_json::from_reader(file).map_err(|error| broken(error.to_string()))?;
        if terms.is_empty() || terms.len() > TERMS_MAX {
            return Err(broken(format!("expected 1 to {TERMS_MAX} terms, got {}", terms.len())));
        }
        if let Some(pair) = terms.windows(2).find(|pair| pair[0].0 >= pair[1].0) {
            return Err(broken(format!("{:?} does not stand before {:?}", pair[0].0, pair[1].0)));
        }
        Ok(Self { terms })
    }

    /// Writes the vocabulary into a model's folder.
    pub(super) fn write(&self, folder: &Path) -> Result<(), EmbedError> {
        let mut file = BufWriter::new(fs_err::File::create(folder.join(FILE))?);
        serde_json::to_writer(&mut file, &self.terms).map_err(std::io::Error::from)?;
        let file = file.into_inner().map_err(std::io::IntoInnerError::into_error);
        let mut file = file?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.terms.len()
    }

    /// Returns in how many texts the term at each place is.
    pub(super) fn document_frequencies(&self) -> impl Iterator<Item = u64> {
        self.terms.iter().map(|(_, texts)| *texts)
    }

    /// Returns the place of each term, giving the table up.
    pub(super) fn into_places(self) -> HashMap<String, u32> {
        let places = 0_u32..;
        self.terms.into_iter().map(|(term, _)| term).zip(places).collect()
    }
}
