//! What is read as a manifest, an index or a config, and what is said of the rest.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use unlade_oci::{Config, DOCUMENT_MAX, Document, Error, Image, MediaType};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const SCHEMA1: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";
const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

const AT_ONCE: &str = "manifest is malformed: it is an index and a manifest at once";
const OTHER_TYPE: &str = "manifest is malformed: it says to be of another media type than what led to it";
const SCHEMA1_SAID: &str =
    "docker schema 1 manifests are not supported: push the image again with a current tool";

/// A document without its outer braces, in which DIGEST, CONFIG and LAYER stand for what is always the same.
fn document(text: &str) -> Vec<u8> {
    let config = r#"{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"DIGEST","size":2}"#;
    let layer = r#"{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"DIGEST","size":0}"#;
    let text = text.replace("CONFIG", config).replace("LAYER", layer).replace("DIGEST", DIGEST);
    format!("{{{text}}}").into_bytes()
}

/// `index of N`, `manifest of N`, or the error.
fn check(bytes: &[u8], stated: &str) -> String {
    let stated = Some(MediaType::parse(stated)).filter(|stated| !stated.as_str().is_empty());
    match Document::parse(bytes, stated.as_ref()) {
        Ok(Document::Index(index)) => format!("index of {}", index.manifests.len()),
        Ok(Document::Manifest(manifest)) => match Image::check_kind(&manifest) {
            Ok(()) => format!("manifest of {}", manifest.layers.len()),
            Err(error) => error.to_string(),
        },
        Err(error) => said(&error),
    }
}

/// An error without the place, which moves with every change of a case.
fn said(error: &Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().into()
}

