"""How fast are k-means and HDBSCAN beside faiss and scikit-learn, and do they find the same?

    python3 benches/peers/cluster.py [--program PATH] [--kmeans 50000x384x100] [--hdbscan 50000x384x10] [--json]
    python3 benches/peers/cluster.py --growth [--sizes 10000,100000,1000000] [--dimension 128]
    python3 benches/peers/cluster.py --map VECTORS.npy ...

The vectors are made up: long clusters of unlike size and width, and a tenth of noise. All get the same
ones. Time is what the process computed, all threads together (CPU seconds), so that it counts the same
on a machine that has other work too. k-means counts with its inertia: faiss is given its own defaults
(25 iterations) but all points, and from the seeds of k-means++ until it comes to our inertia. HDBSCAN
counts with how far its clusters agree with those of scikit-learn and of the package hdbscan (ARI).

`--growth` runs our methods alone over more and more vectors, and tells CPU seconds, the seconds of the part that
looks for neighbours, the peak of memory and the exponent of growth from one size to the next. `--map` lays out
vectors of labelled sets and tells trustworthiness at 15 neighbours.

`--program` is the bench `cluster` of this repository, built for release; it is built if not given.
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

harness.environment(["faiss-cpu", "hdbscan", "scikit-learn"])

import numpy


def vectors(count, dimension, clusters, seed=1):
    chance = numpy.random.default_rng(seed)
    weights = chance.dirichlet(numpy.full(clusters, 2.0))
    label = chance.choice(clusters, count, p=weights)
    centres = chance.normal(0, 1, (clusters, dimension))
    widths = chance.uniform(0.15, 0.45, clusters)
    rank = min(8, dimension)
    shapes = chance.normal(0, 1, (clusters, rank, dimension)) / rank**0.5
    found = numpy.empty((count, dimension), numpy.float32)
    for cluster in range(clusters):
        rows = numpy.flatnonzero(label == cluster)
        along = chance.normal(0, 1, (len(rows), rank)) @ shapes[cluster]
        found[rows] = centres[cluster] + widths[cluster] * (along + 0.3 * chance.normal(0, 1, along.shape))
    noise = chance.choice(count, count // 10, replace=False)
    found[noise] = chance.normal(0, 1.1, (len(noise), dimension))
    return found


def ours(program, points, method, number, folder):
    points.tofile(folder / "vectors.f32")
    command = [program, folder / "vectors.f32", points.shape[1], method, number, folder / "labels.i32"]
    output = subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(output), numpy.fromfile(folder / "labels.i32", numpy.int32)


def timed(work):
    start = time.process_time()
    found = work()
    return time.process_time() - start, found


def inertia(points, centres):
    import faiss

    index = faiss.IndexFlatL2(points.shape[1])
    index.add(centres)
    return float(index.search(points, 1)[0].sum(dtype=numpy.float64))


def kmeans(program, size, folder):
    import faiss
    from sklearn.cluster import KMeans, kmeans_plusplus

    count, dimension, k = size
    points = vectors(count, dimension, k)
    mine, _ = ours(program, points, "kmeans", k, folder)
    rows = [{"name": "simile", "cpu_s": mine["cpu_s"], "inertia": mine["inertia"]}]
    for iterations in [25, 100]:
        means = faiss.Kmeans(dimension, k, niter=iterations, max_points_per_centroid=count, seed=1)
        seconds, _ = timed(lambda: means.train(points))
        rows.append({"name": f"faiss, {iterations} iterations", "cpu_s": seconds, "inertia": inertia(points, means.centroids)})
    # To the inertia that ours reaches, faiss comes with good seeds: from those, one iteration after the other until
    # it is there, and only the time of the iterations counts, not that of the seeding.
    seeds = kmeans_plusplus(points, k, random_state=1)[0]
    for iterations in [1, 2, 4, 6, 8, 10, 15, 20, 25, 50, 100]:
        means = faiss.Kmeans(dimension, k, niter=iterations, max_points_per_centroid=count, seed=1)
        seconds, _ = timed(lambda: means.train(points, init_centroids=seeds))
        reached = inertia(points, means.centroids)
        if reached <= mine["inertia"] * 1.0001:
            break
    rows.append({"name": f"faiss, k-means++, {iterations} iterations", "cpu_s": seconds, "inertia": reached})
    seconds, means = timed(lambda: KMeans(k, n_init=1, max_iter=100, random_state=1).fit(points))
    rows.append({"name": "scikit-learn", "cpu_s": seconds, "inertia": inertia(points, means.cluster_centers_.astype(numpy.float32))})
    for row in rows:
        row["times_ours"] = row["cpu_s"] / rows[0]["cpu_s"]
        row["inertia_by_ours"] = row["inertia"] / rows[0]["inertia"]
    return {"size": size, "rows": rows}


def by_density(program, size, wanted, folder):
    from hdbscan import HDBSCAN as HdbscanPackage
    from sklearn.cluster import HDBSCAN
    from sklearn.metrics import adjusted_rand_score

    count, dimension, min_size = size
    points = vectors(count, dimension, 20, seed=2)
    mine, labels = ours(program, points, "hdbscan", min_size, folder)
    rows = [{"name": "simile", "cpu_s": mine["cpu_s"], "graph_cpu_s": mine["graph_cpu_s"], "clusters": mine["clusters"], "times_ours": 1.0}]
    peers = {
        "scikit-learn": lambda: HDBSCAN(min_size, min_samples=min_size, n_jobs=None, copy=True).fit(points).labels_,
        "hdbscan": lambda: HdbscanPackage(min_cluster_size=min_size, min_samples=min_size - 1, core_dist_n_jobs=1).fit(points).labels_,
    }
    for name in wanted:
        seconds, theirs = timed(peers[name])
        agreement = adjusted_rand_score(theirs, labels)
        rows.append({"name": name, "cpu_s": seconds, "clusters": int(theirs.max()) + 1, "times_ours": seconds / mine["cpu_s"], "agreement": agreement})
    return {"size": size, "rows": rows}


def growth(program, sizes, dimension, folder):
    """Returns what each method takes for each size."""
    rows = []
    for method, number in [("hdbscan", 10), ("leiden", 0), ("kmeans", 100)]:
        before = None
        for count in sizes:
            points = vectors(count, dimension, 100, seed=3)
            mine, _ = ours(program, points, method, number, folder)
            row = {"method": method, "count": count, **mine}
            if before:
                ratio = numpy.log(mine["cpu_s"] / before["cpu_s"])
                row["exponent"] = float(ratio / numpy.log(count / before["count"]))
            rows.append(row)
            before = row
            print(json.dumps(row), file=sys.stderr)
    return rows


def size(text):
    return tuple(int(number) for number in text.split("x"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program")
    parser.add_argument("--kmeans", type=size, action="append", metavar="COUNTxDIMENSIONxK")
    parser.add_argument("--hdbscan", type=size, action="append", metavar="COUNTxDIMENSIONxLEAST")
    parser.add_argument("--peers", default="scikit-learn,hdbscan", help="what HDBSCAN is compared with")
    parser.add_argument("--growth", action="store_true")
    parser.add_argument("--sizes", default="10000,100000,1000000")
    parser.add_argument("--dimension", type=int, default=128)
    parser.add_argument("--map", type=Path, nargs="+", metavar="VECTORS", help="files of numpy, rows x components")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    program = arguments.program or harness.driver("cluster")
    results = {"machine": harness.machine(), "kmeans": [], "hdbscan": []}
    if arguments.growth or arguments.map:
        with tempfile.TemporaryDirectory() as folder:
            if arguments.growth:
                sizes = [int(count) for count in arguments.sizes.split(",")]
                results["growth"] = growth(program, sizes, arguments.dimension, Path(folder))
            for file in arguments.map or []:
                points = numpy.ascontiguousarray(numpy.load(file), numpy.float32)
                results.setdefault("map", []).append({"file": file.name, **ours(program, points, "map", 0, Path(folder))[0]})
        print(json.dumps(results))
        return
    with tempfile.TemporaryDirectory() as folder:
        chosen = arguments.kmeans or arguments.hdbscan
        for one in arguments.kmeans or ([] if chosen else [(50_000, 384, 100)]):
            results["kmeans"].append(kmeans(program, one, Path(folder)))
        wanted = [name for name in arguments.peers.split(",") if name]
        for one in arguments.hdbscan or ([] if chosen else [(50_000, 384, 10)]):
            results["hdbscan"].append(by_density(program, one, wanted, Path(folder)))
    if arguments.json:
        print(json.dumps(results))
        return
    for method in ["kmeans", "hdbscan"]:
        for result in results[method]:
            print(method, "x".join(map(str, result["size"])))
            for row in result["rows"]:
                inertia_text = f"  inertia {row['inertia']:.4g} ({row['inertia_by_ours']:.4f})" if "inertia" in row else ""
                agreement = f"  ARI {row['agreement']:.4f}" if "agreement" in row else ""
                print(f"  {row['name']:32} {row['cpu_s']:8.2f} CPU-s  {row['times_ours']:6.2f}{inertia_text}{agreement}")


if __name__ == "__main__":
    main()
