//! Files that unpack to far more than they are, or claim to be far larger: a server answers each, lives
//! on, and takes little memory for them.
//!
//! `SIMILE_BOMBS=2000 cargo test --release --test behaviour bombs` tries more of them.

use std::io::Write as _;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::{DeflateEncoder, ZlibEncoder};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use simile_proto::v1::collections_client::CollectionsClient;
use simile_proto::v1::documents_client::DocumentsClient;
use simile_proto::v1::upsert_result::Outcome;
use simile_proto::v1::{self as wire};

use super::messages::{file, text_document, upserts};
use crate::cli::program::Program;

/// How many are tried if nothing else is said.
const BOMBS: usize = 200;
const SEED: u64 = 20_261_127;
/// What a server may take more than before.
const MEMORY_MIB_MAX: u64 = 1_024;
/// How long all of them together may take, for each of them.
const TIME_MAX: Duration = Duration::from_secs(5);

type Random = StdRng;
/// The name of a file, and what is in it.
type Bomb = (&'static str, Vec<u8>);

fn mebibytes(random: &mut Random, most: usize) -> Vec<u8> {
    let letter = [0, b' ', b'a', b'<'][random.random_range(0..4_usize)];
    vec![letter; random.random_range(4..=most) << 20]
}

fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zlibbed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// An archive of deflated entries: names, packed bytes, and how long each is said to be.
fn zip(entries: &[(String, Vec<u8>, u32)]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, packed, size) in entries {
        let offset = file.len() as u32;
        let mut head = Vec::new();
        head.extend([20, 0, 0, 0, 8, 0, 0, 0, 0, 0]);
        head.extend(0_u32.to_le_bytes());
        head.extend((packed.len() as u32).to_le_bytes());
        head.extend(size.to_le_bytes());
        head.extend((name.len() as u16).to_le_bytes());
        head.extend([0, 0]);
        file.extend(b"PK\x03\x04");
        file.extend(&head);
        file.extend(name.as_bytes());
        file.extend(packed);
        directory.extend(b"PK\x01\x02\x14\0");
        directory.extend(&head);
        directory.extend([0; 10]);
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let (start, length) = (file.len() as u32, directory.len() as u32);
    let count = entries.len().min(0xFFFF) as u16;
    file.extend(directory);
    file.extend(b"PK\x05\x06\0\0\0\0");
    file.extend([count.to_le_bytes(), count.to_le_bytes()].concat());
    file.extend(length.to_le_bytes());
    file.extend(start.to_le_bytes());
    file.extend([0, 0]);
    file
}

const TYPES: &str =
    "<Types xmlns=\"http://schemas.openxmlformats.org/package/2006/content-types\"/>";
const RELATIONS: &str = "<Relationships><Relationship Type=\"http://x/officeDocument\" \
                         Target=\"word/document.xml\"/></Relationships>";

/// A document whose text is this part, said to be as long as it is, or otherwise.
fn docx(text: &[u8], said: Option<u32>, more: Vec<(String, Vec<u8>, u32)>) -> Vec<u8> {
    let entry = |name: &str, text: &[u8]| (name.to_owned(), deflated(text), text.len() as u32);
    let mut entries = vec![
        entry("[Content_Types].xml", TYPES.as_bytes()),
        entry("_rels/.rels", RELATIONS.as_bytes()),
    ];
    let mut main = entry("word/document.xml", text);
    main.2 = said.unwrap_or(main.2);
    entries.push(main);
    entries.extend(more);
    zip(&entries)
}

fn documents(random: &mut Random) -> Bomb {
    let open = "<w:document><w:body><w:p><w:r><w:t>";
    let bytes = match random.random_range(0..6) {
        0 => docx(&mebibytes(random, 48), None, Vec::new()),
        // It says that it is short.
        1 => docx(&mebibytes(random, 48), Some(random.random_range(0..2_000)), Vec::new()),
        2 => docx(b"<w:document/>", Some(random.random_range(u32::MAX / 2..u32::MAX)), Vec::new()),
        3 => docx("<w:p>".repeat(random.random_range(300..200_000)).as_bytes(), None, Vec::new()),
        4 => {
            let levels = random.random_range(8..30);
            let mut text = "<?xml version=\"1.0\"?><!DOCTYPE a [<!ENTITY e0 \"ha\">".to_owned();
            for level in 1..levels {
                let inner = format!("&e{};", level - 1).repeat(10);
                text += &format!("<!ENTITY e{level} \"{inner}\">");
            }
            text += &format!("]>{open}&e{};</w:t></w:r></w:p></w:body></w:document>", levels - 1);
            docx(text.as_bytes(), None, Vec::new())
        }
        _ => {
            let count = random.random_range(10_001..14_000);
            let more = (0..count).map(|number| (format!("word/{number}.xml"), deflated(b"a"), 1));
            docx(open.as_bytes(), None, more.collect())
        }
    };
    ("bomb.docx", bytes)
}

fn chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let body = [name, data].concat();
    let length = (data.len() as u32).to_be_bytes();
    [&length[..], &body, &crc32fast::hash(&body).to_be_bytes()].concat()
}

