"""simile as a retriever for BEIR.

    from beir.retrieval.evaluation import EvaluateRetrieval

    with simile.connect() as client:
        evaluation = EvaluateRetrieval(simile.beir.Retriever(client, "scifact"), score_function="simile")
        results = evaluation.retrieve(corpus, queries)
        print(evaluation.evaluate(qrels, results, evaluation.k_values))

Nothing of BEIR is needed to import this.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from .client import Client
from .documents import Document
from .errors import SimileError
from .questions import Question

#: The most hits of a search.
LIMIT_MAX = 1_000


def text_of(document: Mapping[str, str]) -> str:
    """Returns title and text of a document as one text."""
    return f"{document.get('title') or ''} {document.get('text') or ''}".strip()


def store(client: Client, collection: str, embedder: str | None, documents: Iterator[Document]) -> None:
    """Stores a corpus into a collection, which is made if it is not there; what is stored already stays.

    Raises the first refusal: figures over a part of a corpus mean nothing.
    """
    if not any(one.name == collection for one in client.collections()):
        client.create_collection(collection, None if embedder is None else {"text": embedder})
    ingest = client.ingest(collection, documents)
    ingest.finish()
    if ingest.failures:
        failure = ingest.failures[0]
        raise SimileError(f"{ingest.tally.failed} documents were refused, the first is `{failure.id}`: {failure.error}")


def answers(
    client: Client,
    collection: str,
    queries: Mapping[str, str],
    top_k: int,
    mode: Literal["hybrid", "semantic", "lexical"] | None,
    exact: bool = False,
) -> dict[str, dict[str, float]]:
    """Returns the scores of the best documents of each query."""
    limit = min(top_k, LIMIT_MAX)
    questions = [
        Question(text=text, limit=limit, mode=mode, exact=exact, with_text=False, with_payload=False)
        for text in queries.values()
    ]
    found: dict[str, dict[str, float]] = {}
    for query, answer in zip(queries, client.search_batch(collection, questions)):
        if isinstance(answer, SimileError):
            raise answer
        found[query] = {hit.id: hit.score for hit in answer}
    return found


@dataclass
class Retriever:
    """Stores a corpus as whole documents, and finds the best ones for each query, as BEIR's `BaseSearch`."""

    client: Client
    collection: str
    #: A model of the server's catalogue; none: the default one.
    embedder: str | None = None
    mode: Literal["hybrid", "semantic", "lexical"] | None = None
    exact: bool = False
    results: dict[str, dict[str, float]] = field(default_factory=dict)

    def search(
        self,
        corpus: Mapping[str, Mapping[str, str]],
        queries: Mapping[str, str],
        top_k: int,
        score_function: str | None = None,
        **_: Any,
    ) -> dict[str, dict[str, float]]:
        """Returns the scores of the best documents of each query: at most 1,000 of them. The collection says how
        vectors are compared, whatever `score_function` is."""
        documents = (Document(id, text_of(document)) for id, document in corpus.items())
        store(self.client, self.collection, self.embedder, documents)
        self.results = answers(self.client, self.collection, queries, top_k, self.mode, self.exact)
        return self.results

    def encode(self, *_: Any, **__: Any) -> None:
        """The server embeds what it stores: there are no files of vectors."""
        raise NotImplementedError("the server embeds what it stores: use `retrieve`, not `encode_and_retrieve`")

    def search_from_files(
        self, query_embeddings_file: str, corpus_embeddings_files: Sequence[str], top_k: int, **_: Any
    ) -> dict[str, dict[str, float]]:
        """The server embeds what it stores: there are no files of vectors."""
        raise NotImplementedError("the server embeds what it stores: use `retrieve`, not `encode_and_retrieve`")
