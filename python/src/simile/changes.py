"""How what is stored changes: fields, vectors, and what is there at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from .errors import of_code
from .filters import Filter, ids as ids_filter
from .v1 import documents_pb2
from .values import Payload, Vector, Vectors, to_payload
from .verbs import Request, Steps

#: The most documents whose vectors one request changes.
UPDATES_MAX = 10_000


def delete(collection: str, which: Iterable[str] | Filter) -> Steps[int]:
    """Deletes documents by id or by filter; returns how many of them were there."""
    request = documents_pb2.DeleteDocumentsRequest(collection=collection)
    _select(request, which)
    answer: documents_pb2.DeleteDocumentsResponse = yield Request("Documents", "Delete", request)
    return answer.deleted


def set_payload(
    collection: str, which: Iterable[str] | Filter, fields: Payload, *, at: str | None = None
) -> Steps[int]:
    """Puts fields beside those there are, or into the object `at`, in place of those of the same name; returns how
    many documents changed. Texts are not embedded again."""
    change = documents_pb2.SetFields(fields=to_payload(fields), at=at)
    return (yield from _update(documents_pb2.UpdateDocumentsRequest(collection=collection, set=change), which))


def delete_fields(collection: str, which: Iterable[str] | Filter, *paths: str) -> Steps[int]:
    """Takes fields away, as `outer.inner`; returns how many documents changed."""
    change = documents_pb2.FieldPaths(paths=paths)
    return (yield from _update(documents_pb2.UpdateDocumentsRequest(collection=collection, delete=change), which))


def set_expiry(collection: str, which: Iterable[str] | Filter, at: datetime | None) -> Steps[int]:
    """Says from when on nobody sees the documents any more, or with `None` that they stay; returns how many
    documents changed."""
    if at is not None and at.tzinfo is None:
        raise ValueError(f"{at} names no zone: give a datetime with tzinfo")
    milliseconds = 0 if at is None else int(at.timestamp() * 1e3)
    request = documents_pb2.UpdateDocumentsRequest(collection=collection, expires_unix_ms=milliseconds)
    return (yield from _update(request, which))


def set_vectors(
    collection: str, vectors: Mapping[str, Mapping[str, Vector]], *, part: int | None = None
) -> Steps[int]:
    """Puts vectors of names without an embedder in place of those there are: by id, and then by name. `part` says
    which one of documents with several. Returns how many documents changed."""
    updates = []
    for id, named in vectors.items():
        given = Vectors.of(named)
        new = documents_pb2.Vectors(by_name=given.dense, sparse_by_name=given.sparse, multi_by_name=given.multi)
        updates.append(documents_pb2.VectorsUpdate(id=id, part=part, set=new))
    changed = 0
    for start in range(0, len(updates), UPDATES_MAX):
        some = updates[start : start + UPDATES_MAX]
        request = documents_pb2.UpdateVectorsRequest(collection=collection, updates=some)
        answer: documents_pb2.UpdateDocumentsResponse = yield Request("Documents", "UpdateVectors", request)
        changed += _updated(answer)
    return changed


def _update(
    request: documents_pb2.UpdateDocumentsRequest, which: Iterable[str] | Filter
) -> Steps[int]:
    _select(request, which)
    answer: documents_pb2.UpdateDocumentsResponse = yield Request("Documents", "Update", request)
    return _updated(answer)


def _updated(answer: documents_pb2.UpdateDocumentsResponse) -> int:
    if answer.failures:
        first = answer.failures[0]
        message = f"{len(answer.failures)} documents were not changed, {answer.updated} were; `{first.id}`: "
        raise of_code(first.error.code, message + first.error.message)
    return answer.updated


def _select(
    request: documents_pb2.DeleteDocumentsRequest | documents_pb2.UpdateDocumentsRequest,
    which: Iterable[str] | Filter,
) -> None:
    if isinstance(which, Filter):
        request.filter.CopyFrom(which.wire)
    else:
        request.ids.CopyFrom(ids_filter(*_names(which)).wire.ids)


def _names(names: Iterable[str]) -> Iterable[str]:
    # A text is an iterable of texts, too, and its letters are not what anybody means.
    if isinstance(names, str):
        raise TypeError(f"expected several ids or a filter, got the text {names!r}")
    return names
