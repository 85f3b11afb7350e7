"""Texts in, answers out: python quickstart.py [ADDRESS]"""

import sys

import simile

with simile.connect(*sys.argv[1:2]) as client:
    client.create_collection("quickstart")
    texts = [
        {"id": "cat", "text": "The cat chases the mouse", "payload": {"legs": 4, "year": 2021}},
        {"id": "kitten", "text": "The kitten hunts rodents", "payload": {"legs": 4, "year": 2023}},
        {"id": "ham", "text": "I like ham sandwiches", "payload": {"legs": 0}},
    ]
    print(client.ingest("quickstart", texts).finish())

    for hit in client.search("quickstart", "a small cat goes after mice", limit=2):
        print(f"{hit.score:.3f} {hit.id}: {hit.text}")

    recent = (simile.field("legs") == 4) & (simile.field("year") >= 2022)
    for hit in client.search("quickstart", "a small cat goes after mice", filter=recent):
        print(f"from 2022 on: {hit.id}")

    client.delete_collection("quickstart")
