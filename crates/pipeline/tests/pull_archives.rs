//! Pulling from tarballs: of OCI layouts, and of `docker save`. Numbers are lines of `docs/hostile-inputs.md`.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use common::{LAYER, Layout, config, describe, named, pull_anew};
use hash::Digest;
use serde_json::{Value, json};
use testkit::image::{Header, Layer, Tar};
#[cfg(unix)]
use testkit::tools::{command, run};

const AMD64: &str = "linux/amd64";

/// A file that goes away.
fn file(bytes: &[u8]) -> tempfile::TempPath {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file.into_temp_path()
}

/// Pulls from an archive, and gives the manifest's digest or what went wrong, without the archive's path.
fn pulled(transport: &str, archive: &[u8], chosen: &str) -> Result<oci::Image, String> {
    let path = file(archive);
    pull_anew(AMD64, &format!("{transport}:{}{chosen}", path.display()))
        .map_err(|said| said.replace(&path.display().to_string(), "FILE"))
}

fn refused(transport: &str, archive: &[u8], chosen: &str) -> String {
    pulled(transport, archive, chosen).unwrap_err()
}

/// A tarball of a directory, in the order of the names.
fn tar_of(directory: &Path) -> Vec<u8> {
    let mut files: Vec<PathBuf> = vec![directory.join("index.json"), directory.join("oci-layout")];
    files.extend(fs::read_dir(directory.join("blobs/sha256")).unwrap().map(|entry| entry.unwrap().path()));
    files.sort();
    let mut tar = Tar::default().directory("blobs/", 0o755).directory("blobs/sha256/", 0o755);
    for file in files {
        let name = file.strip_prefix(directory).unwrap().to_str().unwrap().replace('\\', "/");
        tar = tar.file(&name, 0o644, &fs::read(&file).unwrap());
    }
    tar.finish()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    Layer::gzip(bytes).blob
}

#[test]
fn an_oci_archive_is_a_layout() {
    let layout = Layout::new();
    let large = vec![9; 2 << 20];
    let [one, two] = [&b"one"[..], &large].map(|layer| layout.image(AMD64, &[layer]));
    layout.finish(&[named(one.clone(), "a"), named(two.clone(), "b")]);
    let archive = tar_of(&layout.path);
    for archive in [&archive, &gzip(&archive)] {
        let digest = |chosen| pulled("oci-archive", archive, chosen).map(|i| i.descriptor.digest.to_string());
        assert_eq!(digest(":a").unwrap(), one["digest"]);
        assert_eq!(digest(":b").unwrap(), two["digest"]);
        assert_eq!(digest(""), Err("FILE holds several images, and none is chosen: a, b".into()));
        assert_eq!(digest(":c"), Err("FILE holds no image \"c\"; there is a, b".into()));
    }
}

