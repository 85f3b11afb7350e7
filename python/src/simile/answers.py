"""What is answered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from enum import Enum

from .v1 import admin_pb2, cluster_pb2, collections_pb2, common_pb2, jobs_pb2, search_pb2, snapshots_pb2
from .values import Floats, Sparse, Value, from_payload, from_value, from_vectors


def _time(unix_ms: int) -> datetime:
    return datetime.fromtimestamp(unix_ms / 1e3, timezone.utc)


@dataclass(frozen=True)
class VectorInfo:
    """A named vector of a collection."""

    embedder: str
    fingerprint: str
    dimension: int
    metric: str
    sparse: bool
    multi: bool
    indexed: int
    head: int
    #: Parts that were stored before the vector was added may lack it still.
    filling: bool


@dataclass(frozen=True)
class Collection:
    """A collection as it is now."""

    name: str
    documents: int
    parts: int
    vectors: dict[str, VectorInfo]
    #: The types that payload fields were seen to hold, by path.
    fields: dict[str, tuple[str, ...]]
    last_sequence: int
    disk_bytes: int
    aliases: tuple[str, ...]
    #: ready, read_only or quarantined, and for the others why, and what to do.
    state: str
    state_reason: str
    #: The field that says whose a document is; empty: none.
    tenant: str
    description: str
    metadata: dict[str, str]

    @classmethod
    def of(cls, collection: collections_pb2.Collection) -> Collection:
        """Returns a collection as it travelled."""
        vectors = {
            name: VectorInfo(
                info.embedder,
                info.fingerprint,
                info.dimension,
                common_pb2.Metric.Name(info.metric).removeprefix("METRIC_").lower(),
                info.sparse,
                info.multi,
                info.indexed,
                info.head,
                info.filling,
            )
            for name, info in collection.vectors.items()
        }
        return cls(
            collection.name,
            collection.documents,
            collection.parts,
            vectors,
            {path: tuple(info.types) for path, info in collection.fields.items()},
            collection.last_sequence,
            collection.disk_bytes,
            tuple(collection.aliases),
            collections_pb2.CollectionState.Name(collection.state).removeprefix("COLLECTION_STATE_").lower(),
            collection.state_reason,
            collection.tenant,
            collection.description,
            dict(collection.metadata),
        )


@dataclass(frozen=True)
class Span:
    """Where in its document a passage stands."""

    byte_start: int
    byte_end: int
    page: int | None = None
    heading: str | None = None
    start_ms: int | None = None
    end_ms: int | None = None


@dataclass(frozen=True)
class LegScore:
    """What one leg of the search thought of a hit: lexical, dense:NAME, sparse:NAME, multi:NAME."""

    leg: str
    rank: int
    score: float
    contribution: float


@dataclass(frozen=True)
class Hit:
    """A passage, or a document with its best passage. A higher score is better."""

    id: str
    score: float
    text: str | None
    payload: dict[str, Value]
    span: Span | None
    part: int
    vectors: dict[str, Floats | Sparse]
    legs: tuple[LegScore, ...]

    @classmethod
    def of(cls, hit: search_pb2.Hit) -> Hit:
        """Returns a hit as it travelled."""
        span = None
        if hit.HasField("span"):
            given = hit.span
            span = Span(
                given.byte_start,
                given.byte_end,
                given.page if given.HasField("page") else None,
                given.heading if given.HasField("heading") else None,
                given.start_ms if given.HasField("start_ms") else None,
                given.end_ms if given.HasField("end_ms") else None,
            )
        return cls(
            hit.id,
            hit.score,
            hit.text if hit.HasField("text") else None,
            from_payload(hit.payload),
            span,
            hit.part,
            from_vectors(hit.vectors, hit.sparse_vectors, hit.multi_vectors),
            tuple(LegScore(leg.leg, leg.rank, leg.score, leg.contribution) for leg in hit.legs),
        )


@dataclass(frozen=True)
class Group:
    """The hits of one value of the field that was grouped by."""

    value: Value
    hits: tuple[Hit, ...]


@dataclass(frozen=True)
class Answer:
    """Hits, best first, or groups of them; iterating gives the hits."""

    hits: tuple[Hit, ...]
    groups: tuple[Group, ...] = ()
    #: A leg that could not run, and why.
    warnings: tuple[str, ...] = ()
    #: In milliseconds, by stage.
    timings: dict[str, float] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)

    def __len__(self) -> int:
        return len(self.hits)

    def __getitem__(self, place: int) -> Hit:
        return self.hits[place]

    @classmethod
    def of(cls, answer: search_pb2.SearchResponse) -> Answer:
        """Returns an answer as it travelled."""
        groups = (Group(from_value(one.value), tuple(map(Hit.of, one.hits))) for one in answer.groups)
        return cls(
            tuple(map(Hit.of, answer.hits)),
            tuple(groups),
            tuple(answer.warnings),
            {timing.stage: timing.microseconds / 1e3 for timing in answer.timings},
        )


@dataclass(frozen=True)
class LegExplanation:
    """What one leg of a search makes of a document; what is missing, it does not find."""

    leg: str
    #: Among all that the filter means, compared one by one.
    rank_exact: int | None
    score: float | None
    #: In the search as it was asked, if the leg hands it on.
    rank: int | None
    contribution: float


@dataclass(frozen=True)
class Explanation:
    """Why a document is or is not among the hits of a search."""

    #: shown, not_stored, filtered, example, not_found, beyond_legs, below_threshold or outside.
    verdict: str
    #: The verdict in words.
    sentence: str
    #: From 1, if the search ranks the document.
    rank: int | None
    score: float | None
    legs: tuple[LegExplanation, ...]
    #: Whether the document satisfies the conditions of the filter, by what they say.
    conditions: dict[str, bool]

    @classmethod
    def of(cls, answer: search_pb2.ExplainResponse) -> Explanation:
        """Returns the reasons as they travelled."""
        legs = (
            LegExplanation(
                leg.leg,
                leg.rank_exact if leg.HasField("rank_exact") else None,
                leg.score if leg.HasField("score") else None,
                leg.rank if leg.HasField("rank") else None,
                leg.contribution,
            )
            for leg in answer.legs
        )
        return cls(
            search_pb2.Verdict.Name(answer.verdict).removeprefix("VERDICT_").lower(),
            answer.sentence,
            answer.rank if answer.HasField("rank") else None,
            answer.score if answer.HasField("score") else None,
            tuple(legs),
            {one.condition: one.holds for one in answer.conditions},
        )


@dataclass(frozen=True)
class Moment:
    """Where an excerpt may be taken from."""

    id: str
    start_ms: int
    end_ms: int
    score: float
    part: int


@dataclass(frozen=True)
class Located:
    """Where an excerpt may be taken from, best first; iterating gives the moments."""

    moments: tuple[Moment, ...]
    #: What could not be looked at, and why.
    warnings: tuple[str, ...]

    def __iter__(self) -> Iterator[Moment]:
        return iter(self.moments)

    def __len__(self) -> int:
        return len(self.moments)

    @classmethod
    def of(cls, answer: search_pb2.LocateResponse) -> Located:
        """Returns what was found as it travelled."""
        moments = (Moment(one.id, one.start_ms, one.end_ms, one.score, one.part) for one in answer.moments)
        return cls(tuple(moments), tuple(answer.warnings))


@dataclass(frozen=True)
class Verified:
    """What comparing the tables of a collection with its indexes found."""

    documents: int
    parts: int
    #: Empty: everything agrees. At most 100 are named.
    problems: tuple[str, ...]
    problems_total: int


@dataclass(frozen=True)
class Repaired:
    """What a repair made anew, and what does not agree still."""

    repaired: tuple[str, ...]
    #: At most 100 are named.
    problems: tuple[str, ...]
    problems_total: int


@dataclass(frozen=True)
class Info:
    """A server, and how it is."""

    version: str
    started: datetime
    #: The data directory, as a path on the server.
    data: str
    #: The default text embedder: unspecified (nobody has asked for it yet), loading, ready or failed, and why.
    embedder: str
    embedder_state: str
    embedder_message: str
    #: The inference library and its version; empty until it is loaded.
    runtime: str
    #: The largest message, and so the largest file, that is read.
    message_bytes_max: int
    collections: int
    jobs_running: int

    @classmethod
    def of(cls, answer: admin_pb2.InfoResponse) -> Info:
        """Returns the server as it travelled."""
        return cls(
            answer.version,
            _time(answer.started_unix_ms),
            answer.data,
            answer.embedder,
            admin_pb2.EmbedderState.Name(answer.embedder_state).removeprefix("EMBEDDER_STATE_").lower(),
            answer.embedder_message,
            answer.runtime,
            answer.message_bytes_max,
            answer.collections,
            answer.jobs_running,
        )


@dataclass(frozen=True)
class Snapshot:
    """A snapshot of a collection: the documents of one moment, with their vectors."""

    #: Its own; empty for what was restored.
    name: str
    collection: str
    #: The size of the archive.
    bytes: int
    #: Of the newest mutation that it shows.
    sequence: int
    created: datetime
    documents: int
    parts: int

    @classmethod
    def of(cls, snapshot: snapshots_pb2.Snapshot) -> Snapshot:
        """Returns a snapshot as it travelled."""
        return cls(
            snapshot.name,
            snapshot.collection,
            snapshot.bytes,
            snapshot.sequence,
            _time(snapshot.created_unix_ms),
            snapshot.documents,
            snapshot.parts,
        )


@dataclass(frozen=True)
class Recall:
    """What share of the best passages a graph search finds, measured on the data in use."""

    vector: str
    recall: float
    questions: int
    #: The breadth that was measured; missing: every vector was compared.
    ef: int | None

    @classmethod
    def of(cls, measured: admin_pb2.RecallResponse) -> Recall:
        """Returns what was measured as it travelled."""
        return cls(
            measured.vector, measured.recall, measured.questions, measured.ef if measured.HasField("ef") else None
        )


@dataclass(frozen=True)
class Counted:
    """How many documents there are, and how many parts of them."""

    documents: int
    parts: int


@dataclass(frozen=True)
class Model:
    """A model of the server's catalogue."""

    name: str
    kind: str
    dimension: int
    tokens_max: int
    is_installed: bool
    is_sparse: bool
    description: str
    #: Codes of BCP 47; `mul`: any; none: nobody said.
    languages: tuple[str, ...] = ()
    #: What was measured of it, by the name of the figure, as in `stsb-en-dev, Spearman`.
    measured: dict[str, float] = field(default_factory=dict)


