//! The data model and the questions that users of vector databases expect, over gRPC: each beside a
//! plain evaluation on random data, before and after a restart.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use simile_proto::v1::document::Content;
use simile_proto::v1::field_condition::Condition;
use simile_proto::v1::filter::Kind as FilterKind;
use simile_proto::v1::update_documents_request::{Change, Selection};
use simile_proto::v1::upsert_result::Outcome;
use simile_proto::v1::value::Kind;
use simile_proto::v1::vector_config::Source;
use simile_proto::v1::{self as wire, example};
use tonic::Code;

use super::messages::{dense, fields, float, given, integer, value};
use super::server::TestServer;

const C: &str = "c";

/// A document as a plain evaluation keeps it.
#[derive(Debug, Clone)]
struct Plain {
    id: String,
    v: [f32; 2],
    s: BTreeMap<u32, f32>,
    tags: BTreeSet<i64>,
    place: (f64, f64),
}

impl Plain {
    fn dot(&self, question: &BTreeMap<u32, f32>) -> Option<f32> {
        let shared: Vec<f32> =
            self.s.iter().filter_map(|(index, value)| Some(value * question.get(index)?)).collect();
        (!shared.is_empty()).then(|| shared.into_iter().sum())
    }

    fn distance(&self, to: [f32; 2]) -> f32 {
        ((self.v[0] - to[0]).powi(2) + (self.v[1] - to[1]).powi(2)).sqrt()
    }
}

fn sparse(entries: &BTreeMap<u32, f32>) -> wire::SparseVector {
    let (indices, values) = entries.iter().unzip();
    wire::SparseVector { indices, values }
}

fn entries(random: &mut StdRng) -> BTreeMap<u32, f32> {
    (0..4).map(|_| (random.random_range(0..9), random.random_range(1..9) as f32)).collect()
}

/// A server with forty documents, and the documents.
fn filled(random: &mut StdRng, clock: &Arc<AtomicU64>) -> (TestServer, Vec<Plain>) {
    let clock = Arc::clone(clock);
    let server = TestServer::without_model(move |options| {
        options.clock = Arc::new(move || clock.load(Ordering::Relaxed));
    });
    let sparse_config = wire::VectorConfig {
        source: Some(Source::Sparse(wire::SparseConfig {})),
        ..Default::default()
    };
    let vectors =
        [("v".to_owned(), given(2, wire::Metric::Euclidean)), ("s".to_owned(), sparse_config)];
    server.create(wire::CreateCollectionRequest {
        name: C.to_owned(),
        vectors: HashMap::from(vectors),
        ..Default::default()
    });
    let model: Vec<Plain> = (0..40)
        .map(|number| Plain {
            id: format!("d{number:02}"),
            v: [random.random_range(0.0..10.0), random.random_range(0.0..10.0)],
            s: entries(random),
            tags: (0..2).map(|_| random.random_range(0..4)).collect(),
            place: (random.random_range(40.0..60.0), random.random_range(-10.0..20.0)),
        })
        .collect();
    server.store(C, model.iter().map(document).collect());
    (server, model)
}

fn document(plain: &Plain) -> wire::Document {
    let tags = plain.tags.iter().map(|&tag| integer(tag)).collect();
    let place = fields([("lat", float(plain.place.0)), ("lon", float(plain.place.1))]);
    let sizes = plain.tags.iter().map(|&tag| {
        let size = fields([("tag", integer(tag)), ("even", value(Kind::Boolean(tag % 2 == 0)))]);
        value(Kind::Object(wire::Object { fields: size }))
    });
    wire::Document {
        id: plain.id.clone(),
        payload: fields([
            ("tags", value(Kind::Array(wire::Array { values: tags }))),
            ("sizes", value(Kind::Array(wire::Array { values: sizes.collect() }))),
            ("place", value(Kind::Object(wire::Object { fields: place }))),
        ]),
        content: Some(Content::Vectors(wire::Vectors {
            by_name: HashMap::from([("v".to_owned(), dense(&plain.v))]),
            sparse_by_name: HashMap::from([("s".to_owned(), sparse(&plain.s))]),
            ..Default::default()
        })),
        ..Default::default()
    }
}

