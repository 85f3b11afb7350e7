"""What belongs together, with progress: python clusters.py [ADDRESS]"""

import sys

import numpy as np

import simile

chance = np.random.default_rng(2)
centres = chance.standard_normal((3, 16)) * 10
with simile.connect(*sys.argv[1:2]) as client:
    client.create_collection("points", {"v": simile.VectorConfig(dimension=16, metric="euclidean")})
    points = [
        {"id": f"{name}-{i}", "vectors": {"v": centre + chance.standard_normal(16)}}
        for name, centre in zip("abc", centres)
        for i in range(30)
    ]
    client.ingest("points", points).finish()

    job = client.cluster("points", simile.KMeans(k=3), write_to="cluster")
    for state in job.progress():
        print(state.state.name, state.items_done, state.message)
    for cluster in job.result():
        print(cluster.number, cluster.size, sorted({member.id[0] for member in cluster.members}))
    print(client.facet("points", "cluster"))

    client.delete_collection("points")
