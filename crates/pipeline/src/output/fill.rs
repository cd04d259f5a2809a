//! A file of the host with the bytes of one of the tree.

use std::fs::File;
use std::io;

use host::FileExt;
use tree::Content;

use super::{Run, copy};
use crate::spool::Spool;

/// Gives a new file its bytes; holes stay holes.
pub(crate) fn fill(file: &File, content: &Content, spool: &Spool) -> io::Result<()> {
    if let Content::Inline(bytes) = content {
        return file.write_all_at(bytes, 0);
    }
    for piece in content.pieces() {
        copy(file, spool, Run { source: piece.span, offset: piece.at })?;
    }
    if matches!(content, Content::Pieces { .. }) {
        file.set_len(content.size())?;
    }
    Ok(())
}
