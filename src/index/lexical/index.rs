use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use super::folder::{Committed, Folder, contain};
use super::plan::{plan, visible};
use super::ranking::rank;
use super::schema::{Fields, PendingPart};
use super::selection::{DocumentOf, select};
use super::snippet::Highlighter;
use super::tail::{Tail, TailSegment};
use super::view::View;
use super::{LexicalError, LexicalOptions, LexicalPart, LexicalQuery, LexicalStatistics, Snippet};
use crate::cancel::Cancellation;
use crate::document::{FieldTypes, Filter, FilterError, Payload, Sequence, Slot, SlotSet};
use crate::fail;
use crate::vector::Score;

/// The lexical index of a collection. Shared between threads; searches and additions go on beside
/// each other and beside a commit.
#[derive(Debug)]
pub struct LexicalIndex {
    path: PathBuf,
    options: LexicalOptions,
    fields: Fields,
    /// Replaced by [`Self::rebuild`] only.
    folder: Mutex<Arc<Folder>>,
    /// Held by whoever commits or settles.
    committing: Mutex<()>,
    /// Held by whoever indexes the tail; taken before `state`.
    indexing: Mutex<()>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    committed: Arc<Committed>,
    tail: Tail,
    /// The view of both, until one of them changes.
    view: Option<Arc<View>>,
}

/// What a folder ends with until it is complete.
const UNFINISHED: &str = "unfinished";

impl LexicalIndex {
    /// Opens the index in the folder, which is created if it is not there.
    ///
    /// # Errors
    /// [`LexicalError::Corrupt`] if the folder holds something that is no index of this build, or a
    /// damaged one: the caller deletes the folder, opens again and adds everything anew.
    /// [`LexicalError::Io`] (unavailable) if the folder cannot be read or written.
    pub fn open(folder: &Path, options: &LexicalOptions) -> Result<Self, LexicalError> {
        let path = folder.to_owned();
        remove_folder(&path.with_extension(UNFINISHED))?;
        let (folder, committed) = Folder::open(folder, options)?;
        let tail = Tail::new(committed.sequence);
        let state = State { committed: Arc::new(committed), tail, view: None };
        Ok(Self {
            path,
            options: options.clone(),
            fields: folder.fields(),
            folder: Mutex::new(Arc::new(folder)),
            committing: Mutex::new(()),
            indexing: Mutex::new(()),
            state: Mutex::new(state),
        })
    }

    /// Returns the last mutation that the folder holds: those after it are to be added again after
    /// opening.
    pub fn applied(&self) -> Sequence {
        self.state().committed.sequence
    }

