//! The program itself as a server, to be killed; and clients that remember what was acknowledged.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use simile_proto::v1::admin_client::AdminClient;
use simile_proto::v1::collections_client::CollectionsClient;
use simile_proto::v1::documents_client::DocumentsClient;
use simile_proto::v1::upsert_result::Outcome;
use simile_proto::v1::{self as wire};
use tonic::transport::Channel;

/// `simile serve` over a data directory, on a free port; killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    url: String,
}

impl Server {
    pub(crate) fn start(data: &Path) -> Self {
        Self::start_as(data, Command::new(program()))
    }

    /// Starts it as `command`, to which the arguments are added.
    pub(crate) fn start_as(data: &Path, mut command: Command) -> Self {
        let cache = data.with_extension("cache");
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--offline", "--log", "info"])
            .arg("--data")
            .arg(data)
            .arg("--cache")
            .arg(cache)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = Vec::new();
        loop {
            let Some(Ok(line)) = log.next() else {
                panic!("the server did not start: {}", said.join("\n"));
            };
            let is_serving = line.contains("serving");
            said.push(line);
            if is_serving {
                break;
            }
        }
        // It must not stop for want of a reader.
        std::thread::spawn(move || log.for_each(drop));
        let note = fs_err::read_to_string(data.join("server.address")).unwrap();
        Self { child, url: note.trim().to_owned() }
    }

    pub(crate) async fn connect(&self) -> Client {
        Client(Channel::from_shared(self.url.clone()).unwrap().connect().await.unwrap())
    }

    /// Ends it as a crash does; returns how it ended.
    pub(crate) fn kill(mut self) -> ExitStatus {
        self.child.kill().unwrap();
        self.child.wait().unwrap()
    }

    /// Returns whether it runs still.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that was killed already is what is wanted.
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

pub(crate) fn program() -> &'static str {
    env!("CARGO_BIN_EXE_simile")
}

/// A connection.
#[derive(Debug, Clone)]
pub(crate) struct Client(Channel);

/// A document whose every part says which version it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Versioned {
    pub(crate) id: String,
    pub(crate) version: i64,
}

impl Versioned {
    fn parts(&self) -> usize {
        1 + usize::try_from(self.version % 3).unwrap()
    }

    fn document(&self) -> wire::Document {
        let version = wire::Value { kind: Some(wire::value::Kind::Integer(self.version)) };
        let part = |part: usize| wire::Part {
            text: format!("version {} of {}, part {part}", self.version, self.id),
            vectors: HashMap::from([("v".to_owned(), self.vector(part))]),
            ..Default::default()
        };
        let parts = (0..self.parts()).map(part).collect();
        wire::Document {
            id: self.id.clone(),
            payload: HashMap::from([("version".to_owned(), version)]),
            content: Some(wire::document::Content::Parts(wire::PartList { parts })),
            ..Default::default()
        }
    }

    fn vector(&self, part: usize) -> wire::DenseVector {
        let number = |value: i64| u16::try_from(value % 10_000).map_or(0.0, f32::from);
        wire::DenseVector { components: vec![1.0, number(self.version), part as f32, 0.5] }
    }

    /// Returns the version of a stored document, if every part of it is of that version.
    fn of(stored: &wire::StoredDocument) -> Option<Self> {
        let Some(wire::value::Kind::Integer(version)) = stored.payload.get("version")?.kind else {
            return None;
        };
        let expected = Self { id: stored.id.clone(), version };
        let Some(wire::document::Content::Parts(parts)) = expected.document().content else {
            return None;
        };
        let is_whole =
            stored.parts.len() == parts.parts.len()
                && stored.parts.iter().zip(&parts.parts).all(|(stored, part)| {
                    stored.text == part.text && stored.vectors == part.vectors
                });
        is_whole.then_some(expected)
    }
}

impl Client {
    pub(crate) async fn create(&self, name: &str) {
        let vector = wire::VectorConfig {
            source: Some(wire::vector_config::Source::Dimension(4)),
            metric: wire::Metric::Euclidean.into(),
            ..Default::default()
        };
        let request = wire::CreateCollectionRequest {
            name: name.to_owned(),
            vectors: HashMap::from([("v".to_owned(), vector)]),
            ..Default::default()
        };
        CollectionsClient::new(self.0.clone()).create(request).await.unwrap();
    }

