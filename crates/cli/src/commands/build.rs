//! `unlade build`.

mod disk;
mod format;
mod mount;
mod verity;

use std::io::{self, IsTerminal};
use std::path::Path;
use std::time::Instant;

use hash::Digest;
use oci::Image;
use pipeline::gpt::Table;
use pipeline::prebuilt::Taken;
use pipeline::reuse::{self, Reused};
use pipeline::{Built, Options, Scratch, Target};
use serde_json::{Value, json};

use self::format::format;
pub(crate) use self::format::of_kind;
use super::Outcome;
use super::shared::{Fallible, Session, layer_options, unkept};
use crate::args::{Build, Common};
use crate::exit::Usage;
use crate::{render, size, terminal};

/// Builds a rootfs.
pub(crate) fn run(common: &Common, command: &Build) -> Outcome {
    let start = Instant::now();
    let streamed = command.output.as_os_str() == "-";
    if streamed && command.json {
        return Err(Usage("standard output cannot hold the tarball and the JSON summary".into()).into());
    }
    if streamed && io::stdout().is_terminal() {
        return Err(Usage("standard output is a terminal: redirect it, or name a file".into()).into());
    }
    verity::check(command)?;
    let epoch = source_date_epoch()?;
    let latest_mtime = latest_mtime(command.clamp_mtime, epoch)?;
    if command.prefer_prebuilt && streamed {
        return Err(Usage("--prefer-prebuilt needs a file to write".into()).into());
    }
    let options = Options {
        format: format(command, streamed, epoch)?,
        layers: layer_options(&command.layers),
        latest_mtime,
        scratch: match &command.scratch {
            Some(directory) => Scratch::In(directory.clone()),
            None if command.no_scratch => Scratch::Nowhere,
            None => Scratch::Beside,
        },
        allow_empty: command.allow_empty,
        remember: command.cache,
    };
    if command.cache {
        check_cache(common, streamed, &options)?;
    }

    let session = Session::start(common, &command.image, &command.source)?;
    if command.cache {
        let image = session.resolve()?;
        if let Some(reused) = session.reuse_rootfs(&image, &options, &command.output)? {
            let framed = Framed::find(command, (&image.descriptor.digest, &options), reused.size, &session)?;
            let seconds = start.elapsed().as_secs_f64();
            if command.json {
                let summary = reused_json(&reused, &image, &command.output, seconds);
                terminal::answer_json(&framed.in_summary(summary))?;
            } else {
                reused_summary(&reused, &image, &command.output, seconds)
                    .iter()
                    .for_each(|line| session.say(line));
            }
            return Ok(());
        }
    }
    if command.prefer_prebuilt {
        let image = session.resolve()?;
        if let Some(taken) = session.take_rootfs(&image, &options, &command.output)? {
            let framed = Framed::find(command, (&image.descriptor.digest, &options), taken.size, &session)?;
            let seconds = start.elapsed().as_secs_f64();
            if command.json {
                let summary = taken_json(&taken, &image, &command.output, seconds);
                terminal::answer_json(&framed.in_summary(summary))?;
            } else {
                taken_summary(&taken, &image, &command.output, seconds)
                    .iter()
                    .for_each(|line| session.say(line));
            }
            return Ok(());
        }
    }
    let mut stdout = io::stdout().lock();
    let target = if streamed { Target::Stream(&mut stdout) } else { Target::Path(&command.output) };
    let built = session.build(&options, target)?;
    drop(stdout);

    let framed = Framed::find(command, (&built.manifest, &options), built.output_bytes, &session)?;
    session.show_notes(&built.notes);
    if let Some(error) = &built.not_remembered {
        let text = render::in_one_line(error.as_ref());
        session.say(&format!("note: it could not be left in the store: {text}"));
    }
    let seconds = start.elapsed().as_secs_f64();
    if command.json {
        let summary = summary_json(&built, &command.output, seconds);
        terminal::answer_json(&framed.in_summary(summary))?;
    } else if !common.quiet {
        summary(&built, &command.output, streamed, seconds).iter().for_each(|line| session.say(line));
    }
    Ok(())
}

/// What there is around the filesystem of a rootfs.
struct Framed {
    table: Option<Table>,
    verity: Option<verity::Finished>,
}

impl Framed {
    /// Finds it in a rootfs of so many bytes, and says what it is.
    fn find(
        command: &Build,
        built_from: (&Digest, &Options),
        size: u64,
        session: &Session,
    ) -> Fallible<Framed> {
        let table = disk::finish(command, session)?;
        let verity = verity::finish(command, built_from, (size, table.as_ref()), session)?;
        Ok(Framed { table, verity })
    }

    fn in_summary(&self, summary: Value) -> Value {
        let summary = verity::in_summary(summary, self.verity.as_ref());
        disk::in_summary(summary, self.table.as_ref())
    }
}

/// Refuses `--cache` where there is no file, or no store, to keep.
fn check_cache(common: &Common, streamed: bool, options: &Options) -> Result<(), Usage> {
    if streamed {
        return Err(Usage("--cache needs a file to write".into()));
    }
    if !reuse::is_rememberable(&options.format) {
        return Err(Usage("--cache is for files: a directory is built each time".into()));
    }
    if common.no_store {
        return Err(Usage("--cache keeps the rootfs in the store, and --no-store keeps nothing".into()));
    }
    Ok(())
}

