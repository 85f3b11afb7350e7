"""Clients of a server: one that waits, and one for asyncio."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar, Union

import grpc

from . import clustering, verbs
from .answers import Clusters, Job
from .documents import Document, Ingested, Item, StoredDocument, Tally, documents, requests
from .errors import of_rpc
from .filters import Filter
from .v1 import (
    admin_pb2_grpc,
    cluster_pb2,
    cluster_pb2_grpc,
    collections_pb2_grpc,
    documents_pb2,
    documents_pb2_grpc,
    embedding_pb2_grpc,
    jobs_pb2,
    jobs_pb2_grpc,
    search_pb2_grpc,
    snapshots_pb2_grpc,
)

P = ParamSpec("P")
T = TypeVar("T")

#: Where a server listens unless told otherwise.
ADDRESS = "127.0.0.1:7465"
#: Answers may be as large as what they are about; and as many connections as clients.
_OPTIONS: Sequence[tuple[str, int]] = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.use_local_subchannel_pool", 1),
)
_STUBS: dict[str, Callable[[Any], Any]] = {
    "Admin": admin_pb2_grpc.AdminStub,
    "Cluster": cluster_pb2_grpc.ClusterStub,
    "Collections": collections_pb2_grpc.CollectionsStub,
    "Documents": documents_pb2_grpc.DocumentsStub,
    "Embedding": embedding_pb2_grpc.EmbeddingStub,
    "Jobs": jobs_pb2_grpc.JobsStub,
    "Search": search_pb2_grpc.SearchStub,
    "Snapshots": snapshots_pb2_grpc.SnapshotsStub,
}


@dataclass(frozen=True)
class Tls:
    """How the connection is encrypted: PEM files. Without `ca`, those that gRPC trusts."""

    ca: str | Path | None = None
    #: What this client shows, if the server wants to see something.
    cert: str | Path | None = None
    key: str | Path | None = None

    def credentials(self) -> grpc.ChannelCredentials:
        """Returns the credentials of these files."""
        ca, key, cert = (None if file is None else Path(file).read_bytes() for file in (self.ca, self.key, self.cert))
        return grpc.ssl_channel_credentials(ca, key, cert)


#: True, the file of who signed the server's certificate, or all of it.
TlsOption = Union[bool, str, Path, Tls]


def _tls(tls: TlsOption) -> Tls | None:
    if isinstance(tls, Tls):
        return tls
    if isinstance(tls, bool):
        return Tls() if tls else None
    return Tls(ca=tls)


class _Connection:
    """What both clients have: the stubs, the key and the time that a request may take."""

    def __init__(self, channel: Any, key: str | None, timeout: float | None) -> None:
        self._channel = channel
        self._key = key
        self._timeout = timeout
        self._metadata = () if key is None else (("authorization", f"Bearer {key}"),)
        self._stubs: dict[str, Any] = {name: stub(channel) for name, stub in _STUBS.items()}

    def stub(self, service: str) -> Any:
        """Returns the generated stub of a service, as `Search`, for what has no verb here."""
        return self._stubs[service]

    def _call(self, request: verbs.Request) -> Any:
        method = getattr(self._stubs[request.service], request.method)
        return method(request.message, timeout=self._timeout, metadata=self._metadata)


def _waiting(verb: Callable[P, verbs.Steps[T]]) -> Callable[Concatenate[Client, P], T]:
    @functools.wraps(verb)
    def ask(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._run(verb(*args, **kwargs))

    return ask


class Client(_Connection):
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
    set_alias = _waiting(verbs.set_alias)
    delete_alias = _waiting(verbs.delete_alias)
    search = _waiting(verbs.search)
    search_batch = _waiting(verbs.search_batch)
    get = _waiting(verbs.get)
    page = _waiting(verbs.page)
    count = _waiting(verbs.count)
    facet = _waiting(verbs.facet)
    delete = _waiting(verbs.delete)
    set_payload = _waiting(verbs.set_payload)
    embed = _waiting(verbs.embed)
    embed_sparse = _waiting(verbs.embed_sparse)
    recall = _waiting(verbs.recall)
    models = _waiting(verbs.models)
    train = _waiting(verbs.train)
    jobs = _waiting(verbs.jobs)
    cancel = _waiting(verbs.cancel)
    version = _waiting(verbs.version)

    def ingest(self, collection: str, items: Iterable[Item] | Item, *, label: str | None = None) -> Ingest:
        """Returns the storing of items, which begins when it is iterated, or with `finish`."""
        return Ingest(self, collection, items, label)

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

    def watch(self, job: str) -> Iterator[Job]:
        """Returns a job as it is now, on every change, and when it ends."""
        call = self._call(verbs.Request("Jobs", "Watch", jobs_pb2.WatchJobRequest(id=job)))
        return _translated(map(Job.of, call))


def _translated(items: Iterator[T]) -> Iterator[T]:
    try:
        yield from items
    except grpc.RpcError as error:
        raise of_rpc(error) from None


def _job_of(metadata: Iterable[Any]) -> str | None:
    return next((value for name, value in metadata if name == "simile-job"), None)


class Ingest:
    """Documents that are being stored: iterating gives what became of each, in the order in which they are
    committed, while others are still being sent."""

    def __init__(self, client: Client, collection: str, items: Iterable[Item] | Item, label: str | None) -> None:
        self.tally = Tally()
        #: The first of those that were refused.
        self.failures: list[Ingested] = []
        self._client = client
        self._failure: Exception | None = None
        self._requests = self._sent(requests(collection, items, label))
        self._call: Any = None

    def _sent(self, messages: Iterator[documents_pb2.UpsertRequest]) -> Iterator[documents_pb2.UpsertRequest]:
        # What goes wrong while items are read is to be told as it is, not as the end of a stream.
        try:
            yield from messages
        except Exception as error:
            self._failure = error
            self._call.cancel()

    @property
    def job(self) -> str | None:
        """The id of the job that shows the progress, once it has begun."""
        return None if self._call is None else _job_of(self._call.initial_metadata())

    def __iter__(self) -> Iterator[Ingested]:
        if self._call is not None:
            raise RuntimeError("documents are sent once: these were")
        client = self._client
        stub = client.stub("Documents")
        self._call = stub.Upsert(self._requests, timeout=client._timeout, metadata=client._metadata)
        try:
            for message in self._call:
                yield _counted(self, Ingested.of(message))
        except grpc.RpcError as error:
            raise self._failure or of_rpc(error) from None
        if self._failure is not None:
            raise self._failure

    def finish(self) -> Tally:
        """Stores everything; returns how many were stored, were stored already, and were refused."""
        for _ in self:
            pass
        return self.tally


#: How many refused documents are kept for whoever asks.
_FAILURES_MAX = 1_000


def _counted(ingest: Ingest | AsyncIngest, result: Ingested) -> Ingested:
    ingest.tally.add(result)
    if result.error is not None and len(ingest.failures) < _FAILURES_MAX:
        ingest.failures.append(result)
    return result


class _Parts:
    """Collects the pieces of a clustering."""

    def __init__(self) -> None:
        self.summary = cluster_pb2.ClusterSummary()
        self.items: list[cluster_pb2.ClusterItem] = []

    def add(self, message: cluster_pb2.ClusterResponse) -> None:
        if message.WhichOneof("kind") == "summary":
            self.summary = message.summary
        else:
            self.items.extend(message.items.items)

    def clusters(self) -> Clusters:
        return Clusters.of(self.summary, self.items)


class ClusterJob:
    """Documents that are being clustered."""

    def __init__(self, client: Client, call: Any) -> None:
        self._client, self._call = client, call
        self._found: Clusters | None = None

    @property
    def id(self) -> str | None:
        """The id of the job; none if it was refused, which `result` then says."""
        return _job_of(self._call.initial_metadata())

    def progress(self) -> Iterator[Job]:
        """Returns how far it is, until it ends."""
        return iter(()) if self.id is None else self._client.watch(self.id)

    def cancel(self) -> None:
        """Ends it."""
        self._call.cancel()

    def result(self) -> Clusters:
        """Waits for what was found."""
        if self._found is None:
            parts = _Parts()
            for message in _translated(self._call):
                parts.add(message)
            self._found = parts.clusters()
        return self._found


def _awaiting(
    verb: Callable[P, verbs.Steps[T]],
) -> Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]]:
    @functools.wraps(verb)
    async def ask(self: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._run(verb(*args, **kwargs))

    return ask


class AsyncClient(_Connection):
    """Asks a server from asyncio. Its verbs are those of `Client`, to be awaited."""

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the connection."""
        await self._channel.close()

    def with_timeout(self, seconds: float | None) -> AsyncClient:
        """Returns the same client with another time for each request."""
        return AsyncClient(self._channel, self._key, seconds)

    async def _run(self, steps: verbs.Steps[T]) -> T:
        try:
            request = next(steps)
            while True:
                request = steps.send(await self._call(request))
        except StopIteration as end:
            found: T = end.value
            return found
        except grpc.RpcError as error:
            raise of_rpc(error) from None

    create_collection = _awaiting(verbs.create_collection)
    collections = _awaiting(verbs.collections)
    collection = _awaiting(verbs.collection)
    delete_collection = _awaiting(verbs.delete_collection)
    set_alias = _awaiting(verbs.set_alias)
    delete_alias = _awaiting(verbs.delete_alias)
    search = _awaiting(verbs.search)
    search_batch = _awaiting(verbs.search_batch)
    get = _awaiting(verbs.get)
    page = _awaiting(verbs.page)
    count = _awaiting(verbs.count)
    facet = _awaiting(verbs.facet)
    delete = _awaiting(verbs.delete)
    set_payload = _awaiting(verbs.set_payload)
    embed = _awaiting(verbs.embed)
    embed_sparse = _awaiting(verbs.embed_sparse)
    recall = _awaiting(verbs.recall)
    models = _awaiting(verbs.models)
    train = _awaiting(verbs.train)
    jobs = _awaiting(verbs.jobs)
    cancel = _awaiting(verbs.cancel)
    version = _awaiting(verbs.version)

    def ingest(
        self, collection: str, items: Iterable[Item] | AsyncIterable[Item] | Item, *, label: str | None = None
    ) -> AsyncIngest:
        """Returns the storing of items, which begins when it is iterated, or with `finish`."""
        return AsyncIngest(self, collection, items, label)

    async def scroll(
        self, collection: str, *, filter: Filter | None = None, with_parts: bool = False, with_vectors: bool = False
    ) -> AsyncIterator[StoredDocument]:
        """Returns all documents that a filter means, in the order of their ids, asked for page by page."""
        after = ""
        while True:
            found, after = await self.page(
                collection, after, filter=filter, with_parts=with_parts, with_vectors=with_vectors
            )
            for document in found:
                yield document
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
    ) -> AsyncClusterJob:
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
        return AsyncClusterJob(self, self._call(verbs.Request("Cluster", "Cluster", request)))

    async def watch(self, job: str) -> AsyncIterator[Job]:
        """Returns a job as it is now, on every change, and when it ends."""
        call = self._call(verbs.Request("Jobs", "Watch", jobs_pb2.WatchJobRequest(id=job)))
        try:
            async for message in call:
                yield Job.of(message)
        except grpc.RpcError as error:
            raise of_rpc(error) from None


