//! What a stack has in it, so that a test can count what it tested.

use std::collections::BTreeMap;

use super::{Entry, Metadata, PLAIN, Spelling, Stack, What};

/// All that [`features`] can say, but for changes of type, of which there are many.
pub const FEATURES: &[&str] = &[
    "attributes",
    "deep path",
    "entry twice",
    "entry for the root",
    "fraction of a second, or before 1970",
    "hard link over a lower name",
    "hard link through a symlink",
    "hard link to a hard link",
    "hard link to a later entry",
    "hard link to a lower entry",
    "hard link to a symlink",
    "hole",
    "long name",
    "merged /usr, written through",
    "odd name",
    "odd spelling",
    "opaque marker behind entries of its directory",
    "opaque marker before entries of its directory",
    "opaque marker through a symlink",
    "opaque root",
    "symlink replaced by a directory",
    "whiteout behind what the layer puts there",
    "whiteout before what the layer puts there",
    "whiteout of a directory with names",
    "whiteout of a hard link",
    "whiteout of a symlink",
    "whiteout of nothing",
    "whiteout through a symlink",
    "whiteout with another type flag",
    "written through a hard link to a symlink",
    "written through a lower symlink",
    "written through a symlink of its layer",
];

/// What a stack has in it, as far as the names of its entries tell: [`FEATURES`], and `TYPE over TYPE`.
pub fn features(stack: &Stack) -> Vec<String> {
    let mut found = Vec::new();
    // What each name is in the layers below, at most.
    let mut below: BTreeMap<&[u8], &What> = BTreeMap::new();
    for layer in stack {
        for (place, entry) in layer.iter().enumerate() {
            let (before, after) = (&layer[..place], &layer[place + 1..]);
            found.extend(of_entry(entry).map(String::from));
            found.extend(of_place(entry, &below, before, after).map(String::from));
            if let (false, Some(lower)) = (entry.removes(), below.get(&entry.name[..])) {
                found.push(format!("{} over {}", kind(&entry.what), kind(lower)));
            }
        }
        below.extend(
            layer.iter().filter(|entry| !entry.removes()).map(|entry| (&entry.name[..], &entry.what)),
        );
    }
    found
}

/// What an entry has in itself.
fn of_entry(entry: &Entry) -> impl Iterator<Item = &'static str> {
    let Metadata { mtime, xattrs, .. } = &entry.metadata;
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'/';
    let said = [
        (!xattrs.is_empty(), "attributes"),
        (*mtime != PLAIN.mtime && (mtime.0 < 0 || mtime.1 != 0), "fraction of a second, or before 1970"),
        (entry.name.split(|byte| *byte == b'/').count() > 8, "deep path"),
        (entry.name.is_empty() && entry.what == What::Directory, "entry for the root"),
        (entry.name.is_empty() && entry.what == What::Clear, "opaque root"),
        (entry.name.len() > 100, "long name"),
        (!entry.name.iter().all(plain), "odd name"),
        (entry.spelling != Spelling::Plain, "odd spelling"),
        (matches!(&entry.what, What::Sparse(blocks) if blocks.contains(&false)), "hole"),
        (matches!(&entry.what, What::Remove(flag) if *flag != b'0'), "whiteout with another type flag"),
    ];
    said.into_iter().filter(|(is_so, _)| *is_so).map(|(_, name)| name)
}

