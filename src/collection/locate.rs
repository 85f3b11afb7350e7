use std::collections::BTreeMap;

use super::error::Error;
use super::open::Collection;
use crate::cancel::Cancellation;
use crate::decode::decode_frames;
use crate::decode::video::container;
use crate::document::{DocumentId, Filter, Span};
use crate::embed::{EmbedderHandle, Modality};
use crate::ingest::{Excerpt, excerpt};
use crate::query::{Grouping, Mode, Moment, SearchRequest, Sighting, moments};

/// How many stored stretches each stretch of an excerpt is compared with in the end.
const SIGHTINGS_MAX: usize = 20;

/// A question by an excerpt of a video.
#[derive(Debug, Clone, PartialEq)]
pub struct LocateRequest {
    /// The bytes of the excerpt's file.
    pub bytes: Vec<u8>,
    /// The vector name that is asked, if several see.
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
    /// The part of the video that is seen when the excerpt begins, or the nearest that was compared.
    pub part: u32,
}

impl Collection {
    /// Returns where in the stored videos an excerpt may be taken from, though it was scaled, cut or
    /// compressed since.
    ///
    /// # Errors
    /// Invalid input for bytes that are no video, and for a collection or vector that sees none;
    /// cancelled, timed out; unavailable if the embedder is not there.
    pub fn locate(&self, request: &LocateRequest, cancel: &Cancellation) -> Result<Located, Error> {
        let (name, embedder) = self.seeing(request.using.as_deref())?;
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

    /// Returns what an excerpt looks like to a model, stretch by stretch.
    pub(super) fn excerpt(
        &self,
        bytes: &[u8],
        embedder: &EmbedderHandle,
        cancel: &Cancellation,
    ) -> Result<Excerpt, Error> {
        let container = container(bytes)
            .ok_or_else(|| Error::Settings("the excerpt is no video".to_owned()))?;
        let frames = decode_frames(bytes, container, &self.engine.limits, cancel)?;
        Ok(excerpt(frames, embedder, cancel)?)
    }

    /// Returns the vector name, and its embedder, that sees videos or the pictures in them.
    fn seeing(&self, using: Option<&str>) -> Result<(String, EmbedderHandle), Error> {
        let kept = self.engine.kept();
        let names = match using {
            Some(name) => vec![name],
            None => kept.settings.vectors.keys().map(String::as_str).collect(),
        };
        let mut seeing = Vec::new();
        for name in names {
            if let Some(embedder) = self.embedder(name)? {
                let reads = embedder.specification().modalities;
                if reads.contains(&Modality::Video) || reads.contains(&Modality::Image) {
                    seeing.push((name.to_owned(), embedder));
                }
            }
        }
        match (seeing.len(), using) {
            (1, _) => Ok(seeing.remove(0)),
            (0, Some(name)) => Err(Error::Settings(format!("vector `{name}` sees no videos"))),
            (0, None) => Err(Error::Settings("the collection sees no videos".to_owned())),
            _ => {
                let names: Vec<&str> = seeing.iter().map(|(name, _)| name.as_str()).collect();
                let names = names.join(", ");
                Err(Error::Settings(format!("several vectors see ({names}): name one of them")))
            }
        }
    }
}

/// Returns the last of the parts, by their beginnings, that has begun by a time, or else the first.
fn part_at(parts: &BTreeMap<u64, u32>, time_ms: u64) -> u32 {
    let begun = parts.range(..=time_ms).next_back().or_else(|| parts.iter().next());
    begun.map_or(0, |(_, &part)| part)
}
