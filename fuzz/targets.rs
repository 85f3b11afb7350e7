//! What each fuzz target does with bytes from outside: nothing may panic, and what fails says so by its type.
//!
//! Shared by the crate of cargo-fuzz beside this file, which is guided by coverage and needs a nightly
//! compiler, and by `tests/fuzzing.rs`, which mutates seeds with any compiler.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use prost::bytes::{Buf as _, BufMut as _, Bytes};
use simile::cancel::Cancellation;
use simile::collection::{
    Collections, CollectionsOptions, Embedders, NewCollection, NewVector, NewVectorSource,
};
use simile::config::{Config, Origin, Settings, Surroundings};
use simile::decode::{Content, Hint, Limits, decode};
use simile::document::{DocumentId, Payload, Slot, SlotSet};
use simile::embed::obtain::Hub;
use simile::embed::onnx::RuntimeSearch;
use simile::embed::text::{FastText, WordTable};
use simile::embed::{
    AddOptions, Catalogue, CatalogueOptions, EmbedError, EmbedderHandle, Manifest, WorkerOptions,
};
use simile::index::dense::{BuildJob, DenseIndex, DenseOptions, SearchOptions};
use simile::ingest::{PartSource, Source, SourceContent};
use simile::server::METHODS;
use simile::vector::{DenseVector, Metric};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::{Code, Status};

/// One parser of bytes from outside.
pub(crate) struct Target {
    /// Its name, which is that of its file below `fuzz_targets`.
    pub(crate) name: &'static str,
    /// Reads the bytes.
    pub(crate) run: fn(&[u8]),
    /// Bytes that it reads without an error, to begin with.
    pub(crate) seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub(crate) const TARGETS: [Target; 8] = [
    Target { name: "messages", run: messages::run, seeds: messages::seeds },
    Target { name: "files", run: files::run, seeds: files::seeds },
    Target { name: "manifests", run: manifests::run, seeds: manifests::seeds },
    Target { name: "settings", run: settings::run, seeds: settings::seeds },
    Target { name: "archives", run: archives::run, seeds: archives::seeds },
    Target { name: "segments", run: segments::run, seeds: segments::seeds },
    Target { name: "word_vectors", run: word_vectors::run, seeds: word_vectors::seeds },
    Target { name: "models", run: models::run, seeds: models::seeds },
];

/// Runs the target of that name.
pub(crate) fn run(name: &str, data: &[u8]) {
    (named(name).run)(data);
}

/// Puts the seeds of a target into the corpus among the arguments of a fuzzer, which begins with what is there.
pub(crate) fn plant(name: &str, arguments: impl Iterator<Item = String>) {
    let is_corpus = |argument: &String| !argument.starts_with('-') && Path::new(argument).is_dir();
    let Some(corpus) = arguments.skip(1).find(is_corpus) else { return };
    for (place, seed) in (named(name).seeds)().into_iter().enumerate() {
        let file = Path::new(&corpus).join(format!("seed-{place}"));
        fs_err::write(file, seed).expect("room on the disk");
    }
}

fn named(name: &str) -> &'static Target {
    TARGETS.iter().find(|target| target.name == name).expect("a target of that name")
}

/// Requests of every method, as they come over the wire: two bytes choose the method, the rest is the message.
pub(crate) mod messages {
    use super::*;

    /// A request that takes longer is given up: some methods answer until nobody listens.
    const TIME_MAX: Duration = Duration::from_millis(400);
    /// So many messages of a stream are read.
    const ANSWERS_MAX: usize = 20;

    /// A server, and how to ask it.
    #[derive(Debug)]
    pub(crate) struct Wire {
        /// Where answers are waited for.
        pub(crate) runtime: tokio::runtime::Runtime,
        /// The connection.
        pub(crate) channel: tonic::transport::Channel,
    }

    /// The server that is asked, which whoever fuzzes has to start.
    pub(crate) static WIRE: OnceLock<Wire> = OnceLock::new();

