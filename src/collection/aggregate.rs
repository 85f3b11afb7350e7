use std::collections::HashMap;

use rand::SeedableRng as _;
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};
use rayon::slice::ParallelSlice as _;

use super::documents::{PAGE_MAX, StoredDocument};
use super::engine::damaged;
use super::error::Error;
use super::open::Collection;
use super::view::View;
use crate::cancel::Cancellation;
use crate::document::{DocumentId, FieldPath, Filter, FilterError, Slot, Value, values_at};
use crate::query::{OrderBy, OrderKey, order_key};

/// The most values of one facet, and the most distinct ones that are counted to find them.
const FACET_VALUES_MAX: usize = 10_000;
const FACET_DISTINCT_MAX: usize = 1_000_000;
/// How many documents a thread reads at a time.
const READ_STEP: usize = 1_024;

/// A value of a field and how many documents have it.
#[derive(Debug, Clone, PartialEq)]
pub struct FacetValue {
    /// The value.
    pub value: Value,
    /// The documents that have it.
    pub documents: u64,
}

/// A page of documents in the order of a field.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderedPage {
    /// The documents.
    pub documents: Vec<StoredDocument>,
    /// Where the next page begins, if there is one: after the document of this id, which has this
    /// value.
    pub next: Option<(Value, DocumentId)>,
}

impl Collection {
    /// Returns the values of a field with the number of documents that have each, of those that the
    /// filter means: the most frequent `limit`, the most frequent first, equal ones in the order of
    /// the values. Reads every document that the filter means.
    ///
    /// # Errors
    /// Invalid input for a field that no document has, a limit out of 1 to 10,000, or more than
    /// 1,000,000 distinct values; a filter that does not fit; cancelled.
    pub fn facet(
        &self,
        path: &FieldPath,
        filter: Option<&Filter>,
        limit: usize,
        cancel: &Cancellation,
    ) -> Result<Vec<FacetValue>, Error> {
        if limit == 0 || limit > FACET_VALUES_MAX {
            return Err(Error::TooMuch { what: "limit", limit: FACET_VALUES_MAX, actual: limit });
        }
        let view = self.view();
        check_field(&view, path)?;
        type Counts = HashMap<String, FacetValue>;
        let count = |starts: &[u32]| -> Result<Counts, Error> {
            cancel.check()?;
            let mut counts = Counts::new();
            for &first in starts {
                for value in values_at(&self.engine.field(Slot(first), path)?, &path.0) {
                    let entry = counts.entry(value.to_key());
                    entry.or_insert(FacetValue { value, documents: 0 }).documents += 1;
                }
            }
            Ok(counts)
        };
        let join = |mut one: Counts, other: Counts| -> Result<Counts, Error> {
            for (key, counted) in other {
                let entry = one.entry(key);
                let value = counted.value;
                entry.or_insert(FacetValue { value, documents: 0 }).documents += counted.documents;
            }
            let (what, limit) = ("distinct values of a facet", FACET_DISTINCT_MAX);
            if one.len() > limit {
                return Err(Error::TooMuch { what, limit, actual: one.len() });
            }
            Ok(one)
        };
        let starts = self.starts(&view, filter)?;
        // Few are read at once: to wait for another thread would take longer.
        let counts = if starts.len() <= READ_STEP {
            join(Counts::new(), count(&starts)?)?
        } else {
            starts.par_chunks(READ_STEP).map(count).try_reduce(Counts::new, join)?
        };
        let mut values: Vec<(Option<OrderKey>, FacetValue)> =
            counts.into_values().map(|counted| (OrderKey::of(&counted.value), counted)).collect();
        values.sort_by(|a, b| b.1.documents.cmp(&a.1.documents).then_with(|| a.0.cmp(&b.0)));
        values.truncate(limit);
        Ok(values.into_iter().map(|(_, counted)| counted).collect())
    }

