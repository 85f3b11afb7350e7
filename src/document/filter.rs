use serde::{Deserialize, Serialize};

use super::{DocumentId, FieldType};
use crate::error::{Classified, ErrorKind};

/// Which documents are meant. Built from the wire or from JSON; evaluated by the lexical index into
/// one slot set, and by `Filter::matches` on a payload, which is the plain truth to compare with.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// Every one of these holds; none given holds always.
    All(Vec<Filter>),
    /// At least one of these holds; none given holds never.
    Any(Vec<Filter>),
    /// This does not hold.
    Not(Box<Filter>),
    /// The field satisfies the condition; for a list, one of its elements does.
    Field {
        /// Which field.
        path: FieldPath,
        /// What is asked of it.
        condition: Condition,
    },
    /// The document has one of these ids.
    Ids(Vec<DocumentId>),
}

/// The name of a field, nested names joined by dots.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FieldPath(pub String);

/// What is asked of a field.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// The value is this one.
    Equals(Scalar),
    /// The value is one of these.
    In(Vec<Scalar>),
    /// The value lies in the range.
    Range(Range),
    /// There is a value that is not null.
    Exists,
    /// The text has all of these words, in any order.
    Text(String),
    /// The text has these words one after another.
    Phrase(String),
    /// The text starts with this.
    Prefix(String),
}

/// A value to compare with.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    /// True or false.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A finite number.
    Float(f64),
    /// A text, compared whole, letter by letter.
    Text(String),
    /// A point in time, in nanoseconds since 1970-01-01 UTC.
    Datetime(i64),
}

/// A range of numbers or of points in time; bounds of one type, at least one of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Range {
    /// From where.
    pub lower: Option<Bound>,
    /// Up to where.
    pub upper: Option<Bound>,
}

/// An end of a range.
#[derive(Debug, Clone, PartialEq)]
pub struct Bound {
    /// The value at the end.
    pub value: Scalar,
    /// Whether the value itself belongs to the range.
    pub is_inclusive: bool,
}

/// Why a filter cannot be meant for this collection.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FilterError {
    /// A field that no document has.
    #[error("no document has a field `{path}`; known fields: {known}")]
    UnknownField {
        /// The field that was asked for.
        path: String,
        /// The fields there are.
        known: String,
    },
    /// A condition on a field of another type.
    #[error("field `{path}` holds {held:?}, and {asked} does not apply to it")]
    TypeMismatch {
        /// The field.
        path: String,
        /// The types it was seen to hold.
        held: Vec<FieldType>,
        /// What was asked.
        asked: &'static str,
    },
    /// A filter that is itself malformed.
    #[error("filter: {0}")]
    Malformed(String),
    /// Nesting without end.
    #[error("a filter is nested at most {limit} deep")]
    TooDeep {
        /// The deepest nesting.
        limit: usize,
    },
    /// More conditions than are evaluated.
    #[error("a filter has at most {limit} conditions, got {actual}")]
    TooMany {
        /// The most conditions.
        limit: usize,
        /// The conditions it had.
        actual: usize,
    },
}

impl Classified for FilterError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidInput
    }
}
