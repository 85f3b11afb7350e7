use std::cell::Cell;
use std::ops::Range;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{ChunkOptions, CountTokens, Passage, chunk};
use crate::cancel::{Cancellation, Interrupted};
use crate::document::Section;

/// A token is a word, or one character of a script without blanks; the bytes seen are counted.
#[derive(Default)]
struct Words {
    bytes_seen: Cell<usize>,
}

impl CountTokens for Words {
    fn token_ranges(&self, text: &str) -> Vec<Range<usize>> {
        self.bytes_seen.set(self.bytes_seen.get() + text.len());
        let mut tokens: Vec<Range<usize>> = Vec::new();
        let mut is_inside = false;
        for (at, character) in text.char_indices() {
            let end = at + character.len_utf8();
            match tokens.last_mut() {
                Some(last) if is_inside && character.is_ascii_alphanumeric() => last.end = end,
                _ if !character.is_whitespace() => tokens.push(at..end),
                _ => {}
            }
            is_inside = character.is_ascii_alphanumeric();
        }
        tokens
    }

    fn is_additive(&self) -> bool {
        true
    }
}

/// A token is four characters from the beginning of whatever it is given, so that every cut changes
/// all tokens after it.
struct Fours;

impl CountTokens for Fours {
    fn token_ranges(&self, text: &str) -> Vec<Range<usize>> {
        let starts: Vec<usize> = text.char_indices().map(|(at, _)| at).step_by(4).collect();
        let ends = starts.iter().copied().skip(1).chain([text.len()]);
        starts.iter().copied().zip(ends).map(|(start, end)| start..end).collect()
    }
}

fn cut(text: &str, sections: &[Section], tokens_max: usize, tokens_overlap: usize) -> Vec<Passage> {
    let options = ChunkOptions { tokens_max, tokens_overlap, ..ChunkOptions::default() };
    chunk(text, sections, &Words::default(), &options, &Cancellation::new()).unwrap()
}

fn texts<'t>(text: &'t str, passages: &[Passage]) -> Vec<&'t str> {
    passages.iter().map(|passage| &text[passage.bytes.clone()]).collect()
}

fn section(bytes: Range<usize>, page: Option<u32>, heading: &str) -> Section {
    Section { bytes, page, heading: Some(heading.to_owned()).filter(|path| !path.is_empty()) }
}

/// Builds a text of the parts and a section for each.
fn sectioned(parts: &[(&str, Option<u32>, &str)]) -> (String, Vec<Section>) {
    let mut text = String::new();
    let mut sections = Vec::new();
    for (part, page, heading) in parts {
        let start = text.len();
        text.push_str(part);
        sections.push(section(start..text.len(), *page, heading));
        text.push_str("\n\n");
    }
    (text, sections)
}

#[test]
fn cuts_fall_between_sentences() {
    let text = "The mill stood by the river. Nobody had worked in it for years. Rain came through \
                the roof. The wheel still turned.";
    let passages = cut(text, &[], 16, 0);
    assert_eq!(
        texts(text, &passages),
        [
            "The mill stood by the river. Nobody had worked in it for years.",
            "Rain came through the roof. The wheel still turned.",
        ]
    );
    assert_eq!(passages[1].tokens, 11);
}

#[test]
fn cuts_fall_between_sentences_in_chinese_and_japanese() {
    let chinese =
        "春天来了。河边的柳树发芽了！孩子们在草地上放风筝，老人们坐在长椅上聊天。你看见了吗？";
    let passages = cut(chinese, &[], 24, 0);
    assert_eq!(
        texts(chinese, &passages),
        [
            "春天来了。河边的柳树发芽了！",
            "孩子们在草地上放风筝，老人们坐在长椅上聊天。",
            "你看见了吗？"
        ]
    );
    let japanese = "朝の市場はにぎやかだ。「魚はいかがですか。」と店の人が言った。私は鯛を買った。";
    let passages = cut(japanese, &[], 24, 0);
    assert!(texts(japanese, &passages).iter().all(|text| text.ends_with(['。', '」'])));
    assert_eq!(passages.len(), 2);
}

