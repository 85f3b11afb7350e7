//! No path, and nobody who exchanges folders for links meanwhile, gets out of the folder.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use simile::cancel::Cancellation;
use simile::reach::{ReachError, Root, Way};

/// What stands in every file beneath the folder, and in those beside it.
const INSIDE: &[u8] = b"inside";
const OUTSIDE: &[u8] = b"outside";
/// More than any of these files has.
const BYTES_MAX: u64 = 1 << 10;

/// Names of ordinary files that look like something else.
const HARD_NAMES: [&str; 24] = [
    " ",
    "-rf",
    "*",
    "?",
    "~",
    "...",
    "....",
    "..a",
    "a..",
    ". .",
    "\\",
    "..\\secret.txt",
    "new\nline",
    "tab\t",
    "quote'\"",
    "$HOME",
    "%2e%2e",
    "..%2fsecret.txt",
    "C:",
    "con",
    "ſecret",
    "🐈.txt",
    "e\u{301}.txt",
    "\u{202e}txt.a",
];

/// A folder with files, links in every position, and what is no file; beside it what nobody may read.
struct Place {
    folder: tempfile::TempDir,
    _socket: UnixListener,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["outside", "root/folder/inner", "root/.hidden"] {
            fs_err::create_dir_all(at(name)).unwrap();
        }
        for name in ["outside/secret.txt", "secret.txt"] {
            fs_err::write(at(name), OUTSIDE).unwrap();
        }
        let root = at("root");
        for name in ["a.txt", "folder/b.txt", "folder/inner/c.txt", ".hidden/d.txt"] {
            fs_err::write(root.join(name), INSIDE).unwrap();
        }
        for name in HARD_NAMES {
            fs_err::write(root.join("folder").join(name), INSIDE).unwrap();
        }
        fs_err::write(root.join(OsStr::from_bytes(b"\xff\xfe.txt")), INSIDE).unwrap();
        let links: [(&str, PathBuf); 15] = [
            ("link-file", "../outside/secret.txt".into()),
            ("link-whole", at("outside/secret.txt")),
            ("link-folder", "../outside".into()),
            ("link-whole-folder", at("outside")),
            ("link-chain", "link-folder".into()),
            ("link-in", "a.txt".into()),
            ("link-folder-in", "folder".into()),
            ("link-self", "link-self".into()),
            ("link-root", "/".into()),
            ("link-process", "/proc/self/root".into()),
            ("link-descriptors", "/proc/self/fd".into()),
            ("link-nowhere", "nowhere".into()),
            ("folder/link-up", "..".into()),
            ("folder/inner/link-out", "../../../outside".into()),
            ("folder/inner/link-up", "../..".into()),
        ];
        for (name, to) in links {
            symlink(to, root.join(name)).unwrap();
        }
        fs_err::hard_link(at("outside/secret.txt"), root.join("hard.txt")).unwrap();
        assert!(Command::new("mkfifo").arg(root.join("pipe")).status().unwrap().success());
        let socket = UnixListener::bind(root.join("socket")).unwrap();
        Self { folder, _socket: socket }
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    fn open(&self, way: Way) -> Root {
        Root::open_by(&self.root(), way).unwrap()
    }

    /// Paths of which nothing is read.
    fn refused(&self) -> Vec<String> {
        let outside = self.folder.path().join("outside/secret.txt");
        let mut paths: Vec<String> = [
            "",
            "/",
            "//",
            "/a.txt",
            "//a.txt",
            "/etc/passwd",
            "/proc/self/environ",
            "..",
            "../",
            "/..",
            "../outside/secret.txt",
            "../secret.txt",
            "../../secret.txt",
            "./..",
            "./../secret.txt",
            "folder/..",
            "folder/../a.txt",
            "folder/../..",
            "folder/../../secret.txt",
            "folder/inner/../../../secret.txt",
            "a.txt/..",
            "a.txt/../../secret.txt",
            ".//..//secret.txt",
            "folder/./../../secret.txt",
            "folder/ /../../secret.txt",
            "nowhere/../../secret.txt",
            "link-folder/../secret.txt",
            "link-file",
            "./link-file",
            "link-file/",
            "link-whole",
            "link-folder",
            "link-folder/",
            "link-folder/.",
            "link-folder/secret.txt",
            "link-folder/./secret.txt",
            "link-whole-folder/secret.txt",
            "link-chain",
            "link-chain/secret.txt",
            "link-in",
            "link-folder-in",
            "link-folder-in/b.txt",
            "link-self",
            "link-self/a.txt",
            "link-root",
            "link-root/etc/passwd",
            "link-process",
            "link-process/etc/passwd",
            "link-descriptors",
            "link-descriptors/0",
            "link-nowhere",
            "link-nowhere/a.txt",
            "folder/link-up",
            "folder/link-up/a.txt",
            "folder/link-up/folder/link-up/a.txt",
            "folder/link-up/../secret.txt",
            "folder/inner/link-out",
            "folder/inner/link-out/secret.txt",
            "folder/inner/link-up/a.txt",
            "hard.txt",
            "pipe",
            "pipe/a",
            "socket",
            "socket/a",
            "a.txt/b",
            "nothing",
            "folder/nothing",
            "A.TXT",
            "a.txt ",
            " a.txt",
            "a.txt\0",
            "a.txt\0.jpg",
            "../secret.txt\0",
            "\0",
            "..\\secret.txt",
            "..%2fsecret.txt",
            "%2e%2e/secret.txt",
            "%2e%2e%2fsecret.txt",
            "..;/secret.txt",
            "....//secret.txt",
            ". ./secret.txt",
            ".\u{2024}/secret.txt",
            "．．/secret.txt",
            "..\u{2215}secret.txt",
            "~/secret.txt",
            "$HOME/secret.txt",
            "file:a.txt",
            "C:\\secret.txt",
            "\\\\host\\secret.txt",
            "*",
            "a.tx?",
            "\u{fffd}\u{fffd}.txt",
        ]
        .map(str::to_owned)
        .into();
        paths.push(outside.to_str().unwrap().to_owned());
        paths.push(format!("folder/{}", outside.display()));
        paths.push("x".repeat(256));
        paths.push(format!("folder/{}", "x".repeat(256)));
        paths.push("a/".repeat(3_000));
        paths.push("folder/../".repeat(300));
        paths
    }
}

