/// A small generator of numbers that look random and follow from their seed: `SplitMix64`.
///
/// Inner loops of training draw billions of numbers; this one costs three multiplications.
/// Source: Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators".
#[derive(Debug, Clone)]
pub(in crate::embed) struct Random(u64);

impl Random {
    /// Returns the generator of a seed and of the part of the work that it serves.
    pub(in crate::embed) fn new(seed: u64, part: u64) -> Self {
        let mut random = Self(seed ^ part.wrapping_mul(0xd134_2543_de82_ef95));
        random.0 = random.next();
        random
    }

    /// Returns 64 random bits.
    #[inline]
    pub(in crate::embed) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// Returns a number below `bound`, or zero if that is zero.
    #[inline]
    pub(in crate::embed) fn below(&mut self, bound: usize) -> usize {
        let product = u128::from(self.next()) * bound as u128;
        #[expect(clippy::cast_possible_truncation, reason = "the high half is below the bound")]
        let below = (product >> 64) as usize;
        below
    }

    /// Returns a number from 0 up to but not including 1.
    #[inline]
    pub(in crate::embed) fn unit(&mut self) -> f32 {
        #[expect(clippy::cast_possible_truncation, reason = "24 bits remain")]
        let bits = (self.next() >> 40) as u32;
        bits as f32 / 16_777_216.0
    }
}

/// Draws numbers with given chances in constant time: the alias method.
///
/// Source: Walker 1977, in the form of Vose 1991.
#[derive(Debug, Clone)]
pub(in crate::embed) struct Lottery {
    /// For each number: the chance to stay with it, and what is drawn otherwise.
    cells: Vec<(f32, u32)>,
}

impl Lottery {
    /// Returns a lottery in which number `i` is drawn in proportion to `weights[i]`; weights are
    /// finite, not negative, and not all zero.
    pub(in crate::embed) fn new(weights: &[f64]) -> Self {
        let total: f64 = weights.iter().sum();
        let scale = weights.len() as f64 / total;
        let mut chances: Vec<f64> = weights.iter().map(|weight| weight * scale).collect();
        let mut cells: Vec<(f32, u32)> = (0..weights.len()).map(|i| (1.0, index(i))).collect();
        let (mut small, mut large): (Vec<usize>, Vec<usize>) =
            (0..chances.len()).partition(|&i| chances[i] < 1.0);
        while let (Some(poor), Some(&rich)) = (small.pop(), large.last()) {
            #[expect(clippy::cast_possible_truncation, reason = "a chance needs no more precision")]
            let stay = chances[poor] as f32;
            cells[poor] = (stay, index(rich));
            chances[rich] -= 1.0 - chances[poor];
            if chances[rich] < 1.0 {
                large.pop();
                small.push(rich);
            }
        }
        Self { cells }
    }

    /// Returns a number of the lottery.
    #[inline]
    pub(in crate::embed) fn draw(&self, random: &mut Random) -> u32 {
        let place = random.below(self.cells.len());
        let (stay, other) = self.cells[place];
        if random.unit() < stay { index(place) } else { other }
    }
}

fn index(place: usize) -> u32 {
    u32::try_from(place).expect("vocabularies are bounded by u32")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_drawn_in_proportion_to_their_weights() {
        let weights = [1.0, 0.0, 3.0, 6.0];
        let lottery = Lottery::new(&weights);
        let mut random = Random::new(7, 0);
        let mut seen = [0u32; 4];
        for _ in 0..100_000 {
            seen[lottery.draw(&mut random) as usize] += 1;
        }
        for (weight, seen) in weights.iter().zip(seen) {
            assert!((f64::from(seen) / 10_000.0 - weight).abs() < 0.1, "{weight}: {seen}");
        }
    }

    #[test]
    fn a_seed_and_a_part_decide_the_numbers() {
        let draw = |seed, part| {
            let mut random = Random::new(seed, part);
            [random.next(), random.next()]
        };
        assert_eq!(draw(1, 2), draw(1, 2));
        assert_ne!(draw(1, 2), draw(2, 2));
        assert_ne!(draw(1, 2), draw(1, 3));
    }
}
