//! What the readers make of a stack.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;
use store::Store;
use testkit::containerd::Containerd;
use testkit::image::{self, Layer, Tar};
use testkit::judge;
use testkit::listing::{self, Kind, Line};
use testkit::stack::{self, Entry, Stack, What};
use unlade_pipeline::{Error, Format, Options, Scratch, Target, build, layers, pull};

use crate::settle::last;

/// A layer that was refused.
pub(crate) struct Fault {
    pub(crate) layer: usize,
    pub(crate) entry: usize,
    pub(crate) text: String,
}

pub(crate) fn ours(stack: &Stack, scratch: &Path) -> Result<Vec<Line>, Fault> {
    let scratch = tempfile::tempdir_in(scratch).unwrap();
    let (layout, root) = (scratch.path().join("layout"), scratch.path().join("root"));
    write(&tarballs(stack), &layout);
    let store = Store::temporary(Some(scratch.path())).unwrap();
    let source = format!("oci:{}", layout.display()).parse().unwrap();
    let platform = format!("linux/{}", if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" });
    let image =
        pull::pull(&source, &platform.parse().unwrap(), &store, &pull::Options::default(), &|_| {}).unwrap();
    let options = Options {
        format: Format::Directory,
        layers: layers::Options::default(),
        latest_mtime: None,
        scratch: Scratch::Beside,
        allow_empty: true,
        remember: false,
    };
    match build(&store, &image, &options, Target::Path(&root), &|_| {}) {
        Ok(_) => Ok(listing::list(&root).unwrap()),
        Err(Error::Apply { fault, .. }) => {
            let (layer, entry) = (fault.layer as usize, fault.entry as usize);
            Err(Fault { layer, entry, text: fault.fault.to_string() })
        }
        Err(error) => panic!("{error}: {:?}", error.source()),
    }
}

/// What an unpacker made.
pub(crate) struct Unpacked {
    pub(crate) lines: Vec<Line>,
    /// Directories that have the time of the unpacking.
    timeless: BTreeSet<Vec<u8>>,
    /// What no comparison can speak of.
    limits: Limits,
    /// Whether any time may be that of something else.
    mistimed: bool,
}

/// What an unpacker never keeps.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Limits {
    None,
    /// containerd's: the entry for the root, times before 1970, trusted attributes; and, where its snapshotter
    /// copies a layer, that two names of anything but a file are one thing.
    Containerd,
}

impl Unpacked {
    fn new(lines: Vec<Line>, start: i64, limits: Limits) -> Unpacked {
        let timeless = lines.iter().filter(|line| line.kind == Kind::Directory && line.mtime.0 >= start);
        let timeless = timeless.map(|line| line.path.clone()).collect();
        Unpacked { lines, timeless, limits, mistimed: false }
    }

    /// Lines without what this unpacker does not keep.
    pub(crate) fn timed(&self, lines: &[Line]) -> Vec<Line> {
        let timed = |line: &Line| {
            let mut line = line.clone();
            if self.mistimed || self.timeless.contains(&line.path) {
                line.mtime = (0, 0);
            }
            if self.limits == Limits::Containerd {
                line.mtime = line.mtime.max((0, 0));
                line.xattrs.retain(|name, _| !name.starts_with(b"trusted."));
                if !matches!(line.kind, Kind::File { .. }) {
                    (line.links, line.same_as) = (1, None);
                }
            }
            line
        };
        let kept = |line: &&Line| self.limits == Limits::None || !line.path.is_empty();
        lines.iter().filter(kept).map(timed).collect()
    }

    /// Without what containerd has more than `ours`, and means nothing by: attributes that a directory had in a
    /// lower layer, and directories that it makes on the way to what a layer removes.
    pub(crate) fn without_leftovers(mut self, ours: &[Line]) -> Unpacked {
        let ours: BTreeMap<&[u8], &Line> = ours.iter().map(|line| (&line.path[..], line)).collect();
        for line in self.lines.iter_mut().filter(|line| line.kind == Kind::Directory) {
            if let Some(ours) = ours.get(&line.path[..]) {
                line.xattrs.retain(|name, _| ours.xattrs.contains_key(name));
            }
        }
        // From the last path to the first, so that what lies in a directory is looked at before it.
        let mut kept: Vec<Line> = Vec::new();
        for line in self.lines.into_iter().rev() {
            let holds = |inner: &Line| inner.path.starts_with(&[&line.path[..], b"/"].concat());
            let is_made = (self.mistimed || self.timeless.contains(&line.path))
                && (line.mode, line.uid, line.gid) == (0o755, 0, 0);
            if ours.contains_key(&line.path[..]) || !is_made || kept.iter().any(holds) {
                kept.push(line);
            }
        }
        kept.reverse();
        Unpacked { lines: kept, ..self }
    }
}

pub(crate) fn by_umoci(stack: &Stack, scratch: &Path) -> Result<Unpacked, String> {
    let scratch = tempfile::tempdir_in(scratch).unwrap();
    let (layout, root) = (scratch.path().join("layout"), scratch.path().join("root"));
    write(&tarballs(stack), &layout);
    let start = now();
    judge::unpack_with_umoci(&layout, &root).map_err(|error| error.to_string())?;
    Ok(Unpacked::new(listing::list(&root).unwrap(), start, Limits::None))
}

pub(crate) fn by_containerd(daemon: &Containerd, stack: &Stack, scratch: &Path) -> Result<Unpacked, String> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let scratch = tempfile::tempdir_in(scratch).unwrap();
    let layout = scratch.path().join("layout");
    // A layer that no other image has, so that it is unpacked in any case.
    let name = format!("number {}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let mut layers = tarballs(stack);
    layers.push(Layer::plain(Tar::default().file(&name, 0o644, b"").finish()));
    write(&layers, &layout);
    let start = now();
    let root = daemon.unpack(&layout).map_err(|error| error.to_string())?;
    let mut lines = listing::list(&root).unwrap();
    lines.retain(|line| line.path != name.as_bytes());
    Ok(Unpacked { mistimed: mistimed(stack), ..Unpacked::new(lines, start, Limits::Containerd) })
}

/// containerd sets the times of a layer's directories at its end, by their paths, whatever these lead to by then.
fn mistimed(stack: &Stack) -> bool {
    let replaced = |directory: &Entry, later: &[Entry]| {
        let mut puts = later.iter().filter(|entry| !entry.removes() && entry.what != What::Directory);
        puts.any(|entry| directory.name.split(|byte| *byte == b'/').any(|name| name == last(&entry.name)))
    };
    stack.iter().any(|layer| {
        let mut entries = layer.iter().enumerate();
        entries.any(|(place, entry)| entry.what == What::Directory && replaced(entry, &layer[place..]))
    })
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

fn tarballs(stack: &Stack) -> Vec<Layer> {
    stack.iter().map(|layer| Layer::plain(stack::tarball(layer))).collect()
}

fn write(layers: &[Layer], layout: &Path) {
    image::write_layout(layout, "latest", layers, &json!({})).unwrap();
}
