//! The reader: it sees what `dump.erofs` sees, in what `mkfs.erofs` made as well, and believes nothing that is wrong.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a test may fail, say why it did not run, and touch the machine"
)]

mod common;

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use common::contents::bytes_of;
use common::expected::lines;
use common::zoo::{compressible, compressible_zoo, zoo};
use common::{Builder, build, compressed, dump};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use testkit::listing::Kind;
use testkit::tools::{command, run};
use tree::{Span, Tree, escape};
use unlade_erofs::{Addresses, BlockSize, Filesystem, Options, Place, ReadError, Tails};

/// A run of a file's bytes: where it begins in the file, its length, where it lies, and in how many bytes if they are
/// compressed. What is behind an inode lies nowhere.
type Extent = (u64, u64, Option<u64>, Option<u64>);

/// The line of a dump that ends with a path, and those that belong to it.
fn of<'d>(dump: &'d str, path: &str) -> Vec<&'d str> {
    let mut lines = dump.lines().skip_while(|line| !line.ends_with(&format!(" {path}")));
    let first = lines.next().unwrap_or_else(|| panic!("{path} is missing in\n{dump}"));
    [first].into_iter().chain(lines.take_while(|line| line.starts_with("    "))).collect()
}

/// Joins what lies behind one another as it is, as different readers do it or not.
fn joined(extents: Vec<Extent>) -> Vec<Extent> {
    let mut joined: Vec<Extent> = Vec::new();
    for extent in extents {
        match joined.last_mut() {
            Some((_, length, Some(at), None)) if extent.3.is_none() && extent.2 == Some(*at + *length) => {
                *length += extent.1;
            }
            _ => joined.push(extent),
        }
    }
    joined
}

/// The extents in the lines of a file of `size` bytes.
fn extents(lines: &[&str], size: u64) -> Vec<Extent> {
    let number = |text: &str| text.parse::<u64>().unwrap();
    let mut found: Vec<Extent> = Vec::new();
    for part in lines[1].trim().split(", ") {
        if let Some(blocks) = part.strip_prefix("blocks ") {
            for run in blocks.split(' ') {
                let (first, rest) = run.split_once('+').unwrap();
                let (length, start) = rest.split_once('@').unwrap();
                let from = number(first) * 4096;
                let length = (number(length) * 4096).min(size - from);
                let start = start.rsplit(':').next().unwrap();
                found.push((from, length, Some(number(start) * 4096), None));
            }
        } else if let Some(length) = part.strip_suffix(" bytes behind it") {
            let length = number(length);
            found.push((size - length, length, None, None));
        } else if let Some(clusters) = part.strip_prefix("clusters ") {
            for cluster in clusters.replace(" (plain)", "p").split(' ') {
                let (from, rest) = cluster.split_once('+').unwrap();
                let (length, rest) = rest.split_once('@').unwrap();
                let (start, stored) = rest.split_once('+').unwrap();
                let (from, length) = (number(from), number(length));
                let is_plain = stored.ends_with('p');
                let stored = number(stored.trim_end_matches('p'));
                // An end may be compressed to no less than a block.
                let is_plain = is_plain || length <= stored * 4096;
                found.push(match start {
                    "here" => (from, length, None, None),
                    _ if is_plain => (from, length, Some(number(start) * 4096), None),
                    _ => (from, length, Some(number(start) * 4096), Some(stored * 4096)),
                });
            }
        }
    }
    joined(found)
}

/// What `dump.erofs` says of a file: number, names, size and extents.
fn judged(image: &Path, device: Option<&Path>, path: &str) -> (String, String, u64, Vec<Extent>) {
    let mut tool = command("dump.erofs");
    if let Some(device) = device {
        tool.arg(format!("--device={}", device.display()));
    }
    let said = run(tool.arg(format!("--path={path}")).arg("-e").arg(image)).unwrap();
    let said = String::from_utf8(said).unwrap();
    let word = |name: &str| {
        let (_, rest) = said.split_once(name).unwrap_or_else(|| panic!("{path}: {name} is not in {said}"));
        rest.split_whitespace().next().unwrap().to_owned()
    };
    let size: u64 = word("\nSize: ").parse().unwrap();
    let mut found = Vec::new();
    for line in said.lines().filter(|line| line.contains("..") && line.contains('|')) {
        let numbers: Vec<u64> = line
            .split('#')
            .next()
            .unwrap()
            .split(|c: char| !c.is_ascii_digit())
            .filter(|word| !word.is_empty())
            .map(|word| word.parse().unwrap())
            .collect();
        let [_, from, _, length, at, _, stored] = numbers[..] else { panic!("{line}") };
        // Of chunks it shows what lies behind the file's end.
        let (behind, length) = (at % 4096 != 0, length.min(size - from));
        let is_plain = length <= stored;
        found.push((from, length, (!behind).then_some(at), (!behind && !is_plain).then_some(stored)));
    }
    (word("NID: "), word("Links: "), size, joined(found))
}

