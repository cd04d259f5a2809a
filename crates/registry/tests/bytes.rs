//! Bytes that are not what they should be. Numbers are lines of `docs/hostile-inputs.md`.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{client, fetch, layer, message, noise, reference};
use hash::{Algorithm, Digest};
use oci::{Descriptor, MediaType};
use testkit::registry::fault;
use testkit::registry::{FakeRegistry, Fault};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

#[test]
fn an_image_as_it_should_be() {
    let registry = FakeRegistry::start();
    let content = noise(100_000);
    let image = registry.put_image("a/b", "latest", &[&content]);
    let client = client();
    let fetched = client.manifest(&reference(&registry)).unwrap();
    assert_eq!(fetched.bytes, image.manifest);
    assert_eq!(fetched.digest, image.digest);
    assert_eq!(fetched.media_type, Some(MediaType::parse(MANIFEST)));
    let by_digest = client.manifest(&reference(&registry).with_digest(image.digest)).unwrap();
    assert_eq!(by_digest, fetched);
    let nested = Descriptor::new(MediaType::parse(MANIFEST), image.digest, image.manifest.len() as u64);
    assert_eq!(client.document(&reference(&registry), &nested).unwrap(), image.manifest);
    let config_type = MediaType::parse("application/vnd.oci.image.config.v1+json");
    let config = Descriptor::new(config_type, image.config.0, image.config.1);
    assert_eq!(Digest::sha256(&client.document(&reference(&registry), &config).unwrap()), image.config.0);
    let descriptor = layer(image.layers[0].0, image.layers[0].1);
    for offset in [0, 1, 50_000, 99_999, 100_000] {
        let bytes = fetch(&client, &registry, &descriptor, offset).unwrap();
        assert!(bytes == content[offset as usize..], "from {offset}");
    }
    let asked: Vec<_> = registry.exchanges().into_iter().map(|exchange| exchange.request).collect();
    assert!(asked.iter().all(|request| request.method == "GET"), "102: a HEAD is never needed");
    assert!(asked.iter().all(|request| request.header("accept-encoding") == Some("identity")));
    let accept = asked[0].header("accept").unwrap();
    assert_eq!(
        accept,
        "application/vnd.oci.image.index.v1+json, \
         application/vnd.docker.distribution.manifest.list.v2+json, \
         application/vnd.oci.image.manifest.v1+json, \
         application/vnd.docker.distribution.manifest.v2+json, */*"
    );
    // An empty blob, and the end of any, need no request.
    let before = registry.exchanges().len();
    assert_eq!(fetch(&client, &registry, &layer(Digest::sha256(b""), 0), 0).unwrap(), b"");
    assert_eq!(registry.exchanges().len(), before);
}

/// 86, 101, 103: what is wrong with a document, and what is said of it.
#[test]
fn documents() {
    let registry = FakeRegistry::start();
    let content = br#"{"schemaVersion":2}"#;
    let right = registry.put_manifest("a/b", "latest", MANIFEST, content);
    let other = Digest::sha256(b"other");
    let what = "manifest HOST/a/b:latest";
    let header = |value: &str| fault::header("Docker-Content-Digest", value);
    for (fault, by_tag, by_digest) in [
        (
            fault::body(b"other"),
            format!(
                "{what}: HOST sent a document with another digest than its header says: header {right}, bytes {other}"
            ),
            format!(
                "manifest HOST/a/b:latest@{right}: HOST sent other bytes: digest mismatch: expected {right}, found {other}"
            ),
        ),
        (
            header(&other.to_string()),
            format!(
                "{what}: HOST sent a document with another digest than its header says: header {other}, bytes {right}"
            ),
            format!(
                "{what}@{right}: HOST sent a document with another digest than its header says: header {other}, bytes {right}"
            ),
        ),
        (
            header("sha256:../../etc/passwd"),
            format!(
                "{what}: HOST sent a document with another digest than its header says: header sha256:../../etc/passwd, bytes {right}"
            ),
            format!(
                "{what}@{right}: HOST sent a document with another digest than its header says: header sha256:../../etc/passwd, bytes {right}"
            ),
        ),
        (header("blake3:00"), "no error".into(), "no error".into()),
        (header(&Digest::of(Algorithm::Sha512, content).to_string()), "no error".into(), "no error".into()),
        (header(""), "no error".into(), "no error".into()),
        (fault::chunked(), "no error".into(), "no error".into()),
        (fault::header("Content-Encoding", "gzip"), "no error".into(), "no error".into()),
        (
            fault::body(&vec![b' '; 5 << 20]),
            format!("{what} has more than 4194304 bytes, the limit for documents"),
            format!("{what}@{right} has more than 4194304 bytes, the limit for documents"),
        ),
        // 102: whatever a registry does not know, it is asked with a GET.
        (
            fault::status(405),
            format!("{what}: HOST answered 405"),
            format!("{what}@{right}: HOST answered 405"),
        ),
    ] {
        registry.reset();
        registry.always("/manifests/", fault);
        let reference = reference(&registry);
        assert_eq!(message(client().manifest(&reference), &registry), by_tag);
        let reference = reference.with_digest(right);
        assert_eq!(message(client().manifest(&reference), &registry), by_digest);
    }
}

