//! A video over the wire: stored as moments, and an excerpt of it found.

use std::collections::HashMap;
use std::path::Path;

use base64::Engine as _;
use simile::cancel::Cancellation;
use simile::decode::video::{Container, VideoOptions, frames};
use simile::decode::{Limits, decode_picture};
use simile::embed::video::{ClipPooling, SpacetimeSettings, clip_dimension};
use simile::embed::{Catalogue, Manifest, Method};
use simile::picture::Picture;
use simile_proto::v1::document::Content;
use simile_proto::v1::upsert_result::Outcome;
use simile_proto::v1::vector_config::Source;
use simile_proto::v1::{self as wire};
use tonic::Code;

use super::messages::moments;
use super::server::TestServer;
use crate::support::catalogue_options;

const GRAPH: &[u8] = include_bytes!("../fixtures/video/cells.onnx");
const GRAPH_SHA256: &str = "85285e10fd9661be2f22d07525434807b150fa463115be9de08e725f9cbff52e";

/// Writes an image model that sees the mean colour of 8 x 8 cells, and one of clips on top of it.
fn models(folder: &Path) {
    let image = Manifest::parse(
        &format!(
            "schema = 1\nname = \"cells\"\nkind = \"onnx-image\"\ndescription = \"Cells\"\n\
             licence = \"Apache-2.0\"\ndimension = 192\nmetric = \"cosine\"\n\
             [image]\nheight = 64\nwidth = 64\nresize = \"stretch\"\nfilter = \"box\"\n\
             scale = 0.0078125\nmean = [1.0, 1.0, 1.0]\nstd = [1.0, 1.0, 1.0]\n\
             [network]\nfile = \"cells.onnx\"\nlayer = \"cells\"\npooling = \"flatten\"\n\
             normalize = false\n\
             [[files]]\nname = \"cells.onnx\"\nsha256 = \"{GRAPH_SHA256}\"\nbytes = {}\n",
            GRAPH.len()
        ),
        "cells",
    )
    .unwrap();
    let settings = SpacetimeSettings::of(&image.specification());
    let clips = Manifest {
        name: "clips".to_owned(),
        dimension: clip_dimension(&ClipPooling::default(), 3),
        method: Method::Spacetime { spacetime: settings },
        files: Vec::new(),
        ..image.clone()
    };
    for manifest in [image, clips] {
        let folder = folder.join(&manifest.name);
        fs_err::create_dir_all(&folder).unwrap();
        fs_err::write(folder.join("manifest.toml"), manifest.to_toml().unwrap()).unwrap();
        for file in &manifest.files {
            fs_err::write(folder.join(&file.name), GRAPH).unwrap();
        }
    }
}

/// Seconds of a film in Y4M at 8 frames a second, as wide and high as told: two spots wander on curves
/// that never meet again.
fn film(seconds: std::ops::Range<usize>, width: usize, height: usize) -> Vec<u8> {
    let mut bytes = format!("YUV4MPEG2 W{width} H{height} F8:1 C444\n").into_bytes();
    for frame in seconds.start * 8..seconds.end * 8 {
        let time = frame as f64 / 8.0;
        let wander = |speed: f64, from: f64| 0.5 + 0.4 * (time * speed + from).sin();
        let spots =
            [(wander(0.31, 0.0), wander(0.47, 1.0)), (wander(0.53, 2.0), wander(0.23, 4.0))];
        let mut planes = [const { Vec::new() }; 3];
        for (row, column) in (0..height).flat_map(|row| (0..width).map(move |at| (row, at))) {
            let x = (column as f64 + 0.5) / width as f64;
            let y = (row as f64 + 0.5) / height as f64;
            let near = spots.map(|(a, b)| (-((x - a).powi(2) + (y - b).powi(2)) / 0.015).exp());
            let values = [
                50.0 + 150.0 * near[0].max(near[1]),
                128.0 + 80.0 * near[0],
                128.0 + 80.0 * near[1],
            ];
            for (plane, value) in planes.iter_mut().zip(values) {
                plane.push(value as u8);
            }
        }
        bytes.extend(b"FRAME\n");
        planes.iter().for_each(|plane| bytes.extend(plane));
    }
    bytes
}

fn file(id: &str, bytes: Vec<u8>) -> wire::Document {
    let file = wire::File { name: id.to_owned(), bytes, media_type: None };
    wire::Document { id: id.to_owned(), content: Some(Content::File(file)), ..Default::default() }
}

fn of_model(model: &str) -> HashMap<String, wire::VectorConfig> {
    let source = Some(Source::Embedder(model.to_owned()));
    HashMap::from([("clip".to_owned(), wire::VectorConfig { source, ..Default::default() })])
}

