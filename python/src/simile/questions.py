"""What can be asked of what is stored: searches, and why they found what they found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, TypeVar, Union

import numpy as np

from .answers import Answer, Explanation, Located, Recall
from .errors import InvalidInput, SimileError, of_code
from .filters import Filter
from .v1 import admin_pb2, collections_pb2, documents_pb2, search_pb2
from .values import Sparse, Vector, Vectors, to_dense, to_sparse
from .verbs import Request, Steps, choice

T = TypeVar("T")

#: The most questions of a batch, and the most parts whose thumbnails are asked for at once.
BATCH_MAX, PARTS_MAX = 256, 256

#: What is to be found more or less of: the id of a stored document, a vector, or the bytes of a picture.
Example: TypeAlias = Union[str, bytes, Vector]


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
    #: More like these, and less like those.
    like: Sequence[Example] = ()
    unlike: Sequence[Example] = ()
    strategy: Literal["average", "best_score"] | None = None

    def to_wire(self, collection: str) -> search_pb2.SearchRequest:
        """Returns the question as it travels."""
        named = dict(self.vectors or {})
        using = self.using
        if self.vector is not None:
            if using is None:
                raise ValueError("`using` says which vector name the vector is for")
            named[using] = self.vector
        if (self.vector is not None or self.like) and self.text is None and self.image is None:
            # It was said what it is for, and there is nothing to embed.
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
            mode=choice("MODE", self.mode),
            syntax=choice("WORD_SYNTAX", self.syntax),
            grouping=grouping,
            score_threshold=self.score_threshold,
            with_payload=self.with_payload,
            with_text=self.with_text,
            with_vectors=self.with_vectors,
            exact=self.exact,
            ef=self.ef,
            target_recall=self.target_recall,
        )
        if self.unlike and not self.like:
            raise ValueError("`unlike` goes with `like`: what is to be found more of")
        if self.like:
            like, unlike = (
                [_example(one) for one in _several("examples", given)] for given in (self.like, self.unlike)
            )
            strategy = choice("RECOMMEND_STRATEGY", self.strategy)
            recommend = search_pb2.Recommend(positive=like, negative=unlike, strategy=strategy, vector=self.using)
            request.recommend.CopyFrom(recommend)
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
    like: Sequence[Example] = (),
    unlike: Sequence[Example] = (),
    strategy: Literal["average", "best_score"] | None = None,
) -> Steps[Answer]:
    """Returns what fits the question best: a text, a vector, vectors by name, the bytes of a picture, more `like`
    these examples and less `unlike` those, or several of these. An example is the id of a stored document, a
    vector, or the bytes of a picture; its vector name is `using`, too. A vector is for the name `using`; a collection with one vector is asked for its name, if it is not
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
        like=like,
        unlike=unlike,
        strategy=strategy,
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


def explain(collection: str, id: str, question: Question) -> Steps[Explanation]:
    """Returns why a document is or is not among the hits of a search."""
    request = search_pb2.ExplainRequest(search=question.to_wire(collection), id=id)
    answer: search_pb2.ExplainResponse = yield Request("Search", "Explain", request)
    return Explanation.of(answer)


def locate(
    collection: str,
    excerpt: bytes,
    *,
    using: str | None = None,
    filter: Filter | None = None,
    limit: int | None = None,
) -> Steps[Located]:
    """Returns where in the stored videos and sounds an excerpt, the bytes of a file, may be taken from."""
    request = search_pb2.LocateRequest(
        collection=collection,
        excerpt=excerpt,
        using=using,
        filter=None if filter is None else filter.wire,
        limit=limit,
    )
    answer: search_pb2.LocateResponse = yield Request("Search", "Locate", request)
    return Located.of(answer)


def thumbnails(collection: str, parts: Iterable[tuple[str, int]]) -> Steps[dict[tuple[str, int], bytes]]:
    """Returns small JPEGs of parts that are pictures, by id and part; others are left out."""
    names = [documents_pb2.PartName(id=id, part=part) for id, part in parts]
    found: dict[tuple[str, int], bytes] = {}
    for start in range(0, len(names), PARTS_MAX):
        request = documents_pb2.ThumbnailsRequest(collection=collection, parts=names[start : start + PARTS_MAX])
        answer: documents_pb2.ThumbnailsResponse = yield Request("Documents", "Thumbnails", request)
        found.update({(one.id, one.part): one.jpeg for one in answer.thumbnails})
    return found


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


def _several(what: str, given: Sequence[T]) -> Sequence[T]:
    # A text is a sequence of texts, too, and its letters are not what anybody means.
    if isinstance(given, (str, bytes)):
        raise TypeError(f"expected several {what}, got one: put it in a list")
    return given


def _example(given: Example) -> search_pb2.Example:
    if isinstance(given, str):
        return search_pb2.Example(id=given)
    if isinstance(given, bytes):
        return search_pb2.Example(image=given)
    if isinstance(given, Sparse):
        return search_pb2.Example(sparse=to_sparse(given))
    row = np.asarray(given, np.float32)
    if row.ndim != 1:
        raise ValueError(f"an example has {row.ndim} axes, expected a vector in a row")
    return search_pb2.Example(vector=to_dense(row))
