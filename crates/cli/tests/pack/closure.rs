//! Packages of what a command needs: other people's linkers make the programs, and the kernel runs them in a root in which
//! nothing else is.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use testkit::corpus;
use testkit::image::Tar;
use testkit::judge::source;
use testkit::tools;

use super::support::Place;
use super::{image_with, packed, run_in, unpacked};

/// Paths that were kept, each with what wanted it if that is asked for.
pub(crate) fn kept(summary: &Value) -> Vec<(String, Option<String>)> {
    let text = |value: &Value| value.as_str().map(str::to_string);
    let kept = summary["kept"].as_array().unwrap().iter();
    kept.map(|kept| (text(&kept["path"]).unwrap(), text(&kept["wantedBy"]))).collect()
}

#[test]
fn a_real_image_runs_with_what_is_kept() {
    let place = Place::new();
    let image = source(corpus::find("nginx").unwrap());
    let arguments = ["--entrypoint-closure", "--keep", "/etc/nginx"];
    let (files, summary) = packed(&place, &image, &arguments);
    let names = kept(&summary);
    assert_eq!(files.len(), names.len() + 2, "and the config, and its script");
    assert!(files.len() < 200 && summary["leftOut"].as_u64().unwrap() > 5000, "{summary}");
    for name in
        ["usr/sbin/nginx", "lib64/ld-linux-x86-64.so.2", "bin/sh", "etc/ld.so.cache", "etc/nginx/nginx.conf"]
    {
        assert!(files.contains_key(name), "{name}");
    }
    let wanted_by = |name: &str| names.iter().find(|(path, _)| path == name).unwrap().1.clone();
    assert_eq!(wanted_by("usr/sbin/nginx"), None);
    assert_eq!(wanted_by("lib64/ld-linux-x86-64.so.2").as_deref(), Some("usr/bin/dash"));

    let root = unpacked(&place, &[&[&*image], &arguments[..]].concat());
    let run = run_in(&root, &["/usr/sbin/nginx", "-v"]);
    assert!(String::from_utf8_lossy(&run.stderr).starts_with("nginx version"), "{run:?}");
    let run = run_in(&root, &["/litebox/config_and_run.sh", "/usr/sbin/nginx", "-v"]);
    assert!(run.status.success(), "{run:?}");
}

/// Links a library or program of these words, and gives its bytes.
fn link(place: &Place, source: &str, words: &[&str]) -> Vec<u8> {
    fs::write(place.path("x.c"), source).unwrap();
    let out = place.path("linked");
    fs::create_dir_all(&out).unwrap();
    let last = out.join(words[0]);
    let mut cc = Command::new("cc");
    cc.current_dir(&out).args(["-fPIC", "-O1", "-o"]).arg(&last).arg("../x.c");
    // Libraries that are there when a program is linked may be elsewhere when it runs.
    tools::run(cc.args(["-Wl,--allow-shlib-undefined", "-L."]).args(&words[1..])).unwrap();
    fs::read(last).unwrap()
}

const SYSTEM: &str = "usr/lib/x86_64-linux-gnu";

/// A program whose libraries are here and there, a plugin, and what else an image needs.
fn files(place: &Place) -> Vec<(String, Vec<u8>)> {
    let library = |name: &str, rest: &[&str]| {
        let source = format!("int {name}(void) {{ return {}; }}", name.len());
        let file = format!("lib{name}.so");
        let soname = format!("-Wl,-soname,{file}");
        link(place, &source, &[&[file.as_str(), "-shared", &soname, "-nostdlib"], rest].concat())
    };
    let (b, conf, q) = (library("b", &[]), library("conf", &[]), library("q", &[]));
    let a = library("a", &["-Wl,--no-as-needed", "-lb", "-Wl,-rpath,$ORIGIN/../more"]);
    let plugin = library("plugin", &["-Wl,--no-as-needed", "-lq"]);
    let source = "#include <stdio.h>\nint a(void), conf(void);\n\
                  int main(void) { printf(\"%d\\n\", a() + conf()); return 0; }\n";
    let app = link(place, source, &["app", "-la", "-lconf", "-Wl,-rpath,$ORIGIN/../lib"]);
    let of_host = |name: &str| fs::read(Path::new("/").join(SYSTEM).join(name)).unwrap();
    let files: [(&str, &[u8]); 14] = [
        ("opt/app/bin/app", &app),
        ("opt/app/lib/liba.so", &a),
        ("opt/app/more/libb.so", &b),
        ("opt/conf/libconf.so", &conf),
        (&format!("{SYSTEM}/libq.so"), &q),
        (&format!("{SYSTEM}/libc.so.6"), &of_host("libc.so.6")),
        (&format!("{SYSTEM}/ld-linux-x86-64.so.2"), &of_host("ld-linux-x86-64.so.2")),
        ("opt/plugins/plugin.so", &plugin),
        ("opt/plugins/run", b"#!/usr/bin/perl\n"),
        ("etc/ld.so.conf", b"include ld.so.conf.d/*.conf\n"),
        ("etc/ld.so.conf.d/x.conf", b"# x\n/opt/conf\n"),
        ("srv/run", b"#!/usr/bin/env -S app -x\n"),
        ("usr/bin/env", &fs::read("/bin/busybox").unwrap()),
        ("usr/bin/other", b"#!/bin/none"),
    ];
    files.map(|(name, bytes)| (name.into(), bytes.into())).into()
}

