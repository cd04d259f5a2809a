//! Expanding blobs. Each case carries the line of the catalogue of hostile inputs that it stands for.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::io::{BufReader, Read, Write};

use flate2::GzBuilder;
use flate2::write::GzEncoder;
use support::{Dribble, Tarball, failure};
use unlade_layer::compression::Limits;
use unlade_layer::{Compression, Error, Expander, ReadOptions, read};

/// Bytes that do not compress to nothing, longer than any buffer.
fn text() -> Vec<u8> {
    (0..200_000u32).flat_map(|i| (i.wrapping_mul(i) >> 7).to_le_bytes()).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn expand(blob: &[u8], piece: usize, limits: &Limits) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let mut expander = Expander::new(Dribble(blob, piece), limits.clone())?;
    match expander.read_to_end(&mut bytes) {
        Ok(_) => {
            assert_eq!(expander.expanded(), bytes.len() as u64);
            Ok(bytes)
        }
        Err(error) => Err(error.downcast::<Error>().expect("every failure has a typed cause")),
    }
}

/// The blob expands to `expected`, or fails with that text; cut into pieces of any size it does the same.
#[track_caller]
fn check_with(line: &str, blob: &[u8], limits: &Limits, expected: Result<&[u8], &str>) {
    for piece in [1, 7, 4096, usize::MAX] {
        match (expand(blob, piece, limits), expected) {
            (Ok(bytes), Ok(expected)) => assert!(bytes == expected, "line {line} by {piece}"),
            (result, Err(expected)) => {
                let text = result.map_err(|error| failure(&error)).map(|bytes| bytes.len());
                assert_eq!(text, Err(expected.to_owned()), "line {line} by {piece}");
            }
            (Err(error), Ok(_)) => assert_eq!(failure(&error), "", "line {line} by {piece}"),
        }
    }
}

#[track_caller]
fn check(line: &str, blob: &[u8], expected: Result<&[u8], &str>) {
    check_with(line, blob, &Limits::default(), expected);
}

#[test]
fn sniffing() {
    let kind = |start: &[u8]| Compression::sniff(start).map_err(|error| failure(&error));
    assert_eq!(kind(&gzip(b"")), Ok(Compression::Gzip));
    assert_eq!(kind(&zstd(b"")), Ok(Compression::Zstd));
    assert_eq!(kind(b"\x53\x2a\x4d\x18\x04\0\0\0"), Ok(Compression::Zstd));
    for plain in [&b""[..], b"\x1f", b"etc/passwd", b"BZh9/file", b"PK", b"\0\0\0\0"] {
        assert_eq!(kind(plain), Ok(Compression::None));
    }
    for (start, name) in [
        (&b"\xfd7zXZ\0\0\0"[..], "xz"),
        (b"BZh91AY&SY", "bzip2"),
        (b"\x04\x22\x4d\x18\x60", "lz4"),
        (b"LZIP\x01", "lzip"),
        (b"PK\x03\x04", "zip"),
        (b"\x1f\x9d\x90", "compress (.Z)"),
    ] {
        let text =
            format!("unsupported: layer is compressed with {name}; gzip, zstd and plain tar are supported");
        check("85", start, Err(&text));
    }
    check("71", b"", Ok(b""));
    check("82", b"plain", Ok(b"plain"));
}

