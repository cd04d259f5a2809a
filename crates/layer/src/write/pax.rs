//! Making pax records.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use tree::Time;

/// Records of one header, in the order in which they are pushed.
#[derive(Default)]
pub(super) struct Records {
    bytes: Vec<u8>,
    /// Whether it is said already that names are bytes and not UTF-8.
    binary: bool,
}

impl Records {
    pub(super) fn push(&mut self, key: &[u8], value: &[u8]) {
        // The length counts its own digits, too.
        let rest = 3 + key.len() + value.len();
        let mut length = rest + 1;
        while length != rest + length.to_string().len() {
            length = rest + length.to_string().len();
        }
        self.bytes.extend_from_slice(length.to_string().as_bytes());
        for part in [b" ", key, b"=", value, b"\n"] {
            self.bytes.extend_from_slice(part);
        }
    }

    /// A record that POSIX wants in UTF-8 unless it is announced otherwise, once for all that follow.
    pub(super) fn push_name(&mut self, key: &[u8], name: &[u8]) {
        if !self.binary && std::str::from_utf8(name).is_err() {
            self.push(b"hdrcharset", b"BINARY");
            self.binary = true;
        }
        self.push(key, name);
    }

    /// An extended attribute. A name with `=` in it would end there, so it goes the way of libarchive, which
    /// encodes it.
    pub(super) fn push_xattr(&mut self, name: &[u8], value: &[u8]) {
        if !name.contains(&b'=') {
            return self.push(&[b"SCHILY.xattr.", name].concat(), value);
        }
        let mut key = b"LIBARCHIVE.xattr.".to_vec();
        for &byte in name {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => key.push(byte),
                _ => key.extend_from_slice(format!("%{byte:02X}").as_bytes()),
            }
        }
        self.push(&key, STANDARD_NO_PAD.encode(value).as_bytes());
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Seconds with as many digits behind the point as there are.
pub(super) fn time(time: Time) -> String {
    let Time { mut seconds, nanoseconds } = time;
    let mut fraction = nanoseconds;
    let mut sign = "";
    if seconds < 0 {
        sign = "-";
        if nanoseconds > 0 {
            seconds += 1;
            fraction = 1_000_000_000 - nanoseconds;
        }
    }
    let text = format!("{sign}{}.{fraction:09}", seconds.unsigned_abs());
    text.trim_end_matches('0').trim_end_matches('.').into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (seconds, nanoseconds, text) in [
            (0, 0, "0"),
            (10, 0, "10"),
            (1, 500_000_000, "1.5"),
            (1, 1, "1.000000001"),
            (-1, 0, "-1"),
            (-1, 750_000_000, "-0.25"),
            (-2, 500_000_000, "-1.5"),
            (i64::MIN, 1, "-9223372036854775807.999999999"),
        ] {
            assert_eq!(time(Time { seconds, nanoseconds }), text);
        }
    }

    #[test]
    fn lengths_count_themselves() {
        for length in [1, 5, 6, 91, 92, 93, 990, 991] {
            let mut records = Records::default();
            records.push(b"k", &vec![b'v'; length]);
            let text = String::from_utf8(records.bytes.clone()).unwrap();
            assert_eq!(text.split(' ').next(), Some(records.bytes.len().to_string().as_str()));
        }
    }
}
