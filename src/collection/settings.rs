use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::about::About;
use super::error::Error;
use super::files;
use crate::index::dense::{DenseOptions, Quantisation};
use crate::query::{Reads, Shape, SparseShape, VectorShape};
use crate::vector::{DIMENSION_MAX, Form, Metric};

/// The most named vectors of a collection.
pub const VECTORS_MAX: usize = 16;
/// The longest name of a collection or of a vector, in bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// The name of the vector that a collection has where none was asked for.
pub const VECTOR_NAME_DEFAULT: &str = "text";
/// The format of the settings file that this build writes.
const FORMAT: u32 = 1;
/// The most passage tokens that a collection may ask for.
const CHUNK_TOKENS_MAX: usize = 8_192;

/// What a new collection is to be like.
#[derive(Debug, Clone, PartialEq)]
pub struct NewCollection {
    /// The named vectors of every part. May be empty if words are indexed.
    pub vectors: BTreeMap<String, NewVector>,
    /// Whether texts are indexed by words. Payload conditions work either way.
    pub has_words: bool,
    /// How texts are cut.
    pub chunk: ChunkSettings,
    /// What else is said of it.
    pub about: About,
}

/// What a named vector of a new collection is to be like.
#[derive(Debug, Clone, PartialEq)]
pub struct NewVector {
    /// Where the vectors come from.
    pub source: NewVectorSource,
    /// How two are compared; none: as the embedder says, or by cosine.
    pub metric: Option<Metric>,
    /// Links of a graph node, 2 to 128; none: the index decides.
    pub links_max: Option<usize>,
    /// The breadth of the search while building, 8 to 4096; none: the index decides.
    pub ef_construction: Option<usize>,
    /// What the graph is searched on; none: the index decides.
    pub quantisation: Option<Quantisation>,
}

/// Where the vectors of a new collection come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewVectorSource {
    /// Texts are embedded by the embedder of this name.
    Embedder(String),
    /// They are given, with this many components.
    Given(usize),
    /// They are given, and sparse.
    GivenSparse,
    /// They are given, several to a part, with this many components each.
    GivenMulti(usize),
}

/// How texts are cut into passages, in tokens of the embedder in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ChunkSettings {
    /// The most tokens of a passage; none: what the embedder reads at most.
    pub tokens_max: Option<usize>,
    /// The tokens that a passage repeats of the one before; none: an eighth of `tokens_max`.
    pub tokens_overlap: Option<usize>,
}

/// What a collection is like. Persisted as JSON; fields may be added.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// The named dense vectors of every part.
    pub vectors: BTreeMap<String, VectorSettings>,
    /// The named sparse vectors of every part.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sparse: BTreeMap<String, SparseSettings>,
    /// The named multivectors of every part.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub multi: BTreeMap<String, MultiSettings>,
    /// Whether texts are indexed by words.
    pub has_words: bool,
    /// How texts are cut.
    pub chunk: ChunkSettings,
    /// What else is said of it.
    #[serde(default, skip_serializing_if = "About::is_empty")]
    pub about: About,
    /// Vectors that parts stored before them may lack, until their embedder has made them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub filling: BTreeSet<String>,
    /// Numbers of vectors that were dropped, whose rows are still there.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) dropped: BTreeSet<u16>,
    /// The lowest number that was never given, once a vector was dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) numbers_end: Option<u16>,
}

/// What a named vector is like. Persisted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VectorSettings {
    /// Names the vector in the tables.
    pub number: u16,
    /// The embedder that the vectors come from; none: they are given.
    pub embedder: Option<EmbedderBinding>,
    /// How many components.
    pub dimension: usize,
    /// How two are compared.
    pub metric: Metric,
    /// Links of a graph node.
    pub links_max: usize,
    /// The breadth of the search while building.
    pub ef_construction: usize,
    /// What the graph is searched on.
    pub quantisation: Quantisation,
    /// The breadth of searches that say none; none: the usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ef: Option<usize>,
    /// Whether it was added to a collection that was there: its index has a folder of its own name
    /// and number, since a dropped vector may have had the same name.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_added: bool,
    /// The folder of its index, where it took the name of another vector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) folder: Option<String>,
}

