//! What is said of a collection beside its vectors, and what of it changes while it is in use.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::error::Error;
use super::open::Collection;
use super::settings::{ChunkSettings, Settings, check_chunk};
use crate::document::{Condition, DocumentId, FieldPath, Filter, Payload, Value, values_at};
use crate::index::dense::Quantisation;
use crate::query::EF_MAX;

/// The longest description, in bytes.
const DESCRIPTION_BYTES_MAX: usize = 4_096;
/// The most notes, and the longest name and text of one, in bytes.
const NOTES_MAX: usize = 64;
const NOTE_NAME_BYTES_MAX: usize = 128;
const NOTE_TEXT_BYTES_MAX: usize = 1_024;
/// The longest name of the field of tenants, in bytes.
const TENANT_BYTES_MAX: usize = 256;

/// What a person says of a collection, and whose its documents are. Persisted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The field whose text says whose a document is. Every document has one, and every question
    /// says whose documents it is about. Stays as it is for the life of the collection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<FieldPath>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Whatever else is to be known of it, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

/// What is to be changed of a collection in use.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CollectionChange {
    /// How texts are cut that are stored from now on.
    pub chunk: Option<ChunkSettings>,
    /// How graphs are built and searched, by vector name.
    pub vectors: BTreeMap<String, VectorTuning>,
    /// What it is for.
    pub description: Option<String>,
    /// What else is to be known of it; an empty text takes the entry away.
    pub metadata: BTreeMap<String, String>,
}

/// How the graphs of a dense vector are built from now on, and searched at once. Segments that are there
/// stay as they were built until they are merged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VectorTuning {
    /// Links of a graph node, 2 to 128.
    pub links_max: Option<usize>,
    /// The breadth of the search while building, 8 to 4096.
    pub ef_construction: Option<usize>,
    /// What the graph is searched on.
    pub quantisation: Option<Quantisation>,
    /// The breadth of searches that say none; 0: the usual one.
    pub ef: Option<usize>,
}

impl About {
    /// Returns whether there is nothing to say.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Checks every bound.
    pub(super) fn check(&self) -> Result<(), Error> {
        let within = |what: &str, actual: usize, most: usize| {
            if actual > most {
                return Err(Error::Settings(format!("{what}: at most {most} bytes, got {actual}")));
            }
            Ok(())
        };
        within("the description", self.description.len(), DESCRIPTION_BYTES_MAX)?;
        if self.metadata.len() > NOTES_MAX {
            let (limit, actual) = (NOTES_MAX, self.metadata.len());
            return Err(Error::TooMuch { what: "entries of metadata", limit, actual });
        }
        for (name, text) in &self.metadata {
            within("the name of an entry of metadata", name.len(), NOTE_NAME_BYTES_MAX)?;
            within("an entry of metadata", text.len(), NOTE_TEXT_BYTES_MAX)?;
            if name.is_empty() {
                return Err(Error::Settings("an entry of metadata has no name".into()));
            }
        }
        if let Some(FieldPath(path)) = &self.tenant {
            within("the field of tenants", path.len(), TENANT_BYTES_MAX)?;
            if path.split('.').any(str::is_empty) {
                return Err(Error::Settings(format!("`{path}` is no field that names tenants")));
            }
        }
        Ok(())
    }

    /// Returns quietly if a document says whose it is, where it has to.
    pub(super) fn check_payload(&self, id: &DocumentId, payload: &Payload) -> Result<(), Error> {
        let Some(path) = &self.tenant else { return Ok(()) };
        let found = values_at(payload, &path.0);
        match found.as_slice() {
            [Value::Text(tenant)] if !tenant.is_empty() => Ok(()),
            _ => Err(Error::Tenant(format!(
                "document `{id}` has to say whose it is: field `{}` is the tenant, and is one text \
                 that is not empty",
                path.0
            ))),
        }
    }

    /// Returns quietly if a question says whose documents it is about, where it has to.
    pub(super) fn check_filter(&self, filter: Option<&Filter>) -> Result<(), Error> {
        let Some(path) = &self.tenant else { return Ok(()) };
        if filter.is_some_and(|filter| says(filter, path)) {
            return Ok(());
        }
        Err(Error::Tenant(format!(
            "the question has to say whose documents it is about: field `{}` is the tenant, so ask \
             with `{}` equal to one or any of several, or existing for those of all",
            path.0, path.0
        )))
    }
}

/// Returns whether all that a filter means is of tenants that it names, or of all since it says so.
fn says(filter: &Filter, tenant: &FieldPath) -> bool {
    match filter {
        Filter::All(conditions) => conditions.iter().any(|condition| says(condition, tenant)),
        Filter::Any(conditions) => {
            !conditions.is_empty() && conditions.iter().all(|condition| says(condition, tenant))
        }
        Filter::Field { path, condition } => {
            path == tenant
                && matches!(condition, Condition::Equals(_) | Condition::In(_) | Condition::Exists)
        }
        Filter::AtLeast(..) | Filter::Not(_) | Filter::Nested { .. } | Filter::Ids(_) => false,
    }
}

