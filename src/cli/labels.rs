//! `simile eval labels`: which model, and which layer of it, tells classes of pictures apart?

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde_json::{Value as Json, json};

use super::exit::{CliError, Outcome};
use super::model;
use super::network::PoolingChoice;
use super::output::{Output, STRONG, Unit, styled};
use super::serve::Setting;
use crate::cancel::Cancellation;
use crate::decode::{Limits, decode_picture};
use crate::embed::image::Reduction;
use crate::embed::{
    Catalogue, Choice, EmbedError, EmbedderHandle, Lane, LayerEmbedder, Method, Modality,
};
use crate::error::ErrorKind;
use crate::evaluate::nearest_accuracy;
use crate::picture::Picture;
use crate::vector::Vector;

/// How many pictures are held decoded at a time.
const PICTURES_AT_A_TIME: usize = 32;
/// The most pictures that are compared with each other.
const PICTURES_MAX: usize = 100_000;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    simile eval labels photos --embedder simile-residual-64\n  \
    simile eval labels photos --embedder my-vgg --layer 12\n  \
    simile eval labels photos --embedder my-vgg --sweep --json\n\n\
    FOLDER holds a folder of pictures for each class. The figure is the share of pictures whose nearest\n\
    other picture is of the same class (leave one out). --sweep measures the last layer of each block, the\n\
    best first: a layer in the middle often tells more apart than the last one.")]
pub(super) struct LabelsArguments {
    /// The folder with a folder for each class
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// The embedder, one that reads pictures
    #[arg(long, value_name = "MODEL")]
    embedder: String,
    /// Another layer of it, by name or index; see `simile model layers`
    #[arg(long, value_name = "LAYER", allow_hyphen_values = true)]
    layer: Option<String>,
    /// How that layer becomes a vector [default: the mean of each channel, or the first token]
    #[arg(long)]
    pooling: Option<PoolingChoice>,
    /// Measure the last layer of each block
    #[arg(long, conflicts_with = "layer")]
    sweep: bool,
}

/// Pictures by their classes.
#[derive(Debug, Default)]
pub(super) struct Labelled {
    pub(super) files: Vec<PathBuf>,
    pub(super) labels: Vec<usize>,
    pub(super) classes: Vec<String>,
}

/// How well a layer does.
#[derive(Debug, Clone, PartialEq)]
struct Measured {
    layer: Option<String>,
    dimension: usize,
    accuracy: f64,
}

pub(super) fn labels(
    setting: &Setting,
    arguments: &LabelsArguments,
    output: &Output,
) -> Result<Outcome, CliError> {
    setting.start_telemetry("warn")?;
    let catalogue = model::catalogue(setting)?;
    let of = |error: EmbedError| CliError::of(&error);
    let manifest = catalogue.manifest(&arguments.embedder).map_err(of)?;
    manifest.specification().require(Modality::Image).map_err(of)?;
    let mut set = Labelled::open(&arguments.folder)?;
    let report = output.model_report();
    let progress = |what: &str, done: u64, total: Option<u64>| report(what, done, total);
    let mut source = Source::open(&catalogue, arguments, &progress).map_err(of)?;
    let mut vectors: Vec<Vec<Option<Vector>>> = Vec::new();
    let left_out = set.each(output, |pictures| {
        let found = source.embed(pictures).map_err(of)?;
        vectors.resize_with(found.len(), Vec::new);
        vectors.iter_mut().zip(found).for_each(|(all, found)| all.extend(found));
        Ok(())
    })?;
    let mut measured = Vec::new();
    for ((layer, dimension), vectors) in source.layers(&manifest.method).into_iter().zip(&vectors) {
        let vectors: Vec<Option<&[f32]>> = vectors.iter().map(components).collect();
        let accuracy =
            nearest_accuracy(&vectors, &set.labels, manifest.metric).ok_or_else(|| {
                CliError::usage(format!("two pictures are the least, got {}", vectors.len()))
            })?;
        measured.push(Measured { layer, dimension, accuracy });
    }
    measured.sort_by(|a, b| b.accuracy.total_cmp(&a.accuracy));
    let name = &arguments.embedder;
    output.answer(
        || {
            let all: Vec<Json> = measured.iter().map(|it| it.to_json(name, &set)).collect();
            if arguments.sweep {
                Json::Array(all)
            } else {
                all.into_iter().next().unwrap_or_default()
            }
        },
        || table(name, &measured, &set),
    )?;
    Ok(if left_out { Outcome::SomeFailed } else { Outcome::Done })
}

fn components(vector: &Option<Vector>) -> Option<&[f32]> {
    vector.as_ref().and_then(Vector::as_dense).map(|vector| vector.as_slice())
}

/// What gives the vectors: the model as it is, or layers of it.
enum Source {
    Model(EmbedderHandle),
    Layers(LayerEmbedder),
}

impl Source {
    fn open(
        catalogue: &Catalogue,
        arguments: &LabelsArguments,
        progress: &dyn Fn(&str, u64, Option<u64>),
    ) -> Result<Self, EmbedError> {
        let name = &arguments.embedder;
        let choice = match (&arguments.layer, arguments.sweep) {
            (None, false) => return Ok(Self::Model(catalogue.load(name, &progress)?)),
            (Some(layer), _) => Choice::Named(vec![layer.clone()]),
            (None, true) => Choice::Blocks,
        };
        let pooling = arguments.pooling.map(Reduction::from);
        Ok(Self::Layers(catalogue.open_layers(name, &choice, pooling, &progress)?))
    }

