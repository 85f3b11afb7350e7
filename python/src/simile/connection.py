"""How a server is reached: the address, the key, encryption and the stubs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Union

import grpc

from . import verbs
from .v1 import (
    admin_pb2_grpc,
    cluster_pb2_grpc,
    collections_pb2_grpc,
    documents_pb2_grpc,
    embedding_pb2_grpc,
    jobs_pb2_grpc,
    search_pb2_grpc,
    snapshots_pb2_grpc,
)

#: Where a server listens unless told otherwise.
ADDRESS = "127.0.0.1:7465"
#: Answers may be as large as what they are about; and as many connections as clients.
OPTIONS: Sequence[tuple[str, int]] = (
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


def tls_of(tls: TlsOption) -> Tls | None:
    """Returns how the connection is encrypted, if it is."""
    if isinstance(tls, Tls):
        return tls
    if isinstance(tls, bool):
        return Tls() if tls else None
    return Tls(ca=tls)


class Connection:
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


def job_of(metadata: Iterable[Any]) -> str | None:
    """Returns the id of the job of a call, as the header of its answer says it."""
    return next((value for name, value in metadata if name == "simile-job"), None)
