//! `simile cluster`: what belongs together in a collection, as text, JSON, CSV or a page to look at.

mod eval;
mod page;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::{Value as Json, json};
use simile_proto::v1::cluster_request::Method as WireMethod;
use simile_proto::v1::cluster_response::Kind;
use simile_proto::v1::{self as wire};

use super::arguments::{Connection, Target};
use super::collection::documents;
use super::connection::{Session, with_session};
use super::exit::{CliError, Outcome};
use super::output::{FAINT, Output, STRONG, Unit, styled};
use super::serve::Setting;
use super::{filter, pictures};
use crate::error::ErrorKind;

pub(super) use eval::{ClustersArguments, clusters};
pub(super) use page::escaped;

/// How often the job is asked how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How many documents of the page are shown as pictures.
const PICTURED: usize = 2_000;
/// How many documents of a cluster are printed.
const SHOWN: usize = 5;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    simile cluster -c notes                                  communities, printed\n  \
    simile cluster -c notes --method hdbscan --html notes.html\n  \
    simile cluster -c notes --method kmeans --k 20 --csv > clusters.csv\n  \
    simile cluster -c notes --method duplicates --radius 0.2\n  \
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

impl MethodArguments {
    fn to_wire(&self) -> Result<WireMethod, CliError> {
        let missing = |what: &str| CliError::usage(format!("--method {what}"));
        Ok(match self.method {
            Method::Kmeans => WireMethod::Kmeans(wire::KMeansMethod { k: self.k }),
            Method::Hdbscan => WireMethod::Hdbscan(wire::HdbscanMethod {
                min_size: self.min_size,
                min_samples: self.min_samples,
                takes_leaves: self.leaves,
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
                WireMethod::Duplicates(wire::DuplicatesMethod { radius: self.radius })
            }
        })
    }
}

pub(super) fn cluster(
    setting: &Setting,
    arguments: &ClusterArguments,
    output: &Output,
) -> Result<Outcome, CliError> {
    let request = wire::ClusterRequest {
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
            let shown = found.items.iter().take(PICTURED).map(|item| (item.id.clone(), 0));
            let thumbnails = pictures::thumbnails(session, collection, shown).await?;
            fs_err::write(file, page::page(collection, &found, &thumbnails))?;
            output.note(&format!("wrote {}", file.display()));
        }
        if arguments.csv {
            output.text(&csv(&found)?)?;
        } else {
            output.answer(|| to_json(&found), || text(&found))?;
        }
        Ok(Outcome::Done)
    })
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

fn item_to_json(item: &wire::ClusterItem) -> Json {
    let mut json = json!({
        "id": item.id,
        "cluster": item.cluster,
        "distance": item.distance,
        "probability": item.probability,
        "outlier_score": item.outlier_score,
    });
    if let (Some(place), Some(fields)) = (&item.place, json.as_object_mut()) {
        fields.insert("x".to_owned(), json!(place.x));
        fields.insert("y".to_owned(), json!(place.y));
    }
    if let (Some(text), Some(fields)) = (&item.text, json.as_object_mut()) {
        fields.insert("text".to_owned(), json!(text));
    }
    json
}

fn to_json(found: &Found) -> Json {
    let summary = &found.summary;
    let mut next = 0usize;
    let clusters = summary.clusters.iter().enumerate().map(|(number, cluster)| {
        // The medoid is the first of its cluster, and the clusters come in their order.
        let medoid = found.items.get(next);
        next = next.saturating_add(usize::try_from(cluster.size).unwrap_or(usize::MAX));
        json!({
            "cluster": number,
            "number": cluster.number,
            "size": cluster.size,
            "cohesion": cluster.cohesion,
            "medoid": medoid.map(|item| &item.id),
            "keeper": cluster.keeper,
            "one_picture": cluster.keeper.is_some().then_some(cluster.is_one_picture),
            "terms": cluster.terms.iter().map(|term| &term.text).collect::<Vec<_>>(),
        })
    });
    json!({
        "method": summary.method,
        "vector": summary.vector,
        "clusters": clusters.collect::<Vec<_>>(),
        "noise": summary.noise,
        "left_out": summary.left_out,
        "silhouette": summary.silhouette,
        "trustworthiness": summary.trustworthiness,
        "items": found.items.iter().map(item_to_json).collect::<Vec<_>>(),
    })
}

fn csv(found: &Found) -> Result<String, CliError> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let defect = |error: &dyn std::fmt::Display| {
        CliError::local(ErrorKind::Internal, format!("cannot write the values: {error}"))
    };
    let header = ["id", "cluster", "distance", "probability", "outlier_score", "keep"];
    writer.write_record(header).map_err(|error| defect(&error))?;
    let number = |number: Option<f64>| number.map(|one| one.to_string()).unwrap_or_default();
    for item in &found.items {
        let cluster = item.cluster.and_then(|cluster| found.summary.clusters.get(cluster as usize));
        let keeper = cluster.and_then(|cluster| cluster.keeper.as_ref());
        let keep = keeper.map(|keeper| (*keeper == item.id).to_string()).unwrap_or_default();
        let cluster = item.cluster.map(|cluster| cluster.to_string()).unwrap_or_default();
        let record = [
            item.id.clone(),
            cluster,
            item.distance.to_string(),
            number(item.probability),
            number(item.outlier_score),
            keep,
        ];
        writer.write_record(record).map_err(|error| defect(&error))?;
    }
    let bytes = writer.into_inner().map_err(|error| defect(&error))?;
    String::from_utf8(bytes).map_err(|error| defect(&error))
}

