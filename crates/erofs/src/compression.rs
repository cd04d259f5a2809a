//! How contents are compressed.

use std::fmt;
use std::str::FromStr;

use crate::format::{CLUSTERS_SINCE, DEFLATE_SINCE, ZSTD_SINCE};
use crate::{Error, Kernel};

/// How contents are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compression {
    /// By which algorithm.
    pub algorithm: Algorithm,
    /// Most bytes that one *physical cluster* takes, which is read and expanded as one.
    pub cluster: ClusterSize,
}

/// An algorithm with its level.
///
/// ```
/// use unlade_erofs::Algorithm;
///
/// assert_eq!("lz4hc,12".parse::<Algorithm>().unwrap(), Algorithm::Lz4hc(12));
/// assert_eq!("zstd".parse::<Algorithm>().unwrap().to_string(), "zstd,3");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// LZ4 as fast as it gets.
    Lz4,
    /// LZ4 that is expanded as fast and compressed slowly; levels 1 to 12.
    Lz4hc(u8),
    /// DEFLATE; levels 1 to 12. Linux 6.6.
    Deflate(u8),
    /// Zstandard; levels 1 to 22. Linux 6.10.
    Zstd(u8),
}

impl Algorithm {
    /// Its name, the levels that it has and the one it has by default.
    const ALL: [(&'static str, u8, u8); 4] =
        [("lz4", 0, 0), ("lz4hc", 12, 9), ("deflate", 12, 6), ("zstd", 22, 3)];

    /// The first kernel that reads it.
    pub fn since(self) -> Kernel {
        match self {
            Algorithm::Lz4 | Algorithm::Lz4hc(_) => Kernel::FIRST,
            Algorithm::Deflate(_) => DEFLATE_SINCE,
            Algorithm::Zstd(_) => ZSTD_SINCE,
        }
    }

    /// Its number on the disk (`Z_EROFS_COMPRESSION_*`).
    pub(crate) fn number(self) -> u8 {
        match self {
            Algorithm::Lz4 | Algorithm::Lz4hc(_) => 0,
            Algorithm::Deflate(_) => 2,
            Algorithm::Zstd(_) => 3,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Algorithm::Lz4 => "lz4",
            Algorithm::Lz4hc(_) => "lz4hc",
            Algorithm::Deflate(_) => "deflate",
            Algorithm::Zstd(_) => "zstd",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Algorithm::Lz4 => f.write_str(self.name()),
            Algorithm::Lz4hc(level) | Algorithm::Deflate(level) | Algorithm::Zstd(level) => {
                write!(f, "{},{level}", self.name())
            }
        }
    }
}

impl FromStr for Algorithm {
    type Err = Error;

    /// Reads `NAME` or `NAME,LEVEL`.
    fn from_str(text: &str) -> Result<Algorithm, Error> {
        let (name, level) = text.split_once(',').map_or((text, None), |(name, level)| (name, Some(level)));
        let known = Algorithm::ALL.into_iter().find(|known| known.0 == name);
        let Some((_, highest, usual)) = known else {
            return Err(Error::Option { what: "not an algorithm of EROFS: lz4, lz4hc, deflate or zstd" });
        };
        let level = match level.map(str::parse) {
            None => usual,
            Some(Ok(level)) if (1..=highest).contains(&level) => level,
            Some(_) => {
                return Err(Error::Option {
                    what: match name {
                        "lz4" => "lz4 has no levels; lz4hc has",
                        "lz4hc" => "lz4hc has the levels 1 to 12",
                        "deflate" => "deflate has the levels 1 to 12",
                        _ => "zstd has the levels 1 to 22",
                    },
                });
            }
        };
        Ok(match name {
            "lz4" => Algorithm::Lz4,
            "lz4hc" => Algorithm::Lz4hc(level),
            "deflate" => Algorithm::Deflate(level),
            _ => Algorithm::Zstd(level),
        })
    }
}

/// Bytes of a physical cluster at most: a multiple of 4096, up to 1 MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClusterSize(u32);

impl ClusterSize {
    /// One block: what the oldest kernels read.
    pub const BLOCK: ClusterSize = ClusterSize(4096);
    /// What is taken where kernels read it.
    pub const DEFAULT: ClusterSize = ClusterSize(64 << 10);
    /// `Z_EROFS_PCLUSTER_MAX_SIZE`
    const MAX: u64 = 1 << 20;

    /// Takes a number of bytes.
    pub fn new(bytes: u64) -> Result<ClusterSize, Error> {
        match bytes {
            4096..=ClusterSize::MAX if bytes.is_multiple_of(4096) => Ok(ClusterSize(bytes as u32)),
            _ => Err(Error::Option { what: "a cluster has 4096 bytes or a multiple of that, up to 1 MiB" }),
        }
    }

    /// The usual one for a kernel.
    pub fn for_kernel(kernel: Kernel) -> ClusterSize {
        if kernel < CLUSTERS_SINCE { ClusterSize::BLOCK } else { ClusterSize::DEFAULT }
    }

    /// The number of bytes.
    pub fn bytes(self) -> u32 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn algorithms() {
        for (text, read) in [
            ("lz4", Some("lz4")),
            ("lz4,1", None),
            ("lz4hc", Some("lz4hc,9")),
            ("lz4hc,12", Some("lz4hc,12")),
            ("lz4hc,13", None),
            ("deflate", Some("deflate,6")),
            ("deflate,0", None),
            ("zstd", Some("zstd,3")),
            ("zstd,22", Some("zstd,22")),
            ("zstd,", None),
            ("zstd,-1", None),
            ("lzma", None),
            ("", None),
        ] {
            let algorithm = text.parse::<Algorithm>().ok().map(|algorithm| algorithm.to_string());
            assert_eq!(algorithm.as_deref(), read, "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (bytes, good) in
            [(0, false), (4096, true), (6000, false), (65_536, true), (1 << 20, true), (1 << 21, false)]
        {
            assert_eq!(ClusterSize::new(bytes).is_ok(), good, "{bytes}");
        }
    }
}
