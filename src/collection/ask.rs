use std::borrow::Cow;
use std::sync::Arc;

use super::engine::damaged;
use super::error::{Error, described};
use super::open::Collection;
use super::replace::Numbers;
use crate::cancel::Cancellation;
use crate::decode::decode_picture;
use crate::document::{DocumentId, Slot, SlotSet};
use crate::embed::{EmbedderHandle, Lane, Role};
use crate::picture::{Area, Picture};
use crate::query::{
    Example, Plan, PlanError, Question, Recommend, SearchRequest, Seen, Strategy, VectorLeg,
    Weighted, average, fitting, plan,
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
    /// Which vectors the names of the legs stood for.
    pub(super) numbers: Numbers,
}

/// Examples that each stored vector is compared with.
#[derive(Debug)]
pub(super) struct Examples {
    /// The vector name.
    pub(super) name: String,
    pub(super) positive: Vec<(Vector, f32)>,
    pub(super) negative: Vec<(Vector, f32)>,
    /// What of them was left out, and why.
    warnings: Vec<String>,
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
        let (mut examples, mut warnings) = (None, Vec::new());
        let mut asked = Cow::Borrowed(request);
        if let Some(recommend) = &request.recommend {
            let mut found = self.examples(recommend, &mut excluded, cancel)?;
            warnings = std::mem::take(&mut found.warnings);
            let vector = match recommend.strategy {
                Strategy::Average => average(&found.positive, &found.negative)
                    .map_err(|source| PlanError::Vector { name: found.name.clone(), source })?,
                Strategy::BestScore => found.positive[0].0.clone(),
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
        let kept = self.engine.kept();
        let numbers = Arc::clone(&kept.numbers);
        let mut plan = plan(&asked, &kept.shape)?;
        plan.warnings.append(&mut warnings);
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
        Ok(Asked { request: asked, plan, questions, examples, excluded, prefetch, numbers })
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
            Question::Embed(text) => self.vector_of_text(&leg.name, text, cancel),
            Question::See(image) => self.vector_of_image(&leg.name, image, cancel),
            Question::Both(text, image) => {
                let text = self.vector_of_text(&leg.name, text, cancel)?;
                let image = self.vector_of_image(&leg.name, image, cancel)?;
                let known: Vec<(Vector, f32)> =
                    text.into_iter().chain(image).map(|vector| (vector, 1.0)).collect();
                if known.is_empty() {
                    return Ok(None);
                }
                let wrong = |source| PlanError::Vector { name: leg.name.clone(), source };
                let between = average(&known, &[]).map_err(wrong)?;
                Ok(Some(fitting(&leg.name, &between, &self.engine.kept().shape)?))
            }
        }
    }

    fn vector_of_text(
        &self,
        name: &str,
        text: &str,
        cancel: &Cancellation,
    ) -> Result<Option<Vector>, Error> {
        let embedded = self.embedder_of(name)?.embed(&[text], Role::Query, Lane::Query, cancel)?;
        Ok(embedded.embeddings.into_iter().next().and_then(|first| first.vector))
    }

    fn vector_of_image(
        &self,
        name: &str,
        image: &Seen,
        cancel: &Cancellation,
    ) -> Result<Option<Vector>, Error> {
        let embedder = self.embedder_of(name)?;
        let picture = decode_picture(&image.bytes, &self.engine.limits).map_err(Error::Picture)?;
        let picture = Arc::new(picture);
        if let Some(area) = image.area {
            check_inside(area, &picture)?;
            return Ok(embedder.embed_area(&picture, area, Lane::Query, cancel)?);
        }
        let embedded = embedder.embed_pictures(&[picture], Lane::Query, cancel)?;
        Ok(embedded.embeddings.into_iter().next().and_then(|first| first.vector))
    }

    fn embedder_of(&self, name: &str) -> Result<EmbedderHandle, Error> {
        let missing = || Error::Settings(format!("vector `{name}` has no embedder"));
        self.embedder(name)?.ok_or_else(missing)
    }

    fn examples(
        &self,
        recommend: &Recommend,
        excluded: &mut SlotSet,
        cancel: &Cancellation,
    ) -> Result<Examples, Error> {
        let actual = recommend.positive.len() + recommend.negative.len();
        if actual > EXAMPLES_MAX {
            return Err(Error::TooMuch { what: "examples", limit: EXAMPLES_MAX, actual });
        }
        if recommend.positive.is_empty() {
            let reason = "a recommendation needs at least one positive example";
            return Err(PlanError::Combination(reason).into());
        }
        let all = || recommend.examples();
        if let Some(wrong) = all().find(|one| !(one.weight.is_finite() && one.weight > 0.0)) {
            return Err(PlanError::Weight(wrong.weight).into());
        }
        if recommend.strategy == Strategy::BestScore && all().any(|one| one.weight != 1.0) {
            let reason = "weights go with the average of examples, not with the best score";
            return Err(PlanError::Combination(reason).into());
        }
        let kept = self.engine.kept();
        let shape = &kept.shape;
        let name = shape.compared(recommend)?;
        if shape.form(&name)? == Form::Multi {
            let reason = "examples are compared by a dense or a sparse vector";
            return Err(PlanError::Combination(reason).into());
        }
        let mut warnings = Vec::new();
        let mut read = |examples: &[Weighted]| -> Result<Vec<(Vector, f32)>, Error> {
            let mut vectors = Vec::with_capacity(examples.len());
            for Weighted { example, weight } in examples {
                let found = match example {
                    Example::Vector(vector) => vec![fitting(&name, vector, shape)?],
                    Example::Document(id) => self.vectors_of(&name, id, excluded)?,
                    Example::Text(text) => {
                        self.vector_of_text(&name, text, cancel)?.into_iter().collect()
                    }
                    Example::Image(image) => {
                        let image = Seen { bytes: Arc::clone(image), area: None };
                        self.vector_of_image(&name, &image, cancel)?.into_iter().collect()
                    }
                    Example::Clip(bytes) => {
                        let excerpt = self.excerpt(bytes, &self.embedder_of(&name)?, cancel)?;
                        warnings.extend(excerpt.warnings);
                        let stretches = excerpt.stretches.into_iter();
                        stretches.map(|stretch| stretch.vector).collect()
                    }
                };
                if found.is_empty() {
                    let reason = "the model knows nothing of an example";
                    return Err(PlanError::Combination(reason).into());
                }
                vectors.extend(found.into_iter().map(|vector| (vector, *weight)));
            }
            Ok(vectors)
        };
        let (positive, negative) = (read(&recommend.positive)?, read(&recommend.negative)?);
        Ok(Examples { name, positive, negative, warnings })
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

/// Checks that an area lies in a picture.
fn check_inside(area: Area, picture: &Picture) -> Result<(), Error> {
    let Area { left, top, width, height } = area;
    let is_inside = |start: u32, length: u32, of: u32| {
        length > 0 && start.checked_add(length).is_some_and(|end| end <= of)
    };
    if is_inside(left, width, picture.width()) && is_inside(top, height, picture.height()) {
        return Ok(());
    }
    Err(Error::Settings(format!(
        "the part of the picture that is asked about begins at {left}, {top} and is {width} x {height} \
         pixels, expected one inside the picture's {} x {}",
        picture.width(),
        picture.height()
    )))
}
