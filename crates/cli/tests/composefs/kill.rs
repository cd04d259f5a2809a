//! What a kill at any moment leaves of a repository.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Stdio;
use std::time::{Duration, Instant};

use testkit::corpus;
use testkit::judge;

use super::{clean, facts, place};

/// How many kills there are, half of them of `gc`. `UNLADE_KILLS=100` is what a release should have seen.
fn kills() -> u32 {
    std::env::var("UNLADE_KILLS").map_or(6, |count| count.parse().unwrap())
}

/// What is half-made when somebody is killed is no part of the repository, and goes with the next sweep.
#[test]
fn what_is_half_made_is_no_finding() {
    let place = place();
    place.done(&["composefs", "pull", "--repo", "repo", "oci:two", "two", "-q"]);
    let directory = fs::read_dir(place.path("repo/objects")).unwrap().next().unwrap().unwrap().path();
    let half = [
        place.path("repo/streams/.tmp-link-1-0"),
        place.path("repo/images/.tmp-link-1-1"),
        place.path("repo/objects/.tmp-object-1-2"),
        directory.join(".tmp-object-1-3"),
    ];
    for path in &half[..2] {
        symlink("../../oci-manifest-sha256:nothing", path).unwrap();
    }
    half[2..].iter().for_each(|path| fs::write(path, "half").unwrap());
    clean(&place);
    place.done(&["composefs", "gc", "--repo", "repo"]);
    assert!(half.iter().all(|path| fs::symlink_metadata(path).is_err()));
    clean(&place);
}

#[test]
fn killed_at_any_moment_it_leaves_nothing_wrong() {
    let place = place();
    let image = judge::source(corpus::find("layers60").unwrap());
    let pull = ["composefs", "pull", "--repo", "repo", &image, "it", "-q"];
    let gc = ["composefs", "gc", "--repo", "repo"];
    let repo = place.path("repo");
    let timed = |arguments: &[&str]| {
        let start = Instant::now();
        place.done(arguments);
        start.elapsed()
    };
    let pulling = timed(&pull);
    let (wanted, objects) = (facts(&repo), super::everything(&repo.join("objects")).len());
    place.done(&["composefs", "untag", "--repo", "repo", "it"]);
    let sweeping = timed(&gc);

    let (mut killed, mut number) = (0, 0u32);
    while killed < kills() {
        assert!(number < 5 * kills() + 10, "only {killed} of {number} were killed in time");
        let sweeps = number % 2 == 1;
        if sweeps {
            // There is something to sweep: an image without a tag.
            place.done(&pull);
            place.done(&["composefs", "untag", "--repo", "repo", "it"]);
        }
        let (arguments, span) = if sweeps { (&gc[..], sweeping) } else { (&pull[..], pulling) };
        let mut child = place.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let step = number.wrapping_mul(2_654_435_761) % 1_000;
        std::thread::sleep(span * step / 1_000 + Duration::from_micros(500));
        child.kill().unwrap();
        killed += u32::from(!child.wait().unwrap().success());
        clean(&place);
        if number % 4 == 2 {
            place.done(&pull);
            clean(&place);
            assert_eq!(facts(&repo), wanted, "after kill {number}");
            place.done(&gc);
            assert_eq!(super::everything(&repo.join("objects")).len(), objects, "after kill {number}");
            place.done(&["composefs", "untag", "--repo", "repo", "it"]);
            if number % 8 == 2 {
                place.done(&gc);
            }
        }
        number += 1;
    }
    place.done(&pull);
    place.done(&gc);
    clean(&place);
    assert_eq!(facts(&repo), wanted);
    assert_eq!(super::everything(&repo.join("objects")).len(), objects);
    let left = super::everything(&repo).into_keys().filter(|path| path.to_string_lossy().contains("tmp"));
    assert_eq!(left.count(), 0, "nothing half-made stays");
    fs::remove_dir_all(repo).unwrap();
}
