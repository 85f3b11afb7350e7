//! `simile model note`: what is known of a model of your own beside its vectors.

use std::collections::BTreeMap;

use clap::Args;

use super::exit::{CliError, Outcome};
use super::model::{facts, known};
use super::output::{GOOD, Output, STRONG, styled};
use crate::embed::{Catalogue, Note};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    simile model note bge-small-en-v1.5 --language en --licence MIT\n  \
    simile model note notes-words --language en --language zh\n\n\
    `simile model list` says it of the model. No vector changes, and no fingerprint. What `simile eval \
    models\n--keep` measures is written down in the same place.")]
pub(super) struct NoteArguments {
    /// The name of a model that was added or fitted here
    #[arg(value_name = "NAME")]
    name: String,
    /// A language that it reads, as BCP 47 has it: en, zh, or mul for any (may be repeated)
    #[arg(long, value_name = "CODE", required_unless_present = "licence")]
    language: Vec<String>,
    /// The licence of the weights, as an SPDX expression
    #[arg(long, value_name = "SPDX")]
    licence: Option<String>,
}

/// Writes it down.
pub(super) fn note(
    catalogue: &Catalogue,
    arguments: &NoteArguments,
    output: &Output,
) -> Result<Outcome, CliError> {
    let languages = Some(arguments.language.clone()).filter(|languages| !languages.is_empty());
    let licence = arguments.licence.clone();
    let note = Note { languages, licence, measured: BTreeMap::new() };
    let noted = catalogue.note(&arguments.name, &note);
    let manifest = noted.map_err(|error| CliError::of(&error))?;
    output.answer(
        || facts(&manifest),
        || {
            let (name, licence) = (&manifest.name, &manifest.licence);
            let known = known(&manifest).unwrap_or_default();
            format!(
                "{STRONG}{name}{STRONG:#}  {}: licence {licence}, {known}",
                styled(GOOD, "noted")
            )
        },
    )?;
    Ok(Outcome::Done)
}