    /// Stores documents; returns those that were acknowledged, and whether all of them were.
    pub(crate) async fn store(
        &self,
        collection: &str,
        documents: &[Versioned],
    ) -> (Vec<Versioned>, Result<(), String>) {
        let request = |document: &Versioned| wire::UpsertRequest {
            collection: collection.to_owned(),
            document: Some(document.document()),
            ..Default::default()
        };
        let requests: Vec<_> = documents.iter().map(request).collect();
        let mut acknowledged = Vec::new();
        let answer =
            DocumentsClient::new(self.0.clone()).upsert(tokio_stream::iter(requests)).await;
        let mut results = match answer {
            Ok(answer) => answer.into_inner(),
            Err(status) => return (acknowledged, Err(status.to_string())),
        };
        for document in documents {
            match results.message().await {
                Ok(Some(result)) => match result.outcome {
                    Some(Outcome::Stored(_) | Outcome::Unchanged(_)) => {
                        assert_eq!(result.id, document.id);
                        acknowledged.push(document.clone());
                    }
                    Some(Outcome::Error(error)) => return (acknowledged, Err(error.message)),
                    None => return (acknowledged, Err("no outcome".to_owned())),
                },
                Ok(None) => return (acknowledged, Err("the stream ended".to_owned())),
                Err(status) => return (acknowledged, Err(status.to_string())),
            }
        }
        (acknowledged, Ok(()))
    }

    pub(crate) async fn delete(&self, collection: &str, id: &str) -> Result<(), String> {
        let ids = wire::DocumentIds { ids: vec![id.to_owned()] };
        let request = wire::DeleteDocumentsRequest {
            collection: collection.to_owned(),
            selection: Some(wire::delete_documents_request::Selection::Ids(ids)),
            ..Default::default()
        };
        let deleted = DocumentsClient::new(self.0.clone()).delete(request).await;
        deleted.map(drop).map_err(|status| status.to_string())
    }

    /// Returns all documents by id, the value being nothing for one that is torn.
    pub(crate) async fn stored(&self, collection: &str) -> HashMap<String, Option<i64>> {
        let mut stored = HashMap::new();
        let mut after = String::new();
        loop {
            let (page, next) = self.page(collection, &after).await.unwrap();
            stored.extend(page);
            if next.is_empty() {
                return stored;
            }
            after = next;
        }
    }

    /// Returns a page of documents, the version being nothing for one that is torn, and what comes
    /// before the next page.
    pub(crate) async fn page(
        &self,
        collection: &str,
        after: &str,
    ) -> Result<(Vec<(String, Option<i64>)>, String), String> {
        let request = wire::ScrollRequest {
            collection: collection.to_owned(),
            after: after.to_owned(),
            limit: Some(500),
            with_parts: true,
            with_vectors: true,
            ..Default::default()
        };
        let mut client = DocumentsClient::new(self.0.clone()).max_decoding_message_size(64 << 20);
        let page = client.scroll(request).await.map_err(|status| status.to_string())?.into_inner();
        let version = |stored| Versioned::of(stored).map(|versioned| versioned.version);
        let documents = page.documents.iter();
        let documents = documents.map(|stored| (stored.id.clone(), version(stored)));
        Ok((documents.collect(), page.next_after))
    }

    /// Expects that tables and indexes agree.
    pub(crate) async fn verify(&self, collection: &str, story: &str) {
        let request = wire::VerifyRequest { collection: collection.to_owned() };
        let found = AdminClient::new(self.0.clone()).verify(request).await.unwrap().into_inner();
        assert_eq!(found.problems, Vec::<String>::new(), "{story}");
    }

    pub(crate) async fn info(&self, collection: &str) -> wire::Collection {
        let request = wire::GetCollectionRequest { name: collection.to_owned() };
        CollectionsClient::new(self.0.clone()).get(request).await.unwrap().into_inner()
    }
}
