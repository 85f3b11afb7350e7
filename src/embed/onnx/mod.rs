//! How is a network run?
//!
//! The one place that knows ONNX Runtime: finding and loading it, turning weights into graphs, and
//! sessions over them.

mod bert;
mod graph;
mod runtime;
mod transformer;

pub use bert::ImportError;
pub use runtime::{RUNTIME_VERSION, Runtime, RuntimeError, RuntimeSearch};
pub(super) use transformer::Transformer;
