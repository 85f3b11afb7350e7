//! The behaviour of the whole, in one binary, so that the engines are linked once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails that way")]

mod embedding;
mod layers;
mod sparse;
mod support;
