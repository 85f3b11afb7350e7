//! Models added from a repository of the hub whose hashes nobody wrote down.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use simile::embed::obtain::Hub;
use simile::embed::{AddOptions, Catalogue, CatalogueOptions, EmbedError, Manifest};

use super::hub::{Asked, HubServer, Reply};
use crate::support;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/families/distilbert-mean")
}

/// Answers as the hub does: large files are elsewhere, under their hash, and small ones are here.
fn reply(asked: &Asked) -> Reply {
    if let Some(name) = asked.path.strip_prefix("/store/") {
        let content = fs_err::read(fixture().join(name)).unwrap();
        return Reply::of(&content, asked);
    }
    let name = asked.path.strip_prefix("/owner/tiny/resolve/");
    let name = name.and_then(|rest| rest.split_once('/')).map(|(_, name)| name.to_owned());
    let Some(content) = name.as_ref().and_then(|name| fs_err::read(fixture().join(name)).ok())
    else {
        return Reply::status(404);
    };
    let name = name.unwrap();
    if name == "model.safetensors" {
        let hash = format!("\"{:x}\"", Sha256::digest(&content));
        return Reply::redirect(&format!("/store/{name}"))
            .header("X-Linked-ETag", &hash)
            .header("X-Linked-Size", &content.len().to_string())
            .header("X-Repo-Commit", COMMIT);
    }
    Reply::whole(&content).header("X-Repo-Commit", COMMIT)
}

fn add(hub: &HubServer, own: &Path, repository: &str) -> Result<Manifest, EmbedError> {
    let catalogue = Catalogue::open(CatalogueOptions {
        hub: Hub { endpoint: hub.url(), retry_after: Duration::from_millis(1) },
        own: Some(own.to_owned()),
        ..support::catalogue_options()
    });
    let options = AddOptions::default();
    let catalogue = catalogue.unwrap();
    let added = catalogue.add_from_hub("tiny", repository, "main", &options, &|_, _, _| {})?;
    catalogue.load("tiny", &|_, _, _| {})?;
    Ok((*added).clone())
}

#[test]
fn a_repository_becomes_a_model_that_names_its_commit() {
    let folder = tempfile::tempdir().unwrap();
    let hub = HubServer::start(|asked, _| reply(asked));
    let manifest = add(&hub, folder.path(), "owner/tiny").unwrap();
    let text = manifest.to_toml().unwrap();
    assert!(text.contains(COMMIT) && text.contains("owner/tiny"), "{text}");
    let names: Vec<&str> = manifest.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["config.json", "tokenizer.json", "model.safetensors"]);
    let left: Vec<_> = fs_err::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn an_interrupted_addition_goes_on_where_it_broke_off() {
    let folder = tempfile::tempdir().unwrap();
    let broken = HubServer::start(|asked, _| {
        if asked.path.starts_with("/store/") && asked.from.is_none() {
            reply(asked).broken_after(1_000)
        } else if asked.path.starts_with("/store/") {
            Reply::status(503)
        } else {
            reply(asked)
        }
    });
    let error = add(&broken, folder.path(), "owner/tiny").unwrap_err().to_string();
    assert!(error.contains("model.safetensors"), "{error}");
    let hub = HubServer::start(|asked, _| reply(asked));
    add(&hub, folder.path(), "owner/tiny").unwrap();
    let stored = hub.asked().into_iter().filter(|asked| asked.path.starts_with("/store/"));
    let from: Vec<_> = stored.map(|asked| asked.from).collect();
    assert_eq!(from, [Some(1_000)], "only what was missing is asked for");
}

#[test]
fn what_is_no_repository_or_has_no_model_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let hub = HubServer::start(|asked, _| reply(asked));
    let refused = |repository: &str| add(&hub, folder.path(), repository).unwrap_err().to_string();
    assert!(
        refused("owner/nothing").contains("no files of a model"),
        "{}",
        refused("owner/nothing")
    );
    for repository in ["tiny", "a/b/c", "../owner", "owner/a b"] {
        assert!(refused(repository).contains("`owner/name`"), "{}", refused(repository));
    }
}
