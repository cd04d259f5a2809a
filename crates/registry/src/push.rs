//! What can be brought to a registry.

use std::io::{Cursor, Read};

use hash::Digest;
use oci::{Descriptor, MediaType, Reference};
use ureq::http::{Method, header};

use crate::client::{Client, name};
use crate::error::{Error, Violation};
use crate::redirect::Sent;
use crate::retry::Attempts;
use crate::session::{Access, Ask, violates};
use crate::upload::Upload;

/// A manifest that has been put into a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// Its digest.
    pub digest: Digest,
    /// Whether the registry says that it has noted what the manifest's `subject` is.
    pub subject_noted: bool,
}

impl Client {
    /// Begins to bring a blob into a repository: `None` if it has the blob, or has taken it from the repository
    /// `from` of the same registry, which may be asked for as well.
    pub fn upload(
        &self,
        reference: &Reference,
        descriptor: &Descriptor,
        from: Option<&str>,
    ) -> Result<Option<Upload>, Error> {
        Upload::begin(self.session.clone(), reference, descriptor, from, self.chunk)
    }

    /// Whether a repository has the manifest that a reference names. Where it has a digest, that one.
    pub fn has_manifest(&self, reference: &Reference) -> Result<bool, Error> {
        let what = format!("manifest {reference}");
        let path = format!("manifests/{}", reference.identifier());
        let ask = Ask { accept: Some(crate::client::accept()), ..Ask::new(reference, what, path) };
        let mut attempts = Attempts::default();
        loop {
            let answered = self.session.exchange(&ask, &mut Sent::Head);
            let failure = match answered {
                Ok((answer, _)) if answer.status == 200 => return Ok(true),
                Ok((answer, _)) if answer.status == 404 => return Ok(false),
                Ok((answer, used)) => self.session.refused(&ask, answer, used),
                Err(failure) => failure,
            };
            attempts.failed(&self.session.policy, failure)?;
        }
    }

    /// Puts a manifest or an index into a repository: under the reference's tag, or where it has none under its
    /// digest, which then must be that of the bytes. Everything that it names has to be there.
    pub fn put_manifest(
        &self,
        reference: &Reference,
        media_type: &MediaType,
        bytes: &[u8],
    ) -> Result<Put, Error> {
        let digest = reference
            .digest()
            .map_or_else(|| Digest::sha256(bytes), |digest| Digest::of(digest.algorithm(), bytes));
        let shown = match reference.tag() {
            Some(tag) => format!("{}:{tag}", name(reference)),
            None => format!("{}@{digest}", name(reference)),
        };
        let what = format!("upload of manifest {shown}");
        if let Some(expected) = reference.digest() {
            let host = reference.host().to_string();
            hash::verify(bytes, expected, None).map_err(|mismatch| Error::Mismatch {
                what: what.clone(),
                host,
                mismatch,
            })?;
        }
        let name = reference.tag().map_or_else(|| digest.to_string(), String::from);
        let headers = vec![(header::CONTENT_TYPE, media_type.as_str().to_string())];
        let ask = Ask {
            access: Access::PullPush,
            headers,
            ..Ask::new(reference, what, format!("manifests/{name}"))
        };
        let mut attempts = Attempts::default();
        loop {
            let mut open = || Ok(Box::new(Cursor::new(bytes)) as Box<dyn Read + '_>);
            let length = Some(bytes.len() as u64);
            let sent = &mut Sent::Bytes { method: Method::PUT, length, open: &mut open };
            let failure = match self.session.exchange(&ask, sent) {
                Ok((answer, _)) if matches!(answer.status, 200..=204) => {
                    let host = answer.url.authority();
                    if let Some(stated) =
                        answer.header("docker-content-digest").filter(|text| !text.is_empty())
                        && stated.parse() != Ok(digest)
                        && stated.parse() != Ok(Digest::sha256(bytes))
                    {
                        let stated = crate::error::quote(stated);
                        let violation = Violation::Stored { stated, expected: digest };
                        return Err(violates(&ask.what, &host, violation));
                    }
                    let subject_noted = answer.headers.contains_key("oci-subject");
                    return Ok(Put { digest, subject_noted });
                }
                Ok((answer, used)) => self.session.refused(&ask, answer, used),
                Err(failure) => failure,
            };
            attempts.failed(&self.session.policy, failure)?;
        }
    }
}
