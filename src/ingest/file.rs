/// Formats whose lines become documents. What changes with the whole file is no field of them, or one
/// new line would make all of them new.
const RECORD_FORMATS: [&str; 5] = ["jsonl", "ndjson", "csv", "tsv", "json"];

/// Returns the fields that a document has from the file that it is read from: `path`, and, as far as they
/// are known and say something of it, `extension` and `modified`. Those that the user gave go before.
pub fn file_fields(
    path: &str,
    name: &str,
    modified: Option<String>,
) -> impl Iterator<Item = (&'static str, String)> {
    let extension = std::path::Path::new(name)
        .extension()
        .map(|extension| extension.to_string_lossy().to_lowercase());
    let is_records =
        extension.as_deref().is_some_and(|extension| RECORD_FORMATS.contains(&extension));
    let modified = modified.filter(|_| !is_records);
    let fields =
        [("path", Some(path.to_owned())), ("extension", extension), ("modified", modified)];
    fields.into_iter().filter_map(|(name, value)| Some((name, value?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_records_does_not_say_when_it_changed() {
        let of = |name: &str| -> Vec<_> {
            file_fields("a/b", name, Some("2026".to_owned())).map(|(name, _)| name).collect()
        };
        assert_eq!(of("b.MD"), ["path", "extension", "modified"]);
        assert_eq!(of("b.CSV"), ["path", "extension"]);
        assert_eq!(of("b"), ["path", "modified"]);
    }
}
