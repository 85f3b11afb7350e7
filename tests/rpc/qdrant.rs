//! The Qdrant protocol and `simile.v1` over the same collections. What its clients do by themselves is
//! in `clients`.

use std::collections::HashMap;

use simile_proto::qdrant::point_id::PointIdOptions;
use simile_proto::qdrant::points_client::PointsClient;
use simile_proto::qdrant::query::Variant;
use simile_proto::qdrant::vector::Vector as Kind;
use simile_proto::qdrant::vectors::VectorsOptions;
use simile_proto::qdrant::{self as wire, vector_input, vectors_config};
use simile_proto::v1::{self as v1};
use tonic::Code;
use tonic::transport::Channel;

use super::messages::{ask, collection, hit_ids, part, parts, text_document, texts};
use super::server::TestServer;

const MODEL: &str = "sentence-transformers/all-MiniLM-L6-v2";

impl TestServer {
    fn points(&self) -> PointsClient<Channel> {
        PointsClient::new(self.channel())
    }
}

fn document(text: &str, model: &str) -> wire::Document {
    wire::Document { text: text.to_owned(), model: model.to_owned(), options: HashMap::new() }
}

fn upsert(collection: &str, id: &str, name: &str, vector: Kind) -> wire::UpsertPoints {
    let id = wire::PointId { point_id_options: Some(PointIdOptions::Uuid(id.to_owned())) };
    let vector = wire::Vector { vector: Some(vector), ..Default::default() };
    let named = wire::NamedVectors { vectors: HashMap::from([(name.to_owned(), vector)]) };
    let vectors = wire::Vectors { vectors_options: Some(VectorsOptions::Vectors(named)) };
    wire::UpsertPoints {
        collection_name: collection.to_owned(),
        points: vec![wire::PointStruct {
            id: Some(id),
            vectors: Some(vectors),
            ..Default::default()
        }],
        ..Default::default()
    }
}

fn query(collection: &str, using: &str, input: vector_input::Variant) -> wire::QueryPoints {
    let input = wire::VectorInput { variant: Some(input) };
    wire::QueryPoints {
        collection_name: collection.to_owned(),
        using: Some(using.to_owned()),
        query: Some(wire::Query { variant: Some(Variant::Nearest(input)) }),
        ..Default::default()
    }
}

fn ids(answer: &wire::QueryResponse) -> Vec<String> {
    let id = |point: &wire::ScoredPoint| match point.id.as_ref()?.point_id_options.as_ref()? {
        PointIdOptions::Num(number) => Some(number.to_string()),
        PointIdOptions::Uuid(text) => Some(text.clone()),
    };
    answer.result.iter().filter_map(id).collect()
}

#[test]
fn points_and_documents_are_the_same_whatever_protocol_stores_them() {
    let server = TestServer::without_model(|_| {});
    server.create(collection("c", 2));
    server.store("c", vec![parts("notes/a.md", vec![part("a cat", &[1.0, 0.0])])]);
    server.store("c", vec![parts("7", vec![part("a dog", &[0.9, 0.1])])]);
    let dense = Kind::Dense(wire::DenseVector { data: vec![0.8, 0.2] });
    server.ask(server.points().upsert(upsert("c", "notes/b.md", "v", dense))).unwrap();
    let near = vector_input::Variant::Dense(wire::DenseVector { data: vec![1.0, 0.0] });
    let answer = server.ask(server.points().query(query("c", "v", near))).unwrap();
    assert_eq!(ids(&answer), ["notes/a.md", "7", "notes/b.md"]);
    let number = PointIdOptions::Num(7);
    assert_eq!(answer.result[1].id.as_ref().unwrap().point_id_options, Some(number));
    let get = v1::GetDocumentsRequest {
        collection: "c".to_owned(),
        ids: vec!["notes/b.md".to_owned()],
        with_vectors: true,
    };
    let stored = server.ask(server.documents().get(get)).unwrap().documents;
    assert_eq!(stored[0].parts[0].vectors["v"].components.len(), 2);
}

#[test]
fn a_text_goes_to_the_embedder_that_the_collection_is_bound_to_and_to_no_other() {
    let server = TestServer::shared();
    server.create(texts("bound"));
    server.store("bound", vec![text_document("ham", "I like ham sandwiches")]);
    let cat = || document("The cat chases the mouse", MODEL);
    let point = upsert("bound", "cat", "text", Kind::Document(cat()));
    let usage = server.ask(server.points().upsert(point)).unwrap().usage;
    assert!(usage.is_none(), "the collection embedded it, not the request");
    let kitten = vector_input::Variant::Document(document("The kitten hunts rodents", ""));
    let answer = server.ask(server.points().query(query("bound", "text", kitten))).unwrap();
    assert_eq!(ids(&answer), ["cat", "ham"]);
    assert!((answer.result[0].score - 0.622).abs() < 0.005, "{:?}", answer.result);
    // It is a text for words, too.
    let mut by_words = ask("bound", "chases");
    by_words.mode = v1::Mode::Lexical.into();
    assert_eq!(hit_ids(&server.search(by_words)), ["cat"]);
    let other = Kind::Document(document("cats", "hashed-words"));
    let refused = server.ask(server.points().upsert(upsert("bound", "x", "text", other)));
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("`all-minilm-l6-v2`, and the request names `hashed-words`"));
    let given = Kind::Dense(wire::DenseVector { data: vec![1.0; 384] });
    let refused = server.ask(server.points().upsert(upsert("bound", "x", "text", given)));
    assert!(refused.unwrap_err().message().contains("is made by its embedder"));
}

