use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use simile_proto::v1::document::Content;
use simile_proto::v1::{self as wire};

use super::super::line::Heading;
use super::{Columns, Rows, Table};
use crate::cli::value;

/// A writer whose bytes are there afterwards.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn collection() -> wire::Collection {
    let dense = wire::VectorInfo { dimension: 3, hnsw_m: 16, ..Default::default() };
    let sparse = wire::VectorInfo { sparse: true, ..Default::default() };
    let multi = wire::VectorInfo { multi: true, dimension: 2, ..Default::default() };
    wire::Collection {
        name: "c".to_owned(),
        // The name of a column of texts, too.
        vectors: HashMap::from([
            ("text".to_owned(), dense),
            ("s".to_owned(), sparse),
            ("m".to_owned(), multi),
        ]),
        ..Default::default()
    }
}

fn dense(components: &[f32]) -> wire::DenseVector {
    wire::DenseVector { components: components.to_vec() }
}

/// Documents with vectors of every form, some missing, and several parts.
fn documents(count: u64) -> Vec<wire::StoredDocument> {
    let document = |number: u64| {
        let small = number as f32;
        let part = |place: u64| {
            let mut part = wire::Part {
                text: format!("part {place} of \"{number}\"\n猫"),
                ..Default::default()
            };
            if !number.is_multiple_of(3) {
                part.vectors.insert("text".to_owned(), dense(&[small, -2.5e-8, place as f32]));
            }
            if !number.is_multiple_of(4) {
                let indices = (0..number % 5).map(|n| u32::MAX - 9 + n as u32).collect();
                let values = (0..number % 5).map(|n| 0.5 + n as f32).collect();
                let sparse = wire::SparseVector { indices, values };
                part.sparse_vectors.insert("s".to_owned(), sparse);
            }
            if !number.is_multiple_of(2) {
                let rows = (0..1 + number % 3).map(|n| dense(&[n as f32, small])).collect();
                part.multi_vectors.insert("m".to_owned(), wire::MultiVector { vectors: rows });
            }
            if place == 1 {
                part.span = Some(wire::Span { byte_end: 9, page: Some(2), ..Default::default() });
            }
            part
        };
        wire::StoredDocument {
            id: format!("d{number:05}"),
            payload: HashMap::from([("n".to_owned(), value::from_word(&number.to_string()))]),
            parts: (0..1 + number % 3).map(part).collect(),
            expires_unix_ms: number.is_multiple_of(7).then_some(1 << 50),
            ..Default::default()
        }
    };
    (0..count).map(document).collect()
}

fn table(documents: &[wire::StoredDocument]) -> Vec<u8> {
    let out = Shared::default();
    let heading = Heading::of(&collection());
    let mut table = Table::new(Box::new(out.clone()), &heading, &collection()).unwrap();
    for document in documents {
        table.take(document).unwrap();
    }
    table.finish().unwrap();
    let bytes = out.0.lock().unwrap();
    bytes.clone()
}

fn read(path: &Path) -> Result<Vec<wire::Document>, String> {
    let failed = |error: crate::cli::exit::CliError| error.to_string();
    let mut rows = Rows::open(path).map_err(failed)?;
    rows.plan(&Columns::default(), &collection()).map_err(failed)?;
    let mut documents = Vec::new();
    while let Some(document) = rows.next().map_err(failed)? {
        documents.push(document);
    }
    Ok(documents)
}

#[test]
fn documents_come_back_as_they_were_from_several_groups_of_rows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    for count in [0, 1, 40_000] {
        let documents = documents(count);
        fs_err::write(&path, table(&documents)).unwrap();
        let found = read(&path).unwrap();
        assert_eq!(found.len(), documents.len());
        for (found, stored) in found.iter().zip(&documents) {
            assert_eq!((&found.id, &found.payload), (&stored.id, &stored.payload));
            assert_eq!(found.expires_unix_ms, stored.expires_unix_ms);
            let Some(Content::Parts(list)) = &found.content else { panic!("{found:?}") };
            assert_eq!(list.parts, stored.parts, "{}", stored.id);
        }
        let heading = Rows::open(&path).unwrap().heading().cloned();
        assert_eq!(heading, Some(Heading::of(&collection())));
    }
}

#[test]
fn a_damaged_table_is_told_of_and_never_ends_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let whole = table(&documents(40));
    let mut random = 0x5eed_u64;
    let mut below = |bound: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_041);
        (random >> 33) as usize % bound
    };
    let mut told = 0;
    for mutant in 0..400 {
        let mut bytes = whole.clone();
        match mutant % 4 {
            0 => bytes.truncate(below(whole.len())),
            1 => {
                let start = below(whole.len());
                let end = (start + 40).min(whole.len());
                bytes[start..end].fill(below(256) as u8);
            }
            // The end says where everything is.
            2 => {
                let at = whole.len() - 1 - below(whole.len() / 3);
                bytes[at] ^= 1 << below(8);
            }
            _ => {
                let at = below(whole.len());
                bytes[at] ^= 1 << below(8);
            }
        }
        fs_err::write(&path, &bytes).unwrap();
        if let Err(reason) = read(&path) {
            assert!(!reason.is_empty());
            told += 1;
        }
    }
    // Bytes of components may be others and still be numbers.
    assert!(told > 150, "{told}");
    fs_err::write(&path, b"PAR1").unwrap();
    let reason = read(&path).unwrap_err();
    assert!(reason.contains("is no table of Parquet"), "{reason}");
}

#[test]
fn a_table_without_an_id_names_the_columns_that_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    fs_err::write(&path, table(&documents(2))).unwrap();
    let mut rows = Rows::open(&path).unwrap();
    let named = |name: &str| Columns { id: Some(name.to_owned()), ..Columns::default() };
    let error = rows.plan(&named("key"), &collection()).unwrap_err().to_string();
    assert!(
        error.starts_with("the table has no column `key`, but id, part, text, span"),
        "{error}"
    );
    let other =
        Columns { vectors: [("x".to_owned(), "payload".to_owned())].into(), ..Columns::default() };
    let error = rows.plan(&other, &collection()).unwrap_err().to_string();
    assert_eq!(error, "collection `c` has no vector `x`");
}
