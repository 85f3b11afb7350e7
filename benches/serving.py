"""How does the server behave when there is much? Starts, memory, and the answers of the first second.

    python3 benches/serving.py cold-start [--binary target/release/simile] [--parts 100000] [--json]
    python3 benches/serving.py memory     [--binary target/release/simile] [--texts 50000] [--json]
    python3 benches/serving.py many       [--binary target/release/simile] [--collections 1000] [--json]

cold-start stores vectors and texts until there are enough parts, ends the server, starts it again and
takes the time from the start of the process to the first right answer: by vector, by word, and by
meaning (a question in text, so with the model loaded). Right means: the document that was asked for,
first. The time that the server computed until then is told beside it: on a machine that others use
too, it says more. Beside these it repeats the questions after the start, all of which have to be right.

memory ingests texts of random length, 1 to 400 words, which are cut, embedded and indexed, and samples
the resident memory of the server as it goes: all of it, and what is left when pages of files are taken off, which
the system takes back when it needs them.

many makes empty collections, half of them with a vector of 384 components and words, half with words
only, ends the server, starts it again, and takes the time until it is ready and until each collection
has said what it is like, and the resident memory after that. Then every tenth collection takes a document
and finds it, and the memory is taken again, at once and after a rest.
"""

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import harness

harness.environment()

import numpy

DIMENSION = 384


def upsert(stubs, server, documents, collection):
    """Stores documents through one stream; returns how many of the results say so."""
    requests = (stubs.UpsertRequest(collection=collection, document=document) for document in documents)
    stored = 0
    for result in stubs.DocumentsStub(server.channel).Upsert(requests):
        if not result.HasField("stored"):
            raise SystemExit(f"not stored: {result}")
        stored += 1
    return stored


def cold_start(stubs, options):
    chance = numpy.random.default_rng(1)
    vectors = chance.standard_normal((options.parts, DIMENSION), dtype=numpy.float32)
    vectors /= numpy.linalg.norm(vectors, axis=1, keepdims=True)
    texts = list(harness.texts(options.parts, 5, 20))

    def documents():
        for i, (text, vector) in enumerate(zip(texts, vectors)):
            given = {"given": stubs.DenseVector(components=vector.tolist())}
            part = stubs.Part(text=f"{text} mark{i}", vectors=given)
            yield stubs.Document(id=f"d{i}", parts=stubs.PartList(parts=[part]))

    report = {}
    with tempfile.TemporaryDirectory() as folder:
        with harness.Server(options.binary, folder) as server:
            collections = stubs.CollectionsStub(server.channel)
            config = stubs.VectorConfig(dimension=DIMENSION)
            collections.Create(stubs.CreateCollectionRequest(name="many", vectors={"given": config}))
            collections.Create(stubs.CreateCollectionRequest(name="meaning"))
            start = time.perf_counter()
            upsert(stubs, server, documents(), "many")
            report["upserts/s, one stream"] = round(options.parts / (time.perf_counter() - start))
            sentences = ["The cat chases the mouse", "I like ham sandwiches", "The tide is out"]
            named = [stubs.Document(id=text, text=text) for text in sentences]
            upsert(stubs, server, named, "meaning")
        for kind in ["vector", "word", "meaning"]:
            spent, computed = first_answer(stubs, options, folder, kind, vectors)
            report[f"first answer by {kind}, ms"] = spent
            report[f"first answer by {kind}, CPU-ms"] = computed
        with harness.Server(options.binary, folder) as server:
            report["ready, ms"] = round(1e3 * (time.perf_counter() - server.started))
            wrong = 0
            chosen = random.Random(2).sample(range(options.parts), 200)
            for i in chosen:
                for kind in ["vector", "word"]:
                    wrong += not is_right(stubs, server, kind, i, vectors)
            report["wrong of 400 answers after the start"] = wrong
            report["resident MiB after them"] = round(server.status("VmRSS"))
    return report


