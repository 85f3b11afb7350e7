use std::collections::VecDeque;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use super::points::row_id;
use super::{Adjacency, ClusterError, Partition, Work};

/// How often the graph is made smaller at most: each time at least halves it where it helps.
const LEVELS_MAX: usize = 64;
/// How often the whole is done again from what was found, at most.
const ROUNDS_MAX: usize = 10;
/// A round that adds less to the modularity is the last.
const ROUND_GAIN_MIN: f64 = 1e-5;
/// A move that gains less is none.
const GAIN_MIN: f64 = 1e-9;
/// How many points are moved between two looks at whether to go on.
const MOVES_AT_ONCE: usize = 4_096;
/// How much chance has a say in merging (theta of the paper, section "Refinement").
const RANDOMNESS: f64 = 0.01;

/// What counts as a community.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CommunityOptions {
    /// More makes more and smaller communities. Above 0; 1 is plain modularity.
    pub resolution: f64,
}

impl Default for CommunityOptions {
    fn default() -> Self {
        Self { resolution: 1.0 }
    }
}

/// Returns communities of a graph: parts that are joined more strongly inside than chance would join
/// them (Leiden, Traag, Waltman, van Eck 2019, over modularity with a resolution). Every community is
/// connected. Points without edges are noise.
///
/// # Errors
/// [`ClusterError`]: invalid input for a resolution out of range; cancelled.
pub fn communities(
    graph: &Adjacency,
    options: &CommunityOptions,
    work: &Work<'_>,
) -> Result<Partition, ClusterError> {
    ClusterError::require("resolution", options.resolution, 1e-6, 1e6)?;
    let mut chance = StdRng::seed_from_u64(work.seed);
    let whole = Level::of(graph);
    let is_alone = |row: usize| graph.of(row).next().is_none();
    let mut labels: Vec<u32> = (0..row_id(graph.count())).collect();
    let mut best = f64::NEG_INFINITY;
    for round in 0..ROUNDS_MAX {
        work.step("looking for communities", round, ROUNDS_MAX)?;
        labels = improved(&whole, labels, options.resolution, &mut chance, work)?;
        let found = whole.modularity(&labels, options.resolution);
        if found - best < ROUND_GAIN_MIN {
            break;
        }
        best = found;
    }
    let of = |(row, label): (usize, u32)| (!is_alone(row)).then_some(label);
    let raw: Vec<Option<u32>> = labels.into_iter().enumerate().map(of).collect();
    Ok(Partition::new(&raw))
}

/// Returns how much more of the weight lies inside the parts than chance would put there, at most 1
/// (Newman and Girvan 2004; the resolution as in Reichardt and Bornholdt 2006). Points without a part
/// count as parts of their own.
pub fn modularity(graph: &Adjacency, labels: &[Option<u32>], resolution: f64) -> f64 {
    let next = labels.iter().flatten().max().map_or(0, |&most| most + 1);
    let mut alone = next..;
    let labels: Vec<u32> =
        labels.iter().map(|label| label.or_else(|| alone.next()).unwrap_or(u32::MAX)).collect();
    Level::of(graph).modularity(&labels, resolution)
}

/// A graph whose points may stand for several of the original.
#[derive(Debug)]
struct Level {
    starts: Vec<usize>,
    links: Vec<(u32, f64)>,
    /// The weight of all edges of a point, those inside of it counted twice.
    strengths: Vec<f64>,
    /// The sum of the strengths: twice the weight of all edges.
    total: f64,
}

impl Level {
    fn of(graph: &Adjacency) -> Self {
        let mut level = Self {
            starts: vec![0],
            links: Vec::new(),
            strengths: Vec::with_capacity(graph.count()),
            total: 0.0,
        };
        for row in 0..graph.count() {
            level.links.extend(graph.of(row).map(|(to, weight)| (to, f64::from(weight))));
            let strength: f64 = graph.of(row).map(|link| f64::from(link.1)).sum();
            level.starts.push(level.links.len());
            level.strengths.push(strength);
            level.total += strength;
        }
        level
    }

    fn count(&self) -> usize {
        self.strengths.len()
    }

    fn links(&self, point: usize) -> &[(u32, f64)] {
        &self.links[self.starts[point]..self.starts[point + 1]]
    }

    /// Returns the modularity of parts of a graph that stands for itself.
    fn modularity(&self, labels: &[u32], resolution: f64) -> f64 {
        if self.total <= 0.0 {
            return 0.0;
        }
        let most = labels.iter().max().map_or(0, |&most| most as usize + 1);
        let mut strengths = vec![0.0; most];
        let mut inside = 0.0;
        for (point, &label) in labels.iter().enumerate() {
            strengths[label as usize] += self.strengths[point];
            let within = self.links(point).iter().filter(|link| labels[link.0 as usize] == label);
            inside += within.map(|link| link.1).sum::<f64>();
        }
        let expected: f64 = strengths.iter().map(|strength| (strength / self.total).powi(2)).sum();
        inside / self.total - resolution * expected
    }

