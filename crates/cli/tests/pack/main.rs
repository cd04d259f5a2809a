//! Packages for LiteBox.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod closure;
mod host;

#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use hash::Digest;
use serde_json::{Value, json};
use support::{Place, schema};
use testkit::image::{Layer, Tar, write_layout};
use testkit::judge::{source, unpack_with_umoci};
use testkit::{corpus, tools, ustar};

/// Packs an image with these arguments, and gives what is in the package and what was said of it.
fn packed(place: &Place, image: &str, arguments: &[&str]) -> (BTreeMap<String, (u64, Vec<u8>)>, Value) {
    let said = place.done(&[&["pack", image, "-o", "app.tar", "--json"], arguments].concat());
    let summary: Value = serde_json::from_str(&said.out).unwrap();
    schema::conforms("pack", &summary);
    let package = fs::read(place.path("app.tar")).unwrap();
    assert_eq!(summary["bytes"], package.len());
    let files = ustar::read(&package);
    assert_eq!(summary["files"], files.len());
    (files, summary)
}

/// A layout of one layer.
fn image_of(place: &Place, tar: Tar) -> String {
    let config = json!({ "Env": ["A=it's", "a.b=c"], "Entrypoint": ["/bin/sh"], "WorkingDir": "/srv" });
    image_with(place, tar, &config)
}

/// The same, with a config of its own.
fn image_with(place: &Place, tar: Tar, config: &Value) -> String {
    let layout = place.path("made");
    let _ = fs::remove_dir_all(&layout);
    let config = json!({ "config": config });
    write_layout(&layout, "latest", &[Layer::gzip(&tar.finish())], &config).unwrap();
    format!("oci:{}:latest", layout.display())
}

/// Whether a file says that it was rewritten.
fn is_marked(bytes: &[u8]) -> bool {
    bytes.len() > 32 && bytes[bytes.len() - 32..].starts_with(b"LITEBOX0")
}

/// Packs without rewriting anything, so that a kernel runs what is in the package, and unpacks that.
fn unpacked(place: &Place, arguments: &[&str]) -> PathBuf {
    let pack = |arguments: &[&str]| {
        place.done(&[&["pack", "-o", "plain.tar"], arguments].concat());
        ustar::read(&fs::read(place.path("plain.tar")).unwrap())
    };
    let marked = pack(arguments);
    let marked = marked.iter().filter(|(_, (_, bytes))| is_marked(bytes));
    // One value an option: what follows --host is a program.
    let left: Vec<String> = marked.map(|(path, _)| format!("--no-rewrite={path}")).collect();
    let left: Vec<&str> = left.iter().map(String::as_str).collect();
    let root = place.path("plain");
    let _ = fs::remove_dir_all(&root);
    for (path, (mode, bytes)) in pack(&[arguments, &left].concat()) {
        assert!(!is_marked(&bytes), "{path}");
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode as u32)).unwrap();
    }
    root
}

/// Runs a command in a root of its own. Loaders ask there which program theirs is: the last one that it names.
fn run_in(root: &Path, command: &[&str]) -> Output {
    let link = root.join("proc/self/exe");
    fs::create_dir_all(link.parent().unwrap()).unwrap();
    let _ = fs::remove_file(&link);
    let program = command.iter().rfind(|word| word.starts_with('/')).unwrap();
    std::os::unix::fs::symlink(program, link).unwrap();
    let mut chroot = Command::new("chroot");
    chroot.arg(root).args(command).env_clear().env("PATH", "/usr/sbin:/usr/bin").output().unwrap()
}

/// All files by all paths, as `find -L` sees them in umoci's unpacking.
#[test]
fn a_real_image_by_every_path() {
    let place = Place::new();
    let (files, summary) = packed(&place, &source(corpus::find("nginx").unwrap()), &[]);
    let root = place.path("root");
    unpack_with_umoci(&corpus::layout("nginx"), &root).unwrap();
    // It complains about loops, and goes on.
    let script = "find -L . -type f -printf '%m %p\\n' 2>/dev/null | sort; echo; \
                  find -L . -type f -exec sha256sum {} + 2>/dev/null";
    let mut find = tools::command("sh");
    find.args(["-c", "chroot \"$1\" sh -c \"cd /; $2\" || true", "sh"]).arg(&root).arg(script);
    let said = String::from_utf8(tools::run(&mut find).unwrap()).unwrap();
    let (modes, sums) = said.split_once("\n\n").unwrap();
    let by_path = |text: &str| -> BTreeMap<String, String> {
        let pairs = text.lines().map(|line| line.split_once(" ").unwrap());
        pairs.map(|(value, path)| (path.trim().trim_start_matches("./").into(), value.into())).collect()
    };
    let (modes, sums) = (by_path(modes), by_path(sums));
    assert!(modes.len() > 5_000 && sums.len() == modes.len());
    let ours = ["litebox/config.json", "litebox/config_and_run.sh"];
    let names: Vec<&String> = files.keys().filter(|name| !ours.contains(&&***name)).collect();
    assert!(names.iter().eq(&modes.keys().collect::<Vec<_>>()), "{} : {}", names.len(), modes.len());

    let mut rewritten = 0;
    for (path, mode) in &modes {
        let (found, bytes) = &files[path];
        assert_eq!(format!("{found:o}"), *mode, "{path}");
        rewritten += u64::from(is_marked(bytes));
        assert!(is_marked(bytes) || Digest::sha256(bytes).hex() == sums[path], "{path}");
        assert!(!is_marked(bytes) || bytes.starts_with(b"\x7fELF"), "{path}");
    }
    // Some have several paths.
    assert!(rewritten >= summary["rewritten"].as_u64().unwrap() && rewritten > 3, "{summary}");
    let libc = files.keys().find(|path| path.ends_with("/libc.so.6")).unwrap();
    assert!(is_marked(&files[libc].1));
    assert!(files[ours[0]].1.starts_with(b"{") && files[ours[1]].0 == 0o755);

    let first = fs::read(place.path("app.tar")).unwrap();
    packed(&place, &source(corpus::find("nginx").unwrap()), &["--threads", "7"]);
    assert!(fs::read(place.path("app.tar")).unwrap() == first, "the same again");
}

