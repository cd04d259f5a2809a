//! How bytes stand in a field: graphic ASCII as it is, the rest behind a backslash.

use std::fmt::{self, Write};

/// Which bytes mean something in a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    /// One that may be missing, which `-` says.
    Optional,
    /// The name or value of an attribute, between which `=` stands.
    Attribute,
}

/// Writes bytes as the C tool does.
pub(super) fn write(out: &mut impl Write, bytes: &[u8], field: Field) -> fmt::Result {
    match (field, bytes) {
        (Field::Optional, b"") => return out.write_char('-'),
        (Field::Optional, b"-") => return out.write_str("\\x2d"),
        _ => {}
    }
    for &byte in bytes {
        match byte {
            b'\\' => out.write_str("\\\\")?,
            b'\n' => out.write_str("\\n")?,
            b'\r' => out.write_str("\\r")?,
            b'\t' => out.write_str("\\t")?,
            b'=' if field == Field::Attribute => out.write_str("\\x3d")?,
            b'!'..=b'~' => out.write_char(byte.into())?,
            _ => write!(out, "\\x{byte:02x}")?,
        }
    }
    Ok(())
}

/// Reads bytes back; `None` for a backslash with anything else behind it.
pub(super) fn read(field: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.iter();
    while let Some(&byte) = rest.next() {
        bytes.push(match byte {
            b'\\' => match rest.next()? {
                b'\\' => b'\\',
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'x' => {
                    let mut digit = || char::from(*rest.next()?).to_digit(16);
                    (digit()? << 4 | digit()?) as u8
                }
                _ => return None,
            },
            _ => byte,
        });
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for (bytes, field, text) in [
            (&b""[..], Field::Optional, "-"),
            (b"", Field::Attribute, ""),
            (b"-", Field::Optional, "\\x2d"),
            (b"-", Field::Attribute, "-"),
            (b"--", Field::Optional, "--"),
            (b"a b", Field::Optional, "a\\x20b"),
            (b"a=b", Field::Optional, "a=b"),
            (b"a=b", Field::Attribute, "a\\x3db"),
            (b"\n\r\t\\\0\x7f\xff~!", Field::Optional, "\\n\\r\\t\\\\\\x00\\x7f\\xff~!"),
        ] {
            let mut out = String::new();
            write(&mut out, bytes, field).unwrap();
            assert_eq!(out, text);
            if text != "-" || field == Field::Attribute {
                assert_eq!(read(text.as_bytes()).as_deref(), Some(bytes), "{text}");
            }
        }
        for wrong in ["\\", "\\a", "\\x", "\\x1", "\\xg0", "\\x0g"] {
            assert_eq!(read(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
