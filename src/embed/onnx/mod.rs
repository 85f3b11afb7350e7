//! How is a network run?
//!
//! The one place that knows ONNX Runtime: finding and loading it, turning weights into graphs, and
//! sessions over them.

mod colbert;
mod cross_encoder;
mod dense;
mod eight_bits;
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
mod reader;
mod reduce;
mod runtime;
mod splade;
mod transformer;
mod weights;
mod words;

pub(super) use colbert::Colbert;
pub(super) use cross_encoder::CrossEncoder;
pub(super) use dense::widths;
pub(super) use eight_bits::in_eight_bits;
pub(super) use family::describe;
pub(super) use joint::{JointNetwork, outputs};
pub(super) use layers::layers;
pub use layers::{Layer, Layers};
pub(super) use network::{Features, PictureNetwork, finished, graph_bytes};
pub use runtime::{RUNTIME_VERSION, Runtime, RuntimeError, RuntimeSearch};
pub(super) use splade::{SCORES_MAX, Splade};
pub(super) use transformer::OutputShape;
pub(super) use transformer::Transformer;
pub use weights::ImportError;
pub(super) use weights::{INDEX, shards};
