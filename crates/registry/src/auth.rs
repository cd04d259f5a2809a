//! Answering challenges: Basic, and Bearer with tokens that are fetched, kept and replaced.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ureq::http::{HeaderValue, header};

use crate::challenge::{self, Challenge};
use crate::credentials::{Credentials, Login, Secret};
use crate::error::Violation;
use crate::retry::{Chance, Failure};
use crate::session::{Ask, Session, violates};
use crate::wire::Answer;

pub(crate) mod token;

use token::{Token, Tokens};

/// What is known of who we are and of what registries want.
pub(crate) struct Auth {
    credentials: Credentials,
    logins: Mutex<HashMap<(String, String), Login>>,
    /// What each repository asked for the last time, so that the next request can bring it at once.
    wanted: Mutex<HashMap<(String, String), Wanted>>,
    tokens: Tokens,
}

/// A challenge that was chosen.
#[derive(Clone, PartialEq)]
enum Wanted {
    Basic,
    Bearer(Bearer),
}

/// Which token a registry wants.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Bearer {
    /// The registry that wants it. A token is never sent to another, whatever that one's challenge says.
    host: String,
    realm: String,
    service: Option<String>,
    scope: String,
    /// Whose it is: two repositories of a registry may have two logins.
    account: String,
}

/// The value of an `Authorization` header.
#[derive(Clone)]
pub(crate) enum Authorization {
    Basic(HeaderValue),
    Bearer(HeaderValue, Token),
}

impl Authorization {
    pub(crate) fn header(&self) -> HeaderValue {
        match self {
            Authorization::Basic(value) | Authorization::Bearer(value, _) => value.clone(),
        }
    }

    fn basic(user: &str, password: &Secret) -> Option<Authorization> {
        let encoded = STANDARD.encode(format!("{user}:{}", password.expose()));
        sensitive(&format!("Basic {encoded}")).map(Authorization::Basic)
    }

    fn bearer(token: Token) -> Option<Authorization> {
        let value = sensitive(&format!("Bearer {}", token.secret().expose()))?;
        Some(Authorization::Bearer(value, token))
    }
}

/// A header that no log shows.
fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// What an answer is asked with, and what to say should it be refused.
#[derive(Default)]
pub(crate) struct Used {
    pub(crate) authorization: Option<Authorization>,
    pub(crate) scope: Option<String>,
    pub(crate) anonymous: bool,
}

impl Auth {
    pub(crate) fn new(credentials: Credentials) -> Auth {
        Auth { credentials, logins: Mutex::default(), wanted: Mutex::default(), tokens: Tokens::default() }
    }

    /// What the repository will want, going by the last time.
    pub(crate) fn known(&self, session: &Session, ask: &Ask) -> Result<Option<Authorization>, Failure> {
        let Some(wanted) = lock(&self.wanted).get(&key(ask)).cloned() else { return Ok(None) };
        match self.authorize(session, ask, &wanted, None) {
            // It may want something else by now: let it say so.
            Err(failure) if failure.chance == Chance::None => {
                lock(&self.wanted).remove(&key(ask));
                Ok(None)
            }
            result => result,
        }
    }

    /// The answer to a 401. `rejected` is what it was given in spite of: a token that has just expired, which
    /// is replaced once; whoever calls does not call again if that is refused as well.
    pub(crate) fn respond(
        &self,
        session: &Session,
        ask: &Ask,
        answer: &Answer,
        rejected: Option<Authorization>,
    ) -> Result<Used, Failure> {
        let login = self.login(ask)?;
        let headers = answer.headers.get_all(header::WWW_AUTHENTICATE).iter();
        let challenges = challenge::parse(headers.filter_map(|value| value.to_str().ok()));
        let find = |scheme| challenges.iter().find(|challenge| challenge.scheme == scheme);
        let wanted = match (find("bearer"), find("basic"), &login) {
            (Some(bearer), _, _) => Wanted::Bearer(wanted(ask, bearer, &login)),
            (None, Some(_), Login::Basic { .. }) => Wanted::Basic,
            // Nothing to answer with: the 401 stands.
            (None, Some(_), _) => return Ok(self.used(ask, None)),
            (None, None, _) => {
                return Err(violates(&ask.what, &answer.url.authority(), Violation::NoChallenge).into());
            }
        };
        if wanted == Wanted::Basic && matches!(rejected, Some(Authorization::Basic(_))) {
            return Ok(self.used(ask, None));
        }
        let rejected = match &rejected {
            Some(Authorization::Bearer(_, token)) => Some(token),
            _ => None,
        };
        let authorization = self.authorize(session, ask, &wanted, rejected)?;
        lock(&self.wanted).insert(key(ask), wanted);
        Ok(self.used(ask, authorization))
    }

    /// What to say of a request with this authorization.
    pub(crate) fn used(&self, ask: &Ask, authorization: Option<Authorization>) -> Used {
        let scope = match lock(&self.wanted).get(&key(ask)) {
            Some(Wanted::Bearer(bearer)) => Some(bearer.scope.clone()).filter(|scope| !scope.is_empty()),
            _ => None,
        };
        let anonymous = matches!(lock(&self.logins).get(&key(ask)), Some(Login::Anonymous));
        Used { authorization, scope, anonymous }
    }

    fn authorize(
        &self,
        session: &Session,
        ask: &Ask,
        wanted: &Wanted,
        rejected: Option<&Token>,
    ) -> Result<Option<Authorization>, Failure> {
        let login = self.login(ask)?;
        match wanted {
            Wanted::Basic => Ok(match &login {
                Login::Basic { user, password } => Authorization::basic(user, password),
                _ => None,
            }),
            Wanted::Bearer(bearer) => {
                let token = match &login {
                    // The user brought the token that others fetch, and there is no other.
                    Login::Bearer(_) if rejected.is_some() => return Ok(None),
                    Login::Bearer(token) => Token::lasting(token.clone()),
                    login => self.tokens.get(session, ask, bearer, login, rejected)?,
                };
                Ok(Authorization::bearer(token))
            }
        }
    }

    /// Asked for when a challenge comes, not before: a helper may ask the user to unlock something.
    fn login(&self, ask: &Ask) -> Result<Login, Failure> {
        let key = key(ask);
        if let Some(login) = lock(&self.logins).get(&key) {
            return Ok(login.clone());
        }
        let login = self.credentials.login(&ask.reference, ask.mirror).map_err(crate::Error::from)?;
        lock(&self.logins).insert(key, login.clone());
        Ok(login)
    }
}

/// What a Bearer challenge asks for. Without a scope it is what the question needs.
fn wanted(ask: &Ask, challenge: &Challenge, login: &Login) -> Bearer {
    let needed = || ask.access.scope(ask.reference.repository());
    Bearer {
        host: ask.reference.host().into(),
        realm: challenge.parameter("realm").unwrap_or_default().into(),
        service: challenge.parameter("service").map(String::from),
        scope: challenge.parameter("scope").map_or_else(needed, String::from),
        account: login.account().into(),
    }
}

fn key(ask: &Ask) -> (String, String) {
    (ask.reference.host().into(), ask.reference.repository().into())
}

/// Nothing here is left half done by a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
