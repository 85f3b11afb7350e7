//! What the storage package promises, each in a file: reading back what was written, surviving
//! a kill, noticing damage, and ending all writing after a failed sync.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "all of it is tests, also what is not marked as one"
)]

mod corruption;
mod fixture;
mod kill;
mod lifecycle;
mod model;
mod sync_failure;
