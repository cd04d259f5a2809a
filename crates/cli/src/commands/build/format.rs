//! What is written, and how: the format, and what the arguments say of it.

use std::path::Path;

use erofs::{Contents, Sharing, Tails};
use ext4::{BlockSize, Headroom, Inodes, Label, Profile, Size};
use pipeline::gpt::Sector;
use pipeline::{Erofs, Ext4, Format, Frame, Packing};

use crate::args::{Build, Dedupe, Ext4Args, FilesystemArgs, FormatArgs, FormatKind, ProfileKind};
use crate::exit::Usage;

/// The format that was asked for, or that the output's name tells. There is no default: a wrong guess would
/// be found out only at boot.
pub(super) fn format(command: &Build, streamed: bool, epoch: Option<i64>) -> Result<Format, Usage> {
    let path = &command.output;
    let kind = match command.format {
        Some(kind) => kind,
        None if streamed => FormatKind::Tar,
        None if is_squashfs(path) => {
            return Err(Usage(format!(
                "SquashFS is not written: {} would be EROFS, which is read-only as well, and small with --compress",
                path.with_extension("erofs").display()
            )));
        }
        None => by_name(path).ok_or_else(|| {
            Usage(format!(
                "\"{}\" does not tell the format: name it .ext4, .img, .erofs, .tar, .cpio (also .gz, .zst) or DIR/, or say --format",
                path.display()
            ))
        })?,
    };
    match kind {
        FormatKind::Dir if streamed => Err(Usage("a directory cannot go to standard output".into())),
        FormatKind::Ext4 if streamed => {
            Err(Usage("an ext4 filesystem cannot be written front to back: name a file".into()))
        }
        FormatKind::Erofs if streamed => {
            Err(Usage("an EROFS filesystem cannot be written front to back: name a file".into()))
        }
        kind => {
            let format = of_kind(kind, &command.formats, epoch)?;
            match &command.erofs_index {
                Some(directory) => index(format, directory, command),
                None => Ok(format),
            }
        }
    }
}

/// The format of an index whose contents stay in tarballs.
fn index(format: Format, directory: &Path, command: &Build) -> Result<Format, Usage> {
    let Format::Erofs(mut erofs) = format else {
        return Err(Usage("--erofs-index is for an EROFS filesystem: name the output .erofs".into()));
    };
    if !["512", "4096"].contains(&command.formats.common.block_size.as_str()) {
        return Err(Usage("--erofs-index: an index has blocks of 512 bytes, as tarballs have".into()));
    }
    erofs.options.block_size = erofs::BlockSize::B512;
    erofs.options.contents = Contents::OnDevices;
    erofs.options.check().map_err(|error| Usage(format!("--erofs-index: {error}")))?;
    Ok(Format::Erofs(Erofs { tarballs: Some(directory.into()), ..erofs }))
}

/// A format with what the arguments say of it.
pub(crate) fn of_kind(kind: FormatKind, args: &FormatArgs, epoch: Option<i64>) -> Result<Format, Usage> {
    let wants_tree = args.common.verity || args.common.verity_tree.is_some();
    if wants_tree && !matches!(kind, FormatKind::Ext4 | FormatKind::Erofs) {
        return Err(Usage(
            "--verity is for filesystems, which are read block by block: ext4 and EROFS".into(),
        ));
    }
    if args.common.gpt && !matches!(kind, FormatKind::Ext4 | FormatKind::Erofs) {
        return Err(Usage("--gpt is for what can be a partition: ext4 and EROFS filesystems".into()));
    }
    Ok(match kind {
        FormatKind::Ext4 => Format::Ext4(ext4_options(&args.common, &args.ext4, epoch)?),
        FormatKind::Erofs => Format::Erofs(erofs_options(args)?),
        FormatKind::Tar => Format::Tar(Packing::None),
        FormatKind::TarGz => Format::Tar(Packing::Gzip),
        FormatKind::TarZst => Format::Tar(Packing::Zstd),
        FormatKind::Cpio => Format::Cpio(Packing::None),
        FormatKind::CpioGz => Format::Cpio(Packing::Gzip),
        FormatKind::CpioZst => Format::Cpio(Packing::Zstd),
        FormatKind::Dir => Format::Directory,
    })
}

/// Whether the name is one of SquashFS, which has no writer that keeps all that an image has
/// (`docs/decisions/010-squashfs.md`).
fn is_squashfs(path: &Path) -> bool {
    let ends = ["squashfs", "sqfs", "sfs", "sqsh"];
    path.extension().is_some_and(|end| ends.iter().any(|known| end == *known))
}

fn by_name(path: &Path) -> Option<FormatKind> {
    let text = path.as_os_str().to_string_lossy();
    if text.ends_with('/') || path.is_dir() {
        return Some(FormatKind::Dir);
    }
    let ends = [
        (".ext4", FormatKind::Ext4),
        (".img", FormatKind::Ext4),
        (".erofs", FormatKind::Erofs),
        (".tar", FormatKind::Tar),
        (".tar.gz", FormatKind::TarGz),
        (".tgz", FormatKind::TarGz),
        (".tar.zst", FormatKind::TarZst),
        (".cpio", FormatKind::Cpio),
        (".cpio.gz", FormatKind::CpioGz),
        (".cpio.zst", FormatKind::CpioZst),
    ];
    let name = path.file_name()?.to_string_lossy();
    ends.iter().find(|(end, _)| name.len() > end.len() && name.ends_with(end)).map(|(_, kind)| *kind)
}

