//! How long does it take to find what belongs together? One method over vectors from a file, so that
//! `benches/peers/cluster.py` can put others beside it: seconds of computing by stage, as JSON.
//!
//!     cargo bench --bench cluster -- vectors.f32 384 kmeans 100 labels.i32
//!
//! The vectors are little-endian `f32`, row-major. The number after the method is k for kmeans, the
//! fewest points of a cluster for hdbscan, and of no meaning for leiden and map. Up to 10,000 vectors the
//! neighbours are exact; more are found by the dense index, built over a folder that is gone afterwards,
//! as collections do it. Labels are written as little-endian `i32`, -1 for noise; of a map, where 15
//! neighbours are looked at, the places as `f32`.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a bench prints, and fails loudly")]

use std::time::Instant;

use cpu_time::ProcessTime;
use serde_json::json;
use simile::cancel::Cancellation;
use simile::cluster::{
    Adjacency, CommunityOptions, DensityOptions, EXACT_MAX, KMeansOptions, MapOptions,
    NeighbourGraph, Partition, Points, Selection, Work, communities, hdbscan, kmeans, map,
    trustworthiness,
};
use simile::document::{Slot, SlotSet};
use simile::index::dense::{BuildJob, DenseIndex, DenseOptions, SearchOptions};
use simile::vector::Metric;

/// The breadth of the search for neighbours, as the collections have it.
const EF_OF_NEIGHBOUR: usize = 4;
const EF_MIN: usize = 96;
/// Vectors that are put into the index at a time.
const INSERTED_AT_ONCE: usize = 1_000;
/// How many points a map's trustworthiness is taken of.
const SAMPLE: usize = 1_000;
/// Neighbours of communities and maps.
const NEIGHBOURS: usize = 15;

fn main() {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [file, dimension, method, number, labels] = arguments.as_slice() else {
        println!("usage: VECTORS DIMENSION kmeans|hdbscan|leiden|map NUMBER LABELS");
        return;
    };
    let bytes = fs_err::read(file).unwrap();
    let values = bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap()));
    let points = Points::new(values.collect(), dimension.parse().unwrap()).unwrap();
    drop(bytes);
    let cancel = Cancellation::new();
    let work = Work { seed: 1, progress: &|_, _, _| {}, cancel: &cancel };
    let number: usize = number.parse().unwrap();
    let (wall, computing) = (Instant::now(), ProcessTime::now());
    let mut told = json!({});
    let mut stage = |name: &str| told[name] = json!(computing.elapsed().as_secs_f64());
    let partition = match method.as_str() {
        "kmeans" => {
            let found = kmeans(&points, &KMeansOptions::new(number), &work).unwrap();
            told["inertia"] = json!(found.inertia);
            Some(found.partition)
        }
        "hdbscan" => {
            let graph = neighbours(&points, number.max(NEIGHBOURS), &work);
            stage("graph_cpu_s");
            let options = DensityOptions {
                min_size: number,
                min_samples: number,
                selection: Selection::ExcessOfMass,
                allows_one: false,
            };
            Some(hdbscan(&points, &graph, &options, &work).unwrap().partition)
        }
        "leiden" => {
            let graph = neighbours(&points, NEIGHBOURS, &work);
            stage("graph_cpu_s");
            let adjacency = Adjacency::shared(&graph);
            Some(communities(&adjacency, &CommunityOptions::default(), &work).unwrap())
        }
        _ => {
            let graph = neighbours(&points, NEIGHBOURS, &work);
            stage("graph_cpu_s");
            let layout = map(&points, &graph, &MapOptions::default(), &work).unwrap();
            stage("map_cpu_s");
            let trusted = trustworthiness(&points, &layout, NEIGHBOURS, SAMPLE, &work).unwrap();
            told["trustworthiness"] = json!(trusted);
            let places = layout.0.iter().flatten().flat_map(|place| place.to_le_bytes());
            fs_err::write(labels, places.collect::<Vec<u8>>()).unwrap();
            None
        }
    };
    told["cpu_s"] = json!(computing.elapsed().as_secs_f64());
    told["wall_s"] = json!(wall.elapsed().as_secs_f64());
    told["peak_mib"] = json!(peak_mib());
    if let Some(partition) = partition {
        told["clusters"] = json!(partition.count());
        fs_err::write(labels, written(&partition)).unwrap();
    }
    println!("{told}");
}

fn written(partition: &Partition) -> Vec<u8> {
    let label = |label: &Option<u32>| label.map_or(-1, |label| i32::try_from(label).unwrap());
    partition.labels().iter().map(label).flat_map(i32::to_le_bytes).collect()
}

fn neighbours(points: &Points, width: usize, work: &Work<'_>) -> NeighbourGraph {
    let count = points.count();
    if count <= EXACT_MAX {
        return NeighbourGraph::exact(points, width, work).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let options = DenseOptions::new(points.dimension(), Metric::Euclidean);
    let index = DenseIndex::open(folder.path(), options).unwrap();
    for first in (0..count).step_by(INSERTED_AT_ONCE) {
        let rows = first..(first + INSERTED_AT_ONCE).min(count);
        let some: Vec<(Slot, &[f32])> = rows.map(|row| (slot(row), points.row(row))).collect();
        index.insert(&some).unwrap();
    }
    let live: SlotSet = (0..slot(count).0).collect();
    let threads = std::thread::available_parallelism().unwrap().get();
    let job = BuildJob { live: &live, seed: 1, threads, progress: &|_, _| (), cancel: work.cancel };
    index.seal(&job).unwrap();
    NeighbourGraph::searched(count, width, work, |row, limit| {
        let ef = (limit * EF_OF_NEIGHBOUR).max(EF_MIN);
        let options = SearchOptions { limit, ef, is_exact: false };
        let hits = index.search(points.row(row), &live, &options, work.cancel).unwrap();
        Ok(hits
            .into_iter()
            .map(|(slot, _)| (slot.0, points.distance(row, slot.0 as usize)))
            .collect())
    })
    .unwrap()
}

fn slot(row: usize) -> Slot {
    Slot(u32::try_from(row).unwrap())
}

/// Returns the most memory that the process had, in MiB, where the system says.
fn peak_mib() -> Option<u64> {
    let status = fs_err::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib / 1_024)
}
