//! Finding parts of files that are equal, be they at a block's start or not, for files that are compressed.
//!
//! Where several chunks in a row have the hashes of others in a row, the bytes of both are compared: how far they are
//! equal, before and behind them.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::io;

use erofs::{Algorithm, Candidate, ClusterSize, Compression, Ending, Options, Press, Pressed, Reuse};
use tree::{BLOCK, Kind, Tree};

use super::JOB;
use super::chunks::{CHUNK_MAX, Chunk, chunks};
use crate::in_order::in_order;
use crate::spool::Spool;

/// Shorter parts are not worth what they cost: a cluster is cut short in both files, at either end.
const LENGTH_MIN: u64 = 24 << 10;
/// Bytes between parts, or places where parts begin. Fewer are not compressed well by themselves.
const GAP_MIN: u64 = 8 << 10;
/// Bytes of a part that are compressed to see how many it saves, and how.
const SAMPLE: u64 = 64 << 10;
const SAMPLING: Compression = Compression { algorithm: Algorithm::Lz4, cluster: ClusterSize::DEFAULT };
/// Bytes that a part costs.
const COST: u64 = BLOCK;
/// Bytes that each block of a file with such parts costs: an index of another kind.
const COST_OF_BLOCK: u64 = 6;

/// Bytes from what comes again to where it comes again, if that is for compression to see.
const NEAR: u64 = 64 << 10;

/// Most chunks that later ones are compared with: some 18 GiB of such as differ, which take 200 MiB of memory.
const KNOWN_MAX: usize = 3 << 20;
/// Most parts that are noted in all, which take some 100 MiB of memory.
const PARTS_MAX: usize = 1 << 20;

/// Says of candidates, in the order in which they will be compressed, which parts of them are in such as come before, or
/// in themselves further in front.
pub(super) fn share(
    tree: &Tree,
    spool: &Spool,
    files: &[Candidate],
    threads: usize,
    pressed: &mut Pressed,
) -> io::Result<()> {
    let files: Vec<Candidate> = files.iter().copied().filter(|file| file.size >= LENGTH_MIN).collect();
    let jobs: Vec<(usize, u64)> = (0..files.len())
        .flat_map(|file| (0..files[file].size).step_by(JOB as usize).map(move |start| (file, start)))
        .collect();
    let reader = Reader { tree, spool, files: &files };
    let mut finder = Finder::new(&reader);
    in_order(
        jobs.len(),
        threads,
        Vec::new,
        |buffer, job| -> io::Result<Vec<Chunk>> {
            let (file, start) = jobs[job];
            buffer.resize((files[file].size - start).min(JOB) as usize, 0);
            reader.read((file, start), buffer)?;
            Ok(chunks(buffer, start))
        },
        |job, chunks| {
            let (file, start) = jobs[job];
            if start == 0 {
                finder.begin(file);
            }
            for chunk in chunks? {
                finder.take(chunk)?;
            }
            if start + JOB >= files[file].size {
                pressed.reuse(&files[file], finder.end()?);
            }
            Ok::<(), io::Error>(())
        },
    )
}

/// A place in a file: its number and how many bytes are before it.
type Place = (usize, u64);

struct Reader<'a> {
    tree: &'a Tree,
    spool: &'a Spool,
    files: &'a [Candidate],
}

impl Reader<'_> {
    fn read(&self, (file, start): Place, bytes: &mut [u8]) -> io::Result<()> {
        match &self.tree.node(self.files[file].node).kind {
            Kind::File(content) => self.spool.read_content(content, start, bytes),
            _ => Ok(()),
        }
    }

    /// How many bytes are equal from two places on, at most so many.
    fn equal_from(&self, one: Place, other: Place, most: u64) -> io::Result<u64> {
        let (mut ours, mut theirs) = (vec![0; CHUNK_MAX], vec![0; CHUNK_MAX]);
        let mut equal = 0;
        while equal < most {
            let count = (most - equal).min(CHUNK_MAX as u64) as usize;
            self.read((one.0, one.1 + equal), &mut ours[..count])?;
            self.read((other.0, other.1 + equal), &mut theirs[..count])?;
            if ours[..count] != theirs[..count] {
                let pairs = ours.iter().zip(&theirs).take(count);
                return Ok(equal + pairs.take_while(|(one, other)| one == other).count() as u64);
            }
            equal += count as u64;
        }
        Ok(equal)
    }

    /// How many bytes are equal before two places, at most so many and [`CHUNK_MAX`].
    fn equal_before(&self, one: Place, other: Place, most: u64) -> io::Result<u64> {
        let count = most.min(CHUNK_MAX as u64);
        let (mut ours, mut theirs) = (vec![0; count as usize], vec![0; count as usize]);
        self.read((one.0, one.1 - count), &mut ours)?;
        self.read((other.0, other.1 - count), &mut theirs)?;
        Ok(ours.iter().rev().zip(theirs.iter().rev()).take_while(|(one, other)| one == other).count() as u64)
    }
}

