//! Which of the inputs that wait are run together?
//!
//! A batch is as wide as its longest text, and what shorter ones are padded with is computed for nothing.
//! Small batches of texts of nearly one length pad little; but each run has a price of its own. So a window
//! of inputs, sorted by length, is cut where padding and runs together cost least.

use super::Item;

/// What a run costs beside its tokens, in tokens: threads that meet after each operation, and products of
/// few rows, which use the processor worse.
const RUN_TOKENS: usize = 64;

/// Cuts inputs that are sorted by modality and cost into batches: each of one modality, and none above the
/// budget when padded to its longest, but for one that is above it by itself.
pub(super) fn batches(items: Vec<Item>, tokens_max: usize) -> Vec<Vec<Item>> {
    let mut lengths = Vec::new();
    for alike in items.chunk_by(|a, b| a.input.modality() == b.input.modality()) {
        let costs: Vec<usize> = alike.iter().map(|item| item.input.cost()).collect();
        lengths.extend(cheapest(&costs, tokens_max));
    }
    let mut items = items.into_iter();
    lengths.into_iter().map(|length| items.by_ref().take(length).collect()).collect()
}

/// Returns how many inputs each batch has where all are cut as cheaply as can be. The costs ascend.
pub(in crate::embed) fn cheapest(costs: &[usize], tokens_max: usize) -> Vec<usize> {
    // For each input what it and those after it cost, and where the batch ends that it begins.
    let mut cuts = vec![(0, costs.len()); costs.len() + 1];
    for begin in (0..costs.len()).rev() {
        let padded = |end: usize| (end - begin) * costs[end - 1];
        let fits = |&end: &usize| end == begin + 1 || padded(end) <= tokens_max;
        let ends = (begin + 1..=costs.len()).take_while(fits);
        let cut = ends.map(|end| (padded(end) + RUN_TOKENS + cuts[end].0, end));
        // Of equals the larger batch: what comes first is answered first.
        cuts[begin] = cut.min_by_key(|&(cost, end)| (cost, costs.len() - end)).unwrap_or_default();
    }
    let mut lengths = Vec::new();
    let mut begin = 0;
    while begin < costs.len() {
        let end = cuts[begin].1;
        lengths.push(end - begin);
        begin = end;
    }
    lengths
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cuts costs as inputs that have them are cut.
    fn cut(mut costs: &[usize], tokens_max: usize) -> Vec<&[usize]> {
        let mut batches = Vec::new();
        for length in cheapest(costs, tokens_max) {
            let (batch, rest) = costs.split_at(length);
            batches.push(batch);
            costs = rest;
        }
        assert!(costs.is_empty(), "{costs:?} are left out");
        batches
    }

    fn price(batches: &[&[usize]]) -> usize {
        batches.iter().map(|batch| batch.len() * batch[batch.len() - 1] + RUN_TOKENS).sum()
    }

    /// Returns the least price of any way to cut, tried one by one.
    fn least(costs: &[usize], tokens_max: usize) -> usize {
        let with = |end: usize| {
            let padded = end * costs[end - 1];
            let fits = end == 1 || padded <= tokens_max;
            fits.then(|| padded + RUN_TOKENS + least(&costs[end..], tokens_max))
        };
        if costs.is_empty() { 0 } else { (1..=costs.len()).filter_map(with).min().unwrap() }
    }

    #[test]
    fn inputs_of_one_length_fill_the_budget() {
        assert_eq!(cut(&[16; 300], 2_048), [&[16; 128][..], &[16; 128], &[16; 44]]);
        assert_eq!(cut(&[], 2_048), [] as [&[usize]; 0]);
        assert_eq!(cut(&[0, 0], 2_048), [&[0, 0]]);
    }

    #[test]
    fn short_texts_are_not_padded_to_long_ones() {
        assert_eq!(cut(&[8, 8, 9, 9, 200, 210], 2_048), [&[8, 8, 9, 9][..], &[200, 210]]);
        // A few tokens more are cheaper than a run.
        assert_eq!(cut(&[8, 8, 9, 20], 2_048), [&[8, 8, 9, 20][..]]);
    }

    #[test]
    fn what_is_over_the_budget_by_itself_is_run_by_itself() {
        assert_eq!(cut(&[10, 500, 500], 400), [&[10][..], &[500], &[500]]);
    }

    #[test]
    fn no_other_way_to_cut_is_cheaper() {
        let mut state = 1_u64;
        let mut next = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            usize::try_from((state >> 33) % below).unwrap()
        };
        for _ in 0..200 {
            let mut costs: Vec<usize> = (0..=next(11)).map(|_| 1 + next(150)).collect();
            costs.sort_unstable();
            let tokens_max = 100 + next(600);
            let batches = cut(&costs, tokens_max);
            assert_eq!(batches.concat(), costs);
            assert_eq!(price(&batches), least(&costs, tokens_max), "{costs:?} {tokens_max}");
            for batch in batches {
                let padded = batch.len() * batch[batch.len() - 1];
                assert!(batch.len() == 1 || padded <= tokens_max, "{batch:?} {tokens_max}");
            }
        }
    }
}
