use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::ask::Asked;
use super::error::Error;
use super::open::Collection;
use super::rank::{Reach, above_threshold, leg_limit};
use super::view::View;
use crate::cancel::Cancellation;
use crate::document::{Condition, Filter, Scalar, SlotSet, Value};
use crate::index::lexical::{self, LexicalQuery};
use crate::query::{
    Answer, Diversity, Fused, GroupBy, Groups, Hit, HitGroup, LegScore, PlanError, SearchRequest,
    Snippet, Stages, WordSyntax, diversify, fuse,
};
use crate::vector::{DenseVector, Form};

/// However few documents or groups were found, legs look for no more passages.
const LEG_LIMIT_MAX: usize = 100_000;
/// By which factor legs look further where they found too few documents or groups.
const WIDENING: usize = 8;
/// From how many hits an answer is diversified at least.
const DIVERSIFIED_MIN: usize = 100;
/// From how many times the hits that are wanted.
const DIVERSIFIED_FACTOR: usize = 4;
/// The length of a snippet, in characters.
const SNIPPET_LENGTH: usize = 240;

/// What was found, joined, best first.
#[derive(Debug)]
pub(super) struct Found {
    /// The legs by name, in the order of what each said of a hit.
    pub(super) legs: Vec<String>,
    pub(super) fused: Vec<Fused>,
    /// How many passages each leg handed on at most.
    pub(super) limit: usize,
    /// The groups, where they were asked for: places in `fused`.
    groups: Vec<(Value, Vec<usize>)>,
}

impl Collection {
    /// Answers a question on the newest view.
    ///
    /// # Errors
    /// Invalid input for a question that this collection cannot be asked; not found for an example
    /// that is not stored; cancelled, timed out; unavailable if its embedder is not there and the
    /// request asks for it.
    pub fn search(&self, request: &SearchRequest, cancel: &Cancellation) -> Result<Answer, Error> {
        self.answer(request, cancel).inspect_err(|error| self.engine.suspect(error))
    }

    fn answer(&self, request: &SearchRequest, cancel: &Cancellation) -> Result<Answer, Error> {
        self.check_tenant(request.filter.as_ref())?;
        let mut stages = Stages::start();
        let asked = self.ask(request, cancel)?;
        stages.end("embed");
        let view = self.view();
        let mut allowed = self.allowed(&view, request.filter.as_ref())?;
        if !asked.excluded.is_empty() {
            *allowed.to_mut() -= &asked.excluded;
        }
        stages.end("filter");
        let mut found = self.find_groups(&asked, &view, &allowed, cancel)?;
        stages.end("search");
        let groups = std::mem::take(&mut found.groups);
        let hit = |place: usize| self.hit(&asked, &found, &found.fused[place]);
        let mut answer = Answer { warnings: asked.warnings(), ..Answer::default() };
        if request.group_by.is_some() {
            for (value, places) in groups {
                let hits = places.into_iter().map(hit).collect::<Result<Vec<Hit>, Error>>()?;
                answer.groups.push(HitGroup { value, hits });
            }
        } else {
            let order = self.order(&asked, &found.fused)?;
            let shown = order.into_iter().skip(request.offset).take(request.limit);
            answer.hits = shown.map(hit).collect::<Result<Vec<Hit>, Error>>()?;
        }
        stages.end("read");
        answer.timings = stages.finish();
        Ok(answer)
    }

