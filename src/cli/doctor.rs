//! `simile doctor`: what is on this machine, and is it healthy? It obtains and mends nothing.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Map, Value as Json, json};
use simile_proto::v1::{self as wire};

use super::arguments::DoctorArguments;
use super::collection::{self, bytes, documents};
use super::connection::{self, Session};
use super::exit::{CliError, Outcome};
use super::model::{self, State};
use super::output::{BAD, FAINT, GOOD, MATCH, Output, STRONG, styled};
use super::serve::{self, Setting};
use crate::embed::obtain::pip_version;
use crate::vector::kernel;

/// Less free space than this is a problem: indexes are merged beside what they replace.
const FREE_BYTES_MIN: u64 = 256 << 20;

/// How much is wrong; the worst one decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    /// Nothing.
    Good,
    /// Nothing, but worth knowing.
    Note,
    /// Something that the work needs is not there.
    Missing,
    /// Something is not what it should be.
    Damaged,
}

/// What was found so far.
#[derive(Debug)]
struct Report {
    json: Map<String, Json>,
    text: String,
    problems: Vec<String>,
    worst: Verdict,
}

impl Report {
    fn say(&mut self, about: &str, verdict: Verdict, words: &str) {
        let mark = match verdict {
            Verdict::Good => styled(GOOD, "ok     "),
            Verdict::Note => styled(MATCH, "note   "),
            Verdict::Missing => styled(BAD, "missing"),
            Verdict::Damaged => styled(BAD, "damaged"),
        };
        drop(writeln!(self.text, "{STRONG}{about:<13}{STRONG:#} {mark}  {words}"));
        if verdict >= Verdict::Missing {
            self.problems.push(format!("{about}: {words}"));
        }
        self.worst = self.worst.max(verdict);
    }

    fn detail(&mut self, words: &str) {
        drop(writeln!(self.text, "{:23}{FAINT}{words}{FAINT:#}", ""));
    }

    fn outcome(&self) -> Outcome {
        match self.worst {
            Verdict::Good | Verdict::Note => Outcome::Done,
            Verdict::Missing => Outcome::Missing,
            Verdict::Damaged => Outcome::Damaged,
        }
    }
}

pub(super) fn doctor(
    setting: &Setting,
    arguments: &DoctorArguments,
    output: &Output,
) -> Result<Outcome, CliError> {
    setting.start_telemetry("error")?;
    let mut report =
        Report { json: Map::new(), text: String::new(), problems: vec![], worst: Verdict::Good };
    report.say("simile", Verdict::Good, env!("CARGO_PKG_VERSION"));
    report.json.insert("version".to_owned(), env!("CARGO_PKG_VERSION").into());
    processor(&mut report);
    let can_obtain = python(setting, &mut report);
    runtime(setting, can_obtain, &mut report);
    models(setting, can_obtain, &mut report)?;
    data(setting, &mut report);
    served(setting, arguments, &mut report);
    let Report { json, text, problems, worst } = &report;
    output.answer(
        || {
            let mut json = json.clone();
            json.insert("healthy".to_owned(), (*worst < Verdict::Missing).into());
            json.insert("problems".to_owned(), json!(problems));
            Json::Object(json)
        },
        || {
            let end = match problems.len() {
                0 => styled(GOOD, "nothing is wrong"),
                1 => styled(BAD, "1 problem"),
                more => styled(BAD, format!("{more} problems")),
            };
            format!("{text}{end}")
        },
    )?;
    Ok(report.outcome())
}

