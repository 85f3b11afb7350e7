//! `simile search A --near B`: where both are seen within a few seconds of each other.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};
use simile_proto::v1::{self as wire};

use super::connection::Session;
use super::documents::{place, span_to_json};
use super::exit::{CliError, Outcome};
use super::output::{FAINT, Output, STRONG};
use crate::document::DocumentId;
use crate::query::{Meeting, meetings};

/// How many moments of each question are compared with those of the other.
const MOMENTS_MAX: u32 = 200;

/// A moment that answers one of the questions.
#[derive(Debug, Clone)]
struct Sight {
    id: DocumentId,
    span: wire::Span,
    score: f32,
}

/// Asks both questions and prints where their answers meet, the nearest first; `first` is the search
/// without its other question.
pub(super) async fn search_near(
    session: &Session,
    first: wire::SearchRequest,
    near: &str,
    within_seconds: f64,
    output: &Output,
) -> Result<Outcome, CliError> {
    let limit = first.limit.unwrap_or(MOMENTS_MAX) as usize;
    let first = wire::SearchRequest {
        limit: Some(MOMENTS_MAX),
        grouping: wire::Grouping::Passage.into(),
        ..first
    };
    let second = wire::SearchRequest { text: Some(near.to_owned()), ..first.clone() };
    let mut found = Vec::new();
    for request in [first, second] {
        let answer = session.search().search(session.request(request)).await?.into_inner();
        found.push(answer.hits.into_iter().filter_map(sight).collect::<Vec<_>>());
    }
    let gap_ms = (within_seconds * 1_000.0).round() as u64;
    let mut met = meetings(&found[0], &found[1], gap_ms, |sight| {
        let Sight { id, span, .. } = sight;
        (id.clone(), span.start_ms.unwrap_or(0), span.end_ms.unwrap_or(0))
    });
    met.truncate(limit);
    output.answer(|| to_json(&met), || render(&met))?;
    Ok(Outcome::Done)
}

/// Only what has a time can be near anything in time.
fn sight(hit: wire::Hit) -> Option<Sight> {
    let span = hit.span.filter(|span| span.start_ms.is_some() && span.end_ms.is_some())?;
    Some(Sight { id: DocumentId::new(hit.id).ok()?, span, score: hit.score })
}

fn to_json(met: &[Meeting<Sight>]) -> Json {
    let one = |sight: &Sight| json!({ "span": span_to_json(&sight.span), "score": sight.score });
    let meeting = |meeting: &Meeting<Sight>| {
        json!({
            "id": meeting.first.id.as_str(),
            "first": one(&meeting.first),
            "second": one(&meeting.second),
            "apart_ms": meeting.apart_ms,
        })
    };
    json!({ "meetings": met.iter().map(meeting).collect::<Vec<_>>() })
}

fn render(met: &[Meeting<Sight>]) -> String {
    let mut text = String::new();
    for Meeting { first, second, apart_ms } in met {
        let (one, other) = (place(&first.span), place(&second.span));
        let apart = *apart_ms as f64 / 1_000.0;
        drop(writeln!(
            text,
            "{STRONG}{}{STRONG:#}  {one} and {other}  {FAINT}{apart:.1} s apart{FAINT:#}",
            first.id
        ));
    }
    if met.is_empty() {
        text.push_str("nothing found\n");
    }
    text
}

/// Returns the moments of an answer, those of one video together, in the order of its best one.
pub(super) fn by_video(answer: &wire::SearchResponse) -> String {
    let mut text = String::new();
    let mut seen: Vec<&str> = Vec::new();
    for hit in &answer.hits {
        if seen.contains(&hit.id.as_str()) {
            continue;
        }
        seen.push(&hit.id);
        drop(writeln!(text, "{STRONG}{}{STRONG:#}", hit.id));
        for hit in answer.hits.iter().filter(|other| other.id == hit.id) {
            let where_it_is = hit.place.as_ref().or(hit.span.as_ref()).map(place);
            let where_it_is = where_it_is.unwrap_or_else(|| "all of it".to_owned());
            drop(writeln!(text, "  {where_it_is}  {FAINT}{:.3}{FAINT:#}", hit.score));
        }
    }
    if seen.is_empty() {
        text.push_str("nothing is like it\n");
    }
    for warning in &answer.warnings {
        drop(writeln!(text, "warning: {warning}"));
    }
    text
}
