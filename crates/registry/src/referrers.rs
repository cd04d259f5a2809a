//! What refers to a manifest: "Listing Referrers" of the distribution specification, and the tag that stands for it
//! where a registry does not know that.

use hash::Digest;
use oci::{DOCUMENT_MAX, Descriptor, Document, Index, MediaType, Reference};
use ureq::http::header;

use crate::client::{Client, name};
use crate::error::{Error, Said, Violation, quote};
use crate::redirect::{Sent, next};
use crate::registries::Site;
use crate::retry::Attempts;
use crate::session::{Ask, network, violates};
use crate::url::{Url, encode};
use crate::wire::Answer;

/// How many pages of an answer are asked for.
const PAGES_MAX: usize = 16;
/// How often the list under the tag is written anew, when others write it at the same time.
const WRITES_MAX: usize = 5;

/// One page of an answer.
enum Page {
    /// The list, and where it goes on.
    List(Index, Option<Url>),
    /// The registry does not know what is asked.
    Unknown,
}

impl Client {
    /// The manifests of a repository that refer to `subject` and are artifacts of this type. A registry without the
    /// referrers API is asked for the tag that stands for it.
    pub fn referrers(
        &self,
        reference: &Reference,
        subject: &Digest,
        artifact_type: &str,
    ) -> Result<Vec<Descriptor>, Error> {
        let what = format!("referrers of {}@{subject}", name(reference));
        let (found, _) = self.somewhere(reference, |site| {
            let found = self.referrers_at(site, &what, subject, artifact_type)?;
            if found.is_empty() && site.mirror {
                // It may not know what it has not been asked for yet.
                let host = site.reference.host().into();
                return Err(Error::NotFound { what: what.clone(), host, said: Said::default() });
            }
            Ok(found)
        })?;
        Ok(found)
    }

    fn referrers_at(
        &self,
        site: &Site,
        what: &str,
        subject: &Digest,
        artifact_type: &str,
    ) -> Result<Vec<Descriptor>, Error> {
        let path = format!("referrers/{subject}?artifactType={}", encode(artifact_type));
        let accept = Some(MediaType::OCI_INDEX.to_string());
        let mut ask = Ask { accept, ..Ask::at(site, what.into(), path) };
        let mut found = Vec::new();
        for _ in 0..PAGES_MAX {
            match self.page(&ask)? {
                Page::List(index, next) => {
                    found.extend(index.manifests);
                    ask.place = next;
                }
                Page::Unknown if ask.place.is_none() => {
                    found = self.tagged_referrers(site, subject)?.manifests;
                }
                Page::Unknown => break,
            }
            if ask.place.is_none() {
                break;
            }
        }
        // Not every registry filters, and the tag never does.
        found.retain(|entry| entry.artifact_type.as_deref() == Some(artifact_type));
        Ok(found)
    }

    /// Adds a manifest to the list under the tag that stands for the referrers of `subject`: for a registry that does
    /// not keep one itself.
    pub fn add_referrer(
        &self,
        reference: &Reference,
        subject: &Digest,
        descriptor: &Descriptor,
    ) -> Result<(), Error> {
        let tag = tag(reference, subject);
        // What is written must follow from what is there, and not from what a mirror has of it.
        let itself = Site { reference: reference.clone(), mirror: false };
        for _ in 0..WRITES_MAX {
            let mut index = self.tagged_referrers(&itself, subject)?;
            // Somebody else may have written a list without it in between.
            if index.manifests.iter().any(|known| known.digest == descriptor.digest) {
                return Ok(());
            }
            index.manifests.push(descriptor.clone());
            let bytes = serde_json::to_vec(&index).expect("it has strings for keys and no way to fail");
            self.put_manifest(&tag, &MediaType::parse(MediaType::OCI_INDEX), &bytes)?;
        }
        let what = format!("upload of manifest {tag}");
        Err(violates(&what, reference.host(), Violation::Overwritten))
    }

