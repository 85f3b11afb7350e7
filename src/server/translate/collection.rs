use std::collections::{BTreeMap, HashMap};

use simile_proto::v1::{self as wire, vector_config::Source};

use super::WireError;
use crate::collection::{
    About, ChunkSettings, CollectionChange, CollectionState, Info, JobKind, MemoryUse,
    MultiSettings, NewCollection, NewVector, NewVectorSource, SparseSettings, VECTOR_NAME_DEFAULT,
    VectorInfo, VectorSettings, VectorTuning,
};
use crate::document::{FieldPath, FieldType};
use crate::index::dense::Quantisation;
use crate::index::multi::MultiStatistics;
use crate::index::sparse::SparseStatistics;
use crate::vector::Metric;

/// Returns what a new collection is to be like; `embedder` is the one that an empty name means, and
/// that a collection without named vectors is bound to.
pub(in crate::server) fn new_collection(
    request: wire::CreateCollectionRequest,
    embedder: &str,
) -> Result<NewCollection, WireError> {
    let has_words = request.lexical.is_none_or(|lexical| !lexical.disabled);
    let chunk = chunk(request.chunk.unwrap_or_default());
    let mut vectors = request
        .vectors
        .into_iter()
        .map(|(name, config)| Ok((name, new_vector(config, embedder)?)))
        .collect::<Result<BTreeMap<_, _>, WireError>>()?;
    if request.words_only && !vectors.is_empty() {
        return Err(WireError::WordsOnly(vectors.len()));
    }
    if vectors.is_empty() && !request.words_only {
        let source = NewVectorSource::Embedder(embedder.to_owned());
        vectors.insert(VECTOR_NAME_DEFAULT.to_owned(), NewVector::from_source(source));
    }
    let about = About {
        tenant: Some(request.tenant).filter(|path| !path.is_empty()).map(FieldPath),
        description: request.description,
        metadata: request.metadata.into_iter().collect(),
    };
    Ok(NewCollection { vectors, has_words, chunk, about })
}

/// Returns what is to be changed of a collection.
pub(in crate::server) fn collection_change(
    request: wire::ChangeCollectionRequest,
) -> Result<CollectionChange, WireError> {
    let number = |number: Option<u32>| number.map(|number| number as usize);
    let vectors = request.vectors.into_iter().map(|(name, change)| {
        let tuning = VectorTuning {
            links_max: number(change.hnsw_m),
            ef_construction: number(change.hnsw_ef_construction),
            quantisation: quantisation(change.quantisation)?,
            ef: number(change.ef),
        };
        Ok((name, tuning))
    });
    Ok(CollectionChange {
        chunk: request.chunk.map(chunk),
        vectors: vectors.collect::<Result<_, WireError>>()?,
        description: request.description,
        metadata: request.metadata.into_iter().collect(),
    })
}

fn quantisation(given: i32) -> Result<Option<Quantisation>, WireError> {
    Ok(match wire::Quantisation::try_from(given) {
        Ok(wire::Quantisation::Unspecified) => None,
        Ok(wire::Quantisation::None) => Some(Quantisation::None),
        Ok(wire::Quantisation::Int8) => Some(Quantisation::Int8),
        Ok(wire::Quantisation::Binary) => Some(Quantisation::Binary),
        Err(_) => return Err(WireError::UnknownChoice { what: "quantisation", actual: given }),
    })
}

/// Returns how texts are to be cut.
pub(in crate::server) fn chunk(chunk: wire::ChunkConfig) -> ChunkSettings {
    ChunkSettings {
        tokens_max: chunk.tokens_max.map(|tokens| tokens as usize),
        tokens_overlap: chunk.tokens_overlap.map(|tokens| tokens as usize),
    }
}

/// Returns what a new vector is to be like; `embedder` is the one that an empty name means.
pub(in crate::server) fn new_vector(
    config: wire::VectorConfig,
    embedder: &str,
) -> Result<NewVector, WireError> {
    let metric = match wire::Metric::try_from(config.metric) {
        Ok(wire::Metric::Unspecified) => None,
        Ok(wire::Metric::Cosine) => Some(Metric::Cosine),
        Ok(wire::Metric::Dot) => Some(Metric::Dot),
        Ok(wire::Metric::Euclidean) => Some(Metric::Euclidean),
        Err(_) => return Err(WireError::UnknownChoice { what: "metric", actual: config.metric }),
    };
    let quantisation = quantisation(config.quantisation)?;
    let source = match config.source {
        Some(Source::Embedder(name)) if name.is_empty() => {
            NewVectorSource::Embedder(embedder.to_owned())
        }
        Some(Source::Embedder(name)) => NewVectorSource::Embedder(name),
        Some(Source::Dimension(dimension)) => NewVectorSource::Given(dimension as usize),
        Some(Source::Sparse(_)) => NewVectorSource::GivenSparse,
        Some(Source::Multi(multi)) => NewVectorSource::GivenMulti(multi.dimension as usize),
        None => return Err(WireError::Missing("the embedder or the dimension of a vector")),
    };
    Ok(NewVector {
        metric,
        links_max: config.hnsw_m.map(|links| links as usize),
        ef_construction: config.hnsw_ef_construction.map(|breadth| breadth as usize),
        quantisation,
        ..NewVector::from_source(source)
    })
}

