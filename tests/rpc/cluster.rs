//! What belongs together, asked over gRPC: every method finds three groups of vectors, and none finds
//! them where vectors and texts were permuted.

use std::collections::{BTreeMap, BTreeSet};

use simile_proto::v1::cluster_request::Method;
use simile_proto::v1::cluster_response::Kind;
use simile_proto::v1::{self as wire};
use tonic::{Code, Status};

use super::messages::{Random, collection, equals, integer, part, parts};
use super::server::TestServer;

const THEMES: [&str; 3] = ["harbour", "kitchen", "observatory"];
const OF_THEME: usize = 20;
const DIMENSION: u32 = 8;

struct Found {
    job: String,
    summary: wire::ClusterSummary,
    items: Vec<wire::ClusterItem>,
}

fn ask(server: &TestServer, request: wire::ClusterRequest) -> Result<Found, Status> {
    server.wait(async {
        let answer = server.clusters().cluster(request).await?;
        let job = answer.metadata().get("simile-job").unwrap().to_str().unwrap().to_owned();
        let mut messages = answer.into_inner();
        let mut found = Found { job, summary: wire::ClusterSummary::default(), items: Vec::new() };
        while let Some(message) = messages.message().await? {
            match message.kind.unwrap() {
                Kind::Summary(summary) => found.summary = summary,
                Kind::Items(batch) => found.items.extend(batch.items),
            }
        }
        Ok(found)
    })
}

fn request(method: Method) -> wire::ClusterRequest {
    wire::ClusterRequest {
        collection: "c".to_owned(),
        method: Some(method),
        ..wire::ClusterRequest::default()
    }
}

/// Vectors around three directions. Permuted, each document has the vector of another one, so that
/// themes and directions have nothing to do with each other.
fn stored(server: &TestServer, is_permuted: bool) {
    server.create(collection("c", DIMENSION));
    let mut random = Random(3);
    let vectors: Vec<Vec<f32>> = (0..THEMES.len() * OF_THEME)
        .map(|row| {
            let axis = row % THEMES.len();
            let near =
                |at: usize| random.below(1_000) as f32 / 2_500.0 + f32::from(u8::from(at == axis));
            (0..DIMENSION as usize).map(near).collect()
        })
        .collect();
    let documents = (0..vectors.len())
        .map(|row| {
            let theme = THEMES[row % THEMES.len()];
            let text = format!("The {theme} has a number, and it is {row}.");
            let other = row % OF_THEME * THEMES.len() + row / OF_THEME;
            let vector = &vectors[if is_permuted { other } else { row }];
            parts(&format!("{theme}-{row:02}"), vec![part(&text, vector)])
        })
        .collect();
    server.store("c", documents);
}

/// Returns the share of pairs of documents on which clusters and themes agree.
fn agreement(items: &[wire::ClusterItem]) -> f64 {
    let theme = |item: &wire::ClusterItem| item.id.split('-').next().unwrap().to_owned();
    let (mut agreed, mut all) = (0.0, 0.0);
    for (place, one) in items.iter().enumerate() {
        for other in &items[..place] {
            let is_together = one.cluster.is_some() && one.cluster == other.cluster;
            agreed += f64::from(u8::from(is_together == (theme(one) == theme(other))));
            all += 1.0;
        }
    }
    agreed / all
}

fn methods() -> Vec<Method> {
    vec![
        Method::Kmeans(wire::KMeansMethod::default()),
        Method::Kmeans(wire::KMeansMethod { k: None, choice: wire::KChoice::Elbow.into() }),
        Method::Kmeans(wire::KMeansMethod { k: Some(3), choice: 0 }),
        Method::Hdbscan(wire::HdbscanMethod {
            min_size: Some(8),
            min_samples: Some(4),
            takes_leaves: false,
            memberships: Some(2),
        }),
        Method::Dbscan(wire::DbscanMethod { radius: Some(0.55), min_samples: None }),
        Method::Leiden(wire::LeidenMethod { resolution: None }),
        Method::Hierarchy(wire::HierarchyMethod { k: 3, linkage: wire::Linkage::Ward.into() }),
    ]
}

