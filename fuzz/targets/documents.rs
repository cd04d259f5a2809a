//! Manifests, indexes and configs: any bytes are a document or an error. What is accepted is written and read again as
//! itself, is never an index and a manifest at once, and leads to an image only if all of its layers can be read.
#![no_main]

use hash::Digest;
use libfuzzer_sys::fuzz_target;
use oci::{Config, Descriptor, Document, Image, LAYERS_MAX, Manifest, MediaType, Platform};

const STATED: [&str; 3] = ["", MediaType::OCI_INDEX, MediaType::OCI_MANIFEST];

fuzz_target!(|bytes: &[u8]| {
    let mut kinds = [false; 2];
    for stated in STATED {
        match Document::parse(bytes, Some(&MediaType::parse(stated))) {
            Ok(document @ Document::Index(_)) => {
                kinds[0] = true;
                survives(&document);
                let Document::Index(index) = document else { unreachable!() };
                match oci::select(&index.manifests, &Platform::host()) {
                    Ok(chosen) => {
                        assert!(!matches!(chosen.media_type, MediaType::Other(ref name) if !name.is_empty()))
                    }
                    Err(error) => safe(&error),
                }
            }
            Ok(document @ Document::Manifest(_)) => {
                kinds[1] = true;
                survives(&document);
                let Document::Manifest(manifest) = document else { unreachable!() };
                image(*manifest, bytes);
            }
            Err(error) => safe(&error),
        }
    }
    assert_ne!(kinds, [true; 2], "bytes are taken for two things");
    match Config::parse(bytes) {
        Ok(config) => {
            let again = serde_json::to_vec(&config).expect("it was JSON");
            assert_eq!(Config::parse(&again).expect("it was a config"), config);
            assert!(!config.platform.to_string().contains(char::is_control));
        }
        Err(error) => safe(&error),
    }
});

fn survives(document: &Document) {
    let again = match document {
        Document::Index(index) => serde_json::to_vec(index),
        Document::Manifest(manifest) => serde_json::to_vec(manifest),
    };
    let again = again.expect("it was JSON");
    assert_eq!(
        &Document::parse(&again, Some(&document.media_type(&MediaType::parse("")))).expect("it was one"),
        document
    );
}

/// A manifest is an image if its config is of the right kind and has as many layers; the config here is the same
/// bytes, or one that has.
fn image(mut manifest: Manifest, bytes: &[u8]) {
    let ids = vec![Digest::sha256(bytes).to_string(); manifest.layers.len().min(LAYERS_MAX)];
    let config = serde_json::json!({"rootfs": {"diff_ids": ids}}).to_string();
    for config in [bytes, config.as_bytes()] {
        manifest.config.digest = Digest::sha256(config);
        manifest.config.size = config.len() as u64;
        let described = Descriptor::new(MediaType::parse(MediaType::OCI_MANIFEST), Digest::sha256(bytes), 0);
        match Image::new(described, manifest.clone(), config) {
            Ok(image) => {
                assert!(
                    image.layers().all(|layer| matches!(layer.descriptor.media_type, MediaType::Layer(..)))
                );
                assert_eq!(image.layers().count(), manifest.layers.len());
                let _ = image.size();
            }
            Err(error) => safe(&error),
        }
    }
}

/// Errors go to terminals.
fn safe(error: &oci::Error) {
    assert!(!error.to_string().contains('\u{1b}'), "{error}");
}
