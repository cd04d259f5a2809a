//! Bytes of a blob that keep coming although connections break.

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

use hash::{Digest, Mismatch};
use oci::Descriptor;

use crate::error::{Error, Violation};
use crate::retry::Attempts;
use crate::search::Search;
use crate::session::{Ask, Session, network, violates};
use crate::wire::{Answer, Body, Kind, Lost};

/// An attempt that brought as much as this was worth it, and earlier failures are forgiven.
const PROGRESS: u64 = 64 << 10;

/// The rest of a blob. Reading it goes on over as many connections as it takes; an [`io::Error`] from it holds
/// an [`Error`]. After an error it gives nothing but errors.
pub struct Blob {
    session: Arc<Session>,
    ask: Ask,
    search: Search,
    digest: Digest,
    size: u64,
    position: u64,
    body: Option<Body>,
    host: String,
    /// What came over this connection.
    since_open: u64,
    attempts: Attempts,
    /// The host does not do ranges right, so everything is fetched again from the start and skipped.
    whole: bool,
    /// Host and entity tag of the last answer.
    tag: Option<(String, String)>,
    failed: bool,
}

impl Blob {
    pub(crate) fn open(
        session: Arc<Session>,
        ask: Ask,
        search: Search,
        descriptor: &Descriptor,
        offset: u64,
    ) -> Result<Blob, Error> {
        let mut blob = Blob {
            host: ask.reference.host().into(),
            session,
            ask,
            search,
            digest: descriptor.digest,
            size: descriptor.size,
            position: offset,
            body: None,
            since_open: 0,
            attempts: Attempts::default(),
            whole: false,
            tag: None,
            failed: false,
        };
        if offset > blob.size {
            return Err(blob.too_long());
        }
        if offset < blob.size {
            blob.body = loop {
                match blob.connect() {
                    Ok(body) => break Some(body),
                    Err(error) => blob.elsewhere(error)?,
                }
            };
        }
        Ok(blob)
    }

    /// Bytes that were read, those before the offset included.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// A connection that gives the byte at our position next.
    fn connect(&mut self) -> Result<Body, Error> {
        loop {
            self.ask.from = Some(self.position).filter(|position| *position > 0 && !self.whole);
            let answer = self.session.get(&self.ask, &mut self.attempts)?;
            self.host = answer.url.authority();
            self.since_open = 0;
            let Some(start) = self.check(&answer)? else {
                self.whole = true;
                continue;
            };
            let mut body = answer.body;
            match skip(&mut body, self.position - start) {
                Ok(()) => return Ok(body),
                Err(lost) => self.broken(lost)?,
            }
        }
    }

