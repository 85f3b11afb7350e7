use serde::{Deserialize, Serialize};

use super::document::DocumentSettings;
use super::heads::{
    ColbertSettings, DenseSettings, Pooling, QuestionSettings, SpladeSettings, check_dense,
    check_words,
};
use super::image::{ImageSettings, JointSettings, NetworkSettings};
use super::late::LateSettings;
use super::sound::SoundSettings;
use super::sparse::{self, HashedSettings, TermSettings, WeightSettings};
use super::text::{self, AverageSettings, ParagraphSettings, TopicSettings, WordSettings};
use super::video::{FrameSettings, SpacetimeOutput, SpacetimeSettings};
use super::{Kind, Modality, RemoteSettings};
use crate::vector::Form;

/// How a text becomes a vector: the sort of model with its settings. In a manifest the key `kind` and
/// a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Method {
    /// See [`Kind::BertText`].
    BertText {
        /// How the tokens are read.
        text: TextSettings,
    },
    /// See [`Kind::OnnxText`].
    OnnxText {
        /// How the tokens are read.
        text: TextSettings,
        /// Which graph is run.
        onnx: OnnxSettings,
    },
    /// See [`Kind::StaticText`].
    StaticText {
        /// How the tokens are read; their vectors are always joined by their mean.
        text: TextSettings,
    },
    /// See [`Kind::Splade`].
    Splade {
        /// How the tokens are read; their vectors are not joined.
        text: TextSettings,
        /// How scores become weights.
        #[serde(default)]
        splade: SpladeSettings,
        /// What questions get from a table; none: the network reads them as it reads passages.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        questions: Option<QuestionSettings>,
        /// Which graph is run; none: the weights become one here.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        onnx: Option<OnnxSettings>,
    },
    /// See [`Kind::Colbert`].
    Colbert {
        /// How the tokens are read; their vectors are not joined, and each goes through the layers.
        text: TextSettings,
        /// How questions and passages are told apart, and which tokens count.
        colbert: ColbertSettings,
        /// Which graph is run; none: the weights become one here.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        onnx: Option<OnnxSettings>,
    },
    /// See [`Kind::CrossEncoder`].
    CrossEncoder {
        /// How the tokens are read; nothing is joined or prefixed.
        text: TextSettings,
        /// Which graph is run; none: the weights become one here.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        onnx: Option<OnnxSettings>,
    },
    /// See [`Kind::Remote`].
    Remote {
        /// Which endpoint is asked, and how.
        remote: RemoteSettings,
    },
    /// See [`Kind::OneHot`].
    OneHot {
        /// What counts as a term.
        terms: TermSettings,
    },
    /// See [`Kind::TfIdf`].
    TfIdf {
        /// What counts as a term.
        terms: TermSettings,
        /// How counts become weights.
        weights: WeightSettings,
    },
    /// See [`Kind::NGram`].
    #[serde(rename = "n-gram")]
    NGram {
        /// What counts as a term.
        terms: TermSettings,
    },
    /// See [`Kind::HashedNGram`].
    #[serde(rename = "hashed-n-gram")]
    HashedNGram {
        /// What counts as a term.
        terms: TermSettings,
        /// How terms become indices.
        hashed: HashedSettings,
    },
    /// See [`Kind::WordVectors`].
    WordVectors {
        /// What counts as a word.
        words: WordSettings,
        /// How the vectors of the words become one.
        average: AverageSettings,
    },
    /// See [`Kind::FastText`].
    #[serde(rename = "fasttext")]
    FastText {
        /// What counts as a word.
        words: WordSettings,
        /// How the vectors of the words become one.
        average: AverageSettings,
    },
    /// See [`Kind::Lda`].
    Lda {
        /// What counts as a word.
        words: WordSettings,
        /// What was assumed before the corpus was seen.
        topics: TopicSettings,
    },
    /// See [`Kind::Doc2Vec`].
    #[serde(rename = "doc2vec")]
    Doc2Vec {
        /// What counts as a word.
        words: WordSettings,
        /// How the vector of a text is found.
        paragraphs: ParagraphSettings,
    },
    /// See [`Kind::OnnxImage`].
    OnnxImage {
        /// How a picture becomes what the network reads.
        image: ImageSettings,
        /// Which graph is run, and what of it is taken.
        network: NetworkSettings,
    },
    /// See [`Kind::OnnxJoint`].
    OnnxJoint {
        /// How a picture becomes what its network reads.
        image: ImageSettings,
        /// Which graphs are run, and how texts are read.
        joint: JointSettings,
    },
    /// See [`Kind::OnnxVideo`].
    OnnxVideo {
        /// How a frame becomes what the network reads.
        image: ImageSettings,
        /// Which graph is run, and how it is fed.
        frames: FrameSettings,
    },
    /// See [`Kind::Spacetime`].
    Spacetime {
        /// Which image model looks at the frames, and how they become clips.
        spacetime: SpacetimeSettings,
    },
    /// See [`Kind::Document`].
    Document {
        /// Which model reads the pieces, and how their vectors become one.
        document: DocumentSettings,
    },
    /// See [`Kind::Late`].
    #[serde(rename = "late-chunking")]
    Late {
        /// Which model reads the documents.
        late: LateSettings,
    },
    /// See [`Kind::MelPatches`].
    MelPatches {
        /// How stretches are heard, and how they become vectors.
        sound: SoundSettings,
    },
}

