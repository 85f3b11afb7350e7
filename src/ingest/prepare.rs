use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::picture::{self, Waiting};
use super::sound::cut_sound;
use super::video::cut_video;
use super::{ContentHash, ItemError, PartSource, Prepared, Source, SourceContent, Version};
use crate::cancel::Cancellation;
use crate::chunk::{ChunkOptions, CountTokens, chunk};
use crate::decode::{Content, Hint, Limits, PictureContent, Record, decode};
use crate::document::{DocumentId, Part, Payload, Section, Span, Value, check_payload};
use crate::embed::{EmbedderHandle, Lane, Modality, Passage, Tokenize};
use crate::error::{Classified, ErrorKind};
use crate::vector::{Form, MULTI_COMPONENTS_MAX, MULTI_VECTORS_MAX, Metric, Vector, VectorError};

/// The most entries of a sparse vector that is stored: a row of the tables holds no more.
pub const SPARSE_STORED_MAX: usize = 7_168;
/// The most bytes of the text of a part that comes cut already: a longer one is a document, not a
/// passage, and a row of the tables would not hold it.
const PART_TEXT_BYTES_MAX: usize = 48 << 10;
/// The most bytes of the heading of such a part.
const PART_HEADING_BYTES_MAX: usize = 4 << 10;
/// The most bytes of the texts and vectors of a document, which is stored in one atomic batch.
const DOCUMENT_BYTES_MAX: usize = 56 << 20;
/// What a part takes beside its text and its vectors: keys, checksums, the heading.
const PART_OVERHEAD_BYTES: usize = 256;

/// How many passages fit into what a model of late chunking reads at once, if nothing else is said.
const PASSAGES_READ: usize = 4;
/// What reads more tokens than this reads all of any passage.
const TOKENS_READ_MAX: usize = 8_192;

/// A named vector of the collection that is prepared for.
#[derive(Debug, Clone)]
pub struct VectorTarget {
    /// What its vectors are like.
    pub form: TargetForm,
    /// What embeds texts, pictures or both; none: vectors are given.
    pub embedder: Option<EmbedderHandle>,
}

impl VectorTarget {
    /// Returns about how many bytes the vector of a text takes at most.
    fn bytes(&self, text: &str) -> usize {
        match self.form {
            TargetForm::Dense { dimension, .. } => dimension * size_of::<f32>(),
            // Seldom more entries than letters.
            TargetForm::Sparse => text.len().min(SPARSE_STORED_MAX) * size_of::<(u32, f32)>(),
            // Seldom more vectors than letters.
            TargetForm::Multi { dimension, .. } => {
                let components = text.len().min(MULTI_VECTORS_MAX) * dimension;
                components.min(MULTI_COMPONENTS_MAX) * size_of::<f32>()
            }
        }
    }
}

/// What the vectors of a name are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetForm {
    /// Dense, of so many components, compared by a metric.
    Dense {
        /// How many components.
        dimension: usize,
        /// How two are compared.
        metric: Metric,
    },
    /// Sparse, compared by inner product.
    Sparse,
    /// Several dense ones of so many components each, compared by the sum of the greatest products.
    Multi {
        /// How many components each has.
        dimension: usize,
        /// Cosine, of unit vectors, or dot.
        metric: Metric,
    },
}

impl TargetForm {
    /// Returns the form of the vectors.
    pub fn form(self) -> Form {
        match self {
            Self::Dense { .. } => Form::Dense,
            Self::Sparse => Form::Sparse,
            Self::Multi { .. } => Form::Multi,
        }
    }
}

/// What preparing has to know of a collection.
#[derive(Debug, Clone)]
pub struct PrepareContext {
    /// The named vectors.
    pub vectors: BTreeMap<String, VectorTarget>,
    /// The most tokens of a passage, if not what the embedder reads.
    pub tokens_max: Option<usize>,
    /// The tokens that a passage repeats of the one before, if not an eighth.
    pub tokens_overlap: Option<usize>,
    /// Whether texts are indexed by words, so that one that nothing embeds is found all the same.
    pub has_words: bool,
    /// The bounds of decoding.
    pub limits: Limits,
}

/// A source on its way: cut, but not embedded.
#[derive(Debug)]
pub(super) struct Cut {
    pub(super) prepared: Prepared,
    pub(super) warnings: Vec<String>,
}

