//! Vectors that another server computes: any endpoint that speaks OpenAI's `POST /v1/embeddings`.
//!
//! The texts leave this machine, which nobody chooses by accident: such a model is added by name. Requests
//! carry several texts; one that fails for a reason that passes (429, 5xx, no connection) is made again a
//! few times, later and later. What comes back is believed only if it has one finite vector of the right
//! dimension for each text.

mod client;
mod pieces;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use self::client::{Client, Refusal};
use self::pieces::Pieces;
use super::{EmbedError, Embedder, Encoded, Manifest, Specification, Tokenize};
use crate::vector::{DenseVector, Vector};

/// The most texts of a request.
const BATCH_TEXTS_MAX: usize = 2_048;
/// The most requests of a minute.
const REQUESTS_PER_MINUTE_MAX: u32 = 100_000;

/// Which endpoint is asked, and how. In a manifest the table `remote`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoteSettings {
    /// The address up to and without `/embeddings`, as `https://api.example/v1`.
    pub url: String,
    /// What the endpoint calls the model.
    pub model: String,
    /// The environment variable that holds the key; none: requests carry no key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_variable: Option<String>,
    /// Whether the endpoint is told the dimension, for models that can shorten their vectors.
    #[serde(default)]
    pub sends_dimension: bool,
    /// The most pieces of a text (words, or four letters of a longer one) that are sent; what the
    /// endpoint's own tokens are is not known here.
    #[serde(default = "RemoteSettings::usual_tokens")]
    pub tokens_max: usize,
    /// The most texts of a request.
    #[serde(default = "RemoteSettings::usual_texts")]
    pub batch_texts: usize,
    /// The most requests of a minute; none: as many as there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u32>,
    /// How long after the first failure a request is made again, in milliseconds; each wait is twice the
    /// one before.
    #[serde(default = "RemoteSettings::usual_wait")]
    pub retry_ms: u64,
    /// What a question is prefixed with.
    #[serde(default)]
    pub query_prefix: String,
    /// What a passage is prefixed with.
    #[serde(default)]
    pub passage_prefix: String,
}

impl RemoteSettings {
    /// Returns the usual settings around an endpoint and its model.
    pub fn of(url: impl Into<String>, model: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            model: model.into(),
            key_variable: None,
            sends_dimension: false,
            tokens_max: Self::usual_tokens(),
            batch_texts: Self::usual_texts(),
            requests_per_minute: None,
            retry_ms: Self::usual_wait(),
            query_prefix: String::new(),
            passage_prefix: String::new(),
        }
    }

    fn usual_tokens() -> usize {
        512
    }

    fn usual_texts() -> usize {
        64
    }

    fn usual_wait() -> u64 {
        500
    }

    pub(super) fn check(&self) -> Result<(), String> {
        let within = |what: &str, actual: usize, most: usize| {
            let is_in = (1..=most).contains(&actual);
            if is_in { Ok(()) } else { Err(format!("{what} is {actual}, expected 1 to {most}")) }
        };
        if !self.url.starts_with("http://") && !self.url.starts_with("https://") {
            return Err(format!("url is `{}`, expected http:// or https://", self.url));
        }
        if self.model.is_empty() {
            return Err("model is empty, expected what the endpoint calls it".to_owned());
        }
        within("tokens_max", self.tokens_max, 8_192)?;
        within("batch_texts", self.batch_texts, BATCH_TEXTS_MAX)?;
        let requests = self.requests_per_minute.map_or(1, |requests| requests as usize);
        within("requests_per_minute", requests, REQUESTS_PER_MINUTE_MAX as usize)?;
        within("retry_ms", usize::try_from(self.retry_ms).unwrap_or(usize::MAX), 60_000)
    }

    /// Returns what of the settings shapes a vector: not how often and with which key is asked.
    pub(super) fn facts(&self) -> Vec<(&'static str, String)> {
        vec![
            ("url", self.url.clone()),
            ("model", self.model.clone()),
            ("tokens_max", self.tokens_max.to_string()),
            ("query_prefix", self.query_prefix.clone()),
            ("passage_prefix", self.passage_prefix.clone()),
        ]
    }
}

/// Finds the keys that manifests name; asked when a model is loaded.
#[derive(Clone, Default)]
pub struct Keys(Option<Arc<FindKey>>);

type FindKey = dyn Fn(&str) -> Option<String> + Send + Sync;

impl Keys {
    /// Returns keys that are found by the names of variables.
    pub fn new(find: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(find)))
    }

    fn get(&self, variable: &str) -> Option<String> {
        self.0.as_ref().and_then(|find| find(variable)).filter(|key| !key.is_empty())
    }
}

impl fmt::Debug for Keys {
    /// No key is shown.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.0.is_some() { "Keys(..)" } else { "Keys(none)" })
    }
}

/// A model that another server runs.
#[derive(Debug)]
pub(super) struct Remote {
    specification: Specification,
    tokenizer: Arc<Pieces>,
    client: Client,
    batch_texts: usize,
}

impl Remote {
    /// Makes ready to ask; nothing is asked yet.
    pub(super) fn new(
        manifest: &Manifest,
        settings: &RemoteSettings,
        keys: &Keys,
    ) -> Result<Self, EmbedError> {
        let key = match &settings.key_variable {
            None => None,
            Some(variable) => Some(keys.get(variable).ok_or_else(|| EmbedError::NoKey {
                name: manifest.name.clone(),
                variable: variable.clone(),
            })?),
        };
        Ok(Self {
            specification: manifest.specification(),
            tokenizer: Arc::new(Pieces::new(settings)),
            client: Client::new(settings, manifest.dimension, key),
            batch_texts: settings.batch_texts,
        })
    }
}

impl Embedder for Remote {
    fn specification(&self) -> &Specification {
        &self.specification
    }

    fn tokenizer(&self) -> Arc<dyn Tokenize> {
        Arc::clone(&self.tokenizer) as Arc<dyn Tokenize>
    }

    fn run(&mut self, batch: &[&Encoded]) -> Result<Vec<Option<Vector>>, EmbedError> {
        let texts: Vec<String> = batch.iter().map(|text| pieces::text(text)).collect();
        // Most endpoints refuse a request with an empty text.
        let asked: Vec<&str> =
            texts.iter().map(String::as_str).filter(|text| !text.trim().is_empty()).collect();
        let mut found = Vec::with_capacity(asked.len());
        for texts in asked.chunks(self.batch_texts) {
            let asked = self.client.embed(texts);
            let vectors = asked.map_err(|Refusal { reason, is_passing }| {
                let name = self.specification.name.clone();
                EmbedError::Endpoint { name, reason, is_passing }
            })?;
            for vector in vectors {
                let unit = DenseVector::new(vector).and_then(DenseVector::normalized);
                found.push(unit.map_err(|error| EmbedError::Endpoint {
                    name: self.specification.name.clone(),
                    reason: error.to_string(),
                    is_passing: false,
                })?);
            }
        }
        let mut found = found.into_iter();
        let vectors = texts.iter().map(|text| {
            let is_asked = !text.trim().is_empty();
            if is_asked { found.next().map(Vector::from) } else { None }
        });
        Ok(vectors.collect())
    }
}
