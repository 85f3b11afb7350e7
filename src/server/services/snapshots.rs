use std::io::{self, Read as _};
use std::time::Duration;

use simile_proto::v1::snapshots_server::Snapshots;
use simile_proto::v1::{self as wire};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::super::core::{Core, Shared};
use super::super::pool::time_allowed;
use super::super::status;
use super::super::translate::{WireError, snapshot_to_wire};
use crate::cancel::Cancellation;
use crate::collection::{Error, JobHandle, JobKind, Snapshot, SnapshotHeader};

/// How many bytes of a snapshot one message carries.
const BYTES_OF_MESSAGE: usize = 1 << 20;
/// How many messages wait for a slow reader, or for a slow disk.
const MESSAGES_WAITING: usize = 4;
/// How long a client that sends a snapshot may pause.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// How long taking or restoring a snapshot may take if its caller does not say.
pub(in crate::server) const SNAPSHOT_TIME_MAX: Duration = Duration::from_secs(7 * 86_400);

/// Collections as single files.
#[derive(Debug)]
pub(in crate::server) struct SnapshotsService(pub(in crate::server) Core);

#[tonic::async_trait]
impl Snapshots for SnapshotsService {
    type DownloadStream = ReceiverStream<Result<wire::SnapshotBytes, Status>>;

    async fn create(
        &self,
        request: Request<wire::CreateSnapshotRequest>,
    ) -> Result<Response<wire::Snapshot>, Status> {
        let (metadata, _, message) = request.into_parts();
        let deadline = std::time::Instant::now() + time_allowed(&metadata, SNAPSHOT_TIME_MAX);
        let shared = self.0.clone();
        let create = move |cancel: &Cancellation| {
            let name = shared.collection(&message.collection)?.name().to_owned();
            let taken = create_snapshot(&shared, &name, message.name.as_deref(), cancel);
            taken.map(snapshot_to_wire)
        };
        Ok(Response::new(self.0.bulk.answer_by(deadline, create).await?))
    }

    async fn list(
        &self,
        request: Request<wire::ListSnapshotsRequest>,
    ) -> Result<Response<wire::ListSnapshotsResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        let list = self.0.answer(&metadata, move |shared, _| {
            let found = shared.collections.snapshots(message.collection.as_deref());
            let found = found.map_err(|error| status::of(&error))?;
            let snapshots = found.into_iter().map(snapshot_to_wire).collect();
            Ok(wire::ListSnapshotsResponse { snapshots })
        });
        Ok(Response::new(list.await?))
    }

    async fn delete(
        &self,
        request: Request<wire::DeleteSnapshotRequest>,
    ) -> Result<Response<wire::DeleteSnapshotResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        let delete = self.0.answer(&metadata, move |shared, _| {
            let deleted = shared.collections.delete_snapshot(&message.collection, &message.name);
            deleted.map_err(|error| status::of(&error))?;
            Ok(wire::DeleteSnapshotResponse {})
        });
        Ok(Response::new(delete.await?))
    }

    async fn download(
        &self,
        request: Request<wire::DownloadSnapshotRequest>,
    ) -> Result<Response<Self::DownloadStream>, Status> {
        let (metadata, _, message) = request.into_parts();
        let open = self.0.answer(&metadata, move |shared, _| {
            let opened = shared.collections.open_snapshot(&message.collection, &message.name);
            opened.map_err(|error| status::of(&error))
        });
        let file = open.await?;
        let (send, receive) = mpsc::channel(MESSAGES_WAITING);
        tokio::spawn(deliver(self.0.clone(), file, send));
        Ok(Response::new(ReceiverStream::new(receive)))
    }

    async fn restore(
        &self,
        request: Request<Streaming<wire::RestoreSnapshotRequest>>,
    ) -> Result<Response<wire::Snapshot>, Status> {
        let (metadata, _, mut messages) = request.into_parts();
        let deadline = std::time::Instant::now() + time_allowed(&metadata, SNAPSHOT_TIME_MAX);
        let first = tokio::time::timeout(PAUSE_MAX, messages.message()).await;
        let first = first.map_err(|_| paused())??;
        let first = first.ok_or_else(|| Status::invalid_argument("the stream has no message"))?;
        if first.collection.is_empty() {
            return Err(WireError::Missing("the name of the new collection").into());
        }
        let shared = self.0.clone();
        let (send, sent) = mpsc::channel(MESSAGES_WAITING);
        let (name, kept) = (first.collection.clone(), first.snapshot.clone());
        let restore = move |cancel: &Cancellation| {
            let restored =
                as_job(&shared, JobKind::Restore, &name, cancel, |progress, cancel| match kept {
                    Some(wire::SnapshotName { collection, name: kept }) => {
                        let archive = shared.collections.open_snapshot(&collection, &kept)?;
                        let archive = io::BufReader::with_capacity(1 << 20, archive);
                        shared.collections.restore(&name, archive, progress, cancel)
                    }
                    None => {
                        let archive = Sent { sent, message: Vec::new(), at: 0 };
                        shared.collections.restore(&name, archive, progress, cancel)
                    }
                });
            restored.map(|header| restored_to_wire(&name, header))
        };
        let is_kept = first.snapshot.is_some();
        let receive = async {
            let mut next = Some(first);
            while let Some(message) = next.filter(|_| !is_kept) {
                // Who restores says why it does not go on.
                if send.send(message.bytes).await.is_err() {
                    break;
                }
                // What does not come is what the archive misses.
                let coming = tokio::time::timeout(PAUSE_MAX, messages.message()).await;
                next = coming.map_err(|_| paused())??;
            }
            drop(send);
            Ok::<(), Status>(())
        };
        let (restored, received) = tokio::join!(self.0.bulk.answer_by(deadline, restore), receive);
        received?;
        Ok(Response::new(restored?))
    }
}

