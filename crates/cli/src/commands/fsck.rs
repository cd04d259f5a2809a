//! `unlade fsck`.

use std::collections::BTreeSet;
use std::fs::File;

use hash::Digest;
use layer::Outline;
use pipeline::{Event, pull, reuse};
use serde_json::json;
use store::fsck::{Checked, Depth, Finding, Options, Report, Severity};
use store::{Store, Tag};
use tree::escape;

use super::Outcome;
use super::shared::{Fallible, pull_options, store_path};
use crate::args::{Common, Fsck};
use crate::exit::{Findings, Usage};
use crate::progress::Progress;
use crate::{render, size, terminal};

/// Checks the store, and mends it if that is wanted.
pub(crate) fn run(common: &Common, command: &Fsck) -> Outcome {
    if common.no_store {
        return Err(Usage("there is nothing to check with --no-store".into()).into());
    }
    let path = store_path(common)?;
    let progress = Progress::new(common);
    let depth = if command.quick { Depth::References } else { Depth::Bytes };
    let checked = Checked::new(&path)?;
    let report = check(&checked, depth, &BTreeSet::new(), &progress)?;

    let mut left: Vec<Finding> = report.findings.clone();
    if command.repair && !report.is_clean() {
        checked.repair(&report.findings)?;
        let again = || check(&checked, depth, &report.verified, &progress);
        let store = Store::open(&path)?;
        refetch(&store, &again()?.findings, command, &progress)?;
        left = again()?.findings;
        if command.drop_tags {
            for name in checked.drop_tags(&left)? {
                progress.say(&format!("the name {} is taken away", escape(name.as_bytes())));
            }
            left = again()?.findings;
        }
    }
    drop(progress);

    let mended = |finding: &Finding| !left.contains(finding);
    if command.json {
        terminal::answer_json(&to_json(&report, &left, &mended))?;
    } else {
        terminal::answer(&to_text(&report, &left, &mended, common.quiet))?;
    }
    let bad = left.iter().filter(|finding| finding.severity() != Severity::Note).count();
    if bad == 0 { Ok(()) } else { Err(Findings { of: "store", count: bad }.into()) }
}

fn check(
    checked: &Checked,
    depth: Depth,
    verified: &BTreeSet<Digest>,
    progress: &Progress,
) -> Fallible<Report> {
    let is_outline = |bytes: &[u8]| Outline::unpack(bytes).is_some();
    let told = |done, total| progress.report(Event::Check { done, total });
    let is_rootfs = |file: &File, depth: Depth| match depth {
        Depth::Bytes => reuse::is_whole(file),
        Depth::References => reuse::is_readable(file),
    };
    let (is_outline, is_rootfs) = (&is_outline, &is_rootfs);
    Ok(checked.check(&Options { depth, verified, is_outline, is_rootfs, progress: &told })?)
}

/// Fetches what is missing, for every tag that needs it. What cannot be fetched stays a finding.
fn refetch(store: &Store, findings: &[Finding], command: &Fsck, progress: &Progress) -> Fallible<()> {
    let names: BTreeSet<&str> = findings
        .iter()
        .filter(|finding| matches!(finding, Finding::Missing { .. }))
        .flat_map(Finding::names)
        .collect();
    let options = pull_options(&command.source)?;
    let report = |event: Event| progress.report(event);
    for tag in store.tags()?.iter().filter(|tag| names.contains(tag.reference.to_string().as_str())) {
        let Tag { reference, .. } = tag;
        match pull::refetch(tag, store, &options, &report) {
            Ok(()) => progress.say(&format!("{reference} is whole again")),
            Err(error) => {
                let lines = render::failure(&error);
                lines
                    .iter()
                    .for_each(|line| progress.say(&line.replacen("error", &reference.to_string(), 1)));
            }
        }
    }
    Ok(())
}

fn one_to_json(finding: &Finding, repaired: bool) -> serde_json::Value {
    json!({
        "code": finding.code(),
        "severity": finding.severity().to_string(),
        "message": finding.to_string(),
        "digest": finding.digest(),
        "path": finding.path().map(|path| render::path(path)),
        "names": finding.names().map(|name| escape(name.as_bytes()).to_string()).collect::<Vec<_>>(),
        "remedy": finding.fix().to_string(),
        "repaired": repaired,
    })
}

/// What was found, and what is left of it or has come of it.
fn all<'a>(report: &'a Report, left: &'a [Finding]) -> impl Iterator<Item = &'a Finding> {
    report.findings.iter().chain(left.iter().filter(|finding| !report.findings.contains(finding)))
}

fn to_json(report: &Report, left: &[Finding], mended: &dyn Fn(&Finding) -> bool) -> serde_json::Value {
    let findings: Vec<_> = all(report, left).map(|finding| one_to_json(finding, mended(finding))).collect();
    json!({
        "clean": left.iter().all(|finding| finding.severity() == Severity::Note),
        "blobs": report.blobs,
        "bytes": report.bytes,
        "unneededBlobs": report.unneeded_blobs,
        "unneededBytes": report.unneeded_bytes,
        "rootfs": report.rootfs,
        "rootfsBytes": report.rootfs_bytes,
        "findings": findings,
    })
}

fn to_text(report: &Report, left: &[Finding], mended: &dyn Fn(&Finding) -> bool, quiet: bool) -> String {
    let mut text = String::new();
    for finding in all(report, left) {
        let names: Vec<String> = finding.names().map(|name| escape(name.as_bytes()).to_string()).collect();
        let of = if names.is_empty() { String::new() } else { format!(" (of {})", names.join(", ")) };
        let end = if mended(finding) { "repaired".into() } else { format!("remedy: {}", finding.fix()) };
        text += &format!("{}: {finding}{of}; {end}\n", finding.severity());
    }
    if quiet {
        return text;
    }
    let unneeded = match report.unneeded_blobs {
        0 => String::new(),
        blobs => format!("; {blobs} of them, {}, belong to no name", size::show(report.unneeded_bytes)),
    };
    let rootfs = match report.rootfs {
        0 => String::new(),
        count => format!("; {count} rootfs, {}", size::show(report.rootfs_bytes)),
    };
    let verdict =
        if left.iter().all(|finding| finding.severity() == Severity::Note) { "clean" } else { "not clean" };
    text + &format!("{} blobs, {}{unneeded}{rootfs}: {verdict}\n", report.blobs, size::show(report.bytes))
}
