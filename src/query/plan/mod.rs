mod error;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use error::PlanError;

use super::request::{
    EF_MAX, IMAGE_BYTES_MAX, LIMIT_MAX, PREFETCH_DEPTH_MAX, PREFETCH_MAX, QUESTION_BYTES_MAX,
    WINDOW_MAX,
};
use super::{Example, Leg, Mode, Recommend, SearchRequest};
use crate::picture::Area;
use crate::vector::{DenseVector, Form, Metric, MultiVector, Vector, VectorError};

/// What a plan has to know of a collection.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    /// Its dense vectors by name.
    pub vectors: BTreeMap<String, VectorShape>,
    /// Its sparse vectors by name.
    pub sparse: BTreeMap<String, SparseShape>,
    /// Its multivectors by name; dimension and metric are those of each of their vectors.
    pub multi: BTreeMap<String, VectorShape>,
    /// Whether its texts are indexed by words.
    pub has_words: bool,
}

/// What a plan has to know of a named vector.
#[derive(Debug, Clone, PartialEq)]
pub struct VectorShape {
    /// How many components.
    pub dimension: usize,
    /// How two are compared.
    pub metric: Metric,
    /// What is embedded into it by this program.
    pub reads: Reads,
}

/// What the embedder of a vector reads; nothing if its vectors are given. Persisted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Reads {
    /// Texts.
    pub texts: bool,
    /// Still pictures.
    pub pictures: bool,
    /// Sounds.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sounds: bool,
}

/// What a plan has to know of a named sparse vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SparseShape {
    /// Whether texts are embedded into it by this program.
    pub has_embedder: bool,
}

/// The steps that answer a request.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// The legs among vectors: the dense ones by name, then the sparse ones, then the multivectors.
    pub vectors: Vec<VectorLeg>,
    /// The words of the lexical leg, if it runs.
    pub lexical: Option<String>,
    /// Whether the request demands every planned leg; else one that fails is left out with a warning.
    pub is_strict: bool,
    /// What was left out, and why.
    pub warnings: Vec<String>,
}

/// A search among the vectors of one name.
#[derive(Debug, Clone, PartialEq)]
pub struct VectorLeg {
    /// The vector name.
    pub name: String,
    /// Which form the vectors have.
    pub form: Form,
    /// What is searched for.
    pub question: Question,
}

/// What a leg among vectors searches for.
#[derive(Debug, Clone, PartialEq)]
pub enum Question {
    /// This vector, ready for the index.
    Given(Vector),
    /// The embedding of this text.
    Embed(String),
    /// The embedding of this picture.
    See(Seen),
    /// What lies between the embeddings of a text and of a picture.
    Both(String, Seen),
}

/// A picture of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The bytes of its file.
    pub bytes: Arc<[u8]>,
    /// The part of it that is asked about; none: all of it.
    pub area: Option<Area>,
}

