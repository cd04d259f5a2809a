//! Changes to a finished tree that the caller asked for.

use crate::{Time, Tree};

/// Lets nothing in the tree be younger than `latest`, so that what a build stamped with its own time gives
/// the same bytes again. See <https://reproducible-builds.org/specs/source-date-epoch/>.
pub fn clamp_mtime(tree: &mut Tree, latest: Option<i64>) {
    let Some(seconds) = latest else { return };
    let latest = Time { seconds, nanoseconds: 0 };
    for node in &mut tree.nodes {
        node.metadata.mtime = node.metadata.mtime.min(latest);
    }
}
