//! Images in the shapes that builders give them, each with the tree that their users expect.
//!
//! The shapes are what Docker and BuildKit, Buildah, Kaniko, Bazel's rules_oci and rules_docker, Nix's
//! dockerTools, ko, Jib, apko and crane write: which entries there are, how they are named, what stands around
//! the image.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod support;

use std::fs;

use serde_json::{Value, json};
use support::Place;
use testkit::image::{Header, Layer, Stored, Tar, put, write_documents, write_layout};
use testkit::judge::e2fsck;
use testkit::large::{self, Compression};
use testkit::tools;

fn entry<'a>(name: &'a str, typeflag: u8, mode: u32) -> Header<'a> {
    Header { name: name.as_bytes(), typeflag, mode, ..Header::default() }
}

fn link<'a>(name: &'a str, typeflag: u8, target: &'a str) -> Header<'a> {
    Header { link: target.as_bytes(), ..entry(name, typeflag, 0o777) }
}

/// Builds the image in all formats and lists it: mode, owner, time where there is one, name.
#[track_caller]
fn check(place: &Place, image: &str, expected: &[&str]) {
    place.done(&["build", image, "-o", "a.ext4"]);
    e2fsck(&place.path("a.ext4")).unwrap();
    place.done(&["build", image, "-o", "a.tar"]);
    tools::run(tools::command("tar").arg("-tf").arg(place.path("a.tar"))).unwrap();
    let lines: Vec<String> = place
        .done(&["ls", image])
        .out
        .lines()
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let time = match (words[4], words[5]) {
                ("1970-01-01", "00:00:00") => String::new(),
                (date, time) => format!("{date}T{time} "),
            };
            format!("{} {}:{} {time}{}", words[0], words[1], words[2], words[6..].join(" "))
        })
        .collect();
    assert_eq!(lines, expected, "{image}");
}

#[test]
fn docker_and_buildkit() {
    let place = Place::new();
    // COPY --link and RUN: entries for all parents, a layer of a whiteout, an empty layer of a WORKDIR.
    let layers = [
        Layer::gzip(
            &Tar::default()
                .directory("etc/", 0o755)
                .file("etc/passwd", 0o644, b"root")
                .directory("tmp/", 0o1777)
                .directory("var/", 0o755)
                .directory("var/cache/", 0o755)
                .file("var/cache/pkg", 0o644, b"x")
                .finish(),
        ),
        Layer::gzip(
            &Tar::default()
                .directory("var/", 0o755)
                .directory("var/cache/", 0o755)
                .file("var/cache/.wh.pkg", 0, b"")
                .finish(),
        ),
        Layer::gzip(&Tar::default().finish()),
        Layer::gzip(&Tar::default().directory("app/", 0o755).file("app/run", 0o755, b"#!").finish()),
    ];
    let expected = [
        "drwxr-xr-x 0:0 /",
        "drwxr-xr-x 0:0 /app",
        "-rwxr-xr-x 0:0 /app/run",
        "drwxr-xr-x 0:0 /etc",
        "-rw-r--r-- 0:0 /etc/passwd",
        "drwxrwxrwt 0:0 /tmp",
        "drwxr-xr-x 0:0 /var",
        "drwxr-xr-x 0:0 /var/cache",
    ];
    let layout = place.path("docker");
    write_layout(&layout, "latest", &layers, &json!({})).unwrap();
    check(&place, "oci:docker", &expected);

    // BuildKit puts an index around it, with an attestation for each image, and writes zstd if asked to.
    let index_file = layout.join("index.json");
    let mut index: Value = serde_json::from_slice(&fs::read(&index_file).unwrap()).unwrap();
    let mut image = index["manifests"][0].clone();
    image["platform"] = json!({ "os": "linux", "architecture": std::env::consts::ARCH.replace("x86_64", "amd64").replace("aarch64", "arm64") });
    let statement = put(&layout, "application/vnd.in-toto+json", b"{}").unwrap();
    let config = put(
        &layout,
        "application/vnd.oci.image.config.v1+json",
        br#"{"architecture":"unknown","os":"unknown","rootfs":{"type":"layers","diff_ids":[]}}"#,
    );
    let attestation = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config.unwrap(), "layers": [statement],
    });
    let mut attestation =
        put(&layout, "application/vnd.oci.image.manifest.v1+json", attestation.to_string().as_bytes())
            .unwrap();
    attestation["platform"] = json!({ "os": "unknown", "architecture": "unknown" });
    attestation["annotations"] = json!({
        "vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": image["digest"],
    });
    let inner = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [image, attestation],
    });
    index["manifests"] =
        json!([
            put(&layout, "application/vnd.oci.image.index.v1+json", inner.to_string().as_bytes()).unwrap()
        ]);
    fs::write(index_file, index.to_string()).unwrap();
    check(&place, "oci:docker", &expected);

    let layers: Vec<Stored> = layers
        .iter()
        .map(|layer| {
            let mut tar = Vec::new();
            std::io::Read::read_to_end(&mut flate(&layer.blob), &mut tar).unwrap();
            large::layer(&place.path("zstd"), Compression::Zstd, |out| out.write_all(&tar)).unwrap()
        })
        .collect();
    write_documents(&place.path("zstd"), "latest", &layers, &json!({})).unwrap();
    check(&place, "oci:zstd", &expected);
}

