//! What is stored, and which of it is meant?
//!
//! A document is a user's unit: an id, a payload, and parts. A part is the unit of search: a span of
//! the document with its vectors. A filter says which documents a question is about.

mod filter;
mod id;
mod part;
mod payload;
mod section;

pub use filter::{Bound, Condition, FieldPath, Filter, FilterError, Range, Scalar};
pub use id::{DOCUMENT_ID_BYTES_MAX, DocumentId, IdError, Sequence, Slot, SlotSet};
pub use part::{Part, Span};
pub use payload::{FieldType, Payload, PayloadError, Value};
pub use section::Section;
