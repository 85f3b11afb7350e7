//! `simile get`, `simile delete` and `simile count`.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};
use simile_proto::v1::delete_documents_request::Selection;
use simile_proto::v1::{self as wire};

use super::arguments::{CountArguments, DeleteArguments, GetArguments};
use super::collection::documents;
use super::connection::with_session;
use super::exit::{CliError, Outcome};
use super::output::{FAINT, Output, STRONG};
use super::serve::Setting;
use super::{filter, value};
use crate::error::ErrorKind;

/// How many characters of a passage are shown where it is not asked for.
const PASSAGE_SHOWN: usize = 400;

pub(super) fn get(
    setting: &Setting,
    arguments: &GetArguments,
    output: &Output,
) -> Result<Outcome, CliError> {
    let request = wire::GetDocumentsRequest {
        collection: arguments.target.collection.clone(),
        ids: arguments.ids.clone(),
        with_vectors: arguments.vectors,
    };
    with_session(setting, &arguments.connection, async |session| {
        let request = session.request(request);
        let found = session.documents().get(request).await?.into_inner().documents;
        output.answer(
            || json!({ "documents": found.iter().map(document_to_json).collect::<Vec<_>>() }),
            || found.iter().map(describe).collect::<Vec<_>>().join("\n"),
        )?;
        let missing: Vec<&str> = arguments
            .ids
            .iter()
            .filter(|id| !found.iter().any(|document| document.id == **id))
            .map(String::as_str)
            .collect();
        if missing.is_empty() {
            return Ok(Outcome::Done);
        }
        let message = format!(
            "collection `{}` has no document {}",
            arguments.target.collection,
            missing.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ")
        );
        Err(CliError::local(ErrorKind::NotFound, message))
    })
}

pub(super) fn delete(
    setting: &Setting,
    arguments: &DeleteArguments,
    output: &Output,
) -> Result<Outcome, CliError> {
    let collection = arguments.target.collection.clone();
    let filter = filter::parse_all(&arguments.filter)?;
    with_session(setting, &arguments.connection, async |session| {
        let selection = match filter {
            Some(filter) => {
                if !arguments.yes {
                    let request = wire::CountRequest {
                        collection: collection.clone(),
                        filter: Some(filter.clone()),
                    };
                    let request = session.request(request);
                    let found = session.documents().count(request).await?.into_inner().documents;
                    output.confirm(&format!("Delete {}?", documents(found)))?;
                }
                Selection::Filter(filter)
            }
            None => Selection::Ids(wire::DocumentIds { ids: arguments.ids.clone() }),
        };
        let request = wire::DeleteDocumentsRequest {
            collection,
            selection: Some(selection),
            ..Default::default()
        };
        let deleted = session.documents().delete(session.request(request)).await?.into_inner();
        output.answer(
            || json!({ "deleted": deleted.deleted, "sequence": deleted.sequence }),
            || format!("deleted {}", documents(deleted.deleted)),
        )?;
        Ok(Outcome::Done)
    })
}

pub(super) fn count(
    setting: &Setting,
    arguments: &CountArguments,
    output: &Output,
) -> Result<Outcome, CliError> {
    let (collection, filter) =
        (arguments.target.collection.clone(), filter::parse_all(&arguments.filter)?);
    if let Some(path) = arguments.by.clone() {
        let request = wire::FacetRequest { collection, path, filter, limit: Some(arguments.top) };
        return with_session(setting, &arguments.connection, async |session| {
            let request = session.request(request);
            let counted = session.documents().facet(request).await?.into_inner().values;
            output.answer(
                || json!({ "values": counted.iter().map(facet_to_json).collect::<Vec<_>>() }),
                || counted.iter().map(facet_line).collect(),
            )?;
            Ok(Outcome::Done)
        });
    }
    let request = wire::CountRequest { collection, filter };
    with_session(setting, &arguments.connection, async |session| {
        let request = session.request(request);
        let counted = session.documents().count(request).await?.into_inner();
        output.answer(
            || json!({ "documents": counted.documents, "parts": counted.parts }),
            || format!("{} in {} parts", documents(counted.documents), counted.parts),
        )?;
        Ok(Outcome::Done)
    })
}

