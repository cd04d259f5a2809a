//! What the caller decides about a filesystem.

use crate::Error;

/// What the caller decides. Everything else follows from the tree.
///
/// ```
/// let options = unlade_ext4::Options { size: unlade_ext4::Size::Total(4 << 30), ..unlade_ext4::Options::default() };
/// assert!(options.journal);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Which readers and writers the filesystem is for.
    pub profile: Profile,
    /// Bytes of a block.
    pub block_size: BlockSize,
    /// How large it becomes.
    pub size: Size,
    /// Whether it gets a journal. It never does with [`Profile::ReadOnly`] or below 2,048 blocks.
    pub journal: bool,
    /// Most bytes that the journal takes; `None` for mke2fs's rule alone (64 MiB from 2 GiB on, 1 GiB at most).
    pub journal_max: Option<u64>,
    /// How many inodes it has.
    pub inodes: Inodes,
    /// Percentage of the blocks that only root may fill, at most 50.
    pub reserved_percent: u8,
    /// The volume's name.
    pub label: Label,
    /// The filesystem's identity; must not be all zeros. The default is one fixed value, fit for tests alone.
    pub uuid: [u8; 16],
    /// Key of the hash that orders large directories; zeros mean no key.
    pub hash_seed: [u8; 16],
    /// When the filesystem was made, in seconds since 1970: its own time and that of its own inodes.
    pub created: i64,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            profile: Profile::ReadWrite,
            block_size: BlockSize::B4096,
            size: Size::Auto(Headroom::Default),
            journal: true,
            journal_max: None,
            inodes: Inodes::Auto,
            reserved_percent: 0,
            label: Label::default(),
            // "unlade" in a UUID of version 8.
            uuid: *b"unlade\x80\x00\x80\x00\x00\x00\x00\x00\x00\x00",
            hash_seed: [0; 16],
            created: 0,
        }
    }
}

impl Options {
    pub(crate) fn has_journal(&self) -> bool {
        self.journal && self.profile != Profile::ReadOnly
    }
}

/// Which readers and writers a filesystem is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Profile {
    /// What a fresh `mkfs.ext4` has: a guest uses, fills, checks and grows it.
    #[default]
    ReadWrite,
    /// The same without `metadata_csum_seed`, which GRUB before 2.12 refuses.
    Compatible,
    /// Never written again: no journal, no room to grow, directories packed full, no headroom by default.
    ReadOnly,
}

/// Bytes of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum BlockSize {
    /// 1 KiB: files of up to 4 TiB, links of up to 1,023 bytes.
    B1024,
    /// 2 KiB: files of up to 8 TiB, links of up to 2,047 bytes.
    B2048,
    /// 4 KiB: files of up to 16 TiB.
    #[default]
    B4096,
}

impl BlockSize {
    /// The number of bytes.
    pub fn bytes(self) -> u32 {
        match self {
            BlockSize::B1024 => 1024,
            BlockSize::B2048 => 2048,
            BlockSize::B4096 => 4096,
        }
    }
}

/// How large a filesystem becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// What the tree needs and some room, rounded up to whole MiB.
    Auto(Headroom),
    /// So many bytes in all, rounded down to whole blocks.
    Total(u64),
    /// So many bytes free for an ordinary user once it is mounted (the kernel keeps up to 4,096 blocks back),
    /// rounded up to whole MiB.
    Free(u64),
}

/// Free room in a filesystem that is sized by its tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Headroom {
    /// The larger of 64 MiB and a tenth of what is in use; nothing with [`Profile::ReadOnly`].
    #[default]
    Default,
    /// So many bytes of free blocks.
    Bytes(u64),
    /// So many percent of what is in use.
    Percent(u32),
}

/// How many inodes a filesystem has. The number per group is fixed for its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Inodes {
    /// A fifth more than the tree needs, but at least one for 16 KiB, and up to 32,768 of them at least one
    /// for 4 KiB; just what the tree needs with [`Profile::ReadOnly`].
    #[default]
    Auto,
    /// At least so many free.
    Free(u64),
    /// At least so many in all, and what the tree needs.
    Total(u64),
}

/// A volume's name: at most 16 bytes, none of them NUL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Label([u8; 16]);

impl Label {
    /// Takes a name; an empty one is none.
    pub fn parse(name: &[u8]) -> Result<Label, Error> {
        if name.len() > 16 {
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
