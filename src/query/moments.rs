use std::collections::BTreeMap;

use crate::document::DocumentId;

/// A stretch of a stored video or sound that is like a stretch of an excerpt.
#[derive(Debug, Clone, PartialEq)]
pub struct Sighting {
    /// When the stretch of the excerpt begins, in milliseconds from its start.
    pub excerpt_ms: u64,
    /// The stored video.
    pub id: DocumentId,
    /// When its stretch begins, in milliseconds from its start.
    pub start_ms: u64,
    /// How alike they are: more is better.
    pub score: f32,
}

/// Where an excerpt may be taken from.
#[derive(Debug, Clone, PartialEq)]
pub struct Moment {
    /// The stored video.
    pub id: DocumentId,
    /// When the excerpt begins in it, in milliseconds.
    pub start_ms: u64,
    /// When it ends.
    pub end_ms: u64,
    /// The mean over the stretches of the excerpt of how well each is found there; a stretch that is
    /// not counts nothing. 0 to 1 where scores are.
    pub score: f32,
}

/// Stretches that are near each other in time in one video.
#[derive(Debug, Clone, PartialEq)]
pub struct Meeting<T> {
    /// The stretch of the first kind.
    pub first: T,
    /// The stretch of the second kind.
    pub second: T,
    /// How far they are apart, in milliseconds; 0 if they overlap.
    pub apart_ms: u64,
}

/// Returns where an excerpt of a length is taken from, best first: each sighting votes for the place
/// where the excerpt would begin if it were right, and votes that lie within `tolerance_ms` of each other
/// count together, one for each stretch of the excerpt (temporal Hough voting, Douze et al. 2010). At
/// most one moment a tolerance of each video is returned.
pub fn moments(sightings: &[Sighting], length_ms: u64, tolerance_ms: u64) -> Vec<Moment> {
    let mut stretches: Vec<u64> = sightings.iter().map(|sighting| sighting.excerpt_ms).collect();
    stretches.sort_unstable();
    stretches.dedup();
    let mut by_video: BTreeMap<&DocumentId, Vec<Vote>> = BTreeMap::new();
    for sighting in sightings.iter().filter(|sighting| sighting.score.is_finite()) {
        let begins = sighting.start_ms as f64 - sighting.excerpt_ms as f64;
        let vote = Vote { begins, stretch: sighting.excerpt_ms, weight: f64::from(sighting.score) };
        by_video.entry(&sighting.id).or_default().push(vote);
    }
    let mut found = Vec::new();
    for (id, mut votes) in by_video {
        votes.sort_by(|a, b| a.begins.total_cmp(&b.begins));
        while let Some((range, sum)) = best_cluster(&votes, tolerance_ms as f64) {
            let begins = weighted_median(&votes[range.clone()]).max(0.0).round() as u64;
            let score = (sum / stretches.len() as f64) as f32;
            found.push(Moment {
                id: id.clone(),
                start_ms: begins,
                end_ms: begins + length_ms,
                score,
            });
            votes.drain(range);
        }
    }
    found.sort_by(|a, b| {
        b.score.total_cmp(&a.score).then_with(|| a.id.cmp(&b.id)).then(a.start_ms.cmp(&b.start_ms))
    });
    found
}

/// Returns the pairs of stretches of one video that are at most `gap_ms` apart, the nearest first; of
/// each stretch, `place` says the video and when it begins and ends. Every first stretch is paired with
/// every second one, so both lists should be as short as answers are.
pub fn meetings<T: Clone>(
    first: &[T],
    second: &[T],
    gap_ms: u64,
    place: impl Fn(&T) -> (DocumentId, u64, u64),
) -> Vec<Meeting<T>> {
    let mut found = Vec::new();
    for one in first {
        let (id, start, end) = place(one);
        for other in second {
            let (other_id, other_start, other_end) = place(other);
            let apart_ms = other_start.saturating_sub(end).max(start.saturating_sub(other_end));
            if id == other_id && apart_ms <= gap_ms {
                found.push(Meeting { first: one.clone(), second: other.clone(), apart_ms });
            }
        }
    }
    // Stable, so that of equally near ones the better hits stay first.
    found.sort_by_key(|meeting| meeting.apart_ms);
    found
}