    /// Returns the graph of the parts; `labels` are 0 to `count` without gaps.
    fn merged(&self, labels: &[u32], count: usize) -> Self {
        let mut members: Vec<Vec<u32>> = vec![Vec::new(); count];
        for (point, &label) in (0..).zip(labels) {
            members[label as usize].push(point);
        }
        let mut level =
            Self { starts: vec![0], links: Vec::new(), strengths: Vec::new(), total: self.total };
        let mut sums = Sums::new(count);
        for (own, members) in members.iter().enumerate() {
            for &member in members {
                for &(to, weight) in self.links(member as usize) {
                    sums.add(labels[to as usize], weight);
                }
            }
            let mut links = sums.take();
            links.retain(|link| link.0 as usize != own);
            links.sort_unstable_by_key(|link| link.0);
            level.links.extend(links);
            level.starts.push(level.links.len());
            let strength = members.iter().map(|&member| self.strengths[member as usize]).sum();
            level.strengths.push(strength);
        }
        level
    }
}

/// Sums by number, cleared at the price of what was touched.
#[derive(Debug)]
struct Sums {
    of: Vec<f64>,
    touched: Vec<u32>,
    is_touched: Vec<bool>,
}

impl Sums {
    fn new(count: usize) -> Self {
        Self { of: vec![0.0; count], touched: Vec::new(), is_touched: vec![false; count] }
    }

    fn add(&mut self, place: u32, weight: f64) {
        if !std::mem::replace(&mut self.is_touched[place as usize], true) {
            self.touched.push(place);
        }
        self.of[place as usize] += weight;
    }

    /// Returns the sums in the order of first touch, and clears them.
    fn take(&mut self) -> Vec<(u32, f64)> {
        let sums = self.touched.iter().map(|&place| (place, self.of[place as usize])).collect();
        for place in self.touched.drain(..) {
            self.of[place as usize] = 0.0;
            self.is_touched[place as usize] = false;
        }
        sums
    }
}

/// Returns better parts of the whole graph than the given.
fn improved(
    whole: &Level,
    labels: Vec<u32>,
    resolution: f64,
    chance: &mut StdRng,
    work: &Work<'_>,
) -> Result<Vec<u32>, ClusterError> {
    // The point of the present graph that stands for each original one, and that point's part.
    let mut place: Vec<u32> = (0..row_id(whole.count())).collect();
    let (mut parts, _) = numbered(&labels);
    let mut merged: Option<Level> = None;
    for _ in 0..LEVELS_MAX {
        let level = merged.as_ref().unwrap_or(whole);
        move_points(level, &mut parts, resolution, chance, work)?;
        let (now, count) = numbered(&parts);
        parts = now;
        if count == level.count() {
            break;
        }
        let (refined, refined_count) = numbered(&refine(level, &parts, resolution, chance));
        let (by, by_count) = if refined_count == level.count() {
            (parts.clone(), count)
        } else {
            (refined, refined_count)
        };
        let next = level.merged(&by, by_count);
        let mut next_parts = vec![0; by_count];
        for (point, &to) in by.iter().enumerate() {
            next_parts[to as usize] = parts[point];
        }
        place.iter_mut().for_each(|place| *place = by[*place as usize]);
        parts = next_parts;
        merged = Some(next);
    }
    Ok(place.into_iter().map(|place| parts[place as usize]).collect())
}

/// Moves points to the part that they fit best, until none gains by moving; a point is looked at
/// again when a neighbour moved away from it.
fn move_points(
    level: &Level,
    parts: &mut [u32],
    resolution: f64,
    chance: &mut StdRng,
    work: &Work<'_>,
) -> Result<(), ClusterError> {
    let count = level.count();
    let mut strengths = vec![0.0f64; count];
    let mut sizes = vec![0u32; count];
    for (point, &part) in parts.iter().enumerate() {
        strengths[part as usize] += level.strengths[point];
        sizes[part as usize] += 1;
    }
    let mut empty: Vec<u32> =
        (0..row_id(count)).rev().filter(|&part| sizes[part as usize] == 0).collect();
    let mut order: Vec<u32> = (0..row_id(count)).collect();
    order.shuffle(chance);
    let mut waiting: VecDeque<u32> = order.into();
    let mut waits = vec![true; count];
    let mut sums = Sums::new(count);
    let mut looked_at = 0usize;
    while let Some(point) = waiting.pop_front() {
        if looked_at.is_multiple_of(MOVES_AT_ONCE) {
            work.cancel.check()?;
        }
        looked_at += 1;
        let at = point as usize;
        waits[at] = false;
        let (own, strength) = (parts[at], level.strengths[at]);
        strengths[own as usize] -= strength;
        sizes[own as usize] -= 1;
        for &(to, weight) in level.links(at) {
            sums.add(parts[to as usize], weight);
        }
        let scale = resolution * strength / level.total.max(f64::MIN_POSITIVE);
        let mut best = (sums.of[own as usize] - scale * strengths[own as usize], own);
        for (part, weight) in sums.take() {
            let gain = weight - scale * strengths[part as usize];
            if gain > best.0 + GAIN_MIN {
                best = (gain, part);
            }
        }
        if best.0 < -GAIN_MIN
            && sizes[own as usize] > 0
            && let Some(alone) = empty.pop()
        {
            best = (0.0, alone);
        }
        let part = best.1;
        strengths[part as usize] += strength;
        sizes[part as usize] += 1;
        if part != own {
            if sizes[own as usize] == 0 {
                empty.push(own);
            }
            parts[at] = part;
            for &(to, _) in level.links(at) {
                if parts[to as usize] != part && !std::mem::replace(&mut waits[to as usize], true) {
                    waiting.push_back(to);
                }
            }
        }
    }
    Ok(())
}

