use simile_proto::v1::delete_documents_request::Selection;
use simile_proto::v1::documents_server::Documents;
use simile_proto::v1::{self as wire};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::super::core::Core;
use super::super::status;
use super::super::translate::{
    WireError, at_most, document_id, document_ids, filter, optional_filter, stored_document_to_wire,
};
use super::upsert::upsert;
use crate::document::DocumentId;

/// The most documents that are read in one request.
const GET_MAX: usize = 1_000;
/// The most ids that are deleted in one request.
const DELETE_MAX: usize = 10_000;
/// The most contents that are compared in one request.
const COMPARE_MAX: usize = 10_000;
/// The documents of a page where the request does not say, and the most of one.
const PAGE: (u32, u32) = (100, 1_000);

/// Writing and reading documents by id.
#[derive(Debug)]
pub(in crate::server) struct DocumentsService(pub(in crate::server) Core);

#[tonic::async_trait]
impl Documents for DocumentsService {
    type UpsertStream = ReceiverStream<Result<wire::UpsertResult, Status>>;

    async fn upsert(
        &self,
        request: Request<Streaming<wire::UpsertRequest>>,
    ) -> Result<Response<Self::UpsertStream>, Status> {
        upsert(&self.0, request).await
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
        let missing = WireError::Missing("the selection: ids or a filter");
        let selection = match message.selection.ok_or(missing)? {
            Selection::Ids(list) => {
                at_most("ids", list.ids.len(), DELETE_MAX)?;
                Ok(document_ids(list.ids)?)
            }
            Selection::Filter(given) => Err(filter(given)?),
        };
        let delete = self.0.answer(&metadata, move |shared, _| {
            let collection = shared.collection(&message.collection)?;
            let deleted = match selection {
                Ok(ids) => collection.delete(ids),
                Err(filter) => collection.delete_where(&filter),
            };
            let (deleted, sequence) = deleted.map_err(|error| status::of(&error))?;
            Ok(wire::DeleteDocumentsResponse { deleted, sequence: sequence.0 })
        });
        Ok(Response::new(delete.await?))
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
        let after = if message.after.is_empty() { None } else { Some(document_id(message.after)?) };
        let (with_parts, with_vectors) =
            (message.with_parts || message.with_vectors, message.with_vectors);
        let scroll = self.0.answer(&metadata, move |shared, _| {
            let collection = shared.collection(&message.collection)?;
            let (documents, has_more) = collection
                .scroll(filter.as_ref(), after.as_ref(), limit as usize, with_parts, with_vectors)
                .map_err(|error| status::of(&error))?;
            let last = documents.last().map(|document| document.id.to_string());
            Ok(wire::ScrollResponse {
                next_after: last.filter(|_| has_more).unwrap_or_default(),
                documents: documents.into_iter().map(stored_document_to_wire).collect(),
            })
        });
        Ok(Response::new(scroll.await?))
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

fn content_hash(content: wire::ContentHash) -> Result<(DocumentId, [u8; 32]), Status> {
    let id = document_id(content.id)?;
    let hash = <[u8; 32]>::try_from(content.blake3).map_err(|bytes| {
        let message = format!("the hash of `{id}` has {} bytes, expected 32", bytes.len());
        Status::invalid_argument(message)
    })?;
    Ok((id, hash))
}
