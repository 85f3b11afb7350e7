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
    Group,
    Hit,
    Job,
    JobState,
    LegScore,
    Member,
    Model,
    Recall,
    Span,
    VectorInfo,
)
from .client import (
    ADDRESS,
    AsyncClient,
    AsyncClusterJob,
    AsyncIngest,
    Client,
    ClusterJob,
    Ingest,
    Tls,
    connect,
    connect_async,
)
from .clustering import Dbscan, Duplicates, Hdbscan, Hierarchy, Join, KMeans, Leiden
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
from .values import Sparse
from .verbs import Question, VectorConfig

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
    "Field",
    "Filter",
    "Group",
    "Hdbscan",
    "Hierarchy",
    "Hit",
    "Ingest",
    "Ingested",
    "Internal",
    "InvalidInput",
    "Job",
    "JobState",
    "Join",
    "KMeans",
    "LegScore",
    "Leiden",
    "Member",
    "Model",
    "NotFound",
    "Overloaded",
    "Part",
    "PermissionDenied",
    "Question",
    "Recall",
    "SimileError",
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
    "VectorConfig",
    "VectorInfo",
    "all_of",
    "any_of",
    "at_least",
    "connect",
    "connect_async",
    "field",
    "ids",
]
