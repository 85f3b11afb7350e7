//! The reading side: files in batches, hashed, compared with what is stored, and sent if they changed.

use std::collections::{HashMap, HashSet};
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use simile_proto::v1::documents_client::DocumentsClient;
use simile_proto::v1::value::Kind;
use simile_proto::v1::{self as wire};
use tokio::sync::mpsc;

use super::super::connection::Connected;
use super::super::exit::CliError;
use super::News;
use super::walk::Found;
use crate::ingest::file_fields;

/// The path that stands for standard input.
pub(super) const STDIN: &str = "-";
/// Files that are compared in one request.
const BATCH_FILES_MAX: usize = 64;
/// Bytes after which a batch is full.
const BATCH_BYTES_MAX: u64 = 16 << 20;
/// What a message takes beside the bytes of its file.
const MESSAGE_OVERHEAD: u64 = 64 << 10;

/// What reading needs.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) documents: DocumentsClient<Connected>,
    pub(super) collection: String,
    pub(super) message_bytes_max: u64,
    pub(super) set: HashMap<String, wire::Value>,
    pub(super) sends_all: bool,
    pub(super) stop: Arc<AtomicBool>,
}

/// A file that was read.
#[derive(Debug)]
struct Content {
    file: Found,
    bytes: Vec<u8>,
    hash: [u8; 32],
    modified: Option<String>,
}

/// Nobody listens any more.
struct Gone;

impl Reader {
    /// Reads and sends until everything is sent, the other side is gone, or it is told to stop.
    pub(super) async fn read(
        self,
        files: Vec<Found>,
        stdin: Option<String>,
        send: mpsc::Sender<wire::UpsertRequest>,
        tell: mpsc::Sender<News>,
    ) {
        let Err(Gone) = self.read_all(files, stdin, &send, &tell).await else { return };
    }

    async fn read_all(
        &self,
        files: Vec<Found>,
        stdin: Option<String>,
        send: &mpsc::Sender<wire::UpsertRequest>,
        tell: &mpsc::Sender<News>,
    ) -> Result<(), Gone> {
        let limit = self.message_bytes_max.saturating_sub(MESSAGE_OVERHEAD);
        if let Some(name) = stdin {
            let file = Found { path: name.clone().into(), id: name, bytes: 0, is_named: true };
            self.batch(vec![file], read_stdin, limit, send, tell).await?;
        }
        for batch in batches(files) {
            self.batch(batch, read_file, limit, send, tell).await?;
        }
        Ok(())
    }

    async fn batch(
        &self,
        files: Vec<Found>,
        read: fn(&Path, u64) -> Result<Vec<u8>, String>,
        limit: u64,
        send: &mpsc::Sender<wire::UpsertRequest>,
        tell: &mpsc::Sender<News>,
    ) -> Result<(), Gone> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(Gone);
        }
        let contents = tokio::task::spawn_blocking(move || read_batch(files, read, limit));
        let (contents, failed) = contents.await.map_err(|_| Gone)?;
        for news in failed {
            tell.send(news).await.map_err(|_| Gone)?;
        }
        let unchanged = match self.unchanged(&contents).await {
            Ok(unchanged) => unchanged,
            Err(error) => {
                drop(tell.send(News::Broken(error)).await);
                return Err(Gone);
            }
        };
        for content in contents {
            if self.stop.load(Ordering::Relaxed) {
                return Err(Gone);
            }
            let bytes = content.file.bytes;
            if unchanged.contains(&content.file.id) {
                tell.send(News::Unchanged { bytes }).await.map_err(|_| Gone)?;
                continue;
            }
            let (id, is_named) = (content.file.id.clone(), content.file.is_named);
            tell.send(News::Sent { id, bytes, is_named }).await.map_err(|_| Gone)?;
            send.send(self.message(content)).await.map_err(|_| Gone)?;
        }
        Ok(())
    }

    async fn unchanged(&self, contents: &[Content]) -> Result<HashSet<String>, CliError> {
        if self.sends_all || contents.is_empty() {
            return Ok(HashSet::new());
        }
        let of = |content: &Content| wire::ContentHash {
            id: content.file.id.clone(),
            blake3: content.hash.to_vec(),
        };
        let request = wire::CompareRequest {
            collection: self.collection.clone(),
            contents: contents.iter().map(of).collect(),
        };
        let answer = self.documents.clone().compare(request).await?;
        Ok(answer.into_inner().unchanged.into_iter().collect())
    }

    fn message(&self, content: Content) -> wire::UpsertRequest {
        let text = |text: String| wire::Value { kind: Some(Kind::Text(text)) };
        let mut payload = self.set.clone();
        let name = content.file.path.file_name().unwrap_or(content.file.path.as_os_str());
        let name = name.to_string_lossy().into_owned();
        for (field, value) in file_fields(&content.file.id, &name, content.modified) {
            payload.entry(field.to_owned()).or_insert_with(|| text(value));
        }
        let file = wire::File { name, bytes: content.bytes, media_type: None };
        let document = wire::Document {
            id: content.file.id,
            payload,
            content: Some(wire::document::Content::File(file)),
            ..Default::default()
        };
        wire::UpsertRequest { document: Some(document), ..Default::default() }
    }
}

