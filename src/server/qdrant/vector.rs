use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use simile_proto::qdrant::value::Kind;
use simile_proto::qdrant::vector::Vector as WireVector;
use simile_proto::qdrant::vectors::VectorsOptions;
use simile_proto::qdrant::{self as wire, vector_output, vectors_output};
use tonic::Status;

use super::super::core::Shared;
use super::super::status;
use super::super::translate::{WireError, at_most};
use super::value::unsupported;
use crate::cancel::Cancellation;
use crate::collection::{Embedders as _, Settings};
use crate::decode::video::container;
use crate::decode::{decode_frames, decode_picture};
use crate::embed::{EmbedderHandle, Lane, Modality, Role};
use crate::error::{Classified as _, ErrorKind};
use crate::ingest::excerpt;
use crate::query::average;
use crate::vector::{DenseVector, MultiVector, SparseVector, Vector, VectorError};

/// The vector of a collection that the protocol knows without a name.
pub(super) const UNNAMED: &str = "default";
/// Up to so many texts, or pictures, of one request somebody is taken to wait for.
const QUERY_TEXTS_MAX: usize = 16;
/// The most pictures of one request, and the most videos.
const PICTURES_MAX: usize = 256;
const VIDEOS_MAX: usize = 8;

/// A vector that is given, or a text, a picture or a video, as the bytes of its file, to be embedded.
#[derive(Debug, Clone)]
pub(super) enum Input {
    Given(Vector),
    Text { text: String, model: String },
    Picture { picture: Arc<[u8]>, model: String },
    Video { video: Arc<[u8]>, model: String },
}

impl Input {
    /// Returns the model that is to embed it; an empty name leaves the choice to the server.
    pub(super) fn model(&self) -> Option<&str> {
        match self {
            Self::Given(_) => None,
            Self::Text { model, .. } | Self::Picture { model, .. } | Self::Video { model, .. } => {
                Some(model)
            }
        }
    }
}

/// The texts, pictures and videos of a request by model, to be embedded together.
#[derive(Debug, Default)]
pub(super) struct Unembedded {
    texts: BTreeMap<String, BTreeSet<String>>,
    pictures: BTreeMap<String, BTreeSet<Arc<[u8]>>>,
    videos: BTreeMap<String, BTreeSet<Arc<[u8]>>>,
}

/// What was embedded, and how many tokens each model read.
#[derive(Debug, Default)]
pub(super) struct Embeddings {
    texts: BTreeMap<(String, String), Vector>,
    pictures: BTreeMap<(String, Arc<[u8]>), Vector>,
    videos: BTreeMap<(String, Arc<[u8]>), Vector>,
    tokens: BTreeMap<String, u64>,
}

/// Returns the name under which a vector is stored.
pub(super) fn stored_name(name: &str) -> &str {
    if name.is_empty() { UNNAMED } else { name }
}

/// Returns the vectors of a point by the names under which they are stored.
pub(super) fn inputs(given: Option<wire::Vectors>) -> Result<BTreeMap<String, Input>, WireError> {
    match given.and_then(|given| given.vectors_options) {
        Some(VectorsOptions::Vector(vector)) => {
            Ok(BTreeMap::from([(UNNAMED.to_owned(), input(UNNAMED, vector)?)]))
        }
        Some(VectorsOptions::Vectors(named)) => {
            let one = |(name, vector): (String, wire::Vector)| {
                let name = stored_name(&name).to_owned();
                let input = input(&name, vector)?;
                Ok((name, input))
            };
            named.vectors.into_iter().map(one).collect()
        }
        None => Ok(BTreeMap::new()),
    }
}

fn input(name: &str, given: wire::Vector) -> Result<Input, WireError> {
    let is_flat = given.vectors_count.is_some_and(|count| count > 1);
    unsupported(is_flat, "`vectors_count`, in place of `multi_dense`,")?;
    match given.vector {
        Some(WireVector::Dense(dense)) => dense_input(name, dense),
        Some(WireVector::Sparse(sparse)) => sparse_input(name, sparse.indices, sparse.values),
        Some(WireVector::MultiDense(multi)) => multi_input(name, multi),
        Some(WireVector::Document(given)) => document(given),
        Some(WireVector::Image(given)) => image(given),
        Some(WireVector::Object(given)) => object(given),
        // As older clients write it.
        None => match given.indices {
            Some(indices) => sparse_input(name, indices.data, given.data),
            None => dense_input(name, wire::DenseVector { data: given.data }),
        },
    }
}

