//! The reader: it sees what `debugfs` sees, in what `mke2fs` made as well, and believes nothing that is wrong.

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

use common::{Builder, build, device, dump, meta, run, with_xattrs};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use tree::{Kind, Tree};
use unlade_ext4::{BlockSize, Filesystem, Options, Place, ReadError};

/// A tree with one of each.
fn tree() -> Tree {
    let mut b = Builder::new();
    b.dir("bin").dir("names").file("bin/sh", 123_457).link("bin/bash", "bin/sh").file("empty", 0);
    b.symlink("short", "bin/sh").symlink("long", [b'l'; 1000]);
    b.put("null", meta(0o4666), Kind::CharDevice(device(1, 3)));
    b.put("disk", meta(0o660), Kind::BlockDevice(device(259, 70_000)));
    b.put("pipe", meta(0o600), Kind::Fifo);
    let pieces: Vec<(u64, u64)> = (0..400).map(|piece| (piece * 16_384, 4096)).collect();
    b.sparse("holes", 400 * 16_384, &pieces);
    (0..2_000).for_each(|n| {
        b.file(format!("names/{n:0100}"), n % 5);
    });
    let metadata =
        with_xattrs(meta(0o644), &[("user.a", b"b"), ("user.long", &[7; 200]), ("user.longest", &[9; 9000])]);
    b.put("attributes", metadata, Kind::Fifo);
    b.tree()
}

/// The line of a dump that ends with a path, and those that belong to it.
fn of<'d>(dump: &'d str, path: &str) -> Vec<&'d str> {
    let mut lines = dump.lines().skip_while(|line| !line.ends_with(&format!(" {path}")));
    let first = lines.next().unwrap_or_else(|| panic!("{path} is missing in\n{dump}"));
    [first].into_iter().chain(lines.take_while(|line| line.starts_with("    "))).collect()
}

/// All blocks that a line of extents names.
fn blocks(lines: &[&str]) -> Vec<u64> {
    let extents = lines.iter().find_map(|line| line.strip_prefix("    blocks ")).unwrap_or_default();
    let extent = |text: &str| {
        let (place, start) = text.split_once('@').unwrap();
        let length: u64 = place.split_once('+').unwrap().1.parse().unwrap();
        let start: u64 = start.parse().unwrap();
        start..start + length
    };
    extents.split_whitespace().flat_map(extent).collect()
}

/// What `debugfs` says to each of these commands.
fn debugfs(path: &Path, commands: &[String]) -> Vec<String> {
    let script = path.with_extension("commands");
    fs::write(&script, commands.join("\n")).unwrap();
    let ran = run("debugfs", &["-f", script.to_str().unwrap(), path.to_str().unwrap()]).unwrap();
    let text = String::from_utf8(ran.stdout).unwrap();
    let answers: Vec<String> =
        text.split("debugfs: ").skip(1).map(|answer| answer.split_once('\n').unwrap().1.to_owned()).collect();
    assert_eq!(answers.len(), commands.len(), "{text}");
    answers
}

#[test]
fn every_block_and_field_as_debugfs_sees_it() {
    for block_size in [BlockSize::B4096, BlockSize::B1024] {
        let image = build(&tree(), &Options { block_size, ..Options::default() });
        let dump = image.dump().unwrap();
        let paths: Vec<&str> = dump
            .lines()
            .filter(|line| line.as_bytes()[0].is_ascii_digit() && line.contains(" /"))
            .map(|line| line.split_once(" /").unwrap().1.split(" -> ").next().unwrap())
            .collect();
        assert_eq!(paths.len(), 2_000 + 14);
        let stats = paths.iter().map(|path| format!("stat \"/{path}\"")).collect::<Vec<_>>();
        let lists = paths.iter().map(|path| format!("blocks \"/{path}\"")).collect::<Vec<_>>();
        let answers = debugfs(&image.path, &[stats, lists].concat());
        for (nth, path) in paths.iter().enumerate() {
            if ["bin/sh", "short", "long"].contains(path) {
                continue;
            }
            let lines = of(&dump, &format!("/{path}"));
            let words: Vec<&str> = lines[0].split(' ').collect();
            let stat = &answers[nth];
            let size = if words[4].contains(',') { "0" } else { words[4] };
            for field in [
                format!("Inode: {} ", words[0]),
                format!("Mode:  0{} ", words[1][1..].trim_start_matches('0')),
                format!("Links: {} ", words[2]),
                format!("Size: {size}\n"),
            ] {
                assert!(stat.contains(&field), "{path}: {field} in\n{stat}");
            }
            if words[4].contains(',') {
                // There debugfs shows the device's number as a block.
                continue;
            }
            // With the blocks of the extent tree, which stand where they are met.
            let mut listed: Vec<u64> =
                answers[paths.len() + nth].split_whitespace().map(|number| number.parse().unwrap()).collect();
            let tree = lines.iter().find_map(|line| line.strip_prefix("    extents in ["));
            let tree = tree.map_or(Vec::new(), |text| {
                text.trim_end_matches(']').split(", ").map(|number| number.parse::<u64>().unwrap()).collect()
            });
            listed.retain(|block| !tree.contains(block));
            assert_eq!(blocks(&lines), listed, "{path}");
        }
        assert_eq!(of(&dump, "/null")[0].split(' ').nth(4), Some("1,3"));
        assert_eq!(of(&dump, "/disk")[0].split(' ').nth(4), Some("259,70000"));
        let text = "l".repeat(1000);
        assert!(dump.contains(&format!("/long -> {text}\n")) && dump.contains("/short -> bin/sh\n"));
        let attributes = of(&dump, "/attributes").join("\n");
        assert!(attributes.contains("\n    user.a = \"b\""), "{attributes}");
        assert!(attributes.contains("\n    user.longest = 9000 bytes in inode "), "{attributes}");
    }
}

