//! Collections whose documents belong to tenants, what a collection in use can be changed to, and those
//! that sleep until somebody asks.

use std::collections::HashMap;

use simile_proto::v1::delete_documents_request::Selection;
use simile_proto::v1::field_condition::Condition;
use simile_proto::v1::filter::Kind;
use simile_proto::v1::{self as wire};
use tonic::Code;

use super::messages::{
    Random, array, ask_vector, collection, document, equals, field, fields, filter, hit_ids, ids,
    integer, not, outcome, part, parts, text,
};
use super::server::TestServer;

fn of(tenant: &str) -> wire::Filter {
    equals("org", text(tenant))
}

fn owned(id: &str, tenant: &str, year: i64, v: &[f32]) -> wire::Document {
    let payload = fields([("org", text(tenant)), ("year", integer(year))]);
    wire::Document { payload, ..parts(id, vec![part("a ferry", v)]) }
}

fn with_tenants(server: &TestServer, name: &str) {
    let request = wire::CreateCollectionRequest { tenant: "org".into(), ..collection(name, 2) };
    assert_eq!(server.create(request).tenant, "org");
}

fn searched(
    server: &TestServer,
    filter: Option<wire::Filter>,
    v: &[f32],
) -> Result<wire::SearchResponse, tonic::Status> {
    let request = wire::SearchRequest { filter, limit: Some(100), ..ask_vector("t", v) };
    server.ask(server.searches().search(request))
}

#[test]
fn a_question_that_does_not_say_whose_documents_it_is_about_is_refused() {
    let mut server = TestServer::without_model(|_| {});
    with_tenants(&server, "t");
    let mut random = Random(7);
    let mut all = Vec::new();
    for number in 0..300 {
        // One large tenant, and many small ones.
        let tenant =
            if number % 3 > 0 { "big".to_owned() } else { format!("small{}", number % 12) };
        let v = random.vector(2);
        all.push((format!("d{number:03}"), tenant, v));
    }
    let documents =
        all.iter().map(|(id, tenant, v)| owned(id, tenant, 2_000, v)).collect::<Vec<_>>();
    server.store("t", documents);
    server.restart();
    // Each tenant finds its own, best first, and nothing of others.
    let cosine = |a: &[f32], b: &[f32]| {
        let length = |v: &[f32]| v[0].hypot(v[1]);
        (a[0] * b[0] + a[1] * b[1]) / (length(a) * length(b))
    };
    for tenant in ["big", "small0", "small6", "nobody"] {
        let question = random.vector(2);
        let mut own: Vec<_> = all.iter().filter(|(_, owner, _)| owner == tenant).collect();
        own.sort_by(|a, b| cosine(&b.2, &question).total_cmp(&cosine(&a.2, &question)));
        let expected: Vec<&str> = own.iter().take(100).map(|(id, ..)| id.as_str()).collect();
        let answer = searched(&server, Some(of(tenant)), &question).unwrap();
        assert_eq!(hit_ids(&answer), expected, "{tenant}");
    }
    // Several, or all of them, if the question says so.
    let several =
        field("org", Condition::In(wire::Array { values: vec![text("small0"), text("small3")] }));
    assert!(!searched(&server, Some(several), &[1.0, 0.0]).unwrap().hits.is_empty());
    let everyone = field("org", Condition::Exists(true));
    let count = |filter: Option<wire::Filter>| {
        let request = wire::CountRequest { collection: "t".into(), filter };
        server.ask(server.documents().count(request)).map(|counted| counted.documents)
    };
    assert_eq!(count(Some(everyone.clone())).unwrap(), 300);
    assert_eq!(count(Some(of("big"))).unwrap(), 200);
    // Anything else is refused, whatever asks.
    let list = |filters| Some(filter(Kind::All(wire::FilterList { filters })));
    let any = |filters| Some(filter(Kind::Any(wire::FilterList { filters })));
    let year = || equals("year", integer(2_000));
    for unsaid in [
        None,
        Some(year()),
        list(vec![year()]),
        any(vec![of("big"), year()]),
        Some(not(of("big"))),
        Some(field("org", Condition::Prefix("b".into()))),
    ] {
        let scroll = wire::ScrollRequest {
            collection: "t".into(),
            filter: unsaid.clone(),
            ..Default::default()
        };
        let ordered = wire::ScrollRequest {
            order_by: Some(wire::OrderBy { path: "year".into(), descending: false }),
            ..scroll.clone()
        };
        let sample =
            wire::ScrollRequest { sample: Some(wire::Sample { seed: Some(1) }), ..scroll.clone() };
        let facet = wire::FacetRequest {
            collection: "t".into(),
            path: "year".into(),
            filter: unsaid.clone(),
            limit: None,
        };
        let explain = wire::ExplainRequest {
            search: Some(wire::SearchRequest {
                filter: unsaid.clone(),
                ..ask_vector("t", &[1.0, 0.0])
            }),
            id: "d000".into(),
        };
        let refused = [
            searched(&server, unsaid.clone(), &[1.0, 0.0]).err(),
            count(unsaid.clone()).err(),
            server.ask(server.documents().scroll(scroll)).err(),
            server.ask(server.documents().scroll(ordered)).err(),
            server.ask(server.documents().scroll(sample)).err(),
            server.ask(server.documents().facet(facet)).err(),
            server.ask(server.searches().explain(explain)).err(),
        ];
        for (number, error) in refused.into_iter().enumerate() {
            let error = error.unwrap_or_else(|| panic!("call {number} with {unsaid:?}"));
            assert_eq!(error.code(), Code::InvalidArgument, "{number}: {error}");
            assert!(error.message().contains("field `org` is the tenant"), "{number}: {error}");
        }
    }
    let delete = |selection| {
        let request = wire::DeleteDocumentsRequest {
            collection: "t".into(),
            selection: Some(selection),
            ..Default::default()
        };
        server.ask(server.documents().delete(request)).map(|deleted| deleted.deleted)
    };
    let error = delete(Selection::Filter(year())).unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument, "{error}");
    assert_eq!(delete(Selection::Filter(of("small0"))).unwrap(), 25);
    assert_eq!(delete(Selection::Ids(ids(["d001"]))).unwrap(), 1);
    assert_eq!(count(Some(everyone)).unwrap(), 274);
}

