use std::collections::BTreeMap;

use super::request::{
    EF_MAX, LIMIT_MAX, PREFETCH_DEPTH_MAX, PREFETCH_MAX, QUESTION_BYTES_MAX, WINDOW_MAX,
};
use super::{Leg, Mode, SearchRequest};
use crate::error::{Classified, ErrorKind};
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
    /// Whether texts are embedded into it by this program.
    pub has_embedder: bool,
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
}

/// Why a request cannot be answered.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PlanError {
    /// Nothing to search for.
    #[error("a search needs a text or a vector; to list documents, scroll")]
    Empty,
    /// A number out of its range.
    #[error("{name} is {actual}, expected {minimum} to {maximum}")]
    OutOfRange {
        /// What the number says.
        name: &'static str,
        /// What it is.
        actual: usize,
        /// The least it may be.
        minimum: usize,
        /// The most it may be.
        maximum: usize,
    },
    /// Searches within searches without end.
    #[error("searches are nested at most {PREFETCH_DEPTH_MAX} deep")]
    TooDeep,
    /// Two things that exclude each other.
    #[error("{0}")]
    Combination(&'static str),
    /// A share that is none.
    #[error("{name} is {actual}, expected 0 to 1")]
    Share {
        /// What the number says.
        name: &'static str,
        /// What it is.
        actual: f32,
    },
    /// A threshold that compares with nothing.
    #[error("score_threshold is {0}, expected a finite number")]
    Threshold(f32),
    /// A vector name that the collection does not have.
    #[error("the collection has no vector `{name}`; it has {known}")]
    UnknownVector {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// A vector that does not fit the collection's.
    #[error("vector `{name}`: {source}")]
    Vector {
        /// The vector name.
        name: String,
        /// What is wrong.
        #[source]
        source: VectorError,
    },
    /// A text for a vector that only takes vectors.
    #[error("vector `{name}` has no embedder, so the question has to be a vector")]
    NoEmbedder {
        /// The vector name.
        name: String,
    },
    /// A text where no vector has an embedder.
    #[error(
        "no vector of the collection has an embedder, so a semantic question has to be a vector"
    )]
    NoneEmbeds,
    /// A text that could be embedded in several ways.
    #[error("several vectors have an embedder ({0}): name one of them in `using`")]
    Ambiguous(String),
    /// Examples that could be compared in several ways.
    #[error("examples are compared by one vector, and the collection has {0}: name it")]
    Several(String),
    /// A lexical search without words.
    #[error("a {mode} search needs a text")]
    NoText {
        /// The mode that was asked for.
        mode: &'static str,
    },
    /// A lexical search where words are not indexed.
    #[error("the lexical index of the collection is disabled")]
    NoWords,
    /// No leg can run.
    #[error("the collection can answer neither by words nor by an embedder: give a vector")]
    NoLeg,
}

impl Classified for PlanError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidInput
    }
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
    if text.is_none() && request.vectors.is_empty() {
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
    match request.mode {
        Mode::Semantic | Mode::Hybrid if vectors.is_empty() => return Err(PlanError::NoneEmbeds),
        Mode::Automatic if vectors.is_empty() && lexical.is_none() => return Err(PlanError::NoLeg),
        Mode::Automatic | Mode::Semantic | Mode::Hybrid | Mode::Lexical => {}
    }
    // Weights name legs, so leaving one of them out would change what was asked for.
    let is_strict = request.mode != Mode::Automatic || !request.fusion.weights().is_empty();
    Ok(Plan { vectors, lexical, is_strict, warnings: Vec::new() })
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
    let mut legs = Vec::new();
    for (name, vector) in &request.vectors {
        let (vector, form) = (fitting(name, vector, shape)?, shape.form(name)?);
        legs.push(VectorLeg { name: name.clone(), form, question: Question::Given(vector) });
    }
    if let Some(name) = &request.using
        && !shape.has_embedder(name)?
        && text.is_some()
    {
        return Err(PlanError::NoEmbedder { name: name.clone() });
    }
    // Vectors that were given stand for the text, unless the request says what to embed it for.
    if let Some(text) = text
        && (legs.is_empty() || request.using.is_some())
    {
        for (name, form) in embedded_names(request, shape)? {
            if !request.vectors.contains_key(name) {
                let (name, question) = (name.to_owned(), Question::Embed(text.to_owned()));
                legs.push(VectorLeg { name, form, question });
            }
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

    /// Returns the names of all vectors, in order.
    fn names(&self) -> Vec<&str> {
        let names = self.vectors.keys().chain(self.sparse.keys()).chain(self.multi.keys());
        let mut names: Vec<&str> = names.map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    fn has_embedder(&self, name: &str) -> Result<bool, PlanError> {
        Ok(match self.form(name)? {
            Form::Dense => self.vectors.get(name).is_some_and(|shape| shape.has_embedder),
            Form::Sparse => self.sparse.get(name).is_some_and(|shape| shape.has_embedder),
            Form::Multi => self.multi.get(name).is_some_and(|shape| shape.has_embedder),
        })
    }
}

/// Returns the vectors that a text is embedded for: the one that the request names, or else the one
/// of each form that has an embedder.
fn embedded_names<'a>(
    request: &'a SearchRequest,
    shape: &'a Shape,
) -> Result<Vec<(&'a str, Form)>, PlanError> {
    if let Some(name) = &request.using {
        return Ok(vec![(name, shape.form(name)?)]);
    }
    let dense = shape.vectors.iter().filter(|(_, vector)| vector.has_embedder);
    let sparse = shape.sparse.iter().filter(|(_, vector)| vector.has_embedder);
    let multi = shape.multi.iter().filter(|(_, vector)| vector.has_embedder);
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

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
