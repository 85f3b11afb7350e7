use ort::session::SessionInputValue;
use ort::value::TensorRef;

use crate::embed::Encoded;

/// Texts of a batch as a network reads them: a row of token ids each, the shorter ones filled up.
#[derive(Debug)]
pub(super) struct Padded {
    /// Texts, and tokens of a row.
    pub(super) shape: [usize; 2],
    /// Row by row.
    pub(super) ids: Vec<i64>,
    /// 1 where there is a token of the text, 0 where the row is filled up.
    pub(super) mask: Vec<i64>,
}

impl Padded {
    /// Returns rows as long as the longest text, filled up with zeros.
    pub(super) fn of(batch: &[&Encoded]) -> Self {
        let longest = batch.iter().map(|text| text.ids.len()).max().unwrap_or(0);
        Self::to_length(batch, longest, 0)
    }

    /// Returns rows of this length: longer texts are cut, shorter ones filled up with `filler`.
    pub(super) fn to_length(batch: &[&Encoded], length: usize, filler: u32) -> Self {
        let mut ids = vec![i64::from(filler); batch.len() * length];
        let mut mask = vec![0; ids.len()];
        for (row, text) in batch.iter().enumerate() {
            for (column, &id) in text.ids.iter().take(length).enumerate() {
                ids[row * length + column] = i64::from(id);
                mask[row * length + column] = 1;
            }
        }
        Self { shape: [batch.len(), length], ids, mask }
    }

    /// Returns an input of the network: its name with values in rows of this shape.
    pub(super) fn input<'a>(
        &self,
        name: &'a str,
        values: &'a [i64],
    ) -> ort::Result<(&'a str, SessionInputValue<'a>)> {
        Ok((name, TensorRef::from_array_view((self.shape, values))?.into()))
    }
}
