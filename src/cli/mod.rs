//! How does a person use it? Commands that talk gRPC, to a running server or to one that they start
//! in their own process for as long as they run.

mod add;
mod alias;
mod arguments;
mod certificates;
mod change;
mod cluster;
mod collection;
mod connection;
mod demo;
mod doctor;
mod documents;
mod eval;
mod eval_models;
mod exchange;
mod exit;
mod filter;
mod ingest;
mod key;
mod labels;
mod locate;
mod long;
mod maintain;
mod model;
mod near;
mod network;
mod note;
mod output;
mod pictures;
mod prefetch;
mod remote;
mod search;
mod sentences;
mod serve;
mod shape;
mod snapshot;
mod top;
mod train;
mod train_there;
mod train_words;
mod value;
mod zero_shot;

use std::ffi::OsString;
use std::process::ExitCode;

pub use arguments::Cli;
use arguments::Command;
use exit::{CliError, Outcome};
use output::Output;

use clap::{CommandFactory, FromArgMatches};

/// Runs the command line `arguments` (the first is the program's name) and returns the exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let parsed = Cli::command()
        .try_get_matches_from(arguments)
        .and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)));
    let (cli, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            // Help and version are "errors" of code 0; printing fails only if nobody listens.
            drop(error.print());
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let output = Output::new(cli.common.json, cli.common.quiet);
    match execute(&cli, &matches, &output) {
        Ok(outcome) => outcome.exit_code(),
        Err(error) => {
            if !error.is_silent() {
                output.error(&error.render(output.is_json()));
            }
            error.exit_code()
        }
    }
}

fn execute(cli: &Cli, matches: &clap::ArgMatches, output: &Output) -> Result<Outcome, CliError> {
    let setting = serve::Setting::gather(cli, matches)?;
    match &cli.command {
        Command::Serve(arguments) => serve::serve(&setting, arguments, output),
        Command::Ingest(arguments) => ingest::ingest(&setting, arguments, output),
        Command::Search(arguments) => search::search(&setting, arguments, output),
        Command::Locate(arguments) => locate::locate(&setting, arguments, output),
        Command::Get(arguments) => documents::get(&setting, arguments, output),
        Command::List(arguments) => change::list(&setting, arguments, output),
        Command::Update(arguments) => change::update(&setting, arguments, output),
        Command::Delete(arguments) => documents::delete(&setting, arguments, output),
        Command::Count(arguments) => documents::count(&setting, arguments, output),
        Command::Embed(arguments) => search::embed(&setting, arguments, output),
        Command::Collection(arguments) => collection::run(&setting, arguments, output),
        Command::Alias(command) => alias::run(&setting, command, output),
        Command::Snapshot(command) => snapshot::run(&setting, command, output),
        Command::Export(arguments) => exchange::export(&setting, arguments, output),
        Command::Import(arguments) => exchange::import(&setting, arguments, output),
        Command::Model(arguments) => model::run(&setting, arguments, output),
        Command::Key(command) => key::run(&setting, command, output),
        Command::Job(arguments) => maintain::job(&setting, arguments, output),
        Command::Top(arguments) => top::top(&setting, arguments, output),
        Command::Verify(arguments) => maintain::verify(&setting, arguments, output),
        Command::Repair(arguments) => maintain::repair(&setting, arguments, output),
        Command::Optimize(arguments) => maintain::optimize(&setting, arguments, output),
        Command::Cluster(arguments) => cluster::cluster(&setting, arguments, output),
        Command::Eval(command) => eval::run(&setting, command, output),
        Command::Demo(arguments) => demo::demo(&setting, arguments, output),
        Command::Doctor(arguments) => doctor::doctor(&setting, arguments, output),
        Command::Completions(arguments) => output.completions(arguments.shell),
        Command::Man(arguments) => output.man(arguments.folder.as_deref()),
        Command::ReadFiles(arguments) => serve::read_files(arguments),
    }
}
