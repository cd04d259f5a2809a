//! What the caller decides about a build.

use std::io::{Error as IoError, ErrorKind, Write};
use std::path::{Path, PathBuf};

use erofs::{Compression, Sharing, Tails};
use ext4::{Headroom, Inodes, Profile, Size};
use oci::Image;

use crate::directory;
use crate::error::Error;
use crate::frame::Frame;
use crate::glob::Glob;
use crate::layers;
use crate::publish::{self, Unpublished};

/// What the caller decides about a build.
#[derive(Debug, Clone)]
pub struct Options {
    /// What is written.
    pub format: Format,
    /// How the layers are read.
    pub layers: layers::Options,
    /// No time in the rootfs is later than this, in seconds since 1970.
    pub latest_mtime: Option<i64>,
    /// Where contents wait to be written.
    pub scratch: Scratch,
    /// Whether an image without any file is built rather than refused.
    pub allow_empty: bool,
    /// Whether what is built is left in the store for [`reuse`](crate::reuse::reuse): a file alone can be.
    pub remember: bool,
}

impl Options {
    /// All that decides the bytes of the output beside the image, as text.
    ///
    /// Identifiers are derived from it, and machines compare it with each other: what is spelled here in one way is
    /// spelled so for ever, and what is added gets words of its own only where it is not as it always was.
    pub(crate) fn spelled(&self) -> String {
        // What only bounds or speeds up the reading does not change what is read.
        let read = &self.layers.read;
        let kept = |kept: bool| if kept { "kept" } else { "dropped" };
        let latest = self.latest_mtime.map_or("none".into(), |seconds| seconds.to_string());
        format!(
            "{} devices={} overlay-xattrs={} selinux={} rootless-xattrs={} lazy-metadata={} latest-mtime={latest}",
            self.format.spelled(),
            kept(!read.drop_devices),
            kept(read.keep_overlay_xattrs),
            kept(read.keep_selinux),
            kept(read.keep_rootless_xattrs),
            kept(read.keep_lazy_pull_metadata),
        )
    }
}

/// Where contents wait to be written, in a build that does not know its layers yet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Scratch {
    /// Beside the output, so that they can be reflinked; where temporary files go if that is no place for them.
    #[default]
    Beside,
    /// In this directory.
    In(PathBuf),
    /// Nowhere: the layers are read twice. Not for a directory, a stream, a device, or an image that has a
    /// layer twice; their contents wait as by default.
    Nowhere,
}

/// What a rootfs is written as.
#[derive(Debug, Clone)]
pub enum Format {
    /// An ext4 filesystem.
    Ext4(Ext4),
    /// An EROFS filesystem.
    Erofs(Erofs),
    /// A tarball.
    Tar(Packing),
    /// A cpio archive, as Linux unpacks it into its first root (an initramfs).
    Cpio(Packing),
    /// A directory of the host.
    Directory,
}

impl Format {
    /// One word for it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Format::Ext4(_) => "ext4",
            Format::Erofs(_) => "erofs",
            Format::Tar(_) => "tar",
            Format::Cpio(_) => "cpio",
            Format::Directory => "directory",
        }
    }

    fn spelled(&self) -> String {
        match self {
            Format::Ext4(options) => format!("ext4 {}", options.spelled()),
            Format::Erofs(options) => format!("erofs {}", options.spelled()),
            Format::Tar(packing) | Format::Cpio(packing) => format!("{}{}", self.name(), packing.suffix()),
            Format::Directory => self.name().into(),
        }
    }

    /// What there is around it, if it is a filesystem, and bytes of its blocks.
    pub(crate) fn framed(&self) -> Option<(Frame, u32)> {
        match self {
            Format::Ext4(ext4) => Some((ext4.frame, ext4.options.block_size.bytes())),
            Format::Erofs(erofs) => Some((erofs.frame, erofs.options.block_size.bytes())),
            _ => None,
        }
    }

    /// Whether it can be written front to back.
    fn is_stream(&self) -> bool {
        matches!(self, Format::Tar(_) | Format::Cpio(_))
    }
}

