//! What a snapshot holds: each document as it was stored, checked on the way back as what comes from
//! outside is.

use std::collections::BTreeMap;

use bincode::{Decode, Encode};
use simile_storage::decode_payload;

use super::SnapshotError;
use crate::collection::records::{
    LikenessRecord, MultiRecord, SparseRecord, StoredSpan, VectorRecord,
};
use crate::collection::settings::Settings;
use crate::decode::THUMBNAIL_BYTES_MAX;
use crate::document::{DocumentId, Part, Payload, Span, check_payload};
use crate::ingest::{ContentHash, PartPicture, Prepared, SPARSE_STORED_MAX, Version};
use crate::vector::{DenseVector, Metric, Vector};

/// How far from one the length of a stored direction may be.
const UNIT_TOLERANCE: f32 = 1e-3;
/// The most parts of a document.
const PARTS_MAX: u32 = 1_000_000;

/// One item. Persisted in archives: variants and fields are only added with a new format.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub(super) enum Item {
    /// What a payload field was seen to hold.
    Field { path: String, types: u8 },
    /// Which version of a file of records is stored.
    File { id: String, content: [u8; 32], version: [u8; 32] },
    /// What a mutation with an idempotency key did.
    Key { key: String, sequence: u64, was_there: bool },
    /// A document; its parts follow.
    Document(DocumentItem),
    /// A part of the document before.
    Part(PartItem),
    /// What a face of the server keeps beside the collection; since format 2.
    Note { name: String, bytes: Vec<u8> },
}

/// A document without its parts.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub(super) struct DocumentItem {
    pub(super) id: String,
    pub(super) sequence: u64,
    pub(super) content: [u8; 32],
    pub(super) version: [u8; 32],
    pub(super) file_bytes: u16,
    pub(super) expires: u64,
    /// JSON.
    pub(super) payload: String,
    pub(super) parts: u32,
}

/// A part with its vectors by name.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub(super) struct PartItem {
    pub(super) span: StoredSpan,
    pub(super) text: String,
    pub(super) vectors: Vec<(String, VectorItem)>,
    pub(super) picture: Option<PictureItem>,
}

/// What is kept of a part that is a picture: its thumbnail, a JPEG, and its perceptual hashes.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub(super) struct PictureItem {
    jpeg: Vec<u8>,
    likeness: LikenessRecord,
}

/// A vector; components as little-endian `f32`.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub(super) enum VectorItem {
    Dense(Vec<u8>),
    Sparse(SparseRecord),
    Multi(Vec<u8>),
}

impl Item {
    /// Returns the bytes of the item.
    pub(super) fn encode(&self) -> Result<Vec<u8>, SnapshotError> {
        bincode::encode_to_vec(self, bincode::config::standard())
            .map_err(|error| SnapshotError::damaged(error.to_string()))
    }

    /// Returns the item of these bytes.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, SnapshotError> {
        decode_payload(bytes).map_err(|error| SnapshotError::damaged(error.to_string()))
    }
}

impl DocumentItem {
    /// Returns the document without its parts.
    pub(super) fn prepared(&self, last_sequence: u64) -> Result<Prepared, SnapshotError> {
        let wrong = |reason: String| SnapshotError::document(&self.id, reason);
        let id = DocumentId::new(self.id.clone()).map_err(|error| wrong(error.to_string()))?;
        let payload: Payload =
            serde_json::from_str(&self.payload).map_err(|error| wrong(error.to_string()))?;
        check_payload(&payload).map_err(|error| wrong(error.to_string()))?;
        if self.sequence == 0 || self.sequence > last_sequence {
            let sequence = self.sequence;
            return Err(wrong(format!("sequence {sequence}, expected 1 to {last_sequence}")));
        }
        if self.parts == 0 || self.parts > PARTS_MAX {
            return Err(wrong(format!("{} parts, expected 1 to {PARTS_MAX}", self.parts)));
        }
        let file = match self.file_bytes {
            0 => None,
            bytes => {
                let name = self.id.get(..usize::from(bytes)).unwrap_or_default();
                Some(DocumentId::new(name).map_err(|error| wrong(error.to_string()))?)
            }
        };
        Ok(Prepared {
            id,
            payload,
            parts: Vec::new(),
            pictures: BTreeMap::new(),
            content: ContentHash(self.content),
            version: Version(self.version),
            file,
        })
    }
}

