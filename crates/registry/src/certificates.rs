//! Certificates: whom we trust, and who we are to a registry that wants to see one (containers-certs.d(5)).

use std::env;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey};

/// Directories that hold a directory `HOST[:PORT]` for each registry with certificates of its own. The first
/// in which there is one for the registry decides. The default is none.
#[derive(Debug, Clone, Default)]
pub struct CertificateDirectories(pub Vec<PathBuf>);

impl CertificateDirectories {
    /// Where Podman, skopeo and Docker look: `$XDG_CONFIG_HOME/containers/certs.d` (`~/.config`),
    /// `/etc/containers/certs.d`, `/etc/docker/certs.d`. The last two not on Windows.
    pub fn from_env() -> CertificateDirectories {
        CertificateDirectories::from_variables(|name| env::var_os(name), host::CONFIGURATION)
    }

    fn from_variables(
        variable: impl Fn(&str) -> Option<OsString>,
        system: Option<&str>,
    ) -> CertificateDirectories {
        let variable = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let own = variable("XDG_CONFIG_HOME")
            .or_else(|| Some(variable("HOME").or_else(|| variable("USERPROFILE"))?.join(".config")));
        let own = own.map(|directory| directory.join("containers/certs.d"));
        let system = system.into_iter().map(Path::new);
        let system =
            system.flat_map(|system| ["containers/certs.d", "docker/certs.d"].map(|name| system.join(name)));
        CertificateDirectories(own.into_iter().chain(system).collect())
    }

    /// The directory for a registry. Docker's own is known by its name, and by its API's.
    pub(crate) fn of(&self, authority: &str) -> Result<Option<PathBuf>, CertificateError> {
        let names = match authority {
            "registry-1.docker.io" => vec!["docker.io", authority],
            _ => vec![authority],
        };
        for directory in &self.0 {
            for path in names.iter().map(|name| directory.join(name)) {
                match path.metadata() {
                    Ok(_) => return Ok(Some(path)),
                    // Not every host lets a name have a colon.
                    Err(error)
                        if matches!(
                            error.kind(),
                            ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidFilename
                        ) => {}
                    Err(cause) => return Err(CertificateError::new(&path, Fault::Io(cause))),
                }
            }
        }
        Ok(None)
    }
}

/// What lies in a registry's directory.
pub(crate) struct Certificates {
    /// Authorities to trust beside all others: `*.crt`.
    pub(crate) roots: Vec<Certificate<'static>>,
    /// What to show: `NAME.cert`, and its key, `NAME.key`.
    pub(crate) own: Option<ClientCert>,
}

impl Certificates {
    /// Reads all of it.
    pub(crate) fn read(directory: &Path) -> Result<Certificates, CertificateError> {
        let failed = |cause| CertificateError::new(directory, Fault::Io(cause));
        let entries = std::fs::read_dir(directory).map_err(failed)?;
        let mut files = entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(failed)?;
        files.sort();
        let with = |extension: &'static str| {
            files.iter().filter(move |file| file.extension().is_some_and(|found| found == extension))
        };
        let mut roots = Vec::new();
        for file in with("crt") {
            roots.extend(
                read(file)
                    .and_then(|pem| authorities(&pem))
                    .map_err(|fault| CertificateError::new(file, fault))?,
            );
        }
        for file in with("key") {
            let certificate = file.with_extension("cert");
            if !files.contains(&certificate) {
                return Err(CertificateError::new(file, Fault::NoCertificate(certificate)));
            }
        }
        let mut own: Option<(&Path, ClientCert)> = None;
        for file in with("cert") {
            let key = file.with_extension("key");
            if !files.contains(&key) {
                return Err(CertificateError::new(file, Fault::NoKey(key)));
            }
            if let Some((first, _)) = own {
                return Err(CertificateError::new(file, Fault::Second(first.into())));
            }
            own = Some((file, identity(file, &key)?));
        }
        Ok(Certificates { roots, own: own.map(|(_, own)| own) })
    }
}

fn read(file: &Path) -> Result<Vec<u8>, Fault> {
    std::fs::read(file).map_err(Fault::Io)
}

