//! Makes real images with other people's tools, by the recipes in `crates/xtask/corpus`.
//!
//! An image is kept until its recipe, or that of the image below it, changes; what the recipe fetched
//! is as new as the day it was made, and `--renew` makes it again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use ring::digest;
use testkit::corpus::{self, IMAGES, Image};

use crate::shell;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Which images; the everyday ones when none is named
    names: Vec<String>,
    /// The images that the everyday tests use
    #[arg(long, conflicts_with_all = ["names", "all"])]
    ci: bool,
    /// Every image, also the large ones
    #[arg(long, conflicts_with = "names")]
    all: bool,
    /// Make them again even if the recipe has not changed
    #[arg(long)]
    renew: bool,
    /// Only say which images there are
    #[arg(long)]
    list: bool,
}

pub(crate) fn run(options: &Options) -> io::Result<()> {
    if options.list {
        IMAGES.iter().for_each(|image| println!("{:10} {}", image.name, image.about));
        return Ok(());
    }
    for name in &options.names {
        corpus::find(name).ok_or_else(|| io::Error::other(format!("no image {name}; see --list")))?;
    }
    let wanted = |image: &Image| match options.names.is_empty() {
        true => options.all || image.everyday,
        false => options.names.iter().any(|name| name == image.name),
    };
    for image in IMAGES.iter().filter(|image| wanted(image)) {
        make(image, options.renew)?;
    }
    Ok(())
}

/// Makes the images of the everyday tests.
pub(crate) fn everyday() -> io::Result<()> {
    IMAGES.iter().filter(|image| image.everyday).try_for_each(|image| make(image, false))
}

fn make(image: &Image, renew: bool) -> io::Result<()> {
    let origin = image.from.and_then(corpus::find);
    if let Some(origin) = origin
        && !is_made(origin)?
    {
        make(origin, false)?;
    }
    if !renew && is_made(image)? {
        println!("{}: is there", image.name);
        return Ok(());
    }

    println!("{}: {}", image.name, image.about);
    let start = Instant::now();
    let corpus = corpus::directory();
    fs::create_dir_all(&corpus)?;
    let work = tempfile::tempdir_in(&corpus)?;
    let out = work.path().join("image");
    let scratch = work.path().join("work");
    fs::create_dir(&scratch)?;

    let made = shell::run(
        shell::as_root("env")?
            .arg(assign("OUT", &out))
            .arg(assign("WORK", &scratch))
            .arg(assign("CORPUS", &corpus))
            .arg(assign("RECIPES", &recipes()))
            .arg("bash")
            .arg(recipes().join(image.name).with_extension("sh")),
    );
    let put = made.and_then(|()| put(image, &out));
    // As root, because the recipe's files are root's.
    shell::run(shell::as_root("rm")?.arg("-rf").arg(&scratch).arg(&out))?;
    put.map_err(|error| io::Error::other(format!("image {}: {error}", image.name)))?;
    println!("{}: made in {:.1} s", image.name, start.elapsed().as_secs_f64());
    Ok(())
}

/// Puts a finished image in its place. The stamp goes first and comes last, so that a half-made image
/// is never taken for a whole one.
fn put(image: &Image, out: &Path) -> io::Result<()> {
    let place = corpus::directory().join(image.name);
    shell::run(shell::as_root("rm")?.arg("-rf").arg(stamp_file(image)).arg(&place))?;
    // Some tools make files that only root reads; the tests also build as another user.
    shell::run(shell::as_root("chmod")?.args(["-R", "a+rX"]).arg(out))?;
    shell::run(shell::as_root("mv")?.arg(out).arg(&place))?;
    fs::write(stamp_file(image), stamp(image)?)
}

fn is_made(image: &Image) -> io::Result<bool> {
    let there = corpus::directory().join(image.name).join("index.json").is_file();
    Ok(there
        && fs::read_to_string(stamp_file(image))
            .is_ok_and(|found| stamp(image).is_ok_and(|now| now == found)))
}

fn stamp_file(image: &Image) -> PathBuf {
    corpus::directory().join(format!("{}.stamp", image.name))
}

/// The hash of all recipe files that the image and those below it are made by.
fn stamp(image: &Image) -> io::Result<String> {
    let mut context = digest::Context::new(&digest::SHA256);
    let mut next = Some(image);
    while let Some(image) = next {
        for suffix in ["sh", "py"] {
            let recipe = recipes().join(image.name).with_extension(suffix);
            if recipe.exists() {
                context.update(&fs::read(recipe)?);
            }
        }
        next = image.from.and_then(corpus::find);
    }
    for common in ["common.sh", "tarball.py"] {
        context.update(&fs::read(recipes().join(common))?);
    }
    Ok(context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn assign(name: &str, value: &Path) -> String {
    format!("{name}={}", value.display())
}

fn recipes() -> PathBuf {
    corpus::workspace().join("crates/xtask/corpus")
}
