//! `simile top`: what the server is doing, again and again.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value as Json, json};
use simile_proto::v1::{self as wire};

use super::arguments::Connection;
use super::collection::bytes;
use super::connection::{Session, with_session};
use super::exit::{CliError, Outcome};
use super::maintain;
use super::output::{BAD, FAINT, Output, STRONG, TITLE, styled};
use super::serve::Setting;

/// Clears the screen from the upper left corner on.
const CLEARED: &str = "\x1b[H\x1b[2J";

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    simile top                          until Ctrl-C\n  \
    simile top --interval 10 --json     a line of JSON every ten seconds\n  \
    simile top --count 1                once")]
pub(super) struct TopArguments {
    /// How many seconds lie between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 2,
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    interval: u64,
    /// How often to look; without it until Ctrl-C
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    #[command(flatten)]
    connection: Connection,
}

pub(super) fn top(
    setting: &Setting,
    arguments: &TopArguments,
    output: &Output,
) -> Result<Outcome, CliError> {
    with_session(setting, &arguments.connection, async |session| {
        let is_live = !output.is_json() && std::io::stdout().is_terminal();
        let mut before = Sample::take(session).await?;
        for _ in 0..arguments.count.unwrap_or(u64::MAX) {
            tokio::time::sleep(Duration::from_secs(arguments.interval)).await;
            let now = Sample::take(session).await?;
            let view = View::between(&before, &now);
            let cleared = if is_live { CLEARED } else { "" };
            output.answer(|| view.to_json(), || format!("{cleared}{}", view.render()))?;
            before = now;
        }
        Ok(Outcome::Done)
    })
}

/// What the server said at one time.
#[derive(Debug)]
struct Sample {
    taken: Instant,
    info: wire::InfoResponse,
    jobs: Vec<wire::Job>,
    metrics: Metrics,
}

impl Sample {
    async fn take(session: &Session) -> Result<Self, CliError> {
        let info = session.admin().info(session.request(wire::InfoRequest {})).await?;
        let jobs = session.jobs().list(session.request(wire::ListJobsRequest {})).await?;
        let metrics = session.admin().metrics(session.request(wire::MetricsRequest {})).await?;
        Ok(Self {
            taken: Instant::now(),
            info: info.into_inner(),
            jobs: jobs.into_inner().jobs,
            metrics: Metrics::parse(&metrics.into_inner().open_metrics),
        })
    }
}

/// Values by name and labels.
#[derive(Debug, Default)]
struct Metrics(Vec<(String, BTreeMap<String, String>, f64)>);

impl Metrics {
    /// Reads the text form of OpenMetrics, as far as a server of ours writes it.
    fn parse(text: &str) -> Self {
        let value = |line: &str| {
            let (named, value) = line.rsplit_once(' ')?;
            let (name, labels) = match named.split_once('{') {
                Some((name, labels)) => (name, labels.trim_end_matches('}')),
                None => (named, ""),
            };
            let label = |pair: &str| {
                let (name, value) = pair.split_once('=')?;
                Some((name.to_owned(), value.trim_matches('"').to_owned()))
            };
            let labels = labels.split(',').filter_map(label).collect();
            Some((name.to_owned(), labels, value.parse().ok()?))
        };
        Self(text.lines().filter(|line| !line.starts_with('#')).filter_map(value).collect())
    }

    /// Returns the sums of a metric by one of its labels.
    fn by(&self, name: &str, label: &str) -> BTreeMap<&str, f64> {
        let mut sums = BTreeMap::new();
        for (_, labels, value) in self.0.iter().filter(|(other, ..)| other == name) {
            let key = labels.get(label).map_or("", String::as_str);
            *sums.entry(key).or_default() += value;
        }
        sums
    }

    /// Returns how many answers of a method took at most so many seconds, ascending.
    fn buckets(&self, method: &str) -> Vec<(f64, f64)> {
        let of_method = self.0.iter().filter(|(name, labels, _)| {
            name == "simile_request_seconds_bucket"
                && labels.get("method").is_some_and(|other| other == method)
        });
        let bucket = |(_, labels, count): &(String, BTreeMap<String, String>, f64)| {
            let most = labels.get("le")?;
            Some((most.parse().unwrap_or(f64::INFINITY), *count))
        };
        of_method.filter_map(bucket).collect()
    }

    /// Returns how many answers of a method were errors.
    fn errors(&self, method: &str) -> f64 {
        let failed = self.0.iter().filter(|(name, labels, _)| {
            name == "simile_requests_total"
                && labels.get("method").is_some_and(|other| other == method)
                && labels.get("code").is_some_and(|code| code != "OK")
        });
        failed.map(|(.., value)| value).sum()
    }
}

