//! Digests as the OCI image specification writes them (`descriptor.md`, "Digests").

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use ring::digest::{Context, SHA256, SHA512};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A hash function that digests may use: the two that the specification registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// `sha256`, 32 bytes.
    Sha256,
    /// `sha512`, 64 bytes.
    Sha512,
}

impl Algorithm {
    /// The name in front of the colon.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Sha256 => "sha256",
            Algorithm::Sha512 => "sha512",
        }
    }

    /// Bytes of a hash.
    pub fn length(self) -> usize {
        match self {
            Algorithm::Sha256 => 32,
            Algorithm::Sha512 => 64,
        }
    }
}

/// The name of some bytes: a hash over all of them. Shown as `sha256:` and lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest {
    algorithm: Algorithm,
    /// The hash; bytes behind its length are zero.
    bytes: [u8; 64],
}

/// Why text is not a [`Digest`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// The algorithm is none that this program knows.
    #[error("digest algorithm \"{}\" is not supported (sha256 and sha512 are)", .0.escape_default())]
    Unsupported(String),
    /// It is not `ALGORITHM:HEX` with as many lower-case digits as the algorithm has.
    #[error("malformed digest \"{}\"", .0.escape_default())]
    Malformed(String),
}

impl Digest {
    /// The digest of `bytes` under `algorithm`.
    pub fn of(algorithm: Algorithm, bytes: &[u8]) -> Digest {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(bytes);
        hasher.finish()
    }

    /// The SHA-256 digest of `bytes`.
    pub fn sha256(bytes: &[u8]) -> Digest {
        Digest::of(Algorithm::Sha256, bytes)
    }

    /// Takes a hash itself, 32 or 64 bytes as the algorithm has; `None` for any other number.
    pub fn from_bytes(algorithm: Algorithm, hash: &[u8]) -> Option<Digest> {
        let mut bytes = [0; 64];
        bytes.get_mut(..algorithm.length()).filter(|bytes| bytes.len() == hash.len())?.copy_from_slice(hash);
        Some(Digest { algorithm, bytes })
    }

    /// Which hash function it is of.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The hash itself, 32 or 64 bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.algorithm.length()]
    }

    /// The part behind the colon.
    pub fn hex(&self) -> String {
        let mut hex = String::with_capacity(2 * self.algorithm.length());
        for byte in self.as_bytes() {
            for digit in [byte >> 4, byte & 15] {
                hex.push(char::from_digit(digit.into(), 16).expect("a nibble is a digit"));
            }
        }
        hex
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Digest, DigestError> {
        // Error texts quote the input, which may be anybody's and any length.
        let quoted = || text.chars().take(200).collect::<String>();
        let (name, hex) = text.split_once(':').ok_or_else(|| DigestError::Malformed(quoted()))?;
        let algorithm = match name {
            "sha256" => Algorithm::Sha256,
            "sha512" => Algorithm::Sha512,
            // The grammar of the specification, so that `../..` is called malformed, not unsupported.
            _ if !name.is_empty()
                && name
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+._-".contains(&b))
                && hex.bytes().all(|b| b.is_ascii_alphanumeric() || b"=_-".contains(&b)) =>
            {
                return Err(DigestError::Unsupported(name.chars().take(50).collect()));
            }
            _ => return Err(DigestError::Malformed(quoted())),
        };
        if hex.len() != 2 * algorithm.length() {
            return Err(DigestError::Malformed(quoted()));
        }
        let mut bytes = [0; 64];
        for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            match (nibble(pair[0]), nibble(pair[1])) {
                (Some(high), Some(low)) => *byte = high << 4 | low,
                _ => return Err(DigestError::Malformed(quoted())),
            }
        }
        Ok(Digest { algorithm, bytes })
    }
}

/// Lower case alone: the specification allows no other, and a digest has one spelling.
fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.name(), self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Ord for Digest {
    fn cmp(&self, other: &Digest) -> Ordering {
        (self.algorithm, self.bytes).cmp(&(other.algorithm, other.bytes))
    }
}

impl PartialOrd for Digest {
    fn partial_cmp(&self, other: &Digest) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Computes a digest piece by piece.
#[derive(Clone)]
pub struct Hasher {
    algorithm: Algorithm,
    context: Context,
}

impl Hasher {
    /// Starts with no bytes.
    pub fn new(algorithm: Algorithm) -> Hasher {
        let function = match algorithm {
            Algorithm::Sha256 => &SHA256,
            Algorithm::Sha512 => &SHA512,
        };
        Hasher { algorithm, context: Context::new(function) }
    }

    /// Takes in the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.context.update(bytes);
    }

    /// The digest of all bytes so far.
    pub fn finish(self) -> Digest {
        let mut bytes = [0; 64];
        let hash = self.context.finish();
        bytes[..self.algorithm.length()].copy_from_slice(hash.as_ref());
        Digest { algorithm: self.algorithm, bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn text_and_back() {
        assert_eq!(Digest::sha256(b"").to_string(), EMPTY);
        assert_eq!(EMPTY.parse::<Digest>(), Ok(Digest::sha256(b"")));
        let long = Digest::of(Algorithm::Sha512, b"abc");
        assert_eq!(long.to_string().parse::<Digest>(), Ok(long));
        assert!(long.hex().starts_with("ddaf35a193617aba"), "{long}");
    }

    #[test]
    fn what_is_no_digest() {
        let upper = EMPTY.to_uppercase().replace("SHA256", "sha256");
        for text in ["", "sha256", "sha256:", "sha256:../../etc/passwd", &upper, &EMPTY[..70], "../x:y"] {
            assert!(matches!(text.parse::<Digest>(), Err(DigestError::Malformed(_))), "{text}");
        }
        assert_eq!("blake3:00".parse::<Digest>(), Err(DigestError::Unsupported("blake3".into())));
    }
}