/// What a named sparse vector is like; two are compared by inner product. Persisted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SparseSettings {
    /// Names the vector in the tables; no dense vector of the collection has the same number.
    pub number: u16,
    /// The embedder that the vectors come from; none: they are given.
    pub embedder: Option<EmbedderBinding>,
}

/// What a named multivector is like; two are compared by `MaxSim`. Persisted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MultiSettings {
    /// Names the vector in the tables; no other vector of the collection has the same number.
    pub number: u16,
    /// The embedder that the vectors come from; none: they are given.
    pub embedder: Option<EmbedderBinding>,
    /// How many components each of the vectors has.
    pub dimension: usize,
    /// How two of the vectors are compared: cosine or dot.
    pub metric: Metric,
}

/// Which embedder made the vectors of a collection; another one's would not be comparable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmbedderBinding {
    /// Its name in the catalogue.
    pub name: String,
    /// What identifies model, files and settings.
    pub fingerprint: String,
    /// What it reads; collections of before there were pictures hold texts.
    #[serde(default = "texts", skip_serializing_if = "is_texts")]
    pub reads: Reads,
}

fn texts() -> Reads {
    Reads { texts: true, ..Reads::default() }
}

fn is_texts(reads: &Reads) -> bool {
    *reads == texts()
}

/// What has to be known of an embedder to bind a collection to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EmbedderFacts {
    /// What identifies model, files and settings.
    pub fingerprint: String,
    /// What it reads.
    pub reads: Reads,
    /// Which form its vectors have.
    pub form: Form,
    /// How many components its vectors have.
    pub dimension: usize,
    /// How two are compared.
    pub metric: Metric,
}

#[derive(Serialize, Deserialize)]
struct SettingsFile {
    format: u32,
    /// The BLAKE3 hash of the settings as compact JSON.
    checksum: String,
    settings: Settings,
}

impl Settings {
    /// Returns the settings of a new collection, with what was left open decided.
    ///
    /// # Errors
    /// [`Error::Settings`] (invalid input) naming what is out of bounds; what `facts` says of an
    /// embedder that it does not have.
    pub(crate) fn decide(
        asked: &NewCollection,
        facts: &dyn Fn(&str) -> Result<EmbedderFacts, Error>,
    ) -> Result<Self, Error> {
        if asked.vectors.len() > VECTORS_MAX {
            return Err(Error::Settings(format!(
                "a collection has at most {VECTORS_MAX} vectors, got {}",
                asked.vectors.len()
            )));
        }
        if asked.vectors.is_empty() && !asked.has_words {
            return Err(Error::Settings(
                "a collection needs a vector or the index of words".into(),
            ));
        }
        check_chunk(asked.chunk)?;
        asked.about.check()?;
        let mut settings = Self {
            vectors: BTreeMap::new(),
            sparse: BTreeMap::new(),
            multi: BTreeMap::new(),
            has_words: asked.has_words,
            chunk: asked.chunk,
            about: asked.about.clone(),
            filling: BTreeSet::new(),
            dropped: BTreeSet::new(),
            numbers_end: None,
        };
        for (number, (name, vector)) in (0..).zip(&asked.vectors) {
            settings.add(number, name, vector, facts)?;
        }
        Ok(settings)
    }

    /// Adds a vector under a number.
    pub(super) fn add(
        &mut self,
        number: u16,
        name: &str,
        vector: &NewVector,
        facts: &dyn Fn(&str) -> Result<EmbedderFacts, Error>,
    ) -> Result<(), Error> {
        check_name("vector", name)?;
        let facts = match &vector.source {
            NewVectorSource::Embedder(embedder) => Some(facts(embedder)?),
            NewVectorSource::Given(_)
            | NewVectorSource::GivenSparse
            | NewVectorSource::GivenMulti(_) => None,
        };
        let form = match (&vector.source, &facts) {
            (_, Some(facts)) => facts.form,
            (NewVectorSource::GivenSparse, None) => Form::Sparse,
            (NewVectorSource::GivenMulti(_), None) => Form::Multi,
            (NewVectorSource::Given(_) | NewVectorSource::Embedder(_), None) => Form::Dense,
        };
        match form {
            Form::Dense => {
                let settings = VectorSettings::decide(number, name, vector, facts)?;
                self.vectors.insert(name.to_owned(), settings);
            }
            Form::Sparse => {
                let settings = SparseSettings::decide(number, name, vector, facts)?;
                self.sparse.insert(name.to_owned(), settings);
            }
            Form::Multi => {
                let settings = MultiSettings::decide(number, name, vector, facts)?;
                self.multi.insert(name.to_owned(), settings);
            }
        }
        Ok(())
    }