/// What became of one source: documents (of a file of records: one each) or an error, the tokens
/// that were embedded, and warnings.
#[derive(Debug)]
pub struct PreparedSource {
    /// The documents, ready to be stored.
    pub documents: Vec<Prepared>,
    /// What was left out, and why.
    pub warnings: Vec<String>,
    /// The tokens that were embedded.
    pub tokens: u64,
    /// How many records were refused.
    pub records_failed: u64,
    /// How long decoding and cutting took.
    pub decode: Duration,
    /// How long embedding took, with the items of the same batches.
    pub embed: Duration,
    /// Pictures that are not embedded yet.
    pub(super) waiting: Vec<Waiting>,
}

/// Decodes, cuts and embeds sources together, so that short ones fill the batches of the embedder.
/// Results stand in the order of the sources.
pub fn prepare(
    sources: &[Source],
    context: &PrepareContext,
    cancel: &Cancellation,
) -> Vec<Result<PreparedSource, ItemError>> {
    let mut all: Vec<Result<PreparedSource, ItemError>> = Vec::with_capacity(sources.len());
    let mut took = Duration::ZERO;
    for source in sources {
        all.push(cut(source, context, cancel).and_then(|source| fitting(source, context)));
        if picture::is_enough(&all) {
            let began = Instant::now();
            picture::embed_waiting(&mut all, context, cancel);
            took += began.elapsed();
        }
    }
    let began = Instant::now();
    picture::embed_waiting(&mut all, context, cancel);
    for (name, embedder) in picture::readers(context, Modality::Text) {
        embed_all(&mut all, name, embedder, cancel);
    }
    took += began.elapsed();
    for prepared in all.iter_mut().flatten() {
        prepared.embed += took;
    }
    all
}

/// Refuses what cannot be stored in one batch, before anybody embeds it.
fn fitting(source: PreparedSource, context: &PrepareContext) -> Result<PreparedSource, ItemError> {
    let embedding: Vec<&VectorTarget> =
        context.vectors.values().filter(|target| target.embedder.is_some()).collect();
    let bytes_of = |part: &Part| {
        let given: usize = part.vectors.values().map(Vector::bytes).sum();
        let embedded: usize = embedding.iter().map(|target| target.bytes(&part.text)).sum();
        part.text.len() + given + embedded + PART_OVERHEAD_BYTES
    };
    for document in &source.documents {
        let pictures = document.pictures.values().map(|picture| picture.thumbnail.len());
        let bytes = document.parts.iter().map(bytes_of).chain(pictures).sum();
        at_most("a document with its vectors", bytes, DOCUMENT_BYTES_MAX)?;
    }
    Ok(source)
}