/// Expands with another program than the one under test.
fn flate(blob: &[u8]) -> std::io::Cursor<Vec<u8>> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), blob).unwrap();
    std::io::Cursor::new(tools::run(tools::command("gzip").arg("-dc").stdin(file.reopen().unwrap())).unwrap())
}

#[test]
fn kaniko() {
    let place = Place::new();
    // Names from the root, an entry for the root itself, whiteouts with a leading slash.
    let below = Tar::default()
        .entry(&entry("/", b'5', 0o755), b"")
        .entry(&entry("/etc/", b'5', 0o755), b"")
        .entry(&entry("/etc/old", b'0', 0o644), b"x")
        .entry(&entry("/home/", b'5', 0o750), b"")
        .entry(&Header { owner: (1000, 1000), ..entry("/home/me", b'0', 0o600) }, b"x");
    let above = Tar::default()
        .entry(&entry("/", b'5', 0o755), b"")
        .entry(&entry("/etc/", b'5', 0o755), b"")
        .entry(&entry("/etc/.wh.old", b'0', 0), b"")
        .entry(&entry("/etc/new", b'0', 0o644), b"x");
    let layers = [below, above].map(|tar| Layer::gzip(&tar.finish()));
    write_layout(&place.path("kaniko"), "x", &layers, &json!({})).unwrap();
    check(
        &place,
        "oci:kaniko",
        &[
            "drwxr-xr-x 0:0 /",
            "drwxr-xr-x 0:0 /etc",
            "-rw-r--r-- 0:0 /etc/new",
            "drwxr-x--- 0:0 /home",
            "-rw------- 1000:1000 /home/me",
        ],
    );
}

#[test]
fn bazel() {
    let place = Place::new();
    // rules_docker and rules_oci: `./` in front, no entries for directories, one user for all, no times; and
    // a program's runfiles as symlinks.
    let owner = (65_532, 65_532);
    let tar = Tar::default()
        .entry(&Header { owner, ..entry("./app/server.runfiles/repo/lib.so", b'0', 0o555) }, b"x")
        .entry(&Header { owner, ..link("./app/server.runfiles/repo/server", b'2', "../../server") }, b"")
        .entry(&Header { owner, ..entry("./app/server", b'0', 0o555) }, b"x");
    // Debian's packages, one a layer: distroless, with directories that others have too.
    let package = Tar::default()
        .entry(&entry("./", b'5', 0o755), b"")
        .entry(&entry("./var/lib/dpkg/status.d/base", b'0', 0o644), b"x");
    let layers = [package, tar].map(|tar| Layer::gzip(&tar.finish()));
    write_layout(&place.path("bazel"), "x", &layers, &json!({})).unwrap();
    check(
        &place,
        "oci:bazel",
        &[
            "drwxr-xr-x 0:0 /",
            "drwxr-xr-x 0:0 /app",
            "-r-xr-xr-x 65532:65532 /app/server",
            "drwxr-xr-x 0:0 /app/server.runfiles",
            "drwxr-xr-x 0:0 /app/server.runfiles/repo",
            "-r-xr-xr-x 65532:65532 /app/server.runfiles/repo/lib.so",
            "lrwxrwxrwx 65532:65532 /app/server.runfiles/repo/server -> ../../server",
            "drwxr-xr-x 0:0 /var",
            "drwxr-xr-x 0:0 /var/lib",
            "drwxr-xr-x 0:0 /var/lib/dpkg",
            "drwxr-xr-x 0:0 /var/lib/dpkg/status.d",
            "-rw-r--r-- 0:0 /var/lib/dpkg/status.d/base",
        ],
    );
    // rules_oci's layout in bazel-bin has symlinks for blobs. They may lead anywhere, and are not followed.
    let blobs = place.path("bazel/blobs/sha256");
    for blob in fs::read_dir(&blobs).unwrap() {
        let blob = blob.unwrap().path();
        let moved = place.path("cas").join(blob.file_name().unwrap());
        fs::create_dir_all(place.path("cas")).unwrap();
        fs::rename(&blob, &moved).unwrap();
        std::os::unix::fs::symlink(&moved, &blob).unwrap();
    }
    let said = place.run(&["build", "oci:bazel", "-o", "b.ext4", "--store", "other"]);
    assert_eq!(said.code, Some(1), "{}", said.err);
    assert!(said.err.contains("is not a regular file"), "{}", said.err);
}

