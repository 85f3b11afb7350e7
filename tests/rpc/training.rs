//! Models are fitted on collections by the server, as jobs.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::time::{Duration, Instant};

use simile::embed::CatalogueOptions;
use simile_proto::v1::vector_config::Source;
use simile_proto::v1::{self as wire};
use tempfile::TempDir;
use tonic::Code;

use super::messages::{Random, ask, hit_ids, text_document};
use super::server::{TestServer, no_models};

/// Words of the sea and of the kitchen, which keep to their own.
const SEA: [&str; 6] = ["ferry", "harbour", "anchor", "sail", "tide", "keel"];
const KITCHEN: [&str; 6] = ["bread", "dough", "oven", "yeast", "flour", "crust"];

/// A server whose models go into a folder of the test, and a collection to learn from.
fn server() -> (TestServer, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let own = Some(folder.path().to_owned());
    let catalogue = CatalogueOptions { own, threads: 2, ..no_models() };
    let server = TestServer::start(catalogue, |_| {});
    let source = Some(Source::Embedder("hashed-words".to_owned()));
    let config = wire::VectorConfig { source, ..Default::default() };
    server.create(wire::CreateCollectionRequest {
        name: "notes".to_owned(),
        vectors: HashMap::from([("words".to_owned(), config)]),
        ..Default::default()
    });
    let mut random = Random(7);
    let documents = (0..240).map(|number| {
        let words = if number % 2 == 0 { SEA } else { KITCHEN };
        let text: Vec<&str> = (0..12).map(|_| words[random.below(6) as usize]).collect();
        text_document(&format!("{number}"), &text.join(" "))
    });
    server.store("notes", documents.collect());
    (server, folder)
}

fn request(model: &str, method: &str, options: &str) -> wire::TrainRequest {
    wire::TrainRequest {
        collection: "notes".to_owned(),
        model: model.to_owned(),
        method: method.to_owned(),
        options: options.to_owned(),
        threads: Some(1),
        ..Default::default()
    }
}

fn begin(server: &TestServer, request: wire::TrainRequest) -> wire::Job {
    let job = server.ask(server.embedding().train(request)).unwrap();
    assert_eq!(job.kind, "train");
    job
}

/// Watches a job until it has ended.
fn watched(server: &TestServer, id: &str) -> Vec<wire::Job> {
    let watch = wire::WatchJobRequest { id: id.to_owned() };
    let mut stream = server.ask(server.jobs().watch(watch)).unwrap();
    server.wait(async {
        let mut seen = Vec::new();
        while let Some(job) = stream.message().await.unwrap() {
            seen.push(job);
        }
        seen
    })
}

fn train(server: &TestServer, request: wire::TrainRequest) -> wire::Job {
    let job = begin(server, request);
    watched(server, &job.id).pop().unwrap()
}

fn model(server: &TestServer, name: &str) -> Option<wire::Model> {
    let models = server.ask(server.embedding().list_models(wire::ListModelsRequest {})).unwrap();
    models.models.into_iter().find(|model| model.name == name)
}

/// What lies in a folder, by name.
fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs_err::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

const WORD2VEC: &str = r#"{"training": {"dimension": 16, "window": 3, "epochs": 40, "sample": 0}}"#;

#[test]
fn a_model_that_the_server_fits_is_in_its_catalogue_at_once_and_vectors_are_made_by_it() {
    let (server, folder) = server();
    assert!(model(&server, "mine").is_none());
    let job = begin(&server, request("mine", "word2vec", WORD2VEC));
    assert_eq!((job.label.as_str(), job.collection.as_str()), ("mine", "notes"));
    let seen = watched(&server, &job.id);
    let last = seen.last().unwrap();
    assert_eq!(last.state(), wire::JobState::Done, "{last:?}");
    assert!(last.message.contains("Word2Vec") && last.message.contains("12 words"), "{last:?}");
    assert_eq!(names(folder.path()), BTreeSet::from(["mine".to_owned()]));
    let made = model(&server, "mine").unwrap();
    assert_eq!((made.kind.as_str(), made.dimension, made.is_sparse), ("word-vectors", 16, false));
    assert!(made.is_installed && made.fingerprint.len() > 16, "{made:?}");

    let source = Some(Source::Embedder("mine".to_owned()));
    let add = wire::AddVectorRequest {
        collection: "notes".to_owned(),
        name: "meaning".to_owned(),
        config: Some(wire::VectorConfig { source, ..Default::default() }),
    };
    let bound = server.ask(server.collections().add_vector(add)).unwrap();
    assert_eq!(bound.vectors["meaning"].fingerprint, made.fingerprint);
    let answer = server.search(wire::SearchRequest {
        using: Some("meaning".to_owned()),
        mode: wire::Mode::Semantic.into(),
        limit: Some(20),
        ..ask("notes", "ferry anchor")
    });
    let is_of_the_sea = |id: &str| id.parse::<u32>().unwrap().is_multiple_of(2);
    let found = hit_ids(&answer);
    assert!(found.len() == 20 && found.into_iter().all(is_of_the_sea), "{answer:?}");

    // One thread and one seed give one model; another seed another one.
    let again = train(&server, request("again", "word2vec", WORD2VEC));
    assert_eq!(again.state(), wire::JobState::Done, "{again:?}");
    let other = wire::TrainRequest { seed: Some(2), ..request("other", "word2vec", WORD2VEC) };
    assert_eq!(train(&server, other).state(), wire::JobState::Done);
    let vectors = |model: &str| {
        let (model, texts) = (model.to_owned(), vec!["ferry sail".to_owned()]);
        let request = wire::EmbedRequest { model, texts, ..Default::default() };
        let answer = server.ask(server.embedding().embed(request)).unwrap();
        answer.embeddings[0].vector.clone().unwrap().components
    };
    assert_eq!(vectors("mine"), vectors("again"));
    assert_ne!(vectors("mine"), vectors("other"));

    // A name is taken once.
    let refused = server.ask(server.embedding().train(request("mine", "tf-idf", ""))).unwrap_err();
    assert_eq!(refused.code(), Code::AlreadyExists);
    assert!(refused.message().contains("never replaced"), "{refused}");
}

