mod describe;

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::payload::parse_datetime;
use super::words::{term_groups, terms};
use super::{DocumentId, FieldType, FieldTypes, Payload, Value};
use crate::error::{Classified, ErrorKind};

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

impl Filter {
    /// Returns whether a document with this payload and id is meant.
    pub fn matches(&self, payload: &Payload, id: &DocumentId) -> bool {
        match self {
            Self::All(filters) => filters.iter().all(|filter| filter.matches(payload, id)),
            Self::Any(filters) => filters.iter().any(|filter| filter.matches(payload, id)),
            Self::Not(filter) => !filter.matches(payload, id),
            Self::Field { path, condition } => {
                let prepared = Prepared::new(condition);
                any_at(payload, &path.0, &mut |value| prepared.holds(value))
            }
            Self::Ids(ids) => ids.contains(id),
        }
    }

    /// Checks that the filter is well formed, within the limits, and asks of each field what the
    /// values it was seen to hold can answer.
    ///
    /// # Errors
    /// [`FilterError`] (invalid input) that names the field and what it holds.
    pub fn check(&self, fields: &FieldTypes) -> Result<(), FilterError> {
        let mut conditions = 0;
        self.check_within(fields, 1, &mut conditions)?;
        if conditions > FILTER_CONDITIONS_MAX {
            return Err(FilterError::TooMany { limit: FILTER_CONDITIONS_MAX, actual: conditions });
        }
        Ok(())
    }

    fn check_within(
        &self,
        fields: &FieldTypes,
        depth: usize,
        conditions: &mut usize,
    ) -> Result<(), FilterError> {
        if depth > FILTER_DEPTH_MAX {
            return Err(FilterError::TooDeep { limit: FILTER_DEPTH_MAX });
        }
        match self {
            Self::All(filters) | Self::Any(filters) => filters
                .iter()
                .try_for_each(|filter| filter.check_within(fields, depth + 1, conditions)),
            Self::Not(filter) => filter.check_within(fields, depth + 1, conditions),
            Self::Field { path, condition } => {
                *conditions += 1;
                condition.check_form()?;
                check_types(path, condition, fields)
            }
            Self::Ids(ids) => {
                *conditions += 1;
                check_count(ids.len())
            }
        }
    }
}

impl Condition {
    fn check_form(&self) -> Result<(), FilterError> {
        match self {
            Self::Equals(value) => check_finite(value),
            Self::In(values) => {
                check_count(values.len())?;
                values.iter().try_for_each(check_finite)
            }
            Self::Range(range) => range.check_form(),
            Self::Text(text) | Self::Phrase(text) if terms(text).is_empty() => {
                Err(malformed(format!("there is no word in `{text}`")))
            }
            Self::Text(text) | Self::Phrase(text) if text.len() > FILTER_PREFIX_BYTES_MAX * 4 => {
                let limit = FILTER_PREFIX_BYTES_MAX * 4;
                Err(malformed(format!("a text has at most {limit} bytes, got {}", text.len())))
            }
            Self::Prefix(prefix) if prefix.is_empty() || prefix.len() > FILTER_PREFIX_BYTES_MAX => {
                let limit = FILTER_PREFIX_BYTES_MAX;
                Err(malformed(format!("a prefix has 1 to {limit} bytes, got {}", prefix.len())))
            }
            Self::Exists | Self::Text(_) | Self::Phrase(_) | Self::Prefix(_) => Ok(()),
        }
    }

    /// What the condition asks, in words, and the types of which one has to be there for it.
    fn asks(&self) -> (&'static str, Vec<FieldType>) {
        match self {
            Self::Equals(value) => value.asks(),
            Self::In(values) => {
                let mut asked = values.iter().map(Scalar::asks);
                let (words, mut types) = asked.next().unwrap_or(("nothing", Vec::new()));
                types.extend(asked.flat_map(|(_, types)| types));
                (words, types)
            }
            Self::Range(range) => match range.lower.as_ref().or(range.upper.as_ref()) {
                Some(Bound { value: Scalar::Datetime(_), .. }) => {
                    ("a range of time", vec![FieldType::Datetime])
                }
                _ => ("a range of numbers", vec![FieldType::Integer, FieldType::Float]),
            },
            Self::Exists => ("a test for a value", Vec::new()),
            Self::Text(_) => ("a search for words", TEXTS.to_vec()),
            Self::Phrase(_) => ("a search for a phrase", TEXTS.to_vec()),
            Self::Prefix(_) => ("a search for a prefix", TEXTS.to_vec()),
        }
    }
}

