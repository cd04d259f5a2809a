//! Planning: where everything goes, decided before a byte is written.

pub(crate) mod chunks;
pub(crate) mod devices;
pub(crate) mod directories;
pub(crate) mod indexes;
mod limits;
pub(crate) mod maps;
mod place;
pub(crate) mod repeats;
pub(crate) mod survey;
mod width;
pub(crate) mod xattrs;

use tree::Tree;

use crate::format::{
    CHUNKS_SINCE, CLUSTERS_SINCE, DEDUPE_SINCE, DEVICES_SINCE, FRAGMENTS_SINCE, SMALL_BLOCKS_SINCE,
    TAILS_SINCE, WIDE_SINCE, compat, incompat,
};
pub use crate::plan::devices::Device;
use crate::plan::place::{Placed, place};
pub use crate::plan::repeats::Repeat;
use crate::plan::survey::{Data, Survey, survey};
pub(crate) use crate::plan::width::{WIDE_SIZE_MAX, Width};
use crate::pressed::{File, Pressed};
use crate::{Addresses, Algorithm, BlockSize, Contents, Error, Kernel, Options};

/// A filesystem that is not written yet: where each inode, name and byte goes.
///
/// It belongs to the tree that it was planned for, unchanged.
#[derive(Debug)]
pub struct Layout {
    pub(crate) options: Options,
    pub(crate) width: Width,
    pub(crate) pressed: Pressed,
    /// Those that contents lie on.
    pub(crate) devices: Vec<Device>,
    pub(crate) survey: Survey,
    pub(crate) placed: Placed,
}

/// Feature words of the superblock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Features {
    pub(crate) compat: u32,
    pub(crate) incompat: u32,
}

/// Decides where everything in `tree` goes.
///
/// Takes time and memory by the number of names and pieces, not by their bytes. Fails with [`Error::Limit`],
/// [`Error::Invalid`] or [`Error::TooLarge`] for what EROFS cannot hold, and with [`Error::Kernel`] for options
/// that the oldest kernel does not read.
///
/// Nothing is compressed; whoever has compressed contents hands them to [`plan_pressed()`].
pub fn plan(tree: &Tree, options: &Options) -> Result<Layout, Error> {
    plan_pressed(tree, Pressed::new(options, 0), options)
}

/// Decides as [`plan()`] does where all goes that is not among the compressed contents, which have their places.
pub fn plan_pressed(tree: &Tree, pressed: Pressed, options: &Options) -> Result<Layout, Error> {
    plan_all(tree, pressed, &[], options)
}

/// Decides as [`plan()`] does where all goes that lies in whole blocks on none of the devices; of what does lie there
/// the filesystem says where. Of the devices, each of another layer, it names those that it needs, in the order of their
/// layers: [`Layout::devices`].
///
/// The options must have [`Contents::OnDevices`].
pub fn plan_index(tree: &Tree, devices: &[Device], options: &Options) -> Result<Layout, Error> {
    let options = Options { contents: Contents::OnDevices, ..options.clone() };
    plan_all(tree, Pressed::new(&options, 0), devices, &options)
}

fn plan_all(tree: &Tree, pressed: Pressed, devices: &[Device], options: &Options) -> Result<Layout, Error> {
    options.check()?;
    let devices = devices::used(tree, devices, options)?;
    let plan = |width| {
        let mut survey = survey(tree, &pressed, &devices, options, width)?;
        let placed = place(tree, &mut survey, &pressed, &devices, options, width)?;
        Ok((survey, placed, width))
    };
    let planned = match options.addresses {
        Addresses::Wide => plan(Width::Wide),
        // Whether 32 bits are enough is known when all has a place.
        Addresses::AsNeeded => match plan(Width::Narrow) {
            Err(Error::TooLarge { .. }) if options.min_kernel >= WIDE_SINCE => plan(Width::Wide),
            planned => planned,
        },
    };
    let (survey, placed, width) = planned?;
    Ok(Layout { options: options.clone(), width, pressed, devices, survey, placed })
}

impl Layout {
    /// Bytes of the file.
    pub fn size(&self) -> u64 {
        self.placed.blocks * u64::from(self.block_size())
    }

    /// Bytes of a block.
    pub fn block_size(&self) -> u32 {
        self.options.block_size.bytes()
    }

    /// Blocks in all; none is free.
    pub fn blocks(&self) -> u64 {
        self.placed.blocks
    }

    /// Inodes in all, the packed one among them; none is free.
    pub fn inodes(&self) -> u64 {
        self.survey.inodes.len() as u64 + u64::from(self.pressed.packed.is_some())
    }

