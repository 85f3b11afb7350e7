//! How often, how long, how much? Counted as requests pass, and read when somebody asks.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use tonic::Code;

use super::core::Shared;
use super::status::status_name;
use crate::collection::JobState;
use crate::embed::CacheStatistics;

/// Half a millisecond, and from there on twice as long each, up to about half a minute.
const BUCKETS: (f64, f64, u16) = (0.0005, 2.0, 16);

/// What passed. Clones count into the same.
#[derive(Debug, Clone)]
pub(super) struct Meter {
    requests: Family<Answered, Counter>,
    seconds: Family<Method, Histogram, fn() -> Histogram>,
    running: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    method: &'static str,
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Method {
    method: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InCollection {
    collection: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Component {
    collection: String,
    component: &'static str,
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct Running(Gauge);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn counter(count: u64) -> Counter {
    let counter = Counter::default();
    counter.inc_by(count);
    counter
}

fn gauge(value: u64) -> Gauge<u64, AtomicU64> {
    let gauge = Gauge::default();
    gauge.set(value);
    gauge
}

fn histogram() -> Histogram {
    let (start, factor, length) = BUCKETS;
    Histogram::new(exponential_buckets(start, factor, length))
}

impl Meter {
    pub(super) fn new() -> Self {
        let seconds = Family::new_with_constructor(histogram as fn() -> Histogram);
        Self { requests: Family::default(), seconds, running: Gauge::default() }
    }

    /// Counts a request that begins, for as long as the result lives.
    pub(super) fn begin(&self) -> Running {
        self.running.inc();
        Running(self.running.clone())
    }

    /// Counts a request that is answered; of a stream, the begin of its answer.
    pub(super) fn end(&self, running: Running, method: &'static str, code: Code, took: Duration) {
        drop(running);
        let code = status_name(code);
        self.requests.get_or_create(&Answered { method, code }).inc();
        self.seconds.get_or_create(&Method { method }).observe(took.as_secs_f64());
    }

    /// Returns all there is to measure, in the text form of OpenMetrics.
    pub(super) fn encoded(&self, shared: &Shared) -> String {
        let mut registry = Registry::with_prefix("simile");
        registry.register("requests", "Answered requests", self.requests.clone());
        let help = "Time until a request is answered";
        registry.register_with_unit("request", help, Unit::Seconds, self.seconds.clone());
        registry.register("requests_running", "Requests being answered", self.running.clone());
        let jobs: Gauge = Gauge::default();
        let running = shared.jobs.list();
        let running = running.iter().filter(|job| job.state == JobState::Running).count();
        jobs.set(i64::try_from(running).unwrap_or(i64::MAX));
        registry.register("jobs_running", "Long work that is going on", jobs);
        Self::load(shared, &mut registry);
        Self::collections(shared, &mut registry);
        if let Some(cache) = shared.models.catalogue().cache() {
            Self::cache(cache.statistics(), &mut registry);
        }
        let mut text = String::new();
        // Writing to a String cannot fail.
        drop(encode(&mut text, &registry));
        text
    }

    fn load(shared: &Shared, registry: &mut Registry) {
        let open = gauge(shared.connections.open() as u64);
        registry.register("connections", "Connections that are open", open);
        let refused = counter(shared.connections.refused());
        let help = "Connections that came while there were as many as may be";
        registry.register("connections_refused", help, refused);
        let bytes = gauge(shared.flight.used());
        let help = "Messages that are on their way and not answered";
        registry.register_with_unit("in_flight", help, Unit::Bytes, bytes);
    }

    fn cache(counted: CacheStatistics, registry: &mut Registry) {
        let hits = "Texts whose vector was made before";
        registry.register("embed_cache_hits", hits, counter(counted.hits));
        let misses = "Texts whose vector was not";
        registry.register("embed_cache_misses", misses, counter(counted.misses));
        let entries = "Vectors that are kept for later";
        registry.register("embed_cache_entries", entries, gauge(counted.entries));
        let bytes = "Disk space of vectors that are kept for later";
        registry.register_with_unit("embed_cache", bytes, Unit::Bytes, gauge(counted.bytes));
    }

    fn collections(shared: &Shared, registry: &mut Registry) {
        type Of<L> = Family<L, Gauge<u64, AtomicU64>>;
        let (documents, parts) = (Of::<InCollection>::default(), Of::<InCollection>::default());
        let (disk, waiting) = (Of::<InCollection>::default(), Of::<InCollection>::default());
        let memory = Of::<Component>::default();
        for name in shared.collections.names() {
            // One that was deleted meanwhile has nothing to say.
            let Ok(info) = shared.collections.info(&name) else { continue };
            let label = InCollection { collection: name.clone() };
            documents.get_or_create(&label).set(info.documents);
            parts.get_or_create(&label).set(info.parts);
            disk.get_or_create(&label).set(info.disk_bytes);
            waiting.get_or_create(&label).set(info.waiting);
            for used in info.memory {
                let component = used.component;
                let label = Component { collection: name.clone(), component };
                memory.get_or_create(&label).inc_by(used.bytes);
            }
        }
        registry.register("documents", "Documents of a collection", documents);
        registry.register("parts", "Parts of the documents of a collection", parts);
        registry.register_with_unit("disk", "Size of the tables", Unit::Bytes, disk);
        registry.register("writes_waiting", "Writes that wait for the disk", waiting);
        registry.register_with_unit("memory", "Memory of a component", Unit::Bytes, memory);
    }
}
