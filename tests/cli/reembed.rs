//! `simile collection reembed`: made, compared, switched; and what is said of wrong wishes.

use super::program::Program;

#[test]
fn a_collection_goes_over_to_another_model_after_a_comparison() {
    let program = Program::without_models();
    let serving = program.serve(&[]);
    program.run(&["collection", "create", "notes", "--vector", "text=small-static"]).done();
    let texts = [
        "The ferry leaves the harbour at noon.",
        "A cat sleeps on the roof of the boat.",
        "Bread and ham make a sandwich.",
        "The harbour freezes over in January.",
    ];
    for (number, text) in texts.iter().enumerate() {
        program.write(&format!("notes/{number}.txt"), text);
    }
    program.run(&["ingest", "notes", "-c", "notes"]).done();
    let reembed = |more: &[&str]| {
        let first = ["collection", "reembed", "notes", "--model", "hashed-letters", "--json"];
        program.run(&[&first, more].concat())
    };
    // Compared, and both are there.
    let compared = reembed(&["--compare-only"]).done().json();
    assert_eq!((&compared["questions"], &compared["switched"]), (&4.into(), &false.into()));
    let overlap = compared["overlap_10"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&overlap), "{compared}");
    let vectors = program.run(&["collection", "info", "notes", "--json"]).done().json();
    assert_eq!(vectors["vectors"].as_object().unwrap().len(), 2);
    // Nobody is asked without a terminal.
    let unasked = reembed(&[]);
    assert_eq!(unasked.code, 2, "{}", unasked.stderr);
    assert!(unasked.stderr.contains("Say --yes"), "{}", unasked.stderr);
    // By judgements, and switched: it goes on with what is there.
    program.write("judged/corpus.jsonl", "{\"_id\": \"notes/0.txt\", \"text\": \"\"}\n");
    program
        .write("judged/queries.jsonl", "{\"_id\": \"q\", \"text\": \"when does the ferry go\"}\n");
    program.write("judged/qrels.tsv", "query-id\tcorpus-id\tscore\nq\tnotes/0.txt\t1\n");
    let switched = reembed(&["--judged", "judged", "--yes"]).done().json();
    assert_eq!(switched["switched"], true);
    assert_eq!(switched["ndcg_10"].as_array().unwrap().len(), 2, "{switched}");
    assert_eq!(switched["collection"]["vectors"]["text"]["embedder"], "hashed-letters");
    let info = program.run(&["collection", "info", "notes", "--json"]).done().json();
    assert_eq!(info["vectors"].as_object().unwrap().len(), 1);
    // Once more there is nothing to do.
    let again = reembed(&["--yes"]);
    assert_eq!(again.code, 2);
    assert!(again.stderr.contains("made by hashed-letters already"), "{}", again.stderr);
    serving.stop("TERM");
}