/// Returns the steps that answer the request on a collection of this shape.
///
/// # Errors
/// [`PlanError`] (invalid input) if the request is wrong for every collection or for this one.
pub fn plan(request: &SearchRequest, shape: &Shape) -> Result<Plan, PlanError> {
    check_numbers(request)?;
    check_combination(request)?;
    let text = request.text.as_deref().map(str::trim).filter(|text| !text.is_empty());
    if !request.has_question() && !request.prefetch.is_empty() {
        return Ok(Plan::default());
    }
    if text.is_none() && request.image.is_none() && request.vectors.is_empty() {
        return Err(match request.mode {
            Mode::Lexical => PlanError::NoText { mode: "lexical" },
            Mode::Automatic | Mode::Hybrid | Mode::Semantic => PlanError::Empty,
        });
    }
    let vectors = match request.mode {
        Mode::Lexical => Vec::new(),
        Mode::Automatic | Mode::Hybrid | Mode::Semantic => vector_legs(request, text, shape)?,
    };
    let lexical = lexical_leg(request.mode, text, shape)?;
    let unread = shape.unread();
    match (request.mode, &unread) {
        (Mode::Lexical, _) if request.image.is_some() => {
            let reason = "a picture has no words: a lexical search takes a text alone";
            return Err(PlanError::Combination(reason));
        }
        (Mode::Lexical, _) => {}
        (Mode::Semantic | Mode::Hybrid, Some(unread)) if vectors.is_empty() => {
            return Err(unread.clone());
        }
        (Mode::Semantic | Mode::Hybrid, None) if vectors.is_empty() => {
            return Err(PlanError::NoneEmbeds);
        }
        (Mode::Automatic, Some(unread)) if vectors.is_empty() && lexical.is_none() => {
            return Err(unread.clone());
        }
        (Mode::Automatic, None) if vectors.is_empty() && lexical.is_none() => {
            return Err(PlanError::NoLeg);
        }
        (Mode::Automatic | Mode::Semantic | Mode::Hybrid, _) => {}
    }
    let by_words_alone = vectors.is_empty() && request.mode == Mode::Automatic;
    let warnings = unread.filter(|_| by_words_alone).map(|unread| unread.to_string());
    // Weights name legs, so leaving one of them out would change what was asked for.
    let is_strict = request.mode != Mode::Automatic || !request.fusion.weights().is_empty();
    Ok(Plan { vectors, lexical, is_strict, warnings: warnings.into_iter().collect() })
}

fn check_numbers(request: &SearchRequest) -> Result<(), PlanError> {
    let within = |name, actual: usize, minimum, maximum| {
        if (minimum..=maximum).contains(&actual) {
            Ok(())
        } else {
            Err(PlanError::OutOfRange { name, actual, minimum, maximum })
        }
    };
    within("limit", request.limit, 1, LIMIT_MAX)?;
    within("limit + offset", request.limit.saturating_add(request.offset), 1, WINDOW_MAX)?;
    within("ef", request.ef.unwrap_or(1), 1, EF_MAX)?;
    if let Some(target) = request.target_recall
        && !(target > 0.0 && target <= 1.0)
    {
        return Err(PlanError::Share { name: "target_recall", actual: target });
    }
    let text_bytes = request.text.as_ref().map_or(0, String::len);
    within("the length of the text in bytes", text_bytes, 0, QUESTION_BYTES_MAX)?;
    let image_bytes = request.image.as_ref().map_or(1, |image| image.len());
    within("the size of the picture in bytes", image_bytes, 1, IMAGE_BYTES_MAX)?;
    within("the number of prefetches", request.prefetch.len(), 0, PREFETCH_MAX)?;
    if let Some(group) = &request.group_by {
        within("the size of groups", group.size, 1, LIMIT_MAX)?;
        let hits = group.size.saturating_mul(request.limit);
        within("limit * the size of groups", hits, 1, WINDOW_MAX)?;
    }
    if let Some(diversity) = &request.diversity {
        within("candidates", diversity.candidates.unwrap_or(1), 1, LIMIT_MAX)?;
        if !(0.0..=1.0).contains(&diversity.relevance) {
            return Err(PlanError::Share { name: "relevance", actual: diversity.relevance });
        }
    }
    if depth(request) > PREFETCH_DEPTH_MAX {
        return Err(PlanError::TooDeep);
    }
    match request.score_threshold {
        Some(threshold) if !threshold.is_finite() => Err(PlanError::Threshold(threshold)),
        Some(_) | None => Ok(()),
    }
}

fn check_combination(request: &SearchRequest) -> Result<(), PlanError> {
    let refused = |reason| Err(PlanError::Combination(reason));
    if request.ef.is_some() && request.target_recall.is_some() {
        return refused("the breadth of a search is given by ef or by target_recall, not both");
    }
    if request.image_area.is_some() && request.image.is_none() {
        return refused("a part of a picture is asked about with that picture");
    }
    if request.group_by.is_some() && request.diversity.is_some() {
        return refused("an answer is grouped or diversified, not both");
    }
    if request.group_by.is_some() && request.offset > 0 {
        return refused("groups have no offset: ask for more of them");
    }
    let is_plain = |inner: &SearchRequest| inner.group_by.is_none() && inner.diversity.is_none();
    if !request.prefetch.iter().all(is_plain) {
        return refused("a prefetch is neither grouped nor diversified: the search is");
    }
    Ok(())
}

