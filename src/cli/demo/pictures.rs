//! The second half of the demo: pictures that simile draws itself, found by a picture.

use std::collections::HashMap;

use serde_json::Value as Json;
use simile_proto::v1::document::Content;
use simile_proto::v1::vector_config::Source;
use simile_proto::v1::{self as wire};

use super::super::connection::Session;
use super::super::exit::CliError;
use super::super::output::{Output, STRONG, TITLE};
use super::super::pictures::Thumbnails;
use super::super::{search, value};
use super::scenes::{Drawing, drawings, question};
use super::{create, store};
use crate::embed::DEFAULT_IMAGE_MODEL;

/// The collection of the pictures.
const COLLECTION: &str = "demo-pictures";
/// How many hits are shown.
const HITS_SHOWN: u32 = 5;

/// What was asked, and what came back.
pub(super) struct Asked {
    kind: &'static str,
    answer: wire::SearchResponse,
}

/// Stores the pictures, and asks with one that is not among them.
pub(super) async fn ask(session: &Session, output: &Output) -> Result<Asked, CliError> {
    let source = Some(Source::Embedder(DEFAULT_IMAGE_MODEL.to_owned()));
    let vector = wire::VectorConfig { source, ..Default::default() };
    create(session, COLLECTION, HashMap::from([("image".to_owned(), vector)])).await?;
    let documents = drawings().into_iter().map(document).collect::<Result<_, CliError>>()?;
    let stored = store(session, COLLECTION, documents, output).await?;
    output.note(&stored);
    let (kind, image) = question();
    let request = wire::SearchRequest {
        collection: COLLECTION.into(),
        image: Some(image),
        limit: Some(HITS_SHOWN),
        ..Default::default()
    };
    let answer = session.search().search(session.request(request)).await?.into_inner();
    Ok(Asked { kind, answer })
}

fn document(drawing: Drawing) -> Result<wire::Document, CliError> {
    let Drawing { name, kind, bytes } = drawing;
    let payload = HashMap::from([("shows".to_owned(), value::to_wire(&Json::from(kind))?)]);
    let file = wire::File { name: name.clone(), bytes, media_type: None };
    let content = Some(Content::File(file));
    Ok(wire::Document { id: name, payload, content, ..Default::default() })
}

impl Asked {
    /// Returns the question and its answer for a person.
    pub(super) fn render(&self) -> String {
        format!(
            "\n{TITLE}By a picture: among {} drawings, those that look like one that is not stored{TITLE:#}\n\
             {STRONG}? (a picture: another {}){STRONG:#}\n{}",
            drawings().len(),
            self.kind,
            search::render(&self.answer, false, &Thumbnails::new())
        )
    }

    /// Returns the question and its answer for a script.
    pub(super) fn to_json(&self) -> Json {
        serde_json::json!({ "shows": self.kind, "answer": search::to_json(&self.answer) })
    }
}
