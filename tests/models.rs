//! Models of the user's own over the command line: fitted, added, asked, and refused.

use std::path::Path;
use std::process::{Command, Output};

use crate::support::cache_folder;

const README: &str = include_str!("../src/embed/README.md");
/// What rounding and the kind of processor may make of a cosine.
const TOLERANCE: f64 = 0.003;

/// Runs the program over a data directory, from the root of the repository.
fn simile(data: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_simile"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments);
    command.env("SIMILE_DATA", data).env("SIMILE_CACHE", cache_folder());
    command.output().unwrap()
}

#[track_caller]
fn done(data: &Path, arguments: &[&str]) -> String {
    let output = simile(data, arguments);
    let (stdout, stderr) = texts(&output);
    assert!(output.status.success(), "{arguments:?}: {stdout}{stderr}");
    stdout
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// Splits a row of a table in Markdown.
fn cells(row: &str) -> Vec<&str> {
    row.trim_matches('|').split('|').map(str::trim).collect()
}

fn rows(text: &str) -> Vec<&str> {
    text.lines().filter(|line| line.starts_with('|')).collect()
}

#[test]
fn the_table_of_the_documentation_is_what_its_commands_print() {
    crate::support::model();
    let folder = tempfile::tempdir().unwrap();
    let commands = README.lines().filter_map(|line| line.strip_prefix("    simile "));
    let mut printed = String::new();
    for command in commands {
        let arguments: Vec<&str> = command.split_whitespace().collect();
        printed = done(folder.path(), &arguments);
    }
    // The tables behind the mark need corpora that are not here.
    let (before, _) = README.split_once("<!-- simile eval models: begin -->").unwrap();
    let (documented, printed) = (rows(before), rows(&printed));
    assert_eq!(documented.len(), printed.len(), "{}", printed.join("\n"));
    assert!(documented.len() > 6);
    for (documented, printed) in documented.iter().zip(&printed) {
        let (documented, printed) = (cells(documented), cells(printed));
        assert_eq!(documented.len(), printed.len(), "{printed:?}");
        for (ours, theirs) in documented.iter().zip(&printed) {
            let is_same = match (ours.parse::<f64>(), theirs.parse::<f64>()) {
                (Ok(ours), Ok(theirs)) => (ours - theirs).abs() <= TOLERANCE,
                _ => ours == theirs,
            };
            assert!(is_same, "documented {documented:?}, printed {printed:?}");
        }
    }
    // What the words alone can see is that both sentences say "the".
    let row = |name: &str| cells(printed.iter().find(|row| cells(row)[0] == name).unwrap());
    assert!(row("words")[2] != "0.000" && row("words-no-stop")[2] == "0.000");
    assert_eq!(row("all-minilm-l6-v2")[5], "1-2");
}

#[test]
fn a_model_is_fitted_on_a_collection_and_asked_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let notes = folder.path().join("notes.jsonl");
    fs_err::write(
        &notes,
        "{\"id\": 1, \"text\": \"The ferry leaves the harbour at noon\"}\n\
         {\"id\": 2, \"text\": \"Bread dough rests for an hour\"}\n",
    )
    .unwrap();
    let notes = notes.to_str().unwrap();
    let words = ["collection", "create", "notes", "--vector", "given=2"];
    done(&data, &words);
    // Without an embedder there are words only, so the texts come as parts over gRPC elsewhere; here
    // the corpus is the file, and the collection stays empty.
    let empty = simile(&data, &["model", "train", "tf-idf", "--collection", "notes", "--out", "m"]);
    assert_eq!(empty.status.code(), Some(2), "{}", texts(&empty).1);
    assert!(texts(&empty).1.contains("0 texts have no terms"), "{}", texts(&empty).1);

    let trained =
        done(&data, &["model", "train", "tf-idf", "--corpus", notes, "--out", "m", "--json"]);
    let trained: serde_json::Value = serde_json::from_str(&trained).unwrap();
    assert_eq!((&trained["form"], &trained["texts"]), (&"sparse".into(), &2.into()));
    let shown = done(&data, &["model", "show", "m", "--json"]);
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["fingerprint"], trained["fingerprint"]);
    assert_eq!(shown["weights"]["documents"], 2);

    let embedded = done(&data, &["embed", "the ferry and the dough", "--model", "m", "--json"]);
    let embedded: serde_json::Value = serde_json::from_str(&embedded).unwrap();
    let sparse = &embedded["embeddings"][0]["sparse"];
    assert_eq!(sparse["indices"].as_array().unwrap().len(), 3, "{sparse}");
    let same = simile(&data, &["model", "train", "one-hot", "--corpus", notes, "--out", "m"]);
    assert_eq!(same.status.code(), Some(4), "{}", texts(&same).1);
}

