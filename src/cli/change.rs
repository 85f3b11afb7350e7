//! `simile update` and `simile list`.

use clap::Args;
use serde_json::json;
use simile_proto::v1::update_documents_request::{Change, Selection};
use simile_proto::v1::{self as wire};

use super::arguments::{Connection, Target};
use super::collection::documents;
use super::connection::with_session;
use super::documents::{describe, document_to_json};
use super::exit::{CliError, Outcome};
use super::output::Output;
use super::serve::Setting;
use super::{filter, value};
use crate::error::ErrorKind;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    simile update notes/a.md --set status=read --set stars=5\n  \
    simile update --filter 'status=read' --unset stars --yes\n  \
    simile update notes/a.md --set stars=4 --if-sequence 17   only if nobody changed it since\n  \
    simile update notes/a.md --expires 1767225600000\n\n\
    Texts are not cut or embedded again.")]
pub(super) struct UpdateArguments {
    /// The ids of documents
    #[arg(value_name = "ID", required_unless_present = "filter", conflicts_with = "filter")]
    ids: Vec<String>,
    /// Every document of which this holds (may be repeated; all have to hold)
    #[arg(long, short, value_name = "FILTER")]
    filter: Vec<String>,
    /// Give a field this value (may be repeated)
    #[arg(long, value_name = "FIELD=VALUE", conflicts_with_all = ["unset", "clear"])]
    set: Vec<String>,
    /// Take all other fields away
    #[arg(long, requires = "set")]
    overwrite: bool,
    /// Put the fields into this object of the payload
    #[arg(long, value_name = "FIELD", requires = "set", conflicts_with = "overwrite")]
    at: Option<String>,
    /// Take a field away (may be repeated)
    #[arg(long, value_name = "FIELD", conflicts_with = "clear")]
    unset: Vec<String>,
    /// Take all fields away
    #[arg(long)]
    clear: bool,
    /// When the documents expire, in milliseconds since 1970-01-01 UTC; 0: never
    #[arg(long, value_name = "TIME")]
    expires: Option<u64>,
    /// Only if this mutation stored the version there is
    #[arg(long, value_name = "N")]
    if_sequence: Option<u64>,
    /// Do not ask before changing by filter
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    simile list --filter 'status=read'\n  \
    simile list --order-by stars --descending --limit 5\n  \
    simile list --sample --limit 3                      three at random")]
pub(super) struct ListArguments {
    /// Only documents of which this holds (may be repeated; all have to hold)
    #[arg(long, short, value_name = "FILTER")]
    filter: Vec<String>,
    /// In the order of this field; documents without it are left out [default: by id]
    #[arg(long, value_name = "FIELD", conflicts_with = "sample")]
    order_by: Option<String>,
    /// The greatest first
    #[arg(long, requires = "order_by")]
    descending: bool,
    /// Draw documents at random; the same SEED draws the same
    #[arg(long, value_name = "SEED", num_args = 0..=1, require_equals = true)]
    sample: Option<Option<u64>>,
    /// How many documents
    #[arg(long, short = 'n', value_name = "N", default_value_t = 10,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// After the page that ended with this
    #[arg(long, value_name = "CURSOR", conflicts_with = "sample", default_value = "")]
    after: String,
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    connection: Connection,
}

pub(super) fn update(
    setting: &Setting,
    arguments: &UpdateArguments,
    output: &Output,
) -> Result<Outcome, CliError> {
    let change = change(arguments)?;
    if change.is_none() && arguments.expires.is_none() {
        return Err(CliError::usage(
            "nothing to change: give --set, --unset, --clear or --expires",
        ));
    }
    let filter = filter::parse_all(&arguments.filter)?;
    let collection = arguments.target.collection.clone();
    with_session(setting, &arguments.connection, async |session| {
        let selection = match filter {
            Some(filter) => {
                if !arguments.yes {
                    let (collection, filter) = (collection.clone(), Some(filter.clone()));
                    let request = session.request(wire::CountRequest { collection, filter });
                    let found = session.documents().count(request).await?.into_inner().documents;
                    output.confirm(&format!("Change {}?", documents(found)))?;
                }
                Selection::Filter(filter)
            }
            None => Selection::Ids(wire::DocumentIds { ids: arguments.ids.clone() }),
        };
        let request = session.request(wire::UpdateDocumentsRequest {
            collection: collection.clone(),
            selection: Some(selection),
            change,
            expires_unix_ms: arguments.expires,
            expected_sequence: arguments.if_sequence,
            idempotency_key: None,
        });
        let updated = session.documents().update(request).await?.into_inner();
        let failures = updated.failures.iter().map(|failure| {
            let error = failure.error.clone().unwrap_or_default();
            json!({ "id": failure.id, "code": error.code, "message": error.message })
        });
        let failures: Vec<_> = failures.collect();
        output.answer(
            || {
                json!({
                    "updated": updated.updated,
                    "unchanged": updated.unchanged,
                    "sequence": updated.sequence,
                    "missing": updated.missing,
                    "failures": failures,
                })
            },
            || {
                let changed = documents(updated.updated);
                format!("changed {changed}, {} were so already", updated.unchanged)
            },
        )?;
        if let Some(failure) = updated.failures.first() {
            let error = failure.error.clone().unwrap_or_default();
            let kind = match error.code.as_str() {
                "FAILED_PRECONDITION" => ErrorKind::Conflict,
                _ => ErrorKind::InvalidInput,
            };
            return Err(CliError::local(kind, format!("{}: {}", failure.id, error.message)));
        }
        if updated.missing.is_empty() {
            return Ok(Outcome::Done);
        }
        let missing: Vec<String> = updated.missing.iter().map(|id| format!("`{id}`")).collect();
        let message = format!("collection `{collection}` has no document {}", missing.join(", "));
        Err(CliError::local(ErrorKind::NotFound, message))
    })
}

fn change(arguments: &UpdateArguments) -> Result<Option<Change>, CliError> {
    if !arguments.set.is_empty() {
        let field = |text: &String| {
            let (name, word) = text.split_once('=').filter(|(name, _)| !name.is_empty())?;
            Some((name.to_owned(), value::from_word(word)))
        };
        let mut fields = std::collections::HashMap::new();
        for text in &arguments.set {
            let (name, value) = field(text).ok_or_else(|| {
                CliError::usage(format!("field `{text}`: expected FIELD=VALUE, as stars=5"))
            })?;
            fields.insert(name, value);
        }
        return Ok(Some(if arguments.overwrite {
            Change::Overwrite(wire::Object { fields })
        } else {
            Change::Set(wire::SetFields { fields, at: arguments.at.clone() })
        }));
    }
    if !arguments.unset.is_empty() {
        return Ok(Some(Change::Delete(wire::FieldPaths { paths: arguments.unset.clone() })));
    }
    Ok(arguments.clear.then_some(Change::Clear(true)))
}

pub(super) fn list(
    setting: &Setting,
    arguments: &ListArguments,
    output: &Output,
) -> Result<Outcome, CliError> {
    let order_by = arguments.order_by.clone();
    let request = wire::ScrollRequest {
        collection: arguments.target.collection.clone(),
        filter: filter::parse_all(&arguments.filter)?,
        after: arguments.after.clone(),
        limit: Some(arguments.limit),
        order_by: order_by.map(|path| wire::OrderBy { path, descending: arguments.descending }),
        sample: arguments.sample.map(|seed| wire::Sample { seed }),
        ..Default::default()
    };
    with_session(setting, &arguments.connection, async |session| {
        let request = session.request(request);
        let page = session.documents().scroll(request).await?.into_inner();
        output.answer(
            || {
                let found = page.documents.iter().map(document_to_json).collect::<Vec<_>>();
                json!({ "documents": found, "next_after": page.next_after })
            },
            || {
                let mut text = page.documents.iter().map(describe).collect::<String>();
                if page.documents.is_empty() {
                    text.push_str("no documents\n");
                }
                if !page.next_after.is_empty() {
                    text.push_str(&format!("more: --after '{}'\n", page.next_after));
                }
                text
            },
        )?;
        Ok(Outcome::Done)
    })
}
