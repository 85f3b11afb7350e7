"""The normal use of qdrant-haystack over gRPC: HOST PORT."""

import sys

from haystack import Document
from haystack.document_stores.types import DuplicatePolicy
from haystack_integrations.components.retrievers.qdrant import QdrantEmbeddingRetriever
from haystack_integrations.document_stores.qdrant import QdrantDocumentStore

HOST, PORT = sys.argv[1], int(sys.argv[2])
store = QdrantDocumentStore(
    host=HOST, grpc_port=PORT, prefer_grpc=True, index="haystack", embedding_dim=3,
    recreate_index=True, return_embedding=True, wait_result_from_api=True,
)
documents = [
    Document(content="the cat", embedding=[1.0, 0.0, 0.1], meta={"kind": "animal", "year": 1999}),
    Document(content="the kitten", embedding=[0.9, 0.1, 0.1], meta={"kind": "animal", "year": 2005}),
    Document(content="bread", embedding=[0.0, 1.0, 0.1], meta={"kind": "food", "year": 2010}),
]
assert store.count_documents() == 0
assert store.write_documents(documents) == 3
assert store.write_documents(documents, policy=DuplicatePolicy.OVERWRITE) == 3
assert store.count_documents() == 3

food = {"field": "meta.kind", "operator": "==", "value": "food"}
found = store.filter_documents(food)
assert [one.content for one in found] == ["bread"] and found[0].meta["year"] == 2010
late = {
    "operator": "AND",
    "conditions": [
        {"field": "meta.year", "operator": ">", "value": 2000},
        {"field": "meta.kind", "operator": "in", "value": ["animal", "plant"]},
    ],
}
assert [one.content for one in store.filter_documents(late)] == ["the kitten"]
assert len(store.filter_documents({"operator": "NOT", "conditions": [food]})) == 2
assert len(store.filter_documents()) == 3

retriever = QdrantEmbeddingRetriever(document_store=store, top_k=2, return_embedding=True)
found = retriever.run(query_embedding=[1.0, 0.0, 0.1])["documents"]
assert [one.content for one in found] == ["the cat", "the kitten"], found
assert found[0].score > 0.49 and len(found[0].embedding) == 3
found = retriever.run(query_embedding=[1.0, 0.0, 0.1], filters=food)["documents"]
assert [one.content for one in found] == ["bread"]

store.delete_documents([documents[0].id])
assert store.count_documents() == 2
store.delete_documents(["no such document"])
assert store.count_documents() == 2
print("done")
