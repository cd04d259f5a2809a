//! Other people's programs as judges: what GNU tar, bsdtar and Python's tarfile make is read as they mean it,
//! and what is written they read.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "judges are processes that work on files"
)]

mod support;

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use support::{Tarball, header, shown};
use tree::{Notes, Output, Span, Tree};
use unlade_layer::{ReadOptions, read, write};

/// Runs a program and gives what it prints; `apt install tar bsdtar python3` has them all.
#[track_caller]
fn run(directory: &Path, program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .env("LC_ALL", "C.UTF-8")
        .env("TZ", "UTC")
        .output()
        .unwrap_or_else(|error| panic!("{program} is needed: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// Files of all sorts that an unprivileged user can make.
fn files(directory: &Path) {
    let long = format!("{}/{}", "d".repeat(90), "n".repeat(150));
    fs::create_dir(directory.join("d".repeat(90))).unwrap();
    fs::write(directory.join(long), "long").unwrap();
    fs::write(directory.join("plain"), vec![b'p'; 10_000]).unwrap();
    fs::hard_link(directory.join("plain"), directory.join("second")).unwrap();
    std::os::unix::fs::symlink("t".repeat(180), directory.join("symlink")).unwrap();
    let script = "f = open('sparse', 'wb'); f.truncate(10 << 20)
for at in (1 << 20, 3 << 20, 5 << 20, 6 << 20, 7 << 20, 8 << 20): f.seek(at); f.write(b'x' * 8192)
f.close()
f = open('holes only', 'wb'); f.truncate(1 << 20); f.close()
import os; os.utime('plain', ns=(0, 1234567890123456789)); os.mkfifo('fifo')";
    run(directory, "python3", &["-c", script]);
    run(directory, "chmod", &["4751", "plain"]);
}

/// What reading gives, without owners and with times only where they were set.
fn changes(tarball: &Path) -> Vec<String> {
    let bytes = fs::read(tarball).unwrap();
    let mut layer = read(0, &bytes[..], io::sink(), &ReadOptions::default()).unwrap();
    for change in &mut layer.changes {
        if let tree::Action::Put(metadata, _) | tree::Action::Link { metadata, .. } = &mut change.action {
            (metadata.uid, metadata.gid) = (0, 0);
            if metadata.mtime.seconds != 1_234_567_890 {
                metadata.mtime = tree::Time::default();
            }
        }
    }
    let mut lines: Vec<String> = shown(&layer).lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

fn expected(sparse: bool, nanoseconds: bool) -> Vec<String> {
    let directory = "d".repeat(90);
    let time = if nanoseconds { "@1234567890+123456789ns" } else { "@1234567890" };
    let runs = |kind: &str| {
        let runs = [1, 3, 5, 6, 7, 8].map(|at: u64| format!("{}+8192", at << 20)).join(" ");
        format!("{kind}[{runs}]")
    };
    let kind = if sparse { "declared" } else { "found" };
    let mut lines = vec![
        "/ dir".to_owned(),
        format!("{directory} dir"),
        format!("{directory}/{} file 4", "n".repeat(150)),
        "fifo fifo".to_owned(),
        format!("holes only file 1048576 {kind}[]"),
        format!("plain file 10000 4751 {time}"),
        format!("second = plain 4751 {time}"),
        format!("sparse file 10485760 {}", runs(kind)),
        format!("symlink -> {} 0777", "t".repeat(180)),
    ];
    lines.sort();
    lines
}

#[test]
fn gnu_tar_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let (from, to) = (directory.path().join("from"), directory.path().join("to.tar"));
    fs::create_dir(&from).unwrap();
    files(&from);
    for (arguments, sparse, nanoseconds) in [
        (&["--format=gnu"][..], false, false),
        (&["--format=oldgnu"], false, false),
        (&["--format=pax"], false, true),
        (&["--format=gnu", "--sparse"], true, false),
        (&["--format=pax", "--sparse", "--sparse-version=0.0"], true, true),
        (&["--format=pax", "--sparse", "--sparse-version=0.1"], true, true),
        (&["--format=pax", "--sparse", "--sparse-version=1.0"], true, true),
        (&["--format=gnu", "--sparse", "--label=volume", "-b", "1"], true, false),
        (&["--format=pax", "--pax-option=globexthdr.name=g,comment=hello"], false, true),
    ] {
        let mut all = vec!["-C", from.to_str().unwrap(), "--sort=name", "-cf", to.to_str().unwrap()];
        all.extend(arguments);
        // With seeks or by reading: a filesystem need not report holes.
        all.extend(if sparse { &["--hole-detection=raw"][..] } else { &[] });
        all.push(".");
        run(&from, "tar", &all);
        assert_eq!(changes(&to), expected(sparse, nanoseconds), "{arguments:?}");
    }
}

#[test]
fn bsdtar_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let (from, to) = (directory.path().join("from"), directory.path().join("to.tar"));
    fs::create_dir(&from).unwrap();
    files(&from);
    let directory = "d".repeat(90);
    let long = format!("{directory}/{}", "n".repeat(150));
    // By name, since it takes the order of the directory.
    let names = [".", &directory, &long, "fifo", "holes only", "plain", "second", "sparse", "symlink"];
    for (options, sparse, nanoseconds) in [
        (["--format=pax", "--no-read-sparse"], false, true),
        (["--format=gnutar", "--no-read-sparse"], false, false),
        (["--format=pax", "--read-sparse"], true, true),
    ] {
        run(&from, "bsdtar", &[&options[..], &["-ncf", to.to_str().unwrap()], &names].concat());
        assert_eq!(changes(&to), expected(sparse, nanoseconds), "{options:?}");
    }
}

#[test]
fn python_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let (from, to) = (directory.path().join("from"), directory.path().join("to.tar"));
    fs::create_dir(&from).unwrap();
    files(&from);
    for format in ["GNU_FORMAT", "PAX_FORMAT"] {
        let script = format!(
            "import tarfile, sys
with tarfile.open(sys.argv[1], 'w', format=tarfile.{format}) as tar: tar.add('.')"
        );
        run(&from, "python3", &["-c", &script, to.to_str().unwrap()]);
        let found: Vec<String> = changes(&to)
            .iter()
            .map(|line| {
                // Python's times are floating-point numbers.
                line.split(" @").next().unwrap_or_default().to_owned()
            })
            .collect();
        let expected: Vec<String> =
            expected(false, false).iter().map(|line| line.replace(" @1234567890", "")).collect();
        assert_eq!(found, expected, "{format}");
    }
}

struct Memory<'a>(&'a [u8], Vec<u8>);

