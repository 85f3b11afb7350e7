use std::collections::HashSet;

use super::{WordTable, WordVectors};
use crate::vector::kernel;

/// A word near to what was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Neighbour {
    /// The word.
    pub word: String,
    /// The cosine to what was asked for, -1 to 1.
    pub cosine: f32,
}

/// The words of a table as directions, to be searched exactly. Holds a copy of the table with rows of
/// length one; a word of length zero is near to nothing.
#[derive(Debug)]
pub struct Neighbours<'a> {
    table: &'a WordTable,
    directions: Vec<f32>,
}

impl<'a> Neighbours<'a> {
    /// Returns the search over the words of a table.
    pub fn new(table: &'a WordTable) -> Self {
        let mut directions = table.values().to_vec();
        directions.chunks_exact_mut(table.dimension()).for_each(normalize);
        Self { table, directions }
    }

    /// Returns the words nearest to `word`, itself left out, nearest first; nothing if it is unknown.
    pub fn of_word(&self, word: &str, count: usize) -> Option<Vec<Neighbour>> {
        let id = self.table.vocabulary().id(word)?;
        Some(self.search(self.direction(id), &HashSet::from([id]), count))
    }

    /// Returns the words nearest to a vector, nearest first.
    ///
    /// # Panics
    /// If the vector is not of the dimension of the table.
    pub fn of_vector(&self, vector: &[f32], count: usize) -> Vec<Neighbour> {
        let mut direction = vector.to_vec();
        normalize(&mut direction);
        self.search(&direction, &HashSet::new(), count)
    }

    /// Returns what stands to `c` as `b` stands to `a`, best first; the three themselves are left
    /// out. Nothing if one of them is unknown.
    ///
    /// Source: 3CosAdd, Mikolov et al. 2013, "Linguistic regularities in continuous space word
    /// representations".
    pub fn analogy(&self, a: &str, b: &str, c: &str, count: usize) -> Option<Vec<Neighbour>> {
        let vocabulary = self.table.vocabulary();
        let [a, b, c] = [vocabulary.id(a)?, vocabulary.id(b)?, vocabulary.id(c)?];
        let rows = self.direction(a).iter().zip(self.direction(b)).zip(self.direction(c));
        let mut direction: Vec<f32> = rows.map(|((a, b), c)| b - a + c).collect();
        normalize(&mut direction);
        Some(self.search(&direction, &HashSet::from([a, b, c]), count))
    }

    /// Returns the cosine of two words, or nothing if one is unknown.
    pub fn cosine(&self, a: &str, b: &str) -> Option<f32> {
        let [a, b] = [self.table.vocabulary().id(a)?, self.table.vocabulary().id(b)?];
        Some(kernel::dot(self.direction(a), self.direction(b)))
    }

    fn direction(&self, id: u32) -> &[f32] {
        let width = self.table.dimension();
        &self.directions[id as usize * width..][..width]
    }

    fn search(&self, direction: &[f32], without: &HashSet<u32>, count: usize) -> Vec<Neighbour> {
        let rows = (0..).zip(self.directions.chunks_exact(self.table.dimension()));
        let mut found: Vec<(f32, u32)> = rows
            .filter(|(id, _)| !without.contains(id))
            .map(|(id, row)| (kernel::dot(direction, row), id))
            .collect();
        let order = |a: &(f32, u32), b: &(f32, u32)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
        if count < found.len() {
            found.select_nth_unstable_by(count, order);
            found.truncate(count);
        }
        found.sort_unstable_by(order);
        let word = |id| self.table.vocabulary().word(id).to_owned();
        found.into_iter().map(|(cosine, id)| Neighbour { word: word(id), cosine }).collect()
    }
}

fn normalize(row: &mut [f32]) {
    let length = kernel::dot(row, row).sqrt();
    if length > 0.0 {
        row.iter_mut().for_each(|value| *value /= length);
    }
}
