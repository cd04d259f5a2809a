//! zlib-ng through its C interface.

use std::error::Error;
use std::ffi::c_int;
use std::mem::MaybeUninit;

use libz_ng_sys as sys;

/// A window of 32 KiB, in a gzip member.
const GZIP: c_int = 15 + 16;

/// Expands the first into the second, and says how many bytes there were.
#[allow(unsafe_code, reason = "there is no other way to zlib-ng beside another flate2")]
pub(crate) fn expand(compressed: &[u8], expanded: &mut [u8]) -> Result<usize, Box<dyn Error>> {
    let mut stream = MaybeUninit::<sys::z_stream>::zeroed();
    let size = size_of::<sys::z_stream>() as c_int;
    // SAFETY: zeros are what zlib wants to find in a stream; both slices outlive the calls, and their lengths
    // are what the stream is told.
    unsafe {
        let stream = stream.as_mut_ptr();
        (*stream).next_in = compressed.as_ptr().cast_mut();
        (*stream).avail_in = compressed.len().try_into()?;
        (*stream).next_out = expanded.as_mut_ptr();
        (*stream).avail_out = expanded.len().try_into()?;
        let version = sys::zlibVersion();
        if sys::inflateInit2_(stream, GZIP, version, size) != sys::Z_OK {
            return Err("zlib-ng does not start".into());
        }
        let end = sys::inflate(stream, sys::Z_FINISH);
        let length = (*stream).total_out;
        sys::inflateEnd(stream);
        if end == sys::Z_STREAM_END { Ok(length.try_into()?) } else { Err(format!("zlib-ng: {end}").into()) }
    }
}