/// A PNG of this size, depth and colour, with these chunks before its pixels.
fn png([width, height]: [u32; 2], form: [u8; 2], before: &[u8], pixels: &[u8]) -> Vec<u8> {
    let mut head = [width.to_be_bytes(), height.to_be_bytes()].concat();
    head.extend([form[0], form[1], 0, 0, 0]);
    let end = chunk(b"IEND", b"");
    let pixels = chunk(b"IDAT", &zlibbed(pixels));
    [b"\x89PNG\r\n\x1a\n", &chunk(b"IHDR", &head)[..], before, &pixels, &end].concat()
}

fn pngs(random: &mut Random) -> Bomb {
    let form = [[1, 0], [8, 0], [8, 2], [16, 6], [8, 3]][random.random_range(0..5_usize)];
    let bytes = match random.random_range(0..3) {
        0 => {
            let size = [(); 2].map(|()| random.random_range(12_000..=0x7FFF_FFFF));
            png(size, form, b"", &[0; 100])
        }
        // As long as it says, and more than is read.
        1 => png([random.random_range(12_000..60_000); 2], [1, 0], b"", &mebibytes(random, 48)),
        _ => {
            let packed = zlibbed(&mebibytes(random, 48));
            let (name, start): (&[u8; 4], &[u8]) = [
                (b"zTXt", &b"Title\0\0"[..]),
                (b"iTXt", b"Title\0\x01\0\0\0"),
                (b"iCCP", b"profile\0\0"),
            ][random.random_range(0..3_usize)];
            let before = chunk(name, &[start, &packed].concat());
            png([2, 2], [8, 0], &before, &[0, 90, 90, 0, 90, 90])
        }
    };
    ("bomb.png", bytes)
}

fn gifs(random: &mut Random) -> Bomb {
    let mut side = || u16::to_le_bytes(random.random_range(12_000..=u16::MAX));
    let (screen, frame) = ([side(), side()].concat(), [side(), side()].concat());
    let count = random.random_range(1..2_000);
    let mut bytes = b"GIF89a".to_vec();
    bytes.extend(screen);
    bytes.extend(b"\x80\0\0\0\0\0\xFF\xFF\xFF");
    for _ in 0..count {
        bytes.extend([0x21, 0xF9, 4, 0, 1, 0, 0, 0, 0x2C, 0, 0, 0, 0]);
        bytes.extend(&frame);
        bytes.extend([0, 2, 2, 0x4C, 1, 0]);
    }
    bytes.push(0x3B);
    ("bomb.gif", bytes)
}

fn tiffs(random: &mut Random) -> Bomb {
    let sides = [(); 2].map(|()| random.random_range(12_000..=u32::MAX));
    let compression = [1, 5, 8, 32_773][random.random_range(0..4_usize)];
    let packed = zlibbed(&mebibytes(random, 16));
    let data = 8 + 2 + 10 * 12 + 4;
    let fields: [(u16, u32); 10] = [
        (256, sides[0]),
        (257, sides[1]),
        (258, 8),
        (259, compression),
        (262, 1),
        (273, data),
        (277, 1),
        (278, random.random_range(1..=u32::MAX)),
        (279, packed.len() as u32),
        (317, 1),
    ];
    let mut bytes = b"II\x2A\0\x08\0\0\0\x0A\0".to_vec();
    for (tag, value) in fields {
        bytes.extend([tag.to_le_bytes(), 4_u16.to_le_bytes()].concat());
        bytes.extend([1_u32.to_le_bytes(), value.to_le_bytes()].concat());
    }
    // What comes next is the same again, without end, or nothing.
    bytes.extend([8_u32, 0][random.random_range(0..2_usize)].to_le_bytes());
    bytes.extend(packed);
    ("bomb.tiff", bytes)
}

