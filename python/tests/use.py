"""All that the package does, asked of a server of simile: ADDRESS. It reads files of a folder that holds two notes."""

import asyncio
import importlib
import pkgutil
import sys
import tempfile
from datetime import datetime, timezone
from importlib import metadata, resources
from pathlib import Path

import numpy as np

import simile
from simile import AsyncClient, Client, Document, Question, Sparse, VectorConfig, field, ids, v1
from simile.connection import Connection

ADDRESS = sys.argv[1]
called = set()


class Recorded(Connection):
    """Notes which methods were called."""

    def _call(self, request):
        called.add(f"{request.service}.{request.method}")
        return super()._call(request)


Client.__bases__ = AsyncClient.__bases__ = (Recorded,)
client = simile.connect(ADDRESS, timeout=60)


def refused(kind, words, call):
    try:
        call()
    except kind as error:
        assert words in str(error), error
        return error
    raise AssertionError(f"not refused: {words}")


def names(answer):
    return [hit.id for hit in answer]


assert metadata.version("simile") == client.version(), client.version()
assert resources.files("simile").joinpath("py.typed").is_file()

# Collections.
made = client.create_collection("films", {"v": VectorConfig(dimension=3, metric="dot"), "w": VectorConfig(sparse=True)})
assert made.vectors["v"].dimension == 3 and made.vectors["v"].metric == "dot" and made.vectors["w"].sparse, made
error = refused(simile.AlreadyExists, "films", lambda: client.create_collection("films", {"v": 3}))
assert error.code == "ALREADY_EXISTS"
refused(simile.NotFound, "no collection", lambda: client.collection("none"))
refused(simile.InvalidInput, "name", lambda: client.create_collection("a b", {"v": 3}))
refused(ValueError, "exactly one of", lambda: client.create_collection("x", {"v": VectorConfig()}))
client.set_alias("live", "films")
assert client.collection("live").name == "films" and client.collection("films").aliases == ("live",)
assert client.aliases() == {"live": "films"} and client.collection("films").state == "ready"

# Documents of every shape, and what becomes of them.
seen = datetime(2024, 5, 1, 12, tzinfo=timezone.utc)
items = [
    {"id": "a", "text": "The cat chases the mouse", "vectors": {"v": [1, 0, 0], "w": Sparse.of({1: 1.0, 7: 2.0})},
     "payload": {"year": 1999, "tags": ["x", "y"], "seen": seen, "none": None, "rating": 7.5,
                 "place": {"lat": 52.5, "lon": 13.4}, "cast": [{"name": "Ann", "age": 30}]}},
    Document("b", vectors={"v": np.array([0.0, 2.0, 0.0])}, payload={"year": 2005, "tags": ["y"], "new": True}),
    {"id": "c", "parts": [{"text": "one", "vectors": {"v": [0, 0, 1]}}, {"text": "two", "vectors": {"v": [0, 1, 1]}}]},
    {"id": "wrong", "text": "x", "vectors": {"v": [1, 2]}},
]
ingest = client.ingest("films", iter(items), label="films")
results = list(ingest)
assert [one.id for one in results] == ["a", "b", "c", "wrong"], results
assert results[2].parts == 2 and results[0].sequence is not None
assert isinstance(results[3].error, simile.InvalidInput) and "expected dimension 3, got 2" in str(results[3].error)
assert (ingest.tally.stored, ingest.tally.failed) == (3, 1) and ingest.failures == [results[3]]
assert any(job.id == ingest.job and job.label == "films" for job in client.jobs())
refused(RuntimeError, "once", lambda: list(ingest))
assert client.ingest("films", items[0]).finish().stored + client.ingest("films", items[1]).finish().unchanged >= 1
refused(simile.NotFound, "none", lambda: client.ingest("none", ["text"]).finish())
refused(ValueError, "within `payload`", lambda: client.ingest("films", {"id": "d", "year": 3}).finish())
refused(ValueError, "expected one of", lambda: client.ingest("films", Document("d")).finish())
refused(FileNotFoundError, "missing.md", lambda: client.ingest("films", Path("missing.md")).finish())
refused(TypeError, "bytes", lambda: client.ingest("films", {"id": "d", "text": "x", "payload": {"b": b""}}).finish())

