//! `simile collection`: create, list, show and delete collections.

mod arguments;
mod reembed;
mod set;

use std::collections::HashMap;
use std::fmt::Write as _;

use serde_json::{Value as Json, json};
use simile_proto::v1::vector_config::Source;
use simile_proto::v1::{self as wire};

pub(super) use arguments::CollectionCommand;
use arguments::CreateArguments;

use super::connection::with_session;
use super::exit::{CliError, Outcome};
use super::output::{BAD, FAINT, GOOD, Output, STRONG, styled};
use super::serve::Setting;
use crate::vector::Metric;

pub(super) fn run(
    setting: &Setting,
    command: &CollectionCommand,
    output: &Output,
) -> Result<Outcome, CliError> {
    match command {
        CollectionCommand::Create(arguments) => create(setting, arguments, output),
        CollectionCommand::List(arguments) => {
            with_session(setting, &arguments.connection, async |session| {
                let request = session.request(wire::ListCollectionsRequest {});
                let list = session.collections().list(request).await?.into_inner().collections;
                output.answer(
                    || json!({ "collections": list.iter().map(to_json).collect::<Vec<_>>() }),
                    || table(&list),
                )?;
                Ok(Outcome::Done)
            })
        }
        CollectionCommand::Info(arguments) => {
            with_session(setting, &arguments.connection, async |session| {
                let request = wire::GetCollectionRequest { name: arguments.name.clone() };
                let request = session.request(request);
                let collection = session.collections().get(request).await?.into_inner();
                output.answer(|| to_json(&collection), || describe(&collection))?;
                Ok(Outcome::Done)
            })
        }
        CollectionCommand::AddVector(arguments) => {
            let (name, config) = vector_config(&arguments.vector)?;
            with_session(setting, &arguments.connection, async |session| {
                let (collection, config) = (arguments.collection.clone(), Some(config.clone()));
                let request = wire::AddVectorRequest { collection, name: name.clone(), config };
                let request = session.request(request);
                let collection = session.collections().add_vector(request).await?.into_inner();
                output.answer(
                    || to_json(&collection),
                    || format!("added vector `{name}`\n{}", vector_lines(&collection)),
                )?;
                Ok(Outcome::Done)
            })
        }
        CollectionCommand::Reembed(arguments) => reembed::reembed(setting, arguments, output),
        CollectionCommand::DropVector(arguments) => {
            with_session(setting, &arguments.connection, async |session| {
                let (collection, name) = (arguments.collection.clone(), arguments.vector.clone());
                if !arguments.yes {
                    output.confirm(&format!("Drop vector `{name}` of `{collection}`?"))?;
                }
                let request = wire::DropVectorRequest { collection, name: name.clone() };
                let request = session.request(request);
                let collection = session.collections().drop_vector(request).await?.into_inner();
                output.answer(
                    || to_json(&collection),
                    || format!("dropped vector `{name}`\n{}", vector_lines(&collection)),
                )?;
                Ok(Outcome::Done)
            })
        }
        CollectionCommand::Recall(arguments) => {
            with_session(setting, &arguments.connection, async |session| {
                let request = session.request(wire::RecallRequest {
                    collection: arguments.name.clone(),
                    vector: arguments.vector.clone(),
                    limit: Some(arguments.limit),
                    questions: Some(arguments.questions),
                    ef: arguments.ef,
                    target_recall: arguments.target_recall,
                });
                let found = session.admin().recall(request).await?.into_inner();
                output.answer(
                    || {
                        json!({
                            "vector": found.vector,
                            "recall": found.recall,
                            "questions": found.questions,
                            "asked": found.asked,
                            "ef": found.ef,
                        })
                    },
                    || {
                        let breadth = found.ef.map_or_else(
                            || "comparing with every vector".to_owned(),
                            |ef| format!("breadth {ef}"),
                        );
                        format!(
                            "vector {}: recall@{} is {:.4} at {breadth}  {FAINT}{} questions, {} of them asked before{FAINT:#}",
                            found.vector,
                            arguments.limit,
                            found.recall,
                            found.questions,
                            found.asked,
                        )
                    },
                )?;
                Ok(Outcome::Done)
            })
        }
        CollectionCommand::Set(arguments) => set::set(setting, arguments, output),
        CollectionCommand::Delete(arguments) => {
            with_session(setting, &arguments.connection, async |session| {
                let name = arguments.name.clone();
                let request = wire::GetCollectionRequest { name: name.clone() };
                let found = session.collections().get(session.request(request)).await?.into_inner();
                if !arguments.yes {
                    let what = documents(found.documents);
                    output.confirm(&format!("Delete collection `{name}` with {what}?"))?;
                }
                let request = wire::DeleteCollectionRequest { name: name.clone() };
                session.collections().delete(session.request(request)).await?;
                output.answer(
                    || json!({ "deleted": name, "documents": found.documents }),
                    || format!("deleted collection `{name}` with {}", documents(found.documents)),
                )?;
                Ok(Outcome::Done)
            })
        }
    }
}