/// Returns a vector that consists of several, checked.
pub(super) fn multi_input(name: &str, given: wire::MultiDenseVector) -> Result<Input, WireError> {
    let rows = given.vectors.into_iter().map(|row| row.data).collect();
    let vector = MultiVector::from_rows(rows);
    Ok(Input::Given(vector.map_err(|source| wrong(name, source))?.into()))
}

/// Returns a dense vector, checked.
pub(super) fn dense_input(name: &str, given: wire::DenseVector) -> Result<Input, WireError> {
    let vector = DenseVector::new(given.data);
    Ok(Input::Given(vector.map_err(|source| wrong(name, source))?.into()))
}

/// Returns a sparse vector, checked.
pub(super) fn sparse_input(
    name: &str,
    indices: Vec<u32>,
    values: Vec<f32>,
) -> Result<Input, WireError> {
    let vector = SparseVector::new(indices, values);
    Ok(Input::Given(vector.map_err(|source| wrong(name, source))?.into()))
}

fn wrong(name: &str, source: VectorError) -> WireError {
    WireError::Vector { name: name.to_owned(), source }
}

/// Returns a text to be embedded.
pub(super) fn document(given: wire::Document) -> Result<Input, WireError> {
    unsupported(!given.options.is_empty(), "`options` of a Document")?;
    Ok(Input::Text { text: given.text, model: given.model })
}

/// Returns a picture to be embedded.
pub(super) fn image(given: wire::Image) -> Result<Input, WireError> {
    unsupported(!given.options.is_empty(), "`options` of an Image")?;
    match given.image.and_then(|value| value.kind) {
        Some(Kind::StringValue(text)) => {
            Ok(Input::Picture { picture: file("a picture", &text)?, model: given.model })
        }
        _ => Err(WireError::Missing("the picture of an Image, as base64,")),
    }
}

/// Returns what an object asks to be embedded: its field `text`, `image` or `video`.
pub(super) fn object(given: wire::InferenceObject) -> Result<Input, WireError> {
    unsupported(!given.options.is_empty(), "`options` of an InferenceObject")?;
    let (kind, model) = (given.object.and_then(|value| value.kind), given.model);
    let field = match kind {
        Some(Kind::StringValue(text)) => return Ok(Input::Text { text, model }),
        Some(Kind::StructValue(fields)) if fields.fields.len() == 1 => {
            fields.fields.into_iter().next().map(|(name, value)| (name, value.kind))
        }
        _ => None,
    };
    match field {
        Some((name, Some(Kind::StringValue(text)))) if name == "text" => {
            Ok(Input::Text { text, model })
        }
        Some((name, Some(Kind::StringValue(text)))) if name == "image" => {
            Ok(Input::Picture { picture: file("a picture", &text)?, model })
        }
        Some((name, Some(Kind::StringValue(text)))) if name == "video" => {
            Ok(Input::Video { video: file("a video", &text)?, model })
        }
        _ => {
            let what = "an InferenceObject other than a text, {\"text\": ..}, {\"image\": ..} or \
                        {\"video\": ..}";
            Err(WireError::Unsupported(what.to_owned()))
        }
    }
}

/// Reads a picture or a video as clients write it: base64, alone or as a data URL. Nothing is fetched
/// because a request says so.
fn file(what: &'static str, text: &str) -> Result<Arc<[u8]>, WireError> {
    let data = match text.split_once(':') {
        Some(("data", rest)) => rest.split_once(";base64,").map(|(_, data)| data),
        Some((scheme, _)) => {
            return Err(WireError::FileAddress { what, scheme: scheme.chars().take(16).collect() });
        }
        None => Some(text),
    };
    let data = data.ok_or(WireError::NoBase64(what))?.trim_end();
    let bytes = STANDARD.decode(data).or_else(|_| URL_SAFE.decode(data));
    Ok(bytes.map_err(|_| WireError::NoBase64(what))?.into())
}

/// Returns the embedder of this name. Clients write a model as its publisher does, with the
/// publisher before it; the catalogue has its last part in lower case.
fn embedder(shared: &Shared, model: &str) -> Result<EmbedderHandle, Status> {
    shared.models.get(&catalogue_name(shared, model)).map_err(|error| status::of(&error))
}

/// Returns how the catalogue calls a model.
pub(in crate::server) fn catalogue_name(shared: &Shared, model: &str) -> String {
    if model.is_empty() || shared.models.catalogue().manifest(model).is_ok() {
        return shared.models.name_or_default(model).to_owned();
    }
    let last = model.rsplit('/').next().unwrap_or(model).to_lowercase();
    match shared.models.catalogue().manifest(&last) {
        Ok(_) => last,
        Err(_) => model.to_owned(),
    }
}