/// What happened between two samples, and what there is at the second.
#[derive(Debug)]
struct View {
    info: wire::InfoResponse,
    running: f64,
    methods: Vec<MethodRow>,
    collections: Vec<CollectionRow>,
    jobs: Vec<wire::Job>,
}

#[derive(Debug)]
struct MethodRow {
    method: String,
    /// A second.
    answers: f64,
    errors: f64,
    /// Milliseconds that half, and all but one of a hundred, took at most.
    p50: f64,
    p99: f64,
}

#[derive(Debug)]
struct CollectionRow {
    name: String,
    documents: f64,
    parts: f64,
    memory: f64,
    disk: f64,
    waiting: f64,
}

impl View {
    fn between(before: &Sample, now: &Sample) -> Self {
        let seconds = now.taken.duration_since(before.taken).as_secs_f64().max(1e-3);
        let (old, new) = (&before.metrics, &now.metrics);
        let earlier = old.by("simile_requests_total", "method");
        let mut methods: Vec<MethodRow> = Vec::new();
        for (method, count) in new.by("simile_requests_total", "method") {
            let answers = count - earlier.get(method).copied().unwrap_or_default();
            // What is asked here to know all this is not what somebody wants to know.
            if answers <= 0.0 || OWN.contains(&method) {
                continue;
            }
            let buckets = since(&old.buckets(method), &new.buckets(method));
            let milliseconds = |share| 1e3 * quantile(&buckets, share);
            methods.push(MethodRow {
                method: method.to_owned(),
                answers: answers / seconds,
                errors: (new.errors(method) - old.errors(method)) / seconds,
                p50: milliseconds(0.5),
                p99: milliseconds(0.99),
            });
        }
        methods.sort_by(|a, b| b.answers.total_cmp(&a.answers));
        let of = |name| new.by(name, "collection");
        let (parts, memory) = (of("simile_parts"), of("simile_memory_bytes"));
        let (disk, waiting) = (of("simile_disk_bytes"), of("simile_writes_waiting"));
        fn value(values: &BTreeMap<&str, f64>, name: &str) -> f64 {
            values.get(name).copied().unwrap_or_default()
        }
        let collection = |(name, documents): (&str, f64)| CollectionRow {
            name: name.to_owned(),
            documents,
            parts: value(&parts, name),
            memory: value(&memory, name),
            disk: value(&disk, name),
            waiting: value(&waiting, name),
        };
        let running = new.by("simile_requests_running", "").values().sum();
        let is_running = |job: &&wire::Job| job.state() == wire::JobState::Running;
        Self {
            info: now.info.clone(),
            running,
            methods,
            collections: of("simile_documents").into_iter().map(collection).collect(),
            jobs: now.jobs.iter().filter(is_running).cloned().collect(),
        }
    }

    fn to_json(&self) -> Json {
        let method = |row: &MethodRow| {
            json!({
                "method": row.method,
                "answers_per_second": row.answers,
                "errors_per_second": row.errors,
                "p50_ms": row.p50,
                "p99_ms": row.p99,
            })
        };
        let collection = |row: &CollectionRow| {
            json!({
                "name": row.name,
                "documents": row.documents,
                "parts": row.parts,
                "memory_bytes": row.memory,
                "disk_bytes": row.disk,
                "writes_waiting": row.waiting,
            })
        };
        json!({
            "version": self.info.version,
            "started_unix_ms": self.info.started_unix_ms,
            "running": self.running,
            "methods": self.methods.iter().map(method).collect::<Vec<_>>(),
            "collections": self.collections.iter().map(collection).collect::<Vec<_>>(),
            "jobs": self.jobs.iter().map(maintain::to_json).collect::<Vec<_>>(),
        })
    }

