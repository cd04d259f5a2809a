//! Lines 79 to 85: how layers are compressed.

use testkit::image::Layer;
use testkit::tarball::{Tarball, header};

use crate::case::{Case, Written, entries, refused, tree};

#[test]
fn compression() {
    crate::check::check_all(cases());
}

const GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
const PLAIN: &str = "application/vnd.oci.image.layer.v1.tar";

/// What the layers of this section hold.
fn tarball() -> Vec<u8> {
    entries("f a 1").end()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    Layer::gzip(bytes).blob
}

/// A frame of zstd whose blocks are stored as they are.
fn zstd(bytes: &[u8]) -> Vec<u8> {
    // Magic, no flags, a window of 128 KiB, which is the largest block.
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 7 << 3];
    let blocks: Vec<&[u8]> = bytes.chunks(128 << 10).collect();
    for (number, block) in blocks.iter().enumerate() {
        let last = usize::from(number + 1 == blocks.len());
        frame.extend_from_slice(&(block.len() << 3 | last).to_le_bytes()[..3]);
        frame.extend_from_slice(block);
    }
    frame
}

fn skippable(text: &[u8]) -> Vec<u8> {
    [&[0x50, 0x2a, 0x4d, 0x18][..], &(text.len() as u32).to_le_bytes(), text].concat()
}

/// A blob that is said to be the tarball of this section.
fn blob(media_type: &'static str, blob: Vec<u8>) -> Vec<Layer> {
    vec![Layer { blob, media_type, ..Layer::plain(tarball()) }]
}

fn zipped(blob: Vec<u8>) -> Vec<Layer> {
    self::blob(GZIP, blob)
}