def first_answer(stubs, options, folder, kind, vectors):
    with harness.Server(options.binary, folder) as server:
        right = is_right(stubs, server, kind, options.parts // 3, vectors)
        spent = time.perf_counter() - server.started
        computed = server.cpu_seconds()
    if not right:
        raise SystemExit(f"the first answer by {kind} is wrong")
    return round(1e3 * spent), round(1e3 * computed)


def is_right(stubs, server, kind, i, vectors):
    if kind == "vector":
        question = {"given": stubs.DenseVector(components=vectors[i].tolist())}
        request = stubs.SearchRequest(collection="many", vectors=question, mode=stubs.MODE_SEMANTIC, limit=1)
        expected = f"d{i}"
    elif kind == "word":
        request = stubs.SearchRequest(collection="many", text=f"mark{i}", mode=stubs.MODE_LEXICAL, limit=1)
        expected = f"d{i}"
    else:
        text = "The kitten hunts rodents"
        request = stubs.SearchRequest(collection="meaning", text=text, mode=stubs.MODE_SEMANTIC, limit=1)
        expected = "The cat chases the mouse"
    hits = stubs.SearchStub(server.channel).Search(request).hits
    return bool(hits) and hits[0].id == expected


def memory(stubs, options):
    texts = harness.texts(options.texts, 1, 400)
    samples, done, is_over = [], [0], threading.Event()
    with tempfile.TemporaryDirectory() as folder, harness.Server(options.binary, folder) as server:
        collections = stubs.CollectionsStub(server.channel)
        collections.Create(stubs.CreateCollectionRequest(name="texts"))

        def watch():
            while not is_over.wait(0.5):
                samples.append((done[0], server.status("VmRSS"), server.status("RssAnon")))

        watcher = threading.Thread(target=watch)
        watcher.start()
        start = time.perf_counter()
        tokens = 0
        requests = (
            stubs.UpsertRequest(collection="texts", document=stubs.Document(id=f"d{i}", text=text))
            for i, text in enumerate(texts)
        )
        for result in stubs.DocumentsStub(server.channel).Upsert(requests):
            if not result.HasField("stored"):
                raise SystemExit(f"not stored: {result}")
            done[0] += 1
            tokens += result.stored.tokens
        spent = time.perf_counter() - start
        is_over.set()
        watcher.join()
        report = {"texts/s": round(done[0] / spent, 1), "tokens/s": round(tokens / spent)}
        for share in [10, 25, 50, 75, 100]:
            past = [sample for sample in samples if sample[0] <= options.texts * share / 100]
            report[f"resident MiB at {share} %"] = round(past[-1][1]) if past else None
            report[f"of it not pages of files, MiB at {share} %"] = round(past[-1][2]) if past else None
        report["resident MiB, highest"] = round(server.status("VmHWM"))
    return report


def many(stubs, options):
    names = [f"c{i:05}" for i in range(options.collections)]
    report = {}
    with tempfile.TemporaryDirectory() as folder:
        with harness.Server(options.binary, folder) as server:
            report["resident MiB with none"] = round(server.status("VmRSS"))
            collections = stubs.CollectionsStub(server.channel)
            start = time.perf_counter()
            for i, name in enumerate(names):
                vectors = {"given": stubs.VectorConfig(dimension=DIMENSION)} if i % 2 else {}
                request = stubs.CreateCollectionRequest(name=name, vectors=vectors, words_only=not vectors)
                collections.Create(request)
            report["made a second"] = round(len(names) / (time.perf_counter() - start))
            report["resident MiB after making them"] = round(server.status("VmRSS"))
        with harness.Server(options.binary, folder) as server:
            collections = stubs.CollectionsStub(server.channel)
            report["ready, ms"] = round(1e3 * (time.perf_counter() - server.started))
            report["ready, CPU-ms"] = round(1e3 * server.cpu_seconds())
            listed = collections.List(stubs.ListCollectionsRequest()).collections
            report["listed, ms"] = round(1e3 * (time.perf_counter() - server.started))
            wrong = {found.name for found in listed if found.state == stubs.COLLECTION_STATE_READY} ^ set(names)
            if wrong:
                raise SystemExit(f"not ready: {sorted(wrong)[:5]}")
            report["resident MiB"] = round(server.status("VmRSS"))
            report["threads"] = int(1024 * server.status("Threads"))
            computed = server.cpu_seconds()
            time.sleep(10)
            report["CPU-ms a second at rest"] = round(1e2 * (server.cpu_seconds() - computed))
            for name in names[::10]:
                document = stubs.Document(id="a", parts=stubs.PartList(parts=[stubs.Part(text="a ferry")]))
                upsert(stubs, server, [document], name)
                request = stubs.SearchRequest(collection=name, text="ferry", mode=stubs.MODE_LEXICAL)
                if [hit.id for hit in stubs.SearchStub(server.channel).Search(request).hits] != ["a"]:
                    raise SystemExit(f"{name} does not find what it was given")
            report["resident MiB, a tenth in use"] = round(server.status("VmRSS"))
            time.sleep(30)
            report["resident MiB, 30 s later"] = round(server.status("VmRSS"))
            report["threads then"] = int(1024 * server.status("Threads"))
    return report


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bench", choices=["cold-start", "memory", "many"])
    parser.add_argument("--binary", default=harness.ROOT / "target/release/simile")
    parser.add_argument("--parts", type=int, default=100_000)
    parser.add_argument("--texts", type=int, default=50_000)
    parser.add_argument("--collections", type=int, default=1_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    measured = {"cold-start": cold_start, "memory": memory, "many": many}[options.bench](harness.stubs(), options)
    report = {"machine": harness.machine(), options.bench: measured}
    if options.json:
        print(json.dumps(report))
        return
    print(report["machine"])
    for name, value in measured.items():
        print(f"{name:40}{value:>12,}")


if __name__ == "__main__":
    main()
