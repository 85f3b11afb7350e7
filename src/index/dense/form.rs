use std::io;

use super::Quantisation;
use super::graph::Layer;
use super::pages::Pages;
use super::projection::Projection;
use super::space::{BitSpace, CodeQuery, CodeSpace, Keys, Space};
use crate::vector::Metric;
use crate::vector::kernel::{self, Rows};

/// In which form a segment keeps the rows that its graph is walked on.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Form {
    /// The vectors themselves.
    Floats,
    /// One byte a component of the projected vectors.
    Codes(Projection),
    /// One bit a component of the centred vectors.
    Bits(Projection),
}

/// Fewer vectors than this are not worth looking for directions in.
const ROWS_MIN: usize = 1_000;
/// How many vectors are compared to judge a form, and with how many of them.
const JUDGED_ROWS: usize = 20_000;
const JUDGED_QUERIES: usize = 64;
const JUDGED_NEAREST: usize = 10;
/// A form is good if that share of the nearest is among so many first candidates: as many as are
/// compared again exactly at little cost.
const SHARE: f64 = 0.98;
const CANDIDATES: usize = 25;
/// Fewer components have to do it among as many as a narrow walk keeps: to compare rows half as long saves
/// less than a wider walk costs. Measured on word vectors of 100 components, all of them found 0.95 and 0.99
/// 1.1 to 1.2 times as fast as 56, among whose first 15 candidates were 0.93 of the nearest, and of the first 25
/// 0.99.
const CANDIDATES_OF_FEWER: usize = 15;
/// Over the links of how many nodes the deviation of keys is taken.
const DEVIATING_ROWS: usize = 256;
/// Bytes of the rows that are tried, the shortest first.
const WIDTHS: [usize; 6] = [64, 128, 192, 256, 384, 512];

/// Returns the shortest form that keeps the nearest vectors among the first candidates.
///
/// Codes are tried on few components first. Vectors that even a byte for every component does not
/// tell apart, such as those of very tight clusters, are kept as floats.
pub(super) fn choose(
    rows: &[&[f32]],
    dimension: usize,
    metric: Metric,
    quantisation: Quantisation,
    seed: u64,
) -> Form {
    if quantisation == Quantisation::None {
        return Form::Floats;
    }
    let centred = Projection::centred(rows, dimension);
    if quantisation == Quantisation::Binary {
        return Form::Bits(centred);
    }
    if rows.len() < ROWS_MIN {
        return Form::Codes(centred);
    }
    let judge = Judge::new(rows, metric);
    let full = CodeSpace::width(dimension);
    let mut covariance = Vec::new();
    for width in WIDTHS.into_iter().filter(|width| 4 * width <= 3 * full) {
        if covariance.is_empty() {
            // Directions that suit the queries only because they were computed from them would not
            // suit others.
            covariance = centred.covariance(&judge.base, seed);
        }
        let reduced = centred.reduced(&covariance, CodeSpace::components_in(width), seed);
        if judge.approves(&reduced, CANDIDATES_OF_FEWER) {
            return Form::Codes(reduced);
        }
    }
    if judge.approves(&centred, CANDIDATES) { Form::Codes(centred) } else { Form::Floats }
}

/// Returns what the keys of searches by a metric are.
pub(super) fn search_keys(metric: Metric) -> Keys<'static> {
    match metric {
        Metric::Cosine | Metric::Dot => Keys::Products,
        Metric::Euclidean => Keys::Distances,
    }
}

/// Returns the key that a query and a vector have without any loss.
pub(super) fn exact_key(metric: Metric, query: &[f32], vector: &[f32]) -> f32 {
    match metric {
        Metric::Cosine | Metric::Dot => -kernel::dot(query, vector),
        Metric::Euclidean => kernel::squared_euclidean(query, vector),
    }
}

/// Returns the length that the errors of a query's keys grow with; `centred` is what a projection made
/// of the query.
pub(super) fn length_of(metric: Metric, query: &[f32], centred: &[f32]) -> f32 {
    let measured = match metric {
        Metric::Cosine | Metric::Dot => query,
        Metric::Euclidean => centred,
    };
    kernel::dot(measured, measured).sqrt()
}