impl Unembedded {
    /// Notes the texts, pictures and videos of inputs, but those that the collection embeds itself.
    pub(super) fn note(&mut self, inputs: &BTreeMap<String, Input>, settings: &Settings) {
        for (name, input) in inputs {
            if settings.embedder(name).is_some() {
                continue;
            }
            match input {
                Input::Given(_) => {}
                Input::Text { text, model } => {
                    self.texts.entry(model.clone()).or_default().insert(text.clone());
                }
                Input::Picture { picture, model } => {
                    let pictures = self.pictures.entry(model.clone()).or_default();
                    pictures.insert(Arc::clone(picture));
                }
                Input::Video { video, model } => {
                    self.videos.entry(model.clone()).or_default().insert(Arc::clone(video));
                }
            }
        }
    }

    /// Embeds them, the texts of a model together.
    pub(super) fn embed(
        self,
        shared: &Shared,
        role: Role,
        cancel: &Cancellation,
    ) -> Result<Embeddings, Status> {
        let mut embedded = Embeddings::default();
        // Before anything is computed, so that a model that is not there costs nothing.
        for model in self.texts.keys() {
            embedder(shared, model)?;
        }
        let pictures: usize = self.pictures.values().map(BTreeSet::len).sum();
        at_most("pictures", pictures, PICTURES_MAX)?;
        for model in self.pictures.keys() {
            let specification = embedder(shared, model)?;
            let specification = specification.specification();
            specification.require(Modality::Image).map_err(|error| status::of(&error))?;
        }
        let videos: usize = self.videos.values().map(BTreeSet::len).sum();
        at_most("videos", videos, VIDEOS_MAX)?;
        for model in self.videos.keys() {
            let embedder = embedder(shared, model)?;
            let specification = embedder.specification();
            // What sees pictures sees those of a video.
            if !specification.modalities.contains(&Modality::Image) {
                specification.require(Modality::Video).map_err(|error| status::of(&error))?;
            }
        }
        for (model, texts) in self.texts {
            let embedder = embedder(shared, &model)?;
            let lane = if texts.len() <= QUERY_TEXTS_MAX { Lane::Query } else { Lane::Bulk };
            let given: Vec<&str> = texts.iter().map(String::as_str).collect();
            let found = embedder.embed(&given, role, lane, cancel);
            let found = found.map_err(|error| status::of(&error))?;
            for (text, embedding) in texts.iter().zip(found.embeddings) {
                let vector = embedding.vector.ok_or_else(|| {
                    let message = format!("model `{model}` knows no word of one of the texts");
                    Status::invalid_argument(message)
                })?;
                embedded.texts.insert((model.clone(), text.clone()), vector);
                *embedded.tokens.entry(model.clone()).or_default() += u64::from(embedding.tokens);
            }
        }
        let lane = if pictures <= QUERY_TEXTS_MAX { Lane::Query } else { Lane::Bulk };
        for (model, files) in self.pictures {
            let embedder = embedder(shared, &model)?;
            for file in files {
                // One at a time, so that no more than one lies unpacked.
                let vector = seen(&embedder, &file, shared, lane, cancel)?;
                embedded.pictures.insert((model.clone(), file), vector);
            }
        }
        for (model, files) in self.videos {
            let embedder = embedder(shared, &model)?;
            for file in files {
                let vector = watched(&embedder, &file, shared, cancel)?;
                embedded.videos.insert((model.clone(), file), vector);
            }
        }
        Ok(embedded)
    }
}

fn seen(
    embedder: &EmbedderHandle,
    file: &[u8],
    shared: &Shared,
    lane: Lane,
    cancel: &Cancellation,
) -> Result<Vector, Status> {
    let picture = decode_picture(file, &shared.limits)
        .map_err(|error| status::from_kind(error.kind(), format!("a picture: {error}")))?;
    let found = embedder.embed_pictures(&[Arc::new(picture)], lane, cancel);
    let found = found.map_err(|error| status::of(&error))?.embeddings.into_iter().next();
    let name = &embedder.specification().name;
    found
        .and_then(|embedding| embedding.vector)
        .ok_or_else(|| Status::internal(format!("model {name} made no vector of a picture")))
}

