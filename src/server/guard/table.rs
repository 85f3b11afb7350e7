use crate::access::Scope;

/// What it takes to call a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Nothing.
    Open,
    /// A key of this scope, for the collection that the request names.
    Key(Scope, Place),
}

/// Where a request says which collection it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It is about none, and every key may ask.
    None,
    /// It is about all of them: not for a key that is for some.
    All,
    /// In the field of this path of numbers.
    Field(&'static [u32]),
}

/// In nearly all messages the name of the collection is the first field.
const FIRST: Place = Place::Field(&[1]);
/// The name is the first field of a message that is the first field.
const FIRST_OF_FIRST: Place = Place::Field(&[1, 1]);

use Need::{Key, Open};
use Scope::{Admin, Read, Write};

/// Every method that is served. One that does not stand here is not served, whoever asks.
pub const METHODS: [(&str, Need); 82] = [
    ("grpc.health.v1.Health/Check", Open),
    ("grpc.health.v1.Health/Watch", Open),
    ("grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Key(Read, Place::None)),
    ("grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Key(Read, Place::None)),
    ("simile.v1.Admin/Info", Key(Read, Place::None)),
    // It names every collection.
    ("simile.v1.Admin/Metrics", Key(Read, Place::All)),
    ("simile.v1.Admin/Optimize", Key(Admin, FIRST)),
    ("simile.v1.Admin/Recall", Key(Read, FIRST)),
    ("simile.v1.Admin/Repair", Key(Admin, FIRST)),
    ("simile.v1.Admin/Verify", Key(Admin, FIRST)),
    // It may write what it finds into payloads.
    ("simile.v1.Cluster/Cluster", Key(Write, FIRST)),
    ("simile.v1.Collections/AddVector", Key(Admin, FIRST)),
    ("simile.v1.Collections/ReplaceVector", Key(Admin, FIRST)),
    ("simile.v1.Collections/Change", Key(Admin, FIRST)),
    ("simile.v1.Collections/ChangeAliases", Key(Admin, Place::All)),
    ("simile.v1.Collections/Create", Key(Admin, FIRST)),
    ("simile.v1.Collections/Delete", Key(Admin, FIRST)),
    ("simile.v1.Collections/DropVector", Key(Admin, FIRST)),
    ("simile.v1.Collections/Get", Key(Read, FIRST)),
    ("simile.v1.Collections/List", Key(Read, Place::All)),
    ("simile.v1.Collections/ListAliases", Key(Read, Place::All)),
    ("simile.v1.Documents/Compare", Key(Read, FIRST)),
    ("simile.v1.Documents/Count", Key(Read, FIRST)),
    ("simile.v1.Documents/Delete", Key(Write, FIRST)),
    ("simile.v1.Documents/Facet", Key(Read, FIRST)),
    ("simile.v1.Documents/Get", Key(Read, FIRST)),
    ("simile.v1.Documents/Scroll", Key(Read, FIRST)),
    ("simile.v1.Documents/Thumbnails", Key(Read, FIRST)),
    ("simile.v1.Documents/Update", Key(Write, FIRST)),
    ("simile.v1.Documents/UpdateVectors", Key(Write, FIRST)),
    ("simile.v1.Documents/Upsert", Key(Write, FIRST)),
    // What it reads, the operator has laid out for whoever may write.
    ("simile.v1.Documents/UpsertSources", Key(Write, FIRST)),
    ("simile.v1.Embedding/Embed", Key(Read, Place::None)),
    ("simile.v1.Embedding/ListModels", Key(Read, Place::None)),
    // It gives the catalogue, which is everybody's, a model.
    ("simile.v1.Embedding/Train", Key(Admin, Place::All)),
    ("simile.v1.Jobs/Cancel", Key(Write, Place::All)),
    ("simile.v1.Jobs/Get", Key(Read, Place::All)),
    ("simile.v1.Jobs/List", Key(Read, Place::All)),
    ("simile.v1.Jobs/Watch", Key(Read, Place::All)),
    ("simile.v1.Search/Explain", Key(Read, FIRST_OF_FIRST)),
    ("simile.v1.Search/Locate", Key(Read, FIRST)),
    ("simile.v1.Search/Search", Key(Read, FIRST)),
    ("simile.v1.Search/SearchBatch", Key(Read, FIRST)),
    ("simile.v1.Snapshots/Create", Key(Admin, FIRST)),
    ("simile.v1.Snapshots/Delete", Key(Admin, FIRST)),
    ("simile.v1.Snapshots/Download", Key(Admin, FIRST)),
    ("simile.v1.Snapshots/List", Key(Admin, FIRST)),
    // It may read a snapshot of another collection.
    ("simile.v1.Snapshots/Restore", Key(Admin, Place::All)),
    ("qdrant.Qdrant/HealthCheck", Open),
    ("qdrant.Snapshots/Create", Key(Admin, FIRST)),
    ("qdrant.Snapshots/Delete", Key(Admin, FIRST)),
    ("qdrant.Snapshots/List", Key(Read, FIRST)),
    ("qdrant.Collections/CollectionExists", Key(Read, FIRST)),
    ("qdrant.Collections/Create", Key(Admin, FIRST)),
    ("qdrant.Collections/Delete", Key(Admin, FIRST)),
    ("qdrant.Collections/Get", Key(Read, FIRST)),
    ("qdrant.Collections/List", Key(Read, Place::All)),
    ("qdrant.Collections/ListAliases", Key(Read, Place::All)),
    ("qdrant.Collections/ListCollectionAliases", Key(Read, FIRST)),
    ("qdrant.Collections/Update", Key(Admin, FIRST)),
    ("qdrant.Collections/UpdateAliases", Key(Admin, Place::All)),
    ("qdrant.Points/ClearPayload", Key(Write, FIRST)),
    ("qdrant.Points/Count", Key(Read, FIRST)),
    ("qdrant.Points/CreateFieldIndex", Key(Write, FIRST)),
    ("qdrant.Points/Delete", Key(Write, FIRST)),
    ("qdrant.Points/DeleteFieldIndex", Key(Write, FIRST)),
    ("qdrant.Points/DeletePayload", Key(Write, FIRST)),
    ("qdrant.Points/DeleteVectors", Key(Write, FIRST)),
    ("qdrant.Points/Facet", Key(Read, FIRST)),
    ("qdrant.Points/Get", Key(Read, FIRST)),
    ("qdrant.Points/OverwritePayload", Key(Write, FIRST)),
    ("qdrant.Points/Query", Key(Read, FIRST)),
    ("qdrant.Points/QueryBatch", Key(Read, FIRST)),
    ("qdrant.Points/QueryGroups", Key(Read, FIRST)),
    ("qdrant.Points/Scroll", Key(Read, FIRST)),
    ("qdrant.Points/Search", Key(Read, FIRST)),
    ("qdrant.Points/SearchBatch", Key(Read, FIRST)),
    ("qdrant.Points/SearchGroups", Key(Read, FIRST)),
    ("qdrant.Points/SetPayload", Key(Write, FIRST)),
    ("qdrant.Points/UpdateBatch", Key(Write, FIRST)),
    ("qdrant.Points/UpdateVectors", Key(Write, FIRST)),
    ("qdrant.Points/Upsert", Key(Write, FIRST)),
];

/// Returns what it takes to call the method of a path, as `/simile.v1.Search/Search`.
pub(in crate::server) fn need(path: &str) -> Option<Need> {
    row(path).map(|(_, need)| need)
}

/// Returns the name of a method for records: of one that is not served, no more than that.
pub(in crate::server) fn known(path: &str) -> &'static str {
    row(path).map_or("unknown", |(name, _)| name)
}

fn row(path: &str) -> Option<(&'static str, Need)> {
    let method = path.strip_prefix('/')?;
    METHODS.into_iter().find(|(name, _)| *name == method)
}