fn paused() -> Status {
    Status::deadline_exceeded(format!(
        "nothing was sent for {} seconds, and the snapshot was not complete",
        PAUSE_MAX.as_secs()
    ))
}

/// Takes a snapshot of a collection, as a job.
pub(in crate::server) fn create_snapshot(
    shared: &Shared,
    collection: &str,
    name: Option<&str>,
    cancel: &Cancellation,
) -> Result<Snapshot, Status> {
    as_job(shared, JobKind::Snapshot, collection, cancel, |progress, cancel| {
        shared.collections.create_snapshot(collection, name, progress, cancel)
    })
}

/// Runs work as a job that shows how many documents of how many are done.
fn as_job<T>(
    shared: &Shared,
    kind: JobKind,
    collection: &str,
    cancel: &Cancellation,
    work: impl FnOnce(&dyn Fn(u64, u64), &Cancellation) -> Result<T, Error>,
) -> Result<T, Status> {
    let job = shared.jobs.start(kind, collection, "", cancel.clone());
    let result = work(&|done, total| say(&job, done, total), cancel);
    job.end(result.as_ref().map(|_| String::new()).map_err(ToString::to_string));
    result.map_err(|error| status::of(&error))
}

/// Often enough to watch, and seldom enough to cost nothing.
fn say(job: &JobHandle, done: u64, total: u64) {
    if done.is_multiple_of(256) || done == total {
        job.update(|status| {
            status.items_done = done;
            status.items_total = Some(total);
        });
    }
}

fn restored_to_wire(name: &str, header: SnapshotHeader) -> wire::Snapshot {
    wire::Snapshot {
        collection: name.to_owned(),
        sequence: header.sequence,
        created_unix_ms: header.created_unix_ms,
        documents: header.documents,
        parts: header.parts,
        ..wire::Snapshot::default()
    }
}

/// Sends a file, a piece at a time: no thread waits for a slow reader.
async fn deliver(
    core: Core,
    file: fs_err::File,
    send: mpsc::Sender<Result<wire::SnapshotBytes, Status>>,
) {
    let mut file = Some(file);
    while let Some(mut open) = file.take() {
        let read = move || {
            let mut bytes = Vec::new();
            let piece = (&mut open).take(BYTES_OF_MESSAGE as u64).read_to_end(&mut bytes);
            piece.map_err(|error| status::of(&Error::from(error)))?;
            Ok((open, bytes))
        };
        let piece = match core.bulk.run(read).await {
            Ok(reading) => reading.await.unwrap_or_else(|_| Err(stopping())),
            Err(status) => Err(status),
        };
        let message = match piece {
            Ok((_, bytes)) if bytes.is_empty() => return,
            Ok((open, bytes)) => {
                file = Some(open);
                Ok(wire::SnapshotBytes { bytes })
            }
            Err(status) => Err(status),
        };
        // A client that is gone needs no more.
        if send.send(message).await.is_err() {
            return;
        }
    }
}

fn stopping() -> Status {
    Status::unavailable("the server is stopping")
}

/// What a client sends, as it comes.
struct Sent {
    sent: mpsc::Receiver<Vec<u8>>,
    message: Vec<u8>,
    at: usize,
}

impl io::Read for Sent {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.message.len() {
            let Some(next) = self.sent.blocking_recv() else { return Ok(0) };
            (self.message, self.at) = (next, 0);
        }
        let length = buffer.len().min(self.message.len() - self.at);
        buffer[..length].copy_from_slice(&self.message[self.at..self.at + length]);
        self.at += length;
        Ok(length)
    }
}
