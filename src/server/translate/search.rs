use std::collections::{BTreeMap, HashMap};

use simile_proto::v1::{self as wire, fusion::Kind};

use super::WireError;
use super::filter::optional_filter;
use super::value::{payload_to_wire, span_to_wire, vectors, vectors_to_wire};
use crate::query::{
    Answer, Fusion, Grouping, Hit, LIMIT_DEFAULT, Mode, SearchRequest, StageTiming, WordSyntax,
};

/// Returns the question; its numbers are checked where it is planned.
pub(in crate::server) fn search_request(
    request: wire::SearchRequest,
) -> Result<SearchRequest, WireError> {
    Ok(SearchRequest {
        mode: mode(request.mode)?,
        fusion: request.fusion.map(fusion).unwrap_or_default(),
        syntax: syntax(request.syntax)?,
        grouping: grouping(request.grouping)?,
        text: request.text,
        vectors: vectors(request.vectors)?,
        filter: optional_filter(request.filter)?,
        limit: request.limit.map_or(LIMIT_DEFAULT, |limit| limit as usize),
        offset: request.offset as usize,
        score_threshold: request.score_threshold,
        with_payload: request.with_payload.unwrap_or(true),
        with_text: request.with_text.unwrap_or(true),
        with_vectors: request.with_vectors,
        exact: request.exact,
        ef: request.ef.map(|ef| ef as usize),
        using: request.using,
    })
}

fn mode(number: i32) -> Result<Mode, WireError> {
    match wire::Mode::try_from(number) {
        Ok(wire::Mode::Unspecified) => Ok(Mode::Automatic),
        Ok(wire::Mode::Hybrid) => Ok(Mode::Hybrid),
        Ok(wire::Mode::Semantic) => Ok(Mode::Semantic),
        Ok(wire::Mode::Lexical) => Ok(Mode::Lexical),
        Err(_) => Err(WireError::UnknownChoice { what: "mode", actual: number }),
    }
}

fn syntax(number: i32) -> Result<WordSyntax, WireError> {
    match wire::WordSyntax::try_from(number) {
        Ok(wire::WordSyntax::Unspecified) => Ok(WordSyntax::Words),
        Ok(wire::WordSyntax::Query) => Ok(WordSyntax::Query),
        Err(_) => Err(WireError::UnknownChoice { what: "syntax", actual: number }),
    }
}

fn grouping(number: i32) -> Result<Grouping, WireError> {
    match wire::Grouping::try_from(number) {
        Ok(wire::Grouping::Unspecified | wire::Grouping::Document) => Ok(Grouping::Document),
        Ok(wire::Grouping::Passage) => Ok(Grouping::Passage),
        Err(_) => Err(WireError::UnknownChoice { what: "grouping", actual: number }),
    }
}

fn fusion(fusion: wire::Fusion) -> Fusion {
    let weights = |weights: HashMap<String, f32>| weights.into_iter().collect::<BTreeMap<_, _>>();
    match fusion.kind {
        None => Fusion::default(),
        Some(Kind::ReciprocalRank(rank)) => {
            Fusion::ReciprocalRank { k: rank.k.unwrap_or(60), weights: weights(rank.weights) }
        }
        Some(Kind::WeightedScore(score)) => {
            Fusion::WeightedScore { weights: weights(score.weights) }
        }
        Some(Kind::CalibratedScore(score)) => {
            Fusion::Calibrated { weights: weights(score.weights) }
        }
    }
}

/// Returns the answer as it travels; nothing of it is copied.
pub(in crate::server) fn answer_to_wire(answer: Answer) -> wire::SearchResponse {
    wire::SearchResponse {
        hits: answer.hits.into_iter().map(hit).collect(),
        timings: timings(&answer.timings),
        warnings: answer.warnings,
    }
}

fn hit(hit: Hit) -> wire::Hit {
    let offset = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
    wire::Hit {
        id: hit.id.to_string(),
        score: hit.score,
        span: span_to_wire(hit.span),
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
        vectors: vectors_to_wire(hit.vectors),
        legs: hit
            .legs
            .into_iter()
            .map(|leg| wire::LegScore { leg: leg.leg, rank: leg.rank, score: leg.score })
            .collect(),
        part: hit.part,
    }
}

fn timings(timings: &[StageTiming]) -> Vec<wire::StageTiming> {
    timings.iter().map(|timing| super::document::stage(timing.stage, timing.duration)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_has_the_documented_default() {
        let request = search_request(wire::SearchRequest::default()).unwrap();
        assert_eq!(request, SearchRequest::default());
    }

    #[test]
    fn a_choice_of_a_later_version_is_refused_instead_of_guessed() {
        for request in [
            wire::SearchRequest { mode: 99, ..Default::default() },
            wire::SearchRequest { syntax: 99, ..Default::default() },
            wire::SearchRequest { grouping: -1, ..Default::default() },
        ] {
            assert!(search_request(request).unwrap_err().to_string().contains("is not known"));
        }
    }
}
