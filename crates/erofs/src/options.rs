//! What the caller decides about a filesystem.

use std::fmt;
use std::str::FromStr;

use crate::format::{
    CHUNKS_SINCE, CLUSTERS_SINCE, DEDUPE_SINCE, DEVICES_SINCE, FRAGMENTS_SINCE, SMALL_BLOCKS_SINCE,
    WIDE_SINCE,
};
use crate::{Algorithm, ClusterSize, Compression, Error};

/// What the caller decides. Everything else follows from the tree.
///
/// ```
/// let kernel = "5.10".parse().unwrap();
/// let options = unlade_erofs::Options { min_kernel: kernel, ..unlade_erofs::Options::default() };
/// assert!(options.min_kernel < unlade_erofs::Kernel::DEFAULT);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The oldest kernel that must be able to read the filesystem.
    pub min_kernel: Kernel,
    /// Bytes of a block.
    pub block_size: BlockSize,
    /// Where the ends of files lie.
    pub tails: Tails,
    /// Where the contents of files lie.
    pub contents: Contents,
    /// What files that are equal have in common.
    pub sharing: Sharing,
    /// How many bits the numbers of blocks have.
    pub addresses: Addresses,
    /// How contents are compressed, if they are.
    pub compression: Option<Compression>,
    /// The volume's name.
    pub label: Label,
    /// The filesystem's identity. The default is one fixed value, fit for tests alone.
    pub uuid: [u8; 16],
}

impl Default for Options {
    fn default() -> Options {
        Options {
            min_kernel: Kernel::DEFAULT,
            block_size: BlockSize::B4096,
            tails: Tails::Inline,
            contents: Contents::Here,
            sharing: Sharing::None,
            addresses: Addresses::AsNeeded,
            compression: None,
            label: Label::default(),
            // "unlade" in a UUID of version 8.
            uuid: *b"unlade\x80\x00\x80\x00\x00\x00\x00\x00\x00\x00",
        }
    }
}

impl Options {
    /// Fails with [`Error::Kernel`] or [`Error::Option`] for options that contradict each other, before any work is done.
    pub fn check(&self) -> Result<(), Error> {
        let given = self.min_kernel;
        let needs = |what, needed| {
            if given < needed { Err(Error::Kernel { what, needed, given }) } else { Ok(()) }
        };
        if self.block_size != BlockSize::B4096 {
            needs("blocks of other than 4096 bytes", SMALL_BLOCKS_SINCE)?;
        }
        if self.addresses == Addresses::Wide {
            needs("addresses of 48 bits", WIDE_SINCE)?;
        }
        if self.contents == Contents::OnDevices {
            self.check_index()?;
            needs("contents on other devices", DEVICES_SINCE)?;
        }
        if self.sharing == Sharing::Chunks {
            needs("files that share parts", CHUNKS_SINCE)?;
        }
        if self.tails == Tails::Packed {
            needs("ends of files that are compressed together", FRAGMENTS_SINCE)?;
        }
        let Some(Compression { algorithm, cluster }) = self.compression else {
            return match self.tails {
                Tails::Packed => {
                    Err(Error::Option { what: "only ends of compressed files are compressed together" })
                }
                Tails::Inline | Tails::Blocks => Ok(()),
            };
        };
        match algorithm {
            Algorithm::Lz4 | Algorithm::Lz4hc(_) => {}
            Algorithm::Deflate(_) => needs("files compressed by DEFLATE", algorithm.since())?,
            Algorithm::Zstd(_) => needs("files compressed by Zstandard", algorithm.since())?,
        }
        if cluster > ClusterSize::BLOCK {
            needs("clusters of more than 4096 bytes", CLUSTERS_SINCE)?;
        }
        if self.sharing != Sharing::None {
            needs("compressed files that share their clusters", DEDUPE_SINCE)?;
        }
        if self.block_size != BlockSize::B4096 {
            return Err(Error::Option { what: "only a filesystem with blocks of 4096 bytes is compressed" });
        }
        Ok(())
    }
}

impl Options {
    /// What cannot be wanted of a filesystem whose contents lie elsewhere as they are.
    fn check_index(&self) -> Result<(), Error> {
        let refused = [
            (
                self.block_size != BlockSize::B512,
                "contents of tarballs lie at multiples of 512 bytes: only blocks of 512 bytes name them",
            ),
            (self.compression.is_some(), "contents that stay where they are cannot be compressed"),
            (self.sharing != Sharing::None, "contents that stay where they are cannot be shared"),
        ];
        let first = refused.into_iter().find(|(is_wanted, _)| *is_wanted);
        first.map_or(Ok(()), |(_, what)| Err(Error::Option { what }))
    }
}

/// A version of Linux, as far as it decides what can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kernel {
    major: u16,
    minor: u16,
}

