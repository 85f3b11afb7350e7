use super::super::NeighbourGraph;
use super::super::reference::{adjusted_rand, reference, set};
use super::super::work::unwatched;
use super::*;
use crate::cancel::Cancellation;

#[test]
fn the_modularity_is_what_leidenalg_reaches() {
    let cancel = Cancellation::new();
    let work = unwatched(&cancel);
    assert_eq!(reference().communities.len(), 4);
    for case in &reference().communities {
        let graph = match (&case.edges, &case.set, case.k) {
            (Some(edges), _, _) => Adjacency::new(60, edges.iter().map(|&(a, b)| (a, b, 1.0))),
            (None, Some(name), Some(k)) => {
                let graph = NeighbourGraph::exact(&set(name).0, k, &work).unwrap();
                Adjacency::shared(&graph)
            }
            _ => panic!("a case has edges or a set: {case:?}"),
        };
        let found = communities(&graph, &CommunityOptions::default(), &work).unwrap();
        let reached = modularity(&graph, found.labels(), 1.0);
        assert!(
            reached > case.modularity - 2e-3,
            "{:?}: {reached} was {}",
            case.set,
            case.modularity
        );
        assert!(
            reached < case.modularity + 5e-3,
            "{:?}: {reached} was {}",
            case.set,
            case.modularity
        );
    }
}

#[test]
fn the_classes_are_communities_and_more_resolution_makes_more_of_them() {
    let cancel = Cancellation::new();
    let work = unwatched(&cancel);
    let (points, classes) = set("classes");
    let graph = Adjacency::shared(&NeighbourGraph::exact(&points, 10, &work).unwrap());
    let found = communities(&graph, &CommunityOptions::default(), &work).unwrap();
    let score = adjusted_rand(found.labels(), classes);
    assert!(score > 0.7, "{score}");
    let again = communities(&graph, &CommunityOptions::default(), &work).unwrap();
    assert_eq!(found, again);
    let finer = communities(&graph, &CommunityOptions { resolution: 6.0 }, &work).unwrap();
    assert!(finer.count() > found.count(), "{} {}", finer.count(), found.count());
}

#[test]
fn every_community_is_connected_and_what_has_no_edge_is_noise() {
    let cancel = Cancellation::new();
    let mut chance = StdRng::seed_from_u64(4);
    let edges: Vec<(u32, u32, f32)> = (0..900)
        .map(|_| (chance.random_range(0..300u32), chance.random_range(0..300u32), chance.random()))
        .collect();
    let graph = Adjacency::new(310, edges.iter().copied());
    let found = communities(&graph, &CommunityOptions::default(), &unwatched(&cancel)).unwrap();
    for members in found.members() {
        let mut seen = vec![members[0]];
        let mut waiting = vec![members[0]];
        while let Some(row) = waiting.pop() {
            for (to, _) in graph.of(row as usize) {
                if members.contains(&to) && !seen.contains(&to) {
                    seen.push(to);
                    waiting.push(to);
                }
            }
        }
        assert_eq!(seen.len(), members.len(), "{members:?}");
    }
    assert!(found.noise() >= 10);
    assert!(found.labels()[300..].iter().all(Option::is_none));
}
