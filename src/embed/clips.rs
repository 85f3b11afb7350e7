//! How does a network that reads the frames of a clip at once get into the catalogue?

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::image::{ImageSettings, Layout, Reduction};
use super::import::{Found, GRAPHS, bytes, file_name, refused};
use super::networks::{NetworkOptions, PREPROCESSOR};
use super::onnx::{Features, graph_bytes, outputs};
use super::video::FrameSettings;
use super::{EmbedError, Method};
use crate::vector::Metric;

/// The outputs that are taken, the first that is there.
const OUTPUTS: [&str; 3] = ["last_hidden_state", "hidden_states", "embedding"];

/// What `config.json` says of a model of clips.
#[derive(Debug, Default, Deserialize)]
struct Config {
    #[serde(default)]
    model_type: String,
    num_frames: Option<usize>,
}

/// Returns whether a folder is that of a model of clips: `VideoMAE`'s or `ViViT`'s kin.
pub(super) fn is_one(folder: &Path) -> Result<bool, EmbedError> {
    let Some(config) = config(folder)? else { return Ok(false) };
    Ok(usual_pooling(&config.model_type).is_some())
}

/// Returns how the tokens of a family become one vector: the mean, or the first one, which stands for
/// the clip. None for a family that reads no clips.
fn usual_pooling(model_type: &str) -> Option<Reduction> {
    match model_type {
        "videomae" => Some(Reduction::Mean),
        "vivit" => Some(Reduction::Cls),
        _ => None,
    }
}

fn config(folder: &Path) -> Result<Option<Config>, EmbedError> {
    let path = folder.join("config.json");
    if !path.is_file() {
        return Ok(None);
    }
    let Some(json) = bytes(&path)? else { return Ok(None) };
    serde_json::from_slice(&json).map(Some).map_err(|error| refused(&path, error.to_string()))
}

/// Reads what a folder says of a model of clips; the runtime is loaded already.
pub(super) fn read(
    folder: &Path,
    options: &NetworkOptions,
    threads: usize,
) -> Result<Found, EmbedError> {
    let config = config(folder)?.unwrap_or_default();
    let of_config = |reason: &str| refused(&folder.join("config.json"), reason.to_owned());
    let count = config.num_frames.ok_or_else(|| of_config("it does not say num_frames"))?;
    let usual = usual_pooling(&config.model_type);
    let usual = usual.ok_or_else(|| of_config("it is no model of clips"))?;
    let graph = GRAPHS.iter().map(|graph| folder.join(graph)).find(|graph| graph.is_file());
    let missing = || {
        let graphs = GRAPHS.join(", ");
        let reason = format!(
            "there is none of {graphs}; torch.onnx.export writes one, with pixel_values as its input and \
             last_hidden_state as its output"
        );
        refused(folder, reason)
    };
    let graph: PathBuf = graph.ok_or_else(missing)?;
    let path = folder.join(PREPROCESSOR);
    let json = bytes(&path)?.ok_or_else(|| refused(&path, "there is no such file".to_owned()))?;
    let image = ImageSettings::of_config(&json).map_err(|reason| refused(&path, reason))?;
    let image = ImageSettings { layout: Layout::Nchw, ..image };
    let of_graph = |reason| refused(&graph, reason);
    let layer = match &options.layer {
        Some(layer) => layer.clone(),
        None => {
            let given = outputs(&graph).map_err(of_graph)?;
            let found = OUTPUTS.iter().find(|name| given.iter().any(|given| given == *name));
            found.map(|name| (*name).to_owned()).ok_or_else(|| {
                let (given, usual) = (given.join(", "), OUTPUTS.join(", "));
                of_graph(format!("it gives {given}, expected one of {usual}"))
            })?
        }
    };
    let pooling = options.pooling.unwrap_or(usual);
    let frames = FrameSettings::of(file_name(&graph), layer, pooling, count);
    frames.check().map_err(of_graph)?;
    let content = graph_bytes(&graph).map_err(of_graph)?;
    let features = Features::open_clips(&content, &image, &frames, threads).map_err(of_graph)?;
    let dimension = features.dimension(0);
    let (height, width) = (image.height, image.width);
    Ok(Found {
        method: Method::OnnxVideo { image, frames },
        dimension,
        metric: Metric::Cosine,
        description: format!("clips of {count} frames of {height} x {width}"),
        files: vec![(graph.clone(), file_name(&graph))],
    })
}
