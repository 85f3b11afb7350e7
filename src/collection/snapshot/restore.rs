//! Making tables of what a snapshot holds.

use std::io::Read;
use std::path::{Path, PathBuf};

use simile_storage::{Batch, Database, Options};

use super::archive::ArchiveReader;
use super::items::{DocumentItem, Item};
use super::{FORMAT, FORMAT_OLDEST, SnapshotError, SnapshotHeader};
use crate::cancel::Cancellation;
use crate::collection::error::Error;
use crate::collection::files;
use crate::collection::notes::{NOTES_MAX, write_note};
use crate::collection::records::{
    DOCUMENTS, FIELDS, FILES, FieldRecord, FileRecord, HEADER, HEADER_KEY, HeaderRecord, KEY_LOG,
    KEYS, KeyLogRecord, KeyRecord, Run, field_bit, field_types,
};
use crate::collection::rows::put_document;
use crate::error::{Classified as _, ErrorKind};
use crate::ingest::Prepared;

/// About how many bytes are committed at a time.
const BATCH_BYTES: usize = 4 << 20;

/// Reads an archive to its end into the tables of a new folder. What is in the folder after an error is
/// of no use.
pub(in crate::collection) fn restore_into(
    folder: &Path,
    archive: impl Read,
    cache_bytes_max: u64,
    progress: &dyn Fn(u64, u64),
    cancel: &Cancellation,
) -> Result<SnapshotHeader, Error> {
    let (mut archive, header) = ArchiveReader::new(archive)?;
    let header = read_header(&header)?;
    header.settings.check().map_err(|error| SnapshotError::damaged(error.to_string()))?;
    let options = Options { cache_bytes_max, ..Options::default() };
    let database = Database::open(&folder.join(files::TABLES), &options)?;
    let (folder, batch) = (folder.to_owned(), Batch::new());
    let mut tables =
        Tables { folder, database, header, batch, next_slot: 0, documents: 0, notes: 0 };
    let mut open: Option<(DocumentItem, Prepared)> = None;
    while let Some(item) = archive.next()? {
        cancel.check()?;
        let item = Item::decode(item)?;
        open = match (item, open) {
            (Item::Part(part), Some((head, mut document))) => {
                let (part, picture) = part.part(&tables.header.settings, &head.id)?;
                if let (Some(picture), Ok(place)) = (picture, u32::try_from(document.parts.len())) {
                    document.pictures.insert(place, picture);
                }
                document.parts.push(part);
                if document.parts.len() < head.parts as usize {
                    Some((head, document))
                } else {
                    tables.put(&head, &document)?;
                    progress(tables.documents, tables.header.documents);
                    None
                }
            }
            (Item::Document(head), None) => {
                let document = head.prepared(tables.header.sequence)?;
                Some((head, document))
            }
            (item, None) => {
                tables.put_other(item)?;
                None
            }
            (_, Some((head, _))) => {
                let reason = "some of its parts are missing".to_owned();
                return Err(SnapshotError::document(&head.id, reason).into());
            }
        };
    }
    if let Some((head, _)) = open {
        let reason = "some of its parts are missing".to_owned();
        return Err(SnapshotError::document(&head.id, reason).into());
    }
    let folder = tables.folder.clone();
    let header = tables.finish()?;
    header.settings.write(&folder)?;
    Ok(header)
}

/// Returns the header of an archive.
pub(super) fn read_header(bytes: &[u8]) -> Result<SnapshotHeader, SnapshotError> {
    #[derive(serde::Deserialize)]
    struct FormatOnly {
        format: u32,
    }
    let damaged = |error: serde_json::Error| SnapshotError::damaged(error.to_string());
    let FormatOnly { format } = serde_json::from_slice(bytes).map_err(damaged)?;
    if !(FORMAT_OLDEST..=FORMAT).contains(&format) {
        return Err(SnapshotError::NewerFormat { found: format, known: FORMAT });
    }
    serde_json::from_slice(bytes).map_err(damaged)
}

/// Tables that are being filled.
struct Tables {
    folder: PathBuf,
    database: Database,
    header: SnapshotHeader,
    batch: Batch,
    next_slot: u32,
    documents: u64,
    notes: usize,
}

