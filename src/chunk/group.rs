use std::ops::Range;

use super::unit::Unit;
use crate::document::Section;

/// A stretch of text that passages do not leave, and the units it was cut into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) bytes: Range<usize>,
    pub(super) heading: Option<String>,
    /// Which units, by index.
    pub(super) units: Range<usize>,
    pub(super) tokens: usize,
}

/// What parts the headings of a path.
const PARTED_BY: &str = " > ";

/// Returns the sections with the gaps between them filled, so that they cover all of the text that is
/// not blank, each on character borders and none overlapping the next.
pub(super) fn complete(text: &str, sections: &[Section]) -> Vec<Section> {
    let mut complete: Vec<Section> = Vec::with_capacity(sections.len());
    let mut cursor = 0;
    let mut add = |section: Section| {
        if !text[section.bytes.clone()].trim().is_empty() {
            complete.push(section);
        }
    };
    for section in sections {
        let start = text.floor_char_boundary(section.bytes.start).max(cursor);
        let end = text.floor_char_boundary(section.bytes.end).max(start);
        add(Section { bytes: cursor..start, page: None, heading: None });
        add(Section { bytes: start..end, ..section.clone() });
        cursor = end;
    }
    add(Section { bytes: cursor..text.len(), page: None, heading: None });
    complete
}

/// Returns the runs of sections with the same heading.
pub(super) fn runs(sections: &[Section]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for section in sections {
        match groups.last_mut() {
            Some(last) if last.heading == section.heading => last.bytes.end = section.bytes.end,
            _ => groups.push(Group {
                bytes: section.bytes.clone(),
                heading: section.heading.clone(),
                units: 0..0,
                tokens: 0,
            }),
        }
    }
    groups
}

/// Puts groups together where the rules of this folder say so.
pub(super) fn merge(
    text: &str,
    groups: Vec<Group>,
    units: &[Unit],
    tokens_max: usize,
) -> Vec<Group> {
    let groups = join_bare_headings(text, groups);
    let small = tokens_max / 4;
    let mut merged: Vec<Group> = Vec::with_capacity(groups.len());
    // Whether the last group is made of small ones only.
    let mut is_open = false;
    for group in groups {
        let is_small = group.tokens < small;
        if let Some(last) = merged.last_mut()
            && is_open
            && is_small
            && last.tokens + group.tokens <= tokens_max
            && let Some(parent) = shared_parent(last.heading.as_deref(), group.heading.as_deref())
        {
            last.heading = Some(parent.to_owned());
            append(last, &group);
        } else {
            is_open = is_small;
            merged.push(group);
        }
    }
    debug_assert_eq!(merged.last().map_or(0, |group| group.units.end), units.len());
    merged
}

fn join_bare_headings(text: &str, groups: Vec<Group>) -> Vec<Group> {
    let mut joined: Vec<Group> = Vec::with_capacity(groups.len());
    let mut bare: Option<Group> = None;
    for group in groups {
        let group = match bare.take() {
            Some(mut above) if is_below(group.heading.as_deref(), above.heading.as_deref()) => {
                above.heading.clone_from(&group.heading);
                // A group that now begins with its heading's headings is bare only if it was.
                let is_bare = is_bare(text, &group);
                append(&mut above, &group);
                if is_bare {
                    bare = Some(above);
                    continue;
                }
                joined.push(above);
                continue;
            }
            Some(above) => {
                joined.push(above);
                group
            }
            None => group,
        };
        if is_bare(text, &group) {
            bare = Some(group);
        } else {
            joined.push(group);
        }
    }
    joined.extend(bare);
    joined
}

fn append(last: &mut Group, next: &Group) {
    last.bytes.end = next.bytes.end;
    last.units.end = next.units.end;
    last.tokens += next.tokens;
}

fn is_bare(text: &str, group: &Group) -> bool {
    group.heading.as_deref().is_some_and(|path| {
        let own = path.rsplit(PARTED_BY).next().unwrap_or(path);
        text[group.bytes.clone()].trim() == own
    })
}

fn is_below(path: Option<&str>, above: Option<&str>) -> bool {
    match (path, above) {
        (Some(path), Some(above)) => {
            path.strip_prefix(above).is_some_and(|rest| rest.starts_with(PARTED_BY))
        }
        _ => false,
    }
}

/// Returns the heading under which both stand: the parent of both, or the first if the second is its
/// child.
fn shared_parent<'h>(first: Option<&'h str>, second: Option<&str>) -> Option<&'h str> {
    let (first, second) = (first?, second?);
    let parent_of_second = second.rsplit_once(PARTED_BY)?.0;
    if parent_of_second == first {
        return Some(first);
    }
    let parent_of_first = first.rsplit_once(PARTED_BY)?.0;
    (parent_of_first == parent_of_second).then_some(parent_of_first)
}
