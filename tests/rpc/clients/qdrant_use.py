"""The normal use of qdrant-client over gRPC, asked of a server of simile: HOST PORT VERSION."""

import base64
import math
import struct
import sys
import uuid
import zlib

import grpc
from importlib.metadata import version
from qdrant_client import QdrantClient, models
from qdrant_client import grpc as qdrant_grpc

HOST, PORT, EXPECTED = sys.argv[1], int(sys.argv[2]), sys.argv[3]
assert version("qdrant-client") == EXPECTED, version("qdrant-client")
client = QdrantClient(
    host=HOST, grpc_port=PORT, prefer_grpc=True, check_compatibility=False, cloud_inference=True
)


def refused(code, words, call):
    try:
        call()
    except grpc.RpcError as error:
        assert error.code() == code, error
        assert words in error.details(), error.details()
    else:
        raise AssertionError(f"not refused: {words}")


def ids(points):
    return [point.id for point in points]


def close(a, b):
    return math.isclose(a, b, rel_tol=1e-5, abs_tol=1e-6)


# What is there.
assert client.info().version.startswith("1."), client.info()
assert not client.collection_exists("films")
assert client.create_collection(
    "films",
    vectors_config=models.VectorParams(size=4, distance=models.Distance.COSINE, on_disk=True),
    hnsw_config=models.HnswConfigDiff(m=8, ef_construct=64, full_scan_threshold=5000),
    optimizers_config=models.OptimizersConfigDiff(indexing_threshold=12345),
)
assert client.collection_exists("films")
assert "films" in [one.name for one in client.get_collections().collections]
refused(
    grpc.StatusCode.ALREADY_EXISTS,
    "Collection `films` already exists!",
    lambda: client.create_collection(
        "films", vectors_config=models.VectorParams(size=4, distance=models.Distance.DOT)
    ),
)
info = client.get_collection("films")
assert info.status == models.CollectionStatus.GREEN, info
assert info.points_count == 0
assert info.config.hnsw_config.m == 8 and info.config.hnsw_config.ef_construct == 64
assert info.config.hnsw_config.full_scan_threshold == 5000
assert info.config.optimizer_config.indexing_threshold == 12345
assert info.config.wal_config.wal_capacity_mb > 0
assert info.config.params.vectors.size == 4 and info.config.params.vectors.on_disk is True
assert info.config.params.vectors.distance == models.Distance.COSINE
assert client.update_collection(
    "films", optimizers_config=models.OptimizersConfigDiff(indexing_threshold=777)
)
assert client.get_collection("films").config.optimizer_config.indexing_threshold == 777
refused(
    grpc.StatusCode.NOT_FOUND, "Collection `none` doesn't exist!", lambda: client.count("none")
)

# A filter on an empty collection means nothing, and is no error.
year = lambda least: models.Filter(
    must=[models.FieldCondition(key="year", range=models.Range(gte=least))]
)
assert client.count("films", count_filter=year(2000)).count == 0

# Points.
UUID = str(uuid.UUID(int=7))
points = [
    models.PointStruct(
        id=1, vector=[1, 0, 0, 0],
        payload={"title": "The cat", "year": 1999, "tags": ["a", "b"], "rating": 7.5,
                 "seen": True, "place": {"lat": 52.5, "lon": 13.4}, "at": "2020-05-01T10:00:00Z",
                 "cast": [{"name": "Ann", "age": 30}, {"name": "Bo", "age": 50}]},
    ),
    models.PointStruct(
        id=2, vector=[0.9, 0.1, 0, 0],
        payload={"title": "The kitten", "year": 2005, "tags": ["b"], "rating": 6.0, "seen": False,
                 "nothing": None, "at": "2021-05-01T10:00:00Z"},
    ),
    models.PointStruct(id=3, vector=[0, 1, 0, 0], payload={"title": "A dog", "year": 2010}),
    models.PointStruct(id=UUID, vector=[0, 0, 1, 0], payload={"title": "A bird", "tags": []}),
]
done = client.upsert("films", points=points, wait=True)
assert done.status == models.UpdateStatus.COMPLETED, done
assert client.upsert("films", points=points[:1], wait=False).status in (
    models.UpdateStatus.ACKNOWLEDGED, models.UpdateStatus.COMPLETED,
)
assert client.count("films", exact=True).count == 4
found = client.retrieve("films", ids=[1, UUID, 99], with_vectors=True)
assert sorted(map(str, ids(found))) == sorted(["1", UUID]), found
first = next(point for point in found if point.id == 1)
assert first.payload["cast"][1] == {"name": "Bo", "age": 50} and first.payload["year"] == 1999
assert first.vector == [1.0, 0.0, 0.0, 0.0], first.vector
refused(
    grpc.StatusCode.INVALID_ARGUMENT, "expected dimension 4, got 2",
    lambda: client.upsert("films", points=[models.PointStruct(id=9, vector=[1, 2])]),
)

