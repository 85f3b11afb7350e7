use std::fmt;

/// What an image encoder makes of a picture before it is squeezed into one vector: so many channels
/// for each cell of a coarse grid over the picture.
#[derive(Clone, PartialEq)]
pub struct Latent {
    channels: usize,
    height: usize,
    width: usize,
    values: Vec<f32>,
}

/// The latent of a frame, and when the frame is seen.
#[derive(Debug, Clone, PartialEq)]
pub struct TimedLatent {
    /// What the encoder made of it.
    pub latent: Latent,
    /// In milliseconds from the start of the video.
    pub start_ms: u64,
    /// When the next frame is seen; later than the start.
    pub end_ms: u64,
}

impl Latent {
    /// Returns the latent of these values, `channels` x `height` x `width`, row-major. None if there
    /// is no value, their number is not what the shape says, or one is not finite.
    pub fn new(channels: usize, height: usize, width: usize, values: Vec<f32>) -> Option<Self> {
        let expected = channels.checked_mul(height)?.checked_mul(width)?;
        let is_whole = expected > 0 && values.len() == expected;
        (is_whole && values.iter().all(|value| value.is_finite())).then_some(Self {
            channels,
            height,
            width,
            values,
        })
    }

    /// Returns how many values a cell has.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Returns how many rows of cells there are.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Returns how many cells a row has.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Returns the shape: channels, height, width.
    pub fn shape(&self) -> [usize; 3] {
        [self.channels, self.height, self.width]
    }

    /// Returns the values, `channels` x `height` x `width`.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Returns the value of a channel at a cell; beyond the edges the nearest cell answers.
    ///
    /// # Panics
    /// There is no such channel.
    pub fn at(&self, channel: usize, row: usize, column: usize) -> f32 {
        let row = row.min(self.height - 1);
        let column = column.min(self.width - 1);
        self.values[(channel * self.height + row) * self.width + column]
    }

    /// Returns the values of a channel, `height` x `width`.
    ///
    /// # Panics
    /// There is no such channel.
    pub fn channel(&self, channel: usize) -> &[f32] {
        let cells = self.height * self.width;
        &self.values[channel * cells..][..cells]
    }
}

/// Values would flood a message.
impl fmt::Debug for Latent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Latent({} x {} x {})", self.channels, self.height, self.width)
    }
}
