//! A tree as a cpio archive of the kind that Linux unpacks into its first root (`newc`): the same bytes for the same
//! tree.
//!
//! The kernel's Documentation/driver-api/early-userspace/buffer-format.rst has the format. It knows no extended
//! attributes and no times beside 32 bits of seconds: what does not fit is left out or clamped, and counted. Of a hard
//! link's names the last has the bytes: cpio waits for it, and the kernel takes it as well as any.

use tree::{Device, Kind, Metadata, Node, Output, Tree, Visit};

use crate::error::Error;
use crate::front::Front;

/// What the headers' numbers can say: eight hexadecimal digits.
const NUMBER_MAX: u64 = u32::MAX as u64;

/// Bytes of a name that the kernel takes, without the NUL behind it (its `PATH_MAX`); it skips what is longer without
/// a word.
const NAME_BYTES: usize = 4095;

/// The name behind which cpio reads no further.
const TRAILER: &[u8] = b"TRAILER!!!";

/// Names and contents are filled up to this.
const ALIGNMENT: u64 = 4;

/// The whole is filled up to this, as other writers do.
const BLOCK: u64 = 512;

/// What came of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Bytes of the archive, a multiple of 512.
    pub length: u64,
    /// Extended attributes that were left out.
    pub dropped_xattrs: u64,
    /// Files whose time is another now.
    pub clamped_times: u64,
}

/// Writes the whole tree to `out`, from front to back without a gap.
///
/// Names stand in the order of [`Tree::walk`], the root first as `.`, so that each directory comes before what lies in
/// it. Holes are written as zeros.
///
/// # Errors
///
/// `Unsupported` for a file of 4 GiB or more and for a path of more than 4,095 bytes, which the format or its reader
/// has no room for; `Io` for what `out` fails with. Both name the path.
pub fn write(tree: &Tree, out: &mut dyn Output) -> Result<Written, Error> {
    let mut writing = Writing {
        tree,
        seen: vec![Seen::default(); tree.table_length()],
        inodes: 0,
        front: Front::new(out),
        dropped_xattrs: 0,
        clamped_times: 0,
    };
    let mut walk = tree.walk();
    while let Some(visit) = walk.step() {
        writing.name(&visit).map_err(|error| error.below(visit.path))?;
    }
    let nothing = Metadata { mode: 0, ..Metadata::implicit() };
    let end = Header { links: 1, ..Header::new(0, 0, &nothing) };
    writing.front.bytes(&end.bytes(TRAILER))?;
    writing.front.pad(BLOCK)?;
    let Writing { front, dropped_xattrs, clamped_times, .. } = writing;
    Ok(Written { length: front.finish()?, dropped_xattrs, clamped_times })
}

/// An archive while it is written.
struct Writing<'a> {
    tree: &'a Tree,
    /// By node.
    seen: Vec<Seen>,
    /// How many have got a number.
    inodes: u32,
    front: Front<'a>,
    dropped_xattrs: u64,
    clamped_times: u64,
}

/// What has been written of a node.
#[derive(Clone, Copy, Default)]
struct Seen {
    inode: u32,
    names: u32,
}

impl Writing<'_> {
    /// Writes one name of a node.
    fn name(&mut self, visit: &Visit<'_>) -> Result<(), Error> {
        let Node { metadata, kind, names } = self.tree.node(visit.node);
        let path = match visit.path {
            b"" => b".".to_vec(),
            TRAILER => [b"./", TRAILER].concat(),
            path => path.to_vec(),
        };
        if path.len() > NAME_BYTES {
            return Err(Error::unsupported(format!(
                "a path of {} bytes, of which an initramfs has {NAME_BYTES} at most",
                path.len()
            )));
        }
        let seen = &mut self.seen[visit.node.index()];
        if seen.names == 0 {
            self.inodes += 1;
            seen.inode = self.inodes;
            self.dropped_xattrs += metadata.xattrs().count() as u64;
            self.clamped_times += u64::from(clamped(metadata) != metadata.mtime.seconds);
        }
        seen.names += 1;
        let is_last = seen.names == *names;
        let header = Header::new(type_bits(kind), seen.inode, metadata);
        let front = &mut self.front;
        match kind {
            Kind::File(content) if is_last => {
                let size = u32::try_from(content.size()).map_err(|_| {
                    Error::unsupported(format!(
                        "a file of {} bytes, of which a cpio archive has {NUMBER_MAX} at most",
                        content.size()
                    ))
                })?;
                front.bytes(&Header { links: *names, size, ..header }.bytes(&path))?;
                front.content(content)?;
                front.pad(ALIGNMENT)
            }
            Kind::Symlink(text) => {
                front.bytes(&Header { links: *names, size: text.len() as u32, ..header }.bytes(&path))?;
                front.bytes(text)?;
                front.pad(ALIGNMENT)
            }
            Kind::CharDevice(device) | Kind::BlockDevice(device) => {
                front.bytes(&Header { links: *names, device: *device, ..header }.bytes(&path))
            }
            // Its own entry and that of its name above.
            Kind::Directory(_) => front.bytes(&Header { links: 2, ..header }.bytes(&path)),
            Kind::File(_) | Kind::Fifo | Kind::Socket => {
                front.bytes(&Header { links: *names, ..header }.bytes(&path))
            }
        }
    }
}

/// The header of one name.
struct Header {
    inode: u32,
    mode: u32,
    uid: u32,
    gid: u32,
    links: u32,
    mtime: u32,
    size: u32,
    device: Device,
}

impl Header {
    fn new(type_bits: u32, inode: u32, metadata: &Metadata) -> Header {
        Header {
            inode,
            mode: type_bits | u32::from(metadata.mode),
            uid: metadata.uid,
            gid: metadata.gid,
            links: 1,
            mtime: clamped(metadata) as u32,
            size: 0,
            device: Device { major: 0, minor: 0 },
        }
    }

    /// The header and the name behind it, filled up.
    fn bytes(&self, name: &[u8]) -> Vec<u8> {
        let mut bytes = b"070701".to_vec();
        let numbers = [
            self.inode,
            self.mode,
            self.uid,
            self.gid,
            self.links,
            self.mtime,
            self.size,
            // The filesystem that it came from: all from one.
            0,
            0,
            self.device.major,
            self.device.minor,
            name.len() as u32 + 1,
            // A checksum, which this kind of archive does not have.
            0,
        ];
        numbers.iter().for_each(|number| bytes.extend(format!("{number:08X}").bytes()));
        bytes.extend(name);
        bytes.push(0);
        bytes.resize(bytes.len().next_multiple_of(ALIGNMENT as usize), 0);
        bytes
    }
}

/// The time that the header has room for.
fn clamped(metadata: &Metadata) -> i64 {
    metadata.mtime.seconds.clamp(0, NUMBER_MAX as i64)
}

fn type_bits(kind: &Kind) -> u32 {
    match kind {
        Kind::Fifo => 0o010_000,
        Kind::CharDevice(_) => 0o020_000,
        Kind::Directory(_) => 0o040_000,
        Kind::BlockDevice(_) => 0o060_000,
        Kind::File(_) => 0o100_000,
        Kind::Symlink(_) => 0o120_000,
        Kind::Socket => 0o140_000,
    }
}
