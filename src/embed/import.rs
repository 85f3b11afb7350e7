//! What is in a folder of the model hub's layout? A text transformer as sentence-transformers or
//! transformers saves it, with everything that shapes its vectors.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::modules::{ColbertFile, DenseModule, Head, Modules, QuestionFiles, Similarity};
use super::obtain::Progress;
use super::onnx::{
    INDEX, OutputShape, RuntimeSearch, SCORES_MAX, Transformer, describe, graph_bytes,
    in_eight_bits, shards,
};
use super::{
    ColbertSettings, EmbedError, Method, OnnxSettings, Pooling, Precision, QuestionSettings,
    SpladeSettings, TextSettings, static_text,
};
use crate::vector::Metric;

/// The most bytes of one of the small files of settings.
const SETTINGS_BYTES_MAX: u64 = 1 << 20;
pub(super) const WEIGHTS: &str = "model.safetensors";
/// Where graphs are looked for, if there are no weights.
pub(super) const GRAPHS: [&str; 2] = ["model.onnx", "onnx/model.onnx"];
/// The outputs of graphs that are taken, the first that is there: whole vectors before tokens'.
const OUTPUTS: [&str; 5] =
    ["sentence_embedding", "last_hidden_state", "token_embeddings", "hidden_states", "logits"];
/// The names under which prompts of questions and of passages are kept.
const QUERY_PROMPTS: [&str; 3] = ["query", "Query", "search_query"];
const PASSAGE_PROMPTS: [&str; 4] = ["passage", "document", "corpus", "search_document"];

/// What the person who adds a model says about it, where its folder does not or says otherwise.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AddOptions {
    /// How many components of the vector are kept, for models trained for that (Kusupati et al. 2022).
    pub dimension: Option<usize>,
    /// How the vectors of the tokens are joined.
    pub pooling: Option<Pooling>,
    /// The most tokens of a text.
    pub tokens_max: Option<usize>,
    /// What a question is prefixed with.
    pub query_prefix: Option<String>,
    /// What a passage is prefixed with.
    pub passage_prefix: Option<String>,
    /// The licence of the weights, as an SPDX expression.
    pub licence: Option<String>,
    /// Whether the scores of words that a masked language model gives become a sparse vector, though its
    /// folder does not say so (SPLADE).
    pub is_splade: bool,
    /// In which numbers the network computes.
    pub precision: Precision,
}

/// A model as its folder describes it.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) method: Method,
    pub(super) dimension: usize,
    pub(super) metric: Metric,
    pub(super) description: String,
    /// The files that are needed, each with the name it gets.
    pub(super) files: Vec<(PathBuf, String)>,
}

/// What `config.json` says of a table of token vectors.
#[derive(Deserialize, Default)]
struct StaticSettings {
    model_type: Option<String>,
}

/// What `config.json` says of the words.
#[derive(Deserialize)]
struct Vocabulary {
    vocab_size: Option<usize>,
}

/// What `config.json` says of what follows the encoder.
#[derive(Deserialize, Default)]
struct Architecture {
    #[serde(default)]
    architectures: Vec<String>,
}

impl Architecture {
    /// Whether the model gives a vector for each token, as the first implementation of it saves it.
    fn is_colbert(&self) -> bool {
        self.architectures.iter().any(|name| name == "HF_ColBERT")
    }

    /// Whether the model scores a text or a pair of texts, and gives no vectors.
    fn is_classifier(&self) -> bool {
        self.architectures.iter().any(|name| name.ends_with("ForSequenceClassification"))
    }
}

#[derive(Deserialize)]
struct SentenceSettings {
    max_seq_length: Option<usize>,
    #[serde(default)]
    do_lower_case: bool,
}

#[derive(Deserialize)]
struct TokenizerSettings {
    /// A number without bound stands for none.
    model_max_length: Option<f64>,
}

/// What a folder of a transformer holds beside its settings.
struct Layout<'a> {
    folder: &'a Path,
    options: &'a AddOptions,
    modules: Modules,
    similarity: Similarity,
    /// The files of weights, each with the name it gets; none if there is a graph only.
    weights: Vec<(PathBuf, String)>,
    graph: Option<PathBuf>,
}

/// What a configuration says: family, width, and places for tokens.
type Described = Result<(String, usize, usize), EmbedError>;

