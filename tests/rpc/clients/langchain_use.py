"""The normal use of langchain-qdrant over gRPC, asked of a server of simile: HOST PORT."""

import sys
import zlib

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_qdrant import QdrantVectorStore
from qdrant_client import QdrantClient, models

HOST, PORT = sys.argv[1], int(sys.argv[2])


class Words(Embeddings):
    """A text as its words, hashed: enough to tell texts apart."""

    def embed_query(self, text):
        vector = [0.001] * 64
        for word in text.lower().split():
            vector[zlib.crc32(word.encode()) % 64] += 1.0
        return vector

    def embed_documents(self, texts):
        return [self.embed_query(text) for text in texts]


connection = dict(host=HOST, grpc_port=PORT, prefer_grpc=True, check_compatibility=False)
store = QdrantVectorStore.from_documents(
    [
        Document(page_content="the cat chases the mouse", metadata={"kind": "animal", "n": 1}),
        Document(page_content="the kitten chases the mouse", metadata={"kind": "animal", "n": 2}),
        Document(page_content="bread with ham", metadata={"kind": "food", "n": 3}),
    ],
    Words(),
    collection_name="langchain",
    **connection,
)
added = store.add_texts(["soup with bread"], metadatas=[{"kind": "food", "n": 4}])
assert len(added) == 1

found = store.similarity_search("cat mouse", k=2)
assert found[0].page_content == "the cat chases the mouse", found
assert found[0].metadata["n"] == 1 and len(found) == 2
scored = store.similarity_search_with_score("bread with ham", k=1)
assert scored[0][0].metadata["n"] == 3 and scored[0][1] > 0.99, scored
food = models.Filter(
    must=[models.FieldCondition(key="metadata.kind", match=models.MatchValue(value="food"))]
)
found = store.similarity_search("the mouse", k=10, filter=food)
assert {one.metadata["n"] for one in found} == {3, 4}, found
# The package hands lambda_mult on as the diversity.
found = store.max_marginal_relevance_search("the cat chases the mouse", k=2, fetch_k=4, lambda_mult=0.9)
assert found[0].metadata["n"] == 1 and found[1].metadata["n"] != 2, found
found = store.as_retriever(search_kwargs={"k": 1}).invoke("soup")
assert found[0].metadata["n"] == 4
found = store.similarity_search_by_vector(Words().embed_query("soup"), k=1)
assert found[0].metadata["n"] == 4
assert store.get_by_ids(added)[0].page_content == "soup with bread"
assert store.delete(added)
assert store.get_by_ids(added) == []

again = QdrantVectorStore.from_existing_collection(
    collection_name="langchain", embedding=Words(), **connection
)
assert len(again.similarity_search("bread", k=10)) == 3
client = QdrantClient(**connection)
assert client.count("langchain").count == 3
points, _ = client.scroll("langchain")
assert {point.payload["metadata"]["n"] for point in points} == {1, 2, 3}
client.delete_collection("langchain")
print("done")
