use std::cell::RefCell;

use html5ever::buffer_queue::BufferQueue;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{
    Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};

use super::flow::Flow;
use super::{DecodeError, Format, Limits, TextContent, metadata};
use crate::document::Payload;

/// A tag with more attributes than this is none that a person or a program wrote for a browser. The
/// tokenizer compares each attribute with all others of its tag.
const ATTRIBUTES_MAX: usize = 10_000;

/// Less text than this in the marked main part of a page is a sign of a wrong mark.
const MAIN_BYTES_MIN: usize = 200;

/// Returns the text that a reader of the page sees, without navigation, footers and the like.
///
/// The tags are read as they come and no tree is built: a tree of hostile nesting costs time that
/// grows with the square of its depth.
pub(super) fn decode(source: &str, limits: &Limits) -> Result<TextContent, DecodeError> {
    if has_monstrous_tag(source) {
        return Err(DecodeError::Damaged {
            format: Format::Html,
            reason: format!("a tag has more than {ATTRIBUTES_MAX} attributes"),
        });
    }
    let whole = read(source, limits, Scope::Page);
    let main = match (whole.mains, whole.articles) {
        (0, 1) => Some("article"),
        (0, _) => None,
        _ => Some("main"),
    };
    let mut page = whole.finish()?;
    if let Some(name) = main {
        let part = read(source, limits, Scope::Inside(name)).finish()?;
        if part.text.len() >= MAIN_BYTES_MIN.min(page.text.len()) {
            (page.text, page.sections) = (part.text, part.sections);
        }
    }
    if page.text.is_empty() {
        // A page that is all navigation, or one whose navigation never ends.
        let all = read(source, limits, Scope::Everything).finish()?;
        (page.text, page.sections) = (all.text, all.sections);
    }
    Ok(page)
}

/// Returns the text of a piece of HTML inside another format.
pub(super) fn text_of_fragment(source: &str, limits: &Limits) -> String {
    if has_monstrous_tag(source) {
        return String::new();
    }
    read(source, limits, Scope::Everything).finish().map(|content| content.text).unwrap_or_default()
}

/// Which part of a page is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// All but navigation, headers, footers and asides.
    Page,
    /// The elements of this name alone.
    Inside(&'static str),
    /// All that is text.
    Everything,
}

fn read(source: &str, limits: &Limits, scope: Scope) -> Reader {
    let sink = Sink(RefCell::new(Reader::new(limits, scope)));
    let tokenizer = Tokenizer::new(sink, TokenizerOpts::default());
    let input = BufferQueue::default();
    input.push_back(StrTendril::from_slice(source));
    // Whatever the sink answers, each call reads on, so that this ends with the input.
    while !input.is_empty() {
        drop(tokenizer.feed(&input));
    }
    tokenizer.end();
    tokenizer.sink.0.into_inner()
}

/// Returns whether a tag has more parts than one may have; blanks inside quotes count as well, which
/// is as well.
fn has_monstrous_tag(source: &str) -> bool {
    let mut parts = 0;
    let mut quote: Option<u8> = None;
    let mut is_inside = false;
    let bytes = source.as_bytes();
    for (at, &byte) in bytes.iter().enumerate() {
        match (is_inside, quote, byte) {
            (false, _, b'<') if bytes.get(at + 1).is_some_and(u8::is_ascii_alphabetic) => {
                (is_inside, parts) = (true, 0);
            }
            (true, None, b'>') => is_inside = false,
            (true, None, b'"' | b'\'') if at > 0 && bytes[at - 1] == b'=' => quote = Some(byte),
            (true, Some(open), _) if byte == open => quote = None,
            (true, None, b' ' | b'\t' | b'\n' | b'\r' | b'/' | 0x0C | b'"' | b'\'') => {
                parts += 1;
                if parts > ATTRIBUTES_MAX {
                    return true;
                }
            }
            _ => {}
        }
    }
    false
}

struct Sink(RefCell<Reader>);

impl TokenSink for Sink {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut reader = self.0.borrow_mut();
        if reader.flow.is_full() {
            return TokenSinkResult::Continue;
        }
        match token {
            Token::TagToken(tag) if tag.kind == TagKind::StartTag => return reader.start(&tag),
            Token::TagToken(tag) => reader.end(&tag.name),
            Token::CharacterTokens(text) => reader.text(&text),
            Token::DoctypeToken(_)
            | Token::CommentToken(_)
            | Token::NullCharacterToken
            | Token::EOFToken
            | Token::ParseError(_) => {}
        }
        TokenSinkResult::Continue
    }
}

