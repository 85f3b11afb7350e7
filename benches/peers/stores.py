"""How fast does simile store and find beside Chroma and LanceDB?

    python3 benches/peers/stores.py [--binary target/release/simile] [--documents 10000] [--json]

All three get the same texts with the same vectors (made by simile's default model, once, before any
clock runs) and the same questions. Chroma and LanceDB run as libraries in this process, as most people
use them; simile runs as a server, and every call crosses gRPC. An upsert counts when the call returned.

What "stored" is worth is measured too: `syncs` is the number of fsync and fdatasync calls for each
acknowledged upsert, counted by strace in a pass of its own. A store that syncs nothing loses its last
writes when the power fails.
"""

import argparse
import concurrent.futures
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import harness

harness.environment(["chromadb", "lancedb", "pyarrow"])

import chromadb
import lancedb
import numpy
import pyarrow

LIMIT = 10
BATCH = 100


class Simile:
    name = "simile (gRPC)"

    def __init__(self, folder, dimension, binary, stubs):
        self.stubs = stubs
        self.server = harness.Server(binary, folder).start()
        self.pid = self.server.process.pid
        collections = stubs.CollectionsStub(self.server.channel)
        config = stubs.VectorConfig(dimension=dimension, metric=stubs.METRIC_COSINE)
        collections.Create(stubs.CreateCollectionRequest(name="bench", vectors={"given": config}))
        self.documents = stubs.DocumentsStub(self.server.channel)
        self.searches = stubs.SearchStub(self.server.channel)

    def upsert(self, ids, texts, vectors):
        make = self.stubs

        def requests():
            for identity, text, vector in zip(ids, texts, vectors):
                given = {"given": make.DenseVector(components=vector)}
                part = make.Part(text=text, vectors=given)
                document = make.Document(id=identity, parts=make.PartList(parts=[part]))
                yield make.UpsertRequest(collection="bench", document=document)

        for result in self.documents.Upsert(requests()):
            if not result.HasField("stored"):
                raise SystemExit(f"not stored: {result}")

    def search(self, vector):
        make = self.stubs
        question = {"given": make.DenseVector(components=vector)}
        request = make.SearchRequest(collection="bench", vectors=question, mode=make.MODE_SEMANTIC, limit=LIMIT)
        return [hit.id for hit in self.searches.Search(request).hits]

    def close(self):
        self.server.stop()


class Chroma:
    name = f"Chroma {chromadb.__version__}"
    pid = None

    def __init__(self, folder, *_):
        settings = chromadb.Settings(anonymized_telemetry=False)
        client = chromadb.PersistentClient(path=str(folder), settings=settings)
        self.collection = client.create_collection("bench", metadata={"hnsw:space": "cosine"}, embedding_function=None)

    def upsert(self, ids, texts, vectors):
        self.collection.upsert(ids=ids, documents=texts, embeddings=vectors)

    def search(self, vector):
        found = self.collection.query(query_embeddings=[vector], n_results=LIMIT, include=["documents", "distances"])
        return found["ids"][0]

    def close(self):
        pass


class Lance:
    name = f"LanceDB {lancedb.__version__}"
    pid = None

    def __init__(self, folder, dimension, *_):
        vector = pyarrow.list_(pyarrow.float32(), dimension)
        fields = [("id", pyarrow.string()), ("text", pyarrow.string()), ("vector", vector)]
        self.schema = pyarrow.schema(fields)
        self.table = lancedb.connect(str(folder)).create_table("bench", schema=self.schema)

    def upsert(self, ids, texts, vectors):
        rows = [{"id": i, "text": t, "vector": v} for i, t, v in zip(ids, texts, vectors)]
        merge = self.table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all()
        merge.execute(pyarrow.Table.from_pylist(rows, schema=self.schema))

    def search(self, vector):
        found = self.table.search(vector).distance_type("cosine").limit(LIMIT).to_list()
        return [row["id"] for row in found]

    def close(self):
        pass


def embedded(binary, stubs, texts):
    """Returns a row of length one for each text, from simile's default model."""
    rows = []
    with tempfile.TemporaryDirectory() as folder, harness.Server(binary, folder) as server:
        embedding = stubs.EmbeddingStub(server.channel)
        for start in range(0, len(texts), 64):
            request = stubs.EmbedRequest(texts=texts[start : start + 64])
            answer = embedding.Embed(request, timeout=600)
            rows += [list(one.vector.components) for one in answer.embeddings]
    return numpy.array(rows, dtype=numpy.float32)


