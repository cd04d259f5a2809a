//! Extended attributes: three spellings of them, and which belong to the image at all.

use std::collections::BTreeMap;
use std::io::BufRead;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use tree::{Remark, Xattrs, escape};

use super::{Keep, ReadOptions, Reading, XATTR_NAME_MAX, XATTR_VALUE_MAX};
use crate::error::Error;
use crate::tar::{Entry, EntryKind};

mod acl;

/// libarchive writes base 64 without padding; others pad.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Attributes by name, each with how much its spelling counts.
type Found = BTreeMap<Box<[u8]>, (Spelling, Box<[u8]>)>;

/// Where an attribute comes from; a later one wins.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Spelling {
    /// GNU tar and star: the text of an access control list.
    Acl,
    /// libarchive: name encoded as in a URL, value in base 64.
    Libarchive,
    /// star, GNU tar and Go: name and value as they are.
    Schily,
}

impl<R: BufRead, K: Keep<R>> Reading<'_, R, K> {
    /// The entry's attributes; `None` where it has none.
    pub(super) fn xattrs(&mut self, entry: &Entry) -> Result<Option<Box<Xattrs>>, Error> {
        let mut found = Found::new();
        for (key, value) in entry.records() {
            self.record(entry, key, value, &mut found)?;
        }
        let mut xattrs = Xattrs::new();
        for (name, (_, value)) in found {
            if !kept(&name, self.options) {
                self.note(Remark::XattrDropped, Some(entry.index), &name);
                continue;
            }
            check(&name, &value)?;
            self.count(name.len() + value.len())?;
            xattrs.insert(name, value);
        }
        Ok((!xattrs.is_empty()).then(|| Box::new(xattrs)))
    }

    fn record(&mut self, entry: &Entry, key: &[u8], value: &[u8], found: &mut Found) -> Result<(), Error> {
        let (spelling, name, value) = if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
            (Spelling::Schily, name.into(), value.into())
        } else if let Some(name) = key.strip_prefix(b"LIBARCHIVE.xattr.") {
            (Spelling::Libarchive, percent_decoded(name)?, base64(name, value)?)
        } else if key == b"RHT.security.selinux" {
            (Spelling::Acl, b"security.selinux"[..].into(), value.into())
        } else {
            let (name, default) = match key {
                b"SCHILY.acl.access" => (&b"system.posix_acl_access"[..], false),
                b"SCHILY.acl.default" if entry.kind == EntryKind::Directory => {
                    (&b"system.posix_acl_default"[..], true)
                }
                _ => return Ok(()),
            };
            match acl::parse(value)? {
                acl::Acl::Entries(bytes) => (Spelling::Acl, name.into(), bytes),
                // It says what the mode says; Linux does not store such a list either.
                acl::Acl::Mode(bytes) if default => (Spelling::Acl, name.into(), bytes),
                acl::Acl::Mode(_) => return Ok(()),
                acl::Acl::Nameless if self.options.strict => {
                    return Err(Error::unsupported("access control list names a user without a number"));
                }
                acl::Acl::Nameless => {
                    self.note(Remark::XattrDropped, Some(entry.index), name);
                    return Ok(());
                }
            }
        };
        if found.get(&*name).is_none_or(|(before, _)| *before <= spelling) {
            found.insert(name, (spelling, value));
        }
        Ok(())
    }
}

/// Whether an attribute belongs to the image and not to the host that made it.
fn kept(name: &[u8], options: &ReadOptions) -> bool {
    match name {
        b"security.selinux" => options.keep_selinux,
        b"user.rootlesscontainers" | b"user.containers.override_stat" => options.keep_rootless_xattrs,
        _ if name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.") => {
            options.keep_overlay_xattrs
        }
        _ => true,
    }
}

fn check(name: &[u8], value: &[u8]) -> Result<(), Error> {
    if name.is_empty() {
        return Err(Error::invalid("extended attribute without a name"));
    }
    if name.contains(&0) {
        return Err(Error::invalid(format!(
            "extended attribute \"{}\" has a NUL byte in its name",
            escape(name)
        )));
    }
    let too_long = |what, length, limit| {
        let name = escape(name);
        Error::invalid(format!(
            "extended attribute \"{name}\" has a {what} of {length} bytes, more than {limit}"
        ))
    };
    match (name.len(), value.len()) {
        (length, _) if length > XATTR_NAME_MAX => Err(too_long("name", length, XATTR_NAME_MAX)),
        (_, length) if length > XATTR_VALUE_MAX => Err(too_long("value", length, XATTR_VALUE_MAX)),
        _ => Ok(()),
    }
}

/// A name in which `%XX` stands for a byte.
fn percent_decoded(name: &[u8]) -> Result<Box<[u8]>, Error> {
    let bad =
        || Error::corrupt(format!("name of an extended attribute is badly encoded: \"{}\"", escape(name)));
    let mut decoded = Vec::with_capacity(name.len());
    let mut rest = name;
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            decoded.push(*first);
            continue;
        }
        let [high, low, tail @ ..] = rest else { return Err(bad()) };
        let digit = |byte: &u8| char::from(*byte).to_digit(16).ok_or_else(bad);
        decoded.push((digit(high)? << 4 | digit(low)?) as u8);
        rest = tail;
    }
    Ok(decoded.into())
}

fn base64(name: &[u8], value: &[u8]) -> Result<Box<[u8]>, Error> {
    match BASE64.decode(value) {
        Ok(value) => Ok(value.into()),
        Err(_) => Err(Error::corrupt(format!("extended attribute \"{}\" is not base 64", escape(name)))),
    }
}
