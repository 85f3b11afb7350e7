use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;

use tokenizers::{ModelWrapper, Tokenizer, TruncationParams};

use super::{
    EmbedError, Encoded, Modality, Role, Specification, TEXT_BYTES_MAX, TextSettings, Tokenize,
};

/// About how many bytes are tokenized at a time, so that a long text takes bounded memory.
const SLICE_BYTES: usize = 64 * 1024;
/// A token has at least one byte, and of a text longer than this many bytes a token nothing more is
/// looked at: what is cut off need not be tokenized.
const BYTES_PER_TOKEN_MAX: usize = 256;

/// A `tokenizer.json` of the Hugging Face format.
#[derive(Debug)]
pub(super) struct FileTokenizer {
    truncating: Tokenizer,
    whole: Tokenizer,
    settings: TextSettings,
    special_tokens: usize,
    /// Whether the special tokens are put around a text, and unknown tokens are read.
    is_whole: bool,
    unknown: Option<u32>,
}

/// A text as its model reads it, with the bytes of its tokens.
#[derive(Debug)]
pub(super) struct Placed {
    /// Token ids, special tokens and a prefix included.
    pub(super) ids: Vec<u32>,
    /// The bytes of each in the text; empty for special tokens and a prefix.
    pub(super) ranges: Vec<Range<usize>>,
    /// Whether the text was longer than the model reads.
    pub(super) truncated: bool,
}

impl FileTokenizer {
    /// Reads the file.
    pub(super) fn open(path: &Path, settings: TextSettings) -> Result<Self, EmbedError> {
        Self::read(&fs_err::read(path)?, settings)
    }

    /// Reads the bytes of a file.
    pub(super) fn read(bytes: &[u8], settings: TextSettings) -> Result<Self, EmbedError> {
        let failed = |error: tokenizers::Error| EmbedError::Tokenize(error.to_string());
        let mut whole = Tokenizer::from_bytes(bytes).map_err(failed)?;
        whole.with_padding(None);
        whole.with_truncation(None).map_err(failed)?;
        let mut truncating = whole.clone();
        let truncation =
            TruncationParams { max_length: settings.tokens_max, ..TruncationParams::default() };
        truncating.with_truncation(Some(truncation)).map_err(failed)?;
        let special_tokens = whole.encode_fast("", true).map_err(failed)?.len();
        let unknown = unknown(&whole);
        Ok(Self { truncating, whole, settings, special_tokens, is_whole: true, unknown })
    }

    /// Reads the bytes of a file; texts get no special tokens, and unknown tokens are left out.
    pub(super) fn bare(bytes: &[u8], settings: TextSettings) -> Result<Self, EmbedError> {
        Ok(Self { special_tokens: 0, is_whole: false, ..Self::read(bytes, settings)? })
    }

    /// Reads the bytes of a file; texts get no special tokens.
    pub(super) fn plain(bytes: &[u8], settings: TextSettings) -> Result<Self, EmbedError> {
        Ok(Self { unknown: None, ..Self::bare(bytes, settings)? })
    }

    /// Returns a text as [`Tokenize::encode`] does, with the bytes of its tokens.
    pub(super) fn encode_placed(&self, text: &str, role: Role) -> Result<Placed, EmbedError> {
        let (read, prefix, is_cut) = self.read_of(text, role);
        let encoding = self
            .truncating
            .encode(read.as_ref(), self.is_whole)
            .map_err(|error| EmbedError::Tokenize(error.to_string()))?;
        let tokens = encoding.get_offsets().iter().zip(encoding.get_special_tokens_mask());
        let range = |(&(from, to), &special): (&(usize, usize), &u32)| {
            if special == 1 || to <= prefix {
                return 0..0;
            }
            from.saturating_sub(prefix)..to - prefix
        };
        Ok(Placed {
            ids: encoding.get_ids().to_vec(),
            ranges: tokens.map(range).collect(),
            truncated: is_cut || !encoding.get_overflowing().is_empty(),
        })
    }

