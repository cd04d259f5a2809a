//! Bringing a blob into a repository: "Pushing Blobs" of the distribution specification.
//!
//! What is there is not sent again, and what lies in another repository of the registry is mounted from there.
//! Everything else goes to a place that the registry names. Small blobs go there in one request, with the digest
//! that they are to have. Large ones go in a request that only adds bytes, as Docker does it and every registry
//! takes it; when its connection breaks, the registry is asked how much it has, and what follows is sent. A
//! registry that keeps nothing of a request that broke is sent shorter ones.

use std::cell::RefCell;
use std::io::{self, Read};
use std::rc::Rc;
use std::sync::Arc;

use hash::Digest;
use oci::{Descriptor, Reference};
use ureq::http::{HeaderName, Method, header};

use crate::auth::Used;
use crate::error::{Error, Violation, quote};
use crate::redirect::{Sent, next};
use crate::retry::{Attempts, Chance, Failure};
use crate::session::{Access, Ask, Session, violates};
use crate::url::Url;
use crate::wire::Answer;

/// Blobs up to this size, in bytes, go in one request: to send one again costs little.
const SMALL: u64 = 1 << 20;
/// What a request may add, in bytes, after one broke of which nothing was kept.
const SHORT: u64 = 16 << 20;
/// What a request may add, in bytes, after one was too large: the least that a registry in use takes.
const SHORTEST: u64 = 4 << 20;
/// An attempt by which the registry has as much more, in bytes, was worth it, and earlier failures are forgiven.
const PROGRESS: u64 = 64 << 10;

/// How few bytes a request may add that is not the last, as some registries say.
const MIN_LENGTH: &str = "oci-chunk-min-length";

/// Gives the bytes of a blob from an offset on.
pub type Open<'r> = dyn FnMut(u64) -> io::Result<Box<dyn Read + 'r>> + 'r;

/// A blob that a repository lacks, on its way there.
pub struct Upload {
    session: Arc<Session>,
    ask: Ask,
    descriptor: Descriptor,
    /// Where the registry wants the next bytes; it may name another place with every answer.
    place: Option<Url>,
    /// Bytes that the registry has.
    position: u64,
    /// Whether it has to be asked how many those are.
    unsure: bool,
    /// Whether an attempt has failed that may have sent everything.
    tried: bool,
    /// Whether the upload has gone on behind a broken connection.
    resumed: bool,
    /// Most bytes of one request, if there is a limit.
    chunk: Option<u64>,
    /// Fewest bytes of one that is not the last.
    chunk_min: u64,
    /// Whether each request that adds bytes has a connection of its own, since one broke that had several.
    alone: bool,
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Upload({}, {} of {} bytes)", self.descriptor.digest, self.position, self.descriptor.size)
    }
}

impl Upload {
    /// Asks for what is there, and has the blob mounted from the repository `from` of the same registry, if that
    /// can be. `None` if the repository has it then.
    pub(crate) fn begin(
        session: Arc<Session>,
        reference: &Reference,
        descriptor: &Descriptor,
        from: Option<&str>,
        chunk: Option<u64>,
    ) -> Result<Option<Upload>, Error> {
        let name = format!("{}/{}", reference.registry(), reference.repository());
        let what = format!("upload of blob {} to {name}", descriptor.digest);
        let ask = Ask { access: Access::PullPush, ..Ask::new(reference, what, String::new()) };
        let mut upload = Upload {
            session,
            ask,
            descriptor: descriptor.clone(),
            place: None,
            position: 0,
            unsure: false,
            tried: false,
            resumed: false,
            chunk,
            chunk_min: 0,
            alone: false,
        };
        let mut attempts = Attempts::default();
        let there = loop {
            match upload.is_there() {
                Ok(there) => break there,
                Err(failure) => attempts.failed(&upload.session.policy, failure)?,
            }
        };
        if there {
            return Ok(None);
        }
        let from = from.filter(|from| *from != reference.repository());
        Ok(if from.is_some_and(|from| upload.mount(from)) { None } else { Some(upload) })
    }

