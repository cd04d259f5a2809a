//! Four processes at a time pull, build, with and without `--cache`, tag, untag, sweep and check one store, and are
//! killed at random. Whatever happens, every check finds it clean, and in the end every name builds what it names.
//!
//! Ten seconds of it run with all tests; `UNLADE_TOGETHER=120 cargo test -p unlade --test together` is longer.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test may fail, and says what it did"
)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::process::Stdio;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::json;
use support::{Place, Said, sha256};
use testkit::image::{Layer, Tar, write_layout};
use testkit::registry::debian::Server;

/// How many processes there are at a time.
const PROCESSES: u64 = 4;
/// How many images the registry has.
const IMAGES: u64 = 6;

/// Numbers without a pattern.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.roll(256) as u8).collect()
    }
}

/// Images that share layers; each is also a layout on disk.
fn images(place: &Place, server: &Server) -> Vec<String> {
    let mut dice = Dice(1);
    let mut layer = |name: String, size: usize| {
        let tar = Tar::default().directory("d/", 0o755).file(&format!("d/{name}"), 0o644, &dice.bytes(size));
        Layer::gzip(&tar.finish())
    };
    let shared: Vec<Layer> = (0..3).map(|number| layer(format!("shared{number}"), 1 << 20)).collect();
    let image = |number: u64| {
        let own = layer(format!("own{number}"), 300_000 << (number % 3));
        let layers = [shared[number as usize % 3].clone(), shared[(number as usize + 1) % 3].clone(), own];
        let (name, path) = (format!("image{number}"), place.path(&format!("layout{number}")));
        write_layout(&path, "latest", &layers, &json!({})).unwrap();
        server.put(&path, &name, &["--preserve-digests"]).unwrap();
        server.name(&name)
    };
    (0..IMAGES).map(image).collect()
}

/// Something that is done, and the codes that it may end with.
fn action(names: &[String], worker: u64, dice: &mut Dice) -> (&'static str, Vec<String>, &'static [i32]) {
    let any = dice.roll(IMAGES) as usize;
    let (name, layout) = (names[any].clone(), format!("oci:layout{any}:latest"));
    let other = format!("localhost/tagged:{}", dice.roll(8));
    let words = |words: &[&str]| words.iter().map(|word| word.to_string()).collect::<Vec<_>>();
    let output = format!("rootfs{worker}.{}", if dice.roll(2) == 0 { "ext4" } else { "tar" });
    let cache: &[&str] = if dice.roll(2) == 0 { &["--cache"] } else { &[] };
    let build = |image: &str| words(&[&["build", image, "-o", &output], cache].concat());
    match dice.roll(14) {
        0 | 1 => ("pull", words(&["pull", &name]), &[0]),
        2..=4 => (if cache.is_empty() { "build" } else { "build --cache" }, build(&name), &[0]),
        // Its blobs are needed by nobody else.
        5 | 6 => ("build a layout", build(&layout), &[0]),
        // Another process may just have taken the name away.
        7 => ("tag", words(&["tag", &name, &other]), &[0, 4]),
        8 => ("rm", words(&["rm", if dice.roll(2) == 0 { &name } else { &other }]), &[0, 4]),
        9 | 10 => ("gc", words(&["gc"]), &[0]),
        11 => ("gc by age or room", words(&["gc", ["--older-than=1s", "--keep-bytes=4M"][any % 2]]), &[0]),
        12 => ("images", words(&["images", "--all"]), &[0]),
        _ => ("fsck", words(&["fsck"]), &[0]),
    }
}

#[test]
fn together_and_killed() {
    let seconds = std::env::var("UNLADE_TOGETHER").map_or(10, |text| text.parse().unwrap());
    let place = Place::new();
    let server = Server::start("", tempfile::tempdir().unwrap()).unwrap();
    let names = images(&place, &server);
    // A check of a store that does not exist yet has nothing to look at.
    place.done(&["images"]);
    let mut wanted: BTreeMap<String, String> = BTreeMap::new();
    for number in 0..IMAGES {
        let layout = format!("oci:layout{number}:latest");
        let built = place.done(&["build", &layout, "-o", "wanted.ext4", "--json", "--no-store"]).out;
        let built: serde_json::Value = serde_json::from_str(&built).unwrap();
        wanted.insert(built["manifest"].as_str().unwrap().into(), sha256(&place.path("wanted.ext4")));
    }

    let counts: Mutex<BTreeMap<(&str, bool), u64>> = Mutex::default();
    let end = Instant::now() + Duration::from_secs(seconds);
    std::thread::scope(|scope| {
        for worker in 0..PROCESSES {
            let (place, names, counts) = (&place, &names, &counts);
            scope.spawn(move || {
                let mut dice = Dice(100 + worker);
                while Instant::now() < end {
                    let (what, arguments, codes) = action(names, worker, &mut dice);
                    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
                    let mut command = place.command(&arguments);
                    command.arg("-q").stdout(Stdio::piped()).stderr(Stdio::piped());
                    let mut child = command.spawn().unwrap();
                    let killed = dice.roll(3) == 0;
                    if killed {
                        let longest = 1 << dice.roll(19);
                        std::thread::sleep(Duration::from_micros(dice.roll(longest)));
                        let _ = child.kill();
                    }
                    let said = Said::from(child.wait_with_output().unwrap());
                    let killed = said.code.is_none();
                    *counts.lock().unwrap().entry((what, killed)).or_default() += 1;
                    if let Some(code) = said.code {
                        assert!(codes.contains(&code), "{arguments:?}: {code}: {}{}", said.err, said.out);
                    }
                }
            });
        }
    });
    let counts = counts.into_inner().unwrap();
    eprintln!("{seconds} s, done and killed: {counts:?}");
    assert!(counts.iter().any(|((_, killed), count)| *killed && *count > 0));

    let report = place.done(&["fsck", "--json"]).out;
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["clean"], true, "{report:#}");
    let stored = place.done(&["images", "--format", "{{.Name}} {{.Digest}}"]).out;
    for line in stored.lines() {
        let (name, digest) = line.split_once(' ').unwrap();
        // From the layers, from what was left, and at least once from what this left.
        for cache in [&[][..], &["--cache"], &["--cache"]] {
            place.done(&[&["build", name, "-o", "built.ext4", "--pull", "never", "-q"], cache].concat());
            assert_eq!(sha256(&place.path("built.ext4")), wanted[digest], "{name} {cache:?}");
        }
    }
    // What the killed ones left is gone with the next sweep, but for parts, which are kept for a day.
    place.done(&["gc"]);
    assert_eq!(place.done(&["fsck", "--json"]).out.matches("\"code\"").count(), 0);
    let leases = fs::read_dir(place.path("store/unlade/leases")).map_or(0, Iterator::count);
    assert_eq!(leases, 0);
}
