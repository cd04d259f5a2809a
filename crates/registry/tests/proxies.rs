//! Through proxies, over real sockets. Hosts of loopback are never reached through one, so these have a name that
//! only the proxy knows.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{layer, noise, options};
use oci::Reference;
use std::io::Read as _;
use testkit::proxy::Proxy;
use testkit::registry::{Access, FakeRegistry, fault};
use unlade_registry::{Client, Options, Proxies};

fn registry(tls: bool) -> FakeRegistry {
    let registry = if tls { FakeRegistry::start_tls() } else { FakeRegistry::start() };
    registry.put_image("a/b", "latest", &[&noise(1000)]);
    registry
}

fn client(registry: &FakeRegistry, tls: bool, variables: &[(&str, String)]) -> Client {
    let proxies = Proxies::from_variables(|name| {
        variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
    });
    let extra_roots = if tls { vec![registry.root()] } else { Vec::new() };
    let insecure = if tls { Vec::new() } else { vec!["registry.test".into()] };
    Client::new(Options { proxies, extra_roots, insecure, ..options().0 }).unwrap()
}

fn named() -> Reference {
    "registry.test/a/b".parse().unwrap()
}

#[test]
fn connections_go_through_the_proxy() {
    let registry = registry(true);
    for (scheme, login, asked) in [
        ("http", None, "CONNECT registry.test:443"),
        ("http", Some("user:p@ss"), "CONNECT registry.test:443"),
        ("socks5", None, "SOCKS registry.test:443"),
        ("socks5h", Some("user:p@ss"), "SOCKS registry.test:443"),
    ] {
        let proxy = Proxy::start(&registry.host(), login);
        let login = login.map_or(String::new(), |login| login.replace("p@", "p%40") + "@");
        let url = format!("{scheme}://{login}{}", proxy.address());
        let client = client(&registry, true, &[("HTTPS_PROXY", url)]);
        client.manifest(&named()).unwrap();
        let content = noise(300_000);
        let descriptor = layer(registry.put_blob(&content), 300_000);
        // One that breaks is resumed on the same way.
        registry.next("/blobs/", 1, fault::cut(100_000));
        let mut bytes = Vec::new();
        client.blob(&named(), &descriptor, 0).unwrap().read_to_end(&mut bytes).unwrap();
        assert!(bytes == content);
        let all = proxy.asked();
        assert!(all.len() >= 2 && all.iter().all(|one| one == asked), "{all:?}");
    }
}

/// TLS to the proxy, and within it TLS to the registry.
#[test]
fn proxies_over_tls() {
    let registry = registry(true);
    let proxy = Proxy::start_tls(&registry.host(), Some("user:pass"));
    let port = proxy.address().rsplit_once(':').unwrap().1.to_string();
    let variables = [("HTTPS_PROXY", format!("https://user:pass@localhost:{port}"))];
    let proxies = Proxies::from_variables(|name| {
        variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
    });
    let with = |extra_roots| {
        Client::new(Options { proxies: proxies.clone(), extra_roots, ..options().0 })
            .unwrap()
            .manifest(&named())
    };
    with(vec![registry.root(), proxy.root()]).unwrap();
    assert_eq!(proxy.asked(), ["CONNECT registry.test:443"]);
    // Who claims to be the proxy has to prove it.
    assert_eq!(
        with(Vec::new()).unwrap_err().to_string(),
        format!(
            "manifest registry.test/a/b:latest: registry.test: through the proxy https://localhost:{port}: its \
             certificate is not trusted: it comes from an unknown authority"
        )
    );
    assert_eq!(proxy.asked().len(), 1);
}

#[test]
fn plain_registries_and_those_that_are_reached_directly() {
    let registry = registry(false);
    let proxy = Proxy::start(&registry.host(), None);
    let url = format!("http://{}", proxy.address());
    client(&registry, false, &[("ALL_PROXY", url.clone())]).manifest(&named()).unwrap();
    let asked = proxy.asked();
    assert_eq!(asked[..2], ["CONNECT registry.test:443", "CONNECT registry.test:80"]);
    // Loopback itself is never reached through one.
    let direct = format!("{}/a/b", registry.host()).parse().unwrap();
    client(&registry, false, &[("ALL_PROXY", url.clone())]).manifest(&direct).unwrap();
    assert_eq!(proxy.asked(), asked);
    // And without the proxy nobody knows the name.
    let none = [("ALL_PROXY", url), ("NO_PROXY", "test".to_string())];
    let error = client(&registry, false, &none).manifest(&named()).unwrap_err();
    assert!(error.to_string().contains("the host was not found"), "{error}");
    assert_eq!(proxy.asked(), asked);
}

/// The token server is another host, and is reached through the proxy as well.
#[test]
fn tokens_come_through_the_proxy() {
    let registry = registry(true);
    registry.require(Access::bearer_with(&[
        r#"Bearer realm="https://registry.test/token",service="test",scope="repository:a/b:pull""#,
    ]));
    let proxy = Proxy::start(&registry.host(), None);
    client(&registry, true, &[("https_proxy", proxy.address())]).manifest(&named()).unwrap();
    assert!(proxy.asked().iter().all(|asked| asked == "CONNECT registry.test:443"));
}

#[test]
fn proxies_that_do_not_connect() {
    let registry = registry(true);
    let proxy = Proxy::start(&registry.host(), Some("user:pass"));
    let address = proxy.address();
    let what = "manifest registry.test/a/b:latest: registry.test: ";
    let message = |url: String| {
        let client = client(&registry, true, &[("HTTPS_PROXY", url)]);
        let error = client.manifest(&named()).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        error.to_string().replace(&address, "PROXY")
    };
    let through = format!("{what}through the proxy http://PROXY: ");
    let wants = format!("{through}it wants a user's name and password, or others (407)");
    assert_eq!(message(format!("http://{address}")), wants);
    assert_eq!(message(format!("http://user:hunter2@{address}")), wants);
    assert_eq!(proxy.asked().len(), 2);
    proxy.refuse(403);
    assert_eq!(message(address.clone()), format!("{through}it answered 403"));
    proxy.refuse(503);
    assert_eq!(message(address.clone()), format!("{through}it answered 503; gave up after 5 attempts"));
    drop(proxy);
    assert_eq!(message(address.clone()), format!("{through}connection refused; gave up after 2 attempts"));
    assert_eq!(
        message("gopher://user:hunter2@proxy.example".into()),
        format!(
            "{what}the proxy in HTTPS_PROXY cannot be used: it is no http://, https:// or socks5:// URL of a host"
        )
    );
    // Nobody was asked without it.
    assert!(registry.exchanges().is_empty());
}
