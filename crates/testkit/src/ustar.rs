//! Plain ustar, read as the strictest of its readers does.

#![allow(clippy::unwrap_used, reason = "a test's judge panics")]

use std::collections::BTreeMap;

/// Reads a tarball of files: modes and bytes by name.
///
/// # Panics
///
/// At whatever a strict reader stumbles over.
pub fn read(tarball: &[u8]) -> BTreeMap<String, (u64, Vec<u8>)> {
    assert_eq!(tarball.len() % 512, 0);
    let mut found = BTreeMap::new();
    let mut rest = tarball;
    loop {
        let (block, behind) = rest.split_at(512);
        if block.iter().all(|byte| *byte == 0) {
            assert!(
                behind.len() == 512 && behind.iter().all(|byte| *byte == 0),
                "two blocks of zeros, and no more"
            );
            return found;
        }
        let text = |from: usize, length: usize| {
            let field = &block[from..from + length];
            std::str::from_utf8(field.split(|byte| *byte == 0).next().unwrap()).unwrap().to_string()
        };
        let octal = |from: usize, length: usize| u64::from_str_radix(text(from, length).trim(), 8).unwrap();
        let sum: u64 = block
            .iter()
            .enumerate()
            .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u64::from(*byte) })
            .sum();
        assert_eq!(octal(148, 8), sum);
        assert_eq!((&block[257..265], block[156]), (&b"ustar\x0000"[..], b'0'));
        assert_eq!((octal(108, 8), octal(116, 8), octal(136, 12)), (1000, 1000, 0));
        assert!(octal(100, 8) <= 0o7777);
        let (name, prefix) = (text(0, 100), text(345, 155));
        let path = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
        assert!(!path.starts_with('/') && !path.is_empty());
        let size = octal(124, 12) as usize;
        let before = found.insert(path, (octal(100, 8), behind[..size].to_vec()));
        assert_eq!(before, None);
        rest = &behind[size.next_multiple_of(512)..];
    }
}
