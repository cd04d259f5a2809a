//! The store between processes: at once, killed, out of space, without permission to write.
//!
//! The other processes are this test binary again: [`child`] does what the environment says.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may fail, and the child answers on its standard output"
)]

use std::cell::RefCell;
use std::env;
use std::fs;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use hash::Digest;
use oci::{Descriptor, MediaType, Platform, Reference};
#[cfg(unix)]
use testkit::tools;
use unlade_store::{Error, Store};

/// What the child does, on which store.
const JOB: &str = "UNLADE_TEST_JOB";
const STORE: &str = "UNLADE_TEST_STORE";

const LAYERS: usize = 4;
const LENGTH: usize = 3 << 20;
const NAME: &str = "registry.example/killed:now";

#[test]
fn child() {
    let Some(job) = env::var_os(JOB) else { return };
    let path = PathBuf::from(env::var_os(STORE).unwrap());
    let answer = match job.to_str().unwrap() {
        "pull" => pull(&path, Duration::ZERO),
        "slow" => pull(&path, Duration::from_millis(2)),
        "read" => read_all(&path),
        job => panic!("{job}"),
    };
    match answer {
        Ok(said) => println!("answer: {said}"),
        Err(error) => {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
            println!("answer: {error}{}", cause.unwrap_or_default());
        }
    }
}

fn command(job: &str, store: &Path) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    configure(&mut command, job, store);
    command
}

fn configure(command: &mut Command, job: &str, store: &Path) {
    command.args(["--exact", "child", "--nocapture"]).env(JOB, job).env(STORE, store);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
}

fn answer(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = said.lines().find_map(|line| line.strip_prefix("answer: "));
    line.unwrap_or_else(|| panic!("{said}{}", String::from_utf8_lossy(&output.stderr))).to_string()
}

fn layer(number: usize) -> (Vec<u8>, Descriptor) {
    let mut state = number as u32 + 1;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let bytes: Vec<u8> = (0..LENGTH).map(next).collect();
    let media_type = MediaType::parse("application/vnd.oci.image.layer.v1.tar");
    let descriptor = Descriptor::new(media_type, Digest::sha256(&bytes), bytes.len() as u64);
    (bytes, descriptor)
}

/// A source that takes its time.
struct Slow(io::Cursor<Vec<u8>>, Duration);

impl Read for Slow {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        thread::sleep(self.1);
        let room = buffer.len().min(64 << 10);
        self.0.read(&mut buffer[..room])
    }
}

/// Puts an image, half of it from a file, tags it, and says from which offsets it fetched.
fn pull(path: &Path, pause: Duration) -> Result<String, Error> {
    let store = Store::open(path)?;
    let offsets = RefCell::new(Vec::new());
    let mut layers = Vec::new();
    for number in 0..LAYERS {
        let (bytes, descriptor) = layer(number);
        if number % 2 == 0 {
            let mut fetch = |offset: u64| {
                offsets.borrow_mut().push(offset);
                let rest = io::Cursor::new(bytes[offset as usize..].to_vec());
                Ok(Box::new(Slow(rest, pause)) as Box<dyn Read + Send>)
            };
            store.put(&descriptor, &mut fetch, &|_| ControlFlow::Continue(()))?;
        } else {
            let mut file = tempfile::tempfile().unwrap();
            io::Write::write_all(&mut file, &bytes).unwrap();
            store.put_file(&descriptor, &file, 0, &|_| ControlFlow::Continue(()))?;
        }
        store.remember_diff_id(&descriptor.digest, &descriptor.digest)?;
        layers.push(descriptor);
    }
    let diff_ids: Vec<Digest> = layers.iter().map(|layer| layer.digest).collect();
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    let config = config.to_string();
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": MediaType::OCI_MANIFEST,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": store.put_bytes(config.as_bytes())?,
            "size": config.len(),
        },
        "layers": layers,
    });
    let manifest = manifest.to_string();
    let digest = store.put_bytes(manifest.as_bytes())?;
    let media_type = MediaType::parse(MediaType::OCI_MANIFEST);
    let descriptor = Descriptor {
        platform: "linux/amd64".parse().ok(),
        ..Descriptor::new(media_type, digest, manifest.len() as u64)
    };
    store.tag(&NAME.parse().unwrap(), descriptor, None)?;
    Ok(format!("{:?}", offsets.borrow()))
}

