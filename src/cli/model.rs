//! `simile model`: which models there are, and obtaining them. Needs no server.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value as Json, json};

use super::add;
use super::arguments::ModelCommand;
use super::collection::bytes;
use super::exit::{CliError, Outcome};
use super::long;
use super::network;
use super::note;
use super::output::{BAD, FAINT, GOOD, Output, STRONG, styled};
use super::remote;
use super::serve::{Setting, keys};
use super::train;
use crate::embed::obtain::sha256_of;
use crate::embed::onnx::Runtime;
use crate::embed::{Catalogue, Embedder as _, Manifest};

/// What of a model is on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// All of it, and every file is the one that the manifest names.
    Installed,
    /// Not all of it.
    Missing,
    /// A file is another one than the manifest names.
    Damaged(PathBuf),
}

impl State {
    /// Reads the files of a model and compares them with its manifest.
    pub(super) fn load(manifest: &Manifest, folder: &Path) -> Self {
        if manifest.is_in_program() {
            return Self::Installed;
        }
        let paths = || manifest.files.iter().map(|file| (folder.join(&file.name), &file.sha256));
        if !paths().all(|(path, _)| path.is_file()) {
            return Self::Missing;
        }
        let is_wrong = |path: &Path, expected: &String| {
            sha256_of(path).map_or(true, |actual| actual != *expected)
        };
        match paths().find(|(path, expected)| is_wrong(path, expected)) {
            Some((path, _)) => Self::Damaged(path),
            None => Self::Installed,
        }
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Installed => "installed",
            Self::Missing => "not installed",
            Self::Damaged(_) => "damaged",
        }
    }

    fn styled(&self) -> String {
        match self {
            Self::Installed => styled(GOOD, self.name()),
            Self::Missing => self.name().to_owned(),
            Self::Damaged(path) => {
                styled(BAD, format!("damaged: {} is not what it should be", path.display()))
            }
        }
    }
}

/// Returns the models that this command line knows.
pub(super) fn catalogue(setting: &Setting) -> Result<Catalogue, CliError> {
    let catalogue = Catalogue::open(setting.catalogue_options());
    Ok(catalogue.map_err(|error| CliError::of(&error))?.with_keys(keys()))
}

/// Returns the folder of a model.
pub(super) fn folder(catalogue: &Catalogue, name: &str) -> Result<PathBuf, CliError> {
    catalogue.folder(name).map_err(|error| CliError::of(&error))
}

pub(super) fn run(
    setting: &Setting,
    command: &ModelCommand,
    output: &Output,
) -> Result<Outcome, CliError> {
    setting.start_telemetry("warn")?;
    let catalogue = catalogue(setting)?;
    match command {
        ModelCommand::List => list(setting, &catalogue, output),
        ModelCommand::Show { name } => show(setting, &catalogue, name, output),
        ModelCommand::Pull { name } => pull(&catalogue, name, output),
        ModelCommand::Layers(arguments) => network::layers(&catalogue, arguments, output),
        ModelCommand::Add(arguments) => add::add(&catalogue, arguments, output),
        ModelCommand::Remote(arguments) => remote::add(&catalogue, arguments, output),
        ModelCommand::Document(arguments) => long::add(&catalogue, arguments, output),
        ModelCommand::Late(arguments) => long::add_late(&catalogue, arguments, output),
        ModelCommand::Note(arguments) => note::note(&catalogue, arguments, output),
        ModelCommand::Train(command) => train::train(setting, catalogue, command, output),
    }
}

fn list(setting: &Setting, catalogue: &Catalogue, output: &Output) -> Result<Outcome, CliError> {
    let models = catalogue.list();
    let is_default = |name: &str| name == setting.config.embedder;
    output.answer(
        || {
            let models = models.iter().map(|model| {
                let mut json = facts(&model.manifest);
                json["installed"] = model.is_installed.into();
                json["default"] = is_default(&model.manifest.name).into();
                json
            });
            json!({ "models": models.collect::<Vec<_>>() })
        },
        || {
            let names = models.iter().map(|model| model.manifest.name.len());
            let width = names.max().unwrap_or(0);
            let mut text = String::new();
            for model in &models {
                let manifest = &model.manifest;
                let state = if model.is_installed { State::Installed } else { State::Missing };
                // The style is no part of the width.
                let gap = " ".repeat(State::Missing.name().len() - state.name().len());
                let default = if is_default(&manifest.name) { " (default)" } else { "" };
                drop(writeln!(
                    text,
                    "{STRONG}{:<width$}{STRONG:#}  {}{gap}  {:>5} components  {:>10}  {}  \
                     {FAINT}{}{default}{FAINT:#}",
                    manifest.name,
                    state.styled(),
                    manifest.dimension,
                    bytes(manifest.bytes()),
                    manifest.licence,
                    manifest.description,
                ));
                if let Some(known) = known(manifest) {
                    drop(writeln!(text, "{:<width$}  {FAINT}{known}{FAINT:#}", ""));
                }
            }
            text
        },
    )?;
    Ok(Outcome::Done)
}

/// Returns what a model is, for a script.
pub(super) fn facts(manifest: &Manifest) -> Json {
    json!({
        "name": manifest.name,
        "kind": manifest.method.kind().name(),
        "description": manifest.description,
        "licence": manifest.licence,
        "dimension": manifest.dimension,
        "metric": manifest.metric.name(),
        "bytes": manifest.bytes(),
        "fingerprint": manifest.fingerprint().to_string(),
        "languages": manifest.languages,
        "measured": manifest.measured,
    })
}

