use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr as _;

use serde::{Deserialize, Serialize};

use super::GeoPoint;
use super::values::{for_each_list, for_each_object};
use crate::error::{Classified, ErrorKind};

/// The most bytes of a payload, written as JSON.
pub const PAYLOAD_BYTES_MAX: usize = 48 * 1024;
/// The most levels of lists and objects around a value of a payload, the payload itself included.
pub const PAYLOAD_DEPTH_MAX: usize = 16;
/// The most bytes of a field name.
pub const FIELD_NAME_BYTES_MAX: usize = 128;

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
    /// Null.
    Null,
    /// Lists, beside the types of their elements.
    List,
    /// Places: objects with the numbers `lat` and `lon`.
    Geo,
}

/// Which types of values each field of a collection was seen to hold, by the path of the field.
/// Persisted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FieldTypes(BTreeMap<String, BTreeSet<FieldType>>);

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
    #[error("field `{0}` is nested deeper than {PAYLOAD_DEPTH_MAX} levels")]
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
    #[error(
        "a field name is not empty, has at most {FIELD_NAME_BYTES_MAX} bytes, no dot and no control character, got `{0}`"
    )]
    FieldName(String),
}

impl Classified for PayloadError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidInput
    }
}

/// Returns the JSON object as a checked payload.
///
/// # Errors
/// [`PayloadError`] (invalid input) if it is no object, holds a number beyond 64 bits, is nested too
/// deep, too large, or names a field in a way that no condition could.
pub fn payload_from_json(json: serde_json::Value) -> Result<Payload, PayloadError> {
    let serde_json::Value::Object(fields) = json else {
        return Err(PayloadError::NotAnObject(kind_of_json(&json)));
    };
    let payload = object_from_json(fields, "", 1)?;
    check_size(&payload)?;
    Ok(payload)
}

/// Returns the payload as a JSON object.
pub fn payload_to_json(payload: &Payload) -> serde_json::Value {
    serde_json::Value::Object(
        payload.iter().map(|(name, value)| (name.clone(), value_to_json(value))).collect(),
    )
}

/// Checks a payload that was not made by [`payload_from_json`] by the same rules.
///
/// # Errors
/// [`PayloadError`] (invalid input) as for [`payload_from_json`].
pub fn check_payload(payload: &Payload) -> Result<(), PayloadError> {
    check_fields(payload, "", 1)?;
    check_size(payload)
}

/// Returns the point in time that a text names, in nanoseconds since 1970-01-01 UTC: a date with
/// time and offset as in RFC 3339, or a date alone, which is its first instant in UTC. Nothing for
/// other texts and for times that 64 bits of nanoseconds do not hold (before 1677, after 2262).
pub fn parse_datetime(text: &str) -> Option<i64> {
    // The shortest is 2026-11-02; the check keeps the parser away from most texts.
    let bytes = text.as_bytes();
    if bytes.len() < 10 || bytes.len() > 40 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let timestamp = if bytes.len() == 10 {
        let date = jiff::civil::Date::from_str(text).ok()?;
        date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp()
    } else {
        // A time in brackets or with a zone name is more than RFC 3339 knows.
        if text.contains('[') {
            return None;
        }
        jiff::Timestamp::from_str(text).ok()?
    };
    i64::try_from(timestamp.as_nanosecond()).ok()
}

impl FieldTypes {
    /// Returns the types of the fields of one payload.
    pub fn infer(payload: &Payload) -> Self {
        let mut types = Self::default();
        for_each_leaf(payload, &mut |path, value| {
            let Some(field_type) = FieldType::of(value) else { return };
            if !types.0.get(path).is_some_and(|seen| seen.contains(&field_type)) {
                types.0.entry(path.to_owned()).or_default().insert(field_type);
            }
        });
        for_each_list(payload, &mut |path, _| types.insert(path, FieldType::List));
        for_each_object(payload, &mut |path, object| {
            if GeoPoint::of(object).is_some() {
                types.insert(path, FieldType::Geo);
            }
        });
        types
    }