const TEXTS: [FieldType; 2] = [FieldType::Keyword, FieldType::Datetime];

impl Scalar {
    /// Compares two values if they are of one kind: both numbers, both texts, both times.
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Boolean(left), Self::Boolean(right)) => Some(left.cmp(right)),
            (Self::Text(left), Self::Text(right)) => Some(left.cmp(right)),
            (Self::Integer(left), Self::Integer(right))
            | (Self::Datetime(left), Self::Datetime(right)) => Some(left.cmp(right)),
            (Self::Float(left), Self::Float(right)) => left.partial_cmp(right),
            (Self::Integer(left), Self::Float(right)) => compare_mixed(*left, *right),
            (Self::Float(left), Self::Integer(right)) => {
                compare_mixed(*right, *left).map(Ordering::reverse)
            }
            _ => None,
        }
    }

    fn asks(&self) -> (&'static str, Vec<FieldType>) {
        match self {
            Self::Boolean(_) => ("a comparison with true or false", vec![FieldType::Boolean]),
            Self::Integer(_) | Self::Float(_) => {
                ("a comparison with a number", vec![FieldType::Integer, FieldType::Float])
            }
            Self::Text(_) => ("a comparison with a text", TEXTS.to_vec()),
            Self::Datetime(_) => ("a comparison with a time", vec![FieldType::Datetime]),
        }
    }
}

impl Range {
    fn check_form(&self) -> Result<(), FilterError> {
        let bounds = [&self.lower, &self.upper];
        if bounds.iter().all(|bound| bound.is_none()) {
            return Err(malformed("a range has at least one bound"));
        }
        for bound in bounds.into_iter().flatten() {
            check_finite(&bound.value)?;
            if matches!(bound.value, Scalar::Boolean(_) | Scalar::Text(_)) {
                return Err(malformed("the bounds of a range are numbers or times"));
            }
        }
        if let (Some(lower), Some(upper)) = (&self.lower, &self.upper)
            && lower.value.compare(&upper.value).is_none()
        {
            return Err(malformed("the bounds of a range are both numbers or both times"));
        }
        Ok(())
    }

    /// Returns whether the value lies within the bounds; never one of another kind than they are.
    pub fn holds(&self, value: &Scalar) -> bool {
        let within = |bound: &Option<Bound>, wanted: Ordering| {
            bound.as_ref().is_none_or(|bound| match value.compare(&bound.value) {
                Some(Ordering::Equal) => bound.is_inclusive,
                order => order == Some(wanted),
            })
        };
        within(&self.lower, Ordering::Greater) && within(&self.upper, Ordering::Less)
    }
}

