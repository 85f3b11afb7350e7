use std::sync::{Arc, PoisonError};

use super::ask::{Asked, Examples};
use super::error::Error;
use super::open::Collection;
use super::records::VECTORS;
use super::search::syntax;
use super::view::View;
use crate::cancel::Cancellation;
use crate::document::{Slot, SlotSet};
use crate::index::lexical::LexicalQuery;
use crate::query::{
    CHANCE_SAMPLE, Candidate, Chance, Fused, Grouping, Leg, Ranking, SearchRequest, VectorLeg,
    best_score, collapse, fuse,
};
use crate::vector::{DenseVector, Score, Vector};

/// What each leg looks for at least, so that joining has something to join.
const LEG_LIMIT_MIN: usize = 200;
/// How many passages a leg looks for beyond the documents that are wanted, since one document may
/// hold several of the best.
const PASSAGES_PER_DOCUMENT: usize = 4;
/// The breadth of a graph search where the request does not say.
pub(super) const EF_DEFAULT: usize = 128;

/// What the legs of a request found, each by itself.
#[derive(Debug)]
pub(super) struct Rankings {
    pub(super) rankings: Vec<Ranking>,
    /// Whether every leg handed on all that it can find.
    pub(super) is_complete: bool,
}

/// How far legs look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reach {
    /// The most passages that a leg hands on.
    pub(super) limit: usize,
    /// Whether vectors are compared one by one, whatever the request says.
    pub(super) is_exact: bool,
}

/// Returns how many passages each leg looks for, so that `wanted` hits can be shown.
pub(super) fn leg_limit(grouping: Grouping, wanted: usize) -> usize {
    grouping.passages(wanted).max(LEG_LIMIT_MIN)
}

impl Grouping {
    /// Returns how many passages are looked for so that so many hits can be shown.
    pub(super) fn passages(self, wanted: usize) -> usize {
        match self {
            Self::Document => wanted.saturating_mul(PASSAGES_PER_DOCUMENT),
            Self::Passage => wanted,
        }
    }
}

impl Collection {
    /// Runs the legs of a request, those within it first.
    pub(super) fn rankings(
        &self,
        asked: &Asked<'_>,
        view: &View,
        allowed: &SlotSet,
        reach: Reach,
        cancel: &Cancellation,
    ) -> Result<Rankings, Error> {
        if asked.prefetch.is_empty() {
            return self.leg_rankings(asked, view, allowed, reach, cancel);
        }
        let mut rankings = Vec::with_capacity(asked.prefetch.len());
        for (number, inner) in (1..).zip(&asked.prefetch) {
            let candidates = self.prefetched(inner, view, allowed, cancel)?;
            rankings.push(Ranking { leg: Leg::Prefetch(number), candidates, chance: None });
        }
        if !asked.request.has_question() {
            return Ok(Rankings { rankings, is_complete: true });
        }
        let found = rankings.iter().flat_map(|ranking| &ranking.candidates);
        let found = match asked.request.grouping {
            Grouping::Passage => found.map(|candidate| candidate.slot.0).collect(),
            Grouping::Document => {
                let starts: SlotSet =
                    found.map(|candidate| view.start_of(candidate.slot).0).collect();
                self.parts_of(&starts, view)
            }
        };
        // What was found is little enough to be compared one by one.
        let reach = Reach { is_exact: true, ..reach };
        self.leg_rankings(asked, view, &(allowed & found), reach, cancel)
    }

    /// Returns what a search within a search hands on.
    fn prefetched(
        &self,
        inner: &Asked<'_>,
        view: &View,
        allowed: &SlotSet,
        cancel: &Cancellation,
    ) -> Result<Vec<Candidate>, Error> {
        let request = &inner.request;
        let own = self.allowed(view, request.filter.as_ref())?;
        let wanted = request.limit + request.offset;
        let reach = Reach { limit: leg_limit(request.grouping, wanted), is_exact: false };
        let found = self.rankings(inner, view, &(allowed & &*own), reach, cancel)?;
        let fused = fuse(&request.fusion, &found.rankings)?;
        let shown = above_threshold(request, fused).skip(request.offset).take(request.limit);
        Ok(shown
            .map(|fused| Candidate { key: fused.key, slot: fused.slot, score: Score(fused.score) })
            .collect())
    }

