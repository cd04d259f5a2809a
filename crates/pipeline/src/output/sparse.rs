//! Writing bytes of which many are zeros, where a hole does as well.

use std::fs::File;
use std::io;

use host::FileExt;
use tree::BLOCK;

/// Writes into a file that is all zeros there. Holes stay where the bytes are zeros. `offset` is that of a block.
pub(crate) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    // Blocks that are not zero and lie behind one another go out together.
    let mut run: Option<usize> = None;
    for (number, block) in bytes.chunks(BLOCK as usize).enumerate() {
        let start = number * BLOCK as usize;
        match (run, is_zero(block)) {
            (Some(from), true) => {
                file.write_all_at(&bytes[from..start], offset + from as u64)?;
                run = None;
            }
            (None, false) => run = Some(start),
            (None, true) | (Some(_), false) => {}
        }
    }
    run.map_or(Ok(()), |from| file.write_all_at(&bytes[from..], offset + from as u64))
}

/// Whether all bytes are zeros.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    // In pieces without a way out of them, which the compiler makes wide.
    bytes.chunks(64).all(|piece| piece.iter().fold(0, |all, byte| all | byte) == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_zero() {
        for length in [0, 1, 15, 16, 17, 4096] {
            let mut bytes = vec![0; length];
            assert!(is_zero(&bytes));
            for at in [0, length / 2, length.saturating_sub(1)].into_iter().filter(|at| *at < length) {
                bytes[at] = 1;
                assert!(!is_zero(&bytes), "{length} {at}");
                bytes[at] = 0;
            }
        }
    }
}
