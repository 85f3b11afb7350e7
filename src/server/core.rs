//! What all services share: the collections, the models, the jobs, and the threads that answer.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, watch};
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

use super::guard::Flight;
use super::listen::Connections;
use super::meter::Meter;
use super::models::{Models, Readiness};
use super::pool::{Pool, time_allowed};
use super::trace::{Traces, note_stages};
use super::{ServerOptions, status};
use crate::cancel::Cancellation;
use crate::collection::{Collection, Collections, Embedders as _, Jobs};
use crate::decode::Limits;
use crate::query::StageTiming;

/// How long a request waits for a model if its own deadline is later.
const MODEL_WAIT_MAX: Duration = Duration::from_secs(600);

/// What all services share; clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Core(Arc<Shared>);

/// The shared things.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) collections: Collections,
    pub(super) models: Arc<Models>,
    pub(super) jobs: Jobs,
    pub(super) meter: Meter,
    pub(super) traces: Option<Traces>,
    pub(super) connections: Connections,
    /// What messages are on their way.
    pub(super) flight: Flight,
    pub(super) options: ServerOptions,
    /// The bounds of decoding.
    pub(super) limits: Limits,
    pub(super) started_unix_ms: u64,
    /// For requests that somebody waits for.
    pub(super) pool: Pool,
    /// For batches of documents and for maintenance.
    pub(super) bulk: Pool,
    /// How many more streams may store documents at once.
    pub(super) upserts: Arc<Semaphore>,
    /// How many more jobs may read sources at once.
    pub(super) fetches: Arc<Semaphore>,
    /// Held by the model that is being fitted.
    pub(super) training: Arc<Semaphore>,
    /// True once the server stops: endless streams end then.
    pub(super) stopping: watch::Sender<bool>,
}

impl std::ops::Deref for Core {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Core {
    pub(super) fn new(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }

    /// Computes the answer to a request that needs no model.
    pub(super) async fn answer<T: Send + 'static>(
        &self,
        metadata: &MetadataMap,
        work: impl FnOnce(&Shared, &Cancellation) -> Result<T, Status> + Send + 'static,
    ) -> Result<T, Status> {
        let shared = Arc::clone(&self.0);
        self.pool.answer(metadata, move |cancel| work(&shared, cancel)).await
    }

    /// Computes the answer to a request that may need a model. If one is being loaded, waits for it
    /// within the deadline and computes once more.
    pub(super) async fn answer_with_models<T: Send + 'static>(
        &self,
        metadata: &MetadataMap,
        work: impl Fn(&Shared, &Cancellation) -> Result<T, Status> + Send + Sync + 'static,
    ) -> Result<T, Status> {
        let unasked = self.options.request_time_max;
        let deadline = Instant::now() + time_allowed(metadata, unasked.max(MODEL_WAIT_MAX));
        let work = Arc::new(work);
        loop {
            let mut ended = self.models.ended();
            let (shared, again) = (Arc::clone(&self.0), Arc::clone(&work));
            // Waiting for a model takes from the caller's time, not from that of the computation.
            let by = deadline.min(Instant::now() + time_allowed(metadata, unasked));
            let answer = self.pool.answer_by(by, move |cancel| again(&shared, cancel)).await;
            let is_early = matches!(&answer, Err(status) if status.code() == Code::Unavailable);
            if !is_early || !self.models.is_loading() && !ended.has_changed().unwrap_or(false) {
                return answer;
            }
            if tokio::time::timeout_at(deadline.into(), ended.changed()).await.is_err() {
                return answer;
            }
        }
    }

    /// Returns when the server stops.
    pub(super) async fn stopped(&self) {
        let mut stopping = self.stopping.subscribe();
        // The sender lives as long as `self`.
        drop(stopping.wait_for(|stopping| *stopping).await);
    }
}

impl Shared {
    /// Returns a collection.
    pub(super) fn collection(&self, name: &str) -> Result<Arc<Collection>, Status> {
        if name.is_empty() {
            return Err(Status::invalid_argument("the name of the collection is missing"));
        }
        self.collections.get(name).map_err(|error| status::of(&error))
    }

    /// Notes the stages of a search: for the trace of the request, for whoever measures, and in the log if
    /// it was slow; never what was asked.
    pub(super) fn note_stages(&self, collection: &Collection, timings: &[StageTiming]) {
        note_stages(timings);
        let took: Duration = timings.iter().map(|timing| timing.duration).sum();
        if took >= self.options.slow_time {
            let stages: Vec<String> = timings
                .iter()
                .map(|timing| {
                    format!("{} {:.1}", timing.stage, timing.duration.as_secs_f64() * 1e3)
                })
                .collect();
            let (collection, took_ms) = (collection.name(), millis(took));
            tracing::warn!(collection, took_ms, stages_ms = stages.join(", "), "slow search");
        }
        let stages = timings.iter().map(|timing| (timing.stage, timing.duration));
        self.meter.stages("search", collection.name(), stages);
    }

    /// Asks for the models that embed texts of the collection, so that none is left out only because
    /// it is not in memory yet. One that cannot be loaded is no error here: who needs it says so.
    pub(super) fn want_models(&self, collection: &Collection) -> Result<(), Status> {
        self.want_models_but(collection, &BTreeSet::new())
    }

    /// Asks for the models as [`Self::want_models`], but for those of some vectors.
    pub(super) fn want_models_but(
        &self,
        collection: &Collection,
        given: &BTreeSet<String>,
    ) -> Result<(), Status> {
        let settings = collection.settings();
        let names = settings.names().filter(|name| !given.contains(*name));
        for bound in names.filter_map(|name| settings.embedder(name)) {
            if let Err(error) = self.models.get(&bound.name)
                && self.models.readiness(&bound.name) == Readiness::Loading
            {
                return Err(status::not_ready(error.to_string()));
            }
        }
        Ok(())
    }
}

/// Returns whole milliseconds, for the log.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
