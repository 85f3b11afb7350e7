use crate::decode::sound::SAMPLE_RATE;
use crate::embed::EmbedderHandle;

/// How long a stretch is, and how far they are apart, where no model says it, in milliseconds.
const WINDOW_MS: u64 = 2_000;
const STEP_MS: u64 = 1_000;
/// A stretch at the end is one of its own if it has at least this share of a step that no other has.
const REST: usize = 4;

/// A stretch of a sound.
#[derive(Debug)]
pub(super) struct Stretch<'a> {
    pub(super) samples: &'a [f32],
    /// In milliseconds from the start of the sound.
    pub(super) start_ms: u64,
    pub(super) end_ms: u64,
}

/// Cuts a stream of samples into stretches that lie over each other.
#[derive(Debug)]
pub(super) struct Stretches {
    window: usize,
    step: usize,
    held: Vec<f32>,
    /// The number of the first sample that is held.
    first: u64,
    /// Where among those that are held the next stretch begins, and whether there was one before it.
    next: usize,
    has_begun: bool,
}

impl Stretches {
    /// Returns what cuts as the most demanding of the models ask.
    pub(super) fn of(readers: &[(&str, &EmbedderHandle)]) -> Self {
        let asked = readers.iter().filter_map(|(_, embedder)| embedder.listens_to());
        let (window_ms, step_ms) =
            asked.reduce(|a, b| (a.0.min(b.0), a.1.min(b.1))).unwrap_or((WINDOW_MS, STEP_MS));
        Self::every(window_ms, step_ms)
    }

    /// Returns what cuts stretches of a length, so far apart.
    pub(super) fn every(window_ms: u64, step_ms: u64) -> Self {
        let samples = |ms: u64| (ms * u64::from(SAMPLE_RATE) / 1_000).max(1) as usize;
        Self {
            window: samples(window_ms),
            step: samples(step_ms),
            held: Vec::new(),
            first: 0,
            next: 0,
            has_begun: false,
        }
    }

    /// Returns how many samples have come.
    pub(super) fn heard(&self) -> u64 {
        self.first + self.held.len() as u64
    }

    /// Takes more samples; those before the last stretch are let go.
    pub(super) fn hear(&mut self, samples: &[f32]) {
        let gone = self.next.saturating_sub(self.step).min(self.held.len());
        self.held.drain(..gone);
        self.first += gone as u64;
        self.next -= gone;
        self.held.extend_from_slice(samples);
    }

    /// Returns the next stretch that is whole.
    pub(super) fn next(&mut self) -> Option<Stretch<'_>> {
        let range = self.next..self.next + self.window;
        if range.end > self.held.len() {
            return None;
        }
        self.next += self.step;
        self.has_begun = true;
        Some(self.stretch(range.start, range.end))
    }

    /// Returns the stretch that ends with the sound, as long as others are, if enough of it is in no other.
    pub(super) fn last(&self) -> Option<Stretch<'_>> {
        let end = self.held.len();
        // Where the last whole stretch ended.
        let covered = if self.has_begun { self.next + self.window - self.step } else { 0 };
        let rest = end.saturating_sub(covered);
        if rest == 0 || (self.has_begun && rest < self.step / REST) {
            return None;
        }
        let start = end.saturating_sub(self.window).max(self.next.saturating_sub(self.step));
        Some(self.stretch(start, end))
    }

    fn stretch(&self, start: usize, end: usize) -> Stretch<'_> {
        let at = |place: usize| milliseconds(self.first + place as u64);
        let samples = &self.held[start..end];
        Stretch { samples, start_ms: at(start), end_ms: at(end).max(at(start) + 1) }
    }
}

/// Returns how long so many samples last.
pub(super) fn milliseconds(samples: u64) -> u64 {
    samples * 1_000 / u64::from(SAMPLE_RATE)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The stretches of a sound of so many milliseconds that comes in blocks of others, and the most samples
    /// that were held.
    fn cut(length_ms: u64, block_ms: u64) -> (Vec<(u64, u64)>, usize) {
        let samples: Vec<f32> = (0..length_ms * 16).map(|at| at as f32).collect();
        let mut stretches = Stretches::every(2_000, 1_000);
        let (mut found, mut held) = (Vec::new(), 0);
        let check = |stretch: Stretch<'_>| {
            assert_eq!(stretch.samples[0], (stretch.start_ms * 16) as f32);
            assert_eq!(stretch.samples.len() as u64, (stretch.end_ms - stretch.start_ms) * 16);
            (stretch.start_ms, stretch.end_ms)
        };
        for block in samples.chunks(block_ms as usize * 16) {
            stretches.hear(block);
            while let Some(stretch) = stretches.next() {
                found.push(check(stretch));
            }
            held = held.max(stretches.held.len());
        }
        found.extend(stretches.last().map(check));
        (found, held)
    }

    #[test]
    fn stretches_lie_over_each_other_and_the_last_one_ends_with_the_sound() {
        for block_ms in [10, 700, 1_000, 9_000] {
            assert_eq!(cut(700, block_ms).0, [(0, 700)]);
            assert_eq!(cut(2_000, block_ms).0, [(0, 2_000)]);
            assert_eq!(cut(2_100, block_ms).0, [(0, 2_000)]);
            assert_eq!(cut(2_700, block_ms).0, [(0, 2_000), (700, 2_700)]);
            assert_eq!(cut(4_000, block_ms).0, [(0, 2_000), (1_000, 3_000), (2_000, 4_000)]);
        }
        assert!(cut(60_000, 500).1 <= 16 * 3_500);
        let expected: Vec<(u64, u64)> =
            (0..59).map(|second| (second * 1_000, second * 1_000 + 2_000)).collect();
        assert_eq!(cut(60_000, 500).0, expected);
    }
}
