use prost::Message as _;
use simile_proto::qdrant::points_server::Points;
use simile_proto::qdrant::{self as wire};
use tonic::{Request, Response, Status};

use super::super::core::Core;
use super::ask::{Asked, OfCollection, ask, one_server, status_of};
use super::collections::NOTE;
use super::write::{self, Selected, Written, change, deleting, overwriting, setting};
use super::{config, read};
use crate::collection::PayloadChange;

type Done = Result<Response<wire::PointsOperationResponse>, Status>;

/// Points: documents of one part.
#[derive(Debug)]
pub(in crate::server) struct PointsService(pub(in crate::server) Core);

impl PointsService {
    /// Answers a request that writes.
    async fn write<M: OfCollection>(
        &self,
        request: Request<M>,
        wait: Option<bool>,
        work: impl Fn(&Asked<'_>, M) -> Result<Written, Status> + Send + Sync + 'static,
    ) -> Done {
        let ((sequence, usage), time) = ask(&self.0, request, work).await?;
        let result = Some(write::result(sequence, wait));
        Ok(Response::new(wire::PointsOperationResponse { result, time, usage }))
    }
}

#[tonic::async_trait]
impl Points for PointsService {
    async fn upsert(&self, request: Request<wire::UpsertPoints>) -> Done {
        let wait = request.get_ref().wait;
        self.write(request, wait, write::upsert).await
    }

    async fn delete(&self, request: Request<wire::DeletePoints>) -> Done {
        let wait = request.get_ref().wait;
        let work = |asked: &Asked<'_>, message: wire::DeletePoints| {
            one_server(None, message.shard_key_selector)?;
            write::delete(asked, Selected::of(asked, message.points)?)
        };
        self.write(request, wait, work).await
    }

