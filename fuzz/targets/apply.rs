//! Merging: any layers are applied or refused, and leave a tree. Each node has as many names as are counted, each
//! directory is in one place, and what has no name is nowhere. The dump is a function of the layers; where a layer's
//! removals stand among its puts changes nothing. A tarball of the tree reads back as the tree.
#![no_main]

use std::io;

use layer::ReadOptions;
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use tree::{Action, Change, Dump, Notes, Output, Path, Span, Tree};
use unlade_fuzz::changes;

const LAYERS: u32 = 5;
const CHANGES: usize = 16;

fuzz_target!(|data: &[u8]| {
    // What ends too early is filled up with zeros, so that there is no error.
    let _ = merge(&mut Unstructured::new(data));
});

fn merge(u: &mut Unstructured<'_>) -> Result<()> {
    let mut tree = Tree::default();
    for number in 0..LAYERS {
        let changes = changes(u, CHANGES)?;
        let shuffled = shuffled(u, &changes)?;
        let (mut other, mut notes) = (tree.clone(), Notes::default());
        let result = tree.apply(number, changes, &mut notes);
        check(&tree);
        let again = other.apply(number, shuffled, &mut notes);
        assert_eq!(result.is_ok(), again.is_ok(), "{result:?}, with removals elsewhere {again:?}");
        if let Err(error) = result {
            assert!(!error.to_string().contains('\u{1b}'), "{error}");
            return Ok(());
        }
        assert_eq!(Dump(&tree).to_string(), Dump(&other).to_string());
        if u.is_empty() {
            break;
        }
    }
    survives(&tree);
    let clear = Change { entry: 0, path: Path::root(), action: Action::Clear };
    tree.apply(LAYERS, vec![clear], &mut Notes::default()).expect("the root can always be cleared");
    check(&tree);
    assert!(tree.entries(Tree::ROOT).is_some_and(|entries| entries.is_empty()));
    Ok(())
}

/// The same layer with its removals elsewhere among its puts, and in another order.
fn shuffled(u: &mut Unstructured<'_>, changes: &[Change]) -> Result<Vec<Change>> {
    let removes = |change: &&Change| matches!(change.action, Action::Remove | Action::Clear);
    let mut all: Vec<Change> = changes.iter().filter(|change| !removes(change)).cloned().collect();
    for removal in changes.iter().filter(removes) {
        all.insert(u.int_in_range(0..=all.len())?, removal.clone());
    }
    for (entry, change) in all.iter_mut().enumerate() {
        change.entry = entry as u64;
    }
    Ok(all)
}

/// Counts all names without trusting the tree's own walk.
fn check(tree: &Tree) {
    let mut names = vec![0; tree.table_length()];
    let mut waiting = vec![Tree::ROOT];
    names[Tree::ROOT.index()] = 1;
    let mut found = 1;
    while let Some(directory) = waiting.pop() {
        for (name, &node) in tree.entries(directory).expect("only directories wait") {
            assert!(!name.is_empty() && !name.contains(&b'/') && !name.contains(&0) && name.len() <= 255);
            assert!(!matches!(&name[..], b"." | b".."));
            found += 1;
            names[node.index()] += 1;
            if tree.entries(node).is_some() {
                assert_eq!(names[node.index()], 1, "a directory has two places");
                waiting.push(node);
            }
        }
    }
    let mut walk = tree.walk();
    let mut walked = 0;
    while let Some(visit) = walk.step() {
        walked += 1;
        assert_eq!(tree.node(visit.node).names, names[visit.node.index()]);
    }
    assert_eq!(walked, found);
}

/// Written as a tarball and read again, the tree is the same.
fn survives(tree: &Tree) {
    let mut tarball = Tarball(Vec::new());
    let length = layer::write(tree, &mut tarball).expect("memory takes everything");
    assert_eq!(length, tarball.0.len() as u64);
    let options = ReadOptions { keep_selinux: true, strict: true, ..ReadOptions::default() };
    let layer = layer::read(0, &tarball.0[..], io::sink(), &options).expect("it is a layer");
    assert!(layer.notes.is_empty(), "{:?}", layer.notes);
    let mut again = Tree::default();
    again.apply(0, layer.changes, &mut Notes::default()).expect("it is a tree");
    assert_eq!(Dump(tree).to_string(), Dump(&again).to_string());
}

/// A tarball in memory. The bytes of files are made up.
struct Tarball(Vec<u8>);

impl Output for Tarball {
    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        assert_eq!(offset, self.0.len() as u64, "a tarball is written from front to back");
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn copy(&mut self, offset: u64, span: Span) -> io::Result<()> {
        self.write(offset, &vec![1; span.length as usize])
    }
}