    /// Returns as much of a text as is looked at, behind the prefix of its role; how long that is; and
    /// whether something was left out.
    fn read_of<'a>(&self, text: &'a str, role: Role) -> (Cow<'a, str>, usize, bool) {
        let prefix = match role {
            Role::Query => &self.settings.query_prefix,
            Role::Passage => &self.settings.passage_prefix,
        };
        let bytes_max = self.settings.tokens_max * BYTES_PER_TOKEN_MAX;
        let read = &text[..text.floor_char_boundary(bytes_max)];
        let is_cut = text.len() > bytes_max;
        if prefix.is_empty() {
            (Cow::Borrowed(read), 0, is_cut)
        } else {
            (Cow::Owned(format!("{prefix}{read}")), prefix.len(), is_cut)
        }
    }

    /// Returns the token that stands at the end of a text, and between the two of a pair.
    pub(super) fn separator(&self) -> Option<u32> {
        self.whole.encode_fast("", true).ok()?.get_ids().last().copied()
    }

    /// Returns how many tokens there are.
    pub(super) fn vocabulary(&self) -> usize {
        self.whole.get_vocab_size(true)
    }

    /// Returns the id of a token of the vocabulary.
    pub(super) fn id(&self, token: &str) -> Option<u32> {
        self.whole.token_to_id(token)
    }

    fn slice_ranges(&self, text: &str, start: usize, ranges: &mut Vec<Range<usize>>) {
        match self.whole.encode(text, false) {
            Ok(encoding) => ranges
                .extend(encoding.get_offsets().iter().map(|&(from, to)| start + from..start + to)),
            Err(_) => ranges.extend(text.split_whitespace().map(|word| {
                let from = start + (word.as_ptr() as usize - text.as_ptr() as usize);
                from..from + word.len()
            })),
        }
    }
}

impl Tokenize for FileTokenizer {
    fn encode(&self, text: &str, role: Role) -> Result<Encoded, EmbedError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(EmbedError::TextTooLong { actual: text.len(), most: TEXT_BYTES_MAX });
        }
        let (read, _, is_cut) = self.read_of(text, role);
        let encoding = self
            .truncating
            .encode_fast(read.as_ref(), self.is_whole)
            .map_err(|error| EmbedError::Tokenize(error.to_string()))?;
        let truncated = is_cut || !encoding.get_overflowing().is_empty();
        let mut ids = encoding.get_ids().to_vec();
        if !self.is_whole {
            ids.retain(|id| Some(*id) != self.unknown);
        }
        Ok(Encoded { ids, truncated })
    }

    fn encode_pair(&self, question: &str, passage: &str) -> Result<Encoded, EmbedError> {
        let bytes_max = self.settings.tokens_max * BYTES_PER_TOKEN_MAX;
        let read = |text: &str| text[..text.floor_char_boundary(bytes_max)].to_owned();
        let encoding = self
            .truncating
            .encode_fast((read(question), read(passage)), true)
            .map_err(|error| EmbedError::Tokenize(error.to_string()))?;
        let truncated =
            question.len().max(passage.len()) > bytes_max || !encoding.get_overflowing().is_empty();
        Ok(Encoded { ids: encoding.get_ids().to_vec(), truncated })
    }

    fn token_ranges(&self, text: &str) -> Vec<Range<usize>> {
        let mut ranges = Vec::with_capacity(text.len() / 4);
        let mut start = 0;
        while start < text.len() {
            let end = slice_end(text, start);
            self.slice_ranges(&text[start..end], start, &mut ranges);
            start = end;
        }
        ranges
    }

    fn special_tokens(&self) -> usize {
        self.special_tokens
    }
}

/// Returns the token that stands for what is unknown, if there is one.
fn unknown(tokenizer: &Tokenizer) -> Option<u32> {
    let token = match tokenizer.get_model() {
        ModelWrapper::WordPiece(model) => Some(model.unk_token.clone()),
        ModelWrapper::WordLevel(model) => Some(model.unk_token.clone()),
        ModelWrapper::BPE(model) => model.unk_token.clone(),
        ModelWrapper::Unigram(_) => Some("<unk>".to_owned()),
    };
    token.and_then(|token| tokenizer.token_to_id(&token))
}

/// Returns where a slice that begins at `start` ends: after a blank where there is one.
fn slice_end(text: &str, start: usize) -> usize {
    if text.len() - start <= SLICE_BYTES {
        return text.len();
    }
    let most = text.floor_char_boundary(start + SLICE_BYTES);
    match text[start..most].rfind(char::is_whitespace) {
        Some(blank) if blank > 0 => text.ceil_char_boundary(start + blank + 1),
        Some(_) | None => most,
    }
}

/// Refuses texts for a model that reads none.
#[derive(Debug)]
pub(in crate::embed) struct NoText(pub(in crate::embed) Specification);

impl Tokenize for NoText {
    fn encode(&self, _: &str, _: Role) -> Result<Encoded, EmbedError> {
        self.0.require(Modality::Text)?;
        Ok(Encoded { ids: Vec::new(), truncated: false })
    }

    fn token_ranges(&self, text: &str) -> Vec<Range<usize>> {
        let start = |word: &str| word.as_ptr() as usize - text.as_ptr() as usize;
        text.split_whitespace().map(|word| start(word)..start(word) + word.len()).collect()
    }

    fn special_tokens(&self) -> usize {
        0
    }
}
