mod check;
mod describe;
mod geo;
mod matching;

use serde::{Deserialize, Serialize};

use super::{DocumentId, FieldType, FieldTypes};
use crate::error::{Classified, ErrorKind};

use check::{known, malformed};
pub use geo::{GeoBox, GeoPoint, GeoRadius};

/// The deepest nesting of a filter.
pub const FILTER_DEPTH_MAX: usize = 16;
/// The most conditions of a filter.
pub const FILTER_CONDITIONS_MAX: usize = 1_024;
/// The most values that one condition lists.
pub const FILTER_VALUES_MAX: usize = 16_384;
/// The most bytes of a prefix that is asked for.
pub const FILTER_PREFIX_BYTES_MAX: usize = 256;

/// Which documents are meant. Built from the wire or from JSON; evaluated by the lexical index into
/// one slot set, and by `Filter::matches` on a payload, which is the plain truth to compare with.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// Every one of these holds; none given holds always.
    All(Vec<Filter>),
    /// At least one of these holds; none given holds never.
    Any(Vec<Filter>),
    /// At least so many of these hold.
    AtLeast(usize, Vec<Filter>),
    /// This does not hold.
    Not(Box<Filter>),
    /// One object at the path, or one that is an element of a list there, satisfies all of this by
    /// itself; the paths within begin at the object.
    Nested {
        /// Where the objects are.
        path: FieldPath,
        /// What one of them satisfies.
        filter: Box<Filter>,
    },
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
    /// There is a value, and it is none of these; of a list, one of its elements is none of these.
    Except(Vec<Scalar>),
    /// The value lies in the range.
    Range(Range),
    /// The value is null, or one of the list is.
    Null,
    /// The value is a list whose number of elements lies in the range.
    Length(Range),
    /// The value is a place within the box.
    GeoBox(GeoBox),
    /// The value is a place within the circle.
    GeoRadius(GeoRadius),
    /// There is a value that is not null: of an object or a list, one within it.
    Exists,
    /// The text has all of these words, in any order.
    Text(String),
    /// The text has these words one after another.
    Phrase(String),
    /// The text starts with this, letter by letter.
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

impl FilterError {
    /// Returns the error of a field that no document has.
    pub fn unknown_field(path: &FieldPath, fields: &FieldTypes) -> Self {
        Self::UnknownField { path: path.0.clone(), known: known(fields) }
    }
}

#[cfg(test)]
mod tests;