/// Returns what is known of a model beside its vectors: which languages it reads, and what was measured
/// of it. None if nobody said anything.
pub(super) fn known(manifest: &Manifest) -> Option<String> {
    let languages = Some(manifest.languages.join(", ")).filter(|languages| !languages.is_empty());
    let figures = manifest.measured.iter().map(|(name, value)| {
        let value = if value.abs() < 10.0 { format!("{value:.3}") } else { format!("{value:.0}") };
        format!("{name} {value}")
    });
    let known: Vec<String> = languages.into_iter().chain(figures).collect();
    (!known.is_empty()).then(|| known.join("; "))
}

fn show(
    setting: &Setting,
    catalogue: &Catalogue,
    name: &str,
    output: &Output,
) -> Result<Outcome, CliError> {
    let manifest = catalogue.manifest(name).map_err(|error| CliError::of(&error))?;
    let manifest = manifest.as_ref();
    let folder = folder(catalogue, name)?;
    let state = State::load(manifest, &folder);
    output.answer(
        || {
            let mut json = facts(manifest);
            json["state"] = state.name().into();
            json["folder"] = folder.display().to_string().into();
            json["default"] = (name == setting.config.embedder).into();
            // The rest as the manifest has it: how texts are read, the files and where they come from.
            for (part, value) in tables(manifest) {
                json[part] = value;
            }
            json
        },
        || describe(manifest, &folder, &state),
    )?;
    Ok(if matches!(state, State::Damaged(_)) { Outcome::Damaged } else { Outcome::Done })
}

/// Returns what a manifest has beside single facts, by name: the settings of its kind, the files,
/// the sources.
fn tables(manifest: &Manifest) -> Map<String, Json> {
    let Json::Object(mut all) = json!(manifest) else { return Map::new() };
    all.remove("canary");
    for said_before in ["languages", "measured"] {
        all.remove(said_before);
    }
    all.retain(|_, value| value.is_object() || value.is_array());
    all
}

/// Returns where the files of a model are, for a person.
pub(super) fn place(manifest: &Manifest, folder: &Path) -> String {
    if manifest.is_in_program() { "the program".to_owned() } else { folder.display().to_string() }
}

fn describe(manifest: &Manifest, folder: &Path, state: &State) -> String {
    let mut text = format!(
        "{STRONG}{}{STRONG:#}  {}\n{}\n{}, {} components, {}, licence {}\nfingerprint {}\n",
        manifest.name,
        state.styled(),
        manifest.description,
        manifest.method.kind().name(),
        manifest.dimension,
        manifest.metric.name(),
        manifest.licence,
        manifest.fingerprint(),
    );
    if let Some(known) = known(manifest) {
        drop(writeln!(text, "{known}"));
    }
    let tables = tables(manifest);
    let settings = tables.values().filter_map(Json::as_object).flatten();
    for (name, value) in settings.filter(|(_, value)| *value != "") {
        drop(writeln!(text, "{name} {}", value.as_str().map_or(value.to_string(), str::to_owned)));
    }
    let is_in_program = manifest.is_in_program();
    drop(writeln!(text, "files in {}", place(manifest, folder)));
    for file in &manifest.files {
        let is_here = is_in_program || folder.join(&file.name).is_file();
        let here = if is_here { "" } else { ", not here" };
        drop(writeln!(
            text,
            "  {}  {FAINT}{}, SHA-256 {}{here}{FAINT:#}",
            file.name,
            bytes(file.bytes),
            file.sha256
        ));
    }
    for source in tables.get("sources").and_then(Json::as_array).into_iter().flatten() {
        let whence = source["from"].as_str().unwrap_or_default();
        let rest = source.as_object().into_iter().flatten().filter(|(name, _)| *name != "from");
        let rest: Vec<&str> = rest.filter_map(|(_, value)| value.as_str()).collect();
        drop(writeln!(text, "from {whence}: {}", rest.join(" ")));
    }
    if *state != State::Installed {
        drop(writeln!(text, "`simile model pull {}` fetches what is missing", manifest.name));
    }
    text
}

fn pull(catalogue: &Catalogue, name: &str, output: &Output) -> Result<Outcome, CliError> {
    let report = output.model_report();
    let progress = |what: &str, done: u64, total: Option<u64>| report(what, done, total);
    catalogue.pull(name, &progress).map_err(|error| CliError::of(&error))?;
    // Loading compares every file with its hash, and known inputs with their vectors.
    let model = catalogue.open_model(name, &progress).map_err(|error| CliError::of(&error))?;
    let manifest = catalogue.manifest(name).map_err(|error| CliError::of(&error))?;
    let runtime = if manifest.method.needs_runtime() {
        Some(catalogue.runtime().load(&progress).map_err(|error| CliError::of(&error))?)
    } else {
        None
    };
    let specification = model.specification();
    let folder = folder(catalogue, name)?;
    output.answer(
        || {
            let library = |runtime: &Runtime| runtime.library.display().to_string();
            json!({
                "name": specification.name,
                "dimension": specification.dimension,
                "fingerprint": specification.fingerprint.to_string(),
                "folder": folder.display().to_string(),
                "runtime": runtime.as_ref().map(|runtime| &runtime.version),
                "library": runtime.as_ref().map(library),
            })
        },
        || {
            let runs_on = runtime.as_ref().map_or(String::new(), |runtime| {
                let library = runtime.library.display();
                format!("\nruns on ONNX Runtime {}, {library}", runtime.version)
            });
            format!(
                "{STRONG}{name}{STRONG:#}  {}: {} components, fingerprint {}\nfiles in {}{runs_on}",
                styled(GOOD, "installed and checked"),
                specification.dimension,
                specification.fingerprint,
                folder.display(),
            )
        },
    )?;
    Ok(Outcome::Done)
}