    /// Notes that a field was seen to hold values of a type.
    pub fn insert(&mut self, path: &str, kind: FieldType) {
        self.0.entry(path.to_owned()).or_default().insert(kind);
    }

    /// Adds the fields and types of another set; returns whether one of them was new.
    pub fn merge(&mut self, other: &Self) -> bool {
        let mut is_changed = false;
        for (path, types) in &other.0 {
            let Some(held) = self.0.get_mut(path) else {
                is_changed = true;
                self.0.insert(path.clone(), types.clone());
                continue;
            };
            for &field_type in types {
                is_changed |= held.insert(field_type);
            }
        }
        is_changed
    }

    /// Returns the types of a field, or nothing for a field that no document has.
    pub fn get(&self, path: &str) -> Option<&BTreeSet<FieldType>> {
        self.0.get(path)
    }

    /// Returns whether the path is that of an object with fields in it.
    pub fn has_below(&self, path: &str) -> bool {
        let prefix = format!("{path}.");
        self.0.range(prefix.clone()..).next().is_some_and(|(next, _)| next.starts_with(&prefix))
    }

    /// Returns the fields by path with their types.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &BTreeSet<FieldType>)> {
        self.0.iter().map(|(path, types)| (path.as_str(), types))
    }

    /// Returns how many fields there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether no field was ever seen.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FieldType {
    /// Returns the type of a value, or nothing for what has values below it.
    pub fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Array(_) | Value::Object(_) => None,
            Value::Null => Some(Self::Null),
            Value::Boolean(_) => Some(Self::Boolean),
            Value::Integer(_) => Some(Self::Integer),
            Value::Float(_) => Some(Self::Float),
            Value::Text(text) if parse_datetime(text).is_some() => Some(Self::Datetime),
            Value::Text(_) => Some(Self::Keyword),
        }
    }
}

/// Calls `visit` with the path and the value of every leaf: what is no list and no object, null
/// included. The elements of a list have the path of the list.
pub fn for_each_leaf(payload: &Payload, visit: &mut dyn FnMut(&str, &Value)) {
    let mut path = String::new();
    visit_fields(payload, &mut path, visit);
}

fn visit_fields(
    fields: &BTreeMap<String, Value>,
    path: &mut String,
    visit: &mut dyn FnMut(&str, &Value),
) {
    for (name, value) in fields {
        let length = path.len();
        if length > 0 {
            path.push('.');
        }
        path.push_str(name);
        visit_value(value, path, visit);
        path.truncate(length);
    }
}

fn visit_value(value: &Value, path: &mut String, visit: &mut dyn FnMut(&str, &Value)) {
    match value {
        Value::Object(fields) => visit_fields(fields, path, visit),
        Value::Array(elements) => {
            for element in elements {
                visit_value(element, path, visit);
            }
        }
        Value::Null | Value::Boolean(_) | Value::Integer(_) | Value::Float(_) | Value::Text(_) => {
            visit(path, value);
        }
    }
}

fn object_from_json(
    fields: serde_json::Map<String, serde_json::Value>,
    path: &str,
    depth: usize,
) -> Result<BTreeMap<String, Value>, PayloadError> {
    fields
        .into_iter()
        .map(|(name, value)| {
            check_name(&name)?;
            let value = value_from_json(value, &join(path, &name), depth)?;
            Ok((name, value))
        })
        .collect()
}

fn value_from_json(
    json: serde_json::Value,
    path: &str,
    depth: usize,
) -> Result<Value, PayloadError> {
    Ok(match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(value) => Value::Boolean(value),
        serde_json::Value::Number(number) => number_from_json(&number, path)?,
        serde_json::Value::String(text) => Value::Text(text),
        serde_json::Value::Array(elements) => {
            check_depth(path, depth + 1)?;
            let elements = elements.into_iter();
            let values = elements.map(|element| value_from_json(element, path, depth + 1));
            Value::Array(values.collect::<Result<_, _>>()?)
        }
        serde_json::Value::Object(fields) => {
            check_depth(path, depth + 1)?;
            Value::Object(object_from_json(fields, path, depth + 1)?)
        }
    })
}

