//! A registry on loopback that does what it is told, bad things above all.
//!
//! It serves what tests put into it, writes down every request, and lets [`Fault`]s change its answers: after
//! the right answer is made, each rule whose path fits may turn it into a wrong one.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hash::Digest;
use serde_json::json;

mod access;
pub mod debian;
pub mod fault;
mod message;
pub(crate) mod serve;
pub mod tokens;
mod uploads;

pub use access::Access;
pub use fault::Fault;
pub use message::{Delivery, Request, Response};
pub use uploads::Habits;

/// The registry. It stops when it is dropped.
pub struct FakeRegistry {
    state: Arc<State>,
    server: serve::Server,
    root: Option<Vec<u8>>,
}

/// What all connections share.
#[derive(Default)]
struct State {
    address: Mutex<Option<SocketAddr>>,
    tls: bool,
    blobs: Mutex<HashMap<String, Vec<u8>>>,
    manifests: Mutex<HashMap<String, (String, Vec<u8>)>>,
    uploads: Mutex<uploads::Uploads>,
    access: Mutex<access::Keeper>,
    cuts: Mutex<Vec<Cut>>,
    rules: Mutex<Vec<Rule>>,
    exchanges: Mutex<Vec<Exchange>>,
}

/// A fault, and when it happens.
struct Rule {
    path: String,
    skip: u32,
    times: u32,
    fault: Fault,
}

/// After how many bytes of a request's body the connection is reset.
struct Cut {
    path: String,
    method: String,
    times: u32,
    after: usize,
}

/// One request and what came of it.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// What was asked.
    pub request: Request,
    /// The status of the answer.
    pub status: u16,
    /// How many bytes of the answer's body were sent.
    pub sent: u64,
}

/// An image in the registry.
#[derive(Debug, Clone)]
pub struct Stored {
    /// The manifest's bytes.
    pub manifest: Vec<u8>,
    /// The manifest's digest.
    pub digest: Digest,
    /// Digest and size of the config.
    pub config: (Digest, u64),
    /// Digest and size of each layer.
    pub layers: Vec<(Digest, u64)>,
}

impl FakeRegistry {
    /// Starts one that speaks HTTP.
    pub fn start() -> FakeRegistry {
        FakeRegistry::serve(None)
    }

    /// Starts one that speaks HTTPS, with a certificate that only [`FakeRegistry::root`] vouches for.
    pub fn start_tls() -> FakeRegistry {
        FakeRegistry::serve(Some(serve::Identity::new()))
    }

    fn serve(identity: Option<serve::Identity>) -> FakeRegistry {
        let root = identity.as_ref().map(|identity| identity.root.clone());
        let state = Arc::new(State { tls: identity.is_some(), ..State::default() });
        let server = serve::Server::start(state.clone(), identity);
        *lock(&state.address) = Some(server.address);
        FakeRegistry { state, server, root }
    }

    /// Host and port: `localhost:PORT`.
    pub fn host(&self) -> String {
        format!("localhost:{}", self.server.address.port())
    }

    /// The registry's URL with `path` behind it.
    pub fn url(&self, path: &str) -> String {
        self.state.url(path)
    }

    /// The certificate to trust, as PEM.
    ///
    /// # Panics
    ///
    /// Where there is no TLS.
    pub fn root(&self) -> Vec<u8> {
        self.root.clone().expect("the registry was started with TLS")
    }

    /// Puts a blob into every repository.
    pub fn put_blob(&self, bytes: &[u8]) -> Digest {
        let digest = Digest::sha256(bytes);
        lock(&self.state.blobs).insert(digest.to_string(), bytes.to_vec());
        digest
    }

    /// Puts a manifest under its digest and a tag into a repository.
    pub fn put_manifest(&self, repository: &str, tag: &str, media_type: &str, bytes: &[u8]) -> Digest {
        let digest = Digest::sha256(bytes);
        for name in [tag, &digest.to_string()] {
            let content = (media_type.to_string(), bytes.to_vec());
            lock(&self.state.manifests).insert(format!("{repository}:{name}"), content);
        }
        digest
    }