fn facet_to_json(counted: &wire::FacetValue) -> Json {
    let value = counted.value.as_ref().map(value::to_json);
    json!({ "value": value, "documents": counted.documents })
}

fn facet_line(counted: &wire::FacetValue) -> String {
    let value = counted.value.as_ref().map(value::to_json).unwrap_or_default();
    format!("{:>10}  {value}\n", counted.documents)
}

/// Returns a document for a script.
pub(super) fn document_to_json(document: &wire::StoredDocument) -> Json {
    json!({
        "id": document.id,
        "sequence": document.sequence,
        "expires_unix_ms": document.expires_unix_ms,
        "payload": value::fields_to_json(&document.payload),
        "parts": document.parts.iter().map(part_to_json).collect::<Vec<_>>(),
    })
}

fn part_to_json(part: &wire::Part) -> Json {
    let mut json = json!({ "text": part.text, "span": part.span.as_ref().map(span_to_json) });
    let dense = part.vectors.iter().map(|(name, vector)| (name.clone(), json!(vector.components)));
    let sparse = part.sparse_vectors.iter().map(|(name, vector)| {
        let vector = json!({ "indices": vector.indices, "values": vector.values });
        (name.clone(), vector)
    });
    let multi = part.multi_vectors.iter().map(|(name, vector)| {
        let rows: Vec<&[f32]> = vector.vectors.iter().map(|row| &row.components[..]).collect();
        (name.clone(), json!(rows))
    });
    let vectors: serde_json::Map<_, _> = dense.chain(sparse).chain(multi).collect();
    if !vectors.is_empty() {
        json["vectors"] = vectors.into();
    }
    json
}

/// Returns a span for a script.
pub(super) fn span_to_json(span: &wire::Span) -> Json {
    if is_media(span) {
        let area = span.area.as_ref().map(|area| {
            json!({
                "left": area.left,
                "top": area.top,
                "width": area.width,
                "height": area.height,
            })
        });
        return json!({ "start_ms": span.start_ms, "end_ms": span.end_ms, "area": area });
    }
    json!({
        "byte_start": span.byte_start,
        "byte_end": span.byte_end,
        "page": span.page,
        "heading": span.heading,
    })
}

/// Returns a document for a person.
pub(super) fn describe(document: &wire::StoredDocument) -> String {
    let mut text = format!("{STRONG}{}{STRONG:#}\n", document.id);
    if !document.payload.is_empty() {
        drop(writeln!(text, "{FAINT}{}{FAINT:#}", value::fields_to_json(&document.payload)));
    }
    for part in &document.parts {
        let place = part.span.as_ref().map(place).unwrap_or_default();
        let shown: String = part.text.chars().take(PASSAGE_SHOWN).collect();
        let rest = if shown.len() < part.text.len() { " ..." } else { "" };
        drop(writeln!(text, "{FAINT}[{place}]{FAINT:#} {}{rest}", shown.trim()));
    }
    text
}

fn is_media(span: &wire::Span) -> bool {
    span.start_ms.is_some() || span.area.is_some()
}

/// Returns a time in a video as `minutes:seconds.tenths`.
fn clock(milliseconds: u64) -> String {
    let (minutes, rest) = (milliseconds / 60_000, milliseconds % 60_000);
    format!("{minutes}:{:02}.{}", rest / 1_000, rest % 1_000 / 100)
}

/// Returns where a part stands, for a person.
pub(super) fn place(span: &wire::Span) -> String {
    let mut place = Vec::new();
    if let (Some(start), Some(end)) = (span.start_ms, span.end_ms) {
        place.push(format!("{} to {}", clock(start), clock(end)));
    }
    if let Some(area) = &span.area {
        let right = area.left.saturating_add(area.width);
        let bottom = area.top.saturating_add(area.height);
        place.push(format!("x {}-{right}, y {}-{bottom}", area.left, area.top));
    }
    if is_media(span) {
        return place.join(", ");
    }
    if let Some(page) = span.page {
        place.push(format!("page {page}"));
    }
    if let Some(heading) = &span.heading {
        place.push(heading.clone());
    }
    place.push(format!("bytes {}-{}", span.byte_start, span.byte_end));
    place.join(", ")
}