/// 86: a document that another describes.
#[test]
fn described_documents() {
    let registry = FakeRegistry::start();
    let content = br#"{"a":1}"#;
    let digest = registry.put_blob(content);
    let config =
        |size| Descriptor::new(MediaType::parse("application/vnd.oci.image.config.v1+json"), digest, size);
    let what = format!("blob {digest} of HOST/a/b");
    for (size, fault, expected) in [
        (7, fault::header("X", "y"), "no error".to_string()),
        (
            7,
            fault::body(b"{'a':1}"),
            format!(
                "{what}: HOST sent other bytes: digest mismatch: expected {digest}, found {}",
                Digest::sha256(b"{'a':1}")
            ),
        ),
        (
            8,
            fault::header("X", "y"),
            format!("{what}: HOST sent other bytes: {digest} has 7 bytes instead of 8"),
        ),
        (
            6,
            fault::header("X", "y"),
            format!("{what}: HOST sent other bytes: {digest} has more than 6 bytes"),
        ),
        (
            5 << 20,
            fault::header("X", "y"),
            format!("{what} has more than 4194304 bytes, the limit for documents"),
        ),
    ] {
        registry.reset();
        registry.always("/blobs/", fault);
        assert_eq!(message(client().document(&reference(&registry), &config(size)), &registry), expected);
    }
}

/// 101: lengths and encodings of blobs.
#[test]
fn blobs() {
    let registry = FakeRegistry::start();
    let content = noise(1000);
    let digest = registry.put_blob(&content);
    let right = layer(digest, 1000);
    let what = format!("blob {digest} of HOST/a/b");
    let size = |stated| format!("{what}: HOST states a size of {stated} bytes instead of 1000");
    let other = Digest::sha256(b"other");
    let table: Vec<(Fault, String)> = vec![
        (fault::chunked(), "no error".into()),
        (fault::header("Content-Encoding", "gzip"), "no error".into()),
        (fault::length(999), size(999)),
        (fault::length(1001), size(1001)),
        (fault::body(b"short"), size(5)),
        (
            Fault::new(|_, answer| {
                answer.body.push(b'!');
                answer.delivery.chunked = true;
            }),
            format!("{what}: HOST sent other bytes: {digest} has more than 1000 bytes"),
        ),
        (
            Fault::new(|_, answer| {
                answer.body.pop();
                answer.delivery.chunked = true;
            }),
            // It goes on where it stopped, and there the registry has nothing more than before.
            "no error".into(),
        ),
        (
            fault::header("Docker-Content-Digest", &other.to_string()),
            format!("{what}: HOST offers {other} instead of {digest}"),
        ),
        (fault::status(206), format!("{what}: HOST sent part of the bytes, though all were asked for")),
        (fault::status(204), format!("{what}: HOST answered 204")),
        (fault::status(304), format!("{what}: HOST answered 304")),
    ];
    for (fault, expected) in table {
        registry.reset();
        registry.next("/blobs/", 1, fault);
        assert_eq!(message(fetch(&client(), &registry, &right, 0), &registry), expected);
    }
    // The bytes of a gzip that a proxy made are given as they are, and the digest says what they are worth.
    registry.reset();
    let zipped = [0x1f, 0x8b, 8, 0].repeat(250);
    registry.always("/blobs/", fault::body(&zipped));
    registry.always("/blobs/", fault::header("Content-Encoding", "gzip"));
    assert_eq!(fetch(&client(), &registry, &right, 0).unwrap(), zipped);
    // A part that is longer than the whole.
    assert_eq!(
        message(fetch(&client(), &registry, &right, 1001), &registry),
        format!("{what}: HOST sent other bytes: {digest} has more than 1000 bytes")
    );
}

/// 89, 90, 92 are `oci`'s to judge: the registry's bytes arrive there as they are.
#[test]
fn strange_documents_are_handed_on() {
    let registry = FakeRegistry::start();
    let schema1 = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    for (media_type, bytes) in
        [(schema1, &b"{\"schemaVersion\":1}"[..]), ("", b"\xef\xbb\xbf{}"), ("text/html", b"<")]
    {
        registry.put_manifest("a/b", "latest", media_type, bytes);
        let fetched = client().manifest(&reference(&registry)).unwrap();
        assert_eq!(fetched.bytes, bytes);
        let expected = (!media_type.is_empty()).then(|| MediaType::parse(media_type));
        assert_eq!(fetched.media_type, expected);
    }
}

/// 88: a digest of the other algorithm.
#[test]
fn sha512() {
    let registry = FakeRegistry::start();
    let content = br#"{"schemaVersion":2}"#;
    let digest = Digest::of(Algorithm::Sha512, content);
    registry.put_manifest("a/b", &digest.to_string(), MANIFEST, content);
    let reference = reference(&registry).with_digest(digest);
    assert_eq!(client().manifest(&reference).unwrap().digest, digest);
    registry.always("/manifests/", fault::body(b"other"));
    registry.always("/manifests/", fault::header("Docker-Content-Digest", ""));
    let found = Digest::of(Algorithm::Sha512, b"other");
    assert_eq!(
        message(client().manifest(&reference), &registry),
        format!(
            "manifest HOST/a/b:latest@{digest}: HOST sent other bytes: digest mismatch: expected {digest}, found {found}"
        )
    );
}
