//! Blobs and manifests that are brought to a registry, over connections that break and past answers that are wrong.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::io::{self, Cursor, Read};

use common::{client, layer, message, noise, options, reference};
use hash::Digest;
use oci::{Descriptor, MediaType, Reference};
use testkit::registry::{Access, FakeRegistry, Fault, Habits, Response, fault};
use unlade_registry::{Client, Error, Options};

/// Sends `bytes` to `a/b`, unless they are there.
fn push(client: &Client, reference: &Reference, bytes: &[u8]) -> Result<bool, Error> {
    push_from(client, reference, bytes, None)
}

/// The same, if the repository `from` does not have them.
fn push_from(
    client: &Client,
    reference: &Reference,
    bytes: &[u8],
    from: Option<&str>,
) -> Result<bool, Error> {
    let descriptor = layer(Digest::sha256(bytes), bytes.len() as u64);
    let Some(upload) = client.upload(reference, &descriptor, from)? else { return Ok(false) };
    let mut open = |offset: u64| {
        let rest = bytes[offset as usize..].to_vec();
        Ok(Box::new(Cursor::new(rest)) as Box<dyn Read>)
    };
    upload.send(&mut open)?;
    Ok(true)
}

/// What was asked, each request in short, with the number of bytes that came along.
fn asked(registry: &FakeRegistry) -> Vec<String> {
    let short = |exchange: &testkit::registry::Exchange| {
        let request = &exchange.request;
        let place = request.path.rsplit('/').nth(1).unwrap_or_default().to_string();
        let bytes = if request.body.is_empty() { String::new() } else { format!(" {}", request.body.len()) };
        format!("{} {place}{bytes} {}", request.method, exchange.status)
    };
    registry.exchanges().iter().map(short).collect()
}

fn sent(registry: &FakeRegistry) -> usize {
    registry.exchanges().iter().map(|exchange| exchange.request.body.len()).sum()
}

fn limited(chunk: u64) -> Client {
    Client::new(Options { chunk: Some(chunk), ..options().0 }).unwrap()
}

#[test]
fn small_ones_in_one_request_and_only_once() {
    let registry = FakeRegistry::start();
    let reference = reference(&registry);
    for bytes in [&b""[..], b"x", &noise(1 << 20)] {
        registry.reset();
        assert!(push(&client(), &reference, bytes).unwrap());
        let size = if bytes.is_empty() { String::new() } else { format!(" {}", bytes.len()) };
        assert_eq!(
            asked(&registry),
            ["HEAD blobs 404", "POST uploads 202", &format!("PUT uploads{size} 201")]
        );
        let exchange = registry.exchanges().pop().unwrap();
        assert_eq!(exchange.request.header("content-length"), Some(&*bytes.len().to_string()));
        assert_eq!(registry.blob("a/b", &Digest::sha256(bytes)).as_deref(), Some(bytes));
        registry.reset();
        assert!(!push(&client(), &reference, bytes).unwrap());
        assert_eq!(asked(&registry), ["HEAD blobs 200"]);
    }
}

#[test]
fn large_ones_as_docker_sends_them() {
    for habits in [Habits::default(), Habits { absolute: true, ..Habits::default() }] {
        let registry = FakeRegistry::start();
        registry.take(habits);
        let bytes = noise(3_000_000);
        assert!(push(&client(), &reference(&registry), &bytes).unwrap());
        assert_eq!(
            asked(&registry),
            ["HEAD blobs 404", "POST uploads 202", "PATCH uploads 3000000 202", "PUT uploads 201"]
        );
        assert!(registry.blob("a/b", &Digest::sha256(&bytes)).unwrap() == bytes);
    }
}

#[test]
fn in_chunks_where_there_is_a_limit() {
    let bytes = noise(3_000_000);
    for (habits, chunk, expected) in [
        (Habits::default(), 1_000_000, &[1_000_000, 1_000_000, 1_000_000][..]),
        (Habits::default(), 2_000_000, &[2_000_000, 1_000_000]),
        (
            Habits { chunk_min: Some(1_250_000), ..Habits::default() },
            1_000_000,
            &[1_250_000, 1_250_000, 500_000],
        ),
        (Habits { chunk_min: Some(5_000_000), ..Habits::default() }, 1_000_000, &[3_000_000]),
    ] {
        let registry = FakeRegistry::start();
        registry.take(habits);
        push(&limited(chunk), &reference(&registry), &bytes).unwrap();
        let exchanges = registry.exchanges();
        let patches = exchanges.iter().filter(|exchange| exchange.request.method == "PATCH");
        let found: Vec<usize> = patches.map(|exchange| exchange.request.body.len()).collect();
        assert_eq!(found, expected);
        assert!(registry.blob("a/b", &Digest::sha256(&bytes)).unwrap() == bytes);
    }
}