    /// Checks settings that come from outside by the rules of [`Self::decide`].
    pub(super) fn check(&self) -> Result<(), Error> {
        let count = self.names().count();
        if count > VECTORS_MAX || (count == 0 && !self.has_words) {
            return Err(Error::Settings(format!(
                "a collection has up to {VECTORS_MAX} vectors, or words, got {count} vectors"
            )));
        }
        check_chunk(self.chunk)?;
        self.about.check()?;
        let is_known = |name: &String| self.names().any(|known| known == name);
        if !self.filling.iter().all(is_known) || !self.dropped.is_empty() {
            return Err(Error::Settings("there are vectors that are none".into()));
        }
        let (mut names, mut numbers) = (BTreeSet::new(), BTreeSet::new());
        let dense = self.vectors.iter().map(|(name, settings)| (name, settings.number));
        let sparse = self.sparse.iter().map(|(name, settings)| (name, settings.number));
        let multi = self.multi.iter().map(|(name, settings)| (name, settings.number));
        for (name, number) in dense.chain(sparse).chain(multi) {
            check_name("vector", name)?;
            if !names.insert(name) || !numbers.insert(number) {
                return Err(Error::Settings(format!("vector `{name}` stands twice")));
            }
        }
        for (name, settings) in &self.vectors {
            check_dimension(name, settings.dimension)?;
            if let Some(folder) = &settings.folder {
                let vector = folder.split('.').next().unwrap_or_default();
                check_name("vector", vector)?;
                let number = folder.strip_prefix(vector).unwrap_or_default();
                if !number.chars().all(|sign| sign == '.' || sign.is_ascii_digit()) {
                    let reason = format!("vector `{name}` has its index in `{folder}`");
                    return Err(Error::Settings(reason));
                }
            }
            let options = settings.dense_options(None);
            options
                .check()
                .map_err(|error| Error::Settings(format!("vector `{name}`: {error}")))?;
        }
        for (name, settings) in &self.multi {
            check_dimension(name, settings.dimension)?;
            if settings.metric == Metric::Euclidean {
                return Err(Error::Settings(format!("vector `{name}` has another metric")));
            }
        }
        Ok(())
    }

    /// Returns the embedder of a vector; none if its vectors are given, or if there is no such vector.
    pub fn embedder(&self, vector: &str) -> Option<&EmbedderBinding> {
        let dense = self.vectors.get(vector).map(|settings| &settings.embedder);
        let sparse = || self.sparse.get(vector).map(|settings| &settings.embedder);
        let multi = || self.multi.get(vector).map(|settings| &settings.embedder);
        dense.or_else(sparse).or_else(multi).and_then(Option::as_ref)
    }

    /// Returns the embedders of the vectors, once for each vector that has one.
    pub fn embedders(&self) -> impl Iterator<Item = &EmbedderBinding> {
        self.names().filter_map(|name| self.embedder(name))
    }

