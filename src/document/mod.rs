//! What is stored, and which of it is meant?
//!
//! A document is a user's unit: an id, a payload, and parts. A part is the unit of search: a span of
//! the document with its vectors. A filter says which documents a question is about.

mod filter;
mod id;
mod part;
mod payload;
mod section;
mod values;
pub mod words;

pub use filter::{
    Bound, Condition, FILTER_CONDITIONS_MAX, FILTER_DEPTH_MAX, FILTER_PREFIX_BYTES_MAX,
    FILTER_VALUES_MAX, FieldPath, Filter, FilterError, GeoBox, GeoPoint, GeoRadius, Range, Scalar,
};
pub use id::{DOCUMENT_ID_BYTES_MAX, DocumentId, IdError, Sequence, Slot, SlotSet};
pub use part::{Part, Span};
pub use payload::{
    FIELD_NAME_BYTES_MAX, FieldType, FieldTypes, PAYLOAD_BYTES_MAX, PAYLOAD_DEPTH_MAX, Payload,
    PayloadError, Value, check_payload, for_each_leaf, parse_datetime, payload_from_json,
    payload_to_json,
};
pub use section::Section;
pub use values::{for_each_list, values_at};
