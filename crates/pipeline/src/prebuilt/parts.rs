//! A rootfs in parts, each a blob of zstd frames, and back again.
//!
//! Every frame holds at most [`FRAME`] bytes and needs no other, so a part can be expanded from the start of any of
//! them. Holes are zeros here, which cost next to nothing; whoever writes them makes holes of them again.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;

use hash::{Algorithm, Digest, Hasher};
use oci::{Descriptor, MediaType};
use tree::BLOCK;

use super::{LENGTH, PART_TYPE};

/// Bytes of a rootfs in one part: enough that few requests are needed, little enough that what has to be sent again
/// after a failure does not hurt.
pub(super) const PART: u64 = 512 << 20;
/// Bytes of a rootfs in one frame.
const FRAME: usize = 4 << 20;
/// How hard zstd tries. More takes several times as long for a tenth less.
const LEVEL: i32 = 3;

/// Packs the next bytes of a rootfs, at most [`PART`] of them, into a file, and describes what is there then. `None` at
/// the end. `whole` sees all bytes as they are.
pub(super) fn pack(mut rootfs: impl Read, whole: &mut Hasher, into: &File) -> io::Result<Option<Descriptor>> {
    let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
    // A frame that was damaged is found out when it is expanded, before the digests are.
    compressor.include_checksum(true)?;
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let mut frame = vec![0; FRAME];
    // Most of a sparse rootfs is the same frame of zeros.
    let mut zeros = None;
    let (mut length, mut size) = (0, 0);
    while length < PART {
        let count = fill(&mut rootfs, &mut frame)?;
        if count == 0 {
            break;
        }
        whole.update(&frame[..count]);
        let packed = if count == FRAME && is_zero(&frame) {
            match &zeros {
                Some(packed) => packed,
                None => zeros.insert(compressor.compress(&frame)?),
            }
        } else {
            &compressor.compress(&frame[..count])?
        };
        hasher.update(packed);
        (&*into).write_all(packed)?;
        length += count as u64;
        size += packed.len() as u64;
    }
    if length == 0 {
        return Ok(None);
    }
    let mut part = Descriptor::new(MediaType::parse(PART_TYPE), hasher.finish(), size);
    part.annotations.insert(LENGTH.into(), length.to_string());
    Ok(Some(part))
}

/// Writes bytes into a file that is all holes, which stay where the bytes are zeros.
pub(super) struct Sparse<'a> {
    file: &'a File,
    position: u64,
    hasher: Hasher,
}

impl<'a> Sparse<'a> {
    /// Begins at the start of the file.
    pub(super) fn new(file: &'a File) -> Sparse<'a> {
        Sparse { file, position: 0, hasher: Hasher::new(Algorithm::Sha256) }
    }

    /// Bytes so far.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// The digest of all bytes.
    pub(super) fn digest(self) -> Digest {
        self.hasher.finish()
    }

    /// Writes `bytes`, which are whole blocks, but for the last of the file.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        let mut offset = self.position;
        // Blocks that are not zero and lie behind one another go out together.
        let mut run: Option<(u64, usize)> = None;
        for (number, block) in bytes.chunks(BLOCK as usize).enumerate() {
            let start = number * BLOCK as usize;
            match (&mut run, is_zero(block)) {
                (Some((at, from)), true) => {
                    self.file.write_all_at(&bytes[*from..start], *at)?;
                    run = None;
                }
                (None, false) => run = Some((offset, start)),
                (None, true) | (Some(_), false) => {}
            }
            offset += block.len() as u64;
        }
        if let Some((at, from)) = run {
            self.file.write_all_at(&bytes[from..], at)?;
        }
        self.position = offset;
        Ok(())
    }
}

/// Reads until the buffer is full or the source ends.
pub(super) fn fill(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match source.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

fn is_zero(bytes: &[u8]) -> bool {
    // In pieces without a way out of them, which the compiler makes wide.
    bytes.chunks(64).all(|piece| piece.iter().fold(0, |all, byte| all | byte) == 0)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn there_and_back_with_its_holes() {
        let mut rootfs = vec![0; 3 * FRAME + 5_000];
        for (at, byte) in [(0, 1), (4095, 2), (FRAME + 17, 3), (2 * FRAME, 4), (3 * FRAME + 4_999, 5)] {
            rootfs[at] = byte;
        }
        let packed = tempfile::tempfile().unwrap();
        let mut whole = Hasher::new(Algorithm::Sha256);
        let mut rest = &rootfs[..];
        let part = pack(&mut rest, &mut whole, &packed).unwrap().unwrap();
        assert!(pack(&mut rest, &mut whole, &packed).unwrap().is_none());
        assert_eq!(part.annotations[LENGTH], rootfs.len().to_string());
        let mut bytes = vec![0; part.size as usize];
        packed.read_exact_at(&mut bytes, 0).unwrap();
        assert_eq!(Digest::sha256(&bytes), part.digest);
        assert!(part.size < 10_000, "{}", part.size);
        // Each frame can be expanded alone, and so can all.
        assert_eq!(zstd::stream::decode_all(&bytes[..]).unwrap(), rootfs);
        let magic = 0xfd2f_b528_u32.to_le_bytes();
        let frames = bytes.windows(4).filter(|window| *window == magic).count();
        assert!(frames >= 4, "{frames}");

        let file = tempfile::tempfile().unwrap();
        file.set_len(rootfs.len() as u64).unwrap();
        let mut sparse = Sparse::new(&file);
        rootfs.chunks(BLOCK as usize * 3).for_each(|bytes| sparse.write(bytes).unwrap());
        assert_eq!(sparse.position(), rootfs.len() as u64);
        assert_eq!(sparse.digest(), whole.finish());
        let mut written = vec![9; rootfs.len()];
        file.read_exact_at(&mut written, 0).unwrap();
        assert!(written == rootfs);
        // A block of the filesystem may be larger than ours.
        assert!(file.metadata().unwrap().blocks() * 512 <= 5 * 65_536);
    }

    #[test]
    fn what_is_zero() {
        for length in [0, 1, 15, 16, 17, 4096] {
            let mut bytes = vec![0; length];
            assert!(is_zero(&bytes));
            for at in [0, length / 2, length.saturating_sub(1)].into_iter().filter(|at| *at < length) {
                bytes[at] = 1;
                assert!(!is_zero(&bytes), "{length} {at}");
                bytes[at] = 0;
            }
        }
    }
}
