//! How an image is run, as a shell script: for what has a shell to start a program with and no runtime.

use crate::Execution;

impl Execution {
    /// A script for any POSIX shell: it exports the environment, goes to the working directory, and becomes the command
    /// that it was given, or else the image's. A directory that is not there is complained about and no more.
    ///
    /// What no shell can export is left out: lines without `=`, and names that are no identifiers, such as `a.b`.
    /// [`Execution::not_exported`] lists them.
    pub fn script(&self) -> String {
        let mut script = String::from("#!/bin/sh\n");
        for (name, value) in self.env.iter().filter_map(|line| variable(line)) {
            // Without `command`, a shell would end that has a variable of its own there, such as bash's UID.
            script.push_str(&format!("command export {name}={}\n", quoted(value)));
        }
        let directory = self.working_dir.trim_start_matches('/');
        script.push_str(&format!("cd {}\n", quoted(&format!("/{directory}"))));
        script.push_str("if [ \"$#\" -gt 0 ]; then exec \"$@\"; fi\n");
        let words: Vec<String> = self.entrypoint.iter().chain(&self.cmd).map(|word| quoted(word)).collect();
        script.push_str(&match words.is_empty() {
            true => "echo 'the image names no command, and none was given' >&2\nexit 127\n".into(),
            false => format!("exec {}\n", words.join(" ")),
        });
        script
    }

    /// Lines of the environment that [`Execution::script`] leaves out.
    pub fn not_exported(&self) -> impl Iterator<Item = &str> {
        self.env.iter().map(String::as_str).filter(|line| variable(line).is_none())
    }
}

/// Name and value of a line that a shell can export.
fn variable(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once('=')?;
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && name.bytes().next().is_some_and(|first| !first.is_ascii_digit());
    is_name.then_some((name, value))
}

/// A word that a shell takes as it is: in single quotes, which only end at another one. No argument has a NUL.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\0', "").replace('\'', r"'\''"))
}