fn number_from_json(number: &serde_json::Number, path: &str) -> Result<Value, PayloadError> {
    if let Some(integer) = number.as_i64() {
        return Ok(Value::Integer(integer));
    }
    match number.as_f64() {
        Some(float) if number.is_f64() && float.is_finite() => Ok(Value::Float(float)),
        _ => Err(PayloadError::Number { path: path.to_owned(), number: number.to_string() }),
    }
}

fn value_to_json(value: &Value) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Boolean(value) => (*value).into(),
        Value::Integer(integer) => (*integer).into(),
        Value::Float(float) => (*float).into(),
        Value::Text(text) => text.as_str().into(),
        Value::Array(elements) => elements.iter().map(value_to_json).collect(),
        Value::Object(fields) => payload_to_json(fields),
    }
}

fn check_fields(
    fields: &BTreeMap<String, Value>,
    path: &str,
    depth: usize,
) -> Result<(), PayloadError> {
    for (name, value) in fields {
        check_name(name)?;
        check_value(value, &join(path, name), depth)?;
    }
    Ok(())
}

fn check_value(value: &Value, path: &str, depth: usize) -> Result<(), PayloadError> {
    match value {
        Value::Float(float) if !float.is_finite() => {
            Err(PayloadError::Number { path: path.to_owned(), number: float.to_string() })
        }
        Value::Null | Value::Boolean(_) | Value::Integer(_) | Value::Float(_) | Value::Text(_) => {
            Ok(())
        }
        Value::Array(elements) => {
            check_depth(path, depth + 1)?;
            elements.iter().try_for_each(|element| check_value(element, path, depth + 1))
        }
        Value::Object(fields) => {
            check_depth(path, depth + 1)?;
            check_fields(fields, path, depth + 1)
        }
    }
}

