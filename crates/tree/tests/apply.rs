//! How layers become a tree. Numbers in the names of cases are those of `docs/hostile-inputs.md`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use unlade_tree as tree;

use tree::{Action, Change, Content, Device, Kind, Metadata, Notes, Path, Remark, Tree};

/// A layer as lines of `VERB PATH [ARGUMENT]`:
/// `d` directory, `f` file (argument: content), `l` symlink, `h` hard link, `p` fifo, `c` device 0:0,
/// `rm` whiteout, `clear` opaque marker. A number before the verb is the mode.
fn layer(text: &str) -> Vec<Change> {
    let lines = text.split(';').map(str::trim).filter(|line| !line.is_empty());
    let change = |(entry, line): (usize, &str)| {
        let mut words: Vec<&str> = line.split(' ').collect();
        let mut metadata = Metadata::implicit();
        if let Ok(mode) = u16::from_str_radix(words[0], 8) {
            metadata.mode = mode;
            words.remove(0);
        }
        let path = |text: &str| Path::parse(text.as_bytes(), 100_000).unwrap();
        let argument = words.get(2).copied().unwrap_or_default().as_bytes();
        let action = match words[0] {
            "d" => Action::Put(metadata, Kind::Directory(Default::default())),
            "f" => Action::Put(metadata, Kind::File(Content::Inline(argument.into()))),
            "l" => Action::Put(metadata, Kind::Symlink(argument.into())),
            "p" => Action::Put(metadata, Kind::Fifo),
            "c" => Action::Put(metadata, Kind::CharDevice(Device { major: 0, minor: 0 })),
            "h" => Action::Link { target: path(words[2]), metadata },
            "rm" => Action::Remove,
            "clear" => Action::Clear,
            other => panic!("verb {other}"),
        };
        Change { entry: entry as u64, path: path(words[1]), action }
    };
    lines.enumerate().map(change).collect()
}

/// The tree as words: `path` for a directory, `path=content`, `path>text`, `path|`, and `(n)` behind it for
/// n > 1 names; the root is left out.
fn show(tree: &Tree) -> String {
    let mut words = Vec::new();
    let mut walk = tree.walk();
    walk.step();
    while let Some(visit) = walk.step() {
        let node = tree.node(visit.node);
        let mut word = String::from_utf8_lossy(visit.path).into_owned();
        match &node.kind {
            Kind::Directory(_) => word.push('/'),
            Kind::File(Content::Inline(bytes)) => word += &format!("={}", String::from_utf8_lossy(bytes)),
            Kind::Symlink(text) => word += &format!(">{}", String::from_utf8_lossy(text)),
            Kind::Fifo => word.push('|'),
            Kind::CharDevice(_) => word.push('%'),
            other => panic!("{other:?}"),
        }
        if node.names != 1 {
            word += &format!("({})", node.names);
        }
        if node.metadata.mode != 0o755 {
            word += &format!("[{:o}]", node.metadata.mode);
        }
        words.push(word);
    }
    words.join(" ")
}

fn merged(layers: &[&str]) -> Result<(Tree, Notes), tree::Error> {
    let (mut tree, mut notes) = (Tree::default(), Notes::default());
    for (number, text) in layers.iter().enumerate() {
        tree.apply(number as u32, layer(text), &mut notes)?;
    }
    Ok((tree, notes))
}

#[track_caller]
fn check(layers: &[&str], expected: &str) {
    let (tree, _) = merged(layers).unwrap_or_else(|error| panic!("{layers:?}: {error}"));
    assert_eq!(show(&tree), expected, "{layers:?}");
}

#[track_caller]
fn check_error(layers: &[&str], expected: &str) {
    let error = merged(layers).expect_err("must be refused");
    assert_eq!(error.to_string(), expected, "{layers:?}");
}

/// The same layer with its first line, a removal, in every place among the others.
#[track_caller]
fn check_any_order(lower: &str, upper: &str, expected: &str) {
    let (removal, puts) = upper.split_once(';').unwrap();
    let puts: Vec<&str> = puts.split(';').collect();
    for place in 0..=puts.len() {
        let mut lines = puts.clone();
        lines.insert(place, removal);
        check(&[lower, &lines.join(";")], expected);
    }
}

