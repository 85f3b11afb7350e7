//! Fits models on the texts of collections, as jobs.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value as Json, json};
use simile_proto::v1::{self as wire};
use tonic::{Request, Response, Status};

use super::super::core::{Core, Shared};
use super::super::pool::contained;
use super::super::status;
use super::super::translate::{WireError, optional_filter};
use super::jobs::to_wire;
use crate::cancel::Cancellation;
use crate::collection::{Collection, JobHandle, JobKind, JobState};
use crate::document::{DocumentId, Filter};
use crate::embed::{Recipe, Texts, Training};
use crate::error::ErrorKind;

/// The most text that is held to be trained on, in bytes.
const TEXT_BYTES_MAX: usize = 1 << 30;
/// The most memory for the tables of a model that is being fitted.
const TABLE_BYTES_MAX: u64 = 4 << 30;
/// How many trainings run or wait for their turn.
const TRAININGS_MAX: usize = 16;
/// How many documents are read at once.
const PAGE: usize = 200;
/// How often the job says how far it is.
const SAY_EVERY: Duration = Duration::from_millis(100);
/// How often a training that waits for its turn looks whether somebody ended it.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// What stands for a licence that nobody named (SPDX).
const NO_LICENCE: &str = "NOASSERTION";

/// What is asked for, checked as far as that needs no collection.
#[derive(Debug)]
struct Asked {
    model: String,
    licence: String,
    recipe: Recipe,
    filter: Option<Filter>,
    seed: u64,
    threads: usize,
    by_line: bool,
}

impl Asked {
    fn of(message: wire::TrainRequest, threads_max: usize) -> Result<Self, WireError> {
        let threads = message.threads.map_or(threads_max, |threads| threads as usize);
        if !(1..=threads_max).contains(&threads) {
            let (actual, most) = (threads as u64, threads_max as u64);
            return Err(WireError::OutOfRange { what: "threads", actual, least: 1, most });
        }
        let licence = Some(message.licence).filter(|licence| !licence.is_empty());
        Ok(Self {
            recipe: recipe(&message.method, &message.options)?,
            model: message.model,
            licence: licence.unwrap_or_else(|| NO_LICENCE.to_owned()),
            filter: optional_filter(message.filter)?,
            seed: message.seed.unwrap_or(1),
            threads,
            by_line: message.by_line,
        })
    }
}

/// Reads the method and its options; what is left out has its default.
fn recipe(method: &str, options: &str) -> Result<Recipe, WireError> {
    if method.is_empty() {
        return Err(WireError::Missing("the method"));
    }
    let wrong = |reason: String| WireError::Recipe { method: method.to_owned(), reason };
    let options = match options.trim() {
        "" => Ok(Map::new()),
        text => serde_json::from_str(text),
    };
    let options = options.map_err(|error| wrong(format!("no JSON object: {error}")))?;
    let read = |options: Json| {
        let recipe = json!({ "method": method, "options": options });
        serde_json::from_value::<Recipe>(recipe).map_err(|error| wrong(error.to_string()))
    };
    // The same part has other defaults in another method, so they come from the method.
    let defaults = read(Json::Object(Map::new()))?;
    let mut defaults = serde_json::to_value(defaults).map_err(|error| wrong(error.to_string()))?;
    let mut whole = defaults["options"].take();
    put(&mut whole, Json::Object(options));
    let recipe = read(whole)?;
    if let Recipe::Average(_) = recipe {
        // Its vectors are a file, and whoever asks over the network may name none of the server's.
        let reason = "it reads a file of word vectors: `simile model train average` where that is";
        return Err(wrong(reason.to_owned()));
    }
    Ok(recipe)
}

/// Puts what is given in the place of what is there, and into objects field by field.
fn put(there: &mut Json, given: Json) {
    match (there, given) {
        (Json::Object(there), Json::Object(given)) => {
            for (name, value) in given {
                put(there.entry(name).or_insert(Json::Null), value);
            }
        }
        (there, given) => *there = given,
    }
}

/// Begins to fit a model, and returns the job.
pub(super) async fn train(
    core: &Core,
    request: Request<wire::TrainRequest>,
) -> Result<Response<wire::Job>, Status> {
    let (metadata, _, mut message) = request.into_parts();
    let name = std::mem::take(&mut message.collection);
    let asked = Asked::of(message, core.options.catalogue.threads)?;
    let begin = move |shared: &Shared, _: &Cancellation| {
        let collection = begin(shared, &name, &asked)?;
        let job = shared.jobs.start(JobKind::Train, &name, &asked.model, Cancellation::new());
        Ok((collection, asked, job))
    };
    let (collection, asked, job) = core.answer(&metadata, begin).await?;
    let id = job.id();
    tokio::spawn(run(core.clone(), collection, asked, job));
    let job = core.jobs.get(&id).ok_or_else(|| Status::internal("the job is gone"))?;
    Ok(Response::new(to_wire(job)))
}

/// Refuses what could only fail later.
fn begin(shared: &Shared, name: &str, asked: &Asked) -> Result<Arc<Collection>, Status> {
    let collection = shared.collection(name)?;
    let fits = collection.scroll(asked.filter.as_ref(), None, 1, false, false);
    fits.map_err(|error| status::of(&error))?;
    let catalogue = shared.models.catalogue();
    catalogue.check_new_name(&asked.model).map_err(|error| status::of(&error))?;
    let jobs = shared.jobs.list().into_iter();
    let trainings = jobs.filter(|job| job.kind == JobKind::Train && job.state == JobState::Running);
    if trainings.count() >= TRAININGS_MAX {
        let said = format!("{TRAININGS_MAX} models are being fitted or wait, try again later");
        return Err(status::from_kind(ErrorKind::Overloaded, said));
    }
    Ok(collection)
}

