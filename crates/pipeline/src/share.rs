//! Finding files that are equal, as a whole or in parts, by hashes of what the spool holds of them.

mod blocks;
mod chunks;
mod parts;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;

use erofs::{Candidate, Options, Pressed, Sharing};
use hash::{Algorithm, Digest, Hasher};
use tree::{Kind, Tree};

use crate::in_order::in_order;
use crate::output::BUFFER;
use crate::spool::Spool;

/// What is short is hashed together until it has so many bytes.
const JOB: u64 = 4 << 20;

/// Says of files which are equal to one that comes before them, and of the others which parts, if the options want that.
/// Of those that are compressed (`candidates`) and those that are not, none shares with the others.
pub(crate) fn share(
    tree: &Tree,
    spool: &Spool,
    options: &Options,
    candidates: &[Candidate],
    threads: usize,
    pressed: &mut Pressed,
) -> io::Result<()> {
    let sharable = erofs::sharable(tree, options);
    let compressed: BTreeSet<_> = candidates.iter().map(|file| file.node).collect();
    let kind = |file: &Candidate| (compressed.contains(&file.node), file.size);
    let mut sizes: BTreeMap<(bool, u64), u64> = BTreeMap::new();
    sharable.iter().for_each(|file| *sizes.entry(kind(file)).or_default() += 1);
    // Nothing is read of a file whose length no other has.
    let files: Vec<Candidate> = sharable.iter().copied().filter(|file| sizes[&kind(file)] > 1).collect();
    let jobs = jobs(files.iter().map(|file| file.size));
    let mut first = BTreeMap::new();
    in_order(
        jobs.len(),
        threads,
        || vec![0; BUFFER],
        |buffer, job| -> io::Result<Vec<Digest>> {
            files[jobs[job].clone()].iter().map(|file| digest(tree, spool, file, buffer)).collect()
        },
        |job, digests| {
            for (file, digest) in files[jobs[job].clone()].iter().zip(digests?) {
                match *first.entry((kind(file), digest)).or_insert(file.node) {
                    node if node == file.node => {}
                    node => pressed.share(file, node),
                }
            }
            Ok::<(), io::Error>(())
        },
    )?;
    if options.sharing == Sharing::Chunks {
        let is_single = |file: &Candidate| !pressed.is_shared(file.node);
        let plain: Vec<Candidate> =
            sharable.into_iter().filter(|file| is_single(file) && !compressed.contains(&file.node)).collect();
        let pieced: Vec<Candidate> =
            candidates.iter().copied().filter(|file| is_single(file) && !pressed.packs(file)).collect();
        blocks::share(tree, spool, &plain, options.block_size.bytes().into(), threads, pressed)?;
        parts::share(tree, spool, &pieced, threads, pressed)?;
    }
    Ok(())
}

/// Divides the work on things of so many bytes: short ones come together.
fn jobs(lengths: impl ExactSizeIterator<Item = u64>) -> Vec<Range<usize>> {
    let count = lengths.len();
    let (mut jobs, mut start, mut bytes): (Vec<Range<usize>>, usize, u64) = (Vec::new(), 0, 0);
    for (number, length) in lengths.enumerate() {
        bytes += length;
        if bytes >= JOB || number + 1 == count {
            jobs.push(start..number + 1);
            (start, bytes) = (number + 1, 0);
        }
    }
    jobs
}

fn digest(tree: &Tree, spool: &Spool, file: &Candidate, buffer: &mut [u8]) -> io::Result<Digest> {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    if let Kind::File(content) = &tree.node(file.node).kind {
        for start in (0..file.size).step_by(BUFFER) {
            let bytes = &mut buffer[..(file.size - start).min(BUFFER as u64) as usize];
            spool.read_content(content, start, bytes)?;
            hasher.update(bytes);
        }
    }
    Ok(hasher.finish())
}