fn create(
    setting: &Setting,
    arguments: &CreateArguments,
    output: &Output,
) -> Result<Outcome, CliError> {
    let vectors = arguments
        .vector
        .iter()
        .map(|text| vector_config(text))
        .collect::<Result<HashMap<_, _>, _>>()?;
    if vectors.len() < arguments.vector.len() {
        return Err(CliError::usage("a vector name stands twice"));
    }
    let chunk = arguments.chunk.into();
    let request = wire::CreateCollectionRequest {
        name: arguments.name.clone(),
        vectors,
        lexical: Some(wire::LexicalConfig { disabled: arguments.no_lexical }),
        chunk: Some(chunk),
        words_only: arguments.words_only,
        tenant: arguments.tenant.clone().unwrap_or_default(),
        description: arguments.description.clone().unwrap_or_default(),
        metadata: set::pairs(&arguments.metadata)?,
    };
    with_session(setting, &arguments.connection, async |session| {
        let request = session.request(request);
        let collection = session.collections().create(request).await?.into_inner();
        output.answer(
            || to_json(&collection),
            || format!("created collection `{}`\n{}", collection.name, vector_lines(&collection)),
        )?;
        Ok(Outcome::Done)
    })
}

/// Reads `NAME=MODEL`, `NAME=DIMENSION`, `NAME=DIMENSION:METRIC`, `NAME=sparse`, `NAME=multi:DIMENSION`
/// or `NAME=multi:DIMENSION:METRIC`.
fn vector_config(text: &str) -> Result<(String, wire::VectorConfig), CliError> {
    let expected = || {
        CliError::usage(format!(
            "vector `{text}`: expected NAME=MODEL, NAME=DIMENSION[:METRIC], NAME=sparse or NAME=multi:DIMENSION[:METRIC], as text=all-MiniLM-L6-v2, image=512:dot, words=sparse or tokens=multi:128"
        ))
    };
    let (name, source) = text.split_once('=').ok_or_else(expected)?;
    let (is_multi, source) = match source.strip_prefix("multi:") {
        Some(source) => (true, source),
        None => (false, source),
    };
    let (source, metric) = match source.split_once(':') {
        Some((source, metric)) => (source, metric_of(metric).ok_or_else(expected)?),
        None => (source, wire::Metric::Unspecified),
    };
    if name.is_empty() || source.is_empty() {
        return Err(expected());
    }
    let source = match source.parse::<u32>() {
        Ok(dimension) if is_multi => Source::Multi(wire::MultiConfig { dimension }),
        Err(_) if is_multi => return Err(expected()),
        Err(_) if source == "sparse" => Source::Sparse(wire::SparseConfig {}),
        Ok(dimension) => Source::Dimension(dimension),
        Err(_) => Source::Embedder(source.to_owned()),
    };
    let config =
        wire::VectorConfig { source: Some(source), metric: metric.into(), ..Default::default() };
    Ok((name.to_owned(), config))
}

fn metric_of(name: &str) -> Option<wire::Metric> {
    [
        (Metric::Cosine, wire::Metric::Cosine),
        (Metric::Dot, wire::Metric::Dot),
        (Metric::Euclidean, wire::Metric::Euclidean),
    ]
    .into_iter()
    .find_map(|(metric, on_wire)| (metric.name() == name).then_some(on_wire))
}