#[test]
fn every_method_finds_the_groups_and_none_finds_them_where_vectors_are_permuted() {
    let (server, permuted) = (TestServer::without_model(|_| {}), TestServer::without_model(|_| {}));
    stored(&server, false);
    stored(&permuted, true);
    for method in methods() {
        let found = ask(&server, request(method.clone())).unwrap();
        assert_eq!(found.items.len(), THEMES.len() * OF_THEME);
        let right = agreement(&found.items);
        assert!(right > 0.95, "{method:?}: {right}");
        let ids: BTreeSet<&str> = found.items.iter().map(|item| item.id.as_str()).collect();
        assert_eq!(ids.len(), found.items.len(), "{method:?}");
        for item in &found.items {
            let is_soft = matches!(method, Method::Hdbscan(_));
            assert!(item.memberships.len() <= 2 * usize::from(is_soft), "{item:?}");
            if let (true, Some(cluster)) = (is_soft, item.cluster) {
                assert_eq!(item.memberships[0].cluster, cluster);
                assert!(item.memberships.iter().all(|one| one.share > 0.0 && one.share <= 1.0));
            }
        }
        let sizes: u64 = found.summary.clusters.iter().map(|cluster| cluster.size).sum();
        assert_eq!(sizes + found.summary.noise, found.summary.items, "{method:?}");
        let wrong = agreement(&ask(&permuted, request(method.clone())).unwrap().items);
        assert!(wrong < 0.7, "{method:?}: {wrong} after permuting");
    }
}

#[test]
fn clusters_come_with_medoid_words_map_and_a_job() {
    let server = TestServer::without_model(|_| {});
    stored(&server, false);
    let asked = wire::ClusterRequest {
        with_map: true,
        with_text: true,
        label: Some("themes".to_owned()),
        ..request(Method::Kmeans(wire::KMeansMethod { k: Some(3), choice: 0 }))
    };
    let found = ask(&server, asked.clone()).unwrap();
    assert_eq!((found.summary.vector.as_str(), found.summary.method.as_str()), ("v", "kmeans"));
    let mut words = BTreeSet::new();
    let mut place = 0;
    for (number, cluster) in (0u32..).zip(&found.summary.clusters) {
        assert_eq!(cluster.size, OF_THEME as u64);
        assert!(cluster.cohesion > 0.5 && cluster.cohesion <= 1.0, "{}", cluster.cohesion);
        words.insert(cluster.terms[0].text.clone());
        let members = &found.items[place..place + OF_THEME];
        assert!(members.iter().all(|item| item.cluster == Some(number)));
        assert!(members[0].distance.abs() < 1e-6, "the medoid stands first");
        assert!(members.is_sorted_by_key(|item| item.distance));
        place += OF_THEME;
    }
    assert_eq!(words, THEMES.map(str::to_owned).into());
    assert!(found.items.iter().all(|item| item.text.as_ref().unwrap().starts_with("The ")));
    assert!(found.items.iter().all(|item| item.place.is_some_and(|place| place.x.is_finite())));
    assert!(found.summary.trustworthiness.unwrap() > 0.75, "{:?}", found.summary.trustworthiness);
    assert!(found.summary.silhouette.unwrap() > 0.3);
    let job = server.ask(server.jobs().get(wire::GetJobRequest { id: found.job })).unwrap();
    assert_eq!((job.kind.as_str(), job.label.as_str()), ("cluster", "themes"));
    assert_eq!(
        (job.state(), job.message.as_str()),
        (wire::JobState::Done, "3 clusters, 0 in none")
    );
    let again = ask(&server, asked).unwrap();
    assert_eq!(again.items, found.items, "a run can be repeated");
}

#[test]
fn near_duplicates_have_one_to_keep_and_documents_of_many_parts_count_once() {
    let server = TestServer::without_model(|_| {});
    server.create(collection("c", 2));
    let at = |angle: f32| part("", &[angle.cos(), angle.sin()]);
    let mut documents: Vec<_> =
        [("a", 0.0), ("b", 0.02), ("c", 0.9), ("d", 0.91), ("e", 0.92), ("f", 2.0)]
            .map(|(id, angle)| parts(id, vec![at(angle)]))
            .into();
    // Its parts are far apart, and in the mean it is between a and b.
    documents.push(parts("g", vec![at(0.31), at(-0.29)]));
    server.store("c", documents);
    let method = Method::Duplicates(wire::DuplicatesMethod { radius: Some(0.1), keep: 0 });
    let found = ask(&server, request(method.clone())).unwrap();
    let mut groups: BTreeMap<Option<u32>, Vec<&str>> = BTreeMap::new();
    for item in &found.items {
        groups.entry(item.cluster).or_default().push(&item.id);
    }
    groups.values_mut().for_each(|ids| ids.sort_unstable());
    let expected =
        [(None, vec!["f"]), (Some(0), vec!["a", "b", "g"]), (Some(1), vec!["c", "d", "e"])];
    assert_eq!(groups, expected.into());
    let keepers: Vec<_> = found.summary.clusters.iter().map(|one| one.keeper.as_deref()).collect();
    assert_eq!(keepers, [Some("a"), Some("c")]);
    let filter = wire::filter::Kind::Ids(wire::DocumentIds {
        ids: vec!["a".into(), "b".into(), "f".into()],
    });
    let filter = Some(wire::Filter { kind: Some(filter) });
    let some = ask(&server, wire::ClusterRequest { filter, ..request(method) }).unwrap();
    assert_eq!((some.summary.items, some.summary.noise), (3, 1));
}

