//! Taking a rootfs that somebody else has built.
//!
//! It is verified like everything else: the artifact by its digest, each part by digest and size, the whole by the
//! digest that the artifact states; and it gets its name only then. That it is what a build would give is the word of
//! whoever pushed it.

use std::io::{self, BufReader};
use std::path::Path;

use hash::{Digest, Mismatch, Verifier};
use layer::Expander;
use layer::compression::Limits;
use oci::{DOCUMENT_MAX, Descriptor, Image, MediaType, Reference};
use registry::Client;
use tree::BLOCK;

use super::parts::{Sparse, fill};
use super::{ARTIFACT_TYPE, Artifact, Error, PART_TYPE, Terms, is_shareable, length_of};
use crate::event::{Event, Report};
use crate::options::Options;
use crate::publish::Unpublished;
use crate::pull;

/// How many artifacts of one image are looked at, beginning with the last: more fit only where somebody pushes the same
/// again and again.
pub const CANDIDATES_MAX: usize = 8;
/// Parts of an artifact: as many as the largest rootfs has, and some more.
pub const PARTS_MAX: usize = 4_096;
/// What a part may have at most in its blob beyond what it expands to, in bytes and as a fraction: what zstd adds to what
/// it cannot compress.
const EXCESS: u64 = 64 << 10;
const EXCESS_FRACTION: u64 = 64;
/// Bytes that are expanded and written at once: whole blocks.
const BUFFER: usize = 1 << 20;

/// A rootfs that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The artifact.
    pub artifact: Digest,
    /// The digest of the rootfs itself.
    pub rootfs: Digest,
    /// Its size in bytes, holes included.
    pub size: u64,
    /// Bytes of all parts as transferred.
    pub packed: u64,
}

/// Takes a rootfs of `image` that was built with these options from the repository of `reference`, and publishes it as
/// `path`. `None` if there is none. What cannot be used is given to `unusable`, and another one is looked for.
pub fn take(
    image: &Image,
    options: &Options,
    reference: &Reference,
    pull: &pull::Options,
    path: &Path,
    unusable: &mut dyn FnMut(Error),
    report: Report<'_>,
) -> Result<Option<Taken>, Error> {
    let fail = |cause| Error::Output { path: path.into(), cause };
    // A device is written in place, which nothing may be that turns out wrong at its end.
    if !is_shareable(&options.format) || Unpublished::check(path).map_err(fail)? {
        return Ok(None);
    }
    pull::with_retries(pull, report, |pull| {
        let client = Client::new(pull.registry.clone())?;
        let terms = Terms::new(image, options);
        let taking = Taking { client, reference, path, report, limit: options.layers.image_expanded };
        taking.choose(&terms, unusable)
    })
}

struct Taking<'a> {
    client: Client,
    reference: &'a Reference,
    path: &'a Path,
    report: Report<'a>,
    limit: u64,
}

