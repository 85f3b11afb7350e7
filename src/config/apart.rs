//! Is the folder that clients name files of apart from what is nobody's to read?

use std::path::{Path, PathBuf};

/// Returns what is wrong with the folder, if something is: it has to be there, and neither to hold nor to be
/// part of what is kept, by the name of its setting.
pub(super) fn problem(root: &Path, kept: &[(&str, Option<&PathBuf>)]) -> Option<String> {
    let said = |what: &str| Some(format!("ingest_root = {}: {what}", root.display()));
    let Ok(folder) = fs_err::canonicalize(root) else {
        return said("expected a folder that exists");
    };
    if !folder.is_dir() {
        return said("expected a folder");
    }
    let meeting = kept.iter().find_map(|&(name, path)| {
        let path = resolved(path?);
        (path.starts_with(&folder) || folder.starts_with(&path)).then_some((name, path))
    });
    let (name, path) = meeting?;
    said(&format!(
        "expected a folder apart from {name} = {}: clients would read what is in it",
        path.display()
    ))
}

/// Returns the path without links, as far as it is there.
fn resolved(path: &Path) -> PathBuf {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for there in whole.ancestors() {
        if let Ok(real) = fs_err::canonicalize(there) {
            let rest = whole.strip_prefix(there).unwrap_or(Path::new(""));
            return if rest.as_os_str().is_empty() { real } else { real.join(rest) };
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_there_and_apart_from_what_is_kept() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        for folder in ["files/inner", "data", "keys"] {
            fs_err::create_dir_all(at(folder)).unwrap();
        }
        fs_err::write(at("keys/key.pem"), "key").unwrap();
        fs_err::write(at("file"), "file").unwrap();
        let (data, key) = (at("data"), at("keys/key.pem"));
        let look = |root: &Path, data: &PathBuf| {
            problem(root, &[("data", Some(data)), ("tls_key", Some(&key)), ("other", None)])
        };
        assert_eq!(look(&at("files"), &data), None);
        let says = |root: &Path, data: &PathBuf, words: &str| {
            let said = look(root, data).unwrap_or_default();
            assert!(said.contains(words), "{said}");
        };
        says(&at("missing"), &data, "expected a folder that exists");
        let said = look(&at("file"), &data).unwrap_or_default();
        assert!(said.ends_with("file: expected a folder"), "{said}");
        says(&data, &data, "apart from data");
        says(place.path(), &data, "apart from data");
        says(&at("keys"), &data, "apart from tls_key");
        // A data directory that is not there yet would be made in the folder.
        says(&at("files"), &at("files/inner/later/data"), "apart from data");
        says(&at("files/inner"), &at("files"), "apart from data");
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(at("data"), at("link")).unwrap();
            says(&at("link"), &data, "apart from data");
            says(&at("files"), &at("files/../link/../files"), "apart from data");
        }
    }
}
