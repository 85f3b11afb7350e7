//! `simile model train --server`: the server fits the model, as a job, and has it.

use serde_json::{Value as Json, json};
use simile_proto::v1 as wire;

use super::collection::bytes;
use super::connection::Session;
use super::exit::{CliError, Outcome};
use super::filter;
use super::output::{GOOD, Output, STRONG, Unit, styled};
use super::serve::{Setting, block_on, stop_signal};
use super::train::FitArguments;
use crate::embed::Recipe;
use crate::error::ErrorKind;

/// Has the model fitted and shows how far it is; Ctrl-C ends the job, and leaves nothing behind.
pub(super) fn train_there(
    setting: &Setting,
    collection: &str,
    recipe: &Recipe,
    fit: &FitArguments,
    output: &Output,
) -> Result<Outcome, CliError> {
    block_on(async {
        let session = Session::open(setting, &fit.connection).await?;
        let outcome = follow(&session, collection, recipe, fit, output).await;
        session.close().await;
        outcome
    })
}

async fn follow(
    session: &Session,
    collection: &str,
    recipe: &Recipe,
    fit: &FitArguments,
    output: &Output,
) -> Result<Outcome, CliError> {
    let request = wire::GetCollectionRequest { name: collection.to_owned() };
    let found = session.collections().get(session.request(request)).await?.into_inner();
    let request = request_of(&found, recipe, fit)?;
    let job = session.embedding().train(session.request(request)).await?.into_inner();
    let watched = wire::WatchJobRequest { id: job.id.clone() };
    // Not within the time of a request: it takes as long as it takes.
    let mut watched = session.jobs().watch(watched).await?.into_inner();
    let mut progress = output.progress("training", Unit::Items, None);
    let mut last = job;
    loop {
        tokio::select! {
            next = watched.message() => match next? {
                Some(job) => last = job,
                None => break,
            },
            () = stop_signal() => {
                let request = wire::CancelJobRequest { id: last.id };
                session.jobs().cancel(session.request(request)).await?;
                return Ok(Outcome::Interrupted);
            }
        }
        progress.set(last.items_done, &last.message);
    }
    progress.finish();
    match last.state() {
        wire::JobState::Done => {}
        wire::JobState::Cancelled => {
            return Err(CliError::local(ErrorKind::Cancelled, last.message));
        }
        wire::JobState::Failed
        | wire::JobState::Running
        | wire::JobState::Interrupted
        | wire::JobState::Unspecified => {
            return Err(CliError::local(ErrorKind::Conflict, last.message));
        }
    }
    let request = session.request(wire::ListModelsRequest {});
    let models = session.embedding().list_models(request).await?.into_inner().models;
    let model = models.into_iter().find(|model| model.name == fit.out).unwrap_or_default();
    let form = if model.is_sparse { "sparse" } else { "dense" };
    output.answer(
        || to_json(&model, form, &last),
        || {
            let (name, said) = (&model.name, styled(GOOD, &last.message));
            let (kind, dimension, size) = (&model.kind, model.dimension, bytes(model.bytes));
            format!(
                "{STRONG}{name}{STRONG:#}  {said}: {kind}, {form}, {dimension} components, {size}, on \
                 the server\n`simile collection add-vector {collection} NAME={name}` makes a vector \
                 by it"
            )
        },
    )?;
    Ok(Outcome::Done)
}

fn request_of(
    collection: &wire::Collection,
    recipe: &Recipe,
    fit: &FitArguments,
) -> Result<wire::TrainRequest, CliError> {
    let broken = |error: serde_json::Error| {
        CliError::local(ErrorKind::Internal, format!("the options are no JSON: {error}"))
    };
    let whole = serde_json::to_value(recipe).map_err(broken)?;
    let threads = fit.threads.map(|threads| u32::try_from(threads).unwrap_or(u32::MAX));
    Ok(wire::TrainRequest {
        collection: collection.name.clone(),
        model: fit.out.clone(),
        method: whole["method"].as_str().unwrap_or_default().to_owned(),
        options: whole["options"].to_string(),
        filter: filter::of_all_tenants(collection),
        seed: Some(fit.seed),
        threads,
        licence: fit.licence.clone(),
        by_line: fit.lines,
    })
}

fn to_json(model: &wire::Model, form: &str, job: &wire::Job) -> Json {
    json!({
        "name": model.name,
        "kind": model.kind,
        "form": form,
        "dimension": model.dimension,
        "bytes": model.bytes,
        "fingerprint": model.fingerprint,
        "job": job.id,
    })
}
