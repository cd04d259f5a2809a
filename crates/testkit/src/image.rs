//! Images made by code: tarballs and OCI layouts.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use hash::Digest;
use serde_json::{Value, json};

/// A tarball under construction, in the ustar format.
#[derive(Debug, Clone, Default)]
pub struct Tar(Vec<u8>);

/// An entry's header, as far as tests vary it.
#[derive(Debug, Clone)]
pub struct Header<'a> {
    /// Name, at most 100 bytes.
    pub name: &'a [u8],
    /// Type flag: `b'0'` file, `b'1'` hard link, `b'2'` symlink, `b'3'` and `b'4'` devices, `b'5'` directory.
    pub typeflag: u8,
    /// Permission bits.
    pub mode: u32,
    /// Owner and group.
    pub owner: (u32, u32),
    /// Seconds since 1970.
    pub mtime: u64,
    /// Target of a link.
    pub link: &'a [u8],
    /// Major and minor number of a device.
    pub device: (u32, u32),
}

impl Default for Header<'_> {
    fn default() -> Self {
        Header { name: b"", typeflag: b'0', mode: 0o644, owner: (0, 0), mtime: 0, link: b"", device: (0, 0) }
    }
}

impl Tar {
    /// Adds an entry with its content.
    pub fn entry(mut self, header: &Header<'_>, content: &[u8]) -> Tar {
        let mut block = [0u8; 512];
        let mut text = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        text(0, header.name);
        text(100, format!("{:07o}", header.mode).as_bytes());
        text(108, format!("{:07o}", header.owner.0).as_bytes());
        text(116, format!("{:07o}", header.owner.1).as_bytes());
        text(124, format!("{:011o}", content.len()).as_bytes());
        text(136, format!("{:011o}", header.mtime).as_bytes());
        text(148, b"        ");
        text(156, &[header.typeflag]);
        text(157, header.link);
        text(257, b"ustar\x0000");
        text(329, format!("{:07o}", header.device.0).as_bytes());
        text(337, format!("{:07o}", header.device.1).as_bytes());
        let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.extend_from_slice(&block);
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    /// Adds a regular file.
    pub fn file(self, name: &str, mode: u32, content: &[u8]) -> Tar {
        self.entry(&Header { name: name.as_bytes(), mode, ..Header::default() }, content)
    }

    /// Adds a directory.
    pub fn directory(self, name: &str, mode: u32) -> Tar {
        self.entry(&Header { name: name.as_bytes(), mode, typeflag: b'5', ..Header::default() }, b"")
    }

    /// Adds a symlink.
    pub fn symlink(self, name: &str, text: &str) -> Tar {
        let (name, link) = (name.as_bytes(), text.as_bytes());
        self.entry(&Header { name, link, mode: 0o777, typeflag: b'2', ..Header::default() }, b"")
    }

    /// Ends the archive.
    pub fn finish(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

/// A layer to be put into an image: its blob, media type and diff ID.
#[derive(Debug, Clone)]
pub struct Layer {
    /// The bytes as stored.
    pub blob: Vec<u8>,
    /// What they say to be.
    pub media_type: &'static str,
    /// Digest of the tarball.
    pub diff_id: Digest,
}

impl Layer {
    /// A layer that is not compressed.
    pub fn plain(tar: Vec<u8>) -> Layer {
        let diff_id = Digest::sha256(&tar);
        Layer { blob: tar, media_type: "application/vnd.oci.image.layer.v1.tar", diff_id }
    }

    /// A layer compressed with gzip.
    pub fn gzip(tar: &[u8]) -> Layer {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(tar).and_then(|()| encoder.finish()).map_or_else(
            |error| unreachable!("writing into memory does not fail: {error}"),
            |blob| Layer {
                blob,
                media_type: "application/vnd.oci.image.layer.v1.tar+gzip",
                diff_id: Digest::sha256(tar),
            },
        )
    }
}

/// Writes an OCI layout with one image into `directory`, which is made, and gives the manifest's digest.
/// `config` is put beside what every config needs; pass `json!({})` for nothing.
pub fn write_layout(directory: &Path, tag: &str, layers: &[Layer], config: &Value) -> io::Result<Digest> {
    let stored = layers.iter().map(|layer| {
        let descriptor = put(directory, layer.media_type, &layer.blob)?;
        Ok(Stored { descriptor, diff_id: layer.diff_id })
    });
    write_documents(directory, tag, &stored.collect::<io::Result<Vec<_>>>()?, config)
}

/// A layer whose blob lies in a layout.
#[derive(Debug, Clone)]
pub struct Stored {
    /// What a manifest says of it.
    pub descriptor: Value,
    /// Digest of the tarball.
    pub diff_id: Digest,
}

/// Writes all of a layout but the blobs of its layers; otherwise as [`write_layout`].
pub fn write_documents(directory: &Path, tag: &str, layers: &[Stored], config: &Value) -> io::Result<Digest> {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let diff_ids: Vec<String> = layers.iter().map(|layer| layer.diff_id.to_string()).collect();
    let mut whole = json!({
        "architecture": architecture,
        "os": "linux",
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    });
    if let (Some(whole), Some(more)) = (whole.as_object_mut(), config.as_object()) {
        whole.extend(more.clone());
    }
    let config = put(directory, "application/vnd.oci.image.config.v1+json", &serde_json::to_vec(&whole)?)?;
    let descriptors: Vec<&Value> = layers.iter().map(|layer| &layer.descriptor).collect();
    let manifest = serde_json::to_vec(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config,
        "layers": descriptors,
    }))?;
    let mut descriptor = put(directory, "application/vnd.oci.image.manifest.v1+json", &manifest)?;
    descriptor["annotations"] = json!({ "org.opencontainers.image.ref.name": tag });
    let index = json!({ "schemaVersion": 2, "manifests": [descriptor] });
    fs::write(directory.join("index.json"), serde_json::to_vec(&index)?)?;
    fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
    Ok(Digest::sha256(&manifest))
}

/// Puts a blob into a layout, which is made, and gives its descriptor.
pub fn put(directory: &Path, media_type: &str, bytes: &[u8]) -> io::Result<Value> {
    fs::create_dir_all(directory.join("blobs/sha256"))?;
    let digest = Digest::sha256(bytes);
    fs::write(directory.join("blobs/sha256").join(digest.hex()), bytes)?;
    Ok(json!({ "mediaType": media_type, "digest": digest.to_string(), "size": bytes.len() }))
}
