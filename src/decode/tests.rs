use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;

const FIXTURES: [(&str, &[u8]); 8] = [
    ("a.pdf", include_bytes!("../../tests/fixtures/decode/mill-en.pdf")),
    ("b.pdf", include_bytes!("../../tests/fixtures/decode/cat-zh.pdf")),
    ("c.pdf", include_bytes!("../../tests/fixtures/decode/predefined-zh.pdf")),
    ("d.docx", include_bytes!("../../tests/fixtures/decode/letters.docx")),
    (
        "e.html",
        b"<!doctype html><title>A</title><nav>n</nav><main><h1>H</h1><ul><li>x<li>y</ul><table><tr><td>1\
          <td>2</table><pre>z</pre>&amp;&#x732B;<script>if (a<b) {}</script></main>",
    ),
    ("f.md", b"---\ntitle: T\n---\n# H\n\n- a\n  1. b\n\n| x | y |\n|---|---|\n| 1 | 2 |\n\n```\nc\n```\n"),
    ("g.csv", b"id,title,text,n\n1,t,\"a \"\"b\"\"\nc\",2\n2,u,d,3.5\n"),
    ("h.jsonl", b"{\"_id\": \"1\", \"text\": \"a\", \"m\": {\"n\": [1, 2.5, null]}}\n{\"text\": \"b\"}\n"),
];

fn read(name: &str, bytes: &[u8]) -> Result<usize, DecodeError> {
    let hint = Hint { file_name: Some(name), ..Hint::default() };
    let limits = Limits { pdf_time_max: Duration::from_secs(10), ..Limits::default() };
    Ok(match decode(bytes, &hint, &limits, &Cancellation::new())? {
        Content::Text(content) => {
            let mut end = 0;
            for section in &content.sections {
                assert!(section.bytes.start >= end && section.bytes.end <= content.text.len());
                assert!(!content.text[section.bytes.clone()].trim().is_empty());
                assert_eq!(content.text[end..section.bytes.start].trim(), "");
                end = section.bytes.end;
            }
            assert_eq!(content.text[end..].trim(), "");
            content.text.len()
        }
        Content::Records(records) => {
            records.filter_map(Result::ok).map(|record| record.text.len()).sum()
        }
        Content::Picture(content) => content.picture.samples().len(),
        Content::Video(frames) => frames.filter_map(Result::ok).count(),
        Content::Sound(sounds) => sounds.filter_map(Result::ok).count(),
    })
}

#[test]
fn every_fixture_is_read() {
    for (name, bytes) in FIXTURES {
        assert!(read(name, bytes).unwrap() > 0, "{name}");
    }
}

#[test]
fn damaged_files_are_errors_and_never_more_than_that() {
    let seed = 20_261_124;
    let mut random = StdRng::seed_from_u64(seed);
    let start = Instant::now();
    for (name, bytes) in FIXTURES {
        for round in 0..100 {
            let mut mutant = bytes.to_vec();
            mutate(&mut mutant, &mut random);
            let begun = Instant::now();
            if let Err(error) = read(name, &mutant) {
                assert!(!error.to_string().is_empty());
            }
            let took = begun.elapsed();
            assert!(
                took < Duration::from_secs(10),
                "round {round} of {name}, seed {seed}: {took:?}"
            );
        }
    }
    assert!(start.elapsed() < Duration::from_secs(300));
}

/// Does to a file what discs, networks and enemies do.
fn mutate(bytes: &mut Vec<u8>, random: &mut StdRng) {
    for _ in 0..random.random_range(1..4) {
        if bytes.is_empty() {
            return;
        }
        let at = random.random_range(0..bytes.len());
        match random.random_range(0..6) {
            0 => bytes[at] ^= 1 << random.random_range(0..8),
            1 => bytes.truncate(at),
            2 => bytes[at] = [0, 0xFF, b'<', b'(', b'[', b'9'][random.random_range(0..6_usize)],
            3 => {
                let end = bytes.len().min(at + random.random_range(1..200_usize));
                bytes.drain(at..end);
            }
            4 => {
                let end = bytes.len().min(at + random.random_range(1..200_usize));
                let piece = bytes[at..end].to_vec();
                let to = random.random_range(0..bytes.len());
                bytes.splice(to..to, piece);
            }
            // Numbers are lengths and places; a wrong one is the most interesting damage.
            _ => {
                for byte in &mut bytes[at..] {
                    if byte.is_ascii_digit() {
                        *byte = b'0' + random.random_range(0..10_u8);
                        break;
                    }
                }
            }
        }
    }
}

#[test]
fn the_encoding_is_told_whatever_the_format() {
    let text = "小猫在院子里追逐老鼠，老鼠躲进了墙角的洞里。";
    let (plain, _, _) = encoding_rs::GB18030.encode(text);
    let page = format!("<html><meta charset=gb2312><p>{text}");
    let (page, _, _) = encoding_rs::GB18030.encode(&page);
    for (name, bytes) in [("a.txt", &plain), ("a.html", &page)] {
        let hint = Hint { file_name: Some(name), ..Hint::default() };
        let content = decode(bytes, &hint, &Limits::default(), &Cancellation::new()).unwrap();
        let Content::Text(content) = content else { panic!("records") };
        assert_eq!(content.text, text);
    }
    let (bytes, _, _) = encoding_rs::SHIFT_JIS.encode("猫です");
    let hint = Hint { media_type: Some("text/plain; Charset=\"Shift_JIS\""), ..Hint::default() };
    let content = decode(&bytes, &hint, &Limits::default(), &Cancellation::new()).unwrap();
    assert!(matches!(content, Content::Text(content) if content.text == "猫です"));
}

#[test]
fn a_file_that_is_too_large_or_no_longer_wanted_is_not_looked_at() {
    let limits = Limits { bytes_max: 3, ..Limits::default() };
    assert_eq!(
        decode(b"four", &Hint::default(), &limits, &Cancellation::new()).unwrap_err().to_string(),
        "too many bytes: at most 3, got 4"
    );
    let cancel = Cancellation::new();
    cancel.expire();
    assert!(matches!(
        decode(b"four", &Hint::default(), &Limits::default(), &cancel),
        Err(DecodeError::Interrupted(_))
    ));
}

#[test]
fn a_page_without_text_is_no_error_but_says_so() {
    let hint = Hint { file_name: Some("a.html"), ..Hint::default() };
    let content =
        decode(b"<script>x()</script>", &hint, &Limits::default(), &Cancellation::new()).unwrap();
    assert!(matches!(content, Content::Text(content) if content.warnings == ["no text"]));
}
