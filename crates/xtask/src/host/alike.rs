//! Whether another host's program makes the same bytes as this machine's of the same image, and answers the same.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use testkit::{corpus, hello, tools};

use crate::shell;

/// What is built: the name of the output, and the arguments that make it.
const BUILDS: &[(&str, &[&str])] = &[
    ("rootfs.ext4", &["build"]),
    ("free.ext4", &["build", "--free", "64M", "--no-journal"]),
    ("rootfs.erofs", &["build"]),
    ("lz4.erofs", &["build", "--compress", "lz4hc", "--dedupe"]),
    ("zstd.erofs", &["build", "--compress", "zstd", "--erofs-min-kernel", "6.10"]),
    ("deflate.erofs", &["build", "--compress", "deflate", "--erofs-min-kernel", "6.6"]),
    ("verity.erofs", &["build", "--verity"]),
    ("disk.ext4", &["build", "--gpt", "--verity"]),
    ("rootfs.tar", &["build"]),
    ("rootfs.tar.gz", &["build"]),
    ("rootfs.cpio", &["build"]),
    ("rootfs.cpio.zst", &["build"]),
    ("package.tar", &["pack"]),
];

/// What is asked of an image.
const QUESTIONS: &[&[&str]] = &[&["ls"], &["history"], &["inspect", "--json"]];

/// What is asked of the store that all this leaves.
const OF_STORE: &[&[&str]] = &[&["images"], &["fsck"], &["gc"], &["fsck"]];

/// A program, and a store of its own.
struct Host<'a> {
    program: PathBuf,
    runner: &'a [String],
    store: PathBuf,
}

/// Builds a tiny image, and the corpus's images where they were made, with both programs.
pub(super) fn check(program: &Path, runner: &[String]) -> io::Result<()> {
    shell::run(shell::cargo().args(["build", "--quiet", "--locked", "--package", "unlade"]))?;
    let place = corpus::target().join("host").join("alike");
    if place.exists() {
        fs::remove_dir_all(&place)?;
    }
    fs::create_dir_all(&place)?;
    hello::write(&place.join("hello"))?;
    let made = ["special", "special2", "nginx"].map(corpus::layout).into_iter();
    let images: Vec<_> = [place.join("hello")].into_iter().chain(made.filter(|made| made.exists())).collect();

    let ours =
        Host { program: corpus::target().join("debug/unlade"), runner: &[], store: place.join("ours") };
    let theirs = Host { program: program.into(), runner, store: place.join("theirs") };
    let mut differ = Vec::new();
    let mut compare = |what: String, ours: &[u8], theirs: &[u8]| {
        let result = match ours == theirs {
            true if ours.starts_with(b"error") => "same error",
            true => "same",
            false => "DIFFERS",
        };
        println!("{result:10} {what}");
        if ours != theirs {
            differ.push(what);
        }
    };
    for image in &images {
        let name = image.file_name().unwrap_or_default().to_string_lossy();
        for (output, arguments) in BUILDS {
            let (one, other) = (place.join(format!("ours-{output}")), place.join(format!("theirs-{output}")));
            let made = (ours.build(arguments, image, &one)?, theirs.build(arguments, image, &other)?);
            compare(format!("{name} {output}"), &made.0, &made.1);
        }
        for question in QUESTIONS {
            let answers = (ours.ask(question, Some(image))?, theirs.ask(question, Some(image))?);
            compare(format!("{name} {}", question.join(" ")), &answers.0, &answers.1);
        }
    }
    // What they say of it has times in it.
    for question in OF_STORE {
        theirs.ask(question, None)?;
        println!("{:10} {}", "done", question.join(" "));
    }
    if differ.is_empty() {
        Ok(())
    } else {
        Err(io::Error::other(format!("not the same: {}", differ.join(", "))))
    }
}

impl Host<'_> {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = match self.runner.split_first() {
            Some((first, rest)) => {
                let mut runner = Command::new(first);
                runner.args(rest).arg(&self.program);
                runner
            }
            None => Command::new(&self.program),
        };
        command.args(arguments).arg("--store").arg(&self.store).stdin(Stdio::null());
        command
    }

    /// What is built; or why a package is not, since not everything fits into one: that is the same everywhere, too.
    fn build(&self, arguments: &[&str], image: &Path, output: &Path) -> io::Result<Vec<u8>> {
        let mut command = self.command(arguments);
        command.arg("--quiet").arg(name(image)).arg("-o").arg(output);
        command.args(["--platform", "linux/amd64"]);
        match command.output()? {
            done if !done.status.success() && arguments == ["pack"] => return Ok(done.stderr),
            done if !done.status.success() => {
                let said = String::from_utf8_lossy(&done.stderr).into_owned();
                return Err(io::Error::other(format!("{command:?}: {}\n{said}", done.status)));
            }
            _ => {}
        }
        let bytes = fs::read(output)?;
        fs::remove_file(output)?;
        Ok(bytes)
    }

    fn ask(&self, question: &[&str], image: Option<&PathBuf>) -> io::Result<Vec<u8>> {
        let mut command = self.command(question);
        if let Some(image) = image {
            command.arg(name(image)).args(["--platform", "linux/amd64"]);
        }
        tools::run(&mut command)
    }
}

fn name(image: &Path) -> String {
    format!("oci:{}", image.display())
}
