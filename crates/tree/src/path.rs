//! Names and paths: bytes, canonical, always relative to the root of the tree.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

/// The longest name that Linux and every output format hold, in bytes.
pub const COMPONENT_MAX: usize = 255;

/// How many components a path may have unless the caller raises it: far above any real image, low enough
/// that a walk's stack of ancestors stays small.
pub const DEPTH_MAX: usize = 16_384;

/// A path inside the tree: components joined by one `/`, without a leading or trailing one, none of them
/// empty, `.` or `..`. The empty path is the root.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
pub struct Path(#[serde(with = "serde_bytes")] Box<[u8]>);

/// Why bytes are not a [`Path`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// `..` stands first or leads above the root.
    #[error("path escapes the root")]
    Escapes,
    /// `..` stands behind another name, so that what it means depends on links.
    #[error("path is not canonical: it has `..` in it")]
    NotCanonical,
    /// The name is empty.
    #[error("empty name")]
    Empty,
    /// A NUL byte, which no system call takes.
    #[error("name has a NUL byte in it")]
    Nul,
    /// A component longer than [`COMPONENT_MAX`].
    #[error("name of {length} bytes is longer than {COMPONENT_MAX}")]
    ComponentTooLong {
        /// Length of the component in bytes.
        length: usize,
    },
    /// More components than the limit.
    #[error("path is {depth} deep, more than the limit of {limit}")]
    TooDeep {
        /// Number of components.
        depth: usize,
        /// The limit in force.
        limit: usize,
    },
}

impl Path {
    /// The root of the tree.
    pub fn root() -> Path {
        Path::default()
    }

    /// Parses a name as a tar header gives it: a leading `/`, `.` components and doubled or trailing
    /// slashes mean nothing; `..` is refused, since what it means would depend on links below.
    ///
    /// `depth_max` is usually [`DEPTH_MAX`].
    pub fn parse(name: &[u8], depth_max: usize) -> Result<Path, PathError> {
        if name.is_empty() {
            return Err(PathError::Empty);
        }
        if name.contains(&0) {
            return Err(PathError::Nul);
        }
        let mut bytes = Vec::with_capacity(name.len());
        let mut depth = 0;
        for component in name.split(|&b| b == b'/') {
            match component {
                b"" | b"." => continue,
                b".." if depth == 0 => return Err(PathError::Escapes),
                b".." => {
                    return Err(if escapes(name) { PathError::Escapes } else { PathError::NotCanonical });
                }
                _ if component.len() > COMPONENT_MAX => {
                    return Err(PathError::ComponentTooLong { length: component.len() });
                }
                _ => {}
            }
            if depth > 0 {
                bytes.push(b'/');
            }
            bytes.extend_from_slice(component);
            depth += 1;
        }
        if depth > depth_max {
            return Err(PathError::TooDeep { depth, limit: depth_max });
        }
        Ok(Path(bytes.into()))
    }

    /// The bytes, without a leading slash; empty for the root.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The components, from the root down.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|&b| b == b'/').filter(|c| !c.is_empty())
    }

    /// The parent's path and the last name; `None` for the root.
    pub fn split(&self) -> Option<(Path, &[u8])> {
        if self.is_root() {
            return None;
        }
        Some(match self.0.iter().rposition(|&b| b == b'/') {
            Some(slash) => (Path(self.0[..slash].into()), &self.0[slash + 1..]),
            None => (Path::root(), &self.0),
        })
    }

    /// The first `count` components.
    pub(crate) fn start(&self, count: usize) -> Path {
        let slashes = self.0.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        match count.checked_sub(1) {
            Some(before) => slashes.skip(before).chain([self.0.len()]).next(),
            None => Some(0),
        }
        .map_or_else(Path::root, |end| Path(self.0[..end].into()))
    }

    /// This path with one more name behind it. `name` must be one valid component.
    pub fn join(&self, name: &[u8]) -> Path {
        debug_assert!(!name.is_empty() && !name.contains(&b'/') && name != b"." && name != b"..");
        let mut bytes = Vec::with_capacity(self.0.len() + 1 + name.len());
        bytes.extend_from_slice(&self.0);
        if !bytes.is_empty() {
            bytes.push(b'/');
        }
        bytes.extend_from_slice(name);
        Path(bytes.into())
    }
}