class AsyncIngest:
    """Documents that are being stored, as `Ingest`, for `async for`."""

    def __init__(
        self,
        client: AsyncClient,
        collection: str,
        items: Iterable[Item] | AsyncIterable[Item] | Item,
        label: str | None,
    ) -> None:
        self.tally = Tally()
        #: The first of those that were refused.
        self.failures: list[Ingested] = []
        self._client, self._collection, self._items, self._label = client, collection, items, label
        self._failure: Exception | None = None
        self._call: Any = None

    async def _sent(self) -> AsyncIterator[documents_pb2.UpsertRequest]:
        yield documents_pb2.UpsertRequest(collection=self._collection, job=self._label)
        # A call that is refused while something is written to it loses the reason (grpc.aio says "Internal error
        # from Core"), and what is refused is refused after the first message.
        await self._call.initial_metadata()
        if self._call.done():
            return
        try:
            async for document in self._documents():
                yield documents_pb2.UpsertRequest(document=document.to_wire())
        except Exception as error:
            self._failure = error
            self._call.cancel()

    async def _documents(self) -> AsyncIterator[Document]:
        if isinstance(self._items, AsyncIterable):
            async for item in self._items:
                for document in documents(item):
                    yield document
            return
        # Reading a file holds up nobody else.
        found = documents(self._items)

        def following() -> Document | None:
            return next(found, None)

        while True:
            read: Document | None = await asyncio.to_thread(following)
            if read is None:
                return
            yield read

    async def job(self) -> str | None:
        """Returns the id of the job that shows the progress, once it has begun."""
        return None if self._call is None else _job_of(await self._call.initial_metadata())

    async def __aiter__(self) -> AsyncIterator[Ingested]:
        if self._call is not None:
            raise RuntimeError("documents are sent once: these were")
        client = self._client
        stub = client.stub("Documents")
        self._call = stub.Upsert(self._sent(), timeout=client._timeout, metadata=client._metadata)
        try:
            async for message in self._call:
                yield _counted(self, Ingested.of(message))
        except grpc.RpcError as error:
            raise self._failure or of_rpc(error) from None
        except asyncio.CancelledError:
            # So ends a call that was cancelled here, because an item could not be read.
            if self._failure is None:
                raise
            raise self._failure from None
        if self._failure is not None:
            raise self._failure

    async def finish(self) -> Tally:
        """Stores everything; returns how many were stored, were stored already, and were refused."""
        async for _ in self:
            pass
        return self.tally


