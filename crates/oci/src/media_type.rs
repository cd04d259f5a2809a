//! Media types of both families.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How a layer's tarball is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Compression::None => "plain tar",
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
        })
    }
}

/// What a descriptor says that its bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediaType {
    /// A list of manifests: OCI index or Docker manifest list.
    Index(String),
    /// An image manifest, OCI or Docker schema 2.
    Manifest(String),
    /// An image's configuration.
    Config(String),
    /// A layer that can be read.
    Layer(Compression, String),
    /// A layer that is to be fetched from elsewhere ("foreign", "nondistributable").
    ForeignLayer(Compression, String),
    /// Anything else, nothing included.
    Other(String),
}

type Make = fn(String) -> MediaType;

/// Every media type that this program reads.
const KNOWN: &[(&str, Make)] = &[
    ("application/vnd.oci.image.index.v1+json", MediaType::Index),
    ("application/vnd.docker.distribution.manifest.list.v2+json", MediaType::Index),
    ("application/vnd.oci.image.manifest.v1+json", MediaType::Manifest),
    ("application/vnd.docker.distribution.manifest.v2+json", MediaType::Manifest),
    ("application/vnd.oci.image.config.v1+json", MediaType::Config),
    ("application/vnd.docker.container.image.v1+json", MediaType::Config),
    ("application/vnd.oci.image.layer.v1.tar", |s| MediaType::Layer(Compression::None, s)),
    ("application/vnd.oci.image.layer.v1.tar+gzip", |s| MediaType::Layer(Compression::Gzip, s)),
    ("application/vnd.oci.image.layer.v1.tar+zstd", |s| MediaType::Layer(Compression::Zstd, s)),
    ("application/vnd.docker.image.rootfs.diff.tar", |s| MediaType::Layer(Compression::None, s)),
    ("application/vnd.docker.image.rootfs.diff.tar.gzip", |s| MediaType::Layer(Compression::Gzip, s)),
    ("application/vnd.docker.image.rootfs.diff.tar.zstd", |s| MediaType::Layer(Compression::Zstd, s)),
    ("application/vnd.oci.image.layer.nondistributable.v1.tar", |s| {
        MediaType::ForeignLayer(Compression::None, s)
    }),
    ("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", |s| {
        MediaType::ForeignLayer(Compression::Gzip, s)
    }),
    ("application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", |s| {
        MediaType::ForeignLayer(Compression::Zstd, s)
    }),
    ("application/vnd.docker.image.rootfs.foreign.diff.tar", |s| {
        MediaType::ForeignLayer(Compression::None, s)
    }),
    ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", |s| {
        MediaType::ForeignLayer(Compression::Gzip, s)
    }),
];

impl MediaType {
    /// The OCI image manifest's.
    pub const OCI_MANIFEST: &'static str = "application/vnd.oci.image.manifest.v1+json";
    /// The OCI image index's.
    pub const OCI_INDEX: &'static str = "application/vnd.oci.image.index.v1+json";

    /// What an HTTP `Accept` header must list to get any manifest that this program reads.
    pub fn accepted() -> impl Iterator<Item = &'static str> {
        KNOWN.iter().take(4).map(|(name, _)| *name)
    }

    /// Reads a media type; parameters behind `;` mean nothing.
    pub fn parse(text: &str) -> MediaType {
        let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match KNOWN.iter().find(|(name, _)| *name == essence) {
            Some((_, make)) => make(essence),
            None => MediaType::Other(text.to_string()),
        }
    }

    /// The media type's text.
    pub fn as_str(&self) -> &str {
        match self {
            MediaType::Index(s) | MediaType::Manifest(s) | MediaType::Config(s) | MediaType::Other(s) => s,
            MediaType::Layer(_, s) | MediaType::ForeignLayer(_, s) => s,
        }
    }

    /// What a layer of this type is once it is not compressed any more; anything else stays what it is.
    pub fn expanded(&self) -> MediaType {
        match self {
            MediaType::Layer(_, text) if text.starts_with("application/vnd.docker.") => {
                MediaType::parse("application/vnd.docker.image.rootfs.diff.tar")
            }
            MediaType::Layer(..) => MediaType::parse("application/vnd.oci.image.layer.v1.tar"),
            other => other.clone(),
        }
    }

    /// Whether it is Docker's first manifest format, which has no digests of its layers' contents.
    pub fn is_schema1(&self) -> bool {
        self.as_str().starts_with("application/vnd.docker.distribution.manifest.v1+")
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_str().escape_debug())
    }
}

impl Serialize for MediaType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for MediaType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<MediaType, D::Error> {
        Ok(MediaType::parse(&std::borrow::Cow::<str>::deserialize(deserializer)?))
    }
}