/// What it has by what stands below it and beside it.
fn of_place(
    entry: &Entry,
    below: &BTreeMap<&[u8], &What>,
    before: &[Entry],
    after: &[Entry],
) -> impl Iterator<Item = &'static str> {
    let puts =
        |entries: &[Entry], path: &[u8]| entries.iter().any(|other| !other.removes() && other.name == path);
    let in_layer =
        |path: &[u8]| before.iter().rev().find(|other| other.name == path).map(|other| &other.what);
    let is_symlink = |what: &What| matches!(what, What::Symlink(_));
    let lower_symlink = |path: &[u8]| below.get(path).is_some_and(|what| is_symlink(what));
    let own_symlink = |path: &[u8]| in_layer(path).is_some_and(is_symlink);
    let to_symlink = |what: Option<&What>| match what {
        Some(What::Link(target)) => lower_symlink(plain(target)) || own_symlink(plain(target)),
        _ => false,
    };
    let ways = ways(&entry.name);
    let (puts_it, removes, clears) =
        (!entry.removes(), matches!(entry.what, What::Remove(_)), entry.what == What::Clear);
    let target = match &entry.what {
        What::Link(target) => plain(target),
        _ => b"",
    };
    let is_link = !target.is_empty();
    let lower = below.get(&entry.name[..]).copied();
    let inside = |other: &Entry| other.name.starts_with(&[&entry.name[..], b"/"].concat());
    let to = |what: Option<&What>, is: fn(&What) -> bool| is_link && what.is_some_and(is);
    let meant = in_layer(target).or(below.get(target).copied());
    let said = [
        (puts_it && puts(before, &entry.name), "entry twice"),
        (is_link && lower.is_some(), "hard link over a lower name"),
        (
            is_link && self::ways(target).any(|way| lower_symlink(way) || own_symlink(way)),
            "hard link through a symlink",
        ),
        (to(meant, |what| matches!(what, What::Link(_))), "hard link to a hard link"),
        (is_link && meant.is_none() && puts(after, target), "hard link to a later entry"),
        (is_link && in_layer(target).is_none() && below.contains_key(target), "hard link to a lower entry"),
        (to(meant, |what| matches!(what, What::Symlink(_))), "hard link to a symlink"),
        (puts_it && entry.name.starts_with(b"bin/") && lower_symlink(b"bin"), "merged /usr, written through"),
        (clears && before.iter().any(inside), "opaque marker behind entries of its directory"),
        (clears && after.iter().any(inside), "opaque marker before entries of its directory"),
        (clears && lower_symlink(&entry.name), "opaque marker through a symlink"),
        (entry.what == What::Directory && lower_symlink(&entry.name), "symlink replaced by a directory"),
        (removes && puts(before, &entry.name), "whiteout behind what the layer puts there"),
        (removes && puts(after, &entry.name), "whiteout before what the layer puts there"),
        (
            removes && below.keys().any(|name| name.starts_with(&[&entry.name[..], b"/"].concat())),
            "whiteout of a directory with names",
        ),
        (removes && matches!(lower, Some(What::Link(_))), "whiteout of a hard link"),
        (removes && lower_symlink(&entry.name), "whiteout of a symlink"),
        (removes && lower.is_none(), "whiteout of nothing"),
        (removes && ways.clone().any(lower_symlink), "whiteout through a symlink"),
        (
            puts_it
                && ways.clone().any(|way| to_symlink(in_layer(way)) || to_symlink(below.get(way).copied())),
            "written through a hard link to a symlink",
        ),
        (puts_it && ways.clone().any(lower_symlink), "written through a lower symlink"),
        (puts_it && ways.clone().any(own_symlink), "written through a symlink of its layer"),
    ];
    said.into_iter().filter(|(is_so, _)| *is_so).map(|(_, name)| name)
}

/// The paths above a name.
fn ways(name: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    let slashes = name.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    slashes.map(|(at, _)| &name[..at])
}

/// A hard link's target without what means nothing in front.
fn plain(target: &[u8]) -> &[u8] {
    target.strip_prefix(b"./").or(target.strip_prefix(b"/")).unwrap_or(target)
}

fn kind(what: &What) -> &'static str {
    match what {
        What::Directory => "directory",
        What::File(_) | What::Sparse(_) => "file",
        What::Symlink(_) => "symlink",
        What::Link(_) => "hard link",
        What::Fifo => "fifo",
        What::Device { .. } => "device",
        What::Remove(_) | What::Clear => "removal",
    }
}
