"""The client of a server for asyncio."""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Iterable, Iterator
from typing import Any, Concatenate, ParamSpec, TypeVar

import grpc

from . import changes, clustering, questions, upkeep, verbs
from .answers import ClusterPieces, Clusters, Job
from .connection import ADDRESS, OPTIONS, Connection, TlsOption, job_of, tls_of
from .documents import Counting, Document, Ingested, Item, StoredDocument, Tally, documents, sources
from .errors import of_rpc
from .filters import Filter
from .upkeep import Arriving
from .v1 import documents_pb2, jobs_pb2, snapshots_pb2
from .values import Payload

P = ParamSpec("P")
T = TypeVar("T")


def _awaiting(
    verb: Callable[P, verbs.Steps[T]],
) -> Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]]:
    @functools.wraps(verb)
    async def ask(self: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._run(verb(*args, **kwargs))

    return ask


class AsyncClient(Connection):
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
                request = steps.send(await self._answer(request))
        except StopIteration as end:
            found: T = end.value
            return found
        except grpc.RpcError as error:
            raise of_rpc(error) from None

    async def _answer(self, request: verbs.Request) -> Any:
        messages = request.message
        if not isinstance(messages, Iterator):
            return await self._call(request)

        def following() -> Any:
            return next(messages, None)

        async def sent() -> AsyncIterator[Any]:
            # Reading holds up nobody else, and to a call that is refused nothing more is written.
            while not call.done() and (message := await asyncio.to_thread(following)) is not None:
                yield message

        call = self._call(verbs.Request(request.service, request.method, sent()))
        return await call

    create_collection = _awaiting(verbs.create_collection)
    collections = _awaiting(verbs.collections)
    collection = _awaiting(verbs.collection)
    delete_collection = _awaiting(verbs.delete_collection)
    change_collection = _awaiting(upkeep.change_collection)
    add_vector = _awaiting(upkeep.add_vector)
    drop_vector = _awaiting(upkeep.drop_vector)
    replace_vector = _awaiting(upkeep.replace_vector)
    set_alias = _awaiting(upkeep.set_alias)
    delete_alias = _awaiting(upkeep.delete_alias)
    aliases = _awaiting(upkeep.aliases)
    search = _awaiting(questions.search)
    search_batch = _awaiting(questions.search_batch)
    explain = _awaiting(questions.explain)
    locate = _awaiting(questions.locate)
    thumbnails = _awaiting(questions.thumbnails)
    get = _awaiting(verbs.get)
    page = _awaiting(verbs.page)
    count = _awaiting(verbs.count)
    facet = _awaiting(verbs.facet)
    delete = _awaiting(changes.delete)
    set_payload = _awaiting(changes.set_payload)
    delete_fields = _awaiting(changes.delete_fields)
    set_expiry = _awaiting(changes.set_expiry)
    set_vectors = _awaiting(changes.set_vectors)
    embed = _awaiting(verbs.embed)
    embed_sparse = _awaiting(verbs.embed_sparse)
    models = _awaiting(verbs.models)
    train = _awaiting(verbs.train)
    jobs = _awaiting(verbs.jobs)
    job = _awaiting(verbs.job)
    cancel = _awaiting(verbs.cancel)
    recall = _awaiting(questions.recall)
    verify = _awaiting(upkeep.verify)
    repair = _awaiting(upkeep.repair)
    optimize = _awaiting(upkeep.optimize)
    create_snapshot = _awaiting(upkeep.create_snapshot)
    snapshots = _awaiting(upkeep.snapshots)
    delete_snapshot = _awaiting(upkeep.delete_snapshot)
    restore_snapshot = _awaiting(upkeep.restore_snapshot)
    info = _awaiting(upkeep.info)
    version = _awaiting(upkeep.version)
    metrics = _awaiting(upkeep.metrics)

    def ingest(
        self, collection: str, items: Iterable[Item] | AsyncIterable[Item] | Item, *, label: str | None = None
    ) -> AsyncIngest:
        """Returns the storing of items, which begins when it is iterated, or with `finish`."""
        return AsyncIngest(self, documents_pb2.UpsertRequest(collection=collection, job=label), items)

    def ingest_there(
        self,
        collection: str,
        names: Iterable[str] | str,
        *,
        payload: Payload | None = None,
        hidden: bool = False,
        all: bool = False,
        label: str | None = None,
    ) -> AsyncIngest:
        """Returns the storing of what the server itself reads, as `Client.ingest_there` does."""
        return AsyncIngest(self, sources(collection, names, payload, hidden, all, label))

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

    async def download_snapshot(self, collection: str, name: str, file: str | os.PathLike[str]) -> None:
        """Writes a snapshot that the server keeps to a file, which is there once it is complete."""
        request = snapshots_pb2.DownloadSnapshotRequest(collection=collection, name=name)
        with Arriving(file) as arriving:
            try:
                async for piece in self._call(verbs.Request("Snapshots", "Download", request)):
                    await asyncio.to_thread(arriving.write, piece.bytes)
            except grpc.RpcError as error:
                raise of_rpc(error) from None

    async def watch(self, job: str) -> AsyncIterator[Job]:
        """Returns a job as it is now, on every change, and when it ends."""
        call = self._call(verbs.Request("Jobs", "Watch", jobs_pb2.WatchJobRequest(id=job)))
        try:
            async for message in call:
                yield Job.of(message)
        except grpc.RpcError as error:
            raise of_rpc(error) from None


class AsyncIngest(Counting):
    """Documents that are being stored, as `Ingest`, for `async for`."""

    def __init__(
        self,
        client: AsyncClient,
        asked: documents_pb2.UpsertRequest | documents_pb2.UpsertSourcesRequest,
        items: Iterable[Item] | AsyncIterable[Item] | Item = (),
    ) -> None:
        super().__init__()
        self._client, self._asked, self._items = client, asked, items
        self._failure: Exception | None = None
        self._call: Any = None

    def _begin(self) -> Any:
        asked = self._asked
        if isinstance(asked, documents_pb2.UpsertSourcesRequest):
            return self._client._call(verbs.Request("Documents", "UpsertSources", asked))
        return self._client._call(verbs.Request("Documents", "Upsert", self._sent(asked)))

    async def _sent(self, first: documents_pb2.UpsertRequest) -> AsyncIterator[documents_pb2.UpsertRequest]:
        yield first
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
        return None if self._call is None else job_of(await self._call.initial_metadata())

    async def __aiter__(self) -> AsyncIterator[Ingested]:
        if self._call is not None:
            raise RuntimeError("documents are sent once: these were")
        self._call = self._begin()
        try:
            async for message in self._call:
                yield self._count(message)
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
        return job_of(await self._call.initial_metadata())

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
            parts = ClusterPieces()
            try:
                async for message in self._call:
                    parts.add(message)
            except grpc.RpcError as error:
                raise of_rpc(error) from None
            self._found = parts.clusters()
        return self._found


def connect_async(
    address: str = ADDRESS, *, key: str | None = None, tls: TlsOption = False, timeout: float | None = None
) -> AsyncClient:
    """Returns a client as `connect` does, for asyncio."""
    options = list(OPTIONS)
    wanted = tls_of(tls)
    if wanted is None:
        return AsyncClient(grpc.aio.insecure_channel(address, options), key, timeout)
    return AsyncClient(grpc.aio.secure_channel(address, wanted.credentials(), options), key, timeout)