fn search() -> wire::SearchRequest {
    wire::SearchRequest { collection: C.to_owned(), limit: Some(5), ..Default::default() }
}

fn by_place(question: [f32; 2]) -> wire::SearchRequest {
    let vectors = HashMap::from([("v".to_owned(), dense(&question))]);
    wire::SearchRequest { vectors, ..search() }
}

fn by_terms(question: &BTreeMap<u32, f32>) -> wire::SearchRequest {
    let sparse_vectors = HashMap::from([("s".to_owned(), sparse(question))]);
    wire::SearchRequest { sparse_vectors, ..search() }
}

fn condition(path: &str, condition: Condition) -> wire::Filter {
    let field = wire::FieldCondition { path: path.to_owned(), condition: Some(condition) };
    wire::Filter { kind: Some(FilterKind::Field(field)) }
}

fn ids(hits: &[wire::Hit]) -> Vec<String> {
    hits.iter().map(|hit| hit.id.clone()).collect()
}

fn nearest<'m>(model: impl IntoIterator<Item = &'m Plain>, question: [f32; 2]) -> Vec<String> {
    let mut all: Vec<&Plain> = model.into_iter().collect();
    all.sort_by(|a, b| a.distance(question).total_cmp(&b.distance(question)));
    all.into_iter().map(|plain| plain.id.clone()).collect()
}

