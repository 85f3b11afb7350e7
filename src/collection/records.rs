//! The records of the tables. Persisted: a changed layout gets a new `FORMAT`, and old ones are
//! still read.

use bincode::{Decode, Encode};
use simile_storage::{FormatError, Record, Table, decode_payload};

use crate::document::{DocumentId, FieldType, Payload, Span};
use crate::ingest::Version;
use crate::picture::{Area, Likeness, PerceptualHash};
use crate::vector::{MultiVector, SparseVector, VectorError};

/// document id -> where its newest version is.
pub(super) const DOCUMENTS: Table<String, DocumentRecord> = Table::new(1, "document");
/// first slot of a version -> what its parts share.
pub(super) const BODIES: Table<u32, BodyRecord> = Table::new(2, "body");
/// slot -> a part.
pub(super) const PARTS: Table<u32, PartRecord> = Table::new(3, "part");
/// (vector number, slot) -> the vector of a part.
pub(super) const VECTORS: Table<(u16, u32), VectorRecord> = Table::new(4, "vector");
/// (vector number, slot) -> the sparse vector of a part.
pub(super) const SPARSE: Table<(u16, u32), SparseRecord> = Table::new(9, "sparse");
/// (vector number, slot, which row) -> some of the vectors of a multivector of a part.
pub(super) const MULTI: Table<(u16, u32, u16), MultiRecord> = Table::new(13, "multivector");
/// (when a version expires in milliseconds since 1970, its first slot) -> which document it is.
pub(super) const EXPIRIES: Table<(u64, u32), ExpiryRecord> = Table::new(10, "expiry");
/// idempotency key, separator, document id -> what the mutation did.
pub(super) const KEYS: Table<String, KeyRecord> = Table::new(11, "key");
/// sequence number -> the key that the mutation came with.
pub(super) const KEY_LOG: Table<u64, KeyLogRecord> = Table::new(12, "key log");
/// slot -> what a part that is a picture looks like.
pub(super) const LIKENESSES: Table<u32, LikenessRecord> = Table::new(14, "likeness");
/// slot -> what is shown of a part that is a picture.
pub(super) const THUMBNAILS: Table<u32, ThumbnailRecord> = Table::new(15, "thumbnail");
/// sequence number -> what the mutation did.
pub(super) const LOG: Table<u64, LogRecord> = Table::new(5, "log");
/// One record: the ends of all numbering.
pub(super) const HEADER: Table<u32, HeaderRecord> = Table::new(6, "header");
/// The key of the one record of [`HEADER`].
pub(super) const HEADER_KEY: u32 = 0;
/// field path -> what the field was seen to hold.
pub(super) const FIELDS: Table<String, FieldRecord> = Table::new(7, "field");
/// id of a file of records -> which version of it is stored.
pub(super) const FILES: Table<String, FileRecord> = Table::new(8, "file");

/// The newest version of a document. Slots are given in one run, and rows under slots never change:
/// replacing a document writes new rows and turns this record to them.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub(super) struct DocumentRecord {
    pub(super) first: u32,
    pub(super) parts: u32,
    pub(super) sequence: u64,
    pub(super) content: [u8; 32],
    pub(super) version: [u8; 32],
    /// How many leading bytes of the id name the file that it is a record of; 0: of none.
    pub(super) file_bytes: u16,
    /// When it expires, in milliseconds since 1970; 0: never.
    pub(super) expires: u64,
}

/// A [`DocumentRecord`] as it was before documents expired.
#[derive(Decode)]
#[cfg_attr(test, derive(Encode))]
struct DocumentRecordOfFormat1 {
    first: u32,
    parts: u32,
    sequence: u64,
    content: [u8; 32],
    version: [u8; 32],
    file_bytes: u16,
}

impl Record for DocumentRecord {
    const FORMAT: u16 = 2;

    fn upgrade(format: u16, payload: &[u8]) -> Result<Self, FormatError> {
        if format != 1 {
            return Err(FormatError::Unknown);
        }
        let old: DocumentRecordOfFormat1 = decode_payload(payload)?;
        let DocumentRecordOfFormat1 { first, parts, sequence, content, version, file_bytes } = old;
        Ok(Self { first, parts, sequence, content, version, file_bytes, expires: 0 })
    }
}

/// A version that expires.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(super) struct ExpiryRecord {
    pub(super) id: String,
    pub(super) parts: u32,
}

/// What a mutation with an idempotency key did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub(super) struct KeyRecord {
    pub(super) sequence: u64,
    pub(super) was_there: bool,
}

/// The key that a mutation came with.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(super) struct KeyLogRecord {
    pub(super) key: String,
}