    /// Sends the bytes that `open` gives, which are the descriptor's. The registry checks them, too.
    ///
    /// # Errors
    ///
    /// [`Error::Unreadable`] with what `open` or its reader said; else the registry's.
    pub fn send(mut self, open: &mut Open<'_>) -> Result<(), Error> {
        let mut attempts = Attempts::default();
        let mut best = 0;
        loop {
            match self.step(open) {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(failure) => {
                    self.tried = true;
                    attempts.failed(&self.session.policy, failure)?;
                }
            }
            if self.position >= best + PROGRESS && !self.unsure {
                best = self.position;
                attempts.progress();
            }
        }
    }

    /// One request, or two. Says whether the registry has the blob.
    fn step(&mut self, open: &mut Open<'_>) -> Result<bool, Failure> {
        let Some(place) = self.place.clone() else {
            // What broke last may have arrived all the same.
            if self.tried && self.is_there()? {
                return Ok(true);
            }
            return self.start();
        };
        if self.unsure {
            self.find_position(place)?;
        } else if self.descriptor.size <= SMALL {
            return self.finish(place, Some(open));
        } else if self.position < self.descriptor.size {
            self.add(place, open)?;
        } else {
            return self.finish(place, None);
        }
        Ok(false)
    }

    /// Whether the repository has the blob. A registry that cannot say so is one that does not have it.
    fn is_there(&self) -> Result<bool, Failure> {
        let ask = Ask { path: format!("blobs/{}", self.descriptor.digest), ..self.ask.clone() };
        let (answer, used) = self.session.exchange(&ask, &mut Sent::Head)?;
        match answer.status {
            200 => Ok(answer
                .header("content-length")
                .and_then(|length| length.parse::<u64>().ok())
                .is_none_or(|length| length == self.descriptor.size)),
            404 | 405 | 501 => Ok(false),
            _ => Err(self.session.refused(&ask, answer, used)),
        }
    }

    /// Has the blob mounted from another repository. Only a saving: whatever goes wrong, the blob can be sent.
    fn mount(&mut self, from: &str) -> bool {
        let digest = self.descriptor.digest.to_string();
        let path = format!("blobs/uploads/?mount={digest}&from={from}");
        match self.post(path) {
            Ok((answer, _)) if answer.status == 201 => true,
            // It has begun an upload instead.
            Ok((answer, _)) if answer.status == 202 => {
                self.place = self.location(&answer).ok();
                self.chunk_min = chunk_min(&answer);
                false
            }
            Ok(_) | Err(_) => false,
        }
    }

    /// Begins an upload.
    fn start(&mut self) -> Result<bool, Failure> {
        (self.position, self.unsure, self.resumed) = (0, false, false);
        let (answer, used) = self.post("blobs/uploads/".into())?;
        match answer.status {
            202 => {
                self.place = Some(self.location(&answer)?);
                self.chunk_min = chunk_min(&answer);
                Ok(false)
            }
            201 => Ok(true),
            _ => Err(self.session.refused(&self.ask, answer, used)),
        }
    }

    /// Adds the bytes behind those that are there.
    fn add(&mut self, place: Url, open: &mut Open<'_>) -> Result<(), Failure> {
        let (start, size) = (self.position, self.descriptor.size);
        let length = self.chunk.map_or(size, |chunk| chunk.max(self.chunk_min)).min(size - start);
        // Until it is known how far the registry came.
        self.unsure = true;
        let mut headers = Vec::new();
        if self.alone {
            headers.push((header::CONNECTION, "close".into()));
        }
        // All of it goes as Docker sends it, which has a limit of size nowhere.
        let whole = length == size;
        if !whole {
            headers.push((header::CONTENT_RANGE, format!("{start}-{}", start + length - 1)));
        }
        let stated = (!whole).then_some(length);
        let (answer, used) =
            self.bytes(Method::PATCH, place, headers, open, start..start + length, stated)?;
        match answer.status {
            200..=204 => {
                self.move_on(&answer)?;
                // A registry may say that it took less.
                let end = answer.header("range").and_then(end_of_range).unwrap_or(start + length);
                if end <= start || end > start + length {
                    let said = quote(answer.header("range").unwrap_or_default());
                    return Err(self.lost(&answer, Violation::UploadRange(said)));
                }
                (self.position, self.unsure) = (end, false);
                Ok(())
            }
            413 | 416 => {
                // Some say 416 to what is too large, and not only to what belongs elsewhere.
                if length > SHORTEST.max(self.chunk_min) {
                    self.chunk = Some(SHORTEST);
                }
                let mut failure = self.session.refused(&self.ask, answer, used);
                failure.chance = Chance::Good;
                Err(failure)
            }
            _ => Err(self.refused(answer, used)),
        }
    }

