//! Layers that vectors go through once their tokens are joined, or before: small beside the network, so
//! they are computed here whichever way it came.

use super::weights::{ImportError, Weights};
use crate::embed::files::Files;
use crate::embed::{Bend, DenseSettings, EmbedError};
use crate::vector::kernel;

/// A layer with its weights.
#[derive(Debug)]
pub(super) struct Dense {
    /// Components that come out x those that go in, row-major.
    weight: Vec<f32>,
    bias: Option<Vec<f32>>,
    bend: Bend,
    from: usize,
    residual: Residual,
}

#[derive(Debug)]
enum Residual {
    None,
    Itself,
    /// Its products with rows of weights.
    By(Vec<f32>),
}

impl Dense {
    /// Reads the layers of a model.
    pub(super) fn read_all(
        layers: &[DenseSettings],
        files: &Files,
        name: &str,
    ) -> Result<Vec<Self>, EmbedError> {
        let read = |settings: &DenseSettings| -> Result<Self, EmbedError> {
            Self::read(&files.read(&settings.file)?, settings)
                .map_err(|source| EmbedError::Import { name: name.to_owned(), source })
        };
        let layers: Vec<Self> = layers.iter().map(read).collect::<Result<_, _>>()?;
        if let Some(pair) = layers.windows(2).find(|pair| pair[0].to() != pair[1].from) {
            let (to, from) = (pair[0].to(), pair[1].from);
            let reason = format!("a layer gives {to} components, the next one reads {from}");
            return Err(EmbedError::Failed { name: name.to_owned(), reason });
        }
        Ok(layers)
    }

    fn read(bytes: &[u8], settings: &DenseSettings) -> Result<Self, ImportError> {
        let weights = Weights::read([bytes])?;
        let [to, from] = weights.matrix("linear.weight")?;
        let weight = weights.get("linear.weight", &[to, from])?;
        let bias = weights.find("linear.bias", &[to])?;
        let residual = if !settings.residual {
            Residual::None
        } else if let Some(by) = weights.find("residual.weight", &[to, from])? {
            Residual::By(by)
        } else if to == from {
            Residual::Itself
        } else {
            // Whoever is not as wide cannot be added.
            weights.get("residual.weight", &[to, from])?;
            Residual::None
        };
        Ok(Self { weight, bias, bend: settings.bend, from, residual })
    }

    /// Returns how many components come out.
    pub(super) fn to(&self) -> usize {
        self.weight.len() / self.from.max(1)
    }

    /// Returns how many components go in.
    pub(super) fn from(&self) -> usize {
        self.from
    }

    /// Returns what comes out for one vector.
    pub(super) fn apply(&self, input: &[f32]) -> Vec<f32> {
        let mut output: Vec<f32> =
            self.weight.chunks_exact(self.from).map(|row| kernel::dot(row, input)).collect();
        if let Some(bias) = &self.bias {
            output.iter_mut().zip(bias).for_each(|(value, bias)| *value += bias);
        }
        output.iter_mut().for_each(|value| *value = self.bend.of(*value));
        match &self.residual {
            Residual::None => {}
            Residual::Itself => {
                output.iter_mut().zip(input).for_each(|(value, kept)| *value += kept);
            }
            Residual::By(by) => {
                let kept = by.chunks_exact(self.from).map(|row| kernel::dot(row, input));
                output.iter_mut().zip(kept).for_each(|(value, kept)| *value += kept);
            }
        }
        output
    }
}

/// Returns how wide the vectors of a file with a layer's weights are: what comes out, and what goes in.
pub(in crate::embed) fn widths(bytes: &[u8]) -> Result<[usize; 2], ImportError> {
    Weights::read([bytes])?.matrix("linear.weight")
}