/// One that takes no more than 4 MiB at once, and says so only with a status.
#[test]
fn what_is_too_large_is_sent_in_pieces() {
    let bytes = noise(10 << 20);
    for refusal in [None, Some(413)] {
        let registry = FakeRegistry::start();
        registry.take(Habits { chunk_max: Some(4 << 20), ..Habits::default() });
        if let Some(status) = refusal {
            registry.next("/uploads/1", 1, fault::status(status));
        }
        push(&client(), &reference(&registry), &bytes).unwrap();
        assert!(registry.blob("a/b", &Digest::sha256(&bytes)).unwrap() == bytes);
    }
}

/// Every connection breaks in the middle of what is sent, and each byte is kept once.
#[test]
fn it_goes_on_where_it_broke() {
    let bytes = noise(3_000_000);
    let registry = FakeRegistry::start();
    registry.cut_requests("PATCH", "/uploads/", 9, 300_000);
    push(&client(), &reference(&registry), &bytes).unwrap();
    assert!(registry.blob("a/b", &Digest::sha256(&bytes)).unwrap() == bytes);
    assert_eq!(sent(&registry), 3_000_000);
    let asked = asked(&registry);
    assert_eq!(asked.iter().filter(|line| line.starts_with("POST")).count(), 1, "{asked:?}");
    let ranges: Vec<_> = registry
        .exchanges()
        .iter()
        .filter_map(|exchange| exchange.request.header("content-range").map(String::from))
        .collect();
    assert_eq!(ranges[0], "300000-2999999");
}

#[test]
fn one_that_keeps_nothing_of_what_broke() {
    let bytes = noise(20 << 20);
    let registry = FakeRegistry::start();
    registry.take(Habits { forgetful: true, ..Habits::default() });
    registry.cut_requests("PATCH", "/uploads/", 2, 1_000_000);
    push(&client(), &reference(&registry), &bytes).unwrap();
    assert!(registry.blob("a/b", &Digest::sha256(&bytes)).unwrap() == bytes);
    let sizes: Vec<usize> = registry
        .exchanges()
        .iter()
        .filter(|exchange| exchange.request.method == "PATCH")
        .map(|exchange| exchange.request.body.len())
        .collect();
    assert_eq!(sizes, [1_000_000, 1_000_000, 4 << 20, 4 << 20, 4 << 20, 4 << 20, 4 << 20]);
}

/// Whatever answer is lost or replaced once, the blob arrives.
#[test]
fn one_bad_answer_stops_nothing() {
    let bytes = noise(2_000_000);
    let small = noise(1000);
    let other = Digest::sha256(b"other").to_string();
    for (fault, path, what) in [
        (fault::status(503), "/blobs/sha256", "503 to HEAD"),
        (fault::status(503), "/uploads/", "503 to POST"),
        (fault::status(500), "/uploads/1", "500 to what was taken"),
        (fault::status(404), "/uploads/1", "the upload is gone"),
        (fault::status(410), "/uploads/1", "the same"),
        (fault::instead(Response::status(416).with("Range", "0-99")), "/uploads/1", "416 to what was taken"),
        (fault::too_many("1"), "/uploads/1", "429"),
        (fault::too_many("1"), "/uploads/", "429 to POST"),
    ] {
        for bytes in [&bytes, &small] {
            let registry = FakeRegistry::start();
            registry.next(path, 1, fault.clone());
            let pushed = push(&client(), &reference(&registry), bytes);
            assert!(pushed.is_ok(), "{what}: {} {:?}", message(pushed, &registry), asked(&registry));
            assert!(registry.blob("a/b", &Digest::sha256(bytes)).as_ref() == Some(bytes), "{what}");
        }
    }
    // The last answer as well.
    for after in [fault::status(502), fault::status(404)] {
        let registry = FakeRegistry::start();
        registry.after("/uploads/1", 1, 1, after);
        push(&client(), &reference(&registry), &bytes).unwrap();
        assert_eq!(sent(&registry), 2_000_000, "{:?}", asked(&registry));
    }
    for (bytes, method) in [(&small, "PUT"), (&bytes, "PUT"), (&small, "POST")] {
        let registry = FakeRegistry::start();
        registry.cut_requests(method, "/uploads/", 1, 0);
        push(&client(), &reference(&registry), bytes).unwrap();
        assert!(registry.blob("a/b", &Digest::sha256(bytes)).as_ref() == Some(bytes));
    }
    // A registry that says to have more than there is, or other bytes than were sent.
    for range in ["0-99999999", "5-10", "x"] {
        let registry = FakeRegistry::start();
        registry.cut_requests("PATCH", "/uploads/", 1, 500_000);
        registry.after("/uploads/1", 1, 1, fault::header("Range", range));
        push(&client(), &reference(&registry), &bytes).unwrap();
        assert!(registry.blob("a/b", &Digest::sha256(&bytes)).unwrap() == bytes, "{range}");
    }
    let registry = FakeRegistry::start();
    registry.cut_requests("PATCH", "/uploads/", 1, 500_000);
    registry.after("/uploads/1", 1, 1, fault::header("Range", "0-399999"));
    registry.next("/uploads/1", 0, fault::header("Docker-Content-Digest", &other));
    push(&client(), &reference(&registry), &bytes).unwrap();
}