    fn wire() -> &'static Wire {
        static IS_FILLED: std::sync::Once = std::sync::Once::new();
        let wire = WIRE.get().expect("a server was started");
        IS_FILLED.call_once(|| seeds().iter().for_each(|seed| drop(wire.ask(seed, TIME_MAX))));
        wire
    }

    impl Wire {
        fn ask(&self, data: &[u8], time_max: Duration) -> Result<usize, Status> {
            let Some((method, message)) = data.split_first_chunk::<2>() else { return Ok(0) };
            let (method, _) = METHODS[usize::from(u16::from_le_bytes(*method)) % METHODS.len()];
            let path = format!("/{method}").parse().expect("methods have names");
            self.runtime.block_on(async {
                let mut client = tonic::client::Grpc::new(self.channel.clone());
                client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
                let mut request = tonic::Request::new(Bytes::copy_from_slice(message));
                request.set_timeout(time_max);
                let asked = async {
                    let answers = client.server_streaming(request, path, Raw).await?;
                    let (mut answers, mut count) = (answers.into_inner(), 0);
                    while count < ANSWERS_MAX && answers.message().await?.is_some() {
                        count += 1;
                    }
                    Ok(count)
                };
                tokio::time::timeout(time_max, asked).await.unwrap_or(Ok(0))
            })
        }
    }

    /// Nothing that comes in may be a failure of the server.
    pub(super) fn run(data: &[u8]) {
        let wire = wire();
        if let Err(status) = wire.ask(data, TIME_MAX) {
            let is_ours = matches!(status.code(), Code::Internal | Code::Unknown);
            // What is no protobuf gets the code that gRPC's table of codes has for it.
            let is_no_message = status.message().starts_with("failed to decode Protobuf message");
            assert!(!is_ours || is_no_message, "{status:?}");
        }
        // It answers the next one, however busy the machine is.
        let alive =
            [index_of("grpc.health.v1.Health/Check").to_le_bytes().as_slice(), &[]].concat();
        assert_eq!(wire.ask(&alive, 50 * TIME_MAX).expect("the server is there"), 1);
    }

    fn index_of(method: &str) -> u16 {
        let place = METHODS.iter().position(|(name, _)| *name == method);
        u16::try_from(place.expect("a method")).expect("there are few")
    }

    pub(super) fn seeds() -> Vec<Vec<u8>> {
        use prost::Message as _;
        use simile_proto::v1 as wire;

        let of = |method: &str, message: &dyn Fn() -> Vec<u8>| {
            [index_of(method).to_le_bytes().to_vec(), message()].concat()
        };
        let vector = |components: &[f32]| -> std::collections::HashMap<String, wire::DenseVector> {
            let vector = wire::DenseVector { components: components.to_vec() };
            [("v".to_owned(), vector)].into()
        };
        let given = wire::VectorConfig {
            source: Some(wire::vector_config::Source::Dimension(3)),
            ..Default::default()
        };
        let create = wire::CreateCollectionRequest {
            name: "c".into(),
            vectors: [("v".to_owned(), given)].into(),
            ..Default::default()
        };
        let part = wire::Part {
            text: "the ferry leaves the harbour".into(),
            vectors: vector(&[1.0, 0.0, 2.0]),
            ..Default::default()
        };
        let number = wire::Value { kind: Some(wire::value::Kind::Integer(7)) };
        let document = wire::Document {
            id: "a".into(),
            payload: [("year".to_owned(), number.clone())].into(),
            content: Some(wire::document::Content::Parts(wire::PartList { parts: vec![part] })),
            ..Default::default()
        };
        let upsert = wire::UpsertRequest {
            collection: "c".into(),
            document: Some(document),
            ..Default::default()
        };
        let condition = wire::FieldCondition {
            path: "year".into(),
            condition: Some(wire::field_condition::Condition::Equals(number)),
        };
        let filter = wire::Filter { kind: Some(wire::filter::Kind::Field(condition)) };
        let nested = wire::Filter {
            kind: Some(wire::filter::Kind::All(wire::FilterList {
                filters: vec![filter.clone(), filter],
            })),
        };
        let search = wire::SearchRequest {
            collection: "c".into(),
            text: Some("ferry".into()),
            vectors: vector(&[0.5, 0.5, 0.5]),
            filter: Some(nested.clone()),
            prefetch: vec![wire::Prefetch {
                text: Some("harbour".into()),
                filter: Some(nested),
                ..Default::default()
            }],
            limit: Some(5),
            ..Default::default()
        };
        let batch = wire::SearchBatchRequest {
            collection: "c".into(),
            searches: vec![wire::SearchRequest { collection: String::new(), ..search.clone() }],
        };
        vec![
            of("simile.v1.Collections/Create", &|| create.encode_to_vec()),
            of("simile.v1.Documents/Upsert", &|| upsert.encode_to_vec()),
            of("simile.v1.Search/Search", &|| search.encode_to_vec()),
            of("simile.v1.Search/SearchBatch", &|| batch.encode_to_vec()),
            of("simile.v1.Collections/List", &Vec::new),
            of("simile.v1.Collections/Get", &|| vec![10, 1, b'c']),
            of("qdrant.Collections/Get", &|| vec![10, 1, b'c']),
            of("qdrant.Points/Count", &|| vec![10, 1, b'c']),
        ]
    }

    /// Messages as they are.
    #[derive(Debug, Clone, Copy)]
    struct Raw;

    impl Codec for Raw {
        type Encode = Bytes;
        type Decode = Bytes;
        type Encoder = Self;
        type Decoder = Self;

        fn encoder(&mut self) -> Self {
            *self
        }

        fn decoder(&mut self) -> Self {
            *self
        }
    }

    impl Encoder for Raw {
        type Item = Bytes;
        type Error = Status;

        fn encode(&mut self, item: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
            to.put(item);
            Ok(())
        }
    }

    impl Decoder for Raw {
        type Item = Bytes;
        type Error = Status;

        fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
            Ok(Some(from.copy_to_bytes(from.remaining())))
        }
    }
}

