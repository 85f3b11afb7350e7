use crate::cancel::{Cancellation, Interrupted};

/// How a piece of work is seeded, watched and ended.
#[derive(Clone, Copy)]
pub struct Work<'a> {
    /// Decides whatever is left to chance.
    pub seed: u64,
    /// Told what is being done, and how many of how many steps of it are.
    pub progress: &'a (dyn Fn(&'static str, usize, usize) + Sync),
    /// Ends the work early.
    pub cancel: &'a Cancellation,
}

impl Work<'_> {
    /// Says how far the work is, unless it has to stop.
    pub(super) fn step(
        &self,
        what: &'static str,
        done: usize,
        total: usize,
    ) -> Result<(), Interrupted> {
        self.cancel.check()?;
        (self.progress)(what, done, total);
        Ok(())
    }
}

impl std::fmt::Debug for Work<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Work").field("seed", &self.seed).finish_non_exhaustive()
    }
}

/// Work that nobody watches, for tests.
#[cfg(test)]
pub(super) fn unwatched(cancel: &Cancellation) -> Work<'_> {
    Work { seed: 7, progress: &|_, _, _| {}, cancel }
}
