//! The order in which loaders look, over files that are made up.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::collections::BTreeMap;

use unlade_elf::loader::{expand, musl};
use unlade_elf::{Architecture, Class, Closure, Error, File, Kind, Loader, Seen, closure};

/// `/bin/x: libraries it needs | RPATH | RUNPATH`, with `32` for another architecture and `-` for no ELF file.
struct System(BTreeMap<String, Seen>);

fn file(needed: &str, rpath: &str, runpath: &str, class: Class) -> File {
    let text = |text: &str| (!text.is_empty()).then(|| Box::from(text.as_bytes()));
    File {
        architecture: Architecture { class, ..Architecture::X86_64 },
        kind: Kind::Shared,
        interpreter: None,
        needed: needed.split_whitespace().map(|name| Box::from(name.as_bytes())).collect(),
        soname: None,
        rpath: text(rpath),
        runpath: text(runpath),
        no_default_directories: false,
        load_end: 0,
    }
}

fn system(lines: &[&str]) -> System {
    let line = |line: &&str| {
        let (path, rest) = line.split_once(':').unwrap();
        let cells: Vec<&str> = rest.split('|').map(str::trim).collect();
        let cell = |at: usize| cells.get(at).copied().unwrap_or_default();
        let seen = match cells[0] {
            "-" => Seen::Other,
            "32" => Seen::Elf(Box::new(file("", "", "", Class::Elf32))),
            needed => Seen::Elf(Box::new(file(needed, cell(1), cell(2), Class::Elf64))),
        };
        (path.to_string(), seen)
    };
    System(lines.iter().map(line).collect())
}

impl System {
    fn look(&self, path: &[u8]) -> Result<Seen, Error> {
        Ok(match self.0.get(std::str::from_utf8(path).unwrap()) {
            None => Seen::Absent,
            Some(Seen::Elf(file)) => Seen::Elf(file.clone()),
            Some(_) => Seen::Other,
        })
    }
}

fn search(lines: &[&str], loader: &Loader<'_>) -> Closure {
    let system = system(lines);
    let Ok(Seen::Elf(program)) = system.look(b"/bin/x") else { panic!("there is no program") };
    closure(b"/bin/x", *program, loader, |path| system.look(path)).unwrap()
}

/// `path` of each library, then `!name` of each that is missing.
fn check(loader: &Loader<'_>, lines: &[&str], expected: &[&str]) {
    let found = search(lines, loader);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let libraries = found.libraries.iter().map(|library| text(&library.path));
    let missing = found.missing.iter().map(|missing| format!("!{}", text(&missing.name)));
    assert_eq!(libraries.chain(missing).collect::<Vec<_>>(), expected, "{lines:?}");
}

const GLIBC: Loader<'_> = Loader::Glibc { library_path: &[], cache: None, configured: &[] };

#[test]
fn glibc() {
    // The system's directories, the architecture's first.
    check(&GLIBC, &["/bin/x: a", "/usr/lib/a:", "/lib/a:"], &["/lib/a"]);
    check(
        &GLIBC,
        &["/bin/x: a", "/usr/lib/a:", "/usr/lib/x86_64-linux-gnu/a:"],
        &["/usr/lib/x86_64-linux-gnu/a"],
    );
    check(&GLIBC, &["/bin/x: a", "/usr/lib64/a:", "/lib/a:"], &["/usr/lib64/a"]);
    // RPATH goes for all that a file brings in, RUNPATH for itself.
    let rest = ["/r/a: b", "/r/b:"];
    check(&GLIBC, &[&["/bin/x: a | /r"][..], &rest].concat(), &["/r/a", "/r/b"]);
    check(&GLIBC, &[&["/bin/x: a | | /r"][..], &rest].concat(), &["/r/a", "!b"]);
    // With both, RPATH means nothing.
    check(&GLIBC, &["/bin/x: a | /r | /s", "/r/a:", "/s/a:"], &["/s/a"]);
    // A library with a RUNPATH looks in no RPATH, not even the program's.
    check(&GLIBC, &["/bin/x: a | /r", "/r/a: b | | /s", "/r/b:", "/lib/b:"], &["/r/a", "/lib/b"]);
    // Level by level, and each name once.
    check(&GLIBC, &["/bin/x: a b", "/lib/a: c", "/lib/b: c a", "/lib/c:"], &["/lib/a", "/lib/b", "/lib/c"]);
    // What is for something else, or nothing, is passed over.
    check(&GLIBC, &["/bin/x: a | /r:/s:/t", "/r/a:32", "/s/a:-", "/t/a:"], &["/t/a"]);
    check(&GLIBC, &["/bin/x: a | $ORIGIN/../l:${ORIGIN}", "/bin/a:"], &["/bin/a"]);
    check(
        &GLIBC,
        &["/bin/x: a | $ORIGIN/../l", "/bin/../l/a: b", "/bin/../l/b:"],
        &["/bin/../l/a", "/bin/../l/b"],
    );
    // A path is a path.
    check(&GLIBC, &["/bin/x: /y/a b/c $ORIGIN/d", "/y/a:", "/bin/d:"], &["/y/a", "/bin/d", "!b/c"]);
    check(&GLIBC, &["/bin/x: a", "/lib/a: $ORIGIN/a $ORIGIN/b /lib/b", "/lib/b: a b"], &["/lib/a", "/lib/b"]);
    let path: [Box<[u8]>; 1] = [(*b"/l").into()];
    let told = Loader::Glibc { library_path: &path, cache: None, configured: &[] };
    check(&told, &["/bin/x: a b | /r", "/r/a:", "/l/a:", "/l/b:", "/lib/b:"], &["/r/a", "/l/b"]);
    check(&told, &["/bin/x: a | | /s", "/s/a:", "/l/a:"], &["/l/a"]);
    let configured = Loader::Glibc { library_path: &[], cache: None, configured: &path };
    check(&configured, &["/bin/x: a b", "/lib/a:", "/l/a:", "/l/b:"], &["/lib/a", "/l/b"]);
}

