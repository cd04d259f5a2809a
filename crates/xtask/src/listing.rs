//! Lists a directory tree, or compares two.

use std::io::{self, Write as _};
use std::path::Path;

use testkit::{corpus, judge, listing};

/// Prints one line for each name below `directory`.
pub(crate) fn print(directory: &Path) -> io::Result<()> {
    let mut out = io::stdout().lock();
    listing::list(directory)?.iter().try_for_each(|line| writeln!(out, "{line}"))
}

/// Prints the differences; any is an error.
pub(crate) fn compare(left: &Path, right: &Path) -> io::Result<()> {
    let scratch = tempfile::tempdir_in(corpus::target())?;
    let left = judge::found(left, scratch.path())?;
    let differences = listing::diff(&left, &judge::found(right, scratch.path())?);
    let mut out = io::stdout().lock();
    differences.iter().try_for_each(|difference| writeln!(out, "{difference}"))?;
    match differences.len() {
        0 => writeln!(out, "equal: {} names", left.len()),
        number => Err(io::Error::other(format!("{number} differences"))),
    }
}
