//! Memory and time of large and hostile images: both grow with what there is to do, and no faster.
//!
//! Memory is the peak of the process's resident set. It may reach [`BASE`], and on top of that what a case says
//! for each of its things. Time is the processor's, user and system: twice as many things may take [`GROWTH`] times
//! as long. Sizes are small here; `UNLADE_RESOURCES=10 cargo test --release -p unlade --test resources` makes them
//! ten times as large, so that there are a million entries, and a directory with 500,000 names.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]
#![allow(clippy::print_stdout, reason = "figures for who asks with --nocapture")]

mod support;

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use support::Place;
use testkit::image::{Stored, put, write_documents};
use testkit::judge::e2fsck;
use testkit::large::{Compression, blob, header, hole, layer};
use testkit::tools;

/// What any build may take: buffers, queues and decoders for a few layers at once, and the program itself.
const BASE: u64 = 150 << 20;

/// Memory for a name of usual length, with its change, its node and its place in the plan.
const NAME: u64 = 1 << 10;

/// How much longer twice the work may take: twice, and some for the machine's other work.
const GROWTH: f64 = 2.8;

/// CPU seconds below which nothing can be said about growth.
const NOISE: f64 = 0.3;

/// How many things there are, by how many the environment asks for.
fn scaled(n: u64) -> u64 {
    let factor = std::env::var("UNLADE_RESOURCES").map_or(1, |text| text.parse().unwrap());
    n * factor
}

/// What a run said, and what it took.
#[derive(Debug)]
struct Run {
    code: Option<i32>,
    err: String,
    /// Bytes.
    peak: u64,
    /// Seconds of the processor.
    time: f64,
}

/// Runs the command and measures it.
fn measure(place: &Place, arguments: &[&str]) -> Run {
    let report = tempfile::NamedTempFile::new().unwrap();
    let plain = place.command(arguments);
    // With as few open files as systems allow by default.
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 1024; exec \"$0\" \"$@\""]).arg(tools::find("time").expect("GNU time"));
    command.args(["--quiet", "--format=%M %U %S", "--output"]).arg(report.path());
    command.arg(plain.get_program()).args(plain.get_args()).current_dir(place.path("."));
    command.env("UNLADE_STORE", place.path("store"));
    let output = command.output().unwrap();
    let measured = fs::read_to_string(report.path()).unwrap();
    let numbers: Vec<f64> = measured.split_whitespace().map(|number| number.parse().unwrap()).collect();
    Run {
        code: output.status.code(),
        err: String::from_utf8(output.stderr).unwrap(),
        peak: numbers[0] as u64 * 1024,
        time: numbers[1] + numbers[2],
    }
}

/// Writes an image of these layers.
fn image(place: &Place, name: &str, layers: &[Stored]) {
    write_documents(&place.path(name), "x", layers, &json!({})).unwrap();
}

/// Builds, which must succeed within `memory` bytes above [`BASE`].
#[track_caller]
fn built(place: &Place, name: &str, output: &str, memory: u64) -> Run {
    let run = measure(place, &["build", &format!("oci:{name}"), "-o", output, "-q"]);
    assert_eq!(run.code, Some(0), "{name}: {}", run.err);
    check_memory(name, &run, memory);
    run
}

/// Builds, which must be refused with exactly these words and with no memory above [`BASE`].
#[track_caller]
fn refused(place: &Place, name: &str, more: &[&str], text: &str) {
    let image = format!("oci:{name}");
    let run = measure(place, &[&["build", &image, "-o", "refused.ext4", "-q"], more].concat());
    assert_eq!(run.code, Some(1), "{name}: {}", run.err);
    assert!(run.err.contains(text), "{name}: {}", run.err);
    assert!(!place.path("refused.ext4").exists());
    check_memory(name, &run, 0);
}

#[track_caller]
fn check_memory(name: &str, run: &Run, memory: u64) {
    let allowed = BASE + memory;
    println!("{name}: {} MiB of {}, {:.2} s", run.peak >> 20, allowed >> 20, run.time);
    assert!(run.peak <= allowed, "{name}: {} MiB, {} allowed", run.peak >> 20, allowed >> 20);
}

