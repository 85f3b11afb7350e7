//! How much of what comparing with every vector finds does a search find, and how broad has it to be to
//! find enough?
//!
//! How much is found is measured on vectors that are stored and, where there are enough of them, on the
//! last questions that were asked: what people ask for may lie elsewhere than what they stored. A stored
//! vector is asked for as if the graph were without it, since it is linked to what is near it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::PoisonError;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use rayon::iter::{IntoParallelIterator as _, IntoParallelRefIterator as _, ParallelIterator as _};

use super::engine::Engine;
use super::error::Error;
use super::open::Collection;
use super::rank::{EF_DEFAULT, leg_limit};
use super::view::View;
use crate::cancel::Cancellation;
use crate::document::{Slot, SlotSet};
use crate::index::dense::{DenseIndex, LeftOut, SearchOptions};
use crate::query::{EF_MAX, Grouping, LIMIT_MAX, PlanError, SearchRequest};
use crate::vector::Vector;

/// The most questions of one measurement.
const QUESTIONS_MAX: usize = 10_000;
/// How many questions decide how broad a search has to be.
const QUESTIONS_OF_CURVE: usize = 256;
/// How many of the last questions are remembered of each vector, and how many make them count.
const ASKED_KEPT: usize = 128;
const ASKED_MIN: usize = 32;
/// By how much each breadth that is tried is greater than the one before.
const BREADTH_STEP: f64 = 1.25;
/// A curve ends where nothing is missed any more.
const RECALL_FULL: f64 = 0.9995;
/// Decides which stored vectors a curve is measured with.
const CURVE_SEED: u64 = 0x005e_c411;

/// What is to be measured.
#[derive(Debug, Clone, PartialEq)]
pub struct RecallRequest {
    /// The dense vector; none: the only one there is.
    pub vector: Option<String>,
    /// Of how many best passages, 1 to [`LIMIT_MAX`].
    pub limit: usize,
    /// With how many questions, 1 to 10,000; with fewer if there are not so many vectors.
    pub questions: usize,
    /// The breadth of the graph search; none: as a search that does not say.
    pub ef: Option<usize>,
    /// Searches as one that asks for this recall.
    pub target: Option<f32>,
    /// Decides which stored vectors are asked for.
    pub seed: u64,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Recall {
    /// The vector.
    pub vector: String,
    /// The share of the best passages that were found, 0 to 1.
    pub recall: f64,
    /// How many questions were asked.
    pub questions: u64,
    /// How many of them somebody had asked; the others are stored vectors.
    pub asked: u64,
    /// The breadth of the graph search; none: every vector was compared.
    pub ef: Option<usize>,
}

/// What one breadth after another finds, measured at one state of the index.
#[derive(Debug)]
pub(super) struct Curve {
    parts: u64,
    segments: u64,
    /// Breadth and the recall that it surely has, ascending.
    points: Vec<(usize, f64)>,
}

/// A curve for each vector, number of passages wanted, and number that a leg looks for.
pub(super) type Curves = BTreeMap<(String, usize, usize), Curve>;
/// The last questions of each vector.
pub(super) type LastAsked = BTreeMap<String, VecDeque<Vec<f32>>>;

/// A question, and the slot that it was drawn from, which is no answer.
struct Drawn {
    question: Vec<f32>,
    own: Option<LeftOut>,
}

impl Collection {
    /// Measures what share of the best passages a search finds, against comparing with every vector.
    /// `progress` is told how many questions of how many are done.
    ///
    /// # Errors
    /// Invalid input for numbers out of bounds, or a vector that is none or not dense; cancelled.
    pub fn recall(
        &self,
        request: &RecallRequest,
        progress: &(dyn Fn(u64, u64) + Sync),
        cancel: &Cancellation,
    ) -> Result<Recall, Error> {
        let within = |name, actual: usize, maximum| match (1..=maximum).contains(&actual) {
            true => Ok(()),
            false => Err(PlanError::OutOfRange { name, actual, minimum: 1, maximum }),
        };
        within("limit", request.limit, LIMIT_MAX)?;
        within("questions", request.questions, QUESTIONS_MAX)?;
        within("ef", request.ef.unwrap_or(1), EF_MAX)?;
        if let Some(actual) = request.target
            && !(actual > 0.0 && actual <= 1.0)
        {
            return Err(PlanError::Share { name: "target_recall", actual }.into());
        }
        let engine = &self.engine;
        let kept = engine.kept();
        let mut names = kept.dense.keys();
        let name = match (&request.vector, names.next(), names.next()) {
            (Some(name), ..) => name.clone(),
            (None, Some(only), None) => only.clone(),
            (None, ..) => {
                let names: Vec<&str> = kept.dense.keys().map(String::as_str).collect();
                return Err(PlanError::Several(names.join(", ")).into());
            }
        };
        let Some(index) = kept.dense.get(&name) else {
            kept.shape.form(&name)?;
            let reason = "only a dense vector is searched by a graph: the others are exact";
            return Err(PlanError::Combination(reason).into());
        };
        let view = self.view();
        let drawn = engine.draw(&name, index, &view, request.questions, request.seed, cancel)?;
        let asked = drawn.iter().filter(|drawn| drawn.own.is_none()).count() as u64;
        let options = match request.target {
            Some(target) => {
                self.broad_enough(&name, request.limit, request.limit, target, cancel)?
            }
            None => SearchOptions {
                limit: leg_limit(Grouping::Passage, request.limit),
                ef: request.ef.unwrap_or(EF_DEFAULT),
                is_exact: false,
            },
        };
        let truth = truth(index, &drawn, &view.live, request.limit, cancel)?;
        progress(0, drawn.len() as u64);
        let found = recall(index, &drawn, &truth, &view.live, request.limit, options, cancel)?;
        let recall = found.share;
        progress(drawn.len() as u64, drawn.len() as u64);
        let ef = (!options.is_exact).then_some(options.ef.max(options.limit));
        Ok(Recall { vector: name, recall, questions: drawn.len() as u64, asked, ef })
    }

