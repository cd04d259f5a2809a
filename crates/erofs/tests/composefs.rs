//! Images of composefs: the bytes of the tools, and back.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a test may fail, and touch the machine"
)]

use hash::{Algorithm, FileDigest};
use testkit::dumps;
use unlade_erofs::composefs::{Files, Text, Version, parse_text, plan, read};

const VERSIONS: [Version; 3] = [Version::V0, Version::V1, Version::V2];

fn image(files: &Files, version: Version) -> Vec<u8> {
    let layout = plan(files, version).unwrap();
    let mut image = Vec::new();
    layout.write(&mut image).unwrap();
    assert_eq!(image.len() as u64, layout.size());
    image
}

/// What the tools' images of random trees have for digests. `cargo xtask cfsctl` renews it.
#[test]
fn bytes_of_the_tools() {
    for line in include_str!("goldens/composefs-random.txt").lines() {
        let [seed, version, digest] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let files = parse_text(dumps::random(seed.parse().unwrap()).as_bytes()).unwrap();
        let found = FileDigest::of(Algorithm::Sha256, &image(&files, version.parse().unwrap()));
        assert_eq!(found.hex(), digest, "tree {seed}, version {version}");
    }
}

#[test]
fn text_has_one_form() {
    for seed in 0..60 {
        let files = parse_text(dumps::random(seed).as_bytes()).unwrap();
        let once = Text(&files).to_string();
        let twice = Text(&parse_text(once.as_bytes()).unwrap()).to_string();
        assert_eq!(once, twice, "tree {seed}");
    }
}

#[test]
fn images_can_be_read() {
    for seed in 0..60 {
        let files = parse_text(dumps::random(seed).as_bytes()).unwrap();
        for version in VERSIONS {
            let image = image(&files, version);
            let found =
                read(&image).unwrap_or_else(|error| panic!("tree {seed}, version {version}: {error}"));
            assert_eq!(found.version, version);
            let (mut expected, found) = (Text(&files).to_string(), found.files);
            if version == Version::V2 {
                expected = without_nanoseconds(&expected);
            }
            assert_eq!(Text(&found).to_string(), expected, "tree {seed}, version {version}");
            assert_eq!(self::image(&found, version), image, "tree {seed}, version {version}");
        }
    }
}

/// The second version forgets them.
fn without_nanoseconds(text: &str) -> String {
    let line = |line: &str| {
        let mut fields: Vec<&str> = line.split(' ').collect();
        let time = format!("{}.0", fields[7].split('.').next().unwrap());
        fields[7] = &time;
        fields.join(" ") + "\n"
    };
    text.lines().map(line).collect()
}

#[test]
fn the_plan_can_be_printed() {
    let text = "/ 0 40755 3 0 0 0 1.0 - - -\n\
        /a 5 100644 1 0 0 0 1.0 - hello - user.a=b\n\
        /d 0 40755 2 0 0 0 2.5 - - - user.a=b\n\
        /d/gone 0 20644 1 0 0 0 1.0 - - -\n\
        /l 3 120777 1 0 0 0 1.0 d/x - -\n";
    let files = parse_text(text.as_bytes()).unwrap();
    let dump = plan(&files, Version::V1).unwrap().dump().to_string();
    let lines: Vec<&str> =
        dump.lines().filter(|line| !line.contains("20644 0:0") && !line.starts_with(" | ")).collect();
    assert_eq!(lines, PLAN, "{dump}");
}

const PLAN: [&str; 12] = [
    "composefs image, version 1, 16384 bytes, 261 inodes",
    "inodes to 9888, shared attributes to 12288",
    "time of small inodes: 1.000000000",
    "shared at 9888: user.a=62",
    "36 40755 0:0 3 directory of 4096 1@3 trusted.overlay.opaque=79",
    "198 100644 0:0 1 file of 5, 5 behind it user.a",
    "248 40755 0:0 2 extended 2.000000005 directory of 43, 43 behind it user.a trusted.overlay.overlay.opaque=78 trusted.overlay.overlay.whiteouts= user.overlay.opaque=78 user.overlay.whiteouts=",
    " + 248 .",
    " + 36 ..",
    " + 306 gone",
    "304 120777 0:0 1 link to d/x, 3 behind it",
    "306 100644 0:0 1 trusted.overlay.overlay.whiteout= user.overlay.whiteout=",
];

