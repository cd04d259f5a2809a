//! Extension records: `length key=value\n`, where the length counts the whole record.
//!
//! POSIX: "the value … shall be … unsigned decimal … the length of the extended header record in octets,
//! including the trailing newline". Values are bytes and may hold anything, newlines and `=` too.

use tree::Time;

use super::Segment;
use super::header::size;
use crate::error::Error;

/// Iterates over the records of a header that was checked when it was read: keys and values.
#[derive(Debug, Clone)]
pub struct Records<'a>(&'a [u8]);

impl<'a> Records<'a> {
    pub(super) fn new(checked: &'a [u8]) -> Records<'a> {
        Records(checked)
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (key, value, rest) = record(self.0)?;
        self.0 = rest;
        Some((key, value))
    }
}

/// Splits the first record off. `None` where there is none, or no good one.
fn record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    // Ten digits are more than any header that is accepted can have.
    let blank = bytes.iter().take(11).position(|&b| b == b' ')?;
    let length = usize::try_from(decimal(&bytes[..blank])?).ok()?;
    if length <= blank || length > bytes.len() {
        return None;
    }
    let (record, rest) = bytes.split_at(length);
    let body = record[blank + 1..].strip_suffix(b"\n")?;
    let equals = body.iter().position(|&b| b == b'=')?;
    (equals > 0).then(|| (&body[..equals], &body[equals + 1..], rest))
}

/// Checks that `bytes` are records to their end.
pub(super) fn check(mut bytes: &[u8]) -> Result<(), Error> {
    while !bytes.is_empty() {
        let Some((_, _, rest)) = record(bytes) else {
            return Err(Error::corrupt("malformed pax record"));
        };
        bytes = rest;
    }
    Ok(())
}

/// What the records say of fields that a header has too, or should have. A record with an empty value takes
/// back what stood before it: "the … field shall be deleted".
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fields<'a> {
    pub(super) path: Option<&'a [u8]>,
    pub(super) linkpath: Option<&'a [u8]>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<i128>,
    pub(super) gid: Option<i128>,
    pub(super) mtime: Option<Time>,
    pub(super) devmajor: Option<i128>,
    pub(super) devminor: Option<i128>,
    pub(super) sparse: SparseFields<'a>,
}

/// The records of GNU's sparse formats 0.0 (`numblocks`, pairs), 0.1 (`map`) and 1.0 (`major`, `minor`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SparseFields<'a> {
    pub(super) major: Option<u64>,
    pub(super) minor: Option<u64>,
    pub(super) name: Option<&'a [u8]>,
    /// `GNU.sparse.size` of 0.x, `GNU.sparse.realsize` of 1.0.
    pub(super) real_size: Option<u64>,
    pub(super) segments: u64,
    pub(super) map: Option<&'a [u8]>,
    pub(super) pairs: Vec<Segment>,
    /// An offset of 0.0 whose length has not come yet.
    offset: Option<u64>,
}

impl SparseFields<'_> {
    pub(super) fn is_empty(&self) -> bool {
        *self == SparseFields::default()
    }

    /// Whether an offset is still without its length.
    pub(super) fn unpaired(&self) -> bool {
        self.offset.is_some()
    }
}

