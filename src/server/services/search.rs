use simile_proto::v1::search_server::Search;
use simile_proto::v1::{self as wire};
use tonic::{Request, Response, Status};

use super::super::core::{Core, Shared};
use super::super::status;
use super::super::translate::{
    WireError, answer_to_wire, at_most, batch_result_to_wire, document_id, explanation_to_wire,
    optional_filter, search_request,
};
use super::rerank::Rerank;
use crate::cancel::Cancellation;
use crate::collection::{LocateRequest, Located, LocatedMoment};
use crate::query::{BATCH_MAX, Example, LIMIT_DEFAULT, LIMIT_MAX, Mode, Recommend, SearchRequest};

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
        let rerank = Rerank::take(&mut message)?;
        let question = search_request(message)?;
        let search = move |shared: &Shared, cancel: &Cancellation| {
            let collection = shared.collection(&collection)?;
            if embeds(&question) {
                shared.want_models(&collection)?;
            }
            let answer = match &rerank {
                Some(rerank) => rerank.search(shared, &collection, &question, cancel)?,
                None => collection.search(&question, cancel).map_err(|error| status::of(&error))?,
            };
            shared.note_stages(&collection, &answer.timings);
            Ok(answer_to_wire(answer))
        };
        Ok(Response::new(self.0.answer_with_models(&metadata, search).await?))
    }

    async fn search_batch(
        &self,
        request: Request<wire::SearchBatchRequest>,
    ) -> Result<Response<wire::SearchBatchResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        if message.searches.is_empty() {
            return Err(WireError::Missing("the searches of the batch"))?;
        }
        at_most("searches", message.searches.len(), BATCH_MAX)?;
        let name = message.collection;
        let read = |search: wire::SearchRequest| {
            if !search.collection.is_empty() && search.collection != name {
                let message = format!(
                    "a batch asks one collection: it names `{name}`, and this search `{}`",
                    search.collection
                );
                return Err(Status::invalid_argument(message));
            }
            if search.rerank.is_some() {
                let message = "the hits of a batch are not read again: ask such a search alone";
                return Err(Status::invalid_argument(message));
            }
            search_request(search).map_err(Status::from)
        };
        let questions: Vec<Result<SearchRequest, Status>> =
            message.searches.into_iter().map(read).collect();
        let search = move |shared: &Shared, cancel: &Cancellation| {
            let collection = shared.collection(&name)?;
            let good: Vec<&SearchRequest> = questions.iter().flatten().collect();
            if good.iter().copied().any(embeds) {
                shared.want_models(&collection)?;
            }
            let mut answers = collection.search_all(&good, cancel).into_iter();
            cancel.check().map_err(status::interrupted)?;
            let results = questions.iter().filter_map(|question| match question {
                Ok(_) => {
                    let answer = answers.next()?.map_err(|error| status::of(&error));
                    if let Ok(answer) = &answer {
                        shared.note_stages(&collection, &answer.timings);
                    }
                    Some(batch_result_to_wire(answer))
                }
                Err(refused) => Some(batch_result_to_wire(Err(refused.clone()))),
            });
            Ok(wire::SearchBatchResponse { results: results.collect() })
        };
        Ok(Response::new(self.0.answer_with_models(&metadata, search).await?))
    }

    async fn explain(
        &self,
        request: Request<wire::ExplainRequest>,
    ) -> Result<Response<wire::ExplainResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        let mut search = message.search.ok_or(WireError::Missing("the search to explain"))?;
        let collection = std::mem::take(&mut search.collection);
        let (question, id) = (search_request(search)?, document_id(message.id)?);
        let explain = move |shared: &Shared, cancel: &Cancellation| {
            let collection = shared.collection(&collection)?;
            if embeds(&question) {
                shared.want_models(&collection)?;
            }
            let explanation = collection.explain(&question, &id, cancel);
            explanation.map(explanation_to_wire).map_err(|error| status::of(&error))
        };
        Ok(Response::new(self.0.answer_with_models(&metadata, explain).await?))
    }

    async fn locate(
        &self,
        request: Request<wire::LocateRequest>,
    ) -> Result<Response<wire::LocateResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        let limit = message.limit.map_or(LIMIT_DEFAULT, |limit| limit as usize);
        if !(1..=LIMIT_MAX).contains(&limit) {
            let message = format!("limit is {limit}, expected 1 to {LIMIT_MAX}");
            return Err(Status::invalid_argument(message));
        }
        if message.excerpt.is_empty() {
            return Err(WireError::Missing("the excerpt"))?;
        }
        let name = message.collection;
        let question = LocateRequest {
            bytes: message.excerpt,
            using: message.using,
            filter: optional_filter(message.filter)?,
            limit,
        };
        let locate = move |shared: &Shared, cancel: &Cancellation| {
            let collection = shared.collection(&name)?;
            shared.want_models(&collection)?;
            let located = collection.locate(&question, cancel);
            located.map(located_to_wire).map_err(|error| status::of(&error))
        };
        Ok(Response::new(self.0.answer_with_models(&metadata, locate).await?))
    }
}

fn located_to_wire(located: Located) -> wire::LocateResponse {
    let moment = |LocatedMoment { moment, part }: LocatedMoment| wire::Moment {
        id: moment.id.to_string(),
        start_ms: moment.start_ms,
        end_ms: moment.end_ms,
        score: moment.score,
        part,
    };
    let moments = located.moments.into_iter().map(moment).collect();
    wire::LocateResponse { moments, warnings: located.warnings }
}

/// Returns whether the question, or one within it, may have to be embedded.
fn embeds(question: &SearchRequest) -> bool {
    let is_embedded = question.text.is_some() && question.mode != Mode::Lexical;
    let examples = question.recommend.iter().flat_map(Recommend::examples);
    let mut kinds = examples.map(|weighted| &weighted.example);
    let has_image = question.image.is_some();
    let has_example =
        kinds.any(|kind| matches!(kind, Example::Text(_) | Example::Image(_) | Example::Clip(_)));
    is_embedded || has_image || has_example || question.prefetch.iter().any(embeds)
}
