//! A reader of EROFS filesystems, written from the description of the format alone, to judge with: it is as strict as
//! the strictest kernel, and shares nothing with the writer.
//!
//! Compressed files are in `clusters`.

mod checksum;
mod clusters;
mod superblock;
mod xattrs;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use ring::digest;

use crate::listing::{Kind, Line};
pub use superblock::{Superblock, superblock};

/// Where the bytes of a filesystem are.
pub trait Source {
    /// Reads all of `bytes` at `offset`.
    fn read(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()>;
}

impl Source for File {
    fn read(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.read_exact_at(bytes, offset)
    }
}

impl Source for [u8] {
    fn read(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let end = (offset as usize).checked_add(bytes.len());
        let found = end.and_then(|end| self.get(offset as usize..end));
        bytes.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// Lists all that the filesystem holds, in byte order of the paths, as [`crate::listing::list`] lists a directory.
/// Anything that is not as the format wants it is an error.
pub fn list(source: &(impl Source + ?Sized)) -> io::Result<Vec<Line>> {
    list_with(source, &[])
}

/// The same, of a filesystem that has some contents on these devices, and on no others.
pub fn list_with(source: &(impl Source + ?Sized), devices: &[&dyn Source]) -> io::Result<Vec<Line>> {
    let superblock = superblock(source)?;
    ensure(superblock.devices.len() == devices.len(), || format!("{} devices", superblock.devices.len()))?;
    let mut reader = Reader {
        source,
        devices,
        superblock: &superblock,
        clusters: RefCell::default(),
        packed: Vec::new(),
        fragments: RefCell::default(),
    };
    reader.read_packed()?;
    let lines = reader.list()?;
    reader.check_packed()?;
    let shares = reader.clusters.into_inner().values().any(|count| *count > 1);
    ensure((shares || superblock.packed.is_some()) == (superblock.incompatible & 0x20 != 0), || {
        "shared clusters, or the feature, alone".into()
    })?;
    Ok(lines)
}

struct Reader<'a, S: ?Sized> {
    source: &'a S,
    devices: &'a [&'a dyn Source],
    superblock: &'a Superblock,
    /// By where clusters begin: how many files have them.
    clusters: RefCell<BTreeMap<u64, u64>>,
    /// What the packed inode holds, and what of it files refer to: where it begins and ends.
    packed: Vec<u8>,
    fragments: RefCell<BTreeSet<(u64, u64)>>,
}

/// An inode as it lies there.
#[derive(Debug, Clone)]
struct Inode {
    at: u64,
    /// Bytes of the inode itself.
    fields: u64,
    layout: u16,
    xattrs: u64,
    mode: u16,
    links: u64,
    size: u64,
    u: u32,
    /// The first of its blocks, if they lie behind one another.
    start: u64,
    uid: u32,
    gid: u32,
    mtime: (i64, i64),
}

impl<S: Source + ?Sized> Reader<'_, S> {
    fn list(&self) -> io::Result<Vec<Line>> {
        let mut lines = Vec::new();
        let mut names: BTreeMap<u64, (Vec<u8>, u64, u64)> = BTreeMap::new();
        let mut subdirectories: BTreeMap<u64, u64> = BTreeMap::new();
        let root = self.superblock.root;
        let mut waiting = vec![(Vec::new(), root, root, 2)];
        while let Some((path, nid, parent, file_type)) = waiting.pop() {
            let inode = self.inode(nid).map_err(|error| at(&path, error))?;
            let wrong = |what: &str| at(&path, io::Error::other(what.to_string()));
            if file_type != file_type_of(inode.mode) {
                return Err(wrong("its name says another type"));
            }
            if file_type == 2 {
                if subdirectories.insert(nid, 0).is_some() {
                    return Err(wrong("a directory with two names"));
                }
                if nid != root {
                    *subdirectories.entry(parent).or_default() += 1;
                }
                for (name, child, file_type) in
                    self.entries(&inode, nid, parent).map_err(|error| at(&path, error))?
                {
                    let slash: &[u8] = if path.is_empty() { b"" } else { b"/" };
                    waiting.push(([&path, slash, &name].concat(), child, nid, file_type));
                }
            }
            let known = names.entry(nid).or_insert((path.clone(), 0, inode.links));
            known.0 = known.0.clone().min(path.clone());
            known.1 += 1;
            lines.push((path, nid, inode));
        }
        let inodes = names.len() as u64 + u64::from(self.superblock.packed.is_some());
        ensure(inodes == self.superblock.inodes, || {
            format!("{inodes} inodes, not {}", self.superblock.inodes)
        })?;
        for (nid, (path, count, links)) in &names {
            // A directory's own name counts, and its parent's in each that lies in it.
            let expected = subdirectories.get(nid).map_or(*count, |directories| 2 + directories);
            ensure(*links == expected, || {
                format!("/{}: {links} links, not {expected}", path.escape_ascii())
            })?;
        }
        lines.sort_by(|left, right| left.0.cmp(&right.0));
        let mut contents: BTreeMap<u64, Kind> = BTreeMap::new();
        lines
            .into_iter()
            .map(|(path, nid, inode)| {
                let kind = match contents.get(&nid) {
                    Some(kind) => kind.clone(),
                    None => {
                        let kind = self.kind(&inode).map_err(|error| at(&path, error))?;
                        contents.insert(nid, kind.clone());
                        kind
                    }
                };
                let first = &names[&nid].0;
                Ok(Line {
                    xattrs: self.xattrs(&inode).map_err(|error| at(&path, error))?,
                    links: if kind == Kind::Directory { 1 } else { inode.links },
                    same_as: (*first != path).then(|| first.clone()),
                    kind,
                    mode: u32::from(inode.mode & 0o7777),
                    uid: inode.uid,
                    gid: inode.gid,
                    mtime: inode.mtime,
                    path,
                })
            })
            .collect()
    }