fn text(found: &Found) -> String {
    let summary = &found.summary;
    let mut text = format!(
        "{} clusters of {}, {} in none",
        summary.clusters.len(),
        documents(summary.items),
        summary.noise
    );
    if summary.left_out > 0 {
        // Writing to a String does not fail.
        _ = write!(text, ", {} without such a vector", summary.left_out);
    }
    if let Some(silhouette) = summary.silhouette {
        _ = write!(text, "; silhouette {silhouette:.3}");
    }
    let mut items = found.items.iter().peekable();
    for (number, cluster) in (0u32..).zip(&summary.clusters) {
        let terms: Vec<&str> = cluster.terms.iter().map(|term| term.text.as_str()).collect();
        let title = styled(STRONG, format!("{number}  {}", documents(cluster.size)));
        let sort = match (&cluster.keeper, cluster.is_one_picture) {
            (Some(_), true) => "one picture  ",
            _ => "",
        };
        let said = terms.join(", ");
        _ = write!(text, "\n\n{title}  {sort}cohesion {:.3}  {said}", cluster.cohesion);
        let mut shown = 0;
        while let Some(item) = items.next_if(|item| item.cluster == Some(number)) {
            shown += 1;
            if shown <= SHOWN {
                let keeps = cluster.keeper.as_ref() == Some(&item.id);
                let mark = if keeps { "  keep" } else { "" };
                let distance = styled(FAINT, format!("{:.3}", item.distance));
                _ = write!(text, "\n   {distance}  {}{mark}", item.id);
            }
        }
        if shown > SHOWN {
            _ = write!(text, "\n   {}", styled(FAINT, format!("and {} more", shown - SHOWN)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found() -> Found {
        let cluster = |size, keeper: Option<&str>, term: &str| wire::ClusterInfo {
            number: 0,
            size,
            cohesion: 0.5,
            keeper: keeper.map(str::to_owned),
            is_one_picture: false,
            terms: vec![wire::ClusterTerm { text: term.to_owned(), weight: 1.0 }],
        };
        let item = |id: &str, cluster, distance| wire::ClusterItem {
            id: id.to_owned(),
            cluster,
            distance,
            place: Some(wire::MapPlace { x: 1.0, y: -2.0 }),
            text: Some("</script><b>bread & butter</b>".to_owned()),
            ..Default::default()
        };
        let clusters = vec![cluster(2, Some("b"), "sea"), cluster(1, None, "bread")];
        let items = vec![
            item("a", Some(0), 0.0),
            item("b", Some(0), 0.25),
            item("c, \"d\"", Some(1), 0.0),
            item("e", None, 0.0),
        ];
        let summary = wire::ClusterSummary {
            method: "duplicates".to_owned(),
            clusters,
            items: 4,
            noise: 1,
            ..Default::default()
        };
        Found { summary, items }
    }

    #[test]
    fn people_get_clusters_with_their_words_and_the_medoid_first() {
        let text = anstream::adapter::strip_str(&text(&found())).to_string();
        let expected = "2 clusters of 4 documents, 1 in none\n\n\
            0  2 documents  cohesion 0.500  sea\n   0.000  a\n   0.250  b  keep\n\n\
            1  1 document  cohesion 0.500  bread\n   0.000  c, \"d\"";
        assert_eq!(text, expected);
    }

    #[test]
    fn scripts_get_each_document_with_its_cluster() {
        let json = to_json(&found());
        assert_eq!(json["clusters"][0]["medoid"], "a");
        assert_eq!(json["clusters"][1]["terms"], json!(["bread"]));
        assert_eq!(json["items"][3]["cluster"], Json::Null);
        let csv = csv(&found()).unwrap();
        let lines: Vec<&str> = csv.lines().collect();
        assert_eq!(lines[0], "id,cluster,distance,probability,outlier_score,keep");
        assert_eq!(lines[2], "b,0,0.25,,,true");
        assert_eq!(lines[3], "\"c, \"\"d\"\"\",1,0,,,");
        assert_eq!(lines[4], "e,,0,,,");
    }

    #[test]
    fn what_a_text_says_cannot_leave_its_place_in_the_page() {
        let page = page::page("notes & <more>", &found(), &pictures::Thumbnails::new());
        assert!(!page.contains("</script><b>"), "a text ends the data");
        assert!(page.contains("\\u003c/script"));
        assert!(page.contains("<title>notes &amp; &lt;more&gt;"));
        assert!(!page.contains("http://") && !page.contains("https://"), "nothing is fetched");
    }
}
