"""What can be asked, whoever waits for it.

A verb yields requests and is sent their answers; `Client` waits for these, and `AsyncClient` awaits them.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias, TypeVar

import numpy as np
from google.protobuf.message import Message

from .answers import Answer, Collection, Counted, Job, Model, Recall
from .documents import StoredDocument
from .errors import InvalidInput, SimileError, of_code
from .filters import Filter, ids as ids_filter
from .v1 import (
    admin_pb2,
    collections_pb2,
    documents_pb2,
    embedding_pb2,
    jobs_pb2,
    search_pb2,
)
from .values import Floats, Payload, Sparse, Value, Vector, Vectors, from_dense, from_sparse, from_value, to_payload

T = TypeVar("T")

#: The most texts and pictures of one request, and the most questions of a batch.
TEXTS_MAX, IMAGES_MAX, BATCH_MAX = 256, 64, 256


class Request(NamedTuple):
    """A method of a service, and what is asked of it."""

    service: str
    method: str
    message: Message


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
            metric=_choice("METRIC", self.metric),
            hnsw_m=self.hnsw_m,
            hnsw_ef_construction=self.hnsw_ef_construction,
            quantisation=_choice("QUANTISATION", self.quantisation),
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


def _choice(choices: str, chosen: str | None) -> str:
    return f"{choices}_{(chosen or 'unspecified').upper()}"


def create_collection(
    name: str,
    vectors: Mapping[str, VectorConfig | str | int] | None = None,
    *,
    words: bool = True,
    words_only: bool = False,
    tokens_max: int | None = None,
    tokens_overlap: int | None = None,
) -> Steps[Collection]:
    """Creates a collection. A vector is the name of an embedder, a dimension, or a `VectorConfig`; none given:
    one vector "text" with the default embedder, or with `words_only` no vectors at all."""
    given = {}
    for vector, config in (vectors or {}).items():
        if isinstance(config, str):
            config = VectorConfig(embedder=config)
        elif isinstance(config, int):
            config = VectorConfig(dimension=config)
        given[vector] = config.to_wire()
    request = collections_pb2.CreateCollectionRequest(
        name=name,
        vectors=given,
        lexical=collections_pb2.LexicalConfig(disabled=not words),
        chunk=collections_pb2.ChunkConfig(tokens_max=tokens_max, tokens_overlap=tokens_overlap),
        words_only=words_only,
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


def set_alias(alias: str, collection: str) -> Steps[None]:
    """Makes an alias stand for a collection; one that is there moves, at one moment."""
    change = collections_pb2.AliasChange(set=collections_pb2.SetAlias(alias=alias, collection=collection))
    yield Request("Collections", "ChangeAliases", collections_pb2.ChangeAliasesRequest(changes=[change]))


def delete_alias(alias: str) -> Steps[None]:
    """Takes an alias away; the collection stays."""
    change = collections_pb2.AliasChange(delete=alias)
    yield Request("Collections", "ChangeAliases", collections_pb2.ChangeAliasesRequest(changes=[change]))


@dataclass(frozen=True, kw_only=True)
class Question:
    """A search, as `search` takes it, for a batch."""

    text: str | None = None
    #: A vector for the vector name `using`.
    vector: Vector | None = None
    #: Vectors by vector name.
    vectors: Mapping[str, Vector] | None = None
    #: The bytes of a picture's file.
    image: bytes | None = None
    using: str | None = None
    filter: Filter | None = None
    limit: int | None = None
    offset: int = 0
    mode: Literal["hybrid", "semantic", "lexical"] | None = None
    syntax: Literal["query"] | None = None
    passages: bool = False
    score_threshold: float | None = None
    with_payload: bool = True
    with_text: bool = True
    with_vectors: bool = False
    exact: bool = False
    ef: int | None = None
    target_recall: float | None = None
    group_by: str | None = None
    group_size: int | None = None
    diversity: float | None = None
    rerank: str | None = None

    def to_wire(self, collection: str) -> search_pb2.SearchRequest:
        """Returns the question as it travels."""
        named = dict(self.vectors or {})
        using = self.using
        if self.vector is not None:
            if using is None:
                raise ValueError("`using` says which vector name the vector is for")
            named[using] = self.vector
            if self.text is None:
                using = None
        vectors = Vectors.of(named)
        grouping = search_pb2.GROUPING_PASSAGE if self.passages else search_pb2.GROUPING_UNSPECIFIED
        request = search_pb2.SearchRequest(
            collection=collection,
            text=self.text,
            vectors=vectors.dense,
            sparse_vectors=vectors.sparse,
            multi_vectors=vectors.multi,
            image=self.image,
            using=using,
            filter=None if self.filter is None else self.filter.wire,
            limit=self.limit,
            offset=self.offset,
            mode=_choice("MODE", self.mode),
            syntax=_choice("WORD_SYNTAX", self.syntax),
            grouping=grouping,
            score_threshold=self.score_threshold,
            with_payload=self.with_payload,
            with_text=self.with_text,
            with_vectors=self.with_vectors,
            exact=self.exact,
            ef=self.ef,
            target_recall=self.target_recall,
        )
        if self.group_by is not None:
            request.group_by.CopyFrom(search_pb2.GroupBy(path=self.group_by, size=self.group_size))
        if self.diversity is not None:
            request.diversity.CopyFrom(search_pb2.Diversity(relevance=1 - self.diversity))
        if self.rerank is not None:
            request.rerank.CopyFrom(search_pb2.Rerank(model=self.rerank))
        return request


def search(
    collection: str,
    text: str | None = None,
    *,
    vector: Vector | None = None,
    vectors: Mapping[str, Vector] | None = None,
    image: bytes | None = None,
    using: str | None = None,
    filter: Filter | None = None,
    limit: int | None = None,
    offset: int = 0,
    mode: Literal["hybrid", "semantic", "lexical"] | None = None,
    syntax: Literal["query"] | None = None,
    passages: bool = False,
    score_threshold: float | None = None,
    with_payload: bool = True,
    with_text: bool = True,
    with_vectors: bool = False,
    exact: bool = False,
    ef: int | None = None,
    target_recall: float | None = None,
    group_by: str | None = None,
    group_size: int | None = None,
    diversity: float | None = None,
    rerank: str | None = None,
) -> Steps[Answer]:
    """Returns what fits the question best: a text, a vector, vectors by name, the bytes of a picture, or several
    of these. A vector is for the name `using`; a collection with one vector is asked for its name, if it is not
    said. `diversity` is 0 to 1, and more gives hits that are more unlike one another; `rerank` names a
    cross-encoder that reads the best hits again."""
    if vector is not None and using is None:
        known = yield from _collection_vectors(collection)
        if len(known) != 1:
            raise InvalidInput(
                f"collection `{collection}` has the vectors {', '.join(known) or 'none'}: `using` says which one is "
                "meant",
                "INVALID_ARGUMENT",
            )
        using = known[0]
    question = Question(
        text=text,
        vector=vector,
        vectors=vectors,
        image=image,
        using=using,
        filter=filter,
        limit=limit,
        offset=offset,
        mode=mode,
        syntax=syntax,
        passages=passages,
        score_threshold=score_threshold,
        with_payload=with_payload,
        with_text=with_text,
        with_vectors=with_vectors,
        exact=exact,
        ef=ef,
        target_recall=target_recall,
        group_by=group_by,
        group_size=group_size,
        diversity=diversity,
        rerank=rerank,
    )
    answer: search_pb2.SearchResponse = yield Request("Search", "Search", question.to_wire(collection))
    return Answer.of(answer)


def _collection_vectors(name: str) -> Steps[list[str]]:
    request = collections_pb2.GetCollectionRequest(name=name)
    found: collections_pb2.Collection = yield Request("Collections", "Get", request)
    return sorted(found.vectors)


def search_batch(collection: str, questions: Sequence[Question]) -> Steps[list[Answer | SimileError]]:
    """Returns the answers to several questions, in their order; one that fails does not fail the others."""
    answers: list[Answer | SimileError] = []
    for start in range(0, len(questions), BATCH_MAX):
        searches = [question.to_wire("") for question in questions[start : start + BATCH_MAX]]
        request = search_pb2.SearchBatchRequest(collection=collection, searches=searches)
        batch: search_pb2.SearchBatchResponse = yield Request("Search", "SearchBatch", request)
        for result in batch.results:
            if result.WhichOneof("outcome") == "answer":
                answers.append(Answer.of(result.answer))
            else:
                answers.append(of_code(result.error.code, result.error.message))
    return answers


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


def delete(collection: str, which: Iterable[str] | Filter) -> Steps[int]:
    """Deletes documents by id or by filter; returns how many of them were there."""
    request = documents_pb2.DeleteDocumentsRequest(collection=collection)
    if isinstance(which, Filter):
        request.filter.CopyFrom(which.wire)
    else:
        request.ids.CopyFrom(ids_filter(*_names(which)).wire.ids)
    answer: documents_pb2.DeleteDocumentsResponse = yield Request("Documents", "Delete", request)
    return answer.deleted


def set_payload(collection: str, which: Iterable[str] | Filter, fields: Payload) -> Steps[int]:
    """Puts fields beside those there are, in place of those of the same name; returns how many documents
    changed. Texts are not embedded again."""
    request = documents_pb2.UpdateDocumentsRequest(
        collection=collection, set=documents_pb2.SetFields(fields=to_payload(fields))
    )
    if isinstance(which, Filter):
        request.filter.CopyFrom(which.wire)
    else:
        request.ids.CopyFrom(ids_filter(*_names(which)).wire.ids)
    answer: documents_pb2.UpdateDocumentsResponse = yield Request("Documents", "Update", request)
    return answer.updated


def _names(names: Iterable[str]) -> Iterable[str]:
    # A text is an iterable of texts, too, and its letters are not what anybody means.
    if isinstance(names, str):
        raise TypeError(f"expected several ids or a filter, got the text {names!r}")
    return names


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


def recall(
    collection: str,
    *,
    vector: str | None = None,
    limit: int | None = None,
    questions: int | None = None,
    ef: int | None = None,
    target_recall: float | None = None,
) -> Steps[Recall]:
    """Measures on the data in use what share of the best passages a graph search finds."""
    request = admin_pb2.RecallRequest(
        collection=collection, vector=vector, limit=limit, questions=questions, ef=ef, target_recall=target_recall
    )
    answer: admin_pb2.RecallResponse = yield Request("Admin", "Recall", request)
    return Recall.of(answer)


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


def cancel(job: str) -> Steps[Job]:
    """Asks a job to stop, and returns it as it is now; what it has stored stays."""
    answer: jobs_pb2.Job = yield Request("Jobs", "Cancel", jobs_pb2.CancelJobRequest(id=job))
    return Job.of(answer)


def version() -> Steps[str]:
    """Returns the version of the server."""
    answer: admin_pb2.InfoResponse = yield Request("Admin", "Info", admin_pb2.InfoRequest())
    return answer.version
