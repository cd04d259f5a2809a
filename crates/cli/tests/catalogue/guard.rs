//! A directory in which a case is alone, with things around it that nothing may touch.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;
use testkit::listing::{self, Line};

/// What an old output holds.
pub(crate) const OLD: &[u8] = b"the old output";

/// The directory: `image`, `store`, `scratch`, `out` and decoys.
pub(crate) struct Guard {
    directory: TempDir,
    before: Vec<Line>,
}

impl Guard {
    /// Makes one. `image` is filled before [`Guard::arm`].
    pub(crate) fn new() -> Guard {
        // Kept in memory, where nothing has to wait for a disk.
        let directory = tempfile::tempdir_in("/dev/shm").unwrap();
        let path = |name: &str| directory.path().join(name);
        for name in ["image", "scratch", "out/etc", "out/d", "etc", "d"] {
            fs::create_dir_all(path(name)).unwrap();
        }
        // Names that hostile inputs aim at, beside the output, above it, and in the way.
        for name in
            ["etc/passwd", "x", "b", "out/etc/passwd", "out/x", "out/a", "out/d/x", "out/.wh.x", "d/x"]
        {
            fs::write(path(name), name).unwrap();
        }
        Guard { directory, before: Vec::new() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Remembers what is there.
    pub(crate) fn arm(&mut self) {
        self.before = self.lines();
    }

    /// Fails if anything is other than it was, outside of the store. `output` may be new or another one.
    #[track_caller]
    pub(crate) fn check(&self, output: Option<&str>, title: &str) {
        let output = output.map(|name| format!("out/{name}").into_bytes());
        // A directory's time changes with the names in it.
        let changes = |line: &Line| match &output {
            Some(output) => line.path == *output || line.path == b"out",
            None => false,
        };
        let kept = |lines: &[Line]| lines.iter().filter(|line| !changes(line)).cloned().collect::<Vec<_>>();
        let found = listing::diff(&kept(&self.before), &kept(&self.lines()));
        assert!(found.is_empty(), "{title}: something was touched:\n{}", found.join("\n"));
    }

    fn lines(&self) -> Vec<Line> {
        let store = |line: &Line| line.path == b"store" || line.path.starts_with(b"store/");
        // The scratch directory's and the root's own times change with the nameless files and the store.
        let timeless = |line: Line| match &line.path[..] {
            b"" | b"scratch" => Line { mtime: (0, 0), ..line },
            _ => line,
        };
        let lines = listing::list(self.directory.path()).unwrap();
        lines.into_iter().filter(|line| !store(line)).map(timeless).collect()
    }
}
