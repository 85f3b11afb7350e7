//! Goes through a corpus in pieces, again and again, on several threads.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use super::error::require;
use super::{Run, TrainError};
use crate::embed::text::Random;

/// How strongly each example changes the rows: less and less.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate {
    /// At the beginning.
    pub(super) first: f32,
    /// At the end.
    pub(super) last: f32,
}

/// How much is done, of how much.
#[derive(Debug)]
pub(super) struct Clockwork {
    done: AtomicU64,
    total: u64,
}

impl Clockwork {
    /// Notes that so much more is done.
    pub(super) fn advance(&self, more: usize) {
        self.done.fetch_add(more as u64, Ordering::Relaxed);
    }

    /// Returns the rate at this point, on a straight line from the first to the last.
    pub(super) fn rate(&self, rate: Rate) -> f32 {
        let done = self.done.load(Ordering::Relaxed);
        let share = (done as f32 / self.total.max(1) as f32).min(1.0);
        rate.first - (rate.first - rate.last) * share
    }
}

/// The loss over some examples.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LossSum {
    /// Over all of them.
    pub(super) sum: f64,
    /// How many there were.
    pub(super) examples: u64,
}

/// Goes `epochs` times through `pieces`, which together amount to `amount`. Each thread works with what
/// `begin` gives it; `learn` learns from one piece with the chance that belongs to the epoch and the
/// piece, not to the thread.
///
/// # Errors
/// [`TrainError`]: interrupted; threads out of bounds.
pub(super) fn drive<Own>(
    run: Run<'_>,
    epochs: usize,
    pieces: usize,
    amount: u64,
    begin: impl Fn() -> Own + Sync,
    learn: impl Fn(&mut Own, usize, Random, &Clockwork) -> LossSum + Sync,
) -> Result<(), TrainError> {
    require((1..=1024).contains(&run.threads), "threads", run.threads, "1 to 1024")?;
    let total = amount.saturating_mul(epochs as u64);
    let clockwork = Clockwork { done: AtomicU64::new(0), total };
    let next = AtomicUsize::new(0);
    let (seed, cancel) = (run.seed, run.cancel);
    let work = |report: &mpsc::Sender<(usize, LossSum)>| {
        let mut own = begin();
        while !cancel.is_ended() {
            let turn = next.fetch_add(1, Ordering::Relaxed);
            if pieces == 0 || turn / pieces >= epochs {
                break;
            }
            let random = Random::new(seed, turn as u64 + 1);
            let loss = learn(&mut own, turn % pieces, random, &clockwork);
            if report.send((turn / pieces, loss)).is_err() {
                break;
            }
        }
    };
    thread::scope(|scope| {
        let (sender, reports) = mpsc::channel();
        for _ in 0..run.threads {
            let sender = sender.clone();
            let work = &work;
            scope.spawn(move || work(&sender));
        }
        drop(sender);
        for (epoch, loss) in reports {
            let mean = loss.sum / loss.examples.max(1) as f64;
            let name = format!("epoch {} of {epochs}, loss {mean:.3}", epoch + 1);
            (run.progress)(&name, clockwork.done.load(Ordering::Relaxed), Some(total));
        }
    });
    Ok(cancel.check()?)
}