#[test]
fn a_document_without_a_tenant_is_refused_and_none_loses_it() {
    let server = TestServer::without_model(|_| {});
    with_tenants(&server, "t");
    let unowned = |id: &str, org: Option<wire::Value>| {
        let mut document = parts(id, vec![part("a ferry", &[1.0, 0.0])]);
        document.payload.extend(org.map(|org| ("org".to_owned(), org)));
        document
    };
    let documents = vec![
        owned("good", "acme", 1, &[1.0, 0.0]),
        unowned("none", None),
        unowned("number", Some(integer(3))),
        unowned("empty", Some(text(""))),
        unowned("two", Some(array([text("a"), text("b")]))),
        document("text", wire::document::Content::Text("a ferry".into())),
    ];
    let results = server.upsert("t", documents);
    let outcomes: Vec<String> = results.iter().map(outcome).collect();
    assert_eq!(outcomes[0], "stored");
    for refused in &outcomes[1..5] {
        assert!(refused.contains("field `org` is the tenant"), "{refused}");
    }
    assert!(outcomes[5] != "stored", "{outcomes:?}");
    // What is stored keeps its tenant, and may be given to another one.
    let update = |change| {
        let request = wire::UpdateDocumentsRequest {
            collection: "t".into(),
            selection: Some(wire::update_documents_request::Selection::Ids(ids(["good"]))),
            change: Some(change),
            ..Default::default()
        };
        server.ask(server.documents().update(request))
    };
    use wire::update_documents_request::Change;
    let paths = wire::FieldPaths { paths: vec!["org".into()] };
    for change in [Change::Clear(true), Change::Delete(paths)] {
        let answer = update(change).unwrap();
        assert_eq!(answer.updated, 0, "{answer:?}");
        let error = answer.failures[0].error.as_ref().unwrap();
        assert!(error.message.contains("is the tenant"), "{answer:?}");
    }
    let given =
        wire::SetFields { fields: fields([("org", text("umbrella"))]), ..Default::default() };
    assert_eq!(update(Change::Set(given)).unwrap().updated, 1);
    let count = wire::CountRequest { collection: "t".into(), filter: Some(of("umbrella")) };
    assert_eq!(server.ask(server.documents().count(count)).unwrap().documents, 1);
}

#[test]
fn a_collection_in_use_is_set_and_stays_so() {
    let mut server = TestServer::without_model(|_| {});
    let about = HashMap::from([("owner".to_owned(), "ann".to_owned())]);
    let created = server.create(wire::CreateCollectionRequest {
        description: "ferries".into(),
        metadata: about.clone(),
        ..collection("c", 64)
    });
    assert_eq!((created.description.as_str(), &created.metadata), ("ferries", &about));
    let mut random = Random(3);
    let vectors: Vec<Vec<f32>> = (0..400).map(|_| random.vector(64)).collect();
    let documents = vectors.iter().enumerate();
    let documents = documents.map(|(i, v)| parts(&format!("d{i}"), vec![part("a ferry", v)]));
    server.store("c", documents.collect());
    let optimize = |server: &TestServer| {
        let request = wire::OptimizeRequest { collection: "c".into() };
        server.ask(server.admin().optimize(request)).unwrap()
    };
    optimize(&server);
    let best = |server: &TestServer| {
        let answer = server.search(ask_vector("c", &vectors[7]));
        answer.hits[0].id.clone()
    };
    assert_eq!(best(&server), "d7");
    let change = wire::VectorChange {
        hnsw_m: Some(24),
        hnsw_ef_construction: Some(80),
        quantisation: wire::Quantisation::Binary.into(),
        ef: Some(333),
    };
    let request = wire::ChangeCollectionRequest {
        name: "c".into(),
        vectors: HashMap::from([("v".to_owned(), change)]),
        description: Some("ferries and tides".into()),
        metadata: HashMap::from([
            ("owner".to_owned(), String::new()),
            ("team".to_owned(), "sea".to_owned()),
        ]),
        ..Default::default()
    };
    let changed = server.ask(server.collections().change(request)).unwrap();
    let check = |collection: &wire::Collection| {
        let v = &collection.vectors["v"];
        assert_eq!((v.hnsw_m, v.hnsw_ef_construction, v.ef), (24, 80, 333));
        assert_eq!(v.quantisation(), wire::Quantisation::Binary);
        assert_eq!(collection.description, "ferries and tides");
        let metadata = HashMap::from([("team".to_owned(), "sea".to_owned())]);
        assert_eq!(collection.metadata, metadata);
    };
    check(&changed);
    assert_eq!(best(&server), "d7");
    // The graph is built anew though there is one segment only, once.
    let codes = |server: &TestServer| {
        let request = wire::GetCollectionRequest { name: "c".into() };
        let found = server.ask(server.collections().get(request)).unwrap();
        let used = found.memory.iter().find(|used| used.component == "dense codes");
        used.map_or(0, |used| used.bytes)
    };
    let before = codes(&server);
    optimize(&server);
    let after = codes(&server);
    assert_ne!(before, after, "int8 codes and one bit a component");
    assert_eq!(best(&server), "d7");
    server.restart();
    let request = wire::GetCollectionRequest { name: "c".into() };
    check(&server.ask(server.collections().get(request)).unwrap());
    assert_eq!(best(&server), "d7");
    assert_eq!(codes(&server), after);
}

