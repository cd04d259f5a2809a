//! Who runs: unlade and the others, each as the commands that do its job.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::cost::{self, Cost};
use super::place::{Place, peer};
use crate::cfsctl;

/// Something that does a job.
pub(super) struct Contender {
    pub(super) name: &'static str,
    /// Done once, before the first run, and not measured.
    before: Vec<Vec<String>>,
    /// What a run makes, the result first. Removed before the next.
    pub(super) outputs: Vec<PathBuf>,
    /// The job, in steps that are measured together.
    pub(super) steps: Vec<Vec<String>>,
    work: PathBuf,
}

/// Everybody. `remote` is the image's name in a registry.
pub(super) fn all(place: &Place, remote: &str) -> Vec<Contender> {
    let work = &place.work;
    let at = |name: &str| place.file(name);
    let (oci, size) = (format!("oci:{}", place.image()), place.size.to_string());
    let unlade = |arguments: &[&str], store: &str| {
        let own = ["--progress", "none", "--quiet", "--store", &at(store)].map(String::from);
        [vec![place.unlade.display().to_string()], words(arguments), own.to_vec()].concat()
    };
    let build = |output: &str, store: &str| unlade(&["build", &oci, "-o", &at(output)], store);
    let umoci = words(&["umoci", "unpack", "--image", &place.image(), &at("bundle")]);
    let rootfs = at("bundle/rootfs");
    // Unpacked once for all of mkfs.erofs's rows: that takes far longer than they do, and is measured by itself.
    let flat = at("flat/rootfs");
    let unpack_once =
        format!("test -d {} || umoci unpack --image {} {}", at("flat"), place.image(), at("flat"));
    let flattened = words(&["sh", "-c", &unpack_once]);
    let layout = place.layout.display().to_string();
    let cfsctl = cfsctl::program().display().to_string();

    vec![
        Contender::new("unlade build, cold", work, &["u.ext4", "store"]).step(build("u.ext4", "store")),
        Contender::new("unlade build, warm", work, &["w.ext4"])
            .once(build("w.ext4", "warm"))
            .step(build("w.ext4", "warm")),
        Contender::new("unlade build to tar, cold", work, &["u.tar", "store"]).step(build("u.tar", "store")),
        Contender::new("unlade build to tar, warm", work, &["w.tar"])
            .once(build("w.tar", "warm-tar"))
            .step(build("w.tar", "warm-tar")),
        Contender::new("unlade build to directory, cold", work, &["u.dir", "store"])
            .step(build("u.dir/", "store")),
        Contender::new("unlade build to erofs, cold", work, &["u.erofs", "store"])
            .step(build("u.erofs", "store")),
        Contender::new("unlade build to erofs, lz4, cold", work, &["u.erofs", "store"])
            .step([build("u.erofs", "store"), words(&["--compress", "lz4"])].concat()),
        Contender::new("unlade build to erofs, lz4hc, cold", work, &["u.erofs", "store"])
            .step([build("u.erofs", "store"), words(&["--compress", "lz4hc"])].concat()),
        Contender::new("unlade build to erofs, zstd, cold", work, &["u.erofs", "store"]).step(
            [build("u.erofs", "store"), words(&["--compress", "zstd", "--erofs-min-kernel", "6.10"])]
                .concat(),
        ),
        Contender::new("unlade build from registry, cold", work, &["r.ext4", "store"])
            .step(unlade(&["build", remote, "-o", &at("r.ext4")], "store")),
        Contender::new("unlade pull from layout", work, &["store"]).step(unlade(&["pull", &oci], "store")),
        Contender::new("unlade pull from registry", work, &["store"])
            .step(unlade(&["pull", remote], "store")),
        Contender::new("umoci + mke2fs -d", work, &["m.ext4", "bundle"]).step(umoci.clone()).step(words(&[
            "mke2fs",
            "-q",
            "-F",
            "-t",
            "ext4",
            "-d",
            &rootfs,
            &at("m.ext4"),
            &kib(place.size),
        ])),
        Contender::new("umoci + mkext4", work, &["k.ext4", "bundle"]).step(umoci.clone()).step(words(&[
            &peer("bench-mkext4"),
            &rootfs,
            &at("k.ext4"),
            &size,
        ])),
        Contender::new("mkfs.erofs", work, &["m.erofs"]).once(flattened.clone()).step(mkfs_erofs(
            &[],
            &at("m.erofs"),
            &flat,
        )),
        Contender::new("mkfs.erofs, lz4", work, &["m.erofs"]).once(flattened.clone()).step(mkfs_erofs(
            &["-zlz4"],
            &at("m.erofs"),
            &flat,
        )),
        Contender::new("mkfs.erofs, lz4hc", work, &["m.erofs"]).once(flattened.clone()).step(mkfs_erofs(
            &["-zlz4hc,9"],
            &at("m.erofs"),
            &flat,
        )),
        // Debian's has no zstd: erofs-utils from 1.8 on.
        Contender::new("mkfs.erofs, zstd", work, &["m.erofs"]).once(flattened).step(mkfs_erofs(
            &["-zzstd,3"],
            &at("m.erofs"),
            &flat,
        )),
        Contender::new("umoci unpack", work, &["bundle"]).step(umoci),
        Contender::new("arcbox-ext4", work, &["a.ext4"]).step(words(&[
            &peer("bench-arcbox-ext4"),
            &layout,
            &at("a.ext4"),
            &size,
        ])),
        Contender::new("ocirender to tar", work, &["o.tar"]).step(words(&[
            &peer("bench-ocirender"),
            "tar",
            &layout,
            &at("o.tar"),
        ])),
        Contender::new("ocirender to directory", work, &["o.dir"]).step(words(&[
            &peer("bench-ocirender"),
            "dir",
            &layout,
            &at("o.dir"),
        ])),
        Contender::new("unlade composefs pull", work, &["c.repo", "store"])
            .step(unlade(&["composefs", "init", "--insecure", "--repo", &at("c.repo")], "store"))
            .step(unlade(&["composefs", "pull", "--repo", &at("c.repo"), &oci, "it"], "store")),
        // Of `cargo xtask cfsctl`.
        Contender::new("cfsctl oci pull", work, &["f.repo"])
            .step(words(&[&cfsctl, "--repo", &at("f.repo"), "init", "--insecure"]))
            .step(words(&[&cfsctl, "--repo", &at("f.repo"), "oci", "pull", &oci, "it"])),
        Contender::new("skopeo copy from layout", work, &["copy"]).step(words(&[
            "skopeo",
            "copy",
            "--quiet",
            &oci,
            &format!("oci:{}:latest", at("copy")),
        ])),
        Contender::new("skopeo copy from registry", work, &["copy"]).step(words(&[
            "skopeo",
            "copy",
            "--quiet",
            "--src-tls-verify=false",
            &format!("docker://{}", remote),
            &format!("oci:{}:latest", at("copy")),
        ])),
    ]
}