#[derive(Debug, Clone, Copy)]
struct Vote {
    begins: f64,
    stretch: u64,
    weight: f64,
}

/// Returns the votes within the tolerance that count most, and how much; none if there is no vote.
fn best_cluster(votes: &[Vote], tolerance: f64) -> Option<(std::ops::Range<usize>, f64)> {
    let mut best: Option<(std::ops::Range<usize>, f64)> = None;
    let mut end = 0;
    for start in 0..votes.len() {
        while votes.get(end).is_some_and(|vote| vote.begins - votes[start].begins <= tolerance) {
            end += 1;
        }
        let mut strongest: BTreeMap<u64, f64> = BTreeMap::new();
        for vote in &votes[start..end] {
            let weight = strongest.entry(vote.stretch).or_insert(vote.weight);
            *weight = weight.max(vote.weight);
        }
        let sum = strongest.values().sum();
        if best.as_ref().is_none_or(|(_, most)| sum > *most) {
            best = Some((start..end, sum));
        }
    }
    best
}

/// Returns the place that half of the votes, by weight, lie before.
fn weighted_median(votes: &[Vote]) -> f64 {
    let weight = |vote: &Vote| vote.weight.max(f64::MIN_POSITIVE);
    let half = votes.iter().map(weight).sum::<f64>() / 2.0;
    let mut sum = 0.0;
    for pair in votes.windows(2) {
        sum += weight(&pair[0]);
        if (sum - half).abs() < 1e-9 {
            return f64::midpoint(pair[0].begins, pair[1].begins);
        }
        if sum > half {
            return pair[0].begins;
        }
    }
    votes.last().map_or(0.0, |vote| vote.begins)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> DocumentId {
        DocumentId::new(name).unwrap()
    }

    fn sighting(name: &str, excerpt_ms: u64, start_ms: u64, score: f32) -> Sighting {
        Sighting { excerpt_ms, id: id(name), start_ms, score }
    }

    #[test]
    fn stretches_that_agree_on_the_beginning_outvote_a_better_one_alone() {
        let sightings = [
            sighting("a", 0, 10_000, 0.8),
            sighting("a", 500, 10_000, 0.8),
            sighting("a", 1_000, 12_000, 0.7),
            sighting("b", 0, 4_000, 0.99),
            sighting("b", 500, 90_000, 0.99),
            sighting("b", 1_000, 50_000, 0.99),
        ];
        let found = moments(&sightings, 3_000, 2_000);
        assert_eq!(
            found[0],
            Moment { id: id("a"), start_ms: 10_000, end_ms: 13_000, score: found[0].score }
        );
        assert!((found[0].score - 2.3 / 3.0).abs() < 1e-6);
        assert_eq!((found[1].id.as_str(), found.len()), ("b", 4));
        assert_eq!(moments(&[], 3_000, 2_000), []);
    }

    #[test]
    fn a_stretch_counts_once_however_often_it_is_seen() {
        let sightings = [
            sighting("a", 0, 1_000, 0.5),
            sighting("a", 0, 1_100, 0.6),
            sighting("a", 0, 1_200, 0.5),
            sighting("b", 0, 7_000, 0.7),
        ];
        let found = moments(&sightings, 1_000, 2_000);
        assert_eq!((found[0].id.as_str(), found[0].start_ms), ("b", 7_000));
        assert!((found[1].score - 0.6).abs() < 1e-6);
    }

    #[test]
    fn stretches_of_one_video_meet_within_the_gap() {
        let at = |name: &str, start: u64, end: u64| (id(name), start, end);
        let first = [at("a", 0, 2_000), at("b", 0, 2_000)];
        let second = [at("a", 6_000, 8_000), at("a", 1_000, 3_000), at("b", 9_000, 9_500)];
        let found = meetings(&first, &second, 5_000, Clone::clone);
        let apart: Vec<u64> = found.iter().map(|meeting| meeting.apart_ms).collect();
        assert_eq!(apart, [0, 4_000]);
        assert_eq!(found[0].second, second[1]);
        assert_eq!(meetings(&second, &first, 5_000, Clone::clone).len(), 2, "in either order");
    }
}
