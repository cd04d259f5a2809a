//! Finding, comparing and taking parts of trees.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use tree::{Action, Aspect, Change, Changed, Content, Kind, Metadata, Notes, Path, Span, Tree, compare};
use unlade_tree as tree;

fn path(text: &str) -> Path {
    Path::parse(text.as_bytes(), 100).unwrap()
}

/// A tree of these names: `d/` is a directory, `f:7` a file of so many bytes, `l->x` a symlink, `h=x` a hard link.
fn tree(names: &[&str]) -> Tree {
    let change = |(entry, name): (usize, &&str)| {
        let put = |kind| Action::Put(Metadata::implicit(), kind);
        let (name, action) = if let Some((name, text)) = name.split_once("->") {
            (name, put(Kind::Symlink(text.as_bytes().into())))
        } else if let Some((name, target)) = name.split_once('=') {
            (name, Action::Link { target: path(target), metadata: Metadata::implicit() })
        } else if let Some((name, size)) = name.split_once(':') {
            let span = Span { layer: 0, offset: entry as u64 * 4096, length: size.parse().unwrap() };
            (name, put(Kind::File(Content::Whole(span))))
        } else {
            (*name, put(Kind::Directory(Default::default())))
        };
        Change { entry: entry as u64, path: path(name), action }
    };
    let mut tree = Tree::default();
    tree.apply(0, names.iter().enumerate().map(change).collect(), &mut Notes::default()).unwrap();
    tree
}

#[test]
fn paths_lead_where_a_process_would_get() {
    let tree = tree(&[
        "a/b/f:1",
        "up->..",
        "abs->/a/b",
        "a/rel->b/",
        "a/b/top->../../a",
        "self->self",
        "x->y",
        "y->x",
        "slash->a/b/f/",
    ]);
    for (from, to) in [
        ("a/b/f", "a/b/f"),
        ("abs/f", "a/b/f"),
        ("a/rel/f", "a/b/f"),
        ("up/up/up/abs/top/rel/f", "a/b/f"),
        ("up", "/"),
        ("abs", "a/b"),
        ("a/b/top/b", "a/b"),
    ] {
        assert_eq!(tree.find(&path(from)).unwrap(), tree.find_name(&path(to)).unwrap(), "{from}");
    }
    let lost = |text: &str| tree.find(&path(text)).unwrap_err().to_string();
    for (from, said) in [
        ("a/c", "there is no /a/c"),
        ("abs/top/c/d", "there is no /a/c"),
        ("a/b/f/g", "/a/b/f is not a directory"),
        ("slash", "/a/b/f is not a directory"),
        ("self", "the path leads through more than 40 symlinks"),
        ("x/z", "the path leads through more than 40 symlinks"),
    ] {
        assert_eq!(lost(from), said, "{from}");
    }
    let named = tree.find_name(&path("up/self")).unwrap();
    assert!(matches!(tree.node(named).kind, Kind::Symlink(_)));
}

#[test]
fn paths_as_processes_spell_them() {
    let tree = tree(&[
        "usr/lib/x/libc:1",
        "lib->usr/lib",
        "usr/lib64/ld->/lib/x/../x/libc",
        "lib64->/usr/lib64",
        "a->/lib64/ld",
        "l->l",
    ]);
    let follow = |text: &str| {
        let trail = tree.follow(text.as_bytes(), &mut 100)?;
        let names: Vec<_> =
            trail.names.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        assert_eq!(Ok(trail.node), tree.find_name(&path(names.last().unwrap())));
        Ok::<_, tree::Lost>(names.join(" "))
    };
    for (text, names) in [
        ("/lib/x/libc", "usr/lib/x/libc"),
        ("//lib/./../lib/x//libc", "usr/lib/x/libc"),
        ("/lib64/ld", "usr/lib64/ld usr/lib/x/libc"),
        ("../a", "a usr/lib64/ld usr/lib/x/libc"),
        ("/lib/x", "usr/lib/x"),
    ] {
        assert_eq!(follow(text).as_deref(), Ok(names), "{text}");
    }
    assert_eq!(follow("/l"), Err(tree::Lost::LinkLoop));
    assert!(matches!(follow("/lib/x/libc/"), Err(tree::Lost::NotDirectory { .. })));
    assert!(matches!(follow("/lib/y"), Err(tree::Lost::Missing { .. })));
    assert_eq!(follow(&"/lib/..".repeat(100)), Err(tree::Lost::Endless));
}

