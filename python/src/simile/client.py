"""The client of a server that waits for what it asks."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Concatenate, ParamSpec, TypeVar

import grpc

from . import changes, clustering, questions, upkeep, verbs
from .answers import ClusterPieces, Clusters, Job
from .connection import ADDRESS, OPTIONS, Connection, TlsOption, job_of, tls_of
from .documents import Counting, Ingested, Item, StoredDocument, Tally, requests, sources
from .errors import of_rpc
from .filters import Filter
from .upkeep import Arriving
from .v1 import documents_pb2, jobs_pb2, snapshots_pb2
from .values import Payload

P = ParamSpec("P")
T = TypeVar("T")


def _waiting(verb: Callable[P, verbs.Steps[T]]) -> Callable[Concatenate[Client, P], T]:
    @functools.wraps(verb)
    def ask(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._run(verb(*args, **kwargs))

    return ask


class Client(Connection):
    """Asks a server and waits for the answer. Threads may share one."""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection."""
        self._channel.close()

    def with_timeout(self, seconds: float | None) -> Client:
        """Returns the same client with another time for each request."""
        return Client(self._channel, self._key, seconds)

    def _run(self, steps: verbs.Steps[T]) -> T:
        try:
            request = next(steps)
            while True:
                request = steps.send(self._call(request))
        except StopIteration as end:
            found: T = end.value
            return found
        except grpc.RpcError as error:
            raise of_rpc(error) from None

    create_collection = _waiting(verbs.create_collection)
    collections = _waiting(verbs.collections)
    collection = _waiting(verbs.collection)
    delete_collection = _waiting(verbs.delete_collection)
    change_collection = _waiting(upkeep.change_collection)
    add_vector = _waiting(upkeep.add_vector)
    drop_vector = _waiting(upkeep.drop_vector)
    replace_vector = _waiting(upkeep.replace_vector)
    set_alias = _waiting(upkeep.set_alias)
    delete_alias = _waiting(upkeep.delete_alias)
    aliases = _waiting(upkeep.aliases)
    search = _waiting(questions.search)
    search_batch = _waiting(questions.search_batch)
    explain = _waiting(questions.explain)
    locate = _waiting(questions.locate)
    thumbnails = _waiting(questions.thumbnails)
    get = _waiting(verbs.get)
    page = _waiting(verbs.page)
    count = _waiting(verbs.count)
    facet = _waiting(verbs.facet)
    delete = _waiting(changes.delete)
    set_payload = _waiting(changes.set_payload)
    delete_fields = _waiting(changes.delete_fields)
    set_expiry = _waiting(changes.set_expiry)
    set_vectors = _waiting(changes.set_vectors)
    embed = _waiting(verbs.embed)
    embed_sparse = _waiting(verbs.embed_sparse)
    models = _waiting(verbs.models)
    train = _waiting(verbs.train)
    jobs = _waiting(verbs.jobs)
    job = _waiting(verbs.job)
    cancel = _waiting(verbs.cancel)
    recall = _waiting(questions.recall)
    verify = _waiting(upkeep.verify)
    repair = _waiting(upkeep.repair)
    optimize = _waiting(upkeep.optimize)
    create_snapshot = _waiting(upkeep.create_snapshot)
    snapshots = _waiting(upkeep.snapshots)
    delete_snapshot = _waiting(upkeep.delete_snapshot)
    restore_snapshot = _waiting(upkeep.restore_snapshot)
    info = _waiting(upkeep.info)
    version = _waiting(upkeep.version)
    metrics = _waiting(upkeep.metrics)

    def ingest(self, collection: str, items: Iterable[Item] | Item, *, label: str | None = None) -> Ingest:
        """Returns the storing of items, which begins when it is iterated, or with `finish`."""
        return Ingest(self, requests(collection, items, label))

    def ingest_there(
        self,
        collection: str,
        names: Iterable[str] | str,
        *,
        payload: Payload | None = None,
        hidden: bool = False,
        all: bool = False,
        label: str | None = None,
    ) -> Ingest:
        """Returns the storing of what the server itself reads: paths beneath the folder of its setting
        `ingest_root`, a folder with all that is in it, and addresses if its `ingest_urls` is on. Every document
        gets the fields of `payload`; with `hidden`, files whose names begin with a dot are taken, and with `all`
        what is stored already is stored again."""
        return Ingest(self, sources(collection, names, payload, hidden, all, label))

    def scroll(
        self, collection: str, *, filter: Filter | None = None, with_parts: bool = False, with_vectors: bool = False
    ) -> Iterator[StoredDocument]:
        """Returns all documents that a filter means, in the order of their ids, asked for page by page."""
        after = ""
        while True:
            found, after = self.page(
                collection, after, filter=filter, with_parts=with_parts, with_vectors=with_vectors
            )
            yield from found
            if not after:
                return

    def cluster(
        self,
        collection: str,
        method: clustering.Method | None = None,
        *,
        vector: str | None = None,
        filter: Filter | None = None,
        with_map: bool = False,
        with_text: bool = False,
        write_to: str | None = None,
        label: str | None = None,
    ) -> ClusterJob:
        """Begins to cluster documents, by communities of neighbours unless another method is given."""
        request = clustering.request(
            collection,
            method,
            vector=vector,
            filter=filter,
            with_map=with_map,
            with_text=with_text,
            write_to=write_to,
            label=label,
        )
        return ClusterJob(self, self._call(verbs.Request("Cluster", "Cluster", request)))

    def download_snapshot(self, collection: str, name: str, file: str | os.PathLike[str]) -> None:
        """Writes a snapshot that the server keeps to a file, which is there once it is complete."""
        request = snapshots_pb2.DownloadSnapshotRequest(collection=collection, name=name)
        with Arriving(file) as arriving:
            for piece in _translated(self._call(verbs.Request("Snapshots", "Download", request))):
                arriving.write(piece.bytes)

    def watch(self, job: str) -> Iterator[Job]:
        """Returns a job as it is now, on every change, and when it ends."""
        call = self._call(verbs.Request("Jobs", "Watch", jobs_pb2.WatchJobRequest(id=job)))
        return _translated(map(Job.of, call))


