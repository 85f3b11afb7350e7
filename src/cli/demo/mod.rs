//! `simile demo`: the main job on a small collection, from nothing to answers.

mod clip;
mod pictures;
mod questions;
mod scenes;
mod texts;

use std::collections::HashMap;

use serde_json::Value as Json;
use simile_proto::v1::document::Content;
use simile_proto::v1::upsert_result::Outcome as Stored;
use simile_proto::v1::{self as wire};

use super::arguments::DemoArguments;
use super::connection::{OWN_SERVER_LOG, Session};
use super::exit::{CliError, Outcome};
use super::output::{FAINT, Output, STRONG, TITLE, Unit};
use super::pictures::Thumbnails;
use super::serve::{self, Setting};
use super::{filter, search, value};
use crate::error::ErrorKind;
use questions::{Is, QUESTIONS, Question};
use texts::{RECORDS, TEXTS, Text};

/// The collection of the demo.
const COLLECTION: &str = "demo";
/// How many hits of each question are shown.
const HITS_SHOWN: u32 = 3;

pub(super) fn demo(
    setting: &Setting,
    arguments: &DemoArguments,
    output: &Output,
) -> Result<Outcome, CliError> {
    let temporary = match arguments.keep {
        Some(_) => None,
        None => Some(tempfile::tempdir()?),
    };
    let folder = match (&arguments.keep, &temporary) {
        (Some(folder), _) => folder.clone(),
        (None, Some(temporary)) => temporary.path().to_owned(),
        (None, None) => return Ok(Outcome::Done),
    };
    let setting = setting.over(folder.clone());
    serve::block_on(async {
        setting.start_telemetry(OWN_SERVER_LOG)?;
        let session = Session::start_own(&setting, None).await?;
        let outcome = tokio::select! {
            outcome = run(&session, output) => outcome,
            () = serve::stop_signal() => Ok(Outcome::Interrupted),
        };
        session.close().await;
        if let (Ok(Outcome::Done), false) = (&outcome, output.is_json()) {
            output.text(&farewell(arguments.keep.is_some().then_some(folder.as_path())))?;
        }
        outcome
    })
}

async fn run(session: &Session, output: &Output) -> Result<Outcome, CliError> {
    if let Some(address) = session.own_address() {
        output.note(&format!("serving on {address} for as long as the demo runs"));
    }
    create(session, COLLECTION, HashMap::new()).await?;
    let stored = store(session, COLLECTION, documents()?, output).await?;
    output.note(&stored);
    let sentences = compare_sentences(session).await?;
    let mut answers = Vec::new();
    for question in &QUESTIONS {
        let request = session.request(request(question)?);
        answers.push(session.search().search(request).await?.into_inner());
    }
    let seen = pictures::ask(session, output).await?;
    let moment = clip::find_moment(session).await?;
    output.answer(
        || {
            let asked = QUESTIONS.iter().zip(&answers).map(|(question, answer)| {
                serde_json::json!({
                    "shows": question.shows,
                    "question": question.text,
                    "answer": search::to_json(answer),
                })
            });
            serde_json::json!({
                "questions": asked.collect::<Vec<Json>>(),
                "pictures": seen.to_json(),
                "moment": clip::to_json(&moment),
            })
        },
        || {
            let mut text = sentences;
            for (question, answer) in QUESTIONS.iter().zip(&answers) {
                text.push_str(&heading(question));
                text.push_str(&search::render(answer, false, &Thumbnails::new()));
            }
            text.push_str(&seen.render());
            text.push_str(&clip::describe(&moment));
            text
        },
    )?;
    Ok(Outcome::Done)
}

/// Makes a collection, in place of one that a demo before this one left.
async fn create(
    session: &Session,
    name: &str,
    vectors: HashMap<String, wire::VectorConfig>,
) -> Result<(), CliError> {
    let delete = wire::DeleteCollectionRequest { name: name.into() };
    match session.collections().delete(session.request(delete)).await {
        Ok(_) => {}
        Err(status) if status.code() == tonic::Code::NotFound => {}
        Err(status) => return Err(status.into()),
    }
    let request =
        wire::CreateCollectionRequest { name: name.into(), vectors, ..Default::default() };
    session.collections().create(session.request(request)).await?;
    Ok(())
}

async fn store(
    session: &Session,
    collection: &str,
    documents: Vec<wire::Document>,
    output: &Output,
) -> Result<String, CliError> {
    let total = documents.len() as u64;
    let requests: Vec<wire::UpsertRequest> = documents
        .into_iter()
        .map(|document| wire::UpsertRequest {
            collection: collection.into(),
            items_total: Some(total),
            document: Some(document),
            ..Default::default()
        })
        .collect();
    let began = std::time::Instant::now();
    let request = session.request(tokio_stream::iter(requests));
    let mut results = session.documents().upsert(request).await?.into_inner();
    let mut progress = output.progress("storing", Unit::Items, Some(total));
    let (mut done, mut parts, mut tokens) = (0, 0, 0);
    while let Some(result) = results.message().await? {
        done += 1;
        match result.outcome {
            Some(Stored::Stored(stored)) => {
                parts += stored.parts;
                tokens += stored.tokens;
            }
            Some(Stored::Error(error)) => {
                let message = format!("{}: {}", result.id, error.message);
                return Err(CliError::local(ErrorKind::Internal, message));
            }
            Some(Stored::Unchanged(_)) | None => {}
        }
        progress.set(done, &result.id);
    }
    progress.finish();
    let seconds = began.elapsed().as_secs_f64();
    let what = if tokens == 0 {
        format!("{done} pictures")
    } else {
        format!("{done} documents: {parts} passages, {tokens} tokens")
    };
    Ok(format!("stored {what} in {seconds:.1} s; each survives power loss"))
}

