//! What a collection is to be like and what it is like, with the hints that were given.

use std::collections::{BTreeMap, HashMap};

use prost::Message as _;
use simile_proto::qdrant::quantization_config::Quantization;
use simile_proto::qdrant::vectors_config::Config;
use simile_proto::qdrant::{self as wire, quantization_config_diff, vectors_config_diff};

use super::super::translate::WireError;
use super::value::unsupported;
use super::vector::{UNNAMED, stored_name};
use crate::collection::{
    About, ChunkSettings, CollectionChange, CollectionState, Info, MultiSettings, NewCollection,
    NewVector, NewVectorSource, Settings, VectorSettings, VectorTuning,
};
use crate::index::dense::Quantisation;
use crate::vector::Metric;

/// What those figures are that this server has no use for, and clients expect.
const FULL_SCAN_THRESHOLD: u64 = 10_000;
const WAL_CAPACITY_MB: u64 = 32;
const DELETED_THRESHOLD: f64 = 0.2;
const VACUUM_MIN_VECTORS: u64 = 1_000;
const FLUSH_INTERVAL_SEC: u64 = 5;
/// What shapes a graph; other values are kept as hints only.
const LINKS: std::ops::RangeInclusive<u64> = 2..=128;
const EF_CONSTRUCT: std::ops::RangeInclusive<u64> = 8..=4_096;

/// Returns what a new collection is to be like.
pub(super) fn new_collection(given: &wire::CreateCollection) -> Result<NewCollection, WireError> {
    let one = |number: Option<u32>| number.unwrap_or(1) != 1;
    unsupported(one(given.replication_factor), "a `replication_factor` other than 1")?;
    unsupported(one(given.write_consistency_factor), "a `write_consistency_factor` other than 1")?;
    let method = given.sharding_method();
    unsupported(method != wire::ShardingMethod::Auto, "a custom `sharding_method`")?;
    check_strict(given.strict_mode_config.as_ref())?;
    let mut vectors = BTreeMap::new();
    match given.vectors_config.as_ref().and_then(|config| config.config.as_ref()) {
        Some(Config::Params(params)) => {
            vectors.insert(UNNAMED.to_owned(), new_vector(params, given)?);
        }
        Some(Config::ParamsMap(named)) => {
            for (name, params) in &named.map {
                vectors.insert(stored_name(name).to_owned(), new_vector(params, given)?);
            }
        }
        None => {}
    }
    let sparse = given.sparse_vectors_config.iter().flat_map(|config| &config.map);
    for (name, params) in sparse {
        let is_weighted = params.modifier() != wire::Modifier::None;
        unsupported(is_weighted, &format!("`modifier` of sparse vector `{name}`"))?;
        let index = params.index.as_ref();
        check_datatype(name, index.and_then(|index| index.datatype))?;
        let new = NewVector::from_source(NewVectorSource::GivenSparse);
        if vectors.insert(stored_name(name).to_owned(), new).is_some() {
            return Err(WireError::BothForms(name.clone()));
        }
    }
    if vectors.is_empty() {
        return Err(WireError::Missing("`vectors_config` or `sparse_vectors_config`"));
    }
    let (chunk, about) = (ChunkSettings::default(), About::default());
    Ok(NewCollection { vectors, has_words: true, chunk, about })
}

fn new_vector(
    given: &wire::VectorParams,
    all: &wire::CreateCollection,
) -> Result<NewVector, WireError> {
    check_datatype("", given.datatype)?;
    let metric = match wire::Distance::try_from(given.distance) {
        Ok(wire::Distance::Cosine) => Metric::Cosine,
        Ok(wire::Distance::Euclid) => Metric::Euclidean,
        Ok(wire::Distance::Dot) => Metric::Dot,
        Ok(wire::Distance::Manhattan) => {
            return Err(WireError::Unsupported("distance `Manhattan`".to_owned()));
        }
        Ok(wire::Distance::UnknownDistance) => return Err(WireError::Missing("the distance")),
        Err(_) => {
            return Err(WireError::UnknownChoice { what: "distance", actual: given.distance });
        }
    };
    let hint = |of: fn(&wire::HnswConfigDiff) -> Option<u64>| {
        let own = given.hnsw_config.as_ref().and_then(of);
        own.or_else(|| all.hnsw_config.as_ref().and_then(of))
    };
    let dimension = usize::try_from(given.size).unwrap_or(usize::MAX);
    if given.multivector_config.is_some() {
        // These are found exactly: there is no graph that hints could shape.
        let source = NewVectorSource::GivenMulti(dimension);
        return Ok(NewVector { metric: Some(metric), ..NewVector::from_source(source) });
    }
    let quantisation = given.quantization_config.as_ref().or(all.quantization_config.as_ref());
    Ok(NewVector {
        metric: Some(metric),
        links_max: within(hint(|hnsw| hnsw.m), LINKS),
        ef_construction: within(hint(|hnsw| hnsw.ef_construct), EF_CONSTRUCT),
        quantisation: quantisation.map(quantised).transpose()?,
        ..NewVector::from_source(NewVectorSource::Given(dimension))
    })
}