/// Documents, pictures, videos and sounds: a byte chooses the ending of the name, the rest is the file.
mod files {
    use super::*;

    const ENDINGS: [&str; 23] = [
        "txt", "md", "html", "pdf", "docx", "jsonl", "csv", "jpg", "png", "webp", "gif", "bmp",
        "tiff", "y4m", "mp4", "json", "tsv", "bin", "wav", "aiff", "flac", "ogg", "aac",
    ];
    /// So many records, frames or seconds of a file are read.
    const PIECES_MAX: usize = 50;

    pub(super) fn run(data: &[u8]) {
        let Some((ending, bytes)) = data.split_first() else { return };
        let name = format!("a.{}", ENDINGS[usize::from(*ending) % ENDINGS.len()]);
        let hint = Hint { file_name: Some(&name), ..Hint::default() };
        // A page that draws itself again and again is given up after this time, and no sooner.
        let limits = Limits { pdf_time_max: Duration::from_secs(3), ..Limits::default() };
        match decode(bytes, &hint, &limits, &Cancellation::new()) {
            Ok(Content::Records(records)) => drop(records.take(PIECES_MAX).count()),
            Ok(Content::Video(frames)) => drop(frames.take(PIECES_MAX).count()),
            Ok(Content::Sound(blocks)) => drop(blocks.take(PIECES_MAX).count()),
            Ok(_) | Err(_) => {}
        }
    }

    pub(super) fn seeds() -> Vec<Vec<u8>> {
        let of = |(name, bytes): (PathBuf, Vec<u8>)| {
            let ending = name.extension()?.to_str()?.to_owned();
            let place = ENDINGS.iter().position(|known| *known == ending)?;
            Some([vec![u8::try_from(place).ok()?], bytes].concat())
        };
        let folders = [
            "tests/fixtures/decode",
            "src/cli/demo/texts",
            "tests/fixtures/pictures",
            "tests/fixtures/sound",
        ];
        let mut seeds: Vec<_> = folders.into_iter().flat_map(contents).filter_map(of).collect();
        let film = [&b"\x0dYUV4MPEG2 W4 H2 F25:1 C444\nFRAME\n"[..], &[100; 24]].concat();
        seeds.extend([
            film,
            b"\x05{\"id\": 1, \"text\": \"a\"}\n{}".to_vec(),
            b"\x06id,text\n1,\"a\"".to_vec(),
        ]);
        seeds
    }
}

