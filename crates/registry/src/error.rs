//! What went wrong, with whom, and about what.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use hash::{Digest, Mismatch};

use crate::{CredentialsError, RegistriesError};

/// Why a registry did not give what was asked for. `what` names the thing asked for, `host` whoever answered:
/// the registry, its token server, or a host that it redirected to. No variant holds a secret or the query of
/// a URL, which may hold one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It does not exist, or does not exist for this user: many registries do not tell the difference.
    #[error("{what} was not found: {host} answered 404{said}")]
    NotFound {
        /// What was asked for.
        what: String,
        /// Who answered.
        host: String,
        /// The answer's text.
        said: Said,
    },
    /// The registry or its token server wants somebody else.
    #[error("access to {what} is denied: {host} answered {status}{}{said}{}", for_scope(.scope), without_login(*.anonymous))]
    Denied {
        /// What was asked for.
        what: String,
        /// Who answered.
        host: String,
        /// 401 or 403.
        status: u16,
        /// The scope of the token that was refused, where there was one.
        scope: Option<String>,
        /// Whether there were no credentials to send.
        anonymous: bool,
        /// The answer's text.
        said: Said,
    },
    /// The registry has had enough of us for now, and all attempts are used up.
    #[error("{what}: {host} answered 429, too many requests{}{said}", and_wait(.retry_after))]
    RateLimited {
        /// What was asked for.
        what: String,
        /// Who answered.
        host: String,
        /// How long the registry wants us to wait, if it says so.
        retry_after: Option<Duration>,
        /// The answer's text.
        said: Said,
    },
    /// Any other status than the one that was hoped for.
    #[error("{what}: {host} answered {status}{said}")]
    Status {
        /// What was asked for.
        what: String,
        /// Who answered.
        host: String,
        /// The status.
        status: u16,
        /// The answer's text.
        said: Said,
    },
    /// There is no connection, or it broke.
    #[error("{what}: {host}: {cause}")]
    Network {
        /// What was asked for.
        what: String,
        /// To whom the connection was.
        host: String,
        /// What the network said.
        cause: String,
    },
    /// The host answers in a way that cannot be right or is not safe to follow.
    #[error("{what}: {host} {violation}")]
    Violation {
        /// What was asked for.
        what: String,
        /// Who answered.
        host: String,
        /// What is wrong with it.
        violation: Violation,
    },
    /// The bytes are not those that the reference or descriptor names.
    #[error("{what}: {host} sent other bytes: {mismatch}")]
    Mismatch {
        /// What was asked for.
        what: String,
        /// Who answered.
        host: String,
        /// The difference.
        mismatch: Mismatch,
    },
    /// A document is too large to be looked at.
    #[error("{what} has more than {limit} bytes, the limit for documents")]
    TooLarge {
        /// What was asked for.
        what: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// It failed again and again.
    #[error("{last}; gave up after {attempts} attempts")]
    GaveUp {
        /// How often it was tried.
        attempts: u32,
        /// How the last attempt failed.
        last: Box<Error>,
    },
    /// The bytes that were to be sent could not be had.
    #[error("{what}: the bytes cannot be read")]
    Unreadable {
        /// What was to be sent.
        what: String,
        /// Why not.
        #[source]
        cause: io::Error,
    },
    /// The configuration forbids it.
    #[error("{what} may not be used: {} blocks {prefix}", .file.display())]
    Blocked {
        /// What was asked for.
        what: String,
        /// What all forbidden names begin with.
        prefix: String,
        /// The file that forbids it.
        file: PathBuf,
    },
    /// The configuration says that an image is where no image can be.
    #[error("{what} is {there} by {}, which is no image name: {cause}", .file.display())]
    Elsewhere {
        /// What was asked for.
        what: String,
        /// Where it would be, escaped and cut.
        there: String,
        /// The file that says so.
        file: PathBuf,
        /// What is wrong with the name.
        cause: String,
    },
    /// Neither the place itself nor one of its mirrors gave it.
    #[error("{last}; before that, {}", mirrors_failed(.mirrors))]
    Everywhere {
        /// How the place itself failed, which was asked last.
        last: Box<Error>,
        /// How those failed that were asked before.
        mirrors: Vec<Error>,
    },
    /// It is not known where images are.
    #[error(transparent)]
    Registries(#[from] RegistriesError),
    /// There are credentials, but they cannot be read.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// A certificate that the caller gave to be trusted is none.
    #[error("invalid root certificate: {0}")]
    Root(String),
}

/// An answer that is not followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A redirect without a place to go to.
    #[error("redirects to nowhere")]
    RedirectNowhere,
    /// A redirect to something that is no URL of HTTP.
    #[error("redirects to an invalid url: {0}")]
    RedirectUrl(String),
    /// Redirect after redirect.
    #[error("redirects more than {0} times")]
    RedirectLimit(usize),
    /// A redirect to where we were before.
    #[error("redirects in a circle")]
    RedirectCircle,
    /// A redirect that would give up encryption.
    #[error("redirects from https to http (at {0})")]
    RedirectDowngrade(String),
    /// A redirect to plain HTTP elsewhere.
    #[error("redirects to {0} over http, which is for loopback and insecure registries alone")]
    RedirectPlain(String),
    /// 401 without anything to answer with.
    #[error("answered 401 without a challenge of a known scheme")]
    NoChallenge,
    /// A token server that must not be asked.
    #[error("names an invalid token realm: {0}")]
    Realm(String),
    /// A token server that would see secrets pass unencrypted.
    #[error("names a token realm over http (at {0})")]
    RealmPlain(String),
    /// A token answer without a token.
    #[error("answered without a usable token")]
    NoToken,
    /// `Docker-Content-Digest` is not the digest of the bytes.
    #[error("sent a document with another digest than its header says: header {stated}, bytes {found}")]
    DigestHeader {
        /// What the header says, escaped and cut.
        stated: String,
        /// The digest of the bytes.
        found: Digest,
    },
    /// `Docker-Content-Digest` is not the digest of the blob that was asked for.
    #[error("offers {stated} instead of {expected}")]
    BlobDigest {
        /// What the header says, escaped and cut.
        stated: String,
        /// The descriptor's digest.
        expected: Digest,
    },
    /// A manifest that was sent, and that the registry calls by another digest.
    #[error("took the manifest, but says that its digest is {stated} instead of {expected}")]
    Stored {
        /// The registry's.
        stated: String,
        /// The digest of the bytes that were sent.
        expected: Digest,
    },
    /// A list of referrers that is none.
    #[error("lists the referrers in a way that cannot be read: {0}")]
    Referrers(String),
    /// A list of referrers that others write all the time.
    #[error("has another list each time that it is written")]
    Overwritten,
    /// An upload that was begun, but has no place to send the bytes to.
    #[error("names no place to send the bytes to")]
    NoLocation,
    /// More or fewer bytes arrived than can have.
    #[error("says that it has the bytes \"{0}\", which cannot be")]
    UploadRange(String),
    /// `Content-Length` or the total of `Content-Range` is not the size in the descriptor.
    #[error("states a size of {stated} bytes instead of {expected}")]
    Size {
        /// The descriptor's size.
        expected: u64,
        /// The host's.
        stated: u64,
    },
    /// Part of the bytes, though all were asked for.
    #[error("sent part of the bytes, though all were asked for")]
    Range,
    /// The entity tag is another than before the connection broke.
    #[error("has other bytes now than before the connection broke (its entity tag changed)")]
    Changed,
}

