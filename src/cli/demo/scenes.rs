//! The pictures of the demo: scenes around the harbour, drawn from a seed, and copies of some of them.

use crate::decode::encode_jpeg;
use crate::picture::{Area, Picture};

/// The size of a scene, in pixels.
const WIDTH: u32 = 320;
const HEIGHT: u32 = 240;
/// How many scenes of each kind there are.
const SCENES: u64 = 5;
/// With how much care scenes and copies are saved.
const QUALITY: u8 = 88;
const QUALITY_COPIED: u8 = 45;

/// A drawn picture, as a file.
pub(super) struct Drawing {
    /// Its name, which is also the document's id.
    pub(super) name: String,
    /// What it shows.
    pub(super) kind: &'static str,
    /// A JPEG.
    pub(super) bytes: Vec<u8>,
}

type Colour = [f32; 3];

/// What a scene shows, and how it is drawn.
const KINDS: [(&str, fn(&mut Canvas, &mut Dice)); 6] = [
    ("harbour", harbour),
    ("mountains", mountains),
    ("forest", forest),
    ("town-at-night", town),
    ("flowers", flowers),
    ("stars", stars),
];

/// Returns all pictures: the scenes, and copies of the first of each kind.
pub(super) fn drawings() -> Vec<Drawing> {
    let mut drawings = Vec::new();
    for (kind, _) in KINDS {
        for number in 1..=SCENES {
            let bytes = encode_jpeg(&scene(kind, number), QUALITY);
            drawings.push(Drawing { name: format!("{kind}-{number}.jpg"), kind, bytes });
        }
    }
    let copies: [(&str, &'static str, fn(&Picture) -> Picture); 6] = [
        ("harbour", "small", |picture| picture.fitted(WIDTH / 2)),
        ("mountains", "mirrored", mirrored),
        ("forest", "brighter", |picture| changed(picture, |sample| sample.saturating_add(14))),
        ("town-at-night", "small", |picture| picture.fitted(WIDTH / 3)),
        ("flowers", "saved-again", Clone::clone),
        ("stars", "cut", cut),
    ];
    for (kind, how, copy) in copies {
        let bytes = encode_jpeg(&copy(&scene(kind, 1)), QUALITY_COPIED);
        drawings.push(Drawing { name: format!("{kind}-1-{how}.jpg"), kind, bytes });
    }
    drawings
}

/// Returns a picture that is not among the others, to ask with: the name of its kind, and its file.
pub(super) fn question() -> (&'static str, Vec<u8>) {
    let kind = KINDS[0].0;
    (kind, encode_jpeg(&scene(kind, SCENES + 1), QUALITY))
}

fn scene(kind: &str, number: u64) -> Picture {
    let mut canvas = Canvas { samples: vec![[0.0; 3]; (WIDTH * HEIGHT) as usize] };
    let place = KINDS.iter().position(|known| known.0 == kind).unwrap_or_default();
    let mut dice = Dice(place as u64 * 1_000 + number);
    KINDS[place].1(&mut canvas, &mut dice);
    canvas.finish(&mut dice)
}

fn mirrored(picture: &Picture) -> Picture {
    let rows = (0..picture.height()).map(|row| picture.row(row));
    let samples = rows.flat_map(|row| row.chunks_exact(3).rev().flatten()).copied().collect();
    Picture::new(picture.width(), picture.height(), samples).unwrap_or_else(|| picture.clone())
}

fn changed(picture: &Picture, change: impl Fn(u8) -> u8) -> Picture {
    let samples = picture.samples().iter().map(|&sample| change(sample)).collect();
    Picture::new(picture.width(), picture.height(), samples).unwrap_or_else(|| picture.clone())
}

fn cut(picture: &Picture) -> Picture {
    let (width, height) = (picture.width() - 16, picture.height() - 12);
    picture.crop(Area { left: 8, top: 6, width, height }).unwrap_or_else(|| picture.clone())
}

/// Chance from a seed (`SplitMix64`, Steele, Lea, Flood 2014).
struct Dice(u64);

impl Dice {
    /// Returns a number from `low` to `high`.
    fn between(&mut self, low: f32, high: f32) -> f32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let share = ((mixed ^ (mixed >> 31)) >> 40) as f32 / (1_u32 << 24) as f32;
        low + share * (high - low)
    }

    fn times(&mut self, low: f32, high: f32) -> usize {
        rounded(self.between(low, high))
    }

    /// Returns the colour, a little off.
    fn shade(&mut self, colour: Colour) -> Colour {
        let light = self.between(0.85, 1.15);
        colour.map(|channel| channel * light)
    }
}

/// Rows from the top, 0 to 255; places are shares of the width and the height.
struct Canvas {
    samples: Vec<Colour>,
}

