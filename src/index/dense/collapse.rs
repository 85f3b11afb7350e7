use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

/// Vectors without their exact duplicates, which would crowd each other's links.
#[derive(Debug, Default)]
pub(super) struct Distinct {
    /// For each distinct vector the first place where it stands, ascending.
    pub(super) first: Vec<u32>,
    /// For each vector which distinct one it is.
    pub(super) of: Vec<u32>,
}

impl Distinct {
    /// Finds the vectors that are the same, bit for bit.
    pub(super) fn among(vectors: &[&[f32]]) -> Self {
        let hasher = RandomState::new();
        // Vectors of one hash that differ are rare, but there may be any number of them.
        let mut seen: HashMap<u64, Vec<u32>> = HashMap::with_capacity(vectors.len());
        let mut found = Self { first: Vec::new(), of: Vec::with_capacity(vectors.len()) };
        for (place, vector) in (0u32..).zip(vectors) {
            let bytes: &[u8] = bytemuck::cast_slice(vector);
            let alike = seen.entry(hasher.hash_one(bytes)).or_default();
            let same = alike.iter().copied().find(|&distinct| {
                let other = vectors[found.first[distinct as usize] as usize];
                bytemuck::cast_slice::<f32, u8>(other) == bytes
            });
            let distinct = same.unwrap_or_else(|| {
                let distinct = u32::try_from(found.first.len()).unwrap_or(u32::MAX);
                alike.push(distinct);
                found.first.push(place);
                distinct
            });
            found.of.push(distinct);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_vectors_are_one_and_others_stay_apart() {
        let vectors: [&[f32]; 5] =
            [&[1.0, 2.0], &[0.0, 2.0], &[1.0, 2.0], &[2.0, 1.0], &[0.0, 2.0]];
        let distinct = Distinct::among(&vectors);
        assert_eq!(distinct.first, [0, 1, 3]);
        assert_eq!(distinct.of, [0, 1, 0, 2, 1]);
    }
}
