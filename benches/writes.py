"""What does a durable upsert cost through the whole server, beside the bare sync of the same bytes?

    cargo build --release
    python3 benches/writes.py [--json] [--folder DIR] [--seconds 4]

Documents of one part with a vector of 384 components and about 500 bytes of text (2.1 KB), replaced at random
among 20,000 ids, in batches of 1, 64 and 1,024: a batch is one stream, and the next begins when every document of it
was acknowledged. The bare line appends as many bytes to a plain file and syncs it, in the same run and folder, which
decides the disk. The last lines are eight and 32 clients that store one document at a time.
"""

import argparse
import json
import os
import random
import tempfile
import threading
import time
from pathlib import Path

import harness

DIMENSION = 384
RECORD_BYTES = 2100
IDS = 20_000


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", type=Path, default=harness.ROOT / "target/release/simile")
    parser.add_argument("--folder", type=Path, help="where the data lies; default: the temporary folder")
    parser.add_argument("--seconds", type=float, default=4.0, help="for each line")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    stubs = harness.stubs()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        folder = Path(folder)
        flags = ["--offline", "--cache", folder / "cache"]
        with harness.Server(arguments.binary, folder / "data", *flags) as server:
            vector = stubs.VectorConfig(dimension=DIMENSION, metric=stubs.METRIC_EUCLIDEAN)
            request = stubs.CreateCollectionRequest(name="c", vectors={"v": vector})
            stubs.CollectionsStub(server.channel).Create(request)
            documents = made(stubs)
            for size in (1, 64, 1024):
                bare = measured(lambda: append(folder / "bare", size), size, arguments.seconds)
                show(arguments, f"bare sync, {size} at once", *bare, bare[0])
                store = client(stubs, server.channel, documents, size)
                show(arguments, f"upsert, {size} in a batch", *measured(store, size, arguments.seconds), bare[0])
            bare = measured(lambda: append(folder / "bare", 1), 1, arguments.seconds)
            for count in (8, 32):
                rate = together(stubs, server.channel, documents, count, arguments.seconds)
                show(arguments, f"upsert, 1 in a batch, {count} clients", rate, 1e3 * count / rate, bare[0])


def made(stubs):
    """Returns requests as bytes, so that making them is not measured."""
    chance = random.Random(1)
    words = harness.words()
    requests = []
    for number in range(IDS):
        vector = stubs.DenseVector(components=[chance.uniform(-1, 1) for _ in range(DIMENSION)])
        text = " ".join(chance.choice(words) for _ in range(70))
        part = stubs.Part(text=f"{number} {text}", vectors={"v": vector})
        document = stubs.Document(id=f"d{number}", parts=stubs.PartList(parts=[part]))
        requests.append(stubs.UpsertRequest(collection="c", document=document).SerializeToString())
    return requests


def client(stubs, channel, documents, size, seed=1):
    upsert = channel.stream_stream("/simile.v1.Documents/Upsert")
    chance = random.Random(seed)

    def store():
        # Another payload makes another version, or nothing would be written. A field that stands twice is joined.
        version = stubs.Document(payload={"version": stubs.Value(integer=chance.randrange(1 << 60))})
        version = stubs.UpsertRequest(document=version).SerializeToString()
        # Ids differ within a batch: the same id would wait for itself.
        answers = upsert(document + version for document in chance.sample(documents, size))
        stored = sum(b"INVALID" not in answer for answer in answers)
        assert stored == size, (stored, size)

    return store


def append(path, size):
    with open(path, "ab") as file:
        file.write(os.urandom(RECORD_BYTES) * size)
        file.flush()
        os.fdatasync(file.fileno())


def measured(work, size, seconds):
    """Returns documents a second, and milliseconds a batch."""
    work()
    began, batches = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        work()
        batches += 1
    elapsed = time.perf_counter() - began
    return batches * size / elapsed, 1e3 * elapsed / batches


def together(stubs, channel, documents, count, seconds):
    done, lock, end = [0], threading.Lock(), time.perf_counter() + seconds

    def run(seed):
        store = client(stubs, channel, documents, 1, seed)
        while time.perf_counter() < end:
            store()
            with lock:
                done[0] += 1

    threads = [threading.Thread(target=run, args=[seed]) for seed in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return done[0] / seconds


def show(arguments, what, rate, milliseconds, bare):
    if arguments.json:
        print(json.dumps({"what": what, "upserts_s": rate, "ms": milliseconds, "of_bare": rate / bare}), flush=True)
    else:
        print(f"{what:<36}{rate:>12,.0f}/s{milliseconds:>10.2f} ms{rate / bare:>8.2f} of bare", flush=True)


if __name__ == "__main__":
    harness.environment()
    main()
