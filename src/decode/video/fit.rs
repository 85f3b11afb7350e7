use crate::picture::Picture;

/// Returns the size that a picture is brought to: its pixels square, neither side longer than
/// `side_max`, and no larger than it was.
pub(super) fn fitting(width: u32, height: u32, aspect: (u32, u32), side_max: u32) -> (u32, u32) {
    let (across, down) = match aspect {
        (0, _) | (_, 0) => (1.0, 1.0),
        (across, down) => (f64::from(across), f64::from(down)),
    };
    let wide = f64::from(width) * across / down;
    let high = f64::from(height);
    let scale = (f64::from(side_max.max(1)) / wide.max(high)).min(1.0);
    let side = |length: f64| ((length * scale).round() as u32).clamp(1, side_max.max(1));
    (side(wide), side(high))
}

/// Returns the picture in another size: each pixel the mean of those it covers.
pub(super) fn resized(picture: Picture, width: u32, height: u32) -> Picture {
    if (picture.width(), picture.height()) == (width, height) {
        return picture;
    }
    let columns = shares(picture.width(), width);
    let rows = shares(picture.height(), height);
    let mut samples = Vec::with_capacity(width as usize * height as usize * 3);
    // One row of sums at a time: first down, then across.
    let mut sums = vec![0.0_f32; picture.width() as usize * 3];
    for (first, weights) in &rows {
        sums.fill(0.0);
        for (row, weight) in (*first..).zip(weights) {
            for (sum, &sample) in sums.iter_mut().zip(picture.row(row)) {
                *sum += weight * f32::from(sample);
            }
        }
        for (first, weights) in &columns {
            for channel in 0..3 {
                let places = (*first as usize * 3 + channel..).step_by(3);
                let mean: f32 = places.zip(weights).map(|(at, weight)| sums[at] * weight).sum();
                samples.push(mean.round().clamp(0.0, 255.0) as u8);
            }
        }
    }
    Picture::new(width, height, samples).unwrap_or(picture)
}

/// Returns, for each of `to` pixels, the first of the `from` pixels that it covers and how much of its
/// value each gives.
fn shares(from: u32, to: u32) -> Vec<(u32, Vec<f32>)> {
    let step = f64::from(from) / f64::from(to);
    let share = |pixel: u32| {
        let (start, end) = (f64::from(pixel) * step, f64::from(pixel + 1) * step);
        let first = (start as u32).min(from - 1);
        let last = ((end.ceil() as u32).max(first + 1)).min(from);
        let overlap = |at: u32| (end.min(f64::from(at + 1)) - start.max(f64::from(at))).max(0.0);
        let weights: Vec<f64> = (first..last).map(overlap).collect();
        let whole: f64 = weights.iter().sum();
        let even = |weight: f64| if whole > 0.0 { weight / whole } else { 1.0 };
        (first, weights.into_iter().map(|weight| even(weight) as f32).collect())
    };
    (0..to).map(share).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_fits_with_square_pixels_and_never_grows_taller() {
        assert_eq!(fitting(1920, 1080, (1, 1), 320), (320, 180));
        assert_eq!(fitting(720, 576, (16, 15), 2_000), (768, 576));
        assert_eq!(fitting(720, 576, (0, 1), 2_000), (720, 576));
        assert_eq!(fitting(64, 48, (1, 1), 320), (64, 48));
        assert_eq!(fitting(1, 4_000, (1, u32::MAX), 320), (1, 320));
        assert_eq!(fitting(4_000, 1, (u32::MAX, 1), 320), (320, 1));
    }

    #[test]
    fn a_smaller_picture_has_the_means_of_the_larger_one() {
        let grey = |values: &[u8]| values.iter().flat_map(|&value| [value; 3]).collect::<Vec<_>>();
        let picture = Picture::new(4, 2, grey(&[0, 20, 40, 60, 20, 40, 60, 80])).unwrap();
        assert_eq!(resized(picture.clone(), 2, 1).samples(), grey(&[20, 60]));
        assert_eq!(resized(picture.clone(), 8, 2).samples()[..6], grey(&[0, 0]));
        let odd = resized(picture.clone(), 3, 1);
        assert_eq!(odd.samples(), grey(&[15, 40, 65]));
        assert_eq!(resized(picture.clone(), 4, 2), picture);
    }
}
