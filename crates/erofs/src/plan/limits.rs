//! What an inode holds at most.

use tree::{Content, Device, Visit};

use crate::error::SIZE;
use crate::plan::width::size_max;
use crate::{Error, Options};

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

/// The kernel reads a link from one page, and wants room for a NUL in it.
pub(crate) fn check_link(text: &[u8], visit: &Visit<'_>) -> Result<(), Error> {
    const MAX: usize = 4095;
    if text.is_empty() {
        return Err(invalid(visit, "symbolic link is empty"));
    }
    if text.len() > MAX {
        return Err(limit(visit, "length of the symbolic link", text.len() as u64, MAX as u64));
    }
    Ok(())
}

/// A file's pieces must follow each other, start at blocks, and end with the file.
pub(crate) fn check_content(content: &Content, options: &Options, visit: &Visit<'_>) -> Result<(), Error> {
    let block = u64::from(options.block_size.bytes());
    // As many blocks as there are addresses; kernels take larger files if most of one is a hole.
    let max = size_max(options.min_kernel, options.block_size);
    if content.size() > max {
        return Err(limit(visit, SIZE, content.size(), max));
    }
    let mut end = 0;
    for piece in content.pieces().filter(|piece| piece.span.length > 0) {
        let stop = piece.at.checked_add(piece.span.length);
        let Some(stop) = stop.filter(|&stop| stop <= content.size() && piece.at >= end) else {
            return Err(invalid(visit, "pieces of the file overlap or lie behind its end"));
        };
        if piece.at % block != 0 || piece.span.offset.checked_add(piece.span.length).is_none() {
            return Err(invalid(visit, "piece of the file does not start at a block"));
        }
        end = stop.next_multiple_of(block);
    }
    Ok(())
}

pub(crate) fn invalid(visit: &Visit<'_>, what: &'static str) -> Error {
    Error::Invalid { path: visit.path.into(), what }
}

pub(crate) fn limit(visit: &Visit<'_>, what: &'static str, value: u64, max: u64) -> Error {
    Error::Limit { path: visit.path.into(), what, value, max }
}
