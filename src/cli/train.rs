//! `simile model train`: models of the user's own, fitted on files or on a collection.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};
use simile_proto::v1 as wire;

use super::arguments::Connection;
use super::collection::bytes;
use super::connection::Session;
use super::exit::{CliError, Outcome};
use super::filter;
use super::ingest::walk::Selection;
use super::output::{GOOD, Output, Progress, STRONG, Unit, styled};
use super::serve::{Setting, block_on, stop_signal};
use super::train_there::train_there;
use super::train_words::{
    AverageArguments, Doc2VecArguments, FastTextArguments, GloveArguments, LdaArguments,
    Word2VecArguments,
};
use crate::cancel::Cancellation;
use crate::decode::{Content, Hint, Limits, decode};
use crate::embed::sparse::{
    Analyzer, HashedSettings, NGramOptions, Norm, OneHotOptions, Share, TermSettings, TfIdfOptions,
    VocabularyOptions,
};
use crate::embed::{Catalogue, EmbedError, Manifest, Modality, Recipe, Texts, Training, WordRule};
use crate::error::ErrorKind;

/// The most bytes of text that are held to be trained on.
const CORPUS_BYTES_MAX: usize = 4 << 30;
const DOCUMENTS_PER_PAGE: u32 = 200;

/// What is fitted.
#[derive(Debug, Subcommand)]
pub(super) enum TrainCommand {
    /// Which words a text has: sparse, and two texts are as near as they share words
    OneHot(OneHotArguments),
    /// How often a text has each word, against how many texts have it: sparse
    TfIdf(TfIdfArguments),
    /// How often a text has each run of words or letters: sparse; finds what is misspelt
    NGram(NGramArguments),
    /// A vector for each word from the company it keeps (Word2Vec); a text is their mean
    #[command(name = "word2vec")]
    Word2Vec(Word2VecArguments),
    /// The same from the n-grams of words (fastText): unknown and misspelt words have vectors too
    #[command(name = "fasttext")]
    FastText(FastTextArguments),
    /// A vector for each word from how often words stand together (GloVe); a text is their mean
    Glove(GloveArguments),
    /// The mean of word vectors from a file: word2vec, GloVe or fastText
    Average(AverageArguments),
    /// The topics of the texts, and a text as shares of them (LDA)
    Lda(LdaArguments),
    /// A vector for each text from the words it has (Doc2Vec)
    #[command(name = "doc2vec")]
    Doc2Vec(Doc2VecArguments),
}

/// What every method is given.
#[derive(Debug, Args)]
pub(super) struct FitArguments {
    /// Files, folders or patterns to learn from; every document, and every record of a file of
    /// records, is a text
    #[arg(long, value_name = "PATH", num_args = 1.., required_unless_present = "collection",
          conflicts_with = "collection")]
    corpus: Vec<String>,
    /// Learn from the passages of this collection; where --server names a server, that does it, as a
    /// job, and has the model
    #[arg(long, short, value_name = "NAME")]
    pub(super) collection: Option<String>,
    /// Take every line of a document for a text of its own
    #[arg(long)]
    pub(super) lines: bool,
    /// The name of the new model
    #[arg(long, short, value_name = "NAME")]
    pub(super) out: String,
    /// The licence of the model, as an SPDX expression
    #[arg(long, value_name = "SPDX", default_value = "NOASSERTION")]
    pub(super) licence: String,
    /// What chance starts from: with one thread the same seed gives the same model
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) seed: u64,
    /// The most threads that work [default: as many as embed]
    #[arg(long, value_name = "N")]
    pub(super) threads: Option<usize>,
    #[command(flatten)]
    pub(super) connection: Connection,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    simile model train one-hot --corpus ~/notes --out notes-words")]
