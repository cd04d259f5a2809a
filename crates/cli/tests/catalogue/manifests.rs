//! Lines 86 to 94: documents, and where they come from. `pull_layouts`, `pull_documents` and `pull_archives` have more; here
//! are those that show that nothing is built.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::slice::from_ref;

use hash::Digest;
use serde_json::{Value, json};
use testkit::image::{Layer, Tar};
use testkit::layout::{INDEX, LAYER, Layout, MANIFEST, config, describe, index, named, platform};

use crate::case::{Case, entries, made, refused, unusable};

#[test]
fn manifests() {
    crate::check::check_all(cases());
}

/// The layer of most cases here.
fn tar() -> Vec<u8> {
    entries("f a 1").end()
}

fn host() -> String {
    oci::Platform::host().to_string()
}

fn layout(directory: &Path) -> Layout {
    Layout::at(&directory.join("layout"))
}

/// A layout with one image of one layer, changed.
fn changed(directory: &Path, change: impl FnOnce(&Layout, &Value)) -> String {
    let layout = layout(directory);
    let image = layout.image(&host(), &[&tar()]);
    change(&layout, &image);
    layout.finish(&[image])
}

/// A layout with one document.
fn with_root(directory: &Path, root: impl FnOnce(&Layout) -> Value) -> String {
    let layout = layout(directory);
    let root = root(&layout);
    layout.finish(&[root])
}

/// A layout with one image of one layer, which is described otherwise.
fn with_layer(directory: &Path, change: impl FnOnce(&mut Value)) -> String {
    with_root(directory, |layout| {
        let mut layer = layout.put(LAYER, tar());
        let right = config(&host(), from_ref(&layer));
        change(&mut layer);
        let manifest = layout.manifest(&right, &[layer]);
        layout.document(MANIFEST, &manifest)
    })
}

fn saved(directory: &Path, tar: Tar) -> String {
    let archive = directory.join("saved.tar");
    fs::write(&archive, tar.finish()).unwrap();
    format!("docker-archive:{}", archive.display())
}

/// `docker save` of one image with these files as layers, of which all say to be `tar()`.
fn with_files(directory: &Path, files: &[&str], others: Tar) -> String {
    let layers = vec![describe(LAYER, &tar()); files.len()];
    let config = config(&host(), &layers).to_string();
    let list = json!([{"Config": "config.json", "RepoTags": ["a:1"], "Layers": files}]).to_string();
    let all =
        others.file("config.json", 0o644, config.as_bytes()).file("manifest.json", 0o644, list.as_bytes());
    saved(directory, all)
}

fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    bytes[0] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// The index at which the reader gives up, of those around one image.
fn fourth_index() -> Digest {
    let layout = Layout::new();
    let image = layout.image(&host(), &[&tar()]);
    let index = (0..6).fold(image, |below, _| layout.index(&[below]));
    index["digest"].as_str().unwrap().parse().unwrap()
}

