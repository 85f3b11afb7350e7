use simile_proto::v1::collections_server::Collections;
use simile_proto::v1::{self as wire};
use tonic::{Request, Response, Status};

use super::super::core::Core;
use super::super::status;
use super::super::translate::{collection_to_wire, new_collection};

/// Sets of documents that are searched together.
#[derive(Debug)]
pub(in crate::server) struct CollectionsService(pub(in crate::server) Core);

#[tonic::async_trait]
impl Collections for CollectionsService {
    async fn create(
        &self,
        request: Request<wire::CreateCollectionRequest>,
    ) -> Result<Response<wire::Collection>, Status> {
        let (metadata, _, message) = request.into_parts();
        let name = message.name.clone();
        let new = new_collection(message, self.0.models.default_name())?;
        let create = move |shared: &super::super::core::Shared, _: &_| {
            let created = shared.collections.create(&name, &new);
            let info = created.and_then(|collection| collection.info());
            let info = info.map_err(|error| status::of(&error))?;
            tracing::info!(collection = name, "created");
            Ok(collection_to_wire(info))
        };
        Ok(Response::new(self.0.answer_with_models(&metadata, create).await?))
    }

    async fn list(
        &self,
        request: Request<wire::ListCollectionsRequest>,
    ) -> Result<Response<wire::ListCollectionsResponse>, Status> {
        let list = self.0.answer(request.metadata(), |shared, cancel| {
            let mut collections = Vec::new();
            for name in shared.collections.names() {
                cancel.check().map_err(status::interrupted)?;
                // One that was deleted meanwhile is no error of the list.
                if let Ok(info) = shared.collections.info(&name) {
                    collections.push(collection_to_wire(info));
                }
            }
            Ok(wire::ListCollectionsResponse { collections })
        });
        Ok(Response::new(list.await?))
    }

    async fn get(
        &self,
        request: Request<wire::GetCollectionRequest>,
    ) -> Result<Response<wire::Collection>, Status> {
        let (metadata, _, message) = request.into_parts();
        let get = self.0.answer(&metadata, move |shared, _| {
            let info = shared.collections.info(&message.name);
            info.map(collection_to_wire).map_err(|error| status::of(&error))
        });
        Ok(Response::new(get.await?))
    }

    async fn delete(
        &self,
        request: Request<wire::DeleteCollectionRequest>,
    ) -> Result<Response<wire::DeleteCollectionResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        let delete = self.0.answer(&metadata, move |shared, _| {
            shared.collections.delete(&message.name).map_err(|error| status::of(&error))?;
            tracing::info!(collection = message.name, "deleted");
            Ok(wire::DeleteCollectionResponse {})
        });
        Ok(Response::new(delete.await?))
    }
}
