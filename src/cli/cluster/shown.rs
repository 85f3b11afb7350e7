//! Clusters for people and for scripts: as text, JSON and comma-separated values.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};
use simile_proto::v1::{self as wire};

use super::super::collection::documents;
use super::super::exit::CliError;
use super::super::output::{FAINT, STRONG, styled};
use super::Found;
use crate::error::ErrorKind;

/// How many documents of a cluster are printed.
const SHOWN: usize = 5;

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
    if !item.memberships.is_empty()
        && let Some(fields) = json.as_object_mut()
    {
        let one =
            |one: &wire::ClusterMembership| json!({"cluster": one.cluster, "share": one.share});
        let all: Vec<Json> = item.memberships.iter().map(one).collect();
        fields.insert("memberships".to_owned(), json!(all));
    }
    if let (Some(text), Some(fields)) = (&item.text, json.as_object_mut()) {
        fields.insert("text".to_owned(), json!(text));
    }
    json
}

pub(super) fn to_json(found: &Found) -> Json {
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

pub(super) fn csv(found: &Found) -> Result<String, CliError> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let defect = |error: &dyn std::fmt::Display| {
        CliError::local(ErrorKind::Internal, format!("cannot write the values: {error}"))
    };
    let header =
        ["id", "cluster", "distance", "probability", "outlier_score", "keep", "memberships"];
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
            item.memberships
                .iter()
                .map(|one| format!("{}:{:.4}", one.cluster, one.share))
                .collect::<Vec<_>>()
                .join(" "),
        ];
        writer.write_record(record).map_err(|error| defect(&error))?;
    }
    let bytes = writer.into_inner().map_err(|error| defect(&error))?;
    String::from_utf8(bytes).map_err(|error| defect(&error))
}

pub(super) fn text(found: &Found) -> String {
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
    use super::super::super::pictures::Thumbnails;
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
        let membership = |cluster, share| wire::ClusterMembership { cluster, share };
        let items = vec![
            wire::ClusterItem {
                memberships: vec![membership(0, 0.75), membership(1, 0.125)],
                ..item("a", Some(0), 0.0)
            },
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
        assert_eq!(lines[0], "id,cluster,distance,probability,outlier_score,keep,memberships");
        assert_eq!(lines[1], "a,0,0,,,false,0:0.7500 1:0.1250");
        assert_eq!(json["items"][0]["memberships"][1], json!({"cluster": 1, "share": 0.125}));
        assert_eq!(lines[2], "b,0,0.25,,,true,");
        assert_eq!(lines[3], "\"c, \"\"d\"\"\",1,0,,,,");
        assert_eq!(lines[4], "e,,0,,,,");
    }

    #[test]
    fn what_a_text_says_cannot_leave_its_place_in_the_page() {
        let page = super::super::page::page("notes & <more>", &found(), &Thumbnails::new());
        assert!(!page.contains("</script><b>"), "a text ends the data");
        assert!(page.contains("\\u003c/script"));
        assert!(page.contains("<title>notes &amp; &lt;more&gt;"));
        assert!(!page.contains("http://") && !page.contains("https://"), "nothing is fetched");
    }
}
