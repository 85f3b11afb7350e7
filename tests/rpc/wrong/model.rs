use std::collections::HashMap;

use simile_proto::v1::field_condition::Condition;
use simile_proto::v1::filter::Kind;
use simile_proto::v1::update_documents_request::{Change, Selection};
use simile_proto::v1::{self as wire, example};
use tonic::Code;

use super::super::messages::{ask_vector, dense, fields, integer, part, parts, text};
use super::{Row, row};

const WRONG: Code = Code::InvalidArgument;

pub(super) fn rows() -> Vec<Row> {
    let mut rows = updates();
    rows.extend(facets_and_orders());
    rows.extend(batches_and_explanations());
    rows.extend(questions());
    rows.extend(terms());
    rows.extend(conditions());
    rows
}

fn update(collection: &str, ids: &[&str], change: Option<Change>) -> wire::UpdateDocumentsRequest {
    let ids = ids.iter().map(|id| (*id).to_owned()).collect();
    wire::UpdateDocumentsRequest {
        collection: collection.to_owned(),
        selection: Some(Selection::Ids(wire::DocumentIds { ids })),
        change,
        ..Default::default()
    }
}

fn updates() -> Vec<Row> {
    let method = "Documents/Update";
    let clear = || Some(Change::Clear(true));
    let set = |name: &str, at: Option<&str>| {
        let fields = fields([(name, integer(1))]);
        Some(Change::Set(wire::SetFields { fields, at: at.map(str::to_owned) }))
    };
    let no_paths = Change::Delete(wire::FieldPaths { paths: Vec::new() });
    let nobody = wire::UpdateDocumentsRequest { selection: None, ..update("c", &[], clear()) };
    let two = wire::UpdateDocumentsRequest {
        expected_sequence: Some(1),
        ..update("c", &["a", "b"], clear())
    };
    let past =
        wire::UpdateDocumentsRequest { expires_unix_ms: Some(5), ..update("c", &["a"], clear()) };
    let key = wire::UpdateDocumentsRequest {
        idempotency_key: Some(String::new()),
        ..update("c", &["a"], clear())
    };
    let unknown = wire::Filter {
        kind: Some(Kind::Field(wire::FieldCondition {
            path: "x".to_owned(),
            condition: Some(Condition::Exists(true)),
        })),
    };
    let unknown = wire::UpdateDocumentsRequest {
        selection: Some(Selection::Filter(unknown)),
        ..update("c", &[], clear())
    };
    vec![
        row(method, &update("", &["a"], clear()), WRONG, "the name of the collection is missing"),
        row(method, &update("none", &["a"], clear()), Code::NotFound, "no collection `none`"),
        row(method, &update("c", &[""], clear()), WRONG, "a document id must not be empty"),
        row(method, &update("c", &["a"; 10_001], clear()), WRONG, "at most 10000 .. got 10001"),
        row(method, &update("c", &["a"], None), WRONG, "the change: set, overwrite .. is missing"),
        row(method, &update("c", &["a"], Some(no_paths)), WRONG, "the paths that are deleted"),
        row(method, &update("c", &["a"], set("a.b", None)), WRONG, "no dot .. got `a.b`"),
        row(method, &nobody, WRONG, "the selection: ids or a filter is missing"),
        row(method, &two, WRONG, "goes with exactly one id, got 2"),
        row(method, &past, WRONG, "it is 1700000000000, and expires_unix_ms is 5"),
        row(method, &key, WRONG, "an idempotency key has 1 to 256 bytes, got 0"),
        row(method, &unknown, WRONG, "no document has a field `x` .. known fields: name, year"),
    ]
}

fn facets_and_orders() -> Vec<Row> {
    let facet = |collection: &str, path: &str, limit| wire::FacetRequest {
        collection: collection.to_owned(),
        path: path.to_owned(),
        limit: Some(limit),
        ..Default::default()
    };
    let method = "Documents/Facet";
    let scroll = |after: &str, path: &str| wire::ScrollRequest {
        collection: "c".to_owned(),
        after: after.to_owned(),
        order_by: Some(wire::OrderBy { path: path.to_owned(), descending: false }),
        ..Default::default()
    };
    let both = wire::ScrollRequest { sample: Some(wire::Sample::default()), ..scroll("", "year") };
    let after = wire::ScrollRequest {
        order_by: None,
        sample: Some(wire::Sample::default()),
        ..scroll("a", "year")
    };
    vec![
        row(method, &facet("", "year", 1), WRONG, "the name of the collection is missing"),
        row(method, &facet("none", "year", 1), Code::NotFound, "no collection `none`"),
        row(method, &facet("c", "", 1), WRONG, "the path of the field is missing"),
        row(method, &facet("c", "x", 1), WRONG, "no document has a field `x`"),
        row(method, &facet("c", "year", 0), WRONG, "at most 10000, got 0"),
        row(method, &facet("c", "year", 10_001), WRONG, "at most 10000, got 10001"),
        row("Documents/Scroll", &scroll("", "x"), WRONG, "no document has a field `x`"),
        row("Documents/Scroll", &scroll("", ""), WRONG, "the path that is ordered by is missing"),
        row("Documents/Scroll", &scroll("a", "year"), WRONG, "no `next_after` of an ordered page"),
        row("Documents/Scroll", &both, WRONG, "ordered or drawn at random, not both"),
        row("Documents/Scroll", &after, WRONG, "there is no page after a random one"),
    ]
}