impl Output for Memory<'_> {
    fn write(&mut self, _: u64, bytes: &[u8]) -> io::Result<()> {
        self.1.extend(bytes);
        Ok(())
    }
    fn copy(&mut self, offset: u64, span: Span) -> io::Result<()> {
        let start = span.offset as usize;
        self.write(offset, &self.0[start..start + span.length as usize])
    }
}

/// A tarball of our own making with everything in it that needs no privilege to unpack.
fn ours() -> Vec<u8> {
    let sparse =
        header(b"sparse", b'S').gnu().set(483, b"00004000000\0").set(386, b"00000010000\x0000000010000\0");
    let tarball = Tarball::new()
        .dir("dir")
        .pax(&[("mtime", b"1234567890.123456789")])
        .raw(header(b"dir/plain", b'0').mode(b"0004751\0").size(5), b"plain")
        .pax(&[("mtime", b"1234567890.123456789")])
        .raw(header(b"dir/second", b'1').mode(b"0004751\0").link(b"dir/plain"), b"")
        // Python changes the mode of what a hard link to a symlink leads to: here to what it is.
        .symlink("symlink", "found")
        .hardlink("symlink 2", "symlink")
        .pax(&[("path", format!("{}/{}", "d".repeat(120), "n".repeat(200)).as_bytes())])
        .file("x", &[b'l'; 600])
        .pax(&[("path", "d\u{e9}j\u{e0} vu".as_bytes())])
        .file("x", b"utf-8")
        .pax(&[("path", b"raw \xff")])
        .file("x", b"raw")
        .pax(&[("path", &[&b"long raw \xff"[..], &[b'y'; 200]].concat())])
        .file("x", b"long raw")
        .pax(&[("mtime", b"-1.5")])
        .file("old", b"")
        .pax(&[("mtime", b"8589934592.5")])
        .file("future", b"")
        .raw(header(b"fifo", b'6'), b"")
        .sized(sparse, &[b'x'; 4096])
        .pax(&[
            ("GNU.sparse.size", b"1048576"),
            ("GNU.sparse.numblocks", b"0"),
            ("GNU.sparse.name", b"dir/holes only"),
        ])
        .file("x", b"")
        .file("found", &[vec![b'1'; 4096], vec![0; 100_000], vec![b'2'; 5]].concat())
        .end();
    let mut space = Vec::new();
    let layer = read(0, &tarball[..], &mut space, &ReadOptions::default()).unwrap();
    let mut tree = Tree::default();
    tree.apply(0, layer.changes, &mut Notes::default()).unwrap();
    let mut memory = Memory(&space, Vec::new());
    write(&tree, &mut memory).unwrap();
    memory.1
}