class JobState(Enum):
    """Whether a job runs."""

    RUNNING = jobs_pb2.JOB_STATE_RUNNING
    DONE = jobs_pb2.JOB_STATE_DONE
    FAILED = jobs_pb2.JOB_STATE_FAILED
    CANCELLED = jobs_pb2.JOB_STATE_CANCELLED
    INTERRUPTED = jobs_pb2.JOB_STATE_INTERRUPTED


@dataclass(frozen=True)
class Job:
    """Long work as it is now."""

    id: str
    kind: str
    label: str
    collection: str
    state: JobState
    items_done: int
    items_total: int | None
    #: Of those that are done: refused.
    items_failed: int
    message: str
    started: datetime
    #: Missing while it runs.
    ended: datetime | None

    @classmethod
    def of(cls, job: jobs_pb2.Job) -> Job:
        """Returns a job as it travelled."""
        return cls(
            job.id,
            job.kind,
            job.label,
            job.collection,
            JobState(job.state),
            job.items_done,
            job.items_total if job.HasField("items_total") else None,
            job.items_failed,
            job.message,
            _time(job.started_unix_ms),
            _time(job.ended_unix_ms) if job.ended_unix_ms else None,
        )


@dataclass(frozen=True)
class Member:
    """A document in a cluster, or in none."""

    id: str
    cluster: int | None
    distance: float
    text: str | None
    #: On the map, if one was asked for.
    place: tuple[float, float] | None


