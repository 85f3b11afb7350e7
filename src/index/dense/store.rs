use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::build::build;
use super::head::Head;
use super::manifest::{self, Manifest};
use super::plan::{SegmentSize, merge_plan};
use super::segment::{self, Searcher, Segment, sync_folder};
use super::{BuildJob, DenseError, DenseOptions, DenseStatistics, Discarded};
use crate::cancel::Cancellation;
use crate::document::{Slot, SlotSet};
use crate::fail;
use crate::vector::VectorError;

/// Merging stops short of larger segments: building one takes memory in proportion.
const SEGMENT_SLOTS_MAX: usize = 4_000_000;

/// The dense index of one vector name: a head of new vectors and sealed segments in a folder.
///
/// Searches, insertions and one background job may run at the same time; a search sees every vector
/// whose insertion returned before it began.
#[derive(Debug)]
pub struct DenseIndex {
    folder: PathBuf,
    /// Those that were opened with: dimension, metric and when to seal stay.
    pub(super) options: DenseOptions,
    /// How graphs are built from now on, and whether there may be one that was built in another way.
    shape: Mutex<(DenseOptions, bool)>,
    discarded: Vec<Discarded>,
    state: RwLock<State>,
    /// Held by the one seal or merge that runs.
    manifest: Mutex<Manifest>,
    pub(super) searchers: Mutex<Vec<Searcher>>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) head: Head,
    pub(super) segments: Arc<Vec<Arc<Segment>>>,
    pub(super) indexed: SlotSet,
    sealed: SlotSet,
}

impl DenseIndex {
    /// Opens the index in a folder, creating the folder if need be. Segments whose checksums hold
    /// are mapped; others are removed, see [`Self::discarded`]. The head starts empty: the caller
    /// inserts every live slot that is not in [`Self::sealed`].
    ///
    /// # Errors
    /// [`DenseError`]: invalid input for options out of bounds; unavailable if the file system
    /// refuses.
    pub fn open(folder: &Path, options: DenseOptions) -> Result<Self, DenseError> {
        options.check()?;
        fs_err::create_dir_all(folder)?;
        let mut discarded = Vec::new();
        let read = kept_or_discarded(Manifest::read(folder), &mut discarded)?;
        let mut manifest = read.unwrap_or_default();
        let mut state = State::default();
        let mut segments = Vec::new();
        let mut kept = Vec::new();
        for &number in &manifest.segments {
            let opened = Segment::open(&manifest::path(folder, number), &options)
                .and_then(|segment| disjoint(segment, &state.sealed));
            if let Some(segment) = kept_or_discarded(opened, &mut discarded)? {
                kept.push(number);
                state.sealed |= segment.slots();
                segments.push(Arc::new(segment));
            }
        }
        state.indexed = state.sealed.clone();
        state.segments = Arc::new(segments);
        if !discarded.is_empty() {
            manifest.segments = kept;
            manifest.next = manifest.next.max(next_number(folder)?);
            manifest.write(folder)?;
        }
        manifest.remove_leftovers(folder)?;
        Ok(Self {
            folder: folder.to_owned(),
            shape: Mutex::new((options.clone(), false)),
            options,
            discarded,
            state: RwLock::new(state),
            manifest: Mutex::new(manifest),
            searchers: Mutex::default(),
        })
    }

    /// Returns the options that the index was opened with.
    pub fn options(&self) -> &DenseOptions {
        &self.options
    }

    /// Builds graphs from now on with the links, the breadth and the quantisation of these options.
    /// Segments that are there stay as they are until they are merged; [`Self::merge_all`] does it.
    pub fn reshape(&self, options: &DenseOptions) {
        let mut shape = lock(&self.shape);
        let DenseOptions { links_max, ef_construction, quantisation, .. } = *options;
        let wanted = DenseOptions { links_max, ef_construction, quantisation, ..shape.0.clone() };
        shape.1 |= wanted != shape.0;
        shape.0 = wanted;
    }