/// Reads everything that the tag names. Writing is tried, and must fail with an error.
fn read_all(path: &Path) -> Result<String, Error> {
    let store = Store::open(path)?;
    assert!(whole(&store), "the image");
    let refused = [
        store.put_bytes(b"new").unwrap_err(),
        store.remember_diff_id(&Digest::sha256(b"a"), &Digest::sha256(b"b")).unwrap_err(),
        store.tag(&"other".parse().unwrap(), layer(0).1, None).unwrap_err(),
    ];
    Ok(refused.map(|error| error.to_string().replace(path.to_str().unwrap(), "")).join("; "))
}

/// Whether the image is there; what is there must be right.
fn whole(store: &Store) -> bool {
    let name: Reference = NAME.parse().unwrap();
    let platform: Platform = "linux/amd64".parse().unwrap();
    let Some(image) = store.image(&name, &platform).unwrap() else { return false };
    assert!(store.missing(&image).is_empty(), "a tag names what is absent");
    for layer in image.layers() {
        let mut bytes = Vec::new();
        store.open_blob(layer.descriptor).unwrap().verify().read_to_end(&mut bytes).unwrap();
        assert_eq!(store.diff_id(&layer.descriptor.digest), Some(*layer.diff_id));
    }
    true
}

/// Whether everything under a final name is what its name says.
fn assert_sound(path: &Path) {
    let Ok(blobs) = fs::read_dir(path.join("blobs/sha256")) else { return };
    for blob in blobs {
        let blob = blob.unwrap().path();
        let digest = Digest::sha256(&fs::read(&blob).unwrap());
        assert_eq!(blob.file_name().unwrap().to_str().unwrap(), digest.hex());
    }
    if path.join("oci-layout").exists() {
        whole(&Store::open(path).unwrap());
    }
}

#[test]
fn of_two_that_want_a_blob_one_fetches_it() {
    let directory = tempfile::tempdir().unwrap();
    let children: Vec<_> = (0..3).map(|_| command("slow", directory.path()).spawn().unwrap()).collect();
    let mut fetched = 0;
    for child in children {
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}");
        // Each fetch shows its offset, and nobody has anything to resume.
        let line = said.lines().find_map(|line| line.strip_prefix("answer: ")).unwrap();
        assert!(!line.contains(|c: char| c.is_ascii_digit() && c != '0'), "{line}");
        fetched += line.matches('0').count();
    }
    assert_eq!(fetched, LAYERS / 2);
    assert_sound(directory.path());
    assert!(whole(&Store::open(directory.path()).unwrap()));
    assert_eq!(fs::read_dir(directory.path().join("unlade/parts")).unwrap().count(), 0);
}

#[test]
fn who_is_killed_leaves_nothing_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let mut state = 12_345u32;
    for round in 0..50 {
        let path = directory.path().join(format!("store-{}", round / 5));
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let mut child = command("slow", &path).spawn().unwrap();
        // About as long as all of it takes.
        thread::sleep(Duration::from_micros(u64::from(state >> 8) % 400_000));
        // Windows does not kill who has ended.
        assert!(child.kill().is_ok() || cfg!(windows));
        child.wait().unwrap();
        assert_sound(&path);
        if round % 5 == 4 {
            // Whatever five killed processes left, the next run is right.
            let said = answer(&mut command("pull", &path));
            assert!(said.starts_with('['), "{said}");
            assert!(whole(&Store::open(&path).unwrap()));
            assert_eq!(fs::read_dir(path.join("unlade/parts")).unwrap().count(), 0);
        }
    }
}