const ROOT: &str = "/ 0 40755 2 0 0 0 1.0 - - -\n";
const OBJECT: &str = "1e/2eaa4202d750a41174ee454970b92c1bc2f925b1e35076d8c7d5f56362ba64";

#[track_caller]
fn refused(text: &str, expected: &str) {
    let error = parse_text(text.as_bytes()).map(|files| Text(&files).to_string()).unwrap_err();
    assert_eq!(error.to_string(), expected, "{text}");
}

#[test]
fn texts_that_are_refused() {
    refused("", "line 1: the root is missing");
    refused("/a 0 100644 1 0 0 0 1.0 - - -\n", "line 1: the root did not come before");
    refused("/ 0 100644 1 0 0 0 1.0 - - -\n", "line 1: the root is not a directory");
    refused("/ 0 40755 2 0 0 0 1.0 - -\n", "line 1: digest is missing");
    for (line, fault) in [
        ("/", "size is missing"),
        ("/ 0 40755 2 0 0 0 1.0 - - -", "the name is there already"),
        ("a 0 100644 1 0 0 0 1.0 - - -", "malformed path"),
        ("//a 0 100644 1 0 0 0 1.0 - - -", "malformed path"),
        ("/a/ 0 100644 1 0 0 0 1.0 - - -", "malformed path"),
        ("/../a 0 100644 1 0 0 0 1.0 - - -", "path escapes the root"),
        ("/a\\x00 0 100644 1 0 0 0 1.0 - - -", "name has a NUL byte in it"),
        ("/a\\q 0 100644 1 0 0 0 1.0 - - -", "malformed path"),
        ("/d/a 0 100644 1 0 0 0 1.0 - - -", "the directory did not come before"),
        ("/a x 100644 1 0 0 0 1.0 - - -", "malformed size"),
        ("/a 0 x 1 0 0 0 1.0 - - -", "malformed mode"),
        ("/a 0 644 1 0 0 0 1.0 - - -", "malformed mode"),
        ("/a 0 1000000 1 0 0 0 1.0 - - -", "malformed mode"),
        ("/a 0 100644 +1 0 0 0 1.0 - - -", "malformed number of links"),
        ("/a 0 100644 1 4294967296 0 0 1.0 - - -", "malformed owner"),
        ("/a 0 100644 1 0 0 0 1 - - -", "malformed time"),
        ("/a 0 100644 1 0 0 0 1.1000000000 - - -", "malformed time"),
        ("/a 0 100644 1 0 0 0 --1.0 - - -", "malformed time"),
        ("/a 0 100644 1 0 0 1 1.0 - - -", "a device's number where there can be none"),
        ("/a 3 100644 1 0 0 0 1.0 - ab -", "the content has another length than the size says"),
        ("/a 2 10644 1 0 0 0 1.0 - ab -", "a content where there can be none"),
        ("/a 0 40755 1 0 0 0 1.0 x - -", "a payload where there can be none"),
        ("/a 2 100644 1 0 0 0 1.0 - ab 00", "a digest where there can be none"),
        ("/a 2 100644 1 0 0 0 1.0 ../x - -", "malformed path of an object"),
        ("/a 0 120777 1 0 0 0 1.0 - - -", "the link's text is missing"),
        ("/a 0 120777 1 0 0 0 1.0 a\\x00 - -", "malformed payload"),
        ("/a 0 20644 1 0 0 4294967296 1.0 - - -", "a device's number is 4294967296, more than 4294967295"),
        ("/a 0 @100644 - - - - 0.0 /b - -", "the target of the link did not come before"),
        ("/a 0 @100644 - - - - 0.0 / - -", "a second name for a directory"),
        ("/a 0 @40755 - - - - 0.0 / - -", "a hard link to a directory"),
        ("/a 0 100644 1 0 0 0 1.0 - - - user.a", "malformed attribute"),
        ("/a 0 100644 1 0 0 0 1.0 - - - =a", "malformed attribute's name"),
        ("/a 0 100644 1 0 0 0 1.0 - - - user.a=1 user.a=2", "an attribute twice"),
    ] {
        refused(&format!("{ROOT}{line}\n"), &format!("line 2: {fault}"));
    }
    let long = "x".repeat(1025);
    refused(
        &format!("{ROOT}/a 0 120777 1 0 0 0 1.0 {long} - -\n"),
        "line 2: the length of a link's text is 1025, more than 1024",
    );
    let other = format!("{ROOT}/a 2 100644 1 0 0 0 1.0 {OBJECT} - {}\n", "00".repeat(32));
    refused(&other, "line 2: the path of the object has another digest");
    let empty = format!("{ROOT}/a 0 100644 1 0 0 0 1.0 {OBJECT} - -\n");
    refused(&empty, "line 2: an object for a file without bytes");
}