#[test]
fn oci_archives_that_are_refused() {
    let said = |tar: Tar| refused("oci-archive", &tar.finish(), "");
    assert_eq!(said(Tar::default()), "FILE is not an OCI archive: it has no oci-layout");
    assert_eq!(
        said(Tar::default().file("manifest.json", 0o644, b"[]")),
        "FILE is not an OCI archive; it looks like one of docker save: docker-archive: reads those"
    );
    let whole = |layout: &Layout| {
        let image = layout.image(AMD64, &[b"layer"]);
        layout.finish(&[image]);
        tar_of(&layout.path)
    };
    let layer = describe(LAYER, b"layer");
    let name = layer["digest"].as_str().unwrap().to_string();
    let blob = name.replace(':', "/");

    let layout = Layout::new();
    let archive = whole(&layout);
    let cut = refused("oci-archive", &archive[..archive.len() - 2000], "");
    assert_eq!(cut, "cannot read the archive FILE: entry 6: archive is cut off inside a header");

    let mut flipped = archive.clone();
    let at = flipped.windows(6).position(|window| window == b"layer\0").unwrap();
    flipped[at] = b'L';
    let found = Digest::sha256(b"Layer");
    assert_eq!(
        refused("oci-archive", &flipped, ""),
        format!(
            "cannot fetch layer 1 ({name}): blob {name} in FILE is not what its name says: digest mismatch: \
             expected {name}, found {found}"
        )
    );
    // A link out of the archive, to a file of the host with the right bytes.
    let elsewhere = file(b"layer");
    let rest = |tar: Tar| {
        let names = ["index.json", "oci-layout"].map(String::from).into_iter().chain(
            fs::read_dir(layout.path.join("blobs/sha256"))
                .unwrap()
                .map(|entry| format!("blobs/sha256/{}", entry.unwrap().file_name().to_str().unwrap()))
                .filter(|name| !name.ends_with(&blob)),
        );
        names.fold(tar, |tar, name| tar.file(&name, 0o644, &fs::read(layout.path.join(&name)).unwrap()))
    };
    let in_archive = format!("blobs/{blob}");
    // From the root on Windows as well, where a drive is a name like any other to an archive.
    let absolute = format!("/{}", elsewhere.to_str().unwrap().trim_start_matches('/'));
    for target in [&*absolute, "../../../../../../../../../etc/passwd"] {
        let link = Header { name: b"link", typeflag: b'2', link: target.as_bytes(), ..Header::default() };
        // A symlink of a long name does not fit, so there are two.
        let tar = rest(Tar::default()).entry(&link, b"").entry(
            &Header { name: in_archive.as_bytes(), typeflag: b'1', link: b"link", ..Header::default() },
            b"",
        );
        assert_eq!(
            said(tar),
            format!(
                "cannot fetch layer 1 ({name}): FILE names the file {in_archive}, which leads out of the archive"
            )
        );
    }
    let said_of_none = said(rest(Tar::default()));
    assert_eq!(said_of_none, format!("cannot fetch layer 1 ({name}): blob {name} is missing in FILE"));
    let device = Header { name: in_archive.as_bytes(), typeflag: b'3', device: (1, 5), ..Header::default() };
    assert_eq!(
        said(rest(Tar::default()).entry(&device, b"")),
        format!("cannot fetch layer 1 ({name}): {in_archive} in FILE is not a regular file")
    );
}

/// An archive of docker save under construction.
struct Saved {
    tar: Tar,
    list: Vec<Value>,
}

impl Saved {
    fn new() -> Saved {
        Saved { tar: Tar::default(), list: Vec::new() }
    }

    /// Lists an image; its layers are put in by the caller.
    fn image(mut self, tags: &[&str], files: &[&str], diff_ids: &[&[u8]]) -> Saved {
        let layers: Vec<Value> = diff_ids.iter().map(|bytes| describe(LAYER, bytes)).collect();
        let mut config = config(AMD64, &layers);
        config["number"] = self.list.len().into();
        let config = config.to_string();
        let name = format!("{}.json", Digest::sha256(config.as_bytes()).hex());
        self.tar = self.tar.file(&name, 0o644, config.as_bytes());
        let tags = if tags.is_empty() { Value::Null } else { json!(tags) };
        self.list.push(json!({"Config": name, "RepoTags": tags, "Layers": files}));
        self
    }

    fn with(self, change: impl FnOnce(Tar) -> Tar) -> Saved {
        Saved { tar: change(self.tar), ..self }
    }

    fn finish(self) -> Vec<u8> {
        let list = json!(self.list).to_string();
        self.tar.file("manifest.json", 0o644, list.as_bytes()).finish()
    }
}

