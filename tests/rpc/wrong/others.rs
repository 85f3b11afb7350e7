use simile_proto::v1::cluster_request::Method;
use simile_proto::v1::{self as wire};
use tonic::Code;

use super::{Row, raw, row};

/// A field of a wire type that does not exist.
pub(super) const GARBAGE: &[u8] = &[0x0f, 0xff, 0xff];

pub(super) fn rows() -> Vec<Row> {
    let mut rows = embeds();
    rows.extend(trainings());
    for method in ["Jobs/Get", "Jobs/Watch", "Jobs/Cancel"] {
        // All three requests are an id.
        for id in ["", "12345", "abc", "-1", "18446744073709551616"] {
            let request = wire::GetJobRequest { id: id.to_owned() };
            rows.push(row(method, &request, Code::NotFound, &format!("there is no job `{id}`")));
        }
    }
    for method in ["Admin/Verify", "Admin/Repair", "Admin/Optimize", "Admin/Recall"] {
        // All four requests begin with the name of a collection.
        let named = |collection: &str| wire::VerifyRequest { collection: collection.to_owned() };
        let wrong = Code::InvalidArgument;
        rows.extend([
            row(method, &named("none"), Code::NotFound, "there is no collection `none`"),
            row(method, &named(""), wrong, "the name of"),
            row(method, &named("a b"), wrong, "1 to 64 of the letters .. got `a b`"),
        ]);
    }
    let recall = |says: &str, change: fn(&mut wire::RecallRequest)| {
        let collection = "c".to_owned();
        let mut request = wire::RecallRequest { collection, ..Default::default() };
        change(&mut request);
        row("Admin/Recall", &request, Code::InvalidArgument, says)
    };
    rows.extend([
        recall("limit is 0, expected 1 to 1000", |asked| asked.limit = Some(0)),
        recall("questions is 10001, expected 1 to 10000", |asked| asked.questions = Some(10_001)),
        recall("ef is 0, expected 1 to 4096", |asked| asked.ef = Some(0)),
        recall("target_recall is 2, expected 0 to 1", |asked| asked.target_recall = Some(2.0)),
        recall("ef or by target_recall, not both", |asked| {
            (asked.ef, asked.target_recall) = (Some(9), Some(0.9));
        }),
        recall("no vector `x`; it has v", |asked| asked.vector = Some("x".to_owned())),
    ]);
    let kmeans = |collection: &str| wire::ClusterRequest {
        collection: collection.to_owned(),
        method: Some(Method::Kmeans(wire::KMeansMethod::default())),
        ..wire::ClusterRequest::default()
    };
    let method = "Cluster/Cluster";
    rows.extend([
        row(method, &kmeans("none"), Code::NotFound, "there is no collection `none`"),
        row(method, &kmeans(""), Code::InvalidArgument, "the name of the collection is missing"),
    ]);
    // Requests without a field are wrong only if they are none.
    for method in
        ["Collections/List", "Embedding/ListModels", "Jobs/List", "Admin/Info", "Admin/Metrics"]
    {
        let words = "failed to decode Protobuf message";
        rows.push(raw(method, vec![GARBAGE.to_vec()], Code::Internal, words));
    }
    rows
}

fn trainings() -> Vec<Row> {
    let wrong = Code::InvalidArgument;
    let train = |says: &str, code: Code, change: fn(&mut wire::TrainRequest)| {
        let mut request = wire::TrainRequest {
            collection: "c".to_owned(),
            model: "mine".to_owned(),
            method: "word2vec".to_owned(),
            ..Default::default()
        };
        change(&mut request);
        row("Embedding/Train", &request, code, says)
    };
    vec![
        train("there is no collection `none`", Code::NotFound, |asked| {
            asked.collection = "none".to_owned();
        }),
        train("the name of the collection is missing", wrong, |asked| asked.collection.clear()),
        train("the name of a model is the name of a folder", wrong, |asked| {
            asked.model = "../up".to_owned();
        }),
        train("called `hashed-words` is there already", Code::AlreadyExists, |asked| {
            asked.model = "hashed-words".to_owned();
        }),
        train("the method is missing", wrong, |asked| asked.method.clear()),
        train("unknown variant `bm42`, expected one of `one-hot`", wrong, |asked| {
            asked.method = "bm42".to_owned();
        }),
        train("method `word2vec`: no JSON object", wrong, |asked| asked.options = "[]".to_owned()),
        train("unknown field `size`, expected one of .. `training`", wrong, |asked| {
            asked.options = r#"{"size": 3}"#.to_owned();
        }),
        train("invalid type: string \"x\", expected usize", wrong, |asked| {
            asked.options = r#"{"training": {"epochs": "x"}}"#.to_owned();
        }),
        train("it reads a file of word vectors", wrong, |asked| {
            asked.method = "average".to_owned();
            asked.options = r#"{"vectors": "/etc/passwd"}"#.to_owned();
        }),
        train("threads is 0, expected 1 to", wrong, |asked| asked.threads = Some(0)),
        train("threads is 9999, expected 1 to", wrong, |asked| asked.threads = Some(9_999)),
        train("is missing", wrong, |asked| asked.filter = Some(wire::Filter { kind: None })),
    ]
}

fn embeds() -> Vec<Row> {
    let embed = |model: &str, role: i32, count: usize| wire::EmbedRequest {
        model: model.to_owned(),
        texts: vec!["cat".to_owned(); count],
        role,
        ..Default::default()
    };
    let row =
        |request: wire::EmbedRequest, code, says| row("Embedding/Embed", &request, code, says);
    vec![
        row(
            embed("none", 0, 1),
            Code::NotFound,
            "no model is called `none`; known are .. all-minilm-l6-v2",
        ),
        row(embed("", 0, 1), Code::Unavailable, "model all-minilm-l6-v2 is not loaded"),
        row(embed("", 9, 1), Code::InvalidArgument, "role 9 is not known"),
        row(embed("", 0, 1_025), Code::InvalidArgument, "texts: at most 1024 .. got 1025"),
    ]
}
