use simile_proto::v1::delete_documents_request::Selection;
use simile_proto::v1::documents_server::Documents;
use simile_proto::v1::{self as wire};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::super::core::Core;
use super::super::status;
use super::super::translate::{
    DocumentsChange, WireError, at_most, change, cursor, cursor_to_wire, document_id, document_ids,
    filter, optional_filter, stored_document_to_wire, terms, updated_to_wire, value_to_wire,
    vectors_change,
};
use super::sources::upsert_sources;
use super::upsert::upsert;
use crate::collection::{StoredDocument, THUMBNAILS_MAX, Thumbnail};
use crate::document::{DocumentId, FieldPath, Filter, Value};
use crate::query::{Direction, OrderBy};

/// The most documents that are read in one request.
const GET_MAX: usize = 1_000;
/// The most ids that are deleted or changed in one request.
const SELECTED_MAX: usize = 10_000;
/// The most contents that are compared in one request.
const COMPARE_MAX: usize = 10_000;
/// The documents of a page where the request does not say, and the most of one.
const PAGE: (u32, u32) = (100, 1_000);

/// The values of a facet where the request does not say.
const FACET_VALUES: usize = 10;

/// Writing and reading documents by id.
#[derive(Debug)]
pub(in crate::server) struct DocumentsService(pub(in crate::server) Core);

#[tonic::async_trait]
impl Documents for DocumentsService {
    type UpsertStream = ReceiverStream<Result<wire::UpsertResult, Status>>;
    type UpsertSourcesStream = ReceiverStream<Result<wire::UpsertResult, Status>>;

    async fn upsert(
        &self,
        request: Request<Streaming<wire::UpsertRequest>>,
    ) -> Result<Response<Self::UpsertStream>, Status> {
        upsert(&self.0, request).await
    }

    async fn upsert_sources(
        &self,
        request: Request<wire::UpsertSourcesRequest>,
    ) -> Result<Response<Self::UpsertSourcesStream>, Status> {
        upsert_sources(&self.0, request).await
    }

