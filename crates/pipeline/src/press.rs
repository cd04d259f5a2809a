//! Compressing contents, on all processors, from the spool straight into the output.
//!
//! Only what the merge left is compressed. The tree says which files that are; their segments are the jobs, in the order
//! in which the layers hold them; and whatever thread does one, one after the other goes into the output. So neither
//! the threads nor their number decide a byte, and no more than a few jobs wait at any time.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::ops::Range;
use std::path::Path;

use erofs::{Candidate, Compression, Options, Packed, Part, Press, Pressed, SEGMENT, Segment};
use host::FileExt;
use tree::{BLOCK, Kind, Span, Tree};

use crate::event::{Event, Report};
use crate::glob::Glob;
use crate::in_order::in_order;
use crate::output::{BUFFER, write_out};
use crate::spool::Spool;

/// Whose fault it is that contents could not be compressed.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The spool's.
    Spool(io::Error),
    /// The output's.
    Output(io::Error),
    /// The tree's.
    Plan(erofs::Error),
}

/// What contents became, and of how many bytes.
pub(crate) struct Done {
    pub(crate) pressed: Pressed,
    pub(crate) bytes: u64,
}

/// The files that are to be compressed, but for those that are to be `left` as they are.
pub(crate) fn candidates(
    tree: &Tree,
    options: &Options,
    left: &[Glob],
) -> Result<Vec<Candidate>, erofs::Error> {
    erofs::candidates(tree, options, |path| left.iter().any(|glob| glob.matches(path)))
}

/// Compresses candidates into `file`, where the filesystem begins at `start`, but for those that are `pressed` already as
/// equal to others, in so many threads; the spool has a `scratch` directory. `total` is about how many bytes will be
/// written or compressed in all, for the report.
pub(crate) fn press(
    tree: &Tree,
    (spool, scratch): (&Spool, &Path),
    (file, start): (&File, u64),
    (options, compression): (&Options, Compression),
    (mut candidates, pressed): (Vec<Candidate>, Pressed),
    threads: usize,
    (report, total): (Report<'_>, u64),
) -> Result<Done, Fault> {
    candidates.retain(|candidate| !pressed.is_shared(candidate.node));
    let all = candidates.clone();
    candidates.retain(|candidate| !pressed.packs(candidate));
    let mut done = Done { pressed, bytes: 0 };
    // Ends of files wait with the contents.
    let tails = spool.create(spool.own_layer(), scratch).map_err(Fault::Spool)?;
    let mut tails = BufWriter::with_capacity(BUFFER, tails);
    let jobs = jobs(&candidates);
    let work = Work { tree, spool, options, compression, candidates: &candidates };
    let mut sink = Sink { file, start, at: start, bytes: Vec::with_capacity(BUFFER) };
    let mut behind = Behind { spool, run: None };
    in_order(
        jobs.len(),
        threads,
        || work.press(),
        |press, job| work.run(press, &jobs[job]),
        |job, made| {
            let segments = made.map_err(Fault::Spool)?;
            for (candidate, segment) in candidates[jobs[job].files.clone()].iter().zip(&segments) {
                if let Some(put) = done.pressed.add(candidate, segment) {
                    tails.write_all(segment.tail()).map_err(Fault::Spool)?;
                    sink.put(put.clusters, segment.bytes()).map_err(Fault::Output)?;
                    behind.pass(candidate, jobs[job].segment, segment.left());
                }
            }
            done.bytes += jobs[job].bytes - segments.iter().map(Segment::left).sum::<u64>();
            report(Event::Write { done: done.bytes.min(total), total });
            Ok(())
        },
    )?;
    tails.flush().map_err(Fault::Spool)?;
    let packed = done.pressed.pack(&all).map_err(Fault::Plan)?;
    in_order(
        packed.segments() as usize,
        threads,
        || work.press(),
        |press, segment| work.run_packed(press, &packed, segment as u64),
        |_, made| {
            let (segment, bytes) = made.map_err(Fault::Spool)?;
            let at = done.pressed.add_packed(&segment);
            sink.put(at, segment.bytes()).map_err(Fault::Output)?;
            done.bytes += bytes;
            report(Event::Write { done: done.bytes.min(total), total });
            Ok(())
        },
    )?;
    sink.flush().map_err(Fault::Output)?;
    behind.release();
    Ok(done)
}

/// What one thread does at once: a segment of a long file, or several short files.
#[derive(Debug, PartialEq, Eq)]
struct Job {
    files: Range<usize>,
    segment: u64,
    /// Bytes that it compresses.
    bytes: u64,
}

/// Divides the work, always in the same way.
fn jobs(candidates: &[Candidate]) -> Vec<Job> {
    let mut jobs: Vec<Job> = Vec::new();
    let mut may_grow = false;
    for (number, candidate) in candidates.iter().enumerate() {
        if candidate.segments() > 1 {
            jobs.extend((0..candidate.segments()).map(|segment| Job {
                files: number..number + 1,
                segment,
                bytes: (candidate.size - segment * SEGMENT).min(SEGMENT),
            }));
            may_grow = false;
            continue;
        }
        match jobs.last_mut() {
            Some(last) if may_grow && last.bytes + candidate.size <= SEGMENT => {
                last.files.end += 1;
                last.bytes += candidate.size;
            }
            _ => jobs.push(Job { files: number..number + 1, segment: 0, bytes: candidate.size }),
        }
        may_grow = true;
    }
    jobs
}

/// What all threads know.
struct Work<'a> {
    tree: &'a Tree,
    spool: &'a Spool,
    options: &'a Options,
    compression: Compression,
    candidates: &'a [Candidate],
}

