use super::{NAME_BYTES_MAX, ReachError};

/// The most bytes of one step of a path, as file systems have it.
const STEP_BYTES_MAX: usize = 255;

/// Returns the steps of a path beneath a folder, without those that lead nowhere; none: the folder itself.
///
/// # Errors
/// [`ReachError::Path`]: a path that is absolute, leads up, or that no file can have.
pub(super) fn steps(path: &str) -> Result<Vec<&str>, ReachError> {
    if path.is_empty() {
        return Err(ReachError::Path("an empty one"));
    }
    if path.len() > NAME_BYTES_MAX {
        return Err(ReachError::Path("one of more than 4096 bytes"));
    }
    if path.starts_with('/') {
        return Err(ReachError::Path("an absolute one"));
    }
    if path.contains('\0') {
        return Err(ReachError::Path("one with a zero byte"));
    }
    let mut steps = Vec::new();
    for step in path.split('/') {
        match step {
            "" | "." => {}
            ".." => return Err(ReachError::Path("one that leads up (`..`)")),
            long if long.len() > STEP_BYTES_MAX => {
                return Err(ReachError::Path("a name of more than 255 bytes"));
            }
            step => steps.push(step),
        }
    }
    Ok(steps)
}

/// Returns the path as files that are found beneath it have it: `a/b` for `./a//b/`, and nothing for the
/// folder itself.
///
/// # Errors
/// [`ReachError::Path`]: a path that is absolute, leads up, or that no file can have.
pub fn clean(path: &str) -> Result<String, ReachError> {
    Ok(steps(path)?.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_cleaned_and_one_that_leads_out_is_refused() {
        for (path, cleaned) in
            [("a", "a"), ("./a//b/", "a/b"), (".", ""), ("...", "..."), ("a\\..\\b", "a\\..\\b")]
        {
            assert_eq!(clean(path).unwrap(), cleaned);
        }
        let long = "x".repeat(256);
        for path in ["", "/", "/etc/passwd", "..", "a/..", "a/../b", "a\0b", "./..", &long] {
            assert!(matches!(clean(path), Err(ReachError::Path(_))), "{path}");
        }
    }
}
