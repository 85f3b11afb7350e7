use std::cmp::Ordering;
use std::collections::HashMap;
use std::hash::BuildHasher;

use serde::Serialize;

/// How relevant documents are to one question, by document id. Zero or below: judged not relevant.
pub type Grades = HashMap<String, i32>;

/// A document that was found, and how well it fits.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// The document.
    pub id: String,
    /// Higher is better.
    pub score: f32,
}

/// The quality of one ranking, or the mean over many.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Quality {
    /// Normalised discounted cumulative gain of the best ten, 0 to 1.
    #[serde(rename = "ndcg@10")]
    pub ndcg_10: f64,
    /// The share of the relevant documents that are among the best hundred, 0 to 1.
    #[serde(rename = "recall@100")]
    pub recall_100: f64,
    /// One divided by the rank of the first relevant document among the best ten, 0 if there is none.
    #[serde(rename = "mrr@10")]
    pub mrr_10: f64,
}

impl Quality {
    /// Returns the quality of what was found for a question, in any order; see [`rank`].
    pub fn of(found: &[Scored], grades: &Grades) -> Self {
        let ranking = rank(found);
        Self {
            ndcg_10: ndcg(&ranking, grades, 10),
            recall_100: recall(&ranking, grades, 100),
            mrr_10: reciprocal_rank(&ranking, grades, 10),
        }
    }

    /// Returns the mean over questions, each of the same weight; all zero for none.
    ///
    /// `trec_eval` leaves a question without any hit out of its mean; give a `Quality` of zeros for it
    /// here, so that finding nothing does not pay.
    pub fn mean(each: &[Self]) -> Self {
        let count = each.len().max(1) as f64;
        let mean = |value: fn(&Self) -> f64| each.iter().map(value).sum::<f64>() / count;
        Self {
            ndcg_10: mean(|quality| quality.ndcg_10),
            recall_100: mean(|quality| quality.recall_100),
            mrr_10: mean(|quality| quality.mrr_10),
        }
    }
}

/// Returns the ids best first. Equal scores stand in descending order of their ids, as `trec_eval` puts
/// them, so that a figure does not depend on who broke the tie.
pub fn rank(found: &[Scored]) -> Vec<&str> {
    let mut order: Vec<&Scored> = found.iter().collect();
    order.sort_by(|a, b| match b.score.total_cmp(&a.score) {
        Ordering::Equal => b.id.cmp(&a.id),
        unequal @ (Ordering::Less | Ordering::Greater) => unequal,
    });
    order.into_iter().map(|scored| scored.id.as_str()).collect()
}

/// Returns the normalised discounted cumulative gain of the first `depth` ids, 0 to 1; 0 if nothing is
/// relevant. The gain is the grade itself and the discount the binary logarithm of the rank plus one
/// (Järvelin and Kekäläinen 2002, as in `trec_eval`'s `ndcg_cut`).
pub fn ndcg<S: BuildHasher>(
    ranking: &[&str],
    grades: &HashMap<String, i32, S>,
    depth: usize,
) -> f64 {
    let gained = ranking.iter().map(|id| grades.get(*id).copied().unwrap_or(0));
    let mut ideal: Vec<i32> = grades.values().copied().collect();
    ideal.sort_unstable_by(|a, b| b.cmp(a));
    let best = discounted(ideal.into_iter(), depth);
    if best > 0.0 { discounted(gained, depth) / best } else { 0.0 }
}

fn discounted(grades: impl Iterator<Item = i32>, depth: usize) -> f64 {
    let discounts = (2..).map(|rank: u32| f64::from(rank).log2());
    grades
        .take(depth)
        .zip(discounts)
        .map(|(grade, discount)| f64::from(grade.max(0)) / discount)
        .sum()
}

/// Returns the share of the relevant documents that are among the first `depth` ids; 0 if nothing is
/// relevant.
pub fn recall<S: BuildHasher>(
    ranking: &[&str],
    grades: &HashMap<String, i32, S>,
    depth: usize,
) -> f64 {
    let relevant = grades.values().filter(|grade| **grade > 0).count();
    let found = ranking.iter().take(depth).filter(|id| is_relevant(id, grades)).count();
    if relevant > 0 { found as f64 / relevant as f64 } else { 0.0 }
}

