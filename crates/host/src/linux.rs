//! Linux.

use std::ffi::OsString;
use std::fs::{self, File, FileType, Metadata, Permissions};
use std::io::{self, ErrorKind};
use std::num::NonZeroU64;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStringExt;
pub use std::os::unix::fs::FileExt;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::SystemTime;

use rustix::fs::{Advice, AtFlags, CWD, FallocateFlags, Mode, OFlags, SeekFrom};
use rustix::io::Errno;

/// Whether nobody else can read a file that somebody has locked.
pub const LOCKS_HINDER_READING: bool = false;

/// Whether everybody can make symbolic links.
pub const HAS_SYMLINKS: bool = true;

/// Where the configuration of the system's programs is, which nobody but its administrator can change.
pub const CONFIGURATION: Option<&str> = Some("/etc");

/// Through here a file without a name can be given one; without `/proc` it cannot.
pub(crate) const DESCRIPTORS: &str = "/proc/self/fd";

/// Opens a regular file for reading; `None` if anything else has this name. No symlink is followed, and a pipe is not
/// waited for.
pub fn open_regular(path: &Path) -> io::Result<Option<File>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::LOOP) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    Ok(file.metadata()?.is_file().then_some(file))
}

/// Opens a file for reading and writing, and makes it if there is none. No symlink is followed.
pub fn open_or_create(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    Ok(rustix::fs::open(path, flags, Mode::from_raw_mode(0o666))?.into())
}

/// Opens a directory and nothing else. No symlink is followed.
pub fn open_directory(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?.into())
}

/// Opens a block device for writing in place. Fails if it is mounted or otherwise in use.
pub fn open_device(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::EXCL;
    Ok(rustix::fs::open(path, flags, Mode::empty())?.into())
}