#[test]
fn the_one_to_keep_is_the_largest_sharpest_or_oldest_as_payloads_say() {
    let server = TestServer::without_model(|_| {});
    server.create(collection("c", 2));
    let document = |id: &str, text: &str, sharpness: f64, taken: &str| {
        let value = |kind| wire::Value { kind: Some(kind) };
        let payload = [
            ("sharpness".to_owned(), value(wire::value::Kind::Float(sharpness))),
            ("taken".to_owned(), value(wire::value::Kind::Text(taken.to_owned()))),
        ];
        wire::Document { payload: payload.into(), ..parts(id, vec![part(text, &[1.0, 0.01])]) }
    };
    server.store(
        "c",
        vec![
            document("long", "a text that is long", 4.5, "2021-01-01T00:00:00Z"),
            document("old", "a text", 4.0, "2019-05-04T10:00:00"),
            document("sharp", "a text", 9.25, "2020-01-01T00:00:00Z"),
        ],
    );
    for (keep, expected) in [
        (wire::Keep::Largest, "long"),
        (wire::Keep::Sharpest, "sharp"),
        (wire::Keep::Oldest, "old"),
    ] {
        let keep = keep.into();
        let method = Method::Duplicates(wire::DuplicatesMethod { radius: Some(0.1), keep });
        let found = ask(&server, request(method)).unwrap();
        assert_eq!(found.summary.clusters[0].keeper.as_deref(), Some(expected));
        assert_eq!(found.summary.clusters[0].size, 3);
    }
    let count = wire::CountRequest { collection: "c".to_owned(), filter: None };
    let counted = server.ask(server.documents().count(count)).unwrap();
    assert_eq!(counted.documents, 3, "what is not kept is only named");
}

/// Returns the ids of the documents with a number in the field `topic`.
fn with_topic(server: &TestServer, number: i64) -> BTreeSet<String> {
    let request = wire::ScrollRequest {
        collection: "c".to_owned(),
        filter: Some(equals("topic", integer(number))),
        limit: Some(1_000),
        ..wire::ScrollRequest::default()
    };
    let page = server.ask(server.documents().scroll(request)).unwrap();
    page.documents.into_iter().map(|document| document.id).collect()
}

#[test]
fn clusters_are_written_into_a_field_and_new_documents_join_them() {
    let mut server = TestServer::without_model(|_| {});
    stored(&server, false);
    let write_to = Some("topic".to_owned());
    let kmeans = wire::ClusterRequest {
        write_to: write_to.clone(),
        ..request(Method::Kmeans(wire::KMeansMethod { k: Some(3), choice: 0 }))
    };
    let found = ask(&server, kmeans.clone()).unwrap();
    let sequence = |server: &TestServer| {
        let get = wire::GetCollectionRequest { name: "c".to_owned() };
        server.ask(server.collections().get(get)).unwrap().last_sequence
    };
    for (number, cluster) in (0..).zip(&found.summary.clusters) {
        assert_eq!(cluster.number, number);
        let members = found.items.iter().filter(|item| item.cluster == Some(number as u32));
        let members: BTreeSet<String> = members.map(|item| item.id.clone()).collect();
        assert_eq!(with_topic(&server, number), members);
        assert_eq!(members.len(), OF_THEME);
    }
    let written = sequence(&server);
    ask(&server, kmeans).unwrap();
    assert_eq!(sequence(&server), written, "what is so already is not written again");

    // The largest cluster is now another one, and keeps its number all the same.
    let kitchen = found.summary.clusters[1].number;
    let member = with_topic(&server, kitchen).pop_first().unwrap();
    let theme = member.split('-').next().unwrap();
    let axis = THEMES.iter().position(|name| *name == theme).unwrap();
    let near = |axis: usize| {
        let mut vector = [0.2; DIMENSION as usize];
        vector[axis] = 1.2;
        vector
    };
    let mut far = [0.0; DIMENSION as usize];
    far[7] = -1.0;
    server.store(
        "c",
        vec![parts("new", vec![part("", &near(axis))]), parts("stranger", vec![part("", &far)])],
    );
    server.restart();
    let join = Method::Join(wire::JoinMethod { field: "topic".to_owned(), slack: None });
    let joined = wire::ClusterRequest { write_to, ..request(join.clone()) };
    let found = ask(&server, joined).unwrap();
    assert_eq!((found.summary.method.as_str(), found.summary.noise), ("join", 1));
    let largest = &found.summary.clusters[0];
    assert_eq!((largest.size, largest.number), (OF_THEME as u64 + 1, kitchen));
    assert!(with_topic(&server, kitchen).contains("new"));
    assert_eq!(sequence(&server), written + 3, "two were stored, and one was written to");

    // Documents in no cluster lose the field.
    let method = Method::Dbscan(wire::DbscanMethod { radius: Some(1e-6), min_samples: None });
    let write_to = Some("topic".to_owned());
    ask(&server, wire::ClusterRequest { write_to, ..request(method) }).unwrap();
    assert_eq!(with_topic(&server, kitchen), BTreeSet::new());
    let Err(error) = ask(&server, request(join)) else { panic!("expected a refusal") };
    let words = "no document has the number of a cluster in the field `topic`";
    assert_eq!((error.code(), error.message()), (Code::InvalidArgument, words));
    for field in ["", "a.b"] {
        let write_to = Some(field.to_owned());
        let kmeans = request(Method::Kmeans(wire::KMeansMethod { k: Some(3), choice: 0 }));
        let Err(error) = ask(&server, wire::ClusterRequest { write_to, ..kmeans }) else {
            panic!("expected a refusal")
        };
        assert_eq!(error.code(), Code::InvalidArgument, "{error}");
    }
}