    /// Where the bytes of an answer start, which is at our position or before it. `None` means that they are
    /// of no use, and that asking for all of the blob may do better.
    fn check(&mut self, answer: &Answer) -> Result<Option<u64>, Error> {
        let violation = |violation| violates(&self.ask.what, &answer.url.authority(), violation);
        let size = |stated: Option<u64>| match stated {
            Some(stated) if stated != self.size => {
                Err(violation(Violation::Size { expected: self.size, stated }))
            }
            _ => Ok(()),
        };
        let start = match answer.status {
            200 => {
                size(answer.header("content-length").and_then(|length| length.parse().ok()))?;
                0
            }
            206 => match answer.header("content-range").and_then(content_range) {
                Some((start, total)) if start == self.position => {
                    size(total)?;
                    start
                }
                // Never is anything appended that is not known to belong there.
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        if let Some(stated) = answer.header("docker-content-digest")
            && stated
                .parse::<Digest>()
                .is_ok_and(|stated| stated.algorithm() == self.digest.algorithm() && stated != self.digest)
        {
            let stated = crate::error::quote(stated);
            return Err(violation(Violation::BlobDigest { stated, expected: self.digest }));
        }
        // Other hosts have other tags for the same bytes, and weak tags say nothing of bytes.
        let tag = answer.header("etag").filter(|tag| tag.starts_with('"'));
        let tag = tag.map(|tag| (answer.url.authority(), tag.to_string()));
        if let (Some((old_host, old)), Some((host, new))) = (&self.tag, &tag)
            && old_host == host
            && old != new
        {
            return Err(violation(Violation::Changed));
        }
        self.tag = tag;
        Ok(Some(start))
    }

    /// Waits for another attempt, if there is to be one.
    fn broken(&mut self, lost: Lost) -> Result<(), Error> {
        let failure = network(&self.ask.what, &self.host, lost);
        self.attempts.failed(self.session.policy_of(&self.ask), failure)
    }

    /// Goes on at another site from the same byte, if there is one.
    fn elsewhere(&mut self, error: Error) -> Result<(), Error> {
        self.search.failed(error, &self.session.policy)?;
        let site = self.search.site();
        self.ask.reference = site.reference.clone();
        self.ask.mirror = site.mirror;
        self.host = site.reference.host().into();
        self.attempts = Attempts::default();
        (self.body, self.whole, self.tag) = (None, false, None);
        Ok(())
    }

    fn next(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        loop {
            match self.next_here(buffer) {
                Err(error) => self.elsewhere(error)?,
                read => return read,
            }
        }
    }

    fn next_here(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        loop {
            if self.position == self.size {
                return self.end();
            }
            let mut body = match self.body.take() {
                Some(body) => body,
                None => self.connect()?,
            };
            let room = usize::try_from(self.size - self.position).unwrap_or(usize::MAX).min(buffer.len());
            match body.read(&mut buffer[..room]) {
                Ok(0) => {
                    let cause =
                        format!("the connection ended after {} of {} bytes", self.position, self.size);
                    self.broken(Lost { cause, kind: Kind::Broken })?;
                }
                Ok(count) => {
                    self.position += count as u64;
                    self.since_open += count as u64;
                    if self.since_open >= PROGRESS {
                        self.attempts.progress();
                    }
                    self.body = Some(body);
                    return Ok(count);
                }
                Err(lost) => self.broken(lost)?,
            }
        }
    }

    /// Reads the connection to its end, so that it can be used again, and makes sure that there is one.
    fn end(&mut self) -> Result<usize, Error> {
        match self.body.take().map(|mut body| body.read(&mut [0])) {
            Some(Ok(count)) if count > 0 => Err(self.too_long()),
            // A connection that breaks when all is there does no harm.
            _ => Ok(0),
        }
    }

    fn too_long(&self) -> Error {
        let mismatch = Mismatch::Long { digest: self.digest, expected: self.size };
        Error::Mismatch { what: self.ask.what.clone(), host: self.host.clone(), mismatch }
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Blob { digest, size, position, .. } = self;
        write!(f, "Blob({digest}, {position} of {size} bytes)")
    }
}

impl Read for Blob {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.failed {
            return Err(io::Error::other("the blob has failed before"));
        }
        self.next(buffer).map_err(|error| {
            self.failed = true;
            error.into()
        })
    }
}

/// Reads `count` bytes and forgets them.
fn skip(body: &mut Body, mut count: u64) -> Result<(), Lost> {
    let mut buffer = [0; 64 << 10];
    while count > 0 {
        let room = count.min(buffer.len() as u64) as usize;
        match body.read(&mut buffer[..room])? {
            0 => {
                let cause = "the connection ended before the place to go on at".to_string();
                return Err(Lost { cause, kind: Kind::Broken });
            }
            read => count -= read as u64,
        }
    }
    Ok(())
}

/// First byte and total of `bytes 0-9/10` or `bytes 0-9/*` (RFC 9110, section 14.4).
pub(crate) fn content_range(value: &str) -> Option<(u64, Option<u64>)> {
    let (unit, rest) = value.trim().split_once(' ')?;
    let (range, total) = rest.trim().split_once('/')?;
    let (start, end) = range.split_once('-')?;
    let (start, end): (u64, u64) = (start.trim().parse().ok()?, end.trim().parse().ok()?);
    let total = match total.trim() {
        "*" => None,
        total => Some(total.parse().ok()?),
    };
    let sound = unit.eq_ignore_ascii_case("bytes") && start <= end && total.is_none_or(|total| end < total);
    sound.then_some((start, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges() {
        for (value, expected) in [
            ("bytes 5-9/10", Some((5, Some(10)))),
            ("Bytes 0-0/*", Some((0, None))),
            ("bytes 5-10/10", None),
            ("bytes 9-5/10", None),
            ("bytes */10", None),
            ("items 0-1/2", None),
            ("bytes=0-1/2", None),
            ("bytes -1-1/2", None),
            ("", None),
        ] {
            assert_eq!(content_range(value), expected, "{value}");
        }
    }
}
