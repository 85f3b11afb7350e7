use std::sync::Arc;

use super::{Hearing, SoundSettings, sound_vector};
use crate::embed::image::Pixels;
use crate::embed::tokenizer::NoText;
use crate::embed::{EmbedError, Embedder, Encoded, Manifest, Modality, Specification, Tokenize};
use crate::vector::{DenseVector, Vector};

/// A model that hears by arithmetic alone: nothing was trained, nothing has to be obtained.
#[derive(Debug)]
pub(in crate::embed) struct MelPatches {
    specification: Specification,
    hearing: Arc<Hearing>,
}

impl MelPatches {
    pub(in crate::embed) fn new(manifest: &Manifest, settings: &SoundSettings) -> Self {
        let hearing = Arc::new(Hearing::new(settings.clone()));
        Self { specification: manifest.specification(), hearing }
    }
}

impl Embedder for MelPatches {
    fn specification(&self) -> &Specification {
        &self.specification
    }

    fn tokenizer(&self) -> Arc<dyn Tokenize> {
        Arc::new(NoText(self.specification.clone()))
    }

    fn hearing(&self) -> Option<Arc<Hearing>> {
        Some(Arc::clone(&self.hearing))
    }

    fn run(&mut self, _: &[&Encoded]) -> Result<Vec<Option<Vector>>, EmbedError> {
        self.specification.require(Modality::Text)?;
        Ok(Vec::new())
    }

    fn run_pictures(&mut self, batch: &[&Pixels]) -> Result<Vec<Option<Vector>>, EmbedError> {
        let hear = |spectrogram: &&Pixels| {
            let vector = sound_vector(spectrogram, self.hearing.settings());
            Ok(vector.map(DenseVector::new).transpose()?.map(Vector::from))
        };
        batch.iter().map(hear).collect()
    }
}