/// In which numbers a network computes. Persisted by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// Single precision.
    #[default]
    Single,
    /// Products with weights in integers of eight bits, of which every 32 share a scale; so do what they
    /// are multiplied with, row by row, so that no text depends on those beside it.
    Int8,
}

impl Precision {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    fn is_single(&self) -> bool {
        *self == Self::Single
    }
}

/// How a text becomes tokens, and tokens a vector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextSettings {
    /// The most tokens the model was trained to read, special tokens included.
    pub tokens_max: usize,
    /// How the vectors of the tokens are joined.
    pub pooling: Pooling,
    /// What a question is prefixed with.
    #[serde(default)]
    pub query_prefix: String,
    /// What a passage is prefixed with.
    #[serde(default)]
    pub passage_prefix: String,
    /// Whether the vector is scaled to length one, after it was cut to the model's dimension.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub normalize: bool,
    /// Layers that the vector goes through before it is cut, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dense: Vec<DenseSettings>,
    /// In which numbers the network computes.
    #[serde(default, skip_serializing_if = "Precision::is_single")]
    pub precision: Precision,
}

/// Which graph is run, and what of it is taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnnxSettings {
    /// The name of the graph's file.
    pub file: String,
    /// The output that is taken: batch x tokens x width is pooled, batch x width is the vector.
    pub output: String,
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_yes(value: &bool) -> bool {
    *value
}

impl TextSettings {
    /// Returns the usual settings around a pooling.
    pub fn of(pooling: Pooling) -> Self {
        Self {
            tokens_max: 512,
            pooling,
            query_prefix: String::new(),
            passage_prefix: String::new(),
            normalize: true,
            dense: Vec::new(),
            precision: Precision::Single,
        }
    }

    fn check(&self) -> Result<(), String> {
        if !(8..=8192).contains(&self.tokens_max) {
            return Err(format!("tokens_max is {}, expected 8 to 8192", self.tokens_max));
        }
        check_dense(&self.dense)
    }

    /// Returns what is wrong where no network is run.
    fn check_single(&self) -> Result<(), String> {
        match self.precision {
            Precision::Single => Ok(()),
            Precision::Int8 => {
                Err("precision is int8, expected single where no network is run".into())
            }
        }
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = vec![
            ("tokens_max", self.tokens_max.to_string()),
            ("pooling", format!("{:?}", self.pooling)),
            ("query_prefix", self.query_prefix.clone()),
            ("passage_prefix", self.passage_prefix.clone()),
        ];
        if !self.normalize {
            facts.push(("normalize", "false".to_owned()));
        }
        if !self.dense.is_empty() {
            facts.push(("dense", format!("{:?}", self.dense)));
        }
        if self.precision != Precision::Single {
            facts.push(("precision", format!("{:?}", self.precision)));
        }
        facts
    }
}