    /// Returns what was found damaged on opening.
    pub fn discarded(&self) -> &[Discarded] {
        &self.discarded
    }

    /// Returns the slots in sealed segments, deleted ones included.
    pub fn sealed(&self) -> SlotSet {
        self.read().sealed.clone()
    }

    /// Returns every slot in the index, deleted ones included.
    pub fn slots(&self) -> SlotSet {
        self.read().indexed.clone()
    }

    /// Returns the vector of a slot as it was inserted, if the slot is in the index.
    ///
    /// # Errors
    /// [`DenseError::Corrupt`] if it fails its checksum; see [`Self::verify`].
    pub fn vector(&self, slot: Slot) -> Result<Option<Vec<f32>>, DenseError> {
        let (head, segments) = self.snapshot();
        if let Some(segment) = segments.iter().find(|segment| segment.slots().contains(slot.0)) {
            return Ok(segment.vector_of(slot)?.map(<[f32]>::to_vec));
        }
        let mut rows = head.rows(self.options.dimension);
        Ok(rows.find(|row| row.0 == slot).map(|(_, vector)| vector.to_vec()))
    }

    /// Inserts vectors, visible to searches that begin after. A slot that the index already holds
    /// is left as it is: a slot never changes its vector. For cosine the vectors have length one.
    ///
    /// # Errors
    /// [`VectorError`] (invalid input) for a vector of another dimension or with a component that
    /// is not finite; then none is inserted.
    pub fn insert(&self, items: &[(Slot, &[f32])]) -> Result<(), DenseError> {
        for (_, vector) in items {
            self.check(vector)?;
        }
        let mut state = self.write();
        let state = &mut *state;
        for &(slot, vector) in items {
            if state.indexed.insert(slot.0) {
                state.head.push(slot, vector);
            }
        }
        Ok(())
    }

    /// Returns whether the head is so full that it is time to [`Self::seal`].
    pub fn needs_seal(&self) -> bool {
        self.read().head.len() >= self.options.seal_at
    }

    /// Turns what the head holds now into a sealed segment, in the calling thread; insertions and
    /// searches go on. Returns whether there was something to seal.
    ///
    /// # Errors
    /// [`DenseError`]: unavailable if the file system refuses; cancelled as the job says. The head
    /// is then as it was.
    pub fn seal(&self, job: &BuildJob<'_>) -> Result<bool, DenseError> {
        let mut manifest = lock(&self.manifest);
        let head = self.write().head.close();
        if head.len() == 0 {
            return Ok(false);
        }
        let rows = head.rows(self.options.dimension).filter(|(slot, _)| job.live.contains(slot.0));
        let built = self.build(rows.collect(), &mut manifest, &[], job)?;
        let mut state = self.write();
        let state = &mut *state;
        for (slot, _) in head.rows(self.options.dimension) {
            state.indexed.remove(slot.0);
        }
        state.head.remove_front(&head);
        state.replace(&[], built);
        Ok(true)
    }

    /// Returns whether segments are of such sizes, or so many of their slots deleted, that it is
    /// time to [`Self::merge`].
    pub fn needs_merge(&self, live: &SlotSet) -> bool {
        !self.due(&self.snapshot().1, live).is_empty()
    }

    /// Merges the segments that are due, leaving deleted slots out, in the calling thread; all else
    /// goes on. Returns whether there was something to merge.
    ///
    /// # Errors
    /// [`DenseError`]: unavailable if the file system refuses; cancelled as the job says; corrupt
    /// if a vector fails its checksum, see [`Self::verify`]. The segments are then as they were.
    pub fn merge(&self, job: &BuildJob<'_>) -> Result<bool, DenseError> {
        let mut manifest = lock(&self.manifest);
        let segments = self.snapshot().1;
        let due = self.due(&segments, job.live);
        let due: Vec<_> = due.into_iter().map(|index| Arc::clone(&segments[index])).collect();
        self.merge_these(&due, &mut manifest, job)
    }

