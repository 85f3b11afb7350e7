//! How long does it take to find what belongs together? One method over vectors from a file, so that
//! `benches/peers/cluster.py` can put others beside it: seconds of computing by stage, as JSON.
//!
//!     cargo bench --bench cluster -- vectors.f32 384 kmeans 100 labels.i32
//!
//! The vectors are little-endian `f32`, row-major. The number after the method is k for kmeans, the
//! fewest points of a cluster for hdbscan, and of no meaning for leiden and map. Up to 10,000 vectors the
//! neighbours are exact, as in collections. Labels are written as little-endian `i32`, -1 for noise; of a map, where 15
//! neighbours are looked at, the places as `f32`.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a bench prints, and fails loudly")]

use std::time::Instant;

use cpu_time::ProcessTime;
use serde_json::json;
use simile::cancel::Cancellation;
use simile::cluster::{
    Adjacency, CommunityOptions, DensityOptions, KMeansOptions, MapOptions, NeighbourGraph,
    Partition, Points, Selection, Work, communities, hdbscan, kmeans, map, trustworthiness,
};

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
            let graph = NeighbourGraph::nearest(&points, number.max(NEIGHBOURS), &work).unwrap();
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
            let graph = NeighbourGraph::nearest(&points, NEIGHBOURS, &work).unwrap();
            stage("graph_cpu_s");
            let adjacency = Adjacency::shared(&graph);
            Some(communities(&adjacency, &CommunityOptions::default(), &work).unwrap())
        }
        _ => {
            let graph = NeighbourGraph::nearest(&points, NEIGHBOURS, &work).unwrap();
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

/// Returns the most memory that the process had, in MiB, where the system says.
fn peak_mib() -> Option<u64> {
    let status = fs_err::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib / 1_024)
}
