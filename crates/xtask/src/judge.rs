//! Builds the images of the corpus and compares the files with what another unpacker makes of them.

use std::io;
use std::path::PathBuf;
use std::time::Instant;

use testkit::corpus::{self, Image};
use testkit::{judge, tools};

use crate::shell::{cargo, run as finish};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Which images; all that have been made when none is named
    names: Vec<String>,
    /// The program to judge, instead of building it from here
    #[arg(long, value_name = "PROGRAM")]
    unlade: Option<PathBuf>,
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
        match judge::judge(&unlade, image) {
            Ok(judged) => {
                for (format, differences) in judged {
                    let output = if format.is_empty() { "directory" } else { format };
                    println!("{} {output}: {} differences", image.name, differences.len());
                    differences.iter().take(options.show).for_each(|difference| println!("    {difference}"));
                    if !differences.is_empty() {
                        failed.push(format!("{} {output}", image.name));
                    }
                }
            }
            Err(error) => {
                println!("{}: {error}", image.name);
                failed.push(image.name.to_owned());
            }
        }
        println!("{}: {:.1} s", image.name, start.elapsed().as_secs_f64());
    }
    if failed.is_empty() {
        Ok(())
    } else {
        Err(io::Error::other(format!("judged wrong: {}", failed.join(", "))))
    }
}

fn chosen(names: &[String]) -> io::Result<Vec<&'static Image>> {
    if names.is_empty() {
        let made = |image: &&Image| corpus::directory().join(image.name).join("index.json").is_file();
        return Ok(corpus::IMAGES.iter().filter(made).collect());
    }
    let find = |name: &String| corpus::find(name).ok_or_else(|| io::Error::other(format!("no image {name}")));
    names.iter().map(find).collect()
}