    /// Merges all segments into one, leaving deleted slots out. Returns whether there was something
    /// to merge.
    ///
    /// # Errors
    /// As [`Self::merge`].
    pub fn merge_all(&self, job: &BuildJob<'_>) -> Result<bool, DenseError> {
        let mut manifest = lock(&self.manifest);
        let segments = self.snapshot().1;
        let wanted = lock(&self.shape).clone();
        let is_one = segments.len() == 1
            && !wanted.1
            && segments.iter().all(|segment| {
                segment.quantisation() == wanted.0.quantisation
                    && segment.slots().is_subset(job.live)
            });
        let due: &[_] = if is_one { &[] } else { &segments };
        self.merge_these(due, &mut manifest, job)
    }

    /// Verifies every byte of every segment and removes the segments that are damaged. The caller
    /// inserts every live slot that is then not in [`Self::slots`].
    ///
    /// # Errors
    /// [`DenseError`]: unavailable if the file system refuses; cancelled as `cancel` says.
    pub fn verify(&self, cancel: &Cancellation) -> Result<Vec<Discarded>, DenseError> {
        let mut manifest = lock(&self.manifest);
        let mut discarded = Vec::new();
        let mut damaged = Vec::new();
        for segment in self.snapshot().1.iter() {
            cancel.check()?;
            if kept_or_discarded(segment.verify_all(), &mut discarded)?.is_none() {
                damaged.push(Arc::clone(segment));
            }
        }
        if !damaged.is_empty() {
            self.publish(&mut manifest, &damaged, None)?;
            self.write().replace(&damaged, None);
            remove(&damaged)?;
        }
        Ok(discarded)
    }

    /// Verifies every byte of every segment, and changes nothing; returns those that are damaged, or
    /// whose files are gone.
    ///
    /// # Errors
    /// [`DenseError`]: unavailable if the file system refuses; cancelled as `cancel` says.
    pub fn damaged(&self, cancel: &Cancellation) -> Result<Vec<Discarded>, DenseError> {
        let mut damaged = Vec::new();
        for segment in self.snapshot().1.iter() {
            cancel.check()?;
            kept_or_discarded(is_whole(segment), &mut damaged)?;
        }
        Ok(damaged)
    }

    /// Removes the segments that are damaged, and those that hold a slot that is `wrong`; their
    /// vectors and those of wrong slots stand in the head again, as `load` gives them, in the same
    /// moment: no search misses one. Returns what was removed.
    ///
    /// # Errors
    /// What `load` says; [`DenseError`]: unavailable if the file system refuses; cancelled as
    /// `cancel` says. The index is then as it was.
    pub fn heal<E: From<DenseError>>(
        &self,
        wrong: &SlotSet,
        load: &dyn Fn(Slot) -> Result<Option<Vec<f32>>, E>,
        cancel: &Cancellation,
    ) -> Result<Vec<Discarded>, E> {
        let mut manifest = lock(&self.manifest);
        let mut discarded = Vec::new();
        let mut removed = Vec::new();
        let mut missing = wrong.clone();
        for segment in self.snapshot().1.iter() {
            cancel.check().map_err(DenseError::from)?;
            if kept_or_discarded(is_whole(segment), &mut discarded)?.is_none() {
                removed.push(Arc::clone(segment));
            } else if !segment.slots().is_disjoint(wrong) {
                let reason = "it holds vectors that are not those of their slots".to_owned();
                discarded.push(Discarded { file: segment.path().to_owned(), reason });
                removed.push(Arc::clone(segment));
            }
        }
        for segment in &removed {
            missing |= segment.slots();
        }
        let mut rows = Vec::new();
        for slot in &missing {
            if let Some(vector) = load(Slot(slot))? {
                self.check(&vector)?;
                rows.push((Slot(slot), vector));
            }
        }
        self.publish(&mut manifest, &removed, None)?;
        let mut state = self.write();
        let state = &mut *state;
        state.replace(&removed, None);
        let mut head = Head::default();
        for (slot, vector) in state.head.rows(self.options.dimension) {
            if !missing.contains(slot.0) {
                head.push(slot, vector);
            }
        }
        state.indexed -= &missing;
        for (slot, vector) in &rows {
            state.indexed.insert(slot.0);
            head.push(*slot, vector);
        }
        state.head = head;
        // One that is gone already is as good as removed.
        let _gone = remove(&removed);
        Ok(discarded)
    }