fn quantised(given: &wire::QuantizationConfig) -> Result<Quantisation, WireError> {
    match given.quantization.as_ref().ok_or(WireError::Missing("the kind of quantization"))? {
        Quantization::Scalar(_) => Ok(Quantisation::Int8),
        Quantization::Binary(binary) => {
            let is_one_bit = binary.encoding() == wire::BinaryQuantizationEncoding::OneBit;
            unsupported(!is_one_bit, "an `encoding` of more than one bit")?;
            Ok(Quantisation::Binary)
        }
        Quantization::Product(_) => Err(WireError::Unsupported("product quantization".to_owned())),
        Quantization::Turboquant(_) => Err(WireError::Unsupported("turbo quantization".to_owned())),
    }
}

/// Floats of two bytes are kept in four, which hold all of their values.
fn check_datatype(name: &str, given: Option<i32>) -> Result<(), WireError> {
    let Some(given) = given else { return Ok(()) };
    match wire::Datatype::try_from(given) {
        Ok(wire::Datatype::Default | wire::Datatype::Float32 | wire::Datatype::Float16) => Ok(()),
        Ok(other) => unsupported(true, &format!("datatype `{}` {name}", other.as_str_name())),
        Err(_) => Err(WireError::UnknownChoice { what: "datatype", actual: given }),
    }
}

fn check_strict(given: Option<&wire::StrictModeConfig>) -> Result<(), WireError> {
    unsupported(given.is_some_and(|config| config.enabled()), "`strict_mode_config`")
}

/// Returns what is kept of a request to create a collection, to be told again.
pub(super) fn kept(given: wire::CreateCollection) -> wire::CollectionInfo {
    let params = wire::CollectionParams {
        shard_number: given.shard_number.unwrap_or(1),
        on_disk_payload: given.on_disk_payload.unwrap_or(true),
        vectors_config: given.vectors_config,
        replication_factor: Some(1),
        write_consistency_factor: Some(1),
        sparse_vectors_config: given.sparse_vectors_config,
        payload: given.payload,
        id_tracker: given.id_tracker,
        ..wire::CollectionParams::default()
    };
    let config = wire::CollectionConfig {
        params: Some(params),
        hnsw_config: given.hnsw_config,
        optimizer_config: given.optimizers_config,
        wal_config: given.wal_config,
        quantization_config: given.quantization_config,
        strict_mode_config: given.strict_mode_config,
        metadata: given.metadata,
    };
    wire::CollectionInfo { config: Some(config), ..wire::CollectionInfo::default() }
}

/// Returns what a request to update a collection changes of its graphs. Figures out of bounds are hints
/// only, as where a collection is created.
pub(super) fn tuning(
    given: &wire::UpdateCollection,
    settings: &Settings,
) -> Result<CollectionChange, WireError> {
    let tuned = |own: Option<&wire::VectorParamsDiff>| {
        let quantization = own.and_then(|own| own.quantization_config.as_ref());
        let quantization = quantization.or(given.quantization_config.as_ref());
        let hint = |of: fn(&wire::HnswConfigDiff) -> Option<u64>| {
            let own = own.and_then(|own| own.hnsw_config.as_ref()).and_then(of);
            own.or_else(|| given.hnsw_config.as_ref().and_then(of))
        };
        Ok::<_, WireError>(VectorTuning {
            links_max: within(hint(|hnsw| hnsw.m), LINKS),
            ef_construction: within(hint(|hnsw| hnsw.ef_construct), EF_CONSTRUCT),
            quantisation: quantization.map(requantised).transpose()?,
            ef: None,
        })
    };
    let named = match given.vectors_config.as_ref().and_then(|diff| diff.config.as_ref()) {
        Some(vectors_config_diff::Config::Params(diff)) => BTreeMap::from([(UNNAMED, diff)]),
        Some(vectors_config_diff::Config::ParamsMap(named)) => {
            named.map.iter().map(|(name, diff)| (stored_name(name), diff)).collect()
        }
        None => BTreeMap::new(),
    };
    if let Some(name) = named.keys().find(|name| !settings.names().any(|known| known == *name)) {
        return Err(WireError::Unsupported(format!("a change of `{name}`, which is no vector,")));
    }
    let mut change = CollectionChange::default();
    for name in settings.vectors.keys() {
        let tuning = tuned(named.get(name.as_str()).copied())?;
        if tuning != VectorTuning::default() {
            change.vectors.insert(name.clone(), tuning);
        }
    }
    Ok(change)
}

