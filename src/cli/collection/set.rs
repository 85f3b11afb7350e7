//! `simile collection set`: what a collection in use is like from now on.

use std::collections::HashMap;

use serde_json::json;
use simile_proto::v1::{self as wire};

use super::arguments::{QuantisationName, SetArguments};
use super::{describe, to_json};
use crate::cli::connection::with_session;
use crate::cli::exit::{CliError, Outcome};
use crate::cli::output::Output;
use crate::cli::serve::Setting;

pub(super) fn set(
    setting: &Setting,
    arguments: &SetArguments,
    output: &Output,
) -> Result<Outcome, CliError> {
    let metadata = pairs(&arguments.metadata)?;
    let change = wire::VectorChange {
        hnsw_m: arguments.hnsw_m,
        hnsw_ef_construction: arguments.ef_construction,
        quantisation: arguments.quantisation.map_or(0, |name| name.on_wire().into()),
        ef: arguments.ef,
    };
    let is_graph = change != wire::VectorChange::default();
    let chunk: wire::ChunkConfig = arguments.chunk.into();
    let chunk = (chunk != wire::ChunkConfig::default()).then_some(chunk);
    let is_nothing = !is_graph && chunk.is_none() && metadata.is_empty();
    if is_nothing && arguments.description.is_none() {
        return Err(CliError::usage("nothing to set is given; --help says what can be"));
    }
    with_session(setting, &arguments.connection, async |session| {
        let name = arguments.name.clone();
        let mut vectors = HashMap::new();
        if is_graph {
            let request = wire::GetCollectionRequest { name: name.clone() };
            let found = session.collections().get(session.request(request)).await?.into_inner();
            vectors.insert(vector_of(arguments.vector.as_deref(), &found)?, change);
        }
        let request = session.request(wire::ChangeCollectionRequest {
            name,
            chunk,
            vectors,
            description: arguments.description.clone(),
            metadata: metadata.clone(),
        });
        let collection = session.collections().change(request).await?.into_inner();
        output.answer(|| json!(to_json(&collection)), || describe(&collection))?;
        Ok(Outcome::Done)
    })
}

/// Returns the vector that is meant: the one that is named, or the only one that has a graph.
fn vector_of(named: Option<&str>, collection: &wire::Collection) -> Result<String, CliError> {
    if let Some(name) = named {
        return Ok(name.to_owned());
    }
    let mut dense = collection.vectors.iter().filter(|(_, info)| !info.sparse && !info.multi);
    match (dense.next(), dense.next()) {
        (Some((name, _)), None) => Ok(name.clone()),
        (None, _) => Err(CliError::usage(format!(
            "collection `{}` has no vector with a graph that could be set",
            collection.name
        ))),
        (Some(_), Some(_)) => Err(CliError::usage(format!(
            "collection `{}` has several vectors: --vector says which one",
            collection.name
        ))),
    }
}

/// Reads `NAME=TEXT`, each name once.
pub(super) fn pairs(texts: &[String]) -> Result<HashMap<String, String>, CliError> {
    let mut pairs = HashMap::new();
    for text in texts {
        let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
        let (name, value) = pair.ok_or_else(|| {
            CliError::usage(format!("metadata `{text}`: expected NAME=TEXT, as owner=ann"))
        })?;
        if pairs.insert(name.to_owned(), value.to_owned()).is_some() {
            return Err(CliError::usage(format!("metadata `{name}` stands twice")));
        }
    }
    Ok(pairs)
}

impl QuantisationName {
    fn on_wire(self) -> wire::Quantisation {
        match self {
            Self::None => wire::Quantisation::None,
            Self::Int8 => wire::Quantisation::Int8,
            Self::Binary => wire::Quantisation::Binary,
        }
    }
}
