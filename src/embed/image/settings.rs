use serde::{Deserialize, Serialize};

use crate::picture::Filter;

/// The most rows or columns of pixels that a network is fed.
pub const SIDE_MAX: u32 = 2_048;

/// How a picture becomes what a network reads. Persisted in manifests, where names may be added and
/// never renamed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageSettings {
    /// How many rows of pixels the network reads.
    pub height: u32,
    /// How many pixels a row has.
    pub width: u32,
    /// How a picture of another shape is fitted.
    pub resize: Resize,
    /// How long the edge is after [`Resize::ShortEdge`] or [`Resize::Square`], before the middle is cut
    /// out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edge: Option<u32>,
    /// Where the middle begins if it cannot be exact.
    #[serde(default, skip_serializing_if = "is_default")]
    pub crop: Crop,
    /// What new pixels are made of old ones by.
    pub filter: Filter,
    /// Whose arithmetic the resize follows.
    #[serde(default, skip_serializing_if = "is_default")]
    pub resampler: Resampler,
    /// What a sample, 0 to 255, is multiplied by.
    pub scale: f64,
    /// What is then taken off each channel, in the order red, green, blue.
    pub mean: [f64; 3],
    /// What each channel is divided by in the end, in the order red, green, blue.
    pub std: [f64; 3],
    /// The order in which the network reads the channels.
    #[serde(default, skip_serializing_if = "is_default")]
    pub channels: Channels,
    /// How the numbers are laid out, which is also how the network lays out its own.
    #[serde(default, skip_serializing_if = "is_default")]
    pub layout: Layout,
}

/// How a picture of another shape is fitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resize {
    /// Rows and columns are scaled by themselves.
    Stretch,
    /// The shorter edge gets a length, the other one follows, and the middle is cut out; what is not
    /// there is black.
    ShortEdge,
    /// Both edges get that length, and the middle is cut out.
    Square,
    /// Nothing is resized, and the middle is cut out.
    Crop,
}

/// Where the middle begins if what is to be cut off is an odd number of pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Crop {
    /// The half is rounded down, as the image processors of transformers do it.
    #[default]
    Down,
    /// The half is rounded to the even number, as torchvision does it.
    Even,
}

/// Whose arithmetic a resize follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resampler {
    /// Pillow's: columns first, rounded to 8 bits in between, weights of 22 bits. Pillow 12 and later
    /// make the rows of some pictures first; that most networks were not trained on.
    #[default]
    Pillow,
    /// torchvision's on tensors of bytes, antialiased: the same with weights of 16 bits.
    TorchBytes,
    /// torchvision's on tensors of floats, antialiased: nothing is rounded.
    TorchFloats,
}

/// The order of the channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Channels {
    /// Red, green, blue.
    #[default]
    Rgb,
    /// Blue, green, red.
    Bgr,
    /// One channel, the luma of ITU-R 601 as Pillow rounds it; mean and std are the first ones.
    Grey,
}

impl Channels {
    /// Returns how many values a pixel has.
    pub fn count(self) -> usize {
        match self {
            Self::Rgb | Self::Bgr => 3,
            Self::Grey => 1,
        }
    }
}

/// How the numbers of a picture are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// Channel by channel, each row by row.
    #[default]
    Nchw,
    /// Row by row, the channels of a pixel side by side.
    Nhwc,
}

/// Which graph is run, which of its values is the feature, and what is made of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkSettings {
    /// The name of the graph's file.
    pub file: String,
    /// The value of the graph that is taken, by its name; what it does not need is not run.
    pub layer: String,
    /// How it becomes a vector.
    pub pooling: Reduction,
    /// Whether the vector is scaled to length one.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub normalize: bool,
    /// Whether the graph reads pictures of any size, whatever size it was written down with: a network
    /// of convolutions gives a larger map for a larger picture.
    #[serde(default, skip_serializing_if = "is_default")]
    pub any_size: bool,
}

/// The two graphs of a joint model, and how texts are read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JointSettings {
    /// The name of the file with the graph of texts.
    pub text_file: String,
    /// The value of it that is taken.
    pub text_output: String,
    /// The name of the file with the graph of pictures; it may be the same.
    pub image_file: String,
    /// The value of it that is taken.
    pub image_output: String,
    /// The most tokens of a text, special tokens included.
    pub tokens_max: usize,
    /// The token that fills shorter texts up to that, of a model that was trained so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub padding: Option<u32>,
}

impl JointSettings {
    /// Returns what is wrong with the settings, if something is.
    pub(in crate::embed) fn check(&self) -> Result<(), String> {
        if (8..=8192).contains(&self.tokens_max) {
            return Ok(());
        }
        Err(format!("tokens_max is {}, expected 8 to 8192", self.tokens_max))
    }
}

/// How a feature map becomes a vector. Of one that is a vector already nothing is left to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reduction {
    /// All of it, channel by channel and in each row by row.
    Flatten,
    /// The mean of each channel.
    Mean,
    /// The generalised mean of each channel with the exponent 3, of what is not negative (Radenović et
    /// al. 2018).
    Gem,
    /// The largest of each channel.
    Max,
    /// The first token of a transformer, which stands for the whole.
    Cls,
}

impl Reduction {
    /// Returns the name that manifests use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Flatten => "flatten",
            Self::Mean => "mean",
            Self::Gem => "gem",
            Self::Max => "max",
            Self::Cls => "cls",
        }
    }
}

impl Default for ImageSettings {
    /// Returns what most networks trained on `ImageNet` read.
    fn default() -> Self {
        Self {
            height: 224,
            width: 224,
            resize: Resize::ShortEdge,
            edge: Some(256),
            crop: Crop::default(),
            filter: Filter::Bilinear,
            resampler: Resampler::default(),
            scale: 1.0 / 255.0,
            mean: [0.485, 0.456, 0.406],
            std: [0.229, 0.224, 0.225],
            channels: Channels::default(),
            layout: Layout::default(),
        }
    }
}

impl ImageSettings {
    /// Returns what is wrong with the settings, if something is.
    pub(in crate::embed) fn check(&self) -> Result<(), String> {
        let sides =
            [("height", Some(self.height)), ("width", Some(self.width)), ("edge", self.edge)];
        for (name, side) in sides {
            if let Some(side) = side.filter(|side| !(1..=SIDE_MAX).contains(side)) {
                return Err(format!("{name} is {side}, expected 1 to {SIDE_MAX}"));
            }
        }
        match (self.resize, self.edge) {
            (Resize::Stretch | Resize::Crop, Some(_)) => {
                return Err("only short-edge and square have an edge".to_owned());
            }
            (Resize::ShortEdge | Resize::Square, None) => {
                return Err("edge is missing, short-edge and square have one".to_owned());
            }
            (Resize::Stretch | Resize::Crop, None)
            | (Resize::ShortEdge | Resize::Square, Some(_)) => {}
        }
        let numbers = self.mean.iter().chain(&self.std).chain([&self.scale]);
        if numbers.clone().any(|number| !number.is_finite()) || self.std.contains(&0.0) {
            return Err("scale, mean and std are finite, and std is not zero".to_owned());
        }
        Ok(())
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn yes() -> bool {
    true
}

fn is_yes(value: &bool) -> bool {
    *value
}