    async fn compare(
        &self,
        request: Request<wire::CompareRequest>,
    ) -> Result<Response<wire::CompareResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        at_most("contents", message.contents.len(), COMPARE_MAX)?;
        let contents =
            message.contents.into_iter().map(content_hash).collect::<Result<Vec<_>, _>>()?;
        let compare = self.0.answer(&metadata, move |shared, _| {
            let collection = shared.collection(&message.collection)?;
            let unchanged = collection.compare(&contents).map_err(|error| status::of(&error))?;
            let unchanged = unchanged.iter().map(ToString::to_string).collect();
            Ok(wire::CompareResponse { unchanged })
        });
        Ok(Response::new(compare.await?))
    }

    async fn get(
        &self,
        request: Request<wire::GetDocumentsRequest>,
    ) -> Result<Response<wire::GetDocumentsResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        at_most("ids", message.ids.len(), GET_MAX)?;
        let ids = document_ids(message.ids)?;
        let get = self.0.answer(&metadata, move |shared, _| {
            let collection = shared.collection(&message.collection)?;
            let documents = collection.get(&ids, message.with_vectors);
            let documents = documents.map_err(|error| status::of(&error))?;
            let documents = documents.into_iter().map(stored_document_to_wire).collect();
            Ok(wire::GetDocumentsResponse { documents })
        });
        Ok(Response::new(get.await?))
    }

    async fn delete(
        &self,
        request: Request<wire::DeleteDocumentsRequest>,
    ) -> Result<Response<wire::DeleteDocumentsResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        let selection = match message.selection {
            Some(Selection::Ids(list)) => Selected::ids(list)?,
            Some(Selection::Filter(given)) => Selected::Filter(filter(given)?),
            None => return Err(WireError::Missing(SELECTION))?,
        };
        selection.check(message.expected_sequence)?;
        let terms = terms(message.expected_sequence, None, message.idempotency_key);
        let delete = self.0.answer(&metadata, move |shared, _| {
            let collection = shared.collection(&message.collection)?;
            let deleted = match selection {
                Selected::Ids(ids) => collection.delete_on(ids, &terms),
                Selected::Filter(filter) => collection.delete_where_on(&filter, &terms),
            };
            let (deleted, sequence) = deleted.map_err(|error| status::of(&error))?;
            Ok(wire::DeleteDocumentsResponse { deleted, sequence: sequence.0 })
        });
        Ok(Response::new(delete.await?))
    }

    async fn update(
        &self,
        request: Request<wire::UpdateDocumentsRequest>,
    ) -> Result<Response<wire::UpdateDocumentsResponse>, Status> {
        use simile_proto::v1::update_documents_request::Selection;
        let (metadata, _, message) = request.into_parts();
        let selection = match message.selection {
            Some(Selection::Ids(list)) => Selected::ids(list)?,
            Some(Selection::Filter(given)) => Selected::Filter(filter(given)?),
            None => return Err(WireError::Missing(SELECTION))?,
        };
        selection.check(message.expected_sequence)?;
        let change = change(message.change, message.expires_unix_ms.is_some())?;
        let (expected, expires) = (message.expected_sequence, message.expires_unix_ms);
        let terms = terms(expected, expires, message.idempotency_key);
        let update = self.0.answer(&metadata, move |shared, _| {
            let collection = shared.collection(&message.collection)?;
            let updated = match (selection, change) {
                (Selected::Ids(ids), DocumentsChange::Payload(change)) => {
                    collection.update(ids, change, &terms)
                }
                (Selected::Filter(filter), DocumentsChange::Payload(change)) => {
                    collection.update_where(&filter, change, &terms)
                }
                (Selected::Ids(ids), DocumentsChange::Vectors(change)) => {
                    let one = |id| (id, change.clone(), terms.clone());
                    collection.update_vectors(ids.into_iter().map(one).collect())
                }
                (Selected::Filter(filter), DocumentsChange::Vectors(change)) => {
                    collection.update_vectors_where(&filter, change, &terms)
                }
            };
            updated.map(updated_to_wire).map_err(|error| status::of(&error))
        });
        Ok(Response::new(update.await?))
    }

    async fn update_vectors(
        &self,
        request: Request<wire::UpdateVectorsRequest>,
    ) -> Result<Response<wire::UpdateDocumentsResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        at_most("updates", message.updates.len(), SELECTED_MAX)?;
        if message.updates.is_empty() {
            return Err(WireError::Missing("the updates"))?;
        }
        let key = message.idempotency_key;
        let changes = message.updates.into_iter();
        let changes = changes.map(|update| vectors_change(update, key.clone()));
        let changes = changes.collect::<Result<Vec<_>, _>>()?;
        let update = self.0.answer(&metadata, move |shared, _| {
            let collection = shared.collection(&message.collection)?;
            let updated = collection.update_vectors(changes);
            updated.map(updated_to_wire).map_err(|error| status::of(&error))
        });
        Ok(Response::new(update.await?))
    }

    async fn scroll(
        &self,
        request: Request<wire::ScrollRequest>,
    ) -> Result<Response<wire::ScrollResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        let limit = message.limit.unwrap_or(PAGE.0);
        if limit == 0 || limit > PAGE.1 {
            let (least, most) = (1, PAGE.1.into());
            return Err(WireError::OutOfRange {
                what: "limit",
                actual: limit.into(),
                least,
                most,
            })?;
        }
        let filter = optional_filter(message.filter)?;
        let page = page(message.after, message.order_by, message.sample)?;
        let with = (message.with_parts || message.with_vectors, message.with_vectors);
        let limit = limit as usize;
        let scroll = self.0.answer(&metadata, move |shared, cancel| {
            let collection = shared.collection(&message.collection)?;
            let filter = filter.as_ref();
            let page = match page {
                Page::ById(after) => {
                    collection.scroll(filter, after.as_ref(), limit, with.0, with.1).map(by_id)
                }
                Page::Ordered(order, after) => collection
                    .scroll_ordered(filter, &order, after.as_ref(), limit, with, cancel)
                    .map(|page| (page.documents, page.next.as_ref().map(cursor_to_wire))),
                Page::Drawn(seed) => {
                    // Nobody said which: another one each time.
                    let seed = seed.unwrap_or_else(|| (shared.options.clock)());
                    let drawn = collection.draw(filter, seed, limit, with.0, with.1);
                    drawn.map(|documents| (documents, None))
                }
            };
            let (documents, next_after) = page.map_err(|error| status::of(&error))?;
            Ok(wire::ScrollResponse {
                next_after: next_after.unwrap_or_default(),
                documents: documents.into_iter().map(stored_document_to_wire).collect(),
            })
        });
        Ok(Response::new(scroll.await?))
    }

    async fn facet(
        &self,
        request: Request<wire::FacetRequest>,
    ) -> Result<Response<wire::FacetResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        if message.path.is_empty() {
            return Err(WireError::Missing("the path of the field"))?;
        }
        let filter = optional_filter(message.filter)?;
        let limit = message.limit.map_or(FACET_VALUES, |limit| limit as usize);
        let facet = self.0.answer(&metadata, move |shared, cancel| {
            let collection = shared.collection(&message.collection)?;
            let counted =
                collection.facet(&FieldPath(message.path), filter.as_ref(), limit, cancel);
            let counted = counted.map_err(|error| status::of(&error))?;
            let values = counted.into_iter().map(|counted| wire::FacetValue {
                value: Some(value_to_wire(counted.value)),
                documents: counted.documents,
            });
            Ok(wire::FacetResponse { values: values.collect() })
        });
        Ok(Response::new(facet.await?))
    }

    async fn thumbnails(
        &self,
        request: Request<wire::ThumbnailsRequest>,
    ) -> Result<Response<wire::ThumbnailsResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        at_most("thumbnails", message.parts.len(), THUMBNAILS_MAX)?;
        let named = |name: wire::PartName| Ok((document_id(name.id)?, name.part));
        let parts = message.parts.into_iter().map(named).collect::<Result<Vec<_>, Status>>()?;
        let thumbnails = self.0.answer(&metadata, move |shared, _| {
            let collection = shared.collection(&message.collection)?;
            let found = collection.thumbnails(&parts).map_err(|error| status::of(&error))?;
            let thumbnails = found.into_iter().map(|Thumbnail { id, part, jpeg }| {
                let id = id.to_string();
                wire::Thumbnail { id, part, jpeg }
            });
            Ok(wire::ThumbnailsResponse { thumbnails: thumbnails.collect() })
        });
        Ok(Response::new(thumbnails.await?))
    }

    async fn count(
        &self,
        request: Request<wire::CountRequest>,
    ) -> Result<Response<wire::CountResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        let filter = optional_filter(message.filter)?;
        let count = self.0.answer(&metadata, move |shared, _| {
            let collection = shared.collection(&message.collection)?;
            let counts = collection.count(filter.as_ref()).map_err(|error| status::of(&error))?;
            Ok(wire::CountResponse { documents: counts.documents, parts: counts.parts })
        });
        Ok(Response::new(count.await?))
    }
}

