use std::collections::BTreeMap;

use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use super::flow::Flow;
use super::{DecodeError, Format, Limits, TextContent, html, metadata};
use crate::document::{Payload, Value};

/// Returns the text without the marks; the title is that of the front matter, else the first heading
/// of the first level.
pub(super) fn decode(source: &str, limits: &Limits) -> Result<TextContent, DecodeError> {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_HEADING_ATTRIBUTES
        | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS;
    let mut reader = Reader {
        flow: Flow::new(limits.text_bytes_max),
        limits,
        title: None,
        metadata: Payload::new(),
        raw: None,
    };
    for event in Parser::new_ext(source, options) {
        reader.take(event);
        if reader.flow.is_full() {
            break;
        }
    }
    let (text, sections) = reader.flow.finish()?;
    let front_title = match reader.metadata.remove("title") {
        Some(Value::Text(title)) => Some(title),
        _ => None,
    };
    Ok(TextContent {
        text,
        sections,
        title: front_title.or(reader.title),
        metadata: reader.metadata,
        format: Format::Markdown,
        warnings: Vec::new(),
    })
}

struct Reader<'a> {
    flow: Flow,
    limits: &'a Limits,
    title: Option<String>,
    metadata: Payload,
    /// A source in another language, collected until its end.
    raw: Option<String>,
}

impl Reader<'_> {
    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(&tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) | Event::Html(text) => match &mut self.raw {
                Some(raw) => raw.push_str(&text),
                None => self.flow.inline.push(&text),
            },
            Event::Code(text) | Event::InlineMath(text) | Event::DisplayMath(text) => {
                self.flow.inline.push(&text);
            }
            Event::InlineHtml(tag) => {
                if tag.starts_with("<br") {
                    self.flow.inline.end_line();
                }
            }
            Event::SoftBreak => self.flow.inline.push("\n"),
            Event::HardBreak => self.flow.inline.end_line(),
            Event::TaskListMarker(is_done) => {
                self.flow.inline.push(if is_done { "[x] " } else { "[ ] " });
            }
            Event::FootnoteReference(_) | Event::Rule => {}
        }
    }

    fn start(&mut self, tag: &Tag<'_>) {
        match tag {
            Tag::List(first) => self.flow.begin_list(*first),
            Tag::Item => self.flow.begin_item(),
            Tag::CodeBlock(_) | Tag::HtmlBlock | Tag::MetadataBlock(_) => {
                self.flow.end_block();
                self.raw = Some(String::new());
            }
            Tag::Table(_) => self.flow.begin_table(),
            Tag::Paragraph
            | Tag::Heading { .. }
            | Tag::BlockQuote(_)
            | Tag::FootnoteDefinition(_)
            | Tag::DefinitionList
            | Tag::DefinitionListTitle
            | Tag::DefinitionListDefinition => self.flow.end_block(),
            Tag::TableHead
            | Tag::TableRow
            | Tag::TableCell
            | Tag::Emphasis
            | Tag::Strong
            | Tag::Strikethrough
            | Tag::Superscript
            | Tag::Subscript
            | Tag::Link { .. }
            | Tag::Image { .. } => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Heading(level) => {
                let title = self.flow.end_heading(level as u8);
                if level == HeadingLevel::H1 && self.title.is_none() {
                    self.title = metadata::clean(&title);
                }
            }
            TagEnd::List(_) => self.flow.end_list(),
            TagEnd::CodeBlock => self.flow.verbatim(&self.raw.take().unwrap_or_default()),
            TagEnd::HtmlBlock => {
                let source = self.raw.take().unwrap_or_default();
                self.flow.verbatim(&html::text_of_fragment(&source, self.limits));
            }
            TagEnd::MetadataBlock(_) => {
                let source = self.raw.take().unwrap_or_default();
                front_matter(&source, &mut self.metadata);
            }
            TagEnd::TableCell => self.flow.end_cell(),
            TagEnd::TableHead | TagEnd::TableRow => self.flow.end_row(),
            TagEnd::Paragraph
            | TagEnd::Item
            | TagEnd::BlockQuote(_)
            | TagEnd::FootnoteDefinition
            | TagEnd::DefinitionList
            | TagEnd::DefinitionListTitle
            | TagEnd::DefinitionListDefinition
            | TagEnd::Table => self.flow.end_block(),
            TagEnd::Emphasis
            | TagEnd::Strong
            | TagEnd::Strikethrough
            | TagEnd::Superscript
            | TagEnd::Subscript
            | TagEnd::Link
            | TagEnd::Image => {}
        }
    }
}

