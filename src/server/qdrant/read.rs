//! What is read: points by id and in pages, counts, and answers to questions.

use simile_proto::qdrant::{self as wire, facet_value, group_id, order_value};
use tonic::Status;

use super::super::translate::WireError;
use super::ask::{Asked, one_server, status_of};
use super::filter::optional_filter;
use super::query::{
    Grouped, List, ListKind, Query, Search, Step, grouped, order_by, search, size, step,
};
use super::value::{Fields, document_id, document_ids, field_path, point_id, unsupported};
use super::vector::Names;
use crate::collection::{Error, StoredDocument};
use crate::document::{DocumentId, Filter, FilterError, Value, parse_datetime};
use crate::query::{BATCH_MAX, Hit, HitGroup, OrderBy, WINDOW_MAX};

/// The points of a page where the request does not say.
const PAGE: u64 = 10;
/// The most points of an answer, whatever was asked for: the next page begins after them.
const PAGE_MAX: usize = 100_000;
/// Points that are read at a time.
const STEP: usize = 1_000;
/// The values of a facet where the request does not say.
const FACET_VALUES: usize = 10;
/// The hits of a group where the request does not say.
const GROUP_SIZE: usize = 3;

/// What is answered of each point.
pub(super) struct Told {
    fields: Fields,
    names: Names,
}

impl Told {
    /// Returns what selectors mean; `has_payload` where there is none for the payload.
    fn of(
        fields: Option<wire::WithPayloadSelector>,
        has_payload: bool,
        names: Option<wire::WithVectorsSelector>,
    ) -> Result<Self, WireError> {
        Ok(Self { fields: Fields::of(fields, has_payload)?, names: Names::of(names) })
    }

    fn with_vectors(&self) -> bool {
        !self.names.is_none()
    }

    fn retrieved(&self, document: StoredDocument) -> wire::RetrievedPoint {
        let vectors = document.parts.into_iter().next().map(|part| part.vectors);
        wire::RetrievedPoint {
            id: Some(point_id(&document.id)),
            payload: self.fields.select(document.payload),
            vectors: vectors.and_then(|vectors| self.names.select(vectors)),
            ..wire::RetrievedPoint::default()
        }
    }

    /// A document that is not ranked, as a hit.
    fn listed(&self, document: StoredDocument) -> wire::ScoredPoint {
        let version = document.sequence.0;
        let point = self.retrieved(document);
        wire::ScoredPoint {
            id: point.id,
            payload: point.payload,
            version,
            vectors: point.vectors,
            ..wire::ScoredPoint::default()
        }
    }

    fn scored(&self, hit: Hit, search: &Search) -> wire::ScoredPoint {
        wire::ScoredPoint {
            id: Some(point_id(&hit.id)),
            payload: hit.payload.map(|payload| self.fields.select(payload)).unwrap_or_default(),
            score: search.told(hit.score),
            vectors: self.names.select(hit.vectors),
            ..wire::ScoredPoint::default()
        }
    }
}

/// Reads points by id.
pub(super) fn get(
    asked: &Asked<'_>,
    message: wire::GetPoints,
) -> Result<Vec<wire::RetrievedPoint>, Status> {
    one_server(message.read_consistency, message.shard_key_selector)?;
    let told = Told::of(message.with_payload, true, message.with_vectors)?;
    let ids = document_ids(message.ids)?;
    let found = asked.collection.get(&ids, told.with_vectors());
    let found = found.map_err(|error| status_of(&error))?;
    Ok(found.into_iter().map(|document| told.retrieved(document)).collect())
}

/// Reads a page of points; returns where the next one begins, too.
pub(super) fn scroll(
    asked: &Asked<'_>,
    message: wire::ScrollPoints,
) -> Result<(Vec<wire::RetrievedPoint>, Option<wire::PointId>), Status> {
    one_server(message.read_consistency, message.shard_key_selector)?;
    let told = Told::of(message.with_payload, true, message.with_vectors)?;
    let filter = asked.fitted(optional_filter(message.filter)?);
    let limit = size(Some(message.limit.map_or(PAGE, u64::from)), 0);
    if limit == 0 {
        let (least, most) = (1, PAGE_MAX as u64);
        return Err(WireError::OutOfRange { what: "limit", actual: 0, least, most }.into());
    }
    let Some(order) = message.order_by else {
        let from = message.offset.map(document_id).transpose()?;
        let (page, next) = page_by_id(asked, filter.as_ref(), from, limit, told.with_vectors())?;
        let points = page.into_iter().map(|document| told.retrieved(document)).collect();
        return Ok((points, next.as_ref().map(point_id)));
    };
    unsupported(message.offset.is_some(), "`offset` with `order_by`")?;
    let order = order_by(order)?;
    let page = page_in_order(asked, filter.as_ref(), &order, limit, told.with_vectors())?;
    let ordered = |document: StoredDocument| {
        let value = crate::query::order_key(&document.payload, &order).map(|(_, value)| value);
        let order_value = value.and_then(order_value_to_wire);
        wire::RetrievedPoint { order_value, ..told.retrieved(document) }
    };
    Ok((page.into_iter().map(ordered).collect(), None))
}

