use std::collections::HashMap;

/// The most different terms that are counted; later new ones are left out.
const TERMS_MAX: usize = 2_000_000;

/// A term that tells a cluster from the others.
#[derive(Debug, Clone, PartialEq)]
pub struct Term {
    /// The term.
    pub text: String,
    /// How much it tells: higher is more.
    pub weight: f64,
}

/// Returns the `limit` most distinctive terms of each cluster, best first: a term weighs its share of
/// the cluster's terms, times the logarithm of one plus the mean number of terms of a cluster by how
/// often the term occurs in all (class-based TF-IDF; Grootendorst 2022, section 3.3). A term counts
/// in a cluster only if two of its texts have it, where it has as many as two; and in none if more than
/// half of three or more clusters say it in every fifth text, as they do "the".
///
/// `texts` are the cluster and the terms of each text.
pub fn distinctive_terms<'t>(
    clusters: usize,
    texts: impl IntoIterator<Item = (u32, &'t [String])>,
    limit: usize,
) -> Vec<Vec<Term>> {
    let mut numbers: HashMap<&str, u32> = HashMap::new();
    let mut totals: Vec<u64> = Vec::new();
    // Of each cluster and term: how often it occurs, in how many texts, and the last of those.
    let mut counts: Vec<HashMap<u32, (u64, u32, usize)>> = vec![HashMap::new(); clusters];
    let mut sums = vec![0u64; clusters];
    let mut sizes = vec![0usize; clusters];
    for (text, (cluster, terms)) in texts.into_iter().enumerate() {
        let cluster = cluster as usize;
        sizes[cluster] += 1;
        for term in terms {
            let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
            let number = match numbers.get(term.as_str()) {
                Some(&number) => number,
                None if numbers.len() >= TERMS_MAX => continue,
                None => {
                    numbers.insert(term, next);
                    totals.push(0);
                    next
                }
            };
            totals[number as usize] += 1;
            sums[cluster] += 1;
            let entry = counts[cluster].entry(number).or_insert((0, 0, usize::MAX));
            entry.0 += 1;
            if entry.2 != text {
                (entry.1, entry.2) = (entry.1 + 1, text);
            }
        }
    }
    let mut names = vec![""; totals.len()];
    for (name, number) in numbers {
        names[number as usize] = name;
    }
    let mean = sums.iter().sum::<u64>() as f64 / clusters.max(1) as f64;
    let mut sayers = vec![0usize; totals.len()];
    for (counts, &size) in counts.iter().zip(&sizes) {
        for (&number, &(_, texts, _)) in counts {
            sayers[number as usize] += usize::from(texts as usize * 5 >= size);
        }
    }
    let is_common = |number: u32| clusters >= 3 && sayers[number as usize] * 2 > clusters;
    let best = |cluster: usize| {
        let texts_min = if sizes[cluster] >= 2 { 2 } else { 1 };
        let weigh = |(&number, &(count, texts, _)): (&u32, &(u64, u32, usize))| {
            let share = count as f64 / sums[cluster].max(1) as f64;
            let rarity = (1.0 + mean / totals[number as usize] as f64).ln();
            (texts >= texts_min && !is_common(number))
                .then_some((share * rarity, names[number as usize]))
        };
        let mut weighed: Vec<(f64, &str)> = counts[cluster].iter().filter_map(weigh).collect();
        weighed.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
        weighed.truncate(limit);
        weighed.into_iter().map(|(weight, text)| Term { text: text.to_owned(), weight }).collect()
    };
    (0..clusters).map(best).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_all_clusters_say_tells_less_than_what_one_says() {
        let texts =
            ["the sea and the boat", "the boat the sail", "the bread and the oven", "the oven"];
        let terms: Vec<Vec<String>> =
            texts.map(|text| text.split(' ').map(str::to_owned).collect()).into();
        let labelled = [0, 0, 1, 1].into_iter().zip(terms.iter().map(Vec::as_slice));
        let found = distinctive_terms(2, labelled, 2);
        let names: Vec<Vec<&str>> = found
            .iter()
            .map(|terms| terms.iter().map(|term| term.text.as_str()).collect())
            .collect();
        assert_eq!(names, [["boat", "the"], ["oven", "the"]]);
        // Cluster 1 has 7 terms, 2 of them "oven", which occurs twice among 16 in 2 clusters.
        let expected = 2.0 / 7.0 * (1.0 + 8.0 / 2.0f64).ln();
        assert!((found[1][0].weight - expected).abs() < 1e-12);
    }
}
