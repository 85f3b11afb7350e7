//! Sounds that the tests render themselves, by a seed.

use std::f64::consts::TAU;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

pub(crate) const RATE: u32 = 16_000;

/// How a sound is written down.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Written {
    pub(crate) rate: u32,
    pub(crate) bits: u16,
}

pub(crate) const PLAIN: Written = Written { rate: RATE, bits: 16 };

/// Returns a WAV file of one channel. Samples are those of another rate where that is asked for: each is on
/// a line between its neighbours.
pub(crate) fn wav(samples: &[f64], written: Written) -> Vec<u8> {
    let Written { rate, bits } = written;
    let count = samples.len() as u64 * u64::from(rate) / u64::from(RATE);
    let at = |place: u64| {
        let place = place as f64 * f64::from(RATE) / f64::from(rate);
        let (left, rest) = (place as usize, place.fract());
        let sample = |at: usize| samples.get(at).copied().unwrap_or_default();
        sample(left) * (1.0 - rest) + sample(left + 1) * rest
    };
    let mut data = Vec::new();
    for value in (0..count).map(at) {
        let value = value.clamp(-1.0, 1.0);
        match bits {
            8 => data.push((value * 127.0 + 128.0).round() as u8),
            _ => data.extend(((value * 32_767.0).round() as i16).to_le_bytes()),
        }
    }
    let block = bits / 8;
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + data.len() as u32).to_le_bytes());
    bytes.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    bytes.extend(rate.to_le_bytes());
    bytes.extend((rate * u32::from(block)).to_le_bytes());
    bytes.extend(block.to_le_bytes());
    bytes.extend(bits.to_le_bytes());
    bytes.extend(b"data");
    bytes.extend((data.len() as u32).to_le_bytes());
    bytes.extend(data);
    bytes
}

/// Notes, chords, glides and bursts of noise, one after the other, for so many seconds.
pub(crate) fn piece(seconds: usize, seed: u64) -> Vec<f64> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut samples = vec![0.0; seconds * RATE as usize];
    let mut from = 0;
    while from < samples.len() {
        let length = (f64::from(RATE) * random.random_range(0.15..0.6)) as usize;
        let (kind, fades) = (random.random_range(0..4), random.random_range(1.0..6.0));
        let hertz = log_between(&mut random, 150.0, 3_500.0);
        let bends = random.random_range(-1.5..1.5_f64);
        let mut phase = 0.0;
        for at in 0..length.min(samples.len() - from) {
            let time = at as f64 / f64::from(RATE);
            let share = at as f64 / length as f64;
            let loud = 0.3 * (time / 0.01).min(1.0) * (-time * fades).exp();
            let tone = |times: f64| (TAU * hertz * times * time).sin();
            phase += TAU * hertz * (bends * share).exp() / f64::from(RATE);
            let value = match kind {
                0 => tone(1.0) + tone(2.0) / 2.0 + tone(3.0) / 3.0,
                1 => phase.sin(),
                2 => random.random_range(-1.0..1.0),
                _ => tone(1.0) + tone(1.26) + tone(1.5),
            };
            samples[from + at] += loud * value;
        }
        from += (length as f64 * random.random_range(0.7..1.3)) as usize;
    }
    samples
}

/// What a made sound is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Class {
    Tone,
    Noise,
    Rising,
    Falling,
    Pulses,
}

impl Class {
    pub(crate) const ALL: [Self; 5] =
        [Self::Tone, Self::Noise, Self::Rising, Self::Falling, Self::Pulses];

    /// Returns two seconds of one of the class, of any pitch, pace and loudness, with a little noise.
    pub(crate) fn render(self, random: &mut StdRng) -> Vec<f64> {
        let count = 2 * RATE as usize;
        let hertz = log_between(random, 200.0, 3_000.0);
        let low = log_between(random, 150.0, 900.0);
        let high: f64 = random.random_range(3.0..7.0);
        let (pace, start): (f64, f64) =
            (random.random_range(0.4..1.2), random.random_range(0.0..1.0));
        let every = random.random_range(0.08..0.4) * f64::from(RATE);
        let smooth = random.random_range(1..6);
        let (gain, hiss) = (random.random_range(0.05..0.7), log_between(random, 1e-4, 3e-3));
        let mut phase = 0.0;
        let mut last = [0.0; 6];
        let mut sample = |at: usize| {
            let time = at as f64 / f64::from(RATE);
            let raw: f64 = random.random_range(-1.0..1.0);
            last.rotate_right(1);
            last[0] = raw;
            let value = match self {
                Self::Tone => (TAU * hertz * time).sin() + 0.3 * (TAU * 2.0 * hertz * time).sin(),
                Self::Noise => last[..smooth].iter().sum::<f64>() / smooth as f64,
                Self::Rising | Self::Falling => {
                    let share = (time / pace + start).fract();
                    let share = if self == Self::Rising { share } else { 1.0 - share };
                    phase += TAU * low * high.powf(share) / f64::from(RATE);
                    phase.sin()
                }
                Self::Pulses => raw * (-(at as f64 + start * every) % every / 60.0).exp() * 2.0,
            };
            gain * value + hiss * random.random_range(-1.0..1.0)
        };
        (0..count).map(&mut sample).collect()
    }
}

fn log_between(random: &mut StdRng, low: f64, high: f64) -> f64 {
    random.random_range(low.ln()..high.ln()).exp()
}