    /// Returns how a leg among dense vectors searches for a request: so broadly that it finds the share
    /// that is asked for, if one is.
    pub(super) fn dense_options(
        &self,
        name: &str,
        request: &SearchRequest,
        limit: usize,
        is_exact: bool,
        cancel: &Cancellation,
    ) -> Result<SearchOptions, Error> {
        let is_exact = request.exact || is_exact;
        match request.target_recall {
            Some(target) if !is_exact => {
                let wanted = (request.limit + request.offset).min(limit);
                self.broad_enough(name, wanted, limit, target, cancel)
            }
            Some(_) | None => {
                let usual = self.engine.kept().settings.vectors.get(name).and_then(|own| own.ef);
                let ef = request.ef.or(usual).unwrap_or(EF_DEFAULT);
                Ok(SearchOptions { limit, ef, is_exact })
            }
        }
    }

    /// Returns the narrowest search that surely found this share of so many best passages when it was
    /// last measured. It is measured when it is first asked for, and again when the index has other segments
    /// or has grown or shrunk by a quarter.
    fn broad_enough(
        &self,
        name: &str,
        wanted: usize,
        limit: usize,
        target: f32,
        cancel: &Cancellation,
    ) -> Result<SearchOptions, Error> {
        let exact = SearchOptions { limit, ef: limit, is_exact: true };
        let kept = self.engine.kept();
        let Some(index) = kept.dense.get(name) else { return Ok(exact) };
        let view = self.view();
        let (parts, segments) = (view.live.len(), index.statistics().segments);
        if segments == 0 {
            return Ok(SearchOptions { is_exact: false, ..exact });
        }
        // Rounded up: what is found of more is found of fewer. No more than what is searched for, though:
        // how many are compared exactly depends on it.
        let wanted = wanted.next_power_of_two().min(limit);
        let key = (name.to_owned(), wanted, limit);
        let lock = || self.engine.curves.lock().unwrap_or_else(PoisonError::into_inner);
        let chosen = |curve: &Curve| {
            let enough = curve.points.iter().find(|(_, recall)| *recall >= f64::from(target));
            enough.map_or(exact, |&(ef, _)| SearchOptions { limit, ef, is_exact: false })
        };
        let is_fresh = |curve: &&Curve| {
            let (least, most) = (curve.parts - curve.parts / 4, curve.parts + curve.parts / 4);
            curve.segments == segments && (least..=most).contains(&parts)
        };
        if let Some(curve) = lock().get(&key).filter(is_fresh) {
            return Ok(chosen(curve));
        }
        let points = self.engine.measure(name, index, &view, wanted, limit, cancel)?;
        let curve = Curve { parts, segments, points };
        let options = chosen(&curve);
        lock().insert(key, curve);
        Ok(options)
    }
}

impl Engine {
    /// Remembers a question, to measure with it.
    pub(super) fn note_asked(&self, name: &str, question: &[f32]) {
        // One that comes at the same moment as another is not worth waiting for.
        let Ok(mut asked) = self.asked.try_lock() else { return };
        let Some(asked) = asked.get_mut(name) else {
            asked.insert(name.to_owned(), VecDeque::from([question.to_vec()]));
            return;
        };
        let mut room = match asked.len() {
            ASKED_KEPT.. => asked.pop_front().unwrap_or_default(),
            _ => Vec::new(),
        };
        room.clear();
        room.extend_from_slice(question);
        asked.push_back(room);
    }

