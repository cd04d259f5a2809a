//! One request and its answer: connections, certificates and timeouts, and nothing of registries.

use std::collections::HashSet;
use std::io::{self, Read as _};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ureq::http::{HeaderMap, HeaderValue, Method, Request};
use ureq::{BodyReader, SendBody};

use crate::agents::Agents;
use crate::hosts::Trust;
use crate::url::{Scheme, Url};

/// How long it may take while we find out whether a host speaks TLS at all: one that does not may wait for
/// more of what it takes for a request.
const PROBE_MAX: Duration = Duration::from_secs(10);
/// A body that nobody wants is read to its end if it is no longer than this, so that its connection can be
/// used again.
const DRAIN_MAX: u64 = 64 << 10;
/// Below this many bytes a second, over one idle timeout, a connection counts as dead: a byte now and then
/// would otherwise hold a pull for ever.
const SLOWEST: f64 = 1024.0;

/// Speaks HTTP to anybody.
pub(crate) struct Wire {
    agents: Agents,
    idle_timeout: Duration,
    /// Hosts that have answered: what they fail at now, they could do before.
    answered: Mutex<HashSet<String>>,
}

/// What is sent.
pub(crate) struct Question<'a> {
    pub(crate) url: &'a Url,
    pub(crate) headers: HeaderMap,
    pub(crate) deed: Deed<'a>,
    pub(crate) trust: Trust<'a>,
    /// Whether it only serves to find out what the host speaks.
    pub(crate) probing: bool,
}

/// What is done, and what goes along.
pub(crate) enum Deed<'a> {
    /// Nothing goes along.
    Get,
    /// Nothing comes back but the head.
    Head,
    /// A form is posted.
    Form(&'a str),
    /// Bytes are sent by `POST`, `PATCH` or `PUT`. Without a length they go out in pieces that say when they end.
    Send { method: Method, reader: &'a mut dyn io::Read, length: Option<u64> },
}

/// What comes back.
pub(crate) struct Answer {
    pub(crate) url: Url,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
}

/// Why nothing comes back.
#[derive(Debug, Clone)]
pub(crate) struct Lost {
    pub(crate) cause: String,
    pub(crate) kind: Kind,
}

/// What sort of loss it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Another attempt may do better.
    Broken,
    /// There was no connection, and never has been one.
    Unreached,
    /// The certificate is not good.
    Certificate,
    /// Another attempt would end the same.
    Hopeless,
}

impl Wire {
    pub(crate) fn new(agents: Agents) -> Wire {
        Wire { idle_timeout: agents.idle_timeout, agents, answered: Mutex::default() }
    }

    pub(crate) fn send(&self, question: Question<'_>) -> Result<Answer, Lost> {
        let (agent, proxy) = self
            .agents
            .of(question.trust, question.url)
            .map_err(|cause| Lost { cause, kind: Kind::Hopeless })?;
        let mut request = Request::builder().uri(question.url.full());
        if let Some(headers) = request.headers_mut() {
            *headers = question.headers;
        }
        let invalid = |error: ureq::http::Error| Lost { cause: error.to_string(), kind: Kind::Hopeless };
        let answer = match question.deed {
            Deed::Form(form) => {
                let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
                let request = request.method(Method::POST).header("content-type", kind);
                agent.run(request.body(form).map_err(invalid)?)
            }
            Deed::Send { method, reader, length } => {
                let request = match length {
                    Some(length) => request.method(method).header("content-length", length),
                    None => request.method(method),
                };
                agent.run(request.body(SendBody::from_reader(reader)).map_err(invalid)?)
            }
            Deed::Head => agent.run(request.method(Method::HEAD).body(()).map_err(invalid)?),
            Deed::Get if question.probing => {
                let timeout = Some(PROBE_MAX.min(self.idle_timeout));
                let request = agent.configure_request(request.body(()).map_err(invalid)?);
                agent.run(request.timeout_connect(timeout).build())
            }
            Deed::Get => agent.run(request.body(()).map_err(invalid)?),
        };
        let authority = question.url.authority();
        let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        let (parts, body) = match answer {
            Ok(answer) => {
                answered.insert(authority);
                answer.into_parts()
            }
            Err(error) => {
                let mut lost = lost(error, self.idle_timeout);
                if let Some(proxy) = proxy {
                    lost.cause = format!("through the proxy {proxy}: {}", lost.cause);
                }
                if lost.kind == Kind::Unreached && answered.contains(&authority) {
                    lost.kind = Kind::Broken;
                }
                return Err(lost);
            }
        };
        Ok(Answer {
            url: question.url.clone(),
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: Body {
                inner: body.into_reader(),
                idle_timeout: self.idle_timeout,
                waited: Duration::ZERO,
                bytes: 0,
            },
        })
    }
}

