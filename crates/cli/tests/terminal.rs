//! What strangers wrote, on its way to a terminal: no byte of it moves a cursor, changes a title, turns text
//! around or fakes a line; and JSON is JSON whatever the bytes.
//!
//! Every command is shown hostile text in every place that reaches its output, and every byte of that output is
//! looked at.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use support::schema::conforms;
use support::{Place, unescaped};
use testkit::hello;
use testkit::image::{Header, Layer, Tar, write_layout};
use testkit::registry::fault::{header, redirect};
use testkit::registry::{FakeRegistry, Fault, Response};

/// Title, colour, bell, backspace, carriage return, newline, delete; C1 control sequence introducers in UTF-8
/// and raw; overrides of direction, invisible characters.
const HOSTILE: &[u8] =
    b"A\x1b]0;t\x07\x1b[31m\x08\r\nerror: fake\x7f\xc2\x9b1m\x9b2m\xe2\x80\xae\xe2\x81\xa6\
    \xd8\x9c\xe2\x80\x8b\xef\xbb\xbf\xffZ";

/// The same as far as it is text.
fn text() -> String {
    HOSTILE.utf8_chunks().map(|chunk| chunk.valid()).collect()
}

/// Runs the command, whose output must be harmless; gives its exit code, and all that it said.
#[track_caller]
fn harmless(command: &mut Command) -> (Option<i32>, String) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let mut said = String::new();
    for bytes in [&output.stdout, &output.stderr] {
        let shown = String::from_utf8(bytes.clone()).unwrap_or_else(|error| {
            panic!("{command:?}: raw bytes: {}", String::from_utf8_lossy(error.as_bytes()))
        });
        let faults: Vec<char> = shown.chars().filter(|c| *c != '\n' && is_obeyed(*c)).collect();
        assert!(faults.is_empty(), "{command:?}: {faults:?} in {shown:?}");
        assert!(
            !shown.lines().any(|line| line.starts_with("error: fake")),
            "{command:?}: a faked line: {shown}"
        );
        assert!(!shown.contains("panicked"), "{command:?}: {shown}");
        said += &shown;
    }
    (output.status.code(), said)
}

/// What a terminal acts upon, or what makes text look like another.
fn is_obeyed(c: char) -> bool {
    c.is_control() || "\u{61c}\u{200b}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}\u{feff}".contains(c)
}

