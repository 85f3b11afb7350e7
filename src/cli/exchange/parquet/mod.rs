//! Parquet: a row for each part, with a column for each vector.
//!
//! The columns are `id`, `part` (its number in the document), `text`, `span` and `payload` (JSON),
//! `expires_unix_ms`, and `vector_NAME` for each vector: a list of floats, a list of such lists for
//! several vectors, or a struct of indices and values. The rows of a document follow one another. What
//! the collection is like stands in the metadata of the file, under the name that begins the lines of
//! JSON, too. Files of others need an id only.

mod read;
#[cfg(test)]
mod tests;
mod value;
mod write;

pub(super) use read::{Columns, MAGIC, Rows};
pub(super) use write::Table;

/// What the columns of vectors begin with: a vector may be called `text`.
const VECTOR: &str = "vector_";
/// Columns that every export has.
const ID: &str = "id";
const PART: &str = "part";
const TEXT: &str = "text";
const SPAN: &str = "span";
const PAYLOAD: &str = "payload";
const EXPIRES: &str = "expires_unix_ms";
const INDICES: &str = "indices";
const VALUES: &str = "values";