#[test]
fn whiteouts() {
    check(&["f a 1; f b 2", "rm a"], "b=2"); // 16
    check(&["f d/x/y 1; f e 2", "rm d"], "e=2"); // 16
    check(&["f a 1", "rm b; rm c/d"], "a=1"); // 16, nothing there
    check_any_order("f d/a 1", "clear d; f d/b 2", "d/ d/b=2"); // 18
    check_any_order("700 d d; f d/a 1", "clear d; f d/b 2; f d/c 3", "d/[700] d/b=2 d/c=3"); // 19
    check_any_order("f f old", "rm f; f f new", "f=new"); // 20
    check_any_order("f d/old 1", "rm d; f d/new 2; d d", "d/ d/new=2"); // 21
    check(&["f a 1; f b/c 2", "clear .; f n 3"], "n=3"); // 22
    check(&["rm a; clear b"], ""); // 27
    check(&["l l t; f t 1", "rm l"], "t=1"); // 28
    check(&["f real/a 1; f real/b 2; l lnk real", "rm lnk/a"], "lnk>real real/ real/b=2"); // 29
    check_any_order("f real/a 1; l l real", "clear l; d l; f l/n 2", "l/ l/n=2 real/ real/a=1"); // 30
    check_any_order("f real/a 1; l l real", "rm l/a; d l; f l/n 2", "l/ l/n=2 real/ real/a=1"); // 30
    check(&["f a 1", "c a"], "a%"); // 31
    check(&["f f 1", "rm f/x"], "f=1");
    // Removals do not stand in each other's way, whichever comes first.
    check_any_order("f real/a 1; l l real", "rm l; rm l/a", "real/ real/a=1");
    check_any_order("f real/a 1; l l real", "rm l; clear l", "real/ real/a=1");
    check_any_order("f real/a 1; l m real; l l m", "rm m; rm l/a", "l>m real/");
    check_any_order("f d/e/a 1", "rm d; rm d/e/a; f d/n 2", "d/ d/n=2");
    // An opaque marker through a link empties what the link leads to.
    let (tree, notes) = merged(&["f real/a 1; l l real", "clear l"]).unwrap();
    assert_eq!(show(&tree), "l>real real/");
    assert_eq!(notes.counts().collect::<Vec<_>>(), [(Remark::OpaqueThroughSymlink, 1)]);
}

#[test]
fn whiteouts_and_links() {
    check(&["f a 1; h b a; h c a", "rm a"], "b=1(2) c=1(2)"); // 33
    check(&["f a 1; h b a", "rm a", "rm b"], ""); // 33
    check_any_order("f a 1", "rm a; h b a", "b=1"); // 47, 48
    check(&["f d/a 1", "rm d; h b d/a"], "b=1"); // 47
    check(&["f a old", "rm a; f a new; h b a"], "a=new(2) b=new(2)");
}