/// How an archive is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// Not at all.
    None,
    /// With gzip.
    Gzip,
    /// With zstd.
    Zstd,
}

impl Packing {
    /// What a file's name ends in.
    fn suffix(self) -> &'static str {
        match self {
            Packing::None => "",
            Packing::Gzip => ".gz",
            Packing::Zstd => ".zst",
        }
    }
}

/// What the caller decides about an ext4 filesystem.
#[derive(Debug, Clone, Default)]
pub struct Ext4 {
    /// All but the identifiers.
    pub options: ext4::Options,
    /// The UUID, if it is not to be derived.
    pub uuid: Option<[u8; 16]>,
    /// What there is around it.
    pub frame: Frame,
}

impl Ext4 {
    fn spelled(&self) -> String {
        // The identifiers among the options are derived from this text. What else there is has a word here.
        let ext4::Options {
            profile,
            block_size,
            size,
            journal,
            journal_max,
            inodes,
            reserved_percent,
            label,
            uuid: _,
            hash_seed: _,
            created,
        } = &self.options;
        let profile = match profile {
            Profile::ReadWrite => "rw",
            Profile::Compatible => "compat",
            Profile::ReadOnly => "ro",
        };
        let size = match size {
            Size::Auto(Headroom::Default) => "auto".into(),
            Size::Auto(Headroom::Bytes(bytes)) => format!("auto+{bytes}"),
            Size::Auto(Headroom::Percent(percent)) => format!("auto+{percent}%"),
            Size::Total(bytes) => bytes.to_string(),
            Size::Free(bytes) => format!("free+{bytes}"),
        };
        let inodes = match inodes {
            Inodes::Auto => "auto".into(),
            Inodes::Free(count) => format!("free+{count}"),
            Inodes::Total(count) => count.to_string(),
        };
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        format!(
            "profile={profile} block-size={} size={size} journal={} journal-max={} inodes={inodes} \
             reserved={reserved_percent}% label={} uuid={} created={created}{}",
            block_size.bytes(),
            if *journal { "yes" } else { "no" },
            journal_max.map_or("none".into(), |bytes| bytes.to_string()),
            hex(label.as_bytes()),
            self.uuid.map_or("derived".into(), |uuid| hex(&uuid)),
            self.frame.spelled(),
        )
    }
}

/// What the caller decides about an EROFS filesystem.
#[derive(Debug, Clone, Default)]
pub struct Erofs {
    /// All but the identifier.
    pub options: erofs::Options,
    /// Files that are not compressed.
    pub compress_exclude: Vec<Glob>,
    /// The UUID, if it is not to be derived.
    pub uuid: Option<[u8; 16]>,
    /// What there is around it.
    pub frame: Frame,
    /// Where the layers' tarballs go if contents stay in them ([`erofs::Contents::OnDevices`]).
    pub tarballs: Option<PathBuf>,
}

impl Erofs {
    fn spelled(&self) -> String {
        // The identifier among the options is derived from this text. What else there is has a word here.
        let erofs::Options {
            min_kernel,
            block_size,
            tails,
            contents,
            sharing,
            addresses,
            compression,
            label,
            uuid: _,
        } = &self.options;
        let contents = match contents {
            erofs::Contents::Here => "",
            erofs::Contents::OnDevices => " contents=layers",
        };
        let tails = match tails {
            Tails::Inline => "inline",
            Tails::Blocks => "blocks",
            Tails::Packed => "packed",
        };
        // A later option, so that builds without it keep their spelling.
        let sharing = match sharing {
            Sharing::None => "",
            Sharing::Files => " sharing=files",
            Sharing::Chunks => " sharing=chunks",
        };
        let addresses = match addresses {
            erofs::Addresses::AsNeeded => "",
            erofs::Addresses::Wide => " addresses=wide",
        };
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let mut compressed = compression.as_ref().map_or_else(String::new, spelled_compression);
        if compression.is_some() {
            let globs = self.compress_exclude.iter();
            globs.for_each(|glob| compressed += &format!(" exclude={}", hex(glob.to_string().as_bytes())));
        }
        format!(
            "min-kernel={min_kernel} block-size={} tails={tails}{contents}{sharing}{addresses}{compressed} label={} uuid={}{}",
            block_size.bytes(),
            hex(label.as_bytes()),
            self.uuid.map_or("derived".into(), |uuid| hex(&uuid)),
            self.frame.spelled(),
        )
    }
}

