//! Which hosts may be spoken to over HTTP, and which are; and what of that is for one registry alone.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Mutex, PoisonError};

use oci::Reference;
use ureq::http::HeaderMap;

use crate::registries::Registries;

use crate::url::{Scheme, Url};
use crate::wire::{Deed, Kind, Lost, Question, Wire};

/// The hosts that the user calls insecure, and what was learnt about them and about loopback.
pub(crate) struct Hosts {
    insecure: Vec<String>,
    registries: Registries,
    schemes: Mutex<HashMap<String, Scheme>>,
}

impl Hosts {
    pub(crate) fn new(insecure: Vec<String>, registries: Registries) -> Hosts {
        let insecure = insecure.into_iter().map(|host| host.to_ascii_lowercase()).collect();
        Hosts { insecure, registries, schemes: Mutex::default() }
    }

    pub(crate) fn registries(&self) -> &Registries {
        &self.registries
    }

    /// What holds while something is asked of a repository.
    pub(crate) fn trust<'a>(&'a self, reference: &'a Reference) -> Trust<'a> {
        Trust {
            hosts: self,
            registry: reference.host(),
            insecure: self.registries.allows_insecure(reference),
        }
    }
}

/// What holds while something is asked of one repository, of its registry and of whom that names.
#[derive(Clone, Copy)]
pub(crate) struct Trust<'a> {
    hosts: &'a Hosts,
    /// The registry's host, and port if it has one.
    pub(crate) registry: &'a str,
    /// Whether the configuration calls this repository insecure.
    insecure: bool,
}

impl Trust<'_> {
    /// Whether this host, with or without a port, may be spoken to over HTTP: what goes to loopback is heard
    /// by nobody else.
    pub(crate) fn may_be_plain(&self, authority: &str) -> bool {
        is_loopback(authority) || self.may_be_unverified(authority)
    }

    /// Whether the user takes any certificate of this host.
    pub(crate) fn may_be_unverified(&self, authority: &str) -> bool {
        let authority = authority.to_ascii_lowercase();
        let listed =
            self.hosts.insecure.iter().any(|entry| *entry == authority || *entry == host(&authority));
        listed || (self.insecure && authority.eq_ignore_ascii_case(self.registry))
    }

    /// How to speak to the registry: HTTPS, but where HTTP is allowed too, whatever it speaks, HTTPS first.
    pub(crate) fn scheme(&self, wire: &Wire) -> Result<Scheme, Lost> {
        let authority = self.registry;
        if !self.may_be_plain(authority) {
            return Ok(Scheme::Https);
        }
        let known = || self.hosts.schemes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(scheme) = known().get(authority) {
            return Ok(*scheme);
        }
        let probe = |scheme| {
            let url = Url::new(scheme, authority, "/v2/")
                .map_err(|error| Lost { cause: error.to_string(), kind: Kind::Hopeless })?;
            wire.send(Question {
                url: &url,
                headers: HeaderMap::new(),
                deed: Deed::Get,
                trust: *self,
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
        let insecure = vec!["Old.example".into(), "one.example:5000".into()];
        let hosts = Hosts::new(insecure, Registries::default());
        let reference = "r.example/x".parse().unwrap();
        let trust = hosts.trust(&reference);
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
            let found = (trust.may_be_plain(authority), trust.may_be_unverified(authority));
            assert_eq!(found, (plain, unverified), "{authority}");
        }
    }
}
