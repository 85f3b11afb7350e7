//! Which characters does a page show, and where?

use hayro_interpret::font::{Glyph as DrawnGlyph, GlyphRun};
use hayro_interpret::hayro_cmap::{BfString, WritingMode};
use hayro_interpret::hayro_syntax::object::{Dict, String as PdfString};
use hayro_interpret::kurbo::{Affine, BezPath, Point, Rect, Vec2};
use hayro_interpret::{
    BlendMode, ClipPath, Device, DrawMode, DrawProps, Image, ImageDrawProps, SoftMask,
};
use icu_normalizer::{ComposingNormalizer, ComposingNormalizerBorrowed};

use super::super::writer::is_unseen;
use super::text_of;
use crate::cancel::Cancellation;

/// A font's own unit: glyphs are drawn a thousand to the em.
const EM: f64 = 1_000.0;

/// Every form that is drawn begins with a clip, and costs this much more than a path. Forms that draw
/// forms are the one way to draw without end.
const STEPS_OF_A_FORM: usize = 20;

/// How often the token is asked, in drawing steps.
const STEPS_A_CHECK: u64 = 1_024;

/// One glyph of a page that means a text. Lengths are in points.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Glyph {
    /// Usually one character; a ligature's are several.
    pub(super) text: String,
    /// Where it begins, the page's origin being at the top left and y growing downwards.
    pub(super) origin: Point,
    /// In which direction text is read, of length one.
    pub(super) direction: Vec2,
    pub(super) advance: f64,
    /// The size of the font as it is seen.
    pub(super) size: f64,
}

/// What a page shows.
#[derive(Debug, Default)]
pub(super) struct Shown {
    pub(super) glyphs: Vec<Glyph>,
    /// Glyphs that no table gives a character for.
    pub(super) unknown: usize,
    pub(super) images: usize,
}

/// Why the drawing of a page was ended early; thrown through the interpreter, which knows no other
/// way to be ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// The page draws more than any page does.
    Spent,
    /// The work is no longer wanted.
    Cancelled,
}

/// A device that draws nothing and remembers the glyphs.
pub(super) struct Collector<'c> {
    pub(super) shown: Shown,
    steps_left: u64,
    cancel: &'c Cancellation,
    /// For each open marked content, what it says about the text inside.
    marks: Vec<Mark>,
    normalizer: ComposingNormalizerBorrowed<'static>,
}

#[derive(Debug)]
enum Mark {
    /// Nothing of interest.
    Other,
    /// A page number, a running title, or decoration.
    Artifact,
    /// The text is not what the glyphs say; written with the first of them.
    Instead(Option<String>),
}

impl<'c> Collector<'c> {
    pub(super) fn new(steps: u64, cancel: &'c Cancellation) -> Self {
        Self {
            shown: Shown::default(),
            steps_left: steps,
            cancel,
            marks: Vec::new(),
            normalizer: ComposingNormalizer::new_nfkc(),
        }
    }

    /// Returns what was collected since the last call.
    pub(super) fn take(&mut self) -> Shown {
        self.marks.clear();
        std::mem::take(&mut self.shown)
    }

    pub(super) fn steps_left(&self) -> u64 {
        self.steps_left
    }

    fn step(&mut self, steps: usize) {
        let before = self.steps_left / STEPS_A_CHECK;
        self.steps_left = self.steps_left.saturating_sub(steps as u64 + 1);
        if self.steps_left == 0 {
            std::panic::resume_unwind(Box::new(Ended::Spent));
        }
        if self.steps_left / STEPS_A_CHECK != before && self.cancel.is_ended() {
            std::panic::resume_unwind(Box::new(Ended::Cancelled));
        }
    }