/// An image of such files, in which the program is behind links.
fn image(place: &Place, files: &[(String, Vec<u8>)], without: &[&str], config: &Value) -> String {
    let mut tar = Tar::default();
    for (name, bytes) in files.iter().filter(|(name, _)| !without.contains(&&**name)) {
        tar = tar.file(name, 0o755, bytes);
    }
    for (name, text) in [
        ("lib", "usr/lib"),
        ("bin", "usr/bin"),
        ("lib64", "usr/lib64"),
        ("usr/lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"),
        ("usr/bin/app", "alternative"),
        ("usr/bin/alternative", "../../opt/app/bin/app"),
    ] {
        tar = tar.symlink(name, text);
    }
    image_with(place, tar, config)
}

#[test]
fn what_is_kept() {
    let place = Place::new();
    let config = json!({ "Entrypoint": ["./run", "app", "-x"], "WorkingDir": "/srv", "Env": ["PATH=/bin"] });
    let image_name = image(&place, &files(&place), &[], &config);
    let (files, summary) = packed(&place, &image_name, &["--entrypoint-closure"]);
    let expected = [
        ("bin/app", "srv/run"),
        ("lib/x86_64-linux-gnu/libc.so.6", "opt/app/bin/app"),
        ("lib64/ld-linux-x86-64.so.2", "opt/app/bin/app"),
        ("opt/app/bin/app", "srv/run"),
        ("opt/app/lib/liba.so", "opt/app/bin/app"),
        ("opt/app/more/libb.so", "opt/app/lib/liba.so"),
        ("opt/conf/libconf.so", "opt/app/bin/app"),
        ("srv/run", ""),
        ("usr/bin/alternative", "srv/run"),
        ("usr/bin/app", "srv/run"),
        ("usr/bin/env", "srv/run"),
    ];
    let found = kept(&summary);
    let found: Vec<(&str, &str)> =
        found.iter().map(|(path, by)| (&**path, by.as_deref().unwrap_or_default())).collect();
    assert_eq!(found, expected);
    // By the links its own directory is another one.
    let astray = |link: &str| json!({ "path": link, "name": "opt/app/bin/app" });
    assert_eq!(summary["astray"], json!([astray("bin/app")]));
    assert_eq!(files["bin/app"], files["opt/app/bin/app"]);

    // The loader takes no word of ld.so.conf itself.
    let root = unpacked(&place, &[&image_name, "--entrypoint-closure"]);
    let run = run_in(&root, &["/usr/bin/env", "LD_LIBRARY_PATH=/opt/conf", "/opt/app/bin/app"]);
    assert_eq!(String::from_utf8_lossy(&run.stdout), "5\n", "{run:?}");

    let arguments =
        ["--entrypoint-closure", "--keep", "/opt/plugins", "--keep", "lib64/ld-linux-x86-64.so.2"];
    let (_, summary) = packed(&place, &image_name, &arguments);
    let more: Vec<(String, Option<String>)> = kept(&summary)
        .into_iter()
        .filter(|(path, _)| expected.iter().all(|(known, _)| known != path))
        .collect();
    let more: Vec<(&str, &str)> =
        more.iter().map(|(path, by)| (&**path, by.as_deref().unwrap_or_default())).collect();
    assert_eq!(
        more,
        [
            ("lib/x86_64-linux-gnu/libq.so", "opt/plugins/plugin.so"),
            ("opt/plugins/plugin.so", ""),
            ("opt/plugins/run", ""),
            ("usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", ""),
            ("usr/lib64/ld-linux-x86-64.so.2", ""),
        ]
    );
}

#[test]
fn what_is_missing_is_named_at_once() {
    let place = Place::new();
    let config = |command: &str| json!({ "Cmd": [command] });
    let without = ["opt/app/more/libb.so", "opt/conf/libconf.so", &format!("{SYSTEM}/libq.so")];
    let files = files(&place);
    let image_name = image(&place, &files, &without, &config("app"));
    let failed = place.run(&["pack", &image_name, "--entrypoint-closure", "--keep", "opt/plugins/plugin.so"]);
    assert_eq!(failed.code, Some(1));
    let lines: Vec<&str> = failed.err.lines().collect();
    assert_eq!(
        lines,
        [
            "error: 3 needed files are missing",
            "  libb.so, for opt/app/lib/liba.so",
            "  libconf.so, for opt/app/bin/app",
            "  libq.so, for opt/plugins/plugin.so",
        ]
    );
    for (command, arguments, said) in [
        ("nothing", &[][..], "the image's command nothing is not in the image"),
        ("other", &[], "1 needed file is missing\n  /bin/none, for usr/bin/other"),
        ("app", &["--keep", "opt/none"], "--keep opt/none: there is no /opt/none"),
    ] {
        let image_name = image(&place, &files, &[], &config(command));
        let arguments = [&["pack", &image_name, "--entrypoint-closure"], arguments].concat();
        let failed = place.run(&arguments);
        assert!(failed.code == Some(1) && failed.err.contains(said), "{arguments:?}: {}", failed.err);
    }
    let image_name = image_with(&place, Tar::default().file("a", 0o644, b""), &json!({}));
    let failed = place.run(&["pack", &image_name, "--entrypoint-closure"]);
    assert!(failed.err.contains("names no command"), "{}", failed.err);
    let (files, _) = packed(&place, &image_name, &["--entrypoint-closure", "--keep", "a"]);
    assert_eq!(files.len(), 3);
    assert_eq!(place.run(&["pack", &image_name, "--keep", "a"]).code, Some(2));
}