#[test]
fn parts_are_trees() {
    let whole = tree(&["d", "d/e/f:1", "d/g=d/e/f", "h=d/e/f", "d/l->e"]);
    let part = whole.subtree(whole.find(&path("d")).unwrap());
    let expected = tree(&["e/f:1", "g=e/f", "l->e"]);
    assert_eq!(unlade_tree::Dump(&part).to_string(), unlade_tree::Dump(&expected).to_string());
    assert_eq!(part.node(part.find(&path("g")).unwrap()).names, 2);
    let whole_again = whole.subtree(Tree::ROOT);
    assert_eq!(unlade_tree::Dump(&whole_again).to_string(), unlade_tree::Dump(&whole).to_string());
}

/// What differs, as text. Contents are the same if their sizes are.
fn differences(before: &[&str], after: &[&str]) -> Vec<String> {
    let (before, after) = (tree(before), tree(after));
    let shown = |difference: tree::Difference<'_>| {
        let path = String::from_utf8(difference.path.into()).unwrap();
        match difference.change {
            Changed::Added(_) => format!("+{path}"),
            Changed::Removed(_) => format!("-{path}"),
            Changed::Changed { aspects, .. } => format!("{path} {aspects:?}"),
        }
    };
    compare(&before, &after, false, |_, _| true).into_iter().map(shown).collect()
}

#[test]
fn differences_stand_in_the_order_of_a_walk() {
    let before = ["a", "a/x:1", "a/y:1", "a-b:1", "a.c:1", "b:1"];
    assert!(differences(&before, &before).is_empty());
    // `-` and `.` are smaller than `/`, and stand behind what is in the directory all the same.
    assert_eq!(
        differences(&before, &["a", "a/y:1", "a/z:1", "a.c:1", "b:2"]),
        ["-a/x", "+a/z", "-a-b", "b [Size]"]
    );
    assert_eq!(differences(&["d/e/f:1"], &["d:1"]), ["d [Type]", "-d/e", "-d/e/f"]);
    assert_eq!(differences(&["d:1"], &["d/e/f:1"]), ["d [Type]", "+d/e", "+d/e/f"]);
    assert_eq!(differences(&[], &["d/e->x"]), ["+d", "+d/e"]);
    assert_eq!(differences(&["l->x"], &["l->y"]), ["l [Target]"]);
}

#[test]
fn hard_links_are_what_they_link_to() {
    assert_eq!(differences(&["a:1", "b=a"], &["a:1", "b:1"]), ["b [HardLink]"]);
    assert_eq!(differences(&["a:1", "b=a", "c=a"], &["b:1", "c=b"]), ["-a", "b [HardLink]", "c [HardLink]"]);
    assert_eq!(differences(&["a:1", "b=a"], &["a:1", "b=a", "c=a"]), ["+c"]);
}

#[test]
fn only_contents_of_one_size_are_asked_for() {
    let before = tree(&["empty:0", "larger:1", "same:5", "type:5"]);
    let after = tree(&["empty:0", "larger:2", "same:5", "type->same"]);
    let mut asked = 0;
    let found = compare(&before, &after, false, |a, b| {
        assert_eq!((a.size(), b.size()), (5, 5));
        asked += 1;
        false
    });
    assert_eq!((asked, found.len()), (1, 3));
    assert!(matches!(&found[1].change, Changed::Changed { aspects, .. } if *aspects == [Aspect::Content]));
}

