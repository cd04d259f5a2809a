//! Random trees as the text of `composefs-dump(5)`, for those who turn it into images.
//!
//! A number gives the same text everywhere, so that what other people's tools made of it can be kept. The text stays
//! within what all tools take: at most 512 bytes of content, 1024 of a link's text.

use std::collections::BTreeMap;
use std::fmt::Write;

/// Random numbers that are the same for ever (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn bytes(&mut self, length: u64) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }

    /// A number of up to so many bits, all lengths alike.
    fn of_bits(&mut self, bits: u64) -> u64 {
        let bits = self.below(bits + 1);
        self.next() & ((1 << bits) - 1)
    }
}

/// What a tree is made of.
enum Node {
    Directory(BTreeMap<Vec<u8>, Node>, String),
    /// What stands behind the path.
    Leaf(String),
    /// A second name for some leaf that comes before.
    Link(u64),
}

/// The text number `seed`.
pub fn random(seed: u64) -> String {
    let mut numbers = Numbers(seed);
    let mut budget = match numbers.below(4) {
        0 => 5,
        1 => 50,
        2 => 300,
        _ => 1500,
    };
    let root = directory(&mut numbers, &mut budget, 0);
    let mut text = String::new();
    print(b"/", &root, &mut Vec::new(), &mut text);
    text
}

fn directory(n: &mut Numbers, budget: &mut u64, depth: u64) -> Node {
    let mut entries = BTreeMap::new();
    // Of directories some fill blocks.
    let many = if n.one_in(6) { 400 } else { 20 };
    let count = if depth == 0 { n.below(many).max(1) } else { n.below(many) };
    for _ in 0..count {
        if *budget == 0 {
            break;
        }
        *budget -= 1;
        let name = name(n, depth);
        let node = match n.below(16) {
            0..=2 if depth < 6 => directory(n, budget, depth + 1),
            3 => Node::Link(n.next()),
            _ => Node::Leaf(leaf(n)),
        };
        entries.insert(name, node);
    }
    let links = 2 + entries.values().filter(|node| matches!(node, Node::Directory(..))).count();
    let metadata = metadata(n, 0o040_000, links as u64, 0);
    let xattrs = xattrs(n);
    Node::Directory(entries, format!("0 {metadata} - - -{xattrs}"))
}

fn name(n: &mut Numbers, depth: u64) -> Vec<u8> {
    let length = match n.below(8) {
        0 => 1,
        1 => 2,
        2 => n.below(255) + 1,
        _ => n.below(20) + 1,
    };
    if depth == 0 && n.one_in(8) {
        // The names of directories of objects mean something in the root.
        return format!("{:02x}", n.below(256)).into_bytes();
    }
    let any = n.one_in(5);
    let mut name: Vec<u8> = (0..length)
        .map(|_| match any {
            true => n.next() as u8,
            false => b'a' + n.below(26) as u8,
        })
        .map(|byte| if byte == 0 || byte == b'/' { b'_' } else { byte })
        .collect();
    if name == b"." || name == b".." {
        name.push(b'x');
    }
    name
}

fn leaf(n: &mut Numbers) -> String {
    let (file_type, size, rdev, tail): (u64, u64, u64, String) = match n.below(20) {
        0 => (0o010_000, 0, 0, "- - -".into()),
        1 => (0o140_000, 0, 0, "- - -".into()),
        2 => (0o020_000, 0, n.below(1 << 20) + 1, "- - -".into()),
        3 => (0o060_000, 0, n.of_bits(32), "- - -".into()),
        // A whiteout.
        4 => (0o020_000, 0, 0, "- - -".into()),
        5..=7 => {
            let length = if n.one_in(4) { n.below(1024) + 1 } else { n.below(40) + 1 };
            let text: Vec<u8> = n.bytes(length).into_iter().map(|byte| byte.max(1)).collect();
            (0o120_000, length, 0, format!("{} - -", escape(&text, Escape::Field)))
        }
        8..=10 => {
            let length = if n.one_in(3) { n.below(513) } else { n.below(65) };
            let content = n.bytes(length);
            (0o100_000, length, 0, format!("- {} -", escape(&content, Escape::Field)))
        }
        _ => {
            let size = n.of_bits(45) + 1;
            // Some files are alike.
            let digest = match n.one_in(5) {
                true => vec![n.below(4) as u8; 32],
                false => n.bytes(32),
            };
            let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            let verity = if n.one_in(10) { "-" } else { &hex };
            (0o100_000, size, 0, format!("{}/{} - {verity}", &hex[..2], &hex[2..]))
        }
    };
    format!("{size} {} {tail}{}", metadata(n, file_type, 1, rdev), xattrs(n))
}

