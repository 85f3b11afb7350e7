//! `simile collection reembed`: from one model to another, beside the use of the collection.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::{Value as Json, json};
use simile_proto::v1::vector_config::Source;
use simile_proto::v1::{self as wire};
use tokio::time::sleep;

use super::arguments::ReembedArguments;
use super::{sorted, to_json};
use crate::cli::connection::{Session, with_session};
use crate::cli::exit::{CliError, Outcome};
use crate::cli::output::{FAINT, Output, Unit};
use crate::cli::serve::Setting;
use crate::error::ErrorKind;
use crate::evaluate::{Grades, Quality, RetrievalSet, Scored};

/// What the vector in the making is called, behind the name of the one it is to replace.
const NEXT: &str = "-next";
/// How often the job that makes the vectors is looked at.
const LOOKED_AT_EVERY: Duration = Duration::from_millis(500);
/// How many hits of both are compared.
const COMPARED: usize = 10;
/// How deep judged questions are looked at.
const DEPTH: u32 = 100;
/// The longest question that is drawn from a passage, in characters.
const QUESTION_CHARACTERS_MAX: usize = 200;

/// A question to compare by.
struct Question {
    id: String,
    text: String,
    grades: Option<Grades>,
}

/// What the comparison says.
struct Compared {
    questions: usize,
    /// The mean share of the first hits that both have.
    overlap: f64,
    /// nDCG@10 of the old and of the new vector, where there are judgements.
    ndcg: Option<[f64; 2]>,
}

pub(super) fn reembed(
    setting: &Setting,
    arguments: &ReembedArguments,
    output: &Output,
) -> Result<Outcome, CliError> {
    with_session(setting, &arguments.connection, async |session| {
        let collection = &arguments.collection;
        let before = info(session, collection).await?;
        let vector = vector_of(&before, arguments)?;
        let next = format!("{vector}{NEXT}");
        let old = before.vectors.get(&vector).map(|vector| vector.embedder.clone());
        let old = old.unwrap_or_default();
        if old == arguments.model {
            let model = &arguments.model;
            let said = format!("vector `{vector}` of `{collection}` is made by {model} already");
            return Err(CliError::usage(said));
        }
        make(session, collection, &next, &before, arguments, output).await?;
        let questions = questions(session, arguments, output).await?;
        let compared = compare(session, collection, [&vector, &next], &questions, output).await?;
        let said = compared.said([&old, &arguments.model]);
        if arguments.compare_only {
            output.answer(
                || compared.json(collection, &vector, &next, false),
                || format!("{said}\n{FAINT}both are there: `{vector}` and `{next}`{FAINT:#}"),
            )?;
            return Ok(Outcome::Done);
        }
        if !arguments.yes {
            output.note(&said);
            let model = &arguments.model;
            output.confirm(&format!("Let {model} take the place of {old} in `{collection}`?"))?;
        }
        let request = session.request(wire::ReplaceVectorRequest {
            collection: collection.clone(),
            name: vector.clone(),
            by: next.clone(),
        });
        let after = session.collections().replace_vector(request).await?.into_inner();
        output.answer(
            || {
                let mut json = compared.json(collection, &vector, &next, true);
                json["collection"] = to_json(&after);
                json
            },
            || {
                let model = &arguments.model;
                format!("{said}\nvector `{vector}` of `{collection}` is made by {model} now")
            },
        )?;
        Ok(Outcome::Done)
    })
}

async fn info(session: &Session, name: &str) -> Result<wire::Collection, CliError> {
    let request = session.request(wire::GetCollectionRequest { name: name.to_owned() });
    Ok(session.collections().get(request).await?.into_inner())
}

/// Returns the vector that is meant.
fn vector_of(
    collection: &wire::Collection,
    arguments: &ReembedArguments,
) -> Result<String, CliError> {
    let made: Vec<&String> = sorted(&collection.vectors)
        .into_iter()
        .filter(|(name, vector)| !vector.embedder.is_empty() && !name.ends_with(NEXT))
        .map(|(name, _)| name)
        .collect();
    let names = || made.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
    match (&arguments.vector, &made[..]) {
        (Some(asked), made) if made.contains(&asked) => Ok(asked.clone()),
        (Some(asked), _) => Err(CliError::usage(format!(
            "no model makes a vector `{asked}` of `{}`; models make: {}",
            collection.name,
            names()
        ))),
        (None, [only]) => Ok((*only).clone()),
        (None, []) => Err(CliError::usage(format!(
            "no model makes a vector of `{}`: its vectors are given",
            collection.name
        ))),
        (None, _) => Err(CliError::usage(format!("say which --vector is meant: {}", names()))),
    }
}

/// Makes the new vector, or goes on with it, and shows how far it is.
async fn make(
    session: &Session,
    collection: &str,
    next: &str,
    before: &wire::Collection,
    arguments: &ReembedArguments,
    output: &Output,
) -> Result<(), CliError> {
    if let Some(there) = before.vectors.get(next) {
        if there.embedder != arguments.model {
            let (other, model) = (&there.embedder, &arguments.model);
            return Err(CliError::usage(format!(
                "vector `{next}` of {other} is there from another attempt, expected {model}; `simile \
                 collection drop-vector {collection} {next}` takes it back"
            )));
        }
        if !there.filling {
            return Ok(());
        }
    }
    let source = Some(Source::Embedder(arguments.model.clone()));
    let config = Some(wire::VectorConfig { source, ..Default::default() });
    let (collection, name) = (collection.to_owned(), next.to_owned());
    let request = wire::AddVectorRequest { collection: collection.clone(), name, config };
    let request = session.request(request);
    let mut progress = output.progress("embedding", Unit::Items, Some(before.parts));
    let mut client = session.collections();
    let adding = client.add_vector(request);
    tokio::pin!(adding);
    loop {
        tokio::select! {
            added = &mut adding => {
                progress.finish();
                added?;
                return Ok(());
            }
            () = sleep(LOOKED_AT_EVERY) => {
                let request = session.request(wire::ListJobsRequest {});
                // How far it is may stay untold.
                let Ok(jobs) = session.jobs().list(request).await else { continue };
                let mut jobs = jobs.into_inner().jobs.into_iter();
                let is_it = |job: &wire::Job| job.collection == collection && job.label == next;
                if let Some(job) = jobs.find(is_it) {
                    progress.set(job.items_done, &job.message);
                }
            }
        }
    }
}

