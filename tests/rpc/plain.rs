//! Random documents and filters beside an evaluation that is as plain as can be: a loop over all of
//! them in memory.

use std::collections::{BTreeMap, HashMap};

use simile_proto::v1::delete_documents_request::Selection;
use simile_proto::v1::field_condition::Condition;
use simile_proto::v1::filter::Kind as FilterKind;
use simile_proto::v1::value::Kind;
use simile_proto::v1::{self as wire};

use super::messages::{
    Random, array, ask_vector, collection, field, fields, filter, float, given, hit_ids, integer,
    not, part, parts, text, value,
};
use super::server::TestServer;

const WORDS: [&str; 6] = ["red", "green", "blue", "old", "new", "red green"];
const DIMENSION: usize = 6;

/// What is stored: the payload, and the vector of each part.
struct Plain {
    payload: HashMap<String, wire::Value>,
    vectors: Vec<Vec<f32>>,
}

type Documents = BTreeMap<String, Plain>;

fn random_payload(random: &mut Random) -> HashMap<String, wire::Value> {
    let mut payload = HashMap::new();
    let mut some = |name: &str, value: wire::Value, random: &mut Random| {
        if random.below(4) > 0 {
            payload.insert(name.to_owned(), value);
        }
    };
    let inner = value(Kind::Object(wire::Object {
        fields: fields([("inner", integer(random.below(4) as i64))]),
    }));
    let tags = array((0..random.below(3)).map(|_| text(word(random))).collect::<Vec<_>>());
    let day = format!("2024-01-{:02}T12:00:00Z", 1 + random.below(9));
    some("year", integer(2000 + random.below(10) as i64), random);
    some("price", float(random.below(40) as f64 / 4.0), random);
    some("name", text(&format!("{} {}", word(random), word(random))), random);
    some("is_new", value(Kind::Boolean(random.below(2) == 0)), random);
    some("when", text(&day), random);
    some("tags", tags, random);
    some("outer", inner, random);
    some("nothing", value(Kind::Null(true)), random);
    payload
}

/// Has every field, so that no filter asks for one that is not there.
fn complete_payload() -> HashMap<String, wire::Value> {
    let inner = value(Kind::Object(wire::Object { fields: fields([("inner", integer(9))]) }));
    fields([
        ("year", integer(1999)),
        ("price", float(99.5)),
        ("name", text("complete")),
        ("is_new", value(Kind::Boolean(true))),
        ("when", text("2023-12-31T00:00:00Z")),
        ("tags", array([text("complete")])),
        ("outer", inner),
        ("nothing", integer(0)),
    ])
}

fn random_filter(random: &mut Random, depth: usize) -> wire::Filter {
    let many = |random: &mut Random| wire::FilterList {
        filters: (0..random.below(4)).map(|_| random_filter(random, depth - 1)).collect(),
    };
    match random.below(if depth == 0 { 10 } else { 16 }) {
        0 => field("year", Condition::Equals(integer(2000 + random.below(10) as i64))),
        // An integer field may be compared with a float, and the other way round.
        1 => field("year", Condition::Equals(float(2000.0 + random.below(20) as f64 / 2.0))),
        2 => {
            let values = (0..random.below(4)).map(|_| integer(random.below(10) as i64)).collect();
            field("price", Condition::In(wire::Array { values }))
        }
        3 => field("price", Condition::Range(random_range(random, |n| float(n as f64 / 3.0)))),
        4 => {
            let day = |n: u64| text(&format!("2024-01-{:02}T12:00:00+00:00", 1 + n % 9));
            field("when", Condition::Range(random_range(random, day)))
        }
        5 => {
            let path = *random.pick(&["nothing", "outer", "outer.inner", "tags", "is_new"]);
            field(path, Condition::Exists(random.below(2) == 0))
        }
        6 => field("name", Condition::Text(word(random).to_owned())),
        7 if random.below(2) == 0 => field("tags", Condition::Equals(text(word(random)))),
        7 => field("tags", Condition::Phrase(word(random).to_owned())),
        8 => field("name", Condition::Prefix(random.pick(&["r", "red", "red g", "x"]).to_string())),
        9 => {
            let ids = (0..3).map(|_| format!("d{:03}", random.below(200))).collect();
            filter(FilterKind::Ids(wire::DocumentIds { ids }))
        }
        10 | 11 => not(random_filter(random, depth - 1)),
        12 | 13 => filter(FilterKind::All(many(random))),
        _ => filter(FilterKind::Any(many(random))),
    }
}

