//! One page to look at clusters: self-contained, so that it can be kept or sent.

use serde_json::json;

use super::super::pictures::Thumbnails;
use super::{Found, to_json};

const TEMPLATE: &str = include_str!("page.html");

/// Returns the page.
pub(super) fn page(collection: &str, found: &Found, thumbnails: &Thumbnails) -> String {
    let thumbnails: serde_json::Map<_, _> =
        thumbnails.iter().map(|((id, _), source)| (id.clone(), json!(source))).collect();
    let data =
        json!({ "collection": collection, "found": to_json(found), "thumbnails": thumbnails });
    let data = data.to_string();
    // Inside a script element only `<` could end it.
    let data = data.replace('<', "\\u003c");
    let (head, rest) = TEMPLATE.split_once("{{title}}").unwrap_or((TEMPLATE, ""));
    let (middle, tail) = rest.split_once("{{data}}").unwrap_or((rest, ""));
    format!("{head}{}{middle}{data}{tail}", escaped(collection))
}

/// Returns a text as it stands in a page.
pub(in crate::cli) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