/// As unlade compresses by default.
fn mkfs_erofs(algorithm: &[&str], rootfs: &str, from: &str) -> Vec<String> {
    let compressed: &[&str] = if algorithm.is_empty() { &[] } else { &["-C65536", "-Eztailpacking"] };
    words(&[&["mkfs.erofs", "--quiet"], algorithm, compressed, &[rootfs, from]].concat())
}

impl Contender {
    /// One that makes what has these names.
    fn new(name: &'static str, work: &Path, makes: &[&str]) -> Contender {
        let outputs: Vec<PathBuf> = makes.iter().map(|name| work.join(name)).collect();
        Contender { name, before: vec![], steps: vec![], outputs, work: work.to_owned() }
    }

    fn once(mut self, argv: Vec<String>) -> Contender {
        self.before.push(argv);
        self
    }

    fn step(mut self, argv: Vec<String>) -> Contender {
        self.steps.push(argv);
        self
    }

    /// What has to be done once.
    pub(super) fn prepare(&self) -> io::Result<()> {
        self.clear()?;
        self.before.iter().try_for_each(|argv| cost::quietly(argv))
    }

    /// One run, from a clean start to the last step. What it left stays, for whoever wants to look at it.
    pub(super) fn run(&self) -> io::Result<Vec<Cost>> {
        self.clear()?;
        cost::flush(&self.work)?;
        let figures = self.work.join("figures");
        let mut costs = Vec::new();
        for argv in &self.steps {
            costs.push(cost::measure(argv, &figures)?);
        }
        let flush = cost::flush(&self.work)?;
        if let Some(last) = costs.last_mut() {
            last.flush = flush;
        }
        Ok(costs)
    }

    /// Removes what a run has left.
    pub(super) fn clear(&self) -> io::Result<()> {
        for path in &self.outputs {
            let gone = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
            gone.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })?;
        }
        Ok(())
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| word.to_string()).collect()
}

/// A size as mke2fs reads it.
fn kib(bytes: u64) -> String {
    format!("{}k", bytes / 1024)
}
