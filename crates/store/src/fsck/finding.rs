//! What a check may find, how bad it is, and what helps.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use hash::{Digest, Mismatch};

/// Something wrong or odd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The file that marks a layout is not there.
    NoLayout,
    /// It cannot be read, or is of another version.
    BadLayout {
        /// Why.
        cause: String,
    },
    /// The list of tags cannot be read.
    BadIndex {
        /// Why.
        cause: String,
    },
    /// An entry in the list of tags cannot be understood.
    BadEntry {
        /// Its place in the list, from 0.
        number: usize,
        /// Why.
        cause: String,
    },
    /// A name stands in the list twice for the same platform; the first one counts.
    TagTwice {
        /// The place of the second.
        number: usize,
        /// The name.
        name: String,
    },
    /// A blob is not there.
    Missing {
        /// The blob.
        digest: Digest,
        /// The tags that need it.
        names: BTreeSet<String>,
    },
    /// A blob has other bytes than its name says.
    Corrupt {
        /// The blob.
        digest: Digest,
        /// In which way.
        mismatch: Mismatch,
        /// The tags that need it.
        names: BTreeSet<String>,
    },
    /// A blob has the right bytes, and whoever names it says another size.
    WrongSize {
        /// The blob.
        digest: Digest,
        /// What is said.
        stated: u64,
        /// What it has.
        found: u64,
        /// The tags that need it.
        names: BTreeSet<String>,
    },
    /// What should be a manifest or an index is none.
    Unusable {
        /// The blob.
        digest: Digest,
        /// Why.
        cause: String,
        /// The tags that need it.
        names: BTreeSet<String>,
    },
    /// A blob cannot be read.
    Unreadable {
        /// The blob.
        digest: Digest,
        /// What the system said.
        cause: String,
    },
    /// A symlink, a directory or the like has a blob's name.
    NotAFile {
        /// The blob.
        digest: Digest,
        /// Where it is.
        path: PathBuf,
    },
    /// Something among the blobs has a name that is no digest.
    Stray {
        /// Where it is.
        path: PathBuf,
    },
    /// What a blob is said to expand to is no digest.
    BadDiffId {
        /// The blob.
        digest: Digest,
        /// Where it is said.
        path: PathBuf,
    },
    /// A layer's outline is damaged.
    BadOutline {
        /// The blob.
        digest: Digest,
        /// Where it is.
        path: PathBuf,
    },
    /// A rootfs that is remembered is damaged.
    BadRootfs {
        /// The image that it was built from.
        manifest: Digest,
        /// Where it is.
        path: PathBuf,
    },
    /// A killed process left it.
    Leftover {
        /// Where it is.
        path: PathBuf,
    },
}

/// How bad a finding is, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// An image cannot be used, or not be trusted.
    Error,
    /// Nothing is lost, but something is not as it should be.
    Warning,
    /// Harmless, and gone after the next sweep.
    Note,
}

/// What helps against a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fix {
    /// Fetching the blob again, by the name of a tag that needs it.
    Fetch,
    /// Removing what is damaged: nobody needs it, or it is made anew.
    Remove,
    /// Taking the tag away.
    DropTag,
    /// Writing the file anew.
    Write,
    /// A sweep.
    Sweep,
    /// A look by somebody who knows.
    ByHand,
}

