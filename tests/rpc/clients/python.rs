//! The Python package `simile`: built from this source, installed as anybody would, and used.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use simile::access::{KeyStore, NewKey, Rates, Scope};
use simile::server::Access;

use super::super::server::TestServer;
use super::{environment_of, loaded, pip, python, run};

/// What builds the package and checks its types, the packages that its adapters are for, and what it
/// needs itself.
const PACKAGES: [&str; 10] = [
    "grpcio==1.85.3",
    "protobuf==6.33.6",
    "numpy==2.4.6",
    "hatchling==1.33.0",
    "grpcio-tools==1.76.0",
    "mypy==2.4.1",
    "types-grpcio==1.85.0.20261028",
    "types-protobuf==7.35.1.20260906",
    "tqdm==4.70.1",
    "pytrec-eval-terrier==0.5.11",
];
/// Packages without what they need: both would bring torch along, and are used without it.
const ALONE: [&str; 2] = ["beir==2.2.0", "mteb==2.26.24"];

/// Returns the folder of the Python environment that this build of the package is installed into, and
/// that goes with the test: the one with its needs stays.
fn installed(scratch: &Path) -> PathBuf {
    let needs = environment_of(&format!("package {PACKAGES:?} {ALONE:?}"), |folder| {
        run(pip(folder).args(PACKAGES));
        run(pip(folder).arg("--no-deps").args(ALONE));
    });
    let target = scratch.join("installed");
    // The build writes nothing beside its sources, and needs nothing that is not there.
    let mut install = pip(&needs);
    install.args(["--no-deps", "--no-build-isolation", "--target"]).arg(&target).arg(package());
    run(install.env("PYTHONDONTWRITEBYTECODE", "1"));
    needs
}

fn package() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("python")
}

/// Runs a file of the package with these arguments; returns what it printed.
fn run_file(needs: &Path, scratch: &Path, file: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(python(needs));
    command.arg(package().join(file)).args(arguments).env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("PYTHONPATH", scratch.join("installed"));
    let output = command.output().unwrap();
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{file}\n{out}\n{err}");
    out.trim_end().to_owned()
}

#[test]
fn the_python_package_does_what_it_says_and_its_examples_run() {
    let scratch = tempfile::tempdir().unwrap();
    let needs = installed(scratch.path());
    let root = scratch.path().join("root");
    let folder = root.join("notes");
    fs_err::create_dir_all(&folder).unwrap();
    fs_err::write(folder.join("boats.md"), "Keep a wooden boat dry: air the hull.").unwrap();
    fs_err::write(folder.join("tides.txt"), "High water in the harbour is at noon today.").unwrap();
    let server = loaded(|options| options.ingest_root = Some(root));
    let address = server.address().to_string();
    let ask = |file: &str| run_file(&needs, scratch.path(), file, &[&address]);
    for file in ["tests/use.py", "tests/benchmarks.py"] {
        assert!(ask(file).ends_with("done"), "{file}");
    }
    assert!(ask("examples/quickstart.py").contains("from 2022 on: kitten"));
    assert!(ask("examples/vectors.py").contains("nearest: ['row-7'"));
    assert!(ask("examples/clusters.py").contains("DONE"));
    let arguments = [folder.to_str().unwrap(), &address];
    let said = run_file(&needs, scratch.path(), "examples/folder.py", &arguments);
    assert!(said.contains("when is high water? tides.txt"), "{said}");
    assert!(said.contains("how do I keep a boat dry? boats.md"), "{said}");
    let arguments = ["boats", "notes", "none.md", "--server", &address];
    let said = run_file(&needs, scratch.path(), "examples/there.py", &arguments);
    assert!(said.contains("3 of 3: notes/tides.txt 1 parts"), "{said}");
    assert!(said.contains("Tally(stored=2, unchanged=0, failed=1)"), "{said}");
}

#[test]
fn the_python_package_and_its_examples_have_types_without_a_gap() {
    let scratch = tempfile::tempdir().unwrap();
    let needs = installed(scratch.path());
    // A package among those installed is not looked at closely; as a source it is.
    let mut check = Command::new(python(&needs));
    check.args(["-m", "mypy", "--config-file"]).arg(package().join("pyproject.toml"));
    check.arg("--cache-dir").arg(scratch.path().join("cache"));
    check.args(["-p", "simile"]).current_dir(scratch.path().join("installed"));
    run(&mut check);
    let mut examples = Command::new(python(&needs));
    examples.args(["-m", "mypy", "--config-file"]).arg(package().join("pyproject.toml"));
    examples.arg("--cache-dir").arg(scratch.path().join("cache"));
    for file in ["quickstart", "vectors", "clusters", "folder", "there"] {
        examples.arg(package().join(format!("examples/{file}.py")));
    }
    run(examples.env("MYPYPATH", scratch.path().join("installed")));
}

#[test]
fn the_python_package_shows_its_key_and_tells_refusals_apart() {
    let scratch = tempfile::tempdir().unwrap();
    let needs = installed(scratch.path());
    let keys = KeyStore::open(scratch.path()).unwrap();
    let new = NewKey {
        name: "reader".to_owned(),
        scope: Scope::Read,
        collections: None,
        expires_unix_ms: None,
        rates: Rates::default(),
    };
    let (_, key) = keys.create(new, &[[1; 32], [2; 32]], 0).unwrap();
    let access = Access::Keys(Arc::new(keys));
    let server = TestServer::without_model(|options| options.access = access);
    let address = server.address().to_string();
    let said = run_file(&needs, scratch.path(), "tests/keys.py", &[&address, &key]);
    assert!(said.ends_with("done"), "{said}");
}
