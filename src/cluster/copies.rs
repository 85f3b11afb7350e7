use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};

use super::points::row_id;
use super::{ClusterError, Work};
use crate::picture::Likeness;

/// The most pictures that are compared, each with each other.
const PICTURES_MAX: usize = 300_000;

/// Returns the groups of rows that are one picture, saved again, scaled or mirrored: the one to keep,
/// and the others in order, each of which is the same picture as that one. A row without a likeness is
/// in no group. `cut` are pairs of rows of which one is cut out of the other, which hashes do not tell.
/// `preference`, a number for each row, says which to keep, a lower number first; without
/// one, or among equals, what most others are cut out of, and then the first row.
///
/// # Errors
/// [`ClusterError`]: invalid input for more than 300,000 pictures, or other than one preference a row;
/// cancelled.
pub fn copies(
    looks: &[Option<Likeness>],
    cut: &[(u32, u32)],
    preference: Option<&[u64]>,
    work: &Work<'_>,
) -> Result<Vec<(u32, Vec<u32>)>, ClusterError> {
    let mut left: Vec<(u32, Likeness)> =
        looks.iter().enumerate().filter_map(|(row, look)| Some((row_id(row), (*look)?))).collect();
    let (expected, actual) = (looks.len(), preference.map_or(looks.len(), <[u64]>::len));
    if actual != expected {
        return Err(ClusterError::Uneven { what: "preferences", expected, actual });
    }
    let mut beside: HashMap<u32, HashSet<u32>> = HashMap::new();
    for &(a, b) in cut {
        beside.entry(a).or_default().insert(b);
        beside.entry(b).or_default().insert(a);
    }
    left.sort_by_key(|&(row, _)| {
        let preferred = preference.map_or(0, |preference| preference[row as usize]);
        (preferred, Reverse(beside.get(&row).map_or(0, HashSet::len)), row)
    });
    let total = left.len();
    ClusterError::require("the number of pictures", total as f64, 0.0, PICTURES_MAX as f64)?;
    let mut groups = Vec::new();
    // Each is compared with those after it, and the same are taken out together.
    left.reverse();
    while let Some((first, look)) = left.pop() {
        work.cancel.check()?;
        (work.progress)("comparing pictures", total - left.len(), total);
        let beside = beside.get(&first);
        let is_cut = |other: u32| beside.is_some_and(|beside| beside.contains(&other));
        let same = |other: &&(u32, Likeness)| look.is_same(&other.1) || is_cut(other.0);
        let mut others: Vec<u32> = left.par_iter().filter(same).map(|other| other.0).collect();
        if !others.is_empty() {
            others.sort_unstable();
            left.retain(|other| others.binary_search(&other.0).is_err());
            groups.push((first, others));
        }
    }
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use super::super::work::unwatched;
    use super::*;
    use crate::cancel::Cancellation;
    use crate::picture::PerceptualHash;

    fn look(number: u64) -> Likeness {
        let hash = |number: u64| {
            let phash = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 0xFFFF_FFFF;
            PerceptualHash { phash, dhash: phash.rotate_left(13) }
        };
        Likeness { upright: hash(number), mirrored: hash(!number) }
    }

    #[test]
    fn what_is_one_picture_is_one_group_around_the_first() {
        let mut near = look(2);
        near.upright.phash ^= 0b111;
        let mirrored = Likeness { upright: look(2).mirrored, mirrored: look(2).upright };
        let looks = [
            Some(look(1)),
            Some(look(2)),
            None,
            Some(near),
            Some(look(3)),
            Some(mirrored),
            Some(look(1)),
        ];
        let cancel = Cancellation::new();
        let found = copies(&looks, &[], None, &unwatched(&cancel)).unwrap();
        assert_eq!(found, [(0, vec![6]), (1, vec![3, 5])]);
        let preference = [5, 4, 0, 4, 1, 2, 5];
        let found = copies(&looks, &[], Some(&preference), &unwatched(&cancel)).unwrap();
        assert_eq!(found, [(5, vec![1, 3]), (0, vec![6])]);
        // What two are cut out of comes first.
        let cut = [(6, 4), (4, 5)];
        let found = copies(&looks, &cut, None, &unwatched(&cancel)).unwrap();
        assert_eq!(found, [(4, vec![5, 6]), (1, vec![3])]);
        assert!(copies(&looks, &[], Some(&preference[1..]), &unwatched(&cancel)).is_err());
    }

    #[test]
    fn a_chain_of_small_steps_joins_no_strangers() {
        let mut steps = vec![look(7)];
        for step in 0..4 {
            let mut next = steps[step];
            next.upright.phash ^= 0xFF << (8 * step + 32);
            steps.push(next);
        }
        let looks: Vec<Option<Likeness>> = steps.into_iter().map(Some).collect();
        let cancel = Cancellation::new();
        let found = copies(&looks, &[], None, &unwatched(&cancel)).unwrap();
        assert_eq!(found, [(0, vec![1]), (2, vec![3])]);
    }
}
