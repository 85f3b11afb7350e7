use std::collections::{BTreeMap, HashMap};

use simile_proto::v1::{self as wire};
use tonic::Code;

use super::messages::{ask, equals, file, hit_ids, integer, outcome, text, text_document, texts};
use super::server::{TestServer, no_models};

const SENTENCES: [(&str, &str); 6] = [
    ("cat", "The cat chases the mouse"),
    ("kitten", "The kitten hunts rodents"),
    ("ham", "I like ham sandwiches"),
    ("猫", "猫追逐老鼠"),
    ("小猫", "小猫捕猎老鼠"),
    ("火腿", "我喜欢火腿三明治"),
];

fn sentences(server: &TestServer, name: &str) {
    server.create(texts(name));
    let documents = SENTENCES.iter().zip(0..).map(|((id, sentence), place)| {
        let mut document = text_document(id, sentence);
        document.payload.insert("place".to_owned(), integer(place));
        document.payload.insert("language".to_owned(), text(if place < 3 { "en" } else { "zh" }));
        document
    });
    server.store(name, documents.collect());
}

fn in_mode(mode: wire::Mode, request: wire::SearchRequest) -> wire::SearchRequest {
    wire::SearchRequest { mode: mode.into(), ..request }
}

#[test]
fn meaning_finds_the_kitten_by_the_cat_and_words_alone_do_not() {
    let server = TestServer::shared();
    let name = "search-sentences";
    sentences(&server, name);
    let question = ask(name, "The cat chases the mouse");
    let semantic = server.search(in_mode(wire::Mode::Semantic, question.clone()));
    assert_eq!(hit_ids(&semantic)[..2], ["cat", "kitten"]);
    let scores: HashMap<&str, f32> =
        semantic.hits.iter().map(|hit| (hit.id.as_str(), hit.score)).collect();
    for (id, cosine) in [("cat", 1.0), ("kitten", 0.622), ("ham", 0.074)] {
        assert!((scores[id] - cosine).abs() < 0.005, "{id}: {}", scores[id]);
    }
    let lexical = server.search(in_mode(wire::Mode::Lexical, question.clone()));
    assert_eq!(lexical.hits[0].id, "cat");
    let kitten = lexical.hits.iter().find(|hit| hit.id == "kitten");
    assert!(kitten.is_none_or(|kitten| kitten.score < lexical.hits[0].score / 4.0), "{kitten:?}");
    let hybrid = server.search(question);
    assert_eq!(hit_ids(&hybrid)[..2], ["cat", "kitten"]);
    let stages: Vec<&str> = hybrid.timings.iter().map(|timing| timing.stage.as_str()).collect();
    assert_eq!(stages, ["embed", "filter", "search", "read"]);
    assert!(hybrid.warnings.is_empty());

    // A vector that was asked for by itself is the question as well as its text.
    let embed = wire::EmbedRequest {
        texts: vec!["The cat chases the mouse".to_owned()],
        role: wire::Role::Query.into(),
        ..wire::EmbedRequest::default()
    };
    let embedded = server.ask(server.embedding().embed(embed)).unwrap();
    let vector = embedded.embeddings[0].vector.clone().unwrap();
    let given = wire::SearchRequest {
        collection: name.to_owned(),
        vectors: HashMap::from([("text".to_owned(), vector)]),
        ..wire::SearchRequest::default()
    };
    let by_vector = server.search(given);
    assert_eq!(hit_ids(&by_vector), hit_ids(&semantic));
    assert!((by_vector.hits[1].score - semantic.hits[1].score).abs() < 1e-5);
}

#[test]
fn an_answer_carries_what_was_asked_for_and_no_more() {
    let server = TestServer::shared();
    let name = "search-carries";
    sentences(&server, name);
    let question =
        wire::SearchRequest { filter: Some(equals("language", text("en"))), ..ask(name, "cat") };
    let usual = server.search(question.clone());
    let hit = usual.hits.iter().find(|hit| hit.id == "cat").unwrap();
    assert_eq!(hit.text.as_deref(), Some("The cat chases the mouse"));
    assert_eq!(hit.payload["place"], integer(0));
    assert!(hit.vectors.is_empty() && hit.snippet.is_some());
    assert!(usual.hits.iter().all(|hit| ["cat", "kitten", "ham"].contains(&hit.id.as_str())));

    let bare = server.search(wire::SearchRequest {
        with_payload: Some(false),
        with_text: Some(false),
        with_vectors: true,
        ..question.clone()
    });
    assert_eq!(hit_ids(&bare), hit_ids(&usual));
    for hit in &bare.hits {
        assert!(hit.payload.is_empty() && hit.text.is_none() && hit.snippet.is_none(), "{hit:?}");
        assert_eq!(hit.vectors["text"].components.len(), 384);
    }
    // Windows of the same answer.
    let window = |offset, limit| {
        let request = wire::SearchRequest { offset, limit: Some(limit), ..question.clone() };
        server.search(request).hits
    };
    let pieces: Vec<wire::Hit> = [window(0, 1), window(1, 1), window(2, 10)].concat();
    assert_eq!(pieces, usual.hits);
    let least = usual.hits[1].score;
    let above = wire::SearchRequest { score_threshold: Some(least), ..question };
    assert_eq!(server.search(above).hits.len(), 2);
}

