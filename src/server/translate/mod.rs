//! Wire types to those of the domain and back. Whatever comes from outside is checked here or by the
//! constructors that are called here; nothing behind the server sees a wire type.

mod cluster;
mod collection;
mod document;
mod filter;
mod question;
mod search;
mod snapshot;
mod terms;
mod value;

pub(super) use cluster::{cluster_request, clustering_to_wire};
pub(super) use collection::{collection_change, collection_to_wire, new_collection, new_vector};
pub(super) use document::{
    item_error_to_wire, item_result_to_wire, stage, stored_document_to_wire, upsert,
};
pub(super) use filter::{filter, optional_filter};
pub(super) use question::search_request;
pub(super) use search::{answer_to_wire, batch_result_to_wire, explanation_to_wire};
pub(super) use snapshot::{alias_change, snapshot_to_wire};
pub(super) use terms::{DocumentsChange, change, terms, updated_to_wire, vectors_change};
pub(super) use value::{
    cursor, cursor_to_wire, document_id, document_ids, multi_to_wire, payload, value_to_wire,
};

use crate::document::{FilterError, IdError, PayloadError};
use crate::error::{Classified, ErrorKind};
use crate::query::PlanError;
use crate::vector::VectorError;

/// Why a message does not mean anything.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    /// A field that has to be there.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// More than one request may carry.
    #[error("{what}: at most {most} in one request, got {actual}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The most.
        most: usize,
        /// What there was.
        actual: usize,
    },
    /// A number out of its range.
    #[error("{what} is {actual}, expected {least} to {most}")]
    OutOfRange {
        /// Which number.
        what: &'static str,
        /// What it is.
        actual: u64,
        /// The least it may be.
        least: u64,
        /// The most it may be.
        most: u64,
    },
    /// An enum value that this server does not know.
    #[error("{what} {actual} is not known")]
    UnknownChoice {
        /// Which enum.
        what: &'static str,
        /// Its number.
        actual: i32,
    },
    /// A method of fitting models, or its options.
    #[error("method `{method}`: {reason}")]
    Recipe {
        /// The method.
        method: String,
        /// What is wrong.
        reason: String,
    },
    /// A picture or a video in a form that is none.
    #[error("{0} is no base64: expected the bytes of its file, or `data:image/..;base64,..`")]
    NoBase64(&'static str),
    /// A picture or a video that is to be fetched.
    #[error(
        "{what} by address (`{scheme}:`) is not supported: nothing is fetched for a request, send the \
         bytes of its file as base64"
    )]
    FileAddress {
        /// What it is.
        what: &'static str,
        /// How the address begins.
        scheme: String,
    },
    /// Something that the message can say and this server cannot do.
    #[error("{0} is not supported")]
    Unsupported(String),
    /// A vector under a name.
    #[error("vector `{name}`: {source}")]
    Vector {
        /// The name.
        name: String,
        /// What is wrong.
        source: VectorError,
    },
    /// A vector in two forms.
    #[error("vector `{0}` is given in two forms")]
    BothForms(String),
    /// A vector that is to be there and not to be there.
    #[error("vector `{0}` is set and deleted")]
    SetAndDeleted(String),
    /// Vectors where there are to be none.
    #[error("a collection of words only has no vectors, got {0}")]
    WordsOnly(usize),
    /// A place in an order that no page before gave.
    #[error("`after` is no `next_after` of an ordered page")]
    Cursor,
    /// A span that ends before it starts.
    #[error("a span goes from byte {start} to {end}, expected it to end after it starts")]
    Span {
        /// Its start.
        start: u64,
        /// Its end.
        end: u64,
    },
    /// A span of time without an end, or one that ends before it starts.
    #[error("a span goes from {start} ms to {end} ms, expected both ends, the later one last")]
    SpanOfTime {
        /// Its start.
        start: u64,
        /// Its end.
        end: u64,
    },
    /// A span of two kinds.
    #[error("a span has a range of text and one of time or picture, expected one of them")]
    SpanOfBoth,
    /// An area without a pixel.
    #[error("a span's area is {width} by {height} pixels, expected at least 1 by 1")]
    EmptyArea {
        /// Its width.
        width: u32,
        /// Its height.
        height: u32,
    },
    /// A document id.
    #[error(transparent)]
    Id(#[from] IdError),
    /// A payload.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// A filter.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// A question.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

impl Classified for WireError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Missing(_)
            | Self::TooMany { .. }
            | Self::OutOfRange { .. }
            | Self::Recipe { .. }
            | Self::UnknownChoice { .. }
            | Self::Vector { .. }
            | Self::BothForms(_)
            | Self::WordsOnly(_)
            | Self::SetAndDeleted(_)
            | Self::NoBase64(_)
            | Self::Cursor
            | Self::Span { .. }
            | Self::SpanOfTime { .. }
            | Self::SpanOfBoth
            | Self::EmptyArea { .. } => ErrorKind::InvalidInput,
            Self::Unsupported(_) | Self::FileAddress { .. } => ErrorKind::Unsupported,
            Self::Id(error) => error.kind(),
            Self::Payload(error) => error.kind(),
            Self::Filter(error) => error.kind(),
            Self::Plan(error) => error.kind(),
        }
    }
}

impl From<WireError> for tonic::Status {
    fn from(error: WireError) -> Self {
        super::status::of(&error)
    }
}

/// Checks that a request does not carry more than it may.
pub(super) fn at_most(what: &'static str, actual: usize, most: usize) -> Result<(), WireError> {
    if actual > most { Err(WireError::TooMany { what, most, actual }) } else { Ok(()) }
}
