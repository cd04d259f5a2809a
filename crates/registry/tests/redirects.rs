//! Where redirects lead, and what goes along. Line 98 of `docs/hostile-inputs.md`.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{client, client_with_config, fetch, layer, message, noise, options, reference};
use testkit::registry::fault::{self, redirect};
use testkit::registry::{Access, Exchange, FakeRegistry, Fault};
use unlade_registry::{Client, Options};

/// `PATH authorization` of each request, `-` where none was sent.
fn sent(exchanges: &[Exchange]) -> Vec<String> {
    let line = |exchange: &Exchange| {
        let authorization = exchange.request.header("authorization").unwrap_or("-");
        format!("{} {authorization}", exchange.request.path)
    };
    exchanges.iter().map(line).collect()
}

#[test]
fn secrets_stay_and_ranges_go_along() {
    let (registry, store) = (FakeRegistry::start(), FakeRegistry::start());
    let content = noise(1000);
    let digest = registry.put_blob(&content);
    store.put_blob(&content);
    registry.require(Access::Basic("user:pass".into()));
    registry.always("/blobs/", redirect(&store.url(&format!("/v2/x/blobs/{digest}?signature=s"))));
    let directory = tempfile::tempdir().unwrap();
    let auths = format!(r#"{{"auths":{{"{}":{{"auth":"dXNlcjpwYXNz"}}}}}}"#, registry.host());
    let client = client_with_config(&directory, &auths);
    assert_eq!(fetch(&client, &registry, &layer(digest, 1000), 600).unwrap(), &content[600..]);

    let path = format!("/v2/a/b/blobs/{digest}");
    // The first answer is the redirect instead of a 401, since the fault comes last.
    assert_eq!(sent(&registry.exchanges()), [format!("{path} -")]);
    // Once the client knows what the registry wants, it sends it, but never on.
    registry.put_image("a/b", "latest", &[]);
    client.manifest(&reference(&registry)).unwrap();
    registry.reset();
    registry.always("/blobs/", redirect(&store.url(&format!("/v2/x/blobs/{digest}?signature=s"))));
    store.reset();
    assert_eq!(fetch(&client, &registry, &layer(digest, 1000), 600).unwrap(), &content[600..]);
    assert_eq!(sent(&registry.exchanges()), [format!("{path} Basic dXNlcjpwYXNz")]);
    assert_eq!(sent(&store.exchanges()), [format!("/v2/x/blobs/{digest} -")]);
    let request = &store.exchanges()[0].request;
    assert_eq!(request.header("range"), Some("bytes=600-"));
    assert_eq!(request.query, "signature=s");

    // On the same host and port it goes along; under another name of the host it does not, and does not come
    // back either.
    let port = registry.host().split_once(':').unwrap().1.to_string();
    for (location, expected) in [
        ("/v2/other/blobs/".to_string(), "Basic dXNlcjpwYXNz"),
        (format!("//localhost:{port}/v2/other/blobs/"), "Basic dXNlcjpwYXNz"),
        (format!("http://127.0.0.1:{port}/v2/other/blobs/"), "-"),
    ] {
        registry.reset();
        registry.next("/v2/a/b/blobs/", 1, redirect(&format!("{location}{digest}")));
        registry.always("/v2/other/", Fault::new(|_, answer| answer.status = 200));
        registry.always("/v2/other/", fault::body(&content));
        assert_eq!(fetch(&client, &registry, &layer(digest, 1000), 0).unwrap(), content, "{location}");
        let sent = sent(&registry.exchanges());
        assert_eq!(sent[1..], [format!("/v2/other/blobs/{digest} {expected}")], "{location}");
    }
    registry.reset();
    registry.next("/v2/a/b/blobs/", 1, redirect(&format!("http://127.0.0.1:{port}/away")));
    registry.next("/away", 1, redirect(&registry.url("/back")));
    registry.always("/back", Fault::new(|_, answer| answer.status = 404));
    fetch(&client, &registry, &layer(digest, 1000), 0).unwrap_err();
    assert_eq!(
        sent(&registry.exchanges()),
        [format!("{path} Basic dXNlcjpwYXNz"), "/away -".into(), "/back -".into()]
    );
}

#[test]
fn where_nobody_follows() {
    let registry = FakeRegistry::start();
    registry.put_image("a/b", "latest", &[]);
    let nowhere = Fault::new(|_, answer| answer.status = 302);
    for (fault, expected) in [
        (redirect("file:///etc/passwd"), "redirects to an invalid url: neither https nor http"),
        (redirect("ftp://localhost/x"), "redirects to an invalid url: neither https nor http"),
        (redirect("https://user:secret@localhost/x"), "redirects to an invalid url: it holds a user name"),
        (redirect("https://"), "redirects to an invalid url: malformed"),
        (
            redirect("http://example.com:8080/x?secret"),
            "redirects to example.com:8080 over http, which is for loopback and insecure registries alone",
        ),
        (nowhere, "redirects to nowhere"),
        (redirect("/v2/a/b/manifests/latest"), "redirects in a circle"),
        (redirect("?again"), "redirects in a circle"),
    ] {
        registry.reset();
        registry.always("/manifests/", fault);
        let expected = format!("manifest HOST/a/b:latest: HOST {expected}");
        assert_eq!(message(client().manifest(&reference(&registry)), &registry), expected);
        assert!(registry.exchanges().len() <= 2, "not tried again");
    }
}

#[test]
fn as_many_hops_as_there_may_be() {
    for (hops, expected) in
        [(10, "no error"), (11, "manifest HOST/a/b:latest: HOST redirects more than 10 times")]
    {
        let registry = FakeRegistry::start();
        let image = registry.put_image("a/b", "latest", &[]);
        registry.next("/manifests/", 1, redirect("/hop/1"));
        for hop in 1..hops {
            registry.always(&format!("/hop/{hop}"), redirect(&format!("/hop/{}", hop + 1)));
        }
        registry.always(&format!("/hop/{hops}"), Fault::new(|_, answer| answer.status = 200));
        registry.always(&format!("/hop/{hops}"), fault::body(&image.manifest));
        assert_eq!(message(client().manifest(&reference(&registry)), &registry), expected);
    }
}

#[test]
fn encryption_is_not_given_up() {
    let (registry, plain) = (FakeRegistry::start_tls(), FakeRegistry::start());
    let image = registry.put_image("a/b", "latest", &[]);
    plain.put_image("a/b", "latest", &[]);
    let trusting = || Options { extra_roots: vec![registry.root()], ..options().0 };
    let manifest = |options| Client::new(options).unwrap().manifest(&reference(&registry));
    assert_eq!(manifest(trusting()).unwrap().digest, image.digest);
    registry.always("/manifests/", redirect(&plain.url("/v2/a/b/manifests/latest")));
    let expected =
        format!("manifest HOST/a/b:latest: HOST redirects from https to http (at {})", plain.host());
    assert_eq!(message(manifest(trusting()), &registry), expected);
    // Not even where the user calls both insecure.
    let insecure = Options { insecure: vec!["localhost".into()], ..options().0 };
    assert_eq!(message(manifest(insecure), &registry), expected);
    assert!(plain.exchanges().is_empty());
}

#[test]
fn who_speaks_tls_is_not_spoken_to_without() {
    let registry = FakeRegistry::start_tls();
    registry.put_image("a/b", "latest", &[]);
    let expected =
        "manifest HOST/a/b:latest: HOST: its certificate is not trusted: it comes from an unknown authority";
    assert_eq!(message(client().manifest(&reference(&registry)), &registry), expected);
    let insecure = Options { insecure: vec![registry.host()], ..options().0 };
    Client::new(insecure).unwrap().manifest(&reference(&registry)).unwrap();
    let junk = Options { extra_roots: vec![b"junk".to_vec()], ..options().0 };
    let error = Client::new(junk).map(|_| ()).unwrap_err().to_string();
    assert_eq!(error, "invalid root certificate: there is no certificate in it");
}

/// The URL that a registry signs is good for a while only; then the registry signs another.
#[test]
fn signed_urls_expire() {
    let (registry, store) = (FakeRegistry::start(), FakeRegistry::start());
    let content = noise(300_000);
    let digest = registry.put_blob(&content);
    store.put_blob(&content);
    registry.always("/blobs/", redirect(&store.url(&format!("/v2/x/blobs/{digest}"))));
    store.next("/blobs/", 1, fault::cut(100_000));
    store.after("/blobs/", 1, 1, fault::status(403));
    assert_eq!(fetch(&client(), &registry, &layer(digest, 300_000), 0).unwrap(), content);
    let statuses: Vec<_> = store.exchanges().iter().map(|exchange| exchange.status).collect();
    assert_eq!(statuses, [200, 403, 206]);
    assert_eq!(registry.exchanges().len(), 3, "asked again each time");

    store.always("/blobs/", fault::status(403));
    let expected = format!(
        "access to blob {digest} of HOST/a/b is denied: {} answered 403; gave up after 5 attempts",
        store.host()
    );
    assert_eq!(message(fetch(&client(), &registry, &layer(digest, 300_000), 0), &registry), expected);
}

/// A host that the registry sent us to may ask who we are, but it is not told, and no token is fetched for it.
#[test]
fn other_hosts_are_not_told_who_we_are() {
    let (registry, store) = (FakeRegistry::start(), FakeRegistry::start());
    let digest = registry.put_blob(b"content");
    registry.always("/blobs/", redirect(&store.url("/elsewhere")));
    let directory = tempfile::tempdir().unwrap();
    let auths = format!(r#"{{"auths":{{"{}":{{"auth":"dXNlcjpwYXNz"}}}}}}"#, registry.host());
    for access in [Access::Basic("user:pass".into()), Access::bearer_for(Some("user:pass"), None)] {
        store.require(access);
        let client = client_with_config(&directory, &auths);
        let found = fetch(&client, &registry, &layer(digest, 7), 0);
        let expected = format!(
            "access to blob {digest} of HOST/a/b is denied: {} answered 401 \
             (UNAUTHORIZED: authentication required); gave up after 5 attempts",
            store.host()
        );
        assert_eq!(message(found, &registry), expected);
    }
    assert_eq!(sent(&store.exchanges()), vec!["/elsewhere -"; 10]);
}
