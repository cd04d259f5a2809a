//! `unlade copy`.

use clap::Args as ClapArgs;

use super::SourceArgs;

const PLACES_HELP: &str = "\
FROM and TO are each one of these:

  docker://NAME[:TAG]        a registry (FROM may leave out docker://, and have @sha256:…)
  store:NAME[:TAG]           the store
  oci:DIR[:REF]              an OCI image layout
  oci-archive:FILE[:REF]     a tarball of such a layout
  docker-archive:FILE[:REF]  what `docker save` writes

A layout keeps what it holds already; an archive is written anew. In an archive of docker save the layers are not
compressed, and there is no manifest to keep: that image has another digest, but the same layers.

What a copy goes through stays in the store, untagged; --no-store keeps nothing.

Examples:
  unlade copy debian:12 docker://localhost:5000/debian:12
  unlade copy --all-platforms alpine oci:./layout:alpine
  unlade copy store:localhost/app docker-archive:app.tar:app:v1
  unlade copy oci-archive:app.tar store:app";

/// Copy an image from one place to another
///
/// The bytes stay as they are, and so do all digests. Everything is verified on the way. What the destination has is not
/// sent again, and a registry takes from its other repositories what it has there. Manifests follow when all blobs are
/// there, and the name comes last.
#[derive(Debug, ClapArgs)]
#[command(after_help = PLACES_HELP)]
pub(crate) struct Copy {
    /// The image to copy
    #[arg(value_name = "FROM")]
    pub(crate) from: String,

    /// Where it goes
    #[arg(value_name = "TO")]
    pub(crate) to: String,

    /// Copy the images for all platforms, with their index and all else that it names; also artifacts that are no image
    #[arg(long, conflicts_with_all = ["platform", "any_platform"])]
    pub(crate) all_platforms: bool,

    /// Print the digest and what was copied as JSON
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) source: SourceArgs,
}