#[test]
fn texts_become_canonical() {
    let text = format!(
        "/ 4096 40755 9 0 0 0 1.000 - - - user.b=\\x31 user.a=\n\
         \n\
         /b 2 100644 7 0 0 0 -1.5 /{OBJECT} - -\n\
         /a 0 @100600 9 9 9 9 9 /b - - user.x=y\n"
    );
    let files = parse_text(text.as_bytes()).unwrap();
    assert_eq!(
        Text(&files).to_string(),
        format!(
            "/ 0 40755 2 0 0 0 1.0 - - - user.a= user.b=1\n\
             /a 2 100644 2 0 0 0 -1.5 {OBJECT} - -\n\
             /b 0 @120000 - - - - 0.0 /a - -\n"
        )
    );
}

/// Changes a sound image at one place, and says what the reader says of it.
#[track_caller]
fn damaged(offset: usize, bytes: &[u8], expected: &str) {
    let text = format!(
        "{ROOT}/a 5 100644 1 0 0 0 1.0 - hello - user.a=b\n\
         /b 5 100644 1 0 0 0 1.0 {OBJECT} - {}\n\
         /l 1 120777 1 0 0 0 1.0 a - -\n",
        OBJECT.replace('/', "")
    );
    let mut image = image(&parse_text(text.as_bytes()).unwrap(), Version::V1);
    assert!(read(&image).is_ok());
    image[offset..offset + bytes.len()].copy_from_slice(bytes);
    let error = read(&image).map(|image| Text(&image.files).to_string()).unwrap_err();
    assert_eq!(error.what, expected);
}

#[test]
fn images_that_are_refused() {
    damaged(0, b"x", "not composefs's magic number");
    damaged(4, &[2], "a header of another version");
    damaged(8, &[2], "unknown flags");
    damaged(8, &[1], "the flag for access control lists is wrong");
    damaged(12, &[3], "unknown version of the format");
    damaged(1024, b"x", "not EROFS's magic number");
    damaged(1024 + 12, &[11], "blocks of other than 4096 bytes");
    damaged(1024 + 36, &[99], "another size than the superblock says");
    damaged(1024 + 80, &[4], "features that composefs does not use");
    damaged(1024 + 16, &[1], "another number of inodes than the superblock says");
    damaged(1024 + 14, &[0xff, 0xff], "the number of an inode behind the image's end");
    // The root's mode and links.
    damaged(1152 + 4, &0o100_755_u16.to_le_bytes(), "the root is not a directory");
    damaged(1152 + 6, &[3], "another number of links than of directories");
}

/// Whatever a byte is changed to, the reader refuses or reads, and what it reads can be written.
#[test]
fn any_byte_of_an_image() {
    let files = parse_text(dumps::random(5).as_bytes()).unwrap();
    for version in VERSIONS {
        let whole = image(&files, version);
        let mut bytes = whole.clone();
        for at in (0..whole.len()).step_by(7) {
            bytes[at] ^= 1 << (at % 8);
            if let Ok(found) = read(&bytes)
                && let Ok(layout) = plan(&found.files, version)
            {
                layout.write(std::io::sink()).unwrap();
            }
            bytes[at] = whole[at];
        }
    }
    let whole = image(&files, Version::V1);
    for length in (0..whole.len()).step_by(97) {
        assert!(read(&whole[..length]).is_err(), "cut to {length}");
    }
}
