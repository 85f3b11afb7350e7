use std::error::Error as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::embed::manifest::ModelFile;
use crate::embed::obtain::{
    FolderLock, ObtainError, Progress, Staging, WheelRequest, fetch_wheel, place, sha256_of,
    wheel_member,
};
use crate::error::{Classified, ErrorKind};

/// The version of ONNX Runtime that is obtained where none is found.
pub const RUNTIME_VERSION: &str = "1.32.0";

/// A wheel that carries the library for one platform.
struct Wheel {
    system: &'static str,
    processor: &'static str,
    platform: &'static str,
    member: &'static str,
    sha256: &'static str,
    bytes: u64,
}

const LINUX_MEMBER: &str = "onnxruntime/capi/libonnxruntime.so.1.32.0";
const MAC_MEMBER: &str = "onnxruntime/capi/libonnxruntime.1.32.0.dylib";

/// The library inside each wheel, by its own SHA-256.
const WHEELS: [Wheel; 3] = [
    Wheel {
        system: "linux",
        processor: "x86_64",
        platform: "manylinux_2_28_x86_64",
        member: LINUX_MEMBER,
        sha256: "6c1585d1bbf45b0712ea4a21b705c5fcb4ba04ff2e30f1fbf81a49faf658638f",
        bytes: 34_824_680,
    },
    Wheel {
        system: "linux",
        processor: "aarch64",
        platform: "manylinux_2_28_aarch64",
        member: LINUX_MEMBER,
        sha256: "49852228a93995158b2a813d4df487d47a1b76b0eaa894507ef49e91b6d7954a",
        bytes: 27_165_936,
    },
    Wheel {
        system: "macos",
        processor: "aarch64",
        platform: "macosx_14_0_arm64",
        member: MAC_MEMBER,
        sha256: "fa585fabbea65b823b9a8f7e27d46aee3989d1be7e36b528203d3a1fd613aae7",
        bytes: 35_272_344,
    },
];

/// Where ONNX Runtime is looked for.
#[derive(Debug, Clone, Default)]
pub struct RuntimeSearch {
    /// A library that was named, or the folder it is in; nothing else is tried then.
    pub explicit: Option<PathBuf>,
    /// The folder of this program.
    pub beside: Option<PathBuf>,
    /// The folder of the cache, into which it is fetched where it is found nowhere.
    pub cache: PathBuf,
    /// Whether the network may be used.
    pub is_offline: bool,
    /// The Python whose pip is asked.
    pub python: String,
}

/// ONNX Runtime, loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runtime {
    /// The library.
    pub library: PathBuf,
    /// What it says of itself.
    pub version: String,
}

/// Why there is no ONNX Runtime.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// It is nowhere, and could not be obtained.
    #[error(
        "ONNX Runtime was not found (looked at {looked}); install it with \
         `python3 -m pip install onnxruntime=={RUNTIME_VERSION}` and name its folder \
         onnxruntime/capi with --onnxruntime (SIMILE_ONNXRUNTIME), or put libonnxruntime beside \
         this program"
    )]
    NotFound {
        /// Where it was looked for.
        looked: String,
        /// Why it could not be obtained.
        #[source]
        source: ObtainError,
    },
    /// No wheel is known for this machine.
    #[error(
        "ONNX Runtime was not found (looked at {looked}), and no wheel of it is known for \
         {machine}; name a libonnxruntime 1.{} or newer with --onnxruntime (SIMILE_ONNXRUNTIME)",
        ort::MINOR_VERSION
    )]
    NoWheel {
        /// Where it was looked for.
        looked: String,
        /// System and processor.
        machine: String,
    },
    /// A library that cannot be used.
    #[error(
        "{} is not a usable ONNX Runtime: {reason}; name a libonnxruntime 1.{} or newer with \
         --onnxruntime (SIMILE_ONNXRUNTIME), or leave that out, and one is found or obtained",
        library.display(),
        ort::MINOR_VERSION
    )]
    Unusable {
        /// The library.
        library: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Another one is loaded.
    #[error("{} is loaded already, {} was asked for", loaded.display(), asked.display())]
    Loaded {
        /// The one that is loaded.
        loaded: PathBuf,
        /// The one that was asked for.
        asked: PathBuf,
    },
}

impl Classified for RuntimeError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Unavailable
    }
}

static LOADED: OnceLock<Runtime> = OnceLock::new();
static ENVIRONMENT: OnceLock<ort::environment::Environment> = OnceLock::new();
static LOADING: Mutex<()> = Mutex::new(());

/// Returns what sessions are made in, once the runtime is loaded.
pub(super) fn environment() -> Option<&'static ort::environment::Environment> {
    ENVIRONMENT.get()
}

