use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{Classified, ErrorKind};

/// A payload value: JSON with integers kept apart from floats. Persisted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// Nothing.
    Null,
    /// True or false.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A finite number.
    Float(f64),
    /// A text; one in the form of RFC 3339 is also a point in time.
    Text(String),
    /// A list; a condition holds for it if it holds for one of its elements.
    Array(Vec<Value>),
    /// Nested fields, named `outer.inner` in conditions.
    Object(BTreeMap<String, Value>),
}

/// The user's fields of a document.
pub type Payload = BTreeMap<String, Value>;

/// What kind of value a field was seen to hold; what a condition may ask of it follows from it.
/// Persisted by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FieldType {
    /// True or false.
    Boolean,
    /// Whole numbers.
    Integer,
    /// Numbers.
    Float,
    /// Texts that are points in time (RFC 3339).
    Datetime,
    /// Any other text.
    Keyword,
}

/// Why a value is not a payload.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PayloadError {
    /// Something else than an object at the top.
    #[error("a payload is a JSON object, got {0}")]
    NotAnObject(&'static str),
    /// A number that is no finite one or no 64-bit one.
    #[error("field `{path}` holds {number}, expected a 64-bit integer or a finite float")]
    Number {
        /// The field.
        path: String,
        /// The number as it was written.
        number: String,
    },
    /// Nesting without end.
    #[error("field `{0}` is nested deeper than 16 levels")]
    TooDeep(String),
    /// More than fits.
    #[error("a payload has at most {limit} bytes, got {actual}")]
    TooLarge {
        /// The most bytes.
        limit: usize,
        /// The bytes it had.
        actual: usize,
    },
    /// A field name that conditions could not name.
    #[error("a field name is not empty, has at most 128 bytes and no dot, got `{0}`")]
    FieldName(String),
}

impl Classified for PayloadError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidInput
    }
}
