//! `simile cluster`: what belongs together in a collection, as text, JSON, CSV or a page to look at.

mod delete;
mod eval;
mod page;
mod shown;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use simile_proto::v1::cluster_request::Method as WireMethod;
use simile_proto::v1::cluster_response::Kind;
use simile_proto::v1::{self as wire};

use super::arguments::{Connection, Target};
use super::connection::{Session, with_session};
use super::exit::{CliError, Outcome};
use super::output::{Output, Unit};
use super::serve::Setting;
use super::{filter, pictures};
use crate::error::ErrorKind;

pub(super) use eval::{ClustersArguments, clusters};
pub(super) use page::escaped;
use shown::{csv, text, to_json};

/// How often the job is asked how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How many documents of the page are shown as pictures.
const PICTURED: usize = 2_000;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    simile cluster -c notes                                  communities, printed\n  \
    simile cluster -c notes --method hdbscan --html notes.html\n  \
    simile cluster -c notes --method kmeans --k 20 --csv > clusters.csv\n  \
    simile cluster -c notes --method kmeans --choose elbow   as many as the curve of inertia says\n  \
    simile cluster -c notes --method hdbscan --soft 3 --json which clusters have how much of each\n  \
    simile cluster -c notes --method duplicates --radius 0.2\n  \
    simile cluster -c photos --method duplicates --keep sharpest --delete copies --dry-run\n  \
    simile cluster -c photos --names words.txt               clusters are called by these words\n  \
    simile cluster -c notes --write-to topic                 and then: simile search ... --filter topic=0\n  \
    simile cluster -c notes --join topic --write-to topic    new documents join the topics there are\n\n\
    Documents are compared by their vectors; one of several passages by the mean of them. Distances \
    are Euclidean,\nof vectors of length one unless the metric is Euclidean: a cosine of c is a \
    distance of sqrt(2 - 2c).")]
pub(super) struct ClusterArguments {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    method: MethodArguments,
    /// The named vector, if the collection has several
    #[arg(long, value_name = "NAME")]
    vector: Option<String>,
    /// Only documents of which this holds (may be repeated; all have to hold)
    #[arg(long, short, value_name = "FILTER")]
    filter: Vec<String>,
    /// Write the number of each document's cluster into this field, where filters and facets find it
    #[arg(long, value_name = "FIELD")]
    write_to: Option<String>,
    /// Find no new clusters: documents join the nearest of those that were written into this field
    #[arg(long, value_name = "FIELD", conflicts_with = "method")]
    join: Option<String>,
    /// How many times the distance of a cluster's farthest member one that joins may have
    #[arg(long, value_name = "NUMBER", requires = "join", default_value_t = 1.1)]
    slack: f32,
    /// Call each cluster by the words of this file, one a line, that are nearest to it; the model of the
    /// vectors has to read texts
    #[arg(long, value_name = "FILE")]
    names: Option<PathBuf>,
    /// Of each group of duplicates, delete from the collection what is not kept; files stay where they
    /// are
    #[arg(long, value_enum, value_name = "WHAT", conflicts_with = "join")]
    delete: Option<Deleted>,
    /// Only say what would be deleted
    #[arg(long, requires = "delete")]
    dry_run: bool,
    /// Delete without asking
    #[arg(long, short, requires = "delete")]
    yes: bool,
    /// Print a line of comma-separated values for each document
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Write a page to look at, with a map of the documents
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Args)]
pub(super) struct MethodArguments {
    /// What kind of clusters
    #[arg(long, value_enum, default_value_t = Method::Leiden)]
    method: Method,
    /// How many clusters (kmeans, hierarchy) [default: what separates best, by kmeans]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    k: Option<u32>,
    /// By what the number of clusters is chosen where --k does not say (kmeans)
    #[arg(long, value_enum, default_value_t = Choice::Silhouette, conflicts_with = "k")]
    choose: Choice,
    /// The fewest documents of a cluster (hdbscan) [default: 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..))]
    min_size: Option<u32>,
    /// How many documents, itself included, a dense place has near (hdbscan, dbscan) [default: 5, or
    /// the fewest of a cluster]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    min_samples: Option<u32>,
    /// Many small clusters instead of those that last longest (hdbscan)
    #[arg(long)]
    leaves: bool,
    /// Say of each document which clusters have how much of it, of so many at most (hdbscan)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    soft: Option<u32>,
    /// Which of a group to keep (duplicates)
    #[arg(long, value_enum, default_value_t = Keep::Central)]
    keep: Keep,
    /// How far apart neighbours or duplicates are at most (dbscan, duplicates) [default: 0.3 for
    /// duplicates]
    #[arg(long, value_name = "DISTANCE")]
    radius: Option<f32>,
    /// More makes more and smaller clusters (leiden)
    #[arg(long, value_name = "NUMBER", default_value_t = 1.0)]
    resolution: f64,
    /// How far apart two groups are (hierarchy)
    #[arg(long, value_enum, default_value_t = Linkage::Average)]
    linkage: Linkage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Method {
    /// Around centres
    Kmeans,
    /// By density, however dense
    Hdbscan,
    /// By density, of one radius
    Dbscan,
    /// By communities among nearest neighbours
    Leiden,
    /// By a tree of merges
    Hierarchy,
    /// By near duplicates, with one to keep of each group
    Duplicates,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Linkage {
    /// By the mean distance of their documents
    Average,
    /// By the largest
    Complete,
    /// By what joining adds to the variance
    Ward,
    /// By the smallest
    Single,
}

/// By what k is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Choice {
    /// What separates best: the highest mean silhouette
    Silhouette,
    /// After how many more help least: where the curve of inertia bends most
    Elbow,
}

/// Which of near duplicates to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Keep {
    /// What most others are near to; of copies of one picture the first
    Central,
    /// The most pixels, or the longest text
    Largest,
    /// The sharpest picture
    Sharpest,
    /// What was taken, or else changed, first
    Oldest,
}

