//! How often, how long, how much? Counted as requests pass, and read when somebody asks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, PoisonError, RwLock};
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

/// So many collections have their stages measured apart; those of others are measured together, under
/// no name.
const COLLECTIONS_MAX: usize = 1_000;

/// What passed. Clones count into the same.
#[derive(Debug, Clone)]
pub(super) struct Meter {
    requests: Family<Answered, Counter>,
    seconds: Family<Method, Histogram, fn() -> Histogram>,
    running: Gauge,
    stages: Stages,
}

/// How long the stages of searching and storing take, by collection.
#[derive(Debug, Clone)]
struct Stages {
    seconds: Family<Stage, Histogram, fn() -> Histogram>,
    /// The same by collection, where a search finds them without making a label of each stage.
    measured: Arc<RwLock<BTreeMap<String, Measured>>>,
}

/// The stages of one collection, by the work they belong to and by name. There are few.
type Measured = Vec<([&'static str; 2], Histogram)>;

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
struct Stage {
    work: &'static str,
    collection: String,
    stage: &'static str,
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
        let stages = Stages {
            seconds: Family::new_with_constructor(histogram as fn() -> Histogram),
            measured: Arc::default(),
        };
        Self { requests: Family::default(), seconds, running: Gauge::default(), stages }
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

    /// Counts stages of searching in a collection, or of storing into it.
    pub(super) fn stages(
        &self,
        work: &'static str,
        collection: &str,
        stages: impl IntoIterator<Item = (&'static str, Duration)>,
    ) {
        for (stage, took) in stages {
            self.stages.measure([work, stage], collection, took);
        }
    }

    /// Returns all there is to measure, in the text form of OpenMetrics.
    pub(super) fn encoded(&self, shared: &Shared) -> String {
        let mut registry = Registry::with_prefix("simile");
        registry.register("requests", "Answered requests", self.requests.clone());
        let help = "Time until a request is answered";
        registry.register_with_unit("request", help, Unit::Seconds, self.seconds.clone());
        registry.register("requests_running", "Requests being answered", self.running.clone());
        self.stages.forget_but(&shared.collections.names());
        let help = "Time of a stage of a search, or of storing a document";
        registry.register_with_unit("stage", help, Unit::Seconds, self.stages.seconds.clone());
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

impl Stages {
    fn measure(&self, which: [&'static str; 2], collection: &str, took: Duration) {
        let seconds = took.as_secs_f64();
        {
            let measured = self.measured.read().unwrap_or_else(PoisonError::into_inner);
            let known = measured.get(collection).into_iter().flatten();
            if let Some((_, histogram)) = known.into_iter().find(|(stage, _)| *stage == which) {
                histogram.observe(seconds);
                return;
            }
        }
        let mut measured = self.measured.write().unwrap_or_else(PoisonError::into_inner);
        let is_full = measured.len() >= COLLECTIONS_MAX && !measured.contains_key(collection);
        let collection = if is_full { "" } else { collection };
        let histogram = self.seconds.get_or_create(&Stage::of(which, collection)).clone();
        histogram.observe(seconds);
        if !is_full {
            measured.entry(collection.to_owned()).or_default().push((which, histogram));
        }
    }

    /// Forgets collections that are not among these: they were deleted.
    fn forget_but(&self, names: &[String]) {
        let names: BTreeSet<&String> = names.iter().collect();
        let mut measured = self.measured.write().unwrap_or_else(PoisonError::into_inner);
        measured.retain(|name, stages| {
            let is_there = names.contains(name);
            for (which, _) in stages.iter().filter(|_| !is_there) {
                self.seconds.remove(&Stage::of(*which, name));
            }
            is_there
        });
    }
}

impl Stage {
    fn of([work, stage]: [&'static str; 2], collection: &str) -> Self {
        Self { work, collection: collection.to_owned(), stage }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAGE: [(&str, Duration); 2] =
        [("words", Duration::from_millis(2)), ("fuse", Duration::from_millis(1))];

    fn text(stages: &Stages) -> String {
        let (mut registry, mut text) = (Registry::default(), String::new());
        registry.register_with_unit("stage", "of", Unit::Seconds, stages.seconds.clone());
        encode(&mut text, &registry).unwrap();
        text
    }

    #[test]
    fn stages_are_measured_by_collection_until_it_is_deleted() {
        let meter = Meter::new();
        meter.stages("search", "a", STAGE);
        meter.stages("search", "a", [STAGE[0]]);
        meter.stages("search", "b", STAGE);
        let before = text(&meter.stages);
        assert!(
            before.contains(
                "stage_seconds_count{work=\"search\",collection=\"a\",stage=\"words\"} 2"
            ),
            "{before}"
        );
        assert!(
            before
                .contains("stage_seconds_count{work=\"search\",collection=\"b\",stage=\"fuse\"} 1"),
            "{before}"
        );
        meter.stages.forget_but(&["a".to_owned()]);
        let after = text(&meter.stages);
        assert!(
            !after.contains("collection=\"b\"") && after.contains("collection=\"a\""),
            "{after}"
        );
    }

    #[test]
    fn collections_beyond_so_many_are_measured_together() {
        let meter = Meter::new();
        let names: Vec<String> =
            (0..COLLECTIONS_MAX + 2).map(|number| format!("c{number}")).collect();
        names.iter().for_each(|name| meter.stages("search", name, [STAGE[0]]));
        let full = text(&meter.stages);
        assert!(
            full.contains("stage_seconds_count{work=\"search\",collection=\"\",stage=\"words\"} 2"),
            "{full}"
        );
        // Those that are gone make room.
        meter.stages.forget_but(&names[1..]);
        meter.stages("search", "late", STAGE);
        assert!(text(&meter.stages).contains("collection=\"late\""));
    }
}
