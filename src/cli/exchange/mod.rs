//! `simile export` and `simile import`: collections as lines of JSON or as tables of Parquet, with their
//! vectors.
//!
//! Both are streams with short queues, so that memory stays flat however large the collection is.

mod jsonl;
mod line;
mod parquet;

use std::io::{Read as _, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use clap::{Args, ValueEnum};
use serde_json::{Value as Json, json};
use simile_proto::v1::upsert_result::Outcome as ItemOutcome;
use simile_proto::v1::{self as wire};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

use self::jsonl::{Lines, Writing};
use self::parquet::{Columns, MAGIC, Rows, Table};
use super::arguments::{Connection, Target};
use super::collection::{bytes, documents};
use super::connection::{Session, with_session};
use super::exit::{CliError, Outcome};
use super::filter;
use super::output::{Output, Unit};
use super::serve::Setting;
use crate::error::ErrorKind;
use line::Heading;

/// Documents of a page, and the fewest, where they are large.
const PAGE: (u32, u32) = (256, 1);
/// Documents that wait between reading and sending.
const SENDING_MAX: usize = 64;
/// How many failures are named.
const FAILURES_MAX: usize = 20;

/// What a file is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A line of JSON for each document
    Jsonl,
    /// A table with a column for each vector, for pyarrow, pandas, polars and DuckDB
    Parquet,
}

impl Format {
    /// Returns the format that was asked for, or that the name of the file says.
    fn of(asked: Option<Self>, file: &Path) -> Self {
        let ending = file.extension().unwrap_or_default().to_ascii_lowercase();
        let is_table = ["parquet", "pq"].iter().any(|known| ending == *known);
        asked.unwrap_or(if is_table { Self::Parquet } else { Self::Jsonl })
    }

    /// As [`Self::of`] for a file that is there, which may say it itself.
    fn of_file(asked: Option<Self>, file: &Path) -> Self {
        let mut begin = [0; MAGIC.len()];
        let mut opened = fs_err::File::open(file);
        let is_read = opened.as_mut().is_ok_and(|file| file.read_exact(&mut begin).is_ok());
        let is_table = is_read && begin == *MAGIC;
        Self::of(asked.or(is_table.then_some(Self::Parquet)), file)
    }
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    simile export notes notes.jsonl\n  \
    simile export notes notes.parquet\n  \
    simile export notes - --filter 'year>=2020' | gzip > notes.jsonl.gz\n\n\
    One line of JSON for each document with its texts, fields and vectors; the first line says what \
    the\ncollection is like. As Parquet: a row for each passage, with the columns id, part, text, span, \
    payload\n(JSON) and vector_NAME, a list of floats. Documents that change meanwhile are exported as \
    they were or as\nthey are: for one moment, take a snapshot.")]
pub(super) struct ExportArguments {
    /// The collection
    collection: String,
    /// The file, or - for standard output
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Only documents of which this holds (may be repeated; all have to hold)
    #[arg(long, short, value_name = "FILTER")]
    filter: Vec<String>,
    /// What the file is like [default: by its name; jsonl for any other than .parquet]
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    simile import notes.jsonl --collection copy\n  \
    gunzip -c notes.jsonl.gz | simile import - --collection copy\n  \
    simile import notes.parquet --collection copy\n  \
    simile import films.parquet -c films --id-column imdb --vector-column plot=embedding\n\n\
    A line is a document: {\"id\": \"a\", \"payload\": {\"year\": 2024}, \"text\": \"...\"}, or with \
    `vectors`:\n{\"v\": [0.1, 0.2]} dense, {\"s\": {\"indices\": [3], \"values\": [1.0]}} sparse, \
    {\"m\": [[0.1], [0.2]]} several;\nor with `parts`, a list of such. A collection that is not there \
    is made as the first line of an export\nsays. Vectors that an embedder made are taken if the \
    collection has the same one. The same line again\nchanges nothing, so that the same command goes on \
    where it stopped.\n\n\
    A row of a Parquet table is a document with the id in `id`, a text or an integer, the text in \
    `text`, and\nthe vector NAME in `vector_NAME` or `NAME`; with one vector in the collection, `vector` \
    and `embedding` will\ndo. Every other column becomes a field; what is missing or no number becomes \
    none.")]
pub(super) struct ImportArguments {
    /// The file, or - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    target: Target,
    /// What the file is like [default: by its name; jsonl for any other than .parquet]
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    /// The column of a table that identifies documents [default: id]
    #[arg(long, value_name = "COLUMN")]
    id_column: Option<String>,
    /// The column of a table that has the texts [default: text]
    #[arg(long, value_name = "COLUMN")]
    text_column: Option<String>,
    /// The column of a table that has a vector (may be repeated)
    #[arg(long, value_name = "VECTOR=COLUMN")]
    vector_column: Vec<String>,
    #[command(flatten)]
    connection: Connection,
}

/// Where documents go.
enum Sink {
    Lines(Writing),
    Table(Box<Table>),
}

impl Sink {
    fn take(&mut self, document: &wire::StoredDocument) -> Result<(), CliError> {
        match self {
            Self::Lines(lines) => lines.take(document),
            Self::Table(table) => table.take(document),
        }
    }