/// What ends an upload, and its message.
#[test]
fn what_cannot_be() {
    let bytes = noise(2_000_000);
    let digest = Digest::sha256(&bytes);
    let other = Digest::sha256(b"other");
    let elsewhere = FakeRegistry::start();
    let at = |place: &str| fault::header("Location", place);
    let gone = Fault::new(|request, answer| {
        if request.method != "POST" {
            *answer = Response::status(404);
        }
    });
    let without = |name: &'static str| {
        Fault::new(move |_, answer| answer.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name)))
    };
    for (path, fault, said) in [
        ("/uploads/", without("location"), "HOST names no place to send the bytes to".to_string()),
        ("/uploads/", at("ftp://x/y"), "HOST redirects to an invalid url: neither https nor http".into()),
        (
            "/uploads/",
            at("http://registry.example/v2/"),
            "HOST redirects to registry.example over http, which is for loopback and insecure registries alone"
                .into(),
        ),
        ("/uploads/1", fault::header("Range", "0-2999999"), "HOST says that it has the bytes \"0-2999999\", which cannot be".into()),
        (
            "/uploads/1",
            fault::header("Docker-Content-Digest", &other.to_string()),
            format!("HOST offers {other} instead of {digest}"),
        ),
        (
            "/uploads/",
            fault::instead(Response::error(400, "SIZE_INVALID", "no\u{1b}")),
            "HOST answered 400 (SIZE_INVALID: no\\u{1b})".into(),
        ),
        ("/uploads/", fault::status(500), "HOST answered 500; gave up after 5 attempts".into()),
        ("/uploads/", gone, String::new()),
    ] {
        let registry = FakeRegistry::start();
        registry.always(path, fault);
        let said = match said.as_str() {
            "" => format!(
                "upload of blob {digest} to HOST/a/b was not found: HOST answered 404; gave up after 5 attempts"
            ),
            said => format!("upload of blob {digest} to HOST/a/b: {said}"),
        };
        assert_eq!(message(push(&client(), &reference(&registry), &bytes), &registry), said);
        assert!(registry.blob("a/b", &digest).is_none() || path == "/uploads/1");
    }
    drop(elsewhere);
    // Bytes that are not those that they should be.
    let registry = FakeRegistry::start();
    let descriptor = layer(digest, bytes.len() as u64);
    let upload = client().upload(&reference(&registry), &descriptor, None).unwrap().unwrap();
    let mut wrong =
        |offset: u64| Ok(Box::new(Cursor::new(vec![7u8; bytes.len() - offset as usize])) as Box<dyn Read>);
    assert_eq!(
        message(upload.send(&mut wrong), &registry),
        format!(
            "upload of blob {digest} to HOST/a/b: HOST answered 400 (DIGEST_INVALID: provided digest did not match)"
        )
    );
    // Bytes that cannot be had, from the start or in the middle.
    for short in [0, 1_000_000] {
        let registry = FakeRegistry::start();
        let upload = client().upload(&reference(&registry), &descriptor, None).unwrap().unwrap();
        let mut open = |_| match short {
            0 => Err(io::Error::other("no disk")),
            _ => Ok(Box::new(Cursor::new(bytes[..short].to_vec())) as Box<dyn Read>),
        };
        let error = upload.send(&mut open).unwrap_err();
        let Error::Unreadable { cause, .. } = &error else { unreachable!("{error}") };
        let said = if short == 0 { "no disk" } else { "unexpected end of file" };
        assert_eq!(cause.to_string(), said);
        assert_eq!(
            message(Err::<(), _>(error), &registry),
            format!("upload of blob {digest} to HOST/a/b: the bytes cannot be read")
        );
    }
}

