//! What is said of a hash tree for dm-verity.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use hash::Digest;
use hash::dm_verity::HASH_BLOCK;
use pipeline::gpt::Table;
use pipeline::{Options, Verity};
use serde_json::{Value, json};

use crate::args::Build;
use crate::commands::shared::{Fallible, Session};
use crate::exit::Usage;
use crate::render;

/// The hash tree of a rootfs, and the file that has its root.
pub(super) struct Finished {
    verity: Verity,
    /// Where the superblock begins, in the file or partition that has the tree.
    offset: u64,
    /// None beside a device.
    root_file: Option<PathBuf>,
}

/// Finds the hash tree in a rootfs of so many bytes, writes its root into a file, and says what it is. However the
/// rootfs came about: built, out of the store, or from somebody else. A disk has a table.
pub(super) fn finish(
    command: &Build,
    (manifest, options): (&Digest, &Options),
    (size, table): (u64, Option<&Table>),
    session: &Session,
) -> Fallible<Option<Finished>> {
    if !is_wanted(command) {
        return Ok(None);
    }
    let path = &command.output;
    let find = |file: File| match table {
        Some(table) => Verity::find_in(&file, table),
        None => Verity::find(&file, size),
    };
    let verity = match &command.formats.common.verity_tree {
        Some(tree) => Verity::write_beside((manifest, options), path, size, tree),
        None => File::open(path)
            .and_then(find)
            .and_then(|found| found.ok_or_else(|| io::Error::other("the rootfs has no hash tree"))),
    };
    let root_file = verity.and_then(|verity| {
        let is_file = path.metadata()?.is_file();
        Ok((verity, is_file.then(|| verity.write_root(path)).transpose()?))
    });
    // The rootfs is there already, and whole.
    let (verity, root_file) = root_file.map_err(|cause| Unverifiable { path: path.clone(), cause })?;
    // The tree is at the start of its partition.
    let offset = if table.is_some() { 0 } else { verity.offset };
    session.say(&format!("dm-verity: root hash {}, --hash-offset={offset}", verity.root_hex()));
    Ok(Some(Finished { verity, offset, root_file }))
}

/// Whether there is to be one.
pub(super) fn is_wanted(command: &Build) -> bool {
    command.formats.common.verity || command.formats.common.verity_tree.is_some()
}

/// Refuses a file that would take the place of another one of the same build.
pub(super) fn check(command: &Build) -> Result<(), Usage> {
    let Some(tree) = &command.formats.common.verity_tree else { return Ok(()) };
    let place = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.into());
    let others = [command.output.clone(), command.output.with_extension("roothash")];
    if others.iter().any(|other| place(other) == place(tree)) {
        return Err(Usage("--verity-tree: the file is another output of this build".into()));
    }
    Ok(())
}

/// A rootfs without its hash tree.
#[derive(Debug)]
struct Unverifiable {
    path: PathBuf,
    cause: io::Error,
}

impl std::fmt::Display for Unverifiable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} is built, but it could not be given a hash tree", self.path.display())
    }
}

impl std::error::Error for Unverifiable {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}

/// Adds it to a summary.
pub(super) fn in_summary(mut summary: Value, finished: Option<&Finished>) -> Value {
    summary["verity"] = finished.map_or(Value::Null, |Finished { verity, offset, root_file }| {
        json!({
            "rootHash": verity.root_hex(),
            "rootHashFile": root_file.as_deref().map(render::path),
            "salt": verity.salt_hex(),
            "hashOffset": offset,
            "dataBlocks": verity.data_blocks,
            "dataBlockSize": verity.data_block,
            "hashBlockSize": HASH_BLOCK,
        })
    });
    summary
}
