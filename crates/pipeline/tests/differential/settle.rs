//! Stacks that mean the same, or what another reader takes them to mean.

use testkit::stack::{Entry, Stack, What};

/// A layer whose removals stand behind all else, in another order.
pub(crate) fn removals_last(layer: &[Entry]) -> Vec<Entry> {
    let puts = layer.iter().filter(|entry| !entry.removes());
    let removals = layer.iter().rev().filter(|entry| entry.removes());
    puts.chain(removals).cloned().collect()
}

/// A layer as umoci needs it to understand it as it is meant: what it removes first, each removal behind
/// the directories that the layer itself puts around it.
pub(crate) fn settled(layer: &[Entry]) -> Vec<Entry> {
    let around = |entry: &&Entry| {
        let below = |removal: &Entry| {
            let directory = match removal.what {
                What::Clear => Some(&removal.name[..]),
                _ => removal.name.iter().rposition(|&byte| byte == b'/').map(|slash| &removal.name[..slash]),
            };
            removal.removes()
                && directory.is_some_and(|path| {
                    path.strip_prefix(&entry.name[..]).is_some_and(|rest| matches!(rest, [] | [b'/', ..]))
                })
        };
        entry.what == What::Directory && !entry.name.is_empty() && layer.iter().any(below)
    };
    let mut first: Vec<Entry> =
        layer.iter().filter(|entry| entry.removes() || around(entry)).cloned().collect();
    first.sort_by_key(|entry| {
        let depth = entry.name.split(|&byte| byte == b'/').filter(|name| !name.is_empty()).count();
        let rank = match entry.what {
            What::Remove(_) => 0,
            What::Directory => 1,
            _ => 2,
        };
        (depth, entry.name.clone(), rank)
    });
    first.extend(layer.iter().filter(|entry| !entry.removes()).cloned());
    first
}

/// The same with each removal in a layer of its own.
pub(crate) fn stepwise(stack: &Stack) -> Stack {
    let steps = |layer: &Vec<Entry>| {
        let last = layer.iter().rposition(Entry::removes).map_or(0, |last| last + 1);
        let (removals, puts) = layer.split_at(last);
        removals.iter().map(|entry| vec![entry.clone()]).chain([puts.to_vec()]).collect::<Vec<_>>()
    };
    stack.iter().flat_map(steps).collect()
}

/// The same without what containerd stumbles over: removals below what is no directory, and directories that the
/// layer itself replaces, whose times it sets all the same.
pub(crate) fn plainer(stack: &Stack) -> Stack {
    let is_way =
        |what: &What| matches!(what, What::Directory | What::Symlink(_) | What::Remove(_) | What::Clear);
    let in_the_way: Vec<&[u8]> =
        stack.iter().flatten().filter(|entry| !is_way(&entry.what)).map(|entry| last(&entry.name)).collect();
    let blocked = |entry: &Entry| {
        let directory = match entry.what {
            What::Clear => &entry.name[..],
            _ => entry
                .name
                .iter()
                .rposition(|byte| *byte == b'/')
                .map_or(&b""[..], |slash| &entry.name[..slash]),
        };
        entry.removes() && directory.split(|byte| *byte == b'/').any(|name| in_the_way.contains(&name))
    };
    let replaced = |entry: &Entry, later: &[Entry]| {
        let mut puts = later.iter().filter(|other| !other.removes() && other.what != What::Directory);
        entry.what == What::Directory
            && puts.any(|other| entry.name.split(|byte| *byte == b'/').any(|name| name == last(&other.name)))
    };
    let kept = |layer: &Vec<Entry>| {
        let entries = layer.iter().enumerate();
        let kept = entries.filter(|(place, entry)| !blocked(entry) && !replaced(entry, &layer[place + 1..]));
        kept.map(|(_, entry)| entry.clone()).collect()
    };
    stack.iter().map(kept).collect()
}

/// The last name of a path.
pub(crate) fn last(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
}
