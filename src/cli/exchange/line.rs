//! One line of an export: what the collection is like, or a document with its vectors.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value as Json, json};
use simile_proto::v1::document::Content;
use simile_proto::v1::vector_config::Source;
use simile_proto::v1::{self as wire};

use crate::cli::documents::document_to_json;
use crate::cli::value;

/// The format that this build writes and reads.
const FORMAT: u64 = 1;
/// The field that tells the first line of an export, and the name of the same in a table.
pub(super) const MARK: &str = "simile_export";

/// What an export says of its collection.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Heading {
    /// The vectors by name; those that an embedder made are said to be so.
    pub(super) vectors: HashMap<String, wire::VectorConfig>,
    /// The fingerprints of the embedders that made vectors, by vector name.
    pub(super) fingerprints: HashMap<String, String>,
    pub(super) has_words: bool,
    pub(super) chunk: wire::ChunkConfig,
    pub(super) tenant: String,
    pub(super) description: String,
    pub(super) metadata: HashMap<String, String>,
}

impl Heading {
    /// Returns what a collection is like.
    pub(super) fn of(collection: &wire::Collection) -> Self {
        let (mut vectors, mut fingerprints) = (HashMap::new(), HashMap::new());
        for (name, info) in &collection.vectors {
            let source = if !info.embedder.is_empty() {
                fingerprints.insert(name.clone(), info.fingerprint.clone());
                Source::Embedder(info.embedder.clone())
            } else if info.sparse {
                Source::Sparse(wire::SparseConfig {})
            } else if info.multi {
                Source::Multi(wire::MultiConfig { dimension: info.dimension })
            } else {
                Source::Dimension(info.dimension)
            };
            let is_dense = !info.sparse && !info.multi;
            let config = wire::VectorConfig {
                source: Some(source),
                metric: if info.sparse { 0 } else { info.metric },
                hnsw_m: is_dense.then_some(info.hnsw_m),
                hnsw_ef_construction: is_dense.then_some(info.hnsw_ef_construction),
                quantisation: if is_dense { info.quantisation } else { 0 },
            };
            vectors.insert(name.clone(), config);
        }
        let has_words = collection.lexical.as_ref().is_none_or(|lexical| !lexical.disabled);
        let chunk = collection.chunk.unwrap_or_default();
        Self {
            vectors,
            fingerprints,
            has_words,
            chunk,
            tenant: collection.tenant.clone(),
            description: collection.description.clone(),
            metadata: collection.metadata.clone(),
        }
    }

    /// Returns the first line.
    pub(super) fn to_json(&self) -> Json {
        let vector = |(name, config): (&String, &wire::VectorConfig)| {
            let mut vector = match &config.source {
                Some(Source::Embedder(embedder)) => {
                    json!({ "embedder": embedder, "fingerprint": self.fingerprints.get(name) })
                }
                Some(Source::Dimension(dimension)) => json!({ "dimension": dimension }),
                Some(Source::Multi(multi)) => json!({ "multi": multi.dimension }),
                Some(Source::Sparse(_)) | None => json!({ "sparse": true }),
            };
            vector["metric"] = config.metric.into();
            vector["hnsw_m"] = config.hnsw_m.into();
            vector["hnsw_ef_construction"] = config.hnsw_ef_construction.into();
            vector["quantisation"] = config.quantisation.into();
            (name.clone(), vector)
        };
        let mut heading = json!({
            MARK: FORMAT,
            "vectors": self.vectors.iter().map(vector).collect::<Map<_, _>>(),
            "lexical": self.has_words,
            "tokens_max": self.chunk.tokens_max,
            "tokens_overlap": self.chunk.tokens_overlap,
        });
        // What most collections have none of.
        if !self.tenant.is_empty() {
            heading["tenant"] = self.tenant.clone().into();
        }
        if !self.description.is_empty() {
            heading["description"] = self.description.clone().into();
        }
        if !self.metadata.is_empty() {
            heading["metadata"] = json!(self.metadata.iter().collect::<BTreeMap<_, _>>());
        }
        heading
    }

