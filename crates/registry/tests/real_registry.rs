//! Against Debian's docker-registry, with images that skopeo put there.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::fs;
use std::io::Read as _;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hash::{Algorithm, Digest};
use oci::{Descriptor, Document, Manifest, MediaType, Reference};
use serde_json::json;
use testkit::tools;
use unlade_registry::{Client, Credentials, Error, Options, Places};

/// A registry of its own, with what it stores.
struct Server {
    child: Child,
    port: u16,
    directory: tempfile::TempDir,
}

impl Server {
    /// Starts one whose configuration's `http` and `auth` are these.
    fn start(extra: &str, directory: tempfile::TempDir) -> Server {
        // The port is free now; should somebody take it in between, the registry does not start.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let root = directory.path().join("data");
        let config = format!(
            "version: 0.1\nlog: {{level: warn}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n\
             http:\n  addr: 127.0.0.1:{port}\n{extra}\n",
            root.display()
        );
        let path = directory.path().join("config.yml");
        fs::write(&path, config).unwrap();
        let log = fs::File::create(directory.path().join("log")).unwrap();
        let child = tools::command("docker-registry")
            .arg("serve")
            .arg(&path)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut server = Server { child, port, directory };
        let start = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            let log = fs::read_to_string(server.directory.path().join("log")).unwrap();
            assert!(server.child.try_wait().unwrap().is_none(), "the registry did not start: {log}");
            assert!(start.elapsed() < Duration::from_secs(20), "the registry does not answer: {log}");
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }

    fn reference(&self, name: &str) -> Reference {
        format!("localhost:{}/{name}", self.port).parse().unwrap()
    }

    /// Copies the layout at `layout` to `name`.
    fn put(&self, layout: &Path, name: &str, arguments: &[&str]) {
        let mut skopeo = tools::command("skopeo");
        skopeo.args(["copy", "--quiet", "--dest-tls-verify=false"]).args(arguments);
        skopeo.arg(format!("oci:{}:latest", layout.display()));
        skopeo.arg(format!("docker://localhost:{}/{name}", self.port));
        tools::run(&mut skopeo).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An image of two layers as an OCI layout, and its layers' bytes.
fn layout(directory: &Path) -> Vec<Vec<u8>> {
    let blobs = directory.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let put = |bytes: &[u8], media_type: &str| {
        let digest = Digest::sha256(bytes);
        fs::write(blobs.join(digest.hex()), bytes).unwrap();
        json!({"mediaType": media_type, "digest": digest.to_string(), "size": bytes.len()})
    };
    // Zero blocks are the end of a tar, and so is anything behind them.
    let layers: Vec<Vec<u8>> = [1 << 10, 3 << 20]
        .iter()
        .enumerate()
        .map(|(number, size)| {
            let noise = (0..*size as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8);
            let mut bytes = vec![0; 1024];
            bytes.push(number as u8);
            bytes.extend(noise);
            bytes
        })
        .collect();
    let tar = "application/vnd.oci.image.layer.v1.tar";
    let descriptors: Vec<_> = layers.iter().map(|layer| put(layer, tar)).collect();
    let diff_ids: Vec<_> = layers.iter().map(|layer| Digest::sha256(layer).to_string()).collect();
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    let config = put(config.to_string().as_bytes(), "application/vnd.oci.image.config.v1+json");
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MediaType::OCI_MANIFEST, "config": config, "layers": descriptors,
    });
    let mut manifest = put(manifest.to_string().as_bytes(), MediaType::OCI_MANIFEST);
    manifest["annotations"] = json!({Descriptor::REF_NAME: "latest"});
    let index = json!({"schemaVersion": 2, "manifests": [manifest]});
    fs::write(directory.join("index.json"), index.to_string()).unwrap();
    fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    layers
}

/// Pulls all of an image and compares it with what was put there.
fn pull(client: &Client, reference: &Reference, layers: &[Vec<u8>]) {
    let fetched = client.manifest(reference).unwrap();
    let Document::Manifest(manifest) = Document::parse(&fetched.bytes, fetched.media_type.as_ref()).unwrap()
    else {
        panic!("not a manifest: {fetched:?}");
    };
    let Manifest { config, layers: descriptors, .. } = *manifest;
    let bytes = client.document(reference, &config).unwrap();
    assert_eq!(Digest::of(Algorithm::Sha256, &bytes), config.digest);
    assert_eq!(descriptors.len(), layers.len());
    for (descriptor, layer) in descriptors.iter().zip(layers) {
        for offset in [0, 1, layer.len() / 2, layer.len() - 1, layer.len()] {
            let mut bytes = Vec::new();
            let mut blob = client.blob(reference, descriptor, offset as u64).unwrap();
            blob.read_to_end(&mut bytes).unwrap();
            assert!(bytes == layer[offset..], "from {offset}");
        }
    }
    // By digest it is the same, and another digest is not there.
    assert_eq!(client.manifest(&reference.with_digest(fetched.digest)).unwrap().bytes, fetched.bytes);
    let absent = reference.with_digest(Digest::sha256(b"absent"));
    let error = client.manifest(&absent).unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
    assert_eq!(
        error.to_string(),
        format!(
            "manifest {absent} was not found: {} answered 404 (MANIFEST_UNKNOWN: manifest unknown)",
            absent.host()
        )
    );
}

