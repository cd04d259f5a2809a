//! What holds for every case.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hash::Digest;
use pipeline::{Error, LayerFault, Scratch, Target, build, pull};
use store::Store;
use testkit::judge::{Mount, e2fsck, unpack_tar};
use testkit::layout::assert_sound;
use testkit::listing::{Kind, Line};
use testkit::tools::{command, run};
use tree::Notes;

use crate::case::{Case, Gives, Image, Written};
use crate::guard::{Guard, OLD};
use crate::shown::shown;

/// No case may take longer, on a machine that does other things as well. Ordinary ones take milliseconds.
const TIME_MAX: Duration = Duration::from_secs(60);

/// How much memory the process may ever have had, in KiB. Inputs announce up to 2^63 bytes and expand to more than
/// 1 GiB; the largest tree that is built here has 100,000 names.
const MEMORY_MAX: u64 = 384 << 10;

/// Held by each test that makes many images: memory is that of the process, and so of all tests that run at once.
pub(crate) static ALONE: Mutex<()> = Mutex::new(());

/// Checks all cases of a section, and says of all that fail why.
pub(crate) fn check_all(cases: Vec<Case>) {
    assert!(testkit::tools::is_root(), "the judges take root");
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut failures = Vec::new();
    for case in cases {
        let start = Instant::now();
        let failed = match &case.gives {
            Gives::Refusal(said) => check_refusal(&case, said),
            Gives::Tree(_) | Gives::Names(_) => check_tree(&case),
        };
        failures.extend(failed.err().map(|why| format!("{}: {why}", case.title())));
        assert!(start.elapsed() < TIME_MAX, "{} took {:?}", case.title(), start.elapsed());
    }
    assert!(failures.is_empty(), "{} cases:\n{}", failures.len(), failures.join("\n"));
    let peak = peak_memory();
    assert!(peak < MEMORY_MAX, "{peak} KiB of memory");
}

/// Most memory that this process ever had, in KiB.
pub(crate) fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn check_tree(case: &Case) -> Result<(), String> {
    let mut guard = Guard::new();
    let source = case.image(&guard.path("image"));
    guard.arm();
    for &format in case.formats {
        let notes = attempt(case, &guard, &source, format).map_err(|said| format!("refused: {said}"))?;
        guard.check(Some(format.name()), &case.title());
        let output = guard.path("out").join(format.name());
        if matches!(format, Written::Ext4) {
            e2fsck(&output).map_err(|said| said.to_string())?;
        }
        let found = match &case.gives {
            Gives::Names(_) => counted(&output, format).to_string(),
            _ => [judged(&output, format), noted(&notes)].concat().trim_start().to_string(),
        };
        let expected = match &case.gives {
            Gives::Tree(text) | Gives::Refusal(text) => text.clone(),
            Gives::Names(count) => count.to_string(),
        };
        if found != expected {
            return Err(format!("as {format:?}\n    gives   {found}\n    not     {expected}"));
        }
        fs::remove_file(output).unwrap();
    }
    Ok(())
}

fn check_refusal(case: &Case, expected: &str) -> Result<(), String> {
    let mut guard = Guard::new();
    let source = case.image(&guard.path("image"));
    guard.arm();
    for &format in case.formats {
        let said = match attempt(case, &guard, &source, format) {
            Ok(_) => return Err("it is taken".into()),
            Err(said) => said,
        };
        guard.check(None, &case.title());
        if said != expected {
            return Err(format!("as {format:?}\n    says    {said}\n    not     {expected}"));
        }
    }
    for format in case.formats {
        fs::write(guard.path("out").join(format.name()), OLD).unwrap();
    }
    guard.arm();
    for &format in case.formats {
        let _ = attempt(case, &guard, &source, format);
        guard.check(None, &case.title());
        if case.options.is_none() {
            check_command(case, &guard, &source, format, expected)?;
            guard.check(None, &case.title());
        }
    }
    Ok(())
}

/// Pulls and builds; gives the notes, or what is said.
fn attempt(case: &Case, guard: &Guard, source: &str, format: Written) -> Result<Notes, String> {
    let store = Store::open(&guard.path("store")).unwrap();
    let mut options = format.options();
    options.scratch = Scratch::In(guard.path("scratch"));
    if let Some(change) = case.options {
        change(&mut options);
    }
    let output = guard.path("out").join(format.name());
    let platform = oci::Platform::host();
    let pulled = pull::pull(&source.parse().unwrap(), &platform, &store, &pull::Options::default(), &|_| {});
    // Without the place in a document, which moves with every change of a case.
    let anonymous = |text: String| {
        let text = text.replace(&guard.path("image").display().to_string(), "DIR");
        text.split(" at line ").next().unwrap_or_default().to_string()
    };
    let image = pulled.map_err(|error| anonymous(chain(&error)));
    assert_sound(store.path());
    assert!(store.tags().unwrap().is_empty());
    let built = build(&store, &image?, &options, Target::Path(&output), &|_| {});
    built.map(|built| built.notes).map_err(|error| said(case, &error))
}