class AsyncClusterJob:
    """Documents that are being clustered, as `ClusterJob`, to be awaited."""

    def __init__(self, client: AsyncClient, call: Any) -> None:
        self._client, self._call = client, call
        self._found: Clusters | None = None

    async def id(self) -> str | None:
        """Returns the id of the job; none if it was refused, which `result` then says."""
        return _job_of(await self._call.initial_metadata())

    async def progress(self) -> AsyncIterator[Job]:
        """Returns how far it is, until it ends."""
        job = await self.id()
        if job is not None:
            async for state in self._client.watch(job):
                yield state

    def cancel(self) -> None:
        """Ends it."""
        self._call.cancel()

    async def result(self) -> Clusters:
        """Waits for what was found."""
        if self._found is None:
            parts = _Parts()
            try:
                async for message in self._call:
                    parts.add(message)
            except grpc.RpcError as error:
                raise of_rpc(error) from None
            self._found = parts.clusters()
        return self._found


def connect(
    address: str = ADDRESS, *, key: str | None = None, tls: TlsOption = False, timeout: float | None = None
) -> Client:
    """Returns a client of the server at HOST:PORT, which is connected to with the first request. `timeout` is in
    seconds, of each request, uploads included; without it, the server's own time limit holds."""
    options = list(_OPTIONS)
    wanted = _tls(tls)
    if wanted is None:
        return Client(grpc.insecure_channel(address, options), key, timeout)
    return Client(grpc.secure_channel(address, wanted.credentials(), options), key, timeout)


def connect_async(
    address: str = ADDRESS, *, key: str | None = None, tls: TlsOption = False, timeout: float | None = None
) -> AsyncClient:
    """Returns a client as `connect` does, for asyncio."""
    options = list(_OPTIONS)
    wanted = _tls(tls)
    if wanted is None:
        return AsyncClient(grpc.aio.insecure_channel(address, options), key, timeout)
    return AsyncClient(grpc.aio.secure_channel(address, wanted.credentials(), options), key, timeout)