/// The documents that a mutation is about.
enum Selected {
    Ids(Vec<DocumentId>),
    Filter(Filter),
}

/// What is missing where there are none.
const SELECTION: &str = "the selection: ids or a filter";

impl Selected {
    fn ids(list: wire::DocumentIds) -> Result<Self, WireError> {
        at_most("ids", list.ids.len(), SELECTED_MAX)?;
        Ok(Self::Ids(document_ids(list.ids)?))
    }

    /// A state can be expected of one document only.
    fn check(&self, expected_sequence: Option<u64>) -> Result<(), Status> {
        let count = match self {
            Self::Ids(ids) => ids.len().to_string(),
            Self::Filter(_) => "a filter".to_owned(),
        };
        if expected_sequence.is_none() || count == "1" {
            return Ok(());
        }
        let message = format!("expected_sequence goes with exactly one id, got {count}");
        Err(Status::invalid_argument(message))
    }
}

/// Which documents a page has.
enum Page {
    ById(Option<DocumentId>),
    Ordered(OrderBy, Option<(Value, DocumentId)>),
    Drawn(Option<u64>),
}

fn page(
    after: String,
    order: Option<wire::OrderBy>,
    sample: Option<wire::Sample>,
) -> Result<Page, Status> {
    let after = Some(after).filter(|after| !after.is_empty());
    match (order, sample) {
        (Some(_), Some(_)) => {
            Err(Status::invalid_argument("a page is ordered or drawn at random, not both"))
        }
        (None, None) => Ok(Page::ById(after.map(document_id).transpose()?)),
        (Some(order), None) => {
            if order.path.is_empty() {
                return Err(WireError::Missing("the path that is ordered by").into());
            }
            let direction =
                if order.descending { Direction::Descending } else { Direction::Ascending };
            let order = OrderBy { path: FieldPath(order.path), direction };
            Ok(Page::Ordered(order, after.as_deref().map(cursor).transpose()?))
        }
        (None, Some(_)) if after.is_some() => {
            Err(Status::invalid_argument("there is no page after a random one"))
        }
        (None, Some(sample)) => Ok(Page::Drawn(sample.seed)),
    }
}

fn by_id(
    (documents, has_more): (Vec<StoredDocument>, bool),
) -> (Vec<StoredDocument>, Option<String>) {
    let last = documents.last().map(|document| document.id.to_string());
    (documents, last.filter(|_| has_more))
}

fn content_hash(content: wire::ContentHash) -> Result<(DocumentId, [u8; 32]), Status> {
    let id = document_id(content.id)?;
    let hash = <[u8; 32]>::try_from(content.blake3).map_err(|bytes| {
        let message = format!("the hash of `{id}` has {} bytes, expected 32", bytes.len());
        Status::invalid_argument(message)
    })?;
    Ok((id, hash))
}
