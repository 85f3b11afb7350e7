//! What does it mean, as numbers?
//!
//! A [`Manifest`] describes a model; the [`Catalogue`] knows the manifests, obtains the files they
//! name, checks them and loads them. A loaded model is an [`Embedder`] that one thread owns; everyone
//! else holds an [`EmbedderHandle`], which tokenizes texts and resizes pictures on the caller's thread and
//! queues the rest. Two vectors may be compared only if the [`Fingerprint`]s of their models agree.
//!
//! A [`Recipe`] fits a model of a trainable [`Method`] on a [`Corpus`]; what comes out is a folder with a
//! manifest like any other model's.

mod cache;
mod canary;
mod catalogue;
mod clips;
mod document;
mod error;
mod fetched;
mod files;
mod fingerprint;
mod heads;
pub mod image;
mod import;
mod joint;
mod kind;
mod late;
mod manifest;
mod method;
mod modules;
mod networks;
pub mod obtain;
pub mod onnx;
mod own;
mod recipe;
mod remote;
mod shelf;
mod small;
pub mod sound;
pub mod sparse;
mod static_text;
pub mod text;
mod tokenizer;
pub mod train;
pub mod video;
mod words;
mod worker;

use std::fmt::{self, Debug};
use std::ops::Range;
use std::sync::Arc;

use self::image::{Pixels, Preprocess};
use self::sound::Hearing;
use self::video::{ClipReading, SpacetimeSettings};
use crate::vector::{Form, Metric, Vector};

pub use cache::{Cache, CacheStatistics};
pub use catalogue::{
    Catalogue, CatalogueOptions, DEFAULT_IMAGE_MODEL, DEFAULT_TEXT_MODEL, ModelState,
    STAND_IN_TEXT_MODEL,
};
pub use document::{DocumentSettings, Piece, PieceWeight};
pub use error::EmbedError;
pub use fetched::is_repository;
pub use fingerprint::{Fingerprint, FingerprintError};
pub use heads::{
    Bend, ColbertSettings, DenseSettings, Joined, Pooling, QuestionSettings, Saturation,
    SpladeSettings,
};
pub use import::AddOptions;
pub use kind::Kind;
pub use late::{LateSettings, Passage};
pub use manifest::{CanaryPicture, CanarySound, Manifest, ManifestError};
pub use method::{Method, OnnxSettings, Precision, TextSettings};
pub use networks::{Choice, LayerEmbedder, NetworkOptions};
pub use own::Note;
pub use recipe::{Corpus, Fitted, Recipe, Texts, Training};
pub use remote::{Keys, RemoteSettings};
pub use words::{Word, WordRule};
pub use worker::{Embedded, EmbedderHandle, Lane, Timings, WorkerOptions};

/// The longest text that is embedded or cut, in bytes of UTF-8.
pub const TEXT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What a text is to its model: some models are told which side of the comparison it is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// What is asked.
    Query,
    /// What is stored.
    Passage,
}

/// What a model reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Modality {
    /// Texts.
    Text,
    /// Still pictures.
    Image,
    /// Stretches of videos.
    Video,
    /// Stretches of sounds.
    Sound,
    /// A question and a passage, read together.
    Pair,
}

impl Modality {
    /// Returns the name of what is read.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Image => "image",
            Self::Video => "video",
            Self::Sound => "sound",
            Self::Pair => "pair",
        }
    }
}

impl fmt::Display for Modality {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// What a loaded model is, for those who store or compare its vectors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Specification {
    /// The name in the catalogue; an alias, where the fingerprint is the identity.
    pub name: String,
    /// The sort of model.
    pub kind: Kind,
    /// The hash of everything that shapes a vector.
    pub fingerprint: Fingerprint,
    /// What it reads, at least one; where it is both, texts and pictures are in one space.
    pub modalities: &'static [Modality],
    /// Whether its vectors are dense or sparse.
    pub form: Form,
    /// How many components a vector has; of a sparse one, how many there could be.
    pub dimension: usize,
    /// How its vectors are compared.
    pub metric: Metric,
    /// How many tokens of a text it reads, its own special tokens included; 0 if it reads none.
    pub tokens_max: usize,
    /// The licence of the weights, as an SPDX expression.
    pub licence: String,
}

impl Specification {
    /// Checks that the model reads this.
    ///
    /// # Errors
    /// [`EmbedError::NotRead`] (invalid input) naming the model and what it reads.
    pub fn require(&self, modality: Modality) -> Result<(), EmbedError> {
        if self.modalities.contains(&modality) {
            return Ok(());
        }
        let reads: Vec<&str> = self.modalities.iter().map(|reads| reads.name()).collect();
        let (name, reads) = (self.name.clone(), reads.join(" and "));
        Err(EmbedError::NotRead { name, reads, actual: modality })
    }
}

/// The shape of a feature map whose components, channel by channel and in each row by row, are a dense
/// vector's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Grid {
    /// How many values stand at each place.
    pub channels: usize,
    /// How many rows of places.
    pub rows: usize,
    /// How many places a row has.
    pub columns: usize,
}

/// A text as its model reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Token ids, special tokens included. What they stand for is between the tokenizer and its model;
    /// empty where the model knows nothing of the text.
    pub ids: Vec<u32>,
    /// Whether the text was longer than the model reads.
    pub truncated: bool,
}