#[test]
fn every_method_can_be_fitted_over_the_wire_and_a_filter_says_on_what() {
    let (server, _folder) = server();
    let small = r#"{"vocabulary": {"count_min": 1}, "training": {"epochs": 2}}"#;
    let rows = [
        ("one-hot", ""),
        ("tf-idf", r#"{"sublinear_tf": true}"#),
        ("n-gram", r#"{"terms": {"analyzer": "char-wb", "run_min": 3, "run_max": 4}}"#),
        ("word2vec", small),
        ("fasttext", r#"{"buckets": 1000, "training": {"epochs": 2}}"#),
        ("glove", small),
        ("lda", r#"{"training": {"topics": 2, "sweeps": 20}, "share_max": 1.0}"#),
        ("doc2vec", small),
    ];
    for (method, options) in rows {
        let name = format!("of-{method}");
        let last = train(&server, request(&name, method, options));
        assert_eq!(last.state(), wire::JobState::Done, "{method}: {last:?}");
        assert!(model(&server, &name).is_some(), "{method}");
    }
    let filter = wire::Filter {
        kind: Some(wire::filter::Kind::Ids(wire::DocumentIds {
            ids: vec!["0".to_owned(), "2".to_owned()],
        })),
    };
    let of_two = wire::TrainRequest { filter: Some(filter), ..request("two", "one-hot", "") };
    let last = train(&server, of_two);
    assert!(last.message.contains("of 2 texts"), "{last:?}");
}

#[test]
fn a_training_that_is_cancelled_or_stopped_with_its_server_leaves_nothing_and_the_next_has_its_turn()
 {
    let (mut server, folder) = server();
    let endless = r#"{"training": {"epochs": 10000}}"#;
    let first = begin(&server, request("first", "word2vec", endless));
    let second = begin(&server, request("second", "word2vec", endless));
    // The first has to be seen at its work, with its loss, while the second waits.
    let watch = wire::WatchJobRequest { id: first.id.clone() };
    let mut stream = server.ask(server.jobs().watch(watch)).unwrap();
    let working = server.wait(async {
        loop {
            let job = stream.message().await.unwrap().expect("it is still running");
            if job.message.contains("loss") {
                return job;
            }
        }
    });
    assert!(working.items_total.is_some_and(|total| total > working.items_done), "{working:?}");
    let get = wire::GetJobRequest { id: second.id.clone() };
    let waiting = server.ask(server.jobs().get(get)).unwrap();
    assert_eq!(waiting.message, "waits for its turn");
    for job in [&second, &first] {
        let cancel = wire::CancelJobRequest { id: job.id.clone() };
        server.ask(server.jobs().cancel(cancel)).unwrap();
        let last = watched(&server, &job.id).pop().unwrap();
        assert_eq!(last.state(), wire::JobState::Cancelled, "{last:?}");
    }
    assert_eq!(names(folder.path()), BTreeSet::new());

    // A corpus or a size that nothing can be made of fails by name, and takes nobody's turn.
    let huge = r#"{"training": {"dimension": 8192}, "buckets": 60000000}"#;
    let last = train(&server, request("huge", "fasttext", huge));
    assert_eq!(last.state(), wire::JobState::Failed, "{last:?}");
    assert!(last.message.contains("bytes of memory, at most"), "{last:?}");
    let rare = r#"{"vocabulary": {"count_min": 100000}}"#;
    let last = train(&server, request("rare", "lda", rare));
    assert!(last.message.contains("frequent enough"), "{last:?}");

    begin(&server, request("third", "word2vec", endless));
    let began = Instant::now();
    server.stop();
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert_eq!(names(folder.path()), BTreeSet::new());
}

#[test]
fn no_more_trainings_are_taken_than_can_wait() {
    let (server, _folder) = server();
    let endless = r#"{"training": {"epochs": 10000}}"#;
    for number in 0..16 {
        begin(&server, request(&format!("m{number}"), "word2vec", endless));
    }
    let refused = server.ask(server.embedding().train(request("more", "tf-idf", ""))).unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(refused.message().contains("16 models are being fitted or wait"), "{refused}");
}