/// Starts a server with a collection `c` of the model's vectors, over a folder of models.
fn serving(model: &str) -> (tempfile::TempDir, TestServer) {
    let own = tempfile::tempdir().unwrap();
    models(own.path());
    let mut catalogue = catalogue_options();
    catalogue.own = Some(own.path().to_owned());
    // What a test may fetch is fetched before, as another test does.
    catalogue.runtime.load(&|_, _, _| {}).unwrap();
    let server = TestServer::start(catalogue, |_| {});
    server.create(wire::CreateCollectionRequest {
        name: "c".to_owned(),
        vectors: of_model(model),
        ..Default::default()
    });
    (own, server)
}

/// The picture that is kept of the part that shows a moment.
fn thumbnail(server: &TestServer, moment: &wire::Moment) -> Picture {
    let parts = vec![wire::PartName { id: moment.id.clone(), part: moment.part }];
    let request = wire::ThumbnailsRequest { collection: "c".to_owned(), parts };
    let found = server.ask(server.documents().thumbnails(request)).unwrap().thumbnails;
    decode_picture(&found[0].jpeg, &Limits::default()).unwrap()
}

/// The second of the film whose beginning, middle or end looks most like a picture.
fn when(picture: &Picture, width: usize, height: usize) -> u64 {
    let far = |second: &usize| {
        let bytes = film(*second..*second + 1, width, height);
        let frames = frames(&bytes, Container::Y4m, &VideoOptions::default(), &Cancellation::new());
        let differences = frames.unwrap().map(|frame| {
            let pairs = picture.samples().iter().zip(frame.unwrap().picture.samples().to_vec());
            pairs.map(|(a, b)| u64::from(a.abs_diff(b))).sum::<u64>()
        });
        differences.min().unwrap()
    };
    (0..20).min_by_key(far).unwrap() as u64
}

#[test]
fn a_video_is_stored_as_moments_and_an_excerpt_of_it_is_found() {
    let (_own, server) = serving("clips");
    server.store("c", vec![file("film.y4m", film(0..20, 64, 48))]);
    let get = wire::GetDocumentsRequest {
        collection: "c".to_owned(),
        ids: vec!["film.y4m".to_owned()],
        ..Default::default()
    };
    let stored = server.ask(server.documents().get(get)).unwrap().documents.remove(0);
    let spans = moments(&stored);
    assert_eq!((spans[0].0, spans.last().unwrap().1), (0, 20_000));
    assert!(spans.len() >= 20 && spans.windows(2).all(|pair| pair[0].1 == pair[1].0), "{spans:?}");
    let payload = |name: &str| format!("{:?}", stored.payload[name].kind);
    assert!(payload("seconds").contains("20"), "{}", payload("seconds"));

    for start in [3, 9, 14] {
        let locate = wire::LocateRequest {
            collection: "c".to_owned(),
            excerpt: film(start..start + 4, 40, 36),
            limit: Some(1),
            ..Default::default()
        };
        let found = server.ask(server.searches().locate(locate)).unwrap();
        let moment = &found.moments[0];
        assert_eq!(moment.id, "film.y4m");
        assert!(moment.start_ms.abs_diff(start as u64 * 1_000) <= 500, "{start}: {moment:?}");
        assert_eq!(moment.end_ms - moment.start_ms, 4_000);
        let shown = &spans[moment.part as usize];
        assert!(shown.0 <= moment.start_ms + 500 && moment.start_ms <= shown.1 + 500, "{shown:?}");
        let seen = when(&thumbnail(&server, moment), 64, 48);
        assert!(seen.abs_diff(shown.0 / 1_000) <= 1, "{start}: the picture is of second {seen}");
    }
    let wrong = |excerpt: &[u8], says: &str| {
        let excerpt = excerpt.to_vec();
        let request =
            wire::LocateRequest { collection: "c".to_owned(), excerpt, ..Default::default() };
        let status = server.ask(server.searches().locate(request)).unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().contains(says), "{status:?}");
    };
    wrong(b"no video", "the excerpt is neither a video nor a sound");
    wrong(b"YUV4MPEG2 W2 H0\n", "the Y4M video is damaged: its size is 2 x 0");
}

