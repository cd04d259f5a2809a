//! Where faults happen: an image, places for all that is written, and what must hold afterwards.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use testkit::image::{Layer, Tar, write_layout};
use testkit::tools;

use crate::support::{Place, Said, sha256};

pub(crate) const UNLADE: &str = env!("CARGO_BIN_EXE_unlade");

/// What lies where the output is to be.
pub(crate) const OLD: &str = "precious";

/// What is said where the new output has its name already, and only the name's durability is in doubt.
pub(crate) const UNFLUSHED: &str = "it is complete and has its name, but the directory could not be flushed";

/// Bytes that do not compress.
pub(crate) fn noise(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed | 1;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    (0..length).map(next).collect()
}

/// An image of two layers with this many bytes in each, in files of all sizes.
pub(crate) fn write_image(layout: &Path, bytes: usize) {
    let layers = [1, 2].map(|number| {
        let mut tar = Tar::default().directory("d", 0o755);
        let (content, mut at) = (noise(bytes, number), 0);
        for file in 0.. {
            if at == bytes {
                break;
            }
            let length = (file * file * 700 + 1).min(bytes - at);
            tar = tar.file(&format!("d/{number}-{file}"), 0o644, &content[at..at + length]);
            at += length;
        }
        Layer::gzip(&tar.finish())
    });
    write_layout(layout, "x", &layers, &json!({})).unwrap();
}

/// A place with an image, directories for all that is written, and what a build without faults gives.
pub(crate) struct Scene {
    pub(crate) place: Place,
    pub(crate) format: &'static str,
    pub(crate) wanted: String,
}

impl Scene {
    pub(crate) fn new(bytes: usize, format: &'static str) -> Scene {
        let place = Place::new();
        write_image(&place.path("noise"), bytes);
        for name in ["disk", "out", "scratch"] {
            fs::create_dir(place.path(name)).unwrap();
        }
        let reference = format!("reference{format}");
        place.done(&["build", "oci:noise", "-o", &reference]);
        let wanted = fingerprint(&place.path(&reference));
        Scene { place, format, wanted }
    }

    pub(crate) fn output(&self) -> PathBuf {
        self.place.path(&format!("out/rootfs{}", self.format))
    }

    /// The command that builds, with a store, a scratch directory and an output that can fail apart.
    pub(crate) fn build(&self) -> Command {
        let output = format!("out/rootfs{}", self.format);
        self.place.command(&["build", "oci:noise", "--store", "disk", "--scratch", "scratch", "-o", &output])
    }

    /// Lets an old output lie there. A directory cannot be replaced, so there is none for it.
    pub(crate) fn put_old(&self) {
        if self.format != "/" {
            fs::write(self.output(), OLD).unwrap();
        }
    }

    /// Nothing but the old output is where outputs are.
    #[track_caller]
    pub(crate) fn check_old(&self, about: &str) {
        let names = names(&self.place.path("out"));
        if self.format == "/" {
            assert_eq!(names, [] as [&str; 0], "{about}");
        } else {
            assert_eq!(names, [format!("rootfs{}", self.format)], "{about}");
            assert_eq!(fs::read_to_string(self.output()).unwrap(), OLD, "{about}");
        }
    }

    /// The output is there, is right, and nothing else is.
    #[track_caller]
    pub(crate) fn check_new(&self, about: &str) {
        let name = format!("rootfs{}", self.format);
        assert_eq!(names(&self.place.path("out")), [name.trim_end_matches('/')], "{about}");
        assert_eq!(fingerprint(&self.output()), self.wanted, "{about}");
        assert_eq!(names(&self.place.path("scratch")), [] as [&str; 0], "{about}");
    }

    /// Builds with a fault: it fails cleanly or, if the fault did no harm, gives the right bytes. Gives what it
    /// said if it failed.
    #[track_caller]
    pub(crate) fn fails(&self, command: &mut Command, about: &str) -> Option<String> {
        let said = Said::from(command.output().unwrap());
        assert!(!said.err.contains("panicked"), "{about}: {}", said.err);
        if said.code == Some(0) {
            self.check_new(about);
            return None;
        }
        assert_eq!(said.code, Some(1), "{about}: {}", said.err);
        if !said.err.contains(UNFLUSHED) {
            self.check_old(about);
        }
        check_store(&self.place.path("disk"), about);
        Some(said.err)
    }

    /// Builds without the fault, on top of what it left.
    #[track_caller]
    pub(crate) fn heals(&self, about: &str) {
        let said = Said::from(self.build().output().unwrap());
        assert_eq!(said.code, Some(0), "{about}: {}", said.err);
        self.check_new(about);
        check_store(&self.place.path("disk"), about);
    }
}

/// What tells one output from another.
pub(crate) fn fingerprint(output: &Path) -> String {
    if output.is_dir() {
        let lines = testkit::listing::list(output).unwrap();
        return lines.iter().map(|line| format!("{line}\n")).collect();
    }
    sha256(output)
}

/// Names in a directory, hidden ones too.
pub(crate) fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name != "lost+found");
    names.sort();
    names
}

/// Whatever has a blob's name is that blob.
#[track_caller]
pub(crate) fn check_store(store: &Path, about: &str) {
    for blob in fs::read_dir(store.join("blobs/sha256")).into_iter().flatten() {
        let path = blob.unwrap().path();
        assert_eq!(sha256(&path), path.file_name().unwrap().to_str().unwrap(), "{about}");
    }
}

/// A filesystem that is mounted until this is dropped.
pub(crate) struct Mounted(pub(crate) PathBuf);

impl Mounted {
    pub(crate) fn new(point: &Path, arguments: &[&str]) -> Mounted {
        tools::run(tools::command("mount").args(arguments).arg(point)).unwrap();
        Mounted(point.into())
    }

    /// A filesystem in memory.
    pub(crate) fn tmpfs(point: &Path, kib: u64) -> Mounted {
        Mounted::new(point, &["-t", "tmpfs", "-o", &format!("size={kib}k"), "tmpfs"])
    }

    pub(crate) fn change(&self, options: &str) {
        tools::run(tools::command("mount").args(["-o", &format!("remount,{options}")]).arg(&self.0)).unwrap();
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = tools::run(tools::command("umount").arg("--lazy").arg(&self.0));
    }
}