    /// Puts an image of these layers, which need be no tarballs, under a tag into a repository.
    pub fn put_image(&self, repository: &str, tag: &str, layers: &[&[u8]]) -> Stored {
        let diff_ids: Vec<_> = layers.iter().map(|layer| Digest::sha256(layer).to_string()).collect();
        let config = json!({
            "architecture": "amd64", "os": "linux", "config": {},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let config = config.to_string().into_bytes();
        let config = (self.put_blob(&config), config.len() as u64);
        let layers: Vec<_> = layers.iter().map(|layer| (self.put_blob(layer), layer.len() as u64)).collect();
        let descriptor = |media_type: &str, (digest, size): (Digest, u64)| {
            json!({
                "mediaType": format!("application/vnd.oci.image.{media_type}"),
                "digest": digest.to_string(),
                "size": size,
            })
        };
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": descriptor("config.v1+json", config),
            "layers": layers.iter().map(|layer| descriptor("layer.v1.tar", *layer)).collect::<Vec<_>>(),
        });
        let manifest = manifest.to_string().into_bytes();
        let digest = self.put_manifest(repository, tag, media_type, &manifest);
        Stored { manifest, digest, config, layers }
    }

    /// Lets the registry take uploads in other ways than by default.
    pub fn take(&self, habits: Habits) {
        lock(&self.state.uploads).habits = habits;
    }

    /// Resets the connections of the next `times` requests of a method, whose path has `path` in it, after so many
    /// bytes of what they send.
    pub fn cut_requests(&self, method: &str, path: &str, times: u32, after: usize) {
        let cut = Cut { path: path.into(), method: method.into(), times, after };
        lock(&self.state.cuts).push(cut);
    }

    /// Forgets all uploads that are under way.
    pub fn forget_uploads(&self) {
        lock(&self.state.uploads).forget();
    }

    /// A blob of a repository.
    pub fn blob(&self, repository: &str, digest: &Digest) -> Option<Vec<u8>> {
        self.state.blob(repository, &digest.to_string())
    }

    /// Media type and bytes of the manifest under a tag or digest of a repository.
    pub fn manifest(&self, repository: &str, name: &str) -> Option<(String, Vec<u8>)> {
        lock(&self.state.manifests).get(&format!("{repository}:{name}")).cloned()
    }

    /// Lets in only whom `access` says.
    pub fn require(&self, access: Access) {
        lock(&self.state.access).access = access;
    }

    /// Makes all tokens given out so far worthless.
    pub fn revoke_tokens(&self) {
        lock(&self.state.access).revoke();
    }

    /// Lets `fault` happen to every answer whose path has `path` in it.
    pub fn always(&self, path: &str, fault: Fault) {
        self.after(path, 0, u32::MAX, fault);
    }

    /// Lets `fault` happen to the next `times` answers whose path has `path` in it.
    pub fn next(&self, path: &str, times: u32, fault: Fault) {
        self.after(path, 0, times, fault);
    }

    /// Lets `skip` answers pass, and `fault` happen to the `times` after those.
    pub fn after(&self, path: &str, skip: u32, times: u32, fault: Fault) {
        lock(&self.state.rules).push(Rule { path: path.into(), skip, times, fault });
    }

    /// Forgets all faults and requests.
    pub fn reset(&self) {
        lock(&self.state.rules).clear();
        lock(&self.state.cuts).clear();
        lock(&self.state.exchanges).clear();
    }

    /// Everything that was asked so far, but for the `/v2/` with which clients find out what we speak.
    pub fn exchanges(&self) -> Vec<Exchange> {
        let exchanges = lock(&self.state.exchanges);
        exchanges.iter().filter(|exchange| exchange.request.path != "/v2/").cloned().collect()
    }
}

impl State {
    fn url(&self, path: &str) -> String {
        let port = lock(&self.address).map_or(0, |address| address.port());
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://localhost:{port}{path}")
    }

