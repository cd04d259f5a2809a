//! One question to a registry until it has its answer: scheme, authorization, redirects, and trying again.

use std::time::Duration;

use oci::Reference;
use ureq::http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::Error;
use crate::auth::{Auth, Authorization, Used};
use crate::error::{Said, Violation};
use crate::hosts::Hosts;
use crate::redirect::{Astray, Sent, follow};
use crate::registries::Site;
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
    /// What holds for mirrors.
    pub(crate) mirrors: Policy,
}

/// A question.
#[derive(Clone)]
pub(crate) struct Ask {
    pub(crate) reference: Reference,
    /// What it is about, for errors.
    pub(crate) what: String,
    /// The path behind the repository: `manifests/latest`.
    pub(crate) path: String,
    /// Another place than that path, which the registry named for this.
    pub(crate) place: Option<Url>,
    pub(crate) accept: Option<String>,
    /// The first byte that is wanted, where it is not the first of all.
    pub(crate) from: Option<u64>,
    /// Headers that only this question has.
    pub(crate) headers: Vec<(HeaderName, String)>,
    pub(crate) access: Access,
    /// Whether it goes to a mirror: somebody else than whom the user named.
    pub(crate) mirror: bool,
}

/// What is to be done in a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Only to be let in.
    Enter,
    Pull,
    PullPush,
}

impl Access {
    /// The scope of a token for a repository.
    pub(crate) fn scope(self, repository: &str) -> String {
        match self {
            Access::Enter => String::new(),
            Access::Pull => format!("repository:{repository}:pull"),
            Access::PullPush => format!("repository:{repository}:pull,push"),
        }
    }
}

impl Ask {
    /// A question for what stands under a path of the reference's repository.
    pub(crate) fn new(reference: &Reference, what: String, path: String) -> Ask {
        Ask {
            reference: reference.clone(),
            what,
            path,
            place: None,
            accept: None,
            from: None,
            headers: Vec::new(),
            access: Access::Pull,
            mirror: false,
        }
    }

    /// The same at one of the repository's sites.
    pub(crate) fn at(site: &Site, what: String, path: String) -> Ask {
        Ask { mirror: site.mirror, ..Ask::new(&site.reference, what, path) }
    }
}

impl Session {
    /// The answer to `ask`, which has the status 200 or 206, or 416 where a range was asked for.
    pub(crate) fn get(&self, ask: &Ask, attempts: &mut Attempts) -> Result<Answer, Error> {
        loop {
            match self.once(ask) {
                Ok(answer) => return Ok(answer),
                Err(failure) => attempts.failed(self.policy_of(ask), failure)?,
            }
        }
    }

    /// How often something is tried.
    pub(crate) fn policy_of(&self, ask: &Ask) -> &Policy {
        if ask.mirror { &self.mirrors } else { &self.policy }
    }

    fn once(&self, ask: &Ask) -> Result<Answer, Failure> {
        let (answer, used) = self.exchange(ask, &mut Sent::Nothing)?;
        match answer.status {
            200 => Ok(answer),
            206 | 416 if ask.from.is_some() => Ok(answer),
            206 => Err(violates(&ask.what, &answer.url.authority(), Violation::Range).into()),
            _ => Err(self.refused(ask, answer, used)),
        }
    }

    /// Asks to be let into the registry, and says whether it wanted to know who we are.
    pub(crate) fn enter(&self, ask: &Ask) -> Result<bool, Failure> {
        let place = self.home(ask)?.join("/v2/").map_err(|error| hopeless(ask, error.to_string()))?;
        let ask = Ask { place: Some(place), access: Access::Enter, ..ask.clone() };
        let (answer, used) = self.exchange(&ask, &mut Sent::Nothing)?;
        match answer.status {
            200 => Ok(used.authorization.is_some()),
            _ => Err(self.refused(&ask, answer, used)),
        }
    }

    /// The answer to `ask`, whatever its status, and what it was asked with. A 401 is answered once.
    pub(crate) fn exchange(&self, ask: &Ask, sent: &mut Sent<'_>) -> Result<(Answer, Used), Failure> {
        let home = self.home(ask)?;
        let url = match &ask.place {
            Some(place) => place.clone(),
            None => {
                let path = format!("/v2/{}/{}", ask.reference.repository(), ask.path);
                home.join(&path).map_err(|error| hopeless(ask, error.to_string()))?
            }
        };
        // Another host that the registry names is told nothing of who we are.
        if !url.same_origin(&home) {
            return Ok((self.send(ask, &url, None, sent)?, self.auth.used(ask, None)));
        }
        let known = self.auth.known(self, ask)?;
        let mut answer = self.send(ask, &url, known.as_ref(), sent)?;
        if answer.status != 401 || !answer.url.same_origin(&url) {
            return Ok((answer, self.auth.used(ask, known)));
        }
        let next = self.auth.respond(self, ask, &answer, known)?;
        if next.authorization.is_some() {
            answer.drain();
            answer = self.send(ask, &url, next.authorization.as_ref(), sent)?;
        }
        Ok((answer, next))
    }

    /// Where the registry is.
    pub(crate) fn home(&self, ask: &Ask) -> Result<Url, Failure> {
        let host = ask.reference.host();
        self.hosts.registries().check(&ask.reference)?;
        let trust = self.hosts.trust(&ask.reference);
        let scheme = trust.scheme(&self.wire).map_err(|lost| network(&ask.what, host, lost))?;
        Url::new(scheme, host, "/").map_err(|error| hopeless(ask, error.to_string()))
    }

    /// What an answer means that is not the hoped-for one.
    pub(crate) fn refused(&self, ask: &Ask, answer: Answer, used: Used) -> Failure {
        let registry = ask.reference.host();
        let mut failure = refused(&ask.what, answer, used.scope, used.anonymous);
        // Another host does not know us: it judges the URL that the registry signed, and those expire. The
        // registry gives a new one.
        if let Error::Denied { host: other, .. } = &failure.error
            && !other.eq_ignore_ascii_case(registry)
        {
            failure.chance = Chance::Good;
        }
        failure
    }

    fn send(
        &self,
        ask: &Ask,
        url: &Url,
        authorization: Option<&Authorization>,
        sent: &mut Sent<'_>,
    ) -> Result<Answer, Failure> {
        let mut headers = HeaderMap::new();
        for (name, value) in &ask.headers {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        }
        if let Some(accept) = ask.accept.as_deref().and_then(|accept| HeaderValue::from_str(accept).ok()) {
            headers.insert(header::ACCEPT, accept);
        }
        if let Some(from) = ask.from
            && let Ok(range) = HeaderValue::from_str(&format!("bytes={from}-"))
        {
            headers.insert(header::RANGE, range);
        }
        let authorization = authorization.map(Authorization::header);
        follow(&self.wire, self.hosts.trust(&ask.reference), url, &headers, authorization.as_ref(), sent)
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

fn hopeless(ask: &Ask, cause: String) -> Failure {
    network(&ask.what, ask.reference.host(), Lost { cause, kind: Kind::Hopeless })
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
