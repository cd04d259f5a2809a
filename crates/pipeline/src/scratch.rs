//! Names that must be gone when the process ends, however it is asked to.

use std::fs::{self, File};
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
    /// A name that nothing has yet, in the directory of `path`. Nothing is made. Whoever makes something under it
    /// holds that by a lock.
    pub fn beside(path: &Path) -> Registered {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let path = path.with_file_name(format!("{}{}-{number}", prefix(path), std::process::id()));
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

/// How temporary names beside `path` begin; a process's number and another one follow.
fn prefix(path: &Path) -> String {
    let stem = path.file_name().unwrap_or_default().to_string_lossy();
    // Cut, so that the longest name has room for what stands around it.
    format!(".{}.unlade-", stem.chars().take(50).collect::<String>())
}

/// Says for as long as the file is open that whoever made it still needs it.
pub(crate) fn hold(file: &File) {
    // Where there are no locks nothing is taken for left over.
    let _ = file.try_lock();
}

/// Removes what earlier builds of the same output left beside it when they were killed: things of this user, under
/// a name as they have it, that no running process holds.
pub(crate) fn remove_leftovers(path: &Path) {
    let directory = crate::publish::directory_of(path);
    // Failing is no news: what cannot be removed harms nothing but the eye.
    let Ok(entries) = fs::read_dir(directory) else { return };
    let prefix = prefix(path);
    for entry in entries.flatten() {
        let name = entry.file_name();
        let numbers = name.to_str().and_then(|name| name.strip_prefix(&prefix)?.split_once('-'));
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if let Some((process, number)) = numbers
            && is_number(process)
            && is_number(number)
            // It is made a moment before it is locked.
            && !host::may_be_running(process)
            && is_free(&entry.path())
        {
            remove(&entry.path());
        }
    }
}

/// Whether something is this user's, and no process holds it.
fn is_free(path: &Path) -> bool {
    let opened = match host::open_regular(path) {
        Ok(None) => host::open_directory(path).ok(),
        opened => opened.ok().flatten(),
    };
    opened.is_some_and(|file| {
        file.metadata().is_ok_and(|found| host::is_mine(&found)) && file.try_lock().is_ok()
    })
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