#[test]
fn what_cannot_be_clustered_is_refused_with_the_reason() {
    let server = TestServer::without_model(|_| {});
    server.create(collection("c", 2));
    let refused = |request| {
        let Err(error) = ask(&server, request) else { panic!("expected a refusal") };
        (error.code(), error.message().to_owned())
    };
    let kmeans = |k| request(Method::Kmeans(wire::KMeansMethod { k, choice: 0 }));
    let (code, message) = refused(kmeans(Some(3)));
    assert_eq!(
        (code, message.as_str()),
        (Code::InvalidArgument, "there are no vectors to cluster")
    );
    server.store("c", vec![parts("a", vec![part("", &[1.0, 0.0])])]);
    let (code, message) = refused(kmeans(Some(3)));
    assert_eq!((code, message.as_str()), (Code::InvalidArgument, "k is 3, expected 1 to 1"));
    let other = wire::ClusterRequest { vector: Some("w".to_owned()), ..kmeans(None) };
    let (code, message) = refused(other);
    assert_eq!((code, message.as_str()), (Code::InvalidArgument, "there is no vector `w`, but v"));
    let nothing = wire::ClusterRequest { method: None, ..kmeans(None) };
    assert_eq!(refused(nothing), (Code::InvalidArgument, "the method is missing".to_owned()));
    let named = wire::ClusterRequest { names: vec!["sea".to_owned()], ..kmeans(None) };
    let words = "names need a model that reads texts, and vector `v` is made by none";
    assert_eq!(refused(named), (Code::InvalidArgument, words.to_owned()));
    let blank = wire::ClusterRequest { names: vec![" ".to_owned()], ..kmeans(None) };
    assert!(refused(blank).1.starts_with("a name of a cluster has 1 to 200 bytes"));
    let soft = wire::HdbscanMethod { memberships: Some(65), ..Default::default() };
    assert_eq!(refused(request(Method::Hdbscan(soft))).1, "memberships is 65, expected 0 to 64");
    let choice = Method::Kmeans(wire::KMeansMethod { k: None, choice: 7 });
    assert_eq!(refused(request(choice)).0, Code::InvalidArgument);
    let keep = Method::Duplicates(wire::DuplicatesMethod { radius: None, keep: 9 });
    assert_eq!(refused(request(keep)).0, Code::InvalidArgument);
    let nowhere = wire::ClusterRequest { collection: "nowhere".to_owned(), ..kmeans(None) };
    assert_eq!(refused(nowhere).0, Code::NotFound);
    let without_radius = Method::Dbscan(wire::DbscanMethod { radius: None, min_samples: None });
    assert_eq!(refused(request(without_radius)).1, "the radius is missing");
    let not_a_radius =
        Method::Dbscan(wire::DbscanMethod { radius: Some(f32::NAN), min_samples: None });
    assert_eq!(refused(request(not_a_radius)).0, Code::InvalidArgument);
    // One document is what it is: a cluster of its own, or noise.
    assert_eq!(ask(&server, kmeans(None)).unwrap().summary.clusters.len(), 1);
    let density = Method::Hdbscan(wire::HdbscanMethod::default());
    assert_eq!(ask(&server, request(density)).unwrap().summary.noise, 1);
    let map = wire::ClusterRequest { with_map: true, ..kmeans(None) };
    assert_eq!(ask(&server, map).unwrap().summary.trustworthiness, None);
}