/// Reads what a folder holds; of a graph its outputs are looked at, for which the runtime is loaded.
pub(super) fn read(
    folder: &Path,
    options: &AddOptions,
    runtime: &RuntimeSearch,
    progress: Progress<'_>,
) -> Result<Found, EmbedError> {
    if let Some(found) = table_of_tokens(folder, options)? {
        return Ok(found);
    }
    let mut modules = Modules::read(folder)?;
    if options.is_splade && !matches!(modules.head, Head::Words(_)) {
        modules.head = Head::Words(SpladeSettings::default());
    }
    let similarity = Similarity::read(folder)?;
    let inner = modules.transformer.clone();
    let config_file = inner.join("config.json");
    let Some(config) = bytes(&config_file)? else {
        return Err(refused(&config_file, "a model of the hub's layout has this file".into()));
    };
    if !inner.join("tokenizer.json").is_file() {
        return Err(refused(
            &inner.join("tokenizer.json"),
            "there is no such file; the \
            transformers package writes it: AutoTokenizer.from_pretrained(FOLDER)\
            .save_pretrained(FOLDER)"
                .into(),
        ));
    }
    let weights = weights(&inner)?;
    let graph = GRAPHS.iter().map(|graph| inner.join(graph)).find(|graph| graph.is_file());
    if weights.is_empty() && graph.is_none() {
        let there = inner.join("pytorch_model.bin").is_file();
        let there = if there { ", and pytorch_model.bin is not read" } else { "" };
        return Err(refused(&inner, format!("there is neither {WEIGHTS} nor model.onnx{there}")));
    }
    if weights.is_empty() {
        runtime.load(progress)?;
    }
    let described = describe(&config)
        .map_err(|source| EmbedError::Import { name: folder.display().to_string(), source });
    let head = settings::<Architecture>(&config_file)?.unwrap_or_default();
    if head.is_colbert() && matches!(modules.head, Head::Text) {
        modules.head = Head::Tokens(ColbertFile::stanford(&inner, options)?);
        modules.dense = vec![DenseModule::inside(inner.join(WEIGHTS))];
    }
    let is_judge = head.is_classifier() && matches!(modules.head, Head::Text);
    let layout = Layout { folder, options, modules, similarity, weights, graph };
    match layout.modules.head {
        _ if is_judge => layout.cross_encoder(described),
        Head::Text => layout.text(described),
        Head::Words(splade) => layout.splade(splade, described),
        Head::Tokens(ref colbert) => layout.colbert(colbert, described),
    }
}

