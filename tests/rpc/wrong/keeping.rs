use simile_proto::v1::alias_change::Kind;
use simile_proto::v1::update_documents_request::{Change, Selection};
use simile_proto::v1::{self as wire};
use tonic::Code;

use super::super::messages::{given, ids, named};
use super::others::GARBAGE;
use super::{Row, raw, row};

const WRONG: Code = Code::InvalidArgument;
const MISSING: Code = Code::NotFound;

pub(super) fn rows() -> Vec<Row> {
    let mut rows = aliases();
    rows.extend(snapshots());
    rows.extend(alterations());
    rows.extend(updates());
    rows
}

fn aliases() -> Vec<Row> {
    let change = |kind: Option<Kind>, count, code, says| {
        let changes = vec![wire::AliasChange { kind }; count];
        row("Collections/ChangeAliases", &wire::ChangeAliasesRequest { changes }, code, says)
    };
    let set = |alias: &str, collection: &str| {
        Some(Kind::Set(wire::SetAlias { alias: alias.into(), collection: collection.into() }))
    };
    let rename = |alias: &str, to: &str| {
        Some(Kind::Rename(wire::RenameAlias { alias: alias.into(), to: to.into() }))
    };
    let words = "failed to decode Protobuf message";
    vec![
        change(None, 1, WRONG, "what is to be changed of the aliases is missing"),
        change(set("x", "none"), 1, MISSING, "there is no collection `none`"),
        change(set("c", "other"), 1, Code::AlreadyExists, "there is a collection `c` already"),
        change(
            set("a b", "c"),
            1,
            WRONG,
            "the name of a collection alias has 1 to 64 .. got `a b`",
        ),
        change(set("x", ""), 1, WRONG, "the name of a collection has 1 to 64 .. got ``"),
        change(rename("x", "y"), 1, MISSING, "there is no alias `x`"),
        change(Some(Kind::Delete("x".into())), 1, MISSING, "there is no alias `x`"),
        change(set("x", "c"), 10_001, WRONG, "changes: at most 10000 .. got 10001"),
        raw("Collections/ListAliases", vec![GARBAGE.to_vec()], Code::Internal, words),
    ]
}

fn snapshots() -> Vec<Row> {
    let create = |collection: &str, name: Option<&str>, code, says| {
        let (collection, name) = (collection.to_owned(), name.map(str::to_owned));
        row("Snapshots/Create", &wire::CreateSnapshotRequest { collection, name }, code, says)
    };
    let mut rows = vec![
        create("none", None, MISSING, "there is no collection `none`"),
        create("", None, WRONG, "the name of the collection is missing"),
        create("c", Some("../x"), WRONG, "the name of a snapshot has 1 to 64 .. got `../x`"),
        create("c", Some(""), WRONG, "the name of a snapshot has 1 to 64 .. got ``"),
        row(
            "Snapshots/List",
            &wire::ListSnapshotsRequest { collection: Some("..".to_owned()) },
            WRONG,
            "the name of a collection has 1 to 64 .. got `..`",
        ),
    ];
    for method in ["Snapshots/Delete", "Snapshots/Download"] {
        // Both requests are two names.
        let named = |collection: &str, name: &str| wire::DeleteSnapshotRequest {
            collection: collection.to_owned(),
            name: name.to_owned(),
        };
        rows.extend([
            row(method, &named("c", "x"), MISSING, "there is no snapshot `x` of collection `c`"),
            row(method, &named("c", "../x"), WRONG, "the name of a snapshot has .. got `../x`"),
            row(method, &named("../c", "x"), WRONG, "the name of a collection has .. got `../c`"),
        ]);
    }
    let restore = |collection: &str, bytes: &[u8], code, says| {
        let request = wire::RestoreSnapshotRequest {
            collection: collection.to_owned(),
            bytes: bytes.to_vec(),
            ..wire::RestoreSnapshotRequest::default()
        };
        row("Snapshots/Restore", &request, code, says)
    };
    let kept = wire::RestoreSnapshotRequest {
        collection: "n".to_owned(),
        snapshot: Some(wire::SnapshotName { collection: "c".into(), name: "x".into() }),
        ..wire::RestoreSnapshotRequest::default()
    };
    rows.extend([
        raw("Snapshots/Restore", Vec::new(), WRONG, "the stream has no message"),
        restore("", b"", WRONG, "the name of the new collection is missing"),
        restore("a b", b"", WRONG, "the name of a collection has 1 to 64 .. got `a b`"),
        restore("c", b"", Code::AlreadyExists, "there is a collection `c` already"),
        restore("n", b"", Code::DataLoss, "the snapshot is damaged: it ends early"),
        restore("n", &[7; 512], Code::DataLoss, "the snapshot is damaged: .. "),
        row("Snapshots/Restore", &kept, MISSING, "there is no snapshot `x` of collection `c`"),
    ]);
    rows
}