#[test]
fn nix() {
    let place = Place::new();
    // dockerTools: a layer for each path of the store, directories without write permission, the time 1, hard
    // links from optimising the store; the last layer is the customisation, with links to all others.
    let dated = |header: Header<'static>| Header { mtime: 1, ..header };
    let path = |hash: &'static str, program: &'static str| {
        let names: [&'static str; 3] = [
            hash,
            Box::leak(format!("{hash}/bin").into_boxed_str()),
            Box::leak(format!("{hash}/bin/{program}").into_boxed_str()),
        ];
        Tar::default()
            .entry(&dated(entry("./nix", b'5', 0o755)), b"")
            .entry(&dated(entry("./nix/store", b'5', 0o755)), b"")
            .entry(&dated(entry(names[0], b'5', 0o555)), b"")
            .entry(&dated(entry(names[1], b'5', 0o555)), b"")
            .entry(&dated(entry(names[2], b'0', 0o555)), program.as_bytes())
    };
    let bash = path("nix/store/a-bash", "bash").entry(
        &dated(Header { mode: 0o555, ..link("nix/store/a-bash/bin/sh", b'1', "nix/store/a-bash/bin/bash") }),
        b"",
    );
    let coreutils = path("nix/store/b-core", "coreutils")
        .entry(&dated(link("nix/store/b-core/bin/ls", b'2', "coreutils")), b"");
    let custom = Tar::default()
        .entry(&dated(entry("./", b'5', 0o755)), b"")
        .entry(&dated(entry("./bin", b'5', 0o555)), b"")
        .entry(&dated(link("./bin/sh", b'2', "/nix/store/a-bash/bin/sh")), b"")
        .entry(&dated(entry("./tmp", b'5', 0o1777)), b"");
    let layers = [bash, coreutils, custom].map(|tar| Layer::gzip(&tar.finish()));
    write_layout(&place.path("nix"), "x", &layers, &json!({})).unwrap();
    check(
        &place,
        "oci:nix",
        &[
            "drwxr-xr-x 0:0 1970-01-01T00:00:01 /",
            "dr-xr-xr-x 0:0 1970-01-01T00:00:01 /bin",
            "lrwxrwxrwx 0:0 1970-01-01T00:00:01 /bin/sh -> /nix/store/a-bash/bin/sh",
            "drwxr-xr-x 0:0 1970-01-01T00:00:01 /nix",
            "drwxr-xr-x 0:0 1970-01-01T00:00:01 /nix/store",
            "dr-xr-xr-x 0:0 1970-01-01T00:00:01 /nix/store/a-bash",
            "dr-xr-xr-x 0:0 1970-01-01T00:00:01 /nix/store/a-bash/bin",
            "-r-xr-xr-x 0:0 1970-01-01T00:00:01 /nix/store/a-bash/bin/bash",
            "-r-xr-xr-x 0:0 1970-01-01T00:00:01 /nix/store/a-bash/bin/sh = /nix/store/a-bash/bin/bash",
            "dr-xr-xr-x 0:0 1970-01-01T00:00:01 /nix/store/b-core",
            "dr-xr-xr-x 0:0 1970-01-01T00:00:01 /nix/store/b-core/bin",
            "-r-xr-xr-x 0:0 1970-01-01T00:00:01 /nix/store/b-core/bin/coreutils",
            "lrwxrwxrwx 0:0 1970-01-01T00:00:01 /nix/store/b-core/bin/ls -> coreutils",
            "drwxrwxrwt 0:0 1970-01-01T00:00:01 /tmp",
        ],
    );
    // As a directory too: what cannot be written to is written first.
    place.done(&["build", "oci:nix", "-o", "rootfs/"]);
    assert_eq!(fs::read(place.path("rootfs/nix/store/b-core/bin/coreutils")).unwrap(), b"coreutils");
}

