"""Payload values and vectors between Python, numpy and the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TypeAlias, Union

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .v1 import common_pb2 as wire

#: A payload value: JSON, or a time with a zone.
Value: TypeAlias = Union[None, bool, int, float, str, datetime, Sequence["Value"], Mapping[str, "Value"]]
Payload: TypeAlias = Mapping[str, Value]
Floats: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True)
class Sparse:
    """A sparse vector: what is not named is zero."""

    indices: NDArray[np.uint32]
    values: Floats

    @classmethod
    def of(cls, entries: Mapping[int, float]) -> Sparse:
        """Returns the vector with these entries."""
        return cls(np.fromiter(entries.keys(), np.uint32), np.fromiter(entries.values(), np.float32))

    def to_dict(self) -> dict[int, float]:
        """Returns the entries by index."""
        return dict(zip(self.indices.tolist(), self.values.tolist()))


#: A vector: numbers in a row, rows of them (a multivector), or a sparse one.
Vector: TypeAlias = Union[ArrayLike, Sparse]


def to_value(value: Value) -> wire.Value:
    """Returns a payload value as it travels."""
    if value is None:
        return wire.Value(null=True)
    if isinstance(value, (bool, np.bool_)):
        return wire.Value(boolean=bool(value))
    if isinstance(value, (int, np.integer)):
        return wire.Value(integer=int(value))
    if isinstance(value, (float, np.floating)):
        return wire.Value(float=float(value))
    if isinstance(value, str):
        return wire.Value(text=value)
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"{value} names no zone: give a datetime with tzinfo")
        return wire.Value(text=value.astimezone(timezone.utc).isoformat().replace("+00:00", "Z"))
    if isinstance(value, Mapping):
        return wire.Value(object=wire.Object(fields=to_payload(value)))
    if isinstance(value, (Sequence, np.ndarray)) and not isinstance(value, (bytes, bytearray)):
        return wire.Value(array=wire.Array(values=[to_value(one) for one in value]))
    raise TypeError(f"a payload has JSON and times, got {type(value).__name__}")


def from_value(value: wire.Value) -> Value:
    """Returns a payload value as it travelled."""
    kind = value.WhichOneof("kind")
    if kind is None or kind == "null":
        return None
    if kind == "array":
        return [from_value(one) for one in value.array.values]
    if kind == "object":
        return from_payload(value.object.fields)
    found: bool | int | float | str = getattr(value, kind)
    return found


def to_payload(payload: Payload) -> dict[str, wire.Value]:
    """Returns payload fields as they travel."""
    return {name: to_value(value) for name, value in payload.items()}


def from_payload(fields: Mapping[str, wire.Value]) -> dict[str, Value]:
    """Returns payload fields as they travelled."""
    return {name: from_value(value) for name, value in fields.items()}


def to_dense(vector: ArrayLike) -> wire.DenseVector:
    """Returns a dense vector as it travels."""
    return wire.DenseVector(components=np.asarray(vector, np.float32).tolist())


def from_dense(vector: wire.DenseVector) -> Floats:
    """Returns a dense vector as it travelled."""
    return np.array(vector.components, np.float32)


def to_sparse(vector: Sparse) -> wire.SparseVector:
    """Returns a sparse vector as it travels."""
    return wire.SparseVector(
        indices=np.asarray(vector.indices, np.uint32).tolist(),
        values=np.asarray(vector.values, np.float32).tolist(),
    )


def from_sparse(vector: wire.SparseVector) -> Sparse:
    """Returns a sparse vector as it travelled."""
    return Sparse(np.array(vector.indices, np.uint32), np.array(vector.values, np.float32))


def from_multi(vector: wire.MultiVector) -> Floats:
    """Returns a multivector as it travelled: a row for each of its vectors."""
    return np.stack([from_dense(row) for row in vector.vectors]) if vector.vectors else np.empty((0, 0), np.float32)


@dataclass
class Vectors:
    """Vectors by name, told apart by their kind."""

    dense: dict[str, wire.DenseVector]
    sparse: dict[str, wire.SparseVector]
    multi: dict[str, wire.MultiVector]

    @classmethod
    def of(cls, vectors: Mapping[str, Vector]) -> Vectors:
        """Returns the vectors as they travel."""
        found = cls({}, {}, {})
        for name, vector in vectors.items():
            if isinstance(vector, Sparse):
                found.sparse[name] = to_sparse(vector)
                continue
            rows = np.asarray(vector, np.float32)
            if rows.ndim == 1:
                found.dense[name] = to_dense(rows)
            elif rows.ndim == 2:
                found.multi[name] = wire.MultiVector(vectors=[to_dense(row) for row in rows])
            else:
                raise ValueError(f"vector `{name}` has {rows.ndim} axes, expected 1, or 2 for a multivector")
        return found


def from_vectors(
    dense: Mapping[str, wire.DenseVector],
    sparse: Mapping[str, wire.SparseVector],
    multi: Mapping[str, wire.MultiVector],
) -> dict[str, Floats | Sparse]:
    """Returns vectors of all kinds as they travelled, by name."""
    found: dict[str, Floats | Sparse] = {name: from_dense(vector) for name, vector in dense.items()}
    found.update({name: from_sparse(vector) for name, vector in sparse.items()})
    found.update({name: from_multi(vector) for name, vector in multi.items()})
    return found
