//! The store: whatever is done to it in whatever order, by sources that lie, break off or are cut short, with files
//! that an earlier run left or a disk has spoilt, and with a disk that is full at any byte:
//!
//! - a file under a digest has this digest, unless it was spoilt behind the store's back, and then nobody reads it;
//! - what was there is still there after anything that failed, the list of tags byte for byte;
//! - a tag names what was tagged, and nothing else; a remembered diff ID is the one that was remembered or none;
//! - the next run, with sound sources and room on the disk, puts all right.
#![no_main]

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::panic;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, LazyLock};

use hash::Digest;
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use oci::{Descriptor, MediaType, Reference};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use store::{Error, Store};

const OPERATIONS: usize = 32;

/// Lengths of the blobs, the last of which takes another way: it is hashed by a thread of its own.
const LENGTHS: [usize; 5] = [0, 1, 600, 5_000, (1 << 20) + 4_000];

const NAMES: [&str; 3] = ["a.example/a:1", "a.example/a:2", "b.example/b:1"];

static BLOBS: LazyLock<[Vec<u8>; 5]> = LazyLock::new(|| {
    LENGTHS.map(|length| (0..length as u32).map(|at| (at.wrapping_mul(0x9e37_79b9) >> 24) as u8).collect())
});

static DESCRIPTORS: LazyLock<[Descriptor; 5]> = LazyLock::new(|| {
    let kind = || MediaType::parse(MediaType::OCI_MANIFEST);
    BLOBS.each_ref().map(|bytes| Descriptor::new(kind(), Digest::sha256(bytes), bytes.len() as u64))
});

fuzz_target!(
    init: {
        // A file that becomes too large is to be an error of the write, as a full disk is.
        let told = Arc::<AtomicBool>::default();
        signal_hook::flag::register(signal_hook::consts::SIGXFSZ, told).expect("it may be caught");
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |what| {
            limit(None);
            report(what);
        }));
    },
    |data: &[u8]| {
        // What ends too early is filled up with zeros, so that there is no error.
        let _ = run(&mut Unstructured::new(data));
    }
);

fn run(u: &mut Unstructured<'_>) -> Result<()> {
    let scratch = tempfile::tempdir().expect("there is room");
    let mut model = Model::new(scratch.path());
    let mut store = None;
    for _ in 0..OPERATIONS {
        if u.is_empty() {
            break;
        }
        let room = if u.ratio(1, 3)? { Some(room(u)?) } else { None };
        match &store {
            None => store = model.open(room),
            Some(open) if u.ratio(15, 16)? => model.operation(u, open, room)?,
            Some(_) => store = None,
        }
        model.check();
    }
    drop(store);
    model.heal();
    Ok(())
}

/// Where a disk ends: mostly within what is written.
fn room(u: &mut Unstructured<'_>) -> Result<u64> {
    let most = *u.choose(&[0, 16, 100, 700, 6_000, (1 << 20) + 4_096])?;
    u.int_in_range(0..=most)
}

/// What should be there.
struct Model {
    path: PathBuf,
    beside: PathBuf,
    /// What lies under each blob's name.
    blobs: [Option<Vec<u8>>; 5],
    tags: BTreeMap<&'static str, Digest>,
    diff_ids: [Option<Digest>; 5],
}

impl Model {
    fn new(scratch: &Path) -> Model {
        Model {
            path: scratch.join("store"),
            beside: scratch.join("beside"),
            blobs: Default::default(),
            tags: BTreeMap::new(),
            diff_ids: [None; 5],
        }
    }

    fn blob(&self, nth: usize) -> PathBuf {
        self.path.join("blobs/sha256").join(DESCRIPTORS[nth].digest.hex())
    }

    fn own(&self, directory: &str, nth: usize) -> PathBuf {
        let name = DESCRIPTORS[nth].digest.to_string().replace(':', "-");
        self.path.join("unlade").join(directory).join(name)
    }

    fn open(&self, room: Option<u64>) -> Option<Store> {
        let opened = limited(room, || Store::open(&self.path));
        assert!(opened.is_ok() || room.is_some(), "{opened:?}");
        opened.ok()
    }

