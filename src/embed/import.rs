//! What is in a folder of the model hub's layout? A text transformer as sentence-transformers or
//! transformers saves it, with everything that shapes its vectors.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::obtain::Progress;
use super::onnx::{OutputShape, RuntimeSearch, Transformer, describe};
use super::{EmbedError, Method, OnnxSettings, Pooling, TextSettings, static_text};
use crate::vector::Metric;

/// The most bytes of one of the small files of settings.
const SETTINGS_BYTES_MAX: u64 = 1 << 20;
pub(super) const WEIGHTS: &str = "model.safetensors";
/// Where graphs are looked for, if there are no weights.
pub(super) const GRAPHS: [&str; 2] = ["model.onnx", "onnx/model.onnx"];
/// The outputs of graphs that are taken, the first that is there: whole vectors before tokens'.
const OUTPUTS: [&str; 4] =
    ["sentence_embedding", "last_hidden_state", "token_embeddings", "hidden_states"];
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

#[derive(Deserialize)]
struct Module {
    path: String,
    #[serde(rename = "type")]
    kind: String,
}

/// What `config.json` says of a table of token vectors.
#[derive(Deserialize, Default)]
struct StaticSettings {
    model_type: Option<String>,
}

/// What `config.json` says of the head.
#[derive(Deserialize, Default)]
struct Head {
    #[serde(default)]
    architectures: Vec<String>,
}

impl Head {
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

#[derive(Deserialize, Default)]
struct Similarity {
    #[serde(default)]
    prompts: BTreeMap<String, String>,
    #[serde(default)]
    default_prompt_name: Option<String>,
    #[serde(default)]
    similarity_fn_name: Option<String>,
}

/// The settings of pooling; releases differ in how they write them down.
#[derive(Deserialize, Default)]
#[serde(default)]
struct PoolingSettings {
    pooling_mode: Option<String>,
    pooling_mode_cls_token: bool,
    pooling_mode_mean_tokens: bool,
    pooling_mode_max_tokens: bool,
    pooling_mode_mean_sqrt_len_tokens: bool,
    pooling_mode_weightedmean_tokens: bool,
    pooling_mode_lasttoken: bool,
    include_prompt: Option<bool>,
}

/// What the modules behind the transformer do.
struct Modules {
    transformer: PathBuf,
    pooling: Pooling,
    normalizes: bool,
}

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
    let modules = modules(folder)?;
    let similarity: Similarity =
        settings(&folder.join("config_sentence_transformers.json"))?.unwrap_or_default();
    let (metric, normalize) = match similarity.similarity_fn_name.as_deref() {
        None | Some("cosine") => (Metric::Cosine, true),
        Some("dot") => (Metric::Dot, modules.normalizes),
        Some("euclidean") => (Metric::Euclidean, modules.normalizes),
        Some(other) => {
            return Err(refused(
                folder,
                format!(
                    "vectors are compared by `{other}`, expected \
                cosine, dot or euclidean"
                ),
            ));
        }
    };
    let prompt = |names: &[&str]| {
        let named = names.iter().find_map(|name| similarity.prompts.get(*name));
        let usual = similarity.default_prompt_name.as_ref();
        named.or_else(|| usual.and_then(|name| similarity.prompts.get(name))).cloned()
    };
    let inner = &modules.transformer;
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
    let weights = inner.join(WEIGHTS);
    let graph = GRAPHS.iter().map(|graph| inner.join(graph)).find(|graph| graph.is_file());
    let text = |room: usize| -> Result<TextSettings, EmbedError> {
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
        let query = prompt(&QUERY_PROMPTS).unwrap_or_default();
        let passage = prompt(&PASSAGE_PROMPTS).unwrap_or_default();
        Ok(TextSettings {
            tokens_max: options.tokens_max.or(trained).or(usual).unwrap_or(room).min(room),
            pooling: options.pooling.unwrap_or(modules.pooling),
            query_prefix: options.query_prefix.clone().unwrap_or(query),
            passage_prefix: options.passage_prefix.clone().unwrap_or(passage),
            normalize,
        })
    };
    let described = describe(&config)
        .map_err(|source| EmbedError::Import { name: folder.display().to_string(), source });
    let small = ["config.json", "tokenizer.json"].map(|name| (inner.join(name), name.to_owned()));
    let mut files = Vec::from(small);
    let head = settings::<Head>(&config_file)?.unwrap_or_default();
    if head.is_classifier() && (weights.is_file() || graph.is_some()) {
        let (family, _, room) = described?;
        let onnx = if weights.is_file() {
            files.push((weights, WEIGHTS.to_owned()));
            None
        } else if let Some(graph) = graph {
            runtime.load(progress)?;
            let (output, width) = output(&graph)?;
            if width.is_some_and(|width| width != 1) {
                let reason = format!("its output `{output}` is {width:?} wide, expected 1");
                return Err(refused(&graph, reason));
            }
            files.extend(parts(&graph)?);
            Some(OnnxSettings { file: file_name(&graph), output })
        } else {
            None
        };
        let text = TextSettings { normalize: false, ..text(room)? };
        let description = format!("{family} over pairs, {} tokens", text.tokens_max);
        let (method, dimension, metric) = (Method::CrossEncoder { text, onnx }, 1, Metric::Dot);
        return Ok(Found { method, dimension, metric, description, files });
    }
    let (method, width, description) = if weights.is_file() {
        let (family, width, room) = described?;
        files.push((weights, WEIGHTS.to_owned()));
        let text = text(room)?;
        let description = format!("{family}, {width} wide, {} tokens", text.tokens_max);
        (Method::BertText { text }, width, description)
    } else if let Some(graph) = graph {
        runtime.load(progress)?;
        let (output, width) = output(&graph)?;
        // A family that is not built here may still be run.
        let (family, hidden, room) = described.unwrap_or_else(|_| ("transformer".into(), 0, 512));
        let width = width.or((hidden > 0).then_some(hidden)).ok_or_else(|| {
            refused(&graph, format!("its output `{output}` does not say how wide it is"))
        })?;
        files.extend(parts(&graph)?);
        let file = file_name(&graph);
        let text = text(room)?;
        let description = format!("{family} as a graph, {width} wide, {} tokens", text.tokens_max);
        (Method::OnnxText { text, onnx: OnnxSettings { file, output } }, width, description)
    } else {
        let other = ["pytorch_model.bin", "model.safetensors.index.json"];
        let there = other.iter().find(|name| inner.join(name).is_file());
        let there = there.map_or(String::new(), |name| format!(", and {name} is not read"));
        return Err(refused(inner, format!("there is neither {WEIGHTS} nor model.onnx{there}")));
    };
    let dimension = options.dimension.unwrap_or(width);
    if dimension == 0 || dimension > width {
        return Err(refused(folder, format!("dimension is {dimension}, expected 1 to {width}")));
    }
    Ok(Found { method, dimension, metric, description, files })
}

