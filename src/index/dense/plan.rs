/// How a segment is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SearchPlan {
    /// Every match is compared.
    Scan,
    /// The graph is walked as if all matched, with so many candidates, and what does not match is
    /// left out afterwards.
    Walk {
        /// How many candidates are kept.
        ef: usize,
    },
    /// The graph is walked among the matches only, with so many candidates.
    WalkMatches {
        /// How many candidates are kept.
        ef: usize,
    },
}

/// Comparing a match in a scan costs so much less than one in a walk, where rows come one by one
/// and in no order, that this many more are afforded.
const SCANNED_FOR_WALKED: f64 = 2.5;
/// About how many rows a walk compares for each candidate it keeps.
const WALKED_PER_CANDIDATE: f64 = 16.0;
/// Finding the matching nodes behind others makes a walk so much longer.
const MATCHES_FACTOR: f64 = 2.0;
/// Leaving out afterwards pays while at least this share matches.
const SHARE_MIN: f64 = 0.35;
/// Where matches are so many times rarer around the query than in the whole, the walk is repeated
/// among the matches only.
const RARER: usize = 4;
/// The nearest matches of such a query are far from it, in several directions: finding them takes so
/// many times the candidates.
const RARE_FACTOR: usize = 4;
/// However wide a walk, it keeps no more candidates.
const EF_MAX: usize = 16_384;
/// No segment needs more times the candidates that a search asks for.
pub(super) const BREADTH_MAX: f32 = 16.0;
/// Bits say so much less than codes that so many times the candidates are kept at least.
pub(super) const BITS_BREADTH: f32 = 3.0;

/// Returns that many candidates so many times.
pub(super) fn widened(ef: usize, breadth: f32) -> usize {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive")]
    let wide = (ef as f64 * f64::from(breadth)) as usize;
    wide
}

/// Returns how to search a segment of `count` slots, about `matches` of which are allowed, for the
/// best `limit`.
pub(super) fn search_plan(count: usize, matches: usize, limit: usize, ef: usize) -> SearchPlan {
    let ef = ef.max(limit).max(1);
    let share = (matches as f64 / count.max(1) as f64).min(1.0);
    if matches <= limit || share == 0.0 {
        return SearchPlan::Scan;
    }
    let is_wide = share >= SHARE_MIN;
    let wide = if is_wide { widen(ef, share) } else { ef };
    let factor = if is_wide { 1.0 } else { MATCHES_FACTOR };
    let walked = wide as f64 * WALKED_PER_CANDIDATE * factor;
    if wide > EF_MAX || matches as f64 <= walked * SCANNED_FOR_WALKED {
        SearchPlan::Scan
    } else if is_wide {
        SearchPlan::Walk { ef: wide }
    } else {
        SearchPlan::WalkMatches { ef }
    }
}

/// Returns how to search again after a walk with `wide` candidates kept so few matches that the
/// nearest `ef` are not among them: around the query they are rarer than in the whole.
pub(super) fn search_again(wide: usize, matched: usize, ef: usize) -> Option<SearchPlan> {
    // One in ten fewer is what chance does.
    if 10 * matched >= 9 * ef {
        None
    } else if matched * RARER < ef {
        Some(SearchPlan::WalkMatches { ef: ef.saturating_mul(RARE_FACTOR) })
    } else {
        Some(SearchPlan::Walk { ef: wide.saturating_mul(ef) / matched })
    }
}

/// Returns how many candidates hold about `ef` matches.
fn widen(ef: usize, share: f64) -> usize {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small, positive")]
    let wide = (ef as f64 / share).ceil() as usize;
    wide
}

/// A segment as far as merging is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::index) struct SegmentSize {
    /// How many slots it has, deleted ones included.
    pub(in crate::index) slots: usize,
    /// How many of them are live.
    pub(in crate::index) live: usize,
}

/// So many segments of like size become one; like sizes differ by no more than this factor.
const FAN_IN: usize = 4;
/// A segment is rewritten once this share of it is deleted.
const DEAD_SHARE_MAX: f64 = 0.3;

/// Returns which segments to merge into one now, ascending; none if none is due.
///
/// Segments fall into tiers by size, each tier [`FAN_IN`] times the one below, beginning at
/// `smallest`; a tier that holds so many segments is merged, the smallest tier first. So a slot is
/// rewritten once a tier. What no longer has any live slot is always due.
pub(in crate::index) fn merge_plan(
    segments: &[SegmentSize],
    smallest: usize,
    largest: usize,
) -> Vec<usize> {
    let decayed: Vec<usize> = (0..segments.len())
        .filter(|&index| {
            let SegmentSize { slots, live } = segments[index];
            (slots - live.min(slots)) as f64 > DEAD_SHARE_MAX * slots as f64
        })
        .collect();
    let tiers = segments.iter().map(|segment| tier(segment.live, smallest)).max().unwrap_or(0);
    for wanted in 0..=tiers {
        let mut members: Vec<usize> = (0..segments.len())
            .filter(|&index| tier(segments[index].live, smallest) == wanted)
            .collect();
        if members.len() >= FAN_IN {
            let live: usize = members.iter().map(|&index| segments[index].live).sum();
            if live <= largest {
                return members;
            }
            members.truncate(FAN_IN);
            let live: usize = members.iter().map(|&index| segments[index].live).sum();
            if live <= largest {
                return members;
            }
        }
    }
    decayed.into_iter().take(1).collect()
}

