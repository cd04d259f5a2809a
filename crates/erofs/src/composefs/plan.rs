//! Planning an image.

use tree::{Time, Tree};

use super::error::Error;
use super::format::{ACL_ACCESS, ACL_DEFAULT, Version, XATTR_HEADER_SIZE, XATTRS_MAX};
use super::inodes::{Inode, collect};
use super::objects::Files;
use super::order::{Order, Origin, order};
use super::place::{Ends, Place, place};
use super::xattrs::{Arranged, Xattr, share};

/// Longest text of a symlink, in bytes: what XFS holds, and what the tools of composefs take.
pub const LINK_TEXT_MAX: usize = 1024;

/// Most bytes of a file in the image: what the C tools take.
pub const IMAGE_CONTENT_MAX: usize = 5000;

/// Most bytes of a file outside of the image. Numbers of larger ones' chunks would not fit behind the inode, where
/// the tools of composefs write nonsense.
pub const OBJECT_SIZE_MAX: u64 = 1 << 52;

/// An image that is not written yet. It belongs to the tree that it was planned for.
#[derive(Debug)]
pub struct Layout<'a> {
    pub(super) version: Version,
    pub(super) inodes: Vec<Inode<'a>>,
    pub(super) xattrs: Vec<Arranged<'a>>,
    pub(super) shared: Vec<Xattr<'a>>,
    /// Where each of them starts behind the inodes.
    pub(super) shared_starts: Vec<u64>,
    pub(super) has_acl: bool,
    /// The time of small inodes.
    pub(super) epoch: Time,
    pub(super) places: Vec<Place>,
    pub(super) ends: Ends,
}

/// Decides where everything goes. Contents that are neither inline nor objects count as holes.
///
/// Fails for what an image cannot hold.
pub fn plan(files: &Files, version: Version) -> Result<Layout<'_>, Error> {
    let Files { tree, objects } = files;
    let order = order(tree, version);
    let (inodes, xattrs) = collect(tree, objects, &order, version)?;
    check_xattrs(tree, &order, &xattrs)?;
    let is_acl = |xattr: &Xattr<'_>| xattr.index == ACL_ACCESS || xattr.index == ACL_DEFAULT;
    let has_acl = version != Version::V2 && xattrs.iter().flatten().any(is_acl);
    let (xattrs, shared) = share(xattrs, version);
    let epoch = match version {
        Version::V0 | Version::V1 => earliest(&inodes),
        Version::V2 => Time::default(),
    };
    let (places, ends) = place(&inodes, &xattrs, &shared, epoch, version)?;
    let shared_starts = starts(&shared);
    Ok(Layout { version, inodes, xattrs, shared, shared_starts, has_acl, epoch, places, ends })
}

fn starts(shared: &[Xattr<'_>]) -> Vec<u64> {
    let ends = shared.iter().scan(0, |end, xattr| {
        *end += xattr.length();
        Some(*end)
    });
    [0].into_iter().chain(ends).take(shared.len()).collect()
}

/// The earliest time, where those before 1970 count as the latest: the tools compare without a sign.
fn earliest(inodes: &[Inode<'_>]) -> Time {
    let unsigned = |time: &Time| (time.seconds as u64, time.nanoseconds);
    inodes.iter().map(|inode| inode.mtime).min_by_key(unsigned).unwrap_or_default()
}

/// Refuses attributes for whose lengths there is no room.
fn check_xattrs(tree: &Tree, order: &Order, inodes: &[Vec<Xattr<'_>>]) -> Result<(), Error> {
    let check = |xattrs: &[Xattr<'_>]| {
        let longest = |length: fn(&Xattr<'_>) -> usize| xattrs.iter().map(length).max().unwrap_or(0) as u64;
        let total = XATTR_HEADER_SIZE as u64 + xattrs.iter().map(Xattr::length).sum::<u64>();
        [
            ("an attribute's name in bytes", longest(|xattr| xattr.suffix().len()), u8::MAX.into()),
            ("an attribute's value in bytes", longest(|xattr| xattr.value().len()), u16::MAX.into()),
            // All of them may be shared.
            ("number of attributes", xattrs.len() as u64, u8::MAX.into()),
            ("length of all attributes", total, XATTRS_MAX as u64),
        ]
        .into_iter()
        .find(|(_, value, max)| value > max)
    };
    for (at, xattrs) in inodes.iter().enumerate() {
        if let Some((what, value, max)) = check(xattrs) {
            return Err(Error::Limit { path: path_of(tree, order.origins[at]), what, value, max });
        }
    }
    Ok(())
}

/// A path of an inode, for a message. Stubs have what the root has.
fn path_of(tree: &Tree, origin: Origin) -> Box<[u8]> {
    let Origin::Node(wanted) = origin else { return Box::default() };
    let mut walk = tree.walk();
    while let Some(visit) = walk.step() {
        if visit.node == wanted {
            return visit.path.into();
        }
    }
    Box::default()
}

impl Layout<'_> {
    /// Bytes of the image.
    pub fn size(&self) -> u64 {
        self.ends.blocks
    }

    /// Which format it has.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Inodes in all, those of stubs among them.
    pub fn inodes(&self) -> u64 {
        self.inodes.len() as u64
    }
}
