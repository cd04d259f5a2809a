//! What of a tree is booted. What the boot loader reads is not in the image, since that may name the image; files have
//! the labels of the tree's own SELinux policy. It is what `cfsctl` makes of a tree.

use tree::{Kind, Lost, NodeId, Path, Tree, transform};

use super::selinux::{self, ALIASES, Policy, PolicyError, RULES};

/// Directories that must be there, for what is mounted on them, and are empty.
const EMPTY: [&str; 2] = ["boot", "sysroot"];

/// The attribute that a label is.
const LABEL: &[u8] = b"security.selinux";

/// Most bytes of a file of the policy.
const POLICY_FILE_MAX: u64 = 32 << 20;

/// Why a tree cannot be booted.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// Something is mounted there.
    #[error("there is no directory /{0}")]
    NoDirectory(&'static str),
    /// Its policy gives no labels.
    #[error("the SELinux policy")]
    Policy(#[from] PolicyError),
    /// A file of its policy cannot be read.
    #[error("the SELinux policy")]
    Repository(#[from] composefs::Error),
}

/// Gives the bytes of a file in the tree.
type Contents<'a> = &'a dyn Fn(&Tree, NodeId) -> Result<Vec<u8>, composefs::Error>;

/// Changes a tree into what is booted of it. Labels that it has must be gone already.
pub(super) fn prepare(tree: &mut Tree, contents: Contents<'_>) -> Result<(), BootError> {
    let usr = tree.entries(Tree::ROOT).and_then(|root| root.get(&b"usr"[..])).copied();
    if usr.and_then(|usr| tree.entries(usr)).is_none() {
        return Err(BootError::NoDirectory("usr"));
    }
    for name in EMPTY {
        if !transform::empty(tree, name.as_bytes()) {
            return Err(BootError::NoDirectory(name));
        }
    }
    if let Some(mut policy) = policy(tree, contents)? {
        transform::label(tree, LABEL, |path, kind| policy.label(path, letter(kind)).map(Box::from));
    }
    Ok(())
}

/// The tree's policy, if it has one.
fn policy(tree: &Tree, contents: Contents<'_>) -> Result<Option<Policy>, BootError> {
    let Some(config) = file(tree, "etc/selinux/config", contents)? else { return Ok(None) };
    let Some(kind) = selinux::kind(&config) else { return Ok(None) };
    let all = |names: &[&'static str]| {
        let mut found = Vec::new();
        for name in names {
            let path = format!("etc/selinux/{kind}/contexts/files/{name}");
            match file(tree, &path, contents)? {
                Some(bytes) => found.push((*name, bytes)),
                None if *name == RULES[0] => return Err(PolicyError::Missing(path).into()),
                None => {}
            }
        }
        Ok::<_, BootError>(found)
    };
    Ok(Some(Policy::new(&all(&RULES)?, &all(&ALIASES)?)?))
}

/// The bytes of a small file; `None` if there is nothing of that name.
fn file(tree: &Tree, path: &str, contents: Contents<'_>) -> Result<Option<Vec<u8>>, BootError> {
    let odd = || BootError::from(PolicyError::File(path.into(), POLICY_FILE_MAX));
    let parsed = Path::parse(path.as_bytes(), tree::DEPTH_MAX).map_err(|_| odd())?;
    let node = match tree.find(&parsed) {
        Err(Lost::Missing { .. }) => return Ok(None),
        found => found.map_err(|_| odd())?,
    };
    match &tree.node(node).kind {
        Kind::File(content) if content.size() <= POLICY_FILE_MAX => Ok(Some(contents(tree, node)?)),
        _ => Err(odd()),
    }
}

/// A type as rules have it.
fn letter(kind: &Kind) -> u8 {
    match kind {
        Kind::Directory(_) => b'd',
        Kind::File(_) => b'-',
        Kind::Symlink(_) => b'l',
        Kind::CharDevice(_) => b'c',
        Kind::BlockDevice(_) => b'b',
        Kind::Fifo => b'p',
        Kind::Socket => b's',
    }
}
