use std::io::Write;

use zip::write::SimpleFileOptions;

use super::*;
use crate::document::Value;

const LETTERS: &[u8] = include_bytes!("../../../tests/fixtures/decode/letters.docx");

fn read(bytes: &[u8]) -> Result<TextContent, DecodeError> {
    decode(bytes, &Limits::default(), &Cancellation::new())
}

fn zipped(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in parts {
        archive.start_file(*name, SimpleFileOptions::default()).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

#[test]
fn styles_lists_tables_and_notes_become_text() {
    let content = read(LETTERS).unwrap();
    assert_eq!(
        content.text,
        "Letters & mills\n\nThe mill\n\nIt stood by the river.\n\nIts parts\n\n- wheel\n- stones\n  \
         1. upper\n  2. lower\n\nPart | Age\nwheel | 90\n\nIn a box.\n\nAfter the box.\n\
         小猫追逐老鼠。\n\nA note on the river."
    );
    let headings: Vec<_> =
        content.sections.iter().map(|section| section.heading.as_deref().unwrap_or("")).collect();
    assert_eq!(
        headings,
        [
            "Letters & mills",
            "Letters & mills > The mill",
            "Letters & mills > The mill > Its parts",
            ""
        ]
    );
    assert_eq!(content.title.as_deref(), Some("Letters & mills"));
    assert_eq!(content.metadata["author"], Value::Text("Maintainers".to_owned()));
    assert_eq!(content.metadata["created"], Value::Text("2024-05-01T08:30:00Z".to_owned()));
}

#[test]
fn what_is_broken_is_named() {
    for (parts, message) in [
        (&[("word/other.xml", &b"<a/>"[..])][..], "the DOCX is damaged: it has no document part"),
        (
            &[("word/document.xml", b"<w:document><w:body>")],
            "the DOCX is damaged: its XML breaks off",
        ),
        (
            &[("word/document.xml", b"<w:document><w:body></w:p></w:document>")],
            "the DOCX is damaged: its XML is broken at byte 26: ill-formed document: expected \
             `</w:body>`, but `</w:p>` was found",
        ),
    ] {
        assert_eq!(read(&zipped(parts)).unwrap_err().to_string(), message);
    }
    let error = read(&LETTERS[..LETTERS.len() / 2]).unwrap_err().to_string();
    assert!(error.starts_with("the DOCX is damaged: "), "{error}");
}

#[test]
fn bombs_are_refused_before_they_are_unpacked() {
    let bomb = zipped(&[("word/document.xml", &vec![b' '; 64 << 20])]);
    assert!(bomb.len() < 1 << 20);
    let error = read(&bomb).unwrap_err().to_string();
    assert!(error.starts_with("too many bytes unpacked from one byte: at most 100"), "{error}");
    let limits = Limits { unpacked_bytes_max: 1_000, ..Limits::default() };
    let error = decode(LETTERS, &limits, &Cancellation::new()).unwrap_err().to_string();
    assert!(error.starts_with("too many bytes of unpacked parts: at most 1000"), "{error}");
    let limits = Limits { zip_entries_max: 3, ..Limits::default() };
    let error = decode(LETTERS, &limits, &Cancellation::new()).unwrap_err().to_string();
    assert_eq!(error, "too many entries of the archive: at most 3, got 7");
    let deep = format!("<w:document>{}", "<w:p>".repeat(1_000));
    let error = read(&zipped(&[("word/document.xml", deep.as_bytes())])).unwrap_err().to_string();
    assert_eq!(error, "too many levels of nested elements: at most 256, got 257");
}

#[test]
fn entities_are_not_expanded() {
    let source =
        b"<!DOCTYPE d [<!ENTITY a \"xx\"><!ENTITY b \"&a;&a;\">]><w:document><w:p><w:r><w:t>\
                   1 &lt; 2&b;</w:t></w:r></w:p></w:document>";
    assert_eq!(read(&zipped(&[("word/document.xml", source)])).unwrap().text, "1 < 2");
}
