//! How fast does a server answer over gRPC?
//!
//! Driven by `benches/peers/wire.py`: asks a running server for the neighbours of vectors, ids only,
//! with so many requests in flight or so many questions a request, and prints one JSON object: questions
//! a second, the latency of a request, and the recall.
#![allow(clippy::print_stdout, reason = "the figures are what the program is for")]

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use simile_proto::v1 as wire;
use simile_proto::v1::search_client::SearchClient;
use tokio::task::JoinSet;
use tonic::transport::{Channel, Endpoint};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

struct Run {
    requests: Vec<wire::SearchBatchRequest>,
    truth: Vec<Vec<String>>,
    batch: usize,
    until: Instant,
    next: AtomicUsize,
    found: AtomicU64,
    asked: AtomicU64,
}

fn main() -> Outcome<()> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let options: HashMap<&str, &str> = words
        .chunks_exact(2)
        .map(|pair| (pair[0].trim_start_matches('-'), pair[1].as_str()))
        .collect();
    if options.is_empty() {
        println!("run by benches/peers/wire.py");
        return Ok(());
    }
    let get = |name: &str| options.get(name).copied().ok_or(format!("--{name} is missing"));
    let (dimension, batch): (usize, usize) = (get("dimension")?.parse()?, get("batch")?.parse()?);
    let in_flight: usize = get("in-flight")?.parse()?;
    let queries: Vec<f32> = words_of(get("queries")?, f32::from_le_bytes)?;
    let truth: Vec<u32> = words_of(get("truth")?, u32::from_le_bytes)?;
    let limit = truth.len() / (queries.len() / dimension);
    let ef: u32 = get("ef")?.parse()?;
    let question = |components: &[f32]| wire::SearchRequest {
        collection: "bench".to_owned(),
        vectors: HashMap::from([(
            "v".to_owned(),
            wire::DenseVector { components: components.to_vec() },
        )]),
        mode: wire::Mode::Semantic.into(),
        limit: u32::try_from(limit).ok(),
        with_payload: Some(false),
        with_text: Some(false),
        ef: Some(ef),
        ..wire::SearchRequest::default()
    };
    let questions: Vec<_> = queries.chunks_exact(dimension).map(question).collect();
    let requests = questions
        .chunks(batch)
        .map(|searches| wire::SearchBatchRequest {
            collection: "bench".to_owned(),
            searches: searches.to_vec(),
        })
        .collect();
    let ids = |row: &[u32]| row.iter().map(u32::to_string).collect();
    let seconds: f64 = get("seconds")?.parse()?;
    let run = Arc::new(Run {
        requests,
        truth: truth.chunks_exact(limit).map(ids).collect(),
        batch,
        until: Instant::now() + Duration::from_secs_f64(seconds),
        next: AtomicUsize::new(0),
        found: AtomicU64::new(0),
        asked: AtomicU64::new(0),
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let address = format!("http://{}", get("address")?);
    let started = Instant::now();
    let mut latencies = runtime.block_on(ask(&run, address, in_flight))?;
    let spent = started.elapsed().as_secs_f64();
    latencies.sort_unstable();
    let at = |share: f64| {
        let place = (share * latencies.len() as f64) as usize;
        latencies[place.min(latencies.len() - 1)].as_secs_f64() * 1e3
    };
    let asked = run.asked.load(Ordering::Relaxed);
    let recall = run.found.load(Ordering::Relaxed) as f64 / (asked * limit as u64) as f64;
    println!(
        r#"{{"qps": {:.1}, "p50_ms": {:.4}, "p99_ms": {:.4}, "recall": {recall:.4}}}"#,
        asked as f64 / spent,
        at(0.5),
        at(0.99),
    );
    Ok(())
}

async fn ask(run: &Arc<Run>, address: String, in_flight: usize) -> Outcome<Vec<Duration>> {
    let channel = Endpoint::from_shared(address)?.tcp_nodelay(true).connect().await?;
    let mut tasks = JoinSet::new();
    for _ in 0..in_flight {
        tasks.spawn(ask_in_turn(Arc::clone(run), SearchClient::new(channel.clone())));
    }
    let mut latencies = Vec::new();
    while let Some(done) = tasks.join_next().await {
        latencies.extend(done??);
    }
    Ok(latencies)
}

async fn ask_in_turn(run: Arc<Run>, mut client: SearchClient<Channel>) -> Outcome<Vec<Duration>> {
    let mut latencies = Vec::new();
    while Instant::now() < run.until {
        let place = run.next.fetch_add(1, Ordering::Relaxed) % run.requests.len();
        let mut request = run.requests[place].clone();
        let sent = Instant::now();
        let answers = match request.searches.pop() {
            Some(only) if run.batch == 1 => vec![client.search(only).await?.into_inner()],
            last => {
                request.searches.extend(last);
                let answer = client.search_batch(request).await?.into_inner();
                answer.results.into_iter().map(answered).collect::<Outcome<_>>()?
            }
        };
        latencies.push(sent.elapsed());
        for (answer, truth) in answers.iter().zip(&run.truth[place * run.batch..]) {
            let found = answer.hits.iter().filter(|hit| truth.contains(&hit.id)).count();
            run.found.fetch_add(found as u64, Ordering::Relaxed);
            run.asked.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(latencies)
}

fn answered(result: wire::SearchBatchResult) -> Outcome<wire::SearchResponse> {
    match result.outcome {
        Some(wire::search_batch_result::Outcome::Answer(answer)) => Ok(answer),
        Some(wire::search_batch_result::Outcome::Error(error)) => Err(error.message.into()),
        None => Err("a question of the batch has no answer".into()),
    }
}

fn words_of<T>(file: &str, read: impl Fn([u8; 4]) -> T) -> Outcome<Vec<T>> {
    let bytes = fs_err::read(file)?;
    Ok(bytes.as_chunks().0.iter().map(|&word| read(word)).collect())
}
