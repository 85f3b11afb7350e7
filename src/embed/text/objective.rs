use super::{Lottery, Random};

/// How far the sigmoid is looked at: beyond it is 0 or 1.
const SIGMOID_REACH: f32 = 6.0;
const SIGMOID_CELLS: usize = 1024;
/// A path through the tree of words is at most this long: the counts that make one longer do not fit
/// into 64 bits.
const PATH_MAX: usize = 92;

/// How a context tells its word from others: which rows of the output layer are asked, and what each
/// should say.
///
/// Source: Mikolov et al. 2013, "Distributed representations of words and phrases and their
/// compositionality".
#[derive(Debug, Clone)]
pub(in crate::embed) enum Objective {
    /// The word itself, against so many words drawn by their frequency.
    NegativeSampling {
        /// How many are drawn.
        negatives: usize,
        /// What draws them.
        lottery: Lottery,
    },
    /// The turns from the root of a Huffman tree to the word.
    HierarchicalSoftmax {
        /// The inner nodes from the root to each word, and whether the turn there is the second.
        paths: Vec<Vec<(u32, bool)>>,
    },
}

impl Objective {
    /// Returns negative sampling for words seen so often; `exponent` flattens the frequencies.
    pub(in crate::embed) fn negative_sampling(
        counts: &[u64],
        negatives: usize,
        exponent: f64,
    ) -> Self {
        let weights: Vec<f64> =
            counts.iter().map(|&count| (count.max(1) as f64).powf(exponent)).collect();
        Self::NegativeSampling { negatives, lottery: Lottery::new(&weights) }
    }

    /// Returns hierarchical softmax for words seen so often.
    pub(in crate::embed) fn hierarchical_softmax(counts: &[u64]) -> Self {
        Self::HierarchicalSoftmax { paths: huffman(counts) }
    }

    /// Visits the rows of the output layer that are asked about a word, each with what it should
    /// say: 1 or 0.
    #[inline]
    pub(in crate::embed) fn each(
        &self,
        word: u32,
        random: &mut Random,
        mut visit: impl FnMut(u32, f32),
    ) {
        match self {
            Self::NegativeSampling { negatives, lottery } => {
                visit(word, 1.0);
                for _ in 0..*negatives {
                    let other = lottery.draw(random);
                    if other != word {
                        visit(other, 0.0);
                    }
                }
            }
            Self::HierarchicalSoftmax { paths } => {
                for &(node, is_second) in &paths[word as usize] {
                    visit(node, if is_second { 0.0 } else { 1.0 });
                }
            }
        }
    }
}

/// Returns the path of each word in the Huffman tree of the counts: the inner nodes from the root on.
fn huffman(counts: &[u64]) -> Vec<Vec<(u32, bool)>> {
    let words = counts.len();
    if words < 2 {
        return vec![Vec::new(); words];
    }
    // Leaves and inner nodes both come in ascending order, so the two least stand at two fronts.
    let mut leaves: Vec<u32> = (0..).take(words).collect();
    leaves.sort_by_key(|&word| counts[word as usize]);
    let mut weights: Vec<u64> = Vec::with_capacity(words - 1);
    let mut parents: Vec<(u32, bool)> = vec![(0, false); 2 * words - 1];
    let (mut leaf, mut inner) = (0, 0);
    for node in 0..words - 1 {
        let mut total = 0u64;
        for is_second in [false, true] {
            let weight = |leaf: usize| counts[leaves[leaf] as usize].max(1);
            let takes_leaf = leaf < words && (inner >= node || weight(leaf) <= weights[inner]);
            let (child, weight) = if takes_leaf {
                leaf += 1;
                (leaves[leaf - 1] as usize, weight(leaf - 1))
            } else {
                inner += 1;
                (words + inner - 1, weights[inner - 1])
            };
            total = total.saturating_add(weight);
            parents[child] = (u32::try_from(node).expect("fewer nodes than words"), is_second);
        }
        weights.push(total);
    }
    let root = words - 2;
    let path = |word: usize| {
        let mut path = vec![parents[word]];
        while path.last().is_some_and(|&(node, _)| node as usize != root) && path.len() < PATH_MAX {
            let node = path.last().map_or(root, |&(node, _)| node as usize);
            path.push(parents[words + node]);
        }
        path.reverse();
        path
    };
    (0..words).map(path).collect()
}

/// The logistic function from a table, as every implementation of Word2Vec has it.
#[derive(Debug, Clone)]
pub(in crate::embed) struct Sigmoid(Box<[f32; SIGMOID_CELLS]>);

impl Sigmoid {
    /// Computes the table.
    pub(in crate::embed) fn new() -> Self {
        let mut cells = Box::new([0.0; SIGMOID_CELLS]);
        for (place, cell) in cells.iter_mut().enumerate() {
            let x = ((place as f32 + 0.5) / SIGMOID_CELLS as f32 * 2.0 - 1.0) * SIGMOID_REACH;
            *cell = 1.0 / (1.0 + (-x).exp());
        }
        Self(cells)
    }

    /// Returns 1 / (1 + e^-x).
    #[inline]
    pub(in crate::embed) fn of(&self, x: f32) -> f32 {
        let place = (x + SIGMOID_REACH) * (SIGMOID_CELLS as f32 / (2.0 * SIGMOID_REACH));
        if place < 0.0 {
            0.0
        } else if place >= SIGMOID_CELLS as f32 {
            1.0
        } else {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range")]
            self.0[place as usize]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frequent_words_have_short_paths_and_no_path_begins_another() {
        let counts = [40, 30, 15, 10, 4, 1];
        let Objective::HierarchicalSoftmax { paths } = Objective::hierarchical_softmax(&counts)
        else {
            unreachable!()
        };
        let lengths: Vec<usize> = paths.iter().map(Vec::len).collect();
        assert_eq!(lengths, [1, 2, 3, 4, 5, 5]);
        for (i, a) in paths.iter().enumerate() {
            assert_eq!(a[0].0, 4, "every path begins at the root");
            assert!(paths.iter().enumerate().all(|(j, b)| i == j || !b.starts_with(a)));
        }
        let equal = huffman(&[1; 8]);
        assert!(equal.iter().all(|path| path.len() == 3), "{equal:?}");
        assert_eq!(huffman(&[5]), vec![Vec::new()]);
    }

    #[test]
    fn the_sigmoid_of_the_table_is_near_the_real_one() {
        let sigmoid = Sigmoid::new();
        for x in [-7.0f32, -5.9, -1.0, 0.0, 0.3, 2.0, 5.99, 8.0] {
            let expected = 1.0 / (1.0 + (-x).exp());
            assert!((sigmoid.of(x) - expected).abs() < 0.003, "{x}: {}", sigmoid.of(x));
        }
        assert_eq!((sigmoid.of(f32::INFINITY), sigmoid.of(f32::NEG_INFINITY)), (1.0, 0.0));
    }
}