/// The certificates in a PEM file, of which at least one must be there, each fit to vouch for others.
pub(crate) fn authorities(pem: &[u8]) -> Result<Vec<Certificate<'static>>, Fault> {
    let found = certificates(pem)?;
    let mut store = rustls::RootCertStore::empty();
    for certificate in &found {
        let der = CertificateDer::from_slice(certificate.der());
        store.add(der).map_err(|error| Fault::Invalid(format!("a certificate in it is invalid: {error}")))?;
    }
    Ok(found)
}

fn certificates(pem: &[u8]) -> Result<Vec<Certificate<'static>>, Fault> {
    let mut found = Vec::new();
    for item in ureq::tls::parse_pem(pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| Fault::Invalid(error.to_string()))? {
            found.push(certificate);
        }
    }
    if found.is_empty() { Err(Fault::Empty("certificate")) } else { Ok(found) }
}

/// A client certificate with its chain, and the key that belongs to it.
fn identity(certificate: &Path, key: &Path) -> Result<ClientCert, CertificateError> {
    let at = |file: &Path| {
        let file = file.to_path_buf();
        move |fault| CertificateError { file, fault }
    };
    let chain = read(certificate).and_then(|pem| certificates(&pem)).map_err(at(certificate))?;
    // What the parser says of a key that it cannot read may quote it.
    let pem = read(key).map_err(at(key))?;
    let found = PrivateKey::from_pem(&pem).map_err(|_| at(key)(Fault::Empty("private key")))?;
    let der = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| at(key)(Fault::Empty("private key")))?;
    let shown = chain.iter().map(|certificate| CertificateDer::from(certificate.der().to_vec())).collect();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    rustls::sign::CertifiedKey::from_der(shown, der, &provider).map_err(|error| {
        let cause = match error {
            rustls::Error::InconsistentKeys(_) => {
                format!("the key does not belong to {}", certificate.display())
            }
            error => error.to_string(),
        };
        at(key)(Fault::Invalid(cause))
    })?;
    Ok(ClientCert::new_with_certs(&chain, found))
}

/// Why a registry's certificates are of no use.
#[derive(Debug, thiserror::Error)]
#[error("{}: {fault}", .file.display())]
pub(crate) struct CertificateError {
    file: PathBuf,
    fault: Fault,
}

impl CertificateError {
    fn new(file: &Path, fault: Fault) -> CertificateError {
        CertificateError { file: file.into(), fault }
    }
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("{0}")]
    Io(std::io::Error),
    #[error("there is no {0} in it")]
    Empty(&'static str),
    #[error("{0}")]
    Invalid(String),
    #[error("a client certificate needs its key in {} (an authority's is called NAME.crt)", .0.display())]
    NoKey(PathBuf),
    #[error("a key needs its client certificate in {}", .0.display())]
    NoCertificate(PathBuf),
    #[error("a second client certificate, beside {}: only one can be shown", .0.display())]
    Second(PathBuf),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_directory_decides() {
        for (variables, expected) in [
            (&[("HOME", "/h")][..], "/h/.config/containers/certs.d"),
            (&[("HOME", "/h"), ("XDG_CONFIG_HOME", "/c")], "/c/containers/certs.d"),
        ] {
            let variable = |name: &str| {
                variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
            };
            let found = CertificateDirectories::from_variables(variable, Some("/etc")).0;
            let expected = [expected, "/etc/containers/certs.d", "/etc/docker/certs.d"];
            assert_eq!(found, expected.map(PathBuf::from), "{variables:?}");
        }
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        for name in ["b/a.example", "b/a.example:5000", "c/a.example", "c/docker.io"] {
            std::fs::create_dir_all(path(name)).unwrap();
        }
        let directories = CertificateDirectories(vec![path("a"), path("b"), path("c")]);
        for (authority, expected) in [
            ("a.example", Some("b/a.example")),
            ("a.example:5000", Some("b/a.example:5000")),
            ("a.example:443", None),
            ("registry-1.docker.io", Some("c/docker.io")),
        ] {
            assert_eq!(directories.of(authority).unwrap(), expected.map(path), "{authority}");
        }
    }
}
