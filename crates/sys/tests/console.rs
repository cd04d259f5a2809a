//! A process that is asked to stop.

#![cfg(windows)]
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a test is not the crate")]

use std::env;
use std::fs;
use std::os::windows::process::CommandExt as _;
use std::path::Path;
use std::process::{self, Command};
use std::thread;
use std::time::Duration;

use unlade_sys::console::on_stop;
use windows_sys::Win32::System::Console::{CTRL_C_EVENT, GenerateConsoleCtrlEvent};
use windows_sys::Win32::System::Threading::CREATE_NO_WINDOW;

/// Says to this test's own program that it is the process, and which file it has.
const FILE: &str = "UNLADE_TEST_FILE";

#[test]
fn it_cleans_up_and_says_so() {
    if let Some(file) = env::var_os(FILE) {
        return be_asked(Path::new(&file));
    }
    let file = env::temp_dir().join(format!("unlade-console-{}", process::id()));
    // It gets a console of its own, since tests may have none.
    let mut child = Command::new(env::current_exe().unwrap());
    child.arg("it_cleans_up_and_says_so").env(FILE, &file).creation_flags(CREATE_NO_WINDOW);
    assert_eq!(child.status().unwrap().code(), Some(130));
    assert!(!file.exists());
}

fn be_asked(file: &Path) {
    on_stop(|| {
        // What is still open can be removed.
        fs::remove_file(env::var_os(FILE).unwrap()).map_or(1, |()| 130)
    })
    .unwrap();
    let _open = fs::File::create(file).unwrap();
    // SAFETY: it takes numbers alone: what is asked, and that it is all processes of this console.
    assert_ne!(unsafe { GenerateConsoleCtrlEvent(CTRL_C_EVENT, 0) }, 0);
    thread::sleep(Duration::from_secs(10));
}
