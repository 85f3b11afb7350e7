"""The client of simile, a vector database with built-in embedders.

    import simile

    client = simile.connect("127.0.0.1:7465")
    client.create_collection("pets")
    client.ingest("pets", ["The cat chases the mouse", "I like ham sandwiches"]).finish()
    for hit in client.search("pets", "a small cat goes after mice"):
        print(hit.score, hit.text)
"""

from .answers import (
    Answer,
    Cluster,
    Clusters,
    Collection,
    Counted,
    Explanation,
    Group,
    Hit,
    Info,
    Job,
    JobState,
    LegExplanation,
    LegScore,
    Located,
    Member,
    Model,
    Moment,
    Recall,
    Repaired,
    Snapshot,
    Span,
    VectorInfo,
    Verified,
)
from .async_client import AsyncClient, AsyncClusterJob, AsyncIngest, connect_async
from .client import Client, ClusterJob, Ingest, connect
from .clustering import Dbscan, Duplicates, Hdbscan, Hierarchy, Join, KMeans, Leiden
from .connection import ADDRESS, Tls
from .documents import Document, Ingested, Part, StoredDocument, StoredPart, Tally
from .errors import (
    AlreadyExists,
    Cancelled,
    Conflict,
    Corrupt,
    Internal,
    InvalidInput,
    NotFound,
    Overloaded,
    PermissionDenied,
    SimileError,
    TimedOut,
    TooLarge,
    Unauthenticated,
    Unavailable,
    Unsupported,
)
from .filters import Field, Filter, all_of, any_of, at_least, field, ids
from .questions import Question
from .upkeep import VectorChange
from .values import Sparse
from .verbs import VectorConfig

__all__ = [
    "ADDRESS",
    "AlreadyExists",
    "Answer",
    "AsyncClient",
    "AsyncClusterJob",
    "AsyncIngest",
    "Cancelled",
    "Client",
    "Cluster",
    "ClusterJob",
    "Clusters",
    "Collection",
    "Conflict",
    "Corrupt",
    "Counted",
    "Dbscan",
    "Document",
    "Duplicates",
    "Explanation",
    "Field",
    "Filter",
    "Group",
    "Hdbscan",
    "Hierarchy",
    "Hit",
    "Info",
    "Ingest",
    "Ingested",
    "Internal",
    "InvalidInput",
    "Job",
    "JobState",
    "Join",
    "KMeans",
    "LegExplanation",
    "LegScore",
    "Leiden",
    "Located",
    "Member",
    "Model",
    "Moment",
    "NotFound",
    "Overloaded",
    "Part",
    "PermissionDenied",
    "Question",
    "Recall",
    "Repaired",
    "SimileError",
    "Snapshot",
    "Span",
    "Sparse",
    "StoredDocument",
    "StoredPart",
    "Tally",
    "TimedOut",
    "Tls",
    "TooLarge",
    "Unauthenticated",
    "Unavailable",
    "Unsupported",
    "VectorChange",
    "VectorConfig",
    "VectorInfo",
    "Verified",
    "all_of",
    "any_of",
    "at_least",
    "connect",
    "connect_async",
    "field",
    "ids",
]
