use super::super::Quantisation;
use super::super::tests::{METRICS, QUANTISATIONS, clustered, options, sealed};
use super::*;
use crate::vector::Metric;

const DIMENSION: usize = 20;

struct Sealed {
    folder: tempfile::TempDir,
    vectors: Vec<Vec<f32>>,
    options: DenseOptions,
}

fn make(metric: Metric, quantisation: Quantisation) -> Sealed {
    let mut vectors = clustered(1, 400, DIMENSION, metric);
    vectors[9] = vectors[300].clone();
    let (folder, index) = sealed(&vectors, metric, quantisation);
    drop(index);
    Sealed { folder, vectors, options: options(DIMENSION, metric, quantisation) }
}

impl Sealed {
    fn path(&self) -> PathBuf {
        self.folder.path().join("00000001.segment")
    }

    fn open(&self) -> Result<Segment, DenseError> {
        Segment::open(&self.path(), &self.options)
    }

    /// Opens the file with other bytes; whoever has the sealed one mapped keeps it.
    fn open_with(&self, bytes: &[u8]) -> Result<Segment, DenseError> {
        let other = self.folder.path().join("other");
        if other.exists() {
            fs_err::remove_file(&other).unwrap();
        }
        fs_err::write(&other, bytes).unwrap();
        Segment::open(&other, &self.options)
    }
}

#[test]
fn what_was_sealed_is_there() {
    for metric in METRICS {
        for quantisation in QUANTISATIONS {
            let made = make(metric, quantisation);
            let segment = made.open().unwrap();
            segment.verify_all().unwrap();
            assert_eq!(segment.slots().len(), 400);
            for (slot, vector) in (0..).zip(&made.vectors) {
                assert_eq!(segment.vector_of(Slot(slot)).unwrap(), Some(&**vector));
            }
            assert_eq!(segment.vector_of(Slot(400)).unwrap(), None);
            let live = [3u32, 9, 300].into_iter().collect();
            let rows: Vec<_> = segment.live_rows(&live).collect::<Result<_, _>>().unwrap();
            assert_eq!(rows.iter().map(|row| row.0.0).collect::<Vec<_>>(), [3, 9, 300]);
            assert_eq!(rows[1].1, rows[2].1);
        }
    }
}

#[test]
fn a_segment_of_another_index_is_refused_with_both_sides() {
    let made = make(Metric::Cosine, Quantisation::Int8);
    let other = options(DIMENSION + 1, Metric::Dot, Quantisation::Int8);
    let error = Segment::open(&made.path(), &other).unwrap_err().to_string();
    let expected = "expected dimension 21 and metric dot, got 20 and cosine";
    assert!(error.ends_with(expected), "{error}");
}

#[test]
fn a_changed_byte_of_any_section_is_noticed() {
    for quantisation in QUANTISATIONS {
        let made = make(Metric::Euclidean, quantisation);
        let bytes = fs_err::read(made.path()).unwrap();
        let sections = made.open().unwrap().footer.sections.clone();
        let mut all = vec![
            sections.mean,
            sections.basis,
            sections.rows,
            sections.slots,
            sections.nodes,
            sections.first_slots,
            sections.twins,
            sections.vectors,
            sections.vector_checksums,
        ];
        all.extend(&sections.links);
        for section in all.into_iter().filter(|section| section.length > 0) {
            for place in [0, section.length / 2, section.length - 1] {
                let mut damaged = bytes.clone();
                damaged[section.offset + place] ^= 0x10;
                let outcome = made.open_with(&damaged).and_then(|segment| segment.verify_all());
                assert!(matches!(outcome, Err(DenseError::Corrupt { .. })), "{section:?}");
            }
        }
        // What pads the sections means nothing; the footer behind them does, and so do the ends.
        let footer = sections.vectors.end().unwrap().next_multiple_of(format::PAGE_BYTES);
        for place in (0..8).chain(footer..bytes.len()) {
            let mut damaged = bytes.clone();
            damaged[place] ^= 1;
            let outcome = made.open_with(&damaged);
            assert!(matches!(outcome, Err(DenseError::Corrupt { .. })), "byte {place}");
        }
    }
}