fn word(random: &mut Random) -> &'static str {
    WORDS[random.below(WORDS.len() as u64) as usize]
}

fn random_range(random: &mut Random, bound: impl Fn(u64) -> wire::Value) -> wire::Range {
    let (low, high) = (bound(random.below(20)), bound(random.below(30)));
    match random.below(4) {
        0 => wire::Range { greater: Some(low), ..wire::Range::default() },
        1 => wire::Range { less_or_equal: Some(high), ..wire::Range::default() },
        2 => {
            wire::Range { greater_or_equal: Some(low), less: Some(high), ..wire::Range::default() }
        }
        _ => {
            wire::Range { greater: Some(low), less_or_equal: Some(high), ..wire::Range::default() }
        }
    }
}

/// Returns whether a document is meant.
fn holds(filter: &wire::Filter, id: &str, payload: &HashMap<String, wire::Value>) -> bool {
    match filter.kind.as_ref().unwrap() {
        FilterKind::All(list) => list.filters.iter().all(|filter| holds(filter, id, payload)),
        FilterKind::Any(list) => list.filters.iter().any(|filter| holds(filter, id, payload)),
        FilterKind::Not(filter) => !holds(filter, id, payload),
        FilterKind::AtLeast(of) => {
            let holding = of.filters.iter().filter(|filter| holds(filter, id, payload));
            holding.count() >= of.count as usize
        }
        FilterKind::Nested(_) => panic!("not asked here"),
        FilterKind::Ids(list) => list.ids.iter().any(|listed| listed == id),
        FilterKind::Field(field) => {
            let mut values = Vec::new();
            leaves(payload, &field.path, &mut values);
            match field.condition.as_ref().unwrap() {
                Condition::Exists(wanted) => *wanted != values.is_empty(),
                condition => values.iter().any(|value| satisfies(condition, value)),
            }
        }
    }
}

/// Collects what is not null at or below a path.
fn leaves(fields: &HashMap<String, wire::Value>, path: &str, found: &mut Vec<Kind>) {
    let (name, rest) = path.split_once('.').unwrap_or((path, ""));
    for (_, value) in fields.iter().filter(|(field, _)| *field == name || name.is_empty()) {
        match value.kind.clone().unwrap() {
            Kind::Null(_) => {}
            Kind::Object(object) => leaves(&object.fields, rest, found),
            Kind::Array(array) => found.extend(array.values.into_iter().filter_map(|v| v.kind)),
            leaf @ (Kind::Boolean(_) | Kind::Integer(_) | Kind::Float(_) | Kind::Text(_)) => {
                found.push(leaf);
            }
        }
    }
}

fn satisfies(condition: &Condition, value: &Kind) -> bool {
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    match (condition, value) {
        (Condition::Equals(wanted), value) => {
            order(value, wanted).is_some_and(|order| order.is_eq())
        }
        (Condition::In(list), value) => {
            list.values.iter().any(|wanted| order(value, wanted).is_some_and(|order| order.is_eq()))
        }
        (Condition::Range(range), value) => {
            let is = |bound: &Option<wire::Value>, test: fn(std::cmp::Ordering) -> bool| {
                bound.as_ref().is_none_or(|bound| order(value, bound).is_some_and(test))
            };
            is(&range.greater, |order| order.is_gt())
                && is(&range.greater_or_equal, |order| order.is_ge())
                && is(&range.less, |order| order.is_lt())
                && is(&range.less_or_equal, |order| order.is_le())
        }
        (Condition::Text(wanted), Kind::Text(text)) => {
            words(wanted).iter().all(|word| words(text).contains(word))
        }
        (Condition::Phrase(wanted), Kind::Text(text)) => {
            format!(" {text} ").contains(&format!(" {wanted} "))
        }
        (Condition::Prefix(wanted), Kind::Text(text)) => text.starts_with(wanted.as_str()),
        _ => false,
    }
}