fn cut(
    source: &Source,
    context: &PrepareContext,
    cancel: &Cancellation,
) -> Result<PreparedSource, ItemError> {
    let began = Instant::now();
    check_payload(&source.payload).map_err(|error| ItemError::from_error(&error))?;
    let content = source.content.hash();
    let version = Version::of(source, content);
    let base = |parts: Vec<Part>, payload: Payload| Prepared {
        id: source.id.clone(),
        payload,
        parts,
        pictures: BTreeMap::new(),
        content,
        version,
        file: None,
    };
    let (mut records_failed, mut waiting) = (0, Vec::new());
    let mut embed = Duration::ZERO;
    let cuts = match &source.content {
        SourceContent::Text(text) => {
            let parts = cut_text(text, &[], context, cancel)?;
            vec![Cut { prepared: base(parts, source.payload.clone()), warnings: Vec::new() }]
        }
        SourceContent::Vectors(vectors) => {
            let part = PartSource { text: String::new(), vectors: vectors.clone(), span: None };
            let parts = vec![given_part(&part, context)?];
            vec![Cut { prepared: base(parts, source.payload.clone()), warnings: Vec::new() }]
        }
        SourceContent::Parts(given) => {
            if given.is_empty() {
                return Err(invalid("a document has at least one part"));
            }
            let parts =
                given.iter().map(|part| given_part(part, context)).collect::<Result<_, _>>()?;
            vec![Cut { prepared: base(parts, source.payload.clone()), warnings: Vec::new() }]
        }
        SourceContent::File { name, bytes, media_type } => {
            let hint = Hint {
                file_name: Some(name),
                media_type: media_type.as_deref(),
                ..Hint::default()
            };
            let decoded = decode(bytes, &hint, &context.limits, cancel)
                .map_err(|error| ItemError::from_error(&error))?;
            match decoded {
                Content::Text(text) => {
                    let parts = cut_text(&text.text, &text.sections, context, cancel)?;
                    let mut warnings = text.warnings;
                    let metadata = (text.title, text.metadata);
                    let payload = file_payload(source, name, metadata, &mut warnings);
                    vec![Cut { prepared: base(parts, payload), warnings }]
                }
                Content::Picture(content) => {
                    picture::require(context, Modality::Image)?;
                    let PictureContent { picture, title, metadata, mut warnings, .. } = content;
                    let mut payload = file_payload(source, name, (title, metadata), &mut warnings);
                    let (mut part, kept) = picture::part_of(&picture);
                    part.span = picture::span_of(&picture, context);
                    picture::note_sharpness(&mut payload, &picture);
                    waiting.push(Waiting { document: 0, part: 0, picture: Arc::new(picture) });
                    let mut prepared = base(vec![part], payload);
                    prepared.pictures.insert(0, kept);
                    vec![Cut { prepared, warnings }]
                }
                Content::Video(frames) => {
                    let video = cut_video(frames, context, cancel)?;
                    embed += video.embed;
                    let mut warnings = video.warnings;
                    let metadata = (None, video.metadata);
                    let payload = file_payload(source, name, metadata, &mut warnings);
                    let mut prepared = base(video.parts, payload);
                    prepared.pictures = video.pictures;
                    vec![Cut { prepared, warnings }]
                }
                Content::Sound(sounds) => {
                    let sound = cut_sound(sounds, context, cancel)?;
                    embed += sound.embed;
                    let mut warnings = sound.warnings;
                    let metadata = (sound.title, sound.metadata);
                    let payload = file_payload(source, name, metadata, &mut warnings);
                    vec![Cut { prepared: base(sound.parts, payload), warnings }]
                }
                Content::Records(records) => {
                    let mut cuts = Vec::new();
                    let mut warnings = Vec::new();
                    for record in records {
                        cancel.check().map_err(|error| ItemError::from_error(&error))?;
                        let cut = record
                            .map_err(|error| error.to_string())
                            .and_then(|record| cut_record(source, &record, context, cancel));
                        match cut {
                            Ok(cut) => cuts.push(cut),
                            Err(reason) => {
                                records_failed += 1;
                                warnings.push(reason);
                            }
                        }
                    }
                    if cuts.is_empty() {
                        let first = warnings.first().map_or("the file is empty", String::as_str);
                        return Err(invalid(&format!("no record could be read: {first}")));
                    }
                    cuts[0].warnings.extend(warnings);
                    cuts
                }
            }
        }
    };
    let mut documents = Vec::with_capacity(cuts.len());
    let mut warnings = Vec::new();
    for cut in cuts {
        documents.push(cut.prepared);
        warnings.extend(cut.warnings);
    }
    // Of a video, both go on at once.
    let decode = began.elapsed().saturating_sub(embed);
    Ok(PreparedSource { documents, warnings, tokens: 0, records_failed, decode, embed, waiting })
}

fn cut_record(
    source: &Source,
    record: &Record,
    context: &PrepareContext,
    cancel: &Cancellation,
) -> Result<Cut, String> {
    let place = |reason: &dyn std::fmt::Display| format!("line {}: {reason}", record.line);
    let name = record.id.clone().unwrap_or_else(|| record.line.to_string());
    let id = DocumentId::new(format!("{}#{name}", source.id)).map_err(|error| place(&error))?;
    let mut payload = record.payload.clone();
    if let Some(title) = &record.title {
        payload.entry("title".into()).or_insert_with(|| Value::Text(title.clone()));
    }
    payload.extend(source.payload.clone());
    check_payload(&payload).map_err(|error| place(&error))?;
    let parts =
        cut_text(&record.text, &[], context, cancel).map_err(|error| place(&error.message))?;
    let version = Version::of_record(&record.text, &payload);
    let content = ContentHash(*blake3::hash(record.text.as_bytes()).as_bytes());
    let file = Some(source.id.clone());
    let pictures = BTreeMap::new();
    let prepared = Prepared { id, payload, parts, pictures, content, version, file };
    Ok(Cut { prepared, warnings: Vec::new() })
}

/// The user's fields go before what the document says of itself, of which as much is kept as fits.
fn file_payload(
    source: &Source,
    name: &str,
    (title, metadata): (Option<String>, Payload),
    warnings: &mut Vec<String>,
) -> Payload {
    let mut payload = source.payload.clone();
    let said = [("file", Some(name.to_owned())), ("title", title)];
    let said = said.into_iter().filter_map(|(field, text)| Some((field.to_owned(), text?)));
    let said = said.map(|(field, text)| (field, Value::Text(text)));
    for (field, value) in said.chain(metadata) {
        if payload.contains_key(&field) {
            continue;
        }
        payload.insert(field.clone(), value);
        if let Err(error) = check_payload(&payload) {
            payload.remove(&field);
            warnings.push(format!("field `{field}` of the file was left out: {error}"));
        }
    }
    payload
}

