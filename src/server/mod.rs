//! How does the outside reach it? gRPC: wire types, statuses, deadlines and streams end here.
//!
//! Asynchronous code only waits. Every request that computes or reads goes once to a pool of threads
//! behind a bounded queue, and carries a token that ends it with its deadline or its caller.

mod core;
mod guard;
mod http;
mod listen;
mod meter;
mod models;
mod options;
mod origins;
mod pool;
mod qdrant;
mod services;
mod status;
mod tls;
mod trace;
mod translate;
mod transport;

pub use guard::{Access, METHODS, Need, Place};
pub use models::Report;
pub use options::{ServerOptions, Tls};
pub use tls::{Certificates, TlsError};
pub use trace::TraceOptions;
pub use transport::{Server, ServerError};
