//! `simile eval zero-shot`: does a joint model find the name of what a picture shows?

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::exit::{CliError, Outcome};
use super::labels::Labelled;
use super::model;
use super::output::{Output, STRONG, styled};
use super::serve::Setting;
use crate::cancel::Cancellation;
use crate::embed::{EmbedError, EmbedderHandle, Lane, Modality, Role};
use crate::error::ErrorKind;
use crate::vector::{Vector, kernel};

/// Where the name of a class stands in a prompt.
const NAME: &str = "{}";
/// The prompt where no other is given, as the authors of CLIP have it (Radford et al. 2021).
const PROMPT: &str = "a photo of a {}.";
/// How many of the best names are looked at for the second figure.
const BEST: usize = 5;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    simile eval zero-shot photos --embedder my-clip\n  \
    simile eval zero-shot photos --embedder my-clip --prompt 'a photo of a {}.' --prompt 'a drawing of a {}.'\n\n\
    FOLDER holds a folder of pictures for each class, named as what they show (`soccer_ball`). A class is\n\
    the mean of its prompts' vectors; a picture counts as right if the nearest class is its own.")]
pub(super) struct ZeroShotArguments {
    /// The folder with a folder for each class
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// The embedder, one that reads texts and pictures
    #[arg(long, value_name = "MODEL")]
    embedder: String,
    /// What is said of a class, with {} for its name (may be repeated)
    #[arg(long, value_name = "TEXT", default_value = PROMPT)]
    prompt: Vec<String>,
}

pub(super) fn zero_shot(
    setting: &Setting,
    arguments: &ZeroShotArguments,
    output: &Output,
) -> Result<Outcome, CliError> {
    setting.start_telemetry("warn")?;
    if let Some(prompt) = arguments.prompt.iter().find(|prompt| !prompt.contains(NAME)) {
        return Err(CliError::usage(format!("prompt {prompt:?} has no {NAME} for the name")));
    }
    let catalogue = model::catalogue(setting)?;
    let of = |error: EmbedError| CliError::of(&error);
    let manifest = catalogue.manifest(&arguments.embedder).map_err(of)?;
    for modality in [Modality::Text, Modality::Image] {
        manifest.specification().require(modality).map_err(of)?;
    }
    let mut set = Labelled::open(&arguments.folder)?;
    let report = output.model_report();
    let progress = |what: &str, done: u64, total: Option<u64>| report(what, done, total);
    let model = catalogue.load(&arguments.embedder, &progress).map_err(of)?;
    let classes = set.classes.iter().map(|class| of_class(class, &arguments.prompt, &model));
    let classes: Vec<Vec<f32>> = classes.collect::<Result<_, _>>()?;
    let mut ranked: Vec<Vec<usize>> = Vec::new();
    let left_out = set.each(output, |pictures| {
        let found = model.embed_pictures(pictures, Lane::Bulk, &Cancellation::new()).map_err(of)?;
        let vectors = found.embeddings.iter().map(|embedding| embedding.vector.as_ref());
        ranked.extend(vectors.map(|vector| nearest(vector, &classes)));
        Ok(())
    })?;
    let share = |count: usize| {
        let is_right = |(ranked, label): &(&Vec<usize>, &usize)| {
            ranked.iter().take(count).any(|class| class == *label)
        };
        let right = ranked.iter().zip(&set.labels).filter(is_right).count();
        right as f64 / ranked.len().max(1) as f64
    };
    let (accuracy, top) = (share(1), share(BEST));
    let (images, count) = (ranked.len(), set.classes.len());
    output.answer(
        || {
            json!({
                "embedder": arguments.embedder,
                "accuracy": accuracy,
                "accuracy_5": top,
                "images": images,
                "classes": count,
                "prompts": arguments.prompt,
            })
        },
        || {
            format!(
                "{}: {accuracy:.3} of {images} pictures get the name of their class out of {count}, \
                 {top:.3} among the {BEST} nearest",
                styled(STRONG, &arguments.embedder)
            )
        },
    )?;
    Ok(if left_out { Outcome::SomeFailed } else { Outcome::Done })
}

/// Returns the mean of the vectors of a class's prompts.
fn of_class(class: &str, prompts: &[String], model: &EmbedderHandle) -> Result<Vec<f32>, CliError> {
    let name = class.replace('_', " ");
    let texts: Vec<String> = prompts.iter().map(|prompt| prompt.replace(NAME, &name)).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let embedded = model.embed(&texts, Role::Query, Lane::Bulk, &Cancellation::new());
    let embedded = embedded.map_err(|error| CliError::of(&error))?;
    let mut sum = vec![0.0; model.specification().dimension];
    for vector in embedded.embeddings.iter().filter_map(|embedding| embedding.vector.as_ref()) {
        let vector = vector.as_dense().ok_or_else(|| {
            CliError::local(ErrorKind::Internal, "a joint model has dense vectors")
        })?;
        sum.iter_mut().zip(vector.as_slice()).for_each(|(sum, value)| *sum += value);
    }
    let length = kernel::dot(&sum, &sum).sqrt().max(f32::MIN_POSITIVE);
    sum.iter_mut().for_each(|value| *value /= length);
    Ok(sum)
}

/// Returns the classes, the nearest first.
fn nearest(vector: Option<&Vector>, classes: &[Vec<f32>]) -> Vec<usize> {
    let Some(vector) = vector.and_then(Vector::as_dense) else { return Vec::new() };
    let near: Vec<f32> =
        classes.iter().map(|class| kernel::dot(class, vector.as_slice())).collect();
    let mut ranked: Vec<usize> = (0..classes.len()).collect();
    ranked.sort_by(|&a, &b| near[b].total_cmp(&near[a]));
    ranked
}