/// From the mode to the time.
fn metadata(n: &mut Numbers, file_type: u64, links: u64, rdev: u64) -> String {
    let mode = file_type | if n.one_in(3) { n.below(0o10000) } else { 0o644 };
    let mut id = || match n.below(4) {
        0 => n.of_bits(32),
        _ => 0,
    };
    let (uid, gid) = (id(), id());
    let time = match n.below(6) {
        0 => format!("{}.{}", n.of_bits(40), n.below(1_000_000_000)),
        1 => "1700000000.5".into(),
        _ => "1700000000.0".into(),
    };
    format!("{mode:o} {links} {uid} {gid} {rdev} {time}")
}

fn xattrs(n: &mut Numbers) -> String {
    const NAMES: [&str; 14] = [
        "user.a",
        "user.overlay.origin",
        "user.b",
        "trusted.overlay.origin",
        "trusted.overlay.redirect",
        "trusted.x",
        "security.capability",
        "security.selinux",
        "system.posix_acl_access",
        "system.posix_acl_default",
        "system.other",
        "lustre.lov",
        "other",
        "user.",
    ];
    if !n.one_in(4) {
        return String::new();
    }
    let mut all = BTreeMap::new();
    for _ in 0..n.below(6) + 1 {
        let name = match n.one_in(6) {
            true => format!(
                "user.{}",
                escape(&n.bytes(20).into_iter().map(|b| b.max(1)).collect::<Vec<_>>(), Escape::Attribute)
            ),
            false => NAMES[n.below(NAMES.len() as u64) as usize].into(),
        };
        let value = match n.below(6) {
            0 => Vec::new(),
            1 => n.bytes(3),
            2 => {
                let length = n.below(600);
                n.bytes(length)
            }
            _ => vec![n.below(3) as u8 + b'0'; 4],
        };
        all.insert(name, escape(&value, Escape::Attribute));
    }
    all.iter().fold(String::new(), |mut text, (name, value)| {
        let _ = write!(text, " {name}={value}");
        text
    })
}

#[derive(PartialEq, Eq)]
enum Escape {
    Field,
    Attribute,
}

fn escape(bytes: &[u8], field: Escape) -> String {
    match bytes {
        b"" if field == Escape::Field => return "-".into(),
        b"-" if field == Escape::Field => return "\\x2d".into(),
        _ => {}
    }
    bytes.iter().fold(String::new(), |mut text, &byte| {
        let special = byte == b'\\' || (byte == b'=' && field == Escape::Attribute);
        match byte {
            b'\\' => text.push_str("\\\\"),
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b'\t' => text.push_str("\\t"),
            b'!'..=b'~' if !special => text.push(byte.into()),
            _ => {
                let _ = write!(text, "\\x{byte:02x}");
            }
        }
        text
    })
}

/// Adds the lines of a node. `leaves` are those that may be linked to: no whiteouts, which have one name.
fn print(path: &[u8], node: &Node, leaves: &mut Vec<Vec<u8>>, text: &mut String) {
    let shown = escape(path, Escape::Field);
    match node {
        Node::Directory(entries, rest) => {
            let _ = writeln!(text, "{shown} {rest}");
            for (name, node) in entries {
                let path =
                    if path == b"/" { [b"/", &name[..]].concat() } else { [path, b"/", name].concat() };
                print(&path, node, leaves, text);
            }
        }
        Node::Leaf(rest) => {
            let fields: Vec<&str> = rest.split(' ').collect();
            if !(fields[1].len() == 5 && fields[1].starts_with('2') && fields[5] == "0") {
                leaves.push(path.into());
            }
            let _ = writeln!(text, "{shown} {rest}");
        }
        Node::Link(which) => match leaves.get((which % (leaves.len() as u64).max(1)) as usize) {
            Some(target) => {
                let target = escape(target, Escape::Field);
                let _ = writeln!(text, "{shown} 0 @120000 - - - - 0.0 {target} - -");
            }
            None => {
                let _ = writeln!(text, "{shown} 0 10644 1 0 0 0 1.0 - - -");
            }
        },
    }
}
