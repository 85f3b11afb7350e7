//! Do imports point down, and do the engines stay in their folders?
//!
//! Folders do not keep a program in layers, a test does. This one reads the sources as tokens (so
//! that comments and strings do not count) and follows `crate::`, `super::`, `simile::` and the
//! names of foreign crates, groups in braces included.

use std::path::Path;

/// The folders of `src` from the bottom up. A folder imports from lower rows only; the folders of one
/// row do not know each other.
const LAYERS: [&[&str]; 12] = [
    &["error"],
    &["access", "cancel", "fail"],
    &["vector", "picture", "reach"],
    &["document"],
    &["decode", "chunk", "embed", "index"],
    &["ingest", "query", "cluster", "evaluate"],
    &["collection"],
    &["server"],
    &["config"],
    &["telemetry"],
    &["cli"],
    &["main", "lib"],
];

/// Foreign crates and the only places under `src` that import them.
const ENGINES: [(&str, &[&str]); 25] = [
    ("ort", &["embed/onnx"]),
    ("tokenizers", &["embed"]),
    ("safetensors", &["embed"]),
    ("hf_hub", &["embed"]),
    ("moxcms", &["decode"]),
    ("parquet", &["cli"]),
    ("zune_jpeg", &["decode"]),
    ("symphonia", &["decode"]),
    ("realfft", &["embed"]),
    ("hnsw_rs", &["index"]),
    ("tantivy", &["index"]),
    ("sled", &[]),
    ("simile_storage", &["collection"]),
    ("simile_proto", &["server", "cli"]),
    ("tonic", &["server", "cli"]),
    ("tokio", &["server", "cli", "main"]),
    ("tokio_stream", &["server", "cli"]),
    ("tokio_rustls", &["server"]),
    ("opentelemetry", &["server"]),
    ("opentelemetry_otlp", &["server"]),
    ("opentelemetry_sdk", &["server"]),
    ("tower", &["server"]),
    ("tower_http", &["server"]),
    ("axum", &["server"]),
    ("prometheus_client", &["server"]),
];

/// What reads the world behind a caller's back, and so is passed in below the configuration layer.
const PASSED_IN: [(&str, &str); 8] = [
    ("std::fs", "use fs_err, whose errors name the path"),
    ("std::env", "settings are passed in"),
    ("SystemTime::now", "the time is passed in"),
    ("Timestamp::now", "the time is passed in"),
    ("Zoned::now", "the time is passed in"),
    ("rand::rng", "a seed is passed in"),
    ("rand::random", "a seed is passed in"),
    ("rand::thread_rng", "a seed is passed in"),
];

/// The folder whose kernels need `unsafe`; one file below `index` maps sealed segments and may too.
const UNSAFE_FOLDER: &str = "vector/kernel";
const UNSAFE_MAPPED_FOLDER: &str = "index";
const LINES_MAX: usize = 600;

#[test]
fn sources_keep_to_their_layers() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut mapping_files = Vec::new();
    for (name, text) in sources(&root.join("src")) {
        found.extend(violations(&name, &text));
        if is_below(&name, UNSAFE_MAPPED_FOLDER) && tokens(&text).contains(&"unsafe") {
            mapping_files.push(name);
        }
    }
    if mapping_files.len() > 1 {
        found.push(format!("`unsafe` in more than one file of the index: {mapping_files:?}"));
    }
    for folder in ["storage/src", "proto/src", "tests"] {
        for (name, text) in sources(&root.join(folder)) {
            found.extend(overlong(&format!("{folder}/{name}"), &text));
        }
    }
    assert!(found.is_empty(), "{} violations:\n{}", found.len(), found.join("\n"));
}

/// Returns the Rust files below a folder: path with `/`, and content; sorted.
fn sources(folder: &Path) -> Vec<(String, String)> {
    let mut files: Vec<_> = walkdir::WalkDir::new(folder)
        .into_iter()
        .map(|entry| entry.unwrap().into_path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "rs"))
        .map(|path| {
            let name = path.strip_prefix(folder).unwrap().to_str().unwrap().replace('\\', "/");
            (name, fs_err::read_to_string(&path).unwrap())
        })
        .collect();
    files.sort();
    files
}

