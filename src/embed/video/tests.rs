use super::*;
use crate::picture::{Area, Picture};

const FRAME_MS: u64 = 125;
const SIDE: usize = 64;
const FRAMES: usize = 8;
/// Which way a shape goes.
const MOTIONS: [&str; 5] = ["left", "right", "up", "down", "rotate"];
const CLIPS_PER_MOTION: usize = 16;

/// The encoder of these tests: the mean colour of each of 8 x 8 cells.
fn mean_colours(picture: &Picture) -> Latent {
    const CELLS: usize = 8;
    let cell = SIDE / CELLS;
    let mut values = vec![0.0; 3 * CELLS * CELLS];
    for (at, pixel) in picture.samples().chunks_exact(3).enumerate() {
        let place = (at / SIDE / cell) * CELLS + at % SIDE / cell;
        for (channel, &sample) in pixel.iter().enumerate() {
            values[channel * CELLS * CELLS + place] += f32::from(sample) / 255.0;
        }
    }
    values.iter_mut().for_each(|value| *value /= (cell * cell) as f32);
    Latent::new(3, CELLS, CELLS, values).unwrap()
}

/// A small generator, so that a seed gives the same shapes everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> f32 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1_u32 << 24) as f32
    }

    fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.roll()
    }
}

/// Frames of one shape on a plain ground that moves as told; colours, size, start and speed by chance.
fn moving_shape(motion: &str, dice: &mut Dice) -> Vec<Picture> {
    let middle = SIDE as f32 / 2.0;
    let ground: [f32; 3] = std::array::from_fn(|_| dice.between(0.0, 90.0));
    let colour: [f32; 3] = std::array::from_fn(|_| dice.between(130.0, 255.0));
    let (x, y) = (middle + dice.between(-12.0, 12.0), middle + dice.between(-12.0, 12.0));
    let (long, short) = (dice.between(14.0, 22.0), dice.between(5.0, 9.0));
    let is_round = dice.roll() < 0.5 && motion != "rotate";
    let speed = dice.between(2.0, 4.0);
    let turn = dice.between(0.15, 0.3);
    let lean = dice.between(0.0, std::f32::consts::PI);
    let frame = |number: usize| {
        let far = (number as f32 - FRAMES as f32 / 2.0) * speed;
        let (x, y, lean) = match motion {
            "left" => (x - far, y, lean),
            "right" => (x + far, y, lean),
            "up" => (x, y - far, lean),
            "down" => (x, y + far, lean),
            _ => (middle, middle, lean + number as f32 * turn),
        };
        let (sine, cosine) = lean.sin_cos();
        let mut samples = Vec::with_capacity(SIDE * SIDE * 3);
        for at in 0..SIDE * SIDE {
            let (dx, dy) = ((at % SIDE) as f32 - x, (at / SIDE) as f32 - y);
            let is_inside = if is_round {
                dx.hypot(dy) < short * 1.5
            } else {
                (dx * cosine + dy * sine).abs() < long && (dy * cosine - dx * sine).abs() < short
            };
            let pixel = if is_inside { &colour } else { &ground };
            samples.extend(pixel.iter().map(|value| *value as u8));
        }
        Picture::new(SIDE as u32, SIDE as u32, samples).unwrap()
    };
    (0..FRAMES).map(frame).collect()
}

fn timed(latents: impl IntoIterator<Item = Latent>) -> Vec<TimedLatent> {
    let at = |(number, latent)| {
        let start_ms = number as u64 * FRAME_MS;
        TimedLatent { latent, start_ms, end_ms: start_ms + FRAME_MS }
    };
    latents.into_iter().enumerate().map(at).collect()
}

/// What a way to see a clip makes of every clip of the made set, with its motion.
fn made_set(mut see: impl FnMut(&[Picture]) -> Vec<f32>) -> Vec<(usize, Vec<f32>)> {
    let mut dice = Dice(7);
    let mut set = Vec::new();
    for (label, motion) in MOTIONS.iter().enumerate() {
        for _ in 0..CLIPS_PER_MOTION {
            set.push((label, see(&moving_shape(motion, &mut dice))));
        }
    }
    set
}