# Read again as they were.
found = client.get("films", ["b", "a", "zz"], with_vectors=True)
assert [one.id for one in found] == ["b", "a"]
assert found[1].payload["year"] == 1999 and found[1].payload["seen"] == "2024-05-01T12:00:00Z"
assert found[1].payload["none"] is None and found[1].payload["cast"] == [{"name": "Ann", "age": 30}]
assert found[0].parts[0].vectors["v"].dtype == np.float32
assert np.array_equal(found[0].parts[0].vectors["v"], [0, 2, 0])
assert found[1].parts[0].vectors["w"].to_dict() == {1: 1.0, 7: 2.0}
assert [one.id for one in client.scroll("films")] == ["a", "b", "c"]
first, after = client.page("films", limit=2, order_by="year", descending=True)
assert [one.id for one in first] == ["b", "a"] and client.count("films").parts == 4

# Filters.
for given, expected in [
    (field("year") == 1999, "a"),
    (field("year") != 1999, "bc"),
    ((field("year") >= 1999) & (field("year") < 2005), "a"),
    ((field("year") > 2000) | (field("rating") <= 7.5), "ab"),
    (~field("year").exists(), "c"),
    (field("tags").one_of("x", "z"), "a"),
    (field("year").none_of(1999), "b"),
    (field("tags").length(at_least=2), "a"),
    (field("none").is_null(), "a"),
    (field("seen") > datetime(2024, 1, 1, tzinfo=timezone.utc), "a"),
    (field("place").near(52.52, 13.41, 10_000), "a"),
    (field("place").within(52, 13, 53, 14), "a"),
    (field("cast").has((field("name") == "Ann") & (field("age") == 30)), "a"),
    (ids("b", "c"), "bc"),
    (simile.at_least(2, field("year") > 2000, field("new") == True, field("tags") == "x"), "b"),  # noqa: E712
]:
    assert "".join(one.id for one in client.scroll("films", filter=given)) == expected, expected
    assert client.count("films", given).documents == len(expected)
refused(TypeError, "join filters", lambda: (field("a") == 1) and (field("b") == 2))
refused(simile.InvalidInput, "unknown", lambda: client.count("films", field("unknown") == 1))

# Searches: by words, by vectors of each kind, in groups, in a batch.
assert names(client.search("films", "cat", mode="lexical")) == ["a"]
answer = client.search("films", vector=[0, 1, 0], using="v", limit=2, with_vectors=True)
assert names(answer)[0] == "b" and answer[0].score == 2.0 and np.array_equal(answer[0].vectors["v"], [0, 2, 0])
assert answer[0].legs[0].leg == "dense:v" and answer.timings, answer
assert names(client.search("films", vectors={"w": Sparse.of({7: 1.0})})) == ["a"]
refused(simile.InvalidInput, "films` has the vectors v, w", lambda: client.search("films", vector=[0, 1, 0]))
refused(simile.InvalidInput, "expected dimension 3", lambda: client.search("films", vector=[0, 1], using="v"))
groups = client.search("films", vector=[1, 1, 1], using="v", group_by="tags", group_size=1).groups
assert {(group.value, group.hits[0].id) for group in groups} == {("x", "a"), ("y", "b")}, groups
batch = client.search_batch("films", [
    Question(vector=[1, 0, 0], using="v", limit=1),
    Question(vector=[1, 0], using="v"),
    Question(text="mouse", mode="lexical", filter=field("year") == 1999),
])
assert names(batch[0]) == ["a"] and isinstance(batch[1], simile.InvalidInput) and names(batch[2]) == ["a"], batch
assert client.facet("films", "tags") == [("y", 2), ("x", 1)]
assert client.recall("films", vector="v", questions=2, limit=2).recall == 1.0

assert names(client.search("films", like=["a"], using="v")) == ["b", "c"]
assert names(client.search("films", like=[[0, 1, 0], np.array([0, 1, 1])], unlike=["a"], using="v", limit=1)) == ["b"]
assert names(client.search("films", like=[Sparse.of({7: 1.0})], using="w", strategy="best_score")) == ["a"]
refused(TypeError, "several examples", lambda: client.search("films", like="a", using="v"))
refused(ValueError, "goes with `like`", lambda: client.search("films", unlike=["a"], using="v"))
refused(ValueError, "2 axes", lambda: client.search("films", like=[np.eye(2)], using="v"))
question = Question(text="mouse", mode="lexical", filter=field("year") == 1999)
told = client.explain("films", "a", question)
assert told.verdict == "shown" and told.rank == 1 and told.legs[0].leg == "lexical" and told.sentence, told
assert client.explain("films", "b", question).conditions and client.explain("films", "b", question).rank is None
assert client.explain("films", "zz", question).verdict == "not_stored"
refused(simile.InvalidInput, "", lambda: client.locate("films", b"no film"))
assert client.thumbnails("films", [("a", 0)]) == {}

