//! Debian's registry server in every way in which it can be closed; skopeo and the command see the same image, with
//! the same files.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod support;

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::process::{Command, Stdio};

use support::{PROXIES, Place, Said, sha256};
use testkit::registry::debian::Server;
use testkit::registry::tokens::TokenServer;
use testkit::tools;

/// A place in which both programs find the same files, and none of this machine's.
struct Both {
    place: Place,
}

impl Both {
    fn new() -> Both {
        let place = Place::new();
        fs::create_dir_all(place.path("run/containers")).unwrap();
        fs::write(place.path("policy.json"), r#"{"default":[{"type":"insecureAcceptAnything"}]}"#).unwrap();
        Both { place }
    }

    fn environment<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("HOME", self.place.path("")).env_remove("XDG_CONFIG_HOME").env_remove("DOCKER_CONFIG");
        for name in PROXIES {
            command.env_remove(name);
        }
        command.env_remove("REGISTRY_AUTH_FILE").env("XDG_RUNTIME_DIR", self.place.path("run"))
    }

    fn unlade(&self, arguments: &[&str]) -> Said {
        self.unlade_told(arguments, "")
    }

    /// With something on standard input.
    fn unlade_told(&self, arguments: &[&str], input: &str) -> Said {
        let mut command = self.place.command(arguments);
        tell(self.environment(&mut command), input)
    }

    #[track_caller]
    fn done(&self, arguments: &[&str]) -> Said {
        let said = self.unlade(arguments);
        assert_eq!(said.code, Some(0), "{arguments:?}: {}", said.err);
        said
    }

    fn skopeo(&self, arguments: &[&str], input: &str) -> Said {
        let mut command = tools::command("skopeo");
        command.arg("--policy").arg(self.place.path("policy.json"));
        command.args(arguments).current_dir(self.place.path(""));
        tell(self.environment(&mut command), input)
    }

    /// Puts certificates where both look: `FROM:TO` of a directory.
    fn certificates(&self, server: &Server, home: &std::path::Path, files: &[(&str, &str)]) {
        let directory = self.place.path(&format!(".config/containers/certs.d/localhost:{}", server.port));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).unwrap();
        for (from, to) in files {
            fs::copy(home.join(from), directory.join(to)).unwrap();
        }
    }

    /// skopeo puts the image there, and both see the same.
    #[track_caller]
    fn same(&self, server: &Server, arguments: &[&str]) {
        let name = server.name("a/app:v1");
        let docker = format!("docker://{name}");
        let copied = self.skopeo(&[&["copy", "--quiet"], arguments, &["oci:image", &docker]].concat(), "");
        assert_eq!(copied.code, Some(0), "{}", copied.err);
        let arguments: Vec<_> = arguments.iter().map(|argument| argument.replace("--dest-", "--")).collect();
        let mut inspect = vec!["inspect", "--format", "{{.Digest}}"];
        inspect.extend(arguments.iter().map(String::as_str));
        let seen = self.skopeo(&[&inspect[..], &[&docker]].concat(), "");
        assert_eq!(seen.code, Some(0), "{}", seen.err);

        let _ = fs::remove_dir_all(self.place.path("store"));
        let pulled = self.done(&["pull", &name, "-q"]);
        assert_eq!(pulled.out, seen.out);
        self.done(&["build", &name, "--pull", "never", "-o", "theirs.tar", "-q"]);
        self.done(&["build", "oci:image", "-o", "ours.tar", "-q"]);
        assert_eq!(sha256(&self.place.path("theirs.tar")), sha256(&self.place.path("ours.tar")));
    }

    /// Nobody is let in.
    #[track_caller]
    fn refused(&self, server: &Server, code: i32, because: &str) {
        let said = self.unlade(&["pull", &server.name("a/app:v1"), "-q", "--no-store"]);
        assert_eq!(said.code, Some(code), "{}", said.err);
        assert!(said.err.contains(because), "{}", said.err);
    }
}

fn tell(command: &mut Command, input: &str) -> Said {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // Who refuses its arguments reads nothing.
    match child.stdin.take().unwrap().write_all(input.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        written => written.unwrap(),
    }
    Said::from(child.wait_with_output().unwrap())
}

