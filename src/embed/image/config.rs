//! What does a `preprocessor_config.json` say of the pictures that a model was trained on?
//!
//! The file is written by the image processors of transformers. What it leaves out has the value of
//! the class that it names, and the classes differ; what a class does that is not built is refused.

use serde::Deserialize;

use super::{ImageSettings, Resampler, Resize};
use crate::picture::Filter;

/// The mean and the deviation of the pictures that CLIP was trained on.
const CLIP: [[f64; 3]; 2] =
    [[0.481_454_66, 0.457_827_5, 0.408_210_73], [0.268_629_54, 0.261_302_58, 0.275_777_11]];
/// The same of `ImageNet`.
const IMAGENET: [[f64; 3]; 2] = [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]];
/// From -1 to 1.
const HALF: [[f64; 3]; 2] = [[0.5; 3]; 2];

/// A configuration as it is written; releases differ in what they write.
#[derive(Debug, Clone, Deserialize, Default)]
#[serde(default)]
struct Config {
    image_processor_type: Option<String>,
    feature_extractor_type: Option<String>,
    do_resize: Option<bool>,
    size: Option<Size>,
    resample: Option<i64>,
    crop_pct: Option<f64>,
    do_center_crop: Option<bool>,
    crop_size: Option<Size>,
    do_rescale: Option<bool>,
    rescale_factor: Option<f64>,
    #[serde(alias = "offset")]
    rescale_offset: Option<bool>,
    include_top: Option<bool>,
    do_normalize: Option<bool>,
    image_mean: Option<Channels>,
    image_std: Option<Channels>,
    do_pad: Option<bool>,
    do_image_splitting: Option<bool>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Size {
    One(u32),
    Pair([u32; 2]),
    Named(NamedSize),
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct NamedSize {
    shortest_edge: Option<u32>,
    longest_edge: Option<u32>,
    height: Option<u32>,
    width: Option<u32>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Channels {
    All(f64),
    Each([f64; 3]),
}

/// What a class of image processors does where the file does not say.
struct Class {
    name: &'static str,
    /// Whether a single number is the shorter edge rather than both sides.
    is_edge: bool,
    size: u32,
    filter: Filter,
    crops: Option<u32>,
    mean_std: [[f64; 3]; 2],
}

#[rustfmt::skip]
const CLASSES: [Class; 9] = [
    Class { name: "CLIP", is_edge: true, size: 224, filter: Filter::Bicubic, crops: Some(224), mean_std: CLIP },
    Class { name: "Siglip", is_edge: false, size: 224, filter: Filter::Bicubic, crops: None, mean_std: HALF },
    Class { name: "ViT", is_edge: false, size: 224, filter: Filter::Bilinear, crops: None, mean_std: HALF },
    Class { name: "DeiT", is_edge: false, size: 256, filter: Filter::Bicubic, crops: Some(224), mean_std: HALF },
    Class { name: "Beit", is_edge: false, size: 256, filter: Filter::Bicubic, crops: Some(224), mean_std: HALF },
    Class { name: "Bit", is_edge: true, size: 224, filter: Filter::Bicubic, crops: Some(224), mean_std: CLIP },
    Class { name: "ConvNext", is_edge: true, size: 384, filter: Filter::Bilinear, crops: None, mean_std: IMAGENET },
    Class { name: "MobileNetV1", is_edge: true, size: 256, filter: Filter::Bilinear, crops: Some(224), mean_std: HALF },
    Class { name: "MobileNetV2", is_edge: true, size: 256, filter: Filter::Bilinear, crops: Some(224), mean_std: HALF },
];
/// How much of the shorter edge of `ConvNeXt`'s pictures is read, if the file does not say.
const CONVNEXT_SHARE: f64 = 224.0 / 256.0;
/// From this edge on its pictures are stretched.
const CONVNEXT_STRETCHED: u32 = 384;

impl ImageSettings {
    /// Returns what a `preprocessor_config.json` says.
    ///
    /// # Errors
    /// What is wrong with it, or what it asks for that is not built.
    pub fn of_config(json: &[u8]) -> Result<Self, String> {
        let config: Config = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        let named = config.image_processor_type.as_ref().or(config.feature_extractor_type.as_ref());
        let name = named.map_or("", String::as_str);
        let is_fast = name.ends_with("ImageProcessorFast");
        let name = ["ImageProcessorFast", "ImageProcessor", "FeatureExtractor"]
            .iter()
            .find_map(|ending| name.strip_suffix(ending))
            .unwrap_or(name);
        let class = CLASSES.iter().find(|class| class.name == name);
        let asks = [config.do_pad, config.do_image_splitting, config.include_top];
        if asks.contains(&Some(true)) {
            return Err("do_pad, do_image_splitting and include_top are not built".to_owned());
        }
        let mut settings = Self { resampler: Resampler::Pillow, ..Self::default() };
        if is_fast {
            settings.resampler = Resampler::TorchBytes;
        }
        settings.filter = filter(&config, class)?;
        fit(&mut settings, &config, class)?;
        shift(&mut settings, &config, class)?;
        settings.check()?;
        Ok(settings)
    }
}

fn filter(config: &Config, class: Option<&Class>) -> Result<Filter, String> {
    match config.resample {
        Some(0) => Ok(Filter::Nearest),
        Some(1) => Ok(Filter::Lanczos),
        Some(2) => Ok(Filter::Bilinear),
        Some(3) => Ok(Filter::Bicubic),
        Some(4) => Ok(Filter::Box),
        Some(5) => Ok(Filter::Hamming),
        Some(other) => Err(format!("resample is {other}, expected 0 to 5")),
        None => class.map(|class| class.filter).ok_or_else(|| missing("resample")),
    }
}

/// Sets how pictures are fitted.
fn fit(settings: &mut ImageSettings, config: &Config, class: Option<&Class>) -> Result<(), String> {
    let is_edge = class.is_none_or(|class| class.is_edge);
    let crops = match (config.crop_size, class.and_then(|class| class.crops)) {
        _ if config.do_center_crop == Some(false) => None,
        (Some(size), usual) if config.do_center_crop == Some(true) || usual.is_some() => {
            Some(sides(size)?)
        }
        (None, Some(usual)) => Some([usual; 2]),
        (None, None) if config.do_center_crop == Some(true) => return Err(missing("crop_size")),
        (_, None) | (Some(_), Some(_)) => None,
    };
    let (resize, edge, size) = if config.do_resize == Some(false) {
        (Resize::Crop, None, crops.ok_or_else(|| missing("crop_size"))?)
    } else {
        let usual = class.map(|class| Size::One(class.size));
        let size = config.size.or(usual).ok_or_else(|| missing("size"))?;
        let share =
            config.crop_pct.or(class.filter(|c| c.name == "ConvNext").map(|_| CONVNEXT_SHARE));
        match (edge_of(size, is_edge)?, share) {
            (Some(edge), Some(_)) if edge >= CONVNEXT_STRETCHED => {
                (Resize::Stretch, None, [edge; 2])
            }
            (Some(edge), Some(share)) if share > 0.0 && share <= 1.0 => {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "checked with the other settings"
                )]
                let longer = (f64::from(edge) / share) as u32;
                (Resize::ShortEdge, Some(longer), [edge; 2])
            }
            (_, Some(share)) if class.is_some_and(|c| c.name == "ConvNext") => {
                return Err(format!(
                    "crop_pct is {share} and the size {size:?}, which is not built"
                ));
            }
            (Some(edge), _) => {
                let crops = crops.ok_or(
                    "the shorter edge is set and nothing is cut out; pictures of all shapes would be \
                     read, expected a size",
                )?;
                (Resize::ShortEdge, Some(edge), crops)
            }
            (None, _) => {
                let stretched = sides(size)?;
                match crops {
                    Some(crops) if crops != stretched => {
                        return stretch_and_cut(settings, stretched, crops);
                    }
                    _ => (Resize::Stretch, None, stretched),
                }
            }
        }
    };
    (settings.resize, settings.edge) = (resize, edge);
    [settings.height, settings.width] = size;
    Ok(())
}

/// Stretched to one size, of which the middle is read.
fn stretch_and_cut(
    settings: &mut ImageSettings,
    [height, width]: [u32; 2],
    crops: [u32; 2],
) -> Result<(), String> {
    if height != width {
        return Err(format!(
            "pictures are stretched to {height} x {width} before the middle is cut \
                            out, expected a square"
        ));
    }
    (settings.resize, settings.edge) = (Resize::Square, Some(height));
    [settings.height, settings.width] = crops;
    Ok(())
}

/// Sets what becomes of samples.
fn shift(
    settings: &mut ImageSettings,
    config: &Config,
    class: Option<&Class>,
) -> Result<(), String> {
    settings.scale = match (config.do_rescale, config.rescale_factor) {
        (Some(false), _) => 1.0,
        (_, Some(factor)) => factor,
        (_, None) => 1.0 / 255.0,
    };
    let offset = f64::from(config.rescale_offset.unwrap_or_default());
    let [mean, std] = if config.do_normalize == Some(false) {
        [[0.0; 3], [1.0; 3]]
    } else {
        let usual = |of: usize| class.map(|class| class.mean_std[of]);
        let each = |channels: Channels| match channels {
            Channels::All(value) => [value; 3],
            Channels::Each(values) => values,
        };
        [
            config.image_mean.map(each).or(usual(0)).ok_or_else(|| missing("image_mean"))?,
            config.image_std.map(each).or(usual(1)).ok_or_else(|| missing("image_std"))?,
        ]
    };
    settings.mean = mean.map(|mean| mean + offset);
    settings.std = std;
    Ok(())
}

/// Returns the length of the shorter edge, if that is what a size says.
fn edge_of(size: Size, is_edge: bool) -> Result<Option<u32>, String> {
    match size {
        Size::One(edge) if is_edge => Ok(Some(edge)),
        Size::Named(NamedSize { shortest_edge: Some(edge), longest_edge: None, .. }) => {
            Ok(Some(edge))
        }
        Size::Named(NamedSize { longest_edge: Some(longest), .. }) => Err(format!(
            "longest_edge is {longest}, which is not built; expected shortest_edge, or \
                         height and width"
        )),
        Size::One(_) | Size::Pair(_) | Size::Named(_) => Ok(None),
    }
}

/// Returns height and width.
fn sides(size: Size) -> Result<[u32; 2], String> {
    match size {
        Size::One(side) => Ok([side; 2]),
        Size::Pair(sides) => Ok(sides),
        Size::Named(NamedSize { height: Some(height), width: Some(width), .. }) => {
            Ok([height, width])
        }
        Size::Named(NamedSize { shortest_edge: Some(edge), .. }) => Ok([edge; 2]),
        Size::Named(_) => Err("a size has height and width".to_owned()),
    }
}

fn missing(name: &str) -> String {
    format!("it does not say {name}, and names no image processor that is known here")
}