fn alterations() -> Vec<Row> {
    let add = |collection: &str, name: &str, config: Option<wire::VectorConfig>, code, says| {
        let (collection, name) = (collection.to_owned(), name.to_owned());
        let request = wire::AddVectorRequest { collection, name, config };
        row("Collections/AddVector", &request, code, says)
    };
    let usual = || Some(given(2, wire::Metric::Cosine));
    let drop_vector = |collection: &str, name: &str, code, says| {
        let (collection, name) = (collection.to_owned(), name.to_owned());
        let request = wire::DropVectorRequest { collection, name };
        row("Collections/DropVector", &request, code, says)
    };
    let replace = |collection: &str, name: &str, by: &str, code, says| {
        let (collection, name) = (collection.to_owned(), name.to_owned());
        let request = wire::ReplaceVectorRequest { collection, name, by: by.to_owned() };
        row("Collections/ReplaceVector", &request, code, says)
    };
    let change = |name: &str, tokens: u32, code, says| {
        let chunk = wire::ChunkConfig { tokens_max: Some(tokens), tokens_overlap: None };
        let request = wire::ChangeCollectionRequest {
            name: name.to_owned(),
            chunk: Some(chunk),
            ..Default::default()
        };
        row("Collections/Change", &request, code, says)
    };
    vec![
        add("none", "x", usual(), MISSING, "there is no collection `none`"),
        add("", "x", usual(), WRONG, "the name of the collection is missing"),
        add("c", "x", None, WRONG, "the config of the vector is missing"),
        add("c", "v", usual(), Code::AlreadyExists, "there is a vector `v` already"),
        add("c", "a b", usual(), WRONG, "the name of a vector has 1 to 64 .. got `a b`"),
        add("c", "x", Some(given(0, wire::Metric::Dot)), WRONG, "vector `x` has dimension 0"),
        replace("none", "v", "w", MISSING, "there is no collection `none`"),
        replace("c", "v", "x", WRONG, "vector `v` has no embedder"),
        replace("c", "x", "v", WRONG, "the collection has no vector `x`; it has v"),
        drop_vector("none", "v", MISSING, "there is no collection `none`"),
        drop_vector("c", "x", WRONG, "the collection has no vector `x`; it has v"),
        change("none", 10, MISSING, "there is no collection `none`"),
        change("c", 0, WRONG, "tokens_max is 0, expected 1 to 8192"),
    ]
}

fn updates() -> Vec<Row> {
    let request = |collection: &str, update: wire::VectorsUpdate, count| {
        let updates = vec![update; count];
        wire::UpdateVectorsRequest {
            collection: collection.to_owned(),
            updates,
            ..Default::default()
        }
    };
    let of = |name: &str, components: &[f32]| wire::VectorsUpdate {
        id: "a".to_owned(),
        set: Some(wire::Vectors { by_name: named(name, components), ..Default::default() }),
        ..wire::VectorsUpdate::default()
    };
    let v = || of("v", &[1.0, 0.0, 0.0, 0.0]);
    let update = |collection: &str, update, count, code, says| {
        row("Documents/UpdateVectors", &request(collection, update, count), code, says)
    };
    let nothing = wire::VectorsUpdate { id: "a".to_owned(), ..Default::default() };
    let both = wire::VectorsUpdate { delete: vec!["v".to_owned()], ..v() };
    let no_id = wire::VectorsUpdate { id: String::new(), ..v() };
    let delete = wire::VectorsUpdate { delete: vec!["x".to_owned()], ..nothing.clone() };
    let by_ids = |names: &[&str]| wire::UpdateDocumentsRequest {
        collection: "c".to_owned(),
        selection: Some(Selection::Ids(ids(["a"]))),
        change: Some(Change::DeleteVectors(wire::VectorNames {
            names: names.iter().map(|&name| name.to_owned()).collect(),
        })),
        ..Default::default()
    };
    vec![
        update("none", v(), 1, MISSING, "there is no collection `none`"),
        update("", v(), 1, WRONG, "the name of the collection is missing"),
        update("c", v(), 0, WRONG, "the updates is missing"),
        update("c", v(), 10_001, WRONG, "updates: at most 10000 .. got 10001"),
        update("c", nothing, 1, WRONG, "the vectors that are set or deleted is missing"),
        update("c", both, 1, WRONG, "vector `v` is set and deleted"),
        update("c", no_id, 1, WRONG, "a document id must not be empty"),
        update("c", of("v", &[1.0]), 1, WRONG, "vector `v`: expected dimension 4, got 1"),
        update("c", of("v", &[0.0; 4]), 1, WRONG, "vector `v`: a vector of length zero"),
        update("c", of("x", &[1.0]), 1, WRONG, "the collection has no vector `x`; it has v"),
        update("c", delete, 1, WRONG, "the collection has no vector `x`; it has v"),
        row("Documents/Update", &by_ids(&[]), WRONG, "the names of the vectors is missing"),
        row("Documents/Update", &by_ids(&["x"]), WRONG, "the collection has no vector `x`"),
    ]
}
