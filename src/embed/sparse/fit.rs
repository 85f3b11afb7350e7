use std::collections::HashMap;
use std::fmt;
use std::ops::ControlFlow;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::table::{self, Table};
use super::terms::Terms;
use super::{HashedSettings, Norm, TermSettings, WeightSettings};
use crate::embed::{EmbedError, Fitted, Method, Training};
use crate::vector::Metric;

/// How often the progress of counting is told, in texts.
const TOLD_EVERY: u64 = 1_024;

/// A number of texts, or a share of all: `5` or `0.5` (`1` is one text, `1.0` is all).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Share {
    /// So many texts.
    Texts(u64),
    /// This part of all texts, 0 to 1.
    Part(f64),
}

impl Share {
    fn of(self, texts: u64) -> f64 {
        match self {
            Self::Texts(count) => count as f64,
            Self::Part(part) => part * texts as f64,
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Texts(count) => write!(formatter, "{count}"),
            Self::Part(part) => write!(formatter, "{part:?}"),
        }
    }
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(count) = text.parse() {
            return Ok(Self::Texts(count));
        }
        match text.parse::<f64>() {
            Ok(part) if (0.0..=1.0).contains(&part) => Ok(Self::Part(part)),
            _ => {
                Err(format!("expected a number of texts (5) or a share (0.0 to 1.0), got {text:?}"))
            }
        }
    }
}

impl TryFrom<String> for Share {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Share> for String {
    fn from(share: Share) -> Self {
        share.to_string()
    }
}

/// Which terms of a corpus become the vocabulary.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VocabularyOptions {
    /// Terms of fewer texts are left out.
    pub df_min: Share,
    /// Terms of more texts are left out.
    pub df_max: Share,
    /// At most so many terms stay: those that occur most often, of equals the first in order.
    pub terms_max: Option<usize>,
}

impl Default for VocabularyOptions {
    fn default() -> Self {
        Self { df_min: Share::Texts(1), df_max: Share::Part(1.0), terms_max: None }
    }
}

/// How a one-hot model is fitted.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OneHotOptions {
    /// What counts as a term.
    pub terms: TermSettings,
    /// Which terms stay.
    pub vocabulary: VocabularyOptions,
}

/// How a model of term and document frequencies is fitted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TfIdfOptions {
    /// What counts as a term.
    pub terms: TermSettings,
    /// Which terms stay.
    pub vocabulary: VocabularyOptions,
    /// See [`WeightSettings::smooth_idf`].
    pub smooth_idf: bool,
    /// See [`WeightSettings::sublinear_tf`].
    pub sublinear_tf: bool,
    /// See [`WeightSettings::norm`].
    pub norm: Norm,
}

impl Default for TfIdfOptions {
    fn default() -> Self {
        Self {
            terms: TermSettings::default(),
            vocabulary: VocabularyOptions::default(),
            smooth_idf: true,
            sublinear_tf: false,
            norm: Norm::L2,
        }
    }
}

/// How a model of counts is fitted.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NGramOptions {
    /// What counts as a term.
    pub terms: TermSettings,
    /// Which terms stay.
    pub vocabulary: VocabularyOptions,
    /// Hashes in place of a vocabulary; nothing is learnt from the corpus then.
    pub hashed: Option<HashedSettings>,
}

/// Fits a one-hot model.
pub(in crate::embed) fn fit_one_hot(
    options: &OneHotOptions,
    training: &Training<'_>,
    folder: &Path,
) -> Result<Fitted, EmbedError> {
    let terms = options.terms.clone();
    let counted = count("one-hot", &terms, &options.vocabulary, true, training)?;
    counted.into_fitted(folder, |_| Method::OneHot { terms })
}

/// Fits a model of term and document frequencies.
pub(in crate::embed) fn fit_tf_idf(
    options: &TfIdfOptions,
    training: &Training<'_>,
    folder: &Path,
) -> Result<Fitted, EmbedError> {
    let terms = options.terms.clone();
    let counted = count("tf-idf", &terms, &options.vocabulary, false, training)?;
    let TfIdfOptions { smooth_idf, sublinear_tf, norm, .. } = *options;
    counted.into_fitted(folder, |documents| {
        let weights = WeightSettings { documents, smooth_idf, sublinear_tf, norm };
        Method::TfIdf { terms, weights }
    })
}