impl Taking<'_> {
    fn choose(&self, terms: &Terms, unusable: &mut dyn FnMut(Error)) -> Result<Option<Taken>, Error> {
        let mut found = self.client.referrers(self.reference, &terms.image.digest, ARTIFACT_TYPE)?;
        // Lists that somebody wrote by hand may leave the annotations out: then the artifact says what it is.
        found.retain(|entry| entry.annotations.is_empty() || terms.fit(&entry.annotations));
        for entry in found.iter().rev().take(CANDIDATES_MAX) {
            match self.take(entry, terms) {
                Ok(Some(taken)) => return Ok(Some(taken)),
                Ok(None) => {}
                Err(error @ Error::Output { .. }) => return Err(error),
                Err(error) => unusable(error),
            }
        }
        Ok(None)
    }

    fn take(&self, entry: &Descriptor, terms: &Terms) -> Result<Option<Taken>, Error> {
        let id = entry.digest;
        let malformed = |cause| Error::Malformed { artifact: id, cause };
        if entry.size > DOCUMENT_MAX {
            return Err(malformed("its manifest is too large"));
        }
        // Whatever the list calls it, it is asked for as a manifest.
        let media_type = MediaType::parse(MediaType::OCI_MANIFEST);
        let bytes = self.client.document(self.reference, &Descriptor::new(media_type, id, entry.size))?;
        let artifact: Artifact = serde_json::from_slice(&bytes)
            .map_err(|_| malformed("its manifest is not that of an artifact"))?;
        if artifact.artifact_type != ARTIFACT_TYPE || artifact.subject.digest != terms.image.digest {
            return Err(malformed("it is not what the list says"));
        }
        if !terms.fit(&artifact.annotations) {
            return Ok(None);
        }
        let (size, rootfs) = artifact.stated().ok_or_else(|| malformed("it states no size or digest"))?;
        if size > self.limit {
            return Err(Error::TooLarge { artifact: id, size, limit: self.limit });
        }
        check_parts(&artifact, size).map_err(malformed)?;

        let fail = |cause| Error::Output { path: self.path.into(), cause };
        let output = Unpublished::create(self.path, size).map_err(fail)?;
        let mut sparse = Sparse::new(&output.file);
        for (number, part) in artifact.layers.iter().enumerate() {
            self.expand(part, number, id, size, &mut sparse)?;
        }
        let found = sparse.digest();
        if found != rootfs {
            let mismatch = Mismatch::Digest { expected: rootfs, found };
            return Err(Error::Damaged { artifact: id, mismatch });
        }
        output.publish().map_err(fail)?;
        let packed = artifact.layers.iter().map(|part| part.size).sum();
        Ok(Some(Taken { artifact: id, rootfs, size, packed }))
    }

    /// Fetches a part, and writes what it expands to behind what is there.
    fn expand(
        &self,
        part: &Descriptor,
        number: usize,
        artifact: Digest,
        total: u64,
        sparse: &mut Sparse<'_>,
    ) -> Result<(), Error> {
        let damaged = |cause: io::Error| Error::Part { artifact, number, cause };
        let fault = |fault: layer::Error| damaged(io::Error::new(io::ErrorKind::InvalidData, fault));
        let length = length_of(part).unwrap_or_default();
        let blob = Verifier::new(self.client.blob(self.reference, part, 0)?, part.digest, Some(part.size));
        let input = BufReader::with_capacity(BUFFER, blob);
        // Zeros are packed in any ratio; how much comes out is known.
        let limits = Limits { expanded: length, ratio: u64::MAX, ..Limits::default() };
        let mut expander = Expander::new(input, limits).map_err(fault)?;
        let end = sparse.position() + length;
        let mut buffer = vec![0; BUFFER];
        loop {
            let count = fill(&mut expander, &mut buffer).map_err(|error| match error.downcast() {
                Ok(error) => Error::Registry(error),
                Err(error) => damaged(error),
            })?;
            if count == 0 {
                break;
            }
            sparse
                .write(&buffer[..count])
                .map_err(|cause| Error::Output { path: self.path.into(), cause })?;
            (self.report)(Event::Write { done: sparse.position(), total });
        }
        if sparse.position() != end {
            return Err(damaged(io::Error::new(io::ErrorKind::UnexpectedEof, "it is shorter than it says")));
        }
        Ok(())
    }
}

/// Refuses parts that cannot be those of a rootfs of this size.
fn check_parts(artifact: &Artifact, size: u64) -> Result<(), &'static str> {
    if artifact.layers.len() > PARTS_MAX {
        return Err("it has too many parts");
    }
    let (mut total, count) = (0u64, artifact.layers.len());
    for (number, part) in artifact.layers.iter().enumerate() {
        if part.media_type.as_str() != PART_TYPE {
            return Err("a part is of another type");
        }
        let length = length_of(part).ok_or("a part states no length")?;
        // Blocks must not be torn apart, since holes are found block by block.
        if length == 0 || number + 1 < count && !length.is_multiple_of(BLOCK) {
            return Err("a part has a length that cannot be");
        }
        if part.size > length.saturating_add(length / EXCESS_FRACTION).saturating_add(EXCESS) {
            return Err("a part is larger than what it expands to");
        }
        total = total.saturating_add(length);
    }
    if total == size { Ok(()) } else { Err("its parts have not the size of the whole") }
}
