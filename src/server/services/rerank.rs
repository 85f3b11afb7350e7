//! Reading the best hits again: a cross-encoder sees question and passage together.

use std::time::Instant;

use simile_proto::v1::{self as wire};
use tonic::Status;

use super::super::core::Shared;
use super::super::status;
use super::super::translate::WireError;
use crate::cancel::Cancellation;
use crate::collection::{Collection, Embedders as _};
use crate::embed::Lane;
use crate::query::{Answer, SearchRequest, StageTiming, rerank};

/// The most hits that are read again.
const DEPTH_MAX: u32 = 200;
/// The hits that are read again where the request does not say.
const DEPTH_DEFAULT: u32 = 50;

/// Which model reads how many of the best hits again.
#[derive(Debug)]
pub(super) struct Rerank {
    model: String,
    depth: usize,
}

impl Rerank {
    /// Takes what a message says of it, and checks it.
    pub(super) fn take(message: &mut wire::SearchRequest) -> Result<Option<Self>, Status> {
        let Some(given) = message.rerank.take() else { return Ok(None) };
        if given.model.is_empty() {
            return Err(WireError::Missing("the model that reads the hits again"))?;
        }
        if message.text.as_ref().is_none_or(|text| text.trim().is_empty()) {
            return Err(WireError::Missing("the text that the hits are read again with"))?;
        }
        if message.group_by.is_some() {
            let reason = "groups are not read again: a request has group_by or rerank";
            return Err(Status::invalid_argument(reason));
        }
        let depth = given.depth.unwrap_or(DEPTH_DEFAULT);
        let wanted = message.limit.unwrap_or(10).saturating_add(message.offset);
        let in_range = |what, actual: u32| {
            let (least, most) = (1, u64::from(DEPTH_MAX));
            let actual = u64::from(actual);
            let is_in = (least..=most).contains(&actual);
            if is_in { Ok(()) } else { Err(WireError::OutOfRange { what, actual, least, most }) }
        };
        in_range("depth", depth)?;
        in_range("limit + offset of a search whose hits are read again", wanted)?;
        Ok(Some(Self { model: given.model, depth: depth.max(wanted) as usize }))
    }

    /// Searches, and has the best hits read again.
    pub(super) fn search(
        &self,
        shared: &Shared,
        collection: &Collection,
        question: &SearchRequest,
        cancel: &Cancellation,
    ) -> Result<Answer, Status> {
        let model = shared.models.get(&self.model).map_err(|error| status::of(&error))?;
        let deep =
            SearchRequest { limit: self.depth, offset: 0, with_text: true, ..question.clone() };
        let mut answer = collection.search(&deep, cancel).map_err(|error| status::of(&error))?;
        let began = Instant::now();
        let passages: Vec<&str> =
            answer.hits.iter().map(|hit| hit.text.as_deref().unwrap_or_default()).collect();
        let asked = question.text.as_deref().unwrap_or_default();
        let scores = model
            .score(asked, &passages, Lane::Query, cancel)
            .map_err(|error| status::of(&error))?;
        rerank(&mut answer.hits, &scores, &format!("rerank:{}", self.model));
        answer.hits.drain(..question.offset.min(answer.hits.len()));
        answer.hits.truncate(question.limit);
        if !question.with_text {
            for hit in &mut answer.hits {
                (hit.text, hit.snippet) = (None, None);
            }
        }
        answer.timings.push(StageTiming { stage: "rerank", began, duration: began.elapsed() });
        Ok(answer)
    }
}