/// Lines 86 and 88 to 92 of the catalogue of hostile inputs.
#[test]
fn documents() {
    for (text, stated, expected) in [
        (r#""schemaVersion":2,"config":CONFIG,"layers":[LAYER]"#, MANIFEST, "manifest of 1"),
        (r#""schemaVersion":2,"manifests":[]"#, INDEX, "index of 0"),
        (r#""schemaVersion":2,"manifests":[LAYER]"#, DOCKER_INDEX, "index of 1"),
        // Nothing is said, or nothing that helps: the shape decides.
        (r#""schemaVersion":2,"config":CONFIG,"layers":[]"#, "", "manifest of 0"),
        (r#""schemaVersion":2,"manifests":[]"#, "", "index of 0"),
        (r#""schemaVersion":2,"manifests":[]"#, "application/json", "index of 0"),
        (r#""schemaVersion":2,"mediaType":"","config":CONFIG"#, "text/plain", "manifest of 0"),
        (r#""schemaVersion":2"#, "", "manifests of an unknown type are not supported"),
        (r#""schemaVersion":2"#, "text/pl\u{1b}ain", "manifests of text/pl\\u{1b}ain are not supported"),
        // What it says of itself decides over what is said of it, but only within its kind.
        (r#""schemaVersion":2,"mediaType":"DOCKER","manifests":[]"#, INDEX, "index of 0"),
        (r#""schemaVersion":2,"mediaType":"DOCKER","manifests":[]"#, "application/json", "index of 0"),
        (r#""schemaVersion":2,"mediaType":"DOCKER","manifests":[]"#, MANIFEST, OTHER_TYPE),
        (
            r#""schemaVersion":2,"mediaType":"application/vnd.oci.artifact.manifest.v1+json""#,
            MANIFEST,
            "manifests of application/vnd.oci.artifact.manifest.v1+json are not supported",
        ),
        (
            r#""schemaVersion":2,"mediaType":"application/vnd.oci.image.config.v1+json","config":CONFIG"#,
            "",
            "manifests of application/vnd.oci.image.config.v1+json are not supported",
        ),
        // Two things at once.
        (r#""schemaVersion":2,"config":CONFIG,"manifests":[]"#, MANIFEST, AT_ONCE),
        (r#""schemaVersion":2,"config":CONFIG,"manifests":[]"#, INDEX, AT_ONCE),
        (r#""schemaVersion":2,"layers":[],"manifests":[]"#, INDEX, AT_ONCE),
        (
            r#""schemaVersion":2,"config":CONFIG,"layers":[],"layers":[LAYER]"#,
            MANIFEST,
            "manifest is malformed: duplicate field `layers`",
        ),
        (
            r#""schemaVersion":2,"mediaType":"a","mediaType":"b""#,
            "",
            "manifest is malformed: duplicate field `mediaType`",
        ),
        // Nothing where something should be.
        (r#""schemaVersion":2,"config":CONFIG,"layers":null"#, MANIFEST, "manifest of 0"),
        (r#""schemaVersion":2,"manifests":null"#, INDEX, "index of 0"),
        (r#""schemaVersion":2,"layers":[]"#, MANIFEST, "manifest is malformed: missing field `config`"),
        (r#""config":CONFIG"#, MANIFEST, "manifest is malformed: missing field `schemaVersion`"),
        // Fields that nobody knows, and those that nobody needs.
        (
            r#""schemaVersion":2,"config":CONFIG,"layers":[],"x":{"y":[{}]},"subject":null,"annotations":null"#,
            MANIFEST,
            "manifest of 0",
        ),
        // Versions.
        (r#""schemaVersion":1,"fsLayers":[]"#, "", SCHEMA1_SAID),
        (r#""schemaVersion":2,"fsLayers":[],"config":CONFIG"#, MANIFEST, SCHEMA1_SAID),
        (r#""schemaVersion":2,"config":CONFIG"#, SCHEMA1, SCHEMA1_SAID),
        (r#""schemaVersion":2,"mediaType":"SCHEMA1""#, "", SCHEMA1_SAID),
        (r#""schemaVersion":3,"config":CONFIG"#, MANIFEST, "manifests of schema version 3 are not supported"),
        (
            r#""schemaVersion":"2","config":CONFIG"#,
            MANIFEST,
            "manifest is malformed: invalid type: string \"2\", expected u32",
        ),
        // Digests that are none, which are no path either.
        (
            r#""schemaVersion":2,"config":{"digest":"sha256:../../etc/passwd","size":1}"#,
            MANIFEST,
            "manifest is malformed: malformed digest \"sha256:../../etc/passwd\"",
        ),
        (
            r#""schemaVersion":2,"config":{"digest":"md5:d41d8cd98f00b204e9800998ecf8427e","size":1}"#,
            MANIFEST,
            "manifest is malformed: digest algorithm \"md5\" is not supported (sha256 and sha512 are)",
        ),
        (
            r#""schemaVersion":2,"config":{"digest":"DIGEST","size":-1}"#,
            MANIFEST,
            "manifest is malformed: invalid value: integer `-1`, expected u64",
        ),
        // What is no image.
        (
            r#""schemaVersion":2,"config":{"mediaType":"application/vnd.cncf.helm.config.v1+json","digest":"DIGEST","size":1}"#,
            MANIFEST,
            "it is an artifact, not an image: its config is of type \"application/vnd.cncf.helm.config.v1+json\"",
        ),
        (
            r#""schemaVersion":2,"config":{"digest":"DIGEST","size":1}"#,
            MANIFEST,
            "it is an artifact, not an image: its config is of type \"\"",
        ),
        (
            r#""schemaVersion":2,"config":CONFIG,"layers":[LAYER,{"mediaType":"application/vnd.in-toto+json","digest":"DIGEST","size":1}]"#,
            MANIFEST,
            "layer 2 has the unsupported media type \"application/vnd.in-toto+json\"",
        ),
        (
            r#""schemaVersion":2,"config":CONFIG,"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip+encrypted","digest":"DIGEST","size":1}]"#,
            MANIFEST,
            "layer 1 has the unsupported media type \"application/vnd.oci.image.layer.v1.tar+gzip+encrypted\"",
        ),
        (
            r#""schemaVersion":2,"config":CONFIG,"layers":[{"mediaType":"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip","digest":"DIGEST","size":1}]"#,
            MANIFEST,
            "layer 1 is to be fetched from elsewhere (unsupported media type \
             \"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip\")",
        ),
    ] {
        let text = text.replace("DOCKER", DOCKER_INDEX).replace("SCHEMA1", SCHEMA1);
        assert_eq!(check(&document(&text), stated), expected, "{text} as {stated}");
    }
}

#[test]
fn bytes() {
    let sound = document(r#""schemaVersion":2,"config":CONFIG,"layers":[LAYER]"#);
    let marked = [b"\xef\xbb\xbf", &sound[..]].concat();
    assert_eq!(check(&marked, MANIFEST), "manifest of 1");
    let deep = |key: &str| [key, &"[".repeat(10_000), &"]".repeat(10_000), "}"].concat().into_bytes();
    let at = |start: usize, count: usize| [&sound[..start], &b" ".repeat(count), &sound[start..]].concat();
    let limit = DOCUMENT_MAX as usize;
    assert_eq!(check(&at(1, limit - sound.len()), MANIFEST), "manifest of 1");
    for (bytes, expected) in [
        (at(1, limit - sound.len() + 1), "manifest has 4194305 bytes, more than the limit of 4194304"),
        (
            deep(r#"{"schemaVersion":2,"layers":"#),
            "manifest is malformed: invalid type: sequence, expected a string",
        ),
        (
            deep(r#"{"schemaVersion":2,"mediaType":"#),
            "manifest is malformed: invalid type: sequence, expected a string",
        ),
        (b"".to_vec(), "manifest is malformed: EOF while parsing a value"),
        (b"[]x".to_vec(), "manifest is malformed: trailing characters"),
        (b"{\"mediaType\":\"\xff\"}".to_vec(), "manifest is malformed: invalid unicode code point"),
        (b"<html>".to_vec(), "manifest is malformed: expected value"),
        (b"null".to_vec(), "manifest is malformed: invalid type: null, expected struct Outline"),
    ] {
        assert_eq!(check(&bytes, MANIFEST), expected);
    }
}

/// What a document is called where nobody said it, and where two said it.
#[test]
fn media_types() {
    let own = format!(r#""schemaVersion":2,"mediaType":"{DOCKER_INDEX}","manifests":[]"#);
    for (text, stated, expected) in [
        (own.as_str(), INDEX, DOCKER_INDEX),
        (r#""schemaVersion":2,"manifests":[]"#, DOCKER_INDEX, DOCKER_INDEX),
        (r#""schemaVersion":2,"manifests":[]"#, "application/json", INDEX),
        (r#""schemaVersion":2,"config":CONFIG"#, "", MANIFEST),
    ] {
        let stated = MediaType::parse(stated);
        let document = Document::parse(&document(text), Some(&stated)).unwrap();
        assert_eq!(document.media_type(&stated).as_str(), expected, "{text}");
    }
}

#[test]
fn configs() {
    for (text, expected) in [
        (
            r#""os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":["DIGEST"]}"#,
            "1 of linux/amd64",
        ),
        (
            r#""os":"linux","architecture":"arm","variant":"v7","config":null,"history":null,"rootfs":{"diff_ids":null}"#,
            "0 of linux/arm/v7",
        ),
        (
            r#""rootfs":{},"config":{"Env":null,"Cmd":null,"User":null,"Volumes":null,"Labels":null}"#,
            "0 of /",
        ),
        (r#""rootfs":{},"config":{"Healthcheck":{"Test":["NONE"]},"OnBuild":[]},"x":[[[]]]"#, "0 of /"),
        (r#""os":"linux""#, "config is malformed: missing field `rootfs`"),
        (r#""rootfs":{"diff_ids":["sha256:00"]}"#, "config is malformed: malformed digest \"sha256:00\""),
        (
            r#""rootfs":{},"config":{"Env":"A=B"}"#,
            "config is malformed: invalid type: string \"A=B\", expected a sequence",
        ),
    ] {
        let found = match Config::parse(&document(text)) {
            Ok(config) => format!("{} of {}", config.rootfs.diff_ids.len(), config.platform),
            Err(error) => said(&error),
        };
        assert_eq!(found, expected, "{text}");
    }
    let deep = [r#"{"rootfs":{},"x":"#, &"[".repeat(10_000), &"]".repeat(10_000), "}"].concat();
    let error = Config::parse(deep.as_bytes()).unwrap_err();
    assert_eq!(said(&error), "config is malformed: recursion limit exceeded");
    let large = vec![b' '; DOCUMENT_MAX as usize + 1];
    let error = Config::parse(&large).unwrap_err();
    assert_eq!(said(&error), "config has 4194305 bytes, more than the limit of 4194304");
}
