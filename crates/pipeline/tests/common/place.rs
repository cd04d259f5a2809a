//! A store with an image in it, to build from.

use std::fs;
use std::path::PathBuf;

use hash::Digest;
use oci::Image;
use serde_json::json;
use store::Store;
use testkit::image::{self, Layer};
use unlade_pipeline::{Built, Error, Format, Options, Scratch, Target, build, layers, pull};

/// A store with an image in it.
pub struct Place {
    pub scratch: tempfile::TempDir,
    pub store: Store,
    pub image: Image,
}

impl Place {
    pub fn new(layers: &[Layer]) -> Place {
        let scratch = tempfile::tempdir().unwrap();
        let layout = scratch.path().join("layout");
        image::write_layout(&layout, "latest", layers, &json!({})).unwrap();
        let store = Store::open(&scratch.path().join("store")).unwrap();
        let source = format!("oci:{}", layout.display()).parse().unwrap();
        let platform = format!("linux/{}", if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" });
        let image =
            pull::pull(&source, &platform.parse().unwrap(), &store, &pull::Options::default(), &|_| {});
        Place { scratch, store, image: image.unwrap() }
    }

    pub fn output(&self) -> PathBuf {
        self.scratch.path().join("out")
    }

    pub fn try_build(&self, options: &Options) -> Result<Built, Error> {
        build(&self.store, &self.image, options, Target::Path(&self.output()), &|_| {})
    }

    /// The digest of what is built, and whether contents went through the scratch directory.
    pub fn build(&self, options: &Options) -> (Digest, bool) {
        let built = self.try_build(options).unwrap();
        (Digest::sha256(&fs::read(self.output()).unwrap()), built.scratch_bytes > 0)
    }

    pub fn outline(&self, layer: usize) -> PathBuf {
        let digest = self.image.manifest.layers[layer].digest;
        self.store.path().join("unlade/outlines").join(format!("sha256-{}", digest.hex()))
    }
}

/// Bytes that do not repeat.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// What is built, and where contents wait.
pub fn options(format: Format, scratch: Scratch) -> Options {
    Options {
        format,
        layers: layers::Options::default(),
        latest_mtime: None,
        scratch,
        allow_empty: true,
        remember: false,
    }
}