impl Kernel {
    /// The first that has EROFS. No older one can be asked for.
    pub const FIRST: Kernel = Kernel { major: 5, minor: 4 };
    /// What is asked for by default: the kernel of Debian 12 and of many microVMs.
    pub const DEFAULT: Kernel = Kernel { major: 6, minor: 1 };

    pub(crate) const fn new(major: u16, minor: u16) -> Kernel {
        Kernel { major, minor }
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for Kernel {
    type Err = Error;

    /// Reads `5.10` or `5.10.3`, of which the last number decides nothing.
    fn from_str(text: &str) -> Result<Kernel, Error> {
        let numbers: Result<Vec<u16>, _> = text.split('.').map(str::parse).collect();
        let (major, minor) = match numbers.as_deref() {
            Ok([major, minor] | [major, minor, _]) => (*major, *minor),
            _ => return Err(Error::Option { what: "not the version of a kernel, such as 5.10" }),
        };
        let kernel = Kernel { major, minor };
        if kernel < Kernel::FIRST {
            return Err(Error::Option { what: "Linux before 5.4 has no EROFS" });
        }
        Ok(kernel)
    }
}

/// Bytes of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum BlockSize {
    /// As a tarball has them; 2 TiB are addressed by 32 bits. Linux 6.4.
    B512,
    /// 4 TiB are addressed by 32 bits. Linux 6.4.
    B1024,
    /// 8 TiB are addressed by 32 bits. Linux 6.4.
    B2048,
    /// 16 TiB are addressed by 32 bits.
    #[default]
    B4096,
}

impl BlockSize {
    /// The number of bytes.
    pub fn bytes(self) -> u32 {
        1 << self.bits()
    }

    pub(crate) fn bits(self) -> u8 {
        match self {
            BlockSize::B512 => 9,
            BlockSize::B1024 => 10,
            BlockSize::B2048 => 11,
            BlockSize::B4096 => 12,
        }
    }
}

/// Where the ends of files lie that fill no block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Tails {
    /// Beside the inode, where they fit: the smallest filesystem.
    #[default]
    Inline,
    /// In blocks of their own: every file can be mapped directly (DAX) or cloned.
    Blocks,
    /// Those of compressed files, and small files as a whole, behind one another in one more inode, where they are
    /// compressed together: smaller still, and slower to read one by one. Others are inline. Linux 6.1.
    Packed,
}

/// Where the contents of files lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Contents {
    /// In the filesystem.
    #[default]
    Here,
    /// Where they are: in tarballs, which are further devices ([`plan_index()`](crate::plan_index())). Linux 5.16.
    OnDevices,
}

/// What files that are equal have in common. Who plans says which are: [`Pressed::share`](crate::Pressed::share),
/// [`Pressed::repeat`](crate::Pressed::repeat).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Sharing {
    /// Nothing: each has blocks of its own.
    #[default]
    None,
    /// Their whole blocks or clusters. Of compressed files Linux 6.1 reads that.
    Files,
    /// That, and parts of files: whole blocks, which Linux 5.15 reads, or clusters.
    Chunks,
}

/// How many bits the numbers of blocks have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Addresses {
    /// 32; or 48 if there are more blocks than these number, and the oldest kernel reads that.
    #[default]
    AsNeeded,
    /// 48, be there cause for it or not: so that small filesystems show what large ones are like. Linux 6.15.
    Wide,
}

/// A volume's name: at most 15 bytes, none of them NUL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Label([u8; 16]);

impl Label {
    /// Takes a name; an empty one is none. There is room for 16 bytes, but kernels want a NUL at the end.
    pub fn parse(name: &[u8]) -> Result<Label, Error> {
        if name.len() > 15 {
            return Err(Error::Label { length: name.len() });
        }
        if name.contains(&0) {
            return Err(Error::Option { what: "label has a NUL byte in it" });
        }
        let mut label = [0; 16];
        label[..name.len()].copy_from_slice(name);
        Ok(Label(label))
    }

    /// The name, without padding.
    pub fn as_bytes(&self) -> &[u8] {
        let end = self.0.iter().position(|&b| b == 0).unwrap_or(16);
        &self.0[..end]
    }

    pub(crate) fn padded(&self) -> [u8; 16] {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels() {
        for (text, parsed) in [
            ("5.10", Some("5.10")),
            ("6.1.0", Some("6.1")),
            ("5.4", Some("5.4")),
            ("5.3", None),
            ("6", None),
            ("6.", None),
            ("6.1-rc3", None),
            ("", None),
        ] {
            let kernel = text.parse::<Kernel>().ok().map(|kernel| kernel.to_string());
            assert_eq!(kernel.as_deref(), parsed, "{text}");
        }
        assert!(Kernel::new(5, 15) > Kernel::new(5, 4));
    }
}
