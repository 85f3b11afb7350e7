use super::*;

const NONE: [u32; 0] = [];

const ANIMALS: [&str; 6] = [
    "The cat chases the mouse",
    "The kitten hunts rodents",
    "I like ham sandwiches",
    "猫追逐老鼠",
    "小猫捕猎老鼠",
    "我喜欢火腿三明治",
];

#[test]
fn words_are_found_in_every_form_they_take() {
    let fixture = Fixture::of(&ANIMALS);
    assert_eq!(fixture.search("chasing cats"), [0]);
    assert_eq!(fixture.search("HUNTED"), [1]);
    assert_eq!(fixture.search("sandwich"), [2]);
    assert_eq!(fixture.search("elephant"), NONE);
    assert_eq!(fixture.search(""), NONE);
    assert_eq!(fixture.search("?!"), NONE);
}

#[test]
fn scripts_without_spaces_need_no_dictionary() {
    let fixture = Fixture::of(&[
        "猫追逐老鼠",
        "小猫捕猎老鼠",
        "我喜欢火腿三明治",
        "ねずみを追いかける猫",
        "แมวไล่จับหนู",
        "สุนัขนอนหลับ",
        "고양이가 쥐를 쫓는다",
    ]);
    assert_eq!(fixture.search("老鼠"), [0, 1]);
    assert_eq!(fixture.search("喜欢三明治"), [2]);
    // A single letter is a word.
    assert_eq!(fixture.search("猫").len(), 3);
    assert_eq!(fixture.search("追いかける"), [3]);
    assert_eq!(fixture.search("จับหนู")[0], 4);
    assert_eq!(fixture.search("고양이"), [6]);
}

#[test]
fn each_text_is_stemmed_in_its_own_language() {
    let fixture = Fixture::of(&[
        "Die Katzen jagten gestern die kleinen Mäuse durch den ganzen Garten hinter dem Haus.",
        "The children were studying the histories of great universities in the library.",
        "Кошки вчера гоняли маленьких мышей по всему большому саду за старым домом.",
        "Les chevaux couraient hier dans les grandes prairies derrière la vieille maison.",
    ]);
    assert_eq!(fixture.search("Katze jagt"), [0]);
    assert_eq!(fixture.search("study university"), [1]);
    assert_eq!(fixture.search("кошка мышь"), [2]);
    assert_eq!(fixture.search("prairie"), [3]);
}

#[test]
fn misspelt_words_find_what_was_meant() {
    let fixture = Fixture::of(&ANIMALS);
    assert_eq!(fixture.search("kiten"), [1]);
    assert_eq!(fixture.search("sandwihces"), [2]);
    assert_eq!(fixture.search("cahses"), [0]);
    // A known word is taken as it is.
    assert_eq!(fixture.search("mouse"), [0]);
}

#[test]
fn a_rare_misspelling_in_the_texts_does_not_hide_the_word() {
    let mut texts = vec!["they recieve letters"];
    texts.extend(["we receive parcels every day"; 12]);
    let fixture = Fixture::of(&texts);
    let found = fixture.search("recieve");
    assert_eq!((found[0], found.len()), (0, 13));
}

#[test]
fn an_unknown_word_is_found_within_longer_ones() {
    let fixture = Fixture::of(&[
        "Der Fußballspieler läuft über den grünen Rasen im Stadion.",
        "Die Köchin kocht in der großen Küche eine Suppe aus Gemüse.",
    ]);
    assert_eq!(fixture.search("Fußball"), [0]);
}

#[test]
fn headings_are_searched_with_the_text() {
    let mut fixture = Fixture::new();
    fixture.add_with(0, "It purrs.", Some("Cats > Behaviour"), &Payload::new());
    fixture.add(1, "It barks.");
    assert_eq!(fixture.search("cat"), [0]);
    assert_eq!(fixture.search("purring"), [0]);
}

#[test]
fn more_and_rarer_words_come_first_and_ties_by_slot() {
    let fixture = Fixture::of(&[
        "alpha beta",
        "alpha",
        "alpha beta gamma",
        "alpha",
        "delta",
        "delta",
        "alpha",
    ]);
    assert_eq!(fixture.search("alpha beta gamma")[..2], [2, 0]);
    assert_eq!(fixture.search("alpha"), [1, 3, 6, 0, 2]);
    assert_eq!(fixture.search("delta"), [4, 5]);
}

#[test]
fn only_allowed_slots_are_found_and_no_more_than_asked_for() {
    let texts = vec!["same words here"; 300];
    let fixture = Fixture::of(&texts);
    // Few allowed slots are tried one by one, many are sorted out among the matches.
    for allowed in [SlotSet::from_iter([7, 200, 5_000]), SlotSet::from_iter(0..250)] {
        let hits = fixture.hits("words", WordSyntax::Plain, &allowed).unwrap();
        let found: SlotSet = hits.iter().map(|(slot, _)| slot.0).collect();
        assert_eq!(found, allowed & SlotSet::from_iter(0..300));
    }
    let query = LexicalQuery { text: "words", syntax: WordSyntax::Plain };
    let search = |limit| {
        let hits = fixture.index.search(&query, &everything(), limit, &Cancellation::new());
        hits.unwrap().into_iter().map(|(slot, _)| slot.0).collect::<Vec<_>>()
    };
    assert_eq!(search(0), NONE);
    assert_eq!(search(3), [0, 1, 2]);
    assert!(fixture.hits("words", WordSyntax::Plain, &SlotSet::new()).unwrap().is_empty());
}

