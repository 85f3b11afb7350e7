use crate::vector::Metric;

/// How many vectors a sample has, so that its mean is known to about an eighth of their spread.
pub const CHANCE_SAMPLE: usize = 64;
/// Below this many vectors a mean says nothing.
const CHANCE_SAMPLE_MIN: usize = 8;
/// A best hit whose cosine stands less than the first above chance is noise, one that stands more
/// than the second is trusted; between them trust grows evenly. Measured with `all-MiniLM-L6-v2`:
/// questions in its language stand 0.35 to 0.69 above chance (10th to 90th percentile of cranfield
/// and `XQuAD` en), those in languages it was not trained on 0.14 to 0.34 (`XQuAD` zh, th, ru). Of
/// the pairs that were tried, the joined answer falls behind the better leg least with these: see
/// "Retrieval" in `benches/README.md`.
const TRUST_FROM: f64 = 0.3;
const TRUST_FULL: f64 = 0.6;

/// What an arbitrary vector of a collection scores as an answer to one question.
///
/// Words that do not match score nothing, but every vector has some similarity to every question;
/// what counts is how far a hit stands above it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chance {
    mean: f64,
    is_cosine: bool,
}

impl Chance {
    /// Returns what the vectors of a random sample score on average; nothing for a sample too
    /// small to tell.
    ///
    /// # Panics
    /// If a vector has another dimension than the question, which the index rules out.
    pub fn of<'a>(
        metric: Metric,
        question: &[f32],
        sample: impl IntoIterator<Item = &'a [f32]>,
    ) -> Option<Self> {
        let scores: Vec<f64> =
            sample.into_iter().map(|vector| f64::from(metric.score(question, vector).0)).collect();
        (scores.len() >= CHANCE_SAMPLE_MIN).then(|| Self {
            mean: scores.iter().sum::<f64>() / scores.len() as f64,
            is_cosine: metric == Metric::Cosine,
        })
    }

    /// Returns the average score.
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// Returns how much a leg whose best hit scores `best` is to be trusted, 0 to 1. Only cosines
    /// have a scale that says so by itself; other metrics are trusted.
    pub fn trust(&self, best: f64) -> f64 {
        if self.is_cosine {
            ((best - self.mean - TRUST_FROM) / (TRUST_FULL - TRUST_FROM)).clamp(0.0, 1.0)
        } else {
            1.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trust_grows_with_the_distance_of_the_best_hit_from_chance() {
        let sample = vec![vec![0.1f32, 0.0]; CHANCE_SAMPLE_MIN];
        let of = |metric, count: usize| {
            Chance::of(metric, &[1.0, 0.0], sample[..count].iter().map(Vec::as_slice))
        };
        let chance = of(Metric::Cosine, CHANCE_SAMPLE_MIN).unwrap();
        assert!((chance.mean() - 0.1).abs() < 1e-6);
        for (best, trust) in [(0.3, 0.0), (0.4, 0.0), (0.55, 0.5), (0.7, 1.0), (0.9, 1.0)] {
            assert!((chance.trust(best) - trust).abs() < 1e-6, "best {best}");
        }
        assert_eq!(of(Metric::Dot, CHANCE_SAMPLE_MIN).unwrap().trust(0.1), 1.0);
        assert_eq!(of(Metric::Cosine, CHANCE_SAMPLE_MIN - 1), None);
    }
}
