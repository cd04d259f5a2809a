//! A tree as text, one name a line: for tests, for goldens, for eyes.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use crate::{Kind, NodeId, Tree, escape};

/// Shows a tree, one line a name in the order of a walk:
///
/// ```text
/// MODE UID:GID SIZE MTIME PATH [-> TEXT | = FIRST NAME | MAJOR,MINOR] [NAME=HEX…]
/// ```
///
/// The mode is as `ls` writes it; the size stands for regular files, `-` for the rest; a second name of a
/// node shows `=` and the first.
pub struct Dump<'a>(pub &'a Tree);

impl fmt::Display for Dump<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first_names: BTreeMap<NodeId, Box<[u8]>> = BTreeMap::new();
        let mut walk = self.0.walk();
        let mut line = String::new();
        while let Some(visit) = walk.step() {
            let node = self.0.node(visit.node);
            let meta = &node.metadata;
            line.clear();
            write!(line, "{} {}:{} ", mode_string(&node.kind, meta.mode), meta.uid, meta.gid)?;
            match &node.kind {
                Kind::File(content) => write!(line, "{}", content.size())?,
                _ => line.push('-'),
            }
            write!(line, " {}", meta.mtime.seconds)?;
            if meta.mtime.nanoseconds != 0 {
                write!(line, ".{:09}", meta.mtime.nanoseconds)?;
            }
            write!(line, " /{}", escape(visit.path))?;
            let first = first_names.get(&visit.node);
            match (&node.kind, first) {
                (_, Some(first)) => write!(line, " = /{}", escape(first))?,
                (Kind::Symlink(text), None) => write!(line, " -> {}", escape(text))?,
                (Kind::CharDevice(device) | Kind::BlockDevice(device), None) => {
                    write!(line, " {},{}", device.major, device.minor)?;
                }
                _ => {}
            }
            for (name, value) in meta.xattrs() {
                write!(line, " {}=", escape(name))?;
                value.iter().try_for_each(|byte| write!(line, "{byte:02x}"))?;
            }
            if node.names > 1 && first.is_none() {
                first_names.insert(visit.node, visit.path.into());
            }
            writeln!(f, "{line}")?;
        }
        Ok(())
    }
}

/// A node's type and mode as `ls` writes them: `drwxr-xr-x`.
pub fn mode_string(kind: &Kind, mode: u16) -> String {
    let mut text = String::with_capacity(10);
    text.push(match kind {
        Kind::Directory(_) => 'd',
        Kind::File(_) => '-',
        Kind::Symlink(_) => 'l',
        Kind::CharDevice(_) => 'c',
        Kind::BlockDevice(_) => 'b',
        Kind::Fifo => 'p',
        Kind::Socket => 's',
    });
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = mode >> shift & 7;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (mode & special != 0, bits & 1 != 0) {
            (true, true) => letter,
            (true, false) => letter.to_ascii_uppercase(),
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}