    /// The answer to a request, faults included.
    fn answer(&self, request: &Request) -> Response {
        let keeper = &self.access;
        let realm = self.url("/token");
        let mut response = if request.path == "/token" {
            lock(keeper).grant(request)
        } else if let Some(refusal) = lock(keeper).refuse(request, &realm) {
            refusal
        } else {
            self.serve(request)
        };
        let mut faults = Vec::new();
        for rule in lock(&self.rules).iter_mut().filter(|rule| request.path.contains(&rule.path)) {
            if rule.skip > 0 {
                rule.skip -= 1;
            } else if rule.times > 0 {
                rule.times -= 1;
                faults.push(rule.fault.clone());
            }
        }
        for fault in faults {
            fault.apply(request, &mut response);
        }
        response
    }

    /// How many bytes of a request's body are read before the connection ends.
    fn cut(&self, request: &Request) -> Option<usize> {
        let mut cuts = lock(&self.cuts);
        let mut fits =
            cuts.iter_mut().filter(|cut| cut.method == request.method && request.path.contains(&cut.path));
        let cut = fits.find(|cut| cut.times > 0)?;
        cut.times -= 1;
        Some(cut.after)
    }

    fn blob(&self, repository: &str, digest: &str) -> Option<Vec<u8>> {
        let everywhere = lock(&self.blobs).get(digest).cloned();
        everywhere.or_else(|| lock(&self.uploads).blob(repository, digest))
    }

    fn serve(&self, request: &Request) -> Response {
        let mut response = self.serve_whole(request);
        response.delivery.head_only = request.method == "HEAD";
        response
    }

    fn serve_whole(&self, request: &Request) -> Response {
        let Some(path) = request.path.strip_prefix("/v2/") else { return Response::status(404) };
        if path.is_empty() {
            return Response::json(200, &json!({}));
        }
        if let Some((repository, place)) = path.split_once("/blobs/uploads/") {
            return lock(&self.uploads).serve(
                request,
                repository,
                place,
                &self.url(""),
                |repository, digest| {
                    lock(&self.blobs).get(digest).cloned().filter(|_| !repository.is_empty())
                },
            );
        }
        if let Some((repository, name)) = path.split_once("/manifests/") {
            if request.method == "PUT" {
                return self.put(request, repository, name);
            }
            let manifests = lock(&self.manifests);
            return match manifests.get(&format!("{repository}:{name}")) {
                Some((media_type, bytes)) => Response::new(200, bytes.clone())
                    .with("Content-Type", media_type)
                    .with("Docker-Content-Digest", &Digest::sha256(bytes).to_string()),
                None => Response::error(404, "MANIFEST_UNKNOWN", "manifest unknown"),
            };
        }
        if let Some((repository, digest)) = path.split_once("/referrers/") {
            return self.referrers(request, repository, digest);
        }
        if let Some((repository, digest)) = path.split_once("/blobs/") {
            return match self.blob(repository, digest) {
                Some(bytes) => range(request, &bytes)
                    .with("Content-Type", "application/octet-stream")
                    .with("Docker-Content-Digest", digest)
                    .with("ETag", &format!("\"{digest}\"")),
                None => Response::error(404, "BLOB_UNKNOWN", "blob unknown to registry"),
            };
        }
        Response::status(404)
    }
}

/// All bytes, or those that the request's `Range` wants: RFC 9110, section 14.
fn range(request: &Request, bytes: &[u8]) -> Response {
    let start = request.header("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'));
    let Some(start) = start.and_then(|start| start.parse::<usize>().ok()) else {
        return Response::new(200, bytes.to_vec()).with("Accept-Ranges", "bytes");
    };
    let total = bytes.len();
    if start >= total {
        return Response::status(416).with("Content-Range", &format!("bytes */{total}"));
    }
    Response::new(206, bytes[start..].to_vec())
        .with("Content-Range", &format!("bytes {start}-{}/{total}", total - 1))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
