use std::collections::{BTreeMap, HashMap};

use super::{Chance, Fusion, Leg};
use crate::document::Slot;
use crate::error::{Classified, ErrorKind};
use crate::vector::Score;

/// Something a leg found: a passage, standing for itself or for its document.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// What is ranked: the slot itself, or the first slot of its document.
    pub key: Slot,
    /// The passage that the leg found best of what is ranked.
    pub slot: Slot,
    /// The leg's score of that passage.
    pub score: Score,
}

/// What one leg found, best first, each key once.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranking {
    /// The leg.
    pub leg: Leg,
    /// What it found.
    pub candidates: Vec<Candidate>,
    /// What an arbitrary vector scores; none for words, and where too few vectors tell.
    pub chance: Option<Chance>,
}

/// Something that the legs together found.
#[derive(Debug, Clone, PartialEq)]
pub struct Fused {
    /// What is ranked.
    pub key: Slot,
    /// The passage to show: that of the leg that gave the most to the joined score.
    pub slot: Slot,
    /// The joined score; of a single leg, its own.
    pub score: f32,
    /// The rank (from 1) and score in each leg, in the order of the rankings.
    pub legs: Vec<Option<(u32, Score)>>,
    /// What each leg adds to the joined score, in the same order.
    pub contributions: Vec<f32>,
}

/// Why answers cannot be joined in the way that was asked for.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FuseError {
    /// A weight that is no weight.
    #[error("the weight of leg `{leg}` is {weight}, expected a finite number of at least 0")]
    Weight {
        /// The leg.
        leg: String,
        /// Its weight.
        weight: f32,
    },
    /// A weight of a leg that does not run.
    #[error("a weight is given for leg `{leg}`, and the legs are {legs}")]
    UnknownLeg {
        /// The leg that was named.
        leg: String,
        /// The legs there are.
        legs: String,
    },
    /// Every leg weighs nothing.
    #[error("the weights of the legs are all 0")]
    AllZero,
}

impl Classified for FuseError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidInput
    }
}

/// Returns the best passage of each key, best first, from passages that stand best first.
pub fn collapse(hits: &[(Slot, Score)], key_of: impl Fn(Slot) -> Slot) -> Vec<Candidate> {
    let mut seen = std::collections::HashSet::with_capacity(hits.len());
    hits.iter()
        .map(|&(slot, score)| Candidate { key: key_of(slot), slot, score })
        .filter(|candidate| seen.insert(candidate.key))
        .collect()
}

/// Joins the rankings into one, best first, equal scores by key.
///
/// # Errors
/// [`FuseError`] (invalid input) for weights that do not fit the legs.
pub fn fuse(fusion: &Fusion, rankings: &[Ranking]) -> Result<Vec<Fused>, FuseError> {
    let weights = leg_weights(fusion, rankings)?;
    if let [only] = rankings {
        return Ok(single(only));
    }
    let contributions: Vec<Vec<f64>> = match fusion {
        Fusion::ReciprocalRank { k, .. } => {
            rankings.iter().map(|ranking| reciprocal_ranks(ranking, *k)).collect()
        }
        Fusion::WeightedScore { .. } => rankings.iter().map(scaled_scores).collect(),
        Fusion::Calibrated { .. } => rankings.iter().map(calibrated_scores).collect(),
        Fusion::Distribution { .. } => rankings.iter().map(standard_scores).collect(),
    };
    Ok(sum(rankings, &contributions, &weights))
}

fn leg_weights(fusion: &Fusion, rankings: &[Ranking]) -> Result<Vec<f64>, FuseError> {
    let weights = fusion.weights();
    check_weights(weights, rankings)?;
    let of = |ranking: &Ranking| {
        f64::from(weights.get(&ranking.leg.to_string()).copied().unwrap_or(1.0))
    };
    let given: Vec<f64> = rankings.iter().map(of).collect();
    if !rankings.is_empty() && given.iter().all(|&weight| weight == 0.0) {
        return Err(FuseError::AllZero);
    }
    let total: f64 = given.iter().sum();
    match fusion {
        Fusion::ReciprocalRank { .. } | Fusion::Distribution { .. } => Ok(given),
        Fusion::WeightedScore { .. } | Fusion::Calibrated { .. } => {
            Ok(given.iter().map(|weight| weight / total).collect())
        }
    }
}

