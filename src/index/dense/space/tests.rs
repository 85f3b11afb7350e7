use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::vector::kernel::{self, Rows};

const DIMENSION: usize = 40;
const COUNT: usize = 50;

fn vectors(seed: u64, count: usize) -> Vec<f32> {
    let mut random = StdRng::seed_from_u64(seed);
    (0..count * DIMENSION).map(|_| random.random_range(-2.0..2.0)).collect()
}

fn encoded(vectors: &[f32]) -> Vec<u8> {
    let width = CodeSpace::width(DIMENSION);
    let mut rows = vec![0; vectors.len() / DIMENSION * width];
    for (vector, row) in vectors.chunks_exact(DIMENSION).zip(rows.chunks_exact_mut(width)) {
        CodeSpace::encode(vector, kernel::dot(vector, vector), &mut Vec::new(), row);
    }
    rows
}

fn keys_of<S: Space>(space: &S, query: &S::Query) -> Vec<f32> {
    let mut keys = Vec::new();
    space.compare(query, &(0..u32::try_from(COUNT).unwrap()).collect::<Vec<_>>(), &mut keys);
    keys
}

#[test]
fn keys_of_codes_are_near_those_of_floats_for_every_kind() {
    let (base, query) = (vectors(1, COUNT), vectors(2, 1));
    let codes = encoded(&base);
    let lifts: Vec<f32> = (0..COUNT).map(|row| row as f32 * 0.1).collect();
    let floats = Rows::new(&base, DIMENSION);
    let codes = Rows::new(&codes, CodeSpace::width(DIMENSION));
    for keys in [Keys::Products, Keys::Distances, Keys::Lifted(&lifts)] {
        let (coded, exact) = (CodeSpace::new(codes, keys), FloatSpace::new(floats, keys));
        let (mut a, mut b) = (CodeQuery::default(), FloatQuery::default());
        coded.prepare(&query, &mut a);
        exact.prepare(&query, &mut b);
        for (a, b) in keys_of(&coded, &a).iter().zip(keys_of(&exact, &b)) {
            assert!((a - b).abs() < 1.5, "{keys:?}: {a} is far from {b}");
        }
    }
}

#[test]
fn the_key_of_two_rows_is_the_same_however_it_is_asked_for() {
    let base = vectors(3, COUNT);
    let codes = encoded(&base);
    let lifts: Vec<f32> = (0..COUNT).map(|row| row as f32 * 0.1).collect();
    let rows = Rows::new(&codes, CodeSpace::width(DIMENSION));
    for keys in [Keys::Products, Keys::Distances, Keys::Lifted(&lifts)] {
        let coded = CodeSpace::new(rows, keys);
        let exact = FloatSpace::new(Rows::new(&base, DIMENSION), keys);
        let (mut a, mut b) = (CodeQuery::default(), FloatQuery::default());
        coded.prepare_row(7, &mut a);
        exact.prepare_row(7, &mut b);
        let (from_codes, from_floats) = (keys_of(&coded, &a), keys_of(&exact, &b));
        for other in 0..COUNT {
            let row = u32::try_from(other).unwrap();
            assert!((coded.between(7, row) - from_codes[other]).abs() < 1e-3);
            assert!((coded.between(7, row) - coded.between(row, 7)).abs() < 1e-4);
            assert!((exact.between(7, row) - from_floats[other]).abs() < 1e-3);
        }
    }
}

#[test]
fn signs_rank_a_vector_before_those_that_point_elsewhere() {
    let base = vectors(4, COUNT);
    let width = BitSpace::width(DIMENSION);
    let mut rows = vec![0; COUNT * width];
    for (vector, row) in base.chunks_exact(DIMENSION).zip(rows.chunks_exact_mut(width)) {
        BitSpace::encode(vector, kernel::dot(vector, vector), row);
    }
    let space = BitSpace::new(Rows::new(&rows, width), DIMENSION, Keys::Distances);
    for (row, vector) in base.chunks_exact(DIMENSION).enumerate() {
        let mut query = BitQuery::default();
        space.prepare(vector, &mut query);
        let keys = keys_of(&space, &query);
        let nearest = (0..COUNT).min_by(|&a, &b| keys[a].total_cmp(&keys[b]));
        assert_eq!(nearest, Some(row));
    }
}

#[test]
fn tiny_huge_and_zero_components_are_quantised_without_overflow() {
    for scale in [1e-38f32, 1.0, 1e37] {
        let mut row = vec![0; CodeSpace::width(3)];
        let vector = [scale, -scale / 2.0, 0.0];
        CodeSpace::encode(&vector, 1.0, &mut Vec::new(), &mut row);
        assert_eq!(row[..3], [255, 64, 128]);
        assert!((trailer(&row).0 * 127.0 / scale - 1.0).abs() < 1e-3);
    }
    let mut row = vec![0; CodeSpace::width(3)];
    CodeSpace::encode(&[0.0; 3], 0.0, &mut Vec::new(), &mut row);
    assert_eq!((&row[..3], trailer(&row)), (&[128u8; 3][..], (0.0, 0.0)));
}

#[test]
fn rows_fill_cache_lines() {
    assert_eq!([1, 24, 56, 57, 120, 384].map(CodeSpace::width), [16, 32, 64, 128, 128, 448]);
    assert_eq!(CodeSpace::components_in(448), 440);
    assert_eq!(BitSpace::width(384), 64);
}