# Multivectors.
client.create_collection("tokens", {"m": VectorConfig(multi=2)})
client.ingest("tokens", Document("t", vectors={"m": np.eye(2)})).finish()
multi = client.search("tokens", vector=np.eye(2), with_vectors=True)
assert names(multi) == ["t"] and multi[0].vectors["m"].shape == (2, 2) and abs(multi[0].score - 2) < 1e-5

# Change and delete.
assert client.set_payload("films", ["a", "b"], {"shelf": 3}) == 2
assert client.count("films", field("shelf") == 3).documents == 2
assert client.set_payload("films", ["a"], {"deep": 1}, at="outer") == 1
assert client.get("films", ["a"])[0].payload["outer"] == {"deep": 1}
assert client.delete_fields("films", field("shelf") == 3, "shelf", "outer.deep") == 2
assert "shelf" not in client.get("films", ["a"])[0].payload
assert client.set_vectors("films", {"a": {"v": [3, 0, 0]}, "b": {"v": [0, 3, 0]}}) == 2
assert client.search("films", vector=[0, 1, 0], using="v", limit=1)[0].score == 3.0
refused(simile.InvalidInput, "expected dimension 3", lambda: client.set_vectors("films", {"a": {"v": [3, 0]}}))
refused(simile.InvalidInput, "1 documents were not changed, 0 were; `c`: ",
        lambda: client.set_vectors("films", {"c": {"v": [3, 0, 0]}}))
assert client.set_vectors("films", {"c": {"v": [3, 0, 0]}}, part=1) == 1
later = datetime(2100, 1, 1, tzinfo=timezone.utc)
assert client.set_expiry("films", ["a"], later) == 1
assert client.get("films", ["a"])[0].expires_unix_ms == int(later.timestamp() * 1000)
assert client.set_expiry("films", ["a"], None) == 1 and client.get("films", ["a"])[0].expires_unix_ms is None
refused(ValueError, "names no zone", lambda: client.set_expiry("films", ["a"], datetime(2100, 1, 1)))
refused(TypeError, "several ids", lambda: client.delete("films", "a"))
assert client.delete("films", ["c", "zz"]) == 1
assert client.delete("films", field("year") == 2005) == 1
assert client.count("films").documents == 1

# What a collection is made of changes while it is in use.
made = client.create_collection("kept", {"v": 2}, description="what is kept", metadata={"by": "me"})
assert (made.description, made.metadata, made.tenant) == ("what is kept", {"by": "me"}, "")
client.ingest("kept", Document("a", vectors={"v": [1, 0]})).finish()
assert client.add_vector("kept", "w", VectorConfig(sparse=True)).vectors["w"].sparse
assert sorted(client.drop_vector("kept", "w").vectors) == ["v"]
change = simile.VectorChange(hnsw_m=8, quantisation="int8", ef=50)
changed = client.change_collection("kept", description="", metadata={"by": "", "for": "you"}, vectors={"v": change})
assert changed.description == "" and changed.metadata == {"for": "you"}, changed
refused(simile.InvalidInput, "", lambda: client.replace_vector("kept", "v", "none"))
assert client.create_collection("shared", {"v": 2}, tenant="who").tenant == "who"
refused(simile.InvalidInput, "who", lambda: client.count("shared"))

# Whether it is sound, and snapshots of it.
assert client.verify("kept") == simile.Verified(1, 1, (), 0), client.verify("kept")
assert client.repair("kept").problems_total == 0
assert client.optimize("kept") >= 0 and client.info().collections >= 3 and client.info().version == client.version()
assert "simile_requests_total" in client.metrics()
snapshot = client.create_snapshot("kept", "monday")
assert (snapshot.name, snapshot.documents) == ("monday", 1) and client.snapshots("kept") == [snapshot]
assert client.restore_snapshot("again", snapshot).documents == 1 and client.count("again").documents == 1
with tempfile.TemporaryDirectory() as folder:
    file = Path(folder, "monday.tar")
    client.download_snapshot("kept", "monday", file)
    assert file.stat().st_size == snapshot.bytes and list(Path(folder).iterdir()) == [file]
    assert client.restore_snapshot("third", file).parts == 1 and client.count("third").documents == 1
    refused(simile.AlreadyExists, "third", lambda: client.restore_snapshot("third", file))
    refused(FileNotFoundError, "none.tar", lambda: client.restore_snapshot("x", Path(folder, "none.tar")))
    refused(simile.NotFound, "none", lambda: client.download_snapshot("kept", "none", Path(folder, "x")))
    assert list(Path(folder).iterdir()) == [file]
