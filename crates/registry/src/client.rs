//! What can be asked of a registry.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hash::{Algorithm, Digest};
use oci::{DOCUMENT_MAX, Descriptor, MediaType, Reference};

use crate::agents::{Agents, roots};
use crate::auth::Auth;
use crate::blob::Blob;
use crate::certificates::CertificateDirectories;
use crate::credentials::Credentials;
use crate::error::{Error, Violation, quote};
use crate::hosts::Hosts;
use crate::proxy::Proxies;
use crate::registries::{Configuration, Registries, Site};
use crate::retry::{Attempts, Backoff, OnRetry, Policy, Sleep};
use crate::search::Search;
use crate::session::{Ask, Session, network, violates};
use crate::wire::{Answer, Wire};

/// A mirror is tried no more often than this: there is somebody else to ask.
const MIRROR_ATTEMPTS: u32 = 2;

/// How a [`Client`] behaves.
#[derive(Clone)]
pub struct Options {
    /// Registries, as `HOST` or `HOST:PORT`, that may be spoken to over HTTP or have a certificate that
    /// nobody vouches for. Loopback may always be spoken to over HTTP.
    pub insecure: Vec<String>,
    /// Who we are.
    pub credentials: Credentials,
    /// Certificates to trust beside the system's, each as PEM.
    pub extra_roots: Vec<Vec<u8>>,
    /// Where certificates for single registries lie.
    pub certificates: CertificateDirectories,
    /// Which files say where images really are, and where they are mirrored.
    pub registries: Configuration,
    /// Through whom registries are reached.
    pub proxies: Proxies,
    /// A connection on which nothing comes for so long is given up. There is no limit to the whole.
    pub idle_timeout: Duration,
    /// How often something is tried before it is given up; what brings bytes along starts anew.
    pub attempts: u32,
    /// How long to wait between attempts.
    pub backoff: Backoff,
    /// Most bytes of a blob that one request brings up, if there is a limit: proxies may have one.
    pub chunk: Option<u64>,
    /// What waits. Tests do not.
    pub sleep: Sleep,
    /// Is told of every attempt that failed and is followed by another.
    pub on_retry: Option<OnRetry>,
    /// The `User-Agent` header.
    pub user_agent: String,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            insecure: Vec::new(),
            credentials: Credentials::none(),
            extra_roots: Vec::new(),
            certificates: CertificateDirectories::default(),
            registries: Configuration::default(),
            proxies: Proxies::default(),
            idle_timeout: Duration::from_secs(60),
            attempts: 5,
            backoff: Backoff::default(),
            chunk: None,
            sleep: Arc::new(std::thread::sleep),
            on_retry: None,
            user_agent: concat!("unlade/", env!("CARGO_PKG_VERSION")).into(),
        }
    }
}

/// A client for any number of registries. It keeps connections and tokens, and threads may share it; a clone
/// is the same client.
#[derive(Clone)]
pub struct Client {
    pub(crate) session: Arc<Session>,
    pub(crate) chunk: Option<u64>,
    /// Which of a repository's sites has given a manifest.
    pub(crate) known: Arc<Mutex<HashMap<Reference, Site>>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

/// A manifest or index as it was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The document, not parsed.
    pub bytes: Vec<u8>,
    /// What the registry says that it is.
    pub media_type: Option<MediaType>,
    /// The digest of the bytes: the reference's, if it has one.
    pub digest: Digest,
}

impl Client {
    /// Makes a client; nothing is asked yet.
    ///
    /// # Errors
    ///
    /// [`Error::Root`] when an extra root is no certificate, [`Error::Registries`] when the configuration cannot
    /// be read.
    pub fn new(options: Options) -> Result<Client, Error> {
        let wire = Wire::new(Agents {
            roots: roots(&options.extra_roots)?,
            user_agent: options.user_agent,
            idle_timeout: options.idle_timeout,
            directories: options.certificates,
            proxies: options.proxies,
            made: Mutex::default(),
        });
        let policy = Policy {
            attempts: options.attempts.max(1),
            backoff: options.backoff,
            sleep: options.sleep,
            on_retry: options.on_retry,
        };
        let auth = Auth::new(options.credentials);
        let hosts = Hosts::new(options.insecure, Registries::read(&options.registries)?);
        let mirrors = Policy { attempts: policy.attempts.min(MIRROR_ATTEMPTS), ..policy.clone() };
        let session = Arc::new(Session { wire, hosts, auth, policy, mirrors });
        Ok(Client { session, chunk: options.chunk, known: Arc::default() })
    }

    /// The document that a reference names: by its digest, else by its tag. Bytes with another digest than
    /// the reference's, or than the one in the answer's header, are an error.
    pub fn manifest(&self, reference: &Reference) -> Result<Fetched, Error> {
        let (fetched, site) = self.somewhere(reference, |site| self.manifest_at(reference, site))?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(reference.clone(), site);
        Ok(fetched)
    }

    pub(crate) fn manifest_at(&self, reference: &Reference, site: &Site) -> Result<Fetched, Error> {
        let what = format!("manifest {reference}");
        let path = format!("manifests/{}", site.reference.identifier());
        let ask = Ask { accept: Some(accept()), ..Ask::at(site, what, path) };
        let (answer, bytes) = self.whole(&ask)?;
        let host = answer.url.authority();
        let algorithm = reference.digest().map_or(Algorithm::Sha256, Digest::algorithm);
        let digest = Digest::of(algorithm, &bytes);
        if let Some(expected) = reference.digest() {
            hash::verify(&bytes, expected, None).map_err(|mismatch| Error::Mismatch {
                what: ask.what.clone(),
                host: host.clone(),
                mismatch,
            })?;
        }
        check_digest_header(&answer, &bytes).map_err(|violation| violates(&ask.what, &host, violation))?;
        let media_type = answer.header("content-type").filter(|text| !text.is_empty()).map(MediaType::parse);
        Ok(Fetched { bytes, media_type, digest })
    }