/// All files of a tree, and that each is what its path leads to.
fn files(tree: &Tree) -> (Vec<String>, [u64; 3]) {
    let mut files = tree.files(10_000);
    let mut found = Vec::new();
    while let Some((name, node)) = files.step().unwrap() {
        let name = String::from_utf8(name.into()).unwrap();
        assert_eq!(tree.find(&path(&name)), Ok(node), "{name}");
        found.push(name);
    }
    let dropped = files.dropped();
    (found, [dropped.dangling, dropped.loops, dropped.special])
}

fn check_files(names: &[&str], expected: &[&str], dropped: [u64; 3]) {
    let (found, counts) = files(&tree(names));
    assert_eq!(found, expected, "{names:?}");
    assert_eq!(counts, dropped, "{names:?}");
}

#[test]
fn links_become_what_they_lead_to() {
    check_files(&["a/f:1", "g->a/f", "h=a/f"], &["a/f", "g", "h"], [0; 3]);
    check_files(&["usr/bin/sh:1", "bin->usr/bin"], &["bin/sh", "usr/bin/sh"], [0; 3]);
    check_files(&["a/f:1", "b/l->../../../a", "c->/b"], &["a/f", "b/l/f", "c/l/f"], [0; 3]);
    // A link means what it means where it lies, not where its directory is visited.
    check_files(&["a/b/l->../f", "a/f:1", "f:2", "x->a/b"], &["a/b/l", "a/f", "f", "x/l"], [0; 3]);
    check_files(&["a->b", "b->c", "c->d/", "d/f:1", "e->a/f"], &["a/f", "b/f", "c/f", "d/f", "e"], [0; 3]);
}

#[test]
fn links_that_lead_nowhere_are_dropped() {
    check_files(&["a->b", "b->a", "c->/no", "f:1", "d->f/", "e->f/x"], &["f"], [5, 0, 0]);
    check_files(&["d/X11->.", "d/f:1", "r->/", "s->..", "t->d/.."], &["d/f"], [0, 4, 0]);
    check_files(&["a/b->../c", "c/d->../a", "c/f:1"], &["a/b/f", "c/f"], [0, 2, 0]);
}

#[test]
fn there_is_an_end_to_links() {
    // Each directory leads to the next one twice.
    let mut names = vec!["40/f:1".to_string()];
    for number in 0..40 {
        names.extend(["a", "b"].map(|name| format!("{number}/{name}->../{}", number + 1)));
    }
    let tree = tree(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let mut files = tree.files(10_000);
    let end = loop {
        match files.step() {
            Ok(Some(_)) => {}
            end => break end.map(|_| ()),
        }
    };
    assert_eq!(end, Err(unlade_tree::Endless { limit: 10_000 }));
}

/// What `find -L` makes of the same names.
#[cfg(unix)]
#[test]
fn find_follows_the_same_links() {
    #![allow(clippy::disallowed_methods, reason = "a judge is a process that works on files")]
    let names = [
        "usr/bin/sh:1",
        "usr/bin/X11->.",
        "usr/lib/x:1",
        "bin->usr/bin",
        "lib->usr/lib",
        "lib64->usr/lib/../lib",
        "a/b/c/f:1",
        "a/b/up->../..",
        "a/c->b/c",
        "d->a/b",
        "e->d/c/f",
        "g->e",
        "loop->loop",
        "h->no",
        "x/y->../x",
    ];
    let directory = tempfile::tempdir().unwrap();
    for name in names {
        let at = |name: &str| directory.path().join(name);
        std::fs::create_dir_all(at(name.split(['-', ':']).next().unwrap()).parent().unwrap()).unwrap();
        match name.split_once("->") {
            Some((name, text)) => std::os::unix::fs::symlink(text, at(name)).unwrap(),
            None => std::fs::write(at(name.trim_end_matches(":1")), "x").unwrap(),
        }
    }
    let find = std::process::Command::new("find")
        .args(["-L", ".", "-type", "f", "-printf", "%P\n"])
        .current_dir(directory.path())
        .output()
        .unwrap();
    let mut expected: Vec<String> =
        String::from_utf8(find.stdout).unwrap().lines().map(String::from).collect();
    expected.sort();
    let (mut found, _) = files(&tree(&names));
    found.sort();
    assert_eq!(found, expected);
}