    fn add(&mut self, glyph: &DrawnGlyph<'_>, transform: Affine, is_vertical: bool) {
        let text = match self.marks.iter_mut().rev().find_map(|mark| match mark {
            Mark::Instead(text) => Some(text.take().unwrap_or_default()),
            Mark::Other | Mark::Artifact => None,
        }) {
            Some(text) => text,
            None => match glyph.as_unicode() {
                Some(BfString::Char(character)) => self.cleaned(&[character]),
                Some(BfString::String(text)) => self.cleaned(&text.chars().collect::<Vec<_>>()),
                None => {
                    self.shown.unknown += 1;
                    return;
                }
            },
        };
        let [a, b, c, d, e, f] = transform.as_coeffs();
        let (along, up) = (Vec2::new(a, b), Vec2::new(c, d));
        let size = up.hypot() * EM;
        let advance = match glyph {
            DrawnGlyph::Outline(glyph) => glyph.advance_width(),
            DrawnGlyph::Type3(glyph) => glyph.advance_width(),
        };
        // Vertical text goes down its em boxes, whatever the widths are.
        let (direction, advance) = if is_vertical {
            (-up, size)
        } else {
            (along, along.hypot() * f64::from(advance.unwrap_or(500.0)))
        };
        let length = direction.hypot();
        if text.is_empty() {
            // What another text stands for still takes its place.
            if let Some(last) = self.shown.glyphs.last_mut() {
                let end = (Point::new(e, f) - last.origin).dot(last.direction) + advance;
                last.advance = if end.is_finite() { last.advance.max(end) } else { last.advance };
            }
            return;
        }
        let is_sound = [e, f, size, advance].iter().all(|number| number.is_finite());
        if is_sound && length > 0.0 && size > 0.0 {
            let direction = direction / length;
            self.shown.glyphs.push(Glyph {
                text,
                origin: Point::new(e, f),
                direction,
                advance,
                size,
            });
        }
    }

    /// Returns the characters as a person types them: ligatures and presentation forms taken apart,
    /// radicals that stand for whole characters as these characters.
    fn cleaned(&self, characters: &[char]) -> String {
        let mut text = String::with_capacity(4);
        for &character in characters {
            match character {
                '\u{FB00}'..='\u{FDFF}'
                | '\u{FE70}'..='\u{FEFC}'
                | '\u{2F00}'..='\u{2FDF}'
                | '\u{2E9F}'
                | '\u{2EF3}'
                | '\u{F900}'..='\u{FAFF}' => {
                    let source = character.to_string();
                    text.push_str(&self.normalizer.normalize(&source));
                }
                // Where symbol fonts put their bullets.
                '\u{F0B7}' | '\u{F0A7}' => text.push('•'),
                '\u{AD}' => text.push(character),
                _ if character.is_whitespace() => text.push(' '),
                _ if is_unseen(character) => {}
                _ => text.push(character),
            }
        }
        text
    }
}

impl<'a> Device<'a> for Collector<'_> {
    fn draw_glyph_run(&mut self, run: &GlyphRun<'_, 'a>, props: DrawProps<'a>, mode: &DrawMode) {
        self.step(run.glyphs().len());
        // Text that is filled and stroked comes twice.
        let is_second = matches!(mode, DrawMode::Stroke(_))
            && self.shown.glyphs.last().is_some_and(|last| {
                run.glyphs().last().is_some_and(|glyph| {
                    let at = (props.transform * glyph.transform()).translation();
                    (at.to_point() - last.origin).hypot() < 0.01
                })
            });
        if is_second || self.marks.iter().any(|mark| matches!(mark, Mark::Artifact)) {
            return;
        }
        let is_vertical = run.writing_mode() == WritingMode::Vertical;
        for glyph in run.glyphs() {
            self.add(glyph, props.transform * glyph.transform(), is_vertical);
        }
    }

    fn begin_marked_content(&mut self, tag: &[u8], properties: Option<&Dict<'_>>) {
        self.step(0);
        let instead =
            properties.and_then(|properties| properties.get::<PdfString<'_>>("ActualText"));
        self.marks.push(match instead {
            Some(text) => {
                let text: Vec<char> = text_of(text.as_bytes()).chars().collect();
                Mark::Instead(Some(self.cleaned(&text)))
            }
            None if tag == b"Artifact" => Mark::Artifact,
            None => Mark::Other,
        });
    }

    fn end_marked_content(&mut self) {
        self.step(0);
        self.marks.pop();
    }

    fn draw_image(&mut self, _: Image<'a, '_>, _: ImageDrawProps<'a>) {
        self.step(0);
        self.shown.images += 1;
    }

    fn draw_path(&mut self, _: &BezPath, _: DrawProps<'a>, _: &DrawMode) {
        self.step(0);
    }

    fn draw_rect(&mut self, _: &Rect, _: DrawProps<'a>, _: &DrawMode) {
        self.step(0);
    }

    fn push_clip_path(&mut self, _: &ClipPath) {
        self.step(STEPS_OF_A_FORM);
    }

    fn push_clip_rect(&mut self, _: &Rect) {
        self.step(0);
    }

    fn push_transparency_group(&mut self, _: f32, _: Option<SoftMask<'a>>, _: BlendMode) {
        self.step(0);
    }

    fn pop_clip(&mut self) {}

    fn pop_transparency_group(&mut self) {}
}
