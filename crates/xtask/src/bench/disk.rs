//! How much of the disk a job takes, and what it leaves there.
//!
//! On a filesystem of its own, so that nobody else's files count, and files without a name do.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use testkit::tools;

use super::contender;
use super::cost;
use super::place::Place;

/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(5);

/// Bytes of the disk.
#[derive(Clone, Copy, Default)]
pub(super) struct Use {
    /// Most that was taken at a time.
    pub(super) peak: u64,
    /// Of that, what is still taken in the end: the result, and the store if there is one.
    pub(super) left: u64,
    /// Of that, the result.
    pub(super) output: u64,
}

/// Runs each of them once more.
pub(super) fn measure(
    place: &Place,
    remote: &str,
    names: &[&'static str],
) -> io::Result<BTreeMap<&'static str, Use>> {
    println!("\n== the disk");
    let disk = Disk::mount(place)?;
    let inside = place.moved_to(&disk.mounted);
    let mut uses = BTreeMap::new();
    for contender in contender::all(&inside, remote).iter().filter(|who| names.contains(&who.name)) {
        contender.prepare()?;
        contender.clear()?;
        cost::flush(&disk.mounted)?;
        let before = disk.used()?;
        let done = AtomicBool::new(false);
        let peak = thread::scope(|scope| {
            let watch = scope.spawn(|| disk.peak(&done));
            let run = contender.run();
            done.store(true, Ordering::Relaxed);
            run.and(watch.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })?;
        let after = disk.used()?;
        let found = Use {
            peak: peak.saturating_sub(before),
            left: after.saturating_sub(before),
            output: contender.outputs.first().map_or(Ok(0), |result| on_disk(result))?,
        };
        println!(
            "{}: {} MB, of which stay {} MB",
            contender.name,
            found.peak / 1_000_000,
            found.left / 1_000_000
        );
        uses.insert(contender.name, found);
        fs::read_dir(&disk.mounted)?.try_for_each(|entry| remove(&entry?.path()))?;
    }
    Ok(uses)
}

/// A filesystem in a file.
struct Disk {
    file: PathBuf,
    mounted: PathBuf,
}

impl Disk {
    fn mount(place: &Place) -> io::Result<Disk> {
        let disk = Disk { file: place.work.join("disk"), mounted: place.work.join("mounted") };
        File::create(&disk.file)?.set_len(8 * place.size)?;
        fs::create_dir_all(&disk.mounted)?;
        tools::run(tools::command("mke2fs").args(["-q", "-F", "-t", "ext4"]).arg(&disk.file))?;
        tools::run(tools::command("mount").args(["-o", "loop"]).arg(&disk.file).arg(&disk.mounted))?;
        Ok(disk)
    }

    fn used(&self) -> io::Result<u64> {
        let found = rustix::fs::statvfs(&self.mounted)?;
        Ok((found.f_blocks - found.f_bfree) * found.f_frsize)
    }

    fn peak(&self, done: &AtomicBool) -> io::Result<u64> {
        let mut peak = 0;
        while !done.load(Ordering::Relaxed) {
            peak = peak.max(self.used()?);
            thread::sleep(INTERVAL);
        }
        Ok(peak)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Also when the benchmark fails.
        let _ = tools::run(tools::command("umount").arg(&self.mounted));
        let _ = fs::remove_file(&self.file);
    }
}

/// Bytes of the blocks that a file or a tree has.
fn on_disk(path: &Path) -> io::Result<u64> {
    let text = tools::run(tools::command("du").args(["--summarize", "--block-size=1"]).arg(path))?;
    let text = String::from_utf8_lossy(&text);
    text.split_whitespace().next().and_then(|bytes| bytes.parse().ok()).ok_or_else(|| io::Error::other("du"))
}

fn remove(path: &Path) -> io::Result<()> {
    match path.file_name().is_some_and(|name| name == "lost+found") {
        true => Ok(()),
        false if path.is_dir() => fs::remove_dir_all(path),
        false => fs::remove_file(path),
    }
}
