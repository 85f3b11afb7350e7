//! A day with the program: files in, questions out, and keeping house, over one server.

use serde_json::Value as Json;

use super::program::{Answer, Program};

/// What `ingest --json` names under `failed` or `unsupported`: ids with their reasons.
fn named(report: &Json, what: &str) -> Vec<(String, String)> {
    let text = |json: &Json| json.as_str().unwrap().to_owned();
    report[what].as_array().unwrap().iter().map(|f| (text(&f["id"]), text(&f["reason"]))).collect()
}

fn ids(answer: &Answer) -> Vec<String> {
    let hits = answer.json()["hits"].as_array().unwrap().clone();
    hits.iter().map(|hit| hit["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn files_go_in_and_answers_come_out() {
    let program = Program::new();
    let serving = program.serve(&["--message-bytes-max", "128KiB"]);
    files_of_all_sorts_are_read_and_those_that_cannot_be_are_named(&program);
    unchanged_files_are_skipped_and_changed_ones_replaced(&program);
    patterns_and_standard_input_are_read(&program);
    questions_are_answered_in_every_mode(&program);
    texts_become_vectors(&program);
    answers_are_shaped_and_fields_changed(&program);
    documents_are_fetched_counted_and_deleted(&program);
    house_is_kept(&program);
    let (code, log) = serving.stop("TERM");
    assert_eq!(code, 0, "{log}");
}

fn files_of_all_sorts_are_read_and_those_that_cannot_be_are_named(program: &Program) {
    program.write("notes/tides.md", "# Tides\n\nThe sea rises and falls twice a day.\n");
    program.write("notes/cats.txt", "The cat chases the mouse through the garden.");
    program
        .write("notes/sub/bread.html", "<html><title>Bread</title><p>Knead the dough.</p></html>");
    let records = "{\"id\": \"r1\", \"text\": \"A lighthouse stands on the mole.\", \"year\": 1899}\n\
                   {\"id\": \"r2\", \"text\": \"The ferry leaves at noon.\", \"year\": 2021}\n";
    program.write("notes/records.jsonl", records);
    program.write("notes/.hidden.md", "Not for everybody.");
    program.write("notes/empty.txt", "");
    program.write("notes/broken.pdf", "%PDF-1.7\nnothing that follows");
    program.write("notes/huge.txt", "long ".repeat(20_000));
    program.write("notes/archive.rar", b"Rar!\x1a\x07\x01\x00\x00\x00");
    let read = program.run(&["ingest", "notes", "missing.md", "-c", "notes", "--json"]);
    assert_eq!(read.code, 8, "{}", read.stderr);
    assert!(read.stderr.contains("created collection `notes`"), "{}", read.stderr);
    let report = read.json();
    let failed = named(&report, "failed");
    let reason = |id: &str| {
        let found = failed.iter().find(|(failed, _)| failed == id);
        found.unwrap_or_else(|| panic!("{id} in {failed:?}")).1.clone()
    };
    assert!(reason("missing.md").contains("No such file"), "{failed:?}");
    assert!(reason("notes/huge.txt").contains("at most 65536 bytes"), "{failed:?}");
    assert!(reason("notes/broken.pdf").to_lowercase().contains("pdf"), "{failed:?}");
    let unsupported = named(&report, "unsupported");
    assert_eq!(unsupported[0].0, "notes/archive.rar");
    let all = failed.iter().chain(&unsupported);
    let empty = all.clone().find(|(id, _)| id == "notes/empty.txt");
    assert!(empty.is_some(), "{report}");
    assert_eq!((&report["stored"], &report["unchanged"]), (&4.into(), &0.into()), "{report}");
    assert_eq!(report["records"], 2);
    let count = program.run(&["count", "-c", "notes", "--json"]).done().json();
    assert_eq!(count["documents"], 5);
    assert_eq!(all.count(), 5, "{report}");
}

fn unchanged_files_are_skipped_and_changed_ones_replaced(program: &Program) {
    let again = program.run(&["ingest", "notes", "-c", "notes"]);
    assert_eq!(again.code, 8);
    let summary = again.stdout.lines().last().unwrap();
    assert!(summary.starts_with("notes: 0 stored, 4 unchanged"), "{}", again.stdout);
    assert!(again.stdout.contains("failed: notes/broken.pdf: "), "{}", again.stdout);
    program.write("notes/cats.txt", "The dog sleeps under the apple tree.");
    let changed = program.run(&["ingest", "notes/cats.txt", "-c", "notes", "--json"]).done().json();
    assert_eq!((&changed["stored"], &changed["replaced"]), (&1.into(), &1.into()));
    let found = ["search", "mouse", "-c", "notes", "--mode", "lexical", "--json"];
    assert_eq!(ids(&program.run(&found)), Vec::<String>::new(), "the old words are gone");
    let all = ["ingest", "notes/tides.md", "-c", "notes", "--all", "--json", "--set", "year=1999"];
    assert_eq!(program.run(&all).done().json()["stored"], 1);
}

fn patterns_and_standard_input_are_read(program: &Program) {
    let pattern = ["ingest", "notes/**/*.html", "-c", "other", "--relative", "--json"];
    assert_eq!(program.run(&pattern).done().json()["stored"], 1);
    let nothing = program.run(&["ingest", "notes/*.nothing", "-c", "other"]);
    assert_eq!(nothing.code, 8);
    assert!(nothing.stdout.contains("notes/*.nothing: no file matches"), "{}", nothing.stdout);
    let stdin = ["ingest", "-", "--stdin-name", "letter.md", "-c", "other", "--json"];
    let text = "# Letter\n\nThe parcel will arrive on Tuesday.";
    assert_eq!(program.run_with_stdin(&stdin, text.as_bytes()).done().json()["stored"], 1);
    assert_eq!(program.run_with_stdin(&stdin, text.as_bytes()).done().json()["unchanged"], 1);
    let got = program.run(&["get", "letter.md", "-c", "other", "--json"]).done().json();
    let part = &got["documents"][0]["parts"][0];
    assert!(part["text"].as_str().unwrap().contains("arrive on Tuesday"), "{got}");
    assert_eq!(part["span"]["heading"], "Letter");
}

fn questions_are_answered_in_every_mode(program: &Program) {
    let search = |arguments: &[&str]| {
        let all = [&["search", "-c", "notes", "--json"], arguments].concat();
        program.run(&all).done()
    };
    let semantic = search(&["why does the water level change", "--mode", "semantic"]);
    assert_eq!(ids(&semantic)[0], "notes/tides.md");
    let hit = &semantic.json()["hits"][0];
    assert_eq!(hit["legs"][0]["leg"], "dense:text");
    assert!(hit["score"].as_f64().unwrap() > 0.2, "{hit}");
    assert_eq!(hit["payload"]["year"], 1999);
    let lexical = search(&["ferry", "--mode", "lexical"]);
    assert_eq!(ids(&lexical).len(), 1);
    let hit = &lexical.json()["hits"][0];
    let (snippet, range) = (&hit["snippet"], &hit["snippet"]["highlights"][0]);
    let text = snippet["text"].as_str().unwrap();
    let at = |end: usize| usize::try_from(range[end].as_u64().unwrap()).unwrap();
    assert_eq!(&text[at(0)..at(1)], "ferry");
    let hybrid = search(&["when does the ferry go", "--mode", "hybrid"]);
    assert_eq!(ids(&hybrid)[0], ids(&lexical)[0]);
    assert_eq!(hybrid.json()["hits"][0]["legs"].as_array().unwrap().len(), 2);
    for fusion in ["rank", "score", "calibrated"] {
        let fused = search(&["the ferry at noon", "--fusion", fusion, "--weight", "lexical=2"]);
        assert_eq!(ids(&fused)[0], ids(&lexical)[0], "{fusion}");
    }
    let filtered = search(&["what stands or leaves", "--filter", "year<1900"]);
    assert_eq!(ids(&filtered).len(), 1);
    let phrase = search(&["\"at noon\" -lighthouse", "--mode", "lexical", "--syntax", "query"]);
    assert_eq!(ids(&phrase), ids(&lexical));
    let all = ids(&search(&["the sea", "--mode", "semantic"]));
    let rest = ids(&search(&["the sea", "--mode", "semantic", "--offset", "1", "-n", "2"]));
    assert_eq!(rest, all[1..3]);
    let strict = ["the sea", "--mode", "semantic", "--threshold", "0.99", "--exact"];
    assert_eq!(ids(&search(&strict)), Vec::<String>::new());
    let shown = program.run(&["search", "ferry at noon", "-c", "notes"]).done().stdout;
    assert!(shown.starts_with(" 1  ") && shown.contains("milliseconds: embed"), "{shown}");
    assert!(!shown.contains('\u{1b}'), "no colours where no terminal is");
}

fn texts_become_vectors(program: &Program) {
    let embedded = program.run(&["embed", "The cat chases the mouse", "--json"]).done().json();
    let vector = embedded["embeddings"][0]["vector"].as_array().unwrap();
    assert_eq!(vector.len(), 384);
    let length: f64 = vector.iter().map(|value| value.as_f64().unwrap().powi(2)).sum();
    assert!((length - 1.0).abs() < 1e-5, "{length}");
    let texts = ["embed", "The cat chases the mouse", "The kitten hunts rodents"];
    assert!(program.run(&texts).done().stdout.contains("0.622"));
}

fn answers_are_shaped_and_fields_changed(program: &Program) {
    let run = |arguments: &[&str]| {
        let arguments = [arguments, &["-c", "notes", "--json"]].concat();
        program.run(&arguments).done()
    };
    let listed = |arguments: &[&str]| -> Vec<String> {
        let documents = run(arguments).json()["documents"].as_array().unwrap().clone();
        documents.iter().map(|document| document["id"].as_str().unwrap().to_owned()).collect()
    };
    let (old, new) = ("notes/records.jsonl#r1", "notes/records.jsonl#r2");
    let by_year = ["list", "--order-by", "year", "--descending", "--filter", "year!=1999"];
    assert_eq!(listed(&by_year), [new, old]);
    assert_eq!(listed(&["list", "--sample=3", "-n", "2"]).len(), 2);
    let before = run(&["get", old]).json()["documents"][0]["sequence"].clone();
    let updated = run(&["update", old, "--set", "stars=5", "--set", "kind=tower"]).json();
    assert_eq!(updated["updated"], 1, "{updated}");
    let stale = before.to_string();
    let stale = ["update", old, "-c", "notes", "--set", "stars=1", "--if-sequence", &stale];
    let refused = program.run(&stale);
    assert!(refused.stderr.contains("is expected at sequence"), "{}", refused.stderr);
    assert_ne!(refused.code, 0);
    let counted = run(&["count", "--by", "kind"]).json();
    assert_eq!(counted["values"][0], serde_json::json!({ "value": "tower", "documents": 1 }));
    let groups = run(&["search", "lighthouse", "--group-by", "kind"]).json();
    assert_eq!(groups["groups"][0]["hits"][0]["id"], old, "{groups}");
    // More like the lighthouse: not the lighthouse itself.
    let like = ids(&run(&["search", "--like", old]));
    assert!(!like.is_empty() && !like.contains(&old.to_owned()), "{like:?}");
    let varied = ids(&run(&["search", "lighthouse", "--mmr=0.3"]));
    assert_eq!(varied[0], old);
    let told = run(&["search", "lighthouse", "--explain", old]).json();
    assert_eq!((&told["verdict"], &told["rank"]), (&"shown".into(), &1.into()), "{told}");
    let told = run(&["search", "lighthouse", "--filter", "stars=5", "--explain", new]).json();
    assert_eq!(told["verdict"], "filtered");
    assert_eq!(told["conditions"][0], serde_json::json!(["stars = 5", false]));
    assert_eq!(
        run(&["update", "--filter", "stars=5", "--unset", "stars", "--yes"]).json()["updated"],
        1
    );
}

fn documents_are_fetched_counted_and_deleted(program: &Program) {
    let got = ["get", "notes/tides.md", "notes/cats.txt", "-c", "notes", "--vectors", "--json"];
    let got = program.run(&got).done().json();
    let documents = got["documents"].as_array().unwrap();
    assert_eq!(documents.len(), 2);
    assert_eq!(documents[0]["parts"][0]["vectors"]["text"].as_array().unwrap().len(), 384);
    let half = program.run(&["get", "notes/tides.md", "nobody", "-c", "notes"]);
    assert_eq!(half.code, 3);
    assert!(half.stdout.contains("The sea rises"), "what is there is printed: {}", half.stdout);
    assert!(half.stderr.contains("no document `nobody`"), "{}", half.stderr);
    let count = ["count", "-c", "notes", "--filter", "year>=1999", "--json"];
    assert_eq!(program.run(&count).done().json()["documents"], 2);
    let asked = program.run(&["delete", "--filter", "year=1999", "-c", "notes"]);
    assert_eq!(asked.code, 2, "without a terminal nobody can agree");
    assert!(asked.stderr.contains("Delete 1 document? Say --yes"), "{}", asked.stderr);
    let by_filter = ["delete", "--filter", "year=1999", "--yes", "-c", "notes", "--json"];
    assert_eq!(program.run(&by_filter).done().json()["deleted"], 1);
    let by_id = ["delete", "notes/cats.txt", "nobody", "-c", "notes", "--json"];
    assert_eq!(program.run(&by_id).done().json()["deleted"], 1);
    assert_eq!(program.run(&["count", "-c", "notes", "--json"]).json()["documents"], 3);
}

fn house_is_kept(program: &Program) {
    let info = program.run(&["collection", "info", "notes", "--json"]).done().json();
    assert_eq!((&info["state"], &info["documents"]), (&"ready".into(), &3.into()));
    assert_eq!(info["vectors"]["text"]["embedder"], "all-minilm-l6-v2");
    assert_eq!(info["fields"]["year"], serde_json::json!(["integer"]));
    let verified = program.run(&["verify", "notes", "--json"]).done().json();
    assert_eq!((&verified["problems_total"], &verified["documents"]), (&0.into(), &3.into()));
    assert_eq!(program.run(&["repair", "notes"]).done().stdout, "nothing to repair\n");
    let optimized = program.run(&["optimize", "notes", "--json"]).done().json();
    assert_eq!(optimized["segments"], 1);
    let found = ["search", "when does the ferry go", "-c", "notes", "--mode", "semantic", "--json"];
    assert_eq!(ids(&program.run(&found)).len(), 3, "sealed passages are found as well");
    let jobs = program.run(&["job", "list", "--json"]).done().json();
    let jobs = jobs["jobs"].as_array().unwrap();
    let kinds: Vec<&str> = jobs.iter().map(|job| job["kind"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"ingest") && kinds.contains(&"verify"), "{kinds:?}");
    let id = jobs[0]["id"].as_str().unwrap();
    let watched = program.run(&["job", "watch", id, "--json"]).done().json();
    assert_eq!((&watched["id"], &watched["state"]), (&id.into(), &"done".into()));
    let list = program.run(&["collections", "list"]).done().stdout;
    assert!(list.contains("notes") && list.contains("other"), "{list}");
    let report = program.run(&["doctor", "--json"]).done().json();
    assert_eq!(report["server"]["embedder"], "all-minilm-l6-v2");
    assert_eq!(report["collections"].as_array().unwrap().len(), 2);
    program.run(&["collection", "delete", "other", "--yes"]).done();
    let gone = program.run(&["collection", "info", "other"]);
    assert_eq!(gone.code, 3);
}