fn depth(request: &SearchRequest) -> usize {
    1 + request.prefetch.iter().map(depth).max().unwrap_or(0)
}

fn vector_legs(
    request: &SearchRequest,
    text: Option<&str>,
    shape: &Shape,
) -> Result<Vec<VectorLeg>, PlanError> {
    if let Some(name) = &request.using {
        shape.form(name)?;
    }
    let mut legs = Vec::new();
    for (name, vector) in &request.vectors {
        let (vector, form) = (fitting(name, vector, shape)?, shape.form(name)?);
        legs.push(VectorLeg { name: name.clone(), form, question: Question::Given(vector) });
    }
    // Vectors that were given stand for the text, unless the request says what to embed it for.
    let text = text.filter(|_| legs.is_empty() || request.using.is_some());
    let mut questions = BTreeMap::<&str, (Form, Option<&str>, Option<&Arc<[u8]>>)>::new();
    if let Some(text) = text {
        for (name, form) in embedding_names(request, shape, |reads| reads.texts)? {
            questions.insert(name, (form, Some(text), None));
        }
    }
    if let Some(image) = &request.image {
        let places = embedding_names(request, shape, |reads| reads.pictures)?;
        if places.is_empty() {
            return Err(match &request.using {
                Some(name) => PlanError::ReadsNoPicture { name: name.clone() },
                None => PlanError::NoneSees { known: shape.names().join(", ") },
            });
        }
        for (name, form) in places {
            questions.entry(name).or_insert((form, None, None)).2 = Some(image);
        }
    }
    if let Some(name) = request.using.as_ref().filter(|_| questions.is_empty() && text.is_some()) {
        return Err(match shape.reads(name)? {
            Reads { pictures: true, .. } => PlanError::ReadsNoText { name: name.clone() },
            Reads { sounds: true, .. } => PlanError::ReadsSounds { name: name.clone() },
            Reads { .. } => PlanError::NoEmbedder { name: name.clone() },
        });
    }
    let seen = |bytes: &Arc<[u8]>| Seen { bytes: Arc::clone(bytes), area: request.image_area };
    for (name, (form, text, image)) in questions {
        let question = match (text, image) {
            (Some(text), Some(image)) => Question::Both(text.to_owned(), seen(image)),
            (None, Some(image)) => Question::See(seen(image)),
            (Some(text), None) => Question::Embed(text.to_owned()),
            (None, None) => continue,
        };
        if !request.vectors.contains_key(name) {
            legs.push(VectorLeg { name: name.to_owned(), form, question });
        }
    }
    legs.sort_by_key(|leg| match leg.form {
        Form::Dense => 0,
        Form::Sparse => 1,
        Form::Multi => 2,
    });
    Ok(legs)
}

/// Returns the vector with form and dimension checked, and of length one where only directions
/// count.
///
/// # Errors
/// [`PlanError`] (invalid input) naming the vector and both sides.
pub fn fitting(name: &str, vector: &Vector, shape: &Shape) -> Result<Vector, PlanError> {
    let wrong = |source| PlanError::Vector { name: name.to_owned(), source };
    let (expected, actual) = (shape.form(name)?, vector.form());
    match (shape.vectors.get(name), shape.multi.get(name), vector) {
        (Some(shape), _, Vector::Dense(vector)) => fitting_dense(vector, shape).map_err(wrong),
        (_, Some(shape), Vector::Multi(vector)) => fitting_multi(vector, shape).map_err(wrong),
        (None, None, Vector::Sparse(vector)) => Ok(vector.clone().into()),
        _ => Err(wrong(VectorError::FormMismatch { expected, actual })),
    }
}