#[test]
fn words_in_most_texts_rank_but_do_not_find_beside_rarer_ones() {
    let mut fixture = Fixture::new();
    for slot in 0..1_200 {
        fixture.add(slot, "everywhere filler");
    }
    fixture.add(1_200, "special filler filler filler filler");
    fixture.add(1_201, "special everywhere");
    assert_eq!(fixture.search("special everywhere"), [1_201, 1_200]);
    assert_eq!(fixture.search("everywhere").len(), 1_000);
}

#[test]
fn the_query_syntax_says_what_must_and_must_not_be_there() {
    let fixture = Fixture::of(&[
        "the cat chases the mouse",
        "the mouse chases the cat",
        "a cat sleeps",
        "a dog sleeps",
        "猫追逐老鼠",
    ]);
    assert_eq!(fixture.query("\"cat chases\""), [0]);
    assert_eq!(fixture.query("\"cats chasing\""), [0]);
    assert_eq!(fixture.query("\"chases cat\"~1"), [1]);
    assert_eq!(fixture.query("+cat -mouse"), [2]);
    assert_eq!(fixture.query("cat AND mouse"), [0, 1]);
    assert_eq!(fixture.query("sleeps AND (cat OR dog)"), [2, 3]);
    assert_eq!(fixture.query("sleeps AND NOT dog"), [2]);
    assert_eq!(fixture.query("slept NOT (cat OR mouse)"), NONE);
    assert_eq!(fixture.query("sleeping NOT (cat OR mouse)"), [3]);
    assert_eq!(fixture.query("mouze~"), [0, 1]);
    assert_eq!(fixture.query("mouze"), NONE);
    assert_eq!(fixture.query("老鼠"), [4]);
    assert_eq!(fixture.query("猫"), [4]);
    assert_eq!(fixture.query("\"追逐老鼠\" -dog"), [4]);
    assert_eq!(fixture.query("鼠老"), NONE);
}

#[test]
fn a_phrase_is_found_in_every_language_of_the_index() {
    let fixture = Fixture::of(&[
        "Gestern jagten die Katzen die kleinen Mäuse durch den ganzen Garten hinter dem Haus.",
        "Yesterday the small cats were chasing mice through the garden behind the house.",
    ]);
    assert_eq!(fixture.query("\"kleine Maus\""), [0]);
    assert_eq!(fixture.query("\"Maus kleine\""), NONE);
    assert_eq!(fixture.query("\"kleinen Mäuse\""), [0]);
    assert_eq!(fixture.query("\"small cat\""), [1]);
}

#[test]
fn bad_queries_are_invalid_input() {
    use crate::error::{Classified as _, ErrorKind};
    let fixture = Fixture::of(&["text"]);
    let error = fixture.search_as("(cat", WordSyntax::Query).unwrap_err();
    assert_eq!(error.to_string(), "query, byte 0: `(` is never closed");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let long = "x".repeat(70_000);
    let error = fixture.search_as(&long, WordSyntax::Plain).unwrap_err();
    assert_eq!(error.to_string(), "a query has at most 65536 bytes, got 70000");
    // A long text is no error as a plain query: its rarest words are searched for.
    let text = (0..3_000).map(|word| format!("word{word} ")).collect::<String>() + "text";
    assert_eq!(fixture.search(&text), [0]);
}

#[test]
fn a_withdrawn_search_stops() {
    let fixture = Fixture::of(&["text"]);
    let cancel = Cancellation::new();
    cancel.cancel();
    let query = LexicalQuery { text: "text", syntax: WordSyntax::Plain };
    let error = fixture.index.search(&query, &everything(), 10, &cancel).unwrap_err();
    assert!(matches!(error, LexicalError::Interrupted(_)));
}

#[test]
fn snippets_show_what_found_the_text() {
    let fixture = Fixture::of(&ANIMALS);
    let show = |query: &str, syntax, slot: usize| {
        let query = LexicalQuery { text: query, syntax };
        let text = ANIMALS[slot];
        let snippet = fixture.index.snippet(&query, text, 100)?;
        Some(snippet.highlights.into_iter().map(|bytes| &text[bytes]).collect::<Vec<_>>())
    };
    assert_eq!(show("chasing cats", WordSyntax::Plain, 0), Some(vec!["cat", "chases"]));
    assert_eq!(show("kiten", WordSyntax::Plain, 1), Some(vec!["kitten"]));
    assert_eq!(show("老鼠", WordSyntax::Plain, 4), Some(vec!["老鼠"]));
    assert_eq!(show("猫", WordSyntax::Plain, 4), Some(vec!["猫"]));
    assert_eq!(show("mouse -cat", WordSyntax::Query, 0), Some(vec!["mouse"]));
    assert_eq!(show("rodent~ \"kitten hunts\"", WordSyntax::Query, 1).unwrap().len(), 3);
    assert_eq!(show("sandwich", WordSyntax::Plain, 0), None);
    assert_eq!(show("(", WordSyntax::Query, 0), None);
}
