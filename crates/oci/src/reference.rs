//! Names of images, normalised as Docker does.

use std::fmt;
use std::str::FromStr;

use hash::{Digest, DigestError};

/// The registry that names without one mean.
const DEFAULT_REGISTRY: &str = "docker.io";
/// Where that registry's API answers.
const DEFAULT_REGISTRY_HOST: &str = "registry-1.docker.io";
/// What a tag may have, by the distribution specification.
const TAG_MAX: usize = 128;
/// What a whole name may have, by the distribution specification.
const NAME_MAX: usize = 255;

/// An image's name in full: registry, repository, and a tag, a digest or both.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why text is no [`Reference`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Nothing to name.
    #[error("empty image name")]
    Empty,
    /// The name behind the registry does not follow the grammar.
    #[error("invalid repository name \"{}\": it has lower-case letters, digits, and single . _ - or __ between them", .0.escape_debug())]
    Repository(String),
    /// 64 hexadecimal digits, which tools take for the ID of an image, and Docker refuses as a name.
    #[error("invalid image name \"{0}\": it looks like an image's ID; a digest is written NAME@sha256:{0}")]
    Identifier(String),
    /// The registry is no host name with an optional port.
    #[error("invalid registry \"{}\"", .0.escape_debug())]
    Registry(String),
    /// The tag does not follow the grammar.
    #[error("invalid tag \"{}\": at most 128 letters, digits, _ . -, not starting with . or -", .0.escape_debug())]
    Tag(String),
    /// What stands behind `@` is no digest.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// Longer than any registry takes.
    #[error("image name of {0} bytes is longer than 255")]
    TooLong(usize),
}

impl Reference {
    /// Host, and port if it has one: `docker.io`, `localhost:5000`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The name inside the registry: `library/alpine`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, if there is one. A reference that was given neither tag nor digest has `latest`.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if there is one; it decides over the tag.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Host and port at which the registry's API answers.
    pub fn host(&self) -> &str {
        if self.registry == DEFAULT_REGISTRY { DEFAULT_REGISTRY_HOST } else { &self.registry }
    }

    /// What the API calls the wanted manifest: the digest, else the tag.
    pub fn identifier(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.clone(),
            (None, None) => unreachable!("parsing gives one or the other"),
        }
    }

    /// The same repository, another manifest.
    pub fn with_digest(&self, digest: Digest) -> Reference {
        Reference { digest: Some(digest), ..self.clone() }
    }

    /// The same repository, a manifest by its digest alone.
    pub fn at_digest(&self, digest: Digest) -> Reference {
        Reference { tag: None, digest: Some(digest), ..self.clone() }
    }

    /// The same repository, another tag.
    pub fn at_tag(&self, tag: &str) -> Result<Reference, ReferenceError> {
        if !is_tag(tag) {
            return Err(ReferenceError::Tag(tag.into()));
        }
        Ok(Reference { tag: Some(tag.into()), digest: None, ..self.clone() })
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    /// Reads `[docker://]NAME[:TAG][@DIGEST]`.
    fn from_str(text: &str) -> Result<Reference, ReferenceError> {
        let text = text.strip_prefix("docker://").unwrap_or(text);
        if text.is_empty() {
            return Err(ReferenceError::Empty);
        }
        if text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(ReferenceError::Identifier(text.into()));
        }
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest.parse::<Digest>()?)),
            None => (text, None),
        };
        // A colon behind the last slash starts the tag; one before it starts a port.
        let (name, tag) = match name.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (name, None),
        };
        if let Some(tag) = tag
            && !is_tag(tag)
        {
            return Err(ReferenceError::Tag(tag.into()));
        }
        let (registry, repository) = match name.split_once('/') {
            Some((first, rest)) if is_host(first) => (first, rest),
            _ => (DEFAULT_REGISTRY, name),
        };
        let registry = if registry == "index.docker.io" { DEFAULT_REGISTRY } else { registry };
        if !valid_registry(registry) {
            return Err(ReferenceError::Registry(registry.into()));
        }
        let repository = match repository {
            official if registry == DEFAULT_REGISTRY && !official.contains('/') => {
                format!("library/{official}")
            }
            other => other.into(),
        };
        if repository.len() + registry.len() + 1 > NAME_MAX {
            return Err(ReferenceError::TooLong(repository.len() + registry.len() + 1));
        }
        if !repository.split('/').all(is_component) {
            return Err(ReferenceError::Repository(name.into()));
        }
        let tag = match (tag, digest) {
            (Some(tag), _) => Some(tag.to_string()),
            (None, None) => Some("latest".to_string()),
            (None, Some(_)) => None,
        };
        Ok(Reference { registry: registry.into(), repository, tag, digest })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// Docker's rule for what the first component is: a host has a dot or a port, or is `localhost`, or has an
/// upper-case letter, which a repository cannot have.
fn is_host(first: &str) -> bool {
    first.contains(['.', ':']) || first == "localhost" || first.bytes().any(|b| b.is_ascii_uppercase())
}

