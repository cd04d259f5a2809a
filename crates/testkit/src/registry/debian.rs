//! Debian's registry server on loopback: a judge that nobody here wrote.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::tokens::{ISSUER, SERVICE, TokenServer};
use crate::tools;

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A registry of its own, with what it stores; both are gone when it is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it listens on loopback.
    pub port: u16,
    directory: tempfile::TempDir,
}

impl Server {
    /// Starts one that keeps its things in `directory`. `extra` goes on in the `http` section of its
    /// configuration, indented by two, and may add other sections.
    pub fn start(extra: &str, directory: tempfile::TempDir) -> io::Result<Server> {
        // The port is free now; should somebody take it in between, the registry does not start.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let root = directory.path().join("data");
        let config = format!(
            "version: 0.1\nlog: {{level: warn}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n\
             http:\n  addr: 127.0.0.1:{port}\n{extra}\n",
            root.display()
        );
        let path = directory.path().join("config.yml");
        fs::write(&path, config)?;
        let log = fs::File::create(directory.path().join("log"))?;
        let mut serve = tools::command("docker-registry");
        let child = serve.arg("serve").arg(&path).stdout(Stdio::null()).stderr(log).spawn()?;
        let mut server = Server { child, port, directory };
        let start = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if server.child.try_wait()?.is_some() || start.elapsed() > PATIENCE {
                let log = fs::read_to_string(server.directory.path().join("log"))?;
                return Err(io::Error::other(format!("the registry does not answer: {log}")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    /// Starts one over TLS, with a private authority and one user; gives also the authority's certificate.
    pub fn start_closed(user: &str, password: &str) -> io::Result<(Server, Vec<u8>)> {
        let home = tempfile::tempdir()?;
        let mut htpasswd = tools::command("htpasswd");
        let users = tools::run(htpasswd.args(["-Bbn", user, password]))?;
        fs::write(home.path().join("htpasswd"), users)?;
        certificates(home.path())?;
        let extra = format!(
            "  tls: {{certificate: {0}/server.pem, key: {0}/server.key}}\n\
             auth: {{htpasswd: {{realm: test, path: {0}/htpasswd}}}}",
            home.path().display(),
        );
        let authority = fs::read(home.path().join("ca.pem"))?;
        Ok((Server::start(&extra, home)?, authority))
    }

    /// Starts one over TLS, with a private authority, for whoever shows a certificate of that authority. The
    /// authority is `ca.pem` in `home`, and the clients' certificate `client.pem` with its key `client.key`.
    pub fn start_for_clients(home: &Path) -> io::Result<Server> {
        certificates(home)?;
        let extra = format!(
            "  tls: {{certificate: {0}/server.pem, key: {0}/server.key, clientcas: [{0}/ca.pem]}}",
            home.display()
        );
        Server::start(&extra, tempfile::tempdir()?)
    }

    /// Starts one over TLS, with the private authority `ca.pem` in `home`, that takes the tokens of a server.
    pub fn start_with_tokens(home: &Path, tokens: &TokenServer) -> io::Result<Server> {
        certificates(home)?;
        fs::write(home.join("tokens.pem"), tokens.certificate())?;
        let extra = format!(
            "  tls: {{certificate: {0}/server.pem, key: {0}/server.key}}\n\
             auth: {{token: {{realm: \"{1}\", service: {SERVICE}, issuer: {ISSUER}, rootcertbundle: {0}/tokens.pem}}}}",
            home.display(),
            tokens.realm(),
        );
        Server::start(&extra, tempfile::tempdir()?)
    }

    /// An image's name in it, in full.
    pub fn name(&self, repository: &str) -> String {
        format!("localhost:{}/{repository}", self.port)
    }

    /// Copies the layout at `layout`, its tag `latest`, to `repository` with skopeo and these arguments.
    pub fn put(&self, layout: &Path, repository: &str, arguments: &[&str]) -> io::Result<()> {
        let mut skopeo = tools::command("skopeo");
        skopeo.args(["copy", "--quiet", "--dest-tls-verify=false"]).args(arguments);
        skopeo.arg(format!("oci:{}:latest", layout.display()));
        skopeo.arg(format!("docker://{}", self.name(repository)));
        tools::run(&mut skopeo).map(drop)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes in `directory` a private authority (`ca.pem`), a server's certificate from it (`server.pem`,
/// `server.key`) for localhost, and one for clients (`client.pem`, `client.key`).
fn certificates(directory: &Path) -> io::Result<()> {
    let openssl = |arguments: &str| {
        let mut command = tools::command("openssl");
        command.current_dir(directory).args(arguments.split(' '));
        tools::run(&mut command).map(drop)
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(&format!("req -x509 {key} -keyout ca.key -out ca.pem -subj /CN=test-authority -days 2"))?;
    openssl(&format!("req {key} -keyout server.key -out server.csr -subj /CN=localhost"))?;
    fs::write(directory.join("names"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n")?;
    let sign = "-CA ca.pem -CAkey ca.key -CAcreateserial -days 2";
    openssl(&format!("x509 -req -in server.csr {sign} -extfile names -out server.pem"))?;
    openssl(&format!("req {key} -keyout client.key -out client.csr -subj /CN=client"))?;
    fs::write(directory.join("use"), "extendedKeyUsage=clientAuth\n")?;
    openssl(&format!("x509 -req -in client.csr {sign} -extfile use -out client.pem"))
}
