//! Part of a picture as question: when and where it is seen in stored videos and pictures, by the models
//! that come with the program.

use std::collections::HashMap;
use std::ops::Range;

use simile::embed::video::{DEFAULT_PATCH_MODEL, DEFAULT_VIDEO_MODEL};
use simile_proto::v1::vector_config::Source;
use simile_proto::v1::{self as wire, example};
use tonic::Code;

use super::messages::file;
use super::server::TestServer;
use crate::support::catalogue_options;

const WIDTH: usize = 320;
const HEIGHT: usize = 240;
const RATE: usize = 2;
const SECONDS: usize = 8;

/// A shape that stands somewhere for a while.
#[derive(Clone)]
struct Shape {
    seconds: Range<usize>,
    /// The middle, and how far it reaches from there.
    at: (f64, f64),
    reach: f64,
    kind: Kind,
    colour: [f64; 3],
}

#[derive(Clone, Copy)]
enum Kind {
    Cross,
    Disc,
    Bars,
}

impl Shape {
    fn covers(&self, x: f64, y: f64) -> bool {
        let (dx, dy) = ((x - self.at.0).abs(), (y - self.at.1).abs());
        let reach = self.reach;
        match self.kind {
            Kind::Cross => dx.max(dy) < reach && dx.min(dy) < reach / 3.0,
            Kind::Disc => dx.hypot(dy) < reach,
            Kind::Bars => dx.max(dy) < reach && ((dx / reach * 5.0) as usize).is_multiple_of(2),
        }
    }
}

/// What is seen at a time: an even ground that changes from scene to scene, and the shapes of then.
fn pixel(scene: usize, shapes: &[Shape], second: usize, x: usize, y: usize) -> [f64; 3] {
    let (x, y) = (x as f64, y as f64);
    let seen = shapes.iter().rev().filter(|shape| shape.seconds.contains(&second));
    if let Some(shape) = seen.into_iter().find(|shape| shape.covers(x, y)) {
        return shape.colour;
    }
    let wave = |speed: f64, turn: f64| 12.0 * (x / 320.0 * speed + y / 240.0 * turn).sin();
    let scene = scene as f64;
    [100.0 + wave(5.0 + scene, 2.0), 105.0 + wave(3.0, 4.0 + scene), 110.0 + wave(4.0 - scene, 5.0)]
}

/// A film of a scene in Y4M.
fn film(scene: usize, seconds: usize, shapes: &[Shape]) -> Vec<u8> {
    let mut bytes = format!("YUV4MPEG2 W{WIDTH} H{HEIGHT} F{RATE}:1 C444\n").into_bytes();
    for second in (0..seconds).flat_map(|second| [second; RATE]) {
        let mut planes = [const { Vec::new() }; 3];
        for (y, x) in (0..HEIGHT).flat_map(|y| (0..WIDTH).map(move |x| (y, x))) {
            let [r, g, b] = pixel(scene, shapes, second, x, y);
            // ITU-R 601, in the range of studios.
            let luma = 0.299 * r + 0.587 * g + 0.114 * b;
            planes[0].push((16.0 + luma * 219.0 / 255.0) as u8);
            planes[1].push((128.0 + (b - luma) * 0.564 * 224.0 / 255.0) as u8);
            planes[2].push((128.0 + (r - luma) * 0.713 * 224.0 / 255.0) as u8);
        }
        bytes.extend(b"FRAME\n");
        planes.iter().for_each(|plane| bytes.extend(plane));
    }
    bytes
}

/// A still of a scene as a BMP.
fn still(scene: usize, shapes: &[Shape]) -> Vec<u8> {
    let pixels = WIDTH * HEIGHT * 3;
    let word = |value: usize| u32::try_from(value).unwrap().to_le_bytes();
    let mut bytes = b"BM".to_vec();
    for value in [54 + pixels, 0, 54, 40, WIDTH, HEIGHT] {
        bytes.extend(word(value));
    }
    bytes.extend([1, 0, 24, 0]);
    for value in [0, pixels, 2_835, 2_835, 0, 0] {
        bytes.extend(word(value));
    }
    for (y, x) in (0..HEIGHT).rev().flat_map(|y| (0..WIDTH).map(move |x| (y, x))) {
        let [r, g, b] = pixel(scene, shapes, 0, x, y);
        bytes.extend([b as u8, g as u8, r as u8]);
    }
    bytes
}

