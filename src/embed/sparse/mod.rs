//! Which terms does a text have, and how much does each say?
//!
//! The methods that count: one-hot, term frequency against document frequency, and runs of words or
//! letters, over a vocabulary that is fitted on a corpus or over hashes. Their vectors are sparse; the
//! index of an entry is the place of its term in the vocabulary, which is sorted. Equal to
//! scikit-learn's vectorizers with the same settings.

mod fit;
mod model;
mod murmur;
mod stop;
mod table;
mod terms;

pub use fit::{NGramOptions, OneHotOptions, Share, TfIdfOptions, VocabularyOptions};
pub(super) use fit::{fit_n_gram, fit_one_hot, fit_tf_idf};
pub(super) use model::Counter;
pub use terms::{Analyzer, TermSettings};

use serde::{Deserialize, Serialize};

use crate::vector::SPARSE_ENTRIES_MAX;

/// The most terms of a text that are looked at, so that a vector never has too many entries.
pub const TERMS_MAX: usize = SPARSE_ENTRIES_MAX;

/// How the values of a vector are scaled. Persisted by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Norm {
    /// To length one, so that the inner product is the cosine.
    #[default]
    L2,
    /// To a sum of magnitudes of one.
    L1,
    /// Not at all.
    None,
}

/// How counts become weights: tf x idf as scikit-learn computes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightSettings {
    /// How many texts the document frequencies were counted in.
    pub documents: u64,
    /// Whether idf is `ln((1 + n) / (1 + df)) + 1` instead of `ln(n / df) + 1`.
    pub smooth_idf: bool,
    /// Whether tf is `1 + ln(count)` instead of the count.
    pub sublinear_tf: bool,
    /// How the vector is scaled in the end.
    pub norm: Norm,
}

/// How terms become indices without a vocabulary (Weinberger et al. 2009): 32-bit Murmur3 of the
/// term's UTF-8 with seed 0, taken as a signed number; its magnitude modulo `features`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HashedSettings {
    /// How many indices there are.
    pub features: u32,
    /// Whether a negative hash counts against, so that collisions cancel out on average.
    pub signed: bool,
    /// How the vector is scaled in the end.
    pub norm: Norm,
}

impl Default for HashedSettings {
    fn default() -> Self {
        Self { features: 1 << 20, signed: true, norm: Norm::L2 }
    }
}

impl HashedSettings {
    pub(in crate::embed) fn check(&self) -> Result<(), String> {
        let most = i32::MAX.cast_unsigned();
        if self.features == 0 || self.features > most {
            return Err(format!("features is {}, expected 1 to {most}", self.features));
        }
        Ok(())
    }
}
