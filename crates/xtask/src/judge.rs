//! Builds the images of the corpus and compares the files with what another unpacker makes of them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use testkit::corpus::{self, Image};
use testkit::{alike, boot, judge, tools, wear};

use crate::shell::{cargo, run as finish};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Which images; all that have been made when none is named
    names: Vec<String>,
    /// The program to judge, instead of building it from here
    #[arg(long, value_name = "PROGRAM")]
    unlade: Option<PathBuf>,
    /// Also fill and grow each ext4
    #[arg(long)]
    wear: bool,
    /// How many differences to print for each output
    #[arg(long, value_name = "N", default_value_t = 20)]
    show: usize,
}

pub(crate) fn run(options: &Options) -> io::Result<()> {
    if !tools::is_root() {
        return Err(io::Error::other("mounting and unpacking with owners takes root"));
    }
    let images = chosen(&options.names)?;
    let unlade = match &options.unlade {
        Some(program) => program.clone(),
        None => {
            finish(cargo().args(["build", "--release", "--locked", "--package", "unlade"]))?;
            corpus::target().join("release/unlade")
        }
    };

    let mut failed = Vec::new();
    for image in images {
        let start = Instant::now();
        println!("{}: {}", image.name, image.about);
        let mut check = |what: &str, found: io::Result<String>| match found {
            Ok(said) => println!("    {what}: {said}"),
            Err(error) => {
                println!("    {what}: FAILED: {error}");
                failed.push(format!("{} {what}", image.name));
            }
        };
        for format in judge::FORMATS {
            check(
                format,
                judge::judge(&unlade, image, &[format]).and_then(|found| none(&found, options.show)),
            );
        }
        check("alike", alike::alike(&unlade, image, ".ext4", &[]));
        if image.name == "init" {
            check("boot", boots(&unlade, image));
        }
        if options.wear {
            check("wear", wears(&unlade, image));
        }
        println!("    {:.1} s", start.elapsed().as_secs_f64());
    }
    if failed.is_empty() {
        Ok(())
    } else {
        Err(io::Error::other(format!("judged wrong: {}", failed.join(", "))))
    }
}

fn none(differences: &[String], show: usize) -> io::Result<String> {
    if differences.is_empty() {
        return Ok("equal".into());
    }
    let shown: Vec<_> = differences.iter().take(show).map(|text| format!("\n        {text}")).collect();
    Err(io::Error::other(format!("{} differences{}", differences.len(), shown.concat())))
}

fn boots(unlade: &Path, image: &Image) -> io::Result<String> {
    let scratch = tempfile::tempdir_in(corpus::target())?;
    let rootfs = judge::build(unlade, image, ".ext4", scratch.path())?;
    let console = boot::boot(&rootfs, "/sbin/init", boot::Writes::Keep)?;
    judge::e2fsck(&rootfs)?;
    if console.contains(corpus::BOOTED) { Ok("says so".into()) } else { Err(io::Error::other(console)) }
}

fn wears(unlade: &Path, image: &Image) -> io::Result<String> {
    let scratch = tempfile::tempdir_in(corpus::target())?;
    let rootfs = judge::build(unlade, image, ".ext4", scratch.path())?;
    wear::fill(&rootfs)?;
    let size = fs::metadata(&rootfs)?.len();
    wear::grow(&rootfs, 2 * size, wear::Growth::Mounted)?;
    wear::grow(&rootfs, 3 * size, wear::Growth::Unmounted)?;
    wear::fill(&rootfs)?;
    Ok("filled, grown, filled".into())
}

fn chosen(names: &[String]) -> io::Result<Vec<&'static Image>> {
    if names.is_empty() {
        let made = |image: &&Image| corpus::directory().join(image.name).join("index.json").is_file();
        return Ok(corpus::IMAGES.iter().filter(made).collect());
    }
    let find = |name: &String| corpus::find(name).ok_or_else(|| io::Error::other(format!("no image {name}")));
    names.iter().map(find).collect()
}
