//! A tree as a tarball: POSIX pax, everything kept, the same bytes for the same tree.
//!
//! Headers are plain ustar wherever that can say it; a pax header stands in front of those that need more:
//! long names, large numbers, times with a fraction or before 1970, extended attributes (`SCHILY.xattr.`, as
//! star, GNU tar and Go spell them), and sparse files (GNU's format 1.0).

mod entry;
mod pax;
pub mod ustar;

use tree::{Content, Kind, Node, NodeId, Output, Piece, Tree, Visit};

use crate::error::Error;
use crate::front::Front;
use crate::tar::BLOCK;
use entry::{Header, Type};

/// Writes the whole tree to `out`, from front to back without a gap, and returns the tarball's length in
/// bytes, a multiple of 512.
///
/// Names stand in the order of [`Tree::walk`], the root first as `./`, directories with a slash behind them.
/// The first name of a node is its entry, the others are hard links to it. Holes that a layer declared are
/// kept; those that were only found are written as zeros.
///
/// # Errors
///
/// `Unsupported` for a socket, which no tarball holds; `Io` for what `out` fails with. Both name the path.
pub fn write(tree: &Tree, out: &mut dyn Output) -> Result<u64, Error> {
    write_from(tree, Tree::ROOT, b".", out)
}

/// Writes the part of a tree that begins at `top`, which the tarball calls `name`; otherwise as [`write()`].
///
/// Of the names of a node those count that lie in this part.
pub fn write_from(tree: &Tree, top: NodeId, name: &[u8], out: &mut dyn Output) -> Result<u64, Error> {
    let mut writing =
        Writing { tree, top: name, first_names: vec![None; tree.table_length()], front: Front::new(out) };
    let mut walk = tree.walk_from(top);
    while let Some(visit) = walk.step() {
        writing.name(&visit).map_err(|error| error.below(visit.path))?;
    }
    // "At the end of the archive file there shall be two 512-octet logical records filled with binary zeros."
    writing.front.zeros(2 * BLOCK as u64)?;
    writing.front.finish()
}

/// A tarball while it is written.
struct Writing<'a> {
    tree: &'a Tree,
    /// What the place is called at which it begins.
    top: &'a [u8],
    /// By node, what the tarball calls it; of those with several names.
    first_names: Vec<Option<Box<[u8]>>>,
    front: Front<'a>,
}

impl Writing<'_> {
    /// Writes one name of a node.
    fn name(&mut self, visit: &Visit<'_>) -> Result<(), Error> {
        let tree = self.tree;
        let Node { metadata, kind, names } = tree.node(visit.node);
        let path = match (self.top, visit.path) {
            (top, b"") => top.to_vec(),
            (b".", path) => path.to_vec(),
            (top, path) => [top, b"/", path].concat(),
        };
        let front = &mut self.front;
        let first_name = &mut self.first_names[visit.node.index()];
        if let Some(target) = first_name {
            return front.bytes(&Header::new(Type::Link, &path, metadata).link(target).bytes());
        }
        if *names > 1 {
            *first_name = Some(path.as_slice().into());
        }
        let header = |kind, name: &[u8]| Header::new(kind, name, metadata);
        match kind {
            Kind::Directory(_) => front.bytes(&header(Type::Directory, &[&path[..], b"/"].concat()).bytes()),
            Kind::Symlink(text) => front.bytes(&header(Type::Symlink, &path).link(text).bytes()),
            Kind::CharDevice(device) => front.bytes(&header(Type::CharDevice, &path).device(*device).bytes()),
            Kind::BlockDevice(device) => {
                front.bytes(&header(Type::BlockDevice, &path).device(*device).bytes())
            }
            Kind::Fifo => front.bytes(&header(Type::Fifo, &path).bytes()),
            Kind::Socket => Err(Error::unsupported("socket, which a tarball cannot hold")),
            Kind::File(Content::Pieces { size, declared: true, pieces }) => {
                sparse_file(header(Type::File, &path), *size, pieces, front)
            }
            Kind::File(content) => {
                front.bytes(&header(Type::File, &path).size(content.size()).bytes())?;
                front.content(content)?;
                front.pad(BLOCK as u64)
            }
        }
    }
}

/// Writes a sparse file: its map in front, then its data one piece behind the other.
fn sparse_file(header: Header, size: u64, pieces: &[Piece], front: &mut Front) -> Result<(), Error> {
    let map = sparse_map(size, pieces);
    let data: u64 = pieces.iter().map(|piece| piece.span.length).sum();
    front.bytes(&header.size(map.len() as u64 + data).sparse(size).bytes())?;
    front.bytes(&map)?;
    for piece in pieces {
        front.copy(piece.span)?;
    }
    front.pad(BLOCK as u64)
}

/// The count of the pairs, then offset and length of each, as decimal numbers on lines of their own, filled up
/// to whole blocks. A hole at the end shows as an empty run behind it.
fn sparse_map(size: u64, pieces: &[Piece]) -> Vec<u8> {
    let mut runs: Vec<(u64, u64)> = pieces.iter().map(|piece| (piece.at, piece.span.length)).collect();
    if runs.last().is_none_or(|(at, length)| at + length < size) {
        runs.push((size, 0));
    }
    let mut map = format!("{}\n", runs.len());
    for (at, length) in runs {
        map.push_str(&format!("{at}\n{length}\n"));
    }
    let mut map = map.into_bytes();
    map.resize(map.len().next_multiple_of(BLOCK), 0);
    map
}
