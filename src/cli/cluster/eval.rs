//! `simile eval clusters`: do clusters of texts or pictures agree with the folders that people put them in?

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use simile_proto::v1::document::Content;
use simile_proto::v1::upsert_result::Outcome as Stored;
use simile_proto::v1::{self as wire};

use super::super::eval::{create, in_passing};
use super::{CliError, Connection, MethodArguments, Outcome, Output, Session, Setting, Unit, run};
use crate::embed::DEFAULT_IMAGE_MODEL;
use crate::error::ErrorKind;
use crate::evaluate::Agreement;

/// The most items that are read, and the most bytes of a file of texts.
const ITEMS_MAX: usize = 200_000;
const FILE_BYTES_MAX: u64 = 512 << 20;
/// What the names of pictures end in.
const PICTURES: [&str; 8] = ["jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff"];

#[derive(Debug, Args)]
#[command(
    after_help = "FOLDER has a folder for each class, with a file for each text (.txt or .md) or \
    each picture\n(.jpg, .png, .webp, .gif, .bmp, .tif); or a file for each class of texts (.jsonl with a field \
    \"text\",\nor .txt with a text on each line).\n\n\
    They are embedded into a collection that is gone afterwards, and clustered without their\n\
    classes. NMI, ARI and the V-measure are computed as scikit-learn does, noise as one more cluster; \
    for\nB-cubed each item without a cluster is a cluster of its own."
)]
pub(in crate::cli) struct ClustersArguments {
    /// The folder of classes
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// The embedder [default: the server's; for pictures simile-residual-64]
    #[arg(long, value_name = "MODEL")]
    embedder: Option<String>,
    #[command(flatten)]
    method: MethodArguments,
    #[command(flatten)]
    connection: Connection,
}

/// A text or picture and the class it is of.
#[derive(Debug, Clone, PartialEq)]
struct Labelled {
    class: String,
    item: Item,
}

#[derive(Debug, Clone, PartialEq)]
enum Item {
    Text(String),
    Picture(PathBuf),
}

pub(in crate::cli) fn clusters(
    setting: &Setting,
    arguments: &ClustersArguments,
    output: &Output,
) -> Result<Outcome, CliError> {
    let texts = read(&arguments.folder)?;
    let has_pictures = texts.iter().any(|text| matches!(text.item, Item::Picture(_)));
    let embedder = arguments.embedder.as_deref();
    let embedder = embedder.or_else(|| has_pictures.then_some(DEFAULT_IMAGE_MODEL));
    let method = arguments.method.to_wire()?;
    in_passing(setting, &arguments.connection, async |session| {
        let collection = format!("eval-{}", std::process::id());
        create(session, &collection, embedder).await?;
        let measured = measure(session, &collection, &texts, method, output).await;
        // With a server of somebody else the collection must not stay, whatever happened.
        let request = wire::DeleteCollectionRequest { name: collection.clone() };
        let deleted = session.collections().delete(session.request(request)).await;
        let (found, clusters, silhouette) = measured?;
        deleted?;
        let classes = texts.iter().map(|text| &text.class);
        let classes = classes.collect::<std::collections::HashSet<_>>().len();
        output.answer(
            || {
                let mut json = json!(found);
                if let Some(fields) = json.as_object_mut() {
                    let what = if has_pictures { "pictures" } else { "texts" };
                    fields.insert(what.to_owned(), json!(texts.len()));
                    fields.insert("classes".to_owned(), json!(classes));
                    fields.insert("clusters".to_owned(), json!(clusters));
                    fields.insert("silhouette".to_owned(), json!(silhouette));
                }
                json
            },
            || {
                let what = if has_pictures { "pictures" } else { "texts" };
                format!(
                    "{} {what} of {classes} classes in {clusters} clusters\n\
                     NMI {:.3}  ARI {:.3}  V {:.3} (homogeneity {:.3}, completeness {:.3})\n\
                     B-cubed F1 {:.3} (precision {:.3}, recall {:.3})  noise {:.1} %",
                    texts.len(),
                    found.nmi,
                    found.ari,
                    found.v_measure,
                    found.homogeneity,
                    found.completeness,
                    found.bcubed_f1,
                    found.bcubed_precision,
                    found.bcubed_recall,
                    found.noise * 100.0,
                )
            },
        )?;
        Ok(Outcome::Done)
    })
}