#[test]
fn small_collections_that_nobody_asks_for_are_closed_and_open_again() {
    let mut server = TestServer::without_model(|_| {});
    for number in 0..30 {
        server.create(collection(&format!("c{number:02}"), 2));
    }
    server.store("c05", vec![parts("a", vec![part("a ferry", &[1.0, 0.0])])]);
    let list = |server: &TestServer| {
        let request = wire::ListCollectionsRequest {};
        server.ask(server.collections().list(request)).unwrap().collections
    };
    let told = |collection: &wire::Collection| {
        (collection.name.clone(), collection.documents, collection.parts, collection.last_sequence)
    };
    let before: Vec<_> = list(&server).iter().map(told).collect();
    server.restart();
    let listed = list(&server);
    assert_eq!(listed.iter().map(told).collect::<Vec<_>>(), before);
    let open = |listed: &[wire::Collection]| {
        listed.iter().filter(|collection| !collection.memory.is_empty()).count()
    };
    assert_eq!(open(&listed), 0, "all sleep after a start");
    assert_eq!(listed[5].fields.len(), 0);
    assert_eq!(listed[5].vectors["v"].head, 1);
    // Whoever asks wakes one, from many sides at once.
    std::thread::scope(|scope| {
        for number in 0..8 {
            let server = &server;
            scope.spawn(move || {
                if number % 2 == 0 {
                    server.store(
                        "c05",
                        vec![parts(&format!("b{number}"), vec![part("a", &[0.0, 1.0])])],
                    );
                }
                let answer = server.search(ask_vector("c05", &[1.0, 0.0]));
                assert_eq!(answer.hits[0].id, "a");
            });
        }
    });
    assert_eq!(open(&list(&server)), 1);
    let delete = wire::DeleteCollectionRequest { name: "c06".to_owned() };
    server.ask(server.collections().delete(delete)).unwrap();
    server.restart();
    let after: Vec<_> = list(&server).iter().map(told).collect();
    assert_eq!(after.len(), 29);
    assert_eq!((after[5].1, after[5].3), (5, 5), "{:?}", after[5]);
}

#[test]
fn a_vector_that_was_being_made_when_the_server_stopped_is_made_after_the_start() {
    let mut server = TestServer::without_model(|_| {});
    server.create(collection("c", 2));
    let documents = (0..3_000).map(|i| {
        let text = format!("ferry {i} leaves at {} from quay {}", i % 60, i % 7);
        parts(&format!("d{i}"), vec![part(&text, &[1.0, i as f32])])
    });
    server.store("c", documents.collect());
    let config = wire::VectorConfig {
        source: Some(wire::vector_config::Source::Embedder("hashed-words".to_owned())),
        ..Default::default()
    };
    let told = |server: &TestServer| {
        let get = wire::GetCollectionRequest { name: "c".to_owned() };
        server.ask(server.collections().get(get)).unwrap().vectors.get("terms").cloned()
    };
    // Its caller gives up early, and is not there to ask again.
    let mut patience = 20;
    while told(&server).is_none() {
        let (collection, name) = ("c".to_owned(), "terms".to_owned());
        let add = wire::AddVectorRequest { collection, name, config: Some(config.clone()) };
        let mut add = tonic::Request::new(add);
        add.set_timeout(std::time::Duration::from_millis(patience));
        drop(server.ask(server.collections().add_vector(add)));
        patience *= 2;
    }
    server.restart();
    let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while told(&server).unwrap().filling && std::time::Instant::now() < until {
        std::thread::yield_now();
    }
    let made = told(&server).unwrap();
    assert!(!made.filling, "{made:?}");
    assert_eq!(made.indexed + made.head, 3_000);
}