impl Method {
    /// Returns the sort of model.
    pub fn kind(&self) -> Kind {
        match self {
            Self::BertText { .. } => Kind::BertText,
            Self::OnnxText { .. } => Kind::OnnxText,
            Self::StaticText { .. } => Kind::StaticText,
            Self::Splade { .. } => Kind::Splade,
            Self::Colbert { .. } => Kind::Colbert,
            Self::CrossEncoder { .. } => Kind::CrossEncoder,
            Self::Remote { .. } => Kind::Remote,
            Self::OneHot { .. } => Kind::OneHot,
            Self::TfIdf { .. } => Kind::TfIdf,
            Self::NGram { .. } => Kind::NGram,
            Self::HashedNGram { .. } => Kind::HashedNGram,
            Self::WordVectors { .. } => Kind::WordVectors,
            Self::FastText { .. } => Kind::FastText,
            Self::Lda { .. } => Kind::Lda,
            Self::Doc2Vec { .. } => Kind::Doc2Vec,
            Self::OnnxImage { .. } => Kind::OnnxImage,
            Self::OnnxJoint { .. } => Kind::OnnxJoint,
            Self::OnnxVideo { .. } => Kind::OnnxVideo,
            Self::Spacetime { .. } => Kind::Spacetime,
            Self::Document { .. } => Kind::Document,
            Self::Late { .. } => Kind::Late,
            Self::MelPatches { .. } => Kind::MelPatches,
        }
    }