#[test]
fn what_a_killed_process_left_is_gone_on_with() {
    let directory = tempfile::tempdir().unwrap();
    // A busy machine may let it finish a blob before we look again.
    let resumed = (0..20).any(|round| {
        let path = directory.path().join(format!("store-{round}"));
        let mut child = command("slow", &path).spawn().unwrap();
        let arrived = |entry: fs::DirEntry| entry.metadata().is_ok_and(|found| found.len() > 0);
        let parts = || fs::read_dir(path.join("unlade/parts")).into_iter().flatten().flatten();
        while !parts().any(arrived) && child.try_wait().unwrap().is_none() {
            thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        answer(&mut command("pull", &path)).contains(|c: char| c.is_ascii_digit() && c != '0')
    });
    assert!(resumed, "no run went on with what another had left");
}

#[cfg(unix)]
#[test]
fn a_full_disk_is_an_error_and_what_fits_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    // No file may be larger than 1.5 MiB: the write fails, as on a full disk.
    let mut limited = Command::new("sh");
    limited.args(["-c", r#"trap "" XFSZ; ulimit -f 3072; exec "$0" "$@""#]).arg(env::current_exe().unwrap());
    configure(&mut limited, "pull", &path);
    let said = answer(&mut limited);
    let part = path.join("unlade/parts").join(layer(0).1.digest.to_string().replace(':', "-"));
    assert!(said.starts_with(&format!("cannot write {}: File too large", part.display())), "{said}");
    assert!(fs::read(&part).unwrap() == layer(0).0[..3072 * 512]);
    assert_sound(&path);

    assert_eq!(answer(&mut command("pull", &path)), format!("[{}, 0]", 3072 * 512));
    assert!(whole(&Store::open(&path).unwrap()));
}

#[cfg(unix)]
#[test]
fn what_cannot_be_written_can_be_read() {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = directory.path().join("store");
    pull(&path, Duration::ZERO).unwrap();
    let chmod = |mode: &str| tools::run(Command::new("chmod").args(["-R", mode]).arg(&path)).unwrap();
    chmod("a-w,a+rX");
    let mut reader = if tools::is_root() {
        // No permission binds root, so somebody else reads: a copy of this program, where they may.
        let program = directory.path().join("program");
        fs::copy(env::current_exe().unwrap(), &program).unwrap();
        let mut reader = tools::command("setpriv");
        reader.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program);
        reader
    } else {
        Command::new(env::current_exe().unwrap())
    };
    configure(&mut reader, "read", &path);
    let said = answer(&mut reader);
    chmod("u+w");
    let (new, a) = (Digest::sha256(b"new").hex(), Digest::sha256(b"a").hex());
    assert_eq!(
        said,
        format!(
            "cannot write /unlade/parts/sha256-{new}; cannot write /unlade/diff-ids/sha256-{a}; \
             cannot open /unlade/lock"
        )
    );
}

#[test]
fn many_processes_make_one_store_and_tag_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let children: Vec<_> = (0..8).map(|_| command("pull", &path).spawn().unwrap()).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains("answer: ["), "{said}");
    }
    assert!(whole(&Store::open(&path).unwrap()));
    // Threads of one process are no different.
    let store = Store::open(&path).unwrap();
    let platforms = ["amd64", "arm64", "riscv64", "s390x", "ppc64le", "386"];
    thread::scope(|scope| {
        for platform in platforms {
            let store = &store;
            scope.spawn(move || {
                let platform = format!("linux/{platform}").parse().ok();
                let descriptor = Descriptor { platform, ..layer(0).1 };
                store.tag(&"many".parse().unwrap(), descriptor, None).unwrap();
            });
        }
    });
    assert_eq!(store.tags().unwrap().len(), 1 + platforms.len());
}
