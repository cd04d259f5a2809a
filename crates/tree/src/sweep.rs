//! Nodes that lost their last name give their memory back.

use crate::{Kind, NodeId, Tree};

/// Tables shorter than this are not worth a sweep.
const WORTHWHILE: usize = 4096;

impl Tree {
    /// Drops the nodes without a name once the table has doubled since the last time, so that memory follows the
    /// names there are and not the entries that all layers have together, while a sweep costs each entry no more
    /// than a fixed share. Gives the nodes that stay new numbers, in their old order.
    pub(crate) fn sweep(&mut self) {
        if self.nodes.len() < self.swept.saturating_mul(2).max(WORTHWHILE) {
            return;
        }
        let mut numbers = vec![0u32; self.nodes.len()];
        let mut left = 0;
        for (node, number) in self.nodes.iter().zip(&mut numbers) {
            *number = left;
            left += u32::from(node.names > 0);
        }
        self.nodes.retain(|node| node.names > 0);
        for node in &mut self.nodes {
            if let Kind::Directory(entries) = &mut node.kind {
                entries.values_mut().for_each(|id| *id = NodeId(numbers[id.index()]));
            }
        }
        self.nodes.shrink_to(self.nodes.len() * 2);
        self.swept = self.nodes.len();
    }
}