#[test]
fn a_damaged_vector_is_an_error_when_it_is_read_and_no_wrong_score() {
    let made = make(Metric::Euclidean, Quantisation::Int8);
    let mut bytes = fs_err::read(made.path()).unwrap();
    let segment = made.open().unwrap();
    let vectors = segment.footer.sections.vectors;
    bytes[vectors.offset + vectors.length / 2] ^= 1;
    let damaged = made.open_with(&bytes).unwrap();
    for slot in (0..400).map(Slot) {
        match damaged.vector_of(slot) {
            Ok(vector) => assert_eq!(vector, segment.vector_of(slot).unwrap()),
            Err(error) => assert!(matches!(error, DenseError::Corrupt { .. }), "{error}"),
        }
    }
    assert!(damaged.verify_all().is_err() && segment.verify_all().is_ok());
}

#[test]
fn a_shorter_or_longer_file_is_refused() {
    let made = make(Metric::Dot, Quantisation::Binary);
    let bytes = fs_err::read(made.path()).unwrap();
    for length in [0, 1, 7, 8, 31, 32, 4_096, bytes.len() / 2, bytes.len() - 1] {
        assert!(matches!(made.open_with(&bytes[..length]), Err(DenseError::Corrupt { .. })));
    }
    for more in [1, 24, 4_096] {
        let longer = [bytes.as_slice(), &vec![0; more]].concat();
        assert!(matches!(made.open_with(&longer), Err(DenseError::Corrupt { .. })));
    }
    let twice = [bytes.as_slice(), &bytes].concat();
    assert!(matches!(made.open_with(&twice), Err(DenseError::Corrupt { .. })));
}

#[test]
fn a_footer_that_contradicts_itself_is_refused_though_its_checksum_holds() {
    let made = make(Metric::Euclidean, Quantisation::Int8);
    let bytes = fs_err::read(made.path()).unwrap();
    let footer = made.open().unwrap().footer.clone();
    let (front, end) = bytes.split_at(bytes.len() - END_BYTES);
    let offset = usize::try_from(u64::from_le_bytes(*end.first_chunk().unwrap())).unwrap();
    let with = |change: &dyn Fn(&mut Footer)| {
        let mut changed = footer.clone();
        change(&mut changed);
        let text = serde_json::to_vec(&changed).unwrap();
        let mut file = front[..offset].to_vec();
        file.extend_from_slice(&text);
        file.extend_from_slice(&(offset as u64).to_le_bytes());
        file.extend_from_slice(&u32::try_from(text.len()).unwrap().to_le_bytes());
        file.extend_from_slice(&crc32fast::hash(&text).to_le_bytes());
        file.extend_from_slice(&MAGIC);
        made.open_with(&file)
    };
    with(&|_| ()).unwrap();
    let changes: [&dyn Fn(&mut Footer); 16] = [
        &|footer| footer.version = 0,
        &|footer| footer.slots = usize::MAX,
        &|footer| footer.slots = 0,
        &|footer| footer.nodes = usize::MAX,
        &|footer| footer.nodes = 0,
        &|footer| footer.row_bytes = 0,
        &|footer| footer.row_bytes = usize::MAX,
        &|footer| footer.components = usize::MAX,
        &|footer| footer.layers.clear(),
        &|footer| footer.layers[0].width = 0,
        &|footer| footer.stragglers.push(u32::MAX),
        &|footer| footer.sections.vectors.offset = usize::MAX - 3,
        &|footer| footer.sections.rows.offset += 1,
        &|footer| footer.form = RowForm::Bits,
        &|footer| footer.breadth = 0.5,
        &|footer| footer.breadth = f32::MAX,
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let outcome = with(change);
        assert!(matches!(outcome, Err(DenseError::Corrupt { .. })), "change {number}");
    }
}
