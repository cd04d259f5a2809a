//! Pushing to Debian's docker-registry; skopeo reads what arrived.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{Cursor, Read};
use std::sync::Arc;

use hash::Digest;
use oci::{Descriptor, MediaType, Reference};
use serde_json::json;
use testkit::line::{Cut, Line};
use testkit::registry::debian::Server;
use testkit::tools;
use unlade_registry::{Client, Error, Options};

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

fn noise(count: usize) -> Vec<u8> {
    (0..count as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

/// Pushes a blob; says whether it had to be sent.
fn push(client: &Client, reference: &Reference, bytes: &[u8], from: Option<&str>) -> Result<bool, Error> {
    let media_type = MediaType::parse(LAYER);
    let descriptor = Descriptor::new(media_type, Digest::sha256(bytes), bytes.len() as u64);
    let Some(upload) = client.upload(reference, &descriptor, from)? else { return Ok(false) };
    let mut open =
        |offset: u64| Ok(Box::new(Cursor::new(bytes[offset as usize..].to_vec())) as Box<dyn Read>);
    upload.send(&mut open).map(|()| true)
}

/// Pushes an image of such layers, which are no tarballs.
fn push_image(client: &Client, reference: &Reference, layers: &[Vec<u8>]) -> Digest {
    let digest = |bytes: &[u8]| Digest::sha256(bytes).to_string();
    let diff_ids: Vec<String> = layers.iter().map(|layer| digest(layer)).collect();
    let config = json!({
        "architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids},
    })
    .to_string();
    push(client, reference, config.as_bytes(), None).unwrap();
    for layer in layers {
        assert!(push(client, reference, layer, None).unwrap());
        assert!(!push(client, reference, layer, None).unwrap(), "it is there");
    }
    let describe = |media_type: &str, bytes: &[u8]| json!({"mediaType": media_type, "digest": digest(bytes), "size": bytes.len()});
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MediaType::OCI_MANIFEST, "config": describe(CONFIG, config.as_bytes()),
        "layers": layers.iter().map(|layer| describe(LAYER, layer)).collect::<Vec<_>>(),
    });
    let media_type = MediaType::parse(MediaType::OCI_MANIFEST);
    client.put_manifest(reference, &media_type, manifest.to_string().as_bytes()).unwrap().digest
}

fn skopeo(arguments: &[&str]) -> Vec<u8> {
    tools::run(tools::command("skopeo").args(arguments)).unwrap()
}

#[test]
fn skopeo_reads_what_arrived() {
    let server = Server::start("", tempfile::tempdir().unwrap()).unwrap();
    let layers = [noise(1000), noise(5 << 20), noise(20 << 20)];
    for (number, chunk) in [None, Some(1 << 20), Some(3_000_001)].into_iter().enumerate() {
        let client = Client::new(Options { chunk, ..Options::default() }).unwrap();
        let name = server.name(&format!("a/b{number}:v1"));
        let digest = push_image(&client, &name.parse().unwrap(), &layers);
        let image = format!("docker://{name}");
        let raw = skopeo(&["inspect", "--raw", "--tls-verify=false", &image]);
        assert_eq!(Digest::sha256(&raw), digest);
        let copy = tempfile::tempdir().unwrap();
        let layout = format!("oci:{}:x", copy.path().display());
        skopeo(&["copy", "--quiet", "--src-tls-verify=false", "--preserve-digests", &image, &layout]);
        for layer in &layers {
            let path = copy.path().join("blobs/sha256").join(Digest::sha256(layer).hex());
            assert!(&std::fs::read(path).unwrap() == layer);
        }
    }
}

#[test]
fn what_another_repository_has_is_not_sent() {
    let server = Server::start("", tempfile::tempdir().unwrap()).unwrap();
    let client = Client::new(Options::default()).unwrap();
    let layer = noise(3 << 20);
    push_image(&client, &server.name("source:v1").parse().unwrap(), std::slice::from_ref(&layer));
    let other: Reference = server.name("other:v1").parse().unwrap();
    let absent: Reference = server.name("third:v1").parse().unwrap();
    assert!(!push(&client, &other, &layer, Some("source")).unwrap());
    assert!(push(&client, &absent, &layer, Some("no-such")).unwrap());
    let by_digest: Reference = format!("{}@{}", server.name("other"), Digest::sha256(b"x")).parse().unwrap();
    assert!(!client.has_manifest(&by_digest).unwrap());
}