fn other_pictures(random: &mut Random) -> Bomb {
    let side = random.random_range(12_000..16_384_u32);
    match random.random_range(0..3) {
        0 => {
            let lossless = (side - 1) | ((side - 1) << 14);
            let mut data = vec![0x2F];
            data.extend(lossless.to_le_bytes());
            data.extend([0; 64]);
            let mut bytes = b"RIFF".to_vec();
            bytes.extend((data.len() as u32 + 13).to_le_bytes());
            bytes.extend(b"WEBPVP8L");
            bytes.extend((data.len() as u32).to_le_bytes());
            bytes.extend(&data);
            bytes.push(0);
            ("bomb.webp", bytes)
        }
        1 => {
            let mut bytes = b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0".to_vec();
            bytes.extend((random.random_range(12_000..=i32::MAX)).to_le_bytes());
            bytes.extend((random.random_range(12_000..=i32::MAX)).to_le_bytes());
            let bits = [1_u16, 8, 24, 32][random.random_range(0..4_usize)];
            bytes.extend([1_u16.to_le_bytes(), bits.to_le_bytes()].concat());
            bytes.extend([0; 24]);
            bytes.extend([7; 200]);
            ("bomb.bmp", bytes)
        }
        _ => {
            let mut side = || u16::to_be_bytes(random.random_range(12_000..=u16::MAX));
            let size = [side(), side()].concat();
            let mut bytes = b"\xFF\xD8\xFF\xC2\0\x11\x08".to_vec();
            bytes.extend(size);
            bytes.extend(b"\x03\x01\x44\0\x02\x11\x01\x03\x11\x01");
            for _ in 0..random.random_range(1..300) {
                bytes.extend(b"\xFF\xDA\0\x08\x01\x01\0\0\x3F\0\0");
            }
            bytes.extend(b"\xFF\xD9");
            ("bomb.jpg", bytes)
        }
    }
}

/// A PDF of these objects, the first of which is its catalogue.
fn pdf(objects: &[Vec<u8>], trailer: &str) -> Vec<u8> {
    let mut file = b"%PDF-1.7\n".to_vec();
    let mut places = Vec::new();
    for (number, object) in (1..).zip(objects) {
        places.push(file.len());
        file.extend(format!("{number} 0 obj\n").into_bytes());
        file.extend(object);
        file.extend(b"\nendobj\n");
    }
    let start = file.len();
    file.extend(format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1).into_bytes());
    for place in places {
        file.extend(format!("{place:010} 00000 n \n").into_bytes());
    }
    let size = objects.len() + 1;
    file.extend(
        format!("trailer\n<</Size {size}/Root 1 0 R{trailer}>>\nstartxref\n{start}\n%%EOF\n")
            .into_bytes(),
    );
    file
}

fn pdfs(random: &mut Random) -> Bomb {
    let catalogue = b"<</Type/Catalog/Pages 2 0 R>>".to_vec();
    let pages = b"<</Type/Pages/Kids[3 0 R]/Count 1>>".to_vec();
    let page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]/Contents 4 0 R>>".to_vec();
    let stream = |filters: &str, data: &[u8]| {
        let head = format!("<</Length {}/Filter[{filters}]>>stream\n", data.len());
        [head.as_bytes(), data, b"\nendstream"].concat()
    };
    let bytes = match random.random_range(0..6) {
        0 => {
            let data = zlibbed(&mebibytes(random, 48));
            pdf(&[catalogue, pages, page, stream("/FlateDecode", &data)], "")
        }
        1 => {
            let levels = random.random_range(2..6);
            let data = (0..levels).fold(mebibytes(random, 48), |data, _| zlibbed(&data));
            let filters = "/FlateDecode".repeat(levels);
            pdf(&[catalogue, pages, page, stream(&filters, &data)], "")
        }
        2 => {
            let kids = "2 0 R ".repeat(random.random_range(1..2_000));
            let pages = format!("<</Type/Pages/Kids[{kids}]/Count 2147483647>>").into_bytes();
            pdf(&[catalogue, pages], "")
        }
        3 => {
            let deep = "[".repeat(random.random_range(1_000..200_000));
            pdf(&[catalogue, pages, deep.into_bytes()], "")
        }
        4 => pdf(&[catalogue, pages, page.clone(), page], "/Prev 9/XRefStm 9"),
        _ => {
            let calls = "/A Do ".repeat(random.random_range(2..20));
            let form = format!(
                "<</Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</A 4 0 R>>>>/Length {}>>\
                 stream\n{calls}\nendstream",
                calls.len()
            );
            let page = "<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]/Contents 4 0 R\
                        /Resources<</XObject<</A 4 0 R>>>>>>";
            pdf(&[catalogue, pages, page.into(), form.into_bytes()], "")
        }
    };
    ("bomb.pdf", bytes)
}