    /// Reads the first line; nothing if the line is a document.
    pub(super) fn from_json(line: &Json) -> Result<Option<Self>, String> {
        let Some(format) = line.get(MARK) else { return Ok(None) };
        if format.as_u64() != Some(FORMAT) {
            return Err(format!("the export has format {format}, and this build reads {FORMAT}"));
        }
        let small = |value: &Json| value.as_u64().and_then(|number| u32::try_from(number).ok());
        let choice = |value: &Json| value.as_i64().and_then(|number| i32::try_from(number).ok());
        let (mut vectors, mut fingerprints) = (HashMap::new(), HashMap::new());
        for (name, vector) in object(&line["vectors"], "vectors")? {
            let source = if let Some(embedder) = vector["embedder"].as_str() {
                let fingerprint = vector["fingerprint"].as_str().unwrap_or_default();
                fingerprints.insert(name.clone(), fingerprint.to_owned());
                Source::Embedder(embedder.to_owned())
            } else if let Some(dimension) = small(&vector["dimension"]) {
                Source::Dimension(dimension)
            } else if let Some(dimension) = small(&vector["multi"]) {
                Source::Multi(wire::MultiConfig { dimension })
            } else {
                Source::Sparse(wire::SparseConfig {})
            };
            let config = wire::VectorConfig {
                source: Some(source),
                metric: choice(&vector["metric"]).unwrap_or_default(),
                hnsw_m: small(&vector["hnsw_m"]),
                hnsw_ef_construction: small(&vector["hnsw_ef_construction"]),
                quantisation: choice(&vector["quantisation"]).unwrap_or_default(),
            };
            vectors.insert(name.clone(), config);
        }
        let (tokens_max, tokens_overlap) =
            (small(&line["tokens_max"]), small(&line["tokens_overlap"]));
        let chunk = wire::ChunkConfig { tokens_max, tokens_overlap };
        let has_words = line["lexical"].as_bool().unwrap_or(true);
        let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
        let metadata = line["metadata"].as_object().into_iter().flatten();
        let metadata = metadata.map(|(name, value)| (name.clone(), text(value))).collect();
        let (tenant, description) = (text(&line["tenant"]), text(&line["description"]));
        Ok(Some(Self { vectors, fingerprints, has_words, chunk, tenant, description, metadata }))
    }

    /// Returns the request that makes a collection like this one.
    pub(super) fn create(&self, name: &str) -> wire::CreateCollectionRequest {
        wire::CreateCollectionRequest {
            name: name.to_owned(),
            vectors: self.vectors.clone(),
            lexical: Some(wire::LexicalConfig { disabled: !self.has_words }),
            chunk: Some(self.chunk),
            words_only: self.vectors.is_empty(),
            tenant: self.tenant.clone(),
            description: self.description.clone(),
            metadata: self.metadata.clone(),
        }
    }
}

/// Returns the line of a document.
pub(super) fn document_line(document: &wire::StoredDocument) -> Json {
    let mut line = document_to_json(document);
    if let Some(line) = line.as_object_mut() {
        // Of the mutations of another collection.
        line.remove("sequence");
        line.retain(|_, value| !value.is_null());
    }
    line
}

/// Reads the line of a document: as [`document_line`] writes it, or with a `text`, or with `vectors`,
/// instead of `parts`.
pub(super) fn document(line: &Json) -> Result<wire::Document, String> {
    let id = line["id"].as_str().ok_or("`id` is missing, or no text")?.to_owned();
    let payload = match &line["payload"] {
        Json::Null => HashMap::new(),
        payload => object(payload, "payload")?
            .iter()
            .map(|(name, value)| {
                let value = value::to_wire(value).map_err(|error| error.to_string())?;
                Ok((name.clone(), value))
            })
            .collect::<Result<_, String>>()?,
    };
    let content = match (&line["parts"], &line["text"]) {
        (Json::Array(parts), _) => {
            let parts = parts.iter().map(part).collect::<Result<_, _>>()?;
            Content::Parts(wire::PartList { parts })
        }
        (_, Json::String(text)) if line["vectors"].is_null() => Content::Text(text.clone()),
        _ => Content::Parts(wire::PartList { parts: vec![part(line)?] }),
    };
    let expires_unix_ms = line["expires_unix_ms"].as_u64();
    Ok(wire::Document {
        id,
        payload,
        content: Some(content),
        expires_unix_ms,
        ..wire::Document::default()
    })
}

