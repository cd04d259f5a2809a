//! `unlade diff`.

use std::cell::RefCell;
use std::io::{self, BufWriter, Write};

use hash::Digest;
use oci::Image;
use pipeline::{Merged, Trust, View, layers, look};
use serde_json::{Value, json};
use tree::{Aspect, Changed, Content, Difference, Kind, Node, compare, escape};

use super::Outcome;
use super::shared::{Fallible, Session, layer_options, trust};
use crate::args::{Common, Diff, LayerRange};
use crate::exit::Usage;
use crate::render;
use crate::terminal::unanswered;

/// Shows in what the files of two images differ.
pub(crate) fn run(common: &Common, command: &Diff) -> Outcome {
    let first = Session::start(common, &command.image, &command.look.source)?;
    let second = command.other.as_deref().map(|other| first.beside(common, other)).transpose()?;
    let second = second.as_ref().unwrap_or(&first);
    let options = layer_options(&command.look.layers);
    let trust = trust(&command.look);
    let (before, after) = match command.layers {
        Some(LayerRange { before, after }) => (Some(before), Some(after)),
        None => (None, None),
    };
    // What the store remembered wrongly of a layer is forgotten when that is found out.
    for is_last in [false, true] {
        let left = Side::merge(&first, before, &options, trust)?;
        let right = Side::merge(second, after, &options, trust)?;
        match differences(&left, &right, command.times) {
            Err(error) if !is_last && is_stale(&*error) => {}
            found => return show(&found?, command.json),
        }
    }
    Ok(())
}

fn is_stale(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref().and_then(pipeline::Error::wrong_outline).is_some()
}

/// One of the two images.
struct Side<'a> {
    session: &'a Session,
    /// With the layers that count.
    image: Image,
    merged: Merged,
    options: &'a layers::Options,
    trust: Trust,
}

impl<'a> Side<'a> {
    fn merge(
        session: &'a Session,
        lowest: Option<usize>,
        options: &'a layers::Options,
        trust: Trust,
    ) -> Fallible<Side<'a>> {
        let (mut image, merged) = session.merged(lowest, options, trust)?;
        let count = image.manifest.layers.len();
        if let Some(lowest) = lowest {
            if lowest > count {
                let s = if count == 1 { "" } else { "s" };
                return Err(
                    Usage(format!("there is no layer {lowest}: the image has {count} layer{s}")).into()
                );
            }
            image = image.lowest(lowest);
        }
        Ok(Side { session, image, merged, options, trust })
    }

    fn digests(&self, contents: &[&Content]) -> Fallible<Vec<Digest>> {
        let digests = self.session.with_image(|found, report| {
            if found.descriptor.digest != self.image.descriptor.digest {
                return Ok(None);
            }
            let Side { image, merged, options, trust, .. } = self;
            let store = &self.session.store;
            View { store, image, options, trust: *trust, merged, report }.digests(contents).map(Some)
        });
        digests?.ok_or_else(|| "the name was given to another image meanwhile".into())
    }
}

/// The differences. What only the bytes can tell is found out last, and only if there is such a thing.
fn differences<'a>(left: &'a Side<'_>, right: &'a Side<'_>, times: bool) -> Fallible<Vec<Difference<'a>>> {
    let (before, after) = (&left.merged.tree, &right.merged.tree);
    let open: RefCell<Vec<(&Content, &Content)>> = RefCell::default();
    let same_place = |a: &Content, b: &Content| look::same_place(&left.image, a, &right.image, b);
    let found = compare(before, after, times, |a, b| {
        if !same_place(a, b) {
            open.borrow_mut().push((a, b));
        }
        true
    });
    let open = open.into_inner();
    if open.is_empty() {
        return Ok(found);
    }
    let (old, new): (Vec<&Content>, Vec<&Content>) = open.iter().copied().unzip();
    let mut answers = left.digests(&old)?.into_iter().zip(right.digests(&new)?).map(|(a, b)| a == b);
    // The same questions are asked in the same order.
    Ok(compare(before, after, times, |a, b| same_place(a, b) || answers.next().unwrap_or(false)))
}

fn show(differences: &[Difference<'_>], as_json: bool) -> Outcome {
    let mut out = BufWriter::new(io::stdout().lock());
    for difference in differences {
        if as_json {
            writeln!(out, "{}", line_json(difference)).map_err(unanswered)?;
        } else {
            writeln!(out, "{}", line(difference)).map_err(unanswered)?;
        }
    }
    out.flush().map_err(unanswered)?;
    Ok(())
}

/// `C /etc/passwd (size 10 -> 20, mode 0644 -> 0600)`
fn line(difference: &Difference<'_>) -> String {
    let path = escape(&difference.path);
    match &difference.change {
        Changed::Added(_) => format!("A /{path}"),
        Changed::Removed(_) => format!("D /{path}"),
        Changed::Changed { before, after, aspects } => {
            let reasons: Vec<String> = aspects.iter().map(|aspect| reason(*aspect, before, after)).collect();
            format!("C /{path} ({})", reasons.join(", "))
        }
    }
}

fn reason(aspect: Aspect, before: &Node, after: &Node) -> String {
    let shown = |node: &Node| match (aspect, &node.kind) {
        (Aspect::Type, kind) => render::kind(kind).into(),
        (Aspect::Mode, _) => format!("{:04o}", node.metadata.mode),
        (Aspect::Owner, _) => format!("{}:{}", node.metadata.uid, node.metadata.gid),
        (Aspect::Size, Kind::File(content)) => content.size().to_string(),
        (Aspect::Target, Kind::Symlink(text)) => escape(text).to_string(),
        (Aspect::Device, Kind::CharDevice(device) | Kind::BlockDevice(device)) => {
            format!("{},{}", device.major, device.minor)
        }
        (Aspect::Time, _) => render::time(node.metadata.mtime.seconds),
        _ => String::new(),
    };
    let word = word(aspect);
    match (shown(before), shown(after)) {
        (old, new) if old == new => word.into(),
        (old, new) => format!("{word} {old} -> {new}"),
    }
}

fn word(aspect: Aspect) -> &'static str {
    match aspect {
        Aspect::Type => "type",
        Aspect::Mode => "mode",
        Aspect::Owner => "owner",
        Aspect::Size => "size",
        Aspect::Content => "content",
        Aspect::Target => "target",
        Aspect::Device => "device",
        Aspect::Xattrs => "attributes",
        Aspect::HardLink => "hard link",
        Aspect::Time => "time",
    }
}

fn line_json(difference: &Difference<'_>) -> Value {
    let path = format!("/{}", escape(&difference.path));
    match &difference.change {
        Changed::Added(node) => json!({ "path": path, "change": "added", "after": render::node_json(node) }),
        Changed::Removed(node) => {
            json!({ "path": path, "change": "removed", "before": render::node_json(node) })
        }
        Changed::Changed { before, after, aspects } => {
            let reasons: Vec<&str> = aspects.iter().map(|aspect| word(*aspect)).collect();
            json!({
                "path": path,
                "change": "changed",
                "reasons": reasons,
                "before": render::node_json(before),
                "after": render::node_json(after),
            })
        }
    }
}
