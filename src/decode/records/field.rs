use std::collections::BTreeMap;

use super::{FieldNames, Record, RecordProblem};
use crate::document::{Payload, Value};

const TEXT_NAMES: [&str; 4] = ["text", "body", "content", "abstract"];
const TITLE_NAMES: [&str; 1] = ["title"];
const ID_NAMES: [&str; 2] = ["id", "_id"];

/// The deepest nesting of a payload that the `document` folder admits.
const DEPTH_MAX: usize = 16;
const NAME_BYTES_MAX: usize = 128;

/// The names to look for, each list in order of preference.
#[derive(Debug, Clone)]
pub(super) struct Roles {
    text: Vec<String>,
    title: Vec<String>,
    id: Vec<String>,
}

impl Roles {
    pub(super) fn new(names: FieldNames<'_>) -> Self {
        let one_or = |given: Option<&str>, usual: &[&str]| match given {
            Some(name) => vec![name.to_owned()],
            None => usual.iter().map(|&name| name.to_owned()).collect(),
        };
        Self {
            text: one_or(names.text, &TEXT_NAMES),
            title: one_or(names.title, &TITLE_NAMES),
            id: one_or(names.id, &ID_NAMES),
        }
    }

    /// Returns the place of the field that holds the text.
    pub(super) fn text_of<'n>(
        &self,
        names: impl Iterator<Item = &'n str> + Clone,
    ) -> Option<usize> {
        first_of(&self.text, names)
    }

    /// Returns whether the field is text, title or id, which are texts whatever they look like.
    pub(super) fn is_text(&self, name: &str) -> bool {
        let is_one_of = |names: &[String]| first_of(names, std::iter::once(name)).is_some();
        is_one_of(&self.text) || is_one_of(&self.title) || is_one_of(&self.id)
    }

    /// Returns the names that hold a text, for a message.
    pub(super) fn text_names(&self) -> String {
        listed(self.text.iter().map(String::as_str))
    }

    /// Returns the record of these fields.
    pub(super) fn record(
        &self,
        fields: Vec<(String, serde_json::Value)>,
        line: u64,
    ) -> Result<Record, RecordProblem> {
        let names = || fields.iter().map(|field| field.0.as_str());
        let text = self.text_of(names());
        let title = first_of(&self.title, names()).filter(|&at| Some(at) != text);
        let id = first_of(&self.id, names()).filter(|&at| Some(at) != text && Some(at) != title);
        let Some(text) = text else {
            return Err(RecordProblem::NoText {
                looked_for: self.text_names(),
                found: listed(names()),
            });
        };
        let body = text_in(&fields[text])?;
        let title = title.map(|at| title_in(&fields[at])).transpose()?;
        let title = title.map(|title| title.trim().to_owned()).filter(|title| !title.is_empty());
        let name = id.map(|at| id_in(&fields[at])).transpose()?.flatten();
        let mut payload = Payload::new();
        for (at, (key, value)) in fields.into_iter().enumerate() {
            if at != text && Some(at) != id {
                let value = value_of(value, &key, 1)?;
                payload.entry(field_name(&key)).or_insert(value);
            }
        }
        if let Some(title) = &title {
            payload.entry("title".to_owned()).or_insert_with(|| Value::Text(title.clone()));
        }
        let text = match (&title, body.trim().is_empty()) {
            (Some(title), false) => format!("{title}\n{body}"),
            (Some(title), true) => title.clone(),
            (None, false) => body,
            (None, true) => return Err(RecordProblem::EmptyText),
        };
        Ok(Record { id: name, title, text, payload, line })
    }
}