#[test]
fn thai_is_cut_at_blanks_and_else_between_words() {
    let blanks = "แมวนอนอยู่บนเก้าอี้ หมาวิ่งเล่นในสวน นกร้องเพลงตอนเช้า เด็กไปโรงเรียนทุกวัน";
    let passages = cut(blanks, &[], 30, 0);
    assert!(passages.len() > 1);
    for passage in &passages {
        let after = &blanks[passage.bytes.end..];
        assert!(after.is_empty() || after.starts_with(' '), "cut inside a clause before {after:?}");
    }
    let unbroken = blanks.replace(' ', "");
    let words: Vec<usize> = icu_segmenter::WordSegmenter::new_dictionary(Default::default())
        .segment_str(&unbroken)
        .collect();
    let passages = cut(&unbroken, &[], 30, 0);
    assert!(passages.len() > 1);
    assert!(passages.iter().all(|passage| words.contains(&passage.bytes.end)));
}

#[test]
fn a_wrapped_line_is_no_border_and_a_verse_is_one() {
    let wrapped = "It was a bright cold morning in the harbour, and\nthe bells of the old church \
                   had just begun to ring\nwhen the ferry came in. Few people were waiting.";
    let passages = cut(wrapped, &[], 30, 0);
    assert!(texts(wrapped, &passages)[0].ends_with("when the ferry came in."));
    let verses = "Tick the clock upon the wall\nTock the clock along the hall\nTick\n\nLong ago\n";
    let passages = cut(verses, &[], 8, 0);
    assert_eq!(
        texts(verses, &passages),
        ["Tick the clock upon the wall", "Tock the clock along the hall\nTick", "Long ago"]
    );
}

#[test]
fn an_abbreviation_ends_no_sentence() {
    let text = "We asked Dr. Lee about it at length today. She saw J. Ott and Mr. Pim there once.";
    let passages = cut(text, &[], 13, 0);
    assert_eq!(texts(text, &passages)[1], "She saw J. Ott and Mr. Pim there once.");
}

#[test]
fn a_long_sentence_is_cut_at_clauses_rather_than_words() {
    let text = "when the snow had gone from the lower fields, when the carts could pass again, when \
                the first boats came up from the sea, the merchants opened their doors and";
    for part in texts(text, &cut(text, &[], 20, 0)).iter().rev().skip(1) {
        assert!(part.ends_with(','), "{part:?}");
    }
}

#[test]
fn an_end_of_a_paragraph_is_preferred_to_an_end_of_a_sentence() {
    let text = "One two three four. Five six seven eight.\n\nNine ten. Eleven twelve thirteen \
                fourteen fifteen. Sixteen.";
    let passages = cut(text, &[], 14, 0);
    assert!(texts(text, &passages)[0].ends_with("eight."));
}

#[test]
fn passages_repeat_whole_sentences_up_to_the_overlap() {
    let sentences: Vec<String> =
        (0..40).map(|n| format!("Sentence number {n} ends here.")).collect();
    let text = sentences.join(" ");
    let passages = cut(&text, &[], 30, 12);
    assert!(passages.len() > 5);
    for pair in passages.windows(2) {
        let shared = &text[pair[1].bytes.start..pair[0].bytes.end];
        assert_eq!(shared.matches("Sentence").count(), 2, "{shared:?}");
        assert!(shared.starts_with("Sentence") && shared.ends_with("here."));
    }
}

#[test]
fn different_headings_are_never_in_one_passage() {
    let body = "Words of a body that is long enough to stand alone here.";
    let (text, sections) =
        sectioned(&[(body, None, "Apples"), (body, None, "Pears"), (body, None, "Pears > Ripe")]);
    let passages = cut(&text, &sections, 40, 5);
    let headings: Vec<_> = passages.iter().map(|passage| passage.heading.as_deref()).collect();
    assert_eq!(headings, [Some("Apples"), Some("Pears"), Some("Pears > Ripe")]);
}

