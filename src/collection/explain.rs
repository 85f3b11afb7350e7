use super::engine::damaged;
use super::error::Error;
use super::open::Collection;
use super::rank::Reach;
use super::view::View;
use crate::cancel::Cancellation;
use crate::document::{DocumentId, Filter, Slot};
use crate::query::{Candidate, Explanation, Fused, LegExplanation, SearchRequest, Verdict, fuse};

impl Collection {
    /// Returns why a document is or is not among the hits of a request. Every leg is asked again
    /// for all that it can find, which takes as long as comparing with everything.
    ///
    /// # Errors
    /// As [`Self::search`].
    pub fn explain(
        &self,
        request: &SearchRequest,
        id: &DocumentId,
        cancel: &Cancellation,
    ) -> Result<Explanation, Error> {
        self.check_tenant(request.filter.as_ref())?;
        let asked = self.ask(request, cancel)?;
        let mut explanation = Explanation {
            id: id.clone(),
            verdict: Verdict::NotStored,
            legs: Vec::new(),
            conditions: Vec::new(),
        };
        let Some((view, first)) = self.first_slot(id)? else { return Ok(explanation) };
        let meant = self.allowed(&view, request.filter.as_ref())?;
        explanation.conditions = self.conditions(request.filter.as_ref(), id, first)?;
        if !meant.contains(first.0) {
            explanation.verdict = Verdict::Filtered;
            return Ok(explanation);
        }
        let allowed = meant.into_owned() - &asked.excluded;
        if !allowed.contains(first.0) {
            explanation.verdict = Verdict::Example;
            return Ok(explanation);
        }
        let is_it = |candidate: &Candidate| view.start_of(candidate.slot) == first;
        let limit = usize::try_from(allowed.len()).unwrap_or(usize::MAX);
        let all = Reach { limit, is_exact: true };
        let all = self.rankings(&asked, &view, &allowed, all, cancel)?;
        let found = self.find(&asked, &view, &allowed, cancel)?;
        let order = self.order(&asked, &found.fused)?;
        let place = found.fused.iter().position(|fused| view.start_of(fused.slot) == first);
        for (number, ranking) in all.rankings.iter().enumerate() {
            let place_of = place.map(|place| &found.fused[place]);
            let rank = ranking.candidates.iter().position(is_it);
            let found = rank.map(|rank| {
                (u32::try_from(rank + 1).unwrap_or(u32::MAX), ranking.candidates[rank].score.0)
            });
            let shown = place_of.and_then(|fused| fused.legs[number]);
            explanation.legs.push(LegExplanation {
                leg: ranking.leg.to_string(),
                found,
                rank: shown.map(|(rank, _)| rank),
                contribution: place_of.map_or(0.0, |fused| fused.contributions[number]),
            });
        }
        explanation.verdict = match place {
            Some(place) => verdict(request, &found.fused[place], &order, place),
            None => {
                self.absent(request, &asked, &view, (first, found.limit), &explanation, cancel)?
            }
        };
        Ok(explanation)
    }

    /// Returns why what may be found was not.
    fn absent(
        &self,
        request: &SearchRequest,
        asked: &super::ask::Asked<'_>,
        view: &View,
        (first, limit): (Slot, usize),
        explanation: &Explanation,
        cancel: &Cancellation,
    ) -> Result<Verdict, Error> {
        let meant = self.allowed(view, request.filter.as_ref())?.into_owned() - &asked.excluded;
        let reach = Reach { limit, is_exact: false };
        let rankings = self.rankings(asked, view, &meant, reach, cancel)?.rankings;
        let fused = fuse(&request.fusion, &rankings)?;
        let below = fused.iter().find(|fused| view.start_of(fused.slot) == first);
        Ok(match (below, request.score_threshold) {
            (Some(fused), Some(threshold)) => {
                Verdict::BelowThreshold { score: fused.score, threshold }
            }
            _ if explanation.legs.iter().any(|leg| leg.found.is_some()) => {
                Verdict::BeyondLegs { limit }
            }
            _ => Verdict::NotFound,
        })
    }

    fn conditions(
        &self,
        filter: Option<&Filter>,
        id: &DocumentId,
        first: Slot,
    ) -> Result<Vec<(String, bool)>, Error> {
        let Some(filter) = filter else { return Ok(Vec::new()) };
        let body = self.engine.body(first)?.ok_or_else(|| damaged("body", first.0, "missing"))?;
        let conditions = match filter {
            Filter::All(conditions) => conditions.as_slice(),
            other => std::slice::from_ref(other),
        };
        let told = |filter: &Filter| (filter.to_string(), filter.matches(&body.payload, id));
        Ok(conditions.iter().map(told).collect())
    }
}

fn verdict(request: &SearchRequest, fused: &Fused, order: &[usize], place: usize) -> Verdict {
    let score = fused.score;
    // What diversity did not choose stands behind all that it chose.
    let rank = order.iter().position(|&other| other == place).unwrap_or(order.len()) + 1;
    let (first, last) = (request.offset + 1, request.offset + request.limit);
    if (first..=last).contains(&rank) {
        Verdict::Shown { rank, score }
    } else {
        Verdict::Outside { rank, first, last, score }
    }
}
