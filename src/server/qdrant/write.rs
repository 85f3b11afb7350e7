//! What is written: points, their payloads and their vectors.

use std::collections::BTreeMap;
use std::sync::Arc;

use simile_proto::qdrant::points_selector::PointsSelectorOneOf;
use simile_proto::qdrant::points_update_operation::{self as operation, Operation};
use simile_proto::qdrant::{self as wire};
use tonic::Status;

use super::super::translate::{WireError, at_most};
use super::ask::{Asked, one_server, status_of};
use super::filter::filter;
use super::query::check_model;
use super::value::{document_id, document_ids, field_path, payload, unsupported};
use super::vector::{Embeddings, Input, Unembedded, inputs, stored_name};
use crate::collection::{Expected, PayloadChange, StoredDocument, Terms, Updated, Upsert};
use crate::document::{DocumentId, Filter, Payload, Sequence};
use crate::embed::Role;
use crate::error::ErrorKind;
use crate::ingest::{Outcome, PartSource, Source, SourceContent};
use crate::vector::Vector;

/// The most points of one request.
const POINTS_MAX: usize = 100_000;
/// The most ids that one request names.
const IDS_MAX: usize = 100_000;
/// The longest text that is kept beside its vector, in bytes.
const TEXT_BYTES_MAX: usize = 48 * 1024;
/// How often vectors are put to a point that others change at the same moment.
const TRIES_MAX: usize = 16;
/// The most operations of a batch.
const OPERATIONS_MAX: usize = 1_000;
/// Points that are read at a time.
const STEP: usize = 1_000;

/// The number of the last mutation, and what was read to embed.
pub(super) type Written = (Sequence, Option<wire::Usage>);

/// Which points a mutation is about.
pub(super) enum Selected {
    Ids(Vec<DocumentId>),
    Filter(Filter),
}

impl Selected {
    /// Returns the selection.
    pub(super) fn of(
        asked: &Asked<'_>,
        selector: Option<wire::PointsSelector>,
    ) -> Result<Self, WireError> {
        let selector = selector.and_then(|selector| selector.points_selector_one_of);
        match selector.ok_or(WireError::Missing("the points: ids or a filter"))? {
            PointsSelectorOneOf::Points(list) => {
                at_most("ids", list.ids.len(), IDS_MAX)?;
                Ok(Self::Ids(document_ids(list.ids)?))
            }
            PointsSelectorOneOf::Filter(given) => {
                Ok(Self::Filter(asked.collection.lenient(&filter(given)?)))
            }
        }
    }
}

/// Returns the outcome of a write as it travels. What is answered is stored and seen, whether or not
/// it was to be waited for.
pub(super) fn result(sequence: Sequence, wait: Option<bool>) -> wire::UpdateResult {
    let status = match wait {
        Some(true) => wire::UpdateStatus::Completed,
        Some(false) | None => wire::UpdateStatus::Acknowledged,
    };
    wire::UpdateResult { operation_id: Some(sequence.0), status: status.into() }
}

/// Stores points.
pub(super) fn upsert(asked: &Asked<'_>, message: wire::UpsertPoints) -> Result<Written, Status> {
    one_server(None, message.shard_key_selector)?;
    unsupported(message.update_filter.is_some(), "`update_filter`")?;
    let mode = message.update_mode.unwrap_or_default();
    let unknown = |_| WireError::UnknownChoice { what: "update mode", actual: mode };
    let mode = wire::UpdateMode::try_from(mode).map_err(unknown)?;
    at_most("points", message.points.len(), POINTS_MAX)?;
    let mut drafts = Vec::with_capacity(message.points.len());
    let mut unembedded = Unembedded::default();
    for point in message.points {
        let draft = Draft::of(asked, point)?;
        unembedded.note(&draft.inputs, &asked.collection.settings());
        drafts.push(draft);
    }
    let embeddings = unembedded.embed(asked.shared, Role::Passage, asked.cancel)?;
    let mut upserts = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let Some(expected) = draft.expected(asked, mode)? else { continue };
        let terms = Terms { expected, ..Terms::default() };
        upserts.push(Upsert { source: draft.source(asked, &embeddings)?, terms });
    }
    // One version after the other, where a request has several of a point.
    let mut last = Sequence(0);
    for upserts in runs_of_distinct(upserts) {
        last = last.max(store(asked, upserts, mode)?);
    }
    Ok((last, embeddings.usage()))
}