/// Waits for its turn and fits the model; ends with the server.
async fn run(core: Core, collection: Arc<Collection>, asked: Asked, job: JobHandle) {
    let cancel = job.cancellation().clone();
    job.update(|status| "waits for its turn".clone_into(&mut status.message));
    let place = tokio::select! {
        place = Arc::clone(&core.training).acquire_owned() => place.ok(),
        () = ended(&cancel) => None,
        () = core.stopped() => None,
    };
    let Some(place) = place else {
        cancel.cancel();
        job.end(Err("ended before its turn".to_owned()));
        return;
    };
    let (shared, token) = (core.clone(), cancel.clone());
    let mut work = tokio::task::spawn_blocking(move || {
        let fitted = contained(|| fit(&shared, &collection, &asked, &job, &token));
        job.end(fitted.map_err(|error| error.message().to_owned()));
        drop(place);
    });
    tokio::select! {
        // Its end is in the list of jobs.
        done = &mut work => drop(done),
        () = core.stopped() => {
            cancel.cancel();
            drop(work.await);
        }
    }
}

/// Returns once somebody ended the work.
async fn ended(cancel: &Cancellation) {
    while !cancel.is_ended() {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Fits the model and returns what it is.
fn fit(
    shared: &Shared,
    collection: &Collection,
    asked: &Asked,
    job: &JobHandle,
    cancel: &Cancellation,
) -> Result<String, Status> {
    let said = RefCell::new(None);
    let progress = |what: &str, done: u64, total: Option<u64>| say(job, &said, what, done, total);
    let corpus = read(collection, asked, &progress, cancel)?;
    let memory = shared.options.memory_bytes_max.unwrap_or(u64::MAX);
    let training = Training {
        corpus: &corpus,
        seed: asked.seed,
        threads: asked.threads,
        table_bytes_max: TABLE_BYTES_MAX.min(memory),
        progress: &progress,
        cancel,
    };
    let Asked { model, licence, recipe, .. } = asked;
    let catalogue = shared.models.catalogue();
    let manifest =
        catalogue.train(model, licence, recipe, &training).map_err(|error| status::of(&error))?;
    tracing::info!(model, texts = corpus.len(), "model fitted");
    Ok(manifest.description.clone())
}

/// Reads the passages of the collection.
fn read(
    collection: &Collection,
    asked: &Asked,
    progress: &dyn Fn(&str, u64, Option<u64>),
    cancel: &Cancellation,
) -> Result<Texts, Status> {
    let mut texts = Texts::new(TEXT_BYTES_MAX, asked.by_line);
    let mut after: Option<DocumentId> = None;
    loop {
        cancel.check().map_err(status::interrupted)?;
        progress("reading the collection", texts.len() as u64, None);
        let filter = asked.filter.as_ref();
        let (page, has_more) = collection
            .scroll(filter, after.as_ref(), PAGE, true, false)
            .map_err(|error| status::of(&error))?;
        for part in page.iter().flat_map(|document| &document.parts) {
            texts.add(&part.text).map_err(|error| status::of(&error))?;
        }
        after = page.into_iter().next_back().map(|document| document.id);
        if !has_more || after.is_none() {
            return Ok(texts);
        }
    }
}

/// Says of a job how far it is: whenever something else is done, and now and then.
fn say(
    job: &JobHandle,
    said: &RefCell<Option<(String, Instant)>>,
    what: &str,
    done: u64,
    total: Option<u64>,
) {
    let mut said = said.borrow_mut();
    let is_old = |(before, at): &(String, Instant)| before != what || at.elapsed() >= SAY_EVERY;
    if said.as_ref().is_none_or(is_old) {
        *said = Some((what.to_owned(), Instant::now()));
        job.update(|status| {
            what.clone_into(&mut status.message);
            (status.items_done, status.items_total) = (done, total);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the contract says the defaults are: the lines from a method to the next one.
    fn written() -> Vec<(String, String)> {
        let contract = include_str!("../../../proto/simile/v1/embedding.proto");
        let (_, defaults) = contract.split_once("The defaults:\n").unwrap();
        let mut found: Vec<(String, String)> = Vec::new();
        for line in defaults.lines().map_while(|line| line.trim().strip_prefix("//   ")) {
            match line.split_once(" {") {
                Some((method, options)) if !line.starts_with(' ') => {
                    found.push((method.to_owned(), format!("{{{options}")));
                }
                Some(_) | None => found.last_mut().unwrap().1.push_str(line),
            }
        }
        found
    }

    #[test]
    fn the_defaults_are_those_that_the_contract_names() {
        let written = written();
        assert_eq!(written.len(), 8, "{written:?}");
        for (method, options) in written {
            let named = recipe(&method, &options).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(named, recipe(&method, "").unwrap(), "{method}");
        }
    }

    #[test]
    fn what_is_left_out_keeps_the_default_of_its_method() {
        let options = r#"{"training": {"dimension": 8}, "average": {"weighting": "idf"}}"#;
        let Recipe::FastText(given) = recipe("fasttext", options).unwrap() else { panic!() };
        let Recipe::FastText(default) = recipe("fasttext", "").unwrap() else { panic!() };
        assert_eq!(given.training.dimension, 8);
        assert_eq!(given.training.rate_first, default.training.rate_first);
        assert_eq!(
            (given.average.powers, given.buckets),
            (default.average.powers, default.buckets)
        );
    }
}
