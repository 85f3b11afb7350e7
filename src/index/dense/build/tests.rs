use std::cell::RefCell;

use rand::Rng as _;

use super::super::Quantisation;
use super::super::graph::{Layer, linked};
use super::super::tests::{METRICS, QUANTISATIONS, all, clustered, hard_sets, options, with_job};
use super::*;
use crate::cancel::Cancellation;
use crate::vector::Metric;

fn drafted(vectors: &[Vec<f32>], options: &DenseOptions, seed: u64, threads: usize) -> Draft {
    let rows: Vec<&[f32]> = vectors.iter().map(Vec::as_slice).collect();
    let (live, cancel) = (all(rows.len()), Cancellation::new());
    let job = BuildJob { live: &live, seed, threads, progress: &|_, _| (), cancel: &cancel };
    build(&rows, options, &job).unwrap()
}

fn links_of(draft: &Draft) -> Vec<Vec<u32>> {
    draft.graph.layers.iter().map(|layer| layer.links.to_vec()).collect()
}

#[test]
fn every_link_leads_to_another_node_of_its_layer() {
    for metric in METRICS {
        for quantisation in QUANTISATIONS {
            let vectors = clustered(1, 1_100, 10, metric);
            let draft = drafted(&vectors, &options(10, metric, quantisation), 1, 2);
            assert_eq!(draft.graph.count(), vectors.len());
            for layer in &draft.graph.layers {
                for node in 0..u32::try_from(layer.count()).unwrap() {
                    let links = layer.of(node);
                    let mut distinct = links.to_vec();
                    distinct.sort_unstable();
                    distinct.dedup();
                    assert_eq!(distinct.len(), links.len(), "a node is linked once");
                    assert!(!links.contains(&node));
                    assert!(links.iter().all(|&link| (link as usize) < layer.count()));
                }
            }
        }
    }
}

#[test]
fn every_node_is_reached_from_the_first_one() {
    let mut sets = hard_sets(2_000, 12);
    sets.push(("clusters", [clustered(2, 2_000, 12, Metric::Euclidean), Vec::new()]));
    for (name, [vectors, _]) in sets {
        let draft = drafted(&vectors, &options(12, Metric::Euclidean, Quantisation::Int8), 1, 2);
        let lowest = &draft.graph.layers[0];
        let mut is_reached = vec![false; lowest.count()];
        // Walks begin at upper nodes, at the node that descending ends at, and at the stragglers.
        let upper = draft.graph.layers.get(1).map_or(1, Layer::count);
        let mut open: Vec<u32> = (0..u32::try_from(upper).unwrap()).collect();
        open.extend(&draft.stragglers);
        while let Some(node) = open.pop() {
            if !std::mem::replace(&mut is_reached[node as usize], true) {
                open.extend(linked(lowest.of(node)));
            }
        }
        let lost = is_reached.iter().filter(|reached| !**reached).count();
        assert_eq!(lost, 0, "{name}: nodes that no walk reaches");
    }
}

#[test]
fn nodes_that_hnsw_rs_was_not_given_are_linked_to_those_beside_them() {
    // Of most groups of three, `hnsw_rs` is given one node or none.
    let mut random = StdRng::seed_from_u64(8);
    let mut vectors = Vec::new();
    for _ in 0..1_500 {
        let centre: Vec<f32> = (0..8).map(|_| random.random_range(-1.0..1.0)).collect();
        for _ in 0..3 {
            let beside = centre.iter().map(|value| value + random.random_range(-0.01..0.01));
            vectors.push(beside.collect::<Vec<f32>>());
        }
    }
    let draft = drafted(&vectors, &options(8, Metric::Euclidean, Quantisation::Int8), 1, 2);
    assert!(draft.graph.layers[1].count() < vectors.len() / SEED_DIVISOR / 2);
    // Two of them may be linked through the third.
    let alone = draft.nodes.iter().enumerate().filter(|&(place, &node)| {
        let group = place / 3 * 3;
        let mut others = (group..group + 3).filter(|&other| other != place);
        let links = draft.graph.layers[0].of(node);
        !others.any(|other| links.contains(&draft.nodes[other]))
    });
    let alone = alone.count();
    assert!(alone * 200 <= vectors.len(), "{alone} of {}", vectors.len());
}

#[test]
fn equal_vectors_are_one_node() {
    let mut vectors = clustered(3, 300, 8, Metric::Dot);
    vectors[17] = vectors[200].clone();
    vectors[250] = vectors[200].clone();
    let draft = drafted(&vectors, &options(8, Metric::Dot, Quantisation::Int8), 1, 1);
    assert_eq!(draft.graph.count(), 298);
    assert_eq!(draft.nodes[17], draft.nodes[250]);
    assert_eq!(draft.firsts[draft.nodes[200] as usize], 17);
}

#[test]
fn a_seed_gives_one_graph_on_one_thread() {
    let vectors = clustered(4, 1_500, 10, Metric::Cosine);
    let options = options(10, Metric::Cosine, Quantisation::Int8);
    let graph = |seed| links_of(&drafted(&vectors, &options, seed, 1));
    let first = graph(7);
    assert_eq!(first, graph(7));
    assert_ne!(first, graph(8));
}

#[test]
fn one_vector_and_two_are_graphs() {
    for count in [1, 2, 3] {
        let vectors = clustered(5, count, 4, Metric::Euclidean);
        let draft = drafted(&vectors, &options(4, Metric::Euclidean, Quantisation::Int8), 1, 2);
        assert_eq!(draft.graph.count(), count);
    }
}

#[test]
fn a_build_ends_soon_after_it_is_cancelled() {
    let vectors = clustered(6, 1_000, 8, Metric::Euclidean);
    let rows: Vec<&[f32]> = vectors.iter().map(Vec::as_slice).collect();
    let options = options(8, Metric::Euclidean, Quantisation::Int8);
    let told = RefCell::new(0);
    with_job(&all(1_000), |job| {
        let progress = |_, _| {
            *told.borrow_mut() += 1;
            job.cancel.expire();
        };
        let job = BuildJob { progress: &progress, ..*job };
        let outcome = build(&rows, &options, &job);
        assert!(matches!(outcome, Err(DenseError::Interrupted(_))));
    });
    assert_eq!(told.into_inner(), 1, "no step is begun after the one in which it was cancelled");
}
