//! One page to look at clusters: self-contained, so that it can be kept or sent.

use serde_json::json;

use super::{Found, to_json};

const TEMPLATE: &str = include_str!("page.html");

/// Returns the page.
pub(super) fn page(collection: &str, found: &Found) -> String {
    let data = json!({ "collection": collection, "found": to_json(found) }).to_string();
    // Inside a script element only `<` could end it.
    let data = data.replace('<', "\\u003c");
    let (head, rest) = TEMPLATE.split_once("{{title}}").unwrap_or((TEMPLATE, ""));
    let (middle, tail) = rest.split_once("{{data}}").unwrap_or((rest, ""));
    format!("{head}{}{middle}{data}{tail}", escaped(collection))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