def measure(make, texts, vectors, questions, singles, writers):
    folder = Path(tempfile.mkdtemp(prefix="simile-bench-"))
    store = make(folder)
    rows = vectors.tolist()
    ids = [f"d{i}" for i in range(len(rows))]
    pick = lambda chosen: ([ids[i] for i in chosen], [texts[i] for i in chosen], [rows[i] for i in chosen])
    figures = {}
    try:
        bulk, alone = range(len(rows) - 2 * singles), range(len(rows) - 2 * singles, len(rows) - singles)
        shared = range(len(rows) - singles, len(rows))

        start = time.perf_counter()
        for first in range(0, len(bulk), BATCH):
            store.upsert(*pick(bulk[first : first + BATCH]))
        figures[f"upserts/s, batches of {BATCH}"] = len(bulk) / (time.perf_counter() - start)

        start = time.perf_counter()
        for i in alone:
            store.upsert(*pick([i]))
        figures["upserts/s, one by one"] = singles / (time.perf_counter() - start)

        start = time.perf_counter()
        with concurrent.futures.ThreadPoolExecutor(writers) as pool:
            list(pool.map(lambda i: store.upsert(*pick([i])), shared))
        figures[f"upserts/s, {writers} writers"] = singles / (time.perf_counter() - start)

        exact = numpy.argsort(-(questions @ vectors.T), axis=1, kind="stable")[:, :LIMIT]
        for question in questions[:20].tolist():
            store.search(question)
        spent, hits = [], 0
        for question, best in zip(questions.tolist(), exact):
            start = time.perf_counter()
            found = store.search(question)
            spent.append(time.perf_counter() - start)
            hits += len(set(found) & {ids[i] for i in best})
        figures["search p50 ms"] = 1e3 * harness.percentile(spent, 0.5)
        figures["search p99 ms"] = 1e3 * harness.percentile(spent, 0.99)
        figures[f"recall@{LIMIT}"] = hits / (len(questions) * LIMIT)
        figures["syncs"] = syncs(store, lambda: [store.upsert(*pick([i])) for i in range(20)], 20)
    finally:
        store.close()
        shutil.rmtree(folder, ignore_errors=True)
    return figures


def syncs(store, work, count):
    """Returns how often the store's process calls fsync, fdatasync or msync for one upsert."""
    import os

    if not shutil.which("strace"):
        return None
    with tempfile.NamedTemporaryFile() as log:
        command = ["strace", "-f", "-qq", "-e", "trace=fsync,fdatasync,msync", "-o", log.name]
        tracer = subprocess.Popen([*command, "-p", str(store.pid or os.getpid())])
        time.sleep(2)
        worker = threading.Thread(target=work)
        worker.start()
        worker.join()
        tracer.send_signal(signal.SIGINT)
        tracer.wait()
        calls = Path(log.name).read_text().splitlines()
    return sum("sync(" in call or "fdatasync(" in call for call in calls) / count


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default=harness.ROOT / "target/release/simile")
    parser.add_argument("--documents", type=int, default=10_000, help="how many are stored")
    parser.add_argument("--questions", type=int, default=500, help="how many are asked")
    parser.add_argument("--singles", type=int, default=500, help="how many are stored one by one")
    parser.add_argument("--writers", type=int, default=16, help="threads that store one by one together")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    stubs = harness.stubs()
    made = list(harness.texts(options.documents + options.questions, 8, 40))
    vectors = embedded(options.binary, stubs, made)
    stored, questions = vectors[: options.documents], vectors[options.documents :]
    report = {"machine": harness.machine(), "documents": options.documents, "dimension": vectors.shape[1]}
    report["stores"] = {}
    makers = [
        (Simile.name, lambda folder: Simile(folder, vectors.shape[1], options.binary, stubs)),
        (Chroma.name, lambda folder: Chroma(folder)),
        (Lance.name, lambda folder: Lance(folder, vectors.shape[1])),
    ]
    for name, make in makers:
        print(f"measuring {name}", file=sys.stderr)
        report["stores"][name] = measure(make, made, stored, questions, options.singles, options.writers)
    if options.json:
        print(json.dumps(report))
        return
    print(report["machine"], f"{options.documents} documents of dimension {vectors.shape[1]}")
    rows = list(next(iter(report["stores"].values())))
    print(f"{'':28}" + "".join(f"{name:>18}" for name in report["stores"]))
    for row in rows:
        cells = [figures[row] for figures in report["stores"].values()]
        print(f"{row:28}" + "".join("                 -" if cell is None else f"{cell:18,.2f}" for cell in cells))


if __name__ == "__main__":
    main()