impl Answer {
    /// The value of a header that is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Gives up the body, but not the connection if that costs little.
    pub(crate) fn drain(&mut self) {
        let length = self.header("content-length").and_then(|length| length.parse::<u64>().ok());
        if length.is_some_and(|length| length <= DRAIN_MAX) {
            // Whoever asks next makes a new connection where this one is no good.
            let _ = self.body.read_all(DRAIN_MAX);
        }
    }
}

/// The bytes of an answer, as they come over the connection.
pub(crate) struct Body {
    inner: BodyReader<'static>,
    idle_timeout: Duration,
    /// Time spent waiting for the network in this window; the reader's own time does not count.
    waited: Duration,
    /// What came in this window.
    bytes: u64,
}

impl Body {
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Lost> {
        let start = Instant::now();
        let count = loop {
            match self.inner.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(lost(error.into(), self.idle_timeout)),
                Ok(count) => break count,
            }
        };
        self.waited += start.elapsed();
        self.bytes += count as u64;
        if count > 0 && self.waited >= self.idle_timeout {
            if (self.bytes as f64) < self.waited.as_secs_f64() * SLOWEST {
                let cause = format!("only {} bytes came in {} s", self.bytes, seconds(self.waited));
                return Err(Lost { cause, kind: Kind::Broken });
            }
            (self.waited, self.bytes) = (Duration::ZERO, 0);
        }
        Ok(count)
    }

    /// Everything, up to one byte more than `limit`.
    pub(crate) fn read_all(&mut self, limit: u64) -> Result<Vec<u8>, Lost> {
        let mut bytes = Vec::new();
        let mut buffer = [0; 16 << 10];
        loop {
            let room = (limit + 1).saturating_sub(bytes.len() as u64).min(buffer.len() as u64) as usize;
            if room == 0 {
                return Ok(bytes);
            }
            match self.read(&mut buffer[..room])? {
                0 => return Ok(bytes),
                count => bytes.extend_from_slice(&buffer[..count]),
            }
        }
    }
}

/// Says what a failure of the network means.
fn lost(error: ureq::Error, idle_timeout: Duration) -> Lost {
    use ureq::Error as E;
    let (cause, kind) = match &error {
        E::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => {
            ("the connection could not be made in time".to_string(), Kind::Unreached)
        }
        E::Timeout(_) => (format!("no answer for {} s", seconds(idle_timeout)), Kind::Broken),
        E::HostNotFound => ("the host has no address".to_string(), Kind::Hopeless),
        E::Io(error) => io(error),
        E::Rustls(error) => tls(error),
        E::ConnectProxyFailed(reason) => refused_by_proxy(reason),
        E::Protocol(_) | E::ConnectionFailed | E::BodyStalled => (error.to_string(), Kind::Broken),
        _ => (error.to_string(), Kind::Hopeless),
    };
    Lost { cause, kind }
}

/// What a proxy answered that did not connect us. The library says it in words, of which the last is the status.
fn refused_by_proxy(reason: &str) -> (String, Kind) {
    match reason.rsplit('/').next().and_then(|status| status.parse::<u16>().ok()) {
        Some(407) => ("it wants a user's name and password, or others (407)".into(), Kind::Hopeless),
        Some(status @ (429 | 500..600)) => (format!("it answered {status}"), Kind::Broken),
        Some(status) => (format!("it answered {status}"), Kind::Hopeless),
        None => ("it did not answer".into(), Kind::Broken),
    }
}