/// What a registry says about an error in its own words: code and message, escaped and cut, since they are a
/// stranger's text. Shown with a space and parentheses around it, or as nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// The first error of the answer, such as `MANIFEST_UNKNOWN: manifest unknown`.
    pub text: Option<String>,
}

/// How much of a stranger's text goes into an error, in characters.
const SAID_MAX: usize = 200;

impl Said {
    /// Reads the body of an error: `{"errors": [{"code": …, "message": …}]}` by the distribution
    /// specification, `{"details": …}` from Docker's token server.
    pub(crate) fn parse(body: &[u8]) -> Said {
        let Ok(value) = serde_json::from_slice::<serde_json::Value>(body) else { return Said::default() };
        let first = &value["errors"][0];
        let text = |value: &serde_json::Value| value.as_str().filter(|s| !s.is_empty()).map(String::from);
        let text = match (text(&first["code"]), text(&first["message"])) {
            (Some(code), Some(message)) => Some(format!("{code}: {message}")),
            (code, message) => code.or(message).or_else(|| text(&value["details"])),
        };
        Said { text: text.map(|text| quote(&text)) }
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.as_ref().map_or(Ok(()), |text| write!(f, " ({text})"))
    }
}

/// A stranger's text, fit to be shown: escaped and cut.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted: String = text.chars().take(SAID_MAX).flat_map(char::escape_debug).collect();
    if text.chars().nth(SAID_MAX).is_some() {
        quoted.push('…');
    }
    quoted
}

fn for_scope(scope: &Option<String>) -> String {
    scope.as_ref().map_or(String::new(), |scope| format!(" for scope \"{}\"", quote(scope)))
}

fn without_login(anonymous: bool) -> &'static str {
    if anonymous { "; there are no credentials for it" } else { "" }
}

fn mirrors_failed(mirrors: &[Error]) -> String {
    let s = if mirrors.len() == 1 { "" } else { "s" };
    let said: Vec<_> = mirrors.iter().map(Error::to_string).collect();
    format!("its mirror{s} failed: {}", said.join("; "))
}

fn and_wait(retry_after: &Option<Duration>) -> String {
    retry_after.map_or(String::new(), |wait| format!(", and asks to wait {} s", wait.as_secs()))
}

impl From<Error> for io::Error {
    fn from(error: Error) -> io::Error {
        let kind = match &error {
            Error::NotFound { .. } => io::ErrorKind::NotFound,
            Error::Denied { .. } => io::ErrorKind::PermissionDenied,
            Error::Mismatch { .. } | Error::Violation { .. } => io::ErrorKind::InvalidData,
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_registries() {
        for (body, shown) in [
            (r#"{"errors":[{"code":"DENIED","message":"no","detail":{}}]}"#, " (DENIED: no)"),
            (r#"{"errors":[{"code":"DENIED"}]}"#, " (DENIED)"),
            (r#"{"errors":[{"message":"a\u001b[31m\nb"}]}"#, " (a\\u{1b}[31m\\nb)"),
            (r#"{"details":"incorrect username or password"}"#, " (incorrect username or password)"),
            (r#"{"errors":[]}"#, ""),
            (r#"{"errors":7}"#, ""),
            ("<html>", ""),
            ("", ""),
        ] {
            assert_eq!(Said::parse(body.as_bytes()).to_string(), shown, "{body}");
        }
        let long = format!(r#"{{"errors":[{{"message":"{}"}}]}}"#, "é".repeat(5000));
        assert_eq!(Said::parse(long.as_bytes()).to_string().chars().count(), SAID_MAX + 4);
    }
}
