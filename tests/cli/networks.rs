//! Image networks over the command line: listed layer by layer, added, and measured on folders.

use std::path::{Path, PathBuf};

use super::program::Program;
use crate::support::picture;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// Writes pictures of two classes: rough ones, and smooth ones of which each is a shift of the others.
fn photos(program: &Program) {
    for number in 0..4 {
        for (class, width) in [("rough_noise", 41 + 2 * number), ("smooth_waves", 64 + 2 * number)]
        {
            let shown = picture([width, 48]);
            let mut png = std::io::Cursor::new(Vec::new());
            let format = image::ImageFormat::Png;
            let (width, height) = (shown.width(), shown.height());
            let kind = image::ExtendedColorType::Rgb8;
            image::write_buffer_with_format(&mut png, shown.samples(), width, height, kind, format)
                .unwrap();
            program.write(&format!("photos/{class}/{number}.png"), png.into_inner());
        }
    }
}

#[test]
fn layers_are_listed_a_network_is_added_and_measured_layer_by_layer() {
    let program = Program::new();
    photos(&program);
    let graph = fixture("networks/small.onnx");
    let graph = graph.to_str().unwrap();
    let listed = program.run(&["model", "layers", graph, "--json"]).done().json();
    assert_eq!((&listed["height"], &listed["layout"]), (&16.into(), &"nchw".into()));
    assert_eq!(listed["layers"][2]["name"], "relu1");
    assert_eq!(listed["layers"][2]["shape"], serde_json::json!([8, 8, 8]));
    let text = program.run(&["model", "layers", "simile-autoencoder-64"]).done().stdout;
    assert!(text.contains("latent") && text.contains("16 x 4 x 4"), "{text}");

    let add = ["model", "add", graph, "--name", "mine", "--layer", "2", "--pooling", "gem"];
    let added = program.run(&[&add[..], &["--json"]].concat()).done().json();
    assert_eq!((&added["kind"], &added["dimension"]), (&"onnx-image".into(), &8.into()));
    let shown = program.run(&["model", "show", "mine", "--json"]).done().json();
    assert_eq!(
        (&shown["network"]["layer"], &shown["state"]),
        (&"relu1".into(), &"installed".into())
    );
    let wrong = program.run(&["model", "add", graph, "--name", "x", "--pooling", "last"]);
    assert_eq!(wrong.code, 2);
    assert!(wrong.stderr.contains("no image model has pooling `last`"), "{}", wrong.stderr);

    let measure = |arguments: &[&str]| {
        program.run(&[&["eval", "labels", "photos", "--json"], arguments].concat())
    };
    let one = measure(&["--embedder", "simile-residual-64"]).done().json();
    assert_eq!((&one["images"], &one["classes"]), (&8.into(), &2.into()));
    assert_eq!((&one["layer"], &one["dimension"]), (&"feature".into(), &512.into()));
    assert_eq!(one["accuracy"], 1.0, "noise is unlike waves");
    let layer = measure(&["--embedder", "mine", "--layer", "joined", "--pooling", "max"]);
    assert_eq!(layer.done().json()["dimension"], 20);
    let swept = measure(&["--embedder", "mine", "--sweep"]).done().json();
    let swept = swept.as_array().unwrap();
    let accuracies: Vec<f64> = swept.iter().map(|it| it["accuracy"].as_f64().unwrap()).collect();
    assert!(swept.len() >= 5 && accuracies.is_sorted_by(|a, b| a >= b), "{accuracies:?}");

    program.write("photos/rough_noise/broken.png", b"\x89PNG\r\n\x1a\nno more than that");
    let some = measure(&["--embedder", "simile-autoencoder-64"]);
    assert_eq!((some.code, &some.json()["images"]), (8, &8.into()));
    assert!(some.stderr.contains("broken.png"), "{}", some.stderr);
}

#[test]
fn a_joint_model_is_added_and_asked_for_the_names_of_folders() {
    let program = Program::new();
    photos(&program);
    let folder = fixture("joint/clip");
    let add = ["model", "add", folder.to_str().unwrap(), "--name", "joint", "--json"];
    let added = program.run(&add).done().json();
    assert_eq!((&added["kind"], &added["dimension"]), (&"onnx-joint".into(), &20.into()));
    let ask = ["eval", "zero-shot", "photos", "--embedder", "joint", "--json"];
    let asked = program.run(&[&ask[..], &["--prompt", "a painting of {}"]].concat()).done().json();
    // Its weights are chance's, but one of two names is always among the five nearest.
    assert_eq!((&asked["images"], &asked["accuracy_5"]), (&8.into(), &1.0.into()));
    let accuracy = asked["accuracy"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&accuracy));
    let labels = ["eval", "labels", "photos", "--embedder", "joint", "--json"];
    assert_eq!(program.run(&labels).done().json()["layer"], serde_json::Value::Null);
}
