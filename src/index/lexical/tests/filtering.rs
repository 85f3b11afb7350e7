use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

use super::*;
use crate::document::{
    Bound, Condition, FieldPath, FieldTypes, Filter, Range, Scalar, Value, parse_datetime,
};

const PATHS: [&str; 6] = ["a", "b", "list", "object.a", "object.deep.b", "objects.a"];
const TEXTS: [&str; 10] = [
    "red",
    "Red",
    "red apple",
    "the red apple falls",
    "apple red",
    "猫追逐老鼠",
    "老鼠追猫",
    "2024-02-29",
    "2024-02-29T00:00:00.000000001Z",
    "",
];
const INTEGERS: [i64; 8] =
    [0, 3, -3, 2_024, 9_007_199_254_740_993, 9_007_199_254_740_992, i64::MAX, i64::MIN];
const FLOATS: [f64; 8] =
    [0.0, -0.0, 3.0, 3.5, -3.5, 9_007_199_254_740_992.0, 1e300, 9_223_372_036_854_775_808.0];

fn random_leaf(random: &mut StdRng) -> Value {
    match random.random_range(0..6) {
        0 => Value::Null,
        1 => Value::Boolean(random.random()),
        2 => Value::Integer(*INTEGERS.choose(random).unwrap()),
        3 => Value::Float(*FLOATS.choose(random).unwrap()),
        4 => Value::Text("x".repeat(random.random_range(500..530))),
        _ => Value::Text((*TEXTS.choose(random).unwrap()).to_owned()),
    }
}

fn random_list(random: &mut StdRng) -> Value {
    Value::Array((0..random.random_range(0..4)).map(|_| random_leaf(random)).collect())
}

fn object(name: &str, value: Value) -> Value {
    Value::Object([(name.to_owned(), value)].into())
}

fn random_payload(random: &mut StdRng) -> Payload {
    let mut payload = Payload::new();
    let mut put = |name: &str, value: Value, random: &mut StdRng| {
        if random.random_bool(0.7) {
            payload.insert(name.to_owned(), value);
        }
    };
    let value = random_leaf(random);
    put("a", value, random);
    let value = random_leaf(random);
    put("b", value, random);
    let value = Value::Array(vec![random_list(random), random_leaf(random)]);
    put("list", value, random);
    let mut inner = Payload::new();
    inner.insert("a".to_owned(), random_list(random));
    inner.insert("deep".to_owned(), object("b", random_leaf(random)));
    put("object", Value::Object(inner), random);
    let objects = (0..3).map(|_| object("a", random_leaf(random))).collect();
    put("objects", Value::Array(objects), random);
    payload
}

fn random_scalar(random: &mut StdRng) -> Scalar {
    match random.random_range(0..5) {
        0 => Scalar::Boolean(random.random()),
        1 => Scalar::Integer(*INTEGERS.choose(random).unwrap()),
        2 => Scalar::Float(*FLOATS.choose(random).unwrap()),
        3 => Scalar::Datetime(parse_datetime("2024-02-29").unwrap() + random.random_range(0..3)),
        _ => Scalar::Text((*TEXTS.choose(random).unwrap()).to_owned()),
    }
}

fn random_range(random: &mut StdRng) -> Range {
    let is_of_time = random.random_bool(0.3);
    let mut bound = || {
        let value = loop {
            let value = random_scalar(random);
            match value {
                Scalar::Datetime(_) if is_of_time => break value,
                Scalar::Integer(_) | Scalar::Float(_) if !is_of_time => break value,
                _ => {}
            }
        };
        Some(Bound { value, is_inclusive: random.random() })
    };
    let (lower, upper) = (bound(), bound());
    match random.random_range(0..3) {
        0 => Range { lower, upper: None },
        1 => Range { lower: None, upper },
        _ => Range { lower, upper },
    }
}

fn random_condition(random: &mut StdRng) -> Condition {
    let text = |random: &mut StdRng| (*TEXTS[..7].choose(random).unwrap()).to_owned();
    match random.random_range(0..8) {
        0 | 1 => Condition::Equals(random_scalar(random)),
        2 => Condition::In((0..random.random_range(0..4)).map(|_| random_scalar(random)).collect()),
        3 => Condition::Range(random_range(random)),
        4 => Condition::Exists,
        5 => Condition::Text(text(random)),
        6 => Condition::Phrase(text(random)),
        _ => {
            let text = if random.random() { "x".repeat(200) } else { text(random) };
            let letters = random.random_range(1..=text.chars().count());
            Condition::Prefix(text.chars().take(letters).collect())
        }
    }
}

fn random_filter(random: &mut StdRng, depth: usize) -> Filter {
    match random.random_range(0..if depth == 0 { 6 } else { 10 }) {
        0 => Filter::Ids((0..3).map(|_| id(random.random_range(0..90))).collect()),
        1..6 => {
            let paths = ["object", "objects"];
            let condition = random_condition(random);
            let path = match condition {
                Condition::Exists => PATHS.iter().chain(&paths).collect::<Vec<_>>(),
                _ => PATHS.iter().collect(),
            };
            let path = FieldPath((**path.choose(random).unwrap()).to_owned());
            Filter::Field { path, condition }
        }
        6 => Filter::Not(Box::new(random_filter(random, depth - 1))),
        7 => Filter::Any((0..3).map(|_| random_filter(random, depth - 1)).collect()),
        _ => Filter::All((0..2).map(|_| random_filter(random, depth - 1)).collect()),
    }
}

#[test]
fn the_index_and_the_payload_itself_agree_on_random_filters() {
    let mut random = StdRng::seed_from_u64(11);
    let mut fixture = Fixture::new();
    let (mut fields, mut payloads) = (FieldTypes::default(), Vec::new());
    for slot in 0..90 {
        let payload = random_payload(&mut random);
        crate::document::check_payload(&payload).unwrap();
        fields.merge(&FieldTypes::infer(&payload));
        fixture.add_with(slot, "text", None, &payload);
        payloads.push(payload);
        if slot == 40 || slot == 75 {
            fixture.index.commit().unwrap();
        }
    }
    // Some that were committed are replaced, and one is gone.
    for slot in [3, 50] {
        payloads[slot as usize] = random_payload(&mut random);
        fixture.add_with(slot, "text", None, &payloads[slot as usize]);
    }
    fixture.remove(7);
    let live: SlotSet = (0..90).filter(|&slot| slot != 7 && slot != 60).collect();
    let (mut evaluated, mut found) = (0, 0);
    while evaluated < 800 {
        let filter = random_filter(&mut random, 3);
        if filter.check(&fields).is_err() {
            continue;
        }
        evaluated += 1;
        let slots = fixture.index.evaluate(&filter, &fields, &live).unwrap();
        let is_meant = |slot: &u32| filter.matches(&payloads[*slot as usize], &id(*slot));
        let expected: SlotSet = live.iter().filter(is_meant).collect();
        assert_eq!(slots, expected, "{filter:?}");
        found += usize::from(!slots.is_empty() && slots != live);
    }
    assert!(found > 400, "only {found} of the filters told anything apart");
}

#[test]
fn a_filter_that_does_not_fit_is_refused_before_it_is_evaluated() {
    let fixture = Fixture::of(&["text"]);
    let filter = Filter::Field { path: FieldPath("a".to_owned()), condition: Condition::Exists };
    let error = fixture.index.evaluate(&filter, &FieldTypes::default(), &everything()).unwrap_err();
    assert_eq!(error.to_string(), "no document has a field `a`; known fields: none");
}