/// 94: the legacy form, with links between layers
#[test]
fn what_docker_saved_long_ago() {
    let symlink = |name: &'static str, target: &'static str| Header {
        name: name.as_bytes(),
        typeflag: b'2',
        link: target.as_bytes(),
        ..Header::default()
    };
    let hard = |name: &'static str, target: &'static str| Header { typeflag: b'1', ..symlink(name, target) };
    let zipped = gzip(b"three");
    let archive = Saved::new()
        .with(|tar| {
            tar.directory("aa/", 0o755)
                .file("aa/layer.tar", 0o644, b"one")
                .file("aa/VERSION", 0o644, b"1.0")
                .entry(&symlink("bb/layer.tar", "../aa/layer.tar"), b"")
                .entry(&hard("cc/layer.tar", "./aa/layer.tar"), b"")
                .file("dd/layer.tar", 0o644, b"two")
                .file("ee.tar.gz", 0o644, &zipped)
                .file("repositories", 0o644, b"{}")
        })
        .image(
            &["alpine:3.20"],
            &["aa/layer.tar", "dd/layer.tar", "bb/layer.tar", "./cc/layer.tar", "ee.tar.gz"],
            &[b"one", b"two", b"one", b"one", b"three"],
        )
        .finish();
    let image = pulled("docker-archive", &archive, "").unwrap();
    let layers: Vec<_> = image.manifest.layers.iter().map(|l| (l.digest, l.media_type.as_str())).collect();
    let plain = |bytes: &[u8]| (Digest::sha256(bytes), LAYER);
    assert_eq!(
        layers,
        [
            plain(b"one"),
            plain(b"two"),
            plain(b"one"),
            plain(b"one"),
            (Digest::sha256(&zipped), "application/vnd.oci.image.layer.v1.tar+gzip")
        ]
    );
    // The manifest that is made is always the same, and the archive may be compressed.
    let again = pulled("docker-archive", &gzip(&archive), ":alpine:3.20").unwrap();
    assert_eq!(again.descriptor.digest, image.descriptor.digest);
    assert_eq!(
        refused("docker-archive", &archive, ":alpine"),
        "FILE holds no image \"alpine\"; there is alpine:3.20"
    );
}

/// 94: several images, no tags
#[test]
fn one_of_several() {
    let archive = Saved::new()
        .with(|tar| tar.file("l1", 0o644, b"one").file("l2", 0o644, b"two"))
        .image(&["docker.io/library/a:1", "b:2"], &["l1"], &[b"one"])
        .image(&[], &["l1", "l2"], &[b"one", b"two"])
        .finish();
    let layers = |chosen| pulled("docker-archive", &archive, chosen).map(|image| image.manifest.layers.len());
    assert_eq!(layers(":a:1"), Ok(1));
    assert_eq!(layers(":docker.io/library/b:2"), Ok(1));
    assert_eq!(layers(":@1"), Ok(2));
    let names = "docker.io/library/a:1, b:2, @1";
    assert_eq!(layers(""), Err(format!("FILE holds several images, and none is chosen: {names}")));
    assert_eq!(layers(":@2"), Err(format!("FILE holds no image \"@2\"; there is {names}")));
}

