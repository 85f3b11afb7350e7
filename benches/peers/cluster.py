"""How fast are k-means and HDBSCAN beside faiss and scikit-learn, and do they find the same?

    python3 benches/peers/cluster.py [--program PATH] [--kmeans 50000x384x100] [--hdbscan 10000x64x10] [--json]

The vectors are made up: long clusters of unlike size and width, and a tenth of noise. All get the same
ones. Time is what the process computed, all threads together (CPU seconds), so that it counts the same
on a machine that has other work too. k-means counts with its inertia: faiss is given its own defaults
(25 iterations) but all points, and again as many iterations as it takes. HDBSCAN counts with how far its
clusters agree with those of scikit-learn (ARI).

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

harness.environment(["faiss-cpu", "scikit-learn"])

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
    output = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True).stdout
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
    from sklearn.cluster import KMeans

    count, dimension, k = size
    points = vectors(count, dimension, k)
    mine, _ = ours(program, points, "kmeans", k, folder)
    rows = [{"name": "simile", "cpu_s": mine["cpu_s"], "inertia": mine["inertia"]}]
    for iterations in [25, 100]:
        means = faiss.Kmeans(dimension, k, niter=iterations, max_points_per_centroid=count, seed=1)
        seconds, _ = timed(lambda: means.train(points))
        rows.append({"name": f"faiss, {iterations} iterations", "cpu_s": seconds, "inertia": inertia(points, means.centroids)})
    seconds, means = timed(lambda: KMeans(k, n_init=1, max_iter=100, random_state=1).fit(points))
    rows.append({"name": "scikit-learn", "cpu_s": seconds, "inertia": inertia(points, means.cluster_centers_.astype(numpy.float32))})
    for row in rows:
        row["times_ours"] = row["cpu_s"] / rows[0]["cpu_s"]
        row["inertia_by_ours"] = row["inertia"] / rows[0]["inertia"]
    return {"size": size, "rows": rows}


def by_density(program, size, folder):
    from sklearn.cluster import HDBSCAN
    from sklearn.metrics import adjusted_rand_score

    count, dimension, min_size = size
    points = vectors(count, dimension, 20, seed=2)
    mine, labels = ours(program, points, "hdbscan", min_size, folder)
    seconds, theirs = timed(lambda: HDBSCAN(min_size, min_samples=min_size, n_jobs=None, copy=True).fit(points).labels_)
    return {
        "size": size,
        "agreement": adjusted_rand_score(theirs, labels),
        "rows": [
            {"name": "simile", "cpu_s": mine["cpu_s"], "graph_cpu_s": mine["graph_cpu_s"], "clusters": mine["clusters"], "times_ours": 1.0},
            {"name": "scikit-learn", "cpu_s": seconds, "clusters": int(theirs.max()) + 1, "times_ours": seconds / mine["cpu_s"]},
        ],
    }


def size(text):
    return tuple(int(number) for number in text.split("x"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program")
    parser.add_argument("--kmeans", type=size, action="append", metavar="COUNTxDIMENSIONxK")
    parser.add_argument("--hdbscan", type=size, action="append", metavar="COUNTxDIMENSIONxLEAST")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    program = arguments.program or harness.driver("cluster")
    results = {"machine": harness.machine(), "kmeans": [], "hdbscan": []}
    with tempfile.TemporaryDirectory() as folder:
        for one in arguments.kmeans or [(50_000, 384, 100)]:
            results["kmeans"].append(kmeans(program, one, Path(folder)))
        for one in arguments.hdbscan or [(10_000, 64, 10)]:
            results["hdbscan"].append(by_density(program, one, Path(folder)))
    if arguments.json:
        print(json.dumps(results))
        return
    for method in ["kmeans", "hdbscan"]:
        for result in results[method]:
            print(method, "x".join(map(str, result["size"])), *([f"ARI {result['agreement']:.4f}"] if "agreement" in result else []))
            for row in result["rows"]:
                inertia_text = f"  inertia {row['inertia']:.4g} ({row['inertia_by_ours']:.4f})" if "inertia" in row else ""
                print(f"  {row['name']:22} {row['cpu_s']:8.2f} CPU-s  {row['times_ours']:6.2f}{inertia_text}")


if __name__ == "__main__":
    main()
