//! `unlade composefs mount`.

use composefs::{Access, MountOptions, Purpose, Way};

use super::open;
use crate::args::{ComposefsMount, WayKind};
use crate::commands::Outcome;

/// Mounts an image of a repository.
pub(super) fn run(command: &ComposefsMount) -> Outcome {
    let repository = open(&command.repo, Access::Read)?;
    let stored = repository.image(&repository.resolve(&command.tag)?)?;
    let (purpose, what) = match command.bootable {
        true => (Purpose::Boot, "bootable image of"),
        false => (Purpose::Run, "image of"),
    };
    let missing = || composefs::Error::Missing { what, name: command.tag.to_string() };
    let image = stored.image(purpose, repository.meta().version).ok_or_else(missing)?;
    let way = command.way.map(|way| match way {
        WayKind::Detached => Way::Detached,
        WayKind::File => Way::File,
        WayKind::Loop => Way::Loop,
    });
    repository.mount(&image, &command.point, &MountOptions { trusted: command.trusted, way })?;
    Ok(())
}
