//! Names that must be gone when the process ends, however it is asked to.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is registered now.
static NAMES: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
static COUNTER: AtomicU64 = AtomicU64::new(0);

/// Removes everything that is registered: for a signal's sake, right before the process exits.
pub fn remove_all() {
    let names = NAMES.lock().map(|mut names| std::mem::take(&mut *names)).unwrap_or_default();
    for name in names {
        remove(&name);
    }
}

/// Registers what is removed by its owner in the ordinary way, and here only for a signal's sake.
pub fn register(path: &Path) {
    if let Ok(mut names) = NAMES.lock() {
        names.push(path.to_path_buf());
    }
}

/// A temporary name in the filesystem. Whatever has it is removed when this is dropped.
#[derive(Debug)]
pub struct Registered(PathBuf);

impl Registered {
    /// A name that nothing has yet, in the directory of `path`. Nothing is made.
    pub fn beside(path: &Path) -> Registered {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let mut name = std::ffi::OsString::from(".");
        // Cut, so that the longest name has room for what stands around it.
        let stem = path.file_name().unwrap_or_default().to_string_lossy();
        name.push(stem.chars().take(50).collect::<String>());
        name.push(format!(".unlade-{}-{number}", std::process::id()));
        let path = path.with_file_name(name);
        register(&path);
        Registered(path)
    }

    /// The name.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The name is no longer temporary, or is gone.
    pub(crate) fn keep(self) {
        self.forget();
        std::mem::forget(self);
    }

    fn forget(&self) {
        if let Ok(mut names) = NAMES.lock() {
            names.retain(|name| *name != self.0);
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        remove(&self.0);
        self.forget();
    }
}

fn remove(path: &Path) {
    // Failing is no news: mostly there is nothing. A directory may hold directories without permissions.
    let directory = fs::symlink_metadata(path).is_ok_and(|found| found.is_dir());
    let _ = if directory { crate::directory::remove(path) } else { fs::remove_file(path) };
}