    /// Returns the names of all vectors: the dense ones, the sparse ones, the multivectors.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.vectors.keys().chain(self.sparse.keys()).chain(self.multi.keys())
    }

    /// Writes the settings into a folder, whole or not at all.
    pub(super) fn write(&self, folder: &Path) -> Result<(), Error> {
        let file =
            SettingsFile { format: FORMAT, checksum: self.checksum(), settings: self.clone() };
        let json = serde_json::to_vec_pretty(&file)
            .map_err(|error| Error::Settings(format!("settings cannot be written: {error}")))?;
        files::write_whole(&folder.join(files::SETTINGS), &json)?;
        Ok(())
    }

    /// Reads the settings of a folder.
    pub(super) fn read(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(files::SETTINGS);
        let damaged = |reason: String| Error::Corrupt { what: path.display().to_string(), reason };
        let bytes = fs_err::read(&path)?;
        let format: FormatOnly =
            serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if format.format != FORMAT {
            return Err(Error::NewerFormat { found: format.format, known: FORMAT });
        }
        let file: SettingsFile =
            serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        let actual = file.settings.checksum();
        if actual != file.checksum {
            return Err(damaged(format!("expected checksum {}, got {actual}", file.checksum)));
        }
        Ok(file.settings)
    }

    /// Returns what a plan has to know.
    pub(crate) fn shape(&self) -> Shape {
        let vector = |(name, vector): (&String, &VectorSettings)| {
            let shape = VectorShape {
                dimension: vector.dimension,
                metric: vector.metric,
                reads: vector.embedder.as_ref().map(|bound| bound.reads).unwrap_or_default(),
            };
            (name.clone(), shape)
        };
        let sparse = |(name, sparse): (&String, &SparseSettings)| {
            (name.clone(), SparseShape { has_embedder: sparse.embedder.is_some() })
        };
        let multi = |(name, multi): (&String, &MultiSettings)| {
            let (dimension, metric) = (multi.dimension, multi.metric);
            let reads = multi.embedder.as_ref().map(|bound| bound.reads).unwrap_or_default();
            (name.clone(), VectorShape { dimension, metric, reads })
        };
        Shape {
            vectors: self.vectors.iter().map(vector).collect(),
            sparse: self.sparse.iter().map(sparse).collect(),
            multi: self.multi.iter().map(multi).collect(),
            has_words: self.has_words,
        }
    }

    fn checksum(&self) -> String {
        let json = serde_json::to_vec(self).unwrap_or_default();
        blake3::hash(&json).to_hex().to_string()
    }
}

#[derive(Deserialize)]
struct FormatOnly {
    format: u32,
}

impl VectorSettings {
    fn decide(
        number: u16,
        name: &str,
        asked: &NewVector,
        facts: Option<EmbedderFacts>,
    ) -> Result<Self, Error> {
        let (dimension, metric) = asked.shape(facts.as_ref());
        let embedder = asked.binding(facts);
        check_dimension(name, dimension)?;
        let usual = DenseOptions::new(dimension, metric);
        let settings = Self {
            number,
            embedder,
            dimension,
            metric: asked.metric.unwrap_or(metric),
            links_max: asked.links_max.unwrap_or(usual.links_max),
            ef_construction: asked.ef_construction.unwrap_or(usual.ef_construction),
            quantisation: asked.quantisation.unwrap_or(usual.quantisation),
            ef: None,
            is_added: false,
            folder: None,
        };
        settings
            .dense_options(None)
            .check()
            .map_err(|error| Error::Settings(format!("vector `{name}`: {error}")))?;
        Ok(settings)
    }

    /// Returns the name of the folder of its index.
    pub(super) fn folder_name(&self, name: &str) -> String {
        if let Some(folder) = &self.folder {
            return folder.clone();
        }
        // No name of a vector has a dot.
        if self.is_added { format!("{name}.{}", self.number) } else { name.to_owned() }
    }

    /// Returns how the dense index is built; `seal_at` in vectors of the head.
    pub(super) fn dense_options(&self, seal_at: Option<usize>) -> DenseOptions {
        let usual = DenseOptions::new(self.dimension, self.metric);
        DenseOptions {
            links_max: self.links_max,
            ef_construction: self.ef_construction,
            quantisation: self.quantisation,
            seal_at: seal_at.unwrap_or(usual.seal_at),
            ..usual
        }
    }
}

impl SparseSettings {
    fn decide(
        number: u16,
        name: &str,
        asked: &NewVector,
        facts: Option<EmbedderFacts>,
    ) -> Result<Self, Error> {
        if let Some(metric) = asked.metric
            && metric != Metric::Dot
        {
            return Err(Error::Settings(format!(
                "vector `{name}` is sparse, and sparse vectors are compared by dot, got {}",
                metric.name()
            )));
        }
        asked.check_no_graph(name, "sparse")?;
        Ok(Self { number, embedder: asked.binding(facts) })
    }
}

