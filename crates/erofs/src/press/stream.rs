//! Zstandard's answer to how much fits: it is given the input piece by piece, each of which it flushes, and what came out
//! tells how long the next one may be. The frame is then ended behind the last piece that fits. So hardly anything is
//! compressed twice.

use zstd::zstd_safe::zstd_sys::ZSTD_EndDirective as Directive;
use zstd::zstd_safe::{CCtx, CParameter, InBuffer, OutBuffer, ResetDirective};

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
const FIRST: f64 = 0.65;
/// As much of what then is thought to fit is each further one.
const FURTHER: f64 = 0.8;
/// Inputs that are this much shorter than what is thought to fit are tried as a whole.
const WHOLE: f64 = 0.7;
/// The smallest window, as a power of two of bytes.
const WINDOW_BITS_MIN: u32 = 14;

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
        // It may well fit.
        let fits = output.len() as f64 * f64::max(1.0, WHOLE * self.ratio);
        let whole = (input.len() as f64 <= fits).then(|| self.whole(input, output)).flatten();
        let whole = whole.map(|made| Fitted { taken: input.len(), made });
        let fitted = whole.or_else(|| {
            let ratios = [self.ratio, RATIO.min(0.7 * self.ratio), 1.6, LEAST];
            ratios.into_iter().find_map(|ratio| self.pieces(input, output, ratio))
        });
        self.ratio = fitted.map_or(RATIO, |Fitted { taken, made }| taken as f64 / made as f64);
        fitted.unwrap_or(Fitted { taken: 0, made: 0 })
    }

    /// Compresses all of `input` into `output`, if it fits, and says to how many bytes.
    pub(super) fn whole(&mut self, input: &[u8], output: &mut [u8]) -> Option<usize> {
        self.start(WINDOW_BITS.into())?;
        self.context.compress2(output, input).ok()
    }

    /// Begins a frame.
    fn start(&mut self, window_bits: u32) -> Option<()> {
        self.context.reset(ResetDirective::SessionOnly).ok()?;
        self.context.set_parameter(CParameter::WindowLog(window_bits)).ok().map(drop)
    }

    /// As many pieces as fit, if they can be compressed as well as `ratio` says.
    fn pieces(&mut self, input: &[u8], output: &mut [u8], mut ratio: f64) -> Option<Fitted> {
        // The frame becomes longer by its contents' length.
        let room = output.len().checked_sub(LENGTH)?;
        // So much at the end is not worth another piece, which has costs of its own.
        let rest = 200 + room / 128;
        // A window of no more than there will be makes smaller tables.
        let expected = (room as f64 * ratio * 1.3) as usize;
        self.start((usize::BITS - expected.leading_zeros()).clamp(WINDOW_BITS_MIN, WINDOW_BITS.into()))?;
        self.frame.resize(room, 0);
        let (mut taken, mut made, mut is_ended) = (0, 0, false);
        while !is_ended && (made == 0 || room - made >= rest) {
            let share = if made == 0 { FIRST } else { FURTHER };
            let piece = ((room - made) as f64 * ratio * share) as usize;
            let piece = &input[taken..][..piece.clamp(1, input.len() - taken)];
            let is_last = taken + piece.len() == input.len();
            let Some(length) = self.piece(piece, made, is_last) else { break };
            taken += piece.len();
            made += length;
            is_ended = is_last;
            ratio = f64::min(piece.len() as f64 / length as f64, taken as f64 / made as f64);
        }
        if taken == 0 {
            return None;
        }
        if !is_ended {
            self.frame[made..made + END.len()].copy_from_slice(&END);
            made += END.len();
        }
        // What was given as a whole has its length already.
        let (header, blocks) = self.frame[..made].split_at_checked(HEADER)?;
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

    /// Appends a piece to the first `made` bytes of the frame, and says how long it became; `None` if it does not fit with
    /// what has to follow.
    fn piece(&mut self, piece: &[u8], made: usize, is_last: bool) -> Option<usize> {
        let spare = if is_last { 0 } else { END.len() };
        let end = self.frame.len() - spare;
        let mut input = InBuffer::around(piece);
        let mut output = OutBuffer::around(self.frame.get_mut(made..end)?);
        let directive = if is_last { Directive::ZSTD_e_end } else { Directive::ZSTD_e_flush };
        let left = self.context.compress_stream2(&mut output, &mut input, directive).ok()?;
        (left == 0 && input.pos() == piece.len()).then(|| output.pos())
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
                assert_eq!(zstd::zstd_safe::get_frame_content_size(frame).ok(), Some(Some(taken as u64)));
                assert!(zstd::bulk::decompress(frame, taken).unwrap() == rest[..taken]);
                (rest, clusters, filled) = (&rest[taken..], clusters + 1, filled + made);
            }
            assert!(filled > clusters * room * 4 / 5, "{room}: {clusters} have {filled}");
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
