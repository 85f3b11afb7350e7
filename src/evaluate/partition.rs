use std::collections::HashMap;
use std::hash::Hash;

use serde::Serialize;

/// How well found clusters agree with the true classes. Noise counts as one more cluster for all but
/// B-cubed, which takes each noise point as a cluster of its own, and the share of noise itself.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Agreement {
    /// Normalised mutual information, 0 to 1 (arithmetic mean of the entropies).
    pub nmi: f64,
    /// The Rand index adjusted for chance, at most 1 (Hubert and Arabie 1985).
    pub ari: f64,
    /// How far clusters hold one class only, 0 to 1 (Rosenberg and Hirschberg 2007).
    pub homogeneity: f64,
    /// How far classes lie in one cluster only, 0 to 1.
    pub completeness: f64,
    /// The harmonic mean of homogeneity and completeness.
    pub v_measure: f64,
    /// Precision, recall and their harmonic mean of what shares a cluster with each point (Bagga and
    /// Baldwin 1998; Amigó et al. 2009).
    pub bcubed_precision: f64,
    /// See [`Self::bcubed_precision`].
    pub bcubed_recall: f64,
    /// See [`Self::bcubed_precision`].
    pub bcubed_f1: f64,
    /// The share of points without a cluster, 0 to 1.
    pub noise: f64,
}

impl Agreement {
    /// Returns how well clusters agree with classes, a pair for each point; all zero for no points.
    pub fn of<C: Eq + Hash>(points: &[(C, Option<u32>)]) -> Self {
        if points.is_empty() {
            return Self::default();
        }
        let with_noise = Table::new(points.iter().map(|(class, cluster)| (class, *cluster)));
        // The place of a noise point keeps it apart from all others.
        let alone = Table::new(points.iter().enumerate().map(|(place, (class, cluster))| {
            (class, cluster.map_or((0, place), |cluster| (1, cluster as usize)))
        }));
        let [homogeneity, completeness, v_measure] = with_noise.v_measure();
        let [bcubed_precision, bcubed_recall, bcubed_f1] = alone.bcubed();
        let noise = points.iter().filter(|point| point.1.is_none()).count();
        Self {
            // With the arithmetic mean the two are one measure (Rosenberg and Hirschberg 2007).
            nmi: v_measure,
            ari: with_noise.adjusted_rand(),
            homogeneity,
            completeness,
            v_measure,
            bcubed_precision,
            bcubed_recall,
            bcubed_f1,
            noise: noise as f64 / points.len() as f64,
        }
    }
}

/// How many points each class and cluster share.
#[derive(Debug)]
struct Table {
    /// In the order of first appearance, so that sums do not depend on chance.
    cells: Vec<(usize, usize, f64)>,
    classes: Vec<f64>,
    clusters: Vec<f64>,
    total: f64,
}

impl Table {
    fn new<C: Eq + Hash, K: Eq + Hash>(points: impl Iterator<Item = (C, K)>) -> Self {
        let (mut classes, mut clusters) = (HashMap::new(), HashMap::new());
        let mut places = HashMap::new();
        let mut table =
            Self { cells: Vec::new(), classes: Vec::new(), clusters: Vec::new(), total: 0.0 };
        for (class, cluster) in points {
            let next = table.classes.len();
            let class = *classes.entry(class).or_insert(next);
            let next = table.clusters.len();
            let cluster = *clusters.entry(cluster).or_insert(next);
            table.classes.resize(table.classes.len().max(class + 1), 0.0);
            table.clusters.resize(table.clusters.len().max(cluster + 1), 0.0);
            let next = table.cells.len();
            let place = *places.entry((class, cluster)).or_insert(next);
            if place == next {
                table.cells.push((class, cluster, 0.0));
            }
            table.cells[place].2 += 1.0;
            table.classes[class] += 1.0;
            table.clusters[cluster] += 1.0;
            table.total += 1.0;
        }
        table
    }

