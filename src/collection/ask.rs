use std::borrow::Cow;

use super::engine::damaged;
use super::error::{Error, described};
use super::open::Collection;
use crate::cancel::Cancellation;
use crate::document::{DocumentId, Slot, SlotSet};
use crate::embed::{Lane, Role};
use crate::query::{
    Example, Plan, PlanError, Question, Recommend, SearchRequest, Strategy, VectorLeg, average,
    fitting, plan,
};
use crate::vector::{Form, Vector};

/// The most examples of one recommendation.
const EXAMPLES_MAX: usize = 256;

/// A request with its plan, ready to be searched for.
#[derive(Debug)]
pub(super) struct Asked<'r> {
    pub(super) request: Cow<'r, SearchRequest>,
    pub(super) plan: Plan,
    /// What each vector leg of the plan asks for.
    pub(super) questions: Vec<Vector>,
    /// The examples of a leg that compares with each of them.
    pub(super) examples: Option<Examples>,
    /// The slots of stored examples, which are no answers.
    pub(super) excluded: SlotSet,
    pub(super) prefetch: Vec<Asked<'r>>,
}

/// Examples that each stored vector is compared with.
#[derive(Debug)]
pub(super) struct Examples {
    /// The vector name.
    pub(super) name: String,
    pub(super) positive: Vec<Vector>,
    pub(super) negative: Vec<Vector>,
}

impl Asked<'_> {
    /// Returns whether one leg answers by itself.
    pub(super) fn has_one_leg(&self) -> bool {
        self.prefetch.is_empty() && self.plan.legs().len() == 1
    }

    /// Returns the warnings of the plan and of those within it.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut warnings = self.plan.warnings.clone();
        warnings.extend(self.prefetch.iter().flat_map(Asked::warnings));
        warnings
    }
}

impl Collection {
    /// Plans a request and those within it, reads its examples and embeds its texts.
    pub(super) fn ask<'r>(
        &self,
        request: &'r SearchRequest,
        cancel: &Cancellation,
    ) -> Result<Asked<'r>, Error> {
        let mut excluded = SlotSet::new();
        let mut examples = None;
        let mut asked = Cow::Borrowed(request);
        if let Some(recommend) = &request.recommend {
            let found = self.examples(recommend, &mut excluded)?;
            let vector = match recommend.strategy {
                Strategy::Average => average(&found.positive, &found.negative)
                    .map_err(|source| PlanError::Vector { name: found.name.clone(), source })?,
                Strategy::BestScore => found.positive[0].clone(),
            };
            let name = found.name.clone();
            if recommend.strategy == Strategy::BestScore {
                examples = Some(found);
            }
            if asked.to_mut().vectors.insert(name, vector).is_some() {
                let reason = "a vector and examples are given for the same vector name";
                return Err(PlanError::Combination(reason).into());
            }
        }
        // Checked before the prefetches, whose depth it bounds.
        let mut plan = plan(&asked, &self.engine.kept().settings.shape())?;
        let mut prefetch = Vec::with_capacity(request.prefetch.len());
        for inner in &request.prefetch {
            let inner = self.ask(inner, cancel)?;
            excluded |= &inner.excluded;
            prefetch.push(inner);
        }
        let questions = self.questions(&mut plan, cancel)?;
        for (leg, question) in plan.vectors.iter().zip(&questions) {
            if let Vector::Dense(question) = question {
                self.engine.note_asked(&leg.name, question.as_slice());
            }
        }
        Ok(Asked { request: asked, plan, questions, examples, excluded, prefetch })
    }

    /// Embeds what has to be embedded. A leg whose embedder fails is left out with a warning, if
    /// the request leaves that open and the words can answer alone.
    fn questions(&self, plan: &mut Plan, cancel: &Cancellation) -> Result<Vec<Vector>, Error> {
        let mut questions = Vec::new();
        let mut kept: Vec<VectorLeg> = Vec::new();
        for leg in std::mem::take(&mut plan.vectors) {
            match self.question(&leg, cancel) {
                Ok(Some(question)) => {
                    questions.push(question);
                    kept.push(leg);
                }
                Ok(None) => {
                    let leg = leg.leg();
                    plan.warnings.push(format!("{leg}: the model knows nothing of the question"));
                }
                Err(error @ Error::Interrupted(_)) => return Err(error),
                Err(error) if plan.is_strict || plan.lexical.is_none() => return Err(error),
                Err(error) => {
                    plan.warnings.push(format!("{}: {}", leg.leg(), described(&error)));
                }
            }
        }
        plan.vectors = kept;
        Ok(questions)
    }

    fn question(&self, leg: &VectorLeg, cancel: &Cancellation) -> Result<Option<Vector>, Error> {
        match &leg.question {
            Question::Given(vector) => Ok(Some(vector.clone())),
            Question::Embed(text) => {
                let embedder = self.embedder(&leg.name)?.ok_or_else(|| {
                    Error::Settings(format!("vector `{}` has no embedder", leg.name))
                })?;
                let embedded = embedder.embed(&[text], Role::Query, Lane::Query, cancel)?;
                Ok(embedded.embeddings.into_iter().next().and_then(|first| first.vector))
            }
        }
    }

    fn examples(&self, recommend: &Recommend, excluded: &mut SlotSet) -> Result<Examples, Error> {
        let actual = recommend.positive.len() + recommend.negative.len();
        if actual > EXAMPLES_MAX {
            return Err(Error::TooMuch { what: "examples", limit: EXAMPLES_MAX, actual });
        }
        if recommend.positive.is_empty() {
            let reason = "a recommendation needs at least one positive example";
            return Err(PlanError::Combination(reason).into());
        }
        let shape = self.engine.kept().settings.shape();
        let name = match &recommend.vector {
            Some(name) => name.clone(),
            None => shape.only_vector()?.to_owned(),
        };
        if shape.form(&name)? == Form::Multi {
            let reason = "examples are compared by a dense or a sparse vector";
            return Err(PlanError::Combination(reason).into());
        }
        let mut read = |examples: &[Example]| -> Result<Vec<Vector>, Error> {
            let mut vectors = Vec::with_capacity(examples.len());
            for example in examples {
                match example {
                    Example::Vector(vector) => vectors.push(fitting(&name, vector, &shape)?),
                    Example::Document(id) => {
                        vectors.extend(self.vectors_of(&name, id, excluded)?);
                    }
                }
            }
            Ok(vectors)
        };
        let (positive, negative) = (read(&recommend.positive)?, read(&recommend.negative)?);
        Ok(Examples { name, positive, negative })
    }

    /// Returns the vectors of the parts of a document, at least one.
    fn vectors_of(
        &self,
        name: &str,
        id: &DocumentId,
        excluded: &mut SlotSet,
    ) -> Result<Vec<Vector>, Error> {
        // The view keeps the rows while they are read.
        let found = self.first_slot(id)?;
        let (_view, first) = found.ok_or_else(|| Error::UnknownDocument(id.to_string()))?;
        let body = self.engine.body(first)?.ok_or_else(|| damaged("body", first.0, "missing"))?;
        let slots = first.0..first.0 + body.parts;
        excluded.insert_range(slots.clone());
        let mut vectors = Vec::new();
        for slot in slots {
            vectors.extend(self.engine.vector(name, Slot(slot))?);
        }
        if vectors.is_empty() {
            return Err(Error::Settings(format!("document `{id}` has no vector `{name}`")));
        }
        Ok(vectors)
    }
}
