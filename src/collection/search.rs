use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use super::engine::damaged;
use super::error::{Error, described};
use super::open::Collection;
use super::records::VECTORS;
use super::view::View;
use crate::cancel::Cancellation;
use crate::document::{Slot, SlotSet};
use crate::embed::{Lane, Role};
use crate::index::dense::SearchOptions;
use crate::index::lexical::{self, LexicalQuery};
use crate::query::{
    Answer, CHANCE_SAMPLE, Candidate, Chance, DenseLeg, Fused, Grouping, Hit, Leg, LegScore, Plan,
    Question, Ranking, SearchRequest, Snippet, Stages, WordSyntax, collapse, fuse, plan,
};
use crate::vector::{DenseVector, Score, Vector};

/// What each leg looks for at least, so that joining has something to join.
const LEG_LIMIT_MIN: usize = 200;
/// How many passages a leg looks for beyond the documents that are wanted, since one document may
/// hold several of the best.
const PASSAGES_PER_DOCUMENT: usize = 4;
/// The breadth of a graph search where the request does not say.
const EF_DEFAULT: usize = 128;
/// The length of a snippet, in characters.
const SNIPPET_LENGTH: usize = 240;

impl Collection {
    /// Answers a question on the newest view.
    ///
    /// # Errors
    /// Invalid input for a question that this collection cannot be asked; cancelled, timed out;
    /// unavailable if its embedder is not there and the request asks for it.
    pub fn search(&self, request: &SearchRequest, cancel: &Cancellation) -> Result<Answer, Error> {
        self.answer(request, cancel).inspect_err(|error| self.engine.suspect(error))
    }

    fn answer(&self, request: &SearchRequest, cancel: &Cancellation) -> Result<Answer, Error> {
        let mut stages = Stages::start();
        let mut plan = plan(request, &self.engine.settings.shape())?;
        let questions = self.questions(&mut plan, cancel)?;
        stages.end("embed");
        let view = self.engine.views.current();
        let allowed = self.allowed(&view, request.filter.as_ref())?;
        stages.end("filter");
        let rankings = self.rankings(request, &plan, &questions, &view, &allowed, cancel)?;
        stages.end("search");
        let fused = fuse(&request.fusion, &rankings)?;
        let wanted = fused
            .into_iter()
            .filter(|fused| request.score_threshold.is_none_or(|least| fused.score >= least))
            .skip(request.offset)
            .take(request.limit);
        let legs: Vec<String> = rankings.iter().map(|ranking| ranking.leg.to_string()).collect();
        let hits = wanted
            .map(|fused| self.hit(request, &plan, &legs, &fused))
            .collect::<Result<Vec<Hit>, Error>>()?;
        stages.end("read");
        Ok(Answer { hits, timings: stages.finish(), warnings: plan.warnings })
    }

    /// Embeds what has to be embedded. A leg whose embedder fails is left out with a warning, if
    /// the request leaves that open and the words can answer alone.
    fn questions(&self, plan: &mut Plan, cancel: &Cancellation) -> Result<Vec<DenseVector>, Error> {
        let mut questions = Vec::new();
        let mut kept: Vec<DenseLeg> = Vec::new();
        for leg in std::mem::take(&mut plan.dense) {
            match self.question(&leg, cancel) {
                Ok(question) => {
                    questions.push(question);
                    kept.push(leg);
                }
                Err(error @ Error::Interrupted(_)) => return Err(error),
                Err(error) if plan.is_strict || plan.lexical.is_none() => return Err(error),
                Err(error) => {
                    plan.warnings.push(format!("dense:{}: {}", leg.name, described(&error)));
                }
            }
        }
        plan.dense = kept;
        Ok(questions)
    }

    fn question(&self, leg: &DenseLeg, cancel: &Cancellation) -> Result<DenseVector, Error> {
        match &leg.question {
            Question::Given(vector) => Ok(vector.clone()),
            Question::Embed(text) => {
                let embedder = self.embedder(&leg.name)?.ok_or_else(|| {
                    Error::Settings(format!("vector `{}` has no embedder", leg.name))
                })?;
                let embedded = embedder.embed(&[text], Role::Query, Lane::Query, cancel)?;
                let first = embedded.embeddings.into_iter().next();
                match first.and_then(|embedding| embedding.vector) {
                    Some(Vector::Dense(vector)) => Ok(vector),
                    Some(Vector::Sparse(_)) | None => Err(Error::Settings(format!(
                        "model {} knows no word of the question",
                        embedder.specification().name
                    ))),
                }
            }
        }
    }