/// Asks everything once and compares it with the model.
fn check(server: &TestServer, model: &[Plain], random: &mut StdRng) {
    let place = [random.random_range(0.0..10.0), random.random_range(0.0..10.0)];
    let terms = entries(random);
    let near = nearest(model, place);

    // Sparse questions, equal scores in the order of storing.
    let mut expected: Vec<(&Plain, f32)> =
        model.iter().filter_map(|plain| Some((plain, plain.dot(&terms)?))).collect();
    expected.sort_by(|a, b| b.1.total_cmp(&a.1));
    let hits = server.search(by_terms(&terms)).hits;
    let found: Vec<(&str, f32)> = hits.iter().map(|hit| (hit.id.as_str(), hit.score)).collect();
    let wanted: Vec<(&str, f32)> =
        expected.iter().take(5).map(|(plain, score)| (plain.id.as_str(), *score)).collect();
    assert_eq!(found, wanted);
    assert_eq!(hits[0].legs[0].leg, "sparse:s");

    // Two searches joined, and one asked within what the other found.
    let prefetch = |request: wire::SearchRequest| wire::Prefetch {
        vectors: request.vectors,
        sparse_vectors: request.sparse_vectors,
        limit: Some(7),
        ..Default::default()
    };
    let within = wire::SearchRequest {
        prefetch: vec![prefetch(by_terms(&terms))],
        limit: Some(7),
        ..by_place(place)
    };
    let candidates = expected.iter().take(7).map(|(plain, _)| *plain);
    assert_eq!(ids(&server.search(within).hits), nearest(candidates, place));
    let joined = wire::SearchRequest {
        prefetch: vec![prefetch(by_terms(&terms)), prefetch(by_place(place))],
        ..search()
    };
    let answer = server.search(joined);
    assert!(answer.hits[0].legs.iter().all(|leg| leg.leg.starts_with("prefetch:")));

    // Groups, facets, order, a random page.
    let grouped = wire::SearchRequest {
        group_by: Some(wire::GroupBy { path: "tags".to_owned(), size: Some(2) }),
        ..by_place(place)
    };
    for group in server.search(grouped).groups {
        let Some(Kind::Integer(tag)) = group.value.unwrap().kind else { panic!("a tag") };
        let tagged = model.iter().filter(|plain| plain.tags.contains(&tag));
        assert_eq!(ids(&group.hits), nearest(tagged, place)[..group.hits.len()], "tag {tag}");
    }
    let facet = wire::FacetRequest {
        collection: C.to_owned(),
        path: "tags".to_owned(),
        ..Default::default()
    };
    for counted in server.ask(server.documents().facet(facet)).unwrap().values {
        let Some(Kind::Integer(tag)) = counted.value.unwrap().kind else { panic!("a tag") };
        let expected = model.iter().filter(|plain| plain.tags.contains(&tag)).count();
        assert_eq!(counted.documents, expected as u64, "tag {tag}");
    }
    let mut northern: Vec<&Plain> = model.iter().collect();
    northern.sort_by(|a, b| b.place.0.total_cmp(&a.place.0));
    let mut found = Vec::new();
    let mut after = String::new();
    loop {
        let page = server.ask(server.documents().scroll(wire::ScrollRequest {
            collection: C.to_owned(),
            order_by: Some(wire::OrderBy { path: "place.lat".to_owned(), descending: true }),
            limit: Some(9),
            after,
            ..Default::default()
        }));
        let page = page.unwrap();
        found.extend(page.documents.into_iter().map(|document| document.id));
        after = page.next_after;
        if after.is_empty() {
            break;
        }
    }
    let northern: Vec<String> = northern.into_iter().map(|plain| plain.id.clone()).collect();
    assert_eq!(found, northern);
    let drawn = server.ask(server.documents().scroll(wire::ScrollRequest {
        collection: C.to_owned(),
        sample: Some(wire::Sample { seed: Some(random.random()) }),
        limit: Some(9),
        ..Default::default()
    }));
    let drawn: BTreeSet<String> =
        drawn.unwrap().documents.into_iter().map(|document| document.id).collect();
    assert_eq!(drawn.len(), model.len().min(9));

    // More like one, less like another, and never they themselves.
    let (like, unlike) = (&model[0], &model[1]);
    let examples = |plain: &Plain| {
        let kind = Some(example::Kind::Id(plain.id.clone()));
        vec![wire::Example { kind, ..Default::default() }]
    };
    let recommended = wire::SearchRequest {
        recommend: Some(wire::Recommend {
            positive: examples(like),
            negative: examples(unlike),
            strategy: wire::RecommendStrategy::Average.into(),
            vector: Some("v".to_owned()),
        }),
        ..search()
    };
    let question = [0, 1].map(|at| 2.0 * like.v[at] - unlike.v[at]);
    let expected = nearest(&model[2..], question);
    assert_eq!(ids(&server.search(recommended).hits), expected[..5.min(expected.len())]);

    // Places, elements, lengths, at least so many.
    let circle = wire::GeoRadius { lat: 50.0, lon: 5.0, meters: 700_000.0 };
    let element = wire::Filter {
        kind: Some(FilterKind::All(wire::FilterList {
            filters: vec![
                condition("tag", Condition::Equals(integer(2))),
                condition("even", Condition::Equals(value(Kind::Boolean(true)))),
            ],
        })),
    };
    let two = wire::Range { greater_or_equal: Some(integer(2)), ..Default::default() };
    let nested = wire::Nested { path: "sizes".to_owned(), filter: Some(Box::new(element)) };
    let filters = vec![
        condition("place", Condition::GeoRadius(circle)),
        wire::Filter { kind: Some(FilterKind::Nested(Box::new(nested))) },
        condition("tags", Condition::Length(two)),
        condition("tags", Condition::Except(wire::Array { values: vec![integer(0), integer(1)] })),
    ];
    let holds = |plain: &Plain| {
        let (a, b) = (plain.place.0.to_radians(), 50.0_f64.to_radians());
        let cosine =
            a.sin() * b.sin() + a.cos() * b.cos() * (plain.place.1 - 5.0).to_radians().cos();
        [
            cosine.acos() * 6_371_008.8 <= 700_000.0,
            plain.tags.contains(&2),
            plain.tags.len() >= 2,
            plain.tags.iter().any(|&tag| tag > 1),
        ]
    };
    for count in 1..=4 {
        let least = wire::AtLeast { count, filters: filters.clone() };
        let filter = wire::Filter { kind: Some(FilterKind::AtLeast(least)) };
        let filtered = wire::SearchRequest { filter: Some(filter), ..by_place(place) };
        let meant = model
            .iter()
            .filter(|plain| holds(plain).iter().filter(|h| **h).count() >= count as usize);
        let expected = nearest(meant, place);
        let found = ids(&server.search(filtered).hits);
        assert_eq!(found, expected[..5.min(expected.len())], "at least {count}");
    }

    // A batch answers each by itself, and one that is wrong does not fail the others.
    let batch = wire::SearchBatchRequest {
        collection: C.to_owned(),
        searches: vec![by_place(place), search(), by_terms(&terms)],
    };
    let results = server.ask(server.searches().search_batch(batch)).unwrap().results;
    let outcomes: Vec<_> = results.into_iter().map(|result| result.outcome.unwrap()).collect();
    let wire::search_batch_result::Outcome::Answer(first) = &outcomes[0] else { panic!("answer") };
    assert_eq!(ids(&first.hits), near[..5]);
    let wire::search_batch_result::Outcome::Error(error) = &outcomes[1] else { panic!("error") };
    assert_eq!(error.code, "INVALID_ARGUMENT");
    assert!(matches!(outcomes[2], wire::search_batch_result::Outcome::Answer(_)));

    // Why the second stands where it stands, and why the sixth is not shown.
    for (at, verdict) in [(1, wire::Verdict::Shown), (5, wire::Verdict::Outside)] {
        let request = wire::ExplainRequest { search: Some(by_place(place)), id: near[at].clone() };
        let told = server.ask(server.searches().explain(request)).unwrap();
        assert_eq!((told.verdict(), told.rank), (verdict, Some(at as u32 + 1)), "{told:?}");
        assert!(told.sentence.contains(&near[at]), "{}", told.sentence);
    }
}