fn metric_name(metric: wire::Metric) -> &'static str {
    match metric {
        wire::Metric::Unspecified | wire::Metric::Cosine => Metric::Cosine.name(),
        wire::Metric::Dot => Metric::Dot.name(),
        wire::Metric::Euclidean => Metric::Euclidean.name(),
    }
}

fn state_name(state: wire::CollectionState) -> &'static str {
    match state {
        wire::CollectionState::Unspecified => "unknown",
        wire::CollectionState::Ready => "ready",
        wire::CollectionState::ReadOnly => "read-only",
        wire::CollectionState::Quarantined => "quarantined",
    }
}

/// Returns a collection for a script.
pub(super) fn to_json(collection: &wire::Collection) -> Json {
    let vectors: serde_json::Map<_, _> = sorted(&collection.vectors)
        .into_iter()
        .map(|(name, vector)| {
            let source = (!vector.embedder.is_empty()).then_some(&vector.embedder);
            let value = json!({
                "embedder": source,
                "fingerprint": source.map(|_| &vector.fingerprint),
                "dimension": vector.dimension,
                "metric": metric_name(vector.metric()),
                "indexed": vector.indexed,
                "head": vector.head,
                "segments": vector.segments,
                "sparse": vector.sparse,
                "multi": vector.multi,
                "entries": (vector.sparse || vector.multi).then_some(vector.entries),
                "deleted": vector.deleted,
                "ef": (vector.ef > 0).then_some(vector.ef),
            });
            (name.clone(), value)
        })
        .collect();
    let fields: serde_json::Map<_, _> = sorted(&collection.fields)
        .into_iter()
        .map(|(name, field)| (name.clone(), json!(field.types)))
        .collect();
    json!({
        "name": collection.name,
        "aliases": collection.aliases,
        "tenant": (!collection.tenant.is_empty()).then_some(&collection.tenant),
        "description": collection.description,
        "metadata": collection.metadata,
        "state": state_name(collection.state()),
        "state_reason": (!collection.state_reason.is_empty()).then_some(&collection.state_reason),
        "documents": collection.documents,
        "parts": collection.parts,
        "last_sequence": collection.last_sequence,
        "disk_bytes": collection.disk_bytes,
        "waiting": collection.waiting,
        "upkeep": collection.upkeep.as_ref().map(|upkeep| json!({
            "kind": upkeep.kind,
            "vector": upkeep.vector,
            "done": upkeep.done,
            "total": upkeep.total,
        })),
        "upkeep_problem":
            (!collection.upkeep_problem.is_empty()).then_some(&collection.upkeep_problem),
        "memory": collection.memory.iter().map(|used| json!({
            "component": used.component,
            "bytes": used.bytes,
            "mapped": used.mapped,
        })).collect::<Vec<_>>(),
        "lexical": collection.lexical.is_none_or(|lexical| !lexical.disabled),
        "vectors": vectors,
        "fields": fields,
    })
}

