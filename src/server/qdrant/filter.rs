use simile_proto::qdrant::condition::ConditionOneOf;
use simile_proto::qdrant::r#match::MatchValue;
use simile_proto::qdrant::{self as wire};

use super::super::translate::WireError;
use super::value::{document_ids, field_path, unsupported};
use crate::document::{
    Bound, Condition, FILTER_DEPTH_MAX, FieldPath, Filter, FilterError, GeoBox, GeoPoint,
    GeoRadius, Range, Scalar, words,
};

const NANOSECONDS: i64 = 1_000_000_000;

/// Returns the filter, if there is one.
pub(super) fn optional_filter(given: Option<wire::Filter>) -> Result<Option<Filter>, WireError> {
    given.map(filter).transpose()
}

/// Returns the filter. A field that no document has answers no condition: that is for whoever knows
/// the fields of the collection.
pub(super) fn filter(given: wire::Filter) -> Result<Filter, WireError> {
    nested(given, 1)
}

fn nested(given: wire::Filter, depth: usize) -> Result<Filter, WireError> {
    if depth > FILTER_DEPTH_MAX {
        return Err(FilterError::TooDeep { limit: FILTER_DEPTH_MAX }.into());
    }
    let list = |conditions: Vec<wire::Condition>| -> Result<Vec<Filter>, WireError> {
        conditions.into_iter().map(|given| condition(given, depth)).collect()
    };
    let mut all = list(given.must)?;
    if !given.should.is_empty() {
        all.push(Filter::Any(list(given.should)?));
    }
    if !given.must_not.is_empty() {
        all.push(Filter::Not(Box::new(Filter::Any(list(given.must_not)?))));
    }
    if let Some(given) = given.min_should {
        let least = usize::try_from(given.min_count).unwrap_or(usize::MAX);
        let conditions = list(given.conditions)?;
        match least {
            0 => {}
            _ if least > conditions.len() => all.push(Filter::Any(Vec::new())),
            _ => all.push(Filter::AtLeast(least, conditions)),
        }
    }
    Ok(match all.len() {
        1 => all.remove(0),
        _ => Filter::All(all),
    })
}

fn condition(given: wire::Condition, depth: usize) -> Result<Filter, WireError> {
    let given = given.condition_one_of.ok_or(WireError::Missing("the kind of a condition"))?;
    match given {
        ConditionOneOf::Field(given) => field(given),
        ConditionOneOf::IsEmpty(given) => Ok(is_empty(field_path(&given.key)?)),
        ConditionOneOf::IsNull(given) => Ok(of(&field_path(&given.key)?, Condition::Null)),
        ConditionOneOf::HasId(given) => Ok(Filter::Ids(document_ids(given.has_id)?)),
        ConditionOneOf::Filter(given) => nested(given, depth + 1),
        ConditionOneOf::Nested(given) => {
            let filter = given.filter.ok_or(WireError::Missing("what the elements satisfy"))?;
            let filter = Box::new(nested(filter, depth + 1)?);
            Ok(Filter::Nested { path: field_path(&given.key)?, filter })
        }
        ConditionOneOf::HasVector(_) => refused("condition `has_vector`"),
        ConditionOneOf::Slice(_) => refused("condition `slice`"),
    }
}

fn refused<T>(what: &str) -> Result<T, WireError> {
    Err(WireError::Unsupported(what.to_owned()))
}

fn of(path: &FieldPath, condition: Condition) -> Filter {
    Filter::Field { path: path.clone(), condition }
}

fn not(filter: Filter) -> Filter {
    Filter::Not(Box::new(filter))
}

fn is_empty(path: FieldPath) -> Filter {
    not(of(&path, Condition::Exists))
}

/// Everything that is asked of one field has to hold.
fn field(given: wire::FieldCondition) -> Result<Filter, WireError> {
    let path = field_path(&given.key)?;
    unsupported(given.geo_polygon.is_some(), "condition `geo_polygon`")?;
    let mut all = Vec::new();
    if let Some(given) = given.r#match {
        all.push(matching(&path, given)?);
    }
    if let Some(given) = given.range {
        all.push(of(&path, Condition::Range(numbers(given, &path)?)));
    }
    if let Some(given) = given.datetime_range {
        all.push(of(&path, Condition::Range(times(given, &path)?)));
    }
    if let Some(given) = given.geo_bounding_box {
        all.push(of(&path, Condition::GeoBox(geo_box(given)?)));
    }
    if let Some(given) = given.geo_radius {
        let center = given.center.ok_or(WireError::Missing("the center of a radius"))?;
        let center = GeoPoint { latitude: center.lat, longitude: center.lon };
        let meters = f64::from(given.radius);
        all.push(of(&path, Condition::GeoRadius(GeoRadius { center, meters })));
    }
    if let Some(given) = given.values_count {
        all.push(values_count(&path, given)?);
    }
    match given.is_empty {
        Some(true) => all.push(is_empty(path.clone())),
        Some(false) => all.push(of(&path, Condition::Exists)),
        None => {}
    }
    match given.is_null {
        Some(true) => all.push(of(&path, Condition::Null)),
        Some(false) => all.push(not(of(&path, Condition::Null))),
        None => {}
    }
    match all.len() {
        0 => Err(malformed(format!("field `{}` has no condition", path.0))),
        1 => Ok(all.remove(0)),
        _ => Ok(Filter::All(all)),
    }
}

