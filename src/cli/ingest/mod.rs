//! `simile ingest`: files to documents.
//!
//! Files are read a batch at a time, compared by hash with what is stored, and the changed ones are
//! sent through one stream whose results come back meanwhile. Every queue is short, so memory stays
//! flat however large the folder is.

mod read;
mod tally;
mod there;
pub(super) mod walk;

use std::collections::HashMap;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use simile_proto::v1::upsert_result::Outcome as ItemOutcome;
use simile_proto::v1::vector_config::Source;
use simile_proto::v1::{self as wire};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

use super::arguments::IngestArguments;
use super::connection::Session;
use super::exit::{CliError, Outcome};
use super::output::{Output, Progress, Unit};
use super::serve::{self, Setting};
use super::value;
use crate::collection::VECTOR_NAME_DEFAULT;
use crate::embed::DEFAULT_IMAGE_MODEL;
use crate::embed::sound::DEFAULT_SOUND_MODEL;
use read::{Reader, STDIN};
use tally::Tally;
use walk::Selection;

/// The vector of pictures in a collection that is made for them.
const IMAGE_VECTOR: &str = "image";
/// How the names of pictures end.
const PICTURES: [&str; 12] =
    ["jpg", "jpeg", "jpe", "jfif", "png", "apng", "webp", "gif", "bmp", "dib", "tif", "tiff"];
/// The vector of sounds in a collection that is made for them.
const SOUND_VECTOR: &str = "sound";
/// How the names of sounds end.
const SOUNDS: [&str; 11] =
    ["wav", "wave", "aif", "aiff", "aifc", "flac", "mp3", "ogg", "oga", "aac", "m4a"];
/// Documents that wait between reading and sending.
const SENDING_MAX: usize = 4;
/// News from the reading side that wait for the bar.
const NEWS_MAX: usize = 256;

/// What the reading side tells the side that counts.
#[derive(Debug)]
enum News {
    /// A document goes to the server.
    Sent { id: String, bytes: u64, is_named: bool },
    /// A file's content is stored already.
    Unchanged { bytes: u64 },
    /// A file could not be read.
    Failed { id: String, bytes: u64, reason: String },
    /// Nothing more is read, because of this error.
    Broken(CliError),
}

pub(super) fn ingest(
    setting: &Setting,
    arguments: &IngestArguments,
    output: &Output,
) -> Result<Outcome, CliError> {
    let selection = Selection::new(
        &arguments.include,
        &arguments.exclude,
        arguments.hidden,
        arguments.relative,
    )?;
    let set = fields(&arguments.set)?;
    serve::block_on(async {
        let session = Session::open(setting, &arguments.connection).await?;
        let outcome = match arguments.there {
            true => there::ingest_there(&session, arguments, set, output).await,
            false => run(&session, arguments, selection, set, output).await,
        };
        session.close().await;
        outcome
    })
}

/// Reads `FIELD=VALUE` pairs.
fn fields(set: &[String]) -> Result<HashMap<String, wire::Value>, CliError> {
    set.iter()
        .map(|text| {
            text.split_once('=')
                .filter(|(name, _)| !name.is_empty())
                .map(|(name, word)| (name.to_owned(), value::from_word(word)))
                .ok_or_else(|| CliError::usage(format!("field `{text}`: expected FIELD=VALUE")))
        })
        .collect()
}

