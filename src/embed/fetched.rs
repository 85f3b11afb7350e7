//! Which files of a repository of the hub make a model? Those of sentence-transformers' layout, fetched
//! into a folder that an interrupted transfer goes on from.

use std::path::{Component, Path};

use super::EmbedError;
use super::import::{GRAPHS, WEIGHTS, bytes, refused};
use super::modules::{QUESTION_TABLE, TOKEN_WEIGHTS, module_paths, router};
use super::obtain::{Hub, ObtainError, Progress, Unpinned};
use super::onnx::{INDEX, shards};

/// The files of settings beside the weights; those a model can do without are not missed.
const SETTINGS: [&str; 5] = [
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "sentence_bert_config.json",
    "artifact.metadata",
];

/// Fetches what makes a model into a folder and returns the commit that it is of, if all of it is of one.
pub(super) fn fetch(
    hub: &Hub,
    repository: &str,
    revision: &str,
    folder: &Path,
    progress: Progress<'_>,
) -> Result<Option<String>, EmbedError> {
    let mut commits = Vec::new();
    let mut get = |name: &str| -> Result<bool, EmbedError> {
        let fetched = hub.fetch_unpinned(repository, revision, name, folder, progress)?;
        let is_there = fetched.is_some();
        commits.extend(fetched.map(|Unpinned { commit, .. }| commit));
        Ok(is_there)
    };
    get("modules.json")?;
    get("config_sentence_transformers.json")?;
    if let Some(router) = router(folder)? {
        get(&router)?;
    }
    let mut transformer = String::new();
    for (kind, path) in module_paths(folder)? {
        match kind.as_str() {
            "Transformer" | "MLMTransformer" if !path.is_empty() => {
                transformer = format!("{path}/");
            }
            "Pooling" | "SpladePooling" => {
                get(&format!("{path}/config.json"))?;
            }
            "Dense" => {
                get(&format!("{path}/config.json"))?;
                get(&format!("{path}/{WEIGHTS}"))?;
            }
            QUESTION_TABLE => {
                get(&format!("{path}/tokenizer.json"))?;
                if !get(&format!("{path}/{WEIGHTS}"))? && !get(&format!("{path}/{TOKEN_WEIGHTS}"))?
                {
                    get(TOKEN_WEIGHTS)?;
                }
            }
            _ => {}
        }
    }
    for name in SETTINGS {
        get(&format!("{transformer}{name}"))?;
    }
    if get(&format!("{transformer}{WEIGHTS}"))? {
        // All of them are in one file.
    } else if get(&format!("{transformer}{INDEX}"))? {
        let index = folder.join(format!("{transformer}{INDEX}"));
        let named = shards(&bytes(&index)?.unwrap_or_default());
        for shard in named.map_err(|error| refused(&index, error.to_string()))? {
            get(&format!("{transformer}{shard}"))?;
        }
    } else {
        for graph in GRAPHS {
            if get(&format!("{transformer}{graph}"))? {
                // Large graphs keep their weights beside them.
                get(&format!("{transformer}{graph}_data"))?;
                break;
            }
        }
    }
    if commits.is_empty() {
        return Err(ObtainError::Hub {
            file: "config.json".to_owned(),
            url: format!("{}/{repository}", hub.endpoint),
            reason: format!("revision {revision} of {repository} has no files of a model"),
        }
        .into());
    }
    let first = commits[0].clone();
    Ok(first.filter(|first| commits.iter().all(|commit| commit.as_ref() == Some(first))))
}

/// Returns whether a text can be `owner/name` on the hub.
pub fn is_repository(text: &str) -> bool {
    let parts: Vec<Component<'_>> = Path::new(text).components().collect();
    let is_plain = |part: &Component<'_>| matches!(part, Component::Normal(_));
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || "-_./".contains(letter);
    parts.len() == 2 && parts.iter().all(is_plain) && text.chars().all(is_name)
}
