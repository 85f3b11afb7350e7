//! What clusters are called by a model that reads words and what is clustered: without examples, by the
//! words that lie nearest in its space.

use std::collections::HashMap;

use super::cluster::{cancelled, terms_of};
use super::error::Error;
use super::open::Collection;
use super::view::View;
use crate::cluster::{Summary, Term, Work};
use crate::embed::{EmbedderHandle, Lane, Modality, Role};
use crate::vector::{Vector, kernel};

/// The most words that clusters may be called by, and the most bytes of one.
const NAMES_MAX: usize = 10_000;
const NAME_BYTES_MAX: usize = 200;
/// How many texts of the collection words are taken from, the characters of each, and how many words.
const TEXTS_READ_MAX: usize = 2_000;
const TEXT_CHARS: usize = 2_000;
const WORDS_MAX: usize = 1_000;
/// Words that are embedded at a time.
const WORDS_AT_ONCE: usize = 64;
/// How many names a cluster gets.
const NAMES_OF_CLUSTER: usize = 3;
/// From how many clusters on a name counts by how much nearer it lies to one than to all.
const CLUSTERS_COMPARED_MIN: usize = 3;

/// What names clusters.
pub(super) struct Namer {
    embedder: EmbedderHandle,
    /// Words that were given; without them, those of the collection's texts.
    names: Vec<String>,
}

impl Namer {
    fn reads_pictures(&self) -> bool {
        self.embedder.specification().modalities.contains(&Modality::Image)
    }
}

impl Collection {
    /// Returns what names clusters of a vector name: none where no words are given and no model reads
    /// both texts and pictures.
    pub(super) fn namer(&self, vector: &str, names: &[String]) -> Result<Option<Namer>, Error> {
        if names.len() > NAMES_MAX {
            return Err(Error::TooMuch { what: "names", limit: NAMES_MAX, actual: names.len() });
        }
        let is_name = |name: &&String| !name.trim().is_empty() && name.len() <= NAME_BYTES_MAX;
        if let Some(wrong) = names.iter().find(|name| !is_name(name)) {
            return Err(Error::Settings(format!(
                "a name of a cluster has 1 to {NAME_BYTES_MAX} bytes and is not blank, got {}",
                wrong.len()
            )));
        }
        let reads_texts = |embedder: &EmbedderHandle| {
            embedder.specification().modalities.contains(&Modality::Text)
        };
        let bound = self.engine.kept().settings.embedder(vector).is_some();
        let embedder = if bound { self.embedder(vector) } else { Ok(None) };
        // Clusters go without names rather than not be found.
        let embedder = if names.is_empty() { embedder.unwrap_or_default() } else { embedder? };
        let embedder = embedder.filter(reads_texts);
        let names = names.to_vec();
        match embedder {
            Some(embedder) => {
                let namer = Namer { embedder, names };
                Ok((!namer.names.is_empty() || namer.reads_pictures()).then_some(namer))
            }
            None if names.is_empty() => Ok(None),
            None => Err(Error::Settings(format!(
                "names need a model that reads texts, and vector `{vector}` is made by none"
            ))),
        }
    }

    /// Gives clusters the words nearest to them as terms: all of them where words were given, else those
    /// without words of their own.
    pub(super) fn name_clusters(
        &self,
        namer: &Namer,
        view: &View,
        summaries: &[Summary],
        terms: &mut [Vec<Term>],
        work: &Work<'_>,
    ) -> Result<(), Error> {
        let is_given = !namer.names.is_empty();
        if !is_given && terms.iter().all(|terms| !terms.is_empty()) {
            return Ok(());
        }
        let words = if is_given { namer.names.clone() } else { self.words_of_texts(view, work)? };
        let mut names: Vec<(&String, Vec<f32>)> = Vec::with_capacity(words.len());
        for some in words.chunks(WORDS_AT_ONCE) {
            cancelled(work, "reading names", names.len(), words.len())?;
            let said: Vec<String> = some
                .iter()
                .map(|word| match namer.reads_pictures() {
                    true => format!("a photo of a {}.", word.trim()),
                    false => word.trim().to_owned(),
                })
                .collect();
            let said: Vec<&str> = said.iter().map(String::as_str).collect();
            let embedded = namer.embedder.embed(&said, Role::Query, Lane::Bulk, work.cancel)?;
            for (word, embedding) in some.iter().zip(embedded.embeddings) {
                let dense = embedding.vector.as_ref().and_then(Vector::as_dense);
                names.extend(dense.map(|vector| (word, unit(vector.as_slice()))));
            }
        }
        let centres: Vec<Vec<f32>> = summaries.iter().map(|one| unit(&one.centroid)).collect();
        if names.is_empty() {
            return Ok(());
        }
        for (place, best) in nearest_names(&centres, &names).into_iter().enumerate() {
            if is_given || terms[place].is_empty() {
                let term = |(name, weight): (usize, f32)| Term {
                    text: names[name].0.trim().to_owned(),
                    weight: f64::from(weight),
                };
                terms[place] = best.into_iter().map(term).collect();
            }
        }
        Ok(())
    }

