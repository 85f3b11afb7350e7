"""Records what scikit-learn, SciPy, hdbscan and leidenalg say about small sets, for src/cluster and
src/evaluate.

    python3 -m venv reference-venv
    reference-venv/bin/pip install scikit-learn==1.9.1 scipy hdbscan==0.8.44 leidenalg==0.12.0 igraph
    reference-venv/bin/python tests/reference/cluster.py > tests/reference/cluster.json

All sets are made here: blobs of different density in noise, two moons in noise, ten long classes that
overlap a little ("classes"), and a graph of four groups. scikit-learn counts a point among its own
`min_samples`, as we do; hdbscan, which is asked for the outlier scores, does not. Those are computed from hdbscan's condensed tree by the definition of Campello et al. 2015 (one minus the
density at which a point leaves, by the highest that is reached below the cluster it leaves).
"""

import json
import random
import sys

import hdbscan
import igraph
import leidenalg
import numpy as np
from scipy.cluster.hierarchy import linkage
from sklearn import metrics
from sklearn.cluster import DBSCAN, HDBSCAN, KMeans
from sklearn.datasets import make_blobs, make_moons
from sklearn.manifold import trustworthiness
from sklearn.neighbors import NearestNeighbors

CHANCE = np.random.default_rng(20261127)


def sets():
    blobs, classes = make_blobs([80, 60, 40, 40], 4, cluster_std=[0.4, 0.8, 1.2, 0.3], random_state=5)
    noise = CHANCE.uniform(blobs.min(), blobs.max(), (30, 4))
    yield "blobs", np.vstack([blobs, noise]), [*classes.tolist(), *[9] * 30]
    moons, classes = make_moons(220, noise=0.06, random_state=6)
    noise = CHANCE.uniform(-1.5, 2.5, (20, 2))
    yield "moons", np.vstack([moons, noise]), [*classes.tolist(), *[9] * 20]
    classes = CHANCE.permutation(np.repeat(np.arange(10), 40))
    centres = CHANCE.normal(0, 2.2, (10, 10))
    shapes = CHANCE.normal(0, 0.75, (10, 4, 10))
    inside = np.einsum("ni,nij->nj", CHANCE.normal(size=(400, 4)), shapes[classes])
    yield "classes", centres[classes] + inside + CHANCE.normal(0, 0.6, (400, 10)), classes.tolist()


def outlier_scores(points, min_size, min_samples):
    found = hdbscan.HDBSCAN(min_cluster_size=min_size, min_samples=min_samples - 1, algorithm="generic", approx_min_span_tree=False).fit(points)
    tree = found.condensed_tree_._raw_tree
    root = tree["parent"].min()
    peaks = {}
    for parent, density in zip(tree["parent"], tree["lambda_val"]):
        peaks[parent] = max(peaks.get(parent, 0.0), density)
    for row in sorted(tree[tree["child"] >= root], key=lambda row: -row["child"]):
        peaks[row["parent"]] = max(peaks[row["parent"]], peaks[row["child"]])
    scores = np.zeros(len(points))
    for row in tree[tree["child"] < root]:
        scores[row["child"]] = 1 - row["lambda_val"] / peaks[row["parent"]]
    return scores


def by_density(points, min_size, min_samples, selection):
    density = HDBSCAN(min_cluster_size=min_size, min_samples=min_samples, cluster_selection_method=selection, algorithm="brute", copy=True).fit(points)
    return density.labels_, density.probabilities_, outlier_scores(points, min_size, min_samples)


def is_same(points, settings, expected, order):
    labels, probabilities, scores = by_density(points[order], *settings)
    return (
        metrics.adjusted_rand_score(expected[0][order], labels) == 1.0
        and np.abs(expected[1][order] - probabilities).max() < 1e-9
        and np.abs(expected[2][order] - scores).max() < 1e-9
    )