/// The instructions that the inner loops know, and whether this processor has them.
fn features() -> Vec<(&'static str, bool)> {
    #[cfg(target_arch = "x86_64")]
    return vec![
        ("avx2", is_x86_feature_detected!("avx2")),
        ("fma", is_x86_feature_detected!("fma")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
        ("avx512bw", is_x86_feature_detected!("avx512bw")),
        ("avx512vnni", is_x86_feature_detected!("avx512vnni")),
    ];
    #[cfg(target_arch = "aarch64")]
    return vec![("neon", std::arch::is_aarch64_feature_detected!("neon"))];
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return vec![];
}

fn processor(report: &mut Report) {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let features = features();
    let named = |has: bool| {
        let names = features.iter().filter(move |(_, here)| *here == has).map(|(name, _)| *name);
        names.collect::<Vec<_>>().join(" ")
    };
    let lacks = match named(false) {
        lacks if lacks.is_empty() => lacks,
        lacks => format!(", lacks {lacks}"),
    };
    let words = format!(
        "{}, {threads} threads; distances are computed with {} (has {}{lacks})",
        std::env::consts::ARCH,
        kernel::instructions(),
        named(true),
    );
    report.say("processor", Verdict::Good, &words);
    let features: Map<_, _> =
        features.iter().map(|(name, here)| ((*name).to_owned(), json!(here))).collect();
    let json = json!({
        "architecture": std::env::consts::ARCH,
        "system": std::env::consts::OS,
        "threads": threads,
        "instructions": kernel::instructions(),
        "features": features,
    });
    report.json.insert("processor".to_owned(), json);
}

/// Returns whether something that is missing could be obtained.
fn python(setting: &Setting, report: &mut Report) -> bool {
    let config = &setting.config;
    let found = pip_version(&config.python);
    let json = json!({
        "program": config.python,
        "pip": found.as_ref().ok(),
        "error": found.as_ref().err().map(ToString::to_string),
        "offline": config.is_offline,
        "hub": config.hub,
    });
    report.json.insert("python".to_owned(), json);
    match &found {
        _ if config.is_offline => {
            report.say(
                "python",
                Verdict::Good,
                "not asked, since nothing is to be obtained (offline)",
            );
        }
        Ok(version) => report.say("python", Verdict::Good, version),
        // It is needed only for what is not here, and that is said below.
        Err(error) => report.say("python", Verdict::Note, &error.to_string()),
    }
    found.is_ok() && !config.is_offline
}

/// Returns how much is wrong with something that is not here.
fn absent(can_obtain: bool) -> Verdict {
    if can_obtain { Verdict::Note } else { Verdict::Missing }
}

fn runtime(setting: &Setting, can_obtain: bool, report: &mut Report) {
    let search = setting.catalogue_options().runtime;
    let looked: Vec<String> = match &search.explicit {
        Some(explicit) => vec![explicit.display().to_string()],
        None => search.folders().iter().map(|folder| folder.display().to_string()).collect(),
    };
    let found = search.load_here();
    let mut json = json!({ "looked": looked, "library": null, "version": null, "error": null });
    match &found {
        Ok(Some(runtime)) => {
            let library = runtime.library.display().to_string();
            report.say("ONNX Runtime", Verdict::Good, &format!("{}, {library}", runtime.version));
            json["library"] = library.into();
            json["version"] = runtime.version.clone().into();
        }
        Ok(None) => {
            let words = if can_obtain {
                "not here yet; `simile model pull`, or the first use, obtains it"
            } else {
                "not here, and it cannot be obtained; name one with --onnxruntime"
            };
            report.say("ONNX Runtime", absent(can_obtain), words);
            json["error"] = words.into();
        }
        Err(error) => {
            let verdict = absent(can_obtain && search.explicit.is_none());
            report.say("ONNX Runtime", verdict, &error.to_string());
            json["error"] = error.to_string().into();
        }
    }
    report.detail(&format!("looked at {}", looked.join(", ")));
    report.json.insert("runtime".to_owned(), json);
}

fn models(setting: &Setting, can_obtain: bool, report: &mut Report) -> Result<(), CliError> {
    let catalogue = model::catalogue(setting)?;
    let default = &setting.config.embedder;
    let mut list = Vec::new();
    for known in catalogue.list() {
        let manifest = &known.manifest;
        let folder = model::folder(&catalogue, &manifest.name)?;
        let state = State::load(manifest, &folder);
        let is_default = manifest.name == *default;
        let verdict = match &state {
            State::Installed => Verdict::Good,
            State::Missing if is_default => absent(can_obtain),
            State::Missing => Verdict::Note,
            State::Damaged(_) => Verdict::Damaged,
        };
        let todo = match &state {
            State::Installed => String::new(),
            State::Missing if can_obtain => {
                format!("; `simile model pull {}` obtains it", manifest.name)
            }
            State::Missing => ", and cannot be obtained".to_owned(),
            State::Damaged(path) => format!(
                ": {} is not the file that the manifest names; `simile model pull {}` mends it",
                path.display(),
                manifest.name
            ),
        };
        let words = format!(
            "{}{} is {}{todo}",
            manifest.name,
            if is_default { ", the default," } else { "" },
            state.name()
        );
        report.say("model", verdict, &words);
        report.detail(&format!(
            "{} components, {}, licence {}, {}",
            manifest.dimension,
            bytes(manifest.bytes()),
            manifest.licence,
            model::place(manifest, &folder)
        ));
        let mut json = model::facts(manifest);
        json["state"] = state.name().into();
        json["default"] = is_default.into();
        json["folder"] = model::place(manifest, &folder).into();
        list.push(json);
    }
    if let Err(error) = catalogue.manifest(default) {
        report.say("model", Verdict::Missing, &format!("the default embedder: {error}"));
    }
    report.json.insert("models".to_owned(), list.into());
    Ok(())
}

/// The data directory as the file system has it.
fn data(setting: &Setting, report: &mut Report) {
    let given = &setting.config.data;
    let path = std::path::absolute(given).unwrap_or_else(|_| given.clone());
    let shown = path.display().to_string();
    let (exists, is_writable) = (path.is_dir(), is_writable(&path));
    // Where there is no directory yet, it is the parent whose space will be used.
    let nearest = path.ancestors().find(|folder| folder.is_dir());
    let free = nearest.and_then(|folder| fs4::available_space(folder).ok());
    let json = json!({
        "path": shown,
        "exists": exists,
        "writable": is_writable,
        "free_bytes": free,
    });
    report.json.insert("data".to_owned(), json);
    let space =
        free.map_or("free space unknown".to_owned(), |free| format!("{} free", bytes(free)));
    if path.exists() && !exists {
        report.say(
            "data",
            Verdict::Missing,
            &format!("{shown} is no directory; name another with --data"),
        );
    } else if !exists {
        let words = format!("{shown} is not there yet, {space}; what stores first makes it");
        report.say("data", Verdict::Note, &words);
    } else if !is_writable {
        let words =
            format!("{shown} cannot be written to; change its owner, or name another with --data");
        report.say("data", Verdict::Missing, &words);
    } else {
        report.say("data", Verdict::Good, &format!("{shown}, writable, {space}"));
    }
    if let Some(free) = free.filter(|free| *free < FREE_BYTES_MIN) {
        let words = format!("{} free, expected {} or more", bytes(free), bytes(FREE_BYTES_MIN));
        report.say("data", Verdict::Missing, &words);
    }
}

fn is_writable(folder: &Path) -> bool {
    tempfile::Builder::new().prefix(".simile-doctor-").tempfile_in(folder).is_ok()
}

/// What the server says: the named one, the one over the data directory, or one of our own.
fn served(setting: &Setting, arguments: &DoctorArguments, report: &mut Report) {
    report.json.insert("server".to_owned(), Json::Null);
    report.json.insert("collections".to_owned(), json!([]));
    let asked = serve::block_on(ask(setting, arguments));
    let asked = match asked {
        Ok(asked) => asked,
        Err(error) => {
            let damaged = error.exit_code() == Outcome::Damaged.exit_code();
            let verdict = if damaged { Verdict::Damaged } else { Verdict::Missing };
            report.say("server", verdict, &error.to_string());
            return;
        }
    };
    let Some(Asked { address, info, collections }) = asked else { return };
    let server = json!({
        "address": address,
        "version": info.version,
        "data": info.data,
        "embedder": info.embedder,
        "jobs_running": info.jobs_running,
    });
    report.json.insert("server".to_owned(), server);
    match &address {
        Some(address) => {
            let words = format!("{} at {address}, over {}", info.version, info.data);
            let is_other = info.version != env!("CARGO_PKG_VERSION");
            let verdict = if is_other { Verdict::Note } else { Verdict::Good };
            report.say("server", verdict, &words);
        }
        None => report.say("server", Verdict::Good, "none runs; commands start their own"),
    }
    if collections.is_empty() {
        report.say("collections", Verdict::Good, "none yet");
    }
    for one in &collections {
        let (state, verdict) = match one.state() {
            wire::CollectionState::Ready | wire::CollectionState::Unspecified => {
                ("ready".to_owned(), Verdict::Good)
            }
            wire::CollectionState::ReadOnly => {
                (format!("read-only: {}", one.state_reason), Verdict::Damaged)
            }
            wire::CollectionState::Quarantined => {
                (format!("not served: {}", one.state_reason), Verdict::Damaged)
            }
        };
        let words = format!(
            "{} is {state}; {}, {} on disk",
            one.name,
            documents(one.documents),
            bytes(one.disk_bytes)
        );
        report.say("collection", verdict, &words);
    }
    let list = collections.iter().map(collection::to_json).collect::<Vec<_>>();
    report.json.insert("collections".to_owned(), list.into());
}

/// What a server said of itself.
struct Asked {
    /// Where it answers; none for our own.
    address: Option<String>,
    info: wire::InfoResponse,
    collections: Vec<wire::Collection>,
}

async fn ask(setting: &Setting, arguments: &DoctorArguments) -> Result<Option<Asked>, CliError> {
    let named = arguments.connection.server.clone();
    let found = match &named {
        Some(_) => named,
        None => {
            let credentials = connection::Credentials::of(setting, &arguments.connection)?;
            connection::find(setting, &credentials).await?.map(|(address, _)| address)
        }
    };
    // A server of our own would make the directory, and looking should not.
    if found.is_none() && !setting.config.data.is_dir() {
        return Ok(None);
    }
    let session = Session::open(setting, &arguments.connection).await?;
    let info = session.info().await;
    let request = session.request(wire::ListCollectionsRequest {});
    let listed = session.collections().list(request).await;
    session.close().await;
    let collections = listed?.into_inner().collections;
    Ok(Some(Asked { address: found, info: info?, collections }))
}