    fn block(&self) -> u64 {
        1 << self.superblock.block_bits
    }

    fn bytes(&self, offset: u64, length: u64) -> io::Result<Vec<u8>> {
        let end = self.superblock.blocks * self.block();
        let inside = offset.checked_add(length).is_some_and(|stop| stop <= end);
        ensure(inside, || format!("{length} bytes at {offset} lie behind the end"))?;
        let mut bytes = vec![0; length as usize];
        self.source.read(offset, &mut bytes)?;
        Ok(bytes)
    }

    fn inode(&self, nid: u64) -> io::Result<Inode> {
        let at = self.superblock.metadata_at + nid * 32;
        let start = self.bytes(at, 32)?;
        let format = u16_at(&start, 0);
        let wide = self.superblock.incompatible & 0x80 != 0;
        // The number of links is 1, and the address wide.
        let has_one_link = format & 0x11 == 0x10 && wide;
        ensure(format & !0xf == 0 || has_one_link, || format!("format {format:#x}"))?;
        let layout = format >> 1 & 7;
        let count = u64::from(u16_at(&start, 2));
        let xattrs = if count == 0 { 0 } else { 12 + 4 * (count - 1) };
        ensure(count != 1, || "attributes without any".into())?;
        let mode = u16_at(&start, 4);
        let address = |bytes: &[u8], wide: bool| {
            let upper = if wide { u64::from(u16_at(bytes, 6)) << 32 } else { 0 };
            upper | u64::from(u32_at(bytes, 16))
        };
        ensure(!has_one_link || file_type_of(mode) != 2, || "a directory without a dot".into())?;
        let inode = if format & 1 == 0 {
            ensure(u32_at(&start, 12) == 0 && u32_at(&start, 28) == 0, || "unknown fields".into())?;
            Inode {
                at,
                fields: 32,
                layout,
                xattrs,
                mode,
                links: if has_one_link { 1 } else { u16_at(&start, 6).into() },
                size: u32_at(&start, 8).into(),
                u: u32_at(&start, 16),
                start: address(&start, has_one_link),
                uid: u16_at(&start, 24).into(),
                gid: u16_at(&start, 26).into(),
                mtime: self.superblock.time,
            }
        } else {
            let all = self.bytes(at, 64)?;
            let is_known = wide || u16_at(&all, 6) == 0;
            ensure(is_known && all[48..].iter().all(|byte| *byte == 0), || "unknown fields".into())?;
            Inode {
                at,
                fields: 64,
                layout,
                xattrs,
                mode,
                links: u32_at(&all, 44).into(),
                size: u64_at(&all, 8),
                u: u32_at(&all, 16),
                start: address(&all, wide),
                uid: u32_at(&all, 24),
                gid: u32_at(&all, 28),
                mtime: (u64_at(&all, 32) as i64, u32_at(&all, 40).into()),
            }
        };
        ensure(at % self.block() + inode.fields <= self.block(), || "an inode in two blocks".into())?;
        ensure((0..1_000_000_000).contains(&inode.mtime.1), || "nanoseconds".into())?;
        Ok(inode)
    }

