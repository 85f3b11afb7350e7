use prost::Message;
use simile_proto::qdrant::condition::ConditionOneOf;
use simile_proto::qdrant::point_id::PointIdOptions;
use simile_proto::qdrant::points_selector::PointsSelectorOneOf;
use simile_proto::qdrant::query::Variant;
use simile_proto::qdrant::vector::Vector as VectorKind;
use simile_proto::qdrant::vectors::VectorsOptions;
use simile_proto::qdrant::vectors_config::Config;
use simile_proto::qdrant::{self as wire, vector_input};
use tonic::Code;

use super::others::GARBAGE;
use super::{Row, raw, row};

const WRONG: Code = Code::InvalidArgument;
const CANNOT: Code = Code::Unimplemented;
const GONE: (Code, &str) = (Code::NotFound, "Collection `none` doesn't exist!");

pub(super) fn rows() -> Vec<Row> {
    let mut rows = collections();
    rows.extend(writes());
    rows.extend(changes());
    rows.extend(reads());
    rows.extend(queries());
    rows.extend(filters());
    rows.extend(pictures());
    rows.extend(snapshots());
    rows
}

/// A row of a collection that is not there.
fn gone(method: &str, request: &impl Message) -> Row {
    row(method, request, GONE.0, GONE.1)
}

fn text(text: &str) -> String {
    text.to_owned()
}

fn collections() -> Vec<Row> {
    let method = "qdrant.Collections/Create";
    let params = |size, distance: wire::Distance| wire::VectorParams {
        size,
        distance: distance.into(),
        ..Default::default()
    };
    let with = |params: wire::VectorParams| wire::CreateCollection {
        collection_name: text("new"),
        vectors_config: Some(wire::VectorsConfig { config: Some(Config::Params(params)) }),
        ..Default::default()
    };
    let good = || with(params(4, wire::Distance::Cosine));
    let multi = wire::VectorParams {
        multivector_config: Some(wire::MultiVectorConfig::default()),
        ..params(4, wire::Distance::Euclid)
    };
    let bytes = wire::VectorParams {
        datatype: Some(wire::Datatype::Uint8.into()),
        ..params(4, wire::Distance::Dot)
    };
    let product = wire::QuantizationConfig {
        quantization: Some(wire::quantization_config::Quantization::Product(Default::default())),
    };
    let strict = wire::StrictModeConfig { enabled: Some(true), ..Default::default() };
    let idf = wire::SparseVectorParams { modifier: Some(1), index: None };
    let sparse = wire::SparseVectorConfig { map: [(text("words"), idf)].into() };
    let update = |collection: &str| wire::UpdateCollection {
        collection_name: text(collection),
        ..Default::default()
    };
    let other = wire::UpdateCollection {
        quantization_config: Some(wire::QuantizationConfigDiff {
            quantization: Some(wire::quantization_config_diff::Quantization::Product(
                Default::default(),
            )),
        }),
        ..update("c")
    };
    let named = |name: &str| wire::GetCollectionInfoRequest { collection_name: text(name) };
    let words = "failed to decode Protobuf message";
    let garbage = |method| raw(method, vec![GARBAGE.to_vec()], Code::Internal, words);
    let aliases = |action| wire::ChangeAliases {
        actions: vec![wire::AliasOperations { action }],
        timeout: None,
    };
    let nothing = aliases(None);
    let unknown = wire::DeleteAlias { alias_name: text("none") };
    let unknown = aliases(Some(wire::alias_operations::Action::DeleteAlias(unknown)));
    vec![
        garbage("qdrant.Qdrant/HealthCheck"),
        garbage("qdrant.Collections/List"),
        garbage("qdrant.Collections/CollectionExists"),
        gone("qdrant.Collections/Get", &named("none")),
        row("qdrant.Collections/Get", &named("a b"), WRONG, "1 to 64 of the letters .. `a b`"),
        row("qdrant.Collections/Delete", &named("a b"), WRONG, "1 to 64 of the letters .. `a b`"),
        row(
            method,
            &wire::CreateCollection { collection_name: text("c"), ..good() },
            Code::AlreadyExists,
            "Collection `c` already exists!",
        ),
        row(method, &wire::CreateCollection::default(), WRONG, "`vectors_config` .. is missing"),
        row(method, &with(params(0, wire::Distance::Dot)), WRONG, "dimension 0, expected 1 to"),
        row(method, &with(params(4, wire::Distance::UnknownDistance)), WRONG, "the distance is"),
        row(method, &with(params(4, wire::Distance::Manhattan)), CANNOT, "`Manhattan` is not"),
        row(method, &with(multi), WRONG, "is a multivector .. cosine or dot, got euclidean"),
        row(method, &with(bytes), CANNOT, "datatype `Uint8`"),
        row(
            method,
            &wire::CreateCollection { quantization_config: Some(product), ..good() },
            CANNOT,
            "product quantization is not supported",
        ),
        row(
            method,
            &wire::CreateCollection { replication_factor: Some(2), ..good() },
            CANNOT,
            "a `replication_factor` other than 1 is not supported",
        ),
        row(
            method,
            &wire::CreateCollection { sharding_method: Some(1), ..good() },
            CANNOT,
            "a custom `sharding_method`",
        ),
        row(
            method,
            &wire::CreateCollection { strict_mode_config: Some(strict), ..good() },
            CANNOT,
            "`strict_mode_config` is not supported",
        ),
        row(
            method,
            &wire::CreateCollection { sparse_vectors_config: Some(sparse), ..good() },
            CANNOT,
            "`modifier` of sparse vector `words`",
        ),
        gone("qdrant.Collections/Update", &update("none")),
        row("qdrant.Collections/Update", &other, CANNOT, "product quantization"),
        row("qdrant.Collections/UpdateAliases", &nothing, WRONG, "the change of an alias is"),
        row("qdrant.Collections/UpdateAliases", &unknown, Code::NotFound, "alias"),
        garbage("qdrant.Collections/ListAliases"),
        gone("qdrant.Collections/ListCollectionAliases", &named("none")),
    ]
}

