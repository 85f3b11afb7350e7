"""How fast does simile answer over gRPC beside hnswlib in the caller's own process?

    python3 benches/peers/wire.py [--binary target/release/simile] [--count 100000] [--seconds 10] [--json]

The same clustered vectors and questions as `ann.py --data clustered`; both are asked for the ids of ten
neighbours at the first breadth at which they find 95 in a hundred. hnswlib answers on one thread, in this
process, without a wire. simile is a server on loopback, asked by benches/load.rs: one request at a time,
sixteen requests in flight, and batches of a hundred questions, one and two at a time. Client and server share the machine.
`ratio` is simile's questions a second over hnswlib's.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))
import harness

harness.environment(["faiss-cpu", "hnswlib", "qdrant-edge-py", "usearch"])

import ann
import numpy

RECALL = 0.95
EFS = [10, 12, 14, 16, 20, 24, 32, 48, 64, 96, 128, 256, 512]
SHAPES = {"one at a time": (1, 1), "16 in flight": (16, 1), "batches of 100": (1, 100), "batches, 2 in flight": (2, 100)}
HNSWLIB_SECONDS = 5


def store(server, stubs, base):
    collections = stubs.CollectionsStub(server.channel)
    config = stubs.VectorConfig(dimension=base.shape[1], metric=stubs.METRIC_COSINE)
    collections.Create(stubs.CreateCollectionRequest(name="bench", vectors={"v": config}))

    def documents():
        for number, row in enumerate(base):
            given = stubs.Vectors(by_name={"v": stubs.DenseVector(components=row)})
            yield stubs.UpsertRequest(collection="bench", document=stubs.Document(id=str(number), vectors=given))

    stored = sum(result.HasField("stored") for result in stubs.DocumentsStub(server.channel).Upsert(documents()))
    if stored != len(base):
        raise SystemExit(f"stored {stored} of {len(base)}")
    stubs.AdminStub(server.channel).Optimize(stubs.OptimizeRequest(collection="bench"))


def in_process(data):
    library = ann.Hnswlib()
    library.build(data)
    for ef in EFS:
        found = ann.recall(library.find(ef), data.truth)
        if found >= RECALL:
            break
    best, until = 0, time.perf_counter() + HNSWLIB_SECONDS
    while time.perf_counter() < until:
        started = time.perf_counter()
        library.find(ef)
        best = max(best, len(data.queries) / (time.perf_counter() - started))
    return {"system": "hnswlib", "shape": "one thread, in process", "ef": ef, "recall": found, "qps": best}


def over_the_wire(binary, data, folder, seconds):
    files = {"queries": folder / "queries", "truth": folder / "truth"}
    data.queries.tofile(files["queries"])
    numpy.ascontiguousarray(data.truth, numpy.uint32).tofile(files["truth"])
    load, stubs = harness.driver("load"), harness.stubs()
    with harness.Server(binary, folder / "data") as server:
        store(server, stubs, data.base)

        def ask(in_flight, batch, ef, seconds):
            command = [load, "--address", server.address, "--dimension", data.base.shape[1], "--batch", batch,
                       "--in-flight", in_flight, "--ef", ef, "--seconds", seconds]
            for name, file in files.items():
                command += [f"--{name}", file]
            done = subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE, text=True)
            return json.loads(done.stdout)

        ef = next((ef for ef in EFS if ask(1, 100, ef, 1)["recall"] >= RECALL), EFS[-1])
        for shape, (in_flight, batch) in SHAPES.items():
            yield {"system": "simile (gRPC)", "shape": shape, "ef": ef} | ask(in_flight, batch, ef, seconds)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--binary", type=Path, default=harness.ROOT / "target/release/simile")
    arguments.add_argument("--count", type=int, default=100_000)
    arguments.add_argument("--seconds", type=float, default=10)
    arguments.add_argument("--json", action="store_true", help="print an object a row")
    given = arguments.parse_args()
    base, queries = ann.clustered(given.count, 384, ann.QUESTIONS, 1)
    data = ann.Data("clustered", "cosine", base, queries)
    peer = in_process(data)
    rows = [peer]
    with tempfile.TemporaryDirectory() as folder:
        rows += over_the_wire(given.binary, data, Path(folder), given.seconds)
    for row in rows:
        row["ratio"] = row["qps"] / peer["qps"]
        if given.json:
            print(json.dumps(row | harness.machine()))
    if not given.json:
        print(harness.machine())
        for row in rows:
            latency = f"p50 {row['p50_ms']:.2f} ms, p99 {row['p99_ms']:.2f} ms" if "p50_ms" in row else ""
            print(f"{row['system']:<15}{row['shape']:<24}ef {row['ef']:<5}recall {row['recall']:.3f}"
                  f"{row['qps']:>10,.0f}/s{row['ratio']:>7.2f}  {latency}")


if __name__ == "__main__":
    main()
