use super::error::Error;
use super::terms::Terms;
use crate::document::{DocumentId, FieldPath, Payload, Value};

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

/// The change of one document.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) id: DocumentId,
    pub(super) change: std::sync::Arc<PayloadChange>,
    pub(super) terms: Terms,
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
