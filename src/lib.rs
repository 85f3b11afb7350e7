#![doc = include_str!("README.md")]

pub mod access;
pub mod cancel;
pub mod chunk;
pub mod cli;
pub mod cluster;
pub mod collection;
pub mod config;
pub mod decode;
pub mod document;
pub mod embed;
pub mod error;
pub mod evaluate;
mod fail;
pub mod index;
pub mod ingest;
pub mod picture;
pub mod query;
pub mod reach;
pub mod server;
pub mod telemetry;
pub mod vector;
