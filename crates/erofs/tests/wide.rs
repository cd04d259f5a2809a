//! Filesystems whose addresses have 48 bits, small ones and one that needs them, as an independent reader and a kernel see
//! them.
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

use std::fs::File;
use std::io;

use common::contents::bytes_of;
use common::zoo::{compressible_zoo, zoo};
use common::{Builder, build, compressed, dump, meta, mounted, newest};
use host::FileExt;
use tree::{Content, Kind, Output, Span, Tree};
use unlade_erofs::{
    Addresses, BlockSize, Contents, Device, Error, Options, Sharing, Tails, plan, plan_index,
};

fn wide(options: Options) -> Options {
    Options { addresses: Addresses::Wide, ..options }
}

/// `fsck.erofs` of Debian 12 does not know the feature.
#[test]
fn small_trees() {
    let tree = zoo();
    for (block_size, tails) in [(BlockSize::B4096, Tails::Blocks), (BlockSize::B512, Tails::Inline)] {
        let image = build(&tree, &wide(Options { tails, ..newest(block_size) }));
        image.read(&tree);
        assert_eq!(image.layout.needs_kernel().to_string(), "6.15");
        let text = dump(&image.path).unwrap();
        assert!(text.contains(" 48bit\n") && text.contains(", chunks of "), "{text}");
    }
    let tree = compressible_zoo();
    let options = Options { sharing: Sharing::Files, ..compressed("lz4", 65_536, "6.15") };
    let image = build(&tree, &wide(options));
    assert!(dump(image.read(&tree).path.as_path()).unwrap().contains(" 48bit\n"));
}

#[test]
fn as_needed() {
    let whole = |length| Kind::File(Content::Whole(Span { layer: 0, offset: 0, length }));
    let with = |length| Builder::new().put("a", meta(0o644), whole(length)).tree();
    // As many blocks as 32 bits number, and one more: two are not of the file.
    let most = (u64::from(u32::MAX) - 1) * 4096;
    for (length, kernel, needs) in [
        (most, "6.18", Some("5.4")),
        (most + 1, "6.18", Some("6.15")),
        (most + 1, "6.14", None),
        (1 << 52, "6.15", Some("6.15")),
        ((1 << 52) + 1, "6.15", None),
    ] {
        let options = Options { min_kernel: kernel.parse().unwrap(), ..Options::default() };
        let planned = plan(&with(length), &options);
        let needed = planned.as_ref().ok().map(|layout| layout.needs_kernel().to_string());
        assert_eq!(needed.as_deref(), needs, "{length}: {planned:?}");
        if let Err(error) = planned {
            let would = error.needed_kernel().map(|kernel| kernel.to_string());
            assert_eq!(would.as_deref(), (kernel == "6.14").then_some("6.15"), "{error}");
        }
    }
    // Narrow, and yet not for older kernels.
    let holes = Builder::new().sparse("holes", 20 << 40, &[(0, 4096)]).tree();
    let options = newest(BlockSize::B4096);
    assert_eq!(plan(&holes, &options).unwrap().needs_kernel().to_string(), "6.15");
    let error = plan(&with(4096), &wide(Options::default())).unwrap_err();
    assert!(error.to_string().starts_with("addresses of 48 bits need Linux 6.15"), "{error}");
}

/// Tarballs that have more blocks of 512 bytes together than 32 bits number.
#[test]
fn devices() {
    let device = |layer| Device { layer, tag: Box::from(&b"00"[..]), length: (1 << 40) + 512 };
    let mut b = Builder::new();
    for layer in 0..2 {
        let span = Span { layer, offset: 512, length: 1 << 40 };
        b.put(format!("{layer}"), meta(0o644), Kind::File(Content::Whole(span)));
    }
    let tree = b.tree();
    for (kernel, is_planned) in [("6.14", false), ("6.15", true)] {
        let block_size = BlockSize::B512;
        let contents = Contents::OnDevices;
        let options =
            Options { min_kernel: kernel.parse().unwrap(), contents, block_size, ..Options::default() };
        let planned = plan_index(&tree, &[device(0), device(1)], &options);
        assert_eq!(planned.is_ok(), is_planned, "{planned:?}");
        assert!(planned.is_ok() || matches!(planned, Err(Error::TooLarge { block_size: 512, .. })));
    }
}

/// Keeps the first and the last block of a long run.
struct Ends(File);

impl Output for Ends {
    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn copy(&mut self, offset: u64, span: Span) -> io::Result<()> {
        if span.length <= 1 << 20 {
            return self.0.write_all_at(&bytes_of(span), offset);
        }
        for at in [0, (span.length - 1) / 4096 * 4096] {
            let part = Span { offset: span.offset + at, length: (span.length - at).min(4096), ..span };
            self.0.write_all_at(&bytes_of(part), offset + at)?;
        }
        Ok(())
    }
}

/// More than 16 TiB, which few filesystems hold in a file: one in memory does.
#[test]
fn beyond_16_tib() {
    let mut b = Builder::new();
    let first = b.span((17 << 40) + 100);
    b.put("first", meta(0o644), Kind::File(Content::Whole(first)));
    b.file("small", 10_000).file("linked", 20_000).link("link", "linked").file("blocks", 8192);
    let pieces = &[(0, 4096), (5 << 40, 8192), (90 << 40, 100)];
    b.sparse("holes", (90 << 40) + 100, pieces);
    let mut other = meta(0o644);
    other.mtime.seconds += 1;
    let span = b.span(70_000);
    b.put("other", other, Kind::File(Content::Whole(span)));
    let tree = b.tree();
    let layout = plan(&tree, &Options { min_kernel: "6.15".parse().unwrap(), ..Options::default() }).unwrap();
    assert!(layout.size() > 17 << 40);

    let directory = tempfile::tempdir_in("/dev/shm").unwrap();
    let path = directory.path().join("large.erofs");
    let file = File::options().create_new(true).read(true).write(true).open(&path).unwrap();
    file.set_len(layout.size()).unwrap();
    layout.write(&tree, &mut Ends(file)).unwrap();

    let superblock = testkit::erofs::superblock(&File::open(&path).unwrap()).unwrap();
    assert_eq!(superblock.blocks, layout.blocks());
    let text = dump(&path).unwrap();
    assert!(text.contains(&format!("blocks: {} of 4096 bytes", layout.blocks())), "{text}");
    assert_eq!(text.lines().filter(|line| line.contains("@456")).count(), 5, "{text}");
    let Some(mount) = mounted(&path) else { return };
    let entries = tree.entries(Tree::ROOT).unwrap();
    for (name, node) in entries {
        let Kind::File(content) = &tree.node(*node).kind else { continue };
        let file = File::open(mount.root().join(std::str::from_utf8(name).unwrap())).unwrap();
        assert_eq!(file.metadata().unwrap().len(), content.size(), "{name:?}");
        for piece in content.pieces() {
            for at in [0, (piece.span.length - 1) / 4096 * 4096] {
                let length = (piece.span.length - at).min(4096);
                let mut found = vec![0; length as usize];
                file.read_exact_at(&mut found, piece.at + at).unwrap();
                let part = Span { offset: piece.span.offset + at, length, ..piece.span };
                assert!(found == bytes_of(part), "{} at {at}", name.escape_ascii());
            }
        }
        if name.as_ref() == b"holes" {
            let mut found = [1; 4096];
            file.read_exact_at(&mut found, 30 << 40).unwrap();
            assert_eq!(found, [0; 4096]);
        }
    }
}
