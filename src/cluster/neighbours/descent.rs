use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::Near;
use super::lists::Lists;
use crate::cluster::{ClusterError, Points, Work};
use crate::vector::kernel::{self, Rows};

/// Neighbours of a point that are compared with each other in a round, of the new and of the known: as
/// many as are looked for, within these bounds.
const SAMPLE_MIN: usize = 20;
const SAMPLE_MAX: usize = 60;
/// The descent ends when fewer than this share of all entries are new.
const CHANGED_MIN: f64 = 0.002;
const ROUNDS_MAX: u64 = 12;
/// Rows that one thread takes at a time.
const ROWS_AT_ONCE: usize = 256;

/// Mends the lists: neighbours of a point are likely to be neighbours of each other, and are compared
/// until that changes next to nothing (NN-descent, Dong, Charikar and Li 2011, algorithm 2). Rows that
/// are near each other in `order` are looked at after each other.
///
/// # Errors
/// [`ClusterError::Interrupted`].
pub(super) fn descend(
    points: &Points,
    lists: &Lists,
    order: &[u32],
    work: &Work<'_>,
) -> Result<(), ClusterError> {
    let entries = lists.count() * lists.width();
    for round in 0..ROUNDS_MAX {
        let links = Links::new(lists);
        let done = AtomicUsize::new(0);
        if (links.new as f64) < entries as f64 * CHANGED_MIN {
            break;
        }
        order.par_chunks(ROWS_AT_ONCE).try_for_each(|rows| {
            let before = done.fetch_add(rows.len(), Ordering::Relaxed);
            work.step("comparing neighbours", before, lists.count())?;
            let mut join = Join::new(points, lists);
            let salt = work.seed.wrapping_add(round);
            rows.iter().for_each(|&row| join.around(row, &links, salt));
            Ok::<(), ClusterError>(())
        })?;
    }
    Ok(())
}

/// Who is whose neighbour as a round begins, in both directions.
struct Links {
    width: usize,
    /// How many of all entries are new.
    new: usize,
    lists: Vec<(u32, bool)>,
    lengths: Vec<u32>,
    starts: Vec<usize>,
    backward: Vec<(u32, bool)>,
}

impl Links {
    fn new(lists: &Lists) -> Self {
        let (count, width) = (lists.count(), lists.width());
        let mut forward = vec![(0, false); count * width];
        let lengths: Vec<u32> = forward
            .par_chunks_mut(width)
            .enumerate()
            .map(|(row, links)| {
                lists.with(row, |list| {
                    let entries = list.iter().map(|entry| (entry.near.row, entry.is_new));
                    links.iter_mut().zip(entries).fold(0, |length, (link, entry)| {
                        *link = entry;
                        length + 1
                    })
                })
            })
            .collect();
        let mut links = Self {
            width,
            new: 0,
            lists: forward,
            lengths,
            starts: vec![0; count + 1],
            backward: vec![],
        };
        for row in 0..count {
            for place in row * width..row * width + links.lengths[row] as usize {
                links.starts[links.lists[place].0 as usize + 1] += 1;
                links.new += usize::from(links.lists[place].1);
            }
        }
        for row in 0..count {
            links.starts[row + 1] += links.starts[row];
        }
        let mut next = links.starts.clone();
        let mut backward = vec![(0, false); links.starts[count]];
        for (row, id) in (0..count).zip(0u32..) {
            for &(other, is_new) in links.forward(row) {
                let place = &mut next[other as usize];
                backward[*place] = (id, is_new);
                *place += 1;
            }
        }
        links.backward = backward;
        links
    }

    fn forward(&self, row: usize) -> &[(u32, bool)] {
        &self.lists[row * self.width..][..self.lengths[row] as usize]
    }

    fn backward(&self, row: usize) -> &[(u32, bool)] {
        &self.backward[self.starts[row]..self.starts[row + 1]]
    }
}

/// Comparing what is around one row, with room that is used again for the next.
struct Join<'a> {
    points: &'a Points,
    lists: &'a Lists,
    new: Vec<(u64, u32)>,
    known: Vec<(u64, u32)>,
    rows: Vec<u32>,
    values: Vec<f32>,
    distances: Vec<f32>,
    places: Vec<u32>,
}

impl<'a> Join<'a> {
    fn new(points: &'a Points, lists: &'a Lists) -> Self {
        let places = (0u32..).take(2 * SAMPLE_MAX).collect();
        let (new, known, rows) = (Vec::new(), Vec::new(), Vec::new());
        let (values, distances) = (Vec::new(), vec![0.0; 2 * SAMPLE_MAX]);
        Self { points, lists, new, known, rows, values, distances, places }
    }

    /// Compares the neighbours of a row, and those whose neighbour it is, with each other, unless both
    /// were there in the round before.
    fn around(&mut self, row: u32, links: &Links, salt: u64) {
        let forward = links.forward(row as usize);
        self.new.clear();
        self.known.clear();
        for &(other, is_new) in forward.iter().chain(links.backward(row as usize)) {
            let ticket = (mixed(salt, row, other), other);
            if is_new { self.new.push(ticket) } else { self.known.push(ticket) }
        }
        if self.new.is_empty() {
            return;
        }
        let most = self.lists.width().clamp(SAMPLE_MIN, SAMPLE_MAX);
        for sample in [&mut self.new, &mut self.known] {
            sample.sort_unstable();
            sample.dedup();
            sample.truncate(most);
        }
        let new = self.new.len();
        self.lists.with(row as usize, |list| {
            for entry in list.iter_mut().filter(|entry| entry.is_new) {
                let other = entry.near.row;
                entry.is_new = !self.new.iter().any(|ticket| ticket.1 == other);
            }
        });
        self.rows.clear();
        self.rows.extend(self.new.iter().map(|ticket| ticket.1));
        for ticket in &self.known {
            if !self.rows[..new].contains(&ticket.1) {
                self.rows.push(ticket.1);
            }
        }
        self.values.clear();
        let dimension = self.points.dimension();
        let rows = self.points.rows();
        self.rows.iter().for_each(|&row| rows.prefetch(row as usize));
        for &row in &self.rows {
            self.values.extend_from_slice(rows.row(row as usize));
        }
        let gathered = Rows::new(&self.values, dimension);
        for place in 0..new {
            let row = self.rows[place];
            let others = &self.rows[place + 1..];
            let distances = &mut self.distances[..others.len()];
            let places = &self.places[place + 1..self.rows.len()];
            kernel::squared_euclidean_rows(gathered.row(place), gathered, places, distances);
            let near = others.iter().zip(distances.iter());
            for (&other, &distance) in near.clone() {
                if self.lists.takes(other, distance) {
                    self.lists.offer(other, [Near { distance, row }]);
                }
            }
            let mut near = near.filter(|near| self.lists.takes(row, *near.1)).peekable();
            if near.peek().is_some() {
                let near = near.map(|(&row, &distance)| Near { distance, row });
                self.lists.offer(row, near);
            }
        }
    }
}

/// Returns a number that decides which links of a row are taken: the same for both directions.
fn mixed(salt: u64, a: u32, b: u32) -> u64 {
    let pair = u64::from(a.min(b)) << 32 | u64::from(a.max(b));
    let mut hash = pair ^ salt.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    hash = (hash ^ hash >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    hash = (hash ^ hash >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    hash ^ hash >> 31
}