/// Fits a model of counts, or makes one of hashes.
pub(in crate::embed) fn fit_n_gram(
    options: &NGramOptions,
    training: &Training<'_>,
    folder: &Path,
) -> Result<Fitted, EmbedError> {
    let terms = options.terms.clone();
    let Some(hashed) = &options.hashed else {
        let counted = count("n-gram", &terms, &options.vocabulary, false, training)?;
        return counted.into_fitted(folder, |_| Method::NGram { terms });
    };
    let unfit = |reason| EmbedError::Unfit { method: "hashed-n-gram", reason };
    terms.check().and_then(|()| hashed.check()).map_err(unfit)?;
    Ok(Fitted {
        method: Method::HashedNGram { terms, hashed: hashed.clone() },
        dimension: hashed.features as usize,
        metric: Metric::Dot,
        files: Vec::new(),
        description: format!("{} hashes, fitted on nothing", hashed.features),
    })
}

/// A vocabulary as it was counted.
struct Counted {
    table: Table,
    texts: u64,
}

impl Counted {
    /// Writes the vocabulary; `method` is given how many texts it was counted in.
    fn into_fitted(
        self,
        folder: &Path,
        method: impl FnOnce(u64) -> Method,
    ) -> Result<Fitted, EmbedError> {
        self.table.write(folder)?;
        Ok(Fitted {
            method: method(self.texts),
            dimension: self.table.len(),
            metric: Metric::Dot,
            files: vec![table::FILE.to_owned()],
            description: format!("{} terms of {} texts", self.table.len(), self.texts),
        })
    }
}

/// How often a term is in the corpus.
#[derive(Clone, Copy, Default)]
struct Frequency {
    texts: u64,
    occurrences: u64,
}

/// Counts in how many texts each term is, and keeps the terms that the options ask for.
fn count(
    method: &'static str,
    settings: &TermSettings,
    options: &VocabularyOptions,
    counts_presence: bool,
    training: &Training<'_>,
) -> Result<Counted, EmbedError> {
    let unfit = |reason: String| EmbedError::Unfit { method, reason };
    settings.check().map_err(unfit)?;
    let terms = Terms::new(settings.clone());
    let mut frequencies: HashMap<String, Frequency> = HashMap::new();
    let mut texts = 0_u64;
    for text in training.corpus.texts() {
        training.cancel.check()?;
        add(&terms, &text?, counts_presence, &mut frequencies);
        if frequencies.len() > table::TERMS_MAX {
            let most = table::TERMS_MAX;
            return Err(unfit(format!(
                "the corpus has more than {most} different terms; hash them, or make terms shorter"
            )));
        }
        texts += 1;
        if texts.is_multiple_of(TOLD_EVERY) {
            (training.progress)("counting terms", texts, None);
        }
    }
    if frequencies.is_empty() {
        return Err(unfit(format!("{texts} texts have no terms")));
    }
    let (least, most) = (options.df_min.of(texts), options.df_max.of(texts));
    let mut kept: Vec<(String, Frequency)> = frequencies
        .into_iter()
        .filter(|(_, term)| (least..=most).contains(&(term.texts as f64)))
        .collect();
    if kept.is_empty() {
        return Err(unfit(format!("no term is in at least {least} and at most {most} texts")));
    }
    if let Some(terms_max) = options.terms_max
        && terms_max < kept.len()
    {
        kept.sort_unstable_by(|(a, left), (b, right)| {
            right.occurrences.cmp(&left.occurrences).then_with(|| a.cmp(b))
        });
        kept.truncate(terms_max.max(1));
    }
    let table = Table::new(kept.into_iter().map(|(term, count)| (term, count.texts)).collect());
    Ok(Counted { table, texts })
}

fn add(
    terms: &Terms,
    text: &str,
    counts_presence: bool,
    frequencies: &mut HashMap<String, Frequency>,
) {
    let mut seen = HashMap::<String, u64>::new();
    let visited = terms.visit(text, &mut |term| {
        match seen.get_mut(term) {
            Some(count) => *count += 1,
            None => {
                seen.insert(term.to_owned(), 1);
            }
        }
        ControlFlow::Continue(())
    });
    debug_assert!(visited.is_continue(), "counting looks at everything");
    for (term, count) in seen {
        let frequency = frequencies.entry(term).or_default();
        frequency.texts += 1;
        frequency.occurrences += if counts_presence { 1 } else { count };
    }
}