/// What the parts of one version share.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub(super) struct BodyRecord {
    pub(super) id: String,
    pub(super) parts: u32,
    pub(super) sequence: u64,
    /// JSON: with the digits that give the same floats back, and never longer than the payload's
    /// limit, which counts JSON.
    pub(super) payload: String,
}

/// A part.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub(super) struct PartRecord {
    /// The first slot of its version.
    pub(super) first: u32,
    pub(super) span: StoredSpan,
    pub(super) text: String,
}

/// A vector: components as little-endian `f32`.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub(super) struct VectorRecord {
    pub(super) bytes: Vec<u8>,
}

/// A sparse vector: the distance of each index from the one before (the first from 0), and the
/// values as little-endian `f32`.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub(super) struct SparseRecord {
    pub(super) steps: Vec<u32>,
    pub(super) bytes: Vec<u8>,
}

/// A JPEG of at most 48 KiB.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(super) struct ThumbnailRecord {
    pub(super) jpeg: Vec<u8>,
}

/// The perceptual hashes of a picture, those of the mirrored picture second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub(super) struct LikenessRecord {
    pub(super) phashes: [u64; 2],
    pub(super) dhashes: [u64; 2],
}
/// So many vectors of a multivector in their order that the row is not too large, each with as many
/// components: little-endian `f32`, row-major.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub(super) struct MultiRecord {
    pub(super) bytes: Vec<u8>,
}

/// About how many bytes of components a row of a multivector has at most; one vector may have more.
const MULTI_ROW_BYTES: usize = 32 * 1024;

/// A mutation: the runs of slots that it brought and took away.
#[derive(Debug, Clone, PartialEq, Default, Encode, Decode)]
pub(super) struct LogRecord {
    pub(super) ids: Vec<String>,
    pub(super) added: Option<Run>,
    pub(super) removed: Vec<Run>,
}

/// The slots of one version of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub(super) struct Run {
    pub(super) first: u32,
    pub(super) count: u32,
}

/// The ends of all numbering.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(super) struct HeaderRecord {
    /// Of the newest mutation.
    pub(super) last_sequence: u64,
    /// The lowest slot that was never given.
    pub(super) next_slot: u32,
}

/// What a field was seen to hold.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(super) struct FieldRecord {
    /// One bit a type, see [`field_bit`].
    pub(super) types: u8,
}

/// Which version of a file of records is stored, all of it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(super) struct FileRecord {
    pub(super) content: [u8; 32],
    pub(super) version: [u8; 32],
}

/// A span as it is stored.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub(super) enum StoredSpan {
    Whole,
    Text {
        start: u64,
        end: u64,
        page: Option<u32>,
        heading: Option<String>,
    },
    /// Milliseconds, exclusive at the end; left, top, width, height in pixels.
    Media {
        time: Option<(u64, u64)>,
        area: Option<[u32; 4]>,
    },
}

macro_rules! formats {
    ($($record:ty = $format:literal),* $(,)?) => {
        $(impl Record for $record { const FORMAT: u16 = $format; })*
    };
}

formats! {
    ExpiryRecord = 1,
    KeyRecord = 1,
    KeyLogRecord = 1,
    BodyRecord = 1,
    PartRecord = 1,
    VectorRecord = 1,
    SparseRecord = 1,
    LikenessRecord = 1,
    ThumbnailRecord = 1,
    MultiRecord = 1,
    LogRecord = 1,
    HeaderRecord = 1,
    FieldRecord = 1,
    FileRecord = 1,
}

impl Run {
    /// Returns the slots.
    pub(super) fn slots(self) -> std::ops::Range<u32> {
        self.first..self.first.saturating_add(self.count)
    }
}

impl DocumentRecord {
    /// Returns the slots of the version.
    pub(super) fn run(&self) -> Run {
        Run { first: self.first, count: self.parts }
    }

    /// Returns whether the version has expired; `now` in milliseconds since 1970.
    pub(super) fn is_expired(&self, now: u64) -> bool {
        self.expires != 0 && self.expires <= now
    }

    /// Returns the version.
    pub(super) fn version(&self) -> Version {
        Version(self.version)
    }

    /// Returns the file that the document is a record of.
    pub(super) fn file<'a>(&self, id: &'a DocumentId) -> Option<&'a str> {
        match self.file_bytes {
            0 => None,
            bytes => id.as_str().get(..usize::from(bytes)),
        }
    }
}

impl VectorRecord {
    pub(super) fn of(components: &[f32]) -> Self {
        Self { bytes: components.iter().flat_map(|value| value.to_le_bytes()).collect() }
    }

    pub(super) fn components(&self) -> Vec<f32> {
        let value = |bytes: &[u8]| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        self.bytes.chunks_exact(4).map(value).collect()
    }
}