/// A point whose texts and pictures are not embedded yet.
struct Draft {
    id: DocumentId,
    inputs: BTreeMap<String, Input>,
    payload: Payload,
}

impl Draft {
    fn of(asked: &Asked<'_>, point: wire::PointStruct) -> Result<Self, Status> {
        let id = document_id(point.id.ok_or(WireError::Missing("the id of a point"))?)?;
        let inputs = inputs(point.vectors)?;
        for (name, input) in &inputs {
            if let Some(model) = input.model() {
                check_model(asked, name, model)?;
            }
        }
        Ok(Self { id, inputs, payload: payload(point.payload)? })
    }

    /// Returns the state that the point has to be in; nothing if it is to be left alone.
    fn expected(
        &self,
        asked: &Asked<'_>,
        mode: wire::UpdateMode,
    ) -> Result<Option<Option<Expected>>, Status> {
        if mode == wire::UpdateMode::Upsert {
            return Ok(Some(None));
        }
        let stored = asked.collection.get(std::slice::from_ref(&self.id), false);
        let stored = stored.map_err(|error| status_of(&error))?;
        Ok(match (mode, stored.first()) {
            (wire::UpdateMode::InsertOnly, None) => Some(Some(Expected::Absent)),
            (wire::UpdateMode::UpdateOnly, Some(stored)) => {
                Some(Some(Expected::Sequence(stored.sequence)))
            }
            _ => None,
        })
    }

    /// Returns what is stored. A text is kept beside its vector, so that it can be asked for by words. A
    /// picture or a video that the collection embeds is a document as if its file was stored.
    fn source(self, asked: &Asked<'_>, embeddings: &Embeddings) -> Result<Source, Status> {
        let settings = asked.collection.settings();
        let (mut text, mut bound) = (None::<String>, None::<String>);
        let mut shown = None::<Arc<[u8]>>;
        let mut vectors = BTreeMap::new();
        for (name, input) in self.inputs {
            if let Input::Picture { picture: file, .. } | Input::Video { video: file, .. } = &input
                && settings.embedder(&name).is_some()
            {
                if shown.as_ref().is_some_and(|shown| shown != file) {
                    let message =
                        "the vectors that the collection embeds take one picture or video";
                    return Err(Status::invalid_argument(message));
                }
                shown = Some(Arc::clone(file));
            }
            if let Input::Text { text: given, .. } = &input {
                if settings.embedder(&name).is_some() {
                    if bound.as_ref().is_some_and(|bound| bound != given) {
                        let message = "the vectors that the collection embeds take one text";
                        return Err(Status::invalid_argument(message));
                    }
                    bound = Some(given.clone());
                } else if text.is_none() && given.len() <= TEXT_BYTES_MAX {
                    text = Some(given.clone());
                }
            }
            if let Some(vector) = embeddings.vector(input) {
                vectors.insert(name, vector);
            }
        }
        if let Some(shown) = shown {
            if bound.is_some() || text.is_some() || !vectors.is_empty() {
                let message = "beside a picture or a video that the collection embeds, a point has no \
                               text and no other vector";
                return Err(Status::invalid_argument(message));
            }
            let (bytes, media_type) = (shown.to_vec(), None);
            let content = SourceContent::File { name: String::new(), bytes, media_type };
            return Ok(Source { id: self.id, content, payload: self.payload });
        }
        let content = match bound.or(text) {
            Some(text) => SourceContent::Parts(vec![PartSource { text, vectors, span: None }]),
            None => SourceContent::Vectors(vectors),
        };
        Ok(Source { id: self.id, content, payload: self.payload })
    }
}

