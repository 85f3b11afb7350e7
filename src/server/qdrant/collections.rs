use std::time::Instant;

use prost::Message as _;
use simile_proto::qdrant::collections_server::Collections;
use simile_proto::qdrant::{self as wire};
use tonic::{Request, Response, Status};

use super::super::core::{Core, Shared};
use super::ask::{ask, status_of};
use super::config::{info_to_wire, kept, new_collection, read, update};
use crate::cancel::Cancellation;

/// The note that keeps what the protocol says of a collection and nothing else knows.
pub(super) const NOTE: &str = "qdrant";

/// Sets of points.
#[derive(Debug)]
pub(in crate::server) struct CollectionsService(pub(in crate::server) Core);

#[tonic::async_trait]
impl Collections for CollectionsService {
    async fn get(
        &self,
        request: Request<wire::GetCollectionInfoRequest>,
    ) -> Result<Response<wire::GetCollectionInfoResponse>, Status> {
        let began = Instant::now();
        let (metadata, _, message) = request.into_parts();
        let get = self.0.answer(&metadata, move |shared, _| {
            // One that is quarantined has something to say, too.
            let info = shared.collections.info(&message.collection_name);
            let info = info.map_err(|error| status_of(&error))?;
            let note = match shared.collections.get(&message.collection_name) {
                Ok(collection) => collection.note(NOTE).map_err(|error| status_of(&error))?,
                Err(_) => Vec::new(),
            };
            Ok(info_to_wire(info, read(&note)))
        });
        let result = Some(get.await?);
        let time = began.elapsed().as_secs_f64();
        Ok(Response::new(wire::GetCollectionInfoResponse { result, time }))
    }

    async fn list(
        &self,
        request: Request<wire::ListCollectionsRequest>,
    ) -> Result<Response<wire::ListCollectionsResponse>, Status> {
        let began = Instant::now();
        let names = self.0.answer(request.metadata(), |shared, _| Ok(shared.collections.names()));
        let named = |name| wire::CollectionDescription { name };
        let collections = names.await?.into_iter().map(named).collect();
        let time = began.elapsed().as_secs_f64();
        Ok(Response::new(wire::ListCollectionsResponse { collections, time }))
    }

    async fn create(
        &self,
        request: Request<wire::CreateCollection>,
    ) -> Result<Response<wire::CollectionOperationResponse>, Status> {
        let began = Instant::now();
        let (metadata, _, message) = request.into_parts();
        let new = new_collection(&message)?;
        let name = message.collection_name.clone();
        let note = kept(message).encode_to_vec();
        let create = move |shared: &Shared, _: &Cancellation| {
            let created = shared.collections.create(&name, &new);
            let collection = created.map_err(|error| status_of(&error))?;
            let kept = collection.change_note(NOTE, |_| Some(note.clone()));
            kept.map_err(|error| status_of(&error))?;
            tracing::info!(collection = name, "created");
            Ok(())
        };
        self.0.answer(&metadata, create).await?;
        Ok(done(true, began))
    }

    async fn update(
        &self,
        request: Request<wire::UpdateCollection>,
    ) -> Result<Response<wire::CollectionOperationResponse>, Status> {
        let began = Instant::now();
        let updated = ask(&self.0, request, |asked, message| {
            let mut refused = None;
            let changed = asked.collection.change_note(NOTE, |note| {
                let mut kept = read(&note);
                refused = update(&mut kept, message).err();
                refused.is_none().then(|| kept.encode_to_vec())
            });
            changed.map_err(|error| status_of(&error))?;
            match refused {
                Some(error) => Err(Status::from(error)),
                None => Ok(()),
            }
        });
        updated.await?;
        Ok(done(true, began))
    }

    async fn delete(
        &self,
        request: Request<wire::DeleteCollection>,
    ) -> Result<Response<wire::CollectionOperationResponse>, Status> {
        let began = Instant::now();
        let (metadata, _, message) = request.into_parts();
        let delete = self.0.answer(&metadata, move |shared, _| {
            match shared.collections.delete(&message.collection_name) {
                Ok(()) => {
                    tracing::info!(collection = message.collection_name, "deleted");
                    Ok(true)
                }
                // To delete what is not there changes nothing, and is no error of the protocol.
                Err(crate::collection::Error::UnknownCollection(_)) => Ok(false),
                Err(error) => Err(status_of(&error)),
            }
        });
        Ok(done(delete.await?, began))
    }

    async fn collection_exists(
        &self,
        request: Request<wire::CollectionExistsRequest>,
    ) -> Result<Response<wire::CollectionExistsResponse>, Status> {
        let began = Instant::now();
        let (metadata, _, message) = request.into_parts();
        let name = message.collection_name;
        let exists = self
            .0
            .answer(&metadata, move |shared, _| Ok(shared.collections.names().contains(&name)));
        let result = Some(wire::CollectionExists { exists: exists.await? });
        let time = began.elapsed().as_secs_f64();
        Ok(Response::new(wire::CollectionExistsResponse { result, time }))
    }

    async fn update_aliases(
        &self,
        _: Request<wire::ChangeAliases>,
    ) -> Result<Response<wire::CollectionOperationResponse>, Status> {
        Err(no_aliases())
    }

    async fn list_collection_aliases(
        &self,
        _: Request<wire::ListCollectionAliasesRequest>,
    ) -> Result<Response<wire::ListAliasesResponse>, Status> {
        Err(no_aliases())
    }

    async fn list_aliases(
        &self,
        _: Request<wire::ListAliasesRequest>,
    ) -> Result<Response<wire::ListAliasesResponse>, Status> {
        Err(no_aliases())
    }
}

fn no_aliases() -> Status {
    Status::unimplemented("aliases are not supported")
}

fn done(result: bool, began: Instant) -> Response<wire::CollectionOperationResponse> {
    let time = began.elapsed().as_secs_f64();
    Response::new(wire::CollectionOperationResponse { result, time })
}