#[test]
fn gzip_streams() {
    let text = text();
    let good = gzip(&text);
    check("79", &good, Ok(&text));
    check("79", &gzip(b""), Ok(b""));
    let mut named = GzBuilder::new()
        .filename("name")
        .comment("comment")
        .extra(vec![7; 300])
        .mtime(1)
        .write(Vec::new(), flate2::Compression::fast());
    named.write_all(&text).unwrap();
    check("79", &named.finish().unwrap(), Ok(&text));

    let cut = "corrupt: gzip stream is cut off";
    for length in [2, 9, 10, 11, good.len() / 2, good.len() - 9, good.len() - 8, good.len() - 1] {
        check("79", &good[..length], Err(cut));
    }
    let spoiled = |at: usize| {
        let mut blob = good.clone();
        blob[at] ^= 0x10;
        blob
    };
    check("79", &spoiled(good.len() - 6), Err("corrupt: gzip checksum does not match"));
    check("79", &spoiled(good.len() - 2), Err("corrupt: gzip length does not match"));
    // Of a blob that expanded well before, only the stream itself is looked at.
    let known = |blob: &[u8]| {
        let expander = Expander::new(blob, Limits::default()).unwrap();
        expander.without_checksums().read_to_end(&mut Vec::new()).is_ok()
    };
    assert!(known(&spoiled(good.len() - 6)) && known(&spoiled(good.len() - 2)));
    assert!(!known(&good[..good.len() - 1]) && !known(&spoiled(2)));
    check("79", &spoiled(2), Err("unsupported: gzip with compression method 24"));
    let mut reserved = good.clone();
    reserved[3] |= 0x80;
    check("79", &reserved, Err("corrupt: gzip header with reserved flags"));
    let mut damaged = good[..10].to_vec();
    damaged.extend([0xff; 100]);
    check("79", &damaged, Err("corrupt: deflate stream is damaged"));
    // A header with its checksum, by hand: flag 2, then the low half of its CRC-32.
    let mut header = good[..10].to_vec();
    header[3] = 2;
    let mut crc = flate2::Crc::new();
    crc.update(&header);
    let checked = |sum: u16| [&header[..], &sum.to_le_bytes(), &good[10..]].concat();
    check("79", &checked(crc.sum() as u16), Ok(&text));
    check("79", &checked(!crc.sum() as u16), Err("corrupt: gzip header's checksum does not match"));

    let members = [gzip(b"one "), gzip(b""), gzip(b"two "), gzip(&text)].concat();
    let all = [&b"one two "[..], &text].concat();
    check("80", &members, Ok(&all));
    check("80", &[&members[..], &[0; 1000]].concat(), Ok(&all));
    let garbage = Err("corrupt: garbage behind the gzip stream");
    check("80", &[&members[..], &[0; 1000], b"x"].concat(), garbage);
    check("80", &[&members[..], b"xyz, and much more"].concat(), garbage);
    check("80", &[&members[..], b"\x1f"].concat(), Err(cut));
    check("80", &[&members[..], &good[..20]].concat(), Err(cut));
}

#[test]
fn zstd_streams() {
    let text = text();
    let good = zstd(&text);
    check("81", &good, Ok(&text));
    check("81", &zstd(b""), Ok(b""));
    let skippable = |n: u8| [&[0x50 + n, 0x2a, 0x4d, 0x18, 5, 0, 0, 0][..], b"notes"].concat();
    let frames = [skippable(0), zstd(b"one "), skippable(15), zstd(b""), good.clone(), skippable(3)].concat();
    check("81", &frames, Ok(&[&b"one "[..], &text].concat()));
    let cut = Err("corrupt: zstd stream is cut off");
    for length in [4, 5, 20, good.len() / 2, good.len() - 4, good.len() - 1] {
        check("81", &good[..length], cut);
    }
    check("81", &[&good[..], &good[..9]].concat(), cut);
    check("81", &frames[..frames.len() - 1], cut);
    let unknown = Err("corrupt: zstd stream is damaged: unknown frame descriptor");
    check("81", &[&good[..], b"xyz, and more"].concat(), unknown);
    let mut spoiled = good.clone();
    *spoiled.last_mut().unwrap() ^= 1;
    let mismatch = "corrupt: zstd stream is damaged: restored data doesn't match checksum";
    check("81", &spoiled, Err(mismatch));
    // A frame header with one byte of dictionary identifier, and one that asks for a window of 256 MiB.
    let dictionary = [&[0x28, 0xb5, 0x2f, 0xfd, 0b0010_0001, 7, 1][..], &[1, 0, 0], b"a"].concat();
    check("81", &dictionary, Err("unsupported: zstd frame needs a dictionary"));
    let window = |log: u8| [&[0x28, 0xb5, 0x2f, 0xfd, 0, (log - 10) << 3][..], &[1, 0, 0]].concat();
    check("81", &window(27), Ok(b""));
    check("81", &window(28), Err("limit: zstd window of more bytes than the limit of 134217728"));
}

#[test]
fn bombs() {
    let zeros = vec![0; 4 << 20];
    let limits = Limits { expanded: 1 << 20, ..Limits::default() };
    let expanded = Err("limit: expands to more bytes than the limit of 1048576");
    for blob in [gzip(&zeros), zstd(&zeros), zeros.clone()] {
        check_with("83", &blob, &limits, expanded);
    }
    let limits = Limits { ratio_free: 2 << 20, ..Limits::default() };
    let ratio = "limit: expands to more bytes for each compressed one than the limit of 100";
    let limits = Limits { ratio: 100, ..limits };
    for blob in [gzip(&zeros), zstd(&zeros)] {
        check_with("83", &blob, &limits, Err(ratio));
    }
    check_with("83", &gzip(&zeros[..2 << 20]), &limits, Ok(&zeros[..2 << 20]));
    check_with("83", &zeros, &limits, Ok(&zeros));
}

#[test]
fn causes_come_through_the_reader() {
    let blob = gzip(&Tarball::new().file("a", &text()).end());
    let expander = BufReader::new(Expander::new(&blob[..blob.len() - 9], Limits::default()).unwrap());
    let error = read(0, expander, std::io::sink(), &ReadOptions::default()).unwrap_err();
    assert_eq!(failure(&error), "corrupt: entry 0 (a): gzip stream is cut off");
}
