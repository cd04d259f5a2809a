//! One question to a registry until it has its answer: scheme, authorization, redirects, and trying again.

use std::time::Duration;

use oci::Reference;
use ureq::http::{HeaderMap, HeaderValue, header};

use crate::Error;
use crate::auth::{Auth, Authorization};
use crate::error::{Said, Violation};
use crate::hosts::Hosts;
use crate::redirect::{Astray, follow};
use crate::retry::{Attempts, Chance, Failure, Policy, retry_after};
use crate::url::Url;
use crate::wire::{Answer, Kind, Lost, Wire};

/// How much of an error's text is read, in bytes.
const ERROR_BODY_MAX: u64 = 64 << 10;

/// What a client keeps between questions.
pub(crate) struct Session {
    pub(crate) wire: Wire,
    pub(crate) hosts: Hosts,
    pub(crate) auth: Auth,
    pub(crate) policy: Policy,
}

/// A question.
#[derive(Clone)]
pub(crate) struct Ask {
    pub(crate) reference: Reference,
    /// What it is about, for errors.
    pub(crate) what: String,
    /// The path behind the repository: `manifests/latest`.
    pub(crate) path: String,
    pub(crate) accept: Option<String>,
    /// The first byte that is wanted, where it is not the first of all.
    pub(crate) from: Option<u64>,
}

impl Session {
    /// The answer to `ask`, which has the status 200 or 206, or 416 where a range was asked for.
    pub(crate) fn get(&self, ask: &Ask, attempts: &mut Attempts) -> Result<Answer, Error> {
        loop {
            match self.once(ask) {
                Ok(answer) => return Ok(answer),
                Err(failure) => attempts.failed(&self.policy, failure)?,
            }
        }
    }

    fn once(&self, ask: &Ask) -> Result<Answer, Failure> {
        let host = ask.reference.host();
        let lost = |lost| network(&ask.what, host, lost);
        let scheme = self.hosts.scheme(&self.wire, host).map_err(lost)?;
        let path = format!("/v2/{}/{}", ask.reference.repository(), ask.path);
        let url = Url::new(scheme, host, &path)
            .map_err(|error| lost(Lost { cause: error.to_string(), kind: Kind::Hopeless }))?;

        let known = self.auth.known(self, ask)?;
        let mut answer = self.send(ask, &url, known.as_ref())?;
        let (answer, used) = if answer.status == 401 && answer.url.same_origin(&url) {
            let next = self.auth.respond(self, ask, &answer, known)?;
            if next.authorization.is_some() {
                answer.drain();
                answer = self.send(ask, &url, next.authorization.as_ref())?;
            }
            (answer, next)
        } else {
            (answer, self.auth.used(ask, known))
        };
        match answer.status {
            200 => Ok(answer),
            206 | 416 if ask.from.is_some() => Ok(answer),
            206 => Err(violates(&ask.what, &answer.url.authority(), Violation::Range).into()),
            _ => {
                let mut failure = refused(&ask.what, answer, used.scope, used.anonymous);
                // Another host does not know us: it judges the URL that the registry signed, and those
                // expire. The registry gives a new one.
                if let Error::Denied { host: other, .. } = &failure.error
                    && *other != url.authority()
                {
                    failure.chance = Chance::Good;
                }
                Err(failure)
            }
        }
    }

    fn send(&self, ask: &Ask, url: &Url, authorization: Option<&Authorization>) -> Result<Answer, Failure> {
        let mut headers = HeaderMap::new();
        if let Some(accept) = ask.accept.as_deref().and_then(|accept| HeaderValue::from_str(accept).ok()) {
            headers.insert(header::ACCEPT, accept);
        }
        if let Some(from) = ask.from
            && let Ok(range) = HeaderValue::from_str(&format!("bytes={from}-"))
        {
            headers.insert(header::RANGE, range);
        }
        let authorization = authorization.map(Authorization::header);
        follow(&self.wire, &self.hosts, url, &headers, authorization.as_ref())
            .map_err(|astray| wrong(&ask.what, astray))
    }
}

/// What an answer that is not the hoped-for one means.
pub(crate) fn refused(what: &str, mut answer: Answer, scope: Option<String>, anonymous: bool) -> Failure {
    let wait = answer.header("retry-after").and_then(|value| retry_after(value, answer.header("date")));
    let said = Said::parse(&answer.body.read_all(ERROR_BODY_MAX).unwrap_or_default());
    let (what, host, status) = (what.to_string(), answer.url.authority(), answer.status);
    let (chance, error) = match status {
        404 => (Chance::None, Error::NotFound { what, host, said }),
        401 | 403 => (Chance::None, Error::Denied { what, host, status, scope, anonymous, said }),
        429 => (Chance::Good, Error::RateLimited { what, host, retry_after: wait, said }),
        408 | 500..600 => (Chance::Good, Error::Status { what, host, status, said }),
        _ => (Chance::None, Error::Status { what, host, status, said }),
    };
    // At most the time that is left of a day: what is longer is no different.
    let retry_after = wait.map(|wait| wait.min(Duration::from_secs(86_400)));
    Failure { error, chance, retry_after }
}

pub(crate) fn network(what: &str, host: &str, lost: Lost) -> Failure {
    let chance = match lost.kind {
        Kind::Broken => Chance::Good,
        Kind::Unreached => Chance::Slim,
        Kind::Certificate | Kind::Hopeless => Chance::None,
    };
    let error = Error::Network { what: what.into(), host: host.into(), cause: lost.cause };
    Failure { error, chance, retry_after: None }
}

pub(crate) fn wrong(what: &str, astray: Astray) -> Failure {
    match astray {
        Astray::Lost { host, lost } => network(what, &host, lost),
        Astray::Violation { host, violation } => violates(what, &host, violation).into(),
    }
}

pub(crate) fn violates(what: &str, host: &str, violation: Violation) -> Error {
    Error::Violation { what: what.into(), host: host.into(), violation }
}
