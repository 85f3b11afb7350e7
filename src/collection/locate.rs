use std::collections::BTreeMap;

use super::error::Error;
use super::open::Collection;
use crate::cancel::Cancellation;
use crate::decode::sound::sound_format;
use crate::decode::video::container;
use crate::decode::{decode_frames, decode_sounds};
use crate::document::{DocumentId, Filter, Span};
use crate::embed::{EmbedderHandle, Modality};
use crate::ingest::{Excerpt, excerpt, sound_excerpt};
use crate::query::{Grouping, Mode, Moment, SearchRequest, Sighting, moments};

/// How many stored stretches each stretch of an excerpt is compared with in the end.
const SIGHTINGS_MAX: usize = 20;

/// A question by an excerpt of a video or a sound.
#[derive(Debug, Clone, PartialEq)]
pub struct LocateRequest {
    /// The bytes of the excerpt's file.
    pub bytes: Vec<u8>,
    /// The vector name that is asked, if several see or hear.
    pub using: Option<String>,
    /// Which documents are asked about; none: all.
    pub filter: Option<Filter>,
    /// The most moments wanted.
    pub limit: usize,
}

/// Where an excerpt may be taken from.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Located {
    /// Best first.
    pub moments: Vec<LocatedMoment>,
    /// What was left out, and why.
    pub warnings: Vec<String>,
}

/// A moment, and what shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct LocatedMoment {
    /// Where the excerpt may be taken from.
    pub moment: Moment,
    /// The part that is seen or heard when the excerpt begins, or the nearest that was compared.
    pub part: u32,
}

impl Collection {
    /// Returns where in the stored videos and sounds an excerpt may be taken from, though it was scaled,
    /// cut, compressed or made louder since.
    ///
    /// # Errors
    /// Invalid input for bytes that are neither, and for a collection or vector that sees or hears none;
    /// cancelled, timed out; unavailable if the embedder is not there.
    pub fn locate(&self, request: &LocateRequest, cancel: &Cancellation) -> Result<Located, Error> {
        let wanted = wanted(&request.bytes);
        let (name, embedder) = self.reading(request.using.as_deref(), wanted)?;
        let excerpt = self.excerpt(&request.bytes, &embedder, cancel)?;
        let question = |vector| SearchRequest {
            vectors: BTreeMap::from([(name.clone(), vector)]),
            mode: Mode::Semantic,
            filter: request.filter.clone(),
            limit: SIGHTINGS_MAX,
            grouping: Grouping::Passage,
            with_payload: false,
            with_text: false,
            ..SearchRequest::default()
        };
        let (starts, questions): (Vec<u64>, Vec<SearchRequest>) = excerpt
            .stretches
            .into_iter()
            .map(|stretch| (stretch.start_ms, question(stretch.vector)))
            .unzip();
        let mut sightings = Vec::new();
        let mut seen: BTreeMap<DocumentId, BTreeMap<u64, u32>> = BTreeMap::new();
        for (excerpt_ms, answer) in
            starts.into_iter().zip(self.search_all(&questions.iter().collect::<Vec<_>>(), cancel))
        {
            sightings.extend(answer?.hits.into_iter().filter_map(|hit| match hit.span {
                Span::Media { time: Some(time), .. } => {
                    let (id, start_ms, score) = (hit.id, time.start, hit.score);
                    seen.entry(id.clone()).or_default().insert(start_ms, hit.part);
                    Some(Sighting { excerpt_ms, id, start_ms, score })
                }
                // Texts and still pictures have no moments.
                Span::Media { time: None, .. } | Span::Whole | Span::Text { .. } => None,
            }));
        }
        let mut moments = moments(&sightings, excerpt.length_ms, excerpt.window_ms);
        moments.truncate(request.limit);
        let shown = |moment: Moment| {
            let parts = seen.get(&moment.id);
            let part = parts.map_or(0, |parts| part_at(parts, moment.start_ms));
            LocatedMoment { moment, part }
        };
        let moments = moments.into_iter().map(shown).collect();
        Ok(Located { moments, warnings: excerpt.warnings })
    }

    /// Returns what an excerpt looks or sounds like to a model, stretch by stretch.
    pub(super) fn excerpt(
        &self,
        bytes: &[u8],
        embedder: &EmbedderHandle,
        cancel: &Cancellation,
    ) -> Result<Excerpt, Error> {
        if let Some(format) = sound_format(bytes) {
            let sounds = decode_sounds(bytes, format, &self.engine.limits, cancel)?;
            return Ok(sound_excerpt(sounds, embedder, cancel)?);
        }
        let container = container(bytes).ok_or_else(|| {
            Error::Settings("the excerpt is neither a video nor a sound".to_owned())
        })?;
        let frames = decode_frames(bytes, container, &self.engine.limits, cancel)?;
        Ok(excerpt(frames, embedder, cancel)?)
    }

    /// Returns the vector name, and its embedder, that reads one of these.
    fn reading(
        &self,
        using: Option<&str>,
        wanted: &[Modality],
    ) -> Result<(String, EmbedderHandle), Error> {
        let kept = self.engine.kept();
        let names = match using {
            Some(name) => vec![name],
            None => kept.settings.vectors.keys().map(String::as_str).collect(),
        };
        let mut reading = Vec::new();
        for name in names {
            if let Some(embedder) = self.embedder(name)? {
                let reads = embedder.specification().modalities;
                if wanted.iter().any(|wanted| reads.contains(wanted)) {
                    reading.push((name.to_owned(), embedder));
                }
            }
        }
        let (sees, see) = match wanted {
            [Modality::Sound] => ("hears no sounds", "hear"),
            _ => ("sees no videos", "see"),
        };
        match (reading.len(), using) {
            (1, _) => Ok(reading.remove(0)),
            (0, Some(name)) => Err(Error::Settings(format!("vector `{name}` {sees}"))),
            (0, None) => Err(Error::Settings(format!("the collection {sees}"))),
            _ => {
                let names: Vec<&str> = reading.iter().map(|(name, _)| name.as_str()).collect();
                let names = names.join(", ");
                Err(Error::Settings(format!("several vectors {see} ({names}): name one of them")))
            }
        }
    }
}

/// Returns what a model may read to be asked with an excerpt.
fn wanted(excerpt: &[u8]) -> &'static [Modality] {
    match sound_format(excerpt) {
        Some(_) => &[Modality::Sound],
        None => &[Modality::Video, Modality::Image],
    }
}

/// Returns the last of the parts, by their beginnings, that has begun by a time, or else the first.
fn part_at(parts: &BTreeMap<u64, u32>, time_ms: u64) -> u32 {
    let begun = parts.range(..=time_ms).next_back().or_else(|| parts.iter().next());
    begun.map_or(0, |(_, &part)| part)
}
