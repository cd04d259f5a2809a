//! LZ4 blocks of a given length: as much of the input as fits.

use std::ffi::{c_char, c_int, c_void};

// For its library, which it builds and links; it does not declare what is called here.
use lz4_sys as _;

unsafe extern "C" {
    /// `lz4.h`: takes as many of `*src_size` bytes as fit, and says there how many it took.
    fn LZ4_compress_destSize(
        src: *const c_char,
        dst: *mut c_char,
        src_size: *mut c_int,
        target_dst_size: c_int,
    ) -> c_int;

    /// `lz4hc.h`: the same, with a state of [`LZ4_sizeofStateHC`] bytes, aligned to 8.
    fn LZ4_compress_HC_destSize(
        state: *mut c_void,
        src: *const c_char,
        dst: *mut c_char,
        src_size: *mut c_int,
        target_dst_size: c_int,
        level: c_int,
    ) -> c_int;

    fn LZ4_sizeofStateHC() -> c_int;
}

/// Most bytes of an input that are looked at (`LZ4_MAX_INPUT_SIZE`).
const INPUT_MAX: usize = 0x7e00_0000;

/// What was made of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fitted {
    /// Bytes of the input, from its start, that are in the output.
    pub taken: usize,
    /// Bytes of the output.
    pub made: usize,
}

impl Fitted {
    const NOTHING: Fitted = Fitted { taken: 0, made: 0 };

    /// Takes what the library says at its word only as far as it is possible.
    fn new(taken: c_int, made: c_int, input: &[u8], output: &[u8]) -> Fitted {
        match (usize::try_from(taken), usize::try_from(made)) {
            (Ok(taken), Ok(made)) if made > 0 && taken <= input.len() && made <= output.len() => {
                Fitted { taken, made }
            }
            _ => Fitted::NOTHING,
        }
    }
}

/// The length of a buffer as the library takes it.
fn length(bytes: &[u8]) -> c_int {
    bytes.len().min(INPUT_MAX) as c_int
}

/// Compresses as much of `input` as fits into `output`, quickly.
pub fn fit(input: &[u8], output: &mut [u8]) -> Fitted {
    if input.is_empty() || output.is_empty() {
        return Fitted::NOTHING;
    }
    let mut taken = length(input);
    // SAFETY: `input` can be read and `output` written for the lengths that are said, which are neither negative nor
    // longer than they are; they do not overlap, since one is borrowed mutably.
    let made = unsafe {
        LZ4_compress_destSize(
            input.as_ptr().cast(),
            output.as_mut_ptr().cast(),
            &raw mut taken,
            length(output),
        )
    };
    Fitted::new(taken, made, input, output)
}

/// Compresses slowly and well.
pub struct High {
    /// `u64` for its alignment.
    state: Box<[u64]>,
    level: c_int,
}

impl High {
    /// Levels that there are.
    pub const LEVELS: std::ops::RangeInclusive<u8> = 1..=12;

    /// Compresses at a level, or at the nearest that there is.
    pub fn new(level: u8) -> High {
        // SAFETY: it takes nothing, and only says a number.
        let bytes = unsafe { LZ4_sizeofStateHC() };
        let words = usize::try_from(bytes).unwrap_or_default().div_ceil(size_of::<u64>());
        let level = level.clamp(*High::LEVELS.start(), *High::LEVELS.end());
        High { state: vec![0; words].into(), level: level.into() }
    }

    /// Compresses as much of `input` as fits into `output`.
    pub fn fit(&mut self, input: &[u8], output: &mut [u8]) -> Fitted {
        if input.is_empty() || output.is_empty() {
            return Fitted::NOTHING;
        }
        let mut taken = length(input);
        // SAFETY: as for `fit`; the state has the length and the alignment that the library wants, is initialised by
        // it at each call, and is lent to nobody else.
        let made = unsafe {
            LZ4_compress_HC_destSize(
                self.state.as_mut_ptr().cast(),
                input.as_ptr().cast(),
                output.as_mut_ptr().cast(),
                &raw mut taken,
                length(output),
                self.level,
            )
        };
        Fitted::new(taken, made, input, output)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What another implementation expands it to.
    fn check(fitted: Fitted, input: &[u8], output: &[u8]) {
        assert!(fitted.taken <= input.len() && fitted.made <= output.len());
        if fitted != Fitted::NOTHING {
            let expanded = lz4_flex::block::decompress(&output[..fitted.made], fitted.taken).unwrap();
            assert_eq!(expanded, &input[..fitted.taken]);
        }
    }

    #[test]
    fn as_much_as_fits() {
        let input: Vec<u8> = (0..200_000u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
        for room in [0, 1, 2, 16, 100, 4096, 65_536] {
            let mut output = vec![0; room];
            let fitted = fit(&input, &mut output);
            check(fitted, &input, &output);
            let high = High::new(12).fit(&input, &mut output);
            check(high, &input, &output);
            assert!(high.taken >= fitted.taken, "{room}");
            if room >= 4096 {
                assert!(fitted.taken > 2 * room && fitted.made > room - 16, "{room}: {fitted:?}");
            }
        }
        assert_eq!(fit(b"", &mut [0; 10]), Fitted::NOTHING);
    }

    proptest! {
        #[test]
        fn whatever_it_is_given(
            input in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..9000),
                proptest::collection::vec(0u8..2, 0..9000),
            ],
            room in 0usize..9000,
            level in any::<u8>(),
        ) {
            let mut output = vec![0; room];
            check(fit(&input, &mut output), &input, &output);
            let mut high = High::new(level);
            for _ in 0..2 {
                check(high.fit(&input, &mut output), &input, &output);
            }
        }
    }
}
