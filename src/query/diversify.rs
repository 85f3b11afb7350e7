/// How unlike one another hits are to be: maximal marginal relevance (Carbonell and Goldstein 1998).
#[derive(Debug, Clone, PartialEq)]
pub struct Diversity {
    /// How much relevance counts against being unlike what stands above, 0 to 1; 1 leaves the order
    /// as it is.
    pub relevance: f32,
    /// From how many of the best hits is chosen; none: four times as many as are wanted, at least 100.
    pub candidates: Option<usize>,
    /// The dense vector by which hits are compared; none: that of the search, or the only one.
    pub vector: Option<String>,
}

impl Default for Diversity {
    fn default() -> Self {
        Self { relevance: 0.5, candidates: None, vector: None }
    }
}

/// Returns the places of `wanted` candidates in the order in which they are chosen.
///
/// `scores` stand best first. The first is chosen first; each further one has the greatest
/// `relevance * score - (1 - relevance) * similarity`, where scores are scaled to 0..1 over the
/// candidates and the similarity is that to the most similar of those chosen before. Equal ones are
/// chosen in their order. Takes time in proportion to candidates times chosen ones.
pub fn diversify(
    scores: &[f32],
    similarity: impl Fn(usize, usize) -> f32,
    relevance: f32,
    wanted: usize,
) -> Vec<usize> {
    let (best, worst) = (scores.first().copied(), scores.last().copied());
    let (Some(best), Some(worst)) = (best, worst) else { return Vec::new() };
    let width = best - worst;
    let scaled = |score: f32| if width > 0.0 { (score - worst) / width } else { 1.0 };
    let mut left: Vec<usize> = (0..scores.len()).collect();
    let mut nearest = vec![f32::NEG_INFINITY; scores.len()];
    let mut chosen = Vec::with_capacity(wanted.min(scores.len()));
    while chosen.len() < wanted && !left.is_empty() {
        let value = |&place: &usize| {
            let other = if chosen.is_empty() { 0.0 } else { nearest[place] };
            relevance * scaled(scores[place]) - (1.0 - relevance) * other
        };
        let mut pick = 0;
        for at in 1..left.len() {
            if value(&left[at]) > value(&left[pick]) {
                pick = at;
            }
        }
        let place = left.remove(pick);
        chosen.push(place);
        for &other in &left {
            nearest[other] = nearest[other].max(similarity(place, other));
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Points on a line; near ones are similar.
    fn similar(points: &[f32]) -> impl Fn(usize, usize) -> f32 {
        move |a, b| 1.0 - (points[a] - points[b]).abs()
    }

    #[test]
    fn what_is_like_a_hit_above_comes_later() {
        let scores = [1.0, 0.99, 0.5, 0.0];
        let points = [0.0, 0.01, 0.9, 0.5];
        assert_eq!(diversify(&scores, similar(&points), 1.0, 4), [0, 1, 2, 3]);
        assert_eq!(diversify(&scores, similar(&points), 0.5, 4), [0, 2, 1, 3]);
        assert_eq!(diversify(&scores, similar(&points), 0.0, 2), [0, 2]);
    }

    #[test]
    fn equal_scores_keep_their_order_where_nothing_else_tells() {
        assert_eq!(diversify(&[0.5; 3], |_, _| 0.0, 0.5, 9), [0, 1, 2]);
        assert_eq!(diversify(&[], |_, _| 0.0, 0.5, 9), Vec::<usize>::new());
    }
}