impl Tables {
    fn put(&mut self, head: &DocumentItem, document: &Prepared) -> Result<(), Error> {
        let run = Run { first: self.next_slot, count: head.parts };
        self.next_slot = self.next_slot.checked_add(head.parts).ok_or(Error::Full)?;
        self.documents += 1;
        let mut rows = Batch::new();
        let settings = &self.header.settings;
        let put =
            put_document(&mut rows, settings, document, run, head.sequence, head.expires).map(drop);
        self.add(put.map(|()| rows))
    }

    fn put_other(&mut self, item: Item) -> Result<(), Error> {
        let last = self.header.sequence;
        match item {
            Item::Field { path, types } => {
                let known = field_types(types).fold(0, |bits, kind| bits | field_bit(kind));
                if known != types || types == 0 {
                    let reason = format!("field `{path}` has types {types:#x}");
                    return Err(SnapshotError::damaged(reason).into());
                }
                let mut rows = Batch::new();
                let put = rows.put(&FIELDS, &path, &FieldRecord { types });
                self.add(put.map(|()| rows).map_err(Error::from))
            }
            Item::File { id, content, version } => {
                crate::document::DocumentId::new(id.clone())?;
                let mut rows = Batch::new();
                let put = rows.put(&FILES, &id, &FileRecord { content, version });
                self.add(put.map(|()| rows).map_err(Error::from))
            }
            Item::Key { key, sequence, was_there } if sequence > 0 && sequence <= last => {
                let mut rows = Batch::new();
                let logged = KeyLogRecord { key: key.clone() };
                let put = rows.put(&KEYS, &key, &KeyRecord { sequence, was_there });
                let put = put.and_then(|()| rows.put(&KEY_LOG, &sequence, &logged));
                self.add(put.map(|()| rows).map_err(Error::from))
            }
            Item::Key { sequence, .. } => {
                let reason = format!("a key of mutation {sequence}, and the last one is {last}");
                Err(SnapshotError::damaged(reason).into())
            }
            Item::Note { name, bytes } if self.header.format > FORMAT_OLDEST => {
                self.notes += 1;
                if self.notes > NOTES_MAX {
                    let reason = format!("more than {NOTES_MAX} notes");
                    return Err(SnapshotError::damaged(reason).into());
                }
                let written = write_note(&self.folder, &name, &bytes);
                written.map_err(|error| match error.kind() {
                    ErrorKind::InvalidInput => SnapshotError::damaged(error.to_string()).into(),
                    _ => error,
                })
            }
            Item::Note { name, .. } => {
                let name: String = name.chars().take(80).collect();
                let reason = format!("note `{name}` in an archive of format {FORMAT_OLDEST}");
                Err(SnapshotError::damaged(reason).into())
            }
            Item::Document(_) | Item::Part(_) => {
                Err(SnapshotError::damaged("a part belongs to no document").into())
            }
        }
    }

    /// Adds rows to the batch, and commits what is in it when it is full.
    fn add(&mut self, rows: Result<Batch, Error>) -> Result<(), Error> {
        let rows = rows.map_err(|error| match error.kind() {
            // What no row has room for was never stored.
            ErrorKind::InvalidInput => SnapshotError::damaged(error.to_string()).into(),
            _ => error,
        })?;
        if self.batch.bytes() + rows.bytes() > BATCH_BYTES {
            self.database.commit(std::mem::take(&mut self.batch))?;
        }
        Ok(self.batch.append(rows)?)
    }

    /// Commits what is left, and checks that it is all that the header says.
    fn finish(mut self) -> Result<SnapshotHeader, Error> {
        let (last_sequence, next_slot) = (self.header.sequence, self.next_slot);
        let record = HeaderRecord { last_sequence, next_slot };
        self.batch.put(&HEADER, &HEADER_KEY, &record)?;
        self.database.commit(std::mem::take(&mut self.batch))?;
        let mut stored = 0;
        for row in self.database.scan(&DOCUMENTS) {
            row?;
            stored += 1;
        }
        let SnapshotHeader { documents, parts, .. } = self.header;
        let found = (self.documents, stored, u64::from(next_slot));
        if found != (documents, documents, parts) {
            return Err(SnapshotError::damaged(format!(
                "expected {documents} documents in {parts} parts, got {} of {stored} ids in {}",
                found.0, found.2
            ))
            .into());
        }
        Ok(self.header)
    }
}