impl Work<'_> {
    fn press(&self) -> (Press, Vec<u8>) {
        (Press::new(&self.compression, self.options), Vec::new())
    }

    /// Compresses a segment of the packed inode, and says how many bytes it had.
    fn run_packed(
        &self,
        (press, bytes): &mut (Press, Vec<u8>),
        packed: &Packed,
        segment: u64,
    ) -> io::Result<(Segment, u64)> {
        bytes.clear();
        for Part { node, start, length } in packed.segment(segment) {
            let filled = bytes.len();
            bytes.resize(filled + length as usize, 0);
            if let Kind::File(content) = &self.tree.node(node).kind {
                self.spool.read_content(content, start, &mut bytes[filled..])?;
            }
        }
        // Its own end is in a block.
        Ok((press.press(bytes, false), bytes.len() as u64))
    }

    fn run(&self, (press, bytes): &mut (Press, Vec<u8>), job: &Job) -> io::Result<Vec<Segment>> {
        let press = |candidate: &Candidate| {
            let Kind::File(content) = &self.tree.node(candidate.node).kind else {
                return Ok(Segment::default());
            };
            let start = job.segment * SEGMENT;
            bytes.resize((candidate.size - start).min(SEGMENT) as usize, 0);
            self.spool.read_content(content, start, bytes)?;
            Ok(press.press(bytes, job.segment + 1 == candidate.segments()))
        };
        self.candidates[job.files.clone()].iter().map(press).collect()
    }
}

/// Writes clusters, which lie behind one another, in large writes.
struct Sink<'a> {
    file: &'a File,
    start: u64,
    at: u64,
    bytes: Vec<u8>,
}

impl Sink<'_> {
    fn put(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let at = self.start + at;
        if at != self.at + self.bytes.len() as u64 || self.bytes.len() + bytes.len() > BUFFER {
            self.flush()?;
            self.at = at;
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.bytes, self.at)?;
        write_out(self.file, self.at, self.bytes.len() as u64);
        self.at += self.bytes.len() as u64;
        self.bytes.clear();
        Ok(())
    }
}

/// Lets the spool go of what was compressed, neighbours together.
struct Behind<'a> {
    spool: &'a Spool,
    run: Option<Span>,
}

impl Behind<'_> {
    /// Of the segment `left` bytes at its end are still to be read.
    fn pass(&mut self, candidate: &Candidate, segment: u64, left: u64) {
        // Of a file with holes only the first piece's place is known here.
        let Span { layer, offset, length } = candidate.source;
        let start = segment * SEGMENT;
        let end = candidate.size.min(start + SEGMENT) - left;
        if start >= length.min(end) {
            return;
        }
        let passed = Span { layer, offset: offset + start, length: length.min(end) - start };
        match &mut self.run {
            Some(run)
                if run.layer == layer
                    && (run.offset + run.length).next_multiple_of(BLOCK) == passed.offset =>
            {
                run.length = passed.offset + passed.length - run.offset;
                if run.length < SEGMENT && left == 0 {
                    return;
                }
            }
            _ => {
                self.release();
                self.run = Some(passed);
                if left == 0 {
                    return;
                }
            }
        }
        // What is left may begin in a block that nothing else begins in: no run goes across it.
        self.release();
    }

    fn release(&mut self) {
        if let Some(run) = self.run.take() {
            self.spool.release(run);
        }
    }
}

#[cfg(test)]
mod tests {
    use tree::Tree;

    use super::*;

    #[test]
    fn long_files_are_cut_and_short_ones_joined() {
        let candidate =
            |size| Candidate { node: Tree::ROOT, size, source: Span { layer: 0, offset: 0, length: size } };
        let sizes = [1000, SEGMENT - 1000, 1, SEGMENT + 1, 5, 6];
        let found = jobs(&sizes.map(candidate));
        let found: Vec<_> = found.iter().map(|job| (job.files.clone(), job.segment, job.bytes)).collect();
        let expected = [(0..2, 0, SEGMENT), (2..3, 0, 1), (3..4, 0, SEGMENT), (3..4, 1, 1), (4..6, 0, 11)];
        assert_eq!(found, expected);
    }
}