struct Reader {
    flow: Flow,
    scope: Scope,
    /// How many elements of the scope's name are open.
    scope_depth: usize,
    mains: usize,
    articles: usize,
    /// The element that is passed over, and how many of its name are open.
    passed_over: Option<(String, usize)>,
    preformatted: usize,
    title: Option<String>,
    is_in_title: bool,
    first_heading: Option<String>,
    metadata: Payload,
}

impl Reader {
    fn new(limits: &Limits, scope: Scope) -> Self {
        Self {
            flow: Flow::new(limits.text_bytes_max),
            scope,
            scope_depth: 0,
            mains: 0,
            articles: 0,
            passed_over: None,
            preformatted: 0,
            title: None,
            is_in_title: false,
            first_heading: None,
            metadata: Payload::new(),
        }
    }

    fn finish(self) -> Result<TextContent, DecodeError> {
        let (text, sections) = self.flow.finish()?;
        Ok(TextContent {
            text,
            sections,
            title: self.title.as_deref().and_then(metadata::clean).or(self.first_heading),
            metadata: self.metadata,
            format: Format::Html,
            warnings: Vec::new(),
        })
    }

    fn start(&mut self, tag: &Tag) -> TokenSinkResult<()> {
        let name: &str = &tag.name;
        if let Some((passed, open)) = &mut self.passed_over {
            *open += usize::from(passed == name && !tag.self_closing);
            return raw_kind(name);
        }
        if is_unread(name) || (self.scope != Scope::Everything && self.is_beside_the_text(tag)) {
            // Browsers heed `/>` in foreign elements only; a script that ends so goes on.
            let is_closed = tag.self_closing && raw_kind(name) == TokenSinkResult::Continue;
            if !is_closed && !is_void(name) {
                self.flow.end_block();
                self.passed_over = Some((name.to_owned(), 1));
            }
            return raw_kind(name);
        }
        match name {
            "title" => self.is_in_title = self.title.is_none(),
            "meta" => self.meta(tag),
            "html" => {
                if let Some(language) = attribute(tag, "lang") {
                    metadata::add(&mut self.metadata, "language", language);
                }
            }
            _ => self.open(name, tag),
        }
        raw_kind(name)
    }

    fn open(&mut self, name: &str, tag: &Tag) {
        self.mains += usize::from(name == "main");
        self.articles += usize::from(name == "article");
        if matches!(self.scope, Scope::Inside(scope) if scope == name) {
            self.scope_depth += 1;
        }
        match name {
            "br" => self.flow.inline.end_line(),
            "img" if self.is_in_scope() => {
                if let Some(text) = attribute(tag, "alt") {
                    self.flow.inline.push(text);
                }
            }
            "ul" | "menu" => self.flow.begin_list(None),
            "ol" => {
                let first = attribute(tag, "start").and_then(|start| start.parse().ok());
                self.flow.begin_list(Some(first.unwrap_or(1)));
            }
            "li" => self.flow.begin_item(),
            "table" => self.flow.begin_table(),
            "tr" => self.flow.end_row(),
            "td" | "th" => self.flow.begin_cell(),
            "pre" => {
                self.flow.end_block();
                self.preformatted += 1;
            }
            _ if is_block(name) => self.flow.end_block(),
            _ => {}
        }
    }