fn matching(path: &FieldPath, given: wire::Match) -> Result<Filter, WireError> {
    let given = given.match_value.ok_or(WireError::Missing("what a field matches"))?;
    let texts = |list: wire::RepeatedStrings| list.strings.into_iter().map(Scalar::Text).collect();
    let integers =
        |list: wire::RepeatedIntegers| list.integers.into_iter().map(Scalar::Integer).collect();
    let one_of = |values: Vec<Scalar>| match values[..] {
        [] => Filter::Any(Vec::new()),
        _ => of(path, Condition::In(values)),
    };
    Ok(match given {
        MatchValue::Keyword(text) => of(path, Condition::Equals(Scalar::Text(text))),
        MatchValue::Integer(integer) => of(path, Condition::Equals(Scalar::Integer(integer))),
        MatchValue::Boolean(boolean) => of(path, Condition::Equals(Scalar::Boolean(boolean))),
        MatchValue::Text(text) => of(path, Condition::Text(text)),
        MatchValue::Phrase(text) => of(path, Condition::Phrase(text)),
        MatchValue::Prefix(text) => of(path, Condition::Prefix(text)),
        MatchValue::TextAny(text) => {
            let any = words::terms(&text).into_iter();
            Filter::Any(any.map(|word| of(path, Condition::Text(word))).collect())
        }
        MatchValue::Keywords(list) => one_of(texts(list)),
        MatchValue::Integers(list) => one_of(integers(list)),
        MatchValue::ExceptKeywords(list) => of(path, Condition::Except(texts(list))),
        MatchValue::ExceptIntegers(list) => of(path, Condition::Except(integers(list))),
        MatchValue::Substring(_) => return refused("match `substring`"),
    })
}

/// Returns the bounds of a side of a range as one: the narrower, if there are two.
fn side<T: PartialOrd>(
    open: Option<T>,
    closed: Option<T>,
    is_narrower: fn(&T, &T) -> bool,
) -> Option<(T, bool)> {
    match (open, closed) {
        (Some(open), Some(closed)) if is_narrower(&closed, &open) => Some((closed, true)),
        (Some(open), _) => Some((open, false)),
        (None, closed) => closed.map(|closed| (closed, true)),
    }
}

fn bounds<T: PartialOrd>(
    path: &FieldPath,
    (greater, greater_or_equal): (Option<T>, Option<T>),
    (less, less_or_equal): (Option<T>, Option<T>),
    scalar: fn(T) -> Scalar,
) -> Result<Range, WireError> {
    let bound = |(value, is_inclusive)| Bound { value: scalar(value), is_inclusive };
    let lower = side(greater, greater_or_equal, |closed, open| closed > open).map(bound);
    let upper = side(less, less_or_equal, |closed, open| closed < open).map(bound);
    if lower.is_none() && upper.is_none() {
        return Err(malformed(format!("the range of field `{}` has no bound", path.0)));
    }
    Ok(Range { lower, upper })
}

fn numbers(given: wire::Range, path: &FieldPath) -> Result<Range, WireError> {
    bounds(path, (given.gt, given.gte), (given.lt, given.lte), Scalar::Float)
}

fn times(given: wire::DatetimeRange, path: &FieldPath) -> Result<Range, WireError> {
    let time = |given: Option<prost_types::Timestamp>| given.map(nanoseconds).transpose();
    let (greater, less) =
        ((time(given.gt)?, time(given.gte)?), (time(given.lt)?, time(given.lte)?));
    bounds(path, greater, less, Scalar::Datetime)
}

fn nanoseconds(time: prost_types::Timestamp) -> Result<i64, WireError> {
    let whole = time.seconds.checked_mul(NANOSECONDS);
    whole.and_then(|whole| whole.checked_add(i64::from(time.nanos))).ok_or_else(|| {
        malformed(format!("a time lies {} seconds from 1970, out of range", time.seconds))
    })
}

fn geo_box(given: wire::GeoBoundingBox) -> Result<GeoBox, WireError> {
    let corner = |corner: Option<wire::GeoPoint>| {
        corner.ok_or(WireError::Missing("a corner of a geo_bounding_box"))
    };
    let (upper_left, lower_right) = (corner(given.top_left)?, corner(given.bottom_right)?);
    Ok(GeoBox {
        south: lower_right.lat,
        west: upper_left.lon,
        north: upper_left.lat,
        east: lower_right.lon,
    })
}

/// A list counts its elements, any other value counts one, and what is missing counts none.
fn values_count(path: &FieldPath, given: wire::ValuesCount) -> Result<Filter, WireError> {
    let integer = |count: Option<u64>| count.map(|count| i64::try_from(count).unwrap_or(i64::MAX));
    let (greater, less) =
        ((integer(given.gt), integer(given.gte)), (integer(given.lt), integer(given.lte)));
    let range = bounds(path, greater, less, Scalar::Integer)?;
    let admits = |count: u64| {
        given.gt.is_none_or(|bound| count > bound)
            && given.gte.is_none_or(|bound| count >= bound)
            && given.lt.is_none_or(|bound| count < bound)
            && given.lte.is_none_or(|bound| count <= bound)
    };
    let any_length = Bound { value: Scalar::Integer(0), is_inclusive: true };
    let any_length = Range { lower: Some(any_length), upper: None };
    let is_no_list = || not(of(path, Condition::Length(any_length.clone())));
    let mut any = vec![of(path, Condition::Length(range))];
    if admits(1) {
        any.push(Filter::All(vec![of(path, Condition::Exists), is_no_list()]));
    }
    if admits(0) {
        any.push(Filter::All(vec![is_empty(path.clone()), is_no_list()]));
    }
    Ok(Filter::Any(any))
}

fn malformed(message: impl Into<String>) -> WireError {
    FilterError::Malformed(message.into()).into()
}