/// A condition with its texts taken apart, ready to be asked of many values.
enum Prepared<'c> {
    AnyOf(&'c [Scalar]),
    Range(&'c Range),
    Exists,
    /// Each group of terms stands somewhere in the text, its terms one after another.
    Groups(Vec<Vec<String>>),
    Prefix(&'c str),
}

impl<'c> Prepared<'c> {
    fn new(condition: &'c Condition) -> Self {
        match condition {
            Condition::Equals(value) => Self::AnyOf(std::slice::from_ref(value)),
            Condition::In(values) => Self::AnyOf(values),
            Condition::Range(range) => Self::Range(range),
            Condition::Exists => Self::Exists,
            Condition::Text(text) => Self::Groups(term_groups(text)),
            Condition::Phrase(text) => Self::Groups(vec![terms(text)]),
            Condition::Prefix(prefix) => Self::Prefix(prefix),
        }
    }

    fn holds(&self, value: &Value) -> bool {
        match self {
            Self::AnyOf(wanted) => readings(value)
                .iter()
                .any(|reading| wanted.iter().any(|w| w.compare(reading) == Some(Ordering::Equal))),
            Self::Range(range) => readings(value).iter().any(|reading| range.holds(reading)),
            Self::Exists => !matches!(value, Value::Null),
            Self::Groups(groups) => {
                let Value::Text(text) = value else { return false };
                let terms = terms(text);
                let holds = |group: &Vec<String>| {
                    !group.is_empty() && terms.windows(group.len()).any(|window| window == *group)
                };
                !groups.is_empty() && groups.iter().all(holds)
            }
            Self::Prefix(prefix) => {
                matches!(value, Value::Text(text) if text.starts_with(prefix))
            }
        }
    }
}

/// What a leaf can be compared as: a text may also be a point in time.
fn readings(value: &Value) -> Vec<Scalar> {
    match value {
        Value::Null | Value::Array(_) | Value::Object(_) => Vec::new(),
        Value::Boolean(value) => vec![Scalar::Boolean(*value)],
        Value::Integer(integer) => vec![Scalar::Integer(*integer)],
        Value::Float(float) => vec![Scalar::Float(*float)],
        Value::Text(text) => std::iter::once(Scalar::Text(text.clone()))
            .chain(parse_datetime(text).map(Scalar::Datetime))
            .collect(),
    }
}

/// Compares without rounding: a large integer and the float next to it are not equal.
fn compare_mixed(integer: i64, float: f64) -> Option<Ordering> {
    // Every i64 lies in [-2^63, 2^63), and both ends are floats.
    const END: f64 = 9_223_372_036_854_775_808.0;
    if float.is_nan() {
        return None;
    }
    if float >= END {
        return Some(Ordering::Less);
    }
    if float < -END {
        return Some(Ordering::Greater);
    }
    let whole = float.trunc();
    #[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
    let order = integer.cmp(&(whole as i64));
    Some(order.then_with(|| 0.0f64.partial_cmp(&(float - whole)).unwrap_or(Ordering::Equal)))
}

/// Returns whether `holds` of one of the leaves at or below the path.
fn any_at(payload: &Payload, path: &str, holds: &mut dyn FnMut(&Value) -> bool) -> bool {
    let (name, rest) = match path.split_once('.') {
        Some((name, rest)) => (name, Some(rest)),
        None => (path, None),
    };
    payload.get(name).is_some_and(|value| any_in(value, rest, holds))
}

fn any_in(value: &Value, rest: Option<&str>, holds: &mut dyn FnMut(&Value) -> bool) -> bool {
    match (value, rest) {
        (Value::Array(elements), _) => elements.iter().any(|element| any_in(element, rest, holds)),
        (Value::Object(fields), Some(rest)) => any_at(fields, rest, holds),
        (Value::Object(fields), None) => fields.values().any(|value| any_in(value, None, holds)),
        (_, None) => holds(value),
        (_, Some(_)) => false,
    }
}

fn check_types(
    path: &FieldPath,
    condition: &Condition,
    fields: &FieldTypes,
) -> Result<(), FilterError> {
    let (asked, wanted) = condition.asks();
    let Some(held) = fields.get(&path.0) else {
        if fields.has_below(&path.0) {
            if matches!(condition, Condition::Exists) {
                return Ok(());
            }
            return Err(mismatch(path, &[], asked));
        }
        return Err(FilterError::unknown_field(path, fields));
    };
    if wanted.is_empty() || wanted.iter().any(|wanted| held.contains(wanted)) {
        return Ok(());
    }
    Err(mismatch(path, &held.iter().copied().collect::<Vec<_>>(), asked))
}

fn mismatch(path: &FieldPath, held: &[FieldType], asked: &'static str) -> FilterError {
    FilterError::TypeMismatch { path: path.0.clone(), held: held.to_vec(), asked }
}

/// The known fields, as many as fit in a message.
fn known(fields: &FieldTypes) -> String {
    const NAMED_MAX: usize = 32;
    if fields.is_empty() {
        return "none".to_owned();
    }
    let mut names: Vec<&str> = fields.iter().map(|(path, _)| path).take(NAMED_MAX).collect();
    if fields.len() > NAMED_MAX {
        names.push("...");
    }
    names.join(", ")
}

fn check_finite(value: &Scalar) -> Result<(), FilterError> {
    if let Scalar::Float(float) = value
        && !float.is_finite()
    {
        return Err(malformed(format!("{float} is no finite number")));
    }
    Ok(())
}

fn check_count(actual: usize) -> Result<(), FilterError> {
    if actual > FILTER_VALUES_MAX {
        return Err(malformed(format!(
            "a list has at most {FILTER_VALUES_MAX} values, got {actual}"
        )));
    }
    Ok(())
}

fn malformed(reason: impl Into<String>) -> FilterError {
    FilterError::Malformed(reason.into())
}

#[cfg(test)]
mod tests;
