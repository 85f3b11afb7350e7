use simile_proto::v1::{self as wire, search_batch_result};
use tonic::Status;

use super::value::{WireVectors, payload_to_wire, span_to_wire, value_to_wire, vectors_to_wire};
use crate::query::{Answer, Explanation, Hit, LegExplanation, StageTiming, Verdict};
use crate::server::status;

/// Returns the answer as it travels; nothing of it is copied.
pub(in crate::server) fn answer_to_wire(answer: Answer) -> wire::SearchResponse {
    let groups = answer.groups.into_iter().map(|group| wire::HitGroup {
        value: Some(value_to_wire(group.value)),
        hits: group.hits.into_iter().map(hit).collect(),
    });
    wire::SearchResponse {
        groups: groups.collect(),
        hits: answer.hits.into_iter().map(hit).collect(),
        timings: timings(&answer.timings),
        warnings: answer.warnings,
    }
}

/// Returns the answer to one search of a batch, as it travels.
pub(in crate::server) fn batch_result_to_wire(
    answer: Result<Answer, Status>,
) -> wire::SearchBatchResult {
    let outcome = match answer {
        Ok(answer) => search_batch_result::Outcome::Answer(answer_to_wire(answer)),
        Err(failed) => search_batch_result::Outcome::Error(wire::SearchError {
            code: status::status_name(failed.code()).to_owned(),
            message: failed.message().to_owned(),
        }),
    };
    wire::SearchBatchResult { outcome: Some(outcome) }
}

/// Returns the explanation as it travels.
pub(in crate::server) fn explanation_to_wire(explanation: Explanation) -> wire::ExplainResponse {
    let (verdict, rank, score) = match explanation.verdict {
        Verdict::NotStored => (wire::Verdict::NotStored, None, None),
        Verdict::Filtered => (wire::Verdict::Filtered, None, None),
        Verdict::Example => (wire::Verdict::Example, None, None),
        Verdict::NotFound => (wire::Verdict::NotFound, None, None),
        Verdict::BeyondLegs { .. } => (wire::Verdict::BeyondLegs, None, None),
        Verdict::BelowThreshold { score, .. } => (wire::Verdict::BelowThreshold, None, Some(score)),
        Verdict::Outside { rank, score, .. } => (wire::Verdict::Outside, Some(rank), Some(score)),
        Verdict::Shown { rank, score } => (wire::Verdict::Shown, Some(rank), Some(score)),
    };
    let leg = |leg: LegExplanation| wire::LegExplanation {
        leg: leg.leg,
        rank_exact: leg.found.map(|(rank, _)| rank),
        score: leg.found.map(|(_, score)| score),
        rank: leg.rank,
        contribution: leg.contribution,
    };
    wire::ExplainResponse {
        verdict: verdict.into(),
        sentence: explanation.sentence(),
        rank: rank.map(|rank| u32::try_from(rank).unwrap_or(u32::MAX)),
        score,
        legs: explanation.legs.into_iter().map(leg).collect(),
        conditions: explanation
            .conditions
            .into_iter()
            .map(|(condition, holds)| wire::ConditionTruth { condition, holds })
            .collect(),
    }
}

fn hit(hit: Hit) -> wire::Hit {
    let offset = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
    let WireVectors { dense, sparse, multi } = vectors_to_wire(hit.vectors);
    let leg = |leg: crate::query::LegScore| wire::LegScore {
        leg: leg.leg,
        rank: leg.rank,
        score: leg.score,
        contribution: leg.contribution,
    };
    wire::Hit {
        id: hit.id.to_string(),
        score: hit.score,
        span: span_to_wire(hit.span),
        place: hit.place.and_then(span_to_wire),
        text: hit.text,
        snippet: hit.snippet.map(|snippet| wire::Snippet {
            highlights: snippet
                .highlights
                .iter()
                .map(|range| wire::ByteRange { start: offset(range.start), end: offset(range.end) })
                .collect(),
            text: snippet.text,
        }),
        payload: hit.payload.map(payload_to_wire).unwrap_or_default(),
        vectors: dense,
        sparse_vectors: sparse,
        multi_vectors: multi,
        legs: hit.legs.into_iter().map(leg).collect(),
        part: hit.part,
    }
}

fn timings(timings: &[StageTiming]) -> Vec<wire::StageTiming> {
    timings.iter().map(|timing| super::document::stage(timing.stage, timing.duration)).collect()
}