#[test]
fn pictures_are_embedded_for_points_and_questions_by_the_model_that_reads_them() {
    use super::pictures::{create, file_of, server};
    use base64::Engine as _;
    use wire::value::Kind as Written;

    let server = server();
    let base64 = |bytes: Vec<u8>| base64::engine::general_purpose::STANDARD.encode(bytes);
    let value = |text: String| Some(wire::Value { kind: Some(Written::StringValue(text)) });
    let shape = |number: usize| base64(file_of(&format!("png-shapes-{number}")));
    let image = |image: String, model: &str| wire::Image {
        image: value(image),
        model: model.to_owned(),
        options: HashMap::new(),
    };
    let object = |picture: String, model: &str| wire::InferenceObject {
        object: Some(wire::Value {
            kind: Some(Written::StructValue(wire::Struct {
                fields: HashMap::from([("image".to_owned(), value(picture).unwrap())]),
            })),
        }),
        model: model.to_owned(),
        options: HashMap::new(),
    };
    // One collection takes vectors, which the request has made; the other makes them itself.
    server.create(collection("given", 48));
    create(&server, "bound", &[("v", "colours")], false);
    for name in ["given", "bound"] {
        let model = if name == "given" { "some-publisher/Colours" } else { "" };
        for number in 1..=5 {
            let picture = match number % 2 {
                0 => Kind::Object(object(shape(number), model)),
                _ => Kind::Image(image(format!("data:image/png;base64,{}", shape(number)), model)),
            };
            let point = upsert(name, &format!("shapes-{number}"), "v", picture);
            server.ask(server.points().upsert(point)).unwrap();
        }
        for asked in [
            vector_input::Variant::Image(image(shape(4), model)),
            vector_input::Variant::Object(object(shape(4), model)),
        ] {
            let answer = server.ask(server.points().query(query(name, "v", asked))).unwrap();
            assert_eq!(ids(&answer)[0], "shapes-4", "{name}");
            assert!(answer.result[0].score > 0.9999, "{name}: {:?}", answer.result[0]);
            assert!(answer.result[1].score < 0.9999, "{name}: {:?}", answer.result[1]);
        }
    }
    // What the collection embeds itself may be an example, too.
    let example = vector_input::Variant::Image(image(shape(2), ""));
    let positive = vec![wire::VectorInput { variant: Some(example) }];
    let recommend = wire::RecommendInput { positive, ..Default::default() };
    let recommend = wire::QueryPoints {
        query: Some(wire::Query { variant: Some(Variant::Recommend(recommend)) }),
        ..query("bound", "v", vector_input::Variant::Id(wire::PointId::default()))
    };
    let answer = server.ask(server.points().query(recommend)).unwrap();
    assert_eq!(ids(&answer)[0], "shapes-2");
    let other = Kind::Image(image(shape(1), "all-minilm-l6-v2"));
    let refused = server.ask(server.points().upsert(upsert("given", "x", "v", other)));
    assert!(refused.unwrap_err().message().contains("reads text, got image"));
}

#[test]
fn what_is_kept_of_a_collection_outlives_the_server() {
    let mut server = TestServer::without_model(|_| {});
    let params = wire::VectorParams {
        size: 2,
        distance: wire::Distance::Euclid.into(),
        on_disk: Some(true),
        ..Default::default()
    };
    let config = vectors_config::Config::Params(params);
    let create = wire::CreateCollection {
        collection_name: "kept".to_owned(),
        vectors_config: Some(wire::VectorsConfig { config: Some(config.clone()) }),
        hnsw_config: Some(wire::HnswConfigDiff { m: Some(0), ..Default::default() }),
        metadata: HashMap::from([("owner".to_owned(), wire::Value::default())]),
        ..Default::default()
    };
    let collections =
        |server: &TestServer| wire::collections_client::CollectionsClient::new(server.channel());
    server.ask(collections(&server).create(create)).unwrap();
    let index = wire::CreateFieldIndexCollection {
        collection_name: "kept".to_owned(),
        field_name: "year".to_owned(),
        field_type: Some(wire::FieldType::Integer.into()),
        ..Default::default()
    };
    server.ask(server.points().create_field_index(index)).unwrap();
    server.restart();
    let get = wire::GetCollectionInfoRequest { collection_name: "kept".to_owned() };
    let info = server.ask(collections(&server).get(get)).unwrap().result.unwrap();
    assert_eq!(info.payload_schema["year"].data_type(), wire::PayloadSchemaType::Integer);
    let told = info.config.unwrap();
    // The hint is told again; a graph without links is no graph, so it has some.
    assert_eq!(told.hnsw_config.unwrap().m, Some(0));
    assert!(told.metadata.contains_key("owner"));
    assert_eq!(told.params.unwrap().vectors_config.unwrap().config, Some(config));
    let get = v1::GetCollectionRequest { name: "kept".to_owned() };
    let own = server.ask(server.collections().get(get)).unwrap();
    assert_eq!((own.vectors["default"].hnsw_m, own.vectors["default"].dimension), (16, 2));
}