/// Returns what is read of a path: of a folder all that is found in it.
fn contents(root: &Root, path: &str) -> Result<Vec<Vec<u8>>, ReachError> {
    let none = Cancellation::new();
    let found = root.find(path, true, &|_| {}, &none)?;
    let read = |path: &str| root.read(path, BYTES_MAX, &none);
    let read: Vec<_> = found.files.iter().map(|file| read(&file.path)).collect();
    let mut contents: Vec<Vec<u8>> = Vec::new();
    let mut last = None;
    for file in read {
        match file {
            Ok(file) => contents.push(file.bytes),
            Err(error) => last = Some(error),
        }
    }
    match last {
        Some(error) if contents.is_empty() => Err(error),
        _ => Ok(contents),
    }
}

#[test]
fn no_path_leads_out_of_the_folder() {
    let place = Place::new();
    let refused = place.refused();
    assert!(refused.len() >= 60, "{}", refused.len());
    let mut wrong = Vec::new();
    for way in [Way::AtOnce, Way::StepByStep] {
        let root = place.open(way);
        for path in &refused {
            let file = root.read(path, BYTES_MAX, &Cancellation::new());
            let file = file.map(|file| vec![file.bytes]);
            for read in [contents(&root, path), file].into_iter().flatten() {
                let text: Vec<_> = read.iter().map(|b| String::from_utf8_lossy(b)).collect();
                wrong.push(format!("{way:?} {path:?}: {text:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), refused.len(), wrong.join("\n"));
}

#[test]
fn every_file_in_the_folder_is_found_and_read_whatever_it_is_called() {
    let place = Place::new();
    for way in [Way::AtOnce, Way::StepByStep] {
        let root = place.open(way);
        for name in HARD_NAMES {
            let path = format!("folder/{name}");
            assert_eq!(contents(&root, &path).unwrap(), [INSIDE], "{way:?} {path:?}");
        }
        let told = std::cell::RefCell::new(Vec::new());
        let tell = |count| told.borrow_mut().push(count);
        let found = root.find(".", true, &tell, &Cancellation::new()).unwrap();
        assert!(told.borrow().iter().copied().eq(1..=found.files.len()), "{told:?}");
        let paths: Vec<&str> = found.files.iter().map(|file| file.path.as_str()).collect();
        // The hard link is found, and not read.
        assert_eq!(paths.len(), HARD_NAMES.len() + 5, "{paths:?}");
        for path in ["a.txt", ".hidden/d.txt", "folder/inner/c.txt", "hard.txt"] {
            assert!(paths.contains(&path), "{paths:?}");
        }
        assert!(paths.is_sorted_by_key(|path| path.split('/').collect::<Vec<_>>()), "{paths:?}");
        let [(name, ReachError::Name)] = &found.failed[..] else { panic!("{:?}", found.failed) };
        assert_eq!(name, "\u{fffd}\u{fffd}.txt");
        let read = contents(&root, ".").unwrap();
        assert!(read.len() == paths.len() - 1 && read.iter().all(|bytes| bytes == INSIDE));
        let shown =
            root.find("./folder//inner/", false, &|_| {}, &Cancellation::new()).unwrap().files;
        assert_eq!(shown.len(), 1);
        assert_eq!((shown[0].path.as_str(), shown[0].bytes), ("folder/inner/c.txt", 6));
        let shown = root.find(".", false, &|_| {}, &Cancellation::new()).unwrap();
        assert!(!shown.files.iter().any(|file| file.path.starts_with(".hidden")));
        // What is named itself is not hidden.
        assert_eq!(contents(&root, ".hidden").unwrap(), [INSIDE]);
    }
}

#[test]
fn what_is_no_file_is_named_and_not_waited_for() {
    let place = Place::new();
    for way in [Way::AtOnce, Way::StepByStep] {
        let says = |root: &Root, path: &str, words: &str| {
            let error =
                root.find(path, true, &|_| {}, &Cancellation::new()).unwrap_err().to_string();
            assert!(error.contains(words), "{way:?} {path}: {error}");
        };
        let root = place.open(way);
        says(&root, "pipe", "got a pipe");
        says(&root, "socket", "got a socket");
        says(&root, "link-file", "a link is on the path");
        says(&root, "..", "leads up");
        says(&root, "nothing", "nothing of this name");
        let devices = Root::open_by(Path::new("/dev"), way).unwrap();
        for device in ["null", "zero", "full", "random"] {
            says(&devices, device, "got a device");
        }
        let none = Cancellation::new();
        assert!(matches!(root.read("hard.txt", 9, &none), Err(ReachError::HardLinks(2))));
        assert!(matches!(root.read("folder", 9, &none), Err(ReachError::Kind("a folder"))));
        assert!(matches!(root.read("a.txt", 5, &none), Err(ReachError::TooLarge { most: 5 })));
        assert_eq!(root.read("a.txt", 6, &none).unwrap().bytes, INSIDE);
        none.cancel();
        assert!(matches!(root.read("a.txt", 6, &none), Err(ReachError::Interrupted(_))));
    }
    let missing = Root::open(&place.root().join("missing")).unwrap_err();
    assert!(missing.to_string().contains("cannot be opened"), "{missing}");
}

#[test]
#[cfg(target_os = "linux")]
fn the_links_of_the_system_that_lead_into_processes_are_not_followed() {
    assert_eq!(Root::open(Path::new("/proc")).unwrap().way(), Way::AtOnce);
    for way in [Way::AtOnce, Way::StepByStep] {
        let root = Root::open_by(Path::new("/proc/self"), way).unwrap();
        for path in [
            "root",
            "root/etc/passwd",
            "cwd",
            "cwd/Cargo.toml",
            "exe",
            "fd/0",
            "fd/1",
            "ns/net",
            "ns/mnt",
            "task/../root",
            "../self/root",
            "../1/exe",
        ] {
            let read = root.read(path, 1 << 20, &Cancellation::new());
            assert!(read.is_err(), "{way:?} {path}");
        }
    }
}

/// Somebody exchanges a folder, and a file, for links to what is outside, as fast as the system does it,
/// while both are read. `SIMILE_REACH_SECONDS` says for how long, in each way.
#[test]
#[cfg(target_os = "linux")]
fn nobody_is_fast_enough_to_put_a_link_where_a_folder_was() {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::{Duration, Instant};

    use rustix::fs::{CWD, RenameFlags, renameat_with};

    let seconds = std::env::var("SIMILE_REACH_SECONDS").ok();
    let seconds: u64 = seconds.map_or(1, |seconds| seconds.parse().unwrap());
    let place = Place::new();
    let at = |name: &str| place.root().join(name);
    // What is exchanged for the folder has the same names in it, a folder among them.
    fs_err::create_dir_all(at("swap/deep")).unwrap();
    fs_err::create_dir_all(place.folder.path().join("outside/deep")).unwrap();
    for (name, content) in [
        ("root/swap/f.txt", INSIDE),
        ("root/swap/deep/g.txt", INSIDE),
        ("root/swap.txt", INSIDE),
        ("outside/f.txt", OUTSIDE),
        ("outside/deep/g.txt", OUTSIDE),
    ] {
        fs_err::write(place.folder.path().join(name), content).unwrap();
    }
    symlink("../outside", at("swap-link")).unwrap();
    symlink("../outside/f.txt", at("swap-link.txt")).unwrap();
    for way in [Way::AtOnce, Way::StepByStep] {
        let is_over = AtomicBool::new(false);
        let (mut read, mut refused) = (0_u64, 0_u64);
        std::thread::scope(|threads| {
            for (one, other) in [("swap", "swap-link"), ("swap.txt", "swap-link.txt")] {
                let (one, other, is_over) = (at(one), at(other), &is_over);
                threads.spawn(move || {
                    while !is_over.load(Ordering::Relaxed) {
                        renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE).unwrap();
                    }
                });
            }
            let root = place.open(way);
            let until = Instant::now() + Duration::from_secs(seconds);
            let mut escaped = None;
            while Instant::now() < until && escaped.is_none() {
                for path in ["swap/f.txt", "swap/deep/g.txt", "swap.txt"] {
                    match root.read(path, BYTES_MAX, &Cancellation::new()) {
                        Ok(file) if file.bytes == INSIDE => read += 1,
                        Ok(file) => escaped = Some((path, file.bytes)),
                        Err(_) => refused += 1,
                    }
                }
                for path in [".", "swap"] {
                    for bytes in contents(&root, path).unwrap_or_default() {
                        read += 1;
                        if bytes != INSIDE {
                            escaped = Some((path, bytes));
                        }
                    }
                }
            }
            is_over.store(true, Ordering::Relaxed);
            assert_eq!(escaped, None, "{way:?}");
        });
        println!("{way:?}: {read} reads, {refused} refused, 0 escapes");
        assert!(read > 100 && refused > 10, "{way:?}: {read} reads, {refused} refused");
    }
}
