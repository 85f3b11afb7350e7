use std::collections::HashMap;

use super::super::{DecodeError, Limits};
use super::archive::{Piece, attribute, read};

/// What a style says about a paragraph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Role {
    /// Nothing of interest.
    #[default]
    Text,
    /// The title of the document.
    Title,
    /// A heading; level 1 is the outermost.
    Heading(u8),
    /// An entry of a table of contents.
    Contents,
}

/// What the styles of a document mean, by their ids.
pub(super) type Styles = HashMap<String, Role>;

/// How the levels of a list are marked: numbered or not, by the number of the list and the level.
#[derive(Debug, Default)]
pub(super) struct Lists {
    numbered: HashMap<(String, u8), bool>,
}

impl Lists {
    /// Returns whether the items of the list are numbered on this level.
    pub(super) fn is_numbered(&self, list: &str, level: u8) -> bool {
        self.numbered.get(&(list.to_owned(), level)).copied().unwrap_or(false)
    }
}

/// So many styles may be based on each other in a row.
const BASED_ON_MAX: usize = 16;

#[derive(Debug, Default)]
struct Style {
    name: String,
    based_on: Option<String>,
    outline_level: Option<u8>,
}

/// Reads the styles: a heading is known by its name, which is English in every Word, or by its level
/// in the outline, its own or that of the style it is based on.
pub(super) fn styles(source: &str, limits: &Limits) -> Result<Styles, DecodeError> {
    let mut styles: HashMap<String, Style> = HashMap::new();
    let mut open: Option<(String, Style)> = None;
    read(source, limits, |piece| match piece {
        Piece::Start(tag, _) => match tag.local_name().into_inner() {
            "style" => open = attribute(tag, "styleId").map(|id| (id, Style::default())),
            name => {
                if let (Some((_, style)), Some(value)) = (&mut open, attribute(tag, "val")) {
                    match name {
                        "name" => style.name = value.to_lowercase(),
                        "basedOn" => style.based_on = Some(value),
                        "outlineLvl" => style.outline_level = value.parse().ok(),
                        _ => {}
                    }
                }
            }
        },
        Piece::End("style") => styles.extend(open.take()),
        Piece::End(_) | Piece::Text(_) => {}
    })?;
    Ok(styles.keys().map(|id| (id.clone(), role(&styles, id))).collect())
}

fn role(styles: &HashMap<String, Style>, id: &str) -> Role {
    let mut id = id;
    for _ in 0..BASED_ON_MAX {
        let Some(style) = styles.get(id) else {
            break;
        };
        if style.name == "title" {
            return Role::Title;
        }
        if style.name.starts_with("toc ") {
            return Role::Contents;
        }
        let level = style.name.strip_prefix("heading ").and_then(|level| level.trim().parse().ok());
        if let Some(level) = level.filter(|level| (1..=9).contains(level)) {
            return Role::Heading(level);
        }
        if let Some(level) = style.outline_level {
            return of_outline(level);
        }
        match &style.based_on {
            Some(next) => id = next,
            None => break,
        }
    }
    Role::Text
}

/// Returns what a level of the outline means, which counts from 0; 9 is body text.
pub(super) fn of_outline(level: u8) -> Role {
    if level < 9 { Role::Heading(level + 1) } else { Role::Text }
}

/// Reads how lists are marked.
pub(super) fn lists(source: &str, limits: &Limits) -> Result<Lists, DecodeError> {
    let mut abstracts: HashMap<(String, u8), bool> = HashMap::new();
    let mut lists: Vec<(String, String)> = Vec::new();
    let (mut abstract_id, mut list_id, mut level) = (String::new(), None, 0_u8);
    read(source, limits, |piece| {
        let Piece::Start(tag, _) = piece else {
            return;
        };
        match tag.local_name().into_inner() {
            "abstractNum" => abstract_id = attribute(tag, "abstractNumId").unwrap_or_default(),
            "lvl" => {
                let value = attribute(tag, "ilvl").and_then(|value| value.parse().ok());
                level = value.unwrap_or(0);
            }
            "numFmt" if list_id.is_none() => {
                let is_numbered =
                    attribute(tag, "val").is_some_and(|kind| kind != "bullet" && kind != "none");
                abstracts.insert((abstract_id.clone(), level), is_numbered);
            }
            "num" => list_id = attribute(tag, "numId"),
            "abstractNumId" => {
                if let (Some(list), Some(of)) = (&list_id, attribute(tag, "val")) {
                    lists.push((list.clone(), of));
                }
            }
            _ => {}
        }
    })?;
    let mut numbered = HashMap::new();
    for (list, of) in lists {
        for level in 0..9 {
            if let Some(&is_numbered) = abstracts.get(&(of.clone(), level)) {
                numbered.insert((list.clone(), level), is_numbered);
            }
        }
    }
    Ok(Lists { numbered })
}
