use std::collections::HashMap;
use std::ops::{ControlFlow, Range};
use std::path::Path;
use std::sync::Arc;

use super::murmur::murmur3;
use super::table::Table;
use super::terms::Terms;
use super::{HashedSettings, Norm, TERMS_MAX, TermSettings, WeightSettings};
use crate::embed::words::WordRule;
use crate::embed::{
    EmbedError, Embedder, Encoded, Manifest, Role, Specification, TEXT_BYTES_MAX, Tokenize,
};
use crate::vector::{SparseVector, Vector};

/// A model that counts terms. Its token ids are places in the vocabulary, or whole hashes.
#[derive(Debug)]
pub(in crate::embed) struct Counter {
    specification: Specification,
    tokenizer: Arc<TermTokenizer>,
    weighing: Weighing,
}

/// What becomes of the counts.
#[derive(Debug)]
enum Weighing {
    Presence,
    Counts,
    /// The inverse document frequency of each place.
    TfIdf {
        inverse: Vec<f64>,
        sublinear: bool,
        norm: Norm,
    },
    Hashed(HashedSettings),
}

#[derive(Debug)]
struct TermTokenizer {
    terms: Terms,
    lookup: Lookup,
}

#[derive(Debug)]
enum Lookup {
    Places(HashMap<String, u32>),
    Hash,
}

impl Counter {
    /// Loads the one-hot model in a folder.
    pub(in crate::embed) fn one_hot(
        manifest: &Manifest,
        terms: &TermSettings,
        folder: &Path,
    ) -> Result<Self, EmbedError> {
        let table = read(manifest, folder)?;
        Ok(Self::new(manifest, terms, Weighing::Presence, Some(table)))
    }

    /// Loads the model of term and document frequencies in a folder.
    pub(in crate::embed) fn tf_idf(
        manifest: &Manifest,
        terms: &TermSettings,
        weights: &WeightSettings,
        folder: &Path,
    ) -> Result<Self, EmbedError> {
        let table = read(manifest, folder)?;
        Ok(Self::new(manifest, terms, weighing(weights, &table), Some(table)))
    }

    /// Loads the model of counts in a folder.
    pub(in crate::embed) fn n_gram(
        manifest: &Manifest,
        terms: &TermSettings,
        folder: &Path,
    ) -> Result<Self, EmbedError> {
        let table = read(manifest, folder)?;
        Ok(Self::new(manifest, terms, Weighing::Counts, Some(table)))
    }

    /// Returns the model of hashed counts, which is its settings.
    pub(in crate::embed) fn hashed(
        manifest: &Manifest,
        terms: &TermSettings,
        hashed: &HashedSettings,
    ) -> Self {
        Self::new(manifest, terms, Weighing::Hashed(hashed.clone()), None)
    }

    fn new(
        manifest: &Manifest,
        terms: &TermSettings,
        weighing: Weighing,
        table: Option<Table>,
    ) -> Self {
        let lookup = table.map_or(Lookup::Hash, |table| Lookup::Places(table.into_places()));
        let tokenizer = Arc::new(TermTokenizer { terms: Terms::new(terms.clone()), lookup });
        Self { specification: manifest.specification(), tokenizer, weighing }
    }
}

fn read(manifest: &Manifest, folder: &Path) -> Result<Table, EmbedError> {
    let table = Table::read(folder)?;
    if table.len() == manifest.dimension {
        return Ok(table);
    }
    let reason = format!("expected {} terms, got {}", manifest.dimension, table.len());
    Err(EmbedError::Unreadable { path: folder.join(super::table::FILE), reason })
}

fn weighing(weights: &WeightSettings, table: &Table) -> Weighing {
    let smooth = if weights.smooth_idf { 1.0 } else { 0.0 };
    let documents = weights.documents as f64 + smooth;
    let inverse = table
        .document_frequencies()
        .map(|texts| (documents / (texts as f64 + smooth)).ln() + 1.0)
        .collect();
    Weighing::TfIdf { inverse, sublinear: weights.sublinear_tf, norm: weights.norm }
}

