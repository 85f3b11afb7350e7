use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use simile_storage::Database;

use super::error::Error;
use super::expiry::Expiries;
use super::jobs::Clock;
use super::memory::Budget;
use super::recall::{Curves, LastAsked};
use super::recent::Recent;
use super::records::{
    BODIES, BodyRecord, DOCUMENTS, DocumentRecord, LIKENESSES, MULTI, MultiRecord, PARTS,
    PartRecord, SPARSE, THUMBNAILS, VECTORS,
};
use super::replace::Numbers;
use super::settings::{MultiSettings, Settings};
use super::upkeep::Maintenance;
use super::view::Views;
use crate::decode::Limits;
use crate::document::{DocumentId, FieldPath, Payload, Slot, Span};
use crate::error::{Classified as _, ErrorKind};
use crate::index::dense::DenseIndex;
use crate::index::lexical::{LexicalIndex, LexicalPart};
use crate::index::multi::MultiIndex;
use crate::index::sparse::SparseIndex;
use crate::ingest::PartPicture;
use crate::picture::Likeness;
use crate::query::Shape;
use crate::vector::{DenseVector, MultiVector, Vector};

/// Vectors of random parts, and how many parts there were when they were drawn.
pub(super) type Sample = (u64, Arc<Vec<Vec<f32>>>);

/// Tells the time.
#[derive(Clone)]
pub(super) struct EngineClock(pub(super) Clock);

impl std::fmt::Debug for EngineClock {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("EngineClock")
    }
}

/// Everything of one open collection that readers, the committer and maintenance share.
#[derive(Debug)]
pub(super) struct Engine {
    pub(super) name: String,
    pub(super) folder: PathBuf,
    /// Whether texts are indexed by words, for the life of the collection.
    has_words: bool,
    pub(super) database: Arc<Database>,
    kept: RwLock<Arc<Kept>>,
    /// Held while the settings are changed.
    pub(super) altering: Mutex<()>,
    pub(super) lexical: LexicalIndex,
    pub(super) views: Views,
    pub(super) expiries: Expiries,
    pub(super) clock: EngineClock,
    pub(super) limits: Limits,
    pub(super) read_only: OnceLock<String>,
    /// What was stored under the ids that a commit changes, until it is durable and visible. Stays
    /// if the commit fails.
    changing: RwLock<HashMap<DocumentId, Option<DocumentRecord>>>,
    /// Whether there may be rows of pictures.
    pub(super) has_pictures: AtomicBool,
    /// Whether a read met damage, so that upkeep is to look at the indexes.
    pub(super) is_suspect: AtomicBool,
    pub(super) maintenance: Maintenance,
    pub(super) budget: Arc<Budget>,
    /// Held while the indexes know of a mutation that is not visible yet.
    pub(super) applying: Mutex<()>,
    /// What is wrong with the tables: nothing is answered from them any more.
    pub(super) damage: OnceLock<String>,
    /// Vectors of random parts by vector name, and how many parts there were when they were drawn.
    pub(super) samples: Mutex<BTreeMap<String, Sample>>,
    /// How much searches of each breadth find.
    pub(super) curves: Mutex<Curves>,
    /// The last questions by vector name.
    pub(super) asked: Mutex<LastAsked>,
    /// The rows of the last answers.
    pub(super) recent: Recent,
}

/// The rows that the parts of one version of a document share, checked.
#[derive(Debug, Clone)]
pub(super) struct Body {
    pub(super) id: DocumentId,
    pub(super) parts: u32,
    pub(super) sequence: u64,
    pub(super) payload: Payload,
    /// How long its JSON is.
    pub(super) payload_bytes: u64,
}

/// What a collection is like, and the index of each of its vectors. Replaced as a whole when vectors
/// are added or dropped; who holds one goes on with it.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) settings: Settings,
    /// What plans have to know of the settings.
    pub(super) shape: Shape,
    /// The numbers of the vectors by name.
    pub(super) numbers: Numbers,
    pub(super) dense: BTreeMap<String, Arc<DenseIndex>>,
    pub(super) sparse: BTreeMap<String, Arc<SparseIndex>>,
    pub(super) multi: BTreeMap<String, Arc<MultiIndex>>,
}

/// How an engine begins.
pub(super) struct Beginning {
    pub(super) name: String,
    pub(super) folder: PathBuf,
    pub(super) database: Arc<Database>,
    pub(super) kept: Kept,
    pub(super) lexical: LexicalIndex,
    pub(super) views: Views,
    pub(super) maintenance: Maintenance,
    pub(super) budget: Arc<Budget>,
    pub(super) clock: EngineClock,
    pub(super) limits: Limits,
}