    fn adjusted_rand(&self) -> f64 {
        let pairs = |count: f64| count * (count - 1.0) / 2.0;
        let together: f64 = self.cells.iter().map(|cell| pairs(cell.2)).sum();
        let classes: f64 = self.classes.iter().copied().map(pairs).sum();
        let clusters: f64 = self.clusters.iter().copied().map(pairs).sum();
        let expected = classes * clusters / pairs(self.total).max(f64::MIN_POSITIVE);
        let most = f64::midpoint(classes, clusters);
        // Both are one group, or both all groups of one: they agree.
        if (most - expected).abs() < f64::EPSILON * most.max(1.0) {
            return 1.0;
        }
        (together - expected) / (most - expected)
    }

    fn entropy(&self, counts: &[f64]) -> f64 {
        -counts.iter().map(|count| count / self.total * (count / self.total).ln()).sum::<f64>()
    }

    fn v_measure(&self) -> [f64; 3] {
        let information: f64 = self
            .cells
            .iter()
            .map(|&(class, cluster, count)| {
                let independent = self.classes[class] * self.clusters[cluster];
                count / self.total * (count * self.total / independent).ln()
            })
            .sum();
        let share = |entropy: f64| {
            if entropy > 0.0 { (information / entropy).clamp(0.0, 1.0) } else { 1.0 }
        };
        let homogeneity = share(self.entropy(&self.classes));
        let completeness = share(self.entropy(&self.clusters));
        [homogeneity, completeness, harmonic(homogeneity, completeness)]
    }

    fn bcubed(&self) -> [f64; 3] {
        let sum = |by: &dyn Fn(usize, usize) -> f64| -> f64 {
            let each = self
                .cells
                .iter()
                .map(|&(class, cluster, count)| count * count / by(class, cluster));
            each.sum::<f64>() / self.total
        };
        let precision = sum(&|_, cluster| self.clusters[cluster]);
        let recall = sum(&|class, _| self.classes[class]);
        [precision, recall, harmonic(precision, recall)]
    }
}

fn harmonic(a: f64, b: f64) -> f64 {
    if a + b > 0.0 { 2.0 * a * b / (a + b) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Case {
        classes: Vec<u32>,
        clusters: Vec<i64>,
        nmi: f64,
        ari: f64,
        homogeneity: f64,
        completeness: f64,
        v_measure: f64,
        bcubed_precision: f64,
        bcubed_recall: f64,
    }

    #[derive(Deserialize)]
    struct Reference {
        agreement: Vec<Case>,
    }

    #[track_caller]
    fn assert_near(what: &str, actual: f64, expected: f64) {
        assert!((actual - expected).abs() < 1e-9, "{what}: expected {expected}, got {actual}");
    }

    #[test]
    fn every_figure_is_that_of_scikit_learn_and_bcubed_that_of_its_definition() {
        let text = include_str!("../../tests/reference/cluster.json");
        let reference: Reference = serde_json::from_str(text).unwrap();
        assert!(reference.agreement.len() > 10);
        for case in reference.agreement {
            let cluster = |&label: &i64| u32::try_from(label).ok();
            let clusters = case.clusters.iter().map(cluster);
            let points: Vec<_> = case.classes.into_iter().zip(clusters).collect();
            let found = Agreement::of(&points);
            assert_near("nmi", found.nmi, case.nmi);
            assert_near("ari", found.ari, case.ari);
            assert_near("homogeneity", found.homogeneity, case.homogeneity);
            assert_near("completeness", found.completeness, case.completeness);
            assert_near("v", found.v_measure, case.v_measure);
            assert_near("precision", found.bcubed_precision, case.bcubed_precision);
            assert_near("recall", found.bcubed_recall, case.bcubed_recall);
            let noise = case.clusters.iter().filter(|&&label| label < 0).count();
            assert_near("noise", found.noise, noise as f64 / case.clusters.len() as f64);
        }
    }

    #[test]
    fn nothing_and_one_of_everything_have_figures() {
        assert_eq!(Agreement::of::<u32>(&[]), Agreement::default());
        let same = Agreement::of(&[("a", Some(0)), ("a", Some(0))]);
        assert_eq!((same.nmi, same.ari, same.bcubed_f1), (1.0, 1.0, 1.0));
        let noise = Agreement::of(&[("a", None), ("a", None)]);
        assert_eq!((noise.bcubed_precision, noise.bcubed_recall, noise.noise), (1.0, 0.5, 1.0));
    }
}