impl PartItem {
    /// Returns a part as it is kept.
    pub(super) fn of(part: Part, picture: Option<PartPicture>) -> Self {
        let vector = |vector: Vector| match vector {
            Vector::Dense(vector) => VectorItem::Dense(VectorRecord::of(vector.as_slice()).bytes),
            Vector::Sparse(vector) => VectorItem::Sparse(SparseRecord::of(&vector)),
            Vector::Multi(vector) => VectorItem::Multi(VectorRecord::of(vector.as_slice()).bytes),
        };
        let vectors = part.vectors.into_iter().map(|(name, given)| (name, vector(given)));
        let picture = picture.map(|picture| PictureItem {
            jpeg: picture.thumbnail,
            likeness: picture.likeness.into(),
        });
        let (span, vectors) = (StoredSpan::from(&part.span), vectors.collect());
        Self { span, text: part.text, vectors, picture }
    }

    /// Returns the part, checked to be one of a collection with these settings, and its picture.
    pub(super) fn part(
        self,
        settings: &Settings,
        id: &str,
    ) -> Result<(Part, Option<PartPicture>), SnapshotError> {
        let wrong = |reason: String| SnapshotError::document(id, reason);
        let span = Span::from(self.span);
        let is_forward = match &span {
            Span::Whole => true,
            Span::Text { bytes, .. } => bytes.start <= bytes.end,
            Span::Media { time, area } => {
                time.as_ref().is_none_or(|time| time.start <= time.end)
                    && area.is_none_or(|area| area.width > 0 && area.height > 0)
            }
        };
        if !is_forward {
            return Err(wrong(format!("no part has the span {span:?}")));
        }
        let mut vectors = BTreeMap::new();
        for (name, item) in self.vectors {
            let vector = item.vector(settings, &name);
            let vector = vector.map_err(|reason| wrong(format!("vector `{name}`: {reason}")))?;
            if vectors.insert(name.clone(), vector).is_some() {
                return Err(wrong(format!("vector `{name}` stands twice in a part")));
            }
        }
        let picture = self.picture.map(|PictureItem { jpeg, likeness }| {
            if jpeg.len() > THUMBNAIL_BYTES_MAX {
                let (most, actual) = (THUMBNAIL_BYTES_MAX, jpeg.len());
                return Err(wrong(format!("a thumbnail of {actual} bytes, at most {most}")));
            }
            Ok(PartPicture { thumbnail: jpeg, likeness: likeness.into() })
        });
        Ok((Part { span, text: self.text, vectors }, picture.transpose()?))
    }
}

impl VectorItem {
    fn vector(self, settings: &Settings, name: &str) -> Result<Vector, String> {
        let said = |error: crate::vector::VectorError| error.to_string();
        match self {
            Self::Dense(bytes) => {
                let of = settings.vectors.get(name).ok_or("there is no such dense vector")?;
                let vector = DenseVector::new(components(bytes)?).map_err(said)?;
                vector.require_dimension(of.dimension).map_err(said)?;
                check_unit(vector.as_slice(), of.metric)?;
                Ok(vector.into())
            }
            Self::Sparse(record) => {
                if !settings.sparse.contains_key(name) {
                    return Err("there is no such sparse vector".into());
                }
                if !record.bytes.len().is_multiple_of(4) || record.steps.len() > SPARSE_STORED_MAX {
                    return Err(format!(
                        "{} entries, at most {SPARSE_STORED_MAX}",
                        record.steps.len()
                    ));
                }
                record.vector().map(Vector::from).map_err(said)
            }
            Self::Multi(bytes) => {
                let of = settings.multi.get(name).ok_or("there is no such multivector")?;
                components(bytes.clone())?;
                let vector = MultiRecord::vector(of.dimension, [MultiRecord { bytes }]);
                let vector = vector.map_err(said)?.ok_or("it has no vectors")?;
                vector.rows().try_for_each(|row| check_unit(row, of.metric))?;
                Ok(vector.into())
            }
        }
    }
}

fn components(bytes: Vec<u8>) -> Result<Vec<f32>, String> {
    if !bytes.len().is_multiple_of(4) {
        return Err(format!("{} bytes are no whole components", bytes.len()));
    }
    Ok(VectorRecord { bytes }.components())
}

/// What is compared by directions is stored with length one.
fn check_unit(components: &[f32], metric: Metric) -> Result<(), String> {
    let length = components.iter().map(|value| value * value).sum::<f32>().sqrt();
    match metric {
        Metric::Cosine if (length - 1.0).abs() > UNIT_TOLERANCE => {
            Err(format!("expected a vector of length one, got {length}"))
        }
        Metric::Cosine | Metric::Dot | Metric::Euclidean => Ok(()),
    }
}
