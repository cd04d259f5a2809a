//! Finds and opens the layers of an image in an OCI layout. Nothing is verified: that is how most of the
//! programs that are measured here are used.

use std::error::Error;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use serde_json::Value;

/// A layer of the image, as it lies in the layout.
#[derive(Debug, Clone)]
pub struct Layer {
    /// The file of its blob.
    pub path: PathBuf,
    /// How the blob is compressed.
    pub compression: Compression,
}

/// How a layer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// By gzip.
    Gzip,
    /// By zstd.
    Zstd,
}

/// The layers of the first image in the layout, the lowest first.
pub fn layers(layout: &Path) -> Result<Vec<Layer>, Box<dyn Error>> {
    let index = json(&layout.join("index.json"))?;
    let manifest = json(&blob(layout, &index["manifests"][0]["digest"])?)?;
    let layers = manifest["layers"].as_array().ok_or("the first manifest of the layout is no image")?;
    layers
        .iter()
        .map(|layer| Ok(Layer { path: blob(layout, &layer["digest"])?, compression: of(layer)? }))
        .collect()
}

/// The layer's tarball.
pub fn open(layer: &Layer) -> Result<Box<dyn Read>, Box<dyn Error>> {
    let blob = BufReader::with_capacity(1 << 18, File::open(&layer.path)?);
    Ok(match layer.compression {
        Compression::None => Box::new(blob),
        Compression::Gzip => Box::new(MultiGzDecoder::new(blob)),
        Compression::Zstd => Box::new(zstd::Decoder::with_buffer(blob)?),
    })
}

fn of(layer: &Value) -> Result<Compression, Box<dyn Error>> {
    let media_type = layer["mediaType"].as_str().unwrap_or_default();
    match media_type.rsplit(['+', '.']).next() {
        Some("gzip") => Ok(Compression::Gzip),
        Some("zstd") => Ok(Compression::Zstd),
        Some("tar") => Ok(Compression::None),
        _ => Err(format!("no layer: {media_type}").into()),
    }
}

fn json(path: &Path) -> Result<Value, Box<dyn Error>> {
    Ok(serde_json::from_reader(BufReader::new(File::open(path)?))?)
}

fn blob(layout: &Path, digest: &Value) -> Result<PathBuf, Box<dyn Error>> {
    let (algorithm, hex) = digest.as_str().and_then(|digest| digest.split_once(':')).ok_or("no digest")?;
    Ok(layout.join("blobs").join(algorithm).join(hex))
}
