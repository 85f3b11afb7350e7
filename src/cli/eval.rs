//! `simile eval`: how good are the answers, measured the way published figures are?

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};
use simile_proto::v1::document::Content;
use simile_proto::v1::upsert_result::Outcome as Stored;
use simile_proto::v1::vector_config::Source;
use simile_proto::v1::{self as wire};
use tokio::task::JoinSet;

use super::arguments::Connection;
use super::cluster::{ClustersArguments, clusters};
use super::connection::{Session, with_session};
use super::eval_models::{ModelsArguments, eval_models};
use super::exit::{CliError, Outcome};
use super::labels::{LabelsArguments, labels};
use super::output::{Output, Progress, STRONG, Unit, styled};
use super::search::similarity;
use super::sentences::{SentencesArguments, sentences};
use super::serve::Setting;
use super::zero_shot::{ZeroShotArguments, zero_shot};
use crate::error::ErrorKind;
use crate::evaluate::{
    Documents, Pair, Quality, Question, RetrievalError, RetrievalSet, Scored, pearson, read_pairs,
    spearman,
};

/// How deep an answer is looked at: recall is measured there.
const DEPTH: u32 = 100;
const QUESTIONS_IN_FLIGHT: usize = 8;
const TEXTS_PER_REQUEST: usize = 256;
const LEGS: [(&str, wire::Mode); 3] = [
    ("dense", wire::Mode::Semantic),
    ("lexical", wire::Mode::Lexical),
    ("hybrid", wire::Mode::Hybrid),
];

/// What is measured.
#[derive(Debug, Subcommand)]
pub(super) enum EvalCommand {
    /// How well are judged questions answered: by meaning, by words, and by both
    Retrieval(RetrievalArguments),
    /// How well do clusters of texts agree with the folders they lie in
    Clusters(ClustersArguments),
    /// How well do similarities of sentences agree with people's
    Sts(StsArguments),
    /// Which models see that two sentences mean the same
    Sentences(SentencesArguments),
    /// All models beside each other: similarity, retrieval, speed and size
    Models(ModelsArguments),
    /// How well do the vectors of pictures tell classes apart, by nearest neighbours
    Labels(LabelsArguments),
    /// How often does a joint model find the name of what a picture shows
    ZeroShot(ZeroShotArguments),
}

#[derive(Debug, Args)]
#[command(after_help = "FOLDER is in the layout of BEIR:\n  \
    corpus.jsonl     {\"_id\": \"d1\", \"title\": \"...\", \"text\": \"...\"}\n  \
    queries.jsonl    {\"_id\": \"q1\", \"text\": \"...\"}\n  \
    qrels.tsv        q1 <tab> d1 <tab> grade; or qrels/test.tsv\n\n\
    Title and text are stored together, one passage a document, in a collection that is gone\n\
    afterwards. nDCG@10, recall@100 and MRR@10 are computed as trec_eval does.")]
pub(super) struct RetrievalArguments {
    /// The folder with corpus, questions and judgements
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// The embedder [default: the server's]
    #[arg(long, value_name = "MODEL", visible_alias = "embedder")]
    model: Option<String>,
    /// Cut documents into passages, as ingest does, instead of one passage a document
    #[arg(long)]
    passages: bool,
    /// Compare with every vector instead of walking the graph
    #[arg(long)]
    exact: bool,
    /// Leave out hits with the question's own id, as BEIR does (`ArguAna`, Quora)
    #[arg(long)]
    ignore_identical_ids: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Args)]
#[command(after_help = "Each line of FILE is: score <tab> sentence <tab> sentence. The figure is \
    Spearman's rank\ncorrelation of the scores with the cosines of the sentences' vectors; \
    Pearson's is beside it.")]
