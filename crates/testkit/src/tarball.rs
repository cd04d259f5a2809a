//! Tarballs of any kind, the malformed ones too: headers are good until somebody spoils them.

/// A tarball that is being made.
#[derive(Debug, Clone, Default)]
pub struct Tarball(pub Vec<u8>);

/// A header that is being made: good until somebody spoils it.
#[derive(Debug, Clone)]
pub struct Header(pub [u8; 512]);

/// A plain ustar header: mode 0644, everything else 0.
pub fn header(name: &[u8], typeflag: u8) -> Header {
    let mut header = Header([0; 512]);
    header.0[..name.len()].copy_from_slice(name);
    header.0[156] = typeflag;
    header.0[257..265].copy_from_slice(b"ustar\x0000");
    header.mode(b"0000644\0").size(0)
}

impl Header {
    /// Overwrites bytes of the block.
    pub fn set(mut self, at: usize, bytes: &[u8]) -> Header {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    /// Sets the mode field.
    pub fn mode(self, bytes: &[u8]) -> Header {
        self.set(100, bytes)
    }

    /// Sets the owner's field.
    pub fn uid(self, bytes: &[u8]) -> Header {
        self.set(108, bytes)
    }

    /// Sets the group's field.
    pub fn gid(self, bytes: &[u8]) -> Header {
        self.set(116, bytes)
    }

    /// Sets the size field.
    pub fn size(self, size: u64) -> Header {
        self.set(124, format!("{size:011o}\0").as_bytes())
    }

    /// Sets the time's field.
    pub fn mtime(self, bytes: &[u8]) -> Header {
        self.set(136, bytes)
    }

    /// Sets the link's target, at most 100 bytes.
    pub fn link(self, target: &[u8]) -> Header {
        self.set(157, target)
    }

    /// Sets the device's number.
    pub fn device(self, major: u32, minor: u32) -> Header {
        self.set(329, format!("{major:07o}\0{minor:07o}\0").as_bytes())
    }

    /// Makes it a header of GNU tar's.
    pub fn gnu(self) -> Header {
        self.set(257, b"ustar  \0")
    }

    /// Makes it a header without a magic.
    pub fn v7(self) -> Header {
        self.set(257, &[0; 8])
    }

    fn summed(self, signed: bool) -> [u8; 512] {
        let mut block = self.set(148, b"        ").0;
        let unsigned_sum: i64 = block.iter().map(|&b| i64::from(b)).sum();
        let signed_sum: i64 = block.iter().map(|&b| i64::from(b as i8)).sum();
        let sum = if signed { signed_sum } else { unsigned_sum };
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        block
    }
}

/// One pax record.
pub fn record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut length = 0;
    loop {
        let record = [length.to_string().as_bytes(), b" ", key, b"=", value, b"\n"].concat();
        if record.len() == length {
            return record;
        }
        length = record.len();
    }
}

impl Tarball {
    /// An empty one.
    pub fn new() -> Tarball {
        Tarball::default()
    }

    /// Header and content, padded; the size field is left as it is.
    pub fn raw(mut self, header: Header, content: &[u8]) -> Tarball {
        self.0.extend(header.summed(false));
        self.bytes(content)
    }

    /// A header with the sum of signed bytes, as some old writers had it.
    pub fn signed(mut self, header: Header) -> Tarball {
        self.0.extend(header.summed(true));
        self
    }

    /// Bytes without a header, padded.
    pub fn bytes(mut self, content: &[u8]) -> Tarball {
        self.0.extend(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    /// Header and content, with the right size.
    pub fn sized(self, header: Header, content: &[u8]) -> Tarball {
        self.raw(header.size(content.len() as u64), content)
    }

    /// A regular file.
    pub fn file(self, name: &str, content: &[u8]) -> Tarball {
        self.sized(header(name.as_bytes(), b'0'), content)
    }

    /// A directory, 0755.
    pub fn dir(self, name: &str) -> Tarball {
        self.raw(header(name.as_bytes(), b'5').mode(b"0000755\0"), b"")
    }

    /// A symbolic link.
    pub fn symlink(self, name: &str, text: &str) -> Tarball {
        self.raw(header(name.as_bytes(), b'2').link(text.as_bytes()), b"")
    }

    /// A hard link.
    pub fn hardlink(self, name: &str, target: &str) -> Tarball {
        self.raw(header(name.as_bytes(), b'1').link(target.as_bytes()), b"")
    }

    /// Records for the next entry.
    pub fn pax(self, records: &[(&str, &[u8])]) -> Tarball {
        let records =
            records.iter().map(|(key, value)| record(key.as_bytes(), value)).collect::<Vec<_>>().concat();
        self.sized(header(b"PaxHeaders/x", b'x'), &records)
    }

    /// Records for all entries that follow.
    pub fn global(self, records: &[(&str, &[u8])]) -> Tarball {
        let records =
            records.iter().map(|(key, value)| record(key.as_bytes(), value)).collect::<Vec<_>>().concat();
        self.sized(header(b"pax_global_header", b'g'), &records)
    }

    /// GNU's header for a name that is too long.
    pub fn long_name(self, name: &[u8]) -> Tarball {
        self.sized(header(b"././@LongLink", b'L').gnu(), &[name, b"\0"].concat())
    }

    /// GNU's header for a target that is too long.
    pub fn long_link(self, name: &[u8]) -> Tarball {
        self.sized(header(b"././@LongLink", b'K').gnu(), &[name, b"\0"].concat())
    }

    /// The end marker.
    pub fn end(mut self) -> Vec<u8> {
        self.0.extend([0; 1024]);
        self.0
    }
}