/// 87 and 94: what is refused
#[test]
fn saved_archives_that_are_refused() {
    let said = |saved: Saved| refused("docker-archive", &saved.finish(), "");
    let one = |tar: Tar| tar.file("l1", 0o644, b"one");
    let (expected, found) = (Digest::sha256(b"another"), Digest::sha256(b"one"));
    for (saved, expected) in [
        (Saved::new(), "FILE holds no image".to_string()),
        (
            Saved::new().image(&[], &["../../../etc/passwd"], &[b"one"]),
            "FILE names the file ../../../etc/passwd, which leads out of the archive".into(),
        ),
        (
            Saved::new().image(&[], &["/etc/passwd"], &[b"one"]),
            "FILE names the file /etc/passwd, which leads out of the archive".into(),
        ),
        (
            Saved::new().image(&[], &["no\u{1b}where"], &[b"one"]),
            "FILE names the file no\\u{1b}where, but does not have it".into(),
        ),
        (
            Saved::new().with(|tar| tar.symlink("a", "b").symlink("b", "a")).image(&[], &["a"], &[b"one"]),
            "a in FILE is not a regular file".into(),
        ),
        (
            Saved::new().with(|tar| tar.symlink("a", "/etc/passwd")).image(&[], &["a"], &[b"one"]),
            "FILE names the file a, which leads out of the archive".into(),
        ),
        (
            Saved::new().with(|tar| tar.directory("a", 0o755)).image(&[], &["a"], &[b"one"]),
            "a in FILE is not a regular file".into(),
        ),
        (
            Saved::new().with(one).image(&[], &["l1"], &[]),
            "cannot use FILE: the manifest has 1 layers, but the config has 0 diff IDs".into(),
        ),
        (
            Saved::new().with(one).image(&[], &["l1"], &[b"another"]),
            format!(
                "cannot fetch layer 1 ({expected}): blob {expected} in FILE is not what its name says: digest \
                 mismatch: expected {expected}, found {found}"
            ),
        ),
    ] {
        assert_eq!(said(saved), expected);
    }
    let said = |tar: Tar| refused("docker-archive", &tar.finish(), "");
    for (tar, expected) in [
        (Tar::default(), "FILE is not an archive of docker save: it has no manifest.json"),
        (
            Tar::default().file("oci-layout", 0o644, b"{}"),
            "FILE is not an archive of docker save; it looks like an OCI layout: oci-archive: reads those",
        ),
        (
            Tar::default().file("repositories", 0o644, b"{}"),
            "FILE is not an archive of docker save; it is older than docker 1.10: save it again with a current one",
        ),
        (
            Tar::default().file("manifest.json", 0o644, b"{}"),
            "manifest.json in FILE is malformed: invalid type: map, expected a sequence at line 1 column 0",
        ),
        (
            Tar::default().file("manifest.json", 0o644, br#"[{"Config":"gone"}]"#),
            "FILE names the file gone, but does not have it",
        ),
    ] {
        assert_eq!(said(tar), expected);
    }
    let short = refused("docker-archive", b"no archive at all", "");
    assert_eq!(short, "cannot read the archive FILE: entry 0: archive is cut off inside a header");
    let long = b"no tar, but as long as one. ".repeat(100);
    assert_eq!(
        refused("docker-archive", &long, ""),
        "cannot read the archive FILE: entry 0: not a tar header: its checksum is not a number"
    );
    let directory = tempfile::tempdir().unwrap();
    let said = pull_anew(AMD64, &format!("docker-archive:{}", directory.path().display())).unwrap_err();
    assert_eq!(said, format!("{} is not a regular file", directory.path().display()));
}

/// 94: the current form, where a layout is beside the list
#[test]
fn what_docker_saves_today() {
    let layout = Layout::new();
    let zipped = gzip(b"two");
    let layers =
        [layout.put(LAYER, b"one"), layout.put("application/vnd.oci.image.layer.v1.tar+gzip", &zipped)];
    let mut config = config(AMD64, &[describe(LAYER, b"one"), describe(LAYER, b"two")]);
    config["today"] = true.into();
    let manifest = layout.manifest(&config, &layers);
    let image = layout.document(common::MANIFEST, &manifest);
    layout.finish(&[named(image.clone(), "v1")]);
    let in_archive =
        |descriptor: &Value| format!("blobs/{}", descriptor["digest"].as_str().unwrap().replace(':', "/"));
    let list = json!([{
        "Config": in_archive(&manifest["config"]),
        "RepoTags": ["app:v1"],
        "Layers": layers.each_ref().map(in_archive),
    }]);
    let layout_tar = tar_of(&layout.path);
    // Another entry in front of the end of the archive.
    let archive = [
        Tar::default().file("manifest.json", 0o644, list.to_string().as_bytes()).finish()[..1024].to_vec(),
        layout_tar,
    ]
    .concat();
    let docker = pulled("docker-archive", &archive, ":app:v1").unwrap();
    let oci = pulled("oci-archive", &archive, ":v1").unwrap();
    assert_eq!(oci.descriptor.digest.to_string(), image["digest"]);
    assert_eq!(docker.config, oci.config);
    assert_eq!(docker.manifest.layers, oci.manifest.layers);
}

#[cfg(unix)]
#[test]
fn archives_by_skopeo() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).display().to_string();
    let layers = [
        Layer::gzip(&Tar::default().file("a", 0o644, b"a").finish()),
        Layer::gzip(&Tar::default().file("b", 0o644, b"b").finish()),
    ];
    let digest = testkit::image::write_layout(Path::new(&at("layout")), "v1", &layers, &json!({})).unwrap();
    let copy = |to: &str| {
        run(command("skopeo").args(["copy", "--quiet", &format!("oci:{}:v1", at("layout")), to])).unwrap();
    };
    let host = oci::Platform::host().to_string();
    copy(&format!("oci-archive:{}:v1", at("oci.tar")));
    let oci = pull_anew(&host, &format!("oci-archive:{}:v1", at("oci.tar"))).unwrap();
    assert_eq!(oci.descriptor.digest, digest);

    copy(&format!("docker-archive:{}:example.com/app:v1", at("docker.tar")));
    for chosen in ["", ":example.com/app:v1"] {
        let docker = pull_anew(&host, &format!("docker-archive:{}{chosen}", at("docker.tar"))).unwrap();
        assert_eq!(docker.config.rootfs, oci.config.rootfs);
    }
}
