"""How fast are hybrid, grouped, faceted and filtered questions beside LanceDB and Chroma?

    python3 benches/peers/questions.py [--binary target/release/simile] [--documents 20000] [--json]

All three get the same texts, vectors and fields, and the same questions, in one run. LanceDB and Chroma run
as libraries in this process, as most people use them; simile runs as a server, and every call crosses
gRPC. Where a peer lacks something, it does what its users do:

- groups: neither groups hits, so five times as many hits are asked for, and twice as many again, until
  there are enough groups, which need not be full then;
- facets: neither counts, so the field of everything that the filter means is fetched and counted;
- hybrid: Chroma ranks no words, so that a BM25 index in the process (bm25s) stands beside it and both
  rankings are joined by their ranks. LanceDB has an index of words and joins itself.

LanceDB gets what indexes it has: IVF-PQ with refinement for vectors, bitmap and b-tree for fields, one of
words. What was found is compared with plain evaluation: recall for filtered and grouped questions, equality
for facets.
"""

import argparse
import collections
import json
import os
import shutil
import sys
import tempfile
import time
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import harness

harness.environment(["chromadb", "lancedb", "pyarrow", "bm25s", "pandas"])

# What the peers say of their own futures is not what is measured here.
os.environ.setdefault("LANCE_LOG", "error")
warnings.simplefilter("ignore")

import bm25s
import chromadb
import lancedb
import numpy
import pyarrow
from lancedb.rerankers import RRFReranker

LIMIT = 10
GROUP_SIZE = 2
BATCH = 1_000
TOPICS, AUTHORS, YEARS = 20, 500, (1990, 2026)


def data(count, dimension, questions, seed=1):
    """Vectors around centres, texts, and fields."""
    chance = numpy.random.default_rng(seed)
    centres = chance.standard_normal((200, dimension), dtype=numpy.float32)
    pull = lambda count: centres[chance.integers(0, 200, count)] + 0.7 * chance.standard_normal(
        (count, dimension), dtype=numpy.float32
    )
    unit = lambda rows: rows / numpy.linalg.norm(rows, axis=1, keepdims=True)
    vectors, asked = unit(pull(count)), unit(pull(questions))
    topics = chance.integers(0, TOPICS, count)
    authors = chance.integers(0, AUTHORS, count)
    years = chance.integers(*YEARS, count)
    fields = [
        {"topic": f"t{topic}", "author": f"a{author}", "year": int(year)}
        for topic, author, year in zip(topics, authors, years)
    ]
    texts = list(harness.texts(count, 8, 40))
    words = list(harness.texts(questions, 2, 4, seed=9))
    conditions = [(f"t{chance.integers(0, TOPICS)}", int(chance.integers(*YEARS))) for _ in range(questions)]
    return vectors, fields, texts, asked, words, conditions


class Simile:
    name = "simile (gRPC)"

    def __init__(self, folder, dimension, binary, stubs):
        self.make = stubs
        self.server = harness.Server(binary, folder).start()
        config = stubs.VectorConfig(dimension=dimension, metric=stubs.METRIC_COSINE)
        request = stubs.CreateCollectionRequest(name="bench", vectors={"given": config})
        stubs.CollectionsStub(self.server.channel).Create(request)
        self.documents = stubs.DocumentsStub(self.server.channel)
        self.searches = stubs.SearchStub(self.server.channel)

    def value(self, value):
        return self.make.Value(integer=value) if isinstance(value, int) else self.make.Value(text=value)

    def store(self, texts, vectors, fields):
        make = self.make

        def requests():
            for i, (text, vector, field) in enumerate(zip(texts, vectors.tolist(), fields)):
                part = make.Part(text=text, vectors={"given": make.DenseVector(components=vector)})
                payload = {name: self.value(value) for name, value in field.items()}
                document = make.Document(id=f"d{i}", parts=make.PartList(parts=[part]), payload=payload)
                yield make.UpsertRequest(collection="bench", document=document)

        for result in self.documents.Upsert(requests()):
            if not result.HasField("stored"):
                raise SystemExit(f"not stored: {result}")
        make.AdminStub(self.server.channel).Optimize(make.OptimizeRequest(collection="bench"))

    def condition(self, topic, year):
        make = self.make
        equals = make.Filter(field=make.FieldCondition(path="topic", equals=self.value(topic)))
        since = make.Range(greater_or_equal=self.value(year))
        since = make.Filter(field=make.FieldCondition(path="year", range=since))
        return make.Filter(all=make.FilterList(filters=[equals, since]))

    def ask(self, vector=None, text=None, **more):
        make = self.make
        given = {"given": make.DenseVector(components=vector)} if vector is not None else {}
        mode = make.MODE_HYBRID if text else make.MODE_SEMANTIC
        request = make.SearchRequest(
            collection="bench", vectors=given, text=text, mode=mode, limit=LIMIT, with_text=False, **more
        )
        return self.searches.Search(request)

    def filtered(self, vector, topic, year):
        return [hit.id for hit in self.ask(vector, filter=self.condition(topic, year)).hits]

    def hybrid(self, vector, text):
        return [hit.id for hit in self.ask(vector, text).hits]

    def grouped(self, vector):
        groups = self.ask(vector, group_by=self.make.GroupBy(path="author", size=GROUP_SIZE)).groups
        return [(group.value.text, [hit.id for hit in group.hits]) for group in groups]

    def faceted(self, topic, year):
        request = self.make.FacetRequest(
            collection="bench", path="author", filter=self.condition(topic, year), limit=LIMIT
        )
        return [found.documents for found in self.documents.Facet(request).values]

    def close(self):
        self.server.stop()


