//! What the kernel is asked for: `fsopen(2)` and its kin, and loop devices.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, fsconfig_create, fsconfig_set_fd,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount,
};

use crate::Error;

/// How often a loop device is asked for, each time that somebody else was faster.
const LOOP_TRIES: usize = 16;

/// Bytes of a block, as composefs images have them.
const BLOCK: u32 = 4096;

/// A filesystem that is being set up.
pub(super) struct Filesystem(OwnedFd);

impl Filesystem {
    pub(super) fn open(kind: &str) -> Result<Filesystem, Error> {
        let opened = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC);
        let step = if kind == "erofs" { "EROFS" } else { "overlayfs" };
        opened.map(Filesystem).map_err(|error| Error::Mount {
            step,
            said: String::new(),
            source: error.into(),
        })
    }

    pub(super) fn flag(&self, name: &str) -> Result<(), Error> {
        fsconfig_set_flag(&self.0, name).map_err(|error| self.failure("an option", error))
    }

    pub(super) fn set(&self, name: &str, value: &str) -> Result<(), Error> {
        fsconfig_set_string(&self.0, name, value).map_err(|error| self.failure("an option", error))
    }

    pub(super) fn set_descriptor(&self, name: &str, value: &impl AsFd) -> Result<(), Error> {
        fsconfig_set_fd(&self.0, name, value).map_err(|error| self.failure("a layer", error))
    }

    /// Makes the filesystem, mounted nowhere.
    pub(super) fn mount(self, attributes: MountAttrFlags) -> Result<OwnedFd, Error> {
        fsconfig_create(&self.0).map_err(|error| self.failure("the filesystem", error))?;
        fsmount(&self.0, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
            .map_err(|error| self.failure("the mount", error))
    }

    /// What went wrong, with what the filesystem says of it: one message a read, `e ` in front of an error.
    fn failure(&self, step: &'static str, error: Errno) -> Error {
        let (mut said, mut buffer) = (Vec::new(), [0; 1024]);
        while let Ok(count) = rustix::io::read(&self.0, &mut buffer[..]) {
            if count == 0 {
                break;
            }
            let message = String::from_utf8_lossy(&buffer[..count]);
            let message = message.trim();
            said.push(message.get(2..).unwrap_or(message).to_owned());
        }
        Error::Mount { step, said: said.join("; "), source: error.into() }
    }
}

/// Gives a mount a place.
pub(super) fn attach(mount: &impl AsFd, point: &Path) -> Result<(), Error> {
    move_mount(mount, "", rustix::fs::CWD, point, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .map_err(Error::io("mount on", point))
}

/// A path to what is open.
pub(super) fn path_of(open: &impl AsFd) -> String {
    format!("/proc/self/fd/{}", open.as_fd().as_raw_fd())
}

/// A loop device that shows the file until it is closed and mounted no more, and its path.
pub(super) fn loop_device(file: &File) -> Result<(File, String), Error> {
    let failure =
        |error: io::Error| Error::Mount { step: "a loop device", said: String::new(), source: error };
    let control = Path::new("/dev/loop-control");
    let control = File::options().read(true).write(true).open(control).map_err(failure)?;
    let mut tries = 0;
    loop {
        let path = format!("/dev/loop{}", sys::loops::free(&control).map_err(failure)?);
        let device = File::options().read(true).write(true).open(&path).map_err(failure)?;
        match sys::loops::show(&device, file, BLOCK) {
            Ok(()) => return Ok((device, path)),
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && tries < LOOP_TRIES => tries += 1,
            Err(error) => return Err(failure(error)),
        }
    }
}
