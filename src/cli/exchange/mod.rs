//! `simile export` and `simile import`: collections as lines of JSON, with their vectors.
//!
//! Both are streams with short queues, so that memory stays flat however large the collection is.

mod line;

use std::io::{BufRead, Write};
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value as Json, json};
use simile_proto::v1::upsert_result::Outcome as ItemOutcome;
use simile_proto::v1::{self as wire};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

use super::arguments::{Connection, Target};
use super::collection::{bytes, documents};
use super::connection::{Session, with_session};
use super::exit::{CliError, Outcome};
use super::filter;
use super::output::{Output, Unit};
use super::serve::Setting;
use crate::error::ErrorKind;
use line::{Heading, document, document_line};

/// Documents of a page, and the fewest, where they are large.
const PAGE: (u32, u32) = (256, 1);
/// Documents that wait between reading and sending.
const SENDING_MAX: usize = 64;
/// The longest line: a document with its vectors, in JSON.
const LINE_BYTES_MAX: u64 = 512 << 20;
/// How many failures are named.
const FAILURES_MAX: usize = 20;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    simile export notes notes.jsonl\n  \
    simile export notes - --filter 'year>=2020' | gzip > notes.jsonl.gz\n\n\
    One line of JSON for each document with its texts, fields and vectors; the first line says what \
    the\ncollection is like. Documents that change meanwhile are exported as they were or as they are: \
    for one\nmoment, take a snapshot.")]
pub(super) struct ExportArguments {
    /// The collection
    collection: String,
    /// The file, or - for standard output
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Only documents of which this holds (may be repeated; all have to hold)
    #[arg(long, short, value_name = "FILTER")]
    filter: Vec<String>,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    simile import notes.jsonl --collection copy\n  \
    gunzip -c notes.jsonl.gz | simile import - --collection copy\n\n\
    A line is a document: {\"id\": \"a\", \"payload\": {\"year\": 2024}, \"text\": \"...\"}, or with \
    `vectors`:\n{\"v\": [0.1, 0.2]} dense, {\"s\": {\"indices\": [3], \"values\": [1.0]}} sparse, \
    {\"m\": [[0.1], [0.2]]} several;\nor with `parts`, a list of such. A collection that is not there \
    is made as the first line of an export\nsays. Vectors that an embedder made are taken if the \
    collection has the same one. The same line again\nchanges nothing, so that the same command goes on \
    where it stopped.")]
pub(super) struct ImportArguments {
    /// The file, or - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    connection: Connection,
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
        let is_out = arguments.file.as_os_str() == "-";
        let folder = arguments.file.parent().filter(|folder| !folder.as_os_str().is_empty());
        let mut unfinished = None;
        let mut out: Box<dyn Write> = if is_out {
            Box::new(std::io::BufWriter::new(std::io::stdout()))
        } else {
            let file = tempfile::NamedTempFile::new_in(folder.unwrap_or(".".as_ref()))?;
            let out = std::io::BufWriter::with_capacity(1 << 20, file.reopen()?);
            unfinished = Some(file);
            Box::new(out)
        };
        write_line(&mut out, &Heading::of(&collection).to_json())?;
        let total = filter.is_none().then_some(collection.documents);
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
                write_line(&mut out, &document_line(document))?;
            }
            exported += page.documents.len() as u64;
            progress.set(exported, "");
            after = page.next_after;
            if after.is_empty() {
                break;
            }
        }
        out.flush()?;
        drop(out);
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

fn write_line(out: &mut dyn Write, line: &Json) -> Result<(), CliError> {
    serde_json::to_writer(&mut *out, line).map_err(std::io::Error::from)?;
    Ok(out.write_all(b"\n")?)
}

/// Lines one after another, with their numbers.
struct Lines<R> {
    input: R,
    number: u64,
    bytes: u64,
}

impl<R: BufRead> Lines<R> {
    /// Returns the next line that is not empty, as JSON.
    fn next(&mut self) -> Result<Option<Json>, CliError> {
        loop {
            let mut line = Vec::new();
            let mut input = std::io::Read::take(&mut self.input, LINE_BYTES_MAX + 1);
            let read = input.read_until(b'\n', &mut line)?;
            if read == 0 {
                return Ok(None);
            }
            (self.number, self.bytes) = (self.number + 1, self.bytes + read as u64);
            if read as u64 > LINE_BYTES_MAX {
                return Err(self.wrong(&format!("a line has at most {LINE_BYTES_MAX} bytes")));
            }
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            return match serde_json::from_slice(&line) {
                Ok(line) => Ok(Some(line)),
                Err(error) => Err(self.wrong(&error.to_string())),
            };
        }
    }

    fn wrong(&self, reason: &str) -> CliError {
        CliError::usage(format!("line {}: {reason}", self.number))
    }
}

pub(super) fn import(
    setting: &Setting,
    arguments: &ImportArguments,
    output: &Output,
) -> Result<Outcome, CliError> {
    let (input, total): (Box<dyn BufRead + Send>, _) = if arguments.file.as_os_str() == "-" {
        (Box::new(std::io::BufReader::new(std::io::stdin())), None)
    } else {
        let file = fs_err::File::open(&arguments.file)
            .map_err(|error| CliError::local(ErrorKind::NotFound, error.to_string()))?;
        let size = file.metadata()?.len();
        (Box::new(std::io::BufReader::with_capacity(1 << 20, file)), Some(size))
    };
    let lines = std::sync::Mutex::new(Some(Lines { input, number: 0, bytes: 0 }));
    with_session(setting, &arguments.connection, async |session| {
        let taken = lines.lock().ok().and_then(|mut lines| lines.take());
        let Some(mut lines) = taken else { return Ok(Outcome::Done) };
        let name = arguments.target.collection.clone();
        let first = lines.next()?;
        let heading = first.as_ref().map(Heading::from_json).transpose();
        let heading = heading.map_err(|reason| lines.wrong(&reason))?.flatten();
        ensure_collection(session, &name, heading.as_ref(), output).await?;
        let fingerprints =
            heading.as_ref().map(|heading| heading.fingerprints.clone()).unwrap_or_default();
        let begin = wire::UpsertRequest {
            collection: name.clone(),
            job: Some(format!("import {}", arguments.file.display())),
            fingerprints,
            ..wire::UpsertRequest::default()
        };
        let (send, sending) = mpsc::channel(SENDING_MAX);
        let (tell, mut told) = mpsc::unbounded_channel();
        let reading = tokio::task::spawn_blocking(move || -> Result<(), CliError> {
            let mut next = first.filter(|_| heading.is_none());
            // The server that has enough says why.
            if send.blocking_send(begin).is_err() {
                return Ok(());
            }
            loop {
                let line = match next.take() {
                    Some(line) => line,
                    None => match lines.next()? {
                        Some(line) => line,
                        None => return Ok(()),
                    },
                };
                let document = document(&line).map_err(|reason| lines.wrong(&reason))?;
                // Nobody counts any more when the other side is gone.
                drop(tell.send(lines.bytes));
                let message =
                    wire::UpsertRequest { document: Some(document), ..Default::default() };
                if send.blocking_send(message).is_err() {
                    return Ok(());
                }
            }
        });
        let mut progress = output.progress("importing", Unit::Bytes, total);
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