#[test]
fn types_and_replacement() {
    let kinds = ["f x 1", "d x; f x/y 2", "l x t", "p x"];
    let shown = ["x=1", "x/ x/y=2", "x>t", "x|"];
    for (one, first) in kinds.iter().zip(shown) {
        for (other, second) in kinds.iter().zip(shown) {
            check(&[one, other], second); // 34
            check(&[one, other, one], first); // 34
        }
    }
    check(&["700 d d; f d/a 1", "711 d d; f d/b 2"], "d/[711] d/a=1 d/b=2"); // 35
    let (tree, notes) = merged(&["f real/a 1; l l real", "d l; f l/b 2"]).unwrap(); // 36
    assert_eq!(show(&tree), "l/ l/b=2 real/ real/a=1");
    assert_eq!(notes.counts().collect::<Vec<_>>(), [(Remark::DirectoryReplacesSymlink, 1)]);
    assert_eq!(
        notes.kept()[0].to_string(),
        "layer 2, entry 0 (l): directory replaces a symlink of a lower layer"
    );
    check(&["d usr/bin; l bin usr/bin", "f bin/sh 1"], "bin>usr/bin usr/ usr/bin/ usr/bin/sh=1"); // 37
    check(&["d run; l var/run /run", "f var/run/x 1"], "run/ run/x=1 var/ var/run>/run"); // 38
    check(&["l a ../../../b; d b", "f a/x 1"], "a>../../../b b/ b/x=1");
    check(&["l a b", "f a/x 1"], "a>b b/ b/x=1"); // a link to what is missing makes it
    check(&["l a n/../b", "f a/x 1"], "a>n/../b b/ b/x=1"); // what `..` leaves again is not made
    check(&["f b/x 1; l a n/../b", "rm a/x"], "a>n/../b b/");
    check(&["f f 1; l a f/../b", "f a/x 1"], "a>f/../b b/ b/x=1 f=1");
    check(&["f a/b/c 1", "711 d a"], "a/[711] a/b/ a/b/c=1"); // 42
    check(&["f f 1; f f 2"], "f=2"); // 43
    check(&["d d; f d/x 1; 700 d d"], "d/[700] d/x=1"); // 43
    check(&["l a ../../../../x; l b /abs; l c nowhere"], "a>../../../../x b>/abs c>nowhere"); // 45
    // The remembered parent must not outlive its way.
    check(&["f d/a 1; f d 2; l d e; f d/b 3"], "d>e e/ e/b=3");
    check_error(
        &["l b c/..; l b/c b; d b/a"],
        "layer 1, entry 2 (b/a): symlink \"b\" leads into a loop (more than 40 links)",
    );
    check(&["f a/b/x 1; l a c; f a/b/y 2"], "a>c c/ c/b/ c/b/y=2");
}

#[test]
fn what_stands_in_the_way() {
    check_error(
        &["f etc/a 1", "l etc /etc; f etc/passwd 1"],
        "layer 2, entry 1 (etc/passwd): symlink \"etc\" leads into a loop (more than 40 links)",
    ); // 39
    check_error(
        &["l a b; l b a; f a/x 1"],
        "layer 1, entry 2 (a/x): symlink \"a\" leads into a loop (more than 40 links)",
    ); // 40
    check_error(&["f f 1", "f f/x 2"], "layer 2, entry 0 (f/x): parent \"f\" is not a directory"); // 41
    check_error(&["f f 1", "f f/x/y 2"], "layer 2, entry 0 (f/x/y): parent \"f\" is not a directory"); // 41
    check_error(&["f . 1"], "layer 1, entry 0 (/): the root is not a directory");
    check_error(
        &[&format!("l a {}; f a/x 1", "n".repeat(300))],
        "layer 1, entry 1 (a/x): symlink on the way has a name of 300 bytes in it",
    );
    let chain: String = (0..40).map(|n| format!("l {n} {};", n + 1)).collect();
    check_error(
        &[&format!("{chain} l 40 41; f 0/x 1")],
        "layer 1, entry 41 (0/x): symlink \"40\" leads into a loop (more than 40 links)",
    ); // 40
    assert!(merged(&[&format!("{chain} f 0/x 1")]).is_ok(), "40 links are followed");
}

/// Chains of long links, gone along by many entries, ask for hours of work with a few bytes.
#[test]
fn ways_through_links_end() {
    let detour = "a/../".repeat(800);
    let chain: String = (0..39).map(|n| format!("l {n} {detour}{};", n + 1)).collect();
    let entries: String = (0..5000).map(|n| format!("p {}/{n};", n % 2)).collect();
    let error = merged(&[&format!("d a; {chain} l 39 a; {entries}")]).expect_err("must end");
    assert!(matches!(error.fault, tree::Fault::TooManySteps { .. }), "{error}");
}

