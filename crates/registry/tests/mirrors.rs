//! `registries.conf`: where images are asked for, and who else is when that fails.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::io::Read as _;
use std::sync::{Arc, Mutex};

use common::{layer, noise, options};
use hash::Digest;
use oci::Reference;
use testkit::registry::{Access, FakeRegistry, fault};
use unlade_registry::{Client, Configuration, Credentials, Error, Options, Places, Retry};

/// Nobody's name: what is asked for it is asked elsewhere.
const NAMED: &str = "r.invalid/a/b";

/// A mirror, and the registry that the name is rewritten to.
struct Two {
    mirror: FakeRegistry,
    itself: FakeRegistry,
    directory: tempfile::TempDir,
    said: Arc<Mutex<Vec<String>>>,
}

impl Two {
    fn new() -> Two {
        let (mirror, itself) = (FakeRegistry::start(), FakeRegistry::start());
        mirror.put_image("cache/a/b", "latest", &[&noise(1000)]);
        itself.put_image("a/b", "latest", &[&noise(1000)]);
        Two { mirror, itself, directory: tempfile::tempdir().unwrap(), said: Arc::default() }
    }

    /// Options with a file in which the hosts are `MIRROR` and `ITSELF`.
    fn options(&self, text: &str) -> Options {
        let file = self.directory.path().join("registries.conf");
        let text = text.replace("MIRROR", &self.mirror.host()).replace("ITSELF", &self.itself.host());
        std::fs::write(&file, text).unwrap();
        let registries = Configuration { file: Some(file), required: true, directories: Vec::new() };
        let said = self.said.clone();
        let on_retry = Arc::new(move |retry: &Retry<'_>| {
            said.lock().unwrap().push(format!("{}, then {:?}", retry.error, retry.elsewhere));
        });
        Options { registries, on_retry: Some(on_retry), ..options().0 }
    }

    fn client(&self, rest: &str) -> Client {
        let text = format!(
            "[[registry]]\nprefix = \"r.invalid\"\nlocation = \"ITSELF\"\n[[registry.mirror]]\n\
             location = \"MIRROR/cache\"\n{rest}"
        );
        Client::new(self.options(&text)).unwrap()
    }

    fn tidy(&self, text: &str) -> String {
        text.replace(&self.mirror.host(), "MIRROR").replace(&self.itself.host(), "ITSELF")
    }

    fn message<T>(&self, result: Result<T, Error>) -> String {
        self.tidy(&result.map(|_| "no error".to_string()).unwrap_or_else(|error| error.to_string()))
    }

    fn said(&self) -> Vec<String> {
        std::mem::take(&mut *self.said.lock().unwrap()).iter().map(|line| self.tidy(line)).collect()
    }

    /// How often each was asked since the last time.
    fn asked(&self) -> (usize, usize) {
        let counts = (self.mirror.exchanges().len(), self.itself.exchanges().len());
        self.mirror.reset();
        self.itself.reset();
        counts
    }
}

fn named() -> Reference {
    NAMED.parse().unwrap()
}