# Questions.
hits = client.query_points("films", query=[1, 0, 0, 0], limit=2, with_payload=True).points
assert ids(hits) == [1, 2] and close(hits[0].score, 1.0), hits
assert hits[0].payload["title"] == "The cat" and hits[0].vector is None
hits = client.query_points("films", query=[1, 0, 0, 0], limit=2, offset=1, with_vectors=True).points
assert hits[0].id == 2 and len(hits[0].vector) == 4
hits = client.query_points("films", query=[1, 0, 0, 0], score_threshold=0.5, with_payload=False)
assert ids(hits.points) == [1, 2] and not hits.points[0].payload
hits = client.query_points(
    "films", query=[1, 0, 0, 0], with_payload=["title"],
    search_params=models.SearchParams(hnsw_ef=64, exact=True),
).points
assert hits[0].payload == {"title": "The cat"}
# Like a point, which is not among the hits.
assert ids(client.query_points("films", query=1, limit=1).points) == [2]
hits = client.query_points(
    "films",
    query=models.RecommendQuery(
        recommend=models.RecommendInput(
            positive=[1, [0.9, 0.1, 0, 0]], negative=[3],
            strategy=models.RecommendStrategy.BEST_SCORE,
        )
    ),
    limit=3,
).points
assert hits[0].id == 2 and 3 not in ids(hits), hits

match = lambda key, value: models.FieldCondition(key=key, match=models.MatchValue(value=value))
filters = [
    (models.Filter(must=[match("tags", "a")]), {"1"}),
    (models.Filter(must=[match("year", 2005)]), {"2"}),
    (models.Filter(must=[match("seen", True)]), {"1"}),
    (models.Filter(must_not=[match("tags", "b")]), {"3", UUID}),
    (models.Filter(should=[match("year", 1999), match("year", 2010)]), {"1", "3"}),
    (models.Filter(must=[match("unknown", "x")]), set()),
    (models.Filter(must_not=[match("unknown", "x")]), {"1", "2", "3", UUID}),
    (year(2005), {"2", "3"}),
    (models.Filter(must=[models.FieldCondition(key="year", range=models.Range(gt=1999, lt=2010))]),
     {"2"}),
    (models.Filter(must=[models.FieldCondition(
        key="at", range=models.DatetimeRange(gte="2021-01-01T00:00:00Z"))]), {"2"}),
    (models.Filter(must=[models.FieldCondition(
        key="tags", match=models.MatchAny(any=["a", "z"]))]), {"1"}),
    (models.Filter(must=[models.FieldCondition(
        key="year", match=models.MatchExcept(**{"except": [1999]}))]), {"2", "3"}),
    (models.Filter(must=[models.FieldCondition(
        key="title", match=models.MatchText(text="kitten the"))]), {"2"}),
    (models.Filter(must=[models.IsEmptyCondition(is_empty=models.PayloadField(key="tags"))]),
     {"3", UUID}),
    (models.Filter(must=[models.IsNullCondition(is_null=models.PayloadField(key="nothing"))]),
     {"2"}),
    (models.Filter(must=[models.HasIdCondition(has_id=[1, UUID])]), {"1", UUID}),
    (models.Filter(must=[models.NestedCondition(nested=models.Nested(
        key="cast", filter=models.Filter(must=[match("name", "Ann"), match("age", 50)])))]), set()),
    (models.Filter(must=[models.NestedCondition(nested=models.Nested(
        key="cast", filter=models.Filter(must=[match("name", "Bo"), match("age", 50)])))]), {"1"}),
    (models.Filter(must=[match("cast[].name", "Ann")]), {"1"}),
    (models.Filter(must=[models.FieldCondition(
        key="tags", values_count=models.ValuesCount(gte=1))]), {"1", "2"}),
    (models.Filter(must=[models.FieldCondition(
        key="tags", values_count=models.ValuesCount(lt=1))]), {"3", UUID}),
    (models.Filter(must=[models.FieldCondition(
        key="year", values_count=models.ValuesCount(gte=1, lte=1))]), {"1", "2", "3"}),
    (models.Filter(must=[models.FieldCondition(key="place", geo_radius=models.GeoRadius(
        center=models.GeoPoint(lat=52.52, lon=13.41), radius=10_000))]), {"1"}),
    (models.Filter(must=[models.FieldCondition(key="place", geo_bounding_box=models.GeoBoundingBox(
        top_left=models.GeoPoint(lat=53, lon=13), bottom_right=models.GeoPoint(lat=52, lon=14)))]),
     {"1"}),
    (models.Filter(min_should=models.MinShould(
        conditions=[match("year", 1999), match("tags", "b"), match("seen", True)], min_count=2)),
     {"1"}),
]
for given, expected in filters:
    scrolled, after = client.scroll("films", scroll_filter=given, limit=100, with_payload=False)
    assert {str(point.id) for point in scrolled} == expected, (given, ids(scrolled))
    assert after is None
    assert client.count("films", count_filter=given).count == len(expected), given
    hits = client.query_points("films", query=[1, 1, 1, 1], query_filter=given).points
    assert {str(hit.id) for hit in hits} == expected, (given, hits)

