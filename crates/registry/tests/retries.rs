//! Second tries, and downloads that go on where they stopped. Lines 99 and 100 of `docs/hostile-inputs.md`.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::io::Read as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{client, fetch, layer, message, noise, options, reference};
use testkit::registry::{FakeRegistry, Fault, Response, fault};
use unlade_registry::{Backoff, Client, Options};

/// What a manifest costs that fails twice, and what comes of it when it fails always: how long was waited, and
/// the message.
#[test]
fn statuses() {
    let registry = FakeRegistry::start();
    registry.put_image("a/b", "latest", &[]);
    let many = "HOST answered 429, too many requests";
    let slow = " (TOOMANYREQUESTS: slow down)";
    let gave_up = "; gave up after 5 attempts";
    let unavailable = Response::error(503, "UNAVAILABLE", "try\nlater");
    for (fault, waits, expected) in [
        (fault::too_many("7"), Some(vec![7, 7]), format!("{many}, and asks to wait 7 s{slow}")),
        (
            fault::too_many("Sun, 06 Nov 1994 08:50:07 GMT"),
            Some(vec![30, 30]),
            format!("{many}, and asks to wait 30 s{slow}"),
        ),
        (fault::too_many("0"), Some(vec![0, 0]), format!("{many}, and asks to wait 0 s{slow}")),
        (fault::too_many("whenever"), Some(vec![]), format!("{many}{slow}")),
        (fault::status(429), Some(vec![]), many.into()),
        // A whole hour nobody waits.
        (fault::too_many("3600"), None, format!("{many}, and asks to wait 3600 s{slow}")),
        (fault::status(408), Some(vec![]), format!("HOST answered 408{gave_up}")),
        (fault::status(500), Some(vec![]), format!("HOST answered 500{gave_up}")),
        (fault::status(502), Some(vec![]), format!("HOST answered 502{gave_up}")),
        (
            fault::instead(unavailable.clone().with("Retry-After", "3")),
            Some(vec![3, 3]),
            format!("HOST answered 503 (UNAVAILABLE: try\\nlater){gave_up}"),
        ),
        (fault::status(504), Some(vec![]), format!("HOST answered 504{gave_up}")),
        (fault::cut(10), Some(vec![]), format!("HOST: peer disconnected{gave_up}")),
        (fault::status(400), None, "HOST answered 400".into()),
        (fault::status(418), None, "HOST answered 418".into()),
    ] {
        registry.reset();
        let (options, waited) = options();
        registry.next("/manifests/", 2, fault.clone());
        let once = Client::new(options).unwrap().manifest(&reference(&registry));
        match &waits {
            Some(waits) => {
                once.unwrap();
                assert_eq!(waited.count(), 2, "{expected}");
                assert!(waits.is_empty() || waited.seconds() == *waits, "{:?} {waits:?}", waited.seconds());
            }
            None => assert_eq!(waited.count(), 0, "{expected}"),
        }
        registry.reset();
        registry.always("/manifests/", fault);
        let message = message(client().manifest(&reference(&registry)), &registry);
        assert_eq!(message, format!("manifest HOST/a/b:latest: {expected}"));
        assert_eq!(registry.exchanges().len(), if waits.is_some() { 5 } else { 1 });
    }
}

#[test]
fn what_is_not_there_or_not_ours_is_not_asked_for_again() {
    let registry = FakeRegistry::start();
    let unknown =
        "manifest HOST/a/b:latest was not found: HOST answered 404 (MANIFEST_UNKNOWN: manifest unknown)";
    assert_eq!(message(client().manifest(&reference(&registry)), &registry), unknown);
    registry.always("/manifests/", fault::instead(Response::error(403, "DENIED", "not \u{1b}[31myours")));
    let denied =
        "access to manifest HOST/a/b:latest is denied: HOST answered 403 (DENIED: not \\u{1b}[31myours)";
    assert_eq!(message(client().manifest(&reference(&registry)), &registry), denied);
    assert_eq!(registry.exchanges().len(), 2);
}

/// Asks a registry for a manifest: how often was waited, and the message.
fn ask(client: &Client, host: &str, waits: &common::Waits) -> (usize, String) {
    let before = waits.count();
    let error = client.manifest(&format!("{host}/a/b").parse().unwrap()).unwrap_err();
    (waits.count() - before, error.to_string())
}

