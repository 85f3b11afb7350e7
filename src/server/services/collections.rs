use std::time::{Duration, Instant};

use simile_proto::v1::collections_server::Collections;
use simile_proto::v1::{self as wire};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

use super::super::core::{Core, Shared};
use super::super::pool::time_allowed;
use super::super::status;
use super::super::translate::{
    WireError, alias_change, at_most, collection_change, collection_to_wire, new_collection,
    new_vector,
};
use crate::cancel::Cancellation;
use crate::collection::{ALIASES_MAX, JobKind};

/// How long filling a vector may take if its caller does not say.
const TIME_MAX: Duration = Duration::from_secs(7 * 86_400);

/// Goes on with vectors that were being made when the server stopped. Returns when all are made, or the
/// server stops; what fails is in the list of jobs, and the same `AddVector` tries it again.
pub(in crate::server) async fn resume(core: Core) {
    for name in core.collections.names() {
        let settings = core.collections.info(&name).ok().and_then(|info| info.settings);
        for vector in settings.into_iter().flat_map(|settings| settings.filling) {
            tracing::info!(collection = name, vector, "making the vector goes on");
            let (of, shared, nobody) = (name.clone(), core.clone(), MetadataMap::new());
            let ready = core.answer_with_models(&nobody, move |shared: &Shared, _: &_| {
                let collection = shared.collection(&of)?;
                shared.want_models(&collection)
            });
            let (of, deadline) = (name.clone(), Instant::now() + TIME_MAX);
            let filling = async {
                ready.await?;
                let work = move |cancel: &Cancellation| fill(&shared, &of, &vector, cancel);
                core.bulk.answer_by(deadline, work).await
            };
            tokio::select! {
                filled = filling => if let Err(error) = filled {
                    tracing::warn!(collection = name, error = error.message(), "it ended early");
                },
                () = core.stopped() => return,
            }
        }
    }
}

/// Makes the vectors that parts lack, as a job.
fn fill(shared: &Shared, name: &str, vector: &str, cancel: &Cancellation) -> Result<(), Status> {
    let collection = shared.collection(name)?;
    let job = shared.jobs.start(JobKind::Fill, name, vector, cancel.clone());
    let told = |done, total| {
        job.update(|status| (status.items_done, status.items_total) = (done, Some(total)));
    };
    let filled = collection.fill_vector(vector, &told, cancel);
    let said = filled.as_ref().map(|made| format!("{made} vectors made"));
    job.end(said.map_err(ToString::to_string));
    filled.map(drop).map_err(|error| status::of(&error))
}

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
        let create = move |shared: &Shared, _: &_| {
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
            // Opened, so that all there is to say of it is known; why it cannot be is in what is said.
            let _open = shared.collections.get(&message.name);
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

    async fn add_vector(
        &self,
        request: Request<wire::AddVectorRequest>,
    ) -> Result<Response<wire::Collection>, Status> {
        let (metadata, _, message) = request.into_parts();
        let config = message.config.ok_or(WireError::Missing("the config of the vector"))?;
        let new = new_vector(config, self.0.models.default_name())?;
        let deadline = Instant::now() + time_allowed(&metadata, TIME_MAX);
        let (name, vector) = (message.collection, message.name);
        let add = {
            let (name, vector) = (name.clone(), vector.clone());
            move |shared: &Shared, _: &_| {
                let collection = shared.collection(&name)?;
                collection.add_vector(&vector, &new).map_err(|error| status::of(&error))?;
                tracing::info!(collection = name, vector, "vector added");
                Ok(collection.settings().embedder(&vector).is_some())
            }
        };
        let is_made = self.0.answer_with_models(&metadata, add).await?;
        let shared = self.0.clone();
        let fill = move |cancel: &Cancellation| {
            if is_made {
                fill(&shared, &name, &vector, cancel)?;
            }
            let info = shared.collections.info(&name);
            info.map(collection_to_wire).map_err(|error| status::of(&error))
        };
        Ok(Response::new(self.0.bulk.answer_by(deadline, fill).await?))
    }

    async fn drop_vector(
        &self,
        request: Request<wire::DropVectorRequest>,
    ) -> Result<Response<wire::Collection>, Status> {
        let (metadata, _, message) = request.into_parts();
        let drop_vector = move |shared: &Shared, _: &_| {
            let collection = shared.collection(&message.collection)?;
            collection.drop_vector(&message.name).map_err(|error| status::of(&error))?;
            tracing::info!(collection = message.collection, vector = message.name, "dropped");
            let info = shared.collections.info(&message.collection);
            info.map(collection_to_wire).map_err(|error| status::of(&error))
        };
        Ok(Response::new(self.0.answer(&metadata, drop_vector).await?))
    }

    async fn replace_vector(
        &self,
        request: Request<wire::ReplaceVectorRequest>,
    ) -> Result<Response<wire::Collection>, Status> {
        let (metadata, _, message) = request.into_parts();
        let replace = move |shared: &Shared, _: &_| {
            let collection = shared.collection(&message.collection)?;
            let replaced = collection.replace_vector(&message.name, &message.by);
            replaced.map_err(|error| status::of(&error))?;
            let (collection, vector) = (&message.collection, &message.name);
            tracing::info!(collection, vector, by = message.by, "replaced");
            let info = shared.collections.info(&message.collection);
            info.map(collection_to_wire).map_err(|error| status::of(&error))
        };
        Ok(Response::new(self.0.answer(&metadata, replace).await?))
    }

    async fn change(
        &self,
        request: Request<wire::ChangeCollectionRequest>,
    ) -> Result<Response<wire::Collection>, Status> {
        let (metadata, _, message) = request.into_parts();
        let name = message.name.clone();
        let change = collection_change(message)?;
        let change = move |shared: &Shared, _: &_| {
            let collection = shared.collection(&name)?;
            collection.set(&change).map_err(|error| status::of(&error))?;
            let info = shared.collections.info(&name);
            info.map(collection_to_wire).map_err(|error| status::of(&error))
        };
        Ok(Response::new(self.0.answer(&metadata, change).await?))
    }

    async fn change_aliases(
        &self,
        request: Request<wire::ChangeAliasesRequest>,
    ) -> Result<Response<wire::ChangeAliasesResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        at_most("changes", message.changes.len(), ALIASES_MAX)?;
        let changes = message.changes.into_iter().map(alias_change);
        let changes = changes.collect::<Result<Vec<_>, _>>()?;
        let change = self.0.answer(&metadata, move |shared, _| {
            let changed = shared.collections.change_aliases(&changes);
            changed.map_err(|error| status::of(&error))?;
            tracing::info!(changes = changes.len(), "aliases changed");
            Ok(wire::ChangeAliasesResponse {})
        });
        Ok(Response::new(change.await?))
    }

    async fn list_aliases(
        &self,
        _: Request<wire::ListAliasesRequest>,
    ) -> Result<Response<wire::ListAliasesResponse>, Status> {
        let aliases = self.0.collections.aliases();
        let collections = aliases.iter().map(|(alias, name)| (alias.clone(), name.clone()));
        Ok(Response::new(wire::ListAliasesResponse { collections: collections.collect() }))
    }
}