fn part(line: &Json) -> Result<wire::Part, String> {
    let mut part = wire::Part {
        text: line["text"].as_str().unwrap_or_default().to_owned(),
        span: span(&line["span"])?,
        ..wire::Part::default()
    };
    if line["vectors"].is_null() {
        return Ok(part);
    }
    for (name, vector) in object(&line["vectors"], "vectors")? {
        let wrong = |reason: String| format!("vector `{name}`: {reason}");
        match vector {
            Json::Array(rows) if rows.first().is_some_and(Json::is_array) => {
                let row = |row: &Json| Ok(wire::DenseVector { components: numbers(row)? });
                let vectors = rows.iter().map(row).collect::<Result<_, String>>().map_err(wrong)?;
                part.multi_vectors.insert(name.clone(), wire::MultiVector { vectors });
            }
            Json::Array(_) => {
                let components = numbers(vector).map_err(wrong)?;
                part.vectors.insert(name.clone(), wire::DenseVector { components });
            }
            Json::Object(sparse) => {
                let indices = sparse.get("indices").and_then(Json::as_array);
                let indices = indices.ok_or_else(|| wrong("`indices` are missing".to_owned()))?;
                let index = |index: &Json| index.as_u64().and_then(|index| index.try_into().ok());
                let indices = indices.iter().map(index).collect::<Option<_>>();
                let indices = indices.ok_or_else(|| wrong("an index is no number".to_owned()))?;
                let values = numbers(&vector["values"]).map_err(wrong)?;
                part.sparse_vectors.insert(name.clone(), wire::SparseVector { indices, values });
            }
            _ => return Err(wrong("expected a list of numbers, or indices and values".to_owned())),
        }
    }
    Ok(part)
}

fn numbers(list: &Json) -> Result<Vec<f32>, String> {
    let list = list.as_array().ok_or("expected a list of numbers")?;
    #[expect(clippy::cast_possible_truncation, reason = "a component is single precision")]
    let number = |number: &Json| number.as_f64().map(|number| number as f32);
    list.iter().map(number).collect::<Option<_>>().ok_or_else(|| "expected numbers".to_owned())
}

/// Reads where a part stands.
pub(super) fn span(span: &Json) -> Result<Option<wire::Span>, String> {
    if span.is_null() {
        return Ok(None);
    }
    object(span, "span")?;
    let small = |value: &Json| value.as_u64().and_then(|number| u32::try_from(number).ok());
    let area = match &span["area"] {
        Json::Null => None,
        area => Some(wire::Area {
            left: small(&area["left"]).ok_or("the area of a span has no `left`")?,
            top: small(&area["top"]).ok_or("the area of a span has no `top`")?,
            width: small(&area["width"]).ok_or("the area of a span has no `width`")?,
            height: small(&area["height"]).ok_or("the area of a span has no `height`")?,
        }),
    };
    Ok(Some(wire::Span {
        byte_start: span["byte_start"].as_u64().unwrap_or_default(),
        byte_end: span["byte_end"].as_u64().unwrap_or_default(),
        page: small(&span["page"]),
        heading: span["heading"].as_str().map(str::to_owned),
        start_ms: span["start_ms"].as_u64(),
        end_ms: span["end_ms"].as_u64(),
        area,
    }))
}

