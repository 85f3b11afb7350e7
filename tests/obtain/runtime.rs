//! Finding ONNX Runtime.

use std::path::{Path, PathBuf};

use simile::embed::onnx::{RUNTIME_VERSION, RuntimeSearch};

use super::assert_says;
use super::pip::{python_over, wheel};
use crate::cli::program::Program;
use crate::support;

fn search(explicit: Option<PathBuf>, beside: &Path, cache: &Path) -> RuntimeSearch {
    RuntimeSearch {
        explicit,
        beside: Some(beside.to_owned()),
        cache: cache.to_owned(),
        is_offline: true,
        python: "python3".to_owned(),
    }
}

/// The library that the tests use, fetched if need be.
fn library() -> PathBuf {
    support::model();
    let found = support::catalogue().runtime().candidates();
    found.first().expect("the model is loaded, so there is a runtime").clone()
}

#[test]
fn what_was_named_comes_first_then_what_is_beside_then_the_cache() {
    let folder = tempfile::tempdir().unwrap();
    let [beside, cache, named] = ["beside", "cache", "named"].map(|name| folder.path().join(name));
    let kept = cache.join("runtime").join(RUNTIME_VERSION);
    for folder in [&beside, &kept, &named] {
        fs_err::create_dir_all(folder).unwrap();
    }
    let candidates = |explicit: Option<PathBuf>| {
        let own = search(explicit, &beside, &cache).candidates().into_iter();
        own.filter(|path| path.starts_with(folder.path())).collect::<Vec<_>>()
    };
    assert_eq!(candidates(None), Vec::<PathBuf>::new());
    for name in ["libonnxruntime.so.1.9.0", "libonnxruntime.so.1.32.0"] {
        fs_err::write(kept.join(name), "").unwrap();
    }
    assert_eq!(candidates(None), [kept.join("libonnxruntime.so.1.32.0")]);
    for name in ["libonnxruntime.so.1.9", "libonnxruntime.so", "libother.so.7"] {
        fs_err::write(beside.join(name), "").unwrap();
    }
    let both = [beside.join("libonnxruntime.so"), kept.join("libonnxruntime.so.1.32.0")];
    assert_eq!(candidates(None), both, "the plain name is the one that its owner chose");
    fs_err::write(named.join("libonnxruntime.1.32.0.dylib"), "").unwrap();
    let by_folder = candidates(Some(named.clone()));
    assert_eq!(by_folder, [named.join("libonnxruntime.1.32.0.dylib")]);
    assert_eq!(candidates(Some(by_folder[0].clone())), by_folder);
    let nothing = candidates(Some(named.join("libmissing.so")));
    assert_eq!(nothing, Vec::<PathBuf>::new(), "nothing else is tried then");
}

#[test]
fn a_library_that_was_named_is_used_or_the_error_says_why_not() {
    let program = Program::without_models();
    let library = library();
    let found = |argument: &Path| {
        let named = argument.to_str().unwrap();
        program.run(&["doctor", "--json", "--onnxruntime", named]).json()["runtime"].clone()
    };
    let runtime = found(&library);
    assert_eq!(runtime["library"], library.to_str().unwrap());
    assert_eq!(runtime["version"], RUNTIME_VERSION);
    assert_eq!(found(library.parent().unwrap())["version"], RUNTIME_VERSION);

    let text = program.write("libtext.so", "this is no library ".repeat(99));
    for (argument, words) in [
        (text.as_path(), &["libtext.so is not a usable ONNX Runtime", "invalid ELF header"][..]),
        (Path::new("/no/such/lib.so"), &["/no/such/lib.so is not", "there is no such file"]),
        (program.folder(), &["it holds none"]),
    ] {
        let runtime = found(argument);
        let error = runtime["error"].as_str().unwrap();
        assert_says(error, words);
        assert_says(error, &["--onnxruntime (SIMILE_ONNXRUNTIME)", "or leave that out"]);
        assert_eq!(runtime["looked"].as_array().unwrap().len(), 1);
    }
}

#[test]
fn nowhere_and_not_to_be_had_is_one_error_that_says_what_to_do() {
    let program = Program::without_models();
    // The model is here, so that the runtime is the first thing that is missing.
    support::model();
    std::os::unix::fs::symlink(
        support::cache_folder().join("models"),
        program.folder().join("cache/models"),
    )
    .unwrap();
    let error = program.run(&["model", "pull"]);
    assert_eq!(error.code, 5);
    let words = [
        "ONNX Runtime was not found",
        "/usr/lib",
        &format!("pip install onnxruntime=={RUNTIME_VERSION}"),
        "--onnxruntime (SIMILE_ONNXRUNTIME)",
        "run once without --offline",
    ];
    assert_says(&error.stderr, &words);
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[test]
fn a_damaged_runtime_in_the_cache_is_obtained_anew() {
    let library = library();
    let program = Program::without_models();
    let cache = program.folder().join("cache");
    std::os::unix::fs::symlink(support::cache_folder().join("models"), cache.join("models"))
        .unwrap();
    let kept = cache.join("runtime").join(RUNTIME_VERSION);
    fs_err::create_dir_all(&kept).unwrap();
    let name = format!("libonnxruntime.so.{RUNTIME_VERSION}");
    fs_err::write(kept.join(&name), "half of it").unwrap();

    let error = program.run(&["model", "pull"]);
    assert_eq!(error.code, 5);
    assert_says(&error.stderr, &["is not a usable ONNX Runtime", "run once without --offline"]);

    let links = program.folder().join("links");
    fs_err::create_dir_all(&links).unwrap();
    let file = format!("onnxruntime-{RUNTIME_VERSION}-cp312-cp312-manylinux_2_28_x86_64.whl");
    let bytes = fs_err::read(&library).unwrap();
    let member = format!("onnxruntime/capi/{name}");
    wheel(&links.join(file), "onnxruntime", RUNTIME_VERSION, &[(&member, &bytes)]);
    let python = python_over(&links);
    let pulled = program.run(&["model", "pull", "--json", "--offline=false", "--python", &python]);
    assert_eq!(pulled.code, 0, "{}", pulled.stderr);
    assert_eq!(pulled.json()["library"], kept.join(&name).to_str().unwrap());
    assert_says(&pulled.stderr, &["obtained ONNX Runtime"]);
    assert!(fs_err::read(kept.join(&name)).unwrap() == bytes);
}
