"""What can be asked, whoever waits for it: of collections, documents, models and jobs.

A verb yields requests and is sent their answers; `Client` waits for these, and `AsyncClient` awaits them.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias, TypeVar

import numpy as np
from google.protobuf.message import Message

from .answers import Collection, Counted, Job, Model
from .documents import StoredDocument
from .errors import InvalidInput
from .filters import Filter
from .v1 import (
    collections_pb2,
    documents_pb2,
    embedding_pb2,
    jobs_pb2,
)
from .values import Floats, Sparse, Value, from_dense, from_sparse, from_value

T = TypeVar("T")

#: The most texts and pictures of one request.
TEXTS_MAX, IMAGES_MAX = 256, 64


class Request(NamedTuple):
    """A method of a service, and what is asked of it."""

    service: str
    method: str
    #: Several where they are a stream.
    message: Message | Iterable[Message] | AsyncIterable[Message]


Steps: TypeAlias = Generator[Request, Any, T]


@dataclass(frozen=True)
class VectorConfig:
    """A named vector of a new collection: exactly one of the first four."""

    #: A model of the server's catalogue: the server embeds what it reads.
    embedder: str | None = None
    #: Vectors are given by the client.
    dimension: int | None = None
    #: Sparse vectors are given by the client.
    sparse: bool = False
    #: Multivectors are given by the client, of vectors with so many components.
    multi: int | None = None
    metric: Literal["cosine", "dot", "euclidean"] | None = None
    hnsw_m: int | None = None
    hnsw_ef_construction: int | None = None
    quantisation: Literal["none", "int8", "binary"] | None = None

    def to_wire(self) -> collections_pb2.VectorConfig:
        """Returns the configuration as it travels."""
        config = collections_pb2.VectorConfig(
            metric=choice("METRIC", self.metric),
            hnsw_m=self.hnsw_m,
            hnsw_ef_construction=self.hnsw_ef_construction,
            quantisation=choice("QUANTISATION", self.quantisation),
        )
        given = [self.embedder is not None, self.dimension is not None, self.sparse, self.multi is not None]
        if sum(given) != 1:
            raise ValueError(f"{self}: expected exactly one of embedder, dimension, sparse and multi")
        if self.embedder is not None:
            config.embedder = self.embedder
        elif self.dimension is not None:
            config.dimension = self.dimension
        elif self.multi is not None:
            config.multi.CopyFrom(collections_pb2.MultiConfig(dimension=self.multi))
        else:
            config.sparse.CopyFrom(collections_pb2.SparseConfig())
        return config

    @classmethod
    def of(cls, config: VectorConfig | str | int) -> VectorConfig:
        """Returns the configuration that the name of an embedder or a dimension stands for."""
        if isinstance(config, str):
            return cls(embedder=config)
        return cls(dimension=config) if isinstance(config, int) else config


def choice(choices: str, chosen: str | None) -> str:
    """Returns the name of a choice on the wire; none chosen: the server decides."""
    return f"{choices}_{(chosen or 'unspecified').upper()}"


def create_collection(
    name: str,
    vectors: Mapping[str, VectorConfig | str | int] | None = None,
    *,
    words: bool = True,
    words_only: bool = False,
    tokens_max: int | None = None,
    tokens_overlap: int | None = None,
    tenant: str = "",
    description: str = "",
    metadata: Mapping[str, str] | None = None,
) -> Steps[Collection]:
    """Creates a collection. A vector is the name of an embedder, a dimension, or a `VectorConfig`; none given:
    one vector "text" with the default embedder, or with `words_only` no vectors at all. `tenant` is the field
    that says whose a document is, for good: then every question has to say whose documents it is about."""
    request = collections_pb2.CreateCollectionRequest(
        name=name,
        vectors={vector: VectorConfig.of(config).to_wire() for vector, config in (vectors or {}).items()},
        lexical=collections_pb2.LexicalConfig(disabled=not words),
        chunk=collections_pb2.ChunkConfig(tokens_max=tokens_max, tokens_overlap=tokens_overlap),
        words_only=words_only,
        tenant=tenant,
        description=description,
        metadata=metadata,
    )
    answer: collections_pb2.Collection = yield Request("Collections", "Create", request)
    return Collection.of(answer)


def collections() -> Steps[list[Collection]]:
    """Returns all collections."""
    request = collections_pb2.ListCollectionsRequest()
    answer: collections_pb2.ListCollectionsResponse = yield Request("Collections", "List", request)
    return [Collection.of(one) for one in answer.collections]


def collection(name: str) -> Steps[Collection]:
    """Returns a collection, by its name or an alias."""
    request = collections_pb2.GetCollectionRequest(name=name)
    answer: collections_pb2.Collection = yield Request("Collections", "Get", request)
    return Collection.of(answer)


def delete_collection(name: str) -> Steps[None]:
    """Deletes a collection with everything in it."""
    yield Request("Collections", "Delete", collections_pb2.DeleteCollectionRequest(name=name))


def get(collection: str, ids: Iterable[str], *, with_vectors: bool = False) -> Steps[list[StoredDocument]]:
    """Returns documents by id, in the order of the ids; what is not stored is left out."""
    request = documents_pb2.GetDocumentsRequest(collection=collection, ids=ids, with_vectors=with_vectors)
    answer: documents_pb2.GetDocumentsResponse = yield Request("Documents", "Get", request)
    return [StoredDocument.of(document) for document in answer.documents]


def page(
    collection: str,
    after: str = "",
    *,
    filter: Filter | None = None,
    limit: int | None = None,
    with_parts: bool = False,
    with_vectors: bool = False,
    order_by: str | None = None,
    descending: bool = False,
) -> Steps[tuple[list[StoredDocument], str]]:
    """Returns a page of documents, and where the next one begins: the empty text after the last one."""
    request = documents_pb2.ScrollRequest(
        collection=collection,
        after=after,
        filter=None if filter is None else filter.wire,
        limit=limit,
        with_parts=with_parts,
        with_vectors=with_vectors,
    )
    if order_by is not None:
        request.order_by.CopyFrom(documents_pb2.OrderBy(path=order_by, descending=descending))
    answer: documents_pb2.ScrollResponse = yield Request("Documents", "Scroll", request)
    return [StoredDocument.of(document) for document in answer.documents], answer.next_after


def count(collection: str, filter: Filter | None = None) -> Steps[Counted]:
    """Returns how many documents, and how many parts of them, there are or a filter means."""
    request = documents_pb2.CountRequest(collection=collection, filter=None if filter is None else filter.wire)
    answer: documents_pb2.CountResponse = yield Request("Documents", "Count", request)
    return Counted(answer.documents, answer.parts)


def facet(
    collection: str, path: str, *, filter: Filter | None = None, limit: int | None = None
) -> Steps[list[tuple[Value, int]]]:
    """Returns the most frequent values of a field, and how many documents have each."""
    request = documents_pb2.FacetRequest(
        collection=collection, path=path, filter=None if filter is None else filter.wire, limit=limit
    )
    answer: documents_pb2.FacetResponse = yield Request("Documents", "Facet", request)
    return [(from_value(one.value), one.documents) for one in answer.values]


def _role(role: Literal["passage", "query"]) -> embedding_pb2.Role:
    return embedding_pb2.ROLE_QUERY if role == "query" else embedding_pb2.ROLE_PASSAGE


def _embeddings(
    texts: Sequence[str], images: Sequence[bytes], model: str, role: Literal["passage", "query"]
) -> Steps[list[embedding_pb2.TextEmbedding]]:
    found: list[embedding_pb2.TextEmbedding] = []
    batches: list[embedding_pb2.EmbedRequest] = []
    for start in range(0, len(texts), TEXTS_MAX):
        batches.append(embedding_pb2.EmbedRequest(texts=texts[start : start + TEXTS_MAX]))
    for start in range(0, len(images), IMAGES_MAX):
        batches.append(embedding_pb2.EmbedRequest(images=images[start : start + IMAGES_MAX]))
    for request in batches:
        request.model, request.role = model, _role(role)
        answer: embedding_pb2.EmbedResponse = yield Request("Embedding", "Embed", request)
        found.extend(answer.embeddings)
    return found


def embed(
    texts: Sequence[str] = (),
    *,
    images: Sequence[bytes] = (),
    model: str = "",
    role: Literal["passage", "query"] = "passage",
) -> Steps[Floats]:
    """Returns the vectors of texts, and then of pictures (the bytes of their files): a row for each. What a
    dense model knows no word of is a row of zeros."""
    if isinstance(texts, str):
        raise TypeError("expected several texts, got one: put it in a list")
    found = yield from _embeddings(texts, images, model, role)
    if any(one.HasField("sparse") or one.HasField("multi") for one in found):
        raise InvalidInput(f"model `{model}` gives no dense vectors: see embed_sparse", "INVALID_ARGUMENT")
    dimension = next((len(one.vector.components) for one in found if one.HasField("vector")), 0)
    rows = np.zeros((len(found), dimension), np.float32)
    for row, one in zip(rows, found):
        if one.HasField("vector"):
            row[:] = from_dense(one.vector)
    return rows


def embed_sparse(
    texts: Sequence[str], *, model: str, role: Literal["passage", "query"] = "passage"
) -> Steps[list[Sparse]]:
    """Returns the sparse vectors that a sparse model makes of texts."""
    found = yield from _embeddings(texts, (), model, role)
    if any(not one.HasField("sparse") for one in found):
        raise InvalidInput(f"model `{model}` gives no sparse vectors: see embed", "INVALID_ARGUMENT")
    return [from_sparse(one.sparse) for one in found]


def models() -> Steps[list[Model]]:
    """Returns the models that can be named."""
    request = embedding_pb2.ListModelsRequest()
    answer: embedding_pb2.ListModelsResponse = yield Request("Embedding", "ListModels", request)
    return [
        Model(
            model.name,
            model.kind,
            model.dimension,
            model.tokens_max,
            model.is_installed,
            model.is_sparse,
            model.description,
            tuple(model.languages),
            dict(model.measured),
        )
        for model in answer.models
    ]


def train(
    collection: str,
    model: str,
    method: str,
    *,
    options: Mapping[str, Any] | None = None,
    filter: Filter | None = None,
    seed: int | None = None,
    threads: int | None = None,
    licence: str = "",
    by_line: bool = False,
) -> Steps[Job]:
    """Begins to fit a model on the texts of a collection, and returns the job: `watch` says how far it is, and
    when it is done `model` can be named. The options of each method are at `TrainRequest` of the contract."""
    request = embedding_pb2.TrainRequest(
        collection=collection,
        model=model,
        method=method,
        options="" if options is None else json.dumps(dict(options)),
        filter=None if filter is None else filter.wire,
        seed=seed,
        threads=threads,
        licence=licence,
        by_line=by_line,
    )
    answer: jobs_pb2.Job = yield Request("Embedding", "Train", request)
    return Job.of(answer)


def jobs() -> Steps[list[Job]]:
    """Returns the jobs, newest first."""
    answer: jobs_pb2.ListJobsResponse = yield Request("Jobs", "List", jobs_pb2.ListJobsRequest())
    return [Job.of(job) for job in answer.jobs]


def job(id: str) -> Steps[Job]:
    """Returns a job as it is now."""
    answer: jobs_pb2.Job = yield Request("Jobs", "Get", jobs_pb2.GetJobRequest(id=id))
    return Job.of(answer)


def cancel(job: str) -> Steps[Job]:
    """Asks a job to stop, and returns it as it is now; what it has stored stays."""
    answer: jobs_pb2.Job = yield Request("Jobs", "Cancel", jobs_pb2.CancelJobRequest(id=job))
    return Job.of(answer)
