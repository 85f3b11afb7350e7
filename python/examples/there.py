"""What the server reads by itself, with progress: python there.py COLLECTION PATH_OR_ADDRESS... [--server ADDRESS]

The server is to be started with --ingest-root FOLDER for paths beneath it, and --ingest-urls for addresses.
"""

import argparse

import simile

parser = argparse.ArgumentParser()
parser.add_argument("collection")
parser.add_argument("names", nargs="+")
parser.add_argument("--server", default=simile.ADDRESS)
given = parser.parse_args()

with simile.connect(given.server) as client:
    client.create_collection(given.collection, words_only=True)
    ingest = client.ingest_there(given.collection, given.names, label="there")
    total = None
    for result in ingest:
        if total is None and ingest.job is not None:
            total = client.job(ingest.job).items_total
        done = ingest.tally.stored + ingest.tally.unchanged + ingest.tally.failed
        print(f"{done} of {total}: {result.id}", result.error or f"{result.parts} parts")
    print(ingest.tally)
    for hit in client.search(given.collection, "harbour", limit=3):
        print(hit.id, hit.text)

    snapshot = client.create_snapshot(given.collection)
    print(f"kept as {snapshot.name}: {snapshot.documents} documents, {snapshot.bytes} bytes")
    client.delete_collection(given.collection)