#[test]
fn plain_http() {
    let directory = tempfile::tempdir().unwrap();
    let layers = layout(directory.path());
    let server = Server::start("", tempfile::tempdir().unwrap());
    server.put(directory.path(), "a/oci:latest", &["--preserve-digests"]);
    server.put(directory.path(), "a/docker:v1", &["--format=v2s2"]);
    let client = Client::new(Options::default()).unwrap();
    pull(&client, &server.reference("a/oci"), &layers);
    let docker = client.manifest(&server.reference("a/docker:v1")).unwrap();
    let docker_type = "application/vnd.docker.distribution.manifest.v2+json";
    assert_eq!(docker.media_type, Some(MediaType::parse(docker_type)));
}

#[test]
fn basic_over_tls() {
    let directory = tempfile::tempdir().unwrap();
    let layers = layout(directory.path());
    let home = tempfile::tempdir().unwrap();
    let file = |name: &str| home.path().join(name);

    let mut htpasswd = tools::command("htpasswd");
    let users = tools::run(htpasswd.args(["-Bbn", "user", "pass:word"])).unwrap();
    fs::write(file("htpasswd"), users).unwrap();
    certificates(home.path());
    let extra = format!(
        "  tls: {{certificate: {}, key: {}}}\nauth: {{htpasswd: {{realm: test, path: {}}}}}",
        file("server.pem").display(),
        file("server.key").display(),
        file("htpasswd").display(),
    );
    let root = fs::read(file("ca.pem")).unwrap();
    let server = Server::start(&extra, home);
    server.put(directory.path(), "a/b:latest", &["--preserve-digests", "--dest-creds=user:pass:word"]);
    let reference = server.reference("a/b");

    let logins = tempfile::tempdir().unwrap();
    let config = logins.path().join("config.json");
    let login = |password: &str| {
        let port = server.port;
        let auths =
            json!({"auths": {format!("localhost:{port}"): {"username": "user", "password": password}}});
        fs::write(&config, auths.to_string()).unwrap();
        Credentials::from_places(Places { files: vec![config.clone()], helpers: None })
    };
    let trusting = Options { extra_roots: vec![root], ..Options::default() };
    let host = reference.host();

    let options = Options { credentials: login("pass:word"), ..trusting.clone() };
    pull(&Client::new(options).unwrap(), &reference, &layers);
    let insecure =
        Options { insecure: vec![host.into()], credentials: login("pass:word"), ..Options::default() };
    pull(&Client::new(insecure).unwrap(), &reference, &layers);

    let denied = format!("access to manifest {reference} is denied: {host} answered 401");
    let said = " (UNAUTHORIZED: authentication required)";
    let client = Client::new(Options { credentials: login("wrong"), ..trusting.clone() }).unwrap();
    assert_eq!(client.manifest(&reference).unwrap_err().to_string(), format!("{denied}{said}"));
    let client = Client::new(trusting).unwrap();
    assert_eq!(
        client.manifest(&reference).unwrap_err().to_string(),
        format!("{denied}{said}; there are no credentials for it")
    );
    // Loopback as well: what speaks TLS must be known, and is not spoken to without.
    let client = Client::new(Options::default()).unwrap();
    assert_eq!(
        client.manifest(&reference).unwrap_err().to_string(),
        format!(
            "manifest {reference}: {host}: its certificate is not trusted: it comes from an unknown authority"
        )
    );
}

/// A private authority, and a server's certificate from it.
fn certificates(directory: &Path) {
    let openssl = |arguments: &str| {
        let mut command: Command = tools::command("openssl");
        command.current_dir(directory).args(arguments.split(' '));
        tools::run(&mut command).unwrap();
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(&format!("req -x509 {key} -keyout ca.key -out ca.pem -subj /CN=test-authority -days 2"));
    openssl(&format!("req {key} -keyout server.key -out server.csr -subj /CN=localhost"));
    fs::write(directory.join("names"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n").unwrap();
    openssl(
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem",
    );
}