/// Nobody waits long for a host that never answered, but for one that did.
#[test]
fn nobody_there() {
    let (options, waits) = options();
    let client = Client::new(options.clone()).unwrap();
    let registry = FakeRegistry::start();
    registry.put_image("a/b", "latest", &[]);
    // It answers, but leaves no connection behind that would outlive it.
    registry.always("/manifests/", fault::cut(10));
    let host = registry.host();
    client.manifest(&reference(&registry)).unwrap_err();
    drop(registry);
    let refused = format!("manifest {host}/a/b:latest: {host}: connection refused");
    assert_eq!(ask(&client, &host, &waits), (4, format!("{refused}; gave up after 5 attempts")));
    let client = Client::new(options).unwrap();
    assert_eq!(ask(&client, &host, &waits), (1, format!("{refused}; gave up after 2 attempts")));
}

/// A name that does not exist does not come to exist. Where there is no network, nobody knows, which is worth
/// one more attempt.
#[test]
fn no_such_host() {
    let (options, waits) = options();
    let client = Client::new(options).unwrap();
    let (waited, said) = ask(&client, "unlade.invalid", &waits);
    let start = "manifest unlade.invalid/a/b:latest: unlade.invalid: the host was not found: ";
    assert!(said.starts_with(start), "{said}");
    assert_eq!(waited, usize::from(said.contains("emporary")), "{said}");
}

/// The user hears of it, and the waits grow.
#[test]
fn retries_are_told() {
    let registry = FakeRegistry::start();
    registry.put_image("a/b", "latest", &[]);
    registry.next("/manifests/", 3, fault::status(503));
    let told = Arc::new(Mutex::new(Vec::new()));
    let on_retry = told.clone();
    let (options, waits) = options();
    let options = Options {
        backoff: Backoff { first: Duration::from_secs(8), ..Backoff::default() },
        on_retry: Some(Arc::new(move |retry| {
            let line = format!("{} of {}: {}", retry.failures, retry.attempts, retry.error);
            on_retry.lock().unwrap().push(line);
        })),
        ..options
    };
    Client::new(options).unwrap().manifest(&reference(&registry)).unwrap();
    let told = told.lock().unwrap().join("\n").replace(&registry.host(), "HOST");
    let line = |number| format!("{number} of 5: manifest HOST/a/b:latest: HOST answered 503");
    assert_eq!(told, [1, 2, 3].map(line).join("\n"));
    let waits = waits.seconds();
    assert!((4..=8).contains(&waits[0]) && (8..=16).contains(&waits[1]) && (15..=30).contains(&waits[2]));
}

/// Every connection breaks, and each byte is fetched once: more often than there are attempts, because each
/// brings something.
#[test]
fn each_byte_once() {
    let content = noise(3_000_000);
    for break_it in [fault::cut, fault::reset] {
        let registry = FakeRegistry::start();
        let digest = registry.put_blob(&content);
        registry.next("/blobs/", 29, break_it(100_000));
        assert!(fetch(&client(), &registry, &layer(digest, 3_000_000), 7).unwrap() == content[7..]);
        let exchanges = registry.exchanges();
        let mut position = 7;
        for exchange in &exchanges {
            let range = exchange.request.header("range").unwrap();
            let from: u64 = range.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap().parse().unwrap();
            // What a reset leaves unread is lost; then the client asks for that again and for no more.
            assert!(from <= position, "{from} {position}");
            position = from + exchange.sent;
        }
        let sent: u64 = exchanges.iter().map(|exchange| exchange.sent).sum();
        assert!(sent >= 3_000_000 - 7);
    }
    let registry = FakeRegistry::start();
    let digest = registry.put_blob(&content);
    registry.next("/blobs/", 29, fault::cut(100_000));
    fetch(&client(), &registry, &layer(digest, 3_000_000), 0).unwrap();
    let sent: u64 = registry.exchanges().iter().map(|exchange| exchange.sent).sum();
    assert_eq!((sent, registry.exchanges().len()), (3_000_000, 30));
}

