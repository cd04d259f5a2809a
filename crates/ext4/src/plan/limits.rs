//! What an inode holds at most.

use tree::{Device, Time, Visit};

use crate::format::FAST_SYMLINK_MAX;
use crate::{BlockSize, Error};

/// Blocks that the text of a link needs; the kernel reads one and wants room for a NUL in it.
pub(crate) fn link_blocks(text: &[u8], size: BlockSize, visit: &Visit<'_>) -> Result<u32, Error> {
    if text.is_empty() {
        return Err(invalid(visit, "symbolic link is empty"));
    }
    let max = size.bytes() as usize - 1;
    if text.len() > max {
        return Err(limit(visit, "length of the symbolic link", text.len() as u64, max as u64));
    }
    Ok(u32::from(text.len() > FAST_SYMLINK_MAX))
}

/// Linux has 12 bits of major and 20 of minor number.
pub(crate) fn check_device(device: Device, visit: &Visit<'_>) -> Result<(), Error> {
    if device.major >= 1 << 12 {
        return Err(limit(visit, "major device number", device.major.into(), (1 << 12) - 1));
    }
    if device.minor >= 1 << 20 {
        return Err(limit(visit, "minor device number", device.minor.into(), (1 << 20) - 1));
    }
    Ok(())
}

/// The nearest time that an inode holds. Its 34 bits reach to 2446, but e2fsck takes what lies behind April
/// 2310 for times before 1970, as old kernels wrote them, and offers to repair them.
pub(crate) fn clamp(time: Time) -> Time {
    const MIN: i64 = i32::MIN as i64;
    const MAX: i64 = (3 << 32) - (1 << 31) - 1;
    match time.seconds {
        ..MIN => Time { seconds: MIN, nanoseconds: 0 },
        MIN..=MAX => Time { seconds: time.seconds, nanoseconds: time.nanoseconds.min(999_999_999) },
        _ => Time { seconds: MAX, nanoseconds: 999_999_999 },
    }
}

pub(crate) fn blocks(blocks: u64, visit: &Visit<'_>) -> Result<u32, Error> {
    u32::try_from(blocks).map_err(|_| limit(visit, "number of blocks", blocks, u32::MAX.into()))
}

pub(crate) fn invalid(visit: &Visit<'_>, what: &'static str) -> Error {
    Error::Invalid { path: visit.path.into(), what }
}

pub(crate) fn limit(visit: &Visit<'_>, what: &'static str, value: u64, max: u64) -> Error {
    Error::Limit { path: visit.path.into(), what, value, max }
}