/// How many of the clips have a nearest other clip that moves the same way.
fn accuracy(set: &[(usize, Vec<f32>)]) -> f64 {
    let nearest = |at: usize| {
        let others = (0..set.len()).filter(|&other| other != at);
        others.max_by(|&a, &b| {
            cosine(&set[at].1, &set[a].1).total_cmp(&cosine(&set[at].1, &set[b].1))
        })
    };
    let right =
        (0..set.len()).filter(|&at| nearest(at).is_some_and(|near| set[near].0 == set[at].0));
    right.count() as f64 / set.len() as f64
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt().max(f32::MIN_POSITIVE)
}

fn by_patches(latents: Vec<Latent>) -> Vec<f32> {
    clip_vector(&timed(latents), &ClipPooling::default(), &[]).unwrap_or_default()
}

fn by_mean(latents: Vec<Latent>) -> Vec<f32> {
    let only_mean = ClipPooling { grid: 8, mean: 1.0, max: 0.0, motion: 0.0, flow: 0.0 };
    clip_vector(&timed(latents), &only_mean, &[]).unwrap()
}

#[test]
fn motions_are_told_apart_by_spacetime_and_not_by_the_mean_of_frames() {
    let encode = |clip: &[Picture]| clip.iter().map(mean_colours).collect::<Vec<_>>();
    let spacetime = accuracy(&made_set(|clip| by_patches(encode(clip))));
    let mean = accuracy(&made_set(|clip| by_mean(encode(clip))));
    assert!(spacetime >= 0.9 && mean <= 0.5, "spacetime {spacetime:.2}, mean of frames {mean:.2}");
}

#[test]
fn an_encoder_that_sees_nothing_or_the_wrong_frame_fails_that_gate() {
    let blind = |_: &Picture| Latent::new(3, 8, 8, vec![0.5; 192]).unwrap();
    let constant = accuracy(&made_set(|clip| by_patches(clip.iter().map(blind).collect())));
    let mut dice = Dice(5);
    let permuted = accuracy(&made_set(|clip| {
        let mut order: Vec<(f32, &Picture)> =
            clip.iter().map(|frame| (dice.roll(), frame)).collect();
        order.sort_by(|a, b| a.0.total_cmp(&b.0));
        by_patches(order.iter().map(|(_, frame)| mean_colours(frame)).collect())
    }));
    assert!(constant <= 0.5 && permuted <= 0.6, "constant {constant:.2}, permuted {permuted:.2}");
}

#[test]
fn time_that_runs_backwards_changes_a_clip_but_not_the_mean_of_its_frames() {
    let clip = moving_shape("left", &mut Dice(3));
    let forwards: Vec<Latent> = clip.iter().map(mean_colours).collect();
    let backwards: Vec<Latent> = forwards.iter().rev().cloned().collect();
    let mean = cosine(&by_mean(forwards.clone()), &by_mean(backwards.clone()));
    assert!(mean > 0.999_999, "{mean}");
    let spacetime = cosine(&by_patches(forwards), &by_patches(backwards));
    assert!(spacetime < 0.95, "{spacetime}");
}

#[test]
fn a_flow_says_which_way_and_how_far() {
    let square = |shift: f32| {
        let value = |at: usize| {
            let (x, y) = ((at % 16) as f32 - 8.0 - shift, (at / 16) as f32 - 8.0 + shift / 2.0);
            (-(x * x + y * y) / 8.0).exp()
        };
        Latent::new(1, 16, 16, (0..256).map(value).collect()).unwrap()
    };
    let found = flow(&timed([square(0.0), square(0.4), square(0.8)]), 1)[0];
    assert!((found.right - 0.4).abs() < 0.06 && (found.down + 0.2).abs() < 0.04, "{found:?}");
    assert_eq!(flow(&timed([square(0.0)]), 1), [Flow::default()]);
    assert_eq!(flow(&timed([square(0.0), square(0.0)]), 2), [Flow::default(); 4]);
}

