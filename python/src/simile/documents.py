"""What is stored: documents, and what becomes of them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, Union

from .errors import SimileError, of_code
from .v1 import documents_pb2 as wire
from .values import Floats, Payload, Sparse, Value, Vector, Vectors, from_payload, from_vectors, to_payload

_KEYS = {"id", "text", "payload", "vectors", "parts", "expires_unix_ms"}


@dataclass
class Part:
    """A passage that is cut already, with vectors for each name that has no embedder."""

    text: str = ""
    vectors: Mapping[str, Vector] = field(default_factory=dict)

    def _to_wire(self) -> wire.Part:
        vectors = Vectors.of(self.vectors)
        return wire.Part(
            text=self.text, vectors=vectors.dense, sparse_vectors=vectors.sparse, multi_vectors=vectors.multi
        )


@dataclass
class Document:
    """A document to store: a text, a file, a list of parts, or vectors, with or without a text.

    A text or a file is cut and embedded by the server. One whose id is stored already is replaced as a whole;
    the same content again changes nothing.
    """

    id: str
    text: str | None = None
    payload: Payload = field(default_factory=dict)
    vectors: Mapping[str, Vector] | None = None
    parts: list[Part] | None = None
    #: The bytes of a file; its name tells the format.
    file: tuple[str, bytes] | None = None
    expires_unix_ms: int | None = None
    #: Stores only if this mutation stored the version there is; 0: only if the id is not stored.
    expected_sequence: int | None = None
    #: Names this mutation: sent again, it is answered and not done again.
    idempotency_key: str | None = None

    def to_wire(self) -> wire.Document:
        """Returns the document as it travels."""
        document = wire.Document(
            id=self.id,
            payload=to_payload(self.payload),
            expires_unix_ms=self.expires_unix_ms,
            expected_sequence=self.expected_sequence,
            idempotency_key=self.idempotency_key,
        )
        given = [name for name in ("file", "parts") if getattr(self, name) is not None]
        if self.text is not None or self.vectors is not None:
            given.append("text or vectors")
        if len(given) != 1:
            raise ValueError(f"document `{self.id}` has {' and '.join(given) or 'nothing'}, expected one of "
                             "text, vectors, text with vectors, file, parts")
        if self.file is not None:
            document.file.CopyFrom(wire.File(name=self.file[0], bytes=self.file[1]))
        elif self.parts is not None:
            document.parts.CopyFrom(wire.PartList(parts=[part._to_wire() for part in self.parts]))
        elif self.vectors is None:
            document.text = self.text or ""
        elif self.text is not None:
            part = Part(self.text, self.vectors)._to_wire()
            document.parts.CopyFrom(wire.PartList(parts=[part]))
        else:
            vectors = Vectors.of(self.vectors)
            document.vectors.CopyFrom(
                wire.Vectors(by_name=vectors.dense, sparse_by_name=vectors.sparse, multi_by_name=vectors.multi)
            )
        return document


#: What `ingest` takes: a text (its hash becomes the id), a dict with `id` and `text`, `vectors` or `parts`, and
#: a `payload`, as the lines of `simile import` have them, a file or folder, or a document.
Item: TypeAlias = Union[str, Mapping[str, Any], "os.PathLike[str]", Document]


def documents(items: Iterable[Item] | Item) -> Iterator[Document]:
    """Returns the documents that items mean; a folder means every file below it that is not hidden."""
    if isinstance(items, (str, Mapping, os.PathLike, Document)):
        items = [items]
    for item in items:
        if isinstance(item, Document):
            yield item
        elif isinstance(item, str):
            yield Document(hashlib.sha256(item.encode()).hexdigest()[:32], item)
        elif isinstance(item, Mapping):
            yield _of_mapping(item)
        else:
            yield from _files(Path(item))


def _of_mapping(item: Mapping[str, Any]) -> Document:
    unknown = sorted(set(item) - _KEYS)
    if unknown:
        raise ValueError(f"a document has no {', '.join(unknown)}: fields of your own stand within `payload`")
    if "id" not in item:
        raise ValueError(f"a document needs an `id`, got {sorted(item)}")
    parts = item.get("parts")
    return Document(
        str(item["id"]),
        item.get("text"),
        item.get("payload") or {},
        item.get("vectors"),
        None if parts is None else [Part(part.get("text", ""), part.get("vectors") or {}) for part in parts],
        expires_unix_ms=item.get("expires_unix_ms"),
    )


def _files(path: Path) -> Iterator[Document]:
    if not path.is_dir():
        yield Document(path.as_posix(), file=(path.name, path.read_bytes()))
        return
    for file in sorted(path.rglob("*")):
        inside = file.relative_to(path)
        if file.is_file() and not any(name.startswith(".") for name in inside.parts):
            yield Document(inside.as_posix(), file=(file.name, file.read_bytes()))


@dataclass(frozen=True)
class Ingested:
    """What became of one document."""

    id: str
    #: The number of the mutation; from then on it survives power loss. Missing: nothing was stored.
    sequence: int | None = None
    parts: int = 0
    tokens: int = 0
    replaced: bool = False
    #: The same content was stored already.
    unchanged: bool = False
    #: Why it was refused.
    error: SimileError | None = None
    warnings: tuple[str, ...] = ()
    #: The ids of the documents that a file of records became.
    record_ids: tuple[str, ...] = ()

    @classmethod
    def of(cls, result: wire.UpsertResult) -> Ingested:
        """Returns a result as it travelled."""
        outcome = result.WhichOneof("outcome")
        if outcome == "error":
            return cls(result.id, error=of_code(result.error.code, result.error.message))
        if outcome == "unchanged":
            return cls(result.id, unchanged=True)
        stored = result.stored
        return cls(
            result.id,
            stored.sequence,
            stored.parts,
            stored.tokens,
            stored.replaced,
            warnings=tuple(stored.warnings),
            record_ids=tuple(stored.record_ids),
        )


@dataclass
class Tally:
    """How many documents were stored, were stored already, and were refused."""

    stored: int = 0
    unchanged: int = 0
    failed: int = 0

    def add(self, result: Ingested) -> None:
        """Counts a result."""
        if result.error is not None:
            self.failed += 1
        elif result.unchanged:
            self.unchanged += 1
        else:
            self.stored += 1


#: How many refused documents are kept for whoever asks.
_FAILURES_MAX = 1_000


class Counting:
    """What became of the documents so far."""

    def __init__(self) -> None:
        self.tally = Tally()
        #: The first of those that were refused.
        self.failures: list[Ingested] = []

    def _count(self, result: wire.UpsertResult) -> Ingested:
        counted = Ingested.of(result)
        self.tally.add(counted)
        if counted.error is not None and len(self.failures) < _FAILURES_MAX:
            self.failures.append(counted)
        return counted


def requests(collection: str, items: Iterable[Item] | Item, label: str | None) -> Iterator[wire.UpsertRequest]:
    """Returns the messages that store items; the first one, without a document, says where to."""
    yield wire.UpsertRequest(collection=collection, job=label)
    for document in documents(items):
        yield wire.UpsertRequest(document=document.to_wire())


def sources(
    collection: str,
    names: Iterable[str] | str,
    payload: Payload | None,
    hidden: bool,
    all: bool,
    label: str | None,
) -> wire.UpsertSourcesRequest:
    """Returns the request that has the server read these paths and addresses."""
    return wire.UpsertSourcesRequest(
        collection=collection,
        sources=[names] if isinstance(names, str) else names,
        job=label,
        payload=to_payload(payload or {}),
        hidden=hidden,
        all=all,
    )


@dataclass(frozen=True)
class StoredPart:
    """A part as it is stored."""

    text: str
    vectors: dict[str, Floats | Sparse]


@dataclass(frozen=True)
class StoredDocument:
    """A document as it is stored."""

    id: str
    payload: dict[str, Value]
    sequence: int
    parts: tuple[StoredPart, ...]
    expires_unix_ms: int | None = None

    @classmethod
    def of(cls, document: wire.StoredDocument) -> StoredDocument:
        """Returns a document as it travelled."""
        parts = (
            StoredPart(part.text, from_vectors(part.vectors, part.sparse_vectors, part.multi_vectors))
            for part in document.parts
        )
        expires = document.expires_unix_ms if document.HasField("expires_unix_ms") else None
        return cls(document.id, from_payload(document.payload), document.sequence, tuple(parts), expires)
