//! musl's path file, `/etc/ld-musl-$ARCH.path`, and where a loader looks for it.

use super::expand::directories;

/// The directories of a loader that finds no path file.
pub const DEFAULT: [&[u8]; 3] = [b"/lib", b"/usr/local/lib", b"/usr/lib"];

/// Whether a program with this interpreter is loaded by musl: `/lib/ld-musl-x86_64.so.1`.
pub fn is_musl(interpreter: &[u8]) -> bool {
    name(interpreter).starts_with(b"ld-musl-")
}

/// Where the loader at this path looks for its directories: in `etc` beside its own directory.
pub fn path_file(interpreter: &[u8]) -> Option<Box<[u8]>> {
    let architecture = name(interpreter).strip_prefix(b"ld-musl-")?.split(|byte| *byte == b'.').next()?;
    let directory = &interpreter[..interpreter.len() - name(interpreter).len()];
    let directory = &directory[..directory.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1)];
    let prefix = &directory[..directory.iter().rposition(|byte| *byte == b'/').unwrap_or(0)];
    Some([prefix, b"/etc/ld-musl-", architecture, b".path"].concat().into())
}

/// The directories that a path file names, separated by colons or ends of lines. An empty file names none.
pub fn parse(text: &[u8]) -> Vec<Box<[u8]>> {
    directories(text).map(Box::from).collect()
}

/// Whether the loader is this library itself, and looks for no file: `libc.so`, and what other systems split off it.
pub(super) fn is_loader(library: &[u8]) -> bool {
    const RESERVED: [&[u8]; 7] = [b"c", b"pthread", b"rt", b"m", b"dl", b"util", b"xnet"];
    let Some(rest) = library.strip_prefix(b"lib") else { return false };
    let Some(dot) = rest.iter().position(|byte| *byte == b'.') else { return false };
    RESERVED.contains(&&rest[..dot])
}

fn name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
}