client.delete_snapshot("kept", "monday")
assert client.snapshots("kept") == []
refused(simile.NotFound, "monday", lambda: client.restore_snapshot("x", snapshot))

# What the server reads by itself.
ingest = client.ingest_there("read", ["notes", "none.md"], payload={"from": "there"}, label="the notes")
refused(simile.NotFound, "read", lambda: list(ingest))
client.create_collection("read", words_only=True)
ingest = client.ingest_there("read", ["notes", "none.md"], payload={"from": "there"}, label="the notes")
results = {one.id: one for one in ingest}
assert isinstance(results.pop("none.md").error, simile.NotFound), results
assert results["notes/tides.txt"].sequence is not None and results["notes/boats.md"].parts == 1, results
job = client.job(ingest.job)
assert (job.kind, job.label, job.items_total, job.items_failed) == ("fetch", "the notes", 3, 1), job
assert job.ended is not None and job.ended >= job.started
assert client.count("read", field("from") == "there").documents == 2
assert client.ingest_there("read", "notes").finish().unchanged == 2
assert client.ingest_there("read", "notes", all=True).finish().stored == 2
refused(simile.Conflict, "ingest_urls", lambda: client.ingest_there("read", "https://example.org/").finish())

# Texts are embedded by the server; numpy comes back.
rows = client.embed(["The cat chases the mouse", "The kitten hunts rodents", "I like ham sandwiches"])
assert rows.shape == (3, 384) and rows.dtype == np.float32
assert abs(float(rows[0] @ rows[1]) - 0.622) < 0.02
assert client.embed([]).shape == (0, 0)
refused(TypeError, "in a list", lambda: client.embed("one"))
refused(simile.NotFound, "none", lambda: client.embed(["x"], model="none"))
sparse = client.embed_sparse(["cat cat mouse"], model="hashed-words")
assert sparse[0].indices.size >= 2 and sparse[0].values.dtype == np.float32, sparse
refused(simile.InvalidInput, "embed_sparse", lambda: client.embed(["cat"], model="hashed-words"))
assert any(model.name == "all-minilm-l6-v2" and model.dimension == 384 for model in client.models())

# A model of one's own, fitted by the server.
client.create_collection("boats", {"words": VectorConfig(embedder="hashed-words")})
client.ingest("boats", [f"the ferry leaves the {place} at {hour}" for place in ("harbour", "pier") for hour in range(20)]).finish()
job = client.train("boats", "boat-words", "word2vec", threads=1,
                   options={"vocabulary": {"count_min": 2}, "training": {"dimension": 8, "epochs": 2}})
assert job.kind == "train" and job.label == "boat-words"
ended = list(client.watch(job.id))[-1]
assert ended.state == simile.JobState.DONE and "Word2Vec" in ended.message, ended
assert any(model.name == "boat-words" and model.dimension == 8 for model in client.models())
assert client.embed(["the ferry"], model="boat-words").shape == (1, 8)
refused(simile.AlreadyExists, "never replaced", lambda: client.train("boats", "boat-words", "tf-idf"))
refused(simile.InvalidInput, "unknown field `size`", lambda: client.train("boats", "x", "lda", options={"size": 3}))