def fused(rankings):
    """Joins rankings by their ranks."""
    scores = collections.Counter()
    for ranking in rankings:
        for rank, name in enumerate(ranking):
            scores[name] += 1 / (60 + rank + 1)
    return [name for name, _ in scores.most_common(LIMIT)]


def groups_of(search):
    """Asks for more hits until there are enough groups; `search` gives pairs of id and author."""
    wanted = 5 * LIMIT * GROUP_SIZE
    while True:
        hits, groups = search(wanted), {}
        for name, author in hits:
            groups.setdefault(author, []).append(name)
        full = [(author, names[:GROUP_SIZE]) for author, names in list(groups.items())[:LIMIT]]
        if len(full) == LIMIT or len(hits) < wanted:
            return full
        wanted *= 2


class Chroma:
    name = f"Chroma {chromadb.__version__}"

    def __init__(self, folder, *_):
        settings = chromadb.Settings(anonymized_telemetry=False)
        client = chromadb.PersistentClient(path=str(folder), settings=settings)
        self.collection = client.create_collection("bench", metadata={"hnsw:space": "cosine"}, embedding_function=None)

    def store(self, texts, vectors, fields):
        for at in range(0, len(texts), BATCH):
            end = at + BATCH
            ids = [f"d{i}" for i in range(at, min(end, len(texts)))]
            rows = vectors[at:end].tolist()
            self.collection.upsert(ids=ids, documents=texts[at:end], embeddings=rows, metadatas=fields[at:end])
        self.words = bm25s.BM25()
        self.words.index(bm25s.tokenize(texts, show_progress=False), show_progress=False)

    def condition(self, topic, year):
        return {"$and": [{"topic": topic}, {"year": {"$gte": year}}]}

    def nearest(self, vector, count, **more):
        return self.collection.query(query_embeddings=[vector], n_results=count, **more)

    def filtered(self, vector, topic, year):
        return self.nearest(vector, LIMIT, where=self.condition(topic, year), include=[])["ids"][0]

    def hybrid(self, vector, text):
        near = self.nearest(vector, 10 * LIMIT, include=[])["ids"][0]
        tokens = bm25s.tokenize([text], show_progress=False)
        found, _ = self.words.retrieve(tokens, k=10 * LIMIT, show_progress=False)
        return fused([near, [f"d{i}" for i in found[0]]])

    def grouped(self, vector):
        def search(count):
            found = self.nearest(vector, count, include=["metadatas"])
            return [(name, field["author"]) for name, field in zip(found["ids"][0], found["metadatas"][0])]

        return groups_of(search)

    def faceted(self, topic, year):
        found = self.collection.get(where=self.condition(topic, year), include=["metadatas"])["metadatas"]
        counted = collections.Counter(field["author"] for field in found)
        return [count for _, count in counted.most_common(LIMIT)]

    def close(self):
        pass


class Lance:
    name = f"LanceDB {lancedb.__version__}"

    def __init__(self, folder, dimension, *_):
        vector = pyarrow.list_(pyarrow.float32(), dimension)
        text = [(name, pyarrow.string()) for name in ["id", "text", "topic", "author"]]
        schema = pyarrow.schema([*text, ("year", pyarrow.int64()), ("vector", vector)])
        self.table = lancedb.connect(str(folder)).create_table("bench", schema=schema)
        self.reranker = RRFReranker()

    def store(self, texts, vectors, fields):
        rows = [
            {"id": f"d{i}", "text": text, "vector": vector, **field}
            for i, (text, vector, field) in enumerate(zip(texts, vectors.tolist(), fields))
        ]
        self.table.add(rows)
        self.table.create_index(metric="cosine", num_partitions=64, num_sub_vectors=48)
        self.table.create_scalar_index("topic", index_type="BITMAP")
        self.table.create_scalar_index("year")
        self.table.create_fts_index("text")
        self.table.optimize()

    def condition(self, topic, year):
        return f"topic = '{topic}' AND year >= {year}"

    def nearest(self, vector, count):
        query = self.table.search(vector).distance_type("cosine").nprobes(16).refine_factor(4)
        return query.limit(count)

    def filtered(self, vector, topic, year):
        query = self.nearest(vector, LIMIT).where(self.condition(topic, year), prefilter=True)
        return query.select(["id"]).to_arrow()["id"].to_pylist()

    def hybrid(self, vector, text):
        query = self.table.search(query_type="hybrid").vector(vector).text(text).distance_type("cosine")
        query = query.rerank(self.reranker).limit(LIMIT)
        return query.to_arrow()["id"].to_pylist()

    def grouped(self, vector):
        def search(count):
            found = self.nearest(vector, count).select(["id", "author"]).to_arrow()
            return list(zip(found["id"].to_pylist(), found["author"].to_pylist()))

        return groups_of(search)

    def faceted(self, topic, year):
        query = self.table.search().where(self.condition(topic, year)).select(["author"])
        counted = query.limit(10**9).to_arrow()["author"].value_counts()
        return sorted((count["counts"].as_py() for count in counted), reverse=True)[:LIMIT]

    def close(self):
        pass


