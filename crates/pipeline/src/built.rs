//! What a build says of itself.

use std::sync::Arc;

use hash::Digest;
use tree::{Kind, Notes, Tree};

use crate::directory::Unkept;
use crate::tarballs::Published;

/// What was built.
#[derive(Debug, Clone)]
pub struct Built {
    /// The image.
    pub manifest: Digest,
    /// How many layers it has.
    pub layers: usize,
    /// How many names the rootfs has.
    pub names: u64,
    /// Bytes of its files, each counted once, holes left out.
    pub content_bytes: u64,
    /// Bytes of the output, holes included; 0 for a directory.
    pub output_bytes: u64,
    /// Bytes that waited in the scratch directory.
    pub scratch_bytes: u64,
    /// What a filesystem has beside its files; `None` for the other formats.
    pub filesystem: Option<Filesystem>,
    /// What a directory of the host could not hold.
    pub unkept: Unkept,
    /// Why it could not be left in the store for the next build, if it was to be and could not.
    pub not_remembered: Option<Arc<store::Error>>,
    /// What was noticed.
    pub notes: Notes,
}

/// What a filesystem has.
#[derive(Debug, Clone)]
pub struct Filesystem {
    /// Its UUID.
    pub uuid: [u8; 16],
    /// Its bytes, without what is around it.
    pub size: u64,
    /// Bytes of a block.
    pub block_size: u32,
    /// Blocks that are free.
    pub free_blocks: u64,
    /// Inodes in all.
    pub inodes: u64,
    /// Inodes that are free.
    pub free_inodes: u64,
    /// The oldest Linux that reads it, where that depends on what is in it: an EROFS filesystem.
    pub needs_kernel: Option<erofs::Kernel>,
    /// The tarballs that contents of an index stay in, as a kernel must be told of them.
    pub devices: Vec<Published>,
}

/// Counts the names below the root and the bytes of contents.
pub(crate) fn measure(tree: &Tree) -> (u64, u64) {
    let (mut names, mut bytes) = (0, 0);
    let mut seen = vec![false; tree.table_length()];
    let mut walk = tree.walk();
    walk.step();
    while let Some(visit) = walk.step() {
        names += 1;
        let known = std::mem::replace(&mut seen[visit.node.index()], true);
        if let (Kind::File(content), false) = (&tree.node(visit.node).kind, known) {
            bytes += content.data_length();
        }
    }
    (names, bytes)
}