#[test]
fn mirrors_come_first_and_the_place_itself_last() {
    let two = Two::new();
    let client = two.client("");
    let fetched = client.manifest(&named()).unwrap();
    assert_eq!(two.asked(), (1, 0));
    assert_eq!(two.mirror.exchanges().len(), 0);
    assert!(client.manifest(&named().with_digest(fetched.digest)).is_ok());
    assert_eq!(two.asked(), (1, 0));

    // What a mirror does not have, nobody is told of.
    two.mirror.always("/manifests/", fault::status(404));
    two.client("").manifest(&named()).unwrap();
    assert_eq!((two.asked(), two.said()), ((1, 1), vec![]));
    // What is wrong with it is told.
    two.mirror.always("/manifests/", fault::status(500));
    two.client("").manifest(&named()).unwrap();
    let said = two.said();
    let failed = "manifest r.invalid/a/b:latest: MIRROR answered 500";
    assert_eq!(
        said,
        [
            format!("{failed}, then None"),
            format!("{failed}; gave up after 2 attempts, then Some(\"ITSELF\")")
        ]
    );
    assert_eq!(two.asked(), (2, 1));
    // A mirror that gives something else for a digest is as good as none.
    two.mirror.always("/manifests/", fault::body(b"{}"));
    two.client("").manifest(&named().with_digest(fetched.digest)).unwrap();
    assert!(two.said()[0].contains("MIRROR sent other bytes"));
    two.asked();

    two.mirror.always("/manifests/", fault::status(403));
    two.itself.always("/manifests/", fault::status(404));
    assert_eq!(
        two.message(two.client("").manifest(&named())),
        "manifest r.invalid/a/b:latest was not found: ITSELF answered 404; before that, its mirror failed: access to \
         manifest r.invalid/a/b:latest is denied: MIRROR answered 403"
    );
    two.asked();
    // One that there is not.
    let gone = format!("pull-from-mirror = \"all\"\n[[registry.mirror]]\nlocation = \"{}/x\"", closed());
    two.mirror.always("/manifests/", fault::status(404));
    let client = two.client(&gone);
    client.manifest(&named()).unwrap();
    assert!(two.said().last().unwrap().contains("connection refused"));
}

/// A port on which nobody listens.
fn closed() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("127.0.0.1:{}", listener.local_addr().unwrap().port())
}

#[test]
fn mirrors_for_digests_or_tags_alone() {
    let two = Two::new();
    let digest = two.itself.put_image("a/b", "latest", &[&noise(1000)]).digest;
    for (rest, tag, by_digest) in [
        ("", (1, 0), (1, 0)),
        ("pull-from-mirror = \"digest-only\"", (0, 1), (1, 0)),
        ("pull-from-mirror = \"tag-only\"", (1, 0), (0, 1)),
    ] {
        two.client(rest).manifest(&named()).unwrap();
        assert_eq!(two.asked(), tag, "{rest}");
        two.client(rest).manifest(&named().with_digest(digest)).unwrap();
        assert_eq!(two.asked(), by_digest, "{rest}");
    }
}

/// Blobs come from where the manifest came from, and from elsewhere when that fails, from the same byte on.
#[test]
fn blobs_follow_their_manifest() {
    let two = Two::new();
    let content = noise(300_000);
    let digest = two.itself.put_blob(&content);
    two.mirror.put_blob(&content);
    let descriptor = layer(digest, 300_000);
    let fetch = |client: &Client| {
        let mut bytes = Vec::new();
        client.blob(&named(), &descriptor, 0).unwrap().read_to_end(&mut bytes).unwrap();
        assert!(bytes == content);
    };

    let client = two.client("");
    client.manifest(&named()).unwrap();
    fetch(&client);
    assert_eq!(two.asked(), (2, 0));
    // The manifest came from the place itself, and so does the blob.
    let client = two.client("");
    two.mirror.next("/manifests/", 1, fault::status(404));
    client.manifest(&named()).unwrap();
    fetch(&client);
    assert_eq!(two.asked(), (1, 2));

    // The mirror breaks in the middle, and stays broken.
    let client = two.client("");
    client.manifest(&named()).unwrap();
    two.mirror.next("/blobs/", 1, fault::cut(100_000));
    two.mirror.after("/blobs/", 1, u32::MAX, fault::status(503));
    fetch(&client);
    let sent: Vec<_> = two
        .itself
        .exchanges()
        .iter()
        .map(|e| (e.request.header("range").map(String::from), e.sent))
        .collect();
    assert_eq!(sent, [(Some("bytes=100000-".into()), 200_000)]);
    assert_eq!(two.asked(), (3, 1));
    // It has the manifest, but not the blob; and then nobody has.
    let client = two.client("");
    client.manifest(&named()).unwrap();
    two.mirror.always("/blobs/", fault::status(404));
    fetch(&client);
    two.itself.always("/blobs/", fault::status(404));
    let what = format!("blob {digest} of r.invalid/a/b was not found:");
    assert_eq!(
        two.message(client.blob(&named(), &descriptor, 0)),
        format!("{what} ITSELF answered 404; before that, its mirror failed: {what} MIRROR answered 404")
    );
    // Documents are asked for in the same way.
    let config = client.document(&named(), &layer(Digest::sha256(b"x"), 1));
    assert!(two.message(config).contains("before that, its mirror failed"));
}

