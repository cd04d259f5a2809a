//! Lists of directories, and the tokens in them: `ld.so(8)`, "Dynamic string tokens".

use crate::{Architecture, Class};

/// The directories of a list such as `DT_RUNPATH`, `LD_LIBRARY_PATH` or musl's path file, one after the other.
///
/// An empty one means the working directory, which nobody knows here; it is left out.
pub fn directories(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|byte| matches!(byte, b':' | b'\n')).filter(|directory| !directory.is_empty())
}

/// What `text` can mean for a file in the directory `origin`: `$ORIGIN`, `$LIB` and `$PLATFORM`, with braces or
/// without. What `$LIB` says depends on who built the loader, so that there may be several answers, the likeliest
/// first.
pub fn expand(text: &[u8], origin: &[u8], architecture: Architecture) -> Vec<Box<[u8]>> {
    let (libraries, platform) = words(architecture);
    let mut found: Vec<Box<[u8]>> = Vec::new();
    for library in libraries {
        let expanded = replace(text, &[(b"ORIGIN", origin), (b"LIB", library), (b"PLATFORM", platform)]);
        if !found.contains(&expanded) {
            found.push(expanded);
        }
    }
    found
}

/// What `$LIB` (Debian's word, then everybody else's) and `$PLATFORM` stand for.
fn words(architecture: Architecture) -> ([&'static [u8]; 3], &'static [u8]) {
    match (architecture.machine, architecture.class) {
        (62, Class::Elf64) => ([b"lib/x86_64-linux-gnu", b"lib64", b"lib"], b"x86_64"),
        (183, Class::Elf64) => ([b"lib/aarch64-linux-gnu", b"lib64", b"lib"], b"aarch64"),
        (3, _) => ([b"lib/i386-linux-gnu", b"lib", b"lib32"], b"i686"),
        (40, _) => ([b"lib/arm-linux-gnueabihf", b"lib", b"lib"], b"v7l"),
        (243, Class::Elf64) => ([b"lib/riscv64-linux-gnu", b"lib64", b"lib"], b"riscv64"),
        (22, Class::Elf64) => ([b"lib/s390x-linux-gnu", b"lib64", b"lib"], b"z900"),
        (21, Class::Elf64) => ([b"lib/powerpc64le-linux-gnu", b"lib64", b"lib"], b"power8"),
        (_, Class::Elf64) => ([b"lib64", b"lib", b"lib"], b""),
        (_, Class::Elf32) => ([b"lib", b"lib32", b"lib"], b""),
    }
}

/// The system's directories of the loaders that distributions build, each with those that only some of them have.
pub(super) fn system(architecture: Architecture) -> impl Iterator<Item = Box<[u8]>> {
    let (libraries, _) = words(architecture);
    let both = libraries.into_iter().enumerate().filter(move |(at, word)| !libraries[..*at].contains(word));
    both.flat_map(|(_, word)| [[b"/", word].concat().into(), [b"/usr/", word].concat().into()])
}

fn replace(text: &[u8], tokens: &[(&[u8], &[u8])]) -> Box<[u8]> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, behind)) = rest.split_first() {
        let token = (*first == b'$')
            .then(|| tokens.iter().find_map(|(name, value)| Some((strip(behind, name)?, value))));
        match token.flatten() {
            Some((behind, value)) => {
                out.extend_from_slice(value);
                rest = behind;
            }
            None => {
                out.push(*first);
                rest = behind;
            }
        }
    }
    out.into()
}

/// What follows `NAME` or `{NAME}`; a longer name is another one.
fn strip<'a>(text: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    if let Some(inside) = text.strip_prefix(b"{") {
        return inside.strip_prefix(name)?.strip_prefix(b"}");
    }
    let behind = text.strip_prefix(name)?;
    let goes_on = behind.first().is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    (!goes_on).then_some(behind)
}