/// What a model says of itself.
mod manifests {
    use super::*;

    pub(super) fn run(data: &[u8]) {
        if let Ok(manifest) = Manifest::parse(&String::from_utf8_lossy(data), "fuzzed") {
            let text = manifest.to_toml().expect("what was read can be written");
            assert_eq!(Manifest::parse(&text, "fuzzed").expect("and read again"), manifest);
        }
    }

    pub(super) fn seeds() -> Vec<Vec<u8>> {
        let all = contents("src/embed/models").into_iter();
        let manifests =
            all.filter(|(name, _)| name.extension().is_some_and(|ending| ending == "toml"));
        manifests.map(|(_, bytes)| bytes).collect()
    }
}

/// The file of the person in charge.
mod settings {
    use super::*;

    pub(super) fn run(data: &[u8]) {
        let file = scratch().join("simile.toml");
        fs_err::write(&file, data).expect("room on the disk");
        let Ok(settings) = Settings::load(&file) else { return };
        let surroundings = Surroundings { cpus: 2, user_cache: None };
        let given = Settings::default();
        if let Ok(config) = Config::assemble(&settings, &given, &|_| Origin::Flag, &surroundings) {
            drop(config.to_toml());
        }
    }

    pub(super) fn seeds() -> Vec<Vec<u8>> {
        vec![
            b"workers = 3\nwaiting_max = 5\nmessage_bytes_max = \"1MiB\"\nlisten = \"127.0.0.1:1\""
                .to_vec(),
            b"data = \"a\"\nrequest_time_max = \"30s\"\nhttp = \"[::1]:80\"\noffline = true"
                .to_vec(),
        ]
    }
}

/// Snapshots from elsewhere.
mod archives {
    use super::*;

    fn collections() -> &'static Collections {
        static COLLECTIONS: OnceLock<Collections> = OnceLock::new();
        COLLECTIONS.get_or_init(|| collections_in("archives"))
    }

    pub(super) fn run(data: &[u8]) {
        let (collections, cancel) = (collections(), Cancellation::new());
        if collections.restore("fuzzed", data, &|_, _| {}, &cancel).is_ok() {
            let collection = collections.get("fuzzed").expect("what was restored is there");
            let report = collection.verify(&|_, _| {}, &cancel).expect("and can be compared");
            assert!(report.problems.is_empty(), "{report:?}");
            drop(collection);
            collections.delete("fuzzed").expect("and deleted");
        }
        assert!(collections.get("fuzzed").is_err(), "nothing is left of what was refused");
    }

    pub(super) fn seeds() -> Vec<Vec<u8>> {
        let collections = collections_in("snapshots");
        let name = "whole";
        if collections.get(name).is_err() {
            grow(&collections, name);
        }
        let cancel = Cancellation::new();
        collections.create_snapshot(name, Some("s"), &|_, _| {}, &cancel).expect("a snapshot");
        let mut bytes = Vec::new();
        let mut file = collections.open_snapshot(name, "s").expect("its file");
        std::io::Read::read_to_end(&mut file, &mut bytes).expect("its bytes");
        vec![bytes]
    }
}

/// Sealed segments and the list of them: a byte chooses the file, the rest takes its place.
mod segments {
    use super::*;

    const DIMENSION: usize = 8;
    const COUNT: u32 = 200;

    fn options() -> DenseOptions {
        DenseOptions::new(DIMENSION, Metric::Euclidean)
    }

    fn vector(slot: u32) -> Vec<f32> {
        (0..8_u32).map(|place| ((slot * 31 + place * 17) % 97) as f32).collect()
    }