    /// Adds parts; searches that begin afterwards see them. A slot that the index holds is replaced.
    /// Takes microseconds: the words are looked at by the next search or commit.
    ///
    /// # Errors
    /// None at present; the signature leaves room for limits.
    pub fn add(&self, sequence: Sequence, parts: &[LexicalPart<'_>]) -> Result<(), LexicalError> {
        let mut shared: Option<(&Payload, Arc<Payload>)> = None;
        let mut state = self.state();
        for part in parts {
            // The parts of a document come with the same payload.
            let payload = match &shared {
                Some((last, payload)) if std::ptr::eq(*last, part.payload) => Arc::clone(payload),
                _ => Arc::new(part.payload.clone()),
            };
            shared = Some((part.payload, Arc::clone(&payload)));
            state.tail.add(sequence, PendingPart::new(part, payload));
        }
        state.tail.remove(sequence, &SlotSet::new());
        state.view = None;
        Ok(())
    }

    /// Forgets slots that are no longer live, so that merges reclaim their space.
    ///
    /// # Errors
    /// None at present; the signature leaves room for limits.
    pub fn remove(&self, sequence: Sequence, slots: &SlotSet) -> Result<(), LexicalError> {
        let mut state = self.state();
        state.tail.remove(sequence, slots);
        state.view = None;
        Ok(())
    }

    /// Moves what was added so far to the folder, durably, and returns the mutation up to which the
    /// folder is complete. Takes 100 ms and more: for a background thread. Additions and searches
    /// go on meanwhile; a second commit waits.
    ///
    /// # Errors
    /// [`LexicalError::Io`] (unavailable) or [`LexicalError::Engine`] (internal); everything stays
    /// searchable, and the next commit tries again. [`LexicalError::Corrupt`] if the folder was
    /// damaged from outside.
    pub fn commit(&self) -> Result<Sequence, LexicalError> {
        let _committing = self.committing.lock().unwrap_or_else(PoisonError::into_inner);
        let (taken, before) = {
            let state = self.state();
            if state.tail.is_empty() && state.tail.sequence() == state.committed.sequence {
                return Ok(state.committed.sequence);
            }
            (state.tail.take(), Arc::clone(&state.committed))
        };
        let committed =
            self.folder().commit(taken.sequence, &taken.parts, &taken.removed, &before)?;
        // Whoever indexes the tail at this moment would install parts that are gone from it.
        let _indexing = self.indexing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.state();
        state.tail.drop_taken(&taken);
        state.committed = Arc::new(committed);
        state.view = None;
        Ok(taken.sequence)
    }

    /// Waits for merges that commits have started and gives up the threads and the memory that
    /// writing took. For a background thread with nothing else to do.
    ///
    /// # Errors
    /// [`LexicalError::Engine`] (internal) if a merge failed; the index stays as it was.
    pub fn settle(&self) -> Result<(), LexicalError> {
        let _committing = self.committing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(committed) = self.folder().settle()? {
            let mut state = self.state();
            state.committed = Arc::new(committed);
            state.view = None;
        }
        Ok(())
    }

    /// Returns the slots that the index holds.
    pub fn slots(&self) -> SlotSet {
        let state = self.state();
        (&state.committed.slots - state.tail.masked()) | state.tail.slots()
    }

    /// Returns the fingerprint of every part that the index holds, by slot: what
    /// [`LexicalPart::fingerprint`] says of the same part.
    ///
    /// # Errors
    /// [`LexicalError::Corrupt`] if the folder was damaged since it was opened.
    pub fn fingerprints(&self) -> Result<HashMap<u32, u64>, LexicalError> {
        let (committed, masked, pending) = {
            let state = self.state();
            let pending: Vec<Arc<PendingPart>> = state.tail.live().cloned().collect();
            (Arc::clone(&state.committed), state.tail.masked(), pending)
        };
        let mut fingerprints = committed.fingerprints()?;
        fingerprints.retain(|&slot, _| !masked.contains(slot));
        fingerprints.extend(pending.iter().map(|part| (part.slot.0, part.fingerprint())));
        Ok(fingerprints)
    }

    /// Reads every file of the folder and compares its checksum.
    ///
    /// # Errors
    /// [`LexicalError::Corrupt`] naming the files that are not as they were written, or gone;
    /// [`Self::rebuild`] is the way out. [`LexicalError::Io`] (unavailable).
    pub fn verify_files(&self) -> Result<(), LexicalError> {
        let _committing = self.committing.lock().unwrap_or_else(PoisonError::into_inner);
        self.folder().verify()
    }

    /// Builds the folder anew from what `fill` hands over, and puts it in the place of the old one.
    /// Searches go on over the old one meanwhile, and additions are kept; commits wait.
    ///
    /// `fill` hands over every live part, each once, and returns the mutation up to which they are
    /// complete: not before the last one that was added before the call.
    ///
    /// # Errors
    /// What `fill` says; [`LexicalError::Io`] (unavailable). The index is then as it was.
    pub fn rebuild<E: From<LexicalError>>(
        &self,
        fill: impl FnOnce(
            &mut dyn FnMut(&[LexicalPart<'_>]) -> Result<(), LexicalError>,
        ) -> Result<Sequence, E>,
    ) -> Result<(), E> {
        let _committing = self.committing.lock().unwrap_or_else(PoisonError::into_inner);
        let unfinished = self.path.with_extension(UNFINISHED);
        remove_folder(&unfinished)?;
        let (fresh, before) = Folder::open(&unfinished, &self.options)?;
        let sequence = fill(&mut |parts| {
            parts.iter().try_for_each(|part| {
                fresh.write(Arc::new(PendingPart::new(part, Arc::new(part.payload.clone()))))
            })
        })?;
        drop(fresh.commit(sequence, &[], &SlotSet::new(), &before)?);
        fresh.settle()?;
        drop((fresh, before));
        // Whoever indexes the tail at this moment goes by what the old folder holds.
        let _indexing = self.indexing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut folder = self.folder.lock().unwrap_or_else(PoisonError::into_inner);
        // The old folder is damaged: what its merges come to does not matter.
        drop(folder.settle());
        remove_folder(&self.path)?;
        fail::reached("lexical: between removing and renaming", &self.path);
        move_folder(&unfinished, &self.path)?;
        let (opened, committed) = Folder::open(&self.path, &self.options)?;
        *folder = Arc::new(opened);
        let mut state = self.state();
        state.committed = Arc::new(committed);
        state.view = None;
        Ok(())
    }

    /// Indexes what was added since the last search, so that the next one does not wait for it.
    ///
    /// # Errors
    /// [`LexicalError::Engine`] (internal) if the engine fails.
    pub fn refresh(&self) -> Result<(), LexicalError> {
        self.view().map(drop)
    }

    /// Returns the best `limit` of the allowed slots with their BM25 scores, best first, ties by
    /// slot. Slots that match nothing of the query are not among them.
    ///
    /// # Errors
    /// [`LexicalError::Query`] (invalid input) if the query is malformed or too large;
    /// [`LexicalError::Interrupted`] if it was cancelled; [`LexicalError::Corrupt`] if the folder
    /// was damaged since it was opened.
    pub fn search(
        &self,
        query: &LexicalQuery<'_>,
        allowed: &SlotSet,
        limit: usize,
        cancel: &Cancellation,
    ) -> Result<Vec<(Slot, Score)>, LexicalError> {
        cancel.check()?;
        let view = self.view()?;
        contain("searching", || match plan(&view, query)? {
            Some(plan) if limit > 0 && !allowed.is_empty() => {
                rank(&view, &plan, allowed, limit, cancel)
            }
            _ => Ok(Vec::new()),
        })
    }

    /// Returns the live slots of the documents that the filter means; the filter is checked against
    /// the fields first.
    ///
    /// # Errors
    /// [`LexicalError::Filter`] (invalid input) if the filter does not fit the fields;
    /// [`LexicalError::Corrupt`] if the folder was damaged since it was opened.
    pub fn evaluate(
        &self,
        filter: &Filter,
        fields: &FieldTypes,
        live: &SlotSet,
    ) -> Result<SlotSet, LexicalError> {
        self.evaluate_with(filter, fields, live, &|_| {
            let reason = "this filter needs the payloads of documents".to_owned();
            Err(LexicalError::Filter(FilterError::Malformed(reason)))
        })
    }

    /// As [`Self::evaluate`], for filters of all kinds: where terms do not tell whether one and the
    /// same element satisfies several conditions, or whether a place lies within a circle, the
    /// documents that may be meant are asked for.
    ///
    /// # Errors
    /// As [`Self::evaluate`], and what `document_of` says.
    pub fn evaluate_with(
        &self,
        filter: &Filter,
        fields: &FieldTypes,
        live: &SlotSet,
        document_of: DocumentOf<'_>,
    ) -> Result<SlotSet, LexicalError> {
        filter.check(fields)?;
        let live_only = |slot: Slot| {
            if live.contains(slot.0) { document_of(slot) } else { Ok(None) }
        };
        let (committed, masked, pending) = {
            let state = self.state();
            let pending: Vec<Arc<PendingPart>> = state.tail.live().cloned().collect();
            (Arc::clone(&state.committed), state.tail.masked(), pending)
        };
        contain("filtering", || {
            let view = View::of_folder(&committed, masked, self.fields)?;
            let mut slots = SlotSet::new();
            for leaf in &view.leaves {
                slots |= select(leaf, view.fields, filter, &live_only)?;
            }
            let is_meant = |part: &&Arc<PendingPart>| filter.matches(&part.payload, &part.document);
            slots.extend(pending.iter().filter(is_meant).map(|part| part.slot.0));
            Ok(slots & live)
        })
    }

    /// Returns what shows in texts where the query matches.
    ///
    /// # Errors
    /// As [`Self::search`].
    pub fn highlighter(&self, query: &LexicalQuery<'_>) -> Result<Highlighter, LexicalError> {
        let view = self.view()?;
        contain("highlighting", || Ok(Highlighter::new(visible(&view, query)?, view.languages()?)))
    }

    /// Returns the stretch of one text, of about `letters_max` letters, that shows best why the
    /// query found it; for several texts, [`Self::highlighter`] does the work on the query once.
    /// Nothing if no word of the query stands in the text, or if it is no query.
    pub fn snippet(
        &self,
        query: &LexicalQuery<'_>,
        text: &str,
        letters_max: usize,
    ) -> Option<Snippet> {
        self.highlighter(query).ok()?.snippet(text, letters_max)
    }

    /// Returns what the index holds at the moment.
    pub fn statistics(&self) -> LexicalStatistics {
        let state = self.state();
        let segments = state.committed.searcher.segment_readers();
        let (parts_pending, pending_bytes) = state.tail.size();
        LexicalStatistics {
            parts_committed: segments.iter().map(|segment| u64::from(segment.max_doc())).sum(),
            parts_pending: parts_pending as u64,
            pending_bytes: pending_bytes as u64,
            segments: segments.len(),
        }
    }

    /// Returns a view that has everything that was added before the call.
    fn view(&self) -> Result<Arc<View>, LexicalError> {
        if let Some(view) = &self.state().view {
            return Ok(Arc::clone(view));
        }
        let _indexing = self.indexing.lock().unwrap_or_else(PoisonError::into_inner);
        let unindexed = {
            let state = self.state();
            if let Some(view) = &state.view {
                return Ok(Arc::clone(view));
            }
            state.tail.unindexed()
        };
        let fields = self.fields;
        let segments: Vec<TailSegment> = unindexed
            .into_par_iter()
            .map(|unindexed| TailSegment::build(unindexed, fields))
            .collect::<Result<_, _>>()?;
        let mut state = self.state();
        for segment in segments {
            state.tail.install(segment);
        }
        let view = contain("reading its segments", || {
            View::of_all(&state.committed, &state.tail, fields)
        })?;
        let view = Arc::new(view);
        // Parts that came meanwhile are for the next search.
        if state.tail.is_indexed() {
            state.view = Some(Arc::clone(&view));
        }
        Ok(view)
    }

    fn folder(&self) -> Arc<Folder> {
        Arc::clone(&self.folder.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn remove_folder(folder: &Path) -> Result<(), LexicalError> {
    match fs_err::remove_dir_all(folder) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(LexicalError::Io { action: "remove a folder", source })
        }
        _ => Ok(()),
    }
}

/// Renames a folder, durably.
fn move_folder(from: &Path, to: &Path) -> Result<(), LexicalError> {
    let above = to.parent().unwrap_or(Path::new("."));
    fs_err::rename(from, to)
        .and_then(|()| fs_err::File::open(above)?.sync_all())
        .map_err(|source| LexicalError::Io { action: "rename its folder", source })
}