/// The command says the same, with the digest of the layer, and nothing that a terminal would act upon.
fn check_command(
    case: &Case,
    guard: &Guard,
    source: &str,
    format: Written,
    said: &str,
) -> Result<(), String> {
    let mut build = Command::new(env!("CARGO_BIN_EXE_unlade"));
    build.args(["build", source, "--allow-empty", "-o", format.name(), "--store"]).arg(guard.path("store"));
    build.arg("--scratch").arg(guard.path("scratch")).current_dir(guard.path("out"));
    let output = build.env("HOME", guard.path("out")).env_remove("SOURCE_DATE_EPOCH").output().unwrap();
    let text = String::from_utf8(output.stderr).map_err(|error| error.to_string())?;
    // What is said last is the fault itself.
    let fault = said.rsplit_once(": ").map_or(said, |(_, fault)| fault);
    let fault = fault.replace("DIR", &guard.path("image").display().to_string());
    let code = if fault.starts_with("no image for ") { 4 } else { 1 };
    let mut wrong = Vec::new();
    if output.status.code() != Some(code) || !text.starts_with("error: ") {
        wrong.push(format!("{}", output.status));
    }
    if text.chars().any(|letter| letter.is_control() && letter != '\n') {
        wrong.push("a control character".into());
    }
    if !text.contains(&fault) {
        wrong.push(format!("no {fault:?}"));
    }
    if let (Image::Layers(layers), Some(layer)) = (&case.image, said.strip_prefix("layer ")) {
        let number: usize = layer.split([':', ' ']).next().and_then(|number| number.parse().ok()).unwrap();
        let digest = Digest::sha256(&layers[number - 1].blob).to_string();
        if !text.contains(&digest) {
            wrong.push("not the layer's digest".into());
        }
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(format!("the command: {}\n{text}", wrong.join(", "))),
    }
}

/// `layer NUMBER: KIND: entry INDEX (NAME): FAULT`, as far as there is such a place; the layer's digest is checked.
fn said(case: &Case, error: &Error) -> String {
    let check = |number: u32, blob: &Digest| {
        if let Image::Layers(layers) = &case.image {
            assert_eq!(*blob, Digest::sha256(&layers[number as usize].blob), "{}", case.title());
        }
    };
    match error {
        Error::Layer { number, blob, fault } => {
            check(*number, blob);
            let said = match &**fault {
                LayerFault::Layer(fault) => format!("{}: {fault}", kind(fault)),
                other => chain(other),
            };
            format!("layer {}: {said}", number + 1)
        }
        Error::Apply { blob, fault } => {
            check(fault.layer, blob);
            let tree::Error { layer, entry, path, fault } = fault;
            format!("layer {}: tree: entry {entry} ({path}): {fault}", layer + 1)
        }
        other => chain(other),
    }
}

fn kind(error: &layer::Error) -> &'static str {
    match error {
        layer::Error::Io { .. } => "io",
        layer::Error::Invalid { .. } => "invalid",
        layer::Error::Unsupported { .. } => "unsupported",
        layer::Error::Corrupt { .. } => "corrupt",
        layer::Error::Limit { .. } => "limit",
    }
}

/// An error with all its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut said = vec![error.to_string()];
    let mut link = error.source();
    while let Some(cause) = link {
        if said.last() != Some(&cause.to_string()) {
            said.push(cause.to_string());
        }
        link = cause.source();
    }
    said.join(": ")
}

/// ` !Remark` for each kind of note, ` !Remark*2` if there are two.
fn noted(notes: &Notes) -> String {
    let counts: BTreeMap<String, u64> =
        notes.counts().map(|(remark, count)| (format!("{remark:?}"), count)).collect();
    let shown = counts.iter().map(|(remark, count)| match count {
        1 => format!(" !{remark}"),
        count => format!(" !{remark}*{count}"),
    });
    shown.collect()
}

/// What another program makes of the output.
fn judged(output: &Path, format: Written) -> String {
    match format {
        Written::Tar => {
            let root = tempfile::tempdir_in("/dev/shm").unwrap();
            unpack_tar(output, root.path()).unwrap();
            shown(root.path(), |_| true)
        }
        Written::Ext4 => {
            let mount = Mount::read_only(output).unwrap();
            shown(mount.root(), |line| !is_lost_and_found(line))
        }
    }
}

/// As every ext4 has it that no image brings one for.
fn is_lost_and_found(line: &Line) -> bool {
    line.path == b"lost+found" && line.kind == Kind::Directory && line.mode == 0o700
}

/// How many names another program finds in the output.
fn counted(output: &Path, format: Written) -> usize {
    const TAR: &str = "import sys, tarfile; print(len(tarfile.open(sys.argv[1]).getmembers()) - 1)";
    let printed = match format {
        Written::Tar => run(command("python3").args(["-c", TAR]).arg(output)).unwrap(),
        Written::Ext4 => {
            let mount = Mount::read_only(output).unwrap();
            let mut find = command("find");
            find.arg(mount.root()).args(["-mindepth", "1", "-not", "-path", "*/lost+found", "-printf", "x"]);
            return run(&mut find).unwrap().len();
        }
    };
    String::from_utf8(printed).unwrap().trim().parse().unwrap()
}