    fn finish(self) -> Result<(), CliError> {
        match self {
            Self::Lines(lines) => lines.finish(),
            Self::Table(table) => table.finish(),
        }
    }
}

/// Where documents come from.
enum Source {
    Lines(Box<Lines>),
    Rows(Box<Rows>),
}

impl Source {
    fn next(&mut self) -> Result<Option<wire::Document>, CliError> {
        match self {
            Self::Lines(lines) => lines.next(),
            Self::Rows(rows) => rows.next(),
        }
    }

    fn heading(&self) -> Option<&Heading> {
        match self {
            Self::Lines(lines) => lines.heading(),
            Self::Rows(rows) => rows.heading(),
        }
    }

    /// Returns how much is read, in the unit of its progress.
    fn done(&self) -> u64 {
        match self {
            Self::Lines(lines) => lines.bytes(),
            Self::Rows(rows) => rows.done(),
        }
    }

    fn unit(&self) -> Unit {
        match self {
            Self::Lines(_) => Unit::Bytes,
            Self::Rows(_) => Unit::Items,
        }
    }
}

pub(super) fn export(
    setting: &Setting,
    arguments: &ExportArguments,
    output: &Output,
) -> Result<Outcome, CliError> {
    let filter = filter::parse_all(&arguments.filter)?;
    with_session(setting, &arguments.connection, async |session| {
        let name = arguments.collection.clone();
        let request = session.request(wire::GetCollectionRequest { name: name.clone() });
        let collection = session.collections().get(request).await?.into_inner();
        // Of a collection with tenants, those of all have to be asked for.
        let filter = filter.clone().or_else(|| filter::of_all_tenants(&collection));
        let is_out = arguments.file.as_os_str() == "-";
        let folder = arguments.file.parent().filter(|folder| !folder.as_os_str().is_empty());
        let mut unfinished = None;
        let out: Box<dyn Write + Send> = if is_out {
            Box::new(std::io::BufWriter::new(std::io::stdout()))
        } else {
            let file = tempfile::NamedTempFile::new_in(folder.unwrap_or(".".as_ref()))?;
            let out = std::io::BufWriter::with_capacity(1 << 20, file.reopen()?);
            unfinished = Some(file);
            Box::new(out)
        };
        let heading = Heading::of(&collection);
        let mut sink = match Format::of(arguments.format, &arguments.file) {
            Format::Jsonl => Sink::Lines(Writing::new(out, &heading)?),
            Format::Parquet => Sink::Table(Box::new(Table::new(out, &heading, &collection)?)),
        };
        let total = arguments.filter.is_empty().then_some(collection.documents);
        let mut progress = output.progress("exporting", Unit::Items, total);
        let (mut after, mut limit, mut exported) = (String::new(), PAGE.0, 0);
        loop {
            let request = session.request(wire::ScrollRequest {
                collection: name.clone(),
                filter: filter.clone(),
                after: after.clone(),
                limit: Some(limit),
                with_parts: true,
                with_vectors: true,
                ..wire::ScrollRequest::default()
            });
            let page = match session.documents().scroll(request).await {
                // More than one message may hold.
                Err(status) if status.code() == Code::OutOfRange && limit > PAGE.1 => {
                    limit = (limit / 4).max(PAGE.1);
                    continue;
                }
                page => page?.into_inner(),
            };
            for document in &page.documents {
                sink.take(document)?;
            }
            exported += page.documents.len() as u64;
            progress.set(exported, "");
            after = page.next_after;
            if after.is_empty() {
                break;
            }
        }
        sink.finish()?;
        progress.finish();
        if let Some(file) = unfinished {
            file.as_file().sync_all()?;
            let size = file.as_file().metadata()?.len();
            file.persist(&arguments.file).map_err(|error| error.error)?;
            let shown = arguments.file.display();
            output.answer(
                || json!({ "documents": exported, "bytes": size, "file": shown.to_string() }),
                || format!("{shown}: {} of `{name}`, {}", documents(exported), bytes(size)),
            )?;
        }
        Ok(Outcome::Done)
    })
}

pub(super) fn import(
    setting: &Setting,
    arguments: &ImportArguments,
    output: &Output,
) -> Result<Outcome, CliError> {
    let is_in = arguments.file.as_os_str() == "-";
    let columns = columns(arguments)?;
    let format = match is_in {
        true => Format::of(arguments.format, &arguments.file),
        false => Format::of_file(arguments.format, &arguments.file),
    };
    let (source, total) = match format {
        Format::Parquet if is_in => {
            let reason = "a table is read from its end, and so not from standard input";
            return Err(CliError::usage(format!("{reason}: name a file")));
        }
        Format::Parquet => {
            let rows = Rows::open(&arguments.file)?;
            let total = Some(rows.total());
            (Source::Rows(Box::new(rows)), total)
        }
        Format::Jsonl => {
            let (lines, total) = Lines::open((!is_in).then_some(&arguments.file))?;
            (Source::Lines(Box::new(lines)), total)
        }
    };
    let source = Mutex::new(Some(source));
    with_session(setting, &arguments.connection, async |session| {
        let taken = source.lock().ok().and_then(|mut source| source.take());
        let Some(mut source) = taken else { return Ok(Outcome::Done) };
        let name = arguments.target.collection.clone();
        ensure_collection(session, &name, source.heading(), output).await?;
        if let Source::Rows(rows) = &mut source {
            let request = session.request(wire::GetCollectionRequest { name: name.clone() });
            let collection = session.collections().get(request).await?.into_inner();
            rows.plan(&columns, &collection)?;
        }
        let fingerprints =
            source.heading().map(|heading| heading.fingerprints.clone()).unwrap_or_default();
        let begin = wire::UpsertRequest {
            collection: name.clone(),
            job: Some(format!("import {}", arguments.file.display())),
            fingerprints,
            ..wire::UpsertRequest::default()
        };
        let mut progress = output.progress("importing", source.unit(), total);
        let (send, sending) = mpsc::channel(SENDING_MAX);
        let (tell, mut told) = mpsc::unbounded_channel();
        let reading = tokio::task::spawn_blocking(move || -> Result<(), CliError> {
            // The server that has enough says why.
            if send.blocking_send(begin).is_err() {
                return Ok(());
            }
            while let Some(document) = source.next()? {
                // Nobody counts any more when the other side is gone.
                drop(tell.send(source.done()));
                let message =
                    wire::UpsertRequest { document: Some(document), ..Default::default() };
                if send.blocking_send(message).is_err() {
                    return Ok(());
                }
            }
            Ok(())
        });
        let mut tally = Tally::default();
        let mut client = session.documents();
        let mut results = client.upsert(ReceiverStream::new(sending)).await?.into_inner();
        while let Some(result) = results.message().await? {
            tally.count(result);
            while let Ok(read) = told.try_recv() {
                progress.set(read, &documents(tally.stored));
            }
        }
        progress.finish();
        let broken = reading.await.ok().and_then(Result::err);
        output.answer(|| tally.to_json(&name), || tally.render(&name))?;
        if let Some(error) = broken {
            return Err(error);
        }
        Ok(if tally.failed == 0 { Outcome::Done } else { Outcome::SomeFailed })
    })
}

/// What became of the documents.
#[derive(Debug, Default)]
struct Tally {
    stored: u64,
    unchanged: u64,
    failed: u64,
    failures: Vec<String>,
}

impl Tally {
    fn count(&mut self, result: wire::UpsertResult) {
        match result.outcome {
            Some(ItemOutcome::Stored(_)) => self.stored += 1,
            Some(ItemOutcome::Unchanged(_)) => self.unchanged += 1,
            Some(ItemOutcome::Error(error)) => self.fail(&result.id, &error.message),
            None => self.fail(&result.id, "the server sent no outcome"),
        }
    }

