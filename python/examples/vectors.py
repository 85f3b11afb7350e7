"""Vectors of your own, as numpy has them: python vectors.py [ADDRESS]"""

import sys

import numpy as np

import simile

rows = np.random.default_rng(1).standard_normal((500, 32)).astype(np.float32)
with simile.connect(*sys.argv[1:2]) as client:
    client.create_collection("vectors", {"v": simile.VectorConfig(dimension=32, metric="euclidean")})
    documents = (
        simile.Document(f"row-{i}", vectors={"v": row}, payload={"even": i % 2 == 0}) for i, row in enumerate(rows)
    )
    print(client.ingest("vectors", documents).finish())

    hits = client.search("vectors", vector=rows[7], limit=3)
    print("nearest:", [hit.id for hit in hits])
    even = client.search("vectors", vector=rows[7], filter=simile.field("even") == True, limit=3)  # noqa: E712
    print("nearest of the even ones:", [hit.id for hit in even])
    print(f"recall@10: {client.recall('vectors', questions=50).recall:.3f}")

    client.delete_collection("vectors")
