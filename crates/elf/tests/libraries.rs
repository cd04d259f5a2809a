//! What programs need, as other people's tools see it: `readelf`, `ldd`, `ldconfig`.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "judges are processes that work on files"
)]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{files, run};
use unlade_elf::loader::{Cache, conf};
use unlade_elf::{Error, Loader, Seen, closure, read};

fn look(path: &[u8]) -> Result<Seen, Error> {
    match fs::read(Path::new(std::ffi::OsStr::from_bytes(path))) {
        Ok(bytes) => Ok(read(&bytes)?.map_or(Seen::Other, |file| Seen::Elf(Box::new(file)))),
        Err(_) => Ok(Seen::Absent),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn readelf_reads_the_same() {
    for path in files(60) {
        let file = read(&fs::read(&path).unwrap()).unwrap().unwrap();
        let said = run(Command::new("readelf").args(["-dlW"]).arg(&path));
        let bracketed = |word: &str| -> Vec<String> {
            let lines = said.lines().filter(|line| line.contains(word));
            lines.map(|line| line.rsplit_once('[').unwrap().1.trim_end_matches(']').to_string()).collect()
        };
        let texts = |texts: &[Box<[u8]>]| texts.iter().map(|bytes| text(bytes)).collect::<Vec<_>>();
        let option = |found: &Option<Box<[u8]>>| texts(found.as_slice());
        let name = path.display();
        assert_eq!(texts(&file.needed), bracketed("(NEEDED)"), "{name}");
        assert_eq!(option(&file.soname), bracketed("(SONAME)"), "{name}");
        assert_eq!(option(&file.rpath), bracketed("(RPATH)"), "{name}");
        assert_eq!(option(&file.runpath), bracketed("(RUNPATH)"), "{name}");
        let interpreter =
            said.split_once("interpreter: ").map(|(_, rest)| rest.split(']').next().unwrap().to_string());
        assert_eq!(option(&file.interpreter), Vec::from_iter(interpreter), "{name}");
    }
}

#[test]
fn ldconfig_reads_the_same_cache() {
    let bytes = fs::read("/etc/ld.so.cache").unwrap();
    let cache = Cache::parse(&bytes).unwrap();
    let said = run(Command::new("/sbin/ldconfig").arg("-p"));
    let mut count = 0;
    for line in said.lines().filter(|line| line.contains(" => ")) {
        let (name, path) = line.trim().split_once(" => ").unwrap();
        let name = name.split(" (").next().unwrap();
        assert!(cache.paths(name.as_bytes()).any(|found| found == path.as_bytes()), "{name} {path}");
        count += 1;
    }
    assert!(count > 10);
    assert_eq!(cache.names().flat_map(|name| cache.paths(name)).count(), count);
}

/// A cache of the older format in front of the newer one, and alone.
#[test]
fn ldconfig_writes_all_formats() {
    let scratch = tempfile::tempdir().unwrap();
    for format in ["new", "compat", "old"] {
        let (root, cache) = (scratch.path().join(format), scratch.path().join(format).join("etc/cache"));
        fs::create_dir_all(root.join("etc")).unwrap();
        fs::create_dir_all(root.join("lib")).unwrap();
        fs::copy("/lib/x86_64-linux-gnu/libz.so.1", root.join("lib/libz.so.1")).unwrap();
        let mut ldconfig = Command::new("/sbin/ldconfig");
        run(ldconfig.args(["-c", format, "-f", "/dev/null", "-C", "/etc/cache", "-r"]).arg(&root));
        let bytes = fs::read(cache).unwrap();
        let cache = Cache::parse(&bytes).unwrap();
        assert_eq!(cache.paths(b"libz.so.1").collect::<Vec<_>>(), [b"/lib/libz.so.1"], "{format}");
        for end in 0..bytes.len() {
            let _ = Cache::parse(&bytes[..end]);
        }
    }
}

/// The libraries that `ldd` finds, with links followed.
fn ldd(path: &Path) -> Option<BTreeSet<PathBuf>> {
    let output = Command::new("ldd").arg(path).output().unwrap();
    let said = text(&output.stdout);
    if !output.status.success() || said.contains("not found") {
        return None;
    }
    let lines = said.lines().filter_map(|line| {
        let line = line.split_once(" => ").map_or(line, |(_, path)| path).trim();
        line.starts_with('/').then(|| fs::canonicalize(line.split(" (").next().unwrap()).unwrap())
    });
    Some(lines.collect())
}

#[test]
fn ldd_finds_the_same() {
    let bytes = fs::read("/etc/ld.so.cache").unwrap();
    let cache = Cache::parse(&bytes).unwrap();
    let mut compared = 0;
    for path in files(60) {
        let file = read(&fs::read(&path).unwrap()).unwrap().unwrap();
        let Some(expected) = ldd(&path).filter(|_| file.interpreter.is_some()) else { continue };
        let loader = Loader::Glibc { library_path: &[], cache: Some(&cache), configured: &[] };
        let found = closure(path.as_os_str().as_bytes(), file, &loader, look).unwrap();
        assert_eq!(found.missing, [], "{}", path.display());
        let name = |path: &[u8]| fs::canonicalize(std::ffi::OsStr::from_bytes(path)).unwrap();
        let found: BTreeSet<PathBuf> = found.libraries.iter().map(|library| name(&library.path)).collect();
        assert_eq!(found, expected, "{}", path.display());
        compared += 1;
    }
    assert!(compared >= 10, "only {compared}");
}

#[test]
fn a_configuration_file() {
    use conf::Line::{Directory, Include};
    let text =
        b"include ld.so.conf.d/*.conf /x/*\n# a comment\n/usr/local/lib // more\n\t/opt/lib///  # end\n\
                 /old/lib=libc5\nhwcap 1 nosegneg\nrelative\ninclude\n/";
    let found: Vec<_> = conf::parse(text, b"/etc").collect();
    let directory = |text: &[u8]| Directory(text.into());
    assert_eq!(
        found,
        [
            Include((*b"/etc/ld.so.conf.d/*.conf").into()),
            Include((*b"/x/*").into()),
            directory(b"/usr/local/lib // more"),
            directory(b"/opt/lib"),
            directory(b"/old/lib"),
            directory(b"/"),
        ]
    );
}
