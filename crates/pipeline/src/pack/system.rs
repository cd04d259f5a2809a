//! Where programs and libraries are looked for: in an image's tree, or on this machine.

use crate::error::Error;

/// Files by the paths at which kernels and loaders open them. Nothing of it is ever run.
pub(super) trait System {
    /// Names a file, whatever path led to it.
    type File: Copy + Ord;

    /// The regular file at an absolute path, links followed.
    fn find(&mut self, path: &[u8]) -> Result<Option<Found<Self::File>>, Error>;

    /// The first bytes of a file, at most so many.
    fn read(&mut self, file: Self::File, most: u64) -> Result<Vec<u8>, Error>;

    /// Names in the directory at an absolute path, in order; none where there is no directory.
    fn names(&mut self, directory: &[u8]) -> Result<Vec<Box<[u8]>>, Error>;
}

/// A file, and by which names a path led to it.
pub(super) struct Found<F> {
    pub(super) file: F,
    /// Paths of the links that the path's last name led through, and at last of the file, without leading slashes.
    pub(super) names: Vec<Box<[u8]>>,
    /// Whether anybody may run it.
    pub(super) is_executable: bool,
}

/// A path as it is where there are no links: without a leading slash, `.` and `..`.
pub(super) fn without_links(path: &[u8]) -> Vec<u8> {
    let mut names: Vec<&[u8]> = Vec::new();
    for name in path.split(|byte| *byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." => drop(names.pop()),
            _ => names.push(name),
        }
    }
    names.join(&b'/')
}

/// A path as it is for a process that runs in `directory`.
pub(super) fn absolute(directory: &[u8], path: &[u8]) -> Vec<u8> {
    if path.starts_with(b"/") { path.to_vec() } else { [b"/", directory, b"/", path].concat() }
}
