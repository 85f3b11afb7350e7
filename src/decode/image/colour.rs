//! Samples of any kind to red, green and blue as everybody reads them: sRGB over white.

use moxcms::{ColorProfile, DataColorSpace, Layout, TransformOptions};

use crate::picture::Picture;

/// Steps of each channel in the colours by which a profile is compared with sRGB.
const PROBE_STEPS: u8 = 16;

/// What the samples of a pixel are, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Channels {
    Grey,
    GreyAlpha,
    Rgb,
    RgbAlpha,
    /// Inks, 255 is all of it.
    Cmyk,
}

/// What a decoder gave: rows from the top, 8 bits a sample.
#[derive(Debug)]
pub(super) struct Raster {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) channels: Channels,
    pub(super) samples: Vec<u8>,
    /// The ICC profile that says what the samples mean; none: sRGB.
    pub(super) profile: Option<Vec<u8>>,
}

/// Returns the picture, and what has to be said of its colours; none if the samples do not fill it.
pub(super) fn to_srgb(raster: Raster) -> Option<(Picture, Option<String>)> {
    let Raster { width, height, channels, samples, profile } = raster;
    let (colours, alpha) = match channels {
        Channels::Grey | Channels::Rgb | Channels::Cmyk => (samples, None),
        Channels::GreyAlpha => split(&samples, 1),
        Channels::RgbAlpha => split(&samples, 3),
    };
    let row = width as usize * 3;
    let (converted, warning) = match profile.map(|profile| Meaning::read(&profile, channels)) {
        Some(Ok(Some(meaning))) => meaning.apply(&colours, row),
        Some(Ok(None)) | None => (None, None),
        Some(Err(reason)) => (None, Some(reason)),
    };
    let mut samples = converted.unwrap_or_else(|| plain(colours, channels));
    if let Some(alpha) = alpha {
        over_white(&mut samples, &alpha);
    }
    Picture::new(width, height, samples).map(|picture| (picture, warning))
}

/// Parts colours and the alpha after them.
fn split(samples: &[u8], colours: usize) -> (Vec<u8>, Option<Vec<u8>>) {
    let pixels = samples.chunks_exact(colours + 1);
    let alpha = pixels.clone().map(|pixel| pixel[colours]).collect();
    (pixels.flat_map(|pixel| &pixel[..colours]).copied().collect(), Some(alpha))
}

/// Returns the samples as red, green and blue, where no profile says what they mean.
fn plain(samples: Vec<u8>, channels: Channels) -> Vec<u8> {
    match channels {
        Channels::Rgb | Channels::RgbAlpha => samples,
        Channels::Grey | Channels::GreyAlpha => {
            samples.into_iter().flat_map(|grey| [grey; 3]).collect()
        }
        Channels::Cmyk => samples
            .chunks_exact(4)
            .flat_map(|inks| [0, 1, 2].map(|ink| scaled(255 - inks[ink], 255 - inks[3])))
            .collect(),
    }
}

fn over_white(samples: &mut [u8], alpha: &[u8]) {
    for (pixel, &alpha) in samples.chunks_exact_mut(3).zip(alpha).filter(|pixel| *pixel.1 != 255) {
        for sample in pixel {
            *sample = 255 - scaled(255 - *sample, alpha);
        }
    }
}

/// Returns `value * factor / 255`, rounded.
fn scaled(value: u8, factor: u8) -> u8 {
    let product = u32::from(value) * u32::from(factor) + 127;
    u8::try_from(product / 255).unwrap_or(u8::MAX)
}

/// What a profile makes of samples.
struct Meaning {
    transform: std::sync::Arc<moxcms::Transform8BitExecutor>,
    channels: usize,
    /// Whether grey has to become red, green and blue first.
    widens: bool,
}

impl Meaning {
    /// Returns what the profile says; nothing if that is sRGB, and a warning if it fits other samples
    /// or none.
    fn read(profile: &[u8], channels: Channels) -> Result<Option<Self>, String> {
        let ignored = |reason: String| format!("the colour profile was ignored: {reason}");
        let profile =
            ColorProfile::new_from_slice(profile).map_err(|error| ignored(error.to_string()))?;
        let is_grey = matches!(channels, Channels::Grey | Channels::GreyAlpha);
        let (layout, count, widens) = match (profile.color_space, channels) {
            (DataColorSpace::Gray, _) if is_grey => (Layout::Gray, 1, false),
            (DataColorSpace::Rgb, _) if is_grey => (Layout::Rgb, 3, true),
            (DataColorSpace::Rgb, Channels::Rgb | Channels::RgbAlpha) => (Layout::Rgb, 3, false),
            // Four channels are laid out alike, whatever they are called.
            (DataColorSpace::Cmyk, Channels::Cmyk) => (Layout::Rgba, 4, false),
            (space, _) => return Err(ignored(format!("it is one of {space:?}"))),
        };
        let srgb = ColorProfile::new_srgb();
        let options = TransformOptions::default();
        let transform = profile
            .create_transform_8bit(layout, &srgb, Layout::Rgb, options)
            .map_err(|error| ignored(error.to_string()))?;
        let meaning = Self { transform, channels: count, widens };
        Ok((count != 3 || !meaning.is_srgb()).then_some(meaning))
    }

