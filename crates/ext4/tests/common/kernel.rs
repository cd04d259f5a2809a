//! The kernel as a reader.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use tree::{Kind, Time, Tree};

use super::{Image, bytes_in, run, text};

/// A mounted filesystem, until it is dropped.
pub(crate) struct Mounted<'a> {
    image: &'a Image,
    pub(crate) at: PathBuf,
}

/// Mounts a filesystem; `None` if this process may not.
pub(crate) fn mount<'a>(image: &'a Image, options: &str) -> Option<Mounted<'a>> {
    if !rustix::process::geteuid().is_root() {
        assert!(std::env::var_os("CI").is_none(), "only root can mount");
        eprintln!("SKIPPED: only root can mount");
        return None;
    }
    let at = image.directory.path().join("mounted");
    fs::create_dir_all(&at).unwrap();
    let ran = run("mount", &["-o", &format!("loop,{options}"), image.name(), at.to_str().unwrap()])?;
    assert!(ran.status.success(), "{}", text(&ran));
    Some(Mounted { image, at })
}

impl Mounted<'_> {
    pub(crate) fn unmount_and_check(self) {
        let image = self.image;
        drop(self);
        image.check_after_use();
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        run("umount", &[self.at.to_str().unwrap()]);
    }
}

/// Compares what the kernel shows with the tree; returns the number of names.
pub(crate) fn compare(tree: &Tree, root: &Path) -> usize {
    let mut walk = tree.walk();
    let mut first_names = vec![None; tree.table_length()];
    let mut names = 0;
    while let Some(visit) = walk.step() {
        names += 1;
        let path = root.join(std::ffi::OsStr::from_bytes(visit.path));
        let node = tree.node(visit.node);
        let stat = fs::symlink_metadata(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        let kind = stat.file_type();
        assert_eq!(stat.mode() & 0o7777, u32::from(node.metadata.mode), "{path:?}");
        assert_eq!((stat.uid(), stat.gid()), (node.metadata.uid, node.metadata.gid), "{path:?}");
        let shown = Time { seconds: stat.mtime(), nanoseconds: stat.mtime_nsec() as u32 };
        let mtime = node.metadata.mtime;
        if (-(1 << 31)..(3 << 32) - (1 << 31)).contains(&mtime.seconds) {
            assert_eq!(shown, mtime, "{path:?}");
        }
        let inode = *first_names[visit.node.index()].get_or_insert(stat.ino());
        assert_eq!(inode, stat.ino(), "{path:?}");
        match &node.kind {
            Kind::Directory(entries) => {
                let own = usize::from(visit.path.is_empty() && !entries.contains_key(&b"lost+found"[..]));
                let listed = fs::read_dir(&path).unwrap().count();
                assert_eq!(listed, entries.len() + own, "{path:?}");
                let subdirectories =
                    entries.values().filter(|node| tree.entries(**node).is_some()).count() + own;
                let links = if subdirectories > 64_998 { 1 } else { subdirectories + 2 };
                assert_eq!(stat.nlink() as usize, links, "{path:?}");
            }
            Kind::File(content) => {
                assert_eq!(stat.size(), content.size(), "{path:?}");
                assert_eq!(stat.nlink(), node.names.into(), "{path:?}");
                if content.size() < 1 << 28 {
                    assert!(fs::read(&path).unwrap() == bytes_in(content), "{path:?}");
                }
            }
            Kind::Symlink(link) => assert_eq!(fs::read_link(&path).unwrap().as_os_str().as_bytes(), &**link),
            Kind::CharDevice(device) | Kind::BlockDevice(device) => {
                assert_eq!(kind.is_block_device(), matches!(node.kind, Kind::BlockDevice(_)));
                let (major, minor) = (rustix::fs::major(stat.rdev()), rustix::fs::minor(stat.rdev()));
                assert_eq!((major, minor), (device.major, device.minor), "{path:?}");
            }
            Kind::Fifo => assert!(kind.is_fifo()),
            Kind::Socket => assert!(kind.is_socket()),
        }
        let mut list = vec![0u8; 65_536];
        let length = rustix::fs::llistxattr(&path, &mut list[..]).unwrap();
        let mut listed: Vec<&[u8]> =
            list[..length].split(|&b| b == 0).filter(|name| !name.is_empty()).collect();
        listed.sort_unstable();
        let known = || node.metadata.xattrs().filter(|(name, _)| !name.starts_with(b"unknown."));
        assert_eq!(listed, known().map(|(name, _)| name).collect::<Vec<_>>(), "{path:?}");
        for (name, value) in known() {
            // The kernel gives a file capability only if it makes sense, and no user attribute of a link or
            // device, whatever the filesystem holds (`xattr_permission`).
            let plain = matches!(node.kind, Kind::File(_) | Kind::Directory(_));
            if name == b"security.capability" && !value.starts_with(&[1, 0, 0, 2])
                || name.starts_with(b"user.") && !plain
            {
                continue;
            }
            let mut bytes = vec![0u8; 65_536];
            let length = rustix::fs::lgetxattr(&path, name, &mut bytes[..]).unwrap();
            assert!(&bytes[..length] == value, "{path:?} {}", tree::escape(name));
        }
    }
    names
}
