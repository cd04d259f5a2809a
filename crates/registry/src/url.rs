//! The URLs of HTTP, as far as redirects and token realms need them.

use std::fmt;

/// How a host is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Scheme {
    Https,
    Http,
}

/// An absolute URL without user information and fragment.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Url {
    pub(crate) scheme: Scheme,
    /// Lower case; an IPv6 address stands in brackets.
    host: String,
    port: Option<u16>,
    /// The path, which starts with a slash.
    path: String,
    /// What follows the question mark. It may hold a signature, so it is never shown.
    query: Option<String>,
}

/// Why text is no [`Url`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UrlError {
    #[error("neither https nor http")]
    Scheme,
    #[error("it holds a user name")]
    User,
    #[error("malformed")]
    Malformed,
}

impl Url {
    /// What stands under `path` of a registry.
    pub(crate) fn new(scheme: Scheme, authority: &str, path: &str) -> Result<Url, UrlError> {
        let (host, port) = split_authority(authority)?;
        Ok(Url { scheme, host, port, path: path.into(), query: None })
    }

    pub(crate) fn parse(text: &str) -> Result<Url, UrlError> {
        let text = clean(text)?;
        let (scheme, rest) = split_scheme(&text).ok_or(UrlError::Malformed)?;
        absolute(scheme?, rest.strip_prefix("//").ok_or(UrlError::Malformed)?)
    }

    /// What `reference` means on the page of this URL: RFC 3986, section 5.2.
    pub(crate) fn join(&self, reference: &str) -> Result<Url, UrlError> {
        let reference = clean(reference)?;
        if let Some((scheme, rest)) = split_scheme(&reference) {
            return absolute(scheme?, rest.strip_prefix("//").ok_or(UrlError::Malformed)?);
        }
        if let Some(rest) = reference.strip_prefix("//") {
            return absolute(self.scheme, rest);
        }
        let (path, query) = split_query(&reference);
        let mut url = self.clone();
        url.query = query;
        if path.starts_with('/') {
            url.path = remove_dots(path);
        } else if !path.is_empty() {
            let directory = self.path.rsplit_once('/').map_or("", |(directory, _)| directory);
            url.path = remove_dots(&format!("{directory}/{path}"));
        } else if url.query.is_none() {
            url.query = self.query.clone();
        }
        Ok(url)
    }

    /// Host, and port where it is stated.
    pub(crate) fn authority(&self) -> String {
        self.port.map_or_else(|| self.host.clone(), |port| format!("{}:{port}", self.host))
    }

    /// Whether both lead to the same server: scheme, host and port.
    pub(crate) fn same_origin(&self, other: &Url) -> bool {
        (self.scheme, &self.host, self.port()) == (other.scheme, &other.host, other.port())
    }

    /// Without the port; an IPv6 address stands in brackets.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// The port, stated or not.
    pub(crate) fn port(&self) -> u16 {
        self.port.unwrap_or(match self.scheme {
            Scheme::Https => 443,
            Scheme::Http => 80,
        })
    }

    /// Adds a parameter to the query.
    pub(crate) fn push_query(&mut self, name: &str, value: &str) {
        let query = self.query.get_or_insert_default();
        if !query.is_empty() {
            query.push('&');
        }
        query.push_str(&format!("{}={}", encode(name), encode(value)));
    }

    /// All of it, secrets included.
    pub(crate) fn full(&self) -> String {
        let query = self.query.as_ref().map_or(String::new(), |query| format!("?{query}"));
        format!("{self}{query}")
    }
}

/// Leaves the query out.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Https => "https",
            Scheme::Http => "http",
        };
        write!(f, "{scheme}://{}{}", self.authority(), self.path)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Percent-encodes everything but the unreserved characters of RFC 3986: fit for a query and for a form.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(byte.into());
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// Drops the fragment, refuses control characters, and encodes what servers forget to encode.
fn clean(text: &str) -> Result<String, UrlError> {
    let text = text.trim_matches(' ');
    let text = text.split('#').next().unwrap_or_default();
    let mut cleaned = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            _ if character.is_ascii_control() => return Err(UrlError::Malformed),
            ' ' | '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}' => {
                cleaned.push_str(&encode(&character.to_string()));
            }
            _ if character.is_ascii() => cleaned.push(character),
            _ => cleaned.push_str(&encode(&character.to_string())),
        }
    }
    Ok(cleaned)
}