/// Returns the names as a list for a message, cut short if there are many.
pub(super) fn listed<'n>(names: impl Iterator<Item = &'n str>) -> String {
    const SHOWN_MAX: usize = 12;
    let mut shown = Vec::new();
    let mut more = 0_usize;
    for name in names {
        if shown.len() < SHOWN_MAX {
            shown.push(format!("`{}`", name.chars().take(40).collect::<String>()));
        } else {
            more += 1;
        }
    }
    match (shown.is_empty(), more) {
        (true, _) => "none".to_owned(),
        (false, 0) => shown.join(", "),
        (false, more) => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Returns a name that a condition can ask for.
pub(in crate::decode) fn field_name(key: &str) -> String {
    let mut name = key.trim().replace('.', "_");
    if name.is_empty() {
        "unnamed".clone_into(&mut name);
    }
    let mut end = name.len().min(NAME_BYTES_MAX);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.truncate(end);
    name
}

fn first_of<'n>(wanted: &[String], names: impl Iterator<Item = &'n str> + Clone) -> Option<usize> {
    wanted
        .iter()
        .find_map(|wanted| names.clone().position(|name| name.trim().eq_ignore_ascii_case(wanted)))
}

/// Takes the text out of a field: a text, a list of paragraphs, or nothing.
fn text_in(field: &(String, serde_json::Value)) -> Result<String, RecordProblem> {
    let wrong = |found: &'static str| RecordProblem::WrongType {
        field: field.0.clone(),
        expected: "text or a list of texts",
        found,
    };
    match &field.1 {
        serde_json::Value::String(text) => Ok(text.clone()),
        serde_json::Value::Null => Ok(String::new()),
        serde_json::Value::Array(items) => {
            let items: Option<Vec<&str>> = items.iter().map(serde_json::Value::as_str).collect();
            items.map(|items| items.join("\n")).ok_or_else(|| wrong("a list of other things"))
        }
        serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::Object(_) => Err(wrong(kind_of(&field.1))),
    }
}

/// Takes the title out of a field; a number is a title too (1984).
fn title_in(field: &(String, serde_json::Value)) -> Result<String, RecordProblem> {
    match &field.1 {
        serde_json::Value::Number(number) => Ok(number.to_string()),
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::String(_)
        | serde_json::Value::Array(_)
        | serde_json::Value::Object(_) => text_in(field),
    }
}

fn id_in(field: &(String, serde_json::Value)) -> Result<Option<String>, RecordProblem> {
    match &field.1 {
        serde_json::Value::String(id) if id.trim().is_empty() => Ok(None),
        serde_json::Value::String(id) => Ok(Some(id.trim().to_owned())),
        serde_json::Value::Number(id) if !id.is_f64() => Ok(Some(id.to_string())),
        serde_json::Value::Null => Ok(None),
        serde_json::Value::Number(_)
        | serde_json::Value::Bool(_)
        | serde_json::Value::Array(_)
        | serde_json::Value::Object(_) => Err(RecordProblem::WrongType {
            field: field.0.clone(),
            expected: "text or a whole number",
            found: kind_of(&field.1),
        }),
    }
}

fn value_of(value: serde_json::Value, path: &str, depth: usize) -> Result<Value, RecordProblem> {
    if depth > DEPTH_MAX {
        return Err(RecordProblem::Malformed(format!(
            "field `{path}` is nested deeper than {DEPTH_MAX} levels"
        )));
    }
    Ok(match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(truth) => Value::Boolean(truth),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Value::Integer(whole),
            (None, Some(float)) if number.is_f64() && float.is_finite() => Value::Float(float),
            _ => {
                return Err(RecordProblem::Malformed(format!(
                    "field `{path}` holds {number}, expected a 64-bit integer or a finite float"
                )));
            }
        },
        serde_json::Value::String(text) => Value::Text(text),
        serde_json::Value::Array(items) => Value::Array(
            items
                .into_iter()
                .map(|item| value_of(item, path, depth + 1))
                .collect::<Result<_, _>>()?,
        ),
        serde_json::Value::Object(fields) => {
            let mut object = BTreeMap::new();
            for (key, value) in fields {
                let value = value_of(value, &key, depth + 1)?;
                object.insert(field_name(&key), value);
            }
            Value::Object(object)
        }
    })
}

fn kind_of(value: &serde_json::Value) -> &'static str {
    match value {
        serde_json::Value::Null => "null",
        serde_json::Value::Bool(_) => "a boolean",
        serde_json::Value::Number(_) => "a number",
        serde_json::Value::String(_) => "text",
        serde_json::Value::Array(_) => "a list",
        serde_json::Value::Object(_) => "an object",
    }
}