    fn kind(&self, inode: &Inode) -> io::Result<Kind> {
        // `new_decode_dev`
        let (major, minor) = ((inode.u & 0xf_ff00) >> 8, (inode.u & 0xff) | ((inode.u >> 12) & 0xf_ff00));
        Ok(match file_type_of(inode.mode) {
            1 => {
                let mut context = digest::Context::new(&digest::SHA256);
                self.data(inode, |bytes| context.update(bytes))?;
                let sha256 = context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
                Kind::File { size: inode.size, sha256 }
            }
            2 => Kind::Directory,
            3 => Kind::Character { major, minor },
            4 => Kind::Block { major, minor },
            5 => Kind::Fifo,
            6 => Kind::Socket,
            _ => {
                let mut target = Vec::new();
                self.data(inode, |bytes| target.extend(bytes))?;
                ensure(!target.is_empty() && target.len() < 4096, || "text of a link".into())?;
                Kind::Symlink { target }
            }
        })
    }

    /// Hands out all bytes of a file, a block or a hole's worth at a time.
    fn data(&self, inode: &Inode, mut take: impl FnMut(&[u8])) -> io::Result<()> {
        let block = self.block();
        if matches!(inode.layout, 1 | 3) {
            return self.clusters(inode, take);
        }
        let behind = inode.at + inode.fields + inode.xattrs;
        let mut done = 0;
        while done < inode.size {
            let length = (inode.size - done).min(block);
            let address = match inode.layout {
                0 => Some((inode.start << self.superblock.block_bits) + done),
                2 if length == block => Some((inode.start << self.superblock.block_bits) + done),
                2 => {
                    // The inode, too, where the kernel reads all at once.
                    let link = file_type_of(inode.mode) == 7;
                    let from = if link { inode.at } else { behind };
                    ensure(from / block == (behind + length - 1) / block, || "a tail in two blocks".into())?;
                    Some(behind)
                }
                4 => {
                    ensure(self.superblock.incompatible & 4 != 0, || "chunks without the feature".into())?;
                    let wide = self.superblock.incompatible & 0x80 != 0;
                    let known = if wide { 0x7f } else { 0x3f };
                    ensure(inode.u & !known == 0, || format!("format of chunks {:#x}", inode.u))?;
                    let chunk = block << (inode.u & 0x1f);
                    ensure(chunk <= 1 << 30, || "a chunk that 32 bits do not count".into())?;
                    let byte = |start: u64| Some((start << self.superblock.block_bits) + done % chunk);
                    if inode.u & 0x20 != 0 {
                        let map = behind.next_multiple_of(8) + done / chunk * 8;
                        let index = self.bytes(map, 8)?;
                        if u16_at(&index, 2) > 0 {
                            take(&self.outside(&index, done % chunk, length)?);
                            done += length;
                            continue;
                        }
                        ensure(inode.u & 0x40 != 0, || "a chunk on no device".into())?;
                        match u64::from(u16_at(&index, 0)) << 32 | u64::from(u32_at(&index, 4)) {
                            0xffff_ffff_ffff => None,
                            start => byte(start),
                        }
                    } else {
                        ensure(inode.u & 0x40 == 0, || "wide addresses in four bytes".into())?;
                        let map = behind.next_multiple_of(4) + done / chunk * 4;
                        match u32_at(&self.bytes(map, 4)?, 0) {
                            u32::MAX => None,
                            start => byte(start.into()),
                        }
                    }
                }
                other => return Err(io::Error::other(format!("layout {other}"))),
            };
            match address {
                Some(address) => take(&self.bytes(address, length)?),
                None => take(&vec![0; length as usize]),
            }
            done += length;
        }
        Ok(())
    }

