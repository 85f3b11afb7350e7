"""Do export and import stream? Rates beside the disk's own copy, and memory as they go.

    python3 benches/exchange.py [--binary target/release/simile] [--vectors 1000000] [--format parquet|jsonl] [--json]

A file of vectors is written by pyarrow (or as lines of JSON), as a user would bring it; simile imports it into
a server, exports the collection again, and imports that into another collection. Beside each stands how long
`cp` and a sync take for the same file, and the resident memory of the command and of the server at a tenth of
the work and at the end. Memory of the server grows with what it keeps; that of the command must not grow.
What came back is compared with what was sent, for a sample of documents.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import harness

harness.environment(["pyarrow"])

import numpy
import pyarrow
import pyarrow.parquet

STEP = 10_000


def rows(count, dimension):
    """Yields ids and vectors, the same each time."""
    chance = numpy.random.default_rng(1)
    for start in range(0, count, STEP):
        size = min(STEP, count - start)
        yield range(start, start + size), chance.standard_normal((size, dimension), dtype=numpy.float32)


def write(path, kind, count, dimension):
    if kind == "jsonl":
        with open(path, "w") as out:
            for ids, vectors in rows(count, dimension):
                for i, vector in zip(ids, vectors.tolist()):
                    line = {"id": f"d{i}", "payload": {"n": i}, "vectors": {"v": vector}}
                    out.write(json.dumps(line) + "\n")
        return
    schema = pyarrow.schema([("id", pyarrow.string()), ("n", pyarrow.int64()),
                             ("v", pyarrow.list_(pyarrow.float32(), dimension))])
    with pyarrow.parquet.ParquetWriter(path, schema) as out:
        for ids, vectors in rows(count, dimension):
            flat = pyarrow.array(vectors.ravel())
            columns = [[f"d{i}" for i in ids], list(ids), pyarrow.FixedSizeListArray.from_arrays(flat, dimension)]
            out.write_table(pyarrow.table(columns, schema=schema))


def copied(path):
    """Returns how long the disk takes to copy a file, and to have it."""
    target = path.with_name("copied")
    start = time.perf_counter()
    subprocess.run(["cp", path, target], check=True)
    with open(target, "rb+") as out:
        os.fsync(out.fileno())
    spent = time.perf_counter() - start
    target.unlink()
    return spent


def resident(pid):
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0


def run(options, server, file, *arguments):
    """Runs a command; returns its figures."""
    copy = copied(file) if file.exists() else None
    command = [options.binary, *arguments, "--server", f"http://{server.address}", "--json"]
    start, samples, is_over = time.perf_counter(), [], threading.Event()
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def watch():
        while not is_over.wait(0.2):
            samples.append((resident(process.pid), server.status("VmRSS")))

    watcher = threading.Thread(target=watch)
    watcher.start()
    out, err = process.communicate()
    spent = time.perf_counter() - start
    is_over.set()
    watcher.join()
    if process.returncode:
        raise SystemExit(f"{arguments}: {err[-500:]}{out[-500:]}")
    copy = copy or copied(file)
    own = [command for command, _ in samples if command]
    of_server = [server for _, server in samples]
    pick = lambda list, share: round(list[int(share * (len(list) - 1))]) if list else None
    return {
        "s": round(spent, 1),
        "vectors/s": round(options.vectors / spent),
        "MiB/s of the file": round(file.stat().st_size / 2**20 / spent, 1),
        "times a copy by the disk": round(spent / copy, 1),
        "command MiB at 10 %, at the end, highest": [pick(own, 0.1), pick(own, 0.98), round(max(own, default=0))],
        "server MiB at 10 %, at the end, highest": [pick(of_server, 0.1), pick(of_server, 1), round(max(of_server))],
    }, json.loads(out)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default=harness.ROOT / "target/release/simile")
    parser.add_argument("--vectors", type=int, default=1_000_000)
    parser.add_argument("--dimension", type=int, default=128)
    parser.add_argument("--format", choices=["parquet", "jsonl"], default="parquet")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    stubs = harness.stubs()
    report = {"machine": harness.machine(), "vectors": options.vectors, "dimension": options.dimension}
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        first, second = folder / f"first.{options.format}", folder / f"second.{options.format}"
        write(first, options.format, options.vectors, options.dimension)
        report["file, MiB"] = round(first.stat().st_size / 2**20)
        with harness.Server(options.binary, folder / "data") as server:
            config = stubs.VectorConfig(dimension=options.dimension, metric=stubs.METRIC_EUCLIDEAN)
            request = stubs.CreateCollectionRequest(name="one", vectors={"v": config})
            stubs.CollectionsStub(server.channel).Create(request)
            report["import"], told = run(options, server, first, "import", first, "-c", "one")
            assert told["stored"] == options.vectors, told
            report["export"], told = run(options, server, second, "export", "one", second)
            assert told["documents"] == options.vectors, told
            report["export, MiB"] = round(second.stat().st_size / 2**20)
            report["import of the export"], told = run(options, server, second, "import", second, "-c", "two")
            assert told["stored"] == options.vectors, told
            ids, vectors = next(rows(options.vectors, options.dimension))
            asked = [f"d{i}" for i in list(ids)[:100]]
            request = stubs.GetDocumentsRequest(collection="two", ids=asked, with_vectors=True)
            found = stubs.DocumentsStub(server.channel).Get(request).documents
            for document, vector in zip(found, vectors):
                back = numpy.array(document.parts[0].vectors["v"].components, dtype=numpy.float32)
                assert (back == vector).all(), document.id
            assert len(found) == len(asked)
    if options.json:
        print(json.dumps(report))
        return
    for name, figures in report.items():
        print(name, json.dumps(figures))


if __name__ == "__main__":
    main()
