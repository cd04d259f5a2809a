//! Finding blocks of files that are equal to others, or zeros.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;

use erofs::{Candidate, Pressed, Repeat};
use hash::Digest;
use tree::{Content, Kind, NodeId, Tree};

use super::JOB;
use crate::in_order::in_order;
use crate::spool::Spool;

/// Most blocks that later ones are compared with: 14 GiB of such as differ, which take some 200 MiB of memory.
const KNOWN_MAX: usize = 7 << 19;

/// Most repeats that are noted in all, which take some 100 MiB of memory.
const REPEATS_MAX: usize = 1 << 20;

/// Some blocks of one of the files.
struct Part {
    file: usize,
    first: u64,
    /// Whole ones.
    blocks: u64,
}

/// What is known of a block.
#[derive(Clone, Copy)]
enum Block {
    Zeros,
    /// Its SHA-256, all of it: what is taken for equal must be so, whoever made the files.
    Hashed([u8; 32]),
}

/// Says of `files` which of their blocks of so many bytes are equal to such as come before them.
pub(super) fn share(
    tree: &Tree,
    spool: &Spool,
    files: &[Candidate],
    block: u64,
    threads: usize,
    pressed: &mut Pressed,
) -> io::Result<()> {
    let parts = parts(files, block);
    let jobs = super::jobs(parts.iter().map(|part| part.blocks * block));
    let mut finder = Finder::default();
    let mut repeats: Vec<(usize, Vec<Repeat>)> = Vec::new();
    in_order(
        jobs.len(),
        threads,
        || vec![0; JOB as usize],
        |buffer, job| -> io::Result<Vec<Block>> {
            let mut found = Vec::new();
            for part in &parts[jobs[job].clone()] {
                if let Kind::File(content) = &tree.node(files[part.file].node).kind {
                    hash_part(spool, content, part, block, buffer, &mut found)?;
                }
            }
            Ok(found)
        },
        |job, found| {
            let mut found = found?.into_iter();
            for part in &parts[jobs[job].clone()] {
                if repeats.last().is_none_or(|(file, _)| *file != part.file) {
                    repeats.push((part.file, Vec::new()));
                }
                let (_, noted) = repeats.last_mut().expect("there is one");
                let node = files[part.file].node;
                for number in part.first..part.first + part.blocks {
                    let block = found.next().unwrap_or(Block::Zeros);
                    finder.take(node, number, block, noted);
                }
            }
            Ok::<(), io::Error>(())
        },
    )?;
    for (file, noted) in repeats {
        pressed.repeat(&files[file], noted);
    }
    Ok(())
}

/// The blocks that were seen first.
#[derive(Default)]
struct Finder {
    known: HashMap<[u8; 32], (NodeId, u64)>,
    noted: usize,
}

impl Finder {
    /// Takes the next block of a file, and notes it there if it is a repeat.
    fn take(&mut self, node: NodeId, number: u64, block: Block, noted: &mut Vec<Repeat>) {
        let is_full = self.known.len() >= KNOWN_MAX;
        let of = match block {
            Block::Zeros => None,
            Block::Hashed(hash) => match self.known.entry(hash) {
                Entry::Occupied(known) => Some(*known.get()),
                Entry::Vacant(place) => {
                    if !is_full {
                        place.insert((node, number));
                    }
                    return;
                }
            },
        };
        let repeat = Repeat { first: number, blocks: 1, of };
        match noted.last_mut() {
            Some(last) if last.is_before(&repeat) => last.blocks += 1,
            _ if self.noted < REPEATS_MAX => {
                self.noted += 1;
                noted.push(repeat);
            }
            _ => {}
        }
    }
}

/// Cuts files into parts.
fn parts(files: &[Candidate], block: u64) -> Vec<Part> {
    let mut parts = Vec::new();
    for (file, candidate) in files.iter().enumerate() {
        let (all, most) = (candidate.size / block, JOB / block);
        parts.extend((0..all).step_by(most as usize).map(|first| Part {
            file,
            first,
            blocks: most.min(all - first),
        }));
    }
    parts
}

fn hash_part(
    spool: &Spool,
    content: &Content,
    part: &Part,
    block: u64,
    buffer: &mut [u8],
    found: &mut Vec<Block>,
) -> io::Result<()> {
    let bytes = &mut buffer[..(part.blocks * block) as usize];
    spool.read_content(content, part.first * block, bytes)?;
    found.extend(bytes.chunks(block as usize).map(|bytes| {
        if bytes.iter().all(|byte| *byte == 0) {
            return Block::Zeros;
        }
        let mut hash = [0; 32];
        hash.copy_from_slice(Digest::sha256(bytes).as_bytes());
        Block::Hashed(hash)
    }));
    Ok(())
}