/// Returns what a file of `src` does against the rules, a line each.
fn violations(name: &str, text: &str) -> Vec<String> {
    let module = module_of(name);
    let home = module.first().map_or("lib", String::as_str);
    let Some(layer) = layer_of(home) else {
        return vec![format!("{name}: `{home}` stands in no layer of tests/layers.rs")];
    };
    let tokens = tokens(text);
    let mut found = overlong(name, text);
    if tokens.contains(&"unsafe")
        && !is_below(name, UNSAFE_FOLDER)
        && !is_below(name, UNSAFE_MAPPED_FOLDER)
    {
        found.push(format!("{name}: `unsafe` outside {UNSAFE_FOLDER} and {UNSAFE_MAPPED_FOLDER}"));
    }
    for path in paths(&tokens, &module) {
        let joined = path.join("::");
        if path[0] == "crate" {
            let Some(target) = path.get(1).filter(|target| *target != home) else { continue };
            match layer_of(target) {
                // A name that is no folder is an item of lib.rs.
                None => {}
                Some(other) if other > layer => {
                    found.push(format!("{name}: `{home}` imports upward: {joined}"));
                }
                Some(other) if other == layer => {
                    found.push(format!("{name}: `{home}` imports its sibling: {joined}"));
                }
                Some(_) => {}
            }
        }
        for (engine, homes) in ENGINES {
            if path[0] == engine && !homes.iter().any(|home| is_below(name, home)) {
                found.push(format!("{name}: `{engine}` is imported only in {homes:?}: {joined}"));
            }
        }
        for (banned, instead) in PASSED_IN {
            // What was compiled for is no setting.
            let is_constant = path.starts_with(&["std", "env", "consts"].map(str::to_owned));
            if layer < layer_of("config").unwrap() && contains(&path, banned) && !is_constant {
                found.push(format!("{name}: {joined}: {instead}"));
            }
        }
    }
    found.dedup();
    found
}

fn overlong(name: &str, text: &str) -> Vec<String> {
    let lines = text.lines().count();
    let message = format!("{name}: {lines} lines, at most {LINES_MAX}");
    if lines > LINES_MAX { vec![message] } else { Vec::new() }
}

fn layer_of(folder: &str) -> Option<usize> {
    LAYERS.iter().position(|row| row.contains(&folder))
}

/// Returns the module path of a file: `a/b.rs` and `a/b/mod.rs` are both `[a, b]`.
fn module_of(name: &str) -> Vec<String> {
    let stem = name.strip_suffix(".rs").unwrap_or(name);
    let stem = stem.strip_suffix("/mod").unwrap_or(stem);
    if stem == "lib" { Vec::new() } else { stem.split('/').map(str::to_owned).collect() }
}

fn is_below(name: &str, folder: &str) -> bool {
    let rest = name.strip_prefix(folder).unwrap_or("-");
    rest.starts_with('/') || rest == ".rs"
}

/// Returns whether the banned path occurs in `path`: `now` after `SystemTime`, wherever imported from.
fn contains(path: &[String], banned: &str) -> bool {
    let banned: Vec<&str> = banned.split("::").collect();
    let is_rooted = matches!(banned[0], "std" | "rand");
    path.windows(banned.len()).enumerate().any(|(at, window)| {
        (at == 0 || !is_rooted) && window.iter().zip(&banned).all(|(part, banned)| part == banned)
    })
}

/// Returns every path that is written in a file, groups taken apart, `super` and `simile` resolved to
/// `crate`. Paths inside functions and inline modules count like those at the top.
fn paths(tokens: &[&str], module: &[String]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut inline: Vec<(String, usize)> = Vec::new();
    let mut depth = 0;
    let mut at = 0;
    while at < tokens.len() {
        match tokens[at] {
            "{" => depth += 1,
            "}" => {
                depth -= 1;
                inline.retain(|(_, opened)| *opened <= depth);
            }
            "mod" if tokens.get(at + 2) == Some(&"{") => {
                inline.push((tokens[at + 1].to_owned(), depth + 1));
            }
            _ => {}
        }
        let continues = at > 0 && matches!(tokens[at - 1], "::" | ".");
        let is_path = is_name(tokens[at]) && tokens.get(at + 1) == Some(&"::") && !continues;
        let is_use = at > 0 && matches!(tokens[at - 1], "use" | "crate") && is_name(tokens[at]);
        if is_path || is_use {
            let mut raw = Vec::new();
            let end = expand(tokens, at, &mut Vec::new(), &mut raw);
            let mut here = module.to_vec();
            here.extend(inline.iter().map(|(name, _)| name.clone()));
            found.extend(raw.into_iter().map(|path| resolved(path, &here)));
            at = end;
        } else {
            at += 1;
        }
    }
    found
}