/// A filesystem by `mke2fs`, with a directory in it.
fn made(directory: &Path, arguments: &[&str]) -> PathBuf {
    let (tree, path) = (directory.join("tree"), directory.join("made.ext4"));
    if !tree.exists() {
        fs::create_dir_all(tree.join("a/b")).unwrap();
        fs::write(tree.join("a/file"), vec![b'x'; 100_000]).unwrap();
        fs::set_permissions(tree.join("a/file"), fs::Permissions::from_mode(0o640)).unwrap();
        symlink("a/file", tree.join("link")).unwrap();
        symlink("l".repeat(200), tree.join("long")).unwrap();
        (0..300).for_each(|n| fs::write(tree.join(format!("a/b/{n:080}")), "x").unwrap());
    }
    let _ = fs::remove_file(&path);
    let rest = ["-q", "-t", "ext4", "-d", tree.to_str().unwrap(), path.to_str().unwrap(), "8M"];
    let ran = run("mke2fs", &[arguments, &rest[..]].concat()).unwrap();
    assert!(ran.status.success(), "{}", common::text(&ran));
    path
}

#[test]
fn filesystems_of_mke2fs() {
    let directory = tempfile::tempdir().unwrap();
    for arguments in [
        &[][..],
        &["-b", "1024"],
        &["-b", "2048", "-O", "^has_journal"],
        &["-O", "^metadata_csum"],
        &["-O", "^64bit,^metadata_csum,uninit_bg", "-I", "128"],
        &["-I", "512"],
        &["-O", "^flex_bg,^resize_inode"],
        &["-U", "11111111-2222-3333-4444-555555555555", "-L", "made here"],
        &["-O", "metadata_csum_seed,ea_inode,large_dir"],
    ] {
        let path = made(directory.path(), arguments);
        let text = dump(&path).unwrap_or_else(|error| panic!("{arguments:?}: {error}"));
        assert!(of(&text, "/a/file")[0].contains(" -0640 1 0:0 100000 "), "{text}");
        assert!(
            text.contains("/link -> a/file\n") && text.contains(&format!("/long -> {}\n", "l".repeat(200)))
        );
        for n in 0..300 {
            assert_eq!(of(&text, &format!("/a/b/{n:080}")).len(), 2, "{n}");
        }
        if arguments.contains(&"-U") {
            assert!(text.contains("label: \"made here\", uuid: 11111111-2222-3333-4444-555555555555\n"));
        }
    }
}

#[test]
fn what_is_not_read() {
    let directory = tempfile::tempdir().unwrap();
    for (arguments, expected) in [
        (&["-O", "meta_bg,^resize_inode"][..], "incompatible features 0x10"),
        (&["-O", "inline_data"], "incompatible features 0x8000"),
    ] {
        let error = dump(&made(directory.path(), arguments)).unwrap_err();
        assert!(error.to_string().ends_with(expected), "{error}");
    }
    for bytes in [&[][..], &[0; 1023], &[0; 2048], &[0xff; 4096]] {
        assert!(matches!(Filesystem::open(&bytes), Err(ReadError::NotExt4)));
    }
}

/// What is said of a filesystem by `mke2fs` without checksums, after `debugfs` did something to it.
#[track_caller]
fn damaged(commands: &str, expected: &str) {
    let directory = tempfile::tempdir().unwrap();
    let path = made(directory.path(), &["-O", "^metadata_csum,^has_journal"]);
    let script = directory.path().join("commands");
    fs::write(&script, commands).unwrap();
    let ran = run("debugfs", &["-w", "-f", script.to_str().unwrap(), path.to_str().unwrap()]).unwrap();
    assert!(ran.status.success(), "{}", common::text(&ran));
    let error = dump(&path).map(|_| commands).expect_err("it is damaged").to_string();
    let ino = error.strip_prefix("inode ").and_then(|rest| rest.split_once(' ')).map(|(ino, _)| ino);
    let general = ino.map_or(error.clone(), |ino| error.replacen(ino, "N", 1));
    assert_eq!(general, expected, "{commands}");
}

