use std::collections::VecDeque;

use super::graph::{Graph, Layer, linked};
use super::hnsw::Built;

/// How many nodes are grown around one before another is begun with.
const BLOCK: usize = 64;
/// Stands for no number.
const NOWHERE: u32 = u32::MAX;

/// Numbers the nodes anew, so that those which lead to each other lie near each other in memory: a walk
/// then reads pages that it has read before. Blocks of nodes are grown over the links of the lowest
/// layer, breadth first. Nodes of the upper layers stay before the others, and node 0 on all of them.
///
/// # Errors
/// If the system gives no memory.
pub(super) fn renumber(built: Built) -> std::io::Result<Built> {
    let Built { graph, rows } = built;
    let Some(lowest) = graph.layers.first() else { return Ok(Built { graph, rows }) };
    let mut order = grown(lowest);
    let counts: Vec<usize> = graph.layers.iter().map(Layer::count).collect();
    // The highest layer of a node; stable, so that each layer keeps the order of the blocks.
    order.sort_by_key(|&node| counts.iter().filter(|&&count| node as usize >= count).count());
    let mut numbers = vec![NOWHERE; order.len()];
    for (number, &node) in (0u32..).zip(&order) {
        numbers[node as usize] = number;
    }
    let mut layers = Vec::with_capacity(graph.layers.len());
    let mut links = Vec::new();
    for layer in &graph.layers {
        let mut renumbered = Layer::empty(layer.count(), layer.width)?;
        for (number, &node) in (0u32..).zip(&order).take(layer.count()) {
            links.clear();
            links.extend(layer.of(node).iter().map(|&link| numbers[link as usize]));
            renumbered.set(number, &links);
        }
        layers.push(renumbered);
    }
    let rows = order.into_iter().map(|node| rows[node as usize]).collect();
    Ok(Built { graph: Graph { layers }, rows })
}

/// Returns all nodes of a layer, in blocks that its links hold together; node 0 first.
fn grown(layer: &Layer) -> Vec<u32> {
    let count = layer.count();
    let mut order = Vec::with_capacity(count);
    let mut is_taken = vec![false; count];
    let mut begins = Vec::new();
    let mut block: VecDeque<u32> = VecDeque::new();
    for first in (0u32..).take(count) {
        begins.push(first);
        while let Some(begin) = begins.pop() {
            block.push_back(begin);
            let mut grown = 0;
            while let Some(node) = block.pop_front() {
                if grown == BLOCK {
                    begins.push(node);
                    begins.extend(block.drain(..));
                    break;
                }
                if std::mem::replace(&mut is_taken[node as usize], true) {
                    continue;
                }
                grown += 1;
                order.push(node);
                let links = linked(layer.rows().row(node as usize)).iter();
                block.extend(links.filter(|&&link| !is_taken[link as usize]));
            }
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::super::graph::set_row;
    use super::*;

    const RINGS: usize = 12;

    /// Rings whose nodes are dealt out in turn, joined at their first nodes, which are the layer
    /// above, too. Rows have the numbers of nodes, reversed.
    fn dealt(of: usize) -> Built {
        let count = RINGS * of;
        let id = |node: usize| u32::try_from(node).unwrap();
        let mut lowest = Layer::empty(count, RINGS + 1).unwrap();
        for node in 0..count {
            let (next, before) = ((node + RINGS) % count, (node + count - RINGS) % count);
            let mut links = vec![id(next), id(before)];
            links.extend((0..RINGS).filter(|&other| node < RINGS && other != node).map(id));
            lowest.set(id(node), &links);
        }
        let mut upper = Layer::empty(RINGS, RINGS - 1).unwrap();
        for (node, row) in upper.links.chunks_exact_mut(RINGS - 1).enumerate() {
            let others: Vec<u32> = (0..RINGS).filter(|&other| other != node).map(id).collect();
            set_row(row, &others);
        }
        let rows = (0..count).rev().map(id).collect();
        Built { graph: Graph { layers: vec![lowest, upper] }, rows }
    }

    #[test]
    fn the_graph_stays_the_same_and_what_is_linked_comes_together() {
        let (before, after) = (dealt(100), renumber(dealt(100)).unwrap());
        let mut seen = after.rows.clone();
        seen.sort_unstable();
        assert_eq!(seen, (0u32..1_200).collect::<Vec<_>>(), "each row once");
        assert_eq!(after.rows[0], before.rows[0], "node 0 stays");
        let by_rows = |built: &Built, layer: usize| {
            let mut pairs: Vec<(u32, u32)> = (0u32..)
                .take(built.graph.layers[layer].count())
                .flat_map(|node| {
                    let links = built.graph.layers[layer].of(node).iter();
                    links.map(move |&link| (built.rows[node as usize], built.rows[link as usize]))
                })
                .collect();
            pairs.sort_unstable();
            pairs
        };
        for layer in 0..2 {
            assert_eq!(by_rows(&before, layer), by_rows(&after, layer), "layer {layer}");
        }
        let near = |built: &Built| {
            let lowest = &built.graph.layers[0];
            let is_near =
                |node: u32| lowest.of(node).iter().filter(move |link| link.abs_diff(node) < 4);
            (0u32..1_200).flat_map(is_near).count()
        };
        let ring_links = 2 * 1_200;
        assert_eq!(near(&before), 60, "of those that join rings");
        assert!(near(&after) > ring_links * 8 / 10, "{}", near(&after));
    }

    #[test]
    fn nodes_without_links_keep_a_place() {
        let layers = vec![Layer::empty(5, 2).unwrap()];
        let built = Built { graph: Graph { layers }, rows: vec![4, 3, 2, 1, 0] };
        let after = renumber(built).unwrap();
        assert_eq!((after.graph.count(), after.rows), (5, vec![4, 3, 2, 1, 0]));
    }
}