impl Layout<'_> {
    /// The files that every transformer has, with those of its weights if there are any, else of its
    /// graph.
    fn files(&self) -> Result<Vec<(PathBuf, String)>, EmbedError> {
        let inner = &self.modules.transformer;
        let small =
            ["config.json", "tokenizer.json"].map(|name| (inner.join(name), name.to_owned()));
        let mut files = Vec::from(small);
        match &self.graph {
            _ if !self.weights.is_empty() => files.extend(self.weights.iter().cloned()),
            Some(graph) => files.extend(parts(graph)?),
            None => {}
        }
        if let Some(questions) = &self.modules.questions {
            let names = question_settings(questions);
            files.push((questions.weights.clone(), names.weights));
            files.push((questions.tokenizer.clone(), names.tokenizer));
        }
        for module in &self.modules.dense {
            let file = (module.weights.clone(), module.settings.file.clone());
            if !files.contains(&file) {
                files.push(file);
            }
        }
        Ok(files)
    }

    /// Returns the output of the graph that is taken and how wide it is if it says so, unless there are
    /// weights.
    fn onnx(&self) -> Result<Option<(OnnxSettings, OutputShape)>, EmbedError> {
        let Some(graph) = self.graph.as_ref().filter(|_| self.weights.is_empty()) else {
            return Ok(None);
        };
        let (output, shape) = output(graph)?;
        if self.options.precision == Precision::Int8 {
            let bytes = graph_bytes(graph).map_err(|reason| refused(graph, reason))?;
            in_eight_bits(&bytes).map_err(|reason| refused(graph, reason))?;
        }
        Ok(Some((OnnxSettings { file: file_name(graph), output }, shape)))
    }

    /// How texts are read, where there are places for so many tokens.
    fn settings(&self, room: usize) -> Result<TextSettings, EmbedError> {
        let (options, inner) = (self.options, &self.modules.transformer);
        let file = inner.join("sentence_bert_config.json");
        let trained = settings::<SentenceSettings>(&file)?;
        if trained.as_ref().is_some_and(|settings| settings.do_lower_case) {
            let reason = "texts are lower-cased before the tokenizer, which is not built; \
                          a tokenizer.json that does it itself is";
            return Err(refused(&file, reason.into()));
        }
        let trained = trained.and_then(|settings| settings.max_seq_length);
        let usual = settings::<TokenizerSettings>(&inner.join("tokenizer_config.json"))?
            .and_then(|settings| settings.model_max_length)
            .filter(|length| (1.0..=room as f64).contains(length));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the number is positive and small"
        )]
        let usual = usual.map(|length| length as usize);
        let query = self.similarity.prompt(&QUERY_PROMPTS).unwrap_or_default();
        let passage = self.similarity.prompt(&PASSAGE_PROMPTS).unwrap_or_default();
        Ok(TextSettings {
            tokens_max: options.tokens_max.or(trained).or(usual).unwrap_or(room).min(room),
            pooling: options.pooling.unwrap_or(self.modules.pooling),
            query_prefix: options.query_prefix.clone().unwrap_or(query),
            passage_prefix: options.passage_prefix.clone().unwrap_or(passage),
            normalize: true,
            dense: self.modules.dense.iter().map(|module| module.settings.clone()).collect(),
            precision: options.precision,
        })
    }

    /// Returns how many components are kept of those there are.
    fn dimension(&self, width: usize) -> Result<usize, EmbedError> {
        let dimension = self.options.dimension.unwrap_or(width);
        if dimension == 0 || dimension > width {
            let reason = format!("dimension is {dimension}, expected 1 to {width}");
            return Err(refused(self.folder, reason));
        }
        Ok(dimension)
    }

    /// Returns how wide a vector is behind the layers, if one so wide goes in.
    fn behind_layers(&self, width: usize) -> Result<usize, EmbedError> {
        let mut width = width;
        for module in &self.modules.dense {
            let [to, from] = module.widths()?;
            if from != width {
                let reason = format!("it reads {from} components, and is given {width}");
                return Err(refused(&module.weights, reason));
            }
            width = to;
        }
        Ok(width)
    }

    fn cross_encoder(&self, described: Described) -> Result<Found, EmbedError> {
        let onnx = self.onnx()?;
        if let (Some((onnx, OutputShape::Tokens(width) | OutputShape::Text(width))), Some(graph)) =
            (&onnx, &self.graph)
            && width.is_some_and(|width| width != 1)
        {
            let output = &onnx.output;
            let reason = format!("its output `{output}` is {width:?} wide, expected 1");
            return Err(refused(graph, reason));
        }
        let files = self.files()?;
        let (family, _, room) = described?;
        let text = TextSettings { normalize: false, ..self.settings(room)? };
        let description = format!("{family} over pairs, {} tokens", text.tokens_max);
        let method = Method::CrossEncoder { text, onnx: onnx.map(|(onnx, _)| onnx) };
        Ok(Found { method, dimension: 1, metric: Metric::Dot, description, files })
    }

    fn text(&self, described: Described) -> Result<Found, EmbedError> {
        let (metric, normalize) = match self.similarity.similarity_fn_name.as_deref() {
            None | Some("cosine") => (Metric::Cosine, true),
            Some("dot") => (Metric::Dot, self.modules.normalizes),
            Some("euclidean") => (Metric::Euclidean, self.modules.normalizes),
            Some(other) => {
                let reason =
                    format!("vectors are compared by `{other}`, expected cosine, dot or euclidean");
                return Err(refused(self.folder, reason));
            }
        };
        let files = self.files()?;
        let Some((onnx, shape)) = self.onnx()? else {
            let (family, width, room) = described?;
            let width = self.behind_layers(width)?;
            let text = TextSettings { normalize, ..self.settings(room)? };
            let description = format!("{family}, {width} wide, {} tokens", text.tokens_max);
            let dimension = self.dimension(width)?;
            let method = Method::BertText { text };
            return Ok(Found { method, dimension, metric, description, files });
        };
        // A family that is not built here may still be run.
        let (family, hidden, room) = described.unwrap_or_else(|_| unknown());
        let (OutputShape::Tokens(width) | OutputShape::Text(width)) = shape;
        let width = width.or((hidden > 0).then_some(hidden)).ok_or_else(|| {
            let output = &onnx.output;
            refused(self.folder, format!("output `{output}` does not say how wide it is"))
        })?;
        let mut text = TextSettings { normalize, ..self.settings(room)? };
        let width = match shape {
            OutputShape::Tokens(_) => self.behind_layers(width)?,
            // A graph that joins the tokens has the layers behind that too.
            OutputShape::Text(_) => {
                text.dense.clear();
                width
            }
        };
        let description = format!("{family} as a graph, {width} wide, {} tokens", text.tokens_max);
        let dimension = self.dimension(width)?;
        Ok(Found { method: Method::OnnxText { text, onnx }, dimension, metric, description, files })
    }

    fn splade(&self, splade: SpladeSettings, described: Described) -> Result<Found, EmbedError> {
        let files = self.files()?;
        let onnx = self.onnx()?;
        let words = settings::<Vocabulary>(&self.modules.transformer.join("config.json"))?;
        let words = words.and_then(|vocabulary| vocabulary.vocab_size);
        let given = onnx.as_ref().and_then(|(_, shape)| match shape {
            OutputShape::Tokens(width) | OutputShape::Text(width) => *width,
        });
        let Some(words) = given.or(words).filter(|words| *words > 0) else {
            let reason = "config.json does not say how many words there are: vocab_size";
            return Err(refused(self.folder, reason.into()));
        };
        let (family, _, room) = match described {
            Err(_) if onnx.is_some() => unknown(),
            described => described?,
        };
        // The scores of all words at all tokens of a text are held at once.
        let room = room.min(SCORES_MAX * 4 / words);
        let text = TextSettings { normalize: false, ..self.settings(room)? };
        let description = format!("{family}, weights of {words} words, {} tokens", text.tokens_max);
        let questions = self.modules.questions.as_ref().map(question_settings);
        let onnx = onnx.map(|(onnx, _)| onnx);
        let method = Method::Splade { text, splade, questions, onnx };
        Ok(Found { method, dimension: words, metric: Metric::Dot, description, files })
    }

    fn colbert(&self, colbert: &ColbertFile, described: Described) -> Result<Found, EmbedError> {
        let files = self.files()?;
        let onnx = self.onnx()?;
        let (family, hidden, room) = match described {
            Err(_) if onnx.is_some() => unknown(),
            described => described?,
        };
        let given = match onnx.as_ref().map(|(_, shape)| shape) {
            Some(OutputShape::Text(_)) => {
                let reason = "its output is one vector of a text, expected one of each token";
                return Err(refused(self.folder, reason.into()));
            }
            Some(OutputShape::Tokens(width)) => *width,
            None => None,
        };
        let mut text = self.settings(room)?;
        let last = self.modules.dense.last().map(DenseModule::widths).transpose()?;
        let width = match (given, last) {
            // The layers are in the graph already.
            (Some(given), Some([to, _])) if given == to && to != hidden => {
                text.dense.clear();
                given
            }
            (given, _) => self.behind_layers(given.unwrap_or(hidden))?,
        };
        let dimension = self.dimension(width)?;
        let most = ColbertSettings::tokens_max(dimension).min(room);
        text.tokens_max = self.options.tokens_max.unwrap_or(colbert.document_length).min(most);
        let settings = colbert.settings(&self.modules.transformer, most)?;
        let description =
            format!("{family}, {dimension} wide for each of {} tokens", text.tokens_max);
        let onnx = onnx.map(|(onnx, _)| onnx);
        let method = Method::Colbert { text, colbert: settings, onnx };
        Ok(Found { method, dimension, metric: Metric::Cosine, description, files })
    }
}