    fn render(&self) -> String {
        let (version, running) = (&self.info.version, self.running);
        let mut text = format!("{TITLE}simile {version}{TITLE:#}  {running} requests running\n\n");
        let titles = ["answers/s", "errors/s", "p50 ms", "p99 ms"];
        let [answers, errors, p50, p99] = titles;
        drop(writeln!(text, "{FAINT}{answers:>10} {errors:>9} {p50:>9} {p99:>9}  method{FAINT:#}"));
        for MethodRow { method, answers, errors, p50, p99 } in &self.methods {
            let errors = format!("{errors:>9.1}");
            let errors = if errors.trim() == "0.0" { errors } else { styled(BAD, errors) };
            drop(writeln!(text, "{answers:>10.1} {errors} {p50:>9.2} {p99:>9.2}  {method}"));
        }
        if self.methods.is_empty() {
            text.push_str("nobody asks for anything\n");
        }
        let [documents, parts, memory, disk, waiting] =
            ["documents", "parts", "memory", "disk", "waiting"];
        drop(writeln!(
            text,
            "\n{FAINT}{documents:>10} {parts:>9} {memory:>11} {disk:>11} {waiting:>8}  \
             collection{FAINT:#}"
        ));
        for row in &self.collections {
            let CollectionRow { name, documents, parts, waiting, .. } = row;
            let (memory, disk) = (bytes(row.memory as u64), bytes(row.disk as u64));
            drop(writeln!(
                text,
                "{documents:>10} {parts:>9} {memory:>11} {disk:>11} {waiting:>8}  \
                 {STRONG}{name}{STRONG:#}"
            ));
        }
        if !self.jobs.is_empty() {
            text.push('\n');
            text.extend(self.jobs.iter().map(maintain::line));
        }
        text
    }
}

/// What a look asks for.
const OWN: [&str; 3] = ["simile.v1.Admin/Info", "simile.v1.Admin/Metrics", "simile.v1.Jobs/List"];

/// Returns how many answers came since, by the time that they took at most.
fn since(before: &[(f64, f64)], now: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let earlier = |at: usize| before.get(at).map_or(0.0, |(_, count)| *count);
    now.iter().enumerate().map(|(at, &(most, count))| (most, count - earlier(at))).collect()
}

/// Returns the time, in seconds, that a share of the answers took at most, between the bounds of its
/// bucket as if all times there were equally frequent.
fn quantile(buckets: &[(f64, f64)], share: f64) -> f64 {
    let all = buckets.last().map_or(0.0, |(_, count)| *count);
    let wanted = all * share;
    let (mut low, mut below) = (0.0, 0.0);
    for &(most, count) in buckets {
        if count >= wanted && count > below {
            // Beyond the last bound nothing is known but that bound.
            let high = if most.is_finite() { most } else { low };
            return low + (high - low) * (wanted - below) / (count - below);
        }
        (low, below) = (most, count);
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "# TYPE simile_requests counter\n\
        simile_requests_total{method=\"S/A\",code=\"OK\"} 10\n\
        simile_documents{collection=\"notes\"} 3\n# EOF\n";
    const AFTER: &str = "simile_requests_total{method=\"S/A\",code=\"OK\"} 28\n\
        simile_requests_total{method=\"S/A\",code=\"NOT_FOUND\"} 2\n\
        simile_request_seconds_bucket{le=\"0.001\",method=\"S/A\"} 10\n\
        simile_request_seconds_bucket{le=\"0.002\",method=\"S/A\"} 20\n\
        simile_request_seconds_bucket{le=\"+Inf\",method=\"S/A\"} 20\n\
        simile_requests_running 1\n\
        simile_documents{collection=\"notes\"} 4\n\
        simile_memory_bytes{collection=\"notes\",component=\"head\"} 100\n\
        simile_memory_bytes{collection=\"notes\",component=\"graph\"} 50\n";

    fn sample(text: &str, taken: Instant) -> Sample {
        let (info, jobs) = (wire::InfoResponse::default(), Vec::new());
        Sample { taken, info, jobs, metrics: Metrics::parse(text) }
    }

    #[test]
    fn what_happened_in_between_is_told_by_the_second() {
        let began = Instant::now();
        let later = began + Duration::from_secs(2);
        let view = View::between(&sample(BEFORE, began), &sample(AFTER, later));
        let row = &view.methods[0];
        assert_eq!((row.method.as_str(), row.answers, row.errors), ("S/A", 10.0, 1.0));
        assert!((row.p50 - 1.0).abs() < 1e-9 && (row.p99 - 1.98).abs() < 1e-9, "{row:?}");
        let collection = &view.collections[0];
        assert_eq!((collection.documents, collection.memory), (4.0, 150.0));
        assert_eq!(view.running, 1.0);
        assert!(view.render().contains("S/A") && view.render().contains("notes"));
        assert_eq!(view.to_json()["methods"][0]["answers_per_second"], 10.0);
    }

    #[test]
    fn a_quantile_lies_within_its_bucket() {
        assert_eq!(quantile(&[], 0.5), 0.0);
        let buckets = [(1.0, 0.0), (2.0, 10.0), (f64::INFINITY, 10.0)];
        assert!((quantile(&buckets, 0.5) - 1.5).abs() < 1e-9);
        assert_eq!(quantile(&[(1.0, 0.0), (f64::INFINITY, 4.0)], 0.9), 1.0);
    }
}
