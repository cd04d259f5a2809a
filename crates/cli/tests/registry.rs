//! Real images from a real registry through the command, and what a kill at any moment leaves.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod support;

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use support::{Place, sha256};
use testkit::corpus;
use testkit::judge::e2fsck;
use testkit::registry::debian::Server;

#[test]
fn the_same_rootfs_from_everywhere() {
    let place = Place::new();
    let open = Server::start("", tempfile::tempdir().unwrap()).unwrap();
    let (closed, authority) = Server::start_closed("user", "pass").unwrap();
    fs::write(place.path("ca.pem"), authority).unwrap();
    fs::create_dir(place.path("docker")).unwrap();
    // "user:pass"
    let auths = format!(r#"{{"auths": {{"localhost:{}": {{"auth": "dXNlcjpwYXNz"}}}}}}"#, closed.port);
    fs::write(place.path("docker/config.json"), auths).unwrap();

    for image in ["base", "nginx", "special"] {
        let layout = corpus::layout(image);
        let from_layout = format!("oci:{}:latest", layout.display());
        place.done(&["build", &from_layout, "-o", "layout.ext4", "-q"]);
        let wanted = sha256(&place.path("layout.ext4"));

        open.put(&layout, image, &["--preserve-digests"]).unwrap();
        place.done(&["build", &open.name(image), "-o", "open.ext4", "-q", "--store", "open"]);
        assert_eq!(sha256(&place.path("open.ext4")), wanted, "{image} over HTTP");

        closed.put(&layout, image, &["--preserve-digests", "--dest-creds=user:pass"]).unwrap();
        let name = closed.name(image);
        place.done(&["pull", &name, "--ca", "ca.pem", "-q", "--store", "closed"]);
        // Now it is a tag of the store.
        place.done(&["build", &name, "-o", "closed.ext4", "-q", "--store", "closed", "--pull", "never"]);
        assert_eq!(sha256(&place.path("closed.ext4")), wanted, "{image} over TLS with a login");

        for archive in ["oci-archive", "docker-archive"] {
            let mut skopeo = testkit::tools::command("skopeo");
            let file = format!("{archive}:{}:x/{image}:v1", place.path("archive").display());
            testkit::tools::run(skopeo.args(["copy", "--quiet", &from_layout, &file])).unwrap();
            place.done(&["build", &format!("{archive}:archive"), "-o", "a.tar", "-q"]);
            place.done(&["build", &from_layout, "-o", "l.tar", "-q"]);
            assert_eq!(sha256(&place.path("a.tar")), sha256(&place.path("l.tar")), "{image} from {archive}");
            fs::remove_file(place.path("archive")).unwrap();
        }
    }

    let said = place.run(&["build", &open.name("nothing"), "-o", "x.ext4"]);
    assert_eq!(said.code, Some(4), "{}", said.err);
    fs::remove_file(place.path("docker/config.json")).unwrap();
    let said = place.run(&["pull", &closed.name("base"), "--ca", "ca.pem"]);
    assert_eq!(said.code, Some(5), "{}", said.err);
    assert!(said.err.contains("hint: unlade login"), "{}", said.err);
    let said =
        place.run(&["build", &closed.name("base"), "-o", "x.ext4", "--pull", "never", "--store", "none"]);
    assert_eq!(said.code, Some(4), "{}", said.err);
    assert!(!place.path("x.ext4").exists());
}

/// How many kills of one command there are, at moments spread over the time that it takes; those that come too late do
/// not count. As many in each of two tests, which run beside one another.
fn kills() -> u32 {
    std::env::var("UNLADE_KILLS").map_or(10, |text| text.parse().unwrap())
}

#[test]
fn killed_at_any_moment_it_leaves_nothing_wrong() {
    kill_builds(0);
}

#[test]
fn killed_at_any_other_moment_it_leaves_nothing_wrong() {
    kill_builds(1_000);
}

/// Kills builds at moments that `first` and what follows it stand for.
fn kill_builds(first: u32) {
    let place = Place::new();
    let server = Server::start("", tempfile::tempdir().unwrap()).unwrap();
    server.put(&corpus::layout("nginx"), "nginx", &["--preserve-digests"]).unwrap();
    let name = server.name("nginx");
    let arguments = ["build", &name, "-o", "rootfs.ext4", "-q"];

    let timed = || {
        let start = Instant::now();
        place.done(&arguments);
        start.elapsed()
    };
    // The second one has the blobs, and builds from what the first one left.
    let (whole, known) = (timed(), timed());
    let wanted = sha256(&place.path("rootfs.ext4"));
    fs::remove_file(place.path("rootfs.ext4")).unwrap();

    let (mut killed, mut number, kills) = (0u32, first, kills());
    while killed < kills {
        assert!(number - first < 3 * kills, "only {killed} of {} were killed in time", number - first);
        // Every tenth begins with nothing; the others go on with what the kills before them left.
        if number % 10 == 0 {
            fs::remove_dir_all(place.path("store")).unwrap();
        }
        let mut child =
            place.command(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let step = number.wrapping_mul(2_654_435_761) % 1_000;
        let span = if number % 10 < 4 { whole } else { known };
        std::thread::sleep(span * step / 1_000 + Duration::from_millis(1));
        child.kill().unwrap();
        killed += u32::from(!child.wait().unwrap().success());
        if place.path("rootfs.ext4").exists() {
            // Whatever has the name is whole.
            assert_eq!(sha256(&place.path("rootfs.ext4")), wanted, "kill {number}");
            fs::remove_file(place.path("rootfs.ext4")).unwrap();
        }
        if number % 10 == 9 {
            place.done(&arguments);
            assert_eq!(sha256(&place.path("rootfs.ext4")), wanted, "after kill {number}");
            fs::remove_file(place.path("rootfs.ext4")).unwrap();
        }
        number += 1;
    }
    place.done(&arguments);
    e2fsck(&place.path("rootfs.ext4")).unwrap();
    assert_eq!(place.names(), ["image", "rootfs.ext4", "store"], "nothing half-made stays");
    let parts = fs::read_dir(place.path("store/unlade/parts")).map_or(0, Iterator::count);
    assert_eq!(parts, 0, "every part became a blob");
}

#[test]
fn a_terminated_build_cleans_up() {
    let place = Place::new();
    let layout = format!("oci:{}:latest", corpus::layout("nginx").display());
    place.done(&["pull", &layout, "-q"]);
    for delay in (0..10).map(|n| Duration::from_millis(20 * n + 5)) {
        let mut child = place.command(&["build", &layout, "-o", "rootfs/", "-q"]).spawn().unwrap();
        std::thread::sleep(delay);
        let mut kill = testkit::tools::command("kill");
        testkit::tools::run(kill.args(["-INT", &child.id().to_string()])).unwrap();
        let code = child.wait().unwrap().code();
        if code == Some(0) {
            fs::remove_dir_all(place.path("rootfs")).unwrap();
        } else {
            // Right at the start the handler is not there yet, and the signal itself ends the process.
            assert!(matches!(code, Some(130) | None), "{code:?}");
        }
        assert_eq!(place.names(), ["image", "store"], "after {delay:?}");
    }
}