fn question() -> wire::SearchRequest {
    ask_vector("c", &[1.0, 0.0, 0.0, 0.0])
}

fn batches_and_explanations() -> Vec<Row> {
    let batch = |collection: &str, count| wire::SearchBatchRequest {
        collection: collection.to_owned(),
        searches: vec![wire::SearchRequest { collection: String::new(), ..question() }; count],
    };
    let method = "Search/SearchBatch";
    let explain = |search, id: &str| wire::ExplainRequest { search, id: id.to_owned() };
    let told = "Search/Explain";
    let nothing = wire::SearchRequest { vectors: HashMap::new(), ..question() };
    vec![
        row(method, &batch("", 1), WRONG, "the name of the collection is missing"),
        row(method, &batch("none", 1), Code::NotFound, "no collection `none`"),
        row(method, &batch("c", 0), WRONG, "the searches of the batch is missing"),
        row(method, &batch("c", 257), WRONG, "searches: at most 256 in one request, got 257"),
        row(told, &explain(None, "a"), WRONG, "the search to explain is missing"),
        row(told, &explain(Some(question()), ""), WRONG, "a document id must not be empty"),
        row(told, &explain(Some(nothing), "a"), WRONG, "a search needs a text or a vector"),
    ]
}

fn search(request: &wire::SearchRequest, code: Code, says: &str) -> Row {
    row("Search/Search", request, code, says)
}

fn questions() -> Vec<Row> {
    let sparse = |indices: &[u32], values: &[f32]| wire::SearchRequest {
        vectors: HashMap::new(),
        sparse_vectors: HashMap::from([(
            "v".to_owned(),
            wire::SparseVector { indices: indices.to_vec(), values: values.to_vec() },
        )]),
        ..question()
    };
    let both = wire::SearchRequest { vectors: question().vectors, ..sparse(&[1], &[1.0]) };
    let recommend = |recommend| wire::SearchRequest {
        vectors: HashMap::new(),
        recommend: Some(recommend),
        ..question()
    };
    let id = |id: &str| {
        let kind = Some(example::Kind::Id(id.to_owned()));
        wire::Example { kind, ..Default::default() }
    };
    let kind = Some(example::Kind::Vector(dense(&[1.0])));
    let vector = wire::Example { kind, ..Default::default() };
    let like = |positive| wire::Recommend { positive, ..Default::default() };
    let group = |path: &str, size| wire::SearchRequest {
        group_by: Some(wire::GroupBy { path: path.to_owned(), size: Some(size) }),
        ..question()
    };
    let mmr = |relevance, vector: Option<&str>| wire::SearchRequest {
        diversity: Some(wire::Diversity {
            relevance: Some(relevance),
            candidates: None,
            vector: vector.map(str::to_owned),
        }),
        ..question()
    };
    let nested = (0..4)
        .fold(Vec::new(), |prefetch, _| vec![wire::Prefetch { prefetch, ..Default::default() }]);
    let many = vec![wire::Prefetch { text: Some("cat".to_owned()), ..Default::default() }; 17];
    let offset = wire::SearchRequest { offset: 1, ..group("year", 1) };
    vec![
        search(&sparse(&[1, 1], &[1.0, 1.0]), WRONG, "`v`: index 1 stands twice"),
        search(&sparse(&[1], &[]), WRONG, "as many indices as values, got 1 and 0"),
        search(&sparse(&[1], &[1.0]), WRONG, "`v`: expected a dense vector, got a sparse one"),
        search(&both, WRONG, "vector `v` is given in two forms"),
        search(&recommend(like(vec![])), WRONG, "at least one positive example"),
        search(&recommend(like(vec![id("none")])), Code::NotFound, "no document `none`"),
        search(&recommend(like(vec![vector])), WRONG, "`v`: expected dimension 4, got 1"),
        search(
            &recommend(like(vec![wire::Example::default()])),
            WRONG,
            "the id, the vector, the text, the picture or the clip",
        ),
        search(
            &recommend(wire::Recommend { strategy: 9, ..like(vec![id("a")]) }),
            WRONG,
            "strategy 9 is not known",
        ),
        search(&group("", 1), WRONG, "the path that is grouped by is missing"),
        search(&group("year", 0), WRONG, "the size of groups is 0, expected 1 to 1000"),
        search(&offset, WRONG, "groups have no offset"),
        search(&mmr(1.5, None), WRONG, "relevance is 1.5, expected 0 to 1"),
        search(&mmr(0.5, Some("x")), WRONG, "the collection has no vector `x`; it has v"),
        search(
            &wire::SearchRequest { prefetch: nested, ..question() },
            WRONG,
            "searches are nested at most 4 deep",
        ),
        search(
            &wire::SearchRequest { prefetch: many, ..question() },
            WRONG,
            "the number of prefetches is 17, expected 0 to 16",
        ),
    ]
}

