//! `simile alias`: other names for collections.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::{Args, Subcommand};
use serde_json::json;
use simile_proto::v1::alias_change::Kind;
use simile_proto::v1::{self as wire};

use super::arguments::{Connection, ListArguments};
use super::connection::with_session;
use super::exit::{CliError, Outcome};
use super::output::{Output, STRONG};
use super::serve::Setting;

#[derive(Debug, Subcommand)]
pub(super) enum AliasCommand {
    /// Let a name stand for a collection; one that is there moves at one moment
    #[command(after_help = "Examples:\n  \
        simile alias set live notes-2     from now on `live` is notes-2\n  \
        simile search cats -c live")]
    Set(SetArguments),
    /// Give an alias another name
    Rename(RenameArguments),
    /// Take an alias away; the collection stays
    Delete(DeleteArguments),
    /// List the aliases
    List(ListArguments),
}

#[derive(Debug, Args)]
pub(super) struct SetArguments {
    /// The other name
    alias: String,
    /// The collection
    collection: String,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Args)]
pub(super) struct RenameArguments {
    /// The name it has
    alias: String,
    /// The name it gets
    to: String,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Args)]
pub(super) struct DeleteArguments {
    /// The other name
    alias: String,
    #[command(flatten)]
    connection: Connection,
}

pub(super) fn run(
    setting: &Setting,
    command: &AliasCommand,
    output: &Output,
) -> Result<Outcome, CliError> {
    let (connection, kind, said) = match command {
        AliasCommand::List(arguments) => return list(setting, arguments, output),
        AliasCommand::Set(SetArguments { alias, collection, connection }) => {
            let kind =
                Kind::Set(wire::SetAlias { alias: alias.clone(), collection: collection.clone() });
            (connection, kind, format!("`{alias}` is collection `{collection}` now"))
        }
        AliasCommand::Rename(RenameArguments { alias, to, connection }) => {
            let kind = Kind::Rename(wire::RenameAlias { alias: alias.clone(), to: to.clone() });
            (connection, kind, format!("alias `{alias}` is called `{to}` now"))
        }
        AliasCommand::Delete(DeleteArguments { alias, connection }) => {
            (connection, Kind::Delete(alias.clone()), format!("deleted alias `{alias}`"))
        }
    };
    with_session(setting, connection, async |session| {
        let changes = vec![wire::AliasChange { kind: Some(kind.clone()) }];
        let request = session.request(wire::ChangeAliasesRequest { changes });
        session.collections().change_aliases(request).await?;
        output.answer(|| json!({ "done": said }), || said.clone())?;
        Ok(Outcome::Done)
    })
}

fn list(
    setting: &Setting,
    arguments: &ListArguments,
    output: &Output,
) -> Result<Outcome, CliError> {
    with_session(setting, &arguments.connection, async |session| {
        let request = session.request(wire::ListAliasesRequest {});
        let aliases = session.collections().list_aliases(request).await?.into_inner().collections;
        let aliases: BTreeMap<String, String> = aliases.into_iter().collect();
        output.answer(
            || json!({ "aliases": aliases }),
            || {
                if aliases.is_empty() {
                    return "no aliases; `simile alias set NAME COLLECTION` makes one".to_owned();
                }
                let mut text = String::new();
                for (alias, collection) in &aliases {
                    drop(writeln!(text, "{STRONG}{alias}{STRONG:#}  collection {collection}"));
                }
                text
            },
        )?;
        Ok(Outcome::Done)
    })
}