/// How two values stand to one another. Times are compared as texts, for all are written alike.
fn order(left: &Kind, right: &wire::Value) -> Option<std::cmp::Ordering> {
    match (left, right.kind.as_ref().unwrap()) {
        (Kind::Boolean(left), Kind::Boolean(right)) => Some(left.cmp(right)),
        (Kind::Integer(left), Kind::Integer(right)) => Some(left.cmp(right)),
        (Kind::Integer(left), Kind::Float(right)) => (*left as f64).partial_cmp(right),
        (Kind::Float(left), Kind::Integer(right)) => left.partial_cmp(&(*right as f64)),
        (Kind::Float(left), Kind::Float(right)) => left.partial_cmp(right),
        (Kind::Text(left), Kind::Text(right)) => Some(left.cmp(&right.replace("+00:00", "Z"))),
        _ => None,
    }
}

fn random_documents(random: &mut Random) -> Documents {
    let mut documents = Documents::new();
    for n in 0..180 {
        let payload = if n == 0 { complete_payload() } else { random_payload(random) };
        let vectors = (0..1 + random.below(3)).map(|_| random.vector(DIMENSION)).collect();
        documents.insert(format!("d{n:03}"), Plain { payload, vectors });
    }
    documents
}

fn store(server: &TestServer, name: &str, documents: &Documents) {
    let stored = documents.iter().map(|(id, plain)| {
        let passages = plain.vectors.iter().map(|vector| part("passage", vector)).collect();
        wire::Document { payload: plain.payload.clone(), ..parts(id, passages) }
    });
    server.store(name, stored.collect());
}

fn meant<'a>(documents: &'a Documents, filter: &wire::Filter) -> Vec<&'a str> {
    let of = |(id, plain): (&'a String, &Plain)| {
        holds(filter, id, &plain.payload).then_some(id.as_str())
    };
    documents.iter().filter_map(of).collect()
}

fn count(server: &TestServer, filter: &wire::Filter) -> (u64, u64) {
    let filter = Some(filter.clone());
    let request = wire::CountRequest { collection: "c".to_owned(), filter };
    let counts = server.ask(server.documents().count(request)).unwrap();
    (counts.documents, counts.parts)
}

/// Returns the ids of all pages.
fn scroll(server: &TestServer, filter: &wire::Filter, limit: u32) -> Vec<String> {
    let (mut ids, mut after) = (Vec::new(), String::new());
    loop {
        let request = wire::ScrollRequest {
            collection: "c".to_owned(),
            filter: Some(filter.clone()),
            after,
            limit: Some(limit),
            ..wire::ScrollRequest::default()
        };
        let page = server.ask(server.documents().scroll(request)).unwrap();
        let is_last = page.next_after.is_empty();
        assert!(is_last || page.documents.len() == limit as usize);
        ids.extend(page.documents.into_iter().map(|document| document.id));
        if is_last {
            return ids;
        }
        after = page.next_after;
    }
}

#[test]
fn random_filters_mean_the_same_documents_to_every_method_as_to_a_plain_loop() {
    let server = TestServer::without_model(|_| {});
    server.create(collection("c", DIMENSION as u32));
    let mut random = Random(11);
    let mut documents = random_documents(&mut random);
    store(&server, "c", &documents);
    let (mut somewhere, mut partly) = (0, 0);
    for round in 0..150 {
        let filter = random_filter(&mut random, 3);
        let expected = meant(&documents, &filter);
        somewhere += usize::from(!expected.is_empty());
        partly += usize::from(!expected.is_empty() && expected.len() < documents.len());
        let context = format!("round {round}: {filter:?}");
        let parts: usize = expected.iter().map(|id| documents[*id].vectors.len()).sum();
        let counts = (expected.len() as u64, parts as u64);
        assert_eq!(count(&server, &filter), counts, "{context}");
        let limit = 1 + random.below(60) as u32;
        assert_eq!(scroll(&server, &filter, limit), expected, "{context}");
        let request = wire::SearchRequest {
            filter: Some(filter.clone()),
            limit: Some(1_000),
            with_payload: Some(false),
            ..ask_vector("c", &random.vector(DIMENSION))
        };
        let answer = server.search(request);
        let mut found = hit_ids(&answer);
        found.sort_unstable();
        assert_eq!(found, expected, "{context}");
        // Some are deleted, so that what is gone is among what filters have to leave out.
        if round % 30 == 29 && expected.len() < 60 {
            let gone: Vec<String> = expected.iter().map(ToString::to_string).collect();
            let request = wire::DeleteDocumentsRequest {
                collection: "c".to_owned(),
                selection: Some(Selection::Filter(filter.clone())),
                ..Default::default()
            };
            let deleted = server.ask(server.documents().delete(request)).unwrap().deleted;
            assert_eq!(deleted, gone.len() as u64, "{context}");
            documents.retain(|id, _| !gone.contains(id));
        }
    }
    assert!(somewhere > 75 && partly > 60, "{somewhere} filters mean something, {partly} a part");
}

