//! `simile ingest --there`: the server reads what it is told, and this side counts.

use std::collections::HashMap;
use std::path::Path;
use std::pin::Pin;
use std::time::Instant;

use simile_proto::v1::{self as wire};
use tonic::{Code, Response, Streaming};

use super::super::arguments::IngestArguments;
use super::super::connection::Session;
use super::super::exit::{CliError, Outcome};
use super::super::output::{Output, Unit};
use super::super::serve;
use super::read::STDIN;
use super::tally::Tally;
use super::{Waiting, count, ensure_collection, outcome_of, vectors_for};

type Answer = Response<Streaming<wire::UpsertResult>>;

/// Has the server read the paths and addresses, and says what became of each file and page.
pub(super) async fn ingest_there(
    session: &Session,
    arguments: &IngestArguments,
    set: HashMap<String, wire::Value>,
    output: &Output,
) -> Result<Outcome, CliError> {
    if arguments.paths.iter().any(|path| path == STDIN) {
        let message = "--there: the server does not read the standard input of this command";
        return Err(CliError::usage(message.to_owned()));
    }
    let mut stopping: Pin<Box<dyn Future<Output = ()>>> = Box::pin(serve::stop_signal());
    let answer = ask(session, arguments, set, output).await?;
    let job = answer.metadata().get("simile-job").and_then(|id| id.to_str().ok());
    let job = job.unwrap_or_default().to_owned();
    let mut results = answer.into_inner();
    let mut watched = watch(session, &job).await;
    let named = |path: &String| (path.clone(), Waiting { bytes: 0, is_named: true });
    let mut waiting: HashMap<String, Waiting> = arguments.paths.iter().map(named).collect();
    let mut tally = Tally::new(&arguments.target.collection, 0);
    let mut progress = output.progress("read there", Unit::Items, None);
    let began = Instant::now();
    let mut is_stopped = false;
    loop {
        tokio::select! {
            () = &mut stopping => {
                if is_stopped {
                    break;
                }
                is_stopped = true;
                stopping = Box::pin(serve::stop_signal());
                let request = wire::CancelJobRequest { id: job.clone() };
                // Who may not end jobs ends this one by not listening any more.
                if session.jobs().cancel(session.request(request)).await.is_err() {
                    break;
                }
                progress.note("stopping; what was read is still stored (Ctrl-C again to leave at once)");
            }
            result = results.message() => match result {
                Ok(Some(result)) => {
                    tally.files += 1;
                    count(&mut tally, &mut waiting, result);
                }
                Ok(None) => break,
                Err(status) if is_stopped && status.code() == Code::Cancelled => break,
                Err(status) => return Err(status.into()),
            },
            state = next(&mut watched), if watched.is_some() => match state {
                Some(wire::Job { items_total: Some(total), .. }) => progress.know(total),
                Some(job) => {
                    progress.say(&job.message);
                    continue;
                }
                None => watched = None,
            },
        }
        progress.set(tally.files, &tally.pace(began.elapsed()));
    }
    progress.finish();
    tally.took = began.elapsed();
    output.answer(|| tally.to_json(is_stopped), || tally.render(is_stopped))?;
    Ok(outcome_of(&tally, is_stopped))
}

/// Watches the job, for how much there is to read: the server knows once it has found it all. Who may not
/// watch jobs goes without.
async fn watch(session: &Session, job: &str) -> Option<Streaming<wire::Job>> {
    let request = wire::WatchJobRequest { id: job.to_owned() };
    session.jobs().watch(request).await.ok().map(Response::into_inner)
}

async fn next(watched: &mut Option<Streaming<wire::Job>>) -> Option<wire::Job> {
    watched.as_mut()?.message().await.ok().flatten()
}

/// Asks the server; a collection that is missing is made once it is known that the server reads at all.
async fn ask(
    session: &Session,
    arguments: &IngestArguments,
    set: HashMap<String, wire::Value>,
    output: &Output,
) -> Result<Answer, CliError> {
    let collection = &arguments.target.collection;
    let request = wire::UpsertSourcesRequest {
        collection: collection.clone(),
        sources: arguments.paths.clone(),
        job: Some(format!("ingest --there {}", arguments.paths.join(" "))),
        payload: set,
        hidden: arguments.hidden,
        all: arguments.all,
    };
    // Not within the time of a request: it takes as long as there is to read.
    match session.documents().upsert_sources(request.clone()).await {
        Err(status) if status.code() == Code::NotFound => {
            let vectors = vectors_for(arguments.paths.iter().map(Path::new));
            ensure_collection(session, collection, vectors, output).await?;
            Ok(session.documents().upsert_sources(request).await?)
        }
        answer => Ok(answer?),
    }
}