// The network that comes along sees brightness and outlines more than colours.
const WHITE: [f64; 3] = [245.0, 245.0, 240.0];
const BLUE: [f64; 3] = [30.0, 60.0, 220.0];
const YELLOW: [f64; 3] = [235.0, 220.0, 40.0];

fn shape(kind: Kind, colour: [f64; 3], seconds: Range<usize>, at: (f64, f64)) -> Shape {
    Shape { seconds, at, reach: 32.0, kind, colour }
}

fn serving() -> TestServer {
    let catalogue = catalogue_options();
    catalogue.runtime.load(&|_, _, _| {}).unwrap();
    let server = TestServer::start(catalogue, |_| {});
    let vector = |name: &str, model: &str| {
        let source = Some(Source::Embedder(model.to_owned()));
        (name.to_owned(), wire::VectorConfig { source, ..Default::default() })
    };
    server.create(wire::CreateCollectionRequest {
        name: "c".to_owned(),
        vectors: HashMap::from([
            vector("clip", DEFAULT_VIDEO_MODEL),
            vector("place", DEFAULT_PATCH_MODEL),
        ]),
        ..Default::default()
    });
    server
}

fn part_of(image: Vec<u8>, at: (f64, f64)) -> wire::SearchRequest {
    let (left, top) = ((at.0 - 34.0) as u32, (at.1 - 34.0) as u32);
    wire::SearchRequest {
        collection: "c".to_owned(),
        image: Some(image),
        image_area: Some(wire::Area { left, top, width: 68, height: 68 }),
        using: Some("place".to_owned()),
        ..Default::default()
    }
}

/// Whether a place lies on a shape, or beside it by no more than a patch.
fn is_at(place: &wire::Span, at: (f64, f64)) -> bool {
    let area = place.area.as_ref().unwrap();
    let (width, height) = (f64::from(area.width), f64::from(area.height));
    let middle = (f64::from(area.left) + width / 2.0, f64::from(area.top) + height / 2.0);
    (middle.0 - at.0).abs() <= 32.0 + width / 2.0 && (middle.1 - at.1).abs() <= 32.0 + height / 2.0
}