    /// Answers several questions; each answer is that of [`Self::search`]. They are answered side by side
    /// unless other batches are: those share the processors already, and the pieces of many batches in one
    /// pool come to their ends in any order, so that some of them would wait for all.
    pub fn search_all(
        &self,
        requests: &[&SearchRequest],
        cancel: &Cancellation,
    ) -> Vec<Result<Answer, Error>> {
        use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};
        let answer = |request: &&SearchRequest| self.search(request, cancel);
        let others = Batch::begin();
        if others.0 == 0 {
            requests.par_iter().map(answer).collect()
        } else {
            requests.iter().map(answer).collect()
        }
    }

    /// Runs the legs and joins what they found, as [`Self::find`]. What fills groups is looked for among
    /// their own, where one leg answers: hits that are in none of them are left out then.
    fn find_groups(
        &self,
        asked: &Asked<'_>,
        view: &View,
        allowed: &SlotSet,
        cancel: &Cancellation,
    ) -> Result<Found, Error> {
        let request = &asked.request;
        // One leg scores each hit by itself: which groups there are stays as it is.
        let Some(group) = request.group_by.as_ref().filter(|_| asked.has_one_leg()) else {
            return self.find(asked, view, allowed, cancel);
        };
        let (wanted, reach) = first_reach(asked, view);
        let (found, is_enough) = self.round(asked, view, allowed, reach, wanted, cancel)?;
        if is_enough {
            return Ok(found);
        }
        let groups = &found.groups;
        let own = in_groups(group, groups).filter(|_| groups.len() == request.limit);
        // Values of several types cannot be asked for at once.
        match own.and_then(|own| self.allowed(view, Some(&own)).ok()) {
            Some(own) => self.find(asked, view, &(allowed & &*own), cancel),
            None => self.find(asked, view, allowed, cancel),
        }
    }

    /// Runs the legs and joins what they found. Where that is too little, because many passages
    /// belong to few documents or groups, the legs look further.
    pub(super) fn find(
        &self,
        asked: &Asked<'_>,
        view: &View,
        allowed: &SlotSet,
        cancel: &Cancellation,
    ) -> Result<Found, Error> {
        let (wanted, mut reach) = first_reach(asked, view);
        loop {
            let (found, is_enough) = self.round(asked, view, allowed, reach, wanted, cancel)?;
            if is_enough || reach.limit >= LEG_LIMIT_MAX {
                return Ok(found);
            }
            reach.limit = (reach.limit * WIDENING).min(LEG_LIMIT_MAX);
        }
    }

    /// Runs the legs once and joins what they found. Returns also whether looking further would bring
    /// nothing that is wanted.
    fn round(
        &self,
        asked: &Asked<'_>,
        view: &View,
        allowed: &SlotSet,
        reach: Reach,
        wanted: usize,
        cancel: &Cancellation,
    ) -> Result<(Found, bool), Error> {
        let request = &asked.request;
        let found = self.rankings(asked, view, allowed, reach, cancel)?;
        let legs = found.rankings.iter().map(|ranking| ranking.leg.to_string()).collect();
        let fused = fuse(&request.fusion, &found.rankings)?;
        let all = fused.len();
        let fused: Vec<Fused> = above_threshold(request, fused).collect();
        let (groups, is_full) = match &request.group_by {
            Some(group) => self.groups(request.limit, group, &fused)?,
            None => (Vec::new(), fused.len() >= wanted),
        };
        let is_enough = is_full || found.is_complete || fused.len() < all;
        Ok((Found { legs, fused, limit: reach.limit, groups }, is_enough))
    }

    /// Returns the places of what was found in the order in which it is shown.
    pub(super) fn order(&self, asked: &Asked<'_>, fused: &[Fused]) -> Result<Vec<usize>, Error> {
        let request = &asked.request;
        let Some(diversity) = &request.diversity else { return Ok((0..fused.len()).collect()) };
        let name = match &diversity.vector {
            Some(name) => name.clone(),
            None => self.dense_name(asked)?,
        };
        let name = name.as_str();
        if self.engine.kept().shape.form(name)? != Form::Dense {
            return Err(PlanError::Combination("hits are diversified by a dense vector").into());
        }
        let fused = &fused[..fused.len().min(candidates(request, diversity))];
        let scores: Vec<f32> = fused.iter().map(|fused| fused.score).collect();
        let mut directions: Vec<Option<DenseVector>> = Vec::with_capacity(fused.len());
        for fused in fused {
            let vector = self.engine.vector(name, fused.slot)?;
            // What has no vector, or no direction, is like nothing else.
            let direction = vector.and_then(|vector| vector.as_dense()?.clone().normalized().ok());
            directions.push(direction);
        }
        let cosine = |a: usize, b: usize| match (&directions[a], &directions[b]) {
            (Some(a), Some(b)) => crate::vector::kernel::dot(a.as_slice(), b.as_slice()),
            _ => 0.0,
        };
        let wanted = request.limit + request.offset;
        Ok(diversify(&scores, cosine, diversity.relevance, wanted))
    }

    /// Returns the dense vector that a search is about: that of its first dense leg, or the only one.
    fn dense_name(&self, asked: &Asked<'_>) -> Result<String, Error> {
        let mut legs = asked.plan.vectors.iter();
        if let Some(leg) = legs.find(|leg| leg.form == Form::Dense) {
            return Ok(leg.name.clone());
        }
        let kept = self.engine.kept();
        let mut names = kept.settings.vectors.keys();
        match (names.next(), names.next()) {
            (Some(only), None) => Ok(only.clone()),
            _ => Err(PlanError::Combination(
                "hits are diversified by a dense vector, and the search does not say which",
            )
            .into()),
        }
    }

    fn groups(
        &self,
        groups_max: usize,
        group: &GroupBy,
        fused: &[Fused],
    ) -> Result<(Vec<(Value, Vec<usize>)>, bool), Error> {
        let mut groups = Groups::new(groups_max, group.size);
        for (place, fused) in fused.iter().enumerate() {
            if groups.is_full() {
                break;
            }
            let row = self.engine.passage_row(fused.slot)?;
            groups.add(place, &row.body.payload, &group.path);
        }
        let is_full = groups.is_full();
        Ok((groups.finish(), is_full))
    }

    fn hit(&self, asked: &Asked<'_>, found: &Found, fused: &Fused) -> Result<Hit, Error> {
        let request = &asked.request;
        let slot = fused.slot;
        let part = self.engine.passage_row(slot)?;
        let body = &part.body;
        let words = asked.plan.lexical.as_ref().filter(|_| request.with_text);
        let snippet = words.and_then(|text| {
            let query = LexicalQuery { text, syntax: syntax(request.syntax) };
            let found = self.engine.lexical.snippet(&query, &part.text, SNIPPET_LENGTH)?;
            let start = found.bytes.start;
            let shift = |range: std::ops::Range<usize>| range.start - start..range.end - start;
            Some(Snippet {
                text: part.text.get(found.bytes)?.to_owned(),
                highlights: found.highlights.into_iter().map(shift).collect(),
            })
        });
        let said = found.legs.iter().zip(fused.legs.iter().zip(&fused.contributions));
        let scores = said.filter_map(|(leg, (found, &contribution))| {
            let leg = leg.clone();
            found.map(|(rank, score)| LegScore { leg, rank, score: score.0, contribution })
        });
        let place = self.place(asked, slot, &part.span)?;
        Ok(Hit {
            id: body.id.clone(),
            part: slot.0 - part.first.0,
            score: fused.score,
            span: part.span.clone(),
            place,
            text: request.with_text.then(|| part.text.clone()),
            snippet,
            payload: request.with_payload.then(|| body.payload.clone()),
            vectors: if request.with_vectors {
                self.engine.vectors(slot)?
            } else {
                BTreeMap::new()
            },
            legs: scores.collect(),
        })
    }
}