/// What lies in a directory: name, type, mode, time, links, size, first and last bytes.
const LISTING: &str = r#"
import os, stat, sys
first = {}
for directory, directories, files in os.walk(b'.'):
    for name in directories + files:
        path = os.path.join(directory, name)[2:]
        s = os.lstat(path)
        line = [repr(path)[1:], stat.filemode(s.st_mode)]
        if stat.S_ISREG(s.st_mode):
            data = open(path, 'rb').read()
            line += [str(s.st_size), str(data.count(0)), repr(data.strip(b'\0')[:3])[1:], repr(data[-2:])[1:]]
        if stat.S_ISLNK(s.st_mode): line.append(repr(os.readlink(path))[1:])
        if not stat.S_ISDIR(s.st_mode): line.append('n%d' % s.st_nlink)
        if stat.S_ISREG(s.st_mode) and s.st_mtime_ns != 0: line.append(str(s.st_mtime_ns // int(sys.argv[1])))
        print(' '.join(line))
"#;

fn unpacked(unpack: &str, arguments: &[&str], resolution: &str) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    let (archive, to) = (directory.path().join("ours.tar"), directory.path().join("to"));
    fs::write(&archive, ours()).unwrap();
    fs::create_dir(&to).unwrap();
    run(&to, unpack, &[arguments, &[archive.to_str().unwrap()]].concat());
    let listing = run(&to, "python3", &["-c", LISTING, resolution]);
    let mut lines: Vec<String> = listing.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

fn ours_unpacked(resolution: u64, old: i128) -> Vec<String> {
    let long = "d".repeat(120);
    let time = |nanoseconds: i128| nanoseconds.div_euclid(i128::from(resolution));
    let mut lines = vec![
        "'dir' drwxr-xr-x".to_owned(),
        format!("'dir/plain' -rwsr-x--x 5 0 'pla' 'in' n2 {}", time(1_234_567_890_123_456_789)),
        format!("'dir/second' -rwsr-x--x 5 0 'pla' 'in' n2 {}", time(1_234_567_890_123_456_789)),
        "'dir/holes only' -rw-r--r-- 1048576 1048576 '' '\\x00\\x00' n1".to_owned(),
        "'symlink' lrwxrwxrwx 'found' n2".to_owned(),
        "'symlink 2' lrwxrwxrwx 'found' n2".to_owned(),
        format!("'{long}' drwxr-xr-x"),
        format!("'{long}/{}' -rw-r--r-- 600 0 'lll' 'll' n1", "n".repeat(200)),
        "'d\\xc3\\xa9j\\xc3\\xa0 vu' -rw-r--r-- 5 0 'utf' '-8' n1".to_owned(),
        "'raw \\xff' -rw-r--r-- 3 0 'raw' 'aw' n1".to_owned(),
        format!("'long raw \\xff{}' -rw-r--r-- 8 0 'lon' 'aw' n1", "y".repeat(200)),
        format!("'old' -rw-r--r-- 0 0 '' '' n1 {}", time(old)),
        format!("'future' -rw-r--r-- 0 0 '' '' n1 {}", time(8_589_934_592_500_000_000)),
        "'fifo' prw-r--r-- n1".to_owned(),
        "'sparse' -rw-r--r-- 1048576 1044480 'xxx' '\\x00\\x00' n1".to_owned(),
        "'found' -rw-r--r-- 104101 100000 '111' '22' n1".to_owned(),
    ];
    lines.sort();
    lines
}

#[test]
fn gnu_tar_reads_ours() {
    assert_eq!(unpacked("tar", &["--no-same-owner", "-xpf"], "1"), ours_unpacked(1, -1_500_000_000));
}

#[test]
fn bsdtar_reads_ours() {
    // libarchive adds the fraction to the seconds, whatever their sign.
    assert_eq!(unpacked("bsdtar", &["--no-same-owner", "-xpf"], "1"), ours_unpacked(1, -500_000_000));
}

#[test]
fn python_reads_ours() {
    // Its times are floating-point numbers.
    let script = "import tarfile, sys
with tarfile.open(sys.argv[1]) as tar: tar.extractall(filter='fully_trusted')";
    assert_eq!(
        unpacked("python3", &["-c", script], "1000000000"),
        ours_unpacked(1_000_000_000, -1_500_000_000)
    );
}

/// Attributes that any user may set, and an access control list.
const SET_ATTRIBUTES: &str = r#"
import os, struct
open('f', 'w').close()
os.setxattr('f', 'user.binary', b'\0\n=\xff')
os.setxattr('f', 'user.empty', b'')
entries = [(1, 6, -1), (2, 7, 7), (2, 4, 70000), (4, 4, -1), (8, 5, 100), (16, 7, -1), (32, 0, -1)]
acl = struct.pack('<I', 2) + b''.join(struct.pack('<HHi', *entry) for entry in entries)
os.setxattr('f', 'system.posix_acl_access', acl)
os.mkdir('d')
os.setxattr('d', 'system.posix_acl_default', acl)
"#;

const LIST_ATTRIBUTES: &str = "
import os
for name in ('d', 'f'):
    for key in sorted(os.listxattr(name)):
        if key != 'security.selinux': print(name, key, os.getxattr(name, key).hex())";

/// What reading an archive gives, as `LIST_ATTRIBUTES` shows it.
fn attributes(tarball: &[u8]) -> String {
    let layer = read(0, tarball, io::sink(), &ReadOptions::default()).unwrap();
    let mut lines = Vec::new();
    for change in &layer.changes {
        if let tree::Action::Put(metadata, _) = &change.action {
            for (key, value) in metadata.xattrs() {
                let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
                lines.push(format!("{} {} {hex}\n", change.path, tree::escape(key)));
            }
        }
    }
    lines.sort();
    lines.concat()
}

#[test]
fn attributes_pass_both_ways() {
    let directory = tempfile::tempdir().unwrap();
    let from = directory.path().join("from");
    fs::create_dir(&from).unwrap();
    run(&from, "python3", &["-c", SET_ATTRIBUTES]);
    let expected = run(&from, "python3", &["-c", LIST_ATTRIBUTES]);
    assert_eq!(expected.lines().count(), 4);
    for (program, arguments) in [
        ("tar", &["--format=pax", "--xattrs", "--acls", "-cf", "../t.tar", "d", "f"][..]),
        ("tar", &["--format=pax", "--xattrs", "--xattrs-include=*", "-cf", "../t.tar", "d", "f"]),
        ("bsdtar", &["--format=pax", "--xattrs", "--acls", "-cf", "../t.tar", "d", "f"]),
    ] {
        run(&from, program, arguments);
        let bytes = fs::read(directory.path().join("t.tar")).unwrap();
        assert_eq!(attributes(&bytes), expected, "{program} {arguments:?}");
    }
    let bytes = fs::read(directory.path().join("t.tar")).unwrap();
    let layer = read(0, &bytes[..], io::sink(), &ReadOptions::default()).unwrap();
    let mut tree = Tree::default();
    tree.apply(0, layer.changes, &mut Notes::default()).unwrap();
    let mut memory = Memory(&[], Vec::new());
    write(&tree, &mut memory).unwrap();
    fs::write(directory.path().join("ours.tar"), memory.1).unwrap();
    for (program, arguments) in [
        ("tar", &["--xattrs", "--xattrs-include=*", "--no-same-owner", "-xpf", "../ours.tar"][..]),
        ("bsdtar", &["--xattrs", "--no-same-owner", "-xpf", "../ours.tar"]),
    ] {
        let to = directory.path().join(program);
        fs::create_dir(&to).unwrap();
        run(&to, program, arguments);
        let found = run(&to, "python3", &["-c", LIST_ATTRIBUTES]);
        // bsdtar knows access control lists as texts only.
        let understood = |line: &&str| program == "tar" || line.contains(" user.");
        let expected: Vec<&str> = expected.lines().filter(understood).collect();
        assert_eq!(found.lines().collect::<Vec<_>>(), expected, "{program}");
    }
}