/// Returns up to `limit` documents from an id on, that one included, and the id after them.
fn page_by_id(
    asked: &Asked<'_>,
    filter: Option<&Filter>,
    from: Option<DocumentId>,
    limit: usize,
    with_vectors: bool,
) -> Result<(Vec<StoredDocument>, Option<DocumentId>), Status> {
    // One more, which is where the next page begins.
    let wanted = limit.min(PAGE_MAX).saturating_add(1);
    let mut page = Vec::new();
    if let Some(from) = &from {
        let mut both = vec![Filter::Ids(vec![from.clone()])];
        both.extend(filter.cloned());
        let only =
            asked.collection.scroll(Some(&Filter::All(both)), None, 1, with_vectors, with_vectors);
        page.extend(only.map_err(|error| status_of(&error))?.0);
    }
    let mut after = from;
    while page.len() < wanted {
        asked.cancel.check().map_err(super::super::status::interrupted)?;
        let count = (wanted - page.len()).min(STEP);
        let step =
            asked.collection.scroll(filter, after.as_ref(), count, with_vectors, with_vectors);
        let (documents, has_more) = step.map_err(|error| status_of(&error))?;
        after = documents.last().map(|document| document.id.clone());
        page.extend(documents);
        if !has_more {
            break;
        }
    }
    let next = if page.len() == wanted { page.pop().map(|document| document.id) } else { None };
    Ok((page, next))
}

/// Returns up to `limit` documents in the order of a field.
fn page_in_order(
    asked: &Asked<'_>,
    filter: Option<&Filter>,
    order: &OrderBy,
    limit: usize,
    with_vectors: bool,
) -> Result<Vec<StoredDocument>, Status> {
    let (with, cancel) = ((with_vectors, with_vectors), asked.cancel);
    let limit = limit.min(WINDOW_MAX);
    let mut page = Vec::new();
    let mut after = None;
    while page.len() < limit {
        let count = (limit - page.len()).min(STEP);
        let ordered =
            asked.collection.scroll_ordered(filter, order, after.as_ref(), count, with, cancel);
        let ordered = ordered.map_err(|error| status_of(&error))?;
        page.extend(ordered.documents);
        after = ordered.next;
        if after.is_none() {
            break;
        }
    }
    Ok(page)
}

