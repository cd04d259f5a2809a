//! A tree on a disk as one line.
//!
//! A word for each name in byte order: `dir/`, `file=content`, `link->text`, `fifo|`, `character%1,3`, `block#8,1`,
//! `second=>first`. A content of more than 24 bytes is shown as runs of bytes: `[x*4096,\x00*8192]`, with `~4096`
//! behind it if only so many bytes take room. Then what is not usual: `[0700]` (usual: 0755 for directories, 0644),
//! `[5:7]`, `@SECONDS`, `{attribute=value}`. The root is left out if nothing is unusual about it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use testkit::listing::{self, Kind, Line, escape};

/// Shows what lies in `root`.
pub(crate) fn shown(root: &Path, is_shown: impl Fn(&Line) -> bool) -> String {
    let lines = listing::list(root).unwrap();
    let words = lines.iter().filter(|line| is_shown(line)).map(|line| word(line, root));
    words.filter(|word| word != "/").collect::<Vec<_>>().join(" ")
}

fn word(line: &Line, root: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    let mut word = escape(&line.path);
    if let Some(first) = &line.same_as {
        return format!("{word}=>{}", escape(first));
    }
    let place = root.join(std::ffi::OsStr::from_bytes(&line.path));
    word += &match &line.kind {
        Kind::Directory => "/".into(),
        Kind::File { .. } => content(&place),
        Kind::Symlink { target } => format!("->{}", escape(target)),
        Kind::Character { major, minor } => format!("%{major},{minor}"),
        Kind::Block { major, minor } => format!("#{major},{minor}"),
        Kind::Fifo => "|".into(),
        Kind::Socket => "!".into(),
    };
    let usual = match line.kind {
        Kind::Directory => 0o755,
        // The kernel gives all links the same.
        Kind::Symlink { .. } => line.mode,
        _ => 0o644,
    };
    if line.mode != usual {
        word += &format!("[{:04o}]", line.mode);
    }
    if (line.uid, line.gid) != (0, 0) {
        word += &format!("[{}:{}]", line.uid, line.gid);
    }
    match line.mtime {
        (0, 0) => {}
        (seconds, 0) => word += &format!("@{seconds}"),
        (seconds, nanoseconds) => word += &format!("@{seconds}+{nanoseconds}ns"),
    }
    for (name, value) in &line.xattrs {
        word += &format!("{{{}={}}}", escape(name), content_text(value));
    }
    word
}

fn content(place: &Path) -> String {
    let metadata = fs::symlink_metadata(place).unwrap();
    let shown = content_text(&fs::read(place).unwrap());
    match metadata.blocks() * 512 {
        stored if stored < metadata.len() / 4096 * 4096 => format!("={shown}~{stored}"),
        _ => format!("={shown}"),
    }
}

fn content_text(bytes: &[u8]) -> String {
    if bytes.len() <= 24 {
        return escape(bytes);
    }
    let runs = bytes.chunk_by(|one, next| one == next);
    let runs: Vec<_> = runs.map(|run| format!("{}*{}", escape(&run[..1]), run.len())).collect();
    format!("[{}]", runs.join(","))
}
