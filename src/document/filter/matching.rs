use std::cmp::Ordering;

use super::{Bound, Condition, Filter, GeoBox, GeoPoint, GeoRadius, Range, Scalar};
use crate::document::values::any_value_at;
use crate::document::words::{term_groups, terms};
use crate::document::{DocumentId, Payload, Value, parse_datetime};

impl Filter {
    /// Returns whether a document with this payload and id is meant.
    pub fn matches(&self, payload: &Payload, id: &DocumentId) -> bool {
        match self {
            Self::All(filters) => filters.iter().all(|filter| filter.matches(payload, id)),
            Self::Any(filters) => filters.iter().any(|filter| filter.matches(payload, id)),
            Self::AtLeast(least, filters) => {
                let holding = filters.iter().filter(|filter| filter.matches(payload, id));
                holding.take(*least).count() == *least
            }
            Self::Not(filter) => !filter.matches(payload, id),
            Self::Nested { path, filter } => any_value_at(
                payload,
                &path.0,
                &mut |value, _| matches!(value, Value::Object(element) if filter.matches(element, id)),
            ),
            Self::Field { path, condition } => {
                let prepared = Prepared::new(condition);
                match prepared {
                    // Asked of the value as it stands at the path.
                    Prepared::NoneOf(_)
                    | Prepared::Null
                    | Prepared::Length(_)
                    | Prepared::Box(_)
                    | Prepared::Radius(_) => {
                        any_value_at(payload, &path.0, &mut |value, is_element| {
                            prepared.holds_at(value, is_element)
                        })
                    }
                    Prepared::AnyOf(_)
                    | Prepared::Range(_)
                    | Prepared::Exists
                    | Prepared::Groups(_)
                    | Prepared::Prefix(_) => {
                        any_at(payload, &path.0, &mut |value| prepared.holds(value))
                    }
                }
            }
            Self::Ids(ids) => ids.contains(id),
        }
    }
}

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
}

impl Range {
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
    NoneOf(&'c [Scalar]),
    Range(&'c Range),
    Null,
    Length(&'c Range),
    Box(&'c GeoBox),
    Radius(&'c GeoRadius),
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
            Condition::Except(values) => Self::NoneOf(values),
            Condition::Null => Self::Null,
            Condition::Length(range) => Self::Length(range),
            Condition::GeoBox(area) => Self::Box(area),
            Condition::GeoRadius(circle) => Self::Radius(circle),
            Condition::Range(range) => Self::Range(range),
            Condition::Exists => Self::Exists,
            Condition::Text(text) => Self::Groups(term_groups(text)),
            Condition::Phrase(text) => Self::Groups(vec![terms(text)]),
            Condition::Prefix(prefix) => Self::Prefix(prefix),
        }
    }

    /// Whether the condition holds for the value at its path, or for an element of it.
    fn holds_at(&self, value: &Value, is_element: bool) -> bool {
        match (self, value) {
            (Self::NoneOf(unwanted), value) => {
                let readings = readings(value);
                let is_unwanted = |reading: &Scalar| {
                    unwanted.iter().any(|other| other.compare(reading) == Some(Ordering::Equal))
                };
                !readings.is_empty() && !readings.iter().any(is_unwanted)
            }
            (Self::Null, value) => matches!(value, Value::Null),
            (Self::Length(range), Value::Array(elements)) if !is_element => {
                let length = i64::try_from(elements.len()).unwrap_or(i64::MAX);
                range.holds(&Scalar::Integer(length))
            }
            (Self::Box(area), Value::Object(object)) => {
                GeoPoint::of(object).is_some_and(|point| area.holds(point))
            }
            (Self::Radius(circle), Value::Object(object)) => {
                GeoPoint::of(object).is_some_and(|point| circle.holds(point))
            }
            _ => false,
        }
    }

    /// Whether the condition holds for a leaf at or below its path.
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
            Self::NoneOf(_) | Self::Null | Self::Length(_) | Self::Box(_) | Self::Radius(_) => {
                false
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