def settled(points, has_others):
    """Yields settings, and whether the result under them does not depend on the order of the points.

    A core distance is often the weight of several edges; which of those is first decides where a point
    of noise goes, and in the references that depends on the order of the rows. Asked for others too, it
    yields three settings of many samples, with which nearly every result does depend on it.
    """
    kept = {"eom": 0, "leaf": 0}
    for min_samples in [5, 8, 2]:
        for min_size in [5, 8, 15]:
            for selection in kept:
                settings = (min_size, min_samples, selection)
                labels, probabilities, scores = by_density(points, *settings)
                is_settled = kept[selection] < 4 and all(
                    is_same(points, settings, (labels, probabilities, scores), np.roll(np.arange(len(points)), start))
                    for start in range(0, len(points), len(points) // 16)
                )
                kept[selection] += is_settled
                if is_settled or (has_others and selection == "eom" and min_samples == 8):
                    yield settings, is_settled


def rounded(values, digits=7):
    return [round(float(value), digits) for value in values]


def shared_graph(points, k):
    near = NearestNeighbors(n_neighbors=k).fit(points).kneighbors(return_distance=False)
    lists = [set(row.tolist()) | {i} for i, row in enumerate(near)]
    edges = sorted({(min(i, int(j)), max(i, int(j))) for i, row in enumerate(near) for j in row})
    weights = [len(lists[a] & lists[b]) / len(lists[a] | lists[b]) for a, b in edges]
    return len(points), edges, weights


def best_modularity(count, edges, weights):
    graph = igraph.Graph(count, edges)
    found = [leidenalg.find_partition(graph, leidenalg.ModularityVertexPartition, weights=weights, n_iterations=-1, seed=seed) for seed in range(20)]
    return max(graph.modularity(partition.membership, weights=weights) for partition in found)


def bcubed(classes, clusters):
    clusters = [label if label >= 0 else -1 - i for i, label in enumerate(clusters)]
    count, precision, recall = len(classes), 0.0, 0.0
    for i in range(count):
        mates = [j for j in range(count) if clusters[j] == clusters[i]]
        kin = [j for j in range(count) if classes[j] == classes[i]]
        both = len(set(mates) & set(kin))
        precision += both / len(mates) / count
        recall += both / len(kin) / count
    return precision, recall


def agreement():
    chance = random.Random(8)
    cases = [([0, 0, 1, 1], [0, 0, 1, 1]), ([0, 0, 0, 0], [0, 1, 2, 3]), ([0, 1, 2, 3], [0, 1, 2, 3]), ([0, 0, 0], [1, 1, 1])]
    for count, classes, clusters in [(10, 3, 2), (40, 4, 7), (100, 5, 5), (150, 12, 3)] * 3:
        truth = [chance.randrange(classes) for _ in range(count)]
        found = [chance.choice([label, label, chance.randrange(clusters), -1]) for label in truth]
        cases.append((truth, found))
    for truth, found in cases:
        homogeneity, completeness, v = metrics.homogeneity_completeness_v_measure(truth, found)
        precision, recall = bcubed(truth, found)
        yield {
            "classes": truth,
            "clusters": found,
            "nmi": metrics.normalized_mutual_info_score(truth, found),
            "ari": metrics.adjusted_rand_score(truth, found),
            "homogeneity": homogeneity,
            "completeness": completeness,
            "v_measure": v,
            "bcubed_precision": precision,
            "bcubed_recall": recall,
        }


def main():
    found = {name: [] for name in ["sets", "hdbscan", "dbscan", "kmeans", "hierarchy", "trustworthiness", "communities"]}
    for name, points, classes in sets():
        # What is recorded is what both sides compute with.
        points = np.round(points, 3).astype(np.float32).astype(np.float64)
        found["sets"].append({"name": name, "dimension": points.shape[1], "values": rounded(points.ravel(), 3), "classes": classes})
        for (min_size, min_samples, selection), is_settled in settled(points, name == "blobs"):
            labels, probabilities, scores = by_density(points, min_size, min_samples, selection)
            found["hdbscan"].append({
                "set": name, "min_size": min_size, "min_samples": min_samples, "selection": selection, "is_settled": bool(is_settled),
                "labels": labels.tolist(), "probabilities": rounded(probabilities, 6), "outlier_scores": rounded(scores, 6),
            })
        scale = float(np.median(NearestNeighbors(n_neighbors=6).fit(points).kneighbors()[0][:, -1]))
        for factor, min_samples in [(0.8, 4), (1.0, 6), (1.3, 3)]:
            radius = round(scale * factor, 3)
            labels = DBSCAN(eps=radius, min_samples=min_samples).fit(points).labels_
            found["dbscan"].append({"set": name, "radius": radius, "min_samples": min_samples, "labels": labels.tolist()})
        for k in [2, 4, 10, 40]:
            rows = CHANCE.choice(len(points), k, replace=False)
            means = KMeans(k, init=points[rows], n_init=1, tol=0, max_iter=300).fit(points)
            found["kmeans"].append({
                "set": name, "start": rows.tolist(), "inertia": float(means.inertia_), "labels": means.labels_.tolist(),
                "silhouette": float(metrics.silhouette_score(points, means.labels_)),
            })
        for method in ["average", "complete", "ward", "single"]:
            found["hierarchy"].append({"set": name, "linkage": method, "heights": rounded(linkage(points, method)[:, 2], 5)})
        layout = np.round(points[:, :2] + CHANCE.normal(0, 0.3, (len(points), 2)), 6).astype(np.float32).astype(np.float64)
        for k in [5, 15]:
            value = trustworthiness(points, layout, n_neighbors=k)
            found["trustworthiness"].append({"set": name, "layout": rounded(layout.ravel(), 6), "k": k, "value": value})
        graph = shared_graph(points, 10)
        found["communities"].append({"set": name, "k": 10, "edges": None, "modularity": best_modularity(*graph)})
    chance = random.Random(9)
    edges = [[a, b] for b in range(60) for a in range(b) if chance.random() < (0.4 if a % 4 == b % 4 else 0.04)]
    found["communities"].append({"set": None, "k": None, "edges": edges, "modularity": best_modularity(60, edges, [1.0] * len(edges))})
    found["agreement"] = list(agreement())
    json.dump(found, sys.stdout, separators=(",", ":"))
    print()


if __name__ == "__main__":
    main()