impl MultiSettings {
    fn decide(
        number: u16,
        name: &str,
        asked: &NewVector,
        facts: Option<EmbedderFacts>,
    ) -> Result<Self, Error> {
        let (dimension, metric) = asked.shape(facts.as_ref());
        check_dimension(name, dimension)?;
        asked.check_no_graph(name, "a multivector")?;
        let metric = asked.metric.unwrap_or(metric);
        if metric == Metric::Euclidean {
            return Err(Error::Settings(format!(
                "vector `{name}` is a multivector, and those are compared by cosine or dot, got {}",
                metric.name()
            )));
        }
        Ok(Self { number, embedder: asked.binding(facts), dimension, metric })
    }
}

fn check_dimension(name: &str, dimension: usize) -> Result<(), Error> {
    if dimension == 0 || dimension > DIMENSION_MAX {
        return Err(Error::Settings(format!(
            "vector `{name}` has dimension {dimension}, expected 1 to {DIMENSION_MAX}"
        )));
    }
    Ok(())
}

impl NewVector {
    /// Checks that nothing is said of a graph where there is none.
    fn check_no_graph(&self, name: &str, what: &str) -> Result<(), Error> {
        let has_graph = self.links_max.is_some() || self.ef_construction.is_some();
        if has_graph || self.quantisation.is_some() {
            return Err(Error::Settings(format!(
                "vector `{name}` is {what}: its index is exact, and takes no settings of a graph"
            )));
        }
        Ok(())
    }

    /// Returns how many components its vectors have, 0 where they have no fixed number, and the usual
    /// metric.
    fn shape(&self, facts: Option<&EmbedderFacts>) -> (usize, Metric) {
        match (&self.source, facts) {
            (_, Some(facts)) => (facts.dimension, facts.metric),
            (NewVectorSource::Given(dimension) | NewVectorSource::GivenMulti(dimension), None) => {
                (*dimension, Metric::Cosine)
            }
            (NewVectorSource::Embedder(_) | NewVectorSource::GivenSparse, None) => {
                (0, Metric::Cosine)
            }
        }
    }

    fn binding(&self, facts: Option<EmbedderFacts>) -> Option<EmbedderBinding> {
        match (&self.source, facts) {
            (NewVectorSource::Embedder(name), Some(facts)) => {
                let EmbedderFacts { fingerprint, reads, .. } = facts;
                Some(EmbedderBinding { name: name.clone(), fingerprint, reads })
            }
            _ => None,
        }
    }

    /// Returns a vector from this source with everything else left open.
    pub fn from_source(source: NewVectorSource) -> Self {
        Self { source, metric: None, links_max: None, ef_construction: None, quantisation: None }
    }
}

impl NewCollection {
    /// Returns a collection whose texts are embedded by one embedder and indexed by words.
    pub fn of_texts(embedder: impl Into<String>) -> Self {
        let vector = NewVector::from_source(NewVectorSource::Embedder(embedder.into()));
        Self {
            vectors: BTreeMap::from([(VECTOR_NAME_DEFAULT.to_owned(), vector)]),
            has_words: true,
            chunk: ChunkSettings::default(),
            about: About::default(),
        }
    }
}

/// Checks the name of a collection or of a vector, which becomes the name of a folder.
pub(super) fn check_name(what: &'static str, name: &str) -> Result<(), Error> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(is_plain) {
        return Err(Error::Name { what, name: name.chars().take(80).collect() });
    }
    Ok(())
}

pub(super) fn check_chunk(chunk: ChunkSettings) -> Result<(), Error> {
    let most = chunk.tokens_max.unwrap_or(CHUNK_TOKENS_MAX);
    if most == 0 || most > CHUNK_TOKENS_MAX {
        return Err(Error::Settings(format!(
            "tokens_max is {most}, expected 1 to {CHUNK_TOKENS_MAX}"
        )));
    }
    match chunk.tokens_overlap {
        Some(overlap) if overlap >= most => Err(Error::Settings(format!(
            "tokens_overlap is {overlap}, expected less than tokens_max, which is {most}"
        ))),
        Some(_) | None => Ok(()),
    }
}
