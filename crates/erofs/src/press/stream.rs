//! Zstandard's answer to how much fits: it is given the input piece by piece, each of which it flushes, and what came out
//! tells how long the next one may be. The frame is then ended behind the last piece that fits. So hardly anything is
//! compressed twice.

use std::ops::Range;

use zstd::zstd_safe::zstd_sys::ZSTD_EndDirective as Directive;
use zstd::zstd_safe::{self, CCtx, CParameter, InBuffer, OutBuffer, ResetDirective};

use super::encoder::{Fitted, LEAST, RATIO};
use crate::press::WINDOW_BITS;

/// What a frame of unknown length begins with: magic number, descriptor, window (RFC 8878, 3.1.1.1).
const HEADER: usize = 6;
/// The bit of the descriptor by which the length of the contents follows in [`LENGTH`] bytes.
const HAS_LENGTH: u8 = 0x80;
const LENGTH: usize = 4;
/// An empty block that is the last one.
const END: [u8; 3] = [1, 0, 0];

/// The first piece is as much of what is thought to fit; it may be quite different from what came before.
const FIRST: f64 = 0.75;
/// As much of what then is thought to fit is each further one.
const FURTHER: f64 = 0.8;
/// Inputs that are this much shorter than what is thought to fit are tried as a whole.
const WHOLE: f64 = 0.7;
/// What can be compressed less than this is not tried in smaller parts.
const NOISE: f64 = 1.02;
/// The smallest window, as a power of two of bytes.
const WINDOW_BITS_MIN: u32 = 14;
/// How much more than what is thought to fit may come.
const EXPECTED: f64 = 1.3;

/// Compresses beginnings of inputs to a given length.
pub(super) struct Stream {
    context: CCtx<'static>,
    /// How many times its length the last input was compressed.
    ratio: f64,
    /// A frame that is being made.
    frame: Vec<u8>,
}

impl Stream {
    pub(super) fn new(level: u8) -> Stream {
        let mut context = CCtx::create();
        for parameter in [
            CParameter::CompressionLevel(level.into()),
            CParameter::ChecksumFlag(false),
            CParameter::ContentSizeFlag(true),
        ] {
            context.set_parameter(parameter).expect("zstd has these parameters");
        }
        Stream { context, ratio: RATIO, frame: Vec::new() }
    }

    /// Forgets what it learnt.
    pub(super) fn begin(&mut self) {
        self.ratio = RATIO;
    }

    /// Compresses a beginning of `input` into `output`, as much as it can; nothing if nothing fits.
    pub(super) fn fit(&mut self, input: &[u8], output: &mut [u8]) -> Fitted {
        let fitted = self.try_to_fit(input, output);
        self.ratio = fitted.map_or(RATIO, |Fitted { taken, made }| taken as f64 / made as f64);
        fitted.unwrap_or(Fitted { taken: 0, made: 0 })
    }

    fn try_to_fit(&mut self, input: &[u8], output: &mut [u8]) -> Option<Fitted> {
        let mut ratio = self.ratio;
        // It may well fit.
        if input.len() as f64 <= output.len() as f64 * f64::max(1.0, WHOLE * ratio) {
            if let Some(made) = self.whole(input, output) {
                return Some(Fitted { taken: input.len(), made });
            }
            ratio = ratio.min(input.len() as f64 / output.len() as f64);
        }
        loop {
            let is_least = ratio <= LEAST;
            match self.pieces(input, output.len(), ratio.max(LEAST))? {
                Ok(frame) => return self.finish(frame, output),
                Err(found) if is_least || found < NOISE => return None,
                Err(found) => ratio = found,
            }
        }
    }

    /// Compresses all of `input` into `output`, if it fits, and says to how many bytes.
    pub(super) fn whole(&mut self, input: &[u8], output: &mut [u8]) -> Option<usize> {
        self.start(input.len())?;
        self.context.compress2(output, input).ok()
    }

    /// Begins a frame that holds about so many bytes: a window of no more makes smaller tables.
    fn start(&mut self, expected: usize) -> Option<()> {
        let window_bits = (usize::BITS - expected.leading_zeros()).clamp(WINDOW_BITS_MIN, WINDOW_BITS.into());
        self.context.reset(ResetDirective::SessionOnly).ok()?;
        self.context.set_parameter(CParameter::WindowLog(window_bits)).ok().map(drop)
    }

    /// Makes a frame of as many pieces as fit, if they can be compressed as well as `ratio` says. If not even the first one
    /// fits, says how well that one can be compressed. `None` if there is no room for anything.
    fn pieces(&mut self, input: &[u8], room: usize, mut ratio: f64) -> Option<Result<Fitted, f64>> {
        // The frame becomes longer by its contents' length.
        let room = room.checked_sub(LENGTH + END.len())?;
        // So much at the end is not worth another piece, which has costs of its own.
        let rest = 200 + room / 128;
        self.start((room as f64 * ratio * EXPECTED) as usize)?;
        let (mut taken, mut made, mut is_ended) = (0, 0, false);
        while !is_ended && (made == 0 || room - made >= rest) {
            let share = if made == 0 { FIRST } else { FURTHER };
            let piece = ((room - made) as f64 * ratio * share) as usize;
            let piece = &input[taken..][..piece.clamp(1, input.len() - taken)];
            let is_last = taken + piece.len() == input.len();
            // How long the first one becomes is to be known in any case.
            let end = if made == 0 { room + zstd_safe::compress_bound(piece.len()) } else { room };
            let Some(length) = self.piece(piece, made..end, is_last) else { break };
            let found = piece.len() as f64 / length as f64;
            if made + length > room {
                return Some(Err(found));
            }
            taken += piece.len();
            made += length;
            is_ended = is_last;
            ratio = f64::min(found, taken as f64 / made as f64);
        }
        if !is_ended {
            self.frame[made..made + END.len()].copy_from_slice(&END);
            made += END.len();
        }
        (taken > 0).then_some(Ok(Fitted { taken, made }))
    }