#[test]
fn clients_of_qdrant_give_videos_as_objects() {
    use simile_proto::qdrant::{self, points_client::PointsClient, value::Kind, vector_input};

    let (_own, server) = serving("clips");
    let points = || PointsClient::new(server.channel());
    let dimension = clip_dimension(&ClipPooling::default(), 3) as u32;
    server.create(wire::CreateCollectionRequest {
        name: "given".to_owned(),
        vectors: HashMap::from([(
            "clip".to_owned(),
            super::messages::given(dimension, wire::Metric::Cosine),
        )]),
        ..Default::default()
    });
    let object = |bytes: &[u8], model: &str| {
        let text = base64::engine::general_purpose::STANDARD.encode(bytes);
        let text = qdrant::Value { kind: Some(Kind::StringValue(text)) };
        let fields = HashMap::from([("video".to_owned(), text)]);
        let object = qdrant::Value { kind: Some(Kind::StructValue(qdrant::Struct { fields })) };
        qdrant::InferenceObject {
            object: Some(object),
            model: model.to_owned(),
            options: HashMap::new(),
        }
    };
    let point = |collection: &str, id: u64, object: qdrant::InferenceObject| {
        let vector = qdrant::vector::Vector::Object(object);
        let vector = qdrant::Vector { vector: Some(vector), ..Default::default() };
        let vectors = HashMap::from([("clip".to_owned(), vector)]);
        let vectors = qdrant::vectors::VectorsOptions::Vectors(qdrant::NamedVectors { vectors });
        let id =
            qdrant::PointId { point_id_options: Some(qdrant::point_id::PointIdOptions::Num(id)) };
        qdrant::UpsertPoints {
            collection_name: collection.to_owned(),
            points: vec![qdrant::PointStruct {
                id: Some(id),
                vectors: Some(qdrant::Vectors { vectors_options: Some(vectors) }),
                ..Default::default()
            }],
            ..Default::default()
        }
    };
    let query = |collection: &str, object: qdrant::InferenceObject| {
        let nearest = vector_input::Variant::Object(object);
        let nearest = qdrant::VectorInput { variant: Some(nearest) };
        let query = qdrant::query::Variant::Nearest(nearest);
        let request = qdrant::QueryPoints {
            collection_name: collection.to_owned(),
            query: Some(qdrant::Query { variant: Some(query) }),
            using: Some("clip".to_owned()),
            ..Default::default()
        };
        server.ask(points().query(request)).unwrap().result
    };
    let id = |point: &qdrant::ScoredPoint| format!("{:?}", point.id.clone().unwrap());
    for (collection, model) in [("given", "some-publisher/Clips"), ("c", "")] {
        for (number, start) in (1_u64..).zip([0, 7, 14]) {
            let film = film(start..start + 4, 64, 48);
            server.ask(points().upsert(point(collection, number, object(&film, model)))).unwrap();
        }
        for (number, start) in (1_u64..).zip([0, 7, 14]) {
            // Smaller, as an excerpt is.
            let found = query(collection, object(&film(start..start + 4, 40, 36), model));
            let first = id(&found[0]);
            assert!(first.contains(&format!("Num({number})")), "{collection} {number}: {found:?}");
            assert!(found[0].score > 0.9, "{collection} {number}: {found:?}");
        }
    }
    let stored = wire::CountRequest { collection: "c".to_owned(), filter: None };
    let stored = server.ask(server.documents().count(stored)).unwrap();
    assert!(stored.documents == 3 && stored.parts > 3, "{stored:?}");
    let refused = |object, says: &str| {
        let status = server.ask(points().upsert(point("given", 9, object))).unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        assert!(status.message().contains(says), "{status}");
    };
    refused(object(b"no video", "clips"), "a video: the bytes are of none");
    refused(object(b"YUV4MPEG2 W2 H0\n", "clips"), "a video: the Y4M video is damaged");
}

#[test]
fn pictures_of_frames_serve_where_no_model_reads_clips() {
    let (_own, server) = serving("cells");
    server.store("c", vec![file("film.y4m", film(0..12, 64, 48))]);
    let locate = wire::LocateRequest {
        collection: "c".to_owned(),
        excerpt: film(5..11, 40, 36),
        limit: Some(1),
        ..Default::default()
    };
    let found = server.ask(server.searches().locate(locate)).unwrap();
    assert!(found.moments[0].start_ms.abs_diff(5_000) <= 4_000, "{found:?}");
    // Without the program, the error names the package, and nothing is stored.
    let results = server.upsert("c", vec![file("a.mp4", b"\0\0\0\x20ftypisom\0\0\0\0".to_vec())]);
    match &results[0].outcome {
        Some(Outcome::Error(error)) => {
            assert_eq!(error.code, "UNIMPLEMENTED");
            assert!(error.message.contains("apt install ffmpeg"), "{error:?}");
        }
        other => panic!("expected an error, got {other:?}"),
    }
}

#[test]
fn a_model_of_clips_over_another_image_model_than_it_was_made_for_is_refused() {
    let own = tempfile::tempdir().unwrap();
    models(own.path());
    let path = own.path().join("clips/manifest.toml");
    let text = fs_err::read_to_string(&path).unwrap();
    let start = text.find("image_fingerprint = \"").unwrap() + "image_fingerprint = \"".len();
    let changed = format!("{}{}{}", &text[..start], "0".repeat(64), &text[start + 64..]);
    fs_err::write(&path, changed).unwrap();
    let mut options = catalogue_options();
    options.own = Some(own.path().to_owned());
    let catalogue = Catalogue::open(options).unwrap();
    let error = catalogue.load("clips", &|_, _, _| {}).unwrap_err().to_string();
    assert!(error.contains("expected its image model cells with the fingerprint 0000"), "{error}");
}
