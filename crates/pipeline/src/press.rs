//! Compressing contents, on all processors, from the spool straight into the output.
//!
//! Only what the merge left is compressed. The tree says which files that are; their segments are the jobs, in the order
//! in which the layers hold them; and whatever thread does one, one after the other goes into the output. So neither
//! the threads nor their number decide a byte, and no more than a few jobs wait at any time.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::ops::Range;
use std::path::Path;

use erofs::{
    Candidate, Compression, Ending, Options, Packed, Part, Piece, Press, Pressed, Reuse, SEGMENT, Segment,
};
use host::FileExt;
use tree::{BLOCK, Kind, Span, Tree};

use crate::event::{Event, Report};
use crate::glob::Glob;
use crate::in_order::in_order;
use crate::output::{BUFFER, write_out};
use crate::spool::{self, Spool};

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
    // Ends of files wait with the contents.
    let tails = spool.create(spool.own_layer(), scratch).map_err(Fault::Spool)?;
    let jobs = jobs(&candidates, &pressed);
    let work = Work { tree, spool, options, compression, candidates: &candidates };
    let mut placing = Placing {
        pressed,
        tails: BufWriter::with_capacity(BUFFER, tails),
        sink: Sink { file, start, at: start, bytes: Vec::with_capacity(BUFFER) },
        behind: Behind { spool, run: None },
        bytes: 0,
    };
    let mut rests = None;
    in_order(
        jobs.len(),
        threads,
        || work.press(),
        |press, job| work.run(press, &jobs[job]),
        |job, made| {
            let job = &jobs[job];
            for (number, segment) in job.files.clone().zip(made.map_err(Fault::Spool)?) {
                let candidate = &candidates[number];
                placing.put(candidate, &job.piece(candidate), &segment)?;
            }
            if let Some((candidate, reuse)) = job.reuse(&candidates) {
                placing.reuse(candidate, reuse, |piece| {
                    work.run_piece(rests.get_or_insert_with(|| work.press()), candidate, piece)
                })?;
            }
            report(Event::Write { done: placing.bytes.min(total), total });
            Ok(())
        },
    )?;
    let Placing { pressed, mut tails, mut sink, mut behind, bytes } = placing;
    let mut done = Done { pressed, bytes };
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

/// What one thread does at once: a piece of a long file, or several short files.
#[derive(Debug, PartialEq, Eq)]
struct Job {
    files: Range<usize>,
    /// The piece, of one file; else each is one piece.
    piece: Option<Piece>,
    /// Bytes that it compresses.
    bytes: u64,
}

impl Job {
    /// The piece of one of its files.
    fn piece(&self, candidate: &Candidate) -> Piece {
        self.piece.unwrap_or_else(|| Piece::whole(candidate))
    }

    /// What comes behind its piece and is compressed elsewhere.
    fn reuse<'a>(&self, candidates: &'a [Candidate]) -> Option<(&'a Candidate, Reuse)> {
        Some((candidates.get(self.files.start)?, self.piece?.reuse?))
    }
}

/// Divides the work, always in the same way.
fn jobs(candidates: &[Candidate], pressed: &Pressed) -> Vec<Job> {
    let mut jobs: Vec<Job> = Vec::new();
    for (number, candidate) in candidates.iter().enumerate() {
        let (pieces, files) = (pressed.pieces(candidate), number..number + 1);
        if pieces != [Piece::whole(candidate)] {
            let job = |piece: Piece| Job { files: files.clone(), piece: Some(piece), bytes: piece.length };
            jobs.extend(pieces.into_iter().map(job));
            continue;
        }
        match jobs.last_mut() {
            Some(last) if last.piece.is_none() && last.bytes + candidate.size <= SEGMENT => {
                last.files.end += 1;
                last.bytes += candidate.size;
            }
            _ => jobs.push(Job { files, piece: None, bytes: candidate.size }),
        }
    }
    jobs
}

/// Puts what was compressed to its place.
struct Placing<'a> {
    pressed: Pressed,
    tails: BufWriter<spool::Writer<'a>>,
    sink: Sink<'a>,
    behind: Behind<'a>,
    bytes: u64,
}

impl Placing<'_> {
    /// Puts the next piece of a file.
    fn put(&mut self, candidate: &Candidate, piece: &Piece, segment: &Segment) -> Result<(), Fault> {
        let done = segment.length() - segment.left();
        self.bytes += done;
        if let Some(put) = self.pressed.add(candidate, piece, segment) {
            self.tails.write_all(segment.tail()).map_err(Fault::Spool)?;
            self.sink.put(put.clusters, segment.bytes()).map_err(Fault::Output)?;
            self.behind.pass(candidate, piece.start..piece.start + done, segment.left() > 0);
        }
        Ok(())
    }

    /// Gives a file what is compressed elsewhere. What cannot be had from there, `press` compresses: at the end less than
    /// a cluster, or all if nothing could be compressed of what comes before it.
    fn reuse(
        &mut self,
        candidate: &Candidate,
        reuse: Reuse,
        mut press: impl FnMut(&Piece) -> io::Result<Segment>,
    ) -> Result<(), Fault> {
        let mut at = self.pressed.lend(candidate, &reuse);
        self.bytes += at.saturating_sub(reuse.start);
        self.behind.pass(candidate, reuse.start..at, false);
        while at < reuse.end() {
            let piece = Piece::rest(candidate, &reuse, at);
            self.put(candidate, &piece, &press(&piece).map_err(Fault::Spool)?)?;
            at = piece.end();
        }
        Ok(())
    }
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
        Ok((press.press(bytes, Ending::Blocks), bytes.len() as u64))
    }

    fn run(&self, press: &mut (Press, Vec<u8>), job: &Job) -> io::Result<Vec<Segment>> {
        let candidates = self.candidates[job.files.clone()].iter();
        candidates.map(|candidate| self.run_piece(press, candidate, &job.piece(candidate))).collect()
    }

    fn run_piece(
        &self,
        (press, bytes): &mut (Press, Vec<u8>),
        candidate: &Candidate,
        piece: &Piece,
    ) -> io::Result<Segment> {
        let Kind::File(content) = &self.tree.node(candidate.node).kind else {
            return Ok(Segment::default());
        };
        bytes.resize(piece.length as usize, 0);
        self.spool.read_content(content, piece.start, bytes)?;
        Ok(press.press(bytes, piece.ending))
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
    /// These bytes of a file are not needed any more, but those behind them may be `left` to be read.
    fn pass(&mut self, candidate: &Candidate, Range { start, end }: Range<u64>, is_left: bool) {
        // Of a file with holes only the first piece's place is known here.
        let Span { layer, offset, length } = candidate.source;
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
                if run.length < SEGMENT && !is_left {
                    return;
                }
            }
            _ => {
                self.release();
                self.run = Some(passed);
                if !is_left {
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
        let found = jobs(&sizes.map(candidate), &Pressed::new(&Options::default(), 0));
        let start = |job: &Job| job.piece.map(|piece| piece.start);
        let found: Vec<_> = found.iter().map(|job| (job.files.clone(), start(job), job.bytes)).collect();
        let expected = [
            (0..2, None, SEGMENT),
            (2..3, None, 1),
            (3..4, Some(0), SEGMENT),
            (3..4, Some(SEGMENT), 1),
            (4..6, None, 11),
        ];
        assert_eq!(found, expected);
    }
}