fn score(metric: wire::Metric, a: &[f32], b: &[f32]) -> f64 {
    let pairs = || a.iter().zip(b).map(|(&x, &y)| (f64::from(x), f64::from(y)));
    let dot: f64 = pairs().map(|(x, y)| x * y).sum();
    let norm = |v: &[f32]| v.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
    match metric {
        wire::Metric::Cosine | wire::Metric::Unspecified => dot / norm(a) / norm(b),
        wire::Metric::Dot => dot,
        wire::Metric::Euclidean => -pairs().map(|(x, y)| (x - y).powi(2)).sum::<f64>().sqrt(),
    }
}

/// Returns (score, id, part) of every passage, best first.
fn ranking(
    documents: &Documents,
    metric: wire::Metric,
    question: &[f32],
) -> Vec<(f64, String, u32)> {
    let mut all = Vec::new();
    for (id, plain) in documents {
        for (number, vector) in (0..).zip(&plain.vectors) {
            all.push((score(metric, question, vector), id.clone(), number));
        }
    }
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    all
}

fn assert_ranked(hits: &[wire::Hit], expected: &[(f64, String, u32)], context: &str) {
    assert_eq!(hits.len(), expected.len(), "{context}");
    for (hit, (score, id, part)) in hits.iter().zip(expected) {
        assert_eq!((&hit.id, hit.part), (id, *part), "{context}");
        assert!((f64::from(hit.score) - score).abs() < 1e-5, "{context}: {} {score}", hit.score);
    }
}

#[test]
fn hits_scores_windows_and_thresholds_are_those_of_a_plain_loop_for_every_metric() {
    for metric in [wire::Metric::Cosine, wire::Metric::Dot, wire::Metric::Euclidean] {
        let server = TestServer::without_model(|_| {});
        server.create(wire::CreateCollectionRequest {
            vectors: HashMap::from([("v".to_owned(), given(DIMENSION as u32, metric))]),
            ..collection("c", DIMENSION as u32)
        });
        let mut random = Random(23);
        let documents = random_documents(&mut random);
        store(&server, "c", &documents);
        // Once from the head, once from a sealed segment.
        for place in ["head", "segment"] {
            for round in 0..10 {
                let context = format!("{metric:?}, {place}, round {round}");
                let question = random.vector(DIMENSION);
                let passages = ranking(&documents, metric, &question);
                let mut best = passages.clone();
                let mut seen = std::collections::HashSet::new();
                best.retain(|(_, id, _)| seen.insert(id.clone()));
                let (offset, limit) = (random.below(30) as usize, 1 + random.below(40) as usize);
                let request = wire::SearchRequest {
                    exact: true,
                    limit: Some(limit as u32),
                    offset: offset as u32,
                    ..ask_vector("c", &question)
                };
                let hits = server.search(request.clone()).hits;
                assert_ranked(&hits, &best[offset..offset + limit], &context);
                let grouped = wire::SearchRequest {
                    grouping: wire::Grouping::Passage.into(),
                    ..request.clone()
                };
                let hits = server.search(grouped).hits;
                assert_ranked(&hits, &passages[offset..offset + limit], &context);
                // Between two scores, so that rounding decides nothing.
                let least = f64::midpoint(best[20].0, best[21].0) as f32;
                let request = wire::SearchRequest {
                    score_threshold: Some(least),
                    limit: Some(1_000),
                    offset: 0,
                    ..request
                };
                assert_ranked(&server.search(request).hits, &best[..21], &context);
            }
            let optimize = wire::OptimizeRequest { collection: "c".to_owned() };
            assert_eq!(server.ask(server.admin().optimize(optimize)).unwrap().segments, 1);
        }
    }
}