/// The vector of one text or picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding {
    /// The vector, of length one if the model's metric is cosine. None where a dense model knows
    /// nothing of the text (unknown words only) or sees nothing in the picture; a sparse vector is
    /// empty then.
    pub vector: Option<Vector>,
    /// How many tokens the model read, its special tokens included; of a picture none.
    pub tokens: u32,
    /// Whether the text was longer than that.
    pub truncated: bool,
}

/// Cuts texts into the tokens of one model. Cheap to share; needs no queue and no model.
pub trait Tokenize: Send + Sync + Debug {
    /// Returns the text as the model reads it: prefixed for its role, cut to
    /// [`Specification::tokens_max`].
    ///
    /// # Errors
    /// [`EmbedError::TextTooLong`] (invalid input); [`EmbedError::Tokenize`] (internal).
    fn encode(&self, text: &str, role: Role) -> Result<Encoded, EmbedError>;

    /// Returns a question and a passage as the model reads them together, the longer one cut until both
    /// fit.
    ///
    /// # Errors
    /// [`EmbedError::Tokenize`] (internal) if the model reads no pairs, or the tokenizer fails.
    fn encode_pair(&self, _question: &str, _passage: &str) -> Result<Encoded, EmbedError> {
        Err(EmbedError::Tokenize("it knows no pairs of texts".to_owned()))
    }

    /// Returns the byte range of each token of the whole text, in order, without special tokens and
    /// without the cut at [`Specification::tokens_max`]. Takes time linear in the length of the
    /// text. Where the tokenizer fails, words stand in for tokens.
    fn token_ranges(&self, text: &str) -> Vec<Range<usize>>;

    /// Returns how many special tokens the model puts around a text.
    fn special_tokens(&self) -> usize;

    /// Returns whether a passage is read with what stands around it in its document.
    fn reads_around(&self) -> bool {
        false
    }

    /// Returns the passages of a document, in their order, as the model reads them: one that does not read
    /// around them reads each by itself.
    ///
    /// # Errors
    /// As [`Self::encode`], which also holds for all of the document together.
    fn encode_passages(&self, passages: &[Passage<'_>]) -> Result<Vec<Encoded>, EmbedError> {
        passages.iter().map(|passage| self.encode(passage.text, Role::Passage)).collect()
    }
}

/// A loaded model. One thread owns it and hands it batches.
pub trait Embedder: Send + Debug {
    /// Returns what the model is.
    fn specification(&self) -> &Specification;

    /// Returns the model's tokenizer, to be shared with the callers' threads. That of a model that reads
    /// no texts refuses them.
    fn tokenizer(&self) -> Arc<dyn Tokenize>;

    /// Returns what makes pictures ready for the model, to be shared with the callers' threads; none if
    /// it reads no pictures.
    fn preprocessor(&self) -> Option<Arc<dyn Preprocess>> {
        None
    }

    /// Returns the feature map that its vectors are, if that is what they are.
    fn grid(&self) -> Option<Grid> {
        None
    }

    /// Returns how frames become clips, if the model reads videos; its pictures come out as latents then.
    fn spacetime(&self) -> Option<Arc<SpacetimeSettings>> {
        None
    }

    /// Returns how the model looks at videos, if it reads the frames of a clip at once; its pictures come
    /// as such clips then.
    fn clip_reading(&self) -> Option<ClipReading> {
        None
    }

    /// Returns what makes sounds ready for the model, to be shared with the callers' threads, if it reads
    /// sounds; its pictures come as spectrograms then.
    fn hearing(&self) -> Option<Arc<Hearing>> {
        None
    }

    /// Returns one vector per text of the batch, in order; none for a text that the model knows
    /// nothing of. A vector does not depend on the other texts of its batch beyond rounding.
    ///
    /// # Errors
    /// [`EmbedError`] (internal) if the model fails or yields what is no vector.
    fn run(&mut self, batch: &[&Encoded]) -> Result<Vec<Option<Vector>>, EmbedError>;

    /// Returns one vector per picture of the batch, in order; none for a picture that the model sees
    /// nothing in. A vector does not depend on the other pictures of its batch beyond rounding.
    ///
    /// # Errors
    /// [`EmbedError::NotRead`] (invalid input) if the model reads no pictures; else as [`Self::run`].
    fn run_pictures(&mut self, _batch: &[&Pixels]) -> Result<Vec<Option<Vector>>, EmbedError> {
        self.specification().require(Modality::Image)?;
        let name = self.specification().name.clone();
        Err(EmbedError::Failed { name, reason: "it has no way to read pictures".to_owned() })
    }
}

impl<E: Embedder + ?Sized> Embedder for Box<E> {
    fn specification(&self) -> &Specification {
        (**self).specification()
    }

    fn tokenizer(&self) -> Arc<dyn Tokenize> {
        (**self).tokenizer()
    }

    fn preprocessor(&self) -> Option<Arc<dyn Preprocess>> {
        (**self).preprocessor()
    }

    fn grid(&self) -> Option<Grid> {
        (**self).grid()
    }

    fn spacetime(&self) -> Option<Arc<SpacetimeSettings>> {
        (**self).spacetime()
    }

    fn clip_reading(&self) -> Option<ClipReading> {
        (**self).clip_reading()
    }

    fn hearing(&self) -> Option<Arc<Hearing>> {
        (**self).hearing()
    }

    fn run(&mut self, batch: &[&Encoded]) -> Result<Vec<Option<Vector>>, EmbedError> {
        (**self).run(batch)
    }

    fn run_pictures(&mut self, batch: &[&Pixels]) -> Result<Vec<Option<Vector>>, EmbedError> {
        (**self).run_pictures(batch)
    }
}
