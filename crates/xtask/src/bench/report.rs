//! The figures as Markdown.

use std::fmt::Write as _;
use std::fs;
use std::io;

use testkit::corpus::workspace;

use super::Measured;
use super::cost::{Cost, median, medians};
use super::duel::{Bout, COLD};
use super::floor::{self, Round};

/// What stands around the figures in the document.
const MARKS: [&str; 2] = ["<!-- figures -->\n", "<!-- end of figures -->\n"];

/// Peak memory that every image may take, in bytes, and what each file may add.
const MEMORY: (f64, f64) = (150e6, 1e3);

/// All tables.
pub(super) fn markdown(measured: &Measured, command: &str) -> String {
    [machine(measured, command), aims(measured), commands(measured), pairs(measured), parts(measured)]
        .join("\n")
}

/// Puts the text between the marks of docs/benchmarks.md.
pub(super) fn write(text: &str) -> io::Result<()> {
    let path = workspace().join("docs/benchmarks.md");
    let found = fs::read_to_string(&path)?;
    let missing = || io::Error::other(format!("{} has no marks for the figures", path.display()));
    let (before, rest) = found.split_once(MARKS[0]).ok_or_else(missing)?;
    let (_, after) = rest.split_once(MARKS[1]).ok_or_else(missing)?;
    fs::write(&path, format!("{before}{}\n{text}\n{}{after}", MARKS[0], MARKS[1]))
}

fn machine(measured: &Measured, command: &str) -> String {
    let Measured { machine, image, rounds, .. } = measured;
    let Some(Round { floor, .. }) = rounds.first() else { return String::new() };
    let sha = if machine.sha_instructions { "with" } else { "without" };
    let mut text = format!("Made by `{command}`.\n\n");
    let _ = writeln!(
        text,
        "- machine: {}, {} cores, {sha} SHA instructions, {:.0} GiB of memory",
        machine.processor, machine.cores, machine.memory_gib
    );
    let _ = writeln!(
        text,
        "- system: Linux {}, {}; load average at the end {}",
        machine.kernel, machine.filesystem, machine.load
    );
    let _ = writeln!(
        text,
        "- image: `{}`, {} layers, {} MB, {} MB expanded, {} names",
        image.name,
        floor.layers,
        floor.compressed_bytes / 1_000_000,
        floor.expanded_bytes / 1_000_000,
        image.files
    );
    text
}

/// The median of what one costs against the other in the same round.
fn ratio<T>(rounds: &[T], one: impl Fn(&T) -> f64, other: impl Fn(&T) -> f64) -> f64 {
    median(rounds.iter().map(|round| one(round) / other(round)))
}

fn aims(measured: &Measured) -> String {
    let mut text = String::from("| aim | measured | met |\n|---|---|---|\n");
    let mut row = |aim: &str, shown: String, met: bool| {
        let _ = writeln!(text, "| {aim} | {shown} | {} |", if met { "yes" } else { "no" });
    };
    let rounds = &measured.rounds;
    let mut floors = |name: &str, ours: fn(&Round) -> Cost, floors: fn(&Round) -> Cost| {
        for (figure, of) in [("wall", (|cost| cost.wall) as fn(Cost) -> f64), ("CPU", |cost| cost.cpu)] {
            let times = ratio(rounds, |round| of(ours(round)), |round| of(floors(round)));
            row(&format!("{name}: at most 1.5 × the floor, {figure}"), format!("{times:.2} ×"), times <= 1.5);
        }
    };
    floors("cold", |round| round.cold, |round| round.floor.cold());
    floors("warm", |round| round.warm, |round| round.floor.warm());

    let against = |theirs: &str, of: fn(&Cost) -> f64| {
        let wanted = |bout: &&Bout| bout.duel.ours == COLD && bout.duel.theirs == theirs;
        let bout = measured.bouts.iter().filter(|bout| !bout.failed).find(wanted)?;
        Some(ratio(&bout.runs, |(_, their)| of(their), |(our, _)| of(our)))
    };
    if let Some(times) = against("arcbox-ext4", |cost| cost.wall) {
        row("cold: at least 1.5 × faster than arcbox-ext4, wall", format!("{times:.2} ×"), times >= 1.5);
    }
    if let Some(times) = against("umoci + mke2fs -d", |cost| cost.cpu) {
        row("cold: at least 5 × less CPU than umoci + mke2fs -d", format!("{times:.1} ×"), times >= 5.0);
    }
    let ours = measured.costs.iter().filter(|(name, _)| name.starts_with("unlade"));
    let memory = ours.flat_map(|(_, costs)| costs).map(|cost| cost.memory).fold(0.0, f64::max);
    let limit = MEMORY.0 + MEMORY.1 * measured.image.files as f64;
    row(
        &format!("memory: under 150 MB and 1 KB a file, here {:.0} MB", limit / 1e6),
        format!("{:.0} MB", memory / 1e6),
        memory < limit,
    );
    text
}

