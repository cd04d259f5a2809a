//! Judges of a rootfs: e2fsck, fsck.erofs, the kernel that mounts it, and other people's unpackers.
//!
//! All but [`e2fsck`] and [`fsck_erofs`] take root.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tempfile::TempDir;

use crate::corpus::{self, Image, Unpacker};
use crate::listing::{self, Kind, Line};
use crate::tools::{command, run};

/// The rootfs formats that are judged, as the end of the output's name, which tells the format.
pub const FORMATS: [&str; 4] = [".ext4", ".erofs", ".tar", "/"];

/// Fails unless e2fsck finds nothing at all to say against the file system in `rootfs`.
pub fn e2fsck(rootfs: &Path) -> io::Result<()> {
    run(command("e2fsck").arg("-fn").arg(rootfs)).map(drop)
}

/// Fails unless fsck.erofs is content with the file system in `rootfs`, contents included.
pub fn fsck_erofs(rootfs: &Path) -> io::Result<()> {
    run(command("fsck.erofs").arg("--extract").arg(rootfs)).map(drop)
}

/// A mounted file system, until it is dropped.
#[derive(Debug)]
pub struct Mount {
    point: TempDir,
}

impl Mount {
    /// Mounts the file `rootfs` through a loop device, with mount options as mount(8) takes them.
    pub fn new(rootfs: &Path, options: &str) -> io::Result<Self> {
        let point = tempfile::tempdir()?;
        run(command("mount").args(["-o", &format!("loop,{options}")]).arg(rootfs).arg(point.path()))?;
        Ok(Self { point })
    }

    /// Mounts the EROFS file system in `rootfs`, some of whose contents are in other files, each through a loop device.
    pub fn with_devices(rootfs: &Path, devices: &[PathBuf]) -> io::Result<Self> {
        let mut options = String::from("ro");
        let mut loops = Vec::new();
        for device in devices {
            let said = run(command("losetup").args(["--read-only", "--show", "--find"]).arg(device))?;
            let name = String::from_utf8_lossy(&said).trim().to_owned();
            options += &format!(",device={name}");
            loops.push(name);
        }
        let mounted = Self::new(rootfs, &options);
        // A device that is in use goes when it no longer is.
        for name in loops {
            run(command("losetup").args(["--detach", &name]))?;
        }
        mounted
    }

    /// Mounts `rootfs` so that looking changes nothing.
    pub fn read_only(rootfs: &Path) -> io::Result<Self> {
        Self::new(rootfs, "ro,noload")
    }

    /// Where its root is.
    pub fn root(&self) -> &Path {
        self.point.path()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Without this the temporary directory's removal would empty the file system.
        let point = self.point.path();
        if run(command("umount").arg(point)).is_err() {
            let _ = run(command("umount").arg("--lazy").arg(point));
        }
    }
}

/// Unpacks an image with umoci into `into`, which it makes.
pub fn unpack_with_umoci(layout: &Path, into: &Path) -> io::Result<()> {
    let image = format!("{}:latest", layout.display());
    run(command("umoci").args(["raw", "unpack", "--image", &image]).arg(into)).map(drop)
}

/// Unpacks a tar with GNU tar into `into`, which it makes if need be.
pub fn unpack_tar(tar: &Path, into: &Path) -> io::Result<()> {
    fs::create_dir_all(into)?;
    let keep =
        ["--numeric-owner", "--same-owner", "--preserve-permissions", "--xattrs", "--xattrs-include=*"];
    run(command("tar").args(keep).arg("--directory").arg(into).arg("--extract").arg("--file").arg(tar))
        .map(drop)
}

/// Unpacks the layers of an image with GNU tar, one upon the other. Nothing may be removed by any.
pub fn unpack_layers_with_tar(layout: &Path, into: &Path) -> io::Result<()> {
    let index = json(&layout.join("index.json"))?;
    let manifest = json(&blob(layout, &index["manifests"][0])?)?;
    for layer in manifest["layers"].as_array().into_iter().flatten() {
        unpack_tar(&blob(layout, layer)?, into)?;
    }
    Ok(())
}

/// What an unpacker makes of an image.
#[derive(Debug)]
pub struct Expected {
    /// The files.
    pub lines: Vec<Line>,
    /// Directories whose time is that of the unpacking: those without an entry of their own, and, with
    /// umoci, those in which one of these was made. The image says nothing of the first, and of the
    /// second umoci forgets what it says.
    pub timeless: BTreeSet<Vec<u8>>,
}

impl Expected {
    /// Says in what `found` differs from this.
    pub fn differences(&self, found: &[Line]) -> Vec<String> {
        let timed = |line: &Line| {
            let mut line = line.clone();
            if self.timeless.contains(&line.path) {
                line.mtime = (0, 0);
            }
            line
        };
        let left: Vec<_> = self.lines.iter().map(timed).collect();
        listing::diff(&left, &found.iter().map(timed).collect::<Vec<_>>())
    }
}