/// Compares the reader with `dump.erofs`, on every path that is not like too many others.
fn compare(image: &Path, device: Option<&Path>) -> String {
    let text = dump(image).unwrap_or_else(|error| panic!("{error}"));
    let paths: Vec<&str> = text
        .lines()
        .filter(|line| line.as_bytes()[0].is_ascii_digit() && !line.contains(" = /"))
        .filter_map(|line| line.split_once(" /").map(|(_, path)| path))
        .filter(|path| {
            !path.contains(" -> ") && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
        })
        .collect();
    for path in paths.iter().step_by(paths.len() / 24 + 1) {
        let path = format!("/{path}");
        let lines = of(&text, &path);
        let words: Vec<&str> = lines[0].split(' ').collect();
        // Times that make no date end it.
        let seconds: i64 = words[5].split('.').next().unwrap().parse().unwrap();
        if !words[1].starts_with(['d', '-']) || !(0..1 << 33).contains(&seconds) {
            continue;
        }
        let (nid, links, size, expected) = judged(image, device, &path);
        assert_eq!((words[0], words[2], words[4]), (&*nid, &*links, &*size.to_string()), "{path}");
        let found = extents(&lines, size);
        let differs = found.iter().zip(&expected).find(|(found, expected)| found != expected);
        assert!(found.len() == expected.len() && differs.is_none(), "{path}: {differs:?}");
    }
    text
}

/// What the reader shows must be the tree, whatever else it says.
fn check_names(text: &str, tree: &Tree) {
    let mut found: Vec<&str> = text
        .lines()
        .filter(|line| line.as_bytes()[0].is_ascii_digit())
        .map(|line| &line[line.find(" /").unwrap()..])
        .collect();
    let mut expected: Vec<String> = Vec::new();
    for line in &lines(tree) {
        let path = escape(&line.path).to_string();
        expected.push(match &line.kind {
            Kind::Symlink { target } if line.same_as.is_none() => format!(" /{path} -> {}", escape(target)),
            _ => format!(" /{path}"),
        });
    }
    found.sort_unstable();
    expected.sort_unstable();
    assert!(found.iter().eq(expected.iter()), "{found:#?} {expected:#?}");
}

#[test]
fn what_was_written() {
    for (tree, options) in [
        (zoo(), Options::default()),
        (zoo(), Options { tails: Tails::Blocks, ..Options::default() }),
        (compressible_zoo(), compressed("lz4", 4096, "5.4")),
        (compressible(), compressed("lz4", 65_536, "6.1")),
        (compressible(), compressed("lz4hc", 1 << 20, "5.15")),
    ] {
        let image = build(&tree, &options);
        // A file with holes is nothing that it can show.
        let text = if options.compression.is_none() {
            dump(&image.path).unwrap()
        } else {
            let with_holes = dump(&image.path).unwrap();
            if with_holes.contains(", chunks of ") { with_holes } else { compare(&image.path, None) }
        };
        check_names(&text, &tree);
    }
    for (algorithm, kernel) in [("zstd", "6.10"), ("deflate", "6.6")] {
        let image = build(&compressible(), &compressed(algorithm, 65_536, kernel));
        let text = dump(&image.path).unwrap();
        assert!(text.contains(&format!("\nalgorithm: {algorithm} (")), "{text}");
        assert!(text.contains(&format!(", {algorithm}, compact index, ")), "{text}");
        check_names(&text, &compressible());
    }
    let image = build(&zoo(), &common::newest(BlockSize::B512));
    check_names(&dump(&image.path).unwrap(), &zoo());
}

