//! A text as the mean of the vectors of its tokens: a table and a tokenizer, no network.
//!
//! The table is a safetensors file as the model2vec package writes it (`embeddings`, perhaps `weights` for
//! each token and a `mapping` from tokens to rows; Tulkens and van Dongen 2024) or as
//! sentence-transformers does (`embedding.weight`).

use std::sync::Arc;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::files::Files;
use super::tokenizer::FileTokenizer;
use super::{EmbedError, Embedder, Encoded, Manifest, Specification, TextSettings, Tokenize};
use crate::vector::{DenseVector, Vector};

/// The file of the table.
pub(super) const TABLE: &str = "model.safetensors";
/// What the table may be called in it.
pub(super) const NAMES: [&str; 2] = ["embeddings", "embedding.weight"];

/// A table of token vectors in memory.
#[derive(Debug)]
pub(super) struct StaticText {
    specification: Specification,
    tokenizer: Arc<FileTokenizer>,
    normalizes: bool,
    table: Table,
}

/// The vectors, row-major, and how each token counts.
#[derive(Debug)]
struct Table {
    rows: Rows,
    width: usize,
    /// The row of each token; none if a token's row is its own number.
    mapping: Option<Vec<u32>>,
    weights: Option<Vec<f32>>,
}

#[derive(Debug)]
enum Rows {
    Floats(Vec<f32>),
    Bytes(Vec<i8>),
}

impl StaticText {
    /// Loads the model.
    pub(super) fn load(
        manifest: &Manifest,
        text: &TextSettings,
        files: &Files,
    ) -> Result<Self, EmbedError> {
        let tokenizer = FileTokenizer::bare(&files.read("tokenizer.json")?, text.clone())?;
        let bytes = files.read(TABLE)?;
        let wrong = |reason| EmbedError::Unreadable { path: files.path(TABLE), reason };
        let table = Table::read(&bytes, tokenizer.vocabulary()).map_err(wrong)?;
        if table.width < manifest.dimension {
            let (expected, actual) = (manifest.dimension, table.width);
            return Err(wrong(format!("expected {expected} components, got {actual}")));
        }
        Ok(Self {
            specification: manifest.specification(),
            tokenizer: Arc::new(tokenizer),
            normalizes: text.normalize,
            table,
        })
    }

    fn embed(&self, text: &Encoded) -> Result<Option<Vector>, EmbedError> {
        let mut sum = vec![0.0; self.specification.dimension];
        for &token in &text.ids {
            self.table.add(token as usize, &mut sum);
        }
        let count = text.ids.len().max(1) as f32;
        sum.iter_mut().for_each(|sum| *sum /= count);
        if sum.iter().all(|value| *value == 0.0) {
            return Ok(None);
        }
        let vector = DenseVector::new(sum)?;
        Ok(Some(if self.normalizes { vector.normalized()? } else { vector }.into()))
    }
}

/// Returns how many components a row of the table in a file has.
pub(super) fn width(bytes: &[u8]) -> Result<usize, String> {
    let tensors = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
    match table(&tensors)?.shape() {
        [_, width] => Ok(*width),
        other => Err(format!("the table has the shape {other:?}, expected tokens x components")),
    }
}

fn table<'a>(tensors: &SafeTensors<'a>) -> Result<TensorView<'a>, String> {
    NAMES
        .iter()
        .find_map(|name| tensors.tensor(name).ok())
        .ok_or_else(|| format!("there is no tensor called {}", NAMES.join(" or ")))
}

impl Table {
    /// Reads a table for tokens below `vocabulary`.
    fn read(bytes: &[u8], vocabulary: usize) -> Result<Self, String> {
        let tensors = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
        let view = table(&tensors)?;
        let [count, width] = *view.shape() else {
            let shape = view.shape();
            return Err(format!("the table has the shape {shape:?}, expected tokens x components"));
        };
        if count == 0 || width == 0 {
            return Err(format!("the table is {count} x {width}"));
        }
        let rows = if view.dtype() == Dtype::I8 {
            Rows::Bytes(view.data().iter().map(|byte| byte.cast_signed()).collect())
        } else {
            let values = floats(&view)?;
            if let Some(place) = values.iter().position(|value| !value.is_finite()) {
                return Err(format!("token {} has a component that is no number", place / width));
            }
            Rows::Floats(values)
        };
        let mapping = tensors.tensor("mapping").ok().map(|view| integers(&view)).transpose()?;
        if let Some(row) = mapping.iter().flatten().find(|row| **row as usize >= count) {
            return Err(format!("a token is mapped to row {row} of {count}"));
        }
        let tokens = mapping.as_ref().map_or(count, Vec::len);
        if tokens < vocabulary {
            return Err(format!("the tokenizer has {vocabulary} tokens, the table {tokens}"));
        }
        let weights = tensors.tensor("weights").ok().map(|view| floats(&view)).transpose()?;
        if let Some(weights) = &weights
            && (weights.len() < tokens || weights.iter().any(|weight| !weight.is_finite()))
        {
            let actual = weights.len();
            return Err(format!("expected {tokens} finite weights, got {actual}"));
        }
        Ok(Self { rows, width, mapping, weights })
    }

    /// Adds the vector of a token, cut to the length of the sum.
    fn add(&self, token: usize, sum: &mut [f32]) {
        let weight = self.weights.as_ref().map_or(1.0, |weights| weights[token]);
        let row = self.mapping.as_ref().map_or(token, |mapping| mapping[token] as usize);
        let at = row * self.width..row * self.width + sum.len();
        match &self.rows {
            Rows::Floats(rows) => {
                sum.iter_mut().zip(&rows[at]).for_each(|(sum, value)| *sum += weight * value);
            }
            Rows::Bytes(rows) => {
                sum.iter_mut()
                    .zip(&rows[at])
                    .for_each(|(sum, value)| *sum += weight * f32::from(*value));
            }
        }
    }
}