fn spelled_compression(compression: &Compression) -> String {
    let Compression { algorithm, cluster } = compression;
    format!(" compress={algorithm} cluster={}", cluster.bytes())
}

/// Where a rootfs goes.
pub enum Target<'a> {
    /// A file, a block device, or for [`Format::Directory`] a directory.
    Path(&'a Path),
    /// Anything that takes bytes in order.
    Stream(&'a mut dyn Write),
}

impl Target<'_> {
    /// The same target, for one of several attempts.
    pub fn again(&mut self) -> Target<'_> {
        match self {
            Target::Path(path) => Target::Path(path),
            Target::Stream(stream) => Target::Stream(*stream),
        }
    }
}

/// Refuses what cannot work before any work is done.
pub(crate) fn check_target(options: &Options, image: &Image, target: &Target<'_>) -> Result<(), Error> {
    let invalid = |text: &str| IoError::new(ErrorKind::InvalidInput, text);
    if let Format::Erofs(erofs) = &options.format {
        erofs.options.check().map_err(Error::Erofs)?;
    }
    if let Some((frame, block)) = options.format.framed() {
        frame.check_blocks(block)?;
        frame.check_image(image)?;
        if let Target::Path(path) = target {
            let checked = frame.check_device(path);
            checked.map_err(|cause| Error::Output { path: path.to_path_buf(), cause })?;
        }
    }
    match (&options.format, target) {
        (format, Target::Stream(_)) if format.is_stream() => Ok(()),
        (_, Target::Stream(_)) => Err(Error::Stream(invalid("only an archive can be written front to back"))),
        (Format::Directory, Target::Path(path)) => {
            directory::check_free(path).map_err(|cause| Error::Output { path: path.to_path_buf(), cause })
        }
        (_, Target::Path(path)) => {
            let checked = Unpublished::check(path).map(|_is_device| ());
            checked.map_err(|cause| Error::Output { path: path.to_path_buf(), cause })
        }
    }
}

/// Whether contents can be put into their places in any order. Not on a device: what is written there in place
/// must not look like a filesystem before it is one, and the writer puts its mark last.
pub(crate) fn may_place(options: &Options, target: &Target<'_>) -> Result<bool, Error> {
    match (&options.format, target) {
        // Compressed contents have no place before they are compressed, nor files before it is known which are equal; others
        // get none.
        (Format::Erofs(erofs), _)
            if erofs.options.compression.is_some()
                || erofs.options.sharing != Sharing::None
                || erofs.tarballs.is_some() =>
        {
            Ok(false)
        }
        (Format::Tar(packing) | Format::Cpio(packing), _) if *packing != Packing::None => Ok(false),
        (Format::Directory, _) | (_, Target::Stream(_)) => Ok(false),
        (_, Target::Path(path)) => {
            let device = Unpublished::check(path);
            device.map(|device| !device).map_err(|cause| Error::Output { path: path.to_path_buf(), cause })
        }
    }
}

/// Where the layers' tarballs go, if contents stay in them.
pub(crate) fn tarballs_directory(options: &Options) -> Option<&Path> {
    match &options.format {
        Format::Erofs(erofs) => erofs.tarballs.as_deref(),
        _ => None,
    }
}

/// Where contents wait: where the caller says, else beside a file that is written.
pub(crate) fn scratch_directory(options: &Options, target: &Target<'_>) -> PathBuf {
    match &options.scratch {
        Scratch::In(directory) => directory.clone(),
        _ => beside(target),
    }
}