#[test]
fn plain_http_on_loopback() {
    let server = Server::start("", tempfile::tempdir().unwrap()).unwrap();
    Both::new().same(&server, &["--dest-tls-verify=false"]);
}

#[test]
fn a_private_authority_and_users() {
    let both = Both::new();
    let (server, authority) = Server::start_closed("user", "pa:ss").unwrap();
    let host = format!("localhost:{}", server.port);
    both.refused(&server, 1, "its certificate is not trusted: it comes from an unknown authority");
    fs::write(both.place.path("ca.pem"), authority).unwrap();
    both.certificates(&server, &both.place.path(""), &[("ca.pem", "ca.crt")]);
    both.refused(&server, 5, "hint: unlade login stores credentials");

    // A wrong login is not stored.
    let auth = both.place.path("run/containers/auth.json");
    let said = both.unlade_told(&["login", &host, "--username", "user", "--password-stdin"], "hunter2\n");
    assert_eq!(said.code, Some(5), "{}", said.err);
    assert!(
        said.err.contains(&format!("error: access to registry {host} is denied: {host} answered 401")),
        "{}",
        said.err
    );
    assert!(!auth.exists() && !said.err.contains("hunter2"));

    // What we store, skopeo reads.
    let said = both.unlade_told(&["login", &host, "--username", "user", "--password-stdin"], "pa:ss\n");
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert_eq!(said.err, format!("stored the login of user for {host} in {}\n", auth.display()));
    both.same(&server, &[]);
    let status = both.skopeo(&["login", "--get-login", &host], "");
    assert_eq!((status.code, status.out.trim()), (Some(0), "user"), "{}", status.err);
    both.done(&["logout", &host]);
    both.refused(&server, 5, "there are no credentials for it");
    let said = both.unlade(&["logout", &host]);
    assert_eq!(said.code, Some(4), "{}", said.err);
    assert_eq!(said.err, format!("error: there is no login for {host} in {}\n", auth.display()));

    // And we what skopeo stores, with the files of others beside it.
    let said = both.skopeo(&["login", "--username", "user", "--password-stdin", &host], "pa:ss");
    assert_eq!(said.code, Some(0), "{}", said.err);
    both.same(&server, &[]);
    let said = both.unlade_told(
        &["login", &host, "-u", "user", "--password-stdin", "--authfile", "other.json"],
        "pa:ss",
    );
    assert_eq!(said.code, Some(0), "{}", said.err);
    let said = both.skopeo(&["logout", &host], "");
    assert_eq!(said.code, Some(0), "{}", said.err);
    both.refused(&server, 5, "there are no credentials for it");
    let name = server.name("a/app:v1");
    both.done(&["pull", &name, "--authfile", "other.json", "--no-store", "-q"]);

    // Logins that are given and not stored.
    both.done(&["pull", &name, "--creds", "user:pa:ss", "--no-store", "-q"]);
    for (arguments, input) in
        [(&["--creds-stdin"][..], "user:pa:ss\n"), (&["--creds", "user", "--creds-stdin"], "pa:ss")]
    {
        let said = both.unlade_told(&[&["pull", &name, "--no-store", "-q"], arguments].concat(), input);
        assert_eq!(said.code, Some(0), "{}", said.err);
    }
    let said = both.unlade(&["pull", &name, "--creds", "user:hunter2", "--no-store", "-q", "-vv"]);
    assert_eq!(said.code, Some(2), "{}", said.err);
    let said = both.unlade(&["pull", &name, "--creds", "user:hunter2", "--no-store", "-vv"]);
    assert_eq!(said.code, Some(5), "{}", said.err);
    assert!(!said.err.contains("hunter2") && !said.err.contains("dXNlcjpodW50ZXIy"), "{}", said.err);
}

