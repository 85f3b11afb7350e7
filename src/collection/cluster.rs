use std::sync::atomic::Ordering;

use super::engine::damaged;
use super::error::Error;
use super::keepers::Keep;
use super::open::Collection;
use super::records::VECTORS;
use super::saved_clusters::{Joining, check_field};
use super::settings::VECTOR_NAME_DEFAULT;
use super::view::View;
use crate::cancel::Cancellation;
use crate::cluster::{
    ClusterError, Grouped, MapOptions, Method, NeighbourGraph, Points, Summary, Term, Work, copies,
    distinctive_terms, group, map, silhouette, summarize, trustworthiness,
};
use crate::document::words::{Writing, fold, words};
use crate::document::{DocumentId, Filter, Slot, SlotSet};
use crate::vector::Metric;

/// The most components of all vectors that are clustered: 4 GiB.
const COMPONENTS_MAX: usize = 1 << 30;
/// Neighbours that a map is drawn from, and that its trustworthiness is about.
const MAP_NEIGHBOURS: usize = 15;
/// How many points are looked at for figures that all points would take long for.
const FIGURE_SAMPLE: usize = 1_000;
/// Texts of a cluster that its terms are taken from, and the characters of each.
const TEXTS_OF_CLUSTER: usize = 64;
const TEXT_CHARS: usize = 4_000;
const TERMS_OF_CLUSTER: usize = 6;
/// The characters of an item's text that are shown.
const EXCERPT_CHARS: usize = 200;

/// What is to be clustered, and how.
#[derive(Debug, Clone)]
pub struct ClusterRequest {
    /// The vector name; may be left out where there is one, or one of the default name.
    pub vector: Option<String>,
    /// Only these documents.
    pub filter: Option<Filter>,
    /// What for.
    pub looking: Looking,
    /// Which of near duplicates to keep.
    pub keep: Keep,
    /// Words that clusters may be called by; by none of these, by words of their own.
    pub names: Vec<String>,
    /// The field of the payloads that the numbers of the clusters are written into.
    pub write_to: Option<String>,
    /// Whether each item gets a place on a map.
    pub with_map: bool,
    /// Whether each item gets the beginning of its text.
    pub with_text: bool,
}

/// What is looked for.
#[derive(Debug, Clone, PartialEq)]
pub enum Looking {
    /// New clusters.
    New(Method),
    /// What belongs to the clusters of an earlier run.
    Joining(Joining),
}

impl Looking {
    /// Returns the name that it is asked for by.
    pub fn name(&self) -> &'static str {
        match self {
            Self::New(method) => method.name(),
            Self::Joining(_) => "join",
        }
    }
}

/// What belongs together in a collection.
#[derive(Debug, Clone, PartialEq)]
pub struct Clustering {
    /// The vector name.
    pub vector: String,
    /// The clusters, largest first.
    pub clusters: Vec<Cluster>,
    /// The documents: those of the first cluster first, and in it the medoid first and then by their
    /// distance from it; noise last.
    pub items: Vec<ClusterItem>,
    /// How many documents belong to no cluster.
    pub noise: u64,
    /// How many documents could not be clustered, since they have no such vector or one of length
    /// zero.
    pub left_out: u64,
    /// The mean silhouette of a sample, if there are two clusters.
    pub silhouette: Option<f64>,
    /// How far neighbours are neighbours on the map too, of a sample.
    pub trustworthiness: Option<f64>,
}

/// One cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct Cluster {
    /// What is written of it: its place among the new clusters, or what it was called before.
    pub number: i64,
    /// How many documents it has.
    pub size: u64,
    /// How alike they are, at most 1; see [`Summary::cohesion`].
    pub cohesion: f64,
    /// The document to keep, for duplicates.
    pub keeper: Option<DocumentId>,
    /// Whether they are copies of one picture, for duplicates; else they are similar.
    pub is_one_picture: bool,
    /// Words that tell it from the other clusters, best first.
    pub terms: Vec<Term>,
}

