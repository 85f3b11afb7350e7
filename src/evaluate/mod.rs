//! How good are these answers?
//!
//! Measures of retrieval (nDCG, recall, reciprocal rank) as `trec_eval` computes them, so that figures
//! can be compared with published ones, the correlations of Spearman and Pearson for sentence similarity, and how
//! well clusters agree with classes, as scikit-learn computes it.
//! Knows rankings and judgements, not how they came about.

mod neighbours;
mod pairs;
mod partition;
mod quality;
mod retrieval;

pub use neighbours::nearest_accuracy;
pub use pairs::{Pair, PairError, pearson, read_pairs, spearman};
pub use partition::Agreement;
pub use quality::{Grades, Quality, Scored, ndcg, rank, recall, reciprocal_rank};
pub use retrieval::{CorpusDocument, Documents, Question, RetrievalError, RetrievalSet};
