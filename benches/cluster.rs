//! How long does it take to find what belongs together? One method over vectors from a file, so that
//! `benches/peers/cluster.py` can put others beside it: seconds of computing by stage, as JSON.
//!
//!     cargo bench --bench cluster -- vectors.f32 384 kmeans 100 labels.i32
//!
//! The vectors are little-endian `f32`, row-major. The number after the method is k for kmeans and the
//! fewest points of a cluster for hdbscan. Labels are written as little-endian `i32`, -1 for noise.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a bench prints, and fails loudly")]

use std::time::Instant;

use cpu_time::ProcessTime;
use simile::cancel::Cancellation;
use simile::cluster::{
    DensityOptions, KMeansOptions, NeighbourGraph, Points, Selection, Work, hdbscan, kmeans,
};

fn main() {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [file, dimension, method, number, labels] = arguments.as_slice() else {
        println!("usage: VECTORS DIMENSION kmeans|hdbscan NUMBER LABELS");
        return;
    };
    let bytes = fs_err::read(file).unwrap();
    let values = bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap()));
    let points = Points::new(values.collect(), dimension.parse().unwrap()).unwrap();
    let cancel = Cancellation::new();
    let work = Work { seed: 1, progress: &|_, _, _| {}, cancel: &cancel };
    let number: usize = number.parse().unwrap();
    let (wall, computing) = (Instant::now(), ProcessTime::now());
    let (partition, inertia, graph_s) = match method.as_str() {
        "kmeans" => {
            let found = kmeans(&points, &KMeansOptions::new(number), &work).unwrap();
            (found.partition, Some(found.inertia), 0.0)
        }
        _ => {
            let graph = NeighbourGraph::exact(&points, number.max(15), &work).unwrap();
            let graph_s = computing.elapsed().as_secs_f64();
            let options = DensityOptions {
                min_size: number,
                min_samples: number,
                selection: Selection::ExcessOfMass,
                allows_one: false,
            };
            (hdbscan(&points, &graph, &options, &work).unwrap().partition, None, graph_s)
        }
    };
    let (wall, computing) = (wall.elapsed().as_secs_f64(), computing.elapsed().as_secs_f64());
    let written = partition
        .labels()
        .iter()
        .map(|label| label.map_or(-1, |label| i32::try_from(label).unwrap()))
        .flat_map(i32::to_le_bytes);
    fs_err::write(labels, written.collect::<Vec<u8>>()).unwrap();
    let inertia = inertia.map_or("null".to_owned(), |inertia| inertia.to_string());
    println!(
        "{{\"cpu_s\": {computing}, \"wall_s\": {wall}, \"graph_cpu_s\": {graph_s}, \
         \"clusters\": {}, \"inertia\": {inertia}}}",
        partition.count()
    );
}