/// Logins are for who is asked: a mirror gets its own, and never what was given for the name.
#[test]
fn logins_of_mirrors() {
    let two = Two::new();
    two.mirror.require(Access::Basic("user:pass".into()));
    two.itself.require(Access::Basic("me:mine".into()));
    let files = two.directory.path().join("auth.json");
    let auths = format!(
        r#"{{"auths":{{"{}/cache":{{"auth":"dXNlcjpwYXNz"}},"{}":{{"username":"me","password":"mine"}}}}}}"#,
        two.mirror.host(),
        two.itself.host()
    );
    std::fs::write(&files, auths).unwrap();
    let text = "[[registry]]\nprefix = \"r.invalid\"\nlocation = \"ITSELF\"\n[[registry.mirror]]\nlocation = \"MIRROR/cache\"";
    let credentials = Credentials::from_places(Places { files: vec![files], helpers: None });
    let options = Options { credentials, ..two.options(text) };
    Client::new(options.clone()).unwrap().manifest(&named()).unwrap();
    assert_eq!(two.asked(), (2, 0));

    let credentials = Credentials::none().with_login("me", "mine");
    Client::new(Options { credentials, ..options }).unwrap().manifest(&named()).unwrap();
    let sent = |registry: &FakeRegistry| {
        registry
            .exchanges()
            .iter()
            .filter_map(|e| e.request.header("authorization").map(String::from))
            .collect::<Vec<_>>()
    };
    assert_eq!(sent(&two.mirror), Vec::<String>::new());
    assert_eq!(sent(&two.itself), ["Basic bWU6bWluZQ=="]);
}

#[test]
fn what_is_blocked_is_not_even_asked_for() {
    let two = Two::new();
    let client = Client::new(two.options("[[registry]]\nlocation = \"ITSELF/a\"\nblocked = true")).unwrap();
    let reference = format!("{}/a/b", two.itself.host()).parse().unwrap();
    let file = two.directory.path().join("registries.conf");
    let expected = format!("ITSELF/a/b:latest may not be used: {} blocks ITSELF/a", file.display());
    assert_eq!(two.message(client.manifest(&reference)), expected);
    assert_eq!(two.message(client.blob(&reference, &layer(Digest::sha256(b"x"), 1), 0)), expected);
    // Nor as the mirror of something else.
    let text = "[[registry]]\nlocation = \"ITSELF/a\"\nblocked = true\n[[registry]]\nprefix = \"r.invalid\"\nlocation = \"ITSELF\"";
    let client = Client::new(two.options(text)).unwrap();
    assert_eq!(two.message(client.manifest(&named())), expected);
    assert_eq!(two.asked(), (0, 0));
}

#[test]
fn files_that_cannot_be_read() {
    let two = Two::new();
    let error = Client::new(two.options("registry = 1")).unwrap_err();
    let file = two.directory.path().join("registries.conf");
    assert_eq!(
        error.to_string(),
        format!("malformed {}: line 1: invalid type: integer `1`, expected a sequence", file.display())
    );
}

/// Insecure is the place that is called so, and no other of its host.
#[test]
fn insecure_places() {
    let tls = FakeRegistry::start_tls();
    for repository in ["a/b", "c/d"] {
        tls.put_image(repository, "latest", &[]);
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("registries.conf");
    std::fs::write(&file, format!("[[registry]]\nlocation = \"{}/a\"\ninsecure = true", tls.host())).unwrap();
    let registries = Configuration { file: Some(file), ..Configuration::default() };
    let client = Client::new(Options { registries, ..options().0 }).unwrap();
    client.manifest(&format!("{}/a/b", tls.host()).parse().unwrap()).unwrap();
    let error = client.manifest(&format!("{}/c/d", tls.host()).parse().unwrap()).unwrap_err();
    assert!(
        error.to_string().ends_with("its certificate is not trusted: it comes from an unknown authority"),
        "{error}"
    );
}
