"""How collections are kept: what they are called and made of, whether they are sound, and snapshots of them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from .answers import Collection, Info, Repaired, Snapshot, Verified
from .v1 import admin_pb2, collections_pb2, snapshots_pb2
from .verbs import Request, Steps, VectorConfig, choice

#: How much of a snapshot's file one message carries.
_PIECE = 1 << 20


def set_alias(alias: str, collection: str) -> Steps[None]:
    """Makes an alias stand for a collection; one that is there moves, at one moment."""
    change = collections_pb2.AliasChange(set=collections_pb2.SetAlias(alias=alias, collection=collection))
    yield Request("Collections", "ChangeAliases", collections_pb2.ChangeAliasesRequest(changes=[change]))


def delete_alias(alias: str) -> Steps[None]:
    """Takes an alias away; the collection stays."""
    change = collections_pb2.AliasChange(delete=alias)
    yield Request("Collections", "ChangeAliases", collections_pb2.ChangeAliasesRequest(changes=[change]))


def aliases() -> Steps[dict[str, str]]:
    """Returns the collections that aliases stand for, by alias."""
    request = collections_pb2.ListAliasesRequest()
    answer: collections_pb2.ListAliasesResponse = yield Request("Collections", "ListAliases", request)
    return dict(answer.collections)


def add_vector(collection: str, name: str, config: VectorConfig | str | int) -> Steps[Collection]:
    """Adds a vector to a collection in use. One with an embedder is made of the texts that are stored, as a job;
    if that ends early, the same call goes on with it."""
    request = collections_pb2.AddVectorRequest(
        collection=collection, name=name, config=VectorConfig.of(config).to_wire()
    )
    answer: collections_pb2.Collection = yield Request("Collections", "AddVector", request)
    return Collection.of(answer)


def drop_vector(collection: str, name: str) -> Steps[Collection]:
    """Drops a vector from every part."""
    request = collections_pb2.DropVectorRequest(collection=collection, name=name)
    answer: collections_pb2.Collection = yield Request("Collections", "DropVector", request)
    return Collection.of(answer)


def replace_vector(collection: str, name: str, by: str) -> Steps[Collection]:
    """Lets a vector take the name of another one, which is dropped, at one moment: how a collection goes over to
    another embedder."""
    request = collections_pb2.ReplaceVectorRequest(collection=collection, name=name, by=by)
    answer: collections_pb2.Collection = yield Request("Collections", "ReplaceVector", request)
    return Collection.of(answer)


@dataclass(frozen=True)
class VectorChange:
    """What changes of a dense vector; what is not given stays as it was."""

    hnsw_m: int | None = None
    hnsw_ef_construction: int | None = None
    quantisation: Literal["none", "int8", "binary"] | None = None
    #: The breadth of searches that say none; 0: the usual one.
    ef: int | None = None


def change_collection(
    name: str,
    *,
    tokens_max: int | None = None,
    tokens_overlap: int | None = None,
    vectors: Mapping[str, VectorChange] | None = None,
    description: str | None = None,
    metadata: Mapping[str, str] | None = None,
) -> Steps[Collection]:
    """Changes what a collection in use is like, at one moment. Texts are cut differently, and graphs are built
    differently, from now on; `metadata` is set beside what is there, and an empty text takes an entry away."""
    request = collections_pb2.ChangeCollectionRequest(name=name, description=description, metadata=metadata)
    if tokens_max is not None or tokens_overlap is not None:
        request.chunk.CopyFrom(collections_pb2.ChunkConfig(tokens_max=tokens_max, tokens_overlap=tokens_overlap))
    for vector, change in (vectors or {}).items():
        changed = collections_pb2.VectorChange(
            hnsw_m=change.hnsw_m,
            hnsw_ef_construction=change.hnsw_ef_construction,
            quantisation=choice("QUANTISATION", change.quantisation),
            ef=change.ef,
        )
        request.vectors[vector].CopyFrom(changed)
    answer: collections_pb2.Collection = yield Request("Collections", "Change", request)
    return Collection.of(answer)


def verify(collection: str) -> Steps[Verified]:
    """Compares the tables of a collection with its indexes, item by item."""
    request = admin_pb2.VerifyRequest(collection=collection)
    answer: admin_pb2.VerifyResponse = yield Request("Admin", "Verify", request)
    return Verified(answer.documents, answer.parts, tuple(answer.problems), answer.problems_total)


def repair(collection: str) -> Steps[Repaired]:
    """Rebuilds every index of a collection that does not agree with its tables."""
    request = admin_pb2.RepairRequest(collection=collection)
    answer: admin_pb2.RepairResponse = yield Request("Admin", "Repair", request)
    return Repaired(tuple(answer.repaired), tuple(answer.problems), answer.problems_total)


def optimize(collection: str) -> Steps[int]:
    """Seals and merges now what is sealed and merged in the background; returns how many segments there are."""
    request = admin_pb2.OptimizeRequest(collection=collection)
    answer: admin_pb2.OptimizeResponse = yield Request("Admin", "Optimize", request)
    return answer.segments


def info() -> Steps[Info]:
    """Returns what runs there, and how it is."""
    answer: admin_pb2.InfoResponse = yield Request("Admin", "Info", admin_pb2.InfoRequest())
    return Info.of(answer)


def version() -> Steps[str]:
    """Returns the version of the server."""
    return (yield from info()).version


def metrics() -> Steps[str]:
    """Returns what the server counted since it started, in the text form of OpenMetrics."""
    answer: admin_pb2.MetricsResponse = yield Request("Admin", "Metrics", admin_pb2.MetricsRequest())
    return answer.open_metrics


def create_snapshot(collection: str, name: str | None = None) -> Steps[Snapshot]:
    """Takes a snapshot of a collection, which the server keeps; writing goes on meanwhile."""
    request = snapshots_pb2.CreateSnapshotRequest(collection=collection, name=name)
    answer: snapshots_pb2.Snapshot = yield Request("Snapshots", "Create", request)
    return Snapshot.of(answer)


def snapshots(collection: str | None = None) -> Steps[list[Snapshot]]:
    """Returns the snapshots that the server keeps: of a collection, or of all, deleted ones too."""
    request = snapshots_pb2.ListSnapshotsRequest(collection=collection)
    answer: snapshots_pb2.ListSnapshotsResponse = yield Request("Snapshots", "List", request)
    return [Snapshot.of(one) for one in answer.snapshots]


def delete_snapshot(collection: str, name: str) -> Steps[None]:
    """Deletes a snapshot."""
    request = snapshots_pb2.DeleteSnapshotRequest(collection=collection, name=name)
    yield Request("Snapshots", "Delete", request)


def restore_snapshot(collection: str, snapshot: Snapshot | str | os.PathLike[str]) -> Steps[Snapshot]:
    """Makes a new collection of a snapshot that the server keeps, or of the file of one."""
    if isinstance(snapshot, Snapshot):
        kept = snapshots_pb2.SnapshotName(collection=snapshot.collection, name=snapshot.name)
        messages = iter([snapshots_pb2.RestoreSnapshotRequest(collection=collection, snapshot=kept)])
    else:
        messages = _pieces(collection, Path(snapshot))
    answer: snapshots_pb2.Snapshot = yield Request("Snapshots", "Restore", messages)
    return Snapshot.of(answer)


def _pieces(collection: str, path: Path) -> Iterator[snapshots_pb2.RestoreSnapshotRequest]:
    # Opened here: a file that is missing is to be told as it is.
    file = path.open("rb")

    def read() -> Iterator[snapshots_pb2.RestoreSnapshotRequest]:
        with file:
            yield snapshots_pb2.RestoreSnapshotRequest(collection=collection)
            while piece := file.read(_PIECE):
                yield snapshots_pb2.RestoreSnapshotRequest(bytes=piece)

    return read()


class Arriving:
    """A file that takes its name once all of it is there."""

    def __init__(self, file: str | os.PathLike[str]) -> None:
        self._to = Path(file)
        self._part = self._to.with_name(self._to.name + ".part")

    def __enter__(self) -> BinaryIO:
        self._file = self._part.open("wb")
        return self._file

    def __exit__(self, failed: type[BaseException] | None, *_: object) -> None:
        self._file.close()
        if failed is None:
            self._part.replace(self._to)
        else:
            self._part.unlink()