fn terms() -> Vec<Row> {
    let document = || parts("b", vec![part("text", &[1.0, 0.0, 0.0, 0.0])]);
    let upsert = |document, code, says: &str| {
        let collection = "c".to_owned();
        let document = Some(document);
        let message = wire::UpsertRequest { collection, document, ..Default::default() };
        row("Documents/Upsert", &message, code, says)
    };
    let expected = |sequence| wire::Document { expected_sequence: Some(sequence), ..document() };
    let expires = |time| wire::Document { expires_unix_ms: Some(time), ..document() };
    let key = |key: &str| wire::Document { idempotency_key: Some(key.to_owned()), ..document() };
    let sparse = wire::SparseVector { indices: vec![1], values: vec![1.0] };
    let mut other = part("text", &[]);
    other.vectors.clear();
    other.sparse_vectors.insert("v".to_owned(), sparse);
    let conflict = Code::FailedPrecondition;
    vec![
        upsert(expected(9), conflict, "`b` is expected at sequence 9, and is not stored"),
        upsert(expires(1), WRONG, "it is 1700000000000, and expires_unix_ms is 1"),
        upsert(key(""), WRONG, "an idempotency key has 1 to 256 bytes, got 0"),
        upsert(key(&"k".repeat(257)), WRONG, "an idempotency key has 1 to 256 bytes, got 257"),
        upsert(parts("b", vec![other]), WRONG, "`v`: expected a dense vector, got a sparse one"),
    ]
}

fn conditions() -> Vec<Row> {
    let count = |kind, says: &str| {
        let filter = Some(wire::Filter { kind: Some(kind) });
        let request = wire::CountRequest { collection: "c".to_owned(), filter };
        row("Documents/Count", &request, WRONG, says)
    };
    let on = |path: &str, condition| {
        let path = path.to_owned();
        Kind::Field(wire::FieldCondition { path, condition: Some(condition) })
    };
    let circle = |lat, meters| Condition::GeoRadius(wire::GeoRadius { lat, lon: 0.0, meters });
    let area =
        |south, north| Condition::GeoBox(wire::GeoBox { south, west: 0.0, north, east: 1.0 });
    let length =
        |bound| Condition::Length(wire::Range { greater: Some(bound), ..Default::default() });
    let exists = || wire::Filter { kind: Some(on("year", Condition::Exists(true))) };
    let nested = |filter| Kind::Nested(Box::new(wire::Nested { path: "year".to_owned(), filter }));
    let ids = wire::Filter { kind: Some(Kind::Ids(wire::DocumentIds::default())) };
    vec![
        count(on("year", circle(91.0, 1.0)), "a latitude is -90 to 90 degrees, got 91"),
        count(on("year", circle(1.0, -1.0)), "a radius is at least 0 metres, got -1"),
        count(on("year", circle(1.0, 1.0)), "`year` holds [Integer] .. a place"),
        count(on("year", area(2.0, 1.0)), "south of its north, got 2 and 1"),
        count(on("year", length(text("two"))), "bounded by numbers or times .. got `two`"),
        count(on("year", length(integer(2))), "`year` holds [Integer] .. the length of a list"),
        count(
            Kind::AtLeast(wire::AtLeast { count: 3, filters: vec![exists()] }),
            "at least 1 to 1 of 1 conditions hold, got 3",
        ),
        count(nested(None), "what the elements of `year` satisfy is missing"),
        count(nested(Some(Box::new(ids))), "the elements of `year` have no ids of documents"),
        count(nested(Some(Box::new(exists()))), "no document has a field `year.year`"),
    ]
}