impl Runtime {
    /// Returns the runtime of this process, if it is loaded already.
    pub fn loaded() -> Option<&'static Self> {
        LOADED.get()
    }
}

impl RuntimeSearch {
    /// Returns the libraries that would be tried, the first first, without fetching anything.
    pub fn candidates(&self) -> Vec<PathBuf> {
        match &self.explicit {
            Some(folder) if folder.is_dir() => library_in(folder).into_iter().collect(),
            Some(library) if library.is_file() => vec![library.clone()],
            Some(_) => vec![],
            None => self.folders().iter().filter_map(|folder| library_in(folder)).collect(),
        }
    }

    /// Finds, or else obtains, ONNX Runtime and loads it, once for the life of the process.
    ///
    /// # Errors
    /// [`RuntimeError`] (unavailable), saying what to do.
    pub fn load(&self, progress: Progress<'_>) -> Result<Runtime, RuntimeError> {
        let _one = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
        let unusable = match self.find() {
            Ok(Some(runtime)) => return Ok(runtime),
            Ok(None) => None,
            Err(error) if self.explicit.is_some() => return Err(error),
            Err(error) => Some(error),
        };
        let folders = self.folders().into_iter().map(|folder| folder.display().to_string());
        let looked = unusable.map(|error| error.to_string()).into_iter().chain(folders);
        let library = self.obtain(looked.collect::<Vec<_>>().join(", "), progress)?;
        let runtime = open(&library)?;
        Ok(LOADED.get_or_init(|| runtime).clone())
    }

    /// Loads ONNX Runtime as [`Self::load`] does, but obtains nothing; returns none where none is
    /// found.
    ///
    /// # Errors
    /// [`RuntimeError`] (unavailable): what was named, or all that was found, cannot be used.
    pub fn load_here(&self) -> Result<Option<Runtime>, RuntimeError> {
        let _one = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
        self.find()
    }

    fn find(&self) -> Result<Option<Runtime>, RuntimeError> {
        let candidates = self.candidates();
        if let Some(loaded) = LOADED.get() {
            return match &self.explicit {
                Some(asked) if candidates.first() != Some(&loaded.library) => {
                    Err(RuntimeError::Loaded {
                        loaded: loaded.library.clone(),
                        asked: asked.clone(),
                    })
                }
                Some(_) | None => Ok(Some(loaded.clone())),
            };
        }
        let mut unusable = None;
        for library in candidates {
            match open(&library) {
                Ok(runtime) => return Ok(Some(LOADED.get_or_init(|| runtime).clone())),
                Err(error) => unusable = unusable.or(Some(error)),
            }
        }
        match (unusable, &self.explicit) {
            (Some(error), _) => Err(error),
            (None, Some(asked)) => {
                let reason = if asked.is_dir() { "it holds none" } else { "there is no such file" };
                let (library, reason) = (asked.clone(), reason.to_owned());
                Err(RuntimeError::Unusable { library, reason })
            }
            (None, None) => Ok(None),
        }
    }

    /// Returns the folders that are looked at where no library was named, the first first.
    pub fn folders(&self) -> Vec<PathBuf> {
        let mut folders: Vec<PathBuf> = self.beside.iter().cloned().collect();
        folders.push(self.folder());
        let system = [
            "/usr/local/lib",
            "/usr/lib",
            "/usr/lib64",
            "/opt/onnxruntime/lib",
            "/opt/homebrew/lib",
        ];
        folders.extend(system.map(PathBuf::from));
        folders.push(format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH).into());
        folders
    }

    /// Where it is kept once it was fetched.
    fn folder(&self) -> PathBuf {
        self.cache.join("runtime").join(RUNTIME_VERSION)
    }

    fn obtain(&self, looked: String, progress: Progress<'_>) -> Result<PathBuf, RuntimeError> {
        let (system, processor) = (std::env::consts::OS, std::env::consts::ARCH);
        let wheel =
            WHEELS.iter().find(|wheel| (wheel.system, wheel.processor) == (system, processor));
        let Some(wheel) = wheel else {
            return Err(RuntimeError::NoWheel { looked, machine: format!("{system} {processor}") });
        };
        self.fetch(wheel, progress).map_err(|source| RuntimeError::NotFound { looked, source })
    }

    fn fetch(&self, wheel: &Wheel, progress: Progress<'_>) -> Result<PathBuf, ObtainError> {
        let folder = self.folder();
        let _lock = FolderLock::wait(&folder)?;
        let name = Path::new(wheel.member).file_name().unwrap_or_default();
        let path = folder.join(name);
        // Another process may have been faster; one that is damaged is fetched anew.
        if path.is_file() && sha256_of(&path)? == wheel.sha256 {
            return Ok(path);
        }
        if self.is_offline {
            return Err(ObtainError::Offline { what: "ONNX Runtime".into() });
        }
        let request = WheelRequest {
            package: "onnxruntime",
            version: RUNTIME_VERSION,
            platform: Some(wheel.platform),
            python: &self.python,
        };
        let download = Staging::in_folder(&folder)?;
        let file = fetch_wheel(&request, download.path(), progress)?;
        let expected = ModelFile {
            name: name.to_string_lossy().into_owned(),
            sha256: wheel.sha256.to_owned(),
            bytes: wheel.bytes,
        };
        let placed = wheel_member(&file, wheel.member, |bytes| place(&folder, &expected, bytes))?;
        progress(
            &format!("obtained ONNX Runtime {RUNTIME_VERSION}"),
            wheel.bytes,
            Some(wheel.bytes),
        );
        Ok(placed)
    }
}