    /// Returns what the index holds now.
    pub fn statistics(&self) -> DenseStatistics {
        let state = self.read();
        let mut statistics = DenseStatistics {
            head: state.head.len() as u64,
            head_bytes: state.head.bytes() as u64,
            sealed: state.sealed.len(),
            segments: state.segments.len() as u64,
            ..DenseStatistics::default()
        };
        for segment in state.segments.iter() {
            let [graph, codes, slots, vectors] = segment.bytes().map(|bytes| bytes as u64);
            statistics.graph_bytes += graph;
            statistics.code_bytes += codes;
            statistics.slot_bytes += slots;
            statistics.vector_bytes += vectors;
        }
        drop(state);
        let searchers = lock(&self.searchers);
        statistics.scratch_bytes =
            searchers.iter().map(|searcher| searcher.bytes() as u64).sum::<u64>();
        statistics
    }

    fn due(&self, segments: &[Arc<Segment>], live: &SlotSet) -> Vec<usize> {
        let count = |slots: u64| usize::try_from(slots).unwrap_or(usize::MAX);
        let sizes: Vec<SegmentSize> = segments
            .iter()
            .map(|segment| SegmentSize {
                slots: count(segment.slots().len()),
                live: count(segment.slots().intersection_len(live)),
            })
            .collect();
        merge_plan(&sizes, self.options.seal_at, SEGMENT_SLOTS_MAX)
    }

    fn merge_these(
        &self,
        due: &[Arc<Segment>],
        manifest: &mut Manifest,
        job: &BuildJob<'_>,
    ) -> Result<bool, DenseError> {
        if due.is_empty() {
            return Ok(false);
        }
        let rows = due.iter().flat_map(|segment| segment.live_rows(job.live));
        let built = self.build(rows.collect::<Result<_, _>>()?, manifest, due, job)?;
        self.write().replace(due, built);
        remove(due)?;
        Ok(true)
    }

    /// Builds, writes and publishes a segment of the rows in place of others. No rows: no segment.
    fn build(
        &self,
        mut rows: Vec<(Slot, &[f32])>,
        manifest: &mut Manifest,
        replaced: &[Arc<Segment>],
        job: &BuildJob<'_>,
    ) -> Result<Option<Arc<Segment>>, DenseError> {
        job.cancel.check()?;
        if rows.is_empty() {
            self.publish(manifest, replaced, None)?;
            return Ok(None);
        }
        rows.sort_unstable_by_key(|&(slot, _)| slot);
        let (slots, vectors): (Vec<Slot>, Vec<&[f32]>) = rows.into_iter().unzip();
        let options = lock(&self.shape).0.clone();
        let draft = build(&vectors, &options, job)?;
        job.cancel.check()?;
        let number = manifest.next;
        let path = manifest::path(&self.folder, number);
        fail::reached("dense: before a segment is written", &self.folder);
        segment::write(&path, &draft, &slots, &vectors, &options)?;
        fail::reached("dense: a segment is written", &self.folder);
        drop(draft);
        let segment = Arc::new(Segment::open(&path, &self.options)?);
        self.publish(manifest, replaced, Some(number))?;
        Ok(Some(segment))
    }