#[test]
fn what_brings_next_to_nothing_ends() {
    let registry = FakeRegistry::start();
    let content = noise(1000);
    let digest = registry.put_blob(&content);
    registry.always("/blobs/", fault::cut(100));
    let mut blob = client().blob(&reference(&registry), &layer(digest, 1000), 0).unwrap();
    let mut bytes = Vec::new();
    let error = blob.read_to_end(&mut bytes).unwrap_err();
    let expected = format!("blob {digest} of HOST/a/b: HOST: peer disconnected; gave up after 5 attempts");
    assert_eq!(error.to_string().replace(&registry.host(), "HOST"), expected);
    assert_eq!(bytes, &content[..500], "what came is right, and can be gone on from");
    assert_eq!(blob.position(), 500);
    assert_eq!(blob.read(&mut [0]).unwrap_err().to_string(), "the blob has failed before");
    registry.reset();
    assert_eq!(fetch(&client(), &registry, &layer(digest, 1000), 500).unwrap(), &content[500..]);
}

/// 100: what registries make of `Range`. The client has 600 of 1000 bytes and wants the rest.
#[test]
fn ranges() {
    let registry = FakeRegistry::start();
    let content = noise(1000);
    let digest = registry.put_blob(&content);
    let what = format!("blob {digest} of HOST/a/b");
    let whole = content.clone();
    let all = Fault::new(move |_, answer| *answer = Response::new(200, whole.clone()));
    let content_range = |value: &str| fault::header("Content-Range", value);
    let without_range = Fault::new(|_, answer| answer.headers.retain(|(name, _)| name != "Content-Range"));
    let rest = "no error".to_string();
    for (fault, requests, expected) in [
        // All of it: the first 600 are skipped.
        (all.clone(), 1, rest.clone()),
        // Another part, or who knows which: all is asked for, and skipped.
        (content_range("bytes 599-999/1000"), 2, rest.clone()),
        (content_range("bytes 0-999/1000"), 2, rest.clone()),
        (content_range("bytes 601-999/1000"), 2, rest.clone()),
        (content_range("bytes 600-2000/1000"), 2, rest.clone()),
        (content_range("junk"), 2, rest.clone()),
        (without_range.clone(), 2, rest.clone()),
        (fault::status(416), 2, rest.clone()),
        (content_range("bytes 600-999/*"), 1, rest.clone()),
        // Of something else.
        (
            content_range("bytes 600-1999/2000"),
            1,
            format!("{what}: HOST states a size of 2000 bytes instead of 1000"),
        ),
    ] {
        registry.reset();
        registry.next("/blobs/", 1, fault);
        let found = fetch(&client(), &registry, &layer(digest, 1000), 600);
        if let Ok(bytes) = &found {
            assert_eq!(bytes, &content[600..]);
        }
        assert_eq!(message(found, &registry), expected);
        assert_eq!(registry.exchanges().len(), requests);
    }
    // Who never does it right is not asked for ever.
    for (fault, expected) in [
        (fault::status(416), format!("{what}: HOST answered 416")),
        (fault::status(206), format!("{what}: HOST sent part of the bytes, though all were asked for")),
    ] {
        registry.reset();
        registry.always("/blobs/", fault);
        registry.always("/blobs/", content_range("bytes 0-999/1000"));
        assert_eq!(message(fetch(&client(), &registry, &layer(digest, 1000), 600), &registry), expected);
        assert_eq!(registry.exchanges().len(), 2);
    }
}

/// 100: the host says that it has other bytes now.
#[test]
fn changed_tags() {
    let registry = FakeRegistry::start();
    let content = noise(1000);
    let digest = registry.put_blob(&content);
    for (first, second, expected) in [
        ("\"a\"", "\"a\"", "no error".to_string()),
        (
            "\"a\"",
            "\"b\"",
            format!(
                "blob {digest} of HOST/a/b: HOST has other bytes now than before the connection broke \
                 (its entity tag changed)"
            ),
        ),
        ("W/\"a\"", "W/\"b\"", "no error".into()),
        ("\"a\"", "", "no error".into()),
    ] {
        registry.reset();
        registry.next("/blobs/", 1, fault::cut(500));
        registry.next("/blobs/", 1, fault::header("ETag", first));
        registry.after("/blobs/", 1, 1, fault::header("ETag", second));
        assert_eq!(message(fetch(&client(), &registry, &layer(digest, 1000), 0), &registry), expected);
    }
}