/// A filesystem by `mkfs.erofs`.
fn made(directory: &Path, arguments: &[&str]) -> PathBuf {
    let (tree, path) = (directory.join("tree"), directory.join("made.erofs"));
    if !tree.exists() {
        fs::create_dir_all(tree.join("a/b")).unwrap();
        let words: String = (0..60_000u64).fold(String::new(), |mut words, n| {
            write!(words, "{} ", n * n % 7919).unwrap();
            words
        });
        fs::write(tree.join("a/words"), &words).unwrap();
        let noise = bytes_of(Span { layer: 0, offset: 0, length: 70_000 });
        fs::write(tree.join("a/noise"), &noise).unwrap();
        fs::write(tree.join("a/both"), [&noise[..], words.as_bytes(), &noise[..5000]].concat()).unwrap();
        fs::write(tree.join("a/ten"), &words[..10_000]).unwrap();
        fs::write(tree.join("a/blocks"), &noise[..8192]).unwrap();
        fs::set_permissions(tree.join("a/words"), fs::Permissions::from_mode(0o640)).unwrap();
        fs::hard_link(tree.join("a/words"), tree.join("again")).unwrap();
        symlink("a/words", tree.join("link")).unwrap();
        symlink("l".repeat(200), tree.join("long")).unwrap();
        (0..300).for_each(|n| fs::write(tree.join(format!("a/b/{n:080}")), "x").unwrap());
    }
    let _ = fs::remove_file(&path);
    run(command("mkfs.erofs").args(["--quiet", "-T", "1"]).args(arguments).arg(&path).arg(&tree)).unwrap();
    path
}

#[test]
fn filesystems_of_mkfs() {
    let directory = tempfile::tempdir().unwrap();
    let blob = directory.path().join("blob");
    let on_blob = format!("--blobdev={}", blob.display());
    for arguments in [
        &[][..],
        &["-Enoinline_data"],
        &["-Eforce-inode-extended", "-U", "11111111-2222-3333-4444-555555555555"],
        &["-zlz4"],
        &["-zlz4", "-Elegacy-compress"],
        &["-zlz4hc", "-C65536"],
        &["-zlz4hc", "-C65536", "-Eztailpacking"],
        &["-zlz4", "-C1048576", "-Eztailpacking,force-inode-compact"],
        &["--chunksize=8192"],
        &["--chunksize=4096", "-Eforce-chunk-indexes"],
        &["--chunksize=4096", &on_blob],
    ] {
        let path = made(directory.path(), arguments);
        let device = arguments.contains(&&*on_blob).then_some(&*blob);
        let text = compare(&path, device);
        assert!(text.contains(" -0640 2 0:0 ") && text.contains(" = /again\n"), "{arguments:?}: {text}");
        assert!(
            text.contains("/link -> a/words\n") && text.contains(&format!("/long -> {}\n", "l".repeat(200)))
        );
        assert_eq!(text.lines().filter(|line| line.contains(" /a/b/0")).count(), 300, "{arguments:?}");
        assert_eq!(text.contains("uuid: 11111111-2222-3333-4444-555555555555"), arguments.contains(&"-U"));
    }
}

fn read(bytes: &[u8]) -> Result<String, ReadError> {
    let mut text = Vec::new();
    Filesystem::open(&bytes)?.dump(&mut text)?;
    Ok(String::from_utf8(text).unwrap())
}

#[test]
fn what_is_not_read() {
    for bytes in [&[][..], &[0; 1023], &[0; 2048], &[0xff; 4096]] {
        assert!(matches!(Filesystem::open(&bytes), Err(ReadError::NotErofs)));
    }
    let bytes = fs::read(build(&Tree::default(), &Options::default()).path).unwrap();
    assert!(matches!(read(&bytes[..2000]), Err(ReadError::Io(_))));
    for (at, value, expected) in [
        (8, 0x5, "the superblock is corrupt: the checksum is wrong"),
        (12, 8, "the superblock is corrupt: its blocks are smaller than 512 bytes or larger than 64 KiB"),
        (81, 1, "unlade does not read: incompatible features 0x100"),
        (90, 1, "unlade does not read: blocks of names that are larger than others"),
        (40, 9, "the superblock is corrupt: inodes or attributes lie behind the end of the filesystem"),
        (14, 0xff, "inode 255 is corrupt: it lies behind the end of the filesystem"),
        // The root's layout, type, links and size.
        (128, 5 << 1, "is corrupt: nobody knows how its data lies"),
        (128, 1 << 1, "the filesystem has something that unlade does not read: "),
        (133, 0x81, "is corrupt: a name says that it is of another type"),
        (134, 0, "is corrupt: a name leads to it and it has no links"),
        (136, 0, "is corrupt: `.` or `..` is missing or leads elsewhere"),
    ] {
        let mut bytes = bytes.clone();
        if at != 8 {
            // Without a checksum.
            bytes[1024 + 8] &= !1;
        }
        bytes[1024 + at] = value;
        let error = read(&bytes).map(|_| at).expect_err("it is damaged").to_string();
        let is_any = expected.ends_with(": ") || error.ends_with(expected);
        assert!(is_any, "{at}: {error}");
    }
}