/// What the files of a corpus image are, as its unpacker sees them; `scratch` must be an empty directory
/// of a file system that keeps all they have.
pub fn expected(image: &Image, scratch: &Path) -> io::Result<Expected> {
    let root = scratch.join("expected");
    let start = seconds_now()?;
    match (image.unpacker, image.from) {
        (Unpacker::Umoci, _) => unpack_with_umoci(&corpus::layout(image.name), &root)?,
        (Unpacker::UmociOnOrigin, origin) => {
            let origin = origin.ok_or_else(|| io::Error::other("an image without an origin"))?;
            unpack_with_umoci(&corpus::layout(origin), &root)?;
        }
        (Unpacker::Tar, _) => unpack_layers_with_tar(&corpus::layout(image.name), &root)?,
    }
    let unpacking = start..=seconds_now()?;
    let lines = listing::list(&root)?;
    fs::remove_dir_all(&root)?;

    let is_timeless = |line: &&Line| line.kind == Kind::Directory && unpacking.contains(&line.mtime.0);
    let timeless = lines.iter().filter(is_timeless).map(|line| line.path.clone()).collect();
    Ok(Expected { lines, timeless })
}

/// What the files of `rootfs` are: an ext4 or EROFS file (checked first, then mounted), a tar file (unpacked
/// below `scratch`) or a directory, told apart by the name.
pub fn found(rootfs: &Path, scratch: &Path) -> io::Result<Vec<Line>> {
    match rootfs.extension().and_then(|extension| extension.to_str()) {
        Some("ext4") => {
            e2fsck(rootfs)?;
            let mount = Mount::read_only(rootfs)?;
            Ok(listing::list(mount.root())?.into_iter().filter(|line| !is_lost_and_found(line)).collect())
        }
        Some("erofs") => {
            fsck_erofs(rootfs)?;
            let read = crate::erofs::list(&File::open(rootfs)?)?;
            let mounted = listing::list(Mount::new(rootfs, "ro")?.root())?;
            match listing::diff(&read, &mounted).first() {
                Some(difference) => Err(io::Error::other(format!("reader left, kernel right: {difference}"))),
                None => Ok(mounted),
            }
        }
        Some("tar") => {
            let root = scratch.join("found");
            unpack_tar(rootfs, &root)?;
            let lines = listing::list(&root)?;
            fs::remove_dir_all(&root)?;
            Ok(lines)
        }
        _ => listing::list(rootfs),
    }
}

/// Builds a corpus image with the program `unlade` into a file, or a directory, that is named after
/// `format` and lies in `scratch`; returns its path.
pub fn build(unlade: &Path, image: &Image, format: &str, scratch: &Path) -> io::Result<PathBuf> {
    let rootfs = scratch.join(format!("rootfs{format}"));
    let mut build = Command::new(unlade);
    build.args(["build", &source(image), "--store"]).arg(scratch.join("store")).arg("-o").arg(&rootfs);
    run(&mut build)?;
    Ok(rootfs)
}

/// Builds a corpus image into some of [`FORMATS`], and says in what they differ from what the image's unpacker makes
/// of it.
pub fn judge(unlade: &Path, image: &Image, formats: &[&str]) -> io::Result<Vec<String>> {
    // Beside the corpus, because /tmp may be a tmpfs, which lacks room and attributes.
    let scratch = tempfile::tempdir_in(corpus::target())?;
    let expected = expected(image, scratch.path())?;
    let mut differences = Vec::new();
    for format in formats {
        let rootfs = build(unlade, image, format, scratch.path())?;
        let found = expected.differences(&found(&rootfs, scratch.path())?);
        differences.extend(found.into_iter().map(|difference| format!("as {format:?}: {difference}")));
        if *format == "/" { fs::remove_dir_all(&rootfs)? } else { fs::remove_file(&rootfs)? }
    }
    Ok(differences)
}

/// How unlade is told to build a corpus image.
pub fn source(image: &Image) -> String {
    format!("oci:{}:latest", corpus::layout(image.name).display())
}

/// The empty directory for e2fsck's finds, which every ext4 has and no image needs to.
fn is_lost_and_found(line: &Line) -> bool {
    line.path == b"lost+found" && line.kind == Kind::Directory
}

fn seconds_now() -> io::Result<i64> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_err(io::Error::other)?;
    i64::try_from(since.as_secs()).map_err(io::Error::other)
}

fn json(place: &Path) -> io::Result<Value> {
    Ok(serde_json::from_reader(File::open(place)?)?)
}

fn blob(layout: &Path, descriptor: &Value) -> io::Result<PathBuf> {
    let digest =
        descriptor["digest"].as_str().ok_or_else(|| io::Error::other("a descriptor without digest"))?;
    Ok(layout.join("blobs").join(digest.replace(':', "/")))
}