fn fitting_dense(vector: &DenseVector, shape: &VectorShape) -> Result<Vector, VectorError> {
    vector.require_dimension(shape.dimension)?;
    match shape.metric {
        Metric::Cosine => vector.clone().normalized().map(Vector::from),
        Metric::Dot | Metric::Euclidean => Ok(vector.clone().into()),
    }
}

fn fitting_multi(vector: &MultiVector, shape: &VectorShape) -> Result<Vector, VectorError> {
    vector.require_dimension(shape.dimension)?;
    match shape.metric {
        Metric::Cosine => vector.clone().normalized().map(Vector::from),
        Metric::Dot | Metric::Euclidean => Ok(vector.clone().into()),
    }
}

impl Shape {
    /// Returns which form the vectors of a name have.
    ///
    /// # Errors
    /// [`PlanError::UnknownVector`] (invalid input) naming those there are.
    pub fn form(&self, name: &str) -> Result<Form, PlanError> {
        if self.vectors.contains_key(name) {
            Ok(Form::Dense)
        } else if self.sparse.contains_key(name) {
            Ok(Form::Sparse)
        } else if self.multi.contains_key(name) {
            Ok(Form::Multi)
        } else {
            let known = self.names().join(", ");
            Err(PlanError::UnknownVector { name: name.to_owned(), known })
        }
    }

    /// Returns the names of all vectors, in order.
    fn names(&self) -> Vec<&str> {
        let names = self.vectors.keys().chain(self.sparse.keys()).chain(self.multi.keys());
        let mut names: Vec<&str> = names.map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    /// Returns why no vector takes a text, if there is one of pictures or sounds, and none of texts.
    fn unread(&self) -> Option<PlanError> {
        let dense_or_multi = || self.vectors.values().chain(self.multi.values());
        let reads_texts = dense_or_multi().any(|shape| shape.reads.texts)
            || self.sparse.values().any(|shape| shape.has_embedder);
        let all = self.vectors.iter().chain(&self.multi);
        let unread = |(name, shape): (&String, &VectorShape)| match shape.reads {
            Reads { pictures: true, .. } => Some(PlanError::ReadsNoText { name: name.clone() }),
            Reads { sounds: true, .. } => Some(PlanError::ReadsSounds { name: name.clone() }),
            Reads { .. } => None,
        };
        all.filter(|_| !reads_texts).find_map(unread)
    }

    /// Returns the name of the only vector.
    ///
    /// # Errors
    /// [`PlanError::Several`] (invalid input) if there are several or none.
    pub fn only_vector(&self) -> Result<&str, PlanError> {
        let names = self.names();
        match names[..] {
            [only] => Ok(only),
            _ => Err(PlanError::Several(names.join(", "))),
        }
    }

    /// Returns the name of the vector that examples are compared by: the one that is named, or the only
    /// one whose embedder reads all of them.
    ///
    /// # Errors
    /// [`PlanError`] (invalid input): there is no such vector, there are several, or it is not made of
    /// what the examples are.
    pub fn compared(&self, recommend: &Recommend) -> Result<String, PlanError> {
        let all = || recommend.examples();
        let has_text = all().any(|one| matches!(one.example, Example::Text(_)));
        let has_image = all().any(|one| matches!(one.example, Example::Image(_)));
        // A clip is one of a video or of a sound.
        let has_clip = all().any(|one| matches!(one.example, Example::Clip(_)));
        let sees = |reads: Reads| {
            (reads.pictures || !has_image) && (reads.pictures || reads.sounds || !has_clip)
        };
        let name = match &recommend.vector {
            Some(name) => name.as_str(),
            None => {
                let fits =
                    |shape: &VectorShape| (shape.reads.texts || !has_text) && sees(shape.reads);
                let mut fitting = self.vectors.iter().filter(|(_, shape)| fits(shape));
                match (has_text || has_image || has_clip, fitting.next(), fitting.next()) {
                    (true, Some((only, _)), None) => only,
                    _ => self.only_vector()?,
                }
            }
        };
        let (reads, name) = (self.reads(name)?, name.to_owned());
        match (has_text && !reads.texts, !sees(reads)) {
            (true, _) | (_, true) if reads.sounds => Err(PlanError::ReadsSounds { name }),
            (_, true) if reads.texts => Err(PlanError::ReadsNoPicture { name }),
            (true, _) if reads.pictures => Err(PlanError::ReadsNoText { name }),
            (false, false) => Ok(name),
            _ => Err(PlanError::NoEmbedder { name }),
        }
    }

    /// Returns what is embedded into the vectors of a name.
    ///
    /// # Errors
    /// [`PlanError::UnknownVector`] (invalid input) naming those there are.
    pub fn reads(&self, name: &str) -> Result<Reads, PlanError> {
        Ok(match self.form(name)? {
            Form::Dense => self.vectors.get(name).map(|shape| shape.reads).unwrap_or_default(),
            Form::Sparse => self.sparse.get(name).map(|shape| shape.reads()).unwrap_or_default(),
            Form::Multi => self.multi.get(name).map(|shape| shape.reads).unwrap_or_default(),
        })
    }
}

impl SparseShape {
    fn reads(self) -> Reads {
        Reads { texts: self.has_embedder, ..Reads::default() }
    }
}

/// Returns the vectors that something is embedded for: the one that the request names, or else the one
/// of each form whose embedder reads it; none if that embedder does not.
fn embedding_names<'a>(
    request: &'a SearchRequest,
    shape: &'a Shape,
    reads: impl Fn(Reads) -> bool,
) -> Result<Vec<(&'a str, Form)>, PlanError> {
    if let Some(name) = &request.using {
        let is_read = reads(shape.reads(name)?);
        return Ok(is_read.then_some((name.as_str(), shape.form(name)?)).into_iter().collect());
    }
    let dense = shape.vectors.iter().filter(|(_, vector)| reads(vector.reads));
    let sparse = shape.sparse.iter().filter(|(_, vector)| reads(vector.reads()));
    let multi = shape.multi.iter().filter(|(_, vector)| reads(vector.reads));
    let forms = [
        (Form::Dense, dense.map(|(name, _)| name.as_str()).collect::<Vec<_>>()),
        (Form::Sparse, sparse.map(|(name, _)| name.as_str()).collect()),
        (Form::Multi, multi.map(|(name, _)| name.as_str()).collect()),
    ];
    let mut names = Vec::new();
    for (form, embedding) in &forms {
        match embedding[..] {
            [] => {}
            [only] => names.push((only, *form)),
            _ => return Err(PlanError::Ambiguous(embedding.join(", "))),
        }
    }
    Ok(names)
}