    /// Asks how many bytes are there.
    fn find_position(&mut self, place: Url) -> Result<(), Failure> {
        let before = self.position;
        let ask = Ask { place: Some(place), ..self.ask.clone() };
        let (answer, used) = self.session.exchange(&ask, &mut Sent::Nothing)?;
        match answer.status {
            200..=204 => {
                self.move_on(&answer)?;
                // What has nothing says "0-0", like what has one byte.
                let known = answer.header("range").and_then(end_of_range).filter(|end| *end > 1);
                let Some(end) = known.filter(|end| *end <= self.descriptor.size) else {
                    self.place = None;
                    self.shorten();
                    return Ok(());
                };
                if end <= before {
                    self.shorten();
                }
                (self.position, self.unsure, self.resumed) = (end, false, true);
                Ok(())
            }
            // It cannot be asked, or has forgotten: then everything is sent again. Debian's registry forgets whatever was
            // cut in the middle of a request, so the next ones are shorter. What broke has been counted already.
            400 | 404 | 405 | 410 | 416 | 501 => {
                self.place = None;
                if self.position < self.descriptor.size {
                    self.shorten();
                }
                Ok(())
            }
            _ => Err(self.refused(answer, used)),
        }
    }

    /// What broke was too long for this line, be it the request or what went over the connection before.
    fn shorten(&mut self) {
        self.alone = true;
        let shorter = self.chunk.map_or(SHORT, |chunk| chunk / 4).max(SHORTEST);
        self.chunk = Some(self.chunk.map_or(shorter, |chunk| chunk.min(shorter)));
    }

    /// Ends the upload: says which digest the bytes have, and sends them if they have not been sent yet.
    fn finish(&mut self, place: Url, open: Option<&mut Open<'_>>) -> Result<bool, Failure> {
        let expected = self.descriptor.digest;
        let mut last = place.clone();
        last.push_query("digest", &expected.to_string());
        let sends = open.is_some();
        let length = if sends { self.descriptor.size } else { 0 };
        let answered = match open {
            Some(open) => self.bytes(Method::PUT, last, Vec::new(), open, 0..length, Some(length)),
            None => self.bytes(Method::PUT, last, Vec::new(), &mut nothing, 0..0, Some(0)),
        };
        // A place that has everything can be asked what became of this request; any other is used up.
        (self.place, self.unsure) = (Some(place).filter(|_| !sends), true);
        let (answer, used) = answered?;
        match answer.status {
            200 | 201 | 204 => {
                let stated = answer.header("docker-content-digest").unwrap_or_default();
                let other = stated
                    .parse::<Digest>()
                    .is_ok_and(|stated| stated.algorithm() == expected.algorithm() && stated != expected);
                if other {
                    let stated = quote(stated);
                    return Err(self.lost(&answer, Violation::BlobDigest { stated, expected }));
                }
                Ok(true)
            }
            // Other bytes arrived than were sent: where it was gone on with, the place may have been a wrong one.
            400 if self.resumed => {
                let mut failure = self.refused(answer, used);
                (self.place, failure.chance) = (None, Chance::Good);
                Err(failure)
            }
            _ => Err(self.refused(answer, used)),
        }
    }

    fn post(&self, path: String) -> Result<(Answer, Used), Failure> {
        let ask = Ask { path, ..self.ask.clone() };
        let open = &mut || Ok(Box::new(io::empty()) as Box<dyn Read>);
        self.session.exchange(&ask, &mut Sent::Bytes { method: Method::POST, length: Some(0), open })
    }