async fn run(
    session: &Session,
    arguments: &IngestArguments,
    selection: Selection,
    set: HashMap<String, wire::Value>,
    output: &Output,
) -> Result<Outcome, CliError> {
    // One for the whole run: a signal that comes before the exchange, or between two of its rounds,
    // must not be lost.
    let stopping = serve::stop_signal();
    let info = session.info().await?;
    let collection = arguments.target.collection.clone();
    let paths = arguments.paths.clone();
    let walked = tokio::task::spawn_blocking(move || selection.walk(&paths));
    let (files, unreadable) = walked
        .await
        .map_err(|error| CliError::local(crate::error::ErrorKind::Internal, error.to_string()))??;
    let stdin = arguments.paths.iter().any(|path| path == STDIN);
    let stdin = stdin.then(|| arguments.stdin_name.clone());
    let names = files.iter().map(|file| file.path.as_path()).chain(stdin.as_deref().map(Path::new));
    ensure_collection(session, &collection, vectors_for(names), output).await?;
    let mut tally = Tally::new(&collection, files.len() as u64);
    for path in unreadable {
        tally.fail(path.name, "NOT_FOUND", path.reason);
    }
    let stop = Arc::new(AtomicBool::new(false));
    let reader = Reader {
        documents: session.documents(),
        collection: collection.clone(),
        message_bytes_max: info.message_bytes_max,
        set,
        sends_all: arguments.all,
        stop: Arc::clone(&stop),
    };
    let total = files.iter().map(|file| file.bytes).sum();
    let first = wire::UpsertRequest {
        collection,
        job: Some(format!("ingest {}", arguments.paths.join(" "))),
        items_total: Some(files.len() as u64 + u64::from(stdin.is_some())),
        ..wire::UpsertRequest::default()
    };
    let (send, sending) = mpsc::channel(SENDING_MAX);
    let (tell, news) = mpsc::channel(NEWS_MAX);
    // The first message names the collection; it cannot wait, the queue is empty.
    drop(send.try_send(first));
    let reading = tokio::spawn(reader.read(files, stdin, send, tell));
    let end_reading = || {
        stop.store(true, Ordering::Relaxed);
        // A pipe that nobody writes to is not waited for; the stream ends with its sender.
        reading.abort();
    };
    let progress = output.progress("reading", Unit::Bytes, Some(total));
    let exchanged = exchange(session, sending, news, stopping, &end_reading, progress, &mut tally);
    let exchanged = exchanged.await;
    end_reading();
    let is_stopped = exchanged?;
    output.answer(|| tally.to_json(is_stopped), || tally.render(is_stopped))?;
    Ok(outcome_of(&tally, is_stopped))
}

fn outcome_of(tally: &Tally, is_stopped: bool) -> Outcome {
    if is_stopped {
        Outcome::Interrupted
    } else if tally.has_failures() {
        Outcome::SomeFailed
    } else {
        Outcome::Done
    }
}

/// Returns the vectors of a collection for these files: one each for texts, pictures and sounds, as far as
/// there are some. None stand for what the server thinks fit.
fn vectors_for<'a>(files: impl Iterator<Item = &'a Path>) -> HashMap<String, wire::VectorConfig> {
    let of = |embedder: &str| wire::VectorConfig {
        source: Some(Source::Embedder(embedder.to_owned())),
        ..Default::default()
    };
    let (mut pictures, mut sounds, mut others) = (false, false, false);
    for file in files {
        let ending = file.extension().map(|ending| ending.to_string_lossy().to_lowercase());
        let ending = ending.unwrap_or_default();
        let is_picture = PICTURES.contains(&ending.as_str());
        let is_sound = SOUNDS.contains(&ending.as_str());
        pictures |= is_picture;
        sounds |= is_sound;
        others |= !is_picture && !is_sound;
    }
    let mut vectors = HashMap::new();
    if pictures {
        vectors.insert(IMAGE_VECTOR.to_owned(), of(DEFAULT_IMAGE_MODEL));
    }
    if sounds {
        vectors.insert(SOUND_VECTOR.to_owned(), of(DEFAULT_SOUND_MODEL));
    }
    if (pictures || sounds) && others {
        // The empty name is the server's default.
        vectors.insert(VECTOR_NAME_DEFAULT.to_owned(), of(""));
    }
    vectors
}

async fn ensure_collection(
    session: &Session,
    name: &str,
    vectors: HashMap<String, wire::VectorConfig>,
    output: &Output,
) -> Result<(), CliError> {
    if session.has_collection(name).await? {
        return Ok(());
    }
    let request =
        wire::CreateCollectionRequest { name: name.to_owned(), vectors, ..Default::default() };
    match session.collections().create(session.request(request)).await {
        Ok(_) => output.note(&format!("created collection `{name}`")),
        // Somebody else was faster, which is as good.
        Err(status) if status.code() == Code::AlreadyExists => {}
        Err(status) => return Err(status.into()),
    }
    Ok(())
}

