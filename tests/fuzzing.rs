//! The fuzz targets of `fuzz/` over mutated seeds, with any compiler: nothing panics, nothing lies.
//!
//! `SIMILE_FUZZ_SECONDS=3600 SIMILE_FUZZ_SEED=2 cargo test --release --test behaviour fuzzing -- --nocapture`
//! takes an hour for each. What fails is kept below `target/tmp/fuzz`, for `SIMILE_FUZZ_INPUT=FILE` to try again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::rpc::TestServer;
use targets::messages::{WIRE, Wire};
use targets::{TARGETS, Target};

#[path = "../fuzz/targets.rs"]
mod targets;

/// How many mutants of each are tried if nothing else is said.
const MUTANTS: u64 = 120;
const SEED: u64 = 20_261_127;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// Changes some bytes, as files that break on their way are changed.
fn mutate(bytes: &mut Vec<u8>, other: &[u8], random: &mut StdRng) {
    for _ in 0..random.random_range(1..6) {
        let at = random.random_range(0..=bytes.len());
        let end = (at + random.random_range(0..9)).min(bytes.len());
        match random.random_range(0..8) {
            0 | 1 if at < bytes.len() => bytes[at] ^= 1 << random.random_range(0..8),
            2 if at < bytes.len() => {
                bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random.random_range(0..5_usize)]
            }
            3 => drop(bytes.splice(at..end, [0xff; 5])),
            4 => drop(bytes.drain(at..end)),
            5 => bytes.truncate(at),
            6 => {
                let again = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, again.repeat(random.random_range(1..40))));
            }
            _ if !other.is_empty() => {
                let from = random.random_range(0..other.len());
                let to = (from + random.random_range(1..64)).min(other.len());
                drop(bytes.splice(at..end, other[from..to].iter().copied()));
            }
            _ => {}
        }
    }
}

/// Runs a target; what makes it panic is kept.
#[track_caller]
fn run(target: &Target, bytes: &[u8], which: &str) {
    if catch_unwind(AssertUnwindSafe(|| targets::run(target.name, bytes))).is_err() {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz");
        fs_err::create_dir_all(&folder).unwrap();
        let file = folder.join(format!("{}-{}", target.name, blake3::hash(bytes).to_hex()));
        fs_err::write(&file, bytes).unwrap();
        panic!("{} does not bear {which}: {}", target.name, file.display());
    }
}

/// Tries the seeds of a target and mutants of them.
#[expect(clippy::print_stdout, reason = "by command it is told how many there were")]
fn fuzz(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    let seeds = (target.seeds)();
    assert!(!seeds.is_empty(), "{name} has nothing to begin with");
    if let Some(file) = std::env::var_os("SIMILE_FUZZ_INPUT") {
        return run(target, &fs_err::read(file).unwrap(), "that file");
    }
    for (place, seed) in seeds.iter().enumerate() {
        run(target, seed, &format!("seed {place}"));
    }
    let seed = number("SIMILE_FUZZ_SEED").unwrap_or(SEED);
    let mut random = StdRng::seed_from_u64(seed);
    let (began, time) = (Instant::now(), number("SIMILE_FUZZ_SECONDS").map(Duration::from_secs));
    let mut mutants = 0;
    while time.map_or(mutants < MUTANTS, |time| began.elapsed() < time) {
        let mut bytes = seeds[random.random_range(0..seeds.len())].clone();
        let other = &seeds[random.random_range(0..seeds.len())];
        mutate(&mut bytes, other, &mut random);
        run(target, &bytes, &format!("mutant {mutants} of seed {seed}"));
        mutants += 1;
    }
    println!("{name}: {mutants} mutants in {:.0?}", began.elapsed());
}

#[test]
fn messages_of_every_method_are_answered_or_refused() {
    let server = TestServer::without_model(|_| {});
    let (runtime, channel) = (tokio::runtime::Runtime::new().unwrap(), server.channel());
    WIRE.set(Wire { runtime, channel }).unwrap();
    fuzz("messages");
}

#[test]
fn files_are_read_or_refused() {
    fuzz("files");
}

#[test]
fn manifests_are_read_or_refused() {
    fuzz("manifests");
}

#[test]
fn settings_are_read_or_refused() {
    fuzz("settings");
}

#[test]
fn archives_are_restored_whole_or_refused() {
    fuzz("archives");
}

#[test]
fn segments_are_right_or_left_out() {
    fuzz("segments");
}

#[test]
fn word_vectors_are_read_or_refused() {
    fuzz("word_vectors");
}

#[test]
fn folders_of_models_are_added_or_refused() {
    fuzz("models");
}

/// The crate of cargo-fuzz is not built here: it has a file for each target, and no other.
#[test]
fn every_target_is_one_of_cargo_fuzz_and_is_run_here() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = fs_err::read_to_string(folder.join("Cargo.toml")).unwrap();
    let here = include_str!("fuzzing.rs");
    for target in &TARGETS {
        let name = target.name;
        let file = fs_err::read_to_string(folder.join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(file.contains(&format!("run(\"{name}\", data)")), "{name}: {file}");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
        assert!(here.contains(&format!("fuzz(\"{name}\")")), "{name}");
        assert!(file.contains(&format!("plant(\"{name}\", ")), "{name}: {file}");
    }
    // What it begins with is put where it looks, if it is told where.
    let corpus = tempfile::tempdir().unwrap();
    let told = ["fuzz", "-runs=1", corpus.path().to_str().unwrap()];
    targets::plant("manifests", told.into_iter().map(str::to_owned));
    targets::plant("manifests", told[..2].iter().map(ToString::to_string));
    let planted = fs_err::read_dir(corpus.path()).unwrap().count();
    let manifests = TARGETS.iter().find(|target| target.name == "manifests").unwrap();
    assert_eq!(planted, (manifests.seeds)().len());
    let files = fs_err::read_dir(folder.join("fuzz_targets")).unwrap().count();
    assert_eq!(files, TARGETS.len());
}
