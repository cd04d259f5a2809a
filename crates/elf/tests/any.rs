//! What holds for whatever strangers send.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod common;

use common::follow::follow;
use common::image::{Image, TEXT};
use common::{patched, trampoline};
use proptest::collection::vec;
use proptest::prelude::*;
use unlade_elf::loader::{Cache, conf, musl};
use unlade_elf::{Outcome, Reason, read, rewrite};

/// Whatever is looked at ends without a panic, and what is rewritten is marked as that. Gives what became of it.
fn survives(file: &[u8]) -> Option<Vec<u8>> {
    let _ = read(file);
    let _ = Cache::parse(file);
    let _ = conf::parse(file, b"/etc").count();
    let _ = musl::parse(file);
    let Ok(Outcome::Rewritten(patch)) = rewrite(file) else { return None };
    let rewritten = patched(file, &patch);
    trampoline(&rewritten);
    assert_eq!(rewrite(&rewritten), Ok(Outcome::Kept(Reason::Already)));
    // Without the trailer there is nothing left to do, or nothing to be sure of.
    let again = rewrite(&rewritten[..rewritten.len() - 32]);
    assert!(!matches!(again, Ok(Outcome::Rewritten(_))), "{again:?}");
    for pair in patch.changes.windows(2) {
        assert!(pair[0].offset + pair[0].bytes().len() as u64 <= pair[1].offset);
    }
    assert_eq!(rewrite(file), Ok(Outcome::Rewritten(patch)), "it came out in two ways");
    Some(rewritten)
}

/// Instructions around calls: some of each kind, some bytes of no kind.
fn code() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        3 => Just(vec![0x0f, 0x05]),
        3 => Just(vec![0xb8, 1, 0, 0, 0]),
        1 => Just(vec![0x90]),
        1 => Just(vec![0xc3]),
        1 => Just(vec![0xf3, 0x0f, 0x1e, 0xfa]),
        1 => Just(vec![0x48, 0x3d, 1, 0xf0, 0xff, 0xff]),
        1 => (-40_i8..40).prop_map(|distance| vec![0xeb, distance as u8]),
        1 => (-40_i32..40).prop_map(|distance| [&[0x0f, 0x84][..], &distance.to_le_bytes()].concat()),
        1 => (-40_i32..4096).prop_map(|distance| [&[0x48, 0x8d, 0x05][..], &distance.to_le_bytes()].concat()),
        1 => vec(any::<u8>(), 1..8),
    ];
    vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_bytes(bytes in vec(any::<u8>(), 0..400), magic in any::<bool>()) {
        let magic: &[u8] = if magic { b"\x7fELF\x02\x01\x01" } else { b"" };
        survives(&[magic, &bytes].concat());
    }

    #[test]
    fn any_code(text in code(), symbols in vec(0_u64..400, 0..4), fixed in any::<bool>()) {
        prop_assume!(!text.is_empty());
        let symbols = symbols.into_iter().map(|at| TEXT + at).collect();
        let file = Image { symbols, kind: if fixed { 2 } else { 3 }, ..Image::new(&text) }.build();
        if let Some(rewritten) = survives(&file) {
            follow(&file, &rewritten, text.len());
        }
    }

    #[test]
    fn spoilt_headers(text in code(), spoilt in vec((0_usize..500, any::<u8>()), 1..6)) {
        let mut file = Image { symbols: vec![TEXT], ..Image::new(&text) }.build();
        let length = file.len();
        for (at, byte) in spoilt {
            // The headers stand at both ends.
            let at = if at < 250 { at } else { length - (at - 249) };
            file[at] = byte;
        }
        survives(&file);
    }
}
