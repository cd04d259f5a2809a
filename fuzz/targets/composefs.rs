//! Images of composefs, their text, and splitstreams: any bytes are read or refused, in bounded time and memory. What
//! was read as text is printed in one form, becomes an image unless that has no room for it, and is read again as what
//! it was. What was read from an image that somebody changed can be written, and read, and written again with the same bytes.
#![no_main]

use composefs::Splitstream;
use erofs::composefs::{Error, Files, Text, Version, parse_text, plan, read};
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;

const VERSIONS: [Version; 3] = [Version::V0, Version::V1, Version::V2];

/// Trees from which images are made, to be changed.
const TREES: u64 = 200;
const CHANGES: usize = 16;

fuzz_target!(|data: &[u8]| {
    let Some((&kind, rest)) = data.split_first() else { return };
    match kind % 4 {
        0 => text(rest),
        1 => image(rest),
        2 => {
            let _ = changed(&mut Unstructured::new(rest));
        }
        _ => stream(rest),
    }
});

fn text(bytes: &[u8]) {
    let files = match parse_text(bytes) {
        Ok(files) => files,
        Err(error) => {
            assert!(error.line > 0 && !error.to_string().contains('\u{1b}'));
            return;
        }
    };
    let once = Text(&files).to_string();
    let again = parse_text(once.as_bytes()).expect("what was printed can be read");
    assert_eq!(Text(&again).to_string(), once);
    for version in VERSIONS {
        let Some(image) = written(&files, version) else { continue };
        let found = read(&image).expect("what was written can be read");
        assert_eq!(found.version, version);
        // The second version forgets nanoseconds, and stubs are known by what they look like.
        assert_eq!(written(&found.files, version).as_deref(), Some(&image[..]));
    }
}

/// The bytes of an image; `None` if it has no room for the tree.
fn written(files: &Files, version: Version) -> Option<Vec<u8>> {
    match plan(files, version) {
        Ok(layout) => {
            let mut bytes = Vec::new();
            layout.write(&mut bytes).expect("memory takes everything");
            assert_eq!(bytes.len() as u64, layout.size());
            Some(bytes)
        }
        Err(Error::Limit { .. } | Error::TooLarge { .. } | Error::Invalid { .. }) => None,
    }
}

fn image(bytes: &[u8]) {
    if let Ok(image) = read(bytes)
        && let Some(again) = written(&image.files, image.version)
    {
        let found = read(&again).expect("what was written can be read");
        // Not always the same tree: a whiteout may look like a stub.
        assert_eq!(written(&found.files, found.version), Some(again));
    }
}

/// A sound image in which some bytes are others.
fn changed(u: &mut Unstructured<'_>) -> Result<()> {
    let text = testkit::dumps::random(u.int_in_range(0..=TREES)?);
    let files = parse_text(text.as_bytes()).expect("the text is sound");
    let mut bytes = written(&files, *u.choose(&VERSIONS)?).expect("the tree has room");
    for _ in 0..u.int_in_range(1..=CHANGES)? {
        let last = bytes.len() - 1;
        let at = u.int_in_range(0..=last)?;
        bytes[at] = u.arbitrary()?;
    }
    image(&bytes);
    Ok(())
}

fn stream(bytes: &[u8]) {
    let Ok(stream) = Splitstream::parse(bytes) else { return };
    let Ok(mut parts) = stream.parts() else { return };
    let mut steps = 0;
    while let Ok(Some(_)) = parts.step() {
        steps += 1;
        // zstd makes no more than this of so few bytes.
        assert!(steps <= bytes.len() * (1 << 15));
        if steps > 1 << 16 {
            return;
        }
    }
}