#[test]
fn questions_of_every_kind_agree_with_a_plain_evaluation_and_survive_a_restart() {
    let mut random = StdRng::seed_from_u64(5);
    let clock = Arc::new(AtomicU64::new(1_000));
    let (mut server, mut model) = filled(&mut random, &clock);
    check(&server, &model, &mut random);
    server.restart();
    check(&server, &model, &mut random);
    // Vectors come back as they were given.
    let request = wire::GetDocumentsRequest {
        collection: C.to_owned(),
        ids: vec![model[3].id.clone()],
        with_vectors: true,
    };
    let stored = server.ask(server.documents().get(request)).unwrap().documents.remove(0);
    assert_eq!(stored.parts[0].sparse_vectors["s"], sparse(&model[3].s));
    assert_eq!(stored.parts[0].vectors["v"], dense(&model[3].v));
    let info = wire::GetCollectionRequest { name: C.to_owned() };
    let info = server.ask(server.collections().get(info)).unwrap();
    let entries: usize = model.iter().map(|plain| plain.s.len()).sum();
    assert!(info.vectors["s"].sparse && info.vectors["s"].entries == entries as u64);
    // Some expire, and are gone for everybody at once.
    let expiring: Vec<wire::Document> = model[30..]
        .iter()
        .map(|plain| wire::Document { expires_unix_ms: Some(2_000), ..document(plain) })
        .collect();
    server.store(C, expiring);
    check(&server, &model, &mut random);
    clock.store(2_000, Ordering::Relaxed);
    model.truncate(30);
    check(&server, &model, &mut random);
    server.restart();
    check(&server, &model, &mut random);
}

fn get(server: &TestServer, id: &str) -> wire::StoredDocument {
    let request = wire::GetDocumentsRequest {
        collection: C.to_owned(),
        ids: vec![id.to_owned()],
        ..Default::default()
    };
    server.ask(server.documents().get(request)).unwrap().documents.remove(0)
}

fn update(id: &str, change: Change) -> wire::UpdateDocumentsRequest {
    wire::UpdateDocumentsRequest {
        collection: C.to_owned(),
        selection: Some(Selection::Ids(wire::DocumentIds { ids: vec![id.to_owned()] })),
        change: Some(change),
        ..Default::default()
    }
}