    /// Returns for each layer the vector of each picture.
    fn embed(&mut self, pictures: &[Arc<Picture>]) -> Result<Vec<Vec<Option<Vector>>>, EmbedError> {
        match self {
            Self::Model(model) => {
                let found = model.embed_pictures(pictures, Lane::Bulk, &Cancellation::new())?;
                Ok(vec![found.embeddings.into_iter().map(|embedding| embedding.vector).collect()])
            }
            Self::Layers(layers) => {
                layers.embed(&pictures.iter().map(AsRef::as_ref).collect::<Vec<_>>())
            }
        }
    }

    /// Returns the layers with how many components their vectors have.
    fn layers(&self, method: &Method) -> Vec<(Option<String>, usize)> {
        match (self, method) {
            (Self::Layers(layers), _) => {
                let names = layers.layers().iter().map(|layer| Some(layer.name.clone()));
                names.zip(layers.dimensions()).collect()
            }
            (Self::Model(model), Method::OnnxImage { network, .. }) => {
                vec![(Some(network.layer.clone()), model.specification().dimension)]
            }
            (Self::Model(model), _) => vec![(None, model.specification().dimension)],
        }
    }
}

impl Labelled {
    /// Lists what lies in the folders of a folder, by name; what begins with a dot is left out.
    pub(super) fn open(folder: &Path) -> Result<Self, CliError> {
        let listed = |folder: &Path| -> Result<Vec<PathBuf>, CliError> {
            let entries = fs_err::read_dir(folder)
                .map_err(|error| CliError::local(ErrorKind::NotFound, error.to_string()))?;
            let mut paths = Vec::new();
            for entry in entries {
                let path = entry?.path();
                if !path.file_name().unwrap_or_default().to_string_lossy().starts_with('.') {
                    paths.push(path);
                }
            }
            paths.sort();
            Ok(paths)
        };
        let mut set = Self::default();
        for class in listed(folder)?.into_iter().filter(|path| path.is_dir()) {
            let files: Vec<PathBuf> =
                listed(&class)?.into_iter().filter(|path| path.is_file()).collect();
            if files.is_empty() {
                continue;
            }
            set.labels.extend(std::iter::repeat_n(set.classes.len(), files.len()));
            set.files.extend(files);
            set.classes.push(class.file_name().unwrap_or_default().to_string_lossy().into_owned());
        }
        if set.classes.len() < 2 || set.files.len() > PICTURES_MAX {
            return Err(CliError::usage(format!(
                "{} has {} pictures in the folders of {} classes, expected at most {PICTURES_MAX} of \
                 2 classes or more",
                folder.display(),
                set.files.len(),
                set.classes.len()
            )));
        }
        Ok(set)
    }

    /// Hands the pictures over in order, some at a time. Files that are none are named and taken off the
    /// list; returns whether there were such.
    pub(super) fn each(
        &mut self,
        output: &Output,
        mut take: impl FnMut(&[Arc<Picture>]) -> Result<(), CliError>,
    ) -> Result<bool, CliError> {
        let count = self.files.len();
        let mut progress = output.progress("embedding", Unit::Items, Some(count as u64));
        let limits = Limits::default();
        let mut is_kept = vec![false; count];
        for start in (0..count).step_by(PICTURES_AT_A_TIME) {
            let mut pictures = Vec::new();
            for place in start..count.min(start + PICTURES_AT_A_TIME) {
                let file = &self.files[place];
                match decode_picture(&fs_err::read(file)?, &limits) {
                    Ok(picture) => {
                        pictures.push(Arc::new(picture));
                        is_kept[place] = true;
                    }
                    Err(error) => progress.note(&format!("left out: {}: {error}", file.display())),
                }
            }
            take(&pictures)?;
            progress.set((start + PICTURES_AT_A_TIME).min(count) as u64, "");
        }
        progress.finish();
        let mut kept = is_kept.iter().copied();
        self.files.retain(|_| kept.next().unwrap_or_default());
        let mut kept = is_kept.iter().copied();
        self.labels.retain(|_| kept.next().unwrap_or_default());
        Ok(is_kept.contains(&false))
    }
}

impl Measured {
    fn to_json(&self, embedder: &str, set: &Labelled) -> Json {
        json!({
            "embedder": embedder,
            "layer": self.layer,
            "dimension": self.dimension,
            "accuracy": self.accuracy,
            "images": set.labels.len(),
            "classes": set.classes.len(),
        })
    }
}

fn table(embedder: &str, measured: &[Measured], set: &Labelled) -> String {
    let mut text = format!(
        "{}: nearest neighbours of {} pictures in {} classes",
        styled(STRONG, embedder),
        set.labels.len(),
        set.classes.len()
    );
    for Measured { layer, dimension, accuracy } in measured {
        let layer = layer.as_deref().unwrap_or("the model's own vector");
        // Writing to a String does not fail.
        _ = write!(text, "\n{accuracy:>6.3}  {dimension:>5} components  {layer}");
    }
    text
}
