//! Layers and files made of a fuzzer's bytes. Names are few, so that the changes of one layer meet those of another.

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use tree::{Action, BLOCK, Change, Content, DEPTH_MAX, Device, Kind, Metadata, Path, Piece, Span, Time};

/// How many bytes the content space of a made layer may have. Spans lie anywhere in it.
pub const SPACE: u64 = 64 * BLOCK;

/// The changes of one layer, at most so many.
pub fn changes(u: &mut Unstructured<'_>, most: usize) -> Result<Vec<Change>> {
    let mut changes = Vec::new();
    while changes.len() < most && !u.is_empty() && u.ratio(15, 16)? {
        let action = match u.int_in_range(0..=9)? {
            0 => Action::Remove,
            1 => Action::Clear,
            2 | 3 => Action::Link { target: path(u)?, metadata: metadata(u)? },
            _ => Action::Put(metadata(u)?, kind(u)?),
        };
        changes.push(Change { entry: changes.len() as u64, path: path(u)?, action });
    }
    Ok(changes)
}

/// A directory with many names, of which some have long names, contents made here, or are sockets.
pub fn many(u: &mut Unstructured<'_>) -> Result<Vec<Change>> {
    let count = u.int_in_range(0..=600)?;
    let padding = "p".repeat(u.int_in_range(0..=240)?);
    let kind = match u.int_in_range(0..=5)? {
        0 => Kind::Socket,
        1 => Kind::File(Content::Inline(vec![u.arbitrary()?; u.int_in_range(1..=9000)?].into())),
        2 => Kind::File(content(u)?),
        3 => Kind::Symlink(vec![b's'; u.int_in_range(1..=1023)?].into()),
        4 => Kind::Directory(Default::default()),
        _ => Kind::File(Content::Empty),
    };
    let metadata = metadata(u)?;
    let put = |number: u32| {
        let path =
            Path::parse(format!("many/{number}{padding}").as_bytes(), DEPTH_MAX).expect("it is a path");
        Change { entry: number.into(), path, action: Action::Put(metadata.clone(), kind.clone()) }
    };
    let path = Path::parse(b"many", DEPTH_MAX).expect("it is a path");
    let directory = Action::Put(metadata.clone(), Kind::Directory(Default::default()));
    let first = Change { entry: 0, path, action: directory };
    Ok([first].into_iter().chain((0..count).map(put)).collect())
}

/// A path of a few components, rarely the root.
pub fn path(u: &mut Unstructured<'_>) -> Result<Path> {
    let depth = u.int_in_range(0..=4)?;
    let names: Vec<&[u8]> = (0..depth).map(|_| name(u)).collect::<Result<_>>()?;
    let text = [&b"/"[..], &names.join(&b'/')].concat();
    Ok(Path::parse(&text, DEPTH_MAX).expect("the names are sound"))
}