impl Engine {
    /// Returns an engine that takes writes.
    pub(super) fn new(beginning: Beginning) -> Self {
        let Beginning { name, folder, database, kept, lexical, views, .. } = beginning;
        let Beginning { maintenance, budget, clock, limits, .. } = beginning;
        // A row that is damaged is there.
        let recent_bytes_max = maintenance.cache_bytes_max / 2;
        let has_pictures = !matches!(database.first(&LIKENESSES), Ok(None));
        Self {
            name,
            folder,
            database,
            has_words: kept.settings.has_words,
            kept: RwLock::new(Arc::new(kept)),
            altering: Mutex::default(),
            lexical,
            views,
            expiries: Expiries::default(),
            clock,
            limits,
            read_only: OnceLock::new(),
            changing: RwLock::default(),
            has_pictures: AtomicBool::new(has_pictures),
            is_suspect: AtomicBool::new(false),
            maintenance,
            budget,
            applying: Mutex::default(),
            damage: OnceLock::new(),
            samples: Mutex::default(),
            curves: Mutex::default(),
            asked: Mutex::default(),
            recent: Recent::new(recent_bytes_max),
        }
    }

    /// Returns what the collection is like now, and its indexes.
    pub(super) fn kept(&self) -> Arc<Kept> {
        Arc::clone(&self.kept.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Lets the collection be like this from now on.
    pub(super) fn keep(&self, kept: Kept) {
        *self.kept.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(kept);
    }

    /// Ends writing for good: what could not be written may be lost, so nothing is tried again.
    pub(super) fn stop_writing(&self, reason: String) {
        let _first_reason_stays = self.read_only.set(reason);
    }

    /// Lets upkeep look at the indexes if the error says that something is damaged.
    pub(super) fn suspect(&self, error: &Error) {
        if error.kind() == ErrorKind::Corrupt {
            self.is_suspect.store(true, Ordering::Relaxed);
        }
    }

    /// Returns why no writes are taken, if so.
    pub(super) fn read_only(&self) -> Option<String> {
        let stopped = self.read_only.get().cloned();
        stopped.or_else(|| self.database.is_read_only().map(ToString::to_string))
    }

    /// Returns quietly while writes are taken.
    pub(super) fn check_writable(&self) -> Result<(), Error> {
        match self.read_only() {
            Some(reason) => Err(Error::ReadOnly { name: self.name.clone(), reason }),
            None => Ok(()),
        }
    }

    /// Says what is stored under ids before a commit changes it.
    pub(super) fn begin_change(&self, before: HashMap<DocumentId, Option<DocumentRecord>>) {
        *self.changing.write().unwrap_or_else(PoisonError::into_inner) = before;
    }

    /// Says that the commit is durable and visible.
    pub(super) fn end_change(&self) {
        self.changing.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Returns what is stored under ids that a commit is changing.
    pub(super) fn changing(&self) -> Vec<(DocumentId, DocumentRecord)> {
        let changing = self.changing.read().unwrap_or_else(PoisonError::into_inner);
        let stored = changing.iter().filter_map(|(id, record)| Some((id, record.as_ref()?)));
        stored.map(|(id, record)| (id.clone(), record.clone())).collect()
    }

    /// Returns the newest version of a document that is durable and visible. The table may be one
    /// commit ahead of that.
    pub(super) fn record(&self, id: &DocumentId) -> Result<Option<DocumentRecord>, Error> {
        // In this order: what a commit wrote after the read is not in it, and what it wrote before
        // is either still changing or done.
        let stored = self.database.get(&DOCUMENTS, &id.as_str().to_owned())?;
        let changing = self.changing.read().unwrap_or_else(PoisonError::into_inner);
        Ok(match changing.get(id) {
            Some(before) => before.clone(),
            None => stored,
        })
    }

    /// Returns what the parts that begin at this slot share.
    pub(super) fn body(&self, first: Slot) -> Result<Option<Body>, Error> {
        self.database
            .get(&BODIES, &first.0)?
            .map(|record| Body::checked(first.0, record))
            .transpose()
    }

    /// Returns a part.
    pub(super) fn part(&self, slot: Slot) -> Result<Option<PartRecord>, Error> {
        Ok(self.database.get(&PARTS, &slot.0)?)
    }

    /// Returns what a part that is a picture looks like.
    pub(super) fn likeness(&self, slot: Slot) -> Result<Option<Likeness>, Error> {
        Ok(self.database.get(&LIKENESSES, &slot.0)?.map(Likeness::from))
    }

    /// Returns the thumbnail of a part that is a picture: a JPEG.
    pub(super) fn thumbnail(&self, slot: Slot) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.database.get(&THUMBNAILS, &slot.0)?.map(|record| record.jpeg))
    }

    /// Returns what is kept of a part that is a picture.
    pub(super) fn picture(&self, slot: Slot) -> Result<Option<PartPicture>, Error> {
        let Some(likeness) = self.likeness(slot)? else { return Ok(None) };
        let thumbnail = self.thumbnail(slot)?.unwrap_or_default();
        Ok(Some(PartPicture { thumbnail, likeness }))
    }

    /// Returns the vectors of a part by name.
    pub(super) fn vectors(&self, slot: Slot) -> Result<BTreeMap<String, Vector>, Error> {
        let mut vectors = BTreeMap::new();
        for name in self.kept().settings.names() {
            vectors.extend(self.vector(name, slot)?.map(|vector| (name.clone(), vector)));
        }
        Ok(vectors)
    }

    /// Returns the vector of a part under one name.
    pub(super) fn vector(&self, name: &str, slot: Slot) -> Result<Option<Vector>, Error> {
        let kept = self.kept();
        if let Some(settings) = kept.settings.vectors.get(name) {
            let record = self.database.get(&VECTORS, &(settings.number, slot.0))?;
            let vector = record.map(|record| DenseVector::new(record.components())).transpose();
            return Ok(vector.map_err(|error| damaged("vector", slot.0, error))?.map(Vector::from));
        }
        if let Some(settings) = kept.settings.sparse.get(name) {
            let record = self.database.get(&SPARSE, &(settings.number, slot.0))?;
            let vector = record.map(|record| record.vector()).transpose();
            let vector = vector.map_err(|error| damaged("sparse vector", slot.0, error))?;
            return Ok(vector.map(Vector::from));
        }
        if let Some(settings) = kept.settings.multi.get(name) {
            return Ok(self.multi_vector(settings, slot)?.map(Vector::from));
        }
        Ok(None)
    }

    /// Returns the multivector of a part.
    pub(super) fn multi_vector(
        &self,
        settings: &MultiSettings,
        slot: Slot,
    ) -> Result<Option<MultiVector>, Error> {
        let mut rows = Vec::new();
        let keys = (settings.number, slot.0, 0)..=(settings.number, slot.0, u16::MAX);
        for row in self.database.range(&MULTI, keys) {
            rows.push(row?.1);
        }
        let vector = MultiRecord::vector(settings.dimension, rows);
        vector.map_err(|error| damaged("multivector", slot.0, error))
    }

    /// Returns the one field of a document's payload, or the object, that a path begins with; the
    /// rest of the payload is passed over.
    pub(super) fn field(&self, first: Slot, path: &FieldPath) -> Result<Payload, Error> {
        let record = self.database.get(&BODIES, &first.0)?;
        let record = record.ok_or_else(|| damaged("body", first.0, "missing"))?;
        let name = path.0.split('.').next().unwrap_or_default();
        record.field(name).map_err(|error| damaged("body", first.0, error))
    }

    /// Returns what the lexical index takes of parts.
    pub(super) fn lexical_part<'a>(
        &self,
        slot: Slot,
        document: &'a DocumentId,
        payload: &'a Payload,
        span: &'a Span,
        text: &'a str,
    ) -> LexicalPart<'a> {
        let has_words = self.has_words;
        let text = if has_words { text } else { "" };
        let heading = match span {
            Span::Text { heading: Some(heading), .. } => Some(heading.as_str()),
            Span::Text { .. } | Span::Media { .. } | Span::Whole => title_of(payload),
        };
        // A title that the text begins with would count twice.
        let heading = heading.filter(|heading| has_words && !text.starts_with(heading));
        LexicalPart { slot, document, text, heading, payload }
    }
}

