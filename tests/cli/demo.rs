//! `simile demo`.

use super::program::Program;

#[test]
fn the_demo_shows_what_it_says_it_shows() {
    let program = Program::new();
    let shown = program.run(&["demo"]).done();
    let rows: Vec<Vec<&str>> =
        shown.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    let row_of = |sentence: &str| {
        let words: Vec<&str> = sentence.split(' ').collect();
        rows.iter().find(|row| row.ends_with(&words) && row[0].parse::<f64>().is_ok()).unwrap()
    };
    assert_eq!(row_of("The kitten hunts rodents")[..2], ["0.622", "1.000"]);
    assert_eq!(row_of("I like ham sandwiches")[..3], ["0.074", "0.000", "1.000"]);

    // The document that has to be the first hit below each question.
    let first = [
        ("The cat chases the mouse", "cat-en"),
        ("猫追逐老鼠", "cat-zh"),
        ("creatures that make light in the sea", "science/glowing-water.md"),
        ("6H3-44352", "harbour/outboard-motor.pdf"),
        ("barnicles", "harbour/hull-care.md"),
        ("\"slack water\" -exercise", "harbour/tides.md"),
        ("how do my eyes get used to the dark", "observatory/first-night.md"),
        ("雾天渡轮停航怎么办", "note-13"),
        ("something hot and quick to cook", "kitchen/galley-suppers.docx"),
    ];
    for (question, document) in first {
        let mut lines = shown.stdout.lines();
        lines.find(|line| line.starts_with(&format!("? {question}"))).unwrap();
        let words: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
        assert_eq!(words[..2], ["1", document], "{question}");
    }
    assert!(shown.stdout.contains("simile ingest ~/Documents"), "it ends with how to go on");
    assert!(!program.data().exists(), "the demo keeps to a folder of its own");
}

#[test]
fn the_demo_can_be_kept_and_asked_again() {
    let program = Program::new();
    let shown = program.run(&["demo", "--json", "--keep", "kept"]).done().json();
    let questions = shown["questions"].as_array().unwrap();
    let ids = |at: usize| -> Vec<String> {
        let hits = questions[at]["answer"]["hits"].as_array().unwrap();
        hits.iter().map(|hit| hit["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(questions.len(), 10);
    assert_eq!(ids(0)[..2], ["cat-en", "kitten-en"], "by meaning the kitten is next to the cat");
    assert!(!ids(1).contains(&"kitten-en".to_owned()), "by words alone it is not found");
    assert_eq!(ids(2), ["cat-zh", "kitten-zh", "ham-zh"]);
    let again = ["search", "barnicles", "--mode", "lexical", "-c", "demo", "--data", "kept"];
    let again = program.run(&again).done().stdout;
    assert!(again.contains("harbour/hull-care.md"), "{again}");
    let count = program.run(&["count", "-c", "demo", "--data", "kept", "--json"]).done().json();
    assert_eq!(count["documents"], 52);
}