fn id(number: u64) -> wire::PointId {
    wire::PointId { point_id_options: Some(PointIdOptions::Num(number)) }
}

fn ids(numbers: &[u64]) -> Option<wire::PointsSelector> {
    let ids = numbers.iter().map(|&number| id(number)).collect();
    let points = PointsSelectorOneOf::Points(wire::PointsIdsList { ids });
    Some(wire::PointsSelector { points_selector_one_of: Some(points) })
}

fn vectors(vector: VectorKind) -> Option<wire::Vectors> {
    let vector = wire::Vector { vector: Some(vector), ..Default::default() };
    let named = wire::NamedVectors { vectors: [(text("v"), vector)].into() };
    Some(wire::Vectors { vectors_options: Some(VectorsOptions::Vectors(named)) })
}

fn dense(data: &[f32]) -> VectorKind {
    VectorKind::Dense(wire::DenseVector { data: data.to_vec() })
}

fn pictures() -> Vec<Row> {
    use simile_proto::qdrant::value::Kind;

    let value = |text: &str| wire::Value { kind: Some(Kind::StringValue(text.to_owned())) };
    let point = |vector, code, says| {
        let points = vec![wire::PointStruct {
            id: Some(id(1)),
            vectors: vectors(vector),
            ..Default::default()
        }];
        let collection_name = text("c");
        let upsert = wire::UpsertPoints { collection_name, points, ..Default::default() };
        row("qdrant.Points/Upsert", &upsert, code, says)
    };
    let image = |text: &str, code, says| {
        let model = "simile-autoencoder-64".to_owned();
        let image = Some(value(text));
        let image = wire::Image { image, model, options: Default::default() };
        point(VectorKind::Image(image), code, says)
    };
    let object = |fields: &[(&str, &str)], code, says| {
        let fields = fields.iter().map(|(name, text)| ((*name).to_owned(), value(text)));
        let object = Kind::StructValue(wire::Struct { fields: fields.collect() });
        let object = Some(wire::Value { kind: Some(object) });
        let object = wire::InferenceObject { object, ..Default::default() };
        point(VectorKind::Object(object), code, says)
    };
    let other = "an InferenceObject other than a text";
    vec![
        point(VectorKind::Image(wire::Image::default()), WRONG, "the picture of an Image"),
        image("no base64!", WRONG, "a picture is no base64"),
        image("data:image/png,abc", WRONG, "a picture is no base64"),
        image("https://example.com/a.png", CANNOT, "by address (`https:`) is not .. as base64"),
        image("file:///etc/passwd", CANNOT, "by address (`file:`) is not"),
        point(VectorKind::Object(wire::InferenceObject::default()), CANNOT, other),
        object(&[("sound", "a")], CANNOT, other),
        object(&[("text", "a"), ("image", "b")], CANNOT, other),
        object(&[("video", "no base64!")], WRONG, "a video is no base64"),
        object(&[("video", "file:///a.mp4")], CANNOT, "a video by address (`file:`) is not"),
        object(&[("image", "gopher://a")], CANNOT, "by address (`gopher:`)"),
    ]
}