    /// Bytes of files that lie in others as well, part by part, and were left out of the filesystem for that
    /// ([`Pressed::repeat`]); files that are equal as a whole do not count.
    pub fn lent_bytes(&self) -> u64 {
        let blocks: u64 = self.survey.lent.iter().map(|lent| lent.stretch.blocks).sum();
        blocks * u64::from(self.block_size())
    }

    /// The devices beside the filesystem that contents lie on, in the order in which a kernel must be told of them.
    pub fn devices(&self) -> &[Device] {
        &self.devices
    }

    /// How many extended attributes were left out since EROFS has no number for their prefix: it knows
    /// `user.`, `trusted.`, `security.` and the POSIX access control lists.
    pub fn dropped_xattrs(&self) -> u64 {
        self.survey.dropped_xattrs
    }

    /// The oldest kernel that reads it. Never newer than the one of the options.
    pub fn needs_kernel(&self) -> Kernel {
        let since = [
            (self.options.block_size != BlockSize::B4096, SMALL_BLOCKS_SINCE),
            (self.has_chunks(), CHUNKS_SINCE),
            (!self.devices.is_empty(), DEVICES_SINCE),
            (self.has_big_clusters(), CLUSTERS_SINCE),
            (self.has_tails(), TAILS_SINCE),
            (self.has_shared_clusters(), DEDUPE_SINCE),
            (self.pressed.packed.is_some(), FRAGMENTS_SINCE),
            (self.is_wide() || self.has_long_files(), WIDE_SINCE),
        ];
        let used = since.into_iter().filter(|(used, _)| *used).map(|(_, kernel)| kernel);
        used.chain(self.algorithm().map(Algorithm::since)).max().unwrap_or(Kernel::FIRST)
    }

    /// The algorithm, if anything is compressed.
    pub(crate) fn algorithm(&self) -> Option<Algorithm> {
        let compression = self.options.compression.filter(|_| !self.pressed.is_empty());
        compression.map(|compression| compression.algorithm)
    }

    /// Whether addresses of blocks have 48 bits.
    pub(crate) fn is_wide(&self) -> bool {
        self.width == Width::Wide
    }

    /// Whether a file, mostly holes, has more blocks than short addresses number: older kernels are not asked for it.
    fn has_long_files(&self) -> bool {
        let max = Width::Narrow.blocks_max() * u64::from(self.block_size());
        self.survey.inodes.iter().any(|inode| inode.size > max)
    }

    fn has_big_clusters(&self) -> bool {
        self.pressed.files().any(File::is_big)
    }

    /// Whether behind the superblock stands what algorithms want to know.
    pub(crate) fn has_configurations(&self) -> bool {
        self.has_big_clusters() || self.algorithm().is_some_and(|algorithm| algorithm.number() != 0)
    }

    fn has_tails(&self) -> bool {
        self.survey.inodes.iter().any(|inode| matches!(inode.data, Data::Pressed { tail: 1.., .. }))
    }

    /// Whether some cluster belongs to two files. Kernels read blocks that are not compressed as often as they like.
    fn has_shared_clusters(&self) -> bool {
        self.survey.inodes.iter().any(|inode| {
            let is_twin = self.pressed.twin(inode.node).is_some();
            let shares = |file: &File| (is_twin && file.blocks > 0) || file.has_others;
            matches!(inode.data, Data::Pressed { .. }) && self.pressed.file(inode.node).is_some_and(shares)
        })
    }

    fn has_chunks(&self) -> bool {
        self.survey.inodes.iter().any(|inode| matches!(inode.data, Data::Chunks { .. } | Data::Outside(_)))
    }

    pub(crate) fn features(&self) -> Features {
        let mut features = Features { compat: compat::SB_CHKSUM | compat::MTIME, incompat: 0 };
        if self.survey.has_xattrs {
            features.compat |= compat::XATTR_FILTER;
        }
        if self.has_chunks() {
            features.incompat |= incompat::CHUNKED_FILE;
        }
        if !self.devices.is_empty() {
            features.incompat |= incompat::DEVICE_TABLE;
        }
        if self.algorithm().is_some() {
            features.incompat |= incompat::ZERO_PADDING;
        }
        if self.has_configurations() {
            features.incompat |= incompat::COMPR_CFGS;
        }
        if self.has_tails() {
            features.incompat |= incompat::ZTAILPACKING;
        }
        // One bit for both.
        if self.has_shared_clusters() || self.pressed.packed.is_some() {
            features.incompat |= incompat::DEDUPE;
        }
        if self.is_wide() {
            features.incompat |= incompat::WIDE;
        }
        features
    }
}
