//! Long texts as the mean of their pieces: what stands behind the first tokens counts.

use std::path::Path;

use simile::embed::{AddOptions, EmbedderHandle, Piece, PieceWeight, Role};

use crate::support::{self, dot, embed};

const SMALL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/embed/models/small");
const TEXTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/cli/demo/texts");

/// The English texts of the demo, without their headings.
fn texts() -> Vec<String> {
    let mut files: Vec<_> = walkdir::WalkDir::new(TEXTS)
        .into_iter()
        .map(|entry| entry.unwrap().into_path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .filter(|path| !path.to_str().unwrap().ends_with("-zh.md"))
        .collect();
    files.sort();
    let read = |path: &std::path::PathBuf| {
        let text = fs_err::read_to_string(path).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.collect::<Vec<_>>().join("\n")
    };
    files.iter().map(read).collect()
}

/// The sentences of the second half of a text.
fn later_sentences(text: &str) -> Vec<String> {
    let half = text.floor_char_boundary(text.len() / 2);
    let flowing = text[half..].replace('\n', " ");
    let sentences = flowing.split(". ").skip(1).map(str::trim);
    sentences.filter(|sentence| sentence.len() > 30).map(str::to_owned).collect()
}

/// The share of questions whose own text is the nearest.
fn first_hits(questions: &[(usize, Vec<f32>)], texts: &[Vec<f32>]) -> f64 {
    let is_found = |(own, question): &&(usize, Vec<f32>)| {
        let nearest = (0..texts.len())
            .max_by(|&a, &b| dot(question, &texts[a]).total_cmp(&dot(question, &texts[b])));
        nearest == Some(*own)
    };
    questions.iter().filter(is_found).count() as f64 / questions.len() as f64
}

#[test]
fn the_mean_of_the_pieces_finds_what_a_truncated_text_does_not_have() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = support::catalogue_with(folder.path());
    let table = folder.path().join("table");
    fs_err::create_dir_all(&table).unwrap();
    fs_err::write(table.join("config.json"), r#"{"model_type": "model2vec"}"#).unwrap();
    for (from, to) in
        [("static.safetensors", "model.safetensors"), ("tokenizer.json", "tokenizer.json")]
    {
        fs_err::copy(Path::new(SMALL).join(from), table.join(to)).unwrap();
    }
    // A model that reads no more than a sentence or two.
    let options = AddOptions { tokens_max: Some(32), ..AddOptions::default() };
    catalogue.add("short", &table, &options, &|_, _, _| {}).unwrap();
    let short = catalogue.load("short", &|_, _, _| {}).unwrap();
    let texts = texts();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    assert!(texts.len() >= 12, "{} texts", texts.len());
    let questions: Vec<(usize, String)> = texts
        .iter()
        .enumerate()
        .flat_map(|(place, text)| later_sentences(text).into_iter().map(move |it| (place, it)))
        .collect();
    assert!(questions.len() >= 30, "{} questions", questions.len());
    let asked: Vec<&str> = questions.iter().map(|(_, question)| question.as_str()).collect();
    let ask = |model: &EmbedderHandle| -> Vec<(usize, Vec<f32>)> {
        let vectors = embed(model, &asked, Role::Query);
        questions.iter().map(|(place, _)| *place).zip(vectors).collect()
    };
    let truncated = first_hits(&ask(&short), &embed(&short, &texts, Role::Passage));
    for (name, piece, weight) in [
        ("windows", Piece::Window, PieceWeight::Tokens),
        ("sentences", Piece::Sentence, PieceWeight::Uniform),
    ] {
        let set = |settings: &mut simile::embed::DocumentSettings| {
            (settings.piece, settings.weight) = (piece, weight);
        };
        catalogue.add_document(name, "short", set, &|_, _, _| {}).unwrap();
        let whole = catalogue.load(name, &|_, _, _| {}).unwrap();
        assert_eq!(whole.specification().tokens_max, 8_192);
        assert_ne!(whole.specification().fingerprint, short.specification().fingerprint);
        let found = first_hits(&ask(&whole), &embed(&whole, &texts, Role::Passage));
        assert!(
            found >= truncated + 0.15 && found > 0.6,
            "{name}: {found:.3} of the questions find their text, truncated {truncated:.3}"
        );
        // The vectors of other texts are no better than chance.
        let mut others = embed(&whole, &texts, Role::Passage);
        others.rotate_left(3);
        let chance = first_hits(&ask(&whole), &others);
        assert!(chance < 0.3, "{name}: with the vectors of others {chance:.3}");
    }
    // A short text is what the model inside makes of it.
    let windows = catalogue.load("windows", &|_, _, _| {}).unwrap();
    let text = "The ferry leaves the harbour at noon.";
    let [inside, outside] =
        [&short, &windows].map(|model| embed(model, &[text], Role::Passage).remove(0));
    assert!(dot(&inside, &outside) > 0.999_999);
}