/// Uploads that expire go to a new place, with all that they need.
#[test]
fn an_upload_that_expires() {
    let bytes = noise(3_000_000);
    let registry = FakeRegistry::start();
    let reference = reference(&registry);
    let client = limited(1_000_000);
    let descriptor = layer(Digest::sha256(&bytes), bytes.len() as u64);
    let upload = client.upload(&reference, &descriptor, None).unwrap().unwrap();
    let mut opened = 0;
    let mut open = |offset: u64| {
        opened += 1;
        if opened == 3 {
            registry.forget_uploads();
        }
        Ok(Box::new(Cursor::new(bytes[offset as usize..].to_vec())) as Box<dyn Read>)
    };
    upload.send(&mut open).unwrap();
    assert!(registry.blob("a/b", &descriptor.digest).unwrap() == bytes);
    assert_eq!(asked(&registry).iter().filter(|line| line.starts_with("POST")).count(), 2);
}

#[test]
fn tokens_are_for_pushing_and_may_expire() {
    let bytes = noise(3_000_000);
    let registry = FakeRegistry::start();
    let challenge = r#"Bearer realm="{realm}",service="test""#;
    registry.require(Access::bearer_with(&[challenge]));
    let client = limited(1_000_000);
    let reference = reference(&registry);
    let descriptor = layer(Digest::sha256(&bytes), bytes.len() as u64);
    let upload = client.upload(&reference, &descriptor, None).unwrap().unwrap();
    let mut opened = 0;
    let mut open = |offset: u64| {
        opened += 1;
        if opened == 2 {
            registry.revoke_tokens();
        }
        Ok(Box::new(Cursor::new(bytes[offset as usize..].to_vec())) as Box<dyn Read>)
    };
    upload.send(&mut open).unwrap();
    assert!(registry.blob("a/b", &descriptor.digest).unwrap() == bytes);
    let tokens: Vec<_> =
        registry.exchanges().into_iter().filter(|exchange| exchange.request.path == "/token").collect();
    assert_eq!(tokens.len(), 2);
    for exchange in tokens {
        assert_eq!(exchange.request.parameter("scope").unwrap(), "repository:a/b:pull,push");
    }
    // Who may not is told what he lacks.
    registry.reset();
    registry.always(
        "/uploads/",
        fault::instead(Response::error(401, "UNAUTHORIZED", "no").with(
            "WWW-Authenticate",
            &format!("Bearer realm=\"{}\",scope=\"repository:a/b:pull,push\"", registry.url("/token")),
        )),
    );
    assert_eq!(
        message(push(&client, &reference, b"small"), &registry),
        format!(
            "access to upload of blob {} to HOST/a/b is denied: HOST answered 401 for scope \
             \"repository:a/b:pull,push\" (UNAUTHORIZED: no); there are no credentials for it",
            Digest::sha256(b"small")
        )
    );
}