    fn fail(&mut self, id: &str, reason: &str) {
        self.failed += 1;
        if self.failures.len() < FAILURES_MAX {
            self.failures.push(format!("{id}: {reason}"));
        }
    }

    fn to_json(&self, name: &str) -> Json {
        json!({
            "collection": name,
            "stored": self.stored,
            "unchanged": self.unchanged,
            "failed": self.failed,
            "failures": self.failures,
        })
    }

    fn render(&self, name: &str) -> String {
        let mut text = format!(
            "collection `{name}`: {} stored, {} unchanged, {} failed",
            documents(self.stored),
            self.unchanged,
            self.failed
        );
        for failure in &self.failures {
            text.push_str("\n  ");
            text.push_str(failure);
        }
        text
    }
}

/// Reads which columns mean what.
fn columns(arguments: &ImportArguments) -> Result<Columns, CliError> {
    let (id, text) = (arguments.id_column.clone(), arguments.text_column.clone());
    let vectors = arguments.vector_column.iter().map(|text| {
        let named =
            text.split_once('=').filter(|(name, column)| !name.is_empty() && !column.is_empty());
        let (name, column) = named.ok_or_else(|| {
            CliError::usage(format!("vector column `{text}`: expected VECTOR=COLUMN"))
        })?;
        Ok((name.to_owned(), column.to_owned()))
    });
    Ok(Columns { id, text, vectors: vectors.collect::<Result<_, CliError>>()? })
}

async fn ensure_collection(
    session: &Session,
    name: &str,
    heading: Option<&Heading>,
    output: &Output,
) -> Result<(), CliError> {
    if session.has_collection(name).await? {
        return Ok(());
    }
    let Some(heading) = heading else {
        let message = format!(
            "there is no collection `{name}`, and the file does not say what it is like: create it first"
        );
        return Err(CliError::local(ErrorKind::NotFound, message));
    };
    let request = session.request(heading.create(name));
    session.collections().create(request).await?;
    output.note(&format!("created collection `{name}`"));
    Ok(())
}
