use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use crate::document::{DocumentId, Payload, Span, Value};
use crate::vector::Vector;

/// What a search found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answer {
    /// Best first, equal scores in the order in which the passages were stored; empty if groups were
    /// asked for.
    pub hits: Vec<Hit>,
    /// The groups, if they were asked for: the one with the best hit first.
    pub groups: Vec<HitGroup>,
    /// How long each stage took, in their order.
    pub timings: Vec<StageTiming>,
    /// What could not be done, and why.
    pub warnings: Vec<String>,
}

/// The best hits with one value of the field that was grouped by.
#[derive(Debug, Clone, PartialEq)]
pub struct HitGroup {
    /// The value.
    pub value: Value,
    /// Best first.
    pub hits: Vec<Hit>,
}

/// A passage that answers a question.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// Its document.
    pub id: DocumentId,
    /// Which part of the document it is, from 0.
    pub part: u32,
    /// How well it answers: higher is better. Of one leg: that leg's score; of several: the joined one.
    pub score: f32,
    /// Where in the document it stands.
    pub span: Span,
    /// The patch that speaks most for it, with its moment and its place in the picture, where a leg asked
    /// patches.
    pub place: Option<Span>,
    /// The passage itself, if asked for.
    pub text: Option<String>,
    /// The passage around the words that matched, if words were asked for.
    pub snippet: Option<Snippet>,
    /// The document's payload, if asked for.
    pub payload: Option<Payload>,
    /// The passage's vectors by name, if asked for.
    pub vectors: BTreeMap<String, Vector>,
    /// What each leg that found the document said of it.
    pub legs: Vec<LegScore>,
}

/// What one leg said of a hit.
#[derive(Debug, Clone, PartialEq)]
pub struct LegScore {
    /// The leg: `lexical`, `dense:NAME`, `sparse:NAME` or `prefetch:NUMBER`.
    pub leg: String,
    /// The rank in that leg, from 1.
    pub rank: u32,
    /// The score in that leg: BM25, the metric's, or the inner product.
    pub score: f32,
    /// What it adds to the joined score; of a single leg, all of it.
    pub contribution: f32,
}

/// The passage around the words that matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snippet {
    /// The cut-out text.
    pub text: String,
    /// The bytes of `text` that matched, ascending, apart from one another.
    pub highlights: Vec<Range<usize>>,
}

/// How long a stage of a request took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StageTiming {
    /// The stage.
    pub stage: &'static str,
    /// When it began; of one that was measured elsewhere, when the stages beside it did.
    pub began: Instant,
    /// Its wall time.
    pub duration: Duration,
}

/// A stopwatch over the stages of a request.
#[derive(Debug)]
pub struct Stages {
    last: Instant,
    timings: Vec<StageTiming>,
}

impl Stages {
    /// Returns a stopwatch that runs.
    pub fn start() -> Self {
        Self { last: Instant::now(), timings: Vec::new() }
    }

    /// Ends a stage that began when the one before ended.
    pub fn end(&mut self, stage: &'static str) {
        let now = Instant::now();
        self.timings.push(StageTiming { stage, began: self.last, duration: now - self.last });
        self.last = now;
    }

    /// Adds a stage that was measured elsewhere, beside the ones that follow one another.
    pub fn add(&mut self, stage: &'static str, duration: Duration) {
        self.timings.push(StageTiming { stage, began: self.last, duration });
    }

    /// Returns the stages in the order in which they ended.
    pub fn finish(self) -> Vec<StageTiming> {
        self.timings
    }
}