/// The latest time that the arguments allow.
pub(crate) fn latest_mtime(clamp: bool, epoch: Option<i64>) -> Result<Option<i64>, Usage> {
    match epoch {
        None if clamp => Err(Usage("--clamp-mtime needs SOURCE_DATE_EPOCH in the environment".into())),
        epoch => Ok(epoch.filter(|_| clamp)),
    }
}

/// `SOURCE_DATE_EPOCH`, if it is set.
pub(crate) fn source_date_epoch() -> Result<Option<i64>, Usage> {
    match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) if text.is_empty() => Ok(None),
        Ok(text) => match text.parse() {
            Ok(seconds) => Ok(Some(seconds)),
            Err(_) => Err(Usage(format!("SOURCE_DATE_EPOCH is \"{}\", not a number", text.escape_debug()))),
        },
        Err(_) => Ok(None),
    }
}

fn summary(built: &Built, output: &Path, streamed: bool, seconds: f64) -> Vec<String> {
    let name = if streamed { "standard output".into() } else { output.display().to_string() };
    let mut lines = vec![format!(
        "{name}: {} names, {} of content, from {} layer{} of {}",
        built.names,
        size::show(built.content_bytes),
        built.layers,
        if built.layers == 1 { "" } else { "s" },
        built.manifest,
    )];
    if let Some(filesystem) = &built.filesystem
        && let Some(kernel) = filesystem.needs_kernel
    {
        lines.push(format!(
            "EROFS of {}, {} inodes, for Linux {kernel} and newer, UUID {}",
            size::show(filesystem.size),
            filesystem.inodes,
            render::uuid(&filesystem.uuid),
        ));
        lines.extend(mount::lines(&filesystem.devices, output));
    } else if let Some(filesystem) = &built.filesystem {
        lines.push(format!(
            "ext4 of {}, {} free, {} of {} inodes free, UUID {}",
            size::show(filesystem.size),
            size::show(filesystem.free_blocks * u64::from(filesystem.block_size)),
            filesystem.free_inodes,
            filesystem.inodes,
            render::uuid(&filesystem.uuid),
        ));
    }
    lines.extend(unkept(&built.unkept));
    lines.push(format!("{seconds:.2} s, {} of scratch space", size::show(built.scratch_bytes)));
    lines
}

fn taken_summary(taken: &Taken, image: &Image, output: &Path, seconds: f64) -> Vec<String> {
    vec![
        format!(
            "{}: {}, built by somebody else from {} (prebuilt rootfs {})",
            output.display(),
            size::show(taken.size),
            image.descriptor.digest,
            taken.artifact
        ),
        format!("{seconds:.2} s, {} fetched", size::show(taken.packed)),
    ]
}

fn reused_summary(reused: &Reused, image: &Image, output: &Path, seconds: f64) -> Vec<String> {
    vec![
        format!(
            "{}: {}, built before from {} and left in the store",
            output.display(),
            size::show(reused.size),
            image.descriptor.digest,
        ),
        format!("{seconds:.2} s"),
    ]
}

/// The same document as for a build. What only a build knows is null.
fn taken_json(taken: &Taken, image: &Image, output: &Path, seconds: f64) -> Value {
    let mut summary = unbuilt_json(image, output, taken.size, seconds);
    summary["prebuilt"] = json!(taken.artifact);
    summary
}

/// Likewise.
fn reused_json(reused: &Reused, image: &Image, output: &Path, seconds: f64) -> Value {
    let mut summary = unbuilt_json(image, output, reused.size, seconds);
    summary["cached"] = json!(true);
    summary
}

fn unbuilt_json(image: &Image, output: &Path, size: u64, seconds: f64) -> Value {
    json!({
        "output": render::path(output),
        "manifest": image.descriptor.digest,
        "prebuilt": null,
        "cached": false,
        "layers": image.manifest.layers.len(),
        "names": null,
        "contentBytes": null,
        "outputBytes": size,
        "scratchBytes": 0,
        "seconds": seconds,
        "filesystem": null,
        "unkept": { "owners": 0, "devices": 0, "xattrs": 0 },
        "notes": [],
    })
}

fn summary_json(built: &Built, output: &Path, seconds: f64) -> Value {
    let notes: Vec<_> = built
        .notes
        .counts()
        .map(|(remark, count)| json!({ "remark": remark.to_string(), "count": count }))
        .collect();
    json!({
        "output": render::path(output),
        "manifest": built.manifest,
        "prebuilt": null,
        "cached": false,
        "layers": built.layers,
        "names": built.names,
        "contentBytes": built.content_bytes,
        "outputBytes": built.output_bytes,
        "scratchBytes": built.scratch_bytes,
        "seconds": seconds,
        "filesystem": built.filesystem.as_ref().map(|filesystem| json!({
            "uuid": render::uuid(&filesystem.uuid),
            "blockSize": filesystem.block_size,
            "freeBlocks": filesystem.free_blocks,
            "inodes": filesystem.inodes,
            "freeInodes": filesystem.free_inodes,
            "needsKernel": filesystem.needs_kernel.map(|kernel| kernel.to_string()),
            "devices": filesystem.devices.iter().map(mount::json).collect::<Vec<_>>(),
        })),
        "unkept": {
            "owners": built.unkept.owners,
            "devices": built.unkept.devices,
            "xattrs": built.unkept.xattrs,
        },
        "notes": notes,
    })
}
