use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;

/// Lengths around every width that a loop handles at once.
const LENGTHS: [usize; 16] = [0, 1, 3, 7, 8, 15, 16, 17, 31, 63, 64, 65, 127, 128, 300, 384];

fn floats(random: &mut StdRng, length: usize) -> Vec<f32> {
    (0..length).map(|_| random.random_range(-1.0..1.0)).collect()
}

fn bytes(random: &mut StdRng, length: usize) -> Vec<u8> {
    (0..length).map(|_| random.random()).collect()
}

fn signed(random: &mut StdRng, length: usize) -> Vec<i8> {
    (0..length).map(|_| random.random()).collect()
}

#[test]
fn every_form_returns_what_the_portable_one_returns() {
    let mut random = StdRng::seed_from_u64(1);
    let oracle = &portable::KERNELS;
    for kernels in available() {
        for length in LENGTHS {
            let (a, b) = (floats(&mut random, length), floats(&mut random, length));
            let (x, y) = (signed(&mut random, length), bytes(&mut random, length));
            let z = bytes(&mut random, length);
            // SAFETY: `available` returns what this processor can run; all lengths are equal.
            unsafe {
                let near = |a: f32, b: f32| (a - b).abs() <= 1e-4;
                let context = format!("{} at length {length}", kernels.name);
                assert!(near((kernels.dot)(&a, &b), (oracle.dot)(&a, &b)), "{context}");
                let (left, right) = (kernels.squared_euclidean, oracle.squared_euclidean);
                assert!(near(left(&a, &b), right(&a, &b)), "{context}");
                assert_eq!((kernels.dot_codes)(&x, &y), (oracle.dot_codes)(&x, &y), "{context}");
                let (left, right) = (kernels.dot_stored_codes, oracle.dot_stored_codes);
                assert_eq!(left(&y, &z), right(&y, &z), "{context}");
                let bits = bytes(&mut random, length);
                let codes = signed(&mut random, 8 * length);
                let (left, right) = (kernels.sum_codes_at, oracle.sum_codes_at);
                assert_eq!(left(&codes, &bits), right(&codes, &bits), "{context}");
            }
        }
    }
}

#[test]
fn every_form_learns_the_same_to_the_last_bit() {
    let mut random = StdRng::seed_from_u64(4);
    let oracle = &portable::KERNELS;
    for kernels in available() {
        for length in LENGTHS {
            let [row, gradient, other] = [(); 3].map(|()| floats(&mut random, length));
            let learn = |form: &Kernels| {
                let (mut row, mut gradient) = (row.clone(), gradient.clone());
                // SAFETY: `available` returns what this processor can run; all lengths are equal.
                unsafe { (form.add_scaled)(&mut row, &other, -0.37) };
                // SAFETY: as above.
                unsafe { (form.descend)(&mut row, &mut gradient, &other, 0.41) };
                (row, gradient)
            };
            assert_eq!(learn(kernels), learn(oracle), "{} at length {length}", kernels.name);
        }
    }
    let (mut row, mut gradient) = ([2.0, 3.0], [1.0, 1.0]);
    descend(&mut row, &mut gradient, &[10.0, 20.0], 0.5);
    assert_eq!((row, gradient), ([7.0, 13.0], [2.0, 2.5]));
}

#[test]
fn every_form_compares_rows_as_it_compares_slices() {
    let mut random = StdRng::seed_from_u64(2);
    let ids = [3u32, 0, 9, 9, 5, 1, 7, 2, 8];
    for kernels in available() {
        for width in [1, 16, 64, 100, 384] {
            let (query, values) = (signed(&mut random, width), bytes(&mut random, 10 * width));
            let rows = Rows::new(&values, width);
            let mut out = [0; 9];
            // SAFETY: `available` returns what this processor can run; all ids name rows.
            unsafe { (kernels.dot_code_rows)(&query, rows, &ids, &mut out) };
            for (&id, sum) in ids.iter().zip(out) {
                assert_eq!(sum, dot_codes(&query, rows.row(id as usize)), "{}", kernels.name);
            }
            let (query, values) = (floats(&mut random, width), floats(&mut random, 10 * width));
            let rows = Rows::new(&values, width);
            let mut out = [0.0; 9];
            let mut distances = [0.0; 9];
            // SAFETY: as above.
            unsafe { (kernels.dot_rows)(&query, rows, &ids, &mut out) };
            // SAFETY: as above.
            unsafe { (kernels.squared_euclidean_rows)(&query, rows, &ids, &mut distances) };
            for ((&id, product), distance) in ids.iter().zip(out).zip(distances) {
                let row = rows.row(id as usize);
                assert!((product - dot(&query, row)).abs() <= 1e-4, "{}", kernels.name);
                let expected = squared_euclidean(&query, row);
                assert!((distance - expected).abs() <= 1e-4, "{}", kernels.name);
            }
        }
    }
}

#[test]
fn extreme_codes_do_not_saturate() {
    for length in LENGTHS {
        let (lowest, highest) = (vec![i8::MIN; length], vec![u8::MAX; length]);
        let expected = i32::try_from(length).unwrap() * -128 * 255;
        assert_eq!(dot_codes(&lowest, &highest), expected);
    }
}

#[test]
#[should_panic(expected = "row 4 was asked for, and there are 4")]
fn a_row_that_is_not_there_is_refused() {
    let values = [0u8; 16];
    dot_code_rows(&[0; 4], Rows::new(&values, 4), &[4], &mut [0]);
}