struct Counter<'a>(&'a dyn Tokenize);

impl CountTokens for Counter<'_> {
    fn token_ranges(&self, text: &str) -> Vec<Range<usize>> {
        self.0.token_ranges(text)
    }
}

/// Stands in for a tokenizer where nothing embeds: words.
struct Words;

impl CountTokens for Words {
    fn token_ranges(&self, text: &str) -> Vec<Range<usize>> {
        let start = |word: &str| word.as_ptr() as usize - text.as_ptr() as usize;
        text.split_whitespace().map(|word| start(word)..start(word) + word.len()).collect()
    }
}

fn cut_text(
    text: &str,
    sections: &[Section],
    context: &PrepareContext,
    cancel: &Cancellation,
) -> Result<Vec<Part>, ItemError> {
    let given: Vec<&String> = context
        .vectors
        .iter()
        .filter(|(_, target)| target.embedder.is_none())
        .map(|(name, _)| name)
        .collect();
    if let [name, ..] = given[..] {
        return Err(invalid(&format!(
            "vector `{name}` has no embedder, so the document has to come as parts with vectors"
        )));
    }
    if !context.has_words {
        picture::require(context, Modality::Text)?;
    }
    // A passage is as long as every model reads. Those that count or average words read whatever they
    // are given, and say nothing of how long a passage should be.
    let embedders = picture::readers(context, Modality::Text).map(|(_, embedder)| embedder);
    let embedder = embedders.min_by_key(|embedder| reads_of_passage(embedder));
    let usual = ChunkOptions::default();
    let reads = embedder.map_or(usual.tokens_max, |embedder| match reads_of_passage(embedder) {
        most if most > TOKENS_READ_MAX => usual.tokens_max,
        most => most,
    });
    let tokens_max = context.tokens_max.unwrap_or(reads);
    let tokens_overlap = context.tokens_overlap.unwrap_or(tokens_max / 8);
    let options = ChunkOptions { tokens_max, tokens_overlap, ..usual };
    let counter = embedder.map(|embedder| Counter(embedder.tokenizer().as_ref()));
    let counter: &dyn CountTokens = match &counter {
        Some(counter) => counter,
        None => &Words,
    };
    let passages = chunk(text, sections, counter, &options, cancel)
        .map_err(|error| ItemError::from_error(&error))?;
    if passages.is_empty() {
        return Err(invalid("there is no text in it"));
    }
    let part = |passage: crate::chunk::Passage| Part {
        text: text[passage.bytes.clone()].to_owned(),
        span: Span::Text {
            bytes: passage.bytes.start as u64..passage.bytes.end as u64,
            page: passage.page,
            heading: passage.heading,
        },
        vectors: BTreeMap::new(),
    };
    Ok(passages.into_iter().map(part).collect())
}

/// Returns how many tokens of a passage a model reads; what reads it with what stands around it, a part of
/// those, so that there is something around it.
fn reads_of_passage(embedder: &EmbedderHandle) -> usize {
    let most = embedder.specification().tokens_max;
    let tokenizer = embedder.tokenizer();
    let room = most.saturating_sub(tokenizer.special_tokens());
    match most {
        most if most > TOKENS_READ_MAX => most,
        _ if tokenizer.reads_around() => room / PASSAGES_READ,
        _ => room,
    }
}

fn given_part(part: &PartSource, context: &PrepareContext) -> Result<Part, ItemError> {
    for name in part.vectors.keys() {
        if !context.vectors.contains_key(name) {
            let known: Vec<&str> = context.vectors.keys().map(String::as_str).collect();
            return Err(invalid(&format!(
                "the collection has no vector `{name}`; it has {}",
                known.join(", ")
            )));
        }
    }
    let mut vectors = BTreeMap::new();
    for (name, target) in &context.vectors {
        match (part.vectors.get(name), &target.embedder) {
            (Some(_), Some(_)) => {
                return Err(invalid(&format!(
                    "vector `{name}` is made by its embedder and cannot be given"
                )));
            }
            (None, Some(embedder))
                if part.text.trim().is_empty() && reads(embedder, Modality::Text) =>
            {
                return Err(invalid(&format!("vector `{name}` needs a text to embed")));
            }
            (None, _) => {}
            (Some(vector), None) => {
                vectors.insert(name.clone(), checked(name, vector, target)?);
            }
        }
    }
    if vectors.is_empty() && part.text.trim().is_empty() {
        return Err(invalid("a part has a text or a vector"));
    }
    at_most("the text of a part", part.text.len(), PART_TEXT_BYTES_MAX)?;
    let span = part.span.clone().unwrap_or(Span::Whole);
    if let Span::Text { heading: Some(heading), .. } = &span {
        at_most("the heading of a part", heading.len(), PART_HEADING_BYTES_MAX)?;
    }
    Ok(Part { span, text: part.text.clone(), vectors })
}