/// The files as they are, and each line of the files of records as a document of its own.
fn documents() -> Result<Vec<wire::Document>, CliError> {
    let mut documents: Vec<wire::Document> = TEXTS.iter().map(file).collect();
    for (name, bytes) in RECORDS {
        for line in String::from_utf8_lossy(bytes).lines() {
            let wrong =
                |reason: String| CliError::local(ErrorKind::Internal, format!("{name}: {reason}"));
            let mut record: HashMap<String, Json> =
                serde_json::from_str(line).map_err(|error| wrong(error.to_string()))?;
            let mut take = |field: &str| match record.remove(field) {
                Some(Json::String(text)) => Ok(text),
                other => Err(wrong(format!("expected a text as `{field}`, got {other:?}"))),
            };
            let (id, text) = (take("id")?, take("text")?);
            let payload = record
                .iter()
                .map(|(field, json)| Ok((field.clone(), value::to_wire(json)?)))
                .collect::<Result<_, CliError>>()?;
            let content = Some(Content::Text(text));
            documents.push(wire::Document { id, payload, content, ..Default::default() });
        }
    }
    Ok(documents)
}

fn file(text: &Text) -> wire::Document {
    let fields = [
        ("language", Json::from(text.language)),
        ("topic", Json::from(text.topic)),
        ("year", Json::from(text.year)),
        ("rating", Json::from(text.rating)),
    ];
    let payload = fields
        .into_iter()
        .filter_map(|(field, json)| Some((field.to_owned(), value::to_wire(&json).ok()?)))
        .collect();
    let file = wire::File { name: text.name.into(), bytes: text.bytes.to_vec(), media_type: None };
    let content = Some(Content::File(file));
    wire::Document { id: text.name.into(), payload, content, ..Default::default() }
}

/// How near the example sentences are to one another, in both languages.
async fn compare_sentences(session: &Session) -> Result<String, CliError> {
    let mut shown = format!(
        "\n{TITLE}How near are these sentences? The cosine of their vectors, 1 is the same{TITLE:#}\n"
    );
    let sentences = [
        ["The cat chases the mouse", "The kitten hunts rodents", "I like ham sandwiches"],
        ["猫追逐老鼠", "小猫捕猎老鼠", "我喜欢火腿三明治"],
    ];
    for texts in sentences {
        let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
        let request = wire::EmbedRequest { texts: texts.clone(), ..Default::default() };
        let answer = session.embedding().embed(session.request(request)).await?.into_inner();
        shown.push_str(&search::similarities(&texts, &answer));
        shown.push('\n');
    }
    Ok(shown)
}

fn request(question: &Question) -> Result<wire::SearchRequest, CliError> {
    Ok(wire::SearchRequest {
        collection: COLLECTION.into(),
        text: Some(question.text.into()),
        mode: question.mode.into(),
        syntax: question.syntax.into(),
        filter: filter::parse_all(&conditions(question))?,
        limit: Some(HITS_SHOWN),
        ..Default::default()
    })
}

fn conditions(question: &Question) -> Vec<String> {
    let condition = |(field, is): &(&str, Is)| match is {
        Is::Equal(text) => format!("{field}={text}"),
        Is::AtLeast(number) => format!("{field}>={number}"),
    };
    question.conditions.iter().map(condition).collect()
}

fn heading(question: &Question) -> String {
    let conditions = conditions(question);
    let conditions = if conditions.is_empty() {
        String::new()
    } else {
        format!("  {FAINT}where {}{FAINT:#}", conditions.join(", "))
    };
    format!(
        "\n{TITLE}{}{TITLE:#}\n{STRONG}? {}{STRONG:#}{conditions}\n",
        question.shows, question.text
    )
}

fn farewell(kept: Option<&std::path::Path>) -> String {
    let data = kept.map_or(String::new(), |folder| {
        format!(
            "The demo's collection is kept: simile search --data {} -c demo QUERY\n",
            folder.display()
        )
    });
    format!(
        "\n{data}Now your own files:\n  \
         simile ingest ~/Pictures --collection photos\n  \
         simile search --image holiday.jpg --collection photos --html hits.html\n  \
         simile ingest ~/Documents --collection docs\n  \
         simile search \"what was the rent again\" --collection docs\n  \
         simile serve                                 # gRPC for your programs\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_document_of_the_demo_has_its_own_id_and_its_fields() {
        let documents = documents().unwrap();
        let ids: std::collections::BTreeSet<&str> =
            documents.iter().map(|document| document.id.as_str()).collect();
        assert_eq!(ids.len(), documents.len());
        for document in &documents {
            for field in ["language", "topic", "year", "rating"] {
                assert!(document.payload.contains_key(field), "{} lacks {field}", document.id);
            }
        }
        for question in &QUESTIONS {
            for first in question.first {
                assert!(ids.contains(first), "{first} is no document");
            }
        }
    }
}
