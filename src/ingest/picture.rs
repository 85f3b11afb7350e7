//! What becomes of a picture: a part without text, with the vectors of those who read pictures.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::prepare::{PrepareContext, PreparedSource};
use super::{ItemError, PartPicture};
use crate::cancel::Cancellation;
use crate::decode::thumbnail;
use crate::document::{Part, Payload, Span, Value, check_payload};
use crate::embed::{EmbedError, Embedded, EmbedderHandle, Lane, Modality};
use crate::error::ErrorKind;
use crate::picture::{Area, Likeness, Picture, sharpness};

/// The field of a picture's payload that says how sharp it is.
pub const SHARPNESS: &str = "sharpness";

/// How many bytes of pictures wait at most before they are embedded: their files took far fewer.
const WAITING_BYTES_MAX: usize = 64 << 20;

/// A picture that waits to be embedded, and the document and the part whose vectors it gives.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    pub(super) document: usize,
    pub(super) part: usize,
    pub(super) picture: Arc<Picture>,
}

/// Returns the part that a picture becomes, and what is kept of it.
pub(super) fn part_of(picture: &Picture) -> (Part, PartPicture) {
    let part = Part { span: Span::Whole, text: String::new(), vectors: BTreeMap::new() };
    let (thumbnail, likeness) = (thumbnail(picture), Likeness::of(picture));
    (part, PartPicture { thumbnail, likeness })
}

/// Returns all of a picture of this width and height.
pub(super) fn whole((width, height): (u32, u32)) -> Area {
    Area { left: 0, top: 0, width: width.max(1), height: height.max(1) }
}

/// Returns where a picture stands in its document: in a collection that keeps patches, with its size, in
/// which their places are told.
pub(super) fn span_of(picture: &Picture, context: &PrepareContext) -> Span {
    let has_places = readers(context, Modality::Image).any(|(_, embedder)| embedder.has_places());
    if has_places {
        let area = Some(whole((picture.width(), picture.height())));
        return Span::Media { time: None, area };
    }
    Span::Whole
}

/// Puts into a payload how sharp a picture is, unless the user said so or the payload is full.
pub(super) fn note_sharpness(payload: &mut Payload, picture: &Picture) {
    if payload.contains_key(SHARPNESS) {
        return;
    }
    // Two decimals tell copies apart and can be read.
    let value = (sharpness(picture) * 100.0).round() / 100.0;
    payload.insert(SHARPNESS.to_owned(), Value::Float(value));
    if check_payload(payload).is_err() {
        payload.remove(SHARPNESS);
    }
}

/// Checks that something of the collection reads this.
///
/// # Errors
/// Unsupported, saying what each vector is made of.
pub(super) fn require(context: &PrepareContext, modality: Modality) -> Result<(), ItemError> {
    if readers(context, modality).next().is_some() {
        return Ok(());
    }
    let made_of = context.vectors.iter().map(|(name, target)| match &target.embedder {
        None => format!("vector `{name}` is given"),
        Some(embedder) => {
            let specification = embedder.specification();
            let reads: Vec<&str> =
                specification.modalities.iter().map(|&one| plural(one)).collect();
            format!(
                "vector `{name}` is made by {}, which reads {}",
                specification.name,
                reads.join(" and ")
            )
        }
    });
    let made_of: Vec<String> = made_of.collect();
    let made_of =
        if made_of.is_empty() { "it has no vector".to_owned() } else { made_of.join("; ") };
    let what = plural(modality);
    let message = format!("the collection reads no {what}: {made_of}");
    Err(ItemError { kind: ErrorKind::Unsupported, message })
}

fn plural(modality: Modality) -> &'static str {
    match modality {
        Modality::Text => "texts",
        Modality::Image => "pictures",
        Modality::Video => "videos",
        Modality::Sound => "sounds",
        Modality::Pair => "pairs of texts",
    }
}

/// Returns the embedders that read this, with the names of their vectors.
pub(super) fn readers(
    context: &PrepareContext,
    modality: Modality,
) -> impl Iterator<Item = (&str, &EmbedderHandle)> {
    context.vectors.iter().filter_map(move |(name, target)| {
        let embedder = target.embedder.as_ref()?;
        embedder.specification().modalities.contains(&modality).then_some((name.as_str(), embedder))
    })
}

/// Returns whether so many pictures wait that they have to be embedded before more are decoded.
pub(super) fn is_enough(all: &[Result<PreparedSource, ItemError>]) -> bool {
    let waiting = all.iter().flatten().flat_map(|source| &source.waiting);
    waiting.map(|waiting| waiting.picture.samples().len()).sum::<usize>() >= WAITING_BYTES_MAX
}

/// Embeds the pictures that wait, together, and lets them go.
pub(super) fn embed_waiting(
    all: &mut [Result<PreparedSource, ItemError>],
    context: &PrepareContext,
    cancel: &Cancellation,
) {
    let mut places = Vec::new();
    for (at, source) in all.iter_mut().enumerate() {
        if let Ok(source) = source {
            places.extend(std::mem::take(&mut source.waiting).into_iter().map(|one| (at, one)));
        }
    }
    if places.is_empty() {
        return;
    }
    let pictures: Vec<Arc<Picture>> =
        places.iter().map(|(_, waiting)| Arc::clone(&waiting.picture)).collect();
    for (name, embedder) in readers(context, Modality::Image) {
        let embedded = each(embedder, &pictures, cancel);
        for ((at, waiting), embedded) in places.iter().zip(embedded) {
            let vector = match embedded {
                Ok(embedded) => embedded.embeddings.into_iter().find_map(|one| one.vector),
                Err(error) => {
                    all[*at] = Err(ItemError::from_error(&error));
                    continue;
                }
            };
            let Ok(source) = &mut all[*at] else { continue };
            let document = source.documents.get_mut(waiting.document);
            let part = document.and_then(|document| document.parts.get_mut(waiting.part));
            match (part, vector) {
                (Some(part), Some(vector)) => drop(part.vectors.insert(name.to_owned(), vector)),
                (Some(_), None) => {
                    source.warnings.push(format!("vector `{name}`: the model sees nothing in it"));
                }
                (None, _) => {}
            }
        }
    }
}

/// Embeds pictures in one batch. Where one of them cannot be embedded, each by itself, so that it does
/// not spoil the others.
fn each(
    embedder: &EmbedderHandle,
    pictures: &[Arc<Picture>],
    cancel: &Cancellation,
) -> Vec<Result<Embedded, EmbedError>> {
    let alone =
        |picture| embedder.embed_pictures(std::slice::from_ref(picture), Lane::Bulk, cancel);
    match embedder.embed_pictures(pictures, Lane::Bulk, cancel) {
        Ok(Embedded { embeddings, timings }) => {
            let one = |embedding| Ok(Embedded { embeddings: vec![embedding], timings });
            embeddings.into_iter().map(one).collect()
        }
        Err(error) if pictures.len() == 1 => vec![Err(error)],
        Err(_) => pictures.iter().map(alone).collect(),
    }
}
