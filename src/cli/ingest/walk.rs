//! Which files are meant by the paths of a command line?

use std::collections::HashSet;
use std::error::Error;
use std::io;
use std::path::{Component, Path, PathBuf};

use globset::{Glob, GlobSet, GlobSetBuilder};
use walkdir::{DirEntry, WalkDir};

use super::super::exit::CliError;

/// A file to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Found {
    /// Where it is.
    pub(in crate::cli) path: PathBuf,
    /// The id of its document.
    pub(in crate::cli) id: String,
    /// How long it is.
    pub(in crate::cli) bytes: u64,
    /// Whether it was named itself, instead of found in a folder.
    pub(in crate::cli) is_named: bool,
}

/// A path that cannot be read, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Unreadable {
    pub(in crate::cli) name: String,
    pub(in crate::cli) reason: String,
}

/// What to take of what is found.
#[derive(Debug)]
pub(in crate::cli) struct Selection {
    include: Option<GlobSet>,
    exclude: GlobSet,
    takes_hidden: bool,
    has_relative_ids: bool,
}

impl Selection {
    pub(in crate::cli) fn new(
        include: &[String],
        exclude: &[String],
        takes_hidden: bool,
        has_relative_ids: bool,
    ) -> Result<Self, CliError> {
        let include = if include.is_empty() { None } else { Some(glob_set(include)?) };
        Ok(Self { include, exclude: glob_set(exclude)?, takes_hidden, has_relative_ids })
    }

    /// Returns the files that the paths mean, in their order and each once; and what cannot be read.
    pub(in crate::cli) fn walk(
        &self,
        paths: &[String],
    ) -> Result<(Vec<Found>, Vec<Unreadable>), CliError> {
        let mut walk =
            Walk { selection: self, found: vec![], failed: vec![], seen: HashSet::new() };
        for path in paths.iter().filter(|path| *path != "-") {
            walk.add(path)?;
        }
        Ok((walk.found, walk.failed))
    }

    fn takes(&self, path: &Path) -> bool {
        self.include.as_ref().is_none_or(|globs| matches(globs, path))
            && !matches(&self.exclude, path)
    }

    fn enters(&self, entry: &DirEntry) -> bool {
        let is_hidden = entry.file_name().to_str().is_some_and(|name| name.starts_with('.'));
        entry.depth() == 0 || self.takes_hidden || !is_hidden
    }
}

struct Walk<'a> {
    selection: &'a Selection,
    found: Vec<Found>,
    failed: Vec<Unreadable>,
    seen: HashSet<PathBuf>,
}

impl Walk<'_> {
    fn add(&mut self, given: &str) -> Result<(), CliError> {
        let path = Path::new(given);
        // Said without the path, which stands beside the reason.
        match path.metadata() {
            Ok(metadata) if metadata.is_dir() => self.folder(path, path, None),
            Ok(metadata) => self.push(path, path, metadata.len(), true),
            Err(_) if given.contains(['*', '?', '[', '{']) => self.pattern(given)?,
            Err(error) => {
                let reason = root_of(&error);
                self.failed.push(Unreadable { name: given.to_owned(), reason });
            }
        }
        Ok(())
    }

    /// The part of a pattern before its first special letter is a folder; the rest is matched below.
    fn pattern(&mut self, pattern: &str) -> Result<(), CliError> {
        let globs = glob_set(&[pattern.to_owned()])?;
        let special = |component: &Component<'_>| {
            component.as_os_str().to_string_lossy().contains(['*', '?', '[', '{'])
        };
        let fixed: PathBuf =
            Path::new(pattern).components().take_while(|component| !special(component)).collect();
        let root = if fixed.as_os_str().is_empty() { Path::new(".") } else { &fixed };
        let before = self.found.len() + self.failed.len();
        self.folder(root, &fixed, Some(&globs));
        if self.found.len() + self.failed.len() == before {
            let reason = "no file matches".to_owned();
            self.failed.push(Unreadable { name: pattern.to_owned(), reason });
        }
        Ok(())
    }

    fn folder(&mut self, root: &Path, base: &Path, globs: Option<&GlobSet>) {
        let entries = WalkDir::new(root)
            .sort_by_file_name()
            .into_iter()
            .filter_entry(|entry| self.selection.enters(entry));
        for entry in entries {
            match entry {
                Ok(entry) if entry.file_type().is_file() => {
                    let path = clean(entry.path());
                    let length = entry.metadata().map_or(0, |metadata| metadata.len());
                    if globs.is_none_or(|globs| globs.is_match(&path)) {
                        self.push(&path, base, length, false);
                    }
                }
                // Links are not followed, so that no folder is read twice and none without end.
                Ok(_) => {}
                Err(error) => {
                    let name = error.path().unwrap_or(root).display().to_string();
                    let reason = error.io_error().map_or(error.to_string(), ToString::to_string);
                    self.failed.push(Unreadable { name, reason });
                }
            }
        }
    }

    fn push(&mut self, path: &Path, base: &Path, bytes: u64, is_named: bool) {
        let path = clean(path);
        if !self.selection.takes(&path) || !self.seen.insert(path.clone()) {
            return;
        }
        let below = match path.strip_prefix(clean(base)) {
            Ok(below) if self.selection.has_relative_ids => {
                // A file that was named itself has nothing below it, and goes by its name.
                if below.as_os_str().is_empty() {
                    path.file_name().map_or(path.as_path(), Path::new)
                } else {
                    below
                }
            }
            _ => &path,
        };
        let id = below.to_string_lossy().replace('\\', "/");
        self.found.push(Found { id, path, bytes, is_named });
    }
}