def plain(vectors, fields, question, topic, year):
    """Returns what is right: the filtered ids, the groups, and the counts."""
    order = numpy.argsort(-(vectors @ question), kind="stable")
    meant = [i for i, field in enumerate(fields) if field["topic"] == topic and field["year"] >= year]
    is_meant = set(meant)
    filtered = [f"d{i}" for i in order if i in is_meant][:LIMIT]
    groups = {}
    for i in order:
        author = fields[i]["author"]
        if author in groups or len(groups) < LIMIT:
            groups.setdefault(author, []).append(f"d{i}")
    groups = [(author, names[:GROUP_SIZE]) for author, names in groups.items()]
    counted = collections.Counter(fields[i]["author"] for i in meant)
    return filtered, groups, [count for _, count in counted.most_common(LIMIT)]


def measure(store, texts, vectors, fields, asked, words, conditions):
    figures, right = {}, collections.Counter()
    start = time.perf_counter()
    store.store(texts, vectors, fields)
    figures["stored and indexed, s"] = round(time.perf_counter() - start, 1)
    truth = [plain(vectors, fields, q, *c) for q, c in zip(asked, conditions)]
    calls = {
        "filtered": lambda i: store.filtered(asked[i].tolist(), *conditions[i]),
        "hybrid": lambda i: store.hybrid(asked[i].tolist(), words[i]),
        "grouped": lambda i: store.grouped(asked[i].tolist()),
        "faceted": lambda i: store.faceted(*conditions[i]),
    }
    for kind, call in calls.items():
        for i in range(min(10, len(asked))):
            call(i)
        spent = []
        for i in range(len(asked)):
            start = time.perf_counter()
            found = call(i)
            spent.append(1e3 * (time.perf_counter() - start))
            filtered, groups, counts = truth[i]
            if kind == "filtered":
                right[kind] += len(set(found) & set(filtered)) / max(1, len(filtered))
            elif kind == "grouped":
                members = lambda groups: {name for _, names in groups for name in names}
                right[kind] += len(members(found) & members(groups)) / len(members(groups))
            elif kind == "faceted":
                right[kind] += found == counts
        figures[f"{kind}, p50 ms"] = round(harness.percentile(spent, 0.5), 2)
        figures[f"{kind}, p99 ms"] = round(harness.percentile(spent, 0.99), 2)
        if kind in right:
            figures[f"{kind}, share that is right"] = round(right[kind] / len(asked), 3)
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default=harness.ROOT / "target/release/simile")
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--dimension", type=int, default=384)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    stubs = harness.stubs()
    made = data(options.documents, options.dimension, options.questions)
    vectors, fields, texts, asked, words, conditions = made
    report = {"machine": harness.machine(), "documents": options.documents, "stores": {}}
    for kind in [Simile, Chroma, Lance]:
        print(f"measuring {kind.name}", file=sys.stderr)
        folder = Path(tempfile.mkdtemp(prefix="simile-bench-"))
        store = kind(folder, options.dimension, options.binary, stubs)
        try:
            report["stores"][kind.name] = measure(store, texts, vectors, fields, asked, words, conditions)
        finally:
            store.close()
            shutil.rmtree(folder, ignore_errors=True)
    ours = report["stores"][Simile.name]
    for figures in report["stores"].values():
        for name in [name for name in figures if "p50" in name]:
            figures[name.replace("p50 ms", "times ours")] = round(figures[name] / ours[name], 1)
    if options.json:
        print(json.dumps(report))
        return
    print(report["machine"], f"{options.documents} documents of dimension {options.dimension}")
    print(f"{'':32}" + "".join(f"{name:>18}" for name in report["stores"]))
    for row in ours:
        print(f"{row:32}" + "".join(f"{figures[row]:>18,}" for figures in report["stores"].values()))


if __name__ == "__main__":
    main()