impl<'de> Deserialize<'de> for Path {
    /// Takes bytes that [`Path::as_bytes`] gave; any other spelling is refused.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Path, D::Error> {
        let bytes: Box<[u8]> = serde_bytes::deserialize(deserializer)?;
        if bytes.is_empty() {
            return Ok(Path::root());
        }
        let path = Path::parse(&bytes, usize::MAX).map_err(D::Error::custom)?;
        if path.0 == bytes { Ok(path) } else { Err(D::Error::custom(PathError::NotCanonical)) }
    }
}

/// Whether the `..`s of a name lead above where it started.
fn escapes(name: &[u8]) -> bool {
    let mut depth = 0usize;
    for component in name.split(|&b| b == b'/') {
        match component {
            b"" | b"." => {}
            b".." if depth == 0 => return true,
            b".." => depth -= 1,
            _ => depth += 1,
        }
    }
    false
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() { f.write_str("/") } else { escape(&self.0).fmt(f) }
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// Shows bytes so that a terminal or a log is safe from them, and so that they can be read back:
/// printable text stays; a backslash is doubled; `\n`, `\r`, `\t`, and `\xNN` stand for the rest.
pub fn escape(bytes: &[u8]) -> Escaped<'_> {
    Escaped(bytes)
}

/// What [`escape`] returns: shows itself escaped.
pub struct Escaped<'a>(&'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    '\\' => f.write_str("\\\\")?,
                    '\n' => f.write_str("\\n")?,
                    '\r' => f.write_str("\\r")?,
                    '\t' => f.write_str("\\t")?,
                    c if unprintable(c) => {
                        let mut utf8 = [0; 4];
                        for b in c.encode_utf8(&mut utf8).bytes() {
                            write!(f, "\\x{b:02x}")?;
                        }
                    }
                    c => fmt::Write::write_char(f, c)?,
                }
            }
            for b in chunk.invalid() {
                write!(f, "\\x{b:02x}")?;
            }
        }
        Ok(())
    }
}

/// Control characters, and the invisible ones that reorder or hide what stands beside them.
fn unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(name: &[u8]) -> Result<String, PathError> {
        Path::parse(name, 4).map(|path| path.to_string())
    }

    #[test]
    fn names_become_canonical() {
        for (name, canonical) in [
            ("/abs", "abs"),
            ("./", "/"),
            (".", "/"),
            ("./a", "a"),
            ("a//b", "a/b"),
            ("a/./b/", "a/b"),
            ("/", "/"),
        ] {
            assert_eq!(parsed(name.as_bytes()).as_deref(), Ok(canonical), "{name}");
        }
    }

    #[test]
    fn names_that_are_refused() {
        let long = [b'x'; 256];
        for (name, error) in [
            (&b"../x"[..], PathError::Escapes),
            (b"a/../../x", PathError::Escapes),
            (b"a/../b", PathError::NotCanonical),
            (b"", PathError::Empty),
            (b"a\0b", PathError::Nul),
            (&long, PathError::ComponentTooLong { length: 256 }),
            (b"1/2/3/4/5", PathError::TooDeep { depth: 5, limit: 4 }),
        ] {
            assert_eq!(parsed(name), Err(error), "{}", escape(name));
        }
        assert!(parsed(&long[..255]).is_ok());
    }

    #[test]
    fn escaping_is_safe_and_reversible() {
        for (bytes, shown) in [
            (&b"plain name"[..], "plain name"),
            ("gr\u{fc}n".as_bytes(), "gr\u{fc}n"),
            (b"a\\b", "a\\\\b"),
            (b"\x1b[31m", "\\x1b[31m"),
            (b"\xff\xfe", "\\xff\\xfe"),
            ("\u{202e}x".as_bytes(), "\\xe2\\x80\\xaex"),
            ("\u{9b}".as_bytes(), "\\xc2\\x9b"),
            (b"\n\t\r", "\\n\\t\\r"),
        ] {
            assert_eq!(escape(bytes).to_string(), shown);
        }
    }

    #[test]
    fn parents_and_names() {
        let path = Path::parse(b"a/b/c", DEPTH_MAX).unwrap();
        let (parent, name) = path.split().unwrap();
        assert_eq!((parent.to_string().as_str(), name), ("a/b", &b"c"[..]));
        assert_eq!(parent.join(name), path);
        assert!(Path::root().split().is_none());
        let starts: Vec<String> = (0..5).map(|count| path.start(count).to_string()).collect();
        assert_eq!(starts, ["/", "a", "a/b", "a/b/c", "a/b/c"]);
    }
}
