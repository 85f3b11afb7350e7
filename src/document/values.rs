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
    fn equal_numbers_have_one_key() {
        assert_eq!(Value::Float(3.0).to_key(), Value::Integer(3).to_key());
        assert_ne!(Value::Float(3.5).to_key(), Value::Integer(3).to_key());
        assert_ne!(Value::Text("3".into()).to_key(), Value::Integer(3).to_key());
    }
}
