//! `simile model document` and `simile model late`: long texts, by a model that reads their pieces, and
//! passages, by one that reads them in their documents.

use clap::Args;

use super::add::say_added;
use super::exit::{CliError, Outcome};
use super::output::Output;
use super::train::choice;
use crate::embed::{Catalogue, Piece, PieceWeight};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    simile model document whole\n  \
    simile model document sentences --of small-static --piece sentence --weight uniform\n  \
    simile collection create books --vector text=whole --tokens-max 8192\n\n\
    The vector of a text is the mean of those of its pieces, so that what stands behind the first tokens\n\
    that the model reads counts too. A question is read as that model reads it. Where it matters at which\n\
    place something stands, cut documents into passages instead, which is what collections do by default.")]
pub(super) struct DocumentArguments {
    /// The name of the new model
    #[arg(value_name = "NAME")]
    name: String,
    /// The model that reads the pieces
    #[arg(long, value_name = "MODEL", default_value = crate::embed::DEFAULT_TEXT_MODEL)]
    of: String,
    /// What a text is cut into: as many sentences as the model reads at once, or each by itself
    #[arg(long, default_value = "window", value_parser = choice::<Piece>(&["window", "sentence"]))]
    piece: Piece,
    /// How much a piece counts: as many times as it has tokens, or once
    #[arg(long, default_value = "tokens",
          value_parser = choice::<PieceWeight>(&["tokens", "uniform"]))]
    weight: PieceWeight,
    /// The most tokens of a text
    #[arg(long, value_name = "N", default_value_t = 8_192)]
    tokens_max: usize,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    simile model late around\n  \
    simile collection create books --vector text=around\n  \
    simile collection create books --vector text=around --tokens-max 32\n\n\
    The model reads as much of a document as it can at once, and the vector of a passage is the mean over\n\
    its own tokens, which have seen what stands around them: whom a `she` means, and what a chapter is\n\
    about. Passages are cut to a quarter of what the model reads, if nothing else is said. Questions, and\n\
    texts that stand alone, are read as that model reads them.")]
pub(super) struct LateArguments {
    /// The name of the new model
    #[arg(value_name = "NAME")]
    name: String,
    /// The transformer that reads the documents; it joins tokens by their mean
    #[arg(long, value_name = "MODEL", default_value = crate::embed::DEFAULT_TEXT_MODEL)]
    of: String,
}

/// Adds the model of passages.
pub(super) fn add_late(
    catalogue: &Catalogue,
    arguments: &LateArguments,
    output: &Output,
) -> Result<Outcome, CliError> {
    let report = output.model_report();
    let progress = |what: &str, done: u64, total: Option<u64>| report(what, done, total);
    let manifest = catalogue.add_late(&arguments.name, &arguments.of, &progress);
    let manifest = manifest.map_err(|error| CliError::of(&error))?;
    say_added(catalogue, &manifest, output)
}

/// Adds the model.
pub(super) fn add(
    catalogue: &Catalogue,
    arguments: &DocumentArguments,
    output: &Output,
) -> Result<Outcome, CliError> {
    let DocumentArguments { name, of, piece, weight, tokens_max } = arguments;
    let report = output.model_report();
    let progress = |what: &str, done: u64, total: Option<u64>| report(what, done, total);
    let manifest = catalogue.add_document(
        name,
        of,
        |settings| {
            (settings.piece, settings.weight) = (*piece, *weight);
            settings.tokens_max = *tokens_max;
        },
        &progress,
    );
    let manifest = manifest.map_err(|error| CliError::of(&error))?;
    say_added(catalogue, &manifest, output)
}
