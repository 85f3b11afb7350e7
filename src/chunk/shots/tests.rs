use super::*;
use crate::picture::Picture;

/// What `tests/reference/shots.py` recorded.
#[derive(serde::Deserialize)]
struct Reference {
    scenes: Vec<Scene>,
    width: u64,
    height: u64,
    scores: Vec<f64>,
    content: Vec<u64>,
    adaptive: Vec<u64>,
}

/// Frames, colour, slope across, slope down, speed, noise.
type Scene = (u64, [u64; 3], u64, u64, u64, u64);

const FRAME_MS: u64 = 40;

fn rendered(number: u64, start: u64, scene: &Scene, width: u64, height: u64) -> Picture {
    let (_, colour, across, down, speed, noise) = scene;
    let mut samples = Vec::new();
    for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
        let wave = (x * across + y * down + (number - start) * speed) % 64;
        let grain = ((x * 7_919) ^ (y * 104_729) ^ (number * 1_299_709)) % noise;
        samples.extend(colour.map(|value| ((value + wave + grain) % 256) as u8));
    }
    Picture::new(width as u32, height as u32, samples).unwrap()
}

fn film(scenes: &[Scene], width: u64, height: u64) -> Vec<Picture> {
    let mut frames = Vec::new();
    for scene in scenes {
        let start = frames.len() as u64;
        frames.extend((start..start + scene.0).map(|at| rendered(at, start, scene, width, height)));
    }
    frames
}

fn shots(frames: &[Picture], options: ShotOptions) -> Vec<Shot> {
    let mut cutter = ShotCutter::new(options);
    let mut shots = Vec::new();
    for (number, frame) in (0..).zip(frames) {
        shots.extend(cutter.push(frame, number * FRAME_MS, (number + 1) * FRAME_MS));
    }
    shots.extend(cutter.finish());
    shots
}

fn cuts(frames: &[Picture], rule: CutRule) -> Vec<u64> {
    let shots = shots(frames, ShotOptions { rule, ..ShotOptions::default() });
    shots[1..].iter().map(|shot| shot.frames.start).collect()
}

#[test]
fn scores_and_cuts_are_those_of_the_published_detectors() {
    let reference: Reference =
        serde_json::from_str(include_str!("../../../tests/reference/shots.json")).unwrap();
    let frames = film(&reference.scenes, reference.width, reference.height);
    let mut cutter = ShotCutter::new(ShotOptions::default());
    for (number, (frame, expected)) in frames.iter().zip(&reference.scores).enumerate() {
        cutter.push(frame, 0, 0);
        let actual = cutter.difference();
        assert!((actual - expected).abs() < 1e-9, "frame {number}: {actual}, expected {expected}");
    }
    assert_eq!(cuts(&frames, CutRule::CONTENT), reference.content);
    assert_eq!(cuts(&frames, CutRule::ADAPTIVE), reference.adaptive);
}

/// Scenes of made-up colours, each at least as long as the shortest shot, and where they begin.
fn made_film() -> (Vec<Picture>, Vec<u64>) {
    let mut state = 9_u64;
    let mut roll = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) % below
    };
    let mut scene = || {
        let colour = [roll(200), roll(200), roll(200)];
        (16 + roll(20), colour, roll(4), roll(4), roll(4), 1 + roll(12))
    };
    let scenes: Vec<Scene> = (0..40).map(|_| scene()).collect();
    let mut starts: Vec<u64> = Vec::new();
    for scene in &scenes {
        starts.push(starts.last().copied().unwrap_or(0) + scene.0);
    }
    starts.pop();
    (film(&scenes, 32, 24), starts)
}

fn f1(found: &[u64], expected: &[u64]) -> f64 {
    let hits = found.iter().filter(|cut| expected.contains(cut)).count() as f64;
    if hits == 0.0 { 0.0 } else { 2.0 * hits / (found.len() + expected.len()) as f64 }
}

#[test]
fn cuts_of_a_made_film_are_found_and_not_in_frames_out_of_order() {
    let (frames, expected) = made_film();
    let content = f1(&cuts(&frames, CutRule::CONTENT), &expected);
    let adaptive = f1(&cuts(&frames, CutRule::ADAPTIVE), &expected);
    assert!(content > 0.85 && adaptive > 0.95, "content {content:.3}, adaptive {adaptive:.3}");
    let grey = vec![frames[0].clone(); frames.len()];
    assert_eq!(f1(&cuts(&grey, CutRule::CONTENT), &expected), 0.0, "a film of one frame");
    let mixed: Vec<Picture> =
        (0..frames.len()).map(|at| frames[at * 271 % frames.len()].clone()).collect();
    let mixed = f1(&cuts(&mixed, CutRule::ADAPTIVE), &expected);
    assert!(mixed < 0.2, "frames out of order: {mixed:.3}");
}

#[test]
fn shots_follow_each_other_without_a_gap_and_long_ones_are_cut_into_windows() {
    let (frames, _) = made_film();
    for rule in [CutRule::CONTENT, CutRule::ADAPTIVE, CutRule::Never] {
        let options = ShotOptions { rule, window_ms: 1_000, ..ShotOptions::default() };
        let shots = shots(&frames, options);
        assert_eq!((shots[0].start_ms, shots[0].frames.start), (0, 0));
        assert_eq!(shots.last().unwrap().end_ms, frames.len() as u64 * FRAME_MS);
        for pair in shots.windows(2) {
            assert_eq!(pair[0].frames.end, pair[1].frames.start);
            assert_eq!(pair[0].end_ms, pair[1].start_ms);
        }
        assert!(shots.iter().all(|shot| shot.end_ms - shot.start_ms <= 1_000), "{rule:?}");
    }
    assert_eq!(ShotCutter::new(ShotOptions::default()).finish(), None);
}

#[test]
fn black_blank_and_blurred_frames_are_told_from_pictures() {
    let of = |value: &dyn Fn(u32, u32) -> u8| {
        let pixels = (0..48).flat_map(|y| (0..64).map(move |x| (x, y)));
        let samples = pixels.flat_map(|(x, y)| [value(x, y); 3]).collect();
        look(&Picture::new(64, 48, samples).unwrap())
    };
    let black = of(&|x, y| ((x + y) % 3) as u8);
    let blank = of(&|_, _| 180);
    let blurred = of(&|x, y| (x * 2 + y) as u8);
    let sharp = of(&|x, y| if (x / 8 + y / 8) % 2 == 0 { 30 } else { 220 });
    let dark = of(&|x, y| if (x / 8 + y / 8) % 2 == 0 { 2 } else { 40 });
    assert!(black.is_black() && black.is_blank());
    assert!(!blank.is_black() && blank.is_blank());
    assert!(!blurred.is_blank() && blurred.is_blurred());
    assert!(!sharp.is_blank() && !sharp.is_blurred());
    assert!(!dark.is_black() && !dark.is_blank(), "{dark:?}");
}