fn check_depth(path: &str, depth: usize) -> Result<(), PayloadError> {
    if depth > PAYLOAD_DEPTH_MAX {
        return Err(PayloadError::TooDeep(path.to_owned()));
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), PayloadError> {
    let is_nameable = !name.is_empty()
        && name.len() <= FIELD_NAME_BYTES_MAX
        && !name.contains(|letter: char| letter == '.' || letter.is_control());
    if is_nameable { Ok(()) } else { Err(PayloadError::FieldName(name.to_owned())) }
}

fn check_size(payload: &Payload) -> Result<(), PayloadError> {
    let mut counter = Counter(0);
    // Counting writes nothing, and a payload has only text for keys: neither can fail.
    if serde_json::to_writer(&mut counter, payload).is_err() || counter.0 > PAYLOAD_BYTES_MAX {
        return Err(PayloadError::TooLarge { limit: PAYLOAD_BYTES_MAX, actual: counter.0 });
    }
    Ok(())
}

struct Counter(usize);

impl std::io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn kind_of_json(json: &serde_json::Value) -> &'static str {
    match json {
        serde_json::Value::Null => "null",
        serde_json::Value::Bool(_) => "a boolean",
        serde_json::Value::Number(_) => "a number",
        serde_json::Value::String(_) => "a text",
        serde_json::Value::Array(_) => "a list",
        serde_json::Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn nested(depth: usize) -> serde_json::Value {
        (0..depth).fold(json!(1), |inner, _| json!({ "a": inner }))
    }

    #[test]
    fn a_payload_survives_the_way_to_json_and_back() {
        let json = json!({
            "title": "cat", "year": 2026, "price": 3.0, "sold": false, "none": null,
            "tags": ["a", 1, [2.5]], "author": {"name": "x", "born": i64::MIN}
        });
        let payload = payload_from_json(json.clone()).unwrap();
        assert_eq!(payload["price"], Value::Float(3.0));
        assert_eq!(payload["year"], Value::Integer(2026));
        assert_eq!(payload_to_json(&payload), json);
        check_payload(&payload).unwrap();
        let text = serde_json::to_string(&payload).unwrap();
        assert_eq!(serde_json::from_str::<Payload>(&text).unwrap(), payload);
    }

    #[test]
    fn what_conditions_could_not_name_or_compare_is_refused() {
        let refused = |json| payload_from_json(json).unwrap_err();
        assert_eq!(refused(json!([1])), PayloadError::NotAnObject("a list"));
        assert_eq!(refused(json!({"a.b": 1})), PayloadError::FieldName("a.b".to_owned()));
        assert_eq!(refused(json!({"": 1})), PayloadError::FieldName(String::new()));
        assert_eq!(refused(json!({"a\n": 1})), PayloadError::FieldName("a\n".to_owned()));
        assert!(matches!(refused(json!({"x".repeat(129): 1})), PayloadError::FieldName(_)));
        let number = PayloadError::Number { path: "a.b".to_owned(), number: u64::MAX.to_string() };
        assert_eq!(refused(json!({"a": {"b": [u64::MAX]}})), number);
        let mut payload = Payload::new();
        payload.insert("a".to_owned(), Value::Float(f64::NAN));
        assert!(matches!(check_payload(&payload), Err(PayloadError::Number { .. })));
    }

    #[test]
    fn depth_and_size_have_limits() {
        assert!(payload_from_json(nested(16)).is_ok());
        assert!(matches!(payload_from_json(nested(17)), Err(PayloadError::TooDeep(_))));
        let fits = json!({ "a": "x".repeat(PAYLOAD_BYTES_MAX - 8) });
        let payload = payload_from_json(fits).unwrap();
        assert_eq!(serde_json::to_string(&payload).unwrap().len(), PAYLOAD_BYTES_MAX);
        // Escapes count as they are written.
        let escaped = json!({ "a": "\u{1}".repeat(PAYLOAD_BYTES_MAX / 6) });
        let (limit, actual) = (PAYLOAD_BYTES_MAX, PAYLOAD_BYTES_MAX / 6 * 6 + 8);
        assert_eq!(payload_from_json(escaped), Err(PayloadError::TooLarge { limit, actual }));
    }

    #[test]
    fn texts_in_the_form_of_rfc_3339_are_times() {
        let day = 86_400_000_000_000;
        assert_eq!(parse_datetime("1970-01-02"), Some(day));
        assert_eq!(parse_datetime("1970-01-02T01:00:00+01:00"), Some(day));
        assert_eq!(parse_datetime("1970-01-02T00:00:00.000000001Z"), Some(day + 1));
        assert_eq!(parse_datetime("1969-12-31T23:59:59Z"), Some(-1_000_000_000));
        for text in ["", "1970", "1970-13-01", "1970-01-02T00:00:00", "0001-01-01", "x970-01-02"] {
            assert_eq!(parse_datetime(text), None, "{text}");
        }
    }

    #[test]
    fn types_of_fields_are_gathered_by_path() {
        let infer = |json| FieldTypes::infer(&payload_from_json(json).unwrap());
        let mut types = infer(json!({"a": 1, "b": {"c": ["x", true, null]}, "d": null}));
        let list: Vec<(&str, Vec<FieldType>)> =
            types.iter().map(|(path, held)| (path, held.iter().copied().collect())).collect();
        let all = vec![FieldType::Boolean, FieldType::Keyword, FieldType::Null, FieldType::List];
        let expected =
            [("a", vec![FieldType::Integer]), ("b.c", all), ("d", vec![FieldType::Null])];
        assert_eq!(list, expected);
        assert!(types.has_below("b") && !types.has_below("a") && !types.has_below("b.c"));
        assert!(!types.merge(&infer(json!({"a": 2}))));
        assert!(types.merge(&infer(json!({"a": 2.5, "d": "2026-01-01"}))));
        let held = BTreeSet::from([FieldType::Integer, FieldType::Float]);
        assert_eq!(types.get("a"), Some(&held));
        let held = BTreeSet::from([FieldType::Datetime, FieldType::Null]);
        assert_eq!(types.get("d"), Some(&held));
        let places = infer(json!({"p": [{"lat": 1, "lon": 2.5}], "q": {"lat": 99, "lon": 0}}));
        let held = BTreeSet::from([FieldType::List, FieldType::Geo]);
        assert_eq!((places.get("p"), places.get("q")), (Some(&held), None));
    }
}