fn name(u: &mut Unstructured<'_>) -> Result<&'static [u8]> {
    u.choose(&[&b"a"[..], b"b", b"c", b"d", b"lost+found", b"\xff\x1b[31m \n"]).copied()
}

/// Anything but a socket, which no layer has.
pub fn kind(u: &mut Unstructured<'_>) -> Result<Kind> {
    Ok(match u.int_in_range(0..=9)? {
        0..=3 => Kind::Directory(Default::default()),
        4 | 5 => Kind::Symlink(text(u)?),
        6 => Kind::File(Content::Empty),
        7 => Kind::File(content(u)?),
        8 => Kind::Fifo,
        _ => {
            let device = Device { major: u.arbitrary()?, minor: u.arbitrary()? };
            if u.arbitrary()? { Kind::CharDevice(device) } else { Kind::BlockDevice(device) }
        }
    })
}

/// What a symlink says: names of the tree, and the words that lead elsewhere in it.
fn text(u: &mut Unstructured<'_>) -> Result<Box<[u8]>> {
    let mut text = if u.arbitrary()? { b"/".to_vec() } else { Vec::new() };
    for _ in 0..u.int_in_range(0..=5)? {
        text.extend_from_slice(if u.ratio(1, 3)? { u.choose(&[&b".."[..], b".", b""])? } else { name(u)? });
        text.push(b'/');
    }
    if u.ratio(1, 32)? {
        text.resize(u.int_in_range(1..=4095)?, b'x');
    }
    // A slash at the end says nothing new, and no text is empty.
    if text.len() > 1 && text.ends_with(b"/") {
        text.pop();
    }
    Ok(if text.is_empty() { Box::from(*b".") } else { text.into() })
}

/// A file's content in [`SPACE`]: whole, or pieces with holes around them.
pub fn content(u: &mut Unstructured<'_>) -> Result<Content> {
    if u.arbitrary()? {
        return Ok(Content::Whole(span(u, 1..=5 * BLOCK)?));
    }
    let mut pieces = Vec::new();
    let mut end = 0;
    for _ in 0..u.int_in_range(0..=8)? {
        end += u.int_in_range(0..=20)? * BLOCK;
        let mut span = span(u, 1..=3 * BLOCK)?;
        // Only the last piece may end within a block, and it does so at the file's end.
        span.length = span.length.next_multiple_of(BLOCK);
        pieces.push(Piece { at: end, span });
        end += span.length;
    }
    let size = if u.arbitrary()? {
        let hole = u.int_in_range(0..=1 << 20)?;
        end + if pieces.is_empty() { hole.max(1) } else { hole }
    } else if let Some(last) = pieces.last_mut() {
        let cut = u.int_in_range(0..=BLOCK - 1)?;
        last.span.length -= cut;
        end - cut
    } else {
        1
    };
    Ok(Content::Pieces { size, declared: u.arbitrary()?, pieces: pieces.into() })
}

fn span(u: &mut Unstructured<'_>, lengths: std::ops::RangeInclusive<u64>) -> Result<Span> {
    let length = u.int_in_range(lengths)?;
    let blocks = length.div_ceil(BLOCK);
    Ok(Span { layer: 0, offset: u.int_in_range(0..=SPACE / BLOCK - blocks)? * BLOCK, length })
}

/// Mode, owner, time, and now and then attributes.
pub fn metadata(u: &mut Unstructured<'_>) -> Result<Metadata> {
    if u.arbitrary()? {
        return Ok(Metadata { mode: u.int_in_range(0..=0o7777)?, ..Metadata::implicit() });
    }
    let seconds = match u.int_in_range(0..=3)? {
        0 => u.arbitrary::<i64>()?,
        1 => *u.choose(&[i64::MIN, i64::MAX, -1, 1 << 31, 1 << 34])?,
        _ => u.arbitrary::<u32>()?.into(),
    };
    let mut xattrs = tree::Xattrs::new();
    for _ in 0..u.int_in_range(0..=6)?.min(3) {
        let (name, value) = xattr(u)?;
        xattrs.insert(name.into_bytes().into(), value.into());
    }
    Ok(Metadata {
        mode: u.int_in_range(0..=0o7777)?,
        uid: u.arbitrary()?,
        gid: u.arbitrary()?,
        mtime: Time { seconds, nanoseconds: u.int_in_range(0..=999_999_999)? },
        xattrs: (!xattrs.is_empty()).then(|| Box::new(xattrs)),
    })
}

fn xattr(u: &mut Unstructured<'_>) -> Result<(String, Vec<u8>)> {
    let prefix = *u.choose(&["user.", "trusted.", "security."])?;
    let name = prefix.to_owned() + &"n".repeat(u.int_in_range(1..=246)?);
    let length = if u.ratio(1, 8)? { u.int_in_range(0..=9000)? } else { u.int_in_range(0..=100)? };
    let byte = u.arbitrary::<u8>()?;
    Ok((name, vec![byte; length]))
}
