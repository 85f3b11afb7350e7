use std::collections::BTreeMap;

use super::request::{EF_MAX, LIMIT_MAX, QUESTION_BYTES_MAX, WINDOW_MAX};
use super::{Leg, Mode, SearchRequest};
use crate::error::{Classified, ErrorKind};
use crate::vector::{DenseVector, Metric, VectorError};

/// What a plan has to know of a collection.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    /// Its vectors by name.
    pub vectors: BTreeMap<String, VectorShape>,
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

/// The steps that answer a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The dense legs, by vector name.
    pub dense: Vec<DenseLeg>,
    /// The words of the lexical leg, if it runs.
    pub lexical: Option<String>,
    /// Whether the request demands every planned leg; else one that fails is left out with a warning.
    pub is_strict: bool,
    /// What was left out, and why.
    pub warnings: Vec<String>,
}

/// A search among the vectors of one name.
#[derive(Debug, Clone, PartialEq)]
pub struct DenseLeg {
    /// The vector name.
    pub name: String,
    /// What is searched for.
    pub question: Question,
}

/// What a dense leg searches for.
#[derive(Debug, Clone, PartialEq)]
pub enum Question {
    /// This vector, ready for the index.
    Given(DenseVector),
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
    let text = request.text.as_deref().map(str::trim).filter(|text| !text.is_empty());
    if text.is_none() && request.vectors.is_empty() {
        return Err(match request.mode {
            Mode::Lexical => PlanError::NoText { mode: "lexical" },
            Mode::Automatic | Mode::Hybrid | Mode::Semantic => PlanError::Empty,
        });
    }
    let dense = match request.mode {
        Mode::Lexical => Vec::new(),
        Mode::Automatic | Mode::Hybrid | Mode::Semantic => dense_legs(request, text, shape)?,
    };
    let lexical = lexical_leg(request.mode, text, shape)?;
    match request.mode {
        Mode::Semantic | Mode::Hybrid if dense.is_empty() => return Err(PlanError::NoneEmbeds),
        Mode::Automatic if dense.is_empty() && lexical.is_none() => return Err(PlanError::NoLeg),
        Mode::Automatic | Mode::Semantic | Mode::Hybrid | Mode::Lexical => {}
    }
    // Weights name legs, so leaving one of them out would change what was asked for.
    let is_strict = request.mode != Mode::Automatic || !request.fusion.weights().is_empty();
    Ok(Plan { dense, lexical, is_strict, warnings: Vec::new() })
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
    let text_bytes = request.text.as_ref().map_or(0, String::len);
    within("the length of the text in bytes", text_bytes, 0, QUESTION_BYTES_MAX)?;
    match request.score_threshold {
        Some(threshold) if !threshold.is_finite() => Err(PlanError::Threshold(threshold)),
        Some(_) | None => Ok(()),
    }
}

fn dense_legs(
    request: &SearchRequest,
    text: Option<&str>,
    shape: &Shape,
) -> Result<Vec<DenseLeg>, PlanError> {
    let mut legs = Vec::new();
    for (name, vector) in &request.vectors {
        let question = Question::Given(fitting(name, vector, vector_shape(shape, name)?)?);
        legs.push(DenseLeg { name: name.clone(), question });
    }
    if let Some(name) = &request.using
        && !vector_shape(shape, name)?.has_embedder
        && text.is_some()
    {
        return Err(PlanError::NoEmbedder { name: name.clone() });
    }
    // Vectors that were given stand for the text, unless the request says what to embed it for.
    if let Some(text) = text
        && (legs.is_empty() || request.using.is_some())
        && let Some(name) = embedded_name(request, shape)?
        && !request.vectors.contains_key(name)
    {
        legs.push(DenseLeg { name: name.to_owned(), question: Question::Embed(text.to_owned()) });
    }
    Ok(legs)
}

/// Returns the vector with the dimension checked, and of length one where only directions count.
fn fitting(
    name: &str,
    vector: &DenseVector,
    shape: &VectorShape,
) -> Result<DenseVector, PlanError> {
    let wrong = |source| PlanError::Vector { name: name.to_owned(), source };
    vector.require_dimension(shape.dimension).map_err(wrong)?;
    match shape.metric {
        Metric::Cosine => vector.clone().normalized().map_err(wrong),
        Metric::Dot | Metric::Euclidean => Ok(vector.clone()),
    }
}

fn vector_shape<'a>(shape: &'a Shape, name: &str) -> Result<&'a VectorShape, PlanError> {
    shape.vectors.get(name).ok_or_else(|| PlanError::UnknownVector {
        name: name.to_owned(),
        known: shape.vectors.keys().cloned().collect::<Vec<_>>().join(", "),
    })
}

