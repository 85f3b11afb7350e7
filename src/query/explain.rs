use crate::document::DocumentId;

/// Why a document is or is not among the hits of a search.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The document.
    pub id: DocumentId,
    /// What became of it.
    pub verdict: Verdict,
    /// What each leg says of it, whether it is among the hits or not.
    pub legs: Vec<LegExplanation>,
    /// Each condition of the filter that all have to hold, in words, and whether it does.
    pub conditions: Vec<(String, bool)>,
}

/// What a search makes of a document.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict {
    /// It is not stored.
    NotStored,
    /// The filter does not mean it.
    Filtered,
    /// It is an example of the search, and these are left out.
    Example,
    /// No leg finds it.
    NotFound,
    /// The legs find it, but each after so many others that none hands it on.
    BeyondLegs {
        /// How many passages a leg hands on.
        limit: usize,
    },
    /// Its score is below the threshold.
    BelowThreshold {
        /// Its score.
        score: f32,
        /// The threshold.
        threshold: f32,
    },
    /// It stands before or after what is shown.
    Outside {
        /// Its rank, from 1.
        rank: usize,
        /// The first rank that is shown.
        first: usize,
        /// The last one.
        last: usize,
        /// Its score.
        score: f32,
    },
    /// It is among the hits.
    Shown {
        /// Its rank, from 1.
        rank: usize,
        /// Its score.
        score: f32,
    },
}

/// What one leg says of a document.
#[derive(Debug, Clone, PartialEq)]
pub struct LegExplanation {
    /// The leg.
    pub leg: String,
    /// The rank and score among all that the filter means, compared one by one; none if the leg does
    /// not find it at all (no such words, no vector of this name).
    pub found: Option<(u32, f32)>,
    /// The rank in the search as it was asked, if the leg hands it on.
    pub rank: Option<u32>,
    /// What the leg adds to the joined score.
    pub contribution: f32,
}

impl Explanation {
    /// Returns the verdict as a sentence.
    pub fn sentence(&self) -> String {
        let id = &self.id;
        match self.verdict {
            Verdict::NotStored => format!("`{id}` is not stored in this collection"),
            Verdict::Filtered => {
                let failed: Vec<&str> = self
                    .conditions
                    .iter()
                    .filter(|(_, holds)| !holds)
                    .map(|(words, _)| words.as_str())
                    .collect();
                format!("`{id}` is left out by the filter: {} does not hold", failed.join(", "))
            }
            Verdict::Example => format!("`{id}` is an example of the search itself"),
            Verdict::NotFound => format!(
                "`{id}` is found by none of the legs ({}): it has none of the words, and no vector \
                 that is compared",
                self.legs.iter().map(|leg| leg.leg.as_str()).collect::<Vec<_>>().join(", ")
            ),
            Verdict::BeyondLegs { limit } => format!(
                "`{id}` is found, but later than the first {limit} passages that each leg hands on: \
                 ask for more hits, or narrow the filter"
            ),
            Verdict::BelowThreshold { score, threshold } => {
                format!("`{id}` scores {score}, less than the threshold {threshold}")
            }
            Verdict::Outside { rank, first, last, score } => format!(
                "`{id}` has rank {rank} with score {score}; shown are the ranks {first} to {last}"
            ),
            Verdict::Shown { rank, score } => {
                format!("`{id}` has rank {rank} with score {score}")
            }
        }
    }
}
