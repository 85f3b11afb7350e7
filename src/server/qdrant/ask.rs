//! What every method does: it finds the collection, computes on a thread of the pool, and says how
//! long that took.

use std::sync::Arc;
use std::time::Instant;

use simile_proto::qdrant::{self as wire};
use tonic::{Request, Status};

use super::super::core::{Core, Shared};
use super::super::status;
use super::super::translate::WireError;
use crate::cancel::Cancellation;
use crate::collection::{Collection, Error};
use crate::document::Filter;

/// What a request about a collection is answered with.
pub(super) struct Asked<'a> {
    pub(super) shared: &'a Shared,
    pub(super) collection: Arc<Collection>,
    pub(super) cancel: &'a Cancellation,
}

impl Asked<'_> {
    /// Returns a filter that the fields of the collection can answer: here, what no document has is
    /// no error.
    pub(super) fn fitted(&self, filter: Option<Filter>) -> Option<Filter> {
        filter.map(|filter| self.collection.lenient(&filter))
    }
}

/// A request that is about one collection.
pub(super) trait OfCollection: Clone + Send + Sync + 'static {
    /// Returns the name of the collection.
    fn collection(&self) -> &str;
}

macro_rules! of_collection {
    ($($message:ident)*) => {
        $(impl OfCollection for wire::$message {
            fn collection(&self) -> &str {
                &self.collection_name
            }
        })*
    };
}

of_collection! {
    UpsertPoints DeletePoints GetPoints UpdatePointVectors DeletePointVectors SetPayloadPoints
    DeletePayloadPoints ClearPayloadPoints CreateFieldIndexCollection DeleteFieldIndexCollection
    SearchPoints SearchBatchPoints SearchPointGroups ScrollPoints CountPoints UpdateBatchPoints
    QueryPoints QueryBatchPoints QueryPointGroups FacetCounts UpdateCollection
    GetCollectionInfoRequest
}

/// Answers a request about a collection; returns the seconds that it took, too.
pub(super) async fn ask<M: OfCollection, T: Send + 'static>(
    core: &Core,
    request: Request<M>,
    work: impl Fn(&Asked<'_>, M) -> Result<T, Status> + Send + Sync + 'static,
) -> Result<(T, f64), Status> {
    let began = Instant::now();
    let (metadata, _, message) = request.into_parts();
    let answer = move |shared: &Shared, cancel: &Cancellation| {
        let found = shared.collections.get(message.collection());
        let collection = found.map_err(|error| status_of(&error))?;
        work(&Asked { shared, collection, cancel }, message.clone())
    };
    let answer = core.answer_with_models(&metadata, answer).await?;
    Ok((answer, began.elapsed().as_secs_f64()))
}

/// Returns the status of an error, in the words that clients look for.
pub(super) fn status_of(error: &Error) -> Status {
    match error {
        Error::UnknownCollection(name) => {
            Status::not_found(format!("Not found: Collection `{name}` doesn't exist!"))
        }
        Error::CollectionExists(name) => {
            Status::already_exists(format!("Wrong input: Collection `{name}` already exists!"))
        }
        error => status::of(error),
    }
}

/// Refuses what only several servers could do.
pub(super) fn one_server(
    consistency: Option<wire::ReadConsistency>,
    shards: Option<wire::ShardKeySelector>,
) -> Result<(), WireError> {
    use simile_proto::qdrant::read_consistency::Value;
    let factor = match consistency.and_then(|consistency| consistency.value) {
        Some(Value::Factor(factor)) => factor,
        Some(Value::Type(_)) | None => 1,
    };
    super::value::unsupported(factor > 1, "a `read_consistency` above 1")?;
    super::value::unsupported(shards.is_some(), "`shard_key_selector`")
}
