use simile_proto::v1::search_server::Search;
use simile_proto::v1::{self as wire};
use tonic::{Request, Response, Status};

use super::super::core::{Core, Shared};
use super::super::status;
use super::super::translate::{answer_to_wire, search_request};
use crate::cancel::Cancellation;
use crate::query::{Mode, SearchRequest};

/// Asking a collection.
#[derive(Debug)]
pub(in crate::server) struct SearchService(pub(in crate::server) Core);

#[tonic::async_trait]
impl Search for SearchService {
    async fn search(
        &self,
        request: Request<wire::SearchRequest>,
    ) -> Result<Response<wire::SearchResponse>, Status> {
        let (metadata, _, mut message) = request.into_parts();
        let collection = std::mem::take(&mut message.collection);
        let question = search_request(message)?;
        let search = move |shared: &Shared, cancel: &Cancellation| {
            let collection = shared.collection(&collection)?;
            if embeds(&question) {
                shared.want_models(&collection)?;
            }
            let answer = collection.search(&question, cancel);
            answer.map(answer_to_wire).map_err(|error| status::of(&error))
        };
        Ok(Response::new(self.0.answer_with_models(&metadata, search).await?))
    }
}

/// Returns whether the question may have to be embedded.
fn embeds(question: &SearchRequest) -> bool {
    question.text.is_some() && question.mode != Mode::Lexical
}
