//! Writing the text.

use std::collections::BTreeMap;
use std::fmt;

use tree::{Content, Kind, NodeId};

use super::escape::{Field, write};
use crate::composefs::objects::{Files, Object};
use crate::format::{S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, S_IFSOCK};

/// Shows a tree as text, in the one form that it has.
pub struct Text<'a>(pub &'a Files);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tree = &self.0.tree;
        let mut first_names: BTreeMap<NodeId, Box<[u8]>> = BTreeMap::new();
        let mut walk = tree.walk();
        let mut line = String::new();
        while let Some(visit) = walk.step() {
            line.clear();
            write(&mut line, &absolute(visit.path), Field::Optional)?;
            match first_names.get(&visit.node) {
                Some(first) => {
                    line.push_str(" 0 @120000 - - - - 0.0 ");
                    write(&mut line, &absolute(first), Field::Optional)?;
                    line.push_str(" - -");
                }
                None => self.node(&mut line, visit.node)?,
            }
            if tree.node(visit.node).names > 1 {
                first_names.entry(visit.node).or_insert_with(|| visit.path.into());
            }
            writeln!(f, "{line}")?;
        }
        Ok(())
    }
}

fn absolute(path: &[u8]) -> Vec<u8> {
    [b"/", path].concat()
}

impl Text<'_> {
    /// What stands behind the path.
    fn node(&self, line: &mut String, id: NodeId) -> fmt::Result {
        use fmt::Write;
        let tree = &self.0.tree;
        let node = tree.node(id);
        let meta = &node.metadata;
        let object = self.0.objects.get(id);
        let (file_type, size, rdev) = match &node.kind {
            Kind::Directory(_) => (S_IFDIR, 0, 0),
            Kind::File(content) => (S_IFREG, content.size(), 0),
            Kind::Symlink(text) => (S_IFLNK, text.len() as u64, 0),
            Kind::CharDevice(device) => (S_IFCHR, 0, device.joined()),
            Kind::BlockDevice(device) => (S_IFBLK, 0, device.joined()),
            Kind::Fifo => (S_IFIFO, 0, 0),
            Kind::Socket => (S_IFSOCK, 0, 0),
        };
        let links = match tree.entries(id) {
            Some(entries) => {
                2 + entries.values().filter(|entry| tree.entries(**entry).is_some()).count() as u32
            }
            None => node.names,
        };
        let (mode, time) = (file_type | meta.mode, meta.mtime);
        write!(line, " {size} {mode:o} {links} {} {} {rdev}", meta.uid, meta.gid)?;
        // The nanoseconds are a number of their own, not a fraction.
        write!(line, " {}.{} ", time.seconds, time.nanoseconds)?;
        let (path, digest) = match object {
            Some(Object { digest, enforced }) => {
                (Object::path(&digest).into_bytes(), if enforced { digest.hex() } else { "-".into() })
            }
            None => (Vec::new(), "-".into()),
        };
        let (payload, content): (&[u8], &[u8]) = match &node.kind {
            Kind::Symlink(text) => (text, b""),
            Kind::File(Content::Inline(bytes)) => (b"", bytes),
            _ => (&path, b""),
        };
        write(line, payload, Field::Optional)?;
        line.push(' ');
        write(line, content, Field::Optional)?;
        line.push(' ');
        line.push_str(&digest);
        for (name, value) in meta.xattrs() {
            line.push(' ');
            write(line, name, Field::Attribute)?;
            line.push('=');
            write(line, value, Field::Attribute)?;
        }
        Ok(())
    }
}