pub(super) struct OneHotArguments {
    #[command(flatten)]
    fit: FitArguments,
    #[command(flatten)]
    terms: TermArguments,
    #[command(flatten)]
    vocabulary: VocabularyArguments,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    simile model train tf-idf --corpus ~/notes --out notes-tfidf --stop-words english\n  \
    simile model train tf-idf --collection notes --out notes-typos --analyzer char-wb --ngram 3..5\n\n\
    Weights are those of scikit-learn's TfidfVectorizer; --words letters cuts words as it does.")]
pub(super) struct TfIdfArguments {
    #[command(flatten)]
    fit: FitArguments,
    #[command(flatten)]
    terms: TermArguments,
    #[command(flatten)]
    vocabulary: VocabularyArguments,
    /// Take 1 + ln(count) for a count
    #[arg(long)]
    sublinear: bool,
    /// Take ln(n / df) + 1 for the weight of a term, without adding one to n and df
    #[arg(long)]
    no_smoothing: bool,
    /// How a vector is scaled
    #[arg(long, default_value = "l2", value_parser = choice::<Norm>(&["l2", "l1", "none"]))]
    norm: Norm,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    simile model train n-gram --corpus ~/notes --out notes-letters --analyzer char-wb --ngram 3..5\n  \
    simile model train n-gram --corpus ~/notes --out pairs --ngram 1..2 --hashed 1048576")]
pub(super) struct NGramArguments {
    #[command(flatten)]
    fit: FitArguments,
    #[command(flatten)]
    terms: TermArguments,
    #[command(flatten)]
    vocabulary: VocabularyArguments,
    /// Hash terms to this many indices instead of keeping a vocabulary; learns nothing
    #[arg(long, value_name = "INDICES")]
    hashed: Option<u32>,
    /// Hashed only: count every term upwards, instead of half of them downwards
    #[arg(long, requires = "hashed")]
    unsigned: bool,
    /// Hashed only: how a vector is scaled
    #[arg(long, default_value = "l2", value_parser = choice::<Norm>(&["l2", "l1", "none"]))]
    norm: Norm,
}

/// What counts as a term.
#[derive(Debug, Args)]
struct TermArguments {
    /// What a term is made of: words, letters, or letters within words
    #[arg(long, default_value = "word",
          value_parser = choice::<Analyzer>(&["word", "char", "char-wb"]))]
    analyzer: Analyzer,
    /// How many words or letters make a term: a number, or the least and the most as 1..2
    #[arg(long, value_name = "N|N..M", default_value = "1", value_parser = run)]
    ngram: (usize, usize),
    /// Tell upper from lower case
    #[arg(long)]
    case_sensitive: bool,
    /// How words are found: as a reader finds them, or as runs of letters
    #[arg(long, default_value = "segmented",
          value_parser = choice::<WordRule>(&["segmented", "letters"]))]
    words: WordRule,
    /// Leave out words of fewer letters, where blanks set words apart
    #[arg(long, value_name = "N", default_value_t = 2)]
    letters_min: usize,
    /// Leave out these words: `english`, or a file with one a line
    #[arg(long, value_name = "english|FILE")]
    stop_words: Option<String>,
}

/// Which terms become the vocabulary.
#[derive(Debug, Args)]
struct VocabularyArguments {
    /// Leave out terms of fewer texts: a number (2) or a share (0.01)
    #[arg(long, value_name = "N|SHARE", default_value = "1")]
    min_df: Share,
    /// Leave out terms of more texts: a number or a share
    #[arg(long, value_name = "N|SHARE", default_value = "1.0")]
    max_df: Share,
    /// Keep at most so many terms, the most frequent ones
    #[arg(long, value_name = "N")]
    max_terms: Option<usize>,
}

/// A choice by the names that manifests use.
pub(super) fn choice<T: DeserializeOwned + Clone + Send + Sync + 'static>(
    names: &'static [&'static str],
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(names).try_map(|name| serde_json::from_value(Json::String(name)))
}

fn run(text: &str) -> Result<(usize, usize), String> {
    let number = |text: &str| {
        text.parse().map_err(|_| format!("expected a number, as 2, or two, as 1..2; got {text:?}"))
    };
    match text.split_once("..") {
        Some((least, most)) => Ok((number(least)?, number(most)?)),
        None => number(text).map(|count| (count, count)),
    }
}

impl TermArguments {
    fn settings(&self) -> Result<TermSettings, CliError> {
        let stop_words = match self.stop_words.as_deref() {
            None => Vec::new(),
            Some("english") => vec!["english".to_owned()],
            Some(file) => {
                let text = fs_err::read_to_string(file)
                    .map_err(|error| CliError::usage(error.to_string()))?;
                text.split_whitespace().map(str::to_owned).collect()
            }
        };
        Ok(TermSettings {
            analyzer: self.analyzer,
            run_min: self.ngram.0,
            run_max: self.ngram.1,
            lowercase: !self.case_sensitive,
            words: self.words,
            letters_min: self.letters_min,
            stop_words,
        })
    }
}

impl VocabularyArguments {
    fn options(&self) -> VocabularyOptions {
        VocabularyOptions { df_min: self.min_df, df_max: self.max_df, terms_max: self.max_terms }
    }
}

