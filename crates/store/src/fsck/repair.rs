//! Mending what was found.

use std::collections::BTreeSet;
use std::fs;

use hash::Digest;
use oci::Descriptor;
use serde::Deserialize;

use super::{Checked, Finding};
use crate::error::Error;
use crate::open::json;
use crate::reach::{Documents, Root};

impl Checked {
    /// Removes what is damaged and can be had again, or is needed by nobody, and writes what can be told anew. What
    /// was removed and is needed is then missing, until it is fetched.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where the store cannot be written to.
    pub fn repair(&self, findings: &[Finding]) -> Result<(), Error> {
        for finding in findings {
            match finding {
                Finding::NoLayout => {
                    let _lock = self.store.lock_tags()?;
                    self.store.mark_layout()?;
                }
                // Looked at once more, under the lock of whoever may be mending it just now.
                Finding::Corrupt { digest, .. } => _ = self.store.discard(digest)?,
                Finding::NotAFile { path, .. } => match fs::remove_file(path) {
                    // A directory may have something in it that somebody wants.
                    Err(error) if error.kind() == std::io::ErrorKind::IsADirectory => {}
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                    done => done.map_err(Error::io("remove", path))?,
                },
                Finding::BadDiffId { path, .. }
                | Finding::BadOutline { path, .. }
                | Finding::BadRootfs { path, .. } => match fs::remove_file(path) {
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                    done => done.map_err(Error::io("remove", path))?,
                },
                _ => {}
            }
        }
        Ok(())
    }

    /// Takes away the entries in the list of tags that these findings are about: tags of what is missing or of no
    /// use, and entries that nobody can use. Gives the names.
    pub fn drop_tags(&self, findings: &[Finding]) -> Result<Vec<String>, Error> {
        let store = &self.store;
        if findings.is_empty() {
            return Ok(Vec::new());
        }
        let _lock = store.lock_tags()?;
        // Another process may have fetched it meanwhile.
        let still = |finding: &&Finding| match finding {
            Finding::Missing { digest, .. } => !store.paths.blob(digest).exists(),
            Finding::Unreadable { .. } | Finding::NotAFile { .. } => true,
            finding => finding.names().next().is_some(),
        };
        let broken: BTreeSet<Digest> = findings.iter().filter(still).filter_map(Finding::digest).collect();
        let mut documents = Documents::default();
        let mut is_broken = |root: &Root| {
            let mut found = false;
            documents.walk(store, &root.link, |link| found |= broken.contains(&link.digest), |_, _| {});
            found
        };
        let mut listing = store.read_index()?;
        let mut dropped = Vec::new();
        listing.retain(|number, entry| {
            let root = Root::read(number, entry);
            let useless = findings.iter().any(|finding| match finding {
                // The list may be another one by now.
                Finding::BadEntry { number: found, .. } => {
                    *found == number && Descriptor::deserialize(entry).is_err()
                }
                Finding::TagTwice { number: found, name } => {
                    *found == number && root.as_ref().is_some_and(|root| root.name == *name)
                }
                _ => false,
            });
            let goes = useless || root.as_ref().is_some_and(&mut is_broken);
            if goes {
                dropped.push(root.map_or_else(|| format!("#{}", number + 1), |root| root.name));
            }
            !goes
        });
        if !dropped.is_empty() {
            store.replace(&store.paths.index(), &json(&listing))?;
        }
        Ok(dropped)
    }
}
