//! Hosts that fall silent. Line 104 of `docs/hostile-inputs.md`.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::time::{Duration, Instant};

use common::{fetch, layer, message, noise, options, reference};
use testkit::registry::{FakeRegistry, fault};
use unlade_registry::{Client, Options};

const IDLE: Duration = Duration::from_millis(400);

fn impatient(attempts: u32) -> Client {
    Client::new(Options { idle_timeout: IDLE, attempts, ..options().0 }).unwrap()
}

/// A manifest whose answer never ends: how the message starts and ends.
#[test]
fn manifests() {
    let registry = FakeRegistry::start();
    registry.put_manifest("a/b", "latest", "text/plain", &noise(2000));
    let step = Duration::from_millis(50);
    let (silent, slow) = ("no answer for 0.4 s", "only N bytes came in 0.4 s");
    for (fault, expected) in [
        (fault::delay(Duration::from_secs(60)), silent),
        (fault::hang(0), silent),
        (fault::hang(100), silent),
        // One byte and another, always in time, but no end to it.
        (fault::drip_head(step), silent),
        (fault::drip(step), slow),
    ] {
        registry.reset();
        registry.next("/manifests/", 2, fault.clone());
        let begin = Instant::now();
        impatient(5).manifest(&reference(&registry)).unwrap();
        assert!(begin.elapsed() < 8 * IDLE, "{:?} {expected}", begin.elapsed());
        registry.reset();
        registry.always("/manifests/", fault);
        let message = message(impatient(1).manifest(&reference(&registry)), &registry);
        // How many bytes came in time differs from run to run.
        let counted = message.split(' ').map(|word| if word.parse::<u64>().is_ok() { "N" } else { word });
        let message = counted.collect::<Vec<_>>().join(" ");
        assert_eq!(message, format!("manifest HOST/a/b:latest: HOST: {expected}"));
    }
}

/// A blob goes on after the silence, and what came before it is not fetched again.
#[test]
fn blobs() {
    let content = noise(300_000);
    for fault in [fault::hang(100_000), fault::hang(0)] {
        let registry = FakeRegistry::start();
        let digest = registry.put_blob(&content);
        registry.next("/blobs/", 2, fault);
        let start = Instant::now();
        assert!(fetch(&impatient(5), &registry, &layer(digest, 300_000), 0).unwrap() == content);
        assert!(start.elapsed() > IDLE && start.elapsed() < 8 * IDLE, "{:?}", start.elapsed());
        let sent: u64 = registry.exchanges().iter().map(|exchange| exchange.sent).sum();
        assert_eq!(sent, 300_000);
    }
    let registry = FakeRegistry::start();
    let digest = registry.put_blob(&content);
    registry.always("/blobs/", fault::hang(100));
    let expected = format!("blob {digest} of HOST/a/b: HOST: no answer for 0.4 s; gave up after 2 attempts");
    assert_eq!(message(fetch(&impatient(2), &registry, &layer(digest, 300_000), 0), &registry), expected);
}

/// There is no limit to the whole: what is slow but comes steadily may take many times the idle timeout.
#[test]
fn slow_is_not_silent() {
    let registry = FakeRegistry::start();
    let content = noise(30_000);
    let digest = registry.put_blob(&content);
    registry.always("/blobs/", fault::trickle(1000, Duration::from_millis(60)));
    let start = Instant::now();
    assert_eq!(fetch(&impatient(1), &registry, &layer(digest, 30_000), 0).unwrap(), content);
    assert!(start.elapsed() > 4 * IDLE);
    assert_eq!(registry.exchanges().len(), 1);
}

/// Whoever reads slowly is not taken for a slow host.
#[test]
fn slow_readers() {
    use std::io::Read as _;

    let registry = FakeRegistry::start();
    let content = noise(4 << 20);
    let digest = registry.put_blob(&content);
    let mut blob = impatient(1).blob(&reference(&registry), &layer(digest, 4 << 20), 0).unwrap();
    let mut bytes = vec![0; 1000];
    blob.read_exact(&mut bytes).unwrap();
    std::thread::sleep(3 * IDLE);
    blob.read_to_end(&mut bytes).unwrap();
    assert!(bytes == content);
}

/// A host that speaks HTTP alone may take the start of TLS for the start of a line, and wait for its end.
#[test]
fn a_host_that_waits_for_the_end_of_a_line() {
    use std::io::{BufRead as _, BufReader, Write as _};

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(move || {
                let mut stream = BufReader::new(stream?);
                let mut line = Vec::new();
                while stream.read_until(b'\n', &mut line)? > 2 {}
                stream.get_mut().write_all(b"HTTP/1.1 404 -\r\nContent-Length: 0\r\n\r\n")
            });
        }
    });
    let error = impatient(1).manifest(&format!("{host}/a/b").parse().unwrap()).unwrap_err();
    assert_eq!(error.to_string(), format!("manifest {host}/a/b:latest was not found: {host} answered 404"));
}
