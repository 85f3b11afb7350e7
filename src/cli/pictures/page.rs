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
        Some(source) => match boxed(hit, source, &id) {
            Some(boxed) => boxed,
            None => format!("<img src=\"{source}\" alt=\"{id}\" loading=\"lazy\">"),
        },
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
    let span = hit.place.as_ref().or(hit.span.as_ref());
    let span = span.filter(|span| span.start_ms.is_some() || hit.place.is_some());
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

/// Returns the picture of a hit with a box around its place in it, if it has one.
fn boxed(hit: &wire::Hit, source: &str, id: &str) -> Option<String> {
    let whole = hit.span.as_ref()?.area.as_ref()?;
    let area = hit.place.as_ref()?.area.as_ref()?;
    let (width, height) = (whole.width.max(1), whole.height.max(1));
    // As thick in a large picture as in a small one.
    let stroke = f64::from(width.max(height)) / 100.0;
    Some(format!(
        "<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{id}\">\
         <image href=\"{source}\" width=\"{width}\" height=\"{height}\" \
         preserveAspectRatio=\"none\"/>\
         <rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" stroke-width=\"{stroke:.1}\"/></svg>",
        area.left, area.top, area.width, area.height
    ))
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

    #[test]
    fn a_place_is_a_box_in_the_picture_and_stands_below_it() {
        let area = |left, top, width, height| Some(wire::Area { left, top, width, height });
        let span = |area| {
            let (start_ms, end_ms) = (Some(3_000), Some(4_000));
            Some(wire::Span { start_ms, end_ms, area, ..Default::default() })
        };
        let hit = wire::Hit {
            id: "a.mp4".into(),
            span: span(area(0, 0, 320, 240)),
            place: span(area(40, 60, 80, 60)),
            ..Default::default()
        };
        let thumbnails = Thumbnails::from([(("a.mp4".to_owned(), 0), in_page(b"\xFF\xD8"))]);
        let card = card(1, &hit, &thumbnails);
        assert!(card.contains("viewBox=\"0 0 320 240\""), "{card}");
        assert!(card.contains("<rect x=\"40\" y=\"60\" width=\"80\" height=\"60\""), "{card}");
        assert!(card.contains("0:03.0 to 0:04.0, x 40-120, y 60-120"), "{card}");
    }
}
