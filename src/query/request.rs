use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::{Diversity, GroupBy, Recommend};
use crate::document::Filter;
use crate::picture::Area;
use crate::vector::Vector;

/// The most hits of one answer.
pub const LIMIT_MAX: usize = 1_000;
/// The hits of an answer where the request does not say.
pub const LIMIT_DEFAULT: usize = 10;
/// The most hits that are skipped and returned together.
pub const WINDOW_MAX: usize = 10_000;
/// The longest question, in bytes of UTF-8.
pub const QUESTION_BYTES_MAX: usize = 32_768;
/// The largest picture of a question, in bytes of its file.
pub const IMAGE_BYTES_MAX: usize = 32 << 20;
/// The broadest search of a graph.
pub const EF_MAX: usize = 4_096;
/// The most searches that one search begins with.
pub const PREFETCH_MAX: usize = 16;
/// How deep searches begin with searches.
pub const PREFETCH_DEPTH_MAX: usize = 4;
/// The most searches of one batch.
pub const BATCH_MAX: usize = 256;

/// A question to a collection.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchRequest {
    /// The question: embedded for the dense legs, read as words by the lexical one.
    pub text: Option<String>,
    /// A picture as question, the bytes of its file: embedded for the vectors whose embedder reads
    /// pictures.
    pub image: Option<Arc<[u8]>>,
    /// The part of that picture that is asked about; none: all of it.
    pub image_area: Option<Area>,
    /// Questions given as vectors, by vector name.
    pub vectors: BTreeMap<String, Vector>,
    /// More like some documents or vectors, and less like others.
    pub recommend: Option<Recommend>,
    /// Searches that this one begins with. Without a question of its own their answers are joined;
    /// with one, it is asked only of what they found.
    pub prefetch: Vec<SearchRequest>,
    /// Which legs run.
    pub mode: Mode,
    /// How their answers are joined.
    pub fusion: Fusion,
    /// Which documents are asked about; none: all.
    pub filter: Option<Filter>,
    /// The most hits wanted, 1 to [`LIMIT_MAX`].
    pub limit: usize,
    /// How many of the best hits are skipped.
    pub offset: usize,
    /// Hits with a lower joined score are left out.
    pub score_threshold: Option<f32>,
    /// Whether a document appears once or with each of its passages.
    pub grouping: Grouping,
    /// Makes the answer groups by the values of a field; `limit` then counts groups.
    pub group_by: Option<GroupBy>,
    /// Trades relevance for hits that are unlike one another.
    pub diversity: Option<Diversity>,
    /// Whether hits carry the payload.
    pub with_payload: bool,
    /// Whether hits carry the passage, and a snippet of it where words were asked for.
    pub with_text: bool,
    /// Whether hits carry their vectors.
    pub with_vectors: bool,
    /// Whether the question is compared with every vector.
    pub exact: bool,
    /// The breadth of the graph search, 1 to [`EF_MAX`]; none: chosen by the index.
    pub ef: Option<usize>,
    /// So broad a graph search as finds this share of the best passages, above 0 and up to 1; not with
    /// `ef`.
    pub target_recall: Option<f32>,
    /// The vector name that text and picture are embedded for; needed where several have an embedder
    /// that reads them.
    pub using: Option<String>,
    /// How the text is read by the lexical leg.
    pub syntax: WordSyntax,
}

impl Default for SearchRequest {
    fn default() -> Self {
        Self {
            text: None,
            image: None,
            image_area: None,
            vectors: BTreeMap::new(),
            recommend: None,
            prefetch: Vec::new(),
            mode: Mode::default(),
            fusion: Fusion::default(),
            filter: None,
            limit: LIMIT_DEFAULT,
            offset: 0,
            score_threshold: None,
            grouping: Grouping::default(),
            group_by: None,
            diversity: None,
            with_payload: true,
            with_text: true,
            with_vectors: false,
            exact: false,
            ef: None,
            target_recall: None,
            using: None,
            syntax: WordSyntax::default(),
        }
    }
}

/// Which legs of a search run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Every leg that can run.
    #[default]
    Automatic,
    /// Vectors and words; refused where one of the two cannot run.
    Hybrid,
    /// Vectors only.
    Semantic,
    /// Words only.
    Lexical,
}

/// How the text of a question is read by the lexical leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WordSyntax {
    /// Plain words: any may match, more is better.
    #[default]
    Words,
    /// "Phrases", +must, -not, AND, OR, (groups), fuzzy~.
    Query,
}

/// Whether a document may appear in an answer more than once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Grouping {
    /// Once, with its best passage: people look for documents, and a long one would crowd out the
    /// rest.
    #[default]
    Document,
    /// Once for each of its passages that match.
    Passage,
}

/// How the answers of several legs are joined. Weights are by leg name, 1 where not given.
#[derive(Debug, Clone, PartialEq)]
pub enum Fusion {
    /// The sum of `weight / (k + rank)` over the legs (Cormack, Clarke, Buettcher 2009).
    ReciprocalRank {
        /// Damps the first ranks; 60 in the paper.
        k: u32,
        /// The weight of each leg.
        weights: BTreeMap<String, f32>,
    },
    /// The weighted mean of the scores, those of each leg scaled to 0..1 over its hits.
    WeightedScore {
        /// The weight of each leg.
        weights: BTreeMap<String, f32>,
    },
    /// The weighted mean of the scores, those of each leg scaled from what chance gives to its best
    /// hit, and a dense leg counted by how far its best hit stands above chance. An embedder that
    /// does not know the language of a question finds everything about equally near, and is heard
    /// accordingly.
    Calibrated {
        /// The weight of each leg.
        weights: BTreeMap<String, f32>,
    },
    /// The weighted sum of the scores, those of each leg scaled so that its mean less three standard
    /// deviations is 0 and its mean plus three is 1 (distribution-based score fusion).
    Distribution {
        /// The weight of each leg.
        weights: BTreeMap<String, f32>,
    },
}

impl SearchRequest {
    /// Returns whether the request asks something itself, beside the searches it begins with.
    pub fn has_question(&self) -> bool {
        let has_text = self.text.as_ref().is_some_and(|text| !text.trim().is_empty());
        has_text || self.image.is_some() || !self.vectors.is_empty() || self.recommend.is_some()
    }
}

impl Fusion {
    /// Returns the weights that were given, by leg name.
    pub fn weights(&self) -> &BTreeMap<String, f32> {
        match self {
            Self::ReciprocalRank { weights, .. }
            | Self::WeightedScore { weights }
            | Self::Calibrated { weights }
            | Self::Distribution { weights } => weights,
        }
    }
}

impl Default for Fusion {
    fn default() -> Self {
        Self::Calibrated { weights: BTreeMap::new() }
    }
}

/// One of the searches that a question is answered by.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Leg {
    /// Words, by BM25.
    Lexical,
    /// The dense vectors of this name.
    Dense(String),
    /// The sparse vectors of this name, by inner product.
    Sparse(String),
    /// The multivectors of this name, by `MaxSim`.
    Multi(String),
    /// A search that the search begins with, numbered from 1.
    Prefetch(usize),
}

impl fmt::Display for Leg {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lexical => formatter.write_str("lexical"),
            Self::Dense(name) => write!(formatter, "dense:{name}"),
            Self::Sparse(name) => write!(formatter, "sparse:{name}"),
            Self::Multi(name) => write!(formatter, "multi:{name}"),
            Self::Prefetch(number) => write!(formatter, "prefetch:{number}"),
        }
    }
}
