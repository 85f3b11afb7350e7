//! How fast and how well does the dense index find neighbours?
//!
//! Driven by `benches/peers/ann.py`, which makes the data and runs other libraries on it. Reads raw
//! little-endian vectors and prints a JSON object for the build and one for each `ef`.
#![allow(clippy::print_stdout, reason = "the figures are what the program is for")]

use std::collections::HashMap;
use std::error::Error;
use std::path::{Path, PathBuf};

use cpu_time::{ProcessTime, ThreadTime};
use simile::cancel::Cancellation;
use simile::document::{Slot, SlotSet};
use simile::index::dense::{BuildJob, DenseIndex, DenseOptions, Quantisation, SearchOptions};
use simile::vector::Metric;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// How often the queries are run for each `ef`; the fastest run counts.
const ROUNDS: usize = 2;

/// A curve ends beyond this recall.
const RECALL_MAX: f64 = 0.995;

struct Run {
    index: DenseIndex,
    dimension: usize,
    queries: Vec<f32>,
    truth: Vec<u32>,
    allowed: SlotSet,
    limit: usize,
}

fn main() -> Outcome<()> {
    // The test runner of cargo passes this.
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let options: HashMap<&str, &str> = arguments
        .chunks_exact(2)
        .map(|pair| (pair[0].trim_start_matches('-'), pair[1].as_str()))
        .collect();
    if options.is_empty() {
        println!("run by benches/peers/ann.py");
        return Ok(());
    }
    let get = |name: &str| options.get(name).copied().ok_or(format!("--{name} is missing"));
    let dimension: usize = get("dimension")?.parse()?;
    let base: Vec<f32> = read(get("base")?)?;
    let count = u32::try_from(base.len() / dimension)?;
    let mut dense = DenseOptions::new(dimension, metric(get("metric")?)?);
    dense.quantisation = match options.get("quantisation").copied() {
        Some("none") => Quantisation::None,
        Some("binary") => Quantisation::Binary,
        _ => Quantisation::Int8,
    };
    if let Some(ef) = options.get("ef-construction") {
        dense.ef_construction = ef.parse()?;
    }
    if let Some(links) = options.get("links") {
        dense.links_max = links.parse()?;
    }
    let folder = PathBuf::from(get("folder")?);
    let allowed = match options.get("allowed") {
        Some(file) => read::<u32>(file)?.into_iter().collect(),
        None => (0..count).collect(),
    };
    let index = build(&folder, &dense, &base, get("threads")?.parse()?, count)?;
    drop(base);
    let truth: Vec<u32> = read(get("truth")?)?;
    let queries: Vec<f32> = read(get("queries")?)?;
    let limit = truth.len() / (queries.len() / dimension);
    let run = Run { index, dimension, queries, truth, allowed, limit };
    let mut found = Vec::new();
    for ef in get("ef")?.split(',') {
        let recall;
        (found, recall) = measure(&run, ef.parse()?)?;
        if recall > RECALL_MAX {
            break;
        }
    }
    if let Some(file) = options.get("found") {
        fs_err::write(file, bytemuck::cast_slice(&found))?;
    }
    Ok(())
}

/// Opens the index in the folder, or builds it there first.
fn build(
    folder: &Path,
    options: &DenseOptions,
    base: &[f32],
    threads: usize,
    count: u32,
) -> Outcome<DenseIndex> {
    let index = DenseIndex::open(folder, options.clone())?;
    if index.sealed().is_empty() {
        let started = ProcessTime::now();
        for (slot, vector) in (0..).zip(base.chunks_exact(options.dimension)) {
            index.insert(&[(Slot(slot), vector)])?;
        }
        let live = (0..count).collect();
        let cancel = Cancellation::new();
        let job = BuildJob { live: &live, seed: 1, threads, progress: &|_, _| (), cancel: &cancel };
        index.seal(&job)?;
        println!("{{\"build_cpu_s\": {:.3}}}", started.elapsed().as_secs_f64());
    }
    drop(index);
    let started = std::time::Instant::now();
    let index = DenseIndex::open(folder, options.clone())?;
    let opened = started.elapsed().as_secs_f64();
    let found = index.statistics();
    let hot = found.graph_bytes + found.code_bytes + found.slot_bytes;
    println!(
        "{{\"open_s\": {opened:.4}, \"hot_bytes\": {}, \"vector_bytes\": {}}}",
        hot as f64 / f64::from(count),
        found.vector_bytes as f64 / f64::from(count)
    );
    Ok(index)
}

/// Prints recall and rate, and returns the slots that were found, `limit` a query and [`u32::MAX`]
/// where there were fewer, and the recall.
fn measure(run: &Run, ef: usize) -> Outcome<(Vec<u32>, f64)> {
    let options = SearchOptions { limit: run.limit, ef, is_exact: false };
    let cancel = Cancellation::new();
    let mut best = f64::MAX;
    let count = run.queries.len() / run.dimension;
    let mut slots = vec![u32::MAX; run.truth.len()];
    for _ in 0..ROUNDS {
        let started = ThreadTime::now();
        let queries = run.queries.chunks_exact(run.dimension);
        for (query, slots) in queries.zip(slots.chunks_exact_mut(run.limit)) {
            let found = run.index.search(query, &run.allowed, &options, &cancel)?;
            for (slot, found) in slots.iter_mut().zip(found) {
                *slot = found.0.0;
            }
        }
        best = best.min(started.elapsed().as_secs_f64());
    }
    let hits: usize = slots
        .chunks_exact(run.limit)
        .zip(run.truth.chunks_exact(run.limit))
        .map(|(slots, truth)| slots.iter().filter(|slot| truth.contains(slot)).count())
        .sum();
    let recall = hits as f64 / (count * run.limit) as f64;
    println!("{{\"ef\": {ef}, \"recall\": {recall:.5}, \"qps\": {:.1}}}", count as f64 / best);
    Ok((slots, recall))
}

fn read<T: bytemuck::Pod>(file: &str) -> Outcome<Vec<T>> {
    let bytes = fs_err::read(file)?;
    Ok(bytemuck::allocation::pod_collect_to_vec(&bytes))
}

fn metric(name: &str) -> Outcome<Metric> {
    [Metric::Cosine, Metric::Dot, Metric::Euclidean]
        .into_iter()
        .find(|metric| metric.name() == name)
        .ok_or_else(|| format!("no metric {name}").into())
}