#[test]
fn hard_links() {
    check(&["f a 1", "h b a"], "a=1(2) b=1(2)"); // 46
    check(&["f a 1; h b a", "f a 2"], "a=2 b=1"); // 49
    check(&["h b a; f a 1"], "a=1(2) b=1(2)"); // 50
    check(&["h c b; h b a; f a 1"], "a=1(3) b=1(3) c=1(3)"); // 50
    check(&["h b a; h c b; f a 1"], "a=1(3) b=1(3) c=1(3)"); // 50
    check(&["h b a; f b 2; f a 1"], "a=1 b=2"); // the last of two entries wins
    check(&["f a old", "h b a; f a new"], "a=new b=old"); // as runtimes do, in the order of the tarball
    check(&["f f 1; l a f/..", "h b a/f"], "a>f/.. b=1(2) f=1(2)");
    check(&["l a t", "h b a"], "a>t(2) b>t(2)"); // 52
    check(&["p a; h b a"], "a|(2) b|(2)");
    check(&["f real/a 1; l l real", "h b l/a"], "b=1(2) l>real real/ real/a=1(2)");
    check(&["f a 1", "h x/y/b a"], "a=1(2) x/ x/y/ x/y/b=1(2)"); // 42
    check(&["f a 1; h b a", "h b a"], "a=1(2) b=1(2)");
    check(&["f d/x 1", "h d d/x"], "d=1");
    check(&["644 f a 1", "4711 h b a"], "a=1(2)[4711] b=1(2)[4711]"); // 54
    check(&["4711 h b a; 644 f a 1"], "a=1(2)[644] b=1(2)[644]"); // 54
    check_error(&["h b a"], "layer 1, entry 0 (b): hard link to a, which does not exist"); // 51
    check_error(&["h a a"], "layer 1, entry 0 (a): hard link to itself"); // 51
    check_error(&["h a b; h b a"], "layer 1, entry 0 (a): hard link to b, which does not exist"); // 51
    check_error(&["d a", "h b a"], "layer 2, entry 0 (b): hard link to a, which is a directory"); // 52
    check_error(&["h b ."], "layer 1, entry 0 (b): hard link to /, which is a directory");
}

#[test]
fn root_and_depth() {
    let (tree, _) = merged(&["1700 d ./"]).unwrap(); // 6
    assert_eq!(tree.node(Tree::ROOT).metadata.mode, 0o1700);
    let (tree, _) = merged(&["f a 1"]).unwrap(); // 7
    assert_eq!(tree.node(Tree::ROOT).metadata, Metadata::implicit());
    // 11: as deep as one likes, and removed again, without recursion.
    let deep = "d/".repeat(50_000);
    let (tree, _) = merged(&[&format!("f {deep}x 1")]).unwrap();
    assert_eq!(tree.table_length(), 50_002);
    check(&[&format!("f {deep}x 1"), "rm d"], "");
}

#[test]
fn dumps_are_stable() {
    let (mut tree, _) = merged(&["644 f a hello; h b a; 4755 l s ../x; c n; 1777 d t/\u{1b}"]).unwrap();
    tree::transform::clamp_mtime(&mut tree, Some(-1));
    let expected = "drwxr-xr-x 0:0 - -1 /\n\
        -rwxr-xr-x 0:0 5 -1 /a\n\
        -rwxr-xr-x 0:0 5 -1 /b = /a\n\
        crwxr-xr-x 0:0 - -1 /n 0,0\n\
        lrwsr-xr-x 0:0 - -1 /s -> ../x\n\
        drwxr-xr-x 0:0 - -1 /t\n\
        drwxrwxrwt 0:0 - -1 /t/\\x1b\n";
    assert_eq!(tree::Dump(&tree).to_string(), expected);
}

#[test]
fn replaced_nodes_give_their_memory_back() {
    // Names in directories that are replaced and removed over and over, beside some that stay.
    let names = |number: u32| {
        let files: String = (0..3_000).map(|name| format!("f d/{name} {number};")).collect();
        let link = format!("h kept/{number} d/7;");
        layer(&format!("{files}{link}{}", if number.is_multiple_of(3) { "rm e;" } else { "f e/f e;" }))
    };
    let mut tree = Tree::default();
    for number in 0..50 {
        tree.apply(number, names(number), &mut Notes::default()).unwrap();
        assert!(tree.table_length() < 4 * 3_100 + 4_096, "layer {number}: {}", tree.table_length());
    }
    let text = show(&tree);
    let words: Vec<&str> = text.split_whitespace().collect();
    assert_eq!(words.iter().filter(|word| word.starts_with("d/") && word.ends_with("=49")).count(), 2_999);
    assert!(words.contains(&"d/7=49(2)") && words.contains(&"kept/49=49(2)"));
    for number in 0..49 {
        assert!(words.contains(&format!("kept/{number}={number}").as_str()), "{number}");
    }
    assert!(words.contains(&"e/f=e"));
}