/// Returns the standard deviation of the keys of nodes from exact keys, over links that a sample of
/// the nodes have, in the length of the query; zero for floats.
pub(super) fn deviation(
    form: &Form,
    codes: Option<(&[u8], usize)>,
    lowest: &Layer,
    rows: &[&[f32]],
    metric: Metric,
) -> f32 {
    let Some((codes, width)) = codes else { return 0.0 };
    let rows_of_codes = Rows::new(codes, width);
    let keys = search_keys(metric);
    match form {
        Form::Floats => 0.0,
        Form::Codes(projection) => {
            let space = CodeSpace::new(rows_of_codes, keys);
            deviation_in(&space, projection, lowest, rows, metric)
        }
        Form::Bits(projection) => {
            let space = BitSpace::new(rows_of_codes, projection.components(), keys);
            deviation_in(&space, projection, lowest, rows, metric)
        }
    }
}

fn deviation_in<S: Space>(
    space: &S,
    projection: &Projection,
    lowest: &Layer,
    rows: &[&[f32]],
    metric: Metric,
) -> f32 {
    let (mut centred, mut projected, mut keys) = (Vec::new(), Vec::new(), Vec::new());
    let mut query = S::Query::default();
    let (mut sum, mut count) = (0.0f64, 0u32);
    for node in (0..rows.len()).step_by(rows.len().div_ceil(DEVIATING_ROWS).max(1)) {
        let vector = rows[node];
        projection.apply_to_query(metric, vector, &mut centred, &mut projected);
        space.prepare(&projected, &mut query);
        let links = lowest.of(u32::try_from(node).unwrap_or(u32::MAX));
        keys.clear();
        space.compare(&query, links, &mut keys);
        let offset = match metric {
            Metric::Cosine | Metric::Dot => -kernel::dot(vector, &projection.mean),
            Metric::Euclidean => 0.0,
        };
        let length = length_of(metric, vector, &centred);
        if length == 0.0 {
            continue;
        }
        for (&link, key) in links.iter().zip(&keys) {
            let exact = exact_key(metric, vector, rows[link as usize]);
            sum += f64::from((key + offset - exact) / length).powi(2);
            count += 1;
        }
    }
    #[expect(clippy::cast_possible_truncation, reason = "a deviation is single precision")]
    let deviation = (sum / f64::from(count.max(1))).sqrt() as f32;
    deviation
}

/// Vectors to be found, and which are nearest to each of them.
struct Judge<'a> {
    metric: Metric,
    queries: Vec<&'a [f32]>,
    base: Vec<&'a [f32]>,
    nearest: Vec<Vec<u32>>,
}

