//! How does what a layer gives become a vector?

use crate::embed::Grid;
use crate::embed::image::{Layout, Reduction};

/// What a generalised mean raises to, and the least that it raises (Radenović et al. 2018).
const EXPONENT: f32 = 3.0;
const LEAST: f32 = 1e-6;

/// What a layer gives for one picture, by its dimensions without the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Given {
    /// A vector.
    Vector(usize),
    /// A vector for each token.
    Tokens { count: usize, width: usize },
    /// A value for each channel, row and column.
    Map(Grid),
}

impl Given {
    /// Returns what these dimensions are, of a network with this layout.
    pub(super) fn of(dimensions: &[usize], layout: Layout) -> Result<Self, String> {
        let given = match *dimensions {
            [width] => Self::Vector(width),
            [count, width] => Self::Tokens { count, width },
            [channels, rows, columns] if layout == Layout::Nchw => {
                Self::Map(Grid { channels, rows, columns })
            }
            [rows, columns, channels] => Self::Map(Grid { channels, rows, columns }),
            _ => {
                let rank = dimensions.len() + 1;
                return Err(format!("the layer has {rank} dimensions, expected 2 to 4"));
            }
        };
        Ok(given)
    }
}

/// Returns the vector that a reduction makes of the values of one picture.
pub(super) fn reduce(
    values: &[f32],
    given: Given,
    layout: Layout,
    reduction: Reduction,
) -> Result<Vec<f32>, String> {
    let (places, channels) = match given {
        Given::Vector(_) => return Ok(values.to_vec()),
        Given::Tokens { width, .. } if reduction == Reduction::Cls => {
            return Ok(values[..width].to_vec());
        }
        Given::Tokens { .. } if reduction == Reduction::Flatten => return Ok(values.to_vec()),
        Given::Tokens { count, width } => (count, width),
        Given::Map(_) if reduction == Reduction::Cls => {
            return Err("the layer is a feature map and has no first token".to_owned());
        }
        Given::Map(grid) => (grid.rows * grid.columns, grid.channels),
    };
    let is_last = matches!(given, Given::Tokens { .. }) || layout == Layout::Nhwc;
    let value = |channel: usize, place: usize| {
        if is_last { values[place * channels + channel] } else { values[channel * places + place] }
    };
    if reduction == Reduction::Flatten {
        let channel = |channel| (0..places).map(move |place| value(channel, place));
        return Ok((0..channels).flat_map(channel).collect());
    }
    let of = |channel: usize| {
        let all = (0..places).map(|place| value(channel, place));
        match reduction {
            Reduction::Max => all.fold(f32::MIN, f32::max),
            Reduction::Gem => {
                let sum: f32 = all.map(|value| value.max(LEAST).powf(EXPONENT)).sum();
                (sum / places as f32).powf(1.0 / EXPONENT)
            }
            Reduction::Mean | Reduction::Flatten | Reduction::Cls => {
                all.sum::<f32>() / places as f32
            }
        }
    };
    Ok((0..channels).map(of).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRID: Grid = Grid { channels: 2, rows: 1, columns: 3 };

    fn reduced(values: &[f32], given: Given, layout: Layout, reduction: Reduction) -> Vec<f32> {
        reduce(values, given, layout, reduction).unwrap()
    }

    #[test]
    fn a_feature_map_is_reduced_alike_in_both_layouts() {
        let map = Given::Map(GRID);
        let rows = [1.0, 2.0, 3.0, -4.0, -5.0, 0.0];
        let pixels = [1.0, -4.0, 2.0, -5.0, 3.0, 0.0];
        let gem = (36.0_f32 / 3.0).powf(1.0 / 3.0);
        for (reduction, expected) in [
            (Reduction::Flatten, rows.to_vec()),
            (Reduction::Mean, vec![2.0, -3.0]),
            (Reduction::Max, vec![3.0, 0.0]),
            (Reduction::Gem, vec![gem, 1e-6]),
        ] {
            for (values, layout) in [(rows, Layout::Nchw), (pixels, Layout::Nhwc)] {
                let vector = reduced(&values, map, layout, reduction);
                let far = vector.iter().zip(&expected).any(|(a, b)| (a - b).abs() > 1e-5);
                assert!(!far && vector.len() == expected.len(), "{reduction:?}: {vector:?}");
            }
        }
        assert!(reduce(&rows, map, Layout::Nchw, Reduction::Cls).is_err());
    }

    #[test]
    fn tokens_have_a_first_one_and_lie_one_after_another_in_any_layout() {
        let tokens = Given::Tokens { count: 2, width: 2 };
        let values = [1.0, 2.0, 3.0, 6.0];
        for layout in [Layout::Nchw, Layout::Nhwc] {
            assert_eq!(reduced(&values, tokens, layout, Reduction::Cls), [1.0, 2.0]);
            assert_eq!(reduced(&values, tokens, layout, Reduction::Mean), [2.0, 4.0]);
            assert_eq!(reduced(&values, tokens, layout, Reduction::Flatten), values);
        }
        let vector = Given::of(&[4], Layout::Nchw).unwrap();
        assert_eq!(reduced(&values, vector, Layout::Nchw, Reduction::Mean), values);
    }

    #[test]
    fn dimensions_are_read_by_the_layout_of_the_network() {
        let map = |dimensions: [usize; 3], layout| Given::of(&dimensions, layout);
        assert_eq!(map([2, 1, 3], Layout::Nchw), Ok(Given::Map(GRID)));
        assert_eq!(map([1, 3, 2], Layout::Nhwc), Ok(Given::Map(GRID)));
        assert!(Given::of(&[], Layout::Nchw).is_err());
        assert!(Given::of(&[1, 2, 3, 4], Layout::Nchw).is_err());
    }
}