#[test]
fn ko_jib_apko_and_crane() {
    let place = Place::new();
    // ko: the binary below directories of mode 0555, and a tree of files that are symlinks in the source.
    let ko = Tar::default()
        .entry(&entry("/var/run/ko", b'5', 0o555), b"")
        .entry(&entry("/ko-app", b'5', 0o555), b"")
        .entry(&entry("/ko-app/app", b'0', 0o555), b"x");
    // Jib: dependencies, resources, classes, each a layer, all at the first second of 1970.
    let jib = Tar::default()
        .entry(&Header { mtime: 1, ..entry("/app/", b'5', 0o755) }, b"")
        .entry(&Header { mtime: 1, ..entry("/app/classes/", b'5', 0o755) }, b"")
        .entry(&Header { mtime: 1, ..entry("/app/classes/Main.class", b'0', 0o644) }, b"x");
    // apko: a whole distribution in one layer, the busybox links as hard links or symlinks, devices.
    let apko = Tar::default()
        .entry(&entry("bin", b'5', 0o755), b"")
        .entry(&entry("bin/busybox", b'0', 0o755), b"x")
        .entry(&link("bin/sh", b'2', "/bin/busybox"), b"")
        .entry(&entry("dev", b'5', 0o755), b"")
        .entry(&Header { device: (1, 3), ..entry("dev/null", b'3', 0o666) }, b"");
    // `crane append` takes any tarball: here one that git made, with a header for all.
    let crane = Tar::default()
        .entry(
            &entry("pax_global_header", b'g', 0o666),
            b"52 comment=0123456789abcdef0123456789abcdef01234567\n",
        )
        .entry(&entry("src/", b'5', 0o775), b"")
        .entry(&entry("src/main.rs", b'0', 0o664), b"x");
    let layers = [apko, ko, jib, crane].map(|tar| Layer::gzip(&tar.finish()));
    write_layout(&place.path("all"), "x", &layers, &json!({})).unwrap();
    check(
        &place,
        "oci:all",
        &[
            "drwxr-xr-x 0:0 /",
            "drwxr-xr-x 0:0 1970-01-01T00:00:01 /app",
            "drwxr-xr-x 0:0 1970-01-01T00:00:01 /app/classes",
            "-rw-r--r-- 0:0 1970-01-01T00:00:01 /app/classes/Main.class",
            "drwxr-xr-x 0:0 /bin",
            "-rwxr-xr-x 0:0 /bin/busybox",
            "lrwxrwxrwx 0:0 /bin/sh -> /bin/busybox",
            "drwxr-xr-x 0:0 /dev",
            "crw-rw-rw- 0:0 /dev/null",
            "dr-xr-xr-x 0:0 /ko-app",
            "-r-xr-xr-x 0:0 /ko-app/app",
            "drwxrwxr-x 0:0 /src",
            "-rw-rw-r-- 0:0 /src/main.rs",
            "drwxr-xr-x 0:0 /var",
            "drwxr-xr-x 0:0 /var/run",
            "dr-xr-xr-x 0:0 /var/run/ko",
        ],
    );
}

#[test]
fn buildah() {
    let place = Place::new();
    // One layer for all steps, whiteouts where the host's overlay had them, opaque directories before what is
    // in them, and times to the nanosecond in pax headers.
    let below = Tar::default().directory("opt/", 0o755).file("opt/a", 0o644, b"").file("opt/b", 0o644, b"");
    let above = Tar::default()
        .directory("opt/", 0o700)
        .file("opt/.wh..wh..opq", 0, b"")
        .entry(&entry("x", b'x', 0o644), b"30 mtime=1234567890.123456789\n")
        .file("opt/b", 0o600, b"new");
    let layers = [below, above].map(|tar| Layer::gzip(&tar.finish()));
    write_layout(&place.path("buildah"), "x", &layers, &json!({})).unwrap();
    check(
        &place,
        "oci:buildah",
        &["drwxr-xr-x 0:0 /", "drwx------ 0:0 /opt", "-rw------- 0:0 2009-02-13T23:31:30 /opt/b"],
    );
}
