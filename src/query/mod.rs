//! What is asked, in which steps, and how are the answers of several legs joined?
//!
//! Everything here is pure: a request and the shape of a collection give a plan, rankings give one
//! ranking. Only `collection` reads and computes.

mod chance;
mod fuse;
mod hit;
mod plan;
mod request;

pub use chance::{CHANCE_SAMPLE, Chance};
pub use fuse::{Candidate, FuseError, Fused, Ranking, collapse, fuse};
pub use hit::{Answer, Hit, LegScore, Snippet, StageTiming, Stages};
pub use plan::{DenseLeg, Plan, PlanError, Question, Shape, VectorShape, plan};
pub use request::{
    EF_MAX, Fusion, Grouping, LIMIT_DEFAULT, LIMIT_MAX, Leg, Mode, QUESTION_BYTES_MAX,
    SearchRequest, WINDOW_MAX, WordSyntax,
};