def _translated(items: Iterator[T]) -> Iterator[T]:
    try:
        yield from items
    except grpc.RpcError as error:
        raise of_rpc(error) from None


class Ingest(Counting):
    """Documents that are being stored: iterating gives what became of each, in the order in which they are
    committed, while others are still being sent or read."""

    def __init__(
        self, client: Client, asked: Iterator[documents_pb2.UpsertRequest] | documents_pb2.UpsertSourcesRequest
    ) -> None:
        super().__init__()
        self._client, self._asked = client, asked
        self._failure: Exception | None = None
        self._call: Any = None

    def _sent(self, messages: Iterator[documents_pb2.UpsertRequest]) -> Iterator[documents_pb2.UpsertRequest]:
        # What goes wrong while items are read is to be told as it is, not as the end of a stream.
        try:
            yield from messages
        except Exception as error:
            self._failure = error
            self._call.cancel()

    def _begin(self) -> Any:
        if isinstance(self._asked, documents_pb2.UpsertSourcesRequest):
            return self._client._call(verbs.Request("Documents", "UpsertSources", self._asked))
        return self._client._call(verbs.Request("Documents", "Upsert", self._sent(self._asked)))

    @property
    def job(self) -> str | None:
        """The id of the job that shows the progress, once it has begun."""
        return None if self._call is None else job_of(self._call.initial_metadata())

    def __iter__(self) -> Iterator[Ingested]:
        if self._call is not None:
            raise RuntimeError("documents are sent once: these were")
        self._call = self._begin()
        try:
            for message in self._call:
                yield self._count(message)
        except grpc.RpcError as error:
            raise self._failure or of_rpc(error) from None
        if self._failure is not None:
            raise self._failure

    def finish(self) -> Tally:
        """Stores everything; returns how many were stored, were stored already, and were refused."""
        for _ in self:
            pass
        return self.tally


class ClusterJob:
    """Documents that are being clustered."""

    def __init__(self, client: Client, call: Any) -> None:
        self._client, self._call = client, call
        self._found: Clusters | None = None

    @property
    def id(self) -> str | None:
        """The id of the job; none if it was refused, which `result` then says."""
        return job_of(self._call.initial_metadata())

    def progress(self) -> Iterator[Job]:
        """Returns how far it is, until it ends."""
        return iter(()) if self.id is None else self._client.watch(self.id)

    def cancel(self) -> None:
        """Ends it."""
        self._call.cancel()

    def result(self) -> Clusters:
        """Waits for what was found."""
        if self._found is None:
            parts = ClusterPieces()
            for message in _translated(self._call):
                parts.add(message)
            self._found = parts.clusters()
        return self._found


def connect(
    address: str = ADDRESS, *, key: str | None = None, tls: TlsOption = False, timeout: float | None = None
) -> Client:
    """Returns a client of the server at HOST:PORT, which is connected to with the first request. `timeout` is in
    seconds, of each request, uploads included; without it, the server's own time limit holds."""
    options = list(OPTIONS)
    wanted = tls_of(tls)
    if wanted is None:
        return Client(grpc.insecure_channel(address, options), key, timeout)
    return Client(grpc.secure_channel(address, wanted.credentials(), options), key, timeout)
