//! The machine's shape.

use std::fs;
use std::io;
use std::path::Path;
use std::thread;

use testkit::tools;

/// What a reader needs to know to compare figures.
pub(super) struct Machine {
    pub(super) processor: String,
    pub(super) cores: usize,
    pub(super) sha_instructions: bool,
    pub(super) memory_gib: f64,
    pub(super) kernel: String,
    pub(super) filesystem: String,
    /// How busy it was in the last minutes, which is more than one if others ran.
    pub(super) load: String,
}

impl Machine {
    /// Looks at this one; `directory` is where the outputs go.
    pub(super) fn look(directory: &Path) -> io::Result<Machine> {
        let processors = fs::read_to_string("/proc/cpuinfo")?;
        let field = |name: &str| {
            let line = processors.lines().find(|line| line.starts_with(name))?;
            line.split_once(':').map(|(_, value)| value.trim().to_string())
        };
        let flags = field("flags").or_else(|| field("Features")).unwrap_or_default();
        let memory = fs::read_to_string("/proc/meminfo")?;
        let kib: f64 = memory.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or_default();
        let mut findmnt = tools::command("findmnt");
        let filesystem = tools::run(findmnt.args(["-no", "FSTYPE", "-T"]).arg(directory))?;
        Ok(Machine {
            processor: field("model name").unwrap_or_else(|| std::env::consts::ARCH.into()),
            cores: thread::available_parallelism()?.get(),
            sha_instructions: flags.split(' ').any(|flag| flag == "sha_ni" || flag == "sha2"),
            memory_gib: kib / f64::from(1 << 20),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_string(),
            filesystem: String::from_utf8_lossy(&filesystem).trim().to_string(),
            load: fs::read_to_string("/proc/loadavg")?.split(' ').take(3).collect::<Vec<_>>().join(" "),
        })
    }
}
