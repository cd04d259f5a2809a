//! GNU tar and bsdtar as judges: what they unpack is what we unpack, names, types, owners, modes, times, links,
//! contents and attributes. Takes root.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use testkit::listing::{self, Kind, Line};
use testkit::tools;

use crate::{archives, is_refused, place_of};

/// What one of the two unpacks otherwise: archive, program, why.
const DIFFERENT: &[(&str, &str, &str)] = &[
    (
        "invalid-go17.tar",
        "tar",
        "Go before 1.8 wrote a prefix where old GNU headers have times; Go's readers, and so Docker, know that",
    ),
    ("invalid-go17.tar", "bsdtar", "the same"),
    (
        "nil-uid.tar",
        "bsdtar",
        "it takes what stands where GNU's sparse files have their size for the size of a file that is none",
    ),
    (
        "sparse-formats.tar",
        "tar",
        "it expects each run of data to begin a block; Go wrote them one behind the other, and reads them so",
    ),
    ("test_compat_solaris_tar_acl.tar", "bsdtar", "it knows Solaris's lists; Go and GNU tar skip them"),
    (
        "test_compat_star_acl_posix1e.tar",
        "bsdtar",
        "the kernel does not take a list from it, and the file has another mode then",
    ),
    ("test_pax_xattr_header_libarchive.tar", "tar", "it does not know libarchive's spelling of attributes"),
    ("test_read_pax_xattr_rht_security_selinux.tar", "tar", "it leaves labels to --selinux"),
];

/// Archives of files so large that nobody hashes their zeros; their listings are compared.
const HUGE: &[&str] = &["gnu-sparse-big.tar", "pax-sparse-big.tar"];

/// Both, told to keep all.
fn unpackers() -> [(&'static str, Command); 2] {
    let mut tar = tools::command("tar");
    tar.args(["--numeric-owner", "--same-owner", "-p", "--xattrs", "--xattrs-include=*", "--acls", "-xf"]);
    let mut bsdtar = tools::command("bsdtar");
    bsdtar.args(["--numeric-owner", "--same-owner", "-p", "--xattrs", "--acls", "-xf"]);
    [("tar", tar), ("bsdtar", bsdtar)]
}

/// Lists a directory without its root.
fn listed(root: &Path) -> Vec<Line> {
    let mut lines = listing::list(root).unwrap();
    lines.retain(|line| !line.path.is_empty());
    lines
}

/// Takes from `ours` what `theirs` cannot have right: all of a directory that no entry describes, and the time of one
/// into which something was put later than it got its own.
fn settle(theirs: &mut [Line], ours: &[Line], start: i64) {
    for line in theirs.iter_mut().filter(|line| line.kind == Kind::Directory) {
        let Some(wanted) = ours.iter().find(|other| other.path == line.path) else { continue };
        if wanted.mtime == (0, 0) {
            (line.mode, line.uid, line.gid) = (wanted.mode, wanted.uid, wanted.gid);
        }
        if wanted.mtime == (0, 0) || line.mtime.0 >= start {
            line.mtime = wanted.mtime;
        }
    }
}

#[test]
fn as_tar_and_bsdtar_unpack_them() {
    let archives = archives();
    let mut unused: BTreeSet<(&str, &str)> = DIFFERENT.iter().map(|line| (line.0, line.1)).collect();
    let mut faults = Vec::new();
    let judged = |name: &str| !is_refused(name) && !HUGE.contains(&name);
    for (name, path) in archives.iter().filter(|(name, _)| judged(name)) {
        let place = place_of(path);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() - Duration::from_secs(1);
        let start = now.as_secs() as i64;
        place.done(&[
            "build",
            "oci:archive",
            "-o",
            "ours",
            "--format",
            "dir",
            "--allow-empty",
            "--keep-host-xattrs",
        ]);
        let ours = listed(&place.path("ours"));
        for (program, mut command) in unpackers() {
            let root = place.path(program);
            fs::create_dir(&root).unwrap();
            // What it says of oddities is its own matter: what it unpacked counts.
            command.arg(path).current_dir(&root).output().unwrap();
            let mut theirs = listed(&root);
            settle(&mut theirs, &ours, start);
            let differences = listing::diff(&ours, &theirs);
            let is_different = unused.remove(&(&**name, program));
            if differences.is_empty() == is_different {
                faults.push(format!("{name}, here and by {program}:\n{}", differences.join("\n")));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(unused.is_empty(), "no archives of these names: {unused:?}");
}
