//! The part of the index in memory: what was added since the last commit.
//!
//! Added parts are only put on a list. The first search after that indexes them, as a small segment
//! of the same engine, so that a search reads memory and folder by the same rules. Small segments
//! are built into larger ones as they come, so that there are few of them.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use tantivy::directory::RamDirectory;
use tantivy::{Index, ReloadPolicy, SegmentReader};

use super::LexicalError;
use super::folder::failed;
use super::schema::{Fields, PartDocument, PendingPart, schema, tokenizers};
use crate::document::{Sequence, SlotSet};

/// So many small segments of a size are built again into one, of the next size.
const TIER_RATIO: u64 = 4;
/// Larger segments are not built again: a search would wait for it.
const REBUILT_PARTS_MAX: u64 = 256;
/// More parts at once are indexed side by side.
const BUILT_PARTS_MAX: usize = 512;

/// What was added and removed since the last commit. Parts are numbered in the order of their
/// addition, and keep their numbers when those before them have been committed.
#[derive(Debug, Default)]
pub(super) struct Tail {
    /// The number of the first part in the list.
    first: u64,
    parts: VecDeque<Arc<PendingPart>>,
    /// The number of the part that holds a slot now, for slots in memory.
    latest: HashMap<u32, u64>,
    /// The keys of `latest`.
    slots: SlotSet,
    /// Slots that were removed and may be in the folder still.
    removed: SlotSet,
    sequence: Sequence,
    bytes: usize,
    /// Segments over consecutive parts from the first one on; the rest is not indexed yet.
    segments: Vec<Arc<TailSegment>>,
}

/// Consecutive parts as a segment in memory.
#[derive(Debug)]
pub(super) struct TailSegment {
    numbers: Range<u64>,
    /// None if no part of it counts any more.
    pub(super) reader: Option<SegmentReader>,
    slots: SlotSet,
}

/// Parts that are to become a segment.
#[derive(Debug)]
pub(super) struct Unindexed {
    numbers: Range<u64>,
    parts: Vec<Arc<PendingPart>>,
}

/// What one commit takes from the tail.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) sequence: Sequence,
    pub(super) parts: Vec<Arc<PendingPart>>,
    pub(super) removed: SlotSet,
    end: u64,
}

impl Tail {
    /// Returns an empty tail behind a commit.
    pub(super) fn new(sequence: Sequence) -> Self {
        Self { sequence, ..Self::default() }
    }