/// A text of several scripts in which every sentence occurs once.
fn long_text() -> String {
    let mut text = String::from("\u{feff}Harbour log.\n\n");
    for day in 1..=40 {
        text.push_str(&format!(
            "On day {day} the wind came from the north. Boat number {} carried {day} barrels — \
             naïve, wasn’t it? 第{day}天，港口的风很大，渔船没有出海。\n\n",
            day * 3
        ));
    }
    text
}

#[test]
fn a_span_gives_exactly_the_passage_and_all_spans_together_the_text() {
    let server = TestServer::shared();
    let name = "search-spans";
    server.create(wire::CreateCollectionRequest {
        chunk: Some(wire::ChunkConfig { tokens_max: Some(60), tokens_overlap: Some(12) }),
        ..texts(name)
    });
    let long = long_text();
    server.store(name, vec![text_document("long", &long)]);
    let request = wire::SearchRequest {
        grouping: wire::Grouping::Passage.into(),
        limit: Some(1_000),
        ..ask(name, "barrels 渔船 wind")
    };
    let hits = server.search(request).hits;
    assert!(hits.len() > 20, "{}", hits.len());
    let mut covered = vec![false; long.len()];
    for hit in &hits {
        let span = hit.span.as_ref().unwrap();
        let bytes = span.byte_start as usize..span.byte_end as usize;
        assert_eq!(Some(&long[bytes.clone()]), hit.text.as_deref());
        covered[bytes].fill(true);
    }
    for (byte, letter) in long.char_indices() {
        assert!(
            covered[byte] || letter.is_whitespace() || letter == '\u{feff}',
            "{letter:?} at {byte}"
        );
    }
    // By document it stands once, with its best passage.
    let once = server.search(ask(name, "boat number 63"));
    assert_eq!(hit_ids(&once), ["long"]);
    assert!(once.hits[0].text.as_ref().unwrap().contains("63"), "{once:?}");
    assert!(once.hits[0].part > 0);
}

#[test]
fn passages_of_a_file_know_their_heading_and_agree_on_the_text_between_them() {
    let server = TestServer::shared();
    let name = "search-file";
    server.create(wire::CreateCollectionRequest {
        chunk: Some(wire::ChunkConfig { tokens_max: Some(40), tokens_overlap: Some(10) }),
        ..texts(name)
    });
    let mut markdown = String::from("# Harbour\n\nAn introduction.\n\n");
    for season in ["Spring", "Summer", "Autumn", "Winter"] {
        markdown.push_str(&format!("## {season}\n\n"));
        for week in 1..6 {
            markdown.push_str(&format!(
                "In week {week} of {season} the *boats* went out {week} times. "
            ));
            markdown.push_str("The catch was written down by the master of the harbour.\n\n");
        }
    }
    server.store(name, vec![file("log", "log.md", markdown.as_bytes())]);
    let request = wire::GetDocumentsRequest {
        collection: name.to_owned(),
        ids: vec!["log".to_owned()],
        with_vectors: false,
    };
    let document = server.ask(server.documents().get(request)).unwrap().documents.remove(0);
    assert_eq!(document.payload["title"], text("Harbour"));
    let mut bytes: BTreeMap<u64, u8> = BTreeMap::new();
    for part in &document.parts {
        let span = part.span.as_ref().unwrap();
        assert_eq!(span.byte_end - span.byte_start, part.text.len() as u64);
        for (place, &byte) in (span.byte_start..).zip(part.text.as_bytes()) {
            assert_eq!(*bytes.entry(place).or_insert(byte), byte, "byte {place}");
        }
    }
    let hit = server.search(ask(name, "week 3 of Autumn")).hits.remove(0);
    assert_eq!(hit.span.unwrap().heading.as_deref(), Some("Harbour > Autumn"));
}

#[test]
fn a_file_that_says_too_much_of_itself_is_stored_with_what_fits() {
    let server = TestServer::shared();
    let name = "search-metadata";
    server.create(texts(name));
    let mut html = String::from("<title>Harbour</title>");
    for n in 0..60 {
        let long = format!("{n} {}", "word ".repeat(700));
        html.push_str(&format!("<meta name=\"dc.field{n}\" content=\"{long}\">"));
        html.push_str(&format!("<meta name=\"keywords\" content=\"{long}\">"));
    }
    html.push_str("<p>The boats went out.</p>");
    let long_name = format!("{}.html", "n".repeat(100_000));
    let results = server.upsert(name, vec![file("a", &long_name, html.as_bytes())]);
    let Some(wire::upsert_result::Outcome::Stored(stored)) = &results[0].outcome else {
        panic!("{results:?}")
    };
    let said = "field `file` of the file was left out: a payload has at most 49152 bytes, got";
    assert!(stored.warnings.iter().any(|warning| warning.starts_with(said)), "{stored:?}");
    let hit = server.search(ask(name, "boats")).hits.remove(0);
    assert_eq!(hit.payload["title"], text("Harbour"));
    // And the collection takes more.
    server.store(name, vec![text_document("b", "The tide turns.")]);
}