    fn operation(&mut self, u: &mut Unstructured<'_>, store: &Store, room: Option<u64>) -> Result<()> {
        let nth = u.choose_index(LENGTHS.len())?;
        let (bytes, descriptor) = (&BLOBS[nth], &DESCRIPTORS[nth]);
        match u.int_in_range(0..=11)? {
            0..=2 => {
                let sources = [Source::arbitrary(u)?, Source::arbitrary(u)?];
                let patience =
                    if u.ratio(1, 4)? { u.int_in_range(0..=bytes.len() as u64)? } else { u64::MAX };
                let done = limited(room, || put(store, nth, sources, patience));
                let sound = sources == [Source::Sound; 2] && patience == u64::MAX;
                self.put(nth, done, sound && room.is_none());
            }
            3 => {
                let sound = u.arbitrary()?;
                let given = if sound { bytes.clone() } else { spoilt(u, bytes)? };
                let done = limited(room, || store.put_document(&descriptor.digest, &given));
                match given == *bytes {
                    true => self.put(nth, done, room.is_none()),
                    false => assert!(done.is_err()),
                }
            }
            4 => {
                let offset = if u.arbitrary()? { 0 } else { u.int_in_range(0..=5_000)? };
                let given = if u.arbitrary()? { bytes.clone() } else { spoilt(u, bytes)? };
                fs::write(&self.beside, [&vec![7; offset], &given[..]].concat()).expect("there is room");
                let file = fs::File::open(&self.beside).expect("it is there");
                let go_on = |_| ControlFlow::Continue(());
                let done = limited(room, || store.put_file(descriptor, &file, offset as u64, &go_on));
                self.put(nth, done, given == *bytes && room.is_none());
            }
            5 => self.read(store, nth),
            6 => {
                let spoilt = self.blobs[nth].as_ref().is_some_and(|found| found != bytes);
                let gone = store.discard(&descriptor.digest).expect("nothing is in the way");
                assert_eq!(gone, spoilt);
                self.blobs[nth].take_if(|_| gone);
            }
            7 => self.tag(u, store, nth, room)?,
            8 => self.diff_id(store, nth, room),
            _ => self.plant(u, nth)?,
        }
        Ok(())
    }

    /// A blob that was put is there; one that was not is as it was.
    fn put(&mut self, nth: usize, done: std::result::Result<(), Error>, must: bool) {
        assert!(done.is_ok() || !must, "{done:?}");
        // A blob of the right size is taken for whole, since whoever reads it checks it.
        let there = self.blobs[nth].as_ref().is_some_and(|found| found.len() == LENGTHS[nth]);
        assert!(done.is_ok() || !there, "{done:?}");
        if done.is_ok() && !there {
            self.blobs[nth] = Some(BLOBS[nth].clone());
        }
    }

    fn read(&self, store: &Store, nth: usize) {
        let (bytes, descriptor) = (&BLOBS[nth], &DESCRIPTORS[nth]);
        let whole = self.blobs[nth].as_ref() == Some(bytes);
        let mut found = Vec::new();
        let read = store.open_blob(descriptor).map_err(io::Error::other);
        let read = read.and_then(|blob| blob.verify().read_to_end(&mut found));
        assert_eq!(read.is_ok(), whole, "{read:?}");
        assert!(!whole || found == *bytes);
        let document = store.document(descriptor);
        assert_eq!(document.ok().as_ref(), Some(bytes).filter(|_| whole));
    }

    fn tag(&mut self, u: &mut Unstructured<'_>, store: &Store, nth: usize, room: Option<u64>) -> Result<()> {
        let name = *u.choose(&NAMES)?;
        if self.blobs[nth].is_none() {
            return Ok(());
        }
        let reference: Reference = name.parse().expect("it is one");
        let before = fs::read(self.path.join("index.json")).ok();
        match limited(room, || store.tag(&reference, DESCRIPTORS[nth].clone(), None)) {
            Ok(()) => drop(self.tags.insert(name, DESCRIPTORS[nth].digest)),
            Err(error) => {
                assert!(room.is_some(), "{error}");
                assert_eq!(before, fs::read(self.path.join("index.json")).ok());
            }
        }
        Ok(())
    }

    fn diff_id(&mut self, store: &Store, nth: usize, room: Option<u64>) {
        let (blob, diff_id) = (DESCRIPTORS[nth].digest, Digest::sha256(&[nth as u8]));
        assert!(store.diff_id(&blob).is_none_or(|found| Some(found) == self.diff_ids[nth]));
        let done = limited(room, || store.remember_diff_id(&blob, &diff_id));
        assert!(done.is_ok() || room.is_some(), "{done:?}");
        self.diff_ids[nth] = Some(diff_id);
        assert!(done.is_err() || store.diff_id(&blob) == Some(diff_id));
    }

    /// What a run that was killed or a bad disk leave.
    fn plant(&mut self, u: &mut Unstructured<'_>, nth: usize) -> Result<()> {
        let bytes = if u.arbitrary()? { spoilt(u, &BLOBS[nth])? } else { started(u, &BLOBS[nth])? };
        match u.int_in_range(0..=3)? {
            0 => leave(&self.own("parts", nth), &bytes),
            1 => leave(
                &self.own("diff-ids", nth),
                &DESCRIPTORS[nth].digest.to_string().as_bytes()[..u.choose_index(70)?],
            ),
            2 => leave(&self.path.join("unlade/index.new"), &bytes),
            _ => {
                leave(&self.blob(nth), &bytes);
                self.blobs[nth] = Some(bytes);
            }
        }
        Ok(())
    }

