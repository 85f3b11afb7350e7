"""What a server may refuse, as exceptions: the text is the server's own."""

from __future__ import annotations

import grpc


class SimileError(Exception):
    """A request that was not answered. `code` is the name of its gRPC status."""

    def __init__(self, message: str, code: str = "UNKNOWN", retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        #: In how many seconds it may be tried again, if the server says so.
        self.retry_after = retry_after


class InvalidInput(SimileError):
    """The request is wrong and stays wrong."""


class NotFound(SimileError):
    """The collection, model, job or snapshot that was named is not there."""


class AlreadyExists(SimileError):
    """What was to be created is there."""


class Conflict(SimileError):
    """It does not fit what is stored: another embedder, another version."""


class Unsupported(SimileError):
    """This build, or this format, does not do that."""


class Overloaded(SimileError):
    """Too much at once; `retry_after` says when to come back."""


class Unavailable(SimileError):
    """No server answers, a model is not loaded, or a collection is read-only."""


class TimedOut(SimileError):
    """The deadline passed, and the work was ended."""


class Cancelled(SimileError):
    """The work was ended by who asked for it."""


class Corrupt(SimileError):
    """Stored data failed its checksum."""


class Unauthenticated(SimileError):
    """The key is missing, wrong or expired."""


class PermissionDenied(SimileError):
    """The key is not for that."""


class TooLarge(SimileError):
    """A message is larger than the server reads."""


class Internal(SimileError):
    """A defect of the server, whose log has more."""


_BY_CODE: dict[str, type[SimileError]] = {
    "INVALID_ARGUMENT": InvalidInput,
    "NOT_FOUND": NotFound,
    "ALREADY_EXISTS": AlreadyExists,
    "FAILED_PRECONDITION": Conflict,
    "UNIMPLEMENTED": Unsupported,
    "RESOURCE_EXHAUSTED": Overloaded,
    "UNAVAILABLE": Unavailable,
    "DEADLINE_EXCEEDED": TimedOut,
    "CANCELLED": Cancelled,
    "DATA_LOSS": Corrupt,
    "UNAUTHENTICATED": Unauthenticated,
    "PERMISSION_DENIED": PermissionDenied,
    "OUT_OF_RANGE": TooLarge,
    "INTERNAL": Internal,
}


def of_code(code: str, message: str, retry_after: float | None = None) -> SimileError:
    """Returns the exception for the name of a status."""
    return _BY_CODE.get(code, SimileError)(message, code, retry_after)


def of_rpc(error: grpc.RpcError) -> SimileError:
    """Returns the exception for what gRPC raised."""
    if not isinstance(error, (grpc.Call, grpc.aio.AioRpcError)):
        return SimileError(str(error))
    retry_after = None
    for name, value in error.trailing_metadata() or ():
        if name == "retry-after":
            try:
                retry_after = float(value)
            except ValueError:
                pass
    return of_code(error.code().name, error.details() or "", retry_after)