async fn measure(
    session: &Session,
    collection: &str,
    texts: &[Labelled],
    method: wire::cluster_request::Method,
    output: &Output,
) -> Result<(Agreement, usize, Option<f64>), CliError> {
    store(session, collection, texts, output).await?;
    let request = wire::ClusterRequest {
        collection: collection.to_owned(),
        method: Some(method),
        ..Default::default()
    };
    let found = run(session, request, output).await?;
    let clusters: HashMap<&str, Option<u32>> =
        found.items.iter().map(|item| (item.id.as_str(), item.cluster)).collect();
    let pairs: Vec<(&str, Option<u32>)> = texts
        .iter()
        .enumerate()
        .map(|(number, text)| {
            (text.class.as_str(), clusters.get(id(number).as_str()).copied().flatten())
        })
        .collect();
    let summary = &found.summary;
    Ok((Agreement::of(&pairs), summary.clusters.len(), summary.silhouette))
}

fn id(number: usize) -> String {
    format!("{number:08}")
}

async fn store(
    session: &Session,
    collection: &str,
    texts: &[Labelled],
    output: &Output,
) -> Result<(), CliError> {
    let collection = collection.to_owned();
    let given: Vec<(usize, Item)> =
        texts.iter().map(|text| text.item.clone()).enumerate().collect();
    // Read as they are sent, so that pictures are not all in memory.
    let requests = given.into_iter().map(move |(number, item)| wire::UpsertRequest {
        collection: collection.clone(),
        document: Some(wire::Document {
            id: id(number),
            content: Some(content_of(&item)),
            ..Default::default()
        }),
        ..Default::default()
    });
    let mut progress = output.progress("storing", Unit::Items, Some(texts.len() as u64));
    let request = session.request(tokio_stream::iter(requests));
    let mut results = session.documents().upsert(request).await?.into_inner();
    let mut done = 0;
    while let Some(result) = results.message().await? {
        done += 1;
        if let Some(Stored::Error(error)) = result.outcome {
            let place = result.id.parse::<usize>().ok().and_then(|place| texts.get(place));
            let name = match place.map(|text| &text.item) {
                Some(Item::Picture(file)) => file.display().to_string(),
                Some(Item::Text(_)) | None => result.id.clone(),
            };
            progress.note(&format!("not stored: {name}: {}", error.message));
        }
        progress.set(done, "");
    }
    progress.finish();
    Ok(())
}

/// What cannot be read any more is sent as nothing, and named by the server's refusal.
fn content_of(item: &Item) -> Content {
    match item {
        Item::Text(text) => Content::Parts(wire::PartList {
            parts: vec![wire::Part { text: text.clone(), ..Default::default() }],
        }),
        Item::Picture(path) => Content::File(wire::File {
            name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            bytes: fs_err::read(path).unwrap_or_default(),
            ..Default::default()
        }),
    }
}

/// Reads the classes of a folder: each folder or file in it is one.
fn read(folder: &Path) -> Result<Vec<Labelled>, CliError> {
    let mut texts = Vec::new();
    for entry in sorted(folder)? {
        let name = entry.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        if entry.is_dir() {
            for file in sorted(&entry)? {
                let ending = ending(&file).to_lowercase();
                if matches!(&*ending, "txt" | "md") {
                    push(&mut texts, &name, &text_of(&file)?)?;
                } else if PICTURES.contains(&&*ending) {
                    check_room(&texts)?;
                    texts.push(Labelled { class: name.clone(), item: Item::Picture(file) });
                }
            }
            continue;
        }
        match ending(&entry) {
            "jsonl" => {
                for (line, record) in text_of(&entry)?.lines().enumerate() {
                    let record: Result<serde_json::Value, _> = serde_json::from_str(record);
                    let text = record.as_ref().ok().and_then(|record| record["text"].as_str());
                    let Some(text) = text else {
                        let place = format!("{}: line {}", entry.display(), line + 1);
                        return Err(CliError::usage(format!("{place} has no field `text`")));
                    };
                    push(&mut texts, &name, text)?;
                }
            }
            "txt" => {
                for line in text_of(&entry)?.lines() {
                    push(&mut texts, &name, line)?;
                }
            }
            _ => {}
        }
    }
    if texts.is_empty() {
        let folder = folder.display();
        let message = format!("{folder} has no classes of texts or pictures, see --help");
        return Err(CliError::usage(message));
    }
    let is_picture = |text: &&Labelled| matches!(text.item, Item::Picture(_));
    let pictures = texts.iter().filter(is_picture).count();
    if pictures > 0 && pictures < texts.len() {
        return Err(CliError::usage(format!(
            "{} has {pictures} pictures and {} texts, expected one sort",
            folder.display(),
            texts.len() - pictures
        )));
    }
    Ok(texts)
}

