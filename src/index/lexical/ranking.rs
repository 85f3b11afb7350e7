//! Which documents answer best?

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use tantivy::postings::Postings as _;
use tantivy::query::{Bm25Weight, Query as _, Weight};
use tantivy::schema::IndexRecordOption;
use tantivy::{DocSet as _, TERMINATED};

use super::LexicalError;
use super::folder::failed;
use super::plan::{Plan, Refinement};
use super::view::{Leaf, View};
use crate::cancel::Cancellation;
use crate::document::{Slot, SlotSet};
use crate::vector::Score;

/// Grams are compared for at least so many of the best documents by words; with 30 the mean
/// nDCG@10 over fourteen test collections is 0.0002 lower.
const COMPARED_MIN: usize = 100;
/// And for this many more than are asked for.
const COMPARED_MORE: usize = 50;
/// Where fewer than one in so many documents of a segment is allowed, those are tried one by one.
const TRIED_RATIO: u64 = 50;
/// So many documents are scored between two looks at the cancellation.
const CHECK_INTERVAL: usize = 4_096;

/// A document that matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Hit {
    score: Score,
    /// Among equal scores the lower slot comes first.
    slot: Reverse<u32>,
    leaf: usize,
    document: u32,
}

/// Returns the best allowed slots, best first.
pub(super) fn rank(
    view: &View,
    plan: &Plan<'_>,
    allowed: &SlotSet,
    limit: usize,
    cancel: &Cancellation,
) -> Result<Vec<(Slot, Score)>, LexicalError> {
    let compared =
        if plan.refinements.is_empty() { limit } else { COMPARED_MIN.max(limit + COMPARED_MORE) };
    let mut hits = best(view, plan, allowed, compared, cancel)?;
    if hits.len() > 1 {
        refine(view, plan, &mut hits, cancel)?;
    }
    hits.sort_unstable_by(|a, b| b.cmp(a));
    hits.truncate(limit);
    Ok(hits.into_iter().map(|hit| (Slot(hit.slot.0), hit.score)).collect())
}

/// The best documents by the query of the engine, in no order.
fn best(
    view: &View,
    plan: &Plan<'_>,
    allowed: &SlotSet,
    limit: usize,
    cancel: &Cancellation,
) -> Result<Vec<Hit>, LexicalError> {
    let weight = plan
        .query
        .weight(view.scoring(&plan.statistics))
        .map_err(|error| failed("weigh a query", error))?;
    let mut top = Top { heap: BinaryHeap::with_capacity(limit.min(COMPARED_MIN) + 1), limit };
    for (index, leaf) in view.leaves.iter().enumerate() {
        cancel.check()?;
        if allowed.len() * TRIED_RATIO < u64::from(leaf.reader.max_doc()) {
            try_each(&*weight, index, leaf, allowed, &mut top)?;
            continue;
        }
        let threshold = top.threshold();
        let mut scored = 0;
        let mut collect = |document, score| {
            scored += 1;
            if scored % CHECK_INTERVAL == 0 && cancel.is_ended() {
                return f32::INFINITY;
            }
            if let Some(slot) = leaf.slot(document).filter(|&slot| allowed.contains(slot)) {
                let (score, slot) = (Score(score), Reverse(slot));
                top.offer(Hit { score, slot, leaf: index, document });
            }
            top.threshold()
        };
        weight
            .for_each_pruning(threshold, &leaf.reader, &mut collect)
            .map_err(|error| failed("search", error))?;
    }
    cancel.check()?;
    Ok(top.heap.into_iter().map(|Reverse(hit)| hit).collect())
}

/// Scores the few allowed documents instead of all that match.
fn try_each(
    weight: &dyn Weight,
    index: usize,
    leaf: &Leaf,
    allowed: &SlotSet,
    top: &mut Top,
) -> Result<(), LexicalError> {
    let mut scorer = weight.scorer(&leaf.reader, 1.0).map_err(|error| failed("search", error))?;
    for document in leaf.documents_of(allowed) {
        if scorer.doc() < document && scorer.seek(document) == TERMINATED {
            break;
        }
        if scorer.doc() == document {
            let Some(slot) = leaf.slot(document) else { continue };
            let (score, slot) = (Score(scorer.score()), Reverse(slot));
            top.offer(Hit { score, slot, leaf: index, document });
        }
    }
    Ok(())
}

/// Adds to each hit what the refinements of the query are worth in it.
fn refine(
    view: &View,
    plan: &Plan<'_>,
    hits: &mut [Hit],
    cancel: &Cancellation,
) -> Result<(), LexicalError> {
    let words_mean = view.length_mean(view.fields.words)?;
    let grams_mean = view.length_mean(view.fields.grams)?;
    hits.sort_unstable_by_key(|hit| (hit.leaf, hit.document));
    for Refinement { term, weight, frequency } in &plan.refinements {
        cancel.check()?;
        let entries = view.entries(term)?;
        let found = entries.iter().flatten().map(|entry| u64::from(entry.doc_freq)).sum();
        let field = term.field();
        let length_mean = if field == view.fields.grams { grams_mean } else { words_mean };
        let frequency = frequency.unwrap_or(found).min(view.documents());
        let weight =
            Bm25Weight::for_one_term_without_explain(frequency, view.documents(), length_mean)
                .boost_by(*weight);
        for hits in hits.chunk_by_mut(|a, b| a.leaf == b.leaf) {
            let leaf = &view.leaves[hits[0].leaf];
            let Some(entry) = &entries[hits[0].leaf] else { continue };
            let mut postings = leaf
                .field(field)?
                .read_postings_from_terminfo(entry, IndexRecordOption::WithFreqs)
                .map_err(|error| failed("read postings", error))?;
            let lengths = leaf
                .reader
                .get_fieldnorms_reader(field)
                .map_err(|error| failed("read lengths", error))?;
            for hit in hits {
                if postings.doc() < hit.document {
                    postings.seek(hit.document);
                }
                if postings.doc() == hit.document {
                    let length = lengths.fieldnorm_id(hit.document);
                    hit.score.0 += weight.score(length, postings.term_freq());
                }
            }
        }
    }
    Ok(())
}

/// The best hits so far.
struct Top {
    heap: BinaryHeap<Reverse<Hit>>,
    limit: usize,
}

impl Top {
    fn offer(&mut self, hit: Hit) {
        if self.heap.len() < self.limit {
            self.heap.push(Reverse(hit));
            return;
        }
        if let Some(mut worst) = self.heap.peek_mut()
            && hit > worst.0
        {
            *worst = Reverse(hit);
        }
    }

    /// The score that a document has to exceed to be of interest. An equal score may still win by
    /// its slot.
    fn threshold(&self) -> f32 {
        match self.heap.peek() {
            Some(Reverse(worst)) if self.heap.len() >= self.limit => worst.score.0.next_down(),
            _ => f32::MIN,
        }
    }
}
