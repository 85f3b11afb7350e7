"""How fast are the best by sparse vectors found beside Seismic and a matrix of SciPy?

    python3 benches/peers/sparse.py [--binary target/release/simile] [--documents 50000] [--json]

Made-up vectors with the shape that learned sparse models give: about 120 entries of 30,000 in a document and 40
in a question, indices by Zipf's law, weights by a log-normal one. simile answers over gRPC and is exact; so is a
compressed sparse matrix of SciPy times the question, in this process. Seismic (pyseismic-lsr; Bruch, Nardini,
Rulli, Venturini 2024), the best library that was found for it, is not exact and runs in this process, too, with
one question at a time; its knobs are turned until it finds 0.95 and 0.99 of the best. Ratios are of one run.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import harness

harness.environment(["scipy", "pyseismic-lsr"])

import numpy
import scipy.sparse
import seismic

LIMIT = 10
VOCABULARY = 30_000
KNOBS = [(4, 0.9), (8, 0.9), (12, 0.8), (20, 0.8), (40, 0.7), (40, 0.5)]


def made(chance, count, entries):
    """Yields ascending indices and weights."""
    shares = 1 / numpy.arange(1, VOCABULARY + 1)
    ends = numpy.cumsum(shares / shares.sum())
    for _ in range(count):
        drawn = numpy.searchsorted(ends, chance.random(max(4, chance.poisson(entries) * 2)))
        indices = numpy.unique(numpy.minimum(drawn, VOCABULARY - 1))[: 2 * entries].astype(numpy.uint32)
        yield indices, chance.lognormal(-0.5, 0.7, len(indices)).astype(numpy.float32)


def timed(questions, ask):
    for question in questions[:20]:
        ask(question)
    spent, found = [], []
    for question in questions:
        start = time.perf_counter()
        found.append(ask(question))
        spent.append(1e3 * (time.perf_counter() - start))
    return spent, found


def figures(spent, found, truth):
    # Equal scores may stand in either order: what counts is whether as much was found.
    shared = sum(len(set(found) & set(right)) for found, right in zip(found, truth))
    return {
        "p50 ms": round(harness.percentile(spent, 0.5), 3),
        "p99 ms": round(harness.percentile(spent, 0.99), 3),
        f"recall@{LIMIT}": round(shared / sum(map(len, truth)), 4),
    }


def of_simile(stubs, options, documents, questions, truth):
    with tempfile.TemporaryDirectory() as folder, harness.Server(options.binary, folder) as server:
        config = stubs.VectorConfig(sparse=stubs.SparseConfig())
        request = stubs.CreateCollectionRequest(name="s", vectors={"s": config})
        stubs.CollectionsStub(server.channel).Create(request)

        def requests():
            for i, (indices, values) in enumerate(documents):
                vector = stubs.SparseVector(indices=indices.tolist(), values=values.tolist())
                parts = stubs.PartList(parts=[stubs.Part(sparse_vectors={"s": vector})])
                yield stubs.UpsertRequest(collection="s", document=stubs.Document(id=f"d{i}", parts=parts))

        start = time.perf_counter()
        for result in stubs.DocumentsStub(server.channel).Upsert(requests()):
            if not result.HasField("stored"):
                raise SystemExit(f"not stored: {result}")
        stubs.AdminStub(server.channel).Optimize(stubs.OptimizeRequest(collection="s"))
        built = time.perf_counter() - start
        search = stubs.SearchStub(server.channel)

        def ask(question):
            vector = stubs.SparseVector(indices=question[0].tolist(), values=question[1].tolist())
            request = stubs.SearchRequest(
                collection="s", sparse_vectors={"s": vector}, limit=LIMIT, with_payload=False, with_text=False
            )
            return [int(hit.id[1:]) for hit in search.Search(request).hits]

        spent, found = timed(questions, ask)
        return {**figures(spent, found, truth), "stored durably and indexed, s": round(built, 1)}


def of_scipy(documents, questions):
    lengths = [len(indices) for indices, _ in documents]
    rows = numpy.repeat(numpy.arange(len(documents)), lengths)
    columns = numpy.concatenate([indices for indices, _ in documents])
    values = numpy.concatenate([values for _, values in documents])
    shape = (VOCABULARY, len(documents))
    # By index: a question touches the rows of its own entries only.
    matrix = scipy.sparse.csr_matrix((values, (columns, rows)), shape=shape)

    def ask(question):
        indices, weights = question
        scores = matrix[indices].T @ weights
        best = numpy.argpartition(-scores, LIMIT)[:LIMIT]
        return best[numpy.argsort(-scores[best], kind="stable")].tolist()

    return timed(questions, ask)


def of_seismic(documents, questions, truth):
    kind = seismic.get_seismic_string()
    token = lambda indices: numpy.array([str(index) for index in indices], dtype=kind)
    dataset = seismic.SeismicDataset()
    for i, (indices, values) in enumerate(documents):
        dataset.add_document(str(i), token(indices), values)
    start = time.perf_counter()
    index = seismic.SeismicIndex.build_from_dataset(dataset)
    built = time.perf_counter() - start
    asked = [(token(indices), values) for indices, values in questions]
    report, reached = {"built, s": round(built, 1)}, {}
    for cut, factor in KNOBS:
        ask = lambda question: [
            int(name)
            for _, _, name in index.search("q", *question, k=LIMIT, query_cut=cut, heap_factor=factor)
        ]
        spent, found = timed(asked, ask)
        told = figures(spent, found, truth)
        for target in (0.95, 0.99):
            if told[f"recall@{LIMIT}"] >= target and target not in reached:
                reached[target] = report[f"at {target}"] = {**told, "query_cut": cut, "heap_factor": factor}
    report["widest"] = told
    return report


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default=harness.ROOT / "target/release/simile")
    parser.add_argument("--documents", type=int, default=50_000)
    parser.add_argument("--questions", type=int, default=300)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    stubs = harness.stubs()
    chance = numpy.random.default_rng(1)
    documents = list(made(chance, options.documents, 120))
    questions = list(made(chance, options.questions, 40))
    spent, truth = of_scipy(documents, questions)
    report = {"machine": harness.machine(), "documents": options.documents}
    report["SciPy CSR, exact"] = figures(spent, truth, truth)
    report["simile over gRPC, exact"] = of_simile(stubs, options, documents, questions, truth)
    report["Seismic"] = of_seismic(documents, questions, truth)
    if options.json:
        print(json.dumps(report))
        return
    for name, told in report.items():
        print(name, json.dumps(told))


if __name__ == "__main__":
    main()
