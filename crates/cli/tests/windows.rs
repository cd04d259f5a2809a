//! What is different on Windows: paths, names that are none, what it cannot do.

#![cfg(windows)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod support;

use std::fs;

use support::{Place, sha256};

#[test]
fn paths_with_drives_and_both_separators() {
    let place = Place::new();
    fs::create_dir(place.path("out")).unwrap();
    let (here, image) = (place.path("out"), place.path("image"));
    // A drive, `\`, and a prefix that turns off what Windows makes of names.
    let (here, image) = (here.display().to_string(), image.display().to_string());
    let drive = std::path::absolute(&image).unwrap().display().to_string();
    assert_eq!(drive.as_bytes()[1..3], *b":\\", "{drive}");
    for (number, (image, output)) in [
        ("oci:image".to_owned(), "out\\0.tar".to_owned()),
        ("oci:.\\image".to_owned(), "out/1.tar".to_owned()),
        (format!("oci:{image}"), format!("{here}\\2.tar")),
        (format!("oci:{drive}"), format!("{}\\out\\3.tar", drive.strip_suffix("\\image").unwrap())),
        (format!("oci:{}:hello", drive.replace('\\', "/")), "out\\.\\4.tar".to_owned()),
    ]
    .into_iter()
    .enumerate()
    {
        place.done(&["build", &image, "-o", &output, "-q"]);
        let made = place.path("out").join(format!("{number}.tar"));
        assert_eq!(sha256(&made), sha256(&place.path("out").join("0.tar")), "{image} {output}");
    }
}

#[test]
fn names_that_would_be_something_else() {
    let place = Place::new();
    for name in
        ["nul.tar", "NUL", "aux.erofs", "com1.tar", "a.tar.", "a.tar ", "a:b.tar", "a?.tar", "a|b.tar"]
    {
        let said = place.run(&["build", "oci:image", "-o", name, "--format", "tar"]);
        assert_eq!(said.code, Some(1), "{name}: {}", said.err);
        assert!(said.err.starts_with(&format!("error: cannot write {name}\n")), "{name}: {}", said.err);
    }
    let left: Vec<String> = place.names().into_iter().filter(|name| name != "store").collect();
    assert_eq!(left, ["image"], "nothing was made");
}

#[test]
fn what_takes_modes_owners_and_links() {
    let place = Place::new();
    for arguments in [
        &["build", "oci:image", "-o", "rootfs/"][..],
        &["export", "oci:image", "etc", "-o", "etc"],
        &["composefs", "pull", "oci:image", "hello", "--repo", "repo"],
    ] {
        let said = place.run(arguments);
        assert_eq!(said.code, Some(1), "{arguments:?}: {}", said.err);
        assert!(said.err.starts_with("error: ") && !said.err.contains("panicked"), "{}", said.err);
    }
    // A single file has neither.
    place.done(&["export", "oci:image", "etc/issue", "-o", "issue"]);
    assert_eq!(fs::read_to_string(place.path("issue")).unwrap(), testkit::hello::GREETING);
}

#[test]
fn an_output_that_somebody_reads() {
    let place = Place::new();
    place.done(&["build", "oci:image", "-o", "a.tar", "-q"]);
    let reader = fs::File::open(place.path("a.tar")).unwrap();
    let said = place.run(&["build", "oci:image", "-o", "a.tar", "-q"]);
    // Newer systems replace it, older ones do not: then it is as it was, and nothing else is there.
    assert!(matches!(said.code, Some(0 | 1)), "{}", said.err);
    drop(reader);
    assert_eq!(place.names(), ["a.tar", "image", "store"]);
    let before = sha256(&place.path("a.tar"));
    place.done(&["build", "oci:image", "-o", "a.tar", "-q"]);
    assert_eq!(sha256(&place.path("a.tar")), before);
}