    /// Makes it durable that some segments were replaced by another, or removed.
    fn publish(
        &self,
        manifest: &mut Manifest,
        replaced: &[Arc<Segment>],
        added: Option<u64>,
    ) -> Result<(), DenseError> {
        let mut changed = manifest.clone();
        changed.segments.retain(|&number| {
            let path = manifest::path(&self.folder, number);
            !replaced.iter().any(|segment| segment.path() == path)
        });
        if let Some(number) = added {
            changed.segments.push(number);
            changed.next = number + 1;
        }
        changed.write(&self.folder)?;
        fail::reached("dense: the manifest is written", &self.folder);
        *manifest = changed;
        Ok(())
    }

    pub(super) fn check(&self, vector: &[f32]) -> Result<(), DenseError> {
        let expected = self.options.dimension;
        if vector.len() != expected {
            return Err(VectorError::DimensionMismatch { expected, actual: vector.len() }.into());
        }
        if let Some(position) = vector.iter().position(|value| !value.is_finite()) {
            return Err(VectorError::NotFinite { position, value: vector[position] }.into());
        }
        Ok(())
    }

    fn snapshot(&self) -> (Head, Arc<Vec<Arc<Segment>>>) {
        let state = self.read();
        (state.head.clone(), Arc::clone(&state.segments))
    }

    // A panic elsewhere leaves the state whole: it is changed in steps that cannot fail.
    pub(super) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Puts a segment in the place of others.
    fn replace(&mut self, replaced: &[Arc<Segment>], added: Option<Arc<Segment>>) {
        let segments = Arc::make_mut(&mut self.segments);
        segments.retain(|segment| !replaced.iter().any(|old| Arc::ptr_eq(old, segment)));
        for segment in replaced {
            self.sealed -= segment.slots();
            self.indexed -= segment.slots();
        }
        if let Some(segment) = added {
            self.sealed |= segment.slots();
            self.indexed |= segment.slots();
            segments.push(segment);
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns quietly if the file is there and every byte of it is as it was sealed.
fn is_whole(segment: &Segment) -> Result<(), DenseError> {
    fs_err::metadata(segment.path())?;
    segment.verify_all()
}

/// Returns the segment if it shares no slot with others: a file that was put in the place of another
/// is whole, but would have its slots found twice.
fn disjoint(segment: Segment, others: &SlotSet) -> Result<Segment, DenseError> {
    if segment.slots().is_disjoint(others) {
        return Ok(segment);
    }
    let shared = segment.slots().intersection_len(others);
    let reason = format!("{shared} of its slots are in another segment, too");
    Err(DenseError::Corrupt { file: segment.path().to_owned(), reason })
}

/// Returns what is whole, and notes what is not.
fn kept_or_discarded<T>(
    outcome: Result<T, DenseError>,
    discarded: &mut Vec<Discarded>,
) -> Result<Option<T>, DenseError> {
    match outcome {
        Ok(whole) => Ok(Some(whole)),
        Err(DenseError::Corrupt { file, reason }) => {
            discarded.push(Discarded { file, reason });
            Ok(None)
        }
        // A listed file that is gone is as good as damaged.
        Err(DenseError::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => {
            discarded.push(Discarded { file: PathBuf::new(), reason: error.to_string() });
            Ok(None)
        }
        Err(other) => Err(other),
    }
}

/// Returns a number above those of all segment files in the folder, whether listed or not.
fn next_number(folder: &Path) -> Result<u64, DenseError> {
    let mut next = 1;
    for entry in fs_err::read_dir(folder)? {
        let path = entry?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        if let Some(number) = stem.and_then(|stem| stem.parse::<u64>().ok()) {
            next = next.max(number.saturating_add(1));
        }
    }
    Ok(next)
}

/// Removes the files of segments that the manifest no longer lists; who still reads them has them
/// mapped.
fn remove(segments: &[Arc<Segment>]) -> Result<(), DenseError> {
    for segment in segments {
        fs_err::remove_file(segment.path())?;
        sync_folder(segment.path())?;
    }
    Ok(())
}