#[test]
fn musl() {
    let directories = musl::DEFAULT.map(Box::from);
    let loader = Loader::Musl { library_path: &[], directories: &directories };
    check(&loader, &["/bin/x: a", "/usr/lib/a:", "/usr/local/lib/a:"], &["/usr/local/lib/a"]);
    // Both kinds go for all that a file brings in.
    check(&loader, &["/bin/x: a | | /r", "/r/a: b", "/r/b:"], &["/r/a", "/r/b"]);
    check(&loader, &["/bin/x: a | /r", "/r/a: b | | /s", "/r/b:", "/s/b:"], &["/r/a", "/s/b"]);
    // The C library is the loader.
    check(&loader, &["/bin/x: libc.so libc.musl-x86_64.so.1 libpthread.so libcap.so"], &["!libcap.so"]);
    // The first one counts, whatever it is.
    check(&loader, &["/bin/x: a", "/lib/a:32", "/usr/lib/a:"], &["!a"]);
    assert_eq!(
        musl::path_file(b"/lib/ld-musl-x86_64.so.1").as_deref(),
        Some(&b"/etc/ld-musl-x86_64.path"[..])
    );
    let elsewhere = musl::path_file(b"/opt/m/lib/ld-musl-aarch64.so.1");
    assert_eq!(elsewhere.as_deref(), Some(&b"/opt/m/etc/ld-musl-aarch64.path"[..]));
    assert_eq!(musl::path_file(b"/lib64/ld-linux-x86-64.so.2"), None);
    assert_eq!(musl::parse(b"/a:/b\n/c\n"), [b"/a", b"/b", b"/c"].map(|path| Box::from(&path[..])));
}

#[test]
fn all_that_is_missing_is_named() {
    let found = search(&["/bin/x: a b", "/lib/a: c b", "/usr/lib/b:32"], &GLIBC);
    let missing: Vec<(&[u8], usize, usize)> = found
        .missing
        .iter()
        .map(|missing| (&*missing.name, missing.wanted_by.len(), missing.unusable.len()))
        .collect();
    assert_eq!(missing, [(&b"b"[..], 2, 1), (b"c", 1, 0)]);
    assert_eq!(*found.missing[0].wanted_by[1], *b"/lib/a");
}

#[test]
fn tokens() {
    let expand = |text: &str| -> Vec<String> {
        let found = expand::expand(text.as_bytes(), b"/o", Architecture::X86_64);
        found.into_iter().map(|bytes| String::from_utf8(bytes.into()).unwrap()).collect()
    };
    assert_eq!(expand("$ORIGIN/a:${ORIGIN}"), ["/o/a:/o"]);
    assert_eq!(expand("$ORIGINAL/${ORIGIN/$"), ["$ORIGINAL/${ORIGIN/$"]);
    assert_eq!(expand("/$LIB"), ["/lib/x86_64-linux-gnu", "/lib64", "/lib"]);
    assert_eq!(expand("/$PLATFORM/x"), ["/x86_64/x"]);
}

#[test]
fn there_is_an_end_to_it() {
    let look = |path: &[u8]| -> Result<Seen, Error> {
        // Each library needs another one.
        let number: usize = std::str::from_utf8(path).unwrap().rsplit('/').next().unwrap().parse().unwrap();
        Ok(Seen::Elf(Box::new(file(&(number + 1).to_string(), "", "", Class::Elf64))))
    };
    let end = closure(b"/x", file("0", "", "", Class::Elf64), &GLIBC, look);
    assert!(matches!(end, Err(Error::Limit { .. })));
    let many = "$ORIGIN/$ORIGIN/$ORIGIN:".repeat(10_000);
    let long = [b"/", &[b'o'; 2000][..], b"/x"].concat();
    let end = closure(&long, file("0", &many, "", Class::Elf64), &GLIBC, |_| Ok::<_, Error>(Seen::Absent));
    assert!(matches!(end, Err(Error::Limit { .. })));
    let many = "/a:".repeat(10_000);
    let names = (0..200).map(|number| format!("{number} ")).collect::<String>();
    let end = closure(b"/x", file(&names, &many, "", Class::Elf64), &GLIBC, |_| Ok::<_, Error>(Seen::Absent));
    assert!(matches!(end, Err(Error::Limit { .. })));
}
