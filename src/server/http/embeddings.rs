//! Embeddings as OpenAI's API gives them.

use axum::Json;
use axum::extract::{FromRequest as _, Request, State};
use axum::http::{HeaderMap, header};
use base64::Engine as _;
use serde::Deserialize;
use serde_json::json;
use tonic::Status;
use tonic::metadata::MetadataMap;

use super::super::core::Shared;
use super::super::guard::require;
use super::super::qdrant::catalogue_name;
use super::super::status;
use super::{Face, Refused};
use crate::access::Scope;
use crate::cancel::Cancellation;
use crate::collection::Embedders as _;
use crate::embed::{Lane, Role};
use crate::vector::Vector;

/// The most texts of one request.
const TEXTS_MAX: usize = 2_048;
/// Up to this many texts somebody is taken to wait.
const QUERY_TEXTS_MAX: usize = 16;

/// What is asked for. A field that is not known is refused, save `user`, which changes nothing.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EmbeddingsRequest {
    input: Input,
    model: String,
    #[serde(default)]
    encoding_format: Encoding,
    #[serde(default)]
    dimensions: Option<usize>,
    #[serde(default, rename = "user")]
    _user: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Input {
    One(String),
    Several(Vec<String>),
    /// Whose tokens they are, only the client knows.
    Tokens(#[expect(dead_code, reason = "told from texts, and refused")] Vec<u32>),
    SeveralTokens(#[expect(dead_code, reason = "told from texts, and refused")] Vec<Vec<u32>>),
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Encoding {
    #[default]
    Float,
    Base64,
}

/// Embeds texts.
pub(super) async fn embed(
    State(face): State<Face>,
    request: Request,
) -> Result<Json<serde_json::Value>, Refused> {
    let grant = face.guard.grant(request.headers())?;
    require(&grant, Scope::Read, "/v1/embeddings")?;
    let most = face.core.options.message_bytes_max as u64;
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    // Without a length it may be as long as may be.
    let _held = face.guard.take_bytes(&grant, length.unwrap_or(most).min(most))?;
    let Json(request) = Json::<EmbeddingsRequest>::from_request(request, &face)
        .await
        .map_err(|rejection| Status::invalid_argument(rejection.body_text()))?;
    let texts = texts(request.input)?;
    let (model, format, dimensions) = (request.model, request.encoding_format, request.dimensions);
    let work = move |shared: &Shared, cancel: &Cancellation| {
        let name = catalogue_name(shared, &model);
        let embedder = shared.models.get(&name).map_err(|error| status::of(&error))?;
        let given: Vec<&str> = texts.iter().map(String::as_str).collect();
        let lane = if given.len() <= QUERY_TEXTS_MAX { Lane::Query } else { Lane::Bulk };
        let embedded = embedder.embed(&given, Role::Passage, lane, cancel);
        let embedded = embedded.map_err(|error| status::of(&error))?;
        let mut tokens = 0_u64;
        let mut data = Vec::with_capacity(given.len());
        for (index, embedding) in embedded.embeddings.into_iter().enumerate() {
            tokens += u64::from(embedding.tokens);
            let vector = match embedding.vector {
                Some(Vector::Dense(dense)) => shortened(dense.into_vec(), dimensions)?,
                Some(Vector::Sparse(_) | Vector::Multi(_)) => {
                    let message =
                        format!("model `{name}` gives no dense vectors, which are expected");
                    return Err(Status::invalid_argument(message));
                }
                None => {
                    let message = format!("model `{name}` knows no word of input {index}");
                    return Err(Status::invalid_argument(message));
                }
            };
            let embedding = encoded(&vector, format);
            data.push(json!({ "object": "embedding", "index": index, "embedding": embedding }));
        }
        let usage = json!({ "prompt_tokens": tokens, "total_tokens": tokens });
        Ok(json!({ "object": "list", "data": data, "model": name, "usage": usage }))
    };
    Ok(Json(face.core.answer_with_models(&MetadataMap::new(), work).await?))
}

/// Lists the models that can be named.
pub(super) async fn models(
    State(face): State<Face>,
    headers: HeaderMap,
) -> Result<Json<serde_json::Value>, Refused> {
    let grant = face.guard.grant(&headers)?;
    require(&grant, Scope::Read, "/v1/models")?;
    let unasked = MetadataMap::new();
    let list = face.core.answer(&unasked, |shared, _| {
        let models = shared.models.catalogue().list().into_iter().map(|model| {
            let id = model.manifest.name;
            json!({ "id": id, "object": "model", "created": 0, "owned_by": "simile" })
        });
        Ok(json!({ "object": "list", "data": models.collect::<Vec<_>>() }))
    });
    Ok(Json(list.await?))
}

fn texts(input: Input) -> Result<Vec<String>, Status> {
    let texts = match input {
        Input::One(text) => vec![text],
        Input::Several(texts) => texts,
        Input::Tokens(_) | Input::SeveralTokens(_) => {
            return Err(Status::invalid_argument("`input` is given as texts, not as tokens"));
        }
    };
    if texts.is_empty() || texts.len() > TEXTS_MAX {
        let message = format!("`input`: expected 1 to {TEXTS_MAX} texts, got {}", texts.len());
        return Err(Status::invalid_argument(message));
    }
    Ok(texts)
}

/// Returns the first components, brought to length one again, as clients that ask for fewer expect.
fn shortened(mut vector: Vec<f32>, dimensions: Option<usize>) -> Result<Vec<f32>, Status> {
    let Some(dimensions) = dimensions else { return Ok(vector) };
    if dimensions == 0 || dimensions > vector.len() {
        let most = vector.len();
        let message = format!("`dimensions` is {dimensions}, expected 1 to {most}");
        return Err(Status::invalid_argument(message));
    }
    if dimensions < vector.len() {
        vector.truncate(dimensions);
        let norm = vector.iter().map(|component| component * component).sum::<f32>().sqrt();
        if norm > 0.0 {
            vector.iter_mut().for_each(|component| *component /= norm);
        }
    }
    Ok(vector)
}

fn encoded(vector: &[f32], format: Encoding) -> serde_json::Value {
    match format {
        Encoding::Float => json!(vector),
        Encoding::Base64 => {
            let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
            json!(base64::engine::general_purpose::STANDARD.encode(bytes))
        }
    }
}
