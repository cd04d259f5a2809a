//! A large layer over a line that breaks all the time: all of it arrives, and no byte twice.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::io::Read as _;
use std::sync::Arc;

use common::{layer, noise, options, reference};
use testkit::registry::{FakeRegistry, Fault, Response};
use unlade_registry::Client;

const SIZE: usize = 300 << 20;
const CUT: usize = 20 << 20;

#[test]
fn each_byte_is_fetched_once() {
    let registry = FakeRegistry::start();
    let content = Arc::new(noise(SIZE));
    let descriptor = layer(registry.put_blob(b"what is served instead"), SIZE as u64);
    let served = content.clone();
    registry.always(
        "/blobs/",
        Fault::new(move |request, response| {
            let from =
                request.header("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'));
            let start: usize = from.map_or(0, |from| from.parse().unwrap());
            let body = served[start..SIZE.min(start + CUT)].to_vec();
            *response = Response::new(if start == 0 { 200 } else { 206 }, body);
            response.set("Content-Range", &format!("bytes {start}-{}/{SIZE}", SIZE - 1));
            // More is promised than comes, and then the connection ends.
            response.delivery.stated_length = Some((SIZE - start) as u64);
        }),
    );
    let (options, waits) = options();
    let client = Client::new(options).unwrap();
    let mut blob = client.blob(&reference(&registry), &descriptor, 0).unwrap();
    let (mut buffer, mut position) = (vec![0; 1 << 20], 0);
    loop {
        let count = blob.read(&mut buffer).unwrap();
        if count == 0 {
            break;
        }
        assert!(buffer[..count] == content[position..position + count], "at {position}");
        position += count;
    }
    assert_eq!(position, SIZE);
    let exchanges = registry.exchanges();
    let ranges: Vec<_> =
        exchanges.iter().map(|exchange| exchange.request.header("range").map(String::from)).collect();
    let resumed = (1..SIZE / CUT).map(|cut| Some(format!("bytes={}-", cut * CUT)));
    assert_eq!(ranges, std::iter::once(None).chain(resumed).collect::<Vec<_>>());
    assert_eq!(exchanges.iter().map(|exchange| exchange.sent).sum::<u64>(), SIZE as u64);
    assert_eq!(waits.count(), SIZE / CUT - 1);
}