impl Canvas {
    /// Colours every pixel for which `colour` has one; it is told where the pixel is.
    fn paint(&mut self, colour: impl Fn(f32, f32) -> Option<Colour>) {
        for (place, sample) in (0_u32..).zip(&mut self.samples) {
            let (x, y) = (place % WIDTH, place / WIDTH);
            let at = ((x as f32 + 0.5) / WIDTH as f32, (y as f32 + 0.5) / HEIGHT as f32);
            if let Some(colour) = colour(at.0, at.1) {
                *sample = colour;
            }
        }
    }

    fn sky(&mut self, top: Colour, bottom: Colour, until: f32) {
        self.paint(|_, y| (y <= until).then(|| mixed(top, bottom, y / until)));
    }

    fn rectangle(&mut self, left: f32, top: f32, width: f32, height: f32, colour: Colour) {
        let within = |at: f32, from: f32, length: f32| at >= from && at < from + length;
        self.paint(|x, y| (within(x, left, width) && within(y, top, height)).then_some(colour));
    }

    fn circle(&mut self, centre: (f32, f32), radius: f32, colour: Colour) {
        let ratio = HEIGHT as f32 / WIDTH as f32;
        self.paint(|x, y| {
            let (across, down) = (x - centre.0, (y - centre.1) * ratio);
            (across * across + down * down <= radius * radius).then_some(colour)
        });
    }

    /// A triangle with a level base.
    fn triangle(&mut self, tip: (f32, f32), base: f32, half: f32, colour: Colour) {
        self.paint(|x, y| {
            let share = (y - tip.1) / (base - tip.1);
            let is_within = (0.0..=1.0).contains(&share) && (x - tip.0).abs() <= half * share;
            is_within.then_some(colour)
        });
    }

    fn finish(&self, dice: &mut Dice) -> Picture {
        let mut samples = Vec::with_capacity(self.samples.len() * 3);
        for colour in &self.samples {
            let grain = dice.between(-3.0, 3.0);
            samples.extend(colour.map(|channel| byte(channel + grain)));
        }
        Picture::new(WIDTH, HEIGHT, samples).expect("a canvas has the samples of its size")
    }
}