impl Finding {
    /// One word for programs, which never changes.
    pub fn code(&self) -> &'static str {
        match self {
            Finding::NoLayout => "layout-missing",
            Finding::BadLayout { .. } => "layout-malformed",
            Finding::BadIndex { .. } => "index-malformed",
            Finding::BadEntry { .. } => "entry-malformed",
            Finding::TagTwice { .. } => "tag-twice",
            Finding::Missing { .. } => "blob-missing",
            Finding::Corrupt { .. } => "blob-corrupt",
            Finding::WrongSize { .. } => "size-wrong",
            Finding::Unusable { .. } => "document-unusable",
            Finding::Unreadable { .. } => "blob-unreadable",
            Finding::NotAFile { .. } => "blob-not-a-file",
            Finding::Stray { .. } => "name-stray",
            Finding::BadDiffId { .. } => "diff-id-malformed",
            Finding::BadOutline { .. } => "outline-damaged",
            Finding::BadRootfs { .. } => "rootfs-damaged",
            Finding::Leftover { .. } => "leftover",
        }
    }

    /// How bad it is.
    pub fn severity(&self) -> Severity {
        match self {
            Finding::NoLayout
            | Finding::BadLayout { .. }
            | Finding::BadIndex { .. }
            | Finding::Missing { .. }
            | Finding::Corrupt { .. }
            | Finding::WrongSize { .. }
            | Finding::Unusable { .. }
            | Finding::Unreadable { .. }
            | Finding::NotAFile { .. } => Severity::Error,
            Finding::BadEntry { .. }
            | Finding::TagTwice { .. }
            | Finding::Stray { .. }
            | Finding::BadDiffId { .. }
            | Finding::BadOutline { .. }
            | Finding::BadRootfs { .. } => Severity::Warning,
            Finding::Leftover { .. } => Severity::Note,
        }
    }

    /// What helps.
    pub fn fix(&self) -> Fix {
        match self {
            Finding::NoLayout => Fix::Write,
            Finding::Missing { .. } => Fix::Fetch,
            Finding::Corrupt { names, .. } if names.is_empty() => Fix::Remove,
            Finding::Corrupt { .. } | Finding::NotAFile { .. } => Fix::Fetch,
            Finding::BadDiffId { .. } | Finding::BadOutline { .. } | Finding::BadRootfs { .. } => Fix::Remove,
            Finding::WrongSize { .. }
            | Finding::Unusable { .. }
            | Finding::BadEntry { .. }
            | Finding::TagTwice { .. } => Fix::DropTag,
            Finding::BadLayout { .. }
            | Finding::BadIndex { .. }
            | Finding::Unreadable { .. }
            | Finding::Stray { .. } => Fix::ByHand,
            Finding::Leftover { .. } => Fix::Sweep,
        }
    }

    /// The blob that it is about.
    pub fn digest(&self) -> Option<Digest> {
        match self {
            Finding::Missing { digest, .. }
            | Finding::Corrupt { digest, .. }
            | Finding::WrongSize { digest, .. }
            | Finding::Unusable { digest, .. }
            | Finding::Unreadable { digest, .. }
            | Finding::NotAFile { digest, .. }
            | Finding::BadDiffId { digest, .. }
            | Finding::BadOutline { digest, .. } => Some(*digest),
            _ => None,
        }
    }

    /// The tags that suffer.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let names = match self {
            Finding::Missing { names, .. }
            | Finding::Corrupt { names, .. }
            | Finding::WrongSize { names, .. }
            | Finding::Unusable { names, .. } => Some(names),
            _ => None,
        };
        names.into_iter().flatten().map(String::as_str)
    }

    pub(super) fn names_mut(&mut self) -> Option<&mut BTreeSet<String>> {
        match self {
            Finding::Missing { names, .. }
            | Finding::Corrupt { names, .. }
            | Finding::WrongSize { names, .. }
            | Finding::Unusable { names, .. } => Some(names),
            _ => None,
        }
    }

    /// The file that it is about.
    pub fn path(&self) -> Option<&PathBuf> {
        match self {
            Finding::NotAFile { path, .. }
            | Finding::Stray { path }
            | Finding::BadDiffId { path, .. }
            | Finding::BadOutline { path, .. }
            | Finding::BadRootfs { path, .. }
            | Finding::Leftover { path } => Some(path),
            _ => None,
        }
    }

    /// The blob of which it is known that its bytes need not be looked at any more.
    pub(super) fn broken_blob(&self) -> Option<Digest> {
        match self {
            Finding::Missing { digest, .. }
            | Finding::Corrupt { digest, .. }
            | Finding::Unreadable { digest, .. }
            | Finding::NotAFile { digest, .. } => Some(*digest),
            _ => None,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::NoLayout => write!(f, "the file oci-layout is missing"),
            Finding::BadLayout { cause } => write!(f, "the file oci-layout is of no use: {cause}"),
            Finding::BadIndex { cause } => write!(f, "the list of tags is of no use: {cause}"),
            Finding::BadEntry { number, cause } => {
                write!(f, "entry {} of the list of tags cannot be understood: {cause}", number + 1)
            }
            Finding::TagTwice { number, name } => write!(
                f,
                "\"{}\" is in the list of tags twice; entry {} is never used",
                name.escape_debug(),
                number + 1
            ),
            Finding::Missing { digest, .. } => write!(f, "blob {digest} is missing"),
            Finding::Corrupt { digest, mismatch, .. } => write!(f, "blob {digest} is corrupt: {mismatch}"),
            Finding::WrongSize { digest, stated, found, .. } => {
                write!(f, "blob {digest} has {found} bytes and is said to have {stated}")
            }
            Finding::Unusable { digest, cause, .. } => {
                write!(f, "document {digest} is of no use: {}", cause.escape_debug())
            }
            Finding::Unreadable { digest, cause } => write!(f, "blob {digest} cannot be read: {cause}"),
            Finding::NotAFile { digest, .. } => write!(f, "blob {digest} is not a regular file"),
            Finding::Stray { path } => {
                write!(f, "{} is among the blobs, and is none", path.display())
            }
            Finding::BadDiffId { digest, .. } => {
                write!(f, "what blob {digest} is remembered to expand to is no digest")
            }
            Finding::BadOutline { digest, .. } => write!(f, "the outline of blob {digest} is damaged"),
            Finding::BadRootfs { manifest, .. } => {
                write!(f, "a rootfs that was built from {manifest} is damaged")
            }
            Finding::Leftover { path } => write!(f, "{} was left by a killed process", path.display()),
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        })
    }
}

impl fmt::Display for Fix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fix::Fetch => "fetch",
            Fix::Remove => "remove",
            Fix::DropTag => "drop-tag",
            Fix::Write => "write",
            Fix::Sweep => "gc",
            Fix::ByHand => "by-hand",
        })
    }
}

/// An error and its causes in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut link = error.source();
    while let Some(cause) = link {
        text += &format!(": {cause}");
        link = cause.source();
    }
    text
}
