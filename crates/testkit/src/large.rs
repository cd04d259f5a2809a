//! Layers that are too large for memory: written into a layout while they are made.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use flate2::write::GzEncoder;
use hash::{Algorithm, Digest, Hasher};
use serde_json::json;

use crate::image::Stored;

/// How a layer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    fn media_type(self) -> &'static str {
        match self {
            Compression::None => "application/vnd.oci.image.layer.v1.tar",
            Compression::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
            Compression::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
        }
    }
}

/// Writes a layer into the layout `directory`, which is made: what `tarball` writes, compressed.
pub fn layer(
    directory: &Path,
    compression: Compression,
    tarball: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<Stored> {
    let mut diff_id = None;
    let mut stored = blob(directory, compression, |blob| {
        // Headers are small, and each would be a call of the compressor.
        diff_id = Some(match compression {
            Compression::None => hashed(blob, tarball)?,
            Compression::Gzip => {
                let mut encoder = GzEncoder::new(blob, flate2::Compression::default());
                let digest = hashed(&mut encoder, tarball)?;
                encoder.finish()?;
                digest
            }
            Compression::Zstd => {
                let mut encoder = zstd::Encoder::new(blob, 1)?;
                let digest = hashed(&mut encoder, tarball)?;
                encoder.finish()?;
                digest
            }
        });
        Ok(())
    })?;
    stored.diff_id = diff_id.unwrap_or(stored.diff_id);
    Ok(stored)
}

/// Writes a layer of which only the blob is made; its diff ID is that of the blob.
pub fn blob(
    directory: &Path,
    compression: Compression,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<Stored> {
    fs::create_dir_all(directory.join("blobs/sha256"))?;
    let arriving = directory.join("blobs/arriving");
    let digest = hashed(File::create(&arriving)?, write)?;
    let size = fs::metadata(&arriving)?.len();
    fs::rename(arriving, directory.join("blobs/sha256").join(digest.hex()))?;
    let descriptor =
        json!({ "mediaType": compression.media_type(), "digest": digest.to_string(), "size": size });
    Ok(Stored { descriptor, diff_id: digest })
}

/// Lets something write into `inner`, and hashes it.
fn hashed(inner: impl Write, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<Digest> {
    let hashing = Hashing { inner, hasher: Hasher::new(Algorithm::Sha256) };
    let mut buffered = BufWriter::with_capacity(1 << 18, hashing);
    write(&mut buffered)?;
    Ok(buffered.into_inner().map_err(io::IntoInnerError::into_error)?.hasher.finish())
}

struct Hashing<W> {
    inner: W,
    hasher: Hasher,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// A ustar header: mode 0644, root's, of the year 1970. Sizes of 8 GiB and more are in base 256.
pub fn header(name: &str, typeflag: u8, size: u64, link: &str) -> [u8; 512] {
    let mut block = [0; 512];
    block[..name.len()].copy_from_slice(name.as_bytes());
    for (at, number) in [(100, "0000644"), (108, "0000000"), (116, "0000000"), (136, "00000000000")] {
        block[at..at + number.len()].copy_from_slice(number.as_bytes());
    }
    number(&mut block[124..136], size);
    block[156] = typeflag;
    block[157..157 + link.len()].copy_from_slice(link.as_bytes());
    block[257..265].copy_from_slice(b"ustar\x0000");
    sum(&mut block);
    block
}

/// An old GNU header of a sparse file that is nothing but a hole.
pub fn hole(name: &str, size: u64) -> [u8; 512] {
    let mut block = header(name, b'S', 0, "");
    block[257..265].copy_from_slice(b"ustar  \0");
    number(&mut block[483..495], size);
    sum(&mut block);
    block
}

/// A number as tar spells it, in twelve bytes.
fn number(field: &mut [u8], value: u64) {
    if value < 8 << 30 {
        field[..11].copy_from_slice(format!("{value:011o}").as_bytes());
    } else {
        field.fill(0);
        field[0] = 0x80;
        field[4..].copy_from_slice(&value.to_be_bytes());
    }
}

fn sum(block: &mut [u8; 512]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
}

/// A header with pax records, which extends the entry behind it.
pub fn pax(records: &[(&str, &[u8])]) -> Vec<u8> {
    let record = |(key, value): &(&str, &[u8])| {
        let rest = 1 + key.len() + 1 + value.len() + 1;
        let mut length = rest;
        while length != rest + length.to_string().len() {
            length = rest + length.to_string().len();
        }
        [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
    };
    let records: Vec<u8> = records.iter().flat_map(record).collect();
    let mut entry = header("x", b'x', records.len() as u64, "").to_vec();
    entry.extend(records);
    entry.resize(entry.len().next_multiple_of(512), 0);
    entry
}