# Pages: the offset is the first of the next one.
seen, offset = [], None
while True:
    page, offset = client.scroll("films", limit=1, offset=offset)
    seen += ids(page)
    assert len(page) == 1
    if offset is None:
        break
assert len(seen) == 4 and len(set(map(str, seen))) == 4, seen
ordered, _ = client.scroll("films", order_by=models.OrderBy(key="year", direction="desc"))
assert ids(ordered) == [3, 2, 1], ordered
hits = client.query_points("films", query=models.OrderByQuery(order_by="year"), limit=2).points
assert ids(hits) == [1, 2]
hits = client.query_points("films", query=models.SampleQuery(sample=models.Sample.RANDOM)).points
assert len(hits) == 4
assert len(client.query_points("films").points) == 4

# Many questions at once; without being asked for, no payload.
batch = client.query_batch_points(
    "films",
    requests=[
        models.QueryRequest(query=[1, 0, 0, 0], limit=1),
        models.QueryRequest(query=[0, 1, 0, 0], limit=1, with_payload=True),
    ],
)
assert [one.points[0].id for one in batch] == [1, 3]
assert not batch[0].points[0].payload and batch[1].points[0].payload["title"] == "A dog"
groups = client.query_points_groups(
    "films", group_by="tags", query=[1, 0, 0, 0], limit=5, group_size=1, with_payload=True
).groups
assert {(group.id, group.hits[0].id) for group in groups} == {("a", 1), ("b", 1)}, groups
facet = client.facet("films", key="tags")
assert [(hit.value, hit.count) for hit in facet.hits] == [("b", 2), ("a", 1)], facet
assert client.facet("films", key="unknown").hits == []

# Maximal marginal relevance, steps and fusion.
if hasattr(models, "NearestQuery"):
    hits = client.query_points(
        "films",
        query=models.NearestQuery(
            nearest=[1, 0, 0, 0], mmr=models.Mmr(diversity=0.9, candidates_limit=10)
        ),
        limit=2,
    ).points
    assert hits[0].id == 1 and hits[1].id != 2, hits
hits = client.query_points(
    "films",
    prefetch=[
        models.Prefetch(query=[1, 0, 0, 0], limit=3),
        models.Prefetch(query=[0, 1, 0, 0], limit=2, filter=year(2010)),
    ],
    query=models.FusionQuery(fusion=models.Fusion.RRF),
    limit=3,
).points
# 3 is the third of one and the first of the other.
assert hits[0].id == 3 and close(hits[0].score, 1 / 4 + 1 / 2), hits
hits = client.query_points(
    "films",
    prefetch=[models.Prefetch(query=[1, 0, 0, 0], limit=3), models.Prefetch(query=[0, 1, 0, 0])],
    query=models.FusionQuery(fusion=models.Fusion.DBSF),
).points
assert len(hits) == 4
hits = client.query_points(
    "films", prefetch=models.Prefetch(query=[1, 0, 0, 0], limit=2), query=[0, 1, 0, 0]
).points
assert ids(hits) == [2, 1], hits