    /// Appends a piece to the frame, where there is room for it, and says how long it became; `None` if it does not fit.
    fn piece(&mut self, piece: &[u8], room: Range<usize>, is_last: bool) -> Option<usize> {
        if self.frame.len() < room.end + END.len() {
            self.frame.resize(room.end + END.len(), 0);
        }
        let mut input = InBuffer::around(piece);
        let mut output = OutBuffer::around(&mut self.frame[room]);
        let directive = if is_last { Directive::ZSTD_e_end } else { Directive::ZSTD_e_flush };
        let left = self.context.compress_stream2(&mut output, &mut input, directive).ok()?;
        (left == 0 && input.pos() == piece.len()).then(|| output.pos())
    }

    /// Puts the frame into `output`, with the length of its contents, by which kernels know that it is complete.
    fn finish(&self, Fitted { taken, made }: Fitted, output: &mut [u8]) -> Option<Fitted> {
        let (header, blocks) = self.frame[..made].split_at_checked(HEADER)?;
        // What was given as a whole has it already.
        if header[4] != 0 {
            output[..made].copy_from_slice(&self.frame[..made]);
            return Some(Fitted { taken, made });
        }
        let length = u32::try_from(taken).ok()?.to_le_bytes();
        let header = [&header[..4], &[HAS_LENGTH], &header[5..], &length].concat();
        output[..header.len()].copy_from_slice(&header);
        output[header.len()..made + LENGTH].copy_from_slice(blocks);
        Some(Fitted { taken, made: made + LENGTH })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words of which no two stretches are alike, and some of noise.
    fn input(length: usize) -> Vec<u8> {
        let (mut state, mut bytes) = (1u64, Vec::new());
        while bytes.len() < length {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            match (bytes.len() / 50_000) % 3 {
                0 => bytes.extend(format!("{} is a word, ", state >> 54).into_bytes()),
                1 => bytes.extend([(state >> 60) as u8; 3]),
                _ => bytes.extend((state >> 20).to_le_bytes()),
            }
        }
        bytes
    }

    #[test]
    fn clusters_are_full() {
        let input = input(2 << 20);
        let mut stream = Stream::new(3);
        for room in [3584, 4096, 65_536, 131_072] {
            let (mut output, mut rest, mut clusters, mut filled) = (vec![0; room], &input[..], 0, 0);
            while rest.len() > 4 * room {
                let Fitted { taken, made } = stream.fit(rest, &mut output);
                assert!(made <= room && taken > 0, "{room}: {taken} in {made}");
                let frame = &output[..made];
                assert_eq!(zstd_safe::get_frame_content_size(frame).ok(), Some(Some(taken as u64)));
                assert!(zstd::bulk::decompress(frame, taken).unwrap() == rest[..taken]);
                (rest, clusters, filled) = (&rest[taken..], clusters + 1, filled + made);
            }
            assert!(filled > clusters * room * 4 / 5, "{room}: {clusters} have {filled}");
        }
    }

    #[test]
    fn what_does_not_fit_says_how_well_it_can_be_compressed() {
        let (mut stream, mut output) = (Stream::new(3), [0; 4096]);
        let (mut state, words) = (1u64, input(50_000));
        let noise = std::iter::repeat_with(|| {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            (state >> 56) as u8
        });
        let noise: Vec<u8> = noise.take(50_000).collect();
        for (input, thought, can, fits) in
            [(&words, 20.0, 2.0..12.0, 3500..4097), (&noise, 2.0, 0.9..NOISE, 0..1)]
        {
            let found = stream.pieces(input, output.len(), thought).unwrap().unwrap_err();
            assert!(can.contains(&found), "{found}");
            // Once that is known, as much as fits is found, or it is given up.
            stream.ratio = thought;
            let Fitted { made, .. } = stream.fit(input, &mut output);
            assert!(fits.contains(&made), "{made}");
        }
    }

    #[test]
    fn little_and_nothing() {
        let mut stream = Stream::new(3);
        for (length, room) in [(0, 100), (1, 100), (1, 4), (1000, 3), (1000, 12), (100_000, 20)] {
            let input = input(length)[..length].to_vec();
            let mut output = vec![0; room];
            let Fitted { taken, made } = stream.fit(&input, &mut output);
            assert!(made <= room && taken <= length);
            assert!(made == 0 || zstd::bulk::decompress(&output[..made], length).unwrap() == input[..taken]);
        }
    }
}