    /// A document that another one describes: a config, or a manifest in an index. The bytes are verified.
    pub fn document(&self, reference: &Reference, descriptor: &Descriptor) -> Result<Vec<u8>, Error> {
        let manifest = matches!(descriptor.media_type, MediaType::Manifest(_) | MediaType::Index(_));
        let (noun, place) = if manifest { ("manifest", "manifests") } else { ("blob", "blobs") };
        let what = format!("{noun} {} of {}", descriptor.digest, name(reference));
        if descriptor.size > DOCUMENT_MAX {
            return Err(Error::TooLarge { what, limit: DOCUMENT_MAX });
        }
        let path = format!("{place}/{}", descriptor.digest);
        let (bytes, _) = self.somewhere(reference, |site| {
            let ask = Ask { accept: manifest.then(accept), ..Ask::at(site, what.clone(), path.clone()) };
            let (answer, bytes) = self.whole(&ask)?;
            let checked = hash::verify(&bytes, &descriptor.digest, Some(descriptor.size));
            let host = answer.url.authority();
            checked.map_err(|mismatch| Error::Mismatch { what: ask.what, host, mismatch })?;
            Ok(bytes)
        })?;
        Ok(bytes)
    }

    /// The bytes of a blob from `offset` on, as a reader that outlives broken connections. They are not
    /// verified: whoever has all of them checks the digest. Nothing is read beyond the descriptor's size.
    pub fn blob(&self, reference: &Reference, descriptor: &Descriptor, offset: u64) -> Result<Blob, Error> {
        let what = format!("blob {} of {}", descriptor.digest, name(reference));
        let search = self.search(reference)?;
        let ask = Ask::at(search.site(), what, format!("blobs/{}", descriptor.digest));
        Blob::open(self.session.clone(), ask, search, descriptor, offset)
    }

    /// Asks the registry of a reference to let us in, and says whether it wanted to know who we are. Nothing is
    /// fetched.
    pub fn enter(&self, reference: &Reference) -> Result<bool, Error> {
        let ask = Ask::new(reference, format!("registry {}", reference.registry()), String::new());
        let mut attempts = Attempts::default();
        loop {
            match self.session.enter(&ask) {
                Ok(asked) => return Ok(asked),
                Err(failure) => attempts.failed(&self.session.policy, failure)?,
            }
        }
    }

    /// Asks the sites of a repository one after the other, and says which one answered.
    pub(crate) fn somewhere<T>(
        &self,
        reference: &Reference,
        ask: impl Fn(&Site) -> Result<T, Error>,
    ) -> Result<(T, Site), Error> {
        let mut search = self.search(reference)?;
        loop {
            match ask(search.site()) {
                Ok(found) => return Ok((found, search.site().clone())),
                Err(error) => search.failed(error, &self.session.policy)?,
            }
        }
    }

    /// The sites of a repository. The one that has given the manifest has the rest of the image, too.
    fn search(&self, reference: &Reference) -> Result<Search, Error> {
        let sites = self.session.hosts.registries().sites(reference)?;
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(reference).cloned();
        let first = known.or_else(|| sites.first().cloned());
        let first = first.unwrap_or_else(|| Site { reference: reference.clone(), mirror: false });
        Ok(Search::new(first, sites))
    }

    /// Fetches something small to its end; a connection that breaks before is an attempt that failed.
    fn whole(&self, ask: &Ask) -> Result<(Answer, Vec<u8>), Error> {
        let mut attempts = Attempts::default();
        loop {
            let mut answer = self.session.get(ask, &mut attempts)?;
            match answer.body.read_all(DOCUMENT_MAX) {
                Ok(bytes) if bytes.len() as u64 > DOCUMENT_MAX => {
                    return Err(Error::TooLarge { what: ask.what.clone(), limit: DOCUMENT_MAX });
                }
                Ok(bytes) => return Ok((answer, bytes)),
                Err(lost) => {
                    let failure = network(&ask.what, &answer.url.authority(), lost);
                    attempts.failed(self.session.policy_of(ask), failure)?;
                }
            }
        }
    }
}

/// Every kind of manifest, and last anything else: a registry that has only what we cannot read shall give
/// it, so that we can say what it is.
pub(crate) fn accept() -> String {
    MediaType::accepted().chain(["*/*"]).collect::<Vec<_>>().join(", ")
}

/// Registry and repository.
pub(crate) fn name(reference: &Reference) -> String {
    format!("{}/{}", reference.registry(), reference.repository())
}

/// The bytes decide what the digest is; a header that says otherwise is a sign that something on the way
/// changed them.
fn check_digest_header(answer: &Answer, bytes: &[u8]) -> Result<(), Violation> {
    let Some(stated) = answer.header("docker-content-digest").filter(|text| !text.is_empty()) else {
        return Ok(());
    };
    let found = match stated.parse::<Digest>() {
        Ok(stated) => {
            let found = Digest::of(stated.algorithm(), bytes);
            if found == stated {
                return Ok(());
            }
            found
        }
        // One that we cannot compute says nothing.
        Err(hash::DigestError::Unsupported(_)) => return Ok(()),
        Err(hash::DigestError::Malformed(_)) => Digest::sha256(bytes),
    };
    Err(Violation::DigestHeader { stated: quote(stated), found })
}
