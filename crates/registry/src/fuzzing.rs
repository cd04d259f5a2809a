//! What holds for whatever a host answers: no panic, and nothing that a terminal would obey. The random tests
//! beside this and the targets in `fuzz` call it.

use std::time::Instant;

use crate::auth::token;
use crate::hosts::Hosts;
use crate::redirect;
use crate::registries::Registries;
use crate::url::{Scheme, Url};
use crate::{blob, challenge, error, referrers, retry, upload};

/// `WWW-Authenticate` headers: schemes and parameters have names.
pub fn challenges(headers: &[&str]) {
    for challenge in challenge::parse(headers.iter().copied()) {
        assert!(!challenge.scheme.is_empty());
        assert!(!challenge.scheme.contains([' ', '\t', ',', '=']));
        assert!(challenge.parameters.keys().all(|name| !name.is_empty()));
    }
}

/// A realm: what is a URL stays one, and names its host as one word.
pub fn url(text: &str) {
    if let Ok(url) = Url::parse(text) {
        check_url(&url);
    }
}

/// A `Location`: it leads to a URL that stays one, never from HTTPS to HTTP, and to HTTP only where the user or
/// loopback allows it.
pub fn redirect(location: &[u8]) {
    let hosts = Hosts::new(vec!["plain.example".into()], Registries::default());
    let reference = "plain.example:5000/x".parse().expect("it is one");
    let trust = hosts.trust(&reference);
    for base in ["https://a.example/v2/b/manifests/c?d", "http://plain.example:5000/v2/"] {
        let base = Url::parse(base).expect("it is one");
        let Ok(next) = redirect::next(trust, &base, location) else { continue };
        check_url(&next);
        let plain = base.scheme == Scheme::Http && trust.may_be_plain(&next.authority());
        assert!(next.scheme == Scheme::Https || plain, "{next}");
    }
}

fn check_url(url: &Url) {
    assert_eq!(Url::parse(&url.full()).as_ref(), Ok(url));
    assert!(!url.full().contains(|c: char| c.is_control() || c == ' ' || !c.is_ascii()));
    assert!(!url.authority().contains(['/', '?', '#', '@', '\\']));
    // What the client makes of it is the host that was checked.
    let seen = url.full().parse::<ureq::http::Uri>().expect("a URL is one for the client, too");
    assert_eq!(seen.authority().map(|authority| authority.as_str()), Some(&*url.authority()));
}

/// `Retry-After` and `Date`.
pub fn wait(value: &str, date: &str) {
    let _ = retry::retry_after(value, Some(date));
}

/// `Content-Range`: what begins, begins before the end.
pub fn range(value: &str) {
    if let Some((start, Some(total))) = blob::content_range(value) {
        assert!(start < total);
    }
    // What an upload's answer says, and where a list goes on.
    assert_ne!(upload::end_of_range(value), Some(0));
    assert!(referrers::next_link(value).is_none_or(|target| value.contains(target)));
}

/// The body of a refusal.
pub fn words(body: &[u8]) {
    assert!(!error::Said::parse(body).to_string().contains(char::is_control));
}

/// The answer of a token server: a token is one word that fits a header.
pub fn token(body: &[u8]) {
    if let Some(token) = token::granted(body, Instant::now()) {
        assert!(!token.secret().expose().is_empty());
        assert!(ureq::http::HeaderValue::from_str(token.secret().expose()).is_ok());
    }
}
