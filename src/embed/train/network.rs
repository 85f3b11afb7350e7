//! The network that word vectors and document vectors come out of: rows that are averaged, and an
//! output layer that tells words from the average.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use super::error::require;
use super::rows::Rows;
use super::{Run, TrainError};
use crate::embed::text::{Objective, Random, Sigmoid};
use crate::vector::kernel;

/// How many words a thread takes at a time: little enough that all threads end together, and that
/// progress and a wish to stop are seen soon.
const PIECE_TOKENS: usize = 10_000;

/// How strongly each example changes the rows: less and less.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate {
    /// At the beginning.
    pub(super) first: f32,
    /// At the end.
    pub(super) last: f32,
}

impl Rate {
    fn after(self, done: u64, total: u64) -> f32 {
        let share = (done as f32 / total.max(1) as f32).min(1.0);
        self.first - (self.first - self.last) * share
    }
}

/// What one thread works with.
#[derive(Debug)]
pub(super) struct Learner<'a, 'rows> {
    training: &'a Training<'rows>,
    sigmoid: &'a Sigmoid,
    pub(super) random: Random,
    pub(super) rate: f32,
    hidden: Vec<f32>,
    change: Vec<f32>,
    gradient: Vec<f32>,
    loss: f64,
    examples: u64,
}

impl Learner<'_, '_> {
    /// Takes the mean of the input rows for a context and learns to tell each target from it. Between
    /// the targets the mean moves as its rows do, and the rows are written once at the end.
    pub(super) fn learn(&mut self, inputs: &[u32], targets: impl Iterator<Item = u32>) {
        if inputs.is_empty() {
            return;
        }
        self.hidden.fill(0.0);
        for &row in inputs {
            self.training.input.add_to(row, &mut self.hidden);
        }
        if inputs.len() > 1 {
            let share = 1.0 / inputs.len() as f32;
            self.hidden.iter_mut().for_each(|value| *value *= share);
        }
        self.change.fill(0.0);
        for target in targets {
            self.predict(target);
            // As in word2vec and fastText, every row of the mean moves by the whole gradient; so
            // does the mean.
            for ((hidden, change), gradient) in
                self.hidden.iter_mut().zip(&mut self.change).zip(&self.gradient)
            {
                *hidden += gradient;
                *change += gradient;
            }
        }
        for &row in inputs {
            self.training.input.change(row, &self.change);
        }
    }

    /// Leaves in `gradient` how the hidden values have to change to tell the target better, and
    /// teaches the output layer.
    fn predict(&mut self, target: u32) {
        let Self { training, sigmoid, random, rate, hidden, gradient, loss, .. } = self;
        gradient.fill(0.0);
        training.objective.each(target, random, |row, label| {
            let mut row = training.output.lock(row);
            let said = sigmoid.of(kernel::dot(hidden, &row));
            *loss += f64::from((said - label).abs());
            let error = (label - said) * *rate;
            for ((row, gradient), hidden) in
                row.iter_mut().zip(gradient.iter_mut()).zip(hidden.iter())
            {
                *gradient += error * *row;
                *row += error * *hidden;
            }
        });
        self.examples += 1;
    }
}

/// What is trained and for how long.
#[derive(Debug)]
pub(super) struct Training<'a> {
    pub(super) input: &'a Rows<'a>,
    pub(super) output: &'a Rows<'a>,
    /// The width of the input rows.
    pub(super) width: usize,
    pub(super) objective: &'a Objective,
    pub(super) rate: Rate,
    pub(super) epochs: usize,
    pub(super) threads: usize,
    pub(super) seed: u64,
}

/// Goes through texts of the given lengths again and again: `visit` learns from one text.
///
/// # Errors
/// [`TrainError::Interrupted`] if cancelled.
pub(super) fn train(
    training: &Training<'_>,
    lengths: &[usize],
    run: Run<'_>,
    visit: impl Fn(&mut Learner<'_, '_>, usize) + Sync,
) -> Result<(), TrainError> {
    require((1..=1024).contains(&training.threads), "threads", training.threads, "1 to 1024")?;
    let pieces = pieces(lengths);
    let tokens: u64 = lengths.iter().map(|&length| length as u64).sum();
    let total = tokens * training.epochs as u64;
    let (next, done) = (AtomicUsize::new(0), AtomicU64::new(0));
    let sigmoid = Sigmoid::new();
    let cancel = run.cancel;
    let work = |report: &mpsc::Sender<(usize, f64)>| {
        let mut learner = Learner {
            training,
            sigmoid: &sigmoid,
            random: Random::new(training.seed, 0),
            rate: training.rate.first,
            hidden: vec![0.0; training.width],
            change: vec![0.0; training.width],
            gradient: vec![0.0; training.width],
            loss: 0.0,
            examples: 0,
        };
        while !cancel.is_ended() {
            let turn = next.fetch_add(1, Ordering::Relaxed);
            let (epoch, piece) = (turn / pieces.len(), turn % pieces.len());
            if epoch >= training.epochs {
                break;
            }
            // The numbers of a piece do not depend on which thread takes it.
            learner.random = Random::new(training.seed, turn as u64 + 1);
            for text in pieces[piece].clone() {
                learner.rate = training.rate.after(done.load(Ordering::Relaxed), total);
                visit(&mut learner, text);
                done.fetch_add(lengths[text] as u64, Ordering::Relaxed);
            }
            let loss = learner.loss / learner.examples.max(1) as f64;
            (learner.loss, learner.examples) = (0.0, 0);
            if report.send((epoch, loss)).is_err() {
                break;
            }
        }
    };

    thread::scope(|scope| {
        let (sender, reports) = mpsc::channel();
        for _ in 0..training.threads {
            let sender = sender.clone();
            let work = &work;
            scope.spawn(move || work(&sender));
        }
        drop(sender);
        for (epoch, loss) in reports {
            let name = format!("epoch {} of {}, loss {loss:.3}", epoch + 1, training.epochs);
            (run.progress)(&name, done.load(Ordering::Relaxed), Some(total));
        }
    });
    Ok(cancel.check()?)
}

fn pieces(lengths: &[usize]) -> Vec<Range<usize>> {
    let mut pieces = Vec::new();
    let (mut start, mut tokens) = (0, 0);
    for (text, length) in lengths.iter().enumerate() {
        tokens += length;
        if tokens >= PIECE_TOKENS || text + 1 == lengths.len() {
            pieces.push(start..text + 1);
            (start, tokens) = (text + 1, 0);
        }
    }
    pieces
}