/// Returns what there is to say of a collection, as it travels.
pub(in crate::server) fn collection_to_wire(info: Info) -> wire::Collection {
    let (state, state_reason) = match info.state {
        CollectionState::Ready => (wire::CollectionState::Ready, String::new()),
        CollectionState::ReadOnly(reason) => (wire::CollectionState::ReadOnly, reason),
        CollectionState::Quarantined(reason) => (wire::CollectionState::Quarantined, reason),
    };
    let lexical = info
        .settings
        .as_ref()
        .map(|settings| wire::LexicalConfig { disabled: !settings.has_words });
    let chunk = info.settings.as_ref().map(|settings| {
        let small = |tokens: usize| u32::try_from(tokens).unwrap_or(u32::MAX);
        wire::ChunkConfig {
            tokens_max: settings.chunk.tokens_max.map(small),
            tokens_overlap: settings.chunk.tokens_overlap.map(small),
        }
    });
    let mut vectors: HashMap<_, _> = info
        .settings
        .iter()
        .flat_map(|settings| &settings.vectors)
        .map(|(name, settings)| {
            let deleted = info.deleted.get(name).copied().unwrap_or_default();
            (name.clone(), vector_info(settings, info.vectors.get(name).copied(), deleted))
        })
        .collect();
    for (name, settings) in info.settings.iter().flat_map(|settings| &settings.sparse) {
        let held = info.sparse.get(name).copied().unwrap_or_default();
        vectors.insert(name.clone(), sparse_info(settings, held));
    }
    for (name, settings) in info.settings.iter().flat_map(|settings| &settings.multi) {
        let held = info.multi.get(name).copied().unwrap_or_default();
        vectors.insert(name.clone(), multi_info(settings, held));
    }
    for name in info.settings.iter().flat_map(|settings| &settings.filling) {
        vectors.entry(name.clone()).and_modify(|info| info.filling = true);
    }
    let about = info.settings.map(|settings| settings.about).unwrap_or_default();
    let fields = info.fields.into_iter().map(|(path, types)| {
        let types = types.into_iter().map(|held| type_name(held).to_owned()).collect();
        (path, wire::FieldInfo { types })
    });
    wire::Collection {
        name: info.name,
        vectors,
        documents: info.documents,
        parts: info.parts,
        last_sequence: info.last_sequence.0,
        fields: fields.collect(),
        state: state.into(),
        state_reason,
        disk_bytes: info.disk_bytes,
        lexical,
        chunk,
        waiting: info.waiting,
        upkeep: info.activity.map(|activity| wire::Upkeep {
            kind: kind_name(activity.kind).to_owned(),
            vector: activity.vector,
            done: activity.done,
            total: activity.total,
        }),
        upkeep_problem: info.upkeep_problem.unwrap_or_default(),
        memory: info.memory.into_iter().map(memory_use).collect(),
        aliases: info.aliases,
        tenant: about.tenant.map(|path| path.0).unwrap_or_default(),
        description: about.description,
        metadata: about.metadata.into_iter().collect(),
    }
}

/// Returns what the kind of a job is called.
pub(in crate::server) fn kind_name(kind: JobKind) -> &'static str {
    match kind {
        JobKind::Ingest => "ingest",
        JobKind::Seal => "seal",
        JobKind::Merge => "merge",
        JobKind::Verify => "verify",
        JobKind::Repair => "repair",
        JobKind::Cluster => "cluster",
        JobKind::Snapshot => "snapshot",
        JobKind::Restore => "restore",
        JobKind::Fill => "fill",
        JobKind::Recall => "recall",
        JobKind::Train => "train",
    }
}

fn memory_use(used: MemoryUse) -> wire::MemoryUse {
    let MemoryUse { component, bytes, is_mapped } = used;
    wire::MemoryUse { component: component.to_owned(), bytes, mapped: is_mapped }
}

