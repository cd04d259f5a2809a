//! What is said of a disk with partitions.

use std::fmt;
use std::io;
use std::path::PathBuf;

use pipeline::gpt::{Partition, Table};
use serde_json::{Value, json};
use tree::escape;

use crate::args::Build;
use crate::commands::shared::{Fallible, Session};
use crate::random_access::RandomAccess;
use crate::{render, size};

/// Reads the table of a disk that is there now, and says what is in it. However it came about: built, out of the store, or
/// from somebody else. `None` if none was asked for.
pub(super) fn finish(command: &Build, session: &Session) -> Fallible<Option<Table>> {
    if !command.formats.common.gpt {
        return Ok(None);
    }
    let path = &command.output;
    let read = RandomAccess::open(path).and_then(|disk| Table::read(&disk));
    let table = read
        .and_then(|found| found.ok_or_else(|| io::Error::other("it has no partition table")))
        .map_err(|cause| Untold { path: path.clone(), cause })?;
    for Partition { label, offset, length, uuid, .. } in &table.partitions {
        session.say(&format!(
            "partition {}: {} at {}, PARTUUID={}",
            escape(label.as_bytes()),
            size::show(*length),
            size::show(*offset),
            render::uuid(uuid),
        ));
    }
    Ok(Some(table))
}

/// Adds it to a summary.
pub(super) fn in_summary(mut summary: Value, table: Option<&Table>) -> Value {
    let partition = |partition: &Partition| {
        json!({
            "label": escape(partition.label.as_bytes()).to_string(),
            "type": render::uuid(&partition.partition_type),
            "uuid": render::uuid(&partition.uuid),
            "offset": partition.offset,
            "size": partition.length,
            "readOnly": partition.is_read_only(),
            "growFileSystem": partition.grows_filesystem(),
        })
    };
    summary["gpt"] = table.map_or(Value::Null, |table| {
        json!({
            "uuid": render::uuid(&table.uuid),
            "sectorSize": table.sector.bytes(),
            "partitions": table.partitions.iter().map(partition).collect::<Vec<_>>(),
        })
    });
    summary
}

/// A disk whose table is not there.
#[derive(Debug)]
struct Untold {
    path: PathBuf,
    cause: io::Error,
}

impl fmt::Display for Untold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is there, but is not a disk that can be read", self.path.display())
    }
}

impl std::error::Error for Untold {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}
