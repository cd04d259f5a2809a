//! `unlade ls`.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};

use serde_json::Value;
use tree::{Kind, Node, NodeId, Path, escape};

use super::Outcome;
use super::shared::{Session, layer_options, path_in_image, trust};
use crate::args::{Common, Ls};
use crate::render;
use crate::terminal::unanswered;

/// Lists an image's merged files.
pub(crate) fn run(common: &Common, command: &Ls) -> Outcome {
    let below = command.path.as_deref().map_or(Ok(Path::root()), path_in_image)?;
    let session = Session::start(common, &command.image, &command.look.source)?;
    let options = layer_options(&command.look.layers);
    let (_, merged) = session.merged(None, &options, trust(&command.look))?;
    session.show_notes(&merged.notes);

    let tree = &merged.tree;
    let mut out = BufWriter::new(io::stdout().lock());
    let mut first_names: BTreeMap<NodeId, String> = BTreeMap::new();
    let mut walk = tree.walk();
    let mut found = false;
    while let Some(visit) = walk.step() {
        let node = tree.node(visit.node);
        let name = format!("/{}", escape(visit.path));
        let several = node.names > 1 && !matches!(node.kind, Kind::Directory(_));
        let first =
            if several { Some(first_names.entry(visit.node).or_insert(name.clone()).clone()) } else { None };
        if !is_below(visit.path, below.as_bytes()) {
            continue;
        }
        found = true;
        let link = first.filter(|first| *first != name);
        if command.json {
            writeln!(out, "{}", line_json(node, &name, link)).map_err(unanswered)?;
        } else {
            writeln!(out, "{}", line(node, &name, link)).map_err(unanswered)?;
        }
    }
    out.flush().map_err(unanswered)?;
    if found { Ok(()) } else { Err(render::NoSuchPath(below).into()) }
}

fn is_below(path: &[u8], root: &[u8]) -> bool {
    root.is_empty() || path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

/// `-rwxr-xr-x     0     0     1234 2026-01-31 12:00:00 /bin/x -> y`
fn line(node: &Node, name: &str, link: Option<String>) -> String {
    let meta = &node.metadata;
    let size = match &node.kind {
        Kind::File(content) => content.size().to_string(),
        Kind::CharDevice(device) | Kind::BlockDevice(device) => format!("{},{}", device.major, device.minor),
        _ => "-".into(),
    };
    let mut line = format!(
        "{} {:>5} {:>5} {size:>10} {} {name}",
        render::mode(node),
        meta.uid,
        meta.gid,
        render::time(meta.mtime.seconds)
    );
    if let Kind::Symlink(text) = &node.kind {
        line += &format!(" -> {}", escape(text));
    }
    if let Some(link) = link {
        line += &format!(" = {link}");
    }
    line
}

fn line_json(node: &Node, name: &str, link: Option<String>) -> Value {
    let mut value = render::node_json(node);
    value["path"] = name.into();
    if node.names > 1 {
        value["names"] = node.names.into();
    }
    if let Some(link) = link {
        value["sameAs"] = link.into();
    }
    value
}
