//! Writing to the disk past the page cache, and without a copy between two files.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};
use rustix::pipe::{self, PipeFlags, SpliceFlags};

use super::linux::DESCRIPTORS;

/// What `statfs` calls ext4 and its older kin. Others have reflinks, checksums over what lies in memory, or a network
/// behind them: there the page cache is the better way, or has not been measured against this one.
const EXT4: i64 = 0xef53;

/// What such a filesystem writes as a whole: blocks of at most so many bytes.
const BLOCK: u64 = 4096;

/// Where the addresses of bytes are multiples of this, every disk takes them from there.
const ALIGNMENT: usize = 512;

/// What a pipe holds, in bytes: as much as anybody may have it hold.
const PIPE: usize = 1 << 20;

/// A file to write into without the page cache between.
#[derive(Debug)]
pub struct Direct(File);

impl Direct {
    /// Opens a file once more. `None` where this way does not pay, or cannot be gone.
    #[allow(clippy::useless_conversion, reason = "the number is of another type on other processors")]
    pub fn open(file: &File) -> Option<Direct> {
        let filesystem = rustix::fs::fstatfs(file).ok()?.f_type;
        if i64::try_from(filesystem) != Ok(EXT4) {
            return None;
        }
        let path = format!("{DESCRIPTORS}/{}", file.as_raw_fd());
        let flags = OFlags::WRONLY | OFlags::DIRECT | OFlags::CLOEXEC;
        rustix::fs::open(path, flags, Mode::empty()).ok().map(|file| Direct(file.into()))
    }

    /// Writes whole blocks of 4 KiB from the start of `bytes`, and says how many bytes that were: the rest goes another
    /// way. None do if `offset` is not that of a block, or the bytes' address no multiple of 512.
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        if !offset.is_multiple_of(BLOCK) || !bytes.as_ptr().addr().is_multiple_of(ALIGNMENT) {
            return Ok(done);
        }
        let whole = bytes.len() - bytes.len() % BLOCK as usize;
        while done < whole && done.is_multiple_of(BLOCK as usize) {
            match retry_on_intr(|| rustix::io::pwrite(&self.0, &bytes[done..whole], offset + done as u64)) {
                Ok(0) | Err(Errno::INVAL | Errno::OPNOTSUPP) => break,
                Ok(count) => done += count,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(done)
    }
}

/// A pipe through which pages of one file's go to another's place on the disk.
#[derive(Debug)]
pub struct Splicer {
    /// Its two ends; none if there can be none, or if bytes are stuck in it.
    pipe: Option<(OwnedFd, OwnedFd)>,
}

impl Splicer {
    /// Makes the pipe, if that can be.
    #[must_use]
    pub fn new() -> Splicer {
        Splicer { pipe: pipe().ok() }
    }

    /// Lets the disk have bytes of a file, and says how many that were: the rest cannot go this way. Both places must be
    /// those of blocks of 4 KiB, and the length that of whole ones.
    pub fn splice(
        &mut self,
        (from, at): (&File, u64),
        (to, offset): (&Direct, u64),
        length: u64,
    ) -> io::Result<u64> {
        let mut done = 0;
        while done < length
            && let Some((reading, writing)) = &self.pipe
        {
            let wanted = (length - done).min(PIPE as u64) as usize;
            let (mut at, mut offset) = (at + done, offset + done);
            let taken = splice((from, Some(&mut at)), (writing, None), wanted)?;
            let (mut left, mut put) = (taken, 1);
            while left > 0 && put > 0 {
                put = splice((reading, None), (&to.0, Some(&mut offset)), left)?;
                left -= put;
            }
            // Whole blocks alone count; what else was on its way goes again.
            done += (taken - left) as u64 / BLOCK * BLOCK;
            if taken == 0 || left > 0 || !taken.is_multiple_of(BLOCK as usize) {
                self.pipe = None;
            }
        }
        Ok(done)
    }
}

impl Default for Splicer {
    fn default() -> Splicer {
        Splicer::new()
    }
}

fn pipe() -> Result<(OwnedFd, OwnedFd), Errno> {
    let made = pipe::pipe_with(PipeFlags::CLOEXEC)?;
    // A smaller one only takes longer.
    let _ = pipe::fcntl_setpipe_size(&made.1, PIPE);
    Ok(made)
}

/// Moves bytes from or into a pipe. None are if the kernel cannot.
fn splice<F: AsFd, T: AsFd>(
    (from, mut at): (F, Option<&mut u64>),
    (to, mut offset): (T, Option<&mut u64>),
    length: usize,
) -> io::Result<usize> {
    let moved = retry_on_intr(|| {
        pipe::splice(&from, at.as_deref_mut(), &to, offset.as_deref_mut(), length, SpliceFlags::empty())
    });
    match moved {
        Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(0),
        moved => Ok(moved?),
    }
}
