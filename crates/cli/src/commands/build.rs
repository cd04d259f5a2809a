//! `unlade build`.

use std::io::{self, IsTerminal};
use std::path::Path;
use std::time::Instant;

use ext4::{BlockSize, Headroom, Inodes, Label, Profile, Size};
use oci::Image;
use pipeline::prebuilt::Taken;
use pipeline::{Built, Ext4, Format, Options, Scratch, Target};
use serde_json::json;

use super::Outcome;
use super::shared::{Session, layer_options};
use crate::args::{Build, Common, Ext4Args, FormatKind, ProfileKind};
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
    };

    let session = Session::start(common, &command.image, &command.source)?;
    if command.prefer_prebuilt {
        let image = session.resolve()?;
        if let Some(taken) = session.take_rootfs(&image, &options, &command.output)? {
            let seconds = start.elapsed().as_secs_f64();
            if command.json {
                terminal::answer_json(&taken_json(&taken, &image, &command.output, seconds))?;
            } else {
                taken_summary(&taken, &image, &command.output, seconds)
                    .iter()
                    .for_each(|line| session.say(line));
            }
            return Ok(());
        }
    }
    let mut stdout = io::stdout().lock();
    let built = session.with_image(|image, report| {
        let target = if streamed { Target::Stream(&mut stdout) } else { Target::Path(&command.output) };
        pipeline::build(&session.store, image, &options, target, report)
    })?;
    drop(stdout);

    session.show_notes(&built.notes);
    let seconds = start.elapsed().as_secs_f64();
    if command.json {
        terminal::answer_json(&summary_json(&built, &command.output, seconds))?;
    } else if !common.quiet {
        summary(&built, &command.output, streamed, seconds).iter().for_each(|line| session.say(line));
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

/// The format that was asked for, or that the output's name tells. There is no default: a wrong guess would
/// be found out only at boot.
fn format(command: &Build, streamed: bool, epoch: Option<i64>) -> Result<Format, Usage> {
    let path = &command.output;
    let kind = match command.format {
        Some(kind) => kind,
        None if streamed => FormatKind::Tar,
        None => by_name(path).ok_or_else(|| {
            Usage(format!(
                "\"{}\" does not tell the format: name it .ext4, .img, .tar or DIR/, or say --format",
                path.display()
            ))
        })?,
    };
    match kind {
        FormatKind::Tar => Ok(Format::Tar),
        FormatKind::Dir if streamed => Err(Usage("a directory cannot go to standard output".into())),
        FormatKind::Ext4 if streamed => {
            Err(Usage("an ext4 filesystem cannot be written front to back: name a file".into()))
        }
        FormatKind::Dir => Ok(Format::Directory),
        FormatKind::Ext4 => Ok(Format::Ext4(ext4_options(&command.filesystem, epoch)?)),
    }
}

fn by_name(path: &Path) -> Option<FormatKind> {
    let text = path.as_os_str().to_string_lossy();
    if text.ends_with('/') || path.is_dir() {
        return Some(FormatKind::Dir);
    }
    match path.extension()?.to_str()? {
        "ext4" | "img" => Some(FormatKind::Ext4),
        "tar" => Some(FormatKind::Tar),
        _ => None,
    }
}

/// What the arguments say of an ext4 filesystem.
pub(crate) fn ext4_options(args: &Ext4Args, epoch: Option<i64>) -> Result<Ext4, Usage> {
    let uuid = match &args.uuid {
        Some(text) => Some(parse_uuid(text)?),
        None => None,
    };
    let options = ext4::Options {
        profile: match args.profile {
            ProfileKind::Rw => Profile::ReadWrite,
            ProfileKind::Compat => Profile::Compatible,
            ProfileKind::Ro => Profile::ReadOnly,
        },
        block_size: match args.block_size.as_str() {
            "1024" => BlockSize::B1024,
            "2048" => BlockSize::B2048,
            _ => BlockSize::B4096,
        },
        size: match (args.size, args.free) {
            (Some(bytes), _) => Size::Total(bytes),
            (None, Some(bytes)) => Size::Free(bytes),
            (None, None) => Size::Auto(Headroom::Default),
        },
        journal: !args.no_journal,
        inodes: args.inodes.map_or(Inodes::Auto, Inodes::Total),
        reserved_percent: args.reserved,
        label: Label::parse(args.label.as_bytes()).map_err(|error| Usage(format!("--label: {error}")))?,
        created: epoch.unwrap_or(0),
        ..ext4::Options::default()
    };
    Ok(Ext4 { options, uuid })
}

/// Reads `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`.
fn parse_uuid(text: &str) -> Result<[u8; 16], Usage> {
    let wrong = || Usage(format!("\"{}\" is no UUID", text.escape_debug()));
    let groups: Vec<usize> = text.split('-').map(str::len).collect();
    if groups != [8, 4, 4, 4, 12] {
        return Err(wrong());
    }
    let digits: Option<Vec<u8>> =
        text.chars().filter(|c| *c != '-').map(|c| c.to_digit(16).map(|digit| digit as u8)).collect();
    let bytes: Vec<u8> = digits.ok_or_else(wrong)?.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    bytes.try_into().map_err(|_| wrong())
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
    if let Some(filesystem) = &built.filesystem {
        lines.push(format!(
            "ext4 of {}, {} free, {} of {} inodes free, UUID {}",
            size::show(built.output_bytes),
            size::show(filesystem.free_blocks * u64::from(filesystem.block_size)),
            filesystem.free_inodes,
            filesystem.inodes,
            render::uuid(&filesystem.uuid),
        ));
    }
    let unkept = &built.unkept;
    if unkept.owners + unkept.devices + unkept.xattrs > 0 {
        lines.push(format!(
            "not kept, for lack of permission: {} owners, {} devices, {} extended attributes \
             (owners and devices are recorded in user.containers.override_stat)",
            unkept.owners, unkept.devices, unkept.xattrs
        ));
    }
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

/// The same document as for a build. What only a build knows is null.
fn taken_json(taken: &Taken, image: &Image, output: &Path, seconds: f64) -> serde_json::Value {
    json!({
        "output": render::path(output),
        "manifest": image.descriptor.digest,
        "prebuilt": taken.artifact,
        "layers": image.manifest.layers.len(),
        "names": null,
        "contentBytes": null,
        "outputBytes": taken.size,
        "scratchBytes": 0,
        "seconds": seconds,
        "filesystem": null,
        "unkept": { "owners": 0, "devices": 0, "xattrs": 0 },
        "notes": [],
    })
}

fn summary_json(built: &Built, output: &Path, seconds: f64) -> serde_json::Value {
    let notes: Vec<_> = built
        .notes
        .counts()
        .map(|(remark, count)| json!({ "remark": remark.to_string(), "count": count }))
        .collect();
    json!({
        "output": render::path(output),
        "manifest": built.manifest,
        "prebuilt": null,
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
        })),
        "unkept": {
            "owners": built.unkept.owners,
            "devices": built.unkept.devices,
            "xattrs": built.unkept.xattrs,
        },
        "notes": notes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids() {
        let text = "01234567-89ab-cdef-0123-456789ABCDEF";
        let uuid = parse_uuid(text).unwrap();
        assert_eq!(render::uuid(&uuid), text.to_lowercase());
        for wrong in ["", "0123456789abcdef0123456789abcdef", "01234567-89ab-cdef-0123-456789abcdeg"] {
            assert!(parse_uuid(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn formats_by_name() {
        for (name, kind) in [
            ("a.ext4", Some(FormatKind::Ext4)),
            ("a.img", Some(FormatKind::Ext4)),
            ("d/a.tar", Some(FormatKind::Tar)),
            ("d/", Some(FormatKind::Dir)),
            ("a.tar.gz", None),
            ("rootfs", None),
        ] {
            assert_eq!(by_name(Path::new(name)), kind, "{name}");
        }
    }
}