/// Reads one path from `at`, with its groups; returns where it ends.
fn expand(
    tokens: &[&str],
    mut at: usize,
    prefix: &mut Vec<String>,
    found: &mut Vec<Vec<String>>,
) -> usize {
    let depth = prefix.len();
    loop {
        match tokens.get(at) {
            Some(&"{") => {
                at += 1;
                while let Some(&token) = tokens.get(at) {
                    match token {
                        "}" => {
                            at += 1;
                            break;
                        }
                        "," => at += 1,
                        _ => at = expand(tokens, at, prefix, found).max(at + 1),
                    }
                }
                break;
            }
            Some(name) if is_name(name) || *name == "*" => {
                prefix.push((*name).to_owned());
                at += 1;
                if tokens.get(at) != Some(&"::") {
                    found.push(prefix.clone());
                    break;
                }
                at += 1;
            }
            // A turbofish or a macro's variable: what was read so far is the path.
            _ => {
                found.push(prefix.clone());
                break;
            }
        }
    }
    prefix.truncate(depth);
    if tokens.get(at) == Some(&"as") { at + 2 } else { at }
}

fn resolved(path: Vec<String>, here: &[String]) -> Vec<String> {
    let supers = path.iter().take_while(|part| *part == "super" || *part == "self").count();
    let ups = path[..supers].iter().filter(|part| *part == "super").count();
    let mut whole = vec!["crate".to_owned()];
    match path[0].as_str() {
        "super" | "self" => whole.extend_from_slice(&here[..here.len().saturating_sub(ups)]),
        "crate" | "simile" => {}
        _ => return path,
    }
    whole.extend_from_slice(&path[supers.max(usize::from(supers == 0))..]);
    whole
}

