//! Short names: those that say nothing of a registry.
//!
//! Without a configuration they are Docker's. With `unqualified-search-registries` they are what Podman takes
//! them for, but nothing is ever searched: the same name must mean the same image, whichever registry happens
//! to answer, and whoever has put something there.

use std::path::PathBuf;

use oci::Reference;

use super::Registries;
use crate::error::quote;

/// A short name that may mean several things.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} may mean {}, by unqualified-search-registries in {}: write which", quote(.name), .candidates.join(" or "), .file.display())]
pub struct ShortNameError {
    /// The name.
    pub name: String,
    /// What it may mean.
    pub candidates: Vec<String>,
    /// The file that says so.
    pub file: PathBuf,
}

impl Registries {
    /// What a name means: `None` where that is what Docker takes it for. A name behind `docker://` is always
    /// Docker's. Otherwise, if registries to search are configured, an alias decides, else the only one of
    /// them.
    ///
    /// # Errors
    ///
    /// Where there are several of them.
    pub fn long_name(&self, name: &str) -> Result<Option<String>, ShortNameError> {
        let Some((search, file)) = &self.search else { return Ok(None) };
        if name.starts_with("docker://") || names_host(name) {
            return Ok(None);
        }
        let end = name.find('@').unwrap_or(name.len());
        let slash = name[..end].rfind('/').unwrap_or(0);
        let end = name[slash..end].find(':').map_or(end, |colon| slash + colon);
        let (bare, rest) = name.split_at(end);
        if let Some(meaning) = self.aliases.get(bare) {
            return Ok(Some(format!("{meaning}{rest}")));
        }
        match &search[..] {
            [only] => Ok(Some(format!("{only}/{name}"))),
            several => Err(ShortNameError {
                name: name.into(),
                candidates: several.iter().map(|registry| format!("{registry}/{name}")).collect(),
                file: file.clone(),
            }),
        }
    }
}

/// Whether an image's name begins with a host.
fn names_host(name: &str) -> bool {
    name.split_once('/').is_some_and(|(first, _)| is_host(first))
}

/// Docker's rule for what a first component is. Upper case, too, a repository cannot have.
pub(super) fn is_host(first: &str) -> bool {
    first == "localhost" || first.contains(['.', ':']) || first.bytes().any(|b| b.is_ascii_uppercase())
}

pub(super) fn check_registry(registry: &str) -> Result<(), String> {
    let valid = !registry.contains('/')
        && format!("{registry}/x").parse::<Reference>().is_ok_and(|reference| {
            let known = if registry == "index.docker.io" { "docker.io" } else { registry };
            reference.registry() == known
        });
    match valid {
        true => Ok(()),
        false => Err(format!("\"{}\" in unqualified-search-registries is no host", quote(registry))),
    }
}

pub(super) fn check_alias(name: &str, meaning: &str) -> Result<(), String> {
    let shown = quote(name);
    if names_host(name) || name.contains([':', '@']) || name.parse::<Reference>().is_err() {
        return Err(format!("the alias \"{shown}\" is no short name"));
    }
    let full = names_host(meaning) && {
        let behind = meaning.rsplit('/').next().unwrap_or_default();
        !behind.contains([':', '@']) && meaning.parse::<Reference>().is_ok()
    };
    match full || meaning.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "the alias \"{shown}\" stands for \"{}\", which is no full name without a tag",
            quote(meaning)
        )),
    }
}
