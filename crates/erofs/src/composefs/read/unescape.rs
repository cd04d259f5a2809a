//! Taking back what was put into an image for overlayfs.

use hash::{Algorithm, FileDigest};

use super::super::format::{
    METACOPY, OPAQUE, OPAQUE_WHITEOUTS, OPAQUES, OVERLAY, OVERLAY_ESCAPED, REDIRECT, S_IFREG, Version,
    WHITEOUT, WHITEOUTS,
};
use super::super::objects::Object;
use super::Corrupt;
use super::inode::Inode;

/// What an inode is, beside what it seems to be.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) object: Option<Object>,
    /// A whiteout that was escaped.
    pub(super) whiteout: bool,
}

/// Of the root: that nothing below it is to be seen.
pub(super) fn root(inode: &mut Inode, version: Version) -> Result<(), Corrupt> {
    if version != Version::V2 && inode.xattrs.remove(OPAQUE).as_deref() != Some(b"y") {
        return Err(inode.corrupt("the root lets objects be seen"));
    }
    plain(inode)
}

/// Of everything else.
pub(super) fn leaf(inode: &mut Inode, version: Version) -> Result<Found, Corrupt> {
    let object = object(inode)?;
    let mut found = Found { object, whiteout: false };
    let is = |name: &&[u8]| inode.xattrs.get(*name).is_some_and(|value| value.is_empty());
    if version != Version::V2
        && inode.fields.file_type() == S_IFREG
        && inode.is_empty()
        && WHITEOUT.iter().all(is)
    {
        WHITEOUT.iter().for_each(|name| drop(inode.xattrs.remove(*name)));
        found.whiteout = true;
    }
    plain(inode)?;
    Ok(found)
}

/// Of a directory with whiteouts. Its attributes are without one `overlay.` by now.
pub(super) fn directory(inode: &mut Inode, version: Version) -> Result<(), Corrupt> {
    let mut take = |names: [&[u8]; 2], value: &[u8]| {
        names.into_iter().all(|name| inode.xattrs.remove(&*unescaped(name)).as_deref() == Some(value))
    };
    let marked = take(WHITEOUTS, b"");
    let opaque = version != Version::V1 || take(OPAQUES, OPAQUE_WHITEOUTS);
    if marked && opaque {
        Ok(())
    } else {
        Err(inode.corrupt("a directory that does not say that it has whiteouts"))
    }
}

/// Where a file's bytes are.
fn object(inode: &mut Inode) -> Result<Option<Object>, Corrupt> {
    let (metacopy, redirect) = (inode.xattrs.remove(METACOPY), inode.xattrs.remove(REDIRECT));
    if inode.is_outside() != metacopy.is_some() {
        return Err(inode.corrupt("a file is in the image and outside of it, or in neither"));
    }
    let Some(metacopy) = metacopy else {
        return if redirect.is_none() { Ok(None) } else { Err(inode.corrupt("a file that leads elsewhere")) };
    };
    let Some(redirect) = redirect else {
        return if metacopy.is_empty() { Ok(None) } else { Err(inode.corrupt("a digest of no object")) };
    };
    let named = redirect.strip_prefix(b"/").and_then(Object::parse_path);
    let digest = named.ok_or_else(|| inode.corrupt("not the path of an object"))?;
    if metacopy.is_empty() {
        return Ok(Some(Object { digest, enforced: false }));
    }
    let stated = match *metacopy {
        [0, length, 0, 1, ref bytes @ ..] if usize::from(length) == metacopy.len() => {
            FileDigest::from_bytes(Algorithm::Sha256, bytes)
        }
        [0, length, 0, 2, ref bytes @ ..] if usize::from(length) == metacopy.len() => {
            FileDigest::from_bytes(Algorithm::Sha512, bytes)
        }
        _ => None,
    };
    if stated != Some(digest) {
        return Err(inode.corrupt("the object's path has another digest than is demanded"));
    }
    Ok(Some(Object { digest, enforced: true }))
}

/// Of attributes: one `overlay.`. Others must not mean anything to overlayfs.
fn plain(inode: &mut Inode) -> Result<(), Corrupt> {
    if !inode.xattrs.keys().any(|name| name.starts_with(OVERLAY)) {
        return Ok(());
    }
    let all = std::mem::take(&mut inode.xattrs);
    if all.keys().any(|name| name.starts_with(OVERLAY) && !name.starts_with(OVERLAY_ESCAPED)) {
        return Err(inode.corrupt("an attribute that overlayfs would take for its own"));
    }
    inode.xattrs = all.into_iter().map(|(name, value)| (unescaped(&name), value)).collect();
    Ok(())
}

fn unescaped(name: &[u8]) -> Box<[u8]> {
    match name.strip_prefix(OVERLAY_ESCAPED) {
        Some(rest) => [OVERLAY, rest].concat().into(),
        None => name.into(),
    }
}
