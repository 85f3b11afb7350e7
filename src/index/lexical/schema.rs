//! What does the engine keep of a part, and how is it read back?

use std::sync::{Arc, OnceLock};

use tantivy::schema::document::{Document, ReferenceValue, ReferenceValueLeaf, Value};
use tantivy::schema::{
    Field, IndexRecordOption, NumericOptions, Schema, TextFieldIndexing, TextOptions,
};
use tantivy::tokenizer::{RawTokenizer, TextAnalyzer, TokenizerManager};

use super::LexicalPart;
use super::analysis::{GramTokenizer, WordTokenizer};
use super::keys::{KeyTokenizer, PayloadWordTokenizer};
use crate::document::{DocumentId, Payload, Slot};

/// The name of the column that holds the slots.
pub(super) const SLOT_COLUMN: &str = "slot";
/// The name of the column that holds the fingerprints.
pub(super) const FINGERPRINT_COLUMN: &str = "fingerprint";

const RAW: &str = "raw";
const WORDS: &str = "words";
const GRAMS: &str = "grams";
const KEYS: &str = "keys";
const PAYLOAD_WORDS: &str = "payload_words";

/// The fields of the index. Persisted: a change needs another `FORMAT`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields {
    /// The slot of the part.
    pub(super) slot: Field,
    /// The id of its document, whole.
    pub(super) document: Field,
    /// The words of its heading and text, with positions.
    pub(super) words: Field,
    /// Letters in a row of the same.
    pub(super) grams: Field,
    /// What conditions on the payload look up.
    pub(super) keys: Field,
    /// The words of the texts in the payload, with positions.
    pub(super) payload_words: Field,
    /// What the part was made of, as a number; not searched.
    pub(super) fingerprint: Field,
}

/// Returns the schema and its fields.
pub(super) fn schema() -> (Schema, Fields) {
    let mut builder = Schema::builder();
    let text = |tokenizer: &str, option: IndexRecordOption, has_lengths: bool| {
        let indexing = TextFieldIndexing::default()
            .set_tokenizer(tokenizer)
            .set_index_option(option)
            .set_fieldnorms(has_lengths);
        TextOptions::default().set_indexing_options(indexing)
    };
    let positions = IndexRecordOption::WithFreqsAndPositions;
    let slot = NumericOptions::default().set_indexed().set_fast();
    let fields = Fields {
        slot: builder.add_u64_field(SLOT_COLUMN, slot),
        document: builder.add_text_field("document", text(RAW, IndexRecordOption::Basic, false)),
        words: builder.add_text_field(WORDS, text(WORDS, positions, true)),
        grams: builder.add_text_field(GRAMS, text(GRAMS, IndexRecordOption::WithFreqs, true)),
        keys: builder.add_text_field(KEYS, text(KEYS, IndexRecordOption::Basic, false)),
        payload_words: builder.add_text_field(PAYLOAD_WORDS, text(PAYLOAD_WORDS, positions, false)),
        fingerprint: builder
            .add_u64_field(FINGERPRINT_COLUMN, NumericOptions::default().set_fast()),
    };
    (builder.build(), fields)
}

/// Returns the tokenizers that the schema names.
pub(super) fn tokenizers() -> TokenizerManager {
    let manager = TokenizerManager::new();
    manager.register(RAW, TextAnalyzer::from(RawTokenizer::default()));
    manager.register(WORDS, TextAnalyzer::from(WordTokenizer));
    manager.register(GRAMS, TextAnalyzer::from(GramTokenizer));
    manager.register(KEYS, TextAnalyzer::from(KeyTokenizer));
    manager.register(PAYLOAD_WORDS, TextAnalyzer::from(PayloadWordTokenizer));
    // The engine asks for it on behalf of fields that are not tokenized.
    manager.register("default", TextAnalyzer::from(RawTokenizer::default()));
    manager
}

/// A part that was added and is not in the folder yet.
#[derive(Debug)]
pub(super) struct PendingPart {
    pub(super) slot: Slot,
    pub(super) document: DocumentId,
    /// The heading, a line break, the text.
    pub(super) text: String,
    pub(super) payload: Arc<Payload>,
    /// The payload as JSON, made when the part is written.
    payload_json: OnceLock<String>,
}

impl PendingPart {
    pub(super) fn new(part: &LexicalPart<'_>, payload: Arc<Payload>) -> Self {
        let text = match part.heading {
            Some(heading) => format!("{heading}\n{}", part.text),
            None => part.text.to_owned(),
        };
        let document = part.document.clone();
        Self { slot: part.slot, document, text, payload, payload_json: OnceLock::new() }
    }

    /// About how many bytes of memory the part takes; a payload that parts share is counted for
    /// each.
    pub(super) fn bytes(&self) -> usize {
        const VALUE_BYTES: usize = 96;
        size_of::<Self>()
            + self.text.len()
            + self.document.as_str().len()
            + self.payload.len() * VALUE_BYTES
    }

    /// Returns a number that two parts share only if they are the same, as good as certainly.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hasher = blake3::Hasher::new();
        for text in [self.document.as_str(), &self.text, self.payload_json()] {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
        let mut bytes = [0; 8];
        hasher.finalize_xof().fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn payload_json(&self) -> &str {
        // A payload has text for keys and finite numbers, which JSON can always hold.
        self.payload_json.get_or_init(|| serde_json::to_string(&*self.payload).unwrap_or_default())
    }
}

/// A part in the form in which the engine takes it, without a copy of its text.
#[derive(Debug, Clone)]
pub(super) struct PartDocument {
    pub(super) part: Arc<PendingPart>,
    pub(super) fields: Fields,
    /// Whether filters are to find it too; in memory they are asked of the payload itself.
    pub(super) has_payload: bool,
}

impl Document for PartDocument {
    type Value<'a> = PartValue<'a>;
    type FieldsValuesIter<'a> = std::vec::IntoIter<(Field, PartValue<'a>)>;

    fn iter_fields_and_values(&self) -> Self::FieldsValuesIter<'_> {
        let (part, fields) = (&*self.part, &self.fields);
        let mut values = Vec::with_capacity(7);
        values.push((fields.slot, PartValue::Number(u64::from(part.slot.0))));
        values.push((fields.words, PartValue::Text(&part.text)));
        values.push((fields.grams, PartValue::Text(&part.text)));
        if self.has_payload {
            values.push((fields.document, PartValue::Text(part.document.as_str())));
            values.push((fields.keys, PartValue::Text(part.payload_json())));
            values.push((fields.payload_words, PartValue::Text(part.payload_json())));
            values.push((fields.fingerprint, PartValue::Number(part.fingerprint())));
        }
        values.into_iter()
    }
}

/// A value of a [`PartDocument`].
#[derive(Debug, Clone, Copy)]
pub(super) enum PartValue<'a> {
    Number(u64),
    Text(&'a str),
}

impl<'a> Value<'a> for PartValue<'a> {
    type ArrayIter = std::iter::Empty<Self>;
    type ObjectIter = std::iter::Empty<(&'a str, Self)>;

    fn as_value(&self) -> ReferenceValue<'a, Self> {
        ReferenceValue::Leaf(match *self {
            Self::Number(number) => ReferenceValueLeaf::U64(number),
            Self::Text(text) => ReferenceValueLeaf::Str(text),
        })
    }
}