fn snapshots() -> Vec<Row> {
    let create = |name: &str| wire::CreateSnapshotRequest { collection_name: text(name) };
    let delete = |name: &str| wire::DeleteSnapshotRequest {
        collection_name: text("c"),
        snapshot_name: text(name),
    };
    let method = "qdrant.Snapshots/Delete";
    vec![
        gone("qdrant.Snapshots/Create", &create("none")),
        gone("qdrant.Snapshots/List", &create("none")),
        row(method, &delete("none"), Code::NotFound, "there is no snapshot `none`"),
        row(method, &delete("../c/1"), WRONG, "the name of a snapshot has .. got `../c/1`"),
    ]
}

fn writes() -> Vec<Row> {
    let method = "qdrant.Points/Upsert";
    let upsert = |collection: &str, id, vectors| wire::UpsertPoints {
        collection_name: text(collection),
        points: vec![wire::PointStruct { id, vectors, ..Default::default() }],
        ..Default::default()
    };
    let good = || vectors(dense(&[1.0, 0.0, 0.0, 0.0]));
    let document = |model: &str| {
        let (text, model) = (text("cat"), model.to_owned());
        vectors(VectorKind::Document(wire::Document { text, model, options: Default::default() }))
    };
    let multi = vectors(VectorKind::MultiDense(wire::MultiDenseVector::default()));
    let unnamed = wire::Vectors {
        vectors_options: Some(VectorsOptions::Vector(wire::Vector {
            data: vec![1.0],
            ..Default::default()
        })),
    };
    let shard = wire::UpsertPoints {
        shard_key_selector: Some(wire::ShardKeySelector::default()),
        ..upsert("c", Some(id(1)), good())
    };
    let only_if = wire::UpsertPoints {
        update_filter: Some(wire::Filter::default()),
        ..upsert("c", Some(id(1)), good())
    };
    let batch = |operation| wire::UpdateBatchPoints {
        collection_name: text("c"),
        operations: vec![wire::PointsUpdateOperation { operation }],
        ..Default::default()
    };
    let update = |vectors| wire::UpdatePointVectors {
        collection_name: text("c"),
        points: vec![wire::PointVectors { id: Some(id(77)), vectors }],
        ..Default::default()
    };
    vec![
        gone(method, &upsert("none", Some(id(1)), good())),
        row(method, &upsert("c", None, good()), WRONG, "the id of a point is missing"),
        row(method, &upsert("c", Some(id(1)), None), WRONG, "point 1: a part has a text or a vec"),
        row(
            method,
            &upsert("c", Some(id(1)), vectors(dense(&[1.0]))),
            WRONG,
            "point 1: vector `v`: expected dimension 4, got 1",
        ),
        row(
            method,
            &upsert("c", Some(id(1)), vectors(dense(&[f32::NAN]))),
            WRONG,
            "vector `v`: component 0 is NaN",
        ),
        row(
            method,
            &upsert("c", Some(id(1)), Some(unnamed)),
            WRONG,
            "no vector `default`; it has v",
        ),
        row(method, &upsert("c", Some(id(1)), document("none")), Code::NotFound, "called `none`"),
        row(
            method,
            &upsert("c", Some(id(1)), document("some/all-MiniLM-L6-v2")),
            Code::Unavailable,
            "model all-minilm-l6-v2 is not loaded",
        ),
        row(method, &upsert("c", Some(id(1)), multi), WRONG, "a multivector has 1 to 2048 vectors"),
        row(method, &shard, CANNOT, "`shard_key_selector` is not supported"),
        row(method, &only_if, CANNOT, "`update_filter` is not supported"),
        row("qdrant.Points/UpdateBatch", &batch(None), WRONG, "the operation is missing"),
        row(
            "qdrant.Points/UpdateVectors",
            &update(good()),
            Code::NotFound,
            "No point with id 77 found",
        ),
        row(
            "qdrant.Points/DeleteVectors",
            &wire::DeletePointVectors {
                collection_name: text("c"),
                points_selector: ids(&[1]),
                ..Default::default()
            },
            WRONG,
            "the names of the vectors is missing",
        ),
        row(
            "qdrant.Points/Delete",
            &wire::DeletePoints { collection_name: text("c"), ..Default::default() },
            WRONG,
            "the points: ids or a filter is missing",
        ),
    ]
}

