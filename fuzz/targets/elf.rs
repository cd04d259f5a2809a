//! Programs and what loaders read: any bytes are read or refused. A program is rewritten in full or not at all: no call
//! is left in it, each leads through its detour and back, nothing jumps into what was replaced, and what is rewritten
//! is left alone. A search for libraries ends, and finds nothing twice.
#![no_main]

#[path = "../../crates/elf/tests/common/follow.rs"]
mod follow;
#[path = "../../crates/elf/tests/common/image.rs"]
mod image;

use std::collections::BTreeSet;

use elf::loader::{Cache, conf, musl};
use elf::{Architecture, File, Kind, Loader, Outcome, Reason, Seen};
use image::Image;
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;

/// Code of one program, in bytes.
const TEXT: usize = 600;

fuzz_target!(|data: &[u8]| {
    let mut u = Unstructured::new(data);
    let _ = match u.int_in_range(0..=3) {
        Ok(0) => {
            any(u.take_rest());
            Ok(())
        }
        Ok(1) => search(&mut u),
        _ => program(&mut u),
    };
});

fn any(bytes: &[u8]) {
    let _ = elf::read(bytes);
    if let Ok(cache) = Cache::parse(bytes) {
        assert!(cache.names().all(|name| cache.paths(name).next().is_some()));
    }
    let _ = conf::parse(bytes, b"/etc").count();
    let _ = musl::parse(bytes);
    rewritten(bytes);
}

/// Rewrites a file, and again what came of it.
fn rewritten(file: &[u8]) -> Option<Vec<u8>> {
    let Ok(Outcome::Rewritten(patch)) = elf::rewrite(file) else { return None };
    let mut rewritten = file.to_vec();
    patch.apply(&mut rewritten);
    assert_eq!(elf::rewrite(&rewritten), Ok(Outcome::Kept(Reason::Already)));
    let again = elf::rewrite(&rewritten[..rewritten.len() - 32]);
    assert!(!matches!(again, Ok(Outcome::Rewritten(_))), "{again:?}");
    Some(rewritten)
}

fn program(u: &mut Unstructured<'_>) -> Result<()> {
    let spoilt = u.int_in_range(0..=3)?;
    let changes: Vec<(u16, u8)> = (0..spoilt).map(|_| u.arbitrary()).collect::<Result<_>>()?;
    let kind = if u.arbitrary()? { 2 } else { 3 };
    let count = u.int_in_range(0..=3)?;
    let symbols = (0..count).map(|_| Ok(image::TEXT + u.int_in_range(0..=TEXT as u64)?));
    let symbols = symbols.collect::<Result<_>>()?;
    let data = u.bytes(24.min(u.len()))?.to_vec();
    let mut text = Vec::new();
    while !u.is_empty() && text.len() < TEXT {
        let piece: &[u8] = match u.int_in_range(0..=8)? {
            0 | 1 => &[0x0f, 0x05],
            2 => &[0xb8, 1, 0, 0, 0],
            3 => &[0x90],
            4 => &[0x48, 0x3d, 1, 0xf0, 0xff, 0xff],
            5 => &[0xeb],
            6 => &[0x48, 0x8d, 0x05],
            7 => &[0x0f, 0x84],
            _ => u.bytes(1)?,
        };
        text.extend(piece);
    }
    if text.is_empty() {
        return Ok(());
    }
    let length = text.len();
    let mut file = Image { kind, symbols, data, ..Image::new(&text) }.build();
    for (at, byte) in &changes {
        // Headers stand at both ends.
        let (at, length) = (usize::from(*at), file.len());
        file[if at < 1 << 15 { at % 176 } else { length - 1 - at % 328 }] = *byte;
    }
    match rewritten(&file) {
        Some(rewritten) if changes.is_empty() => follow::follow(&file, &rewritten, length),
        _ => {}
    }
    let _ = elf::read(&file);
    Ok(())
}

/// Files with names of a letter, which need each other and name directories.
fn search(u: &mut Unstructured<'_>) -> Result<()> {
    let file = |u: &mut Unstructured<'_>| -> Result<File> {
        let words = ["a", "b", "c", "libc.so", "/lib/a", "$ORIGIN/b", "x/c"];
        let lists = ["/r", "$ORIGIN", "/r:/s:$ORIGIN/../r", "", ":", "$LIB"];
        let list = |u: &mut Unstructured<'_>| -> Result<Option<Box<[u8]>>> {
            Ok(if u.arbitrary()? { Some(u.choose(&lists)?.as_bytes().into()) } else { None })
        };
        let count = u.int_in_range(0..=4)?;
        let needed = (0..count).map(|_| Ok(u.choose(&words)?.as_bytes().into())).collect::<Result<_>>()?;
        Ok(File {
            architecture: Architecture { machine: u.int_in_range(61..=62)?, ..Architecture::X86_64 },
            kind: Kind::Shared,
            interpreter: None,
            needed,
            soname: None,
            rpath: list(u)?,
            runpath: list(u)?,
            no_default_directories: u.arbitrary()?,
            load_end: 0,
        })
    };
    let program = file(u)?;
    let told = [Box::from(*b"/l")];
    let loader = match u.arbitrary()? {
        true => Loader::Glibc { library_path: &told, cache: None, configured: &told },
        false => Loader::Musl { library_path: &told, directories: &told },
    };
    let found = elf::closure(b"/bin/x", program, &loader, |_| {
        Ok::<_, elf::Error>(match u.int_in_range(0..=3).unwrap_or(0) {
            0 => Seen::Absent,
            1 => Seen::Other,
            _ => file(u).map_or(Seen::Absent, |file| Seen::Elf(Box::new(file))),
        })
    });
    let found = found.expect("there are few names");
    let paths: BTreeSet<&[u8]> = found.libraries.iter().map(|library| &*library.path).collect();
    assert_eq!(paths.len(), found.libraries.len(), "a library was found twice");
    assert!(
        found.libraries.iter().enumerate().all(|(at, library)| library.wanted_by.is_none_or(|by| by < at))
    );
    Ok(())
}