/// Returns the table of token vectors in a folder as the model2vec package saves it, if it is one.
fn table_of_tokens(folder: &Path, options: &AddOptions) -> Result<Option<Found>, EmbedError> {
    let config = settings::<StaticSettings>(&folder.join("config.json"))?.unwrap_or_default();
    if config.model_type.as_deref() != Some("model2vec") {
        return Ok(None);
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

/// Returns the modules that `modules.json` names, if it is there: kind and folder.
pub(super) fn module_paths(folder: &Path) -> Result<Vec<(String, String)>, EmbedError> {
    let file = folder.join("modules.json");
    let mut paths = Vec::new();
    for module in settings::<Vec<Module>>(&file)?.unwrap_or_default() {
        let path = Path::new(&module.path);
        if path.components().any(|part| !matches!(part, Component::Normal(_))) {
            return Err(refused(&file, format!("`{}` leads out of the folder", module.path)));
        }
        let kind = module.kind.rsplit('.').next().unwrap_or_default().to_owned();
        paths.push((kind, module.path));
    }
    Ok(paths)
}

/// Reads what follows the transformer; without `modules.json` the mean is taken.
fn modules(folder: &Path) -> Result<Modules, EmbedError> {
    let file = folder.join("modules.json");
    let mut found =
        Modules { transformer: folder.to_owned(), pooling: Pooling::Mean, normalizes: true };
    let modules = module_paths(folder)?;
    found.normalizes = modules.is_empty();
    for (kind, path) in modules {
        match kind.as_str() {
            "Transformer" => found.transformer = folder.join(path),
            "Pooling" => found.pooling = pooling(&folder.join(path).join("config.json"))?,
            "Normalize" => found.normalizes = true,
            other => {
                let reason = format!(
                    "module `{other}` is not built here, expected Transformer, Pooling or Normalize"
                );
                return Err(refused(&file, reason));
            }
        }
    }
    Ok(found)
}

fn pooling(file: &Path) -> Result<Pooling, EmbedError> {
    let Some(settings) = settings::<PoolingSettings>(file)? else {
        return Err(refused(file, "there is no such file".into()));
    };
    if settings.include_prompt == Some(false) {
        return Err(refused(
            file,
            "prompts are left out of the pooling, which is not built".into(),
        ));
    }
    let by_name = settings.pooling_mode.as_deref().map(|name| match name {
        "cls" => Ok(Pooling::Cls),
        "mean" => Ok(Pooling::Mean),
        "max" => Ok(Pooling::Max),
        "mean_sqrt_len_tokens" => Ok(Pooling::MeanSqrt),
        "weightedmean" => Ok(Pooling::WeightedMean),
        "lasttoken" => Ok(Pooling::Last),
        other => Err(format!("pooling `{other}` is not known")),
    });
    if let Some(pooling) = by_name {
        return pooling.map_err(|reason| refused(file, reason));
    }
    let modes = [
        (settings.pooling_mode_cls_token, Pooling::Cls),
        (settings.pooling_mode_mean_tokens, Pooling::Mean),
        (settings.pooling_mode_max_tokens, Pooling::Max),
        (settings.pooling_mode_mean_sqrt_len_tokens, Pooling::MeanSqrt),
        (settings.pooling_mode_weightedmean_tokens, Pooling::WeightedMean),
        (settings.pooling_mode_lasttoken, Pooling::Last),
    ];
    let chosen: Vec<Pooling> =
        modes.into_iter().filter_map(|(is_on, pooling)| is_on.then_some(pooling)).collect();
    match chosen[..] {
        [pooling] => Ok(pooling),
        _ => Err(refused(file, format!("{} poolings are joined, expected one", chosen.len()))),
    }
}

/// Returns the output of a graph that is taken, and how wide it is if it says so.
fn output(graph: &Path) -> Result<(String, Option<usize>), EmbedError> {
    let outputs = Transformer::outputs(graph).map_err(|reason| refused(graph, reason))?;
    let taken = OUTPUTS.iter().find_map(|name| outputs.iter().find(|(output, _)| output == name));
    let Some((name, shape)) = taken.or_else(|| outputs.first()) else {
        return Err(refused(graph, "it has no outputs".into()));
    };
    match shape {
        Ok(OutputShape::Tokens(width) | OutputShape::Text(width)) => Ok((name.clone(), *width)),
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
fn settings<T: DeserializeOwned>(file: &Path) -> Result<Option<T>, EmbedError> {
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