pub(crate) fn cases() -> Vec<Case> {
    let tar = tarball();
    let good = gzip(&tar);
    let spoiled = |at: usize| {
        let mut blob = good.clone();
        blob[at] ^= 0x10;
        blob
    };
    let end = good.len();
    // The name and the comment end with NUL, the extra field begins with its length.
    let fields =
        [&good[..3], &[0b1_1100], &good[4..10], &[2, 0, 7, 7], b"name\0", b"comment\0", &good[10..]].concat();
    let frames =
        [skippable(b"table"), zstd(&tar[..512]), skippable(b""), zstd(&tar[512..]), skippable(b"end")]
            .concat();
    let dictionary = [&[0x28, 0xb5, 0x2f, 0xfd, 0b0010_0001, 7, 1][..], &[1, 0, 0], b"a"].concat();
    let window = [&[0x28, 0xb5, 0x2f, 0xfd, 0, (28 - 10) << 3][..], &[1, 0, 0]].concat();
    let (cut, garbage) =
        ("layer 1: corrupt: gzip stream is cut off", "layer 1: corrupt: garbage behind the gzip stream");
    let lazy = Tarball::new().file(".prefetch.landmark", b"\x0f").file("./.no.prefetch.landmark", b"\x0f");
    let lazy = lazy.file("stargz.index.json", b"{}").file("a/stargz.index.json", b"{}");
    let mut cases = vec![
        tree(79, "gzip", zipped(good.clone()), "a=1"),
        tree(79, "with all fields", zipped(fields), "a=1"),
        refused(79, "without its last byte", zipped(good[..end - 1].to_vec()), "layer 1: corrupt: gzip stream is cut off"),
        refused(79, "without its second half", zipped(good[..end / 2].to_vec()), cut),
        refused(79, "a wrong sum", zipped(spoiled(end - 6)), "layer 1: corrupt: gzip checksum does not match"),
        refused(79, "a wrong length", zipped(spoiled(end - 2)), "layer 1: corrupt: gzip length does not match"),
        refused(79, "another method", zipped(spoiled(2)), "layer 1: unsupported: gzip with compression method 24"),
        tree(80, "members", zipped([gzip(&tar[..512]), gzip(b""), gzip(&tar[512..])].concat()), "a=1"),
        tree(80, "10,240 members", vec![bytewise([&tar[..], &[0; 8704]].concat())], "a=1"),
        tree(80, "zeros behind them", zipped([&good[..], &[0; 1000]].concat()), "a=1"),
        refused(80, "rubbish behind them", zipped([&good[..], b"rubbish, and more of it"].concat()), garbage),
        refused(80, "rubbish behind zeros", zipped([&good[..], &[0; 1000], b"x"].concat()), garbage),
        refused(80, "half a member behind them", zipped([&good[..], &good[..12]].concat()), "layer 1: corrupt: gzip stream is cut off"),
        tree(81, "zstd", blob(ZSTD, zstd(&tar)), "a=1"),
        tree(81, "frames, and some to be skipped", blob(ZSTD, frames), "a=1"),
        refused(81, "cut off", blob(ZSTD, zstd(&tar)[..400].to_vec()), "layer 1: corrupt: zstd stream is cut off"),
        refused(81, "a dictionary", blob(ZSTD, dictionary), "layer 1: unsupported: zstd frame needs a dictionary"),
        refused(81, "a window of 256 MiB", blob(ZSTD, window), "layer 1: limit: zstd window of more bytes than the limit of 134217728"),
        tree(83, "a bomb below the limits", vec![bomb(1, 8)], "a=1 z=[\\x00*8388608]").only(&[Written::Tar]),
        refused(83, "a bomb of 100 GiB", vec![bomb(1, 100 << 10)], "layer 1: limit: expands to more bytes for each compressed one than the limit of 250").only(&[Written::Tar]),
        refused(83, "more than a layer may have", vec![bomb(1, 4)], "layer 1: limit: expands to more bytes than the limit of 1048576").with(|options| options.layers.expand.expanded = 1 << 20),
        refused(83, "little bombs", (10..30).map(|number| bomb(number, 1)).collect::<Vec<_>>(), "layer 8: the image expands to more bytes than the limit of 8388608").with(|options| {
            options.layers.parallel = 1;
            options.layers.image_expanded = 8 << 20;
        }),
        tree(84, "eStargz's own", lazy.clone(), "a/ a/stargz.index.json={} !LazyPullMetadata*3"),
        tree(84, "kept", lazy, ".no.prefetch.landmark=\\x0f .prefetch.landmark=\\x0f a/ a/stargz.index.json={} stargz.index.json={}").with(|options| options.layers.read.keep_lazy_pull_metadata = true),
    ];
    for (media_type, bytes) in [
        (GZIP, zstd(&tar)),
        (GZIP, tar.clone()),
        (ZSTD, good.clone()),
        (ZSTD, tar.clone()),
        (PLAIN, good.clone()),
        (PLAIN, zstd(&tar)),
    ] {
        cases.push(tree(82, media_type, blob(media_type, bytes.clone()), "a=1 !MediaTypeDiffers"));
        let said = format!("layer 1: compressed in another way than its media type {media_type} says");
        cases.push(
            refused(82, "strictly", blob(media_type, bytes), &said)
                .with(|options| options.layers.strict_media_type = true),
        );
    }
    for (start, name) in [
        (&b"\xfd7zXZ\0\0\0"[..], "xz"),
        (b"BZh91AY&SY", "bzip2"),
        (b"\x04\x22\x4d\x18\x60", "lz4"),
        (b"LZIP\x01", "lzip"),
        (b"PK\x03\x04", "zip"),
        (b"\x1f\x9d\x90", "compress (.Z)"),
    ] {
        let said = format!(
            "layer 1: unsupported: layer is compressed with {name}; gzip, zstd and plain tar are supported"
        );
        cases.push(refused(85, name, blob(PLAIN, start.to_vec()), &said));
    }
    cases
}

/// A member for each byte.
fn bytewise(tar: Vec<u8>) -> Layer {
    Layer {
        blob: tar.iter().flat_map(|byte| gzip(&[*byte])).collect(),
        media_type: GZIP,
        ..Layer::plain(tar)
    }
}

/// A tarball with a file of so many MiB of zeros, of which 128 KiB take four bytes. `number` makes blobs differ.
fn bomb(number: u8, mebibytes: usize) -> Layer {
    let file =
        entries(&format!("f a {number}")).raw(header(b"z", b'0').size((mebibytes as u64) << 20), b"").0;
    // A block of 128 KiB that repeats one byte, and an empty one that is the last.
    let block = [&((128 << 10 << 3 | 0b010) as u32).to_le_bytes()[..3], &[0]].concat();
    let zeros =
        [&[0x28, 0xb5, 0x2f, 0xfd, 0, 7 << 3][..], &block.repeat(mebibytes << 3), &[1, 0, 0]].concat();
    let blob = [zstd(&file), zeros, zstd(&[0; 1024])].concat();
    // Of the large ones nobody gets to know the diff ID.
    let expanded =
        if mebibytes < 64 { [file, vec![0; (mebibytes << 20) + 1024]].concat() } else { Vec::new() };
    Layer { blob, media_type: ZSTD, ..Layer::plain(expanded) }
}