#[test]
fn what_is_known_of_a_model_is_noted_and_what_was_measured_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let train = ["model", "train", "one-hot", "--corpus", "src/cli/demo/texts", "--out", "seen"];
    done(data, &train);
    let shown = || -> serde_json::Value {
        serde_json::from_str(&done(data, &["model", "show", "seen", "--json"])).unwrap()
    };
    let before = shown();
    assert_eq!(before["languages"], serde_json::json!([]));
    let note = ["model", "note", "seen", "--language", "en", "--language", "zh-Hant"];
    let said = done(data, &[&note[..], &["--licence", "CC0-1.0"]].concat());
    assert!(said.contains("licence CC0-1.0, en, zh-Hant"), "{said}");
    let wrong = simile(data, &["model", "note", "seen", "--language", "not a code"]);
    let reason = texts(&wrong).1;
    assert_eq!(wrong.status.code(), Some(2), "{reason}");
    assert!(reason.contains("language `not a code`: expected a code of BCP 47"), "{reason}");
    let measure = ["eval", "models", "--sts", "tests/fixtures/sts/written.tsv", "--keep"];
    let only = ["--model", "seen", "--model", "small-static", "--json"];
    let measured = done(data, &[&measure[..], &only].concat());
    let measured: serde_json::Value = serde_json::from_str(&measured).unwrap();
    let after = shown();
    assert_eq!(after["languages"], serde_json::json!(["en", "zh-Hant"]));
    let kept = &after["measured"];
    assert_eq!(kept["written, Spearman"], measured["models"][0]["spearman"]["written"]);
    assert!(kept["texts/s"].as_f64() > Some(0.0), "{kept}");
    assert_eq!(after["fingerprint"], before["fingerprint"], "no vector changed");
    let list = done(data, &["model", "list"]);
    let line = list.lines().find(|line| line.contains("en, zh-Hant; texts/s "));
    assert!(line.is_some_and(|line| line.contains("written, Spearman 0.")), "{list}");
    done(data, &["embed", "the cat", "--model", "seen"]);
}

/// What the program says of its own models stands in its documentation.
#[test]
fn the_figures_of_the_models_that_come_with_the_program_are_those_of_the_table() {
    let (_, measured) = README.split_once("<!-- simile eval models: begin -->").unwrap();
    let rows = rows(measured);
    let head = rows.iter().rfind(|row| cells(row)[0] == "model").unwrap();
    let at = rows.iter().rposition(|row| row == head).unwrap();
    let table = &rows[at..];
    let folder = tempfile::tempdir().unwrap();
    let list = done(folder.path(), &["model", "list", "--json"]);
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    let mut seen = 0;
    for model in list["models"].as_array().unwrap() {
        for (figure, value) in model["measured"].as_object().unwrap() {
            let column = cells(head).iter().position(|name| name == figure).unwrap();
            let row = table.iter().find(|row| cells(row)[0] == model["name"]).unwrap();
            let documented: f64 = cells(row)[column].parse().unwrap();
            assert_eq!(value.as_f64(), Some(documented), "{}: {figure}", model["name"]);
            seen += 1;
        }
    }
    assert_eq!(seen, 7 * 4, "seven models of texts have four figures each");
}
