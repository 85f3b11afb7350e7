use super::{Payload, Value};

/// Returns the values of a field that are no lists, no objects and not null, each once, in the order
/// in which they stand: the elements of a list are values of the field.
pub fn values_at(payload: &Payload, path: &str) -> Vec<Value> {
    let mut found: Vec<Value> = Vec::new();
    visit(payload, path, &mut |value| {
        if !found.contains(value) {
            found.push(value.clone());
        }
    });
    found
}

/// Returns whether `holds` of a value at the path: of the value as it stands there, or, if it is a
/// list, of one of its elements, which is then said to it.
pub(super) fn any_value_at(
    fields: &Payload,
    path: &str,
    holds: &mut dyn FnMut(&Value, bool) -> bool,
) -> bool {
    let (name, rest) = match path.split_once('.') {
        Some((name, rest)) => (name, Some(rest)),
        None => (path, None),
    };
    fields.get(name).is_some_and(|value| any_value_in(value, rest, false, holds))
}

fn any_value_in(
    value: &Value,
    rest: Option<&str>,
    is_element: bool,
    holds: &mut dyn FnMut(&Value, bool) -> bool,
) -> bool {
    let is_last = rest.is_none();
    if is_last && holds(value, is_element) {
        return true;
    }
    match (value, rest) {
        (Value::Array(elements), _) => {
            elements.iter().any(|element| any_value_in(element, rest, is_last, holds))
        }
        (Value::Object(fields), Some(rest)) => any_value_at(fields, rest, holds),
        _ => false,
    }
}

/// Calls `visit` with the path and the length of every list, but for those that are elements of
/// others, which have the path of the list.
pub fn for_each_list(payload: &Payload, visit: &mut dyn FnMut(&str, usize)) {
    let mut path = String::new();
    lists_of_fields(payload, &mut path, visit);
}

fn lists_of_fields(fields: &Payload, path: &mut String, visit: &mut dyn FnMut(&str, usize)) {
    for (name, value) in fields {
        let length = path.len();
        if length > 0 {
            path.push('.');
        }
        path.push_str(name);
        lists_of_value(value, false, path, visit);
        path.truncate(length);
    }
}

fn lists_of_value(
    value: &Value,
    is_element: bool,
    path: &mut String,
    visit: &mut dyn FnMut(&str, usize),
) {
    match value {
        Value::Array(elements) => {
            if !is_element {
                visit(path, elements.len());
            }
            elements.iter().for_each(|element| lists_of_value(element, true, path, visit));
        }
        Value::Object(fields) => lists_of_fields(fields, path, visit),
        Value::Null | Value::Boolean(_) | Value::Integer(_) | Value::Float(_) | Value::Text(_) => {}
    }
}

/// Calls `visit` with the path of every object.
pub(super) fn for_each_object(payload: &Payload, visit: &mut dyn FnMut(&str, &Payload)) {
    let mut path = String::new();
    objects_of_fields(payload, &mut path, visit);
}

fn objects_of_fields(fields: &Payload, path: &mut String, visit: &mut dyn FnMut(&str, &Payload)) {
    for (name, value) in fields {
        let length = path.len();
        if length > 0 {
            path.push('.');
        }
        path.push_str(name);
        objects_of_value(value, path, visit);
        path.truncate(length);
    }
}

fn objects_of_value(value: &Value, path: &mut String, visit: &mut dyn FnMut(&str, &Payload)) {
    match value {
        Value::Array(elements) => {
            elements.iter().for_each(|element| objects_of_value(element, path, visit));
        }
        Value::Object(fields) => {
            visit(path, fields);
            objects_of_fields(fields, path, visit);
        }
        Value::Null | Value::Boolean(_) | Value::Integer(_) | Value::Float(_) | Value::Text(_) => {}
    }
}

