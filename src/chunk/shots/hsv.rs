use crate::picture::Picture;

/// The widest picture that is compared pixel by pixel; a wider one is thinned out first.
const WIDTH_MAX: u32 = 256;

/// Hue, saturation and value of a picture's pixels, one plane each. As OpenCV has them in 8 bits: the
/// hue in steps of two degrees, 0 to 179, the others 0 to 255.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Planes {
    width: u32,
    height: u32,
    planes: [Vec<u8>; 3],
}

impl Planes {
    pub(super) fn of(picture: &Picture) -> Self {
        let step = (picture.width() / WIDTH_MAX).max(1);
        let width = picture.width().div_ceil(step);
        let height = picture.height().div_ceil(step);
        let mut planes = [const { Vec::new() }; 3];
        planes.iter_mut().for_each(|plane| plane.reserve((width * height) as usize));
        for row in (0..picture.height()).step_by(step as usize) {
            for pixel in picture.row(row).chunks_exact(3).step_by(step as usize) {
                for (plane, value) in planes.iter_mut().zip(hsv([pixel[0], pixel[1], pixel[2]])) {
                    plane.push(value);
                }
            }
        }
        Self { width, height, planes }
    }

    /// Returns the mean absolute difference of the pixels, the mean of the three planes: 0 for the
    /// same picture, and at most about 230. All there is for pictures of different sizes.
    pub(super) fn difference(&self, other: &Self) -> f64 {
        if (self.width, self.height) != (other.width, other.height) {
            return 255.0;
        }
        let distance = |(a, b): (&Vec<u8>, &Vec<u8>)| {
            let sum: u64 = a.iter().zip(b).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
            sum as f64 / a.len() as f64
        };
        self.planes.iter().zip(&other.planes).map(distance).sum::<f64>() / 3.0
    }
}

/// Returns hue, saturation and value of a colour, rounded as OpenCV rounds them (fixed point of 12 bits).
fn hsv([red, green, blue]: [u8; 3]) -> [u8; 3] {
    let value = red.max(green).max(blue);
    let range = value - red.min(green).min(blue);
    let [r, g, b, v, d] = [red, green, blue, value, range].map(i32::from);
    let turned = match value {
        _ if value == red => g - b,
        _ if value == green => b - r + 2 * d,
        _ => r - g + 4 * d,
    };
    let share = |of: i32, whole: i32| if whole == 0 { 0 } else { rounded(of << 12, whole) };
    let saturation = (d * share(255, v) + (1 << 11)) >> 12;
    let hue = (turned * share(180, 6 * d) + (1 << 11)) >> 12;
    [if hue < 0 { hue + 180 } else { hue } as u8, saturation as u8, value]
}

/// Returns the quotient rounded to the nearest, halves to even.
fn rounded(dividend: i32, divisor: i32) -> i32 {
    (f64::from(dividend) / f64::from(divisor)).round_ties_even() as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_turn_as_in_opencv() {
        // cv2.cvtColor(..., cv2.COLOR_RGB2HSV) of version 4.
        for (colour, expected) in [
            ([255, 0, 0], [0, 255, 255]),
            ([0, 255, 0], [60, 255, 255]),
            ([0, 0, 255], [120, 255, 255]),
            ([255, 0, 1], [0, 255, 255]),
            ([200, 30, 90], [169, 217, 200]),
            ([17, 120, 99], [84, 219, 120]),
            ([7, 7, 7], [0, 0, 7]),
            ([0, 0, 0], [0, 0, 0]),
        ] {
            assert_eq!(hsv(colour), expected, "{colour:?}");
        }
    }
}