fn ext4_options(common: &FilesystemArgs, args: &Ext4Args, epoch: Option<i64>) -> Result<Ext4, Usage> {
    let options = ext4::Options {
        profile: match args.profile {
            ProfileKind::Rw => Profile::ReadWrite,
            ProfileKind::Compat => Profile::Compatible,
            ProfileKind::Ro => Profile::ReadOnly,
        },
        block_size: match common.block_size.as_str() {
            "512" => return Err(Usage("--block-size 512: ext4 has blocks of 1024 bytes and more".into())),
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
        label: Label::parse(common.label.as_bytes()).map_err(|error| Usage(format!("--label: {error}")))?,
        created: epoch.unwrap_or(0),
        ..ext4::Options::default()
    };
    let frame = frame(common, options.block_size.bytes())?;
    Ok(Ext4 { options, uuid: uuid(common)?, frame })
}

fn erofs_options(args: &FormatArgs) -> Result<Erofs, Usage> {
    let FormatArgs { common, ext4, erofs: args } = args;
    if ext4.size.is_some() || ext4.free.is_some() || ext4.inodes.is_some() {
        return Err(Usage("an EROFS filesystem is as large as what it holds: nothing can be free".into()));
    }
    if args.compress.0.is_none() {
        for (given, name) in [
            (args.erofs_cluster_size.is_some(), "--erofs-cluster-size"),
            (!args.compress_exclude.is_empty(), "--compress-exclude"),
            (args.fragments, "--fragments"),
        ] {
            if given {
                return Err(Usage(format!("{name} says how contents are compressed: say --compress, too")));
            }
        }
    }
    let label = erofs::Label::parse(common.label.as_bytes());
    let options = erofs::Options {
        min_kernel: args.erofs_min_kernel,
        block_size: match common.block_size.as_str() {
            "512" => erofs::BlockSize::B512,
            "1024" => erofs::BlockSize::B1024,
            "2048" => erofs::BlockSize::B2048,
            _ => erofs::BlockSize::B4096,
        },
        compression: args.compress.0.map(|algorithm| erofs::Compression {
            algorithm,
            cluster: args.erofs_cluster_size.unwrap_or(erofs::ClusterSize::for_kernel(args.erofs_min_kernel)),
        }),
        tails: match (args.no_inline, args.fragments) {
            (true, _) => Tails::Blocks,
            (_, true) => Tails::Packed,
            (false, false) => Tails::Inline,
        },
        sharing: match args.dedupe {
            None => Sharing::None,
            Some(Dedupe::Files) => Sharing::Files,
            Some(Dedupe::Chunks) => Sharing::Chunks,
        },
        label: label.map_err(|error| Usage(format!("--label: {error}")))?,
        ..erofs::Options::default()
    };
    options.check().map_err(|error| Usage(error.to_string()))?;
    let frame = frame(common, options.block_size.bytes())?;
    Ok(Erofs {
        options,
        compress_exclude: args.compress_exclude.clone(),
        uuid: uuid(common)?,
        frame,
        tarballs: None,
    })
}

fn frame(common: &FilesystemArgs, block: u32) -> Result<Frame, Usage> {
    let sector = if common.sector_size == "4096" { Sector::B4096 } else { Sector::B512 };
    let frame = Frame { verity: common.verity, gpt: common.gpt.then_some(sector) };
    frame.check_blocks(block).map_err(|error| Usage(error.to_string()))?;
    Ok(frame)
}

fn uuid(common: &FilesystemArgs) -> Result<Option<[u8; 16]>, Usage> {
    common.uuid.as_deref().map(parse_uuid).transpose()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render;

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
            ("a.erofs", Some(FormatKind::Erofs)),
            ("d/a.tar", Some(FormatKind::Tar)),
            ("d/", Some(FormatKind::Dir)),
            ("a.tar.gz", Some(FormatKind::TarGz)),
            ("a.b.tgz", Some(FormatKind::TarGz)),
            ("a.tar.zst", Some(FormatKind::TarZst)),
            ("initramfs.cpio", Some(FormatKind::Cpio)),
            ("initramfs.cpio.gz", Some(FormatKind::CpioGz)),
            ("initramfs.cpio.zst", Some(FormatKind::CpioZst)),
            ("a.gz", None),
            (".tar", None),
            ("rootfs", None),
        ] {
            assert_eq!(by_name(Path::new(name)), kind, "{name}");
        }
    }

    #[test]
    fn squashfs_by_name() {
        for (name, known) in
            [("a.squashfs", true), ("d/a.sqfs", true), ("a.erofs", false), ("squashfs", false)]
        {
            assert_eq!(is_squashfs(Path::new(name)), known, "{name}");
        }
    }
}
