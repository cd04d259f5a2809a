//! How many blocks a tree needs.
//!
//! What is needed depends on how much there is: more blocks mean more groups, inodes, descriptors and, in
//! steps, a larger journal. So the size is found by giving what the last attempt lacked.

use crate::options::{Headroom, Options, Profile, Size};
use crate::plan::groups::Groups;
use crate::plan::place::{Placed, place};
use crate::plan::survey::Survey;
use crate::{BlockSize, Error};

/// A mebibyte; sizes that nobody asked for are multiples of it.
const MIB: u64 = 1 << 20;
/// What a filesystem has free that is sized by its tree.
const HEADROOM_MIN: u64 = 64 * MIB;
const HEADROOM_PERCENT: u64 = 10;
/// Most blocks that the kernel keeps back for its own bookkeeping, of 2% (`ext4_calculate_resv_clusters`).
const KERNEL_RESERVE_MAX: u64 = 4096;

/// Lays out the tree in the size that the options ask for. Returns the size of the file in bytes as well.
pub(crate) fn fit(survey: &Survey, options: &Options) -> Result<(Placed, u64), Error> {
    let block = u64::from(options.block_size.bytes());
    let granule = MIB / block;
    let placed = match options.size {
        Size::Total(given) => {
            let placed = attempt(given / block, survey, options)?.ok();
            if let Some(placed) = placed.filter(|placed| placed.used() <= placed.groups.blocks) {
                return Ok((placed, given));
            }
            let needed = smallest(given / block, survey, options)?.saturating_mul(block);
            return Err(Error::TooSmall { given, needed });
        }
        Size::Free(bytes) => {
            let free = bytes.div_ceil(block);
            grow(1, survey, options, granule, |placed| {
                let blocks = placed.groups.blocks;
                let kept = reserved_blocks(blocks, options) + (blocks / 50).min(KERNEL_RESERVE_MAX);
                free.saturating_add(kept)
            })?
        }
        Size::Auto(headroom) => grow(1, survey, options, granule, |placed| {
            let percent = |percent: u64| (u128::from(placed.used()) * u128::from(percent)).div_ceil(100);
            match headroom {
                Headroom::Default if options.profile == Profile::ReadOnly => 0,
                Headroom::Default => {
                    (HEADROOM_MIN / block).max(percent(HEADROOM_PERCENT).try_into().unwrap_or(u64::MAX))
                }
                Headroom::Bytes(bytes) => bytes.div_ceil(block),
                Headroom::Percent(part) => percent(part.into()).try_into().unwrap_or(u64::MAX),
            }
        })?,
    };
    let size = placed.groups.blocks * block;
    Ok((placed, size))
}

/// Blocks that only root may fill.
pub(crate) fn reserved_blocks(blocks: u64, options: &Options) -> u64 {
    (u128::from(blocks) * u128::from(options.reserved_percent) / 100) as u64
}

/// The fewest blocks that hold the tree and are more than those that do not. Fewer than these may hold it, too,
/// since they have no journal or a smaller one.
fn smallest(too_few: u64, survey: &Survey, options: &Options) -> Result<u64, Error> {
    let mut blocks = grow(too_few.saturating_add(1), survey, options, 1, |_| 0)?.groups.blocks;
    // Growing may overshoot by what rounding up the inodes of each group costs.
    while blocks - 1 > too_few
        && let Ok(placed) = attempt(blocks - 1, survey, options)?
        && placed.used() <= placed.groups.blocks
    {
        blocks = placed.groups.blocks;
    }
    Ok(blocks)
}

/// Adds blocks to the `first`, in multiples of `granule`, until at least `free` of them are free.
fn grow(
    first: u64,
    survey: &Survey,
    options: &Options,
    granule: u64,
    free: impl Fn(&Placed) -> u64,
) -> Result<Placed, Error> {
    let mut blocks = survey.own_blocks.saturating_add(survey.piece_blocks).max(first);
    loop {
        let rounded = blocks.checked_next_multiple_of(granule).unwrap_or(u64::MAX);
        blocks = match attempt(rounded, survey, options)? {
            Err(more) => more.max(rounded + 1),
            Ok(placed) => {
                let needed = placed.used().saturating_add(free(&placed));
                // A remainder too small for a group is dropped. What is rounded stays so: no bytes of the
                // file lie behind the filesystem.
                if needed <= placed.groups.blocks && placed.groups.blocks == rounded {
                    return Ok(placed);
                }
                needed.max(placed.groups.next)
            }
        };
    }
}

/// Tries a number of blocks. `Ok(Err(n))`: that cannot be a filesystem, try `n`.
fn attempt(blocks: u64, survey: &Survey, options: &Options) -> Result<Result<Placed, u64>, Error> {
    Ok(Groups::new(blocks, survey.inodes_used(), options)?.map(|groups| place(groups, survey, options)))
}

impl BlockSize {
    /// Bytes as blocks of 512, in which inodes count.
    pub(crate) fn sectors(self) -> u64 {
        u64::from(self.bytes() / 512)
    }
}
