use crate::vector::{Metric, kernel};

/// Returns the share of items whose nearest other item, by these vectors, has the same label: the
/// leave-one-out accuracy of the nearest neighbour (Cover, Hart 1967). Of equally near ones the first
/// counts. An item without a vector is near nothing and counts as wrong. None if there are fewer than two
/// items.
///
/// # Panics
/// There are other numbers of vectors and labels, or vectors of several lengths.
pub fn nearest_accuracy(
    vectors: &[Option<&[f32]>],
    labels: &[usize],
    metric: Metric,
) -> Option<f64> {
    assert_eq!(vectors.len(), labels.len(), "each vector has a label");
    if vectors.len() < 2 {
        return None;
    }
    let lengths: Vec<f32> =
        vectors.iter().map(|vector| vector.map_or(0.0, |v| kernel::dot(v, v).sqrt())).collect();
    let nearness = |a: usize, b: usize| -> Option<f32> {
        let (first, second) = (vectors[a]?, vectors[b]?);
        Some(match metric {
            Metric::Cosine => {
                kernel::dot(first, second) / (lengths[a] * lengths[b]).max(f32::MIN_POSITIVE)
            }
            Metric::Dot => kernel::dot(first, second),
            Metric::Euclidean => -kernel::squared_euclidean(first, second),
        })
    };
    let is_right = |&item: &usize| {
        let mut nearest: Option<(f32, usize)> = None;
        for other in (0..vectors.len()).filter(|&other| other != item) {
            if let Some(near) = nearness(item, other)
                && nearest.is_none_or(|(most, _)| near > most)
            {
                nearest = Some((near, other));
            }
        }
        nearest.is_some_and(|(_, other)| labels[other] == labels[item])
    };
    let right = (0..vectors.len()).filter(is_right).count();
    Some(right as f64 / vectors.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_item_is_judged_by_its_nearest_other_one() {
        let vectors: [&[f32]; 5] =
            [&[1.0, 0.0], &[10.0, 1.0], &[0.0, 1.0], &[0.1, 2.0], &[9.0, 2.0]];
        let vectors = vectors.map(Some);
        // By direction the last is nearest to the second, which has the other label.
        let labels = [0, 0, 1, 1, 1];
        assert_eq!(nearest_accuracy(&vectors, &labels, Metric::Cosine), Some(0.8));
        // By distance it is so the other way round as well, and the first lies among the others.
        assert_eq!(nearest_accuracy(&vectors, &labels, Metric::Euclidean), Some(0.4));
        let mut missing = vectors;
        missing[3] = None;
        assert_eq!(nearest_accuracy(&missing, &labels, Metric::Cosine), Some(0.6));
        assert_eq!(nearest_accuracy(&vectors[..1], &labels[..1], Metric::Cosine), None);
    }
}
