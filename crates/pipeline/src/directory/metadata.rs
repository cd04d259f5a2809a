//! Owners, modes, attributes and times, as far as this user may set them.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, FileType, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;
use tree::{Kind, Metadata, Node};

use super::{NEW_FILE, Unkept, special_type};

/// Where rootless container tools keep the owner, mode and type that a file was to have:
/// `UID:GID:0MODE:TYPE`, as containers/storage writes it and fuse-overlayfs reads it.
const OVERRIDE_STAT: &str = "user.containers.override_stat";

/// Makes an empty file that nobody else can read yet.
pub(super) fn create(parent: &File, name: &[u8]) -> io::Result<File> {
    Ok(rustix::fs::openat(parent, OsStr::from_bytes(name), NEW_FILE, Mode::RUSR | Mode::WUSR)?.into())
}

/// Makes a fifo, socket or device; false where this user may not.
pub(super) fn make_special(parent: &File, name: &[u8], kind: &Kind) -> io::Result<bool> {
    let (file_type, device) = match kind {
        Kind::Fifo => (FileType::Fifo, 0),
        Kind::Socket => (FileType::Socket, 0),
        Kind::CharDevice(device) => {
            (FileType::CharacterDevice, rustix::fs::makedev(device.major, device.minor))
        }
        Kind::BlockDevice(device) => (FileType::BlockDevice, rustix::fs::makedev(device.major, device.minor)),
        _ => unreachable!("only special files are made here"),
    };
    match rustix::fs::mknodat(parent, OsStr::from_bytes(name), file_type, Mode::RUSR | Mode::WUSR, device) {
        Ok(()) => Ok(true),
        Err(Errno::PERM | Errno::ACCESS) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Gives an open file or directory what its node says. The order matters: changing the owner clears setuid
/// bits and capabilities, and everything changes times.
pub(crate) fn describe(file: &File, node: &Node, unkept: &mut Unkept) -> io::Result<()> {
    let meta = &node.metadata;
    let (uid, gid) = owner(meta);
    let owned = permitted(rustix::fs::fchown(file, Some(uid), Some(gid)))? || is_owned(file, meta)?;
    for (name, value) in meta.xattrs() {
        let set = rustix::fs::fsetxattr(file, OsStr::from_bytes(name), value, XattrFlags::empty());
        unkept.xattrs += u64::from(!possible(set)?);
    }
    let special = !matches!(node.kind, Kind::File(_) | Kind::Directory(_));
    if !owned || special {
        unkept.owners += u64::from(!owned);
        if let Some(kind) = special_type(&node.kind) {
            let record = format!("{}:{}:0{:o}:{kind}", meta.uid, meta.gid, meta.mode);
            let set = rustix::fs::fsetxattr(file, OVERRIDE_STAT, record.as_bytes(), XattrFlags::empty());
            unkept.xattrs += u64::from(!possible(set)?);
        }
    }
    // Set-user-ID would mean this user, who never meant it; the record has it.
    let permitted = if owned { mode(meta) } else { mode(meta) - (Mode::SUID | Mode::SGID) };
    rustix::fs::fchmod(file, permitted)?;
    Ok(rustix::fs::futimens(file, &times(meta))?)
}

/// The same for what cannot be opened: a symlink, a fifo, a device.
pub(super) fn describe_name(parent: &File, name: &[u8], node: &Node, unkept: &mut Unkept) -> io::Result<()> {
    let meta = &node.metadata;
    let (uid, gid) = owner(meta);
    let path = OsStr::from_bytes(name);
    let owned =
        permitted(rustix::fs::chownat(parent, path, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW))?;
    if !owned {
        let found = rustix::fs::statat(parent, path, AtFlags::SYMLINK_NOFOLLOW)?;
        unkept.owners += u64::from((found.st_uid, found.st_gid) != (meta.uid, meta.gid));
    }
    if meta.xattrs.is_some() {
        // There is no call that takes a handle and a name; the handle's entry in /proc is a path to it.
        let mut by_handle = format!("/proc/self/fd/{}/", parent.as_raw_fd()).into_bytes();
        by_handle.extend_from_slice(name);
        for (name, value) in meta.xattrs() {
            let by_handle = OsStr::from_bytes(&by_handle);
            let set = rustix::fs::lsetxattr(by_handle, OsStr::from_bytes(name), value, XattrFlags::empty());
            unkept.xattrs += u64::from(!possible(set)?);
        }
    }
    if !matches!(node.kind, Kind::Symlink(_)) {
        rustix::fs::chmodat(parent, path, mode(meta), AtFlags::empty())?;
    }
    Ok(rustix::fs::utimensat(parent, path, &times(meta), AtFlags::SYMLINK_NOFOLLOW)?)
}

fn owner(meta: &Metadata) -> (Uid, Gid) {
    (Uid::from_raw_unchecked(meta.uid), Gid::from_raw_unchecked(meta.gid))
}

fn mode(meta: &Metadata) -> Mode {
    Mode::from_raw_mode(meta.mode.into())
}

fn is_owned(file: &File, meta: &Metadata) -> io::Result<bool> {
    let found = rustix::fs::fstat(file)?;
    Ok((found.st_uid, found.st_gid) == (meta.uid, meta.gid))
}

fn times(meta: &Metadata) -> Timestamps {
    let time = Timespec { tv_sec: meta.mtime.seconds, tv_nsec: meta.mtime.nanoseconds.into() };
    Timestamps { last_access: time, last_modification: time }
}

/// Whether a call that needs privileges was allowed. In a user namespace, owners that are not mapped are
/// invalid rather than forbidden.
fn permitted(done: Result<(), Errno>) -> io::Result<bool> {
    match done {
        Ok(()) => Ok(true),
        Err(Errno::PERM | Errno::ACCESS | Errno::INVAL | Errno::OVERFLOW) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether an attribute could be set by this user on this filesystem.
fn possible(done: Result<(), Errno>) -> io::Result<bool> {
    match done {
        Ok(()) => Ok(true),
        Err(
            Errno::PERM
            | Errno::ACCESS
            | Errno::OPNOTSUPP
            | Errno::INVAL
            | Errno::RANGE
            | Errno::TOOBIG
            | Errno::NOSPC
            | Errno::DQUOT,
        ) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
