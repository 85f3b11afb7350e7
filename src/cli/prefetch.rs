//! Searches within a search, as they are written on a command line: in JSON.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value as Json;
use simile_proto::v1 as wire;

use super::arguments::{Fusion, Mode, Syntax};
use super::exit::CliError;
use super::filter;
use super::shape::recommend;

/// One search within another; each field as the flag of `simile search` of that name.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Prefetch {
    text: Option<String>,
    mode: Option<String>,
    syntax: Option<String>,
    fusion: Option<String>,
    /// A short form, or JSON.
    filter: Option<Json>,
    limit: Option<u32>,
    threshold: Option<f32>,
    vector: Option<String>,
    vectors: HashMap<String, Vec<f32>>,
    exact: bool,
    ef: Option<u32>,
    target_recall: Option<f32>,
    like: Vec<String>,
    unlike: Vec<String>,
    best_score: bool,
    prefetch: Vec<Self>,
}

/// Returns the search that a text in JSON says.
///
/// # Errors
/// For what is no such JSON, or a value that its field does not have.
pub(super) fn parse(text: &str) -> Result<wire::Prefetch, CliError> {
    let wrong = |reason: &dyn std::fmt::Display| {
        CliError::usage(format!(
            "prefetch `{text}`: {reason}; expected JSON as \
             {{\"text\": \"cats\", \"mode\": \"lexical\", \"limit\": 100}}"
        ))
    };
    let read: Prefetch = serde_json::from_str(text).map_err(|error| wrong(&error))?;
    read.into_wire().map_err(|reason| wrong(&reason))
}

impl Prefetch {
    fn into_wire(self) -> Result<wire::Prefetch, String> {
        let fusion: Option<Fusion> = named("fusion", self.fusion.as_deref())?;
        let mode = named("mode", self.mode.as_deref())?.map_or(wire::Mode::Unspecified, Mode::wire);
        let syntax = named("syntax", self.syntax.as_deref())?
            .map_or(wire::WordSyntax::Unspecified, Syntax::wire);
        let filter = self.filter.map(|filter| match filter {
            Json::String(short) => short,
            json => json.to_string(),
        });
        let filter = filter::parse_all(filter.as_slice()).map_err(|error| error.to_string())?;
        let vectors = self.vectors.into_iter();
        let recommend =
            recommend(&self.like, &self.unlike, self.best_score, self.vector.as_deref());
        let prefetch = self.prefetch.into_iter().map(Self::into_wire).collect::<Result<_, _>>()?;
        Ok(wire::Prefetch {
            text: self.text,
            vectors: vectors
                .map(|(name, values)| (name, wire::DenseVector { components: values }))
                .collect(),
            recommend,
            prefetch,
            mode: mode.into(),
            fusion: fusion.map(|fusion| fusion.wire(HashMap::new())),
            filter,
            limit: self.limit,
            score_threshold: self.threshold,
            exact: self.exact,
            ef: self.ef,
            using: self.vector,
            syntax: syntax.into(),
            target_recall: self.target_recall,
            ..Default::default()
        })
    }
}

/// Returns the value of that name, as the flag of the same name reads it.
fn named<V: clap::ValueEnum>(field: &str, name: Option<&str>) -> Result<Option<V>, String> {
    let Some(name) = name else { return Ok(None) };
    let value = V::from_str(name, false).map_err(|_| {
        let values = V::value_variants().iter().filter_map(V::to_possible_value);
        let names: Vec<String> = values.map(|value| format!("`{}`", value.get_name())).collect();
        format!("{field} `{name}` is none of {}", names.join(", "))
    })?;
    Ok(Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_within_a_search_is_read_with_all_its_fields_and_searches_within() {
        let text = r#"{"text": "soup", "mode": "lexical", "limit": 7, "filter": "year>=2020",
                       "like": ["a"], "prefetch": [{"vectors": {"v": [1, 2]}, "vector": "v"}]}"#;
        let read = parse(text).unwrap();
        assert_eq!((read.text.as_deref(), read.limit), (Some("soup"), Some(7)));
        assert_eq!(read.mode(), wire::Mode::Lexical);
        assert!(read.filter.is_some());
        assert_eq!(read.recommend.unwrap().positive.len(), 1);
        assert_eq!(read.prefetch[0].vectors["v"].components, [1.0, 2.0]);
        assert_eq!(read.prefetch[0].using.as_deref(), Some("v"));
    }

    #[test]
    fn what_is_wrong_with_it_is_said() {
        for (text, reason) in [
            ("soup", "expected value"),
            (r#"{"txt": "soup"}"#, "unknown field `txt`"),
            (r#"{"mode": "words"}"#, "mode `words` is none of `hybrid`, `semantic`, `lexical`"),
            (r#"{"filter": "year"}"#, "year"),
            (r#"{"prefetch": [{"fusion": "sum"}]}"#, "fusion `sum` is none of `calibrated`"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(reason) && error.contains(text), "{error}");
        }
    }
}
