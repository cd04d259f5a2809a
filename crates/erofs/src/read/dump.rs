//! A filesystem as text: what is where, in words that stay the same, so that two can be compared.

use std::collections::BTreeSet;
use std::fmt;
use std::io::Write;

use tree::{DEPTH_MAX, Device, escape};

use super::clusters::{Cluster, Map, Stored};
use super::devices::ALGORITHMS;
use super::directories::Entry;
use super::inodes::Inode;
use super::prefixes::Prefix;
use super::{Filesystem, ReadError};
use crate::format::{
    FEATURES, LAYOUT_CHUNKS, LAYOUT_COMPRESSED, LAYOUT_COMPRESSED_FULL, S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO,
    S_IFLNK, S_IFREG, S_IFSOCK,
};
use crate::parse::file_type_number;

/// Longest text of a link.
const TEXT_MAX: u64 = 4096;

/// Most bytes of attributes that are shown, each as often as an inode shares it.
const SHARED_MAX: u64 = 1 << 30;

impl Filesystem<'_> {
    /// Shows everything but what files hold: the filesystem, then each name in the order of a walk.
    ///
    /// ```text
    /// NID MODE LINKS UID:GID SIZE MTIME /PATH [-> TEXT]
    ///     LAYOUT, WHERE …
    ///     ATTRIBUTE = VALUE
    /// NID = /ANOTHER PATH
    /// ```
    ///
    /// Where data lies is said as `FIRST+LENGTH@START`: in blocks, `FIRST` being that of the file; of clusters as
    /// `FROM+LENGTH@START+BLOCKS`, the file's part in bytes.
    pub fn dump(&self, out: &mut dyn Write) -> Result<(), ReadError> {
        let out = &mut Text(out);
        self.dump_superblock(out)?;
        let prefixes = self.prefixes()?;
        match &prefixes {
            None => writeln!(out, "prefixes: in a packed inode that is compressed")?,
            Some(prefixes) => {
                for (number, prefix) in prefixes.iter().enumerate() {
                    writeln!(out, "prefix {number}: {}", escape(&prefix.text()))?;
                }
            }
        }
        let mut dump = Dump {
            filesystem: self,
            out,
            prefixes: prefixes.as_deref(),
            shown: BTreeSet::new(),
            names: 0,
            metadata: 0,
            shared: 0,
        };
        dump.packed()?;
        dump.names()
    }

    fn dump_superblock(&self, out: &mut Text<'_>) -> Result<(), ReadError> {
        let sb = &self.superblock;
        writeln!(out, "erofs, {} bytes", self.end)?;
        let label = sb.volume_name.split(|&byte| byte == 0).next().unwrap_or_default();
        writeln!(out, "label: {:?}, uuid: {}", escape(label).to_string(), uuid(&sb.uuid))?;
        write!(out, "blocks: {} of {} bytes, ", self.blocks, self.block_size)?;
        writeln!(out, "inodes from {}, shared attributes from {}", sb.meta_blkaddr, sb.xattr_blkaddr)?;
        writeln!(out, "inodes: {}", sb.inos)?;
        write!(out, "features:")?;
        for (bits, names) in [sb.feature_compat.get(), sb.feature_incompat.get()].into_iter().zip(FEATURES) {
            for bit in (0..32).map(|bit| 1u32 << bit).filter(|bit| bits & bit != 0) {
                match names.iter().find(|(known, _)| *known == bit) {
                    Some((_, name)) => write!(out, " {name}")?,
                    None => write!(out, " {bit:#x}")?,
                }
            }
        }
        writeln!(out)?;
        let epoch = self.epoch();
        writeln!(out, "time of small inodes: {}.{:09}", epoch.seconds, epoch.nanoseconds)?;
        for algorithm in self.algorithms()? {
            writeln!(out, "algorithm: {algorithm}")?;
        }
        for (number, device) in (1..).zip(&self.devices) {
            let tag = escape(&device.tag).to_string();
            writeln!(out, "device {number}: {tag:?}, {} blocks from {}", device.blocks, device.start)?;
        }
        Ok(())
    }
}

/// Where the text goes. That this fails is another fault than that of the filesystem.
struct Text<'a>(&'a mut dyn Write);

impl Text<'_> {
    fn write_fmt(&mut self, text: fmt::Arguments<'_>) -> Result<(), ReadError> {
        self.0.write_fmt(text).map_err(ReadError::Output)
    }
}

/// What is being shown.
struct Dump<'a, 'o> {
    filesystem: &'a Filesystem<'a>,
    out: &'a mut Text<'o>,
    prefixes: Option<&'a [Prefix]>,
    /// The inodes that were.
    shown: BTreeSet<u64>,
    names: u64,
    /// Bytes of metadata that belong to these.
    metadata: u64,
    shared: u64,
}

/// A directory whose names are being shown.
struct Open {
    nid: u64,
    rest: std::vec::IntoIter<Entry>,
    path_length: usize,
}

