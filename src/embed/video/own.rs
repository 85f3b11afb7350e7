use super::{ClipPooling, PatchSizes, SpacetimeOutput, SpacetimeSettings, clip_dimension};
use crate::embed::{Manifest, Method};

/// The model of clips that comes with the program.
pub const DEFAULT_VIDEO_MODEL: &str = "simile-clips-64";
/// The model that comes with the program and keeps the patches of clips apart.
pub const DEFAULT_PATCH_MODEL: &str = "simile-patches-256";
/// The image model that clips stand on, and how many channels its feature map has.
pub(in crate::embed) const IMAGE_MODEL: &str = "simile-autoencoder-64";
const IMAGE_CHANNELS: usize = 16;
/// The same network over larger pictures, on which patches stand.
const LARGE_IMAGE_MODEL: &str = "simile-autoencoder-256";
const LARGE_SIDE: u32 = 256;
/// How many pixels of a side become one cell.
const CELL: u32 = 16;
/// How many frames of a second patches are made of: two, so that a second is one patch at each place.
const PATCH_RATE: f64 = 2.0;

/// Returns the manifests of the models that come with the program and stand on this image model, or are
/// its network over larger pictures: they have no files of their own, and change with what they stand on.
pub(in crate::embed) fn own_manifests(image: &Manifest) -> Vec<Manifest> {
    let mut manifests = vec![clips(image)];
    if let Some(large) = larger(image) {
        manifests.push(patches(&large));
        manifests.push(large);
    }
    manifests
}

fn clips(image: &Manifest) -> Manifest {
    Manifest {
        name: DEFAULT_VIDEO_MODEL.to_owned(),
        method: Method::Spacetime { spacetime: SpacetimeSettings::of(&image.specification()) },
        description: "Clips by what is seen, where it stirs and which way it goes; no download"
            .into(),
        dimension: clip_dimension(&ClipPooling::default(), IMAGE_CHANNELS),
        files: Vec::new(),
        sources: Vec::new(),
        canary: None,
        ..image.clone()
    }
}

/// Returns the network over pictures of 256 pixels a side, whose map is as much finer.
fn larger(image: &Manifest) -> Option<Manifest> {
    let Method::OnnxImage { image: read, network } = &image.method else { return None };
    let mut read = read.clone();
    (read.height, read.width) = (LARGE_SIDE, LARGE_SIDE);
    let mut network = network.clone();
    network.any_size = true;
    let cells = (LARGE_SIDE / CELL) as usize;
    Some(Manifest {
        name: LARGE_IMAGE_MODEL.to_owned(),
        method: Method::OnnxImage { image: read, network },
        description: "The network of simile-autoencoder-64 over larger pictures; no download"
            .into(),
        dimension: IMAGE_CHANNELS * cells * cells,
        canary: None,
        ..image.clone()
    })
}

fn patches(image: &Manifest) -> Manifest {
    let settings = SpacetimeSettings {
        output: SpacetimeOutput::Patches,
        frames_per_second: PATCH_RATE,
        ..SpacetimeSettings::of(&image.specification())
    };
    Manifest {
        name: DEFAULT_PATCH_MODEL.to_owned(),
        method: Method::Spacetime { spacetime: settings },
        description:
            "Where in a picture or a clip something is: its patches, side by side; no download"
                .into(),
        dimension: PatchSizes::default().dimension(IMAGE_CHANNELS),
        files: Vec::new(),
        sources: Vec::new(),
        canary: None,
        ..image.clone()
    }
}