    fn end(&mut self, name: &str) {
        if let Some((passed, open)) = &mut self.passed_over {
            if passed == name {
                *open -= 1;
                if *open == 0 {
                    self.passed_over = None;
                }
            }
            return;
        }
        match name {
            "title" => self.is_in_title = false,
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                let title = self.flow.end_heading(name.as_bytes()[1] - b'0');
                if self.first_heading.is_none() {
                    self.first_heading = metadata::clean(&title);
                }
            }
            "ul" | "ol" | "menu" => self.flow.end_list(),
            "td" | "th" => self.flow.end_cell(),
            "tr" => self.flow.end_row(),
            "table" => self.flow.end_table(),
            "pre" => {
                self.flow.end_block();
                self.preformatted = self.preformatted.saturating_sub(1);
            }
            _ if is_block(name) => self.flow.end_block(),
            _ => {}
        }
        if matches!(self.scope, Scope::Inside(scope) if scope == name) {
            self.scope_depth = self.scope_depth.saturating_sub(1);
        }
    }

    fn text(&mut self, text: &str) {
        if self.is_in_title {
            self.title.get_or_insert_default().push_str(text);
        } else if self.passed_over.is_some() || !self.is_in_scope() {
        } else if self.preformatted > 0 {
            self.flow.inline.push_verbatim(text);
        } else {
            self.flow.inline.push(text);
        }
    }

    fn is_in_scope(&self) -> bool {
        !matches!(self.scope, Scope::Inside(_)) || self.scope_depth > 0
    }

    fn meta(&mut self, tag: &Tag) {
        let name = attribute(tag, "name").or_else(|| attribute(tag, "property"));
        let (Some(name), Some(content)) = (name, attribute(tag, "content")) else {
            return;
        };
        match name.to_ascii_lowercase().as_str() {
            "author" | "dc.creator" | "article:author" => {
                metadata::add(&mut self.metadata, "author", content);
            }
            "description" | "og:description" | "dc.description" => {
                metadata::add(&mut self.metadata, "description", content);
            }
            "keywords" => metadata::add(&mut self.metadata, "keywords", content),
            "date" | "dc.date" | "dcterms.created" | "article:published_time" => {
                metadata::add_time(&mut self.metadata, "created", content);
            }
            "dcterms.modified" | "article:modified_time" | "last-modified" => {
                metadata::add_time(&mut self.metadata, "modified", content);
            }
            _ => {}
        }
    }

    /// Returns whether the element is there for finding one's way or is hidden.
    fn is_beside_the_text(&self, tag: &Tag) -> bool {
        let name: &str = &tag.name;
        let role = attribute(tag, "role").unwrap_or("");
        let is_in_main = matches!(self.scope, Scope::Inside(_)) && self.scope_depth > 0;
        matches!(name, "nav" | "aside")
            || (matches!(name, "header" | "footer") && !is_in_main && self.articles == 0)
            || matches!(role, "navigation" | "search" | "complementary" | "contentinfo")
            || (is_closed_by_its_end(name) && is_hidden(tag))
    }
}

fn attribute<'t>(tag: &'t Tag, name: &str) -> Option<&'t str> {
    let found = tag.attrs.iter().find(|attribute| &*attribute.name.local == name);
    found.map(|attribute| &*attribute.value)
}

fn is_hidden(tag: &Tag) -> bool {
    attribute(tag, "hidden").is_some()
        || attribute(tag, "aria-hidden") == Some("true")
        || attribute(tag, "style")
            .is_some_and(|style| style.replace(' ', "").contains("display:none"))
}

/// Returns whether pages write the end of the element, so that it can be found.
fn is_closed_by_its_end(name: &str) -> bool {
    matches!(name, "div" | "span" | "section" | "ul" | "ol" | "table" | "a" | "article" | "form")
}

/// Returns whether what is inside is no text.
fn is_unread(name: &str) -> bool {
    matches!(
        name,
        "script"
            | "style"
            | "noscript"
            | "template"
            | "svg"
            | "math"
            | "iframe"
            | "object"
            | "canvas"
            | "audio"
            | "video"
            | "select"
            | "button"
            | "textarea"
            | "noframes"
            | "dialog"
            | "datalist"
            | "input"
            | "embed"
    )
}

fn is_void(name: &str) -> bool {
    matches!(
        name,
        "area"
            | "base"
            | "br"
            | "col"
            | "embed"
            | "hr"
            | "img"
            | "input"
            | "link"
            | "meta"
            | "param"
            | "source"
            | "track"
            | "wbr"
    )
}

fn is_block(name: &str) -> bool {
    matches!(
        name,
        "address"
            | "article"
            | "blockquote"
            | "body"
            | "center"
            | "dd"
            | "details"
            | "div"
            | "dl"
            | "dt"
            | "fieldset"
            | "figcaption"
            | "figure"
            | "footer"
            | "form"
            | "h1"
            | "h2"
            | "h3"
            | "h4"
            | "h5"
            | "h6"
            | "header"
            | "hgroup"
            | "hr"
            | "legend"
            | "li"
            | "main"
            | "nav"
            | "ol"
            | "p"
            | "section"
            | "summary"
            | "caption"
    )
}

