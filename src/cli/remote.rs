//! `simile model remote`: a model that another server runs.

use clap::Args;

use super::add::say_added;
use super::exit::{CliError, Outcome};
use super::output::Output;
use crate::embed::{Catalogue, RemoteSettings};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    simile model remote small --url https://api.example/v1 --model text-small --dimension 1536 \\\n    \
    --key-variable EXAMPLE_KEY\n  \
    simile model remote local --url http://127.0.0.1:8080/v1 --model bge-m3 --dimension 1024\n\n\
    URL answers POST URL/embeddings as OpenAI's endpoint does. The texts that are embedded are sent \
    there.\nThe key is read from the environment when the model is loaded, and kept nowhere. A request \
    that fails\nbecause there are too many (429) or the server is in trouble (5xx) is made again, five \
    times in all.\nA few texts are embedded at once and whenever the model is loaded, so that a model \
    that has become\nanother one is noticed.")]
pub(super) struct RemoteArguments {
    /// The name of the model here
    #[arg(value_name = "NAME")]
    name: String,
    /// The address up to and without /embeddings
    #[arg(long, value_name = "URL")]
    url: String,
    /// What the endpoint calls the model
    #[arg(long, value_name = "MODEL")]
    model: String,
    /// The components of its vectors
    #[arg(long, value_name = "N")]
    dimension: usize,
    /// Tell the endpoint the dimension, for models that can shorten their vectors
    #[arg(long)]
    send_dimension: bool,
    /// The environment variable that holds the key
    #[arg(long, value_name = "VARIABLE")]
    key_variable: Option<String>,
    /// The most pieces of a text that are sent: words, or four letters of a longer one [default: 512]
    #[arg(long, value_name = "N")]
    tokens_max: Option<usize>,
    /// The most texts of a request [default: 64]
    #[arg(long, value_name = "N")]
    batch_texts: Option<usize>,
    /// The most requests of a minute
    #[arg(long, value_name = "N")]
    requests_per_minute: Option<u32>,
    /// What a question is prefixed with
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    query_prefix: String,
    /// What a passage is prefixed with
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    passage_prefix: String,
    /// The licence of the weights, as an SPDX expression
    #[arg(long, value_name = "SPDX", default_value = "NOASSERTION")]
    licence: String,
}

/// Adds a model that another server runs.
pub(super) fn add(
    catalogue: &Catalogue,
    arguments: &RemoteArguments,
    output: &Output,
) -> Result<Outcome, CliError> {
    let usual = RemoteSettings::of(&arguments.url, &arguments.model);
    let settings = RemoteSettings {
        key_variable: arguments.key_variable.clone(),
        sends_dimension: arguments.send_dimension,
        tokens_max: arguments.tokens_max.unwrap_or(usual.tokens_max),
        batch_texts: arguments.batch_texts.unwrap_or(usual.batch_texts),
        requests_per_minute: arguments.requests_per_minute,
        query_prefix: arguments.query_prefix.clone(),
        passage_prefix: arguments.passage_prefix.clone(),
        ..usual
    };
    let report = output.model_report();
    let progress = |what: &str, done: u64, total: Option<u64>| report(what, done, total);
    let (name, dimension, licence) = (&arguments.name, arguments.dimension, &arguments.licence);
    let manifest = catalogue
        .add_remote(name, settings, dimension, licence, &progress)
        .map_err(|error| CliError::of(&error))?;
    say_added(catalogue, &manifest, output)
}