    /// Returns whether all colours stay what they are, which is so of most photographs.
    fn is_srgb(&self) -> bool {
        let steps = || (0..=255).step_by(usize::from(PROBE_STEPS) + 1);
        let colours = steps().flat_map(|red| steps().map(move |green| (red, green)));
        let colours = colours.flat_map(|(red, green)| steps().map(move |blue| [red, green, blue]));
        let colours: Vec<u8> = colours.flatten().collect();
        let mut seen = vec![0; colours.len()];
        self.transform.transform(&colours, &mut seen).is_ok()
            && colours.iter().zip(&seen).all(|(&a, &b)| a.abs_diff(b) <= 1)
    }

    /// Returns the samples in sRGB, a row at a time; `row` in bytes of the result.
    fn apply(&self, samples: &[u8], row: usize) -> (Option<Vec<u8>>, Option<String>) {
        let pixels = row / 3;
        let stored = if self.widens { pixels } else { pixels * self.channels };
        let mut converted = vec![0; samples.len() / stored.max(1) * row];
        let mut wide = Vec::new();
        for (from, to) in samples.chunks_exact(stored.max(1)).zip(converted.chunks_exact_mut(row)) {
            let from = if self.widens {
                wide.clear();
                wide.extend(from.iter().flat_map(|&grey| [grey; 3]));
                &wide
            } else {
                from
            };
            if let Err(error) = self.transform.transform(from, to) {
                return (None, Some(format!("the colour profile was ignored: {error}")));
            }
        }
        (Some(converted), None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raster(channels: Channels, samples: &[u8], profile: Option<Vec<u8>>) -> Raster {
        let pixels = samples.len()
            / match channels {
                Channels::Grey => 1,
                Channels::GreyAlpha => 2,
                Channels::Rgb => 3,
                Channels::RgbAlpha | Channels::Cmyk => 4,
            };
        let width = u32::try_from(pixels).unwrap();
        Raster { width, height: 1, channels, samples: samples.to_vec(), profile }
    }

    fn shown(channels: Channels, samples: &[u8]) -> Vec<u8> {
        to_srgb(raster(channels, samples, None)).unwrap().0.samples().to_vec()
    }

    #[test]
    fn every_kind_of_samples_becomes_red_green_and_blue_over_white() {
        assert_eq!(shown(Channels::Grey, &[7, 200]), [7, 7, 7, 200, 200, 200]);
        assert_eq!(
            shown(Channels::GreyAlpha, &[0, 255, 0, 0, 0, 51]),
            [0, 0, 0, 255, 255, 255, 204, 204, 204]
        );
        assert_eq!(shown(Channels::RgbAlpha, &[255, 0, 9, 128]), [255, 127, 132]);
        // No ink, all black, and cyan.
        let inks = [0, 0, 0, 0, 0, 0, 0, 255, 255, 0, 0, 0];
        assert_eq!(shown(Channels::Cmyk, &inks), [255, 255, 255, 0, 0, 0, 0, 255, 255]);
    }

    #[test]
    fn a_profile_that_is_srgb_or_damaged_changes_nothing() {
        let srgb = ColorProfile::new_srgb().encode().unwrap();
        let samples: Vec<u8> = (0..=254).collect();
        let (picture, warning) =
            to_srgb(raster(Channels::Rgb, &samples, Some(srgb.clone()))).unwrap();
        assert_eq!((picture.samples(), warning), (&samples[..], None));
        let damaged = Some(srgb[..200].to_vec());
        let (picture, warning) = to_srgb(raster(Channels::Rgb, &samples, damaged)).unwrap();
        assert_eq!(picture.samples(), samples);
        assert!(warning.unwrap().starts_with("the colour profile was ignored"));
        let (_, warning) = to_srgb(raster(Channels::Cmyk, &[0; 8], Some(srgb))).unwrap();
        assert!(warning.unwrap().contains("ignored"));
    }

    #[test]
    fn a_wider_space_is_narrowed() {
        let wide = ColorProfile::new_adobe_rgb().encode().unwrap();
        let (picture, _) =
            to_srgb(raster(Channels::Rgb, &[100, 180, 60, 90, 90, 90], Some(wide.clone())))
                .unwrap();
        // Greener and less red than the same numbers of sRGB; grey stays grey.
        assert!(picture.samples()[0] < 90 && picture.samples()[1] > 178, "{:?}", picture.samples());
        assert!(picture.samples()[3..].iter().all(|&grey| grey.abs_diff(90) <= 1));
        let (grey, warning) = to_srgb(raster(Channels::Grey, &[90], Some(wide))).unwrap();
        assert!(grey.samples().iter().all(|&grey| grey.abs_diff(90) <= 1) && warning.is_none());
    }
}
