//! Scripts of images, run by shells.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::disallowed_methods, reason = "judges are processes")]

use std::process::Command;

use oci::Execution;
use unlade_oci as oci;

/// What shells make of a script with these arguments: all that they print, and the exit code.
fn run(execution: &Execution, arguments: &[&str]) -> (String, Option<i32>) {
    let script = execution.script();
    let shells: [&[&str]; 2] = [&["dash"], &["bash", "--posix"]];
    let [first, second] = shells.map(|shell| {
        let mut command = Command::new(shell[0]);
        command.args(&shell[1..]).args(["-c", &script, "sh"]).args(arguments);
        let output = command.env_clear().env("PATH", "/usr/bin:/bin").output().unwrap();
        (String::from_utf8(output.stdout).unwrap(), output.status.code())
    });
    assert_eq!(first, second, "{script}");
    first
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| text.to_string()).collect()
}

/// Words that shells do something with.
const ODD: [&str; 9] = ["it's", "$HOME `id` $(id)", "a\nb", "\\", "!x \"y\"", "*", "", "-n", "~ ä &;|<>"];

#[test]
fn values_come_through() {
    for odd in ODD {
        let execution = Execution {
            env: texts(&[&format!("X={odd}"), "PATH=/usr/bin", "Y=a=b"]),
            entrypoint: texts(&["/usr/bin/printf", "%s|%s|%s|%s|"]),
            cmd: texts(&[odd, "x"]),
            ..Execution::default()
        };
        // printf has four places, and gives nothing for those that nothing is for.
        assert_eq!(run(&execution, &[]), (format!("{odd}|x|||"), Some(0)));
        let shown = run(&execution, &["/usr/bin/printenv", "X", "Y"]);
        assert_eq!(shown, (format!("{odd}\na=b\n"), Some(0)));
    }
}

#[test]
fn the_working_directory() {
    for (directory, expected) in
        [("", "/"), ("/", "/"), ("/usr/bin", "/usr/bin"), ("usr", "/usr"), ("//usr/", "/usr")]
    {
        let execution =
            Execution { working_dir: directory.into(), cmd: texts(&["pwd"]), ..Execution::default() };
        assert_eq!(run(&execution, &[]), (format!("{expected}\n"), Some(0)), "{directory}");
    }
    let execution =
        Execution { working_dir: "/no/such".into(), cmd: texts(&["echo", "on"]), ..Execution::default() };
    assert_eq!(run(&execution, &[]), ("on\n".into(), Some(0)));
}

#[test]
fn what_cannot_be() {
    let execution = Execution { env: texts(&["UID=7"]), cmd: texts(&["echo", "on"]), ..Execution::default() };
    assert_eq!(run(&execution, &[]), ("on\n".into(), Some(0)));
    let env = texts(&["a.b=c", "nothing", "=x", "1A=x", "GOOD_1=x", "a b=c", "x;id=1"]);
    let execution = Execution { env, ..Execution::default() };
    let left_out: Vec<&str> = execution.not_exported().collect();
    assert_eq!(left_out, ["a.b=c", "nothing", "=x", "1A=x", "a b=c", "x;id=1"]);
    assert_eq!(run(&execution, &[]), (String::new(), Some(127)));
}