    /// Bytes of a chunk that lies on another device.
    fn outside(&self, index: &[u8], within: u64, length: u64) -> io::Result<Vec<u8>> {
        let (device, start) = (usize::from(u16_at(index, 2)), u64::from(u32_at(index, 4)));
        ensure(u16_at(index, 0) == 0 && device > 0, || format!("index of a chunk {index:?}"))?;
        let blocks = *self.superblock.devices.get(device - 1).ok_or_else(|| io::Error::other("a device"))?;
        let at = start * self.block() + within;
        ensure(at + length <= blocks * self.block(), || format!("{length} bytes at {at} of a device"))?;
        let mut bytes = vec![0; length as usize];
        self.devices[device - 1].read(at, &mut bytes)?;
        Ok(bytes)
    }

    /// The names of a directory but its own and its parent's, with what they name and its type.
    fn entries(&self, inode: &Inode, nid: u64, parent: u64) -> io::Result<Vec<(Vec<u8>, u64, u8)>> {
        let mut data = Vec::new();
        self.data(inode, |bytes| data.extend(bytes))?;
        let mut found: Vec<(Vec<u8>, u64, u8)> = Vec::new();
        for block in data.chunks(self.block() as usize) {
            ensure(block.len() >= 12, || "a block without names".into())?;
            let count = usize::from(u16_at(block, 8)) / 12;
            ensure(count > 0 && u16_at(block, 8).is_multiple_of(12) && count * 12 <= block.len(), || {
                "number of names".into()
            })?;
            for number in 0..count {
                let entry = &block[number * 12..][..12];
                let start = usize::from(u16_at(entry, 8));
                let end = match number + 1 {
                    last if last == count => block.len(),
                    next => usize::from(u16_at(block, next * 12 + 8)),
                };
                let name = block.get(start..end).ok_or_else(|| io::Error::other("place of a name"))?;
                let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
                ensure((1..=255).contains(&name.len()) && !name.contains(&b'/'), || "a name".into())?;
                ensure(entry[11] == 0, || "unknown fields".into())?;
                found.push((name.to_vec(), u64_at(entry, 0), entry[10]));
            }
        }
        ensure(found.is_sorted_by(|left, right| left.0 < right.0), || "names out of order".into())?;
        let dots: BTreeSet<(Vec<u8>, u64, u8)> =
            found.iter().filter(|entry| matches!(&entry.0[..], b"." | b"..")).cloned().collect();
        let expected = BTreeSet::from([(b".".to_vec(), nid, 2), (b"..".to_vec(), parent, 2)]);
        ensure(dots == expected, || format!("dots {dots:?}"))?;
        found.retain(|entry| !matches!(&entry.0[..], b"." | b".."));
        Ok(found)
    }
}

/// What a name's entry says of a type.
fn file_type_of(mode: u16) -> u8 {
    match mode >> 12 {
        0o10 => 1,
        0o04 => 2,
        0o02 => 3,
        0o06 => 4,
        0o01 => 5,
        0o14 => 6,
        0o12 => 7,
        _ => 0,
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

fn ensure(holds: bool, what: impl FnOnce() -> String) -> io::Result<()> {
    if holds { Ok(()) } else { Err(io::Error::other(what())) }
}

fn at(path: &[u8], error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("/{}: {error}", path.escape_ascii()))
}
