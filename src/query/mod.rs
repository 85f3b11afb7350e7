//! What is asked, in which steps, and how are the answers of several legs joined?
//!
//! Everything here is pure: a request and the shape of a collection give a plan, rankings give one
//! ranking. Only `collection` reads and computes.

mod chance;
mod diversify;
mod explain;
mod fuse;
mod group;
mod hit;
mod moments;
mod order;
mod plan;
mod recommend;
mod request;
mod rerank;

pub use chance::{CHANCE_SAMPLE, Chance};
pub use diversify::{Diversity, diversify};
pub use explain::{Explanation, LegExplanation, Verdict};
pub use fuse::{Candidate, FuseError, Fused, Ranking, collapse, fuse};
pub use group::{GroupBy, Groups};
pub use hit::{Answer, Hit, HitGroup, LegScore, Snippet, StageTiming, Stages};
pub use moments::{Meeting, Moment, Sighting, meetings, moments};
pub use order::{Direction, OrderBy, OrderKey, order_key};
pub use plan::{
    Plan, PlanError, Question, Reads, Seen, Shape, SparseShape, VectorLeg, VectorShape, fitting,
    plan,
};
pub use recommend::{Example, Recommend, Strategy, Weighted, average, best_score};
pub use request::{
    BATCH_MAX, EF_MAX, Fusion, Grouping, IMAGE_BYTES_MAX, LIMIT_DEFAULT, LIMIT_MAX, Leg, Mode,
    PREFETCH_DEPTH_MAX, PREFETCH_MAX, QUESTION_BYTES_MAX, SearchRequest, WINDOW_MAX, WordSyntax,
};
pub use rerank::rerank;