/// Bytes of the layer that goes over lines which break.
const LARGE: usize = 100 << 20;

/// Pushes an image with a large layer over a line that breaks; skopeo reads what arrived over a whole one. Gives how
/// many more bytes than the layer has went over the line, and how often it broke.
fn push_over(cut: Cut, chunk: Option<u64>) -> (u64, u64) {
    let server = Server::start("", tempfile::tempdir().unwrap()).unwrap();
    let line = Line::to(server.port, cut);
    let client = Client::new(Options { chunk, sleep: Arc::new(|_| {}), ..Options::default() }).unwrap();
    let layer = noise(LARGE);
    push_image(&client, &line.name("a/b:v1").parse().unwrap(), std::slice::from_ref(&layer));
    let copy = tempfile::tempdir().unwrap();
    let layout = format!("oci:{}:x", copy.path().display());
    let image = format!("docker://{}", server.name("a/b:v1"));
    skopeo(&["copy", "--quiet", "--src-tls-verify=false", "--preserve-digests", &image, &layout]);
    let path = copy.path().join("blobs/sha256").join(Digest::sha256(&layer).hex());
    assert!(std::fs::read(path).unwrap() == layer);
    (line.sent() - LARGE as u64, line.cuts())
}

/// What is more than the layer: the config, the manifest, and the heads of requests.
const BESIDE: u64 = 64 << 10;

#[test]
fn a_line_that_breaks_between_requests_costs_nothing() {
    let (more, cuts) = push_over(Cut::Answered(20 << 20), Some(4 << 20));
    assert!(cuts >= 4, "{cuts}");
    assert!(more < BESIDE, "{more} bytes were sent twice");
}

/// This registry forgets an upload that was cut in the middle of a request. What went before is lost, once: the next
/// requests are so short, and each alone on its connection, that the line holds.
#[test]
fn a_line_that_breaks_in_a_request_costs_no_more_than_that() {
    const CUT: u64 = 20 << 20;
    let (more, cuts) = push_over(Cut::After(CUT), None);
    assert_eq!(cuts, 1);
    assert!((CUT - BESIDE..CUT + BESIDE).contains(&more), "{more}");
}

/// Whatever it keeps of an upload that stops in the middle, the blob arrives.
#[test]
fn a_reader_that_stops_once() {
    let server = Server::start("", tempfile::tempdir().unwrap()).unwrap();
    let client = Client::new(Options::default()).unwrap();
    let bytes = noise(8 << 20);
    let digest = Digest::sha256(&bytes);
    let reference: Reference = server.name("a/b:v1").parse().unwrap();
    let descriptor = Descriptor::new(MediaType::parse(LAYER), digest, bytes.len() as u64);
    let upload = client.upload(&reference, &descriptor, None).unwrap().unwrap();
    let mut open = |_| Err(std::io::Error::other("no disk"));
    let error = upload.send(&mut open).unwrap_err();
    assert!(matches!(error, Error::Unreadable { .. }), "{error}");
    assert!(push(&client, &reference, &bytes, None).unwrap());
    let mut found = Vec::new();
    client.blob(&reference, &descriptor, 0).unwrap().read_to_end(&mut found).unwrap();
    assert!(found == bytes);
    // Bytes that are not those of the digest are refused, and nothing has the name.
    let wrong = Descriptor::new(MediaType::parse(LAYER), Digest::sha256(b"other"), bytes.len() as u64);
    let upload = client.upload(&reference, &wrong, None).unwrap().unwrap();
    let mut open =
        |offset: u64| Ok(Box::new(Cursor::new(bytes[offset as usize..].to_vec())) as Box<dyn Read>);
    let error = upload.send(&mut open).unwrap_err().to_string();
    assert!(error.contains("400 (DIGEST_INVALID"), "{error}");
    assert!(client.upload(&reference, &wrong, None).unwrap().is_some());
}