/// A pax header for what follows.
fn pax(tar: Tar, records: &[(&str, &[u8])]) -> Tar {
    let records: Vec<Vec<u8>> = records
        .iter()
        .map(|(key, value)| {
            let rest = 1 + key.len() + 1 + value.len() + 1;
            let length = (1..).find(|digits| (rest + digits).to_string().len() == *digits).unwrap() + rest;
            [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
        })
        .collect();
    tar.entry(&Header { name: b"x", typeflag: b'x', ..Header::default() }, &records.concat())
}

fn named<'a>(name: &'a [u8], typeflag: u8, link: &'a [u8]) -> Header<'a> {
    Header { name, typeflag, link, ..Header::default() }
}

fn image(place: &Place, name: &str, layers: &[Tar], config: &Value) {
    let layers: Vec<Layer> = layers.iter().map(|tar| Layer::plain(tar.clone().finish())).collect();
    write_layout(&place.path(name), "x", &layers, config).unwrap();
}

/// Replaces a document of a layout by what `change` makes of it.
fn edit(layout: &Path, change: impl FnOnce(&mut Value)) {
    let index = layout.join("index.json");
    let mut document: Value = serde_json::from_slice(&fs::read(&index).unwrap()).unwrap();
    change(&mut document);
    fs::write(index, document.to_string()).unwrap();
}

/// Puts a document into a layout, and gives its descriptor.
fn put(layout: &Path, media_type: &str, document: &Value) -> Value {
    let bytes = document.to_string();
    let digest = hash::Digest::sha256(bytes.as_bytes());
    fs::write(layout.join("blobs/sha256").join(digest.hex()), &bytes).unwrap();
    json!({ "mediaType": media_type, "digest": digest.to_string(), "size": bytes.len() })
}

#[test]
fn names_of_files() {
    let place = Place::new();
    let odd = pax(
        Tar::default(),
        &[
            ("SCHILY.xattr.user.\x1b]0;t\x07\u{202e}", HOSTILE),
            ("SCHILY.xattr.trusted.overlay.\x1b[31m", b""),
        ],
    )
    .entry(&named(HOSTILE, b'0', b""), b"x")
    .entry(&named(b"link", b'2', HOSTILE), b"")
    .entry(&named(b"second", b'1', HOSTILE), b"")
    .entry(&named(b"odd\x1b[31m", b'Y', b""), b"")
    .entry(&Header { mode: 0o7_777_777, ..named(b"mode\x1b[31m", b'0', b"") }, b"");
    image(&place, "odd", &[odd], &json!({}));
    for arguments in [
        &["ls", "oci:odd"][..],
        &["ls", "oci:odd", "-v"],
        &["build", "oci:odd", "-o", "a.ext4", "-v"],
        &["build", "oci:odd", "-o", "b.tar"],
    ] {
        let (code, said) = harmless(&mut place.command(arguments));
        assert_eq!(code, Some(0), "{arguments:?}: {said}");
    }
    for arguments in [
        &["diff", "oci:image", "oci:odd"][..],
        &["diff", "oci:odd", "oci:image", "--json"],
        &["diff", "oci:odd", "--layers", "1"],
    ] {
        let (code, said) = harmless(&mut place.command(arguments));
        assert_eq!(code, Some(0), "{arguments:?}: {said}");
    }
    // Names that are there and names that are not, one of them behind a link.
    for name in [&b"link"[..], b"\x1b[31m", &[HOSTILE, b"/absent"].concat(), &[b"link/", HOSTILE].concat()] {
        for arguments in [&["cat", "oci:odd"][..], &["export", "oci:odd", "-o", "out"]] {
            let (code, said) = harmless(place.command(arguments).arg(host::os_string(name)));
            assert!(matches!(code, Some(0 | 1 | 4)), "{arguments:?}: {code:?} {said}");
        }
    }
    let escaped = "A\\x1b]0;t\\x07\\x1b[31m\\x08\\r\\nerror: fake\\x7f";
    assert!(harmless(&mut place.command(&["ls", "oci:odd"])).1.contains(escaped));

    for (name, tar) in [
        ("climbs", Tar::default().entry(&named(&[b"../", HOSTILE].concat(), b'0', b""), b"")),
        ("whiteout", Tar::default().entry(&named(&[HOSTILE, b"/.wh..."].concat(), b'0', b""), b"")),
        ("dangling", Tar::default().entry(&named(b"l", b'1', HOSTILE), b"")),
        ("self", Tar::default().entry(&named(HOSTILE, b'1', HOSTILE), b"")),
        (
            "below a file",
            Tar::default()
                .entry(&named(HOSTILE, b'0', b""), b"")
                .entry(&named(&[HOSTILE, b"/f"].concat(), b'0', b""), b""),
        ),
        (
            "loop",
            Tar::default()
                .entry(&named(HOSTILE, b'2', HOSTILE), b"")
                .entry(&named(&[HOSTILE, b"/f"].concat(), b'0', b""), b""),
        ),
        ("long", pax(Tar::default(), &[("path", &HOSTILE.repeat(9))]).entry(&named(HOSTILE, b'0', b""), b"")),
        (
            "pax key",
            pax(Tar::default(), &[("GNU.sparse.\x1b[31m", HOSTILE)]).entry(&named(HOSTILE, b'0', b""), b""),
        ),
        ("pax number", pax(Tar::default(), &[("uid", HOSTILE)]).entry(&named(HOSTILE, b'0', b""), b"")),
        (
            "pax sparse",
            pax(Tar::default(), &[("GNU.sparse.map", HOSTILE)]).entry(&named(HOSTILE, b'0', b""), b""),
        ),
        (
            "acl",
            pax(Tar::default(), &[("SCHILY.acl.access", HOSTILE)]).entry(&named(HOSTILE, b'0', b""), b""),
        ),
        (
            "xattr",
            pax(Tar::default(), &[(&format!("SCHILY.xattr.user.\x1b[31m{}", "n".repeat(300)), b"v")])
                .entry(&named(HOSTILE, b'0', b""), b""),
        ),
    ] {
        image(&place, name, &[tar], &json!({}));
        let image = format!("oci:{name}");
        for arguments in [&["build", &image, "-o", "refused.ext4", "-v"][..], &["ls", &image, "--strict"]] {
            let (code, said) = harmless(&mut place.command(arguments));
            assert!(matches!(code, Some(0 | 1)), "{arguments:?}: {code:?} {said}");
            // What is refused is named.
            assert!(code == Some(0) || said.contains("\\x1b") || said.contains("\\n"), "{name}: {said}");
        }
    }
    // What the format cannot hold is named as well.
    let large = pax(Tar::default(), &[("SCHILY.xattr.user.\x1b[31m", &[b'v'; 65_000])])
        .entry(&named(HOSTILE, b'0', b""), b"");
    image(&place, "large", &[large], &json!({}));
    harmless(&mut place.command(&["build", "oci:large", "-o", "large.ext4", "-v"]));
}

#[test]
fn configs_and_manifests() {
    let place = Place::new();
    let text = text();
    let config = json!({
        "created": text, "author": text, "os.version": text, "variant": text,
        "config": {
            "User": text, "WorkingDir": text, "StopSignal": text, "Env": [text, format!("{text}={text}")],
            "Entrypoint": [text, text], "Cmd": [text], "Labels": { &text: text },
            "ExposedPorts": { &text: {} }, "Volumes": { &text: {} },
        },
        "history": [{ "created_by": text, "comment": text, "author": text }],
    });
    image(&place, "config", &[Tar::default().file("f", 0o644, b"")], &config);
    for arguments in [
        &["inspect", "oci:config", "--any-platform"][..],
        &["inspect", "oci:config", "--any-platform", "--json"],
        &["pull", "oci:config", "--any-platform", "--json"],
        &["pull", "oci:config", "--any-platform"],
        &["build", "oci:config", "--any-platform", "-o", "a.ext4", "--json", "--progress=json"],
        &["build", "oci:config", "-o", "b.ext4"],
    ] {
        let (code, said) = harmless(&mut place.command(arguments));
        assert!(code == Some(0) || arguments[0] == "build", "{arguments:?}: {said}");
    }
    let inspected: Value = serde_json::from_slice(
        &place.command(&["inspect", "oci:config", "--any-platform", "--json"]).output().unwrap().stdout,
    )
    .unwrap();
    conforms("image", &inspected);
    assert_eq!(inspected["config"]["config"]["User"], json!(text), "escaping loses nothing");

    // Everything in the documents that is refused, and so quoted.
    type Change = fn(&mut Value, &Path, &str);
    let cases: &[(&str, Change)] = &[
        ("tag", |index, _, text| {
            index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"] = json!(text)
        }),
        ("tags", |index, _, text| {
            let mut other = index["manifests"][0].clone();
            other["annotations"]["org.opencontainers.image.ref.name"] = json!(text);
            index["manifests"].as_array_mut().unwrap().push(other);
        }),
        ("media type", |index, _, text| index["manifests"][0]["mediaType"] = json!(text)),
        ("digest", |index, _, text| index["manifests"][0]["digest"] = json!(text)),
        ("digest's hex", |index, _, text| index["manifests"][0]["digest"] = json!(format!("sha256:{text}"))),
        ("size", |index, _, text| index["manifests"][0]["size"] = json!(text)),
        ("type", |index, _, text| index["manifests"] = json!(text)),
        ("unknown", |index, _, text| *index = json!({ text: text })),
        ("platform", |index, layout, text| {
            let mut child = index["manifests"][0].clone();
            child["platform"] =
                json!({ "os": text, "architecture": text, "variant": text, "os.version": text });
            let inner = json!({ "schemaVersion": 2, "manifests": [child] });
            index["manifests"][0] = put(layout, "application/vnd.oci.image.index.v1+json", &inner);
        }),
        ("layer", |index, layout, text| {
            let layer =
                json!({ "mediaType": text, "digest": format!("sha256:{}", "0".repeat(64)), "size": 1 });
            let manifest =
                json!({ "schemaVersion": 2, "config": layer, "layers": [layer], "artifactType": text });
            index["manifests"][0] = put(layout, "application/vnd.oci.image.manifest.v1+json", &manifest);
        }),
        ("config", |index, layout, text| {
            let config = put(
                layout,
                "application/vnd.oci.image.config.v1+json",
                &json!({ "os": text, "architecture": text, "rootfs": { "type": text, "diff_ids": [text] } }),
            );
            let manifest = json!({ "schemaVersion": 2, "config": config, "layers": [] });
            index["manifests"][0] = put(layout, "application/vnd.oci.image.manifest.v1+json", &manifest);
        }),
        ("artifact", |index, layout, text| {
            let config = put(layout, text, &json!({}));
            let manifest = json!({ "schemaVersion": 2, "config": config, "layers": [], "artifactType": text, "subject": { "mediaType": text } });
            index["manifests"][0] = put(layout, "application/vnd.oci.image.manifest.v1+json", &manifest);
        }),
        ("schema", |index, layout, text| {
            let manifest = json!({ "schemaVersion": text, "name": text });
            index["manifests"][0] = put(layout, "application/vnd.oci.image.manifest.v1+json", &manifest);
        }),
    ];
    for (name, change) in cases {
        hello::write(&place.path(name)).unwrap();
        edit(&place.path(name), |index| change(index, &place.path(name), &text));
        for image in [format!("oci:{name}"), format!("oci:{name}:{}", text.replace('\n', ""))] {
            for arguments in [
                &["inspect", &image][..],
                &["build", &image, "-o", "refused.ext4", "-v"],
                &["ls", &image, "--progress=json"],
            ] {
                harmless(&mut place.command(arguments));
            }
        }
    }
    fs::write(place.path("tag/oci-layout"), json!({ "imageLayoutVersion": text }).to_string()).unwrap();
    harmless(&mut place.command(&["inspect", "oci:tag"]));
    fs::write(place.path("tag/oci-layout"), HOSTILE).unwrap();
    harmless(&mut place.command(&["inspect", "oci:tag"]));
}

#[test]
fn archives() {
    let place = Place::new();
    let text = text();
    let entry = |key: &str, value: Value| {
        let mut entry = json!({ "Config": "config.json", "RepoTags": ["a:b"], "Layers": ["layer.tar"] });
        entry[key] = value;
        entry
    };
    for manifest in [
        json!([entry("RepoTags", json!([text])), entry("RepoTags", json!([text]))]),
        json!([entry("Config", json!(text))]),
        json!([entry("Layers", json!([text]))]),
        json!([entry("Layers", json!([format!("../{text}")]))]),
        json!({ &text: text }),
        json!(text),
    ] {
        let tar = Tar::default().file("manifest.json", 0o644, manifest.to_string().as_bytes());
        let link = tar.clone().entry(&named(b"config.json", b'2', HOSTILE), b"");
        for (number, tar) in [tar, link].into_iter().enumerate() {
            let name = format!("{number}.tar");
            fs::write(place.path(&name), tar.finish()).unwrap();
            for image in [
                format!("docker-archive:{name}"),
                format!("docker-archive:{name}:{text}"),
                format!("oci-archive:{name}"),
            ] {
                let (code, said) = harmless(&mut place.command(&["build", &image, "-o", "x.ext4"]));
                assert!(matches!(code, Some(1 | 2)), "{code:?} {said}");
            }
        }
    }
}

#[test]
fn registries() {
    let place = Place::new();
    let text = text();
    // A header holds no newlines and the like; what can be in it is bad enough.
    let in_header: String = text.chars().filter(|c| !c.is_ascii_control()).collect();
    let refusal = |status: u16| {
        let body = json!({ "errors": [{ "code": text, "message": text, "detail": { &text: text } }] });
        let mut response = Response::status(status);
        response.body = body.to_string().into_bytes();
        response
    };
    let instead = |response: Response| Fault::new(move |_, answer| *answer = response.clone());
    let challenge = |text: &str| Response::status(401).with("WWW-Authenticate", text);
    for fault in [
        instead(refusal(400)),
        instead(refusal(403)),
        instead(refusal(404)),
        instead(refusal(500)),
        header("Content-Type", &in_header),
        header("Docker-Content-Digest", &in_header),
        redirect(&format!("http://{in_header}/")),
        redirect(&in_header),
        instead(challenge(&format!("Bearer realm=\"{in_header}\",service=\"{in_header}\""))),
        instead(challenge(&format!("{in_header} realm=\"{in_header}\""))),
        instead(Response::status(429).with("Retry-After", &in_header)),
        Fault::new(|_, answer| answer.body = HOSTILE.to_vec()),
        Fault::new({
            let text = text.clone();
            move |_, answer| {
                answer.body =
                    json!({ "schemaVersion": 2, "mediaType": text, "layers": text }).to_string().into_bytes()
            }
        }),
    ] {
        let registry = FakeRegistry::start();
        // Twice, so that a retry is told of too; then the registry knows no such image.
        registry.next("/v2/", 2, fault);
        let image = format!("{}/app:latest", registry.host());
        for arguments in [&["pull", &image, "-v"][..], &["inspect", &image, "--progress=json"]] {
            let (code, said) = harmless(&mut place.command(arguments));
            assert!(matches!(code, Some(1 | 4 | 5)), "{code:?} {said}");
        }
    }
}

#[test]
fn arguments() {
    let place = Place::new();
    let text = text();
    let escaping = "esc\x1b[31m\u{202e}";
    for arguments in [
        &["build", &text, "-o", "x.ext4"][..],
        &["build", "oci:image", "-o", &text],
        &["build", "oci:image", "-o", &format!("{text}/x.ext4")],
        &["build", "oci:image", "-o", "x.ext4", "--platform", &text],
        &["build", "oci:image", "-o", "x.ext4", "--size", &text],
        &["build", "oci:image", "-o", "x.ext4", "--uuid", &text],
        &["build", "oci:image", "-o", "x.ext4", "--label", &text],
        &["build", "oci:image", "-o", "x.ext4", "--scratch", &text],
        &["build", "oci:image", "-o", "x.ext4", "--ca", &text],
        &["build", "oci:image", "-o", "x.ext4", "--format", &text],
        &["build", &format!("oci:{text}"), "-o", "x.ext4"],
        &["build", &format!("docker-archive:{text}:{text}"), "-o", "x.ext4"],
        &["build", "oci:image", "-o", "x.ext4", "--store", "."],
        &["build", "localhost:1/app", "-o", "x.ext4", "--insecure-registry", &text],
        &["ls", "oci:image", &text],
        &[&text],
        &["build", &format!("--{text}")],
    ] {
        let (code, said) = harmless(&mut place.command(arguments));
        assert!(matches!(code, Some(1 | 2 | 4)), "{arguments:?}: {code:?} {said}");
    }
    // A path of the host that works is shown in the summary. On Windows no file can have this name.
    let output = format!("{escaping}.ext4");
    for options in [&[][..], &["--json"]] {
        let (code, said) =
            harmless(&mut place.command(&[&["build", "oci:image", "-o", &output], options].concat()));
        assert_eq!(code, Some(if cfg!(windows) { 1 } else { 0 }), "{said}");
    }
    assert_ne!(place.path(&output).exists(), cfg!(windows));
    let mut epoch = place.command(&["build", "oci:image", "-o", "x.ext4", "--clamp-mtime"]);
    harmless(epoch.env("SOURCE_DATE_EPOCH", &text));
    harmless(place.command(&["build", "oci:image", "-o", "x.ext4"]).env("UNLADE_STORE", &text));
}

#[test]
fn every_name_can_be_read_back() {
    let place = Place::new();
    // Every byte that a name may have, alone and beside others; characters of all lengths; halves of them.
    let mut names: Vec<Vec<u8>> =
        (1..=255u8).filter(|byte| !b"./".contains(byte)).map(|byte| vec![byte]).collect();
    names.extend((1..=255).filter(|byte| *byte != b'/').map(|byte| [b"\\x", &[byte][..], b"\\"].concat()));
    names.push((1..=255).filter(|byte| *byte != b'/').collect());
    names.extend(
        ["é", "日本", "\u{1f980}", "\u{202e}", "\u{85}", "\\n", "\\\\x00"]
            .map(|name| name.as_bytes().to_vec()),
    );
    names.extend("日".as_bytes().windows(2).map(<[u8]>::to_vec));
    let mut tar = Tar::default().directory("files", 0o755).directory("links", 0o755);
    for (number, name) in names.iter().enumerate() {
        let path = [b"files/", &name[..]].concat();
        let attribute = String::from_utf8(name.clone()).ok().filter(|name| !name.contains('='));
        let records: &[(&str, &[u8])] = &[("path", &path)];
        tar = pax(tar, records).file("x", 0o644, b"");
        let link = format!("links/{number}");
        tar = pax(tar, &[("linkpath", name)]).symlink(&link, "x");
        if let Some(attribute) = attribute {
            let key = format!("SCHILY.xattr.user.{attribute}");
            tar = pax(tar, &[(&key, name)]).file(&format!("links/attribute{number}"), 0o644, b"");
        }
    }
    image(&place, "names", &[tar], &json!({}));
    let listed = place.done(&["ls", "oci:names", "--json"]).out;
    let (mut files, mut links, mut attributes) = (Vec::new(), vec![Vec::new(); names.len()], 0);
    for line in listed.lines() {
        let entry: Value = serde_json::from_str(line).unwrap();
        conforms("ls", &entry);
        let path = unescaped(entry["path"].as_str().unwrap());
        if let Some(name) = path.strip_prefix(b"/files/") {
            files.push(name.to_vec());
        }
        if let Some(target) = entry["target"].as_str() {
            let number: usize = String::from_utf8(path).unwrap()["/links/".len()..].parse().unwrap();
            links[number] = unescaped(target);
        }
        for (name, value) in entry["xattrs"].as_object().into_iter().flatten() {
            let hex: String =
                unescaped(name)["user.".len()..].iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(value, &json!(hex));
            attributes += 1;
        }
    }
    assert_eq!(links, names);
    assert!(attributes > 200, "{attributes}");
    files.sort();
    names.sort();
    assert_eq!(files, names);
}

#[cfg(unix)]
#[test]
fn a_full_or_closed_output_is_no_panic() {
    let place = Place::new();
    let full = || fs::File::options().write(true).open("/dev/full").unwrap();
    for arguments in [
        &["inspect", "oci:image"][..],
        &["inspect", "oci:image", "--json"],
        &["pull", "oci:image"],
        &["pull", "oci:image", "--json"],
        &["ls", "oci:image"],
        &["ls", "oci:image", "--json"],
        &["build", "oci:image", "-o", "-"],
        &["build", "oci:image", "-o", "a.ext4", "--json"],
        &["completions", "bash"],
    ] {
        let output = place.command(arguments).stdout(full()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.starts_with("error: cannot write "), "{arguments:?}: {said}");
        assert!(said.contains("No space left on device"), "{arguments:?}: {said}");

        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = place.command(arguments).stdout(writer).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && !said.contains("error"), "{arguments:?}: {said}");

        // Nobody hears it, but it is done all the same.
        let status = place.command(arguments).stdout(Stdio::null()).stderr(full()).status().unwrap();
        assert_eq!(status.code(), Some(0), "{arguments:?}");
    }
    let status = place.command(&["ls", "oci:absent"]).stderr(full()).status().unwrap();
    assert_eq!(status.code(), Some(1));
}
