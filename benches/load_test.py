"""Does the server stay itself under three times what it can do?

    python3 benches/load_test.py [--binary target/release/simile] [--seconds 300] [--waiting-max 128] [--json]

A collection of vectors is searched exactly, with 64 questions a request, so that a request is work for the
processor. First it is measured what
the server can do (many requests in flight, each after the other) and how long a request takes while nothing else
runs. Then there are 1,000 connections that do nothing and 256 that send three times as many requests a second as
the server can answer, whether or not the ones before are answered. Told are the latencies of what was admitted and
of what was refused, the memory as time goes, how long the server needs afterwards to be as fast as before, and
whether the idle connections still work.

What has to hold: admitted requests take at most twice the unloaded p99 and what the queue in front of the workers
takes (its places by the rate at which requests were answered in the slowest ten seconds); the others are refused
within 50 ms (p99, by the client's clock or the server's), with a hint when to come back, and with no other error; memory stays flat (5 % and 16 MiB); recovered within 10 s.

The server and the client share the machine: what the client's own loop is late is told, too.
"""

import argparse
import asyncio
import json
import re
import socket
import statistics
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import harness

harness.environment()

import grpc
import numpy

DIMENSION = 384
IDLE, BUSY, TIMES = 1_000, 256, 3
#: Of a request, so that it is work.
QUESTIONS = 64
#: More requests than this under way, and the client is what is overloaded.
UNDER_WAY_MAX = 20_000


class Load:
    """A client with its figures."""

    def __init__(self, stubs, server, request, parts):
        self.stubs, self.server, self.request, self.parts = stubs, server, request, parts

    def channel(self):
        options = [("grpc.use_local_subchannel_pool", 1)]
        return grpc.aio.insecure_channel(self.server.address, options=options)

    async def ask(self, stub):
        """Returns how long a request took, and its status."""
        began = time.perf_counter()
        try:
            batch = await stub.SearchBatch(self.request, timeout=60)
            hits = [len(result.answer.hits) for result in batch.results]
            status = "OK" if hits == [10] * QUESTIONS else "WRONG"
        except grpc.aio.AioRpcError as error:
            status = error.code().name
            if status == "RESOURCE_EXHAUSTED" and "retry-after" not in dict(error.trailing_metadata()):
                status = "NO HINT"
        return time.perf_counter() - began, status

    async def capacity(self, seconds):
        """Returns the requests a second that 64 in flight get answered."""
        stubs = [self.stubs.SearchStub(self.channel()) for _ in range(4)]
        until, done = time.perf_counter() + seconds, [0]

        async def in_turn(stub):
            while time.perf_counter() < until:
                _, status = await self.ask(stub)
                done[0] += status == "OK"

        began = time.perf_counter()
        await asyncio.gather(*(in_turn(stubs[i % 4]) for i in range(64)))
        return done[0] / (time.perf_counter() - began)

    async def unloaded(self, stub, seconds, rate):
        """Returns the latencies of requests one by one, at a tenth of what the server can do."""
        latencies, until = [], time.perf_counter() + seconds
        while time.perf_counter() < until:
            took, status = await self.ask(stub)
            if status != "OK":
                raise SystemExit(f"an unloaded server answers {status}")
            latencies.append(took)
            await asyncio.sleep(max(0, 10 / rate - took))
        return latencies

    async def overload(self, stubs, rate, seconds):
        """Sends requests at this rate, whatever becomes of them; returns time, status and latency of each, and
        how late the client was."""
        results, late, under_way = [], [], set()

        async def one(stub, at):
            took, status = await self.ask(stub)
            results.append((at, status, took))

        began, sent = time.perf_counter(), 0
        while (now := time.perf_counter() - began) < seconds:
            due = min(int(now * rate), int(seconds * rate))
            if sent < due:
                late.append(now - (sent + 1) / rate)
            while sent < due:
                task = asyncio.create_task(one(stubs[sent % len(stubs)], now))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
                sent += 1
            if len(under_way) > UNDER_WAY_MAX:
                raise SystemExit("the client is overloaded, not the server: take fewer requests a second")
            await asyncio.sleep(0.002)
        spent = time.perf_counter() - began
        await asyncio.gather(*under_way)
        return results, late, sent, spent

    async def recovery(self, stub, usual):
        """Returns in how many seconds ten requests one after another are as fast as before."""
        began, good = time.perf_counter(), 0
        while good < 10 and time.perf_counter() - began < 60:
            took, status = await self.ask(stub)
            good = good + 1 if status == "OK" and took <= usual else 0
            first = time.perf_counter() - began if good == 1 else first if good else None
        return first if good >= 10 else float("inf")