/// Builds images of `n` and `2 * n` things, each of which may take `memory` bytes.
#[track_caller]
fn linear(about: &str, n: u64, memory: u64, make: impl Fn(&Path, u64) -> io::Result<Vec<Stored>>) -> Place {
    let place = Place::new();
    let mut times = Vec::new();
    for (size, n) in [("once", n), ("twice", 2 * n)] {
        let layers = make(&place.path(size), n).unwrap();
        image(&place, size, &layers);
        times.push(built(&place, size, &format!("{size}.ext4"), n * memory).time);
    }
    let [once, twice] = times[..] else { unreachable!() };
    println!("{about}: {n} in {once:.2} s, twice that in {twice:.2} s");
    assert!(twice <= once * GROWTH + NOISE, "{about}: {once:.2} s, and for twice that {twice:.2} s");
    e2fsck(&place.path("once.ext4")).unwrap();
    place
}

/// A layer, compressed with gzip.
fn gzip(layout: &Path, tarball: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<Vec<Stored>> {
    Ok(vec![layer(layout, Compression::Gzip, |out| {
        tarball(out)?;
        out.write_all(&[0; 1024])
    })?])
}

/// So many zeros.
fn zeros(out: &mut dyn Write, count: u64) -> io::Result<()> {
    let block = vec![0; 1 << 18];
    let mut left = count;
    while left > 0 {
        let length = left.min(block.len() as u64);
        out.write_all(&block[..length as usize])?;
        left -= length;
    }
    Ok(())
}

/// A header with one pax record.
fn pax(key: &str, value: &[u8]) -> Vec<u8> {
    testkit::large::pax(&[(key, value)])
}

#[test]
fn bombs() {
    let place = Place::new();
    let size = 3 << 30;
    for (name, compression) in [("gzip", Compression::Gzip), ("zstd", Compression::Zstd)] {
        let made = layer(&place.path(name), compression, |out| {
            out.write_all(&header("zeros", b'0', size, ""))?;
            zeros(out, size)
        });
        image(&place, name, &[made.unwrap()]);
        refused(&place, name, &[], "expands to more bytes for each compressed one than the limit of 250");
        refused(
            &place,
            name,
            &["--max-expanded", "100M"],
            "expands to more bytes than the limit of 104857600",
        );
        refused(
            &place,
            name,
            &["--max-image-expanded", "100M"],
            "the image expands to more bytes than the limit of 104857600",
        );
    }
    // One in another expands once: what is in it is no tarball.
    for (name, outer, inner) in [
        ("gzip in gzip", Compression::Gzip, "gzip"),
        ("gzip in zstd", Compression::Zstd, "gzip"),
        ("zstd in gzip", Compression::Gzip, "zstd"),
    ] {
        let blobs = place.path(inner).join("blobs/sha256");
        let largest = fs::read_dir(blobs).unwrap().map(|entry| entry.unwrap().path());
        let largest = largest.max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
        let bomb = fs::read(largest).unwrap();
        image(&place, name, &[layer(&place.path(name), outer, |out| out.write_all(&bomb)).unwrap()]);
        refused(&place, name, &[], "entry 0: ");
    }
    // Many layers, each of which is small enough.
    let layers: Vec<Stored> = (0..20)
        .map(|number: u64| {
            layer(&place.path("many"), Compression::Zstd, |out| {
                out.write_all(&header(&format!("zeros{number}"), b'0', 64 << 20, ""))?;
                zeros(out, (64 << 20) + 1024)
            })
        })
        .collect::<io::Result<_>>()
        .unwrap();
    image(&place, "many", &layers);
    refused(
        &place,
        "many",
        &["--max-image-expanded", "1G"],
        "the image expands to more bytes than the limit of",
    );
    // They are files of zeros, and cost as little.
    let run = built(&place, "many", "many.ext4", 0);
    assert!(run.time < 60.0, "{run:?}");
    assert!(fs::metadata(place.path("many.ext4")).unwrap().blocks() * 512 < 100 << 20, "zeros are holes");
}

#[test]
fn files_of_zeros() {
    // Twice this is still below where the ratio counts.
    linear("MiB of zeros", 200, 0, |layout, n| {
        gzip(layout, |out| {
            out.write_all(&header("zeros", b'0', n << 20, ""))?;
            zeros(out, n << 20)
        })
    });
}

#[test]
fn entries() {
    linear("entries", scaled(50_000), NAME, |layout, n| {
        gzip(layout, |out| {
            (0..n).try_for_each(|number| {
                let name = format!("usr/share/{}/{}/file-{number}", number % 101, number % 97);
                out.write_all(&header(&name, b'0', 4, ""))?;
                out.write_all(&[&b"1234"[..], &[0; 508]].concat())
            })
        })
    });
}

#[test]
fn names_in_one_directory() {
    linear("names", scaled(25_000), NAME, |layout, n| {
        gzip(layout, |out| {
            (0..n).try_for_each(|number| out.write_all(&header(&format!("d/{number:x}"), b'5', 0, "")))
        })
    });
}

#[test]
fn names_of_one_file() {
    let place = linear("links", 30_000, NAME, |layout, n| {
        gzip(layout, |out| {
            out.write_all(&header("file", b'0', 0, ""))?;
            (1..n).try_for_each(|number| out.write_all(&header(&format!("l/{number}"), b'1', 0, "file")))
        })
    });
    // Each of the next only if the one before it was found: the first is the last of the layer.
    let made = gzip(&place.path("backwards"), |out| {
        (1..20_000u64).try_for_each(|number| {
            out.write_all(&header(&format!("{number}"), b'1', 0, &format!("{}", number - 1)))
        })?;
        out.write_all(&header("0", b'0', 0, ""))
    });
    image(&place, "backwards", &made.unwrap());
    built(&place, "backwards", "backwards.ext4", 20_000 * NAME);

    let made = gzip(&place.path("many"), |out| {
        out.write_all(&header("file", b'0', 0, ""))?;
        (1..70_000).try_for_each(|number| out.write_all(&header(&format!("l/{number}"), b'1', 0, "file")))
    });
    image(&place, "many", &made.unwrap());
    let run = measure(&place, &["build", "oci:many", "-o", "many.ext4", "-q"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.err.contains("number of hard links is 65001, ext4 holds at most 65000"), "{}", run.err);
    built(&place, "many", "many.tar", 70_000 * NAME);
}

#[test]
fn deep_paths() {
    let path = |depth: usize, number: u64| format!("{}f{number}", "d/".repeat(depth - 1));
    // A path of 5,000 components costs its bytes where it is kept, in changes and their links.
    linear("5,000 deep", scaled(200), 64 << 10, |layout, n| {
        gzip(layout, |out| {
            (0..n).try_for_each(|number| {
                out.write_all(&pax("path", path(5_000, number).as_bytes()))?;
                out.write_all(&header("x", b'0', 0, ""))
            })
        })
    });
    let place = Place::new();
    for (name, depth) in [("deepest", 16_384), ("deeper", 16_385), ("far deeper", 500_000)] {
        let made = gzip(&place.path(name), |out| {
            out.write_all(&pax("path", path(depth, 0).as_bytes()))?;
            out.write_all(&header("x", b'0', 0, ""))
        });
        image(&place, name, &made.unwrap());
        if depth == 16_384 {
            built(&place, name, "deepest.ext4", 64 << 20);
            built(&place, name, "deepest.tar", 64 << 20);
        } else {
            refused(&place, name, &[], "deep, more than the limit of 16384");
        }
    }
}

#[test]
fn large_headers() {
    let place = Place::new();
    for (name, typeflag) in [("pax", b'x'), ("global", b'g'), ("long name", b'L'), ("long link", b'K')] {
        let made = gzip(&place.path(name), |out| {
            out.write_all(&header("x", typeflag, 1 << 30, ""))?;
            out.write_all(b"1073741824 comment=")?;
            zeros(out, (1 << 30) - 19)?;
            out.write_all(&header("f", b'0', 0, ""))
        });
        image(&place, name, &made.unwrap());
        refused(&place, name, &[], "more bytes of extension headers than the limit of 1048576");
    }
    linear("headers of 900 KiB", scaled(50), 0, |layout, n| {
        gzip(layout, |out| {
            let comment = vec![b'c'; 900 << 10];
            (0..n).try_for_each(|number| {
                out.write_all(&pax("comment", &comment))?;
                out.write_all(&header(&format!("f{number}"), b'0', 0, ""))
            })
        })
    });
}

#[test]
fn holes() {
    let place = Place::new();
    let size = 1u64 << 43;
    let text = size.to_string();
    let gnu = gzip(&place.path("gnu"), |out| out.write_all(&hole("hole", size))).unwrap();
    let old = gzip(&place.path("old"), |out| {
        out.write_all(&testkit::large::pax(&[
            ("GNU.sparse.size", text.as_bytes()),
            ("GNU.sparse.numblocks", b"0"),
            ("GNU.sparse.map", b""),
        ]))?;
        out.write_all(&header("hole", b'0', 0, ""))
    });
    for (name, layers) in [("gnu", gnu), ("old", old.unwrap())] {
        image(&place, name, &layers);
        let output = format!("{name}.ext4");
        built(&place, name, &output, 0);
        e2fsck(&place.path(&output)).unwrap();
        let listed = place.done(&["ls", &format!("oci:{name}"), "--json"]).out;
        let last: Value = serde_json::from_str(listed.lines().last().unwrap()).unwrap();
        assert_eq!((&last["path"], &last["size"]), (&json!("/hole"), &json!(size)), "{name}");
        assert!(fs::metadata(place.path(&output)).unwrap().blocks() * 512 < 64 << 20, "{name}");
        built(&place, name, &format!("{name}.tar"), 0);
        assert!(fs::metadata(place.path(&format!("{name}.tar"))).unwrap().len() < 64 << 10, "{name}");
    }
    // One run of data in every other block.
    linear("runs of data", scaled(20_000), 256, |layout, n| {
        gzip(layout, |out| {
            let mut map = format!("{n}\n");
            (0..n).for_each(|run| map += &format!("{}\n512\n", run * 8192));
            map += &"\0".repeat(map.len().next_multiple_of(512) - map.len());
            out.write_all(&testkit::large::pax(&[
                ("GNU.sparse.major", b"1"),
                ("GNU.sparse.minor", b"0"),
                ("GNU.sparse.name", b"sparse"),
                ("GNU.sparse.realsize", (n * 8192).to_string().as_bytes()),
            ]))?;
            out.write_all(&header("x", b'0', map.len() as u64 + n * 512, ""))?;
            out.write_all(map.as_bytes())?;
            (0..n).try_for_each(|_| out.write_all(&[1; 512]))
        })
    });
}

#[test]
fn members_and_frames() {
    for (compression, member) in [
        (Compression::Gzip, &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0][..]),
        // A skippable frame of one byte, and an empty frame.
        (
            Compression::Zstd,
            &[0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 9, 0x28, 0xb5, 0x2f, 0xfd, 0x20, 0, 1, 0, 0],
        ),
    ] {
        linear(&format!("members of {compression:?}"), scaled(200_000), 0, |layout, n| {
            let tarball = |out: &mut dyn Write| -> io::Result<()> {
                out.write_all(&header("f", b'0', 0, ""))?;
                out.write_all(&[0; 1024])
            };
            let whole = layer(layout, compression, tarball)?;
            let name = whole.descriptor["digest"].as_str().unwrap_or_default().replace(':', "/");
            let first = fs::read(layout.join("blobs").join(name))?;
            let mut several = blob(layout, compression, |out| {
                out.write_all(&first)?;
                (0..n).try_for_each(|_| out.write_all(member))
            })?;
            several.diff_id = whole.diff_id;
            Ok(vec![several])
        });
    }
}

#[test]
fn attributes() {
    // They are kept, byte for byte, in the layer's changes and in the tree, and are put together for the plan.
    linear("attributes of 4 KiB", scaled(2_000), 24 << 10, |layout, n| {
        gzip(layout, |out| {
            (0..n).try_for_each(|number| {
                let value: Vec<u8> = (0..4_000).map(|at| ((at * number) >> 3) as u8).collect();
                out.write_all(&pax("SCHILY.xattr.user.large", &value))?;
                out.write_all(&header(&format!("f{number}"), b'0', 0, ""))
            })
        })
    });
}

#[test]
fn entries_of_the_same_name_and_removals() {
    linear("entries of one name", scaled(50_000), NAME, |layout, n| {
        gzip(layout, |out| {
            (0..n).try_for_each(|number| {
                let typeflag = if number % 2 == 0 { b'0' } else { b'5' };
                out.write_all(&header("f", typeflag, 0, ""))
            })
        })
    });
    linear("whiteouts", scaled(20_000), 2 * NAME, |layout, n| {
        let below = gzip(layout, |out| {
            (0..n).try_for_each(|number| out.write_all(&header(&format!("d/{number}"), b'0', 0, "")))
        })?;
        let above = gzip(layout, |out| {
            (0..n).try_for_each(|number| out.write_all(&header(&format!("d/.wh.{number}"), b'0', 0, "")))?;
            out.write_all(&header("d/.wh..wh..opq", b'0', 0, ""))?;
            out.write_all(&header("left", b'0', 0, ""))
        })?;
        Ok([below, above].concat())
    });
}

#[test]
fn layers() {
    let place = Place::new();
    // So many that the manifest says no.
    let one = gzip(&place.path("10,000"), |out| out.write_all(&header("f", b'0', 0, ""))).unwrap();
    image(&place, "10,000", &vec![one[0].clone(); 10_000]);
    refused(&place, "10,000", &[], "layers");

    // As many as are allowed, all different, with the usual limit of open files.
    let layers: Vec<Stored> = (0..1_000)
        .map(|number: u64| {
            layer(&place.path("1,000"), Compression::None, |out| {
                out.write_all(&header(&format!("f{number}"), b'0', 600, ""))?;
                out.write_all(&[1; 1024])?;
                out.write_all(&[0; 1024])
            })
        })
        .collect::<io::Result<_>>()
        .unwrap();
    image(&place, "1,000", &layers);
    let run = built(&place, "1,000", "1000.ext4", 1_000 * NAME);
    println!("1,000 layers: {run:?}");
    e2fsck(&place.path("1000.ext4")).unwrap();

    refused(
        &place,
        "1,000",
        &["--max-image-entries", "999"],
        "the image has more entries than the limit of 999",
    );

    // One large one over and over: read once, and not kept as often as it stands there.
    linear("times one layer", 100, 100 << 10, |layout, n| {
        let layer = gzip(layout, |out| {
            (0..5_000).try_for_each(|number| out.write_all(&header(&format!("d/{number}"), b'0', 0, "")))
        })?;
        Ok(vec![layer[0].clone(); n as usize])
    });
}

#[test]
fn documents() {
    // As large as a config may be, full of small things.
    let place = Place::new();
    let layers = gzip(&place.path("history"), |out| out.write_all(&header("f", b'0', 0, ""))).unwrap();
    let history = vec![json!({ "empty_layer": true }); 150_000];
    write_documents(&place.path("history"), "x", &layers, &json!({ "history": history })).unwrap();
    built(&place, "history", "history.ext4", 150 << 20);
    let history = vec![json!({ "empty_layer": true }); 300_000];
    write_documents(&place.path("history"), "x", &layers, &json!({ "history": history })).unwrap();
    refused(&place, "history", &[], "4194304");
    // An index of more images than anybody looks through.
    let descriptor = put(&place.path("index"), "application/vnd.oci.image.manifest.v1+json", b"{}").unwrap();
    let index = json!({ "schemaVersion": 2, "manifests": vec![descriptor; 20_000] });
    fs::write(place.path("index/index.json"), index.to_string()).unwrap();
    fs::write(place.path("index/oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    let run = measure(&place, &["build", "oci:index", "-o", "refused.ext4", "-q"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.err.len() < 10_000, "{}", run.err.len());
    check_memory("index", &run, 100 << 20);
}