impl<'a> Judge<'a> {
    fn new(rows: &[&'a [f32]], metric: Metric) -> Self {
        let query_step = rows.len().div_ceil(JUDGED_QUERIES).max(2);
        let base_step = rows.len().div_ceil(JUDGED_ROWS).max(1);
        let is_query = |place: usize| place.is_multiple_of(query_step);
        let queries: Vec<&[f32]> = rows.iter().copied().step_by(query_step).collect();
        let base: Vec<&[f32]> = (0..rows.len())
            .filter(|&place| !is_query(place) && place % base_step == base_step / 2)
            .map(|place| rows[place])
            .collect();
        let nearest = queries
            .iter()
            .map(|query| {
                let keys = base.iter().map(|row| exact_key(metric, query, row));
                first(keys.collect(), JUDGED_NEAREST)
            })
            .collect();
        Self { metric, queries, base, nearest }
    }

    /// Returns whether codes of the projected vectors keep the nearest among so many first candidates.
    fn approves(&self, projection: &Projection, candidates: usize) -> bool {
        let Ok((codes, width)) = encode(&self.base, projection) else { return false };
        let space = CodeSpace::new(Rows::new(&codes, width), search_keys(self.metric));
        let numbers: Vec<u32> = (0..).take(self.base.len()).collect();
        let (mut centred, mut projected) = (Vec::new(), Vec::new());
        let mut query = CodeQuery::default();
        let (mut kept, mut all) = (0, 0);
        for (vector, nearest) in self.queries.iter().zip(&self.nearest) {
            projection.apply_to_query(self.metric, vector, &mut centred, &mut projected);
            space.prepare(&projected, &mut query);
            let mut keys = Vec::with_capacity(numbers.len());
            space.compare(&query, &numbers, &mut keys);
            let first = first(keys, candidates);
            kept += nearest.iter().filter(|row| first.contains(row)).count();
            all += nearest.len();
        }
        kept as f64 >= SHARE * all as f64
    }
}

/// Returns the places of the lowest keys, in no order.
fn first(keys: Vec<f32>, count: usize) -> Vec<u32> {
    let mut places: Vec<(f32, u32)> = keys.into_iter().zip(0..).collect();
    if places.len() > count {
        places.select_nth_unstable_by(count, |a, b| a.0.total_cmp(&b.0));
        places.truncate(count);
    }
    places.into_iter().map(|(_, place)| place).collect()
}

/// Returns the codes of rows and how many bytes the code of a row takes.
pub(super) fn encode(rows: &[&[f32]], projection: &Projection) -> io::Result<(Pages<u8>, usize)> {
    let width = CodeSpace::width(projection.components());
    let mut codes = Pages::zeroed(rows.len() * width)?;
    let (mut centred, mut projected, mut signed) = (Vec::new(), Vec::new(), Vec::new());
    for (row, out) in rows.iter().zip(codes.chunks_exact_mut(width)) {
        projection.apply(row, &mut centred, &mut projected);
        CodeSpace::encode(&projected, kernel::dot(&centred, &centred), &mut signed, out);
    }
    Ok((codes, width))
}

/// Returns the bits of rows and how many bytes the bits of a row take.
pub(super) fn encode_bits(
    rows: &[&[f32]],
    projection: &Projection,
) -> io::Result<(Pages<u8>, usize)> {
    let width = BitSpace::width(projection.components());
    let mut bits = Pages::zeroed(rows.len() * width)?;
    let (mut centred, mut projected) = (Vec::new(), Vec::new());
    for (row, out) in rows.iter().zip(bits.chunks_exact_mut(width)) {
        projection.apply(row, &mut centred, &mut projected);
        BitSpace::encode(&projected, kernel::dot(&centred, &centred), out);
    }
    Ok((bits, width))
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    fn chosen(vectors: &[Vec<f32>], quantisation: Quantisation) -> Form {
        let rows: Vec<&[f32]> = vectors.iter().map(Vec::as_slice).collect();
        choose(&rows, vectors[0].len(), Metric::Euclidean, quantisation, 1)
    }

    fn random(
        seed: u64,
        count: usize,
        mut component: impl FnMut(&mut StdRng, usize) -> f32,
    ) -> Vec<Vec<f32>> {
        let mut random = StdRng::seed_from_u64(seed);
        (0..count).map(|_| (0..128).map(|index| component(&mut random, index)).collect()).collect()
    }

    #[test]
    fn few_components_suffice_where_the_others_hardly_differ() {
        let vectors = random(1, 1_500, |random, index| {
            random.random_range(-1.0..1.0) * if index < 20 { 1.0 } else { 0.01 }
        });
        match chosen(&vectors, Quantisation::Int8) {
            Form::Codes(projection) => assert_eq!(projection.components(), 56),
            form => panic!("expected codes, got {form:?}"),
        }
        assert_eq!(chosen(&vectors, Quantisation::None), Form::Floats);
        assert!(matches!(chosen(&vectors, Quantisation::Binary), Form::Bits(_)));
    }

    #[test]
    fn every_component_is_kept_where_all_differ() {
        // As many as fill their row, so that leaving out a few would not make it shorter.
        let mut vectors = random(2, 1_500, |random, _| random.random_range(-1.0..1.0));
        vectors.iter_mut().for_each(|vector| vector.truncate(CodeSpace::components_in(128)));
        match chosen(&vectors, Quantisation::Int8) {
            Form::Codes(projection) => assert_eq!(projection.components(), vectors[0].len()),
            form => panic!("expected codes, got {form:?}"),
        }
    }

    #[test]
    fn vectors_that_a_byte_does_not_tell_apart_stay_floats() {
        let centres = random(3, 5, |random, _| random.random_range(-1.0..1.0));
        let mut vectors = random(4, 1_500, |random, _| random.random_range(-1e-4..1e-4));
        for (vector, centre) in vectors.iter_mut().zip(centres.iter().cycle()) {
            vector.iter_mut().zip(centre).for_each(|(value, middle)| *value += middle);
        }
        assert_eq!(chosen(&vectors, Quantisation::Int8), Form::Floats);
    }
}