/// Takes the fields out of a front matter: `key: value`, `key: [a, b]` and lists of `- item` lines,
/// which is what documents use of YAML.
fn front_matter(source: &str, fields: &mut Payload) {
    let mut lists: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let mut open: Option<String> = None;
    for line in source.lines() {
        if let (Some(item), Some(key)) = (line.trim_start().strip_prefix("- "), &open) {
            lists.entry(key.clone()).or_default().extend(scalar(item).map(Value::Text));
            continue;
        }
        let Some((key, value)) =
            line.split_once(':').filter(|_| !line.starts_with([' ', '\t', '#']))
        else {
            continue;
        };
        let (key, value) = (key.trim().to_ascii_lowercase(), value.trim());
        open = None;
        if value.is_empty() {
            open = Some(key);
        } else if let Some(items) = value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'))
        {
            let items = items.split(',').filter_map(scalar).map(Value::Text).collect();
            metadata::add_value(fields, &key, Value::Array(items));
        } else if let Some(value) = scalar(value) {
            metadata::add_time(fields, &key, &value);
        }
    }
    for (key, items) in lists {
        metadata::add_value(fields, &key, Value::Array(items));
    }
}

fn scalar(value: &str) -> Option<String> {
    let value = value.trim();
    let unquoted = ['"', '\'']
        .into_iter()
        .find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote))
        .unwrap_or(value);
    metadata::clean(unquoted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(source: &str) -> TextContent {
        decode(source, &Limits::default()).unwrap()
    }

    #[test]
    fn marks_go_and_structure_stays() {
        let content = read(
            "# The *mill*\n\nIt **stood** by [the river](http://example.org)\nfor `years`.\n\n## Parts\n\n\
             - wheel\n- stones\n  1. upper\n  2. lower\n\n| part | age |\n|---|---|\n| wheel | 90 |\n\n\
             ```rust\nfn main() {\n    turn();\n}\n```\n\n<div>A <b>note</b></div>\n\n![A picture](a.png)\n",
        );
        assert_eq!(
            content.text,
            "The mill\n\nIt stood by the river for years.\n\nParts\n\n- wheel\n- stones\n  1. upper\n  \
             2. lower\n\npart | age\nwheel | 90\n\nfn main() {\n    turn();\n}\n\nA note\n\nA picture"
        );
        assert_eq!(content.title.as_deref(), Some("The mill"));
        let headings: Vec<_> =
            content.sections.iter().map(|section| section.heading.as_deref()).collect();
        assert_eq!(headings, [Some("The mill"), Some("The mill > Parts")]);
    }

    #[test]
    fn front_matter_becomes_title_and_metadata() {
        let content = read(
            "---\ntitle: \"The cat: a life\"\nauthor: Maintainers\ndate: 2024-05-01\ntags: [cats, mice]\n\
             places:\n  - garden\n  - wall\n---\n\n猫追逐\n老鼠。\n",
        );
        assert_eq!(content.text, "猫追逐老鼠。");
        assert_eq!(content.title.as_deref(), Some("The cat: a life"));
        let text = |text: &str| Value::Text(text.to_owned());
        assert_eq!(content.metadata["date"], text("2024-05-01T00:00:00Z"));
        assert_eq!(content.metadata["tags"], Value::Array(vec![text("cats"), text("mice")]));
        assert_eq!(content.metadata["places"], Value::Array(vec![text("garden"), text("wall")]));
        assert!(!content.metadata.contains_key("title"));
    }

    #[test]
    fn deep_nesting_is_no_trouble() {
        let source = format!("{}deep", "> - ".repeat(20_000));
        assert!(read(&source).text.contains("deep"));
    }
}
