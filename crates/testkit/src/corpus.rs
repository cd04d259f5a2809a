//! The real images that `cargo xtask corpus` makes, and where they lie.

use std::env;
use std::path::{Path, PathBuf};

/// One image of the corpus.
#[derive(Debug)]
pub struct Image {
    /// Its name, also that of its recipe and of its directory.
    pub name: &'static str,
    /// What it is there to show.
    pub about: &'static str,
    /// The image of the corpus that it is made from.
    pub from: Option<&'static str>,
    /// Whether the everyday tests use it; the others are large.
    pub everyday: bool,
    /// Whose unpacking its files are compared with.
    pub unpacker: Unpacker,
}

/// An independent program that turns an image into files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unpacker {
    /// umoci as root.
    Umoci,
    /// umoci as root, on the image it was made from: umoci does not read these layers, and both images
    /// hold the same files.
    UmociOnOrigin,
    /// GNU tar as root, layer upon layer: for layers that umoci refuses or mangles, none of which
    /// removes anything.
    Tar,
}

/// Every image, each after the one it is made from.
pub const IMAGES: &[Image] = &[
    Image { name: "base", about: "Debian, one layer", from: None, everyday: true, unpacker: Unpacker::Umoci },
    Image {
        name: "nginx",
        about: "nginx on the base: whiteouts, changed and replaced files, an opaque directory",
        from: Some("base"),
        everyday: true,
        unpacker: Unpacker::Umoci,
    },
    Image {
        name: "special",
        about: "what real images hold seldom: special files, attributes, links, holes, odd names",
        from: None,
        everyday: true,
        unpacker: Unpacker::Umoci,
    },
    Image {
        name: "special2",
        about: "what umoci does not take: old sparse files, far times, large numbers",
        from: None,
        everyday: true,
        unpacker: Unpacker::Tar,
    },
    Image {
        name: "init",
        about: "boots, says so, and powers off",
        from: None,
        everyday: true,
        unpacker: Unpacker::Umoci,
    },
    Image {
        name: "layers60",
        about: "sixty small layers, some of which remove",
        from: None,
        everyday: true,
        unpacker: Unpacker::Umoci,
    },
    Image {
        name: "python",
        about: "Python with packages over several layers",
        from: Some("base"),
        everyday: false,
        unpacker: Unpacker::Umoci,
    },
    Image {
        name: "node",
        about: "Node with more than a hundred thousand small files; the benchmarks' image",
        from: Some("base"),
        everyday: false,
        unpacker: Unpacker::Umoci,
    },
    Image {
        name: "node-zstd",
        about: "the same in zstd",
        from: Some("node"),
        everyday: false,
        unpacker: Unpacker::UmociOnOrigin,
    },
];

/// What the image `init` says on the console when it boots.
pub const BOOTED: &str = "unlade: booted, HELLO FROM THE IMAGE";

/// The image of this name.
pub fn find(name: &str) -> Option<&'static Image> {
    IMAGES.iter().find(|image| image.name == name)
}

/// Where all images lie: `corpus` in the target directory.
pub fn directory() -> PathBuf {
    target().join("corpus")
}

/// The OCI layout of the image `name`, whose tag is `latest`.
///
/// # Panics
///
/// When it was not made; the message says how to.
#[allow(clippy::panic, reason = "a test without its image has failed")]
pub fn layout(name: &str) -> PathBuf {
    let layout = directory().join(name);
    assert!(layout.join("index.json").is_file(), "no image {name}: `cargo xtask corpus {name}` makes it");
    layout
}

/// The target directory of the workspace.
pub fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| workspace().join("target"), |place| workspace().join(place))
}

/// The root of the workspace.
pub fn workspace() -> PathBuf {
    let testkit = Path::new(env!("CARGO_MANIFEST_DIR"));
    testkit.ancestors().nth(2).unwrap_or(testkit).to_owned()
}
