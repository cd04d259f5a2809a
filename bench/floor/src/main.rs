//! `bench-floor LAYOUT SCRATCH`: what the bytes of an image cost at least on this machine, in CPU seconds of one
//! thread, as JSON.
//!
//! Each layer is inflated and hashed by every library that is compiled in, from memory into memory that is there
//! already; the expanded bytes are written to the file SCRATCH in one go, which is then flushed and removed.

mod clock;
mod expand;
mod hashes;
mod sums;
#[cfg(feature = "zlib-ng")]
mod zlib_ng;

use std::env;
use std::error::Error;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

use bench_layout::{Compression, Layer};
use clock::{Cost, time};
use serde_json::{Value, json};
use sums::Sums;

/// Bytes of one write: more makes no difference.
const WRITE: usize = 1 << 20;

/// Everything that is measured.
#[derive(Default)]
struct Measured {
    layers: usize,
    compressed: u64,
    expanded: u64,
    inflate: Sums,
    hash_compressed: Sums,
    hash_expanded: Sums,
    write: Cost,
    flush: Cost,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [layout, scratch] = arguments.as_slice() else {
        return Err("usage: bench-floor LAYOUT SCRATCH".into());
    };
    let mut measured = Measured::default();
    let mut file = File::create(scratch)?;
    // One memory for all layers, so that it is there when it is measured.
    let mut memory = Vec::new();
    for layer in bench_layout::layers(Path::new(layout))? {
        measured.layer(&layer, &mut memory, &mut file)?;
    }
    let (flushed, cost) = time(|| file.sync_all());
    flushed?;
    measured.flush.add(cost);
    fs::remove_file(scratch)?;
    println!("{:#}", measured.to_json()?);
    Ok(())
}

impl Measured {
    fn layer(&mut self, layer: &Layer, memory: &mut Vec<u8>, file: &mut File) -> Result<(), Box<dyn Error>> {
        let compressed = fs::read(&layer.path)?;
        let mut expanded = Vec::new();
        bench_layout::open(layer)?.read_to_end(&mut expanded)?;
        self.layers += 1;
        self.compressed += compressed.len() as u64;
        self.expanded += expanded.len() as u64;

        if memory.len() < expanded.len() {
            memory.clear();
            memory.resize(expanded.len(), 1);
        }
        if layer.compression != Compression::None {
            for (name, expand) in expand::all(layer.compression) {
                let target = &mut memory[..expanded.len()];
                let (length, cost) = time(|| expand(&compressed, target));
                if length? != expanded.len() || target != expanded {
                    return Err(format!("{name} does not give the layer's bytes").into());
                }
                self.inflate.add(name, cost);
            }
        }
        for (name, hash) in hashes::ALL {
            self.hash_compressed.add(name, time(|| hash(&compressed)).1);
            self.hash_expanded.add(name, time(|| hash(&expanded)).1);
        }
        let (written, cost) = time(|| expanded.chunks(WRITE).try_for_each(|chunk| file.write_all(chunk)));
        written?;
        self.write.add(cost);
        Ok(())
    }

    fn to_json(&self) -> Result<Value, Box<dyn Error>> {
        let least = |sums: &Sums| sums.least().map_or(0.0, |(_, cost)| cost.cpu);
        let hashing = least(&self.hash_compressed) + least(&self.hash_expanded);
        let without_hashing = least(&self.inflate) + self.write.cpu;
        let sum = hashing + without_hashing;
        let cores = std::thread::available_parallelism()?.get();
        Ok(json!({
            "cores": cores,
            "layers": self.layers,
            "compressed_bytes": self.compressed,
            "expanded_bytes": self.expanded,
            "inflate": self.inflate.to_json(),
            "sha256_compressed": self.hash_compressed.to_json(),
            "sha256_expanded": self.hash_expanded.to_json(),
            "write": { "cpu": self.write.cpu, "wall": self.write.wall },
            "flush": { "cpu": self.flush.cpu, "wall": self.flush.wall },
            "cold": { "cpu": sum, "wall": sum / cores as f64 },
            "warm": { "cpu": without_hashing, "wall": without_hashing / cores as f64 },
        }))
    }
}
