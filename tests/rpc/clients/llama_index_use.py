"""The normal use of llama-index-vector-stores-qdrant over gRPC: HOST PORT."""

import sys

from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
)
from llama_index.vector_stores.qdrant import QdrantVectorStore
from qdrant_client import QdrantClient

HOST, PORT = sys.argv[1], int(sys.argv[2])
client = QdrantClient(host=HOST, grpc_port=PORT, prefer_grpc=True, check_compatibility=False)
store = QdrantVectorStore(collection_name="llama", client=client)


def node(number, text, embedding, **metadata):
    source = RelatedNodeInfo(node_id=f"source-{number % 2}")
    return TextNode(
        id_=f"00000000-0000-0000-0000-00000000000{number}",
        text=text,
        embedding=embedding,
        metadata=metadata,
        relationships={NodeRelationship.SOURCE: source},
    )


nodes = [
    node(1, "the cat", [1.0, 0.0, 0.1], kind="animal", year=1999),
    node(2, "the kitten", [0.9, 0.1, 0.1], kind="animal", year=2005),
    node(3, "bread", [0.0, 1.0, 0.1], kind="food", year=2010),
]
added = store.add(nodes)
assert added == [one.node_id for one in nodes]


def ask(**settings):
    return store.query(VectorStoreQuery(query_embedding=[1.0, 0.0, 0.1], **settings))


answer = ask(similarity_top_k=2)
assert answer.ids == added[:2] and answer.nodes[0].text == "the cat", answer
assert answer.similarities[0] > 0.99
assert answer.nodes[0].metadata["year"] == 1999
food = MetadataFilters(filters=[MetadataFilter(key="kind", value="food")])
assert ask(similarity_top_k=5, filters=food).ids == added[2:]
late = MetadataFilters(
    filters=[
        MetadataFilter(key="year", value=2000, operator=FilterOperator.GT),
        MetadataFilter(key="kind", value=["animal"], operator=FilterOperator.IN),
        MetadataFilters(
            filters=[
                MetadataFilter(key="year", value=2005),
                MetadataFilter(key="year", value=1),
            ],
            condition=FilterCondition.OR,
        ),
    ],
    condition=FilterCondition.AND,
)
assert ask(similarity_top_k=5, filters=late).ids == [added[1]]
assert ask(similarity_top_k=5, node_ids=[added[2]]).ids == [added[2]]
assert [one.node_id for one in store.get_nodes(node_ids=added[:1])] == added[:1]
assert len(store.get_nodes(filters=food)) == 1
store.delete_nodes(node_ids=[added[2]])
assert client.count("llama").count == 2
# By the document that nodes came from.
store.delete("source-1")
assert client.count("llama").count == 1
store.clear()
print("done")