# Clusters, with a job to watch.
chance = np.random.default_rng(3)
client.create_collection("points", {"v": VectorConfig(dimension=4, metric="euclidean")})
rows = [centre + chance.standard_normal(4) * 0.1 for centre in np.eye(4)[:2] * 9 for _ in range(10)]
client.ingest("points", (Document(f"p{i:02}", vectors={"v": row}) for i, row in enumerate(rows))).finish()
job = client.cluster("points", simile.KMeans(k=2), write_to="cluster", with_map=True)
states = list(job.progress())
assert states[-1].state == simile.JobState.DONE and states[-1].id == job.id, states
clusters = job.result()
assert sorted("".join(sorted(one.id for one in cluster.members))[:3] for cluster in clusters) == ["p00", "p10"]
assert len(clusters) == 2 and clusters.clusters[0].members[0].place is not None
assert {value for value, _ in client.facet("points", "cluster")} == {0, 1}
refused(simile.InvalidInput, "", lambda: client.cluster("points", simile.Dbscan(radius=-1)).result())
for method in [simile.Leiden(), simile.Hdbscan(min_size=3), simile.Hierarchy(2, "ward"), simile.Duplicates(0.5),
               simile.Join("cluster"), simile.Dbscan(1.0)]:
    assert client.cluster("points", method).result().method, method

# A deadline, and nobody there.
refused(simile.TimedOut, "", lambda: client.with_timeout(0.01).embed(["many words " * 100] * 64))
refused(simile.Unavailable, "", lambda: simile.connect("127.0.0.1:1", timeout=5).version())


async def asynchronous():
    async with simile.connect_async(ADDRESS, timeout=60) as client:
        await client.create_collection("later")
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "inner").mkdir()
            Path(folder, "inner", "cat.md").write_text("# Cats\n\nThe cat chases the mouse.\n")
            Path(folder, "notes.jsonl").write_text('{"id": "n1", "text": "High water at noon"}\n')
            Path(folder, ".hidden").write_text("not this")
            ingest = client.ingest("later", Path(folder))
            results = [result async for result in ingest]
        assert [one.id for one in results] == ["inner/cat.md", "notes.jsonl"], results
        assert results[1].record_ids, results
        assert await ingest.job() is not None

        async def texts():
            yield "I like ham sandwiches"
            yield {"id": "k", "text": "The kitten hunts rodents"}

        assert (await client.ingest("later", texts()).finish()).stored == 2
        answers = await asyncio.gather(*(client.search("later", "kitten hunting", limit=1) for _ in range(5)))
        assert all(answer[0].id == "k" for answer in answers), answers
        assert len([one async for one in client.scroll("later")]) == 4
        assert (await client.embed(["x"])).shape == (1, 384)
        for wrong, kind in [("none", simile.NotFound), ("later", ValueError)]:
            try:
                await client.ingest(wrong, {"id": "d", "text": "x", **({} if wrong == "none" else {"year": 1})}).finish()
            except kind:
                continue
            raise AssertionError(f"{wrong}: not refused")
        job = client.cluster("points", simile.KMeans(k=2))
        assert await job.id() and [state async for state in job.progress()][-1].state == simile.JobState.DONE
        assert len(await job.result()) == 2
        snapshot = await client.create_snapshot("later")
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "later.tar")
            await client.download_snapshot("later", snapshot.name, file)
            assert (await client.restore_snapshot("restored", file)).documents == 4
            try:
                await client.download_snapshot("later", "none", Path(folder, "x"))
            except simile.NotFound:
                assert list(Path(folder).iterdir()) == [file]
            else:
                raise AssertionError("not refused")
        assert (await client.verify("restored")).problems == ()
        ingest = client.ingest_there("read", ".", all=True)
        assert {result.id async for result in ingest} == {"notes/boats.md", "notes/tides.txt"}
        assert (await client.job(await ingest.job())).items_done == 2
        try:
            await client.ingest_there("later", ["https://example.org/"]).finish()
        except simile.Conflict as error:
            assert "ingest_urls" in error.message
        else:
            raise AssertionError("not refused")
        try:
            await client.collection("none")
        except simile.NotFound as error:
            assert error.code == "NOT_FOUND"
        else:
            raise AssertionError("not refused")


asyncio.run(asynchronous())
assert client.cancel(job.id).state == simile.JobState.DONE
for collection in client.collections():
    client.delete_collection(collection.name)

# There is a verb for every method, and here it was called; what was compared would need another hash than Python's.
methods = set()
for module in pkgutil.iter_modules(v1.__path__):
    if module.name.endswith("_pb2"):
        described = importlib.import_module(f"simile.v1.{module.name}").DESCRIPTOR
        for service in described.services_by_name.values():
            methods |= {f"{service.name}.{method.name}" for method in service.methods}
assert len(methods) > 35 and methods - called == {"Documents.Compare"}, methods - called

client.close()
refused(Exception, "", client.version)
print("done")
