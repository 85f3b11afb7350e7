//! What a search may be asked beside its words: examples, groups, variety, sparse questions,
//! searches within it.

use std::collections::HashMap;

use clap::Args;
use simile_proto::v1::{self as wire, example};

use super::exit::CliError;
use super::prefetch;

#[derive(Debug, Args)]
#[command(next_help_heading = "Shape of the answer")]
pub(super) struct ShapeArguments {
    /// Group the hits by the values of this field; --limit then counts groups
    #[arg(long, value_name = "FIELD")]
    pub(super) group_by: Option<String>,
    /// The most hits of a group
    #[arg(long, value_name = "N", requires = "group_by",
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) group_size: Option<u32>,
    /// Prefer hits that are unlike those above them (maximal marginal relevance): 1 keeps the order
    /// by relevance, 0 looks for variety only [default if given: 0.5]
    #[arg(long, value_name = "RELEVANCE", num_args = 0..=1, require_equals = true,
          default_missing_value = "0.5")]
    pub(super) mmr: Option<f32>,
    /// More like this document (may be repeated; QUERY may be left out)
    #[arg(long, value_name = "ID")]
    pub(super) like: Vec<String>,
    /// Less like this document (may be repeated)
    #[arg(long, value_name = "ID", requires = "like")]
    pub(super) unlike: Vec<String>,
    /// Compare with each example of --like and --unlike, instead of with their average
    #[arg(long, requires = "like")]
    pub(super) best_score: bool,
    /// Ask a sparse vector with these weights by index (may be repeated; QUERY may be left out)
    #[arg(long, value_name = "NAME=INDEX:WEIGHT,...")]
    pub(super) sparse: Vec<String>,
    /// Ask only among what this search finds, or, without QUERY, join what such searches find: JSON with
    /// text, mode, limit, filter, vector, vectors, like ... and prefetch again (may be repeated)
    #[arg(long, value_name = "JSON")]
    pub(super) prefetch: Vec<String>,
    /// Say why this document is or is not among the hits
    #[arg(long, value_name = "ID")]
    pub(super) explain: Option<String>,
}

impl ShapeArguments {
    /// Returns the request with what the flags say; `vector` is the name that was asked for.
    ///
    /// # Errors
    /// For a sparse question, or a search within this one, that is none.
    pub(super) fn apply(
        &self,
        mut request: wire::SearchRequest,
        vector: Option<&str>,
    ) -> Result<wire::SearchRequest, CliError> {
        request.group_by =
            self.group_by.clone().map(|path| wire::GroupBy { path, size: self.group_size });
        request.diversity = self
            .mmr
            .map(|relevance| wire::Diversity { relevance: Some(relevance), ..Default::default() });
        request.recommend = recommend(&self.like, &self.unlike, self.best_score, vector);
        request.prefetch =
            self.prefetch.iter().map(|text| prefetch::parse(text)).collect::<Result<_, _>>()?;
        request.sparse_vectors =
            self.sparse.iter().map(|text| sparse(text)).collect::<Result<HashMap<_, _>, _>>()?;
        Ok(request)
    }
}

/// Returns the question for what is like some documents and unlike others; none without the former.
pub(super) fn recommend(
    like: &[String],
    unlike: &[String],
    is_each: bool,
    vector: Option<&str>,
) -> Option<wire::Recommend> {
    let examples = |ids: &[String]| -> Vec<wire::Example> {
        let example = |id: &String| {
            let kind = Some(example::Kind::Id(id.clone()));
            wire::Example { kind, ..Default::default() }
        };
        ids.iter().map(example).collect()
    };
    let strategy =
        if is_each { wire::RecommendStrategy::BestScore } else { wire::RecommendStrategy::Average };
    (!like.is_empty()).then(|| wire::Recommend {
        positive: examples(like),
        negative: examples(unlike),
        strategy: strategy.into(),
        vector: vector.map(str::to_owned),
    })
}

/// Reads `NAME=INDEX:WEIGHT,...`.
fn sparse(text: &str) -> Result<(String, wire::SparseVector), CliError> {
    let expected = || {
        CliError::usage(format!(
            "sparse question `{text}`: expected NAME=INDEX:WEIGHT,..., as words=17:0.5,230:1.2"
        ))
    };
    let (name, entries) = text.split_once('=').ok_or_else(expected)?;
    let mut vector = wire::SparseVector::default();
    for entry in entries.split(',') {
        let (index, weight) = entry.split_once(':').ok_or_else(expected)?;
        vector.indices.push(index.trim().parse().map_err(|_| expected())?);
        vector.values.push(weight.trim().parse().map_err(|_| expected())?);
    }
    Ok((name.to_owned(), vector))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sparse_question_is_a_name_with_weights() {
        let (name, vector) = sparse("words=17:0.5, 230:-1").unwrap();
        assert_eq!((name.as_str(), vector.indices), ("words", vec![17, 230]));
        assert_eq!(vector.values, [0.5, -1.0]);
        for wrong in ["", "words", "words=", "words=1", "words=a:1", "words=1:b", "words=-1:1"] {
            assert!(sparse(wrong).is_err(), "{wrong}");
        }
    }
}
