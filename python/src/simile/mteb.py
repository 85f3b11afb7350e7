"""simile for MTEB: a model of the server as an encoder, and the server as a search.

    import mteb, simile.mteb

    tasks = mteb.get_tasks(["STSBenchmark"])
    with simile.connect() as client:
        mteb.evaluate(simile.mteb.Encoder("all-minilm-l6-v2", client=client), tasks)
        mteb.evaluate(simile.mteb.Search(client, "bench"), mteb.get_tasks(["SciFact"]))

MTEB is needed only where it asks for `mteb_model_meta`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from .beir import answers, store, text_of
from .client import Client, connect
from .documents import Document
from .errors import NotFound
from .values import Floats


def _meta(name: str, revision: str | None, dimension: int | None, tokens_max: int | None, loader: Any) -> Any:
    from mteb.models.model_meta import ModelMeta

    return ModelMeta(
        loader=loader,
        name=f"simile/{name}",
        revision=revision or "served",
        release_date=None,
        languages=None,
        n_parameters=None,
        memory_usage_mb=None,
        max_tokens=tokens_max,
        embed_dim=dimension,
        license=None,
        open_weights=None,
        public_training_code=None,
        public_training_data=None,
        framework=[],
        similarity_fn_name="cosine",
        use_instructions=False,
        training_datasets=None,
    )


class Encoder:
    """A text embedder of the server, as MTEB's `EncoderProtocol`. Vectors are compared by their cosine."""

    def __init__(
        self,
        model_name: str,
        revision: str | None = None,
        *,
        device: str | None = None,
        client: Client | None = None,
        **_: Any,
    ) -> None:
        self._name, self._revision = model_name, revision
        self._client = client or connect()

    def encode(
        self,
        inputs: Iterable[Mapping[str, Any]],
        *,
        task_metadata: Any = None,
        hf_split: str = "",
        hf_subset: str = "",
        prompt_type: Any = None,
        **_: Any,
    ) -> Floats:
        """Returns a row for each text of the batches."""
        texts = [text for batch in inputs for text in batch["text"]]
        is_query = str(getattr(prompt_type, "value", prompt_type)) == "query"
        role: Literal["query", "passage"] = "query" if is_query else "passage"
        return self._client.embed(texts, model=self._name, role=role)

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Floats:
        """Returns the cosine of each with each."""
        similarities: Floats = _unit(embeddings1) @ _unit(embeddings2).T
        return similarities

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Floats:
        """Returns the cosine of each with that of the same place."""
        similarities: Floats = np.sum(_unit(embeddings1) * _unit(embeddings2), axis=1)
        return similarities

    @property
    def mteb_model_meta(self) -> Any:
        """What MTEB writes beside the results."""
        known = next((model for model in self._client.models() if model.name == self._name), None)
        if known is None:
            raise NotFound(f"the server has no model `{self._name}`", "NOT_FOUND")
        return _meta(self._name, self._revision, known.dimension, known.tokens_max, Encoder)


def _unit(vectors: Any) -> Floats:
    rows = np.atleast_2d(np.asarray(vectors, np.float32))
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths == 0, 1, lengths), np.float32)


class Search:
    """A server that stores a corpus and finds the best documents by meaning and words, as MTEB's
    `SearchProtocol`. Each split of a task gets a collection whose name begins with `prefix`, and which the next
    one replaces."""

    def __init__(
        self,
        client: Client,
        prefix: str,
        *,
        embedder: str | None = None,
        mode: Literal["hybrid", "semantic", "lexical"] | None = None,
        exact: bool = False,
    ) -> None:
        self._client, self._prefix, self._embedder = client, prefix, embedder
        self._mode, self._exact = mode, exact
        self._collection: str | None = None

    def index(
        self,
        corpus: Iterable[Mapping[str, Any]],
        *,
        task_metadata: Any,
        hf_split: str,
        hf_subset: str,
        encode_kwargs: Any = None,
        num_proc: int | None = None,
        **_: Any,
    ) -> None:
        """Stores the corpus into a collection of its own."""
        if self._collection is not None:
            self._client.delete_collection(self._collection)
            self._collection = None
        wanted = "-".join([self._prefix, str(getattr(task_metadata, "name", "task")), hf_subset, hf_split])
        name = re.sub(r"[^A-Za-z0-9_-]", "_", wanted)[:64]
        documents = (Document(str(document["id"]), text_of(document)) for document in corpus)
        store(self._client, name, self._embedder, documents)
        self._collection = name

    def search(
        self,
        queries: Iterable[Mapping[str, Any]],
        *,
        task_metadata: Any,
        hf_split: str,
        hf_subset: str,
        top_k: int,
        encode_kwargs: Any = None,
        top_ranked: Mapping[str, Sequence[str]] | None = None,
        num_proc: int | None = None,
        **_: Any,
    ) -> dict[str, dict[str, float]]:
        """Returns the scores of the best documents of each query."""
        if self._collection is None:
            raise RuntimeError("there is no corpus yet: `index` stores it")
        if top_ranked is not None:
            raise NotImplementedError("this searches the whole corpus; for reranking tasks use Encoder")
        texts = {str(query["id"]): str(query["text"]) for query in queries}
        return answers(self._client, self._collection, texts, top_k, self._mode, self._exact)

    @property
    def mteb_model_meta(self) -> Any:
        """What MTEB writes beside the results."""
        name = "-".join(["search", self._embedder or "default", self._mode or "hybrid"])
        return _meta(name, self._client.version(), None, None, None)
