//! The libraries that expand a layer: all of it at once, into memory of the right size.

use std::error::Error;
use std::io::Read;

use bench_layout::Compression;
use flate2::bufread::MultiGzDecoder;
use libdeflater::Decompressor;

/// Expands the first into the second, and says how many bytes there were.
type Expand = fn(&[u8], &mut [u8]) -> Result<usize, Box<dyn Error>>;

/// The libraries for a compression, by name.
pub(crate) fn all(compression: Compression) -> Vec<(&'static str, Expand)> {
    match compression {
        Compression::None => vec![],
        Compression::Zstd => vec![("zstd", zstd)],
        Compression::Gzip => vec![
            ("libdeflate", libdeflate),
            ("zlib-rs", zlib_rs),
            #[cfg(feature = "zlib-ng")]
            ("zlib-ng", crate::zlib_ng::expand),
            #[cfg(feature = "isal")]
            ("isa-l", isal),
        ],
    }
}

fn libdeflate(compressed: &[u8], expanded: &mut [u8]) -> Result<usize, Box<dyn Error>> {
    Ok(Decompressor::new().gzip_decompress(compressed, expanded)?)
}

fn zlib_rs(compressed: &[u8], expanded: &mut [u8]) -> Result<usize, Box<dyn Error>> {
    let mut decoder = MultiGzDecoder::new(compressed);
    let mut length = 0;
    loop {
        match decoder.read(&mut expanded[length..])? {
            0 => return Ok(length),
            count => length += count,
        }
    }
}

#[cfg(feature = "isal")]
fn isal(compressed: &[u8], expanded: &mut [u8]) -> Result<usize, Box<dyn Error>> {
    Ok(isal::decompress_into(compressed, expanded, isal::Codec::Gzip)?)
}

fn zstd(compressed: &[u8], expanded: &mut [u8]) -> Result<usize, Box<dyn Error>> {
    Ok(zstd::bulk::decompress_to_buffer(compressed, expanded)?)
}