    /// Returns whether a commit would change nothing but the sequence number.
    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty() && self.removed.is_empty()
    }

    /// Returns the slots whose parts are in memory.
    pub(super) fn slots(&self) -> &SlotSet {
        &self.slots
    }

    pub(super) fn sequence(&self) -> Sequence {
        self.sequence
    }

    /// Returns how many parts are in memory, and about how many bytes they take.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.parts.len(), self.bytes)
    }

    pub(super) fn add(&mut self, sequence: Sequence, part: PendingPart) {
        self.sequence = self.sequence.max(sequence);
        self.latest.insert(part.slot.0, self.end());
        self.slots.insert(part.slot.0);
        self.bytes += part.bytes();
        self.parts.push_back(Arc::new(part));
    }

    pub(super) fn remove(&mut self, sequence: Sequence, slots: &SlotSet) {
        self.sequence = self.sequence.max(sequence);
        self.removed |= slots;
        for slot in &self.slots & slots {
            self.latest.remove(&slot);
        }
        self.slots -= slots;
    }

    /// Returns the slots of which the folder holds nothing that counts any more.
    pub(super) fn masked(&self) -> SlotSet {
        &self.slots | &self.removed
    }

    /// Returns the parts that count.
    pub(super) fn live(&self) -> impl Iterator<Item = &Arc<PendingPart>> {
        self.numbered().filter(|&(number, part)| self.is_live(number, part)).map(|(_, part)| part)
    }

    /// Returns the slots that count nowhere in the folder, and the segments, each with those of its
    /// slots that do not count there. What has not been indexed yet hides nothing: a search sees
    /// each slot as it was before or as it is now.
    pub(super) fn layers(&self) -> (SlotSet, Vec<(Arc<TailSegment>, SlotSet)>) {
        let mut covered = SlotSet::new();
        let mut layers = Vec::new();
        for segment in self.segments.iter().rev() {
            let is_dead = |slot: &u32| covered.contains(*slot) || !self.slots.contains(*slot);
            let masked = segment.slots.iter().filter(is_dead).collect();
            layers.push((Arc::clone(segment), masked));
            covered |= &segment.slots;
        }
        (covered | &self.removed, layers)
    }

    /// Returns what the next segments are to hold: the parts not indexed yet, together with small
    /// segments before them where those have become many. Nothing if all are indexed.
    pub(super) fn unindexed(&self) -> Vec<Unindexed> {
        if self.is_indexed() {
            return Vec::new();
        }
        let start = self.rebuilt_from(self.indexed_end());
        let mut borders: Vec<u64> = (start..self.end()).step_by(BUILT_PARTS_MAX).collect();
        borders.push(self.end());
        borders.windows(2).map(|border| self.unindexed_within(border[0]..border[1])).collect()
    }

    /// The first part of the small segments that are built again with what comes after them.
    fn rebuilt_from(&self, indexed_end: u64) -> u64 {
        let (mut start, mut tier) = (indexed_end, TIER_RATIO);
        let mut earlier = self.segments.iter().rev().peekable();
        while tier <= REBUILT_PARTS_MAX {
            let (mut tier_start, mut count) = (start, 1);
            while let Some(segment) = earlier.next_if(|segment| segment.len() < tier) {
                tier_start = segment.numbers.start;
                count += 1;
            }
            if count >= TIER_RATIO {
                start = tier_start;
            } else if tier_start < start {
                break;
            }
            tier *= TIER_RATIO;
        }
        start
    }

    fn unindexed_within(&self, numbers: Range<u64>) -> Unindexed {
        let is_wanted = |&(number, part): &(u64, &Arc<PendingPart>)| {
            numbers.contains(&number) && self.is_live(number, part)
        };
        let parts = self.numbered().filter(is_wanted).map(|(_, part)| Arc::clone(part)).collect();
        Unindexed { numbers, parts }
    }

    /// Puts a segment in the place of those that it covers; it is dropped if a commit has taken
    /// parts of it meanwhile.
    pub(super) fn install(&mut self, segment: TailSegment) {
        self.segments.retain(|other| other.numbers.end <= segment.numbers.start);
        if self.indexed_end() == segment.numbers.start {
            self.segments.push(Arc::new(segment));
        }
    }

    /// Returns everything that a commit has to write; it stays in the tail until [`Self::drop_taken`].
    pub(super) fn take(&self) -> Taken {
        Taken {
            sequence: self.sequence,
            parts: self.live().cloned().collect(),
            removed: self.removed.clone(),
            end: self.end(),
        }
    }

    /// Forgets what has been committed.
    pub(super) fn drop_taken(&mut self, taken: &Taken) {
        self.removed -= &taken.removed;
        for part in &taken.parts {
            // What was removed while it was being committed is in the folder now, and dead there.
            if !self.slots.contains(part.slot.0) {
                self.removed.insert(part.slot.0);
            }
        }
        while self.first < taken.end {
            let Some(part) = self.parts.pop_front() else { break };
            if self.latest.get(&part.slot.0) == Some(&self.first) {
                self.latest.remove(&part.slot.0);
                self.slots.remove(part.slot.0);
            }
            self.bytes -= part.bytes();
            self.first += 1;
        }
        // A segment that reaches over the border is built again from what is left.
        let first = self.first;
        self.segments.retain(|segment| segment.numbers.start >= first);
        if self.segments.first().is_some_and(|segment| segment.numbers.start > first) {
            self.segments.clear();
        }
    }

    /// Returns whether segments hold every part.
    pub(super) fn is_indexed(&self) -> bool {
        self.indexed_end() == self.end()
    }

    fn indexed_end(&self) -> u64 {
        self.segments.last().map_or(self.first, |segment| segment.numbers.end)
    }

    fn end(&self) -> u64 {
        self.first + self.parts.len() as u64
    }

    fn numbered(&self) -> impl Iterator<Item = (u64, &Arc<PendingPart>)> {
        (self.first..).zip(&self.parts)
    }

    fn is_live(&self, number: u64, part: &PendingPart) -> bool {
        self.latest.get(&part.slot.0) == Some(&number)
    }
}

impl TailSegment {
    fn len(&self) -> u64 {
        self.numbers.end - self.numbers.start
    }

    /// Indexes parts in memory.
    pub(super) fn build(unindexed: Unindexed, fields: Fields) -> Result<Self, LexicalError> {
        // Decides only how large a table of terms begins; it grows as it has to.
        const TABLE_BYTES: usize = 400_000;
        let Unindexed { numbers, parts } = unindexed;
        if parts.is_empty() {
            return Ok(Self { numbers, reader: None, slots: SlotSet::new() });
        }
        let build = || {
            let slots = parts.iter().map(|part| part.slot.0).collect();
            let (schema, _) = schema();
            let mut writer = Index::builder()
                .schema(schema)
                .tokenizers(tokenizers())
                .single_segment_index_writer(RamDirectory::create(), TABLE_BYTES)?;
            for part in parts {
                writer.add_document(PartDocument { part, fields, has_payload: false })?;
            }
            let index = writer.finalize()?;
            let reader = index
                .reader_builder()
                .reload_policy(ReloadPolicy::Manual)
                .doc_store_cache_num_blocks(0)
                .try_into()?;
            let reader = reader.searcher().segment_reader(0).clone();
            Ok(Self { numbers, reader: Some(reader), slots })
        };
        build().map_err(|error: tantivy::TantivyError| failed("index in memory", error))
    }
}