impl<'a> Fields<'a> {
    /// Takes checked records in.
    pub(super) fn parse(records: &'a [u8]) -> Result<Fields<'a>, Error> {
        let mut fields = Fields::default();
        for (key, value) in Records::new(records) {
            fields.take(key, value)?;
        }
        Ok(fields)
    }

    fn take(&mut self, key: &[u8], value: &'a [u8]) -> Result<(), Error> {
        let text = (!value.is_empty()).then_some(value);
        match key {
            b"path" => self.path = text,
            b"linkpath" => self.linkpath = text,
            b"size" => self.size = text.map(|text| integer(text).and_then(size)).transpose()?,
            b"uid" => self.uid = text.map(integer).transpose()?,
            b"gid" => self.gid = text.map(integer).transpose()?,
            b"mtime" => self.mtime = text.map(time).transpose()?,
            b"SCHILY.devmajor" => self.devmajor = text.map(integer).transpose()?,
            b"SCHILY.devminor" => self.devminor = text.map(integer).transpose()?,
            _ => {
                if let Some(key) = key.strip_prefix(b"GNU.sparse.") {
                    self.sparse.take(key, value)?;
                }
            }
        }
        Ok(())
    }
}

impl<'a> SparseFields<'a> {
    fn take(&mut self, key: &[u8], value: &'a [u8]) -> Result<(), Error> {
        let number = || integer(value).and_then(size);
        match key {
            b"major" => self.major = Some(number()?),
            b"minor" => self.minor = Some(number()?),
            b"name" => self.name = Some(value),
            b"size" | b"realsize" => self.real_size = Some(number()?),
            b"numblocks" => self.segments = number()?,
            b"map" => self.map = Some(value),
            b"offset" => match self.offset.replace(number()?) {
                None => {}
                Some(_) => return Err(Error::corrupt("sparse map with an offset and no length")),
            },
            b"numbytes" => match self.offset.take() {
                Some(offset) => self.pairs.push(Segment { offset, length: number()? }),
                None => return Err(Error::corrupt("sparse map with a length and no offset")),
            },
            _ => {}
        }
        Ok(())
    }
}

/// Decimal digits and nothing else. Numbers have no sign and no blank here.
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |value, digit| match digit {
        b'0'..=b'9' => value.checked_mul(10)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}

fn integer(text: &[u8]) -> Result<i128, Error> {
    let (negative, digits) = sign(text);
    let number = decimal(digits).ok_or_else(|| Error::corrupt("pax record is not a number that fits"))?;
    Ok(if negative { -i128::from(number) } else { i128::from(number) })
}

fn sign(text: &[u8]) -> (bool, &[u8]) {
    match text.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, text),
    }
}

/// Seconds with a fraction of any length; what is finer than a nanosecond is cut off.
fn time(text: &[u8]) -> Result<Time, Error> {
    let bad = || Error::corrupt("pax time is not a number that fits");
    let (negative, text) = sign(text);
    let mut parts = text.splitn(2, |&b| b == b'.');
    let (seconds, fraction) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let seconds = i128::from(decimal(seconds).ok_or_else(bad)?);
    if !fraction.iter().all(u8::is_ascii_digit) {
        return Err(bad());
    }
    let digits = fraction.iter().copied().chain(std::iter::repeat(b'0'));
    let nanoseconds = digits.take(9).fold(0, |value, digit| value * 10 + u32::from(digit - b'0'));
    let (seconds, nanoseconds) = match (negative, nanoseconds) {
        (false, _) => (seconds, nanoseconds),
        (true, 0) => (-seconds, nanoseconds),
        (true, _) => (-seconds - 1, 1_000_000_000 - nanoseconds),
    };
    Ok(Time { seconds: i64::try_from(seconds).map_err(|_| bad())?, nanoseconds })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (text, expected) in [
            ("0", Some((0, 0))),
            ("1.5", Some((1, 500_000_000))),
            ("1.", Some((1, 0))),
            ("1.0000000019", Some((1, 1))),
            ("-1", Some((-1, 0))),
            ("-1.5", Some((-2, 500_000_000))),
            ("-0.25", Some((-1, 750_000_000))),
            ("16725225600", Some((16_725_225_600, 0))),
            ("9223372036854775807.9", Some((i64::MAX, 900_000_000))),
            ("9223372036854775808", None),
            ("-9223372036854775808", Some((i64::MIN, 0))),
            ("-9223372036854775807.5", Some((i64::MIN, 500_000_000))),
            ("-9223372036854775808.5", None),
            (".5", None),
            ("1.x", None),
            ("1.5.5", None),
            ("+1", None),
            ("- 1", None),
        ] {
            let expected = expected.map(|(seconds, nanoseconds)| Time { seconds, nanoseconds });
            assert_eq!(time(text.as_bytes()).ok(), expected, "{text}");
        }
    }

    #[test]
    fn records() {
        for (bytes, good) in [
            (&b""[..], true),
            (b"6 a=b\n", true),
            (b"5 a=\n", true),
            (b"9 a=b=\nc\n", true),
            (b"6 a=b\n6 c=d\n", true),
            (b"06 a=b\n", false),
            (b"7 a=b\n", false),
            (b"5 a=b\n", false),
            (b"6 a=bc", false),
            (b"6 abc\n", false),
            (b"5 =b\n", false),
            (b"0 a=b\n", false),
            (b"-6 a=b\n", false),
            (b"6 a=b\n\0\0", false),
            (b"99999999999999999999 a=b\n", false),
        ] {
            assert_eq!(check(bytes).is_ok(), good, "{}", tree::escape(bytes));
        }
    }
}