    /// Forgets what was asked of a vector and what was measured with that: the name stands for another one.
    pub(super) fn forget_asked(&self, name: &str) {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        let mut curves = self.curves.lock().unwrap_or_else(PoisonError::into_inner);
        curves.retain(|(of, _, _), _| of != name);
    }

    /// Draws questions: the last ones that were asked, up to half, and stored vectors.
    fn draw(
        &self,
        name: &str,
        index: &DenseIndex,
        view: &View,
        count: usize,
        seed: u64,
        cancel: &Cancellation,
    ) -> Result<Vec<Drawn>, Error> {
        let mut drawn = Vec::with_capacity(count);
        let kept = self.kept();
        let dimension = kept.settings.vectors.get(name).map(|settings| settings.dimension);
        {
            let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(asked) = asked.get(name).filter(|asked| asked.len() >= ASKED_MIN) {
                // A question to a vector that had the name before may have come late.
                let fitting = asked.iter().rev().filter(|asked| Some(asked.len()) == dimension);
                let last = fitting.take(count / 2);
                drawn.extend(last.map(|question| Drawn { question: question.clone(), own: None }));
            }
        }
        let parts = u32::try_from(view.live.len()).unwrap_or(u32::MAX);
        let mut random = StdRng::seed_from_u64(seed);
        let mut seen = SlotSet::new();
        let mut stored = Vec::new();
        // Parts without this vector are passed over, but not for ever. Where no vector stands for itself
        // alone, those have to do that are there.
        for attempt in 0..8 * count {
            if drawn.len() + stored.len() >= count || parts == 0 {
                break;
            }
            let Some(slot) = view.live.select(random.random_range(0..parts)) else { continue };
            let is_last_resort = attempt >= 4 * count && drawn.is_empty() && stored.is_empty();
            if !(is_last_resort || index.can_be_left_out(Slot(slot))) || !seen.insert(slot) {
                continue;
            }
            if let Some(Vector::Dense(vector)) = self.vector(name, Slot(slot))? {
                stored.push((vector.into_vec(), Slot(slot)));
            }
        }
        let left_out = stored.into_par_iter().map(|(question, slot)| {
            cancel.check()?;
            Ok(Drawn { question, own: Some(index.leave_out(slot)?) })
        });
        drawn.extend(left_out.collect::<Result<Vec<Drawn>, Error>>()?);
        Ok(drawn)
    }

