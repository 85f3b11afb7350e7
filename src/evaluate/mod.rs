//! How good are these answers?
//!
//! Measures of retrieval (nDCG, recall, reciprocal rank) as `trec_eval` computes them, so that figures
//! can be compared with published ones, and the rank correlation of Spearman for sentence similarity.
//! Knows rankings and judgements, not how they came about.

mod pairs;
mod quality;
mod retrieval;

pub use pairs::{Pair, PairError, read_pairs, spearman};
pub use quality::{Grades, Quality, Scored, ndcg, rank, recall, reciprocal_rank};
pub use retrieval::{CorpusDocument, Documents, Question, RetrievalError, RetrievalSet};
