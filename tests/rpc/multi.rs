//! Multivectors beside an evaluation that is as plain as can be, and collections without any vector.

use std::collections::{BTreeMap, HashMap};

use simile_proto::v1::{self as wire};

use super::messages::{
    Random, ask, ask_multi, ask_vector, dense, equals, fields, given, hit_ids, integer,
    multi_collection, multi_part, named, parts, text_document,
};
use super::server::TestServer;

const DIMENSION: usize = 5;
/// A kernel adds in another order than the plain evaluation.
const TOLERANCE: f32 = 1e-4;

type Rows = Vec<Vec<f32>>;

/// What is stored: the group, and of each part the multivector and the dense vector.
struct Plain {
    group: i64,
    parts: Vec<(Rows, Vec<f32>)>,
}

fn rows(random: &mut Random, most: u64) -> Rows {
    (0..=random.below(most)).map(|_| random.vector(DIMENSION)).collect()
}

fn slices(rows: &Rows) -> Vec<&[f32]> {
    rows.iter().map(Vec::as_slice).collect()
}

/// The sum over the question's vectors of the best product with one of the answer's.
fn max_sim(question: &Rows, answer: &Rows, is_cosine: bool) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let length = |a: &[f32]| if is_cosine { dot(a, a).sqrt() } else { 1.0 };
    let score = |q: &[f32], a: &[f32]| dot(q, a) / length(q) / length(a);
    let best = |q: &Vec<f32>| answer.iter().map(|a| score(q, a)).fold(f32::NEG_INFINITY, f32::max);
    question.iter().map(best).sum()
}

fn document(id: &str, plain: &Plain) -> wire::Document {
    let part = |(rows, v): &(Rows, Vec<f32>)| wire::Part {
        vectors: named("v", v),
        ..multi_part("some text", &slices(rows))
    };
    wire::Document {
        payload: fields([("group", integer(plain.group))]),
        ..parts(id, plain.parts.iter().map(part).collect())
    }
}

fn best(question: &Rows, plain: &Plain, is_cosine: bool) -> f32 {
    let scores = plain.parts.iter().map(|(rows, _)| max_sim(question, rows, is_cosine));
    scores.fold(f32::NEG_INFINITY, f32::max)
}

#[test]
fn multivectors_are_found_as_by_comparing_with_every_one() {
    for (seed, metric) in [(1, wire::Metric::Cosine), (2, wire::Metric::Dot)] {
        let mut random = Random(seed);
        let mut server = TestServer::without_model(|_| {});
        let mut create = multi_collection("c", DIMENSION as u32, metric);
        create.vectors.insert("v".to_owned(), given(DIMENSION as u32, wire::Metric::Euclidean));
        server.create(create);
        let mut stored = BTreeMap::new();
        for number in 0..120 {
            let part = |random: &mut Random| (rows(random, 6), random.vector(DIMENSION));
            let parts = (0..=random.below(3)).map(|_| part(&mut random)).collect();
            let plain = Plain { group: random.below(3) as i64, parts };
            stored.insert(format!("d{number:03}"), plain);
        }
        server.store("c", stored.iter().map(|(id, plain)| document(id, plain)).collect());
        // Some are replaced, and some deleted.
        for number in 0..20 {
            let parts = vec![(rows(&mut random, 6), random.vector(DIMENSION))];
            stored.insert(format!("d{number:03}"), Plain { group: 0, parts });
        }
        let replaced = stored.iter().take(20).map(|(id, plain)| document(id, plain)).collect();
        server.store("c", replaced);
        let gone: Vec<String> = stored.keys().skip(50).take(20).cloned().collect();
        stored.retain(|id, _| !gone.contains(id));
        let selection =
            wire::delete_documents_request::Selection::Ids(wire::DocumentIds { ids: gone });
        let delete = wire::DeleteDocumentsRequest {
            collection: "c".to_owned(),
            selection: Some(selection),
            ..Default::default()
        };
        assert_eq!(server.ask(server.documents().delete(delete)).unwrap().deleted, 20);
        for round in 0..40 {
            if round == 20 {
                server.restart();
            }
            check(&server, &stored, &mut random, metric == wire::Metric::Cosine);
        }
        let verify = wire::VerifyRequest { collection: "c".to_owned() };
        let verified = server.ask(server.admin().verify(verify)).unwrap();
        assert_eq!((verified.problems, verified.documents), (Vec::new(), 100));
        let info =
            server.ask(server.collections().get(wire::GetCollectionRequest { name: "c".into() }));
        let info = info.unwrap();
        let parts: usize = stored.values().map(|plain| plain.parts.len()).sum();
        let vectors = stored.values().flat_map(|plain| &plain.parts);
        let vectors: usize = vectors.map(|(rows, _)| rows.len()).sum();
        let held = &info.vectors["m"];
        assert!(held.multi && held.dimension == DIMENSION as u32 && held.metric() == metric);
        assert_eq!((held.indexed, held.entries), (parts as u64, vectors as u64));
    }
}