impl TrainCommand {
    fn fit(&self) -> &FitArguments {
        match self {
            Self::OneHot(arguments) => &arguments.fit,
            Self::TfIdf(arguments) => &arguments.fit,
            Self::NGram(arguments) => &arguments.fit,
            Self::Word2Vec(arguments) => &arguments.fit,
            Self::FastText(arguments) => &arguments.fit,
            Self::Glove(arguments) => &arguments.fit,
            Self::Average(arguments) => &arguments.fit,
            Self::Lda(arguments) => &arguments.fit,
            Self::Doc2Vec(arguments) => &arguments.fit,
        }
    }

    fn recipe(&self) -> Result<Recipe, CliError> {
        Ok(match self {
            Self::OneHot(arguments) => Recipe::OneHot(OneHotOptions {
                terms: arguments.terms.settings()?,
                vocabulary: arguments.vocabulary.options(),
            }),
            Self::TfIdf(arguments) => Recipe::TfIdf(TfIdfOptions {
                terms: arguments.terms.settings()?,
                vocabulary: arguments.vocabulary.options(),
                smooth_idf: !arguments.no_smoothing,
                sublinear_tf: arguments.sublinear,
                norm: arguments.norm,
            }),
            Self::NGram(arguments) => Recipe::NGram(NGramOptions {
                terms: arguments.terms.settings()?,
                vocabulary: arguments.vocabulary.options(),
                hashed: arguments.hashed.map(|features| HashedSettings {
                    features,
                    signed: !arguments.unsigned,
                    norm: arguments.norm,
                }),
            }),
            Self::Word2Vec(arguments) => arguments.recipe(),
            Self::FastText(arguments) => arguments.recipe(),
            Self::Glove(arguments) => arguments.recipe(),
            Self::Average(arguments) => arguments.recipe(),
            Self::Lda(arguments) => arguments.recipe(),
            Self::Doc2Vec(arguments) => arguments.recipe(),
        })
    }
}

/// Fits the model; Ctrl-C leaves nothing behind.
pub(super) fn train(
    setting: &Setting,
    catalogue: Catalogue,
    command: &TrainCommand,
    output: &Output,
) -> Result<Outcome, CliError> {
    let recipe = command.recipe()?;
    let fit = command.fit();
    let name = fit.out.clone();
    if let Some(collection) = &fit.collection
        && fit.connection.server.is_some()
        // The vectors that are averaged are a file of this machine.
        && !matches!(recipe, Recipe::Average(_))
    {
        return train_there(setting, collection, &recipe, fit, output);
    }
    if catalogue.manifest(&name).is_ok() {
        return Err(CliError::of(&EmbedError::ModelExists { name }));
    }
    let texts = match &fit.collection {
        Some(collection) => of_collection(setting, collection, fit, output)?,
        None => of_files(fit, output)?,
    };
    let (seed, licence, output) = (fit.seed, fit.licence.clone(), *output);
    let threads = fit.threads.unwrap_or(setting.config.embed_threads).max(1);
    let cancel = Cancellation::new();
    let stop = cancel.clone();
    block_on(async {
        let mut work = tokio::task::spawn_blocking(move || {
            let shown = Mutex::new(None::<(String, Progress)>);
            let progress = |what: &str, done: u64, total: Option<u64>| {
                show(&output, &shown, what, done, total)
            };
            let (corpus, progress) = (&texts, &progress);
            let training = Training { seed, threads, ..Training::new(corpus, progress, &stop) };
            let manifest = catalogue.train(&name, &licence, &recipe, &training)?;
            let folder = catalogue.folder(&name)?;
            Ok::<_, EmbedError>((manifest, folder, texts.len()))
        });
        let ended = tokio::select! {
            ended = &mut work => ended,
            () = stop_signal() => {
                cancel.cancel();
                // Whatever it was doing, it looks at the flag and clears up.
                drop(work.await);
                return Ok(Outcome::Interrupted);
            }
        };
        let (manifest, folder, texts) = ended
            .map_err(|error| CliError::local(ErrorKind::Internal, error.to_string()))?
            .map_err(|error| CliError::of(&error))?;
        output.answer(
            || to_json(&manifest, &folder, Some(texts)),
            || describe(&manifest, &folder, format!("fitted on {texts} texts")),
        )?;
        Ok(Outcome::Done)
    })
}

fn show(
    output: &Output,
    shown: &Mutex<Option<(String, Progress)>>,
    what: &str,
    done: u64,
    total: Option<u64>,
) {
    let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
    if shown.as_ref().is_none_or(|(title, _)| title != what) {
        if let Some((_, before)) = shown.take() {
            before.finish();
        }
        *shown = Some((what.to_owned(), output.progress(what, Unit::Items, total)));
    }
    if let Some((_, progress)) = shown.as_mut() {
        progress.set(done, "");
    }
}

