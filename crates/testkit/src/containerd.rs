//! Debian's containerd as an unpacker: what users of Docker and Kubernetes get. Takes root.
//!
//! Its `native` snapshotter unpacks each layer onto a copy of the one below, in a real directory.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::image::Tar;
use crate::tools::{self, run};

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(20);

/// A daemon of its own, with what it stores; both are gone when it is dropped.
#[derive(Debug)]
pub struct Containerd {
    child: Child,
    directory: TempDir,
}

impl Containerd {
    /// Starts one that keeps its things below `parent`, whose filesystem must keep attributes.
    pub fn start(parent: &Path) -> io::Result<Containerd> {
        let directory = tempfile::tempdir_in(parent)?;
        let home = directory.path().display();
        let config = format!(
            "version = 2\nroot = \"{home}/root\"\nstate = \"{home}/state\"\n\
             disabled_plugins = [\"io.containerd.grpc.v1.cri\", \"io.containerd.internal.v1.opt\"]\n\
             [grpc]\naddress = \"{home}/socket\"\n[ttrpc]\naddress = \"{home}/socket.ttrpc\"\n"
        );
        let path = directory.path().join("config.toml");
        fs::write(&path, config)?;
        let log = fs::File::create(directory.path().join("log"))?;
        let mut daemon = tools::command("containerd");
        let child = daemon.arg("--config").arg(&path).stdout(Stdio::null()).stderr(log).spawn()?;
        let mut containerd = Containerd { child, directory };
        let start = Instant::now();
        while run(containerd.ctr().arg("version")).is_err() {
            if containerd.child.try_wait()?.is_some() || start.elapsed() > PATIENCE {
                let log = fs::read_to_string(containerd.directory.path().join("log"))?;
                return Err(io::Error::other(format!("containerd does not answer: {log}")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(containerd)
    }

    /// Unpacks the one image of a layout, and gives the directory. The highest layer must be one that this daemon
    /// has not seen yet. One call at a time.
    pub fn unpack(&self, layout: &Path) -> io::Result<PathBuf> {
        let archive = self.directory.path().join("image.tar");
        fs::write(&archive, packed(layout)?)?;
        let before = self.newest()?;
        let mut import = self.ctr();
        import.args(["images", "import", "--base-name", "stack", "--snapshotter", "native"]).arg(&archive);
        run(&mut import)?;
        let after = self.newest()?;
        // Snapshots are numbered as they are made, the highest layer's last.
        match after > before {
            true => Ok(self.snapshots().join(after.to_string())),
            false => Err(io::Error::other("containerd unpacked nothing")),
        }
    }

    fn snapshots(&self) -> PathBuf {
        self.directory.path().join("root/io.containerd.snapshotter.v1.native/snapshots")
    }

    /// Number of the snapshot made last.
    fn newest(&self) -> io::Result<u64> {
        let mut newest = 0;
        for entry in fs::read_dir(self.snapshots())? {
            let name = entry?.file_name();
            newest = newest.max(name.to_str().and_then(|name| name.parse().ok()).unwrap_or(0));
        }
        Ok(newest)
    }

    fn ctr(&self) -> Command {
        let mut ctr = tools::command("ctr");
        ctr.arg("--address").arg(self.directory.path().join("socket"));
        ctr
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A layout as the tarball that is imported.
fn packed(layout: &Path) -> io::Result<Vec<u8>> {
    let mut tar = Tar::default();
    for name in ["oci-layout", "index.json"] {
        tar = tar.file(name, 0o644, &fs::read(layout.join(name))?);
    }
    for blob in fs::read_dir(layout.join("blobs/sha256"))? {
        let blob = blob?;
        let name = format!("blobs/sha256/{}", blob.file_name().to_string_lossy());
        tar = tar.file(&name, 0o644, &fs::read(blob.path())?);
    }
    Ok(tar.finish())
}
