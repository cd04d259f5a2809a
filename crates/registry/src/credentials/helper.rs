//! Credential helpers: programs that keep logins (`docker-credential-helpers`, "Development").

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::Login;
use crate::error::quote;

/// More than this no helper has to say, in bytes.
const OUTPUT_MAX: u64 = 64 << 10;

/// What helpers print when they have no login, and what else amounts to it.
const NOT_FOUND: [&str; 3] =
    ["credentials not found in native keychain", "no credentials server URL", "no credentials username"];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Output {
    username: String,
    secret: String,
}

/// Asks `docker-credential-NAME` for the login to `server`; `None` if it has none. The error says what is
/// wrong with the helper, and nothing of what it printed as a login.
pub(super) fn get(
    name: &str,
    directories: Option<&[PathBuf]>,
    server: &str,
    timeout: Duration,
) -> Result<Option<Login>, String> {
    let (output, success) = run(name, directories, "get", server.as_bytes(), timeout)?;
    if !success {
        return refusal(&output).map_or(Ok(None), Err);
    }
    let output: Output =
        serde_json::from_slice(&output).map_err(|_| "it printed something else".to_string())?;
    if output.username.is_empty() && output.secret.is_empty() {
        return Ok(None);
    }
    Ok(Some(Login::new(output.username, output.secret)))
}

/// Gives a helper a login to keep.
pub(super) fn store(
    name: &str,
    directories: Option<&[PathBuf]>,
    server: &str,
    (user, password): (&str, &str),
    timeout: Duration,
) -> Result<(), String> {
    let input = serde_json::json!({"ServerURL": server, "Username": user, "Secret": password}).to_string();
    match run(name, directories, "store", input.as_bytes(), timeout)? {
        (_, true) => Ok(()),
        // It may repeat what it was given.
        (output, false) if String::from_utf8_lossy(&output).contains(password) => Err("it failed".into()),
        (output, false) => Err(refusal(&output).unwrap_or_else(|| "it failed".into())),
    }
}

/// Lets a helper forget a login; whether it had one.
pub(super) fn erase(
    name: &str,
    directories: Option<&[PathBuf]>,
    server: &str,
    timeout: Duration,
) -> Result<bool, String> {
    match run(name, directories, "erase", server.as_bytes(), timeout)? {
        (_, true) => Ok(true),
        (output, false) => refusal(&output).map_or(Ok(false), Err),
    }
}

/// Runs a helper to its end: what it printed, and whether it says that all is well.
fn run(
    name: &str,
    directories: Option<&[PathBuf]>,
    action: &str,
    input: &[u8],
    timeout: Duration,
) -> Result<(Vec<u8>, bool), String> {
    if name.contains(['/', '\\', '\0']) {
        return Err("its name is no program's name".into());
    }
    let program = PathBuf::from(format!("docker-credential-{name}"));
    let program = match directories {
        None => program,
        Some(directories) => directories
            .iter()
            .map(|directory| directory.join(&program))
            .find(|candidate| candidate.is_file())
            .ok_or("it is not installed")?,
    };
    let mut child = Command::new(program)
        .arg(action)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => "it is not installed".to_string(),
            _ => format!("it cannot be run: {error}"),
        })?;
    let ended = talk(&mut child, input, Instant::now() + timeout);
    if ended.is_none() {
        // Whether it can still be killed or has ended just now makes no difference.
        let _ = child.kill();
        let _ = child.wait();
    }
    let (output, success) = ended.ok_or_else(|| format!("it did not end within {} s", timeout.as_secs()))?;
    if output.len() as u64 > OUTPUT_MAX {
        return Err("it printed too much".into());
    }
    Ok((output, success))
}

/// Sends what the helper is to know and takes the answer; `None` if that takes too long.
fn talk(child: &mut Child, input: &[u8], deadline: Instant) -> Option<(Vec<u8>, bool)> {
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that does not want to know the server may have ended already.
        let _ = stdin.write_all(input);
    }
    let stdout = child.stdout.take()?;
    let (sender, receiver) = mpsc::channel();
    // It reads to the end of the pipe, which may be held open by what the helper started; then the thread
    // outlives us, and nobody listens to it.
    thread::spawn(move || {
        let mut output = Vec::new();
        let _ = stdout.take(OUTPUT_MAX + 1).read_to_end(&mut output);
        let _ = sender.send(output);
    });
    let left = || deadline.saturating_duration_since(Instant::now());
    let output = receiver.recv_timeout(left()).ok()?;
    loop {
        if let Some(status) = child.try_wait().ok()? {
            return Some((output, status.success()));
        }
        if left().is_zero() {
            return None;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// What a helper that failed printed is a message, unless it looks like a login; `None` says that it has none.
fn refusal(output: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(output);
    let text = text.trim();
    if NOT_FOUND.contains(&text) {
        return None;
    }
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() || text.contains('{') {
        return Some("it failed".into());
    }
    Some(format!("it failed: {}", quote(line)))
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn run(script: &str) -> String {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("docker-credential-test");
        // Written by another process: one that was written here might still be open in a child of another
        // test, and then "text file busy".
        let script = format!("cat > {} <<'END'\n#!/bin/sh\n{script}\nEND\n", path.display());
        assert!(Command::new("/bin/sh").arg("-c").arg(script).status().unwrap().success());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let directories = [directory.path().to_path_buf()];
        format!("{:?}", get("test", Some(&directories), "a.io", Duration::from_secs(2)))
    }

    #[test]
    fn helpers_of_all_kinds() {
        let login =
            |user: &str| format!(r#"printf '{{"ServerURL":"a","Username":"{user}","Secret":"hunter2"}}'"#);
        for (script, expected) in [
            (login("me"), r#"Ok(Some(Basic { user: "me", password: (secret) }))"#),
            (login("<token>"), r#"Ok(Some(Identity { user: "<token>", token: (secret) }))"#),
            ("echo '{\"Username\":\"\",\"Secret\":\"\"}'".into(), "Ok(None)"),
            ("echo credentials not found in native keychain; exit 1".into(), "Ok(None)"),
            ("echo the keychain is locked; exit 1".into(), r#"Err("it failed: the keychain is locked")"#),
            ("printf '\\033[31mred'; exit 1".into(), r#"Err("it failed: \\u{1b}[31mred")"#),
            (login("me") + "; exit 1", r#"Err("it failed")"#),
            ("exit 1".into(), r#"Err("it failed")"#),
            ("echo hunter2".into(), r#"Err("it printed something else")"#),
            (
                "echo '{\"Username\":\"me\",\"Secret\":[\"hunter2\"]}'".into(),
                r#"Err("it printed something else")"#,
            ),
            ("head -c 1000000 /dev/zero".into(), r#"Err("it printed too much")"#),
            ("exec sleep 60".into(), r#"Err("it did not end within 2 s")"#),
            (
                "test \"$1\" = get && test \"$(cat)\" = a.io && ".to_string() + &login("checked"),
                r#"Ok(Some(Basic { user: "checked", password: (secret) }))"#,
            ),
        ] {
            assert_eq!(run(&script), expected, "{script}");
        }
    }

    #[test]
    fn helpers_that_are_not_there() {
        let get = |name, directories| get(name, directories, "a.io", Duration::from_secs(2)).unwrap_err();
        assert_eq!(get("no-such-helper-anywhere", None), "it is not installed");
        assert_eq!(get("no-such-helper-anywhere", Some(&[])), "it is not installed");
        assert_eq!(get("../../bin/sh", None), "its name is no program's name");
    }
}