# Indexes of fields are kept and told.
done = client.create_payload_index("films", "year", models.PayloadSchemaType.INTEGER, wait=True)
assert done.status == models.UpdateStatus.COMPLETED
client.create_payload_index("films", "title", models.TextIndexParams(
    type="text", tokenizer=models.TokenizerType.WORD, min_token_len=2, lowercase=True))
schema = client.get_collection("films").payload_schema
assert schema["year"].data_type == models.PayloadSchemaType.INTEGER, schema
assert schema["title"].data_type == models.PayloadSchemaType.TEXT, schema
client.delete_payload_index("films", "year")
assert "year" not in client.get_collection("films").payload_schema

# Payloads.
client.set_payload("films", payload={"year": 2000, "new": "x"}, points=[1], wait=True)
assert client.retrieve("films", ids=[1])[0].payload["new"] == "x"
assert client.retrieve("films", ids=[1])[0].payload["title"] == "The cat"
client.set_payload("films", payload={"inner": 5}, key="place", points=[1])
assert client.retrieve("films", ids=[1])[0].payload["place"]["inner"] == 5
client.delete_payload("films", keys=["new", "place.inner"], points=[1])
assert "new" not in client.retrieve("films", ids=[1])[0].payload
client.overwrite_payload("films", payload={"only": 1}, points=models.Filter(
    must=[match("year", 2010)]))
assert client.retrieve("films", ids=[3])[0].payload == {"only": 1}
client.clear_payload("films", points_selector=[3])
assert client.retrieve("films", ids=[3])[0].payload == {}

# Several changes in one request.
results = client.batch_update_points("films", update_operations=[
    models.UpsertOperation(upsert=models.PointsList(points=[
        models.PointStruct(id=10, vector=[0, 0, 0, 1], payload={"n": 1})])),
    models.SetPayloadOperation(set_payload=models.SetPayload(payload={"n": 2}, points=[10])),
    models.UpdateVectorsOperation(update_vectors=models.UpdateVectors(points=[
        models.PointVectors(id=10, vector=[0, 0, 1, 0])])),
    models.DeleteOperation(delete=models.PointIdsList(points=[2])),
], wait=True)
assert [result.status for result in results] == [models.UpdateStatus.COMPLETED] * 4
changed = client.retrieve("films", ids=[10, 2], with_vectors=True)
assert len(changed) == 1 and changed[0].payload == {"n": 2}
assert changed[0].vector == [0.0, 0.0, 1.0, 0.0]

# Another name.
client.update_collection_aliases(change_aliases_operations=[models.CreateAliasOperation(
    create_alias=models.CreateAlias(collection_name="films", alias_name="movies"))])
assert [one.alias_name for one in client.get_collection_aliases("films").aliases] == ["movies"]
assert client.count("movies").count == client.count("films").count
client.update_collection_aliases(change_aliases_operations=[
    models.RenameAliasOperation(
        rename_alias=models.RenameAlias(old_alias_name="movies", new_alias_name="shows")),
    models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name="shows")),
])
assert client.get_aliases().aliases == []

# Deleting.
done = client.delete("films", points_selector=[10], wait=True)
assert done.status == models.UpdateStatus.COMPLETED
client.delete("films", points_selector=models.FilterSelector(filter=models.Filter(
    must=[match("tags", "a")])))
assert client.count("films").count == 2
client.delete("films", points_selector=models.FilterSelector(filter=models.Filter(
    must=[match("unknown", "a")])))
assert client.count("films").count == 2