/// Cuts a list where an id comes again.
fn runs_of_distinct(upserts: Vec<Upsert>) -> Vec<Vec<Upsert>> {
    let mut runs = vec![Vec::new()];
    let mut seen = std::collections::HashSet::new();
    for upsert in upserts {
        if !seen.insert(upsert.source.id.clone()) {
            seen.clear();
            seen.insert(upsert.source.id.clone());
            runs.push(Vec::new());
        }
        if let Some(run) = runs.last_mut() {
            run.push(upsert);
        }
    }
    runs
}

fn store(
    asked: &Asked<'_>,
    upserts: Vec<Upsert>,
    mode: wire::UpdateMode,
) -> Result<Sequence, Status> {
    let stored = asked.collection.store_on(upserts, asked.cancel);
    let stored = stored.map_err(|error| status_of(&error))?;
    let mut last = Sequence(0);
    for result in stored {
        match result.outcome {
            Outcome::Stored(stored) => last = last.max(stored.sequence),
            Outcome::Unchanged => {}
            // Somebody else was there before, or has taken it away.
            Outcome::Failed(error)
                if error.kind == ErrorKind::Conflict && mode != wire::UpdateMode::Upsert => {}
            Outcome::Failed(error) => {
                let message = format!("point {}: {}", result.id, error.message);
                return Err(super::super::status::from_kind(error.kind, message));
            }
        }
    }
    Ok(last)
}

/// Deletes points.
pub(super) fn delete(asked: &Asked<'_>, selected: Selected) -> Result<Written, Status> {
    let deleted = match selected {
        Selected::Ids(ids) => asked.collection.delete(ids),
        Selected::Filter(filter) => asked.collection.delete_where(&filter),
    };
    Ok((deleted.map_err(|error| status_of(&error))?.1, None))
}

/// Changes payloads; a point that is named and not stored is an error where it says so.
pub(super) fn change(
    asked: &Asked<'_>,
    selected: Selected,
    change: PayloadChange,
) -> Result<Written, Status> {
    let terms = Terms::default();
    let updated = match selected {
        Selected::Ids(ids) => asked.collection.update(ids, change, &terms),
        Selected::Filter(filter) => asked.collection.update_where(&filter, change, &terms),
    };
    let Updated { sequence, missing, failed, .. } = updated.map_err(|error| status_of(&error))?;
    if let Some((id, error)) = failed.first() {
        let status = status_of(error);
        return Err(Status::new(status.code(), format!("point {id}: {}", status.message())));
    }
    if let Some(id) = missing.first() {
        return Err(Status::not_found(format!("Not found: No point with id {id} found")));
    }
    Ok((sequence, None))
}

/// Returns the change that sets fields.
pub(super) fn setting(
    fields: std::collections::HashMap<String, wire::Value>,
    key: Option<String>,
) -> Result<PayloadChange, WireError> {
    let at = key.filter(|key| !key.is_empty()).map(|key| field_path(&key)).transpose()?;
    Ok(PayloadChange::Set { at, fields: payload(fields)? })
}

/// Returns the change that puts fields in place of all others.
pub(super) fn overwriting(
    fields: std::collections::HashMap<String, wire::Value>,
    key: Option<String>,
) -> Result<PayloadChange, WireError> {
    unsupported(key.is_some_and(|key| !key.is_empty()), "`key` of OverwritePayload")?;
    Ok(PayloadChange::Overwrite(payload(fields)?))
}

/// Returns the change that takes fields away.
pub(super) fn deleting(keys: &[String]) -> Result<PayloadChange, WireError> {
    if keys.is_empty() {
        return Err(WireError::Missing("the keys that are deleted"));
    }
    let paths = keys.iter().map(|key| field_path(key)).collect::<Result<_, _>>()?;
    Ok(PayloadChange::Delete(paths))
}