fn check_weights(weights: &BTreeMap<String, f32>, rankings: &[Ranking]) -> Result<(), FuseError> {
    for (leg, &weight) in weights {
        if !weight.is_finite() || weight < 0.0 {
            return Err(FuseError::Weight { leg: leg.clone(), weight });
        }
        if !rankings.iter().any(|ranking| ranking.leg.to_string() == *leg) {
            let legs: Vec<String> =
                rankings.iter().map(|ranking| ranking.leg.to_string()).collect();
            return Err(FuseError::UnknownLeg { leg: leg.clone(), legs: legs.join(", ") });
        }
    }
    Ok(())
}

fn single(ranking: &Ranking) -> Vec<Fused> {
    let one = |(rank, candidate): (u32, &Candidate)| Fused {
        key: candidate.key,
        slot: candidate.slot,
        score: candidate.score.0,
        legs: vec![Some((rank, candidate.score))],
        contributions: vec![candidate.score.0],
    };
    (1..).zip(&ranking.candidates).map(one).collect()
}

fn reciprocal_ranks(ranking: &Ranking, k: u32) -> Vec<f64> {
    (1..=ranking.candidates.len()).map(|rank| 1.0 / (f64::from(k) + rank as f64)).collect()
}

/// Min-max over the leg's own hits.
fn scaled_scores(ranking: &Ranking) -> Vec<f64> {
    let lowest = scores(ranking).fold(f64::INFINITY, f64::min);
    scaled_from(ranking, lowest)
}

/// From what chance gives (nothing, for words and sparse vectors) to the best hit, times the trust
/// in the leg.
fn calibrated_scores(ranking: &Ranking) -> Vec<f64> {
    match (&ranking.leg, ranking.chance) {
        (Leg::Lexical | Leg::Sparse(_), _) => scaled_from(ranking, 0.0),
        (Leg::Dense(_) | Leg::Multi(_) | Leg::Prefetch(_), None) => scaled_scores(ranking),
        (Leg::Dense(_) | Leg::Multi(_) | Leg::Prefetch(_), Some(chance)) => {
            let trust = chance.trust(best(ranking));
            scaled_from(ranking, chance.mean()).into_iter().map(|score| trust * score).collect()
        }
    }
}

/// The line through (`lowest`, 0) and (best hit, 1), not below 0; a leg whose best hit is no better
/// than `lowest` gives each of its hits 1.
fn scaled_from(ranking: &Ranking, lowest: f64) -> Vec<f64> {
    let width = best(ranking) - lowest;
    let scaled = |score: f64| if width > 0.0 { ((score - lowest) / width).max(0.0) } else { 1.0 };
    scores(ranking).map(scaled).collect()
}

/// From three standard deviations below the mean of the leg's own hits to three above; a leg whose
/// hits do not differ gives each of them a half.
fn standard_scores(ranking: &Ranking) -> Vec<f64> {
    let count = ranking.candidates.len() as f64;
    let mean = scores(ranking).sum::<f64>() / count;
    let squares: f64 = scores(ranking).map(|score| (score - mean).powi(2)).sum();
    let deviation = if count > 1.0 { (squares / (count - 1.0)).sqrt() } else { 0.0 };
    let scaled = |score: f64| {
        if deviation > 0.0 { (score - mean) / (6.0 * deviation) + 0.5 } else { 0.5 }
    };
    scores(ranking).map(scaled).collect()
}

fn scores(ranking: &Ranking) -> impl Iterator<Item = f64> + '_ {
    ranking.candidates.iter().map(|candidate| f64::from(candidate.score.0))
}

fn best(ranking: &Ranking) -> f64 {
    scores(ranking).fold(f64::NEG_INFINITY, f64::max)
}

