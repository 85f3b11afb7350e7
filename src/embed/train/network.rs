//! The network that word vectors and document vectors come out of: rows that are joined, and an
//! output layer that tells words from what they were joined to.

use std::ops::Range;

use super::drive::{LossSum, Rate, drive};
use super::rows::Rows;
use super::{Run, TrainError};
use crate::embed::text::{Objective, Random, Sigmoid};
use crate::vector::kernel;

/// How many words a thread takes at a time: little enough that all threads end together, and that
/// progress and a wish to stop are seen soon.
const PIECE_TOKENS: usize = 10_000;

/// What is trained and for how long.
#[derive(Debug)]
pub(super) struct Training<'a> {
    pub(super) input: &'a Rows<'a>,
    pub(super) output: &'a Rows<'a>,
    /// The width of the output rows.
    pub(super) width: usize,
    pub(super) objective: &'a Objective,
    pub(super) rate: Rate,
    pub(super) epochs: usize,
}

/// What one thread works with.
#[derive(Debug)]
pub(super) struct Learner<'a, 'rows> {
    training: &'a Training<'rows>,
    sigmoid: &'a Sigmoid,
    pub(super) random: Random,
    rate: f32,
    hidden: Vec<f32>,
    change: Vec<f32>,
    gradient: Vec<f32>,
    loss: LossSum,
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
            kernel::add_scaled(&mut self.hidden, &self.gradient, 1.0);
            kernel::add_scaled(&mut self.change, &self.gradient, 1.0);
        }
        for &row in inputs {
            self.training.input.change(row, &self.change);
        }
    }

    /// Puts the input rows, which together are as wide as an output row, one after another, and
    /// learns to tell the target from that.
    pub(super) fn learn_joined(&mut self, inputs: &[u32], target: u32) {
        let width = self.hidden.len() / inputs.len();
        self.hidden.fill(0.0);
        for (&row, part) in inputs.iter().zip(self.hidden.chunks_exact_mut(width)) {
            self.training.input.add_to(row, part);
        }
        self.predict(target);
        for (&row, part) in inputs.iter().zip(self.gradient.chunks_exact(width)) {
            self.training.input.change(row, part);
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
            loss.sum += f64::from((said - label).abs());
            kernel::descend(&mut row, gradient, hidden, (label - said) * *rate);
        });
        loss.examples += 1;
    }
}

/// Goes through texts of the given lengths again and again: `visit` learns from one text.
///
/// # Errors
/// [`TrainError`]: interrupted; threads out of bounds.
pub(super) fn train(
    training: &Training<'_>,
    lengths: &[usize],
    run: Run<'_>,
    visit: impl Fn(&mut Learner<'_, '_>, usize) + Sync,
) -> Result<(), TrainError> {
    let pieces = pieces(lengths);
    let amount = lengths.iter().map(|&length| length as u64).sum();
    let sigmoid = Sigmoid::new();
    let seed = run.seed;
    let begin = || Learner {
        training,
        sigmoid: &sigmoid,
        random: Random::new(seed, 0),
        rate: training.rate.first,
        hidden: vec![0.0; training.width],
        change: vec![0.0; training.width],
        gradient: vec![0.0; training.width],
        loss: LossSum::default(),
    };
    drive(run, training.epochs, pieces.len(), amount, begin, |learner, piece, random, clockwork| {
        learner.random = random;
        for text in pieces[piece].clone() {
            learner.rate = clockwork.rate(training.rate);
            visit(learner, text);
            clockwork.advance(lengths[text]);
        }
        std::mem::take(&mut learner.loss)
    })
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
