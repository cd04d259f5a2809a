//! Any bytes are an answer or an error: no panic, and no long wait. What is read survives being written.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::*;
use unlade_oci::{Config, Document, MediaType, Platform, Reference, select};

/// What no error may hold: errors go to terminals.
const ESCAPE: char = '\u{1b}';
const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Sound documents to start from.
fn sound() -> [String; 3] {
    let described = |kind: &str| {
        format!(
            r#"{{"mediaType":"application/vnd.oci.image.{kind}","digest":"{DIGEST}","size":7,"annotations":{{"a":"b"}},"urls":["x"],"platform":{{"os":"linux","architecture":"arm","variant":"v7","os.features":["y"]}}}}"#
        )
    };
    let (manifest, config) = (described("manifest.v1+json"), described("config.v1+json"));
    let layer = described("layer.v1.tar+gzip");
    [
        format!(r#"{{"schemaVersion":2,"manifests":[{manifest},{manifest}],"annotations":{{}}}}"#),
        format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layer},{layer}]}}"#),
        format!(
            r#"{{"os":"linux","architecture":"amd64","rootfs":{{"type":"layers","diff_ids":["{DIGEST}"]}},"config":{{"Env":["A=B"],"Cmd":null,"Labels":{{"x":"y"}}}},"history":[{{"empty_layer":true}}]}}"#
        ),
    ]
}

/// A sound document with some of its bytes taken out, put in or replaced, rather by what JSON is made of.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"null".to_vec()),
        Just(b"[[[[".to_vec()),
        Just(b"{}".to_vec()),
        Just(b"-1e999".to_vec()),
        Just(b"18446744073709551615".to_vec()),
        Just(b"\"\\ud800\"".to_vec()),
        Just(b"\"layers\":[],".to_vec()),
        Just(b"\"manifests\":[],".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..4),
    ];
    let cut = (any::<prop::sample::Index>(), 0..20usize, piece);
    (0..3usize, proptest::collection::vec(cut, 1..6)).prop_map(|(which, cuts)| {
        let mut bytes = sound()[which].clone().into_bytes();
        for (at, length, piece) in cuts {
            let start = at.index(bytes.len() + 1);
            let end = (start + length).min(bytes.len());
            bytes.splice(start..end, piece);
        }
        bytes
    })
}

fn read(bytes: &[u8]) {
    let _ = Config::parse(bytes);
    for stated in ["", MediaType::OCI_INDEX, MediaType::OCI_MANIFEST] {
        match Document::parse(bytes, Some(&MediaType::parse(stated))) {
            Ok(Document::Index(index)) => {
                let again = serde_json::to_vec(&index).unwrap();
                assert_eq!(Document::parse(&again, None).unwrap(), Document::Index(index.clone()));
                let _ = select(&index.manifests, &Platform::host()).map_err(|error| error.to_string());
            }
            Ok(Document::Manifest(manifest)) => {
                let again = serde_json::to_vec(&manifest).unwrap();
                assert_eq!(Document::parse(&again, None).unwrap(), Document::Manifest(manifest));
            }
            Err(error) => assert!(!error.to_string().contains(ESCAPE)),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        read(&bytes);
    }

    #[test]
    fn almost_sound_bytes(bytes in mutated()) {
        read(&bytes);
    }

    /// What is a reference means the same when it is written in full, and is no path.
    #[test]
    fn references(text in "(docker://)?[a-zA-Z0-9./:@_\\-\\[\\] é\\x1b]{0,80}") {
        match text.parse::<Reference>() {
            Ok(reference) => {
                prop_assert_eq!(reference.to_string().parse::<Reference>(), Ok(reference.clone()));
                prop_assert!(!reference.repository().split('/').any(|part| part.is_empty() || part == ".."));
                prop_assert!(!reference.registry().contains('/'));
                prop_assert!(!reference.identifier().is_empty());
            }
            Err(error) => prop_assert!(!error.to_string().contains(ESCAPE)),
        }
    }

    #[test]
    fn platforms(text in "[a-z0-9/._\\-]{0,30}", other in "linux/arm(64)?(/v[0-9.]{0,5})?") {
        let other: Platform = other.parse().unwrap();
        prop_assert_eq!(other.serves(&other).unwrap_or(0), 0);
        if let Ok(platform) = text.parse::<Platform>() {
            prop_assert_eq!(platform.to_string().parse::<Platform>().unwrap(), platform);
        }
    }
}

/// Nothing that a stranger can write takes longer than its length says.
#[test]
#[allow(clippy::disallowed_types, reason = "a test may look at the clock")]
fn long_documents() {
    let start = std::time::Instant::now();
    for unit in ["[", "{\"a\":", "0,", "\"\\u0000\",", "{},", "[],"] {
        for frame in ["", "{\"x\":[", "{\"schemaVersion\":2,\"layers\":[", "{\"history\":["] {
            read([frame, &unit.repeat((3 << 20) / unit.len())].concat().as_bytes());
        }
    }
    assert!(start.elapsed().as_secs() < 30, "{:?}", start.elapsed());
}