fn floats(view: &TensorView<'_>) -> Result<Vec<f32>, String> {
    let data = view.data();
    match view.dtype() {
        Dtype::F32 => Ok(values(data, f32::from_le_bytes)),
        Dtype::F16 => Ok(values(data, |bytes| half::f16::from_le_bytes(bytes).to_f32())),
        Dtype::BF16 => Ok(values(data, |bytes| half::bf16::from_le_bytes(bytes).to_f32())),
        #[expect(
            clippy::cast_possible_truncation,
            reason = "single precision is what is counted in"
        )]
        Dtype::F64 => Ok(values(data, |bytes| f64::from_le_bytes(bytes) as f32)),
        other => Err(format!("elements of type {other:?}, expected floats")),
    }
}

fn integers(view: &TensorView<'_>) -> Result<Vec<u32>, String> {
    let rows: Vec<Option<u32>> = match view.dtype() {
        Dtype::I64 => values(view.data(), |bytes| u32::try_from(i64::from_le_bytes(bytes)).ok()),
        Dtype::I32 => values(view.data(), |bytes| u32::try_from(i32::from_le_bytes(bytes)).ok()),
        other => return Err(format!("a mapping of type {other:?}, expected integers")),
    };
    rows.into_iter().collect::<Option<_>>().ok_or_else(|| "a mapping to no row".to_owned())
}

fn values<const N: usize, T>(data: &[u8], value: impl Fn([u8; N]) -> T) -> Vec<T> {
    let (chunks, _) = data.as_chunks::<N>();
    chunks.iter().map(|bytes| value(*bytes)).collect()
}

impl Embedder for StaticText {
    fn specification(&self) -> &Specification {
        &self.specification
    }

    fn tokenizer(&self) -> Arc<dyn Tokenize> {
        Arc::clone(&self.tokenizer) as Arc<dyn Tokenize>
    }

    fn run(&mut self, batch: &[&Encoded]) -> Result<Vec<Option<Vector>>, EmbedError> {
        batch.iter().map(|text| self.embed(text)).collect()
    }
}

#[cfg(test)]
mod tests {
    use safetensors::serialize;

    use super::*;

    fn file(tensors: &[(&str, Dtype, &[usize], Vec<u8>)]) -> Vec<u8> {
        let views = tensors.iter().map(|(name, dtype, shape, data)| {
            (*name, TensorView::new(*dtype, shape.to_vec(), data).unwrap())
        });
        serialize(views, None).unwrap()
    }

    fn bytes(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    #[test]
    fn weights_and_mapping_say_what_of_the_table_a_token_is() {
        let rows = [1, 2, 3, -4].map(|value: i8| value.cast_unsigned()).to_vec();
        let mapping = [1_i64, 1, 0].iter().flat_map(|row| row.to_le_bytes()).collect();
        let bytes = file(&[
            ("embeddings", Dtype::I8, &[2, 2], rows),
            ("mapping", Dtype::I64, &[3], mapping),
            ("weights", Dtype::F32, &[3], bytes(&[1.0, 0.5, 2.0])),
        ]);
        assert_eq!(width(&bytes), Ok(2));
        let table = Table::read(&bytes, 3).unwrap();
        let of = |token| {
            let mut sum = [0.0; 2];
            table.add(token, &mut sum);
            sum
        };
        assert_eq!([of(0), of(1), of(2)], [[3.0, -4.0], [1.5, -2.0], [2.0, 4.0]]);
    }

    #[test]
    fn tables_that_do_not_fit_are_refused_by_what_is_wrong() {
        let floats = |values: &[f32], shape: &[usize]| {
            file(&[("embedding.weight", Dtype::F32, shape, bytes(values))])
        };
        let mapping = |rows: &[i32]| {
            let rows: Vec<u8> = rows.iter().flat_map(|row| row.to_le_bytes()).collect();
            let shape = [rows.len() / 4];
            file(&[
                ("embeddings", Dtype::F32, &[1, 2], bytes(&[1.0, 2.0])),
                ("mapping", Dtype::I32, &shape, rows),
            ])
        };
        let weights = file(&[
            ("embeddings", Dtype::F32, &[2, 1], bytes(&[1.0, 2.0])),
            ("weights", Dtype::F32, &[1], bytes(&[1.0])),
        ]);
        let cases = [
            (b"no table".to_vec(), "header"),
            (file(&[("rows", Dtype::F32, &[1, 1], bytes(&[1.0]))]), "no tensor called embeddings"),
            (floats(&[1.0; 4], &[4]), "the shape [4]"),
            (floats(&[], &[0, 2]), "0 x 2"),
            (floats(&[1.0, f32::NAN, 3.0, 4.0], &[2, 2]), "token 0 has a component"),
            (floats(&[1.0, 2.0], &[1, 2]), "2 tokens, the table 1"),
            (mapping(&[0, 1]), "row 1 of 1"),
            (mapping(&[0, -1]), "mapping to no row"),
            (mapping(&[0]), "2 tokens, the table 1"),
            (weights, "expected 2 finite weights, got 1"),
        ];
        for (bytes, reason) in cases {
            let error = Table::read(&bytes, 2).unwrap_err().to_lowercase();
            assert!(error.contains(reason), "expected {reason:?} in {error:?}");
        }
    }
}
