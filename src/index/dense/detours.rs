//! Where would a graph lead that was built without one of its nodes?
//!
//! What a walk finds that only goes around a node is less than it would find in a graph that never had
//! it: the nodes near it would be linked to others in its place. Measured on 6,000 points of six kinds, at
//! recalls of .8 and more, it is up to .024 less; with the detours, from .006 less to .001 more. Looking for
//! them also among the links of the node that is left out made it up to .022 more: those lead to what is
//! near it, as no other links do.

use super::graph::linked;
use super::refine::SLACK;
use crate::vector::kernel::Rows;

/// So many of the nearest two links away are looked at: few of those farther off would be linked.
const NEAREST: usize = 100;

/// A node that is left out, and for each that links to it those it would link to in its place.
#[derive(Debug, Clone)]
pub(super) struct Detours {
    pub(super) node: u32,
    links: Vec<(u32, Vec<u32>)>,
}

impl Detours {
    /// Goes around the node alone.
    pub(super) fn none(node: u32) -> Self {
        Self { node, links: Vec::new() }
    }

    /// Chooses the links as [`super::refine`] does, among what is two links away. `key` is the squared
    /// distance of two nodes, for every metric: what lifts vectors for inner products is not kept. It fails
    /// as the caller's vectors do.
    pub(super) fn around<E>(
        layer: Rows<'_, u32>,
        node: u32,
        key: impl Fn(u32, u32) -> Result<f32, E>,
    ) -> Result<Self, E> {
        let mut near = links_of(layer, node).to_vec();
        near.extend(beyond(layer, &near, node));
        near.sort_unstable();
        near.dedup();
        let mut links = Vec::new();
        for linking in near {
            if links_of(layer, linking).contains(&node) {
                links.push((linking, chosen(layer, linking, node, &key)?));
            }
        }
        Ok(Self { node, links })
    }

    /// Returns what the node would link to in the place of the one that is left out.
    pub(super) fn of(&self, node: u32) -> &[u32] {
        let found = self.links.binary_search_by_key(&node, |&(linking, _)| linking);
        found.map_or(&[], |place| &self.links[place].1)
    }
}

/// Returns the links of a node, none of what is no node.
fn links_of(layer: Rows<'_, u32>, node: u32) -> &[u32] {
    if (node as usize) < layer.count() { linked(layer.row(node as usize)) } else { &[] }
}

/// Returns what the links lead on to, ascending: neither back to `node` nor to one another.
fn beyond(layer: Rows<'_, u32>, links: &[u32], node: u32) -> Vec<u32> {
    let ahead = links.iter().flat_map(|&link| links_of(layer, link));
    let mut beyond: Vec<u32> =
        ahead.copied().filter(|other| *other != node && !links.contains(other)).collect();
    beyond.sort_unstable();
    beyond.dedup();
    beyond
}

/// Returns the links that a node would have besides those that it has, if `without` were not there.
fn chosen<E>(
    layer: Rows<'_, u32>,
    node: u32,
    without: u32,
    key: &impl Fn(u32, u32) -> Result<f32, E>,
) -> Result<Vec<u32>, E> {
    let mut links = links_of(layer, node).to_vec();
    links.retain(|&link| link != without);
    let mut candidates = Vec::new();
    for other in beyond(layer, &links, node) {
        if other != without {
            candidates.push((key(node, other)?, other));
        }
    }
    if candidates.len() > NEAREST {
        candidates.select_nth_unstable_by(NEAREST, |a, b| a.0.total_cmp(&b.0));
        candidates.truncate(NEAREST);
    }
    candidates.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(&b.1)));
    let kept = links.len();
    'candidates: for (own, candidate) in candidates {
        if links.len() == layer.width() {
            break;
        }
        for &link in &links {
            if key(link, candidate)? * SLACK < own {
                continue 'candidates;
            }
        }
        links.push(candidate);
    }
    Ok(links.split_off(kept))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::super::graph::Layer;
    use super::*;

    /// Points of a line, each linked to the two before and the two after it, or as many as there are.
    fn line(count: u32) -> Layer {
        let mut layer = Layer::empty(count as usize, 5).unwrap();
        for node in 0..count {
            let around = node.saturating_sub(2)..(node + 3).min(count);
            layer.set(node, &around.filter(|&other| other != node).collect::<Vec<_>>());
        }
        layer
    }

    fn squared(a: u32, b: u32) -> Result<f32, Infallible> {
        Ok((a as f32 - b as f32).powi(2))
    }

    fn leading(detours: &Detours) -> Vec<(u32, &[u32])> {
        let all = (0..20).map(|node| (node, detours.of(node)));
        all.filter(|(_, links)| !links.is_empty()).collect()
    }

    #[test]
    fn what_lay_behind_the_node_is_linked_in_its_place() {
        let mut layer = line(9);
        layer.set(3, &[1, 2, 4]);
        let Ok(detours) = Detours::around(layer.rows(), 4, squared);
        assert_eq!(leading(&detours), [], "what is reached without 4 lies behind a link");
        layer.set(2, &[0, 1, 3, 4, 5]);
        let Ok(detours) = Detours::around(layer.rows(), 4, squared);
        assert_eq!(leading(&detours), [(3, &[5][..])], "5 lay behind 4, and is reached by 2");
    }

    #[test]
    fn around_the_node_alone_nothing_is_linked() {
        assert_eq!(Detours::none(3).of(2), [] as [u32; 0]);
    }
}
