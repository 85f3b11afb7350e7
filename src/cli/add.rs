//! `simile model add`: models that were trained elsewhere.

use std::path::PathBuf;

use clap::Args;
use clap::builder::PossibleValuesParser;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::exit::{CliError, Outcome};
use super::network::{NetworkArguments, is_network};
use super::output::Output;
use super::train::{choice, describe, to_json};
use crate::embed::{AddOptions, Catalogue, Manifest, Precision, is_repository};
use crate::error::ErrorKind;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    simile model add ./bge-small-en-v1.5\n  \
    simile model add ./e5-small --query-prefix 'query: ' --passage-prefix 'passage: '\n  \
    simile model add ./nomic-embed --name nomic-256 --dimension 256\n  \
    simile model add ./bge-small-en-v1.5 --name bge-int8 --precision int8\n  \
    simile model add BAAI/bge-small-zh-v1.5                 from the model hub, or --hub\n  \
    simile model add intfloat/e5-small@ffb93f3 --name e5    at a revision\n  \
    simile model add vgg16.onnx --layer 30 --pooling gem    an image network, and which layer of it\n  \
    simile model add ./dinov2-small                         one with its preprocessor_config.json\n  \
    simile model add ./videomae-base                        one that reads clips: VideoMAE, ViViT\n\n\
    FOLDER holds config.json, tokenizer.json and model.safetensors (BERT, RoBERTa, XLM-R, DistilBERT,\n\
    MPNet, ModernBERT) or model.onnx (any), as sentence-transformers saves them; modules.json,\n\
    1_Pooling, 2_Dense, sentence_bert_config.json and config_sentence_transformers.json are read where\n\
    they are. SPLADE models (1_SpladePooling, or --splade) give sparse vectors, ColBERT models (1_Dense\n\
    without a pooling, or HF_ColBERT) a vector for each token. A file of its own, or a folder with preprocessor_config.json, is an image network.\n\
    The files are copied into the data directory.")]
pub(super) struct AddArguments {
    /// The folder with the model, its repository on the hub as owner/name[@revision], or the graph of an
    /// image network
    #[arg(value_name = "FOLDER|REPOSITORY|GRAPH")]
    model: String,
    /// The name of the model [default: that of the folder or repository]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Keep only so many components, for models that were trained for that (Matryoshka)
    #[arg(long, value_name = "N")]
    dimension: Option<usize>,
    /// How the vectors of the tokens, or those of a picture's places, become one [default: as the folder
    /// says, else the mean]
    #[arg(long, value_parser = PossibleValuesParser::new(
        ["mean", "cls", "max", "last", "weighted-mean", "mean-sqrt", "flatten", "gem"]))]
    pooling: Option<String>,
    /// The most tokens of a text [default: as the folder says, else as many as there are positions]
    #[arg(long, value_name = "N")]
    tokens_max: Option<usize>,
    /// What a question is prefixed with [default: as the folder says]
    #[arg(long, value_name = "TEXT")]
    query_prefix: Option<String>,
    /// What a passage is prefixed with [default: as the folder says]
    #[arg(long, value_name = "TEXT")]
    passage_prefix: Option<String>,
    /// Take the weights that a masked language model gives to words as a sparse vector (SPLADE), though
    /// its folder does not say that it is for that
    #[arg(long)]
    splade: bool,
    /// In which numbers the network computes: int8 is faster and takes less memory, by vectors that differ
    /// a little, and are the same alone and in a batch; made of the weights or of the graph
    #[arg(long, default_value = "single", value_parser = choice::<Precision>(&["single", "int8"]))]
    precision: Precision,
    /// The licence of the weights, as an SPDX expression
    #[arg(long, value_name = "SPDX")]
    licence: Option<String>,
    #[command(flatten)]
    network: NetworkArguments,
}

/// Adds a model that was trained elsewhere.
pub(super) fn add(
    catalogue: &Catalogue,
    arguments: &AddArguments,
    output: &Output,
) -> Result<Outcome, CliError> {
    let folder = PathBuf::from(&arguments.model);
    let (repository, revision) =
        arguments.model.split_once('@').unwrap_or((&arguments.model, "main"));
    let is_fetched = !folder.exists() && is_repository(repository);
    let named = if is_fetched {
        PathBuf::from(repository)
    } else {
        fs_err::canonicalize(&folder)
            .map_err(|error| CliError::local(ErrorKind::NotFound, error.to_string()))?
    };
    let usual = || named.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let name = arguments.name.clone().unwrap_or_else(usual);
    let report = output.model_report();
    let progress = |what: &str, done: u64, total: Option<u64>| report(what, done, total);
    if !is_fetched && is_network(&folder) {
        if arguments.precision != Precision::Single {
            let reason = "precision is int8, expected single for an image network";
            return Err(CliError::usage(reason));
        }
        let name = name.strip_suffix(".onnx").unwrap_or(&name);
        let options =
            arguments.network.options(pooling(arguments, "image")?, arguments.licence.clone());
        let added = catalogue.add_network(name, &folder, &options, &progress);
        let manifest = added.map_err(|error| CliError::of(&error))?;
        return say_added(catalogue, &manifest, output);
    }
    let options = AddOptions {
        dimension: arguments.dimension,
        pooling: pooling(arguments, "text")?,
        tokens_max: arguments.tokens_max,
        query_prefix: arguments.query_prefix.clone(),
        passage_prefix: arguments.passage_prefix.clone(),
        licence: arguments.licence.clone(),
        is_splade: arguments.splade,
        precision: arguments.precision,
    };
    let added = if is_fetched {
        catalogue.add_from_hub(&name, repository, revision, &options, &progress)
    } else {
        catalogue.add(&name, &folder, &options, &progress)
    };
    let manifest = added.map_err(|error| CliError::of(&error))?;
    say_added(catalogue, &manifest, output)
}

/// Says what was added.
pub(super) fn say_added(
    catalogue: &Catalogue,
    manifest: &Manifest,
    output: &Output,
) -> Result<Outcome, CliError> {
    let folder = catalogue.folder(&manifest.name).map_err(|error| CliError::of(&error))?;
    output.answer(
        || to_json(manifest, &folder, None),
        || describe(manifest, &folder, "added".to_owned()),
    )?;
    Ok(Outcome::Done)
}

/// Returns the pooling that was asked for, as this sort of model knows it.
fn pooling<T: DeserializeOwned>(
    arguments: &AddArguments,
    sort: &str,
) -> Result<Option<T>, CliError> {
    let Some(name) = &arguments.pooling else { return Ok(None) };
    let known = serde_json::from_value(Json::String(name.clone()));
    known.map(Some).map_err(|_| CliError::usage(format!("no {sort} model has pooling `{name}`")))
}
