//! The 512 bytes that start every entry.

use std::ops::Range;

use crate::error::Error;

/// Bytes in a block, the unit of everything in an archive.
pub(crate) const BLOCK: usize = 512;

/// Where the fields lie.
pub(crate) mod field {
    use std::ops::Range;

    pub(crate) const NAME: Range<usize> = 0..100;
    pub(crate) const MODE: Range<usize> = 100..108;
    pub(crate) const UID: Range<usize> = 108..116;
    pub(crate) const GID: Range<usize> = 116..124;
    pub(crate) const SIZE: Range<usize> = 124..136;
    pub(crate) const MTIME: Range<usize> = 136..148;
    pub(crate) const CHECKSUM: Range<usize> = 148..156;
    pub(crate) const TYPEFLAG: usize = 156;
    pub(crate) const LINKNAME: Range<usize> = 157..257;
    /// Magic and version.
    pub(crate) const MAGIC: Range<usize> = 257..265;
    pub(crate) const DEVMAJOR: Range<usize> = 329..337;
    pub(crate) const DEVMINOR: Range<usize> = 337..345;
    pub(crate) const PREFIX: Range<usize> = 345..500;
    /// star keeps access and change times behind a shorter prefix.
    pub(super) const STAR_PREFIX: Range<usize> = 345..476;
    pub(super) const STAR_MAGIC: Range<usize> = 508..512;
    /// GNU: times where POSIX has the prefix.
    pub(super) const GNU_TIMES: [Range<usize>; 2] = [345..357, 357..369];
    /// GNU: four pairs of offset and length, 12 bytes each.
    pub(super) const GNU_SPARSE: Range<usize> = 386..482;
    pub(super) const GNU_IS_EXTENDED: usize = 482;
    pub(super) const GNU_REAL_SIZE: Range<usize> = 483..495;
}

/// Which of the formats' fields a header has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Before POSIX: nothing behind the link name.
    V7,
    /// POSIX 1988, and pax.
    Ustar,
    /// The `star` program's.
    Star,
    /// GNU tar's own, made before POSIX was done.
    Gnu,
}

/// A header whose checksum is right.
pub(super) struct Header<'a>(&'a [u8; BLOCK]);

impl<'a> Header<'a> {
    /// Checks the sum. "Signed" sums come from old writers on machines whose bytes have a sign.
    pub(super) fn parse(block: &'a [u8; BLOCK]) -> Result<Header<'a>, Error> {
        let Some(expected) = number(&block[field::CHECKSUM]) else {
            return Err(Error::corrupt("not a tar header: its checksum is not a number"));
        };
        let spaces = field::CHECKSUM.len() as i128 * i128::from(b' ');
        let unsigned = |bytes: &[u8]| bytes.iter().map(|&b| u32::from(b)).sum::<u32>();
        let sum = i128::from(unsigned(block) - unsigned(&block[field::CHECKSUM])) + spaces;
        if sum == expected {
            return Ok(Header(block));
        }
        let signed = |bytes: &[u8]| bytes.iter().map(|&b| i32::from(b as i8)).sum::<i32>();
        let sum = i128::from(signed(block) - signed(&block[field::CHECKSUM])) + spaces;
        if sum == expected {
            return Ok(Header(block));
        }
        Err(Error::corrupt("not a tar header: its checksum does not match"))
    }

    pub(super) fn dialect(&self) -> Dialect {
        match &self.0[field::MAGIC] {
            b"ustar  \0" => Dialect::Gnu,
            [b'u', b's', b't', b'a', b'r', 0, ..] => match &self.0[field::STAR_MAGIC] {
                b"tar\0" => Dialect::Star,
                _ => Dialect::Ustar,
            },
            _ => Dialect::V7,
        }
    }

    pub(super) fn typeflag(&self) -> u8 {
        self.0[field::TYPEFLAG]
    }

    /// The name, with the prefix in front where the format has one.
    pub(super) fn name(&self) -> Vec<u8> {
        let prefix = match self.dialect() {
            Dialect::Ustar => self.text(field::PREFIX),
            Dialect::Star => self.text(field::STAR_PREFIX),
            Dialect::Gnu => self.misplaced_prefix(),
            Dialect::V7 => b"",
        };
        let name = self.text(field::NAME);
        if prefix.is_empty() {
            return name.into();
        }
        [prefix, name].join(&b'/')
    }

    /// Go before 1.8, and with it Docker before 1.13, wrote some long names as POSIX does into headers that say to
    /// be GNU's. Go's reader knows them by times that are no numbers, and so do the runtimes that are written in it.
    fn misplaced_prefix(&self) -> &'a [u8] {
        let is_time = |range: Range<usize>| self.0[range.start] == 0 || number(&self.0[range]).is_some();
        let prefix = self.text(field::PREFIX);
        if field::GNU_TIMES.into_iter().all(is_time) || !prefix.is_ascii() { b"" } else { prefix }
    }

