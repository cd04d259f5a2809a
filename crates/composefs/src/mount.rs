//! Mounting an image: an EROFS filesystem has the names, and overlayfs finds the bytes of files among the objects. Takes
//! the right to mount; umount(8) ends it.

mod kernel;
mod ways;

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use hash::FileDigest;
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, UnmountFlags, unmount};

use crate::{Error, Repository, Security};
use kernel::Filesystem;
pub use ways::{MountOptions, Way};

impl Repository {
    /// Mounts an image on the directory `point`, read-only. Says in which way.
    pub fn mount(&self, image: &FileDigest, point: &Path, options: &MountOptions) -> Result<Way, Error> {
        let found = self.measure(image)?;
        if found != *image {
            return Err(Error::Object { expected: *image, found });
        }
        // Nobody is to change it later, either.
        if self.security() == Security::Verity && self.demanded(image)? != Some(*image) {
            return Err(Error::NoVerity(self.root.clone()));
        }
        let file = self.open_object(image)?;
        let objects = self.root.join("objects");
        let objects = File::open(&objects).map_err(Error::io("open", &objects))?;
        let ways = match options.way {
            Some(way) => vec![way],
            None => vec![Way::Detached, Way::File, Way::Loop],
        };
        let mut failure = None;
        for way in ways {
            match self.assemble(way, image, &file, &objects, options) {
                Ok(mount) => {
                    kernel::attach(&mount, point)?;
                    return Ok(way);
                }
                Err(error) => {
                    let refused = matches!(&error, Error::Mount { source, .. } if is_refusal(source));
                    failure = Some(error);
                    if refused {
                        break;
                    }
                }
            }
        }
        Err(failure.expect("there is at least one way"))
    }

    /// The mount, which has no place yet.
    fn assemble(
        &self,
        way: Way,
        image: &FileDigest,
        file: &File,
        objects: &File,
        options: &MountOptions,
    ) -> Result<OwnedFd, Error> {
        let device;
        let source = match way {
            Way::Loop => {
                device = kernel::loop_device(file)?;
                &device.1
            }
            Way::Detached | Way::File => &kernel::path_of(file),
        };
        let erofs = Filesystem::open("erofs")?;
        erofs.flag("ro")?;
        erofs.set("source", source)?;
        let names = erofs.mount(MountAttrFlags::MOUNT_ATTR_RDONLY)?;

        let overlay = Filesystem::open("overlay")?;
        overlay.set("source", &format!("composefs:{}", image.hex()))?;
        overlay.set("metacopy", "on")?;
        overlay.set("redirect_dir", "on")?;
        if self.security() == Security::Verity {
            overlay.set("verity", "require")?;
        }
        let attached;
        match way {
            Way::Detached => {
                overlay.set_descriptor("lowerdir+", &names)?;
                overlay.set_descriptor("datadir+", objects)?;
            }
            Way::File | Way::Loop => {
                attached = Attached::new(&names)?;
                let layers = [kernel::path_of(&attached.root), kernel::path_of(objects)];
                overlay.set("lowerdir", &layers.join("::"))?;
            }
        }
        let mut attributes = MountAttrFlags::MOUNT_ATTR_RDONLY;
        if !options.trusted {
            attributes |= MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
        }
        overlay.mount(attributes)
    }
}

/// Whether another way would fail in the same way.
fn is_refusal(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::PERM | Errno::ACCESS | Errno::NODEV))
}

/// A filesystem that has a place until this is dropped; overlayfs keeps its layers without one.
struct Attached {
    place: PathBuf,
    root: OwnedFd,
}

impl Attached {
    fn new(mount: &impl AsFd) -> Result<Attached, Error> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("unlade-mount-{}-{number}", std::process::id());
        let place = std::env::temp_dir().join(name);
        fs::DirBuilder::new().mode(0o700).create(&place).map_err(Error::io("make", &place))?;
        let attached = kernel::attach(mount, &place).and_then(|()| {
            let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC;
            rustix::fs::open(&place, flags, rustix::fs::Mode::empty()).map_err(Error::io("open", &place))
        });
        match attached {
            Ok(root) => Ok(Attached { place, root }),
            Err(error) => {
                let _ = unmount(&place, UnmountFlags::DETACH);
                let _ = fs::remove_dir(&place);
                Err(error)
            }
        }
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        let _ = unmount(&self.place, UnmountFlags::DETACH);
        let _ = fs::remove_dir(&self.place);
    }
}
