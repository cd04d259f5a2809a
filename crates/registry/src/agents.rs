//! What makes connections: one agent for each way in which certificates and proxies may be wanted.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::Error;
use crate::certificates::{self, CertificateDirectories, Certificates};
use crate::hosts::Trust;
use crate::proxy::Proxies;
use crate::url::Url;

/// How long making a connection may take, TLS included, before the next address or attempt has its turn.
const CONNECT_MAX: Duration = Duration::from_secs(30);
/// Connections kept open to one host: as many as blobs are likely to be fetched at once.
const IDLE_CONNECTIONS: usize = 16;

/// All agents. Each keeps its connections open, and none is used for what it was not made for.
pub(crate) struct Agents {
    pub(crate) user_agent: String,
    pub(crate) idle_timeout: Duration,
    /// Whom we trust, whatever the host.
    pub(crate) roots: Vec<Certificate<'static>>,
    pub(crate) directories: CertificateDirectories,
    pub(crate) proxies: Proxies,
    pub(crate) made: Mutex<HashMap<Way, Agent>>,
}

/// What an agent is made for.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Way {
    unverified: bool,
    proxy: Option<ureq::Proxy>,
    /// Where the registry's certificates lie, if it has any: its authorities vouch for its token server and for
    /// hosts that it redirects to as well.
    registry: Option<PathBuf>,
    /// Where the certificates of the host itself lie. Only to that host is its client certificate shown.
    host: Option<PathBuf>,
}

impl Agents {
    /// The agent that asks for `url`, and the proxy that it goes through, in words. The error says what stands
    /// in the way, which will not change.
    pub(crate) fn of(&self, trust: Trust<'_>, url: &Url) -> Result<(Agent, Option<String>), String> {
        let authority = url.authority();
        let directory = |authority: &str| self.directories.of(authority).map_err(|error| error.to_string());
        let proxy = self.proxies.of(url);
        let way = Way {
            unverified: trust.may_be_unverified(&authority),
            proxy: proxy.map(|proxy| proxy.get().cloned()).transpose()?,
            registry: directory(trust.registry)?,
            host: directory(&authority)?,
        };
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let agent = match made.get(&way) {
            Some(agent) => agent.clone(),
            None => {
                let agent = self.make(&way)?;
                made.insert(way, agent.clone());
                agent
            }
        };
        Ok((agent, proxy.map(ToString::to_string)))
    }

    fn make(&self, way: &Way) -> Result<Agent, String> {
        let mut roots = self.roots.clone();
        let mut own = None;
        for directory in [&way.registry, &way.host].into_iter().flatten() {
            let found = Certificates::read(directory).map_err(|error| error.to_string())?;
            roots.extend(found.roots);
            own = found.own.filter(|_| Some(directory) == way.host.as_ref());
        }
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::Specific(Arc::new(roots)))
            .client_cert(own)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .disable_verification(way.unverified)
            .build();
        let idle_timeout = self.idle_timeout;
        let config = Agent::config_builder()
            .tls_config(tls)
            .proxy(way.proxy.clone())
            .user_agent(&self.user_agent)
            // A blob is the bytes as they lie in the registry; no one may compress them on the way.
            .accept_encoding("identity")
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections(2 * IDLE_CONNECTIONS)
            .max_idle_connections_per_host(IDLE_CONNECTIONS)
            .input_buffer_size(128 << 10)
            .timeout_resolve(Some(CONNECT_MAX.min(idle_timeout)))
            .timeout_connect(Some(CONNECT_MAX.min(idle_timeout)))
            .timeout_send_request(Some(idle_timeout))
            // Sending one may take as long as well, if every write gets rid of something.
            .timeout_per_write(Some(idle_timeout))
            .timeout_recv_response(Some(idle_timeout))
            // A body may take as long as it likes, but every read of it must bring something.
            .timeout_per_read(Some(idle_timeout))
            .build();
        Ok(config.new_agent())
    }
}

/// The system's roots are looked for where the platform has them, or where `SSL_CERT_FILE` and `SSL_CERT_DIR`
/// say. A machine without any, such as a bare container, gets Mozilla's, which are built in.
pub(crate) fn roots(extra: &[Vec<u8>]) -> Result<Vec<Certificate<'static>>, Error> {
    let system = rustls_native_certs::load_native_certs().certs;
    let mut roots: Vec<_> = system.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
    if roots.is_empty() {
        roots =
            webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().map(|der| Certificate::from_der(der)).collect();
    }
    for pem in extra {
        roots.extend(certificates::authorities(pem).map_err(|fault| Error::Root(fault.to_string()))?);
    }
    Ok(roots)
}
