//! Following redirects without carrying secrets to where they do not belong.

use std::collections::HashSet;
use std::io::Read;

use ureq::http::{HeaderMap, HeaderValue, Method, header};

use crate::error::Violation;
use crate::hosts::Trust;
use crate::url::{Scheme, Url, UrlError};
use crate::wire::{Answer, Deed, Kind, Lost, Question, Wire};

/// More hops than this no sound registry needs.
pub(crate) const HOPS_MAX: usize = 10;

/// A journey's unhappy end: who was spoken to last, and what happened there.
pub(crate) enum Astray {
    Lost { host: String, lost: Lost },
    Violation { host: String, violation: Violation },
}

/// What is sent to each place on the way.
pub(crate) enum Sent<'a> {
    /// A GET.
    Nothing,
    /// A HEAD.
    Head,
    /// Bytes, by this method, each time from their start.
    Bytes { method: Method, length: Option<u64>, open: Open<'a> },
}

/// Gives the bytes that are sent.
pub(crate) type Open<'a> = &'a mut dyn FnMut() -> std::io::Result<Box<dyn Read + 'a>>;

/// Sends something and follows redirects until something else is answered. `authorization` goes to the first
/// origin alone: as soon as scheme, host or port differ it is dropped for good. All other headers, `Range`
/// among them, go along. Bytes go only where a redirect lets them be bytes (307 and 308); any other is an answer.
pub(crate) fn follow(
    wire: &Wire,
    trust: Trust<'_>,
    start: &Url,
    headers: &HeaderMap,
    authorization: Option<&HeaderValue>,
    sent: &mut Sent<'_>,
) -> Result<Answer, Astray> {
    let mut url = start.clone();
    let mut authorization = authorization;
    let mut seen = HashSet::from([url.clone()]);
    loop {
        let host = url.authority();
        let mut headers = headers.clone();
        if let Some(authorization) = authorization {
            headers.insert(header::AUTHORIZATION, authorization.clone());
        }
        let lost = |lost| Astray::Lost { host: host.clone(), lost };
        let mut reader;
        let deed = match sent {
            Sent::Nothing => Deed::Get,
            Sent::Head => Deed::Head,
            Sent::Bytes { method, length, open } => {
                reader =
                    open().map_err(|error| lost(Lost { cause: error.to_string(), kind: Kind::Hopeless }))?;
                Deed::Send { method: method.clone(), reader: &mut reader, length: *length }
            }
        };
        let mut answer =
            wire.send(Question { url: &url, headers, deed, trust, probing: false }).map_err(lost)?;
        let moved = match sent {
            Sent::Bytes { .. } => matches!(answer.status, 307 | 308),
            Sent::Nothing | Sent::Head => matches!(answer.status, 301 | 302 | 303 | 307 | 308),
        };
        if !moved {
            return Ok(answer);
        }
        let astray = |violation| Astray::Violation { host: host.clone(), violation };
        let next = target(trust, &url, &answer).map_err(astray)?;
        if seen.len() > HOPS_MAX {
            return Err(astray(Violation::RedirectLimit(HOPS_MAX)));
        }
        if !seen.insert(next.clone()) {
            return Err(astray(Violation::RedirectCircle));
        }
        answer.drain();
        authorization = authorization.filter(|_| next.same_origin(&url));
        url = next;
    }
}

fn target(trust: Trust<'_>, url: &Url, answer: &Answer) -> Result<Url, Violation> {
    let location = answer.headers.get(header::LOCATION).ok_or(Violation::RedirectNowhere)?;
    next(trust, url, location.as_bytes())
}

/// Where a `Location` leads to from `url`, if that may be.
pub(crate) fn next(trust: Trust<'_>, url: &Url, location: &[u8]) -> Result<Url, Violation> {
    let next = str::from_utf8(location)
        .map_err(|_| UrlError::Malformed)
        .and_then(|location| url.join(location))
        .map_err(|error| Violation::RedirectUrl(error.to_string()))?;
    if next.scheme == Scheme::Http && url.scheme == Scheme::Https {
        return Err(Violation::RedirectDowngrade(next.authority()));
    }
    if next.scheme == Scheme::Http && !trust.may_be_plain(&next.authority()) {
        return Err(Violation::RedirectPlain(next.authority()));
    }
    Ok(next)
}
