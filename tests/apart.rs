//! Reading in processes of their own.
//!
//! `SIMILE_MUTANTS=100000 cargo test --release --test behaviour apart::mutated` tries more broken files.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use simile::cancel::{Cancellation, Interrupted};
use simile::decode::{
    Apart, ApartOptions, Content, DecodeError, Hint, Limits, decode, decode_picture, encode_jpeg,
};
use simile::error::{Classified, ErrorKind};
use simile::picture::Picture;

use crate::support::picture;

/// How many mutants of each kind of file are tried if nothing else is said.
const MUTANTS: usize = 40;
const SEED: u64 = 20_261_127;

/// The processes of a server: the program under its other command.
pub(crate) fn options() -> ApartOptions {
    ApartOptions {
        program: env!("CARGO_BIN_EXE_simile").into(),
        arguments: vec!["read-files".to_owned()],
        processes_max: 2,
        memory_bytes_max: 2 << 30,
        time_max: Duration::from_secs(120),
    }
}

fn limits(options: ApartOptions) -> Limits {
    Limits { apart: Some(Apart::new(options)), ..Limits::default() }
}

/// Files of every kind that is read: their names and what is in them.
fn files() -> Vec<(String, Vec<u8>)> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    let folders =
        ["tests/fixtures/decode", "tests/fixtures/sound", "src/cli/demo/texts", "tests/pictures"];
    for folder in folders {
        for entry in walkdir::WalkDir::new(root.join(folder)).sort_by_file_name() {
            let path = entry.unwrap().into_path();
            if path.is_file() {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                files.push((name, fs_err::read(path).unwrap()));
            }
        }
    }
    files.push(("photograph.jpg".to_owned(), encode_jpeg(&picture([301, 200]), 85)));
    files.push(("film.y4m".to_owned(), film()));
    files.push(("film.gif".to_owned(), animation()));
    files.push(("nothing.txt".to_owned(), Vec::new()));
    files.push(("noise.bin".to_owned(), vec![0, 255, 7, 0, 1]));
    files
}

/// Three frames of four by two pixels, each of another grey.
fn film() -> Vec<u8> {
    let mut film = b"YUV4MPEG2 W4 H2 F25:1 C444\n".to_vec();
    for grey in [40, 120, 200] {
        film.extend(b"FRAME\n");
        film.extend([grey; 8]);
        film.extend([128; 16]);
    }
    film
}

/// An animated GIF of two frames of one pixel.
fn animation() -> Vec<u8> {
    let mut file = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xFF\xFF\xFF".to_vec();
    for colour in [0x44, 0x4C] {
        file.extend([0x21, 0xF9, 4, 0, 20, 0, 0, 0]);
        file.extend([0x2C, 0, 0, 0, 0, 1, 0, 1, 0, 0, 2, 2, colour, 1, 0]);
    }
    file.push(0x3B);
    file
}

/// What is in a file, in a form that can be compared.
fn read(name: &str, bytes: &[u8], limits: &Limits) -> Result<String, (ErrorKind, String)> {
    let told = |error: DecodeError| (error.kind(), error.to_string());
    let hint = Hint { file_name: Some(name), ..Hint::default() };
    match decode(bytes, &hint, limits, &Cancellation::new()).map_err(told)? {
        Content::Text(content) => Ok(format!("{content:?}")),
        Content::Picture(content) => {
            let samples = blake3::hash(content.picture.samples());
            Ok(format!("{samples} {content:?}"))
        }
        Content::Records(records) => Ok(format!("{:?}", records.collect::<Vec<_>>())),
        Content::Video(mut frames) => {
            let mut seen = format!("{:?}", frames.size());
            for frame in &mut frames {
                let frame = frame.map_err(told)?;
                let samples = blake3::hash(frame.picture.samples());
                seen += &format!(" {}-{} {samples}", frame.start_ms, frame.end_ms);
            }
            Ok(format!("{seen} {:?}", frames.take_warnings()))
        }
        Content::Sound(mut sounds) => {
            let mut heard = format!("{:?}", sounds.facts());
            for block in &mut sounds {
                let block = block.map_err(told)?;
                let bytes: Vec<u8> = block.iter().flat_map(|sample| sample.to_le_bytes()).collect();
                heard += &format!(" {} {}", block.len(), blake3::hash(&bytes));
            }
            Ok(format!("{heard} {:?}", sounds.take_warnings()))
        }
    }
}

#[test]
fn what_a_process_reads_is_what_is_read_here() {
    let (here, apart) = (Limits::default(), limits(options()));
    let mut kinds = [0, 0];
    for (name, bytes) in files() {
        let expected = read(&name, &bytes, &here);
        assert_eq!(read(&name, &bytes, &apart), expected, "{name}");
        kinds[usize::from(expected.is_ok())] += 1;
    }
    assert!(kinds[0] >= 2 && kinds[1] >= 30, "{kinds:?}");
}

#[test]
fn a_video_that_is_let_go_in_the_middle_leaves_the_next_file_alone() {
    let apart = limits(options());
    let hint = Hint { file_name: Some("film.y4m"), ..Hint::default() };
    let film = film();
    for _ in 0..3 {
        let content = decode(&film, &hint, &apart, &Cancellation::new()).unwrap();
        let Content::Video(mut frames) = content else { panic!("no video") };
        assert!(frames.next().unwrap().is_ok());
        drop(frames);
        let jpeg = encode_jpeg(&picture([30, 20]), 85);
        assert_eq!(decode_picture(&jpeg, &apart).unwrap().width(), 30);
    }
}

