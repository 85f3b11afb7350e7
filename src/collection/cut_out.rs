//! Which pictures are cut out of which others: neighbours by vector, laid on each other.

use std::collections::{BTreeSet, HashMap};

use rayon::prelude::*;

use super::cluster::cancelled;
use super::error::Error;
use super::open::Collection;
use crate::cluster::{NeighbourGraph, Work};
use crate::decode::{Limits, decode_picture};
use crate::document::Slot;
use crate::picture::Glimpse;

/// How many of its nearest neighbours a picture is laid on.
const NEIGHBOURS: usize = 8;
/// More pictures than this are not laid on each other: their small pictures would fill the memory.
const PICTURES_MAX: usize = 100_000;
/// How many pairs are compared between two looks at whether to go on.
const PAIRS_AT_ONCE: usize = 2_048;

impl Collection {
    /// Returns the pairs of documents whose first parts are pictures of which one is cut out of the
    /// other, among those that are neighbours by their vectors.
    pub(super) fn cut_out(
        &self,
        starts: &[u32],
        graph: &NeighbourGraph,
        work: &Work<'_>,
    ) -> Result<Vec<(u32, u32)>, Error> {
        if starts.len() > PICTURES_MAX {
            return Ok(Vec::new());
        }
        let mut pairs = BTreeSet::new();
        for row in 0..graph.count() {
            let own = u32::try_from(row).unwrap_or(u32::MAX);
            pairs.extend(
                graph.of(row).take(NEIGHBOURS).map(|(other, _)| (own.min(other), own.max(other))),
            );
        }
        let rows: BTreeSet<u32> = pairs.iter().flat_map(|&(a, b)| [a, b]).collect();
        let mut seen: HashMap<u32, Glimpse> = HashMap::with_capacity(rows.len());
        for (read, row) in rows.iter().enumerate() {
            if read.is_multiple_of(256) {
                cancelled(work, "looking at pictures", read, rows.len())?;
            }
            let Some(jpeg) = self.engine.thumbnail(Slot(starts[*row as usize]))? else { continue };
            // A damaged thumbnail is for `verify` to tell of.
            if let Ok(picture) = decode_picture(&jpeg, &Limits::default()) {
                seen.insert(*row, Glimpse::of(&picture));
            }
        }
        let pairs: Vec<(u32, u32)> = pairs.into_iter().collect();
        let mut cut = Vec::new();
        for (done, some) in pairs.chunks(PAIRS_AT_ONCE).enumerate() {
            cancelled(work, "comparing pictures", done * PAIRS_AT_ONCE, pairs.len())?;
            cut.par_extend(some.par_iter().copied().filter(|(a, b)| {
                let both = seen.get(a).zip(seen.get(b));
                both.is_some_and(|(a, b)| a.is_cut_out(b))
            }));
        }
        Ok(cut)
    }
}