/// Asks one random question in each way, and compares with the plain evaluation.
fn check(
    server: &TestServer,
    stored: &BTreeMap<String, Plain>,
    random: &mut Random,
    is_cosine: bool,
) {
    let question = rows(random, 4);
    let group = Some(random.below(4) as i64).filter(|&group| group < 3);
    let of_group = |plain: &Plain| group.is_none_or(|group| plain.group == group);
    let request = wire::SearchRequest {
        filter: group.map(|group| equals("group", integer(group))),
        limit: Some(10),
        with_vectors: true,
        ..ask_multi("c", &slices(&question))
    };
    let mut expected: Vec<(f32, &String)> = stored
        .iter()
        .filter(|(_, plain)| of_group(plain))
        .map(|(id, plain)| (best(&question, plain, is_cosine), id))
        .collect();
    expected.sort_by(|a, b| b.0.total_cmp(&a.0));
    let answer = server.search(request.clone());
    assert_eq!(answer.hits.len(), expected.len().min(10));
    for (hit, (score, id)) in answer.hits.iter().zip(&expected) {
        assert!((hit.score - score).abs() < TOLERANCE, "{} {} for {id} {score}", hit.id, hit.score);
        assert_eq!(hit.legs[0].leg, "multi:m");
        let (stored, _) = &stored[&hit.id].parts[hit.part as usize];
        let length = |row: &[f32]| match is_cosine {
            true => row.iter().map(|x| x * x).sum::<f32>().sqrt(),
            false => 1.0,
        };
        let given = &hit.multi_vectors["m"].vectors;
        assert_eq!(given.len(), stored.len());
        for (given, stored) in given.iter().zip(stored) {
            let unit: Vec<f32> = stored.iter().map(|x| x / length(stored)).collect();
            let far = given.components.iter().zip(&unit).any(|(a, b)| (a - b).abs() > 1e-6);
            assert!(!far && given.components.len() == DIMENSION);
        }
    }
    // Each passage by itself.
    let passages =
        wire::SearchRequest { grouping: wire::Grouping::Passage.into(), limit: Some(7), ..request };
    let of = stored.values().filter(|plain| of_group(plain)).flat_map(|plain| &plain.parts);
    let mut scores: Vec<f32> = of.map(|(rows, _)| max_sim(&question, rows, is_cosine)).collect();
    scores.sort_by(|a, b| b.total_cmp(a));
    let found: Vec<f32> = server.search(passages).hits.iter().map(|hit| hit.score).collect();
    assert!(found.iter().zip(&scores).all(|(a, b)| (a - b).abs() < TOLERANCE), "{found:?}");
    rescored(server, stored, random, &question, is_cosine);
}

/// A first look by dense vectors, whose answers are ordered by multivectors.
fn rescored(
    server: &TestServer,
    stored: &BTreeMap<String, Plain>,
    random: &mut Random,
    question: &Rows,
    is_cosine: bool,
) {
    let near = random.vector(DIMENSION);
    let distance = |plain: &Plain| {
        let far = |v: &[f32]| v.iter().zip(&near).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
        plain.parts.iter().map(|(_, v)| far(v)).fold(f32::INFINITY, f32::min)
    };
    let mut first: Vec<(f32, &String)> =
        stored.iter().map(|(id, plain)| (distance(plain), id)).collect();
    first.sort_by(|a, b| a.0.total_cmp(&b.0));
    first.truncate(15);
    let score = |id: &String| best(question, &stored[id], is_cosine);
    let mut expected: Vec<(f32, &str)> =
        first.iter().map(|(_, id)| (score(id), id.as_str())).collect();
    expected.sort_by(|a, b| b.0.total_cmp(&a.0));
    let prefetch = wire::Prefetch {
        vectors: HashMap::from([("v".to_owned(), dense(&near))]),
        limit: Some(15),
        ..wire::Prefetch::default()
    };
    let request = wire::SearchRequest {
        prefetch: vec![prefetch],
        limit: Some(15),
        ..ask_multi("c", &slices(question))
    };
    let answer = server.search(request);
    let expected: Vec<&str> = expected.into_iter().map(|(_, id)| id).collect();
    assert_eq!(hit_ids(&answer), expected);
}

#[test]
fn a_large_multivector_is_stored_in_several_rows_and_comes_back() {
    let server = TestServer::without_model(|_| {});
    server.create(multi_collection("c", 128, wire::Metric::Dot));
    let mut random = Random(7);
    // A page as patches: half a mebibyte.
    let page: Rows = (0..1_030).map(|_| random.vector(128)).collect();
    server.store("c", vec![parts("page", vec![multi_part("", &slices(&page))])]);
    let get = wire::GetDocumentsRequest {
        collection: "c".to_owned(),
        ids: vec!["page".to_owned()],
        with_vectors: true,
    };
    let stored = server.ask(server.documents().get(get)).unwrap().documents.remove(0);
    let stored = &stored.parts[0].multi_vectors["m"].vectors;
    assert!(stored.iter().map(|row| &row.components).eq(&page));
    let answer = server.search(ask_multi("c", &slices(&page[..30].to_vec())));
    let expected = max_sim(&page[..30].to_vec(), &page, false);
    assert!((answer.hits[0].score - expected).abs() < 1e-3, "{} {expected}", answer.hits[0].score);
}

#[test]
fn a_collection_of_words_only_needs_no_model_and_answers_by_words() {
    let mut server = TestServer::without_model(|_| {});
    let created = server.create(wire::CreateCollectionRequest {
        name: "notes".to_owned(),
        words_only: true,
        ..Default::default()
    });
    assert!(created.vectors.is_empty());
    server.store("notes", vec![text_document("a", "a cat"), text_document("b", "a dog")]);
    server.restart();
    assert_eq!(hit_ids(&server.search(ask("notes", "dog"))), ["b"]);
    let asked = wire::SearchRequest { vectors: named("v", &[1.0]), ..ask_vector("notes", &[1.0]) };
    let refused = server.ask(server.searches().search(asked)).unwrap_err();
    assert!(refused.message().contains("no vector `v`"), "{refused}");
}