@dataclass(frozen=True)
class Cluster:
    """Documents that belong together, the medoid first."""

    number: int
    size: int
    cohesion: float
    #: Words that tell it from the others, best first.
    words: tuple[str, ...]
    #: The document to keep, for duplicates.
    keeper: str | None
    members: tuple[Member, ...]


@dataclass(frozen=True)
class Clusters:
    """What belongs together, largest first; iterating gives the clusters."""

    clusters: tuple[Cluster, ...]
    #: Documents in no cluster.
    noise: tuple[Member, ...]
    method: str
    vector: str
    silhouette: float | None

    def __iter__(self) -> Iterator[Cluster]:
        return iter(self.clusters)

    def __len__(self) -> int:
        return len(self.clusters)

    @classmethod
    def of(cls, summary: cluster_pb2.ClusterSummary, items: list[cluster_pb2.ClusterItem]) -> Clusters:
        """Returns what was found as it travelled."""
        inside: list[list[Member]] = [[] for _ in summary.clusters]
        noise: list[Member] = []
        for item in items:
            member = Member(
                item.id,
                item.cluster if item.HasField("cluster") else None,
                item.distance,
                item.text if item.HasField("text") else None,
                (item.place.x, item.place.y) if item.HasField("place") else None,
            )
            (noise if member.cluster is None else inside[member.cluster]).append(member)
        clusters = (
            Cluster(
                info.number,
                info.size,
                info.cohesion,
                tuple(term.text for term in info.terms),
                info.keeper if info.HasField("keeper") else None,
                tuple(members),
            )
            for info, members in zip(summary.clusters, inside)
        )
        silhouette = summary.silhouette if summary.HasField("silhouette") else None
        return cls(tuple(clusters), tuple(noise), summary.method, summary.vector, silhouette)


class ClusterPieces:
    """Collects the pieces that clusters travel in."""

    def __init__(self) -> None:
        self._summary = cluster_pb2.ClusterSummary()
        self._items: list[cluster_pb2.ClusterItem] = []

    def add(self, message: cluster_pb2.ClusterResponse) -> None:
        """Takes the next piece."""
        if message.WhichOneof("kind") == "summary":
            self._summary = message.summary
        else:
            self._items.extend(message.items.items)

    def clusters(self) -> Clusters:
        """Returns what was found, once all pieces are there."""
        return Clusters.of(self._summary, self._items)
