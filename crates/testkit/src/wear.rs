//! What a guest does to its root over the years, done in a minute: fill it, grow it.
//!
//! Each takes an ext4 file that it may change, and root, and ends with e2fsck.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use crate::boot;
use crate::judge::{Mount, e2fsck};
use crate::listing;
use crate::tools::{command, run};

/// Fills the file system to its last block and its last inode, then empties it of that again. What the
/// image brought must still be there.
pub fn fill(rootfs: &Path) -> io::Result<()> {
    let before = listing::list(Mount::read_only(rootfs)?.root())?;
    let mount = Mount::new(rootfs, "rw")?;
    let place = mount.root().join("fill");
    fs::create_dir(&place)?;
    let blocks = until_full(|| write_to_the_end(&place.join("blocks")))?;
    let inodes = (0..).find_map(|number| File::create(place.join(number.to_string())).err());
    if !inodes.as_ref().is_some_and(is_full) {
        return Err(inodes.unwrap_or_else(|| io::Error::other("inodes without end")));
    }
    drop(mount);
    e2fsck(rootfs)?;
    if blocks == 0 {
        return Err(io::Error::other("not one block was free"));
    }

    let mount = Mount::new(rootfs, "rw")?;
    fs::remove_dir_all(mount.root().join("fill"))?;
    drop(mount);
    e2fsck(rootfs)?;
    unchanged(&before, rootfs)
}

/// How a file system is grown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Growth {
    /// While a guest uses it. It takes a guest because machines exist whose root may not do this.
    Mounted,
    /// While nobody does.
    Unmounted,
}

/// Grows the file to `size` bytes and the file system with it, by resize2fs.
pub fn grow(rootfs: &Path, size: u64, growth: Growth) -> io::Result<()> {
    let before = listing::list(Mount::read_only(rootfs)?.root())?;
    OpenOptions::new().write(true).open(rootfs)?.set_len(size)?;
    match growth {
        Growth::Mounted => {
            let steps = "set -e; mount -t ext4 /dev/nvme0n1 /mnt; resize2fs /dev/nvme0n1; umount /mnt";
            boot::script(rootfs, &["resize2fs"], &[], steps)?;
        }
        Growth::Unmounted => {
            // resize2fs wants a check that is newer than the last mount.
            run(command("e2fsck").args(["-f", "-p"]).arg(rootfs))?;
            run(command("resize2fs").arg(rootfs))?;
        }
    }
    e2fsck(rootfs)?;
    unchanged(&before, rootfs)?;

    let superblock = run(command("dumpe2fs").arg("-h").arg(rootfs))?;
    let superblock = String::from_utf8_lossy(&superblock).into_owned();
    let number = |name: &str| {
        let line = superblock.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|value| value.trim().parse::<u64>().ok()).unwrap_or(0)
    };
    let block = number("Block size:");
    match number("Block count:") * block {
        found if found + block > size => Ok(()),
        found => Err(io::Error::other(format!("grown to {found} bytes, not to {size}"))),
    }
}

fn unchanged(before: &[listing::Line], rootfs: &Path) -> io::Result<()> {
    let after = listing::list(Mount::read_only(rootfs)?.root())?;
    // The root itself was written into.
    let found = listing::diff(before, &after).into_iter().filter(|text| !text.starts_with("/: mtime"));
    match found.collect::<Vec<_>>() {
        none if none.is_empty() => Ok(()),
        some => Err(io::Error::other(format!("changed: {}", some.join("\n")))),
    }
}

fn until_full(write: impl FnOnce() -> (u64, io::Error)) -> io::Result<u64> {
    let (written, error) = write();
    if is_full(&error) { Ok(written) } else { Err(error) }
}

/// Writes until an error ends it; returns how many bytes that were.
fn write_to_the_end(place: &Path) -> (u64, io::Error) {
    let mut file = match File::create(place) {
        Ok(file) => file,
        Err(error) => return (0, error),
    };
    let mut written = 0;
    // Ever smaller pieces, so that the last block is taken too.
    for size in [1 << 20, 4096, 512, 1] {
        let piece = vec![0x5a; size];
        let error = loop {
            match file.write(&piece) {
                Ok(0) => break io::Error::from(io::ErrorKind::WriteZero),
                Ok(length) => written += length as u64,
                Err(error) => break error,
            }
        };
        if size == 1 || !is_full(&error) {
            return (written, error);
        }
    }
    (written, io::Error::from(io::ErrorKind::StorageFull))
}

fn is_full(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::StorageFull
}