/// Splits at the colon of a scheme, if the text starts with one.
fn split_scheme(text: &str) -> Option<(Result<Scheme, UrlError>, &str)> {
    let (name, rest) = text.split_once(':')?;
    let scheme = |b: u8| b.is_ascii_alphanumeric() || b"+-.".contains(&b);
    if !name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic()) || !name.bytes().all(scheme) {
        return None;
    }
    let scheme = match name.to_ascii_lowercase().as_str() {
        "https" => Ok(Scheme::Https),
        "http" => Ok(Scheme::Http),
        _ => Err(UrlError::Scheme),
    };
    Some((scheme, rest))
}

fn absolute(scheme: Scheme, rest: &str) -> Result<Url, UrlError> {
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (host, port) = split_authority(&rest[..end])?;
    let (path, query) = split_query(&rest[end..]);
    Ok(Url { scheme, host, port, path: if path.is_empty() { "/".into() } else { path.into() }, query })
}

fn split_authority(authority: &str) -> Result<(String, Option<u16>), UrlError> {
    if authority.contains('@') {
        return Err(UrlError::User);
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let valid = match bare {
        Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)),
    };
    let port = match port {
        None | Some("") => None,
        Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => {
            Some(port.parse().map_err(|_| UrlError::Malformed)?)
        }
        Some(_) => return Err(UrlError::Malformed),
    };
    if valid { Ok((host.to_ascii_lowercase(), port)) } else { Err(UrlError::Malformed) }
}

fn split_query(text: &str) -> (&str, Option<String>) {
    text.split_once('?').map_or((text, None), |(path, query)| (path, Some(query.into())))
}

/// RFC 3986, section 5.2.4, for a path that starts with a slash.
fn remove_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    for (number, segment) in segments.iter().enumerate() {
        match *segment {
            "." | ".." => {
                if *segment == ".." {
                    kept.pop();
                }
                if number + 1 == segments.len() {
                    kept.push("");
                }
            }
            segment => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_as_the_rfc_says() {
        let base = Url::parse("https://A.example:5000/v2/b/c?d=e").unwrap();
        for (reference, full) in [
            ("https://cdn.example/x?sig=a%2Fb&c=d#f", "https://cdn.example/x?sig=a%2Fb&c=d"),
            ("HTTP://cdn.example", "http://cdn.example/"),
            ("//cdn.example:8443/x", "https://cdn.example:8443/x"),
            ("/x/../y/./z", "https://a.example:5000/y/z"),
            ("x?y", "https://a.example:5000/v2/b/x?y"),
            ("../x/", "https://a.example:5000/v2/x/"),
            ("../../../..", "https://a.example:5000/"),
            ("?q", "https://a.example:5000/v2/b/c?q"),
            ("", "https://a.example:5000/v2/b/c?d=e"),
            ("/é {}", "https://a.example:5000/%C3%A9%20%7B%7D"),
            ("https://[::1]:5000/x", "https://[::1]:5000/x"),
        ] {
            assert_eq!(base.join(reference).unwrap().full(), full, "{reference}");
        }
        for (reference, error) in [
            ("file:///etc/passwd", UrlError::Scheme),
            ("ftp://x/y", UrlError::Scheme),
            ("https://user:secret@x/", UrlError::User),
            ("https:///x", UrlError::Malformed),
            ("https:x", UrlError::Malformed),
            ("https://x:70000/", UrlError::Malformed),
            ("https://x:a/", UrlError::Malformed),
            ("https://x\r\ny/", UrlError::Malformed),
            ("https://[::g]/", UrlError::Malformed),
        ] {
            assert_eq!(base.join(reference).unwrap_err(), error, "{reference}");
        }
    }

    #[test]
    fn origins() {
        let same = |a: &str, b: &str| Url::parse(a).unwrap().same_origin(&Url::parse(b).unwrap());
        assert!(same("https://a/x", "https://A:443/y?z"));
        assert!(!same("https://a/", "https://a:444/"));
        assert!(!same("https://a/", "http://a:443/"));
        assert!(!same("https://a/", "https://a.b/"));
    }

    #[test]
    fn queries_are_added_and_never_shown() {
        let mut url = Url::parse("https://a/token?x=1").unwrap();
        url.push_query("scope", "repository:a/b:pull,push");
        assert_eq!(url.full(), "https://a/token?x=1&scope=repository%3Aa%2Fb%3Apull%2Cpush");
        assert_eq!(format!("{url} {url:?}"), "https://a/token https://a/token");
    }
}