fn sum(rankings: &[Ranking], contributions: &[Vec<f64>], weights: &[f64]) -> Vec<Fused> {
    struct Joined {
        score: f64,
        largest: f64,
        fused: Fused,
    }
    let mut joined: HashMap<Slot, Joined> = HashMap::new();
    for (leg, ranking) in rankings.iter().enumerate() {
        for (place, candidate) in ranking.candidates.iter().enumerate() {
            let contribution = contributions[leg][place] * weights[leg];
            let entry = joined.entry(candidate.key).or_insert_with(|| Joined {
                score: 0.0,
                largest: f64::NEG_INFINITY,
                fused: Fused {
                    key: candidate.key,
                    slot: candidate.slot,
                    score: 0.0,
                    legs: vec![None; rankings.len()],
                    contributions: vec![0.0; rankings.len()],
                },
            });
            entry.score += contribution;
            if contribution > entry.largest {
                entry.largest = contribution;
                entry.fused.slot = candidate.slot;
            }
            let rank = u32::try_from(place + 1).unwrap_or(u32::MAX);
            entry.fused.legs[leg] = Some((rank, candidate.score));
            entry.fused.contributions[leg] = narrowed(contribution);
        }
    }
    let mut all: Vec<(f64, Fused)> =
        joined.into_values().map(|entry| (entry.score, entry.fused)).collect();
    all.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.key.cmp(&b.1.key)));
    all.into_iter().map(|(score, fused)| Fused { score: narrowed(score), ..fused }).collect()
}

