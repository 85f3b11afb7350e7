//! The client of Qdrant for Rust.

use qdrant_client::qdrant::{
    Condition, CountPointsBuilder, CreateCollectionBuilder, DeletePointsBuilder,
    DeleteSnapshotRequestBuilder, Distance, Filter, GetPointsBuilder, PointStruct, PointsIdsList,
    QueryPointsBuilder, ScrollPointsBuilder, SetPayloadPointsBuilder, UpsertPointsBuilder,
    VectorParamsBuilder,
};
use qdrant_client::{Payload, Qdrant};
use serde_json::json;
use simile::server::Access;

use super::super::server::TestServer;

fn payload(json: serde_json::Value) -> Payload {
    json.try_into().unwrap()
}

async fn use_all(client: &Qdrant) {
    assert!(client.health_check().await.unwrap().title.starts_with("simile"));
    let vectors = VectorParamsBuilder::new(3, Distance::Cosine);
    let create = CreateCollectionBuilder::new("rust").vectors_config(vectors);
    assert!(client.create_collection(create.clone()).await.unwrap().result);
    let taken = client.create_collection(create).await.unwrap_err().to_string();
    assert!(taken.contains("Collection `rust` already exists!"), "{taken}");
    let info = client.collection_info("rust").await.unwrap().result.unwrap();
    assert_eq!(info.points_count, Some(0));
    let points = vec![
        PointStruct::new(1, vec![1.0, 0.0, 0.0], payload(json!({"kind": "cat", "n": 1}))),
        PointStruct::new(2, vec![0.9, 0.1, 0.0], payload(json!({"kind": "cat", "n": 2}))),
        PointStruct::new(3, vec![0.0, 1.0, 0.0], payload(json!({"kind": "dog", "n": 3}))),
    ];
    client.upsert_points(UpsertPointsBuilder::new("rust", points).wait(true)).await.unwrap();
    let query = QueryPointsBuilder::new("rust").query(vec![1.0, 0.0, 0.0]).with_payload(true);
    let hits = client.query(query.clone().limit(2)).await.unwrap().result;
    assert_eq!(hits.len(), 2);
    assert!(hits[0].score > 0.999 && hits[0].payload["n"].as_integer() == Some(1), "{hits:?}");
    let dogs = Filter::must([Condition::matches("kind", "dog".to_owned())]);
    let hits = client.query(query.filter(dogs.clone())).await.unwrap().result;
    assert_eq!(hits.len(), 1);
    let count = CountPointsBuilder::new("rust").filter(dogs.clone()).exact(true);
    assert_eq!(client.count(count).await.unwrap().result.unwrap().count, 1);
    let first = PointsIdsList { ids: vec![1.into()] };
    let set = SetPayloadPointsBuilder::new("rust", payload(json!({"seen": true})));
    client.set_payload(set.points_selector(first).wait(true)).await.unwrap();
    let get = GetPointsBuilder::new("rust", vec![1.into()]).with_payload(true).with_vectors(true);
    let point = client.get_points(get).await.unwrap().result.remove(0);
    assert_eq!(point.payload["seen"].as_bool(), Some(true));
    let mut seen = 0;
    let mut offset = None;
    loop {
        let mut scroll = ScrollPointsBuilder::new("rust").limit(2);
        if let Some(offset) = offset {
            scroll = scroll.offset(offset);
        }
        let page = client.scroll(scroll).await.unwrap();
        seen += page.result.len();
        offset = page.next_page_offset;
        if offset.is_none() {
            break;
        }
    }
    assert_eq!(seen, 3);
    let taken = client.create_snapshot("rust").await.unwrap().snapshot_description.unwrap();
    assert!(taken.size > 0 && taken.creation_time.unwrap().seconds == 1_700_000_000, "{taken:?}");
    let list = client.list_snapshots("rust").await.unwrap().snapshot_descriptions;
    assert_eq!(list, std::slice::from_ref(&taken));
    let delete = || DeleteSnapshotRequestBuilder::new("rust", &taken.name);
    client.delete_snapshot(delete()).await.unwrap();
    let gone = client.delete_snapshot(delete()).await.unwrap_err().to_string();
    assert!(gone.contains(&taken.name), "{gone}");
    assert!(client.list_snapshots("rust").await.unwrap().snapshot_descriptions.is_empty());
    let delete = DeletePointsBuilder::new("rust").points(dogs).wait(true);
    client.delete_points(delete).await.unwrap();
    let count = client.count(CountPointsBuilder::new("rust")).await.unwrap();
    assert_eq!(count.result.unwrap().count, 2);
    assert!(client.delete_collection("rust").await.unwrap().result);
    assert!(!client.collection_exists("rust").await.unwrap());
}

#[test]
fn the_client_for_rust_does_its_usual_work_with_a_key() {
    const KEY: &str = "a key of this test";
    let server = TestServer::without_model(|options| options.access = Access::Own(KEY.to_owned()));
    let url = format!("http://{}", server.address());
    let client = Qdrant::from_url(&url).api_key(KEY).build().unwrap();
    server.wait(use_all(&client));
    let stranger = Qdrant::from_url(&url).skip_compatibility_check().build().unwrap();
    let refused = server.wait(stranger.list_collections()).unwrap_err().to_string();
    assert!(refused.contains("for the command that started it"), "{refused}");
}
