//! Joined scores beside formulas over what the legs answer alone.

use std::collections::{BTreeMap, HashMap};

use simile_proto::v1::fusion::Kind;
use simile_proto::v1::{self as wire};

use super::messages::{Random, ask_vector, collection, equals, fields, integer, part, parts};
use super::server::TestServer;

const WORDS: [&str; 12] = [
    "cat", "dog", "roof", "mouse", "harbour", "wind", "rain", "boat", "rope", "salt", "star",
    "lens",
];
const DIMENSION: usize = 8;
const LEGS: [&str; 2] = ["lexical", "dense:v"];

/// What a leg alone says: by document, its rank (from 1) and score.
type Leg = BTreeMap<String, (u32, f64)>;

struct Asked {
    request: wire::SearchRequest,
    legs: [Leg; 2],
    /// The mean score of all vectors as answers to the question.
    chance: f64,
}

fn server() -> (TestServer, Vec<Vec<f32>>) {
    let server = TestServer::without_model(|_| {});
    server.create(collection("c", DIMENSION as u32));
    let mut random = Random(5);
    let mut vectors = Vec::new();
    // As many parts as the sample that chance is told from, so that the test can know it.
    let documents = (0..64).map(|n| {
        let text: Vec<&str> = (0..3 + random.below(9)).map(|_| *random.pick(&WORDS)).collect();
        let vector = random.vector(DIMENSION);
        let mut document = parts(&format!("d{n:02}"), vec![part(&text.join(" "), &vector)]);
        document.payload = fields([("half", integer(n % 2))]);
        vectors.push(vector);
        document
    });
    let documents = documents.collect();
    server.store("c", documents);
    (server, vectors)
}

fn asked(server: &TestServer, vectors: &[Vec<f32>], random: &mut Random) -> Asked {
    let question = random.vector(DIMENSION);
    let request = wire::SearchRequest {
        text: Some(format!("{} {}", random.pick(&WORDS), random.pick(&WORDS))),
        limit: Some(1_000),
        filter: (random.below(2) == 0).then(|| equals("half", integer(1))),
        ..ask_vector("c", &question)
    };
    let alone = |mode: wire::Mode| -> Leg {
        let request = wire::SearchRequest { mode: mode.into(), ..request.clone() };
        let hits = server.search(request).hits;
        let ranked = (1..).zip(hits);
        ranked.map(|(rank, hit)| (hit.id, (rank, f64::from(hit.score)))).collect()
    };
    let legs = [alone(wire::Mode::Lexical), alone(wire::Mode::Semantic)];
    let cosine = |a: &[f32], b: &[f32]| {
        let dot = |a: &[f32], b: &[f32]| -> f64 {
            a.iter().zip(b).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum()
        };
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    };
    let scores = vectors.iter().map(|vector| cosine(&question, vector));
    let chance = scores.sum::<f64>() / vectors.len() as f64;
    Asked { request, legs, chance }
}

/// Compares the joined answer with a formula: what a leg contributes for a rank and a score.
fn assert_joined(
    server: &TestServer,
    asked: &Asked,
    kind: Option<Kind>,
    contribution: impl Fn(usize, u32, f64) -> f64,
) {
    let fusion = kind.map(|kind| wire::Fusion { kind: Some(kind) });
    let context = format!("{fusion:?}");
    let request =
        wire::SearchRequest { mode: wire::Mode::Hybrid.into(), fusion, ..asked.request.clone() };
    let hits = server.search(request).hits;
    let mut expected: BTreeMap<&str, f64> = BTreeMap::new();
    for (place, leg) in asked.legs.iter().enumerate() {
        for (id, &(rank, score)) in leg {
            *expected.entry(id).or_default() += contribution(place, rank, score);
        }
    }
    assert_eq!(hits.len(), expected.len(), "{context}");
    for pair in hits.windows(2) {
        assert!(pair[0].score >= pair[1].score, "{context}");
    }
    for hit in &hits {
        let wanted = expected[hit.id.as_str()];
        assert!((f64::from(hit.score) - wanted).abs() < 1e-5, "{context}: {hit:?}, not {wanted}");
        // The hit tells what each leg said of it.
        let told: Vec<(&str, u32, f64)> =
            hit.legs.iter().map(|leg| (leg.leg.as_str(), leg.rank, f64::from(leg.score))).collect();
        let said: Vec<(&str, u32, f64)> = LEGS
            .iter()
            .zip(&asked.legs)
            .filter_map(|(name, leg)| leg.get(&hit.id).map(|&(rank, score)| (*name, rank, score)))
            .collect();
        assert_eq!(told, said, "{context}");
    }
}

fn best(leg: &Leg) -> f64 {
    leg.values().map(|&(_, score)| score).fold(f64::NEG_INFINITY, f64::max)
}

fn lowest(leg: &Leg) -> f64 {
    leg.values().map(|&(_, score)| score).fold(f64::INFINITY, f64::min)
}

fn scaled(score: f64, from: f64, to: f64) -> f64 {
    if to > from { ((score - from) / (to - from)).max(0.0) } else { 1.0 }
}

#[test]
fn reciprocal_ranks_are_summed_with_their_weights() {
    let (server, vectors) = server();
    let mut random = Random(31);
    for _ in 0..12 {
        let asked = asked(&server, &vectors, &mut random);
        let usual = wire::ReciprocalRank::default();
        assert_joined(&server, &asked, Some(Kind::ReciprocalRank(usual)), |_, rank, _| {
            1.0 / (60.0 + f64::from(rank))
        });
        let weights = HashMap::from([("lexical".to_owned(), 0.5), ("dense:v".to_owned(), 2.0)]);
        let weighted = wire::ReciprocalRank { k: Some(3), weights };
        assert_joined(&server, &asked, Some(Kind::ReciprocalRank(weighted)), |leg, rank, _| {
            [0.5, 2.0][leg] / (3.0 + f64::from(rank))
        });
    }
}

#[test]
fn weighted_scores_are_scaled_over_the_hits_of_their_leg() {
    let (server, vectors) = server();
    let mut random = Random(37);
    for _ in 0..12 {
        let asked = asked(&server, &vectors, &mut random);
        let ends = asked.legs.each_ref().map(|leg| (lowest(leg), best(leg)));
        let weights = HashMap::from([("lexical".to_owned(), 3.0), ("dense:v".to_owned(), 1.0)]);
        let kind = Kind::WeightedScore(wire::WeightedScore { weights });
        assert_joined(&server, &asked, Some(kind), |leg, _, score| {
            [0.75, 0.25][leg] * scaled(score, ends[leg].0, ends[leg].1)
        });
    }
}

#[test]
fn by_default_a_dense_leg_counts_by_how_far_it_stands_above_chance() {
    let (server, vectors) = server();
    let mut random = Random(41);
    let mut trusts = Vec::new();
    for _ in 0..12 {
        let asked = asked(&server, &vectors, &mut random);
        let tops = asked.legs.each_ref().map(best);
        // Noise up to a quarter above chance, trusted from a half on.
        let trust = ((tops[1] - asked.chance - 0.25) / 0.25).clamp(0.0, 1.0);
        trusts.push(trust);
        assert_joined(&server, &asked, None, |leg, _, score| match leg {
            0 => 0.5 * scaled(score, 0.0, tops[0]),
            _ => 0.5 * trust * scaled(score, asked.chance, tops[1]),
        });
    }
    assert!(trusts.iter().any(|&trust| trust > 0.0), "{trusts:?}");
}