fn reads(embedder: &EmbedderHandle, modality: Modality) -> bool {
    embedder.specification().modalities.contains(&modality)
}

fn checked(name: &str, vector: &Vector, target: &VectorTarget) -> Result<Vector, ItemError> {
    let named = |error: VectorError| ItemError {
        kind: error.kind(),
        message: format!("vector `{name}`: {error}"),
    };
    match (vector, target.form) {
        (Vector::Dense(vector), TargetForm::Dense { dimension, metric }) => {
            vector.require_dimension(dimension).map_err(named)?;
            let vector = match metric {
                Metric::Cosine => vector.clone().normalized().map_err(named)?,
                Metric::Dot | Metric::Euclidean => vector.clone(),
            };
            Ok(vector.into())
        }
        (Vector::Sparse(vector), TargetForm::Sparse) => {
            let actual = vector.indices().len();
            if actual > SPARSE_STORED_MAX {
                return Err(invalid(&format!(
                    "vector `{name}`: a stored sparse vector has at most {SPARSE_STORED_MAX} \
                     entries, got {actual}"
                )));
            }
            Ok(vector.clone().into())
        }
        (Vector::Multi(vector), TargetForm::Multi { dimension, metric }) => {
            vector.require_dimension(dimension).map_err(named)?;
            let vector = match metric {
                Metric::Cosine => vector.clone().normalized().map_err(named)?,
                Metric::Dot | Metric::Euclidean => vector.clone(),
            };
            Ok(vector.into())
        }
        (vector, form) => {
            let (expected, actual) = (form.form(), vector.form());
            Err(named(VectorError::FormMismatch { expected, actual }))
        }
    }
}

/// Returns what is stored of the vector that a model made, and what is said of the rest.
pub fn fitted(name: &str, vector: Vector) -> (Vector, Option<String>) {
    match vector {
        Vector::Sparse(vector) if vector.indices().len() > SPARSE_STORED_MAX => {
            let warning = format!(
                "vector `{name}`: kept the {SPARSE_STORED_MAX} strongest of {} entries",
                vector.indices().len()
            );
            (vector.strongest(SPARSE_STORED_MAX).into(), Some(warning))
        }
        vector => (vector, None),
    }
}

fn embed_all(
    all: &mut [Result<PreparedSource, ItemError>],
    name: &str,
    embedder: &EmbedderHandle,
    cancel: &Cancellation,
) {
    let documents = all.iter().flatten().flat_map(|source| &source.documents);
    let documents: Vec<Vec<Passage<'_>>> =
        documents.map(|document| passages(&document.parts)).collect();
    if documents.iter().all(Vec::is_empty) {
        return;
    }
    match embedder.embed_passages(&documents, Lane::Bulk, cancel) {
        Ok(embedded) => {
            let mut embeddings = embedded.embeddings.into_iter();
            for source in all.iter_mut().flatten() {
                let (mut tokens, mut warnings) = (0, Vec::new());
                let parts = source.documents.iter_mut().flat_map(|document| &mut document.parts);
                for part in parts.filter(|part| has_text(part)) {
                    if let Some(embedding) = embeddings.next() {
                        tokens += u64::from(embedding.tokens);
                        // A model that knows no word of a part leaves it to the other legs.
                        let Some(vector) = embedding.vector else { continue };
                        let (vector, warning) = fitted(name, vector);
                        part.vectors.insert(name.to_owned(), vector);
                        warnings.extend(warning);
                    }
                }
                source.tokens += tokens;
                source.warnings.extend(warnings);
            }
        }
        Err(error) => {
            let error = ItemError::from_error(&error);
            for source in all.iter_mut().filter(|source| source.is_ok()) {
                *source = Err(error.clone());
            }
        }
    }
}

fn passages(parts: &[Part]) -> Vec<Passage<'_>> {
    let parts = parts.iter().filter(|part| has_text(part));
    parts.map(|part| Passage { text: &part.text, span: &part.span }).collect()
}

fn has_text(part: &Part) -> bool {
    !part.text.trim().is_empty()
}

fn at_most(what: &str, actual: usize, most: usize) -> Result<(), ItemError> {
    if actual > most {
        return Err(invalid(&format!("{what} has at most {most} bytes, got {actual}")));
    }
    Ok(())
}

fn invalid(message: &str) -> ItemError {
    ItemError { kind: ErrorKind::InvalidInput, message: message.to_owned() }
}