/// On a terminal the password is asked for, and not shown; nor does Ctrl-C leave the terminal mute.
#[test]
fn passwords_on_a_terminal() {
    let both = Both::new();
    let (server, authority) = Server::start_closed("user", "pa:ss").unwrap();
    fs::write(both.place.path("ca.pem"), authority).unwrap();
    for (typed, code) in [("pa:ss\n", 0), ("\x03", 130)] {
        // The echo of what is typed to the shell behind it shows whether the terminal still has one.
        let line = format!(
            "trap : INT; '{}' login localhost:{} --ca ca.pem; echo code $?; stty -a | grep -o -- '-*echo '",
            env!("CARGO_BIN_EXE_unlade"),
            server.port
        );
        let mut script = tools::command("script");
        script.args(["-q", "-c", &line, "/dev/null"]).current_dir(both.place.path(""));
        let script = both.environment(&mut script).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = script.spawn().unwrap();
        let (mut keyboard, mut screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut seen = String::new();
        let mut until = |text: &str| {
            let mut byte = [0];
            while !seen.ends_with(text) && screen.read(&mut byte).unwrap() > 0 {
                seen.push(byte[0].into());
            }
        };
        until("Username: ");
        keyboard.write_all(b"user\n").unwrap();
        until("Password: ");
        keyboard.write_all(typed.as_bytes()).unwrap();
        until("echo ");
        drop(keyboard);
        child.wait().unwrap();
        assert!(seen.contains("Username: user") && !seen.contains("pa:ss"), "{seen}");
        assert!(seen.contains(&format!("code {code}\r\n")) && !seen.ends_with("-echo "), "{seen}");
    }
}

#[test]
fn client_certificates() {
    let (both, home) = (Both::new(), tempfile::tempdir().unwrap());
    let server = Server::start_for_clients(home.path()).unwrap();
    both.certificates(&server, home.path(), &[("ca.pem", "ca.crt")]);
    both.refused(&server, 1, "it wants another client certificate than it was shown");
    let client = [("ca.pem", "ca.crt"), ("client.pem", "client.cert"), ("client.key", "client.key")];
    both.certificates(&server, home.path(), &client);
    both.same(&server, &[]);

    // What is missing or wrong is named.
    let file = |name: &str| {
        both.place
            .path(&format!(".config/containers/certs.d/localhost:{}/{name}", server.port))
            .display()
            .to_string()
    };
    for (files, because) in [
        (
            &[("client.pem", "client.cert")][..],
            format!(
                "{}: a client certificate needs its key in {} (an authority's is called NAME.crt)",
                file("client.cert"),
                file("client.key")
            ),
        ),
        (
            &[("client.key", "client.key")],
            format!("{}: a key needs its client certificate in {}", file("client.key"), file("client.cert")),
        ),
        (
            &[("client.pem", "client.cert"), ("server.key", "client.key")],
            format!("{}: the key does not belong to {}", file("client.key"), file("client.cert")),
        ),
        (&[("client.key", "ca.crt")], format!("{}: there is no certificate in it", file("ca.crt"))),
        (
            &[("client.pem", "a.cert"), ("client.pem", "a.key")],
            format!("{}: there is no private key in it", file("a.key")),
        ),
        (
            &[
                ("client.pem", "a.cert"),
                ("client.key", "a.key"),
                ("client.pem", "b.cert"),
                ("client.key", "b.key"),
            ],
            format!(
                "{}: a second client certificate, beside {}: only one can be shown",
                file("b.cert"),
                file("a.cert")
            ),
        ),
    ] {
        both.certificates(&server, home.path(), files);
        both.refused(&server, 1, &because);
    }
}

#[test]
fn a_token_server() {
    let (both, home) = (Both::new(), tempfile::tempdir().unwrap());
    let tokens = TokenServer::start("user:pass");
    let server = Server::start_with_tokens(home.path(), &tokens).unwrap();
    both.certificates(&server, home.path(), &[("ca.pem", "ca.crt")]);
    let host = format!("localhost:{}", server.port);
    both.refused(&server, 5, "for scope \"repository:a/app:pull\" (incorrect username or password); there are no credentials for it");
    let said = both.unlade_told(&["login", &host, "--username", "user", "--password-stdin"], "hunter2");
    assert_eq!(said.code, Some(5), "{}", said.err);
    let said = both.unlade_told(&["login", &host, "--username", "user", "--password-stdin"], "pass");
    assert_eq!(said.code, Some(0), "{}", said.err);
    both.same(&server, &[]);
    let asked: Vec<_> = tokens.exchanges().iter().map(|exchange| exchange.request.query.clone()).collect();
    assert!(
        asked
            .iter()
            .any(|query| query == "service=registry.test&scope=repository%3Aa%2Fapp%3Apull&account=user"),
        "{asked:?}"
    );
}

#[test]
fn one_login_is_for_one_registry() {
    let both = Both::new();
    for arguments in [
        &["copy", "a.invalid/x", "docker://b.invalid/x", "--creds", "user:hunter2"][..],
        &["push", "a.invalid/x", "b.invalid/x", "--creds-stdin"],
    ] {
        let said = both.unlade_told(arguments, "user:hunter2");
        assert_eq!(said.code, Some(2), "{}", said.err);
        assert_eq!(said.err, "error: --creds would tell both a.invalid and b.invalid: use unlade login\n");
    }
}

/// Short names, mirrors and rewritten places, with one file for both.
#[test]
fn registries_conf() {
    let both = Both::new();
    let server = Server::start("", tempfile::tempdir().unwrap()).unwrap();
    both.same(&server, &["--dest-tls-verify=false"]);
    fs::create_dir_all(both.place.path(".config/containers/registries.conf.d")).unwrap();
    let write = |name: &str, text: &str| {
        let text = text.replace("HOST", &format!("localhost:{}", server.port));
        fs::write(both.place.path(&format!(".config/containers/{name}")), text).unwrap();
    };
    let same = || {
        let seen = both.skopeo(&["inspect", "--raw", "docker://r.invalid/a/app:v1"], "");
        assert_eq!(seen.code, Some(0), "{}", seen.err);
        let digest = hash::Digest::sha256(seen.out.as_bytes());
        assert_eq!(both.done(&["pull", "r.invalid/a/app:v1", "-q"]).out, format!("{digest}\n"));
    };
    write("registries.conf", "[[registry]]\nprefix = \"r.invalid\"\nlocation = \"HOST\"\ninsecure = true");
    same();
    // In the store it is called what the user called it.
    both.done(&["build", "r.invalid/a/app:v1", "--pull", "never", "-o", "x.tar", "-q"]);
    // A drop-in file that makes the registry a mirror of another.
    write(
        "registries.conf.d/mirror.conf",
        "[[registry]]\nlocation = \"r.invalid\"\n[[registry.mirror]]\nlocation = \"HOST\"\ninsecure = true",
    );
    same();
    let said = both.unlade(&["pull", "r.invalid/a/none", "-q"]);
    assert_eq!(said.code, Some(1), "{}", said.err);
    assert!(
        said.err.contains("r.invalid: the host was not found")
            && said.err.contains("; before that, its mirror failed: "),
        "{}",
        said.err
    );
    // Short names.
    write("registries.conf", "unqualified-search-registries = [\"HOST\"]");
    both.done(&["pull", "a/app:v1", "-q"]);
    write("registries.conf", "unqualified-search-registries = [\"HOST\", \"b.example\"]");
    let said = both.unlade(&["pull", "a/app:v1", "-q"]);
    assert_eq!(said.code, Some(2), "{}", said.err);
    assert!(
        said.err.contains("\"a/app:v1\" may mean") || said.err.contains("a/app:v1 may mean"),
        "{}",
        said.err
    );
    write("registries.conf", "[[registry]]\nlocation = \"r.invalid\"\nblocked = true");
    fs::remove_file(both.place.path(".config/containers/registries.conf.d/mirror.conf")).unwrap();
    let said = both.unlade(&["pull", "r.invalid/a/app:v1", "-q"]);
    assert_eq!(said.code, Some(5), "{}", said.err);
    write("registries.conf", "registry = 7");
    let said = both.unlade(&["pull", "r.invalid/a/app:v1", "-q"]);
    assert!(said.err.contains("registries.conf: line 1: invalid type"), "{}", said.err);
    both.done(&["inspect", "oci:image"]);
}