impl Dump<'_, '_> {
    /// The inode that holds what belongs to no one file.
    fn packed(&mut self) -> Result<(), ReadError> {
        let Some(nid) = self.filesystem.packed() else { return Ok(()) };
        let inode = self.filesystem.inode(nid)?;
        self.shown.insert(nid);
        self.line(&inode)?;
        writeln!(self.out, " (packed)")?;
        self.data(&inode)
    }

    fn names(&mut self) -> Result<(), ReadError> {
        let root = self.filesystem.root;
        let mut path: Vec<u8> = Vec::new();
        let mut open: Vec<Open> = Vec::new();
        let entry = Entry { name: Box::default(), nid: root, file_type: file_type_number(S_IFDIR) };
        if let Some(entries) = self.name(&entry, root, b"/")? {
            open.push(Open { nid: root, rest: entries.into_iter(), path_length: 0 });
        }
        while let Some(directory) = open.last_mut() {
            let Some(entry) = directory.rest.next() else {
                open.pop();
                continue;
            };
            let parent = directory.nid;
            path.truncate(directory.path_length);
            path.push(b'/');
            path.extend_from_slice(&entry.name);
            if let Some(entries) = self.name(&entry, parent, &path)? {
                if open.len() > DEPTH_MAX {
                    let what = "directories in one another";
                    return Err(ReadError::Limit { what, limit: DEPTH_MAX as u64 });
                }
                open.push(Open { nid: entry.nid, rest: entries.into_iter(), path_length: path.len() });
            }
        }
        Ok(())
    }

    /// Shows a name, and gives the names in it if it is a directory.
    fn name(&mut self, entry: &Entry, parent: u64, path: &[u8]) -> Result<Option<Vec<Entry>>, ReadError> {
        let inode = self.filesystem.inode(entry.nid)?;
        if file_type_number(inode.fields.file_type()) != entry.file_type || entry.file_type == 0 {
            return Err(inode.corrupt("a name says that it is of another type"));
        }
        let is_directory = inode.fields.file_type() == S_IFDIR;
        if inode.fields.links == 0 {
            return Err(inode.corrupt("a name leads to it and it has no links"));
        }
        if !self.shown.insert(entry.nid) {
            if is_directory || inode.fields.links < 2 {
                return Err(inode.corrupt("more names lead to it than it has links"));
            }
            writeln!(self.out, "{} = {}", entry.nid, escape(path))?;
            return Ok(None);
        }
        self.line(&inode)?;
        write!(self.out, " {}", escape(path))?;
        if inode.fields.file_type() == S_IFLNK {
            write!(self.out, " -> {}", escape(&self.text(&inode)?))?;
        }
        writeln!(self.out)?;
        self.data(&inode)?;
        self.xattrs(&inode)?;
        if !is_directory {
            return Ok(None);
        }
        self.owns(&inode, inode.fields.size)?;
        let most = self.filesystem.names_max().saturating_sub(self.names);
        let entries = self.filesystem.entries(&inode, parent, most)?;
        self.names += entries.len() as u64;
        Ok(Some(entries))
    }

    /// The line of an inode, without its path.
    fn line(&mut self, inode: &Inode) -> Result<(), ReadError> {
        let fields = &inode.fields;
        let letter = match fields.file_type() {
            S_IFDIR => 'd',
            S_IFREG => '-',
            S_IFLNK => 'l',
            S_IFCHR => 'c',
            S_IFBLK => 'b',
            S_IFIFO => 'p',
            S_IFSOCK => 's',
            _ => '?',
        };
        let mode = fields.mode & 0o7777;
        write!(self.out, "{} {letter}{mode:04o} {} ", inode.nid, fields.links)?;
        write!(self.out, "{}:{} ", fields.uid, fields.gid)?;
        match fields.file_type() {
            S_IFCHR | S_IFBLK => {
                let Device { major, minor } = Device::split(fields.u.into());
                write!(self.out, "{major},{minor}")?;
            }
            _ => write!(self.out, "{}", fields.size)?,
        }
        write!(self.out, " {}", fields.mtime.seconds)?;
        if fields.mtime.nanoseconds != 0 {
            write!(self.out, ".{:09}", fields.mtime.nanoseconds)?;
        }
        Ok(())
    }

    /// Notes that an inode has so many bytes of metadata behind it or in blocks, which no other inode has.
    fn owns(&mut self, inode: &Inode, bytes: u64) -> Result<(), ReadError> {
        self.metadata = self.metadata.saturating_add(bytes);
        match self.metadata > self.filesystem.end {
            true => Err(inode.corrupt("it has bytes that others have")),
            false => Ok(()),
        }
    }

    /// What an inode is like, and where its data lies.
    fn data(&mut self, inode: &Inode) -> Result<(), ReadError> {
        self.owns(inode, inode.fields.length + inode.fields.xattrs)?;
        write!(self.out, "    {}", if inode.fields.is_extended() { "extended" } else { "small" })?;
        if matches!(inode.fields.file_type(), S_IFREG | S_IFDIR | S_IFLNK) {
            match inode.fields.layout {
                LAYOUT_CHUNKS => self.chunks(inode)?,
                LAYOUT_COMPRESSED | LAYOUT_COMPRESSED_FULL => self.clusters(inode)?,
                _ => self.flat(inode)?,
            }
        }
        writeln!(self.out)
    }