fn within(hint: Option<u64>, range: std::ops::RangeInclusive<u64>) -> Option<usize> {
    hint.filter(|hint| range.contains(hint)).and_then(|hint| usize::try_from(hint).ok())
}

fn requantised(given: &wire::QuantizationConfigDiff) -> Result<Quantisation, WireError> {
    use quantization_config_diff::Quantization::{Binary, Disabled, Product, Scalar, Turboquant};
    let quantization = match given.quantization {
        None => return Err(WireError::Missing("the kind of quantization")),
        Some(Disabled(_)) => return Ok(Quantisation::None),
        Some(Scalar(scalar)) => Quantization::Scalar(scalar),
        Some(Product(product)) => Quantization::Product(product),
        Some(Binary(binary)) => Quantization::Binary(binary),
        Some(Turboquant(turbo)) => Quantization::Turboquant(turbo),
    };
    quantised(&wire::QuantizationConfig { quantization: Some(quantization) })
}

/// Returns a configuration as it is told after a change; nothing where it was disabled.
fn told_again(given: wire::QuantizationConfigDiff) -> Option<wire::QuantizationConfig> {
    use quantization_config_diff::Quantization::{Binary, Disabled, Product, Scalar, Turboquant};
    let quantization = match given.quantization? {
        Disabled(_) => return None,
        Scalar(scalar) => Quantization::Scalar(scalar),
        Product(product) => Quantization::Product(product),
        Binary(binary) => Quantization::Binary(binary),
        Turboquant(turbo) => Quantization::Turboquant(turbo),
    };
    Some(wire::QuantizationConfig { quantization: Some(quantization) })
}

/// Changes what is kept as a request to update a collection says.
pub(super) fn update(
    kept: &mut wire::CollectionInfo,
    given: wire::UpdateCollection,
) -> Result<(), WireError> {
    unsupported(given.sparse_vectors_config.is_some(), "another `sparse_vectors_config`")?;
    check_strict(given.strict_mode_config.as_ref())?;
    let config = kept.config.get_or_insert_default();
    if let Some(diff) = given.params {
        let is_changed = |factor: Option<u32>| factor.unwrap_or(1) != 1;
        unsupported(is_changed(diff.replication_factor), "a `replication_factor` other than 1")?;
        let factor = is_changed(diff.write_consistency_factor);
        unsupported(factor, "a `write_consistency_factor` other than 1")?;
        let params = config.params.get_or_insert_default();
        params.on_disk_payload = diff.on_disk_payload.unwrap_or(params.on_disk_payload);
        params.read_fan_out_factor = diff.read_fan_out_factor.or(params.read_fan_out_factor);
        let delay = diff.read_fan_out_delay_ms;
        params.read_fan_out_delay_ms = delay.or(params.read_fan_out_delay_ms);
    }
    if let Some(diff) = given.vectors_config.and_then(|diff| diff.config) {
        let named = match diff {
            vectors_config_diff::Config::Params(diff) => HashMap::from([(String::new(), diff)]),
            vectors_config_diff::Config::ParamsMap(named) => named.map,
        };
        for (name, diff) in named {
            update_vector(config, &name, diff)?;
        }
    }
    if let Some(diff) = given.quantization_config {
        config.quantization_config = told_again(diff);
    }
    merge(config.hnsw_config.get_or_insert_default(), given.hnsw_config.as_ref());
    merge(config.optimizer_config.get_or_insert_default(), given.optimizers_config.as_ref());
    if given.strict_mode_config.is_some() {
        config.strict_mode_config = given.strict_mode_config;
    }
    config.metadata.extend(given.metadata);
    Ok(())
}

