//! The hits of a search as a contact sheet: one page that needs nothing beside it.

use std::fmt::Write as _;
use std::path::Path;

use simile_proto::v1::{self as wire};

use super::super::cluster::escaped;
use super::super::documents::place;
use super::super::value;
use super::{Thumbnails, in_page};
use crate::decode::{Limits, decode_picture, thumbnail};

const TEMPLATE: &str = include_str!("page.html");
/// The fields that stand below a picture, where it has them.
const FIELDS: [&str; 4] = ["taken", "camera", "width", "height"];
/// How many characters of a passage are shown.
const PASSAGE_SHOWN: usize = 240;

/// Returns the page of an answer.
pub(in crate::cli) fn contact_sheet(
    question: Option<&str>,
    images: &[impl AsRef<Path>],
    answer: &wire::SearchResponse,
    thumbnails: &Thumbnails,
) -> String {
    let mut asked = question.map(|text| format!("<q>{}</q>", escaped(text))).unwrap_or_default();
    for image in images {
        // The server read it, so that what cannot be shown here is left out.
        let bytes = fs_err::read(image.as_ref()).unwrap_or_default();
        if let Ok(picture) = decode_picture(&bytes, &Limits::default()) {
            let source = in_page(&thumbnail(&picture));
            drop(write!(asked, "<img src=\"{source}\" alt=\"the picture that was asked with\">"));
        }
    }
    let mut cards = String::new();
    let groups = answer.groups.iter().flat_map(|group| &group.hits);
    for (number, hit) in (1..).zip(answer.hits.iter().chain(groups)) {
        cards.push_str(&card(number, hit, thumbnails));
    }
    if cards.is_empty() {
        cards.push_str("<p>nothing found</p>");
    }
    // Split, not replaced: what was asked may hold the marks itself.
    let (head, rest) = TEMPLATE.split_once("{{asked}}").unwrap_or((TEMPLATE, ""));
    let (middle, tail) = rest.split_once("{{cards}}").unwrap_or((rest, ""));
    format!("{head}{asked}{middle}{cards}{tail}")
}

fn card(number: usize, hit: &wire::Hit, thumbnails: &Thumbnails) -> String {
    let id = escaped(&hit.id);
    let shown = match thumbnails.get(&(hit.id.clone(), hit.part)) {
        Some(source) => format!("<img src=\"{source}\" alt=\"{id}\" loading=\"lazy\">"),
        None => {
            let passage: String =
                hit.text.iter().flat_map(|text| text.chars()).take(PASSAGE_SHOWN).collect();
            format!("<blockquote>{}</blockquote>", escaped(&passage))
        }
    };
    let field = |name: &&str| {
        let value = value::to_json(hit.payload.get(*name)?);
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Some(format!("<dt>{name}</dt><dd>{}</dd>", escaped(&value)))
    };
    let fields: String = FIELDS.iter().filter_map(field).collect();
    // Of a video, when; of a text its place says less than its words.
    let span = hit.span.as_ref().filter(|span| span.start_ms.is_some());
    let time = span.map(|span| format!("<br>{}", escaped(&place(span)))).unwrap_or_default();
    let legs: Vec<String> =
        hit.legs.iter().map(|leg| format!("{} #{}", escaped(&leg.leg), leg.rank)).collect();
    format!(
        "<figure>{shown}<figcaption><b>{number}</b> <span class=\"score\">{:.4}</span><br>\
         <span class=\"id\">{id}</span>{time}<dl>{fields}</dl><small>{}</small></figcaption></figure>\n",
        hit.score,
        legs.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_id_says_cannot_leave_its_place_and_nothing_is_fetched() {
        let id = "<b onload=\"x\">{{cards}}".to_owned();
        let hits = vec![
            wire::Hit { id: id.clone(), ..Default::default() },
            wire::Hit { id: "t".into(), text: Some("a < b".into()), ..Default::default() },
        ];
        let answer = wire::SearchResponse { hits, ..Default::default() };
        let thumbnails = Thumbnails::from([((id, 0), in_page(b"\xFF\xD8"))]);
        let none: [&Path; 0] = [];
        let page = contact_sheet(Some("<red>"), &none, &answer, &thumbnails);
        assert!(page.contains("<q>&lt;red&gt;</q>") && page.contains("a &lt; b"));
        assert!(page.contains("src=\"data:image/jpeg;base64,/9g=\""));
        assert!(!page.contains("<b onload") && !page.contains("http:"), "{page}");
        assert!(!page.contains("https:"), "{page}");
    }
}