    /// The files of a sound index.
    fn sound() -> &'static [(PathBuf, Vec<u8>)] {
        static FILES: OnceLock<Vec<(PathBuf, Vec<u8>)>> = OnceLock::new();
        FILES.get_or_init(|| {
            let folder = scratch().join("sound");
            let index = DenseIndex::open(&folder, options()).expect("an index");
            let live: SlotSet = (0..COUNT).collect();
            let cancel = Cancellation::new();
            for slot in 0..COUNT {
                index.insert(&[(Slot(slot), &vector(slot))]).expect("a vector");
            }
            let progress = &|_, _| {};
            let job = BuildJob { live: &live, seed: 1, threads: 1, progress, cancel: &cancel };
            index.seal(&job).expect("a segment");
            drop(index);
            listed(&folder)
        })
    }

    pub(super) fn run(data: &[u8]) {
        let Some((chosen, bytes)) = data.split_first() else { return };
        let folder = scratch().join("segments");
        drop(fs_err::remove_dir_all(&folder));
        fs_err::create_dir_all(&folder).expect("a folder");
        for (place, (path, sound)) in sound().iter().enumerate() {
            let is_chosen = place == usize::from(*chosen) % self::sound().len();
            let name = path.file_name().expect("a name");
            let bytes = if is_chosen { bytes } else { sound };
            fs_err::write(folder.join(name), bytes).expect("room on the disk");
        }
        // What is damaged is left out, and what is not gives the right vectors.
        let index =
            DenseIndex::open(&folder, options()).expect("a damaged file is no reason to end");
        let (live, cancel) = ((0..COUNT).collect(), Cancellation::new());
        let search = SearchOptions { limit: 3, ..SearchOptions::default() };
        if let Ok(found) = index.search(&vector(3), &live, &search, &cancel) {
            for (slot, score) in found {
                let square = |(a, b): (&f32, &f32)| (a - b).powi(2);
                let right: f32 = vector(3).iter().zip(&vector(slot.0)).map(square).sum();
                assert!((score.0 + right.sqrt()).abs() < 1e-2, "slot {}: {score:?}", slot.0);
            }
        }
    }

    pub(super) fn seeds() -> Vec<Vec<u8>> {
        let numbered = (0..).zip(sound());
        numbered.map(|(place, (_, bytes))| [&[place][..], bytes].concat()).collect()
    }
}

/// Word vectors of word2vec, GloVe and fastText: a byte chooses the ending of the name, the rest is the file.
mod word_vectors {
    use super::*;

    const ENDINGS: [&str; 3] = ["bin", "vec", "txt"];

    pub(super) fn run(data: &[u8]) {
        let Some((ending, bytes)) = data.split_first() else { return };
        let name = format!("words.{}", ENDINGS[usize::from(*ending) % ENDINGS.len()]);
        let file = scratch().join(name);
        fs_err::write(&file, bytes).expect("room on the disk");
        drop(WordTable::read(&file));
        drop(FastText::read(&file));
    }

    pub(super) fn seeds() -> Vec<Vec<u8>> {
        let of = |(name, bytes): (PathBuf, Vec<u8>)| {
            let ending = name.extension()?.to_str()?.to_owned();
            let place = ENDINGS.iter().position(|known| *known == ending)?;
            Some([vec![u8::try_from(place).ok()?], bytes].concat())
        };
        contents("tests/fixtures/word_vectors").into_iter().filter_map(of).collect()
    }
}

/// Folders of models from elsewhere: a byte chooses the file, the rest takes its place.
mod models {
    use super::*;

    const FOLDER: &str = "tests/fixtures/families/bert-last";