fn valid_registry(registry: &str) -> bool {
    let (host, port) = match registry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((v6, port)) => {
            let hexadecimal = !v6.is_empty() && v6.bytes().all(|b| b.is_ascii_hexdigit() || b == b':');
            (if hexadecimal { "v6" } else { "" }, port.strip_prefix(':').or(port.is_empty().then_some("0")))
        }
        None => match registry.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (registry, Some("0")),
        },
    };
    let label = |label: &str| {
        let bytes = label.as_bytes();
        !label.is_empty()
            && bytes.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-')
            && bytes[0] != b'-'
            && bytes[bytes.len() - 1] != b'-'
    };
    let number = |port: &str| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok();
    host.split('.').all(label) && port.is_some_and(number)
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_component(component: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = component.as_bytes();
    let (Some(&first), Some(&last)) = (bytes.first(), bytes.last()) else { return false };
    if !alphanumeric(first) || !alphanumeric(last) {
        return false;
    }
    let mut separators = component.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    separators.all(|s| matches!(s, "" | "." | "_" | "__") || s.bytes().all(|b| b == b'-'))
}

/// `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`
fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    tag.len() <= TAG_MAX
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_normalised_as_docker_does() {
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for (text, full) in [
            ("alpine", "docker.io/library/alpine:latest".to_string()),
            ("docker://alpine:3.20", "docker.io/library/alpine:3.20".into()),
            ("user/app", "docker.io/user/app:latest".into()),
            ("index.docker.io/alpine", "docker.io/library/alpine:latest".into()),
            ("localhost/x", "localhost/x:latest".into()),
            ("localhost:5000/x", "localhost:5000/x:latest".into()),
            ("localhost:5000/x/y:t", "localhost:5000/x/y:t".into()),
            ("[::1]:5000/x", "[::1]:5000/x:latest".into()),
            ("localhost:5000", "docker.io/library/localhost:5000".into()),
            ("localhost", "docker.io/library/localhost:latest".into()),
            ("docker.io/alpine", "docker.io/library/alpine:latest".into()),
            ("docker.io/user/app", "docker.io/user/app:latest".into()),
            ("a.b/x", "a.b/x:latest".into()),
            ("a.b", "docker.io/library/a.b:latest".into()),
            ("LOCAL/x", "LOCAL/x:latest".into()),
            ("127.0.0.1/x", "127.0.0.1/x:latest".into()),
            ("a-b.c-d:443/x", "a-b.c-d:443/x:latest".into()),
            ("x:_A.b-c", "docker.io/library/x:_A.b-c".into()),
            ("0/0", "docker.io/0/0:latest".into()),
            ("sha256/x:y", "docker.io/sha256/x:y".into()),
            (&hex[1..], format!("docker.io/library/{}:latest", &hex[1..])),
            (&format!("user/{hex}"), format!("docker.io/user/{hex}:latest")),
            ("ghcr.io/a/b__c/d---e", "ghcr.io/a/b__c/d---e:latest".into()),
            (&format!("alpine@sha256:{hex}"), format!("docker.io/library/alpine@sha256:{hex}")),
            (&format!("a.b/c:t@sha256:{hex}"), format!("a.b/c:t@sha256:{hex}")),
        ] {
            let reference: Reference = text.parse().unwrap();
            assert_eq!(reference.to_string(), full);
            assert_eq!(full.parse::<Reference>(), Ok(reference), "again");
        }
        assert_eq!("alpine".parse::<Reference>().unwrap().host(), "registry-1.docker.io");
    }

    #[test]
    fn what_is_no_reference() {
        for text in [
            "",
            "docker://",
            "Alpine",
            "a//b",
            "/a",
            "a/",
            "-a",
            "a..b",
            "a___b",
            "a:",
            "a:-t",
            "a:t t",
            "a@",
            "a@sha256:xyz",
            "a@md5",
            "exa_mple.com/x",
            "host:port/x",
            "a/../b",
            "localhost:99999/x",
            "localhost:/x",
            "localhost:+5/x",
            "https://a.b/x",
            "docker://docker://x",
            "a.b/X",
            "a/B",
            "a:b:c",
            "a:b/c:d",
            "a._b",
            "a.-b",
            "a-/b",
            "_a",
            "a/b@",
            "@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "a@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855@x",
            "a@sha256:E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "-a.b/x",
            "a..b/x",
            "a.b./x",
            " a",
            "a\n",
            "[::1]x/y",
            "[]/y",
            "[fe80::1%eth0]/y",
            "a b",
            "é",
            "[::1/x",
            "x.y/",
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
        let (long, name) = ("t".repeat(128), "n".repeat(255 - "docker.io/library/".len()));
        for (text, fits) in [
            (format!("a:{long}"), true),
            (format!("a:{long}t"), false),
            (name.clone(), true),
            (name + "n", false),
        ] {
            assert_eq!(text.parse::<Reference>().is_ok(), fits, "{text}");
        }
    }
}