fn mixed(a: Colour, b: Colour, share: f32) -> Colour {
    std::array::from_fn(|channel| a[channel] + (b[channel] - a[channel]) * share)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped before")]
fn byte(value: f32) -> u8 {
    value.clamp(0.0, 255.0) as u8
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
fn rounded(value: f32) -> usize {
    value.max(0.0).round() as usize
}

fn harbour(canvas: &mut Canvas, dice: &mut Dice) {
    let level = dice.between(0.45, 0.6);
    let sky = dice.shade([150.0, 195.0, 235.0]);
    canvas.sky(sky, [235.0, 235.0, 225.0], level);
    let sea = dice.shade([35.0, 95.0, 140.0]);
    canvas.paint(|x, y| {
        let wave = ((y * 90.0 + (x * 14.0).sin()) * 1.6).sin() * 9.0;
        (y > level).then(|| sea.map(|channel| channel + wave))
    });
    for _ in 0..dice.times(2.0, 4.0) {
        let (x, y, size) =
            (dice.between(0.1, 0.9), dice.between(level, 0.85), dice.between(0.7, 1.3));
        let hull = dice.shade([150.0, 50.0, 40.0]);
        canvas.triangle((x, y - 0.3 * size), y, 0.09 * size, [245.0, 243.0, 235.0]);
        canvas.rectangle(x - 0.1 * size, y, 0.2 * size, 0.05 * size, hull);
        canvas.rectangle(x - 0.004, y - 0.32 * size, 0.008, 0.33 * size, [90.0, 60.0, 40.0]);
    }
}

fn mountains(canvas: &mut Canvas, dice: &mut Dice) {
    canvas.sky(dice.shade([120.0, 170.0, 225.0]), [240.0, 225.0, 210.0], 1.0);
    canvas.circle((dice.between(0.15, 0.85), dice.between(0.1, 0.25)), 0.05, [255.0, 240.0, 190.0]);
    for range in 0..3 {
        let (far, rock) = (range as f32, dice.shade([120.0, 115.0, 125.0]));
        let rock = rock.map(|channel| channel - 25.0 * far);
        for _ in 0..dice.times(2.0, 3.0) {
            let tip = (dice.between(0.0, 1.0), 0.2 + 0.15 * far + dice.between(0.0, 0.15));
            let half = dice.between(0.3, 0.5);
            canvas.triangle(tip, 1.0, half, rock);
            canvas.triangle(tip, tip.1 + 0.1, half * 0.1 / (1.0 - tip.1), [248.0, 248.0, 252.0]);
        }
    }
    canvas.rectangle(0.0, 0.88, 1.0, 0.12, dice.shade([80.0, 120.0, 60.0]));
}

fn forest(canvas: &mut Canvas, dice: &mut Dice) {
    canvas.sky(dice.shade([190.0, 215.0, 200.0]), [225.0, 230.0, 205.0], 0.5);
    canvas.rectangle(0.0, 0.5, 1.0, 0.5, dice.shade([70.0, 90.0, 40.0]));
    for number in 0..dice.times(14.0, 20.0) {
        let near = number as f32 / 20.0;
        let (x, foot) = (dice.between(0.0, 1.0), 0.55 + 0.4 * near);
        let green = dice.shade([30.0, 105.0 - 30.0 * near, 45.0]);
        canvas.rectangle(x - 0.008, foot - 0.1, 0.016, 0.1, [70.0, 50.0, 35.0]);
        for storey in 0..3 {
            let top = foot - 0.45 + 0.1 * storey as f32;
            canvas.triangle((x, top), top + 0.2, 0.05 + 0.015 * storey as f32, green);
        }
    }
}

fn town(canvas: &mut Canvas, dice: &mut Dice) {
    canvas.sky(dice.shade([10.0, 12.0, 35.0]), [45.0, 30.0, 60.0], 1.0);
    let mut left = -0.03;
    while left < 1.0 {
        let (width, top) = (dice.between(0.08, 0.16), dice.between(0.25, 0.65));
        canvas.rectangle(left, top, width, 1.0 - top, dice.shade([28.0, 28.0, 38.0]));
        for row in 0..rounded((0.95 - top) / 0.07) {
            for column in 0..rounded(width / 0.035) {
                if dice.between(0.0, 1.0) < 0.6 {
                    let (x, y) =
                        (left + 0.01 + 0.035 * column as f32, top + 0.03 + 0.07 * row as f32);
                    canvas.rectangle(x, y, 0.017, 0.035, dice.shade([250.0, 205.0, 110.0]));
                }
            }
        }
        left += width + dice.between(0.0, 0.02);
    }
}

fn flowers(canvas: &mut Canvas, dice: &mut Dice) {
    let meadow = dice.shade([95.0, 160.0, 70.0]);
    canvas.sky(meadow, meadow.map(|channel| channel * 0.7), 1.0);
    for _ in 0..dice.times(7.0, 10.0) {
        let (x, y, size) =
            (dice.between(0.08, 0.92), dice.between(0.1, 0.85), dice.between(0.03, 0.05));
        let green = dice.between(60.0, 120.0);
        let petal = dice.shade([225.0, green, 110.0]);
        canvas.rectangle(x - 0.004, y, 0.008, 1.0 - y, [45.0, 110.0, 40.0]);
        for turn in 0..6 {
            let angle = turn as f32 * std::f32::consts::TAU / 6.0;
            let centre = (x + angle.cos() * size, y + angle.sin() * size * 4.0 / 3.0);
            canvas.circle(centre, size * 0.7, petal);
        }
        canvas.circle((x, y), size * 0.6, [250.0, 215.0, 70.0]);
    }
}

fn stars(canvas: &mut Canvas, dice: &mut Dice) {
    canvas.sky([6.0, 8.0, 24.0], dice.shade([25.0, 35.0, 70.0]), 1.0);
    for _ in 0..dice.times(70.0, 110.0) {
        let centre = (dice.between(0.0, 1.0), dice.between(0.0, 0.8));
        canvas.circle(centre, dice.between(0.001, 0.004), dice.shade([225.0, 228.0, 240.0]));
    }
    let moon = (dice.between(0.2, 0.8), dice.between(0.15, 0.4));
    canvas.circle(moon, dice.between(0.06, 0.1), [238.0, 234.0, 215.0]);
    canvas.triangle((dice.between(0.2, 0.8), 0.72), 1.0, 0.6, [8.0, 10.0, 14.0]);
    canvas.rectangle(0.0, 0.93, 1.0, 0.07, [8.0, 10.0, 14.0]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::Likeness;

    #[test]
    fn scenes_differ_and_copies_are_the_same_picture() {
        let likeness: Vec<Likeness> =
            KINDS.iter().map(|(kind, _)| Likeness::of(&scene(kind, 1))).collect();
        for (place, one) in likeness.iter().enumerate() {
            assert!(likeness[..place].iter().all(|other| !one.is_same(other)), "{place}");
        }
        let mountains = &scene("mountains", 1);
        assert!(Likeness::of(mountains).is_same(&Likeness::of(&mirrored(mountains))));
        assert!(Likeness::of(mountains).is_same(&Likeness::of(&mountains.fitted(100))));
        assert_eq!(scene("forest", 2), scene("forest", 2), "the same on every machine");
        assert_ne!(scene("forest", 2), scene("forest", 3));
    }
}
