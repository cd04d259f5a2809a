//! Loop devices (`linux/loop.h`): a file as a block device, for kernels that mount nothing else.

use std::ffi::{c_int, c_void};
use std::io;
use std::os::fd::{AsFd, AsRawFd};

use rustix::ioctl::{Ioctl, IoctlOutput, Opcode, Setter, ioctl};

/// `struct loop_config`.
#[repr(C)]
struct Config {
    fd: u32,
    block_size: u32,
    info: Info,
    reserved: [u64; 8],
}

/// `struct loop_info64`.
#[repr(C)]
struct Info {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    sizelimit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

const _: () = assert!(size_of::<Info>() == 232 && size_of::<Config>() == 304);

const LOOP_CONFIGURE: Opcode = 0x4c0a;
const LOOP_CTL_GET_FREE: Opcode = 0x4c82;

const LO_FLAGS_READ_ONLY: u32 = 1;
/// The device lets go of the file as soon as nobody uses it.
const LO_FLAGS_AUTOCLEAR: u32 = 4;

/// The call that answers with the number of a device.
struct GetFree;

// SAFETY: the call takes no argument, so nothing is read or written behind the null pointer; its result is the number
// that it returns.
unsafe impl Ioctl for GetFree {
    type Output = c_int;

    const IS_MUTATING: bool = false;

    fn opcode(&self) -> Opcode {
        LOOP_CTL_GET_FREE
    }

    fn as_ptr(&mut self) -> *mut c_void {
        std::ptr::null_mut()
    }

    unsafe fn output_from_ptr(out: IoctlOutput, _: *mut c_void) -> rustix::io::Result<c_int> {
        Ok(out)
    }
}

/// The number of a device that is free, which is made if there is none. `control` is `/dev/loop-control`. Somebody else
/// may take it before its caller does.
pub fn free(control: impl AsFd) -> io::Result<u32> {
    // SAFETY: the call touches no memory of the program.
    let number = unsafe { ioctl(control, GetFree) }?;
    u32::try_from(number).map_err(|_| io::Error::other("no number of a loop device"))
}

/// Lets a device show a file, read-only, until the last user of the device has closed it. Fails with `ResourceBusy` if
/// it shows another one already.
pub fn show(device: impl AsFd, file: impl AsFd, block_size: u32) -> io::Result<()> {
    let info = Info {
        device: 0,
        inode: 0,
        rdevice: 0,
        offset: 0,
        sizelimit: 0,
        number: 0,
        encrypt_type: 0,
        encrypt_key_size: 0,
        flags: LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR,
        file_name: [0; 64],
        crypt_name: [0; 64],
        encrypt_key: [0; 32],
        init: [0; 2],
    };
    let file = file.as_fd();
    let fd = u32::try_from(file.as_raw_fd()).map_err(|_| io::Error::other("no open file"))?;
    let config = Config { fd, block_size, info, reserved: [0; 8] };
    // SAFETY: the call with this number takes a structure of this kind, without pointers. The descriptor in it is
    // open, since it is borrowed.
    let call = unsafe { Setter::<LOOP_CONFIGURE, Config>::new(config) };
    // SAFETY: the call only reads the structure, which lives until it returns.
    unsafe { ioctl(device, call) }.map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_types, reason = "the calls are made on a file")]
    fn what_is_no_loop_device() {
        let null = std::fs::File::open("/dev/null").unwrap();
        assert!(free(&null).is_err());
        assert!(show(&null, &null, 4096).is_err());
    }
}