# A point is stored only if it is new, or only if it is there.
insert, update = models.UpdateMode.INSERT_ONLY, models.UpdateMode.UPDATE_ONLY
one = lambda number, value: [
    models.PointStruct(id=number, vector=[1, 1, 0, 0], payload={"v": value})
]
client.upsert("films", points=one(20, 1), update_mode=update)
assert client.retrieve("films", ids=[20]) == []
client.upsert("films", points=one(20, 2), update_mode=insert)
client.upsert("films", points=one(20, 3), update_mode=insert)
assert client.retrieve("films", ids=[20])[0].payload == {"v": 2}
client.upsert("films", points=one(20, 4), update_mode=update)
assert client.retrieve("films", ids=[20])[0].payload == {"v": 4}

# The older form of searches, which benchmarks call by itself.
search = qdrant_grpc.SearchPoints(
    collection_name="films", vector=[1, 1, 0, 0], limit=1,
    with_payload=qdrant_grpc.WithPayloadSelector(enable=True),
)
answer = client.grpc_points.Search(search)
assert answer.result[0].id.num == 20 and answer.result[0].payload["v"].integer_value == 4
answer = client.grpc_points.SearchBatch(qdrant_grpc.SearchBatchPoints(
    collection_name="films", search_points=[search, search]))
assert [one.result[0].id.num for one in answer.result] == [20, 20]
answer = client.grpc_points.SearchGroups(qdrant_grpc.SearchPointGroups(
    collection_name="films", vector=[1, 1, 0, 0], limit=1, group_by="v", group_size=1))
assert answer.result.groups[0].id.unsigned_value == 4

# Distances ascend.
client.create_collection("flat", vectors_config=models.VectorParams(
    size=2, distance=models.Distance.EUCLID))
client.upsert("flat", points=[
    models.PointStruct(id=1, vector=[0, 0]), models.PointStruct(id=2, vector=[3, 4]),
    models.PointStruct(id=3, vector=[6, 8])])
hits = client.query_points("flat", query=[0, 0]).points
assert ids(hits) == [1, 2, 3]
assert [round(hit.score, 4) for hit in hits] == [0, 5, 10], hits
assert ids(client.query_points("flat", query=[0, 0], score_threshold=6).points) == [1, 2]

# Named vectors, sparse ones among them.
client.create_collection(
    "named",
    vectors_config={
        "image": models.VectorParams(size=2, distance=models.Distance.DOT),
        "text": models.VectorParams(size=3, distance=models.Distance.COSINE),
    },
    sparse_vectors_config={"words": models.SparseVectorParams()},
)
params = client.get_collection("named").config.params
assert params.vectors["image"].size == 2 and "words" in params.sparse_vectors
client.upsert("named", points=[
    models.PointStruct(id=1, payload={"k": 1}, vector={
        "image": [1, 2], "words": models.SparseVector(indices=[3, 9], values=[1.0, 0.5])}),
    models.PointStruct(id=2, payload={"k": 2}, vector={
        "image": [2, 1], "text": [0, 1, 0], "words": models.SparseVector(indices=[9], values=[2])}),
])
assert client.query_points("named", query=[1, 0], using="image").points[0].id == 2
assert ids(client.query_points("named", query=[0, 1, 0], using="text").points) == [2]
sparse = models.SparseVector(indices=[9], values=[1.0])
hits = client.query_points("named", query=sparse, using="words", with_vectors=["words"]).points
assert ids(hits) == [2, 1] and hits[0].vector["words"].indices == [9], hits
client.update_vectors("named", points=[models.PointVectors(id=1, vector={"text": [1, 0, 0]})])
stored = client.retrieve("named", ids=[1], with_vectors=True)[0]
assert stored.vector["text"] == [1.0, 0.0, 0.0] and stored.vector["image"] == [1.0, 2.0]
assert stored.payload == {"k": 1}
client.delete_vectors("named", vectors=["image"], points=[1])
assert set(client.retrieve("named", ids=[1], with_vectors=True)[0].vector) == {"text", "words"}
hits = client.query_points(
    "named",
    prefetch=[models.Prefetch(query=[1, 0, 0], using="text"),
              models.Prefetch(query=sparse, using="words")],
    query=models.FusionQuery(fusion=models.Fusion.RRF),
).points
assert set(ids(hits)) == {1, 2}

# Vectors of several vectors, compared by the best match of each.
client.create_collection("late", vectors_config=models.VectorParams(
    size=2, distance=models.Distance.DOT, multivector_config=models.MultiVectorConfig(
        comparator=models.MultiVectorComparator.MAX_SIM)))
