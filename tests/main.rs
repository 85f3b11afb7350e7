//! The behaviour of the whole, in one binary, so that the engines are linked once.

mod embedding;
mod layers;
mod support;