    pub(super) fn linkname(&self) -> &'a [u8] {
        self.text(field::LINKNAME)
    }

    fn text(&self, range: Range<usize>) -> &'a [u8] {
        text(&self.0[range])
    }

    /// A numeric field; `what` names it in the error.
    pub(super) fn number(&self, range: Range<usize>, what: &str) -> Result<i128, Error> {
        number(&self.0[range]).ok_or_else(|| Error::corrupt(format!("{what} is not a number")))
    }

    /// The size field: what follows the header.
    pub(super) fn size(&self) -> Result<u64, Error> {
        size(self.number(field::SIZE, "size")?)
    }

    /// GNU's sparse map: the pairs in this header, whether a block with more follows, and the file's size.
    pub(super) fn gnu_sparse(&self) -> Result<(&'a [u8], bool, u64), Error> {
        let real_size = size(self.number(field::GNU_REAL_SIZE, "size of the sparse file")?)?;
        Ok((&self.0[field::GNU_SPARSE], self.0[field::GNU_IS_EXTENDED] != 0, real_size))
    }
}

/// What stands before the first NUL.
pub(super) fn text(bytes: &[u8]) -> &[u8] {
    let length = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    &bytes[..length]
}

/// A number as a size: not negative, and within what a file can have.
pub(super) fn size(number: i128) -> Result<u64, Error> {
    match i64::try_from(number) {
        Ok(size) if size >= 0 => Ok(size as u64),
        Ok(_) => Err(Error::invalid("size is negative")),
        Err(_) if number < 0 => Err(Error::invalid("size is negative")),
        Err(_) => Err(Error::invalid("size overflows 63 bits")),
    }
}

/// A numeric field: octal digits between blanks, or base 256 with the highest bit of the first byte set, where
/// the rest is big-endian in two's complement. An empty field is 0.
pub(super) fn number(field: &[u8]) -> Option<i128> {
    match field {
        [first, rest @ ..] if first & 0x80 != 0 => {
            // The marker's neighbour is the sign.
            let top = i128::from(((first & 0x7f) << 1) as i8 >> 1);
            Some(rest.iter().fold(top, |value, &byte| value << 8 | i128::from(byte)))
        }
        _ => {
            let blank = |&b: &u8| b == b' ' || b == 0;
            let start = field.iter().position(|b| !blank(b)).unwrap_or(field.len());
            let digits = field[start..].split(blank).next().unwrap_or_default();
            digits.iter().try_fold(0, |value, digit| match digit {
                b'0'..=b'7' => Some(value << 3 | i128::from(digit - b'0')),
                _ => None,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_old_go() {
        for (magic, behind, name) in [
            (b"ustar  \0", &b""[..], "name"),
            (b"ustar  \0", b"00000000017\x0000000000018\0", "00000000017/name"),
            (b"ustar  \0", b"00000000017\x0000000000017\0", "name"),
            (b"ustar  \0", b"\x80\0\0\0\0\0\0\0\0\0\0\x01", "name"),
            (b"ustar  \0", b"directory", "directory/name"),
            (b"ustar  \0", b"123456/that/looks/like/a/number", "123456/that/looks/like/a/number/name"),
            (b"ustar  \0", "verzeichnis/gr\u{fc}n".as_bytes(), "name"),
            (b"ustar\x0000", b"00000000017", "00000000017/name"),
        ] {
            let mut block = [0; BLOCK];
            block[..4].copy_from_slice(b"name");
            block[field::MAGIC].copy_from_slice(magic);
            block[field::PREFIX][..behind.len()].copy_from_slice(behind);
            let found = Header(&block).name();
            assert_eq!(String::from_utf8_lossy(&found), name, "{}", tree::escape(behind));
        }
    }

    #[test]
    fn numbers() {
        for (field, value) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"        ", Some(0)),
            (b"77777777", Some(0o77777777)),
            (b"0000648\0", None),
            (b"-000644\0", None),
            (b"0x00644\0", None),
            (b"644\0junk", Some(0o644)),
            (b"\x80\0\0\0\0\0\x01\0", Some(256)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff", Some(-1)),
            (b"\xff\xff\xff\xff\xff\xff\xff\0", Some(-256)),
            (b"\xbf\xff\xff\xff\xff\xff\xff\xff", Some((1 << 62) - 1)),
            (b"\xc0\0\0\0\0\0\0\0", Some(-(1 << 62))),
            (b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", Some((1 << 88) - 1)),
        ] {
            assert_eq!(number(field), value, "{}", tree::escape(field));
        }
    }
}
