//! Which hosts may be spoken to over HTTP, and which are.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Mutex, PoisonError};

use ureq::http::HeaderMap;

use crate::url::{Scheme, Url};
use crate::wire::{Deed, Kind, Lost, Question, Wire};

/// The hosts that the user calls insecure, and what was learnt about them and about loopback.
pub(crate) struct Hosts {
    insecure: Vec<String>,
    schemes: Mutex<HashMap<String, Scheme>>,
}

impl Hosts {
    pub(crate) fn new(insecure: Vec<String>) -> Hosts {
        let insecure = insecure.into_iter().map(|host| host.to_ascii_lowercase()).collect();
        Hosts { insecure, schemes: Mutex::default() }
    }

    /// Whether this host, with or without a port, may be spoken to over HTTP: what goes to loopback is heard
    /// by nobody else.
    pub(crate) fn may_be_plain(&self, authority: &str) -> bool {
        is_loopback(authority) || self.may_be_unverified(authority)
    }

    /// Whether the user takes any certificate of this host.
    pub(crate) fn may_be_unverified(&self, authority: &str) -> bool {
        let authority = authority.to_ascii_lowercase();
        self.insecure.iter().any(|entry| *entry == authority || *entry == host(&authority))
    }

    /// How to speak to a registry: HTTPS, but where HTTP is allowed too, whatever it speaks, HTTPS first.
    pub(crate) fn scheme(&self, wire: &Wire, authority: &str) -> Result<Scheme, Lost> {
        if !self.may_be_plain(authority) {
            return Ok(Scheme::Https);
        }
        let known = || self.schemes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(scheme) = known().get(authority) {
            return Ok(*scheme);
        }
        let probe = |scheme| {
            let url = Url::new(scheme, authority, "/v2/")
                .map_err(|error| Lost { cause: error.to_string(), kind: Kind::Hopeless })?;
            let unverified = self.may_be_unverified(authority);
            wire.send(Question {
                url: &url,
                headers: HeaderMap::new(),
                deed: Deed::Get,
                unverified,
                probing: true,
            })
        };
        let scheme = match probe(Scheme::Https) {
            Ok(_) => Scheme::Https,
            // It does speak TLS, so it is not to be spoken to without; or there is no such host.
            Err(lost) if matches!(lost.kind, Kind::Certificate | Kind::Hopeless) => return Err(lost),
            Err(lost) => match probe(Scheme::Http) {
                // What many HTTPS servers answer to HTTP; then the first failure is the one to tell.
                Ok(answer) if answer.status == 400 => return Err(lost),
                Ok(_) => Scheme::Http,
                Err(lost) => return Err(lost),
            },
        };
        known().insert(authority.into(), scheme);
        Ok(scheme)
    }
}

fn is_loopback(authority: &str) -> bool {
    let host = host(authority);
    host.eq_ignore_ascii_case("localhost")
        || host == "[::1]"
        || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

/// Without the port.
fn host(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => host,
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_be_plain() {
        let hosts = Hosts::new(vec!["Old.example".into(), "one.example:5000".into()]);
        for (authority, plain, unverified) in [
            ("localhost", true, false),
            ("LOCALHOST:5000", true, false),
            ("127.0.0.1:5000", true, false),
            ("127.9.9.9", true, false),
            ("[::1]:5000", true, false),
            ("[::1]", true, false),
            ("old.example", true, true),
            ("OLD.example:5000", true, true),
            ("one.example:5000", true, true),
            ("one.example", false, false),
            ("one.example:5001", false, false),
            ("localhost.example", false, false),
            ("127.0.0.1.example", false, false),
            ("128.0.0.1", false, false),
            ("[::2]", false, false),
            ("registry-1.docker.io", false, false),
        ] {
            let found = (hosts.may_be_plain(authority), hosts.may_be_unverified(authority));
            assert_eq!(found, (plain, unverified), "{authority}");
        }
    }
}
