//! Which way is up?

use crate::picture::Picture;

/// Returns the picture that stands upright, of samples whose rows and columns stand as Exif says: 1 is
/// upright, 2 mirrored, 3 turned by half, 4 both, 5 to 8 with rows for columns.
pub(super) fn upright(picture: Picture, orientation: u16) -> Picture {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    // Where the first sample of the upright picture stands, and how far apart its neighbours to the
    // right and below are, in pixels.
    let (across, down) = (1_isize, to_signed(width));
    let (right, bottom) = (to_signed(width) - 1, (to_signed(height) - 1) * down);
    let (start, step, next) = match orientation {
        2 => (right, -across, down),
        3 => (right + bottom, -across, -down),
        4 => (bottom, across, -down),
        5 => (0, down, across),
        6 => (bottom, -down, across),
        7 => (right + bottom, -down, -across),
        8 => (right, down, -across),
        _ => return picture,
    };
    let is_turned = orientation >= 5;
    let (columns, rows) = if is_turned { (height, width) } else { (width, height) };
    let stored = picture.samples();
    let mut samples = Vec::with_capacity(stored.len());
    for row in 0..rows {
        let mut at = start + next * to_signed(row);
        for _ in 0..columns {
            let place = at.unsigned_abs() * 3;
            samples.extend_from_slice(&stored[place..place + 3]);
            at += step;
        }
    }
    let (width, height) = if is_turned {
        (picture.height(), picture.width())
    } else {
        (picture.width(), picture.height())
    };
    Picture::new(width, height, samples).unwrap_or(picture)
}

#[expect(clippy::cast_possible_wrap, reason = "sides and places of a picture in memory")]
fn to_signed(number: usize) -> isize {
    number as isize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The upper left, upper right, lower left and lower right of a picture of 3 by 2.
    fn corners(picture: &Picture) -> [u8; 4] {
        let (last_row, last) = (picture.height() - 1, (picture.width() as usize - 1) * 3);
        [
            picture.row(0)[0],
            picture.row(0)[last],
            picture.row(last_row)[0],
            picture.row(last_row)[last],
        ]
    }

    #[test]
    fn each_orientation_puts_the_corners_where_exif_says() {
        // As stored: 1 2 3 over 4 5 6.
        let samples = (1..=6).flat_map(|value| [value; 3]).collect();
        let stored = Picture::new(3, 2, samples).unwrap();
        for (orientation, expected) in [
            (1, [1, 3, 4, 6]),
            (2, [3, 1, 6, 4]),
            (3, [6, 4, 3, 1]),
            (4, [4, 6, 1, 3]),
            (5, [1, 4, 3, 6]),
            (6, [4, 1, 6, 3]),
            (7, [6, 3, 4, 1]),
            (8, [3, 6, 1, 4]),
            (0, [1, 3, 4, 6]),
            (9, [1, 3, 4, 6]),
        ] {
            let upright = upright(stored.clone(), orientation);
            assert_eq!(corners(&upright), expected, "orientation {orientation}");
            let size = if (5..=8).contains(&orientation) { (2, 3) } else { (3, 2) };
            assert_eq!((upright.width(), upright.height()), size);
        }
    }
}