/// Returns one divided by the rank, from 1, of the first relevant id; 0 if none is among the first
/// `depth`.
pub fn reciprocal_rank<S: BuildHasher>(
    ranking: &[&str],
    grades: &HashMap<String, i32, S>,
    depth: usize,
) -> f64 {
    let first = ranking.iter().take(depth).position(|id| is_relevant(id, grades));
    first.map_or(0.0, |before| 1.0 / (before as f64 + 1.0))
}

fn is_relevant<S: BuildHasher>(id: &str, grades: &HashMap<String, i32, S>) -> bool {
    grades.get(id).is_some_and(|grade| *grade > 0)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    fn grades(pairs: &[(&str, i32)]) -> Grades {
        pairs.iter().map(|(id, grade)| ((*id).to_owned(), *grade)).collect()
    }

    #[track_caller]
    fn assert_near(actual: f64, expected: f64) {
        assert!((actual - expected).abs() < 1e-9, "expected {expected}, got {actual}");
    }

    #[test]
    fn gains_are_graded_and_discounted_by_hand() {
        let judged = grades(&[("a", 3), ("b", 2), ("c", 1), ("d", 0)]);
        // (2/log2 2 + 0 + 3/log2 4) over (3/log2 2 + 2/log2 3 + 1/log2 4).
        let ideal = 3.0 + 2.0 / 3f64.log2() + 0.5;
        assert_near(ndcg(&["b", "d", "a"], &judged, 10), 3.5 / ideal);
        assert_near(ndcg(&["a", "b", "c"], &judged, 10), 1.0);
        assert_near(ndcg(&["d", "b", "a"], &judged, 1), 0.0);
    }

    #[test]
    fn recall_and_first_rank_look_no_deeper_than_asked() {
        let judged = grades(&[("a", 1), ("b", 2), ("c", -1)]);
        assert_near(recall(&["x", "a", "b"], &judged, 2), 0.5);
        assert_near(recall(&["x", "a", "b"], &judged, 3), 1.0);
        assert_near(reciprocal_rank(&["c", "x", "b"], &judged, 3), 1.0 / 3.0);
        assert_near(reciprocal_rank(&["c", "x", "b"], &judged, 2), 0.0);
    }

    #[test]
    fn equal_scores_stand_in_descending_order_of_ids() {
        let found = [("a", 1.0), ("c", 1.0), ("b", 2.0), ("d", -1.0)]
            .map(|(id, score)| Scored { id: id.to_owned(), score });
        assert_eq!(rank(&found), ["b", "c", "a", "d"]);
    }

    #[test]
    fn nothing_relevant_or_nothing_asked_is_zero_and_not_a_number_less() {
        let found = [Scored { id: "a".to_owned(), score: 1.0 }];
        assert_eq!(Quality::of(&found, &grades(&[("a", 0)])), Quality::default());
        assert_eq!(Quality::mean(&[]), Quality::default());
    }

    #[derive(Deserialize)]
    struct Reference {
        rankings: Vec<Ranking>,
    }

    #[derive(Deserialize)]
    struct Ranking {
        grades: Grades,
        scores: HashMap<String, f32>,
        #[serde(rename = "ndcg@10")]
        ndcg_10: f64,
        #[serde(rename = "recall@100")]
        recall_100: f64,
        #[serde(rename = "mrr@10")]
        mrr_10: f64,
    }

    #[test]
    fn every_figure_is_the_one_of_trec_eval() {
        let reference: Reference =
            serde_json::from_str(include_str!("../../tests/reference/evaluate.json")).unwrap();
        assert!(reference.rankings.len() > 20);
        for case in reference.rankings {
            let found: Vec<Scored> =
                case.scores.into_iter().map(|(id, score)| Scored { id, score }).collect();
            let quality = Quality::of(&found, &case.grades);
            assert_near(quality.ndcg_10, case.ndcg_10);
            assert_near(quality.recall_100, case.recall_100);
            assert_near(quality.mrr_10, case.mrr_10);
        }
    }
}
