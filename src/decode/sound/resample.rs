use std::f64::consts::PI;

/// How many times the kernel crosses zero on each side.
const CROSSINGS: usize = 24;
/// How finely the kernel is tabled between two of them; values between are on a line.
const STEPS: usize = 512;
/// Where the band ends, as a share of the lower of the two Nyquist frequencies.
const PASSED: f64 = 0.94;
/// The shape of the window (Kaiser), which leaves about 1e-4 of what lies beyond the band.
const BETA: f64 = 9.0;

/// Brings a stream of samples to another rate: band-limited interpolation with a windowed sinc, whose table
/// serves every ratio (Smith and Gossett 1984).
pub(super) struct Resampler {
    from: u64,
    to: u64,
    /// How far the kernel reaches, in samples of the source.
    reach: f64,
    /// The end of the band, in cycles of two samples of the source.
    cutoff: f64,
    kernel: Vec<f32>,
    /// Samples of the source that are needed yet, and the number of the first of them.
    held: Vec<f32>,
    first: u64,
    /// How many samples were given out.
    given: u64,
}

impl Resampler {
    pub(super) fn new(from: u32, to: u32) -> Self {
        let cutoff = (f64::from(to) / f64::from(from)).min(1.0) * PASSED;
        Self {
            from: from.into(),
            to: to.into(),
            reach: CROSSINGS as f64 / cutoff,
            cutoff,
            kernel: kernel(),
            held: Vec::new(),
            first: 0,
            given: 0,
        }
    }

    /// Takes samples of the source, and gives those that are whole now.
    pub(super) fn push(&mut self, samples: &[f32], out: &mut Vec<f32>) {
        if self.from == self.to {
            out.extend_from_slice(samples);
            return;
        }
        self.held.extend_from_slice(samples);
        let end = self.first + self.held.len() as u64;
        while self.place().0 as f64 + 1.0 + self.reach < end as f64 {
            out.push(self.sample());
        }
        // What lies behind the reach of the next sample is not looked at again.
        let needed = (self.place().0 as f64 - self.reach - 1.0).max(0.0) as u64;
        let gone = needed.saturating_sub(self.first).min(self.held.len() as u64);
        self.held.drain(..gone as usize);
        self.first += gone;
    }

    /// Gives the rest, as if silence followed.
    pub(super) fn finish(&mut self, out: &mut Vec<f32>) {
        if self.from == self.to {
            return;
        }
        let end = self.first + self.held.len() as u64;
        while self.place().0 < end {
            out.push(self.sample());
        }
    }

    /// Returns where the next sample lies among those of the source: the one before it, and how far on.
    fn place(&self) -> (u64, f64) {
        let at = u128::from(self.given) * u128::from(self.from);
        let (whole, rest) = (at / u128::from(self.to), at % u128::from(self.to));
        (whole as u64, rest as f64 / self.to as f64)
    }

    fn sample(&mut self) -> f32 {
        let (whole, rest) = self.place();
        self.given += 1;
        let centre = (whole - self.first.min(whole)) as f64 + rest;
        let start = (centre - self.reach).ceil().max(0.0) as usize;
        let end = ((centre + self.reach).floor() as usize + 1).min(self.held.len());
        let scale = self.cutoff * STEPS as f64;
        let mut sum = 0.0_f64;
        for (at, &sample) in self.held.iter().enumerate().take(end).skip(start) {
            let place = (at as f64 - centre).abs() * scale;
            let step = place as usize;
            let (Some(&left), Some(&right)) = (self.kernel.get(step), self.kernel.get(step + 1))
            else {
                continue;
            };
            let weight = left + (right - left) * (place - step as f64) as f32;
            sum += f64::from(sample) * f64::from(weight);
        }
        (sum * self.cutoff) as f32
    }
}

/// Returns one side of the kernel.
fn kernel() -> Vec<f32> {
    let whole = bessel(BETA);
    let at = |step: usize| {
        let place = step as f64 / STEPS as f64;
        let share = place / CROSSINGS as f64;
        let window = bessel(BETA * (1.0 - share * share).max(0.0).sqrt()) / whole;
        let sinc = if step == 0 { 1.0 } else { (PI * place).sin() / (PI * place) };
        (sinc * window) as f32
    };
    (0..=CROSSINGS * STEPS).map(at).collect()
}

/// Returns the modified Bessel function of the first kind and order 0, by its series.
fn bessel(x: f64) -> f64 {
    let (mut sum, mut term) = (1.0, 1.0);
    for order in 1..64 {
        term *= (x / 2.0 / f64::from(order)).powi(2);
        sum += term;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(hertz: f64, rate: u32, seconds: f64) -> Vec<f32> {
        let samples = (f64::from(rate) * seconds) as usize;
        let at = |sample: usize| (2.0 * PI * hertz * sample as f64 / f64::from(rate)).sin() as f32;
        (0..samples).map(at).collect()
    }

    fn resampled(samples: &[f32], from: u32, block: usize) -> Vec<f32> {
        let mut resampler = Resampler::new(from, 16_000);
        let mut out = Vec::new();
        samples.chunks(block).for_each(|block| resampler.push(block, &mut out));
        resampler.finish(&mut out);
        out
    }

    #[test]
    fn tones_below_the_band_stay_what_they_are_and_those_above_vanish() {
        for from in [8_000, 11_025, 22_050, 44_100, 48_000, 96_001, 192_000] {
            let found = resampled(&tone(1_000.0, from, 0.5), from, 700);
            let expected = tone(1_000.0, 16_000, 0.5);
            assert!(found.len().abs_diff(8_000) <= 1, "{from}: {} samples", found.len());
            let inside = found.iter().zip(&expected).skip(400).take(7_000);
            let off = inside.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(off < 1e-3, "{from}: {off}");
            if from >= 22_050 {
                let found = resampled(&tone(9_500.0, from, 0.5), from, 700);
                let left = found[400..7_400].iter().fold(0.0_f32, |most, a| most.max(a.abs()));
                assert!(left < 1e-3, "{from}: {left}");
            }
        }
    }

    #[test]
    fn blocks_of_any_length_give_the_same_samples_and_little_is_held() {
        let samples = tone(700.0, 44_100, 0.3);
        let whole = resampled(&samples, 44_100, samples.len());
        assert_eq!(resampled(&samples, 44_100, 1), whole);
        assert_eq!(resampled(&samples, 44_100, 997), whole);
        let mut resampler = Resampler::new(44_100, 16_000);
        let mut out = Vec::new();
        for _ in 0..100 {
            resampler.push(&samples, &mut out);
            assert!(resampler.held.len() < 400, "{}", resampler.held.len());
        }
    }
}
