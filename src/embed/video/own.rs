use super::{ClipPooling, SpacetimeSettings, clip_dimension};
use crate::embed::{Manifest, Method};

/// The model of clips that comes with the program.
pub const DEFAULT_VIDEO_MODEL: &str = "simile-clips-64";
/// The image model that it stands on, and how many channels its feature map has.
pub(in crate::embed) const IMAGE_MODEL: &str = "simile-autoencoder-64";
const IMAGE_CHANNELS: usize = 16;

/// Returns the manifest of the model of clips that comes with the program, over its image model's: it
/// has no files of its own, and changes with what it stands on.
pub(in crate::embed) fn own_manifest(image: &Manifest) -> Manifest {
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
