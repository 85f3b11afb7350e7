use std::sync::Arc;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

use super::*;
use crate::document::{
    Bound, Condition, FieldPath, FieldTypes, Filter, GeoBox, GeoPoint, GeoRadius, Range, Scalar,
    Value, parse_datetime,
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

/// A place with two fields of its own; some are none.
fn random_place(random: &mut StdRng) -> Value {
    let degrees = |random: &mut StdRng, most: i32| match random.random_range(0..9) {
        0 => random_leaf(random),
        1 => Value::Integer(i64::from(random.random_range(-most..=most))),
        _ => Value::Float(f64::from(random.random_range(-most * 4..=most * 4)) / 4.0),
    };
    let (latitude, longitude) = (degrees(random, 91), degrees(random, 180));
    let kind = Value::Integer(random.random_range(0..3));
    let (a, b) = (kind, random_leaf(random));
    let fields = [("lat", latitude), ("lon", longitude), ("a", a), ("b", b)];
    Value::Object(fields.map(|(name, value)| (name.to_owned(), value)).into())
}

fn random_point(random: &mut StdRng) -> GeoPoint {
    let latitude = f64::from(random.random_range(-90..=90));
    GeoPoint { latitude, longitude: f64::from(random.random_range(-180..=180)) }
}

fn random_geo(random: &mut StdRng) -> Filter {
    let path = FieldPath((*["place", "places"].choose(random).unwrap()).to_owned());
    let (one, other) = (random_point(random), random_point(random));
    let condition = if random.random() {
        let south = one.latitude.min(other.latitude);
        let (west, east) = (one.longitude, other.longitude);
        Condition::GeoBox(GeoBox { south, west, north: one.latitude.max(other.latitude), east })
    } else {
        let meters = random.random_range(0.0..8_000_000.0);
        Condition::GeoRadius(GeoRadius { center: one, meters })
    };
    Filter::Field { path, condition }
}

/// A filter of the fields of one place.
fn random_inner(random: &mut StdRng, depth: usize) -> Filter {
    let inner = |random: &mut StdRng| random_inner(random, depth.saturating_sub(1));
    match random.random_range(0..if depth == 0 { 3 } else { 6 }) {
        0 => {
            let value = Scalar::Integer(random.random_range(0..3));
            Filter::Field { path: FieldPath("a".into()), condition: Condition::Equals(value) }
        }
        1 => {
            let condition = random_condition(random);
            Filter::Field { path: FieldPath("b".into()), condition }
        }
        2 => {
            let condition = Condition::Range(random_range(random));
            Filter::Field { path: FieldPath("lat".into()), condition }
        }
        3 => Filter::Not(Box::new(inner(random))),
        4 => Filter::Any(vec![inner(random), inner(random)]),
        _ => Filter::All(vec![inner(random), inner(random)]),
    }
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
    let places = (0..random.random_range(0..3)).map(|_| random_place(random)).collect();
    put("places", Value::Array(places), random);
    let place = random_place(random);
    put("place", place, random);
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
    match random.random_range(0..11) {
        8 => Condition::Null,
        9 => {
            let unwanted = (0..random.random_range(0..3)).map(|_| random_scalar(random));
            Condition::Except(unwanted.collect())
        }
        10 => {
            let bound = |length| Some(Bound { value: Scalar::Integer(length), is_inclusive: true });
            let least = random.random_range(0..4);
            let upper = bound(least + random.random_range(0..2));
            Condition::Length(Range { lower: bound(least), upper })
        }
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
    match random.random_range(0..if depth == 0 { 6 } else { 13 }) {
        10 => random_geo(random),
        11 => {
            let path = FieldPath((*["places", "place"].choose(random).unwrap()).to_owned());
            Filter::Nested { path, filter: Box::new(random_inner(random, 2)) }
        }
        12 => {
            let filters = (0..3).map(|_| random_filter(random, depth - 1)).collect();
            Filter::AtLeast(random.random_range(1..=3), filters)
        }
        0 => Filter::Ids((0..3).map(|_| id(random.random_range(0..90))).collect()),
        1..6 => {
            let paths = ["object", "objects"];
            let condition = random_condition(random);
            let path = match condition {
                Condition::Exists => PATHS.iter().chain(&paths).collect::<Vec<_>>(),
                Condition::Length(_) => vec![&"list", &"object.a", &"objects", &"places"],
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
    let document_of = |slot: Slot| {
        assert!(live.contains(slot.0), "{slot:?} is not live");
        Ok(Some(Arc::new((id(slot.0), payloads[slot.0 as usize].clone()))))
    };
    while evaluated < 1_500 {
        let filter = random_filter(&mut random, 3);
        if filter.check(&fields).is_err() {
            continue;
        }
        evaluated += 1;
        let slots = fixture.index.evaluate_with(&filter, &fields, &live, &document_of).unwrap();
        let is_meant = |slot: &u32| filter.matches(&payloads[*slot as usize], &id(*slot));
        let expected: SlotSet = live.iter().filter(is_meant).collect();
        assert_eq!(slots, expected, "{filter:?}");
        found += usize::from(!slots.is_empty() && slots != live);
    }
    assert!(found > 700, "only {found} of the filters told anything apart");
}

#[test]
fn a_filter_that_does_not_fit_is_refused_before_it_is_evaluated() {
    let fixture = Fixture::of(&["text"]);
    let filter = Filter::Field { path: FieldPath("a".to_owned()), condition: Condition::Exists };
    let error = fixture.index.evaluate(&filter, &FieldTypes::default(), &everything()).unwrap_err();
    assert_eq!(error.to_string(), "no document has a field `a`; known fields: none");
    let place = |lat: i64| Payload::from([("p".to_owned(), place_at(lat))]);
    let fields = FieldTypes::infer(&place(1));
    let of = |filter: &Filter| filter.check(&fields).map_err(|error| error.to_string());
    let path = FieldPath("p".to_owned());
    let with = |path: &str, condition| Filter::Field { path: FieldPath(path.into()), condition };
    let circle = |meters| {
        let center = GeoPoint { latitude: 1.0, longitude: 2.0 };
        Condition::GeoRadius(GeoRadius { center, meters })
    };
    assert_eq!(of(&with("p", circle(5.0))), Ok(()));
    let refused = [
        (with("p", circle(-1.0)), "filter: a radius is at least 0 metres, got -1"),
        (
            with("p.lat", circle(1.0)),
            "field `p.lat` holds [Integer], and a comparison with a place (an object with lat and \
             lon) does not apply to it",
        ),
        (
            Filter::AtLeast(3, vec![with("p", Condition::Exists)]),
            "filter: at least 1 to 1 of 1 conditions hold, got 3",
        ),
        (
            Filter::Nested { path: path.clone(), filter: Box::new(Filter::Ids(vec![id(1)])) },
            "filter: the elements of `p` have no ids of documents",
        ),
        (
            Filter::Nested { path, filter: Box::new(with("x", Condition::Exists)) },
            "no document has a field `p.x`; known fields: p, p.lat, p.lon",
        ),
        (
            with("p", Condition::Length(Range { lower: None, upper: None })),
            "filter: a range has at least one bound",
        ),
    ];
    for (filter, expected) in refused {
        assert_eq!(of(&filter), Err(expected.to_owned()));
    }
}

fn place_at(latitude: i64) -> Value {
    let fields = [("lat", latitude), ("lon", 2)];
    Value::Object(fields.map(|(name, degrees)| (name.to_owned(), Value::Integer(degrees))).into())
}
