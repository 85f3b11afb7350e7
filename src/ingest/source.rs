use std::collections::BTreeMap;

use crate::document::{DocumentId, Payload, Span};
use crate::vector::Vector;

/// Something to store, as it comes from outside.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// The id of the document; of a file of records, the start of their ids.
    pub id: DocumentId,
    /// What it consists of.
    pub content: SourceContent,
    /// The user's fields; they go before what a decoder finds.
    pub payload: Payload,
}

/// What a source consists of.
#[derive(Debug, Clone, PartialEq)]
pub enum SourceContent {
    /// A text, to be cut and embedded.
    Text(String),
    /// A file, to be decoded, cut and embedded. A file of records becomes a document for each.
    File {
        /// Its name, whose ending helps to tell the format.
        name: String,
        /// Its bytes.
        bytes: Vec<u8>,
        /// The media type it was declared to have.
        media_type: Option<String>,
    },
    /// One part with these vectors and no text.
    Vectors(BTreeMap<String, Vector>),
    /// Parts that are cut already.
    Parts(Vec<PartSource>),
}

/// A part that is cut already.
#[derive(Debug, Clone, PartialEq)]
pub struct PartSource {
    /// Its text; it is embedded for the vector names that have an embedder.
    pub text: String,
    /// Its vectors, for names that have no embedder.
    pub vectors: BTreeMap<String, Vector>,
    /// Where it stands; none: the whole document.
    pub span: Option<Span>,
}

/// The BLAKE3 hash of a source's bytes. Persisted, and compared with what clients compute: of a
/// text its UTF-8, of a file its bytes; of given parts a hash of our own over texts and vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ContentHash(pub [u8; 32]);

/// What decided how a document came to be stored: content, declared format and payload. Equal
/// versions need not be stored again. Persisted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Version(pub [u8; 32]);

impl SourceContent {
    /// Returns the hash of the content.
    pub fn hash(&self) -> ContentHash {
        let hash = match self {
            Self::Text(text) => blake3::hash(text.as_bytes()),
            Self::File { bytes, .. } => blake3::hash(bytes),
            Self::Vectors(vectors) => {
                let mut hasher = blake3::Hasher::new();
                add_vectors(&mut hasher, vectors);
                hasher.finalize()
            }
            Self::Parts(parts) => {
                let mut hasher = blake3::Hasher::new();
                for part in parts {
                    add_bytes(&mut hasher, part.text.as_bytes());
                    add_vectors(&mut hasher, &part.vectors);
                    add_json(&mut hasher, &part.span);
                }
                hasher.finalize()
            }
        };
        ContentHash(*hash.as_bytes())
    }

    /// Returns about how many bytes of memory the content takes.
    pub fn bytes(&self) -> usize {
        let vectors = |vectors: &BTreeMap<String, Vector>| -> usize {
            vectors.values().map(Vector::bytes).sum()
        };
        match self {
            Self::Text(text) => text.len(),
            Self::File { bytes, .. } => bytes.len(),
            Self::Vectors(given) => vectors(given),
            Self::Parts(parts) => {
                parts.iter().map(|part| part.text.len() + vectors(&part.vectors)).sum()
            }
        }
    }
}

impl Version {
    /// Returns the version of a source whose content has this hash.
    pub fn of(source: &Source, content: ContentHash) -> Self {
        let mut hasher = blake3::Hasher::new();
        let kind = match &source.content {
            SourceContent::Text(_) => "text",
            SourceContent::File { .. } => "file",
            SourceContent::Vectors(_) => "vectors",
            SourceContent::Parts(_) => "parts",
        };
        add_bytes(&mut hasher, kind.as_bytes());
        hasher.update(&content.0);
        if let SourceContent::File { name, media_type, .. } = &source.content {
            add_bytes(&mut hasher, name.as_bytes());
            add_bytes(&mut hasher, media_type.as_deref().unwrap_or_default().as_bytes());
        }
        add_json(&mut hasher, &source.payload);
        Self(*hasher.finalize().as_bytes())
    }

    /// Returns the version of something that was changed after it had this one.
    #[must_use]
    pub fn changed(self, by: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new();
        add_bytes(&mut hasher, b"changed");
        hasher.update(&self.0);
        add_bytes(&mut hasher, by);
        Self(*hasher.finalize().as_bytes())
    }

    /// Returns the version of a record of a file.
    pub fn of_record(text: &str, payload: &Payload) -> Self {
        let mut hasher = blake3::Hasher::new();
        add_bytes(&mut hasher, b"record");
        add_bytes(&mut hasher, text.as_bytes());
        add_json(&mut hasher, payload);
        Self(*hasher.finalize().as_bytes())
    }
}

/// Lengths keep neighbouring fields apart.
fn add_bytes(hasher: &mut blake3::Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}

fn add_vectors(hasher: &mut blake3::Hasher, vectors: &BTreeMap<String, Vector>) {
    hasher.update(&(vectors.len() as u64).to_le_bytes());
    for (name, vector) in vectors {
        add_bytes(hasher, name.as_bytes());
        let values = match vector {
            Vector::Dense(vector) => vector.as_slice(),
            Vector::Multi(vector) => {
                hasher.update(&(vector.dimension() as u64).to_le_bytes());
                vector.as_slice()
            }
            Vector::Sparse(vector) => {
                let indices = vector.indices().iter().flat_map(|index| index.to_le_bytes());
                add_bytes(hasher, &indices.collect::<Vec<u8>>());
                vector.values()
            }
        };
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        add_bytes(hasher, &bytes);
    }
}

/// Maps are ordered, so that equal values give equal bytes.
fn add_json(hasher: &mut blake3::Hasher, value: &impl serde::Serialize) {
    let json = serde_json::to_vec(value)
        .expect("payloads and spans have text keys and finite numbers only");
    add_bytes(hasher, &json);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Value;

    fn source(text: &str, payload: &[(&str, i64)]) -> Source {
        let payload =
            payload.iter().map(|&(name, value)| (name.to_owned(), Value::Integer(value))).collect();
        Source {
            id: DocumentId::new("a").unwrap(),
            content: SourceContent::Text(text.into()),
            payload,
        }
    }

    fn version(source: &Source) -> Version {
        Version::of(source, source.content.hash())
    }

    #[test]
    fn a_text_hashes_as_its_bytes_so_that_clients_can_compare() {
        let text = source("cat", &[]);
        assert_eq!(text.content.hash().0, *blake3::hash(b"cat").as_bytes());
    }

    #[test]
    fn a_version_changes_with_content_payload_and_declared_format() {
        let base = version(&source("cat", &[("a", 1)]));
        assert_eq!(base, version(&source("cat", &[("a", 1)])));
        assert_ne!(base, version(&source("cat", &[("a", 2)])));
        assert_ne!(base, version(&source("dog", &[("a", 1)])));
        let file = |name: &str| {
            let content =
                SourceContent::File { name: name.into(), bytes: b"cat".to_vec(), media_type: None };
            version(&Source { content, ..source("", &[("a", 1)]) })
        };
        assert_ne!(file("a.md"), file("a.html"));
        assert_ne!(file("a.md"), base);
    }

    #[test]
    fn neighbouring_fields_of_given_parts_do_not_run_together() {
        let parts = |texts: &[&str]| {
            let part = |text: &&str| PartSource {
                text: (*text).into(),
                vectors: BTreeMap::new(),
                span: None,
            };
            SourceContent::Parts(texts.iter().map(part).collect()).hash()
        };
        assert_ne!(parts(&["ab", "c"]), parts(&["a", "bc"]));
    }
}
