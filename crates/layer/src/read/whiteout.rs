//! Names that mean something in a layer.
//!
//! image-spec `layer.md`: "A whiteout file is an empty file with a special filename that signifies a path
//! should be deleted. A whiteout filename consists of the prefix `.wh.` plus the basename of the path to be
//! deleted." An opaque whiteout, `.wh..wh..opq`, hides all siblings in lower layers.

use tree::Path;

use crate::error::Error;

const PREFIX: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// What aufs keeps in a branch: hard links' inodes, its root marker, orphans.
const AUFS: [&[u8]; 3] = [b".wh..wh.plnk", b".wh..wh.aufs", b".wh..wh.orph"];

/// What eStargz puts at the root of a layer so that it can be pulled lazily.
const LAZY_PULL: [&[u8]; 3] = [b"stargz.index.json", b".prefetch.landmark", b".no.prefetch.landmark"];

/// What an entry of this path is about.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The thing itself.
    Node(Path),
    /// What lower layers have at the path goes.
    Remove(Path),
    /// What lower layers have in the directory goes.
    Clear(Path),
    /// Bookkeeping of aufs.
    Aufs,
    /// Bookkeeping of lazy pulling.
    LazyPull(Path),
}

/// Tells what an entry's name means. A prefix in a directory's name means nothing: the specification speaks of
/// file names, and tools agree.
pub(super) fn meaning(path: Path) -> Result<Meaning, Error> {
    let bytes = path.as_bytes();
    let name = bytes.rsplit(|&b| b == b'/').next().unwrap_or_default();
    if !bytes.starts_with(b".wh.") && !bytes.windows(5).any(|window| window == b"/.wh.") {
        return Ok(if LAZY_PULL.contains(&bytes) { Meaning::LazyPull(path) } else { Meaning::Node(path) });
    }
    if path.components().any(|component| AUFS.contains(&component)) {
        return Ok(Meaning::Aufs);
    }
    let (Some(hidden), Some((parent, _))) = (name.strip_prefix(PREFIX), path.split()) else {
        return Ok(Meaning::Node(path));
    };
    match hidden {
        _ if name == OPAQUE => Ok(Meaning::Clear(parent)),
        b"" | b"." | b".." => Err(Error::invalid("invalid whiteout: it names no file")),
        _ => Ok(Meaning::Remove(parent.join(hidden))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let path = |name: &str| {
            if name.is_empty() { Path::root() } else { Path::parse(name.as_bytes(), 9).unwrap() }
        };
        for (name, expected) in [
            ("a/b", Meaning::Node(path("a/b"))),
            (".", Meaning::Node(Path::root())),
            (".wh.f", Meaning::Remove(path("f"))),
            ("a/.wh.f", Meaning::Remove(path("a/f"))),
            // 18: the marker, at the root and below.
            (".wh..wh..opq", Meaning::Clear(Path::root())),
            ("a/.wh..wh..opq", Meaning::Clear(path("a"))),
            // 24: aufs, with what lies inside of its directories.
            (".wh..wh.plnk", Meaning::Aufs),
            (".wh..wh.plnk/12.34", Meaning::Aufs),
            ("a/.wh..wh.orph", Meaning::Aufs),
            (".wh..wh.aufs", Meaning::Aufs),
            // 25: whiteouts of names that look like whiteouts.
            (".wh..wh.", Meaning::Remove(path(".wh."))),
            (".wh..wh.x", Meaning::Remove(path(".wh.x"))),
            (".wh..wh..opqx", Meaning::Remove(path(".wh..opqx"))),
            (".wh....", Meaning::Remove(path("..."))),
            // 26: a prefix in a directory's name.
            (".wh.a/b", Meaning::Node(path(".wh.a/b"))),
            (".wh../b", Meaning::Node(path(".wh../b"))),
            ("x.wh.a", Meaning::Node(path("x.wh.a"))),
            // 84: only at the root.
            ("stargz.index.json", Meaning::LazyPull(path("stargz.index.json"))),
            ("a/stargz.index.json", Meaning::Node(path("a/stargz.index.json"))),
        ] {
            assert_eq!(meaning(path(name)).unwrap(), expected, "{name}");
        }
        // 17: these would name the directory itself, or the one above.
        for name in [".wh.", ".wh..", ".wh...", "a/.wh.", "a/.wh..", "a/.wh..."] {
            assert!(matches!(meaning(path(name)), Err(Error::Invalid { .. })), "{name}");
        }
    }
}