fn update_vector(
    config: &mut wire::CollectionConfig,
    name: &str,
    diff: wire::VectorParamsDiff,
) -> Result<(), WireError> {
    let vectors = config.params.as_mut().and_then(|params| params.vectors_config.as_mut());
    let params = match vectors.and_then(|vectors| vectors.config.as_mut()) {
        Some(Config::Params(params)) if stored_name(name) == UNNAMED => Some(params),
        Some(Config::ParamsMap(named)) => named.map.get_mut(name),
        Some(Config::Params(_)) | None => None,
    };
    // Of a collection that was made in another way nothing is kept yet.
    if let Some(params) = params {
        merge(params.hnsw_config.get_or_insert_default(), diff.hnsw_config.as_ref());
        params.on_disk = diff.on_disk.or(params.on_disk);
        if let Some(diff) = diff.quantization_config {
            params.quantization_config = told_again(diff);
        }
    }
    Ok(())
}

/// Takes over what a message sets, as concatenated messages do.
fn merge<M: prost::Message + Default>(into: &mut M, given: Option<&M>) {
    if let Some(given) = given {
        // A message that was just written can be read.
        drop(into.merge(given.encode_to_vec().as_slice()));
    }
}

/// Reads what is kept of a collection; what cannot be read is nothing.
pub(super) fn read(note: &[u8]) -> wire::CollectionInfo {
    wire::CollectionInfo::decode(note).unwrap_or_default()
}

/// Returns what there is to say of a collection, with what is kept of it.
pub(super) fn info_to_wire(info: Info, kept: wire::CollectionInfo) -> wire::CollectionInfo {
    let (status, problem) = match (&info.state, &info.activity) {
        (CollectionState::ReadOnly(reason) | CollectionState::Quarantined(reason), _) => {
            (wire::CollectionStatus::Red, reason.clone())
        }
        (CollectionState::Ready, Some(_)) => (wire::CollectionStatus::Yellow, String::new()),
        (CollectionState::Ready, None) => (wire::CollectionStatus::Green, String::new()),
    };
    let first = info.settings.as_ref().and_then(|settings| settings.vectors.values().next());
    let mut config = kept.config.unwrap_or_default();
    let params = config.params.get_or_insert_with(|| wire::CollectionParams {
        shard_number: 1,
        on_disk_payload: true,
        replication_factor: Some(1),
        write_consistency_factor: Some(1),
        ..wire::CollectionParams::default()
    });
    if params.vectors_config.is_none() && params.sparse_vectors_config.is_none() {
        (params.vectors_config, params.sparse_vectors_config) = vectors_to_wire(&info);
    }
    let mut hnsw = usual_hnsw(first);
    merge(&mut hnsw, config.hnsw_config.as_ref());
    let mut optimizer = wire::OptimizersConfigDiff {
        deleted_threshold: Some(DELETED_THRESHOLD),
        vacuum_min_vector_number: Some(VACUUM_MIN_VECTORS),
        default_segment_number: Some(0),
        flush_interval_sec: Some(FLUSH_INTERVAL_SEC),
        ..wire::OptimizersConfigDiff::default()
    };
    merge(&mut optimizer, config.optimizer_config.as_ref());
    let mut wal = wire::WalConfigDiff {
        wal_capacity_mb: Some(WAL_CAPACITY_MB),
        wal_segments_ahead: Some(0),
        wal_retain_closed: Some(1),
    };
    merge(&mut wal, config.wal_config.as_ref());
    config.hnsw_config = Some(hnsw);
    config.optimizer_config = Some(optimizer);
    config.wal_config = Some(wal);
    let segments = info.vectors.values().map(|held| held.segments + 1).max();
    let indexed = info.vectors.values().map(|held| held.sealed).sum();
    wire::CollectionInfo {
        status: status.into(),
        optimizer_status: Some(wire::OptimizerStatus {
            ok: problem.is_empty() && info.upkeep_problem.is_none(),
            error: info.upkeep_problem.unwrap_or(problem),
        }),
        segments_count: segments.unwrap_or(1),
        config: Some(config),
        payload_schema: kept.payload_schema,
        points_count: Some(info.documents),
        indexed_vectors_count: Some(indexed),
        warnings: Vec::new(),
        update_queue: Some(wire::UpdateQueueInfo { length: info.waiting, deferred_points: None }),
        created_at: None,
    }
}

fn usual_hnsw(first: Option<&VectorSettings>) -> wire::HnswConfigDiff {
    let number = |of: fn(&VectorSettings) -> usize| Some(first.map_or(0, of) as u64);
    wire::HnswConfigDiff {
        m: number(|settings| settings.links_max),
        ef_construct: number(|settings| settings.ef_construction),
        full_scan_threshold: Some(FULL_SCAN_THRESHOLD),
        max_indexing_threads: Some(0),
        on_disk: Some(false),
        ..wire::HnswConfigDiff::default()
    }
}

