//! Docker's `config.json` and Podman's `auth.json`, which are one format with two sets of habits.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use oci::Reference;
use serde::Deserialize;

use super::{CredentialsError, IDENTITY_USER, Login, Secret};

/// One such file.
pub(super) struct File {
    path: PathBuf,
    content: Content,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Content {
    auths: Option<BTreeMap<String, Option<Entry>>>,
    cred_helpers: Option<BTreeMap<String, String>>,
    creds_store: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
    registrytoken: String,
}

impl File {
    /// `None` where there is no such file.
    pub(super) fn read(path: &Path) -> Result<Option<File>, CredentialsError> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(cause) => return Err(CredentialsError::Io { file: path.into(), cause }),
        };
        // `docker logout` may leave an empty file.
        if bytes.trim_ascii().is_empty() {
            return Ok(None);
        }
        // The parser's own words may quote a password.
        let content = serde_json::from_slice(&bytes).map_err(|error| CredentialsError::Malformed {
            file: path.into(),
            line: error.line(),
            column: error.column(),
        })?;
        Ok(Some(File { path: path.into(), content }))
    }

    /// The helpers to ask, in this order.
    pub(super) fn helpers(&self, registry: &str) -> Vec<&str> {
        let own = self.content.cred_helpers.iter().flatten();
        let own = own.filter(|(key, _)| place(key) == canonical(registry)).map(|(_, name)| name.as_str());
        let general = self.content.creds_store.as_deref();
        own.take(1).chain(general).filter(|name| !name.is_empty()).collect()
    }

    /// The login under the longest key that the repository's name starts with: Podman's keys may be
    /// `HOST/NAMESPACE/REPOSITORY` or any part of it from the left.
    pub(super) fn login(&self, reference: &Reference) -> Result<Option<Login>, CredentialsError> {
        let name = format!("{}/{}", canonical(reference.registry()), reference.repository());
        let mut logins = Vec::new();
        for (key, entry) in self.content.auths.iter().flatten() {
            let place = place(key);
            let within =
                name.strip_prefix(&place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
            let Some(entry) = entry.as_ref().filter(|_| within) else { continue };
            let login = entry.login().ok_or_else(|| CredentialsError::Login {
                file: self.path.clone(),
                key: crate::error::quote(key),
            })?;
            logins.extend(login.map(|login| (place.len(), login)));
        }
        // The first among equals: `max_by_key` would take the last.
        Ok(logins.into_iter().rev().max_by_key(|(length, _)| *length).map(|(_, login)| login))
    }
}

impl Entry {
    /// `Some(None)` for an entry that only says that a helper has it; `None` for a malformed one.
    fn login(&self) -> Option<Option<Login>> {
        let (mut user, mut password) = (self.username.clone(), self.password.clone());
        if !self.auth.is_empty() {
            let bytes = STANDARD.decode(self.auth.trim()).ok()?;
            let text = String::from_utf8(bytes).ok()?;
            let (name, secret) = text.split_once(':')?;
            // Old versions of Docker padded with zero bytes.
            (user, password) = (name.into(), secret.trim_end_matches('\0').into());
        }
        if !self.registrytoken.is_empty() {
            return Some(Some(Login::Bearer(Secret::new(self.registrytoken.clone()))));
        }
        if !self.identitytoken.is_empty() {
            let user = if user.is_empty() { IDENTITY_USER.into() } else { user };
            return Some(Some(Login::Identity { user, token: Secret::new(self.identitytoken.clone()) }));
        }
        Some((!user.is_empty() || !password.is_empty()).then(|| Login::new(user, password)))
    }
}

/// What a key stands for. Docker's keys are hosts, or URLs of APIs long gone: `https://index.docker.io/v1/`.
pub(super) fn place(key: &str) -> String {
    let url = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://"));
    let place = match url {
        Some(url) => url.split('/').next().unwrap_or_default(),
        None => key.trim_end_matches('/'),
    };
    let place = ["/v1", "/v2"].iter().find_map(|version| place.strip_suffix(version)).unwrap_or(place);
    let (host, rest) = place.split_once('/').map_or((place, ""), |(host, _)| (host, &place[host.len()..]));
    format!("{}{rest}", canonical(host))
}

