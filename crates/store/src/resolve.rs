//! From the document that a name leads to, through indexes, to the manifest of one image.

use hash::Digest;
use oci::{Descriptor, Document, Manifest, Platform};

/// How deep an index may lie in indexes, the first one counted. One is the rule; two is what tools make that
/// collect images of several makers.
pub const INDEX_DEPTH_MAX: usize = 3;

/// A manifest, and how it was come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// What names the manifest.
    pub descriptor: Descriptor,
    /// The manifest.
    pub manifest: Manifest,
    /// The outermost index that it was chosen from, if there was one.
    pub index: Option<Digest>,
}

/// Chooses the image for `platform` among those that `root` leads to. `document` gives the verified bytes of
/// what a descriptor names. The descriptor that comes of it states what the manifest is, even if none did that
/// led to it.
pub fn resolve<E: From<oci::Error>>(
    root: Descriptor,
    platform: &Platform,
    document: &mut dyn FnMut(&Descriptor) -> Result<Vec<u8>, E>,
) -> Result<Resolved, E> {
    let mut descriptor = root;
    let mut index = None;
    let mut depth = 0;
    loop {
        let bytes = document(&descriptor)?;
        let found = Document::parse(&bytes, Some(&descriptor.media_type))?;
        descriptor.media_type = found.media_type(&descriptor.media_type);
        match found {
            Document::Manifest(manifest) => return Ok(Resolved { descriptor, manifest: *manifest, index }),
            Document::Index(_) if depth == INDEX_DEPTH_MAX => {
                let digest = descriptor.digest;
                return Err(oci::Error::TooDeep { digest, limit: INDEX_DEPTH_MAX }.into());
            }
            Document::Index(entries) => {
                depth += 1;
                index = index.or(Some(descriptor.digest));
                descriptor = oci::select(&entries.manifests, platform)?.clone();
            }
        }
    }
}