impl SparseRecord {
    pub(super) fn of(vector: &SparseVector) -> Self {
        let mut before = 0;
        let step = |&index: &u32| index - std::mem::replace(&mut before, index);
        let steps = vector.indices().iter().map(step).collect();
        Self { steps, bytes: VectorRecord::of(vector.values()).bytes }
    }

    /// Returns the vector.
    pub(super) fn vector(&self) -> Result<SparseVector, VectorError> {
        let mut index = 0_u32;
        let mut indices = Vec::with_capacity(self.steps.len());
        for &step in &self.steps {
            // Too large a step is damage; the index that stands twice then is what is told of it.
            index = index.saturating_add(step);
            indices.push(index);
        }
        let values = VectorRecord { bytes: self.bytes.clone() }.components();
        SparseVector::new(indices, values)
    }
}

impl MultiRecord {
    /// Returns the rows of a multivector, in order.
    pub(super) fn rows(vector: &MultiVector) -> impl Iterator<Item = (u16, Self)> {
        let dimension = vector.dimension();
        let components = (MULTI_ROW_BYTES / size_of::<f32>() / dimension).max(1) * dimension;
        let rows = vector.as_slice().chunks(components);
        (0..).zip(rows.map(|row| Self { bytes: VectorRecord::of(row).bytes }))
    }

    /// Returns the multivector of these rows; none if there are none.
    pub(super) fn vector(
        dimension: usize,
        rows: impl IntoIterator<Item = Self>,
    ) -> Result<Option<MultiVector>, VectorError> {
        let mut components = Vec::new();
        for Self { bytes } in rows {
            components.extend(VectorRecord { bytes }.components());
        }
        if components.is_empty() {
            return Ok(None);
        }
        MultiVector::new(dimension, components).map(Some)
    }
}

impl BodyRecord {
    /// Returns the payload.
    pub(super) fn payload(&self) -> Result<Payload, serde_json::Error> {
        serde_json::from_str(&self.payload)
    }

    /// Returns the payload with one field of it, without building the others.
    pub(super) fn field(&self, name: &str) -> Result<Payload, serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_str(&self.payload);
        let payload = serde::de::DeserializeSeed::deserialize(OneField(name), &mut deserializer)?;
        deserializer.end()?;
        Ok(payload)
    }
}

/// Reads one field of an object.
struct OneField<'n>(&'n str);

impl<'de> serde::de::DeserializeSeed<'de> for OneField<'_> {
    type Value = Payload;

    fn deserialize<D: serde::Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<Payload, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> serde::de::Visitor<'de> for OneField<'_> {
    type Value = Payload;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut fields: A) -> Result<Payload, A::Error> {
        let mut payload = Payload::new();
        while let Some(name) = fields.next_key::<String>()? {
            if name == self.0 {
                payload.insert(name, fields.next_value()?);
            } else {
                fields.next_value::<serde::de::IgnoredAny>()?;
            }
        }
        Ok(payload)
    }
}

impl From<Likeness> for LikenessRecord {
    fn from(Likeness { upright, mirrored }: Likeness) -> Self {
        Self { phashes: [upright.phash, mirrored.phash], dhashes: [upright.dhash, mirrored.dhash] }
    }
}

impl From<LikenessRecord> for Likeness {
    fn from(record: LikenessRecord) -> Self {
        let hash = |number: usize| PerceptualHash {
            phash: record.phashes[number],
            dhash: record.dhashes[number],
        };
        Self { upright: hash(0), mirrored: hash(1) }
    }
}

impl From<&Span> for StoredSpan {
    fn from(span: &Span) -> Self {
        match span {
            Span::Whole => Self::Whole,
            Span::Text { bytes, page, heading } => Self::Text {
                start: bytes.start,
                end: bytes.end,
                page: *page,
                heading: heading.clone(),
            },
            Span::Media { time, area } => Self::Media {
                time: time.as_ref().map(|time| (time.start, time.end)),
                area: area.map(|area| [area.left, area.top, area.width, area.height]),
            },
        }
    }
}

impl From<StoredSpan> for Span {
    fn from(span: StoredSpan) -> Self {
        match span {
            StoredSpan::Whole => Self::Whole,
            StoredSpan::Text { start, end, page, heading } => {
                Self::Text { bytes: start..end, page, heading }
            }
            StoredSpan::Media { time, area } => Self::Media {
                time: time.map(|(start, end)| start..end),
                area: area.map(|[left, top, width, height]| Area { left, top, width, height }),
            },
        }
    }
}

const FIELD_TYPES: [FieldType; 8] = [
    FieldType::Boolean,
    FieldType::Integer,
    FieldType::Float,
    FieldType::Datetime,
    FieldType::Keyword,
    FieldType::Null,
    FieldType::List,
    FieldType::Geo,
];