#[test]
fn patches_cover_the_clip_once_and_know_their_moment_and_their_place() {
    let latent = |frame: usize| {
        let values = (0..2 * 3 * 5).map(|at| (frame * 100 + at) as f32).collect();
        Latent::new(2, 3, 5, values).unwrap()
    };
    let clip = timed((0..3).map(latent));
    let covered = Area { left: 10, top: 20, width: 100, height: 60 };
    let found = patches(&clip, PatchSizes::default(), covered).unwrap();
    assert_eq!(found.len(), 2 * 2 * 3);
    let area = |left, top, width, height| Area { left, top, width, height };
    assert_eq!(found[0].area, area(10, 20, 40, 40));
    assert_eq!(found[5].area, area(90, 60, 20, 20));
    assert_eq!((found[0].start_ms, found[0].end_ms), (0, 250));
    // The last frame is repeated for its values, but the time it is not seen is not claimed.
    assert_eq!((found[6].start_ms, found[6].end_ms), (250, 375));
    // Frames, then channels, rows, columns.
    assert_eq!(found[0].vector[..6], [0.0, 1.0, 5.0, 6.0, 15.0, 16.0]);
    assert_eq!(found[0].vector[8], 100.0);
    assert!(found.iter().all(|patch| patch.vector.len() == PatchSizes::default().dimension(2)));
    let pixels = |patches: &[Patch]| -> u32 {
        patches.iter().map(|patch| patch.area.width * patch.area.height).sum()
    };
    assert_eq!(pixels(&found[..6]), 100 * 60);
}

#[test]
fn what_is_no_clip_gives_no_vector() {
    let latent = |side| Latent::new(1, side, side, vec![0.0; side * side]).unwrap();
    let pooling = ClipPooling::default();
    assert_eq!(clip_vector(&[], &pooling, &[]), None);
    assert_eq!(clip_vector(&timed([latent(8)]), &pooling, &[]), None, "nothing is seen");
    assert_eq!(clip_vector(&timed([latent(8), latent(4)]), &pooling, &[]), None);
    let covered = Area { left: 0, top: 0, width: 8, height: 8 };
    let mixed = timed([latent(8), latent(4)]);
    assert_eq!(patches(&mixed, PatchSizes::default(), covered), None);
    assert_eq!(Latent::new(1, 1, 1, vec![f32::NAN]), None);
    assert_eq!(Latent::new(1, 2, 1, vec![0.0]), None);
}

#[test]
fn the_noise_of_a_still_picture_stays_noise() {
    let mut dice = Dice(11);
    let picture = mean_colours(&moving_shape("left", &mut dice)[0]);
    let mut noisy = || {
        let values = picture.values().iter().map(|value| value + dice.between(-0.002, 0.002));
        Latent::new(3, 8, 8, values.collect()).unwrap()
    };
    let still = by_patches(vec![picture.clone(), picture.clone(), picture.clone()]);
    let noise = by_patches(vec![noisy(), noisy(), noisy()]);
    assert!(cosine(&still, &noise) > 0.999, "{}", cosine(&still, &noise));
}

/// When and where the square stands.
const SECOND: usize = 3;
const AT: (usize, usize) = (48, 32);

/// One frame of each second: a square of two colours stands in one of them.
struct Scene {
    seconds: Vec<Picture>,
    /// The same square elsewhere on another ground, which is asked about.
    question: (Picture, Area),
}