/// A document and its cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterItem {
    /// The document.
    pub id: DocumentId,
    /// The number of its cluster; none for noise.
    pub cluster: Option<u32>,
    /// How far it is from the medoid of its cluster (Euclidean, of vectors of length one unless the
    /// metric is Euclidean); 0 for noise.
    pub distance: f32,
    /// How firmly it belongs there, 0 to 1, if the method says so.
    pub probability: Option<f64>,
    /// The clusters that have most of it, the largest share first, where shares were asked for.
    pub memberships: Vec<(u32, f64)>,
    /// How much it is an outlier, 0 to 1, if the method says so.
    pub outlier_score: Option<f64>,
    /// Its place on the map.
    pub place: Option<[f32; 2]>,
    /// The beginning of its text.
    pub text: Option<String>,
}

/// The vectors of documents, and the first slot of each.
pub(super) struct Vectors {
    pub(super) points: Points,
    pub(super) starts: Vec<u32>,
    left_out: u64,
}

impl Collection {
    /// Finds what belongs together among documents. The vector of a document of several parts is
    /// their mean. `progress` is told what is done, and how many of how many steps of it are. Where
    /// numbers are to be written and this is ended, some are and others are not.
    ///
    /// # Errors
    /// Invalid input for a vector name, filter or method that does not fit, or no vectors; cancelled.
    pub fn cluster(
        &self,
        request: &ClusterRequest,
        progress: &(dyn Fn(&'static str, usize, usize) + Sync),
        cancel: &Cancellation,
    ) -> Result<Clustering, Error> {
        let work = Work { seed: 0, progress, cancel };
        if let Some(field) = &request.write_to {
            check_field(field)?;
        }
        let (name, number, metric) = self.clustered_vector(request.vector.as_deref())?;
        let name = name.as_str();
        let view = self.view();
        let allowed = self.allowed(&view, request.filter.as_ref())?;
        let namer = self.namer(name, &request.names)?;
        let vectors = self.points(&view, &allowed, number, metric, &work)?;
        let points = &vectors.points;
        let mut width = match &request.looking {
            Looking::New(method) => method.neighbours(points.count()),
            Looking::Joining(_) => 0,
        };
        if request.with_map {
            width = width.max(MAP_NEIGHBOURS);
        }
        let graph = match width {
            0 => None,
            _ => Some(NeighbourGraph::nearest(&vectors.points, width, &work)?),
        };
        let is_unit = metric != Metric::Euclidean;
        let (found, numbers) = match &request.looking {
            Looking::New(method) => {
                let is_duplicates = matches!(method, Method::Duplicates { .. });
                let preference = match is_duplicates {
                    true => self.preference(&vectors.starts, request.keep, &work)?,
                    false => None,
                };
                let preference = preference.as_deref();
                let mut found = group(points, graph.as_ref(), method, is_unit, preference, &work)?;
                if is_duplicates && self.engine.has_pictures.load(Ordering::Relaxed) {
                    found = found.with_copies(&self.copies(
                        &vectors,
                        graph.as_ref(),
                        preference,
                        &work,
                    )?);
                }
                let numbers = (0..).take(found.partition.count()).collect();
                (found, numbers)
            }
            Looking::Joining(joining) => self.joined(&vectors, joining, is_unit, &work)?,
        };
        let summaries = summarize(points, &found.partition, is_unit, &work)?;
        let silhouette = silhouette(points, found.partition.labels(), FIGURE_SAMPLE, &work)?;
        let layout = match &graph {
            Some(graph) if request.with_map => {
                Some(map(points, graph, &MapOptions::default(), &work)?)
            }
            Some(_) | None => None,
        };
        let trustworthiness = match &layout {
            Some(layout) if points.count() > 2 * MAP_NEIGHBOURS + 1 => {
                let (k, sample) = (MAP_NEIGHBOURS, FIGURE_SAMPLE);
                Some(trustworthiness(points, layout, k, sample, &work)?)
            }
            Some(_) | None => None,
        };
        let mut terms = self.terms(&vectors, &summaries, &work)?;
        if let Some(namer) = namer {
            self.name_clusters(&namer, &view, &summaries, &mut terms, &work)?;
        }
        let place = |row: u32| layout.as_ref().map(|layout| layout.0[row as usize]);
        let items = self.items(&vectors, &found, &summaries, place, request.with_text, &work)?;
        let mut clusters = Vec::with_capacity(summaries.len());
        for (place, (summary, terms)) in summaries.iter().zip(terms).enumerate() {
            let keeper = found.keepers.as_ref().map(|keepers| keepers[place]);
            let keeper = keeper.map(|row| self.id_at(vectors.starts[row as usize])).transpose()?;
            let (size, cohesion) = (summary.members.len() as u64, summary.cohesion);
            let is_one_picture = found.copies.as_ref().is_some_and(|copies| copies[place]);
            let number = numbers[place];
            clusters.push(Cluster { number, size, cohesion, keeper, is_one_picture, terms });
        }
        cancel.check()?;
        let found = Clustering {
            vector: name.to_owned(),
            clusters,
            items,
            noise: found.partition.noise() as u64,
            left_out: vectors.left_out,
            silhouette,
            trustworthiness,
        };
        if let Some(field) = &request.write_to {
            self.write_clusters(field, &found, &work)?;
        }
        Ok(found)
    }

    /// Returns which documents are copies of one picture: those whose first parts are.
    fn copies(
        &self,
        vectors: &Vectors,
        graph: Option<&NeighbourGraph>,
        preference: Option<&[u64]>,
        work: &Work<'_>,
    ) -> Result<Vec<(u32, Vec<u32>)>, Error> {
        let mut looks = Vec::with_capacity(vectors.starts.len());
        for (read, &start) in vectors.starts.iter().enumerate() {
            if read.is_multiple_of(4_096) {
                cancelled(work, "reading hashes", read, vectors.starts.len())?;
            }
            looks.push(self.engine.likeness(Slot(start))?);
        }
        let cut = match graph {
            Some(graph) => self.cut_out(&vectors.starts, graph, work)?,
            None => Vec::new(),
        };
        Ok(copies(&looks, &cut, preference, work)?)
    }

    fn clustered_vector(&self, asked: Option<&str>) -> Result<(String, u16, Metric), Error> {
        let vectors = &self.engine.kept().settings.vectors;
        let only = (vectors.len() == 1).then(|| vectors.keys().next()).flatten();
        let name = asked.or(only.map(String::as_str)).unwrap_or(VECTOR_NAME_DEFAULT);
        let found = vectors.get_key_value(name).ok_or_else(|| {
            let names: Vec<&str> = vectors.keys().map(String::as_str).collect();
            Error::Settings(format!("there is no vector `{name}`, but {}", names.join(", ")))
        })?;
        Ok((found.0.clone(), found.1.number, found.1.metric))
    }

    /// Reads the vectors of the documents, a row each.
    fn points(
        &self,
        view: &View,
        allowed: &SlotSet,
        number: u16,
        metric: Metric,
        work: &Work<'_>,
    ) -> Result<Vectors, Error> {
        let (mut values, mut starts, mut dimension) = (Vec::new(), Vec::<u32>::new(), 0);
        let mut row = Vec::new();
        let mut last = None;
        let mut keep = |row: &mut Vec<f32>, start: Option<u32>| {
            let has_direction =
                metric == Metric::Euclidean || row.iter().any(|&value| value != 0.0);
            if let Some(start) = start.filter(|_| !row.is_empty() && has_direction) {
                values.extend_from_slice(row);
                starts.push(start);
            }
            row.clear();
            values.len()
        };
        let (mut parts, mut read) = (0.0f32, 0usize);
        let total = usize::try_from(allowed.len()).unwrap_or(usize::MAX);
        for record in self.engine.database.range(&VECTORS, (number, 0)..=(number, u32::MAX)) {
            let ((_, slot), record) = record?;
            if !allowed.contains(slot) {
                continue;
            }
            if read.is_multiple_of(4_096) {
                cancelled(work, "reading vectors", read, total)?;
            }
            read += 1;
            let start = Some(view.start_of(Slot(slot)).0);
            let components = record.components();
            dimension = components.len();
            if start == last {
                // The mean of the parts so far and this one.
                parts += 1.0;
                row.iter_mut()
                    .zip(components)
                    .for_each(|(mean, value)| *mean += (value - *mean) / parts);
                continue;
            }
            let kept = keep(&mut row, last);
            if kept + dimension > COMPONENTS_MAX {
                let (limit, actual) = (COMPONENTS_MAX, kept + dimension);
                return Err(Error::TooMuch { what: "components to cluster", limit, actual });
            }
            (row, last, parts) = (components, start, 1.0);
        }
        keep(&mut row, last);
        let documents = (allowed & &view.starts).len();
        let left_out = documents.saturating_sub(starts.len() as u64);
        if starts.is_empty() {
            return Err(ClusterError::Empty.into());
        }
        let mut points = Points::new(values, dimension)?;
        if metric != Metric::Euclidean {
            points = points.normalized()?;
        }
        Ok(Vectors { points, starts, left_out })
    }

    fn items(
        &self,
        vectors: &Vectors,
        found: &Grouped,
        summaries: &[Summary],
        place: impl Fn(u32) -> Option<[f32; 2]>,
        with_text: bool,
        work: &Work<'_>,
    ) -> Result<Vec<ClusterItem>, Error> {
        let points = &vectors.points;
        let labels = found.partition.labels();
        let noise = (0..).zip(labels).filter(|row| row.1.is_none()).map(|row| (row.0, None));
        let members = summaries.iter().flat_map(|summary| {
            let medoid = summary.members.first().copied();
            summary.members.iter().map(move |&row| (row, medoid))
        });
        let mut items = Vec::with_capacity(points.count());
        for (row, medoid) in members.chain(noise) {
            if items.len().is_multiple_of(4_096) {
                cancelled(work, "reading documents", items.len(), points.count())?;
            }
            let at = row as usize;
            let start = vectors.starts[at];
            let text = if with_text { self.text_at(start, EXCERPT_CHARS)? } else { None };
            items.push(ClusterItem {
                id: self.id_at(start)?,
                cluster: labels[at],
                distance: medoid.map_or(0.0, |medoid| points.distance(at, medoid as usize)),
                probability: found.probabilities.as_ref().map(|all| all[at]),
                memberships: found
                    .memberships
                    .as_ref()
                    .map_or_else(Vec::new, |all| all[at].clone()),
                outlier_score: found.outlier_scores.as_ref().map(|all| all[at]),
                place: place(row),
                text,
            });
        }
        Ok(items)
    }

    /// Returns the words that tell each cluster from the others, from the texts nearest its medoid.
    fn terms(
        &self,
        vectors: &Vectors,
        summaries: &[Summary],
        work: &Work<'_>,
    ) -> Result<Vec<Vec<Term>>, Error> {
        let mut texts: Vec<(u32, Vec<String>)> = Vec::new();
        for (number, summary) in (0..).zip(summaries) {
            cancelled(work, "finding words", number as usize, summaries.len())?;
            for &row in summary.members.iter().take(TEXTS_OF_CLUSTER) {
                if let Some(text) = self.text_at(vectors.starts[row as usize], TEXT_CHARS)? {
                    texts.push((number, terms_of(&text)));
                }
            }
        }
        let labelled = texts.iter().map(|(number, terms)| (*number, terms.as_slice()));
        Ok(distinctive_terms(summaries.len(), labelled, TERMS_OF_CLUSTER))
    }

    fn id_at(&self, start: u32) -> Result<DocumentId, Error> {
        let body = self.engine.body(Slot(start))?;
        Ok(body.ok_or_else(|| damaged("body", start, "missing"))?.id)
    }

    /// Returns the beginning of the text of a document's first part, if it has any.
    pub(super) fn text_at(&self, start: u32, chars_max: usize) -> Result<Option<String>, Error> {
        let part = self.engine.part(Slot(start))?;
        let text = part.ok_or_else(|| damaged("part", start, "missing"))?.text;
        let end = text.char_indices().nth(chars_max).map_or(text.len(), |(at, _)| at);
        Ok((end > 0).then(|| text[..end].to_owned()))
    }
}

/// Returns what may stand for a text: its words of three letters and more, and pairs of letters where
/// words are not told apart.
pub(super) fn terms_of(text: &str) -> Vec<String> {
    let mut terms = Vec::new();
    for word in words(text) {
        let folded = fold(word.text);
        let letters: Vec<char> = folded.chars().collect();
        match word.writing {
            Writing::Spaced => {
                let is_name = letters.len() > 2 && letters.iter().any(|one| one.is_alphabetic());
                terms.extend(is_name.then_some(folded));
            }
            Writing::Unspaced => terms.extend(letters.windows(2).map(|pair| pair.iter().collect())),
        }
    }
    terms
}

pub(super) fn cancelled(
    work: &Work<'_>,
    what: &'static str,
    done: usize,
    total: usize,
) -> Result<(), Error> {
    work.cancel.check()?;
    (work.progress)(what, done, total);
    Ok(())
}