/// The directory of a file that is written, or else where temporary files go.
pub(crate) fn beside(target: &Target<'_>) -> PathBuf {
    match target {
        Target::Path(path) if !path.starts_with("/dev") => publish::directory_of(path).into(),
        _ => std::env::temp_dir(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpt::Sector;

    /// What other machines and other versions compare: these lines never change, or the version of what is written
    /// (`prebuilt::VERSION`) does.
    #[test]
    fn spelled_for_ever() {
        let usual = Options {
            format: Format::Ext4(Ext4::default()),
            layers: layers::Options::default(),
            latest_mtime: None,
            scratch: Scratch::Beside,
            allow_empty: false,
            remember: false,
        };
        let read = "devices=kept overlay-xattrs=dropped selinux=dropped rootless-xattrs=dropped \
                    lazy-metadata=dropped latest-mtime=none";
        assert_eq!(
            usual.spelled(),
            format!(
                "ext4 profile=rw block-size=4096 size=auto journal=yes journal-max=none inodes=auto reserved=0% label= \
                 uuid=derived created=0 {read}"
            )
        );
        let tar = Options { format: Format::Tar(Packing::None), ..usual.clone() };
        assert_eq!(tar.spelled(), format!("tar {read}"));
        let cpio = Options { format: Format::Cpio(Packing::Zstd), ..usual.clone() };
        assert_eq!(cpio.spelled(), format!("cpio.zst {read}"));
        let erofs = Options { format: Format::Erofs(Erofs::default()), ..usual.clone() };
        assert_eq!(
            erofs.spelled(),
            format!("erofs min-kernel=6.1 block-size=4096 tails=inline label= uuid=derived {read}")
        );
        let mut compressed = Erofs::default();
        let cluster = erofs::ClusterSize::DEFAULT;
        compressed.options.compression = Some(Compression { algorithm: erofs::Algorithm::Lz4hc(9), cluster });
        compressed.compress_exclude = vec!["*.a".parse().unwrap_or_else(|error| unreachable!("{error}"))];
        let compressed = Options { format: Format::Erofs(compressed), ..usual.clone() };
        assert_eq!(
            compressed.spelled(),
            format!(
                "erofs min-kernel=6.1 block-size=4096 tails=inline compress=lz4hc,9 cluster=65536 exclude=2a2e61 label= \
                 uuid=derived {read}"
            )
        );
        let mut shared = Erofs::default();
        shared.options.sharing = Sharing::Files;
        let shared = Options { format: Format::Erofs(shared), ..usual.clone() };
        assert_eq!(
            shared.spelled(),
            format!(
                "erofs min-kernel=6.1 block-size=4096 tails=inline sharing=files label= uuid=derived {read}"
            )
        );
        let of_frame = |verity, gpt| Frame { verity, gpt }.spelled();
        assert_eq!(of_frame(false, None), "");
        assert_eq!(of_frame(false, Some(Sector::B512)), " gpt=512");
        assert_eq!(of_frame(true, Some(Sector::B4096)), " verity=partition gpt=4096");
        // What bounds or speeds up a build is not in it.
        let mut other = tar.clone();
        other.layers.parallel = 7;
        other.layers.read.strict = true;
        other.allow_empty = true;
        assert_eq!(other.spelled(), tar.spelled());
        let mut odd = usual;
        odd.latest_mtime = Some(-1);
        odd.layers.read.drop_devices = true;
        odd.format = Format::Ext4(Ext4 {
            options: ext4::Options {
                profile: Profile::ReadOnly,
                size: Size::Free(1 << 20),
                journal: false,
                inodes: Inodes::Total(5),
                label: ext4::Label::parse(b"a b").unwrap_or_default(),
                ..ext4::Options::default()
            },
            uuid: Some([0xab; 16]),
            frame: Frame { verity: true, gpt: None },
        });
        assert_eq!(
            odd.spelled(),
            "ext4 profile=ro block-size=4096 size=free+1048576 journal=no journal-max=none inodes=5 reserved=0% \
             label=612062 uuid=abababababababababababababababab created=0 verity=appended devices=dropped overlay-xattrs=dropped \
             selinux=dropped rootless-xattrs=dropped lazy-metadata=dropped latest-mtime=-1"
        );
    }
}
