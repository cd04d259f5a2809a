//! Another program's eyes: what `ext4-view` reads is what the tree says. `fuzz` looks through them, too.

use std::collections::BTreeSet;

use ext4_view::{Ext4, PathBuf};
use tree::{Kind, Tree};

use super::contents::bytes_in;

fn clamped(seconds: i64) -> i64 {
    seconds.clamp(-(1 << 31), (3 << 32) - (1 << 31) - 1)
}

/// Looks up every name of the tree, and that there is no other.
pub(crate) fn compare(tree: &Tree, ext4: &Ext4) {
    let mut walk = tree.walk();
    while let Some(visit) = walk.step() {
        let path = PathBuf::try_from([b"/", visit.path].concat()).unwrap();
        let node = tree.node(visit.node);
        let found = ext4.symlink_metadata(&path).unwrap();
        assert_eq!(found.mode(), node.metadata.mode, "{path:?}");
        assert_eq!((found.uid(), found.gid()), (node.metadata.uid, node.metadata.gid), "{path:?}");
        assert_eq!(found.modified().seconds(), clamped(node.metadata.mtime.seconds), "{path:?}");
        let in_range = clamped(node.metadata.mtime.seconds) == node.metadata.mtime.seconds;
        assert!(!in_range || found.modified().nanoseconds() == node.metadata.mtime.nanoseconds);
        match &node.kind {
            Kind::Directory(entries) => {
                let mut expected: BTreeSet<&[u8]> = entries.keys().map(|name| &**name).collect();
                expected.extend([&b"."[..], b".."]);
                if visit.path.is_empty() {
                    expected.insert(b"lost+found");
                }
                let listed: Vec<_> = ext4.read_dir(&path).unwrap().map(Result::unwrap).collect();
                assert_eq!(listed.len(), expected.len(), "{path:?}");
                for entry in &listed {
                    assert!(expected.contains(entry.file_name().as_ref()), "{path:?}");
                }
            }
            Kind::File(content) => {
                assert_eq!(found.len(), content.size());
                assert!(ext4.read(&path).unwrap() == bytes_in(content), "{path:?}");
            }
            Kind::Symlink(text) => {
                // The reader has no words for every text that Linux takes.
                if let Ok(link) = ext4.read_link(&path) {
                    assert_eq!(link.as_ref(), &**text);
                }
            }
            Kind::CharDevice(_) => assert!(found.file_type().is_char_dev()),
            Kind::BlockDevice(_) => assert!(found.file_type().is_block_dev()),
            Kind::Fifo => assert!(found.file_type().is_fifo()),
            Kind::Socket => assert!(found.file_type().is_socket()),
        }
    }
}