/// Chunks in a row that have the hashes of others in a row.
struct Open {
    /// The first of the others, and how many there are.
    first: usize,
    count: usize,
    start: u64,
    length: u64,
}

/// What was seen, and what the file that is looked at has of it.
struct Finder<'a> {
    reader: &'a Reader<'a>,
    /// Chunks that are not known from elsewhere, each with its file's number.
    known: Vec<(u32, Chunk)>,
    by_hash: HashMap<u64, u32>,
    /// The parts of each file that are elsewhere.
    parts: BTreeMap<usize, Vec<Part>>,
    noted: usize,
    /// Where in each file parts of others begin.
    cuts: BTreeMap<usize, BTreeSet<u64>>,
    file: usize,
    open: Option<Open>,
    found: Vec<Part>,
    /// Chunks of the file that are near, with their starts and hashes.
    near: VecDeque<(u64, u64)>,
    /// Compresses samples, by the fastest algorithm.
    press: Press,
}

/// Bytes of a file that are in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    start: u64,
    length: u64,
    from: Place,
    /// About so many bytes are saved by it.
    saved: u64,
}

impl Part {
    fn end(&self) -> u64 {
        self.start + self.length
    }
}

impl<'a> Finder<'a> {
    fn new(reader: &'a Reader<'a>) -> Finder<'a> {
        Finder {
            reader,
            known: Vec::new(),
            by_hash: HashMap::new(),
            parts: BTreeMap::new(),
            noted: 0,
            cuts: BTreeMap::new(),
            file: 0,
            open: None,
            found: Vec::new(),
            near: VecDeque::new(),
            press: Press::new(&SAMPLING, &Options::default()),
        }
    }

    /// The next file comes.
    fn begin(&mut self, file: usize) {
        self.file = file;
        self.near.clear();
    }

    /// Takes the next chunk of the file.
    fn take(&mut self, chunk: Chunk) -> io::Result<()> {
        while self.near.pop_front_if(|(start, _)| *start + NEAR < chunk.start).is_some() {}
        let is_near = self.near.iter().any(|(_, hash)| *hash == chunk.hash);
        self.near.push_back((chunk.start, chunk.hash));
        if let Some(open) = &mut self.open {
            let next = self.known.get(open.first + open.count);
            let (file, last) = self.known[open.first + open.count - 1];
            if let Some((of, next)) = next
                && *of == file
                && next.start == last.start + u64::from(last.length)
                && (next.hash, next.length) == (chunk.hash, chunk.length)
            {
                open.count += 1;
                open.length += u64::from(chunk.length);
                return Ok(());
            }
            self.close()?;
        }
        if chunk.start < self.free() {
            return Ok(());
        }
        let is_full = self.known.len() >= KNOWN_MAX;
        let number = self.known.len();
        if !chunk.is_dull && !is_near {
            match self.by_hash.entry(chunk.hash) {
                Entry::Occupied(known) => {
                    let (start, length) = (chunk.start, chunk.length.into());
                    self.open = Some(Open { first: *known.get() as usize, count: 1, start, length });
                    return Ok(());
                }
                Entry::Vacant(place) if !is_full => {
                    place.insert(number as u32);
                }
                Entry::Vacant(_) => {}
            }
        }
        if !is_full {
            self.known.push((self.file as u32, chunk));
        }
        Ok(())
    }

    /// Looks at what chunks in a row are equal to, and notes it if it is long enough.
    fn close(&mut self) -> io::Result<()> {
        let Some(Open { first, start, length, .. }) = self.open.take() else { return Ok(()) };
        if length < LENGTH_MIN / 2 || self.noted >= PARTS_MAX {
            return Ok(());
        }
        let (file, known) = self.known[first];
        let (file, from) = (file as usize, known.start);
        let Some((low, high)) = self.own_bytes(file, from) else { return Ok(()) };
        let (ours, theirs) = ((self.file, start), (file, from));
        let before = self.reader.equal_before(ours, theirs, (start - self.free()).min(from - low))?;
        // A part of the file itself must end before it begins again.
        let high = if file == self.file { high.min(start - before) } else { high };
        let most = high.saturating_sub(from).min(self.reader.files[self.file].size - start);
        let equal = self.reader.equal_from(ours, theirs, most)?;
        if equal == 0 {
            return Ok(());
        }
        let from = (file, from - before);
        let part = Part { start: start - before, length: before + equal, from, saved: 0 };
        let Some(part) = self.fit(part) else { return Ok(()) };
        let part = Part { saved: self.compressed(&part)?.saturating_sub(COST), ..part };
        if part.saved > 0 {
            self.noted += 1;
            self.cuts.entry(file).or_default().insert(part.from.1);
            self.found.push(part);
        }
        Ok(())
    }

    /// About how many bytes a part is compressed to.
    fn compressed(&mut self, part: &Part) -> io::Result<u64> {
        let mut sample = vec![0; part.length.min(SAMPLE) as usize];
        self.reader.read((self.file, part.start), &mut sample)?;
        let segment = self.press.press(&sample, Ending::File);
        let compressed = segment.bytes().len() + segment.tail().len();
        Ok((u128::from(part.length) * compressed as u128 / sample.len() as u128) as u64)
    }

    /// Where the last part that was found in the file ends.
    fn free(&self) -> u64 {
        self.found.last().map_or(0, Part::end)
    }

    /// The bytes around a place of a file that are compressed there.
    fn own_bytes(&self, file: usize, at: u64) -> Option<(u64, u64)> {
        let parts = match file == self.file {
            true => &self.found[..],
            false => self.parts.get(&file).map_or(&[][..], |parts| parts),
        };
        let next = parts.partition_point(|part| part.start <= at);
        let low = next.checked_sub(1).map_or(0, |before| parts[before].end());
        let high = parts.get(next).map_or(self.reader.files[file].size, |part| part.start);
        (low <= at).then_some((low, high))
    }

    /// Makes a part begin where a block of the other file does, and as far as need be from others; and end with a block.
    /// `None` if too little is left of it.
    fn fit(&self, part: Part) -> Option<Part> {
        let (file, first) = part.from;
        let free = self.free();
        let none = BTreeSet::new();
        let cuts = self.cuts.get(&file).unwrap_or(&none);
        let mut from = first.next_multiple_of(BLOCK);
        let start = loop {
            let start = part.start + (from - first);
            if start >= part.end() {
                return None;
            }
            if start != free && start < free + GAP_MIN {
                from += (free + GAP_MIN - start).next_multiple_of(BLOCK);
                continue;
            }
            let near = cuts.range((from + 1).saturating_sub(GAP_MIN)..from + GAP_MIN).next_back();
            match near {
                Some(cut) if *cut > from => from = *cut,
                Some(cut) if *cut < from => from = cut + GAP_MIN,
                _ => break start,
            }
        };
        let is_end = part.end() == self.reader.files[self.file].size;
        let end = if is_end { part.end() } else { part.end() / BLOCK * BLOCK };
        let length = end.checked_sub(start)?;
        (length >= LENGTH_MIN).then_some(Part { start, length, from: (file, from), saved: 0 })
    }

    /// The file ends: gives what of it is elsewhere, if that saves more than it costs.
    fn end(&mut self) -> io::Result<Vec<Reuse>> {
        self.close()?;
        let found = std::mem::take(&mut self.found);
        let saved: u64 = found.iter().map(|part| part.saved).sum();
        if saved < self.reader.files[self.file].size.div_ceil(BLOCK) * COST_OF_BLOCK {
            return Ok(Vec::new());
        }
        let reuse = |&Part { start, length, from: (file, from), .. }: &Part| Reuse {
            start,
            length,
            of: self.reader.files[file].node,
            from,
        };
        let reuses = found.iter().map(reuse).collect();
        self.parts.insert(self.file, found);
        Ok(reuses)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use erofs::Sharing;
    use proptest::prelude::*;
    use tree::{Action, Change, Content, Metadata, Notes, Span};

    use super::super::chunks::tests::noise;
    use super::*;

    /// Looks for parts in files of these bytes, checks that all are what they should be, and says how many bytes these have.
    fn found(files: &[Vec<u8>], threads: usize) -> (u64, Vec<Vec<Reuse>>) {
        let options = Options {
            compression: Some(Compression { algorithm: Algorithm::Lz4, cluster: ClusterSize::BLOCK }),
            sharing: Sharing::Chunks,
            ..Options::default()
        };
        let (mut tree, spool, mut offset) = (Tree::default(), Spool::new(1, false), 0);
        let writer = spool.create(0, Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
        for (number, bytes) in files.iter().enumerate() {
            writer.write_at(bytes, offset).unwrap();
            let span = Span { layer: 0, offset, length: bytes.len() as u64 };
            offset = (offset + span.length).next_multiple_of(BLOCK);
            let action = Action::Put(Metadata::implicit(), Kind::File(Content::Whole(span)));
            let path = tree::Path::parse(format!("{number}").as_bytes(), 1).unwrap();
            tree.apply(0, vec![Change { entry: 0, path, action }], &mut Notes::default()).unwrap();
        }
        let candidates = erofs::candidates(&tree, &options, |_| false).unwrap();
        let mut pressed = Pressed::new(&options, 1);
        share(&tree, &spool, &candidates, threads, &mut pressed).unwrap();

        let reuses: Vec<Vec<Reuse>> = candidates
            .iter()
            .map(|file| pressed.pieces(file).into_iter().filter_map(|piece| piece.reuse).collect())
            .collect();
        let numbers: HashMap<_, _> = candidates.iter().map(|file| file.node).zip(0..).collect();
        let mut bytes = 0;
        for (number, found) in reuses.iter().enumerate() {
            let mut free = 0;
            for reuse in found {
                let of: usize = numbers[&reuse.of];
                let (start, end) = (reuse.start as usize, reuse.end() as usize);
                let (from, to) = (reuse.from as usize, (reuse.from + reuse.length) as usize);
                assert!(files[number][start..end] == files[of][from..to], "{reuse:?}");
                assert!(reuse.from.is_multiple_of(BLOCK) && reuse.length >= LENGTH_MIN, "{reuse:?}");
                assert!(reuse.end().is_multiple_of(BLOCK) || end == files[number].len(), "{reuse:?}");
                assert!(start == free || start >= free + GAP_MIN as usize, "{reuse:?} behind {free}");
                assert!(of < number || (of == number && to <= start), "{reuse:?} of what comes later");
                let is_own =
                    |other: &Reuse| reuse.from + reuse.length <= other.start || other.end() <= reuse.from;
                assert!(reuses[of].iter().all(is_own), "{reuse:?} of what is itself elsewhere");
                free = end;
                bytes += reuse.length;
            }
        }
        (bytes, reuses)
    }

    #[test]
    fn parts_wherever_they_are() {
        let (a, b) = (noise(3 << 20, 1), noise(10 << 20, 2));
        let (before, between) = (noise(50_001, 3), noise(60_000, 4));
        let shifted = [&before[..], &a[12_345..2_000_000], &between, &b[7..9_000_000]].concat();
        let twice = [&a[..100], &b[9_500_000..], &noise(20_000, 5), &b[9_500_000..]].concat();
        let again = [&noise(40_000, 6)[..], &between, &noise(200_000, 7), &noise(200_000, 7)].concat();
        for threads in [1, 8] {
            let files = [&a, &b, &shifted, &twice, &again, &vec![0; 5 << 20]].map(Clone::clone);
            let (bytes, reuses) = found(&files, threads);
            let counts: Vec<usize> = reuses.iter().map(Vec::len).collect();
            assert_eq!(counts, [0, 0, 2, 2, 2, 0], "{reuses:?}");
            let all = 2_000_000 + 9_000_000 + 2 * 985_760 + 260_000;
            assert!(bytes > all - 100_000 && bytes < all, "{bytes} of {all}");
        }
    }

    #[test]
    fn what_compression_finds_itself() {
        let again = noise(30_000, 1).repeat(100);
        // Of each KiB 8 bytes, of 200.
        let thin: Vec<u8> =
            noise(8 * 200, 2).chunks(8).flat_map(|some| [some, &[0; 1016]].concat()).collect();
        let twice = [&thin[..], &noise(50_000, 3), &thin].concat();
        let (bytes, reuses) = found(&[again, twice, thin], 1);
        assert_eq!(bytes, 0, "{reuses:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn whatever_files_have_in_common(
            files in prop::collection::vec(
                prop::collection::vec((0..3u64, 0..200_000usize, 1..150_000usize), 1..6), 1..6)
        ) {
            let pool = [noise(400_000, 8), b"some words, again and again; ".repeat(14_000), vec![0; 400_000]];
            let bytes = |parts: &Vec<(u64, usize, usize)>| -> Vec<u8> {
                parts.iter().flat_map(|&(of, at, length)| &pool[of as usize][at..at + length]).copied().collect()
            };
            let files: Vec<Vec<u8>> = files.iter().map(bytes).collect();
            prop_assert_eq!(found(&files, 1), found(&files, 3));
        }
    }
}