fn changes() -> Vec<Row> {
    let set = |points_selector, key: Option<&str>| wire::SetPayloadPoints {
        collection_name: text("c"),
        points_selector,
        key: key.map(text),
        ..Default::default()
    };
    let delete = |keys: &[&str]| wire::DeletePayloadPoints {
        collection_name: text("c"),
        keys: keys.iter().map(|key| text(key)).collect(),
        points_selector: ids(&[77]),
        ..Default::default()
    };
    let index = |field_type| wire::CreateFieldIndexCollection {
        collection_name: text("c"),
        field_name: text("year"),
        field_type,
        ..Default::default()
    };
    let missing = "No point with id 77 found";
    vec![
        row("qdrant.Points/SetPayload", &set(None, None), WRONG, "ids or a filter is missing"),
        row("qdrant.Points/SetPayload", &set(ids(&[77]), None), Code::NotFound, missing),
        row("qdrant.Points/OverwritePayload", &set(ids(&[77]), Some("a")), CANNOT, "`key` of"),
        row("qdrant.Points/DeletePayload", &delete(&[]), WRONG, "the keys that are deleted is"),
        row("qdrant.Points/DeletePayload", &delete(&["a[0]"]), CANNOT, "`a[0]`: a place in a list"),
        row(
            "qdrant.Points/ClearPayload",
            &wire::ClearPayloadPoints {
                collection_name: text("c"),
                points: ids(&[77]),
                ..Default::default()
            },
            Code::NotFound,
            missing,
        ),
        row("qdrant.Points/CreateFieldIndex", &index(None), WRONG, "the type of the field is"),
        row(
            "qdrant.Points/CreateFieldIndex",
            &index(Some(99)),
            WRONG,
            "field type 99 is not known",
        ),
        gone(
            "qdrant.Points/DeleteFieldIndex",
            &wire::DeleteFieldIndexCollection {
                collection_name: text("none"),
                ..Default::default()
            },
        ),
    ]
}

fn reads() -> Vec<Row> {
    let scroll = |limit, order_by| wire::ScrollPoints {
        collection_name: text("c"),
        limit,
        order_by,
        ..Default::default()
    };
    let order =
        |key: &str, start_from| Some(wire::OrderBy { key: text(key), direction: None, start_from });
    let consistency = wire::CountPoints {
        collection_name: text("c"),
        read_consistency: Some(wire::ReadConsistency {
            value: Some(wire::read_consistency::Value::Factor(2)),
        }),
        ..Default::default()
    };
    let facet = |key: &str| wire::FacetCounts {
        collection_name: text("c"),
        key: text(key),
        ..Default::default()
    };
    let get = wire::GetPoints {
        collection_name: text("c"),
        ids: vec![wire::PointId::default()],
        ..Default::default()
    };
    let method = "qdrant.Points/Scroll";
    vec![
        row("qdrant.Points/Get", &get, WRONG, "the number or the UUID of a point id is missing"),
        row(method, &scroll(Some(0), None), WRONG, "limit is 0, expected 1 to 100000"),
        row(method, &scroll(None, order("none", None)), WRONG, "no document has a field `none`"),
        row(
            method,
            &scroll(None, order("year", Some(wire::StartFrom::default()))),
            CANNOT,
            "`start_from` of an order is not supported",
        ),
        row("qdrant.Points/Count", &consistency, CANNOT, "a `read_consistency` above 1"),
        row("qdrant.Points/Facet", &facet(""), WRONG, "the name of a field is missing"),
    ]
}