fn visit(fields: &Payload, path: &str, found: &mut dyn FnMut(&Value)) {
    let (name, rest) = match path.split_once('.') {
        Some((name, rest)) => (name, Some(rest)),
        None => (path, None),
    };
    if let Some(value) = fields.get(name) {
        visit_value(value, rest, found);
    }
}

fn visit_value(value: &Value, rest: Option<&str>, found: &mut dyn FnMut(&Value)) {
    match (value, rest) {
        (Value::Array(elements), _) => {
            elements.iter().for_each(|element| visit_value(element, rest, found));
        }
        (Value::Object(fields), Some(rest)) => visit(fields, rest, found),
        (Value::Object(_) | Value::Null, None) | (_, Some(_)) => {}
        (Value::Boolean(_) | Value::Integer(_) | Value::Float(_) | Value::Text(_), None) => {
            found(value);
        }
    }
}

impl Value {
    /// Returns what sort of value it is, in words.
    pub fn kind_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean(_) => "a boolean",
            Self::Integer(_) | Self::Float(_) => "a number",
            Self::Text(_) => "a text",
            Self::Array(_) => "a list",
            Self::Object(_) => "an object",
        }
    }

    /// Returns a text that two values share exactly if conditions take them for equal: a float that
    /// is a whole number is the same as the integer.
    pub fn to_key(&self) -> String {
        const END: f64 = 9_223_372_036_854_775_808.0;
        match self {
            #[expect(clippy::cast_possible_truncation, reason = "a whole number within the range")]
            Self::Float(float) if float.fract() == 0.0 && (-END..END).contains(float) => {
                Self::Integer(*float as i64).to_key()
            }
            // A value has text for keys and finite numbers, which JSON can always hold.
            value => serde_json::to_string(value).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::payload_from_json;
    use serde_json::json;

    #[test]
    fn the_values_of_a_field_are_those_of_its_elements_each_once() {
        let payload = payload_from_json(json!({
            "a": [1, null, [2, 1], {"b": 3}], "c": [{"d": "x"}, {"d": ["y", "x"]}, 5], "e": {}
        }))
        .unwrap();
        let of = |path| values_at(&payload, path);
        assert_eq!(of("a"), [Value::Integer(1), Value::Integer(2)]);
        assert_eq!(of("a.b"), [Value::Integer(3)]);
        assert_eq!(of("c.d"), ["x", "y"].map(|text| Value::Text(text.into())));
        assert_eq!(of("e"), []);
        assert_eq!(of("missing"), []);
    }

    #[test]
    fn lists_and_objects_are_met_at_their_paths() {
        let payload = payload_from_json(json!({
            "a": [[1, 2], [3]], "b": [{"c": []}, {"c": [1]}], "d": {"e": 1}
        }))
        .unwrap();
        let mut lists = Vec::new();
        for_each_list(&payload, &mut |path, length| lists.push((path.to_owned(), length)));
        let expected = [("a", 2), ("b", 2), ("b.c", 0), ("b.c", 1)];
        assert_eq!(lists, expected.map(|(path, length)| (path.to_owned(), length)));
        let mut objects = Vec::new();
        for_each_object(&payload, &mut |path, object| {
            objects.push((path.to_owned(), object.len()))
        });
        assert_eq!(objects, ["b", "b", "d"].map(|path| (path.to_owned(), 1)));
        let mut met = Vec::new();
        any_value_at(&payload, "b.c", &mut |value, is_element| {
            met.push((value.to_key(), is_element));
            false
        });
        let expected = [("[]", false), ("[1]", false), ("1", true)];
        assert_eq!(met, expected.map(|(value, is_element)| (value.to_owned(), is_element)));
    }

    #[test]
    fn equal_numbers_have_one_key() {
        assert_eq!(Value::Float(3.0).to_key(), Value::Integer(3).to_key());
        assert_ne!(Value::Float(3.5).to_key(), Value::Integer(3).to_key());
        assert_ne!(Value::Text("3".into()).to_key(), Value::Integer(3).to_key());
    }
}