/// Returns what the files for questions are called in the folder of the model.
fn question_settings(files: &QuestionFiles) -> QuestionSettings {
    QuestionSettings {
        weights: format!("question-{}", file_name(&files.weights)),
        tokenizer: "question-tokenizer.json".to_owned(),
    }
}

/// What is said of a family that is not built here and may still be run.
fn unknown() -> (String, usize, usize) {
    ("transformer".to_owned(), 0, 512)
}

/// Returns the files of weights in a folder, each with the name it gets.
fn weights(folder: &Path) -> Result<Vec<(PathBuf, String)>, EmbedError> {
    let single = folder.join(WEIGHTS);
    if single.is_file() {
        return Ok(vec![(single, WEIGHTS.to_owned())]);
    }
    let index = folder.join(INDEX);
    if !index.is_file() {
        return Ok(Vec::new());
    }
    let shards =
        shards(&fs_err::read(&index)?).map_err(|error| refused(&index, error.to_string()))?;
    let mut files = vec![(index.clone(), INDEX.to_owned())];
    for shard in shards {
        let path = folder.join(&shard);
        if !path.is_file() {
            return Err(refused(&path, format!("there is no such file, and {INDEX} names it")));
        }
        files.push((path, shard));
    }
    Ok(files)
}

/// Returns the table of token vectors in a folder as the model2vec package saves it, if it is one.
fn table_of_tokens(folder: &Path, options: &AddOptions) -> Result<Option<Found>, EmbedError> {
    let config = settings::<StaticSettings>(&folder.join("config.json"))?.unwrap_or_default();
    if config.model_type.as_deref() != Some("model2vec") {
        return Ok(None);
    }
    if options.precision != Precision::Single {
        let reason = "precision is int8, expected single for a table of token vectors";
        return Err(refused(folder, reason.into()));
    }
    let [table, tokenizer] = [WEIGHTS, "tokenizer.json"].map(|name| folder.join(name));
    let width =
        static_text::width(&fs_err::read(&table)?).map_err(|reason| refused(&table, reason))?;
    let dimension = options.dimension.unwrap_or(width);
    if dimension == 0 || dimension > width {
        return Err(refused(folder, format!("dimension is {dimension}, expected 1 to {width}")));
    }
    let text = TextSettings {
        tokens_max: options.tokens_max.unwrap_or(512),
        query_prefix: options.query_prefix.clone().unwrap_or_default(),
        passage_prefix: options.passage_prefix.clone().unwrap_or_default(),
        ..TextSettings::of(options.pooling.unwrap_or(Pooling::Mean))
    };
    Ok(Some(Found {
        description: format!("a table of token vectors, {width} wide"),
        method: Method::StaticText { text },
        dimension,
        metric: Metric::Cosine,
        files: vec![(table, WEIGHTS.to_owned()), (tokenizer, "tokenizer.json".to_owned())],
    }))
}

