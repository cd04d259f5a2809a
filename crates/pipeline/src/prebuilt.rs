//! Sharing a built rootfs through a registry: one machine builds, the others take.
//!
//! A rootfs lies beside its image, in the same repository, as an artifact whose `subject` is the image's manifest; so
//! the registry leads from the image to it (`docs/prebuilt.md`). [`push()`] puts one there, [`take()`] fetches one. What
//! fits is decided by `Terms`: the image, the format, the options, and the version of what is written.

mod error;
mod parts;
mod push;
mod take;

use std::collections::BTreeMap;

use hash::Digest;
use oci::{Descriptor, Image, MediaType};
use serde::{Deserialize, Serialize};

use crate::options::{Format, Options};

pub use error::Error;
pub use push::{Pushed, push};
pub use take::{CANDIDATES_MAX, PARTS_MAX, Taken, take};

/// The artifact's type.
pub const ARTIFACT_TYPE: &str = "application/vnd.unlade.rootfs.v1";
/// The type of a layer of it: a run of the rootfs's bytes, in zstd frames that can be expanded one by one.
pub const PART_TYPE: &str = "application/vnd.unlade.rootfs.part.v1+zstd";
/// The config that says nothing, and its bytes (image specification, "Guidelines for Artifact Usage").
const EMPTY_TYPE: &str = "application/vnd.oci.empty.v1+json";
const EMPTY: &[u8] = b"{}";

/// Version of what is written: another one whenever the same image and options give other bytes than before. The goldens
/// of the formats' tests show when that is.
pub const VERSION: &str = "1";

const FORMAT: &str = "dev.unlade.rootfs.format";
const OPTIONS: &str = "dev.unlade.rootfs.options";
const WRITER: &str = "dev.unlade.rootfs.version";
const SIZE: &str = "dev.unlade.rootfs.size";
const DIGEST: &str = "dev.unlade.rootfs.digest";
/// In a layer's descriptor: how many bytes it expands to.
const LENGTH: &str = "dev.unlade.rootfs.length";

/// What a rootfs has to be made of, so that building it would give the same bytes.
struct Terms {
    image: Descriptor,
    annotations: BTreeMap<&'static str, String>,
}

impl Terms {
    fn new(image: &Image, options: &Options) -> Terms {
        // What names the image, without what an index says of it.
        let Descriptor { media_type, digest, size, .. } = image.descriptor.clone();
        let annotations = BTreeMap::from([
            (FORMAT, options.format.name().to_string()),
            (OPTIONS, options.spelled()),
            (WRITER, VERSION.to_string()),
        ]);
        Terms { image: Descriptor::new(media_type, digest, size), annotations }
    }

    /// Whether annotations say that a rootfs is what is wanted.
    fn fit(&self, found: &BTreeMap<String, String>) -> bool {
        self.annotations.iter().all(|(name, wanted)| found.get(*name) == Some(wanted))
    }
}

/// Whether a rootfs of this format can be shared: it has to be one file.
pub fn is_shareable(format: &Format) -> bool {
    !matches!(format, Format::Directory)
}

/// The artifact's manifest: an image manifest with a type and a subject.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Artifact {
    schema_version: u32,
    media_type: MediaType,
    artifact_type: String,
    config: Descriptor,
    layers: Vec<Descriptor>,
    subject: Descriptor,
    annotations: BTreeMap<String, String>,
}

impl Artifact {
    /// Size and digest of the rootfs.
    fn stated(&self) -> Option<(u64, Digest)> {
        let (size, digest) = (self.annotations.get(SIZE)?, self.annotations.get(DIGEST)?);
        Some((size.parse().ok()?, digest.parse().ok()?))
    }
}

fn length_of(part: &Descriptor) -> Option<u64> {
    part.annotations.get(LENGTH)?.parse().ok()
}