impl Settings {
    /// Returns the settings after a change.
    pub(super) fn changed(&self, change: &CollectionChange) -> Result<Self, Error> {
        let mut settings = self.clone();
        if let Some(chunk) = change.chunk {
            check_chunk(chunk)?;
            settings.chunk = chunk;
        }
        if let Some(description) = &change.description {
            settings.about.description.clone_from(description);
        }
        for (name, text) in &change.metadata {
            if text.is_empty() {
                settings.about.metadata.remove(name);
            } else {
                settings.about.metadata.insert(name.clone(), text.clone());
            }
        }
        settings.about.check()?;
        for (name, tuning) in &change.vectors {
            self.shape().form(name)?;
            let Some(vector) = settings.vectors.get_mut(name) else {
                return Err(Error::Settings(format!(
                    "vector `{name}` is found exactly, and has no graph that could be set"
                )));
            };
            vector.links_max = tuning.links_max.unwrap_or(vector.links_max);
            vector.ef_construction = tuning.ef_construction.unwrap_or(vector.ef_construction);
            vector.quantisation = tuning.quantisation.unwrap_or(vector.quantisation);
            match tuning.ef {
                Some(0) => vector.ef = None,
                Some(ef) if ef > EF_MAX => {
                    let what = "breadth of a search";
                    return Err(Error::TooMuch { what, limit: EF_MAX, actual: ef });
                }
                Some(ef) => vector.ef = Some(ef),
                None => {}
            }
            vector
                .dense_options(None)
                .check()
                .map_err(|error| Error::Settings(format!("vector `{name}`: {error}")))?;
        }
        Ok(settings)
    }
}

impl Collection {
    /// Changes what the collection is like, at one moment: what is cut, built and searched from now on
    /// goes by it. Segments that are there are built anew by [`Self::optimize`], or when they are
    /// merged.
    ///
    /// # Errors
    /// Invalid input for what is out of bounds, and for a vector that is none or has no graph; the
    /// collection takes no writes.
    pub fn set(&self, change: &CollectionChange) -> Result<(), Error> {
        let engine = &self.engine;
        let _altering = engine.altering.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        engine.check_writable()?;
        let kept = engine.kept();
        let settings = kept.settings.changed(change)?;
        if settings == kept.settings {
            return Ok(());
        }
        settings.write(&engine.folder)?;
        crate::fail::reached("alter: the settings are written", &engine.folder);
        for name in change.vectors.keys() {
            if let (Some(index), Some(vector)) = (kept.dense.get(name), settings.vectors.get(name))
            {
                index.reshape(&vector.dense_options(None));
            }
        }
        engine.keep(kept.with(settings));
        Ok(())
    }

    /// Returns quietly if a question says whose documents it is about, where it has to.
    pub(super) fn check_tenant(&self, filter: Option<&Filter>) -> Result<(), Error> {
        self.engine.kept().settings.about.check_filter(filter)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::document::{Scalar, payload_from_json};

    fn about() -> About {
        About { tenant: Some(FieldPath("org.id".into())), ..About::default() }
    }

    fn field(path: &str, condition: Condition) -> Filter {
        Filter::Field { path: FieldPath(path.into()), condition }
    }

    #[test]
    fn a_question_says_whose_documents_it_is_about() {
        let one = field("org.id", Condition::Equals(Scalar::Text("a".into())));
        let several = field("org.id", Condition::In(vec![Scalar::Text("a".into())]));
        let all = field("org.id", Condition::Exists);
        let other = field("year", Condition::Exists);
        for said in [
            one.clone(),
            several.clone(),
            all,
            Filter::All(vec![other.clone(), one.clone()]),
            Filter::Any(vec![one.clone(), several.clone()]),
            Filter::All(vec![Filter::Any(vec![one.clone()])]),
        ] {
            about().check_filter(Some(&said)).unwrap();
        }
        for unsaid in [
            other.clone(),
            Filter::All(vec![]),
            Filter::Any(vec![]),
            Filter::Any(vec![one.clone(), other]),
            Filter::Not(Box::new(one.clone())),
            Filter::AtLeast(0, vec![one.clone()]),
            field("org.id", Condition::Prefix("a".into())),
            Filter::Nested { path: FieldPath("org".into()), filter: Box::new(one) },
        ] {
            let error = about().check_filter(Some(&unsaid)).unwrap_err();
            assert!(error.to_string().contains("`org.id`"), "{unsaid:?}: {error}");
        }
        about().check_filter(None).unwrap_err();
        About::default().check_filter(None).unwrap();
    }

    #[test]
    fn a_document_says_whose_it_is() {
        let id = DocumentId::new("d").unwrap();
        let check = |json| about().check_payload(&id, &payload_from_json(json).unwrap());
        check(json!({"org": {"id": "a"}, "year": 3})).unwrap();
        for wrong in [
            json!({}),
            json!({"org": "a"}),
            json!({"org": {"id": ""}}),
            json!({"org": {"id": 3}}),
            json!({"org": {"id": ["a", "b"]}}),
            json!({"org": {"id": null}}),
        ] {
            let error = check(wrong).unwrap_err().to_string();
            assert!(error.contains("document `d`") && error.contains("`org.id`"), "{error}");
        }
    }

    #[test]
    fn what_is_said_of_a_collection_is_bounded() {
        let wrong = [
            About { description: "x".repeat(5_000), ..About::default() },
            About { tenant: Some(FieldPath("a..b".into())), ..About::default() },
            About { tenant: Some(FieldPath(String::new())), ..About::default() },
            About { metadata: BTreeMap::from([(String::new(), "x".into())]), ..About::default() },
            About {
                metadata: (0..65).map(|n| (n.to_string(), "x".into())).collect(),
                ..About::default()
            },
        ];
        for about in wrong {
            about.check().unwrap_err();
        }
    }
}
