//! Documents that expire: invisible from their time on, removed soon after.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use super::commit::{Committer, Write};
use super::engine::Engine;
use super::error::Error;
use super::records::{EXPIRIES, Run};
use super::view::View;
use crate::document::DocumentId;

/// How many expired documents are removed in a row.
const REMOVED_MAX: usize = 4_096;

/// When the documents of the newest view expire.
#[derive(Debug, Default)]
pub(super) struct Expiries(Mutex<BTreeSet<(u64, u32, u32)>>);

impl Expiries {
    /// Notes when a version expires, in milliseconds since 1970.
    pub(super) fn insert(&self, expires: u64, run: Run) {
        self.lock().insert((expires, run.first, run.count));
    }

    /// Forgets a version that is gone.
    pub(super) fn remove(&self, expires: u64, run: Run) {
        self.lock().remove(&(expires, run.first, run.count));
    }

    /// Returns whether nothing will expire.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Returns the versions that have expired.
    fn expired(&self, now: u64) -> Vec<Run> {
        let expiries = self.lock();
        let expired = expiries.range(..(now.saturating_add(1), 0, 0));
        expired.map(|&(_, first, count)| Run { first, count }).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeSet<(u64, u32, u32)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine {
    /// Returns the time in milliseconds since 1970.
    pub(super) fn now(&self) -> u64 {
        (self.clock.0)()
    }

    /// Returns the newest view without what has expired since.
    pub(super) fn unexpired(&self) -> Arc<View> {
        let view = self.views.current();
        let expired = self.expiries.expired(self.now());
        if expired.is_empty() {
            return view;
        }
        // The view that was taken stays alive with this one: what it shows is not cleared yet.
        let mut shown = View::clone(&view);
        for run in expired {
            shown.live.remove_range(run.slots());
            shown.starts.remove(run.first);
        }
        shown.shown_by = Some(view);
        Arc::new(shown)
    }

    /// Reads from the tables when documents expire.
    pub(super) fn load_expiries(&self) -> Result<(), Error> {
        for row in self.database.scan(&EXPIRIES) {
            let ((expires, first), record) = row?;
            self.expiries.insert(expires, Run { first, count: record.parts });
        }
        Ok(())
    }
}

/// Removes what has expired, and waits until it is gone.
pub(super) fn remove_expired(engine: &Engine, committer: &Committer) -> Result<(), Error> {
    let now = engine.now();
    if engine.expiries.expired(now).is_empty() {
        return Ok(());
    }
    let mut waiting = Vec::new();
    for row in engine.database.range(&EXPIRIES, ..=(now, u32::MAX)).take(REMOVED_MAX) {
        let ((_, first), record) = row?;
        let id = DocumentId::new(record.id)?;
        waiting.push(committer.send(Write::Expire(id, first))?);
    }
    for done in waiting {
        committer.wait(&done)?;
    }
    Ok(())
}