fn object<'a>(value: &'a Json, what: &str) -> Result<&'a Map<String, Json>, String> {
    value.as_object().ok_or_else(|| format!("`{what}` is no object"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_comes_back_as_it_was() {
        let dense = |components: &[f32]| wire::DenseVector { components: components.to_vec() };
        let part = wire::Part {
            text: "a \"cat\"\n".to_owned(),
            vectors: HashMap::from([("v".to_owned(), dense(&[0.1, -2.5e-8, 3.0]))]),
            sparse_vectors: HashMap::from([(
                "s".to_owned(),
                wire::SparseVector { indices: vec![3, 900], values: vec![0.5, 1.0] },
            )]),
            multi_vectors: HashMap::from([(
                "m".to_owned(),
                wire::MultiVector { vectors: vec![dense(&[1.0, 2.0]), dense(&[3.0, 4.0])] },
            )]),
            span: Some(wire::Span { byte_end: 9, page: Some(2), ..Default::default() }),
        };
        let area = Some(wire::Area { left: 1, top: 2, width: 3, height: 4 });
        let span = wire::Span { start_ms: Some(5), end_ms: Some(6), area, ..Default::default() };
        let stored = wire::StoredDocument {
            id: "a".to_owned(),
            payload: HashMap::from([("n".to_owned(), value::from_word("-3"))]),
            sequence: 7,
            parts: vec![part, wire::Part { span: Some(span), ..Default::default() }],
            expires_unix_ms: Some(1 << 50),
        };
        let text = serde_json::to_string(&document_line(&stored)).unwrap();
        let read = document(&serde_json::from_str(&text).unwrap()).unwrap();
        let Some(Content::Parts(list)) = read.content else { panic!("{text}") };
        assert_eq!((read.id, read.payload, list.parts), (stored.id, stored.payload, stored.parts));
        assert_eq!(read.expires_unix_ms, stored.expires_unix_ms);
    }

    #[test]
    fn what_is_no_document_is_told_of() {
        for (line, says) in [
            (json!({}), "`id` is missing"),
            (json!({"id": 5}), "`id` is missing, or no text"),
            (json!({"id": "a", "payload": 5}), "`payload` is no object"),
            (json!({"id": "a", "vectors": [1.0]}), "`vectors` is no object"),
            (json!({"id": "a", "vectors": {"v": ["x"]}}), "vector `v`: expected numbers"),
            (json!({"id": "a", "vectors": {"v": "x"}}), "vector `v`: expected a list"),
            (json!({"id": "a", "vectors": {"v": {"values": [1]}}}), "`indices` are missing"),
            (json!({"id": "a", "span": 3}), "`span` is no object"),
            (json!({"id": "a", "payload": {"n": u64::MAX}}), "neither a 64-bit integer"),
        ] {
            let error = document(&line).unwrap_err();
            assert!(error.contains(says), "{line}: {error}");
        }
        let text = document(&json!({"id": "a", "text": "a cat"})).unwrap();
        assert_eq!(text.content, Some(Content::Text("a cat".to_owned())));
    }

    #[test]
    fn a_heading_makes_a_collection_like_the_one_before() {
        let collection = wire::Collection {
            vectors: HashMap::from([
                (
                    "g".to_owned(),
                    wire::VectorInfo {
                        dimension: 3,
                        metric: wire::Metric::Dot.into(),
                        hnsw_m: 8,
                        hnsw_ef_construction: 50,
                        ..Default::default()
                    },
                ),
                (
                    "e".to_owned(),
                    wire::VectorInfo {
                        embedder: "m".to_owned(),
                        fingerprint: "f".to_owned(),
                        dimension: 4,
                        hnsw_m: 16,
                        hnsw_ef_construction: 200,
                        ..Default::default()
                    },
                ),
                ("s".to_owned(), wire::VectorInfo { sparse: true, ..Default::default() }),
                (
                    "t".to_owned(),
                    wire::VectorInfo {
                        multi: true,
                        dimension: 5,
                        metric: wire::Metric::Cosine.into(),
                        ..Default::default()
                    },
                ),
            ]),
            lexical: Some(wire::LexicalConfig { disabled: true }),
            chunk: Some(wire::ChunkConfig { tokens_max: Some(9), tokens_overlap: None }),
            ..Default::default()
        };
        let heading = Heading::of(&collection);
        let text = serde_json::to_string(&heading.to_json()).unwrap();
        let read = Heading::from_json(&serde_json::from_str(&text).unwrap()).unwrap().unwrap();
        assert_eq!(read, heading);
        assert_eq!(read.fingerprints, HashMap::from([("e".to_owned(), "f".to_owned())]));
        assert_eq!(Heading::from_json(&json!({"id": "a"})), Ok(None));
        assert!(Heading::from_json(&json!({ MARK: 9 })).unwrap_err().contains("format 9"));
    }
}