/// Returns the ONNX Runtime in a folder, the one with the plain name first.
fn library_in(folder: &Path) -> Option<PathBuf> {
    let plain = ["libonnxruntime.so", "libonnxruntime.dylib"].map(|name| folder.join(name));
    if let Some(found) = plain.into_iter().find(|path| path.is_file()) {
        return Some(found);
    }
    let versions: Vec<PathBuf> = fs_err::read_dir(folder)
        .ok()?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let name = name.strip_prefix("libonnxruntime.").unwrap_or_default();
            name.starts_with("so.") || name.ends_with("dylib")
        })
        .collect();
    // By number: 1.32 is newer than 1.9.
    versions.into_iter().max_by_key(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.split('.').filter_map(|part| part.parse().ok()).collect::<Vec<u32>>()
    })
}

fn open(library: &Path) -> Result<Runtime, RuntimeError> {
    let unusable = |reason: String| RuntimeError::Unusable { library: library.to_owned(), reason };
    // A relative path would be looked for beside the program.
    let absolute = std::path::absolute(library).map_err(|error| unusable(error.to_string()))?;
    let environment = ort::init_from(absolute).map_err(|error| unusable(reason_of(&error)))?;
    let environment =
        environment.with_name("simile").build().map_err(|error| unusable(error.to_string()))?;
    drop(ENVIRONMENT.set(environment));
    let real = fs_err::canonicalize(library).unwrap_or_else(|_| library.to_owned());
    let version = version(&real, ort::info());
    Ok(Runtime { library: library.to_owned(), version })
}

/// Returns why a library cannot be loaded, in the words of the system where it says anything.
fn reason_of(error: &ort::LoadDynamicError) -> String {
    let said = match error {
        ort::LoadDynamicError::Dlopen { error, .. } => error.source().map(ToString::to_string),
        ort::LoadDynamicError::MissingApi { .. }
        | ort::LoadDynamicError::InvalidVersionString
        | ort::LoadDynamicError::BadVersion { .. } => None,
    };
    said.unwrap_or_else(|| error.to_string())
}

/// Returns the version in the name of the library (`libonnxruntime.so.1.32.0`), which is where its
/// releases carry it; else the tag or the commit of its build information.
fn version(library: &Path, information: &str) -> String {
    let name = library.file_name().unwrap_or_default().to_string_lossy();
    let name = name.trim_start_matches("libonnxruntime.").trim_start_matches("so.");
    let name = name.trim_end_matches(".dylib");
    if name.starts_with(|letter: char| letter.is_ascii_digit()) {
        return name.to_owned();
    }
    let told = |key: &str| {
        let (_, rest) = information.split_once(key)?;
        rest.split([',', ' ']).next().filter(|value| !value.is_empty()).map(str::to_owned)
    };
    told("git-tag=")
        .or_else(|| told("git-commit-id=").map(|commit| format!("commit {commit}")))
        .unwrap_or_else(|| "unknown".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_in_the_name_of_the_library_or_in_what_it_says_of_its_build() {
        let built = "ORT Build Info: git-branch=HEAD, git-commit-id=fab30a4, build type=Release";
        for (name, information, expected) in [
            ("/usr/lib/libonnxruntime.so.1.32.0", built, "1.32.0"),
            ("/opt/lib/libonnxruntime.1.31.2.dylib", "", "1.31.2"),
            ("libonnxruntime.so", "git-tag=v1.30.0, git-branch=x", "v1.30.0"),
            ("libonnxruntime.dylib", built, "commit fab30a4"),
            ("libonnxruntime.so", "", "unknown"),
        ] {
            assert_eq!(version(Path::new(name), information), expected, "{name}");
        }
    }
}