fn lexical_leg(mode: Mode, text: Option<&str>, shape: &Shape) -> Result<Option<String>, PlanError> {
    match (mode, text) {
        (Mode::Semantic, _) | (Mode::Automatic, None) => Ok(None),
        (Mode::Hybrid, None) => Err(PlanError::NoText { mode: "hybrid" }),
        (Mode::Lexical, None) => Err(PlanError::NoText { mode: "lexical" }),
        (_, Some(text)) if shape.has_words => Ok(Some(text.to_owned())),
        (Mode::Automatic, Some(_)) => Ok(None),
        (Mode::Hybrid | Mode::Lexical, Some(_)) => Err(PlanError::NoWords),
    }
}

impl Plan {
    /// Returns the legs in the order in which their rankings are joined.
    pub fn legs(&self) -> Vec<Leg> {
        let words = self.lexical.iter().map(|_| Leg::Lexical);
        words.chain(self.vectors.iter().map(VectorLeg::leg)).collect()
    }
}

impl VectorLeg {
    /// Returns the leg.
    pub fn leg(&self) -> Leg {
        match self.form {
            Form::Dense => Leg::Dense(self.name.clone()),
            Form::Sparse => Leg::Sparse(self.name.clone()),
            Form::Multi => Leg::Multi(self.name.clone()),
        }
    }
}
