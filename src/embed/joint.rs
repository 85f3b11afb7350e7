//! What is in a folder of the model hub's layout that holds a joint model of texts and pictures?

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value as Json;

use super::image::{ImageSettings, JointSettings, Reduction};
use super::import::{Found, bytes, file_name, refused};
use super::networks::{NetworkOptions, PREPROCESSOR, settings};
use super::onnx::{Features, graph_bytes, layers, outputs};
use super::tokenizer::FileTokenizer;
use super::{EmbedError, Method, Pooling, TextSettings};
use crate::vector::Metric;

/// Where two graphs are looked for, that of texts first.
const PAIRS: [[&str; 2]; 2] =
    [["onnx/text_model.onnx", "onnx/vision_model.onnx"], ["text_model.onnx", "vision_model.onnx"]];
/// Where a graph of both is looked for.
const BOTH: [&str; 2] = ["onnx/model.onnx", "model.onnx"];
/// The vectors of texts and of pictures, the first that a graph gives. What is pooled before the
/// projection has the same name as what is pooled without one, and is told by its length.
const TEXTS: [&str; 3] = ["text_embeds", "text_embedding", "pooler_output"];
const IMAGES: [&str; 3] = ["image_embeds", "image_embedding", "pooler_output"];
/// How many tokens a text has where the configuration leaves it out, by the family.
const TOKENS_CLIP: usize = 77;
const TOKENS_SIGLIP: usize = 64;
const TOKENIZER: &str = "tokenizer.json";

/// The graphs of a joint model with the value that is taken of each.
#[derive(Debug)]
pub(super) struct Graphs {
    text: (PathBuf, String),
    image: (PathBuf, String),
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Config {
    model_type: String,
    text_config: TextConfig,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct TextConfig {
    max_position_embeddings: Option<usize>,
    pad_token_id: Option<u32>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct TokenizerConfig {
    /// A text, or a table with its `content`.
    pad_token: Option<Json>,
}

/// Returns the graphs of a joint model, if a folder holds one.
pub(super) fn graphs(folder: &Path) -> Result<Option<Graphs>, EmbedError> {
    if !folder.is_dir() {
        return Ok(None);
    }
    for pair in PAIRS {
        let [text, image] = pair.map(|name| folder.join(name));
        if text.is_file() && image.is_file() {
            let text_output = output(&text, &TEXTS)?;
            let image_output = output(&image, &IMAGES)?;
            return Ok(Some(Graphs { text: (text, text_output), image: (image, image_output) }));
        }
    }
    for both in BOTH.map(|name| folder.join(name)).into_iter().filter(|file| file.is_file()) {
        let given = outputs(&both).map_err(|reason| refused(&both, reason))?;
        let gives = |name: &str| given.iter().any(|given| given == name);
        if gives(TEXTS[0]) && gives(IMAGES[0]) {
            let [text, image] = [TEXTS[0], IMAGES[0]].map(|name| (both.clone(), name.to_owned()));
            return Ok(Some(Graphs { text, image }));
        }
    }
    Ok(None)
}

fn output(graph: &Path, usual: &[&str]) -> Result<String, EmbedError> {
    let given = outputs(graph).map_err(|reason| refused(graph, reason))?;
    let found = usual.iter().find(|name| given.iter().any(|given| given == *name));
    found.map(|name| (*name).to_owned()).ok_or_else(|| {
        let (given, usual) = (given.join(", "), usual.join(", "));
        refused(graph, format!("it gives {given}, expected one of {usual}"))
    })
}

/// Reads what a folder says of a joint model; the runtime is loaded already.
pub(super) fn read(
    folder: &Path,
    graphs: Graphs,
    options: &NetworkOptions,
    threads: usize,
) -> Result<Found, EmbedError> {
    let Graphs { text: (text, text_output), image: (image, image_output) } = graphs;
    let said = said::<Option<Json>>(folder, PREPROCESSOR)?
        .map(|config| ImageSettings::of_config(config.to_string().as_bytes()))
        .transpose()
        .map_err(|reason| refused(&folder.join(PREPROCESSOR), reason))?;
    let of_image = |reason| refused(&image, reason);
    let graph = graph_bytes(&image).map_err(of_image)?;
    let size = options.size.or(said.as_ref().map(|said| [said.height, said.width]));
    let known =
        layers(&graph, size.map(|size| size.map(|side| side as usize))).map_err(of_image)?;
    let pictures = settings(said, &known, options);
    pictures.check().map_err(of_image)?;
    let taps = [(image_output.clone(), Reduction::Cls)];
    let features = Features::open(&graph, &pictures, &taps, threads).map_err(of_image)?;
    let joint = JointSettings {
        text_file: file_name(&text),
        text_output,
        image_file: file_name(&image),
        image_output,
        ..texts(folder)?
    };
    let (height, width) = (pictures.height, pictures.width);
    let description =
        format!("texts of {} tokens and pictures of {height} x {width}", joint.tokens_max);
    let mut files =
        vec![(text.clone(), file_name(&text)), (folder.join(TOKENIZER), TOKENIZER.to_owned())];
    if text != image {
        files.push((image.clone(), file_name(&image)));
    }
    Ok(Found {
        dimension: features.dimension(0),
        method: Method::OnnxJoint { image: pictures, joint },
        metric: Metric::Cosine,
        description,
        files,
    })
}

/// Returns how texts are read; the files are named by the caller.
fn texts(folder: &Path) -> Result<JointSettings, EmbedError> {
    let config: Config = said::<Option<Config>>(folder, "config.json")?.unwrap_or_default();
    let is_siglip = config.model_type.starts_with("siglip");
    let usual = if is_siglip { TOKENS_SIGLIP } else { TOKENS_CLIP };
    let tokens_max = config.text_config.max_position_embeddings.unwrap_or(usual);
    let path = folder.join(TOKENIZER);
    if !path.is_file() {
        return Err(refused(&path, "there is no such file".to_owned()));
    }
    let padding = if is_siglip {
        let settings: TokenizerConfig =
            said::<Option<TokenizerConfig>>(folder, "tokenizer_config.json")?.unwrap_or_default();
        let token = settings.pad_token.and_then(|token| {
            token.as_str().or_else(|| token["content"].as_str()).map(str::to_owned)
        });
        let tokenizer = FileTokenizer::open(&path, TextSettings::of(Pooling::Mean))?;
        let named = token.and_then(|token| tokenizer.id(&token));
        let id = named.or(config.text_config.pad_token_id).ok_or_else(|| {
            refused(folder, "texts are padded, and nothing says with which token".to_owned())
        })?;
        Some(id)
    } else {
        None
    };
    Ok(JointSettings {
        text_file: String::new(),
        text_output: String::new(),
        image_file: String::new(),
        image_output: String::new(),
        tokens_max,
        padding,
    })
}

/// Reads a small file of settings; none if it is not there.
fn said<T: serde::de::DeserializeOwned + Default>(
    folder: &Path,
    name: &str,
) -> Result<T, EmbedError> {
    let path = folder.join(name);
    let Some(json) = bytes(&path)? else { return Ok(T::default()) };
    serde_json::from_slice(&json).map_err(|error| refused(&path, error.to_string()))
}
