//! Names in blocks.

use tree::{NodeId, Tree};

use crate::BlockSize;
use crate::format::DIRENT_SIZE;

/// A name in a directory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Name<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) node: NodeId,
}

/// All names of a directory, its own and its parent's among them, in the order of their bytes: the kernel
/// searches that way, in a block as among blocks.
pub(crate) fn names(tree: &Tree, directory: NodeId, parent: NodeId) -> Vec<Name<'_>> {
    let entries = tree.entries(directory).into_iter().flatten();
    let mut names: Vec<Name<'_>> = entries.map(|(bytes, &node)| Name { bytes, node }).collect();
    for (bytes, node) in [(&b"."[..], directory), (&b".."[..], parent)] {
        let place = names.partition_point(|name| name.bytes < bytes);
        names.insert(place, Name { bytes, node });
    }
    names
}

/// Takes as many names from the front as a block holds.
pub(crate) fn split<'n, 'a>(names: &'n [Name<'a>], size: BlockSize) -> (&'n [Name<'a>], &'n [Name<'a>]) {
    let mut left = size.bytes() as usize;
    let fits = |name: &&Name<'_>| {
        let needed = DIRENT_SIZE + name.bytes.len();
        let fits = needed <= left;
        left = left.saturating_sub(needed);
        fits
    };
    names.split_at(names.iter().take_while(fits).count())
}

/// Bytes that names take: the last block counts as far as it is in use.
pub(crate) fn length(mut names: &[Name<'_>], size: BlockSize) -> u64 {
    let mut blocks = 0;
    loop {
        let (block, rest) = split(names, size);
        if rest.is_empty() {
            let used: usize = block.iter().map(|name| DIRENT_SIZE + name.bytes.len()).sum();
            return blocks * u64::from(size.bytes()) + used as u64;
        }
        blocks += 1;
        names = rest;
    }
}

#[cfg(test)]
mod tests {
    use tree::{Action, Change, DEPTH_MAX, Kind, Metadata, Notes, Path};

    use super::*;

    #[test]
    fn dots_stand_where_they_sort() {
        let mut tree = Tree::default();
        let put = |name: &str| Change {
            entry: 0,
            path: Path::parse(name.as_bytes(), DEPTH_MAX).unwrap(),
            action: Action::Put(Metadata::implicit(), Kind::Fifo),
        };
        let changes = ["-", ".-", "...", "..a", ".a", "a", "!"].map(put).into();
        tree.apply(0, changes, &mut Notes::default()).unwrap();
        let names = names(&tree, Tree::ROOT, Tree::ROOT);
        let shown: Vec<_> = names.iter().map(|name| str::from_utf8(name.bytes).unwrap()).collect();
        assert_eq!(shown, ["!", "-", ".", ".-", "..", "...", "..a", ".a", "a"]);
        assert_eq!(length(&names, BlockSize::B512), 9 * 12 + 16);
    }

    #[test]
    fn blocks_are_filled_to_the_last_byte() {
        let names = |lengths: &[usize]| -> Vec<Name<'static>> {
            let bytes = &[b'n'; 255];
            lengths.iter().map(|&length| Name { bytes: &bytes[..length], node: Tree::ROOT }).collect()
        };
        for (lengths, length_of_all) in [
            (&[1, 2][..], 27),
            (&[1, 2, 218, 243], 512),
            (&[1, 2, 218, 244], 512 + 256),
            (&[255, 255, 255], 1024 + 267),
        ] {
            assert_eq!(length(&names(lengths), BlockSize::B512), length_of_all, "{lengths:?}");
        }
    }
}