/// Docker's own registry has several names, and logins for all of them are the same.
pub(super) fn canonical(host: &str) -> &str {
    match host {
        "index.docker.io" | "registry-1.docker.io" => "docker.io",
        host => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: &str) -> Result<Option<File>, CredentialsError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.json");
        std::fs::write(&path, content).unwrap();
        File::read(&path)
    }

    fn auths(entries: &[(&str, &str)]) -> File {
        let entries: Vec<_> = entries
            .iter()
            .map(|(key, user)| format!(r#""{key}":{{"auth":"{}"}}"#, STANDARD.encode(format!("{user}:p"))))
            .collect();
        file(&format!(r#"{{"auths":{{{}}}}}"#, entries.join(","))).unwrap().unwrap()
    }

    #[test]
    fn the_longest_key_decides() {
        for (keys, name, expected) in [
            (&["https://index.docker.io/v1/"][..], "alpine", "https://index.docker.io/v1/"),
            (&["docker.io"], "alpine", "docker.io"),
            (&["index.docker.io"], "me/app", "index.docker.io"),
            (&["a.io", "a.io/x", "a.io/x/y"], "a.io/x/y", "a.io/x/y"),
            (&["a.io", "a.io/x", "a.io/x/y"], "a.io/x/z", "a.io/x"),
            (&["a.io", "a.io/x"], "a.io/xx", "a.io"),
            (&["https://a.io/v2/"], "a.io/x", "https://a.io/v2/"),
            (&["a.io/v1/"], "a.io/x", "a.io/v1/"),
            (&["http://a.io:5000"], "a.io:5000/x", "http://a.io:5000"),
            (&["a.io"], "a.io:5000/x", "anonymous"),
            (&["b.io", "sub.a.io", "a.i"], "a.io/x", "anonymous"),
            (&["docker.io/library"], "alpine", "docker.io/library"),
            (&["registry-1.docker.io"], "alpine", "registry-1.docker.io"),
            (&["registry-1.docker.io"], "registry-1.docker.io/a/b", "registry-1.docker.io"),
            (&["https://index.docker.io/v1/"], "registry-1.docker.io/a/b", "https://index.docker.io/v1/"),
            (&[], "alpine", "anonymous"),
        ] {
            // Each key's user is the key with its colons gone.
            let entries: Vec<_> = keys.iter().map(|key| (*key, key.replace(':', ""))).collect();
            let entries: Vec<_> = entries.iter().map(|(key, user)| (*key, user.as_str())).collect();
            let login = auths(&entries).login(&name.parse().unwrap()).unwrap();
            let user = login.as_ref().map_or("anonymous", Login::account);
            assert_eq!(user, expected.replace(':', ""), "{keys:?} {name}");
        }
    }

    #[test]
    fn entries_of_all_kinds() {
        for (entry, expected) in [
            (r#"{"auth":"dTpwOnE="}"#, r#"Some(Basic { user: "u", password: (secret) })"#),
            (r#"{"auth":"dTpwAAA="}"#, r#"Some(Basic { user: "u", password: (secret) })"#),
            (r#"{"username":"u","password":"p"}"#, r#"Some(Basic { user: "u", password: (secret) })"#),
            (r#"{"auth":"PHRva2VuPjp0"}"#, r#"Some(Identity { user: "<token>", token: (secret) })"#),
            (r#"{"identitytoken":"t"}"#, r#"Some(Identity { user: "<token>", token: (secret) })"#),
            (r#"{"auth":"dTo=","identitytoken":"t"}"#, r#"Some(Identity { user: "u", token: (secret) })"#),
            (r#"{"registrytoken":"t"}"#, "Some(Bearer((secret)))"),
            ("{}", "None"),
            ("null", "None"),
            (r#"{"email":"a@b"}"#, "None"),
        ] {
            let file = file(&format!(r#"{{"auths":{{"a.io":{entry}}}}}"#)).unwrap().unwrap();
            let login = file.login(&"a.io/x".parse().unwrap()).unwrap();
            assert_eq!(format!("{login:?}"), expected, "{entry}");
        }
    }

    #[test]
    fn zero_bytes_behind_a_password_go() {
        let file = file(r#"{"auths":{"a.io":{"auth":"dTpwAAA="}}}"#).unwrap().unwrap();
        let login = file.login(&"a.io/x".parse().unwrap()).unwrap();
        assert_eq!(login, Some(Login::new("u".into(), "p".into())));
    }

    #[test]
    fn malformed_files_are_named_but_not_quoted() {
        for content in [r#"{"auths":"hunter2"}"#, r#"{"auths":{"a.io":{"auth":["hunter2"]}}}"#, "hunter2"] {
            let error = file(content).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains("config.json at line 1, column "), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        for auth in ["hunter2!", "aHVudGVyMg==", "/w=="] {
            let file = file(&format!(r#"{{"auths":{{"a.io":{{"auth":"{auth}"}}}}}}"#)).unwrap().unwrap();
            let error = file.login(&"a.io/x".parse().unwrap()).unwrap_err().to_string();
            assert!(error.starts_with("malformed login for \"a.io\" in "), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
            // Nobody else's login suffers from it.
            assert!(file.login(&"b.io/x".parse().unwrap()).unwrap().is_none());
        }
        assert!(file("").unwrap().is_none());
        assert!(file("{}").unwrap().unwrap().login(&"b.io/x".parse().unwrap()).unwrap().is_none());
        assert!(File::read(Path::new("/nonexistent/config.json")).unwrap().is_none());
    }

    #[test]
    fn helpers_for_one_registry_come_first() {
        let file = file(
            r#"{"credHelpers":{"a.io":"one","https://index.docker.io/v1/":"hub","b.io":""},"credsStore":"all"}"#,
        );
        let file = file.unwrap().unwrap();
        for (name, helpers) in [
            ("a.io/x", &["one", "all"][..]),
            ("alpine", &["hub", "all"]),
            ("registry-1.docker.io/a/b", &["hub", "all"]),
            ("b.io/x", &["all"]),
            ("c.io/x", &["all"]),
        ] {
            assert_eq!(file.helpers(name.parse::<Reference>().unwrap().registry()), helpers, "{name}");
        }
    }
}
