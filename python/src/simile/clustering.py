"""How documents are clustered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, Union

from .filters import Filter
from .v1 import cluster_pb2 as wire


@dataclass(frozen=True)
class KMeans:
    """Around centres; without `k`, as many as separate best."""

    k: int | None = None

    def _put(self, request: wire.ClusterRequest) -> None:
        request.kmeans.CopyFrom(wire.KMeansMethod(k=self.k))


@dataclass(frozen=True)
class Hdbscan:
    """By density, however dense."""

    min_size: int | None = None
    min_samples: int | None = None
    takes_leaves: bool = False

    def _put(self, request: wire.ClusterRequest) -> None:
        request.hdbscan.CopyFrom(
            wire.HdbscanMethod(
                min_size=self.min_size, min_samples=self.min_samples, takes_leaves=self.takes_leaves
            )
        )


@dataclass(frozen=True)
class Dbscan:
    """By density, of one radius."""

    radius: float
    min_samples: int | None = None

    def _put(self, request: wire.ClusterRequest) -> None:
        request.dbscan.CopyFrom(wire.DbscanMethod(radius=self.radius, min_samples=self.min_samples))


@dataclass(frozen=True)
class Leiden:
    """By communities of the graph of nearest neighbours; a higher resolution makes more of them."""

    resolution: float | None = None

    def _put(self, request: wire.ClusterRequest) -> None:
        request.leiden.CopyFrom(wire.LeidenMethod(resolution=self.resolution))


@dataclass(frozen=True)
class Hierarchy:
    """By a tree of merges, cut where `k` groups are left."""

    k: int
    linkage: Literal["average", "complete", "ward", "single"] = "average"

    def _put(self, request: wire.ClusterRequest) -> None:
        request.hierarchy.CopyFrom(wire.HierarchyMethod(k=self.k, linkage=f"LINKAGE_{self.linkage.upper()}"))


@dataclass(frozen=True)
class Duplicates:
    """Near duplicates: groups around one to keep, each within the radius of it."""

    radius: float | None = None

    def _put(self, request: wire.ClusterRequest) -> None:
        request.duplicates.CopyFrom(wire.DuplicatesMethod(radius=self.radius))


@dataclass(frozen=True)
class Join:
    """By the clusters that an earlier run wrote into a field."""

    field: str
    slack: float | None = None

    def _put(self, request: wire.ClusterRequest) -> None:
        request.join.CopyFrom(wire.JoinMethod(field=self.field, slack=self.slack))


Method: TypeAlias = Union[KMeans, Hdbscan, Dbscan, Leiden, Hierarchy, Duplicates, Join]


def request(
    collection: str,
    method: Method | None,
    *,
    vector: str | None = None,
    filter: Filter | None = None,
    with_map: bool = False,
    with_text: bool = False,
    write_to: str | None = None,
    label: str | None = None,
) -> wire.ClusterRequest:
    """Returns the request that clusters a collection."""
    message = wire.ClusterRequest(
        collection=collection,
        vector=vector,
        filter=None if filter is None else filter.wire,
        with_map=with_map,
        with_text=with_text,
        label=label,
        write_to=write_to,
    )
    (method or Leiden())._put(message)
    return message