/// Returns what the system said, without the path, which is named beside it.
fn root_of(error: &io::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// Returns the path without `.` in it, so that `./a` and `a` are one document.
fn clean(path: &Path) -> PathBuf {
    path.components().filter(|component| *component != Component::CurDir).collect()
}

/// A pattern without a folder in it is about the file's name.
fn matches(globs: &GlobSet, path: &Path) -> bool {
    globs.is_match(path) || path.file_name().is_some_and(|name| globs.is_match(name))
}

fn glob_set(patterns: &[String]) -> Result<GlobSet, CliError> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let cleaned = pattern.strip_prefix("./").unwrap_or(pattern);
        let glob = Glob::new(cleaned)
            .map_err(|error| CliError::usage(format!("pattern `{pattern}`: {}", error.kind())))?;
        set.add(glob);
    }
    set.build().map_err(|error| CliError::usage(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(paths: &[String], selection: &Selection) -> Vec<String> {
        let (found, failed) = selection.walk(paths).unwrap();
        assert_eq!(failed, []);
        found.into_iter().map(|found| found.id).collect()
    }

    fn tree() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in ["a.md", "b/c.md", "b/d.txt", ".hidden/e.md", "b/.f.md"] {
            let path = folder.path().join(file);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, "text").unwrap();
        }
        folder
    }

    fn selection(include: &[&str], exclude: &[&str]) -> Selection {
        let owned =
            |patterns: &[&str]| patterns.iter().map(ToString::to_string).collect::<Vec<_>>();
        Selection::new(&owned(include), &owned(exclude), false, true).unwrap()
    }

    #[test]
    fn a_folder_is_read_to_its_end_and_hidden_files_are_left_out() {
        let tree = tree();
        let root = tree.path().display().to_string();
        assert_eq!(
            ids(std::slice::from_ref(&root), &selection(&[], &[])),
            ["a.md", "b/c.md", "b/d.txt"]
        );
        let all = Selection::new(&[], &[], true, true).unwrap();
        assert_eq!(ids(&[root], &all).len(), 5);
    }

    #[test]
    fn patterns_include_and_exclude_by_path_or_by_name() {
        let tree = tree();
        let root = [tree.path().display().to_string()];
        assert_eq!(ids(&root, &selection(&["*.md"], &[])), ["a.md", "b/c.md"]);
        assert_eq!(ids(&root, &selection(&[], &["**/b/**"])), ["a.md"]);
        assert_eq!(ids(&root, &selection(&["*.md"], &["c.*"])), ["a.md"]);
        assert!(Selection::new(&["[".to_owned()], &[], false, false).is_err());
    }

    #[test]
    fn a_quoted_pattern_is_expanded_here() {
        let tree = tree();
        let pattern = format!("{}/**/*.md", tree.path().display());
        assert_eq!(ids(&[pattern], &selection(&[], &[])), ["a.md", "b/c.md"]);
        let nothing = format!("{}/*.nothing", tree.path().display());
        let (found, failed) = selection(&[], &[]).walk(&[nothing]).unwrap();
        assert_eq!((found.len(), failed[0].reason.as_str()), (0, "no file matches"));
    }

    #[test]
    fn ids_are_paths_as_given_unless_asked_otherwise() {
        let tree = tree();
        let root = tree.path().display().to_string();
        let as_given = Selection::new(&[], &[], false, false).unwrap();
        let (found, _) = as_given.walk(&[format!("{root}/./b/d.txt"), root.clone()]).unwrap();
        let ids: Vec<_> = found.iter().map(|found| found.id.as_str()).collect();
        let expected = ["b/d.txt", "a.md", "b/c.md"].map(|name| format!("{root}/{name}"));
        assert_eq!(ids, expected, "a file that is meant twice is read once");
        assert!(found[0].is_named && !found[1].is_named);
    }

    #[test]
    fn a_path_that_is_not_there_is_named_with_its_reason() {
        let (_, failed) = selection(&[], &[]).walk(&["no/such/file.md".to_owned()]).unwrap();
        assert_eq!(failed[0].name, "no/such/file.md");
        assert_eq!(failed[0].reason, "No such file or directory (os error 2)");
    }
}
