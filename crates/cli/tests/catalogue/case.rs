//! What a case is, and short ways to say it.

use std::path::Path;

use pipeline::{Ext4, Format, Options, Packing, Scratch, layers};
use serde_json::json;
use testkit::image::{Layer, write_layout};
use testkit::tarball::{Tarball, header};

/// An input and what it gives.
pub(crate) struct Case {
    /// Its line of the catalogue.
    pub(crate) number: u16,
    /// What it is about, for whoever reads a failure.
    pub(crate) name: String,
    pub(crate) image: Image,
    /// Changes what is the default.
    pub(crate) options: Option<fn(&mut Options)>,
    /// What it is written as.
    pub(crate) formats: &'static [Written],
    pub(crate) gives: Gives,
}

/// Where the input comes from.
pub(crate) enum Image {
    /// Layers of an OCI layout.
    Layers(Vec<Layer>),
    /// Whatever is made below a directory; gives the source.
    Made(fn(&Path) -> String),
}

/// What comes out.
pub(crate) enum Gives {
    /// The tree as [`crate::shown`] writes it, then the notes.
    Tree(String),
    /// So many names below the root. For trees that are too much for a line.
    Names(usize),
    /// Nothing, and this is said.
    Refusal(String),
}

/// What a tree is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    Tar,
    Ext4,
}

impl Written {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Written::Tar => "rootfs.tar",
            Written::Ext4 => "rootfs.ext4",
        }
    }

    pub(crate) fn options(self) -> Options {
        Options {
            format: match self {
                Written::Tar => Format::Tar(Packing::None),
                Written::Ext4 => Format::Ext4(Ext4::default()),
            },
            layers: layers::Options::default(),
            latest_mtime: None,
            scratch: Scratch::Beside,
            allow_empty: true,
            remember: false,
        }
    }
}

impl Case {
    fn new(number: u16, name: &str, image: Image, gives: Gives) -> Case {
        let formats = &[Written::Tar, Written::Ext4];
        Case { number, name: name.into(), image, options: None, formats, gives }
    }

    pub(crate) fn with(self, options: fn(&mut Options)) -> Case {
        Case { options: Some(options), ..self }
    }

    /// Written as this alone, because the other one gives something else.
    pub(crate) fn only(self, formats: &'static [Written]) -> Case {
        Case { formats, ..self }
    }

    pub(crate) fn image(&self, directory: &Path) -> String {
        match &self.image {
            Image::Layers(layers) => {
                let layout = directory.join("layout");
                write_layout(&layout, "latest", layers, &json!({})).unwrap();
                format!("oci:{}", layout.display())
            }
            Image::Made(make) => make(directory),
        }
    }

    /// What stands for the case in a failure.
    pub(crate) fn title(&self) -> String {
        format!("{} ({})", self.number, self.name)
    }
}

/// Layers that are not compressed, from the bottom up.
pub(crate) trait Layers {
    fn layers(self) -> Vec<Layer>;
}

impl Layers for Tarball {
    fn layers(self) -> Vec<Layer> {
        vec![Layer::plain(self.end())]
    }
}

/// A tarball as it is, with or without an end.
impl Layers for Vec<u8> {
    fn layers(self) -> Vec<Layer> {
        vec![Layer::plain(self)]
    }
}

impl<const N: usize> Layers for [Tarball; N] {
    fn layers(self) -> Vec<Layer> {
        self.into_iter().map(|tarball| Layer::plain(tarball.end())).collect()
    }
}

/// See [`entries`].
impl<const N: usize> Layers for [&str; N] {
    fn layers(self) -> Vec<Layer> {
        self.map(entries).layers()
    }
}

impl Layers for Vec<Layer> {
    fn layers(self) -> Vec<Layer> {
        self
    }
}

/// The layers give this tree.
pub(crate) fn tree(number: u16, name: &str, layers: impl Layers, tree: &str) -> Case {
    Case::new(number, name, Image::Layers(layers.layers()), Gives::Tree(tree.into()))
}

/// The layers give so many names.
pub(crate) fn names(number: u16, name: &str, layers: impl Layers, count: usize) -> Case {
    Case::new(number, name, Image::Layers(layers.layers()), Gives::Names(count))
}

/// The layers are refused.
pub(crate) fn refused(number: u16, name: &str, layers: impl Layers, said: &str) -> Case {
    Case::new(number, name, Image::Layers(layers.layers()), Gives::Refusal(said.into()))
}

/// What is made gives this tree.
pub(crate) fn made(number: u16, name: &str, make: fn(&Path) -> String, tree: &str) -> Case {
    Case::new(number, name, Image::Made(make), Gives::Tree(tree.into()))
}

/// What is made is refused.
pub(crate) fn unusable(number: u16, name: &str, make: fn(&Path) -> String, said: &str) -> Case {
    Case::new(number, name, Image::Made(make), Gives::Refusal(said.into()))
}

/// A layer as lines of `[MODE] VERB PATH [ARGUMENT]`, separated by `;`: `d` directory, `f` file (argument: content),
/// `l` symlink, `h` hard link, `p` fifo, `c` character device 1:3, `b` block device 8:1, `rm` whiteout, `clear`
/// opaque marker.
pub(crate) fn entries(text: &str) -> Tarball {
    text.split(';').map(str::trim).filter(|line| !line.is_empty()).fold(Tarball::new(), |tar, line| {
        let mut words: Vec<&str> = line.split(' ').collect();
        let mode = words[0].bytes().all(|byte| byte.is_ascii_digit()).then(|| words.remove(0));
        let (path, argument) = (words[1], words.get(2).copied().unwrap_or_default());
        let put = |typeflag: u8, usual: &str| {
            let mode = format!("{:0>7}\0", mode.unwrap_or(usual));
            header(path.as_bytes(), typeflag).mode(mode.as_bytes())
        };
        let (parent, last) = path.rsplit_once('/').map_or(("", path), |(parent, last)| (parent, last));
        let slash = if parent.is_empty() { "" } else { "/" };
        match words[0] {
            "d" => tar.raw(put(b'5', "755"), b""),
            "f" => tar.sized(put(b'0', "644"), argument.as_bytes()),
            "l" => tar.raw(put(b'2', "777").link(argument.as_bytes()), b""),
            "h" => tar.raw(put(b'1', "644").link(argument.as_bytes()), b""),
            "p" => tar.raw(put(b'6', "644"), b""),
            "c" => tar.raw(put(b'3', "644").device(1, 3), b""),
            "b" => tar.raw(put(b'4', "644").device(8, 1), b""),
            "rm" => tar.file(&format!("{parent}{slash}.wh.{last}"), b""),
            "clear" if path == "." => tar.file(".wh..wh..opq", b""),
            "clear" => tar.file(&format!("{path}/.wh..wh..opq"), b""),
            other => panic!("verb {other}"),
        }
    })
}

/// One case for each place that the first line of `upper` can have among the others.
pub(crate) fn any_order(number: u16, name: &str, lower: &str, upper: &str, expected: &str) -> Vec<Case> {
    let (moved, rest) = upper.split_once(';').unwrap();
    let rest: Vec<&str> = rest.split(';').collect();
    let place = |place: usize| {
        let mut lines = rest.clone();
        lines.insert(place, moved);
        tree(number, &format!("{name}, place {place}"), [lower, &lines.join(";")], expected)
    };
    (0..=rest.len()).map(place).collect()
}

/// An empty file with a name of any bytes.
pub(crate) fn named(name: &[u8]) -> Tarball {
    Tarball::new().pax(&[("path", name)]).file("x", b"")
}
