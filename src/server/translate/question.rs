use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use simile_proto::v1::{self as wire, example, fusion::Kind};

use super::WireError;
use super::filter::optional_filter;
use super::value::{WireVectors, dense_vector, document_id, sparse_vector, vectors};
use crate::document::FieldPath;
use crate::picture::Area;
use crate::query::{
    Diversity, Example, Fusion, GroupBy, Grouping, LIMIT_DEFAULT, Mode, PREFETCH_DEPTH_MAX,
    PlanError, Recommend, SearchRequest, Strategy, Weighted, WordSyntax,
};

/// The hits of a search within a search where it does not say.
const PREFETCH_LIMIT_DEFAULT: usize = 100;
/// The hits of a group where the request does not say.
const GROUP_SIZE_DEFAULT: usize = 3;

/// Returns the question; its numbers are checked where it is planned.
pub(in crate::server) fn search_request(
    request: wire::SearchRequest,
) -> Result<SearchRequest, WireError> {
    let grouping = grouping(request.grouping)?;
    let (dense, sparse, multi) = (request.vectors, request.sparse_vectors, request.multi_vectors);
    Ok(SearchRequest {
        mode: mode(request.mode)?,
        fusion: request.fusion.map(fusion).unwrap_or_default(),
        syntax: syntax(request.syntax)?,
        grouping,
        text: request.text,
        image: request.image.map(Arc::from),
        image_area: request.image_area.map(area),
        vectors: vectors(WireVectors { dense, sparse, multi })?,
        recommend: request.recommend.map(recommend).transpose()?,
        prefetch: prefetches(request.prefetch, grouping, 2)?,
        group_by: request.group_by.map(group_by).transpose()?,
        diversity: request.diversity.map(diversity),
        filter: optional_filter(request.filter)?,
        limit: request.limit.map_or(LIMIT_DEFAULT, |limit| limit as usize),
        offset: request.offset as usize,
        score_threshold: request.score_threshold,
        with_payload: request.with_payload.unwrap_or(true),
        with_text: request.with_text.unwrap_or(true),
        with_vectors: request.with_vectors,
        exact: request.exact,
        ef: request.ef.map(|ef| ef as usize),
        target_recall: request.target_recall,
        using: request.using,
    })
}

/// The recursion is bounded here, since the plan bounds only what it is given.
fn prefetches(
    given: Vec<wire::Prefetch>,
    grouping: Grouping,
    depth: usize,
) -> Result<Vec<SearchRequest>, WireError> {
    if depth > PREFETCH_DEPTH_MAX && !given.is_empty() {
        return Err(PlanError::TooDeep.into());
    }
    let one = |inner: wire::Prefetch| {
        let (dense, sparse, multi) = (inner.vectors, inner.sparse_vectors, inner.multi_vectors);
        Ok(SearchRequest {
            text: inner.text,
            image: inner.image.map(Arc::from),
            image_area: inner.image_area.map(area),
            vectors: vectors(WireVectors { dense, sparse, multi })?,
            recommend: inner.recommend.map(recommend).transpose()?,
            prefetch: prefetches(inner.prefetch, grouping, depth + 1)?,
            mode: mode(inner.mode)?,
            fusion: inner.fusion.map(fusion).unwrap_or_default(),
            filter: optional_filter(inner.filter)?,
            limit: inner.limit.map_or(PREFETCH_LIMIT_DEFAULT, |limit| limit as usize),
            score_threshold: inner.score_threshold,
            exact: inner.exact,
            ef: inner.ef.map(|ef| ef as usize),
            target_recall: inner.target_recall,
            using: inner.using,
            syntax: syntax(inner.syntax)?,
            // What is ranked is the same in all steps.
            grouping,
            ..SearchRequest::default()
        })
    };
    given.into_iter().map(one).collect()
}

fn recommend(given: wire::Recommend) -> Result<Recommend, WireError> {
    let strategy = match wire::RecommendStrategy::try_from(given.strategy) {
        Ok(wire::RecommendStrategy::Unspecified | wire::RecommendStrategy::Average) => {
            Strategy::Average
        }
        Ok(wire::RecommendStrategy::BestScore) => Strategy::BestScore,
        Err(_) => {
            return Err(WireError::UnknownChoice { what: "strategy", actual: given.strategy });
        }
    };
    Ok(Recommend {
        positive: given.positive.into_iter().map(example).collect::<Result<_, _>>()?,
        negative: given.negative.into_iter().map(example).collect::<Result<_, _>>()?,
        strategy,
        vector: given.vector,
    })
}

fn example(given: wire::Example) -> Result<Weighted, WireError> {
    const NAME: &str = "example";
    let missing =
        WireError::Missing("the id, the vector, the text, the picture or the clip of an example");
    let example = match given.kind.ok_or(missing)? {
        example::Kind::Id(id) => Example::Document(document_id(id)?),
        example::Kind::Vector(vector) => Example::Vector(dense_vector(NAME, vector)?.into()),
        example::Kind::Sparse(vector) => Example::Vector(sparse_vector(NAME, vector)?.into()),
        example::Kind::Text(text) => Example::Text(text),
        example::Kind::Image(image) => Example::Image(image.into()),
        example::Kind::Clip(clip) => Example::Clip(clip.into()),
    };
    Ok(Weighted { example, weight: given.weight.unwrap_or(1.0) })
}

fn area(given: wire::Area) -> Area {
    let wire::Area { left, top, width, height } = given;
    Area { left, top, width, height }
}

fn group_by(given: wire::GroupBy) -> Result<GroupBy, WireError> {
    if given.path.is_empty() {
        return Err(WireError::Missing("the path that is grouped by"));
    }
    let size = given.size.map_or(GROUP_SIZE_DEFAULT, |size| size as usize);
    Ok(GroupBy { path: FieldPath(given.path), size })
}

fn diversity(given: wire::Diversity) -> Diversity {
    Diversity {
        relevance: given.relevance.unwrap_or(Diversity::default().relevance),
        candidates: given.candidates.map(|candidates| candidates as usize),
        vector: given.vector,
    }
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
        let recommend = wire::Recommend { strategy: 9, ..Default::default() };
        for request in [
            wire::SearchRequest { mode: 99, ..Default::default() },
            wire::SearchRequest { syntax: 99, ..Default::default() },
            wire::SearchRequest { grouping: -1, ..Default::default() },
            wire::SearchRequest { recommend: Some(recommend), ..Default::default() },
        ] {
            assert!(search_request(request).unwrap_err().to_string().contains("is not known"));
        }
    }

    #[test]
    fn searches_within_searches_are_read_to_a_bounded_depth() {
        let nested = |depth| {
            let mut inner = Vec::new();
            for _ in 0..depth {
                inner = vec![wire::Prefetch { prefetch: inner, ..Default::default() }];
            }
            search_request(wire::SearchRequest { prefetch: inner, ..Default::default() })
        };
        assert!(nested(PREFETCH_DEPTH_MAX - 1).is_ok());
        let error = nested(PREFETCH_DEPTH_MAX).unwrap_err().to_string();
        assert_eq!(error, "searches are nested at most 4 deep");
    }
}
