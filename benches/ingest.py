"""What does ingest cost beside the bare model?

    python3 benches/ingest.py [--binary target/release/simile] [--texts 4000] [--rounds 3] [--json]

The same texts, once through the whole pipeline (gRPC stream, cutting, tokenising, the embedding
worker, the durable commit, the index of words) and once through the session alone on batches that are
tokenised already (benches/session.rs). The two take turns, so that a slow minute hits both; the ratio
is the pipeline's rate over the session's, and 1 would mean that everything but the model is free.
The time that both compute is told beside it: on a machine that others use too, it says more.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import harness

harness.environment()


def through_the_pipeline(stubs, binary, texts):
    with tempfile.TemporaryDirectory() as folder, harness.Server(binary, folder) as server:
        collections = stubs.CollectionsStub(server.channel)
        collections.Create(stubs.CreateCollectionRequest(name="texts"))
        # Loads the model and warms it, as the bare loop does before its clock starts.
        warm = stubs.EmbedRequest(texts=[texts[0], max(texts, key=len)])
        stubs.EmbeddingStub(server.channel).Embed(warm)
        requests = (
            stubs.UpsertRequest(collection="texts", document=stubs.Document(id=f"d{i}", text=text))
            for i, text in enumerate(texts)
        )
        start, computed = time.perf_counter(), server.cpu_seconds()
        tokens = 0
        for result in stubs.DocumentsStub(server.channel).Upsert(requests):
            if not result.HasField("stored"):
                raise SystemExit(f"not stored: {result}")
            tokens += result.stored.tokens
        seconds, cpu_seconds = time.perf_counter() - start, server.cpu_seconds() - computed
        return {"texts": len(texts), "tokens": tokens, "seconds": seconds, "cpu_seconds": cpu_seconds}


def through_the_session(file):
    command = ["cargo", "bench", "--quiet", "--bench", "session", "--", file]
    done = subprocess.run(command, cwd=harness.ROOT, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default=harness.ROOT / "target/release/simile")
    parser.add_argument("--texts", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    stubs = harness.stubs()
    # None longer than the model reads, so that a text is one passage on both sides.
    texts = list(harness.texts(options.texts, 8, 120))
    rounds = []
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(texts))
        file.flush()
        for _ in range(options.rounds):
            rounds.append((through_the_session(file.name), through_the_pipeline(stubs, options.binary, texts)))
    rate = lambda run: run["texts"] / run["seconds"]
    cost = lambda run: round(1e3 * run["cpu_seconds"] / run["texts"], 2)
    report = {
        "machine": harness.machine(),
        "tokens per text": round(rounds[0][0]["tokens"] / options.texts, 1),
        "session, texts/s": [round(rate(session), 1) for session, _ in rounds],
        "pipeline, texts/s": [round(rate(pipeline), 1) for _, pipeline in rounds],
        "ratio": [round(rate(pipeline) / rate(session), 3) for session, pipeline in rounds],
        "session, CPU-ms a text": [cost(session) for session, _ in rounds],
        "pipeline, CPU-ms a text": [cost(pipeline) for _, pipeline in rounds],
    }
    if options.json:
        print(json.dumps(report))
        return
    for name, value in report.items():
        print(f"{name:24} {value}")


if __name__ == "__main__":
    main()