#[test]
fn documents_change_on_terms_and_keep_their_vectors() {
    let mut random = StdRng::seed_from_u64(6);
    let clock = Arc::new(AtomicU64::new(1_000));
    let (mut server, model) = filled(&mut random, &clock);
    let ask = |server: &TestServer, request| server.ask(server.documents().update(request));
    let set = |stars| {
        let fields = fields([("stars", integer(stars))]);
        Change::Set(wire::SetFields { fields, at: None })
    };
    let before = get(&server, "d00");
    let updated = ask(&server, update("d00", set(5))).unwrap();
    assert_eq!((updated.updated, updated.unchanged), (1, 0));
    let after = get(&server, "d00");
    assert_eq!(after.payload["stars"], integer(5));
    assert_eq!(after.payload["tags"], before.payload["tags"]);
    assert_eq!(after.sequence, updated.sequence);
    // Visible to filters at once, and found by its vector as before.
    let starred = condition("stars", Condition::Equals(integer(5)));
    let filtered = wire::SearchRequest { filter: Some(starred.clone()), ..by_place(model[0].v) };
    let hits = server.search(filtered.clone()).hits;
    assert_eq!((ids(&hits), hits[0].score), (vec!["d00".to_owned()], 0.0));
    server.restart();
    assert_eq!(ids(&server.search(filtered).hits), ["d00"]);

    // Only in the state that is expected, with both sides in the refusal.
    let stale = wire::UpdateDocumentsRequest {
        expected_sequence: Some(before.sequence),
        ..update("d00", set(1))
    };
    let failure = ask(&server, stale).unwrap().failures.remove(0).error.unwrap();
    assert_eq!(failure.code, "FAILED_PRECONDITION");
    let expected = format!(
        "document `d00` is expected at sequence {}, and is at sequence {}",
        before.sequence, after.sequence
    );
    assert_eq!(failure.message, expected);
    let absent = wire::Document { expected_sequence: Some(0), ..document(&model[0]) };
    let result = server.upsert(C, vec![absent]).remove(0);
    let Some(Outcome::Error(error)) = result.outcome else { panic!("{result:?}") };
    assert_eq!(error.code, "FAILED_PRECONDITION");
    assert!(error.message.contains("is expected not to be stored"), "{}", error.message);
    let delete = wire::DeleteDocumentsRequest {
        collection: C.to_owned(),
        selection: Some(wire::delete_documents_request::Selection::Ids(wire::DocumentIds {
            ids: vec!["d00".to_owned()],
        })),
        expected_sequence: Some(before.sequence),
        ..Default::default()
    };
    let refused = server.ask(server.documents().delete(delete)).unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::FailedPrecondition, expected.as_str()));

    // Once for each key, over a restart too.
    let keyed = wire::Document {
        idempotency_key: Some("request 7".to_owned()),
        ..document(&Plain { id: "new".to_owned(), ..model[0].clone() })
    };
    let stored = |server: &TestServer| {
        let result = server.upsert(C, vec![keyed.clone()]).remove(0);
        let Some(Outcome::Stored(stored)) = result.outcome else { panic!("{result:?}") };
        (stored.sequence, stored.repeated)
    };
    let first = stored(&server);
    ask(&server, update("new", set(9))).unwrap();
    server.restart();
    assert_eq!(stored(&server), (first.0, true));
    assert_eq!(get(&server, "new").payload["stars"], integer(9));

    // The key of a deletion goes for what a filter means, too.
    let delete = wire::DeleteDocumentsRequest {
        collection: C.to_owned(),
        selection: Some(wire::delete_documents_request::Selection::Filter(condition(
            "stars",
            Condition::Equals(integer(9)),
        ))),
        idempotency_key: Some("request 8".to_owned()),
        ..Default::default()
    };
    let deleted = || server.ask(server.documents().delete(delete.clone())).unwrap().deleted;
    assert!(deleted() > 0);
    let again = Plain { id: "new".to_owned(), ..model[0].clone() };
    server.upsert(C, vec![document(&again)]);
    ask(&server, update("new", set(9))).unwrap();
    assert_eq!(deleted(), 0);
    assert_eq!(get(&server, "new").payload["stars"], integer(9));

    // By filter; fields are taken away, and ids that are not stored are named.
    let request = wire::UpdateDocumentsRequest {
        selection: Some(Selection::Filter(starred)),
        ..update("", Change::Delete(wire::FieldPaths { paths: vec!["stars".to_owned()] }))
    };
    assert_eq!(ask(&server, request).unwrap().updated, 1);
    assert!(!get(&server, "d00").payload.contains_key("stars"));
    assert_eq!(ask(&server, update("none", Change::Clear(true))).unwrap().missing, ["none"]);
}