params = client.get_collection("late").config.params.vectors
assert params.multivector_config.comparator == models.MultiVectorComparator.MAX_SIM
client.upsert("late", points=[
    models.PointStruct(id=1, vector=[[1, 0], [0, 1]]), models.PointStruct(id=2, vector=[[1, 0]])])
hits = client.query_points("late", query=[[1, 0], [0, 2]], with_vectors=True).points
assert ids(hits) == [1, 2] and [hit.score for hit in hits] == [3.0, 1.0], hits
assert hits[0].vector == [[1.0, 0.0], [0.0, 1.0]]
client.delete_collection("late")

# Uploading in batches.
client.create_collection("many", vectors_config=models.VectorParams(
    size=8, distance=models.Distance.COSINE))
client.upload_points("many", points=(
    models.PointStruct(id=i, vector=[math.sin(i * (j + 1)) for j in range(8)], payload={"i": i})
    for i in range(1, 501)), batch_size=100, wait=True)
assert client.count("many").count == 500
all_points, after = client.scroll("many", limit=10_000, with_payload=False)
assert len(all_points) == 500 and after is None
probe = [math.sin(250 * (j + 1)) for j in range(8)]
assert client.query_points("many", query=probe, limit=1).points[0].id == 250

# Texts are embedded by the server.
MODEL = "sentence-transformers/all-MiniLM-L6-v2"
document = lambda text: models.Document(text=text, model=MODEL)
client.create_collection("texts", vectors_config=models.VectorParams(
    size=384, distance=models.Distance.COSINE))
client.upsert("texts", points=[
    models.PointStruct(id=1, vector=document("The cat chases the mouse")),
    models.PointStruct(id=2, vector=document("I like ham sandwiches")),
])
hits = client.query_points("texts", query=document("The kitten hunts rodents")).points
assert ids(hits) == [1, 2] and abs(hits[0].score - 0.622) < 0.02, hits

# So are pictures, alone and as an object.
def png(colour_of):
    size = 48
    rows = b"".join(
        b"\0" + bytes(part for x in range(size) for part in colour_of(x, y)) for y in range(size))
    chunk = lambda name, data: struct.pack(">I", len(data)) + name + data + struct.pack(
        ">I", zlib.crc32(name + data))
    head = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    file = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(
        b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return base64.b64encode(file).decode()


SEES = "simile-autoencoder-64"
slope = png(lambda x, y: (x * 5, y * 5, 90))
stripes = png(lambda x, y: (230, 40, 40) if x // 6 % 2 else (20, 200, 60))
picture = lambda file: models.Image(image=file, model=SEES)
client.create_collection("pictures", vectors_config=models.VectorParams(
    size=256, distance=models.Distance.COSINE))
client.upsert("pictures", points=[
    models.PointStruct(id=1, vector=picture(slope)),
    models.PointStruct(id=2, vector=models.InferenceObject(object={"image": stripes}, model=SEES)),
])
for asked, wanted in [(slope, 1), (stripes, 2)]:
    hits = client.query_points("pictures", query=picture(asked)).points
    assert hits[0].id == wanted and hits[0].score > 0.999 > hits[1].score, hits
unimplemented = grpc.StatusCode.UNIMPLEMENTED
refused(unimplemented, "by address (`https:`)",
        lambda: client.query_points("pictures", query=picture("https://example.org/a.png")))

# What is not supported is refused by name.
refused(unimplemented, "Manhattan", lambda: client.create_collection(
    "x", vectors_config=models.VectorParams(size=2, distance=models.Distance.MANHATTAN)))
refused(unimplemented, "indexed_only", lambda: client.query_points(
    "flat", query=[0, 0], search_params=models.SearchParams(indexed_only=True)))
refused(unimplemented, "lookup_from", lambda: client.query_points(
    "flat", query=1, lookup_from=models.LookupLocation(collection="many")))
refused(unimplemented, "discover", lambda: client.query_points(
    "flat", query=models.DiscoverQuery(discover=models.DiscoverInput(
        target=1, context=models.ContextPair(positive=2, negative=3)))))

for name in ["films", "flat", "named", "many", "texts", "pictures"]:
    assert client.delete_collection(name)
assert not client.delete_collection("films")
client.close()
print("done")
