use simile_proto::v1::field_condition::Condition as WireCondition;
use simile_proto::v1::{self as wire, filter::Kind, value};

use super::WireError;
use super::value::document_ids;
use crate::document::{
    Bound, Condition, FILTER_DEPTH_MAX, FieldPath, Filter, FilterError, GeoBox, GeoPoint,
    GeoRadius, Range, Scalar, parse_datetime,
};

/// Returns the filter, if there is one.
pub(in crate::server) fn optional_filter(
    given: Option<wire::Filter>,
) -> Result<Option<Filter>, WireError> {
    given.map(filter).transpose()
}

/// Returns the filter. Whether it fits the fields of a collection is checked where it is evaluated.
pub(in crate::server) fn filter(given: wire::Filter) -> Result<Filter, WireError> {
    nested(given, 1)
}

fn nested(given: wire::Filter, depth: usize) -> Result<Filter, WireError> {
    if depth > FILTER_DEPTH_MAX {
        return Err(FilterError::TooDeep { limit: FILTER_DEPTH_MAX }.into());
    }
    let list = |list: wire::FilterList| -> Result<Vec<Filter>, WireError> {
        list.filters.into_iter().map(|filter| nested(filter, depth + 1)).collect()
    };
    match given.kind.ok_or_else(|| {
        malformed("one of all, any, not, field, ids, at_least and nested is missing")
    })? {
        Kind::All(filters) => Ok(Filter::All(list(filters)?)),
        Kind::Any(filters) => Ok(Filter::Any(list(filters)?)),
        Kind::Not(filter) => Ok(Filter::Not(Box::new(nested(*filter, depth + 1)?))),
        Kind::Field(field) => field_condition(field),
        Kind::Ids(ids) => Ok(Filter::Ids(document_ids(ids.ids)?)),
        Kind::AtLeast(filters) => {
            let least = filters.count as usize;
            Ok(Filter::AtLeast(least, list(wire::FilterList { filters: filters.filters })?))
        }
        Kind::Nested(inner) => {
            let filter = inner.filter.ok_or_else(|| {
                malformed(format!("what the elements of `{}` satisfy is missing", inner.path))
            })?;
            let filter = Box::new(nested(*filter, depth + 1)?);
            Ok(Filter::Nested { path: FieldPath(inner.path), filter })
        }
    }
}

fn field_condition(field: wire::FieldCondition) -> Result<Filter, WireError> {
    let path = FieldPath(field.path);
    let missing = || malformed(format!("field `{}` has no condition", path.0));
    let condition = match field.condition.ok_or_else(missing)? {
        WireCondition::Equals(value) => Condition::Equals(scalar(value, &path)?),
        WireCondition::In(array) => Condition::In(
            array.values.into_iter().map(|value| scalar(value, &path)).collect::<Result<_, _>>()?,
        ),
        WireCondition::Range(bounds) => Condition::Range(range(bounds, &path)?),
        WireCondition::Exists(true) => Condition::Exists,
        WireCondition::Exists(false) => {
            let exists = Filter::Field { path, condition: Condition::Exists };
            return Ok(Filter::Not(Box::new(exists)));
        }
        WireCondition::Text(text) => Condition::Text(text),
        WireCondition::Phrase(text) => Condition::Phrase(text),
        WireCondition::Prefix(text) => Condition::Prefix(text),
        WireCondition::Except(array) => Condition::Except(
            array.values.into_iter().map(|value| scalar(value, &path)).collect::<Result<_, _>>()?,
        ),
        WireCondition::Null(true) => Condition::Null,
        WireCondition::Null(false) => {
            let null = Filter::Field { path, condition: Condition::Null };
            return Ok(Filter::Not(Box::new(null)));
        }
        WireCondition::Length(bounds) => Condition::Length(range(bounds, &path)?),
        WireCondition::GeoBox(area) => Condition::GeoBox(GeoBox {
            south: area.south,
            west: area.west,
            north: area.north,
            east: area.east,
        }),
        WireCondition::GeoRadius(circle) => Condition::GeoRadius(GeoRadius {
            center: GeoPoint { latitude: circle.lat, longitude: circle.lon },
            meters: circle.meters,
        }),
    };
    Ok(Filter::Field { path, condition })
}