    fn leg_rankings(
        &self,
        asked: &Asked<'_>,
        view: &View,
        allowed: &SlotSet,
        reach: Reach,
        cancel: &Cancellation,
    ) -> Result<Rankings, Error> {
        let (request, plan) = (&asked.request, &asked.plan);
        let collapsed = |hits: Vec<(Slot, Score)>| -> Vec<Candidate> {
            match request.grouping {
                Grouping::Document => collapse(&hits, |slot| view.start_of(slot)),
                Grouping::Passage => collapse(&hits, |slot| slot),
            }
        };
        let words = || -> Result<Option<(Ranking, bool)>, Error> {
            let Some(text) = &plan.lexical else { return Ok(None) };
            let query = LexicalQuery { text, syntax: syntax(request.syntax) };
            let hits = self.engine.lexical.search(&query, allowed, reach.limit, cancel)?;
            let is_complete = hits.len() < reach.limit;
            let candidates = collapsed(hits);
            Ok(Some((Ranking { leg: Leg::Lexical, candidates, chance: None }, is_complete)))
        };
        let vectors = || -> Result<Vec<(Ranking, bool)>, Error> {
            let mut rankings = Vec::new();
            for (leg, question) in plan.vectors.iter().zip(&asked.questions) {
                let hits = match &asked.examples {
                    Some(examples) if examples.name == leg.name => {
                        self.best_score_hits(examples, asked, allowed, reach, cancel)?
                    }
                    _ => self.vector_hits(&leg.name, question, asked, allowed, reach, cancel)?,
                };
                let is_joined = plan.lexical.is_some() || plan.vectors.len() > 1;
                let chance = self.chance(leg, question, asked, view, is_joined)?;
                let is_complete = hits.len() < reach.limit;
                let candidates = collapsed(hits);
                rankings.push((Ranking { leg: leg.leg(), candidates, chance }, is_complete));
            }
            Ok(rankings)
        };
        let (words, vectors) = match (plan.lexical.is_some(), plan.vectors.is_empty()) {
            (true, false) => rayon::join(words, vectors),
            (true, true) | (false, _) => (words(), vectors()),
        };
        let mut found = vectors?;
        found.extend(words?);
        // The order of the plan: what is shown of a tie does not depend on which leg was faster.
        let order = plan.legs();
        found.sort_by_key(|(ranking, _)| order.iter().position(|leg| *leg == ranking.leg));
        let is_complete = found.iter().all(|(_, is_complete)| *is_complete);
        let rankings = found.into_iter().map(|(ranking, _)| ranking).collect();
        Ok(Rankings { rankings, is_complete })
    }

    fn vector_hits(
        &self,
        name: &str,
        question: &Vector,
        asked: &Asked<'_>,
        allowed: &SlotSet,
        reach: Reach,
        cancel: &Cancellation,
    ) -> Result<Vec<(Slot, Score)>, Error> {
        let (limit, kept) = (reach.limit, self.engine.kept());
        kept.settings.check_numbers(&asked.numbers)?;
        match question {
            Vector::Dense(question) => {
                let Some(index) = kept.dense.get(name) else { return Ok(Vec::new()) };
                let options =
                    self.dense_options(name, &asked.request, limit, reach.is_exact, cancel)?;
                Ok(index.search(question.as_slice(), allowed, &options, cancel)?)
            }
            Vector::Sparse(question) => {
                let Some(index) = kept.sparse.get(name) else { return Ok(Vec::new()) };
                Ok(index.search(question, allowed, limit, cancel)?)
            }
            Vector::Multi(question) => {
                let Some(index) = kept.multi.get(name) else { return Ok(Vec::new()) };
                let Some(settings) = kept.settings.multi.get(name) else {
                    return Ok(Vec::new());
                };
                let load = |slot| self.engine.multi_vector(settings, slot);
                index.search(question, allowed, limit, &load, cancel)
            }
        }
    }