/// Puts vectors to points; those of other names stay.
pub(super) fn update_vectors(
    asked: &Asked<'_>,
    points: Vec<wire::PointVectors>,
    update_filter: Option<wire::Filter>,
) -> Result<Written, Status> {
    unsupported(update_filter.is_some(), "`update_filter`")?;
    at_most("points", points.len(), POINTS_MAX)?;
    let mut unembedded = Unembedded::default();
    let mut given = Vec::with_capacity(points.len());
    for point in points {
        let id = document_id(point.id.ok_or(WireError::Missing("the id of a point"))?)?;
        let inputs = inputs(point.vectors)?;
        for (name, input) in &inputs {
            let is_made = asked.collection.settings().embedder(name).is_some();
            unsupported(is_made, &format!("another vector `{name}`, which the collection embeds"))?;
            if let Some(model) = input.model() {
                check_model(asked, name, model)?;
            }
        }
        unembedded.note(&inputs, &asked.collection.settings());
        given.push((id, inputs));
    }
    let embeddings = unembedded.embed(asked.shared, Role::Passage, asked.cancel)?;
    let mut last = Sequence(0);
    for (id, inputs) in given {
        let new: BTreeMap<String, Vector> = inputs
            .into_iter()
            .filter_map(|(name, input)| Some((name, embeddings.vector(input)?)))
            .collect();
        let changed = change_vectors(asked, &id, &|vectors| vectors.extend(new.clone()))?;
        last = last.max(changed);
    }
    Ok((last, embeddings.usage()))
}

/// Takes vectors away from points.
pub(super) fn delete_vectors(
    asked: &Asked<'_>,
    selected: Selected,
    names: Option<wire::VectorsSelector>,
) -> Result<Written, Status> {
    let names = names.ok_or(WireError::Missing("the names of the vectors"))?.names;
    let names: Vec<String> = names.iter().map(|name| stored_name(name).to_owned()).collect();
    let ids = match selected {
        Selected::Ids(ids) => ids,
        Selected::Filter(filter) => ids_of(asked, &filter)?,
    };
    let mut last = Sequence(0);
    for id in ids {
        let take_away = |vectors: &mut BTreeMap<String, Vector>| {
            vectors.retain(|name, _| !names.contains(name));
        };
        last = last.max(change_vectors(asked, &id, &take_away)?);
    }
    Ok((last, None))
}

fn ids_of(asked: &Asked<'_>, filter: &Filter) -> Result<Vec<DocumentId>, Status> {
    let mut ids: Vec<DocumentId> = Vec::new();
    loop {
        asked.cancel.check().map_err(super::super::status::interrupted)?;
        let page = asked.collection.scroll(Some(filter), ids.last(), STEP, false, false);
        let (documents, has_more) = page.map_err(|error| status_of(&error))?;
        ids.extend(documents.into_iter().map(|document| document.id));
        if !has_more {
            return Ok(ids);
        }
    }
}

