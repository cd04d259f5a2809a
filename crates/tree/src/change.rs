//! What a layer says: the only thing that the two halves of a merge exchange.

use serde::{Deserialize, Serialize};

use crate::{Kind, Metadata, Path, Span};

/// One item of a layer, in the order of its tarball.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Index of the tarball's entry, from 0, for messages.
    pub entry: u64,
    /// What it is about: the thing itself, for [`Action::Clear`] the directory.
    pub path: Path,
    /// What happens there.
    pub action: Action,
}

/// What a [`Change`] does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Puts a node there, in place of what is there. A directory put over a directory keeps its children.
    /// The kind's directory is always empty.
    Put(Metadata, Kind),
    /// Gives the node at `target` a second name. The metadata is the entry's; the last one given wins.
    Link {
        /// The other name, as a path from the root.
        target: Path,
        /// Metadata of the entry, which becomes the node's unless the target is of this layer's making.
        metadata: Metadata,
    },
    /// A whiteout: what the layers below have there goes.
    Remove,
    /// An opaque marker: what the layers below have in this directory goes; the directory stays.
    Clear,
}

impl Change {
    /// Where in the layer's content space the bytes end that it puts into a file, if it has any there.
    pub fn content_end(&self) -> Option<u64> {
        let Action::Put(_, Kind::File(content)) = &self.action else { return None };
        content.pieces().map(|piece| piece.span).map(|Span { offset, length, .. }| offset + length).max()
    }
}
