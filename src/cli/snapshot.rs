//! `simile snapshot`: collections as single files.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};
use simile_proto::v1::{self as wire};

use super::arguments::Connection;
use super::collection::{bytes, documents};
use super::connection::{Session, with_session};
use super::exit::{CliError, Outcome};
use super::output::{FAINT, Output, STRONG};
use super::serve::Setting;
use crate::error::ErrorKind;

/// How many bytes of a file one message carries.
const BYTES_OF_MESSAGE: usize = 1 << 20;
/// How many messages wait for the server.
const MESSAGES_WAITING: usize = 4;

#[derive(Debug, Subcommand)]
pub(super) enum SnapshotCommand {
    /// Take a snapshot of a collection while it is in use
    #[command(after_help = "Examples:\n  \
        simile snapshot create notes                     kept in the data directory\n  \
        simile snapshot create notes --output notes.tar  into a file, to take elsewhere")]
    Create(CreateArguments),
    /// List the snapshots in the data directory
    List(ListArguments),
    /// Delete a snapshot
    Delete(DeleteArguments),
    /// Make a new collection of a snapshot
    #[command(after_help = "Examples:\n  \
        simile snapshot restore notes.tar --collection notes\n  \
        simile snapshot restore --from notes --name monday --collection notes-before\n\n\
        An archive that was changed or cut is refused as a whole, and nothing of it is kept.")]
    Restore(RestoreArguments),
}

#[derive(Debug, Args)]
pub(super) struct CreateArguments {
    /// The collection
    collection: String,
    /// What to call it [default: the time and the newest mutation]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Write it into this file, and keep nothing in the data directory
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Args)]
pub(super) struct ListArguments {
    /// The collection [default: all]
    collection: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Args)]
pub(super) struct DeleteArguments {
    /// The collection
    collection: String,
    /// The snapshot
    name: String,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Args)]
pub(super) struct RestoreArguments {
    /// The file of a snapshot
    #[arg(value_name = "FILE", required_unless_present = "from", conflicts_with = "from")]
    file: Option<PathBuf>,
    /// The collection of a snapshot in the data directory
    #[arg(long, value_name = "COLLECTION", requires = "name")]
    from: Option<String>,
    /// The name of that snapshot
    #[arg(long, value_name = "NAME", requires = "from")]
    name: Option<String>,
    /// The new collection
    #[arg(long, short, value_name = "NAME")]
    collection: String,
    #[command(flatten)]
    connection: Connection,
}

pub(super) fn run(
    setting: &Setting,
    command: &SnapshotCommand,
    output: &Output,
) -> Result<Outcome, CliError> {
    match command {
        SnapshotCommand::Create(arguments) => create(setting, arguments, output),
        SnapshotCommand::List(arguments) => list(setting, arguments, output),
        SnapshotCommand::Delete(arguments) => delete(setting, arguments, output),
        SnapshotCommand::Restore(arguments) => restore(setting, arguments, output),
    }
}

fn create(
    setting: &Setting,
    arguments: &CreateArguments,
    output: &Output,
) -> Result<Outcome, CliError> {
    with_session(setting, &arguments.connection, async |session| {
        let (collection, name) = (arguments.collection.clone(), arguments.name.clone());
        let request = session.request(wire::CreateSnapshotRequest { collection, name });
        let taken = session.snapshots().create(request).await?.into_inner();
        if let Some(file) = &arguments.output {
            let kept = download(session, &taken, file).await;
            let (collection, name) = (taken.collection.clone(), taken.name.clone());
            let request = session.request(wire::DeleteSnapshotRequest { collection, name });
            session.snapshots().delete(request).await?;
            kept?;
        }
        let place = match &arguments.output {
            Some(file) => file.display().to_string(),
            None => format!("snapshot `{}`", taken.name),
        };
        let held = documents(taken.documents);
        output.answer(
            || to_json(&taken),
            || format!("{place}: {held} of `{}`, {}", taken.collection, bytes(taken.bytes)),
        )?;
        Ok(Outcome::Done)
    })
}