fn scalar(value: wire::Value, path: &FieldPath) -> Result<Scalar, WireError> {
    match value.kind {
        Some(value::Kind::Boolean(boolean)) => Ok(Scalar::Boolean(boolean)),
        Some(value::Kind::Integer(integer)) => Ok(Scalar::Integer(integer)),
        Some(value::Kind::Float(float)) => Ok(Scalar::Float(float)),
        Some(value::Kind::Text(text)) => Ok(Scalar::Text(text)),
        None | Some(value::Kind::Null(_) | value::Kind::Array(_) | value::Kind::Object(_)) => Err(
            malformed(format!("field `{}` is compared with a boolean, a number or a text", path.0)),
        ),
    }
}

fn range(range: wire::Range, path: &FieldPath) -> Result<Range, WireError> {
    let side = |open: Option<wire::Value>, closed: Option<wire::Value>| match (open, closed) {
        (Some(_), Some(_)) => {
            Err(malformed(format!("field `{}` has two bounds on one side", path.0)))
        }
        (Some(value), None) => Ok(Some(bound(value, false, path)?)),
        (None, Some(value)) => Ok(Some(bound(value, true, path)?)),
        (None, None) => Ok(None),
    };
    Ok(Range {
        lower: side(range.greater, range.greater_or_equal)?,
        upper: side(range.less, range.less_or_equal)?,
    })
}

/// A text as a bound is a point in time: texts themselves have no order that a filter asks for.
fn bound(value: wire::Value, is_inclusive: bool, path: &FieldPath) -> Result<Bound, WireError> {
    let value = match scalar(value, path)? {
        Scalar::Text(text) => match parse_datetime(&text) {
            Some(nanoseconds) => Scalar::Datetime(nanoseconds),
            None => {
                return Err(malformed(format!(
                    "a range of field `{}` is bounded by numbers or times as \
                     2024-01-31T00:00:00Z, got `{text}`",
                    path.0
                )));
            }
        },
        scalar @ (Scalar::Boolean(_)
        | Scalar::Integer(_)
        | Scalar::Float(_)
        | Scalar::Datetime(_)) => scalar,
    };
    Ok(Bound { value, is_inclusive })
}

fn malformed(message: impl Into<String>) -> WireError {
    FilterError::Malformed(message.into()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn integer(integer: i64) -> wire::Value {
        wire::Value { kind: Some(value::Kind::Integer(integer)) }
    }

    fn text(text: &str) -> wire::Value {
        wire::Value { kind: Some(value::Kind::Text(text.to_owned())) }
    }

    fn field(condition: Option<WireCondition>) -> wire::Filter {
        let field = wire::FieldCondition { path: "year".to_owned(), condition };
        wire::Filter { kind: Some(Kind::Field(field)) }
    }

    #[test]
    fn a_range_keeps_which_ends_belong_to_it() {
        let range = wire::Range {
            greater_or_equal: Some(integer(1)),
            less: Some(integer(5)),
            ..Default::default()
        };
        let Filter::Field { condition: Condition::Range(range), .. } =
            filter(field(Some(WireCondition::Range(range)))).unwrap()
        else {
            panic!("expected a range");
        };
        assert!(range.lower.unwrap().is_inclusive && !range.upper.unwrap().is_inclusive);
    }

    #[test]
    fn a_text_that_bounds_a_range_is_a_time() {
        let of = |bound: &str| {
            let range = wire::Range { less: Some(text(bound)), ..Default::default() };
            filter(field(Some(WireCondition::Range(range))))
        };
        assert!(of("2024-01-31T00:00:00Z").is_ok());
        assert!(of("soon").unwrap_err().to_string().contains("`soon`"));
    }

    #[test]
    fn exists_false_is_the_opposite_of_exists() {
        let exists = filter(field(Some(WireCondition::Exists(true)))).unwrap();
        let none = filter(field(Some(WireCondition::Exists(false)))).unwrap();
        assert_eq!(none, Filter::Not(Box::new(exists)));
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        let both = wire::Range {
            greater: Some(integer(1)),
            greater_or_equal: Some(integer(1)),
            ..Default::default()
        };
        let mut deep = field(Some(WireCondition::Exists(true)));
        for _ in 0..FILTER_DEPTH_MAX {
            deep = wire::Filter { kind: Some(Kind::Not(Box::new(deep))) };
        }
        let cases = [
            (wire::Filter { kind: None }, "is missing"),
            (field(None), "has no condition"),
            (field(Some(WireCondition::Equals(wire::Value { kind: None }))), "compared with"),
            (field(Some(WireCondition::Range(both))), "two bounds on one side"),
            (deep, "nested at most"),
        ];
        for (given, expected) in cases {
            let error = filter(given).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
