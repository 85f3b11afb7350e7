//! `simile verify`, `repair`, `optimize` and `job`.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};
use simile_proto::v1::{self as wire};

use super::arguments::{JobCommand, MaintainArguments};
use super::collection::documents;
use super::connection::with_session;
use super::exit::{CliError, Outcome};
use super::output::{BAD, FAINT, GOOD, Output, STRONG, styled};
use super::serve::Setting;

pub(super) fn verify(
    setting: &Setting,
    arguments: &MaintainArguments,
    output: &Output,
) -> Result<Outcome, CliError> {
    with_session(setting, &arguments.connection, async |session| {
        let request = wire::VerifyRequest { collection: arguments.name.clone() };
        let found = session.admin().verify(session.request(request)).await?.into_inner();
        output.answer(
            || {
                json!({
                    "documents": found.documents,
                    "parts": found.parts,
                    "problems": found.problems,
                    "problems_total": found.problems_total,
                })
            },
            || {
                let checked = format!("{} in {} parts", documents(found.documents), found.parts);
                if found.problems_total == 0 {
                    return format!("{checked}: {}", styled(GOOD, "everything agrees"));
                }
                let named = found.problems.join("\n  ");
                let total = styled(BAD, format!("{} problems", found.problems_total));
                format!("{checked}: {total}\n  {named}")
            },
        )?;
        Ok(if found.problems_total == 0 { Outcome::Done } else { Outcome::Damaged })
    })
}

pub(super) fn repair(
    setting: &Setting,
    arguments: &MaintainArguments,
    output: &Output,
) -> Result<Outcome, CliError> {
    with_session(setting, &arguments.connection, async |session| {
        let request = wire::RepairRequest { collection: arguments.name.clone() };
        let done = session.admin().repair(session.request(request)).await?.into_inner();
        output.answer(
            || {
                json!({
                    "repaired": done.repaired,
                    "problems": done.problems,
                    "problems_total": done.problems_total,
                })
            },
            || {
                let mut text = match done.repaired.as_slice() {
                    [] => "nothing to repair".to_owned(),
                    repaired => format!("repaired:\n  {}", repaired.join("\n  ")),
                };
                if done.problems_total > 0 {
                    let left = styled(BAD, format!("{} problems are left", done.problems_total));
                    drop(write!(text, "\n{left}:\n  {}", done.problems.join("\n  ")));
                }
                text
            },
        )?;
        Ok(if done.problems_total == 0 { Outcome::Done } else { Outcome::Damaged })
    })
}

pub(super) fn optimize(
    setting: &Setting,
    arguments: &MaintainArguments,
    output: &Output,
) -> Result<Outcome, CliError> {
    with_session(setting, &arguments.connection, async |session| {
        let request = wire::OptimizeRequest { collection: arguments.name.clone() };
        let done = session.admin().optimize(session.request(request)).await?.into_inner();
        output.answer(
            || json!({ "segments": done.segments }),
            || format!("optimized, {} segments", done.segments),
        )?;
        Ok(Outcome::Done)
    })
}

pub(super) fn job(
    setting: &Setting,
    command: &JobCommand,
    output: &Output,
) -> Result<Outcome, CliError> {
    match command {
        JobCommand::List(arguments) => {
            with_session(setting, &arguments.connection, async |session| {
                let request = session.request(wire::ListJobsRequest {});
                let jobs = session.jobs().list(request).await?.into_inner().jobs;
                output.answer(
                    || json!({ "jobs": jobs.iter().map(to_json).collect::<Vec<_>>() }),
                    || match jobs.as_slice() {
                        [] => "no jobs".to_owned(),
                        jobs => jobs.iter().map(line).collect(),
                    },
                )?;
                Ok(Outcome::Done)
            })
        }
        JobCommand::Watch(arguments) => {
            with_session(setting, &arguments.connection, async |session| {
                let request = session.request(wire::WatchJobRequest { id: arguments.id.clone() });
                let mut states = session.jobs().watch(request).await?.into_inner();
                let mut last = None;
                while let Some(job) = states.message().await? {
                    output.answer(|| to_json(&job), || line(&job))?;
                    last = Some(job);
                }
                let failed = last.is_some_and(|job| {
                    matches!(job.state(), wire::JobState::Failed | wire::JobState::Interrupted)
                });
                Ok(if failed { Outcome::SomeFailed } else { Outcome::Done })
            })
        }
        JobCommand::Cancel(arguments) => {
            with_session(setting, &arguments.connection, async |session| {
                let request = session.request(wire::CancelJobRequest { id: arguments.id.clone() });
                let job = session.jobs().cancel(request).await?.into_inner();
                output.answer(|| to_json(&job), || line(&job))?;
                Ok(Outcome::Done)
            })
        }
    }
}

fn state_name(state: wire::JobState) -> &'static str {
    match state {
        wire::JobState::Unspecified => "unknown",
        wire::JobState::Running => "running",
        wire::JobState::Done => "done",
        wire::JobState::Failed => "failed",
        wire::JobState::Cancelled => "cancelled",
        wire::JobState::Interrupted => "interrupted",
    }
}

pub(super) fn to_json(job: &wire::Job) -> Json {
    json!({
        "id": job.id,
        "kind": job.kind,
        "label": job.label,
        "collection": job.collection,
        "state": state_name(job.state()),
        "items_done": job.items_done,
        "items_failed": job.items_failed,
        "items_total": job.items_total,
        "bytes_done": job.bytes_done,
        "message": job.message,
        "started_unix_ms": job.started_unix_ms,
        "ended_unix_ms": (job.ended_unix_ms > 0).then_some(job.ended_unix_ms),
    })
}

pub(super) fn line(job: &wire::Job) -> String {
    let of = job.items_total.map_or(String::new(), |total| format!("/{total}"));
    let failed = match job.items_failed {
        0 => String::new(),
        failed => styled(BAD, format!(", {failed} failed")),
    };
    let mut text = format!(
        "{STRONG}{}{STRONG:#}  {} of `{}`  {}, {}{of} items{failed}",
        job.id,
        job.kind,
        job.collection,
        state_name(job.state()),
        job.items_done,
    );
    if !job.message.is_empty() {
        drop(write!(text, "  {FAINT}{}{FAINT:#}", job.message));
    }
    text.push('\n');
    text
}
