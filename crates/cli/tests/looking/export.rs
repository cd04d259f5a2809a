//! `export`.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use serde_json::json;
use testkit::image::{Header, Layer, Tar, write_layout};
use testkit::judge::{self, unpack_with_umoci};
use testkit::listing;
use testkit::{corpus, tools};

use crate::support::Place;
use crate::{bytes_of, name_of};

#[test]
fn a_whole_image_exported_is_what_umoci_unpacks() {
    let place = Place::new();
    for image in ["special", "nginx"] {
        let unpacked = judge::expected(corpus::find(image).unwrap(), &place.path("")).unwrap();
        let tarball = bytes_of(&place, &["export", &name_of(image), "/", "-o", "-"].map(OsStr::new));
        fs::write(place.path("streamed.tar"), tarball).unwrap();
        place.done(&["export", &name_of(image), "/", "-o", "written.tar"]);
        assert!(
            fs::read(place.path("streamed.tar")).unwrap() == fs::read(place.path("written.tar")).unwrap()
        );
        place.done(&["export", &name_of(image), "/", "-o", "directory"]);
        for name in ["written.tar", "directory"] {
            let found = judge::found(&place.path(name), &place.path("")).unwrap();
            let differences = unpacked.differences(&found);
            assert!(differences.is_empty(), "{image} as {name}:\n{}", differences.join("\n"));
        }
        fs::remove_dir_all(place.path("directory")).unwrap();
    }
}

#[test]
fn a_part_of_an_image_exported() {
    let place = Place::new();
    let nginx = name_of("nginx");
    let root = place.path("unpacked");
    unpack_with_umoci(&corpus::layout("nginx"), &root).unwrap();
    place.done(&["export", &nginx, "etc/nginx", "-o", "nginx"]);
    let wanted = listing::list(&root.join("etc/nginx")).unwrap();
    assert!(wanted.len() > 10);
    assert_eq!(listing::diff(&wanted, &listing::list(&place.path("nginx")).unwrap()), [""; 0]);
    // In a tarball it has its own name, and nothing is said of what lies around it.
    place.done(&["export", &nginx, "/etc/nginx/", "-o", "n.tar"]);
    fs::create_dir(place.path("into")).unwrap();
    judge::unpack_tar(&place.path("n.tar"), &place.path("into")).unwrap();
    assert_eq!(listing::diff(&wanted, &listing::list(&place.path("into/nginx")).unwrap()), [""; 0]);
    let names = tools::run(tools::command("tar").arg("-tf").arg(place.path("n.tar"))).unwrap();
    assert!(names.starts_with(b"nginx/\nnginx/"), "{}", String::from_utf8_lossy(&names));

    place.done(&["export", &nginx, "usr/sbin/nginx", "-o", "binary"]);
    let (written, unpacked) = (place.path("binary"), root.join("usr/sbin/nginx"));
    assert!(fs::read(&written).unwrap() == fs::read(&unpacked).unwrap());
    let (written, unpacked) = (fs::metadata(written).unwrap(), fs::metadata(unpacked).unwrap());
    assert_eq!((written.mode(), written.mtime()), (unpacked.mode(), unpacked.mtime()));
}

#[test]
fn what_export_writes_and_refuses() {
    let place = Place::new();
    let tar = Tar::default()
        .file("d/first", 0o640, b"shared")
        .entry(
            &Header { name: b"d/second", link: b"d/first", typeflag: b'1', mode: 0o640, ..Header::default() },
            b"",
        )
        .entry(
            &Header {
                name: b"elsewhere",
                link: b"d/first",
                typeflag: b'1',
                mode: 0o640,
                ..Header::default()
            },
            b"",
        )
        .file("inner.tar", 0o600, b"no tarball")
        .symlink("link", "d/first")
        .symlink("way", "d")
        .directory("empty.d", 0o700);
    write_layout(&place.path("parts"), "x", &[Layer::gzip(&tar.finish())], &json!({})).unwrap();
    let export = |path: &str, more: &[&str]| place.run(&[&["export", "oci:parts", path], more].concat());
    let done = |path: &str, more: &[&str]| {
        let said = export(path, more);
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{path}");
    };
    done("d", &["-o", "d"]);
    assert_eq!(
        fs::metadata(place.path("d/first")).unwrap().nlink(),
        2,
        "names that lie elsewhere do not count"
    );
    done("way/second", &["-o", "file"]);
    assert_eq!(fs::read(place.path("file")).unwrap(), b"shared");
    assert_eq!(fs::metadata(place.path("file")).unwrap().permissions().mode() & 0o7777, 0o640);
    // A file is replaced, as with cp.
    done("inner.tar", &["-o", "file"]);
    done("inner.tar", &["-o", "plain.tar", "--format", "plain"]);
    assert_eq!(fs::read(place.path("plain.tar")).unwrap(), fs::read(place.path("file")).unwrap());
    done("inner.tar", &["-o", "packed", "--format", "tar"]);
    done("empty.d", &["-o", "empty.tar"]);
    done("link", &["-o", "link.tar"]);
    let listed = |name: &str| {
        let said = tools::run(tools::command("tar").arg("-tvf").arg(place.path(name))).unwrap();
        let text = String::from_utf8(said).unwrap();
        text.lines()
            .map(|line| format!("{} {}", &line[..10], line.split_once(" 1970-01-01 ").unwrap().1[6..].trim()))
            .collect::<Vec<_>>()
    };
    assert_eq!(listed("packed"), ["-rw------- inner.tar"]);
    assert_eq!(listed("empty.tar"), ["drwx------ empty.d/"]);
    assert_eq!(listed("link.tar"), ["lrwxrwxrwx link -> d/first"]);
    for (path, more, code, text) in [
        ("absent", &["-o", "x"][..], 4, "error: there is no /absent\n"),
        ("d/first/x", &["-o", "x"], 1, "error: /d/first is not a directory\n"),
        (
            "link",
            &["-o", "x"],
            1,
            "error: cannot write x\n  because: what is no file and no directory goes into a tarball only\n",
        ),
        ("d", &["-o", "d"], 1, "error: cannot write d\n  because: the directory is not empty\n"),
        ("d", &["-o", "file"], 1, "error: cannot write file\n"),
        ("d/first", &["-o", "d"], 1, "error: cannot write d\n  because: the output is a directory\n"),
        ("inner.tar", &["-o", "x.tar"], 2, "error: a file whose name ends in .tar to another such: "),
        ("d", &["-o", "-", "--format", "plain"], 2, "error: only a tarball goes to standard output"),
        ("../d", &["-o", "x"], 2, "error: \"../d\": path escapes the root\n"),
    ] {
        let said = export(path, more);
        assert_eq!(said.code, Some(code), "{path} {more:?}: {}", said.err);
        assert!(said.err.starts_with(text), "{path} {more:?}: {}", said.err);
    }
    assert_eq!(
        place.names(),
        ["d", "empty.tar", "file", "image", "link.tar", "packed", "parts", "plain.tar", "store"]
    );
}
