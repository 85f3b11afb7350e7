//! `simile locate`: where is this excerpt from?

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value as Json, json};
use simile_proto::v1::{self as wire};

use super::arguments::{Connection, Target};
use super::connection::{Session, with_session};
use super::documents::place;
use super::exit::{CliError, Outcome};
use super::filter;
use super::output::{FAINT, Output, STRONG};
use super::pictures;
use super::serve::Setting;
use crate::error::ErrorKind;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    simile locate excerpt.mp4 --collection clips\n  \
    simile locate excerpt.wav --collection sounds\n  \
    simile locate meme.gif --collection clips --filter 'seconds<600' --json")]
pub(super) struct LocateArguments {
    /// The excerpt: a video, an animated picture or a sound
    #[arg(value_name = "FILE")]
    excerpt: PathBuf,
    #[command(flatten)]
    target: Target,
    /// How many moments
    #[arg(long, short = 'n', value_name = "N", default_value_t = 10,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Only documents of which this holds (may be repeated; all have to hold)
    #[arg(long, short, value_name = "FILTER")]
    filter: Vec<String>,
    /// The named vector to ask, if several see or hear such a file
    #[arg(long, value_name = "NAME")]
    vector: Option<String>,
    /// Write the moments with their pictures to a page to look at
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

pub(super) fn locate(
    setting: &Setting,
    arguments: &LocateArguments,
    output: &Output,
) -> Result<Outcome, CliError> {
    let request = wire::LocateRequest {
        collection: arguments.target.collection.clone(),
        excerpt: fs_err::read(&arguments.excerpt)
            .map_err(|error| CliError::local(ErrorKind::NotFound, error.to_string()))?,
        using: arguments.vector.clone(),
        filter: filter::parse_all(&arguments.filter)?,
        limit: Some(arguments.limit),
    };
    with_session(setting, &arguments.connection, async |session| {
        let answer = session.search().locate(session.request(request)).await?.into_inner();
        if let Some(file) = &arguments.html {
            let page = page(session, arguments, &answer).await?;
            fs_err::write(file, page)?;
            output.note(&format!("wrote {}", file.display()));
        }
        output.answer(|| to_json(&answer), || render(&answer))?;
        Ok(Outcome::Done)
    })
}

/// Returns the moments as a contact sheet.
async fn page(
    session: &Session,
    arguments: &LocateArguments,
    answer: &wire::LocateResponse,
) -> Result<String, CliError> {
    let hit = |moment: &wire::Moment| wire::Hit {
        id: moment.id.clone(),
        part: moment.part,
        score: moment.score,
        span: Some(span(moment)),
        ..Default::default()
    };
    let hits: Vec<wire::Hit> = answer.moments.iter().map(hit).collect();
    let shown = hits.iter().map(|hit| (hit.id.clone(), hit.part));
    let thumbnails = pictures::thumbnails(session, &arguments.target.collection, shown).await?;
    let answer = wire::SearchResponse { hits, ..Default::default() };
    let (asked, none) = (arguments.excerpt.display().to_string(), [""; 0]);
    Ok(pictures::contact_sheet(Some(&asked), &none, &answer, &thumbnails))
}

fn span(moment: &wire::Moment) -> wire::Span {
    let (start_ms, end_ms) = (Some(moment.start_ms), Some(moment.end_ms));
    wire::Span { start_ms, end_ms, ..Default::default() }
}

/// Returns the moments for a script.
pub(super) fn to_json(answer: &wire::LocateResponse) -> Json {
    let moments = answer.moments.iter().map(|moment| {
        json!({
            "id": moment.id,
            "start_ms": moment.start_ms,
            "end_ms": moment.end_ms,
            "part": moment.part,
            "score": moment.score,
        })
    });
    json!({ "moments": moments.collect::<Vec<_>>(), "warnings": answer.warnings })
}

/// A line for each moment, those of one video or sound together, in the order of its best one.
pub(super) fn render(answer: &wire::LocateResponse) -> String {
    let mut text = String::new();
    let mut seen: Vec<&str> = Vec::new();
    for moment in &answer.moments {
        if seen.contains(&moment.id.as_str()) {
            continue;
        }
        seen.push(&moment.id);
        drop(writeln!(text, "{STRONG}{}{STRONG:#}", moment.id));
        for moment in answer.moments.iter().filter(|other| other.id == moment.id) {
            let place = place(&span(moment));
            drop(writeln!(text, "  {place}  {FAINT}{:.3}{FAINT:#}", moment.score));
        }
    }
    if answer.moments.is_empty() {
        text.push_str("nothing is like it\n");
    }
    for warning in &answer.warnings {
        drop(writeln!(text, "warning: {warning}"));
    }
    text
}