#[test]
fn short_neighbours_under_one_parent_go_together() {
    let (text, sections) = sectioned(&[
        ("Opening hours", None, "Library"),
        ("Monday\nnine to five", None, "Library > Monday"),
        ("Tuesday\nnine to six", None, "Library > Tuesday"),
        ("Museum\nclosed", None, "Museum"),
    ]);
    let passages = cut(&text, &sections, 64, 0);
    let headings: Vec<_> = passages.iter().map(|passage| passage.heading.as_deref()).collect();
    assert_eq!(headings, [Some("Library"), Some("Museum")]);
}

#[test]
fn a_heading_with_nothing_under_it_goes_to_the_first_section_below() {
    let body = "Body\nA body that is long enough to be a passage of its own, with many more words.";
    let (text, sections) = sectioned(&[
        ("Part", None, "Part"),
        ("Chapter", None, "Part > Chapter"),
        (body, None, "Part > Chapter > Body"),
    ]);
    let passages = cut(&text, &sections, 24, 0);
    assert_eq!(passages.len(), 1);
    assert_eq!(passages[0].heading.as_deref(), Some("Part > Chapter > Body"));
    assert_eq!(&text[passages[0].bytes.clone()], text.trim());
}

#[test]
fn a_sentence_runs_on_over_the_page_and_the_passage_names_the_page_it_begins_on() {
    let text = "The first page ends in the middle of a sentence that\ngoes on after the page was \
                turned. Then a second sentence stands there. And a third one ends it.";
    let turn = text.find('\n').unwrap() + 1;
    let sections = [section(0..turn, Some(1), ""), section(turn..text.len(), Some(2), "")];
    let passages = cut(text, &sections, 20, 0);
    assert!(texts(text, &passages)[0].ends_with("turned."));
    let pages: Vec<_> = passages.iter().map(|passage| passage.page).collect();
    assert_eq!(pages, [Some(1), Some(2)]);
}

#[test]
fn text_outside_of_all_sections_is_not_lost() {
    let text = "Before. Inside. After.";
    let passages = cut(text, &[section(8..15, Some(3), "Mid")], 64, 0);
    assert_eq!(texts(text, &passages), ["Before.", "Inside.", "After."]);
    assert_eq!((passages[1].page, passages[0].page), (Some(3), None));
}

#[test]
fn wrong_sections_do_not_break_the_cutting() {
    let text = "猫追逐老鼠。小猫捕猎老鼠。";
    let sections = [
        section(1..10, None, "A"),
        section(4..400, None, "B"),
        section(Range { start: 900, end: 80 }, None, "C"),
    ];
    check(text, &sections, &Words::default(), 8, 4);
}

#[test]
fn a_cancelled_cut_ends() {
    let cancel = Cancellation::new();
    cancel.cancel();
    let result = chunk("Text.", &[], &Words::default(), &ChunkOptions::default(), &cancel);
    assert_eq!(result, Err(Interrupted::Cancelled));
}

#[test]
fn every_text_is_covered_by_passages_within_the_limits() {
    let seed = 20_261_124;
    let mut random = StdRng::seed_from_u64(seed);
    for round in 0..300 {
        let text = random_text(&mut random);
        let mut sections = Vec::new();
        let mut at = 0;
        while at < text.len() {
            let end = text.ceil_char_boundary(at + random.random_range(1..400_usize));
            let heading =
                ["", "A", "A > B", "A > C", "A > C > D", "E"][random.random_range(0..6_usize)];
            sections.push(section(at..end, Some(round), heading));
            at = text.ceil_char_boundary(end + random.random_range(0..3_usize));
        }
        let tokens_max = random.random_range(8..80);
        let overlap = random.random_range(0..tokens_max);
        check(&text, &sections, &Words::default(), tokens_max, overlap);
        check(&text, &sections, &Fours, tokens_max, overlap);
    }
}