impl Weighing {
    /// Returns the vector of a text from its token ids.
    fn vector(&self, ids: &[u32]) -> Result<SparseVector, EmbedError> {
        let mut entries: Vec<(u32, f64)> = match self {
            Self::Hashed(hashed) => ids.iter().map(|&id| entry(id, hashed)).collect(),
            Self::Presence | Self::Counts | Self::TfIdf { .. } => {
                ids.iter().map(|&id| (id, 1.0)).collect()
            }
        };
        entries.sort_unstable_by_key(|&(index, _)| index);
        entries.dedup_by(|from, into| {
            let is_same = from.0 == into.0;
            if is_same {
                into.1 += from.1;
            }
            is_same
        });
        match self {
            Self::Presence => entries.iter_mut().for_each(|(_, value)| *value = 1.0),
            Self::Counts => {}
            Self::TfIdf { inverse, sublinear, norm } => {
                for (index, value) in &mut entries {
                    let frequency = if *sublinear { 1.0 + value.ln() } else { *value };
                    *value = frequency * inverse.get(*index as usize).copied().unwrap_or(0.0);
                }
                norm.scale(&mut entries);
            }
            Self::Hashed(hashed) => {
                // Terms of opposite signs may have cancelled each other out.
                entries.retain(|&(_, value)| value != 0.0);
                hashed.norm.scale(&mut entries);
            }
        }
        #[expect(clippy::cast_possible_truncation, reason = "vectors are of single precision")]
        let (indices, values) =
            entries.into_iter().map(|(index, value)| (index, value as f32)).unzip();
        Ok(SparseVector::new(indices, values)?)
    }
}

/// Returns index and value of a term from its hash.
fn entry(hash: u32, hashed: &HashedSettings) -> (u32, f64) {
    let is_negative = hash.cast_signed() < 0;
    let index = hash.cast_signed().unsigned_abs() % hashed.features;
    (index, if is_negative && hashed.signed { -1.0 } else { 1.0 })
}

impl Norm {
    fn scale(self, entries: &mut [(u32, f64)]) {
        let length = match self {
            Self::L2 => entries.iter().map(|(_, value)| value * value).sum::<f64>().sqrt(),
            Self::L1 => entries.iter().map(|(_, value)| value.abs()).sum(),
            Self::None => return,
        };
        if length > 0.0 {
            entries.iter_mut().for_each(|(_, value)| *value /= length);
        }
    }
}

impl Embedder for Counter {
    fn specification(&self) -> &Specification {
        &self.specification
    }

    fn tokenizer(&self) -> Arc<dyn Tokenize> {
        Arc::clone(&self.tokenizer) as Arc<dyn Tokenize>
    }

    fn run(&mut self, batch: &[&Encoded]) -> Result<Vec<Option<Vector>>, EmbedError> {
        batch.iter().map(|text| Ok(Some(self.weighing.vector(&text.ids)?.into()))).collect()
    }
}

impl Tokenize for TermTokenizer {
    fn encode(&self, text: &str, _role: Role) -> Result<Encoded, EmbedError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(EmbedError::TextTooLong { actual: text.len(), most: TEXT_BYTES_MAX });
        }
        let mut ids = Vec::new();
        let seen = self.terms.visit(text, &mut |term| {
            let id = match &self.lookup {
                Lookup::Places(places) => places.get(term).copied(),
                Lookup::Hash => Some(murmur3(term.as_bytes()).cast_unsigned()),
            };
            if ids.len() == TERMS_MAX && id.is_some() {
                return ControlFlow::Break(());
            }
            ids.extend(id);
            ControlFlow::Continue(())
        });
        Ok(Encoded { ids, truncated: seen.is_break() })
    }

    fn token_ranges(&self, text: &str) -> Vec<Range<usize>> {
        let words = WordRule::Segmented.words(text);
        words.map(|word| word.start..word.start + word.text.len()).collect()
    }

    fn special_tokens(&self) -> usize {
        0
    }
}
