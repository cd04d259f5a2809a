//! Proxies, as the environment names them.
//!
//! The rules are those of Go's `net/http`, which every other program that reads images follows, and
//! `ALL_PROXY`, which curl has besides.

use std::env;
use std::fmt;
use std::net::IpAddr;

use crate::url::{Scheme, Url};

/// Through whom which hosts are reached. The default is nobody.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    exceptions: Vec<Exception>,
}

/// A proxy.
#[derive(Clone)]
pub(crate) struct Proxy {
    /// The variable that names it.
    variable: &'static str,
    /// `None` where the variable's value cannot be used.
    proxy: Option<ureq::Proxy>,
}

/// What is reached without a proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Exception {
    Everything,
    /// An address, or all that share its first bits.
    Network {
        address: IpAddr,
        bits: u8,
        port: Option<u16>,
    },
    /// What ends in `.DOMAIN`, and `DOMAIN` itself unless it was written with a dot before it.
    Domain {
        domain: String,
        itself: bool,
        port: Option<u16>,
    },
}

impl Proxies {
    /// `HTTPS_PROXY` and `HTTP_PROXY`, by how the registry is spoken to; `ALL_PROXY` where there is none;
    /// `NO_PROXY` for what is reached directly. Each may be in lower case instead. In a CGI program
    /// `HTTP_PROXY` is what a stranger wrote into a header, and does not count.
    pub fn from_env() -> Proxies {
        Proxies::from_variables(|name| env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
    }

    /// The same, with variables from elsewhere than the environment.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Proxies {
        let variable = |name: &&str| variable(name).filter(|value| !value.trim().is_empty());
        let first = |names: &[&'static str]| {
            names.iter().find_map(|name| variable(name).map(|value| Proxy::new(name, value.trim())))
        };
        let all = first(&["ALL_PROXY", "all_proxy"]);
        let is_cgi = variable(&"REQUEST_METHOD").is_some();
        let http = if is_cgi { &["http_proxy"][..] } else { &["HTTP_PROXY", "http_proxy"] };
        let none = ["NO_PROXY", "no_proxy"].iter().find_map(variable).unwrap_or_default();
        Proxies {
            http: first(http).or_else(|| all.clone()),
            https: first(&["HTTPS_PROXY", "https_proxy"]).or(all),
            exceptions: none.split(',').filter_map(Exception::parse).collect(),
        }
    }

    /// Through whom a URL is reached. Loopback never is: another machine's is not ours.
    pub(crate) fn of(&self, url: &Url) -> Option<&Proxy> {
        let proxy = match url.scheme {
            Scheme::Https => self.https.as_ref(),
            Scheme::Http => self.http.as_ref(),
        }?;
        let host = url.host().trim_matches(['[', ']']);
        let address = host.parse::<IpAddr>().ok();
        let loopback = host == "localhost" || address.is_some_and(|address| address.is_loopback());
        let direct = self.exceptions.iter().any(|exception| exception.covers(host, address, url.port()));
        (!loopback && !direct).then_some(proxy)
    }
}

impl Proxy {
    fn new(variable: &'static str, value: &str) -> Proxy {
        let value = if value.contains("://") { value.to_string() } else { format!("http://{value}") };
        // The proxy finds the host, as with Go: who needs one may not be able to.
        let value = match value.split_once("://") {
            Some(("socks5", rest)) => format!("socks5h://{rest}"),
            _ => value,
        };
        let known =
            ["http", "https", "socks5h"].iter().any(|scheme| value.starts_with(&format!("{scheme}://")));
        Proxy { variable, proxy: known.then(|| ureq::Proxy::new(&value).ok()).flatten() }
    }

    /// What connects through it; the error says what is wrong with its variable, and not what is in it.
    pub(crate) fn get(&self) -> Result<&ureq::Proxy, String> {
        self.proxy.as_ref().ok_or_else(|| {
            format!(
                "the proxy in {} cannot be used: it is no http://, https:// or socks5:// URL of a host",
                self.variable
            )
        })
    }
}

/// Without a user's name and password.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.proxy {
            Some(proxy) => {
                let scheme = proxy.uri().scheme_str().unwrap_or("http");
                let scheme = if scheme == "socks5h" { "socks5" } else { scheme };
                write!(f, "{scheme}://{}:{}", proxy.host(), proxy.port())
            }
            None => f.write_str(self.variable),
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Exception {
    fn parse(text: &str) -> Option<Exception> {
        let text = text.trim().to_ascii_lowercase();
        if text == "*" {
            return Some(Exception::Everything);
        }
        if let Some((address, bits)) = text.split_once('/') {
            let (address, bits) = (address.parse().ok()?, bits.parse().ok()?);
            return Some(Exception::Network { address, bits, port: None });
        }
        let (host, port) = match text.rsplit_once(':') {
            // An address of version 6 has colons, too, unless it stands in brackets.
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
                (host, Some(port.parse().ok()?))
            }
            _ => (text.as_str(), None),
        };
        if let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
            let bits = if address.is_ipv4() { 32 } else { 128 };
            return Some(Exception::Network { address, bits, port });
        }
        let host = host.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(host);
        let (domain, itself) = host.strip_prefix('.').map_or((host, true), |domain| (domain, false));
        (!domain.is_empty()).then(|| Exception::Domain { domain: domain.into(), itself, port })
    }

    fn covers(&self, host: &str, address: Option<IpAddr>, port: u16) -> bool {
        match self {
            Exception::Everything => true,
            Exception::Network { address: network, bits, port: only } => {
                only.is_none_or(|only| only == port)
                    && address.is_some_and(|address| shares(address, *network, *bits))
            }
            Exception::Domain { domain, itself, port: only } => {
                let ends = host.strip_suffix(domain.as_str()).is_some_and(|rest| rest.ends_with('.'));
                only.is_none_or(|only| only == port)
                    && address.is_none()
                    && (ends || (*itself && host == domain))
            }
        }
    }
}

