//! Mutations that depend on what is stored: on terms, of a payload alone, of what has expired.

use std::borrow::Cow;
use std::collections::BTreeMap;

use simile_storage::Batch;

use super::change::Change;
use super::commit::{Added, Done, Group};
use super::engine::damaged;
use super::error::Error;
use super::records::{
    DocumentRecord, EXPIRIES, ExpiryRecord, KEY_LOG, KEYS, KeyLogRecord, KeyRecord, Run,
};
use super::terms::Terms;
use crate::document::{DocumentId, Part, Sequence, Slot};
use crate::ingest::{ContentHash, Prepared};

/// For how many mutations an idempotency key is remembered, and how many are forgotten with a group.
const KEYS_REMEMBERED: u64 = 1_000_000;
const KEYS_FORGOTTEN_MAX: usize = 1_024;

impl<'a> Group<'a> {
    /// Does a mutation on its terms, unless it was done before; hands on the version of the document
    /// that there is.
    pub(super) fn on_terms(
        &mut self,
        id: &DocumentId,
        terms: &Terms,
        mutate: impl FnOnce(&mut Self, Option<DocumentRecord>) -> Result<Added, Error>,
    ) -> Result<Added, Error> {
        let key = terms.key_of(id);
        if let Some(key) = &key
            && let Some(KeyRecord { sequence, was_there }) = self.key(key)?
        {
            let sequence = Sequence(sequence);
            return Ok(Added::Done(Done { sequence, was_there, is_repeat: true }));
        }
        let before = self.document(id)?.filter(|before| !before.is_expired(self.now));
        let stored = before.as_ref().map(|before| Sequence(before.sequence));
        if let Err(error) = terms.check(self.now).and_then(|()| terms.check_state(id, stored)) {
            return Ok(Added::Refused(error));
        }
        let done = mutate(self, before)?;
        if let (Added::Done(done), Some(key)) = (&done, key)
            && !done.is_repeat
        {
            let record = KeyRecord { sequence: done.sequence.0, was_there: done.was_there };
            self.batch.put(&KEYS, &key, &record)?;
            self.batch.put(&KEY_LOG, &record.sequence, &KeyLogRecord { key: key.clone() })?;
            self.keys.insert(key, record);
        }
        Ok(done)
    }

    pub(super) fn key(&self, key: &String) -> Result<Option<KeyRecord>, Error> {
        match self.keys.get(key) {
            Some(record) => Ok(Some(*record)),
            None => Ok(self.engine.database.get(&KEYS, key)?),
        }
    }

    /// Forgets keys of mutations that are long past, a few with each group.
    pub(super) fn forget_keys(&mut self) -> Result<(), Error> {
        let Some(past) = self.ends.last_sequence.checked_sub(KEYS_REMEMBERED) else {
            return Ok(());
        };
        for row in self.engine.database.range(&KEY_LOG, ..=past).take(KEYS_FORGOTTEN_MAX) {
            let (sequence, record) = row?;
            self.batch.remove(&KEY_LOG, &sequence)?;
            self.batch.remove(&KEYS, &record.key)?;
        }
        Ok(())
    }

    /// Stores a document anew with another payload or other vectors: it moves to new slots, whose rows hold the parts
    /// and vectors of the old ones.
    pub(super) fn change(
        &mut self,
        change: &Change,
        before: Option<DocumentRecord>,
    ) -> Result<Added, Error> {
        let Some(before) = before else {
            return Ok(Added::Refused(Error::UnknownDocument(change.id.to_string())));
        };
        let stored = self.stored(&change.id, &before)?;
        let mut prepared = stored.clone();
        let about = &self.engine.kept().settings.about;
        let applied = change.change.apply(&mut prepared);
        let applied = applied.and_then(|()| about.check_payload(&change.id, &prepared.payload));
        if let Err(error) = applied {
            return Ok(Added::Refused(error));
        }
        let expires = change.terms.expires_unix_ms.unwrap_or(before.expires);
        if prepared == stored && expires == before.expires {
            return Ok(Added::Done(self.nothing_done(true)));
        }
        // Not what the source says any more: storing the source again is a change.
        prepared.version = before.version().changed(&self.ends.last_sequence.to_le_bytes());
        self.put(Cow::Owned(prepared), expires)
    }

    /// Returns a stored document in the form in which it can be stored again.
    pub(super) fn stored(
        &self,
        id: &DocumentId,
        record: &DocumentRecord,
    ) -> Result<Prepared, Error> {
        let is_it = |added: &&(Cow<'_, Prepared>, Run)| added.1.first == record.first;
        if let Some((prepared, _)) = self.added.iter().find(is_it) {
            return Ok(Prepared::clone(prepared));
        }
        let engine = self.engine;
        let first = record.first;
        let missing = |table: &str, slot| damaged(table, slot, "missing");
        let body = engine.body(Slot(first))?.ok_or_else(|| missing("body", first))?;
        let (mut parts, mut pictures) = (Vec::new(), BTreeMap::new());
        for (place, slot) in (0..).zip(record.run().slots()) {
            let part = engine.part(Slot(slot))?.ok_or_else(|| missing("part", slot))?;
            let vectors = engine.vectors(Slot(slot))?;
            parts.push(Part { span: part.span.into(), text: part.text, vectors });
            pictures.extend(engine.picture(Slot(slot))?.map(|picture| (place, picture)));
        }
        let file = record.file(id).map(DocumentId::new).transpose()?;
        Ok(Prepared {
            id: id.clone(),
            payload: body.payload,
            parts,
            pictures,
            content: ContentHash(record.content),
            version: record.version(),
            file,
        })
    }

    pub(super) fn expire(&mut self, id: &DocumentId, first: u32) -> Result<Done, Error> {
        match self.document(id)? {
            Some(record) if record.first == first && record.is_expired(self.now) => self.remove(id),
            Some(_) | None => Ok(self.nothing_done(false)),
        }
    }

    pub(super) fn nothing_done(&self, was_there: bool) -> Done {
        Done { sequence: Sequence(self.ends.last_sequence), was_there, is_repeat: true }
    }

    /// Notes for the views which version expires and is new, and which one is gone.
    pub(super) fn note_expiry(&mut self, gone: Option<&DocumentRecord>, new: Option<(u64, Run)>) {
        self.expiring.extend(new.filter(|&(expires, _)| expires != 0));
        let gone = gone.filter(|before| before.expires != 0);
        self.gone.extend(gone.map(|before| (before.expires, before.run())));
    }
}

/// Stores when a version expires, if it does.
pub(super) fn put_expiry(
    rows: &mut Batch,
    id: &DocumentId,
    expires: u64,
    run: Run,
) -> Result<(), Error> {
    if expires != 0 {
        let record = ExpiryRecord { id: id.as_str().to_owned(), parts: run.count };
        rows.put(&EXPIRIES, &(expires, run.first), &record)?;
    }
    Ok(())
}

/// Forgets when a version that is gone expired.
pub(super) fn remove_expiry(rows: &mut Batch, before: &DocumentRecord) -> Result<(), Error> {
    if before.expires != 0 {
        rows.remove(&EXPIRIES, &(before.expires, before.first))?;
    }
    Ok(())
}
