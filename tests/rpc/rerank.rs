//! Cross-encoders beside sentence-transformers, with tiny checkpoints of random weights whose scores
//! `tests/reference/cross_encoders.py` recorded; and hits read again by one, over gRPC.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use simile::cancel::Cancellation;
use simile::embed::{AddOptions, Kind, Lane, Role};
use simile_proto::v1::{self as wire};
use tonic::Code;

use super::messages::parts;
use super::server::TestServer;
use crate::support;

const EXPECTED: &str = include_str!("../fixtures/cross_encoders/expected.json");

#[derive(Deserialize)]
struct Expected {
    question: String,
    passages: Vec<String>,
    models: BTreeMap<String, Vec<f32>>,
}

fn expected() -> Expected {
    serde_json::from_str(EXPECTED).unwrap()
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/cross_encoders").join(name)
}

/// The places of the passages, best first.
fn order(scores: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    order
}

#[test]
fn pairs_are_scored_as_the_reference_does_alone_and_in_padded_batches() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = support::catalogue_with(folder.path());
    let Expected { question, passages, models } = expected();
    assert_eq!(models.len(), 2);
    let passages: Vec<&str> = passages.iter().map(String::as_str).collect();
    for (name, theirs) in &models {
        catalogue.add(name, &fixture(name), &AddOptions::default(), &|_, _, _| {}).unwrap();
        assert_eq!(catalogue.manifest(name).unwrap().method.kind(), Kind::CrossEncoder);
        let model = catalogue.load(name, &|_, _, _| {}).unwrap();
        let cancel = Cancellation::new();
        let batched = model.score(&question, &passages, Lane::Query, &cancel).unwrap();
        assert_eq!(order(&batched), order(theirs), "{name}");
        for (place, passage) in passages.iter().enumerate() {
            let alone = model.score(&question, &[passage], Lane::Query, &cancel).unwrap()[0];
            for ours in [alone, batched[place]] {
                let far = (ours - theirs[place]).abs();
                assert!(far < 1e-4, "{name}, {passage:?}: {ours}, expected {}", theirs[place]);
            }
        }
        let error = model.embed(&["a text"], Role::Query, Lane::Query, &cancel).unwrap_err();
        assert!(error.to_string().contains("reads pair, got text"), "{error}");
    }
    let bi_encoder = support::model();
    let error =
        bi_encoder.score(&question, &passages, Lane::Query, &Cancellation::new()).unwrap_err();
    assert!(error.to_string().contains("reads text, got pair"), "{error}");
}

#[test]
fn the_best_hits_are_read_again_and_wrong_wishes_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let own = support::catalogue_with(folder.path());
    let Expected { question, passages, models } = expected();
    own.add("judge", &fixture("bert"), &AddOptions::default(), &|_, _, _| {}).unwrap();
    let options = simile::embed::CatalogueOptions {
        own: Some(folder.path().join("own")),
        ..support::catalogue_options()
    };
    let server = TestServer::start(options, |_| {});
    server.create(wire::CreateCollectionRequest {
        name: "read".to_owned(),
        vectors: [(
            "text".to_owned(),
            wire::VectorConfig {
                source: Some(wire::vector_config::Source::Embedder("small-static".to_owned())),
                ..Default::default()
            },
        )]
        .into(),
        ..Default::default()
    });
    let documents = passages.iter().enumerate().map(|(place, text)| {
        parts(&format!("p{place}"), vec![wire::Part { text: text.clone(), ..Default::default() }])
    });
    server.store("read", documents.collect());
    let search = |change: &dyn Fn(&mut wire::SearchRequest)| {
        let mut request = wire::SearchRequest {
            collection: "read".to_owned(),
            text: Some(question.clone()),
            mode: wire::Mode::Semantic.into(),
            limit: Some(8),
            rerank: Some(wire::Rerank { model: "judge".to_owned(), depth: None }),
            ..Default::default()
        };
        change(&mut request);
        server.ask(server.searches().search(request))
    };
    let ids = |answer: &wire::SearchResponse| -> Vec<String> {
        answer.hits.iter().map(|hit| hit.id.clone()).collect()
    };
    let scores = &models["bert"];
    let best: Vec<String> = order(scores).iter().map(|place| format!("p{place}")).collect();
    let first = search(&|request| request.rerank = None).unwrap();
    let again = search(&|_| {}).unwrap();
    assert_eq!(ids(&again), best);
    assert_ne!(ids(&first), best, "the first ranking was another one");
    for hit in &again.hits {
        let place: usize = hit.id[1..].parse().unwrap();
        assert!((hit.score - scores[place]).abs() < 1e-4, "{hit:?}");
        let leg = hit.legs.last().unwrap();
        let before = first.hits.iter().position(|other| other.id == hit.id).unwrap();
        assert_eq!((leg.leg.as_str(), leg.rank as usize), ("rerank:judge", before + 1));
    }
    assert!(again.timings.iter().any(|timing| timing.stage == "rerank"));
    let page = search(&|request| {
        (request.limit, request.offset) = (Some(2), 1);
        request.with_text = Some(false);
    });
    let page = page.unwrap();
    assert_eq!(ids(&page), best[1..3]);
    assert!(page.hits.iter().all(|hit| hit.text.is_none() && hit.snippet.is_none()));
    // Only the two best are looked at, and stay before all others.
    let shallow = search(&|request| {
        request.limit = Some(2);
        request.rerank = Some(wire::Rerank { model: "judge".to_owned(), depth: Some(2) });
    });
    let mut shallow = ids(&shallow.unwrap());
    shallow.sort_unstable();
    let mut top = ids(&first)[..2].to_vec();
    top.sort_unstable();
    assert_eq!(shallow, top);

    let with = |model: &str, depth| Some(wire::Rerank { model: model.to_owned(), depth });
    type Change<'a> = Box<dyn Fn(&mut wire::SearchRequest) + 'a>;
    let wrong: [(Change<'_>, Code, &str); 7] = [
        (Box::new(|r| r.rerank = with("", None)), Code::InvalidArgument, "the model that reads"),
        (Box::new(|r| r.rerank = with("nothing", None)), Code::NotFound, "`nothing`"),
        (
            Box::new(|r| r.rerank = with("small-static", None)),
            Code::InvalidArgument,
            "model small-static reads text, got pair",
        ),
        (
            Box::new(|r| r.rerank = with("judge", Some(201))),
            Code::InvalidArgument,
            "depth is 201, expected 1 to 200",
        ),
        (Box::new(|r| r.offset = 193), Code::InvalidArgument, "is 201, expected 1 to 200"),
        (Box::new(|r| r.text = Some(" ".to_owned())), Code::InvalidArgument, "the text that"),
        (
            Box::new(|r| r.group_by = Some(wire::GroupBy::default())),
            Code::InvalidArgument,
            "groups are not read again",
        ),
    ];
    for (change, code, words) in wrong {
        let status = search(&*change).unwrap_err();
        assert_eq!(status.code(), code, "{status:?}");
        assert!(status.message().contains(words), "expected {words:?} in {:?}", status.message());
    }
}
