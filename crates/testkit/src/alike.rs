//! The same image gives the same bytes, whoever builds it, where and when.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use crate::corpus::{self, Image};
use crate::judge::source;
use crate::sums::sha256;
use crate::tools::{command, run};

/// A way to build, as the shell says it. All that can be varied at once is.
const WAYS: &[(&str, &str)] = &[
    ("as root", r#"TZ=UTC exec "$@""#),
    (
        "as a user with no rights",
        r#"umask 077; TZ=Asia/Kathmandu LC_ALL=C HOME=/nonexistent exec setpriv --reuid="$USER_ID" \
            --regid="$USER_ID" --clear-groups --bounding-set=-all --no-new-privs "$@""#,
    ),
    ("on one processor in another year", r#"exec taskset 1 faketime "2001-02-03 04:05:06" "$@""#),
    ("reading the layers twice, in eight threads", r#"exec "$@" --no-scratch --threads 8"#),
    ("again, with what the first build left", r#""$@" && rm "$ROOTFS" && exec "$@""#),
];

/// Builds `image` with these options in several ways and fails unless all give the same bytes; returns their sha256.
///
/// Takes root, to become nobody. `suffix` is the end of the output's name, and so its format.
pub fn alike(unlade: &Path, image: &Image, suffix: &str, options: &[&str]) -> io::Result<String> {
    // One of them is usually another file system than the target directory's.
    let places = [corpus::target(), "/dev/shm".into(), "/tmp".into()];
    let mut built: Vec<(&str, String)> = Vec::new();
    for ((way, script), place) in WAYS.iter().zip(places.iter().cycle()) {
        let scratch = tempfile::tempdir_in(place)?;
        fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o1777))?;
        let rootfs = scratch.path().join(format!("rootfs{suffix}"));
        let mut build = command("sh");
        build.env("USER_ID", user()?.to_string()).env("ROOTFS", &rootfs).args(["-c", script, "sh"]);
        build.arg(unlade).args(["build", &source(image)]).args(options);
        build.arg("--store").arg(scratch.path().join("store")).arg("-o").arg(&rootfs);
        run(&mut build)?;
        built.push((way, sha256(&rootfs)?));
    }
    let (_, first) = &built[0];
    match built.iter().find(|(_, found)| found != first) {
        None => Ok(first.clone()),
        Some((way, found)) => Err(io::Error::other(format!("built {}: {first}; {way}: {found}", built[0].0))),
    }
}

/// A user who can read the target directory and is not root: its owner, or nobody.
fn user() -> io::Result<u32> {
    let owner = fs::metadata(corpus::target())?.uid();
    Ok(if owner == 0 { 65534 } else { owner })
}
