//! Documents in OCI layouts that cannot be used, or are odd. Numbers are lines of `docs/hostile-inputs.md`.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs;
use std::slice::from_ref;

use common::{
    AMD64, CONFIG, INDEX, LAYER, Layout, MANIFEST, config, describe, digest, index, pulled, refused,
};
use hash::Digest;
use serde_json::{Value, json};

/// A message with `DIGEST` for each digest, and without the column at which the parser gave up.
fn settled(said: &str) -> String {
    let mut text = String::new();
    let mut rest = said;
    while let Some((before, behind)) = rest.split_once("sha256:") {
        let digits = behind.bytes().take_while(u8::is_ascii_hexdigit).count();
        text += before;
        text += if digits == 64 { "DIGEST" } else { "sha256:" };
        rest = &behind[if digits == 64 { digits } else { 0 }..];
    }
    text += rest;
    text.split_once(" at line ").map_or(text.clone(), |(said, _place)| said.into())
}

/// 87 to 92, as far as they are about documents that a layout can hold
#[test]
fn documents_that_cannot_be_used() {
    type Make = fn(&Layout) -> Value;
    let table: &[(Make, &str)] = &[
        (
            |layout| {
                let layer = layout.put(LAYER, b"layer");
                let manifest = layout.manifest(&config(AMD64, &[]), &[layer]);
                layout.document(MANIFEST, &manifest)
            },
            "cannot use oci:DIR: the manifest has 1 layers, but the config has 0 diff IDs",
        ),
        (
            |layout| {
                let mut layer = layout.put(LAYER, b"layer");
                layer["digest"] = "blake3:00".into();
                let manifest = layout.manifest(&config(AMD64, &[]), &[layer]);
                layout.document(MANIFEST, &manifest)
            },
            "cannot use oci:DIR: manifest is malformed: digest algorithm \"blake3\" is not supported \
             (sha256 and sha512 are)",
        ),
        (
            |layout| {
                let mut layer = layout.put(LAYER, b"layer");
                layer["digest"] = "sha256:../../../../etc/passwd".into();
                let manifest = layout.manifest(&config(AMD64, &[]), &[layer]);
                layout.document(MANIFEST, &manifest)
            },
            "cannot use oci:DIR: manifest is malformed: malformed digest \"sha256:../../../../etc/passwd\"",
        ),
        (
            |layout| {
                let media_type = "application/vnd.docker.distribution.manifest.v1+prettyjws";
                layout.document(media_type, &json!({"schemaVersion": 1, "fsLayers": [], "history": []}))
            },
            "cannot use oci:DIR: docker schema 1 manifests are not supported: push the image again with a \
             current tool",
        ),
        (
            |layout| {
                let image = layout.image(AMD64, &[]);
                (0..4).fold(image, |below, _| layout.index(&[below]))
            },
            "cannot use oci:DIR: index DIGEST lies more than 3 indexes deep",
        ),
        (
            |layout| {
                let config = layout.put("application/vnd.cncf.helm.config.v1+json", "{}");
                let manifest = json!({"schemaVersion": 2, "config": config, "layers": []});
                layout.document(MANIFEST, &manifest)
            },
            "cannot use oci:DIR: it is an artifact, not an image: its config is of type \
             \"application/vnd.cncf.helm.config.v1+json\"",
        ),
        (
            |layout| {
                let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
                let layer = layout.put(foreign, b"layer");
                layout.image_of(AMD64, &[layer])
            },
            "cannot use oci:DIR: layer 1 is to be fetched from elsewhere (unsupported media type \
             \"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip\")",
        ),
        (
            |layout| {
                let layer = layout.put("application/vnd.oci.image.layer.v1.tar+gzip+encrypted", b"layer");
                layout.image_of(AMD64, &[layer])
            },
            "cannot use oci:DIR: layer 1 has the unsupported media type \
             \"application/vnd.oci.image.layer.v1.tar+gzip+encrypted\"",
        ),
        (
            |layout| layout.put(MANIFEST, "{"),
            "cannot use oci:DIR: manifest is malformed: EOF while parsing an object",
        ),
        (
            |layout| {
                let twice =
                    format!(r#"{{"schemaVersion":2,"config":{},"config":{0}}}"#, describe(CONFIG, b""));
                layout.put(MANIFEST, twice)
            },
            "cannot use oci:DIR: manifest is malformed: duplicate field `config`",
        ),
        (
            |layout| layout.put(MANIFEST, format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000))),
            "cannot use oci:DIR: manifest is malformed: invalid type: sequence, expected u32",
        ),
        (
            |layout| layout.put(MANIFEST, " ".repeat(5 << 20)),
            "cannot use oci:DIR: document has 5242880 bytes, more than the limit of 4194304",
        ),
        (
            |layout| json!({"mediaType": MANIFEST, "size": 1u64 << 40, "digest": digest(&layout.put(MANIFEST, "{}"))}),
            "cannot use oci:DIR: document has 1099511627776 bytes, more than the limit of 4194304",
        ),
        (
            |layout| layout.document(MANIFEST, &json!({"schemaVersion": 2, "config": {}, "manifests": []})),
            "cannot use oci:DIR: manifest is malformed: it is an index and a manifest at once",
        ),
        (
            |layout| layout.document(MANIFEST, &index(&[])),
            "cannot use oci:DIR: manifest is malformed: it says to be of another media type than what led to it",
        ),
        (
            |layout| layout.document(INDEX, &index(&[])),
            "cannot use oci:DIR: no image for linux/amd64; there is none at all",
        ),
        (
            |layout| layout.document("application/vnd.example", &json!({"schemaVersion": 2})),
            "cannot use oci:DIR: manifests of application/vnd.example are not supported",
        ),
    ];
    for (make, expected) in table {
        let said = refused(|layout| {
            let root = make(layout);
            layout.finish(&[root])
        });
        let said = settled(&said);
        assert_eq!(said, *expected);
    }
}

/// 92: what is odd, but understood
#[test]
fn documents_that_are_only_odd() {
    let table: &[fn(&Layout) -> Value] = &[
        |layout| {
            let manifest = layout.manifest(&config(AMD64, &[]), &[]).to_string();
            layout.put(MANIFEST, format!("\u{feff}{manifest}"))
        },
        |layout| {
            let mut manifest = layout.manifest(&config(AMD64, &[]), &[]);
            manifest["layers"] = Value::Null;
            manifest["unknown"] = json!({"a": [1]});
            manifest.as_object_mut().unwrap().remove("mediaType");
            let mut descriptor = layout.document(MANIFEST, &manifest);
            descriptor.as_object_mut().unwrap().remove("mediaType");
            descriptor
        },
        // A config that says nothing of a platform.
        |layout| {
            let manifest = layout.manifest(&json!({"rootfs": {"type": "layers", "diff_ids": null}}), &[]);
            layout.document(MANIFEST, &manifest)
        },
        |layout| {
            let bytes = b"layer of sha512";
            let long = Digest::of(hash::Algorithm::Sha512, bytes);
            fs::create_dir_all(layout.path.join("blobs/sha512")).unwrap();
            fs::write(layout.path.join("blobs/sha512").join(long.hex()), bytes).unwrap();
            layout.image_of(
                AMD64,
                &[json!({"mediaType": LAYER, "digest": long.to_string(), "size": bytes.len()})],
            )
        },
    ];
    for (number, make) in table.iter().enumerate() {
        let layout = Layout::new();
        let root = make(&layout);
        let source = layout.finish(from_ref(&root));
        assert_eq!(pulled(&layout, &source, AMD64), Ok(digest(&root)), "number {number}");
    }
}