/// Returns the vectors of a collection that was made in another way.
fn vectors_to_wire(info: &Info) -> (Option<wire::VectorsConfig>, Option<wire::SparseVectorConfig>) {
    let Some(settings) = &info.settings else { return (None, None) };
    let params = |settings: &VectorSettings| {
        let (size, distance) = (settings.dimension as u64, distance(settings.metric).into());
        wire::VectorParams { size, distance, ..wire::VectorParams::default() }
    };
    let multi_params = |settings: &MultiSettings| {
        let (size, distance) = (settings.dimension as u64, distance(settings.metric).into());
        let multivector_config = Some(wire::MultiVectorConfig::default());
        wire::VectorParams { size, distance, multivector_config, ..wire::VectorParams::default() }
    };
    let dense = settings.vectors.iter().map(|(name, settings)| (name, params(settings)));
    let multi = settings.multi.iter().map(|(name, settings)| (name, multi_params(settings)));
    let mut map: HashMap<String, wire::VectorParams> =
        dense.chain(multi).map(|(name, params)| (told_name(name), params)).collect();
    let config = match map.remove("") {
        Some(unnamed) if map.is_empty() => Config::Params(unnamed),
        unnamed => {
            map.extend(unnamed.map(|unnamed| (String::new(), unnamed)));
            Config::ParamsMap(wire::VectorParamsMap { map })
        }
    };
    let one = |name: &String| (told_name(name), wire::SparseVectorParams::default());
    let sparse = wire::SparseVectorConfig { map: settings.sparse.keys().map(one).collect() };
    let sparse = Some(sparse).filter(|sparse| !sparse.map.is_empty());
    (Some(wire::VectorsConfig { config: Some(config) }), sparse)
}

fn distance(metric: Metric) -> wire::Distance {
    match metric {
        Metric::Cosine => wire::Distance::Cosine,
        Metric::Dot => wire::Distance::Dot,
        Metric::Euclidean => wire::Distance::Euclid,
    }
}

fn told_name(name: &str) -> String {
    if name == UNNAMED { String::new() } else { name.to_owned() }
}

/// Returns what is kept of an index that was asked for a field.
pub(super) fn field_index(
    given: &wire::CreateFieldIndexCollection,
) -> Result<wire::PayloadSchemaInfo, WireError> {
    use simile_proto::qdrant::payload_index_params::IndexParams;
    use wire::PayloadSchemaType as Type;
    let params = given.field_index_params.clone();
    let by_params = params.as_ref().and_then(|params| params.index_params.as_ref());
    if let Some(IndexParams::TextIndexParams(text)) = by_params {
        unsupported(text.stopwords.is_some(), "`stopwords` of a text index")?;
        unsupported(text.stemmer.is_some(), "`stemmer` of a text index")?;
        unsupported(text.scoring.is_some(), "`scoring` of a text index")?;
        unsupported(text.ascii_folding == Some(true), "`ascii_folding` of a text index")?;
        unsupported(text.lowercase == Some(false), "`lowercase` = false of a text index")?;
    }
    let data_type = match (given.field_type, by_params) {
        (_, Some(IndexParams::KeywordIndexParams(_))) => Type::Keyword,
        (_, Some(IndexParams::IntegerIndexParams(_))) => Type::Integer,
        (_, Some(IndexParams::FloatIndexParams(_))) => Type::Float,
        (_, Some(IndexParams::GeoIndexParams(_))) => Type::Geo,
        (_, Some(IndexParams::TextIndexParams(_))) => Type::Text,
        (_, Some(IndexParams::BoolIndexParams(_))) => Type::Bool,
        (_, Some(IndexParams::DatetimeIndexParams(_))) => Type::Datetime,
        (_, Some(IndexParams::UuidIndexParams(_))) => Type::Uuid,
        (None, None) => return Err(WireError::Missing("the type of the field")),
        (Some(given), None) => match wire::FieldType::try_from(given) {
            Ok(wire::FieldType::Keyword) => Type::Keyword,
            Ok(wire::FieldType::Integer) => Type::Integer,
            Ok(wire::FieldType::Float) => Type::Float,
            Ok(wire::FieldType::Geo) => Type::Geo,
            Ok(wire::FieldType::Text) => Type::Text,
            Ok(wire::FieldType::Bool) => Type::Bool,
            Ok(wire::FieldType::Datetime) => Type::Datetime,
            Ok(wire::FieldType::Uuid) => Type::Uuid,
            Err(_) => return Err(WireError::UnknownChoice { what: "field type", actual: given }),
        },
    };
    Ok(wire::PayloadSchemaInfo { data_type: data_type.into(), params, points: None })
}