    /// Returns what one breadth after another finds, until nothing is missed.
    fn measure(
        &self,
        name: &str,
        index: &DenseIndex,
        view: &View,
        wanted: usize,
        limit: usize,
        cancel: &Cancellation,
    ) -> Result<Vec<(usize, f64)>, Error> {
        let drawn = self.draw(name, index, view, QUESTIONS_OF_CURVE, CURVE_SEED, cancel)?;
        let truth = truth(index, &drawn, &view.live, wanted, cancel)?;
        let mut points = Vec::new();
        let mut breadth = limit.max(wanted) as f64;
        while breadth <= EF_MAX as f64 {
            #[expect(clippy::cast_possible_truncation, reason = "at most 4,096")]
            #[expect(clippy::cast_sign_loss, reason = "positive")]
            let ef = breadth as usize;
            let options = SearchOptions { limit, ef, is_exact: false };
            let found = recall(index, &drawn, &truth, &view.live, wanted, options, cancel)?;
            points.push((ef, found.surely()));
            if found.share >= RECALL_FULL {
                break;
            }
            breadth *= BREADTH_STEP;
        }
        Ok(points)
    }
}

/// Returns the scores of the best of each question, its own left out; best first.
fn truth(
    index: &DenseIndex,
    drawn: &[Drawn],
    live: &SlotSet,
    limit: usize,
    cancel: &Cancellation,
) -> Result<Vec<Vec<f32>>, Error> {
    let options = SearchOptions { limit, ef: limit, is_exact: true };
    drawn.par_iter().map(|drawn| best(index, drawn, live, limit, options, cancel)).collect()
}

fn best(
    index: &DenseIndex,
    drawn: &Drawn,
    live: &SlotSet,
    limit: usize,
    options: SearchOptions,
    cancel: &Cancellation,
) -> Result<Vec<f32>, Error> {
    let own = drawn.own.as_ref();
    let is_own = |slot: Slot| own.is_some_and(|own| own.slot() == slot);
    let mut hits = index.search_without(&drawn.question, own, live, &options, cancel)?;
    if hits.iter().any(|(slot, _)| is_own(*slot)) {
        // What no graph has, or stands for others too, is found all the same, and takes a place.
        let options = SearchOptions { limit: options.limit + 1, ..options };
        hits = index.search_without(&drawn.question, own, live, &options, cancel)?;
    }
    let others = hits.into_iter().filter(|(slot, _)| !is_own(*slot));
    Ok(others.take(limit).map(|(_, score)| score.0).collect())
}

/// Returns the share of the best that is found. What scores as much as the last of them is one of
/// them.
fn recall(
    index: &DenseIndex,
    drawn: &[Drawn],
    truth: &[Vec<f32>],
    live: &SlotSet,
    limit: usize,
    options: SearchOptions,
    cancel: &Cancellation,
) -> Result<Found, Error> {
    let pairs: Vec<(&Drawn, &Vec<f32>)> = drawn.iter().zip(truth).collect();
    let shares: Result<Vec<f64>, Error> = pairs
        .par_iter()
        .map(|(drawn, truth)| {
            let Some(&last) = truth.last() else { return Ok(1.0) };
            let found = best(index, drawn, live, limit, options, cancel)?;
            let found = found.iter().filter(|&&score| score >= last).count().min(truth.len());
            Ok(found as f64 / truth.len() as f64)
        })
        .collect();
    Ok(Found::of(&shares?))
}

/// What share of the best was found.
#[derive(Debug, Clone, Copy)]
struct Found {
    /// The mean over the questions, 0 to 1.
    share: f64,
    /// The standard error of that mean.
    error: f64,
}

impl Found {
    fn of(shares: &[f64]) -> Self {
        let count = shares.len() as f64;
        if shares.is_empty() {
            return Self { share: 1.0, error: 0.0 };
        }
        let share = shares.iter().sum::<f64>() / count;
        let spread: f64 = shares.iter().map(|one| (one - share).powi(2)).sum();
        Self { share, error: (spread / (count - 1.0).max(1.0) / count).sqrt() }
    }

    /// Returns the share below which the questions of others lie in one of twenty cases only.
    fn surely(self) -> f64 {
        const NINETEEN_OF_TWENTY: f64 = 1.645;
        self.share - NINETEEN_OF_TWENTY * self.error
    }
}
