//! How many bits addresses of blocks have.

use crate::format::{CHUNK_INDEX_SIZE, WIDE_BITS};
use crate::{BlockSize, Error, Kernel, Options, format};

/// Most bytes of a file whose blocks have wide addresses: the map of its chunks, be it all holes, then has 32 MiB.
pub(crate) const WIDE_SIZE_MAX: u64 = 1 << 52;

/// How many bits addresses of blocks have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Width {
    /// 32 bits, as all kernels read them.
    Narrow,
    /// 48 bits.
    Wide,
}

impl Width {
    /// Most blocks that are addressed; one address means none.
    pub(crate) fn blocks_max(self) -> u64 {
        match self {
            Width::Narrow => u32::MAX.into(),
            Width::Wide => (1 << WIDE_BITS) - 1,
        }
    }

    /// Bytes of an address in a map of chunks, which lies at a multiple of them.
    pub(crate) fn entry(self) -> u64 {
        match self {
            Width::Narrow => size_of::<u32>() as u64,
            Width::Wide => CHUNK_INDEX_SIZE,
        }
    }
}

/// Most bytes of a file that a kernel is to read.
pub(crate) fn size_max(kernel: Kernel, size: BlockSize) -> u64 {
    match kernel >= format::WIDE_SINCE {
        true => WIDE_SIZE_MAX,
        false => Width::Narrow.blocks_max() * u64::from(size.bytes()),
    }
}

/// That so many blocks are more than addresses number.
pub(crate) fn too_large(blocks: u64, options: &Options, width: Width) -> Error {
    let (block_size, given) = (options.block_size.bytes(), options.min_kernel);
    Error::TooLarge { blocks, block_size, given, max: width.blocks_max() }
}
