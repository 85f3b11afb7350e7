use super::ask::Asked;
use super::error::Error;
use super::open::Collection;
use crate::document::{Slot, Span};
use crate::embed::video::PatchPlace;
use crate::vector::Vector;

impl Collection {
    /// Returns when and where the patch lies that speaks most for a hit: of the first leg, those of the
    /// searches within the search included, that asked patches. None where no leg did, or the part
    /// does not say how large its picture is.
    pub(super) fn place(
        &self,
        asked: &Asked<'_>,
        slot: Slot,
        span: &Span,
    ) -> Result<Option<Span>, Error> {
        let Span::Media { time, area: Some(whole) } = span else { return Ok(None) };
        let kept = self.engine.kept();
        for (leg, question) in asked.plan.vectors.iter().zip(&asked.questions) {
            let (Vector::Multi(question), Some(settings)) =
                (question, kept.settings.multi.get(&leg.name))
            else {
                continue;
            };
            // Without its model nobody can tell where the patches lie, but what was found stays found.
            let Ok(Some(embedder)) = self.embedder(&leg.name) else { continue };
            if !embedder.has_places() {
                continue;
            }
            let Some(stored) = self.engine.multi_vector(settings, slot)? else { continue };
            if stored.dimension() != question.dimension() {
                continue;
            }
            let row = question.most_telling(&stored);
            let place = embedder.patch_place(row, stored.count(), time.as_ref(), *whole);
            if let Some(PatchPlace { time, area }) = place {
                return Ok(Some(Span::Media { time, area: Some(area) }));
            }
        }
        for inner in &asked.prefetch {
            if let Some(place) = self.place(inner, slot, span)? {
                return Ok(Some(place));
            }
        }
        Ok(None)
    }
}
