use std::path::Path;
use std::sync::Arc;

use ort::session::Session;

use super::family::{ATTENTION_MASK, INPUT_IDS};
use super::network::{Features, finished, graph_bytes};
use super::padded::Padded;
use super::prune::{Cut, feature_name};
use super::transformer::builder;
use crate::embed::image::{
    ImageSettings, JointSettings, Pixels, Preprocess, Preprocessor, Reduction,
};
use crate::embed::tokenizer::FileTokenizer;
use crate::embed::{
    EmbedError, Embedder, Encoded, Manifest, Pooling, Role, Specification, TextSettings, Tokenize,
};
use crate::vector::Vector;

/// Two networks that were trained together, in sessions of ONNX Runtime: texts and pictures in one space.
#[derive(Debug)]
pub(in crate::embed) struct JointNetwork {
    specification: Specification,
    tokenizer: Arc<FileTokenizer>,
    preprocessor: Arc<Preprocessor>,
    texts: TextTower,
    images: Features,
}

/// The network of texts.
#[derive(Debug)]
struct TextTower {
    session: Session,
    has_mask: bool,
    /// How long every text is made, and with what.
    padding: Option<(usize, u32)>,
}

impl JointNetwork {
    /// Loads the networks in a folder and looks at a text and a black picture with them; the runtime is
    /// loaded already.
    pub(in crate::embed) fn open(
        manifest: &Manifest,
        image: &ImageSettings,
        joint: &JointSettings,
        folder: &Path,
        threads: usize,
    ) -> Result<Self, EmbedError> {
        let failed = |reason| EmbedError::Failed { name: manifest.name.clone(), reason };
        let text = TextSettings { tokens_max: joint.tokens_max, ..TextSettings::of(Pooling::Mean) };
        let tokenizer = FileTokenizer::open(&folder.join("tokenizer.json"), text)?;
        let dimension = manifest.dimension;
        let mut texts = graph_bytes(&folder.join(&joint.text_file))
            .and_then(|graph| TextTower::open(&graph, joint, threads))
            .map_err(failed)?;
        let layers = [(joint.image_output.clone(), Reduction::Cls)];
        let images = graph_bytes(&folder.join(&joint.image_file))
            .and_then(|graph| Features::open(&graph, image, &layers, threads))
            .map_err(failed)?;
        let of_text = texts.run(&[&tokenizer.encode("a", Role::Passage)?]);
        let of_text = of_text.map_err(failed)?.first().map_or(0, Vec::len);
        let of_image = images.dimension(0);
        if of_text != dimension || of_image != dimension {
            return Err(failed(format!(
                "expected {dimension} components, got {of_text} of a text and {of_image} of a picture"
            )));
        }
        Ok(Self {
            specification: manifest.specification(),
            tokenizer: Arc::new(tokenizer),
            preprocessor: Arc::new(Preprocessor::of(image.clone())),
            texts,
            images,
        })
    }

    fn failed(&self, reason: String) -> EmbedError {
        EmbedError::Failed { name: self.specification.name.clone(), reason }
    }
}

impl TextTower {
    fn open(graph: &[u8], joint: &JointSettings, threads: usize) -> Result<Self, String> {
        let (graph, asked) = Cut::read(graph)?.value(&joint.text_output)?;
        let mut has_mask = false;
        for input in &asked {
            match input.as_str() {
                INPUT_IDS => {}
                ATTENTION_MASK => has_mask = true,
                other => {
                    return Err(format!(
                        "its graph of texts asks for `{other}`, expected {INPUT_IDS} and perhaps \
                         {ATTENTION_MASK}"
                    ));
                }
            }
        }
        let session = builder(threads)?.commit_from_memory(&graph).map_err(|e| e.to_string())?;
        let padding = joint.padding.map(|token| (joint.tokens_max, token));
        Ok(Self { session, has_mask, padding })
    }

    /// Returns the vector of each text as it comes out.
    fn run(&mut self, batch: &[&Encoded]) -> Result<Vec<Vec<f32>>, String> {
        let longest = batch.iter().map(|text| text.ids.len()).max().unwrap_or(0);
        // What follows the end of a text is not looked at, unless the model was trained to.
        let (length, filler) = self.padding.unwrap_or((longest, 0));
        let texts = Padded::to_length(batch, length, filler);
        let run = |session: &mut Session| -> ort::Result<Vec<f32>> {
            let mut inputs = vec![texts.input(INPUT_IDS, &texts.ids)?];
            if self.has_mask {
                inputs.push(texts.input(ATTENTION_MASK, &texts.mask)?);
            }
            let outputs = session.run(inputs)?;
            let (_, values) = outputs[feature_name(0).as_str()].try_extract_tensor::<f32>()?;
            Ok(values.to_vec())
        };
        let values = run(&mut self.session).map_err(|error| error.to_string())?;
        let width = values.len() / batch.len().max(1);
        if width == 0 || width * batch.len() != values.len() {
            let (count, texts) = (values.len(), batch.len());
            return Err(format!("expected a vector for each of {texts} texts, got {count} values"));
        }
        Ok(values.chunks_exact(width).map(<[f32]>::to_vec).collect())
    }
}

/// Returns what the graph in a file gives, by name.
pub(in crate::embed) fn outputs(file: &Path) -> Result<Vec<String>, String> {
    let cut = Cut::read(&graph_bytes(file)?)?;
    Ok(cut.outputs().into_iter().map(str::to_owned).collect())
}

impl Embedder for JointNetwork {
    fn specification(&self) -> &Specification {
        &self.specification
    }

    fn tokenizer(&self) -> Arc<dyn Tokenize> {
        Arc::clone(&self.tokenizer) as Arc<dyn Tokenize>
    }

    fn preprocessor(&self) -> Option<Arc<dyn Preprocess>> {
        Some(Arc::clone(&self.preprocessor) as Arc<dyn Preprocess>)
    }

    fn run(&mut self, batch: &[&Encoded]) -> Result<Vec<Option<Vector>>, EmbedError> {
        let vectors = self.texts.run(batch).map_err(|reason| self.failed(reason))?;
        vectors.into_iter().map(|vector| finished(vector, true)).collect()
    }

    fn run_pictures(&mut self, batch: &[&Pixels]) -> Result<Vec<Option<Vector>>, EmbedError> {
        let vectors = self.images.run(batch).map_err(|reason| self.failed(reason))?;
        vectors.into_iter().flatten().map(|vector| finished(vector, true)).collect()
    }
}