impl Kept {
    /// Returns settings with the index of each of their vectors.
    pub(super) fn new(
        settings: Settings,
        dense: BTreeMap<String, Arc<DenseIndex>>,
        sparse: BTreeMap<String, Arc<SparseIndex>>,
        multi: BTreeMap<String, Arc<MultiIndex>>,
    ) -> Self {
        let (shape, numbers) = (settings.shape(), settings.numbers());
        Self { settings, shape, numbers, dense, sparse, multi }
    }
}

impl Body {
    pub(super) fn checked(first: u32, mut record: BodyRecord) -> Result<Self, Error> {
        let payload = record.payload().map_err(|error| damaged("body", first, error))?;
        let id = DocumentId::new(std::mem::take(&mut record.id))
            .map_err(|error| damaged("body", first, error))?;
        let payload_bytes = record.payload.len() as u64;
        Ok(Self { id, parts: record.parts, sequence: record.sequence, payload, payload_bytes })
    }
}

fn title_of(payload: &Payload) -> Option<&str> {
    match payload.get("title") {
        Some(crate::document::Value::Text(title)) => Some(title),
        Some(_) | None => None,
    }
}

/// Returns the error of a row that does not hold what it should.
pub(super) fn damaged(table: &str, key: u32, reason: impl std::fmt::Display) -> Error {
    Error::Corrupt { what: format!("row {key} of table {table}"), reason: reason.to_string() }
}
