//! What the demo asks, what each question shows, and what has to come first.

use simile_proto::v1::{Mode, WordSyntax};

/// A question of the demo.
pub(super) struct Question {
    /// What it shows, printed above the hits.
    pub(super) shows: &'static str,
    /// The question as it is sent.
    pub(super) text: &'static str,
    /// Which legs run.
    pub(super) mode: Mode,
    /// How the lexical leg reads the text.
    pub(super) syntax: WordSyntax,
    /// What a document's payload has to satisfy, all of it.
    pub(super) conditions: &'static [(&'static str, Is)],
    /// The documents that have to come first, in this order.
    #[cfg_attr(not(test), expect(dead_code, reason = "read by the test that runs the demo"))]
    pub(super) first: &'static [&'static str],
}

/// A condition on a payload field.
pub(super) enum Is {
    /// The text itself.
    Equal(&'static str),
    /// This number or a larger one.
    AtLeast(i64),
}

const PLAIN: WordSyntax = WordSyntax::Unspecified;

/// The questions, in the order in which they are asked.
pub(super) const QUESTIONS: [Question; 10] = [
    Question {
        shows: "By meaning: the kitten is next to the cat although they share no word that matters",
        text: "The cat chases the mouse",
        mode: Mode::Semantic,
        syntax: PLAIN,
        conditions: &[],
        first: &["cat-en", "kitten-en"],
    },
    Question {
        shows: "By words alone: the kitten is not found, another cat is",
        text: "The cat chases the mouse",
        mode: Mode::Lexical,
        syntax: PLAIN,
        conditions: &[],
        first: &["cat-en", "note-07"],
    },
    Question {
        shows: "The same in Chinese, by meaning, among the example sentences",
        text: "猫追逐老鼠",
        mode: Mode::Semantic,
        syntax: PLAIN,
        conditions: &[("topic", Is::Equal("sentences")), ("language", Is::Equal("zh"))],
        first: &["cat-zh", "kitten-zh", "ham-zh"],
    },
    Question {
        shows: "By meaning: a question in one's own words",
        text: "creatures that make light in the sea",
        mode: Mode::Semantic,
        syntax: PLAIN,
        conditions: &[],
        first: &["science/glowing-water.md"],
    },
    Question {
        shows: "By words: a part number, which means nothing to a language model",
        text: "6H3-44352",
        mode: Mode::Lexical,
        syntax: PLAIN,
        conditions: &[],
        first: &["harbour/outboard-motor.pdf"],
    },
    Question {
        shows: "By words, with a typing error: character n-grams bridge it",
        text: "barnicles",
        mode: Mode::Lexical,
        syntax: PLAIN,
        conditions: &[],
        first: &["harbour/hull-care.md"],
    },
    Question {
        shows: "By phrase: these two words side by side, and no exercise",
        text: "\"slack water\" -exercise",
        mode: Mode::Lexical,
        syntax: WordSyntax::Query,
        conditions: &[],
        first: &["harbour/tides.md"],
    },
    Question {
        shows: "Hybrid: both legs, each counted by what stands above chance; a hit says where each put it",
        text: "how do my eyes get used to the dark",
        mode: Mode::Hybrid,
        syntax: PLAIN,
        conditions: &[],
        first: &["observatory/first-night.md"],
    },
    Question {
        shows: "Hybrid in Chinese: the words lead where the English model is unsure",
        text: "雾天渡轮停航怎么办",
        mode: Mode::Hybrid,
        syntax: PLAIN,
        conditions: &[],
        first: &[],
    },
    Question {
        shows: "Filtered: topic = kitchen, language = en, rating >= 4, year >= 2024",
        text: "something hot and quick to cook",
        mode: Mode::Hybrid,
        syntax: PLAIN,
        conditions: &[
            ("topic", Is::Equal("kitchen")),
            ("language", Is::Equal("en")),
            ("rating", Is::AtLeast(4)),
            ("year", Is::AtLeast(2024)),
        ],
        first: &[],
    },
];
