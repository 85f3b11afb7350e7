use crate::picture::Picture;

/// The widest picture that is looked at pixel by pixel; a wider one is thinned out first.
const WIDTH_MAX: u32 = 256;
/// Darker than this on average, with hardly any contrast: nothing was filmed.
const BLACK_BRIGHTNESS: f64 = 16.0;
const BLACK_CONTRAST: f64 = 8.0;
/// Less contrast than this is a plain colour.
const BLANK_CONTRAST: f64 = 3.0;
/// A variance of the Laplacian below this is out of focus; 100 is the value in common use.
const BLURRED_SHARPNESS: f64 = 100.0;

/// What can be said of a frame without knowing what it shows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Look {
    /// The mean luma, 0 to 255.
    pub brightness: f64,
    /// The standard deviation of the luma.
    pub contrast: f64,
    /// The variance of the Laplacian of the luma (Pech-Pacheco et al. 2000): high at sharp edges.
    pub sharpness: f64,
}

impl Look {
    /// Returns whether the frame is dark all over.
    pub fn is_black(&self) -> bool {
        self.brightness < BLACK_BRIGHTNESS && self.contrast < BLACK_CONTRAST
    }

    /// Returns whether the frame is of one colour, black ones included.
    pub fn is_blank(&self) -> bool {
        self.is_black() || self.contrast < BLANK_CONTRAST
    }

    /// Returns whether the frame is out of focus, or shows nothing with an edge.
    pub fn is_blurred(&self) -> bool {
        self.sharpness < BLURRED_SHARPNESS
    }
}

/// Returns what a frame looks like.
pub fn look(picture: &Picture) -> Look {
    let step = (picture.width() / WIDTH_MAX).max(1) as usize;
    let rows: Vec<Vec<f64>> = (0..picture.height())
        .step_by(step)
        .map(|row| picture.row(row).chunks_exact(3).step_by(step).map(luma).collect())
        .collect();
    let (brightness, variance) = moments(rows.iter().flatten().copied());
    let inner = |length: usize| 1..length.saturating_sub(1);
    let edges = inner(rows.len()).flat_map(|row| {
        let (above, here, below) = (&rows[row - 1], &rows[row], &rows[row + 1]);
        inner(here.len()).map(move |column| {
            above[column] + below[column] + here[column - 1] + here[column + 1] - 4.0 * here[column]
        })
    });
    let (_, sharpness) = moments(edges);
    Look { brightness, contrast: variance.sqrt(), sharpness }
}

/// Returns the luma of BT.601, 0 to 255.
fn luma(pixel: &[u8]) -> f64 {
    0.299 * f64::from(pixel[0]) + 0.587 * f64::from(pixel[1]) + 0.114 * f64::from(pixel[2])
}

/// Returns mean and variance; nothing of nothing.
fn moments(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (mut number, mut mean, mut squares) = (0.0, 0.0, 0.0);
    for value in values {
        // Welford's way, which does not take a small difference of two large sums.
        number += 1.0;
        let off = value - mean;
        mean += off / number;
        squares += off * (value - mean);
    }
    if number > 0.0 { (mean, squares / number) } else { (0.0, 0.0) }
}