fn nearest(data: &[f32]) -> Option<wire::Query> {
    let dense = vector_input::Variant::Dense(wire::DenseVector { data: data.to_vec() });
    let input = wire::VectorInput { variant: Some(dense) };
    Some(wire::Query { variant: Some(Variant::Nearest(input)) })
}

fn query(query: Option<wire::Query>) -> wire::QueryPoints {
    wire::QueryPoints {
        collection_name: text("c"),
        using: Some(text("v")),
        query,
        ..Default::default()
    }
}

fn queries() -> Vec<Row> {
    let method = "qdrant.Points/Query";
    let good = || query(nearest(&[1.0, 0.0, 0.0, 0.0]));
    let of = |variant| query(Some(wire::Query { variant: Some(variant) }));
    let lookup = wire::QueryPoints { lookup_from: Some(wire::LookupLocation::default()), ..good() };
    let params = |params| wire::QueryPoints { params: Some(params), ..good() };
    let indexed = wire::SearchParams { indexed_only: Some(true), ..Default::default() };
    let wide = wire::SearchParams { hnsw_ef: Some(5_000), ..Default::default() };
    let sums = wire::RecommendInput { strategy: Some(2), ..Default::default() };
    let rrf = wire::Rrf { k: Some(0), weights: Vec::new() };
    let joined = wire::QueryPoints {
        prefetch: vec![wire::PrefetchQuery { query: nearest(&[1.0; 4]), ..Default::default() }],
        ..of(Variant::Rrf(rrf))
    };
    let mut deep = wire::PrefetchQuery { query: nearest(&[1.0; 4]), ..Default::default() };
    for _ in 0..4 {
        let prefetch = vec![deep];
        deep = wire::PrefetchQuery { prefetch, query: nearest(&[1.0; 4]), ..Default::default() };
    }
    let deep = wire::QueryPoints { prefetch: vec![deep], ..good() };
    let other = wire::QueryPoints { collection_name: text("other"), ..good() };
    let batch = wire::QueryBatchPoints {
        collection_name: text("c"),
        query_points: vec![other],
        ..Default::default()
    };
    let groups = |group_by: &str, with_lookup| wire::QueryPointGroups {
        collection_name: text("c"),
        query: nearest(&[1.0, 0.0, 0.0, 0.0]),
        using: Some(text("v")),
        group_by: text(group_by),
        with_lookup,
        ..Default::default()
    };
    let search = |limit| wire::SearchPoints {
        collection_name: text("c"),
        vector: vec![1.0; 4],
        vector_name: Some(text("v")),
        limit,
        ..Default::default()
    };
    let searches = wire::SearchBatchPoints {
        collection_name: text("c"),
        search_points: vec![search(1); 257],
        ..Default::default()
    };
    let old_groups =
        wire::SearchPointGroups { collection_name: text("none"), ..Default::default() };
    vec![
        gone(method, &wire::QueryPoints { collection_name: text("none"), ..good() }),
        row(method, &query(nearest(&[1.0])), WRONG, "vector `v`: expected dimension 4, got 1"),
        row(
            method,
            &wire::QueryPoints { using: None, ..good() },
            WRONG,
            "the collection has no vector `default`; it has v",
        ),
        row(method, &wire::QueryPoints { limit: Some(5_000), ..good() }, WRONG, "limit is 5000"),
        row(method, &lookup, CANNOT, "`lookup_from` is not supported"),
        row(method, &params(indexed), CANNOT, "`indexed_only` is not supported"),
        row(method, &params(wide), WRONG, "ef is 5000, expected 1 to 4096"),
        row(method, &of(Variant::Recommend(sums)), CANNOT, "strategy `SumScores`"),
        row(method, &of(Variant::Formula(wire::Formula {})), CANNOT, "query `formula`"),
        row(method, &of(Variant::Discover(wire::DiscoverInput {})), CANNOT, "query `discover`"),
        row(method, &of(Variant::Context(wire::ContextInput {})), CANNOT, "query `context`"),
        row(method, &of(Variant::Text(wire::TextQuery {})), CANNOT, "query `text`"),
        row(method, &of(Variant::Fusion(0)), WRONG, "the prefetch that a fusion joins is"),
        row(method, &joined, WRONG, "k of the fusion is 0, expected 1"),
        row(method, &deep, WRONG, "searches are nested at most 4 deep"),
        row("qdrant.Points/QueryBatch", &batch, WRONG, "it names `c`, and `other`"),
        row("qdrant.Points/QueryGroups", &groups("", None), WRONG, "the name of a field is"),
        row(
            "qdrant.Points/QueryGroups",
            &groups("year", Some(wire::WithLookup {})),
            CANNOT,
            "`with_lookup` is not supported",
        ),
        row("qdrant.Points/Search", &search(0), WRONG, "limit is 0, expected 1 to 1000"),
        row("qdrant.Points/SearchBatch", &searches, WRONG, "queries: at most 256 .. got 257"),
        gone("qdrant.Points/SearchGroups", &old_groups),
    ]
}

