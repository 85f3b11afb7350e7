//! The table of features in the README: each command is run, and says what the table says.

use super::program::Program;

/// What the table speaks of.
const NOTES: &str = r#"{"id": "a", "payload": {"topic": "harbour", "year": 2020, "tags": ["boat", "tide"], "place": {"lat": 54.0, "lon": 7.0}, "authors": [{"name": "Ann", "age": 40}]}, "text": "the ferry leaves the harbour", "vectors": {"v": [0, 1], "tokens": [[1, 0], [0, 1]]}}
{"id": "b", "payload": {"topic": "harbour", "year": 2021, "tags": ["boat"], "place": {"lat": 54.1, "lon": 7.1}, "when": "2024-03-01"}, "text": "barnacles on the hull", "vectors": {"v": [1, 1], "tokens": [[0, 1]]}}
{"id": "c", "payload": {"topic": "kitchen", "year": 2022, "title": "Soup of the day", "draft": null}, "text": "soup in a small galley", "vectors": {"v": [2, 1]}}
{"id": "d", "payload": {"topic": "sky", "year": 2023}, "text": "a comet over the observatory", "vectors": {"v": [3, 1]}}
"#;
/// Questions of one batch.
const QUESTIONS: &str = "the ferry\na small soup\n";

/// Returns command and line of output of each row between the marks.
fn rows(readme: &str) -> Vec<(String, String)> {
    let begin = readme.find("<!-- features -->").expect("the table has a mark before it");
    let table = &readme[begin..];
    let table = &table[..table.find("<!-- end of features -->").expect("and one after it")];
    let code = |cell: &str| cell.trim().trim_matches('`').trim().to_owned();
    table
        .lines()
        .filter(|line| line.starts_with("| "))
        .skip(1)
        .map(|line| {
            let cells: Vec<&str> = line.split('|').collect();
            assert_eq!(cells.len(), 5, "three cells: {line}");
            (code(cells[2]), code(cells[3]))
        })
        .collect()
}

/// Splits a command at its spaces, but not within single quotes.
fn words(command: &str) -> Vec<String> {
    let pieces = command.split('\'').enumerate();
    let words = pieces.flat_map(|(number, piece)| match number % 2 {
        0 => piece.split_whitespace().map(str::to_owned).collect::<Vec<_>>(),
        _ => vec![piece.to_owned()],
    });
    words.collect()
}

#[test]
fn every_row_of_the_table_of_features_does_what_it_says() {
    let program = Program::without_models();
    program.write("notes.jsonl", NOTES);
    program.write("questions.txt", QUESTIONS);
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let rows = rows(&fs_err::read_to_string(readme).unwrap());
    assert!(rows.len() > 45, "{rows:?}");
    for (command, says) in rows {
        let words = words(&command);
        assert_eq!(words[0], "simile", "{command}");
        let arguments: Vec<&str> = words[1..].iter().map(String::as_str).collect();
        let answer = program.run(&arguments).done();
        assert!(answer.stdout.contains(&says), "{command}\nwants {says}\ngot {}", answer.stdout);
    }
}

#[test]
fn an_export_with_its_vectors_makes_the_same_collection_again() {
    let program = Program::without_models();
    program.write("notes.jsonl", NOTES);
    let vectors = ["--vector", "v=2:euclidean", "--vector", "tokens=multi:2"];
    program.run(&[&["collection", "create", "notes"], &vectors[..]].concat()).done();
    program.run(&["import", "notes.jsonl", "-c", "notes"]).done();
    // One that an embedder makes: it travels with its fingerprint.
    program.run(&["collection", "add-vector", "notes", "terms=hashed-words"]).done();
    let exported = program.run(&["export", "notes", "-"]).done().stdout;
    assert_eq!(exported.lines().count(), 5, "{exported}");
    assert!(exported.contains("\"indices\""), "{exported}");
    let imported =
        program.run_with_stdin(&["import", "-", "-c", "copy", "--json"], exported.as_bytes());
    assert_eq!(imported.done().json()["stored"], 4);
    let again = program.run(&["export", "copy", "-"]).done().stdout;
    assert_eq!(again, exported);
    // The same once more changes nothing.
    let imported =
        program.run_with_stdin(&["import", "-", "-c", "copy", "--json"], exported.as_bytes());
    let imported = imported.done().json();
    assert_eq!((&imported["stored"], &imported["unchanged"]), (&0.into(), &4.into()));
    // Vectors of another embedder are no vectors of this one.
    let (first, _) = exported.split_once('\n').unwrap();
    let fingerprint = first.split("\"fingerprint\":\"").nth(1).unwrap().split('"').next().unwrap();
    let other = exported.replace(fingerprint, "another");
    let refused = program.run_with_stdin(&["import", "-", "-c", "copy"], other.as_bytes());
    assert_eq!(refused.code, 4, "{}", refused.stderr);
    assert!(refused.stderr.contains("another"), "{}", refused.stderr);
    for (lines, code, says) in [
        ("{\"id\": 5}\n", 2, "line 1: `id` is missing"),
        ("\n{\"id\": \"x\", \"vectors\": 3}\n", 2, "line 2: `vectors` is no object"),
        ("nothing\n", 2, "line 1: expected"),
        ("{\"simile_export\": 9}\n", 2, "format 9"),
        ("{\"id\": \"x\", \"vectors\": {\"v\": [1]}}\n", 8, "vector `terms` needs a text to embed"),
    ] {
        let refused = program.run_with_stdin(&["import", "-", "-c", "copy"], lines.as_bytes());
        let said = format!("{}{}", refused.stdout, refused.stderr);
        assert_eq!(refused.code, code, "{lines}: {said}");
        assert!(said.contains(says), "{lines}: {said}");
    }
    let nowhere = program.run(&["import", "notes.jsonl", "-c", "none"]);
    assert_eq!(nowhere.code, 3, "{}", nowhere.stderr);
}