    /// Compares with every example: all that is allowed if that is asked for, else what is near to
    /// a positive example.
    fn best_score_hits(
        &self,
        examples: &Examples,
        asked: &Asked<'_>,
        allowed: &SlotSet,
        reach: Reach,
        cancel: &Cancellation,
    ) -> Result<Vec<(Slot, Score)>, Error> {
        let mut near = SlotSet::new();
        if asked.request.exact || reach.is_exact {
            near.clone_from(allowed);
        } else {
            for (example, _) in &examples.positive {
                let name = &examples.name;
                let hits = self.vector_hits(name, example, asked, allowed, reach, cancel)?;
                near.extend(hits.into_iter().map(|(slot, _)| slot.0));
            }
        }
        let mut hits = Vec::new();
        for slot in near {
            cancel.check()?;
            let Some(vector) = self.engine.vector(&examples.name, Slot(slot))? else { continue };
            let best = |examples_: &[(Vector, f32)]| {
                let scores = examples_.iter();
                scores
                    .filter_map(|(example, _)| self.similarity(&examples.name, example, &vector))
                    .max()
            };
            if let Some(positive) = best(&examples.positive) {
                hits.push((Slot(slot), best_score(positive, best(&examples.negative))));
            }
        }
        hits.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        hits.truncate(reach.limit);
        Ok(hits)
    }

    /// Returns the score of two vectors of a name; none if they differ in form.
    fn similarity(&self, name: &str, a: &Vector, b: &Vector) -> Option<Score> {
        match (a, b) {
            (Vector::Dense(a), Vector::Dense(b)) => {
                let kept = self.engine.kept();
                let settings = kept.settings.vectors.get(name)?;
                Some(settings.metric.score(a.as_slice(), b.as_slice()))
            }
            (Vector::Sparse(a), Vector::Sparse(b)) => Some(Score(a.dot(b))),
            _ => None,
        }
    }

    /// Returns what an arbitrary vector scores in a leg that is joined with others.
    fn chance(
        &self,
        leg: &VectorLeg,
        question: &Vector,
        asked: &Asked<'_>,
        view: &View,
        is_joined: bool,
    ) -> Result<Option<Chance>, Error> {
        let is_compared = asked.examples.as_ref().is_some_and(|examples| examples.name == leg.name);
        let Vector::Dense(question) = question else { return Ok(None) };
        if !is_joined || is_compared {
            return Ok(None);
        }
        self.dense_chance(&leg.name, question, view)
    }

    fn dense_chance(
        &self,
        name: &str,
        question: &DenseVector,
        view: &View,
    ) -> Result<Option<Chance>, Error> {
        let kept = self.engine.kept();
        let Some(settings) = kept.settings.vectors.get(name) else { return Ok(None) };
        let sample = self.sample(name, settings.number, view)?;
        let sample = sample.iter().map(Vec::as_slice);
        Ok(Chance::of(settings.metric, question.as_slice(), sample))
    }

    /// Returns the vectors of parts drawn evenly over the collection; drawn again when it has grown
    /// or shrunk by half.
    fn sample(&self, name: &str, number: u16, view: &View) -> Result<Arc<Vec<Vec<f32>>>, Error> {
        let parts = view.live.len();
        let lock = || self.engine.samples.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((drawn_at, sample)) = lock().get(name)
            && parts <= drawn_at + drawn_at / 2
            && parts >= drawn_at / 2
            && parts > 0
        {
            return Ok(Arc::clone(sample));
        }
        let mut sample = Vec::new();
        let count = parts.min(CHANCE_SAMPLE as u64);
        for place in 0..count {
            let rank = u32::try_from(place * parts / count).unwrap_or(u32::MAX);
            if let Some(slot) = view.live.select(rank)
                && let Some(record) = self.engine.database.get(&VECTORS, &(number, slot))?
            {
                sample.push(record.components());
            }
        }
        let sample = Arc::new(sample);
        lock().insert(name.to_owned(), (parts, Arc::clone(&sample)));
        Ok(sample)
    }

    /// Returns the slots of all parts of the versions that begin at these slots.
    fn parts_of(&self, starts: &SlotSet, view: &View) -> SlotSet {
        let mut slots = SlotSet::new();
        for start in starts {
            let rank = u32::try_from(view.starts.rank(start)).unwrap_or(u32::MAX);
            let end = view.starts.select(rank).unwrap_or(u32::MAX);
            slots.insert_range(start..end);
        }
        slots & &view.live
    }
}

/// Returns what scores enough.
pub(super) fn above_threshold(
    request: &SearchRequest,
    fused: Vec<Fused>,
) -> impl Iterator<Item = Fused> {
    let threshold = request.score_threshold;
    fused.into_iter().filter(move |fused| threshold.is_none_or(|least| fused.score >= least))
}