#[test]
fn damage() {
    for (commands, expected) in [
        ("ln /a /a/b/loop", "inode N is corrupt: more names lead to it than it has links"),
        ("ln /link /link2", "inode N is corrupt: more names lead to it than it has links"),
        ("sif /a/file links_count 0", "inode N is corrupt: a name leads to it and it has no links"),
        ("sif /a/b size 1024", "inode N is corrupt: the directory has a hole"),
        ("sif /a/b size 1000000", "inode N is corrupt: the directory has a hole"),
        ("sif /long size 5000", "inode N is corrupt: the text of the link is missing"),
        ("sif /a/file block[0] 0", "inode N is corrupt: a header of its extents is wrong"),
        (
            "sif /a/file block[5] 0x7fffffff",
            "inode N is corrupt: a block lies behind the end of the filesystem",
        ),
        ("sif /a/file file_acl 3", "inode N is corrupt: the header of its attributes is wrong"),
        ("sif /a/file file_acl 99999", "inode N is corrupt: a block lies behind the end of the filesystem"),
        ("ssv inodes_count 99999999", "the superblock is corrupt: the number of inodes is impossible"),
        ("ssv log_block_size 9", "not an ext4 filesystem"),
        ("ssv blocks_per_group 0", "not an ext4 filesystem"),
    ] {
        // What debugfs itself would not open again is done by hand below.
        if !expected.starts_with("not") {
            damaged(commands, expected);
        }
    }
}

/// Flips bits of a filesystem's metadata, with checksums and without.
#[test]
fn checksums_tell_of_every_flipped_bit() {
    let image = build(&tree(), &Options { journal: false, ..Options::default() });
    let mut bytes = fs::read(&image.path).unwrap();
    let text = image.dump().unwrap();
    let group = text.lines().find(|line| line.starts_with("group 0: ")).unwrap();
    let table: usize = group.split("inodes at ").nth(1).unwrap().split(',').next().unwrap().parse().unwrap();
    let directory = blocks(&of(&text, "/names"))[5] as usize;
    let holes = of(&text, "/holes");
    let extents = holes.iter().find_map(|line| line.strip_prefix("    extents in [")).unwrap();
    let extents: usize = extents.split([',', ']']).next().unwrap().parse().unwrap();
    let attributes = of(&text, "/attributes");
    let attributes =
        attributes.iter().find_map(|line| line.strip_prefix("    attributes in block ")).unwrap();
    let attributes: usize = attributes.split(',').next().unwrap().parse().unwrap();
    for (at, place) in [
        (1024 + 0x20, Some(Place::Superblock)),
        (4096 + 9, Some(Place::Group(0))),
        (table * 4096 + 256 + 0x90, Some(Place::Inode(2))),
        (directory * 4096 + 40, None),
        (extents * 4096 + 100, None),
        (attributes * 4096 + 4000, None),
    ] {
        bytes[at] ^= 1;
        let error = read(&bytes).unwrap_err();
        bytes[at] ^= 1;
        match error {
            ReadError::Corrupt { place: found, what } => {
                assert!(what.contains("checksum"), "{at}: {what}");
                assert!(place.is_none_or(|place| place == found), "{at}: {found}");
            }
            other => panic!("{at}: {other}"),
        }
    }
    assert_eq!(read(&bytes).unwrap(), text);
}

fn read(bytes: &[u8]) -> Result<String, ReadError> {
    let mut text = Vec::new();
    Filesystem::open(&bytes)?.dump(&mut text)?;
    Ok(String::from_utf8(text).unwrap())
}

#[test]
fn damage_of_any_kind_is_an_error_or_a_shorter_text() {
    let directory = tempfile::tempdir().unwrap();
    let path = made(directory.path(), &["-O", "^metadata_csum,^has_journal", "-b", "1024", "-N", "512"]);
    let good = fs::read(&path).unwrap();
    let usual = read(&good).unwrap().len();
    let in_use: Vec<usize> =
        (0..good.len() / 4).filter(|word| good[word * 4..word * 4 + 4] != [0; 4]).collect();
    let mut wrong = String::new();
    let (mut errors, mut texts) = (0, 0);
    let words = prop::collection::vec((0..in_use.len(), any::<u32>(), 0..4usize), 1..4);
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for _ in 0..2_000 {
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
            Ok(text) if text.len() > usual * 20 => writeln!(wrong, "{} bytes", text.len()).unwrap(),
            Ok(_) => texts += 1,
            Err(_) => errors += 1,
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(errors > 100 && texts > 100, "{errors} errors, {texts} texts");
}