/// Changes the vectors of a point, as it is when they are changed.
fn change_vectors(
    asked: &Asked<'_>,
    id: &DocumentId,
    change: &dyn Fn(&mut BTreeMap<String, Vector>),
) -> Result<Sequence, Status> {
    for _ in 0..TRIES_MAX {
        asked.cancel.check().map_err(super::super::status::interrupted)?;
        let stored = asked.collection.get(std::slice::from_ref(id), true);
        let stored = stored.map_err(|error| status_of(&error))?.into_iter().next();
        let Some(StoredDocument { payload, sequence, parts, expires_unix_ms, .. }) = stored else {
            return Err(Status::not_found(format!("Not found: No point with id {id} found")));
        };
        unsupported(parts.len() > 1, &format!("other vectors of `{id}`, which has several parts"))?;
        let Some(mut part) = parts.into_iter().next() else { return Ok(sequence) };
        change(&mut part.vectors);
        let is_given = |name: &String| asked.collection.settings().embedder(name).is_none();
        part.vectors.retain(|name, _| is_given(name));
        let part = PartSource { text: part.text, vectors: part.vectors, span: Some(part.span) };
        let source = Source { id: id.clone(), content: SourceContent::Parts(vec![part]), payload };
        let expected = Some(Expected::Sequence(sequence));
        let terms = Terms { expected, expires_unix_ms, ..Terms::default() };
        let stored = asked.collection.store_on(vec![Upsert { source, terms }], asked.cancel);
        let stored = stored.map_err(|error| status_of(&error))?.into_iter().next();
        match stored.map(|result| result.outcome) {
            Some(Outcome::Stored(stored)) => return Ok(stored.sequence),
            Some(Outcome::Unchanged) | None => return Ok(sequence),
            // It was changed meanwhile.
            Some(Outcome::Failed(error)) if error.kind == ErrorKind::Conflict => {}
            Some(Outcome::Failed(error)) => {
                let message = format!("point {id}: {}", error.message);
                return Err(super::super::status::from_kind(error.kind, message));
            }
        }
    }
    Err(Status::aborted(format!("point {id} is changed by others again and again")))
}

/// Does several operations, one after the other; the first that fails ends them.
pub(super) fn batch(
    asked: &Asked<'_>,
    message: wire::UpdateBatchPoints,
) -> Result<(Vec<wire::UpdateResult>, Option<wire::Usage>), Status> {
    at_most("operations", message.operations.len(), OPERATIONS_MAX)?;
    let mut results = Vec::with_capacity(message.operations.len());
    for operation in message.operations {
        let operation = operation.operation.ok_or(WireError::Missing("the operation"))?;
        let (sequence, _) = one(asked, &message.collection_name, operation)?;
        results.push(result(sequence, message.wait));
    }
    Ok((results, None))
}

fn one(asked: &Asked<'_>, name: &str, operation: Operation) -> Result<Written, Status> {
    match operation {
        Operation::Upsert(operation::PointStructList {
            points,
            shard_key_selector,
            update_filter,
            update_mode,
        }) => {
            let message = wire::UpsertPoints {
                collection_name: name.to_owned(),
                points,
                shard_key_selector,
                update_filter,
                update_mode,
                ..wire::UpsertPoints::default()
            };
            upsert(asked, message)
        }
        Operation::DeleteDeprecated(points) => delete(asked, Selected::of(asked, Some(points))?),
        Operation::DeletePoints(given) => {
            one_server(None, given.shard_key_selector)?;
            delete(asked, Selected::of(asked, given.points)?)
        }
        Operation::SetPayload(given) => {
            one_server(None, given.shard_key_selector)?;
            let selected = Selected::of(asked, given.points_selector)?;
            change(asked, selected, setting(given.payload, given.key)?)
        }
        Operation::OverwritePayload(given) => {
            one_server(None, given.shard_key_selector)?;
            let selected = Selected::of(asked, given.points_selector)?;
            change(asked, selected, overwriting(given.payload, given.key)?)
        }
        Operation::DeletePayload(given) => {
            one_server(None, given.shard_key_selector)?;
            let selected = Selected::of(asked, given.points_selector)?;
            change(asked, selected, deleting(&given.keys)?)
        }
        Operation::ClearPayloadDeprecated(points) => {
            change(asked, Selected::of(asked, Some(points))?, PayloadChange::Clear)
        }
        Operation::ClearPayload(given) => {
            one_server(None, given.shard_key_selector)?;
            change(asked, Selected::of(asked, given.points)?, PayloadChange::Clear)
        }
        Operation::UpdateVectors(given) => {
            one_server(None, given.shard_key_selector)?;
            update_vectors(asked, given.points, given.update_filter)
        }
        Operation::DeleteVectors(given) => {
            one_server(None, given.shard_key_selector)?;
            let selected = Selected::of(asked, given.points_selector)?;
            delete_vectors(asked, selected, given.vectors)
        }
    }
}
