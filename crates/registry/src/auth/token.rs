//! Fetching tokens from where a Bearer challenge says, as Docker's token authentication has it
//! (`spec/auth/token.md` and `spec/auth/oauth.md` of the distribution project).

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde::Deserialize;
use ureq::http::{HeaderMap, HeaderValue};

use super::{Authorization, Bearer, lock};
use crate::credentials::{Login, Secret};
use crate::error::Violation;
use crate::hosts::Trust;
use crate::redirect::{Sent, follow};
use crate::retry::Failure;
use crate::session::{Ask, Session, network, refused, violates, wrong};
use crate::url::{Url, encode};
use crate::wire::{Answer, Deed, Question, is_plain};

/// A token server's answer is not longer than this; tokens of some cloud providers have 4 KiB.
const TOKEN_ANSWER_MAX: u64 = 1 << 20;
/// What a token lives without `expires_in`, and at least: "a token should never be returned with less than 60
/// seconds to live".
const LIFE_MIN: Duration = Duration::from_secs(60);
/// A token that expires as soon as this is not used any more: a request takes time to arrive.
const MARGIN: Duration = Duration::from_secs(5);
/// OAuth wants clients to have a name.
const CLIENT_ID: &str = "unlade";

/// A Bearer token.
#[derive(Clone)]
pub(crate) struct Token {
    secret: Secret,
    expires: Option<Instant>,
}

impl Token {
    /// One that the user vouches for.
    pub(super) fn lasting(secret: Secret) -> Token {
        Token { secret, expires: None }
    }

    pub(crate) fn secret(&self) -> &Secret {
        &self.secret
    }

    fn is_fresh(&self) -> bool {
        self.expires.is_none_or(|expires| Instant::now() + MARGIN < expires)
    }
}

/// What a token server answers.
#[derive(Deserialize)]
struct Grant {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<f64>,
}

type Slot = Arc<Mutex<Option<Token>>>;

/// The tokens that there are.
#[derive(Default)]
pub(super) struct Tokens {
    slots: Mutex<HashMap<Bearer, Slot>>,
}

impl Tokens {
    /// A token for `bearer`, other than the `rejected` one. Threads that want the same token at the same time
    /// wait for one fetch of it.
    pub(super) fn get(
        &self,
        session: &Session,
        ask: &Ask,
        bearer: &Bearer,
        login: &Login,
        rejected: Option<&Token>,
    ) -> Result<Token, Failure> {
        let slot = lock(&self.slots).entry(bearer.clone()).or_default().clone();
        let mut slot = lock(&slot);
        if let Some(token) = &*slot
            && token.is_fresh()
            && rejected.is_none_or(|rejected| rejected.secret != token.secret)
        {
            return Ok(token.clone());
        }
        let token = fetch(session, ask, bearer, login)?;
        *slot = Some(token.clone());
        Ok(token)
    }
}

fn fetch(session: &Session, ask: &Ask, bearer: &Bearer, login: &Login) -> Result<Token, Failure> {
    let asked = Instant::now();
    let what = format!("token for {}", ask.what);
    let trust = session.hosts.trust(&ask.reference);
    let realm = realm(trust, &what, bearer)?;
    let mut answer = match login {
        Login::Identity { token, .. } => match refresh(session, trust, &what, bearer, &realm, token)? {
            answer if matches!(answer.status, 401 | 404 | 405) => {
                get(session, trust, &what, bearer, &realm, login)?
            }
            answer => answer,
        },
        login => get(session, trust, &what, bearer, &realm, login)?,
    };
    if answer.status != 200 {
        let anonymous = matches!(login, Login::Anonymous);
        let scope = Some(bearer.scope.clone()).filter(|scope| !scope.is_empty());
        return Err(refused(&what, answer, scope, anonymous));
    }
    let host = answer.url.authority();
    let body = answer.body.read_all(TOKEN_ANSWER_MAX).map_err(|lost| network(&what, &host, lost))?;
    granted(&body, asked).ok_or_else(|| violates(&what, &host, Violation::NoToken).into())
}

/// The token in the answer to what was asked at `asked`. What the parser says of a bad answer may quote a
/// token, so nothing is said.
pub(crate) fn granted(body: &[u8], asked: Instant) -> Option<Token> {
    let grant = serde_json::from_slice::<Grant>(body).ok()?;
    let life = Duration::try_from_secs_f64(grant.expires_in.unwrap_or(0.0));
    let life = life.unwrap_or(LIFE_MIN).max(LIFE_MIN);
    let secret = [grant.token, grant.access_token].into_iter().flatten().find(|token| !token.is_empty())?;
    let header = secret.bytes().all(|b| b.is_ascii_graphic());
    header.then(|| Token { secret: Secret::new(secret), expires: asked.checked_add(life) })
}

/// Where tokens are: nowhere that others could listen in.
fn realm(trust: Trust<'_>, what: &str, bearer: &Bearer) -> Result<Url, Failure> {
    let violates = |violation| violates(what, &bearer.host, violation);
    let url = Url::parse(&bearer.realm).map_err(|error| violates(Violation::Realm(error.to_string())))?;
    let plain_registry = trust.may_be_plain(&bearer.host);
    if is_plain(&url) && !(plain_registry && trust.may_be_plain(&url.authority())) {
        return Err(violates(Violation::RealmPlain(url.authority())).into());
    }
    Ok(url)
}

/// The old way, which every token server knows.
fn get(
    session: &Session,
    trust: Trust<'_>,
    what: &str,
    bearer: &Bearer,
    realm: &Url,
    login: &Login,
) -> Result<Answer, Failure> {
    let mut url = realm.clone();
    if let Some(service) = &bearer.service {
        url.push_query("service", service);
    }
    for scope in bearer.scope.split_ascii_whitespace() {
        url.push_query("scope", scope);
    }
    let authorization = match login {
        Login::Basic { user, password } | Login::Identity { user, token: password } => {
            if matches!(login, Login::Basic { .. }) {
                url.push_query("account", user);
            }
            Authorization::basic(user, password)
        }
        _ => None,
    };
    let authorization = authorization.as_ref().map(Authorization::header);
    follow(&session.wire, trust, &url, &headers(), authorization.as_ref(), &mut Sent::Nothing)
        .map_err(|astray| wrong(what, astray))
}

/// OAuth's way, for identity tokens. The form holds a secret, so no redirect is followed.
fn refresh(
    session: &Session,
    trust: Trust<'_>,
    what: &str,
    bearer: &Bearer,
    realm: &Url,
    token: &Secret,
) -> Result<Answer, Failure> {
    let mut form = vec![("grant_type", "refresh_token"), ("client_id", CLIENT_ID)];
    form.extend(bearer.service.as_deref().map(|service| ("service", service)));
    form.extend(Some(("scope", bearer.scope.as_str())).filter(|(_, scope)| !scope.is_empty()));
    form.push(("refresh_token", token.expose()));
    let form: Vec<String> = form.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    let host = realm.authority();
    let form = form.join("&");
    let deed = Deed::Form(&form);
    let question = Question { url: realm, headers: headers(), deed, trust, probing: false };
    session.wire.send(question).map_err(|lost| network(what, &host, lost))
}

fn headers() -> HeaderMap {
    HeaderMap::from_iter([(ureq::http::header::ACCEPT, HeaderValue::from_static("application/json"))])
}