    fn catalogue() -> &'static Catalogue {
        static CATALOGUE: OnceLock<Catalogue> = OnceLock::new();
        CATALOGUE.get_or_init(|| {
            let cache = directories::ProjectDirs::from("", "", "simile");
            let cache = cache.expect("a home").cache_dir().to_owned();
            let runtime = RuntimeSearch {
                explicit: std::env::var_os("SIMILE_ONNXRUNTIME").map(PathBuf::from),
                beside: None,
                cache: std::env::var_os("SIMILE_CACHE").map_or(cache, PathBuf::from),
                is_offline: false,
                python: "python3".into(),
            };
            Catalogue::open(CatalogueOptions {
                models: scratch().join("models"),
                own: Some(scratch().join("own")),
                runtime,
                hub: Hub::default(),
                is_offline: true,
                threads: 1,
                worker: WorkerOptions::default(),
            })
            .expect("a catalogue")
        })
    }

    pub(super) fn run(data: &[u8]) {
        let Some((chosen, bytes)) = data.split_first() else { return };
        let files = contents(FOLDER);
        let folder = scratch().join("model");
        drop(fs_err::remove_dir_all(&folder));
        for (place, (name, sound)) in files.iter().enumerate() {
            let is_chosen = place == usize::from(*chosen) % files.len();
            let to = folder.join(name);
            fs_err::create_dir_all(to.parent().expect("a folder")).expect("a folder");
            fs_err::write(to, if is_chosen { bytes } else { sound }).expect("room on the disk");
        }
        let catalogue = catalogue();
        // Names are given once.
        static ADDED: AtomicUsize = AtomicUsize::new(0);
        let name = format!("fuzzed-{}", ADDED.fetch_add(1, Ordering::Relaxed));
        if catalogue.add(&name, &folder, &AddOptions::default(), &|_, _, _| {}).is_ok() {
            let own = catalogue.folder(&name).expect("what was added is there");
            fs_err::remove_dir_all(own).expect("and can be removed");
        }
    }

    pub(super) fn seeds() -> Vec<Vec<u8>> {
        let numbered = (0..).zip(contents(FOLDER));
        numbered.map(|(place, (_, bytes))| [vec![place], bytes].concat()).collect()
    }
}

/// A folder that goes with the process.
pub(crate) fn scratch() -> &'static Path {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    FOLDER.get_or_init(|| tempfile::tempdir().expect("a folder")).path()
}

fn collections_in(name: &str) -> Collections {
    struct None;
    impl Embedders for None {
        fn get(&self, name: &str) -> Result<EmbedderHandle, EmbedError> {
            Err(EmbedError::UnknownModel { name: name.to_owned(), known: String::new() })
        }
    }
    let options = CollectionsOptions {
        cache_bytes_max: 4 << 20,
        upkeep_interval: Duration::MAX,
        ..CollectionsOptions::default()
    };
    Collections::open(&scratch().join(name), options, Arc::new(None)).expect("a folder of its own")
}

/// Makes a small collection.
fn grow(collections: &Collections, name: &str) {
    let source = NewVectorSource::Given(3);
    let new = NewCollection {
        vectors: [("v".to_owned(), NewVector::from_source(source))].into(),
        ..NewCollection::of_texts("")
    };
    let collection = collections.create(name, &new).expect("a collection");
    let sources = (0..5_u8).map(|number| {
        let vector = DenseVector::new(vec![1.0, f32::from(number), 2.0]).expect("three numbers");
        let part = PartSource {
            text: format!("the ferry leaves the harbour at {number}"),
            vectors: [("v".to_owned(), vector.into())].into(),
            span: None,
        };
        Source {
            id: DocumentId::new(format!("d{number}")).expect("an id"),
            payload: Payload::default(),
            content: SourceContent::Parts(vec![part]),
        }
    });
    collection.store(sources.collect(), &Cancellation::new()).expect("five documents");
}

/// Returns the files below a folder of the repository, by their path in it.
fn contents(folder: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // The crate of cargo-fuzz stands in a folder of the repository.
    let root = if root.join(folder).exists() { root } else { root.parent().unwrap_or(root) };
    let folder = root.join(folder);
    let inner = |(path, bytes): (PathBuf, Vec<u8>)| {
        (path.strip_prefix(&folder).unwrap_or(&path).to_owned(), bytes)
    };
    listed(&folder).into_iter().map(inner).collect()
}

fn listed(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().flatten();
    let files = entries.filter(|entry| entry.file_type().is_file());
    let read = |entry: walkdir::DirEntry| {
        let bytes = fs_err::read(entry.path()).expect("a file of the repository");
        (entry.into_path(), bytes)
    };
    files.map(read).collect()
}
