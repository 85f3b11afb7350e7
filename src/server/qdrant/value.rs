use std::collections::HashMap;

use simile_proto::qdrant::point_id::PointIdOptions;
use simile_proto::qdrant::value::Kind;
use simile_proto::qdrant::with_payload_selector::SelectorOptions;
use simile_proto::qdrant::{self as wire};

use super::super::translate::WireError;
use crate::document::{
    DocumentId, FieldPath, PAYLOAD_DEPTH_MAX, Payload, PayloadError, Value, check_payload,
};

/// Refuses a field of the protocol that is given and that this server cannot do.
pub(super) fn unsupported(is_given: bool, what: &str) -> Result<(), WireError> {
    if is_given { Err(WireError::Unsupported(what.to_owned())) } else { Ok(()) }
}

/// Returns the id of the document that a point is: a number in decimal, a UUID in lower case with
/// hyphens, any other text as it is.
pub(super) fn document_id(id: wire::PointId) -> Result<DocumentId, WireError> {
    match id.point_id_options.ok_or(WireError::Missing("the number or the UUID of a point id"))? {
        PointIdOptions::Num(number) => Ok(DocumentId::new(number.to_string())?),
        PointIdOptions::Uuid(text) => Ok(DocumentId::new(uuid(&text).unwrap_or(text))?),
    }
}

/// Returns the ids of documents.
pub(super) fn document_ids(ids: Vec<wire::PointId>) -> Result<Vec<DocumentId>, WireError> {
    ids.into_iter().map(document_id).collect()
}

/// Returns a text that is a UUID in its usual form; it may come in braces, as a URN, in capital
/// letters, or without hyphens.
fn uuid(text: &str) -> Option<String> {
    let bare = text.strip_prefix("urn:uuid:").unwrap_or(text);
    let bare = bare.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(bare);
    const HYPHENS: [usize; 4] = [8, 13, 18, 23];
    let is_right = |(place, byte): (usize, u8)| match bare.len() {
        36 if HYPHENS.contains(&place) => byte == b'-',
        36 | 32 => byte.is_ascii_hexdigit(),
        _ => false,
    };
    if bare.is_empty() || !bare.bytes().enumerate().all(is_right) {
        return None;
    }
    let mut usual = String::with_capacity(36);
    for digit in bare.chars().filter(|&digit| digit != '-') {
        if HYPHENS.contains(&usual.len()) {
            usual.push('-');
        }
        usual.push(digit.to_ascii_lowercase());
    }
    Some(usual)
}

/// Returns the point id of a document: a number if its id is one in decimal, else a text.
pub(super) fn point_id(id: &DocumentId) -> wire::PointId {
    let text = id.as_str();
    let number = text.parse::<u64>().ok().filter(|number| number.to_string() == text);
    let options = match number {
        Some(number) => PointIdOptions::Num(number),
        None => PointIdOptions::Uuid(text.to_owned()),
    };
    wire::PointId { point_id_options: Some(options) }
}

/// Returns the path of a field. `[]` after the name of a list says what holds here anyway: its
/// elements are meant.
pub(super) fn field_path(key: &str) -> Result<FieldPath, WireError> {
    let path = key.replace("[]", "");
    if path.is_empty() {
        return Err(WireError::Missing("the name of a field"));
    }
    unsupported(path.contains(['[', '"']), &format!("field `{key}`: a place in a list"))?;
    Ok(FieldPath(path))
}

/// Returns fields as a checked payload.
pub(super) fn payload(fields: HashMap<String, wire::Value>) -> Result<Payload, WireError> {
    let payload = object(fields, "", 1)?;
    check_payload(&payload)?;
    Ok(payload)
}

fn object(
    fields: HashMap<String, wire::Value>,
    path: &str,
    depth: usize,
) -> Result<Payload, WireError> {
    let one = |(name, field): (String, wire::Value)| {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let value = value(field, &path, depth)?;
        Ok((name, value))
    };
    fields.into_iter().map(one).collect()
}

/// The recursion is bounded here, since the rules for payloads are applied to what it returns.
fn value(given: wire::Value, path: &str, depth: usize) -> Result<Value, WireError> {
    if depth > PAYLOAD_DEPTH_MAX {
        return Err(PayloadError::TooDeep(path.to_owned()).into());
    }
    Ok(match given.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(boolean)) => Value::Boolean(boolean),
        Some(Kind::IntegerValue(integer)) => Value::Integer(integer),
        Some(Kind::DoubleValue(float)) => Value::Float(float),
        Some(Kind::StringValue(text)) => Value::Text(text),
        Some(Kind::ListValue(list)) => {
            let values = list.values.into_iter().map(|element| value(element, path, depth + 1));
            Value::Array(values.collect::<Result<_, _>>()?)
        }
        Some(Kind::StructValue(fields)) => Value::Object(object(fields.fields, path, depth + 1)?),
    })
}

