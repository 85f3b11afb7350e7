//! `simile eval sentences`: which models see that two sentences mean the same?

use std::fmt::Write as _;

use clap::Args;
use serde_json::{Value as Json, json};
use simile_proto::v1::{self as wire, Role};

use super::arguments::Connection;
use super::connection::{Session, with_session};
use super::exit::{CliError, Outcome};
use super::output::Output;
use super::search::similarity;
use super::serve::Setting;
use crate::error::ErrorKind;

/// The sentences that are compared where no others are given: the first two mean about the same.
const SENTENCES: [[&str; 3]; 2] = [
    ["The cat chases the mouse", "The kitten hunts rodents", "I like ham sandwiches"],
    ["猫追逐老鼠", "小猫捕猎老鼠", "我喜欢火腿三明治"],
];

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    simile eval sentences                             every model that is here\n  \
    simile eval sentences --model all-minilm-l6-v2 --model my-tfidf\n  \
    simile eval sentences \"a fast car\" \"a quick automobile\" \"a slow train\"\n\n\
    Of three sentences the first two should be nearest. Prints the cosines of 1 and 2, 1 and 3, 2 and 3\n\
    as a table in Markdown; --json for scripts.")]
pub(super) struct SentencesArguments {
    /// Three sentences, of which the first two mean about the same [default: about cats, kittens and
    /// sandwiches, in English and in Chinese]
    #[arg(value_name = "SENTENCE", num_args = 3)]
    sentences: Vec<String>,
    /// A model to ask (may be repeated) [default: every model that is here]
    #[arg(long, value_name = "MODEL")]
    model: Vec<String>,
    #[command(flatten)]
    connection: Connection,
}

/// What a model makes of one group of three sentences: the cosines of 1 and 2, 1 and 3, 2 and 3.
type Cosines = [f64; 3];

/// A row of the table.
pub(super) struct Compared {
    model: String,
    kind: String,
    groups: Vec<Cosines>,
}

impl Compared {
    /// Asks a model.
    pub(super) async fn load(
        session: &Session,
        model: &wire::Model,
        groups: &[Vec<String>],
    ) -> Result<Self, CliError> {
        let (name, kind) = (model.name.clone(), model.kind.clone());
        let mut compared = Self { model: name, kind, groups: Vec::new() };
        for group in groups {
            compared.groups.push(compare(session, &model.name, group).await?);
        }
        Ok(compared)
    }
}

pub(super) fn sentences(
    setting: &Setting,
    arguments: &SentencesArguments,
    output: &Output,
) -> Result<Outcome, CliError> {
    let groups = if arguments.sentences.is_empty() {
        default_groups()
    } else {
        vec![arguments.sentences.clone()]
    };
    with_session(setting, &arguments.connection, async |session| {
        let mut rows = Vec::new();
        for model in models(session, &arguments.model).await? {
            rows.push(Compared::load(session, &model, &groups).await?);
        }
        output.answer(
            || json!({ "sentences": groups, "models": rows.iter().map(to_json).collect::<Vec<_>>() }),
            || group_table(&groups, &rows),
        )?;
        Ok(Outcome::Done)
    })
}

/// Returns the sentences that are compared where no others are given.
pub(super) fn default_groups() -> Vec<Vec<String>> {
    SENTENCES.map(|group| group.map(str::to_owned).to_vec()).to_vec()
}

/// Returns the models that are asked: those that were named, or else all that are here and read texts.
pub(super) async fn models(
    session: &Session,
    named: &[String],
) -> Result<Vec<wire::Model>, CliError> {
    let request = session.request(wire::ListModelsRequest {});
    let known = session.embedding().list_models(request).await?.into_inner().models;
    if named.is_empty() {
        // A model that reads no tokens reads no texts, and a cross-encoder gives no vectors.
        let reads_texts = |model: &wire::Model| {
            model.is_installed && model.tokens_max > 0 && model.kind != "cross-encoder"
        };
        return Ok(known.into_iter().filter(reads_texts).collect());
    }
    let find = |name: &String| {
        let found = known.iter().find(|model| model.name == *name).cloned();
        found.ok_or_else(|| {
            let known: Vec<&str> = known.iter().map(|model| model.name.as_str()).collect();
            let known = known.join(", ");
            let message = format!("no model is called `{name}`; known are {known}");
            CliError::local(ErrorKind::NotFound, message)
        })
    };
    named.iter().map(find).collect()
}

async fn compare(session: &Session, model: &str, texts: &[String]) -> Result<Cosines, CliError> {
    let request = wire::EmbedRequest {
        model: model.to_owned(),
        texts: texts.to_vec(),
        role: Role::Passage.into(),
    };
    let answer = session.embedding().embed(session.request(request)).await?.into_inner();
    let [one, two, three] = &answer.embeddings[..] else {
        let message = format!("expected 3 vectors, got {}", answer.embeddings.len());
        return Err(CliError::local(ErrorKind::Internal, message));
    };
    Ok([similarity(one, two), similarity(one, three), similarity(two, three)])
}

/// Whether a model sees that of the sentences the first two belong together.
fn sees(cosines: &Cosines) -> bool {
    let [near, far, other] = cosines;
    near > far && near > other
}

fn to_json(row: &Compared) -> Json {
    let groups =
        row.groups.iter().map(|cosines| json!({ "cosines": cosines, "sees": sees(cosines) }));
    json!({ "model": row.model, "kind": row.kind, "groups": groups.collect::<Vec<_>>() })
}

/// Returns the table in Markdown.
pub(super) fn group_table(groups: &[Vec<String>], rows: &[Compared]) -> String {
    let mut text = String::new();
    for (number, group) in (1..).zip(groups) {
        // Writing to a String does not fail.
        _ = writeln!(text, "{number}: 1 \"{}\", 2 \"{}\", 3 \"{}\"", group[0], group[1], group[2]);
    }
    _ = write!(text, "\n| model | kind |");
    for number in 1..=groups.len() {
        _ = write!(text, " {number}: 1-2 | 1-3 | 2-3 | nearest |");
    }
    _ = writeln!(text);
    text.push_str("|---|---|");
    text.push_str(&"--:|--:|--:|---|".repeat(groups.len()));
    for row in rows {
        _ = write!(text, "\n| {} | {} |", row.model, row.kind);
        for cosines in &row.groups {
            let [near, far, other] = cosines;
            let nearest = if sees(cosines) {
                "1-2"
            } else if *near <= 0.0 && *far <= 0.0 && *other <= 0.0 {
                "none"
            } else {
                "another"
            };
            _ = write!(text, " {near:.3} | {far:.3} | {other:.3} | {nearest} |");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_which_are_nearest() {
        let group = ["a", "b", "c"].map(str::to_owned).to_vec();
        let row = |cosines| Compared { model: "m".into(), kind: "k".into(), groups: vec![cosines] };
        let rows = [row([0.5, 0.25, 0.0]), row([0.0; 3]), row([0.1, 0.2, 0.0])];
        let text = group_table(&[group], &rows);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "1: 1 \"a\", 2 \"b\", 3 \"c\"");
        assert_eq!(lines[2], "| model | kind | 1: 1-2 | 1-3 | 2-3 | nearest |");
        assert_eq!(lines[3], "|---|---|--:|--:|--:|---|");
        assert_eq!(lines[4], "| m | k | 0.500 | 0.250 | 0.000 | 1-2 |");
        assert!(lines[5].ends_with("| none |") && lines[6].ends_with("| another |"), "{text}");
    }
}