/// Refuses a name that would not be what is made under it: there are none.
pub fn check_name(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Whether a name means a block device.
pub fn is_block_device(kind: FileType) -> bool {
    kind.is_block_device()
}

/// How long the sectors of a block device are, in bytes.
pub fn sector(device: &File) -> io::Result<u32> {
    Ok(rustix::fs::ioctl_blksszget(device)?)
}

/// Whether this name means this open file.
pub fn is_named(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(named) => Ok((named.dev(), named.ino()) == (ours.dev(), ours.ino())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Bytes of a name as the system has it.
pub fn os_string(bytes: &[u8]) -> OsString {
    OsString::from_vec(bytes.to_vec())
}

/// How many bytes of a path that may come first in a list with colons are a drive and its colon: there are none.
pub fn drive(_: &[u8]) -> usize {
    0
}

/// Whether something belongs to the user of this process.
pub fn is_mine(found: &Metadata) -> bool {
    found.uid() == rustix::process::geteuid().as_raw()
}

/// Whether a process of this number may be running.
pub fn may_be_running(process: &str) -> bool {
    Path::new("/proc").join(process).exists()
}

/// Bytes that a file takes on the disk.
pub fn stored_bytes(found: &Metadata) -> u64 {
    found.blocks() * 512
}

/// Lets a file be as new as if it had been written now.
pub fn touch(path: &Path) -> io::Result<()> {
    File::open(path)?.set_modified(SystemTime::now())
}

/// Waits until all of the filesystem that has this file or directory is on the disk.
pub fn sync_filesystem(file: &File) -> io::Result<()> {
    Ok(rustix::fs::syncfs(file)?)
}

/// Whether the system says that a file's bytes are lost or wrong.
pub fn is_unreadable(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::IO)
}

/// Why a name has no address, if that is what an error says, and whether it is known that it has none.
pub fn without_address(error: &io::Error) -> Option<(String, bool)> {
    // How the standard library says it, which has no kind for it; then glibc and musl where they did not learn it.
    let said = error.to_string();
    let cause = said.strip_prefix("failed to lookup address information: ")?;
    Some((cause.into(), !matches!(cause, "Temporary failure in name resolution" | "Try again")))
}

/// What a new temporary file has to be given so that others may use it as any other file.
pub fn permissions_for_all() -> Option<Permissions> {
    Some(Permissions::from_mode(0o666))
}

/// Makes a rename in a directory durable. Where that cannot be done there is nothing more to be done.
pub fn sync_directory(directory: &Path) -> io::Result<()> {
    match File::open(directory)?.sync_all() {
        // Some network filesystems cannot.
        Err(error) if error.kind() == ErrorKind::InvalidInput => Ok(()),
        done => done,
    }
}

/// Lets the name `to` mean what `from` does, whatever it meant before.
pub fn replace(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)
}

/// Makes a file without a name in a directory, which is gone with the process, with this mode as far as the user's mask
/// has it; `None` where there are none.
pub fn nameless(directory: &Path, mode: u32) -> io::Result<Option<File>> {
    if !fs::exists(DESCRIPTORS)? {
        return Ok(None);
    }
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    match rustix::fs::open(directory, flags, Mode::from_raw_mode(mode)) {
        Ok(file) => Ok(Some(file.into())),
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Gives a file without a name one that nothing has.
pub fn link_nameless(file: &File, path: &Path) -> io::Result<()> {
    let by_number = format!("{DESCRIPTORS}/{}", file.as_raw_fd());
    Ok(rustix::fs::linkat(CWD, by_number, CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

/// Opens a file once more, for reading, whatever name it has or had.
pub fn reopen(file: &File) -> io::Result<File> {
    File::open(format!("{DESCRIPTORS}/{}", file.as_raw_fd()))
}

/// Makes a symbolic link.
pub fn symlink(target: &Path, path: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}

/// Makes a directory, and those above it that are missing, with this mode as far as the user's mask has it.
pub fn make_directories(path: &Path, mode: u32) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(mode).create(path)
}

/// Lets `to` share all blocks of `from`, where the filesystem can do that.
pub fn clone_blocks(from: &File, to: &File) -> io::Result<()> {
    Ok(rustix::fs::ioctl_ficlone(to, from)?)
}

/// Copies bytes from a place in one file to a place in another without reading them; how many, or `None` where the
/// kernel cannot do that between these files.
pub fn copy_in_kernel(
    (from, mut at): (&File, u64),
    (to, mut offset): (&File, u64),
    length: usize,
) -> io::Result<Option<usize>> {
    loop {
        match rustix::fs::copy_file_range(from, Some(&mut at), to, Some(&mut offset), length) {
            Ok(count) => return Ok(Some(count)),
            Err(Errno::INTR) => {}
            // Other filesystems, a device, an old kernel.
            Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM) => {
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Lets a new file take room only for what is written: each does.
pub fn allow_holes(_: &File) {}

/// Takes room for bytes that are about to be written. An error only where there is no room.
pub fn reserve(file: &File, offset: u64, length: u64) -> io::Result<()> {
    match rustix::fs::fallocate(file, FallocateFlags::empty(), offset, length) {
        Err(error @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG)) => Err(error.into()),
        // Else only a saving is lost: not every filesystem can.
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Makes an empty file so long, all holes, if its blocks can be moved within it: [`insert`], [`take_out`] and [`clear`]
/// work on it then, with whole blocks of 4 KiB.
pub fn make_movable(file: &File, length: u64) -> io::Result<bool> {
    const BLOCK: u64 = 4096;
    // Beyond what a process may write its signal would come.
    let may_be = rustix::process::getrlimit(rustix::process::Resource::Fsize).current;
    if may_be.is_some_and(|most| most < length) || rustix::fs::fstatfs(file)?.f_bsize as u64 != BLOCK {
        return Ok(false);
    }
    file.set_len(2 * BLOCK)?;
    let tried = insert(file, BLOCK, BLOCK)
        .and_then(|()| take_out(file, BLOCK, BLOCK))
        .and_then(|()| clear(file, 0, BLOCK))
        .and_then(|()| file.set_len(length));
    if tried.is_err() {
        file.set_len(0)?;
    }
    Ok(tried.is_ok())
}

/// Moves all that a file has from `offset` on towards its end, and leaves a hole of so many bytes.
pub fn insert(file: &File, offset: u64, length: u64) -> io::Result<()> {
    Ok(rustix::fs::fallocate(file, FallocateFlags::INSERT_RANGE, offset, length)?)
}

/// Takes bytes out of a file, and moves all behind them there; something must be behind them.
pub fn take_out(file: &File, offset: u64, length: u64) -> io::Result<()> {
    Ok(rustix::fs::fallocate(file, FallocateFlags::COLLAPSE_RANGE, offset, length)?)
}

/// Makes bytes of a device zeros: discarded where that reads as zeros, written otherwise.
pub fn make_zero(device: &File, offset: u64, length: u64) -> io::Result<()> {
    // For a device this is BLKZEROOUT.
    let zeroed = FallocateFlags::ZERO_RANGE | FallocateFlags::KEEP_SIZE;
    Ok(rustix::fs::fallocate(device, zeroed, offset, length)?)
}

/// Makes bytes of a file a hole.
pub fn clear(file: &File, offset: u64, length: u64) -> io::Result<()> {
    let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    Ok(rustix::fs::fallocate(file, punch, offset, length)?)
}

/// Lets go of bytes that nobody will ask for again. Only a saving: not every filesystem can.
pub fn release(file: &File, offset: u64, length: u64) {
    let _ = clear(file, offset, length);
}

/// Lets the kernel begin to write bytes to the disk.
pub fn write_out(file: &File, offset: u64, length: NonZeroU64) {
    // The name of the advice is of what it does once the bytes are on the disk; these are not yet.
    let _ = rustix::fs::fadvise(file, offset, Some(length), Advice::DontNeed);
}

/// Whether all bytes are known to be zeros without reading them.
pub fn is_hole(file: &File, offset: u64, length: u64) -> bool {
    match rustix::fs::seek(file, SeekFrom::Data(offset)) {
        Ok(data) => data >= offset + length,
        // Nothing but holes up to the end. Where the file ends too early nothing may be taken for one.
        Err(Errno::NXIO) => file.metadata().is_ok_and(|found| found.len() >= offset + length),
        Err(_) => false,
    }
}