/// Returns a payload as it travels.
pub(super) fn payload_to_wire(payload: Payload) -> HashMap<String, wire::Value> {
    payload.into_iter().map(|(name, value)| (name, value_to_wire(value))).collect()
}

fn value_to_wire(value: Value) -> wire::Value {
    let kind = match value {
        Value::Null => Kind::NullValue(wire::NullValue::NullValue.into()),
        Value::Boolean(boolean) => Kind::BoolValue(boolean),
        Value::Integer(integer) => Kind::IntegerValue(integer),
        Value::Float(float) => Kind::DoubleValue(float),
        Value::Text(text) => Kind::StringValue(text),
        Value::Array(values) => {
            let values = values.into_iter().map(value_to_wire).collect();
            Kind::ListValue(wire::ListValue { values })
        }
        Value::Object(fields) => {
            Kind::StructValue(wire::Struct { fields: payload_to_wire(fields) })
        }
    };
    wire::Value { kind: Some(kind) }
}

/// Which fields of a payload are answered.
#[derive(Debug, Clone)]
pub(super) enum Fields {
    All,
    None,
    Only(Vec<FieldPath>),
    AllBut(Vec<FieldPath>),
}

impl Fields {
    /// Returns what a selector means; `is_default` where there is none.
    pub(super) fn of(
        selector: Option<wire::WithPayloadSelector>,
        is_default: bool,
    ) -> Result<Self, WireError> {
        let paths = |fields: Vec<String>| -> Result<Vec<FieldPath>, WireError> {
            fields.iter().map(|field| field_path(field)).collect()
        };
        Ok(match selector.and_then(|selector| selector.selector_options) {
            Some(SelectorOptions::Enable(true)) => Self::All,
            Some(SelectorOptions::Enable(false)) => Self::None,
            Some(SelectorOptions::Include(given)) => Self::Only(paths(given.fields)?),
            Some(SelectorOptions::Exclude(given)) => Self::AllBut(paths(given.fields)?),
            None if is_default => Self::All,
            None => Self::None,
        })
    }

    /// Returns whether nothing is answered.
    pub(super) fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// Returns the fields that are answered.
    pub(super) fn select(&self, payload: Payload) -> HashMap<String, wire::Value> {
        let selected = match self {
            Self::All => payload,
            Self::None => Payload::new(),
            Self::Only(paths) => kept(payload, "", &|path| {
                let is_at_or_below = |wanted: &FieldPath| is_within(path, &wanted.0);
                let is_above = |wanted: &FieldPath| is_within(&wanted.0, path);
                match (paths.iter().any(is_at_or_below), paths.iter().any(is_above)) {
                    (true, _) => Keep::Whole,
                    (false, true) => Keep::Within,
                    (false, false) => Keep::Nothing,
                }
            }),
            Self::AllBut(paths) => kept(payload, "", &|path| {
                let is_above = |left_out: &FieldPath| is_within(&left_out.0, path);
                match (paths.iter().any(|left_out| left_out.0 == path), paths.iter().any(is_above))
                {
                    (true, _) => Keep::Nothing,
                    (false, true) => Keep::Within,
                    (false, false) => Keep::Whole,
                }
            }),
        };
        payload_to_wire(selected)
    }
}

enum Keep {
    Whole,
    Within,
    Nothing,
}