    fn flat(&mut self, inode: &Inode) -> Result<(), ReadError> {
        let Some(flat) = self.filesystem.flat(inode)? else { return Ok(()) };
        if flat.blocks > 0 {
            write!(self.out, ", blocks 0+{}@{}", flat.blocks, flat.start)?;
        }
        if flat.tail > 0 {
            write!(self.out, ", {} bytes behind it", flat.tail)?;
        }
        if flat.blocks == 0 && flat.tail < inode.fields.size {
            write!(self.out, ", a hole")?;
        }
        Ok(())
    }

    fn chunks(&mut self, inode: &Inode) -> Result<(), ReadError> {
        let chunks = self.filesystem.chunks(inode)?;
        self.owns(inode, chunks.map)?;
        write!(self.out, ", chunks of {}, blocks", chunks.length)?;
        self.filesystem.runs(inode, &chunks, &mut |run| {
            write!(self.out, " {}+{}@", run.first, run.blocks)?;
            match run.device {
                0 => write!(self.out, "{}", run.start),
                device => write!(self.out, "{device}:{}", run.start),
            }
        })
    }

    fn clusters(&mut self, inode: &Inode) -> Result<(), ReadError> {
        let map = self.filesystem.map(inode)?;
        self.owns(inode, map.length)?;
        let index = if map.is_full { "full index" } else { "compact index" };
        write!(self.out, ", {}, {index}", algorithm(map.algorithms[0]))?;
        if map.is_interlaced() {
            write!(self.out, ", interlaced")?;
        }
        write!(self.out, ", {} blocks, clusters", inode.blocks)?;
        self.filesystem.clusters(inode, &map, &mut |cluster| self.cluster(&map, &cluster))
    }

    fn cluster(&mut self, map: &Map, cluster: &Cluster) -> Result<(), ReadError> {
        write!(self.out, " {}+{}@", cluster.from, cluster.to - cluster.from)?;
        match cluster.stored {
            Stored::Blocks { start, blocks } => write!(self.out, "{start}+{blocks}")?,
            Stored::Behind(length) => write!(self.out, "here+{length}")?,
            Stored::Fragment(offset) => return write!(self.out, "packed+{offset}"),
        }
        match cluster.algorithm {
            None => write!(self.out, " (plain)")?,
            Some(number) if number == map.algorithms[0] => {}
            Some(number) => write!(self.out, " ({})", algorithm(number))?,
        }
        if cluster.is_part {
            write!(self.out, " (part)")?;
        }
        Ok(())
    }

    fn xattrs(&mut self, inode: &Inode) -> Result<(), ReadError> {
        for (name, value) in self.filesystem.xattrs(inode, self.prefixes)? {
            write!(self.out, "    {}", escape(&name))?;
            if let Some(at) = value.shared_at {
                self.shared += (name.len() + value.bytes.len()) as u64;
                if self.shared > SHARED_MAX {
                    let what = "bytes of shared attributes";
                    return Err(ReadError::Limit { what, limit: SHARED_MAX });
                }
                write!(self.out, " (shared at {at})")?;
            }
            write!(self.out, " = ")?;
            self.value(&value.bytes)?;
        }
        Ok(())
    }

    /// A value as text if it is that, or in hexadecimal digits.
    fn value(&mut self, bytes: &[u8]) -> Result<(), ReadError> {
        match std::str::from_utf8(bytes) {
            Ok(text) if !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() || c == ' ') => {
                writeln!(self.out, "{text:?}")
            }
            _ => {
                write!(self.out, "0x")?;
                bytes.iter().try_for_each(|byte| write!(self.out, "{byte:02x}"))?;
                writeln!(self.out)
            }
        }
    }

    /// The text of a link.
    fn text(&self, inode: &Inode) -> Result<Vec<u8>, ReadError> {
        let Some(flat) = self.filesystem.flat(inode)? else {
            return Err(ReadError::Unsupported { what: "a link's text in chunks or clusters".into() });
        };
        if !(1..=TEXT_MAX).contains(&inode.fields.size) {
            return Err(inode.corrupt("the text of the link has an impossible length"));
        }
        let text = self.filesystem.flat_bytes(inode, flat, 0, TEXT_MAX)?;
        if text.is_empty() { Err(inode.corrupt("the text of the link is a hole")) } else { Ok(text) }
    }
}

/// The name of an algorithm; a map has no other numbers.
fn algorithm(number: u8) -> &'static str {
    ALGORITHMS.get(usize::from(number)).copied().unwrap_or("?")
}

/// Sixteen bytes as a UUID is written.
fn uuid(bytes: &[u8; 16]) -> String {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}