fn io(error: &io::Error) -> (String, Kind) {
    if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return tls(error);
    }
    if let Some((cause, known)) = host::without_address(error) {
        let kind = if known { Kind::Hopeless } else { Kind::Unreached };
        return (format!("the host was not found: {}", without_number(&cause)), kind);
    }
    let said = without_number(&error.to_string());
    let kind = match error.kind() {
        io::ErrorKind::ConnectionRefused
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable => Kind::Unreached,
        _ => Kind::Broken,
    };
    (said, kind)
}

fn tls(error: &rustls::Error) -> (String, Kind) {
    match error {
        rustls::Error::InvalidCertificate(cause) => {
            (format!("its certificate is not trusted: {}", distrust(cause)), Kind::Certificate)
        }
        rustls::Error::AlertReceived(alert) if alert_about_us(*alert) => {
            (format!("it wants another client certificate than it was shown ({alert:?})"), Kind::Certificate)
        }
        error => (format!("tls: {error}"), Kind::Broken),
    }
}

/// Whether a host ends the connection because of what we have shown it, which may be nothing.
fn alert_about_us(alert: rustls::AlertDescription) -> bool {
    use rustls::AlertDescription as A;
    matches!(
        alert,
        A::CertificateRequired
            | A::BadCertificate
            | A::UnsupportedCertificate
            | A::CertificateRevoked
            | A::CertificateExpired
            | A::CertificateUnknown
            | A::UnknownCA
            | A::AccessDenied
    )
}

/// Why a certificate is no good, for people.
fn distrust(cause: &rustls::CertificateError) -> String {
    use rustls::CertificateError as E;
    match cause {
        E::UnknownIssuer => "it comes from an unknown authority".into(),
        E::Expired | E::ExpiredContext { .. } => "it has expired".into(),
        E::NotValidYet | E::NotValidYetContext { .. } => "it is not valid yet".into(),
        E::NotValidForName | E::NotValidForNameContext { .. } => "it is for another host".into(),
        E::Revoked => "it is revoked".into(),
        // The name of the case; what else it holds is for nobody to read.
        other => format!("{other:?}").split([' ', '(', '{']).next().unwrap_or_default().into(),
    }
}

/// "connection refused" rather than "Connection refused (os error 111)", or "Connection refused. (os error 10061)".
fn without_number(text: &str) -> String {
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.strip_suffix('.').unwrap_or(text).chars();
    letters.next().map_or(String::new(), |first| first.to_lowercase().chain(letters).collect())
}

fn seconds(duration: Duration) -> String {
    if duration.subsec_millis() == 0 {
        duration.as_secs().to_string()
    } else {
        format!("{:.1}", duration.as_secs_f64())
    }
}

/// Whether anybody may listen to what is said under this URL.
pub(crate) fn is_plain(url: &Url) -> bool {
    url.scheme == Scheme::Http
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_cannot_be_reached() {
        let kind = |kind: io::ErrorKind| io::Error::from(kind);
        for (error, said, expected) in [
            (kind(io::ErrorKind::ConnectionRefused), "connection refused", Kind::Unreached),
            (kind(io::ErrorKind::HostUnreachable), "host unreachable", Kind::Unreached),
            (kind(io::ErrorKind::ConnectionReset), "connection reset", Kind::Broken),
        ] {
            assert_eq!(io(&error), (said.into(), expected));
        }
        for (text, said) in
            [("Host not found. (os error 11001)", "host not found"), ("It failed", "it failed")]
        {
            assert_eq!(without_number(text), said);
        }
        let lost = lost(ureq::Error::HostNotFound, Duration::ZERO);
        assert_eq!((lost.cause.as_str(), lost.kind), ("the host has no address", Kind::Hopeless));
    }
}