fn texts(random: &mut Random) -> Bomb {
    let count = random.random_range(1_000..100_000);
    match random.random_range(0..5) {
        0 => ("bomb.html", format!("<p>word{}", "<div>".repeat(count)).into_bytes()),
        1 => ("bomb.md", format!("{} word", "> ".repeat(count / 10)).into_bytes()),
        2 => {
            let deep = format!("{{\"text\": \"word\", \"a\": {}\n", "[".repeat(count));
            ("bomb.jsonl", deep.into_bytes())
        }
        3 => ("bomb.csv", format!("text\n\"{}", "a,".repeat(count)).into_bytes()),
        _ => {
            let side = random.random_range(5_000..2_000_000_000_u64);
            let head = format!("YUV4MPEG2 W{side} H{side} F25:1 C444\nFRAME\n");
            ("bomb.y4m", head.into_bytes())
        }
    }
}

/// The most memory that a process had so far, in MiB.
fn high_water(process: u32) -> u64 {
    let status = fs_err::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() >> 10
}

#[test]
fn bombs_are_answered_and_the_server_lives_on_in_little_memory() {
    let count = std::env::var("SIMILE_BOMBS").map_or(BOMBS, |count| count.parse().unwrap());
    let program = Program::without_models();
    let serving = program.serve(&[]);
    let url = format!("http://{}", serving.address);
    let kinds = [documents, pngs, gifs, tiffs, other_pictures, pdfs, texts];
    let mut random = StdRng::seed_from_u64(SEED);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let began = Instant::now();
    let (mut refused, mut read) = (0, 0);
    runtime.block_on(async {
        let mut collections = CollectionsClient::connect(url.clone()).await.unwrap();
        let words = wire::CreateCollectionRequest {
            name: "c".to_owned(),
            words_only: true,
            ..Default::default()
        };
        collections.create(words).await.unwrap();
        let mut documents = DocumentsClient::connect(url).await.unwrap();
        let good = upserts("c", vec![text_document("first", "The tide is low.")]);
        let mut results = documents.upsert(good).await.unwrap().into_inner();
        assert!(matches!(
            results.message().await.unwrap().unwrap().outcome,
            Some(Outcome::Stored(_))
        ));
        let before = high_water(serving.process());
        for start in (0..count).step_by(kinds.len()) {
            let bombs: Vec<_> = kinds
                .iter()
                .zip(start..count)
                .map(|(make, number)| {
                    let (name, bytes) = make(&mut random);
                    file(&format!("{number}-{name}"), name, &bytes)
                })
                .collect();
            let wanted = bombs.len();
            let mut results = documents.upsert(upserts("c", bombs)).await.unwrap().into_inner();
            let mut got = 0;
            while let Some(result) = results.message().await.unwrap() {
                got += 1;
                match result.outcome.unwrap() {
                    Outcome::Error(error) => {
                        let is_of_the_file =
                            matches!(error.code.as_str(), "INVALID_ARGUMENT" | "UNIMPLEMENTED");
                        assert!(is_of_the_file, "{}, seed {SEED}: {error:?}", result.id);
                        refused += 1;
                    }
                    Outcome::Stored(_) | Outcome::Unchanged(_) => read += 1,
                }
            }
            assert_eq!(got, wanted, "seed {SEED}, from {start}");
        }
        let after = high_water(serving.process());
        let (took, most) = (began.elapsed(), TIME_MAX * u32::try_from(count).unwrap());
        println!(
            "{count} bombs in {took:.1?}: {refused} refused, {read} read, {before} to {after} MiB"
        );
        assert!(after < before + MEMORY_MIB_MAX, "from {before} to {after} MiB");
        assert!(took < most, "{took:?}");
        let good = upserts("c", vec![text_document("last", "The tide is high.")]);
        let mut results = documents.upsert(good).await.unwrap().into_inner();
        let last = results.message().await.unwrap().unwrap();
        assert!(matches!(last.outcome, Some(Outcome::Stored(_))), "{last:?}");
    });
    assert!(refused > count * 3 / 4, "{refused} of {count} refused, {read} read");
    let (code, log) = serving.stop("TERM");
    assert_eq!(code, 0, "{log}");
}