/// Tells the tokenizer where tags are no tags.
fn raw_kind(name: &str) -> TokenSinkResult<()> {
    match name {
        "script" => TokenSinkResult::RawData(RawKind::ScriptData),
        "style" | "xmp" | "iframe" | "noembed" | "noframes" => {
            TokenSinkResult::RawData(RawKind::Rawtext)
        }
        "title" | "textarea" => TokenSinkResult::RawData(RawKind::Rcdata),
        _ => TokenSinkResult::Continue,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Value;

    fn read(source: &str) -> TextContent {
        decode(source, &Limits::default()).unwrap()
    }

    #[test]
    fn a_page_is_read_without_what_surrounds_it() {
        let content = read(
            "<!doctype html><html lang=en><head><title>Mill &amp; river</title>\
             <meta name=author content='Maintainers'>\
             <meta property='article:published_time' content='2024-05-01T10:00:00+02:00'>\
             <style>p { color: red }</style><script>if (a < b) document.write('<p>no</p>')</script></head>\
             <body><header>Logo</header><nav><ul><li>Home</li></ul></nav>\
             <h1>The mill</h1><p>It stood\n by <b>the</b> river &mdash; long.<br>Then it fell.\
             <h2>Parts</h2><ul><li>wheel<li>stones<ol><li>upper</li><li>lower</li></ol></ul>\
             <table><tr><th>part<th>age</tr><tr><td><p>wheel</p></td><td>90</td></tr></table>\
             <pre>a\n  b</pre><p hidden>kept, its end is not written<div hidden>unseen <div>x</div></div>\
             <img alt='A wheel'><script src=x />gone</script><footer>© 2024</footer></body></html>",
        );
        assert_eq!(
            content.text,
            "The mill\n\nIt stood by the river — long.\nThen it fell.\n\nParts\n\n- wheel\n- stones\n  \
             1. upper\n  2. lower\n\npart | age\nwheel | 90\n\na\n  b\n\nkept, its end is not \
             written\n\nA wheel"
        );
        assert_eq!(content.title.as_deref(), Some("Mill & river"));
        assert_eq!(content.sections[1].heading.as_deref(), Some("The mill > Parts"));
        assert_eq!(content.metadata["author"], Value::Text("Maintainers".to_owned()));
        assert_eq!(content.metadata["created"], Value::Text("2024-05-01T08:00:00Z".to_owned()));
        assert_eq!(content.metadata["language"], Value::Text("en".to_owned()));
    }

    #[test]
    fn the_marked_main_part_goes_before_the_rest() {
        let body = "<p>A sentence of the main part.</p>".repeat(10);
        let content = read(&format!(
            "<body><div class=menu>Menu</div><main><header><h1>Top</h1></header>{body}</main>\
             <div>Related links</div>"
        ));
        assert!(content.text.starts_with("Top\n\nA sentence"));
        assert!(!content.text.contains("Menu") && !content.text.contains("Related"));
        let tiny = read(
            "<body><p>A long text outside of a main part that was left empty.</p><main></main>",
        );
        assert!(tiny.text.starts_with("A long text"));
    }

    #[test]
    fn a_navigation_without_end_does_not_swallow_the_page() {
        assert_eq!(
            read("<body><nav>Menu<p>The text of the page.").text,
            "Menu\n\nThe text of the page."
        );
    }

    #[test]
    fn a_table_that_is_a_layout_is_read_as_text() {
        let content = read(
            "<table><tr><td><h1>Head</h1><p>One.</p><p>Two.</p></td></tr>\
             <tr><td><table><tr><td>a</td><td>b</td></tr></table></td></tr></table>",
        );
        assert_eq!(content.text, "Head\n\nOne.\n\nTwo.\n\na | b");
    }

    #[test]
    fn hostile_nesting_and_attributes_are_read_in_linear_time_or_refused() {
        let deep = format!("{}text", "<div><p><b>".repeat(100_000));
        assert_eq!(read(&deep).text, "text");
        let wide =
            format!("<p {}>text", (0..200_000).map(|n| format!("a{n}=1 ")).collect::<String>());
        assert_eq!(
            decode(&wide, &Limits::default()).unwrap_err().to_string(),
            "the HTML is damaged: a tag has more than 10000 attributes"
        );
        let data = format!("<img alt='x' src=\"data:{}\">", "a b ".repeat(100_000));
        assert_eq!(read(&data).text, "x");
    }
}