    /// Returns words of the collection's texts that two of them say, the commonest first.
    fn words_of_texts(&self, view: &View, work: &Work<'_>) -> Result<Vec<String>, Error> {
        let mut counts: HashMap<String, usize> = HashMap::new();
        let mut read = 0;
        for (looked, start) in view.starts.iter().enumerate() {
            if looked.is_multiple_of(1_024) {
                cancelled(work, "reading texts", read, TEXTS_READ_MAX)?;
            }
            let Some(text) = self.text_at(start, TEXT_CHARS)? else { continue };
            let mut words = terms_of(&text);
            words.sort_unstable();
            words.dedup();
            words.into_iter().for_each(|word| *counts.entry(word).or_default() += 1);
            read += 1;
            if read == TEXTS_READ_MAX {
                break;
            }
        }
        let mut words: Vec<(String, usize)> =
            counts.into_iter().filter(|word| word.1 >= 2).collect();
        words.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        words.truncate(WORDS_MAX);
        Ok(words.into_iter().map(|word| word.0).collect())
    }
}

/// Returns for each centre the names nearest to it with their cosines, the best first. Of several
/// centres, a name counts by how much nearer it lies to one than to all, since some words lie near to
/// everything.
fn nearest_names(centres: &[Vec<f32>], names: &[(&String, Vec<f32>)]) -> Vec<Vec<(usize, f32)>> {
    let cosine = |centre: &Vec<f32>, name: usize| {
        let name = &names[name].1;
        if name.len() == centre.len() { kernel::dot(centre, name) } else { f32::MIN }
    };
    let is_compared = centres.len() >= CLUSTERS_COMPARED_MIN;
    let mean = |name: usize| match is_compared {
        true => centres.iter().map(|one| cosine(one, name)).sum::<f32>() / centres.len() as f32,
        false => 0.0,
    };
    let means: Vec<f32> = (0..names.len()).map(mean).collect();
    let best = |centre: &Vec<f32>| {
        let mut near: Vec<(f32, usize)> =
            (0..names.len()).map(|name| (cosine(centre, name) - means[name], name)).collect();
        near.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        near.truncate(NAMES_OF_CLUSTER);
        near.into_iter().map(|(_, name)| (name, cosine(centre, name))).collect()
    };
    centres.iter().map(best).collect()
}

fn unit(values: &[f32]) -> Vec<f32> {
    let length = kernel::dot(values, values).sqrt().max(f32::MIN_POSITIVE);
    values.iter().map(|value| value / length).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_near_to_all_clusters_names_none_of_them() {
        let words = ["thing", "boat", "bread", "star"].map(str::to_owned);
        let vectors = [[0.6, 0.6, 0.6], [1.0, 0.1, 0.1], [0.1, 1.0, 0.1], [0.1, 0.1, 1.0]];
        let names: Vec<(&String, Vec<f32>)> =
            words.iter().zip(vectors).map(|(word, vector)| (word, unit(&vector))).collect();
        let centres = [[0.5, 0.4, 0.4], [0.4, 0.5, 0.4], [0.4, 0.4, 0.5]];
        let centres: Vec<Vec<f32>> = centres.iter().map(|centre| unit(centre)).collect();
        let best: Vec<usize> =
            nearest_names(&centres, &names).into_iter().map(|best| best[0].0).collect();
        assert_eq!(best, [1, 2, 3]);
        // Of one or two clusters, the nearest word is all that is known.
        assert_eq!(nearest_names(&centres[..1], &names)[0][0].0, 0);
    }
}