pub(super) struct StsArguments {
    /// The file with judged pairs of sentences
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The embedder, of any kind [default: the server's]
    #[arg(long, value_name = "MODEL", default_value = "", visible_alias = "embedder")]
    model: String,
    #[command(flatten)]
    connection: Connection,
}

pub(super) fn run(
    setting: &Setting,
    command: &EvalCommand,
    output: &Output,
) -> Result<Outcome, CliError> {
    match command {
        EvalCommand::Retrieval(arguments) => retrieval(setting, arguments, output),
        EvalCommand::Clusters(arguments) => clusters(setting, arguments, output),
        EvalCommand::Sts(arguments) => sts(setting, arguments, output),
        EvalCommand::Sentences(arguments) => sentences(setting, arguments, output),
        EvalCommand::Models(arguments) => eval_models(setting, arguments, output),
        EvalCommand::Labels(arguments) => labels(setting, arguments, output),
        EvalCommand::ZeroShot(arguments) => zero_shot(setting, arguments, output),
    }
}

fn retrieval(
    setting: &Setting,
    arguments: &RetrievalArguments,
    output: &Output,
) -> Result<Outcome, CliError> {
    let set = RetrievalSet::open(&arguments.folder).map_err(|error| CliError::of(&error))?;
    let asking = Asking {
        cuts_passages: arguments.passages,
        exact: arguments.exact,
        ignores_identical_ids: arguments.ignore_identical_ids,
    };
    in_passing(setting, &arguments.connection, async |session| {
        let model = arguments.model.as_deref();
        let measured = stored_and_asked(session, &set, model, &LEGS, asking, output).await?;
        output.answer(|| to_json(&measured), || table(&measured))?;
        Ok(Outcome::Done)
    })
}

/// How a set is stored and asked.
#[derive(Debug, Clone, Copy)]
struct Asking {
    cuts_passages: bool,
    exact: bool,
    ignores_identical_ids: bool,
}

/// Returns the mean nDCG@10 of a model's answers by meaning alone.
pub(super) async fn ndcg(
    session: &Session,
    set: &RetrievalSet,
    model: &str,
    output: &Output,
) -> Result<f64, CliError> {
    let asking = Asking { cuts_passages: false, exact: true, ignores_identical_ids: false };
    let legs = &LEGS[..1];
    let measured = stored_and_asked(session, set, Some(model), legs, asking, output).await?;
    Ok(measured[0].1.ndcg_10)
}

/// Measures over a collection that is gone afterwards.
async fn stored_and_asked(
    session: &Session,
    set: &RetrievalSet,
    model: Option<&str>,
    legs: &[(&'static str, wire::Mode)],
    asking: Asking,
    output: &Output,
) -> Result<Vec<(&'static str, Quality)>, CliError> {
    let collection = format!("eval-{}", std::process::id());
    create(session, &collection, model).await?;
    let measured = measure(session, &collection, set, legs, asking, output).await;
    // With a server of somebody else the collection must not stay, whatever happened.
    let request = wire::DeleteCollectionRequest { name: collection.clone() };
    let deleted = session.collections().delete(session.request(request)).await;
    let measured = measured?;
    deleted?;
    Ok(measured)
}

/// Runs the work against the named server, or against one over a folder that is gone afterwards, so
/// that nothing is left in anybody's data.
pub(super) fn in_passing(
    setting: &Setting,
    connection: &Connection,
    work: impl AsyncFnOnce(&Session) -> Result<Outcome, CliError>,
) -> Result<Outcome, CliError> {
    if connection.server.is_some() {
        return with_session(setting, connection, work);
    }
    let folder = tempfile::Builder::new().prefix("simile-eval-").tempdir()?;
    with_session(&setting.over(folder.path().to_owned()), connection, work)
}

pub(super) async fn create(
    session: &Session,
    name: &str,
    model: Option<&str>,
) -> Result<(), CliError> {
    let vectors = model.map(|model| {
        let source = Some(Source::Embedder(model.to_owned()));
        ("text".to_owned(), wire::VectorConfig { source, ..Default::default() })
    });
    let request = wire::CreateCollectionRequest {
        name: name.to_owned(),
        vectors: vectors.into_iter().collect(),
        ..Default::default()
    };
    session.collections().create(session.request(request)).await?;
    Ok(())
}

async fn measure(
    session: &Session,
    collection: &str,
    set: &RetrievalSet,
    legs: &[(&'static str, wire::Mode)],
    asking: Asking,
    output: &Output,
) -> Result<Vec<(&'static str, Quality)>, CliError> {
    store(session, collection, set, asking.cuts_passages, output).await?;
    let mut measured = Vec::new();
    for &(leg, mode) in legs {
        let mut progress = output.progress(
            &format!("asking, {leg}"),
            Unit::Items,
            Some(set.questions.len() as u64),
        );
        let quality = ask_all(session, collection, set, mode, asking, &mut progress).await;
        progress.finish();
        measured.push((leg, quality?));
    }
    Ok(measured)
}

/// Stores the corpus; an item that is refused is named, and the rest goes on.
async fn store(
    session: &Session,
    collection: &str,
    set: &RetrievalSet,
    cuts_passages: bool,
    output: &Output,
) -> Result<(), CliError> {
    let documents = set.documents().map_err(|error| CliError::of(&error))?;
    let broken: Broken = Arc::default();
    let requests = Requests {
        documents,
        broken: broken.clone(),
        collection: collection.to_owned(),
        cuts_passages,
    };
    let request = session.request(tokio_stream::iter(requests));
    let mut results = session.documents().upsert(request).await?.into_inner();
    let mut progress = output.progress("storing", Unit::Items, None);
    let mut done = 0;
    while let Some(result) = results.message().await? {
        done += 1;
        if let Some(Stored::Error(error)) = result.outcome {
            progress.note(&format!("not stored: {}: {}", result.id, error.message));
        }
        progress.set(done, "");
    }
    progress.finish();
    let broken = broken.lock().unwrap_or_else(PoisonError::into_inner).take();
    broken.map_or(Ok(()), |error| Err(CliError::of(&error)))
}

/// What was wrong with the corpus, if it was not read to its end.
type Broken = Arc<Mutex<Option<RetrievalError>>>;

/// The corpus as requests. Ends early at a line that is wrong.
struct Requests {
    documents: Documents,
    broken: Broken,
    collection: String,
    cuts_passages: bool,
}

impl Iterator for Requests {
    type Item = wire::UpsertRequest;

    fn next(&mut self) -> Option<Self::Item> {
        let document = loop {
            match self.documents.next()? {
                // A document without text answers no question; some corpora have such.
                Ok(document) if document.whole().is_empty() => {}
                Ok(document) => break document,
                Err(error) => {
                    *self.broken.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    return None;
                }
            }
        };
        let text = document.whole();
        let content = if self.cuts_passages {
            Content::Text(text)
        } else {
            Content::Parts(wire::PartList {
                parts: vec![wire::Part { text, ..Default::default() }],
            })
        };
        Some(wire::UpsertRequest {
            collection: self.collection.clone(),
            document: Some(wire::Document {
                id: document.id,
                content: Some(content),
                ..Default::default()
            }),
            ..Default::default()
        })
    }
}

async fn ask_all(
    session: &Session,
    collection: &str,
    set: &RetrievalSet,
    mode: wire::Mode,
    asking: Asking,
    progress: &mut Progress,
) -> Result<Quality, CliError> {
    let mut running = JoinSet::new();
    let mut waiting = set.questions.iter().enumerate();
    let mut each = Vec::with_capacity(set.questions.len());
    loop {
        while running.len() < QUESTIONS_IN_FLIGHT
            && let Some((number, question)) = waiting.next()
        {
            if question.text.trim().is_empty() {
                // Some sets have such; nothing answers it, and it counts.
                each.push(Quality::of(&[], &question.grades));
                continue;
            }
            let request = session.request(search_request(collection, question, mode, asking));
            let mut client = session.search();
            running.spawn(async move { (number, client.search(request).await) });
        }
        let Some(ended) = running.join_next().await else { break };
        let (number, answer) =
            ended.map_err(|error| CliError::local(ErrorKind::Internal, error.to_string()))?;
        let question = &set.questions[number];
        let found = answer?
            .into_inner()
            .hits
            .into_iter()
            .map(|hit| Scored { id: hit.id, score: hit.score });
        let found: Vec<Scored> =
            found.filter(|hit| !(asking.ignores_identical_ids && hit.id == question.id)).collect();
        each.push(Quality::of(&found, &question.grades));
        progress.set(each.len() as u64, "");
    }
    Ok(Quality::mean(&each))
}

fn search_request(
    collection: &str,
    question: &Question,
    mode: wire::Mode,
    asking: Asking,
) -> wire::SearchRequest {
    wire::SearchRequest {
        collection: collection.to_owned(),
        text: Some(question.text.clone()),
        mode: mode.into(),
        // One more, where the question itself may be among them.
        limit: Some(DEPTH + u32::from(asking.ignores_identical_ids)),
        grouping: wire::Grouping::Document.into(),
        with_payload: Some(false),
        with_text: Some(false),
        exact: asking.exact,
        ..Default::default()
    }
}

fn to_json(measured: &[(&str, Quality)]) -> Json {
    measured.iter().map(|(leg, quality)| ((*leg).to_owned(), json!(quality))).collect()
}

fn table(measured: &[(&str, Quality)]) -> String {
    let mut text = styled(STRONG, "           nDCG@10  recall@100   MRR@10");
    for (leg, quality) in measured {
        let Quality { ndcg_10, recall_100, mrr_10 } = quality;
        // Writing to a String does not fail.
        _ = write!(text, "\n{leg:<10}{ndcg_10:>8.3}{recall_100:>12.3}{mrr_10:>9.3}");
    }
    text
}

fn sts(setting: &Setting, arguments: &StsArguments, output: &Output) -> Result<Outcome, CliError> {
    let pairs = read_pairs(&arguments.file).map_err(|error| CliError::of(&error))?;
    in_passing(setting, &arguments.connection, async |session| {
        let vectors = embed(session, &pairs, &arguments.model, output).await?;
        let Some((rank, linear)) = correlations(&pairs, &vectors) else {
            let reason = "all scores or all cosines are the same, there is nothing to correlate";
            return Err(CliError::usage(reason));
        };
        let count = pairs.len();
        output.answer(
            || json!({ "spearman": rank, "pearson": linear, "pairs": count }),
            || format!("Spearman {rank:.4}, Pearson {linear:.4} over {count} pairs"),
        )?;
        Ok(Outcome::Done)
    })
}

/// Returns the correlations of people's judgements with the cosines of the vectors: Spearman's and
/// Pearson's. None if all are the same on one side.
pub(super) fn correlations(
    pairs: &[Pair],
    vectors: &HashMap<String, wire::TextEmbedding>,
) -> Option<(f64, f64)> {
    let cosines: Vec<f64> = pairs
        .iter()
        .map(|pair| similarity(&vectors[&pair.first], &vectors[&pair.second]))
        .collect();
    let scores: Vec<f64> = pairs.iter().map(|pair| pair.score).collect();
    Some((spearman(&scores, &cosines)?, pearson(&scores, &cosines)?))
}

/// Returns the vector of each sentence.
pub(super) async fn embed(
    session: &Session,
    pairs: &[Pair],
    model: &str,
    output: &Output,
) -> Result<HashMap<String, wire::TextEmbedding>, CliError> {
    let mut texts: Vec<&String> =
        pairs.iter().flat_map(|pair| [&pair.first, &pair.second]).collect();
    texts.sort_unstable();
    texts.dedup();
    let mut progress = output.progress("embedding", Unit::Items, Some(texts.len() as u64));
    let mut vectors = HashMap::new();
    for batch in texts.chunks(TEXTS_PER_REQUEST) {
        let batch: Vec<String> = batch.iter().map(|text| (*text).clone()).collect();
        let request = wire::EmbedRequest {
            model: model.to_owned(),
            texts: batch.clone(),
            role: wire::Role::Passage.into(),
        };
        let answer = session.embedding().embed(session.request(request)).await?.into_inner();
        vectors.extend(batch.into_iter().zip(answer.embeddings));
        progress.set(vectors.len() as u64, "");
    }
    progress.finish();
    Ok(vectors)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured() -> Vec<(&'static str, Quality)> {
        let quality = Quality { ndcg_10: 0.5, recall_100: 0.75, mrr_10: 1.0 };
        vec![("dense", quality), ("lexical", Quality::default()), ("hybrid", quality)]
    }

    #[test]
    fn scripts_get_each_leg_by_name() {
        let json = to_json(&measured());
        assert_eq!(json["dense"]["ndcg@10"], 0.5);
        assert_eq!(json["lexical"]["recall@100"], 0.0);
        assert_eq!(json["hybrid"]["mrr@10"], 1.0);
    }

    #[test]
    fn people_get_one_line_for_each_leg() {
        let text = anstream::adapter::strip_str(&table(&measured())).to_string();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "           nDCG@10  recall@100   MRR@10");
        assert_eq!(lines[1], "dense        0.500       0.750    1.000");
        assert_eq!(lines.len(), 4);
    }
}