/// A batch of questions that is being answered, and how many others were when it began.
struct Batch(usize);

/// How many batches are being answered. Of the whole process, as the pool of threads is.
static BATCHES: AtomicUsize = AtomicUsize::new(0);

impl Batch {
    fn begin() -> Self {
        Self(BATCHES.fetch_add(1, Ordering::Relaxed))
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        BATCHES.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Returns how many hits are wanted, and how far the legs look for them at first.
fn first_reach(asked: &Asked<'_>, view: &View) -> (usize, Reach) {
    let request = &asked.request;
    let wanted = match (&request.group_by, &request.diversity) {
        (Some(group), _) => request.limit * group.size,
        (None, Some(diversity)) => candidates(request, diversity),
        (None, None) => request.limit + request.offset,
    };
    let is_breadth_given = request.target_recall.is_some() || request.ef.is_some();
    let limit = if is_breadth_given && asked.has_one_leg() {
        // Nothing is joined, so that the leg need not look further than for what is wanted.
        let is_one_passage_each = view.live.len() == view.starts.len();
        if is_one_passage_each { wanted } else { request.grouping.passages(wanted) }
    } else {
        leg_limit(request.grouping, wanted)
    };
    (wanted, Reach { limit, is_exact: false })
}

/// From how many of the best hits an answer is diversified.
fn candidates(request: &SearchRequest, diversity: &Diversity) -> usize {
    let wanted = request.limit + request.offset;
    let usual = wanted.saturating_mul(DIVERSIFIED_FACTOR).max(DIVERSIFIED_MIN);
    diversity.candidates.unwrap_or(usual).max(wanted)
}

pub(super) fn syntax(asked: WordSyntax) -> lexical::WordSyntax {
    match asked {
        WordSyntax::Words => lexical::WordSyntax::Plain,
        WordSyntax::Query => lexical::WordSyntax::Query,
    }
}

/// Returns the filter that means the members of groups; nothing where a value cannot be asked for.
fn in_groups(group: &GroupBy, groups: &[(Value, Vec<usize>)]) -> Option<Filter> {
    let scalar = |(value, _): &(Value, Vec<usize>)| match value {
        Value::Boolean(value) => Some(Scalar::Boolean(*value)),
        Value::Integer(value) => Some(Scalar::Integer(*value)),
        Value::Text(value) => Some(Scalar::Text(value.clone())),
        Value::Float(_) | Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    let values = groups.iter().map(scalar).collect::<Option<Vec<_>>>()?;
    Some(Filter::Field { path: group.path.clone(), condition: Condition::In(values) })
}