    async fn update_vectors(&self, request: Request<wire::UpdatePointVectors>) -> Done {
        let wait = request.get_ref().wait;
        let work = |asked: &Asked<'_>, message: wire::UpdatePointVectors| {
            one_server(None, message.shard_key_selector)?;
            write::update_vectors(asked, message.points, message.update_filter)
        };
        self.write(request, wait, work).await
    }

    async fn delete_vectors(&self, request: Request<wire::DeletePointVectors>) -> Done {
        let wait = request.get_ref().wait;
        let work = |asked: &Asked<'_>, message: wire::DeletePointVectors| {
            one_server(None, message.shard_key_selector)?;
            let selected = Selected::of(asked, message.points_selector)?;
            write::delete_vectors(asked, selected, message.vectors)
        };
        self.write(request, wait, work).await
    }

    async fn set_payload(&self, request: Request<wire::SetPayloadPoints>) -> Done {
        let wait = request.get_ref().wait;
        let work = |asked: &Asked<'_>, message: wire::SetPayloadPoints| {
            one_server(None, message.shard_key_selector)?;
            let selected = Selected::of(asked, message.points_selector)?;
            change(asked, selected, setting(message.payload, message.key)?)
        };
        self.write(request, wait, work).await
    }

    async fn overwrite_payload(&self, request: Request<wire::SetPayloadPoints>) -> Done {
        let wait = request.get_ref().wait;
        let work = |asked: &Asked<'_>, message: wire::SetPayloadPoints| {
            one_server(None, message.shard_key_selector)?;
            let selected = Selected::of(asked, message.points_selector)?;
            change(asked, selected, overwriting(message.payload, message.key)?)
        };
        self.write(request, wait, work).await
    }

    async fn delete_payload(&self, request: Request<wire::DeletePayloadPoints>) -> Done {
        let wait = request.get_ref().wait;
        let work = |asked: &Asked<'_>, message: wire::DeletePayloadPoints| {
            one_server(None, message.shard_key_selector)?;
            let selected = Selected::of(asked, message.points_selector)?;
            change(asked, selected, deleting(&message.keys)?)
        };
        self.write(request, wait, work).await
    }

    async fn clear_payload(&self, request: Request<wire::ClearPayloadPoints>) -> Done {
        let wait = request.get_ref().wait;
        let work = |asked: &Asked<'_>, message: wire::ClearPayloadPoints| {
            one_server(None, message.shard_key_selector)?;
            change(asked, Selected::of(asked, message.points)?, PayloadChange::Clear)
        };
        self.write(request, wait, work).await
    }

    async fn create_field_index(&self, request: Request<wire::CreateFieldIndexCollection>) -> Done {
        let wait = request.get_ref().wait;
        let work = |asked: &Asked<'_>, message: wire::CreateFieldIndexCollection| {
            let index = config::field_index(&message)?;
            keep(asked, |kept| {
                kept.payload_schema.insert(message.field_name, index);
            })
        };
        self.write(request, wait, work).await
    }

    async fn delete_field_index(&self, request: Request<wire::DeleteFieldIndexCollection>) -> Done {
        let wait = request.get_ref().wait;
        let work = |asked: &Asked<'_>, message: wire::DeleteFieldIndexCollection| {
            keep(asked, |kept| drop(kept.payload_schema.remove(&message.field_name)))
        };
        self.write(request, wait, work).await
    }

    async fn search(
        &self,
        request: Request<wire::SearchPoints>,
    ) -> Result<Response<wire::SearchResponse>, Status> {
        let ((result, usage), time) = ask(&self.0, request, read::search_points).await?;
        Ok(Response::new(wire::SearchResponse { result, time, usage }))
    }

    async fn search_batch(
        &self,
        request: Request<wire::SearchBatchPoints>,
    ) -> Result<Response<wire::SearchBatchResponse>, Status> {
        let ((result, usage), time) = ask(&self.0, request, read::search_batch).await?;
        Ok(Response::new(wire::SearchBatchResponse { result, time, usage }))
    }

    async fn search_groups(
        &self,
        request: Request<wire::SearchPointGroups>,
    ) -> Result<Response<wire::SearchGroupsResponse>, Status> {
        let ((groups, usage), time) = ask(&self.0, request, read::search_groups).await?;
        Ok(Response::new(wire::SearchGroupsResponse { result: Some(groups), time, usage }))
    }

    async fn get(
        &self,
        request: Request<wire::GetPoints>,
    ) -> Result<Response<wire::GetResponse>, Status> {
        let (result, time) = ask(&self.0, request, read::get).await?;
        Ok(Response::new(wire::GetResponse { result, time, usage: None }))
    }

    async fn scroll(
        &self,
        request: Request<wire::ScrollPoints>,
    ) -> Result<Response<wire::ScrollResponse>, Status> {
        let ((result, next), time) = ask(&self.0, request, read::scroll).await?;
        let (next_page_offset, usage) = (next, None);
        Ok(Response::new(wire::ScrollResponse { next_page_offset, result, time, usage }))
    }

    async fn count(
        &self,
        request: Request<wire::CountPoints>,
    ) -> Result<Response<wire::CountResponse>, Status> {
        let (count, time) = ask(&self.0, request, read::count).await?;
        let result = Some(wire::CountResult { count });
        Ok(Response::new(wire::CountResponse { result, time, usage: None }))
    }

    async fn update_batch(
        &self,
        request: Request<wire::UpdateBatchPoints>,
    ) -> Result<Response<wire::UpdateBatchResponse>, Status> {
        let ((result, usage), time) = ask(&self.0, request, write::batch).await?;
        Ok(Response::new(wire::UpdateBatchResponse { result, time, usage }))
    }

    async fn query(
        &self,
        request: Request<wire::QueryPoints>,
    ) -> Result<Response<wire::QueryResponse>, Status> {
        let ((result, usage), time) = ask(&self.0, request, read::query).await?;
        Ok(Response::new(wire::QueryResponse { result, time, usage }))
    }

    async fn query_batch(
        &self,
        request: Request<wire::QueryBatchPoints>,
    ) -> Result<Response<wire::QueryBatchResponse>, Status> {
        let ((result, usage), time) = ask(&self.0, request, read::query_batch).await?;
        Ok(Response::new(wire::QueryBatchResponse { result, time, usage }))
    }

    async fn query_groups(
        &self,
        request: Request<wire::QueryPointGroups>,
    ) -> Result<Response<wire::QueryGroupsResponse>, Status> {
        let ((groups, usage), time) = ask(&self.0, request, read::query_groups).await?;
        Ok(Response::new(wire::QueryGroupsResponse { result: Some(groups), time, usage }))
    }

    async fn facet(
        &self,
        request: Request<wire::FacetCounts>,
    ) -> Result<Response<wire::FacetResponse>, Status> {
        let (hits, time) = ask(&self.0, request, read::facet).await?;
        Ok(Response::new(wire::FacetResponse { hits, time, usage: None }))
    }
}

/// Changes what is kept beside the collection.
fn keep(
    asked: &Asked<'_>,
    change: impl FnOnce(&mut wire::CollectionInfo),
) -> Result<Written, Status> {
    let changed = asked.collection.change_note(NOTE, |note| {
        let mut kept = config::read(&note);
        change(&mut kept);
        Some(kept.encode_to_vec())
    });
    changed.map_err(|error| status_of(&error))?;
    Ok((crate::document::Sequence(0), None))
}