fn sorted(folder: &Path) -> Result<Vec<PathBuf>, CliError> {
    let unreadable =
        |error: std::io::Error| CliError::local(ErrorKind::NotFound, error.to_string());
    let entries = fs_err::read_dir(folder).map_err(unreadable)?;
    let paths = entries.map(|entry| Ok(entry?.path()));
    let mut paths = paths.collect::<Result<Vec<_>, std::io::Error>>().map_err(unreadable)?;
    paths.sort();
    Ok(paths)
}

fn ending(file: &Path) -> &str {
    file.extension().and_then(|ending| ending.to_str()).unwrap_or_default()
}

fn text_of(file: &Path) -> Result<String, CliError> {
    let unreadable = |error: std::io::Error| CliError::usage(error.to_string());
    let bytes = fs_err::metadata(file).map_err(unreadable)?.len();
    if bytes > FILE_BYTES_MAX {
        let file = file.display();
        let message = format!("{file} has {bytes} bytes, at most {FILE_BYTES_MAX} are read");
        return Err(CliError::usage(message));
    }
    fs_err::read_to_string(file).map_err(unreadable)
}

fn push(texts: &mut Vec<Labelled>, class: &str, text: &str) -> Result<(), CliError> {
    if text.trim().is_empty() {
        return Ok(());
    }
    check_room(texts)?;
    texts.push(Labelled { class: class.to_owned(), item: Item::Text(text.trim().to_owned()) });
    Ok(())
}

fn check_room(items: &[Labelled]) -> Result<(), CliError> {
    if items.len() >= ITEMS_MAX {
        return Err(CliError::usage(format!("more than {ITEMS_MAX} texts or pictures")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_folders_of_files_or_files_of_lines() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs_err::create_dir(at("sea")).unwrap();
        fs_err::write(at("sea/b.txt"), "a boat\n").unwrap();
        fs_err::write(at("sea/a.md"), "a sail").unwrap();
        fs_err::write(at("sea/sound.wav"), "neither").unwrap();
        fs_err::write(at("bread.jsonl"), "{\"text\": \"an oven\"}\n").unwrap();
        fs_err::write(at("tea.txt"), "green\n\nblack\n").unwrap();
        let found = read(folder.path()).unwrap();
        let of = |item: &Item| match item {
            Item::Text(text) => text.clone(),
            Item::Picture(path) => path.display().to_string(),
        };
        let texts: Vec<String> = found.iter().map(|one| of(&one.item)).collect();
        let pairs: Vec<_> =
            found.iter().zip(&texts).map(|(one, of)| (&*one.class, &**of)).collect();
        let expected = [
            ("bread", "an oven"),
            ("sea", "a sail"),
            ("sea", "a boat"),
            ("tea", "green"),
            ("tea", "black"),
        ];
        assert_eq!(pairs, expected);
        fs_err::write(at("sea/picture.PNG"), "seen").unwrap();
        let error = read(folder.path()).unwrap_err().to_string();
        assert!(error.ends_with("has 1 pictures and 5 texts, expected one sort"), "{error}");
        fs_err::write(at("bread.jsonl"), "{\"words\": 1}\n").unwrap();
        let error = read(folder.path()).unwrap_err().to_string();
        assert!(error.ends_with("bread.jsonl: line 1 has no field `text`"), "{error}");
    }
}