fn commands(measured: &Measured) -> String {
    let mut text = String::from(
        "| command | wall s | CPU s | flush s | memory MB | disk at most MB | left MB | result MB |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    let (ours, others): (Vec<_>, Vec<_>) =
        measured.costs.iter().partition(|(name, _)| name.starts_with("unlade"));
    for (name, costs) in ours.into_iter().chain(others) {
        let Cost { wall, cpu, memory, flush } = medians(costs);
        let _ = write!(text, "| {name} | {wall:.2} | {cpu:.2} | {flush:.2} | {:.0} |", memory / 1e6);
        let _ = match measured.disk.get(name) {
            Some(found) => {
                let [peak, left, output] =
                    [found.peak, found.left, found.output].map(|bytes| bytes / 1_000_000);
                writeln!(text, " {peak} | {left} | {output} |")
            }
            None => writeln!(text, " | | |"),
        };
    }
    text
}

fn pairs(measured: &Measured) -> String {
    let mut text = String::from("| in turns | wall | CPU | |\n|---|---:|---:|---|\n");
    for Bout { duel, runs, failed } in &measured.bouts {
        let names = format!("{} : {}", duel.ours, duel.theirs);
        let _ = if *failed {
            writeln!(text, "| {names} | – | – | the latter fails on this image |")
        } else {
            let wall = ratio(runs, |(_, their)| their.wall, |(our, _)| our.wall);
            let cpu = ratio(runs, |(_, their)| their.cpu, |(our, _)| our.cpu);
            writeln!(text, "| {names} | 1 : {wall:.2} | 1 : {cpu:.2} | {} |", duel.remark)
        };
    }
    text
}

fn parts(measured: &Measured) -> String {
    let rounds = &measured.rounds;
    let mut text = String::from("| floor | CPU s of one thread |\n|---|---|\n");
    let mut libraries = |part: &str, of: fn(&floor::Floor) -> &floor::Libraries| {
        let each: Vec<String> =
            floor::medians(rounds, of).iter().map(|(name, seconds)| format!("{name} {seconds:.2}")).collect();
        let _ = writeln!(text, "| {part} | {} |", each.join(", "));
    };
    libraries("inflate", |floor| &floor.inflate);
    libraries("SHA-256 of the compressed bytes", |floor| &floor.hash_compressed);
    libraries("SHA-256 of the expanded bytes", |floor| &floor.hash_expanded);
    let middle = |of: fn(&Round) -> f64| median(rounds.iter().map(of));
    let _ = writeln!(text, "| one write | {:.2} |", middle(|round| round.floor.write));
    for (name, cpu, wall) in [
        ("all, each by its fastest", middle(|r| r.floor.cold().cpu), middle(|r| r.floor.cold().wall)),
        ("inflate and write", middle(|r| r.floor.warm().cpu), middle(|r| r.floor.warm().wall)),
    ] {
        let _ = writeln!(text, "| **{name}** | **{cpu:.2}**; divided by the cores {wall:.2} |");
    }
    let _ =
        writeln!(text, "| (flushing it to the disk, wall; in no sum) | {:.2} |", middle(|r| r.floor.flush));
    text
}
