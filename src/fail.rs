//! Where could the power go? Tests watch these points; in the program they do nothing.

#[cfg(test)]
pub(crate) use watched::{reached, watch};

/// Says that work on the files of a folder has come to a point at which it could be cut off.
#[cfg(not(test))]
pub(crate) fn reached(_point: &'static str, _folder: &std::path::Path) {}

#[cfg(test)]
mod watched {
    use std::path::{Path, PathBuf};
    use std::sync::{Arc, Mutex, PoisonError};

    type Watcher = Arc<dyn Fn(&'static str) + Send + Sync>;

    static WATCHERS: Mutex<Vec<(PathBuf, Watcher)>> = Mutex::new(Vec::new());

    /// Watches the points below a folder until it is dropped.
    #[derive(Debug)]
    pub(crate) struct Watch(PathBuf);

    /// Calls `watcher` with the name of each point that is reached below the folder, on the thread
    /// that reaches it.
    pub(crate) fn watch(
        folder: &Path,
        watcher: impl Fn(&'static str) + Send + Sync + 'static,
    ) -> Watch {
        let mut watchers = WATCHERS.lock().unwrap_or_else(PoisonError::into_inner);
        watchers.push((folder.to_owned(), Arc::new(watcher)));
        Watch(folder.to_owned())
    }

    impl Drop for Watch {
        fn drop(&mut self) {
            let mut watchers = WATCHERS.lock().unwrap_or_else(PoisonError::into_inner);
            watchers.retain(|(folder, _)| *folder != self.0);
        }
    }

    /// Says that work on the files of a folder has come to a point.
    pub(crate) fn reached(point: &'static str, folder: &Path) {
        let watchers = WATCHERS.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (watched, watcher) in watchers {
            if folder.starts_with(watched) {
                watcher(point);
            }
        }
    }
}
