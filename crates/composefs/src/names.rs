//! What things are called in a repository.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use erofs::composefs::Object;
use hash::{Digest, FileDigest};

/// The name of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StreamName {
    /// A manifest, by the digest of its bytes.
    Manifest(Digest),
    /// A config, by the digest of its bytes.
    Config(Digest),
    /// A layer, by the digest of its tarball: its diff ID.
    Layer(Digest),
    /// Another blob.
    Blob(Digest),
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StreamName::Manifest(digest) => write!(f, "oci-manifest-{digest}"),
            StreamName::Config(digest) => write!(f, "oci-config-{digest}"),
            StreamName::Layer(digest) => write!(f, "oci-layer-{digest}"),
            StreamName::Blob(digest) => write!(f, "oci-blob-{digest}"),
        }
    }
}

impl StreamName {
    /// Reads a name; `None` for one that is not of OCI.
    pub fn parse(text: &str) -> Option<StreamName> {
        let (kind, digest) = text.strip_prefix("oci-")?.split_once('-')?;
        let digest = digest.parse().ok()?;
        Some(match kind {
            "manifest" => StreamName::Manifest(digest),
            "config" => StreamName::Config(digest),
            "layer" => StreamName::Layer(digest),
            "blob" => StreamName::Blob(digest),
            _ => return None,
        })
    }

    /// The digest in it.
    pub fn digest(&self) -> Digest {
        match self {
            StreamName::Manifest(digest)
            | StreamName::Config(digest)
            | StreamName::Layer(digest)
            | StreamName::Blob(digest) => *digest,
        }
    }
}

/// A name that someone gave to an image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tag(String);

/// Why a text is no [`Tag`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    /// Nothing at all.
    #[error("a tag is not empty")]
    Empty,
    /// It would be taken for a digest.
    #[error("a tag does not begin with \"@\"")]
    At,
    /// The name of the file is too long, or has a NUL byte in it.
    #[error("not the name of a file")]
    File,
}

impl FromStr for Tag {
    type Err = TagError;

    fn from_str(text: &str) -> Result<Tag, TagError> {
        let tag = Tag(text.into());
        match text {
            "" => Err(TagError::Empty),
            _ if text.starts_with('@') => Err(TagError::At),
            "." | ".." => Err(TagError::File),
            _ if text.contains('\0') || tag.file_name().len() > 255 => Err(TagError::File),
            _ => Ok(tag),
        }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Tag {
    /// The name of its file.
    pub(crate) fn file_name(&self) -> String {
        self.0.replace('%', "%25").replace('/', "%2F")
    }

    /// The tag whose file has that name.
    pub(crate) fn from_file_name(name: &str) -> Option<Tag> {
        let tag: Tag = name.replace("%2F", "/").replace("%25", "%").parse().ok()?;
        (tag.file_name() == name).then_some(tag)
    }
}

/// An object's path below the repository.
pub(crate) fn object_path(digest: &FileDigest) -> PathBuf {
    ["objects", &Object::path(digest)].iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags() {
        for (text, file) in [
            ("latest", Some("latest")),
            ("docker.io/library/node:22", Some("docker.io%2Flibrary%2Fnode:22")),
            ("50%", Some("50%25")),
            ("%2F", Some("%252F")),
            ("", None),
            ("@sha256:00", None),
            ("..", None),
            ("a\0", None),
        ] {
            let tag = text.parse::<Tag>().ok();
            assert_eq!(tag.as_ref().map(Tag::file_name).as_deref(), file, "{text}");
            if let Some(file) = file {
                assert_eq!(Tag::from_file_name(file), tag);
            }
        }
        assert_eq!(
            Tag::from_file_name("a%2fb"),
            Some(Tag("a%2fb".into())).filter(|tag| tag.file_name() == "a%2fb")
        );
        assert!("x".repeat(256).parse::<Tag>().is_err());
    }

    #[test]
    fn streams() {
        let name = StreamName::Layer(Digest::sha256(b""));
        assert_eq!(StreamName::parse(&name.to_string()), Some(name));
        for wrong in ["", "oci-", "oci-layer-", "oci-layer-x", "oci-thing-sha256:00", "layer"] {
            assert_eq!(StreamName::parse(wrong), None, "{wrong}");
        }
    }
}