/// Returns the mean of what a model sees in the stretches of a video, of which as many are looked at as of
/// an excerpt that is to be found.
fn watched(
    embedder: &EmbedderHandle,
    file: &[u8],
    shared: &Shared,
    cancel: &Cancellation,
) -> Result<Vector, Status> {
    let wrong = |kind, message: String| status::from_kind(kind, format!("a video: {message}"));
    let container = container(file)
        .ok_or_else(|| wrong(ErrorKind::InvalidInput, "the bytes are of none".to_owned()))?;
    let frames = decode_frames(file, container, &shared.limits, cancel)
        .map_err(|error| wrong(error.kind(), error.to_string()))?;
    let seen =
        excerpt(frames, embedder, cancel).map_err(|error| wrong(error.kind, error.message))?;
    let stretches: Vec<(Vector, f32)> =
        seen.stretches.into_iter().map(|stretch| (stretch.vector, 1.0)).collect();
    average(&stretches, &[]).map_err(|error| wrong(error.kind(), error.to_string()))
}

impl Embeddings {
    /// Returns the vector of an input; none of what was not embedded.
    pub(super) fn vector(&self, input: Input) -> Option<Vector> {
        match input {
            Input::Given(vector) => Some(vector),
            Input::Text { text, model } => self.texts.get(&(model, text)).cloned(),
            Input::Picture { picture, model } => self.pictures.get(&(model, picture)).cloned(),
            Input::Video { video, model } => self.videos.get(&(model, video)).cloned(),
        }
    }

    /// Returns what was read for them, as it travels.
    pub(super) fn usage(self) -> Option<wire::Usage> {
        if self.tokens.is_empty() {
            return None;
        }
        let one = |(model, tokens)| (model, wire::ModelUsage { tokens });
        let models = self.tokens.into_iter().map(one).collect();
        Some(wire::Usage { hardware: None, inference: Some(wire::InferenceUsage { models }) })
    }
}

/// Which vectors are answered.
#[derive(Debug, Clone)]
pub(super) enum Names {
    All,
    None,
    Only(Vec<String>),
}

impl Names {
    /// Returns what a selector means; none where there is none.
    pub(super) fn of(selector: Option<wire::WithVectorsSelector>) -> Self {
        use simile_proto::qdrant::with_vectors_selector::SelectorOptions;
        match selector.and_then(|selector| selector.selector_options) {
            Some(SelectorOptions::Enable(true)) => Self::All,
            Some(SelectorOptions::Include(names)) => {
                let stored = |name: String| stored_name(&name).to_owned();
                Self::Only(names.names.into_iter().map(stored).collect())
            }
            Some(SelectorOptions::Enable(false)) | None => Self::None,
        }
    }

    /// Returns whether none are answered.
    pub(super) fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// Returns the vectors that are answered, as they travel. One that is stored as the unnamed one and
    /// is the only one travels without a name.
    pub(super) fn select(
        &self,
        mut vectors: BTreeMap<String, Vector>,
    ) -> Option<wire::VectorsOutput> {
        match self {
            Self::None => return None,
            Self::All => {}
            Self::Only(names) => vectors.retain(|name, _| names.contains(name)),
        }
        let is_unnamed = vectors.len() == 1;
        let options = match vectors.remove(UNNAMED) {
            Some(only) if is_unnamed => vectors_output::VectorsOptions::Vector(output(only)),
            unnamed => {
                let unnamed = unnamed.map(|vector| (String::new(), vector));
                let all = vectors.into_iter().chain(unnamed);
                let vectors = all.map(|(name, vector)| (name, output(vector))).collect();
                vectors_output::VectorsOptions::Vectors(wire::NamedVectorsOutput { vectors })
            }
        };
        Some(wire::VectorsOutput { vectors_options: Some(options) })
    }
}

fn output(vector: Vector) -> wire::VectorOutput {
    let vector = match vector {
        Vector::Dense(dense) => {
            vector_output::Vector::Dense(wire::DenseVector { data: dense.into_vec() })
        }
        Vector::Sparse(sparse) => {
            let (values, indices) = (sparse.values().to_vec(), sparse.indices().to_vec());
            vector_output::Vector::Sparse(wire::SparseVector { values, indices })
        }
        Vector::Multi(multi) => {
            let rows = multi.rows().map(|row| wire::DenseVector { data: row.to_vec() });
            vector_output::Vector::MultiDense(wire::MultiDenseVector { vectors: rows.collect() })
        }
    };
    wire::VectorOutput { vector: Some(vector), ..wire::VectorOutput::default() }
}