    fn page(&self, ask: &Ask) -> Result<Page, Error> {
        let mut attempts = Attempts::default();
        loop {
            let failure = match self.session.exchange(ask, &mut Sent::Nothing) {
                Ok((mut answer, _)) if answer.status == 200 => match answer.body.read_all(DOCUMENT_MAX) {
                    Ok(bytes) => return self.list(ask, &answer, &bytes),
                    Err(lost) => network(&ask.what, &answer.url.authority(), lost),
                },
                Ok((answer, _)) if matches!(answer.status, 400 | 404 | 405 | 501) => {
                    return Ok(Page::Unknown);
                }
                Ok((answer, used)) => self.session.refused(ask, answer, used),
                Err(failure) => failure,
            };
            attempts.failed(self.session.policy_of(ask), failure)?;
        }
    }

    fn list(&self, ask: &Ask, answer: &Answer, bytes: &[u8]) -> Result<Page, Error> {
        let host = answer.url.authority();
        let index = parse(&ask.what, &host, bytes)?;
        let links = answer.headers.get_all(header::LINK).iter().filter_map(|link| link.to_str().ok());
        let place = match links.filter_map(next_link).next() {
            Some(link) => {
                let place = next(self.session.hosts.trust(&ask.reference), &answer.url, link.as_bytes());
                Some(place.map_err(|violation| violates(&ask.what, &host, violation))?)
            }
            None => None,
        };
        Ok(Page::List(index, place))
    }

    /// The list under the tag; an empty one if there is none.
    fn tagged_referrers(&self, site: &Site, subject: &Digest) -> Result<Index, Error> {
        let tag = tag(&site.reference, subject);
        let tagged = Site { reference: tag.clone(), mirror: site.mirror };
        match self.manifest_at(&tag, &tagged) {
            Ok(fetched) => parse(&format!("manifest {tag}"), tag.host(), &fetched.bytes),
            Err(Error::NotFound { .. }) => Ok(Index::new(Vec::new())),
            Err(error) => Err(error),
        }
    }
}

/// `sha256-` and the digits. The specification has longer ones cut.
fn tag(reference: &Reference, subject: &Digest) -> Reference {
    let hex = subject.hex();
    let tag = format!("{}-{}", subject.algorithm().name(), &hex[..hex.len().min(64)]);
    reference.at_tag(&tag).expect("an algorithm's name and hexadecimal digits are a tag")
}

fn parse(what: &str, host: &str, bytes: &[u8]) -> Result<Index, Error> {
    let malformed = |cause: String| violates(what, host, Violation::Referrers(quote(&cause)));
    match Document::parse(bytes, Some(&MediaType::parse(MediaType::OCI_INDEX))) {
        Ok(Document::Index(index)) => Ok(index),
        Ok(Document::Manifest(_)) => Err(malformed("it is a manifest, not an index".into())),
        Err(error) => Err(malformed(error.to_string())),
    }
}

/// Where a list goes on: `</v2/…>; rel="next"` (RFC 8288).
pub(crate) fn next_link(value: &str) -> Option<&str> {
    let (target, parameters) = value.trim().strip_prefix('<')?.split_once('>')?;
    let is_next = |parameter: &str| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        name.trim().eq_ignore_ascii_case("rel") && value.trim().trim_matches('"').eq_ignore_ascii_case("next")
    };
    parameters.split([';', ',']).any(is_next).then_some(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links() {
        for (value, target) in [
            (r#"</v2/a/referrers/x?n=1>; rel="next""#, Some("/v2/a/referrers/x?n=1")),
            ("<x>;rel=next", Some("x")),
            (r#"<x>; title="a"; REL="Next""#, Some("x")),
            (r#"<x>; rel="prev""#, None),
            ("x; rel=next", None),
            ("<x", None),
            ("", None),
        ] {
            assert_eq!(next_link(value), target, "{value}");
        }
    }
}