#[expect(clippy::cast_possible_truncation, reason = "a score is single precision")]
fn narrowed(score: f64) -> f32 {
    score as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vector::Metric;

    fn ranking(leg: Leg, hits: &[(u32, f32)]) -> Ranking {
        let hits: Vec<(Slot, Score)> =
            hits.iter().map(|&(slot, score)| (Slot(slot), Score(score))).collect();
        Ranking { leg, candidates: collapse(&hits, |slot| slot), chance: None }
    }

    fn dense(hits: &[(u32, f32)]) -> Ranking {
        ranking(Leg::Dense("text".into()), hits)
    }

    fn keys(fused: &[Fused]) -> Vec<u32> {
        fused.iter().map(|fused| fused.key.0).collect()
    }

    #[test]
    fn reciprocal_rank_fusion_adds_one_over_k_plus_rank() {
        let rankings =
            [ranking(Leg::Lexical, &[(1, 9.0), (2, 8.0)]), dense(&[(2, 0.9), (3, 0.8), (1, 0.1)])];
        let rrf = Fusion::ReciprocalRank { k: 60, weights: BTreeMap::new() };
        let fused = fuse(&rrf, &rankings).unwrap();
        assert_eq!(keys(&fused), [2, 1, 3]);
        assert!((fused[0].score - (1.0 / 62.0 + 1.0 / 61.0)).abs() < 1e-7);
        assert!((fused[1].score - (1.0 / 61.0 + 1.0 / 63.0)).abs() < 1e-7);
        assert_eq!(fused[2].legs, [None, Some((2, Score(0.8)))]);
    }

    #[test]
    fn distribution_fusion_counts_standard_deviations() {
        let rankings = [
            ranking(Leg::Prefetch(1), &[(1, 3.0), (2, 2.0), (3, 1.0)]),
            ranking(Leg::Prefetch(2), &[(3, 7.0)]),
        ];
        let fused = fuse(&Fusion::Distribution { weights: BTreeMap::new() }, &rankings).unwrap();
        assert_eq!(keys(&fused), [3, 1, 2]);
        let scores: Vec<f32> = fused.iter().map(|fused| fused.score).collect();
        // The deviation of 3, 2, 1 is 1; one hit alone is the mean of its leg.
        let expected = [0.5 - 1.0 / 6.0 + 0.5, 0.5 + 1.0 / 6.0, 0.5_f32];
        assert!(scores.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{scores:?}");
    }

    #[test]
    fn weighted_fusion_scales_each_leg_to_one() {
        let rankings = [
            ranking(Leg::Lexical, &[(1, 30.0), (2, 20.0), (3, 10.0)]),
            dense(&[(3, 0.9), (1, 0.7), (4, 0.5)]),
        ];
        let weights = BTreeMap::from([("lexical".to_owned(), 3.0), ("dense:text".to_owned(), 1.0)]);
        let fused = fuse(&Fusion::WeightedScore { weights }, &rankings).unwrap();
        assert_eq!(keys(&fused), [1, 2, 3, 4]);
        let scores: Vec<f32> = fused.iter().map(|fused| fused.score).collect();
        for (score, expected) in scores.iter().zip([0.875, 0.375, 0.25, 0.0]) {
            assert!((score - expected).abs() < 1e-6, "{scores:?}");
        }
    }

    #[test]
    fn a_dense_leg_that_is_no_better_than_chance_leaves_the_order_to_the_words() {
        let words = ranking(Leg::Lexical, &[(1, 8.0), (2, 4.0)]);
        let vectors = |best: f32, at_random: f32| Ranking {
            chance: Chance::of(Metric::Cosine, &[1.0], vec![&[at_random][..]; 64]),
            ..dense(&[(3, best), (2, best - 0.1)])
        };
        let noise = fuse(&Fusion::default(), &[words.clone(), vectors(0.6, 0.4)]).unwrap();
        assert_eq!(keys(&noise), [1, 2, 3]);
        assert_eq!(noise[2].score, 0.0);
        let signal = fuse(&Fusion::default(), &[words, vectors(0.7, 0.1)]).unwrap();
        assert_eq!(keys(&signal), [2, 1, 3]);
        assert!((signal[0].score - 2.0 / 3.0).abs() < 1e-6);
    }

    #[test]
    fn a_single_leg_keeps_its_own_scores() {
        let fused = fuse(&Fusion::default(), &[dense(&[(7, 0.5), (3, -0.5)])]).unwrap();
        assert_eq!(keys(&fused), [7, 3]);
        assert_eq!(fused[1].score, -0.5);
    }

    #[test]
    fn equal_scores_stand_in_the_order_of_their_keys() {
        let rankings = [ranking(Leg::Lexical, &[(9, 1.0)]), dense(&[(4, 1.0)])];
        for fusion in [
            Fusion::ReciprocalRank { k: 60, weights: BTreeMap::new() },
            Fusion::WeightedScore { weights: BTreeMap::new() },
            Fusion::default(),
        ] {
            assert_eq!(keys(&fuse(&fusion, &rankings).unwrap()), [4, 9]);
        }
    }

    #[test]
    fn a_document_is_ranked_once_by_its_best_passage() {
        let hits = [(Slot(12), Score(0.9)), (Slot(3), Score(0.8)), (Slot(11), Score(0.7))];
        let candidates = collapse(&hits, |slot| Slot(slot.0 / 10 * 10));
        let slots: Vec<(u32, u32)> =
            candidates.iter().map(|candidate| (candidate.key.0, candidate.slot.0)).collect();
        assert_eq!(slots, [(10, 12), (0, 3)]);
    }

    #[test]
    fn the_passage_shown_is_that_of_the_leg_that_gave_most() {
        let of_document = |slot: u32, score| Candidate { key: Slot(0), slot: Slot(slot), score };
        let of = |leg, candidates| Ranking { leg, candidates, chance: None };
        let other = Candidate { key: Slot(50), slot: Slot(50), score: Score(99.0) };
        let rankings = [
            of(Leg::Lexical, vec![other, of_document(1, Score(3.0))]),
            of(Leg::Dense("text".into()), vec![of_document(2, Score(0.4))]),
        ];
        let fused =
            fuse(&Fusion::ReciprocalRank { k: 60, weights: BTreeMap::new() }, &rankings).unwrap();
        assert_eq!((fused[0].key, fused[0].slot), (Slot(0), Slot(2)));
    }

    #[test]
    fn weights_that_fit_no_leg_are_refused() {
        let rankings = [ranking(Leg::Lexical, &[(1, 1.0)]), dense(&[(1, 1.0)])];
        let with = |leg: &str, weight: f32| Fusion::WeightedScore {
            weights: BTreeMap::from([(leg.to_owned(), weight)]),
        };
        let text = |fusion| fuse(&fusion, &rankings).unwrap_err().to_string();
        assert_eq!(
            text(with("dense", 1.0)),
            "a weight is given for leg `dense`, and the legs are lexical, dense:text"
        );
        assert!(text(with("lexical", f32::NAN)).starts_with("the weight of leg `lexical` is NaN"));
        let zeros = Fusion::ReciprocalRank {
            k: 60,
            weights: BTreeMap::from([("lexical".into(), 0.0), ("dense:text".into(), 0.0)]),
        };
        assert_eq!(fuse(&zeros, &rankings), Err(FuseError::AllZero));
    }
}