    /// Returns what it reads, at least one.
    pub fn modalities(&self) -> &'static [Modality] {
        match self {
            Self::OnnxImage { .. } => &[Modality::Image],
            Self::OnnxJoint { .. } => &[Modality::Text, Modality::Image],
            Self::OnnxVideo { .. } | Self::Spacetime { .. } => &[Modality::Image, Modality::Video],
            Self::MelPatches { .. } => &[Modality::Sound],
            Self::CrossEncoder { .. } => &[Modality::Pair],
            Self::BertText { .. }
            | Self::OnnxText { .. }
            | Self::Splade { .. }
            | Self::Colbert { .. }
            | Self::StaticText { .. }
            | Self::Remote { .. }
            | Self::Document { .. }
            | Self::Late { .. }
            | Self::OneHot { .. }
            | Self::TfIdf { .. }
            | Self::NGram { .. }
            | Self::HashedNGram { .. }
            | Self::WordVectors { .. }
            | Self::FastText { .. }
            | Self::Lda { .. }
            | Self::Doc2Vec { .. } => &[Modality::Text],
        }
    }

    /// Returns whether its vectors are dense or sparse, or several to a text.
    pub fn form(&self) -> Form {
        match self {
            Self::Colbert { .. } => Form::Multi,
            Self::Spacetime { spacetime } => match spacetime.output {
                SpacetimeOutput::Clip => Form::Dense,
                SpacetimeOutput::Patches => Form::Multi,
            },
            Self::BertText { .. }
            | Self::OnnxText { .. }
            | Self::StaticText { .. }
            | Self::CrossEncoder { .. }
            | Self::Remote { .. }
            | Self::WordVectors { .. }
            | Self::FastText { .. }
            | Self::Lda { .. }
            | Self::Doc2Vec { .. }
            | Self::OnnxImage { .. }
            | Self::OnnxJoint { .. }
            | Self::OnnxVideo { .. }
            | Self::MelPatches { .. }
            | Self::Document { .. }
            | Self::Late { .. } => Form::Dense,
            Self::Splade { .. }
            | Self::OneHot { .. }
            | Self::TfIdf { .. }
            | Self::NGram { .. }
            | Self::HashedNGram { .. } => Form::Sparse,
        }
    }

    /// Returns whether it runs on ONNX Runtime.
    pub fn needs_runtime(&self) -> bool {
        match self {
            Self::BertText { .. }
            | Self::OnnxText { .. }
            | Self::Splade { .. }
            | Self::Colbert { .. }
            | Self::CrossEncoder { .. }
            | Self::Late { .. }
            | Self::OnnxImage { .. }
            | Self::OnnxJoint { .. }
            | Self::OnnxVideo { .. }
            | Self::Spacetime { .. } => true,
            // What is inside may.
            Self::Document { .. }
            | Self::StaticText { .. }
            | Self::Remote { .. }
            | Self::OneHot { .. }
            | Self::TfIdf { .. }
            | Self::NGram { .. }
            | Self::HashedNGram { .. }
            | Self::WordVectors { .. }
            | Self::FastText { .. }
            | Self::Lda { .. }
            | Self::MelPatches { .. }
            | Self::Doc2Vec { .. } => false,
        }
    }

    /// Returns how many tokens of a text it reads, its own special tokens included; 0 if it reads none.
    pub fn tokens_max(&self) -> usize {
        match self {
            Self::BertText { text }
            | Self::OnnxText { text, .. }
            | Self::StaticText { text }
            | Self::Splade { text, .. }
            | Self::Colbert { text, .. }
            | Self::CrossEncoder { text, .. } => text.tokens_max,
            Self::Remote { remote } => remote.tokens_max,
            Self::OneHot { .. }
            | Self::TfIdf { .. }
            | Self::NGram { .. }
            | Self::HashedNGram { .. } => sparse::TERMS_MAX,
            Self::WordVectors { .. }
            | Self::FastText { .. }
            | Self::Lda { .. }
            | Self::Doc2Vec { .. } => text::TOKENS_MAX,
            Self::OnnxImage { .. }
            | Self::OnnxVideo { .. }
            | Self::Spacetime { .. }
            | Self::MelPatches { .. } => 0,
            Self::OnnxJoint { joint, .. } => joint.tokens_max,
            Self::Document { document } => document.tokens_max,
            Self::Late { late } => late.tokens_max,
        }
    }

    /// Returns what is wrong with the settings, if something is.
    pub(super) fn check(&self, dimension: usize) -> Result<(), String> {
        match self {
            Self::BertText { text }
            | Self::OnnxText { text, .. }
            | Self::CrossEncoder { text, .. } => text.check(),
            Self::Splade { text, questions, .. } => {
                check_words(dimension)?;
                questions.as_ref().map_or(Ok(()), QuestionSettings::check)?;
                text.check()
            }
            Self::Colbert { text, colbert, .. } => {
                colbert.check(text.tokens_max, dimension)?;
                text.check()
            }
            Self::Remote { remote } => remote.check(),
            Self::StaticText { text } => {
                if text.pooling != Pooling::Mean {
                    return Err(format!("pooling is {:?}, expected the mean", text.pooling));
                }
                text.check_single()?;
                text.check()
            }
            Self::OneHot { terms } | Self::TfIdf { terms, .. } | Self::NGram { terms } => {
                terms.check()
            }
            Self::HashedNGram { terms, hashed } => {
                terms.check()?;
                hashed.check()
            }
            Self::WordVectors { average, .. } | Self::FastText { average, .. } => average.check(),
            Self::Lda { topics, .. } => topics.check(),
            Self::Doc2Vec { paragraphs, .. } => paragraphs.check(),
            Self::OnnxImage { image, .. } => image.check(),
            Self::OnnxJoint { image, joint } => {
                image.check()?;
                joint.check()
            }
            Self::OnnxVideo { image, frames } => {
                image.check()?;
                frames.check()
            }
            Self::Spacetime { spacetime } => spacetime.check(),
            Self::MelPatches { sound } => sound.check(dimension),
            Self::Document { document } => document.check(),
            Self::Late { late } => late.check(),
        }
    }

    /// Returns everything of the settings that shapes a vector, for the fingerprint. A transformer's
    /// facts are those of the first manifests; other methods' are their settings as they are written.
    pub(super) fn facts(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::BertText { text } => text.facts(),
            Self::Remote { remote } => remote.facts(),
            Self::OnnxText { .. }
            | Self::StaticText { .. }
            | Self::Splade { .. }
            | Self::Colbert { .. }
            | Self::CrossEncoder { .. }
            | Self::OneHot { .. }
            | Self::TfIdf { .. }
            | Self::NGram { .. }
            | Self::HashedNGram { .. }
            | Self::WordVectors { .. }
            | Self::FastText { .. }
            | Self::Lda { .. }
            | Self::Doc2Vec { .. }
            | Self::OnnxImage { .. }
            | Self::OnnxJoint { .. }
            | Self::OnnxVideo { .. }
            | Self::Spacetime { .. }
            | Self::MelPatches { .. }
            | Self::Document { .. }
            | Self::Late { .. } => {
                vec![("settings", toml::to_string(self).expect("settings are plain tables"))]
            }
        }
    }
}
