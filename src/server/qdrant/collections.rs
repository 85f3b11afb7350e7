use std::time::Instant;

use prost::Message as _;
use simile_proto::qdrant::collections_server::Collections;
use simile_proto::qdrant::{self as wire};
use tonic::{Request, Response, Status};

use super::super::core::{Core, Shared};
use super::super::translate::WireError;
use super::ask::{ask, status_of};
use super::config::{info_to_wire, kept, new_collection, read, tuning, update};
use crate::cancel::Cancellation;
use crate::collection::AliasChange;

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
            let change = tuning(&message, &asked.collection.settings())?;
            asked.collection.set(&change).map_err(|error| status_of(&error))?;
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
        let exists = self.0.answer(&metadata, move |shared, _| {
            Ok(shared.collections.names().contains(&shared.collections.resolve(&name)))
        });
        let result = Some(wire::CollectionExists { exists: exists.await? });
        let time = began.elapsed().as_secs_f64();
        Ok(Response::new(wire::CollectionExistsResponse { result, time }))
    }

    async fn update_aliases(
        &self,
        request: Request<wire::ChangeAliases>,
    ) -> Result<Response<wire::CollectionOperationResponse>, Status> {
        let began = Instant::now();
        let (metadata, _, message) = request.into_parts();
        let changes = message.actions.into_iter().map(alias_change);
        let changes = changes.collect::<Result<Vec<_>, WireError>>()?;
        let change = self.0.answer(&metadata, move |shared, _| {
            shared.collections.change_aliases(&changes).map_err(|error| status_of(&error))
        });
        change.await?;
        Ok(done(true, began))
    }

    async fn list_collection_aliases(
        &self,
        request: Request<wire::ListCollectionAliasesRequest>,
    ) -> Result<Response<wire::ListAliasesResponse>, Status> {
        let began = Instant::now();
        let (metadata, _, message) = request.into_parts();
        let list = self.0.answer(&metadata, move |shared, _| {
            let name = message.collection_name;
            shared.collections.get(&name).map_err(|error| status_of(&error))?;
            Ok(aliases(shared, |collection| *collection == name))
        });
        let aliases = list.await?;
        let time = began.elapsed().as_secs_f64();
        Ok(Response::new(wire::ListAliasesResponse { aliases, time }))
    }

    async fn list_aliases(
        &self,
        request: Request<wire::ListAliasesRequest>,
    ) -> Result<Response<wire::ListAliasesResponse>, Status> {
        let began = Instant::now();
        let list = self.0.answer(request.metadata(), |shared, _| Ok(aliases(shared, |_| true)));
        let aliases = list.await?;
        let time = began.elapsed().as_secs_f64();
        Ok(Response::new(wire::ListAliasesResponse { aliases, time }))
    }
}

/// Returns the aliases of the collections that are asked for.
fn aliases(shared: &Shared, is_asked: impl Fn(&String) -> bool) -> Vec<wire::AliasDescription> {
    let all = shared.collections.aliases();
    let asked = all.iter().filter(|(_, collection)| is_asked(collection));
    let describe = |(alias, collection): (&String, &String)| wire::AliasDescription {
        alias_name: alias.clone(),
        collection_name: collection.clone(),
    };
    asked.map(describe).collect()
}

fn alias_change(given: wire::AliasOperations) -> Result<AliasChange, WireError> {
    use simile_proto::qdrant::alias_operations::Action;
    Ok(match given.action.ok_or(WireError::Missing("the change of an alias"))? {
        Action::CreateAlias(given) => {
            AliasChange::Set { alias: given.alias_name, collection: given.collection_name }
        }
        Action::RenameAlias(given) => {
            AliasChange::Rename { alias: given.old_alias_name, to: given.new_alias_name }
        }
        Action::DeleteAlias(given) => AliasChange::Delete { alias: given.alias_name },
    })
}

fn done(result: bool, began: Instant) -> Response<wire::CollectionOperationResponse> {
    let time = began.elapsed().as_secs_f64();
    Response::new(wire::CollectionOperationResponse { result, time })
}
