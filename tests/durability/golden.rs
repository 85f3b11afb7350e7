//! Data that each format wrote opens, says the same, and can be written to.
//!
//! `SIMILE_GOLDEN=tests/golden/NAME.tar.gz cargo test --test behaviour golden` writes a file of the
//! present format, which is done once for each release that changes one.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::{Value as Json, json};
use simile::cancel::Cancellation;
use simile::collection::Collection;
use simile::document::{Payload, Value};
use simile::query::{Mode, SearchRequest};

use super::plain::{Model, Random, components, id, open, scratch, store};

/// What the collection said when it was written, beside the data.
const EXPECTED: &str = "expected.json";

#[test]
fn golden_files_of_every_format_open_and_say_what_they_said() {
    if let Some(file) = std::env::var_os("SIMILE_GOLDEN") {
        write(&PathBuf::from(file));
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut read = 0;
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "gz") {
            check(&path);
            read += 1;
        }
    }
    assert!(read > 0);
}

fn check(path: &Path) {
    let story = path.display();
    let unpacked = scratch();
    let file = fs_err::File::open(path).unwrap();
    tar::Archive::new(GzDecoder::new(file)).unpack(unpacked.path()).unwrap();
    let mut expected = String::new();
    let mut file = fs_err::File::open(unpacked.path().join(EXPECTED)).unwrap();
    file.read_to_string(&mut expected).unwrap();
    let expected: Json = serde_json::from_str(&expected).unwrap();
    let data = unpacked.path().join("data");
    let collections = open(&data);
    let collection = collections.get("c").unwrap();
    assert_eq!(said(&collection), expected, "{story}");
    let found = collection.verify(&|_, _| {}, &Cancellation::new()).unwrap();
    assert_eq!(found.problems, Vec::<String>::new(), "{story}");
    let model = Model { dimension: 4, ..Model::random(&mut Random(1)) };
    let document = model.document(&mut Random(2)).without_tokens();
    store(&collection, vec![(id(777), document)], "golden");
    drop((collection, collections));
    let collections = open(&data);
    let collection = collections.get("c").unwrap();
    let before = expected["documents"].as_object().unwrap().len() as u64;
    assert_eq!(collection.count(None).unwrap().documents, before + 1, "{story}");
    let found = collection.verify(&|_, _| {}, &Cancellation::new()).unwrap();
    assert_eq!(found.problems, Vec::<String>::new(), "{story}");
}

/// Returns what a collection holds, and what it answers.
fn said(collection: &Collection) -> Json {
    let (page, _) = collection.scroll(None, None, 1_000, true, true).unwrap();
    let documents: BTreeMap<String, Json> =
        page.into_iter()
            .map(|document| {
                let parts = document.parts.iter().map(
                    |part| json!({ "text": part.text, "vector": components(&part.vectors["v"]) }),
                );
                let parts: Vec<Json> = parts.collect();
                let told = json!({
                    "payload": document.payload,
                    "sequence": document.sequence,
                    "parts": parts,
                });
                (document.id.to_string(), told)
            })
            .collect();
    let words = SearchRequest {
        text: Some("harbour".to_owned()),
        mode: Mode::Lexical,
        limit: 100,
        ..SearchRequest::default()
    };
    let hits = collection.search(&words, &Cancellation::new()).unwrap().hits;
    let mut found: Vec<String> = hits.iter().map(|hit| hit.id.to_string()).collect();
    found.sort();
    let fields = collection.info().unwrap().fields;
    let fields: Vec<&String> = fields.keys().collect();
    json!({ "documents": documents, "harbour": found, "fields": fields })
}

fn write(file: &Path) {
    let folder = scratch();
    let data = folder.path().join("data");
    fs_err::create_dir_all(&data).unwrap();
    let mut random = Random(31);
    let model = Model { dimension: 4, ..Model::random(&mut random) };
    let collections = open(&data);
    let collection = collections.create("c", &model.settings()).unwrap();
    for round in 0..4 {
        let documents = (0..8).map(|number| (id(round * 6 + number), model.document(&mut random)));
        store(&collection, documents.collect(), "golden");
        collection.delete([id(round * 6 + 2)]).unwrap();
        collection.maintain().unwrap();
    }
    // A file of records and values of every type.
    let mut plain = model.document(&mut random).source(id(500));
    plain.payload = Payload::from([
        ("title".to_owned(), Value::Text("of every type".to_owned())),
        ("group".to_owned(), Value::Integer(-7)),
        ("weight".to_owned(), Value::Float(0.1 + 0.2)),
        ("is_kept".to_owned(), Value::Boolean(true)),
        ("when".to_owned(), Value::Text("2026-11-27T00:00:00Z".to_owned())),
        ("tags".to_owned(), Value::Array(vec![Value::Text("a".to_owned()), Value::Null])),
    ]);
    collection.store(vec![plain], &Cancellation::new()).unwrap();
    let expected = serde_json::to_vec(&said(&collection)).unwrap();
    drop((collection, collections));
    fs_err::create_dir_all(file.parent().unwrap()).unwrap();
    let encoder = GzEncoder::new(fs_err::File::create(file).unwrap(), Compression::best());
    let mut archive = tar::Builder::new(encoder);
    archive.append_dir_all("data", &data).unwrap();
    let mut header = tar::Header::new_gnu();
    header.set_size(expected.len() as u64);
    header.set_mode(0o644);
    archive.append_data(&mut header, EXPECTED, expected.as_slice()).unwrap();
    archive.into_inner().unwrap().finish().unwrap();
}