/// What is deleted beside those that are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Deleted {
    /// Copies of one picture: saved again, scaled, mirrored, cropped
    Copies,
    /// Those, and what is as near as --radius allows
    All,
}

impl MethodArguments {
    fn to_wire(&self) -> Result<WireMethod, CliError> {
        let missing = |what: &str| CliError::usage(format!("--method {what}"));
        Ok(match self.method {
            Method::Kmeans => WireMethod::Kmeans(wire::KMeansMethod {
                k: self.k,
                choice: match self.choose {
                    Choice::Silhouette => wire::KChoice::Silhouette,
                    Choice::Elbow => wire::KChoice::Elbow,
                }
                .into(),
            }),
            Method::Hdbscan => WireMethod::Hdbscan(wire::HdbscanMethod {
                min_size: self.min_size,
                min_samples: self.min_samples,
                takes_leaves: self.leaves,
                memberships: self.soft,
            }),
            Method::Dbscan => WireMethod::Dbscan(wire::DbscanMethod {
                radius: Some(self.radius.ok_or_else(|| missing("dbscan needs --radius"))?),
                min_samples: self.min_samples,
            }),
            Method::Leiden => {
                WireMethod::Leiden(wire::LeidenMethod { resolution: Some(self.resolution) })
            }
            Method::Hierarchy => {
                let linkage = match self.linkage {
                    Linkage::Average => wire::Linkage::Average,
                    Linkage::Complete => wire::Linkage::Complete,
                    Linkage::Ward => wire::Linkage::Ward,
                    Linkage::Single => wire::Linkage::Single,
                };
                let k = self.k.ok_or_else(|| missing("hierarchy needs --k"))?;
                WireMethod::Hierarchy(wire::HierarchyMethod { k, linkage: linkage.into() })
            }
            Method::Duplicates => {
                let keep = match self.keep {
                    Keep::Central => wire::Keep::Central,
                    Keep::Largest => wire::Keep::Largest,
                    Keep::Sharpest => wire::Keep::Sharpest,
                    Keep::Oldest => wire::Keep::Oldest,
                };
                let (radius, keep) = (self.radius, keep.into());
                WireMethod::Duplicates(wire::DuplicatesMethod { radius, keep })
            }
        })
    }
}

