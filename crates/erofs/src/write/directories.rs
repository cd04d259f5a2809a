//! Directories: blocks of names.

use tree::{Kind, Tree};
use zerocopy::IntoBytes;

use crate::format::{DIRENT_SIZE, Dirent};
use crate::plan::directories::{Name, names, split};
use crate::plan::survey::Inode;
use crate::write::Sink;
use crate::{Error, Layout};

/// Writes the blocks of all directories, without what lies behind their inodes.
pub(crate) fn write_blocks(layout: &Layout, tree: &Tree, sink: &mut Sink<'_>) -> Result<(), Error> {
    let size = layout.options.block_size;
    for inode in &layout.survey.inodes {
        if !matches!(tree.node(inode.node).kind, Kind::Directory(_)) {
            continue;
        }
        let all = names(tree, inode.node, inode.parent);
        let mut rest = all.as_slice();
        for block in inode.start..inode.start + inode.blocks(size) {
            let (here, further) = split(rest, size);
            let mut bytes = encode(layout, tree, here);
            bytes.resize(size.bytes() as usize, 0);
            sink.put(block * u64::from(size.bytes()), &bytes)?;
            rest = further;
        }
    }
    Ok(())
}

/// The names that lie behind a directory's inode.
pub(crate) fn tail(layout: &Layout, tree: &Tree, inode: &Inode) -> Vec<u8> {
    let all = names(tree, inode.node, inode.parent);
    let mut rest = all.as_slice();
    for _ in 0..inode.blocks(layout.options.block_size) {
        rest = split(rest, layout.options.block_size).1;
    }
    encode(layout, tree, rest)
}

/// Fixed parts first, then the names, of which each ends where the next one starts.
fn encode(layout: &Layout, tree: &Tree, names: &[Name<'_>]) -> Vec<u8> {
    let mut nameoff = names.len() * DIRENT_SIZE;
    let mut bytes = Vec::with_capacity(layout.block_size() as usize);
    for name in names {
        let file_type = file_type(&tree.node(name.node).kind);
        let nid = layout.survey.inode(name.node).nid.into();
        bytes.extend(Dirent { nid, nameoff: (nameoff as u16).into(), file_type, reserved: 0 }.as_bytes());
        nameoff += name.bytes.len();
    }
    for name in names {
        bytes.extend(name.bytes);
    }
    bytes
}

/// `FT_*` of `include/linux/fs_types.h`.
fn file_type(kind: &Kind) -> u8 {
    match kind {
        Kind::File(_) => 1,
        Kind::Directory(_) => 2,
        Kind::CharDevice(_) => 3,
        Kind::BlockDevice(_) => 4,
        Kind::Fifo => 5,
        Kind::Socket => 6,
        Kind::Symlink(_) => 7,
    }
}