fn filters() -> Vec<Row> {
    let count = |condition| wire::CountPoints {
        collection_name: text("c"),
        filter: Some(wire::Filter {
            must: vec![wire::Condition { condition_one_of: condition }],
            ..Default::default()
        }),
        ..Default::default()
    };
    let field = |field: wire::FieldCondition| {
        count(Some(ConditionOneOf::Field(wire::FieldCondition { key: text("year"), ..field })))
    };
    let mut deep = wire::Filter::default();
    for _ in 0..20 {
        let condition = wire::Condition { condition_one_of: Some(ConditionOneOf::Filter(deep)) };
        deep = wire::Filter { must: vec![condition], ..Default::default() };
    }
    let polygon =
        wire::FieldCondition { geo_polygon: Some(wire::GeoPolygon {}), ..Default::default() };
    let substring = wire::r#match::MatchValue::Substring(text("a"));
    let substring = wire::FieldCondition {
        r#match: Some(wire::Match { match_value: Some(substring) }),
        ..Default::default()
    };
    let range = wire::FieldCondition { range: Some(wire::Range::default()), ..Default::default() };
    let not_a_number = wire::Range { gt: Some(f64::NAN), ..Default::default() };
    let not_a_number = wire::FieldCondition { range: Some(not_a_number), ..Default::default() };
    let has_vector = wire::HasVectorCondition { has_vector: text("v") };
    let method = "qdrant.Points/Count";
    vec![
        row(method, &count(None), WRONG, "the kind of a condition is missing"),
        row(method, &count(Some(ConditionOneOf::Filter(deep))), WRONG, "nested at most 16 deep"),
        row(method, &field(wire::FieldCondition::default()), WRONG, "`year` has no condition"),
        row(method, &field(polygon), CANNOT, "condition `geo_polygon` is not supported"),
        row(method, &field(substring), CANNOT, "match `substring` is not supported"),
        row(method, &field(range), WRONG, "the range of field `year` has no bound"),
        row(method, &field(not_a_number), WRONG, "NaN is no finite number"),
        row(method, &count(Some(ConditionOneOf::HasVector(has_vector))), CANNOT, "`has_vector`"),
        row(
            method,
            &count(Some(ConditionOneOf::Slice(wire::SliceCondition {}))),
            CANNOT,
            "condition `slice` is not supported",
        ),
    ]
}