#[test]
fn pathological_texts_are_cut_within_the_limits() {
    let megabyte = 1 << 20;
    let mut texts: Vec<String> =
        ["a", " ", "\n", "。", "é", "ก", "\u{301}", "👨‍👩‍👧", ".", "a\n", "\u{0}"]
            .iter()
            .map(|part| part.repeat(megabyte / part.len()))
            .collect();
    texts.push(format!("a{}", "\u{301}".repeat(1 << 18)));
    texts.push("Dr. ".repeat(1 << 16));
    for text in &texts {
        check(text, &[], &Words::default(), 128, 16);
    }
    for text in texts.iter().map(|text| &text[..text.floor_char_boundary(1 << 16)]) {
        check(text, &[], &Fours, 128, 64);
        check(text, &[], &Nothing, 128, 64);
    }
}

/// Finds no token in anything.
struct Nothing;

impl CountTokens for Nothing {
    fn token_ranges(&self, _text: &str) -> Vec<Range<usize>> {
        Vec::new()
    }
}

#[test]
fn work_grows_with_the_length_of_the_text() {
    let seen = |sentences: usize| {
        let text =
            "The quick brown fox sleeps. 狐狸在睡觉。\nLine after line.\n\n".repeat(sentences);
        let counter = Words::default();
        let options =
            ChunkOptions { tokens_max: 64, tokens_overlap: 30, ..ChunkOptions::default() };
        chunk(&text, &[], &counter, &options, &Cancellation::new()).unwrap();
        (counter.bytes_seen.get(), text.len())
    };
    for sentences in [100, 1_000, 10_000] {
        let (bytes_seen, length) = seen(sentences);
        assert!(bytes_seen <= length, "{bytes_seen} bytes tokenised for a text of {length}");
    }
}

fn check(
    text: &str,
    sections: &[Section],
    counter: &dyn CountTokens,
    tokens_max: usize,
    tokens_overlap: usize,
) {
    let options = ChunkOptions { tokens_max, tokens_overlap, bytes_max: 2_048 };
    let cancel = Cancellation::new();
    let passages = chunk(text, sections, counter, &options, &cancel).unwrap();
    assert_eq!(passages, chunk(text, sections, counter, &options, &cancel).unwrap());
    let mut covered = 0;
    for pair in passages.windows(2) {
        assert!(pair[0].bytes.start < pair[1].bytes.start && pair[0].bytes.end < pair[1].bytes.end);
    }
    for passage in &passages {
        let part = &text[passage.bytes.clone()];
        let tokens = counter.token_ranges(part).len();
        assert!(tokens <= tokens_max, "{tokens} tokens of {tokens_max} in {part:?}");
        assert!(passage.tokens >= tokens && passage.tokens <= tokens_max);
        assert!(part.len() <= 2_048 && !part.is_empty() && part.trim() == part);
        if passage.bytes.start > covered {
            assert_eq!(text[covered..passage.bytes.start].trim(), "");
        }
        covered = covered.max(passage.bytes.end);
    }
    assert_eq!(text[covered..].trim(), "");
}

fn random_text(random: &mut StdRng) -> String {
    const PARTS: [&str; 18] = [
        "word",
        "a",
        " ",
        " ",
        " ",
        "\n",
        "\n\n",
        ". ",
        ", ",
        "。",
        "，",
        "猫追逐老鼠",
        "หมาวิ่งเล่น",
        "Dr. ",
        "é\u{301}",
        "👩‍🚀",
        "supercalifragilistic",
        "\r\n",
    ];
    (0..random.random_range(0..400)).map(|_| PARTS[random.random_range(0..PARTS.len())]).collect()
}
