use serde::{Deserialize, Serialize};

use super::{TimedLatent, flow};

/// How many flows are told of a clip: that of the whole, and those of its quarters.
const FLOWS: usize = 5;
/// In cells a frame: what moves much less than this stands still, as far as can be told.
const FLOW_TELLING: f64 = 0.1;

/// How the latents of a clip become one vector: four blocks, each with its weight; 0 leaves one out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClipPooling {
    /// Into how many parts each side of the picture is divided, so that places stay apart.
    pub grid: usize,
    /// The mean over the frames, of each channel in each part.
    pub mean: f32,
    /// The largest over frames and places, of each channel.
    pub max: f32,
    /// The mean absolute difference between consecutive frames, of each channel in each part.
    pub motion: f32,
    /// Which way the whole and each of its quarters move: changes its sign when time runs backwards.
    pub flow: f32,
}

impl Default for ClipPooling {
    fn default() -> Self {
        Self { grid: 4, mean: 1.0, max: 0.5, motion: 0.5, flow: 1.0 }
    }
}

/// Returns how many components the vector of a clip has.
pub fn clip_dimension(pooling: &ClipPooling, channels: usize) -> usize {
    let parts = pooling.grid.max(1).pow(2);
    let blocks = [
        (pooling.mean, parts * channels),
        (pooling.max, channels),
        (pooling.motion, parts * channels),
        (pooling.flow, FLOWS * 2),
    ];
    blocks.iter().filter(|(weight, _)| *weight > 0.0).map(|(_, length)| length).sum()
}

/// Returns the vector of a clip, of length one. `centre` is the usual value of each channel, which says
/// nothing of a clip and is taken away; empty for none.
///
/// Mean and largest are scaled to length one before they are weighted; motion is measured against how
/// much the latents vary over the picture, and flow against a tenth of a cell, so that the noise of a
/// still picture stays noise. None for
/// no latents, for latents of different shapes, and where nothing is left to be seen.
pub fn clip_vector(
    latents: &[TimedLatent],
    pooling: &ClipPooling,
    centre: &[f32],
) -> Option<Vec<f32>> {
    let first = latents.first()?;
    let [channels, rows, columns] = first.latent.shape();
    let is_centred = centre.is_empty() || centre.len() == channels;
    if !is_centred || latents.iter().any(|timed| timed.latent.shape() != first.latent.shape()) {
        return None;
    }
    let usual = |channel: usize| centre.get(channel).copied().unwrap_or(0.0);
    let grid = pooling.grid.max(1).min(rows.min(columns));
    let parts = grid * grid;
    let part_of =
        |cell: usize| (cell / columns * grid / rows) * grid + (cell % columns) * grid / columns;
    let mut sizes = vec![0_usize; parts];
    (0..rows * columns).for_each(|cell| sizes[part_of(cell)] += 1);
    let mut mean = vec![0.0_f64; channels * parts];
    let mut motion = vec![0.0_f64; channels * parts];
    let mut largest = vec![f32::MIN; channels];
    for (at, timed) in latents.iter().enumerate() {
        let before = at.checked_sub(1).map(|before| &latents[before].latent);
        for channel in 0..channels {
            let values = timed.latent.channel(channel);
            let earlier = before.map(|latent| latent.channel(channel));
            for (cell, &value) in values.iter().enumerate() {
                let place = channel * parts + part_of(cell);
                mean[place] += f64::from(value - usual(channel));
                largest[channel] = largest[channel].max(value - usual(channel));
                if let Some(earlier) = earlier {
                    motion[place] += f64::from((value - earlier[cell]).abs());
                }
            }
        }
    }
    let frames = latents.len();
    for channel in 0..channels {
        for part in 0..parts {
            let cells = sizes[part] as f64;
            mean[channel * parts + part] /= cells * frames as f64;
            motion[channel * parts + part] /= cells * (frames - 1).max(1) as f64;
        }
    }
    let mut vector = Vec::with_capacity(clip_dimension(pooling, channels));
    if pooling.mean > 0.0 {
        push_unit(&mut vector, mean.iter().copied(), pooling.mean);
    }
    if pooling.max > 0.0 {
        push_unit(&mut vector, largest.iter().map(|&value| f64::from(value)), pooling.max);
    }
    if pooling.motion > 0.0 {
        // Against the spread over the picture, the strongest motion that there could be.
        let spread = spread(latents) * (channels * parts) as f64;
        let scale = if spread > 0.0 { f64::from(pooling.motion) / spread.sqrt() } else { 0.0 };
        vector.extend(motion.iter().map(|value| (value * scale) as f32));
    }
    if pooling.flow > 0.0 {
        push_flow(&mut vector, latents, pooling.flow);
    }
    // A grid coarser than the parts leaves components that are always nothing.
    vector.resize(clip_dimension(pooling, channels), 0.0);
    let length = vector.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
    if length <= f64::from(f32::MIN_POSITIVE) {
        return None;
    }
    Some(vector.into_iter().map(|value| (f64::from(value) / length) as f32).collect())
}

fn push_unit(vector: &mut Vec<f32>, values: impl Iterator<Item = f64> + Clone, weight: f32) {
    let length = values.clone().map(|value| value * value).sum::<f64>().sqrt();
    let scale = if length > 0.0 { f64::from(weight) / length } else { 0.0 };
    vector.extend(values.map(|value| (value * scale) as f32));
}

fn push_flow(vector: &mut Vec<f32>, latents: &[TimedLatent], weight: f32) {
    let flows = [flow(latents, 1), flow(latents, 2)].concat();
    let values = flows.iter().flat_map(|flow| [f64::from(flow.right), f64::from(flow.down)]);
    let length = values.clone().map(|value| value * value).sum::<f64>().sqrt();
    let scale = f64::from(weight) / (length + FLOW_TELLING);
    vector.extend(values.map(|value| (value * scale) as f32));
}

/// Returns the mean variance of the channels over the picture and the frames.
fn spread(latents: &[TimedLatent]) -> f64 {
    let mut sum = 0.0;
    let mut count = 0_u32;
    for timed in latents {
        for channel in 0..timed.latent.channels() {
            let values = timed.latent.channel(channel);
            let number = values.len() as f64;
            let mean = values.iter().map(|&value| f64::from(value)).sum::<f64>() / number;
            let squares = values.iter().map(|&value| (f64::from(value) - mean).powi(2));
            sum += squares.sum::<f64>() / number;
            count += 1;
        }
    }
    sum / f64::from(count.max(1))
}