def step(words):
    print(f"{time.strftime('%H:%M:%S')} {words}", file=sys.stderr, flush=True)


async def measure(stubs, server, options):
    chance = numpy.random.default_rng(1)
    vector = {"v": stubs.DenseVector(components=chance.standard_normal(DIMENSION).tolist())}
    one = stubs.SearchRequest(vectors=vector, mode=stubs.MODE_SEMANTIC, exact=True)
    request = stubs.SearchBatchRequest(collection="load", searches=[one] * QUESTIONS)
    load = Load(stubs, server, request, options.parts)
    probe = stubs.SearchStub(load.channel())
    await load.ask(probe)
    step("what can it do?")
    capacity = await load.capacity(8)
    before = await load.unloaded(probe, 20, capacity)
    usual = harness.percentile(before, 0.99)

    step(f"{capacity:.0f} requests/s; {IDLE + BUSY} connections")
    idle = [load.channel() for _ in range(IDLE)]
    busy = [load.channel() for _ in range(BUSY)]
    for start in range(0, IDLE, 50):
        await asyncio.gather(*(channel.channel_ready() for channel in idle[start : start + 50]))
    await asyncio.gather(*(channel.channel_ready() for channel in busy))
    connections = len(established(server))

    memory, over = [], asyncio.Event()

    async def watch():
        while not over.is_set():
            memory.append(server.status("VmRSS"))
            await asyncio.sleep(1)

    watcher = asyncio.create_task(watch())
    rate = TIMES * capacity
    step(f"{rate:.0f} requests/s for {options.seconds} s")
    searches = [stubs.SearchStub(channel) for channel in busy]
    earlier = buckets(server)
    results, late, sent, spent = await load.overload(searches, rate, options.seconds)
    step("recovering")
    recovered = await load.recovery(probe, 2 * usual)
    over.set()
    await watcher
    works = 0
    for channel in idle:
        collection = await stubs.CollectionsStub(channel).Get(stubs.GetCollectionRequest(name="load"))
        works += collection.documents == options.parts

    statuses = Counter(status for _, status, _ in results)
    # While the queue fills, requests are not refused yet: that belongs to it.
    admitted = [took for _, status, took in results if status == "OK"]
    refused = [took for _, status, took in results if status == "RESOURCE_EXHAUSTED"]
    done = [at + took for at, status, took in results if status == "OK" and at + took <= spent]
    first = min((at for at, status, _ in results if status == "RESOURCE_EXHAUSTED"), default=0)
    throughput = len([at for at in done if at >= first]) / (spent - first)
    slowest = slowest_rate(done, first, spent)
    queue = (options.waiting_max + options.workers) / slowest
    by_server = refused_p99(earlier, buckets(server), len(refused))
    fifth = max(1, len(memory) // 5)
    start, end = statistics.median(memory[fifth : 2 * fifth] or memory), statistics.median(memory[-fifth:])
    ms = lambda seconds: round(1e3 * seconds, 1)
    p99 = lambda values: harness.percentile(values, 0.99) if values else 0
    figures = {
        "capacity, requests/s": round(capacity, 1),
        "unloaded p50, ms": ms(statistics.median(before)),
        "unloaded p99, ms": ms(usual),
        "connections": connections,
        "sent/s": round(sent / spent, 1),
        "answered/s": round(throughput, 1),
        "answered/s in the slowest ten seconds": round(slowest, 1),
        "refused/s": round(len(refused) / spent, 1),
        "other answers": {name: n for name, n in statuses.items() if name not in ("OK", "RESOURCE_EXHAUSTED")},
        "admitted p50, ms": ms(statistics.median(admitted)),
        "admitted p99, ms": ms(p99(admitted)),
        "the queue takes, ms": ms(queue),
        "admitted p99 may be, ms": ms(2 * usual + queue),
        "refused p50, ms": ms(statistics.median(refused or [0])),
        "refused p99, ms": ms(p99(refused)),
        "refused p99 by the server's clock, at most ms": ms(by_server),
        "client late p99, ms": ms(p99(late)),
        "resident MiB, second fifth": round(start, 1),
        "resident MiB, last fifth": round(end, 1),
        "recovered after, s": round(recovered, 2),
        "idle connections that still work": works,
    }
    holds = {
        "admitted within twice the unloaded p99 and the queue": p99(admitted) <= 2 * usual + queue,
        "refused within 50 ms": bool(refused) and min(p99(refused), by_server) <= 0.05,
        "no other error": not figures["other answers"],
        "memory flat": end <= start * 1.05 + 16,
        "recovered within 10 s": recovered <= 10,
        "idle connections work": works == IDLE,
    }
    for channel in [*idle, *busy]:
        await channel.close()
    return figures, holds


def slowest_rate(done, first, until):
    """Returns the requests a second that were answered in the slowest ten seconds since the first refusal."""
    width = min(10, until - first)
    starts = numpy.arange(first, max(until - width, first) + 1e-9, 1)
    times = numpy.sort(done)
    counts = numpy.searchsorted(times, starts + width) - numpy.searchsorted(times, starts)
    return max(1, counts.min()) / width


def buckets(server):
    """Returns how many searches the server answered within so many seconds, by the upper bounds."""
    with urllib.request.urlopen(f"http://{server.http}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    found = (re.fullmatch(r'simile_request_seconds_bucket\{le="(.*?)",method=".*SearchBatch"\} (\d+)', line) for line in lines)
    return {float(match[1].replace("+Inf", "inf")): int(match[2]) for match in found if match}


def refused_p99(earlier, later, refused):
    """Returns the upper bound of the bucket that has the refused requests' p99: what is refused is answered
    before what waits."""
    for bound, count in sorted(later.items()):
        if count - earlier.get(bound, 0) >= 0.99 * refused:
            return bound
    return float("inf")


def established(server):
    """Returns the connections that the server holds."""
    port = int(server.address.rsplit(":", 1)[1])
    lines = Path(f"/proc/{server.process.pid}/net/tcp").read_text().splitlines()[1:]
    fields = [line.split() for line in lines]
    return [one for one in fields if one[3] == "01" and int(one[1].split(":")[1], 16) == port]


def store(stubs, server, parts):
    vectors = numpy.random.default_rng(2).standard_normal((parts, DIMENSION), dtype=numpy.float32)
    config = stubs.VectorConfig(dimension=DIMENSION)
    request = stubs.CreateCollectionRequest(name="load", vectors={"v": config})
    stubs.CollectionsStub(server.channel).Create(request)

    def requests():
        for i, vector in enumerate(vectors):
            given = stubs.Vectors(by_name={"v": stubs.DenseVector(components=vector.tolist())})
            yield stubs.UpsertRequest(collection="load", document=stubs.Document(id=f"d{i}", vectors=given))

    for result in stubs.DocumentsStub(server.channel).Upsert(requests()):
        if not result.HasField("stored"):
            raise SystemExit(f"not stored: {result}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default=harness.ROOT / "target/release/simile")
    parser.add_argument("--parts", type=int, default=4_000)
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--waiting-max", type=int, default=128)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    stubs = harness.stubs()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        http = f"127.0.0.1:{free.getsockname()[1]}"
    flags = ["--http", http, "--waiting-max", options.waiting_max, "--workers", options.workers, "--log", "error"]
    with tempfile.TemporaryDirectory() as folder, harness.Server(options.binary, folder, *flags) as server:
        server.http = http
        step(f"storing {options.parts} vectors")
        store(stubs, server, options.parts)
        stubs.AdminStub(server.channel).Optimize(stubs.OptimizeRequest(collection="load"))
        figures, holds = asyncio.run(measure(stubs, server, options))
    report = {"machine": harness.machine(), "load": figures, "holds": holds}
    if options.json:
        print(json.dumps(report))
    else:
        print(report["machine"])
        for name, value in {**figures, **holds}.items():
            print(f"{name:55}{value!s:>20}")
    if not all(holds.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