fn scene(dice: &mut Dice) -> Scene {
    const SQUARE: usize = 16;
    let mut colour = || -> [f32; 3] { std::array::from_fn(|_| dice.between(0.0, 255.0)) };
    let halves = [colour(), colour()];
    let mut draw = |at: Option<(usize, usize)>| {
        let ground: [f32; 3] = std::array::from_fn(|_| dice.between(60.0, 160.0));
        let (slope_x, slope_y) = (dice.between(-0.5, 0.5), dice.between(-0.5, 0.5));
        let mut samples = Vec::with_capacity(SIDE * SIDE * 3);
        for place in 0..SIDE * SIDE {
            let (x, y) = (place % SIDE, place / SIDE);
            let inside = at.filter(|(left, top)| {
                (*left..left + SQUARE).contains(&x) && (*top..top + SQUARE).contains(&y)
            });
            let shade = x as f32 * slope_x + y as f32 * slope_y;
            let pixel = match inside {
                Some((left, _)) => halves[usize::from(x >= left + SQUARE / 2)],
                None => ground.map(|value| value + shade),
            };
            samples.extend(pixel.iter().map(|value| *value as u8));
        }
        Picture::new(SIDE as u32, SIDE as u32, samples).unwrap()
    };
    let mut seconds: Vec<Picture> = (0..8).map(|_| draw(None)).collect();
    let asked = draw(Some((24, 8)));
    seconds[SECOND] = draw(Some(AT));
    Scene { seconds, question: (asked, Area { left: 24, top: 8, width: 16, height: 16 }) }
}

/// How many of the squares are found in their second and at their place by patches of 2 x 2 cells.
fn placed(mut see: impl FnMut(&Picture) -> Latent) -> f64 {
    const SCENES: usize = 24;
    let whole = Area { left: 0, top: 0, width: SIDE as u32, height: SIDE as u32 };
    let sizes = PatchSizes { time: 1, height: 2, width: 2 };
    let mut dice = Dice(23);
    let mut right = 0;
    for _ in 0..SCENES {
        let Scene { seconds, question: (picture, area) } = scene(&mut dice);
        let asked = place::patches_in(&see(&picture), sizes, whole, area);
        let Ok(Some(asked)) = multivector(asked) else { continue };
        let mut best = (f32::MIN, 0, whole);
        for (number, frame) in seconds.iter().enumerate() {
            let found = patches(&timed([see(frame)]), sizes, whole).unwrap();
            let rows = found.iter().map(|patch| patch.vector.clone());
            let Ok(Some(stored)) = multivector(rows) else { continue };
            let score = asked.max_sim(&stored).0;
            if score > best.0 {
                best = (score, number, found[asked.most_telling(&stored)].area);
            }
        }
        let (_, found, area) = best;
        let is_there = (area.left as usize, area.top as usize) == AT;
        right += usize::from(found == SECOND && is_there);
    }
    right as f64 / SCENES as f64
}

#[test]
fn a_part_of_a_picture_is_found_in_its_second_at_its_place_and_not_by_a_permuted_encoder() {
    let seeing = placed(centred);
    let mut dice = Dice(31);
    let permuted = placed(|picture| {
        let latent = centred(picture);
        let mut order: Vec<(f32, usize)> = (0..64).map(|cell| (dice.roll(), cell)).collect();
        order.sort_by(|a, b| a.0.total_cmp(&b.0));
        let cells = |channel: usize| {
            let values = latent.channel(channel).to_vec();
            order.iter().map(move |&(_, cell)| values[cell]).collect::<Vec<f32>>()
        };
        Latent::new(3, 8, 8, (0..3).flat_map(cells).collect()).unwrap()
    });
    let constant = placed(|_| Latent::new(3, 8, 8, vec![0.5; 192]).unwrap());
    assert!(
        seeing >= 0.75 && permuted <= 0.2 && constant <= 0.2,
        "seeing {seeing:.2}, permuted {permuted:.2}, constant {constant:.2}"
    );
}

/// Mean colours without what is usual of a picture.
fn centred(picture: &Picture) -> Latent {
    let latent = mean_colours(picture);
    let channel = |number: usize| {
        let values = latent.channel(number).to_vec();
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        values.into_iter().map(move |value| value - mean).collect::<Vec<f32>>()
    };
    Latent::new(3, 8, 8, (0..3).flat_map(channel).collect()).unwrap()
}
