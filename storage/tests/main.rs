//! What the storage package promises, each in a file: reading back what was written, surviving
//! a kill, noticing damage, and ending all writing after a failed sync.

mod corruption;
mod fixture;
mod kill;
mod lifecycle;
mod model;
mod sync_failure;