fn vector_info(
    settings: &VectorSettings,
    held: Option<VectorInfo>,
    deleted: u64,
) -> wire::VectorInfo {
    let held = held.unwrap_or_default();
    let metric = metric_to_wire(settings.metric);
    let quantisation = match settings.quantisation {
        Quantisation::None => wire::Quantisation::None,
        Quantisation::Int8 => wire::Quantisation::Int8,
        Quantisation::Binary => wire::Quantisation::Binary,
    };
    let (embedder, fingerprint) = settings
        .embedder
        .as_ref()
        .map(|bound| (bound.name.clone(), bound.fingerprint.clone()))
        .unwrap_or_default();
    let reads = settings.embedder.as_ref().map(|bound| bound.reads).unwrap_or_default();
    wire::VectorInfo {
        embedder,
        fingerprint,
        reads_texts: reads.texts,
        reads_pictures: reads.pictures,
        dimension: u32::try_from(settings.dimension).unwrap_or(u32::MAX),
        metric: metric.into(),
        indexed: held.sealed,
        head: held.head,
        segments: u32::try_from(held.segments).unwrap_or(u32::MAX),
        deleted,
        hnsw_m: u32::try_from(settings.links_max).unwrap_or(u32::MAX),
        hnsw_ef_construction: u32::try_from(settings.ef_construction).unwrap_or(u32::MAX),
        quantisation: quantisation.into(),
        ef: u32::try_from(settings.ef.unwrap_or_default()).unwrap_or(u32::MAX),
        ..Default::default()
    }
}

fn sparse_info(settings: &SparseSettings, held: SparseStatistics) -> wire::VectorInfo {
    let bound = settings.embedder.clone();
    let (embedder, fingerprint) =
        bound.map(|bound| (bound.name, bound.fingerprint)).unwrap_or_default();
    wire::VectorInfo {
        embedder,
        fingerprint,
        metric: wire::Metric::Dot.into(),
        indexed: held.vectors.saturating_sub(held.head),
        head: held.head,
        segments: u32::try_from(held.chunks).unwrap_or(u32::MAX),
        sparse: true,
        reads_texts: settings.embedder.is_some(),
        entries: held.entries,
        memory_bytes: held.bytes,
        ..Default::default()
    }
}

fn multi_info(settings: &MultiSettings, held: MultiStatistics) -> wire::VectorInfo {
    let bound = settings.embedder.clone();
    let (embedder, fingerprint) =
        bound.map(|bound| (bound.name, bound.fingerprint)).unwrap_or_default();
    wire::VectorInfo {
        embedder,
        fingerprint,
        dimension: u32::try_from(settings.dimension).unwrap_or(u32::MAX),
        metric: metric_to_wire(settings.metric).into(),
        indexed: held.multivectors,
        multi: true,
        entries: held.vectors,
        memory_bytes: held.bytes,
        ..Default::default()
    }
}

fn metric_to_wire(metric: Metric) -> wire::Metric {
    match metric {
        Metric::Cosine => wire::Metric::Cosine,
        Metric::Dot => wire::Metric::Dot,
        Metric::Euclidean => wire::Metric::Euclidean,
    }
}

fn type_name(held: FieldType) -> &'static str {
    match held {
        FieldType::Boolean => "boolean",
        FieldType::Integer => "integer",
        FieldType::Float => "float",
        FieldType::Datetime => "datetime",
        FieldType::Keyword => "keyword",
        FieldType::Null => "null",
        FieldType::List => "list",
        FieldType::Geo => "geo",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_vector(config: wire::VectorConfig) -> wire::CreateCollectionRequest {
        wire::CreateCollectionRequest {
            name: "c".to_owned(),
            vectors: HashMap::from([("v".to_owned(), config)]),
            ..Default::default()
        }
    }

    #[test]
    fn a_collection_without_vectors_embeds_texts_by_default() {
        let new = new_collection(wire::CreateCollectionRequest::default(), "model").unwrap();
        assert_eq!(new, NewCollection::of_texts("model"));
    }

    #[test]
    fn a_collection_of_words_has_no_vector_and_cannot_be_given_one() {
        let words = wire::CreateCollectionRequest { words_only: true, ..Default::default() };
        let new = new_collection(words, "model").unwrap();
        assert!(new.vectors.is_empty() && new.has_words);
        let given = wire::CreateCollectionRequest {
            words_only: true,
            ..with_vector(wire::VectorConfig {
                source: Some(Source::Dimension(3)),
                ..Default::default()
            })
        };
        let error = new_collection(given, "model").unwrap_err().to_string();
        assert_eq!(error, "a collection of words only has no vectors, got 1");
    }

    #[test]
    fn a_vector_says_where_it_comes_from() {
        let error = new_collection(with_vector(wire::VectorConfig::default()), "m").unwrap_err();
        assert!(error.to_string().contains("embedder or the dimension"), "{error}");
        let config = wire::VectorConfig {
            source: Some(Source::Dimension(3)),
            metric: 9,
            ..Default::default()
        };
        let error = new_collection(with_vector(config), "m").unwrap_err();
        assert_eq!(error.to_string(), "metric 9 is not known");
    }
}