#[test]
fn part_of_a_picture_is_found_at_its_second_and_its_place_in_videos_and_pictures() {
    let server = serving();
    let other = |at| shape(Kind::Bars, BLUE, 0..SECONDS, at);
    let crossed = [other((60.0, 60.0)), shape(Kind::Cross, WHITE, 5..6, (240.0, 70.0))];
    let shone = [other((260.0, 180.0)), shape(Kind::Disc, YELLOW, 2..3, (80.0, 100.0))];
    server.store(
        "c",
        vec![
            file("crossed.y4m", "crossed.y4m", &film(0, SECONDS, &crossed)),
            file("shone.y4m", "shone.y4m", &film(1, SECONDS, &shone)),
            file("empty.y4m", "empty.y4m", &film(2, SECONDS, &[other((160.0, 120.0))])),
        ],
    );
    // The question is of another scene, where the shape stands elsewhere.
    let (cross_at, disc_at) = ((120.0, 150.0), (210.0, 130.0));
    let cross = still(3, &[shape(Kind::Cross, WHITE, 0..1, cross_at)]);
    let disc = still(3, &[shape(Kind::Disc, YELLOW, 0..1, disc_at)]);
    for (image, at, id, second, expected) in [
        (&cross, cross_at, "crossed.y4m", 5, (240.0, 70.0)),
        (&disc, disc_at, "shone.y4m", 2, (80.0, 100.0)),
    ] {
        let answer = server.search(part_of(image.clone(), at));
        let best = &answer.hits[0];
        let place = best.place.as_ref().unwrap();
        assert_eq!((best.id.as_str(), place.start_ms, place.end_ms), {
            let start = second * 1_000;
            (id, Some(start), Some(start + 1_000))
        });
        assert!(is_at(place, expected), "{id}: {place:?}");
        let whole = best.span.as_ref().unwrap().area.as_ref().unwrap();
        assert_eq!((whole.width, whole.height), (WIDTH as u32, HEIGHT as u32));
    }
    // A stored picture says where, and has no time.
    let picture = still(2, &[shape(Kind::Cross, WHITE, 0..1, (70.0, 180.0))]);
    server.store("c", vec![file("picture.bmp", "picture.bmp", &picture)]);
    let answer = server.search(part_of(cross.clone(), cross_at));
    let hit = answer.hits.iter().find(|hit| hit.id == "picture.bmp").unwrap();
    let place = hit.place.as_ref().unwrap();
    assert!(place.start_ms.is_none() && is_at(place, (70.0, 180.0)), "{place:?}");
    // Without a vector of patches the part is asked about by itself, and nobody says where.
    let by_clip =
        wire::SearchRequest { using: Some("clip".to_owned()), ..part_of(cross, cross_at) };
    assert!(server.search(by_clip).hits.iter().all(|hit| hit.place.is_none()));

    let outside = |left, width| {
        let image_area = Some(wire::Area { left, top: 0, width, height: 10 });
        let request = wire::SearchRequest { image_area, ..part_of(disc.clone(), disc_at) };
        server.ask(server.searches().search(request)).unwrap_err()
    };
    for (left, width) in [(311, 10), (0, 0), (u32::MAX, 10)] {
        let status = outside(left, width);
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().contains("inside the picture's 320 x 240"), "{status}");
    }
    excerpts_are_found_by_an_ordinary_search(&server, &crossed, &shone);
}

/// Each stretch of an excerpt is an example, beside whatever else a search says.
fn excerpts_are_found_by_an_ordinary_search(
    server: &TestServer,
    crossed: &[Shape],
    shone: &[Shape],
) {
    let clip = |bytes: Vec<u8>| wire::Example {
        kind: Some(example::Kind::Clip(bytes)),
        ..Default::default()
    };
    let ask = |bytes: Vec<u8>, strategy: wire::RecommendStrategy| wire::SearchRequest {
        collection: "c".to_owned(),
        recommend: Some(wire::Recommend {
            positive: vec![clip(bytes)],
            strategy: strategy.into(),
            ..Default::default()
        }),
        grouping: wire::Grouping::Passage.into(),
        limit: Some(2),
        ..Default::default()
    };
    let moved = |shapes: &[Shape], by: usize| -> Vec<Shape> {
        let earlier = |shape: &Shape| {
            let Range { start, end } = shape.seconds;
            Shape { seconds: start.saturating_sub(by)..end - by, ..shape.clone() }
        };
        shapes.iter().map(earlier).collect()
    };
    for (scene, shapes, from, id) in [(0, crossed, 5, "crossed.y4m"), (1, shone, 2, "shone.y4m")] {
        let excerpt = film(scene, 1, &moved(shapes, from));
        for strategy in [wire::RecommendStrategy::BestScore, wire::RecommendStrategy::Average] {
            let answer = server.search(ask(excerpt.clone(), strategy));
            let best = &answer.hits[0];
            let start = best.span.as_ref().unwrap().start_ms;
            assert_eq!((best.id.as_str(), start), (id, Some(from as u64 * 1_000)), "{answer:?}");
        }
    }
    let wrong = ask(b"no video".to_vec(), wire::RecommendStrategy::BestScore);
    let status = server.ask(server.searches().search(wrong)).unwrap_err();
    assert!(status.message().contains("the excerpt is neither a video nor a sound"), "{status}");
}