#[test]
fn sizes_beyond_all_bounds() {
    let directory = tempfile::tempdir().unwrap();
    let good = fs::read(made(directory.path(), &["-Eforce-inode-extended"])).unwrap();
    let root = usize::from(u16::from_le_bytes([good[1038], good[1039]])) * 32;
    for layout in 0..8u8 {
        for size in [u64::MAX, 1 << 63, u64::MAX - 4096] {
            for u in [0, 31, 0x3f] {
                let mut bytes = good.clone();
                bytes[1024 + 8] &= !1;
                bytes[root] = 1 | layout << 1;
                bytes[root + 8..root + 16].copy_from_slice(&size.to_le_bytes());
                bytes[root + 16] = u;
                read(&bytes).unwrap_err();
            }
        }
    }
}

#[test]
fn the_checksum_tells_of_every_flipped_bit() {
    let image = build(&compressible(), &compressed("lz4", 65_536, "6.1"));
    let mut bytes = fs::read(&image.path).unwrap();
    let text = read(&bytes).unwrap();
    for at in (1024 + 4..4096).step_by(61) {
        bytes[at] ^= 1 << (at % 8);
        match read(&bytes).unwrap_err() {
            ReadError::Corrupt { place: Place::Superblock, .. } => {}
            // The bit that says that there is one.
            other => panic!("{at}: {other}"),
        }
        bytes[at] ^= 1 << (at % 8);
    }
    assert_eq!(read(&bytes).unwrap(), text);
}

#[test]
fn damage_of_any_kind_is_an_error_or_a_shorter_text() {
    let directory = tempfile::tempdir().unwrap();
    let ours = fs::read(build(&compressible(), &compressed("lz4", 8192, "6.1")).path).unwrap();
    let theirs = |arguments: &[&str]| fs::read(made(directory.path(), arguments)).unwrap();
    let indexed = theirs(&["-zlz4", "-Elegacy-compress"]);
    let chunks = theirs(&["--chunksize=4096"]);
    let options = Options { addresses: Addresses::Wide, ..common::newest(BlockSize::B4096) };
    let mut b = Builder::new();
    for n in 0..60 {
        b.dir(format!("{n}")).file(format!("{n}/file"), n * 100);
        b.sparse(format!("{n}/holes"), 1 << 20, &[(n << 12, 4096)]);
    }
    let wide = fs::read(build(&b.tree(), &options).path).unwrap();
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for (good, from) in [(ours, None), (indexed, Some(0)), (chunks, Some(0)), (wide, Some(0))] {
        let usual = read(&good).unwrap().len();
        // Where metadata begin: behind the clusters, if they are ours.
        let meta = u32::from_le_bytes([good[1064], good[1065], good[1066], good[1067]]) as usize * 1024;
        let from = from.unwrap_or(meta);
        let mut good = good;
        good[1024 + 8] &= !1;
        let in_use: Vec<usize> = (0..good.len() / 4)
            .filter(|word| (256..512).contains(word) || *word >= from)
            .filter(|word| good[word * 4..word * 4 + 4] != [0; 4])
            .collect();
        let (mut errors, mut texts) = (0, 0);
        let words = prop::collection::vec((0..in_use.len(), any::<u32>(), 0..4usize), 1..6);
        for _ in 0..1_000 {
            let mut bytes = good.clone();
            for (place, value, kind) in words.new_tree(&mut runner).unwrap().current() {
                let word = &mut bytes[in_use[place] * 4..][..4];
                let old = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
                let new = match kind {
                    0 => value,
                    1 => old ^ 1 << (value % 32),
                    2 => old.wrapping_add(value % 64).wrapping_sub(32),
                    _ => value % 8192,
                };
                word.copy_from_slice(&new.to_le_bytes());
            }
            match read(&bytes) {
                Ok(text) => {
                    assert!(text.len() < usual * 20, "{} bytes", text.len());
                    texts += 1;
                }
                Err(_) => errors += 1,
            }
        }
        assert!(errors > 100 && texts > 10, "{errors} errors, {texts} texts");
    }
}
