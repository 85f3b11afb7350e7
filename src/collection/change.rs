use std::collections::{BTreeMap, BTreeSet};

use super::error::Error;
use super::terms::Terms;
use crate::document::{DocumentId, FieldPath, Payload, Value, check_payload};
use crate::ingest::Prepared;
use crate::vector::Vector;

/// A change of the payload of a document; its parts and vectors stay.
#[derive(Debug, Clone, PartialEq)]
pub enum PayloadChange {
    /// Puts fields beside those there are, in place of those of the same name.
    Set {
        /// The object that the fields are put into, made if it is missing; none: the payload itself.
        at: Option<FieldPath>,
        /// The fields.
        fields: Payload,
    },
    /// Puts fields in place of all there are.
    Overwrite(Payload),
    /// Takes fields away; those that are not there are as good as taken.
    Delete(Vec<FieldPath>),
    /// Takes all fields away.
    Clear,
    /// Leaves the fields as they are: only the terms change.
    Keep,
}

/// A change of given vectors of a document; its texts and its payload stay.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct VectorsChange {
    /// Which part, from 0; none: the only one for vectors that are set, every one for those that are
    /// deleted.
    pub part: Option<usize>,
    /// The vectors that the part gets, in place of those of the same name.
    pub set: BTreeMap<String, Vector>,
    /// The names of the vectors that are taken away; those that are not there are as good as taken.
    pub delete: BTreeSet<String>,
}

/// The change of one document.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) id: DocumentId,
    pub(super) change: Changed,
    pub(super) terms: Terms,
}

/// What changes of a document.
#[derive(Debug)]
pub(super) enum Changed {
    Payload(std::sync::Arc<PayloadChange>),
    Vectors(std::sync::Arc<VectorsChange>),
}

impl Changed {
    /// Makes of a document what it is after the change.
    pub(super) fn apply(&self, document: &mut Prepared) -> Result<(), Error> {
        match self {
            Self::Payload(change) => {
                let payload = change.apply(document.payload.clone())?;
                check_payload(&payload)?;
                document.payload = payload;
                Ok(())
            }
            Self::Vectors(change) => change.apply(document),
        }
    }
}

impl VectorsChange {
    fn apply(&self, document: &mut Prepared) -> Result<(), Error> {
        let count = document.parts.len();
        let parts = match self.part {
            Some(part) if part < count => &mut document.parts[part..=part],
            Some(part) => {
                return Err(Error::Settings(format!(
                    "document `{}` has {count} parts, and part {part} is meant",
                    document.id
                )));
            }
            None if count > 1 && !self.set.is_empty() => {
                return Err(Error::Settings(format!(
                    "document `{}` has {count} parts: say which one gets the vectors",
                    document.id
                )));
            }
            None => &mut document.parts[..],
        };
        for part in parts {
            part.vectors.retain(|name, _| !self.delete.contains(name));
            part.vectors.extend(self.set.clone());
        }
        Ok(())
    }
}

impl PayloadChange {
    /// Returns the payload after the change.
    pub(super) fn apply(&self, mut payload: Payload) -> Result<Payload, Error> {
        match self {
            Self::Set { at: None, fields } => payload.extend(fields.clone()),
            Self::Set { at: Some(at), fields } => {
                object_at(&mut payload, &at.0)?.extend(fields.clone());
            }
            Self::Overwrite(fields) => payload.clone_from(fields),
            Self::Delete(paths) => {
                for path in paths {
                    delete(&mut payload, &path.0);
                }
            }
            Self::Clear => payload.clear(),
            Self::Keep => {}
        }
        Ok(payload)
    }
}

fn object_at<'p>(payload: &'p mut Payload, path: &str) -> Result<&'p mut Payload, Error> {
    let mut object = payload;
    for name in path.split('.') {
        let value = object.entry(name.to_owned()).or_insert_with(|| Value::Object(Payload::new()));
        let kind = value.kind_name();
        object = match value {
            Value::Object(fields) => fields,
            _ => {
                return Err(Error::Settings(format!(
                    "fields are set in an object, and `{name}` of `{path}` is {kind}"
                )));
            }
        };
    }
    Ok(object)
}

/// Takes a field away; of a list of objects, from each of them.
fn delete(payload: &mut Payload, path: &str) {
    match path.split_once('.') {
        None => {
            payload.remove(path);
        }
        Some((name, rest)) => {
            if let Some(value) = payload.get_mut(name) {
                delete_in(value, rest);
            }
        }
    }
}

fn delete_in(value: &mut Value, path: &str) {
    match value {
        Value::Object(fields) => delete(fields, path),
        Value::Array(elements) => {
            elements.iter_mut().for_each(|element| delete_in(element, path));
        }
        Value::Null | Value::Boolean(_) | Value::Integer(_) | Value::Float(_) | Value::Text(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::document::{payload_from_json, payload_to_json};

    fn payload(json: serde_json::Value) -> Payload {
        payload_from_json(json).unwrap()
    }

    fn applied(change: &PayloadChange) -> serde_json::Value {
        let before = json!({"a": 1, "b": {"c": 2, "d": [{"e": 3, "f": 4}, 5]}});
        payload_to_json(&change.apply(payload(before)).unwrap())
    }

    #[test]
    fn fields_are_set_overwritten_deleted_and_cleared() {
        let fields = payload(json!({"a": 9, "x": null}));
        let rest = json!({"c": 2, "d": [{"e": 3, "f": 4}, 5]});
        let set = PayloadChange::Set { at: None, fields: fields.clone() };
        assert_eq!(applied(&set), json!({"a": 9, "b": rest, "x": null}));
        let at = |path: &str| Some(FieldPath(path.into()));
        let inner = PayloadChange::Set { at: at("b.new"), fields: fields.clone() };
        assert_eq!(applied(&inner)["b"]["new"], json!({"a": 9, "x": null}));
        let wrong = PayloadChange::Set { at: at("b.c"), fields: fields.clone() };
        let error = wrong.apply(payload(json!({"b": {"c": 2}}))).unwrap_err().to_string();
        assert_eq!(error, "fields are set in an object, and `c` of `b.c` is a number");
        assert_eq!(applied(&PayloadChange::Overwrite(fields)), json!({"a": 9, "x": null}));
        let paths = ["a", "b.d.e", "b.missing", "z"].map(|path| FieldPath(path.into()));
        let deleted = applied(&PayloadChange::Delete(paths.to_vec()));
        assert_eq!(deleted, json!({"b": {"c": 2, "d": [{"f": 4}, 5]}}));
        assert_eq!(applied(&PayloadChange::Clear), json!({}));
    }
}
