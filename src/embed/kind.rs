/// The name of a sort of model. Persisted; kinds may be added, never renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A text transformer of BERT's kin (BERT, RoBERTa, XLM-R, DistilBERT, MPNet, ModernBERT) whose
    /// safetensors become an ONNX graph here.
    BertText,
    /// A text transformer that comes as an ONNX graph.
    OnnxText,
    /// The mean of the vectors of the tokens, which stand in a table.
    StaticText,
    /// A transformer that gives a weight to each word of its vocabulary: learned sparse vectors.
    Splade,
    /// A transformer whose vectors of tokens stay apart: late interaction.
    Colbert,
    /// A transformer that reads a question and a passage together and scores the passage.
    CrossEncoder,
    /// A model that another server runs.
    Remote,
    /// Which words of a vocabulary a text has.
    OneHot,
    /// How often a text has each word, against how many texts have it.
    TfIdf,
    /// How often a text has each run of words or letters of a vocabulary.
    NGram,
    /// The same, with a hash in place of the vocabulary.
    HashedNGram,
    /// A mean of the vectors of the words: Word2Vec, GloVe, or any file of word vectors.
    WordVectors,
    /// A mean of the vectors of words and their n-grams, which unknown words have too.
    FastText,
    /// The shares of topics: latent Dirichlet allocation.
    Lda,
    /// The vector that tells the words of a text best.
    Doc2Vec,
    /// An image network that comes as an ONNX graph: convolutional, a transformer or an autoencoder, any
    /// value of which is the feature.
    OnnxImage,
    /// Two networks that were trained together, one for texts and one for pictures, of CLIP's or SigLIP's
    /// kin, as ONNX graphs: their vectors are in one space.
    OnnxJoint,
    /// A network that reads the frames of a clip at once, of `VideoMAE`'s or `ViViT`'s kin, as an ONNX
    /// graph.
    OnnxVideo,
    /// Clips of videos, by an image model that looks at their frames.
    Spacetime,
    /// Long texts, by a model that reads their pieces.
    Document,
    /// Passages, by a transformer that reads them with what stands around them in their document.
    Late,
    /// Stretches of sounds, by the patches of their mel spectrograms.
    MelPatches,
}

impl Kind {
    /// Returns the name that manifests use.
    pub fn name(self) -> &'static str {
        match self {
            Self::BertText => "bert-text",
            Self::OnnxText => "onnx-text",
            Self::StaticText => "static-text",
            Self::Splade => "splade",
            Self::Colbert => "colbert",
            Self::CrossEncoder => "cross-encoder",
            Self::Remote => "remote",
            Self::OneHot => "one-hot",
            Self::TfIdf => "tf-idf",
            Self::NGram => "n-gram",
            Self::HashedNGram => "hashed-n-gram",
            Self::WordVectors => "word-vectors",
            Self::FastText => "fasttext",
            Self::Lda => "lda",
            Self::Doc2Vec => "doc2vec",
            Self::OnnxImage => "onnx-image",
            Self::OnnxJoint => "onnx-joint",
            Self::OnnxVideo => "onnx-video",
            Self::Spacetime => "spacetime",
            Self::Document => "document",
            Self::Late => "late-chunking",
            Self::MelPatches => "mel-patches",
        }
    }
}
