//! Challenges, tokens and logins. Lines 95 to 97 of `docs/hostile-inputs.md`.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use common::{client, client_with_config, fetch, layer, message, noise, options, reference};
use serde_json::json;
use testkit::registry::{Access, Exchange, FakeRegistry, Fault, Response, fault};
use testkit::tools;
use unlade_registry::{Client, Credentials, Error, Keeper, Options, Places};

/// The `Authorization` of every request to the registry itself, `-` where there was none.
fn sent(registry: &FakeRegistry) -> Vec<String> {
    let authorization =
        |exchange: &Exchange| exchange.request.header("authorization").unwrap_or("-").to_string();
    registry.exchanges().iter().filter(|e| e.request.path != "/token").map(authorization).collect()
}

/// The queries to the token server.
fn token_queries(registry: &FakeRegistry) -> Vec<String> {
    let exchanges = registry.exchanges();
    exchanges.iter().filter(|e| e.request.path == "/token").map(|e| e.request.query.clone()).collect()
}

fn start() -> FakeRegistry {
    let registry = FakeRegistry::start();
    registry.put_image("a/b", "latest", &[&noise(1000)]);
    registry
}

/// 95: however the challenge is worded, the token is asked for as it says.
#[test]
fn challenges() {
    let registry = start();
    let usual = "service=test&scope=repository%3Aa%2Fb%3Apull";
    for (challenges, query) in [
        (&[r#"Bearer realm="{realm}",service="test",scope="repository:a/b:pull""#][..], usual),
        (&[r#"Bearer scope="repository:a/b:pull" , service="test",realm="{realm}""#], usual),
        (&["bearer REALM={realm},Service=test,SCOPE=repository:a/b:pull"], usual),
        (&[r#"Basic realm="x", Bearer realm="{realm}",service="test",scope="repository:a/b:pull""#], usual),
        (&[r#"Basic realm="x""#, r#"Bearer realm="{realm}",service="test""#], usual),
        (&[r#"Negotiate, Bearer realm="{realm}",service="test",error="invalid_token""#], usual),
        (&[r#"Bearer realm="{realm}""#], "scope=repository%3Aa%2Fb%3Apull"),
        (
            &[r#"Bearer realm="{realm}?x=y",service="a b&c",scope="repository:a/b:pull registry:catalog:*""#],
            "x=y&service=a%20b%26c&scope=repository%3Aa%2Fb%3Apull&scope=registry%3Acatalog%3A%2A",
        ),
    ] {
        registry.reset();
        registry.require(Access::bearer_with(challenges));
        client().manifest(&reference(&registry)).unwrap();
        assert_eq!(token_queries(&registry), [query], "{challenges:?}");
        let sent = sent(&registry);
        assert_eq!((sent.len(), &sent[0][..]), (2, "-"), "{challenges:?}");
        assert!(sent[1].starts_with("Bearer token-"), "{challenges:?}");
    }
}

/// 95, 98: challenges that lead nowhere.
#[test]
fn challenges_that_nobody_answers() {
    let registry = start();
    let what = "manifest HOST/a/b:latest: HOST";
    let token = "token for manifest HOST/a/b:latest: HOST";
    for (challenges, expected) in [
        (&[][..], format!("{what} answered 401 without a challenge of a known scheme")),
        (&["Negotiate"], format!("{what} answered 401 without a challenge of a known scheme")),
        (
            &[r#"Basic realm="x""#],
            "access to manifest HOST/a/b:latest is denied: HOST answered 401 \
             (UNAUTHORIZED: authentication required); there are no credentials for it"
                .to_string(),
        ),
        (&["Bearer"], format!("{token} names an invalid token realm: malformed")),
        (&[r#"Bearer realm="/token""#], format!("{token} names an invalid token realm: malformed")),
        (
            &[r#"Bearer realm="file:///etc/passwd""#],
            format!("{token} names an invalid token realm: neither https nor http"),
        ),
        (
            &[r#"Bearer realm="https://user:secret@localhost/token""#],
            format!("{token} names an invalid token realm: it holds a user name"),
        ),
        (
            &[r#"Bearer realm="http://auth.example/token""#],
            format!("{token} names a token realm over http (at auth.example)"),
        ),
    ] {
        registry.reset();
        registry.require(Access::bearer_with(challenges));
        assert_eq!(message(client().manifest(&reference(&registry)), &registry), expected);
        assert_eq!(registry.exchanges().len(), 1);
    }
}

/// 98: a registry that is spoken to over TLS must not have tokens fetched without.
#[test]
fn plain_realms() {
    let (registry, plain) = (FakeRegistry::start_tls(), FakeRegistry::start());
    registry.put_image("a/b", "latest", &[]);
    let realm = plain.url("/token");
    registry.require(Access::bearer_with(&[&format!(
        "Bearer realm=\"{}\"",
        realm.replace("localhost", "evil.example")
    )]));
    let options = Options { extra_roots: vec![registry.root()], ..options().0 };
    let client = Client::new(options).unwrap();
    let message = message(client.manifest(&reference(&registry)), &registry);
    let port = plain.host().split_once(':').unwrap().1.to_string();
    assert_eq!(
        message,
        format!(
            "token for manifest HOST/a/b:latest: HOST names a token realm over http (at evil.example:{port})"
        )
    );
    // Over TLS all is well.
    registry.require(Access::bearer());
    client.manifest(&reference(&registry)).unwrap();
}

/// 96: what token servers answer.
#[test]
fn tokens() {
    let registry = start();
    let token = "token for manifest HOST/a/b:latest";
    let answer = |value| fault::instead(Response::json(200, &value));
    let junk = format!("{token}: HOST answered without a usable token");
    let scope = "for scope \"repository:a/b:pull\"";
    for (fault, expected) in [
        (answer(json!({"token": "t"})), Ok("Bearer t")),
        (answer(json!({"access_token": "t"})), Ok("Bearer t")),
        (answer(json!({"token": "", "access_token": "t"})), Ok("Bearer t")),
        (answer(json!({"token": null, "access_token": "t", "expires_in": 1})), Ok("Bearer t")),
        (answer(json!({"token": "t", "expires_in": -1})), Ok("Bearer t")),
        (answer(json!({"token": "t", "expires_in": 1e300})), Ok("Bearer t")),
        (answer(json!({})), Err(junk.clone())),
        (answer(json!({"token": ""})), Err(junk.clone())),
        (answer(json!({"token": ["hunter2"]})), Err(junk.clone())),
        (answer(json!({"token": "hunter2\r\nX: y"})), Err(junk.clone())),
        (answer(json!("hunter2")), Err(junk.clone())),
        (fault::body(b"<html>hunter2"), Err(junk.clone())),
        (fault::body(&vec![b' '; 2 << 20]), Err(junk)),
        (
            fault::status(401),
            Err(format!(
                "access to {token} is denied: HOST answered 401 {scope}; there are no credentials for it"
            )),
        ),
        (
            fault::instead(Response::json(403, &json!({"details": "no\nscope"}))),
            Err(format!(
                "access to {token} is denied: HOST answered 403 {scope} (no\\nscope); there are no credentials for it"
            )),
        ),
        (fault::status(404), Err(format!("{token} was not found: HOST answered 404"))),
        (fault::status(500), Err(format!("{token}: HOST answered 500; gave up after 5 attempts"))),
        (
            fault::too_many("1"),
            Err(format!(
                "{token}: HOST answered 429, too many requests, and asks to wait 1 s (TOOMANYREQUESTS: slow down)"
            )),
        ),
        (
            fault::redirect("http://auth.example/"),
            Err(format!(
                "{token}: HOST redirects to auth.example over http, which is for loopback and insecure registries alone"
            )),
        ),
    ] {
        registry.reset();
        registry.require(Access::bearer());
        registry.always("/token", fault);
        let found = client().manifest(&reference(&registry));
        match expected {
            Ok(authorization) => {
                // The registry knows nothing of that token.
                found.unwrap_err();
                assert_eq!(sent(&registry), ["-", authorization]);
            }
            Err(expected) => assert_eq!(message(found, &registry), expected),
        }
    }
    // A token server that has a bad moment.
    registry.reset();
    registry.next("/token", 2, fault::status(503));
    client().manifest(&reference(&registry)).unwrap();
}

/// 96: a token is used again, replaced when it has expired, and not asked for again and again.
#[test]
fn tokens_that_expire() {
    let registry = start();
    registry.require(Access::bearer());
    let client = client();
    for _ in 0..3 {
        client.manifest(&reference(&registry)).unwrap();
    }
    assert_eq!(sent(&registry), ["-", "Bearer token-1", "Bearer token-1", "Bearer token-1"]);
    registry.reset();
    registry.revoke_tokens();
    client.manifest(&reference(&registry)).unwrap();
    assert_eq!(sent(&registry), ["Bearer token-1", "Bearer token-2"]);

    // In the middle of a blob.
    let content = noise(300_000);
    let digest = registry.put_blob(&content);
    registry.reset();
    registry.next("/blobs/", 1, fault::cut(100_000));
    registry.after(
        "/blobs/",
        1,
        1,
        fault::instead(Response::status(401).with(
            "WWW-Authenticate",
            &format!(
                r#"Bearer realm="{}",service="test",scope="repository:a/b:pull""#,
                registry.url("/token")
            ),
        )),
    );
    assert!(fetch(&client, &registry, &layer(digest, 300_000), 0).unwrap() == content);
    assert_eq!(sent(&registry), ["Bearer token-2", "Bearer token-2", "Bearer token-3"]);

    // Never good: one new token, and then the error.
    registry.reset();
    let challenge =
        format!(r#"Bearer realm="{}",service="test",scope="repository:a/b:pull""#, registry.url("/token"));
    registry
        .always("/manifests/", fault::instead(Response::status(401).with("WWW-Authenticate", &challenge)));
    let expected = "access to manifest HOST/a/b:latest is denied: HOST answered 401 \
                    for scope \"repository:a/b:pull\"; there are no credentials for it";
    assert_eq!(message(client.manifest(&reference(&registry)), &registry), expected);
    assert_eq!(sent(&registry), ["Bearer token-3", "Bearer token-4"]);
    assert_eq!(token_queries(&registry).len(), 1);
}

/// Many threads that need the same token fetch it once.
#[test]
fn one_token_for_all_threads() {
    let registry = start();
    registry.require(Access::bearer());
    registry.always("/token", fault::delay(Duration::from_millis(100)));
    let client = client();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| client.manifest(&reference(&registry)).unwrap());
        }
    });
    assert_eq!(token_queries(&registry).len(), 1);
}

/// A registry that repeats another's challenge is not given the token that its user has for the other, even if
/// the user has the same name at both.
#[test]
fn tokens_of_one_registry_are_not_for_another() {
    let (good, evil) = (start(), FakeRegistry::start());
    let directory = tempfile::tempdir().unwrap();
    good.require(Access::bearer_for(Some("user:pass"), None));
    let login = |password: &str| json!({"username": "user", "password": password});
    let config = json!({"auths": {good.host(): login("pass"), evil.host(): login("other")}});
    let client = client_with_config(&directory, &config.to_string());
    client.manifest(&reference(&good)).unwrap();
    evil.require(Access::bearer_with(&[&format!(
        r#"Bearer realm="{}",service="test",scope="repository:a/b:pull""#,
        good.url("/token")
    )]));
    let error = client.manifest(&reference(&evil)).unwrap_err();
    let expected = format!(
        "access to token for manifest {0}/a/b:latest is denied: {1} answered 401 for scope \"repository:a/b:pull\" \
         (incorrect username or password)",
        evil.host(),
        good.host()
    );
    assert_eq!(error.to_string(), expected);
    assert_eq!(sent(&evil), ["-"]);
}

/// Nor is a token of one login used for a repository that has another, though the registry wants the same.
#[test]
fn tokens_of_one_login_are_not_for_another() {
    let registry = start();
    registry.put_image("c/d", "latest", &[]);
    let Access::Bearer { login, .. } = Access::bearer_for(Some("user:pass"), None) else { return };
    let challenges = vec![r#"Bearer realm="{realm}",scope="all""#.to_string()];
    registry.require(Access::Bearer { challenges, login, identity: None });
    let directory = tempfile::tempdir().unwrap();
    let (host, other) = (registry.host(), format!("{}/c", registry.host()));
    let config = json!({"auths": {host: {"auth": "dXNlcjpwYXNz"}, other: {"auth": "eDp5"}}});
    let client = client_with_config(&directory, &config.to_string());
    client.manifest(&reference(&registry)).unwrap();
    let found = client.manifest(&format!("{}/c/d", registry.host()).parse().unwrap());
    let denied = "access to token for manifest HOST/c/d:latest is denied: HOST answered 401 for scope \"all\" \
                  (incorrect username or password)";
    assert_eq!(message(found, &registry), denied);
    assert_eq!(sent(&registry), ["-", "Bearer token-1", "-"]);
}

/// 97: a login in each of its forms, the header or body that comes of it, and what is left to try.
#[test]
fn logins_in_files() {
    let registry = start();
    let basic = Access::Basic("user:pass".into());
    let bearer = |login, identity| Access::bearer_for(login, identity);
    for (access, entry, works) in [
        (basic.clone(), json!({"auth": "dXNlcjpwYXNz"}), true),
        (basic.clone(), json!({"username": "user", "password": "pass"}), true),
        (basic.clone(), json!({"username": "user", "password": "wrong"}), false),
        (basic.clone(), json!({"identitytoken": "id"}), false),
        (bearer(Some("user:pass"), None), json!({"auth": "dXNlcjpwYXNz"}), true),
        (bearer(Some("user:pass"), None), json!({"username": "user", "password": "wrong"}), false),
        (bearer(None, Some("id")), json!({"identitytoken": "id"}), true),
        (bearer(None, Some("id")), json!({"auth": "PHRva2VuPjppZA=="}), true),
        (bearer(None, Some("id")), json!({"identitytoken": "wrong"}), false),
    ] {
        registry.require(access.clone());
        let directory = tempfile::tempdir().unwrap();
        let config = json!({"auths": {registry.host(): entry}}).to_string();
        let client = client_with_config(&directory, &config);
        let found = client.manifest(&reference(&registry));
        assert_eq!(found.is_ok(), works, "{access:?} {entry}");
        if let Err(error) = found {
            let shown = format!("{error} {error:?}");
            let from_tokens = "access to token for manifest HOST/a/b:latest is denied: HOST answered 401 \
                               for scope \"repository:a/b:pull\" (incorrect username or password)";
            let from_registry = "access to manifest HOST/a/b:latest is denied: HOST answered 401 \
                                 (UNAUTHORIZED: authentication required)";
            let expected = if matches!(access, Access::Basic(_)) { from_registry } else { from_tokens };
            assert_eq!(error.to_string().replace(&registry.host(), "HOST"), expected);
            assert!(matches!(error, Error::Denied { status: 401, anonymous: false, .. }), "{error:?}");
            assert!(!shown.contains("wrong") && !shown.contains("d3Jvbmc"), "{shown}");
        }
    }

    // An identity token goes by POST, where a server knows that, else as a password.
    let directory = tempfile::tempdir().unwrap();
    let config = json!({"auths": {registry.host(): {"identitytoken": "i/d"}}}).to_string();
    registry.require(bearer(None, Some("i%2Fd")));
    registry.reset();
    client_with_config(&directory, &config).manifest(&reference(&registry)).unwrap();
    let post = registry.exchanges()[1].request.clone();
    assert_eq!((&post.method[..], post.header("authorization")), ("POST", None));
    assert_eq!(
        String::from_utf8_lossy(&post.body),
        "grant_type=refresh_token&client_id=unlade&service=test&scope=repository%3Aa%2Fb%3Apull&refresh_token=i%2Fd"
    );
    registry.reset();
    registry.require(bearer(Some("<token>:i/d"), None));
    client_with_config(&directory, &config).manifest(&reference(&registry)).unwrap();
    let methods: Vec<_> = registry.exchanges().iter().map(|e| e.request.method.clone()).collect();
    assert_eq!(methods, ["GET", "POST", "GET", "GET"]);

    // A token for the registry itself needs no server that gives it.
    registry.reset();
    let config = json!({"auths": {registry.host(): {"registrytoken": "mine"}}}).to_string();
    let found = client_with_config(&directory, &config).manifest(&reference(&registry));
    let denied = "access to manifest HOST/a/b:latest is denied: HOST answered 401 \
                  for scope \"repository:a/b:pull\" (UNAUTHORIZED: authentication required)";
    assert_eq!(message(found, &registry), denied);
    assert_eq!(sent(&registry), ["-", "Bearer mine"]);
    let client = client_with_config(&directory, &config);
    client.manifest(&reference(&registry)).unwrap_err();
    registry.reset();
    client.manifest(&reference(&registry)).unwrap_err();
    assert_eq!(sent(&registry), ["Bearer mine"], "there is no other to try");
    assert!(token_queries(&registry).is_empty());
}

/// Two repositories of one registry, two logins.
#[test]
fn a_login_for_each_repository() {
    let registry = start();
    registry.put_image("c/d", "latest", &[]);
    registry.require(Access::Basic("user:pass".into()));
    let directory = tempfile::tempdir().unwrap();
    let (host, other) = (registry.host(), format!("{}/c", registry.host()));
    let config = json!({"auths": {host: {"auth": "eDp5"}, other: {"auth": "dXNlcjpwYXNz"}}});
    let client = client_with_config(&directory, &config.to_string());
    client.manifest(&format!("{}/c/d", registry.host()).parse().unwrap()).unwrap();
    client.manifest(&reference(&registry)).unwrap_err();
    assert_eq!(sent(&registry), ["-", "Basic dXNlcjpwYXNz", "-", "Basic eDp5"]);
    // Known by now, and not sent twice when it is refused.
    registry.reset();
    client.manifest(&reference(&registry)).unwrap_err();
    assert_eq!(sent(&registry), ["Basic eDp5"]);
}

/// 97: helpers, from which the registry's own is asked first.
#[test]
fn helpers() {
    let registry = start();
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let write = |name: &str, script: &str| {
        let path = directory.path().join(format!("docker-credential-{name}"));
        // By another process, lest a child of another test has it open for writing when it is to be run.
        let text =
            format!("#!/bin/sh\nserver=$(cat)\necho {name} $1 $server >> {}\n{script}\n", log.display());
        let staged = directory.path().join("staged");
        fs::write(&staged, text).unwrap();
        tools::run(tools::command("cp").arg(&staged).arg(&path)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    write("good", r#"echo '{"ServerURL":"x","Username":"user","Secret":"pass"}'"#);
    write("none", "echo credentials not found in native keychain; exit 1");
    write("fails", "echo the keychain is locked; exit 1");
    write("junk", "echo hunter2");
    registry.require(Access::Basic("user:pass".into()));
    let host = registry.host();
    let auths = json!({host.clone(): {"auth": "dXNlcjpwYXNz"}});
    let own = |name: &str| json!({host.clone(): name});
    let gave = |name: &str| {
        format!(
            "credential helper docker-credential-{name} (from {}/config.json) gave no login for HOST: ",
            directory.path().display()
        )
    };
    for (config, asked, expected) in [
        (
            json!({"credHelpers": own("good"), "credsStore": "fails"}),
            "good get HOST\n",
            "no error".to_string(),
        ),
        (json!({"credsStore": "good", "auths": {host.clone(): {}}}), "good get HOST\n", "no error".into()),
        (
            json!({"credHelpers": own("none"), "credsStore": "none", "auths": auths}),
            "none get HOST\nnone get HOST\n",
            "no error".into(),
        ),
        (json!({"credHelpers": {"other.example": "fails"}, "auths": auths}), "", "no error".into()),
        (
            json!({"credsStore": "fails", "auths": auths}),
            "fails get HOST\n",
            gave("fails") + "it failed: the keychain is locked",
        ),
        (json!({"credsStore": "junk"}), "junk get HOST\n", gave("junk") + "it printed something else"),
        (json!({"credsStore": "absent"}), "", gave("absent") + "it is not installed"),
        (json!({"credsStore": "../../bin/sh"}), "", gave("../../bin/sh") + "its name is no program's name"),
    ] {
        fs::write(&log, "").unwrap();
        let client = client_with_config(&directory, &config.to_string());
        let found = client.manifest(&reference(&registry));
        assert_eq!(message(found, &registry), expected, "{config}");
        // Asked once for all that is to come.
        let _ = client.manifest(&reference(&registry)).map(|_| ());
        if expected == "no error" {
            assert_eq!(
                fs::read_to_string(&log).unwrap().replace(&registry.host(), "HOST"),
                asked,
                "{config}"
            );
        }
    }
    // Where nobody asks who we are, nobody is asked.
    registry.require(Access::Everybody);
    fs::write(&log, "").unwrap();
    client_with_config(&directory, r#"{"credsStore":"fails"}"#).manifest(&reference(&registry)).unwrap();
    assert_eq!(fs::read_to_string(&log).unwrap(), "");
}

/// What keeps logins: the helper that the file names for the registry, else the file.
#[test]
fn helpers_keep_logins() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let write = |name: &str, script: &str| {
        let path = directory.path().join(format!("docker-credential-{name}"));
        let text = format!("#!/bin/sh\necho {name} $1 $(cat) >> {}\n{script}\n", log.display());
        let staged = directory.path().join("staged");
        fs::write(&staged, text).unwrap();
        tools::run(tools::command("cp").arg(&staged).arg(&path)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    write("good", "");
    write("fails", "echo the keychain is locked; exit 1");
    write("tells", "echo it is hunter2; exit 1");
    write("none", "echo credentials not found in native keychain; exit 1");
    let file = directory.path().join("auth.json");
    let helpers = json!({
        "good.example": "good", "docker.io": "good", "fails.example": "fails", "tells.example": "tells",
        "none.example": "none", "absent.example": "absent",
    });
    fs::write(&file, json!({"credHelpers": helpers, "auths": {"good.example": {}}}).to_string()).unwrap();
    let keeper = Keeper { file: file.clone(), helpers: Some(vec![directory.path().into()]) };
    let said = |result: Result<String, unlade_registry::CredentialsError>| match result {
        Ok(done) => done,
        Err(error) => error.to_string().replace(&format!("(from {})", file.display()), "(from FILE)"),
    };
    let keep = |registry: &str| said(keeper.keep(registry, "me", "hunter2").map(|()| "kept".into()));
    let forget = |registry: &str| said(keeper.forget(registry).map(|had| had.to_string()));
    let failed = |name: &str, deed: &str, cause: &str| {
        format!(
            "credential helper docker-credential-{name} (from FILE) did not {deed} the login for {name}.example: {cause}"
        )
    };
    assert_eq!(keep("good.example"), "kept");
    assert_eq!(keep("docker.io"), "kept");
    assert_eq!(keep("fails.example"), failed("fails", "store", "it failed: the keychain is locked"));
    assert_eq!(keep("tells.example"), failed("tells", "store", "it failed"));
    assert_eq!(keep("absent.example"), failed("absent", "store", "it is not installed"));
    assert!(!fs::read_to_string(&file).unwrap().contains("hunter2"));
    assert_eq!(forget("good.example"), "true");
    assert_eq!(forget("none.example"), "false");
    assert_eq!(forget("fails.example"), failed("fails", "erase", "it failed: the keychain is locked"));
    let log = fs::read_to_string(&log).unwrap();
    let first: Vec<_> = log.lines().take(2).collect();
    let login = |server: &str| format!(r#"{{"Secret":"hunter2","ServerURL":"{server}","Username":"me"}}"#);
    assert_eq!(
        first,
        [
            format!("good store {}", login("good.example")),
            format!("good store {}", login("https://index.docker.io/v1/"))
        ]
    );
    assert!(
        log.ends_with("good erase good.example\nnone erase none.example\nfails erase fails.example\n"),
        "{log}"
    );
}

/// Being let in: with the login that is given, and no other; and a token for nothing in particular.
#[test]
fn being_let_in() {
    let registry = start();
    let client = |password: &str| {
        let credentials = Credentials::none().with_login("user", password);
        Client::new(Options { credentials, ..options().0 }).unwrap()
    };
    assert!(!client("pass").enter(&reference(&registry)).unwrap());
    registry.require(Access::Basic("user:pass".into()));
    assert!(client("pass").enter(&reference(&registry)).unwrap());
    let denied =
        "access to registry HOST is denied: HOST answered 401 (UNAUTHORIZED: authentication required)";
    assert_eq!(message(client("hunter2").enter(&reference(&registry)), &registry), denied);
    let Access::Bearer { login, .. } = Access::bearer_for(Some("user:pass"), None) else { return };
    let challenges = vec![r#"Bearer realm="{realm}",service="test""#.to_string()];
    registry.require(Access::Bearer { challenges, login, identity: None });
    assert!(client("pass").enter(&reference(&registry)).unwrap());
    assert_eq!(token_queries(&registry), ["service=test&account=user"]);
    let denied =
        "access to token for registry HOST is denied: HOST answered 401 (incorrect username or password)";
    assert_eq!(message(client("hunter2").enter(&reference(&registry)), &registry), denied);
}

#[test]
fn files_that_cannot_be_read() {
    let registry = start();
    registry.require(Access::bearer());
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name);
    fs::write(file("bad.json"), "{\n \"auths\": [\"hunter2\"]}").unwrap();
    fs::write(file("login.json"), json!({"auths": {registry.host(): {"auth": "hunter2"}}}).to_string())
        .unwrap();
    for (files, expected) in [
        (&["absent.json"][..], "no error".to_string()),
        (
            &["bad.json"],
            format!("malformed credentials in {} at line 2, column 10", file("bad.json").display()),
        ),
        (
            &["absent.json", "login.json"],
            format!("malformed login for \"HOST\" in {}", file("login.json").display()),
        ),
        (
            &["."],
            format!("cannot read the credentials in {}: Is a directory (os error 21)", file(".").display()),
        ),
    ] {
        let places = Places { files: files.iter().map(|name| file(name)).collect(), helpers: None };
        let options = Options { credentials: Credentials::from_places(places), ..options().0 };
        let found = Client::new(options).unwrap().manifest(&reference(&registry));
        assert_eq!(message(found, &registry), expected);
    }
}

/// What a registry says of us is shown, but what we say to it is not, wherever it is repeated.
#[test]
fn nothing_shows_secrets() {
    let registry = start();
    registry.require(Access::Basic("user:pass".into()));
    let directory = tempfile::tempdir().unwrap();
    let config = json!({"auths": {registry.host(): {"username": "user", "password": "hunter2"}}});
    let client = client_with_config(&directory, &config.to_string());
    registry.always(
        "/manifests/",
        Fault::new(|request, answer| {
            // Only a spiteful registry repeats it, but then into a log.
            if let Some(sent) = request.header("authorization") {
                answer.headers.push(("X-Sent".into(), sent.into()));
            }
        }),
    );
    let error = client.manifest(&reference(&registry)).unwrap_err();
    let places = Places { files: vec![directory.path().join("config.json")], helpers: None };
    let shown = format!("{error} {error:?} {:?}", Credentials::from_places(places));
    assert!(!shown.contains("hunter2") && !shown.contains("dXNlcjpodW50ZXIy"), "{shown}");
}
