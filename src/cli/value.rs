//! Payload values between JSON, the command line and the wire.

use serde_json::{Map, Value as Json};
use simile_proto::v1::{self as wire, value::Kind};

use super::exit::CliError;

/// Returns a JSON value as it travels.
///
/// # Errors
/// For a number that is neither a 64-bit integer nor a finite float.
pub(super) fn to_wire(value: &Json) -> Result<wire::Value, CliError> {
    let kind = match value {
        Json::Null => Kind::Null(true),
        Json::Bool(boolean) => Kind::Boolean(*boolean),
        Json::Number(number) => number_to_wire(number)?,
        Json::String(text) => Kind::Text(text.clone()),
        Json::Array(values) => Kind::Array(wire::Array {
            values: values.iter().map(to_wire).collect::<Result<_, _>>()?,
        }),
        Json::Object(fields) => Kind::Object(wire::Object {
            fields: fields
                .iter()
                .map(|(name, value)| Ok((name.clone(), to_wire(value)?)))
                .collect::<Result<_, CliError>>()?,
        }),
    };
    Ok(wire::Value { kind: Some(kind) })
}

/// Returns a value as it travelled, in JSON.
pub(super) fn to_json(value: &wire::Value) -> Json {
    match &value.kind {
        None | Some(Kind::Null(_)) => Json::Null,
        Some(Kind::Boolean(boolean)) => Json::Bool(*boolean),
        Some(Kind::Integer(integer)) => Json::from(*integer),
        Some(Kind::Float(float)) => Json::from(*float),
        Some(Kind::Text(text)) => Json::String(text.clone()),
        Some(Kind::Array(array)) => array.values.iter().map(to_json).collect(),
        Some(Kind::Object(object)) => fields_to_json(&object.fields),
    }
}

/// Returns fields as a JSON object, names in order.
pub(super) fn fields_to_json<'a>(
    fields: impl IntoIterator<Item = (&'a String, &'a wire::Value)>,
) -> Json {
    let mut named: Vec<_> = fields.into_iter().collect();
    named.sort_by_key(|(name, _)| *name);
    Json::Object(
        named
            .into_iter()
            .map(|(name, value)| (name.clone(), to_json(value)))
            .collect::<Map<_, _>>(),
    )
}

/// Returns a value as it is written on a command line: true, false, null, a number, a "quoted text",
/// or else a text.
pub(super) fn from_word(word: &str) -> wire::Value {
    let kind = match word {
        "true" => Kind::Boolean(true),
        "false" => Kind::Boolean(false),
        "null" => Kind::Null(true),
        word => {
            if let Ok(integer) = word.parse::<i64>() {
                Kind::Integer(integer)
            } else if let Some(float) = finite(word) {
                Kind::Float(float)
            } else if let Ok(text) = serde_json::from_str::<String>(word) {
                Kind::Text(text)
            } else {
                Kind::Text(word.to_owned())
            }
        }
    };
    wire::Value { kind: Some(kind) }
}

/// Words as `nan` and `infinity` parse as floats and are texts all the same.
fn finite(word: &str) -> Option<f64> {
    let starts_like_a_number =
        word.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '-' | '+' | '.'));
    word.parse().ok().filter(|float: &f64| float.is_finite() && starts_like_a_number)
}

fn number_to_wire(number: &serde_json::Number) -> Result<Kind, CliError> {
    if let Some(integer) = number.as_i64() {
        return Ok(Kind::Integer(integer));
    }
    match number.as_f64() {
        Some(float) if float.is_finite() && !number.is_u64() => Ok(Kind::Float(float)),
        _ => Err(CliError::usage(format!(
            "{number} is neither a 64-bit integer nor a finite number"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_comes_back_as_it_was() {
        let value = json!({
            "a": null, "b": true, "c": -3, "d": 0.5, "e": "text", "f": [1, [2.5]], "g": { "h": {} }
        });
        assert_eq!(to_json(&to_wire(&value).unwrap()), value);
        assert!(to_wire(&json!(u64::MAX)).is_err());
    }

    #[test]
    fn words_have_the_type_they_look_like() {
        let kinds = [
            ("true", json!(true)),
            ("null", json!(null)),
            ("3", json!(3)),
            ("-2.5", json!(-2.5)),
            ("1e3", json!(1000.0)),
            ("\"3\"", json!("3")),
            ("nan", json!("nan")),
            ("infinity", json!("infinity")),
            ("1e999", json!("1e999")),
            ("2020-01-01", json!("2020-01-01")),
            ("", json!("")),
        ];
        for (word, expected) in kinds {
            assert_eq!(to_json(&from_word(word)), expected, "{word}");
        }
    }
}
