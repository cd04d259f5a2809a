//! Progress on standard error: bars for people, JSON lines for programs.

use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use pipeline::Event;
use serde_json::json;

use crate::args::{Common, ProgressKind};
use crate::terminal;

/// The bars, so that they can be taken away before the process ends early.
static BARS: OnceLock<MultiProgress> = OnceLock::new();

/// How often the same thing is told to a program.
const INTERVAL: Duration = Duration::from_millis(100);

/// Takes events and shows them.
pub(crate) struct Progress {
    shown: Shown,
    verbose: bool,
}

enum Shown {
    Nothing,
    Json(Mutex<HashMap<String, Instant>>),
    Bars(Bars),
}

struct Bars {
    all: MultiProgress,
    open: Mutex<HashMap<String, ProgressBar>>,
}

impl Progress {
    /// What the arguments ask for.
    pub(crate) fn new(common: &Common) -> Progress {
        let shown = match common.progress {
            _ if common.quiet => Shown::Nothing,
            ProgressKind::Json => Shown::Json(Mutex::default()),
            ProgressKind::Auto if std::io::stderr().is_terminal() => {
                let all = BARS.get_or_init(MultiProgress::new).clone();
                Shown::Bars(Bars { all, open: Mutex::default() })
            }
            ProgressKind::Auto | ProgressKind::None => Shown::Nothing,
        };
        Progress { shown, verbose: common.verbose > 0 }
    }

    /// Shows an event.
    pub(crate) fn report(&self, event: Event) {
        if let (Event::Retry { message }, true) = (&event, self.verbose) {
            self.say(message);
        }
        match &self.shown {
            Shown::Nothing => {}
            Shown::Json(told) => json_line(told, &event),
            Shown::Bars(bars) => bars.show(&event),
        }
    }

    /// Prints a line without disturbing the bars.
    pub(crate) fn say(&self, line: &str) {
        match &self.shown {
            Shown::Bars(bars) => {
                let _ = bars.all.println(terminal::shortened(&terminal::visible(line)));
            }
            _ => terminal::tell(line),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        abandon();
    }
}

/// Takes away all bars.
pub(crate) fn abandon() {
    if let Some(bars) = BARS.get() {
        let _ = bars.clear();
    }
}

/// What stands for a thing with progress: a key, a word for people, bytes so far and in all.
fn amount(event: &Event) -> Option<(String, String, u64, u64)> {
    Some(match event {
        Event::Fetch { blob, done, total } => {
            (format!("fetch {blob}"), format!("{} fetch", &blob.hex()[..12]), *done, *total)
        }
        Event::Send { blob, done, total } => {
            (format!("send {blob}"), format!("{} send ", &blob.hex()[..12]), *done, *total)
        }
        Event::Read { layer, blob, done, total } => {
            (format!("read {layer}"), format!("{} read ", &blob.hex()[..12]), *done, *total)
        }
        Event::Write { done, total } if *total > 0 => {
            ("write".into(), "rootfs       write".into(), *done, *total)
        }
        Event::Check { done, total } if *total > 0 => {
            ("check".into(), "store        check".into(), *done, *total)
        }
        _ => return None,
    })
}

impl Bars {
    fn show(&self, event: &Event) {
        let Some((key, words, done, total)) = amount(event) else { return };
        let Ok(mut open) = self.open.lock() else { return };
        let bar = open.entry(key).or_insert_with(|| {
            let style = ProgressStyle::with_template("{prefix} [{bar:30}] {bytes:>10}/{total_bytes:<10}")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            let bar = self.all.add(ProgressBar::new(total).with_style(style.progress_chars("=> ")));
            bar.set_prefix(words);
            bar
        });
        bar.set_length(total);
        bar.set_position(done);
        if done >= total {
            bar.finish_and_clear();
        }
    }
}

fn json_line(told: &Mutex<HashMap<String, Instant>>, event: &Event) {
    if let Some((key, _, done, total)) = amount(event)
        && let Ok(mut told) = told.lock()
    {
        let now = Instant::now();
        let recent = told.get(&key).is_some_and(|last| now.duration_since(*last) < INTERVAL);
        if recent && done < total {
            return;
        }
        told.insert(key, now);
    }
    let line = match event {
        Event::Resolved { manifest, layers, bytes } => {
            json!({ "event": "resolved", "manifest": manifest, "layers": layers, "bytes": bytes })
        }
        Event::Fetch { blob, done, total } => {
            json!({ "event": "fetch", "blob": blob, "done": done, "total": total })
        }
        Event::Send { blob, done, total } => {
            json!({ "event": "send", "blob": blob, "done": done, "total": total })
        }
        Event::Read { layer, blob, done, total } => {
            json!({ "event": "read", "layer": layer, "blob": blob, "done": done, "total": total })
        }
        Event::Write { total: 0, .. } => return,
        Event::Write { done, total } => json!({ "event": "write", "done": done, "total": total }),
        Event::Check { done, total } => json!({ "event": "check", "done": done, "total": total }),
        Event::Retry { message } => json!({ "event": "retry", "message": message }),
    };
    // Nobody can be told that standard error is closed.
    let _ = writeln!(std::io::stderr().lock(), "{}", terminal::json(&line.to_string()));
}
