//! Making one entry of all the headers that speak of it.

use std::io::BufRead;

use tree::{Device, Time};

use super::header::{BLOCK, Dialect, Header, field};
use super::pax::{self, Fields};
use super::reader::{Extensions, Reader, truncated};
use super::{Entry, EntryKind};
use crate::error::{Cap, Error};

/// Fields that a global header gives to all entries behind it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Globals {
    uid: Option<i128>,
    gid: Option<i128>,
    mtime: Option<Time>,
}

impl<R: BufRead> Reader<R> {
    /// Makes an entry of its header and what stood before it.
    pub(super) fn resolve(&mut self, header: &Header, extensions: Extensions) -> Result<Entry, Error> {
        let Extensions { name, link, records, .. } = extensions;
        self.name = name.unwrap_or_else(|| header.name());
        let fields = Fields::parse(&records)?;
        if let Some(name) = fields.sparse.name.or(fields.path) {
            self.name = name.to_vec();
        }
        let name = self.name.clone();
        if self.entries >= self.limits.entries {
            return Err(Error::limit(Cap::Entries, self.limits.entries));
        }
        let link = match fields.linkpath {
            Some(link) => link.to_vec(),
            None => link.unwrap_or_else(|| header.linkname().to_vec()),
        };
        let kind = kind(header, &name)?;
        let stored = match fields.size {
            Some(size) => size,
            None => header.size()?,
        };
        let device = match kind {
            EntryKind::CharDevice | EntryKind::BlockDevice => device(header, &fields)?,
            _ => Device { major: 0, minor: 0 },
        };
        let mtime = match fields.mtime.or(self.globals.mtime) {
            Some(time) => time,
            None => Time { seconds: seconds(header.number(field::MTIME, "mtime")?)?, nanoseconds: 0 },
        };
        let uid = match fields.uid.or(self.globals.uid) {
            Some(uid) => uid,
            None => header.number(field::UID, "uid")?,
        };
        let gid = match fields.gid.or(self.globals.gid) {
            Some(gid) => gid,
            None => header.number(field::GID, "gid")?,
        };
        let mut entry = Entry {
            index: self.entries,
            kind,
            name,
            link,
            // What lies above belongs to nobody.
            mode: header.number(field::MODE, "mode")? as u32,
            uid: owner(uid, "uid")?,
            gid: owner(gid, "gid")?,
            mtime,
            device,
            content_offset: 0,
            size: 0,
            sparse: None,
            records: Vec::new(),
        };
        match kind {
            EntryKind::File | EntryKind::Unknown(_) => {
                self.expect_content(stored);
                entry.sparse = self.sparse(header, &fields, stored)?;
                entry.size = self.content;
                entry.content_offset = self.position;
            }
            _ => {
                entry.content_offset = self.position;
                self.skip_body(stored)?;
            }
        }
        entry.records = records;
        self.entries += 1;
        Ok(entry)
    }

    /// Skips the body of an entry that has a size and should have no content.
    ///
    /// POSIX has been of several minds: ustar says that a link's size is what the file's was and no content
    /// follows, pax allows content. Readers that run containers take none. So: where a header or the archive's
    /// end follows at once there is no body, and where anything else does it can only be one.
    fn skip_body(&mut self, size: u64) -> Result<(), Error> {
        if size == 0 {
            return Ok(());
        }
        let mut block = [0; BLOCK];
        let length = self.read_block(&mut block)?;
        if length == 0 {
            return Ok(());
        }
        if length < BLOCK {
            return Err(truncated("an entry's content"));
        }
        if block == [0; BLOCK] || Header::parse(&block).is_ok() {
            self.ahead = Some(block);
            return Ok(());
        }
        self.expect_content(size);
        let first = size.min(BLOCK as u64);
        self.content -= first;
        self.padding = if self.content == 0 { 0 } else { self.padding };
        // The index is not counted up yet, so that a message names this entry.
        self.entries += 1;
        let skipped = self.skip_content();
        self.entries -= 1;
        skipped
    }
}

impl Globals {
    /// Takes the records of a global header in. A name or a size for every entry makes no sense, and
    /// attributes for every entry would multiply a few bytes into gigabytes.
    pub(super) fn take(&mut self, records: &[u8]) -> Result<(), Error> {
        for (key, _) in pax::Records::new(records) {
            let refused = matches!(key, b"path" | b"linkpath" | b"size")
                || [&b"GNU.sparse."[..], b"SCHILY.xattr.", b"SCHILY.acl.", b"LIBARCHIVE.xattr."]
                    .iter()
                    .any(|prefix| key.starts_with(prefix));
            if refused {
                let what = format!("global header gives \"{}\" to every entry", tree::escape(key));
                return Err(Error::unsupported(what));
            }
        }
        let fields = Fields::parse(records)?;
        for (key, _) in pax::Records::new(records) {
            match key {
                b"uid" => self.uid = fields.uid,
                b"gid" => self.gid = fields.gid,
                b"mtime" => self.mtime = fields.mtime,
                _ => {}
            }
        }
        Ok(())
    }
}

fn kind(header: &Header, name: &[u8]) -> Result<EntryKind, Error> {
    let slash = name.ends_with(b"/");
    Ok(match header.typeflag() {
        // v7 had no type for directories and showed them by a slash; NUL is v7's way to say "file".
        0 if slash => EntryKind::Directory,
        b'0' if slash && header.dialect() == Dialect::V7 => EntryKind::Directory,
        // 7 is "contiguous" file, S is GNU's sparse one.
        0 | b'0' | b'7' | b'S' => EntryKind::File,
        b'1' => EntryKind::Link,
        b'2' => EntryKind::Symlink,
        b'3' => EntryKind::CharDevice,
        b'4' => EntryKind::BlockDevice,
        // D is a directory of GNU's incremental dumps, whose content lists its names.
        b'5' | b'D' => EntryKind::Directory,
        b'6' => EntryKind::Fifo,
        b'M' => return Err(Error::unsupported("part of a file whose start is in another volume")),
        other => EntryKind::Unknown(other),
    })
}

fn device(header: &Header, fields: &Fields) -> Result<Device, Error> {
    let number = |record: Option<i128>, range, what| {
        let number = match record {
            Some(number) => number,
            None => header.number(range, what)?,
        };
        u32::try_from(number).map_err(|_| Error::invalid(format!("{what} number does not fit 32 bits")))
    };
    Ok(Device {
        major: number(fields.devmajor, field::DEVMAJOR, "device's major")?,
        minor: number(fields.devminor, field::DEVMINOR, "device's minor")?,
    })
}

fn owner(number: i128, what: &str) -> Result<u32, Error> {
    u32::try_from(number).map_err(|_| {
        let why = if number < 0 { "is negative" } else { "does not fit 32 bits" };
        Error::invalid(format!("{what} {number} {why}"))
    })
}

fn seconds(number: i128) -> Result<i64, Error> {
    i64::try_from(number).map_err(|_| Error::invalid("mtime overflows 64 bits"))
}
