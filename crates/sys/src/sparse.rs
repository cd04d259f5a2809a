//! Files with holes on Windows, where each has to be made one that may have some.

use std::io;
use std::os::windows::io::{AsHandle, AsRawHandle as _};
use std::ptr;

use windows_sys::Win32::System::IO::DeviceIoControl;
use windows_sys::Win32::System::Ioctl::FSCTL_SET_SPARSE;

/// Lets an open file take room only for what is written.
///
/// # Errors
///
/// What the system says, of filesystems that have no holes for one.
pub fn allow(file: impl AsHandle) -> io::Result<()> {
    let handle = file.as_handle().as_raw_handle();
    let mut count = 0;
    // SAFETY: the handle is open until this returns. The request takes nothing and answers nothing, so that both places
    // may be null; `count` is what is written to.
    let done = unsafe {
        DeviceIoControl(
            handle,
            FSCTL_SET_SPARSE,
            ptr::null(),
            0,
            ptr::null_mut(),
            0,
            &mut count,
            ptr::null_mut(),
        )
    };
    if done == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