    fn rankings(
        &self,
        request: &SearchRequest,
        plan: &Plan,
        questions: &[DenseVector],
        view: &View,
        allowed: &SlotSet,
        cancel: &Cancellation,
    ) -> Result<Vec<Ranking>, Error> {
        let wanted = request.limit + request.offset;
        let limit = match request.grouping {
            Grouping::Document => (wanted * PASSAGES_PER_DOCUMENT).max(LEG_LIMIT_MIN),
            Grouping::Passage => wanted.max(LEG_LIMIT_MIN),
        };
        let collapsed = |hits: Vec<(Slot, Score)>| -> Vec<Candidate> {
            match request.grouping {
                Grouping::Document => collapse(&hits, |slot| view.start_of(slot)),
                Grouping::Passage => collapse(&hits, |slot| slot),
            }
        };
        let words = || -> Result<Option<Ranking>, Error> {
            let Some(text) = &plan.lexical else { return Ok(None) };
            let query = LexicalQuery { text, syntax: syntax(request.syntax) };
            let hits = self.engine.lexical.search(&query, allowed, limit, cancel)?;
            let candidates = collapsed(hits);
            Ok(Some(Ranking { leg: Leg::Lexical, candidates, chance: None }))
        };
        let vectors = || -> Result<Vec<Ranking>, Error> {
            let mut rankings = Vec::new();
            for (leg, question) in plan.dense.iter().zip(questions) {
                let Some(index) = self.engine.dense.get(&leg.name) else { continue };
                let options = SearchOptions {
                    limit,
                    ef: request.ef.unwrap_or(EF_DEFAULT),
                    is_exact: request.exact,
                };
                let hits = index.search(question.as_slice(), allowed, &options, cancel)?;
                let chance = if plan.lexical.is_some() || plan.dense.len() > 1 {
                    self.chance(&leg.name, question, view)?
                } else {
                    None
                };
                let (leg, candidates) = (Leg::Dense(leg.name.clone()), collapsed(hits));
                rankings.push(Ranking { leg, candidates, chance });
            }
            Ok(rankings)
        };
        let (words, vectors) = match (plan.lexical.is_some(), plan.dense.is_empty()) {
            (true, false) => rayon::join(words, vectors),
            (true, true) | (false, _) => (words(), vectors()),
        };
        let mut rankings = vectors?;
        rankings.extend(words?);
        // The order of the plan: what is shown of a tie does not depend on which leg was faster.
        let order = plan.legs();
        rankings.sort_by_key(|ranking| order.iter().position(|leg| *leg == ranking.leg));
        Ok(rankings)
    }

    fn chance(
        &self,
        name: &str,
        question: &DenseVector,
        view: &View,
    ) -> Result<Option<Chance>, Error> {
        let Some(settings) = self.engine.settings.vectors.get(name) else { return Ok(None) };
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

    fn hit(
        &self,
        request: &SearchRequest,
        plan: &Plan,
        legs: &[String],
        fused: &Fused,
    ) -> Result<Hit, Error> {
        let slot = fused.slot;
        let missing = |table, slot| damaged(table, slot, "missing");
        let part = self.engine.part(slot)?.ok_or_else(|| missing("part", slot.0))?;
        let body =
            self.engine.body(Slot(part.first))?.ok_or_else(|| missing("body", part.first))?;
        let snippet = plan.lexical.as_ref().filter(|_| request.with_text).and_then(|text| {
            let query = LexicalQuery { text, syntax: syntax(request.syntax) };
            let found = self.engine.lexical.snippet(&query, &part.text, SNIPPET_LENGTH)?;
            let start = found.bytes.start;
            let shift = |range: std::ops::Range<usize>| range.start - start..range.end - start;
            Some(Snippet {
                text: part.text.get(found.bytes)?.to_owned(),
                highlights: found.highlights.into_iter().map(shift).collect(),
            })
        });
        let scores = legs.iter().zip(&fused.legs).filter_map(|(leg, found)| {
            found.map(|(rank, score)| LegScore { leg: leg.clone(), rank, score: score.0 })
        });
        Ok(Hit {
            id: body.id,
            part: slot.0 - part.first,
            score: fused.score,
            span: part.span.into(),
            text: request.with_text.then_some(part.text),
            snippet,
            payload: request.with_payload.then_some(body.payload),
            vectors: if request.with_vectors {
                self.engine.vectors(slot)?
            } else {
                BTreeMap::new()
            },
            legs: scores.collect(),
        })
    }
}

fn syntax(asked: WordSyntax) -> lexical::WordSyntax {
    match asked {
        WordSyntax::Words => lexical::WordSyntax::Plain,
        WordSyntax::Query => lexical::WordSyntax::Query,
    }
}
