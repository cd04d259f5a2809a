//! Finding files that are equal, by hashes of what the spool holds of them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;

use erofs::{Candidate, Pressed};
use hash::{Algorithm, Digest, Hasher};
use tree::{Kind, Tree};

use crate::in_order::in_order;
use crate::output::BUFFER;
use crate::spool::Spool;

/// Short files are hashed together until they have so many bytes.
const JOB: u64 = 4 << 20;

/// Says of files which are equal to one that comes before them. Of those that are compressed (`candidates`) and those that
/// are not, none shares with the others.
pub(crate) fn share(
    tree: &Tree,
    spool: &Spool,
    sharable: Vec<Candidate>,
    candidates: &[Candidate],
    threads: usize,
    pressed: &mut Pressed,
) -> io::Result<()> {
    let compressed: BTreeSet<_> = candidates.iter().map(|file| file.node).collect();
    let kind = |file: &Candidate| (compressed.contains(&file.node), file.size);
    let mut sizes: BTreeMap<(bool, u64), u64> = BTreeMap::new();
    sharable.iter().for_each(|file| *sizes.entry(kind(file)).or_default() += 1);
    // Nothing is read of a file whose length no other has.
    let files: Vec<Candidate> = sharable.into_iter().filter(|file| sizes[&kind(file)] > 1).collect();
    let jobs = jobs(&files);
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
            Ok(())
        },
    )
}

/// Divides the work.
fn jobs(files: &[Candidate]) -> Vec<Range<usize>> {
    let (mut jobs, mut start, mut bytes): (Vec<Range<usize>>, usize, u64) = (Vec::new(), 0, 0);
    for (number, file) in files.iter().enumerate() {
        bytes += file.size;
        if bytes >= JOB || number + 1 == files.len() {
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