#[test]
fn a_picture_that_needs_more_memory_than_there_is_ends_a_process_and_nothing_else() {
    let jpeg = encode_jpeg(&Picture::new(10_000, 11_000, vec![90; 330_000_000]).unwrap(), 50);
    let small = limits(ApartOptions { memory_bytes_max: 384 << 20, ..options() });
    let error = decode_picture(&jpeg, &small).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let words = error.to_string();
    assert!(words.contains("needs more than 384 MiB of memory"), "{words}");
    let jpeg = encode_jpeg(&picture([30, 20]), 85);
    assert_eq!(decode_picture(&jpeg, &small).unwrap().width(), 30, "another process reads on");
}

/// A program that is no reader.
fn shell(script: &str) -> Limits {
    limits(ApartOptions {
        program: "/bin/sh".into(),
        arguments: vec!["-c".to_owned(), script.to_owned()],
        time_max: Duration::from_secs(1),
        ..options()
    })
}

#[test]
fn a_process_that_dies_hangs_or_lies_is_an_error_of_its_file() {
    let jpeg = encode_jpeg(&picture([30, 20]), 85);
    let failure = |limits: &Limits| decode_picture(&jpeg, limits).unwrap_err();

    let died = failure(&shell("kill -ABRT $$"));
    assert_eq!(died.kind(), ErrorKind::InvalidInput);
    assert!(died.to_string().contains("ended with signal 6"), "{died}");

    let lied = failure(&shell("cat > /dev/null & echo something that is no answer at all"));
    assert_eq!(lied.kind(), ErrorKind::InvalidInput, "{lied}");

    // Of the right form, and of another size than it says.
    let reply = r#"{"Video":{"size":[1,1]}}"#;
    let length = char::from(u8::try_from(reply.len()).unwrap());
    let said = format!(
        "printf '%s\\0\\0\\0%s\\0\\0\\0\\0\\0\\0\\0\\0' '{length}' '{reply}'; exec sleep 100"
    );
    let other = failure(&shell(&said));
    assert_eq!(other.kind(), ErrorKind::InvalidInput);
    assert!(other.to_string().contains("the process that read it gave"), "{other}");

    let began = Instant::now();
    let hung = failure(&shell("exec sleep 100"));
    assert_eq!(hung.to_string(), "the JPEG was not read within 1 seconds");
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());

    let missing = limits(ApartOptions { program: "/nowhere/simile".into(), ..options() });
    let missing = failure(&missing);
    assert_eq!(missing.kind(), ErrorKind::Unavailable);
    assert!(missing.to_string().contains("`/nowhere/simile`"), "{missing}");
}

#[test]
fn work_that_is_withdrawn_waits_for_no_process() {
    let hanging = ApartOptions { time_max: Duration::from_secs(100), ..options() };
    let hanging = ApartOptions {
        program: "/bin/sh".into(),
        arguments: vec!["-c".to_owned(), "exec sleep 100".to_owned()],
        processes_max: 1,
        ..hanging
    };
    let limits = limits(hanging);
    let jpeg = encode_jpeg(&picture([30, 20]), 85);
    let cancel = Cancellation::new();
    // One waits for an answer, the other for a process.
    let read = || decode(&jpeg, &Hint::default(), &limits, &cancel).map(drop).unwrap_err();
    std::thread::scope(|scope| {
        let readers = [scope.spawn(read), scope.spawn(read)];
        std::thread::sleep(Duration::from_millis(100));
        cancel.cancel();
        for reader in readers {
            assert_eq!(reader.join().unwrap(), Interrupted::Cancelled.into());
        }
    });
}

#[test]
fn mutated_files_end_no_server_and_take_no_memory_of_it() {
    let mutants = std::env::var("SIMILE_MUTANTS").map_or(MUTANTS, |count| count.parse().unwrap());
    let apart = limits(options());
    let files: Vec<_> = files().into_iter().filter(|(_, bytes)| bytes.len() > 4).collect();
    let mut random = StdRng::seed_from_u64(SEED);
    let mut read_anyway = 0;
    for mutant in 0..mutants {
        let (name, bytes) = &files[random.random_range(0..files.len())];
        let mut bytes = bytes.clone();
        for _ in 0..random.random_range(1..9) {
            let at = random.random_range(0..bytes.len());
            match random.random_range(0..4) {
                0 => bytes[at] ^= 1 << random.random_range(0..8),
                1 => bytes[at] = [0, 1, 0x7F, 0xFF][random.random_range(0..4_usize)],
                2 => bytes.truncate(at.max(1)),
                _ => drop(bytes.splice(at..at, [0xFF; 5]).collect::<Vec<_>>()),
            }
        }
        match read(name, &bytes, &apart) {
            Ok(_) => read_anyway += 1,
            Err((kind, words)) => {
                let is_of_the_file =
                    matches!(kind, ErrorKind::InvalidInput | ErrorKind::Unsupported);
                assert!(is_of_the_file, "{name}, mutant {mutant}, seed {SEED}: {words}");
            }
        }
    }
    println!("{mutants} mutants, {read_anyway} of them read, highest memory {:?}", high_water());
    let jpeg = encode_jpeg(&picture([30, 20]), 85);
    assert_eq!(decode_picture(&jpeg, &apart).unwrap().width(), 30);
}

/// The most memory that this process had so far, where the system tells.
fn high_water() -> Option<String> {
    let status = fs_err::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().skip(1).collect::<Vec<_>>().join(" "))
}
