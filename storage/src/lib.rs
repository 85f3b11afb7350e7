#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod batch;
mod contents;
mod database;
mod engine;
mod error;
mod group;
mod key;
mod lock;
mod promise;
mod record;
mod scan;
mod sync;
mod table;

pub use batch::{BATCH_BYTES_MAX, Batch};
pub use database::{Database, Options};
pub use error::{ReadOnlyReason, StorageError, StorageErrorKind};
pub use key::{KEY_BYTES_MAX, Key, KeyError, Leading};
pub use lock::FileLock;
pub use record::{FormatError, Record, VALUE_BYTES_MAX, decode_payload};
pub use scan::Scan;
pub use sync::{Fdatasync, SyncFile};
pub use table::Table;
