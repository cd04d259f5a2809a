//! Against Debian's docker-registry, with images that skopeo put there.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::fs;
use std::io::Read as _;
use std::path::Path;

use hash::{Algorithm, Digest};
use oci::{Descriptor, Document, Manifest, MediaType, Reference};
use serde_json::json;
use testkit::registry::debian::Server;
use unlade_registry::{Client, Credentials, Error, Options, Places};

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
    let server = Server::start("", tempfile::tempdir().unwrap()).unwrap();
    server.put(directory.path(), "a/oci:latest", &["--preserve-digests"]).unwrap();
    server.put(directory.path(), "a/docker:v1", &["--format=v2s2"]).unwrap();
    let client = Client::new(Options::default()).unwrap();
    pull(&client, &server.name("a/oci").parse().unwrap(), &layers);
    let docker = client.manifest(&server.name("a/docker:v1").parse().unwrap()).unwrap();
    let docker_type = "application/vnd.docker.distribution.manifest.v2+json";
    assert_eq!(docker.media_type, Some(MediaType::parse(docker_type)));
}

#[test]
fn basic_over_tls() {
    let directory = tempfile::tempdir().unwrap();
    let layers = layout(directory.path());
    let (server, root) = Server::start_closed("user", "pass:word").unwrap();
    server
        .put(directory.path(), "a/b:latest", &["--preserve-digests", "--dest-creds=user:pass:word"])
        .unwrap();
    let reference: Reference = server.name("a/b").parse().unwrap();

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
