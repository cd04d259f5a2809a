//! A rootfs in parts, each a blob of zstd frames, and back again.
//!
//! Every frame holds at most [`FRAME`] bytes and needs no other, so a part can be expanded from the start of any of
//! them. Holes are zeros here, which cost next to nothing; whoever writes them makes holes of them again.

use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::mpsc;
use std::thread;

use hash::{Algorithm, Digest, Hasher};
use host::FileExt;
use oci::{Descriptor, MediaType};

use super::{LENGTH, PART_TYPE};
use crate::output::sparse::{self, is_zero};

/// Bytes of a rootfs in one part: enough that few requests are needed, little enough that what has to be sent again
/// after a failure does not hurt.
pub(super) const PART: u64 = 512 << 20;
/// Bytes of a rootfs in one frame.
const FRAME: usize = 4 << 20;
/// How hard zstd tries. More takes several times as long for a tenth less.
const LEVEL: i32 = 3;

/// Packs the bytes of a rootfs from `offset` on, at most [`PART`] of them, into a file, and describes what is there
/// then. `whole` sees all bytes as they are. However many processors take part, what comes of it is the same.
pub(super) fn pack(
    rootfs: &File,
    offset: u64,
    size: u64,
    whole: &mut Hasher,
    into: &File,
    threads: usize,
) -> io::Result<Descriptor> {
    let end = size.min(offset + PART);
    let frames = (end - offset).div_ceil(FRAME as u64);
    let threads = threads.max(1).min(frames as usize);
    let read = |number: u64, frame: &mut Vec<u8>| {
        let at = offset + number * FRAME as u64;
        frame.resize((end - at).min(FRAME as u64) as usize, 0);
        rootfs.read_exact_at(frame, at)
    };
    let stopped = || io::Error::other("a thread ended early");
    thread::scope(|scope| {
        // Frames are dealt out in turn, and come back so: nobody is far ahead of the others.
        let packers: Vec<_> = (0..threads)
            .map(|first| {
                let (sender, packed) = mpsc::sync_channel(1);
                scope.spawn(move || {
                    let mut packer = Packer::default();
                    let mut frame = Vec::new();
                    for number in (first as u64..frames).step_by(threads) {
                        let done = read(number, &mut frame).and_then(|()| packer.pack(&frame));
                        if sender.send(done).is_err() {
                            break;
                        }
                    }
                });
                packed
            })
            .collect();
        let summed = scope.spawn(|| {
            let mut frame = Vec::new();
            (0..frames).try_for_each(|number| {
                read(number, &mut frame)?;
                whole.update(&frame);
                Ok::<(), io::Error>(())
            })
        });
        let (mut hasher, mut length) = (Hasher::new(Algorithm::Sha256), 0);
        for number in 0..frames as usize {
            let packed = packers[number % threads].recv().map_err(|_| stopped())??;
            hasher.update(&packed);
            (&*into).write_all(&packed)?;
            length += packed.len() as u64;
        }
        summed.join().map_err(|_| stopped())??;
        let mut part = Descriptor::new(MediaType::parse(PART_TYPE), hasher.finish(), length);
        part.annotations.insert(LENGTH.into(), (end - offset).to_string());
        Ok(part)
    })
}

/// What packs frames on one thread.
#[derive(Default)]
struct Packer {
    /// A whole frame of zeros, packed: most of a sparse rootfs is that.
    zeros: Option<Vec<u8>>,
}

impl Packer {
    fn pack(&mut self, frame: &[u8]) -> io::Result<Vec<u8>> {
        let is_hole = frame.len() == FRAME && is_zero(frame);
        if is_hole && let Some(packed) = &self.zeros {
            return Ok(packed.clone());
        }
        // A new one for each frame, so that nothing of the one before has a say in it.
        let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
        // A frame that was damaged is found out when it is expanded, before the digests are.
        compressor.include_checksum(true)?;
        let packed = compressor.compress(frame)?;
        if is_hole {
            self.zeros = Some(packed.clone());
        }
        Ok(packed)
    }
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
        sparse::write_at(self.file, bytes, self.position)?;
        self.position += bytes.len() as u64;
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

#[cfg(test)]
mod tests {
    use tree::BLOCK;

    use super::*;

    #[test]
    fn there_and_back_with_its_holes() {
        let mut rootfs = vec![0; 3 * FRAME + 5_000];
        for (at, byte) in [(0, 1), (4095, 2), (FRAME + 17, 3), (2 * FRAME, 4), (3 * FRAME + 4_999, 5)] {
            rootfs[at] = byte;
        }
        let source = tempfile::tempfile().unwrap();
        source.write_all_at(&rootfs, 0).unwrap();
        let packed = tempfile::tempfile().unwrap();
        let mut whole = Hasher::new(Algorithm::Sha256);
        let part = pack(&source, 0, rootfs.len() as u64, &mut whole, &packed, 2).unwrap();
        for threads in [0, 1, 3, 4, 64] {
            let again = tempfile::tempfile().unwrap();
            let mut whole = Hasher::new(Algorithm::Sha256);
            assert_eq!(pack(&source, 0, rootfs.len() as u64, &mut whole, &again, threads).unwrap(), part);
        }
        // One that is shorter than it was is no rootfs.
        let longer = rootfs.len() as u64 + 1;
        assert!(
            pack(&source, 0, longer, &mut Hasher::new(Algorithm::Sha256), &tempfile::tempfile().unwrap(), 2)
                .is_err()
        );
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
        let stored = host::stored_bytes(&file.metadata().unwrap());
        assert!(stored <= 5 * 65_536 || cfg!(windows), "{stored}");
    }
}
