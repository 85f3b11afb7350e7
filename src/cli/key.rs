//! `simile key`: who may use the server over the data directory. Needs no server: one that runs sees
//! at once what is changed here.

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};

use super::collection::bytes;
use super::exit::{CliError, Outcome};
use super::output::{BAD, FAINT, Output, STRONG, styled};
use super::serve::{Setting, random_bytes, unix_ms};
use crate::access::{Key, KeyStore, NewKey, Rates, Scope};
use crate::config::Bytes;

const DAY_MS: u64 = 86_400_000;

#[derive(Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// Make a key and print it, this once
    #[command(after_help = "Examples:\n  \
        simile key create operator --scope admin\n  \
        simile key create website --scope read --only articles --expires-days 90\n  \
        simile key create crawler --scope write --requests-per-second 5 --bytes-per-second 4MiB\n\n\
        From the first key on, the server answers nobody without one. Clients send it as\n\
        `authorization: Bearer KEY`, those of Qdrant as their api_key; commands take it from \
        SIMILE_KEY.")]
    Create(CreateKeyArguments),
    /// List the keys: not what opens, but what each may do
    List,
    /// Revoke a key
    Revoke {
        /// The id of the key, as `simile key list` shows it
        id: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct CreateKeyArguments {
    /// What to call it, for lists and records
    pub(super) name: String,
    /// What it may do: read and search; write, too; or administer everything
    #[arg(long, value_name = "SCOPE", default_value = "read")]
    pub(super) scope: Scope,
    /// The only collection that it is for (may be repeated) [default: all]
    #[arg(long, value_name = "COLLECTION")]
    pub(super) only: Vec<String>,
    /// After how many days it is worth nothing [default: never]
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u64).range(1..=36_500))]
    pub(super) expires_days: Option<u64>,
    /// Requests a second that it may make [default: as the server's settings have it]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(super) requests_per_second: Option<u32>,
    /// Bytes that its messages may bring in a second, as 4MiB [default: as the server's settings have it]
    #[arg(long, value_name = "BYTES")]
    pub(super) bytes_per_second: Option<Bytes>,
}

/// Makes, lists and revokes keys.
pub(super) fn run(
    setting: &Setting,
    command: &KeyCommand,
    output: &Output,
) -> Result<Outcome, CliError> {
    let keys = KeyStore::open(&setting.config.data).map_err(|error| CliError::of(&error))?;
    match command {
        KeyCommand::Create(arguments) => {
            let now = unix_ms();
            let only = arguments.only.iter().cloned().collect();
            let new = NewKey {
                name: arguments.name.clone(),
                scope: arguments.scope,
                collections: (!arguments.only.is_empty()).then_some(only),
                expires_unix_ms: arguments.expires_days.map(|days| now + days * DAY_MS),
                rates: Rates {
                    requests_per_second_max: arguments.requests_per_second,
                    bytes_per_second_max: arguments.bytes_per_second.map(|bytes| bytes.0),
                },
            };
            let random = [random_bytes(), random_bytes()];
            let made = keys.create(new, &random, now);
            let (key, text) = made.map_err(|error| CliError::of(&error))?;
            output.answer(
                || {
                    let mut json = to_json(&key, now);
                    json["key"] = Json::from(text.as_str());
                    json
                },
                || {
                    let note = "Keep it: it is not kept here and cannot be shown again.";
                    format!("{text}\n{}", styled(FAINT, note))
                },
            )?;
        }
        KeyCommand::List => {
            let now = unix_ms();
            let list = keys.list().map_err(|error| CliError::of(&error))?;
            output.answer(
                || json!({ "keys": list.iter().map(|key| to_json(key, now)).collect::<Vec<_>>() }),
                || described(&list, now),
            )?;
        }
        KeyCommand::Revoke { id } => {
            let key = keys.revoke(id).map_err(|error| CliError::of(&error))?;
            output.answer(
                || json!({ "revoked": key.id, "name": key.name }),
                || format!("revoked {} ({})", key.id, key.name),
            )?;
        }
    }
    Ok(Outcome::Done)
}

fn to_json(key: &Key, now: u64) -> Json {
    json!({
        "id": key.id,
        "name": key.name,
        "scope": key.scope.to_string(),
        "collections": key.collections,
        "created_unix_ms": key.created_unix_ms,
        "expires_unix_ms": key.expires_unix_ms,
        "requests_per_second_max": key.rates.requests_per_second_max,
        "bytes_per_second_max": key.rates.bytes_per_second_max,
        "expired": is_expired(key, now),
    })
}

fn is_expired(key: &Key, now: u64) -> bool {
    key.expires_unix_ms.is_some_and(|expires| expires <= now)
}

fn described(keys: &[Key], now: u64) -> String {
    if keys.is_empty() {
        return "no keys".to_owned();
    }
    let mut text = String::new();
    for key in keys {
        let for_what = match &key.collections {
            Some(only) => only.iter().cloned().collect::<Vec<_>>().join(", "),
            None => "all collections".to_owned(),
        };
        let expiry = match key.expires_unix_ms {
            None => "never expires".to_owned(),
            Some(_) if is_expired(key, now) => styled(BAD, "expired"),
            Some(expires) => format!("expires in {} days", (expires - now).div_ceil(DAY_MS)),
        };
        let rates = described_rates(key.rates);
        let (id, name, scope) = (styled(STRONG, &key.id), &key.name, key.scope);
        // Writing to a String cannot fail.
        drop(writeln!(text, "{id}  {name}: {scope}, {for_what}, {expiry}{rates}"));
    }
    text
}

fn described_rates(rates: Rates) -> String {
    let requests = rates.requests_per_second_max.map(|most| format!(", {most} requests a second"));
    let volume = rates.bytes_per_second_max.map(|most| format!(", {} a second", bytes(most)));
    [requests, volume].into_iter().flatten().collect()
}
