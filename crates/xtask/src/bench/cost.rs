//! What a run costs, seen from outside.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use testkit::tools;

/// The cost of a run, or the median of many.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cost {
    /// Seconds that went by.
    pub(super) wall: f64,
    /// Seconds of all processors, in the kernel and outside.
    pub(super) cpu: f64,
    /// Most memory that a process held at a time, in bytes.
    pub(super) memory: f64,
    /// Seconds that went by afterwards until all was on the disk.
    pub(super) flush: f64,
}

impl Cost {
    /// The cost of one after the other.
    pub(super) fn then(self, next: Cost) -> Cost {
        Cost {
            wall: self.wall + next.wall,
            cpu: self.cpu + next.cpu,
            memory: self.memory.max(next.memory),
            flush: self.flush + next.flush,
        }
    }
}

/// Runs a command, with its children. What it says is shown only if it fails.
pub(super) fn measure(argv: &[String], figures: &Path) -> io::Result<Cost> {
    let mut command = tools::command("time");
    command.args(["--format=%U %S %M", "--output"]).arg(figures).args(argv).stdin(Stdio::null());
    let start = Instant::now();
    tools::run(&mut command)?;
    let wall = start.elapsed().as_secs_f64();

    let text = std::fs::read_to_string(figures)?;
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    match numbers.as_slice() {
        [user, system, kib] => Ok(Cost { wall, cpu: user + system, memory: kib * 1024.0, flush: 0.0 }),
        _ => Err(io::Error::other(format!("time says {text}"))),
    }
}

/// Brings to the disk what is not there yet, and says how many seconds it took.
pub(super) fn flush(directory: &Path) -> io::Result<f64> {
    let start = Instant::now();
    rustix::fs::syncfs(File::open(directory)?)?;
    Ok(start.elapsed().as_secs_f64())
}

/// Runs something that is not measured.
pub(super) fn quietly(argv: &[String]) -> io::Result<()> {
    let (program, arguments) = argv.split_first().ok_or_else(|| io::Error::other("an empty command"))?;
    tools::run(Command::new(program).args(arguments)).map(|_| ())
}

/// The one in the middle.
pub(super) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => values[length / 2],
        length => (values[length / 2 - 1] + values[length / 2]) / 2.0,
    }
}

/// The median of each figure.
pub(super) fn medians(costs: &[Cost]) -> Cost {
    let of = |figure: fn(&Cost) -> f64| median(costs.iter().map(figure));
    Cost { wall: of(|c| c.wall), cpu: of(|c| c.cpu), memory: of(|c| c.memory), flush: of(|c| c.flush) }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_middle() {
        assert!((median([3.0, 1.0, 2.0].into_iter()) - 2.0).abs() < 1e-9);
        assert!((median([4.0, 1.0, 2.0, 3.0].into_iter()) - 2.5).abs() < 1e-9);
    }
}