fn is_name(token: &str) -> bool {
    token.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// Returns a file's tokens: names, `::`, and single other characters; comments, strings, characters
/// and lifetimes are left out.
fn tokens(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if let Some(length) = skipped(rest) {
            length
        } else if first.is_alphabetic() || first == '_' {
            let is_part = |c: char| c.is_alphanumeric() || c == '_';
            let length = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
            found.push(&rest[..length]);
            length
        } else if rest.starts_with("::") {
            found.push("::");
            2
        } else {
            if !first.is_whitespace() {
                found.push(&rest[..first.len_utf8()]);
            }
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    found
}

/// Returns how long the comment, string, character or lifetime is that starts here, if one does.
fn skipped(rest: &str) -> Option<usize> {
    let until = |end: &str, from: usize| {
        rest[from..].find(end).map_or(rest.len(), |found| from + found + end.len())
    };
    if rest.starts_with("//") {
        return Some(until("\n", 2));
    }
    if rest.starts_with("/*") {
        return Some(block_comment(rest));
    }
    let raw = rest.trim_start_matches(['b', 'c']);
    if let Some(after) = raw.strip_prefix('r') {
        let hashes = after.len() - after.trim_start_matches('#').len();
        if after[hashes..].starts_with('"') {
            let open = rest.len() - after.len() + hashes + 1;
            return Some(until(&format!("\"{}", "#".repeat(hashes)), open));
        }
    }
    let plain = rest.strip_prefix(['b', 'c']).unwrap_or(rest);
    if plain.starts_with('"') {
        return Some(rest.len() - plain.len() + quoted(plain, '"'));
    }
    let after = plain.strip_prefix('\'')?;
    let mut characters = after.chars();
    let first = characters.next()?;
    if first == '\\' || characters.next() == Some('\'') {
        return Some(rest.len() - plain.len() + quoted(plain, '\''));
    }
    let name = after.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(after.len());
    Some(rest.len() - after.len() + name)
}

fn quoted(text: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        if !is_escaped && character == quote {
            return at + 1;
        }
        is_escaped = !is_escaped && character == '\\';
    }
    text.len()
}

fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

#[track_caller]
fn check(name: &str, text: &str, expected: &[&str]) {
    let found = violations(name, text);
    let is_as_expected = found.len() == expected.len()
        && found.iter().zip(expected).all(|(found, expected)| found.contains(expected));
    assert!(is_as_expected, "{name}\n{text}\nexpected {expected:?}\nfound {found:?}");
}

#[test]
fn planted_upward_imports_are_found() {
    check("vector/metric.rs", "use crate::index::Hit;", &["`vector` imports upward"]);
    check("index/dense/mod.rs", "use crate::collection;", &["imports upward: crate::collection"]);
    check("query/plan.rs", "fn f() { crate::server::start(); }", &["crate::server::start"]);
    check("ingest.rs", "use crate::{vector, collection::{Part, self}};", &["::Part", "::self"]);
    check("embed/onnx/session.rs", "use super::super::super::ingest::X;", &["crate::ingest::X"]);
    check("document/id.rs", "mod tests { use super::super::super::query; }", &["crate::query"]);
    check("index/flat.rs", "use simile::collection::Hit;", &["imports upward"]);
    check("cancel.rs", "mod a { mod b { use crate::vector::Metric; } }", &["imports upward"]);
}

#[test]
fn planted_sibling_imports_are_found() {
    check("chunk/mod.rs", "use crate::decode::Content;", &["`chunk` imports its sibling"]);
    check("query/fuse.rs", "pub(crate) use crate::ingest as i;", &["imports its sibling"]);
    check("strange/mod.rs", "", &["`strange` stands in no layer"]);
}

#[test]
fn planted_engines_out_of_place_are_found() {
    check("embed/text/mod.rs", "use ort::session::Session;", &["`ort` is imported only in"]);
    check("embed/onnx.rs", "use ort;", &[]);
    check("collection/write.rs", "use tantivy::Index;\nuse hnsw_rs as h;", &["tantivy", "hnsw_rs"]);
    check("collection/write.rs", "fn f() -> sled::Db { todo!() }", &["`sled`"]);
    check("index/flat.rs", "use simile_storage::Table;", &["`simile_storage`"]);
    check("collection/mod.rs", "use tonic::Status;", &["`tonic`"]);
    check("query/mod.rs", "#[tokio::test] async fn t() {}", &["`tokio`"]);
    check("main.rs", "fn main() { tokio::runtime::Runtime::new(); }", &[]);
}

#[test]
fn planted_unsafe_and_overlong_files_are_found() {
    check("query/plan.rs", "fn f() { unsafe { g() } }", &["`unsafe` outside"]);
    check("vector/kernel/avx.rs", "fn f() { unsafe { g() } }", &[]);
    check("vector/kernelish.rs", "unsafe fn f() {}", &["`unsafe` outside"]);
    check("query/plan.rs", &"\n".repeat(LINES_MAX + 1), &["601 lines, at most 600"]);
}

#[test]
fn planted_reads_of_the_world_are_found() {
    check("ingest/mod.rs", "use std::fs;", &["use fs_err"]);
    check("ingest/mod.rs", "use std::{io::{self, Read}, fs::File};", &["std::fs::File"]);
    check("query/mod.rs", "fn f() { SystemTime::now(); }", &["the time is passed in"]);
    check("query/mod.rs", "fn f() { std::time::SystemTime::now(); }", &["the time is passed in"]);
    check("embed/mod.rs", "fn f() { std::env::var(\"HOME\"); }", &["settings are passed in"]);
    check("index/mod.rs", "fn f() { let r = rand::rng(); }", &["a seed is passed in"]);
    check("embed/mod.rs", "fn f() -> &str { std::env::consts::OS }", &[]);
    check("config/mod.rs", "use std::{env, fs}; fn f() { SystemTime::now(); }", &[]);
}

#[test]
fn what_is_allowed_or_only_mentioned_is_no_violation() {
    check("query/plan.rs", "use crate::{document::Filter, index, query::fuse};", &[]);
    check("query/plan.rs", "use super::fuse::{self, Fusion}; use self::x::Y;", &[]);
    check("query/plan.rs", "// use crate::server;\n/* crate::cli /* */ ort::x */", &[]);
    check("query/plan.rs", "const A: &str = \"unsafe crate::server::x \\\" ort::y\";", &[]);
    check("query/plan.rs", "const A: &[u8] = br#\"use \"crate::server::x\"\"#;", &[]);
    check("query/plan.rs", "fn f<'a>(c: &'a char) { if *c == '\"' { } } // \"", &[]);
    check("query/plan.rs", "fn f() { x.ort::<u8>(); index.sort(); my::ort(); }", &[]);
    check("cli/mod.rs", "use crate::{config::Settings, server, collection}; use tonic::X;", &[]);
    check("lib.rs", "pub mod server; pub use crate::cli::run;", &[]);
    check("main.rs", "use simile::{cli, config};", &[]);
}