/// Sends documents and counts their results; returns whether it was stopped by Ctrl-C.
async fn exchange(
    session: &Session,
    sending: mpsc::Receiver<wire::UpsertRequest>,
    mut news: mpsc::Receiver<News>,
    stopping: impl Future<Output = ()> + 'static,
    end_reading: &dyn Fn(),
    mut progress: Progress,
    tally: &mut Tally,
) -> Result<bool, CliError> {
    let began = Instant::now();
    let mut results = session.documents().upsert(ReceiverStream::new(sending)).await?.into_inner();
    let mut waiting: HashMap<String, Waiting> = HashMap::new();
    let mut is_reading = true;
    let mut is_stopped = false;
    let mut stopping: Pin<Box<dyn Future<Output = ()>>> = Box::pin(stopping);
    loop {
        tokio::select! {
            // A result must not overtake the news that its document was sent.
            biased;
            () = &mut stopping => {
                if is_stopped {
                    break;
                }
                is_stopped = true;
                stopping = Box::pin(serve::stop_signal());
                end_reading();
                progress.note("stopping; what was sent is still stored (Ctrl-C again to leave at once)");
            }
            told = news.recv(), if is_reading => match told {
                Some(News::Sent { id, bytes, is_named }) => {
                    waiting.insert(id, Waiting { bytes, is_named });
                }
                Some(News::Unchanged { bytes }) => tally.unchanged(bytes),
                Some(News::Failed { id, bytes, reason }) => {
                    tally.bytes += bytes;
                    tally.fail(id, "INVALID_ARGUMENT", reason);
                }
                Some(News::Broken(error)) => return Err(error),
                None => is_reading = false,
            },
            result = results.message() => match result? {
                Some(result) => count(tally, &mut waiting, result),
                None => break,
            },
        }
        progress.set(tally.bytes, &tally.pace(began.elapsed()));
    }
    progress.finish();
    tally.took = began.elapsed();
    Ok(is_stopped)
}

/// A document whose result has not come yet.
#[derive(Debug, Default)]
struct Waiting {
    bytes: u64,
    is_named: bool,
}

fn count(tally: &mut Tally, waiting: &mut HashMap<String, Waiting>, result: wire::UpsertResult) {
    let sent = waiting.remove(&result.id).unwrap_or_default();
    tally.bytes += sent.bytes;
    match result.outcome {
        Some(ItemOutcome::Stored(stored)) => tally.stored(&result.id, stored),
        Some(ItemOutcome::Unchanged(_)) => tally.unchanged(0),
        // A folder holds all sorts of files; only one that was named itself was meant to be read.
        Some(ItemOutcome::Error(error)) if error.code == "UNIMPLEMENTED" && !sent.is_named => {
            tally.unsupported(result.id, error.message);
        }
        Some(ItemOutcome::Error(error)) => tally.fail(result.id, &error.code, error.message),
        None => tally.fail(result.id, "INTERNAL", "the server sent no outcome".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collection_has_a_vector_for_each_sort_of_file_in_it() {
        let names = |files: &[&str]| {
            let vectors = vectors_for(files.iter().map(Path::new));
            let mut names: Vec<String> = vectors.into_keys().collect();
            names.sort();
            names
        };
        assert_eq!(names(&["a.md", "b"]), [""; 0], "the server decides");
        assert_eq!(names(&["a.JPG", "b/c.png"]), ["image"]);
        assert_eq!(names(&["a.jpg", "notes.txt"]), ["image", "text"]);
        assert_eq!(names(&["a.WAV", "b.mp3"]), ["sound"]);
        assert_eq!(names(&["a.flac", "b.png", "c.md"]), ["image", "sound", "text"]);
        assert_eq!(names(&[]), [""; 0]);
    }
}