/// Returns the bit that stands for the type in a [`FieldRecord`].
pub(super) fn field_bit(field: FieldType) -> u8 {
    match field {
        FieldType::Boolean => 1,
        FieldType::Integer => 2,
        FieldType::Float => 4,
        FieldType::Datetime => 8,
        FieldType::Keyword => 16,
        FieldType::Null => 32,
        FieldType::List => 64,
        FieldType::Geo => 128,
    }
}

/// Returns the types whose bits are set.
pub(super) fn field_types(bits: u8) -> impl Iterator<Item = FieldType> {
    FIELD_TYPES.into_iter().filter(move |&field| bits & field_bit(field) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Value;

    #[test]
    fn payloads_and_spans_come_back_as_they_were() {
        let nested = Value::Object(Payload::from([
            ("list".to_owned(), Value::Array(vec![Value::Null, Value::Integer(i64::MIN)])),
            ("float".to_owned(), Value::Float(0.1 + 0.2)),
            ("whole float".to_owned(), Value::Float(1e300)),
            ("other".to_owned(), Value::Float(-0.0)),
        ]));
        let payload = Payload::from([
            ("nested".to_owned(), nested),
            ("text".to_owned(), Value::Text("猫".into())),
            ("yes".to_owned(), Value::Boolean(true)),
        ]);
        let body = BodyRecord {
            id: "a".into(),
            parts: 1,
            sequence: 1,
            payload: serde_json::to_string(&payload).unwrap(),
        };
        assert_eq!(body.payload().unwrap(), payload);
        let text = payload.get_key_value("text").map(|(name, value)| (name.clone(), value.clone()));
        assert_eq!(body.field("text").unwrap(), text.into_iter().collect());
        assert_eq!(body.field("missing").unwrap(), Payload::new());
        let mut random = 1_u64;
        for _ in 0..10_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_041);
            let float = f64::from_bits(random);
            if float.is_finite() {
                let json = serde_json::to_string(&Value::Float(float)).unwrap();
                assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), Value::Float(float));
            }
        }
        let span = Span::Text { bytes: 3..9, page: Some(2), heading: Some("A > B".into()) };
        assert_eq!(Span::from(StoredSpan::from(&span)), span);
        assert_eq!(Span::from(StoredSpan::from(&Span::Whole)), Span::Whole);
        let area = Some(Area { left: 1, top: 2, width: 3, height: 4 });
        let span = Span::Media { time: Some(5..9), area };
        assert_eq!(Span::from(StoredSpan::from(&span)), span);
    }

    #[test]
    fn what_a_picture_looks_like_comes_back_as_it_was() {
        let hash = |number| PerceptualHash { phash: number, dhash: u64::MAX - number };
        let likeness = Likeness { upright: hash(1), mirrored: hash(2) };
        assert_eq!(Likeness::from(LikenessRecord::from(likeness)), likeness);
    }

    #[test]
    fn sparse_vectors_come_back_as_they_were_and_fit_a_row() {
        let count = u32::try_from(crate::ingest::SPARSE_STORED_MAX).unwrap();
        let far = (0..count).map(|place| place * (u32::MAX / count)).collect();
        let largest = SparseVector::new(far, vec![-0.3; count as usize]).unwrap();
        let record = SparseRecord::of(&largest);
        assert_eq!(record.vector().unwrap(), largest);
        let bytes = bincode::encode_to_vec(&record, bincode::config::standard()).unwrap();
        assert!(bytes.len() + 6 <= simile_storage::VALUE_BYTES_MAX, "{} bytes", bytes.len());
        for vector in [SparseVector::default(), SparseVector::new(vec![0], vec![1.0]).unwrap()] {
            assert_eq!(SparseRecord::of(&vector).vector().unwrap(), vector);
        }
        let damaged = SparseRecord { steps: vec![u32::MAX, 5], bytes: record.bytes };
        assert!(damaged.vector().is_err());
    }

    #[test]
    fn documents_stored_before_there_was_an_expiry_never_expire() {
        let old = DocumentRecordOfFormat1 {
            first: 7,
            parts: 2,
            sequence: 9,
            content: [1; 32],
            version: [2; 32],
            file_bytes: 3,
        };
        let bytes = bincode::encode_to_vec(&old, bincode::config::standard()).unwrap();
        let record = DocumentRecord::upgrade(1, &bytes).unwrap();
        assert_eq!((record.first, record.parts, record.sequence), (7, 2, 9));
        assert_eq!((record.file_bytes, record.expires), (3, 0));
        assert!(!record.is_expired(u64::MAX));
        assert_eq!(DocumentRecord::upgrade(9, &bytes), Err(FormatError::Unknown));
    }

    #[test]
    fn every_field_type_has_its_own_bit() {
        for field in FIELD_TYPES {
            assert_eq!(field_types(field_bit(field)).collect::<Vec<_>>(), [field]);
        }
    }
}
