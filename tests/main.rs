//! The behaviour of the whole, in one binary, so that the engines are linked once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails that way")]

#[cfg(unix)]
mod apart;
#[cfg(unix)]
mod cli;
mod dense;
mod documents;
mod durability;
mod embedding;
mod families;
mod fuzzing;
mod gates;
mod joint;
mod late;
mod layers;
mod models;
mod networks;
#[cfg(unix)]
mod obtain;
mod own_networks;
mod pictures;
mod reach;
mod recall;
mod remote;
mod rpc;
mod small;
mod sound;
mod sparse;
mod support;
mod tokens;
mod torchvision;
mod video;