/// Whether two addresses have the same first bits.
fn shares(one: IpAddr, other: IpAddr, bits: u8) -> bool {
    let differ = match (one.to_canonical(), other.to_canonical()) {
        (IpAddr::V4(one), IpAddr::V4(other)) => u128::from(one.to_bits() ^ other.to_bits()) << 96,
        (IpAddr::V6(one), IpAddr::V6(other)) => one.to_bits() ^ other.to_bits(),
        _ => return false,
    };
    differ.leading_zeros() >= u32::from(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Proxies {
        Proxies::from_variables(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string())
        })
    }

    fn of(proxies: &Proxies, url: &str) -> String {
        proxies.of(&Url::parse(url).unwrap()).map_or("direct".into(), Proxy::to_string)
    }

    #[test]
    fn variables() {
        for (variables, https, http) in [
            (&[][..], "direct", "direct"),
            (&[("HTTPS_PROXY", "http://a.example:3128")], "http://a.example:3128", "direct"),
            (&[("https_proxy", "a.example")], "http://a.example:80", "direct"),
            (&[("HTTPS_PROXY", "a.example:1"), ("https_proxy", "b.example")], "http://a.example:1", "direct"),
            (&[("HTTP_PROXY", "https://a.example")], "direct", "https://a.example:443"),
            (&[("HTTP_PROXY", "http://a.example"), ("REQUEST_METHOD", "GET")], "direct", "direct"),
            (
                &[("http_proxy", "http://a.example"), ("REQUEST_METHOD", "GET")],
                "direct",
                "http://a.example:80",
            ),
            (
                &[("ALL_PROXY", "socks5://a.example"), ("http_proxy", "b.example:8080")],
                "socks5://a.example:1080",
                "http://b.example:8080",
            ),
            (&[("HTTPS_PROXY", "http://user:hunter2@a.example")], "http://a.example:80", "direct"),
            (&[("HTTPS_PROXY", "ftp://user:hunter2@a.example")], "HTTPS_PROXY", "direct"),
            (&[("HTTPS_PROXY", "")], "direct", "direct"),
        ] {
            let proxies = proxies(variables);
            let found = (of(&proxies, "https://r.example/"), of(&proxies, "http://r.example/"));
            assert_eq!(found, (https.into(), http.into()), "{variables:?}");
            assert!(!format!("{proxies:?}").contains("hunter2"), "{variables:?}");
        }
        let broken = proxies(&[("HTTPS_PROXY", "http://user:hunter2@")]);
        assert_eq!(
            broken.of(&Url::parse("https://a.example/").unwrap()).unwrap().get().unwrap_err(),
            "the proxy in HTTPS_PROXY cannot be used: it is no http://, https:// or socks5:// URL of a host"
        );
    }

    #[test]
    fn exceptions() {
        for (exceptions, url, direct) in [
            ("", "https://localhost:5000/", true),
            ("", "https://127.0.0.2/", true),
            ("", "https://[::1]:5000/", true),
            ("", "https://localhost.example/", false),
            ("*", "https://r.example/", true),
            ("r.example", "https://R.example/", true),
            ("r.example", "https://a.r.example/", true),
            ("r.example", "https://ar.example/", false),
            (".r.example", "https://r.example/", false),
            (".r.example, x", "https://a.r.example/", true),
            ("*.r.example", "https://a.r.example/", true),
            ("*.r.example", "https://r.example/", false),
            ("r.example:5000", "https://r.example:5000/", true),
            ("r.example:5000", "https://r.example/", false),
            ("r.example:443", "https://r.example/", true),
            ("10.0.0.0/8", "https://10.1.2.3/", true),
            ("10.0.0.0/8", "https://11.1.2.3/", false),
            ("10.0.0.0/0", "https://11.1.2.3/", true),
            ("10.0.0.0/99", "https://10.0.0.1/", false),
            ("10.1.2.3", "https://10.1.2.3:5000/", true),
            ("10.1.2.3:80", "https://10.1.2.3/", false),
            ("fd00::/8", "https://[fd12::1]:5000/", true),
            ("fd12::1", "https://[fd12::1]/", true),
            ("[fd12::1]:443", "https://[fd12::1]/", true),
            ("2.3", "https://10.1.2.3/", false),
            (":5000,,.", "https://r.example:5000/", false),
        ] {
            let proxies = proxies(&[("all_proxy", "p.example"), ("no_proxy", exceptions)]);
            assert_eq!(of(&proxies, url) == "direct", direct, "{exceptions} {url}");
        }
    }
}