    /// Sends a range of the blob to a place.
    fn bytes(
        &self,
        method: Method,
        place: Url,
        mut headers: Vec<(HeaderName, String)>,
        open: &mut Open<'_>,
        range: std::ops::Range<u64>,
        stated: Option<u64>,
    ) -> Result<(Answer, Used), Failure> {
        headers.push((header::CONTENT_TYPE, "application/octet-stream".into()));
        let ask = Ask { place: Some(place), headers, ..self.ask.clone() };
        let failed = Rc::new(RefCell::new(None));
        let left = range.end - range.start;
        let mut reopen = || match open(range.start) {
            Ok(reader) => {
                Ok(Box::new(Exactly { reader, left, failed: failed.clone() }) as Box<dyn Read + '_>)
            }
            Err(error) => {
                let kind = error.kind();
                *failed.borrow_mut() = Some(error);
                Err(kind.into())
            }
        };
        let sent =
            self.session.exchange(&ask, &mut Sent::Bytes { method, length: stated, open: &mut reopen });
        match failed.take() {
            Some(cause) => Err(Error::Unreadable { what: self.ask.what.clone(), cause }.into()),
            None => sent,
        }
    }

    /// Takes over the place that an answer names for what comes next, if it does.
    fn move_on(&mut self, answer: &Answer) -> Result<(), Failure> {
        if answer.headers.contains_key(header::LOCATION) {
            self.place = Some(self.location(answer)?);
        }
        Ok(())
    }

    /// Where an answer wants the next bytes.
    fn location(&self, answer: &Answer) -> Result<Url, Failure> {
        let violates = |violation| violates(&self.ask.what, &answer.url.authority(), violation);
        let location = answer.headers.get(header::LOCATION).ok_or_else(|| violates(Violation::NoLocation))?;
        Ok(next(self.session.hosts.trust(&self.ask.reference), &answer.url, location.as_bytes())
            .map_err(violates)?)
    }

    /// Says what an answer means that is not the hoped-for one. An upload that the registry does not know any
    /// more, or of which it knows something else than we do, is begun again.
    fn refused(&mut self, answer: Answer, used: Used) -> Failure {
        let gone = matches!(answer.status, 404 | 410 | 416);
        let mut failure = self.session.refused(&self.ask, answer, used);
        if gone {
            self.place = None;
            failure.chance = Chance::Good;
        }
        failure
    }

    /// An answer that cannot be right: everything is sent once more.
    fn lost(&mut self, answer: &Answer, violation: Violation) -> Failure {
        self.place = None;
        violates(&self.ask.what, &answer.url.authority(), violation).into()
    }
}

fn nothing(_: u64) -> io::Result<Box<dyn Read>> {
    Ok(Box::new(io::empty()))
}

/// Gives just so many bytes of a reader, and notes if they cannot be had: then it is not the network that failed.
struct Exactly<'r> {
    reader: Box<dyn Read + 'r>,
    left: u64,
    failed: Rc<RefCell<Option<io::Error>>>,
}

impl Read for Exactly<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = self.left.min(buffer.len() as u64) as usize;
        if room == 0 {
            return Ok(0);
        }
        let read = match self.reader.read(&mut buffer[..room]) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            read => read,
        };
        match read {
            Ok(count) => {
                self.left -= count as u64;
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let kind = error.kind();
                *self.failed.borrow_mut() = Some(error);
                Err(kind.into())
            }
        }
    }
}

/// How many bytes `0-9` or `bytes=0-9` is: ten. Registries that have not one say `0-0` or `0--1`.
pub(crate) fn end_of_range(value: &str) -> Option<u64> {
    let value = value.trim();
    let range = value.strip_prefix("bytes=").or_else(|| value.strip_prefix("bytes ")).unwrap_or(value);
    let (start, end) = range.split_once('-')?;
    let (start, end): (u64, u64) = (start.trim().parse().ok()?, end.trim().parse().ok()?);
    if start == 0 { end.checked_add(1) } else { None }
}

fn chunk_min(answer: &Answer) -> u64 {
    answer.header(MIN_LENGTH).and_then(|length| length.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (value, end) in [
            ("0-9", Some(10)),
            ("bytes=0-9", Some(10)),
            ("bytes 0-9", Some(10)),
            (" 0-0 ", Some(1)),
            ("0--1", None),
            ("1-9", None),
            ("0-18446744073709551615", None),
            ("9", None),
            ("", None),
        ] {
            assert_eq!(end_of_range(value), end, "{value}");
        }
    }
}