    /// Returns up to `limit` documents in the order of a field, equal ones by id, after a place in
    /// that order; documents without a value in the field are left out. Reads every document that
    /// the filter means.
    ///
    /// # Errors
    /// Invalid input for a field that no document has, a limit out of 1 to 1,000, or a filter that
    /// does not fit; cancelled.
    pub fn scroll_ordered(
        &self,
        filter: Option<&Filter>,
        order: &OrderBy,
        after: Option<&(Value, DocumentId)>,
        limit: usize,
        (with_parts, with_vectors): (bool, bool),
        cancel: &Cancellation,
    ) -> Result<OrderedPage, Error> {
        check_page(limit)?;
        let view = self.view();
        check_field(&view, &order.path)?;
        let after = match after {
            Some((value, id)) => match OrderKey::of(value) {
                Some(key) => Some((key, id.clone())),
                None => return Err(Error::Settings("nothing stands after null".into())),
            },
            None => None,
        };
        type Row = (OrderKey, DocumentId, Value, u32);
        let compare = |a: &(&OrderKey, &DocumentId), b: &(&OrderKey, &DocumentId)| {
            order.compare(a.0, b.0).then_with(|| a.1.cmp(b.1))
        };
        let first_of = |mut rows: Vec<Row>| {
            rows.sort_by(|a, b| compare(&(&a.0, &a.1), &(&b.0, &b.1)));
            rows.truncate(limit + 1);
            rows
        };
        let read = |starts: &[u32]| -> Result<Vec<Row>, Error> {
            cancel.check()?;
            let mut rows = Vec::new();
            for &first in starts {
                let body = self.engine.body(Slot(first))?;
                let body = body.ok_or_else(|| damaged("body", first, "missing"))?;
                let Some((key, value)) = order_key(&body.payload, order) else { continue };
                let is_after = after.as_ref().is_none_or(|(after, id)| {
                    compare(&(after, id), &(&key, &body.id)) == std::cmp::Ordering::Less
                });
                if is_after {
                    rows.push((key, body.id, value, first));
                }
            }
            Ok(first_of(rows))
        };
        let starts = self.starts(&view, filter)?;
        let join = |mut one: Vec<Row>, other: Vec<Row>| {
            one.extend(other);
            Ok(first_of(one))
        };
        let rows: Vec<Row> = if starts.len() <= READ_STEP {
            read(&starts)?
        } else {
            starts.par_chunks(READ_STEP).map(read).try_reduce(Vec::new, join)?
        };
        let has_more = rows.len() > limit;
        let mut documents = Vec::with_capacity(rows.len().min(limit));
        let mut next = None;
        for (_, id, value, first) in rows.into_iter().take(limit) {
            documents.push(self.stored(Slot(first), with_parts, with_vectors)?);
            next = Some((value, id));
        }
        Ok(OrderedPage { documents, next: next.filter(|_| has_more) })
    }

    /// Returns up to `limit` documents that the filter means, drawn at random without repetition;
    /// the same seed draws the same from the same documents.
    ///
    /// # Errors
    /// Invalid input for a limit out of 1 to 1,000 or a filter that does not fit.
    pub fn draw(
        &self,
        filter: Option<&Filter>,
        seed: u64,
        limit: usize,
        with_parts: bool,
        with_vectors: bool,
    ) -> Result<Vec<StoredDocument>, Error> {
        check_page(limit)?;
        let view = self.view();
        let starts = self.starts(&view, filter)?;
        let mut random = rand::rngs::StdRng::seed_from_u64(seed);
        let drawn = rand::seq::index::sample(&mut random, starts.len(), limit.min(starts.len()));
        let stored = |place: usize| self.stored(Slot(starts[place]), with_parts, with_vectors);
        drawn.into_vec().into_par_iter().map(stored).collect()
    }

    /// Returns the first slots of the documents that the filter means, ascending.
    fn starts(&self, view: &View, filter: Option<&Filter>) -> Result<Vec<u32>, Error> {
        self.check_tenant(filter)?;
        Ok((&*self.allowed(view, filter)? & &view.starts).iter().collect())
    }
}

fn check_page(limit: usize) -> Result<(), Error> {
    if limit == 0 || limit > PAGE_MAX {
        return Err(Error::TooMuch { what: "limit", limit: PAGE_MAX, actual: limit });
    }
    Ok(())
}

fn check_field(view: &View, path: &FieldPath) -> Result<(), Error> {
    if view.fields.get(&path.0).is_none() {
        return Err(FilterError::unknown_field(path, &view.fields).into());
    }
    Ok(())
}
