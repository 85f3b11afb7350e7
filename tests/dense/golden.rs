use std::path::{Path, PathBuf};

use super::*;

/// The format that is written now has a folder here, and so has every released one before it.
const FORMATS: [&str; 1] = ["1"];
const DIMENSION: usize = 100;
const COUNT: u32 = 1_040;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/dense")
}

/// Returns the components of a vector: whole numbers over a power of two, which no rounding touches,
/// and which change little but along few directions.
fn vector(slot: u32) -> Vec<f32> {
    let slot = if slot % 100 == 99 { slot - 50 } else { slot };
    (0..u32::try_from(DIMENSION).unwrap())
        .map(|component| {
            let mixed = (slot.wrapping_mul(2_654_435_761) >> (component % 8 * 3)) % 256;
            let fine = slot.wrapping_mul(component.wrapping_mul(40_503) + 77) >> 7 & 1;
            (mixed * 16 + fine) as f32 / 4_096.0
        })
        .collect()
}

fn options(form: Quantisation) -> DenseOptions {
    let mut options = DenseOptions::new(DIMENSION, Metric::Euclidean);
    options.quantisation = form;
    options
}

fn copied(from: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs_err::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        fs_err::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    folder
}

/// Writes the files of the format of this version with `SIMILE_DENSE_GOLDEN=1`, where a new format needs
/// them; otherwise reads those of every format.
#[test]
fn segments_of_every_format_open_and_answer() {
    let forms = [("int8", Quantisation::Int8), ("binary", Quantisation::Binary)];
    for format in FORMATS {
        for (name, form) in forms {
            let source = folder().join(format).join(name);
            if std::env::var_os("SIMILE_DENSE_GOLDEN").is_some()
                && format == FORMATS[FORMATS.len() - 1]
            {
                make(&source, form);
            }
            let copy = copied(&source);
            let index = DenseIndex::open(copy.path(), options(form)).unwrap();
            assert!(index.discarded().is_empty(), "{format} {name}: {:?}", index.discarded());
            assert_eq!(index.sealed(), (0..COUNT).collect());
            assert!(index.verify(&Cancellation::new()).unwrap().is_empty());
            let mut found = 0;
            for slot in (0..COUNT).step_by(13) {
                assert_eq!(index.vector(Slot(slot)).unwrap(), Some(vector(slot)));
                let best = search(&index, &vector(slot), &index.sealed(), 3, false).unwrap();
                found += usize::from(best[0].1 == Score(-0.0) || best[0].1 == Score(0.0));
            }
            assert_eq!(found, 80, "{format} {name}: points that find themselves");
        }
    }
}

fn make(folder: &Path, form: Quantisation) {
    if folder.exists() {
        fs_err::remove_dir_all(folder).unwrap();
    }
    let index = DenseIndex::open(folder, options(form)).unwrap();
    for slot in 0..COUNT {
        index.insert(&[(Slot(slot), &vector(slot))]).unwrap();
    }
    with_job(&index.slots(), 1, |job| index.seal(job)).unwrap();
}