/// Whether a path is another one, or stands below it.
fn is_within(path: &str, other: &str) -> bool {
    let rest = path.strip_prefix(other);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn kept(fields: Payload, base: &str, keep: &dyn Fn(&str) -> Keep) -> Payload {
    let one = |(name, value): (String, Value)| {
        let path = if base.is_empty() { name.clone() } else { format!("{base}.{name}") };
        match keep(&path) {
            Keep::Whole => Some((name, value)),
            Keep::Within => Some((name, kept_of(value, &path, keep)?)),
            Keep::Nothing => None,
        }
    };
    fields.into_iter().filter_map(one).collect()
}

/// Of a list of objects, what is kept of each; a value without fields has nothing within it.
fn kept_of(value: Value, path: &str, keep: &dyn Fn(&str) -> Keep) -> Option<Value> {
    match value {
        Value::Object(fields) => Some(Value::Object(kept(fields, path, keep))),
        Value::Array(elements) => {
            let elements = elements.into_iter().filter_map(|element| kept_of(element, path, keep));
            Some(Value::Array(elements.collect()))
        }
        Value::Null | Value::Boolean(_) | Value::Integer(_) | Value::Float(_) | Value::Text(_) => {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::document::{payload_from_json, payload_to_json};

    fn text(uuid: &str) -> wire::PointId {
        wire::PointId { point_id_options: Some(PointIdOptions::Uuid(uuid.to_owned())) }
    }

    fn number(number: u64) -> wire::PointId {
        wire::PointId { point_id_options: Some(PointIdOptions::Num(number)) }
    }

    #[test]
    fn ids_go_to_documents_and_come_back() {
        let usual = "0b7c3f2e-1d9a-4c57-8a5e-aa00bb11cc22";
        let cases = [
            (number(0), "0"),
            (number(u64::MAX), "18446744073709551615"),
            (text(usual), usual),
            (text("notes/a.md"), "notes/a.md"),
            (text("007"), "007"),
            (text("18446744073709551616"), "18446744073709551616"),
        ];
        for (id, document) in cases {
            let mapped = document_id(id.clone()).unwrap();
            assert_eq!(mapped.as_str(), document);
            assert_eq!(point_id(&mapped), id);
        }
        let forms = [
            "0B7C3F2E-1D9A-4C57-8A5E-AA00BB11CC22",
            "0b7c3f2e1d9a4c578a5eaa00bb11cc22",
            "{0b7c3f2e-1d9a-4c57-8a5e-aa00bb11cc22}",
            "urn:uuid:0b7c3f2e-1d9a-4c57-8a5e-aa00bb11cc22",
        ];
        for form in forms {
            assert_eq!(document_id(text(form)).unwrap().as_str(), usual);
        }
        assert_eq!(document_id(text("42")).unwrap(), document_id(number(42)).unwrap());
        for wrong in [text(""), text("a\nb"), wire::PointId::default()] {
            assert!(document_id(wrong).is_err());
        }
    }

    #[test]
    fn the_fields_that_were_asked_for_are_answered_and_no_others() {
        let stored = json!({"a": 1, "ab": 2, "b": {"c": 3, "d": [{"e": 4, "f": 5}, 6]}});
        let selected = |selector| {
            let fields = Fields::of(Some(selector), false).unwrap();
            let selected = fields.select(payload_from_json(stored.clone()).unwrap());
            payload_to_json(&payload(selected).unwrap())
        };
        let paths = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect();
        let only = |fields: &[&str]| {
            let include = wire::PayloadIncludeSelector { fields: paths(fields) };
            selected(wire::WithPayloadSelector {
                selector_options: Some(SelectorOptions::Include(include)),
            })
        };
        let all_but = |fields: &[&str]| {
            let exclude = wire::PayloadExcludeSelector { fields: paths(fields) };
            selected(wire::WithPayloadSelector {
                selector_options: Some(SelectorOptions::Exclude(exclude)),
            })
        };
        assert_eq!(only(&["a"]), json!({"a": 1}));
        assert_eq!(only(&["b.d[].e"]), json!({"b": {"d": [{"e": 4}]}}));
        assert_eq!(only(&["b"]), json!({"b": {"c": 3, "d": [{"e": 4, "f": 5}, 6]}}));
        assert_eq!(all_but(&["b"]), json!({"a": 1, "ab": 2}));
        assert_eq!(all_but(&["a", "b.d"]), json!({"ab": 2, "b": {"c": 3}}));
        assert!(Fields::of(None, false).unwrap().is_none());
        assert!(!Fields::of(None, true).unwrap().is_none());
        assert!(field_path("a[0]").is_err());
    }

    #[test]
    fn a_payload_comes_back_as_it_was_and_endless_ones_are_refused() {
        let all =
            json!({"n": null, "b": true, "i": -3, "f": 0.5, "t": "猫", "l": [1, [2]], "o": {}});
        let all = payload_from_json(all).unwrap();
        assert_eq!(payload(payload_to_wire(all.clone())).unwrap(), all);
        let mut deep = wire::Value::default();
        for _ in 0..99 {
            let list = wire::ListValue { values: vec![deep] };
            deep = wire::Value { kind: Some(Kind::ListValue(list)) };
        }
        let error = payload(HashMap::from([("deep".to_owned(), deep)])).unwrap_err().to_string();
        assert!(error.contains("field `deep` is nested deeper"), "{error}");
    }
}
