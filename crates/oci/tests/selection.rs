//! Choosing an image for a platform from an index. Lines 90 and 91 of the catalogue of hostile inputs.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use unlade_oci::{Descriptor, MediaType, Platform, select};

/// An entry: a platform, `-` for none, `{}` for one that says nothing, and behind a space what else it is.
fn entry(number: usize, text: &str) -> Descriptor {
    let (platform, kind) = text.split_once(' ').unwrap_or((text, ""));
    let platform = match platform {
        "-" => None,
        "{}" => serde_json::from_str("{}").ok(),
        text => Some(text.parse::<Platform>().unwrap()),
    };
    let media_type = match kind {
        "index" => "application/vnd.docker.distribution.manifest.list.v2+json",
        "typeless" => "",
        "layer" => "application/vnd.oci.image.layer.v1.tar",
        _ => MediaType::OCI_MANIFEST,
    };
    let mut entry = Descriptor {
        platform,
        ..Descriptor::new(MediaType::parse(media_type), hash::Digest::sha256(&[0]), number as u64)
    };
    match kind {
        "attestation" => {
            entry.annotations.insert("vnd.docker.reference.type".into(), "attestation-manifest".into());
        }
        "artifact" => entry.artifact_type = Some("application/spdx+json".into()),
        "image" => entry.artifact_type = Some("application/vnd.oci.image.config.v1+json".into()),
        "features" => entry.platform.as_mut().unwrap().os_features = vec!["win32k".into()],
        _ => {}
    }
    entry
}

#[test]
fn the_best_is_chosen() {
    for (entries, wanted, expected) in [
        (&["linux/amd64", "linux/arm64"][..], "linux/arm64", "1"),
        (&["linux/amd64", "linux/amd64"], "linux/amd64", "0"),
        // Variants.
        (&["linux/arm64"], "linux/arm64/v8", "0"),
        (&["linux/arm64/v8"], "linux/arm64", "0"),
        (&["linux/arm/v5", "linux/arm/v7", "linux/arm/v6"], "linux/arm", "1"),
        (&["linux/arm/v5", "linux/arm/v7", "linux/arm/v6"], "linux/arm/v6", "2"),
        (&["linux/arm/v7", "linux/arm/v5"], "linux/arm/v6", "1"),
        (&["linux/arm/v6", "linux/arm64/v8"], "linux/arm/v8", "0"),
        (&["linux/amd64/v3", "linux/amd64"], "linux/amd64", "1"),
        (&["linux/amd64", "linux/amd64/v2", "linux/amd64/v4"], "linux/amd64/v3", "1"),
        (
            &["linux/amd64/v2", "linux/amd64/v3"],
            "linux/amd64",
            "no image for linux/amd64; there is linux/amd64/v2, linux/amd64/v3",
        ),
        (&["linux/arm/v7"], "linux/arm/v6", "no image for linux/arm/v6; there is linux/arm/v7"),
        // A feature that nobody promised.
        (&["linux/amd64 features", "linux/amd64"], "linux/amd64", "1"),
        (&["linux/amd64 features"], "linux/amd64", "no image for linux/amd64; there is linux/amd64"),
        // Those that state no platform come behind those that do, and indexes behind manifests.
        (&["- index", "-", "linux/amd64"], "linux/amd64", "2"),
        (&["- index", "-", "linux/amd64"], "linux/s390x", "1"),
        (&["- index", "linux/amd64"], "linux/s390x", "0"),
        (&["{}", "linux/arm64"], "linux/amd64", "0"),
        (&["linux/arm64 index", "linux/amd64 index"], "linux/amd64", "1"),
        (&["linux/amd64 typeless"], "linux/amd64", "0"),
        (&["- typeless"], "linux/amd64", "0"),
        // What is no image.
        (&["unknown/unknown", "linux/amd64 attestation", "linux/amd64"], "linux/amd64", "2"),
        (&["linux/amd64 artifact", "linux/amd64 image"], "linux/amd64", "1"),
        (&["linux/amd64 layer", "- layer"], "linux/amd64", "no image for linux/amd64; there is none at all"),
        (&["unknown/unknown"], "unknown/unknown", "no image for unknown/unknown; there is none at all"),
        (&[], "linux/amd64", "no image for linux/amd64; there is none at all"),
        // What there is, each once.
        (
            &["linux/amd64", "windows/amd64", "linux/amd64", "unknown/unknown", "linux/arm/v7"],
            "linux/riscv64",
            "no image for linux/riscv64; there is linux/amd64, windows/amd64, linux/arm/v7",
        ),
    ] {
        let list: Vec<Descriptor> =
            entries.iter().enumerate().map(|(number, text)| entry(number, text)).collect();
        let found = match select(&list, &wanted.parse().unwrap()) {
            Ok(chosen) => chosen.size.to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected, "{entries:?} for {wanted}");
    }
}

#[test]
fn a_strangers_platform_is_escaped() {
    let mut odd = entry(0, "linux/amd64");
    odd.platform.as_mut().unwrap().os = "\u{1b}[31m".into();
    let said = select(&[odd], &"linux/amd64".parse().unwrap()).unwrap_err().to_string();
    assert_eq!(said, "no image for linux/amd64; there is \\u{1b}[31m/amd64");
}