fn table(list: &[wire::Collection]) -> String {
    if list.is_empty() {
        return "no collections yet; `simile ingest PATH --collection NAME` makes one".to_owned();
    }
    let width = list.iter().map(|collection| collection.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for collection in list {
        let state = match collection.state() {
            wire::CollectionState::Ready | wire::CollectionState::Unspecified => String::new(),
            state => styled(BAD, format!("  {}", state_name(state))),
        };
        drop(writeln!(
            text,
            "{STRONG}{:<width$}{STRONG:#}  {:>10} documents  {:>10} parts  {:>10}{state}",
            collection.name,
            collection.documents,
            collection.parts,
            bytes(collection.disk_bytes),
        ));
    }
    text
}

fn describe(collection: &wire::Collection) -> String {
    let state = match collection.state() {
        state @ wire::CollectionState::Ready => styled(GOOD, state_name(state)),
        state => styled(BAD, format!("{}: {}", state_name(state), collection.state_reason)),
    };
    let mut text = format!(
        "{STRONG}{}{STRONG:#}  {state}\n{}, {} parts, {} on disk, newest mutation {}\n{}",
        collection.name,
        documents(collection.documents),
        collection.parts,
        bytes(collection.disk_bytes),
        collection.last_sequence,
        vector_lines(collection),
    );
    if !collection.tenant.is_empty() {
        drop(writeln!(text, "tenant: field {}", collection.tenant));
    }
    if !collection.description.is_empty() {
        drop(writeln!(text, "{}", collection.description));
    }
    for (name, value) in sorted(&collection.metadata) {
        drop(writeln!(text, "{name}: {value}"));
    }
    if !collection.aliases.is_empty() {
        drop(writeln!(text, "aliases {}", collection.aliases.join(", ")));
    }
    for (name, field) in sorted(&collection.fields) {
        drop(writeln!(text, "field {name}: {}", field.types.join(", ")));
    }
    for used in collection.memory.iter().filter(|used| used.bytes > 0) {
        let kind = if used.mapped { "mapped" } else { "memory" };
        drop(writeln!(text, "{kind} {}: {}", used.component, bytes(used.bytes)));
    }
    if let Some(upkeep) = &collection.upkeep {
        let (kind, vector) = (&upkeep.kind, &upkeep.vector);
        drop(writeln!(text, "upkeep: {kind} of vector {vector}, {}/{}", upkeep.done, upkeep.total));
    }
    if !collection.upkeep_problem.is_empty() {
        let problem = styled(BAD, format!("upkeep failed: {}", collection.upkeep_problem));
        drop(writeln!(text, "{problem}"));
    }
    text
}

fn vector_lines(collection: &wire::Collection) -> String {
    let mut text = String::new();
    for (name, vector) in sorted(&collection.vectors) {
        let source = if vector.embedder.is_empty() { "given" } else { &vector.embedder };
        if vector.sparse {
            drop(writeln!(
                text,
                "vector {name}: {source}, sparse  {FAINT}{} entries of {} vectors in {} of memory{FAINT:#}",
                vector.entries,
                vector.indexed + vector.head,
                bytes(vector.memory_bytes),
            ));
            continue;
        }
        if vector.multi {
            drop(writeln!(
                text,
                "vector {name}: {source}, several of {} components, {}  {FAINT}{} of {} parts in {} of memory{FAINT:#}",
                vector.dimension,
                metric_name(vector.metric()),
                vector.entries,
                vector.indexed,
                bytes(vector.memory_bytes),
            ));
            continue;
        }
        let ef = if vector.ef > 0 { format!(", ef {}", vector.ef) } else { String::new() };
        drop(writeln!(
            text,
            "vector {name}: {source}, {} components, {}{ef}  {FAINT}{} in {} segments, {} of them deleted, {} in the head{FAINT:#}",
            vector.dimension,
            metric_name(vector.metric()),
            vector.indexed,
            vector.segments,
            vector.deleted,
            vector.head,
        ));
    }
    text
}

fn sorted<V>(map: &HashMap<String, V>) -> Vec<(&String, &V)> {
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_by_key(|(name, _)| *name);
    entries
}

/// Returns a number of documents in words.
pub(super) fn documents(number: u64) -> String {
    if number == 1 { "1 document".to_owned() } else { format!("{number} documents") }
}

/// Returns a number of bytes for a person.
pub(super) fn bytes(number: u64) -> String {
    indicatif::HumanBytes(number).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_is_named_with_a_model_or_a_dimension() {
        let (name, config) = vector_config("text=all-MiniLM-L6-v2").unwrap();
        assert_eq!(name, "text");
        assert_eq!(config.source, Some(Source::Embedder("all-MiniLM-L6-v2".to_owned())));
        let (_, config) = vector_config("words=sparse").unwrap();
        assert_eq!(config.source, Some(Source::Sparse(wire::SparseConfig {})));
        let (_, config) = vector_config("image=512:euclidean").unwrap();
        assert_eq!(config.source, Some(Source::Dimension(512)));
        assert_eq!(config.metric(), wire::Metric::Euclidean);
        let (_, config) = vector_config("tokens=multi:128:dot").unwrap();
        assert_eq!(config.source, Some(Source::Multi(wire::MultiConfig { dimension: 128 })));
        assert_eq!(config.metric(), wire::Metric::Dot);
        let wrong = ["", "text", "=5", "text=", "image=5:manhattan", "t=multi:", "t=multi:x"];
        for wrong in wrong {
            assert!(vector_config(wrong).is_err(), "{wrong}");
        }
    }
}