fn tier(slots: usize, smallest: usize) -> usize {
    let mut tier = 0;
    let mut size = slots / smallest.max(1);
    while size >= FAN_IN {
        size /= FAN_IN;
        tier += 1;
    }
    tier
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_matches_are_scanned_many_are_walked() {
        let plan = |matches| search_plan(1_000_000, matches, 10, 64);
        assert_eq!(plan(0), SearchPlan::Scan);
        assert_eq!(plan(1_000), SearchPlan::Scan);
        assert_eq!(plan(100_000), SearchPlan::WalkMatches { ef: 64 });
        assert_eq!(plan(500_000), SearchPlan::Walk { ef: 128 });
        assert_eq!(plan(1_000_000), SearchPlan::Walk { ef: 64 });
        assert_eq!(plan(2_000_000), SearchPlan::Walk { ef: 64 });
    }

    #[test]
    fn a_small_segment_is_scanned_whole() {
        assert_eq!(search_plan(500, 500, 10, 64), SearchPlan::Scan);
        assert_eq!(search_plan(0, 0, 10, 64), SearchPlan::Scan);
    }

    #[test]
    fn the_candidates_are_never_fewer_than_the_limit() {
        assert_eq!(search_plan(1_000_000, 1_000_000, 500, 64), SearchPlan::Walk { ef: 500 });
        assert_eq!(search_plan(1_000_000, 1_000_000, 50_000, 64), SearchPlan::Scan);
        assert_eq!(search_plan(100_000, 90_000, 90_000, 64), SearchPlan::Scan);
    }

    #[test]
    fn a_walk_that_met_few_matches_is_repeated() {
        assert_eq!(search_again(128, 64, 64), None);
        assert_eq!(search_again(128, 58, 64), None);
        assert_eq!(search_again(128, 32, 64), Some(SearchPlan::Walk { ef: 256 }));
        assert_eq!(search_again(128, 15, 64), Some(SearchPlan::WalkMatches { ef: 256 }));
        assert_eq!(search_again(128, 0, 64), Some(SearchPlan::WalkMatches { ef: 256 }));
    }

    fn sizes(live: &[usize]) -> Vec<SegmentSize> {
        live.iter().map(|&live| SegmentSize { slots: live, live }).collect()
    }

    #[test]
    fn four_segments_of_a_tier_are_merged_the_smallest_tier_first() {
        let plan = |live: &[usize]| merge_plan(&sizes(live), 100, usize::MAX);
        assert_eq!(plan(&[100, 100, 100]), Vec::<usize>::new());
        assert_eq!(plan(&[100, 100, 5_000, 120, 100]), [0, 1, 3, 4]);
        assert_eq!(plan(&[400, 410, 420, 430, 100, 100, 100, 100]), [4, 5, 6, 7]);
        assert_eq!(plan(&[400, 410, 420, 430, 100]), [0, 1, 2, 3]);
    }

    #[test]
    fn a_segment_of_many_deleted_slots_is_rewritten() {
        let decayed = SegmentSize { slots: 1_000, live: 600 };
        let sound = SegmentSize { slots: 1_000, live: 900 };
        assert_eq!(merge_plan(&[sound, decayed], 100, usize::MAX), [1]);
        assert_eq!(merge_plan(&[sound, SegmentSize { slots: 5, live: 0 }], 100, usize::MAX), [1]);
    }

    #[test]
    fn no_merge_grows_beyond_the_largest_segment() {
        assert_eq!(merge_plan(&sizes(&[100; 10]), 100, 500), [0, 1, 2, 3]);
        assert_eq!(merge_plan(&sizes(&[100; 10]), 100, 300), Vec::<usize>::new());
    }

    #[test]
    fn a_tier_is_reached_within_bounded_rewrites() {
        // A thousand seals of one size, merged whenever due: no slot is written more than six times.
        let mut segments: Vec<(usize, usize)> = Vec::new();
        for _ in 0..1_000 {
            segments.push((100, 1));
            loop {
                let due = merge_plan(
                    &sizes(&segments.iter().map(|segment| segment.0).collect::<Vec<_>>()),
                    100,
                    usize::MAX,
                );
                if due.is_empty() {
                    break;
                }
                let merged = due.iter().map(|&index| segments[index]);
                let merged = merged
                    .fold((0, 0), |sum, (size, written)| (sum.0 + size, sum.1.max(written + 1)));
                for index in due.into_iter().rev() {
                    segments.remove(index);
                }
                segments.push(merged);
            }
            assert!(segments.len() <= 3 * 6);
        }
        assert!(segments.iter().all(|&(_, written)| written <= 6));
    }
}
