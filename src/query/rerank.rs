use super::{Hit, LegScore};

/// Puts hits in the order of scores that they were given later, best first; equal ones stay as they were.
/// Each hit has the new score, and the leg says what it was and which rank the hit had before.
pub fn rerank(hits: &mut Vec<Hit>, scores: &[f32], leg: &str) {
    let mut ranked: Vec<(f32, Hit)> = scores.iter().copied().zip(hits.drain(..)).collect();
    for (rank, (score, hit)) in (1..).zip(&mut ranked) {
        let (leg, score) = (leg.to_owned(), *score);
        hit.legs.push(LegScore { leg, rank, score, contribution: score });
        hit.score = score;
    }
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    hits.extend(ranked.into_iter().map(|(_, hit)| hit));
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::document::{DocumentId, Span};

    fn hit(id: &str) -> Hit {
        Hit {
            id: DocumentId::new(id).unwrap(),
            part: 0,
            score: 0.5,
            span: Span::Whole,
            place: None,
            text: None,
            snippet: None,
            payload: None,
            vectors: BTreeMap::new(),
            legs: Vec::new(),
        }
    }

    #[test]
    fn the_best_comes_first_and_equal_ones_stay_as_they_were() {
        let mut hits = ["a", "b", "c", "d"].map(hit).to_vec();
        rerank(&mut hits, &[-1.5, 2.0, 2.0, 7.0], "rerank:m");
        let order: Vec<String> = hits.iter().map(|hit| hit.id.to_string()).collect();
        assert_eq!(order, ["d", "b", "c", "a"]);
        assert_eq!(hits[0].score, 7.0);
        let LegScore { leg, rank, score, .. } = &hits[3].legs[0];
        assert_eq!((leg.as_str(), *rank, *score), ("rerank:m", 1, -1.5));
    }
}