fn embedded_name<'a>(
    request: &'a SearchRequest,
    shape: &'a Shape,
) -> Result<Option<&'a str>, PlanError> {
    if let Some(name) = &request.using {
        return Ok(Some(name));
    }
    let embedding: Vec<&str> = shape
        .vectors
        .iter()
        .filter(|(_, vector)| vector.has_embedder)
        .map(|(name, _)| name.as_str())
        .collect();
    match embedding[..] {
        [] => Ok(None),
        [only] => Ok(Some(only)),
        _ => Err(PlanError::Ambiguous(embedding.join(", "))),
    }
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
        words.chain(self.dense.iter().map(|leg| Leg::Dense(leg.name.clone()))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::Fusion;

    fn shape(vectors: &[(&str, bool)], has_words: bool) -> Shape {
        let vector = |&(name, has_embedder): &(&str, bool)| {
            let metric = Metric::Cosine;
            (name.to_owned(), VectorShape { dimension: 2, metric, has_embedder })
        };
        Shape { vectors: vectors.iter().map(vector).collect(), has_words }
    }

    fn ask(text: &str, mode: Mode) -> SearchRequest {
        SearchRequest { text: Some(text.to_owned()), mode, ..SearchRequest::default() }
    }

    fn legs(request: &SearchRequest, shape: &Shape) -> Vec<String> {
        plan(request, shape).unwrap().legs().iter().map(ToString::to_string).collect()
    }

    fn vector(components: &[f32]) -> DenseVector {
        DenseVector::new(components.to_vec()).unwrap()
    }

    #[test]
    fn each_mode_runs_its_legs_where_the_collection_has_them() {
        let both = shape(&[("text", true)], true);
        let given = shape(&[("image", false)], true);
        let wordless = shape(&[("text", true)], false);
        for (mode, shape, expected) in [
            (Mode::Automatic, &both, &["lexical", "dense:text"][..]),
            (Mode::Hybrid, &both, &["lexical", "dense:text"]),
            (Mode::Semantic, &both, &["dense:text"]),
            (Mode::Lexical, &both, &["lexical"]),
            (Mode::Automatic, &given, &["lexical"]),
            (Mode::Automatic, &wordless, &["dense:text"]),
        ] {
            assert_eq!(legs(&ask("cat", mode), shape), expected, "{mode:?}");
        }
    }

    #[test]
    fn what_cannot_be_answered_says_what_is_missing() {
        let both = shape(&[("text", true)], true);
        let given = shape(&[("image", false)], true);
        let wordless = shape(&[("text", true)], false);
        let several = shape(&[("a", true), ("b", true)], true);
        for (request, shape, expected) in [
            (SearchRequest::default(), &both, PlanError::Empty),
            (ask("  ", Mode::Lexical), &both, PlanError::NoText { mode: "lexical" }),
            (ask("cat", Mode::Hybrid), &given, PlanError::NoneEmbeds),
            (ask("cat", Mode::Semantic), &given, PlanError::NoneEmbeds),
            (ask("cat", Mode::Hybrid), &wordless, PlanError::NoWords),
            (ask("cat", Mode::Automatic), &shape_without_legs(), PlanError::NoLeg),
            (ask("cat", Mode::Automatic), &several, PlanError::Ambiguous("a, b".into())),
            (
                SearchRequest { using: Some("image".into()), ..ask("cat", Mode::Automatic) },
                &given,
                PlanError::NoEmbedder { name: "image".into() },
            ),
            (
                SearchRequest { using: Some("x".into()), ..ask("cat", Mode::Automatic) },
                &several,
                PlanError::UnknownVector { name: "x".into(), known: "a, b".into() },
            ),
        ] {
            assert_eq!(plan(&request, shape).unwrap_err(), expected);
        }
    }

    fn shape_without_legs() -> Shape {
        shape(&[("image", false)], false)
    }

    #[test]
    fn a_given_vector_is_checked_and_stands_for_the_text() {
        let both = shape(&[("text", true), ("image", false)], true);
        let mut request = ask("cat", Mode::Automatic);
        request.vectors.insert("image".into(), vector(&[3.0, 4.0]));
        let planned = plan(&request, &both).unwrap();
        assert_eq!(legs(&request, &both), ["lexical", "dense:image"]);
        assert_eq!(planned.dense[0].question, Question::Given(vector(&[0.6, 0.8])));
        request.using = Some("text".into());
        assert_eq!(legs(&request, &both), ["lexical", "dense:image", "dense:text"]);

        request.vectors.insert("image".into(), vector(&[1.0]));
        let error = plan(&request, &both).unwrap_err().to_string();
        assert_eq!(error, "vector `image`: expected dimension 2, got 1");
        request.vectors.insert("image".into(), vector(&[0.0, 0.0]));
        assert!(plan(&request, &both).unwrap_err().to_string().contains("length zero"));
    }

    #[test]
    fn numbers_out_of_range_are_refused_with_both_sides() {
        let both = shape(&[("text", true)], true);
        let cat = ask("cat", Mode::Automatic);
        for (request, expected) in [
            (SearchRequest { limit: 0, ..cat.clone() }, "limit is 0, expected 1 to 1000"),
            (
                SearchRequest { offset: 9_991, ..cat.clone() },
                "limit + offset is 10001, expected 1 to 10000",
            ),
            (SearchRequest { ef: Some(0), ..cat.clone() }, "ef is 0, expected 1 to 4096"),
            (
                ask(&"x".repeat(QUESTION_BYTES_MAX + 1), Mode::Automatic),
                "the length of the text in bytes is 32769, expected 0 to 32768",
            ),
            (
                SearchRequest { score_threshold: Some(f32::NAN), ..cat },
                "score_threshold is NaN, expected a finite number",
            ),
        ] {
            assert_eq!(plan(&request, &both).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn only_what_was_left_open_may_be_answered_by_fewer_legs() {
        let both = shape(&[("text", true)], true);
        assert!(!plan(&ask("cat", Mode::Automatic), &both).unwrap().is_strict);
        assert!(plan(&ask("cat", Mode::Hybrid), &both).unwrap().is_strict);
        let weights = BTreeMap::from([("lexical".to_owned(), 2.0)]);
        let weighted = SearchRequest {
            fusion: Fusion::WeightedScore { weights },
            ..ask("cat", Mode::Automatic)
        };
        assert!(plan(&weighted, &both).unwrap().is_strict);
    }
}