pub(super) fn to_json(manifest: &Manifest, folder: &Path, texts: Option<usize>) -> Json {
    json!({
        "name": manifest.name,
        "kind": manifest.method.kind().name(),
        "form": manifest.method.form().name(),
        "dimension": manifest.dimension,
        "texts": texts,
        "bytes": manifest.bytes(),
        "fingerprint": manifest.fingerprint().to_string(),
        "folder": folder.display().to_string(),
    })
}

pub(super) fn describe(manifest: &Manifest, folder: &Path, done: String) -> String {
    let name = &manifest.name;
    let next = if manifest.method.modalities().contains(&Modality::Text) {
        format!("`simile embed --model {name} TEXT...` tries it")
    } else {
        format!("`simile eval labels FOLDER --embedder {name}` measures it")
    };
    format!(
        "{STRONG}{}{STRONG:#}  {}: {}, {}, {} components, {}\nfiles in {}\n\
         {}",
        manifest.name,
        styled(GOOD, done),
        manifest.method.kind().name(),
        manifest.method.form().name(),
        manifest.dimension,
        bytes(manifest.bytes()),
        folder.display(),
        next,
    )
}

fn of_files(fit: &FitArguments, output: &Output) -> Result<Texts, CliError> {
    let (found, unreadable) = Selection::new(&[], &[], false, false)?.walk(&fit.corpus)?;
    if let Some(first) = unreadable.first() {
        return Err(CliError::local(
            ErrorKind::NotFound,
            format!("{} cannot be read: {}", first.name, first.reason),
        ));
    }
    let mut texts = Texts::new(CORPUS_BYTES_MAX, fit.lines);
    let mut add = |text: &str| texts.add(text).map_err(|error| CliError::of(&error));
    let mut progress = output.progress("reading", Unit::Items, Some(found.len() as u64));
    let (limits, cancel) = (Limits::default(), Cancellation::new());
    for (read, file) in (1..).zip(&found) {
        let name = file.path.display().to_string();
        let skip = |reason: &dyn std::fmt::Display| format!("left out: {name}: {reason}");
        let bytes = fs_err::read(&file.path)?;
        let hint = Hint { file_name: Some(&name), ..Hint::default() };
        match decode(&bytes, &hint, &limits, &cancel) {
            Ok(Content::Text(content)) => add(&content.text)?,
            Ok(Content::Records(records)) => {
                for record in records {
                    match record {
                        Ok(record) => add(&record.text)?,
                        Err(error) => progress.note(&skip(&error)),
                    }
                }
            }
            Ok(Content::Picture(_)) => progress.note(&skip(&"it is a picture, and has no text")),
            Ok(Content::Sound(_)) => progress.note(&skip(&"a sound has no words that are read")),
            Ok(Content::Video(_)) => progress.note(&skip(&"a video has no words")),
            Err(error) => progress.note(&skip(&error)),
        }
        progress.set(read, "");
    }
    progress.finish();
    Ok(texts)
}

fn of_collection(
    setting: &Setting,
    collection: &str,
    fit: &FitArguments,
    output: &Output,
) -> Result<Texts, CliError> {
    block_on(async {
        let session = Session::open(setting, &fit.connection).await?;
        let texts = scroll(&session, collection, fit.lines, output).await;
        session.close().await;
        texts
    })
}

async fn scroll(
    session: &Session,
    collection: &str,
    by_line: bool,
    output: &Output,
) -> Result<Texts, CliError> {
    let mut texts = Texts::new(CORPUS_BYTES_MAX, by_line);
    let mut progress = output.progress("reading", Unit::Items, None);
    let mut after = String::new();
    let request = wire::GetCollectionRequest { name: collection.to_owned() };
    let found = session.collections().get(session.request(request)).await?.into_inner();
    let filter = filter::of_all_tenants(&found);
    loop {
        let request = wire::ScrollRequest {
            collection: collection.to_owned(),
            filter: filter.clone(),
            after,
            limit: Some(DOCUMENTS_PER_PAGE),
            with_parts: true,
            ..Default::default()
        };
        let page = session.documents().scroll(session.request(request)).await?.into_inner();
        for part in page.documents.iter().flat_map(|document| &document.parts) {
            texts.add(&part.text).map_err(|error| CliError::of(&error))?;
        }
        progress.set(texts.len() as u64, "");
        after = page.next_after;
        if after.is_empty() {
            progress.finish();
            return Ok(texts);
        }
    }
}