pub(super) fn cluster(
    setting: &Setting,
    arguments: &ClusterArguments,
    output: &Output,
) -> Result<Outcome, CliError> {
    let method = arguments.method.method;
    if arguments.delete.is_some() && method != Method::Duplicates {
        return Err(CliError::usage("--delete goes with --method duplicates".to_owned()));
    }
    if arguments.method.soft.is_some() && method != Method::Hdbscan {
        return Err(CliError::usage("--soft goes with --method hdbscan".to_owned()));
    }
    let request = wire::ClusterRequest {
        names: arguments.names.as_deref().map(names).transpose()?.unwrap_or_default(),
        collection: arguments.target.collection.clone(),
        vector: arguments.vector.clone(),
        filter: filter::parse_all(&arguments.filter)?,
        with_map: arguments.html.is_some(),
        with_text: arguments.html.is_some(),
        label: None,
        write_to: arguments.write_to.clone(),
        method: Some(match &arguments.join {
            Some(field) => WireMethod::Join(wire::JoinMethod {
                field: field.clone(),
                slack: Some(arguments.slack),
            }),
            None => arguments.method.to_wire()?,
        }),
    };
    with_session(setting, &arguments.connection, async |session| {
        let found = run(session, request, output).await?;
        if let Some(file) = &arguments.html {
            let collection = &arguments.target.collection;
            let shown = pictured(&found.items).into_iter().map(|id| (id, 0));
            let thumbnails = pictures::thumbnails(session, collection, shown).await?;
            fs_err::write(file, page::page(collection, &found, &thumbnails))?;
            output.note(&format!("wrote {}", file.display()));
        }
        if arguments.csv {
            output.text(&csv(&found)?)?;
        } else {
            output.answer(|| to_json(&found), || text(&found))?;
        }
        if let Some(what) = arguments.delete {
            let collection = &arguments.target.collection;
            let goes = delete::beside_kept(&found, what == Deleted::All);
            if arguments.dry_run {
                delete::describe(&goes, output);
            } else {
                delete::carry_out(session, collection, goes, arguments.yes, output).await?;
            }
        }
        Ok(Outcome::Done)
    })
}

/// Reads the words that clusters may be called by.
fn names(file: &Path) -> Result<Vec<String>, CliError> {
    let text = fs_err::read_to_string(file)
        .map_err(|error| CliError::local(ErrorKind::NotFound, error.to_string()))?;
    let words: Vec<String> =
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    match words.is_empty() {
        true => Err(CliError::usage(format!("{} has no words, one a line", file.display()))),
        false => Ok(words),
    }
}

/// Returns the documents that are shown as pictures: of each cluster the first ones, as many of each as
/// there is room for.
fn pictured(items: &[wire::ClusterItem]) -> Vec<String> {
    let mut ranks: HashMap<Option<u32>, usize> = HashMap::new();
    let mut ranked: Vec<(usize, usize)> = items
        .iter()
        .enumerate()
        .map(|(place, item)| {
            let rank = ranks.entry(item.cluster).or_default();
            *rank += 1;
            (*rank, place)
        })
        .collect();
    ranked.sort_unstable();
    ranked.truncate(PICTURED);
    ranked.into_iter().map(|(_, place)| items[place].id.clone()).collect()
}

/// Clusters as they came.
#[derive(Debug, Default)]
struct Found {
    summary: wire::ClusterSummary,
    items: Vec<wire::ClusterItem>,
}

/// Clusters a collection, and shows how far the work is.
async fn run(
    session: &Session,
    request: wire::ClusterRequest,
    output: &Output,
) -> Result<Found, CliError> {
    let answer = session.cluster().cluster(session.request(request)).await?;
    let job = answer.metadata().get("simile-job").and_then(|id| id.to_str().ok());
    let job = job.unwrap_or_default().to_owned();
    let mut messages = answer.into_inner();
    let mut progress = output.progress("clustering", Unit::Items, None);
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    let mut found = Found::default();
    loop {
        let message = tokio::select! {
            message = messages.message() => message?,
            _ = ticks.tick() => {
                let request = session.request(wire::GetJobRequest { id: job.clone() });
                // Progress is a courtesy: what cannot be told is not.
                if let Ok(job) = session.jobs().get(request).await {
                    let job = job.into_inner();
                    progress.set(job.items_done, &job.message);
                }
                continue;
            }
        };
        match message.map(|message| message.kind) {
            None => break,
            Some(Some(Kind::Summary(summary))) => found.summary = summary,
            Some(Some(Kind::Items(batch))) => found.items.extend(batch.items),
            Some(None) => {
                let message = "the server sent an answer of a kind that is not known here";
                return Err(CliError::local(ErrorKind::Unsupported, message));
            }
        }
    }
    progress.finish();
    Ok(found)
}
