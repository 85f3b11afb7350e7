use super::super::reference::{reference, set};
use super::super::work::unwatched;
use super::*;
use crate::cancel::Cancellation;

#[test]
fn heights_are_those_of_scipy() {
    let cancel = Cancellation::new();
    assert_eq!(reference().hierarchy.len(), 12);
    for case in &reference().hierarchy {
        let linkage = match case.linkage.as_str() {
            "average" => Linkage::Average,
            "complete" => Linkage::Complete,
            "ward" => Linkage::Ward,
            _ => Linkage::Single,
        };
        let tree = Hierarchy::new(&set(&case.set).0, linkage, &unwatched(&cancel)).unwrap();
        assert_eq!(tree.merges().len(), case.heights.len());
        for (merge, recorded) in tree.merges().iter().zip(&case.heights) {
            let (height, what) = (merge.height, &case.linkage);
            assert!(
                (height - recorded).abs() < 2e-4,
                "{} {what}: {height} was {recorded}",
                case.set
            );
        }
    }
}

#[test]
fn a_tree_is_cut_at_a_count_or_a_height() {
    let points = Points::new(vec![0.0, 1.0, 10.0, 11.5, 30.0], 1).unwrap();
    let cancel = Cancellation::new();
    let tree = Hierarchy::new(&points, Linkage::Complete, &unwatched(&cancel)).unwrap();
    let heights: Vec<f64> = tree.merges().iter().map(|merge| merge.height).collect();
    assert_eq!(heights, [1.0, 1.5, 11.5, 30.0]);
    assert_eq!(tree.merges()[3], Merge { left: 4, right: 7, height: 30.0, size: 5 });
    let three = [Some(0), Some(0), Some(1), Some(1), Some(2)];
    assert_eq!(tree.cut_at_count(3).labels(), three);
    assert_eq!(tree.cut_at_height(1.5).labels(), three);
    assert_eq!(tree.cut_at_count(1).count(), 1);
    assert_eq!((tree.cut_at_count(99).count(), tree.cut_at_height(0.0).count()), (5, 5));
}

#[test]
fn more_items_than_a_tree_takes_are_refused() {
    let cancel = Cancellation::new();
    let points = Points::new(vec![0.0; HIERARCHY_ITEMS_MAX + 1], 1).unwrap();
    let error = Hierarchy::new(&points, Linkage::Ward, &unwatched(&cancel)).unwrap_err();
    assert_eq!(error.to_string(), "a hierarchy takes at most 4096 vectors, got 4097");
}
