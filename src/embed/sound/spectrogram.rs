use std::f64::consts::PI;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};

use crate::embed::image::Pixels;

/// How many samples of a second a spectrogram is made of.
pub const SOUND_RATE: u32 = 16_000;
/// How long a frame is, in samples: 25 ms.
const FRAME: usize = 400;
/// How far frames are apart, in samples: 10 ms.
const HOP: usize = 160;
/// How far frames are apart, in milliseconds.
pub(super) const HOP_MS: u64 = 10;
/// How many samples are transformed; those beyond a frame are nothing.
const TRANSFORMED: usize = 512;
/// What is softer than this is this, as a share of power.
const POWER_MIN: f32 = 1e-10;

/// Makes mel spectrograms: the power in bands that are as wide as hearing tells pitches apart, in decibels.
///
/// Frames of 25 ms every 10 ms, whole ones only, under a periodic Hann window; the power spectrum of 512
/// points; triangles that are even on the mel scale of HTK (2595 log10(1 + f / 700), Young et al. 2006),
/// one high in their middle; ten times the decimal logarithm of at least 1e-10.
pub struct Spectrogram {
    window: Vec<f32>,
    /// Which values of the spectrum a band is made of, and how much of each.
    bands: Vec<(Range<usize>, Vec<f32>)>,
    transform: Arc<dyn RealToComplex<f32>>,
}

impl Spectrogram {
    /// Returns what makes spectrograms of so many bands, from a frequency to the highest there is.
    pub fn new(bands: usize, lowest_hz: f32) -> Self {
        let angle = |at: usize| 2.0 * PI * at as f64 / FRAME as f64;
        let window = (0..FRAME).map(|at| (0.5 - 0.5 * angle(at).cos()) as f32).collect();
        let transform = RealFftPlanner::new().plan_fft_forward(TRANSFORMED);
        Self { window, bands: triangles(bands, f64::from(lowest_hz)), transform }
    }

    /// Returns how many bands there are.
    pub fn bands(&self) -> usize {
        self.bands.len()
    }

    /// Returns how loud each band is in each frame, in decibels: `height` frames x `width` bands. Fewer
    /// samples than a frame has are followed by silence; nothing comes of none.
    pub fn of(&self, samples: &[f32]) -> Pixels {
        let bands = self.bands.len();
        let frames = match samples.len() {
            0 => 0,
            short if short < FRAME => 1,
            long => 1 + (long - FRAME) / HOP,
        };
        let mut values = Vec::with_capacity(frames * bands);
        let mut input = vec![0.0_f32; TRANSFORMED];
        let mut spectrum = vec![Complex::default(); TRANSFORMED / 2 + 1];
        let mut scratch = self.transform.make_scratch_vec();
        let mut power = vec![0.0_f32; spectrum.len()];
        for frame in 0..frames {
            input.fill(0.0);
            let samples = samples[frame * HOP..].iter().zip(&self.window);
            for (place, (sample, weight)) in input.iter_mut().zip(samples) {
                *place = sample * weight;
            }
            let (input, spectrum) = (&mut input, &mut spectrum);
            self.transform
                .process_with_scratch(input, spectrum, &mut scratch)
                .expect("the lengths are those of the plan");
            for (power, value) in power.iter_mut().zip(spectrum) {
                *power = value.norm_sqr();
            }
            for (range, weights) in &self.bands {
                let parts = power[range.clone()].iter().zip(weights);
                let sum: f32 = parts.map(|(power, weight)| power * weight).sum();
                values.push(10.0 * sum.max(POWER_MIN).log10());
            }
        }
        Pixels { height: frames, width: bands, values }
    }
}

fn triangles(bands: usize, lowest_hz: f64) -> Vec<(Range<usize>, Vec<f32>)> {
    let mel = |hertz: f64| 2_595.0 * (1.0 + hertz / 700.0).log10();
    let hertz = |mel: f64| 700.0 * (10_f64.powf(mel / 2_595.0) - 1.0);
    let (low, high) = (mel(lowest_hz), mel(f64::from(SOUND_RATE) / 2.0));
    let edge = |at: usize| hertz(low + (high - low) * at as f64 / (bands + 1) as f64);
    let apart = f64::from(SOUND_RATE) / TRANSFORMED as f64;
    let band = |at: usize| {
        let (left, middle, right) = (edge(at), edge(at + 1), edge(at + 2));
        let weight = |value: usize| {
            let hertz = value as f64 * apart;
            let (up, down) = ((hertz - left) / (middle - left), (right - hertz) / (right - middle));
            up.min(down).max(0.0) as f32
        };
        let within: Vec<usize> =
            (0..=TRANSFORMED / 2).filter(|&value| weight(value) > 0.0).collect();
        let range = match within[..] {
            [first, .., last] => first..last + 1,
            [only] => only..only + 1,
            [] => 0..0,
        };
        (range.clone(), range.map(weight).collect())
    };
    (0..bands).map(band).collect()
}

impl fmt::Debug for Spectrogram {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Spectrogram({} bands)", self.bands.len())
    }
}