pub(crate) fn cases() -> Vec<Case> {
    let layer = Digest::sha256(&tar());
    let size = tar().len();
    let mut flipped = tar();
    flipped[0] ^= 1;
    let flipped = Digest::sha256(&flipped);
    let another = Layer { diff_id: flipped, ..Layer::plain(tar()) };
    let in_layout = |said: &str| format!("cannot fetch layer 1 ({layer}): blob {layer} in DIR/layout {said}");
    let cannot = |said: &str| format!("cannot use oci:DIR/layout: {said}");
    let wanted = host();
    let schema1 =
        cannot("docker schema 1 manifests are not supported: push the image again with a current tool");
    vec![
        unusable(
            86,
            "a layer of other bytes",
            |directory| changed(directory, |layout, _| flip(&layout.blob(&describe(LAYER, &tar())))),
            &in_layout(&format!(
                "is not what its name says: digest mismatch: expected {layer}, found {flipped}"
            )),
        ),
        unusable(
            86,
            "a layer that is shorter",
            |directory| with_layer(directory, |layer| layer["size"] = 4_000_000.into()),
            &in_layout(&format!("is not what its name says: {layer} has {size} bytes instead of 4000000")),
        ),
        unusable(
            86,
            "a layer that is longer",
            |directory| with_layer(directory, |layer| layer["size"] = 4.into()),
            &in_layout(&format!("is not what its name says: {layer} has more than 4 bytes")),
        ),
        unusable(
            86,
            "a layer that is missing",
            |directory| {
                changed(directory, |layout, _| {
                    fs::remove_file(layout.blob(&describe(LAYER, &tar()))).unwrap()
                })
            },
            &format!("cannot fetch layer 1 ({layer}): blob {layer} is missing in DIR/layout"),
        ),
        refused(
            87,
            "another diff ID",
            vec![another.clone()],
            &format!("layer 1: diff ID mismatch: expected {flipped}, found {layer}"),
        ),
        refused(
            87,
            "another diff ID above",
            vec![Layer::plain(tar()), Layer { ..another }],
            &format!("layer 2: diff ID mismatch: expected {flipped}, found {layer}"),
        ),
        unusable(
            87,
            "no diff ID",
            |directory| {
                with_root(directory, |layout| {
                    let manifest = layout.manifest(&config(&host(), &[]), &[layout.put(LAYER, tar())]);
                    layout.document(MANIFEST, &manifest)
                })
            },
            &cannot("the manifest has 1 layers, but the config has 0 diff IDs"),
        ),
        unusable(
            87,
            "a diff ID too many",
            |directory| {
                with_root(directory, |layout| {
                    let layer = layout.put(LAYER, tar());
                    let manifest =
                        layout.manifest(&config(&host(), &[layer.clone(), layer.clone()]), &[layer]);
                    layout.document(MANIFEST, &manifest)
                })
            },
            &cannot("the manifest has 1 layers, but the config has 2 diff IDs"),
        ),
        made(
            88,
            "sha512",
            |directory| {
                let layout = layout(directory);
                let digest = Digest::of(hash::Algorithm::Sha512, &tar());
                fs::create_dir_all(layout.path.join("blobs/sha512")).unwrap();
                fs::write(layout.path.join("blobs/sha512").join(digest.hex()), tar()).unwrap();
                let layer = json!({"mediaType": LAYER, "digest": digest.to_string(), "size": tar().len()});
                let image = layout.image_of(&host(), &[layer]);
                layout.finish(&[image])
            },
            "a=1",
        ),
        unusable(
            88,
            "a digest that is a path",
            |directory| with_layer(directory, |layer| layer["digest"] = "sha256:../../../etc/passwd".into()),
            &cannot("manifest is malformed: malformed digest \"sha256:../../../etc/passwd\""),
        ),
        unusable(
            88,
            "upper case",
            |directory| {
                with_root(directory, |layout| {
                    let mut image = layout.image(&host(), &[&tar()]);
                    image["digest"] =
                        image["digest"].as_str().unwrap().to_uppercase().replace("SHA", "sha").into();
                    image["digest"] = format!("sha256:{}", "A".repeat(64)).into();
                    image
                })
            },
            &format!("index.json in DIR/layout is malformed: malformed digest \"sha256:{}\"", "A".repeat(64)),
        ),
        unusable(
            88,
            "an algorithm that nobody has",
            |directory| {
                with_layer(directory, |layer| layer["digest"] = "md5:d41d8cd98f00b204e9800998ecf8427e".into())
            },
            &cannot(
                "manifest is malformed: digest algorithm \"md5\" is not supported (sha256 and sha512 are)",
            ),
        ),
        unusable(
            89,
            "schema 1",
            |directory| {
                with_root(directory, |layout| {
                    layout.document(
                        "application/vnd.docker.distribution.manifest.v1+prettyjws",
                        &json!({"schemaVersion": 1, "fsLayers": [], "history": []}),
                    )
                })
            },
            &schema1,
        ),
        made(
            89,
            "an index in an index",
            |directory| {
                with_root(directory, |layout| {
                    let image = layout.image(&host(), &[&tar()]);
                    layout.index(&[layout.index(&[image])])
                })
            },
            "a=1",
        ),
        unusable(
            89,
            "indexes without end",
            |directory| {
                with_root(directory, |layout| {
                    (0..9).fold(layout.image(&host(), &[&tar()]), |below, _| layout.index(&[below]))
                })
            },
            &cannot(&format!("index {} lies more than 3 indexes deep", fourth_index())),
        ),
        made(
            90,
            "an attestation beside the image",
            |directory| {
                with_root(directory, |layout| {
                    let mut attestation = layout.image("unknown/unknown", &[b"in-toto"]);
                    attestation["annotations"] = json!({"vnd.docker.reference.type": "attestation-manifest"});
                    layout.index(&[attestation, layout.image(&host(), &[&tar()])])
                })
            },
            "a=1",
        ),
        unusable(
            90,
            "a chart",
            |directory| {
                with_root(directory, |layout| {
                    let config = layout.put("application/vnd.cncf.helm.config.v1+json", "{}");
                    layout.document(MANIFEST, &json!({"schemaVersion": 2, "config": config, "layers": []}))
                })
            },
            &cannot(
                "it is an artifact, not an image: its config is of type \"application/vnd.cncf.helm.config.v1+json\"",
            ),
        ),
        unusable(
            91,
            "other platforms",
            |directory| {
                with_root(directory, |layout| {
                    layout.index(&[layout.image("linux/riscv64", &[]), layout.image("windows/amd64", &[])])
                })
            },
            &cannot(&format!("no image for {wanted}; there is linux/riscv64, windows/amd64")),
        ),
        unusable(
            91,
            "an image for another platform",
            |directory| with_root(directory, |layout| layout.image("linux/riscv64", &[&tar()])),
            &cannot(&format!("the image is for linux/riscv64, not for {wanted}")),
        ),
        unusable(
            92,
            "a field twice",
            |directory| {
                with_root(directory, |layout| {
                    layout.put(MANIFEST, r#"{"schemaVersion":2,"layers":[],"layers":[]}"#)
                })
            },
            &cannot("manifest is malformed: duplicate field `layers`"),
        ),
        unusable(
            92,
            "100 MB",
            |directory| with_root(directory, |layout| layout.put(MANIFEST, vec![b' '; 100 << 20])),
            &cannot("document has 104857600 bytes, more than the limit of 4194304"),
        ),
        unusable(
            92,
            "10,000 deep",
            |directory| {
                with_root(directory, |layout| {
                    layout
                        .put(MANIFEST, format!("{{\"layers\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000)))
                })
            },
            &cannot("manifest is malformed: invalid type: sequence, expected a string"),
        ),
        unusable(
            92,
            "not JSON",
            |directory| with_root(directory, |layout| layout.put(MANIFEST, "<html>\x1b[2J")),
            &cannot("manifest is malformed: expected value"),
        ),
        made(
            92,
            "a mark of the byte order, null, no media type, fields that nobody knows",
            |directory| {
                with_root(directory, |layout| {
                    let layer = layout.put(LAYER, tar());
                    let mut manifest = layout.manifest(&config(&host(), from_ref(&layer)), &[layer]);
                    manifest["annotations"] = Value::Null;
                    manifest["unknown"] = json!([{"a": 1}]);
                    manifest.as_object_mut().unwrap().remove("mediaType");
                    layout.put(MANIFEST, format!("\u{feff}{manifest}"))
                })
            },
            "a=1",
        ),
        made(
            92,
            "layers: null",
            |directory| {
                with_root(directory, |layout| {
                    let mut manifest = layout.manifest(&config(&host(), &[]), &[]);
                    manifest["layers"] = Value::Null;
                    layout.document(MANIFEST, &manifest)
                })
            },
            "",
        ),
        unusable(
            93,
            "no oci-layout",
            |directory| {
                let source = changed(directory, |_, _| {});
                fs::remove_file(directory.join("layout/oci-layout")).unwrap();
                source
            },
            "DIR/layout is not an OCI image layout: it has no oci-layout",
        ),
        unusable(
            93,
            "two images",
            |directory| {
                let layout = layout(directory);
                let images =
                    [named(layout.image(&host(), &[&tar()]), "a"), named(layout.image(&host(), &[]), "b")];
                layout.finish(&images)
            },
            "DIR/layout holds several images, and none is chosen: a, b",
        ),
        unusable(
            93,
            "a blob that is a link",
            |directory| {
                changed(directory, |layout, _| {
                    let blob = layout.blob(&describe(LAYER, &tar()));
                    fs::rename(&blob, layout.path.join("elsewhere")).unwrap();
                    symlink(layout.path.join("elsewhere"), blob).unwrap();
                })
            },
            &format!(
                "cannot fetch layer 1 ({layer}): DIR/layout/blobs/sha256/{} is not a regular file",
                layer.hex()
            ),
        ),
        unusable(
            93,
            "an index that is a link",
            |directory| {
                let source = changed(directory, |_, _| {});
                fs::remove_file(directory.join("layout/index.json")).unwrap();
                symlink("/etc/passwd", directory.join("layout/index.json")).unwrap();
                source
            },
            "DIR/layout/index.json is not a regular file",
        ),
        unusable(
            93,
            "an index of nothing",
            |directory| with_root(directory, |layout| layout.document(INDEX, &index(&[]))),
            &cannot(&format!("no image for {wanted}; there is none at all")),
        ),
        made(
            94,
            "layers beside each other",
            |directory| with_files(directory, &["l1", "l1"], Tar::default().file("l1", 0o644, &tar())),
            "a=1",
        ),
        made(
            94,
            "a layer that is a link to another",
            |directory| {
                with_files(
                    directory,
                    &["a/layer.tar", "b/layer.tar"],
                    Tar::default()
                        .file("a/layer.tar", 0o644, &tar())
                        .symlink("b/layer.tar", "../a/layer.tar"),
                )
            },
            "a=1",
        ),
        unusable(
            94,
            "a layer above",
            |directory| with_files(directory, &["../../etc/passwd"], Tar::default()),
            "DIR/saved.tar names the file ../../etc/passwd, which leads out of the archive",
        ),
        unusable(
            94,
            "a layer of the host",
            |directory| with_files(directory, &["/etc/passwd"], Tar::default()),
            "DIR/saved.tar names the file /etc/passwd, which leads out of the archive",
        ),
        unusable(
            94,
            "a layer that is a link to the host",
            |directory| with_files(directory, &["l1"], Tar::default().symlink("l1", "/etc/passwd")),
            "DIR/saved.tar names the file l1, which leads out of the archive",
        ),
        unusable(
            94,
            "several images",
            |directory| {
                let config = config(&host(), &[]).to_string();
                let images = json!([{"Config": "c", "RepoTags": ["a:1"], "Layers": []}, {"Config": "c", "RepoTags": null, "Layers": []}]).to_string();
                saved(
                    directory,
                    Tar::default().file("c", 0o644, config.as_bytes()).file(
                        "manifest.json",
                        0o644,
                        images.as_bytes(),
                    ),
                )
            },
            "DIR/saved.tar holds several images, and none is chosen: a:1, @1",
        ),
        unusable(
            85,
            "an encrypted layer",
            |directory| {
                with_layer(directory, |layer| layer["mediaType"] = format!("{LAYER}+gzip+encrypted").into())
            },
            &cannot(&format!("layer 1 has the unsupported media type \"{LAYER}+gzip+encrypted\"")),
        ),
        unusable(
            85,
            "a foreign layer",
            |directory| {
                with_layer(directory, |layer| {
                    layer["mediaType"] = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip".into()
                })
            },
            &cannot(
                "layer 1 is to be fetched from elsewhere (unsupported media type \"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip\")",
            ),
        ),
        unusable(
            91,
            "a platform that would speak to a terminal",
            |directory| {
                with_root(directory, |layout| {
                    let mut image = layout.image("linux/riscv64", &[]);
                    image["platform"] = platform("\u{1b}[2J/x");
                    layout.index(&[image])
                })
            },
            &cannot(&format!("no image for {wanted}; there is \\u{{1b}}[2J/x")),
        ),
    ]
}