/// Cuts the files into batches of a bounded number and, but for a single large file, of bounded size.
fn batches(files: Vec<Found>) -> Vec<Vec<Found>> {
    let mut batches: Vec<Vec<Found>> = Vec::new();
    let mut bytes = 0;
    for file in files {
        bytes += file.bytes;
        match batches.last_mut() {
            Some(batch) if batch.len() < BATCH_FILES_MAX && bytes <= BATCH_BYTES_MAX => {
                batch.push(file);
            }
            _ => {
                bytes = file.bytes;
                batches.push(vec![file]);
            }
        }
    }
    batches
}

fn read_batch(
    files: Vec<Found>,
    read: fn(&Path, u64) -> Result<Vec<u8>, String>,
    limit: u64,
) -> (Vec<Content>, Vec<News>) {
    let mut contents = Vec::with_capacity(files.len());
    let mut failed = Vec::new();
    for file in files {
        match read(&file.path, limit) {
            Ok(bytes) => {
                let hash = *blake3::hash(&bytes).as_bytes();
                let modified = modified(&file.path);
                contents.push(Content { file, bytes, hash, modified });
            }
            Err(reason) => {
                failed.push(News::Failed { id: file.id, bytes: file.bytes, reason });
            }
        }
    }
    (contents, failed)
}

fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>, String> {
    let file = fs_err::File::open(path).map_err(|error| error.to_string())?;
    read_limited(file, limit)
}

fn read_stdin(_: &Path, limit: u64) -> Result<Vec<u8>, String> {
    read_limited(std::io::stdin().lock(), limit)
}

/// A file may grow while it is read, so the limit is on what is read.
fn read_limited(source: impl std::io::Read, limit: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    source.take(limit + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > limit {
        return Err(format!(
            "larger than the server reads: at most {limit} bytes (its setting message_bytes_max)"
        ));
    }
    Ok(bytes)
}

fn modified(path: &Path) -> Option<String> {
    let modified = fs_err::metadata(path).ok()?.modified().ok()?;
    let timestamp = jiff::Timestamp::try_from(modified).ok()?;
    Some(timestamp.round(jiff::Unit::Second).ok()?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(bytes: u64) -> Found {
        Found { path: "a".into(), id: "a".into(), bytes, is_named: false }
    }

    #[test]
    fn batches_are_bounded_in_files_and_bytes() {
        let sizes = |files: Vec<Found>| batches(files).iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(sizes(vec![found(1); 130]), [64, 64, 2]);
        assert_eq!(sizes(vec![found(10 << 20); 3]), [1, 1, 1]);
        assert_eq!(sizes(vec![found(99 << 20), found(1), found(1)]), [1, 2]);
        assert_eq!(sizes(vec![]), Vec::<usize>::new());
    }

    #[test]
    fn a_file_that_is_too_large_is_refused_by_what_was_read() {
        assert_eq!(read_limited(&b"12345"[..], 5), Ok(b"12345".to_vec()));
        assert!(read_limited(&b"123456"[..], 5).unwrap_err().contains("at most 5 bytes"));
    }
}