#[test]
fn snippets_mark_the_words_that_matched_in_bytes_of_their_own_text() {
    let server = TestServer::shared();
    let name = "search-snippets";
    server.create(texts(name));
    let filler = "The tide turns twice a day and nobody minds. ".repeat(12);
    let english = format!("{filler}Barnacles — naïve guests — cover the hulls of boats. {filler}");
    let chinese = format!("{}渔船捕到了很多鲈鱼，", "港口今天风平浪静。".repeat(20));
    server.store(name, vec![text_document("en", &english), text_document("zh", &chinese)]);
    let marked = |question: &str| -> (String, Vec<String>) {
        let hit = server.search(in_mode(wire::Mode::Lexical, ask(name, question))).hits.remove(0);
        let snippet = hit.snippet.unwrap();
        assert!(hit.text.unwrap().contains(&snippet.text), "{}", snippet.text);
        assert!(snippet.text.chars().count() <= 260, "{}", snippet.text);
        let mut end = 0;
        let words = snippet.highlights.iter().map(|range| {
            assert!(range.start >= end && range.end > range.start, "{snippet:?}");
            end = range.end;
            snippet.text[range.start as usize..range.end as usize].to_owned()
        });
        (hit.id, words.collect())
    };
    let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(marked("barnacle hull"), ("en".to_owned(), words(&["Barnacles", "hulls"])));
    assert_eq!(marked("naïve"), ("en".to_owned(), words(&["naïve"])));
    let (id, found) = marked("鲈鱼");
    assert_eq!((id.as_str(), found.concat().as_str()), ("zh", "鲈鱼"));
}

#[test]
fn the_syntax_of_words_is_chosen_by_the_request() {
    let server = TestServer::shared();
    let name = "search-syntax";
    sentences(&server, name);
    let find = |syntax: wire::WordSyntax, text: &str| -> Vec<String> {
        let request = wire::SearchRequest { syntax: syntax.into(), ..ask(name, text) };
        let hits = server.search(in_mode(wire::Mode::Lexical, request)).hits;
        let mut ids: Vec<String> = hits.into_iter().map(|hit| hit.id).collect();
        ids.sort_unstable();
        ids
    };
    use wire::WordSyntax::{Query, Unspecified};
    assert_eq!(find(Query, "\"chases the mouse\""), ["cat"]);
    assert_eq!(find(Query, "\"the mouse chases\""), Vec::<String>::new());
    assert_eq!(find(Query, "mouse OR sandwiches"), ["cat", "ham"]);
    assert_eq!(find(Query, "+the -mouse +kitten"), ["kitten"]);
    assert_eq!(find(Query, "rodants~"), ["kitten"]);
    assert!(find(Unspecified, "the -mouse").contains(&"cat".to_owned()));
}

#[test]
fn without_its_model_a_collection_answers_by_words_and_says_what_is_missing() {
    let mut server = TestServer::with_model();
    sentences(&server, "c");
    server.restart_with(|options| options.catalogue = no_models());
    let answer = server.search(ask("c", "kitten"));
    assert_eq!(hit_ids(&answer), ["kitten"]);
    assert_eq!(answer.warnings.len(), 1, "{:?}", answer.warnings);
    assert!(answer.warnings[0].starts_with("dense:text: model all-minilm-l6-v2 is not loaded"));
    for mode in [wire::Mode::Semantic, wire::Mode::Hybrid] {
        let request = in_mode(mode, ask("c", "kitten"));
        let status = server.ask(server.searches().search(request)).unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{status}");
        assert!(status.message().contains("all-minilm-l6-v2"), "{status}");
    }
    // What needs no model is served; what needs one is refused, and nothing is half stored.
    let request = wire::CountRequest { collection: "c".to_owned(), filter: None };
    assert_eq!(server.ask(server.documents().count(request)).unwrap().documents, 6);
    let messages = super::messages::upserts("c", vec![text_document("new", "a new text")]);
    let results = server.wait(async {
        let mut results = server.documents().upsert(messages).await?.into_inner();
        let mut all = Vec::new();
        while let Some(result) = results.message().await? {
            all.push(outcome(&result));
        }
        Ok::<_, tonic::Status>(all)
    });
    assert_eq!(results.unwrap_err().code(), Code::Unavailable);
}