/// Numbers as they are, times in microseconds.
fn order_value_to_wire(value: Value) -> Option<wire::OrderValue> {
    let variant = match value {
        Value::Integer(integer) => order_value::Variant::Int(integer),
        Value::Float(float) => order_value::Variant::Float(float),
        Value::Text(text) => order_value::Variant::Int(parse_datetime(&text)? / 1_000),
        Value::Null | Value::Boolean(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    Some(wire::OrderValue { variant: Some(variant) })
}

/// Counts points.
pub(super) fn count(asked: &Asked<'_>, message: wire::CountPoints) -> Result<u64, Status> {
    one_server(message.read_consistency, message.shard_key_selector)?;
    let filter = asked.fitted(optional_filter(message.filter)?);
    let counted = asked.collection.count(filter.as_ref());
    Ok(counted.map_err(|error| status_of(&error))?.documents)
}

/// Counts points by the values of a field.
pub(super) fn facet(
    asked: &Asked<'_>,
    message: wire::FacetCounts,
) -> Result<Vec<wire::FacetHit>, Status> {
    one_server(message.read_consistency, message.shard_key_selector)?;
    let path = field_path(&message.key)?;
    let filter = asked.fitted(optional_filter(message.filter)?);
    let limit = size(message.limit, FACET_VALUES);
    let counted = asked.collection.facet(&path, filter.as_ref(), limit, asked.cancel);
    let counted = match counted {
        // What no point has, has no values.
        Err(Error::Filter(FilterError::UnknownField { .. })) => Vec::new(),
        counted => counted.map_err(|error| status_of(&error))?,
    };
    let hit = |counted: crate::collection::FacetValue| {
        let variant = match counted.value {
            Value::Text(text) => facet_value::Variant::StringValue(text),
            Value::Integer(integer) => facet_value::Variant::IntegerValue(integer),
            Value::Boolean(boolean) => facet_value::Variant::BoolValue(boolean),
            // The protocol has no word for these.
            Value::Float(_) | Value::Null | Value::Array(_) | Value::Object(_) => return None,
        };
        let value = wire::FacetValue { variant: Some(variant) };
        Some(wire::FacetHit { value: Some(value), count: counted.documents })
    };
    Ok(counted.into_iter().filter_map(hit).collect())
}

/// Hits, and what was read to embed the question.
pub(super) type Hits = (Vec<wire::ScoredPoint>, Option<wire::Usage>);

/// Answers a query.
pub(super) fn query(asked: &Asked<'_>, message: wire::QueryPoints) -> Result<Hits, Status> {
    one_server(message.read_consistency, message.shard_key_selector)?;
    let told = Told::of(message.with_payload, false, message.with_vectors)?;
    let query = Query {
        prefetch: message.prefetch,
        query: message.query,
        using: message.using,
        filter: message.filter,
        params: message.params,
        score_threshold: message.score_threshold,
        limit: message.limit,
        offset: message.offset,
        lookup_from: message.lookup_from,
    };
    match step(asked, query)? {
        Step::Search(search) => hits(asked, *search, &told),
        Step::List(list) => Ok((listed(asked, &list, &told)?, None)),
    }
}

/// Answers several queries to one collection, one after the other.
pub(super) fn query_batch(
    asked: &Asked<'_>,
    message: wire::QueryBatchPoints,
) -> Result<(Vec<wire::BatchResult>, Option<wire::Usage>), Status> {
    one_server(message.read_consistency, None)?;
    batch(asked, message.collection_name, message.query_points, |one| &one.collection_name, query)
}

/// Answers a search in the older form.
pub(super) fn search_points(
    asked: &Asked<'_>,
    message: wire::SearchPoints,
) -> Result<Hits, Status> {
    one_server(message.read_consistency, message.shard_key_selector)?;
    let told = Told::of(message.with_payload, false, message.with_vectors)?;
    let query = Query {
        query: Some(nearest(message.vector, message.sparse_indices)),
        using: message.vector_name,
        filter: message.filter,
        params: message.params,
        score_threshold: message.score_threshold,
        limit: Some(message.limit),
        offset: message.offset,
        ..Query::default()
    };
    hits(asked, search(asked, query)?, &told)
}

/// Answers several searches in the older form.
pub(super) fn search_batch(
    asked: &Asked<'_>,
    message: wire::SearchBatchPoints,
) -> Result<(Vec<wire::BatchResult>, Option<wire::Usage>), Status> {
    one_server(message.read_consistency, None)?;
    let (name, searches) = (message.collection_name, message.search_points);
    batch(asked, name, searches, |one| &one.collection_name, search_points)
}

fn batch<M>(
    asked: &Asked<'_>,
    name: String,
    messages: Vec<M>,
    name_of: fn(&M) -> &String,
    answer: fn(&Asked<'_>, M) -> Result<Hits, Status>,
) -> Result<(Vec<wire::BatchResult>, Option<wire::Usage>), Status> {
    super::super::translate::at_most("queries", messages.len(), BATCH_MAX)?;
    let mut results = Vec::with_capacity(messages.len());
    let mut used: Option<wire::Usage> = None;
    for message in messages {
        let other = name_of(&message);
        if !other.is_empty() && *other != name {
            let message = format!("a batch asks one collection: it names `{name}`, and `{other}`");
            return Err(Status::invalid_argument(message));
        }
        let (result, usage) = answer(asked, message)?;
        results.push(wire::BatchResult { result });
        used = joined(used, usage);
    }
    Ok((results, used))
}

fn joined(one: Option<wire::Usage>, other: Option<wire::Usage>) -> Option<wire::Usage> {
    let (Some(mut one), Some(other)) = (one.clone(), other.clone()) else { return one.or(other) };
    let into = &mut one.inference.get_or_insert_default().models;
    for (model, usage) in other.inference.unwrap_or_default().models {
        into.entry(model).or_default().tokens += usage.tokens;
    }
    Some(one)
}

/// Answers a query in groups.
pub(super) fn query_groups(
    asked: &Asked<'_>,
    message: wire::QueryPointGroups,
) -> Result<(wire::GroupsResult, Option<wire::Usage>), Status> {
    one_server(message.read_consistency, message.shard_key_selector)?;
    unsupported(message.with_lookup.is_some(), "`with_lookup`")?;
    let told = Told::of(message.with_payload, false, message.with_vectors)?;
    let by = Grouped { path: message.group_by, size: size(message.group_size, GROUP_SIZE) };
    let query = Query {
        prefetch: message.prefetch,
        query: message.query,
        using: message.using,
        filter: message.filter,
        params: message.params,
        score_threshold: message.score_threshold,
        limit: message.limit,
        offset: None,
        lookup_from: message.lookup_from,
    };
    groups(asked, search(asked, query)?, by, &told)
}

/// Answers a search in the older form, in groups.
pub(super) fn search_groups(
    asked: &Asked<'_>,
    message: wire::SearchPointGroups,
) -> Result<(wire::GroupsResult, Option<wire::Usage>), Status> {
    one_server(message.read_consistency, message.shard_key_selector)?;
    unsupported(message.with_lookup.is_some(), "`with_lookup`")?;
    let told = Told::of(message.with_payload, false, message.with_vectors)?;
    let by = Grouped { path: message.group_by, size: message.group_size as usize };
    let query = Query {
        query: Some(nearest(message.vector, message.sparse_indices)),
        using: message.vector_name,
        filter: message.filter,
        params: message.params,
        score_threshold: message.score_threshold,
        limit: Some(message.limit.into()),
        ..Query::default()
    };
    groups(asked, search(asked, query)?, by, &told)
}

fn nearest(vector: Vec<f32>, indices: Option<wire::SparseIndices>) -> wire::Query {
    use simile_proto::qdrant::vector_input::Variant;
    let vector = match indices {
        Some(indices) => {
            Variant::Sparse(wire::SparseVector { values: vector, indices: indices.data })
        }
        None => Variant::Dense(wire::DenseVector { data: vector }),
    };
    let input = wire::VectorInput { variant: Some(vector) };
    wire::Query { variant: Some(wire::query::Variant::Nearest(input)) }
}

fn hits(asked: &Asked<'_>, mut search: Search, told: &Told) -> Result<Hits, Status> {
    search.request.with_payload = !told.fields.is_none();
    search.request.with_vectors = told.with_vectors();
    let answer = asked.collection.search(&search.request, asked.cancel);
    let answer = answer.map_err(|error| status_of(&error))?;
    asked.shared.note_stages(&asked.collection, &answer.timings);
    let hits = answer.hits.into_iter().map(|hit| told.scored(hit, &search)).collect();
    Ok((hits, search.usage()))
}

fn groups(
    asked: &Asked<'_>,
    mut search: Search,
    by: Grouped,
    told: &Told,
) -> Result<(wire::GroupsResult, Option<wire::Usage>), Status> {
    search.request.with_payload = !told.fields.is_none();
    search.request.with_vectors = told.with_vectors();
    let request = grouped(std::mem::take(&mut search.request), by)?;
    let answer = asked.collection.search(&request, asked.cancel);
    let answer = answer.map_err(|error| status_of(&error))?;
    asked.shared.note_stages(&asked.collection, &answer.timings);
    let group = |group: HitGroup| {
        let hits = group.hits.into_iter().map(|hit| told.scored(hit, &search)).collect();
        Some(wire::PointGroup { id: Some(group_id(group.value)?), hits, lookup: None })
    };
    let groups = answer.groups.into_iter().filter_map(group).collect();
    Ok((wire::GroupsResult { groups }, search.usage()))
}

/// Groups are named by integers and texts; the protocol has no word for others.
fn group_id(value: Value) -> Option<wire::GroupId> {
    let kind = match value {
        Value::Text(text) => group_id::Kind::StringValue(text),
        Value::Integer(integer) => match u64::try_from(integer) {
            Ok(integer) => group_id::Kind::UnsignedValue(integer),
            Err(_) => group_id::Kind::IntegerValue(integer),
        },
        Value::Boolean(_) | Value::Float(_) | Value::Null | Value::Array(_) | Value::Object(_) => {
            return None;
        }
    };
    Some(wire::GroupId { kind: Some(kind) })
}

fn listed(asked: &Asked<'_>, list: &List, told: &Told) -> Result<Vec<wire::ScoredPoint>, Status> {
    let (filter, with_vectors) = (list.filter.as_ref(), told.with_vectors());
    let limit = list.limit.saturating_add(list.offset);
    if list.limit == 0 || limit > WINDOW_MAX {
        let (least, most, actual) = (1, WINDOW_MAX as u64, limit as u64);
        let what = "limit + offset";
        return Err(WireError::OutOfRange { what, actual, least, most }.into());
    }
    let documents = match &list.kind {
        ListKind::ById => page_by_id(asked, filter, None, limit, with_vectors)?.0,
        ListKind::Ordered(order) => page_in_order(asked, filter, order, limit, with_vectors)?,
        ListKind::Drawn => {
            let seed = (asked.shared.options.clock)();
            let count = limit.min(STEP);
            let drawn = asked.collection.draw(filter, seed, count, with_vectors, with_vectors);
            drawn.map_err(|error| status_of(&error))?
        }
    };
    let shown = documents.into_iter().skip(list.offset).take(list.limit);
    Ok(shown.map(|document| told.listed(document)).collect())
}