/// Returns what is asked of both: what was given, or the beginnings of passages.
async fn questions(
    session: &Session,
    arguments: &ReembedArguments,
    output: &Output,
) -> Result<Vec<Question>, CliError> {
    if let Some(folder) = &arguments.judged {
        let set = RetrievalSet::open(folder).map_err(|error| CliError::of(&error))?;
        let judged = set.questions.into_iter().filter(|asked| !asked.text.trim().is_empty());
        let judged = judged.map(|asked| Question {
            id: asked.id,
            text: asked.text,
            grades: Some(asked.grades),
        });
        return Ok(judged.collect());
    }
    let given = |(line, text): (usize, &str)| Question {
        id: line.to_string(),
        text: text.to_owned(),
        grades: None,
    };
    if let Some(file) = &arguments.questions {
        let text = fs_err::read_to_string(file)
            .map_err(|error| CliError::local(ErrorKind::InvalidInput, error.to_string()))?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let questions: Vec<Question> = lines.enumerate().map(given).collect();
        if questions.is_empty() {
            let file = file.display();
            return Err(CliError::usage(format!("{file} holds no question, expected one a line")));
        }
        return Ok(questions);
    }
    let request = session.request(wire::ScrollRequest {
        collection: arguments.collection.clone(),
        limit: Some(arguments.sample),
        with_parts: true,
        sample: Some(wire::Sample { seed: Some(1) }),
        ..Default::default()
    });
    let drawn = session.documents().scroll(request).await?.into_inner().documents;
    let mut questions = Vec::new();
    for document in drawn {
        let text = document.parts.iter().map(|part| part.text.trim()).find(|text| !text.is_empty());
        let Some(text) = text else { continue };
        let text: String = text.chars().take(QUESTION_CHARACTERS_MAX).collect();
        questions.push(Question { id: document.id, text, grades: None });
    }
    if questions.is_empty() {
        output.note("there is no text to compare by");
    }
    Ok(questions)
}

async fn compare(
    session: &Session,
    collection: &str,
    vectors: [&str; 2],
    questions: &[Question],
    output: &Output,
) -> Result<Compared, CliError> {
    let all = Some(questions.len() as u64);
    let mut progress = output.progress("comparing", Unit::Items, all);
    let (mut shared, mut quality) = (0.0, [Vec::new(), Vec::new()]);
    for (done, question) in questions.iter().enumerate() {
        let mut firsts: Vec<HashSet<String>> = Vec::new();
        for (vector, quality) in vectors.iter().zip(&mut quality) {
            let request = session.request(wire::SearchRequest {
                collection: collection.to_owned(),
                text: Some(question.text.clone()),
                using: Some((*vector).to_owned()),
                mode: wire::Mode::Semantic.into(),
                grouping: wire::Grouping::Document.into(),
                limit: Some(DEPTH),
                with_payload: Some(false),
                with_text: Some(false),
                ..Default::default()
            });
            let hits = session.search().search(request).await?.into_inner().hits;
            let found = hits.into_iter().map(|hit| Scored { id: hit.id, score: hit.score });
            // What was drawn finds itself, which says nothing.
            let found: Vec<Scored> =
                found.filter(|hit| question.grades.is_some() || hit.id != question.id).collect();
            if let Some(grades) = &question.grades {
                quality.push(Quality::of(&found, grades));
            }
            firsts.push(found.into_iter().take(COMPARED).map(|hit| hit.id).collect());
        }
        if let [old, new] = &firsts[..] {
            let most = old.len().max(new.len());
            let both = old.intersection(new).count();
            shared += if most == 0 { 1.0 } else { both as f64 / most as f64 };
        }
        progress.set(done as u64 + 1, "");
    }
    progress.finish();
    let is_judged = quality.iter().all(|each| !each.is_empty());
    Ok(Compared {
        questions: questions.len(),
        overlap: shared / questions.len().max(1) as f64,
        ndcg: is_judged.then(|| quality.map(|each| Quality::mean(&each).ndcg_10)),
    })
}

impl Compared {
    fn said(&self, [old, new]: [&str; 2]) -> String {
        if self.questions == 0 {
            return format!("{old} and {new} were not compared: there is nothing to ask");
        }
        let questions = self.questions;
        let overlap = self.overlap * 100.0;
        let mut said = format!(
            "of the first {COMPARED} hits {overlap:.1} % are the same, over {questions} questions"
        );
        if let Some([before, after]) = self.ndcg {
            said.push_str(&format!("\nnDCG@10: {old} {before:.4}, {new} {after:.4}"));
        }
        said
    }

    fn json(&self, collection: &str, vector: &str, next: &str, is_switched: bool) -> Json {
        json!({
            "collection": collection,
            "vector": vector,
            "next": next,
            "questions": self.questions,
            "overlap_10": self.overlap,
            "ndcg_10": self.ndcg,
            "switched": is_switched,
        })
    }
}