/// Writes a snapshot into a file, which has its name once it is complete.
async fn download(session: &Session, taken: &wire::Snapshot, file: &Path) -> Result<(), CliError> {
    let (collection, name) = (taken.collection.clone(), taken.name.clone());
    let request = session.request(wire::DownloadSnapshotRequest { collection, name });
    let mut pieces = session.snapshots().download(request).await?.into_inner();
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut unfinished = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
    while let Some(piece) = pieces.message().await? {
        unfinished.write_all(&piece.bytes)?;
    }
    unfinished.as_file().sync_all()?;
    unfinished.persist(file).map_err(|error| error.error)?;
    Ok(())
}

fn list(
    setting: &Setting,
    arguments: &ListArguments,
    output: &Output,
) -> Result<Outcome, CliError> {
    with_session(setting, &arguments.connection, async |session| {
        let collection = arguments.collection.clone();
        let request = session.request(wire::ListSnapshotsRequest { collection });
        let snapshots = session.snapshots().list(request).await?.into_inner().snapshots;
        output.answer(
            || json!({ "snapshots": snapshots.iter().map(to_json).collect::<Vec<_>>() }),
            || {
                if snapshots.is_empty() {
                    return "no snapshots; `simile snapshot create COLLECTION` takes one"
                        .to_owned();
                }
                let mut text = String::new();
                for one in &snapshots {
                    drop(writeln!(
                        text,
                        "{STRONG}{}{STRONG:#}  of {}, {}, {}  {FAINT}mutation {}{FAINT:#}",
                        one.name,
                        one.collection,
                        documents(one.documents),
                        bytes(one.bytes),
                        one.sequence,
                    ));
                }
                text
            },
        )?;
        Ok(Outcome::Done)
    })
}

fn delete(
    setting: &Setting,
    arguments: &DeleteArguments,
    output: &Output,
) -> Result<Outcome, CliError> {
    with_session(setting, &arguments.connection, async |session| {
        let (collection, name) = (arguments.collection.clone(), arguments.name.clone());
        let request = wire::DeleteSnapshotRequest { collection, name: name.clone() };
        session.snapshots().delete(session.request(request)).await?;
        output.answer(|| json!({ "deleted": name }), || format!("deleted snapshot `{name}`"))?;
        Ok(Outcome::Done)
    })
}

fn restore(
    setting: &Setting,
    arguments: &RestoreArguments,
    output: &Output,
) -> Result<Outcome, CliError> {
    with_session(setting, &arguments.connection, async |session| {
        let snapshot = match (&arguments.from, &arguments.name) {
            (Some(collection), Some(name)) => {
                let (collection, name) = (collection.clone(), name.clone());
                Some(wire::SnapshotName { collection, name })
            }
            _ => None,
        };
        let file = arguments.file.as_ref().map(fs_err::File::open).transpose();
        let file = file.map_err(|error| CliError::local(ErrorKind::NotFound, error.to_string()))?;
        let collection = arguments.collection.clone();
        let first = wire::RestoreSnapshotRequest { collection, snapshot, bytes: Vec::new() };
        let (send, receive) = tokio::sync::mpsc::channel(MESSAGES_WAITING);
        let reading = tokio::task::spawn_blocking(move || -> std::io::Result<()> {
            // The server that has enough says why.
            if send.blocking_send(first).is_err() {
                return Ok(());
            }
            let Some(mut file) = file else { return Ok(()) };
            loop {
                let mut bytes = Vec::new();
                (&mut file).take(BYTES_OF_MESSAGE as u64).read_to_end(&mut bytes)?;
                let next = wire::RestoreSnapshotRequest { bytes, ..Default::default() };
                if next.bytes.is_empty() || send.blocking_send(next).is_err() {
                    return Ok(());
                }
            }
        });
        let stream = tokio_stream::wrappers::ReceiverStream::new(receive);
        let restored = session.snapshots().restore(session.request(stream)).await;
        if let Ok(Err(error)) = reading.await {
            return Err(error.into());
        }
        let restored = restored?.into_inner();
        let held = documents(restored.documents);
        output.answer(
            || to_json(&restored),
            || format!("collection `{}` has {held} again", restored.collection),
        )?;
        Ok(Outcome::Done)
    })
}

fn to_json(snapshot: &wire::Snapshot) -> Json {
    json!({
        "name": snapshot.name,
        "collection": snapshot.collection,
        "bytes": snapshot.bytes,
        "sequence": snapshot.sequence,
        "created_unix_ms": snapshot.created_unix_ms,
        "documents": snapshot.documents,
        "parts": snapshot.parts,
    })
}
