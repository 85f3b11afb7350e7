//! How is a network run?
//!
//! The one place that knows ONNX Runtime: finding and loading it, turning weights into graphs, and
//! sessions over them.

mod cross_encoder;
mod encoder;
mod family;
mod graph;
mod joint;
mod layers;
mod modern;
mod network;
mod padded;
mod pooling;
mod prune;
mod reduce;
mod runtime;
mod transformer;
mod weights;

pub(super) use cross_encoder::CrossEncoder;
pub(super) use family::describe;
pub(super) use joint::{JointNetwork, outputs};
pub(super) use layers::layers;
pub use layers::{Layer, Layers};
pub(super) use network::{Features, PictureNetwork, finished, graph_bytes};
pub use runtime::{RUNTIME_VERSION, Runtime, RuntimeError, RuntimeSearch};
pub(super) use transformer::OutputShape;
pub(super) use transformer::Transformer;
pub use weights::ImportError;
