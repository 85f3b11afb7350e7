//! `simile cluster` and `simile eval clusters`, over texts and the default model.

use super::program::Program;

pub(super) const TEXTS: [(&str, [&str; 6]); 3] = [
    (
        "cats",
        [
            "The cat chases the mouse through the garden.",
            "A kitten sleeps in the sun on the warm wall.",
            "Our old cat purrs when it is stroked.",
            "Cats hunt mice and birds at dusk.",
            "The kitten plays with a ball of wool.",
            "A cat licks its fur after every meal.",
        ],
    ),
    (
        "bread",
        [
            "Knead the dough for ten minutes before baking.",
            "The bread rises in the oven for an hour.",
            "Mix flour, water, salt and yeast into a dough.",
            "A loaf with a dark crust came from the bakery oven.",
            "Let the sourdough rest overnight before you bake it.",
            "Rye flour makes a heavy bread with a thick crust.",
        ],
    ),
    (
        "stars",
        [
            "The telescope shows the rings of Saturn.",
            "A variable star grows bright every few days.",
            "We watched the moons of Jupiter through the telescope.",
            "The galaxy is two million light years away.",
            "Astronomers measure the brightness of a distant star.",
            "A comet passed the planet Mars last night.",
        ],
    ),
];

#[test]
fn clusters_are_printed_written_as_a_page_and_measured() {
    let program = Program::new();
    for (class, texts) in TEXTS {
        for (number, text) in texts.iter().enumerate() {
            program.write(&format!("texts/{class}/{number}.txt"), text);
        }
    }
    let serving = program.serve(&[]);
    program.run(&["ingest", "texts", "-c", "notes"]).done();
    clusters_are_those_of_the_folders(&program);
    the_page_has_everything_in_it(&program);
    values_are_separated_by_commas(&program);
    wrong_usage_is_named(&program);
    folders_are_measured(&program);
    copies_are_deleted_by_choice(&program);
    assert_eq!(serving.stop("TERM").0, 0);
}

fn clusters_are_those_of_the_folders(program: &Program) {
    let arguments = ["cluster", "-c", "notes", "--method", "kmeans", "--k", "3", "--json"];
    let json = program.run(&arguments).done().json();
    assert_eq!(json["clusters"].as_array().unwrap().len(), 3);
    for cluster in 0..3 {
        let items = json["items"].as_array().unwrap().iter();
        let members = items.filter(|item| item["cluster"] == cluster);
        let folders: Vec<String> = members
            .map(|item| item["id"].as_str().unwrap().split('/').nth(1).unwrap().to_owned())
            .collect();
        assert_eq!(folders.len(), 6, "{json}");
        assert!(folders.iter().all(|folder| *folder == folders[0]), "{folders:?}");
    }
    // Called by given words, each by the one that says what its texts are about.
    program.write("names.txt", "cat\nbread\nstar\n\nmotorcycle\n");
    let named = [&arguments[..], &["--names", "names.txt"]].concat();
    let json = program.run(&named).done().json();
    let mut called: Vec<&str> = json["clusters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|cluster| cluster["terms"][0].as_str().unwrap())
        .collect();
    called.sort_unstable();
    assert_eq!(called, ["bread", "cat", "star"]);
    let text = program.run(&["cluster", "-c", "notes", "--method", "kmeans", "--k", "3"]).done();
    assert!(text.stdout.starts_with("3 clusters of 18 documents, 0 in none"), "{}", text.stdout);
    assert!(text.stdout.contains("and 1 more"), "{}", text.stdout);
}

fn the_page_has_everything_in_it(program: &Program) {
    let run = program.run(&["cluster", "-c", "notes", "--html", "clusters.html", "--json"]).done();
    assert!(run.stderr.contains("wrote clusters.html"), "{}", run.stderr);
    let page = fs_err::read_to_string(program.folder().join("clusters.html")).unwrap();
    assert!(page.contains("The kitten plays with a ball of wool."), "the texts are there");
    assert!(page.contains("texts/stars/0.txt") && page.contains("\"x\":"));
    for fetched in ["http:", "https:", "src=", "@import", "url("] {
        assert!(!page.contains(fetched), "the page fetches: {fetched}");
    }
}

fn values_are_separated_by_commas(program: &Program) {
    let run = program.run(&["cluster", "-c", "notes", "--method", "duplicates", "--csv"]).done();
    let mut lines = run.stdout.lines();
    assert_eq!(
        lines.next().unwrap(),
        "id,cluster,distance,probability,outlier_score,keep,memberships"
    );
    assert_eq!(lines.count(), 18);
}

fn copies_are_deleted_by_choice(program: &Program) {
    program.write("texts/cats/again.txt", TEXTS[0].1[0]);
    program.run(&["ingest", "texts", "-c", "notes"]).done();
    let duplicates = ["cluster", "-c", "notes", "--method", "duplicates", "--radius", "0.05"];
    let count =
        || program.run(&["count", "-c", "notes", "--json"]).done().json()["documents"].clone();
    let run = |more: &[&str]| program.run(&[&duplicates[..], more].concat());
    // Texts are no pictures, of which alone copies are told.
    let run_copies = run(&["--delete", "copies", "--yes"]).done();
    assert!(run_copies.stderr.contains("deleted 0 documents"), "{}", run_copies.stderr);
    let dry = run(&["--delete", "all", "--dry-run"]).done();
    assert!(dry.stderr.contains("1 document would be deleted"), "{}", dry.stderr);
    let asked = run(&["--delete", "all"]);
    assert!(asked.code == 2 && asked.stderr.contains("Say --yes to do it"), "{}", asked.stderr);
    assert_eq!(count(), 19);
    run(&["--delete", "all", "--yes"]).done();
    assert_eq!(count(), 18);
}

fn wrong_usage_is_named(program: &Program) {
    let run = program.run(&["cluster", "-c", "notes", "--method", "dbscan"]);
    assert_eq!((run.code, run.stderr.trim()), (2, "error: --method dbscan needs --radius"));
    let run = program.run(&["cluster", "-c", "nothing"]);
    assert_eq!(run.code, 3, "{}", run.stderr);
    let run = program.run(&["eval", "clusters", "no-such-folder"]);
    assert_eq!(run.code, 3, "{}", run.stderr);
}

fn folders_are_measured(program: &Program) {
    let arguments = ["eval", "clusters", "texts", "--method", "kmeans", "--k", "3", "--json"];
    let json = program.run(&arguments).done().json();
    assert_eq!(
        (&json["texts"], &json["classes"], &json["clusters"]),
        (&18.into(), &3.into(), &3.into())
    );
    for measure in ["nmi", "ari", "v_measure", "bcubed_f1"] {
        let value = json[measure].as_f64().unwrap();
        assert!(value > 0.999, "{measure}: {value}");
    }
    assert_eq!(json["noise"], 0.0);
}
