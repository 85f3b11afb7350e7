use std::sync::Arc;

use simile_proto::v1::embedding_server::Embedding;
use simile_proto::v1::{self as wire};
use tonic::{Request, Response, Status};

use super::super::core::{Core, Shared};
use super::super::status;
use super::super::translate::{WireError, at_most, multi_to_wire, stage};
use super::train::train;
use crate::cancel::Cancellation;
use crate::collection::Embedders as _;
use crate::decode::{Limits, decode_picture};
use crate::embed::{Embedded, EmbedderHandle, Lane, Modality, ModelState, Role, Timings};
use crate::error::Classified as _;
use crate::vector::{Form, Vector};

/// The most texts of one request.
const TEXTS_MAX: usize = 1_024;
/// The most pictures of one request.
const IMAGES_MAX: usize = 64;
/// Up to this many texts or pictures somebody is taken to wait; more give way to those who ask.
const QUERY_TEXTS_MAX: usize = 16;

/// Texts and pictures to vectors.
#[derive(Debug)]
pub(in crate::server) struct EmbeddingService(pub(in crate::server) Core);

#[tonic::async_trait]
impl Embedding for EmbeddingService {
    async fn embed(
        &self,
        request: Request<wire::EmbedRequest>,
    ) -> Result<Response<wire::EmbedResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        at_most("texts", message.texts.len(), TEXTS_MAX)?;
        at_most("images", message.images.len(), IMAGES_MAX)?;
        let role = role(message.role)?;
        let embed = move |shared: &Shared, cancel: &Cancellation| {
            let embedder = shared.models.get(&message.model).map_err(|error| status::of(&error))?;
            let texts: Vec<&str> = message.texts.iter().map(String::as_str).collect();
            let count = texts.len() + message.images.len();
            let lane = if count <= QUERY_TEXTS_MAX { Lane::Query } else { Lane::Bulk };
            let mut embedded = Embedded { embeddings: Vec::new(), timings: Timings::default() };
            if !texts.is_empty() || message.images.is_empty() {
                let of_texts = embedder.embed(&texts, role, lane, cancel);
                embedded = of_texts.map_err(|error| status::of(&error))?;
            }
            for (number, image) in message.images.iter().enumerate() {
                // One at a time, so that no more than one lies unpacked.
                let seen = see(&embedder, number, image, &shared.limits, lane, cancel)?;
                embedded.embeddings.extend(seen.embeddings);
                let timings = &mut embedded.timings;
                timings.tokenize += seen.timings.tokenize;
                timings.queued += seen.timings.queued;
                timings.run += seen.timings.run;
            }
            let fingerprint = embedder.specification().fingerprint.to_string();
            Ok(to_wire(embedded, fingerprint))
        };
        Ok(Response::new(self.0.answer_with_models(&metadata, embed).await?))
    }

    async fn list_models(
        &self,
        request: Request<wire::ListModelsRequest>,
    ) -> Result<Response<wire::ListModelsResponse>, Status> {
        let list = self.0.answer(request.metadata(), |shared, _| {
            let models = shared.models.catalogue().list().into_iter().map(model_to_wire).collect();
            Ok(wire::ListModelsResponse { models })
        });
        Ok(Response::new(list.await?))
    }

    async fn train(
        &self,
        request: Request<wire::TrainRequest>,
    ) -> Result<Response<wire::Job>, Status> {
        train(&self.0, request).await
    }
}

/// Embeds one picture of a request.
fn see(
    embedder: &EmbedderHandle,
    number: usize,
    image: &[u8],
    limits: &Limits,
    lane: Lane,
    cancel: &Cancellation,
) -> Result<Embedded, Status> {
    // Refused before the work of decoding.
    embedder.specification().require(Modality::Image).map_err(|error| status::of(&error))?;
    let picture = decode_picture(image, limits).map_err(|error| {
        let kind = error.kind();
        status::from_kind(kind, format!("image {number}: {error}"))
    })?;
    let embedded = embedder.embed_pictures(&[Arc::new(picture)], lane, cancel);
    embedded.map_err(|error| status::of(&error))
}

fn role(number: i32) -> Result<Role, WireError> {
    match wire::Role::try_from(number) {
        Ok(wire::Role::Unspecified | wire::Role::Passage) => Ok(Role::Passage),
        Ok(wire::Role::Query) => Ok(Role::Query),
        Err(_) => Err(WireError::UnknownChoice { what: "role", actual: number }),
    }
}

fn to_wire(embedded: Embedded, fingerprint: String) -> wire::EmbedResponse {
    let timings = vec![
        stage("tokenize", embedded.timings.tokenize),
        stage("queue", embedded.timings.queued),
        stage("run", embedded.timings.run),
    ];
    let embeddings = embedded.embeddings.into_iter().map(|embedding| {
        let (tokens, truncated) = (embedding.tokens, embedding.truncated);
        let mut given = wire::TextEmbedding { tokens, truncated, ..Default::default() };
        match embedding.vector {
            Some(Vector::Dense(dense)) => {
                given.vector = Some(wire::DenseVector { components: dense.into_vec() });
            }
            Some(Vector::Sparse(sparse)) => {
                let (indices, values) = (sparse.indices().to_vec(), sparse.values().to_vec());
                given.sparse = Some(wire::SparseVector { indices, values });
            }
            Some(Vector::Multi(vector)) => given.multi = Some(multi_to_wire(&vector)),
            None => {}
        }
        given
    });
    wire::EmbedResponse { embeddings: embeddings.collect(), fingerprint, timings }
}

fn model_to_wire(model: ModelState) -> wire::Model {
    let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let fingerprint =
        if model.is_installed { model.manifest.fingerprint().to_string() } else { String::new() };
    wire::Model {
        kind: model.manifest.method.kind().name().to_owned(),
        dimension: small(model.manifest.dimension),
        tokens_max: small(model.manifest.method.tokens_max()),
        is_sparse: model.manifest.method.form() == Form::Sparse,
        bytes: model.manifest.bytes(),
        licence: model.manifest.licence,
        fingerprint,
        is_installed: model.is_installed,
        is_loaded: model.is_loaded,
        description: model.manifest.description,
        languages: model.manifest.languages,
        measured: model.manifest.measured.into_iter().collect(),
        name: model.manifest.name,
    }
}
