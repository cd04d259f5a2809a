//! `unlade composefs`.

mod keep;
mod layout;
mod mount;
mod pull;
mod tree;

use composefs::{Access, Repository};
use hash::Algorithm;

use super::Outcome;
use super::shared::Fallible;
use crate::args::{Common, ComposefsCommand, HashKind, Repo};

/// Does what the arguments say.
pub(crate) fn run(common: &Common, command: &ComposefsCommand) -> Outcome {
    match command {
        ComposefsCommand::Init(command) => keep::init(command),
        ComposefsCommand::Pull(command) => pull::run(common, command),
        ComposefsCommand::Images(command) => keep::images(command),
        ComposefsCommand::Tag(command) => keep::tag(command),
        ComposefsCommand::Untag(command) => keep::untag(command),
        ComposefsCommand::Inspect(command) => tree::inspect(command),
        ComposefsCommand::Ls(command) => tree::ls(command),
        ComposefsCommand::Dump(command) => tree::dump(command),
        ComposefsCommand::ComputeId(command) => tree::compute_id(command),
        ComposefsCommand::CreateImage(command) => tree::create_image(command),
        ComposefsCommand::OciLayout(command) => layout::run(common, command),
        ComposefsCommand::Mount(command) => mount::run(command),
        ComposefsCommand::Fsck(command) => keep::fsck(common, command),
        ComposefsCommand::Gc(command) => keep::gc(common, command),
    }
}

fn open(repo: &Repo, access: Access) -> Fallible<Repository> {
    Ok(Repository::open(&repo.repo, access)?)
}

fn algorithm(kind: HashKind) -> Algorithm {
    match kind {
        HashKind::Sha256 => Algorithm::Sha256,
        HashKind::Sha512 => Algorithm::Sha512,
    }
}