/// Bytes may go to another host, secrets may not. Nor is a redirect followed that would make it another request.
#[test]
fn other_hosts_learn_nothing() {
    let bytes = noise(2_000_000);
    let storage = FakeRegistry::start();
    let registry = FakeRegistry::start();
    registry.require(Access::Basic("user:secret".into()));
    registry.take(Habits { origin: Some(storage.url("")), ..Habits::default() });
    let directory = tempfile::tempdir().unwrap();
    let auths = format!(r#"{{"auths":{{"{}":{{"username":"user","password":"secret"}}}}}}"#, registry.host());
    let client = common::client_with_config(&directory, &auths);
    // Nobody knows the upload there, so this fails; what counts is what was said.
    push(&client, &reference(&registry), &bytes).unwrap_err();
    assert!(!storage.exchanges().is_empty());
    for exchange in storage.exchanges() {
        assert_eq!(exchange.request.header("authorization"), None, "{exchange:?}");
    }
    // A redirect that keeps the bytes is followed, also without the secrets.
    let registry = FakeRegistry::start();
    let storage = FakeRegistry::start();
    registry.next("/uploads/1", 1, fault::redirect(&storage.url("/store")));
    storage.always("/store", fault::instead(Response::status(201)));
    push(&client, &reference(&registry), b"small").unwrap();
    assert_eq!(storage.exchanges()[0].request.body, b"small");
    registry.next(
        "/uploads/2",
        1,
        fault::instead(Response::status(303).with("Location", &storage.url("/store"))),
    );
    assert_eq!(
        message(push(&client, &reference(&registry), b"other"), &registry),
        format!("upload of blob {} to HOST/a/b: HOST answered 303", Digest::sha256(b"other"))
    );
}

#[test]
fn from_another_repository() {
    let bytes = noise(2_000_000);
    let registry = FakeRegistry::start();
    let source: Reference = format!("{}/source", registry.host()).parse().unwrap();
    push(&client(), &source, &bytes).unwrap();
    registry.reset();
    assert!(!push_from(&client(), &reference(&registry), &bytes, Some("source")).unwrap());
    assert_eq!(asked(&registry), ["HEAD blobs 404", "POST uploads 201"]);
    let asked_for = registry.exchanges().pop().unwrap().request;
    assert_eq!(asked_for.parameter("mount").unwrap(), Digest::sha256(&bytes).to_string());
    assert_eq!(asked_for.parameter("from").unwrap(), "source");
    // Where that is not known, what has begun is gone on with.
    let registry = FakeRegistry::start();
    registry.take(Habits { mountless: true, ..Habits::default() });
    assert!(push_from(&client(), &reference(&registry), &bytes, Some("source")).unwrap());
    assert_eq!(
        asked(&registry),
        ["HEAD blobs 404", "POST uploads 202", "PATCH uploads 2000000 202", "PUT uploads 201"]
    );
    // Whatever is wrong with mounting is not wrong with sending.
    for fault in [fault::status(400), fault::status(401), fault::status(403), fault::status(500)] {
        let registry = FakeRegistry::start();
        registry.next("/uploads/", 1, fault);
        assert!(push_from(&client(), &reference(&registry), &bytes, Some("source")).unwrap());
    }
}

#[test]
fn manifests() {
    let registry = FakeRegistry::start();
    let reference = reference(&registry);
    let media_type = MediaType::parse(MediaType::OCI_INDEX);
    let bytes = br#"{"schemaVersion":2,"manifests":[]}"#;
    let digest = Digest::sha256(bytes);
    for reference in [reference.clone(), reference.with_digest(digest)] {
        let put = client().put_manifest(&reference, &media_type, bytes).unwrap();
        assert_eq!((put.digest, put.subject_noted), (digest, false));
    }
    let by_digest: Reference = format!("{}/other@{digest}", registry.host()).parse().unwrap();
    assert!(!client().has_manifest(&by_digest).unwrap());
    client().put_manifest(&by_digest, &media_type, bytes).unwrap();
    assert!(client().has_manifest(&by_digest).unwrap());
    for (repository, name) in
        [("a/b", "latest"), ("a/b", &*digest.to_string()), ("other", &*digest.to_string())]
    {
        let (found, stored) = registry.manifest(repository, name).unwrap();
        assert_eq!((found.as_str(), &stored[..]), (MediaType::OCI_INDEX, &bytes[..]));
    }
    registry.next("/manifests/", 2, fault::status(503));
    client().put_manifest(&reference, &media_type, bytes).unwrap();

    let other = Digest::sha256(b"other");
    registry.next("/manifests/", 1, fault::header("Docker-Content-Digest", &other.to_string()));
    assert_eq!(
        message(client().put_manifest(&reference, &media_type, bytes), &registry),
        format!(
            "upload of manifest HOST/a/b:latest: HOST took the manifest, but says that its digest is {other} instead \
             of {digest}"
        )
    );
    let lacking = br#"{"schemaVersion":2,"manifests":[{"digest":"sha256:0"}]}"#;
    assert_eq!(
        message(client().put_manifest(&reference, &media_type, lacking), &registry),
        "upload of manifest HOST/a/b:latest: HOST answered 400 (MANIFEST_BLOB_UNKNOWN: manifest unknown to registry)"
    );
    let _ = Descriptor::new(media_type, digest, 0);
}
