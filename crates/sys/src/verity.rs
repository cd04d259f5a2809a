//! fs-verity of a file (`linux/fsverity.h`): the kernel hashes it, and from then on lets nobody read anything else.

use std::io;
use std::os::fd::AsFd;

use rustix::ioctl::{Opcode, Setter, Updater, ioctl, opcode};

/// `struct fsverity_enable_arg`.
#[repr(C)]
struct EnableArg {
    version: u32,
    hash_algorithm: u32,
    block_size: u32,
    salt_size: u32,
    salt_ptr: u64,
    sig_size: u32,
    reserved1: u32,
    sig_ptr: u64,
    reserved2: [u64; 11],
}

/// `struct fsverity_digest`, with room for the longest digest that there is.
#[repr(C)]
struct Digest {
    header: DigestHeader,
    digest: [u8; 64],
}

/// What stands in front of the digest; the number of the call counts no more than this.
#[repr(C)]
struct DigestHeader {
    digest_algorithm: u16,
    digest_size: u16,
}

const _: () = assert!(size_of::<EnableArg>() == 128 && size_of::<DigestHeader>() == 4);

const FS_IOC_ENABLE_VERITY: Opcode = opcode::write::<EnableArg>(b'f', 133);
const FS_IOC_MEASURE_VERITY: Opcode = opcode::read_write::<DigestHeader>(b'f', 134);

/// Enables fs-verity with a hash function (1 SHA-256, 2 SHA-512) over blocks of so many bytes, without salt. The file
/// must be open for reading, and for writing nowhere.
pub fn enable(file: impl AsFd, hash_algorithm: u32, block_size: u32) -> io::Result<()> {
    let argument = EnableArg {
        version: 1,
        hash_algorithm,
        block_size,
        salt_size: 0,
        salt_ptr: 0,
        sig_size: 0,
        reserved1: 0,
        sig_ptr: 0,
        reserved2: [0; 11],
    };
    // SAFETY: the call with this number takes a structure of this kind. It has no pointers in it but two that are
    // null, with lengths of 0.
    let call = unsafe { Setter::<FS_IOC_ENABLE_VERITY, EnableArg>::new(argument) };
    // SAFETY: the call only reads the structure, which lives until it returns.
    unsafe { ioctl(file, call) }.map_err(io::Error::from)
}

/// The hash function and the digest of a file that has fs-verity enabled; `None` for any other, and where there is no
/// fs-verity.
pub fn measure(file: impl AsFd) -> io::Result<Option<(u16, Vec<u8>)>> {
    use rustix::io::Errno;

    let mut found = Digest { header: DigestHeader { digest_algorithm: 0, digest_size: 64 }, digest: [0; 64] };
    // SAFETY: the call with this number takes a header of this kind, behind which it has as much room as that says.
    let call = unsafe { Updater::<FS_IOC_MEASURE_VERITY, Digest>::new(&mut found) };
    // SAFETY: the call writes no more than the header and `digest_size` bytes behind it, all of which are `found`.
    match unsafe { ioctl(file, call) } {
        Ok(()) => {}
        Err(Errno::NODATA | Errno::NOTTY | Errno::OPNOTSUPP) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    let length = usize::from(found.header.digest_size).min(found.digest.len());
    Ok(Some((found.header.digest_algorithm, found.digest[..length].to_vec())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_types, reason = "the calls are made on a file")]
    fn where_there_is_none() {
        let null = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(measure(&null).unwrap(), None);
        assert!(enable(&null, 1, 4096).is_err());
    }
}
