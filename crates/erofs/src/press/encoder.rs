//! The algorithms, each as one question: how much of these bytes fits there?

use libdeflater::{CompressionLvl, Compressor};
pub(super) use sys::lz4::Fitted;
use sys::lz4::{self, High};

use super::stream::Stream;
use crate::Algorithm;
use crate::press::BLOCK;

/// Compresses beginnings of inputs to a given length.
pub(crate) enum Encoder {
    Lz4,
    Lz4hc(High),
    Deflate(Guess),
    Zstd(Stream),
}

impl Encoder {
    pub(crate) fn new(algorithm: Algorithm) -> Encoder {
        match algorithm {
            Algorithm::Lz4 => Encoder::Lz4,
            Algorithm::Lz4hc(level) => Encoder::Lz4hc(High::new(level)),
            Algorithm::Deflate(level) => Encoder::Deflate(Guess::new(level)),
            Algorithm::Zstd(level) => Encoder::Zstd(Stream::new(level)),
        }
    }

    /// Forgets what it learnt: what comes now has nothing to do with what came before.
    pub(crate) fn begin(&mut self) {
        match self {
            Encoder::Lz4 | Encoder::Lz4hc(_) => {}
            Encoder::Deflate(guess) => guess.ratio = RATIO,
            Encoder::Zstd(stream) => stream.begin(),
        }
    }

    /// Compresses a beginning of `input` into `output`, as much as it can; nothing if nothing fits.
    pub(crate) fn fit(&mut self, input: &[u8], output: &mut [u8]) -> Fitted {
        match self {
            Encoder::Lz4 => lz4::fit(input, output),
            Encoder::Lz4hc(high) => high.fit(input, output),
            Encoder::Deflate(guess) => guess.fit(input, output),
            Encoder::Zstd(stream) => stream.fit(input, output),
        }
    }

    /// How many bytes compressing once more has to save where that came to so many. LZ4 takes little for it, and LZ4HC is
    /// there to save what can be saved.
    pub(crate) fn worth_another(&self, made: usize) -> usize {
        match self {
            Encoder::Lz4 | Encoder::Lz4hc(_) => 0,
            Encoder::Deflate(_) | Encoder::Zstd(_) => made / 6,
        }
    }

    /// Compresses all of `input` into `output`, if it fits, and says to how many bytes.
    pub(crate) fn whole(&mut self, input: &[u8], output: &mut [u8]) -> Option<usize> {
        match self {
            Encoder::Lz4 | Encoder::Lz4hc(_) => {
                let Fitted { taken, made } = self.fit(input, output);
                (taken == input.len()).then_some(made)
            }
            Encoder::Deflate(guess) => deflate(&mut guess.compressor, input, output),
            Encoder::Zstd(stream) => stream.whole(input, output),
        }
    }
}

/// How many times its length an input is thought to be compressed before any was.
pub(super) const RATIO: f64 = 2.5;
/// A guess is so much smaller than what would fit exactly.
const MARGIN: f64 = 0.97;
/// Fewer bytes than this at the end of a block are not worth another try, which costs as much as the first: with half a
/// block, half of all clusters are tried again, and what is left empty is one byte in a hundred.
const SLACK: usize = BLOCK / 2;
/// What can be compressed less than this is left as it is.
pub(super) const LEAST: f64 = 1.12;

/// Fits by guessing, for DEFLATE, whose library only compresses all that it is given: how well the last input could be
/// compressed tells how much of the next one fits.
pub(crate) struct Guess {
    compressor: Compressor,
    ratio: f64,
    /// For a second try.
    other: Vec<u8>,
}

impl Guess {
    fn new(level: u8) -> Guess {
        let compressor = Compressor::new(CompressionLvl::new(level.into()).unwrap_or_default());
        Guess { compressor, ratio: RATIO, other: Vec::new() }
    }

    fn fit(&mut self, input: &[u8], output: &mut [u8]) -> Fitted {
        let room = output.len();
        // What comes may be quite different from what came.
        for ratio in [self.ratio, RATIO.min(0.7 * self.ratio), 1.6, LEAST] {
            let guess = (room as f64 * ratio * MARGIN) as usize;
            let taken = guess.max(room).min(input.len());
            if let Some(made) = deflate(&mut self.compressor, &input[..taken], output) {
                let first = Fitted { taken, made };
                self.ratio = taken as f64 / made as f64;
                return self.fill(input, first, output);
            }
        }
        self.ratio = RATIO;
        Fitted { taken: 0, made: 0 }
    }

    /// Tries to fill the last block of what was made, too.
    fn fill(&mut self, input: &[u8], first: Fitted, output: &mut [u8]) -> Fitted {
        let room = first.made.next_multiple_of(BLOCK).min(output.len());
        let left = room - first.made;
        let more = (left as f64 * self.ratio * MARGIN) as usize;
        let taken = (first.taken + more).min(input.len());
        if left < SLACK || taken == first.taken {
            return first;
        }
        self.other.resize(room, 0);
        match deflate(&mut self.compressor, &input[..taken], &mut self.other) {
            Some(made) => {
                output[..made].copy_from_slice(&self.other[..made]);
                Fitted { taken, made }
            }
            None => first,
        }
    }
}

/// Compresses all that it is given, or nothing.
fn deflate(compressor: &mut Compressor, input: &[u8], output: &mut [u8]) -> Option<usize> {
    let made = compressor.deflate_compress(input, output).ok()?;
    // Readers skip zeros before the first byte. That is zero if it begins a block that is stored and not the last; the
    // bits behind these three mean nothing then (RFC 1951, 3.2.4).
    if output.first() == Some(&0) {
        output[0] = 0x80;
    }
    Some(made)
}