    /// What is there is what should be there, looked at without the store.
    fn check(&self) {
        for nth in 0..LENGTHS.len() {
            assert!(fs::read(self.blob(nth)).ok() == self.blobs[nth], "blob {nth}");
        }
        let listed = fs::read_dir(self.path.join("blobs/sha256")).into_iter().flatten().count();
        assert_eq!(listed, self.blobs.iter().flatten().count());
    }

    fn heal(&mut self) {
        let store = self.open(None).expect("there is room");
        let tags = store.tags().expect("they can be read").into_iter();
        let tags: BTreeMap<_, _> =
            tags.map(|tag| (tag.reference.to_string(), tag.descriptor.digest)).collect();
        let expected = self.tags.iter().map(|(name, digest)| (name.to_string(), *digest)).collect();
        assert_eq!(tags, expected);
        for nth in 0..LENGTHS.len() {
            store.discard(&DESCRIPTORS[nth].digest).expect("nothing is in the way");
            put(&store, nth, [Source::Sound; 2], u64::MAX).expect("nothing is in the way");
            self.blobs[nth] = Some(BLOBS[nth].clone());
            self.read(&store, nth);
        }
        self.check();
    }
}

/// How a blob's bytes come.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Source {
    Sound,
    /// One of them is another.
    Flipped(usize),
    /// They end early.
    Short(usize),
    Long,
    /// The source fails behind so many.
    Breaks(usize),
    /// There is nobody.
    Refuses,
}

impl Source {
    fn arbitrary(u: &mut Unstructured<'_>) -> Result<Source> {
        let at = |u: &mut Unstructured<'_>| u.int_in_range(0..=1usize << 21);
        Ok(match u.int_in_range(0..=9)? {
            0 => Source::Flipped(at(u)?),
            1 => Source::Short(at(u)?),
            2 => Source::Long,
            3 => Source::Breaks(at(u)?),
            4 => Source::Refuses,
            _ => Source::Sound,
        })
    }

    fn bytes(self, bytes: &[u8]) -> io::Result<Flow> {
        let mut bytes = bytes.to_vec();
        let length = bytes.len().max(1);
        match self {
            Source::Sound => {}
            Source::Flipped(at) => bytes.iter_mut().skip(at % length).take(1).for_each(|byte| *byte ^= 1),
            Source::Short(at) | Source::Breaks(at) => bytes.truncate(at % length),
            Source::Long => bytes.push(0),
            Source::Refuses => return Err(io::ErrorKind::ConnectionRefused.into()),
        }
        Ok(Flow { bytes: io::Cursor::new(bytes), breaks: matches!(self, Source::Breaks(_)), calls: 0 })
    }
}

/// Bytes that come in pieces.
struct Flow {
    bytes: io::Cursor<Vec<u8>>,
    breaks: bool,
    calls: u32,
}

impl Read for Flow {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.calls += 1;
        if self.calls == 2 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let room = into.len().min(300_000);
        match self.bytes.read(&mut into[..room])? {
            0 if self.breaks => Err(io::ErrorKind::ConnectionReset.into()),
            count => Ok(count),
        }
    }
}

fn put(store: &Store, nth: usize, sources: [Source; 2], patience: u64) -> std::result::Result<(), Error> {
    let mut sources = sources.into_iter();
    let mut fetch = |offset: u64| {
        let source = sources.next().expect("nobody is asked three times");
        let rest = &BLOBS[nth][offset as usize..];
        source.bytes(rest).map(|flow| Box::new(flow) as Box<dyn Read + Send>)
    };
    let progress = |done| if done < patience { ControlFlow::Continue(()) } else { ControlFlow::Break(()) };
    store.put(&DESCRIPTORS[nth], &mut fetch, &progress)
}

/// A file of an earlier run.
fn leave(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().expect("it lies in the store")).expect("nothing is in the way");
    fs::write(path, bytes).expect("there is room");
}

fn started(u: &mut Unstructured<'_>, bytes: &[u8]) -> Result<Vec<u8>> {
    Ok(bytes[..u.int_in_range(0..=bytes.len())?].to_vec())
}

fn spoilt(u: &mut Unstructured<'_>, bytes: &[u8]) -> Result<Vec<u8>> {
    let mut bytes = bytes.to_vec();
    if bytes.is_empty() || u.ratio(1, 4)? {
        bytes.push(u.arbitrary()?);
    } else {
        let at = u.choose_index(bytes.len())?;
        bytes[at] ^= 1 << u.int_in_range(0..=7)?;
    }
    Ok(bytes)
}

/// Does something on a disk that has so much room for each file.
fn limited<T>(room: Option<u64>, work: impl FnOnce() -> T) -> T {
    limit(room);
    let result = work();
    limit(None);
    result
}

fn limit(room: Option<u64>) {
    let maximum = getrlimit(Resource::Fsize).maximum;
    let current = room.or(maximum);
    setrlimit(Resource::Fsize, Rlimit { current, maximum }).expect("less than the most is always allowed");
}