#[test]
fn what_does_not_fit_is_named_at_once() {
    let place = Place::new();
    let image = source(corpus::find("special").unwrap());
    let said = place.run(&["pack", &image, "-o", "app.tar"]);
    assert_eq!(said.code, Some(1), "{}", said.err);
    assert!(said.err.contains("files do not fit into the package"), "{}", said.err);
    assert!(
        said.err.contains("the path is no UTF-8") && said.err.contains("the path is too long"),
        "{}",
        said.err
    );
    assert!(!place.path("app.tar").exists());
}

#[test]
fn files_of_this_machine() {
    let place = Place::new();
    let tar = Tar::default()
        .file("etc/conf", 0o640, b"of the image")
        .symlink("lib", "usr/lib")
        .symlink("no", "where");
    let image = image_of(&place, tar);
    fs::write(place.path("conf"), "of this machine").unwrap();
    let (files, summary) = packed(
        &place,
        &image,
        &[
            "--include",
            "conf:/etc/other",
            "--include",
            "/bin/busybox:bin/sh",
            "--rewrite-include",
            "/bin/busybox:b",
        ],
    );
    assert_eq!(files["etc/conf"], (0o640, b"of the image".into()));
    assert_eq!(files["etc/other"], (0o644, b"of this machine".into()));
    assert_eq!((files["bin/sh"].0, &files["bin/sh"].1), (0o755, &files["b"].1));
    assert!(is_marked(&files["b"].1));
    assert_eq!(summary["dropped"], json!({ "dangling": 2, "loops": 0, "special": 0 }));
    assert_eq!(summary["notExported"], json!(["a.b=c"]));
    let script = String::from_utf8(files["litebox/config_and_run.sh"].1.clone()).unwrap();
    assert!(script.contains("export A='it'\\''s'") && script.contains("cd '/srv'"), "{script}");

    for (arguments, said) in [
        (&["--include", "conf:etc/conf"][..], "etc/conf is in the package twice"),
        (&["--include", "conf:x", "--include", "conf:x"], "x is in the package twice"),
        (&["--rewrite-include", "conf:x"], "it is no ELF file"),
        (&["--include", "nowhere:x"], "cannot include nowhere"),
        (&["--include", "conf:"], "empty name"),
        (&["--include", ":x"], "is not HOST:TAR"),
        (&["--include", "conf:etc/conf/x"], "etc/conf/x cannot be in the package"),
        (&["--include", "conf:etc"], "etc/conf cannot be in the package"),
        (&["--include", "conf:x", "--include", "conf:x/y"], "x/y cannot be in the package"),
        (&["--no-rewrite", "bin/none"], "there is no /bin"),
    ] {
        let failed = place.run(&[&["pack", &image, "-o", "no.tar"], arguments].concat());
        assert!(failed.code != Some(0) && failed.err.contains(said), "{arguments:?}: {}", failed.err);
        assert!(!place.path("no.tar").exists());
    }
    let failed = place.run(&["pack", &image, "-o", "package"]);
    assert_eq!(failed.code, Some(2), "{}", failed.err);
}

#[test]
fn programs_that_are_left_as_they_are() {
    let place = Place::new();
    let busybox = fs::read("/bin/busybox").unwrap();
    let bun = [&busybox[..], b"\n---- Bun! ----\n"].concat();
    let tar = Tar::default().file("a", 0o755, &busybox).file("b", 0o755, &busybox).symlink("c", "b");
    let (files, summary) = packed(&place, &image_of(&place, tar), &["--no-rewrite", "/c"]);
    assert_eq!(summary["rewritten"], 1);
    assert!(files["a"].1.len() > busybox.len());
    assert!(files["b"].1 == busybox && files["c"].1 == busybox);

    let image = image_of(&place, Tar::default().file("bin/bun", 0o755, &bun));
    let failed = place.run(&["pack", &image, "-o", "no.tar"]);
    assert_eq!(failed.code, Some(1), "{}", failed.err);
    assert!(failed.err.contains("bin/bun: the program is packaged by Bun"), "{}", failed.err);
    let (files, summary) = packed(&place, &image, &["--allow-unrewritable"]);
    assert!(files["bin/bun"].1 == bun);
    assert_eq!(summary["unrewritten"], json!([{ "path": "bin/bun", "why": "packaged by Bun" }]));
    fs::write(place.path("bun"), &bun).unwrap();
    let (files, summary) = packed(&place, &image, &["--allow-unrewritable", "--include", "bun:b"]);
    assert!(files["b"].1 == bun && summary["unrewritten"].as_array().unwrap().len() == 2);
}