/// Returns the output of a graph that is taken, and what it is.
fn output(graph: &Path) -> Result<(String, OutputShape), EmbedError> {
    let outputs = Transformer::outputs(graph).map_err(|reason| refused(graph, reason))?;
    let taken = OUTPUTS.iter().find_map(|name| outputs.iter().find(|(output, _)| output == name));
    let Some((name, shape)) = taken.or_else(|| outputs.first()) else {
        return Err(refused(graph, "it has no outputs".into()));
    };
    match shape {
        Ok(shape) => Ok((name.clone(), *shape)),
        Err(reason) => Err(refused(graph, reason.clone())),
    }
}

/// Returns a graph's file with those beside it that carry its weights.
fn parts(graph: &Path) -> Result<Vec<(PathBuf, String)>, EmbedError> {
    let name = file_name(graph);
    let folder = graph.parent().unwrap_or(Path::new("."));
    let mut files = vec![(graph.to_owned(), name.clone())];
    for entry in fs_err::read_dir(folder)? {
        let other = entry?.path();
        let its = file_name(&other);
        let is_part = its != name && (its.starts_with(&name) || its.ends_with(".onnx_data"));
        if is_part && other.is_file() {
            files.push((other, its));
        }
    }
    Ok(files)
}

pub(super) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Reads a small file of settings, if it is there.
pub(super) fn settings<T: DeserializeOwned>(file: &Path) -> Result<Option<T>, EmbedError> {
    let Some(bytes) = bytes(file)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| refused(file, error.to_string()))
}

pub(super) fn bytes(file: &Path) -> Result<Option<Vec<u8>>, EmbedError> {
    let Ok(metadata) = fs_err::metadata(file) else { return Ok(None) };
    if metadata.len() > SETTINGS_BYTES_MAX {
        let actual = metadata.len();
        return Err(refused(file, format!("at most {SETTINGS_BYTES_MAX} bytes, got {actual}")));
    }
    Ok(Some(fs_err::read(file)?))
}

pub(super) fn refused(path: &Path, reason: String) -> EmbedError {
    EmbedError::Unreadable { path: path.to_owned(), reason }
}
