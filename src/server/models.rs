//! Which models are in memory? They are loaded on threads of their own, never by a request: a request
//! that needs one waits for it within its deadline.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::collection::Embedders;
use crate::embed::obtain::Progress;
use crate::embed::{Catalogue, EmbedError, EmbedderHandle};
use crate::error::{Classified as _, ErrorKind};

/// How long after a failure a model is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// How long after a failure the default is tried again while another model stands in for it.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(60);

/// Told what is done to get a model ready: what, how many bytes are done, and of how many if known.
pub type Report = Arc<dyn Fn(&str, u64, Option<u64>) + Send + Sync>;

/// The models of the catalogue, loaded when somebody asks for one.
pub(super) struct Models {
    catalogue: Catalogue,
    default: String,
    obtains_default: bool,
    /// What is the default where that cannot be obtained.
    stand_in: Option<String>,
    is_stood_in: AtomicBool,
    report: Report,
    loads: Mutex<HashMap<String, Load>>,
    ended: watch::Sender<u64>,
    this: Weak<Self>,
}

enum Load {
    Running,
    Failed { reason: String, at: Instant },
}

/// Whether a model can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Readiness {
    /// Nobody has asked for it.
    Idle,
    /// It is being obtained or loaded.
    Loading,
    /// It is in memory.
    Ready,
    /// It could not be loaded.
    Failed(String),
}

impl Models {
    /// Returns the models of a catalogue. `default` is what an empty name means; its files are
    /// obtained if they are missing and `obtains_default` says so, those of others never. Where that
    /// fails, `stand_in` is the default until the next try succeeds.
    pub(super) fn new(
        catalogue: Catalogue,
        default: String,
        obtains_default: bool,
        stand_in: Option<String>,
        report: Report,
    ) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            catalogue,
            default,
            obtains_default,
            stand_in,
            is_stood_in: AtomicBool::new(false),
            report,
            loads: Mutex::default(),
            ended: watch::Sender::new(0),
            this: this.clone(),
        })
    }

    /// Returns the catalogue.
    pub(super) fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// Returns the name of the default text embedder, or of what stands in for it. While another stands
    /// in, the default is tried again now and then.
    pub(super) fn default_name(&self) -> &str {
        match &self.stand_in {
            Some(stand_in) if self.is_stood_in.load(Ordering::Acquire) => {
                self.try_default_again();
                stand_in
            }
            Some(_) | None => &self.default,
        }
    }

    /// Returns the name, or the default's for an empty one.
    pub(super) fn name_or_default<'a>(&'a self, name: &'a str) -> &'a str {
        if name.is_empty() { self.default_name() } else { name }
    }

    /// Returns whether a model can be used.
    pub(super) fn readiness(&self, name: &str) -> Readiness {
        if self.catalogue.loaded(name).is_some() {
            return Readiness::Ready;
        }
        match self.lock().get(name) {
            Some(Load::Running) => Readiness::Loading,
            Some(Load::Failed { reason, .. }) => Readiness::Failed(reason.clone()),
            None => Readiness::Idle,
        }
    }

    /// Returns whether a model is being obtained or loaded.
    pub(super) fn is_loading(&self) -> bool {
        self.lock().values().any(|load| matches!(load, Load::Running))
    }

    /// Returns a receiver that changes whenever a load has ended.
    pub(super) fn ended(&self) -> watch::Receiver<u64> {
        self.ended.subscribe()
    }

    /// Starts to load a model, unless that is going on.
    pub(super) fn begin(&self, name: &str) {
        let mut loads = self.lock();
        if matches!(loads.get(name), Some(Load::Running)) {
            return;
        }
        let Some(this) = self.this.upgrade() else { return };
        let owned = name.to_owned();
        let started =
            thread::Builder::new().name("load-model".to_owned()).spawn(move || this.load(&owned));
        let load = match started {
            Ok(_) => Load::Running,
            Err(error) => Load::Failed { reason: error.to_string(), at: Instant::now() },
        };
        loads.insert(name.to_owned(), load);
    }

    fn load(&self, name: &str) {
        let began = Instant::now();
        let report = |what: &str, done: u64, total: Option<u64>| (self.report)(what, done, total);
        let is_installed = || {
            self.catalogue
                .list()
                .iter()
                .any(|model| model.manifest.name == name && model.is_installed)
        };
        let obtained = if name == self.default && self.obtains_default && !is_installed() {
            self.catalogue.pull(name, &report)
        } else {
            Ok(())
        };
        let result = obtained.and_then(|()| self.catalogue.load(name, &report));
        if let Err(error) = &result {
            self.stand_in_for(name, error, &report);
        }
        let mut loads = self.lock();
        match result {
            Ok(_) => {
                let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                tracing::info!(model = name, took_ms, "model loaded");
                if name == self.default && self.is_stood_in.swap(false, Ordering::AcqRel) {
                    tracing::info!(model = name, "the default model is there, nothing stands in");
                }
                loads.remove(name);
            }
            Err(error) => {
                let reason = super::status::chain(&error);
                tracing::error!(model = name, reason, "model not loaded");
                loads.insert(name.to_owned(), Load::Failed { reason, at: Instant::now() });
            }
        }
        drop(loads);
        self.ended.send_modify(|count| *count += 1);
    }

    /// Loads what stands in for the default, if it is the default that is not to be had here.
    fn stand_in_for(&self, name: &str, error: &EmbedError, report: Progress<'_>) {
        let Some(stand_in) = &self.stand_in else { return };
        if name != self.default || error.kind() != ErrorKind::Unavailable {
            return;
        }
        match self.catalogue.load(stand_in, report) {
            Ok(_) => {
                self.is_stood_in.store(true, Ordering::Release);
                let model = name;
                tracing::warn!(
                    model,
                    stand_in,
                    "the default model is not to be had, another stands in"
                );
            }
            Err(error) => {
                let reason = super::status::chain(&error);
                tracing::error!(model = stand_in, reason, "model not loaded");
            }
        }
    }

    fn try_default_again(&self) {
        let is_due = match self.lock().get(&self.default) {
            Some(Load::Failed { at, .. }) => at.elapsed() >= DEFAULT_RETRY_AFTER,
            Some(Load::Running) | None => false,
        };
        if is_due {
            self.begin(&self.default);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Load>> {
        self.loads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Embedders for Models {
    fn get(&self, name: &str) -> Result<EmbedderHandle, EmbedError> {
        let name = self.name_or_default(name);
        if let Some(handle) = self.catalogue.loaded(name) {
            return Ok(handle);
        }
        self.catalogue.manifest(name)?;
        let reason = match self.lock().get(name) {
            Some(Load::Failed { reason, at }) if at.elapsed() < RETRY_AFTER => Some(reason.clone()),
            _ => None,
        };
        let reason = reason.unwrap_or_else(|| {
            self.begin(name);
            "it is being loaded, try again in a moment".to_owned()
        });
        Err(EmbedError::NotLoaded { name: name.to_owned(), reason })
    }
}

impl std::fmt::Debug for Models {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Models")
            .field("default", &self.default)
            .field("catalogue", &self.catalogue)
            .finish_non_exhaustive()
    }
}
