//! The order of an image's inodes.

use std::collections::{BTreeMap, VecDeque};

use tree::{NodeId, Tree};

use super::format::Version;

/// What an inode is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// A node of the tree.
    Node(NodeId),
    /// A stub in the root, which hides a directory of objects.
    Stub,
}

/// The inodes of an image, and where those of nodes and stubs stand among them.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) origins: Vec<Origin>,
    places: Vec<u32>,
    /// The stubs' names with their places.
    pub(super) stubs: Vec<(&'static [u8; 2], u32)>,
}

impl Order {
    /// The place of a node that has a name.
    pub(super) fn place(&self, node: NodeId) -> u32 {
        self.places[node.index()]
    }

    fn push(&mut self, node: NodeId) {
        self.places[node.index()] = self.origins.len() as u32;
        self.origins.push(Origin::Node(node));
    }
}

/// Puts the nodes of a tree into the order that a version has.
pub(super) fn order(tree: &Tree, version: Version) -> Order {
    let places = vec![u32::MAX; tree.table_length()];
    let mut order = Order { origins: Vec::with_capacity(tree.table_length()), places, stubs: Vec::new() };
    match version {
        Version::V0 | Version::V1 => breadth_first(tree, &mut order),
        Version::V2 => depth_first(tree, &mut order),
    }
    order
}

fn depth_first(tree: &Tree, order: &mut Order) {
    let mut walk = tree.walk();
    while let Some(visit) = walk.step() {
        if order.place(visit.node) == u32::MAX {
            order.push(visit.node);
        }
    }
}

/// Directory by directory. A node with several names stands where the first of them in the order of *paths* does.
fn breadth_first(tree: &Tree, order: &mut Order) {
    let first = first_parents(tree);
    order.push(Tree::ROOT);
    let mut queue = VecDeque::from([Tree::ROOT]);
    while let Some(directory) = queue.pop_front() {
        let entries = tree.entries(directory).expect("only directories are queued");
        let stubs: &[_] = if directory == Tree::ROOT { &STUB_NAMES } else { &[] };
        let mut stubs = stubs.iter().filter(|name| !entries.contains_key(&name[..])).peekable();
        for (name, &node) in entries {
            while let Some(stub) = stubs.next_if(|stub| stub[..] < **name) {
                push_stub(order, stub);
            }
            if tree.entries(node).is_some() {
                order.push(node);
                queue.push_back(node);
            } else if order.place(node) == u32::MAX
                && first.get(&node).is_none_or(|&parent| parent == directory)
            {
                order.push(node);
            }
        }
        stubs.for_each(|stub| push_stub(order, stub));
    }
}

fn push_stub(order: &mut Order, name: &'static [u8; 2]) {
    order.stubs.push((name, order.origins.len() as u32));
    order.origins.push(Origin::Stub);
}

/// For each node with several names, the directory of the first.
fn first_parents(tree: &Tree) -> BTreeMap<NodeId, NodeId> {
    let mut first = BTreeMap::new();
    let mut walk = tree.walk();
    while let Some(visit) = walk.step() {
        if tree.node(visit.node).names > 1 {
            first.entry(visit.node).or_insert(visit.parent);
        }
    }
    first
}

/// `00` to `ff`, the directories of objects, in their order.
pub(super) static STUB_NAMES: [[u8; 2]; 256] = stub_names();

const fn stub_names() -> [[u8; 2]; 256] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut names = [[0; 2]; 256];
    let mut n = 0;
    while n < 256 {
        names[n] = [DIGITS[n >> 4], DIGITS[n & 15]];
        n += 1;
    }
    names
}

/// Whether a name in the root is that of a directory of objects.
pub(super) fn is_stub_name(name: &[u8]) -> bool {
    name.len() == 2 && name.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}