/// Returns a finer partition: inside each part, points that are well joined with it merge with a part
/// of it that they are joined with, with a chance that grows with the gain.
fn refine(level: &Level, parts: &[u32], resolution: f64, chance: &mut StdRng) -> Vec<u32> {
    let count = level.count();
    let total = level.total.max(f64::MIN_POSITIVE);
    let mut part_strengths = vec![0.0f64; count];
    for (point, &part) in parts.iter().enumerate() {
        part_strengths[part as usize] += level.strengths[point];
    }
    let mut refined: Vec<u32> = (0..row_id(count)).collect();
    let mut strengths = level.strengths.clone();
    let mut is_single = vec![true; count];
    // The weight from each refined part to the rest of the part it lies in.
    let mut cuts: Vec<f64> = (0..count)
        .map(|point| {
            let inside =
                level.links(point).iter().filter(|link| parts[link.0 as usize] == parts[point]);
            inside.map(|link| link.1).sum()
        })
        .collect();
    let mut order: Vec<u32> = (0..row_id(count)).collect();
    order.shuffle(chance);
    let mut sums = Sums::new(count);
    let mut choices: Vec<(u32, f64, f64)> = Vec::new();
    for point in order {
        let at = point as usize;
        let all = part_strengths[parts[at] as usize];
        let is_well_joined = |cut: f64, strength: f64| {
            cut >= resolution * strength * (all - strength) / total - GAIN_MIN
        };
        if !is_single[at] || !is_well_joined(cuts[at], level.strengths[at]) {
            continue;
        }
        for &(to, weight) in level.links(at) {
            if parts[to as usize] == parts[at] {
                sums.add(refined[to as usize], weight);
            }
        }
        choices.clear();
        for (to, weight) in sums.take() {
            let gain = weight - resolution * level.strengths[at] * strengths[to as usize] / total;
            if gain >= 0.0 && is_well_joined(cuts[to as usize], strengths[to as usize]) {
                choices.push((to, weight, gain));
            }
        }
        let Some((to, weight)) = drawn(&choices, level.strengths[at], chance) else { continue };
        let own = refined[at];
        strengths[to as usize] += strengths[own as usize];
        strengths[own as usize] = 0.0;
        cuts[to as usize] += cuts[own as usize] - 2.0 * weight;
        is_single[to as usize] = false;
        refined[at] = to;
    }
    refined
}

/// Returns one of the choices (part, weight, gain), the more likely the more it gains.
fn drawn(choices: &[(u32, f64, f64)], strength: f64, chance: &mut StdRng) -> Option<(u32, f64)> {
    let most = choices.iter().map(|choice| choice.2).fold(f64::NEG_INFINITY, f64::max);
    let scale = RANDOMNESS * strength.max(f64::MIN_POSITIVE);
    let odds = |choice: &(u32, f64, f64)| ((choice.2 - most) / scale).exp();
    let sum: f64 = choices.iter().map(odds).sum();
    let mut left = chance.random::<f64>() * sum;
    let found = choices.iter().find(|choice| {
        left -= odds(choice);
        left < 0.0
    });
    found.or(choices.last()).map(|choice| (choice.0, choice.1))
}

/// Returns the parts numbered from 0 without gaps, in the order of their first points.
fn numbered(parts: &[u32]) -> (Vec<u32>, usize) {
    let mut numbers = vec![u32::MAX; parts.iter().max().map_or(0, |&most| most as usize + 1)];
    let mut next = 0;
    let numbered = parts
        .iter()
        .map(|&part| {
            let number = &mut numbers[part as usize];
            if *number == u32::MAX {
                *number = next;
                next += 1;
            }
            *number
        })
        .collect();
    (numbered, next as usize)
}

#[cfg(test)]
mod tests;
